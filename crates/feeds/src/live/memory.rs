//! What a live source remembers over a restart: what it has fetched, how far it has come, and
//! what it still has to catch up on. The file is small, written whole, and may be deleted.

use crate::limits::{FETCHED_MAX, MEMORY_BYTES_MAX};
use crate::local;
use headgate_core::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A source's memory.
#[derive(Debug, Default)]
pub struct Memory {
    path: Option<PathBuf>,
    source: String,
    fetched: BTreeSet<String>,
    order: VecDeque<String>,
    through: Option<Time>,
    owed: Option<(Time, Time)>,
    changed: bool,
    complaint: Option<String>,
}

/// The file as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    source: String,
    through: Option<String>,
    owed: Option<(String, String)>,
    fetched: Vec<String>,
}

impl Memory {
    /// Opens the memory of a source; one of another source, or a damaged one, counts as none.
    #[must_use]
    pub fn open(path: Option<&Path>, source: &str) -> Self {
        let mut memory =
            Self { path: path.map(Path::to_owned), source: source.to_owned(), ..Self::default() };
        let Some(path) = path else { return memory };
        match read(path) {
            Ok(written) => memory.recall(written),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                let shown = path.display();
                memory.complaint =
                    Some(format!("failed to read {shown}: {e}; it is begun anew from the server"));
            }
        }
        memory
    }

    fn recall(&mut self, written: Written) {
        if written.source != self.source {
            return;
        }
        let time = |text: &String| local::utc(text.as_bytes());
        self.through = written.through.as_ref().and_then(time);
        self.owed = written.owed.and_then(|(a, b)| Some((time(&a)?, time(&b)?)));
        for id in written.fetched {
            self.fetch(id);
        }
        self.changed = false;
    }

    /// Whether a document was fetched.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.fetched.contains(id)
    }

    /// Remembers a document as fetched.
    pub fn fetch(&mut self, id: String) {
        self.changed = true;
        if self.fetched.insert(id.clone()) {
            self.order.push_back(id);
        }
        while self.order.len() > FETCHED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.fetched.remove(&oldest);
            }
        }
    }

    /// End of the newest interval that was brought.
    #[must_use]
    pub fn through(&self) -> Option<Time> {
        self.through
    }

    /// Remembers how far it has come.
    pub fn reach(&mut self, end: Time) {
        if self.through.is_none_or(|t| t < end) {
            self.through = Some(end);
            self.changed = true;
        }
    }

    /// What is still to be caught up on.
    #[must_use]
    pub fn owed(&self) -> Option<(Time, Time)> {
        self.owed
    }

    /// Remembers what is still to be caught up on.
    pub fn owe(&mut self, owed: Option<(Time, Time)>) {
        self.changed |= self.owed != owed;
        self.owed = owed;
    }

    /// Writes what has changed. Called before the next request, when the last answer was handed
    /// on: what a crash loses is fetched again.
    pub fn save(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let Some(path) = &self.path else { return };
        let written = Written {
            source: self.source.clone(),
            through: self.through.map(|t| t.to_string()),
            owed: self.owed.map(|(a, b)| (a.to_string(), b.to_string())),
            fetched: self.order.iter().cloned().collect(),
        };
        if let Err(e) = write(path, &written) {
            let shown = path.display();
            let told = format!("failed to write {shown}: {e}; a restart fetches again");
            self.complaint = Some(told);
        }
    }

    /// What went wrong, told once.
    pub fn complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }
}

fn read(path: &Path) -> io::Result<Written> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(MEMORY_BYTES_MAX).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn write(path: &Path, written: &Written) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("tmp");
    fs::write(&beside, serde_json::to_vec(written)?)?;
    fs::rename(&beside, path)
}

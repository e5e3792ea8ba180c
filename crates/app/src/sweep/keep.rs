//! The record of a sweep on disk: one process writes it, a killed one leaves it whole.

use crate::run::Refused;
use anyhow::{Context, bail};
use headgate_sim::sweep::Done;
use headgate_sim::sweep::record::{self, Contents, Header};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Cases between two syncs to disk: a power cut costs at most so many.
const SYNC_CASES: u32 = 64;
/// How the names of records begin and end.
const PREFIX: &str = "cases";
const SUFFIX: &str = ".log";

/// One part of a sweep: which shard of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub i: u64,
    /// How many.
    pub n: u64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { i: 1, n: 1 };

    /// The name of its record.
    pub fn file(self) -> String {
        match self {
            Self::WHOLE => format!("{PREFIX}{SUFFIX}"),
            Self { i, n } => format!("{PREFIX}-{i}-of-{n}{SUFFIX}"),
        }
    }
}

/// A record that is open and locked.
pub struct Keeper {
    file: File,
    unsynced: u32,
}

impl Keeper {
    /// Opens a record or begins it; cases that are done already come back.
    ///
    /// # Errors
    /// When another process has it, when it is of another plan, or when it cannot be used.
    pub fn open(path: &Path, header: &Header) -> anyhow::Result<(Self, Vec<u64>)> {
        let failed = || format!("failed to open {}", path.display());
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(Refused(format!(
                "{} is in use by another sweep: wait for it, or name another --out",
                path.display()
            ))),
            Err(TryLockError::Error(e)) => return Err(e).with_context(failed),
        }
        let Contents { header: found, done, whole } =
            record::read(BufReader::new(&file)).with_context(failed)?;
        let other = found.as_ref().filter(|found| *found != header);
        // A record that has nothing in it yet is nobody's.
        if let Some(found) = other.filter(|_| !done.is_empty()) {
            bail!(Refused(format!(
                "{} is of another plan (or its sites or prices have changed): it begins {}, this \
                 one {}; name another --out or take the folder away",
                path.display(),
                short(&found.plan),
                short(&header.plan)
            )));
        }
        let whole = if other.is_some() { 0 } else { whole };
        file.set_len(whole).with_context(failed)?;
        file.seek(SeekFrom::End(0)).with_context(failed)?;
        if whole == 0 {
            file.write_all(record::line(header).as_bytes()).with_context(failed)?;
            file.sync_data().with_context(failed)?;
        }
        let done = done.into_iter().map(|(case, _)| case).collect();
        Ok((Self { file, unsynced: 0 }, done))
    }

    /// Keeps a case.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&mut self, done: &Done) -> io::Result<()> {
        self.file.write_all(record::line(done).as_bytes())?;
        self.unsynced += 1;
        if self.unsynced >= SYNC_CASES {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes sure that what is kept is on disk.
    ///
    /// # Errors
    /// When that fails.
    pub fn sync(&mut self) -> io::Result<()> {
        self.unsynced = 0;
        self.file.sync_data()
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Where each case of a plan is kept.
pub struct Index {
    files: Vec<BufReader<File>>,
    places: Vec<Option<(u32, u64)>>,
    line: Vec<u8>,
}

impl Index {
    /// Looks through records; a case that is in two is taken from the first.
    ///
    /// # Errors
    /// When one cannot be read or is of another plan, or when cases are missing.
    pub fn of(paths: &[PathBuf], plan: &str, cases: u64) -> anyhow::Result<Self> {
        let mut index = Self {
            files: Vec::new(),
            places: vec![None; usize::try_from(cases)?],
            line: Vec::new(),
        };
        for path in paths {
            let failed = || format!("failed to read {}", path.display());
            let mut file = BufReader::new(File::open(path).with_context(failed)?);
            let contents = record::read(&mut file).with_context(failed)?;
            let Some(header) = contents.header else { continue };
            if header.plan != plan || header.cases != cases {
                bail!(Refused(format!(
                    "{} is of another plan (or its sites or prices have changed): it begins {}, \
                     this one {}",
                    path.display(),
                    short(&header.plan),
                    short(plan)
                )));
            }
            let number = u32::try_from(index.files.len())?;
            for (case, at) in contents.done {
                let place = &mut index.places[usize::try_from(case)?];
                place.get_or_insert((number, at));
            }
            index.files.push(file);
        }
        let missing = index.places.iter().filter(|p| p.is_none()).count();
        if let Some(first) = index.places.iter().position(Option::is_none) {
            bail!(Refused(format!(
                "{missing} of {cases} cases are not done, the first is case {first}: run the \
                 shards that have them first"
            )));
        }
        Ok(index)
    }

    /// The case of a number.
    ///
    /// # Errors
    /// When it cannot be read again as it was.
    pub fn case(&mut self, case: u64) -> anyhow::Result<Done> {
        let place = self.places.get(usize::try_from(case)?).copied().flatten();
        let (file, at) = place.context("the case is not kept")?;
        let file = &mut self.files[usize::try_from(file)?];
        file.seek(SeekFrom::Start(at))?;
        record::next_line(file, &mut self.line)?;
        record::parse(&self.line).context("the record changed while it was read")
    }
}

/// All records of a folder, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn records(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = || format!("failed to read the folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

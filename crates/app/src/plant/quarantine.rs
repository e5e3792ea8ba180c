//! Events that abort the engine. A broken invariant ends the process and recovery is the
//! ordinary start; an event that ends recovery too, twice, is set aside, so that one bad event
//! cannot keep a site from starting. What was set aside is a file beside the journal, and the
//! site starts in Hold.

use anyhow::Context;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Holds how a recovery goes while it is under way; a recovery that ended leaves none.
const UNDER_WAY: &str = "recovering";
/// Careful recoveries that must die at one event before it is set aside.
const DEATHS: u32 = 2;
/// Holds the places of the events set aside, one a line.
const SET_ASIDE: &str = "quarantine";

/// One recovery, and what earlier ones that never ended tell it.
#[derive(Debug)]
pub struct Quarantine {
    folder: PathBuf,
    careful: bool,
    /// Where the last careful recovery died, and how many in a row did there.
    died: Option<(u64, u32)>,
    set_aside: BTreeSet<u64>,
    /// Whether this start set an event aside.
    pub fresh: Option<u64>,
}

impl Quarantine {
    /// Begins a recovery.
    ///
    /// # Errors
    /// When the folder's files cannot be read or written.
    pub fn begin(folder: &Path) -> anyhow::Result<Self> {
        let mut set_aside = set_aside(folder)?;
        let path = folder.join(UNDER_WAY);
        // Absent: the last recovery ended. Empty: it died once, somewhere. A place and how often:
        // it died again, with care, at that event. Once may have been a kill from outside.
        let before = fs::read_to_string(&path).ok();
        let died = before.as_deref().and_then(place_and_times);
        let fresh = died.filter(|(_, times)| *times >= DEATHS).map(|(seq, _)| seq);
        if let Some(seq) = fresh {
            set_aside.insert(seq);
            let list: String = set_aside.iter().map(|s| format!("{s}\n")).collect();
            let file = folder.join(SET_ASIDE);
            fs::write(&file, list)
                .with_context(|| format!("failed to write `{}`", file.display()))?;
        }
        let note = if died.is_some() { before.as_deref().unwrap_or("") } else { "" };
        fs::write(&path, note).with_context(|| format!("failed to write `{}`", path.display()))?;
        let died = died.filter(|_| fresh.is_none());
        Ok(Self { folder: folder.into(), careful: before.is_some(), died, set_aside, fresh })
    }

    /// Whether an event may be stepped on; after a recovery that died, notes which one is next.
    pub fn admits(&self, seq: u64) -> bool {
        if self.set_aside.contains(&seq) {
            return false;
        }
        if self.careful {
            // Without the note the next start would only be as blind as this one: go on.
            let times = self.died.filter(|(at, _)| *at == seq).map_or(1, |(_, times)| times + 1);
            let _ = fs::write(self.folder.join(UNDER_WAY), format!("{seq} {times}"));
        }
        true
    }

    /// Ends a recovery that came through.
    pub fn end(&self) {
        // Left behind, it makes the next start a careful one and nothing else.
        let _ = fs::remove_file(self.folder.join(UNDER_WAY));
    }
}

fn place_and_times(text: &str) -> Option<(u64, u32)> {
    let (seq, times) = text.trim().split_once(' ')?;
    Some((seq.parse().ok()?, times.parse().ok()?))
}

/// The events set aside in a folder.
///
/// # Errors
/// When the list is there and cannot be read.
pub fn set_aside(folder: &Path) -> anyhow::Result<BTreeSet<u64>> {
    let path = folder.join(SET_ASIDE);
    if !path.exists() {
        return Ok(BTreeSet::new());
    }
    let text = fs::read_to_string(&path)
        .with_context(|| format!("failed to read `{}`", path.display()))?;
    text.lines()
        .map(|l| l.trim().parse().with_context(|| format!("`{}`: `{l}`", path.display())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(folder: &Path, dies_at: Option<u64>) -> (Option<u64>, Vec<u64>) {
        let q = Quarantine::begin(folder).expect("the folder is ours");
        let mut stepped = Vec::new();
        for seq in 1..=5 {
            if q.admits(seq) {
                stepped.push(seq);
                if dies_at == Some(seq) {
                    return (q.fresh, stepped);
                }
            }
        }
        q.end();
        (q.fresh, stepped)
    }

    #[test]
    fn an_event_that_ends_recovery_twice_is_set_aside() {
        let name = format!("headgate-quarantine-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        assert_eq!(check(&folder, None), (None, vec![1, 2, 3, 4, 5]));
        // Blind, then with care at another place, then twice in a row at one.
        assert_eq!(check(&folder, Some(2)), (None, vec![1, 2]));
        assert_eq!(check(&folder, Some(4)), (None, vec![1, 2, 3, 4]));
        assert_eq!(check(&folder, Some(3)), (None, vec![1, 2, 3]));
        assert_eq!(check(&folder, Some(3)), (None, vec![1, 2, 3]));
        assert_eq!(check(&folder, Some(3)), (Some(3), vec![1, 2, 4, 5]));
        assert_eq!(check(&folder, Some(3)), (None, vec![1, 2, 4, 5]));
        assert_eq!(set_aside(&folder).expect("a list"), BTreeSet::from([3]));
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}

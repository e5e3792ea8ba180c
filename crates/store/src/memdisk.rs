//! A disk in memory that can crash, fill up and stall, the same way every time for a seed.

use crate::disk::Disk;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The unit in which a crash keeps or loses parts of a write.
pub const SECTOR_BYTES: u64 = 512;

/// What a crash does to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// All of it is lost.
    Lose,
    /// The first so many writes survive, the last of them torn at any byte.
    Tear,
    /// Any sectors of any writes survive; where an earlier one is lost the file holds zeros.
    Reorder,
}

/// A disk in memory. Everything is deterministic, given the seed and the calls.
#[derive(Debug)]
pub struct MemDisk {
    state: Mutex<State>,
    gate: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Names as programs see them, and as they are after a crash.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    files: Vec<Contents>,
    random: u64,
    capacity: Option<u64>,
    /// Syncs that still pass, and those that fail after them.
    passing_syncs: u32,
    failing_syncs: u32,
    stalled: bool,
    waiting: u32,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate(u64),
}

#[derive(Debug)]
enum NameChange {
    Put(String, usize),
    Remove(String),
    Rename(String, String),
}

impl MemDisk {
    /// Makes an empty disk whose crashes follow a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State { random: seed, ..State::default() };
        Self { state: Mutex::new(state), gate: Condvar::new() }
    }

    /// Loses power: what was not synced fares as `crash` says; everything else stays.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.lock();
        let state = &mut *state;
        let mut names = std::mem::take(&mut state.durable_names);
        let changes = std::mem::take(&mut state.pending_names);
        // File systems journal their names: a first part of the changes survives, in order.
        let kept = match crash {
            Crash::Lose => 0,
            Crash::Tear | Crash::Reorder => below(&mut state.random, changes.len() as u64 + 1),
        };
        for change in changes.into_iter().take(to_usize(kept)) {
            change.apply(&mut names);
        }
        for file in &mut state.files {
            file.crash(crash, &mut state.random);
        }
        state.durable_names.clone_from(&names);
        state.names = names;
    }

    /// Limits the bytes of all files together; a write past it stores what fits and fails.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Lets the next `passing` syncs pass and makes the next `failing` after them fail, of files
    /// and of the folder alike; what those should have made durable is lost to a crash.
    pub fn fail_syncs(&self, passing: u32, failing: u32) {
        let mut state = self.lock();
        (state.passing_syncs, state.failing_syncs) = (passing, failing);
    }

    /// Makes every sync wait until [`MemDisk::resume`].
    pub fn stall(&self) {
        self.lock().stalled = true;
    }

    /// Lets waiting syncs go on.
    pub fn resume(&self) {
        self.lock().stalled = false;
        self.gate.notify_all();
    }

    /// Waits until a sync waits on a stalled disk.
    pub fn wait_until_stalled(&self) {
        let mut state = self.lock();
        while state.waiting == 0 {
            state = self.gate.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Number of file syncs that came back, failed ones too.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Flips bits of one byte, now and on the platter.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn flip(&self, name: &str, offset: u64, mask: u8) {
        let mut state = self.lock();
        let id = state.names[name];
        let file = &mut state.files[id];
        let at = to_usize(offset);
        file.now[at] ^= mask;
        if let Some(byte) = file.durable.get_mut(at) {
            *byte ^= mask;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn id(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn used(&self) -> u64 {
        self.names.values().map(|id| self.files[*id].now.len() as u64).sum()
    }

    /// Fails when it is the turn of a sync that is meant to.
    fn pass_sync(&mut self) -> io::Result<()> {
        if self.passing_syncs > 0 {
            self.passing_syncs -= 1;
        } else if self.failing_syncs > 0 {
            self.failing_syncs -= 1;
            return Err(io::Error::other("the device reported an error"));
        }
        Ok(())
    }

    fn rename_now(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Put(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
        }
    }
}

impl Contents {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn crash(&mut self, crash: Crash, random: &mut u64) {
        let pending = std::mem::take(&mut self.pending);
        match crash {
            Crash::Lose => {}
            Crash::Tear => {
                let kept = to_usize(below(random, pending.len() as u64 + 1));
                for (i, mut change) in pending.into_iter().take(kept).enumerate() {
                    if let Change::Write { bytes, .. } = &mut change
                        && i + 1 == kept
                    {
                        bytes.truncate(to_usize(below(random, bytes.len() as u64 + 1)));
                    }
                    change.apply(&mut self.durable);
                }
            }
            Crash::Reorder => {
                for change in pending {
                    for part in change.sectors() {
                        if below(random, 2) == 1 {
                            part.apply(&mut self.durable);
                        }
                    }
                }
            }
        }
        self.now.clone_from(&self.durable);
    }
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Self::Truncate(length) => contents.truncate(to_usize(*length)),
            Self::Write { offset, bytes } => {
                let end = to_usize(*offset) + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[to_usize(*offset)..end].copy_from_slice(bytes);
            }
        }
    }

    fn sectors(self) -> Vec<Change> {
        let (mut offset, bytes) = match self {
            Self::Truncate(_) => return vec![self],
            Self::Write { offset, bytes } => (offset, bytes),
        };
        let mut rest = bytes.as_slice();
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let room = to_usize(SECTOR_BYTES - offset % SECTOR_BYTES).min(rest.len());
            let (part, after) = rest.split_at(room);
            parts.push(Self::Write { offset, bytes: part.to_vec() });
            offset += room as u64;
            rest = after;
        }
        parts
    }
}

impl Disk for MemDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        let state = self.lock();
        Ok(state.files[state.id(name)?].now.len() as u64)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let bytes = &state.files[state.id(name)?].now;
        let from = to_usize(offset).min(bytes.len());
        let to = from.saturating_add(length).min(bytes.len());
        Ok(bytes[from..to].to_vec())
    }

    fn create(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        if let Ok(id) = state.id(name) {
            state.files[id].change(Change::Truncate(0));
        } else {
            let id = state.files.len();
            state.files.push(Contents::default());
            state.rename_now(NameChange::Put(name.to_owned(), id));
        }
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let id = state.id(name)?;
        let room = state.capacity.map_or(u64::MAX, |c| c.saturating_sub(state.used()));
        let fits = bytes.len().min(to_usize(room));
        let file = &mut state.files[id];
        let offset = file.now.len() as u64;
        file.change(Change::Write { offset, bytes: bytes[..fits].to_vec() });
        if fits < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.lock();
        let id = state.id(name)?;
        state.files[id].change(Change::Truncate(length));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.id(name)?;
        state.rename_now(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.id(from)?;
        state.rename_now(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        while state.stalled {
            state.waiting += 1;
            self.gate.notify_all();
            state = self.gate.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.syncs += 1;
        state.pass_sync()?;
        let id = state.id(name)?;
        state.files[id].sync();
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.pass_sync()?;
        state.pending_names.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

/// The next number of the SplitMix64 sequence, below a bound.
fn below(random: &mut u64, bound: u64) -> u64 {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *random;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % bound
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

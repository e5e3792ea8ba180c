//! One file of the journal: its name, its header, and the walk over its records.

use crate::disk::Disk;
use crate::record::{self, Chain, Defect, FRAME_BYTES, Frame, Kind};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a segment's header.
pub const HEADER_BYTES: usize = 128;
/// Format written, and the only one read.
pub const FORMAT: u32 = 1;
/// Longest engine version a header holds; a longer one is cut.
pub const VERSION_BYTES_MAX: usize = 71;
/// Bytes read from the disk at once.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Bytes summed at most in the search for a whole record behind a defect.
pub const SEARCH_BYTES_MAX: u64 = 1 << 30;

const MAGIC: &[u8; 8] = b"HEADGATE";
const PREFIX: &str = "journal-";
const SUFFIX: &str = ".hgj";
const SEQ_DIGITS: usize = 20;
/// A disk writes a sector whole or not at all; a lost one reads as zeros.
const SECTOR_BYTES: u64 = 512;

/// What stands at the start of every segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Version of the engine that was running when it was begun.
    pub engine_version: String,
    /// Place of its first event.
    pub first_seq: u64,
    /// The chain before its first record.
    pub chain: Chain,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut version = self.engine_version.as_str();
        while version.len() > VERSION_BYTES_MAX {
            version = &version[..version.floor_char_boundary(VERSION_BYTES_MAX)];
        }
        let length = u8::try_from(version.len()).expect("VERSION_BYTES_MAX fits 8 bits");
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        out[24..56].copy_from_slice(&self.chain);
        out[56] = length;
        out[57..57 + version.len()].copy_from_slice(version.as_bytes());
        let crc = checksum(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, Defect> {
        let bytes: &[u8; HEADER_BYTES] = bytes.try_into().map_err(|_| Defect::Header)?;
        let stored = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        if &bytes[..8] != MAGIC || checksum(bytes) != stored {
            return Err(Defect::Header);
        }
        let format = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if format != FORMAT {
            return Err(Defect::Format(format));
        }
        let version = bytes.get(57..57 + usize::from(bytes[56])).ok_or(Defect::Header)?;
        let first_seq = bytes[16..24].try_into().map(u64::from_le_bytes).expect("eight bytes");
        Ok(Self {
            engine_version: String::from_utf8(version.to_vec()).map_err(|_| Defect::Header)?,
            first_seq,
            chain: bytes[24..56].try_into().expect("thirty-two bytes"),
        })
    }
}

fn checksum(header: &[u8; HEADER_BYTES]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..12]);
    crc.update(&header[16..]);
    crc.finalize()
}

/// Names the segment that starts with an event.
#[must_use]
pub fn segment_name(first_seq: u64) -> String {
    format!("{PREFIX}{first_seq:0SEQ_DIGITS$}{SUFFIX}")
}

/// Reads the first event's place off a segment's name; `None` for any other file.
#[must_use]
pub fn first_seq_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let plain = digits.len() == SEQ_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// Whether a file looks like a segment to a person, whatever its digits.
pub(crate) fn resembles_segment(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Names of all segments in order.
pub(crate) fn segments(disk: &dyn Disk) -> io::Result<Vec<String>> {
    let mut names = disk.list()?;
    names.retain(|n| first_seq_of(n).is_some());
    names.sort_unstable();
    Ok(names)
}

/// Why a walk stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    Io(io::Error),
    Defect(Defect),
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<Defect> for Stop {
    fn from(d: Defect) -> Self {
        Self::Defect(d)
    }
}

/// A walk over a segment's records that holds one chunk, or one record, in memory.
#[derive(Debug)]
pub(crate) struct Scan {
    disk: Arc<dyn Disk>,
    pub name: String,
    pub length: u64,
    /// Where the next record starts; after a stop, where the defect is.
    pub offset: u64,
    /// Records before `offset`.
    pub index: u64,
    pub chain: Chain,
    pub next_seq: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Scan {
    /// Begins before the header: [`Scan::header`] comes first.
    pub fn open(disk: &Arc<dyn Disk>, name: &str) -> io::Result<Self> {
        Ok(Self {
            disk: Arc::clone(disk),
            name: name.to_owned(),
            length: disk.length(name)?,
            offset: 0,
            index: 0,
            chain: record::GENESIS,
            next_seq: first_seq_of(name).unwrap_or(0),
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// Reads the header and stands before the first record.
    pub fn header(&mut self) -> Result<Header, Stop> {
        let header = Header::decode(self.view(0, HEADER_BYTES)?)?;
        if first_seq_of(&self.name) != Some(header.first_seq) {
            return Err(Defect::Name.into());
        }
        self.offset = HEADER_BYTES as u64;
        self.chain = header.chain;
        self.next_seq = header.first_seq;
        Ok(header)
    }

    /// Reads the next record and checks its sum, its link and its place; `None` at the end.
    pub fn next(&mut self) -> Result<Option<(Frame, &[u8])>, Stop> {
        let left = self.length - self.offset;
        if left == 0 {
            return Ok(None);
        }
        let total = record::extent(self.view(self.offset, FRAME_BYTES)?, left)?;
        self.view(self.offset, total)?;
        let range = self.range(self.offset, total);
        let bytes = &self.window[range.clone()];
        if bytes.len() < total {
            return Err(Defect::Short { needs: total as u64, has: bytes.len() as u64 }.into());
        }
        let frame = record::frame(bytes)?;
        let body = &bytes[FRAME_BYTES..];
        let chain = frame.follow(&self.chain, body);
        if chain[..record::LINK_BYTES] != frame.link {
            return Err(Defect::Chain.into());
        }
        let (place, want) = (record::place(body)?, self.next_seq);
        match frame.kind {
            Kind::Event if place == want => self.next_seq += 1,
            Kind::Outcome if place < want => {}
            _ => return Err(Defect::Place { want, got: place }.into()),
        }
        self.chain = chain;
        self.offset += total as u64;
        self.index += 1;
        Ok(Some((frame, &self.window[range.start + FRAME_BYTES..range.end])))
    }

    /// Says whether a defect at `offset` is what a crash leaves: the torn end of the last batch,
    /// of which nothing was ever acknowledged.
    ///
    /// A batch is written in one go and synced before the next one. So a record behind the defect
    /// that opens a batch proves that the damaged bytes had been on disk once; and one of the
    /// same batch proves it too, unless a whole sector before it was never written.
    pub fn torn(&mut self, defect: &Defect) -> io::Result<bool> {
        if !matches!(
            defect,
            Defect::Short { .. } | Defect::Length(_) | Defect::Checksum | Defect::Header
        ) {
            return Ok(false);
        }
        let from = self.offset;
        let mut at = from + 1;
        let mut budget = SEARCH_BYTES_MAX;
        let mut explained = false;
        while at + FRAME_BYTES as u64 <= self.length {
            let Some(frame) = self.candidate(at, &mut budget)? else {
                at += 1;
                continue;
            };
            if frame.opens() || !(explained || self.lost_sector(from, at)?) {
                return Ok(false);
            }
            explained = true;
            at += frame.total() as u64;
        }
        // Out of budget nothing is proven either way: then nothing is cut.
        Ok(budget > 0)
    }

    /// The frame of a whole record at an offset, if there is one.
    fn candidate(&mut self, at: u64, budget: &mut u64) -> io::Result<Option<Frame>> {
        let left = self.length - at;
        let next = self.next_seq;
        let most = next.saturating_add((self.length - self.offset) / FRAME_BYTES as u64);
        let head = self.view(at, FRAME_BYTES + 10)?;
        let Ok(total) = record::extent(head, left) else { return Ok(None) };
        // Cheap looks first: summing is what takes time.
        let plausible = matches!(head[8], 1 | 2) && head[9] < 4;
        let place = record::place(&head[FRAME_BYTES..]).ok();
        if !plausible || place.is_none_or(|p| p > most || (head[8] == 1 && p < next)) {
            return Ok(None);
        }
        *budget = budget.saturating_sub(total as u64);
        if *budget == 0 {
            return Ok(None);
        }
        let bytes = self.view(at, total)?;
        Ok(if bytes.len() == total { record::frame(bytes).ok() } else { None })
    }

    /// Whether the bytes of a range hold a sector, or the rest of one, that reads as zeros.
    fn lost_sector(&mut self, from: u64, to: u64) -> io::Result<bool> {
        let mut at = from;
        loop {
            let end = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
            if end > to {
                return Ok(false);
            }
            let length = usize::try_from(end - at).expect("a sector is small");
            if self.view(at, length)?.iter().all(|b| *b == 0) {
                return Ok(true);
            }
            at = end;
        }
    }

    fn view(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.length - at.min(self.length)).unwrap_or(usize::MAX);
        let length = length.min(left);
        let end = self.window_at + self.window.len() as u64;
        if at < self.window_at || at + length as u64 > end {
            let read = length.max(CHUNK_BYTES.min(left));
            self.window = self.disk.read(&self.name, at, read)?;
            self.window_at = at;
        }
        Ok(&self.window[self.range(at, length)])
    }

    /// Where a stretch of the file lies in the window, cut to what the window has.
    fn range(&self, at: u64, length: usize) -> Range<usize> {
        let start = usize::try_from(at - self.window_at).unwrap_or(usize::MAX);
        let start = start.min(self.window.len());
        start..start.saturating_add(length).min(self.window.len())
    }
}

//! Snapshots: the engine's state after an event, so that recovery need not read a whole journal.
//!
//! Layout, little-endian: magic, format u32, crc32 u32 over the rest of the header, seq u64,
//! length u64, blake3 of the content, length u8 and text of the engine version, content. A
//! snapshot is written aside, synced, renamed, and the folder synced: it is there whole or not.

use crate::disk::Disk;
use std::io;
use thiserror::Error;

/// Snapshots kept: one more than needed, so that a damaged one costs only time.
pub const SNAPSHOTS_KEPT: usize = 2;
/// Largest content read back.
pub const CONTENT_BYTES_MAX: u64 = 1 << 30;

const MAGIC: &[u8; 8] = b"HGSNAPSH";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 136;
const VERSION_AT: usize = 64;
const VERSION_BYTES_MAX: usize = HEADER_BYTES - VERSION_AT - 1;
const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".hgs";
const SEQ_DIGITS: usize = 20;
const ASIDE: &str = "snapshot.tmp";

/// A state read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last event the state knows.
    pub seq: u64,
    /// The engine that wrote it: another one may not understand it.
    pub engine_version: String,
    /// The state, as its giver encoded it.
    pub content: Vec<u8>,
}

/// A snapshot that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("failed to read snapshot `{file}`: {why}; an older one or the journal is read instead")]
pub struct DamagedSnapshot {
    /// Its file.
    pub file: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The newest usable snapshot, and those that were not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Newest {
    /// The newest whole one; `None` means: read the journal from its start.
    pub snapshot: Option<Snapshot>,
    /// Newer ones that are damaged.
    pub damaged: Vec<DamagedSnapshot>,
}

/// Says why a snapshot could not be written or looked for.
#[derive(Debug, Error)]
#[error("failed to {verb} snapshot `{file}`")]
pub struct SnapshotError {
    verb: &'static str,
    file: String,
    #[source]
    source: io::Error,
}

/// Writes a snapshot and removes all but the newest two. Every event up to `seq` must be durable
/// in the journal by then.
///
/// # Errors
/// When the disk refuses; the older snapshots are then still there.
pub fn write(
    disk: &dyn Disk,
    seq: u64,
    engine_version: &str,
    content: &[u8],
) -> Result<(), SnapshotError> {
    let name = file_name(seq);
    disk.create(ASIDE).map_err(failed("create", &name))?;
    disk.append(ASIDE, &header(seq, engine_version, content)).map_err(failed("write", &name))?;
    disk.append(ASIDE, content).map_err(failed("write", &name))?;
    disk.sync(ASIDE).map_err(failed("sync", &name))?;
    disk.rename(ASIDE, &name).map_err(failed("rename", &name))?;
    disk.sync_dir().map_err(failed("sync", &name))?;
    let mut seqs = seqs(disk).map_err(failed("list", &name))?;
    seqs.truncate(seqs.len().saturating_sub(SNAPSHOTS_KEPT));
    for old in seqs {
        let old = file_name(old);
        disk.remove(&old).map_err(failed("remove", &old))?;
    }
    Ok(())
}

/// Reads the newest whole snapshot, passing over damaged ones and saying so.
///
/// # Errors
/// When the disk cannot be read.
pub fn newest(disk: &dyn Disk) -> Result<Newest, SnapshotError> {
    let mut found = Newest::default();
    for seq in seqs(disk).map_err(failed("list", "*"))?.into_iter().rev() {
        let file = file_name(seq);
        match read(disk, &file, seq).map_err(failed("read", &file))? {
            Ok(snapshot) => {
                found.snapshot = Some(snapshot);
                break;
            }
            Err(why) => found.damaged.push(DamagedSnapshot { file, why }),
        }
    }
    Ok(found)
}

/// The last event the newest whole snapshot knows.
pub(crate) fn newest_seq(disk: &dyn Disk) -> io::Result<Option<u64>> {
    newest(disk).map(|n| n.snapshot.map(|s| s.seq)).map_err(|e| e.source)
}

fn file_name(seq: u64) -> String {
    format!("{PREFIX}{seq:0SEQ_DIGITS$}{SUFFIX}")
}

fn seqs(disk: &dyn Disk) -> io::Result<Vec<u64>> {
    let seq = |name: &String| {
        let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let seq = digits.parse().ok()?;
        (file_name(seq) == *name).then_some(seq)
    };
    let mut seqs: Vec<u64> = disk.list()?.iter().filter_map(seq).collect();
    seqs.sort_unstable();
    Ok(seqs)
}

fn header(seq: u64, engine_version: &str, content: &[u8]) -> [u8; HEADER_BYTES] {
    let version = &engine_version[..engine_version.floor_char_boundary(VERSION_BYTES_MAX)];
    let length = u8::try_from(version.len()).expect("VERSION_BYTES_MAX fits 8 bits");
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    out[16..24].copy_from_slice(&seq.to_le_bytes());
    out[24..32].copy_from_slice(&(content.len() as u64).to_le_bytes());
    out[32..64].copy_from_slice(blake3::hash(content).as_bytes());
    out[VERSION_AT] = length;
    out[VERSION_AT + 1..VERSION_AT + 1 + version.len()].copy_from_slice(version.as_bytes());
    let crc = checksum(&out);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

fn checksum(header: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..12]);
    crc.update(&header[16..]);
    crc.finalize()
}

/// Reads one snapshot; the inner error says what is wrong with it.
fn read(disk: &dyn Disk, file: &str, seq: u64) -> io::Result<Result<Snapshot, &'static str>> {
    let header = disk.read(file, 0, HEADER_BYTES)?;
    if header.len() < HEADER_BYTES {
        return Ok(Err("it ends inside its header"));
    }
    let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
    if &header[..8] != MAGIC || checksum(&header) != u32_at(12) {
        return Ok(Err("its header is damaged"));
    }
    if u32_at(8) != FORMAT {
        return Ok(Err("it is of a format not known here"));
    }
    if u64_at(16) != seq {
        return Ok(Err("its name does not agree with its header"));
    }
    let length = u64_at(24);
    let on_disk = disk.length(file)?;
    if length > CONTENT_BYTES_MAX || on_disk != length + HEADER_BYTES as u64 {
        return Ok(Err("it is not as long as its header says"));
    }
    let length = usize::try_from(length).expect("CONTENT_BYTES_MAX fits memory");
    let content = disk.read(file, HEADER_BYTES as u64, length)?;
    if blake3::hash(&content).as_bytes()[..] != header[32..64] {
        return Ok(Err("its content is damaged"));
    }
    let version = header.get(VERSION_AT + 1..VERSION_AT + 1 + usize::from(header[VERSION_AT]));
    let version = version.and_then(|v| std::str::from_utf8(v).ok());
    let Some(version) = version else { return Ok(Err("its header is damaged")) };
    Ok(Ok(Snapshot { seq, engine_version: version.to_owned(), content }))
}

fn failed(verb: &'static str, file: &str) -> impl FnOnce(io::Error) -> SnapshotError {
    let file = file.to_owned();
    move |source| SnapshotError { verb, file, source }
}

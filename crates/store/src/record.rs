//! One record of the journal: its frame, its checksum, its link in the chain, its payload.
//!
//! Layout, little-endian: length of the body u32, crc32 u32 over all that follows and the length,
//! kind u8, flags u8, the first 16 bytes of the chain, the body. The chain after a record is
//! blake3(chain before || kind || flags || body), so no record can be changed, dropped, added or
//! moved without every later one saying so.

use headgate_core::event::Stamped;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes before the body.
pub const FRAME_BYTES: usize = 26;
/// Largest body: a configuration of a million machines fits.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Bytes of the chain stored with a record.
pub const LINK_BYTES: usize = 16;

const KIND_EVENT: u8 = 1;
const KIND_OUTCOME: u8 = 2;
/// The record tells of something that was acted on before it was on disk.
const FLAG_LATE: u8 = 1;
/// The record opens a batch: everything before it was synced before it was written.
const FLAG_OPENS: u8 = 2;

/// A full link of the chain.
pub type Chain = [u8; 32];
/// The part of a link stored with its record.
pub type Link = [u8; LINK_BYTES];

/// The chain before the first record of a journal.
pub const GENESIS: Chain = [0; 32];

/// What the engine answered to an event; kept only when it answered something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The event it answers, by its place in the journal.
    pub cause: u64,
    /// Digest of the engine's state after it.
    pub digest: [u8; 16],
    /// What it answered, as its giver encoded it.
    pub body: Vec<u8>,
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Something happened.
    Event(Stamped),
    /// The engine answered.
    Outcome(Outcome),
}

/// One record as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it holds.
    pub payload: Payload,
    /// Whether it was acted on before it was on disk.
    pub late: bool,
    /// The chain after it.
    pub link: Link,
    /// Bytes it takes in its segment.
    pub bytes: u64,
}

/// What is wrong with the bytes at some place of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// The file ends before the record does.
    Short {
        /// Bytes the record takes, as far as known.
        needs: u64,
        /// Bytes that are there.
        has: u64,
    },
    /// The length is beyond what is ever written.
    Length(u32),
    /// The checksum does not match the bytes.
    Checksum,
    /// The kind or a flag is not known.
    Unknown {
        /// The kind.
        kind: u8,
        /// The flags.
        flags: u8,
    },
    /// The record is whole, and does not follow from the one before.
    Chain,
    /// The record is whole, and is not what this version writes.
    Body,
    /// The event is not the next one.
    Place {
        /// The next place.
        want: u64,
        /// The place it says.
        got: u64,
    },
    /// The segment's header is not one.
    Header,
    /// The segment is of another format.
    Format(u32),
    /// The segment's name is not one, or says another first event than its header.
    Name,
    /// A segment before this one is missing, or another stands in its place.
    Gap {
        /// The event it should start with.
        want: u64,
        /// The event it starts with.
        got: u64,
    },
    /// A snapshot knows of events the journal does not hold.
    Behind {
        /// The last event the snapshot knows.
        snapshot: u64,
        /// The last event of the journal.
        journal: u64,
    },
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needs, has } => {
                write!(f, "the record needs {needs} bytes and the file has {has} more")
            }
            Self::Length(n) => write!(f, "a length of {n} bytes is beyond {BODY_BYTES_MAX}"),
            Self::Checksum => write!(f, "the checksum does not match"),
            Self::Unknown { kind, flags } => {
                write!(f, "kind {kind} with flags {flags:#04x} is not known")
            }
            Self::Chain => write!(f, "the record does not follow from the one before"),
            Self::Body => write!(f, "the body is not what this version writes"),
            Self::Place { want, got } => write!(f, "event {got} stands where {want} belongs"),
            Self::Header => write!(f, "the segment's header is damaged"),
            Self::Format(n) => write!(f, "the segment is of format {n}, not known here"),
            Self::Name => write!(f, "the file's name does not agree with its header"),
            Self::Gap { want, got } => {
                write!(f, "the segment starts at event {got} where {want} belongs: one is missing")
            }
            Self::Behind { snapshot, journal } => {
                write!(f, "a snapshot knows event {snapshot} and the journal ends at {journal}")
            }
        }
    }
}

/// Which of a record's kinds it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Outcome,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Event => KIND_EVENT,
            Self::Outcome => KIND_OUTCOME,
        }
    }
}

/// A frame as found, its checksum verified and its chain not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: Kind,
    flags: u8,
    pub link: Link,
    pub length: usize,
}

impl Frame {
    pub fn late(&self) -> bool {
        self.flags & FLAG_LATE != 0
    }

    pub fn opens(&self) -> bool {
        self.flags & FLAG_OPENS != 0
    }

    /// Bytes of the whole record.
    pub fn total(&self) -> usize {
        FRAME_BYTES + self.length
    }

    /// The chain after this record.
    pub fn follow(&self, before: &Chain, body: &[u8]) -> Chain {
        follow(before, self.kind.code(), self.flags, body)
    }
}

/// Writes a record to the end of `out` and returns the chain after it.
pub(crate) fn write(
    out: &mut Vec<u8>,
    before: &Chain,
    kind: Kind,
    (late, opens): (bool, bool),
    body: &[u8],
) -> Chain {
    let flags = if late { FLAG_LATE } else { 0 } | if opens { FLAG_OPENS } else { 0 };
    let chain = follow(before, kind.code(), flags, body);
    let length = u32::try_from(body.len()).expect("BODY_BYTES_MAX fits 32 bits");
    let start = out.len();
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(kind.code());
    out.push(flags);
    out.extend_from_slice(&chain[..LINK_BYTES]);
    out.extend_from_slice(body);
    let crc = checksum(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    chain
}

/// Says how many bytes the record at the start of `bytes` takes, as far as they tell. `left` is
/// how many bytes the file has from here.
pub(crate) fn extent(bytes: &[u8], left: u64) -> Result<usize, Defect> {
    let Some(length) = bytes.first_chunk::<4>().map(|b| u32::from_le_bytes(*b)) else {
        return Err(Defect::Short { needs: FRAME_BYTES as u64, has: left });
    };
    if length as usize > BODY_BYTES_MAX {
        return Err(Defect::Length(length));
    }
    let needs = FRAME_BYTES + length as usize;
    if needs as u64 > left {
        return Err(Defect::Short { needs: needs as u64, has: left });
    }
    Ok(needs)
}

/// Reads the frame of a whole record and checks its sum.
pub(crate) fn frame(record: &[u8]) -> Result<Frame, Defect> {
    let stored = record[4..8].try_into().map(u32::from_le_bytes).expect("a record has a frame");
    if checksum(record) != stored {
        return Err(Defect::Checksum);
    }
    let (kind, flags) = (record[8], record[9]);
    let kind = match kind {
        KIND_EVENT => Kind::Event,
        KIND_OUTCOME => Kind::Outcome,
        kind => return Err(Defect::Unknown { kind, flags }),
    };
    if flags & !(FLAG_LATE | FLAG_OPENS) != 0 {
        return Err(Defect::Unknown { kind: kind.code(), flags });
    }
    let link = record[10..FRAME_BYTES].try_into().expect("a record has a frame");
    Ok(Frame { kind, flags, link, length: record.len() - FRAME_BYTES })
}

/// Decodes a body.
pub(crate) fn payload(kind: Kind, body: &[u8]) -> Result<Payload, Defect> {
    let whole = |rest: &[u8]| if rest.is_empty() { Ok(()) } else { Err(Defect::Body) };
    match kind {
        Kind::Event => {
            let (stamped, rest) = postcard::take_from_bytes(body).map_err(|_| Defect::Body)?;
            whole(rest)?;
            Ok(Payload::Event(stamped))
        }
        Kind::Outcome => {
            let (outcome, rest) = postcard::take_from_bytes(body).map_err(|_| Defect::Body)?;
            whole(rest)?;
            Ok(Payload::Outcome(outcome))
        }
    }
}

/// Reads only the place: of the event, or of the event an outcome answers. Both come first.
pub(crate) fn place(body: &[u8]) -> Result<u64, Defect> {
    postcard::take_from_bytes(body).map(|(seq, _)| seq).map_err(|_| Defect::Body)
}

fn follow(before: &Chain, kind: u8, flags: u8, body: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(&[kind, flags]).update(body);
    *hasher.finalize().as_bytes()
}

fn checksum(record: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&record[..4]);
    crc.update(&record[8..]);
    crc.finalize()
}

//! The journal: events and outcomes appended in order, synced in batches, read back and recovered.

use crate::disk::Disk;
use crate::record::{
    self, BODY_BYTES_MAX, Chain, Defect, GENESIS, Kind, LINK_BYTES, Link, Outcome, Payload, Record,
};
use crate::segment::{HEADER_BYTES, Header, Scan, Stop, segment_name, segments};
use headgate_core::event::Stamped;
use serde::Serialize;
use std::fmt;
use std::io;
use std::sync::Arc;
use thiserror::Error;

/// Length at which a segment is closed and the next one begun.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes that may wait for a disk that does not take them; beyond that appending is refused.
pub const BACKLOG_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;
/// Place of the first event of a journal.
pub const FIRST_SEQ: u64 = 1;

/// How a journal is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Version of the engine; another one than the last segment's begins a new segment.
    pub engine_version: String,
    /// Length at which a segment is closed.
    pub segment_bytes: u64,
}

impl Options {
    /// The usual options for an engine version.
    #[must_use]
    pub fn new(engine_version: &str) -> Self {
        Self { engine_version: engine_version.to_owned(), segment_bytes: SEGMENT_BYTES }
    }
}

/// A place of the journal and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub file: String,
    /// Byte offset at which the damaged record starts; 0 is the header.
    pub offset: u64,
    /// The record's number in its segment, from 1; 0 is the header.
    pub record: u64,
    /// What is wrong.
    pub defect: Defect,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, record, defect } = self;
        write!(f, "`{file}`, byte {offset}, record {record}: {defect}")
    }
}

/// The torn end that was cut off, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Bytes from there to the end of the file.
    pub bytes: u64,
    /// Where, and why.
    pub why: Damage,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of an unfinished write at {}", self.bytes, self.why)
    }
}

/// What opening a journal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Segments there are.
    pub segments: usize,
    /// Place of the last whole event; `None` in an empty journal.
    pub last_seq: Option<u64>,
    /// Engine version that wrote the last segment; `None` in an empty journal.
    pub engine_version: Option<String>,
    /// The torn end that was cut off.
    pub cut: Option<Cut>,
}

/// Says why the journal could not be read or written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The disk refused.
    #[error("failed to {verb} journal file `{file}`")]
    Disk {
        /// What was tried.
        verb: &'static str,
        /// With which file.
        file: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A part that was once whole is not any more. It is never cut off silently.
    #[error(
        "failed to read journal: {0}; restore this file from a copy, or move the data folder \
         away to start anew"
    )]
    Damaged(Damage),
    /// An event is not the next one.
    #[error("failed to append event {got}: the next place of the journal is {want}")]
    Place {
        /// The next place.
        want: u64,
        /// The place it says.
        got: u64,
    },
    /// An event or outcome is beyond what a record holds.
    #[error("failed to append a record of {bytes} bytes: the most is {BODY_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Too much waits already for a disk that does not take it.
    #[error("failed to append: {bytes} bytes already wait for the disk")]
    Backlog {
        /// Bytes waiting.
        bytes: usize,
    },
    /// An event or outcome cannot be encoded.
    #[error("failed to encode a record")]
    Encode(#[source] postcard::Error),
}

/// An open journal. One process has it, under the data folder's [`crate::DataLock`].
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    options: Options,
    segment: Option<Current>,
    chain: Chain,
    next_seq: u64,
    waiting: Vec<u8>,
    /// What `next_seq` and `chain` were before the first waiting record.
    durable_seq: u64,
    durable_chain: Chain,
    scratch: Vec<u8>,
}

/// The segment being written.
#[derive(Debug)]
struct Current {
    name: String,
    first_seq: u64,
    /// Bytes known to be on disk.
    synced: u64,
    /// Something after `synced` may or may not be there: a write or a sync failed.
    tainted: bool,
    /// The engine's version is another one now.
    outdated: bool,
}

impl Journal {
    /// Opens the journal of a disk, checks its last segment and cuts a torn end off it.
    ///
    /// Older segments are checked when they are read: by [`read_all`] or [`crate::verify()`].
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when something is damaged that had been whole.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Self, Recovered), JournalError> {
        let mut names = segments(&*disk).map_err(failed("list", "*"))?;
        let mut journal = Self {
            disk,
            options,
            segment: None,
            chain: GENESIS,
            next_seq: FIRST_SEQ,
            waiting: Vec::new(),
            durable_seq: FIRST_SEQ,
            durable_chain: GENESIS,
            scratch: Vec::new(),
        };
        let mut found = Recovered { segments: 0, last_seq: None, engine_version: None, cut: None };
        if let Some(name) = names.last() {
            found.cut = journal.recover(name, true)?;
            if journal.segment.is_none() {
                // The begun segment held nothing; the one before it was whole when it was begun.
                names.pop();
                if let Some(name) = names.last() {
                    journal.recover(name, false)?;
                }
            }
        }
        found.segments = names.len();
        if let Some(name) = names.first() {
            let scan = Scan::open(&journal.disk, name).map_err(failed("read", name))?;
            check_first(&scan)?;
        }
        if let Some(name) = names.last() {
            let mut scan = Scan::open(&journal.disk, name).map_err(failed("read", name))?;
            found.engine_version = Some(scan.header().map_err(stopped(&scan))?.engine_version);
        }
        found.last_seq = (journal.next_seq > FIRST_SEQ).then(|| journal.next_seq - 1);
        Ok((journal, found))
    }

    /// Walks the last segment. Leaves `segment` empty when it was begun and never finished.
    fn recover(&mut self, name: &str, may_be_torn: bool) -> Result<Option<Cut>, JournalError> {
        let mut scan = Scan::open(&self.disk, name).map_err(failed("read", name))?;
        let header = match scan.header() {
            Ok(header) => header,
            Err(stop) => {
                let cut = torn(&mut scan, stop, may_be_torn)?;
                self.disk.remove(name).map_err(failed("remove", name))?;
                self.disk.sync_dir().map_err(failed("sync", name))?;
                return Ok(Some(cut));
            }
        };
        let cut = loop {
            match scan.next() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(stop) => break Some(torn(&mut scan, stop, may_be_torn)?),
            }
        };
        if cut.is_some() {
            self.disk.truncate(name, scan.offset).map_err(failed("cut", name))?;
        }
        // What was read may be known to the system and not to the disk: a process was killed, or
        // a cut before this one was not synced. The next batch relies on all of it.
        self.disk.sync(name).map_err(failed("sync", name))?;
        self.disk.sync_dir().map_err(failed("sync the folder of", name))?;
        self.segment = Some(Current {
            name: name.to_owned(),
            first_seq: header.first_seq,
            synced: scan.offset,
            tainted: false,
            outdated: header.engine_version != self.options.engine_version,
        });
        (self.chain, self.durable_chain) = (scan.chain, scan.chain);
        (self.next_seq, self.durable_seq) = (scan.next_seq, scan.next_seq);
        Ok(cut)
    }

    /// Appends an event. It is durable once [`Journal::sync`] has come back. `late` says that it
    /// was acted on before.
    ///
    /// # Errors
    /// When the event is not the next one, is too large, or too much waits already. Then nothing
    /// of it was taken.
    pub fn append(&mut self, event: &Stamped, late: bool) -> Result<(), JournalError> {
        if event.seq != self.next_seq {
            return Err(JournalError::Place { want: self.next_seq, got: event.seq });
        }
        self.write(Kind::Event, event, late)?;
        self.next_seq += 1;
        Ok(())
    }

    /// Appends what the engine answered to an event already appended.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_outcome(&mut self, outcome: &Outcome, late: bool) -> Result<(), JournalError> {
        if outcome.cause >= self.next_seq {
            return Err(JournalError::Place { want: self.next_seq, got: outcome.cause });
        }
        self.write(Kind::Outcome, outcome, late)
    }

    fn write<T: Serialize>(
        &mut self,
        kind: Kind,
        body: &T,
        late: bool,
    ) -> Result<(), JournalError> {
        if self.waiting.len() > BACKLOG_BYTES_MAX {
            return Err(JournalError::Backlog { bytes: self.waiting.len() });
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let scratch = postcard::to_extend(body, scratch).map_err(JournalError::Encode)?;
        if scratch.len() > BODY_BYTES_MAX {
            return Err(JournalError::TooLarge { bytes: scratch.len() });
        }
        let opens = self.waiting.is_empty();
        self.chain = record::write(&mut self.waiting, &self.chain, kind, (late, opens), &scratch);
        self.scratch = scratch;
        Ok(())
    }

    /// Makes everything appended so far durable, with one sync for all of it.
    ///
    /// # Errors
    /// When the disk refuses. Then nothing durable is lost, what was appended stays waiting, and
    /// the next sync writes all of it again: after a failed sync the system may have dropped the
    /// bytes it could not write, so it is never asked about them twice.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.segment.as_ref().is_none_or(|s| self.is_over(s)) {
            self.segment = Some(self.begin_segment()?);
        }
        let segment = self.segment.as_mut().expect("a segment was begun above");
        let name = segment.name.as_str();
        if segment.tainted {
            // The cut is durable before anything is written in its place: else a crash could mix
            // sectors of the failed write and of the next, which no reader could tell from damage.
            self.disk.truncate(name, segment.synced).map_err(failed("cut", name))?;
            self.disk.sync(name).map_err(failed("sync", name))?;
        }
        segment.tainted = true;
        self.disk.append(name, &self.waiting).map_err(failed("append to", name))?;
        self.disk.sync(name).map_err(failed("sync", name))?;
        segment.tainted = false;
        segment.synced += self.waiting.len() as u64;
        self.waiting.clear();
        self.waiting.shrink_to(BODY_BYTES_MAX);
        (self.durable_seq, self.durable_chain) = (self.next_seq, self.chain);
        Ok(())
    }

    /// Whether the next batch belongs into a new segment. Two segments never share a first event.
    fn is_over(&self, segment: &Current) -> bool {
        let holds_nothing = segment.synced == HEADER_BYTES as u64;
        (segment.synced >= self.options.segment_bytes || segment.outdated)
            && (self.durable_seq > segment.first_seq || holds_nothing)
    }

    /// Begins a segment. Its header is durable before any record is written to it, so a damaged
    /// header with records behind it is always damage.
    fn begin_segment(&self) -> Result<Current, JournalError> {
        let first_seq = self.durable_seq;
        let header = Header {
            engine_version: self.options.engine_version.clone(),
            first_seq,
            chain: self.durable_chain,
        };
        let name = segment_name(first_seq);
        self.disk.create(&name).map_err(failed("create", &name))?;
        self.disk.append(&name, &header.encode()).map_err(failed("append to", &name))?;
        self.disk.sync(&name).map_err(failed("sync", &name))?;
        self.disk.sync_dir().map_err(failed("sync the folder of", &name))?;
        let synced = HEADER_BYTES as u64;
        Ok(Current { name, first_seq, synced, tainted: false, outdated: false })
    }

    /// The place the next event must have.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The first place that is not yet durable.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    /// The chain after the last record appended.
    #[must_use]
    pub fn last_chain(&self) -> Link {
        link(&self.chain)
    }

    /// Bytes appended and not yet durable.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }
}

/// Reads the records of a journal from an event on: that event, later ones, and the outcomes of
/// all these. A torn end is where it ends; [`ReadAll::torn`] tells of it. The journal may be
/// written to meanwhile.
///
/// # Errors
/// When the segments cannot be listed. Damage comes as the iterator's last item.
pub fn read_all(disk: Arc<dyn Disk>, from_seq: u64) -> Result<ReadAll, JournalError> {
    let mut names = segments(&*disk).map_err(failed("list", "*"))?;
    let first = segment_name(from_seq);
    let before = names.iter().rposition(|n| *n <= first).unwrap_or(0);
    names.drain(..before);
    names.reverse();
    Ok(ReadAll { disk, from_seq, left: names, scan: None, end: None, torn: None, over: false })
}

/// The records of a journal in order, a chunk of one segment at a time.
#[derive(Debug)]
pub struct ReadAll {
    disk: Arc<dyn Disk>,
    from_seq: u64,
    /// Segments not yet begun, the next one last.
    left: Vec<String>,
    scan: Option<Scan>,
    /// Next place and chain at the end of the segment before.
    end: Option<(u64, Chain)>,
    torn: Option<Cut>,
    over: bool,
}

impl ReadAll {
    /// The torn end that was met, once the iterator has ended.
    #[must_use]
    pub fn torn(&self) -> Option<&Cut> {
        self.torn.as_ref()
    }

    fn step(&mut self) -> Result<Option<Record>, JournalError> {
        loop {
            if self.scan.is_none() && !self.begin()? {
                return Ok(None);
            }
            let Some(scan) = self.scan.as_mut() else { continue };
            let (offset, record) = (scan.offset, scan.index + 1);
            let (frame, body) = match scan.next() {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.end = Some((scan.next_seq, scan.chain));
                    self.scan = None;
                    continue;
                }
                Err(stop) => {
                    self.torn = Some(torn(scan, stop, self.left.is_empty())?);
                    return Ok(None);
                }
            };
            if record::place(body).is_ok_and(|place| place < self.from_seq) {
                continue;
            }
            let (late, link, bytes) = (frame.late(), frame.link, frame.total() as u64);
            return match record::payload(frame.kind, body) {
                Ok(payload) => Ok(Some(Record { payload, late, link, bytes })),
                Err(defect) => {
                    let file = scan.name.clone();
                    Err(JournalError::Damaged(Damage { file, offset, record, defect }))
                }
            };
        }
    }

    /// Begins the next segment; `false` when there is none, or it was begun and never finished.
    fn begin(&mut self) -> Result<bool, JournalError> {
        let Some(name) = self.left.pop() else { return Ok(false) };
        let mut scan = Scan::open(&self.disk, &name).map_err(failed("read", &name))?;
        match scan.header() {
            Ok(_) => check_joint(&scan, self.end.as_ref())?,
            Err(stop) => {
                self.torn = Some(torn(&mut scan, stop, self.left.is_empty())?);
                return Ok(false);
            }
        }
        if self.end.is_none() && scan.next_seq > self.from_seq {
            check_first(&scan)?;
        }
        self.scan = Some(scan);
        Ok(true)
    }
}

impl Iterator for ReadAll {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let item = self.step().transpose();
        self.over = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Checks that a segment goes on where the one before ended.
pub(crate) fn check_joint(scan: &Scan, end: Option<&(u64, Chain)>) -> Result<(), JournalError> {
    let Some((want, chain)) = end else { return Ok(()) };
    let defect = if scan.next_seq != *want {
        Defect::Gap { want: *want, got: scan.next_seq }
    } else if scan.chain != *chain {
        Defect::Chain
    } else {
        return Ok(());
    };
    Err(JournalError::Damaged(damage_at_header(scan, defect)))
}

/// Checks that a segment is the first one of a journal.
pub(crate) fn check_first(scan: &Scan) -> Result<(), JournalError> {
    match crate::segment::first_seq_of(&scan.name) {
        Some(FIRST_SEQ) => Ok(()),
        got => {
            let defect = Defect::Gap { want: FIRST_SEQ, got: got.unwrap_or(0) };
            Err(JournalError::Damaged(damage_at_header(scan, defect)))
        }
    }
}

fn damage_at_header(scan: &Scan, defect: Defect) -> Damage {
    Damage { file: scan.name.clone(), offset: 0, record: 0, defect }
}

/// Tells a torn end, which is returned, from damage, which is an error.
pub(crate) fn torn(scan: &mut Scan, stop: Stop, may_be_torn: bool) -> Result<Cut, JournalError> {
    let defect = match stop {
        Stop::Io(source) => return Err(failed("read", &scan.name)(source)),
        Stop::Defect(defect) => defect,
    };
    let is_torn = may_be_torn && scan.torn(&defect).map_err(failed("read", &scan.name))?;
    let record = if scan.offset == 0 { 0 } else { scan.index + 1 };
    let why = Damage { file: scan.name.clone(), offset: scan.offset, record, defect };
    if is_torn {
        Ok(Cut { bytes: scan.length - scan.offset, why })
    } else {
        Err(JournalError::Damaged(why))
    }
}

fn stopped(scan: &Scan) -> impl FnOnce(Stop) -> JournalError {
    let name = scan.name.clone();
    move |stop| match stop {
        Stop::Io(source) => failed("read", &name)(source),
        Stop::Defect(defect) => {
            JournalError::Damaged(Damage { file: name, offset: 0, record: 0, defect })
        }
    }
}

pub(crate) fn failed(verb: &'static str, file: &str) -> impl FnOnce(io::Error) -> JournalError {
    let file = file.to_owned();
    move |source| JournalError::Disk { verb, file, source }
}

pub(crate) fn link(chain: &Chain) -> Link {
    *chain.first_chunk::<LINK_BYTES>().expect("a link is the first part of a chain")
}

impl Record {
    /// The event, when it holds one.
    #[must_use]
    pub fn event(&self) -> Option<&Stamped> {
        match &self.payload {
            Payload::Event(event) => Some(event),
            Payload::Outcome(_) => None,
        }
    }
}

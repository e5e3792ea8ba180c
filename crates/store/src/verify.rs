//! Reads every byte of a journal and says what is wrong with it, naming file and offset.

use crate::disk::Disk;
use crate::journal::{Cut, Damage, JournalError, check_first, check_joint, failed, link, torn};
use crate::record::{Chain, Defect, Kind, Link, payload};
use crate::segment::{Scan, Stop, first_seq_of, resembles_segment, segment_name};
use crate::snapshot;
use std::fmt;
use std::sync::Arc;

/// Places of damage listed; one a segment is found, so a journal has to be very broken for more.
pub const DAMAGE_LISTED_MAX: usize = 100;

/// What a journal holds, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Segments.
    pub segments: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Whole events.
    pub events: u64,
    /// Whole outcomes.
    pub outcomes: u64,
    /// Records marked late.
    pub late: u64,
    /// Place of the last whole event; `None` when there is none.
    pub last_seq: Option<u64>,
    /// The chain after the last whole record.
    pub last_link: Link,
    /// The torn end, which the next start will cut off: what a crash leaves, or a changed byte in
    /// the last record, which looks the same.
    pub torn: Option<Cut>,
    /// What is damaged, in order, the first of each segment.
    pub damage: Vec<Damage>,
}

impl Verdict {
    /// Whether every byte is as it was written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.torn.is_none()
    }

    fn add(&mut self, damage: Damage) {
        if self.damage.len() < DAMAGE_LISTED_MAX {
            self.damage.push(damage);
        }
    }

    /// Takes an error of a check: damage is a finding, a disk that refuses is not.
    fn take(&mut self, error: JournalError) -> Result<(), JournalError> {
        match error {
            JournalError::Damaged(damage) => {
                self.add(damage);
                Ok(())
            }
            other => Err(other),
        }
    }
}

/// Writes the verdict as `journal verify` shows it.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, bytes, events, outcomes, late, .. } = self;
        writeln!(
            f,
            "{events} events and {outcomes} outcomes ({late} late) in {segments} segments, \
             {bytes} bytes"
        )?;
        if let Some(cut) = &self.torn {
            writeln!(f, "torn end: {cut}")?;
        }
        for damage in &self.damage {
            writeln!(f, "damaged: {damage}")?;
        }
        let result = match (self.damage.is_empty(), &self.torn) {
            (true, None) => "whole",
            (true, Some(_)) => "whole up to a torn end",
            (false, _) => "DAMAGED",
        };
        writeln!(f, "{result}")
    }
}

/// Checks every segment: header, name, lengths, sums, bodies, chain, places, and that no segment
/// is missing, foreign or swapped.
///
/// # Errors
/// When the disk cannot be read; damage is a finding, not an error.
pub fn verify(disk: Arc<dyn Disk>) -> Result<Verdict, JournalError> {
    let mut verdict = Verdict::default();
    let names = disk.list().map_err(failed("list", "*"))?;
    let (names, strays): (Vec<_>, Vec<_>) =
        names.into_iter().filter(|n| resembles_segment(n)).partition(|n| first_seq_of(n).is_some());
    for file in strays {
        verdict.add(Damage { file, offset: 0, record: 0, defect: Defect::Name });
    }
    let mut end = None;
    for (i, name) in names.iter().enumerate() {
        let mut scan = Scan::open(&disk, name).map_err(failed("read", name))?;
        verdict.segments += 1;
        verdict.bytes += scan.length;
        let before = if i == 0 { Before::Nothing } else { Before::Segment(end.take()) };
        end = walk(&mut scan, &before, i + 1 == names.len(), &mut verdict)?;
    }
    behind(&*disk, names.last(), &mut verdict)?;
    Ok(verdict)
}

/// What stands before a segment.
enum Before {
    Nothing,
    /// The place and chain it ended with; `None` when it was damaged, so its end is unknown.
    Segment(Option<(u64, Chain)>),
}

/// Walks one segment; returns where it ended when all of it is whole.
fn walk(
    scan: &mut Scan,
    before: &Before,
    is_last: bool,
    verdict: &mut Verdict,
) -> Result<Option<(u64, Chain)>, JournalError> {
    if let Err(stop) = scan.header() {
        stopped(scan, stop, is_last, verdict)?;
        return Ok(None);
    }
    let joint = match before {
        Before::Nothing => check_first(scan),
        Before::Segment(end) => check_joint(scan, end.as_ref()),
    };
    if let Err(error) = joint {
        verdict.take(error)?;
    }
    loop {
        let (offset, index, place) = (scan.offset, scan.index, scan.next_seq);
        let (frame, body) = match scan.next() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(stop) => {
                stopped(scan, stop, is_last, verdict)?;
                return Ok(None);
            }
        };
        if let Err(defect) = payload(frame.kind, body) {
            let file = scan.name.clone();
            verdict.add(Damage { file, offset, record: index + 1, defect });
            return Ok(None);
        }
        verdict.late += u64::from(frame.late());
        match frame.kind {
            Kind::Outcome => verdict.outcomes += 1,
            Kind::Event => {
                verdict.events += 1;
                verdict.last_seq = Some(place);
            }
        }
        verdict.last_link = link(&scan.chain);
    }
    Ok(Some((scan.next_seq, scan.chain)))
}

fn stopped(
    scan: &mut Scan,
    stop: Stop,
    is_last: bool,
    verdict: &mut Verdict,
) -> Result<(), JournalError> {
    match torn(scan, stop, is_last) {
        Ok(cut) => verdict.torn = Some(cut),
        Err(error) => verdict.take(error)?,
    }
    Ok(())
}

/// Finds out whether the last segments are gone: a snapshot may know of later events.
fn behind(
    disk: &dyn Disk,
    last: Option<&String>,
    verdict: &mut Verdict,
) -> Result<(), JournalError> {
    let newest = snapshot::newest_seq(disk).map_err(failed("list", "*"))?;
    let journal = verdict.last_seq.unwrap_or(0);
    if let Some(snapshot) = newest.filter(|s| *s > journal)
        && verdict.damage.is_empty()
    {
        let file = last.cloned().unwrap_or_else(|| segment_name(journal + 1));
        let defect = Defect::Behind { snapshot, journal };
        verdict.add(Damage { file, offset: 0, record: 0, defect });
    }
    Ok(())
}

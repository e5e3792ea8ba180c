//! The interval of a row, however its file tells time.

use super::header::When;
use super::row::{FETCH_AGAIN, Row};
use crate::error::FeedError;
use crate::limits::INDEX_MAX;
use crate::local::{self, LocalClock, LocalError, Pass};
use crate::market::Market;
use headgate_core::time::{Interval, Span, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Reads times, remembering the last date because a day has many rows.
pub(super) struct Moments {
    clock: LocalClock,
    date: Option<(Vec<u8>, i32)>,
    index_epoch: Time,
    /// First passes of repeated hours that carry no mark, with what to say of one whose second
    /// pass never comes.
    unmarked: BTreeMap<Time, FeedError>,
    /// Starts of the first passes whose second pass came with its mark.
    marked: BTreeSet<Time>,
}

impl Moments {
    pub fn new(market: &Market, index_epoch: Time) -> Self {
        Self {
            clock: LocalClock::new(market.zone().clone()),
            date: None,
            index_epoch,
            unmarked: BTreeMap::new(),
            marked: BTreeSet::new(),
        }
    }

    /// The interval of a row; `aligned` wants a start in UTC on a multiple of the step.
    pub fn interval(
        &mut self,
        row: &Row<'_>,
        step: Span,
        aligned: bool,
    ) -> Result<Interval, FeedError> {
        let flag = row.layout.flag;
        let start = match row.layout.when {
            When::Quarter { date, hour, quarter } => {
                let quarters = Span::hours(1).0 / step.0;
                let n = local::whole(row.cell(quarter)).filter(|n| (1..=quarters).contains(n));
                let n = n.ok_or_else(|| {
                    let wanted = format!("an interval from 1 to {quarters}");
                    row.unreadable(quarter, &wanted, FETCH_AGAIN)
                })?;
                self.hour_ending(row, date, hour)? + Span((n - 1) * step.0)
            }
            When::Hour { date, hour } => self.hour_ending(row, date, hour)?,
            When::HourEnd { at } => self.hour_end(row, at)?,
            When::Stamp { at } => self.stamp(row, at, flag)?,
            When::StampEnd { at } => self.stamp(row, at, flag)? - step,
            When::Foreseen { end, end_flag, .. } => self.stamp(row, end, end_flag)? - step,
            When::Utc { at } => {
                let mend = "write it as 2024-06-01T05:00:00Z";
                let start = local::utc(row.cell(at))
                    .ok_or_else(|| row.unreadable(at, "a time in UTC", mend))?;
                if aligned && start.0 % step.0 != 0 {
                    let what = format!("{start} is not the start of a {step} interval");
                    return Err(row.bad(at, what, "give the start of each settlement interval"));
                }
                start
            }
            When::Index { at } => {
                let n = local::whole(row.cell(at)).filter(|n| *n <= INDEX_MAX);
                let n = n.ok_or_else(|| {
                    let wanted = format!("an interval number from 0 to {INDEX_MAX}");
                    row.unreadable(at, &wanted, "for times write a column interval_start_utc")
                })?;
                self.index_epoch + Span(n * step.0)
            }
            When::Never => unreachable!("rows of a map have no interval"),
        };
        Ok(Interval::starting(start, step))
    }

    /// When the run that foresees a row's interval ran; `None` where no run does.
    pub fn run(&mut self, row: &Row<'_>) -> Result<Option<Time>, FeedError> {
        let When::Foreseen { run, .. } = row.layout.when else { return Ok(None) };
        self.stamp(row, run, row.layout.flag).map(Some)
    }

    /// Refuses a repeated hour that came once and without a mark: which pass was it?
    pub fn finish(self) -> Result<(), FeedError> {
        let marked = self.marked;
        let lone = self.unmarked.into_iter().find(|(start, _)| !marked.contains(start));
        lone.map_or(Ok(()), |(_, refusal)| Err(refusal))
    }

    /// Start of the hour that ends at a row's local hour 1 to 24; hour 24 is of its own date.
    fn hour_ending(&mut self, row: &Row<'_>, date: usize, hour: usize) -> Result<Time, FeedError> {
        let day = self.day(row, date)?;
        let text = row.cell(hour);
        let text = text.strip_suffix(b":00").unwrap_or(text);
        let ending = local::whole(text)
            .filter(|h| (1..=24).contains(h))
            .ok_or_else(|| row.unreadable(hour, "an hour ending from 1 to 24", FETCH_AGAIN))?;
        self.moment(row, hour, day, before(ending), row.pass(row.layout.flag)?)
    }

    /// Start of the hour that ends at a date and time in one field, such as `11/05/2023 02:00 DST`
    /// for the second pass of the hour that ended at `11/05/2023 02:00`.
    fn hour_end(&mut self, row: &Row<'_>, at: usize) -> Result<Time, FeedError> {
        let cell = row.cell(at);
        let (text, mark) = match cell.len().checked_sub(3).map(|cut| cell.split_at(cut)) {
            Some((text, mark)) if mark.eq_ignore_ascii_case(b"dst") => (text.trim_ascii(), true),
            _ => (cell, false),
        };
        let (day, ending) = local_hour(text).ok_or_else(|| {
            row.unreadable(at, "a local date and hour", "write it as MM/DD/YYYY HH:00")
        })?;
        let second = before(ending);
        if row.layout.flag.is_some() {
            return self.moment(row, at, day, second, row.pass(row.layout.flag)?);
        }
        if mark {
            let start = self.moment(row, at, day, second, Pass::Second)?;
            self.marked.insert(start - Span::hours(1));
            return Ok(start);
        }
        if self.clock.utc(day, second, Pass::Unsaid) != Err(LocalError::Twice) {
            return self.moment(row, at, day, second, Pass::Unsaid);
        }
        // The first pass has no mark of its own: it is the first if the marked one comes, too.
        let start = self.moment(row, at, day, second, Pass::First)?;
        let refusal = refusal(row, at, LocalError::Twice);
        match self.unmarked.insert(start, refusal) {
            Some(_) => Err(self.unmarked.remove(&start).expect("it was put there just now")),
            None => Ok(start),
        }
    }

    fn day(&mut self, row: &Row<'_>, at: usize) -> Result<i32, FeedError> {
        let text = row.cell(at);
        if let Some((known, day)) = &self.date
            && known == text
        {
            return Ok(*day);
        }
        let day = local::date(text)
            .ok_or_else(|| row.unreadable(at, "a date", "write it as MM/DD/YYYY or YYYY-MM-DD"))?;
        self.date = Some((text.to_vec(), day));
        Ok(day)
    }

    fn stamp(&mut self, row: &Row<'_>, at: usize, flag: Option<usize>) -> Result<Time, FeedError> {
        let (day, second, nanos) = local::stamp(row.cell(at)).ok_or_else(|| {
            row.unreadable(at, "a local date and time", "write it as MM/DD/YYYY HH:MM:SS")
        })?;
        Ok(self.moment(row, at, day, second, row.pass(flag)?)? + Span(nanos))
    }

    fn moment(
        &mut self,
        row: &Row<'_>,
        at: usize,
        day: i32,
        second: u32,
        pass: Pass,
    ) -> Result<Time, FeedError> {
        self.clock.utc(day, second, pass).map_err(|e| refusal(row, at, e))
    }
}

/// Second of the day at which the hour that ends at hour 1 to 24 starts.
fn before(ending: i64) -> u32 {
    u32::try_from((ending - 1) * 3600).expect("an hour of a day is small")
}

/// Reads `DATE HH:00`: day number and hour ending 1 to 24. Midnight ends the day before, as does
/// a date alone, which is how a cell shows midnight.
fn local_hour(text: &[u8]) -> Option<(i32, i64)> {
    let Some(at) = text.iter().position(|b| matches!(b, b' ' | b'T')) else {
        return Some((local::date(text)? - 1, 24));
    };
    let day = local::date(&text[..at])?;
    let mut parts = text[at + 1..].trim_ascii().split(|b| *b == b':');
    let hour = local::whole(parts.next()?).filter(|h| *h <= 24)?;
    let whole = parts.all(|part| local::whole(part) == Some(0));
    whole.then_some(if hour == 0 { (day - 1, 24) } else { (day, hour) })
}

fn refusal(row: &Row<'_>, at: usize, e: LocalError) -> FeedError {
    let (what, mend) = match e {
        LocalError::Skipped => {
            ("this local hour does not exist, because the clocks go forward over it", FETCH_AGAIN)
        }
        LocalError::Twice => (
            "this local hour happens twice, because the clocks go back, and the file \
             does not say which is meant",
            "use the file with a DSTFlag or RepeatedHourFlag column",
        ),
        LocalError::Once => (
            "the row is marked as the second pass of a repeated hour, and this hour \
             happens once",
            FETCH_AGAIN,
        ),
    };
    row.bad(at, what.to_owned(), mend)
}

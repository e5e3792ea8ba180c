//! What a meter read: energy or mean power by interval, the unit in the column's name.
//!
//! ```text
//!  meter, 5 min    |--- 1.0 ---|--- 1.1 ---|--- 0.9 ---|           |--- 1.0 ---|
//!  settlement      |------------- 3.0, 15 min ----------|--- 1.0, 5 min only ---|
//! ```
//!
//! Readings are added up to settlement intervals; what is not there stays missing.

use crate::error::FeedError;
use crate::limits::METER_READINGS_MAX;
use crate::table::{self, Head, Row, Rows};
use headgate_core::number::{decimal, div_half_even, to_i64};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Energy, Power};
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

/// Decimals read of a quantity before it is rounded to what is kept.
const DIGITS: u32 = 9;
/// 10 to the power of [`DIGITS`].
const SCALE: i128 = 1_000_000_000;
/// Longest interval a meter's reading may cover.
const READING_MAX: Span = Span::hours(24);

/// What a column of quantities holds: the kind of quantity, and how much one unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Energy; watt-seconds in one unit.
    Energy(i128),
    /// Power; watts in one unit.
    Power(i128),
}

impl Unit {
    /// The unit a column's name ends in: `energy_mwh`, `kwh`, `power_mw`, `mw`.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let (stem, unit) = name.rsplit_once('_').unwrap_or(("", name));
        let plain = |allowed: &[&str]| stem.is_empty() || allowed.contains(&stem);
        let energy = plain(&["energy", "import", "bought", "metered"]);
        let power = plain(&["power", "mean_power", "base_point", "award", "deployed", "bought"]);
        Some(match unit {
            "wh" if energy => Self::Energy(3_600),
            "kwh" if energy => Self::Energy(3_600_000),
            "mwh" if energy => Self::Energy(3_600_000_000),
            "w" if power => Self::Power(1),
            "kw" if power => Self::Power(1_000),
            "mw" if power => Self::Power(1_000_000),
            _ => return None,
        })
    }

    /// The quantity in a cell, in watt-seconds or watts, rounded half to even.
    pub(crate) fn read(self, row: &Row<'_>, column: usize) -> Result<i64, FeedError> {
        let mend = "write a number, or leave the row out: missing is not zero";
        let number =
            decimal(row.text(column), DIGITS).map_err(|e| row.bad(column, e.to_string(), mend))?;
        let (Self::Energy(factor) | Self::Power(factor)) = self;
        let n = div_half_even(i128::from(number) * factor, SCALE);
        i64::try_from(n).map_err(|_| {
            row.bad(column, format!("`{}` is out of range", row.text(column)), "check its unit")
        })
    }
}

/// One reading of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What it covers.
    pub interval: Interval,
    /// Energy imported in it.
    pub energy: Energy,
    /// Its line in the file.
    pub line: u64,
}

/// Energy of one settlement interval, as far as it was metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// The settlement interval.
    pub interval: Interval,
    /// Energy of the measured part.
    pub energy: Energy,
    /// How much of the interval was measured.
    pub measured: Span,
}

/// A meter's readings in settlement intervals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MeterFile {
    /// In time order; intervals with no reading at all are not there.
    pub intervals: Vec<Metered>,
    /// What was found worth telling, one sentence each.
    pub notes: Vec<String>,
}

/// Loads a meter's readings, packed or not, and adds them up to settlement intervals.
///
/// # Errors
/// [`FeedError`] naming file, line, column and the mend.
pub fn load(path: &Path, settle_step: Span) -> Result<MeterFile, FeedError> {
    let mut reader = Reader::default();
    table::load(path, &mut reader)?;
    reader.done(&path.display().to_string(), settle_step)
}

/// Parses a meter's readings from memory.
///
/// # Errors
/// As [`load`].
pub fn parse<R: Read + Seek>(
    file: &str,
    input: R,
    settle_step: Span,
) -> Result<MeterFile, FeedError> {
    let mut reader = Reader::default();
    table::read(file, input, &mut reader)?;
    reader.done(file, settle_step)
}

/// Adds readings that do not overlap up to settlement intervals, to the watt-second.
#[must_use]
pub fn add_up(readings: &[Reading], settle_step: Span) -> MeterFile {
    let mut sums: BTreeMap<Time, (Energy, Span)> = BTreeMap::new();
    let (mut spread, mut longest) = (0usize, Span::ZERO);
    for reading in readings {
        let whole = reading.interval;
        let (length, mut from) = (i128::from(whole.length().0), whole.start);
        let mut given = 0i128;
        let mut pieces = 0usize;
        while from < whole.end {
            let own = from.interval(settle_step);
            let to = own.end.min(whole.end);
            // The running total is rounded, not the piece: the pieces add up to the reading.
            let elapsed = i128::from(to.since(whole.start).0);
            let total = div_half_even(i128::from(reading.energy.0) * elapsed, length);
            let sum = sums.entry(own.start).or_insert((Energy::ZERO, Span::ZERO));
            sum.0 += Energy(to_i64(total - given));
            sum.1 = sum.1 + to.since(from);
            (given, from, pieces) = (total, to, pieces + 1);
        }
        spread += usize::from(pieces > 1);
        longest = if pieces > 1 { longest.max(whole.length()) } else { longest };
    }
    let intervals: Vec<Metered> = sums
        .into_iter()
        .map(|(start, (energy, measured))| Metered {
            interval: Interval::starting(start, settle_step),
            energy,
            measured,
        })
        .collect();
    let mut notes = Vec::new();
    if spread > 0 {
        notes.push(format!(
            "{spread} readings of up to {longest} cover more than one settlement interval of \
             {settle_step}: their energy is spread evenly, so their cost is an estimate"
        ));
    }
    notes.extend(gaps(&intervals, settle_step));
    MeterFile { intervals, notes }
}

/// Says how many settlement intervals between the first and the last lack readings.
fn gaps(intervals: &[Metered], step: Span) -> Vec<String> {
    let partly = intervals.iter().filter(|m| m.measured < step).count();
    let missing: i64 =
        intervals.windows(2).map(|w| w[1].interval.start.since(w[0].interval.end).0 / step.0).sum();
    let mut notes = Vec::new();
    if missing > 0 {
        notes.push(format!("{missing} settlement intervals have no reading: they stay missing"));
    }
    if partly > 0 {
        notes.push(format!("{partly} settlement intervals are metered in part only"));
    }
    notes
}

#[derive(Debug, Default)]
struct Reader {
    start: usize,
    end: Option<usize>,
    value: usize,
    unit: Option<Unit>,
    rows: Vec<(Time, Option<Time>, i64, u64)>,
}

impl Rows for Reader {
    fn header(&mut self, head: &Head) -> Result<(), FeedError> {
        let mend = "write interval_start_utc,energy_mwh, start,end,kwh, or interval_start_utc,\
                    power_mw: the unit is in the column's name (Wh, kWh, MWh, W, kW, MW)";
        let start = head.find(&["interval_start_utc", "start_utc", "interval_start", "start"]);
        self.start = start.ok_or_else(|| head.unknown(mend))?;
        self.end = head.find(&["interval_end_utc", "end_utc", "interval_end", "end"]);
        let mut values =
            head.names().iter().enumerate().filter_map(|(i, n)| Some((i, Unit::of(n)?)));
        let (value, unit) = values.next().ok_or_else(|| head.unknown(mend))?;
        if values.next().is_some() {
            return Err(head.unknown("leave one column of energy or power: which one counts?"));
        }
        if let Some(before) = self.unit
            && before != unit
        {
            return Err(head.unknown("files of one archive have one unit: read them one by one"));
        }
        (self.value, self.unit) = (value, Some(unit));
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), FeedError> {
        if self.rows.len() >= METER_READINGS_MAX {
            return Err(table::too_many(row, METER_READINGS_MAX));
        }
        let unit = self.unit.expect("the header came before the first row");
        let start = row.moment(self.start)?;
        let end = self.end.map(|c| row.moment(c)).transpose()?;
        if let (Some(column), Some(end)) = (self.end, end)
            && (end <= start || end.since(start) > READING_MAX)
        {
            let what = format!("the reading would last from {start} to {end}");
            return Err(row.bad(column, what, "write an end at most a day after the start"));
        }
        let amount = unit.read(row, self.value)?;
        if amount < 0 {
            let what = format!("`{}` is negative", row.text(self.value));
            let mend = "write what was imported: energy sent out is not settled here";
            return Err(row.bad(self.value, what, mend));
        }
        self.rows.push((start, end, amount, row.line));
        Ok(())
    }
}

impl Reader {
    fn done(mut self, file: &str, settle_step: Span) -> Result<MeterFile, FeedError> {
        if self.rows.is_empty() {
            return Err(table::no_rows(file, "write one reading a line"));
        }
        self.rows.sort_by_key(|(start, _, _, line)| (*start, *line));
        let refuse = |line: u64, what: String, mend: &str| FeedError::Line {
            file: file.to_owned(),
            line,
            what,
            mend: mend.to_owned(),
        };
        for w in self.rows.windows(2) {
            if w[0].0 == w[1].0 {
                let what = format!("{} has a reading in line {} already", w[1].0, w[0].3);
                return Err(refuse(w[1].3, what, "take one of the two out"));
            }
        }
        // A file that names no ends has one step: the smallest distance of two starts.
        let step = self.rows.windows(2).map(|w| w[1].0.since(w[0].0)).min();
        let step = step.unwrap_or(settle_step);
        if self.end.is_none() && (step > READING_MAX || step < Span::seconds(1)) {
            let what = format!("its readings are {step} apart");
            let mend = "add a column `end`".into();
            return Err(FeedError::Whole { file: file.to_owned(), what, mend });
        }
        let mut readings: Vec<Reading> = Vec::with_capacity(self.rows.len());
        for (start, end, amount, line) in self.rows {
            let interval = Interval { start, end: end.unwrap_or(start + step) };
            if let Some(before) = readings.last().filter(|r| r.interval.end > start) {
                let what =
                    format!("the reading overlaps line {}, {}", before.line, before.interval);
                return Err(refuse(line, what, "one moment has one reading: mend the times"));
            }
            let energy = match self.unit {
                Some(Unit::Power(_)) => Power(amount).over(interval.length()),
                _ => Energy(amount),
            };
            readings.push(Reading { interval, energy, line });
        }
        let mut metered = add_up(&readings, settle_step);
        if self.end.is_none() && readings.len() > 1 {
            metered.notes.insert(0, format!("each reading is taken to cover {step}"));
        }
        Ok(metered)
    }
}

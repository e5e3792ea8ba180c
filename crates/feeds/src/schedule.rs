//! What was agreed or ordered by interval, as CSV files tell it: day-ahead positions, capacity
//! awards, deployments, base points, energies of single units, coincident peaks.

use crate::error::FeedError;
use crate::limits::SCHEDULE_ROWS_MAX;
use crate::meter::Unit;
use crate::table::{self, Head, Row, Rows};
use headgate_core::limits::TEXT_MAX;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Energy, Power, Price};
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

/// Longest interval an entry may cover.
const ENTRY_MAX: Span = Span::hours(31 * 24);

/// What a file holds, which says what its columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleKind {
    /// `interval_start_utc[,interval_end_utc],mw[,price]`: bought a day ahead; below zero, sold.
    DayAhead,
    /// `interval_start_utc[,interval_end_utc],product,mw[,price]`: capacity sold as reserve.
    Award,
    /// `start_utc,end_utc,product,mw`: reserve called upon.
    Deployment,
    /// `interval_start_utc[,interval_end_utc],mw`: the power a load was told to draw.
    BasePoint,
    /// `interval_start_utc[,interval_end_utc],unit,energy_mwh`: what one unit drew.
    Unit,
    /// `interval_start_utc`: the intervals of coincident peaks.
    Peak,
}

impl ScheduleKind {
    /// The column that names something, where the kind has one.
    fn name_column(self) -> Option<&'static str> {
        match self {
            Self::Award | Self::Deployment => Some("product"),
            Self::Unit => Some("unit"),
            Self::DayAhead | Self::BasePoint | Self::Peak => None,
        }
    }

    fn mend(self) -> &'static str {
        match self {
            Self::DayAhead => "write interval_start_utc,mw, bought above zero and sold below",
            Self::Award => "write interval_start_utc,product,mw, and price where it is known",
            Self::Deployment => "write start_utc,end_utc,product,mw",
            Self::BasePoint => "write interval_start_utc,mw",
            Self::Unit => "write interval_start_utc,unit,energy_mwh",
            Self::Peak => "write interval_start_utc, one peak a line",
        }
    }

    /// How long an entry lasts where neither its end nor a next one is told.
    fn step(self, settle_step: Span, hour: Span) -> Span {
        match self {
            Self::DayAhead | Self::Award => hour,
            Self::BasePoint | Self::Unit | Self::Deployment | Self::Peak => settle_step,
        }
    }
}

/// One line of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it covers.
    pub interval: Interval,
    /// Product or unit; empty where the kind names none.
    pub name: String,
    /// Mean power over the interval; below zero only where something can be sold.
    pub power: Power,
    /// Energy over the interval.
    pub energy: Energy,
    /// Price agreed, where the file tells one: per MWh, or per MW and hour of capacity.
    pub price: Option<Price>,
    /// Line in the file.
    pub line: u64,
}

/// Loads a schedule, packed or not; entries come in time order, then by name.
///
/// # Errors
/// [`FeedError`] naming file, line, column and the mend.
pub fn load(path: &Path, kind: ScheduleKind, settle_step: Span) -> Result<Vec<Entry>, FeedError> {
    let mut reader = Reader::new(kind);
    table::load(path, &mut reader)?;
    reader.done(&path.display().to_string(), settle_step)
}

/// Parses a schedule from memory.
///
/// # Errors
/// As [`load`].
pub fn parse<R: Read + Seek>(
    file: &str,
    input: R,
    kind: ScheduleKind,
    settle_step: Span,
) -> Result<Vec<Entry>, FeedError> {
    let mut reader = Reader::new(kind);
    table::read(file, input, &mut reader)?;
    reader.done(file, settle_step)
}

#[derive(Debug)]
struct Raw {
    start: Time,
    end: Option<Time>,
    name: String,
    amount: i64,
    price: Option<Price>,
    line: u64,
}

#[derive(Debug)]
struct Reader {
    kind: ScheduleKind,
    start: usize,
    end: Option<usize>,
    name: Option<usize>,
    value: Option<(usize, Unit)>,
    price: Option<usize>,
    rows: Vec<Raw>,
}

impl Reader {
    fn new(kind: ScheduleKind) -> Self {
        let (start, end, name, value, price) = (0, None, None, None, None);
        Self { kind, start, end, name, value, price, rows: Vec::new() }
    }

    fn done(mut self, file: &str, settle_step: Span) -> Result<Vec<Entry>, FeedError> {
        if self.rows.is_empty() {
            return Err(table::no_rows(file, self.kind.mend()));
        }
        self.rows.sort_by(|a, b| (a.start, &a.name, a.line).cmp(&(b.start, &b.name, b.line)));
        let default = self.kind.step(settle_step, Span::hours(1));
        let mut next: BTreeMap<&str, Time> = BTreeMap::new();
        let mut ends = vec![Time::MIN; self.rows.len()];
        for (i, raw) in self.rows.iter().enumerate().rev() {
            let until = next.insert(&raw.name, raw.start);
            // What names no end lasts until the next of its name, and no longer than its step.
            let alone = until.map_or(raw.start + default, |n| n.min(raw.start + default));
            ends[i] = raw.end.unwrap_or(alone);
        }
        let mut last: BTreeMap<String, (Interval, u64)> = BTreeMap::new();
        let mut out = Vec::with_capacity(self.rows.len());
        for (raw, end) in self.rows.into_iter().zip(ends) {
            let interval = Interval { start: raw.start, end };
            let covers = |i: &Interval| i.end > raw.start || i.start == raw.start;
            let before = last.get(&raw.name).filter(|(i, _)| covers(i));
            // A deployment adds to another; of all else one moment has one.
            if let Some((_, line)) = before.filter(|_| self.kind != ScheduleKind::Deployment) {
                return Err(FeedError::Line {
                    file: file.to_owned(),
                    line: raw.line,
                    what: format!("{} is covered by line {line} already", raw.start),
                    mend: "take one of the two out".into(),
                });
            }
            last.insert(raw.name.clone(), (interval, raw.line));
            let (power, energy) = match self.value {
                Some((_, Unit::Energy(_))) => {
                    let watts = div_half_even(
                        i128::from(raw.amount) * 1_000_000_000,
                        i128::from(interval.length().0.max(1)),
                    );
                    (Power(to_i64(watts)), Energy(raw.amount))
                }
                _ => (Power(raw.amount), Power(raw.amount).over(interval.length())),
            };
            let Raw { name, price, line, .. } = raw;
            out.push(Entry { interval, name, power, energy, price, line });
        }
        Ok(out)
    }
}

impl Rows for Reader {
    fn header(&mut self, head: &Head) -> Result<(), FeedError> {
        let unknown = || head.unknown(self.kind.mend());
        let start = head.find(&["interval_start_utc", "start_utc", "interval_start", "start"]);
        let end = head.find(&["interval_end_utc", "end_utc", "interval_end", "end"]);
        let name = match self.kind.name_column() {
            Some(column) => Some(head.find(&[column]).ok_or_else(unknown)?),
            None => None,
        };
        let mut values =
            head.names().iter().enumerate().filter_map(|(i, n)| Some((i, Unit::of(n)?)));
        let value = values.next();
        let wanted = match self.kind {
            ScheduleKind::Peak => value.is_none(),
            ScheduleKind::Unit | ScheduleKind::DayAhead => value.is_some(),
            _ => matches!(value, Some((_, Unit::Power(_)))),
        };
        let ended = end.is_some() || self.kind != ScheduleKind::Deployment;
        if !wanted || !ended || values.next().is_some() {
            return Err(unknown());
        }
        let price = head.find(&["price", "price_mwh", "mcpc"]);
        self.start = start.ok_or_else(unknown)?;
        (self.end, self.name, self.value, self.price) = (end, name, value, price);
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), FeedError> {
        if self.rows.len() >= SCHEDULE_ROWS_MAX {
            return Err(table::too_many(row, SCHEDULE_ROWS_MAX));
        }
        let start = row.moment(self.start)?;
        let end = self.end.map(|c| row.moment(c)).transpose()?;
        if let (Some(column), Some(end)) = (self.end, end)
            && (end <= start || end.since(start) > ENTRY_MAX)
        {
            let what = format!("it would last from {start} to {end}");
            return Err(row.bad(column, what, "write an end at most a month after the start"));
        }
        let name = self.name.map(|c| row.text(c).to_owned()).unwrap_or_default();
        if let Some(column) = self.name
            && (name.is_empty() || name.len() > TEXT_MAX)
        {
            let what = format!("a name has 1 to {TEXT_MAX} characters");
            return Err(row.bad(column, what, self.kind.mend()));
        }
        let amount = match self.value {
            Some((column, unit)) => {
                let amount = unit.read(row, column)?;
                if amount < 0 && self.kind != ScheduleKind::DayAhead {
                    let what = format!("`{}` is negative", row.text(column));
                    return Err(row.bad(column, what, "write the amount without a sign"));
                }
                amount
            }
            None => 0,
        };
        let price = match self.price.filter(|c| !row.bytes(*c).is_empty()) {
            Some(column) => Some(Price(row.number(column, 6)?)),
            None => None,
        };
        self.rows.push(Raw { start, end, name, amount, price, line: row.line });
        Ok(())
    }
}

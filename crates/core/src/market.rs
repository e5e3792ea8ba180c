//! Prices by point and kind, what is known of them now, and the price to expect at settlement.

use crate::limits::{DAY_AHEAD_KEPT_MAX, FORESEEN_KEPT_MAX, RUNS_KEPT_MAX, SETTLEMENTS_KEPT_MAX};
use crate::number::{div_half_even, to_i64};
use crate::time::{Interval, Span, Time};
use crate::units::Price;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Where energy settles. `LZ_WEST` of type `LZ` is not `LZ_WEST` of type `LZEW`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SettlementPoint {
    /// Name as the market writes it, for example `LZ_WEST`.
    pub name: String,
    /// Type as the market writes it, for example `LZ`, `HU`, `RN`; empty where it has none.
    pub kind: String,
}

impl fmt::Display for SettlementPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.is_empty() {
            write!(f, "{}", self.name)
        } else {
            write!(f, "{} ({})", self.name, self.kind)
        }
    }
}

/// What a price is a price of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PriceKind {
    /// One dispatch run (SCED); in force from its stamp until the next run.
    Dispatch,
    /// The price energy of an interval settles at.
    Settlement,
    /// The day-ahead price of an hour.
    DayAhead,
    /// What the market's own look-ahead run foresees for a step to come (ERCOT RTD, NP6-970).
    LookAhead,
}

impl PriceKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Dispatch, Self::Settlement, Self::DayAhead, Self::LookAhead];
}

/// One price, with the moment from which it could be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRow {
    /// What it covers; for a dispatch run, from its stamp to the nominal end of its step.
    pub interval: Interval,
    /// The price itself.
    pub price: Price,
    /// When it could be known, by the market's rule for its kind.
    pub known_at: Time,
}

/// How an expected price came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Basis {
    /// Time-weighted mean of the dispatch runs of the running settlement interval.
    RunningMean,
    /// The settlement price of the running interval is already published.
    Published,
    /// The last published settlement price, carried on.
    LastPublished,
    /// The day-ahead price of the hour, because real time is silent.
    DayAhead,
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RunningMean => "mean of the interval's dispatch runs so far",
            Self::Published => "published for this interval",
            Self::LastPublished => "last published settlement price",
            Self::DayAhead => "day-ahead price of this hour",
        })
    }
}

/// The price to expect at settlement of the running interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The expected settlement price.
    pub price: Price,
    /// The newest price that went into it.
    pub latest: Price,
    /// How it came about.
    pub basis: Basis,
    /// Age of the newest price in it, counted from when it could be known.
    pub age: Span,
}

/// What one feed has told, bounded in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FeedBook {
    runs: VecDeque<PriceRow>,
    settlements: VecDeque<PriceRow>,
    day_ahead: BTreeMap<Time, PriceRow>,
    /// The newest foreseen price of each step.
    foreseen: BTreeMap<Time, PriceRow>,
    /// When the newest row of this feed could be known; `None` until the first one.
    pub newest: Option<Time>,
}

impl FeedBook {
    /// Takes rows in; a later posting of the same interval replaces an earlier one.
    pub fn take(&mut self, kind: PriceKind, rows: &[PriceRow], now: Time) {
        for row in rows {
            // A row from the future of its own known_at would be foreknowledge: refuse to see it.
            if row.known_at > now {
                continue;
            }
            match kind {
                PriceKind::Dispatch => insert(&mut self.runs, *row, RUNS_KEPT_MAX),
                PriceKind::Settlement => insert(&mut self.settlements, *row, SETTLEMENTS_KEPT_MAX),
                PriceKind::DayAhead => {
                    self.day_ahead.insert(row.interval.start, *row);
                    while self.day_ahead.len() > DAY_AHEAD_KEPT_MAX {
                        self.day_ahead.pop_first();
                    }
                }
                PriceKind::LookAhead => {
                    let newer = |old: &PriceRow| old.known_at > row.known_at;
                    if !self.foreseen.get(&row.interval.start).is_some_and(newer) {
                        self.foreseen.insert(row.interval.start, *row);
                    }
                    while self.foreseen.len() > FORESEEN_KEPT_MAX {
                        self.foreseen.pop_first();
                    }
                }
            }
            self.newest = self.newest.max(Some(row.known_at));
        }
    }

    /// Forgets what could be known only after a moment: the clock was set back to it.
    pub fn forget_after(&mut self, now: Time) {
        self.runs.retain(|r| r.known_at <= now);
        self.settlements.retain(|r| r.known_at <= now);
        self.day_ahead.retain(|_, r| r.known_at <= now);
        self.foreseen.retain(|_, r| r.known_at <= now);
        let known = self.runs.iter().chain(&self.settlements).chain(self.day_ahead.values());
        let known = known.chain(self.foreseen.values());
        self.newest = known.map(|r| r.known_at).max();
    }

    /// Whether the newest row is at most this old.
    #[must_use]
    pub fn fresh(&self, now: Time, stale_after: Span) -> bool {
        self.newest.is_some_and(|t| now.since(t) <= stale_after)
    }

    /// Expected settlement price of the interval that contains `now`, from dispatch runs: the
    /// past runs weighted by the seconds they were in force, the last one held to the end.
    #[must_use]
    pub fn expected_from_runs(&self, now: Time, settle_step: Span) -> Option<Expected> {
        let past = self.runs.iter().filter(|r| r.interval.start <= now);
        let last = past.clone().next_back()?;
        let price = time_weighted(past, now.interval(settle_step))?;
        let age = now.since(last.known_at);
        Some(Expected { price, latest: last.price, basis: Basis::RunningMean, age })
    }

    /// Expected settlement price from published settlement prices: the running interval's own,
    /// else the last published one carried on.
    #[must_use]
    pub fn expected_from_settlements(&self, now: Time) -> Option<Expected> {
        let row = self.settlements.iter().rev().find(|r| r.interval.start <= now)?;
        let basis =
            if row.interval.contains(now) { Basis::Published } else { Basis::LastPublished };
        let age = now.since(row.known_at);
        Some(Expected { price: row.price, latest: row.price, basis, age })
    }

    /// Day-ahead price of the hour that contains `now`.
    #[must_use]
    pub fn day_ahead_at(&self, now: Time) -> Option<Expected> {
        let (_, row) = self.day_ahead.range(..=now).next_back()?;
        row.interval.contains(now).then(|| Expected {
            price: row.price,
            latest: row.price,
            basis: Basis::DayAhead,
            age: now.since(row.known_at),
        })
    }

    /// Day-ahead rows from `now` on, in time order.
    pub fn day_ahead_from(&self, now: Time) -> impl Iterator<Item = &PriceRow> {
        self.day_ahead.values().filter(move |r| r.interval.end > now)
    }

    /// The newest foreseen price of each step that is not over, in time order.
    pub fn foreseen_from(&self, now: Time) -> impl Iterator<Item = &PriceRow> {
        self.foreseen.values().filter(move |r| r.interval.end > now)
    }

    /// The dispatch runs kept, in time order.
    #[must_use]
    pub fn runs(&self) -> &VecDeque<PriceRow> {
        &self.runs
    }

    /// The settlement prices kept, in time order.
    #[must_use]
    pub fn settlements(&self) -> &VecDeque<PriceRow> {
        &self.settlements
    }

    /// The day-ahead row of the hour that contains a moment.
    #[must_use]
    pub fn day_ahead_row(&self, at: Time) -> Option<&PriceRow> {
        let (_, row) = self.day_ahead.range(..=at).next_back()?;
        row.interval.contains(at).then_some(row)
    }

    /// The day-ahead rows in which the moments from `from` to `to` can lie, in time order: the last
    /// that begins at or before `from`, and those that begin until `to`.
    pub fn day_ahead_between(&self, from: Time, to: Time) -> impl Iterator<Item = &PriceRow> {
        let first = self.day_ahead.range(..=from).next_back().map_or(from, |(start, _)| *start);
        self.day_ahead.range(first..=to.max(first)).map(|(_, row)| row)
    }

    /// The published settlement price of an interval that starts at `start`.
    #[must_use]
    pub fn settled(&self, start: Time) -> Option<PriceRow> {
        self.settlements.iter().rev().find(|r| r.interval.start == start).copied()
    }
}

/// Mean price of an interval from its dispatch runs in time order, each weighted by the time it
/// was in force: from its stamp to the next one's, the last to the interval's end. `None` where
/// no run starts before that end.
///
/// ```text
///   12:00        12:05        12:10        12:15
///     |---- 21 ----|---- 23 ----|-- 9000 ----|     mean 3014.67
/// ```
#[must_use]
pub fn time_weighted<'a>(
    runs: impl DoubleEndedIterator<Item = &'a PriceRow>,
    interval: Interval,
) -> Option<Price> {
    let mut weighted: i128 = 0;
    let mut until = interval.end;
    let mut earliest = None;
    for run in runs.rev() {
        let from = run.interval.start.max(interval.start);
        if run.interval.start < interval.end {
            earliest = Some(run.price);
        }
        if from < until {
            weighted += i128::from(run.price.0) * i128::from(until.since(from).0);
            until = from;
        }
        if until <= interval.start {
            break;
        }
    }
    // A gap before the first known run is filled with that run: nothing better is known.
    let missing = until.since(interval.start).0.max(0);
    weighted += i128::from(earliest?.0) * i128::from(missing);
    Some(Price(to_i64(div_half_even(weighted, i128::from(interval.length().0)))))
}

fn insert(rows: &mut VecDeque<PriceRow>, row: PriceRow, max: usize) {
    let at = rows.partition_point(|r| r.interval.start < row.interval.start);
    match rows.get_mut(at) {
        Some(old) if old.interval.start == row.interval.start => *old = row,
        _ => rows.insert(at, row),
    }
    while rows.len() > max {
        rows.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: i64 = 1_000_000;

    fn run(second: i64, cents: i64) -> PriceRow {
        let start = Time::from_seconds(second);
        PriceRow {
            interval: Interval::starting(start, Span::minutes(5)),
            price: Price(cents * MICRO / 100),
            known_at: start + Span::seconds(20),
        }
    }

    /// The test vector of 2024-08-20 19:15 CDT at HB_HOUSTON: time-weighted 2345.2.
    #[test]
    fn the_published_spike_is_reproduced() {
        let base = 1_724_199_300; // 2024-08-21T00:15:00Z
        let mut book = FeedBook::default();
        let rows = [
            run(base - 157, 72_920),
            run(base + 13, 109_506),
            run(base + 313, 109_509),
            run(base + 611, 500_188),
            run(base + 735, 500_659),
        ];
        let late = Time::from_seconds(base + 899);
        book.take(PriceKind::Dispatch, &rows, late);
        let got = book.expected_from_runs(late, Span::minutes(15)).unwrap();
        assert_eq!(got.price.to_string(), "2345.17/MWh");
        let interval = Interval::starting(Time::from_seconds(base), Span::minutes(15));
        let mean = time_weighted(rows.iter(), interval).unwrap();
        assert_eq!(mean, got.price);
        // The published price less the mean is the adder of the whole system.
        let published = Price(2_398_100_000);
        let rounded = |p: Price| div_half_even(i128::from(p.0), 100_000);
        assert_eq!((rounded(mean), rounded(published - mean)), (23_452, 529));
        assert_eq!(time_weighted(rows[..0].iter(), interval), None);
        // A run from after the interval prices nothing in it.
        let after = [run(base + 900, 1)];
        assert_eq!(time_weighted(after.iter(), interval), None);
        assert_eq!(time_weighted(rows.iter().chain(&after), interval), Some(mean));
        // Before the jump the same interval looked far cheaper: runs still unknown are unseen.
        let mut early = FeedBook::default();
        let now = Time::from_seconds(base + 400);
        early.take(PriceKind::Dispatch, &rows, now);
        let got = early.expected_from_runs(now, Span::minutes(15)).unwrap();
        assert_eq!(got.price.to_string(), "1089.79/MWh");
    }

    #[test]
    fn a_later_posting_replaces_an_earlier_one() {
        let mut book = FeedBook::default();
        let now = Time::from_seconds(10_000);
        book.take(PriceKind::Settlement, &[run(900, 100), run(1800, 200)], now);
        book.take(PriceKind::Settlement, &[run(900, 300)], now);
        assert_eq!(book.settled(Time::from_seconds(900)).unwrap().price, Price(3 * MICRO));
        assert_eq!(book.settlements.len(), 2);
        let e = book.expected_from_settlements(now).unwrap();
        assert_eq!((e.price, e.basis), (Price(2 * MICRO), Basis::LastPublished));
    }

    #[test]
    fn nothing_is_seen_before_it_could_be_known() {
        let mut book = FeedBook::default();
        book.take(PriceKind::Dispatch, &[run(100, 5)], Time::from_seconds(110));
        assert_eq!(book, FeedBook::default());
    }
}

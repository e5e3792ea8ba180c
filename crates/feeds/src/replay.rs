//! Walks through recorded prices in the order in which they could be known.
//!
//! A [`Replay`] gives a row only to one who names a moment at or after its `known_at`: there is
//! no other way to its rows, so nothing that is replayed can have foreknowledge.

use crate::parse::{Parsed, SeriesKind};
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::time::Time;
use std::collections::{BTreeMap, VecDeque};

/// Prices of one kind that become known together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// When they could be known.
    pub known_at: Time,
    /// What they are prices of.
    pub kind: PriceKind,
    /// The prices in time order.
    pub rows: Vec<PriceRow>,
}

/// Recorded prices of one point, not yet seen.
#[derive(Debug, Default)]
pub struct Replay {
    ahead: VecDeque<Known>,
    ends_at: Option<Time>,
}

impl Replay {
    /// Takes the prices of a point out of parsed files; of one interval told by two files of
    /// one kind the later file counts, and series without a name are of the point.
    #[must_use]
    pub fn new<'a>(files: impl IntoIterator<Item = &'a Parsed>, point: &SettlementPoint) -> Self {
        let mut rows: BTreeMap<(PriceKind, Time, Time), PriceRow> = BTreeMap::new();
        for file in files {
            let unnamed = SettlementPoint { name: String::new(), kind: String::new() };
            for series in file.series.iter().filter(|s| s.is_of(point) || s.is_of(&unnamed)) {
                // Reserve and adders are no prices the engine may act on.
                // Several runs foresee one step, and each of them was known in its time.
                let run = |row: &PriceRow| match series.kind {
                    SeriesKind::LookAhead => row.known_at,
                    _ => Time::MIN,
                };
                let Some(kind) = series.kind.price_kind() else { continue };
                let key = |row: &PriceRow| (kind, row.interval.start, run(row));
                rows.extend(series.rows.iter().map(|row| (key(row), *row)));
            }
        }
        let mut batches: BTreeMap<(Time, PriceKind), Vec<PriceRow>> = BTreeMap::new();
        for ((kind, _, _), row) in rows {
            batches.entry((row.known_at, kind)).or_default().push(row);
        }
        let ends_at = batches.keys().next_back().map(|(at, _)| *at);
        let batch = |((known_at, kind), rows)| Known { known_at, kind, rows };
        Self { ahead: batches.into_iter().map(batch).collect(), ends_at }
    }

    /// When the next price becomes known; `None` when all have been seen.
    #[must_use]
    pub fn next_at(&self) -> Option<Time> {
        self.ahead.front().map(|k| k.known_at)
    }

    /// When the last price becomes known; `None` when there never was one.
    #[must_use]
    pub fn ends_at(&self) -> Option<Time> {
        self.ends_at
    }

    /// Hands over what became known up to and at `now`, once; `None` when nothing did.
    pub fn due(&mut self, now: Time) -> Option<Vec<Known>> {
        let mut out = Vec::new();
        while self.next_at().is_some_and(|at| at <= now) {
            out.extend(self.ahead.pop_front());
        }
        (!out.is_empty()).then_some(out)
    }
}

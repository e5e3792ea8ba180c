//! Two settlements of the same intervals: what a correction changed.

use super::input::Quote;
use super::statement::{Settled, Statement};
use crate::time::Interval;
use crate::units::Money;
use serde::{Deserialize, Serialize};

/// One interval that settles differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub interval: Interval,
    /// Price before; `None` where it was not settled.
    pub before: Option<Quote>,
    /// Price after; `None` where it is not settled any more.
    pub after: Option<Quote>,
    /// Profit before, zero where it was not settled.
    pub profit_before: Money,
    /// Profit after, zero where it is not settled.
    pub profit_after: Money,
}

impl Change {
    /// What the correction brings.
    #[must_use]
    pub fn delta(&self) -> Money {
        self.profit_after - self.profit_before
    }
}

/// What a correction changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Intervals that differ, in time order.
    pub changes: Vec<Change>,
    /// Sum of their deltas: profit after less profit before.
    pub total: Money,
}

/// Compares two settlements.
#[must_use]
pub fn difference(before: &Statement, after: &Statement) -> Difference {
    let (mut a, mut b) = (before.intervals.iter().peekable(), after.intervals.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let (old, new): (Option<&Settled>, Option<&Settled>) = match (a.peek(), b.peek()) {
            (None, None) => break,
            (Some(_), None) => (a.next(), None),
            (None, Some(_)) => (None, b.next()),
            (Some(x), Some(y)) => match x.interval.start.cmp(&y.interval.start) {
                std::cmp::Ordering::Less => (a.next(), None),
                std::cmp::Ordering::Greater => (None, b.next()),
                std::cmp::Ordering::Equal => (a.next(), b.next()),
            },
        };
        let change = Change {
            interval: old.or(new).expect("one of the two is there").interval,
            before: old.map(|s| s.quote),
            after: new.map(|s| s.quote),
            profit_before: old.map_or(Money::ZERO, Settled::profit),
            profit_after: new.map_or(Money::ZERO, Settled::profit),
        };
        let price = |q: Option<Quote>| q.map(|q| q.price);
        if change.delta() != Money::ZERO || price(change.before) != price(change.after) {
            changes.push(change);
        }
    }
    let total = changes.iter().map(Change::delta).sum();
    Difference { changes, total }
}

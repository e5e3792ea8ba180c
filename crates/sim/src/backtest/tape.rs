//! Recorded prices of one point: as they became known, and as they settled.

use headgate_core::event::Hashprice;
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::time::{Interval, Span, Time};

/// Prices of one kind that became known together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When they could be known.
    pub at: Time,
    /// What they are prices of.
    pub kind: PriceKind,
    /// The prices, in time order; each one's own `known_at` is `at` or before.
    pub rows: Vec<PriceRow>,
}

/// Recorded prices of one point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tape {
    /// Where.
    pub point: SettlementPoint,
    /// The span to be lived through, on settlement boundaries.
    pub span: Interval,
    /// Step of decisions: the finest step at which prices are told.
    pub step: Span,
    /// Step of settlement.
    pub settle_step: Span,
    /// Everything told, in order of time; what was known before the span begins comes first and
    /// is told at its beginning.
    pub told: Vec<Told>,
    /// What each settlement interval of the span settled at, in order and without a gap; each
    /// row's `known_at` says when that was known.
    pub settled: Vec<PriceRow>,
    /// What the work was worth, as it became known; empty where the site has fixed values.
    pub values: Vec<Hashprice>,
}

/// Rows and when each is told, as batches in order of time; rows of one kind that are told at the
/// same moment come together.
pub(crate) fn batches(mut rows: Vec<(Time, PriceKind, PriceRow)>) -> Vec<Told> {
    rows.sort_by_key(|(at, kind, row)| (*at, *kind, row.interval.start));
    let of = |all: &[(Time, PriceKind, PriceRow)]| Told {
        at: all[0].0,
        kind: all[0].1,
        rows: all.iter().map(|(_, _, row)| *row).collect(),
    };
    let batches = || rows.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
    let mut told = Vec::with_capacity(batches().count());
    told.extend(batches().map(of));
    told
}

//! A point's prices as rows, from which the tape of any span is made.

use crate::backtest::{Tape, Told, batches};
use headgate_core::event::Hashprice;
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint, time_weighted};
use headgate_core::time::{Interval, Span, Time};

/// How long before a span prices count as its history.
pub const HISTORY: Span = Span::hours(24 * 8);

/// Prices of one point, each kind in order of time and each interval once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prices {
    /// Dispatch runs.
    pub dispatch: Vec<PriceRow>,
    /// Published settlement prices.
    pub settlement: Vec<PriceRow>,
    /// Day-ahead prices.
    pub day_ahead: Vec<PriceRow>,
    /// Foreseen prices, each step as often as a run foresaw it.
    pub look_ahead: Vec<PriceRow>,
}

/// A point's prices and what its energy settled at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    point: SettlementPoint,
    settle_step: Span,
    step: Span,
    prices: Prices,
    settled: Vec<PriceRow>,
}

/// An interval that nothing says the price of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a settlement price nor a dispatch run covers {0}")]
pub struct GapError(pub Interval);

impl Prices {
    fn of(&self, kind: PriceKind) -> &[PriceRow] {
        match kind {
            PriceKind::Dispatch => &self.dispatch,
            PriceKind::Settlement => &self.settlement,
            PriceKind::DayAhead => &self.day_ahead,
            PriceKind::LookAhead => &self.look_ahead,
        }
    }
}

/// The rows that begin within an interval.
pub(super) fn within(rows: &[PriceRow], interval: Interval) -> &[PriceRow] {
    let at = |t: Time| rows.partition_point(|r| r.interval.start < t);
    &rows[at(interval.start)..at(interval.end).max(at(interval.start))]
}

impl Book {
    /// Makes a book; an interval without a published settlement price settles at the
    /// time-weighted mean of its runs, known when it ends.
    #[must_use]
    pub fn new(
        point: SettlementPoint,
        dispatch_step: Span,
        settle_step: Span,
        prices: Prices,
    ) -> Self {
        let step = if prices.dispatch.is_empty() { settle_step } else { dispatch_step };
        let settled = settled(&prices, settle_step);
        Self { point, settle_step, step, prices, settled }
    }

    /// A book whose settled prices are given, and not worked out.
    pub(super) fn with_settled(&self, prices: Prices, settled: Vec<PriceRow>) -> Self {
        Self { point: self.point.clone(), prices, settled, ..*self }
    }

    /// The book as it was at a moment: without what was not known by then.
    #[must_use]
    pub fn known_by(&self, at: Time) -> Self {
        let known = |rows: &[PriceRow]| rows.iter().filter(|r| r.known_at <= at).copied().collect();
        let p = &self.prices;
        let prices = Prices {
            dispatch: known(&p.dispatch),
            settlement: known(&p.settlement),
            day_ahead: known(&p.day_ahead),
            look_ahead: known(&p.look_ahead),
        };
        Self::new(self.point.clone(), self.step, self.settle_step, prices)
    }

    /// Which kinds of price it has.
    #[must_use]
    pub fn kinds(&self) -> Vec<PriceKind> {
        let has = |k: &PriceKind| !self.prices.of(*k).is_empty();
        PriceKind::ALL.into_iter().filter(has).collect()
    }

    /// Where.
    #[must_use]
    pub fn point(&self) -> &SettlementPoint {
        &self.point
    }

    /// Step of settlement.
    #[must_use]
    pub fn settle_step(&self) -> Span {
        self.settle_step
    }

    /// Step of decisions.
    #[must_use]
    pub fn step(&self) -> Span {
        self.step
    }

    /// Its prices as they became known.
    #[must_use]
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// What energy settled at, in order of time.
    #[must_use]
    pub fn settled(&self) -> &[PriceRow] {
        &self.settled
    }

    /// From the first settled interval to the last; `None` where there is none.
    #[must_use]
    pub fn covered(&self) -> Option<Interval> {
        let (first, last) = (self.settled.first()?, self.settled.last()?);
        Some(Interval { start: first.interval.start, end: last.interval.end })
    }

    /// The first interval of a span without a settled price; `None` where there is none.
    #[must_use]
    pub fn gap(&self, span: Interval) -> Option<Interval> {
        let mut due = span.start;
        for row in within(&self.settled, span) {
            if row.interval.start != due {
                break;
            }
            due = row.interval.end;
        }
        (due < span.end).then(|| Interval::starting(due, self.settle_step))
    }

    /// The parts of a span in which every interval has a settled price, in order.
    #[must_use]
    pub fn pieces(&self, span: Interval) -> Vec<Interval> {
        let mut all: Vec<Interval> = Vec::new();
        for row in within(&self.settled, span).iter().filter(|r| r.interval.end <= span.end) {
            match all.last_mut() {
                Some(last) if last.end == row.interval.start => last.end = row.interval.end,
                _ => all.push(row.interval),
            }
        }
        all
    }

    /// Whether a day can be lived through again: every interval settled, and told by whichever
    /// kinds of price the book has at all.
    #[must_use]
    pub fn is_whole(&self, day: Interval) -> bool {
        if self.gap(day).is_some() {
            return false;
        }
        let covered = |kind: PriceKind| {
            let rows = self.prices.of(kind);
            let mut reached = day.start;
            for row in within(rows, day) {
                // A run stands until the next one, which may be late by as much as it is long.
                let slack = match kind {
                    PriceKind::Dispatch => Span(2 * self.step.0),
                    _ => Span::ZERO,
                };
                if row.interval.start > reached + slack {
                    return false;
                }
                reached = reached.max(row.interval.end);
            }
            rows.is_empty() || reached + Span(2 * self.step.0) >= day.end
        };
        covered(PriceKind::Dispatch) && covered(PriceKind::DayAhead)
    }

    /// The tape of a span, with what was known before it.
    ///
    /// # Errors
    /// [`GapError`] names the first interval without a settled price.
    pub fn tape(&self, span: Interval, values: &[Hashprice]) -> Result<Tape, GapError> {
        Ok(Tape { told: self.told(span), ..self.settled_tape(span, values)? })
    }

    /// What energy of a span settles at, for hindsight alone: a tape that tells nothing.
    ///
    /// # Errors
    /// As [`Book::tape`].
    pub fn settled_tape(&self, span: Interval, values: &[Hashprice]) -> Result<Tape, GapError> {
        if let Some(gap) = self.gap(span) {
            return Err(GapError(gap));
        }
        Ok(Tape {
            point: self.point.clone(),
            span,
            step: self.step,
            settle_step: self.settle_step,
            told: Vec::new(),
            settled: within(&self.settled, span).to_vec(),
            values: values_within(values, span),
        })
    }

    fn told(&self, span: Interval) -> Vec<Told> {
        let mut rows: Vec<(Time, PriceKind, PriceRow)> = Vec::new();
        for kind in PriceKind::ALL {
            for row in self.prices.of(kind) {
                if row.known_at >= span.start - HISTORY && row.known_at < span.end {
                    rows.push((row.known_at.max(span.start), kind, *row));
                }
            }
        }
        batches(rows)
    }
}

/// The last value known at a span's beginning and those that follow in it.
fn values_within(values: &[Hashprice], span: Interval) -> Vec<Hashprice> {
    let first = values.partition_point(|v| v.known_at <= span.start).saturating_sub(1);
    let after = values.partition_point(|v| v.known_at < span.end);
    values.get(first..after.max(first)).unwrap_or_default().to_vec()
}

fn settled(prices: &Prices, step: Span) -> Vec<PriceRow> {
    let published = prices.settlement.iter().filter(|r| r.interval.length() == step);
    let mut all: Vec<PriceRow> = published.copied().collect();
    let (Some(first), Some(last)) = (prices.dispatch.first(), prices.dispatch.last()) else {
        return all;
    };
    let mut interval = first.interval.start.interval(step);
    let mut made = Vec::new();
    while interval.end <= last.interval.end {
        let known = all.binary_search_by_key(&interval.start, |r| r.interval.start).is_ok();
        let own = within(&prices.dispatch, interval);
        if !known && !own.is_empty() {
            // The run before is in force until the interval's own first one.
            let at = prices.dispatch.partition_point(|r| r.interval.start < interval.start);
            let runs = &prices.dispatch[at.saturating_sub(1)..at + own.len()];
            if let Some(price) = time_weighted(runs.iter(), interval) {
                made.push(PriceRow { interval, price, known_at: interval.end });
            }
        }
        interval = Interval::starting(interval.end, step);
    }
    all.extend(made);
    all.sort_by_key(|r| r.interval.start);
    all
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DAY, day, ercot};
    use super::*;
    use headgate_core::units::Price;

    #[test]
    fn a_tape_holds_its_span_and_tells_history_at_its_beginning() {
        let book = ercot(10);
        let span = Interval { start: day(8), end: day(9) };
        let tape = book.tape(span, &[]).unwrap();
        assert_eq!((tape.settled.len(), tape.step), (96, Span::minutes(5)));
        assert_eq!(tape.settled[0].interval.start, span.start);
        let early = tape.told.iter().take_while(|t| t.at == span.start).count();
        assert_eq!(early, 3, "one batch of each kind");
        assert!(tape.told.is_sorted_by_key(|t| (t.at, t.kind)));
        for told in &tape.told {
            assert!(told.at >= span.start && told.at < span.end);
            assert!(told.rows.iter().all(|r| r.known_at <= told.at));
            assert!(told.rows.iter().all(|r| r.known_at == told.at || told.at == span.start));
        }
    }

    #[test]
    fn what_was_not_published_is_the_mean_of_its_runs() {
        let mut prices = ercot(2).prices().clone();
        let published = prices.settlement.remove(10);
        let book = Book::new(ercot(1).point().clone(), Span::minutes(5), Span::minutes(15), prices);
        assert_eq!(book.gap(Interval { start: day(0), end: day(2) }), None);
        let row = book.settled()[10];
        assert_eq!((row.interval, row.known_at), (published.interval, published.interval.end));
        assert_ne!(row.price, Price(0));
    }

    #[test]
    fn a_gap_is_named_and_its_day_is_not_whole() {
        let mut prices = ercot(3).prices().clone();
        prices.settlement.remove(100);
        prices.dispatch.clear();
        let point = ercot(1).point().clone();
        let book = Book::new(point, Span::minutes(5), Span::minutes(15), prices);
        let span = Interval { start: day(0), end: day(3) };
        assert_eq!(
            book.tape(span, &[]).unwrap_err().to_string(),
            "neither a settlement price nor a dispatch run covers \
             [2024-01-02T01:00:00Z, 2024-01-02T01:15:00Z)"
        );
        let whole = |n| book.is_whole(Interval::starting(day(n), DAY));
        assert_eq!([whole(0), whole(1), whole(2)], [true, false, true]);
    }
}

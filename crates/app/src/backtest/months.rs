//! A back-test by months of the market's calendar: one life through all of them, cut up.

use super::case::Case;
use crate::settle::months as calendar;
use headgate_core::time::{Interval, SECOND};
use headgate_core::units::Money;
use headgate_sim::backtest::{Comparison, Name, Statement};

/// One month, or the part of it within the span.
pub struct Month {
    /// Year and month, such as 2024-03.
    pub name: String,
    pub span: Interval,
    pub policies: Vec<InMonth>,
}

/// What one policy did in a month.
pub struct InMonth {
    pub name: Name,
    pub profit: Money,
    pub starts: u64,
    /// Its share of what hindsight earned in the month beyond always-on, on its way through the
    /// whole span; `None` where that is nothing.
    pub capture: Option<f64>,
}

/// All months of a back-test.
///
/// # Errors
/// When the span lies outside the calendar.
pub fn months(case: &Case, c: &Comparison) -> anyhow::Result<Vec<Month>> {
    let zone = case.market.zone();
    let span = case.tape.span;
    let mut out = Vec::new();
    for (_, whole) in calendar(zone, span)? {
        let span = Interval { start: whole.start.max(span.start), end: whole.end.min(span.end) };
        let at = |t| case.tape.settled.partition_point(|r| r.interval.start < t);
        let within = at(span.start)..at(span.end);
        let profit = |s: &Statement| -> Money { within.clone().map(|i| s.profit_of(i)).sum() };
        let (foot, head) = (profit(&c.always_on), profit(&c.best));
        let most = (head - foot).0;
        let policy = |row: &headgate_sim::backtest::Scored| {
            let profit = profit(&row.statement);
            let own = row.run.segments.iter().filter(|s| span.contains(s.interval.start));
            InMonth {
                name: row.name,
                profit,
                starts: own.map(|s| u64::from(s.starts)).sum(),
                capture: (most > 0).then(|| (profit - foot).0 as f64 / most as f64),
            }
        };
        let begin = jiff::Timestamp::from_second(whole.start.0.div_euclid(SECOND))?;
        let name = zone.to_datetime(begin).strftime("%Y-%m").to_string();
        out.push(Month { name, span, policies: c.rows.iter().map(policy).collect() });
    }
    Ok(out)
}

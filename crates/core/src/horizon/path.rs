//! The path of prices a plan is made on: what is known of it, and what is expected of the rest.
//!
//! ```text
//!  now   |  running interval  |   foreseen by the market   |   towards the day-ahead curve  ..
//!        |  mean of its runs  |   (where it publishes so)  |   latest + (its gap) x decay^k
//! ```
//!
//! Energy settles at the mean of its settlement interval, so each step's price here is the
//! expected price of the settlement interval it lies in. The decay and the weight of the
//! day-ahead curve are not fitted: a trained model is what does better.

use crate::market::{FeedBook, time_weighted};
use crate::number::{div_half_even, to_i64};
use crate::time::{Interval, Span, Time};
use crate::units::Price;

/// How much of its distance from the day-ahead curve a price keeps over a quarter of an hour, in
/// parts per million (AR(1) of ERCOT hubs, policy notes: 0.8 to 0.9).
const KEEPS_PPM: i64 = 850_000;
/// The span that decay is for.
const KEEPS_OVER: Span = Span::minutes(15);
/// A foreseen price older than this is not used: the next look-ahead run should have come.
pub const FORESEEN_FRESH: Span = Span::minutes(11);
/// Most steps of a path: four days of five-minute steps.
pub const PATH_STEPS_MAX: usize = 1_152;

/// How a price of the path came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The running settlement interval: its runs so far, the last one held to its end.
    Running,
    /// The market's own look-ahead run.
    Foreseen,
    /// The day-ahead curve, and what is left of the present distance from it.
    DayAhead,
    /// The latest price carried on, as no day-ahead price is known.
    CarriedOn,
}

impl Source {
    /// The name used in tables and documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Foreseen => "foreseen",
            Self::DayAhead => "day_ahead",
            Self::CarriedOn => "carried_on",
        }
    }
}

/// One step of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub interval: Interval,
    /// Expected settlement price of its energy.
    pub price: Price,
    /// Day-ahead price of its hour, where one is known.
    pub day_ahead: Option<Price>,
    /// How the price came about.
    pub source: Source,
}

/// The expected path from the step that contains `now` on; `None` where no real-time price is
/// known.
#[must_use]
pub fn expected(
    book: &FeedBook,
    now: Time,
    step: Span,
    settle_step: Span,
    steps: usize,
) -> Option<Vec<Step>> {
    let run = book.runs().iter().rev().find(|r| r.interval.start <= now);
    let settled = book.settlements().iter().rev().find(|r| r.interval.start <= now);
    let latest = run.or(settled)?.price;
    let begin = now.interval(step).start;
    let ahead_of = |at: Time| book.day_ahead_row(at).map(|r| r.price);
    let mut gap = ahead_of(now).map(|d| latest - d);
    let mut out: Vec<Step> = Vec::with_capacity(steps.min(PATH_STEPS_MAX));
    for k in 0..steps.min(PATH_STEPS_MAX) {
        let interval = Interval::starting(begin + Span(step.0 * to_i64(k as i128)), step);
        let foreseen = book.foreseen_from(now).find(|r| {
            r.interval.contains(interval.start) && now.since(r.known_at) <= FORESEEN_FRESH
        });
        let day_ahead = ahead_of(interval.start);
        let (price, source) = match (foreseen, day_ahead, gap) {
            (Some(f), _, _) => (f.price, Source::Foreseen),
            (None, Some(d), Some(g)) => (d + g, Source::DayAhead),
            _ => (latest, Source::CarriedOn),
        };
        gap = gap.map(|g| decayed(g, step));
        out.push(Step { interval, price, day_ahead, source });
    }
    settle(&mut out, book, now, settle_step);
    Some(out)
}

/// What is left of a distance after one step: the decay over a longer span, by the straight line.
fn decayed(gap: Price, step: Span) -> Price {
    let over = i128::from(KEEPS_OVER.0);
    let lost = i128::from(1_000_000 - KEEPS_PPM) * i128::from(step.0);
    let keeps = (1_000_000 * over - lost).max(0);
    Price(to_i64(div_half_even(i128::from(gap.0) * keeps, 1_000_000 * over)))
}

/// Gives each step the mean price of its settlement interval.
fn settle(path: &mut [Step], book: &FeedBook, now: Time, settle_step: Span) {
    let running = now.interval(settle_step);
    let runs = book.runs().iter().filter(|r| r.interval.start <= now);
    let settled = book.settled(running.start).map(|r| r.price);
    let has_run = runs.clone().next().is_some();
    let known = settled.or(if has_run { time_weighted(runs, running) } else { None });
    let same = |s: &Step, i: Interval| s.interval.start.interval(settle_step) == i;
    let mut from = 0;
    while from < path.len() {
        let interval = path[from].interval.start.interval(settle_step);
        let count = path[from..].iter().take_while(|s| same(s, interval)).count();
        let these = &mut path[from..from + count];
        if interval == running
            && let Some(price) = known
        {
            for s in these.iter_mut() {
                (s.price, s.source) = (price, Source::Running);
            }
        } else {
            let sum: i128 = these.iter().map(|s| i128::from(s.price.0)).sum();
            let mean = Price(to_i64(div_half_even(sum, these.len() as i128)));
            these.iter_mut().for_each(|s| s.price = mean);
        }
        from += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{PriceKind, PriceRow};

    const START: Time = Time::from_seconds(1_724_198_400);

    fn row(minute: i64, length: i64, usd: i64, known: i64) -> PriceRow {
        let interval = Interval::starting(START + Span::minutes(minute), Span::minutes(length));
        let known_at = START + Span::minutes(known);
        PriceRow { interval, price: Price(usd * 1_000_000), known_at }
    }

    fn shown(book: &FeedBook, now: i64, steps: usize) -> String {
        let now = START + Span::minutes(now);
        let path = expected(book, now, Span::minutes(5), Span::minutes(15), steps).unwrap();
        let text = |s: &Step| format!("{} {}", s.price, s.source.name());
        path.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_path_is_what_is_known_then_foreseen_then_reverting() {
        let mut book = FeedBook::default();
        let now = START + Span::minutes(6);
        book.take(PriceKind::Dispatch, &[row(0, 5, 40, 0), row(5, 5, 100, 5)], now);
        book.take(PriceKind::DayAhead, &[row(0, 60, 50, -600), row(60, 60, 30, -600)], now);
        insta::assert_snapshot!(shown(&book, 6, 5), @r"
        80.00/MWh running
        80.00/MWh running
        92.90/MWh day_ahead
        92.90/MWh day_ahead
        92.90/MWh day_ahead
        ");
        book.take(PriceKind::LookAhead, &[row(15, 5, 70, 6), row(20, 5, 130, 6)], now);
        insta::assert_snapshot!(shown(&book, 6, 5), @r"
        80.00/MWh running
        80.00/MWh running
        96.90/MWh foreseen
        96.90/MWh foreseen
        96.90/MWh day_ahead
        ");
        assert_eq!(
            expected(&FeedBook::default(), now, Span::minutes(5), Span::minutes(15), 3),
            None
        );
    }
}

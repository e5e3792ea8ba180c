//! Conventions of knowledge: when a tape's real-time prices are told to the policies.
//!
//! ```text
//!        12:00        12:05        12:10        12:15        a quarter hour settled by its mean
//!   live   |-r1----------|-r2---------|-r3---------| s         each run and price when it is out
//!   B2     r1            r2           r3           | s         each run at its step's beginning
//!   B1     r1                                      s           the first run alone
//!   A      s                                                   what it settles at, in advance
//! ```
//!
//! All but the first are easier than life and stand beside it for comparison with the figures of
//! others. The day-ahead curve and what a market foresees are told by each as they are live.

use super::tape::{Tape, batches};
use headgate_core::market::{PriceKind, PriceRow, time_weighted};
use headgate_core::time::{Interval, Time};
use headgate_core::units::Price;

/// By which convention real-time prices are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Known {
    /// Each price from the moment on at which it could be known.
    #[default]
    Live,
    /// Every dispatch run at the beginning of the step it is stamped in.
    B2,
    /// The first dispatch run of each settlement interval at that interval's beginning, with what
    /// the one before settled at; one decision an interval.
    B1,
    /// What each settlement interval settles at, at its beginning; one decision an interval.
    A,
}

/// A row, of what kind it is, and when it is told.
type TellAt = (Time, PriceKind, PriceRow);

impl Known {
    /// Every convention, from life to the easiest.
    pub const ALL: [Self; 4] = [Self::Live, Self::B2, Self::B1, Self::A];

    /// As scripts have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::B2 => "b2",
            Self::B1 => "b1",
            Self::A => "a",
        }
    }

    /// What a reader of a result must know of it; `None` where prices are told as in life.
    #[must_use]
    pub fn caveat(self) -> Option<&'static str> {
        match self {
            Self::Live => None,
            Self::B2 => Some(
                "known by convention B2: every dispatch run is told at the beginning of its step, \
                 not attainable by the seconds until it is out; for comparison with others only",
            ),
            Self::B1 => Some(
                "known by convention B1: one decision an interval, on its first dispatch run, told \
                 at the interval's beginning, not attainable by the seconds until it is out; for \
                 comparison with others only",
            ),
            Self::A => Some(
                "known by convention A: each interval's settlement price is told at its \
                 beginning, not attainable, as nobody has it then; for comparison with others only",
            ),
        }
    }

    /// Whether it tells dispatch runs, so that a tape without any has nothing to tell.
    #[must_use]
    pub fn needs_runs(self) -> bool {
        matches!(self, Self::B1 | Self::B2)
    }

    /// Tells a tape by this convention. What is told early says that it was known then, so that
    /// its age counts from there; what energy settled at, and when that was known, stays.
    #[must_use]
    pub fn retold(self, mut tape: Tape) -> Tape {
        let rows = match self {
            Self::Live => return tape,
            Self::B2 => runs_at_their_step(&tape),
            Self::B1 => first_runs(&tape),
            Self::A => settled_in_advance(&tape),
        };
        if self != Self::B2 {
            tape.step = tape.settle_step;
        }
        tape.told = batches(rows);
        tape
    }
}

/// All rows told of some kinds, as they are told.
fn told<'a>(tape: &'a Tape, kinds: &'a [PriceKind]) -> impl Iterator<Item = TellAt> + 'a {
    let of = tape.told.iter().filter(|t| kinds.contains(&t.kind));
    of.flat_map(|t| t.rows.iter().map(|row| (t.at, t.kind, *row)))
}

/// The dispatch runs of a tape, in order of their stamps.
fn runs(tape: &Tape) -> Vec<PriceRow> {
    let mut all: Vec<PriceRow> =
        told(tape, &[PriceKind::Dispatch]).map(|(_, _, row)| row).collect();
    all.sort_by_key(|r| r.interval.start);
    all
}

/// A row known at a moment and told then, or when the tape's span begins.
fn at(tape: &Tape, kind: PriceKind, row: PriceRow, known_at: Time) -> TellAt {
    (known_at.max(tape.span.start), kind, PriceRow { known_at, ..row })
}

fn runs_at_their_step(tape: &Tape) -> Vec<TellAt> {
    let others = [PriceKind::Settlement, PriceKind::DayAhead, PriceKind::LookAhead];
    let mut rows: Vec<TellAt> = told(tape, &others).collect();
    let mut last = None;
    for run in runs(tape) {
        let stamp = run.interval.start;
        let step = stamp.interval(tape.step);
        // A further run in the same step, made out of turn, is told at its stamp.
        let known_at = if last == Some(step) { stamp } else { step.start };
        last = Some(step);
        let interval = Interval { start: known_at, end: run.interval.end };
        rows.push(at(tape, PriceKind::Dispatch, PriceRow { interval, ..run }, known_at));
    }
    rows
}

/// The first run of each interval stands for its price until what it settled at takes its place:
/// what has settled and the next run come in one message, as one decision is made on both.
fn first_runs(tape: &Tape) -> Vec<TellAt> {
    let mut rows = without_real_time(tape);
    let runs = runs(tape);
    rows.extend(history(tape));
    let mut over: Vec<PriceRow> = Vec::new();
    let mut before: Option<&PriceRow> = None;
    for row in &tape.settled {
        let from = runs.partition_point(|r| r.interval.start < row.interval.start);
        if let Some(first) = runs.get(from).filter(|r| row.interval.contains(r.interval.start)) {
            let adder = before.map_or(Price::ZERO, |settled| adder(&runs[..from], settled));
            let stands = PriceRow { price: first.price + adder, ..*row };
            let known_at = first.interval.start.interval(tape.step).start;
            let all = over.drain(..).chain([stands]);
            rows.extend(all.map(|row| at(tape, PriceKind::Settlement, row, known_at)));
        } else {
            // With no run to wait for, what has settled is told alone.
            let start = row.interval.start;
            rows.extend(over.drain(..).map(|row| at(tape, PriceKind::Settlement, row, start)));
        }
        over.push(*row);
        before = Some(row);
    }
    rows
}

/// What an interval settled at above the mean of its runs.
fn adder(runs: &[PriceRow], settled: &PriceRow) -> Price {
    let within = runs.iter().any(|r| settled.interval.contains(r.interval.start));
    let mean = within.then(|| time_weighted(runs.iter(), settled.interval)).flatten();
    mean.map_or(Price::ZERO, |mean| settled.price - mean)
}

fn settled_in_advance(tape: &Tape) -> Vec<TellAt> {
    let mut rows = without_real_time(tape);
    rows.extend(history(tape));
    let early = |row: &PriceRow| at(tape, PriceKind::Settlement, *row, row.interval.start);
    rows.extend(tape.settled.iter().map(early));
    rows
}

fn without_real_time(tape: &Tape) -> Vec<TellAt> {
    told(tape, &[PriceKind::DayAhead, PriceKind::LookAhead]).collect()
}

/// What settled before the span begins, known when it was over.
fn history(tape: &Tape) -> impl Iterator<Item = TellAt> {
    let all = told(tape, &[PriceKind::Settlement]).map(|(_, kind, row)| (kind, row));
    let past = all.filter(|(_, row)| row.interval.end <= tape.span.start);
    past.map(|(kind, row)| at(tape, kind, row, row.known_at.min(row.interval.end)))
}

#[cfg(test)]
mod tests {
    use super::super::tape::Told;
    use super::*;
    use headgate_core::market::SettlementPoint;
    use headgate_core::time::Span;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const HOUR: Span = Span::hours(1);

    fn price(usd: i64) -> Price {
        Price(usd * 1_000_000)
    }

    /// A tape of runs so many seconds after an hour before the span's beginning, each with its
    /// price; of quarter hours that settle a dollar above the last run's price before their end;
    /// and of one day-ahead price an hour.
    fn tape(runs: &[(i64, i64)], hours: i64) -> Tape {
        let begin = Time::from_seconds(1_704_866_400);
        let span = Interval { start: begin + HOUR, end: begin + Span(HOUR.0 * (1 + hours)) };
        let mut rows = Vec::new();
        for (second, usd) in runs {
            let stamp = begin + Span::seconds(*second);
            let step = Interval { start: stamp, end: stamp.interval(Span::minutes(5)).end };
            let known_at = stamp + Span::seconds(20);
            let row = PriceRow { interval: step, price: price(*usd), known_at };
            rows.push((known_at, PriceKind::Dispatch, row));
        }
        let mut settled = Vec::new();
        for quarter in 0..4 * (1 + hours) {
            let interval =
                Interval::starting(begin + Span::minutes(15 * quarter), Span::minutes(15));
            let before = |r: &&TellAt| r.2.interval.start < interval.end;
            let last = rows.iter().filter(before).map(|r| r.2.price).next_back();
            let price = last.unwrap_or(Price::ZERO) + price(1);
            let row = PriceRow { interval, price, known_at: interval.end + Span::minutes(2) };
            settled.push(row);
        }
        let posted = |r: &PriceRow| (r.known_at, PriceKind::Settlement, *r);
        let mut all: Vec<TellAt> = settled.iter().map(posted).collect();
        for hour in 0..1 + hours {
            let interval = Interval::starting(begin + Span(HOUR.0 * hour), HOUR);
            let known_at = interval.start - Span::minutes(30);
            let row = PriceRow { interval, price: price(30), known_at };
            all.push((known_at, PriceKind::DayAhead, row));
        }
        all.extend(rows);
        all.retain(|(at, ..)| *at < span.end);
        all.iter_mut().for_each(|(at, ..)| *at = (*at).max(span.start));
        Tape {
            point: SettlementPoint { name: "P".into(), kind: String::new() },
            span,
            step: Span::minutes(5),
            settle_step: Span::minutes(15),
            told: batches(all),
            settled: settled.split_off(4),
            values: Vec::new(),
        }
    }

    /// The minutes and seconds after the span's beginning at which real-time prices are told, of
    /// which steps, at how many dollars.
    #[track_caller]
    fn check(known: Known, tape: &Tape, expect: &str) {
        let retold = known.retold(tape.clone());
        let mut text = String::new();
        let clock = |t: Time| {
            let s = t.since(tape.span.start).as_seconds();
            format!("{:02}:{:02}", s.div_euclid(60), s.rem_euclid(60))
        };
        for told in retold.told.iter().filter(|t| t.kind != PriceKind::DayAhead) {
            // History is as it is.
            let new = told.rows.iter().filter(|r| r.interval.end > tape.span.start);
            let rows: Vec<String> = new
                .map(|r| format!("{} {}", clock(r.interval.start), r.price.0 / 1_000_000))
                .collect();
            if !rows.is_empty() {
                text += &format!("{} {:?} {}\n", clock(told.at), told.kind, rows.join(", "));
            }
        }
        assert_eq!(text, expect, "{known:?}");
    }

    /// Runs 12 s into their steps at 10, 11, 12 ... dollars, the first an hour before the span, and
    /// one out of turn, two minutes into the span's second step, at 90.
    fn stepped() -> Tape {
        let mut runs: Vec<(i64, i64)> = (0..20).map(|i| (i * 300 + 12, 10 + i)).collect();
        runs.insert(14, (3600 + 420, 90));
        tape(&runs, 1)
    }

    #[test]
    fn each_run_is_told_at_its_step_and_one_out_of_turn_at_its_stamp() {
        let first = "00:00 Dispatch 00:00 22\n05:00 Dispatch 05:00 23\n\
                     07:00 Dispatch 07:00 90\n10:00 Dispatch 10:00 24\n15:00 Dispatch 15:00 25\n\
                     17:00 Settlement 00:00 25\n";
        let retold = Known::B2.retold(stepped());
        let text = |t: &Tape| format!("{:?}", (t.step, t.span, &t.settled));
        assert_eq!(text(&retold), text(&stepped()));
        let mut begin = stepped();
        begin.told.retain(|t| t.at < begin.span.start + Span::minutes(18));
        check(Known::B2, &begin, first);
    }

    #[test]
    fn the_first_run_stands_until_the_interval_has_settled() {
        // The quarter before settled at 25 where its runs say 37.25, and the next one at 28 where
        // they say 25.96: what was between is expected to go on.
        let expect = "00:00 Settlement 00:00 22\n15:00 Settlement 00:00 25, 15:00 12\n\
                      30:00 Settlement 15:00 28, 30:00 30\n45:00 Settlement 30:00 30\n";
        check(Known::B1, &stepped(), expect);
        assert_eq!(Known::B1.retold(stepped()).step, Span::minutes(15));
    }

    #[test]
    fn what_it_settles_at_is_told_in_advance() {
        let expect = "00:00 Settlement 00:00 25\n15:00 Settlement 15:00 28\n\
                      30:00 Settlement 30:00 30\n45:00 Settlement 45:00 30\n";
        check(Known::A, &stepped(), expect);
        assert_eq!(Known::A.retold(stepped()).step, Span::minutes(15));
    }

    /// What is told of a kind, by interval and by when it is told.
    fn of_kind(tape: &Tape, kind: PriceKind) -> BTreeMap<(Time, Time), PriceRow> {
        let of =
            |t: &Told| t.rows.iter().map(|r| ((r.interval.start, t.at), *r)).collect::<Vec<_>>();
        tape.told.iter().filter(|t| t.kind == kind).flat_map(of).collect()
    }

    fn runs_of(hours: i64) -> impl Strategy<Value = Vec<(i64, i64)>> {
        let seconds = proptest::collection::btree_map(0..(1 + hours) * 3600, -50i64..500, 0..80);
        seconds.prop_map(|all| all.into_iter().collect())
    }

    /// Whether a row may be told of an interval at a moment by a convention; `stamps` are those of
    /// all runs.
    fn honest(known: Known, tape: &Tape, stamps: &[Time], told: &Told, row: &PriceRow) -> bool {
        let own_step = |t: &Time| t.interval(tape.step).start;
        let (start, at) = (row.interval.start, told.at);
        match (told.kind, known) {
            (PriceKind::Dispatch, Known::Live) => {
                stamps.iter().any(|t| *t == start && at >= *t + Span::seconds(20))
            }
            (PriceKind::Dispatch, Known::B2) => stamps
                .iter()
                .any(|t| (*t == start || own_step(t) == start) && row.known_at >= own_step(t)),
            (PriceKind::Settlement, Known::Live | Known::B2) => {
                at >= row.interval.end + Span::minutes(2)
            }
            (PriceKind::Settlement, Known::B1) => {
                let first = stamps.iter().find(|t| row.interval.contains(**t));
                at >= row.interval.end || first.is_some_and(|t| at == own_step(t))
            }
            (PriceKind::Settlement, Known::A) => at == start || start < tape.span.start,
            (PriceKind::Dispatch, _) => false,
            (PriceKind::DayAhead | PriceKind::LookAhead, _) => true,
        }
    }

    proptest! {
        /// Nothing but what a convention names is told before it could be known, nothing at all
        /// says that it was known after it was told, and life is left as it is.
        #[test]
        fn only_what_is_named_is_told_early(runs in runs_of(3)) {
            let tape = tape(&runs, 3);
            prop_assert_eq!(&Known::Live.retold(tape.clone()), &tape);
            let begin = tape.span.start - HOUR;
            let stamps: Vec<Time> = runs.iter().map(|(s, _)| begin + Span::seconds(*s)).collect();
            for known in Known::ALL {
                let retold = known.retold(tape.clone());
                prop_assert_eq!((&retold.settled, retold.span), (&tape.settled, tape.span));
                prop_assert!(retold.told.is_sorted_by_key(|t| (t.at, t.kind)));
                for told in &retold.told {
                    let first = told.at == tape.span.start;
                    prop_assert!(first || tape.span.contains(told.at));
                    for row in &told.rows {
                        prop_assert!(row.known_at == told.at || first && row.known_at < told.at);
                        prop_assert!(honest(known, &tape, &stamps, told, row), "{known:?} {row:?}");
                    }
                }
                let kept = |kind| of_kind(&retold, kind) == of_kind(&tape, kind);
                prop_assert!(kept(PriceKind::DayAhead));
                prop_assert!(known != Known::B2 || kept(PriceKind::Settlement));
            }
        }

        /// In the convention of the first run, no price told depends on a later run or settlement.
        #[test]
        fn what_comes_later_changes_nothing_told_before(runs in runs_of(2), cut in 0i64..3 * 3600) {
            let cut = cut / 900 * 900;
            let changed: Vec<(i64, i64)> =
                runs.iter().map(|(s, p)| (*s, if *s >= cut { p + 77 } else { *p })).collect();
            let (is, was) = (tape(&runs, 2), tape(&changed, 2));
            let turn = is.span.start - HOUR + Span::seconds(cut);
            let before = |t: &Tape, known: Known| {
                let told = known.retold(t.clone()).told;
                told.into_iter().filter(|t| t.at < turn).collect::<Vec<_>>()
            };
            for known in [Known::Live, Known::B2, Known::B1] {
                prop_assert_eq!(before(&is, known), before(&was, known));
            }
        }
    }
}

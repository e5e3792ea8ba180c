//! How many site-years a second one core decides, by the policy alone: `policy_bench
//! [--format json]`.
//!
//! A site-year is the block of the common task over 35,040 quarter hours. Prices become known one
//! after the other as they would live, runs 20 s after their stamp, settlement prices two minutes
//! after their interval, day-ahead curves the day before, and go into the same book that the
//! engine keeps; each decision sees that book and no more, and where the unit is is carried from
//! one to the next. No engine steps, nothing is journaled, and nothing is simulated. Prices are
//! made up; the table is trained on the eight weeks before the year, which is not timed.

#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use headgate_core::horizon::advise::Adviser;
use headgate_core::horizon::exact::Planner;
use headgate_core::horizon::features::Eyes;
use headgate_core::horizon::path;
use headgate_core::horizon::rolling;
use headgate_core::horizon::unit::{UnitSpec, UnitState};
use headgate_core::market::{FeedBook, PriceKind, PriceRow};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Money, Power, Price};
use headgate_sim::backtest::testing::{block, tape};
use headgate_sim::backtest::{Tape, Told};
use headgate_sim::rng::SplitMix;
use headgate_sim::train::{Order, Settings, train};
use serde_json::{Value, json};
use std::time::Instant;

const STEP: Span = Span::minutes(5);
const QUARTER: Span = Span::minutes(15);
const DAY: Span = Span::hours(24);
/// Days that are learned from, and days that are decided.
const LEARNED: usize = 56;
const DECIDED: usize = 365;
const BEGIN: Time = Time::from_seconds(1_704_067_200);
const VALUE: Price = Price(40_000_000);
/// How far a rolling plan looks, in quarter hours, as in the engine.
const AHEAD: usize = 8;
/// Times each case is run; the quickest counts.
const RUNS: usize = 3;

fn main() {
    let spec = block(0);
    let all = prices();
    let span = |from: usize, days: usize| Interval {
        start: BEGIN + Span(DAY.0 * from as i64),
        end: BEGIN + Span(DAY.0 * (from + days) as i64),
    };
    let order = Order {
        unit: spec,
        value: VALUE,
        span: span(0, LEARNED),
        offsets: vec![(Time::MIN, Span::ZERO)],
        settings: Settings::default(),
    };
    let model = train(std::slice::from_ref(&all), &order).expect("there is enough to learn from");
    let adviser = Adviser::new(model).expect("a model that was just trained is whole");
    let year = Year { tape: &all, span: span(LEARNED, DECIDED), spec };
    let mut planner = Planner::new(&spec, QUARTER).expect("the common task has a lattice");
    let mut eyes = Eyes::default();
    let mut table = |book: &FeedBook, unit: &UnitState, now: Time| {
        adviser.decide_with(&mut eyes, unit, book, now, VALUE).power
    };
    let mut rolls = |book: &FeedBook, unit: &UnitState, now: Time| {
        let Some(path) = path::expected(book, now, QUARTER, QUARTER, AHEAD) else {
            return unit.power;
        };
        let power = rolling::power_now(&mut planner, unit, &path, VALUE, now);
        power.expect("nothing bounds the states")
    };
    let rows = [
        year.row("trained table, each quarter hour", true, &mut table),
        year.row("trained table, each run", false, &mut table),
        year.row("rolling plan of two hours, each quarter hour", true, &mut rolls),
    ];
    println!("{}", json!({ "bench": "policy", "rows": rows }));
}

/// Runs that swing with the hour, wander, and spike now and then, with a day-ahead curve that
/// knows the hour.
fn prices() -> Tape {
    let mut rng = SplitMix::new(1);
    let (mut wander, mut spike) = (0i64, 0i64);
    let of_hour = |step: usize| (step / 12 % 24) as i64 * 1_000_000;
    let one = |step: usize| {
        wander += i64::from(rng.around(3_000_000)) - wander / 40;
        if rng.below(500) == 0 {
            spike = 300_000_000;
        }
        spike = spike * 7 / 10;
        Price(22_000_000 + of_hour(step) + wander + spike)
    };
    let days = LEARNED + DECIDED;
    let prices: Vec<Price> = (0..days * 288).map(one).collect();
    let mut tape = tape(BEGIN, STEP, QUARTER, &prices);
    for day in 0..days as i64 {
        let midnight = BEGIN + Span(DAY.0 * day);
        let known_at = midnight - Span::minutes(630);
        let row = |hour: i64| PriceRow {
            interval: Interval::starting(midnight + Span::hours(hour), Span::hours(1)),
            price: Price(22_000_000 + hour * 1_000_000),
            known_at,
        };
        let rows = (0..24).map(row).collect();
        tape.told.push(Told { at: known_at, kind: PriceKind::DayAhead, rows });
    }
    tape.told.sort_by_key(|t| t.at);
    tape
}

/// A year that is decided.
struct Year<'a> {
    tape: &'a Tape,
    span: Interval,
    spec: UnitSpec,
}

type Decide<'a> = &'a mut dyn FnMut(&FeedBook, &UnitState, Time) -> Power;

impl Year<'_> {
    /// Lives through it; what it earned and how often it decided.
    fn live(&self, first_run_alone: bool, decide: Decide<'_>) -> (Money, u64) {
        let (mut book, mut unit) = (FeedBook::default(), UnitState::beginning(&self.spec));
        let (mut profit, mut decided) = (Money::ZERO, 0);
        let mut settled = self.tape.settled.iter().peekable();
        let mut since = self.span.start;
        for told in self.tape.told.iter().take_while(|t| t.at < self.span.end) {
            book.take(told.kind, &told.rows, told.at);
            if told.kind != PriceKind::Dispatch || told.at < self.span.start {
                continue;
            }
            let run = told.rows[0].interval.start;
            if first_run_alone && run.interval(QUARTER).start != run {
                continue;
            }
            let power = decide(&book, &unit, told.at);
            decided += 1;
            // What ran until now is paid for at what its interval settles at.
            while since < told.at {
                while settled.next_if(|r| r.interval.end <= since).is_some() {}
                let row = settled.peek().expect("every interval settles");
                let until = row.interval.end.min(told.at);
                profit += (VALUE - row.price).of(unit.power.over(until.since(since)));
                since = until;
            }
            profit += moved(&self.spec, &mut unit, power, told.at);
        }
        (profit, decided)
    }

    fn row(&self, case: &str, first_run_alone: bool, decide: Decide<'_>) -> Value {
        let (mut best, mut came) = (f64::MAX, (Money::ZERO, 0));
        for _ in 0..RUNS {
            let (wall, cpu) = (Instant::now(), cpu_seconds());
            came = self.live(first_run_alone, decide);
            let cpu = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
            best = best.min(cpu.unwrap_or_else(|| wall.elapsed().as_secs_f64()));
        }
        let (profit, decided) = came;
        json!({
            "case": case, "n": decided, "ours_s": best, "ours_cpu_s": best,
            "site_years": DECIDED as f64 / 365.0, "profit": profit.0 as f64 / 1e6,
        })
    }
}

/// Sets a unit to a power; what a start costs.
fn moved(spec: &UnitSpec, unit: &mut UnitState, power: Power, now: Time) -> Money {
    if power == unit.power {
        return Money::ZERO;
    }
    unit.changed_at = now;
    let starts = !unit.on();
    if starts || power == Power::ZERO {
        unit.switched_at = now;
    }
    unit.power = power;
    if !starts {
        return Money::ZERO;
    }
    if unit.start_day != now.day() {
        (unit.start_day, unit.starts) = (now.day(), 0);
    }
    unit.starts += 1;
    -spec.start_cost
}

/// Processor time of this thread so far; `None` where the system does not tell.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanos: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanos / 1e9)
}

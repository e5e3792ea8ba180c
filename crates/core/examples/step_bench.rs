//! Times `Engine::step` on a big site: `step_bench [CASE] [MACHINES] [--repeat N]`.
//!
//! Cases: `idle` (also `quiet`) is a tick in which nothing changed since the start, `after` the
//! same an hour after every machine was switched, `all` (also `everything`) a price at which
//! every machine changes, `batch` a telemetry batch in which every machine reports, `curtail` an
//! order that brings most of the power down by a deadline, `held` a tick while it is. The step is
//! made inside `measured`, which is never inlined, so that callgrind can count it alone. Prints
//! the seconds of one step, and with `--repeat` a JSON line about all of them.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a bench measures time")]

use headgate_core::engine::{Engine, Step};
use headgate_core::event::{Act, Event, FeedId, OperatorAct, Stamped};
use headgate_core::fleet::{
    CohortId, CohortSum, DriverId, Level, Link, MachineReport, OperatingPoint, PowerCurve,
    TargetPhase, TelemetryBatch,
};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::site::Site;
use headgate_core::testing::{s19k_curve, site};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Power, Price, Rate};
use std::time::Instant;

/// Cohorts of the benched site.
const COHORTS: u16 = 4;
/// Start of the benched day.
const START: Time = Time::from_seconds(1_724_198_400);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Idle,
    After,
    All,
    Batch,
    Curtail,
    Held,
}

/// An engine with what it is told.
#[derive(Clone)]
struct Bench {
    engine: Engine,
    now: Time,
    seq: u64,
}

impl Bench {
    fn feed(&mut self, event: Event) -> Step {
        self.seq += 1;
        self.engine.step(&Stamped { seq: self.seq, at: self.now, event })
    }

    fn price(&self, usd: i64) -> Event {
        let interval = Interval::starting(self.now, Span::minutes(5));
        let rows = vec![PriceRow { interval, price: Price(usd * 1_000_000), known_at: self.now }];
        Event::Prices { feed: FeedId(0), kind: PriceKind::Dispatch, rows }
    }

    /// Every machine proves to be where it was told to be, a little off its curve.
    fn batch(&self, site: &Site, level: Level) -> Event {
        let generation = self.engine.generation();
        let mut sums: Vec<CohortSum> = (0..COHORTS).map(|c| self.no_sum(c)).collect();
        let mut machines = Vec::with_capacity(site.machines.len());
        for (machine, spec) in site.machines() {
            let point = site.cohort(spec.cohort).curve.at(level);
            let noise = i64::from(machine.0.wrapping_mul(2_654_435_761) >> 26) - 32;
            let watts = Power((point.power.0 + noise).max(0));
            let sum = &mut sums[usize::from(spec.cohort.0)];
            sum.heard += 1;
            sum.power += watts;
            sum.rate += point.rate;
            machines.push(MachineReport {
                machine,
                generation,
                phase: TargetPhase::Confirmed,
                link: Link::Fresh,
                answer: None,
                declared: None,
                watts: Some(watts),
                measured_at: Some(self.now),
            });
        }
        let (driver, at) = (DriverId(0), self.now);
        Event::Telemetry(TelemetryBatch { driver, at, cohorts: sums, machines })
    }

    fn no_sum(&self, cohort: u16) -> CohortSum {
        CohortSum {
            cohort: CohortId(cohort),
            heard: 0,
            silent: 0,
            power: Power::ZERO,
            rate: Rate::ZERO,
            oldest: Some(self.now),
        }
    }
}

/// A site of four models that differ in efficiency.
fn big_site(machines: usize) -> Site {
    let mut site = site(machines);
    let base = site.cohorts[0].clone();
    site.cohorts.clear();
    for c in 0..COHORTS {
        let mut cohort = base.clone();
        cohort.name = format!("model{c}");
        let worse = 1000 + 60 * i64::from(c);
        let points: Vec<OperatingPoint> = s19k_curve().levels()[1..]
            .iter()
            .map(|p| OperatingPoint { power: Power(p.power.0 * worse / 1000), rate: p.rate })
            .collect();
        cohort.curve = PowerCurve::new(Power(30), &points).expect("the curve rises");
        site.cohorts.push(cohort);
    }
    let each = machines.div_ceil(usize::from(COHORTS)).max(1);
    for (i, m) in site.machines.iter_mut().enumerate() {
        m.cohort = CohortId(u16::try_from(i / each).expect("there are four cohorts"));
    }
    site
}

/// The engine before the first repeat, and the top level of its cohorts.
fn prepare(site: &Site, case: Case) -> Bench {
    let top = site.cohorts[0].curve.top();
    let mut b = Bench { engine: Engine::new(), now: START, seq: 0 };
    b.feed(Event::Started { version: "bench".into(), epoch: 1 });
    b.feed(Event::Configured(Box::new(site.clone())));
    b.feed(b.price(20));
    b.feed(b.batch(site, top));
    b.feed(Event::Tick);
    if case == Case::Held {
        b.now += Span::seconds(1);
        b.feed(curtail(&b));
        b.feed(b.batch(site, Level::SLEEP));
        b.now += Span::seconds(1);
        b.feed(Event::Tick);
    }
    if case == Case::After {
        b.feed(b.price(9000));
        b.feed(b.batch(site, Level::SLEEP));
        b.now += Span::hours(1);
        b.feed(b.price(9000));
        b.feed(b.batch(site, Level::SLEEP));
        b.feed(Event::Tick);
    }
    b
}

fn main() {
    let (mut case, mut machines, mut repeat) = (Case::Idle, 100_000usize, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--repeat" {
            repeat = args.next().and_then(|n| n.parse().ok());
            continue;
        }
        match (arg.as_str(), arg.parse()) {
            (_, Ok(n)) => machines = n,
            ("idle" | "quiet", _) => case = Case::Idle,
            ("after", _) => case = Case::After,
            ("all" | "everything", _) => case = Case::All,
            ("batch", _) => case = Case::Batch,
            ("curtail", _) => case = Case::Curtail,
            ("held", _) => case = Case::Held,
            (other, _) => {
                eprintln!(
                    "unknown word {other:?}: give idle, after, all, batch, curtail, held or a number"
                );
                std::process::exit(2);
            }
        }
    }
    run(&big_site(machines), case, repeat);
}

/// Two thirds of what is drawn are to be down in half a minute.
fn curtail(b: &Bench) -> Event {
    let drawn = b.engine.measured_import().expect("every machine has reported");
    let act = Act::Curtail { shed: drawn.scaled(666_667), by: b.now + Span::seconds(30) };
    Event::Operator(OperatorAct { actor: "bench".into(), reason: String::new(), act })
}

/// The one step that is timed and counted.
#[inline(never)]
fn measured(engine: &mut Engine, stamped: &Stamped) -> Step {
    engine.step(stamped)
}

fn run(site: &Site, case: Case, repeat: Option<u32>) {
    let prepared = prepare(site, case);
    let mut bench = prepared.clone();
    let mut took = Vec::new();
    let mut changes = 0;
    for _ in 0..repeat.unwrap_or(1).max(1) {
        let event = match case {
            Case::Idle | Case::After | Case::Held => {
                bench.now += Span::millis(1);
                Event::Tick
            }
            Case::All => {
                bench = prepared.clone();
                bench.now += Span::seconds(1);
                bench.price(9000)
            }
            Case::Curtail => {
                bench = prepared.clone();
                bench.now += Span::seconds(1);
                curtail(&bench)
            }
            Case::Batch => {
                bench.now += Span::millis(1);
                bench.batch(site, site.cohorts[0].curve.top())
            }
        };
        bench.seq += 1;
        let stamped = Stamped { seq: bench.seq, at: bench.now, event };
        let from = Instant::now();
        let step = measured(&mut bench.engine, &stamped);
        took.push(from.elapsed());
        changes = step.plan.map_or(0, |p| p.changes.len());
    }
    took.sort();
    let seconds = |i: usize| took[i].as_secs_f64();
    let (least, median, most) = (seconds(0), seconds(took.len() / 2), seconds(took.len() - 1));
    if repeat.is_none() {
        return println!("{median}");
    }
    println!(
        "{{\"case\":\"{case:?}\",\"machines\":{},\"repeat\":{},\"changes\":{changes},\
         \"least_s\":{least},\"median_s\":{median},\"most_s\":{most}}}",
        site.machines.len(),
        took.len(),
    );
}

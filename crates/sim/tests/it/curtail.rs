//! Megawatts down by a deadline, proven by the true meter, on farms with machines that say
//! nothing, lie or are gone.

use headgate_core::curtail::CurtailReport;
use headgate_core::curtail::How;
use headgate_core::event::{Act, Event, OperatorAct};
use headgate_core::fleet::Level;
use headgate_core::plan::Change;
use headgate_core::site::{MeterKind, MeterSpec, Ramp, Site};
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Power, Price};
use headgate_sim::farm::Farm;
use headgate_sim::machine::Spread;
use headgate_sim::spec::{FarmSpec, FaultShares};
use headgate_sim::world::testing::{day_events, overhead, site_of};
use headgate_sim::world::{Feeder, World, WorldOptions};

use std::collections::BTreeMap;

const START: Time = Time::from_seconds(1_724_198_400);
const HASHPRICE: Money = Money(45_000_000);
/// When the faults begin, and a moment later somebody wants power down.
const BEGIN: Time = Time::from_seconds(1_724_198_400 + 20 * 60);
const ASKED: Time = Time::from_seconds(1_724_198_400 + 20 * 60 + 1);

/// 5 % say nothing, 3 % say yes and keep drawing, 2 % are gone.
fn faults() -> FaultShares {
    FaultShares {
        mute_ppm: 50_000,
        lying_ppm: 30_000,
        dead_ppm: 20_000,
        from: Some(BEGIN),
        ..FaultShares::default()
    }
}

struct Case {
    machines: u32,
    seed: u64,
    faults: FaultShares,
    /// Share of what is drawn that is to be down, in parts per million.
    share_ppm: i64,
    within: Span,
    metered: bool,
    ramp_down: Option<Ramp>,
    /// A tenth of the machines takes so long to fall.
    slow: Option<Span>,
}

impl Case {
    fn new(seed: u64) -> Self {
        Self {
            machines: 400,
            seed,
            faults: faults(),
            share_ppm: 600_000,
            within: Span::seconds(30),
            metered: true,
            ramp_down: None,
            slow: None,
        }
    }
}

/// What a curtailment led to.
struct Lived {
    /// When the true meter was first at or below what was asked.
    down_after: Option<Span>,
    /// The true meter at the deadline, and what was asked for.
    at_deadline: Power,
    ceiling: Power,
    report: CurtailReport,
    told: Vec<(Time, Change)>,
    /// The true meter, second by second.
    trace: Vec<Power>,
}

fn site(case: &Case, spec: &FarmSpec) -> Site {
    let mut site = site_of(spec);
    if case.metered {
        let (name, kind) = ("feeder".into(), MeterKind::Reported);
        site.meters = vec![MeterSpec { name, kind, stale_after: Span::seconds(5) }];
    }
    site.limits.ramp_down = case.ramp_down;
    site
}

fn live(case: &Case) -> Lived {
    let mut spec = FarmSpec::mixed(START, case.machines, case.seed);
    spec.overhead = overhead(3_000);
    if let Some(down) = case.slow {
        let mut slow = spec.cohorts[0].clone();
        slow.machines = case.machines / 10;
        slow.times.down = down;
        spec.cohorts[0].machines -= slow.machines;
        spec.cohorts.push(slow);
    }
    spec.faults = case.faults;
    spec.spread = Spread::default();
    let mut farm = Farm::new(&spec).expect("the farm's spec is whole");
    let shed = farm.meter(START).power.scaled(case.share_ppm);
    let act = Act::Curtail { shed, by: ASKED + case.within };
    let asked = Event::Operator(OperatorAct { actor: "desk".into(), reason: "test".into(), act });
    let mut events = day_events(START, HASHPRICE, |_| Price(20_000_000));
    events.push((ASKED, asked));
    events.sort_by_key(|(at, _)| *at);
    let mut options = WorldOptions::new(START, case.seed);
    options.feeder = Some(Feeder { every: Span::seconds(1), noise_ppm: 2_000 });
    let site = site(case, &spec);
    let mut world = World::new(site, farm, options, events).expect("site and farm are of one size");
    let (mut told, mut report) = (Vec::new(), None);
    world.advance(ASKED, &mut |_, _| {});
    let mut trace = vec![world.meter().power];
    let ceiling = trace[0] - shed;
    for tick in 1..=720 {
        world.advance(ASKED + Span::millis(250 * tick), &mut |stamped, step| {
            if let Some(plan) = &step.plan {
                told.extend(plan.changes.iter().map(|c| (stamped.at, *c)));
            }
            report = report.take().or(step.report.clone());
        });
        trace.push(world.meter().power);
    }
    let down = (0i64..).zip(&trace).find(|(_, p)| **p <= ceiling);
    let deadline = (0i64..).zip(&trace).find(|(n, _)| n * 250 >= case.within.0 / 1_000_000);
    Lived {
        down_after: down.map(|(n, _)| Span::millis(250 * n)),
        at_deadline: *deadline.expect("it is watched beyond its deadline").1,
        ceiling,
        report: report.expect("a report at the end"),
        told,
        trace,
    }
}

/// Nobody is told what they were told last, and nobody is told to come up before power is proven
/// down.
fn check_commands(lived: &Lived) {
    let mut last: BTreeMap<u32, Level> = BTreeMap::new();
    let proven = lived.report.proven_at.unwrap_or(Time::MAX);
    for (at, c) in &lived.told {
        let before = last.insert(c.machine.0, c.level);
        assert_ne!(before, Some(c.level), "{} is told the same twice", c.machine.0);
        let falls = before.is_none_or(|b| c.level < b);
        assert!(falls || *at > proven, "{} is told to come up at {at}", c.machine.0);
    }
}

#[test]
fn sixty_percent_are_down_by_the_deadline_though_some_are_mute_lie_or_are_dead() {
    for seed in 1..6 {
        let lived = live(&Case::new(seed));
        let healthy = live(&Case { faults: FaultShares::default(), ..Case::new(seed) });
        let (took, well) = (lived.down_after.unwrap(), healthy.down_after.unwrap());
        assert!(took.0 * 2 <= well.0 * 3, "seed {seed}: {took} against {well} on a healthy farm");
        assert!(lived.at_deadline <= lived.ceiling, "seed {seed}: {}", lived.at_deadline);
        let r = &lived.report;
        assert!(r.in_time() && r.by_meter, "seed {seed}: {r:#?}");
        let proven = r.proven_at.unwrap().since(ASKED);
        assert!(proven >= took, "the true meter is not before its proof: {proven}, {took}");
        let failed = |how| r.failures.iter().filter(|f| f.how == how).count();
        // 20 say nothing and 8 are gone, which is the same to who asks; 12 lie.
        assert_eq!((failed(How::Mute), failed(How::Lied)), (28, 12), "seed {seed}");
        assert_eq!((r.told.machines, r.measured.machines, r.open.machines), (400, 360, 0));
        let least = *lived.trace.iter().min().unwrap();
        assert!(least.0 * 100 > lived.ceiling.0 * 92, "seed {seed}: {least} is far below");
        check_commands(&lived);
        check_commands(&healthy);
    }
}

#[test]
fn a_ramp_is_never_broken_and_the_deadline_is_kept() {
    for seed in 1..4 {
        let per = Span::seconds(5);
        let ramp = Ramp { power: Power(60_000), per };
        let within = Span::seconds(120);
        let case = Case { ramp_down: Some(ramp), within, ..Case::new(seed) };
        let lived = live(&case);
        let (at, most) = (lived.at_deadline, lived.ceiling);
        assert!(at <= most && lived.report.in_time(), "seed {seed}: {at} of {most}");
        let highest = lived.trace[480..].iter().max().unwrap();
        assert!(*highest <= most, "seed {seed}: it is held down, and {highest} of {most}");
        // The set point keeps to the ramp; machines told one after another fall at paces of their
        // own, so that import may bunch within a few seconds, and no longer.
        for (seconds, most) in [(5, 60_000 * 3 / 2), (30, 60_000 * 7)] {
            for w in lived.trace.windows(seconds * 4 + 1) {
                let fell = w[0] - w[seconds * 4];
                assert!(fell.0 <= most, "seed {seed}: {fell} in {seconds} s");
            }
        }
        check_commands(&lived);
    }
}

#[test]
fn without_a_meter_the_machines_own_watts_prove_it_and_the_unknown_is_not_off() {
    let lived = live(&Case { metered: false, within: Span::seconds(60), ..Case::new(1) });
    let r = &lived.report;
    assert!(!r.by_meter && r.in_time(), "{r:#?}");
    // What says nothing counts as drawing, so import is really lower than is claimed.
    assert!(lived.at_deadline <= lived.ceiling, "{} {}", lived.at_deadline, lived.ceiling);
    assert!(r.proven_at.unwrap().since(ASKED) >= lived.down_after.unwrap());
    check_commands(&lived);
}

#[test]
fn two_thirds_of_a_mixed_farm_are_down_in_a_minute_and_the_slow_are_left_alone() {
    // 300 MW at 10 MW a second in small: a thirtieth of the farm a second.
    let machines = 600;
    let ramp_down = Some(Ramp { power: Power(62_000), per: Span::seconds(1) });
    let (within, slow) = (Span::seconds(60), Some(Span::seconds(45)));
    let case = Case { machines, share_ppm: 666_667, within, ramp_down, slow, ..Case::new(1) };
    let lived = live(&case);
    let r = &lived.report;
    assert!(lived.at_deadline <= lived.ceiling && r.in_time() && r.by_meter, "{r:#?}");
    assert!(lived.down_after.unwrap() < Span::seconds(45), "{:?}", lived.down_after);
    check_commands(&lived);
    for w in lived.trace.windows(4 * 10 + 1) {
        assert!((w[0] - w[40]).0 <= 62_000 * 12, "{} to {}", w[0], w[40]);
    }
    // The slow ones are the last machines of the farm.
    assert!(lived.told.iter().all(|(_, c)| c.machine.0 < machines - machines / 10));
}

//! Megawatts down by a deadline, proven by the true meter, on farms with machines that say
//! nothing, lie or are gone.

use headgate_core::curtail::CurtailReport;
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
    spec.faults = case.faults;
    spec.spread = Spread::default();
    let mut farm = Farm::new(&spec).unwrap();
    let shed = farm.meter(START).power.scaled(case.share_ppm);
    let act = Act::Curtail { shed, by: ASKED + case.within };
    let asked = Event::Operator(OperatorAct { actor: "desk".into(), reason: "test".into(), act });
    let mut events = day_events(START, HASHPRICE, |_| Price(20_000_000));
    events.push((ASKED, asked));
    events.sort_by_key(|(at, _)| *at);
    let mut options = WorldOptions::new(START, case.seed);
    options.feeder = Some(Feeder { every: Span::seconds(1), noise_ppm: 2_000 });
    let site = site(case, &spec);
    let mut world = World::new(site, farm, options, events).unwrap();
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
    let down = trace.iter().position(|p| *p <= ceiling);
    let deadline = usize::try_from(case.within.as_seconds() * 4).unwrap();
    Lived {
        down_after: down.map(|s| Span::millis(250 * i64::try_from(s).unwrap())),
        at_deadline: trace[deadline],
        ceiling,
        report: report.expect("a report at the end"),
        told,
        trace,
    }
}

#[test]
fn sixty_percent_are_down_by_the_deadline_though_some_are_mute_lie_or_are_dead() {
    for seed in 1..6 {
        let lived = live(&Case::new(seed));
        let healthy = live(&Case { faults: FaultShares::default(), ..Case::new(seed) });
        println!("seed {seed}: {:?} of {:?}, {} at the deadline of {}", lived.down_after, healthy.down_after, lived.at_deadline, lived.ceiling);
        let waves = |l: &Lived| l.report.waves.iter().map(|w| format!("{:.1}s {} {}", w.at.since(ASKED).0 as f64/1e9, w.machines, w.power)).collect::<Vec<_>>();
        println!("told {} {:?}", lived.told.len(), waves(&lived));
        println!("healthy told {} {:?} low {}", healthy.told.len(), waves(&healthy), healthy.trace.iter().min().unwrap());
    }
}

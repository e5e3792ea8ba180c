//! Named cases: what the engine must do, read as a person would.

use crate::harness::World;
use headgate_core::event::{Act, AutomationMode};
use headgate_core::fleet::{Declared, Level, Link, MachineId, MachineReport, TargetPhase};
use headgate_core::limits::COOL_OFF;
use headgate_core::plan::Change;
use headgate_core::reason::Rung;
use headgate_core::roster::Roster;
use headgate_core::site::{PolicyRule, Ramp};
use headgate_core::testing::site;
use headgate_core::time::{Span, Time};
use headgate_core::units::{Power, Price};

#[test]
fn a_spike_stops_everything_and_its_end_brings_it_back() {
    let mut w = World::new(site(100));
    w.price(20);
    w.run(Span::minutes(30));
    assert_eq!(w.awake(), 100);
    let step = w.price(9000);
    assert_eq!(step.plan.unwrap().changes.len(), 100);
    w.telemetry();
    assert_eq!(w.awake(), 0);
    w.run(Span::minutes(20));
    w.price(20);
    w.run(Span::minutes(30));
    assert_eq!(w.awake(), 100);
}

#[test]
fn the_ladder_explains_a_hold_under_a_spike() {
    let mut s = site(100);
    s.limits.import = Power(200_000);
    s.limits.ramp_down = Some(Ramp { power: Power(600_000), per: Span::minutes(1) });
    let mut w = World::new(s);
    w.price(20);
    w.run(Span::minutes(2));
    w.operator(Act::Hold { power: Some(Power(150_000)), until: None });
    w.run(Span::minutes(2));
    w.price(9000);
    insta::assert_snapshot!(w.engine.decision().unwrap(), @r"
    2024-08-21T00:04:00Z  target 150.0 kW  (Auto)
      price      6605.33/MWh expected, mean of the interval's dispatch runs so far, 0 s old
      economics  4.1 kW  0 of 4 steps of the staircase are worth more than 6605.33/MWh with adders
      physical       -> [4.1 kW, 291.5 kW]  100 machines answer, 0 are counted as drawing 0 W
      ramp_down      -> [150.0 kW, 291.5 kW]  at most 600.0 kW down in 60 s from 150.0 kW
      site_import    -> [150.0 kW, 200.0 kW]  the connection carries 200.0 kW
      operator_hold  -> [150.0 kW, 150.0 kW]  held, desk: test
      planned 149.6 kW, measured 149.6 kW
      above 76.92/MWh power would go down
      below 76.92/MWh power would go up
    ");
}

#[test]
fn shadow_decides_and_touches_nothing() {
    let mut s = site(10);
    s.policy.mode = AutomationMode::Shadow;
    let mut w = World::new(s);
    w.price(20);
    let step = w.price(9000);
    assert!(step.plan.is_none());
    let d = step.decision.unwrap();
    assert_eq!((d.changes, d.generation), ((10, 0), None));
    assert_eq!(w.awake(), 10);
}

#[test]
fn ramps_hold_up_and_down() {
    let mut s = site(1000);
    s.limits.ramp_up = Some(Ramp { power: Power(600_000), per: Span::minutes(1) });
    s.limits.ramp_down = Some(Ramp { power: Power(1_200_000), per: Span::minutes(1) });
    let mut w = World::new(s);
    w.price(20);
    w.run(Span::minutes(20));
    let mut last = w.import();
    w.price(9000);
    for _ in 0..40 {
        w.run(Span::seconds(5));
        assert!(last - w.import() <= Power(100_000 + 3_000), "{} to {}", last, w.import());
        last = w.import();
    }
    assert_eq!(w.awake(), 0);
    w.run(Span::minutes(14));
    w.price(20);
    for _ in 0..400 {
        w.run(Span::seconds(5));
        assert!(w.import() - last <= Power(50_000 + 3_000), "{} to {}", last, w.import());
        last = w.import();
    }
    assert_eq!(w.awake(), 1000, "{}", w.log.last().unwrap());
}

#[test]
fn liars_are_covered_by_others_in_the_next_step() {
    let mut w = World::new(site(100));
    w.price(20);
    w.run(Span::minutes(20));
    for i in 0..100 {
        w.liars[i] = i % 10 == 0;
    }
    w.operator(Act::Hold { power: Some(Power(200_000)), until: None });
    w.telemetry();
    w.telemetry();
    w.telemetry();
    assert!(w.import() <= Power(200_000), "{}", w.import());
    let failed: u32 = w.engine.roster().tallies().iter().map(|t| t.failed).sum();
    assert!(failed > 0);
    assert!(w.phase.contains(&TargetPhase::Drifted));
}

#[test]
fn silence_holds_then_goes_down_and_never_up() {
    let mut w = World::new(site(100));
    w.price(20);
    w.repeats = None;
    w.run(Span::minutes(11));
    let full = w.import();
    w.run(Span::minutes(10));
    assert_eq!(w.import(), full);
    w.run(Span::minutes(12));
    assert_eq!(w.awake(), 0);
    assert!(w.log.iter().any(|l| l.contains("alarm raised: no healthy feed")));
}

#[test]
fn stop_is_at_once_past_every_ramp_and_release_comes_back_by_the_ramp() {
    let mut s = site(100);
    s.limits.ramp_down = Some(Ramp { power: Power(1_000), per: Span::minutes(1) });
    s.limits.step = Some(Ramp { power: Power(5_000), per: Span::seconds(5) });
    let mut w = World::new(s);
    w.price(20);
    w.run(Span::minutes(1));
    let d = w.operator(Act::Stop).decision.unwrap();
    w.telemetry();
    assert_eq!(w.awake(), 0);
    let step = d.ladder.iter().find(|n| n.rung == Rung::RampDown).unwrap();
    assert_eq!(step.overridden.unwrap().by, Rung::OperatorStop);
}

#[test]
fn below_the_block_a_resale_fee_keeps_machines_running() {
    let mut s = site(100);
    let block = headgate_core::site::Block {
        quantity: Power(150_000),
        price: Price(28_000_000),
        from: headgate_core::time::Time(0),
        to: headgate_core::time::Time::MAX,
        resale_fee: Price(20_000_000),
        resale_share_ppm: 1_000_000,
    };
    s.blocks = vec![block];
    let mut w = World::new(s);
    w.price(85);
    w.run(Span::minutes(10));
    // 85 at spot is above the value of 76.92, but what is sold back earns only 65.
    assert!(w.import() <= Power(150_000) && w.import() > Power(146_000), "{}", w.import());
}

#[test]
fn a_fixed_strike_is_a_switch() {
    let mut s = site(10);
    s.policy.rule = PolicyRule::FixedStrike(Price(95_000_000));
    let mut w = World::new(s);
    w.price(94);
    w.run(Span::minutes(20));
    assert_eq!(w.awake(), 10);
    w.price(95);
    w.run(Span::minutes(16));
    assert_eq!(w.awake(), 0);
}

#[test]
fn starts_an_hour_are_kept() {
    let mut s = site(100);
    s.policy.starts_per_hour = 30;
    let mut w = World::new(s);
    w.price(9000);
    w.run(Span::minutes(16));
    assert_eq!(w.awake(), 0);
    let mut awake = Vec::new();
    for minute in 0..80usize {
        w.price(20);
        w.run(Span::minutes(1));
        awake.push(w.awake());
        let an_hour_ago = minute.checked_sub(60).map_or(0, |m| awake[m]);
        assert!(w.awake() - an_hour_ago <= 30, "{awake:?}");
    }
    assert_eq!(w.awake(), 60);
}

#[test]
fn a_liar_that_has_cooled_off_pays_for_no_raise() {
    let mut s = site(100);
    let mut better = s.cohorts[0].clone();
    better.strike = Some(Price(200_000_000));
    s.cohorts.push(better);
    for m in &mut s.machines[50..] {
        m.cohort = headgate_core::fleet::CohortId(1);
    }
    let mut w = World::new(s);
    w.price(20);
    w.run(Span::minutes(20));
    // The less valuable ones are all told down, and none of those that lie comes.
    for i in 0..20 {
        w.liars[i] = true;
    }
    w.operator(Act::Hold { power: Some(Power(150_000)), until: None });
    w.telemetry();
    w.telemetry();
    for _ in 0..500 {
        w.run(Span::seconds(5));
        assert!(w.import() <= Power(150_000), "{} at {}", w.import(), w.now);
    }
    assert!(w.import() > Power(140_000), "{}", w.import());
}

#[test]
fn unknown_is_not_off() {
    let site = site(1);
    let top = site.cohorts[0].curve.top();
    let mut roster = Roster::new(&site, &Roster::default(), &|_| None);
    let now = Time::from_seconds(1_724_198_400);
    let silent = MachineReport {
        machine: MachineId(0),
        generation: 0,
        phase: TargetPhase::Pending,
        link: Link::Fresh,
        answer: None,
        declared: None,
        watts: None,
        measured_at: None,
    };
    let level = |r: &Roster| r.machines()[0].level;
    for (declared, expected) in
        [(Some(Declared::Asleep), Level::SLEEP), (None, top), (Some(Declared::Awake), top)]
    {
        roster.report(now, &MachineReport { declared, ..silent });
        assert_eq!(level(&roster), expected, "{declared:?}");
    }
    // Told to sleep and never measured, it still counts as awake once it has cooled off.
    let fails = |roster: &mut Roster, generation, at, watts: Option<(Power, Time)>| {
        let change = Change { machine: MachineId(0), level: Level::SLEEP };
        roster.tell(at, generation, &[change]);
        let phase = TargetPhase::Unavailable;
        let (watts, measured_at) = watts.unzip();
        roster.report(at, &MachineReport { generation, phase, watts, measured_at, ..silent });
        assert_eq!(roster.tallies()[0].lost, 1);
        roster.cool(at + Span(16 * COOL_OFF.0));
        assert_eq!(roster.tallies(), roster.recounted());
        roster.tallies()[0].awake()
    };
    assert_eq!(fails(&mut roster, 1, now, None), 1);
    let (full, none) = (roster.nominal(0, top), roster.nominal(0, Level::SLEEP));
    let later = now + Span::hours(2);
    assert_eq!(fails(&mut roster, 2, later, Some((full, now))), 1, "measured before");
    let last = later + Span::hours(2);
    let proof = Some((none, last + Span::seconds(1)));
    assert_eq!(fails(&mut roster, 3, last, proof), 0, "measured since");
}

//! Whole days in virtual time.

use super::testing::{day_events, day_prices, overhead, site_of, spike_day};
use super::*;
use crate::machine::Spread;
use crate::spec::{FarmSpec, FaultShares};
use headgate_core::event::{Act, OperatorAct};
use headgate_core::site::PolicyRule;
use headgate_core::units::{Energy, Money, Power, Price};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

const START: Time = Time::from_seconds(1_724_198_400);
const HASHPRICE: Money = Money(45_000_000);

fn farm_of(machines: u32, seed: u64) -> FarmSpec {
    let mut spec = FarmSpec::mixed(START, machines, seed);
    spec.overhead = overhead(3_000);
    spec
}

/// Runs part of a spike day and gives its outcome and a hash of all events and steps.
fn check(spec: &FarmSpec, seed: u64, span: Span) -> (Outcome, u64) {
    let mut options = WorldOptions::new(START, seed);
    options.jitter = Span::millis(15);
    let events = day_events(START, HASHPRICE, spike_day);
    let farm = Farm::new(spec).unwrap();
    let world = World::new(site_of(spec), farm, options, events).unwrap();
    let mut hasher = DefaultHasher::new();
    let outcome = world.run(START + span, &mut |stamped, step| {
        serde_json::to_string(stamped).unwrap().hash(&mut hasher);
        serde_json::to_string(step).unwrap().hash(&mut hasher);
    });
    (outcome, hasher.finish())
}

#[test]
fn one_seed_is_one_day() {
    let spec = farm_of(40, 3);
    let hours = Span::hours(2);
    let (outcome, hash) = check(&spec, 1, hours);
    assert_eq!((outcome.clone(), hash), check(&spec, 1, hours));
    assert_ne!(check(&spec, 2, hours).1, hash, "another seed draws another jitter");
}

#[test]
fn intervals_add_up_to_the_meter() {
    let (outcome, _) = check(&farm_of(40, 5), 1, Span::hours(24));
    let (first, last) = outcome.meter;
    let energy: Energy = outcome.intervals.iter().map(|i| i.energy).sum();
    let work: i64 = outcome.intervals.iter().map(|i| i.work).sum();
    assert_eq!((outcome.intervals.len(), energy), (96, last.energy - first.energy));
    assert_eq!(work, last.work - first.work);
    let c = outcome.counts;
    assert!(c.commands > 0 && c.open == 0, "{c:?}");
    assert_eq!(c.commands, c.acked + c.refused + c.timed_out);
    assert_eq!(c.commands, c.confirmed + c.drifted + c.unavailable + c.superseded);
}

/// Lives through the spike day under each policy and shows what came of it.
fn compare(spec: &FarmSpec, options: WorldOptions) -> String {
    let (site, farm) = (site_of(spec), Farm::new(spec).unwrap());
    let events = day_events(START, HASHPRICE, spike_day);
    let prices = day_prices(START, spike_day);
    let (until, hashprice) = (START + Span::hours(24), HASHPRICE);
    let (site, farm, events, prices) = (&site, &farm, &events[..], &prices);
    let case = Case { site, farm, options, events, until, prices, hashprice };
    let strike = mean_breakeven(site, Some(HASHPRICE)).unwrap();
    let rules = [
        ("always_on", PolicyRule::AlwaysOn),
        ("fixed_strike", PolicyRule::FixedStrike(strike)),
        ("breakeven", PolicyRule::Breakeven),
    ];
    let mut text = format!("strike {strike}\n");
    let mut profits = Vec::new();
    for (name, rule) in rules {
        let (a, outcome) = counterfactual(&case, rule, &mut |_, _| {}).unwrap();
        writeln!(
            text,
            "{name}: profit {} = {} - {} + {} - {}, {}, {} starts, {} commands",
            Money(a.profit),
            Money(a.compute_revenue),
            Money(a.energy_cost),
            Money(a.sell_back),
            Money(a.other_cost),
            Energy(a.energy),
            a.starts,
            outcome.counts.commands,
        )
        .unwrap();
        profits.push(a.profit);
    }
    assert!(profits[0] < profits[1] && profits[1] < profits[2], "{text}");
    text
}

#[test]
fn on_a_spike_day_the_staircase_beats_a_strike_and_a_strike_beats_always_on() {
    let mut options = WorldOptions::new(START, 1);
    options.observe = Some(Observe { every: Span::seconds(30), noise_ppm: 0 });
    insta::assert_snapshot!(compare(&farm_of(40, 3), options), @r"
    strike 80.58/MWh
    always_on: profit -724.47 = 241.72 - 966.20 + 0.00 - 0.00, 3.102 MWh, 0 starts, 0 commands
    fixed_strike: profit 47.39 = 216.08 - 167.09 + 0.00 - 1.60, 2.789 MWh, 80 starts, 160 commands
    breakeven: profit 51.19 = 215.46 - 163.27 + 0.00 - 1.00, 2.723 MWh, 50 starts, 324 commands
    ");
}

#[test]
fn injected_readings_lead_to_nearly_the_same_day_as_polled_ones() {
    let spec = farm_of(20, 9);
    let run = |observe| {
        let mut options = WorldOptions::new(START, 1);
        options.observe = observe;
        let events = day_events(START, HASHPRICE, spike_day);
        let world = World::new(site_of(&spec), Farm::new(&spec).unwrap(), options, events);
        world.unwrap().run(START + Span::hours(24), &mut |_, _| {})
    };
    let polled = run(None);
    let injected = run(Some(Observe { every: Span::seconds(30), noise_ppm: 0 }));
    let energy = |o: &Outcome| o.meter.1.energy.0 - o.meter.0.energy.0;
    assert_eq!(polled.counts.commands, injected.counts.commands);
    let apart = (energy(&polled) - energy(&injected)).abs();
    assert!(apart * 200 < energy(&polled), "{apart} of {}", energy(&polled));
    assert!(polled.requests > 20 * 2880 && injected.requests < polled.requests / 20);
}

/// A farm of which 5 % go mute and 3 % begin to lie, unnoticed, and a person who wants 60 %.
fn faulty_farm(seed: u64) -> (World, Power) {
    let mut spec = farm_of(200, seed);
    let begin = START + Span::minutes(30);
    spec.faults = FaultShares {
        mute_ppm: 50_000,
        lying_ppm: 30_000,
        from: Some(begin),
        ..Default::default()
    };
    spec.spread = Spread { efficiency_ppm: 0, rate_ppm: 0, bias_ppm: 0, pace_ppm: 200_000 };
    let mut farm = Farm::new(&spec).unwrap();
    let ceiling = farm.meter(START).power.scaled(600_000);
    let held = Event::Operator(OperatorAct {
        actor: "desk".into(),
        reason: "test".into(),
        act: Act::Hold { power: Some(ceiling), until: None },
    });
    let flat = |_| Price(20_000_000);
    let mut events = day_events(START, HASHPRICE, flat);
    events.push((begin + UNNOTICED, held));
    events.sort_by_key(|(at, _)| *at);
    let options = WorldOptions::new(START, seed);
    (World::new(site_of(&spec), farm, options, events).unwrap(), ceiling)
}

/// Too short for a poll to have noticed.
const UNNOTICED: Span = Span::seconds(1);
/// Time for a fall to be proven or found wanting, and for others to cover what is wanting.
const DECLARED: Span = Span::seconds(90);

#[test]
fn mute_and_lying_machines_never_keep_import_above_the_ceiling() {
    for seed in 1..4 {
        let (mut world, ceiling) = faulty_farm(seed);
        let told = START + Span::minutes(30) + UNNOTICED;
        world.advance(told, &mut |_, _| {});
        assert!(world.meter().power > ceiling);
        for second in 0..3600 {
            let now = told + Span::seconds(second);
            world.advance(now, &mut |_, _| {});
            let power = world.meter().power;
            let late = power > ceiling && now >= told + DECLARED;
            assert!(!late, "seed {seed}: {power} above {ceiling} at {now}");
        }
        let low = world.meter().power;
        assert!(low.0 * 100 > ceiling.0 * 97, "seed {seed}: {low} is far below {ceiling}");
        let outcome = world.finish();
        assert!(outcome.counts.drifted > 0 && outcome.counts.timed_out > 0);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let spec = farm_of(10, 1);
    let build = |machines: usize, events: Vec<(Time, Event)>| {
        let mut site = site_of(&spec);
        site.machines.truncate(machines);
        let farm = Farm::new(&spec).unwrap();
        World::new(site, farm, WorldOptions::new(START, 1), events).unwrap_err().to_string()
    };
    insta::assert_snapshot!(build(9, vec![]), @"failed to build the world: \
        the site has 9 machines and the farm 10");
    let late = START + Span::hours(1);
    let backwards = vec![(late, Event::Tick), (START, Event::Tick)];
    insta::assert_snapshot!(build(10, backwards), @"failed to build the world: \
        event 1 at 2024-08-21T00:00:00Z comes before the one it follows");
    let mut early = day_events(START, HASHPRICE, spike_day);
    early[5].0 = early[4].0;
    early.truncate(6);
    insta::assert_snapshot!(build(10, early), @"failed to build the world: \
        event 5 at 2024-08-21T00:10:20Z tells a price known at 2024-08-21T00:15:20Z");
}

#[test]
fn settlement_follows_the_ledger_and_misses_nothing() {
    let spec = farm_of(10, 1);
    let mut site = site_of(&spec);
    site.import_adder = Price(4_000_000);
    let interval = Interval::starting(START, Span::minutes(15));
    let mwh = 3_600_000_000;
    // One PH/s for a quarter of an hour.
    let work = 1_000_000 * 900;
    let (energy, machine_energy) = (Energy(2 * mwh), Energy(mwh));
    let metered = IntervalMeter { interval, energy, machine_energy, work, power: Power(8_000_000) };
    let prices = BTreeMap::from([(START, Price(50_000_000))]);
    let a = settle(&site, &[metered], &prices, Money(96_000_000), &[1, 0, 2, 0]).unwrap();
    assert_eq!(a.energy_cost, 2 * 54_000_000);
    // 96 a day, so 1 a quarter of an hour, less a pool fee of 1 %.
    assert_eq!((a.compute_revenue, a.other_cost, a.starts), (990_000, 60_000, 3));
    assert_eq!(a.profit, 990_000 - 108_000_000 - 60_000);
    let none = settle(&site, &[metered], &BTreeMap::new(), Money(1), &[0; 4]).unwrap_err();
    insta::assert_snapshot!(none, @"failed to settle [2024-08-21T00:00:00Z, 2024-08-21T00:15:00Z): \
        no settlement price for the interval at 2024-08-21T00:00:00Z");
    let short = settle(&site, &[metered], &prices, Money(1), &[0]).unwrap_err();
    insta::assert_snapshot!(short, @"failed to settle: \
        starts of 1 cohorts were given, the site has 4");
}

#[test]
fn the_meter_integrates_the_power_it_shows_however_often_it_is_read() {
    let spec = farm_of(40, 5);
    let jump = |run: i64| Price(if (3..9).contains(&run) { 9_000_000_000 } else { 20_000_000 });
    let build = || {
        let farm = Farm::new(&spec).unwrap();
        let events = day_events(START, HASHPRICE, jump);
        World::new(site_of(&spec), farm, WorldOptions::new(START, 1), events).unwrap()
    };
    let until = START + Span::minutes(75);
    let unread = build().run(until, &mut |_, _| {});
    let (mut world, mut twice, mut last) = (build(), 0, unread.meter.0.power.0);
    for second in 1..=75 * 60 {
        world.advance(START + Span::seconds(second), &mut |_, _| {});
        let power = world.meter().power.0;
        twice += last + power;
        last = power;
    }
    let outcome = world.finish();
    assert_eq!(outcome, unread, "reading the meter changes nothing");
    let energy = (outcome.meter.1.energy - outcome.meter.0.energy).0;
    assert!((energy - twice / 2).abs() * 1000 < energy, "{energy} against {}", twice / 2);
    assert!(outcome.starts.iter().sum::<u64>() >= 40, "everything slept and woke");
}

//! Whole days in virtual time.

use super::testing::{day_events, day_prices, overhead, site_of, spike_day};
use super::*;
use crate::machine::Spread;
use crate::spec::{FarmSpec, FaultShares};
use headgate_core::event::{Act, OperatorAct};
use headgate_core::site::PolicyRule;
use headgate_core::units::{Energy, Money, Power, Price};
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

//! What machines draw: the meter against a fine sum, and what survives what.

use crate::{START, at, spec};
use headgate_core::fleet::MachineId;
use headgate_core::time::{SECOND, Span, Time};
use headgate_core::units::Power;
use headgate_sim::farm::{Already, Farm};
use headgate_sim::machine::{Fault, Pace};
use headgate_sim::spec::{FarmSpec, Happening, SiteOverhead};
use proptest::prelude::*;

/// The power of all machines one by one, which the meter never looks at.
fn sum(farm: &mut Farm, now: Time) -> i64 {
    let ids = 0..u32::try_from(farm.machines()).unwrap();
    ids.map(|id| farm.truth(MachineId(id), now).power.0).sum()
}

#[test]
fn a_machine_falls_in_seconds_and_rises_in_minutes() {
    let mut spec = spec(1);
    spec.spread.efficiency_ppm = 0;
    spec.spread.rate_ppm = 0;
    spec.spread.pace_ppm = 0;
    let mut farm = Farm::new(&spec).unwrap();
    let m = MachineId(0);
    let show = |farm: &mut Farm, t: i64| {
        let truth = farm.truth(m, at(t));
        format!("{t} s: {} W {} TH/s\n", truth.power.0, truth.rate.0 / 1000)
    };
    let mut text = show(&mut farm, 9);
    farm.sleep(m, at(10)).unwrap();
    for t in [10, 11, 14, 18, 60] {
        text += &show(&mut farm, t);
    }
    farm.wake(m, at(100), Pace::Normal).unwrap();
    for t in [100, 130, 220, 280, 340, 400] {
        text += &show(&mut farm, t);
    }
    insta::assert_snapshot!(text, @r"
9 s: 2794 W 121 TH/s
10 s: 2794 W 121 TH/s
11 s: 2448 W 0 TH/s
14 s: 1412 W 0 TH/s
18 s: 30 W 0 TH/s
60 s: 30 W 0 TH/s
100 s: 30 W 0 TH/s
130 s: 30 W 0 TH/s
220 s: 951 W 0 TH/s
280 s: 1565 W 0 TH/s
340 s: 2179 W 60 TH/s
400 s: 2794 W 121 TH/s
");
}

#[test]
fn asking_twice_is_told_and_changes_nothing() {
    let mut farm = Farm::new(&spec(1)).unwrap();
    let m = MachineId(0);
    assert_eq!(farm.wake(m, at(1), Pace::Normal), Err(Already));
    assert_eq!(farm.sleep(m, at(2)), Ok(()));
    let before = farm.truth(m, at(5));
    assert_eq!(farm.sleep(m, at(5)), Err(Already));
    assert_eq!(farm.truth(m, at(5)), before);
}

#[test]
fn sleep_survives_a_reboot_and_waking_does_not_hurry_after_one() {
    let mut farm = Farm::new(&spec(2)).unwrap();
    let (slept, worked) = (MachineId(0), MachineId(1));
    farm.sleep(slept, at(0)).unwrap();
    farm.reboot(slept, at(60));
    farm.reboot(worked, at(60));
    assert!(!farm.accepts(slept, at(61)), "nothing answers while it boots");
    assert!(farm.truth(worked, at(90)).power < Power(40), "a booting machine does not work");
    assert!(farm.accepts(slept, at(120)));
    let asleep = farm.truth(slept, at(600));
    assert!(asleep.asleep && asleep.declares_sleep && asleep.power < Power(40));
    assert!(farm.truth(worked, at(600)).power > Power(2500), "and then it does again");
    // The first wake-up after a reboot is a slow one, whatever was asked for; the next is not.
    farm.wake(slept, at(600), Pace::Unsafe).unwrap();
    assert!(farm.truth(slept, at(620)).power < Power(100));
    farm.sleep(slept, at(1000)).unwrap();
    farm.wake(slept, at(1100), Pace::Unsafe).unwrap();
    assert!(farm.truth(slept, at(1120)).power > Power(2500));
}

#[test]
fn faults_take_what_they_say_and_only_that() {
    let mut farm = Farm::new(&spec(5)).unwrap();
    let whole = farm.truth(MachineId(0), at(0)).power;
    for (id, fault) in [Fault::Dead, Fault::Dark, Fault::Mute, Fault::Lying].iter().enumerate() {
        let m = MachineId(u32::try_from(id).unwrap());
        farm.schedule(at(10), Happening::FaultBegins(m, *fault));
    }
    assert_eq!(farm.next_happening(), Some(at(10)));
    assert!(farm.accepts(MachineId(0), at(9)));
    let accepts: Vec<bool> = (0..5).map(|id| farm.accepts(MachineId(id), at(10))).collect();
    assert_eq!(accepts, [false, false, true, true, true]);
    assert_eq!(farm.truth(MachineId(0), at(10)).power, Power(0));
    assert!(farm.truth(MachineId(1), at(10)).power > Power(2500));
    farm.sleep(MachineId(3), at(20)).unwrap();
    let liar = farm.truth(MachineId(3), at(100));
    assert!(liar.declares_sleep && !liar.asleep && liar.power > Power(2500));
    farm.schedule(at(200), Happening::FaultEnds(MachineId(0)));
    assert_eq!(farm.truth(MachineId(0), at(900)).power, whole);
}

#[test]
fn shares_of_faults_are_exact_and_chosen_by_the_seed() {
    let chosen = |seed: u64, from: Option<Time>| {
        let mut spec = FarmSpec::mixed(START, 1000, seed);
        spec.faults.dead_ppm = 20_000;
        spec.faults.mute_ppm = 30_000;
        spec.faults.from = from;
        let mut farm = Farm::new(&spec).unwrap();
        let mut of = |fault: Fault, now: Time| -> Vec<u32> {
            (0..1000).filter(|id| farm.truth(MachineId(*id), now).fault == fault).collect()
        };
        (of(Fault::Dead, START), of(Fault::Dead, at(100)), of(Fault::Mute, at(100)))
    };
    let (now, later, mute) = chosen(1, None);
    assert_eq!((now.len(), later.len(), mute.len()), (20, 20, 30));
    assert_eq!(chosen(1, None), (now.clone(), later, mute));
    assert_ne!(chosen(2, None).0, now);
    let (none, later, _) = chosen(1, Some(at(50)));
    assert_eq!((none.len(), later), (0, now));
}

#[test]
fn the_meter_adds_the_sites_own_load() {
    let mut spec = spec(10);
    spec.overhead = SiteOverhead { share_ppm: 40_000, fixed: Power(150_000) };
    let mut farm = Farm::new(&spec).unwrap();
    let hour = farm.meter(at(3600));
    assert_eq!(hour.power.0, hour.machine_power.0 * 104 / 100 + 150_000);
    assert_eq!(hour.machine_energy.0, hour.machine_power.0 * 3600);
    assert_eq!(hour.energy.0, (hour.machine_power.0 * 3600 * 104) / 100 + 150_000 * 3600);
    assert_eq!(hour.work, hour.rate.0 * 3600);
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Sleep,
    Wake(Pace),
    Profile(usize),
    Reboot,
    Die,
    Heal,
}

fn acts() -> impl Strategy<Value = Vec<(u32, i64, Act)>> {
    let act = prop_oneof![
        3 => Just(Act::Sleep),
        3 => prop_oneof![Just(Pace::Normal), Just(Pace::Unsafe), (1..200u32).prop_map(Pace::Steps)]
            .prop_map(Act::Wake),
        3 => (0..25usize).prop_map(Act::Profile),
        1 => Just(Act::Reboot),
        1 => Just(Act::Die),
        1 => Just(Act::Heal),
    ];
    prop::collection::vec((0..4u32, 1..200 * SECOND, act), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn energy_is_the_integral_of_power(acts in acts(), step in 1..3i64) {
        let mut farm = Farm::new(&spec(4)).unwrap();
        // A second farm is read at the end only: how often one looks must not matter.
        let mut unwatched = farm.clone();
        let (mut now, mut summed, mut last) = (START, 0i128, farm.meter(START));
        for (machine, later, act) in acts {
            let due = now + Span(later);
            while now < due {
                let next = (now + Span(step * SECOND)).min(due);
                let middle = now + Span(next.since(now).0 / 2);
                let power = i128::from(sum(&mut farm, middle));
                summed += power * i128::from(next.since(now).0);
                let reading = farm.meter(next);
                prop_assert!(reading.energy >= last.energy && reading.work >= last.work);
                prop_assert!(reading.machine_power.0 >= 0 && reading.rate.0 >= 0);
                prop_assert_eq!(reading.machine_power.0, sum(&mut farm, next));
                (now, last) = (next, reading);
            }
            for farm in [&mut farm, &mut unwatched] {
                apply(farm, MachineId(machine), now, act);
            }
        }
        prop_assert_eq!(unwatched.meter(now), farm.meter(now));
        // The midpoint rule errs only where a ramp bends within a step.
        let gap = (summed - i128::from(last.machine_energy.0) * 1_000_000_000).abs();
        let bends = 4 * 30 * 4 * i128::from(step * SECOND) * 1000;
        prop_assert!(gap <= bends, "gap {} of {}", gap, summed);
    }
}

fn apply(farm: &mut Farm, m: MachineId, now: Time, act: Act) {
    match act {
        Act::Sleep => drop(farm.sleep(m, now)),
        Act::Wake(pace) => drop(farm.wake(m, now, pace)),
        Act::Profile(p) => farm.set_profile(m, now, p),
        Act::Reboot => farm.reboot(m, now),
        Act::Die => farm.schedule(now, Happening::FaultBegins(m, Fault::Dead)),
        Act::Heal => farm.schedule(now, Happening::FaultEnds(m)),
    }
}

#[test]
fn a_machine_is_small() {
    let spec = FarmSpec::mixed(START, 100_000, 1);
    let mut farm = Farm::new(&spec).unwrap();
    assert!(farm.bytes_per_machine() < 500, "{} bytes", farm.bytes_per_machine());
    for id in 0..100_000 {
        farm.sleep(MachineId(id), at(1)).unwrap();
    }
    assert!(farm.bytes_per_machine() < 500, "{} bytes", farm.bytes_per_machine());
    let slept = farm.meter(at(100));
    assert!(slept.power < Power(100_000 * 32), "{}", slept.power);
}

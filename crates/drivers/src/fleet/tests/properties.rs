//! Whatever machines do and however plans come, every command ends exactly once.

use super::farm::{Farm, Habit};
use crate::{Driver, Failure, Input, RequestId};
use headgate_core::fleet::Level;
use headgate_core::time::Span;
use proptest::prelude::*;

const MACHINES: u32 = 12;
const HABITS: [Habit; 8] = [
    Habit::Good,
    Habit::Mute,
    Habit::Lies,
    Habit::MuteAfterAccept,
    Habit::Refuses,
    Habit::WebPage,
    Habit::Dead,
    Habit::Forgets,
];

#[derive(Debug, Clone)]
enum Act {
    Plan { from: u32, to: u32, level: u8, lease_ms: i64, older: bool },
    Habit { machine: u32, habit: usize },
    Run { ms: i64 },
    ReadBack,
    ClockBack { seconds: i64 },
    StrayReply { id: u64 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let machine = 0..MACHINES;
    let plan = (machine.clone(), 1..MACHINES, 0..7u8, 0..60_000i64, prop::bool::weighted(0.1))
        .prop_map(|(from, n, level, lease_ms, older)| Act::Plan {
            from,
            to: (from + n).min(MACHINES),
            level,
            lease_ms,
            older,
        });
    let act = prop_oneof![
        4 => plan,
        3 => (machine, 0..HABITS.len()).prop_map(|(machine, habit)| Act::Habit { machine, habit }),
        6 => prop_oneof![0..100i64, 0..5_000i64, 0..400_000i64].prop_map(|ms| Act::Run { ms }),
        1 => Just(Act::ReadBack),
        1 => (1..7200i64).prop_map(|seconds| Act::ClockBack { seconds }),
        1 => any::<u64>().prop_map(|id| Act::StrayReply { id }),
    ];
    prop::collection::vec(act, 1..40)
}

fn play(acts: Vec<Act>) -> Farm {
    let mut farm = Farm::new(MACHINES, Habit::Good);
    let mut generation = 10;
    for act in acts {
        match act {
            Act::Plan { from, to, level, lease_ms, older } => {
                generation += 1;
                let number = if older { generation - 5 } else { generation };
                let plan = farm.plan(number, from..to, Level(level), Span::millis(lease_ms));
                farm.input(Input::Plan(&plan));
            }
            Act::Habit { machine, habit } => {
                farm.machines[machine as usize].habit = HABITS[habit];
            }
            Act::Run { ms } => farm.run_for(Span::millis(ms)),
            Act::ReadBack => farm.input(Input::ReadBack),
            Act::ClockBack { seconds } => farm.set_clock_back(Span::seconds(seconds)),
            Act::StrayReply { id } => {
                farm.input(Input::Reply { request: RequestId(id), bytes: b"{}" });
                let failure = Failure::Reset;
                farm.input(Input::Failed { request: RequestId(id), failure });
            }
        }
    }
    farm
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_command_ends_exactly_once(acts in acts()) {
        let mut farm = play(acts);
        farm.settle();
        let c = farm.driver.counts();
        prop_assert_eq!(c.commands, c.acked + c.refused + c.timed_out, "{:?}", c);
        let ends = c.confirmed + c.drifted + c.unavailable + c.superseded;
        prop_assert_eq!(c.commands, ends, "{:?}", c);
        prop_assert!(!farm.driver.proving());
        let d = &farm.driver;
        prop_assert_eq!((d.wants, d.talking, d.falling), (0, 0, 0));
        for m in &d.machines {
            prop_assert!(m.at_rest(), "{:?}", m);
        }
    }

    #[test]
    fn running_sums_are_the_sums(acts in acts()) {
        let farm = play(acts);
        let (d, cohort) = (&farm.driver, &farm.driver.cohorts[0]);
        let fresh = |m: &&super::Machine| m.link == super::Link::Fresh;
        let rate: i64 = d.machines.iter().filter(fresh).map(|m| m.rate).sum();
        prop_assert_eq!(cohort.rate, rate);
        prop_assert_eq!(cohort.heard as usize, d.machines.iter().filter(fresh).count());
        let measured = d.machines.iter().filter(|m| m.watts.is_some());
        let oldest = measured.map(|m| m.measured_at).min();
        let head = d.machines.get(cohort.oldest as usize).map(|m| m.measured_at);
        prop_assert_eq!(head, oldest);
        let on_wire = d.machines.iter().filter(|m| m.wire.is_some()).count();
        prop_assert_eq!(d.wires.in_flight, on_wire);
        let due = d.machines.iter().filter(|m| m.due != super::Time::MAX).count();
        prop_assert_eq!(d.due.len(), due);
    }
}

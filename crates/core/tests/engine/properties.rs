//! Invariants over random prices, faults and operators.

use crate::harness::World;
use headgate_core::event::Act;
use headgate_core::site::Ramp;
use headgate_core::testing::site;
use headgate_core::time::Span;
use headgate_core::units::Power;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Move {
    Price(i64),
    Hold(i64),
    Release,
    Stop,
    Wait(i64),
    Lie(usize),
    Honest,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (-50i64..300).prop_map(Move::Price),
        1 => Just(Move::Price(9000)),
        1 => (0i64..200_000).prop_map(Move::Hold),
        1 => Just(Move::Release),
        1 => Just(Move::Stop),
        5 => (1i64..1200).prop_map(Move::Wait),
        1 => (0usize..40).prop_map(Move::Lie),
        1 => Just(Move::Honest),
    ];
    proptest::collection::vec(one, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Planned import never exceeds the ceiling except by what cannot be shed, the target stays
    /// inside the ladder, and the same events always lead to the same steps.
    #[test]
    fn limits_hold_and_steps_repeat(moves in moves(), import in 40_000i64..150_000) {
        let mut s = site(40);
        s.limits.import = Power(import);
        s.limits.ramp_up = Some(Ramp { power: Power(60_000), per: Span::minutes(1) });
        let mut w = World::new(s.clone());
        for m in &moves {
            apply(&mut w, m);
            let Some(d) = w.engine.decision() else { continue };
            let last = d.ladder.last().unwrap().band;
            prop_assert!(last.floor <= d.target && d.target <= last.ceiling);
            prop_assert!(
                d.planned <= d.target.max(d.ladder[0].band.floor),
                "planned {} above target {}", d.planned, d.target
            );
            let bound = d.ladder[0].band.floor.max(Power(import));
            prop_assert!(d.target <= bound, "{} above {}", d.target, bound);
        }
        let mut again = World::new(s);
        for m in &moves {
            apply(&mut again, m);
        }
        prop_assert_eq!(&w.log, &again.log);
        prop_assert!(w.engine == again.engine);
    }
}

fn apply(w: &mut World, m: &Move) {
    match m {
        Move::Price(p) => drop(w.price(*p)),
        Move::Hold(p) => drop(w.operator(Act::Hold { power: Some(Power(*p)), until: None })),
        Move::Release => drop(w.operator(Act::Release)),
        Move::Stop => drop(w.operator(Act::Stop)),
        Move::Wait(s) => w.run(Span::seconds(*s)),
        Move::Lie(i) => w.liars[*i] = true,
        Move::Honest => w.liars.fill(false),
    }
    w.telemetry();
}

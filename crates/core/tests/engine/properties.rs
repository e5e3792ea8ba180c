//! Invariants over random prices, faults and operators.

use crate::harness::World;
use headgate_core::event::{Act, Event, MeterId};
use headgate_core::fleet::Level;
use headgate_core::site::{MeterKind, MeterSpec, Ramp};
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
    Curtail(i64, i64),
    Resume,
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
        1 => (0i64..120_000, 1i64..200).prop_map(|(w, s)| Move::Curtail(w, s)),
        1 => Just(Move::Resume),
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
        Move::Curtail(shed, within) => {
            let by = w.now + Span::seconds(*within);
            drop(w.operator(Act::Curtail { shed: Power(*shed), by }));
        }
        Move::Resume => drop(w.operator(Act::Resume)),
    }
    w.telemetry();
}

/// What may befall a curtailment that is under way.
#[derive(Debug, Clone)]
struct Hardship {
    shed: i64,
    within: i64,
    liars: Vec<usize>,
    /// Liars are heard of as on their way.
    silent: bool,
    /// They say nothing at all; what they draw is not known any more.
    mute: bool,
    /// Import is metered; else the machines' own watts are all there is.
    metered: bool,
    ramp: Option<i64>,
    /// The second at which the program is started again.
    restart: Option<i64>,
}

fn hardships() -> impl Strategy<Value = Hardship> {
    let shape = (5_000i64..100_000, 10i64..90, proptest::collection::vec(0usize..40, 0..10));
    let how = (any::<bool>(), any::<bool>());
    let site = (how, any::<bool>(), proptest::option::of(5_000i64..40_000));
    (shape, site, proptest::option::of(1i64..60)).prop_map(
        |((shed, within, liars), ((silent, mute), metered, ramp), restart)| Hardship {
            shed,
            within,
            liars,
            silent,
            mute: mute && !silent,
            metered,
            ramp,
            restart,
        },
    )
}

fn endure(h: &Hardship) -> Result<World, TestCaseError> {
    let mut s = site(40);
    s.limits.ramp_down = h.ramp.map(|w| Ramp { power: Power(w), per: Span::seconds(5) });
    if h.metered {
        let (name, kind) = ("feeder".into(), MeterKind::Reported);
        s.meters = vec![MeterSpec { name, kind, stale_after: Span::seconds(10) }];
    }
    let mut w = World::new(s);
    w.price(20);
    w.run(Span::minutes(20));
    h.liars.iter().for_each(|i| w.liars[*i] = true);
    (w.silent_liars, w.mute) = (h.silent, h.mute);
    let by = w.now + Span::seconds(h.within);
    w.operator(Act::Curtail { shed: Power(h.shed), by });
    let ceiling = w.engine.obligation().unwrap().ceiling;
    let mut imports = vec![w.import()];
    // Shorter than a liar is left alone: it may be told again after that.
    for second in 0..280 {
        w.price_again();
        if h.restart == Some(second) {
            w.restart();
        }
        w.telemetry();
        if h.metered {
            let power = Some(w.import());
            w.feed(Event::Meter { meter: MeterId(0), power });
        }
        let proven = w.engine.obligation().unwrap().proven_at.is_some();
        // Proven is what is measured: a liar never counts as down.
        prop_assert!(!proven || imports.iter().any(|i| *i <= ceiling), "proven at {ceiling}");
        w.now += Span::seconds(1);
        w.feed(Event::Tick);
        prop_assert!(proven || w.import() <= imports[imports.len() - 1], "up while going down");
        imports.push(w.import());
    }
    if let Some(ramp) = h.ramp.filter(|_| h.restart.is_none()) {
        for pair in imports.windows(5) {
            prop_assert!((pair[0] - pair[4]).0 <= ramp + 500, "{} to {}", pair[0], pair[4]);
        }
    }
    let spent = (0..40).all(|i| w.liars[i] || w.levels[i] == Level::SLEEP);
    let down = w.import() <= ceiling || spent;
    prop_assert!(
        down,
        "{} is above {ceiling}: {}",
        w.import(),
        w.log[w.log.len().saturating_sub(6)..].join("\n")
    );
    prop_assert!(h.restart.is_some() || w.told_twice == 0, "told the same twice");
    let r = w.engine.curtailment().unwrap();
    let sum = r.measured.machines + r.open.machines + r.failed.machines;
    prop_assert_eq!(r.told.machines, sum, "{:?}", r);
    prop_assert!(r.waves.iter().map(|w| w.machines).sum::<u32>() >= sum);
    Ok(w)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever lies, however import is measured and whatever ramp there is: power goes down and
    /// never up on the way, no ramp is broken, nobody is told the same twice, nothing that was
    /// not measured is proven, in the end it is down, and all of it happens again the same way.
    #[test]
    fn a_curtailment_comes_down_within_every_limit(h in hardships()) {
        let w = endure(&h)?;
        let again = endure(&h)?;
        prop_assert_eq!(&w.log, &again.log);
        prop_assert!(w.engine == again.engine);
    }
}

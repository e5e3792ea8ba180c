use super::*;
use crate::site::Ramp;
pub(in crate::horizon) use crate::testing::block;
use proptest::prelude::*;

pub(in crate::horizon) const STEP: Span = Span::minutes(15);
/// Two steps before midnight, so that short windows cross it.
pub(in crate::horizon) const BEGIN: Time = Time::from_seconds(86_400 * 19_000 - 1_800);

pub(in crate::horizon) fn mw(n: i64) -> Power {
    Power(n * 1_000_000)
}

pub(in crate::horizon) fn usd(n: i64) -> Price {
    Price(n * 1_000_000)
}

/// Whether powers in steps obey a unit's words, read off the powers alone and told without any
/// lattice; `before` is what it did before, ending with the step before the first.
pub(in crate::horizon) fn obeys(spec: &UnitSpec, before: &[Power], powers: &[Power]) -> bool {
    let all: Vec<Power> = before.iter().chain(powers).copied().collect();
    let moved = |r: Option<Ramp>| r.map_or(i64::MAX, |r| r.power.0 * (STEP.0 / r.per.0));
    let steps = |s: Span| usize::try_from(s.0 / STEP.0).unwrap().max(1);
    let run = |i: usize| all[..=i].iter().rev().take_while(|p| (p.0 > 0) == (all[i].0 > 0)).count();
    let mut days = std::collections::BTreeMap::new();
    for i in before.len()..all.len() {
        let (was, is) = (all[i - 1].0, all[i].0);
        let fine = match (was > 0, is > 0) {
            (false, false) => true,
            (false, true) => {
                let at = BEGIN + Span(STEP.0 * i64::try_from(i - before.len()).unwrap());
                *days.entry(at.day()).or_insert(0u16) += 1;
                is <= spec.start_at.0 && run(i - 1) >= steps(spec.min_off)
            }
            (true, false) => {
                was - spec.min.0 <= moved(spec.ramp_down) && run(i - 1) >= steps(spec.min_on)
            }
            (true, true) => is - was <= moved(spec.ramp_up) && was - is <= moved(spec.ramp_down),
        };
        if !fine || (is > 0 && !(spec.min.0..=spec.max.0).contains(&is)) {
            return false;
        }
    }
    days.values().all(|n| spec.starts_per_day.is_none_or(|most| *n <= most))
}

/// What powers earn, summed as the plan promises.
pub(in crate::horizon) fn earned(
    spec: &UnitSpec,
    before: Power,
    powers: &[Power],
    gains: &[Price],
) -> Money {
    let energy: Money = powers.iter().zip(gains).map(|(p, g)| g.of(p.over(STEP))).sum();
    let was = std::iter::once(&before).chain(powers);
    let starts = was.zip(powers).filter(|(a, b)| a.0 == 0 && b.0 > 0).count();
    energy - spec.start_cost.times(starts as i64)
}

/// The best of all sequences of powers that are let through, tried one by one.
pub(in crate::horizon) fn tried(
    spec: &UnitSpec,
    before: &[Power],
    levels: &[Power],
    gains: &[Price],
    lets: &dyn Fn(&[Power]) -> bool,
) -> Option<Money> {
    let choices: Vec<Power> = std::iter::once(Power::ZERO).chain(levels.iter().copied()).collect();
    let count = choices.len().pow(u32::try_from(gains.len()).unwrap());
    let mut best = None;
    for mut n in 0..count {
        let mut powers = Vec::with_capacity(gains.len());
        for _ in gains {
            powers.push(choices[n % choices.len()]);
            n /= choices.len();
        }
        if lets(&powers) && obeys(spec, before, &powers) {
            best = best.max(Some(earned(spec, *before.last().unwrap(), &powers, gains)));
        }
    }
    best
}

pub(in crate::horizon) fn small_unit() -> impl Strategy<Value = UnitSpec> {
    let ramp = || prop_oneof![Just(None), Just(Some(20)), Just(Some(40))];
    let most = prop_oneof![Just(None), (0u16..3).prop_map(Some)];
    (0i64..2, ramp(), ramp(), 1i64..4, 1i64..4, 0i64..500, most).prop_map(
        |(start, up, down, on, off, cost, starts_per_day)| UnitSpec {
            max: mw(80),
            start_at: mw(40 + 20 * start),
            ramp_up: up.map(|n| Ramp { power: mw(n), per: STEP }),
            ramp_down: down.map(|n| Ramp { power: mw(n), per: STEP }),
            min_on: Span(STEP.0 * on),
            min_off: Span(STEP.0 * off),
            start_cost: Money(cost * 1_000_000),
            starts_per_day,
            ..block()
        },
    )
}

/// Gains with ties, zeros, odd cents and both signs.
pub(in crate::horizon) fn gains(most: usize) -> impl Strategy<Value = Vec<Price>> {
    let one = prop_oneof![
        3 => (-60i64..60).prop_map(usd),
        1 => (-2_000_000i64..2_000_000).prop_map(Price),
        1 => Just(Price(0)),
    ];
    proptest::collection::vec(one, 1..=most)
}

pub(in crate::horizon) fn off(steps: usize) -> Vec<Power> {
    vec![Power::ZERO; steps]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_sequence_of_powers_earns_more(
        spec in small_unit(), gains in gains(6), rest in 1usize..4,
    ) {
        let mut planner = Planner::new(&spec, STEP).unwrap();
        let ahead = Ahead::new(BEGIN, &gains);
        let state = planner.lattice().off(u16::try_from(rest).unwrap());
        // One more step on before: so long and no longer it has been off.
        let before = [vec![mw(40)], off(rest)].concat();
        let plan = planner.plan(&ahead, Origin::At { state, starts: 0 }).unwrap();
        let powers: Vec<Power> = plan.powers(planner.lattice()).collect();
        prop_assert!(obeys(&spec, &before, &powers));
        prop_assert_eq!(plan.profit, earned(&spec, Power::ZERO, &powers, &gains));
        let levels = planner.lattice().levels().to_vec();
        prop_assert_eq!(Some(plan.profit), tried(&spec, &before, &levels, &gains, &|_| true));
    }

    #[test]
    fn value_plan_and_values_are_of_one_mind(spec in small_unit(), gains in gains(60)) {
        let mut planner = Planner::new(&spec, STEP).unwrap();
        let ahead = Ahead::new(BEGIN, &gains);
        let mut values = Values::default();
        planner.values(&ahead, &mut values).unwrap();
        for s in 0..planner.lattice().states() {
            let state = StateId(u16::try_from(s).unwrap());
            let from = Origin::At { state, starts: 0 };
            let value = planner.value(&ahead, from).unwrap();
            let plan = planner.plan(&ahead, from).unwrap();
            prop_assert_eq!(plan.profit, value);
            let next = planner.next(&ahead, from).unwrap();
            prop_assert_eq!((next.profit, next.state), (value, plan.states[0]));
            prop_assert_eq!(values.at(planner.lattice(), 0, state, 0), Some(value));
        }
    }

    /// The fault that every peer had: a window that forgets what came before it.
    #[test]
    fn a_plan_made_in_windows_obeys_as_a_whole(
        spec in small_unit(), gains in gains(120), cut in 1usize..9,
    ) {
        let mut planner = Planner::new(&spec, STEP).unwrap();
        let (mut powers, mut starts) = (Vec::<Power>::new(), 0);
        let mut unit = UnitState::beginning(&spec);
        let mut now = BEGIN;
        for window in gains.chunks(cut) {
            let plan = planner.plan(&Ahead::new(now, window), planner.origin(&unit, now)).unwrap();
            for power in plan.powers(planner.lattice()) {
                if unit.start_day != now.day() {
                    (unit.start_day, unit.starts) = (now.day(), 0);
                }
                if power.0 > 0 && !unit.on() {
                    unit.starts += 1;
                }
                if unit.on() != (power.0 > 0) {
                    unit.switched_at = now;
                }
                unit.power = power;
                powers.push(power);
                now += STEP;
            }
            starts += plan.starts;
        }
        prop_assert!(obeys(&spec, &off(9), &powers), "{:?}", powers);
        let begin = Origin::At { state: planner.lattice().off(9), starts: 0 };
        let whole = planner.value(&Ahead::new(BEGIN, &gains), begin).unwrap();
        prop_assert!(earned(&spec, Power::ZERO, &powers, &gains) <= whole);
        let before = std::iter::once(&Power::ZERO).chain(&powers);
        let seen = before.zip(&powers).filter(|(a, b)| a.0 == 0 && b.0 > 0).count();
        prop_assert_eq!(seen, starts as usize);
    }

    /// Cut anywhere, the values behind the cut taken as the end: nothing is lost or gained.
    #[test]
    fn the_end_values_join_two_windows(
        spec in small_unit().prop_map(|s| UnitSpec { starts_per_day: None, ..s }),
        gains in gains(60), at in 0usize..60,
    ) {
        let at = at.min(gains.len());
        let mut planner = Planner::new(&spec, STEP).unwrap();
        let mut values = Values::default();
        planner.values(&Ahead::new(BEGIN, &gains), &mut values).unwrap();
        let states = 0..u16::try_from(planner.lattice().states()).unwrap();
        let end: Vec<Money> = states
            .map(|s| values.at(planner.lattice(), at, StateId(s), 0).unwrap())
            .collect();
        let head = Ahead { end: &end, ..Ahead::new(BEGIN, &gains[..at]) };
        let whole = planner.value(&Ahead::new(BEGIN, &gains), Origin::Free);
        prop_assert_eq!(planner.value(&head, Origin::Free), whole);
    }

    #[test]
    fn bands_are_obeyed_or_the_step_is_named(
        spec in small_unit(), gains in gains(6),
        kinds in proptest::collection::vec(0u8..6, 6),
    ) {
        let mut planner = Planner::new(&spec, STEP).unwrap();
        let lattice = planner.lattice().clone();
        let top = u16::try_from(lattice.levels().len()).unwrap();
        let bands: Vec<Band> = kinds[..gains.len()]
            .iter()
            .map(|k| match k {
                0 => Band { off: false, ..Band::ALL },
                1 => Band { to: 1, ..Band::ALL },
                2 => Band { off: false, from: top - 1, to: top },
                3 => Band { to: 0, ..Band::ALL },
                _ => Band::ALL,
            })
            .collect();
        let ahead = Ahead { bands: &bands, ..Ahead::new(BEGIN, &gains) };
        let from = Origin::At { state: lattice.off(9), starts: 0 };
        let banned = |powers: &[Power]| powers.iter().zip(&bands).any(|(p, band)| {
            let level = lattice.levels().iter().position(|l| l == p);
            !band.allows(level.map(|l| u16::try_from(l).unwrap()))
        });
        match planner.plan(&ahead, from) {
            Ok(plan) => {
                let powers: Vec<Power> = plan.powers(&lattice).collect();
                prop_assert!(obeys(&spec, &off(9), &powers) && !banned(&powers));
                prop_assert_eq!(plan.profit, earned(&spec, Power::ZERO, &powers, &gains));
                prop_assert_eq!(planner.value(&ahead, from), Ok(plan.profit));
            }
            // As far as the step before the one named there is a way, and none further.
            Err(ExactError::NoWay { step, .. }) => {
                let part = |n: usize| Ahead {
                    bands: &bands[..n],
                    ..Ahead::new(BEGIN, &gains[..n])
                };
                prop_assert!(step == 0 || planner.plan(&part(step), from).is_ok());
                prop_assert!(planner.plan(&part(step + 1), from).is_err());
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn a_spike_is_worth_a_stop_only_when_it_is_long_or_tall() {
    let mut planner = Planner::new(&block(), STEP).unwrap();
    let from = Origin::At { state: planner.lattice().on(3, 9), starts: 0 };
    let mut check = |spike: &[i64]| {
        let gains: Vec<Price> =
            [vec![usd(20); 4], spike.iter().map(|n| usd(*n)).collect(), vec![usd(20); 9]].concat();
        let plan = planner.plan(&Ahead::new(BEGIN, &gains), from).unwrap();
        let powers = plan.powers(planner.lattice());
        let shown: Vec<String> = powers.map(|p| (p.0 / 1_000_000).to_string()).collect();
        format!("{}: {}", plan.profit, shown.join(" "))
    };
    insta::assert_snapshot!(
        check(&[-30]),
        @"5950.00: 100 100 100 100 60 80 100 100 100 100 100 100 100 100"
    );
    insta::assert_snapshot!(
        check(&[-300]),
        @"4000.00: 100 0 0 0 0 40 60 80 100 100 100 100 100 100"
    );
}

#[test]
fn days_of_92_and_100_quarters_are_days() {
    // The UTC day is what counts; a local day of 23 or 25 hours is just a longer window.
    for quarters in [92, 96, 100] {
        let gains: Vec<Price> = (0..quarters).map(|i| usd(30 - (i % 13) * 5)).collect();
        let mut planner = Planner::new(&block(), STEP).unwrap();
        let from = Origin::At { state: planner.lattice().off(9), starts: 0 };
        let plan = planner.plan(&Ahead::new(BEGIN, &gains), from).unwrap();
        let powers: Vec<Power> = plan.powers(planner.lattice()).collect();
        assert_eq!(powers.len(), gains.len());
        assert!(obeys(&block(), &off(9), &powers));
        assert_eq!(plan.profit, earned(&block(), Power::ZERO, &powers, &gains));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut planner = Planner::new(&block(), STEP).unwrap();
    let gains = [usd(1), usd(2)];
    let from = Origin::At { state: planner.lattice().off(9), starts: 0 };
    let mut check = |ahead: Ahead<'_>| {
        planner.value(&ahead, from).unwrap_err().to_string().replace(", can", ",\ncan")
    };
    let ahead = Ahead::new(BEGIN, &gains);
    insta::assert_snapshot!(
        check(Ahead { end: &[Money(1)], ..ahead }),
        @"end has 1 entries where 20 are needed"
    );
    insta::assert_snapshot!(
        check(Ahead { gains: &[Price(i64::MIN); 2], ..ahead }),
        @"the plan is about more money or steps than fit"
    );
    let shut = [Band::ALL, Band { off: false, from: 1, to: 9 }];
    insta::assert_snapshot!(
        check(Ahead { bands: &[shut[1], Band { off: true, from: 0, to: 0 }], ..ahead }),
        @r"
    no state allowed in step 0, at 1641598200 s,
    can be reached within ramps, dwells and starts a day
    "
    );
}

#[test]
fn products_beyond_64_bits_are_exact_too() {
    // An energy whose fraction of a MWh is as awkward as it gets, and a price at its bound.
    let spec = UnitSpec { min: Power(39_999_989), max: Power(39_999_989), ..block() };
    let spec = UnitSpec { start_at: spec.min, ramp_up: None, ..spec };
    let mut planner = Planner::new(&spec, STEP).unwrap();
    for gain in [usd(17_500), Price(9_223_372_036_854), Price(-7)] {
        let gains = [gain; 5];
        let from = Origin::At { state: planner.lattice().on(0, 1), starts: 0 };
        let want = gain.of(spec.min.over(STEP)).times(if gain.0 > 0 { 5 } else { 3 });
        assert_eq!(planner.value(&Ahead::new(BEGIN, &gains), from), Ok(want));
    }
}

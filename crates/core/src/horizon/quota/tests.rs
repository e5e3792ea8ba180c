use super::*;
use crate::horizon::exact::tests::{
    BEGIN, STEP, block, earned as paid, gains, mw, off, small_unit,
};
use crate::horizon::exact::tests::{obeys, tried, usd};
use crate::units::Power;
use proptest::prelude::*;

const MWH: i64 = 3_600_000_000;

/// A limit of some size for a window of some steps.
fn limit(kind: u8, size: i64, steps: i64) -> Limit {
    match kind {
        0 => Limit::EnergyAtLeast(Energy(steps * size * MWH / 5)),
        1 => Limit::EnergyAtMost(Energy(steps * size * MWH / 5)),
        _ => Limit::OffAtMost(Span(STEP.0 * size * steps / 100)),
    }
}

fn energy(powers: &[Power]) -> i64 {
    powers.iter().map(|p| p.over(STEP).0).sum()
}

fn keeps(limit: Limit, powers: &[Power]) -> bool {
    match limit {
        Limit::EnergyAtLeast(e) => energy(powers) >= e.0,
        Limit::EnergyAtMost(e) => energy(powers) <= e.0,
        Limit::OffAtMost(s) => {
            let off = powers.iter().filter(|p| p.0 == 0).count();
            STEP.0 * i64::try_from(off).unwrap() <= s.0
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Counted, a quota is exact on the lattice: no sequence of powers that keeps it earns more.
    #[test]
    fn no_sequence_that_keeps_the_quota_earns_more(
        spec in small_unit(), gains in gains(6), kind in 0u8..3, size in 10i64..100,
    ) {
        let limit = limit(kind, size, i64::try_from(gains.len()).unwrap());
        let quotas = [Quota { steps: 0..gains.len(), limit }];
        let mut planner = Planner::new(&spec, STEP).unwrap();
        let from = Origin::At { state: planner.lattice().off(9), starts: 0 };
        let levels = planner.lattice().levels().to_vec();
        let best_tried = tried(&spec, &off(9), &levels, &gains, &|p| keeps(limit, p));
        match best(&mut planner, &Ahead::new(BEGIN, &gains), from, &quotas) {
            Ok(found) => {
                let powers: Vec<Power> = found.plan.powers(planner.lattice()).collect();
                prop_assert!(keeps(limit, &powers) && obeys(&spec, &off(9), &powers));
                prop_assert_eq!(found.plan.profit, paid(&spec, Power::ZERO, &powers, &gains));
                prop_assert_eq!(Some(found.plan.profit), best_tried);
                prop_assert!(found.bound >= found.plan.profit);
            }
            Err(e) => {
                prop_assert_eq!(e, QuotaError::NoWay(quotas[0].clone()));
                prop_assert_eq!(best_tried, None);
            }
        }
    }

    /// The bound holds for powers between the levels too: no finer lattice gets beyond it.
    #[test]
    fn no_finer_lattice_exceeds_the_bound(
        spec in small_unit(), gains in gains(60), kind in 0u8..3, size in 10i64..100,
        // Parts of a watt are cut, and a count to the safe side may lose a unit by that.
        times in prop_oneof![Just(2u16), Just(4)],
    ) {
        let cut = gains.len() / 2;
        let quotas: Vec<Quota> = [0..cut, cut..gains.len()]
            .into_iter()
            .filter(|s| !s.is_empty())
            .map(|steps| {
                let length = i64::try_from(steps.len()).unwrap();
                Quota { limit: limit(kind, size, length), steps }
            })
            .collect();
        let run = |times| {
            let mut planner = Planner::finer(&spec, STEP, times).unwrap();
            let from = Origin::At { state: planner.lattice().off(9), starts: 0 };
            best(&mut planner, &Ahead::new(BEGIN, &gains), from, &quotas)
        };
        if let (Ok(coarse), Ok(fine)) = (run(1), run(times)) {
            prop_assert!(fine.plan.profit <= coarse.bound, "{:?} {:?}", fine, coarse);
            prop_assert!(coarse.plan.profit <= fine.plan.profit, "{:?} {:?}", fine, coarse);
        }
    }

    /// Quotas that overlap are priced; what is priced never contradicts what is counted.
    #[test]
    fn priced_and_counted_are_of_one_mind(
        spec in small_unit(), gains in gains(60), kind in 0u8..3, size in 10i64..100,
    ) {
        let limit = limit(kind, size, i64::try_from(gains.len()).unwrap());
        let quotas = [Quota { steps: 0..gains.len(), limit }];
        let mut planner = Planner::new(&spec, STEP).unwrap();
        let ahead = Ahead::new(BEGIN, &gains);
        let from = Origin::At { state: planner.lattice().off(9), starts: 0 };
        let counted = best(&mut planner, &ahead, from, &quotas);
        let free = planner.plan(&ahead, from).unwrap();
        let priced = priced::best(&mut planner, &ahead, from, &quotas, &free);
        match (counted, priced) {
            (Ok(counted), Ok(priced)) => {
                prop_assert!(quotas[0].is_met(planner.lattice(), &priced.plan));
                prop_assert!(priced.plan.profit <= counted.plan.profit);
                prop_assert!(counted.plan.profit <= priced.bound);
                prop_assert_eq!(earned(&planner, &ahead, &priced.plan), priced.plan.profit);
            }
            (Err(counted), Err(priced)) => prop_assert_eq!(counted, priced),
            (counted, priced) => prop_assert!(false, "{:?} against {:?}", counted, priced),
        }
    }
}

#[test]
fn quotas_by_day_and_over_all_days_are_kept_together() {
    let gains: Vec<Price> = (0..384).map(|t| usd((t * 37 % 61) - 35)).collect();
    let mut planner = Planner::new(&block(), STEP).unwrap();
    let from = Origin::At { state: planner.lattice().on(3, 9), starts: 0 };
    let mut quotas: Vec<Quota> = (0..4)
        .map(|d| Quota {
            steps: d * 96..(d + 1) * 96,
            limit: Limit::EnergyAtLeast(Energy(1_100 * MWH)),
        })
        .collect();
    quotas.push(Quota { steps: 0..384, limit: Limit::OffAtMost(Span::hours(20)) });
    let found = best(&mut planner, &Ahead::new(BEGIN, &gains), from, &quotas).unwrap();
    assert!(quotas.iter().all(|q| q.is_met(planner.lattice(), &found.plan)));
    let powers: Vec<Power> = found.plan.powers(planner.lattice()).collect();
    assert!(obeys(&block(), &[mw(100); 9], &powers));
    assert!(found.gap() >= Money::ZERO);
}

#[test]
fn what_cannot_be_met_is_named() {
    let gains = [usd(-20); 96];
    let mut planner = Planner::new(&block(), STEP).unwrap();
    let from = Origin::At { state: planner.lattice().off(9), starts: 0 };
    let mut check = |quotas: &[Quota]| {
        let error = best(&mut planner, &Ahead::new(BEGIN, &gains), from, quotas).unwrap_err();
        error.to_string().replace("` ", "`\n").replace(", within", ",\nwithin")
    };
    let most = Limit::EnergyAtLeast(Energy(2_400 * MWH));
    insta::assert_snapshot!(check(&[Quota { steps: 0..96, limit: most }]), @r"
    the quota `at least 2400.000 MWh in steps 0..96`
    cannot be met from where the plan begins,
    within ramps, dwells and starts a day
    ");
    insta::assert_snapshot!(check(&[Quota { steps: 0..97, limit: most }]), @r"
    the quota `at least 2400.000 MWh in steps 0..97`
    is not about steps of the plan
    ");
    let none = Limit::EnergyAtMost(Energy(0));
    let some = Limit::OffAtMost(Span::hours(3));
    insta::assert_snapshot!(check(&[Quota { steps: 0..48, limit: none }, Quota { steps: 0..96, limit: some }]), @r"
    each quota could be met alone, but `at most 180 min off in steps 0..96`
    not together with the others
    ");
}

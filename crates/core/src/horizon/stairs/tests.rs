use super::*;
use crate::horizon::exact::Ahead;
use crate::horizon::exact::tests::{BEGIN, STEP, block, gains, mw, small_unit, usd};
use proptest::prelude::*;

const MWH: i64 = 3_600_000_000;

proptest! {
    /// Where no row couples them, members are planned each for itself, and no more can be had.
    #[test]
    fn without_rows_there_is_no_gap(spec in small_unit(), gains in gains(40)) {
        let mut planner = Planner::new(&spec, STEP).unwrap();
        let from = Origin::At { state: planner.lattice().off(9), starts: 0 };
        let alone = planner.value(&Ahead::new(BEGIN, &gains), from).unwrap();
        let stairs = [Stair { gains: &gains, power: mw(7) }];
        let rows = Rows::after(Power::ZERO);
        let mut members = [Member { planner: &mut planner, gains: &gains, from }];
        let plan = best(BEGIN, STEP, &mut members, &stairs, &rows).unwrap();
        let merit: Money =
            gains.iter().filter(|g| g.0 > 0).map(|g| g.of(mw(7).over(STEP))).sum();
        prop_assert_eq!(plan.profit, alone + merit);
        prop_assert!(plan.gap() <= Money(2 * 40 + 1));
    }

    /// An energy spread by merit: no other way of taking it in these steps earns more.
    #[test]
    fn energy_goes_where_it_gains_most(gains in gains(12), need in 0i64..200) {
        let need = Energy(need * MWH / 4);
        let powers = spread(&gains, mw(50), STEP, need);
        let holds = mw(50).over(STEP).0 * i64::try_from(gains.len()).unwrap();
        let Some(powers) = powers else {
            prop_assert!(need.0 > holds);
            return Ok(());
        };
        let used: i64 = powers.iter().map(|p| p.over(STEP).0).sum();
        prop_assert!((need.0..=need.0 + 1_000).contains(&used));
        // Whatever runs gains no less than whatever does not.
        let gain = |on: bool| {
            let of = powers.iter().zip(&gains).filter(move |(p, _)| (p.0 > 0) == on);
            of.map(|(_, g)| *g)
        };
        prop_assert!(gain(true).min().is_none_or(|least| gain(false).all(|g| g <= least)));
    }
}

#[test]
fn what_admits_no_plan_is_named() {
    let gains = [usd(20); 8];
    let check = |rows: Rows, on: bool| {
        let mut planner = Planner::new(&block(), STEP).unwrap();
        let lattice = planner.lattice();
        let state = if on { lattice.on(3, 1) } else { lattice.off(9) };
        let from = Origin::At { state, starts: 0 };
        let mut members = [Member { planner: &mut planner, gains: &gains, from }];
        let stairs = [Stair { gains: &gains, power: mw(10) }];
        let error = best(BEGIN, STEP, &mut members, &stairs, &rows).unwrap_err();
        error.to_string().replace(" in step", "\nin step")
    };
    let mut rows = Rows::after(Power::ZERO);
    rows.least = vec![mw(45); 8];
    rows.least[0] = mw(120);
    insta::assert_snapshot!(check(rows.clone(), false), @r"
    the 120.000 MW that must be drawn cannot be reached
    in step 0, at 1641598200 s, with the units where they are
    ");
    rows.least[0] = mw(70);
    insta::assert_snapshot!(check(rows, false), @r"
    the 70.000 MW that must be drawn cannot be reached
    in step 0, at 1641598200 s, with the units where they are
    ");
    // It has just started, so it must stay on, and does not fit below the limit.
    let mut rows = Rows::after(mw(100));
    rows.most = vec![mw(100), mw(30), mw(30), mw(100), mw(100), mw(100), mw(100), mw(100)];
    insta::assert_snapshot!(check(rows, true), @r"
    the limit of 30.000 MW cannot be kept
    in step 1, at 1641599100 s, with the units where they are
    ");
    let mut rows = Rows::after(mw(100));
    rows.fall = Some(mw(15));
    rows.most = vec![mw(200), mw(50), mw(50), mw(100), mw(100), mw(100), mw(100), mw(100)];
    insta::assert_snapshot!(check(rows, true), @r"
    the limit of 50.000 MW cannot be kept
    in step 1, at 1641599100 s, with the units where they are
    ");
    let mut rows = Rows::after(Power::ZERO);
    rows.quotas = vec![(0..4, Limit::EnergyAtLeast(Energy(100 * MWH)))];
    insta::assert_snapshot!(check(rows, false), @r"
    the energy quota 0 cannot be met
    in step 0, at 1641598200 s, with the units where they are
    ");
}

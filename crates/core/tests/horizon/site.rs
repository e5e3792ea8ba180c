//! Sites of several units and cohorts, against the same solver.

use super::{BEGIN, MWH, STEP, Task, block, market, mw};
use crate::oracle;
use headgate_core::horizon::exact::{Origin, Planner};
use headgate_core::horizon::quota::Limit;
use headgate_core::horizon::stairs::{self, Member, Rows, SitePlan, Stair, StairsError};
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::site::Ramp;
use headgate_core::units::{Energy, Money, Power, Price};
use proptest::prelude::*;

/// What a site is told, and what came of it.
struct Case {
    specs: Vec<UnitSpec>,
    gains: Vec<Price>,
    rows: Rows,
    /// Whether units begin at full power.
    on: bool,
}

fn stairs<'a>(gains: &'a [Price], better: &'a [Price]) -> [Stair<'a>; 2] {
    [Stair { gains, power: mw(15) }, Stair { gains: better, power: mw(10) }]
}

impl Case {
    fn better(&self) -> Vec<Price> {
        self.gains.iter().map(|g| Price(g.0 + 7_000_000)).collect()
    }

    fn run(&self) -> (Result<SitePlan, StairsError>, Option<f64>) {
        let better = self.better();
        let mut planners: Vec<Planner> =
            self.specs.iter().map(|s| Planner::new(s, STEP).unwrap()).collect();
        let from = |p: &Planner| {
            let top = u16::try_from(p.lattice().levels().len() - 1).unwrap();
            let state = if self.on { p.lattice().on(top, 99) } else { p.lattice().off(99) };
            Origin::At { state, starts: 0 }
        };
        let copies = planners.clone();
        let tasks: Vec<Task<'_>> = (self.specs.iter().zip(&copies))
            .map(|(spec, p)| Task {
                spec,
                lattice: p.lattice(),
                begin: BEGIN,
                gains: &self.gains,
                from: from(p),
                quotas: &[],
            })
            .collect();
        let stairs = stairs(&self.gains, &better);
        let theirs = oracle::best_site(&tasks, &stairs, &self.rows);
        let mut members: Vec<Member<'_>> = (planners.iter_mut())
            .map(|planner| Member { from: from(planner), planner, gains: &self.gains })
            .collect();
        (stairs::best(BEGIN, STEP, &mut members, &stairs, &self.rows), theirs)
    }
}

/// A row and its size: nothing, a limit, an obligation for a while, a ramp, an energy.
fn rows(kind: u8, size: i64, steps: usize, before: Power) -> Rows {
    let mut rows = Rows::after(before);
    let middle = steps / 2..steps;
    match kind {
        0 => {}
        1 => rows.most = vec![mw(60 + size); steps],
        2 => {
            rows.least = vec![Power::ZERO; steps];
            rows.least[middle].fill(mw(size / 2));
        }
        3 => (rows.rise, rows.fall) = (Some(mw(40 + size / 2)), Some(mw(60 + size / 2))),
        4 => {
            let all = i64::try_from(steps).unwrap() * size / 8 * MWH;
            rows.quotas = vec![(0..steps, Limit::EnergyAtLeast(Energy(all)))];
        }
        _ => {
            let all = i64::try_from(steps).unwrap() * size / 8 * MWH;
            rows.quotas = vec![(0..steps, Limit::EnergyAtMost(Energy(all)))];
            rows.most = vec![mw(200); steps];
        }
    }
    rows
}

fn small() -> UnitSpec {
    UnitSpec {
        min: mw(20),
        max: mw(60),
        start_at: mw(40),
        ramp_up: Some(Ramp { power: mw(20), per: STEP }),
        start_cost: Money(150_000_000),
        min_on: STEP,
        ..block()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_solvers_best_lies_between_plan_and_bound(
        seed in 1u64..1_000_000, steps in 2usize..40, kind in 0u8..6, size in 0i64..140,
        on in any::<bool>(),
    ) {
        let before = if on { mw(160) } else { Power::ZERO };
        let case = Case {
            specs: vec![block(), small()],
            gains: market(seed, steps),
            rows: rows(kind, size, steps, before),
            on,
        };
        let (ours, theirs) = case.run();
        let usd = |m: Money| m.0 as f64 / 1e6;
        match (&ours, theirs) {
            (Ok(ours), Some(theirs)) => {
                prop_assert!(usd(ours.profit) < theirs + 0.01, "{:?} {}", ours, theirs);
                prop_assert!(theirs < usd(ours.bound) + 0.01, "{:?} {}", ours, theirs);
                if kind == 0 {
                    prop_assert!((usd(ours.profit) - theirs).abs() < 0.01);
                }
                eprintln!("gap {} {} of {}", kind, ours.gap(), ours.profit);
            }
            (Err(_), None) => {}
            (Err(e), Some(theirs)) => eprintln!("NONE {kind} {size} {steps} {on} {e} {theirs}"),
            (Ok(ours), None) => prop_assert!(false, "{:?} where there is no plan", ours),
        }
    }
}

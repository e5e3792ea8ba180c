//! The plan of a unit as a mixed-integer linear program, for a solver that knows nothing of
//! lattices. In MW, MWh and currency.

use crate::program::{Program, Variable};
use headgate_core::horizon::exact::Origin;
use headgate_core::horizon::quota::{Limit, Quota};
use headgate_core::horizon::stairs::{Rows, Stair};
use headgate_core::horizon::unit::{Lattice, UnitSpec};
use headgate_core::site::Ramp;
use headgate_core::time::{Span, Time};
use headgate_core::units::{Power, Price};
use microlp::ComparisonOp;

/// Variables of one step: on, started, stopped, and power above the least.
struct Step {
    on: Variable,
    started: Variable,
    stopped: Variable,
    above: Variable,
}

/// What is planned.
pub struct Task<'a> {
    pub spec: &'a UnitSpec,
    pub lattice: &'a Lattice,
    pub begin: Time,
    pub gains: &'a [Price],
    pub from: Origin,
    pub quotas: &'a [Quota],
}

fn mw(power: Power) -> f64 {
    power.0 as f64 / 1e6
}

/// The best profit, in currency; `None` when the solver says that there is no plan.
///
/// # Panics
/// When the solver gives up.
pub fn best(task: &Task<'_>) -> Option<f64> {
    let mut problem = Program::default();
    add(&mut problem, task);
    problem.best()
}

/// The best profit of a site, in currency.
pub fn best_site(tasks: &[Task<'_>], stairs: &[Stair<'_>], rows: &Rows) -> Option<f64> {
    let mut problem = Program::default();
    let hours = tasks[0].lattice.step().0 as f64 / 3.6e12;
    // The site's power in each step, as a sum of variables.
    let mut sums: Vec<Vec<(Variable, f64)>> = vec![Vec::new(); tasks[0].gains.len()];
    for task in tasks {
        let min = mw(task.spec.min);
        for (sum, step) in sums.iter_mut().zip(add(&mut problem, task)) {
            sum.extend([(step.on, min), (step.above, 1.0)]);
        }
    }
    for stair in stairs {
        for (sum, gain) in sums.iter_mut().zip(stair.gains) {
            let gain = gain.0 as f64 / 1e6 * hours;
            sum.push((problem.up_to(mw(stair.power), gain), 1.0));
        }
    }
    for (t, sum) in sums.iter().enumerate() {
        let mut limit = |op, power: Option<&Power>| {
            power.into_iter().for_each(|p| problem.row(sum.clone(), op, mw(*p)));
        };
        limit(ComparisonOp::Le, rows.most.get(t));
        limit(ComparisonOp::Ge, rows.least.get(t));
        let before = t.checked_sub(1).map(|b| &sums[b]);
        let known = if t == 0 { mw(rows.before) } else { 0.0 };
        let mut change = sum.clone();
        change.extend(before.into_iter().flatten().map(|(v, c)| (*v, -c)));
        if let Some(rise) = rows.rise {
            problem.row(change.clone(), ComparisonOp::Le, mw(rise) + known);
        }
        if let Some(fall) = rows.fall {
            problem.row(change, ComparisonOp::Ge, known - mw(fall));
        }
    }
    for (steps, limit) in &rows.quotas {
        let energy = sums[steps.clone()].iter().flatten().map(|(v, c)| (*v, c * hours));
        match limit {
            Limit::EnergyAtLeast(e) => {
                problem.row(energy, ComparisonOp::Ge, e.0 as f64 / 3.6e9);
            }
            Limit::EnergyAtMost(e) => {
                problem.row(energy, ComparisonOp::Le, e.0 as f64 / 3.6e9);
            }
            Limit::OffAtMost(_) => panic!("a site has no quota of time off"),
        }
    }
    problem.best()
}

/// States one unit's plan.
fn add(problem: &mut Program, task: &Task<'_>) -> Vec<Step> {
    let hours = task.lattice.step().0 as f64 / 3.6e12;
    let (min, max) = (mw(task.spec.min), mw(task.spec.max));
    let steps: Vec<Step> = task
        .gains
        .iter()
        .map(|gain| {
            let gain = gain.0 as f64 / 1e6 * hours;
            Step {
                on: problem.binary(gain * min),
                started: problem.binary(-(task.spec.start_cost.0 as f64) / 1e6),
                stopped: problem.binary(0.0),
                above: problem.up_to(max - min, gain),
            }
        })
        .collect();
    physics(problem, task, &steps);
    past(problem, task, &steps);
    for quota in task.quotas {
        let within = &steps[quota.steps.clone()];
        let energy = || within.iter().flat_map(|s| [(s.on, min * hours), (s.above, hours)]);
        let mwh = |e: headgate_core::units::Energy| e.0 as f64 / 3.6e9;
        match quota.limit {
            Limit::EnergyAtLeast(e) => problem.row(energy(), ComparisonOp::Ge, mwh(e)),
            Limit::EnergyAtMost(e) => problem.row(energy(), ComparisonOp::Le, mwh(e)),
            Limit::OffAtMost(span) => {
                let on = within.len() as f64 - (span.0 / task.lattice.step().0) as f64;
                let sum = within.iter().map(|s| (s.on, 1.0));
                problem.row(sum, ComparisonOp::Ge, on);
            }
        }
    }
    steps
}

fn by_step(ramp: Option<Ramp>, step: Span, most: f64) -> f64 {
    ramp.map_or(most, |r| mw(r.power) * step.0 as f64 / r.per.0 as f64).min(most)
}

fn physics(problem: &mut Program, task: &Task<'_>, steps: &[Step]) {
    use ComparisonOp::{Eq, Le};
    let (range, spec) = (mw(task.spec.max) - mw(task.spec.min), task.spec);
    let step = task.lattice.step();
    let (up, down) = (by_step(spec.ramp_up, step, range), by_step(spec.ramp_down, step, range));
    let below = mw(spec.max) - mw(spec.start_at);
    let (min_off, min_on) = task.lattice.dwell();
    for (t, now) in steps.iter().enumerate() {
        problem.row([(now.above, 1.0), (now.on, -range), (now.started, below)], Le, 0.0);
        if t > 0 {
            let before = &steps[t - 1];
            problem.row(
                [(now.on, 1.0), (before.on, -1.0), (now.started, -1.0), (now.stopped, 1.0)],
                Eq,
                0.0,
            );
            // In the step of a start only `start_at` counts.
            if up < range {
                let free = range - below;
                problem.row(
                    [
                        (now.above, 1.0),
                        (before.above, -1.0),
                        (before.on, -up),
                        (now.started, -free),
                    ],
                    Le,
                    0.0,
                );
            }
            if down < range {
                problem.row([(before.above, 1.0), (now.above, -1.0)], Le, down);
            }
        }
        let last = |n: u16| &steps[(t + 1).saturating_sub(usize::from(n))..=t];
        let mut on: Vec<_> = last(min_on).iter().map(|s| (s.started, 1.0)).collect();
        on.push((now.on, -1.0));
        problem.row(on, Le, 0.0);
        let mut off: Vec<_> = last(min_off).iter().map(|s| (s.stopped, 1.0)).collect();
        off.push((now.on, 1.0));
        problem.row(off, Le, 1.0);
    }
    let Some(most) = spec.starts_per_day else { return };
    let day = |t: usize| (task.begin + Span(step.0 * t as i64)).day();
    for first in day(0)..=day(steps.len() - 1) {
        let starts = steps.iter().enumerate().filter(|(t, _)| day(*t) == first);
        problem.row(starts.map(|(_, s)| (s.started, 1.0)), Le, f64::from(most));
    }
}

/// What the unit did before the first step.
fn past(problem: &mut Program, task: &Task<'_>, steps: &[Step]) {
    use ComparisonOp::{Eq, Le};
    let Origin::At { state, starts } = task.from else { panic!("the oracle begins in a state") };
    assert_eq!(starts, 0, "the oracle counts no starts before the plan");
    let (min_off, min_on) = task.lattice.dwell();
    let gone = task.lattice.steps(state);
    let was = task.lattice.level(state);
    let first = &steps[0];
    let on = if was.is_some() { 1.0 } else { 0.0 };
    problem.row([(first.on, 1.0), (first.started, -1.0), (first.stopped, 1.0)], Eq, on);
    let (held, left) = if was.is_some() { (1.0, min_on) } else { (0.0, min_off) };
    for now in steps.iter().take(usize::from(left.saturating_sub(gone))) {
        problem.row([(now.on, 1.0)], Eq, held);
    }
    let Some(level) = was else { return };
    let range = mw(task.spec.max) - mw(task.spec.min);
    let above = mw(task.lattice.levels()[usize::from(level)]) - mw(task.spec.min);
    let step = task.lattice.step();
    let up = by_step(task.spec.ramp_up, step, range);
    let down = by_step(task.spec.ramp_down, step, range);
    problem.row([(first.above, 1.0)], Le, above + up);
    problem.row([(first.above, -1.0)], Le, down - above);
}

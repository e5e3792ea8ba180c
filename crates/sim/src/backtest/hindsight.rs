//! The best plan in hindsight, in settlement intervals, and a bound that nothing beats.
//!
//! A unit pays for its energy by a straight line in each interval: the market's price and the
//! adders. A block that is sold back at less than the market bends that line. The plan is then
//! made by a line that touches the bent one from below, so that its value stands above every
//! plan's true profit: what lies between it and the plan's own profit is certified.
//!
//! ```text
//!   cost of an interval's energy          bound = plan's value by the lines
//!         .  /                            gap   = bound - plan's true profit
//!        . /  market                              (none where the lines are the cost)
//!      _./
//!   __/.  resale
//! ```

use super::account::{AccountError, Statement, settle_run};
use super::compare::{Bound, BoundKind};
use super::run::{Run, Segment};
use super::tape::Tape;
use crate::world::entry;
use headgate_core::horizon::exact::{Ahead, Band, ExactError, Plan, Planner};
use headgate_core::horizon::unit::{LatticeError, UnitSpec, UnitState};
use headgate_core::ledger::LedgerInterval;
use headgate_core::market::PriceRow;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::site::{Site, Value};
use headgate_core::time::{Interval, Span};
use headgate_core::units::{Energy, Money, Power, Price};

/// Micro-units that rounding may take in one interval: of revenue, of energy, of resale and of
/// each unit's gain.
const ROUNDING: i64 = 4;
/// Parts of one whole in parts per million.
const WHOLE_PPM: i128 = 1_000_000;

/// The best in hindsight.
#[derive(Debug, Clone, PartialEq)]
pub struct Hindsight {
    /// The plan, as carried out.
    pub run: Run,
    /// What it is worth.
    pub statement: Statement,
    /// What nothing exceeds.
    pub bound: Bound,
}

/// Why there is no plan in hindsight.
#[derive(Debug, thiserror::Error)]
pub enum HindsightError {
    /// The site has machines, not units.
    #[error(
        "failed to plan machines in hindsight: cohort {cohort} has machines; give it as a block \
         with driver = \"none\" and a unit"
    )]
    Machines {
        /// The cohort's name.
        cohort: String,
    },
    /// Units share a limit that all of them together exceed.
    #[error(
        "failed to plan in hindsight: the units draw {together} together at the meter and the \
         import limit is {import}; raise [limits] import or back-test them one by one"
    )]
    Coupled {
        /// All at their most.
        together: Power,
        /// The limit.
        import: Power,
    },
    /// The unit's least power is above what the site may draw.
    #[error("failed to plan unit {unit}: {import} at the meter are less than its least power")]
    TooSmall {
        /// Its cohort.
        unit: String,
        /// The limit.
        import: Power,
    },
    /// A unit has no value per MWh.
    #[error("failed to plan unit {unit}: a hash price cannot value it; give it a value")]
    NoValue {
        /// Its cohort.
        unit: String,
    },
    /// A unit admits no plan.
    #[error("failed to plan unit {unit} in steps of {step}")]
    Lattice {
        /// Its cohort.
        unit: String,
        /// Step of settlement.
        step: Span,
        /// Why.
        #[source]
        source: LatticeError,
    },
    /// There is no plan over the tape.
    #[error("failed to plan unit {unit}")]
    Plan {
        /// Its cohort.
        unit: String,
        /// Why.
        #[source]
        source: ExactError,
    },
    /// The plan cannot be settled.
    #[error("failed to settle the plan")]
    Account(#[from] AccountError),
}

/// A straight line below what an interval's energy costs at the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    /// Cost of one more MWh.
    slope: Price,
    /// Cost at no energy.
    base: Money,
}

/// Plans a site of units in hindsight.
///
/// # Errors
/// [`HindsightError`] when there is no plan or it cannot be settled.
pub fn hindsight(
    site: &Site,
    units: &[UnitSpec],
    tape: &Tape,
) -> Result<Hindsight, HindsightError> {
    let has_unit = |c: usize| units.iter().any(|u| usize::from(u.cohort.0) == c);
    if let Some(m) = site.machines.iter().find(|m| !has_unit(usize::from(m.cohort.0))) {
        return Err(HindsightError::Machines { cohort: site.cohort(m.cohort).name.clone() });
    }
    let worths = worths(site, units)?;
    let together = site.overhead.meter(units.iter().map(|u| u.max).sum());
    if units.len() > 1 && together > site.limits.import {
        return Err(HindsightError::Coupled { together, import: site.limits.import });
    }
    let lines: Vec<Line> = tape.settled.iter().map(|row| line(site, units, &worths, row)).collect();
    let mut plans = Vec::with_capacity(units.len());
    for (unit, worth) in units.iter().zip(&worths) {
        plans.push(plan(site, tape, unit, *worth, &lines)?);
    }
    let run = carried_out(site, units, tape, &plans);
    let statement = settle_run(site, tape, &run)?;
    let fixed = site.overhead.fixed.over(tape.settle_step);
    let rest: i64 = lines.iter().map(|l| l.base.0 + l.slope.of(fixed).0).sum();
    let value: i64 = plans.iter().map(|(_, p)| p.profit.0).sum::<i64>() - rest;
    let bound = certify(value, &statement, units.len());
    Ok(Hindsight { run, statement, bound })
}

fn name(site: &Site, unit: &UnitSpec) -> String {
    site.cohort(unit.cohort).name.clone()
}

/// What each unit's energy is worth, at the unit.
fn worths(site: &Site, units: &[UnitSpec]) -> Result<Vec<Price>, HindsightError> {
    let of = |u: &UnitSpec| match (site.cohort(u.cohort).value, site.value) {
        (Some(price), _) | (None, Value::Energy(price)) => Ok(price),
        (None, Value::Hashprice { .. }) => Err(HindsightError::NoValue { unit: name(site, u) }),
    };
    units.iter().map(of).collect()
}

/// A price at the unit of what costs so much at the meter.
fn at_unit(site: &Site, meter: Price) -> Price {
    let ppm = WHOLE_PPM + i128::from(site.overhead.share_ppm);
    Price(to_i64(div_half_even(i128::from(meter.0) * ppm, WHOLE_PPM)))
}

/// What an amount of energy in an interval costs, less what is sold back.
fn cost(site: &Site, interval: Interval, energy: Energy, price: Price) -> Money {
    let settled: LedgerInterval = entry(site, interval, energy, Money::ZERO, price);
    settled.energy_cost - settled.sell_back
}

/// The line that touches an interval's cost where the units would like to be by themselves.
fn line(site: &Site, units: &[UnitSpec], worths: &[Price], row: &PriceRow) -> Line {
    let length = row.interval.length();
    let most = site.overhead.meter(units.iter().map(|u| u.max).sum()).min(site.limits.import);
    let mut edges = vec![Energy::ZERO];
    for block in site.blocks.iter().filter(|b| b.in_force(row.interval.start)) {
        edges.push(edges[edges.len() - 1] + block.energy(length));
    }
    let most = most.over(length);
    edges.retain(|e| *e < most);
    edges.push(most);
    let at = |e: Energy| cost(site, row.interval, e, row.price);
    let market = row.price + site.import_adder;
    let slope = if edges.len() == 2 && site.blocks.is_empty() {
        market
    } else {
        wanted(site, units, worths, row, market)
    };
    // A broken line is nowhere farther below a straight one than at an edge.
    let base = edges.iter().map(|e| at(*e) - slope.of(*e)).min().unwrap_or(Money::ZERO);
    Line { slope, base }
}

/// The marginal cost at which the units together would stand if nothing bound them in time.
fn wanted(
    site: &Site,
    units: &[UnitSpec],
    worths: &[Price],
    row: &PriceRow,
    market: Price,
) -> Price {
    let resale = site.blocks.iter().filter(|b| b.in_force(row.interval.start));
    let mut block = Power::ZERO;
    let mut below = market;
    for b in resale {
        block += b.quantity;
        below = below.min(b.resale(row.price) + site.import_adder);
    }
    let running = |cost: Price| {
        let on = units.iter().zip(worths).filter(|(_, w)| **w > at_unit(site, cost));
        site.overhead.meter(on.map(|(u, _)| u.max).sum())
    };
    if running(market) >= block {
        return market;
    }
    if running(below) <= block {
        return below;
    }
    // Between the two: the worth of the unit that fills the block.
    let ppm = WHOLE_PPM + i128::from(site.overhead.share_ppm);
    let at_meter = |w: Price| Price(to_i64(div_half_even(i128::from(w.0) * WHOLE_PPM, ppm)));
    let mut all: Vec<Price> = worths.iter().map(|w| at_meter(*w)).collect();
    all.sort_unstable();
    let fills = all.into_iter().rev().find(|w| running(*w - Price(1)) >= block);
    fills.unwrap_or(below).clamp(below, market)
}

fn plan(
    site: &Site,
    tape: &Tape,
    unit: &UnitSpec,
    worth: Price,
    lines: &[Line],
) -> Result<(Planner, Plan), HindsightError> {
    let step = tape.settle_step;
    let mut planner = Planner::new(unit, step).map_err(|source| {
        let unit = name(site, unit);
        HindsightError::Lattice { unit, step, source }
    })?;
    let gains: Vec<Price> = lines.iter().map(|l| worth - at_unit(site, l.slope)).collect();
    let most = site.overhead.machines(site.limits.import);
    let levels = planner.lattice().levels().partition_point(|p| *p <= most);
    if levels == 0 {
        let (unit, import) = (name(site, unit), site.limits.import);
        return Err(HindsightError::TooSmall { unit, import });
    }
    let limited = levels < planner.lattice().levels().len();
    let to = u16::try_from(levels).unwrap_or(u16::MAX);
    let bands = if limited { vec![Band { to, ..Band::ALL }; gains.len()] } else { Vec::new() };
    let ahead = Ahead { bands: &bands, ..Ahead::new(tape.span.start, &gains) };
    let from = planner.origin(&UnitState::beginning(unit), tape.span.start);
    let found = planner.plan(&ahead, from).map_err(|source| {
        let unit = name(site, unit);
        HindsightError::Plan { unit, source }
    })?;
    Ok((planner, found))
}

/// The plans of all units as one run.
fn carried_out(site: &Site, units: &[UnitSpec], tape: &Tape, plans: &[(Planner, Plan)]) -> Run {
    let mut starts = vec![0; site.cohorts.len()];
    let mut segments = Vec::with_capacity(tape.settled.len());
    for (t, row) in tape.settled.iter().enumerate() {
        let length = row.interval.length();
        let (mut power, mut made) = (Power::ZERO, 0);
        for (planner, plan) in plans {
            let lattice = planner.lattice();
            let before = if t == 0 { plan.origin } else { plan.states[t - 1] };
            let now = plan.states[t];
            power += lattice.power(now);
            made += u32::from(lattice.level(before).is_none() && lattice.level(now).is_some());
        }
        let meter = site.overhead.meter(power);
        segments.push(Segment {
            interval: row.interval,
            power: meter,
            energy: meter.over(length),
            machine_energy: power.over(length),
            work: 0,
            starts: made,
        });
    }
    for (unit, (_, plan)) in units.iter().zip(plans) {
        starts[usize::from(unit.cohort.0)] += u64::from(plan.starts);
    }
    Run { segments, starts, steps: 0 }
}

/// The bound by the value of the lines and the profit of the plan.
fn certify(value: i64, plan: &Statement, units: usize) -> Bound {
    let profit = plan.account.profit;
    let rounding = i64::try_from(plan.intervals.len() * (units + 1)).unwrap_or(i64::MAX) * ROUNDING;
    if value - profit <= rounding {
        return Bound { profit: Money(profit), kind: BoundKind::Exact, gap: 0.0 };
    }
    let gap = (value - profit) as f64 / value.unsigned_abs().max(1) as f64;
    Bound { profit: Money(value + rounding), kind: BoundKind::Certified, gap }
}

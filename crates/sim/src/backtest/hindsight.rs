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

use super::account::{AccountError, Statement, settle_run, value_at};
use super::compare::{Bound, BoundKind};
use super::run::{Run, Segment};
use super::tape::Tape;
use crate::world::{entry, revenue};
use headgate_core::fleet::{CohortId, OperatingPoint};
use headgate_core::horizon::exact::{Ahead, Band, ExactError, Plan, Planner};
use headgate_core::horizon::stairs::{self, Member, Rows, StairsError};
use headgate_core::horizon::unit::{Begins, LatticeError, UnitSpec, UnitState};
use headgate_core::ledger::LedgerInterval;
use headgate_core::market::PriceRow;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::site::{Cohort, Site, Value};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Energy, Money, NANOS_PER_SECOND, Power, Price, Rate};

/// Micro-units that rounding may take in one interval: of revenue, of energy, of resale and of
/// each part's gain.
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
    /// Machines and others share a limit that all of them together exceed.
    #[error(
        "failed to plan machines in hindsight: all cohorts together draw {together} at the meter \
         and the import limit is {import}; raise [limits] import or back-test them one by one"
    )]
    Coupled {
        /// All at their most.
        together: Power,
        /// The limit.
        import: Power,
    },
    /// The least power is above what the site may draw.
    #[error("failed to plan {cohort}: {import} at the meter are less than its least power")]
    TooSmall {
        /// Its cohort.
        cohort: String,
        /// The limit.
        import: Power,
    },
    /// Its physics admits no plan.
    #[error("failed to plan {cohort} in steps of {step}")]
    Lattice {
        /// Its cohort.
        cohort: String,
        /// Step of settlement.
        step: Span,
        /// Why.
        #[source]
        source: LatticeError,
    },
    /// There is no plan over the tape.
    #[error("failed to plan {cohort}")]
    Plan {
        /// Its cohort.
        cohort: String,
        /// Why.
        #[source]
        source: ExactError,
    },
    /// Units that share a limit have no plan together.
    #[error("failed to plan the units together")]
    Together {
        /// Why.
        #[source]
        source: StairsError,
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

/// A unit, or all machines of a cohort: alike and bound by nothing together, the best plan of one
/// is the best plan of each.
#[derive(Debug)]
struct Part<'a> {
    cohort: &'a Cohort,
    spec: UnitSpec,
    /// Whether it is a unit, which moves along its lattice; machines take any level at once.
    unit: bool,
    /// Its working levels, all machines together.
    levels: Vec<Level>,
    /// What it is at asleep.
    sleep: Level,
    /// How many start with one start.
    machines: u64,
}

/// A level of a part, and what one interval at it comes to.
#[derive(Debug, Clone, Copy)]
struct Level {
    power: Power,
    energy: Energy,
    work: i64,
    /// What its work is worth; `None` where that goes by the hash price.
    worth: Option<Money>,
}

/// A part with its plan.
struct Planned<'a> {
    part: Part<'a>,
    planner: Planner,
    plan: Plan,
    /// Best level of each interval, where it is free.
    free: Vec<Level>,
}

/// Plans a site in hindsight, in settlement intervals. Ramps of the whole site and its starts an
/// hour are not counted: the bound holds with or without them.
///
/// # Errors
/// [`HindsightError`] when there is no plan or it cannot be settled.
pub fn hindsight(
    site: &Site,
    units: &[UnitSpec],
    tape: &Tape,
) -> Result<Hindsight, HindsightError> {
    let step = tape.settle_step;
    let parts = parts(site, units, step)?;
    let together = site.overhead.meter(parts.iter().map(Part::most).sum());
    let coupled = parts.len() > 1 && together > site.limits.import;
    if coupled && parts.iter().any(|p| !p.unit) {
        return Err(HindsightError::Coupled { together, import: site.limits.import });
    }
    let lines: Vec<Line> = tape.settled.iter().map(|r| line(site, &parts, tape, r)).collect();
    let fixed = site.overhead.meter(parts.iter().map(|p| p.sleep.power).sum()).over(step);
    let rest: i64 = lines.iter().map(|l| l.base.0 + l.slope.of(fixed).0).sum();
    let (planned, value) = if coupled {
        together_planned(site, tape, parts, &lines)?
    } else {
        let each = parts.into_iter().map(|part| plan(site, tape, part, &lines));
        let planned = each.collect::<Result<Vec<_>, _>>()?;
        let value = planned.iter().map(|p| p.plan.profit.0).sum();
        (planned, value)
    };
    let value: i64 = value - rest;
    let run = carried_out(site, units, tape, &planned);
    let statement = settle_run(site, units, tape, &run)?;
    let bound = certify(value, &statement, planned.len());
    Ok(Hindsight { run, statement, bound })
}

/// What there is to plan.
fn parts<'a>(
    site: &'a Site,
    units: &[UnitSpec],
    step: Span,
) -> Result<Vec<Part<'a>>, HindsightError> {
    let mut parts = Vec::new();
    for (id, cohort) in (0u16..).map(CohortId).zip(&site.cohorts) {
        if let Some(spec) = units.iter().find(|u| u.cohort == id) {
            let planner = planner(cohort, spec, step)?;
            let of = |p: &Power| Level::of(site, cohort, step, *p, Rate(p.0));
            let levels = planner.lattice().levels().iter().map(of).collect();
            let sleep = of(&Power::ZERO);
            parts.push(Part { cohort, spec: *spec, unit: true, levels, sleep, machines: 1 });
            continue;
        }
        let machines = site.machines.iter().filter(|m| m.cohort == id && !m.excluded).count();
        let n = i64::try_from(machines).unwrap_or(i64::MAX);
        let all = |p: &OperatingPoint| {
            let rate = Rate(p.rate.0.saturating_mul(n));
            Level::of(site, cohort, step, p.power.times(n), rate)
        };
        let levels: Vec<_> = cohort.curve.levels()[1..].iter().map(all).collect();
        let Some(top) = levels.last().filter(|_| n > 0) else { continue };
        let spec = UnitSpec {
            cohort: id,
            min: top.power,
            max: top.power,
            start_at: top.power,
            ramp_up: None,
            ramp_down: None,
            min_on: cohort.times.min_on,
            min_off: cohort.times.min_off,
            start_cost: cohort.start_cost.times(n),
            starts_per_day: Some(cohort.starts_per_day),
            begins: Begins::Off,
        };
        let sleep = Level::of(site, cohort, step, cohort.curve.sleep().times(n), Rate(0));
        parts.push(Part { cohort, spec, unit: false, levels, sleep, machines: machines as u64 });
    }
    Ok(parts)
}

fn planner(cohort: &Cohort, spec: &UnitSpec, step: Span) -> Result<Planner, HindsightError> {
    Planner::new(spec, step).map_err(|source| {
        let cohort = cohort.name.clone();
        HindsightError::Lattice { cohort, step, source }
    })
}

impl Part<'_> {
    /// What a unit's MWh gains in each interval.
    fn gains(&self, site: &Site, lines: &[Line]) -> Vec<Price> {
        let worth = self.cohort.value.unwrap_or(match site.value {
            Value::Energy(price) => price,
            Value::Hashprice { .. } => Price::ZERO,
        });
        lines.iter().map(|l| worth - at_machine(site, l.slope)).collect()
    }

    fn most(&self) -> Power {
        self.levels.last().map_or(self.sleep.power, |p| p.power)
    }
}

impl Level {
    /// A level of a cohort, held for a step; asleep it does no work.
    fn of(site: &Site, cohort: &Cohort, step: Span, power: Power, rate: Rate) -> Self {
        let energy = power.over(step);
        let work = i128::from(rate.0) * i128::from(step.0);
        let work = to_i64(div_half_even(work, NANOS_PER_SECOND));
        let worth = match (cohort.value, site.value) {
            _ if rate.0 == 0 => Some(Money::ZERO),
            (Some(price), _) | (None, Value::Energy(price)) => Some(price.of(energy)),
            (None, Value::Hashprice { .. }) => None,
        };
        Self { power, energy, work, worth }
    }

    /// What its work is worth in the interval that begins at a moment.
    fn worth(&self, site: &Site, tape: &Tape, at: Time) -> Money {
        self.worth.unwrap_or_else(|| {
            let per_day = value_at(&tape.values, at).unwrap_or(Money::ZERO);
            revenue(site, self.energy, self.work, per_day)
        })
    }
}

/// A price at the machine of what costs so much at the meter.
fn at_machine(site: &Site, meter: Price) -> Price {
    if site.overhead.share_ppm == 0 {
        return meter;
    }
    let ppm = WHOLE_PPM + i128::from(site.overhead.share_ppm);
    Price(to_i64(div_half_even(i128::from(meter.0) * ppm, WHOLE_PPM)))
}

/// What an amount of energy in an interval costs, less what is sold back.
fn cost(site: &Site, interval: Interval, energy: Energy, price: Price) -> Money {
    let settled: LedgerInterval = entry(site, interval, energy, Money::ZERO, price);
    settled.energy_cost - settled.sell_back
}

/// The line that touches an interval's cost where the site would like to be if nothing bound it
/// in time.
fn line(site: &Site, parts: &[Part<'_>], tape: &Tape, row: &PriceRow) -> Line {
    let market = row.price + site.import_adder;
    let blocks: Vec<_> = site.blocks.iter().filter(|b| b.in_force(row.interval.start)).collect();
    if blocks.is_empty() {
        return Line { slope: market, base: Money::ZERO };
    }
    let length = row.interval.length();
    let most = site.overhead.meter(parts.iter().map(Part::most).sum()).over(length);
    let mut edges = vec![Energy::ZERO];
    for block in blocks {
        edges.push(edges[edges.len() - 1] + block.energy(length));
    }
    edges.retain(|e| *e < most);
    edges.push(most);
    let slope = wanted(site, parts, tape, row);
    // A broken line is nowhere farther below a straight one than at an edge.
    let below = |e: &Energy| cost(site, row.interval, *e, row.price) - slope.of(*e);
    Line { slope, base: edges.iter().map(below).min().unwrap_or(Money::ZERO) }
}

/// The marginal cost at which all parts together would stand if nothing bound them in time.
fn wanted(site: &Site, parts: &[Part<'_>], tape: &Tape, row: &PriceRow) -> Price {
    let market = row.price + site.import_adder;
    let (mut block, mut below) = (Power::ZERO, market);
    for b in site.blocks.iter().filter(|b| b.in_force(row.interval.start)) {
        block += b.quantity;
        below = below.min(b.resale(row.price) + site.import_adder);
    }
    let running = |cost: Price| {
        let best = |p: &Part<'_>| best_level(site, tape, p, row.interval.start, cost);
        let of = |p: &Part<'_>| best(p).filter(|(gain, _)| *gain > Money::ZERO);
        let drawn = |p: &Part<'_>| of(p).map_or(p.sleep.power, |(_, level)| level.power);
        site.overhead.meter(parts.iter().map(drawn).sum())
    };
    if running(market) >= block {
        return market;
    }
    if running(below) <= block {
        return below;
    }
    // Between the two: the highest cost at which the block is still filled, by halving.
    let (mut fills, mut leaves) = (below, market);
    while (leaves - fills).0 > 1 {
        let middle = Price(fills.0 + (leaves - fills).0 / 2);
        if running(middle) >= block {
            fills = middle;
        } else {
            leaves = middle;
        }
    }
    fills
}

/// The level that gains most at a cost at the meter, and its gain over sleep.
fn best_level(
    site: &Site,
    tape: &Tape,
    part: &Part<'_>,
    at: Time,
    cost: Price,
) -> Option<(Money, Level)> {
    let cost = at_machine(site, cost);
    let gain = |p: &Level| {
        let worth = p.worth(site, tape, at);
        (worth - cost.of((p.power - part.sleep.power).over(tape.settle_step)), *p)
    };
    part.levels.iter().map(gain).max_by_key(|(gain, p)| (*gain, std::cmp::Reverse(p.power)))
}

fn plan<'a>(
    site: &Site,
    tape: &Tape,
    part: Part<'a>,
    lines: &[Line],
) -> Result<Planned<'a>, HindsightError> {
    let mut planner = planner(part.cohort, &part.spec, tape.settle_step)?;
    let cohort = || part.cohort.name.clone();
    let mut free = Vec::new();
    let (gains, awake): (Vec<Price>, Vec<Money>) = if part.unit {
        (part.gains(site, lines), Vec::new())
    } else {
        let best = tape
            .settled
            .iter()
            .zip(lines)
            .filter_map(|(row, l)| best_level(site, tape, &part, row.interval.start, l.slope));
        let (awake, levels) = best.unzip();
        free = levels;
        (vec![Price::ZERO; lines.len()], awake)
    };
    let most = site.overhead.machines(site.limits.import);
    let levels = planner.lattice().levels().partition_point(|p| *p <= most);
    if levels == 0 {
        return Err(HindsightError::TooSmall { cohort: cohort(), import: site.limits.import });
    }
    let limited = levels < planner.lattice().levels().len();
    let to = u16::try_from(levels).unwrap_or(u16::MAX);
    let bands = if limited { vec![Band { to, ..Band::ALL }; gains.len()] } else { Vec::new() };
    let ahead = Ahead { bands: &bands, awake: &awake, ..Ahead::new(tape.span.start, &gains) };
    let from = planner.origin(&UnitState::beginning(&part.spec), tape.span.start);
    let plan = planner.plan(&ahead, from);
    let plan = plan.map_err(|source| HindsightError::Plan { cohort: cohort(), source })?;
    Ok(Planned { part, planner, plan, free })
}

/// Plans units that share the import limit; returns the plans and what nothing exceeds.
fn together_planned<'a>(
    site: &Site,
    tape: &Tape,
    parts: Vec<Part<'a>>,
    lines: &[Line],
) -> Result<(Vec<Planned<'a>>, i64), HindsightError> {
    let (step, begin) = (tape.settle_step, tape.span.start);
    let gains: Vec<Vec<Price>> = parts.iter().map(|p| p.gains(site, lines)).collect();
    let mut planners = Vec::with_capacity(parts.len());
    for part in &parts {
        planners.push(planner(part.cohort, &part.spec, step)?);
    }
    let before = parts.iter().map(|p| UnitState::beginning(&p.spec).power).sum();
    let most = vec![site.overhead.machines(site.limits.import); lines.len()];
    let rows = Rows { most, ..Rows::after(before) };
    let mut members = Vec::with_capacity(parts.len());
    for ((planner, gains), part) in planners.iter_mut().zip(&gains).zip(&parts) {
        let from = planner.origin(&UnitState::beginning(&part.spec), begin);
        members.push(Member { planner, gains, from });
    }
    let best = stairs::best(begin, step, &mut members, &[], &rows);
    let best = best.map_err(|source| HindsightError::Together { source })?;
    drop(members);
    let all = parts.into_iter().zip(planners).zip(best.units);
    let planned = all.map(|((part, planner), plan)| Planned { part, planner, plan, free: vec![] });
    Ok((planned.collect(), best.bound.0))
}

impl Planned<'_> {
    /// What it does in an interval, and whether that begins with a start.
    fn at(&self, t: usize) -> (Level, bool) {
        let lattice = self.planner.lattice();
        let before = if t == 0 { self.plan.origin } else { self.plan.states[t - 1] };
        let level = lattice.level(self.plan.states[t]);
        let held = match level {
            None => self.part.sleep,
            Some(l) if self.part.unit => self.part.levels[usize::from(l)],
            Some(_) => self.free[t],
        };
        (held, level.is_some() && lattice.level(before).is_none())
    }
}

/// The plans of all parts as one run.
fn carried_out(site: &Site, units: &[UnitSpec], tape: &Tape, plans: &[Planned<'_>]) -> Run {
    let mut run = Run {
        segments: Vec::with_capacity(tape.settled.len()),
        starts: vec![0; site.cohorts.len()],
        start_cost: Money::ZERO,
        steps: 0,
        set_points: vec![Vec::new(); units.len()],
    };
    let mut last = vec![None; plans.len()];
    let mut drawn = None;
    for (t, row) in tape.settled.iter().enumerate() {
        let length = row.interval.length();
        let (mut power, mut work, mut worth, mut starts) = (Power::ZERO, 0, Money::ZERO, 0);
        for (planned, last) in plans.iter().zip(&mut last) {
            let part = &planned.part;
            let (level, start) = planned.at(t);
            power += level.power;
            work += level.work;
            worth += level.worth(site, tape, row.interval.start);
            if start {
                starts += u32::try_from(part.machines).unwrap_or(u32::MAX);
                run.starts[usize::from(part.spec.cohort.0)] += part.machines;
                run.start_cost += part.spec.start_cost;
            }
            let unit = units.iter().position(|u| u.cohort == part.spec.cohort);
            if let Some(unit) = unit.filter(|_| *last != Some(level.power)) {
                run.set_points[unit].push((row.interval.start, level.power));
            }
            *last = Some(level.power);
        }
        // Nearly always it draws what it drew before.
        let before = run.segments.last();
        let before = before.filter(|s| drawn == Some(power) && s.interval.length() == length);
        let (at_meter, energy, machine_energy) = match before {
            Some(s) => (s.power, s.energy, s.machine_energy),
            None => {
                let meter = site.overhead.meter(power);
                (meter, meter.over(length), power.over(length))
            }
        };
        drawn = Some(power);
        run.segments.push(Segment {
            interval: row.interval,
            power: at_meter,
            energy,
            machine_energy,
            work,
            compute_revenue: worth,
            starts,
        });
    }
    run
}

/// The bound by the value of the lines and the profit of the plan.
fn certify(value: i64, plan: &Statement, parts: usize) -> Bound {
    let profit = plan.account.profit;
    let places = i64::try_from(plan.intervals.len() * (parts + 1)).unwrap_or(i64::MAX);
    let rounding = places * ROUNDING;
    if value - profit <= rounding {
        return Bound { profit: Money(profit), kind: BoundKind::Exact, gap: 0.0 };
    }
    let bound = value + rounding;
    let gap = (bound - profit) as f64 / bound.unsigned_abs().max(1) as f64;
    Bound { profit: Money(bound), kind: BoundKind::Certified, gap }
}

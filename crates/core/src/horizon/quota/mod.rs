//! The best plan of one unit under quotas: energy, or time off, by the day or month.
//!
//! Two ways lead to a plan and to a bound that no plan exceeds; what lies between them is told,
//! never hidden:
//!
//! - `counted` counts the quota beside the state. It is exact on the lattice; how much powers
//!   between its levels could add is bounded by a price on the last few units of the count.
//! - `priced` puts a price on each quota. It takes any number of quotas over any periods, and
//!   leaves a gap of about one day's indecision for each quota that binds.

mod counted;
mod priced;
#[cfg(test)]
mod tests;

use super::exact::{Ahead, ExactError, Origin, Plan, Planner};
use super::unit::{Lattice, LatticeError, UnitSpec, UnitState};
use crate::time::{Span, Time};
use crate::units::{Energy, Money, Price};
use std::fmt;
use std::ops::Range;

/// Most quotas of one plan: a day's each for ten years.
pub const QUOTAS_MAX: usize = 3_700;
/// How much finer than it needs to be a lattice is tried, in turns.
const FINER: [u16; 3] = [1, 2, 4];
/// Most lane steps counted; more quotas than that are priced instead.
const WORK_MAX: usize = 3_000_000_000;

/// What a quota allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// At least so much energy.
    EnergyAtLeast(Energy),
    /// At most so much energy.
    EnergyAtMost(Energy),
    /// At most so long off, in whole steps.
    OffAtMost(Span),
}

/// A limit on the sum over some steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The steps of the period that lie ahead.
    pub steps: Range<usize>,
    /// What is left of the limit; what was used before the plan begins is no longer in it.
    pub limit: Limit,
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Limit::EnergyAtLeast(e) => write!(f, "at least {e}")?,
            Limit::EnergyAtMost(e) => write!(f, "at most {e}")?,
            Limit::OffAtMost(s) => write!(f, "at most {} min off", s.as_seconds() / 60)?,
        }
        write!(f, " in steps {}..{}", self.steps.start, self.steps.end)
    }
}

/// Why there is no plan under quotas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaError {
    /// The unit has no lattice.
    Lattice(LatticeError),
    /// There is none without quotas either.
    Exact(ExactError),
    /// A quota has no steps, or steps beyond the plan, or there are more than [`QUOTAS_MAX`].
    Period(Quota),
    /// No plan meets this quota, whatever the others say.
    NoWay(Quota),
    /// Each can be met, but no plan was found that meets them all; this one is broken last.
    Together(Quota),
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lattice(e) => e.fmt(f),
            Self::Exact(e) => e.fmt(f),
            Self::Period(q) => write!(f, "the quota `{q}` is not about steps of the plan"),
            Self::NoWay(q) => write!(
                f,
                "the quota `{q}` cannot be met from where the plan begins, within ramps, dwells \
                 and starts a day"
            ),
            Self::Together(q) => {
                write!(f, "each quota could be met alone, but `{q}` not together with the others")
            }
        }
    }
}

impl std::error::Error for QuotaError {}

impl From<ExactError> for QuotaError {
    fn from(e: ExactError) -> Self {
        Self::Exact(e)
    }
}

/// A plan, and what no plan exceeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The plan; it meets every quota, and its profit is that of the powers it names.
    pub plan: Plan,
    /// No plan that meets the quotas earns more, also none with powers between the levels.
    pub bound: Money,
}

impl Certified {
    /// What may have been left on the table.
    #[must_use]
    pub fn gap(&self) -> Money {
        self.bound - self.plan.profit
    }
}

/// The best plan that meets all quotas, with a bound.
///
/// # Errors
/// [`QuotaError`] when there is no such plan; it names the quota that cannot be met.
pub fn best(
    planner: &mut Planner,
    ahead: &Ahead<'_>,
    from: Origin,
    quotas: &[Quota],
) -> Result<Certified, QuotaError> {
    best_knowing(planner, ahead, from, quotas, &mut Vec::new())
}

/// The best plan within a gap if that can be had: on the unit's lattice or, where powers between
/// its levels may earn more than that, on one twice or four times as fine. The planner with the
/// lattice of the plan is told with it.
///
/// # Errors
/// [`QuotaError`] when there is no such plan; it names the quota that cannot be met.
pub fn tight(
    spec: &UnitSpec,
    step: Span,
    (begin, gains): (Time, &[Price]),
    unit: &UnitState,
    quotas: &[Quota],
    gap: Money,
) -> Result<(Planner, Certified), QuotaError> {
    let ahead = Ahead::new(begin, gains);
    let mut binding = Vec::new();
    let mut found: Option<(Planner, Certified)> = None;
    // A gap shrinks about as the distance of levels does.
    let mut wanted = 1;
    for times in FINER {
        if i64::from(times) < wanted && times < FINER[FINER.len() - 1] {
            continue;
        }
        let mut planner = match Planner::finer(spec, step, times) {
            Ok(planner) => planner,
            // Too many levels: what was found stands.
            Err(_) if found.is_some() => break,
            Err(e) => return Err(QuotaError::Lattice(e)),
        };
        let from = planner.origin(unit, begin);
        let mut now = best_knowing(&mut planner, &ahead, from, quotas, &mut binding)?;
        if let Some((planner_before, before)) = found {
            now.bound = now.bound.min(before.bound);
            if before.plan.profit > now.plan.profit {
                now.plan = before.plan;
                planner = planner_before;
            }
        }
        let done = now.gap() <= gap;
        wanted = i64::from(times).saturating_mul(now.gap().0 / gap.0.max(1) + 1);
        found = Some((planner, now));
        if done {
            break;
        }
    }
    Ok(found.expect("the first lattice is always tried"))
}

/// The best plan; `binding` tells which quotas are to be counted at first, and then which were.
fn best_knowing(
    planner: &mut Planner,
    ahead: &Ahead<'_>,
    from: Origin,
    quotas: &[Quota],
    binding: &mut Vec<bool>,
) -> Result<Certified, QuotaError> {
    let within = |q: &Quota| q.steps.start < q.steps.end && q.steps.end <= ahead.gains.len();
    if let Some(q) = quotas.iter().find(|q| !within(q)).or(quotas.get(QUOTAS_MAX)) {
        return Err(QuotaError::Period(q.clone()));
    }
    let free = planner.plan(ahead, from)?;
    if quotas.iter().all(|q| q.is_met(planner.lattice(), &free)) {
        return Ok(Certified { bound: free.profit, plan: free });
    }
    match counted::Counted::new(planner, quotas) {
        Some(counted) => counted.best(planner, ahead, from, &free, binding),
        None => priced::best(planner, ahead, from, quotas, &free),
    }
}

impl Quota {
    /// What a plan uses of it: watt-seconds, or steps off.
    fn used(&self, lattice: &Lattice, plan: &Plan) -> i64 {
        let states = plan.states[self.steps.clone()].iter();
        match self.limit {
            Limit::EnergyAtLeast(_) | Limit::EnergyAtMost(_) => {
                states.map(|s| lattice.energy(*s).0).sum()
            }
            Limit::OffAtMost(_) => {
                let off = states.filter(|s| lattice.level(**s).is_none()).count();
                i64::try_from(off).expect("steps are bounded")
            }
        }
    }

    /// How far a plan is inside it; below zero it is broken.
    fn room(&self, lattice: &Lattice, plan: &Plan) -> i64 {
        let used = self.used(lattice, plan);
        match self.limit {
            Limit::EnergyAtLeast(e) => used - e.0,
            Limit::EnergyAtMost(e) => e.0 - used,
            Limit::OffAtMost(span) => span.0.div_euclid(lattice.step().0) - used,
        }
    }

    /// Whether a plan keeps it.
    #[must_use]
    pub fn is_met(&self, lattice: &Lattice, plan: &Plan) -> bool {
        self.room(lattice, plan) >= 0
    }
}

/// What a plan earns at prices other than those it was made for, end values included.
fn earned(planner: &Planner, ahead: &Ahead<'_>, plan: &Plan) -> Money {
    let lattice = planner.lattice();
    let mut sum = Money::ZERO;
    for (t, state) in plan.states.iter().enumerate() {
        if lattice.level(*state).is_some() {
            sum += ahead.gains[t].of(lattice.energy(*state));
            sum += ahead.awake.get(t).copied().unwrap_or(Money::ZERO);
        }
    }
    let last = plan.states.last().unwrap_or(&plan.origin);
    sum += ahead.end.get(last.index()).copied().unwrap_or(Money::ZERO);
    sum - planner.start_cost().times(i64::from(plan.starts))
}

/// An energy's worth at a price, rounded up.
fn worth_up(price: Price, energy: i128) -> i64 {
    let all = i128::from(price.0) * energy;
    crate::number::to_i64(crate::number::div_ceil(all, crate::units::WATT_SECONDS_PER_MWH))
}

//! Several units and cohorts behind one meter.
//!
//! Where nothing couples in time a staircase is a merit order: at any price each step runs or
//! does not. What couples the members of a site is put a price on: the import limit and what an
//! obligation needs drawn, step by step, the site's ramp between two steps, energy over a period.
//! At given prices each member is planned alone and exactly; the sum, with what the rows are worth
//! at these prices, is a bound. The plan comes from planning the members in turns, each with the
//! others as they are, within every row; what lies between is told.

mod group;
mod merit;
mod price;
#[cfg(test)]
mod tests;
mod top;
mod turn;

pub use merit::spread;

use super::exact::{ExactError, Origin, Plan, Planner};
use super::quota::Limit;
use crate::time::{Span, Time};
use crate::units::{Energy, Money, Power, Price};
use std::fmt;
use std::ops::Range;

/// Most members of one site's plan.
pub const MEMBERS_MAX: usize = 64;

/// A unit of a site, with what its energy gains in each step.
#[derive(Debug)]
pub struct Member<'a> {
    /// Its lattice.
    pub planner: &'a mut Planner,
    /// What a MWh it consumes is worth beyond what it costs, by step.
    pub gains: &'a [Price],
    /// Where it is.
    pub from: Origin,
}

/// A cohort in which nothing couples in time, as one step of a staircase.
#[derive(Debug, Clone, Copy)]
pub struct Stair<'a> {
    /// What a MWh it consumes is worth beyond what it costs, by step.
    pub gains: &'a [Price],
    /// Most power it takes; any less is possible too.
    pub power: Power,
}

/// What couples the members of a site. Powers are sums over members.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Most power by step; empty is no limit.
    pub most: Vec<Power>,
    /// Least power by step, which an obligation needs drawn; empty is none.
    pub least: Vec<Power>,
    /// Most rise from one step to the next.
    pub rise: Option<Power>,
    /// Most fall from one step to the next.
    pub fall: Option<Power>,
    /// Power of the step before the first.
    pub before: Power,
    /// Energy over periods; time off is a matter of single units and is refused here.
    pub quotas: Vec<(Range<usize>, Limit)>,
}

impl Rows {
    /// No rows, after a step of so much power.
    #[must_use]
    pub fn after(before: Power) -> Self {
        Self {
            most: Vec::new(),
            least: Vec::new(),
            rise: None,
            fall: None,
            before,
            quotas: Vec::new(),
        }
    }
}

/// Which row admits no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// The most power of a step.
    Most(Power),
    /// The least power of a step.
    Least(Power),
    /// The rise or fall into a step.
    Ramp,
    /// The energy of a period.
    Quota(usize),
}

/// Why a site has no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StairsError {
    /// A member has no plan by itself.
    Member(usize, ExactError),
    /// Lists are of uneven length, there are too many members, a member begins anywhere, or a
    /// quota is about something else than energy of steps ahead.
    Form(&'static str),
    /// A row cannot be met in a step.
    NoWay {
        /// The row.
        row: Row,
        /// Which step, counted from 0; of a quota its first.
        step: usize,
        /// When the step begins.
        at: Time,
    },
}

impl fmt::Display for StairsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (row, step, at) = match self {
            Self::Member(n, e) => return write!(f, "unit {n} of the site: {e}"),
            Self::Form(what) => return f.write_str(what),
            Self::NoWay { row, step, at } => (row, step, at.0.div_euclid(crate::time::SECOND)),
        };
        match row {
            Row::Most(p) => write!(f, "the limit of {p} cannot be kept")?,
            Row::Least(p) => write!(f, "the {p} that must be drawn cannot be reached")?,
            Row::Ramp => write!(f, "the site's ramp cannot be kept")?,
            Row::Quota(n) => write!(f, "the energy quota {n} cannot be met")?,
        }
        write!(f, " in step {step}, at {at} s, with the units where they are")
    }
}

impl std::error::Error for StairsError {}

/// The plan of a site, and what no plan exceeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePlan {
    /// The plan of each unit; its profit is its own, at its own gains.
    pub units: Vec<Plan>,
    /// Power of all stairs together, by step: the best of them run first.
    pub stairs: Vec<Power>,
    /// What all of it earns.
    pub profit: Money,
    /// No plan within the rows earns more.
    pub bound: Money,
    /// The price each step's power has beside its own, from all rows: what a MWh more of room
    /// would be worth.
    pub prices: Vec<Price>,
}

impl SitePlan {
    /// What may have been left on the table.
    #[must_use]
    pub fn gap(&self) -> Money {
        self.bound - self.profit
    }
}

/// Plans all members of a site within its rows.
///
/// # Errors
/// [`StairsError`] when there is no plan; it names the step and the row.
pub fn best<'a>(
    begin: Time,
    step: Span,
    members: &mut [Member<'a>],
    stairs: &[Stair<'a>],
    rows: &Rows,
) -> Result<SitePlan, StairsError> {
    let mut site = Site::new(begin, step, members, stairs, rows)?;
    site.screen()?;
    let mut dual = price::Prices::new(&site);
    let mut found: Option<SitePlan> = None;
    let mut failed = None;
    for round in 0..price::ROUNDS {
        let bound = dual.search(&mut site, round)?;
        match site.turns(&dual.by_step(&site)) {
            Ok(mut plan) => {
                let broken = site.broken_quotas(&plan);
                if broken.is_empty() {
                    site.top_up(&mut plan);
                }
                if broken.is_empty() && found.as_ref().is_none_or(|f| f.profit < plan.profit) {
                    found = Some(plan);
                } else if let Some(n) = broken.first() {
                    let start = rows.quotas[*n].0.start;
                    failed = Some(site.no_way(Row::Quota(*n), start));
                }
                dual.press(&broken);
            }
            Err(e) => failed = Some(e),
        }
        if let Some(found) = &mut found {
            found.bound = bound.max(found.profit);
            // Without quotas the turns no longer depend on the prices.
            if found.gap().0 <= 0 || (rows.quotas.is_empty() && round > 0) {
                break;
            }
        }
    }
    found.ok_or_else(|| failed.expect("each round ends in a plan or a reason"))
}

/// A site with its members.
struct Site<'m, 'a> {
    begin: Time,
    step: Span,
    steps: usize,
    members: &'m mut [Member<'a>],
    stairs: &'m [Stair<'a>],
    rows: &'m Rows,
}

impl<'m, 'a> Site<'m, 'a> {
    fn new(
        begin: Time,
        step: Span,
        members: &'m mut [Member<'a>],
        stairs: &'m [Stair<'a>],
        rows: &'m Rows,
    ) -> Result<Self, StairsError> {
        let all = members.iter().map(|m| m.gains.len()).chain(stairs.iter().map(|s| s.gains.len()));
        let steps = all.clone().max().unwrap_or(0);
        let form = |fine: bool, what| if fine { Ok(()) } else { Err(StairsError::Form(what)) };
        let fits = |n: usize| n == 0 || n == steps;
        form(all.clone().all(|n| n == steps), "gains of members are of uneven length")?;
        form(members.len() + stairs.len() <= MEMBERS_MAX, "a site has more than 64 members")?;
        let known = |m: &Member<'_>| matches!(m.from, Origin::At { .. });
        form(members.iter().all(known), "a unit of a site begins in a state that is known")?;
        let same = |m: &Member<'_>| m.planner.lattice().step() == step;
        form(members.iter().all(same), "units of a site are planned at one step")?;
        form(fits(rows.most.len()) && fits(rows.least.len()), "limits are of uneven length")?;
        let period = |q: &(Range<usize>, Limit)| q.0.start < q.0.end && q.0.end <= steps;
        form(rows.quotas.iter().all(period), "a quota is not about steps of the plan")?;
        let energy = |q: &(Range<usize>, Limit)| !matches!(q.1, Limit::OffAtMost(_));
        form(rows.quotas.iter().all(energy), "a quota of a site is about energy")?;
        Ok(Self { begin, step, steps, members, stairs, rows })
    }

    fn most(&self, t: usize) -> i64 {
        self.rows.most.get(t).map_or(i64::MAX / 4, |p| p.0)
    }

    fn least(&self, t: usize) -> i64 {
        self.rows.least.get(t).map_or(0, |p| p.0)
    }

    fn no_way(&self, row: Row, step: usize) -> StairsError {
        let gone = self.step.0 * i64::try_from(step).expect("steps are bounded");
        StairsError::NoWay { row, step, at: Time(self.begin.0 + gone) }
    }

    /// Finds the steps in which no power is within the rows, whatever the members do.
    fn screen(&self) -> Result<(), StairsError> {
        let top = |m: &Member<'_>| m.planner.lattice().levels().last().map_or(0, |p| p.0);
        let units: i64 = self.members.iter().map(top).sum();
        let all = units + self.stairs.iter().map(|s| s.power.0).sum::<i64>();
        let (mut low, mut high) = (self.rows.before.0, self.rows.before.0);
        for t in 0..self.steps {
            low = self.rows.fall.map_or(0, |r| low - r.0).max(0);
            high = self.rows.rise.map_or(all, |r| high + r.0).min(all);
            if low > high {
                return Err(self.no_way(Row::Ramp, t));
            }
            if self.most(t) < low {
                return Err(self.no_way(Row::Most(Power(self.most(t))), t));
            }
            if self.least(t) > high || self.least(t) > self.most(t) {
                return Err(self.no_way(Row::Least(Power(self.least(t))), t));
            }
            low = low.max(self.least(t));
            high = high.min(self.most(t));
        }
        Ok(())
    }

    /// Quotas a plan breaks.
    fn broken_quotas(&self, plan: &SitePlan) -> Vec<usize> {
        let used = |steps: &Range<usize>| -> i64 {
            let units = plan.units.iter().zip(self.members.iter()).map(|(plan, m)| {
                let lattice = m.planner.lattice();
                plan.states[steps.clone()].iter().map(|s| lattice.energy(*s).0).sum::<i64>()
            });
            let stairs = plan.stairs[steps.clone()].iter().map(|p| p.over(self.step).0);
            units.sum::<i64>() + stairs.sum::<i64>()
        };
        let broken = |(steps, limit): &(Range<usize>, Limit)| match limit {
            Limit::EnergyAtLeast(Energy(e)) => used(steps) < *e,
            Limit::EnergyAtMost(Energy(e)) => used(steps) > *e,
            Limit::OffAtMost(_) => false,
        };
        let quotas = self.rows.quotas.iter().enumerate();
        quotas.filter(|(_, q)| broken(q)).map(|(n, _)| n).collect()
    }
}

//! Counts each quota beside the state.
//!
//! A plan with powers between the levels is a mean of plans on them: round every power down, or
//! up, at one common threshold, and ramps and bounds still hold. At an optimum the powers off the
//! levels form few groups, each a run of steps that one ramp ties together, and at most one group
//! for each quota that binds; so the plans of the mean differ by a few units of the count,
//! [`Counted::swing`]. A price on these last units then bounds what such a mean can earn: short of
//! the quota by a little is allowed and charged, beyond it by a little is credited.

use super::{Certified, Limit, Quota, QuotaError, earned, priced, worth_up};
use crate::horizon::exact::counted::Counter;
use crate::horizon::exact::{Ahead, NEVER, Origin, Piece, Plan, Planner, cut};
use crate::time::Span;
use crate::units::{Energy, Money, Price};

/// Most units a single step may count; energies without a common part of that size are counted
/// in parts of a level instead, rounded to the safe side.
const STEP_UNITS_MAX: i64 = 64;

/// The energies of levels as whole numbers of units of between `low` and `high` watt-seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Units {
    counts: Vec<usize>,
    low: i64,
    high: i64,
    /// Units between two neighbouring levels, at most.
    level: usize,
}

impl Units {
    fn new(energies: &[Energy]) -> Self {
        let common = energies.iter().fold(0, |a, e| gcd(a, e.0));
        let (least, most) = (energies[0].0, energies[energies.len() - 1].0);
        let exact = most / common <= STEP_UNITS_MAX;
        let steps = i64::try_from(energies.len() - 1).expect("levels are few");
        // Of the parts of a level, the first of which nearly a whole number makes up the lowest.
        let off = |part: i64| {
            let unit = ((most - least) / steps.max(1)).max(1) / part;
            let rest = least % unit.max(1);
            rest.min(unit - rest) * 1_000_000 / unit.max(1)
        };
        let part = (1..=8).find(|part| off(*part) <= 10).unwrap_or(8);
        let unit = match (exact, steps) {
            (true, _) => common,
            (false, 0) => most,
            (false, _) => ((most - least) / steps / part).max(1),
        };
        let counts: Vec<i64> = energies.iter().map(|e| ((e.0 + unit / 2) / unit).max(1)).collect();
        let each = || energies.iter().zip(&counts);
        let level = counts.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
        Self {
            low: each().map(|(e, n)| e.0.div_euclid(*n)).min().unwrap_or(1),
            high: each().map(|(e, n)| (e.0 + n - 1).div_euclid(*n)).max().unwrap_or(1),
            counts: counts.iter().map(|n| count(*n)).collect(),
            level: count(level),
        }
    }
}

fn count(n: i64) -> usize {
    usize::try_from(n.max(0)).expect("counts are not negative")
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Quotas that can be counted: their periods do not overlap, and it is not too much work.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    quotas: Vec<&'a Quota>,
    units: Units,
    levels: usize,
    step: Span,
    /// Steps of one group of powers between the levels, at most.
    group: Option<usize>,
}

impl<'a> Counted<'a> {
    /// `None` when they have to be priced instead.
    pub fn new(planner: &Planner, quotas: &'a [Quota]) -> Option<Self> {
        let lattice = planner.lattice();
        let energies: Vec<Energy> =
            lattice.levels().iter().map(|p| p.over(lattice.step())).collect();
        let (_, up, down) = lattice.reach();
        let top = energies.len() - 1;
        let tied = |by: u16| top.div_ceil(usize::from(by).max(1)).max(1);
        let free = |by: u16| usize::from(by) >= top;
        let group = match (free(up), free(down)) {
            (true, true) => Some(1),
            (false, true) => Some(tied(up)),
            (true, false) => Some(tied(down)),
            // Risen and fallen at full speed in turns, any number of steps may be tied.
            (false, false) => None,
        };
        let mut sorted: Vec<&Quota> = quotas.iter().collect();
        sorted.sort_by_key(|q| q.steps.start);
        let apart = sorted.windows(2).all(|w| w[0].steps.end <= w[1].steps.start);
        let units = Units::new(&energies);
        let all =
            Self { quotas: sorted, units, levels: energies.len(), step: lattice.step(), group };
        let lanes = |i: &usize| all.start(*i) + 1 + 2 * all.swing(*i, &|_| true);
        let fits = |i: usize| planner.counts(lanes(&i), all.quotas[i].steps.len());
        let work = |i: usize| lanes(&i).saturating_mul(all.quotas[i].steps.len());
        let within = || {
            let work = (0..all.quotas.len()).map(work).fold(0, usize::saturating_add);
            work.saturating_mul(lattice.states()) <= super::WORK_MAX
        };
        (apart && (0..all.quotas.len()).all(fits) && within()).then_some(all)
    }

    /// Units by which plans of a mean may differ in a quota's period.
    fn swing(&self, i: usize, active: &dyn Fn(usize) -> bool) -> usize {
        let steps = self.quotas[i].steps.clone();
        if matches!(self.quotas[i].limit, Limit::OffAtMost(_)) {
            return 0;
        }
        let Some(group) = self.group.filter(|n| *n < steps.len()) else {
            return (steps.len() * self.units.level).max(1);
        };
        let tied = |j: Option<usize>, touches: &dyn Fn(&Quota) -> bool| {
            let other = j.filter(|j| active(*j)).and_then(|j| self.quotas.get(j));
            other.is_some_and(|q| touches(q))
        };
        let before = tied(i.checked_sub(1), &|q| q.steps.end + group > steps.start);
        let after = tied(Some(i + 1), &|q| q.steps.start < steps.end + group);
        let steps = group + (group - 1) * (usize::from(before) + usize::from(after));
        (steps * self.units.level).max(1)
    }

    /// The lane a quota begins in, counted to the safe side.
    fn start(&self, i: usize) -> usize {
        let (low, high) = (self.units.low, self.units.high);
        let steps = self.quotas[i].steps.len();
        let most = steps * self.units.counts.last().copied().unwrap_or(0);
        match self.quotas[i].limit {
            Limit::EnergyAtLeast(e) => {
                count(e.0.saturating_add(low - 1).div_euclid(low)).min(most + 1)
            }
            Limit::EnergyAtMost(e) => count(e.0.div_euclid(high)).min(most),
            Limit::OffAtMost(span) => count(span.0.div_euclid(self.step.0)).min(steps),
        }
    }

    /// Counts a quota to the safe side. `more` lanes beyond its start are kept besides.
    fn strict(&self, i: usize, more: usize) -> Counter {
        let (on, start) = (self.units.counts.clone(), self.start(i));
        match self.quotas[i].limit {
            Limit::EnergyAtLeast(_) => {
                let mut end = vec![NEVER; start + more + 1];
                end[0] = 0;
                Counter { on, off: 0, saturates: true, start, end }
            }
            Limit::EnergyAtMost(_) => {
                Counter { on, off: 0, saturates: false, start, end: vec![0; start + more + 1] }
            }
            Limit::OffAtMost(_) => {
                let on = vec![0; self.levels];
                Counter { on, off: 1, saturates: false, start, end: vec![0; start + 1] }
            }
        }
    }

    /// Counts a quota so that no plan, also between the levels, earns more than the count says.
    fn relaxed(&self, i: usize, swing: usize, price: Price) -> Counter {
        let (low, high) = (self.units.low, self.units.high);
        let at = |n: usize| i128::try_from(n).expect("counts are bounded");
        let (on, off) = (self.units.counts.clone(), 0);
        match self.quotas[i].limit {
            Limit::OffAtMost(_) => self.strict(i, 0),
            Limit::EnergyAtLeast(e) => {
                let start = count((e.0 + high - 1).div_euclid(high)) + swing;
                let least = (count(e.0.div_euclid(high)) + 1).saturating_sub(swing);
                let worth = |lane: usize| {
                    let used = start - lane;
                    let over = at(used) * i128::from(high) - i128::from(e.0);
                    match lane {
                        0 => 0,
                        _ if used < least => NEVER,
                        _ => worth_up(price, over),
                    }
                };
                Counter { on, off, saturates: true, start, end: (0..=start).map(worth).collect() }
            }
            Limit::EnergyAtMost(e) => {
                let start = (count((e.0 + low - 1).div_euclid(low)) + swing).saturating_sub(1);
                let charged = (count(e.0.div_euclid(low)) + 1).saturating_sub(swing);
                let worth = |lane: usize| {
                    let used = start - lane;
                    let left = i128::from(e.0) - at(used) * i128::from(low);
                    if used < charged { 0 } else { worth_up(price, left) }
                };
                Counter { on, off, saturates: false, start, end: (0..=start).map(worth).collect() }
            }
        }
    }

    /// The best plan on the lattice with the bound beside it.
    pub fn best(
        &self,
        planner: &mut Planner,
        ahead: &Ahead<'_>,
        from: Origin,
        free: &Plan,
    ) -> Result<Certified, QuotaError> {
        let broken = |planner: &Planner, plan: &Plan, i: usize| {
            !self.quotas[i].is_met(planner.lattice(), plan)
        };
        let mut active: Vec<bool> =
            (0..self.quotas.len()).map(|i| broken(planner, free, i)).collect();
        let (plan, counters) = loop {
            let counters = self.counters(&active, |i, swing| self.strict(i, swing));
            let pieces = self.pieces(ahead, &counters);
            let plan = planner.plan_pieces(ahead, from, &pieces);
            let plan = plan.ok_or_else(|| self.blame(planner, ahead, from, &active))?;
            let more: Vec<usize> =
                (0..active.len()).filter(|i| broken(planner, &plan, *i)).collect();
            if more.is_empty() {
                break (plan, counters);
            }
            // What is counted is kept, so this ends.
            more.into_iter().for_each(|i| active[i] = true);
        };
        debug_assert_eq!(plan.profit, earned(planner, ahead, &plan));
        let edges = std::mem::take(planner.edges());
        let mut prices = vec![Price(0); active.len()];
        let counted = (0..active.len()).filter(|i| active[*i]);
        for ((i, edge), counter) in counted.zip(&edges).zip(counters.iter().flatten()) {
            prices[i] = self.price(edge, counter.saturates);
        }
        let relaxed = self.counters(&active, |i, swing| self.relaxed(i, swing, prices[i]));
        let pieces = self.pieces(ahead, &relaxed);
        let value = planner.value_pieces(ahead, from, &pieces).unwrap_or(plan.profit);
        // Money is rounded to a micro-unit in each step, half of one at most.
        let rounding = Money(i64::try_from(ahead.gains.len()).expect("steps are bounded") / 2 + 1);
        let bound = (value + rounding).min(free.profit).max(plan.profit);
        Ok(Certified { plan, bound })
    }

    fn counters(
        &self,
        active: &[bool],
        make: impl Fn(usize, usize) -> Counter,
    ) -> Vec<Option<Counter>> {
        let swing = |i| self.swing(i, &|j| active.get(j).copied().unwrap_or(false));
        (0..active.len()).map(|i| active[i].then(|| make(i, swing(i)))).collect()
    }

    fn pieces<'c>(&self, ahead: &Ahead<'_>, counters: &'c [Option<Counter>]) -> Vec<Piece<'c>> {
        let (steps, mut at, mut pieces) = (ahead.gains.len(), 0, Vec::new());
        let size = steps.isqrt() + 1;
        for (quota, counter) in self.quotas.iter().zip(counters) {
            if counter.is_some() {
                cut(at..quota.steps.start, size, &mut pieces);
                pieces.push(Piece { steps: quota.steps.clone(), counter: counter.as_ref() });
                at = quota.steps.end;
            }
        }
        cut(at..steps, size, &mut pieces);
        pieces
    }

    /// The price on the last units of a quota under which the most that can be made of them is
    /// least. `edge` holds what the rest is worth from some units tighter to as many looser.
    fn price(&self, edge: &[i64], at_least: bool) -> Price {
        let half = edge.len() / 2;
        let unit = i128::from(if at_least { self.units.high } else { self.units.low });
        let most = |price: i64| {
            let charged = edge.iter().enumerate().filter(|(_, v)| **v > NEVER / 2).map(|(n, v)| {
                let looser = i128::try_from(n).unwrap_or(0) - i128::try_from(half).unwrap_or(0);
                i128::from(*v) - i128::from(worth_up(Price(price), looser * unit))
            });
            charged.max()
        };
        let (mut low, mut high) = (0, priced::PRICE_MAX);
        while high - low > 2 {
            let (a, b) = (low + (high - low) / 3, high - (high - low) / 3);
            if most(a) <= most(b) { high = b } else { low = a }
        }
        Price(low + (high - low) / 2)
    }

    /// Which quota cannot be met.
    fn blame(
        &self,
        planner: &mut Planner,
        ahead: &Ahead<'_>,
        from: Origin,
        active: &[bool],
    ) -> QuotaError {
        let mut last = 0;
        for i in (0..active.len()).filter(|i| active[*i]) {
            let alone: Vec<bool> = (0..active.len()).map(|j| i == j).collect();
            let counters = self.counters(&alone, |i, _| self.strict(i, 0));
            let pieces = self.pieces(ahead, &counters);
            if planner.value_pieces(ahead, from, &pieces).is_none() {
                return QuotaError::NoWay(self.quotas[i].clone());
            }
            last = i;
        }
        QuotaError::Together(self.quotas[last].clone())
    }
}

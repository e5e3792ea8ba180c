//! Uses what a plan has left of its quotas: stairs run where they gain most and still have room.

use super::{Limit, Power, Site, SitePlan};
use crate::units::{Money, NANOS_PER_SECOND, Price};

impl Site<'_, '_> {
    /// Raises the stairs of a plan within every row, the best steps first. A site with a ramp is
    /// left as it is: there a step is not raised by itself.
    pub(super) fn top_up(&self, plan: &mut SitePlan) {
        if self.rows.rise.is_some() || self.rows.fall.is_some() {
            return;
        }
        let units = self.powers_of(&plan.units);
        let mut parts = Vec::new();
        for (t, power) in plan.stairs.iter().enumerate() {
            let mut used = power.0;
            for n in self.by_merit(t) {
                let (gain, most) = (self.stairs[n].gains[t], self.stairs[n].power.0);
                let free = most - used.min(most);
                used -= used.min(most);
                if gain > Price::ZERO && free > 0 {
                    parts.push((gain, t, free));
                }
            }
        }
        parts.sort_by_key(|(gain, t, _)| (std::cmp::Reverse(*gain), *t));
        let mut left = self.left(&units, plan);
        for (_, t, free) in parts {
            let room = self.most(t) - units[t] - plan.stairs[t].0;
            let within = (self.rows.quotas.iter().zip(&left))
                .filter(|(q, _)| q.0.contains(&t) && matches!(q.1, Limit::EnergyAtMost(_)))
                .map(|(_, left)| self.watts(*left))
                .min();
            let more = free.min(room).min(within.unwrap_or(i64::MAX));
            if more <= 0 {
                continue;
            }
            let before = plan.stairs[t];
            plan.stairs[t] = Power(before.0 + more);
            let energy = plan.stairs[t].over(self.step).0 - before.over(self.step).0;
            for (quota, left) in self.rows.quotas.iter().zip(&mut left) {
                *left -= if quota.0.contains(&t) { energy } else { 0 };
            }
            let merit = |p: Power| self.merit(t, p.0, Price::ZERO);
            plan.profit += merit(plan.stairs[t]) - merit(before);
        }
        plan.bound = plan.bound.max(plan.profit);
        debug_assert!(plan.profit > Money(i64::MIN / 2), "sums stay within bounds");
    }

    /// Energy each quota has left, which may be less than nothing.
    fn left(&self, units: &[i64], plan: &SitePlan) -> Vec<i64> {
        let of = |(steps, limit): &(std::ops::Range<usize>, Limit)| {
            let used: i64 = steps.clone().map(|t| self.energy(units[t], plan.stairs[t])).sum();
            match limit {
                Limit::EnergyAtMost(e) => e.0 - used,
                Limit::EnergyAtLeast(_) | Limit::OffAtMost(_) => 0,
            }
        };
        self.rows.quotas.iter().map(of).collect()
    }

    /// A step's energy, a little on the high side: each member rounds for itself.
    fn energy(&self, units: i64, stairs: Power) -> i64 {
        let members = i64::try_from(self.members.len()).expect("members are few");
        Power(units).over(self.step).0 + stairs.over(self.step).0 + members
    }

    /// The power that takes no more than an energy in a step, rounded down.
    fn watts(&self, energy: i64) -> i64 {
        let all = i128::from(energy.max(1) - 1) * NANOS_PER_SECOND;
        crate::number::to_i64(all / i128::from(self.step.0))
    }
}

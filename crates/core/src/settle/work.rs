//! What a fleet's work came to where only the meter was read: the best machines ran first, as the
//! plan sheds the worst first.

use super::input::{UnitId, Work};
use crate::fleet::Level;
use crate::merit::{frontier, step_value};
use crate::number::{div_half_even, to_i64};
use crate::site::Site;
use crate::time::Span;
use crate::units::{Energy, Money, NANOS_PER_SECOND, Power, Price};

/// The steps of a fleet at one value of work, best first, for any number of intervals.
#[derive(Debug, Clone)]
pub struct Fleet<'a> {
    site: &'a Site,
    foreign: bool,
    machines: Vec<i64>,
    steps: Vec<Step>,
}

/// One step up of all machines of a cohort.
#[derive(Debug, Clone, Copy)]
struct Step {
    cohort: usize,
    overclocked: bool,
    power: Power,
    value: Price,
}

impl<'a> Fleet<'a> {
    /// The fleet of a site at a hash price; units are numbered by cohort. `foreign` says whether
    /// the site's value and the hash price are in another currency than the market's. `None`
    /// where the work's value cannot be told without a hash price.
    #[must_use]
    pub fn of(site: &'a Site, hashprice: Option<Money>, foreign: bool) -> Option<Self> {
        let mut machines = vec![0i64; site.cohorts.len()];
        for machine in &site.machines {
            machines[usize::from(machine.cohort.0)] += 1;
        }
        let mut steps = Vec::new();
        for (index, cohort) in site.cohorts.iter().enumerate() {
            let top = top(cohort);
            for pair in frontier(cohort, true).windows(2) {
                let (a, b) = (cohort.curve.at(pair[0]), cohort.curve.at(pair[1]));
                steps.push(Step {
                    cohort: index,
                    overclocked: pair[1] > top,
                    power: (b.power - a.power).times(machines[index]),
                    value: step_value(site, cohort, hashprice, a, b)?,
                });
            }
        }
        // Nothing is overclocked while an ordinary level is to be had.
        steps.sort_by_key(|s| (s.overclocked, -s.value.0, s.cohort));
        Some(Self { site, foreign, machines, steps })
    }

    /// Power of the sleeping fleet.
    fn sleep(&self, cohort: usize) -> Power {
        self.site.cohorts[cohort].curve.sleep().times(self.machines[cohort])
    }

    /// What a meter's energy came to, by cohort, if the best machines ran first. Energy beyond
    /// what all machines can draw earns nothing.
    #[must_use]
    pub fn best_first(&self, meter: Energy, span: Span) -> Vec<Work> {
        let mean = i128::from(meter.0) * NANOS_PER_SECOND;
        let mean = Power(to_i64(div_half_even(mean, i128::from(span.0))));
        let asleep: Power = (0..self.machines.len()).map(|c| self.sleep(c)).sum();
        let mut left = self.site.overhead.machines(mean).minus_or_zero(asleep);
        let mut work = self.asleep(span);
        for step in &self.steps {
            let taken = Power(left.0.min(step.power.0));
            left -= taken;
            self.add(&mut work, step, taken, span);
        }
        work
    }

    /// Energy at the meter and work with every machine at its highest ordinary level.
    #[must_use]
    pub fn full(&self, span: Span) -> (Energy, Vec<Work>) {
        let mut work = self.asleep(span);
        for step in self.steps.iter().filter(|s| !s.overclocked) {
            self.add(&mut work, step, step.power, span);
        }
        let power = |(c, n): (usize, &i64)| {
            let cohort = &self.site.cohorts[c];
            cohort.curve.at(top(cohort)).power.times(*n)
        };
        let machines: Power = self.machines.iter().enumerate().map(power).sum();
        (self.site.overhead.meter(machines).over(span), work)
    }

    /// Energy at the meter and work with every machine asleep.
    #[must_use]
    pub fn off(&self, span: Span) -> (Energy, Vec<Work>) {
        let asleep: Power = (0..self.machines.len()).map(|c| self.sleep(c)).sum();
        (self.site.overhead.meter(asleep).over(span), self.asleep(span))
    }

    fn asleep(&self, span: Span) -> Vec<Work> {
        let one = |c: usize| Work {
            unit: UnitId(u32::try_from(c).expect("COHORTS_MAX fits")),
            energy: self.sleep(c).over(span),
            revenue: Money::ZERO,
            // What a cohort's own contract pays is in the site's currency.
            foreign: self.foreign && self.site.cohorts[c].value.is_none(),
        };
        (0..self.machines.len()).map(one).collect()
    }

    fn add(&self, work: &mut [Work], step: &Step, power: Power, span: Span) {
        let energy = power.over(span);
        work[step.cohort].energy += energy;
        work[step.cohort].revenue += step.value.of(energy);
    }
}

/// The highest level that is not overclocked.
fn top(cohort: &crate::site::Cohort) -> Level {
    *frontier(cohort, false).last().expect("a frontier has a level")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Value;
    use crate::testing::site;
    use proptest::prelude::*;

    const QUARTER: Span = Span::minutes(15);

    fn revenue(work: &[Work]) -> i64 {
        work.iter().map(|w| w.revenue.0).sum()
    }

    #[test]
    fn a_full_meter_is_a_full_fleet() {
        let site = site(20);
        let fleet = Fleet::of(&site, Some(Money(45_000_000)), false).unwrap();
        let (meter, full) = fleet.full(QUARTER);
        let got = fleet.best_first(meter, QUARTER);
        // A watt of rounding at the meter, no more.
        assert!((revenue(&got) - revenue(&full)).abs() < 100, "{got:?} against {full:?}");
        let (asleep, none) = fleet.off(QUARTER);
        assert_eq!(revenue(&none), 0);
        assert_eq!(revenue(&fleet.best_first(asleep, QUARTER)), 0);
        let (pool_fee_ppm, stale_after, stale_discount_ppm) = (0, QUARTER, 0);
        let mut mine = site.clone();
        mine.value = Value::Hashprice { pool_fee_ppm, stale_after, stale_discount_ppm };
        assert!(Fleet::of(&mine, None, false).is_none(), "no value without a hash price");
    }

    proptest! {
        /// More energy earns more, and each further bit no more than the one before.
        #[test]
        fn the_best_run_first(a in 0i64..60_000_000, step in 1i64..5_000_000) {
            let site = site(20);
            let fleet = Fleet::of(&site, Some(Money(45_000_000)), false).unwrap();
            let at = |ws: i64| revenue(&fleet.best_first(Energy(ws), QUARTER));
            let (low, mid, high) = (at(a), at(a + step), at(a + 2 * step));
            prop_assert!(low <= mid && mid <= high);
            prop_assert!(high - mid <= mid - low + 200 || low == 0, "{low} {mid} {high}");
        }
    }
}

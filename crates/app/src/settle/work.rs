//! What the fleet did with metered energy, and what that work brought.
//!
//! A meter does not say which machine ran. Unless energies of units are given, the work is taken
//! to have been done as the engine fills its staircase: the most valuable step first.

use crate::config::{Fx, HashpriceSource, Loaded};
use crate::values;
use headgate_core::event::Hashprice;
use headgate_core::merit::Staircase;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::settle::{UnitId, Work};
use headgate_core::site::{Site, Value};
use headgate_core::time::{Interval, SECOND, Span, Time};
use headgate_core::units::{Energy, Money, NANOS_PER_SECOND, Power, Price};

/// A day.
const DAY: Span = Span::hours(24);

/// What a unit of work is worth over time, in the currency it is paid in.
#[derive(Debug)]
pub struct Worths {
    /// Hash prices, in the order in which they are known.
    hashprices: Vec<Hashprice>,
    /// Prices of energy at the machine, from when each is in force.
    energy: Vec<(Time, Price)>,
    fx: Fx,
    /// Whether hash prices are a contract's, each in force from its moment on.
    dated: bool,
    /// Nothing that could be known only later counts.
    as_of: Time,
}

/// What the work of one interval is valued by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// A hash price.
    Hash(Money),
    /// A price of energy at the machine.
    Energy(Price),
}

impl Worths {
    /// Loads them.
    ///
    /// # Errors
    /// When a file cannot be read or an address does not answer.
    pub fn of(loaded: &Loaded, as_of: Option<Time>) -> anyhow::Result<Self> {
        // Currencies are turned by the settlement, on a line of its own.
        let mut plain = values::in_own_currency(loaded, values::Fetching::Now)?;
        let (energy, fx) = (loaded.worth.energy.clone(), loaded.worth.fx.clone());
        let dated = matches!(loaded.hashprice, HashpriceSource::Dated(_));
        let as_of = as_of.unwrap_or(Time::MAX);
        plain.retain(|h| dated || h.known_at <= as_of);
        Ok(Self { hashprices: plain, energy, fx, dated, as_of })
    }

    /// What work of an interval is valued by; `None` where that is not known.
    pub fn at(&self, start: Time) -> Option<Worth> {
        if !self.energy.is_empty() {
            let next = self.energy.partition_point(|(from, _)| *from <= start);
            let (_, price) = self.energy.get(next.checked_sub(1)?)?;
            return Some(Worth::Energy(*price));
        }
        Some(Worth::Hash(self.hashprices[self.hashprice(start)?].per_ph_day))
    }

    fn hashprice(&self, start: Time) -> Option<usize> {
        if self.dated {
            return self.hashprices.partition_point(|h| h.known_at <= start).checked_sub(1);
        }
        own_day(&self.hashprices, |h| h.known_at, start)
    }

    /// Since when what [`Worths::at`] tells could be known.
    pub fn known_at(&self, start: Time) -> Time {
        if !self.energy.is_empty() {
            let next = self.energy.partition_point(|(from, _)| *from <= start);
            return next.checked_sub(1).map_or(Time::MIN, |i| self.energy[i].0);
        }
        self.hashprice(start).map_or(Time::MIN, |i| self.hashprices[i].known_at)
    }

    /// Whether work is paid in another currency than the market's.
    pub fn foreign(&self) -> bool {
        self.fx != Fx::Same
    }

    /// The rate for work of an interval, in billionths, and since when it is known.
    pub fn exchange(&self, start: Time) -> Option<(Time, i64)> {
        match &self.fx {
            Fx::Same => None,
            Fx::Rate(rate) => Some((Time::MIN, rate.0)),
            Fx::Series(series) => {
                let rates: Vec<_> = series.rates().filter(|(t, _)| *t <= self.as_of).collect();
                let at = own_day(&rates, |(t, _)| *t, start)?;
                Some((rates[at].0, rates[at].1.0))
            }
        }
    }
}

/// The entry that is of the interval's own day, known at that day's end; else the last one known
/// when the interval began.
fn own_day<T>(entries: &[T], known_at: impl Fn(&T) -> Time, start: Time) -> Option<usize> {
    let next = entries.partition_point(|e| known_at(e) <= start);
    let daily = |e: &T| {
        let at = known_at(e);
        at.0.rem_euclid(86_400 * SECOND) == 0 && at.since(start) <= DAY
    };
    if entries.get(next).is_some_and(daily) {
        return Some(next);
    }
    next.checked_sub(1)
}

/// The machines behind the meter, by cohort.
#[derive(Debug)]
pub struct Fleet<'a> {
    site: &'a Site,
    foreign: bool,
    /// Machines of each cohort that may run.
    counts: Vec<i64>,
    /// Names of units: one a cohort.
    pub units: Vec<String>,
}

impl<'a> Fleet<'a> {
    /// The fleet of a site; `foreign` says whether the site's value of work is in another
    /// currency than the market's. What a cohort's own value pays never is.
    pub fn of(site: &'a Site, foreign: bool) -> Self {
        let mut counts = vec![0i64; site.cohorts.len()];
        for machine in site.machines.iter().filter(|m| !m.excluded) {
            counts[usize::from(machine.cohort.0)] += 1;
        }
        let units = site.cohorts.iter().map(|c| c.name.clone()).collect();
        Self { site, foreign, counts, units }
    }

    /// The unit of that name.
    pub fn unit(&self, name: &str) -> Option<UnitId> {
        let at = self.units.iter().position(|u| u == name)?;
        u32::try_from(at).ok().map(UnitId)
    }

    /// Power of each cohort asleep.
    fn asleep(&self) -> Vec<Power> {
        let cohorts = self.site.cohorts.iter().zip(&self.counts);
        cohorts.map(|(c, n)| c.curve.levels()[0].power.times(*n)).collect()
    }

    /// Energy at the meter with everything asleep.
    pub fn least(&self, span: Span) -> Energy {
        self.site.overhead.meter(self.asleep().into_iter().sum()).over(span)
    }

    /// Energy at the meter with everything at its highest level.
    pub fn most(&self, span: Span) -> Energy {
        let cohorts = self.site.cohorts.iter().zip(&self.counts);
        let top = |c: &headgate_core::site::Cohort| {
            let levels = c.curve.levels();
            levels[levels.len() - 1 - usize::from(c.overclocked)].power
        };
        let machines: Power = cohorts.map(|(c, n)| top(c).times(*n)).sum();
        self.site.overhead.meter(machines).over(span)
    }

    /// Work of an interval by cohort, from energy at the meter, or from each cohort's own energy
    /// where that is told.
    pub fn work(
        &self,
        interval: Interval,
        metered: Energy,
        own: Option<&[Energy]>,
        worth: Worth,
    ) -> Vec<Work> {
        let span = interval.length();
        let mean = |e: Energy| {
            let watts = div_half_even(i128::from(e.0) * NANOS_PER_SECOND, i128::from(span.0));
            Power(to_i64(watts))
        };
        let given: Option<Vec<Power>> = own.map(|own| own.iter().map(|e| mean(*e)).collect());
        let machines = self.site.overhead.machines(mean(metered)).max(Power::ZERO);
        let (powers, earning) = self.fill(machines, given.as_deref(), worth);
        let hours = |m: i128| to_i64(div_half_even(m * i128::from(span.0), HOUR));
        let unit = |i: usize| UnitId(u32::try_from(i).expect("COHORTS_MAX fits 32 bits"));
        (0..powers.len())
            .map(|i| Work {
                unit: unit(i),
                energy: own.map_or_else(|| powers[i].over(span), |own| own[i]),
                revenue: Money(hours(earning[i])),
                foreign: self.foreign && self.site.cohorts[i].value.is_none(),
            })
            .collect()
    }

    /// Spreads power over the staircase: power of each cohort and what it earns in an hour.
    fn fill(
        &self,
        machines: Power,
        given: Option<&[Power]>,
        worth: Worth,
    ) -> (Vec<Power>, Vec<i128>) {
        let hashprice = match worth {
            Worth::Hash(money) => Some(money),
            Worth::Energy(_) => None,
        };
        let stairs = Staircase::of(self.site, hashprice.or(Some(Money::ZERO)));
        let mut powers = self.asleep();
        let base: Power = powers.iter().copied().sum();
        let mut rest = machines - base;
        if rest.0 < 0 && given.is_none() {
            // Less than everything asleep draws: nothing works, and what is drawn is shared.
            let all = base.0.max(1);
            for p in &mut powers {
                let n = i128::from(p.0) * i128::from(machines.0);
                *p = Power(to_i64(div_half_even(n, i128::from(all))));
            }
            rest = Power::ZERO;
        }
        let mut left: Vec<Power> = match given {
            Some(given) => given.iter().zip(&powers).map(|(g, p)| g.minus_or_zero(*p)).collect(),
            None => Vec::new(),
        };
        let mut rates = vec![0i128; powers.len()];
        for step in stairs.iter().flat_map(|s| &s.segments) {
            let (cohort, count) = (&self.site.cohorts[step.cohort], self.counts[step.cohort]);
            let whole = step.power.times(count);
            let from = left.get_mut(step.cohort).unwrap_or(&mut rest);
            let taken = whole.min(*from);
            if taken.0 <= 0 {
                continue;
            }
            *from -= taken;
            powers[step.cohort] += taken;
            let gain = (cohort.curve.at(step.to).rate - cohort.curve.at(step.from).rate).0;
            let rate = i128::from(gain) * i128::from(count) * i128::from(taken.0);
            rates[step.cohort] += div_half_even(rate, i128::from(whole.0));
        }
        if let Some(given) = given {
            powers.copy_from_slice(given);
        }
        let earning = (0..powers.len()).map(|i| self.earning(i, powers[i], rates[i], worth));
        let earning = earning.collect();
        (powers, earning)
    }

    /// What a cohort earns in an hour at a power and rate, as the engine counts it.
    fn earning(&self, cohort: usize, power: Power, rate: i128, worth: Worth) -> i128 {
        let energy = |p: Price| i128::from(p.of(power.over(Span::hours(1))).0);
        match (self.site.cohorts[cohort].value, worth, self.site.value) {
            (Some(price), ..) | (None, Worth::Energy(price), _) => energy(price),
            (None, Worth::Hash(money), value) => {
                let fee = match value {
                    Value::Hashprice { pool_fee_ppm, .. } => pool_fee_ppm,
                    Value::Energy(_) => 0,
                };
                let net = i128::from(money.0) * rate * i128::from(1_000_000 - fee);
                div_half_even(net, 24 * 1_000_000 * 1_000_000)
            }
        }
    }
}

/// Nanoseconds of an hour.
const HOUR: i128 = 3_600 * NANOS_PER_SECOND;

/// Whether hash prices come from where a reader of the statement should know it.
pub fn source(loaded: &Loaded) -> Option<String> {
    let currency = &loaded.worth.currency;
    Some(match &loaded.hashprice {
        HashpriceSource::NotNeeded => return None,
        HashpriceSource::Constant(m) => format!("hash price fixed at {m} {currency}/PH/day"),
        HashpriceSource::Dated(_) => "price of work by contract".to_owned(),
        HashpriceSource::File(path) => format!("hash prices of {}", path.display()),
        HashpriceSource::Network { difficulty, price, fees } => format!(
            "hash prices computed from {}, {}{}",
            difficulty.display(),
            price.display(),
            fees.as_ref().map_or_else(
                || " (subsidy alone, without fees)".to_owned(),
                |f| format!(", {}", f.display())
            )
        ),
        HashpriceSource::Address { base, .. } => format!("hash prices computed from {base}"),
    })
}

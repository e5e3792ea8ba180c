//! What a fleet's work is worth over time, for a settlement: the hash price or contract known at
//! each interval, and the rate of its currency.

use crate::config::{Fx, Loaded};
use crate::values::{self, Fetching};
use headgate_core::event::Hashprice;
use headgate_core::fleet::OperatingPoint;
use headgate_core::merit::step_value;
use headgate_core::settle::{Exchange, Fleet, Metered, UnitId, Work};
use headgate_core::site::{Site, Value};
use headgate_core::time::{Interval, Time};
use headgate_core::units::{Energy, Power, Price, Rate};

/// One rate in billionths that changes nothing.
const ONE: i64 = 1_000_000_000;

/// The value of work over time.
pub struct Worth<'a> {
    loaded: &'a Loaded,
    /// In the currency the work is paid in, in the order in which they are known.
    hashprices: Vec<Hashprice>,
    foreign: bool,
}

/// What an interval's work is valued by: the site with its value in force, and the hash price.
pub struct Valued {
    site: Site,
    hashprice: Option<Hashprice>,
    foreign: bool,
}

impl<'a> Worth<'a> {
    /// Loads what a configuration values work by.
    ///
    /// # Errors
    /// When a file that holds hash prices cannot be read, or an address does not answer.
    pub fn load(loaded: &'a Loaded) -> anyhow::Result<Self> {
        let hashprices = values::paid(loaded, Fetching::Now)?;
        let foreign = !matches!(loaded.worth.fx, Fx::Same);
        Ok(Self { loaded, hashprices, foreign })
    }

    /// The rate of the work's currency that was known at a moment.
    pub fn exchange(&self, at: Time) -> Option<Exchange> {
        match &self.loaded.worth.fx {
            Fx::Same => Some(Exchange { nano: ONE, known_at: Time::MIN }),
            Fx::Rate(rate) => Some(Exchange { nano: rate.0, known_at: Time::MIN }),
            Fx::Series(series) => {
                series.at(at).map(|(known_at, rate)| Exchange { nano: rate.0, known_at })
            }
        }
    }

    /// What work was worth at a moment, as known then; `None` where nothing was known.
    pub fn at(&self, at: Time) -> Option<Valued> {
        let site = &self.loaded.site;
        let mined = matches!(site.value, Value::Hashprice { .. });
        let known = self.hashprices.partition_point(|h| h.known_at <= at);
        let hashprice = known.checked_sub(1).map(|i| self.hashprices[i]);
        if mined && hashprice.is_none() && site.cohorts.iter().any(|c| c.value.is_none()) {
            return None;
        }
        let mut site = Site { machines: site.machines.clone(), ..site.clone() };
        let steps = &self.loaded.worth.energy;
        let step = steps.partition_point(|(from, _)| *from <= at).checked_sub(1);
        if let Some(step) = step.filter(|_| !mined) {
            site.value = Value::Energy(steps[step].1);
        }
        Some(Valued { site, hashprice, foreign: self.foreign })
    }

    /// Whether two moments value work alike, so that one need not be made anew.
    pub fn alike(&self, a: Time, b: Time) -> bool {
        let hash = |t| self.hashprices.partition_point(|h: &Hashprice| h.known_at <= t);
        let step = |t| self.loaded.worth.energy.partition_point(|(from, _)| *from <= t);
        hash(a) == hash(b) && step(a) == step(b)
    }
}

impl Valued {
    /// The fleet at this value.
    pub fn fleet(&self) -> Option<Fleet<'_>> {
        Fleet::of(&self.site, self.hashprice.map(|h| h.per_ph_day), self.foreign)
    }

    /// What one unit's energy was worth: the mean value at its cohort's highest ordinary level.
    pub fn unit(&self, cohort: usize, unit: UnitId, energy: Energy) -> Option<Work> {
        let c = &self.site.cohorts[cohort];
        let levels = c.curve.levels();
        let top = levels[levels.len() - 1 - usize::from(c.overclocked)];
        let nothing = OperatingPoint { power: Power::ZERO, rate: Rate::ZERO };
        let hashprice = self.hashprice.map(|h| h.per_ph_day);
        let value: Price = step_value(&self.site, c, hashprice, nothing, top)?;
        let foreign = self.foreign && c.value.is_none();
        Some(Work { unit, energy, revenue: value.of(energy), foreign })
    }
}

/// What every interval's work came to, by cohort, the best machines first; and what the whole
/// fleet would have drawn and earned.
pub struct Fleets {
    valued: Vec<(Interval, Option<usize>)>,
    kept: Vec<Valued>,
}

impl Fleets {
    /// Values all intervals, given in time order.
    pub fn of(worth: &Worth<'_>, intervals: &[Metered]) -> Self {
        let mut valued: Vec<(Interval, Option<usize>)> = Vec::with_capacity(intervals.len());
        let mut kept = Vec::new();
        for input in intervals {
            let last = valued.last().copied();
            let at = input.interval.start;
            let same = last.filter(|(i, _)| worth.alike(i.start, at)).map(|(_, index)| index);
            let index = same.unwrap_or_else(|| {
                kept.extend(worth.at(at));
                worth.at(at).map(|_| kept.len() - 1)
            });
            valued.push((input.interval, index));
        }
        Self { valued, kept }
    }

    /// What an interval is valued by.
    pub fn at(&self, interval: Interval) -> Option<&Valued> {
        let at = self.valued.partition_point(|(i, _)| i.start < interval.start);
        let (found, index) = self.valued.get(at)?;
        (*found == interval).then_some(())?;
        index.map(|i| &self.kept[i])
    }

    /// Energy and work with every machine at its highest ordinary level, or asleep.
    pub fn load(&self, interval: Interval, on: bool) -> Option<(Energy, Vec<Work>)> {
        let fleet = self.at(interval)?.fleet()?;
        let span = interval.length();
        Some(if on { fleet.full(span) } else { fleet.off(span) })
    }
}

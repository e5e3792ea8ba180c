//! What metered intervals were worth: one settlement for the live run and for every
//! counterfactual, from what the farm really drew.

use super::{OnStep, Outcome, World, WorldError, WorldOptions};
use crate::farm::{Farm, MeterReading};
use headgate_core::event::{AutomationMode, Event};
use headgate_core::ledger::LedgerInterval;
use headgate_core::merit::Staircase;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::site::{PolicyRule, Site, Value};
use headgate_core::time::{Interval, Time};
use headgate_core::units::{Energy, Money, Power, Price};
use serde::Serialize;
use std::collections::BTreeMap;

/// GH done by one PH/s in one day, in millions: what a hash price pays for.
const MILLION_GH_PER_PH_DAY: i128 = 86_400;
/// Parts of one whole in parts per million.
const WHOLE_PPM: i64 = 1_000_000;

/// What the simulator's own meter showed over one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IntervalMeter {
    /// Which: a settlement interval, or the part of one that was run.
    pub interval: Interval,
    /// Energy at the meter.
    pub energy: Energy,
    /// Energy of the machines alone.
    pub machine_energy: Energy,
    /// Work done: rate x seconds, GH for hashing.
    pub work: i64,
    /// Power at the meter at its end.
    pub power: Power,
}

impl IntervalMeter {
    /// The interval between two readings.
    #[must_use]
    pub fn between(from: &MeterReading, to: &MeterReading, interval: Interval) -> Self {
        Self {
            interval,
            energy: to.energy - from.energy,
            machine_energy: to.machine_energy - from.machine_energy,
            work: to.work - from.work,
            power: to.power,
        }
    }
}

/// What a run was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Account {
    /// Intervals settled.
    pub intervals: u64,
    /// Energy at the meter, in watt-seconds.
    pub energy: i64,
    /// Work done: rate x seconds.
    pub work: i64,
    /// What the work was worth, in micro-currency, like all money here.
    pub compute_revenue: i64,
    /// What the energy cost: blocks at their price, top-up at the market price, adders.
    pub energy_cost: i64,
    /// What came in for block energy sold back.
    pub sell_back: i64,
    /// Wear: what the starts cost.
    pub other_cost: i64,
    /// Machines started.
    pub starts: u64,
    /// `compute_revenue - energy_cost + sell_back - other_cost`.
    pub profit: i64,
}

/// Why intervals cannot be settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// A price is missing. Missing is not zero.
    #[error("failed to settle {interval}: no settlement price for the interval at {start}")]
    NoPrice {
        /// The metered interval.
        interval: Interval,
        /// Start of the settlement interval it lies in.
        start: Time,
    },
    /// An interval lies in more than one settlement interval.
    #[error("failed to settle {interval}: it reaches into the next settlement interval")]
    Straddles {
        /// The metered interval.
        interval: Interval,
    },
    /// The meter knows the farm as one, so one cohort's energy cannot be valued on its own.
    #[error("failed to settle: cohort {cohort:?} has a value of its own, and there is one meter")]
    OwnValue {
        /// The cohort's name.
        cohort: String,
    },
    /// The starts of some cohort are missing.
    #[error("failed to settle: starts of {starts} cohorts were given, the site has {cohorts}")]
    Starts {
        /// Cohorts with a count.
        starts: usize,
        /// Cohorts of the site.
        cohorts: usize,
    },
}

/// Settles metered intervals at published prices, by the ledger's own rules.
///
/// `prices` are settlement prices by the start of their interval, `hashprice` is money for one
/// PH/s held for one day before the pool's fee, `starts` are machines woken, by cohort.
///
/// # Errors
/// [`SettleError`] when something needed is not there.
pub fn settle(
    site: &Site,
    intervals: &[IntervalMeter],
    prices: &BTreeMap<Time, Price>,
    hashprice: Money,
    starts: &[u64],
) -> Result<Account, SettleError> {
    let own = site.cohorts.iter().find(|c| c.value.is_some_and(|v| site.value != Value::Energy(v)));
    if let Some(cohort) = own {
        return Err(SettleError::OwnValue { cohort: cohort.name.clone() });
    }
    if starts.len() != site.cohorts.len() {
        let (starts, cohorts) = (starts.len(), site.cohorts.len());
        return Err(SettleError::Starts { starts, cohorts });
    }
    let mut account = Account::default();
    for metered in intervals {
        let interval = metered.interval;
        let whole = interval.start.interval(site.market.settle_step);
        if interval.end > whole.end {
            return Err(SettleError::Straddles { interval });
        }
        let no_price = SettleError::NoPrice { interval, start: whole.start };
        let price = prices.get(&whole.start).copied().ok_or(no_price)?;
        let worth = revenue(site, metered.machine_energy, metered.work, hashprice);
        let entry = entry(site, interval, metered.energy, worth, price);
        account.count(&entry, metered.work);
    }
    for (cohort, n) in site.cohorts.iter().zip(starts) {
        account.starts += n;
        account.other_cost += cohort.start_cost.times(i64::try_from(*n).unwrap_or(i64::MAX)).0;
    }
    account.profit =
        account.compute_revenue - account.energy_cost + account.sell_back - account.other_cost;
    Ok(account)
}

impl Account {
    pub(crate) fn count(&mut self, entry: &LedgerInterval, work: i64) {
        self.intervals += 1;
        self.energy += entry.energy.0;
        self.work += work;
        self.compute_revenue += entry.compute_revenue.0;
        self.energy_cost += entry.energy_cost.0;
        self.sell_back += entry.sell_back.0;
    }
}

/// One interval at its published price, by the ledger's own rules.
pub(crate) fn entry(
    site: &Site,
    interval: Interval,
    energy: Energy,
    compute_revenue: Money,
    price: Price,
) -> LedgerInterval {
    let mut entry = LedgerInterval {
        interval,
        energy,
        measured: interval.length(),
        price: None,
        published: false,
        compute_revenue,
        energy_cost: Money::ZERO,
        sell_back: Money::ZERO,
    };
    entry.settle(site, price, true);
    entry
}

/// What work was worth by the site's own value: by the energy that did it, or at a hash price
/// less the pool's fee.
pub(crate) fn revenue(site: &Site, energy: Energy, work: i64, hashprice: Money) -> Money {
    match site.value {
        Value::Energy(price) => price.of(energy),
        Value::Hashprice { pool_fee_ppm, .. } => {
            let gross = i128::from(hashprice.0) * i128::from(work);
            let net = gross * i128::from(WHOLE_PPM - pool_fee_ppm);
            let whole = i128::from(WHOLE_PPM);
            Money(to_i64(div_half_even(net, MILLION_GH_PER_PH_DAY * whole * whole)))
        }
    }
}

/// The fleet's energy-weighted break-even at the meter; `None` when nothing tells its value.
#[must_use]
pub fn mean_breakeven(site: &Site, hashprice: Option<Money>) -> Option<Price> {
    let mut counts = vec![0; site.cohorts.len()];
    for m in &site.machines {
        counts[usize::from(m.cohort.0)] += 1;
    }
    Staircase::of(site, hashprice)?.mean(&counts)
}

/// A day to be lived through under one policy or another.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The site; its policy is replaced.
    pub site: &'a Site,
    /// The farm as it is at the start.
    pub farm: &'a Farm,
    /// How the world runs.
    pub options: WorldOptions,
    /// What is told, and when.
    pub events: &'a [(Time, Event)],
    /// When it ends.
    pub until: Time,
    /// Settlement prices by the start of their interval.
    pub prices: &'a BTreeMap<Time, Price>,
    /// Money for one PH/s held for one day.
    pub hashprice: Money,
}

/// Why a counterfactual cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Compared {
    /// The world cannot be built.
    #[error("failed to build the counterfactual world")]
    World(#[source] WorldError),
    /// Its intervals cannot be settled.
    #[error("failed to settle the counterfactual")]
    Settle(#[source] SettleError),
}

/// Lives through the same day with the same farm, faults, latency and events under another
/// policy, acting on its own.
///
/// # Errors
/// [`Compared`] when the world cannot be built or settled.
pub fn counterfactual(
    case: &Case<'_>,
    rule: PolicyRule,
    on_step: OnStep<'_>,
) -> Result<(Account, Outcome), Compared> {
    let mut site = case.site.clone();
    site.policy.rule = rule;
    site.policy.mode = AutomationMode::Auto;
    let world = World::new(site, case.farm.clone(), case.options, case.events.to_vec());
    let outcome = world.map_err(Compared::World)?.run(case.until, on_step);
    let account =
        settle(case.site, &outcome.intervals, case.prices, case.hashprice, &outcome.starts);
    Ok((account.map_err(Compared::Settle)?, outcome))
}

//! Puts a price on each quota and searches the prices, all at once, by bisection.
//!
//! For any prices the best plan at them, less what the quotas are worth at them, is a bound; a
//! plan at them that meets all quotas is a plan. Each price is bisected by whether its own quota
//! is met; as quotas touch each other a little where their periods meet, the search is repeated
//! around what it found.

use super::{Certified, Limit, Quota, QuotaError, earned};
use crate::horizon::exact::{Ahead, Origin, Plan, Planner};
use crate::number::{div_ceil, to_i64};
use crate::units::{Money, Price, WATT_SECONDS_PER_MWH};

/// Highest price put on a quota, in micro-currency per MWh.
pub(super) const PRICE_MAX: i64 = 100_000_000_000;
/// Times the search is made, each time within a smaller distance of what was found.
const ROUNDS: u32 = 3;
/// Bisections of one search.
const HALVINGS_MAX: u32 = 40;

/// Prices on quotas: on a MWh, or on an hour off.
struct Prices<'a> {
    quotas: &'a [Quota],
    low: Vec<i64>,
    high: Vec<i64>,
    at: Vec<i64>,
}

/// What was found so far.
struct Found {
    plan: Option<Plan>,
    bound: Money,
}

/// The best plan found that meets all quotas, with the best bound found.
pub(super) fn best(
    planner: &mut Planner,
    ahead: &Ahead<'_>,
    from: Origin,
    quotas: &[Quota],
    free: &Plan,
) -> Result<Certified, QuotaError> {
    let none = vec![0; quotas.len()];
    let high = vec![PRICE_MAX; quotas.len()];
    let mut prices = Prices { quotas, low: none.clone(), high, at: none };
    let mut found = Found { plan: None, bound: free.profit };
    for round in 0..ROUNDS {
        for _ in 0..HALVINGS_MAX {
            let plan = prices.try_out(planner, ahead, from, &mut found)?;
            if !prices.halve(planner, &plan) {
                break;
            }
        }
        // On the side where each quota is met by itself.
        prices.at.clone_from(&prices.high);
        let mut plan = prices.try_out(planner, ahead, from, &mut found)?;
        let mut step = 1_000;
        while found.plan.is_none() && prices.raise(planner, &plan, step) {
            plan = prices.try_out(planner, ahead, from, &mut found)?;
            step *= 2;
        }
        prices.around(1_000_000 >> (4 * round));
    }
    match found.plan {
        Some(plan) => Ok(Certified { bound: found.bound.max(plan.profit), plan }),
        None => Err(blame(planner, ahead, from, &prices)),
    }
}

impl Prices<'_> {
    /// Plans at the prices and keeps what is better than what was found.
    fn try_out(
        &self,
        planner: &mut Planner,
        ahead: &Ahead<'_>,
        from: Origin,
        found: &mut Found,
    ) -> Result<Plan, QuotaError> {
        let plan = self.plan(planner, ahead, from)?;
        let mut bound = i128::from(plan.profit.0);
        for (quota, price) in self.quotas.iter().zip(&self.at) {
            bound += quota.credit(*price, planner.lattice().step().0);
        }
        found.bound = found.bound.min(Money(to_i64(bound)));
        if self.quotas.iter().all(|q| q.is_met(planner.lattice(), &plan)) {
            let profit = earned(planner, ahead, &plan);
            if found.plan.as_ref().is_none_or(|p| p.profit < profit) {
                found.plan = Some(Plan { profit, ..plan.clone() });
            }
        }
        Ok(plan)
    }

    fn plan(
        &self,
        planner: &mut Planner,
        ahead: &Ahead<'_>,
        from: Origin,
    ) -> Result<Plan, QuotaError> {
        let mut gains = ahead.gains.to_vec();
        let mut awake = match ahead.awake {
            [] => vec![Money::ZERO; gains.len()],
            awake => awake.to_vec(),
        };
        let step = planner.lattice().step().0;
        for (quota, price) in self.quotas.iter().zip(&self.at) {
            for t in quota.steps.clone() {
                match quota.limit {
                    Limit::EnergyAtLeast(_) => gains[t] += Price(*price),
                    Limit::EnergyAtMost(_) => gains[t] += Price(-*price),
                    Limit::OffAtMost(_) => awake[t] += Money(on_step(*price, step)),
                }
            }
        }
        Ok(planner.plan(&Ahead { gains: &gains, awake: &awake, ..*ahead }, from)?)
    }

    /// Halves the interval of each price; whether any is left to halve.
    fn halve(&mut self, planner: &Planner, plan: &Plan) -> bool {
        let mut left = false;
        for (i, quota) in self.quotas.iter().enumerate() {
            let at = self.at[i];
            let met = quota.is_met(planner.lattice(), plan);
            if met {
                self.high[i] = at.max(self.low[i])
            } else {
                self.low[i] = at + 1
            }
            let (low, high) = (self.low[i], self.high[i].max(self.low[i]));
            self.high[i] = high;
            // From far off by doubling: prices of quotas are of the size of prices.
            self.at[i] = if high == PRICE_MAX {
                (at * 2).clamp(1_000_000, high)
            } else {
                low + (high - low) / 2
            };
            left |= low < high;
        }
        left
    }

    /// Raises the price of each quota that is broken; whether there is one to raise.
    fn raise(&mut self, planner: &Planner, plan: &Plan, step: i64) -> bool {
        let mut raised = false;
        for (i, quota) in self.quotas.iter().enumerate() {
            if !quota.is_met(planner.lattice(), plan) && self.at[i] < PRICE_MAX {
                self.at[i] = (self.at[i] + step).min(PRICE_MAX);
                raised = true;
            }
        }
        raised
    }

    /// Searches again within a distance.
    fn around(&mut self, distance: i64) {
        for i in 0..self.at.len() {
            self.low[i] = (self.high[i] - distance).max(0);
            self.at[i] = self.high[i];
            self.high[i] = (self.high[i] + distance).min(PRICE_MAX);
        }
    }
}

impl Quota {
    /// What meeting it is worth at a price, to be added to a plan's profit at that price.
    fn credit(&self, price: i64, step: i64) -> i128 {
        let price128 = i128::from(price);
        let energy = |e: i64| price128 * i128::from(e);
        let steps = i128::try_from(self.steps.len()).expect("steps are bounded");
        match self.limit {
            Limit::EnergyAtLeast(e) => div_ceil(-energy(e.0), WATT_SECONDS_PER_MWH) + steps,
            Limit::EnergyAtMost(e) => div_ceil(energy(e.0), WATT_SECONDS_PER_MWH) + steps,
            Limit::OffAtMost(span) => {
                let on = steps - i128::from(span.0.div_euclid(step));
                -i128::from(on_step(price, step)) * on
            }
        }
    }
}

/// What a step on earns at a price on an hour.
fn on_step(price: i64, step: i64) -> i64 {
    let hour = 3_600 * i128::from(crate::time::SECOND);
    to_i64(i128::from(price) * i128::from(step) / hour)
}

/// Which quota cannot be met, alone or with the others.
fn blame(
    planner: &mut Planner,
    ahead: &Ahead<'_>,
    from: Origin,
    prices: &Prices<'_>,
) -> QuotaError {
    let mut last = None;
    for quota in prices.quotas {
        let alone = Prices {
            quotas: std::slice::from_ref(quota),
            low: vec![0],
            high: vec![PRICE_MAX],
            at: vec![PRICE_MAX],
        };
        match alone.plan(planner, ahead, from) {
            Err(e) => return e,
            Ok(plan) if !quota.is_met(planner.lattice(), &plan) => {
                return QuotaError::NoWay(quota.clone());
            }
            Ok(_) => last = Some(quota.clone()),
        }
    }
    QuotaError::Together(last.expect("without quotas there is a plan"))
}

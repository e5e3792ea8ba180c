//! One site as configured: limits, contracts, cohorts, policy, fail-safes. Checked and resolved
//! before it gets here; the engine takes it as an event and trusts it.

use crate::engine::NO_DRIVER;
use crate::event::AutomationMode;
use crate::fleet::{CohortId, DriverId, MachineId, PowerCurve};
use crate::market::{PriceKind, SettlementPoint};
use crate::time::{Span, Time};
use crate::units::{Energy, Money, Power, Price};
use serde::{Deserialize, Serialize};

/// One grid connection, one settlement point, one meter, and everything behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// What people call it.
    pub name: String,
    /// blake3 of the configuration as read, in hex.
    pub config_hash: String,
    /// IANA time zone, for people and tariffs; the engine lives in UTC.
    pub timezone: String,
    /// The market's settings in force.
    pub market: MarketRule,
    /// Where its energy settles.
    pub point: SettlementPoint,
    /// What the meter sees beyond the machines.
    pub overhead: Overhead,
    /// Hard limits at the meter.
    pub limits: SiteLimits,
    /// Fixed-price blocks.
    pub blocks: Vec<Block>,
    /// What is paid on top of the market price for every unit imported.
    pub import_adder: Price,
    /// What the work is worth.
    pub value: Value,
    /// Cohorts in file order; a [`CohortId`] is an index into this.
    pub cohorts: Vec<Cohort>,
    /// Machines by cohort, then by place in the inventory; a [`MachineId`] is an index into this.
    pub machines: Vec<MachineSpec>,
    /// What the owner wants.
    pub policy: Policy,
    /// Price feeds in file order; a `FeedId` is an index into this.
    pub feeds: Vec<Feed>,
    /// Drivers by name; a [`DriverId`] is an index into this.
    pub drivers: Vec<DriverSpec>,
    /// Meters by name; a `MeterId` is an index into this.
    pub meters: Vec<MeterSpec>,
    /// What to do when a signal is lost.
    pub failsafe: Failsafe,
}

/// What the engine needs of a market's dated rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketRule {
    /// Name of the market's file, for example `ercot`.
    pub name: String,
    /// ISO 4217 code of every price and every money here.
    pub currency: String,
    /// Nominal step of dispatch.
    pub dispatch_step: Span,
    /// Step of settlement.
    pub settle_step: Span,
}

/// Meter = machines * (1 + share) + fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overhead {
    /// Share of the machines' power, in parts per million.
    pub share_ppm: i64,
    /// Fixed part.
    pub fixed: Power,
}

/// Hard limits at the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteLimits {
    /// Highest import.
    pub import: Power,
    /// Fastest rise; `None` is no limit. Nothing overrides it.
    pub ramp_up: Option<Ramp>,
    /// Fastest fall; `None` is no limit. Only safety and a grid emergency override it.
    pub ramp_down: Option<Ramp>,
    /// Most that one operator, token or signal may move; `None` is no limit.
    pub step: Option<Ramp>,
}

/// So much power in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ramp {
    /// How much power.
    pub power: Power,
    /// In how much time.
    pub per: Span,
}

/// A fixed block of energy at a fixed price; what is not used of it is sold back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Size of the block.
    pub quantity: Power,
    /// Price paid for all of it.
    pub price: Price,
    /// First moment of the term.
    pub from: Time,
    /// First moment after the term.
    pub to: Time,
    /// Taken off each unit sold back.
    pub resale_fee: Price,
    /// Share of the market price paid for a unit sold back, in parts per million.
    pub resale_share_ppm: i64,
}

/// What the work is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// By hash price, as it comes in.
    Hashprice {
        /// Pool fee in parts per million.
        pool_fee_ppm: i64,
        /// Age at which the last known value is discounted.
        stale_after: Span,
        /// The discount, in parts per million.
        stale_discount_ppm: i64,
    },
    /// By a fixed price per energy at the machine.
    Energy(Price),
}

/// Machines of one model, firmware and contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// What people call it.
    pub name: String,
    /// Whose machines they are to command.
    pub driver: DriverId,
    /// Levels, sleep first, overclocked ones last.
    pub curve: PowerCurve,
    /// How many of the topmost levels are overclocked.
    pub overclocked: u8,
    /// How long things take.
    pub times: MachineTimes,
    /// What a start costs, per machine.
    pub start_cost: Money,
    /// Starts a day a machine may make.
    pub starts_per_day: u16,
    /// Price set by hand that overrides the break-even.
    pub strike: Option<Price>,
    /// Value of energy at the machine set by hand, instead of the site's value.
    pub value: Option<Price>,
}

/// How long a machine takes and must stay: priors, learned from watts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineTimes {
    /// From the command to its power having fallen.
    pub down: Span,
    /// From the command to full power.
    pub up: Span,
    /// Shortest time awake.
    pub min_on: Span,
    /// Shortest time asleep.
    pub min_off: Span,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// `host:port`.
    pub address: String,
    /// Its cohort.
    pub cohort: CohortId,
    /// In repair: never commanded, counted as drawing.
    pub excluded: bool,
}

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How far the program may act.
    pub mode: AutomationMode,
    /// How it decides.
    pub rule: PolicyRule,
    /// Starts the whole site may make in an hour.
    pub starts_per_hour: u32,
}

/// How a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyRule {
    /// Everything, always.
    AlwaysOn,
    /// Everything below one price, nothing at or above it.
    FixedStrike(Price),
    /// Each step of the staircase below its own break-even, with the cost of a restart.
    Breakeven,
    /// By what is known and expected of the hours to come, with restart cost, dwell and ramp.
    LookAhead,
}

/// A price feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// What people call it.
    pub name: String,
    /// What it brings.
    pub role: PriceKind,
    /// Of the healthy feeds of one role the lowest rank wins.
    pub rank: u16,
    /// Parser name, for example `ercot_np6_788`.
    pub parser: String,
    /// `file:DIR`, `file:PATH`, `http:` or `https:` address.
    pub source: String,
    /// Age at which it counts as silent.
    pub stale_after: Span,
}

/// A driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverSpec {
    /// What people call it; cohorts name it.
    pub name: String,
    /// Protocol, for example `luxos`.
    pub kind: String,
    /// Port for addresses without one.
    pub port: u16,
    /// Wall time one request may take, connecting included.
    pub request_budget: Span,
    /// How often watts are read.
    pub poll_watts: Span,
    /// Requests in flight at once, over all machines.
    pub concurrency: u32,
}

impl DriverSpec {
    /// The driver of what has none; it stands last in its site.
    #[must_use]
    pub fn none() -> Self {
        Self {
            name: NO_DRIVER.into(),
            kind: NO_DRIVER.into(),
            port: 0,
            request_budget: Span::ZERO,
            poll_watts: Span::ZERO,
            concurrency: 0,
        }
    }
}

/// A meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterSpec {
    /// What people call it.
    pub name: String,
    /// Where its reading comes from.
    pub kind: MeterKind,
    /// Age at which it counts as silent.
    pub stale_after: Span,
}

/// Where a meter's reading comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeterKind {
    /// The machines' own watts, overhead added.
    MachineSum,
    /// Readings come in as `Event::Meter`.
    Reported,
}

/// What to do when a signal is lost: hold, then ramp to a level never above the present power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failsafe {
    /// No real-time price.
    pub dispatch_price: PriceLoss,
    /// No meter: how long before raises are frozen.
    pub meter_hold: Span,
    /// A driver says nothing: how long before raises are frozen.
    pub telemetry_hold: Span,
}

/// What to do without a real-time price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceLoss {
    /// How long to hold.
    pub hold: Span,
    /// Whether to go by the day-ahead curve after that, where it is known.
    pub day_ahead: bool,
    /// The power to ramp to where it is not.
    pub otherwise: Power,
}

impl Overhead {
    /// Import at the meter for a power of the machines, rounded up.
    #[must_use]
    pub fn meter(&self, machines: Power) -> Power {
        if self.share_ppm == 0 {
            return machines + self.fixed;
        }
        let ppm = i128::from(1_000_000 + self.share_ppm);
        let with_share = crate::number::div_ceil(i128::from(machines.0) * ppm, 1_000_000);
        Power(crate::number::to_i64(with_share)) + self.fixed
    }

    /// Highest power of the machines whose import stays at or below one at the meter.
    #[must_use]
    pub fn machines(&self, meter: Power) -> Power {
        let ppm = i128::from(1_000_000 + self.share_ppm);
        let net = i128::from((meter - self.fixed).0) * 1_000_000;
        Power(crate::number::to_i64(crate::number::div_floor(net, ppm)))
    }
}

impl Ramp {
    /// The power this ramp allows in a span, rounded down.
    #[must_use]
    pub fn within(&self, span: Span) -> Power {
        let n = i128::from(self.power.0) * i128::from(span.0.max(0));
        Power(crate::number::to_i64(crate::number::div_floor(n, i128::from(self.per.0))))
    }
}

impl Block {
    /// Energy of the block in a span.
    #[must_use]
    pub fn energy(&self, span: Span) -> Energy {
        self.quantity.over(span)
    }

    /// Whether the block is in force.
    #[must_use]
    pub fn in_force(&self, at: Time) -> bool {
        self.from <= at && at < self.to
    }

    /// What one unit sold back brings at a market price.
    #[must_use]
    pub fn resale(&self, market: Price) -> Price {
        let n = i128::from(market.0) * i128::from(self.resale_share_ppm);
        Price(crate::number::to_i64(crate::number::div_floor(n, 1_000_000))) - self.resale_fee
    }
}

impl Site {
    /// The cohort of an id.
    ///
    /// # Panics
    /// When the id is not of this site.
    #[must_use]
    pub fn cohort(&self, id: CohortId) -> &Cohort {
        &self.cohorts[usize::from(id.0)]
    }

    /// Machines of the site with their ids.
    pub fn machines(&self) -> impl Iterator<Item = (MachineId, &MachineSpec)> {
        let id = |i: usize| MachineId(u32::try_from(i).expect("MACHINES_MAX fits 32 bits"));
        self.machines.iter().enumerate().map(move |(i, m)| (id(i), m))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn overhead_never_promises_more_than_the_meter(
            share_ppm in 0i64..500_000, fixed in 0i64..1_000_000, meter in 0i64..500_000_000,
        ) {
            let overhead = Overhead { share_ppm, fixed: Power(fixed) };
            let machines = overhead.machines(Power(meter));
            assert!(overhead.meter(machines) <= Power(meter));
            assert!(overhead.meter(machines + Power(1)) > Power(meter));
        }
    }
}

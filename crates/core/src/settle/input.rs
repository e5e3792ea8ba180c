//! What was measured and posted of one settlement interval. What is missing is `None`.

use crate::number::{div_half_even, to_i64};
use crate::time::{Interval, Time};
use crate::units::{Energy, Money, Power, Price};
use serde::{Deserialize, Serialize};

/// A price with the moment from which it could be known, for the line that uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The price.
    pub price: Price,
    /// Since when this revision of it could be known.
    pub known_at: Time,
}

/// A part of the site that costs are shared over: a machine or a cohort, as the caller numbers
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnitId(pub u32);

/// What one unit drew and earned in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Which unit.
    pub unit: UnitId,
    /// Energy it drew: the weight by which it shares what the meter's energy costs.
    pub energy: Energy,
    /// What its work brought, in the currency it is paid in.
    pub revenue: Money,
    /// Whether that is another currency than the site's.
    pub foreign: bool,
}

/// Rate at which the work's currency is turned into the site's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Site currency for a unit of the work's currency, in billionths.
    pub nano: i64,
    /// Since when it could be known.
    pub known_at: Time,
}

impl Exchange {
    /// Turns money of the work's currency into the site's, rounded half to even.
    #[must_use]
    pub fn convert(&self, money: Money) -> Money {
        let product = i128::from(money.0) * i128::from(self.nano);
        Money(to_i64(div_half_even(product, 1_000_000_000)))
    }
}

/// Power bought (above zero) or sold (below) in the day-ahead market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// How much.
    pub power: Power,
    /// At which day-ahead price.
    pub quote: Quote,
}

/// Power held ready for the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// The product, as the caller numbers them.
    pub product: u16,
    /// How much was awarded.
    pub awarded: Power,
    /// Paid for a megawatt held for an hour.
    pub quote: Quote,
}

/// Awarded power that was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The product.
    pub product: u16,
    /// How much was called for.
    pub required: Power,
    /// How much was seen at the meter: what is not proven was not delivered.
    pub delivered: Power,
}

/// One settlement interval as measured and posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metered {
    /// Which.
    pub interval: Interval,
    /// Energy at the meter; `None` is not measured, which is not zero.
    pub energy: Option<Energy>,
    /// Settlement price at the site's point.
    pub quote: Option<Quote>,
    /// Prices at which blocks sell elsewhere, by block; others leave `None`.
    pub resale: Vec<Option<Quote>>,
    /// Day-ahead position.
    pub position: Option<Position>,
    /// Capacity held.
    pub capacity: Vec<Capacity>,
    /// Capacity called for.
    pub deployments: Vec<Deployment>,
    /// Most the grid operator allowed to draw.
    pub base_point: Option<Power>,
    /// What the units drew and earned, in order of unit.
    pub work: Vec<Work>,
    /// Mean value of a megawatt-hour of work in the currency it is paid in, for the line that
    /// tells it; `None` where there was no work.
    pub value: Option<Quote>,
    /// Whether no value of the work was known, so that its revenue is unknown and not zero.
    pub unvalued: bool,
    /// The rate for work paid in another currency, where there is one.
    pub exchange: Option<Exchange>,
    /// Cost of starts and wear.
    pub wear: Money,
}

impl Metered {
    /// An interval of which nothing is known yet.
    #[must_use]
    pub fn unknown(interval: Interval) -> Self {
        Self {
            interval,
            energy: None,
            quote: None,
            resale: Vec::new(),
            position: None,
            capacity: Vec::new(),
            deployments: Vec::new(),
            base_point: None,
            work: Vec::new(),
            value: None,
            unvalued: false,
            exchange: None,
            wear: Money::ZERO,
        }
    }
}

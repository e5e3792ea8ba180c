//! Lines of a statement: each names its component, its formula and the prices it used.

use super::input::{Exchange, Quote};
use crate::units::{Energy, Money, Power};
use serde::{Deserialize, Serialize};

/// What a line is for. A number is the place of the block, adder, charge or product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Component {
    /// What the work brought.
    ComputeRevenue,
    /// Load beyond the blocks, at the settlement price.
    SpotEnergy,
    /// A block, used or not, at its own price.
    BlockEnergy(u16),
    /// What was left of a block, sold back.
    BlockResale(u16),
    /// Energy bought or sold a day ahead.
    DayAhead,
    /// The same energy at the real-time price: it was bought already.
    DayAheadOffset,
    /// An adder.
    Adder(u16),
    /// Load in a peak of the system.
    CoincidentPeak(u16),
    /// Highest load of a month.
    Demand(u16),
    /// Power held ready.
    CapacityPayment(u16),
    /// Power called for and not delivered: its payment is taken back.
    CapacityShortfall(u16),
    /// Consumption above the base point.
    BasePointDeviation,
    /// Starts and wear.
    Wear,
}

/// Which part of the profit a component belongs to:
/// profit = compute revenue - energy cost + sell-back + capacity - other cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Class {
    /// What the work brought.
    ComputeRevenue,
    /// What energy cost, adders included.
    EnergyCost,
    /// What came in for energy sold back.
    SellBack,
    /// What came in for power held ready, less what was taken back.
    Capacity,
    /// Wires, deviations, wear.
    OtherCost,
}

impl Component {
    /// Name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ComputeRevenue => "compute_revenue",
            Self::SpotEnergy => "spot_energy",
            Self::BlockEnergy(_) => "block_energy",
            Self::BlockResale(_) => "block_resale",
            Self::DayAhead => "day_ahead",
            Self::DayAheadOffset => "day_ahead_offset",
            Self::Adder(_) => "adder",
            Self::CoincidentPeak(_) => "coincident_peak",
            Self::Demand(_) => "demand",
            Self::CapacityPayment(_) => "capacity_payment",
            Self::CapacityShortfall(_) => "capacity_shortfall",
            Self::BasePointDeviation => "base_point_deviation",
            Self::Wear => "wear",
        }
    }

    /// Place of the block, adder, charge or product it is of.
    #[must_use]
    pub fn place(self) -> Option<u16> {
        match self {
            Self::BlockEnergy(i)
            | Self::BlockResale(i)
            | Self::Adder(i)
            | Self::CoincidentPeak(i)
            | Self::Demand(i)
            | Self::CapacityPayment(i)
            | Self::CapacityShortfall(i) => Some(i),
            _ => None,
        }
    }

    /// The formula, in the letters of the statement's legend. L is metered load, B the blocks in
    /// force, P the settlement price, K a block's price, dt the interval's length in hours.
    #[must_use]
    pub fn formula(self) -> &'static str {
        match self {
            Self::ComputeRevenue => {
                "sum over units of energy * value of a consumed MWh * exchange rate"
            }
            Self::SpotEnergy => "-max(L * (1 + loss) - B * dt, 0) * P",
            Self::BlockEnergy(_) => "-B * dt * K",
            Self::BlockResale(_) => "max(B * dt - L * (1 + loss), 0) * (share * P_resale - fee)",
            Self::DayAhead => "-D * dt * P_day_ahead",
            Self::DayAheadOffset => "D * dt * P",
            Self::Adder(_) => "-energy it is paid on * adder",
            Self::CoincidentPeak(_) => "-mean load in the peak * rate / peaks a year",
            Self::Demand(_) => "-highest mean load of the month * rate",
            Self::CapacityPayment(_) => "award * dt * clearing price",
            Self::CapacityShortfall(_) => "-max(called - delivered, 0) * dt * clearing price",
            Self::BasePointDeviation => {
                "-max(L - (base point + max(tolerance * base point, at least)) * dt, 0) * P_deviation"
            }
            Self::Wear => "-(starts * cost of a start)",
        }
    }
}

/// What a line counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quantity {
    /// Energy, priced per megawatt-hour.
    Energy(Energy),
    /// Power, priced by the kilowatt.
    Power(Power),
    /// Power held for the interval, priced per megawatt and hour.
    Held(Power),
    /// Only money.
    Sum,
}

/// One line of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is for.
    pub component: Component,
    /// Which part of the profit it belongs to.
    pub class: Class,
    /// What it counts.
    pub quantity: Quantity,
    /// The price it used, and since when that could be known; `None` where it used none of the
    /// market's.
    pub quote: Option<Quote>,
    /// The rate by which the amount was turned into the site's currency, where it was.
    pub exchange: Option<Exchange>,
    /// Effect on the profit: income above zero, cost below.
    pub amount: Money,
}

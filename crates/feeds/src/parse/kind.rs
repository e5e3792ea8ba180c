//! What a series holds: energy prices by kind, prices of reserve, adders, forecasts.

use headgate_core::market::PriceKind;
use std::fmt;

/// What the values of a series are of; all of them are money per megawatt-hour, or for reserve
/// money per megawatt held for an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeriesKind {
    /// Price of energy by dispatch run.
    Dispatch,
    /// Price at which energy settles; under dual pricing the price of being short.
    Settlement,
    /// Price of energy in the day-ahead market.
    DayAhead,
    /// Price of being long, where a market settles by two prices.
    Surplus,
    /// Price of energy that a dispatch run foresees for a later interval; several runs foresee
    /// one interval, each known when it ran.
    LookAhead,
    /// Price of reserve in the day-ahead market.
    CapacityDayAhead,
    /// Price of reserve at which real time settles.
    CapacitySettlement,
    /// Price of reserve by dispatch run.
    CapacityDispatch,
    /// Adder to the price of energy by dispatch run.
    AdderDispatch,
    /// Adder to the settlement price of energy.
    AdderSettlement,
}

impl SeriesKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Dispatch,
        Self::Settlement,
        Self::DayAhead,
        Self::Surplus,
        Self::LookAhead,
        Self::CapacityDayAhead,
        Self::CapacitySettlement,
        Self::CapacityDispatch,
        Self::AdderDispatch,
        Self::AdderSettlement,
    ];

    /// Name on the command line, in output and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Settlement => "settlement",
            Self::DayAhead => "day_ahead",
            Self::Surplus => "surplus",
            Self::LookAhead => "look_ahead",
            Self::CapacityDayAhead => "capacity_day_ahead",
            Self::CapacitySettlement => "capacity_settlement",
            Self::CapacityDispatch => "capacity_dispatch",
            Self::AdderDispatch => "adder_dispatch",
            Self::AdderSettlement => "adder_settlement",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// What the engine takes it as; `None` for what is no price of energy it may act on.
    #[must_use]
    pub fn price_kind(self) -> Option<PriceKind> {
        match self {
            Self::Dispatch => Some(PriceKind::Dispatch),
            Self::Settlement => Some(PriceKind::Settlement),
            Self::DayAhead => Some(PriceKind::DayAhead),
            Self::LookAhead => Some(PriceKind::LookAhead),
            _ => None,
        }
    }

    /// The kind of price whose step and rule of publication it shares.
    #[must_use]
    pub fn paced_by(self) -> PriceKind {
        match self {
            Self::Dispatch | Self::LookAhead | Self::CapacityDispatch | Self::AdderDispatch => {
                PriceKind::Dispatch
            }
            Self::Settlement | Self::Surplus | Self::CapacitySettlement | Self::AdderSettlement => {
                PriceKind::Settlement
            }
            Self::DayAhead | Self::CapacityDayAhead => PriceKind::DayAhead,
        }
    }
}

impl From<PriceKind> for SeriesKind {
    fn from(kind: PriceKind) -> Self {
        match kind {
            PriceKind::Dispatch => Self::Dispatch,
            PriceKind::Settlement => Self::Settlement,
            PriceKind::DayAhead => Self::DayAhead,
            PriceKind::LookAhead => Self::LookAhead,
        }
    }
}

impl fmt::Display for SeriesKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

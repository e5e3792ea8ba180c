//! What a site has agreed to pay and be paid, dated.

use crate::site::Block;
use crate::time::{Interval, Span, Time};
use crate::units::{Money, Power, Price};
use serde::{Deserialize, Serialize};

/// All terms a statement is made by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// ISO 4217 code of every price and money here.
    pub currency: String,
    /// Length of a settlement interval.
    pub step: Span,
    /// Losses between the market's point and the meter: billed = metered * (1 + loss), in parts
    /// per million.
    pub loss_ppm: i64,
    /// Fixed-price blocks; load uses them in this order.
    pub blocks: Vec<BlockTerms>,
    /// What is paid on top of energy prices.
    pub adders: Vec<AdderTerms>,
    /// Charges on power instead of energy.
    pub charges: Vec<Charge>,
    /// What drawing more than the base point costs; `None` costs nothing.
    pub deviation: Option<DeviationTerms>,
}

/// A fixed-price block and where its unused part is sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockTerms {
    /// What people call it.
    pub name: String,
    /// Size, price, term, fee and share.
    pub block: Block,
    /// Whether it is sold back at another point than the site's: then each interval brings that
    /// point's price in [`super::Metered::resale`].
    pub elsewhere: bool,
}

/// What an adder is paid on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AdderOn {
    /// All energy imported, losses included.
    Import,
    /// All energy of the blocks in force, used or not.
    Block,
    /// Block energy sold back.
    Resale,
}

/// A price on top of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdderTerms {
    /// What people call it.
    pub name: String,
    /// What it is paid on.
    pub on: AdderOn,
    /// How much.
    pub price: Price,
}

/// A charge on power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Charge {
    /// On the load in the intervals of the system's own peak.
    CoincidentPeak {
        /// What people call it.
        name: String,
        /// How it is reckoned.
        tariff: CoincidentPeakTariff,
        /// First moment of its term.
        from: Time,
        /// First moment after its term.
        to: Time,
        /// The peaks that are known, in time order.
        peaks: Vec<Peak>,
    },
    /// On the highest mean load of a month.
    Demand(Demand),
}

/// How load in the peaks of a system becomes money: each peak counts an equal part of the year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoincidentPeakTariff {
    /// Months that have peaks, 1 to 12.
    pub months: Vec<u8>,
    /// Peaks of each of these months.
    pub peaks: u8,
    /// Length of a peak interval.
    pub interval: Span,
    /// Money per kilowatt and year.
    pub rate: Money,
    /// Years between the peaks and the bills: 1 is "next year".
    pub lag: u8,
}

impl CoincidentPeakTariff {
    /// How many peaks make up one year.
    #[must_use]
    pub fn peaks_a_year(&self) -> i64 {
        i64::from(self.peaks) * i64::try_from(self.months.len()).expect("a year has few months")
    }
}

/// One interval of a system's peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Peak {
    /// When.
    pub interval: Interval,
    /// Whether nothing later can take its place: its month is over and told.
    pub settled: bool,
}

/// A charge on the highest mean load of each month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// What people call it.
    pub name: String,
    /// Money per kilowatt and month.
    pub rate: Money,
    /// First moment of its term.
    pub from: Time,
    /// First moment after its term.
    pub to: Time,
    /// The months of the statement as the site's calendar has them.
    pub months: Vec<Interval>,
}

/// How consumption above a base point is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviationTerms {
    /// Share of the base point that is forgiven, in parts per million.
    pub tolerance_ppm: i64,
    /// Power that is forgiven at least.
    pub at_least: Power,
    /// Price of what is beyond.
    pub price: DeviationPrice,
}

/// Price of a deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviationPrice {
    /// The settlement price, never below zero.
    Spot,
    /// A fixed one.
    Fixed(Price),
}

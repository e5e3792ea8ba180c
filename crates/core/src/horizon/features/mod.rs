//! What a decision looks at: one array of integers from the prices known, the same live, in
//! training and in a back-test.
//!
//! Prices are told as `z(p) = asinh((p - value) / scale)`: what matters is on which side of the
//! value of the work a price lies, and near it how far. Everything is in fixed point with
//! [`FEATURE_BITS`] fractional bits. What is not known has a neutral value and, where it is the
//! day-ahead curve or the market's look-ahead, a flag.

mod eyes;
mod past;
#[cfg(test)]
mod tests;

pub use eyes::Eyes;

use self::past::Past;
use super::asinh;
use crate::market::FeedBook;
use crate::time::{Interval, Span, Time};
use crate::units::Price;
use serde::{Deserialize, Serialize};

/// Fractional bits of a feature.
pub const FEATURE_BITS: u32 = 12;
/// One, as a feature.
pub const UNIT: i32 = 1 << FEATURE_BITS;

/// What is known of the running settlement interval when a decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Knowledge {
    /// This many of its dispatch runs, at least one.
    Runs(u8),
    /// Its settlement price.
    Published,
    /// The settlement price of the interval before it, and nothing of its own.
    Late,
    /// Nothing that is fresh enough to plan on.
    Stale,
}

impl Knowledge {
    /// Steps of the running settlement interval that are still to be decided, the present one
    /// included, of so many in all.
    #[must_use]
    pub fn steps_left(self, of: u8) -> u8 {
        match self {
            Self::Runs(n) => (of + 1).saturating_sub(n).max(1),
            Self::Published | Self::Late | Self::Stale => 1,
        }
    }
}

/// What a decision is made for and from.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Prices known.
    pub book: &'a FeedBook,
    /// When.
    pub now: Time,
    /// Value of a consumed MWh.
    pub value: Price,
    /// Price that counts as one unit of distance from the value.
    pub scale: Price,
    /// Step of decisions.
    pub step: Span,
    /// Step of settlement.
    pub settle_step: Span,
    /// Local time less UTC, for the hour of the day.
    pub offset: Span,
}

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Names a feature.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Feature { $($(#[$doc])* $name),* }
        impl Feature {
            /// Every feature, in the order of the array.
            pub const ALL: &'static [Feature] = &[$(Feature::$name),*];
        }
    };
}

features! {
    /// Expected price of the running interval.
    Now,
    /// Settlement price one interval back.
    Back1,
    /// Settlement price two intervals back.
    Back2,
    /// Settlement price three intervals back.
    Back3,
    /// Newest run.
    Run,
    /// Newest run less the one before.
    RunRise1,
    /// That one less the one before it.
    RunRise2,
    /// Newest run less the mean of the runs before it.
    RunRiseMean,
    /// Highest of the last runs.
    RunMax,
    /// Lowest of the last runs.
    RunMin,
    /// Now less one interval back.
    Rise1,
    /// One interval back less two.
    Rise2,
    /// Two intervals back less three.
    Rise3,
    /// Day-ahead price of the hour before.
    AheadPast,
    /// Day-ahead price of this hour.
    Ahead,
    /// Day-ahead price of the next hour.
    Ahead1,
    /// Day-ahead price of the hour after it.
    Ahead2,
    /// Day-ahead price of the hour in which the next interval begins.
    AheadNext,
    /// Day-ahead rise into this hour.
    AheadRise0,
    /// Day-ahead rise into the next hour.
    AheadRise1,
    /// Day-ahead rise into the hour after it.
    AheadRise2,
    /// Highest day-ahead price of the next six hours.
    AheadMax,
    /// Now less the day-ahead price of this hour.
    OverAhead,
    /// Real time less day-ahead one interval back.
    OverAheadBack,
    /// Highest of the last 16 settlement prices.
    RecentMax,
    /// Median of the last 16.
    RecentMedian,
    /// Lowest of the last 8.
    RecentMin,
    /// Spread of the last 8.
    RecentSpread,
    /// Share of the last day above the value.
    DayAbove,
    /// Crossings of the value in the last day.
    DayCrossings,
    /// Price a day before.
    DayBack,
    /// Price a day before the hour to come.
    DayBackAhead,
    /// Intervals since the price last crossed the value.
    SinceCrossing,
    /// Local hour of the day.
    Hour,
    /// Quarter of the hour.
    Quarter,
    /// One on Saturday and Sunday.
    Weekend,
    /// One where no day-ahead price is known.
    NoAhead,
    /// Price the market foresees for what is left of the running interval.
    Foreseen,
    /// Price it foresees for the next settlement interval.
    Foreseen1,
    /// Price it foresees for the one after that.
    Foreseen2,
    /// Foreseen for the next settlement interval, less now.
    ForeseenRise,
    /// Highest price foreseen.
    ForeseenMax,
    /// Lowest price foreseen.
    ForeseenMin,
    /// One where the market foresees nothing fresh.
    NoForeseen,
}

impl Feature {
    /// The feature that is one where this one is not known and tells nothing of its own.
    #[must_use]
    pub fn unknown(self) -> Option<Self> {
        match self as usize {
            i if (Self::AheadPast as usize..=Self::OverAheadBack as usize).contains(&i) => {
                Some(Self::NoAhead)
            }
            i if (Self::Foreseen as usize..=Self::ForeseenMin as usize).contains(&i) => {
                Some(Self::NoForeseen)
            }
            _ => None,
        }
    }
}

/// How many features there are.
pub const FEATURES: usize = Feature::ALL.len();

/// The features of one decision.
pub type Features = [i32; FEATURES];

/// Features of a decision and the price they rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What is known of the running interval.
    pub knowledge: Knowledge,
    /// Price to expect at settlement of the running interval: runs so far, the last one held to
    /// its end, with the adder of the last posted interval.
    pub estimate: Price,
    /// The features.
    pub features: Features,
}

impl View<'_> {
    /// The running settlement interval.
    #[must_use]
    pub fn interval(&self) -> Interval {
        self.now.interval(self.settle_step)
    }

    /// What is known of the running interval.
    ///
    /// A run counts for the step in which most of its time lies: one stamped a little before the
    /// step begins is the step's own.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        let interval = self.interval();
        let settled = self.book.settlements().back();
        if settled.is_some_and(|r| r.interval.start >= interval.start) {
            return Knowledge::Published;
        }
        let step = self.now.interval(self.step);
        if let Some(run) = self.book.runs().back() {
            let fresh = run.interval.start.0 > step.start.0 - self.step.0 / 2;
            let nth = step.start.since(interval.start).0 / self.step.0 + 1;
            return match u8::try_from(nth) {
                Ok(nth) if fresh => Knowledge::Runs(nth),
                _ => Knowledge::Stale,
            };
        }
        match settled {
            Some(r) if r.interval.end >= interval.start => Knowledge::Late,
            _ => Knowledge::Stale,
        }
    }

    /// What a decision now would look at; `None` while no price is fresh.
    #[must_use]
    pub fn see(&self) -> Option<Seen> {
        self.see_with(&mut Eyes::default())
    }

    /// As [`Self::see`], the sooner the more of it these eyes have seen before.
    #[must_use]
    pub fn see_with(&self, eyes: &mut Eyes) -> Option<Seen> {
        let knowledge = self.knowledge();
        eyes.turn(self.value, self.scale);
        let past = Past::of(self, knowledge, eyes)?;
        let mut out = [0; FEATURES];
        let mut set = |f: Feature, v: i32| out[f as usize] = v;
        past.prices(&mut set);
        past.runs(self, eyes, &mut set);
        past.ahead(self, eyes, &mut set);
        past.day(self, eyes, &mut set);
        past.foreseen(self, eyes, &mut set);
        self.clock(past.interval, &mut set);
        Some(Seen { knowledge, estimate: past.estimate, features: out })
    }

    fn clock(&self, interval: Interval, set: &mut impl FnMut(Feature, i32)) {
        let local = interval.start + self.offset;
        let second = |n: i64| i32::try_from(n).expect("a share of a day fits");
        let of_day = local.as_second_of_day();
        set(Feature::Hour, second(of_day * i64::from(UNIT) / 3600));
        set(Feature::Quarter, second(of_day % 3600 * i64::from(UNIT) / 900));
        // The epoch began on a Thursday.
        let weekend = (local.day() + 4).rem_euclid(7) % 6 == 0;
        set(Feature::Weekend, if weekend { UNIT } else { 0 });
    }
}

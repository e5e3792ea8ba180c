//! What a decision looks at: one array of integers from the prices known, the same live, in
//! training and in a back-test.
//!
//! Prices are told as `z(p) = asinh((p - value) / scale)`: what matters is on which side of the
//! value of the work a price lies, and near it how far. Everything is in fixed point with
//! [`FEATURE_BITS`] fractional bits. What is not known has a neutral value and, where it is the
//! day-ahead curve, a flag.

use super::asinh;
use super::path::FORESEEN_FRESH;
use crate::market::{FeedBook, PriceRow, time_weighted};
use crate::number::{div_half_even, to_i64};
use crate::time::{Interval, Span, Time};
use crate::units::Price;
use serde::{Deserialize, Serialize};

/// Fractional bits of a feature.
pub const FEATURE_BITS: u32 = 12;
/// One, as a feature.
pub const UNIT: i32 = 1 << FEATURE_BITS;
/// Settlement intervals looked back over for level and spread.
const RECENT: usize = 16;
/// Settlement intervals looked back over for the last crossing of the value.
const CROSSING_MAX: usize = 40;
/// Dispatch runs looked back over.
const RUNS: usize = 7;
/// Settlement intervals of one day looked back over, where as many are kept.
const DAY_MAX: usize = 96;

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

    /// Fixed-point `asinh((p - value) / scale)`, as a feature.
    #[must_use]
    pub fn z(&self, price: Price) -> i32 {
        let gap = i128::from(price.0) - i128::from(self.value.0);
        let scaled = gap * i128::from(asinh::ONE) / i128::from(self.scale.0.max(1));
        let bound = 1 << 40;
        let z = asinh::asinh(to_i64(scaled.clamp(-bound, bound)));
        i32::try_from(z >> (asinh::BITS - FEATURE_BITS)).expect("asinh of a bounded number")
    }

    /// What a decision now would look at; `None` while no price is fresh.
    #[must_use]
    pub fn see(&self) -> Option<Seen> {
        let knowledge = self.knowledge();
        let past = Past::of(self, knowledge)?;
        let mut out = [0; FEATURES];
        let mut set = |f: Feature, v: i32| out[f as usize] = v;
        past.prices(&mut set);
        past.runs(self, &mut set);
        past.ahead(self, &mut set);
        past.day(self, &mut set);
        past.foreseen(self, &mut set);
        self.clock(&mut set);
        Some(Seen { knowledge, estimate: past.estimate, features: out })
    }

    fn clock(&self, set: &mut impl FnMut(Feature, i32)) {
        let local = self.interval().start + self.offset;
        let second = |n: i64| i32::try_from(n).expect("a share of a day fits");
        let of_day = local.as_second_of_day();
        set(Feature::Hour, second(of_day * i64::from(UNIT) / 3600));
        set(Feature::Quarter, second(of_day % 3600 * i64::from(UNIT) / 900));
        // The epoch began on a Thursday.
        let weekend = (local.day() + 4).rem_euclid(7) % 6 == 0;
        set(Feature::Weekend, if weekend { UNIT } else { 0 });
    }
}

/// Prices before the decision, newest first, on the feature scale.
struct Past {
    estimate: Price,
    /// The running interval's price to expect.
    now: i32,
    /// Settled or estimated prices of the intervals before it, without gaps.
    back: [i32; DAY_MAX],
    known: usize,
}

impl Past {
    fn of(view: &View<'_>, knowledge: Knowledge) -> Option<Self> {
        let interval = view.interval();
        let (runs, settled) = (view.book.runs(), view.book.settlements());
        let adder = match knowledge {
            Knowledge::Runs(_) => adder(view),
            _ => Price::ZERO,
        };
        let estimate = match knowledge {
            Knowledge::Runs(_) => time_weighted(runs.iter(), interval)? + adder,
            Knowledge::Published | Knowledge::Late => settled.back()?.price,
            Knowledge::Stale => return None,
        };
        let mut back = [0; DAY_MAX];
        let mut known = 0;
        let mut rows = settled.iter().rev().peekable();
        let mut start = interval.start;
        let mut last = view.z(estimate);
        for slot in &mut back {
            start = start - view.settle_step;
            while rows.peek().is_some_and(|r| r.interval.start > start) {
                rows.next();
            }
            let found = rows.peek().filter(|r| r.interval.start == start).map(|r| r.price);
            // Not posted yet, or lost: what its runs say.
            let from_runs = || {
                let of = Interval::starting(start, view.settle_step);
                let began = runs.front().is_some_and(|r| r.interval.start < of.end);
                let mean = began.then(|| time_weighted(runs.iter(), of)).flatten();
                mean.map(|p| p + adder)
            };
            match found.or_else(from_runs) {
                Some(price) => {
                    last = view.z(price);
                    known += 1;
                }
                None if rows.peek().is_none() => break,
                None => known += 1,
            }
            *slot = last;
        }
        for slot in &mut back[known..] {
            *slot = last;
        }
        Some(Self { estimate, now: view.z(estimate), back, known })
    }

    fn prices(&self, set: &mut impl FnMut(Feature, i32)) {
        let b = &self.back;
        set(Feature::Now, self.now);
        set(Feature::Back1, b[0]);
        set(Feature::Back2, b[1]);
        set(Feature::Back3, b[2]);
        set(Feature::Rise1, self.now - b[0]);
        set(Feature::Rise2, b[0] - b[1]);
        set(Feature::Rise3, b[1] - b[2]);
        let mut recent = [0; RECENT];
        recent[0] = self.now;
        recent[1..].copy_from_slice(&b[..RECENT - 1]);
        set(Feature::RecentMax, recent.iter().copied().max().unwrap_or(0));
        set(Feature::RecentMin, recent[..8].iter().copied().min().unwrap_or(0));
        set(Feature::RecentSpread, spread(&recent[..8]));
        recent.sort_unstable();
        set(Feature::RecentMedian, recent[RECENT / 2]);
        let above = self.now > 0;
        let since = b.iter().take(CROSSING_MAX).take_while(|z| (**z > 0) == above).count();
        set(Feature::SinceCrossing, count(since));
        let day = &b[..self.known.max(1)];
        let over = day.iter().filter(|z| **z > 0).count();
        set(Feature::DayAbove, count(over) / i32::try_from(day.len()).expect("DAY_MAX fits"));
        let crossed = day.windows(2).filter(|w| (w[0] > 0) != (w[1] > 0)).count();
        set(Feature::DayCrossings, count(crossed));
    }

    fn runs(&self, view: &View<'_>, set: &mut impl FnMut(Feature, i32)) {
        let mut z = [self.now; RUNS];
        let mut n = 0;
        for (slot, run) in z.iter_mut().zip(view.book.runs().iter().rev()) {
            *slot = view.z(run.price);
            n += 1;
        }
        if let (1.., Some(last)) = (n, z[..n].last().copied()) {
            z[n..].fill(last);
        }
        set(Feature::Run, z[0]);
        set(Feature::RunRise1, z[0] - z[1]);
        set(Feature::RunRise2, z[1] - z[2]);
        let mean = z[1..].iter().sum::<i32>() / (RUNS as i32 - 1);
        set(Feature::RunRiseMean, z[0] - mean);
        set(Feature::RunMax, z.iter().copied().max().unwrap_or(0));
        set(Feature::RunMin, z.iter().copied().min().unwrap_or(0));
    }

    fn ahead(&self, view: &View<'_>, set: &mut impl FnMut(Feature, i32)) {
        let start = view.interval().start;
        let at = |t: Time| view.book.day_ahead_row(t).map(|r: &PriceRow| view.z(r.price));
        let hour = Span::hours(1);
        let this = at(start);
        let here = this.unwrap_or(self.now);
        let past = at(start - hour).unwrap_or(here);
        let one = at(start + hour).unwrap_or(here);
        let two = at(start + hour + hour).unwrap_or(one);
        set(Feature::NoAhead, if this.is_none() { UNIT } else { 0 });
        set(Feature::AheadPast, past);
        set(Feature::Ahead, here);
        set(Feature::Ahead1, one);
        set(Feature::Ahead2, two);
        set(Feature::AheadNext, at(start + view.settle_step).unwrap_or(here));
        set(Feature::AheadRise0, here - past);
        set(Feature::AheadRise1, one - here);
        set(Feature::AheadRise2, two - one);
        let later = (0..6).filter_map(|i| at(start + Span::hours(i)));
        set(Feature::AheadMax, later.max().unwrap_or(here));
        set(Feature::OverAhead, self.now - here);
        let then = at(start - view.settle_step).unwrap_or(self.back[0]);
        set(Feature::OverAheadBack, self.back[0] - then);
    }

    /// What the market's own look-ahead says; as now where it says nothing.
    fn foreseen(&self, view: &View<'_>, set: &mut impl FnMut(Feature, i32)) {
        let fresh = |r: &&PriceRow| view.now.since(r.known_at) <= FORESEEN_FRESH;
        let rows: Vec<&PriceRow> = view.book.foreseen_from(view.now).filter(fresh).collect();
        let interval = view.interval();
        let rest = Interval { start: view.now.interval(view.step).end, end: interval.end };
        let next = Interval::starting(interval.end, view.settle_step);
        let after = Interval::starting(next.end, view.settle_step);
        let mean = |of: Interval| {
            let within = |r: &&&PriceRow| of.contains(r.interval.start);
            let (mut sum, mut count) = (0, 0);
            for row in rows.iter().filter(within) {
                sum += i128::from(row.price.0);
                count += 1;
            }
            (count > 0).then(|| view.z(Price(to_i64(div_half_even(sum, count)))))
        };
        let one = mean(next).unwrap_or(self.now);
        let all = || rows.iter().map(|r| view.z(r.price));
        set(Feature::Foreseen, mean(rest).unwrap_or(self.now));
        set(Feature::Foreseen1, one);
        set(Feature::Foreseen2, mean(after).unwrap_or(one));
        set(Feature::ForeseenRise, one - self.now);
        set(Feature::ForeseenMax, all().max().unwrap_or(self.now));
        set(Feature::ForeseenMin, all().min().unwrap_or(self.now));
        set(Feature::NoForeseen, if rows.is_empty() { UNIT } else { 0 });
    }

    fn day(&self, view: &View<'_>, set: &mut impl FnMut(Feature, i32)) {
        let start = view.interval().start - Span::hours(24);
        let settled = view.book.settlements();
        let at = |t: Time| {
            let i = settled.partition_point(|r| r.interval.start < t);
            settled.get(i).filter(|r| r.interval.start == t).map(|r| view.z(r.price))
        };
        let neutral = self.back[RECENT - 1];
        set(Feature::DayBack, at(start).unwrap_or(neutral));
        set(Feature::DayBackAhead, at(start + Span::hours(1)).unwrap_or(neutral));
    }
}

/// What the last posted settlement price had above the mean of its runs: the adder of the whole
/// system. Zero where it is not known.
fn adder(view: &View<'_>) -> Price {
    let Some(row) = view.book.settlements().back() else { return Price::ZERO };
    let runs = view.book.runs();
    let covered = runs.front().is_some_and(|r| r.interval.start <= row.interval.start);
    let recent = view.now.since(row.interval.end) <= view.settle_step + view.settle_step;
    if !covered || !recent {
        return Price::ZERO;
    }
    time_weighted(runs.iter(), row.interval).map_or(Price::ZERO, |mean| row.price - mean)
}

/// Mean distance from the mean.
fn spread(z: &[i32]) -> i32 {
    let n = i128::try_from(z.len().max(1)).expect("a length fits");
    let sum: i128 = z.iter().map(|v| i128::from(*v)).sum();
    let off: i128 = z.iter().map(|v| (i128::from(*v) * n - sum).abs()).sum();
    i32::try_from(to_i64(div_half_even(off, n * n))).expect("it is below the largest")
}

fn count(n: usize) -> i32 {
    i32::try_from(n).expect("a count of what is kept fits") * UNIT
}

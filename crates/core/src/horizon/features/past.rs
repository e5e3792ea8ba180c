//! What a decision sees of the prices before it and of those foreseen.

use super::{Eyes, Feature, Knowledge, UNIT, View};
use crate::horizon::path::FORESEEN_FRESH;
use crate::market::{FeedBook, PriceRow, time_weighted};
use crate::number::{div_half_even, to_i64};
use crate::time::{Interval, Span, Time};
use crate::units::Price;

/// Settlement intervals looked back over for level and spread.
const RECENT: usize = 16;
/// Settlement intervals looked back over for the last crossing of the value.
const CROSSING_MAX: usize = 40;
/// Dispatch runs looked back over.
const RUNS: usize = 7;
/// Settlement intervals of one day looked back over, where as many are kept.
const DAY_MAX: usize = 96;

/// Prices before the decision, newest first, on the feature scale.
pub(super) struct Past {
    pub(super) estimate: Price,
    /// The running interval.
    pub(super) interval: Interval,
    /// The running interval's price to expect.
    now: i32,
    /// Settled or estimated prices of the intervals before it, without gaps.
    back: [i32; RECENT],
    /// Of these and of those before them, the newest lowest, whether it is above the value.
    above: u128,
    /// How many of a day's are told or follow from what is; the others are as the last of these.
    known: usize,
}

/// Prices before the decision while they are gathered.
struct Window {
    back: [i32; RECENT],
    /// Whether each is above the value, the last one lowest; before the first one stands now.
    above: u128,
    known: usize,
    /// The last one that `back` has, or now.
    last: i32,
    /// The interval that comes next: its start and number.
    start: Time,
    nth: i64,
    step: Span,
}

impl Window {
    fn until(view: &View<'_>, end: Time, now: i32) -> Self {
        let (step, above) = (view.settle_step, u128::from(now > 0));
        let nth = end.0 / step.0 - 1;
        Self { back: [0; RECENT], above, known: 0, last: now, start: end - step, nth, step }
    }

    /// Takes a price in; its feature is worked out only where it is looked at.
    #[inline]
    fn push(&mut self, above: bool, z: impl FnOnce(i64) -> i32) {
        if let Some(slot) = self.back.get_mut(self.known) {
            self.last = z(self.nth);
            *slot = self.last;
        }
        self.above = self.above << 1 | u128::from(above);
        self.known += 1;
        self.start = self.start - self.step;
        self.nth -= 1;
    }

    /// Takes in rows, the newest first, of which only is looked at whether they are above the
    /// value, as long as they follow each other; how many.
    fn push_rows<'a>(&mut self, rows: impl Iterator<Item = &'a PriceRow>, eyes: &Eyes) -> usize {
        let (mut above, mut start, mut count) = (self.above, self.start, 0);
        for row in rows.take(DAY_MAX - self.known) {
            if row.interval.start != start {
                break;
            }
            above = above << 1 | u128::from(eyes.above(row.price));
            start = start - self.step;
            count += 1;
        }
        (self.above, self.start) = (above, start);
        self.known += count;
        count
    }

    /// Takes in what runs say of the interval, or what is as the one after it.
    fn push_told(&mut self, told: Option<Price>, eyes: &mut Eyes) {
        let last = self.last;
        match told {
            Some(price) => self.push(eyes.above(price), |_| eyes.z(price)),
            None => self.push(self.above & 1 == 1, |_| last),
        }
    }

    fn is_full(&self) -> bool {
        self.known == DAY_MAX
    }
}

impl Past {
    pub(super) fn of(view: &View<'_>, knowledge: Knowledge, eyes: &mut Eyes) -> Option<Self> {
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
        let now = eyes.z(estimate);
        let mut window = Window::until(view, interval.start, now);
        let (older, newer) = settled.as_slices();
        let mut rows = newer.iter().rev().chain(older.iter().rev());
        while let Some(row) = rows.next() {
            // Not posted yet, or lost: what its runs say, else as the one after it.
            while row.interval.start < window.start && !window.is_full() {
                let told = from_runs(view, window.start).map(|p| p + adder);
                window.push_told(told, eyes);
            }
            if window.is_full() {
                break;
            }
            if row.interval.start == window.start {
                window.push(eyes.above(row.price), |nth| eyes.settled(nth, row.price));
            }
            if window.known >= RECENT {
                let taken = window.push_rows(rows.clone(), eyes);
                taken.checked_sub(1).map(|last| rows.nth(last));
            }
        }
        while !window.is_full() {
            let Some(price) = from_runs(view, window.start) else { break };
            window.push_told(Some(price + adder), eyes);
        }
        let Window { mut back, above, known, last, .. } = window;
        back[known.min(RECENT)..].fill(last);
        let filled = if above & 1 == 1 { !0 << known } else { 0 };
        // From the last one lowest to the newest lowest.
        let told = above.reverse_bits().checked_shr(u128::BITS - known as u32).unwrap_or(0);
        Some(Self { estimate, interval, now, back, above: told | filled, known })
    }

    pub(super) fn prices(&self, set: &mut impl FnMut(Feature, i32)) {
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
        set(Feature::RecentSpread, spread(std::array::from_fn(|i| recent[i])));
        set(Feature::RecentMedian, median(&recent));
        let alike = if self.now > 0 { self.above } else { !self.above };
        let since = (alike.trailing_ones() as usize).min(CROSSING_MAX);
        set(Feature::SinceCrossing, count(since));
        let day = self.known.max(1);
        let over = (self.above & ((1 << day) - 1)).count_ones() as usize;
        set(Feature::DayAbove, count(over) / i32::try_from(day).expect("DAY_MAX fits"));
        let crossed = (self.above ^ (self.above >> 1)) & ((1 << (day - 1)) - 1);
        set(Feature::DayCrossings, count(crossed.count_ones() as usize));
    }

    pub(super) fn runs(
        &self,
        view: &View<'_>,
        eyes: &mut Eyes,
        set: &mut impl FnMut(Feature, i32),
    ) {
        let mut z = [self.now; RUNS];
        let mut n = 0;
        for (slot, run) in z.iter_mut().zip(view.book.runs().iter().rev()) {
            *slot = eyes.z(run.price);
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

    pub(super) fn ahead(
        &self,
        view: &View<'_>,
        eyes: &mut Eyes,
        set: &mut impl FnMut(Feature, i32),
    ) {
        let start = self.interval.start;
        let hour = Span::hours(1);
        let first = start - Span(hour.0.max(view.settle_step.0));
        let last = start + Span(Span::hours(5).0.max(view.settle_step.0));
        let curve = Curve::between(view.book, first, last);
        let mut at = |t: Time| curve.row(t).map(|r| eyes.z(r.price));
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
        let then = at(start - view.settle_step).unwrap_or(self.back[0]);
        let later = (0..6).filter_map(|i| at(start + Span::hours(i)));
        set(Feature::AheadMax, later.max().unwrap_or(here));
        set(Feature::OverAhead, self.now - here);
        set(Feature::OverAheadBack, self.back[0] - then);
    }

    /// What the market's own look-ahead says; as now where it says nothing.
    pub(super) fn foreseen(
        &self,
        view: &View<'_>,
        eyes: &mut Eyes,
        set: &mut impl FnMut(Feature, i32),
    ) {
        let fresh = |r: &&PriceRow| view.now.since(r.known_at) <= FORESEEN_FRESH;
        let rows: Vec<&PriceRow> = view.book.foreseen_from(view.now).filter(fresh).collect();
        let interval = self.interval;
        let rest = Interval { start: view.now.interval(view.step).end, end: interval.end };
        let next = Interval::starting(interval.end, view.settle_step);
        let after = Interval::starting(next.end, view.settle_step);
        let mut mean = |of: Interval| {
            let within = |r: &&&PriceRow| of.contains(r.interval.start);
            let (mut sum, mut count) = (0, 0);
            for row in rows.iter().filter(within) {
                sum += i128::from(row.price.0);
                count += 1;
            }
            (count > 0).then(|| eyes.z(Price(to_i64(div_half_even(sum, count)))))
        };
        let one = mean(next).unwrap_or(self.now);
        set(Feature::Foreseen, mean(rest).unwrap_or(self.now));
        set(Feature::Foreseen1, one);
        set(Feature::Foreseen2, mean(after).unwrap_or(one));
        set(Feature::ForeseenRise, one - self.now);
        let all = rows.iter().map(|r| eyes.z(r.price));
        let bounds = all.fold(None, |found: Option<(i32, i32)>, z| {
            Some(found.map_or((z, z), |(low, high)| (low.min(z), high.max(z))))
        });
        let (low, high) = bounds.unwrap_or((self.now, self.now));
        set(Feature::ForeseenMax, high);
        set(Feature::ForeseenMin, low);
        set(Feature::NoForeseen, if rows.is_empty() { UNIT } else { 0 });
    }

    pub(super) fn day(&self, view: &View<'_>, eyes: &mut Eyes, set: &mut impl FnMut(Feature, i32)) {
        let start = self.interval.start - Span::hours(24);
        let mut at = |t: Time| settled_at(view, t).map(|r| eyes.z(r.price));
        let neutral = self.back[RECENT - 1];
        set(Feature::DayBack, at(start).unwrap_or(neutral));
        set(Feature::DayBackAhead, at(start + Span::hours(1)).unwrap_or(neutral));
    }
}

/// Most rows of the day-ahead curve looked at together: an hour gone by, this one, five to come.
const CURVE: usize = 8;

/// The day-ahead curve around a moment.
struct Curve<'a> {
    book: &'a FeedBook,
    rows: [Option<&'a PriceRow>; CURVE],
    /// How many rows there are; more than fit are looked for in the book one by one.
    known: usize,
}

impl<'a> Curve<'a> {
    /// The curve between two moments.
    fn between(book: &'a FeedBook, from: Time, to: Time) -> Self {
        let (mut rows, mut known) = ([None; CURVE], 0);
        for row in book.day_ahead_between(from, to).take(CURVE + 1) {
            if let Some(slot) = rows.get_mut(known) {
                *slot = Some(row);
            }
            known += 1;
        }
        Self { book, rows, known }
    }

    /// The row that contains a moment between the two.
    fn row(&self, at: Time) -> Option<&'a PriceRow> {
        let Some(rows) = self.rows.get(..self.known) else { return self.book.day_ahead_row(at) };
        let last = rows.iter().rev().flatten().find(|r| r.interval.start <= at)?;
        last.interval.contains(at).then_some(*last)
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

/// The settlement row of the interval that begins at a moment.
fn settled_at<'a>(view: &View<'a>, t: Time) -> Option<&'a PriceRow> {
    let settled = view.book.settlements();
    let starts = |i: usize| settled.get(i).filter(|r| r.interval.start == t);
    // Where no interval is missing it lies as many rows before the newest as intervals.
    let newest = settled.len().checked_sub(1)?;
    let before = settled[newest].interval.start.since(t).0 / view.settle_step.0;
    let guess = usize::try_from(before).ok().and_then(|before| newest.checked_sub(before));
    let guessed = guess.and_then(starts);
    guessed.or_else(|| starts(settled.partition_point(|r| r.interval.start < t)))
}

/// Mean distance from the mean.
fn spread(z: [i32; 8]) -> i32 {
    let n = z.len() as i64;
    let sum: i64 = z.iter().map(|v| i64::from(*v)).sum();
    let off: i64 = z.iter().map(|v| (i64::from(*v) * n - sum).abs()).sum();
    let mean = div_half_even(i128::from(off), i128::from(n * n));
    i32::try_from(to_i64(mean)).expect("it is below the largest")
}

/// The upper one of the two in the middle: the largest with no more than half of them below it.
/// Counted, as that takes no branch that could be guessed wrong.
fn median(z: &[i32; RECENT]) -> i32 {
    let mut below = [0; RECENT];
    for v in z {
        for (below, w) in below.iter_mut().zip(z) {
            *below += i32::from(v < w);
        }
    }
    let half = RECENT as i32 / 2;
    let low = z.iter().zip(&below).map(|(v, below)| if *below <= half { *v } else { i32::MIN });
    low.max().unwrap_or(0)
}

/// What the runs say of the interval from a moment on; `None` where none was before its end.
fn from_runs(view: &View<'_>, start: Time) -> Option<Price> {
    let of = Interval::starting(start, view.settle_step);
    let runs = view.book.runs();
    let began = runs.front().is_some_and(|r| r.interval.start < of.end);
    began.then(|| time_weighted(runs.iter(), of)).flatten()
}

fn count(n: usize) -> i32 {
    i32::try_from(n).expect("a count of what is kept fits") * UNIT
}

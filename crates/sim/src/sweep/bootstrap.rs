//! Price paths by block bootstrap: whole real days, taken in blocks from the same season.
//!
//! ```text
//!   path     |-- Mon 3 --|-- Tue 4 --|-- Wed 5 --|-- Thu 6 --|
//!   taken    |  21 May   |  22 May   |  11 June  |  12 June  |     blocks of two days
//! ```
//!
//! A day moves whole: its runs, its settlement prices and its day-ahead curve by the same shift,
//! each with the moment at which it could be known. Where two blocks meet, the last run of the
//! one stands until the first run of the other, which is seconds. One seed draws the same days
//! at every point that has the same days to draw from, so that points keep moving together.

use super::book::{Book, Prices, within};
use crate::rng::SplitMix;
use headgate_core::market::PriceRow;
use headgate_core::time::{Interval, Span, Time};

/// Longest block, in days.
pub const BLOCK_DAYS_MAX: u16 = 60;
/// Widest season: half a year either way is any day at all.
pub const SEASON_DAYS_MAX: u16 = 183;
/// Days of a year, as seasons wrap around.
const YEAR_DAYS: i32 = 366;

/// One local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// From midnight to midnight; 23 or 25 hours where clocks change.
    pub interval: Interval,
    /// Day of the year, from 1.
    pub of_year: u16,
}

/// How paths are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// Days taken together, at least 1.
    pub block_days: u16,
    /// How far a block's first day may be from the day it stands for, in days of the year.
    pub season_days: u16,
}

/// Why a path cannot be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// No real day can stand for a day.
    #[error(
        "no whole day of {hours} h within {season_days} days of the season of {day}: give more \
         history or a wider season"
    )]
    NoDay {
        /// The day's beginning.
        day: Time,
        /// Its length in hours.
        hours: i64,
        /// How wide the season was.
        season_days: u16,
    },
}

/// Days apart in the year, the short way around.
fn apart(a: u16, b: u16) -> i32 {
    let gap = (i32::from(a) - i32::from(b)).abs();
    gap.min(YEAR_DAYS - gap)
}

/// How many of the days from `source` on can stand for those from `target` on, at most `most`:
/// they follow each other and are as long.
fn matching(sources: &[Day], targets: &[Day], most: usize) -> usize {
    let mut count = 0;
    for (s, t) in sources.iter().zip(targets).take(most) {
        let follows = count == 0 || sources[count - 1].interval.end == s.interval.start;
        if !follows || s.interval.length() != t.interval.length() {
            break;
        }
        count += 1;
    }
    count
}

/// Draws, for each target day, the source day that stands for it, as an index. Both lists are in
/// order of time.
///
/// # Errors
/// [`BootstrapError`] names the day for which there is none.
pub fn draw(
    sources: &[Day],
    targets: &[Day],
    how: Resampling,
    seed: u64,
) -> Result<Vec<usize>, BootstrapError> {
    let mut rng = SplitMix::stream(seed, 0x5EED);
    let mut drawn = Vec::with_capacity(targets.len());
    while drawn.len() < targets.len() {
        let left = &targets[drawn.len()..];
        let block = usize::from(how.block_days.max(1)).min(left.len());
        let season = i32::from(how.season_days);
        let near = |i: &usize| apart(sources[*i].of_year, left[0].of_year) <= season;
        let fitting = |length: usize| -> Vec<usize> {
            let fits = |i: &usize| matching(&sources[*i..], left, length) == length;
            (0..sources.len()).filter(near).filter(fits).collect()
        };
        // Around a change of clocks, and where history has gaps, a shorter block has to do.
        let found = (1..=block).rev().map(|n| (n, fitting(n))).find(|(_, all)| !all.is_empty());
        let Some((length, starts)) = found else {
            let Interval { start: day, .. } = left[0].interval;
            let hours = left[0].interval.length().0 / Span::hours(1).0;
            return Err(BootstrapError::NoDay { day, hours, season_days: how.season_days });
        };
        let at = usize::try_from(rng.below(starts.len() as u64)).expect("an index fits");
        drawn.extend(starts[at]..starts[at] + length);
    }
    Ok(drawn)
}

/// The book of one path: the target days as the source days drawn for them were. Where nobody
/// lives through it, it has what energy settles at alone, and nothing is `told`.
///
/// # Errors
/// As [`draw`].
pub fn path(
    book: &Book,
    sources: &[Day],
    targets: &[Day],
    how: Resampling,
    seed: u64,
    told: bool,
) -> Result<Book, BootstrapError> {
    let drawn = draw(sources, targets, how, seed)?;
    let (mut prices, mut settled) = (Prices::default(), Vec::new());
    let from = book.prices();
    for (target, source) in targets.iter().zip(drawn) {
        let day = sources[source].interval;
        let shift = target.interval.start.since(day.start);
        let copy = |rows: &[PriceRow], into: &mut Vec<PriceRow>| {
            into.extend(within(rows, day).iter().map(|row| shifted(row, shift)));
        };
        copy(book.settled(), &mut settled);
        if told {
            copy(&from.dispatch, &mut prices.dispatch);
            copy(&from.settlement, &mut prices.settlement);
            copy(&from.day_ahead, &mut prices.day_ahead);
        }
    }
    Ok(book.with_settled(prices, settled))
}

fn shifted(row: &PriceRow, by: Span) -> PriceRow {
    let interval = Interval { start: row.interval.start + by, end: row.interval.end + by };
    PriceRow { interval, price: row.price, known_at: row.known_at + by }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DAY, day, ercot};
    use super::*;
    use proptest::prelude::*;

    fn days(range: std::ops::Range<i64>) -> Vec<Day> {
        let of_year = |n: i64| u16::try_from(n % 366 + 1).unwrap();
        let one = |n| Day { interval: Interval::starting(day(n), DAY), of_year: of_year(n) };
        range.map(one).collect()
    }

    const HOW: Resampling = Resampling { block_days: 3, season_days: 5 };

    #[test]
    fn one_seed_is_one_path_and_another_seed_another() {
        let (sources, targets) = (days(0..60), days(20..40));
        let drawn = |seed| draw(&sources, &targets, HOW, seed).unwrap();
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn a_day_moves_whole_with_when_it_was_known() {
        let book = ercot(30);
        let (sources, targets) = (days(0..30), days(10..20));
        let drawn = draw(&sources, &targets, HOW, 7).unwrap();
        let made = path(&book, &sources, &targets, HOW, 7, true).unwrap();
        for (target, source) in targets.iter().zip(drawn) {
            let (to, from) = (target.interval, sources[source].interval);
            let by = to.start.since(from.start);
            for kind in [|b: &Book| b.prices().dispatch.clone(), |b: &Book| b.settled().to_vec()] {
                let (got, was) = (kind(&made), kind(&book));
                let (got, was) = (within(&got, to), within(&was, from));
                assert_eq!(got, was.iter().map(|r| shifted(r, by)).collect::<Vec<_>>());
            }
            let ahead = within(&made.prices().day_ahead, to);
            assert!(ahead.iter().all(|r| r.known_at == to.start - Span::minutes(630)));
        }
        assert_eq!(made.gap(Interval { start: day(10), end: day(20) }), None);
    }

    #[test]
    fn a_day_of_another_length_only_stands_for_its_like() {
        let mut sources = days(0..12);
        // Day 5 has 23 hours, and all days after it begin an hour earlier.
        sources[5].interval.end = sources[5].interval.end - Span::hours(1);
        for d in &mut sources[6..] {
            let start = d.interval.start - Span::hours(1);
            d.interval = Interval::starting(start, DAY);
        }
        for seed in 1..50 {
            let drawn = draw(&sources, &sources, HOW, seed).unwrap();
            assert!(drawn.iter().enumerate().all(|(t, s)| (t == 5) == (*s == 5)), "{drawn:?}");
        }
        sources.remove(5);
        let targets = [Day { interval: Interval::starting(day(5), Span::hours(23)), of_year: 6 }];
        assert_eq!(
            draw(&sources, &targets, HOW, 1).unwrap_err().to_string(),
            "no whole day of 23 h within 5 days of the season of 2024-01-06T00:00:00Z: give more \
             history or a wider season"
        );
    }

    proptest! {
        #[test]
        fn blocks_follow_and_stay_in_their_season(
            seed in 1u64..1_000, block in 1u16..9, season in 0u16..40
        ) {
            let (sources, targets) = (days(0..732), days(366..500));
            let how = Resampling { block_days: block, season_days: season };
            let drawn = draw(&sources, &targets, how, seed).unwrap();
            prop_assert_eq!(drawn.len(), targets.len());
            for (n, s) in drawn.iter().enumerate() {
                let first = n - n % usize::from(block);
                prop_assert_eq!(*s, drawn[first] + (n - first));
                let away = apart(sources[drawn[first]].of_year, targets[first].of_year);
                prop_assert!(away <= i32::from(season));
            }
        }
    }
}

//! The demo's market day, made by the program: a windy night below zero, an ordinary morning, an
//! evening that jumps from 2 cents to 9 dollars a kilowatt-hour and back.

use headgate_core::event::{Event, FeedId, Hashprice};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Money, Price};
use headgate_sim::rng::SplitMix;
use std::collections::BTreeMap;

/// Length of a dispatch run.
const RUN: Span = Span::minutes(5);
/// Length of a settlement interval.
const SETTLE: Span = Span::minutes(15);
/// A run is known this long after its stamp.
const RUN_KNOWN_AFTER: Span = Span::seconds(20);
/// A settlement price is known this long after its interval's end.
const SETTLED_KNOWN_AFTER: Span = Span::minutes(2);
/// The day-ahead curve is known this long before the day begins.
const DAY_AHEAD_KNOWN_BEFORE: Span = Span::seconds(37_800);

/// One day of prices, as told to the engine and as settled.
pub struct Day {
    pub start: Time,
    pub end: Time,
    /// What is told, and when, in order of time.
    pub script: Vec<(Time, Event)>,
    /// Settlement prices by the start of their interval.
    pub settled: BTreeMap<Time, Price>,
    pub hashprice: Money,
}

/// The shape of the day: minute of the day and currency per MWh; straight lines between.
const SHAPE: [(i64, i64); 20] = [
    (0, -12),
    (90, -28),
    (240, -35),
    (330, -6),
    (360, 12),
    (420, 24),
    (540, 31),
    (660, 26),
    (840, 28),
    (960, 34),
    (1050, 30),
    (1110, 22),
    (1125, 20),
    (1130, 9000),
    (1160, 8950),
    (1165, 3100),
    (1185, 640),
    (1200, 95),
    (1260, 38),
    (1440, 18),
];

/// The minutes of the jump, kept free of noise so that they are what the story says.
const JUMP: (i64, i64) = (1125, 1165);

/// Makes the day that begins at `start`.
pub fn make(start: Time, seed: u64, hashprice: Money, feeds: [FeedId; 3]) -> Day {
    let mut rng = SplitMix::new(seed);
    let end = start + Span::hours(24);
    let [lmp, spp, dam] = feeds;
    let mut script = Vec::new();
    script.push((start, Event::Value(Hashprice { per_ph_day: hashprice, known_at: start })));
    let hours: Vec<PriceRow> = (0..24).map(|h| day_ahead(start, h)).collect();
    script.push((start, prices(dam, PriceKind::DayAhead, hours)));
    let mut runs = Vec::new();
    // The last run of the day before is what is in force at midnight.
    for i in -1..288 {
        let stamp = start + Span(RUN.0 * i);
        let price = run_price(i * 5, &mut rng);
        let known_at = stamp + RUN_KNOWN_AFTER;
        runs.push(PriceRow { interval: Interval::starting(stamp, RUN), price, known_at });
        let row = vec![*runs.last().expect("a run was just pushed")];
        script.push((known_at.max(start), prices(lmp, PriceKind::Dispatch, row)));
    }
    let mut settled = BTreeMap::new();
    for q in 0..96usize {
        let interval = Interval::starting(start + Span(SETTLE.0 * q as i64), SETTLE);
        let three = &runs[1 + q * 3..4 + q * 3];
        let sum: i128 = three.iter().map(|r| i128::from(r.price.0)).sum();
        let price = Price(to_i64(div_half_even(sum, 3)));
        settled.insert(interval.start, price);
        let known_at = interval.end + SETTLED_KNOWN_AFTER;
        let row = vec![PriceRow { interval, price, known_at }];
        script.push((known_at, prices(spp, PriceKind::Settlement, row)));
    }
    script.sort_by_key(|(at, _)| *at);
    Day { start, end, script, settled, hashprice }
}

fn prices(feed: FeedId, kind: PriceKind, rows: Vec<PriceRow>) -> Event {
    Event::Prices { feed, kind, rows }
}

/// The shape at a minute, in micro-currency per MWh.
fn shape(minute: i64) -> i64 {
    let minute = minute.clamp(0, 1439);
    let next = SHAPE.iter().position(|(m, _)| *m > minute).unwrap_or(SHAPE.len() - 1);
    let ((m0, p0), (m1, p1)) = (SHAPE[next - 1], SHAPE[next]);
    (p0 * (m1 - minute) + p1 * (minute - m0)) * 1_000_000 / (m1 - m0)
}

fn run_price(minute: i64, rng: &mut SplitMix) -> Price {
    let base = shape(minute);
    if (JUMP.0..JUMP.1).contains(&minute) {
        return Price(base);
    }
    // Noise of up to 6 % and 2.00 either way, in cents.
    let most = base.abs() / 16 + 2_000_000;
    let noise = i64::try_from(rng.below(2_001)).unwrap_or(0) - 1_000;
    Price((base + most / 1_000 * noise) / 10_000 * 10_000)
}

/// The day-ahead curve saw a dear evening coming, and not how dear.
fn day_ahead(start: Time, hour: i64) -> PriceRow {
    let start_of = start + Span::hours(hour);
    let mean = (0..12).map(|i| shape(hour * 60 + i * 5)).sum::<i64>() / 12;
    PriceRow {
        interval: Interval::starting(start_of, Span::hours(1)),
        price: Price(mean.min(140_000_000) / 10_000 * 10_000),
        known_at: start - DAY_AHEAD_KNOWN_BEFORE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_tells_its_story_and_nothing_early() {
        let start = Time::from_seconds(1_787_029_200);
        let day = make(start, 1, Money(45_000_000), [FeedId(0), FeedId(1), FeedId(2)]);
        assert_eq!(day.settled.len(), 96);
        let night = day.settled[&(start + Span::hours(3))];
        assert!(night < Price::ZERO, "{night}");
        let peak = day.settled.values().max().expect("a day has prices");
        assert!(*peak > Price(8_900_000_000), "{peak}");
        for (at, event) in &day.script {
            if let Event::Prices { rows, .. } = event {
                assert!(rows.iter().all(|r| r.known_at <= *at));
            }
        }
        let again = make(start, 1, Money(45_000_000), [FeedId(0), FeedId(1), FeedId(2)]);
        assert_eq!(day.settled, again.settled);
    }
}

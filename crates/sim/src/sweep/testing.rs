//! Made-up prices that the tests of a sweep share.

use super::book::{Book, Prices};
use headgate_core::market::{PriceRow, SettlementPoint};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::Price;

pub const DAY: Span = Span::hours(24);

/// Midnight of a day, counted from 2024-01-01 in UTC.
pub fn day(n: i64) -> Time {
    Time::from_seconds(1_704_067_200 + n * 86_400)
}

/// Days of quarter hours priced by their place, with runs and a day-ahead curve, told as ERCOT
/// tells them.
pub fn ercot(days: i64) -> Book {
    let row = |start: Time, step: Span, price: i64, known_at: Time| PriceRow {
        interval: Interval::starting(start, step),
        price: Price(price * 1_000_000),
        known_at,
    };
    let mut prices = Prices::default();
    for d in 0..days {
        for i in 0..288 {
            let start = day(d) + Span::minutes(5 * i) + Span::seconds(12);
            let price = d * 1_000 + i / 3;
            prices.dispatch.push(row(start, Span::minutes(5), price, start + Span::seconds(20)));
        }
        for i in 0..96 {
            let start = day(d) + Span::minutes(15 * i);
            let known = start + Span::minutes(17);
            prices.settlement.push(row(start, Span::minutes(15), d * 1_000 + i, known));
        }
        for i in 0..24 {
            let start = day(d) + Span::hours(i);
            let known = day(d) - Span::minutes(630);
            prices.day_ahead.push(row(start, Span::hours(1), d * 1_000 + i * 4, known));
        }
    }
    let point = SettlementPoint { name: "HB_TEST".into(), kind: "HU".into() };
    Book::new(point, Span::minutes(5), Span::minutes(15), prices)
}

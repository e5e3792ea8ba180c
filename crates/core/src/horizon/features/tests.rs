//! Whatever eyes have seen before, they see the same.

use super::*;
use crate::market::{PriceKind, PriceRow};
use crate::number::to_i64;
use proptest::prelude::*;

const QUARTER: Span = Span::minutes(15);
const RUN: Span = Span::minutes(5);
/// 2024-08-20T00:00:00Z.
const START: Time = Time::from_seconds(1_724_112_000);

/// What happens to a book between two decisions, a run's length apart.
#[derive(Debug, Clone)]
struct Happening {
    run: Option<i64>,
    settled: Option<i64>,
    ahead: Option<i64>,
    foreseen: Option<i64>,
    /// Runs that go by.
    later: i64,
    /// Minutes by which the clock is set back.
    back: Option<i64>,
    value: usize,
}

fn happening() -> impl Strategy<Value = Happening> {
    // Few different prices, so that the same comes again, and some that are far.
    let price = prop_oneof![
        8 => (-20i64..60).prop_map(|p| p * 1_000_000),
        2 => -9_000_000_000i64..9_000_000_000,
        1 => -(1i64 << 58)..1 << 58,
    ];
    let often =
        |of_20: u32| prop_oneof![of_20 => price.clone().prop_map(Some), 20 - of_20 => Just(None)];
    let back = prop_oneof![1 => (1i64..2_000).prop_map(Some), 30 => Just(None)];
    let later = prop_oneof![20 => Just(1i64), 1 => 1i64..8, 1 => 280i64..300];
    let value = prop_oneof![9 => Just(0usize), 1 => 0usize..4];
    (often(19), often(18), often(6), often(4), later, back, value).prop_map(
        |(run, settled, ahead, foreseen, later, back, value)| Happening {
            run,
            settled,
            ahead,
            foreseen,
            later,
            back,
            value,
        },
    )
}

/// Tells a book what is new at a moment.
fn tell(book: &mut FeedBook, now: Time, new: &Happening) {
    let mut take = |kind, start: Time, length, price: Option<i64>| {
        if let Some(price) = price {
            let interval = Interval::starting(start, length);
            book.take(kind, &[PriceRow { interval, price: Price(price), known_at: now }], now);
        }
    };
    take(PriceKind::Dispatch, now.interval(RUN).start, RUN, new.run);
    let running = now.interval(QUARTER).start;
    take(PriceKind::Settlement, running - QUARTER, QUARTER, new.settled);
    let hour = now.interval(Span::hours(1)).start;
    for (i, ahead) in (0..10).zip(new.ahead.into_iter().cycle()) {
        // The prices of an hour, or of its quarters.
        let length = if ahead % 2 == 0 { Span::hours(1) } else { QUARTER };
        let start = hour - Span::hours(1) + Span(length.0 * i);
        take(PriceKind::DayAhead, start, length, Some(ahead.wrapping_add(i * 7_000_000)));
    }
    for (i, foreseen) in (0..6).zip(new.foreseen.into_iter().cycle()) {
        let start = now.interval(RUN).start + Span(RUN.0 * i);
        take(PriceKind::LookAhead, start, RUN, Some(foreseen + i * 1_000_000));
    }
}

proptest! {
    #[test]
    fn what_eyes_saw_before_changes_nothing(
        all in prop::collection::vec(happening(), 1..120),
        settle_step in prop_oneof![4 => Just(QUARTER), 1 => Just(RUN), 1 => Just(Span::hours(2))],
    ) {
        let mut eyes = Eyes::default();
        let (mut book, mut now) = (FeedBook::default(), START);
        for new in &all {
            now += Span(RUN.0 * new.later);
            if let Some(minutes) = new.back {
                now = now - Span::minutes(minutes);
                book.forget_after(now);
            }
            tell(&mut book, now, new);
            let view = View {
                book: &book,
                now,
                value: [Price(40_000_000), Price(0), Price(-7), Price(41_000_000)][new.value],
                scale: [Price(10_000_000), Price(1), Price(10_000_000), Price(0)][new.value],
                step: RUN,
                settle_step,
                offset: Span::hours(-5),
            };
            prop_assert_eq!(view.see_with(&mut eyes), view.see());
        }
    }

    /// What is above the value is told without the feature.
    #[test]
    fn a_price_is_above_where_its_feature_is(
        off in prop_oneof![-30_000i64..30_000, -1_000_000_000i64..1_000_000_000],
        value in prop_oneof![-100_000_000i64..100_000_000, -(1i64 << 60)..1 << 60],
        scale in prop_oneof![0i64..100_000_000, any::<i64>()],
    ) {
        let (value, scale) = (Price(value), Price(scale));
        let first = eyes::above_from(value, scale);
        for price in [value + Price(off), first, first - Price(1)] {
            prop_assert_eq!(price >= first, eyes::feature(price, value, scale) > 0);
        }
    }

    /// In 64 bits a feature is what it is in 128.
    #[test]
    fn a_feature_is_its_formula(
        price in prop_oneof![-1_000_000_000i64..1_000_000_000, any::<i64>()],
        value in prop_oneof![-100_000_000i64..100_000_000, any::<i64>()],
        scale in prop_oneof![0i64..100_000_000, any::<i64>()],
    ) {
        let gap = i128::from(price) - i128::from(value);
        let scaled = gap * i128::from(asinh::ONE) / i128::from(scale.max(1));
        let z = asinh::asinh(to_i64(scaled.clamp(-(1 << 40), 1 << 40)));
        let got = eyes::feature(Price(price), Price(value), Price(scale));
        prop_assert_eq!(i64::from(got), z >> (asinh::BITS - FEATURE_BITS));
    }
}

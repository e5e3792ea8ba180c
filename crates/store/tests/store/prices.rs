//! The price store: what is imported twice, corrected, or told too late.

use crate::tables::Folder;
use headgate_core::time::{Interval, Span, Time};
use headgate_store::prices::{Changes, Import, Posting, PriceStore, PricesError, SeriesKey, Value};
use proptest::prelude::*;
use std::path::Path;

const HOUR: Span = Span::hours(1);

fn key() -> SeriesKey {
    SeriesKey {
        market: "ercot".into(),
        point: "HB_WEST".into(),
        point_type: "HU".into(),
        kind: "settlement".into(),
    }
}

fn at(minute: i64) -> Time {
    Time::from_seconds(minute * 60)
}

/// The hour's price, known by the rule two minutes after its end.
fn value(hour: i64, value: i64) -> Value {
    let interval = Interval::starting(at(hour * 60), HOUR);
    Value { interval, value, known_at: interval.end + Span::minutes(2) }
}

fn import(name: &str, posted: Option<Time>, values: Vec<Value>) -> Import {
    let posting = Posting { key: key(), currency: "USD".into(), forecast: false, values };
    Import {
        hash: name.into(),
        name: name.into(),
        kind: "ercot_np6_905".into(),
        at: at(100_000),
        posted,
        postings: vec![posting],
        map: Vec::new(),
    }
}

fn memory() -> PriceStore {
    PriceStore::open(Path::new(":memory:")).unwrap()
}

fn shown(rows: &[Value]) -> String {
    let one = |v: &Value| format!("{} from {}", v.value, v.known_at);
    rows.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_same_file_again_changes_nothing() {
    let folder = Folder::new("prices-again");
    let path = folder.0.join("prices.sqlite");
    let mut store = PriceStore::open(&path).unwrap();
    let file = import("a", Some(at(70)), vec![value(0, 25), value(1, 26)]);
    let first = store.import(&file).unwrap();
    assert_eq!(first, [Changes { new: 2, ..Changes::default() }]);
    let again = store.import(&file).unwrap();
    assert_eq!(again, [Changes { unchanged: 2, again: true, ..Changes::default() }]);
    // Another file with the same prices brings no revision either, also after reopening.
    drop(store);
    let mut store = PriceStore::open(&path).unwrap();
    let twin = import("b", Some(at(90)), vec![value(0, 25), value(1, 26)]);
    assert_eq!(store.import(&twin).unwrap()[0].unchanged, 2);
    assert_eq!(store.revisions(&key(), at(0), at(600)).unwrap().len(), 2);
    assert_eq!(store.series().unwrap()[0].intervals, 2);
}

#[test]
fn a_later_posting_replaces_and_an_older_one_does_not() {
    let mut store = memory();
    store.import(&import("a", Some(at(70)), vec![value(0, 25)])).unwrap();
    let corrected = store.import(&import("c", Some(at(900)), vec![value(0, 27)])).unwrap();
    assert_eq!(corrected[0].corrected, 1);
    let older = store.import(&import("b", Some(at(500)), vec![value(0, 26)])).unwrap();
    assert_eq!(older[0].older, 1);
    let all = store.revisions(&key(), at(0), at(60)).unwrap();
    insta::assert_snapshot!(shown(&all), @"25 from 1970-01-01T01:02:00Z; 26 from 1970-01-01T08:20:00Z; 27 from 1970-01-01T15:00:00Z");
    let of = |now: i64| store.as_of(&key(), at(0), at(60), at(now)).unwrap();
    assert!(of(61).is_empty(), "before it could be known there is none");
    insta::assert_snapshot!(shown(&of(62)), @"25 from 1970-01-01T01:02:00Z");
    insta::assert_snapshot!(shown(&of(899)), @"26 from 1970-01-01T08:20:00Z");
    let latest = store.latest(&key(), at(0), at(60)).unwrap();
    insta::assert_snapshot!(shown(&latest), @"27 from 1970-01-01T15:00:00Z");
}

#[test]
fn a_price_that_comes_back_is_a_revision_of_its_own() {
    let mut store = memory();
    for (name, posted, price) in [("a", 70, 25), ("c", 900, 25), ("b", 500, 26)] {
        store.import(&import(name, Some(at(posted)), vec![value(0, price)])).unwrap();
    }
    let all = store.revisions(&key(), at(0), at(60)).unwrap();
    insta::assert_snapshot!(shown(&all), @"25 from 1970-01-01T01:02:00Z; 26 from 1970-01-01T08:20:00Z; 25 from 1970-01-01T15:00:00Z");
}

#[test]
fn values_posted_at_one_moment_are_all_kept_and_the_last_counts() {
    let mut store = memory();
    for (name, price) in [("a", 25), ("b", 26), ("c", 27)] {
        store.import(&import(name, Some(at(70)), vec![value(0, price)])).unwrap();
    }
    let all = store.revisions(&key(), at(0), at(60)).unwrap();
    assert_eq!(all.iter().map(|v| v.value).collect::<Vec<_>>(), [25, 26, 27]);
    assert_eq!(store.latest(&key(), at(0), at(60)).unwrap()[0].value, 27);
}

#[test]
fn every_run_of_a_forecast_counts() {
    let mut store = memory();
    let run = |known: i64, price: i64| Value { known_at: at(known), ..value(5, price) };
    let mut file = import("a", Some(at(10)), vec![run(10, 25), run(15, 40)]);
    file.postings[0].forecast = true;
    store.import(&file).unwrap();
    let seen = |now: i64| store.as_of(&key(), at(0), at(900), at(now)).unwrap();
    insta::assert_snapshot!(shown(&seen(14)), @"25 from 1970-01-01T00:10:00Z");
    insta::assert_snapshot!(shown(&seen(15)), @"40 from 1970-01-01T00:15:00Z");
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let folder = Folder::new("prices-newer");
    let path = folder.0.join("prices.sqlite");
    drop(PriceStore::open(&path).unwrap());
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    assert!(matches!(PriceStore::open(&path), Err(PricesError::Newer { found: 99, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order of imports, the last posting counts, and nothing is seen before it
    /// could be known.
    #[test]
    fn the_order_of_imports_does_not_matter(
        order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
        prices in proptest::collection::vec(1i64..4, 8),
        now in 0i64..1_000,
    ) {
        let mut store = memory();
        for i in order {
            let posted = at(70 + i64::try_from(i).unwrap() * 100);
            let hash = format!("{i}-{}", prices[i]);
            store.import(&import(&hash, Some(posted), vec![value(0, prices[i])])).unwrap();
        }
        let latest = store.latest(&key(), at(0), at(60)).unwrap();
        prop_assert_eq!(latest[0].value, prices[7]);
        let all = store.revisions(&key(), at(0), at(60)).unwrap();
        prop_assert_eq!(all[0].value, prices[0]);
        prop_assert!(all.windows(2).all(|w| w[0].value != w[1].value));
        prop_assert!(all.windows(2).all(|w| w[0].known_at < w[1].known_at));
        let seen = store.as_of(&key(), at(0), at(60), at(now)).unwrap();
        prop_assert!(seen.iter().all(|v| v.known_at <= at(now)));
        prop_assert_eq!(seen.is_empty(), now < 62);
    }
}

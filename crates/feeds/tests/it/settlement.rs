//! Golden: the published settlement prices, from dispatch runs and one adder of the whole system.

use crate::real::read;
use headgate_core::market::{PriceRow, time_weighted};
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::time::Interval;
use headgate_core::units::Price;
use headgate_feeds::{Parsed, settlement_point};

const RUNS: &str = "ercot_sced_lmp5_5hubs_2024-01-01_2024-06-30.csv.gz";
const PUBLISHED: &str = "ercot_rtm_spp15_4hubs_published_2024-06.csv.gz";
/// Five cents.
const TOLERANCE: Price = Price(50_000);

/// Runs that bear on an interval: the one in force when it starts and all that start within it.
/// An interval has runs when there is such a first one and at least one more.
fn runs_of(runs: &[PriceRow], interval: Interval) -> Option<&[PriceRow]> {
    let before = runs.partition_point(|r| r.interval.start <= interval.start);
    let within = runs.partition_point(|r| r.interval.start < interval.end);
    let first = before.checked_sub(1)?;
    (within > before).then(|| &runs[first..within])
}

fn of<'p>(parsed: &'p Parsed, hub: &str) -> &'p [PriceRow] {
    let rows = parsed.rows_of(&settlement_point(hub, ""));
    assert!(!rows.is_empty(), "{hub} is in {}", parsed.file);
    rows
}

#[test]
fn runs_and_one_adder_are_the_published_prices_of_june_2024() {
    let (Some(runs), Some(published)) = (read(RUNS, "ercot", None), read(PUBLISHED, "ercot", None))
    else {
        return;
    };
    let houston = of(&published, "HB_HOUSTON");
    let (mut counted, mut worst) = (0, Price::ZERO);
    for row in houston {
        let mean = |hub| time_weighted(runs_of(of(&runs, hub), row.interval)?.iter(), row.interval);
        let Some(base) = mean("HB_HOUSTON") else { continue };
        counted += 1;
        let adder = row.price - base;
        for hub in ["HB_NORTH", "HB_SOUTH", "HB_WEST"] {
            let told = of(&published, hub);
            let at = told.partition_point(|r| r.interval.start < row.interval.start);
            assert_eq!(told[at].interval, row.interval, "{hub}");
            let off = mean(hub).unwrap() + adder - told[at].price;
            let off = Price(off.0.abs());
            assert!(off <= TOLERANCE, "{hub} {} is off by {off}", row.interval);
            worst = worst.max(off);
        }
    }
    let total = houston.len();
    println!("settlement formula: {counted} of {total} intervals, the worst off by {worst}");
    assert_eq!((counted, total), (2_860, 2_860));
}

#[test]
fn the_spike_of_august_2024_is_its_runs_and_an_adder() {
    let file = "raw_ercot/RTMLZHBSPP_2024_Aug_4hubs_extract.csv";
    let Some(published) = read(file, "ercot", None) else { return };
    // The runs of the quarter hour from 19:15 local time at HB_HOUSTON, as they were published.
    let text = "SCEDTimestamp,RepeatedHourFlag,SettlementPoint,LMP\n\
                08/20/2024 19:12:23,N,HB_HOUSTON,729.20\n\
                08/20/2024 19:15:13,N,HB_HOUSTON,1095.06\n\
                08/20/2024 19:20:13,N,HB_HOUSTON,1095.09\n\
                08/20/2024 19:25:11,N,HB_HOUSTON,5001.88\n\
                08/20/2024 19:27:15,N,HB_HOUSTON,5006.59\n";
    let runs = crate::common::parse("ercot", text.as_bytes()).unwrap();
    let houston = of(&published, "HB_HOUSTON");
    let row = houston.iter().find(|r| r.interval.start.to_string() == "2024-08-21T00:15:00Z");
    let row = row.unwrap();
    let mean = time_weighted(of(&runs, "HB_HOUSTON").iter(), row.interval).unwrap();
    let cents = |p: Price| to_i64(div_half_even(i128::from(p.0), 10_000));
    let told = [mean, row.price, row.price - mean].map(cents);
    assert_eq!(told, [234_517, 239_810, 5_293], "mean, published price and adder");
}

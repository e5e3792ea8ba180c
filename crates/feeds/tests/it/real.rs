//! The parsers on files as the market operators publish them.
//!
//! The files are not part of the project. Their folder is `HEADGATE_SHARED_DATA`, or a default
//! beside the project; without it each test says loudly that it was skipped.

use headgate_core::market::{PriceKind, SettlementPoint};
use headgate_core::time::{Span, Time};
use headgate_feeds::{FileKind, Market, NoteKind, Options, Parsed, load, load_with};
use headgate_feeds::{hashprice, settlement_point};
use std::path::{Path, PathBuf};

/// The folder of real files, or a loud word that there is none.
fn data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("HEADGATE_SHARED_DATA").map_or_else(beside, PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: real data absent ({})", path.display());
    None
}

fn read(file: &str, market: &str, point: Option<&SettlementPoint>) -> Option<Parsed> {
    let path = data()?.join(file);
    let parsed = load(&path, &Market::shipped(market).unwrap(), point).unwrap();
    Some(parsed)
}

/// Kind, what it holds, rows, points, first start, highest price with its start, note kinds.
fn check(parsed: &Parsed) -> String {
    let rows: Vec<_> = parsed.rows().collect();
    let first = rows.iter().map(|(_, r)| r.interval.start).min().unwrap();
    let (point, highest) = rows.iter().max_by_key(|(_, r)| r.price).unwrap();
    let notes: Vec<String> =
        parsed.notes.iter().map(|n| format!("{:?} {}", n.kind, n.count)).collect();
    format!(
        "{} {:?}: {} rows of {} points from {first}; highest {} at {point} {}; [{}]",
        parsed.kind,
        parsed.series[0].kind,
        rows.len(),
        parsed.series.len(),
        highest.price,
        highest.interval.start,
        notes.join(", "),
    )
}

#[test]
fn one_quarter_hour_of_all_points() {
    let file = "raw_ercot/cdr.00012301.SPPHLZNP6905_20250410_1930.csv";
    let Some(all) = read(file, "ercot", None) else { return };
    insta::assert_snapshot!(check(&all), @"ercot_np6_905 Settlement: 1000 rows of 1000 points from 2025-04-10T23:15:00Z; highest 69.77/MWh at ELMCRK_RN (RN) 2025-04-10T23:15:00Z; []");
    let lz = read(file, "ercot", Some(&settlement_point("LZ_WEST", ""))).unwrap();
    let lzew = read(file, "ercot", Some(&settlement_point("LZ_WEST", "LZEW"))).unwrap();
    assert_eq!((lz.series.len(), lzew.series.len()), (1, 1));
    assert_ne!(lz.series[0].point, lzew.series[0].point);
    let row = lz.series[0].rows[0];
    assert_eq!(row.interval.start.to_string(), "2025-04-10T23:15:00Z");
    assert_eq!(row.known_at, row.interval.end + Span::minutes(2));
}

#[test]
fn a_month_of_settlement_prices() {
    let file = "raw_ercot/RTMLZHBSPP_2024_Aug_4hubs_extract.csv";
    let Some(all) = read(file, "ercot", None) else { return };
    insta::assert_snapshot!(check(&all), @"ercot_np6_785 Settlement: 11904 rows of 4 points from 2024-08-01T05:00:00Z; highest 4857.82/MWh at HB_SOUTH (HU) 2024-08-21T00:30:00Z; []");
    assert!(all.series.iter().all(|s| s.rows.len() == 2976), "31 days of 96 quarter hours");
    let one = read(file, "ercot", Some(&settlement_point("HB_WEST", ""))).unwrap();
    assert_eq!(one.series[0].rows, all.rows_of(&settlement_point("HB_WEST", "HU")));
    // The published price of the spike that the 5-minute runs reproduce.
    let spike = Time::from_seconds(1_724_199_300);
    let houston = all.rows_of(&settlement_point("HB_HOUSTON", "HU"));
    let at = houston.iter().find(|r| r.interval.start == spike).unwrap();
    assert_eq!(at.price.to_string(), "2398.10/MWh");
}

#[test]
fn one_run_with_windows_line_ends() {
    let file = "raw_ercot/cdr.00012300.LMPSROSNODENP6788_20101201_011023.csv";
    let Some(all) = read(file, "ercot", None) else { return };
    insta::assert_snapshot!(check(&all), @"ercot_np6_788 Dispatch: 580 rows of 580 points from 2010-12-01T07:10:23Z; highest 28.27/MWh at NWF_NWF1 2010-12-01T07:10:23Z; []");
    let west = settlement_point("LZ_WEST", "");
    let row = read(file, "ercot", Some(&west)).unwrap().series[0].rows[0];
    assert_eq!(row.interval.start.to_string(), "2010-12-01T07:10:23Z");
    assert_eq!(row.known_at.to_string(), "2010-12-01T07:10:43Z");
}

#[test]
fn a_day_of_the_day_ahead_market() {
    let file = "raw_ercot/cdr.00012331.DAMSPNP4190_20250411.csv.gz";
    let Some(all) = read(file, "ercot", None) else { return };
    insta::assert_snapshot!(check(&all), @"ercot_np4_190 DayAhead: 23712 rows of 988 points from 2025-04-11T05:00:00Z; highest 176.62/MWh at GUNMTN_NODE 2025-04-12T01:00:00Z; []");
    let west = read(file, "ercot", Some(&settlement_point("LZ_WEST", "LZ"))).unwrap();
    let rows = &west.series[0].rows;
    assert_eq!(rows.len(), 24);
    assert!(rows.iter().all(|r| r.known_at.to_string() == "2025-04-10T18:30:00Z"));
    assert_eq!(rows[23].interval.end.to_string(), "2025-04-12T05:00:00Z");
}

#[test]
fn half_a_year_of_runs_in_one_wide_file() {
    let file = "ercot_sced_lmp5_5hubs_2024-01-01_2024-06-30.csv.gz";
    let Some(west) = read(file, "ercot", Some(&settlement_point("HB_WEST", "HU"))) else { return };
    insta::assert_snapshot!(check(&west), @"sced_wide Dispatch: 53208 rows of 1 points from 2024-01-01T06:00:27Z; highest 4998.59/MWh at HB_WEST (HU) 2024-05-09T01:15:11Z; [Gap 7]");
}

#[test]
fn five_years_of_settlement_prices_of_an_unnamed_point() {
    let file = "ercot_rtm_spp15_HB_HOUSTON_2021-01-08_2024-06-30.csv.gz";
    let houston = settlement_point("HB_HOUSTON", "HU");
    let Some(all) = read(file, "ercot", Some(&houston)) else { return };
    insta::assert_snapshot!(check(&all), @"canonical_spp Settlement: 121896 rows of 1 points from 2021-01-08T06:00:00Z; highest 9160.85/MWh at HB_HOUSTON (HU) 2021-02-17T10:30:00Z; []");
    // Summer 2023: the highest prices of 17 and 30 August, by local day.
    let highest = |from: i64| {
        let from = Time::from_seconds(from);
        let day = from..from + Span::hours(24);
        let rows = all.rows_of(&houston).iter().filter(|r| day.contains(&r.interval.start));
        rows.map(|r| r.price).max().unwrap().to_string()
    };
    assert_eq!(highest(1_692_248_400), "5023.86/MWh");
    assert_eq!(highest(1_693_371_600), "5003.78/MWh");
    assert!(all.notes.iter().all(|n| n.kind != NoteKind::Duplicate));
}

#[test]
fn canonical_files_leave_out_what_is_no_point() {
    let file = "ercot_rtm_spp15_5hubs_reconstructed_2024-01-01_2024-06-30.csv.gz";
    let Some(all) = read(file, "ercot", None) else { return };
    insta::assert_snapshot!(check(&all), @"canonical Settlement: 87240 rows of 5 points from 2024-01-01T06:00:00Z; highest 4981.41/MWh at HB_HOUSTON 2024-05-09T01:00:00Z; [ColumnIgnored 2]");
    assert!(all.notes[0].text.contains("`implied_adder`, `max_gap_s` left out"));
}

#[test]
fn hourly_day_ahead_prices_by_column() {
    let file = "ercot_dam_spp_hourly_2021-01-01_2024-06-30.csv.gz";
    let Some(west) = read(file, "ercot", Some(&settlement_point("LZ_WEST", ""))) else { return };
    insta::assert_snapshot!(check(&west), @"day_ahead_wide DayAhead: 30647 rows of 1 points from 2021-01-01T06:00:00Z; highest 9026.99/MWh at LZ_WEST (LZ) 2021-02-17T13:00:00Z; []");
}

#[test]
fn five_minute_prices_of_another_market() {
    let file = "aemo_nem_VIC1_price_demand_5min_2024-12_2025-05.csv.gz";
    let Some(vic) = read(file, "nem", Some(&settlement_point("VIC1", ""))) else { return };
    insta::assert_snapshot!(check(&vic), @"aemo_price Settlement: 52415 rows of 1 points from 2024-11-30T14:00:00Z; highest 11346.81/MWh at VIC1 2025-02-03T09:00:00Z; []");
    let row = vic.series[0].rows[0];
    assert_eq!(row.interval.end.to_string(), "2024-11-30T14:05:00Z");
}

#[test]
fn a_series_by_interval_number() {
    let Some(all) = read("bench/synthetic_15min_35040.csv.gz", "generic", None) else { return };
    insta::assert_snapshot!(check(&all), @"indexed Settlement: 35040 rows of 1 points from 2025-01-01T00:00:00Z; highest 1508.73/MWh at  2025-02-22T19:00:00Z; []");
    assert_eq!(all.kind, FileKind::Indexed);
}

#[test]
fn the_kind_can_be_told_where_the_file_leaves_it_open() {
    let Some(folder) = data() else { return };
    let path = folder.join("caiso_dam_lmp_3hubs_and_as_hourly_2023_2024.csv.gz");
    let options = Options {
        point: Some(settlement_point("SP15", "")),
        kind: Some(PriceKind::DayAhead),
        column: Some("TH_SP15_GEN-APND".into()),
        ..Options::default()
    };
    let parsed = load_with(&path, &Market::shipped("generic").unwrap(), &options).unwrap();
    insta::assert_snapshot!(check(&parsed), @"canonical DayAhead: 17272 rows of 1 points from 2023-01-12T08:00:00Z; highest 1247.63/MWh at SP15 2023-08-17T02:00:00Z; [ColumnIgnored 6]");
}

#[test]
fn files_of_other_things_are_refused() {
    let Some(folder) = data() else { return };
    let ercot = Market::shipped("ercot").unwrap();
    let refused = |file: &str| load(&folder.join(file), &ercot, None).unwrap_err().sentence();
    let told = |file: &str| refused(file).replace(&folder.display().to_string(), "DATA");
    insta::assert_snapshot!(told("raw_ercot/DAMASMCPC_2023.csv"), @"failed to read DATA/raw_ercot/DAMASMCPC_2023.csv line 1: a file of kind day_ahead_wide needs a column for each point, and none is named in capitals; name the columns by point, for example HB_WEST");
    insta::assert_snapshot!(told("raw_ercot/DAMLZHBSPP_2023.xlsx"), @"failed to read DATA/raw_ercot/DAMLZHBSPP_2023.xlsx: it is a workbook; save its sheet as CSV, or fetch the CSV");
    insta::assert_snapshot!(told("btc_usd_daily_2019-01-01_2026-08-21.csv.gz"), @"failed to read DATA/btc_usd_daily_2019-01-01_2026-08-21.csv.gz line 1: the header `Date,Open,High,Low,Close,Volume` is of no known kind; give one of ercot_np6_905, ercot_np6_785, ercot_np6_788, ercot_np4_190, sced_wide, day_ahead_wide, aemo_price, canonical, canonical_spp, ercot_dashboard, indexed");
    insta::assert_snapshot!(told("ercot_dam_as_mcpc_hourly_2022-01-01_2024-06-30.csv.gz"), @"failed to read DATA/ercot_dam_as_mcpc_hourly_2022-01-01_2024-06-30.csv.gz line 1: a file of kind day_ahead_wide needs a column for each point, and none is named in capitals; name the columns by point, for example HB_WEST");
    let hash = hashprice::load(&folder.join("README.md")).unwrap_err().sentence();
    assert!(hash.contains("write date,usd_per_ph_day or time,hashprice"), "{hash}");
}

//! The parsers on files as the market operators publish them.
//!
//! The files are not part of the project. Their folder is `HEADGATE_SHARED_DATA`, or a default
//! beside the project; without it each test says loudly that it was skipped.

use crate::common::told;
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::time::{Span, Time};
use headgate_feeds::{FileKind, Market, NoteKind, Options, Parsed, Series, load, load_with};
use headgate_feeds::{hashprice, settlement_point};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder of real files, or a loud word that there is none.
pub fn data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("HEADGATE_SHARED_DATA").map_or_else(beside, PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: real data absent ({})", path.display());
    None
}

pub fn read(file: &str, market: &str, point: Option<&SettlementPoint>) -> Option<Parsed> {
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
    let refused = |file: &str| told(&load(&folder.join(file), &ercot, None).unwrap_err());
    let shown = |file: &str| refused(file).replace(&folder.display().to_string(), "DATA");
    insta::assert_snapshot!(shown("btc_usd_daily_2019-01-01_2026-08-21.csv.gz"), @"failed to read DATA/btc_usd_daily_2019-01-01_2026-08-21.csv.gz line 1: the header `Date,Open,High,Low,Close,Volume` is of no known kind; give one of KINDS");
    let hash = hashprice::load(&folder.join("README.md")).unwrap_err().sentence();
    assert!(hash.contains("write date,usd_per_ph_day or time,hashprice"), "{hash}");
}

/// The hash price of days that were worked out apart from this program.
#[test]
fn the_hash_price_of_three_days_is_the_known_one() {
    use headgate_feeds::hashprice::{NetworkData, Subsidy};
    let Some(folder) = data() else { return };
    let file = |name: &str| folder.join(name);
    let subsidy = Subsidy::shipped().unwrap();
    let difficulty = file("btc_difficulty_by_epoch_height500k_955k.csv");
    let price = file("btc_usd_daily_2019-01-01_2026-08-21.csv.gz");
    let fees = file("btc_daily_fees_hashrate_2019-01-01_2022-08-31.csv.gz");
    let computed = |fees: Option<&Path>| {
        let data = NetworkData::load(&difficulty, &price, fees, &subsidy).unwrap();
        data.hashprices(&subsidy)
    };
    let alone = computed(None);
    let of = |all: &headgate_feeds::hashprice::Computed, day: &str| {
        let known = hashprice::end_of_day(headgate_feeds::local::date(day.as_bytes()).unwrap());
        all.rows.iter().find(|h| h.known_at == known).map(|h| {
            let cents = headgate_core::number::div_half_even(i128::from(h.per_ph_day.0), 10_000);
            format!("{}.{:02}", cents / 100, cents % 100)
        })
    };
    assert_eq!(of(&alone, "2023-08-17").as_deref(), Some("63.99"));
    assert_eq!(of(&alone, "2021-10-20").as_deref(), Some("413.16"));
    assert_eq!(of(&alone, "2026-04-15").as_deref(), Some("33.77"));
    // Neither before the first known epoch nor long after the last one is anything made up.
    assert_eq!(of(&alone, "2021-01-01"), None);
    assert_eq!(of(&alone, "2026-08-01"), None);
    insta::assert_snapshot!(alone.notes.join("; "), @"85 difficulties without a time are left out; 829 days have a coin price and no difficulty in force: left out");
    let with = computed(Some(&fees));
    insta::assert_snapshot!(of(&with, "2021-10-20").unwrap(), @"421.76");
}

/// Like [`check`], for a file of several products: one line each.
fn check_each(parsed: &Parsed) -> String {
    let mut text = format!("{}\n", parsed.kind);
    for series in &parsed.series {
        let rows = &series.rows;
        let highest = rows.iter().max_by_key(|r| r.price).unwrap();
        let lowest = rows.iter().min_by_key(|r| r.price).unwrap();
        text += &format!(
            "{} {}: {} rows from {} to {}; lowest {}, highest {} at {}\n",
            series.point,
            series.kind,
            rows.len(),
            rows[0].interval.start,
            rows[rows.len() - 1].interval.end,
            lowest.price,
            highest.price,
            highest.interval.start,
        );
    }
    for load in &parsed.loads {
        let rows = &load.rows;
        let highest = rows.iter().max_by_key(|r| r.power).unwrap();
        text += &format!(
            "{}: {} rows from {} to {}; highest {} at {}\n",
            load.point,
            rows.len(),
            rows[0].interval.start,
            rows[rows.len() - 1].interval.end,
            highest.power,
            highest.interval.start,
        );
    }
    for note in &parsed.notes {
        text += &format!("note {:?} {}\n", note.kind, note.count);
    }
    text
}

/// Mean price in cents.
fn mean_cents(rows: &[PriceRow]) -> i64 {
    let sum: i128 = rows.iter().map(|r| i128::from(r.price.0)).sum();
    to_i64(div_half_even(sum, 10_000 * rows.len() as i128))
}

#[test]
fn years_of_the_day_ahead_market_in_workbooks() {
    let Some(all) = read("raw_ercot/DAMLZHBSPP_2021.xlsx", "ercot", None) else { return };
    insta::assert_snapshot!(check(&all), @"ercot_np4_180 DayAhead: 131400 rows of 15 points from 2021-01-01T06:00:00Z; highest 9052.53/MWh at LZ_AEN (LZ) 2021-02-18T00:00:00Z; []");
    assert!(all.series.iter().all(|s| s.rows.len() == 8_760), "a year of hours each");
    let west = settlement_point("LZ_WEST", "LZ");
    let rows = all.rows_of(&west);
    let highest = rows.iter().max_by_key(|r| r.price).unwrap();
    assert_eq!(highest.price.to_string(), "9026.99/MWh");
    assert_eq!(highest.interval.start.to_string(), "2021-02-17T13:00:00Z");
    assert_eq!(mean_cents(rows), 14_483);
    assert_eq!(rows.iter().filter(|r| r.price.0 < 0).count(), 184);
    // The same year by way of another program: the same hours, the same prices.
    let file = "ercot_dam_spp_hourly_2021-01-01_2024-06-30.csv.gz";
    let wide = read(file, "ercot", Some(&west)).unwrap();
    assert_eq!(rows, &wide.series[0].rows[..8_760]);
    let all = read("raw_ercot/DAMLZHBSPP_2023.xlsx", "ercot", Some(&west)).unwrap();
    insta::assert_snapshot!(check(&all), @"ercot_np4_180 DayAhead: 8760 rows of 1 points from 2023-01-01T06:00:00Z; highest 4214.18/MWh at LZ_WEST (LZ) 2023-08-26T00:00:00Z; []");
    let rows = &all.series[0].rows;
    let from = wide.series[0].rows.iter().position(|r| r.interval == rows[0].interval).unwrap();
    assert_eq!(rows, &wide.series[0].rows[from..from + 8_760]);
}

#[test]
fn the_first_month_of_the_nodal_market_in_a_workbook() {
    let Some(all) = read("raw_ercot/RTMLZHBSPP_2010.xlsx", "ercot", None) else { return };
    insta::assert_snapshot!(check(&all), @"ercot_np6_785 Settlement: 41664 rows of 14 points from 2010-12-01T06:00:00Z; highest 1286.90/MWh at LZ_RAYBN (LZ) 2010-12-10T11:00:00Z; []");
    assert!(all.series.iter().all(|s| s.rows.len() == 2_976), "31 days of 96 quarter hours");
    let south = all.rows_of(&settlement_point("HB_SOUTH", "HU"));
    assert_eq!(south.iter().map(|r| r.price).min().unwrap().to_string(), "-109.29/MWh");
}

#[test]
fn years_of_reserve_prices_with_a_product_that_came_in_summer() {
    let Some(first) = read("raw_ercot/DAMASMCPC_2022.csv", "ercot", None) else { return };
    insta::assert_snapshot!(check_each(&first), @"
    ercot_np4_181
    NSPIN (AS) capacity_day_ahead: 8760 rows from 2022-01-01T06:00:00Z to 2023-01-01T06:00:00Z; lowest 0.20/MWh, highest 2976.77/MWh at 2022-12-24T12:00:00Z
    REGDN (AS) capacity_day_ahead: 8760 rows from 2022-01-01T06:00:00Z to 2023-01-01T06:00:00Z; lowest 0.01/MWh, highest 250.00/MWh at 2022-12-24T14:00:00Z
    REGUP (AS) capacity_day_ahead: 8760 rows from 2022-01-01T06:00:00Z to 2023-01-01T06:00:00Z; lowest 0.00/MWh, highest 2977.77/MWh at 2022-12-24T12:00:00Z
    RRS (AS) capacity_day_ahead: 8760 rows from 2022-01-01T06:00:00Z to 2023-01-01T06:00:00Z; lowest 0.73/MWh, highest 2976.97/MWh at 2022-12-24T12:00:00Z
    ");
    let second = read("raw_ercot/DAMASMCPC_2023.csv", "ercot", None).unwrap();
    insta::assert_snapshot!(check_each(&second), @"
    ercot_np4_181
    ECRS (AS) capacity_day_ahead: 4921 rows from 2023-06-10T05:00:00Z to 2024-01-01T06:00:00Z; lowest 0.03/MWh, highest 4085.33/MWh at 2023-08-26T00:00:00Z
    NSPIN (AS) capacity_day_ahead: 8760 rows from 2023-01-01T06:00:00Z to 2024-01-01T06:00:00Z; lowest 0.06/MWh, highest 2715.70/MWh at 2023-08-26T01:00:00Z
    REGDN (AS) capacity_day_ahead: 8760 rows from 2023-01-01T06:00:00Z to 2024-01-01T06:00:00Z; lowest 0.01/MWh, highest 2961.16/MWh at 2023-08-26T23:00:00Z
    REGUP (AS) capacity_day_ahead: 8760 rows from 2023-01-01T06:00:00Z to 2024-01-01T06:00:00Z; lowest 0.00/MWh, highest 4082.91/MWh at 2023-08-26T00:00:00Z
    RRS (AS) capacity_day_ahead: 8760 rows from 2023-01-01T06:00:00Z to 2024-01-01T06:00:00Z; lowest 0.96/MWh, highest 4083.28/MWh at 2023-08-26T00:00:00Z
    ");
    let means = |parsed: &Parsed| -> Vec<String> {
        let mean = |s: &Series| format!("{} {}", s.point.name, mean_cents(&s.rows));
        parsed.series.iter().map(mean).collect()
    };
    assert_eq!(means(&first)[2..], ["REGUP 2167", "RRS 2031"]);
    assert_eq!(means(&second)[0], "ECRS 5815");
    assert_eq!(means(&second)[3..], ["REGUP 2679", "RRS 2126"]);
    // The hours of both years by way of another program.
    let file = "ercot_dam_as_mcpc_hourly_2022-01-01_2024-06-30.csv.gz";
    let both = read(file, "ercot", None).unwrap();
    let regup = |parsed: &Parsed| parsed.series[parsed.series.len() - 2].rows.clone();
    let raw = [regup(&first), regup(&second)].concat();
    assert_eq!(raw, regup(&both)[..raw.len()]);
    assert_eq!(both.notes.len(), 1);
    assert!(both.notes[0].text.contains("`source` left out"), "{}", both.notes[0]);
}

#[test]
fn a_year_of_loads_by_zone() {
    let Some(book) = read("raw_ercot/Native_Load_2023.xlsx", "ercot", None) else { return };
    let lines = check_each(&book);
    let ercot = lines.lines().find(|l| l.starts_with("ERCOT")).unwrap();
    assert_eq!(
        ercot,
        "ERCOT (LOAD): 8760 rows from 2023-01-01T06:00:00Z to 2024-01-01T06:00:00Z; \
         highest 85464.116 MW at 2023-08-10T22:00:00Z"
    );
    assert_eq!((book.loads.len(), book.notes.len(), book.series.len()), (9, 0, 0));
    assert!(book.loads.iter().all(|l| l.rows.len() == 8_760));
    // The whole is its zones, but for what each cell was rounded by.
    let part = |at: usize| -> i64 {
        let zones = book.loads.iter().filter(|l| l.point.name != "ERCOT");
        zones.map(|l| l.rows[at].power.0).sum()
    };
    let whole = book.loads.iter().find(|l| l.point.name == "ERCOT").unwrap();
    assert!(whole.rows.iter().enumerate().all(|(at, r)| (r.power.0 - part(at)).abs() <= 8));
    // Three years by way of another program, to a tenth of a megawatt: the last is this one.
    let file = "ercot_native_load_hourly_2021_2023.csv.gz";
    let three = read(file, "ercot", None).unwrap();
    assert_eq!((three.loads.len(), three.notes.len()), (9, 0));
    let rounded = three.loads.iter().find(|l| l.point.name == "ERCOT").unwrap();
    assert_eq!(rounded.rows.len(), 26_279);
    for (exact, near) in whole.rows.iter().zip(&rounded.rows[26_279 - 8_759..]) {
        assert_eq!(exact.interval, near.interval);
        assert!((exact.power.0 - near.power.0).abs() <= 50_000, "{}", exact.interval);
    }
}

#[test]
fn the_map_of_the_network() {
    let file = "raw_ercot/Settlement_Points_electrical_bus_mapping_2025-04.csv.gz";
    let Some(parsed) = read(file, "ercot", None) else { return };
    assert_eq!((parsed.kind, parsed.map.len()), (FileKind::ErcotNp4160, 18_143));
    assert!(parsed.notes.is_empty() && parsed.series.is_empty());
    let zones = |substation: &str| -> BTreeSet<&str> {
        let there = parsed.map.iter().filter(|m| m.substation == substation);
        there.map(|m| m.zone.as_str()).collect()
    };
    assert_eq!(zones("SNDSW"), BTreeSet::from(["LZ_SOUTH"]));
    assert_eq!(zones("NAVARRO"), BTreeSet::from(["LZ_NORTH"]));
    assert_eq!(zones("ODEHV"), BTreeSet::from(["LZ_WEST"]));
    let bus = parsed.map.iter().find(|m| m.bus == "5005EB").unwrap();
    assert_eq!(bus.hub, "HB_WEST");
}

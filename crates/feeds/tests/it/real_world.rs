//! Files of markets other than ERCOT as they are published: counts, means and extremes.

use crate::real::read;
use headgate_feeds::{Parsed, SeriesKind};

/// Each series: rows, first start, mean, lowest, highest, negatives; then loads and notes.
fn check(parsed: &Parsed) -> String {
    let mut text = format!("{}\n", parsed.kind);
    for series in &parsed.series {
        let prices: Vec<i64> = series.rows.iter().map(|r| r.price.0).collect();
        let sum: i128 = prices.iter().map(|p| i128::from(*p)).sum();
        let mean = sum / i128::try_from(prices.len()).unwrap() / 10_000;
        let (low, high) = (prices.iter().min().unwrap(), prices.iter().max().unwrap());
        let negative = prices.iter().filter(|p| **p < 0).count();
        text += &format!(
            "{} {}: {} from {}, mean {mean} cents, {} to {} cents, {negative} negative\n",
            series.point,
            series.kind,
            prices.len(),
            series.rows[0].interval.start,
            low / 10_000,
            high / 10_000,
        );
    }
    for load in &parsed.loads {
        let high = load.rows.iter().max_by_key(|r| r.power).unwrap();
        text += &format!("{} {} loads, highest {}\n", load.point, load.rows.len(), high.power);
    }
    for note in &parsed.notes {
        text += &format!("note: {:?} {}\n", note.kind, note.count);
    }
    text
}

#[test]
fn half_a_year_of_victoria_has_prices_and_demand() {
    let file = "aemo_nem_VIC1_price_demand_5min_2024-12_2025-05.csv.gz";
    let Some(all) = read(file, "nem", None) else { return };
    insta::assert_snapshot!(check(&all), @"
    aemo_price
    VIC1 settlement: 52415 from 2024-11-30T14:00:00Z, mean 6381 cents, -100000 to 1134681 cents, 12044 negative
    VIC1 (LOAD) 52415 loads, highest 9887.280 MW
    ");
    assert_eq!(all.loads[0].rows.len(), all.series[0].rows.len());
}

#[test]
fn a_year_of_dutch_imbalance_has_two_prices_and_every_period() {
    let file = "tennet_nl_imbalance_settlement_15min_2024.csv.gz";
    let Some(all) = read(file, "tennet_nl", None) else { return };
    insta::assert_snapshot!(check(&all), @"
    tennet_imbalance
     settlement: 35136 from 2023-12-31T23:00:00Z, mean 9621 cents, -159310 to 288800 cents, 5770 negative
     surplus: 35136 from 2023-12-31T23:00:00Z, mean 6617 cents, -186169 to 288800 cents, 8701 negative
    note: Unordered 6
    ");
}

#[test]
fn gansu_has_no_price_below_its_floor_but_missing_ones() {
    let file = "china_gansu_spot_15min_2024-01-01_2024-10-23.csv.gz";
    let Some(all) = read(file, "gansu", None) else { return };
    insta::assert_snapshot!(check(&all), @"
    provincial
     settlement: 28512 from 2023-12-31T16:00:00Z, mean 22785 cents, 0 to 65000 cents, 0 negative
     day_ahead: 28512 from 2023-12-31T16:00:00Z, mean 21741 cents, 4000 to 62000 cents, 0 negative
    note: Beyond 152
    ");
    let zeros = |kind| {
        let series = all.series.iter().find(|s| s.kind == kind).unwrap();
        series.rows.iter().filter(|r| r.price.0 == 0).count()
    };
    let zeros = zeros(SeriesKind::DayAhead) + zeros(SeriesKind::Settlement);
    let told = all.notes.iter().find(|n| n.text.contains("most likely missing data")).unwrap();
    assert!(told.text.ends_with(&format!("missing data: {zeros}")), "{}", told.text);
}

#[test]
fn two_years_of_california_by_the_hour() {
    let file = "caiso_dam_lmp_3hubs_and_as_hourly_2023_2024.csv.gz";
    let path_read = read_day_ahead(file);
    let Some(all) = path_read else { return };
    insta::assert_snapshot!(check(&all), @"
    canonical
    TH_SP15_GEN-APND day_ahead: 17272 from 2023-01-12T08:00:00Z, mean 4412 cents, -6708 to 124763 cents, 1518 negative
    note: ColumnIgnored 6
    ");
}

fn read_day_ahead(file: &str) -> Option<Parsed> {
    use headgate_core::market::PriceKind;
    use headgate_feeds::{Market, Options, load_with, settlement_point};
    let path = crate::real::data()?.join(file);
    let options = Options {
        kind: Some(PriceKind::DayAhead),
        column: Some("TH_SP15_GEN-APND".into()),
        point: Some(settlement_point("TH_SP15_GEN-APND", "")),
        ..Options::default()
    };
    Some(load_with(&path, &Market::shipped("caiso").unwrap(), &options).unwrap())
}

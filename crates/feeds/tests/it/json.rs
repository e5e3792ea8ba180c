//! JSON answers: the Public API's arrays in the order of their fields, and the dashboards.

use crate::common::{parse_with, show};
use headgate_core::market::PriceKind;
use headgate_feeds::{Options, settlement_point};

fn check(options: &Options, text: &str) -> String {
    show(&parse_with("ercot", options, text.as_bytes()))
}

fn any(text: &str) -> String {
    check(&Options::default(), text)
}

fn answer(fields: &[&str], data: &str) -> String {
    let fields: Vec<String> =
        fields.iter().map(|f| format!("{{\"name\":\"{f}\",\"dataType\":\"X\"}}")).collect();
    format!(
        "{{\"_meta\":{{\"totalPages\":1}},\"fields\":[{}],\"data\":{data},\"_links\":{{}}}}",
        fields.join(",")
    )
}

const SPP: [&str; 7] = [
    "deliveryDate",
    "deliveryHour",
    "deliveryInterval",
    "settlementPoint",
    "settlementPointType",
    "settlementPointPrice",
    "DSTFlag",
];

#[test]
fn rows_are_read_in_the_order_of_the_fields() {
    let rows = r#"[["2025-04-10",19,2,"LZ_WEST","LZ",41.1,false],
                   ["2025-04-10",19,2,"LZ_WEST","LZEW",43.05,false]]"#;
    insta::assert_snapshot!(any(&answer(&SPP, rows)), @"
    ercot_np6_905 Settlement
    LZ_WEST (LZ) 2025-04-10T23:15:00Z +15 min 41.10/MWh known 2025-04-10T23:32:00Z
    LZ_WEST (LZEW) 2025-04-10T23:15:00Z +15 min 43.05/MWh known 2025-04-10T23:32:00Z
    ");
    let mut fields = SPP;
    fields.reverse();
    let rows = r#"[[false,-41.123456,"LZ","LZ_WEST",2,19,"2025-04-10"]]"#;
    insta::assert_snapshot!(any(&answer(&fields, rows)), @"
    ercot_np6_905 Settlement
    LZ_WEST (LZ) 2025-04-10T23:15:00Z +15 min -41.12/MWh known 2025-04-10T23:32:00Z
    ");
}

#[test]
fn the_repeated_hour_is_told_by_a_bool() {
    let fields = ["SCEDTimestamp", "repeatHourFlag", "settlementPoint", "LMP"];
    let rows = r#"[["2025-11-02T01:00:12",false,"LZ_WEST",1],
                   ["2025-11-02T01:00:14",true,"LZ_WEST",2.5e0]]"#;
    let got = any(&answer(&fields, rows));
    let rows: Vec<&str> = got.lines().take(3).collect();
    insta::assert_snapshot!(rows.join("\n"), @"
    ercot_np6_788 Dispatch
    LZ_WEST (LZ) 2025-11-02T06:00:12Z +5 min 1.00/MWh known 2025-11-02T06:00:32Z
    LZ_WEST (LZ) 2025-11-02T07:00:14Z +5 min 2.50/MWh known 2025-11-02T07:00:34Z
    ");
}

#[test]
fn a_day_ahead_answer_is_told_by_its_fields() {
    let fields =
        ["deliveryDate", "hourEnding", "settlementPoint", "settlementPointPrice", "DSTFlag"];
    let rows = r#"[["2025-04-11","24:00","LZ_WEST",12.34,false]]"#;
    insta::assert_snapshot!(any(&answer(&fields, rows)), @"
    ercot_np4_190 DayAhead
    LZ_WEST (LZ) 2025-04-12T04:00:00Z +60 min 12.34/MWh known 2025-04-10T18:30:00Z
    ");
}

#[test]
fn a_price_keeps_its_digits() {
    // As a binary float this would end in ...93.
    let rows = r#"[["2025-04-10",19,2,"LZ_WEST","LZ",9007199254.740993,false]]"#;
    let text = answer(&SPP, rows);
    let parsed = parse_with("ercot", &Options::default(), text.as_bytes()).unwrap();
    assert_eq!(parsed.series[0].rows[0].price.0, 9_007_199_254_740_993);
}

#[test]
fn bad_answers_are_refused_by_row_and_field() {
    let told = |data: &str| any(&answer(&SPP, data));
    insta::assert_snapshot!(told("[]"), @"failed to read x.csv: the answer has no rows; what is missing stays unknown");
    insta::assert_snapshot!(told(r#"[["2025-04-10",19,2,"LZ_WEST","LZ",null,false]]"#), @"failed to read x.csv:data line 1, column settlementPointPrice: an empty field where a number is expected; a missing price is not zero: leave the row out");
    insta::assert_snapshot!(told(r#"[["2025-04-10",19,2,"LZ_WEST","LZ",1]]"#), @"failed to read x.csv:data line 1: it has 6 fields where the header has 7; the file is cut short or damaged: fetch it again");
    insta::assert_snapshot!(told(r#"[["2025-04-10",19,2,["LZ_WEST"],"LZ",1,false]]"#), @r#"failed to read x.csv: `["LZ_WEST"]` stands where one value is expected; fetch it again"#);
    insta::assert_snapshot!(any("{\"fields\":[{\"name\":\"deliv"), @"failed to read x.csv: the JSON is cut short; fetch it again");
    insta::assert_snapshot!(any("[1, 2]"), @"failed to read x.csv: it is no JSON of a known form: invalid type: sequence, expected a map at line 1 column 0; fetch it again");
    insta::assert_snapshot!(any(r#"{"statusCode":401,"message":"Access denied"}"#), @"failed to read x.csv: it is a message instead of prices, `Access denied`; mend what it says");
    insta::assert_snapshot!(any(r#"{"a":1,"b":2}"#), @"failed to read x.csv: no answer of a known kind has the keys `a`, `b`; give an answer with `fields` and `data`, or with `rtSppData`");
}

const DASHBOARD: &str = r#"{"lastUpdated":"2026-10-09 00:20:00-0500",
"rtSppData":[
 {"intervalEnding":"00:15","dstFlag":"N","hbHubAvg":46.7,"lzWest":65.55,"hbPan":null,
  "timestamp":"2026-10-09 00:15:00-0500","interval":1791522900000},
 {"intervalEnding":"00:30","dstFlag":"N","hbHubAvg":47.7,"lzWest":-0.01,
  "timestamp":"2026-10-09 00:30:00-0500","interval":1791523800000}],
"damSppData":[
 {"hourEnding":1,"dstFlag":"N","lzWest":63.12,"timestamp":"2026-10-09 01:00:00-0500"}]}"#;

#[test]
fn a_dashboard_stamps_the_ends_of_its_intervals() {
    insta::assert_snapshot!(any(DASHBOARD), @"
    ercot_dashboard Settlement
    HB_HUBAVG 2026-10-09T05:00:00Z +15 min 46.70/MWh known 2026-10-09T05:17:00Z
    HB_HUBAVG 2026-10-09T05:15:00Z +15 min 47.70/MWh known 2026-10-09T05:32:00Z
    LZ_WEST (LZ) 2026-10-09T05:00:00Z +15 min 65.55/MWh known 2026-10-09T05:17:00Z
    LZ_WEST (LZ) 2026-10-09T05:15:00Z +15 min -0.01/MWh known 2026-10-09T05:32:00Z
    LZ_WEST (LZ) 2026-10-09T05:00:00Z +60 min 63.12/MWh known 2026-10-08T18:30:00Z
    ");
    let of = |kind, name| Options {
        point: Some(settlement_point(name, "")),
        kind: Some(kind),
        ..Options::default()
    };
    insta::assert_snapshot!(check(&of(PriceKind::DayAhead, "LZ_WEST"), DASHBOARD), @"
    ercot_dashboard DayAhead
    LZ_WEST (LZ) 2026-10-09T05:00:00Z +60 min 63.12/MWh known 2026-10-08T18:30:00Z
    ");
    // A point without a price is missing, which is not zero.
    insta::assert_snapshot!(check(&of(PriceKind::Settlement, "HB_PAN"), DASHBOARD), @"failed to read x.csv: it has no price of HB_PAN; it has HB_HUBAVG, LZ_WEST; name a settlement point and type the file has");
}

#[test]
fn a_dashboard_without_prices_is_told_by_name() {
    let prc = r#"{"lastUpdated":"x","current_condition":{"eea_level":0},"data":[]}"#;
    insta::assert_snapshot!(any(prc), @"failed to read x.csv: it is the dashboard daily-prc, which holds no price; fetch the dashboard system-wide-prices");
    insta::assert_snapshot!(any(r#"{"rtSppData":[],"damSppData":[]}"#), @"failed to read x.csv: the answer has no rows; what is missing stays unknown");
    let bare = r#"{"rtSppData":[{"lzWest":1,"timestamp":"2026-10-09 00:15:00"}]}"#;
    insta::assert_snapshot!(any(bare), @"failed to read x.csv:rtSppData line 1, column timestamp: `2026-10-09 00:15:00` is no time with its offset; fetch it again");
}

//! Every kind of file in a few hand-made lines, good and bad.

use crate::common::{
    MONTH_HEADER, SPP_HEADER, pack_gz, pack_zip, pack_zst, parse, parse_for, show,
};
use headgate_core::market::PriceKind;
use headgate_core::time::{Interval, Span, Time};
use headgate_feeds::{Market, NoteKind, Options, Series, SeriesKind, settlement_point};

fn check(text: &str) -> String {
    show(&parse("ercot", text.as_bytes()))
}

fn check_for(point: (&str, &str), text: &str) -> String {
    show(&parse_for("ercot", Some(settlement_point(point.0, point.1)), text.as_bytes()))
}

pub const ZONES: &str = "\
DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,SettlementPointType,\
SettlementPointPrice,DSTFlag
04/10/2025,19,2,HB_WEST,HU,33.53,N
04/10/2025,19,2,LZ_WEST,LZ,41.10,N
04/10/2025,19,2,LZ_WEST,LZEW,43.05,N
04/10/2025,19,2,DC_E,LZ_DC,30.00,N
04/10/2025,19,2,DC_E,LZ_DCEW,30.50,N
";

#[test]
fn a_load_zone_is_not_its_energy_weighted_twin() {
    insta::assert_snapshot!(check_for(("LZ_WEST", ""), ZONES), @"
    ercot_np6_905 Settlement
    LZ_WEST (LZ) 2025-04-10T23:15:00Z +15 min 41.10/MWh known 2025-04-10T23:32:00Z
    ");
    insta::assert_snapshot!(check_for(("LZ_WEST", "LZEW"), ZONES), @"
    ercot_np6_905 Settlement
    LZ_WEST (LZEW) 2025-04-10T23:15:00Z +15 min 43.05/MWh known 2025-04-10T23:32:00Z
    ");
    insta::assert_snapshot!(check_for(("HB_WEST", ""), ZONES), @"
    ercot_np6_905 Settlement
    HB_WEST (HU) 2025-04-10T23:15:00Z +15 min 33.53/MWh known 2025-04-10T23:32:00Z
    ");
    insta::assert_snapshot!(check_for(("DC_E", ""), ZONES), @"failed to read x.csv: DC_E comes as type LZ_DC and LZ_DCEW, with different prices; name the type of the settlement point");
    insta::assert_snapshot!(check_for(("LZ_NORTH", ""), ZONES), @"failed to read x.csv: it has no price of LZ_NORTH (LZ); it has DC_E, HB_WEST, LZ_WEST; name a settlement point and type the file has");
    // A file without types has the zone itself, never the twin.
    let run = "SCEDTimestamp,RepeatedHourFlag,SettlementPoint,LMP\n\
               04/10/2025 18:20:11,N,LZ_WEST,40.00\n";
    insta::assert_snapshot!(check_for(("LZ_WEST", "LZ"), run), @"
    ercot_np6_788 Dispatch
    LZ_WEST (LZ) 2025-04-10T23:20:11Z +5 min 40.00/MWh known 2025-04-10T23:20:31Z
    ");
    insta::assert_snapshot!(check_for(("LZ_WEST", "LZEW"), run), @"failed to read x.csv: it has no price of LZ_WEST (LZEW); it has LZ_WEST; name a settlement point and type the file has");
}

#[test]
fn padding_windows_line_ends_and_a_byte_order_mark_do_no_harm() {
    let run = "\u{feff}SCEDTimestamp , RepeatedHourFlag,Settlement Point,LMP\r\n\
               04/10/2025 18:20:11,N, HB_WEST ,       27.04\r\n\
               04/10/2025 18:25:09,N, HB_WEST ,      -27.00\r\n";
    insta::assert_snapshot!(check(run), @"
    ercot_np6_788 Dispatch
    HB_WEST 2025-04-10T23:20:11Z +5 min 27.04/MWh known 2025-04-10T23:20:31Z
    HB_WEST 2025-04-10T23:25:09Z +5 min -27.00/MWh known 2025-04-10T23:25:29Z
    ");
}

#[test]
fn hour_24_is_of_its_own_date() {
    let dam = "DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag\n\
               04/11/2025,24:00,LZ_WEST, 31.61,N\n\
               04/11/2025,01:00,LZ_WEST, 30.00,N\n";
    insta::assert_snapshot!(check(dam), @"
    ercot_np4_190 DayAhead
    LZ_WEST (LZ) 2025-04-11T05:00:00Z +60 min 30.00/MWh known 2025-04-10T18:30:00Z
    LZ_WEST (LZ) 2025-04-12T04:00:00Z +60 min 31.61/MWh known 2025-04-10T18:30:00Z
    note: x.csv: intervals missing: 22;
        gaps: 1,
        the longest [2025-04-11T06:00:00Z,
        2025-04-12T04:00:00Z)
    note: x.csv: rows out of time order,
        now sorted: 1
    ");
    let bad = dam.replace("24:00", "25:00");
    insta::assert_snapshot!(check(&bad), @"failed to read x.csv line 2, column HourEnding: `25:00` is not an hour ending from 1 to 24; fetch the file again, or leave the row out");
}

/// A local day in every quarter hour that the table of hours names.
fn day(date: &str, hours: &[(u32, &str)], flag: bool) -> String {
    let mut text = if flag { SPP_HEADER.to_owned() } else { SPP_HEADER.replace(",DSTFlag", "") };
    for (hour, mark) in hours {
        for quarter in 1..=4 {
            let mark = if flag { format!(",{mark}") } else { String::new() };
            text += &format!("{date},{hour},{quarter},HB_WEST,HU,{hour}.{quarter}{mark}\n");
        }
    }
    text
}

fn hours(list: impl IntoIterator<Item = u32>) -> Vec<(u32, &'static str)> {
    list.into_iter().map(|h| (h, "N")).collect()
}

fn count(text: &str) -> (usize, Vec<NoteKind>) {
    let parsed = parse("ercot", text.as_bytes()).unwrap();
    (parsed.series[0].rows.len(), parsed.notes.iter().map(|n| n.kind).collect())
}

#[test]
fn short_and_long_days_are_whole() {
    let spring = hours((1..=24).filter(|h| *h != 3));
    assert_eq!(count(&day("03/09/2025", &spring, true)), (92, vec![]));
    assert_eq!(count(&day("03/09/2025", &spring, false)), (92, vec![]));
    let mut autumn = hours(1..=24);
    autumn.insert(2, (2, "Y"));
    assert_eq!(count(&day("11/02/2025", &autumn, true)), (100, vec![]));
    assert_eq!(count(&day("11/01/2025", &hours(1..=24), false)), (96, vec![]));
    let gap = hours((1..=24).filter(|h| *h != 12));
    assert_eq!(count(&day("11/01/2025", &gap, true)), (92, vec![NoteKind::Gap]));
}

#[test]
fn hours_that_are_no_moment_are_refused() {
    // An autumn day without the flag: which of the two passes is hour 2?
    insta::assert_snapshot!(check(&day("11/02/2025", &hours(1..=24), false)), @"failed to read x.csv line 6, column DeliveryHour: this local hour happens twice, because the clocks go back, and the file does not say which is meant; use the file with a DSTFlag or RepeatedHourFlag column");
    // The spring hour that the clocks go over, and a second pass where there is one only.
    insta::assert_snapshot!(check(&day("03/09/2025", &hours(2..=4), true)), @"failed to read x.csv line 6, column DeliveryHour: this local hour does not exist, because the clocks go forward over it; fetch the file again, or leave the row out");
    insta::assert_snapshot!(check(&day("07/09/2025", &[(2, "Y")], true)), @"failed to read x.csv line 2, column DeliveryHour: the row is marked as the second pass of a repeated hour, and this hour happens once; fetch the file again, or leave the row out");
}

#[test]
fn bad_fields_name_file_line_column_and_mend() {
    let good = format!(
        "{SPP_HEADER}04/10/2025,19,1,HB_WEST,HU,33.53,N\n04/10/2025,19,2,HB_WEST,HU,35,N\n"
    );
    assert_eq!(count(&good), (2, vec![]));
    let bad = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        check(&good.replacen(from, to, 1))
    };
    insta::assert_snapshot!(bad("33.53", "NaN"), @"failed to read x.csv line 2, column SettlementPointPrice: `NaN` is not a finite number; a missing price is not zero: leave the row out");
    insta::assert_snapshot!(bad("33.53", ""), @"failed to read x.csv line 2, column SettlementPointPrice: an empty field where a number is expected; a missing price is not zero: leave the row out");
    insta::assert_snapshot!(bad("33.53", "33,53"), @"failed to read x.csv line 2: it has 8 fields where the header has 7; the file is cut short or damaged: fetch it again");
    insta::assert_snapshot!(bad("33.53", "1e30"), @"failed to read x.csv line 2, column SettlementPointPrice: `1e30` is out of range; a missing price is not zero: leave the row out");
    insta::assert_snapshot!(bad("04/10/2025", "13/10/2025"), @"failed to read x.csv line 2, column DeliveryDate: `13/10/2025` is not a date; write it as MM/DD/YYYY or YYYY-MM-DD");
    insta::assert_snapshot!(bad(",19,", ",0,"), @"failed to read x.csv line 2, column DeliveryHour: `0` is not an hour ending from 1 to 24; fetch the file again, or leave the row out");
    insta::assert_snapshot!(bad(",19,1", ",19,5"), @"failed to read x.csv line 2, column DeliveryInterval: `5` is not an interval from 1 to 4; fetch the file again, or leave the row out");
    insta::assert_snapshot!(bad(",N\n", ",maybe\n"), @"failed to read x.csv line 2, column DSTFlag: `maybe` is not Y or N; fetch the file again, or leave the row out");
    insta::assert_snapshot!(bad(",HU,35,N\n", ""), @"failed to read x.csv line 3: it has 4 fields where the header has 7; the file is cut short or damaged: fetch it again");
    insta::assert_snapshot!(bad(",SettlementPointPrice", ""), @"failed to read x.csv line 1: a file of kind ercot_np6_905 is recognised, but the column SettlementPointPrice is missing; fetch the file again, or put its header right");
    insta::assert_snapshot!(bad(",SettlementPointType", ""), @"failed to read x.csv line 1: a file of kind ercot_np6_905 is recognised, but the column SettlementPointType is missing; fetch the file again, or put its header right");
    insta::assert_snapshot!(bad(&good, SPP_HEADER), @"failed to read x.csv: it has a header and no rows; fetch the file again");
    insta::assert_snapshot!(bad(&good, ""), @"failed to read x.csv: it is empty; fetch the file again");
    insta::assert_snapshot!(bad(&good, "<html><body>Access denied</body></html>\n"), @"failed to read x.csv: it is a web page, not data; see in a browser what the address answers");
    insta::assert_snapshot!(bad(&good, "interval_start_utc,hb_west\n2025-04-10T00:00:00Z,3\n"), @"failed to read x.csv line 1: a file of kind canonical needs a column for each point, and none is named in capitals; name the columns by point, for example HB_WEST");
}

#[test]
fn a_bad_row_of_another_point_costs_nothing() {
    let text =
        format!("{SPP_HEADER}04/10/2025,19,1,OTHER,RN,NaN,N\n04/10/2025,19,1,HB_WEST,HU,35,N\n");
    insta::assert_snapshot!(check_for(("HB_WEST", "HU"), &text), @"
    ercot_np6_905 Settlement
    HB_WEST (HU) 2025-04-10T23:00:00Z +15 min 35.00/MWh known 2025-04-10T23:17:00Z
    ");
    insta::assert_snapshot!(check(&text), @"failed to read x.csv line 2, column SettlementPointPrice: `NaN` is not a finite number; a missing price is not zero: leave the row out");
}

#[test]
fn a_price_beyond_the_dated_cap_is_kept_and_told() {
    let text = format!(
        "{SPP_HEADER}08/20/2024,20,1,HB_WEST,HU,5100.00,N\n\
         08/20/2024,20,2,HB_WEST,HU,5250.01,N\n\
         08/20/2024,20,3,HB_WEST,HU,9000.00,N\n\
         08/20/2024,20,4,HB_WEST,HU,-300.01,N\n"
    );
    insta::assert_snapshot!(check(&text), @"
    ercot_np6_905 Settlement
    HB_WEST (HU) 2024-08-21T00:00:00Z +15 min 5100.00/MWh known 2024-08-21T00:17:00Z
    HB_WEST (HU) 2024-08-21T00:15:00Z +15 min 5250.01/MWh known 2024-08-21T00:32:00Z
    HB_WEST (HU) 2024-08-21T00:30:00Z +15 min 9000.00/MWh known 2024-08-21T00:47:00Z
    HB_WEST (HU) 2024-08-21T00:45:00Z +15 min -300.01/MWh known 2024-08-21T01:02:00Z
    note: x.csv: prices beyond the dated bounds,
        all of them kept: 3;
        the farthest is 9000.00/MWh at HB_WEST 2024-08-21T00:30:00Z,
        above the cap of 5000.00/MWh
    ");
    // The same prices under the cap of their own time are ordinary.
    insta::assert_snapshot!(check(&text.replace("2024", "2021").replace("-300.01", "-299.99")), @"
    ercot_np6_905 Settlement
    HB_WEST (HU) 2021-08-21T00:00:00Z +15 min 5100.00/MWh known 2021-08-21T00:17:00Z
    HB_WEST (HU) 2021-08-21T00:15:00Z +15 min 5250.01/MWh known 2021-08-21T00:32:00Z
    HB_WEST (HU) 2021-08-21T00:30:00Z +15 min 9000.00/MWh known 2021-08-21T00:47:00Z
    HB_WEST (HU) 2021-08-21T00:45:00Z +15 min -299.99/MWh known 2021-08-21T01:02:00Z
    ");
}

#[test]
fn rows_are_sorted_and_the_last_of_an_interval_counts() {
    let text = format!(
        "{MONTH_HEADER}08/01/2024,1,2,N,HB_WEST,HU,15.57\n\
         08/01/2024,1,1,N,HB_WEST,HU,16.4\n\
         08/01/2024,1,2,N,HB_WEST,HU,15.60\n"
    );
    insta::assert_snapshot!(check(&text), @"
    ercot_np6_785 Settlement
    HB_WEST (HU) 2024-08-01T05:00:00Z +15 min 16.40/MWh known 2024-08-01T05:17:00Z
    HB_WEST (HU) 2024-08-01T05:15:00Z +15 min 15.60/MWh known 2024-08-01T05:32:00Z
    note: x.csv: rows that came again: 1;
        the last of each counts
    note: x.csv: rows that came again with another value: 1;
        the first is of [2024-08-01T05:15:00Z,
        2024-08-01T05:30:00Z)
    note: x.csv: rows out of time order,
        now sorted: 1
    ");
}

#[test]
fn canonical_files() {
    let wide = "interval_start_utc,HB_WEST,LZ_WEST,implied_adder\n\
                2024-06-01T05:00:00Z,17.69,18,0.1\n2024-06-01T05:15:00Z,18.33,19,0.1\n";
    insta::assert_snapshot!(check(wide), @"
    canonical Settlement
    HB_WEST 2024-06-01T05:00:00Z +15 min 17.69/MWh known 2024-06-01T05:17:00Z
    HB_WEST 2024-06-01T05:15:00Z +15 min 18.33/MWh known 2024-06-01T05:32:00Z
    LZ_WEST (LZ) 2024-06-01T05:00:00Z +15 min 18.00/MWh known 2024-06-01T05:17:00Z
    LZ_WEST (LZ) 2024-06-01T05:15:00Z +15 min 19.00/MWh known 2024-06-01T05:32:00Z
    note: x.csv: `implied_adder` left out: a point is named in capitals
    ");
    insta::assert_snapshot!(check_for(("LZ_WEST", ""), wide), @"
    canonical Settlement
    LZ_WEST (LZ) 2024-06-01T05:00:00Z +15 min 18.00/MWh known 2024-06-01T05:17:00Z
    LZ_WEST (LZ) 2024-06-01T05:15:00Z +15 min 19.00/MWh known 2024-06-01T05:32:00Z
    note: x.csv: `implied_adder` left out: a point is named in capitals
    ");
    insta::assert_snapshot!(check_for(("LZ_WEST", "LZEW"), wide), @"failed to read x.csv: it has no price of LZ_WEST (LZEW); it has HB_WEST, LZ_WEST; name a settlement point and type the file has");
    insta::assert_snapshot!(check(&wide.replace("05:15", "05:07")), @"failed to read x.csv line 3, column interval_start_utc: 2024-06-01T05:07:00Z is not the start of a 15 min interval; give the start of each settlement interval");
    let single = "interval_start_utc,spp_usd_mwh\n2021-01-08T06:00:00Z,17.67\n";
    insta::assert_snapshot!(check_for(("HB_HOUSTON", "HU"), single), @"
    canonical_spp Settlement
    HB_HOUSTON (HU) 2021-01-08T06:00:00Z +15 min 17.67/MWh known 2021-01-08T06:17:00Z
    ");
    insta::assert_snapshot!(check(single), @"
    canonical_spp Settlement
     2021-01-08T06:00:00Z +15 min 17.67/MWh known 2021-01-08T06:17:00Z
    ");
    insta::assert_snapshot!(check("t,price\n0,19.67\n1,27.55\n3,26.51\n"), @"
    indexed Settlement
     2025-01-01T00:00:00Z +15 min 19.67/MWh known 2025-01-01T00:17:00Z
     2025-01-01T00:15:00Z +15 min 27.55/MWh known 2025-01-01T00:32:00Z
     2025-01-01T00:45:00Z +15 min 26.51/MWh known 2025-01-01T01:02:00Z
    note: x.csv: intervals missing: 1;
        gaps: 1,
        the longest [2025-01-01T00:30:00Z,
        2025-01-01T00:45:00Z)
    ");
    insta::assert_snapshot!(check("t,price\n1735689600,19.67\n"), @"failed to read x.csv line 2, column t: `1735689600` is not an interval number from 0 to 1051200; for times write a column interval_start_utc");
    let sced = "SCEDTimestamp,repeatHourFlag,HB_HOUSTON,HB_WEST\n\
                2024-11-03T01:55:27,N,12.53,14.44\n2024-11-03T01:00:16,Y,12.46,14.23\n";
    insta::assert_snapshot!(check_for(("HB_WEST", "HU"), sced), @"
    sced_wide Dispatch
    HB_WEST (HU) 2024-11-03T06:55:27Z +5 min 14.44/MWh known 2024-11-03T06:55:47Z
    HB_WEST (HU) 2024-11-03T07:00:16Z +5 min 14.23/MWh known 2024-11-03T07:00:36Z
    ");
}

#[test]
fn a_stamp_at_the_end_is_read_by_its_market() {
    let text = "REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE\n\
                VIC1,2024/12/01 00:05:00,4181.58,91.84,TRADE\n";
    insta::assert_snapshot!(show(&parse("nem", text.as_bytes())), @"
    aemo_price Settlement
    VIC1 2024-11-30T14:00:00Z +5 min 91.84/MWh known 2024-11-30T14:06:00Z
    ");
    insta::assert_snapshot!(check(text), @"failed to read x.csv: a file of kind aemo_price does not go with the rules of market ercot; name the market the file is from");
}

#[test]
fn a_kind_can_be_told_only_where_the_file_leaves_it_open() {
    let told = |kind, text: &str| {
        let options = Options { kind: Some(kind), ..Options::default() };
        show(&crate::common::parse_with("ercot", &options, text.as_bytes()))
    };
    let wide = "interval_start_utc,HB_WEST\n2024-06-01T05:00:00Z,17.69\n";
    insta::assert_snapshot!(told(PriceKind::DayAhead, wide), @"
    canonical DayAhead
    HB_WEST 2024-06-01T05:00:00Z +60 min 17.69/MWh known 2024-05-31T18:30:00Z
    ");
    insta::assert_snapshot!(told(PriceKind::DayAhead, ZONES), @"failed to read x.csv: a file of kind ercot_np6_905 holds settlement prices; do not call it day_ahead");
}

#[test]
fn packed_files_are_recognised_by_their_first_bytes() {
    let plain = parse("ercot", ZONES.as_bytes()).unwrap();
    let twin = ("a_xml.zip", &b"<xml/>"[..]);
    let csv = ("a.csv", ZONES.as_bytes());
    let inner = pack_zip(&[twin, csv]);
    let packed = [
        pack_gz(ZONES.as_bytes()),
        pack_zst(ZONES.as_bytes()),
        pack_zip(&[csv, ("b.xml", b"<xml/>")]),
        pack_zip(&[("inner.zip", &inner)]),
    ];
    for bytes in packed {
        assert_eq!(parse("ercot", &bytes).unwrap(), plain);
    }
    let more = ZONES.replace("19,2", "19,3");
    let two = pack_zip(&[csv, ("b.csv", more.as_bytes())]);
    assert_eq!(parse("ercot", &two).unwrap().series[0].rows.len(), 2);
    let mixed = pack_zip(&[csv, ("b.csv", b"t,price\n0,1\n")]);
    insta::assert_snapshot!(show(&parse("ercot", &mixed)), @"failed to read x.csv:b.csv: it holds both ercot_np6_905 and indexed files; give them one by one");
    insta::assert_snapshot!(show(&parse("ercot", &pack_zip(&[("b.xml", b"<a/>")]))), @"failed to read x.csv:b.xml: an XML document `a` is of no known kind; fetch the CSV, or ENTSO-E's A44");
}

#[test]
fn what_is_cut_short_is_refused() {
    let long = ZONES;
    let cut = |bytes: Vec<u8>| show(&parse("ercot", &bytes[..bytes.len() * 2 / 3]));
    insta::assert_snapshot!(cut(pack_gz(long.as_bytes())), @"failed to unpack x.csv: the gzip is cut short; fetch the file again: incomplete deflate stream");
    insta::assert_snapshot!(cut(pack_zst(long.as_bytes())), @"failed to unpack x.csv: the zstd is cut short; fetch the file again: incomplete frame");
    insta::assert_snapshot!(cut(pack_zip(&[("a.csv", long.as_bytes())])), @"failed to unpack x.csv: the zip is cut short; fetch the file again: invalid Zip archive: Could not find EOCD");
    let mut flipped = pack_gz(long.as_bytes());
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    assert!(parse("ercot", &flipped).is_err());
    let mut flipped = pack_zip(&[("a.csv", long.as_bytes())]);
    flipped[60] ^= 0xff;
    assert!(parse("ercot", &flipped).is_err());
}

proptest::proptest! {
    #[test]
    fn what_is_written_as_np6_905_reads_the_same(
        first_day in 15_000i32..25_000,
        prices in proptest::collection::vec(-1_000_000_000i64..20_000_000_000, 1..300),
    ) {
        let market = Market::shipped("ercot").unwrap();
        let from = Time::from_seconds(i64::from(first_day) * 86_400);
        let (text, want) = crate::common::render_np6_905(&market, from, &prices);
        let got = parse("ercot", text.as_bytes()).unwrap();
        let point = settlement_point("LZ_WEST", "LZ");
        let want = vec![Series { point, kind: SeriesKind::Settlement, rows: want }];
        assert_eq!(got.series, want);
    }

    #[test]
    fn no_bytes_break_the_parser(bytes in proptest::collection::vec(0u8..=255, 0..300)) {
        assert!(parse("ercot", &bytes).is_err(), "noise is no price file");
        let mut text = ZONES.as_bytes().to_vec();
        text.extend(&bytes);
        // Whatever the tail says, either all of the file is taken or nothing.
        if let Ok(parsed) = parse("ercot", &text) {
            assert!(parsed.rows().count() >= 5);
        }
    }
}

#[test]
fn an_interval_shown_is_the_one_read() {
    let parsed = parse("ercot", ZONES.as_bytes()).unwrap();
    let start = Time::from_seconds(1_744_326_900);
    let want = Interval::starting(start, Span::minutes(15));
    assert!(parsed.rows().all(|(_, r)| r.interval == want));
}

//! ERCOT's files of reserve, adders, forecasts, loads and the network, in a few hand-made lines.

use crate::common::{pack_zip, parse, parse_for, show, show_all};
use headgate_core::time::Time;
use headgate_feeds::{NoteKind, Parsed, SeriesKind, settlement_point};

fn check(text: &str) -> String {
    show_all(&parse("ercot", text.as_bytes()))
}

#[test]
fn reserve_by_row_and_by_column() {
    let long = "DeliveryDate,HourEnding,AncillaryType,MCPC,DSTFlag\n\
                09/26/2026,01:00,RRS, 0.19,N\n09/26/2026,24:00,REGUP,1.5,N\n";
    insta::assert_snapshot!(check(long), @"
    ercot_np4_188
    REGUP (AS) capacity_day_ahead
      2026-09-27T04:00:00Z +60 min 1.50/MWh known 2026-09-25T18:30:00Z
    RRS (AS) capacity_day_ahead
      2026-09-26T05:00:00Z +60 min 0.19/MWh known 2026-09-25T18:30:00Z
    ");
    // A blank after REGUP, and ECRS that was not bought yet.
    let wide = "Delivery Date,Hour Ending,Repeated Hour Flag,REGDN,REGUP ,RRS,NSPIN,ECRS\r\n\
                06/09/2023,24:00,N,3.5,1.5,1.5,1.5,\r\n06/10/2023,01:00,N,4,2.05,2.05,0.25,10\r\n";
    insta::assert_snapshot!(check(wide), @"
    ercot_np4_181
    ECRS (AS) capacity_day_ahead
      2023-06-10T05:00:00Z +60 min 10.00/MWh known 2023-06-09T18:30:00Z
    NSPIN (AS) capacity_day_ahead
      2023-06-10T04:00:00Z +60 min 1.50/MWh known 2023-06-08T18:30:00Z
      2023-06-10T05:00:00Z +60 min 0.25/MWh known 2023-06-09T18:30:00Z
    REGDN (AS) capacity_day_ahead
      2023-06-10T04:00:00Z +60 min 3.50/MWh known 2023-06-08T18:30:00Z
      2023-06-10T05:00:00Z +60 min 4.00/MWh known 2023-06-09T18:30:00Z
    REGUP (AS) capacity_day_ahead
      2023-06-10T04:00:00Z +60 min 1.50/MWh known 2023-06-08T18:30:00Z
      2023-06-10T05:00:00Z +60 min 2.05/MWh known 2023-06-09T18:30:00Z
    RRS (AS) capacity_day_ahead
      2023-06-10T04:00:00Z +60 min 1.50/MWh known 2023-06-08T18:30:00Z
      2023-06-10T05:00:00Z +60 min 2.05/MWh known 2023-06-09T18:30:00Z
    ");
    let regup = parse_for("ercot", Some(settlement_point("REGUP", "")), wide.as_bytes());
    insta::assert_snapshot!(show(&regup), @"
    ercot_np4_181 CapacityDayAhead
    REGUP (AS) 2023-06-10T04:00:00Z +60 min 1.50/MWh known 2023-06-08T18:30:00Z
    REGUP (AS) 2023-06-10T05:00:00Z +60 min 2.05/MWh known 2023-06-09T18:30:00Z
    ");
    // A cell that is no number is not an empty one.
    insta::assert_snapshot!(check(&wide.replace("0.25", "n/a")), @"failed to read x.csv line 3, column NSPIN: `n/a` is not a number; a missing price is not zero: leave the row out");
    insta::assert_snapshot!(check(&long.replace(", 0.19", ",")), @"
    ercot_np4_188
    REGUP (AS) capacity_day_ahead
      2026-09-27T04:00:00Z +60 min 1.50/MWh known 2026-09-25T18:30:00Z
    ");
}

#[test]
fn reserve_in_real_time() {
    let quarter = "DeliveryDate,DeliveryHour,DeliveryInterval,RepeatedHourFlag,ASType,MCPC\n\
                   09/25/2026,20,1,N,ECRS,0.29\n09/25/2026,20,1,N,NSPIN,1.15\n";
    insta::assert_snapshot!(check(quarter), @"
    ercot_np6_331
    ECRS (AS) capacity_settlement
      2026-09-26T00:00:00Z +15 min 0.29/MWh known 2026-09-26T00:17:00Z
    NSPIN (AS) capacity_settlement
      2026-09-26T00:00:00Z +15 min 1.15/MWh known 2026-09-26T00:17:00Z
    ");
    let run = "SCEDTimestamp,RepeatedHourFlag,ASType,MCPC\n08/18/2026 11:40:18,N,RRS,2.5\n";
    insta::assert_snapshot!(check(run), @"
    ercot_np6_332
    RRS (AS) capacity_dispatch
      2026-08-18T16:40:18Z +5 min 2.50/MWh known 2026-08-18T16:40:38Z
    ");
    // Since autumn 2026 the price is told twice; the capped one is paid.
    let capped = run.replace("MCPC", "CappedMCPC,UncappedMCPC").replace("2.5", "2.5,7.5");
    assert_eq!(check(&capped), check(run));
}

#[test]
fn adders_of_both_designs() {
    let run = "SCEDTimestamp,RepeatedHourFlag,SystemLambda,RTRDPA,RTRDPARUS,RTRRUC,RTOLHSL\n\
               07/17/2026 11:25:16,N,16.0599,0,1.25,6,90000\n";
    insta::assert_snapshot!(check(run), @"
    ercot_np6_323
    RTRDPA (ADDER) adder_dispatch
      2026-07-17T16:25:16Z +5 min 0.00/MWh known 2026-07-17T16:25:36Z
    RTRDPARUS (ADDER) adder_dispatch
      2026-07-17T16:25:16Z +5 min 1.25/MWh known 2026-07-17T16:25:36Z
    SYSTEM_LAMBDA (ADDER) adder_dispatch
      2026-07-17T16:25:16Z +5 min 16.05/MWh known 2026-07-17T16:25:36Z
    note: x.csv: `RTRRUC`, `RTOLHSL` left out: they hold no price adder
    ");
    let old = "SCEDTimestamp,RepeatedHourFlag,BatchID,SystemLambda,PRC,RTORPA,RTOFFPA,RTOLCAP,\
               RTORDPA\n\
               08/20/2024 19:15:13,N,1,1095.02,3000,40.5,3.25,4000,12\n";
    insta::assert_snapshot!(check(old), @"
    ercot_np6_323
    RTOFFPA (ADDER) adder_dispatch
      2024-08-21T00:15:13Z +5 min 3.25/MWh known 2024-08-21T00:15:33Z
    RTORDPA (ADDER) adder_dispatch
      2024-08-21T00:15:13Z +5 min 12.00/MWh known 2024-08-21T00:15:33Z
    RTORPA (ADDER) adder_dispatch
      2024-08-21T00:15:13Z +5 min 40.50/MWh known 2024-08-21T00:15:33Z
    SYSTEM_LAMBDA (ADDER) adder_dispatch
      2024-08-21T00:15:13Z +5 min 1095.02/MWh known 2024-08-21T00:15:33Z
    note: x.csv: `BatchID`, `PRC`, `RTOLCAP` left out: they hold no price adder
    ");
    let quarter = "DeliveryDate,DeliveryHour,DeliveryInterval,RTRSVPOR,RTRSVPOFF,RTRDP,DSTFlag\n\
                   08/20/2024,20,2,40.93,3.00,12.00,N\n";
    insta::assert_snapshot!(check(quarter), @"
    ercot_np6_324
    RTRDP (ADDER) adder_settlement
      2024-08-21T00:15:00Z +15 min 12.00/MWh known 2024-08-21T00:32:00Z
    RTRSVPOFF (ADDER) adder_settlement
      2024-08-21T00:15:00Z +15 min 3.00/MWh known 2024-08-21T00:32:00Z
    RTRSVPOR (ADDER) adder_settlement
      2024-08-21T00:15:00Z +15 min 40.93/MWh known 2024-08-21T00:32:00Z
    ");
    let lambda = "SCEDTimeStamp,RepeatedHourFlag,SystemLambda\n07/17/2026 11:25:16,N,16.0599\n";
    insta::assert_snapshot!(check(lambda), @"
    ercot_np6_322
    SYSTEM_LAMBDA (ADDER) adder_dispatch
      2026-07-17T16:25:16Z +5 min 16.05/MWh known 2026-07-17T16:25:36Z
    ");
    let capped = "SCEDTimeStamp,RepeatedHourFlag,CappedSystemLambda,UncappedSystemLambda\n\
                  10/03/2026 11:25:16,N,16.0599,17\n";
    insta::assert_snapshot!(check(capped), @"
    ercot_np6_322
    SYSTEM_LAMBDA (ADDER) adder_dispatch
      2026-10-03T16:25:16Z +5 min 16.05/MWh known 2026-10-03T16:25:36Z
    note: x.csv: `UncappedSystemLambda` left out: they hold no price adder
    ");
}

const AHEAD: &str = "RTDTimestamp,RepeatedHourFlag,IntervalId,IntervalEnding,\
                     IntervalRepeatedHourFlag,SettlementPoint,SettlementPointType,LMP\n";

#[test]
fn each_run_foresees_the_next_hour_by_itself() {
    let text = format!(
        "{AHEAD}04/10/2025 18:20:01,N,1,04/10/2025 18:25:00,N,HB_WEST,HU,30\n\
         04/10/2025 18:20:01,N,2,04/10/2025 18:30:00,N,HB_WEST,HU,31\n\
         04/10/2025 18:25:02,N,1,04/10/2025 18:30:00,N,HB_WEST,HU,35\n\
         04/10/2025 18:25:02,N,2,04/10/2025 18:35:00,N,HB_WEST,HU,36\n"
    );
    // Two runs foresee 18:25 to 18:30, and both stay, each known when it ran.
    insta::assert_snapshot!(check(&text), @"
    ercot_np6_970
    HB_WEST (HU) look_ahead
      2025-04-10T23:20:00Z +5 min 30.00/MWh known 2025-04-10T23:20:21Z
      2025-04-10T23:25:00Z +5 min 31.00/MWh known 2025-04-10T23:20:21Z
      2025-04-10T23:25:00Z +5 min 35.00/MWh known 2025-04-10T23:25:22Z
      2025-04-10T23:30:00Z +5 min 36.00/MWh known 2025-04-10T23:25:22Z
    ");
    // The same run twice is one run.
    let again = format!("{text}04/10/2025 18:25:02,N,2,04/10/2025 18:35:00,N,HB_WEST,HU,37\n");
    let parsed = parse("ercot", again.as_bytes()).unwrap();
    assert_eq!(parsed.series[0].rows.len(), 4);
    assert_eq!(parsed.series[0].rows[3].price.to_string(), "37.00/MWh");
    let notes: Vec<NoteKind> = parsed.notes.iter().map(|n| n.kind).collect();
    assert_eq!(notes, [NoteKind::Duplicate, NoteKind::Conflict]);
    // Around the hour that comes twice, run and interval have each a mark of their own.
    let autumn = format!(
        "{AHEAD}11/02/2025 01:55:01,N,1,11/02/2025 01:00:00,Y,HB_WEST,HU,30\n\
         11/02/2025 01:00:01,Y,1,11/02/2025 01:05:00,Y,HB_WEST,HU,31\n"
    );
    insta::assert_snapshot!(check(&autumn), @"
    ercot_np6_970
    HB_WEST (HU) look_ahead
      2025-11-02T06:55:00Z +5 min 30.00/MWh known 2025-11-02T06:55:21Z
      2025-11-02T07:00:00Z +5 min 31.00/MWh known 2025-11-02T07:00:21Z
    ");
    let unsaid = autumn.replace("01:05:00,Y", "01:05:00,");
    insta::assert_snapshot!(check(&unsaid), @"failed to read x.csv line 3, column IntervalEnding: this local hour happens twice, because the clocks go back, and the file does not say which is meant; use the file with a DSTFlag or RepeatedHourFlag column");
}

#[test]
fn loads_by_zone() {
    let daily = "OperDay,HourEnding,COAST,EAST,FAR_WEST,TOTAL,DSTFlag\n\
                 08/10/2023,17:00,23000.125,3200.5,,26200.625,N\n\
                 08/10/2023,18:00,23100.000001,3201,1,26302.000001,N\n";
    insta::assert_snapshot!(check(daily), @"
    ercot_np6_345
    COAST (LOAD)
      2023-08-10T21:00:00Z +60 min 23000125000 W known 2023-08-11T11:00:00Z
      2023-08-10T22:00:00Z +60 min 23100000001 W known 2023-08-11T11:00:00Z
    EAST (LOAD)
      2023-08-10T21:00:00Z +60 min 3200500000 W known 2023-08-11T11:00:00Z
      2023-08-10T22:00:00Z +60 min 3201000000 W known 2023-08-11T11:00:00Z
    FAR_WEST (LOAD)
      2023-08-10T22:00:00Z +60 min 1000000 W known 2023-08-11T11:00:00Z
    TOTAL (LOAD)
      2023-08-10T21:00:00Z +60 min 26200625000 W known 2023-08-11T11:00:00Z
      2023-08-10T22:00:00Z +60 min 26302000001 W known 2023-08-11T11:00:00Z
    ");
    insta::assert_snapshot!(check(&daily.replace("3200.5", "3200.5 MW")), @"failed to read x.csv line 2, column EAST: `3200.5 MW` is not a number; a missing load is not zero: leave the row out");
    let native = "Hour Ending,COAST,ERCOT\n08/10/2023 23:00,1.5,40\n08/10/2023 24:00,2.5,41\n";
    insta::assert_snapshot!(check(native), @"
    ercot_native_load
    COAST (LOAD)
      2023-08-11T03:00:00Z +60 min 1500000 W known 2023-08-11T11:00:00Z
      2023-08-11T04:00:00Z +60 min 2500000 W known 2023-08-11T11:00:00Z
    ERCOT (LOAD)
      2023-08-11T03:00:00Z +60 min 40000000 W known 2023-08-11T11:00:00Z
      2023-08-11T04:00:00Z +60 min 41000000 W known 2023-08-11T11:00:00Z
    ");
    let one = parse_for("ercot", Some(settlement_point("COAST", "")), native.as_bytes()).unwrap();
    assert_eq!((one.loads.len(), one.loads[0].rows.len()), (1, 2));
    let none = parse_for("ercot", Some(settlement_point("HB_WEST", "")), native.as_bytes());
    insta::assert_snapshot!(show_all(&none), @"failed to read x.csv: it has no price of HB_WEST; it has COAST, ERCOT; name a settlement point and type the file has");
    insta::assert_snapshot!(show_all(&parse("generic", native.as_bytes())), @"failed to read x.csv: a file of kind ercot_native_load does not go with the rules of market generic; name the market the file is from");
}

#[test]
fn the_map_of_the_network_with_its_other_tables() {
    let map = "ELECTRICAL_BUS,NODE_NAME,SUBSTATION,SETTLEMENT_LOAD_ZONE,RESOURCE_NODE,HUB\n\
               5005EB,5005,ODEHV,LZ_WEST,,HB_WEST\n0014_EB,0014,DOWGEN,LZ_HOUSTON,DOW_G67,\n";
    let units = "RESOURCE_NODE,UNIT_SUBSTATION,UNIT_NAME\nDOW_G67,DOWGEN,G67\n";
    let zip = pack_zip(&[
        ("Resource_Node_to_Unit.csv", units.as_bytes()),
        ("Settlement_Points.csv", map.as_bytes()),
    ]);
    insta::assert_snapshot!(show_all(&parse("ercot", &zip)), @"
    ercot_np4_160
    0014_EB DOWGEN zone=LZ_HOUSTON hub= node=DOW_G67
    5005EB ODEHV zone=LZ_WEST hub=HB_WEST node=
    note: x.csv: passed over, because they hold no data known: `x.csv:Resource_Node_to_Unit.csv`
    ");
    // Beside prices a table that nobody knows is a mistake.
    let wrong = pack_zip(&[("a.csv", units.as_bytes()), ("b.csv", crate::parse::ZONES.as_bytes())]);
    insta::assert_snapshot!(show_all(&parse("ercot", &wrong)), @"failed to read x.csv:a.csv line 1: the header `RESOURCE_NODE,UNIT_SUBSTATION,UNIT_NAME` is of no known kind; give one of KINDS");
}

/// A local day of an hourly or quarter-hourly form: its rows by date, hour and mark.
fn day(
    header: &str,
    date: &str,
    repeated: bool,
    row: impl Fn(&str, u32, &str) -> String,
) -> String {
    let mut text = format!("{header}\n");
    for hour in 1..=24 {
        // The clocks go over hour 3 in spring and come back to hour 2 in autumn.
        if date == "03/09/2025" && hour == 3 {
            continue;
        }
        text += &row(date, hour, "N");
        if repeated && date == "11/02/2025" && hour == 2 {
            text += &row(date, hour, "Y");
        }
    }
    text
}

/// Rows of the first series or load, each an hour or quarter after the one before.
fn count(parsed: &Parsed) -> usize {
    let starts: Vec<Time> = match parsed.series.first() {
        Some(series) => series.rows.iter().map(|r| r.interval.start).collect(),
        None => parsed.loads[0].rows.iter().map(|r| r.interval.start).collect(),
    };
    assert_eq!(parsed.notes, [], "in order and without a gap");
    let end = match parsed.series.first() {
        Some(series) => series.rows[starts.len() - 1].interval.end,
        None => parsed.loads[0].rows[starts.len() - 1].interval.end,
    };
    // Hour 24 is of its own date: the day ends at the next local midnight.
    let midnight = [5, 6].iter().any(|h| end.0 % (86_400 * 1_000_000_000) == h * 3_600_000_000_000);
    assert!(midnight, "{end}");
    starts.len()
}

#[test]
fn days_on_which_the_clocks_change_are_whole_in_every_form() {
    type Row = fn(&str, u32, &str) -> String;
    let quarters: Row = |d, h, f| (1..=4).map(|q| format!("{d},{h},{q},{f},RRS,{h}\n")).collect();
    let adders: Row = |d, h, f| (1..=4).map(|q| format!("{d},{h},{q},{h},{f}\n")).collect();
    let months: Row =
        |d, h, f| (1..=4).map(|q| format!("{d},{h},{q},{f},HB_WEST,HU,{h}\n")).collect();
    let forms: [(&str, usize, Row); 8] = [
        (crate::common::MONTH_HEADER.trim_end(), 4, months),
        ("DeliveryDate,DeliveryHour,DeliveryInterval,RepeatedHourFlag,ASType,MCPC", 4, quarters),
        ("DeliveryDate,DeliveryHour,DeliveryInterval,RTRDP,DSTFlag", 4, adders),
        ("DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag", 1, |d, h, f| {
            format!("{d},{h:02}:00,HB_WEST,{h},{f}\n")
        }),
        ("DeliveryDate,HourEnding,AncillaryType,MCPC,DSTFlag", 1, |d, h, f| {
            format!("{d},{h:02}:00,RRS,{h},{f}\n")
        }),
        ("Delivery Date,Hour Ending,Repeated Hour Flag,REGDN,REGUP ", 1, |d, h, f| {
            format!("{d},{h:02}:00,{f},{h},{h}\n")
        }),
        ("OperDay,HourEnding,COAST,TOTAL,DSTFlag", 1, |d, h, f| {
            format!("{d},{h:02}:00,{h},{h},{f}\n")
        }),
        ("Hour Ending,COAST,ERCOT", 1, |d, h, f| {
            format!("{d} {h:02}:00{},{h},{h}\n", if f == "Y" { " DST" } else { "" })
        }),
    ];
    for (header, an_hour, row) in forms {
        let whole = |date| count(&parse("ercot", day(header, date, true, row).as_bytes()).unwrap());
        assert_eq!(whole("03/09/2025"), 23 * an_hour, "{header}");
        assert_eq!(whole("11/01/2025"), 24 * an_hour, "{header}");
        assert_eq!(whole("11/02/2025"), 25 * an_hour, "{header}");
        // Without the mark, hour 2 could be either pass.
        let unmarked = day(header, "11/02/2025", false, row).replace(",N", ",");
        let refusal = parse("ercot", unmarked.as_bytes()).unwrap_err().sentence();
        assert!(refusal.contains("this local hour happens twice"), "{header}: {refusal}");
        let both = day(header, "11/02/2025", true, row).replace(",N", ",").replace(",Y", ",");
        let refusal = parse("ercot", both.replace(" DST", "").as_bytes()).unwrap_err().sentence();
        assert!(refusal.contains("this local hour happens twice"), "{header}: {refusal}");
    }
}

#[test]
fn the_second_pass_comes_after_the_first() {
    let text = "Hour Ending,COAST,ERCOT\n11/02/2025 02:00 DST,2,2\n11/02/2025 02:00,1,1\n";
    let parsed = parse("ercot", text.as_bytes()).unwrap();
    let rows = &parsed.loads[0].rows;
    assert_eq!(rows[0].interval.start.to_string(), "2025-11-02T06:00:00Z");
    assert_eq!((rows[0].power.0, rows[1].power.0), (1_000_000, 2_000_000));
    assert_eq!(rows[1].interval.start, rows[0].interval.end);
}

#[test]
fn reserve_and_adders_are_never_taken_for_a_price_of_energy() {
    for kind in headgate_feeds::FileKind::ALL {
        let energy = kind.series_kind().is_some_and(|k| k.price_kind().is_some());
        let other = matches!(
            kind.series_kind(),
            None | Some(
                SeriesKind::CapacityDayAhead
                    | SeriesKind::CapacitySettlement
                    | SeriesKind::CapacityDispatch
                    | SeriesKind::AdderDispatch
                    | SeriesKind::AdderSettlement
                    | SeriesKind::Surplus
            )
        );
        assert_ne!(energy, other, "{kind}");
        assert!(headgate_feeds::parse::known_kinds().contains(kind.name()));
    }
}

//! Files of markets other than ERCOT, hand-made: each form, its odd days and its damage.

use crate::common::{pack_zip, parse, parse_for, parse_with, show_all};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_feeds::{NoteKind, Options, settlement_point};
use proptest::prelude::*;

fn check(market: &str, text: &str) -> String {
    show_all(&parse(market, text.as_bytes()))
}

const DISPATCHIS: &str = "\
C,NEMP.WORLD,DISPATCHIS,AEMO,PUBLIC,2025/01/01,00:00:11,1,DISPATCHIS,1
I,DISPATCH,CASE_SOLUTION,2,SETTLEMENTDATE,RUNNO,INTERVENTION
D,DISPATCH,CASE_SOLUTION,2,\"2025/01/01 00:05:00\",1,1
I,DISPATCH,PRICE,4,SETTLEMENTDATE,RUNNO,REGIONID,DISPATCHINTERVAL,INTERVENTION,RRP,RAISE6SECRRP
D,DISPATCH,PRICE,4,\"2025/01/01 00:05:00\",1,VIC1,1,0,-12.5,0.38
D,DISPATCH,PRICE,4,\"2025/01/01 00:05:00\",1,VIC1,1,1,300,9
I,DISPATCH,PRICE,5,SETTLEMENTDATE,REGIONID,RRP,INTERVENTION,LOWERREGRRP
D,DISPATCH,PRICE,5,\"2025/01/01 00:10:00\",VIC1,40.25,0,
I,DISPATCH,REGIONSUM,9,SETTLEMENTDATE,RUNNO,REGIONID,DISPATCHINTERVAL,INTERVENTION,TOTALDEMAND
D,DISPATCH,REGIONSUM,9,\"2025/01/01 00:05:00\",1,VIC1,1,0,4181.58
C,\"END OF REPORT\",11
";

#[test]
fn nemweb_rows_go_by_the_columns_before_them_and_stamps_are_ends() {
    insta::assert_snapshot!(check("nem", DISPATCHIS), @"
    nemweb_dispatch
    VIC1 dispatch
      2024-12-31T14:00:00Z +5 min -12.50/MWh known 2024-12-31T14:01:00Z
      2024-12-31T14:05:00Z +5 min 40.25/MWh known 2024-12-31T14:06:00Z
    VIC1_RAISE6SEC (AS) capacity_dispatch
      2024-12-31T14:00:00Z +5 min 0.38/MWh known 2024-12-31T14:01:00Z
    VIC1 (LOAD)
      2024-12-31T14:00:00Z +5 min 4181580000 W known 2024-12-31T14:06:00Z
    note: x.csv: rows of runs with an intervention left out, because they set no price: 1
    ");
    let only = parse_for("nem", Some(settlement_point("VIC1", "")), DISPATCHIS.as_bytes()).unwrap();
    assert_eq!(only.series.len(), 1, "reserve of the region is a point of its own");
    let zip = pack_zip(&[("PUBLIC_DISPATCHIS_202501010005_1.CSV", DISPATCHIS.as_bytes())]);
    assert_eq!(parse("nem", &zip).unwrap().series.len(), 2);
}

#[test]
fn a_kind_the_file_has_not_is_refused_and_one_it_has_is_taken_alone() {
    let asked = |kind| Options { kind: Some(kind), ..Options::default() };
    let dispatch = parse_with("nem", &asked(PriceKind::Dispatch), DISPATCHIS.as_bytes()).unwrap();
    assert_eq!(dispatch.series.len(), 1, "reserve was not asked for");
    let other = parse_with("nem", &asked(PriceKind::Settlement), DISPATCHIS.as_bytes());
    insta::assert_snapshot!(show_all(&other), @"failed to read x.csv: a file of kind nemweb_dispatch holds dispatch prices; do not call it settlement");
    let market = check("generic", &tennet("2024-06-01", 96));
    insta::assert_snapshot!(market, @"failed to read x.csv line 2, column Currency Unit Name: `EUR` is not the currency USD of market generic; name the market the file is from");
}

#[test]
fn trading_prices_settle() {
    let text = "C,NEMP.WORLD,TRADINGIS,AEMO,PUBLIC\n\
        I,TRADING,PRICE,3,SETTLEMENTDATE,RUNNO,REGIONID,PERIODID,RRP,LOWER1SECRRP\n\
        D,TRADING,PRICE,3,\"2025/01/01 00:05:00\",1,SA1,1,-63.45,0\n\
        C,\"END OF REPORT\",4\n";
    insta::assert_snapshot!(check("nem", text), @"
    nemweb_trading
    SA1 settlement
      2024-12-31T14:00:00Z +5 min -63.45/MWh known 2024-12-31T14:06:00Z
    SA1_LOWER1SEC (AS) capacity_settlement
      2024-12-31T14:00:00Z +5 min 0.00/MWh known 2024-12-31T14:06:00Z
    ");
}

#[test]
fn damaged_nemweb_files_are_refused() {
    let cut = DISPATCHIS.split("C,\"END").next().unwrap();
    let version = DISPATCHIS.replace("D,DISPATCH,PRICE,5", "D,DISPATCH,PRICE,4");
    let column = DISPATCHIS.replace("INTERVENTION,RRP,RAISE6", "INTERVENTION,PRP,RAISE6");
    let nan = DISPATCHIS.replace("-12.5", "NaN");
    let none = "C,A\nC,\"END OF REPORT\",2\n";
    let all = [cut, &version, &column, &nan, none].map(|text| check("nem", text));
    insta::assert_snapshot!(all.join("\n"), @"
    failed to read x.csv: its last line, END OF REPORT, is missing; the file is cut short: fetch it again
    failed to read x.csv line 8: it is of another table or version than the columns before it; fetch the file again
    failed to read x.csv line 4: a file of kind nemweb_dispatch is recognised, but the column RRP is missing; fetch the file again, or put its header right
    failed to read x.csv line 5, column RRP: `NaN` is not a finite number; a missing price is not zero: leave the row out
    failed to read x.csv: it has no table of prices; fetch PUBLIC_DISPATCHIS or PUBLIC_TRADINGIS
    ");
    insta::assert_snapshot!(check("ercot", DISPATCHIS), @"failed to read x.csv: a NEMWeb report does not go with the rules of market ercot; name the market the file is from");
}

const OASIS: &str = "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,NODE,MARKET_RUN_ID,\
                     LMP_TYPE,MW\n";

fn oasis(run: &str, end: &str) -> String {
    format!(
        "{OASIS}2025-03-01T08:00:00-00:00,2025-03-01T{end}:00-00:00,2025-03-01,1,SP15,{run},LMP,14.5\n\
         2025-03-01T08:00:00-00:00,2025-03-01T{end}:00-00:00,2025-03-01,1,SP15,{run},MCC,-1.5\n"
    )
}

#[test]
fn the_run_of_an_oasis_row_says_its_kind_and_its_times_its_length() {
    let day_ahead = oasis("DAM", "09:00");
    let settled = oasis("RTM", "08:05").replace(",MW\n", ",VALUE\n");
    let quarter = oasis("RTPD", "08:15").replace(",MW\n", ",PRC\n");
    let all = [day_ahead, settled, quarter].map(|text| check("caiso", &text));
    insta::assert_snapshot!(all.join("\n"), @"
    caiso_oasis
    SP15 day_ahead
      2025-03-01T08:00:00Z +60 min 14.50/MWh known 2025-02-28T21:00:00Z

    caiso_oasis
    SP15 settlement
      2025-03-01T08:00:00Z +5 min 14.50/MWh known 2025-03-01T08:10:00Z

    caiso_oasis
    SP15 dispatch
      2025-03-01T08:00:00Z +15 min 14.50/MWh known 2025-03-01T08:01:00Z
    ");
}

#[test]
fn damaged_oasis_files_and_answers_without_data_are_refused() {
    let error = "<?xml version=\"1.0\"?><m:OASISReport xmlns:m=\"u\"><m:ERROR>\
                 <m:ERR_CODE>1000</m:ERR_CODE><m:ERR_DESC>No data returned for the specified \
                 selection</m:ERR_DESC></m:ERROR></m:OASISReport>";
    let zip = pack_zip(&[("INVALID_REQUEST.xml", error.as_bytes())]);
    let mut all = vec![show_all(&parse("caiso", &zip))];
    let good = oasis("DAM", "09:00");
    for (from, to) in [("14.5", "NaN"), (",MW\n", ",MEGA\n"), ("T09:00", "T07:00"), ("DAM", "X")] {
        all.push(check("caiso", &good.replace(from, to)));
    }
    all.push(check("caiso", "<!DOCTYPE html><html><body>busy</body></html>"));
    insta::assert_snapshot!(all.join("\n"), @r#"
    failed to read x.csv:INVALID_REQUEST.xml: it holds no data, but the answer "No data returned for the specified selection" (1000); ask for another time or point
    failed to read x.csv line 2, column MW: `NaN` is not a finite number; a missing price is not zero: leave the row out
    failed to read x.csv line 1: a file of kind caiso_oasis is recognised, but the column MW or VALUE or PRC or LMP_PRC is missing; fetch the file again, or put its header right
    failed to read x.csv line 2, column INTERVALENDTIME_GMT: the interval [2025-03-01T08:00:00Z, 2025-03-01T07:00:00Z) is not one of an hour or less; fetch the file again, or leave the row out
    failed to read x.csv line 2, column MARKET_RUN_ID: `X` is not one of DAM, RTM, RTPD; fetch the file again, or leave the row out
    failed to read x.csv: it is a web page, not data; see in a browser what the address answers
    "#);
}

fn a44(curve: &str, resolution: &str, end: &str, points: &[(usize, &str)]) -> String {
    let points: String = points
        .iter()
        .map(|(at, p)| {
            format!("<Point><position>{at}</position><price.amount>{p}</price.amount></Point>\n")
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Publication_MarketDocument \
         xmlns=\"urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3\">\n<TimeSeries>\
         <in_Domain.mRID codingScheme=\"A01\">10YNL----------L</in_Domain.mRID>\
         <currency_Unit.name>EUR</currency_Unit.name><curveType>{curve}</curveType>\n<Period>\
         <timeInterval><start>2025-10-25T22:00Z</start><end>{end}</end></timeInterval>\
         <resolution>{resolution}</resolution>\n{points}</Period></TimeSeries>\n\
         </Publication_MarketDocument>\n"
    )
}

#[test]
fn a_curve_that_omits_repeats_holds_each_price_and_another_has_a_gap() {
    let points = [(1, "10.5"), (3, "-2")];
    let end = "2025-10-26T02:00Z";
    insta::assert_snapshot!(check("eu_day_ahead", &a44("A03", "PT60M", end, &points)), @"
    entsoe_a44
    10YNL----------L day_ahead
      2025-10-25T22:00:00Z +60 min 10.50/MWh known 2025-10-25T11:30:00Z
      2025-10-25T23:00:00Z +60 min 10.50/MWh known 2025-10-25T11:30:00Z
      2025-10-26T00:00:00Z +60 min -2.00/MWh known 2025-10-25T11:30:00Z
      2025-10-26T01:00:00Z +60 min -2.00/MWh known 2025-10-25T11:30:00Z
    ");
    insta::assert_snapshot!(check("eu_day_ahead", &a44("A01", "PT60M", end, &points)), @"
    entsoe_a44
    10YNL----------L day_ahead
      2025-10-25T22:00:00Z +60 min 10.50/MWh known 2025-10-25T11:30:00Z
      2025-10-26T00:00:00Z +60 min -2.00/MWh known 2025-10-25T11:30:00Z
    note: x.csv: intervals missing: 1; gaps: 1, the longest [2025-10-25T23:00:00Z, 2025-10-26T00:00:00Z)
    ");
}

#[test]
fn the_long_day_has_a_hundred_quarter_hours() {
    let text = a44("A03", "PT15M", "2025-10-26T23:00Z", &[(1, "1")]);
    let parsed = parse("eu_day_ahead", text.as_bytes()).unwrap();
    assert_eq!((parsed.series[0].rows.len(), parsed.notes.len()), (100, 0));
}

#[test]
fn damaged_documents_and_refusals_are_told() {
    let good = a44("A03", "PT60M", "2025-10-26T02:00Z", &[(1, "10.5"), (3, "-2")]);
    let ack = "<Acknowledgement_MarketDocument xmlns=\"u\"><Reason><code>999</code>\
               <text>No matching data found</text></Reason></Acknowledgement_MarketDocument>";
    let bomb = "<!DOCTYPE a [<!ENTITY b \"cc\">]><a>&b;</a>";
    let mut all = vec![check("eu_day_ahead", ack), check("eu_day_ahead", &good[..good.len() / 2])];
    all.push(check("eu_day_ahead", bomb));
    all.push(check("gansu", &good));
    let changes = [
        ("10.5", "NaN"),
        ("PT60M", "P1D"),
        ("<position>1<", "<position>2<"),
        ("<position>3<", "<position>9<"),
        ("price.amount", "quantity"),
        ("T02:00Z", "T02:30Z"),
    ];
    all.extend(changes.map(|(from, to)| check("eu_day_ahead", &good.replace(from, to))));
    insta::assert_snapshot!(all.join("\n"), @r#"
    failed to read x.csv: it holds no data, but the answer "No matching data found" (999); ask for another time or point
    failed to read x.csv line 1: the XML is damaged: the root node was opened but never closed; fetch the file again
    failed to read x.csv line 1: the XML is damaged: XML with DTD detected; fetch the file again
    failed to read x.csv line 3: `EUR` is not the currency CNY; name a market of that currency
    failed to read x.csv line 5: `NaN` is not a finite number; a missing price is not zero: leave the point out
    failed to read x.csv line 4: `P1D` is not a resolution of 15, 30 or 60 minutes; fetch the file again
    failed to read x.csv line 5: the curve omits repeated points and has no first one; fetch the file again
    failed to read x.csv line 6: `9` is not the next position of 1 to 4; fetch the file again
    failed to read x.csv line 5: Point has no price.amount; fetch the file again
    failed to read x.csv line 4: 2025-10-25T22:00:00Z to 2025-10-26T02:30:00Z is not a whole number of 60 min intervals; fetch the file again
    "#);
}

#[test]
fn a_document_nested_without_end_is_refused_or_read_but_never_overflows() {
    let deep = "<a>".repeat(200_000);
    assert!(parse("eu_day_ahead", deep.as_bytes()).is_err());
    let deep = deep + &"</a>".repeat(200_000);
    assert!(parse("eu_day_ahead", deep.as_bytes()).is_err());
}

fn rows(text: &str) -> Vec<PriceRow> {
    parse("eu_day_ahead", text.as_bytes()).unwrap().series.remove(0).rows
}

proptest! {
    #[test]
    fn an_omitted_curve_equals_the_full_one(prices in prop::collection::vec(-3i64..3, 96)) {
        let texts: Vec<String> = prices.iter().map(ToString::to_string).collect();
        let full: Vec<(usize, &str)> = (1..).zip(texts.iter().map(String::as_str)).collect();
        let mut short = full.clone();
        short.dedup_by_key(|(_, p)| *p);
        let end = "2025-10-26T22:00Z";
        prop_assert_eq!(
            rows(&a44("A03", "PT15M", end, &short)),
            rows(&a44("A01", "PT15M", end, &full))
        );
    }
}

const TENNET: &str = "Timeinterval Start Loc,Timeinterval End Loc,Isp,Currency Unit Name,\
                      Price Shortage,Price Surplus\n";

/// A day whose clock skips or repeats the hour from two, from its length in quarter hours.
fn tennet(date: &str, periods: usize) -> String {
    let mut text = TENNET.to_owned();
    for isp in 1..=periods {
        let quarter = match periods {
            92 if isp > 8 => isp + 3,
            100 if isp > 12 => isp - 5,
            _ => isp - 1,
        };
        let stamp = |q: usize| format!("{date}T{:02}:{:02}", q / 4 % 24, q % 4 * 15);
        text += &format!("{},{},{isp},EUR,{isp},-{isp}\n", stamp(quarter), stamp(quarter + 1));
    }
    text
}

#[test]
fn dutch_days_have_92_96_and_100_periods_in_order() {
    for (date, periods) in [("2024-03-31", 92), ("2024-06-01", 96), ("2024-10-27", 100)] {
        let parsed = parse("tennet_nl", tennet(date, periods).as_bytes()).unwrap();
        assert!(parsed.notes.is_empty(), "{:?}", parsed.notes);
        let [short, long] = parsed.series.as_slice() else { panic!("{:?}", parsed.series) };
        assert_eq!((short.rows.len(), long.rows.len()), (periods, periods));
        for (isp, (a, b)) in (1i64..).zip(short.rows.iter().zip(&long.rows)) {
            assert_eq!((a.price.0, b.price.0), (isp * 1_000_000, -isp * 1_000_000));
        }
    }
}

#[test]
fn dutch_files_that_contradict_themselves_are_refused() {
    let good = format!("{TENNET}2024-06-01T00:15,2024-06-01T00:30,2,EUR,80.5,-4\n");
    let changes =
        [("", ""), (",2,", ",3,"), (",2,", ",0,"), ("EUR", "GBP"), ("80.5", ""), ("Isp", "Psi")];
    let all = changes.map(|(from, to)| check("tennet_nl", &good.replacen(from, to, 1)));
    insta::assert_snapshot!(all.join("\n"), @"
    tennet_imbalance
     settlement
      2024-05-31T22:15:00Z +15 min 80.50/MWh known 2024-06-02T10:00:00Z
     surplus
      2024-05-31T22:15:00Z +15 min -4.00/MWh known 2024-06-02T10:00:00Z

    failed to read x.csv line 2, column Timeinterval Start Loc: period 3 does not start at that time; fetch the file again, or leave the row out
    failed to read x.csv line 2, column Isp: `0` is not a period from 1 to 100; fetch the file again, or leave the row out
    failed to read x.csv line 2, column Currency Unit Name: `GBP` is not the currency EUR of market tennet_nl; name the market the file is from
    failed to read x.csv line 2, column Price Shortage: an empty field where a number is expected; a missing price is not zero: leave the row out
    failed to read x.csv line 1: a file of kind tennet_imbalance is recognised, but the column Isp is missing; fetch the file again, or put its header right
    ");
}

#[test]
fn a_provincial_zero_under_its_floor_is_kept_and_called_missing() {
    let text = "date,time_order,wind_power_forecast,dayahead_clearing_price,\
                realtime_clearing_price\n2024-01-01,1,0.0,176.18,528.57\n\
                2024-01-01,2,0.0,199.76,0.0\n";
    insta::assert_snapshot!(check("gansu", text), @"
    provincial
     settlement
      2023-12-31T16:00:00Z +15 min 528.57/MWh known 2023-12-31T16:30:00Z
      2023-12-31T16:15:00Z +15 min 0.00/MWh known 2023-12-31T16:45:00Z
     day_ahead
      2023-12-31T16:00:00Z +15 min 176.18/MWh known 2023-12-31T10:00:00Z
      2023-12-31T16:15:00Z +15 min 199.76/MWh known 2023-12-31T10:00:00Z
    note: x.csv: prices beyond the dated bounds, all of them kept: 1; the farthest is 0.00/MWh at  2023-12-31T16:15:00Z, below the floor of 40.00/MWh; zeros under a floor above zero, most likely missing data: 1
    ");
    let asked = Options { kind: Some(PriceKind::DayAhead), ..Options::default() };
    let only = parse_with("gansu", &asked, text.as_bytes()).unwrap();
    assert_eq!((only.series.len(), only.notes.len()), (1, 0));
    let all = [(",2,", ",97,"), (",2,", ",0,"), ("199.76", "x"), ("time_order,", "time_order,,")]
        .map(|(from, to)| check("gansu", &text.replace(from, to)));
    insta::assert_snapshot!(all.join("\n"), @"
    failed to read x.csv line 3, column time_order: the day has not so many periods; fetch the file again, or leave the row out
    failed to read x.csv line 3, column time_order: `0` is not a period from 1 to 100; fetch the file again, or leave the row out
    failed to read x.csv line 3, column dayahead_clearing_price: `x` is not a number; a missing price is not zero: leave the row out
    failed to read x.csv line 2: it has 5 fields where the header has 6; the file is cut short or damaged: fetch it again
    ");
}

#[test]
fn demand_stands_beside_the_price_of_its_region() {
    let text = "REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE\n\
                VIC1,2024/12/01 00:05:00,4181.58,91.84,TRADE\n\
                VIC1,2024/12/01 00:20:00,4000,-91.84,TRADE\n";
    insta::assert_snapshot!(check("nem", text), @"
    aemo_price
    VIC1 settlement
      2024-11-30T14:00:00Z +5 min 91.84/MWh known 2024-11-30T14:06:00Z
      2024-11-30T14:15:00Z +5 min -91.84/MWh known 2024-11-30T14:21:00Z
    VIC1 (LOAD)
      2024-11-30T14:00:00Z +5 min 4181580000 W known 2024-11-30T14:06:00Z
      2024-11-30T14:15:00Z +5 min 4000000000 W known 2024-11-30T14:21:00Z
    note: x.csv: intervals missing: 4; gaps: 2, the longest [2024-11-30T14:05:00Z, 2024-11-30T14:15:00Z)
    ");
    let parsed = parse("nem", text.as_bytes()).unwrap();
    assert!(parsed.notes.iter().any(|n| n.kind == NoteKind::Gap && n.count >= 2));
}

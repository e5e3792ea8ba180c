//! The files a settlement takes beside prices: meter readings, schedules, exchange rates.

use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::Energy;
use headgate_feeds::fx::{FxRate, FxSeries};
use headgate_feeds::meter::{self, Reading};
use headgate_feeds::schedule::{self, ScheduleKind};
use std::io::Cursor;

const QUARTER: Span = Span::minutes(15);

fn meter(text: &str) -> String {
    let file = match meter::parse("m.csv", Cursor::new(text), QUARTER) {
        Ok(file) => file,
        Err(e) => return e.sentence(),
    };
    let of =
        |m: &meter::Metered| format!("{} {} Ws in {}\n", m.interval.start, m.energy.0, m.measured);
    let rows: String = file.intervals.iter().map(of).collect();
    rows + &file.notes.iter().map(|n| format!("note: {n}\n")).collect::<String>()
}

#[test]
fn readings_add_up_to_settlement_intervals_and_gaps_stay() {
    insta::assert_snapshot!(meter("interval_start_utc,power_mw\n\
        2024-06-01T05:00:00Z,12\n2024-06-01T05:05:00Z,6\n2024-06-01T05:10:00Z,0\n\
        2024-06-01T05:15:00Z,12\n2024-06-01T05:45:00Z,0.0000004\n"), @r"
    2024-06-01T05:00:00Z 5400000000 Ws in 15 min
    2024-06-01T05:15:00Z 3600000000 Ws in 5 min
    2024-06-01T05:45:00Z 0 Ws in 5 min
    note: each reading is taken to cover 5 min
    note: 1 settlement intervals have no reading: they stay missing
    note: 2 settlement intervals are metered in part only
    ");
    // Energy with both ends, an offset, in any order; the file says UTC nowhere.
    insta::assert_snapshot!(meter("start,end,kwh\n\
        2024-06-01T00:15:00-05:00,2024-06-01T00:30:00-05:00, 250.5\n\
        2024-06-01T00:00:00-05:00,2024-06-01T00:15:00-05:00,250\n"), @r"
    2024-06-01T05:00:00Z 900000000 Ws in 15 min
    2024-06-01T05:15:00Z 901800000 Ws in 15 min
    ");
    insta::assert_snapshot!(meter("interval_start_utc,energy_mwh\n\
        2024-06-01T05:00:00Z,1.0000000001\n2024-06-01T06:00:00Z,2\n"), @r"
    2024-06-01T05:00:00Z 900000000 Ws in 15 min
    2024-06-01T05:15:00Z 900000000 Ws in 15 min
    2024-06-01T05:30:00Z 900000000 Ws in 15 min
    2024-06-01T05:45:00Z 900000000 Ws in 15 min
    2024-06-01T06:00:00Z 1800000000 Ws in 15 min
    2024-06-01T06:15:00Z 1800000000 Ws in 15 min
    2024-06-01T06:30:00Z 1800000000 Ws in 15 min
    2024-06-01T06:45:00Z 1800000000 Ws in 15 min
    note: each reading is taken to cover 60 min
    note: 2 readings of up to 60 min cover more than one settlement interval of 15 min: their energy is spread evenly, so their cost is an estimate
    ");
}

#[test]
fn readings_that_cannot_be_right_are_refused_by_line() {
    let head = "interval_start_utc,energy_mwh\n";
    let twice = format!(
        "{head}2024-06-01T05:00:00Z,1\n2024-06-01T05:15:00Z,1\n\
                         2024-06-01T05:00:00Z,2\n"
    );
    insta::assert_snapshot!(meter(&twice), @"failed to read m.csv line 4: 2024-06-01T05:00:00Z has a reading in line 2 already; take one of the two out");
    insta::assert_snapshot!(meter("start_utc,end_utc,mwh\n2024-06-01 05:00,2024-06-01 05:15,1\n\
        2024-06-01 05:10,2024-06-01 05:25,1\n"), @"failed to read m.csv line 3: the reading overlaps line 2, [2024-06-01T05:00:00Z, 2024-06-01T05:15:00Z); one moment has one reading: mend the times");
    insta::assert_snapshot!(meter("start,end,kwh\n2024-06-01 00:00,2024-06-01 00:15,1\n"), @"failed to read m.csv line 2, column start: `2024-06-01 00:00` does not say in which time zone it is; write it as 2024-06-01T05:00:00Z");
    insta::assert_snapshot!(meter("interval_start_utc,energy\n"), @"failed to read m.csv line 1: the header `interval_start_utc,energy` is not known; write interval_start_utc,energy_mwh, start,end,kwh, or interval_start_utc,power_mw: the unit is in the column's name (Wh, kWh, MWh, W, kW, MW)");
    insta::assert_snapshot!(meter("interval_start_utc,power_mw,energy_mwh\n"), @"failed to read m.csv line 1: the header `interval_start_utc,power_mw,energy_mwh` is not known; leave one column of energy or power: which one counts?");
    for (cell, want) in [
        ("NaN", "`NaN` is not a finite number"),
        ("", "an empty field where a number is expected"),
        ("-1", "`-1` is negative"),
        ("9e12", "`9e12` is out of range"),
    ] {
        let said = meter(&format!("{head}2024-06-01T05:00:00Z,{cell}\n"));
        assert!(said.contains("line 2, column energy_mwh") && said.contains(want), "{said}");
    }
    insta::assert_snapshot!(meter(head), @"failed to read m.csv: it has a header and no rows; write one reading a line");
    insta::assert_snapshot!(meter("start_utc,end_utc,mwh\n2024-06-01 05:00,2024-06-01 05:00,1\n"), @"failed to read m.csv line 2, column end_utc: the reading would last from 2024-06-01T05:00:00Z to 2024-06-01T05:00:00Z; write an end at most a day after the start");
}

proptest::proptest! {
    /// Whatever the steps of meter and settlement, no watt-second is made or lost.
    #[test]
    fn adding_up_conserves_energy_and_time(
        lengths in proptest::collection::vec((1i64..7_200, 0i64..900, 0i64..9_000_000_000), 1..60),
        step_s in proptest::sample::select(vec![300i64, 900, 1800, 3600]),
        first in 0i64..100_000,
    ) {
        let mut at = Time::from_seconds(1_700_000_000 + first);
        let mut readings = Vec::new();
        for (length, gap, energy) in lengths {
            let interval = Interval::starting(at, Span::seconds(length));
            readings.push(Reading { interval, energy: Energy(energy), line: 0 });
            at = interval.end + Span::seconds(gap);
        }
        let step = Span::seconds(step_s);
        let file = meter::add_up(&readings, step);
        let energy: Energy = file.intervals.iter().map(|m| m.energy).sum();
        assert_eq!(energy, readings.iter().map(|r| r.energy).sum());
        let measured: i64 = file.intervals.iter().map(|m| m.measured.0).sum();
        assert_eq!(measured, readings.iter().map(|r| r.interval.length().0).sum::<i64>());
        for m in &file.intervals {
            assert!(m.energy >= Energy::ZERO && m.measured <= step);
            assert_eq!(m.interval, m.interval.start.interval(step));
        }
    }
}

fn schedule(kind: ScheduleKind, text: &str) -> String {
    let entries = match schedule::parse("s.csv", Cursor::new(text), kind, QUARTER) {
        Ok(entries) => entries,
        Err(e) => return e.sentence(),
    };
    let of = |e: &schedule::Entry| {
        let price = e.price.map(|p| format!(" at {p}")).unwrap_or_default();
        let (from, length) = (e.interval.start, e.interval.length());
        format!("{from} +{length} {} {} {}{price}\n", e.name, e.power, e.energy)
    };
    entries.iter().map(of).collect()
}

#[test]
fn schedules_are_read_by_their_kind() {
    insta::assert_snapshot!(schedule(ScheduleKind::DayAhead, "interval_start_utc,mw,price\n\
        2024-06-01T06:00:00Z,-5,31.5\n2024-06-01T05:00:00Z,10,\n"), @r"
    2024-06-01T05:00:00Z +60 min  10.000 MW 10.000 MWh
    2024-06-01T06:00:00Z +60 min  -5.000 MW -5.000 MWh at 31.50/MWh
    ");
    insta::assert_snapshot!(schedule(ScheduleKind::Award, "interval_start_utc,product,mw\n\
        2024-06-01T05:00:00Z,RRS,3\n2024-06-01T05:00:00Z,ECRS,2\n"), @r"
    2024-06-01T05:00:00Z +60 min ECRS 2.000 MW 2.000 MWh
    2024-06-01T05:00:00Z +60 min RRS 3.000 MW 3.000 MWh
    ");
    insta::assert_snapshot!(schedule(ScheduleKind::Deployment, "start_utc,end_utc,product,mw\n\
        2024-06-01T05:03:00Z,2024-06-01T05:33:00Z,RRS,3\n\
        2024-06-01T05:10:00Z,2024-06-01T05:20:00Z,RRS,1\n"), @r"
    2024-06-01T05:03:00Z +30 min RRS 3.000 MW 1.500 MWh
    2024-06-01T05:10:00Z +10 min RRS 1.000 MW 0.167 MWh
    ");
    // A base point holds until the next, and no longer than a settlement interval.
    insta::assert_snapshot!(schedule(ScheduleKind::BasePoint, "interval_start_utc,base_point_mw\n\
        2024-06-01T05:00:00Z,6\n2024-06-01T05:05:00Z,0\n2024-06-01T06:00:00Z,3\n"), @r"
    2024-06-01T05:00:00Z +5 min  6.000 MW 0.500 MWh
    2024-06-01T05:05:00Z +15 min  0 W 0.000 MWh
    2024-06-01T06:00:00Z +15 min  3.000 MW 0.750 MWh
    ");
    insta::assert_snapshot!(schedule(ScheduleKind::Unit, "interval_start_utc,unit,energy_mwh\n\
        2024-06-01T05:00:00Z,east,1\n2024-06-01T05:00:00Z,west,0.5\n"), @r"
    2024-06-01T05:00:00Z +15 min east 4.000 MW 1.000 MWh
    2024-06-01T05:00:00Z +15 min west 2.000 MW 0.500 MWh
    ");
    insta::assert_snapshot!(schedule(ScheduleKind::Peak, "interval_start_utc\n2025-06-19T22:00:00Z\n"), @"2025-06-19T22:00:00Z +15 min  0 W 0.000 MWh");
}

#[test]
fn schedules_that_cannot_be_right_are_refused_by_line() {
    use ScheduleKind::{Award, DayAhead, Deployment, Peak};
    insta::assert_snapshot!(schedule(DayAhead, "interval_start_utc,mw\n2024-06-01T05:00:00Z,1\n\
        2024-06-01T05:00:00Z,1\n"), @"failed to read s.csv line 3: 2024-06-01T05:00:00Z is covered by line 2 already; take one of the two out");
    insta::assert_snapshot!(schedule(Award, "interval_start_utc,mw\n"), @"failed to read s.csv line 1: the header `interval_start_utc,mw` is not known; write interval_start_utc,product,mw, and price where it is known");
    insta::assert_snapshot!(schedule(Award, "interval_start_utc,product,mw\n2024-06-01T05:00:00Z,RRS,-1\n"), @"failed to read s.csv line 2, column mw: `-1` is negative; write the amount without a sign");
    insta::assert_snapshot!(schedule(Award, "interval_start_utc,product,mw\n2024-06-01T05:00:00Z,,1\n"), @"failed to read s.csv line 2, column product: a name has 1 to 400 characters; write interval_start_utc,product,mw, and price where it is known");
    insta::assert_snapshot!(schedule(Deployment, "start_utc,product,mw\n"), @"failed to read s.csv line 1: the header `start_utc,product,mw` is not known; write start_utc,end_utc,product,mw");
    insta::assert_snapshot!(schedule(Peak, "interval_start_utc\nsoon\n"), @"failed to read s.csv line 2, column interval_start_utc: `soon` is not a moment; write it as 2024-06-01T05:00:00Z");
}

#[test]
fn a_rate_holds_until_the_next_is_known() {
    let text = "date,rate\n2024-05-31,1.0848\n2024-06-03,1.0904\n";
    let series = FxSeries::parse("fx.csv", Cursor::new(text)).unwrap();
    let at = |t: &str| series.at(headgate_feeds::local::utc(t.as_bytes()).unwrap());
    assert_eq!(at("2024-05-31T23:59:59Z"), None, "the day is not over");
    assert_eq!(at("2024-06-03T12:00:00Z").unwrap().1, FxRate(1_084_800_000), "over a weekend");
    assert_eq!(at("2024-06-04T00:00:00Z").unwrap().1, FxRate(1_090_400_000));
    assert_eq!(FxRate(1_084_800_000).of(95_000_000), Some(103_056_000));
    assert_eq!(FxRate(500_000_000).of(3), Some(2), "half to even");
    let said = |text: &str| FxSeries::parse("fx.csv", Cursor::new(text)).unwrap_err().sentence();
    insta::assert_snapshot!(said("date,rate\n2024-05-31,1\n2024-05-31,2\n"), @"failed to read fx.csv line 3, column date: the day has a rate in line 2 already; take one of the two out");
    insta::assert_snapshot!(said("date,rate\n2024-05-31,0\n"), @"failed to read fx.csv line 2, column rate: `0` is not above zero; leave the day out: Friday's rate holds");
    insta::assert_snapshot!(said("day,rate\n"), @"failed to read fx.csv line 1: the header `day,rate` is not known; write date,rate");
}

//! ERCOT's own files on the simulated farm: August 2024 by quarter hours, June 2024 by runs.

use crate::common::*;
use headgate_core::event::Event;
use headgate_core::time::{Span, Time};
use headgate_store::Tables;
use serde_json::Value;
use std::path::{Path, PathBuf};

const MACHINES: u32 = 20;
/// Import with every machine asleep is far below this, with one working far above.
const ASLEEP_W: i64 = 4_000;
/// Import with nearly every machine working.
const AWAKE_W: i64 = 50_000;
/// How long a change may take from a price to the last watt's proof, polls included.
const SETTLED_AFTER: Span = Span::minutes(12);

/// A file of the shared data, or a loud word that it is not there.
fn data_file(name: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("HEADGATE_SHARED_DATA").map_or(default, PathBuf::from);
    let file = folder.join(name);
    if !file.exists() {
        eprintln!("SKIPPED: {name} is not there; name its folder in HEADGATE_SHARED_DATA");
        return None;
    }
    Some(file)
}

/// Each moment a new price was learnt: when, the price now expected, and until when it stood.
fn learnt(data: &Path) -> Vec<(Time, i64, Time)> {
    let tables = Tables::open(&data.join("headgate.sqlite")).unwrap();
    let rows = tables.decisions(i64::MIN, i64::MAX).unwrap();
    let mut spans: Vec<(Time, i64, Time)> = Vec::new();
    for row in rows {
        let Some(price) = row.expected_price else { continue };
        match spans.last_mut() {
            Some(last) if band(last.1) == band(price) => last.2 = Time(row.at_ns),
            Some(last) => {
                last.2 = Time(row.at_ns);
                spans.push((Time(row.at_ns), price, Time(row.at_ns)));
            }
            None => spans.push((Time(row.at_ns), price, Time(row.at_ns))),
        }
    }
    spans
}

/// All machines clearly wanted, clearly not wanted, or in between.
fn band(price: i64) -> i32 {
    let usd = price as f64 / 1e6;
    if usd < ALL_ON_BELOW - 5.0 {
        -1
    } else if usd > ALL_OFF_ABOVE {
        1
    } else {
        0
    }
}

/// Import by watts over time, as the journal's telemetry tells it.
fn measured_at(telemetry: &[(Time, i64)], at: Time) -> Option<i64> {
    let i = telemetry.partition_point(|(t, _)| *t <= at);
    i.checked_sub(1).map(|i| telemetry[i].1)
}

fn telemetry(data: &Path) -> Vec<(Time, i64)> {
    let mut out = Vec::new();
    for stamped in events(data) {
        if let Event::Telemetry(batch) = &stamped.event {
            out.push((stamped.at, batch.cohorts.iter().map(|c| c.power.0).sum()));
        }
    }
    out
}

/// Checks that the machines' watts followed the price wherever it stood long enough; how many
/// times they were proven down, and up.
#[track_caller]
fn check_follows(data: &Path) -> (u32, u32) {
    let watts = telemetry(data);
    let (mut down, mut up) = (0, 0);
    for (from, price, until) in learnt(data) {
        let settled = from + SETTLED_AFTER;
        if until <= settled {
            continue;
        }
        let got = measured_at(&watts, until - Span(1)).unwrap();
        match band(price) {
            1 => {
                assert!(got < ASLEEP_W, "{got} W at {until}, dear since {from}");
                down += 1;
            }
            -1 => {
                assert!(got > AWAKE_W, "{got} W at {until}, cheap since {from}");
                up += 1;
            }
            _ => {}
        }
    }
    (down, up)
}

fn check_run(
    name: &str,
    point: (&'static str, &'static str),
    file: &Path,
    span: [&str; 2],
) -> (Folder, Value) {
    let folder = Folder::new(name);
    // Short dwell times, so that power is where the price wants it and not where it has to stay.
    let times = "time = { min_on = \"1 min\", min_off = \"1 min\" }\n";
    let site = SiteText { machines: MACHINES, point, times, ..SiteText::default() };
    let site = folder.write("site.toml", site.text());
    let more = ["--from", span[0], "--to", span[1]];
    let summary = run_replay(&folder, &site, path(file), &more);
    check_counts(&summary);
    (folder, summary)
}

fn watts(data: &Path, at: &str) -> i64 {
    measured_at(&telemetry(data), time(at)).unwrap()
}

#[test]
fn august_2024_by_the_quarter_hour() {
    let Some(file) = data_file("raw_ercot/RTMLZHBSPP_2024_Aug_4hubs_extract.csv") else { return };
    let span = ["2024-08-19T18:00:00Z", "2024-08-21T12:00:00Z"];
    let (folder, summary) = check_run("august", ("HB_HOUSTON", "HU"), &file, span);
    let data = folder.data();
    let (down, up) = check_follows(&data);
    assert!(down >= 2 && up >= 2, "{down} times down, {up} times up: {summary}");
    // 20 August, 19:15 to 19:30 in Texas settled at 2398.10, known at 19:32; 4855.55 came next.
    let decision = explain_json(&data, "2024-08-21T00:31:59Z");
    assert!(decision["expected"]["latest"].as_f64().unwrap() < 500.0, "{decision}");
    let decision = explain_json(&data, "2024-08-21T00:32:00Z");
    assert_eq!(decision["expected"]["price"], 2398.1, "{decision}");
    assert!(watts(&data, "2024-08-21T00:59:00Z") < ASLEEP_W);
    assert!(watts(&data, "2024-08-21T11:00:00Z") > AWAKE_W, "the night is cheap");
}

#[test]
fn june_2024_by_the_dispatch_run() {
    let Some(file) = data_file("ercot_sced_lmp5_5hubs_2024-01-01_2024-06-30.csv.gz") else {
        return;
    };
    let span = ["2024-06-03T12:00:00Z", "2024-06-05T06:00:00Z"];
    let (folder, summary) = check_run("june", ("HB_WEST", "HU"), &file, span);
    let data = folder.data();
    let (down, up) = check_follows(&data);
    assert!(down >= 2 && up >= 2, "{down} times down, {up} times up: {summary}");
    // Every run came 20 s after its stamp, but for those a start in the middle finds.
    let begin = time(span[0]);
    let mut runs = 0;
    for stamped in events(&data) {
        if let Event::Prices { rows, .. } = &stamped.event
            && stamped.at > begin
        {
            runs += rows.len();
            for row in rows {
                assert_eq!(row.known_at, stamped.at);
                assert_eq!(row.known_at, row.interval.start + Span::seconds(20));
            }
        }
    }
    assert!(runs > 480, "{runs} runs in 42 hours");
    // The hours below zero: everything runs.
    let negative: Vec<Time> = learnt(&data)
        .into_iter()
        .filter(|(from, price, until)| *price < 0 && until.since(*from) > SETTLED_AFTER)
        .map(|(_, _, until)| until)
        .collect();
    let all = telemetry(&data);
    for at in &negative {
        assert!(measured_at(&all, *at - Span(1)).unwrap() > AWAKE_W, "down at {at}");
    }
}

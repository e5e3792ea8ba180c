//! `backtest`, as a user runs it: small prices, the contract of its output, its refusals, and
//! that no policy sees the future.

use crate::common::{Folder, Said, headgate, path, run};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Quarters of the two days the fixtures have; they begin at midnight, Central time.
const QUARTERS: usize = 192;
/// Seconds of 2024-01-10T00:00:00-06:00.
const BEGIN: i64 = 1_704_866_400;

/// A block of load, its prices, and what a test changes of them.
struct Desk {
    folder: Folder,
    site: PathBuf,
}

const SITE: &str = r#"schema = 1

[site]
name = "Block"
timezone = "America/Chicago"
market = "ercot"
settlement_point = { name = "HB_WEST", type = "HU" }
overhead = { share = "2 %", fixed = "100 kW" }

[limits]
import = "110 MW"

[[contract]]
kind = "block"
quantity = "30 MW"
price = "28 USD/MWh"
term = ["2024-01-01", "2024-12-31"]
resale = { point = "HB_WEST", fee = "0 USD/MWh", share = "100 %" }

[[adder]]
name = "retail"
on = "import"
price = "2 USD/MWh"

[value]
source = "energy"
price = "40 USD/MWh"

[[cohort]]
name = "block"
driver = "none"
unit = { min = "40 MW", max = "100 MW", start_at = "40 MW", ramp_up = "20 MW per 15 min", min_on = "60 min", min_off = "60 min", start = "400 USD", begins = "off" }

[policy]
name = "breakeven"
"#;

/// Dollars of a run: cheap, a dear evening with a spike in it, below zero at night.
fn price(five_minutes: usize) -> f64 {
    let minute = (five_minutes * 5) % 1440;
    let wave = ((five_minutes * 7919) % 13) as f64 - 6.0;
    let base = match minute {
        0..=300 => -12.0,
        301..=1020 => 24.0,
        1021..=1080 => 55.0,
        1081..=1110 => 900.0,
        1111..=1260 => 48.0,
        _ => 18.0,
    };
    base + wave
}

fn stamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

/// Local time of a run 12 s after its five minutes begin.
fn local(five_minutes: usize) -> String {
    let zone = jiff::tz::TimeZone::get("America/Chicago").unwrap();
    let at = BEGIN + five_minutes as i64 * 300 + 12;
    let at = jiff::Timestamp::from_second(at).unwrap();
    zone.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

impl Desk {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let site = folder.write("site.toml", SITE);
        Self { folder, site }
    }

    /// Dispatch runs from an hour before the two days on.
    fn runs(&self, name: &str, price: impl Fn(usize) -> f64) -> PathBuf {
        let mut text = "SCEDTimestamp,repeatHourFlag,HB_WEST,HB_WEAST\n".to_owned();
        for n in 0..QUARTERS * 3 {
            text += &format!("{},N,{:.2},1.00\n", local(n), price(n));
        }
        self.folder.write(name, text)
    }

    /// Settlement prices: the means of the runs, and a little on top.
    fn settled(&self, name: &str, price: impl Fn(usize) -> f64) -> PathBuf {
        let mut text = "interval_start_utc,HB_WEST,HB_WEAST\n".to_owned();
        for q in 0..QUARTERS {
            let mean = (0..3).map(|n| price(q * 3 + n)).sum::<f64>() / 3.0 + 0.25;
            text += &format!("{},{mean:.2},1.00\n", stamp(BEGIN + q as i64 * 900));
        }
        self.folder.write(name, text)
    }

    fn backtest(&self, files: &[&PathBuf], more: &[&str]) -> Said {
        let mut args = vec!["backtest", path(&self.site), "--prices"];
        args.extend(files.iter().map(|f| path(f)));
        args.extend(more);
        run(&args)
    }

    /// What a refusal says, and its exit code.
    fn refused(&self, files: &[&PathBuf], more: &[&str]) -> String {
        self.backtest(files, more).verdict(&self.folder)
    }

    fn trace(&self, files: &[&PathBuf], more: &[&str]) -> String {
        let trace = self.folder.path().join("trace.csv");
        let mut args = vec!["--trace", path(&trace), "--format", "json"];
        args.extend(more);
        self.backtest(files, &args).ok();
        std::fs::read_to_string(trace).unwrap()
    }
}

#[test]
fn the_document_keeps_its_contract() {
    let desk = Desk::new("bt-json");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let day = ["--from", "2024-01-10", "--to", "2024-01-11", "--format", "json"];
    let said = desk.backtest(&[&runs, &settled], &day).ok();
    insta::assert_snapshot!("backtest_json", said.out);
}

#[test]
fn a_table_is_for_people() {
    let desk = Desk::new("bt-table");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let said = desk.backtest(&[&runs, &settled], &["--lag", "5 min", "--strike", "60 USD/MWh"]);
    insta::assert_snapshot!("backtest_table", said.ok().out);
    let csv = desk.backtest(&[&runs, &settled], &["--format", "csv"]).ok().out;
    assert_eq!(csv.lines().count(), 6, "{csv}");
}

#[test]
fn a_trace_has_a_line_for_each_time_power_was_held() {
    let desk = Desk::new("bt-trace");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let evening = ["--from", "2024-01-10T22:30:00Z", "--to", "2024-01-11T02:00:00Z"];
    let trace =
        desk.trace(&[&runs, &settled], &[&evening[..], &["--policy", "breakeven"]].concat());
    insta::assert_snapshot!("backtest_trace", trace);
}

/// The same site counted again from its trace, by a program that shares no line with this one.
#[test]
fn money_and_bound_can_be_counted_again_from_the_trace() {
    let toml = Command::new("python3").args(["-c", "import tomllib"]).output();
    if !toml.is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED: there is no python3 with tomllib to count again");
        return;
    }
    let desk = Desk::new("bt-oracle");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let trace = desk.folder.path().join("trace.csv");
    let more = ["--trace", path(&trace), "--format", "json"];
    let said = desk.backtest(&[&runs, &settled], &more).ok();
    let result = desk.folder.write("result.json", &said.out);
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contrib/oracles/backtest_check.py");
    let count = |trace: &PathBuf| -> Said {
        let files = [path(&desk.site), path(trace), path(&result)];
        Command::new("python3").arg(oracle).args(files).output().unwrap().into()
    };
    let said = count(&trace);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("5 policies and the bound"), "{}", said.out);
    // One quarter's energy left out is noticed.
    let text = std::fs::read_to_string(&trace).unwrap();
    let line = text.lines().find(|l| l.starts_with("breakeven") && l.ends_with(",on")).unwrap();
    let cells: Vec<&str> = line.split(',').collect();
    let less = format!("{},0,0,off", cells[..5].join(","));
    let wrong = desk.folder.write("wrong.csv", text.replacen(line, &less, 1));
    assert_eq!(count(&wrong).code, 1);
}

/// What is planted in the future moves no decision of the past: not a price, not a start.
#[test]
fn no_policy_sees_the_future() {
    let desk = Desk::new("bt-honest");
    // 17:30 on the first day: dear, and just before the spike; instead of it comes a cheap night.
    let planted = 210;
    let other = |n: usize| if n >= planted { 15.0 } else { price(n) };
    let turn = stamp(BEGIN + (planted as i64 / 3) * 900);
    let causal = ["--policy", "always_on", "fixed_strike", "breakeven", "look_ahead"];
    let past = |trace: &str| -> Vec<String> {
        let before = |l: &&str| l.split(',').nth(2).is_some_and(|end| end <= turn.as_str());
        trace.lines().skip(1).filter(before).map(str::to_owned).collect()
    };
    let is = [desk.runs("lmp.csv", price), desk.settled("spp.csv", price)];
    let was = [desk.runs("lmp2.csv", other), desk.settled("spp2.csv", other)];
    let truth = desk.trace(&[&is[0], &is[1]], &causal);
    let false_future = desk.trace(&[&was[0], &was[1]], &causal);
    assert!(truth != false_future, "the plant changes what comes after it");
    let (a, b) = (past(&truth), past(&false_future));
    assert!(a.len() > 250, "{}", a.len());
    assert_eq!(a, b);
    // The best in hindsight does see it, or this test could not fail.
    let all = ["--policy", "perfect_foresight"];
    let a = past(&desk.trace(&[&is[0], &is[1]], &all));
    let b = past(&desk.trace(&[&was[0], &was[1]], &all));
    assert!(a != b, "hindsight is moved by what was planted");
}

/// Being told late costs money, and ever more of it.
#[test]
fn capture_falls_with_the_lag() {
    let desk = Desk::new("bt-lag");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let capture = |lag: &str| -> f64 {
        let more = ["--lag", lag, "--format", "json", "--policy", "breakeven"];
        let said = desk.backtest(&[&runs, &settled], &more).ok().json();
        said["policies"][0]["capture"].as_f64().unwrap()
    };
    let all = ["0 s", "5 min", "15 min", "30 min"].map(capture);
    assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
}

#[test]
fn bad_prices_are_named_with_their_interval() {
    let desk = Desk::new("bt-bad");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let lines = std::fs::read_to_string(&settled).unwrap();
    let holed: Vec<&str> =
        lines.lines().enumerate().filter(|(i, _)| ![40, 41].contains(i)).map(|(_, l)| l).collect();
    let holed = desk.folder.write("holed.csv", holed.join("\n") + "\n");
    let twice = lines.clone() + &lines.lines().nth(30).unwrap().replace(",2", ",9") + "\n";
    let twice = desk.folder.write("twice.csv", twice);
    let unnamed = lines.replace("HB_WEST,HB_WEAST", "spp_usd_mwh,rest").replace(",1.00", ",");
    let mixed = desk.folder.write("mixed.csv", unnamed.replace(",2", ",3"));
    let other = desk.folder.write("other.csv", lines.replace("HB_WEST,", "HB_PAN,"));
    let cases: [(&str, &[&PathBuf], &[&str]); 10] = [
        ("a gap", &[&holed], &[]),
        ("an interval twice", &[&twice], &[]),
        ("two points mixed", &[&settled, &mixed], &[]),
        ("another point", &[&other], &[]),
        ("a mistyped point", &[&settled], &["--point", "HB_WETS"]),
        ("a span not covered", &[&settled], &["--from", "2024-01-09"]),
        ("a span turned round", &[&settled], &["--from", "2024-01-11", "--to", "2024-01-10"]),
        ("a moment between", &[&settled], &["--from", "2024-01-10T12:05:00Z"]),
        ("no lag", &[&settled], &["--lag", "5"]),
        ("only history", &[&runs], &["--strike", "60"]),
    ];
    let mut text = String::new();
    for (name, files, more) in cases {
        text += &format!("{name}:\n{}\n\n", desk.refused(files, more));
    }
    insta::assert_snapshot!("backtest_refusals", text);
}

#[test]
fn a_gap_of_settlement_that_runs_cover_is_told() {
    let desk = Desk::new("bt-gap");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let lines = std::fs::read_to_string(&settled).unwrap();
    let holed: Vec<&str> =
        lines.lines().enumerate().filter(|(i, _)| *i != 40).map(|(_, l)| l).collect();
    let holed = desk.folder.write("holed.csv", holed.join("\n") + "\n");
    let said = desk.backtest(&[&runs, &holed], &["--format", "json"]).ok().json();
    let notes: Vec<&str> =
        said["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(notes.iter().any(|n| n.contains("for 1 of 191 intervals")), "{notes:?}");
}

#[test]
fn physics_that_admits_no_plan_is_named() {
    let desk = Desk::new("bt-physics");
    let settled = desk.settled("spp.csv", price);
    let tight = SITE.replace("import = \"110 MW\"", "import = \"40.5 MW\"");
    let odd = SITE.replace("min_on = \"60 min\"", "min_on = \"60 d\"");
    let mut text = String::new();
    for (name, site) in [("tight.toml", tight), ("odd.toml", odd)] {
        let site = desk.folder.write(name, site);
        let said = headgate().args(["backtest", path(&site), "--prices", path(&settled)]).output();
        text += &format!("{}\n\n", Said::from(said.unwrap()).verdict(&desk.folder));
    }
    insta::assert_snapshot!("backtest_physics", text);
}

/// The page stands by itself: every part is there, nothing runs in it, nothing is fetched.
#[test]
fn a_report_is_whole_and_self_contained() {
    let desk = Desk::new("bt-report");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let (page, picture) = (desk.folder.path().join("r.html"), desk.folder.path().join("r.png"));
    let more = ["--report", path(&page), "--png", path(&picture), "--format", "csv"];
    desk.backtest(&[&runs, &settled], &more).ok();
    let html = std::fs::read_to_string(&page).unwrap();
    let parts = [
        "Price and power.",
        "break-even 37.22",
        "Profit as it added up.",
        "Price duration, and what was run where.",
        "Price by hour and day.",
        "The costliest misses",
        "economics",
        "Latency ladder.",
        "60 min",
        "Value of the work.",
        "Strike.",
    ];
    for part in parts {
        assert!(html.contains(part), "the page has no {part}");
    }
    let own = html.replace("http://www.w3.org/2000/svg", "");
    for foreign in ["http", "<script", "<link", "<img", "url(", "@import", "NaN"] {
        assert!(!own.contains(foreign), "the page has {foreign}");
    }
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    assert_eq!(html.matches("<svg").count(), 9);
    let picture = std::fs::read(picture).unwrap();
    assert_eq!(picture[..8], *b"\x89PNG\r\n\x1a\n");
}

/// Easier conventions are tried too, are named wherever they are used, and never silently.
#[test]
fn what_is_known_early_is_named() {
    let desk = Desk::new("bt-known");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let page = desk.folder.path().join("r.html");
    for (known, word) in [("b2", "convention B2"), ("b1", "convention B1"), ("a", "convention A")] {
        let day = ["--from", "2024-01-10", "--to", "2024-01-11", "--policy", "breakeven"];
        let mut more = [&day[..], &["--known", known, "--ladder", "--format", "json"]].concat();
        if known == "b1" {
            more.extend(["--report", path(&page)]);
        }
        let said = desk.backtest(&[&runs, &settled], &more).ok().json();
        assert_eq!(said["known"], known);
        assert_eq!(said["step_s"], if known == "b2" { 300 } else { 900 });
        let note = said["notes"][0].as_str().unwrap();
        assert!(note.contains(word) && note.contains("not attainable"), "{note}");
        assert_eq!(said["ladder"].as_array().unwrap().len(), 6);
    }
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("by convention B1, one decision") && html.contains("not attainable"));
    let table = desk.backtest(&[&runs, &settled], &["--known", "a"]).ok().out;
    assert!(table.contains("known: by convention A, what an interval settles at"), "{table}");
    let only = desk.refused(&[&settled], &["--known", "b1"]);
    assert!(only.contains("--known b1 is about dispatch runs, and the files have none"), "{only}");
}

/// What is told earlier earns more, of the same prices.
#[test]
fn the_earlier_it_is_known_the_more_is_captured() {
    let desk = Desk::new("bt-early");
    let (runs, settled) = (desk.runs("lmp.csv", price), desk.settled("spp.csv", price));
    let profit = |known: &str| -> f64 {
        let more = ["--known", known, "--format", "json", "--policy", "fixed_strike"];
        let said = desk.backtest(&[&runs, &settled], &more).ok().json();
        said["policies"][0]["profit"].as_f64().unwrap()
    };
    // Each against one that decides in the same steps.
    assert!(profit("live") < profit("b2"));
    assert!(profit("b1") <= profit("a"));
}

/// Months add up to the whole, and their names are those of the market's calendar.
#[test]
fn months_add_up() {
    let desk = Desk::new("bt-months");
    let settled = desk.settled("spp.csv", price);
    let lines = std::fs::read_to_string(&settled).unwrap();
    // The same two days three weeks later: the last of January and the first of February.
    let later = lines.replace("2024-01-10", "2024-01-31").replace("2024-01-11", "2024-02-01");
    let later = desk.folder.write("later.csv", later.replace("2024-01-12", "2024-02-02"));
    let said = desk.backtest(&[&later], &["--format", "json"]).ok().json();
    let months = said["months"].as_array().unwrap();
    let names: Vec<&str> = months.iter().map(|m| m["month"].as_str().unwrap()).collect();
    assert_eq!(names, ["2024-01", "2024-02"]);
    assert_eq!(months[0]["to"], "2024-02-01T06:00:00Z");
    for (i, policy) in said["policies"].as_array().unwrap().iter().enumerate() {
        for key in ["profit", "starts"] {
            let sum: f64 = months.iter().map(|m| m["policies"][i][key].as_f64().unwrap()).sum();
            let whole = policy[key].as_f64().unwrap();
            assert!((sum - whole).abs() < 1e-4, "{key} {sum} {whole}");
        }
    }
}

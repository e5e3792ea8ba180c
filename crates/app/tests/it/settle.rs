//! `headgate settle` from its files: what is read where, what is refused, what is left out.

use crate::common::*;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Ten machines of 1 kW at one level, a block of 5 kW, an adder, and a contract of 100 a MWh.
const SITE: &str = r#"schema = 1

[site]
name = "Test"
timezone = "America/Chicago"
market = "ercot"
settlement_point = { name = "HB_HOUSTON", type = "HU" }

[limits]
import = "1 MW"

[value]
source = "contract"
price = "100 USD/MWh"

[[contract]]
kind = "block"
quantity = "5 kW"
price = "30 USD/MWh"
term = ["2024-01-01", "2024-12-31"]
resale = { point = "HB_HOUSTON", fee = "1 USD/MWh" }

[[adder]]
name = "retail"
on = "import"
price = "4 USD/MWh"

[[charge]]
name = "4CP"
kind = "coincident_peak"
peaks = { months = [6, 7, 8, 9], per_month = 1, interval = "15 min" }
rate = "40 USD/kW-yr"
term = ["2024-01-01", "2024-12-31"]

[[charge]]
kind = "demand"
rate = "2 USD/kW-month"
term = ["2024-01-01", "2024-12-31"]

[settlement]
base_point = { tolerance = "5 %", at_least = "1 kW", price = "50 USD/MWh" }

[[cohort]]
name = "east"
driver = "luxos"
hosts = "127.1.0.1-127.1.0.10"
curve = [["1 kW", "40 TH/s"]]
sleep = "0 W"

[drivers.luxos]
kind = "luxos"
"#;
/// 10 June 2024, 12:00 to 13:00 in Houston.
const METER: &str = "interval_start_utc,energy_kwh\n2024-06-10T17:00:00Z,2.5\n\
                     2024-06-10T17:15:00Z,0\n2024-06-10T17:30:00Z,2.5\n2024-06-10T17:45:00Z,2.5\n";

struct Desk {
    folder: Folder,
    site: PathBuf,
    meter: PathBuf,
    prices: PathBuf,
}

fn desk(name: &str) -> Desk {
    let folder = Folder::new(name);
    let site = folder.write("site.toml", SITE);
    let meter = folder.write("meter.csv", METER);
    let prices = folder.write("spp.csv", crate::prices::quarter_hours(&[20.0, 900.0, 40.0]));
    Desk { folder, site, meter, prices }
}

impl Desk {
    fn settle(&self, more: &[&str]) -> Said {
        let (meter, prices) = (path(&self.meter), path(&self.prices));
        let args = ["settle", path(&self.site), "--meter", meter, "--prices", prices];
        headgate().args(args).args(more).output().unwrap().into()
    }

    fn json(&self, more: &[&str]) -> Value {
        let mut args = vec!["--format", "json"];
        args.extend(more);
        self.settle(&args).ok().json()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        self.folder.write(name, text)
    }
}

/// Component, name and amount of each, then the profit and what is not settled.
fn amounts(document: &Value) -> String {
    let mut out = String::new();
    for c in document["components"].as_array().unwrap() {
        let name = c["name"].as_str().unwrap_or("-");
        writeln!(out, "{} {name} {}", c["component"].as_str().unwrap(), c["amount"]).unwrap();
    }
    for u in document["unsettled"].as_array().unwrap() {
        writeln!(out, "not {}: {}", u["start"].as_str().unwrap(), u["why"].as_str().unwrap())
            .unwrap();
    }
    writeln!(out, "profit {}", document["profit"]).unwrap();
    out
}

#[test]
fn an_hour_settles_line_by_line() {
    let desk = desk("settle");
    let peaks = desk.write("peaks.csv", "interval_start_utc\n2024-06-10T17:30:00Z\n");
    let document = desk.json(&["--peaks", path(&peaks)]);
    // 2.5 kWh at 100; block 1.25 kWh at 30 thrice; 1.25 kWh sold at 899 while nothing ran; top-up
    // of 1.25 kWh at 20 and at 40; 5 kWh at 4; 10 kW in the peak at 40 a year over four peaks;
    // 10 kW at 2. The last quarter hour has no price.
    insta::assert_snapshot!(amounts(&document), @r"
    compute_revenue - 0.5
    spot_energy - -0.075
    block_energy block 1 -0.1125
    block_resale block 1 1.12375
    adder retail -0.02
    coincident_peak 4CP -100.0
    demand demand -20.0
    not 2024-06-10T17:45:00Z: no settlement price was posted
    profit -118.58375
    ");
    let units = document["units"].as_array().unwrap();
    let sum: f64 = units.iter().map(|u| u["profit"].as_f64().unwrap()).sum();
    assert!((sum - document["profit"].as_f64().unwrap()).abs() < 1e-9);
    assert_eq!(units[0]["unit"], "east");
}

#[test]
fn a_later_posting_corrects_an_earlier_one() {
    let desk = desk("settle-corrected");
    let text = crate::prices::quarter_hours(&[20.0, 800.0, 40.0]);
    let later = desk.write("later.csv", &text);
    let document = desk.json(&["--prices", path(&desk.prices), path(&later)]);
    let correction = &document["correction"];
    assert_eq!(correction["changes"].as_array().unwrap().len(), 1);
    // 1.25 kWh less 100 a MWh.
    assert_eq!(correction["difference"], -0.125);
    assert_eq!(desk.json(&[])["correction"], Value::Null);
}

#[test]
fn what_was_imported_settles_as_its_files_do() {
    let desk = desk("settle-imported");
    let data = desk.folder.data();
    let text = crate::prices::quarter_hours(&[20.0, 800.0, 40.0]);
    let later = desk.write("later.csv", &text);
    let import = |file: &std::path::Path, posted: &str| {
        let args = ["prices", "import", path(file), "--data", path(&data), "--posted", posted];
        headgate().args(args).output().map(Said::from).unwrap().ok()
    };
    import(&desk.prices, "2024-06-10T18:00:00Z");
    import(&later, "2024-06-12T15:00:00Z");
    let settle = |more: &[&str]| -> Value {
        let meter = ["settle", path(&desk.site), "--meter", path(&desk.meter)];
        let mut command = headgate();
        command.args(meter).args(["--data", path(&data), "--format", "json"]).args(more);
        command.output().map(Said::from).unwrap().ok().json()
    };
    let stored = settle(&[]);
    let files = desk.json(&["--prices", path(&desk.prices), path(&later)]);
    assert_eq!(stored["profit"], files["profit"]);
    let change = &stored["correction"]["changes"][0];
    assert_eq!(change["first"]["known_at"], "2024-06-10T17:32:00Z");
    assert_eq!(change["latest"]["known_at"], "2024-06-12T15:00:00Z");
    // Before the correction was posted there was none.
    let early = settle(&["--as-of", "2024-06-12T14:59:59Z"]);
    assert_eq!(early["profit"], desk.json(&[])["profit"]);
    assert_eq!(early["correction"], Value::Null);
    let month = settle(&["--month", "2024-06"]);
    assert_eq!(month["from"], "2024-06-01T05:00:00Z");
    assert_eq!(month["to"], "2024-07-01T05:00:00Z");
    assert_eq!(month["profit"], stored["profit"]);
}

#[test]
fn schedules_are_settled_with_the_meter() {
    let desk = desk("settle-schedules");
    let day_ahead = desk.write(
        "da.csv",
        "interval_start_utc,interval_end_utc,kw,price\n\
         2024-06-10T17:00:00Z,2024-06-10T18:00:00Z,-4,60\n",
    );
    let awards = desk.write(
        "awards.csv",
        "interval_start_utc,product,kw,price\n2024-06-10T17:00:00Z,RRS,8,10\n",
    );
    let calls = desk.write(
        "calls.csv",
        "start_utc,end_utc,product,kw\n2024-06-10T17:15:00Z,2024-06-10T17:30:00Z,RRS,8\n\
         2024-06-10T17:30:00Z,2024-06-10T17:45:00Z,RRS,8\n",
    );
    let base = desk.write("base.csv", "interval_start_utc,kw\n2024-06-10T17:30:00Z,5\n");
    let files = [("--day-ahead", &day_ahead), ("--awards", &awards), ("--deployments", &calls)];
    let mut args = vec!["--base-points", path(&base)];
    for (flag, file) in files {
        args.extend([flag, path(file)]);
    }
    // 4 kW sold at 60 and bought back at 20, 900 and 40; 8 kW held at 10 for three quarters; the
    // first call is met in full, the second not at all; 10 kW over a base of 5 + 1 kW at 50.
    insta::assert_snapshot!(amounts(&desk.json(&args)), @r"
    compute_revenue - 0.5
    spot_energy - -0.075
    block_energy block 1 -0.1125
    block_resale block 1 1.12375
    day_ahead - 0.18
    day_ahead_offset - -0.96
    adder retail -0.02
    demand demand -20.0
    capacity_payment RRS 0.06
    capacity_shortfall RRS -0.02
    base_point_deviation - -0.05
    not 2024-06-10T17:45:00Z: no settlement price was posted
    profit -19.37375
    ");
}

#[test]
fn one_fall_of_the_meter_answers_one_call() {
    let desk = desk("settle-calls");
    let header = "interval_start_utc,product,kw,price\n";
    let awards = desk.write("awards.csv", &format!("{header}2024-06-10T17:00:00Z,RRS,16,10\n"));
    let shortfall = |calls: &str| {
        let calls = desk.write("calls.csv", &format!("start_utc,end_utc,product,kw\n{calls}"));
        let args = ["--awards", path(&awards), "--deployments", path(&calls)];
        let document = desk.json(&args);
        let all = document["components"].as_array().unwrap();
        let found = all.iter().find(|c| c["component"] == "capacity_shortfall");
        found.map(|c| c["amount"].clone())
    };
    // The meter falls by 10 kW in the second quarter; 8 and 8 were called, so 6 for a quarter of
    // an hour are short: 1.5 kWh at 10 a MWh.
    let call = "2024-06-10T17:15:00Z,2024-06-10T17:30:00Z,RRS,8\n";
    assert_eq!(shortfall(&format!("{call}{call}")), Some(serde_json::json!(-0.015)));
    assert_eq!(shortfall(call), Some(serde_json::json!(0.0)));
}

#[test]
fn a_correction_in_a_stamped_file_is_known_when_it_was_posted() {
    let desk = desk("settle-stamped");
    let text = crate::prices::quarter_hours(&[20.0, 800.0, 40.0]);
    let name = "cdr.00012301.0000000000000000.20240612.100000.SPPHLZNP6905_20240610_1300.csv";
    let later = desk.write(name, &text);
    let both = ["--prices", path(&desk.prices), path(&later), "--as-of"];
    let of = |at: &str| desk.json(&[&both[..], &[at]].concat());
    // Ten in the morning in Texas is 15:00 UTC.
    let early = of("2024-06-12T14:59:59Z");
    assert_eq!(early["correction"], Value::Null);
    assert_eq!(early["profit"], desk.json(&[])["profit"]);
    let change = of("2024-06-12T15:00:00Z")["correction"]["changes"][0].clone();
    assert_eq!(change["latest"]["known_at"], "2024-06-12T15:00:00Z");
}

#[test]
fn a_year_out_of_range_is_refused() {
    let desk = desk("settle-range");
    for args in [["--from", "2600-01-01"], ["--month", "9999-01"], ["--to", "0001-01-01"]] {
        let said = desk.settle(&args);
        assert_eq!(said.code, 3, "{}", said.err);
        assert!(said.err.contains("out of range") || said.err.contains("no month"), "{}", said.err);
    }
}

#[test]
fn a_page_and_every_format_tell_one_profit() {
    let desk = desk("settle-page");
    let page = desk.folder.path().join("page.html");
    let document = desk.json(&["--html", path(&page), "--strike", "60 USD/MWh"]);
    let page = std::fs::read_to_string(page).unwrap();
    let profit = document["profit"].as_f64().unwrap();
    assert!(page.contains(&format!(">\u{2212}{:.2}<", -profit)), "{profit}");
    assert!(page.contains("Fixed strike 60.00") && page.contains("no settlement price was posted"));
    let csv = desk.settle(&["--format", "csv"]).ok().out;
    let amounts = csv.lines().skip(1).map(|l| l.split(',').nth(10).unwrap());
    let sum: f64 = amounts.map(|a| a.parse::<f64>().unwrap()).sum();
    assert!((sum - profit).abs() < 1e-6, "{sum} is not {profit}");
}

fn refusal(desk: &Desk, more: &[&str]) -> String {
    let said = desk.settle(more);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    said.verdict(&desk.folder).replace("exit 3\n", "").trim().to_owned()
}

#[test]
fn what_cannot_be_settled_is_refused_with_its_mend() {
    let desk = desk("settle-refused");
    let write = |name: &str, text: &str| desk.write(name, text);
    let other = write("other.csv", "interval_start_utc,LZ_WEST\n2024-06-10T17:00:00Z,1\n");
    let position = write("da.csv", "interval_start_utc,mw\n2024-06-10T17:00:00Z,1\n");
    let calls = write(
        "calls.csv",
        "start_utc,end_utc,product,mw\n2024-06-10T17:15:00Z,2024-06-10T17:30:00Z,RRS,8\n",
    );
    let units =
        write("units.csv", "interval_start_utc,unit,energy_kwh\n2024-06-10T17:00:00Z,west,1\n");
    let bad = |args: &[&str]| refusal(&desk, args);
    insta::assert_snapshot!(bad(&["--from", "2024-06-10T17:01:00Z"]), @"headgate: --from 2024-06-10T17:01:00Z is not at the edge of a 15 min interval");
    insta::assert_snapshot!(bad(&["--day-ahead", path(&position)]), @"headgate: DIR/da.csv line 2: no day-ahead price of HB_HOUSTON (HU) at 2024-06-10T17:00:00Z: give a column `price` or a day-ahead file with --prices");
    insta::assert_snapshot!(bad(&["--deployments", path(&calls)]), @"headgate: --deployments needs --awards: what was sold, and for how much");
    insta::assert_snapshot!(bad(&["--units", path(&units)]), @"headgate: DIR/units.csv line 2: there is no cohort `west`: use east");
    insta::assert_snapshot!(bad(&["--strike", "60"]), @"headgate: --strike: `60` is not a number, a blank and a unit");
    let mut said =
        run(&["settle", path(&desk.site), "--meter", path(&desk.meter), "--prices", path(&other)]);
    assert_eq!(said.code, 3, "{}", said.err);
    said = run(&["settle", path(&desk.site), "--prices", path(&other)]);
    assert_eq!(said.code, 2, "a meter is needed");
    let plain = SITE.replace(
        "base_point = { tolerance = \"5 %\", at_least = \"1 kW\", price = \"50 USD/MWh\" }",
        "",
    );
    std::fs::write(&desk.site, plain).unwrap();
    let base = desk.write("base.csv", "interval_start_utc,kw\n2024-06-10T17:30:00Z,5\n");
    insta::assert_snapshot!(bad(&["--base-points", path(&base)]), @"headgate: --base-points needs [settlement] base_point: how far the load may stray, which has no default");
}

/// A month at a hub on published prices: every interval of the file settles, the sums agree, and
/// the fixed strike is not better by more than what it does not pay for.
#[test]
fn a_month_of_published_prices_settles_throughout() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("HEADGATE_SHARED_DATA").map_or(default, PathBuf::from);
    let file = data.join("ercot_rtm_spp15_4hubs_published_2024-06.csv.gz");
    if !file.exists() {
        eprintln!("SKIPPED: {} is not there; set HEADGATE_SHARED_DATA", file.display());
        return;
    }
    let desk = desk("settle-month");
    let mut meter = String::from("interval_start_utc,power_kw\n");
    let start = time("2024-06-01T05:00:00Z");
    for i in 0..2860i64 {
        let at = headgate_core::time::Time(start.0 + i * 900_000_000_000);
        writeln!(meter, "{at},{}", i % 11).unwrap();
    }
    std::fs::write(&desk.meter, meter).unwrap();
    let args = ["settle", path(&desk.site), "--meter", path(&desk.meter)];
    let more = ["--prices", path(&file), "--format", "json"];
    let said: Said = headgate().args(args).args(more).output().unwrap().into();
    let document = said.ok().json();
    assert_eq!(document["intervals"], 2860);
    assert_eq!(document["unsettled"].as_array().unwrap().len(), 0);
    let total = |list: &str, key: &str| -> i64 {
        let all = document[list].as_array().unwrap();
        all.iter().map(|v| (v[key].as_f64().unwrap() * 1e6).round() as i64).sum()
    };
    let profit = (document["profit"].as_f64().unwrap() * 1e6).round() as i64;
    assert_eq!(total("components", "amount"), profit);
    assert_eq!(total("rows", "profit"), profit);
    assert_eq!(total("units", "profit"), profit);
}

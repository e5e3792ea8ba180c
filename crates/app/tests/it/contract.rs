//! What scripts depend on: exit codes, and one clear sentence for each thing that is wrong.

use crate::common::*;
use crate::prices::{SCED_HEADER, SPP_HEADER, quarter_hours};
use std::io::Write;

/// Runs a replay that must not start, and gives its code and its complaint.
fn refused(name: &str, file: &str, content: &[u8]) -> String {
    let folder = Folder::new(name);
    let site = folder.write("site.toml", SiteText { machines: 2, ..SiteText::default() }.text());
    let prices = folder.write(file, content);
    let data = folder.data();
    let args = ["run", path(&site), "--data", path(&data), "--replay", path(&prices)];
    let rest = ["--simfarm", "--speed", "max", "--until-end"];
    let said: Said = headgate().args(args).args(rest).output().unwrap().into();
    assert!(!data.exists(), "what is refused leaves nothing behind");
    said.verdict(&folder)
}

#[test]
fn wrong_usage_is_exit_2() {
    for args in [
        &["--no-such-flag"][..],
        &["run"],
        &["no-such-command"],
        &["demo", "--speed", "0"],
        &["hold"],
        &["status", "--format", "xml"],
        &["explain", "--at", "yesterday"],
    ] {
        let said = run(args);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{args:?}: {}", said.err);
        assert!(said.err.contains("error:"), "{}", said.err);
    }
}

#[test]
fn an_unreachable_daemon_is_exit_4() {
    let folder = Folder::new("nobody");
    for args in [
        &["status"][..],
        &["hold", "--reason", "x"],
        &["release"],
        &["stop"],
        &["status", "--format", "json"],
    ] {
        let said: Said =
            headgate().args(args).args(["--data", path(folder.path())]).output().unwrap().into();
        assert_eq!(said.verdict(&folder), "exit 4\nheadgate: no headgate runs on DIR", "{args:?}");
    }
}

#[test]
fn what_was_left_behind_nowhere_is_said() {
    let folder = Folder::new("nothing");
    let empty = path(folder.path());
    let explain = run(&["explain", "--data", empty]);
    insta::assert_snapshot!(explain.verdict(&folder), @"
    exit 1
    headgate: no decisions in `DIR`: nothing has run there yet; name the folder with --data
    ");
    let replay = run(&["replay", &format!("{empty}/none")]);
    insta::assert_snapshot!(replay.verdict(&folder), @"
    exit 1
    headgate: failed to open the journal in `DIR/none`: No such file or directory (os error 2)
    ");
    let verify = run(&["journal", "verify", "--data", &format!("{empty}/none")]);
    insta::assert_snapshot!(verify.verdict(&folder), @"
    exit 1
    headgate: failed to open the journal in `DIR/none`: No such file or directory (os error 2)
    ");
}

#[test]
fn speed_and_simulation_go_together() {
    let folder = Folder::new("speed");
    let site = folder.write("site.toml", SiteText::default().text());
    let prices = folder.write("spp.csv", quarter_hours(&[20.0; 8]));
    let data = folder.data();
    let start = ["run", path(&site), "--data", path(&data)];
    let go = |site: &[&str], more: &[&str]| {
        let said: Said = headgate().args(site).args(more).output().unwrap().into();
        said.verdict(&folder)
    };
    let fast = go(&start, &["--replay", path(&prices), "--speed", "10"]);
    insta::assert_snapshot!(fast, @"
    exit 3
    headgate: accelerated prices never command a machine that is not simulated in this process: add --simfarm, or leave --speed at 1
    ");
    let live = go(&start, &["--speed", "10"]);
    insta::assert_snapshot!(live, @"
    exit 3
    headgate: --speed needs recorded prices: give --replay FILE too
    ");
    let backwards = ["--replay", path(&prices), "--from", "2024-06-11T00:00:00Z"];
    insta::assert_snapshot!(go(&start, &backwards), @"
    exit 3
    headgate: the replay would begin at 2024-06-11T00:00:00Z and end at 2024-06-10T19:03:00Z: there is nothing in between, so move --from or --to
    ");
    let real = SiteText::default().text().replace("127.1.0.1-127.1.0.60", "10.1.0.1-10.1.0.60");
    let real = folder.write("real.toml", real);
    let start = ["run", path(&real), "--data", path(&data)];
    let sim = go(&start, &["--replay", path(&prices), "--simfarm", "--speed", "max"]);
    insta::assert_snapshot!(sim, @"
    exit 3
    headgate: --simfarm simulates machines on loopback addresses only, and [[cohort]] hosts names others: number them from 127.1.0.1 on
    ");
}

#[test]
fn a_missing_column_is_named() {
    let text = quarter_hours(&[20.0; 4]).replace(",SettlementPointPrice,", ",Prices,");
    insta::assert_snapshot!(refused("column", "spp.csv", text.as_bytes()), @"
    exit 3
    headgate: failed to read DIR/spp.csv line 1: a file of kind ercot_np6_905 is recognised, but the column SettlementPointPrice is missing; fetch the file again, or put its header right
    ");
}

#[test]
fn a_price_that_is_no_number_is_named() {
    let text = quarter_hours(&[20.0, 21.0, 22.0]).replace("21.00", "NaN");
    insta::assert_snapshot!(refused("nan", "spp.csv", text.as_bytes()), @"
    exit 3
    headgate: failed to read DIR/spp.csv line 4, column SettlementPointPrice: `NaN` is not a finite number; a missing price is not zero: leave the row out
    ");
    let text = quarter_hours(&[20.0, 21.0, 22.0]).replace("21.00", "");
    insta::assert_snapshot!(refused("nothing", "spp.csv", text.as_bytes()), @"
    exit 3
    headgate: failed to read DIR/spp.csv line 4, column SettlementPointPrice: an empty field where a number is expected; a missing price is not zero: leave the row out
    ");
}

#[test]
fn a_price_beyond_the_dated_cap_is_kept_and_told() {
    let folder = Folder::new("cap");
    let few = SiteText { machines: 2, ..SiteText::default() };
    let site = folder.write("site.toml", few.text());
    let prices = folder.write("spp.csv", quarter_hours(&[20.0, 21_000.0, 22.0]));
    let daemon: Said = headgate()
        .args(["run", path(&site), "--data", path(&folder.data()), "--replay", path(&prices)])
        .args(["--simfarm", "--speed", "max", "--until-end"])
        .output()
        .unwrap()
        .into();
    let daemon = daemon.ok();
    let told = daemon.err.lines().find(|l| l.contains("dated bounds")).unwrap_or_default();
    let told = folder.redact(told.split_once("INFO ").unwrap_or_default().1);
    insta::assert_snapshot!(told, @"
    DIR/spp.csv: prices beyond the dated bounds, all of them kept: 1; the farthest is 21000.00/MWh at HB_HOUSTON 2024-06-10T17:15:00Z, above the cap of 5000.00/MWh
    ");
    let decision = explain_json(&folder.data(), "2024-06-10T17:32:00Z");
    assert_eq!(decision["expected"]["price"], 21_000.0, "{decision}");
}

#[test]
fn an_hour_that_happens_twice_needs_its_flag() {
    let mut text = SPP_HEADER.replace(",DSTFlag", "");
    for hour in [1, 2, 2, 3] {
        for quarter in 1..=4 {
            text += &format!("11/03/2024,{hour},{quarter},HB_HOUSTON,HU,20.00\n");
        }
    }
    insta::assert_snapshot!(refused("autumn", "spp.csv", text.as_bytes()), @"
    exit 3
    headgate: failed to read DIR/spp.csv line 6, column DeliveryHour: this local hour happens twice, because the clocks go back, and the file does not say which is meant; use the file with a DSTFlag or RepeatedHourFlag column
    ");
    let mut text = SCED_HEADER.replace(",repeatHourFlag", "");
    for _ in 0..2 {
        text += "2024-11-03T01:05:10,20.00,20.00\n2024-11-03T01:10:10,20.00,20.00\n";
    }
    insta::assert_snapshot!(refused("autumn-runs", "lmp.csv", text.as_bytes()), @"
    exit 3
    headgate: failed to read DIR/lmp.csv line 2, column SCEDTimestamp: this local hour happens twice, because the clocks go back, and the file does not say which is meant; use the file with a DSTFlag or RepeatedHourFlag column
    ");
}

#[test]
fn a_file_cut_short_is_named() {
    let text = quarter_hours(&[20.0; 40]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(text.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    insta::assert_snapshot!(refused("gzip", "spp.csv.gz", &gz[..gz.len() / 2]), @"
    exit 3
    headgate: failed to unpack DIR/spp.csv.gz: the gzip is cut short; fetch the file again: incomplete deflate stream
    ");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("spp.csv", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(text.as_bytes()).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    insta::assert_snapshot!(refused("zip", "spp.zip", &zip[..zip.len() / 2]), @"
    exit 3
    headgate: failed to unpack DIR/spp.zip: the zip is cut short; fetch the file again: invalid Zip archive: Could not find EOCD
    ");
    insta::assert_snapshot!(refused("empty", "spp.csv", b""), @"
    exit 3
    headgate: failed to read DIR/spp.csv: it is empty; fetch the file again
    ");
}

#[test]
fn a_file_of_another_point_says_which_it_has() {
    let text = quarter_hours(&[20.0; 4]).replace("HB_HOUSTON", "HB_NORTH");
    insta::assert_snapshot!(refused("point", "spp.csv", text.as_bytes()), @"
    exit 3
    headgate: failed to read DIR/spp.csv: it has no price of HB_HOUSTON (HU); it has HB_NORTH, LZ_HOUSTON; name a settlement point and type the file has
    ");
    let folder = Folder::new("none");
    let site = folder.write("site.toml", SiteText::default().text());
    let none = folder.path().join("none.csv");
    let data = folder.data();
    let said = run(&["run", path(&site), "--data", path(&data), "--replay", path(&none)]);
    insta::assert_snapshot!(said.verdict(&folder), @"
    exit 3
    headgate: failed to read DIR/none.csv: No such file or directory (os error 2)
    ");
    let text = folder.write("spp.csv", quarter_hours(&[20.0; 4]));
    let kind = format!("ercot_np6_788:{}", text.display());
    let said = run(&["run", path(&site), "--data", path(&data), "--replay", &kind]);
    insta::assert_snapshot!(said.verdict(&folder), @"
    exit 3
    headgate: `DIR/spp.csv` holds ercot_np6_905, not ercot_np6_788: leave the kind out or name the right one
    ");
}

#[test]
fn a_bad_configuration_is_shown_with_line_and_caret() {
    let folder = Folder::new("check");
    let bad = SiteText::default()
        .text()
        .replace("import = \"1 MW\"", "import = \"1 MWh\"\nimprot = \"1 MW\"")
        .replace("mode = \"auto\"", "mode = \"fast\"")
        .replace("[\"1414 W\", \"70.2 TH/s\"]", "[\"700 W\", \"70.2 TH/s\"]");
    let site = folder.write("site.toml", bad);
    let said = run(&["check", path(&site)]);
    insta::assert_snapshot!(said.verdict(&folder), @r#"
    exit 3
    error: `limits.import`: "1 MWh" is not a power: the unit `MWh` is not one of W, kW, MW, GW; write it like "7 MW"
      --> DIR/site.toml:11:10
       |
    11 | import = "1 MWh"
       |          ^^^^^^^
    "#);
    let said = run(&["check", path(&site), "--format", "json"]);
    insta::assert_snapshot!(said.verdict(&folder), @r#"
    exit 3
    {
      "file": "DIR/site.toml",
      "ok": false,
      "problems": [
        {
          "message": "DIR/site.toml:11: `limits.import`: \"1 MWh\" is not a power: the unit `MWh` is not one of W, kW, MW, GW; write it like \"7 MW\""
        }
      ]
    }
    "#);
    // `run` stops at the same words.
    let data = folder.data();
    let said = run(&["run", path(&site), "--data", path(&data)]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("^^^") && !data.exists(), "{}", said.err);
    let none = run(&["check", path(&folder.path().join("none.toml"))]);
    insta::assert_snapshot!(none.verdict(&folder), @"
    exit 3
    failed to read DIR/none.toml
    ");
}

#[test]
fn a_good_configuration_is_summed_up() {
    let folder = Folder::new("good");
    let site = folder.write("site.toml", SiteText::default().text());
    let mut said = run(&["check", path(&site), "--format", "json"]).ok();
    let hash = said.json()["config_hash"].as_str().unwrap().to_owned();
    assert_eq!(hash.len(), 64);
    said.out = said.out.replace(&hash, "HASH");
    insta::assert_snapshot!(said.verdict(&folder), @r#"
    exit 0
    {
      "config_hash": "HASH",
      "currency": "USD",
      "excluded": 0,
      "machines": 60,
      "mode": "auto",
      "ok": true,
      "point": "HB_HOUSTON (HU)",
      "policy": "breakeven",
      "problems": [],
      "site": "Test",
      "warnings": [
        "DIR/site.toml:36: `feeds.lmp.source`: there is no DIR/recorded yet",
        "DIR/site.toml:37: `feeds.spp.source`: there is no DIR/recorded yet"
      ]
    }
    "#);
}

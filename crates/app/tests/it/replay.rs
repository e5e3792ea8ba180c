//! Recorded prices on the simulated farm: what is known when, and what the machines then do.

use crate::common::*;
use crate::prices::{five_minutes, quarter_hours, spike};
use headgate_core::event::Event;
use headgate_core::time::Span;
use serde_json::Value;
use std::path::Path;

/// Import with every machine working, and with every machine asleep, in watts: the sum of the
/// machines, 4 % on top, and 2 kW.
const ALL_ON_W: i64 = 60 * 2794 * 104 / 100 + 2000;
const ALL_OFF_W: i64 = 60 * 30 * 104 / 100 + 2000;

fn measured(data: &Path, at: &str) -> i64 {
    let decision = explain_json(data, at);
    decision["measured_w"].as_i64().unwrap_or_else(|| panic!("nothing measured: {decision}"))
}

/// What was expected at a moment: price, newest price, and how it came about.
fn expected(data: &Path, at: &str) -> (f64, f64, String) {
    let e = &explain_json(data, at)["expected"];
    let price = |key: &str| e[key].as_f64().unwrap_or_else(|| panic!("no {key} in {e}"));
    (price("price"), price("latest"), e["basis"].as_str().unwrap().to_owned())
}

/// No event of the journal holds a price that could not be known yet, and each came in the
/// moment it could.
#[track_caller]
fn check_known_at(data: &Path) -> usize {
    let mut seen = 0;
    for stamped in events(data) {
        let Event::Prices { rows, .. } = stamped.event else { continue };
        for row in rows {
            assert_eq!(row.known_at, stamped.at, "event {} {row:?}", stamped.seq);
            seen += 1;
        }
    }
    seen
}

/// An explanation without its measured watts, which no two runs share.
fn steady(text: &str) -> String {
    let cut = |line: &str| match line.split_once(", measured ") {
        Some((before, after)) => {
            let rest = after.split_once(',').map_or(String::new(), |(_, rest)| format!(",{rest}"));
            format!("{before}, measured POWER{rest}")
        }
        None => line.to_owned(),
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

fn is_near(got: i64, want: i64) -> bool {
    (got - want).abs() * 100 <= want * 5 || (got - want).abs() <= 2_000
}

/// All were up, all went down, all came back, proven by watts.
#[track_caller]
fn check_down_and_back(summary: &Value) {
    check_counts(summary);
    let n = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!(n("machines"), 60);
    // Down once and up once each; a start in another profile than full power may add some.
    assert!((120..=180).contains(&n("commands")), "{summary}");
    assert_eq!(n("confirmed"), n("commands"), "{summary}");
}

#[test]
fn a_quarter_hour_is_learnt_two_minutes_after_its_end() {
    let folder = Folder::new("quarters");
    let site = folder.write("site.toml", SiteText::default().text());
    let prices = folder.write("spp.csv", quarter_hours(&spike(4)));
    let summary = run_replay(&folder, &site, path(&prices), &[]);
    check_down_and_back(&summary);
    assert_eq!(summary["point"], "HB_HOUSTON (HU)");

    let data = folder.data();
    assert_eq!(check_known_at(&data), 12);
    // The spike's first quarter is 18:30 to 18:45 UTC and is known at 18:47: until then the last
    // published price is carried on, though the spike has long begun.
    let last = String::from("last_published");
    assert_eq!(expected(&data, "2024-06-10T18:46:59Z"), (20.0, 20.0, last.clone()));
    assert!(is_near(measured(&data, "2024-06-10T18:46:59Z"), ALL_ON_W));
    assert_eq!(expected(&data, "2024-06-10T18:47:00Z"), (900.0, 900.0, last.clone()));
    assert!(is_near(measured(&data, "2024-06-10T19:10:00Z"), ALL_OFF_W));
    assert_eq!(expected(&data, "2024-06-10T19:16:59Z"), (900.0, 900.0, last.clone()));
    assert_eq!(expected(&data, "2024-06-10T19:17:00Z"), (20.0, 20.0, last));
    assert!(is_near(measured(&data, "2024-06-10T19:45:00Z"), ALL_ON_W));

    let at = "2024-06-10T18:47:00Z";
    let text = steady(&run(&["explain", "--at", at, "--data", path(&data)]).ok().out);
    insta::assert_snapshot!(text, @"
    2024-06-10T18:47:00Z  target 3.8 kW  (Auto)
      price      900.00/MWh expected, last published settlement price, 0 s old
      economics  3.8 kW  0 of 4 steps of the staircase are worth more than 904.10/MWh with adders
      physical       -> [3.8 kW, 176.3 kW]  60 machines answer, 0 are counted as drawing 0 W
      site_import    -> [3.8 kW, 176.3 kW]  the connection carries 1.000 MW
      dwell          -> [3.8 kW, 3.8 kW]  0 machines may not sleep yet, 60 may not wake yet
      planned 3.8 kW, measured POWER
      below 88.69/MWh power would go up
    ");
}

#[test]
fn a_five_minute_run_is_learnt_twenty_seconds_after_its_stamp() {
    let folder = Folder::new("runs");
    let site = folder.write("site.toml", SiteText::default().text());
    let prices = folder.write("lmp.csv", five_minutes(&spike(12)));
    let summary = run_replay(&folder, &site, path(&prices), &[]);
    check_down_and_back(&summary);

    let data = folder.data();
    assert_eq!(check_known_at(&data), 36);
    // The run stamped 18:30:07 is known at 18:30:27.
    let mean = String::from("running_mean");
    assert_eq!(expected(&data, "2024-06-10T18:30:26Z"), (20.0, 20.0, mean.clone()));
    assert!(is_near(measured(&data, "2024-06-10T18:30:26Z"), ALL_ON_W));
    // Seven of the 900 seconds cost 20, the others 900: (7 * 20 + 893 * 900) / 900.
    let (price, latest, basis) = expected(&data, "2024-06-10T18:30:27Z");
    assert!((price - 893.156).abs() < 0.001, "{price}");
    assert_eq!((latest, basis), (900.0, mean.clone()));
    assert!(is_near(measured(&data, "2024-06-10T18:45:27Z"), ALL_OFF_W));
    // In the last interval of the spike a cheap run is not known before its 20 seconds either.
    assert_eq!(expected(&data, "2024-06-10T19:00:26Z").1, 900.0);
    let (price, latest, basis) = expected(&data, "2024-06-10T19:00:27Z");
    assert!((price - 26.844).abs() < 0.001, "{price}");
    assert_eq!((latest, basis), (20.0, mean));
    assert!(is_near(measured(&data, "2024-06-10T19:30:00Z"), ALL_ON_W));

    let at = "2024-06-10T18:50:00Z";
    let text = steady(&run(&["explain", "--at", at, "--data", path(&data)]).ok().out);
    insta::assert_snapshot!(text, @"
    2024-06-10T18:45:27Z  target 3.8 kW  (Auto)
      price      900.00/MWh expected, mean of the interval's dispatch runs so far, 0 s old
      economics  3.8 kW  0 of 4 steps of the staircase are worth more than 904.10/MWh with adders
      physical       -> [3.8 kW, 176.3 kW]  60 machines answer, 0 are counted as drawing 0 W
      site_import    -> [3.8 kW, 176.3 kW]  the connection carries 1.000 MW
      planned 3.8 kW, measured POWER
      below 88.69/MWh power would go up
    ");
}

#[test]
fn shadow_decides_the_same_and_touches_nothing() {
    let folder = Folder::new("shadow");
    let shadow = SiteText { mode: "shadow", ..SiteText::default() };
    let site = folder.write("site.toml", shadow.text());
    let prices = folder.write("lmp.csv", five_minutes(&spike(12)));
    let summary = run_replay(&folder, &site, path(&prices), &[]);
    assert_eq!(summary["commands"], 0, "{summary}");
    let decision = explain_json(&folder.data(), "2024-06-10T18:50:00Z");
    assert_eq!(decision["mode"], "shadow");
    assert!(is_near(decision["target_w"].as_i64().unwrap(), ALL_OFF_W), "{decision}");
    assert!(is_near(decision["measured_w"].as_i64().unwrap(), ALL_ON_W), "{decision}");
}

#[test]
fn a_fixed_hash_price_does_not_grow_old() {
    let folder = Folder::new("constant");
    let few = SiteText { machines: 4, ..SiteText::default() };
    let site = folder.write("site.toml", few.text());
    let mut text = String::from("interval_start_utc,HB_HOUSTON\n");
    // Two days, where a hash price that is fetched is stale after one and a half.
    let begin = time("2024-06-10T06:00:00Z");
    for quarter in 0..192 {
        text += &format!("{},20.00\n", begin + Span::minutes(15 * quarter));
    }
    let prices = folder.write("quarters.csv", text);
    let spec = prices.display().to_string();
    run_replay(&folder, &site, &spec, &[]);
    let first = explain_json(&folder.data(), "2024-06-10T10:00:00Z")["down_above"].clone();
    let last = explain_json(&folder.data(), "2024-06-12T06:00:00Z");
    assert!(first.as_f64().is_some_and(|p| p > ALL_ON_BELOW), "{first}");
    assert_eq!(first, last["down_above"]);
}

#[test]
fn a_replay_goes_on_where_its_journal_ends() {
    let folder = Folder::new("resume");
    let few = SiteText { machines: 6, ..SiteText::default() };
    let site = folder.write("site.toml", few.text());
    let prices = folder.write("lmp.csv", five_minutes(&spike(12)));
    run_replay(&folder, &site, path(&prices), &["--to", "2024-06-10T18:40:00Z"]);
    run_replay(&folder, &site, path(&prices), &[]);

    // Time never goes back in one journal, and no price is told twice out of order.
    let all = events(&folder.data());
    assert!(all.windows(2).all(|w| w[0].at <= w[1].at && w[0].seq + 1 == w[1].seq));
    let starts = all.iter().filter(|e| matches!(e.event, Event::Started { .. })).count();
    assert_eq!(starts, 2);
    assert!(!all.iter().any(|e| matches!(e.event, Event::ClockStepped { .. })));
    let decision = explain_json(&folder.data(), "2024-06-10T18:45:00Z");
    assert_eq!(decision["expected"]["price"], 900.0, "{decision}");

    // Once it is over there is nothing to go on with.
    let data = folder.data();
    let args = ["run", path(&site), "--data", path(&data), "--replay", path(&prices)];
    let said: Said =
        headgate().args(args).args(["--simfarm", "--until-end"]).output().unwrap().into();
    insta::assert_snapshot!(said.verdict(&folder), @"
    exit 3
    headgate: `DIR/data` already holds a journal up to 2024-06-10T19:55:27Z, and this replay ends at 2024-06-10T19:55:27Z: name another folder with --data
    ");
}

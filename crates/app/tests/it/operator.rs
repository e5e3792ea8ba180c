//! People act on a running daemon, and everybody can see that they did.

use crate::common::*;
use serde_json::Value;
use std::path::Path;

/// The keys of a document, a line an object; of a list, those of its first element.
fn keys(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let names: Vec<&str> = map.keys().map(String::as_str).collect();
            for (i, some) in names.chunks(8).enumerate() {
                let mark = if i == 0 { format!("{at}:") } else { String::from("   ") };
                out.push(format!("{mark} {}", some.join(" ")));
            }
            map.iter().for_each(|(key, v)| keys(v, &format!("{at}.{key}"), out));
        }
        Value::Array(list) => {
            list.first().into_iter().for_each(|v| keys(v, &format!("{at}[]"), out));
        }
        _ => {}
    }
}

fn explained(data: &Path) -> String {
    run(&["explain", "--data", path(data)]).ok().out
}

fn act(data: &Path, args: &[&str]) -> u64 {
    let mut args = args.to_vec();
    args.extend(["--data", path(data)]);
    let out = run(&args).ok().out;
    // "held: event 17 in the journal"
    out.split_whitespace().find_map(|w| w.parse().ok()).unwrap_or_else(|| panic!("{out}"))
}

#[test]
fn hold_release_and_stop_have_their_way() {
    let farm = SmallFarm::new("operator");
    let _daemon = farm.start("daemon");
    let data = farm.data.clone();
    let target = |s: &Value| s["target_w"].as_i64();
    let full = |s: &Value| s["ready"] == true && target(s) > Some(30_000);
    wait_status(&data, "full power", full);
    check_shapes(&data);

    act(&data, &["hold", "--power", "15 kW", "--reason", "transformer is hot"]);
    let held = wait_status(&data, "the hold", |s| target(s) == Some(15_000));
    assert!(held["hold"].as_str().unwrap().contains("transformer is hot"), "{held}");
    wait_status(&data, "its proof", |s| s["measured_w"].as_i64() < Some(16_000));
    wait_for("the hold explained", || {
        let text = explained(&data);
        let rung = text.lines().find(|l| l.trim_start().starts_with("operator_hold"))?.to_owned();
        rung.contains("transformer is hot").then_some(())
    });

    let seq = act(&data, &["release", "--reason", "it is cool"]);
    let free = wait_status(&data, "the release", full);
    assert!(free["hold"].is_null(), "{free}");
    assert!(free["seq"].as_u64().unwrap() >= seq, "{free}");

    act(&data, &["stop", "--reason", "fire"]);
    let stopped = wait_status(&data, "the stop", |s| target(s) < Some(3_000));
    assert!(stopped["stop"].as_str().unwrap().contains("fire"), "{stopped}");
    wait_status(&data, "its proof", |s| s["measured_w"].as_i64() < Some(4_000));
    wait_for("the stop explained", || explained(&data).contains("fire").then_some(()));
    act(&data, &["release"]);
    wait_status(&data, "the second release", full);

    let said = run(&["hold", "--power", "many", "--reason", "x", "--data", path(&data)]);
    assert_eq!(said.code, 3, "{}", said.err);
    insta::assert_snapshot!(said.err, @r#"
    headgate: --power: "many" is not a power: the number is missing; write it like "7 MW"
    "#);
    // A second daemon on one folder is refused, and the first does not notice.
    let said = run(&farm.args());
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains(path(&data)), "{}", said.err);
    wait_status(&data, "an answer", |s| s["ready"] == true);
}

/// What scripts read of `status` and `explain`: their keys.
fn check_shapes(data: &Path) {
    let mut found = Vec::new();
    wait_status(data, "a price", |s| s["price"].is_object());
    let mut seen = status(data).unwrap();
    // Whether there is an alarm depends on the moment.
    seen["alarms"] = Value::Array(Vec::new());
    keys(&seen, "status", &mut found);
    insta::assert_snapshot!(found.join("\n"), @"
    status: alarms at at_ns clock commands currency curtailment down_above
        feeds generation hold import_limit_w ladder machines market mean_breakeven
        measured_w meters mode money planned_w point policy price
        ready seq site staircase stop switches target_w unknown_machines
        up_below wake_at wish
    status.clock: progress proving speed
    status.commands: acked commands confirmed drifted open refused superseded timed_out
        unavailable unconfirmed
    status.feeds[]: age_s last_error last_error_s name ok_s role source stale
    status.machines: all asleep awake excluded failed lost
    status.money: compute_revenue energy_cost energy_mwh profit rate_per_h sell_back
    status.price: age_s basis expected latest
    status.staircase[]: breakeven cohort from_w machines power_w running to_w
    ");
    let mut found = Vec::new();
    let explain = ["explain", "--data", path(data), "--format", "json"];
    let decision = wait_for("a priced decision", || {
        let said = run(&explain);
        let decision = (said.code == 0).then(|| said.json())?;
        decision["expected"].is_object().then_some(decision)
    });
    keys(&decision, "decision", &mut found);
    insta::assert_snapshot!(found.join("\n"), @"
    decision: at breakeven cause down_above expected generation ladder machines_down
        machines_up measured_w mode planned_w preferred_w target_w text up_below
        wish
    decision.expected: age_s basis latest price
    decision.ladder[]: band_ceiling_w band_floor_w ceiling_w floor_w overridden reason rung
    ");
}

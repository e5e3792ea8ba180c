//! Power down by a deadline on a running daemon: shown before, proven after, and let back.

use crate::common::*;
use serde_json::{Value, json};

#[test]
fn a_curtailment_is_previewed_sent_proven_explained_and_let_go() {
    let farm = SmallFarm::new("fleet");
    let _daemon = farm.start("daemon");
    let data = farm.data.clone();
    let target = |s: &Value| s["target_w"].as_i64();
    wait_status(&data, "full power", |s| s["ready"] == true && target(s) > Some(30_000));

    let curtail = ["fleet", "curtail", "20 kW", "--by", "60 s", "--data", path(&data)];
    let with = |more: &[&'static str]| -> Vec<&str> { [&curtail[..], more].concat() };
    let shown = run(&with(&["--preview", "--format", "json"])).ok().json();
    assert_eq!((&shown["in_time"], &shown["asked_w"]), (&true.into(), &20_000.into()), "{shown}");
    let goes = &shown["cohorts"][0]["goes"];
    assert_eq!(goes["machines"].as_u64(), Some(shown["machines"].as_array().unwrap().len() as u64));
    assert!(shown["told_w"].as_i64() > Some(20_000), "some are taken to fail: {shown}");
    let said = run(&with(&["--preview"])).ok().out;
    assert!(said.contains("stays") || said.contains("goes"), "{said}");
    // Nothing was sent.
    assert!(status(&data).unwrap()["curtailment"].is_null());

    let done = run(&with(&["--reason", "storm", "--format", "json"])).ok().json();
    assert_eq!((&done["in_time"], &done["done"]), (&true.into(), &true.into()), "{done}");
    assert!(done["delivered_w"].as_i64() >= Some(20_000), "{done}");
    assert_eq!((&done["by_meter"], &done["failed"]["machines"]), (&false.into(), &0.into()));
    assert!(done["measured"]["machines"].as_u64() > Some(0), "{done}");
    let ceiling = done["ceiling_w"].as_i64().unwrap();
    let held = wait_status(&data, "it held", |s| s["measured_w"].as_i64() <= Some(ceiling));
    assert_eq!(held["curtailment"]["active"], true, "{held}");
    assert!(run(&["status", "--data", path(&data)]).ok().out.contains("CURTAILED by 20.0 kW"));
    wait_for("it explained", || {
        let text = run(&["explain", "--data", path(&data)]).ok().out;
        let rung = text.lines().find(|l| l.trim_start().starts_with("obligation"))?.to_owned();
        rung.contains("storm").then_some(())
    });

    run(&["fleet", "resume", "--data", path(&data)]).ok();
    let back = wait_status(&data, "the return", |s| target(s) > Some(30_000));
    assert_eq!(back["curtailment"]["active"], false, "{back}");

    for (args, why) in [
        (&["fleet", "curtail", "much", "--by", "60 s"][..], "is not a power"),
        (&["fleet", "curtail", "1 MW", "--by", "soon"][..], "--by"),
    ] {
        let said = run(&[args, &["--data", path(&data)]].concat());
        assert_eq!(said.code, 3, "{}", said.err);
        assert!(said.err.contains(why), "{}", said.err);
    }
}

#[test]
fn a_curtailment_outlives_a_kill_and_is_proven_by_the_next_life() {
    let farm = SmallFarm::new("fleet-kill");
    let daemon = farm.start("daemon");
    let data = farm.data.clone();
    let target = |s: &Value| s["target_w"].as_i64();
    wait_status(&data, "full power", |s| s["ready"] == true && target(s) > Some(30_000));
    let request = json!({
        "do": "curtail", "shed_w": 20_000, "within_ms": 120_000, "reason": "storm",
    });
    let seq = ask(&data, &request).unwrap()["seq"].as_u64().unwrap();
    daemon.kill();
    // Its machines go with the process: those of the next one are awake.
    let _daemon = farm.start("again");
    let down = wait_status(&data, "the proof", |s| !s["curtailment"]["proven_at"].is_null());
    let c = &down["curtailment"];
    assert_eq!((&c["seq"], &c["active"]), (&seq.into(), &true.into()), "{down}");
    assert!(c["import_w"].as_i64() <= c["ceiling_w"].as_i64(), "{c}");
    assert!(c["said"].as_str().unwrap().contains("storm"), "{c}");
    let replayed = run(&["replay", path(&data), "--format", "json"]).ok().json();
    assert_eq!(replayed["identical"], true, "{replayed}");
    // What cannot be meant is refused, and says how it is meant.
    for (field, value, why) in [
        ("shed_w", json!(0), "watts from 1"),
        ("within_ms", json!(-5), "milliseconds from 1"),
        ("by", json!("2030-01-01T00:00:00Z"), "either `within_ms` or `by`"),
    ] {
        let mut bad = request.clone();
        bad[field] = value;
        let reply = ask(&data, &bad).unwrap();
        assert!(reply["error"].as_str().unwrap().contains(why), "{reply}");
    }
}

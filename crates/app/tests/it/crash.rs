//! Kill -9 at any moment: nothing acknowledged is lost, and no machine is told anything before
//! every machine has been read back.

use crate::common::*;
use crate::prices::{five_minutes, spike};
use headgate_core::engine::Engine;
use headgate_core::event::{Event, Stamped};
use headgate_core::fleet::{Link, MachineId};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Kills in one run of the test.
const KILLS: u64 = 6;
/// Longest time a daemon is left alone before it is killed, in wall milliseconds.
const LIFE_MS_MAX: u64 = 1_200;

/// Prices that drive everything down and up every half hour, for nearly twelve hours.
fn restless() -> String {
    let prices: Vec<f64> = (0..142).map(|i| if i / 6 % 2 == 0 { 20.0 } else { 900.0 }).collect();
    five_minutes(&prices)
}

/// The journal is whole, but for an unfinished write at its end; the last event it holds.
#[track_caller]
fn check_journal(data: &Path) -> u64 {
    let said = run(&["journal", "verify", "--data", path(data), "--format", "json"]);
    let found = said.json();
    assert!(found["damage"].as_array().unwrap().is_empty(), "{found}");
    assert_eq!(said.code, if found["torn"].is_null() { 0 } else { 5 }, "{found}");
    let replayed = run(&["replay", path(data), "--format", "json"]).ok().json();
    assert_eq!(replayed["identical"], true, "{replayed}");
    found["last_seq"].as_u64().unwrap_or(0)
}

/// Steps the journal again: after each start, every machine speaks before the first plan.
#[track_caller]
fn check_read_back(events: &[Stamped], machines: usize) -> u64 {
    let mut engine = Engine::new();
    let mut heard: BTreeSet<MachineId> = BTreeSet::new();
    let mut plans = 0;
    assert!(matches!(events[0].event, Event::Started { .. }), "{:?}", events[0]);
    for stamped in events {
        match &stamped.event {
            Event::Started { .. } => heard.clear(),
            Event::Telemetry(batch) => {
                let spoke = batch.machines.iter().filter(|r| r.link != Link::Unknown);
                heard.extend(spoke.map(|r| r.machine));
            }
            _ => {}
        }
        let step = engine.step(stamped);
        if let Some(plan) = step.plan {
            plans += 1;
            let (seq, known) = (stamped.seq, heard.len());
            assert_eq!(known, machines, "plan {} at event {seq} came early", plan.generation);
        }
    }
    plans
}

fn acknowledged(data: &Path, round: u64) -> Option<u64> {
    let reason = format!("round {round}");
    let reply = ask(data, &json!({ "do": "release", "reason": reason }))?;
    assert_eq!(reply["ok"], true, "{reply}");
    reply["seq"].as_u64()
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let folder = Folder::new("kill");
    let times = "time = { min_on = \"1 min\", min_off = \"1 min\" }\n";
    let small = SiteText { machines: 24, poll_watts: "2 min", times, ..SiteText::default() };
    let site = folder.write("site.toml", small.text());
    let prices = folder.write("lmp.csv", restless());
    let data = folder.data();
    let args = ["run", path(&site), "--data", path(&data), "--replay", path(&prices)];
    let args: Vec<&str> = args.into_iter().chain(["--simfarm", "--speed", "400"]).collect();
    let mut chance = Chance::new("moments of death", 4);
    let mut acts = Vec::new();
    for round in 0..KILLS {
        let daemon = Running::start(&folder, "daemon", &args);
        wait_for("a status", || glance(&data).filter(|s| s["seq"].as_u64() > Some(0)));
        std::thread::sleep(Duration::from_millis(chance.below(LIFE_MS_MAX)));
        // Half of the lives end right after an act was acknowledged, half at any moment.
        let act = (round % 2 == 0).then(|| acknowledged(&data, round)).flatten();
        let seen = glance(&data).and_then(|s| s["seq"].as_u64());
        daemon.kill();
        let last = check_journal(&data);
        assert!(seen.max(act).is_none_or(|s| s <= last), "{seen:?} and {act:?}, but {last}");
        acts.extend(act.map(|seq| (seq, format!("round {round}"))));
    }
    let all = events(&data);
    for (seq, reason) in &acts {
        let kept = all.iter().find(|e| e.seq == *seq).map(|e| &e.event);
        assert!(matches!(kept, Some(Event::Operator(o)) if o.reason == *reason), "{kept:?}");
    }
    assert_eq!(acts.len(), 3);
    assert!(all.windows(2).all(|w| w[0].at <= w[1].at && w[0].seq + 1 == w[1].seq));
    let starts = all.iter().filter(|e| matches!(e.event, Event::Started { .. })).count();
    assert_eq!(u64::try_from(starts).unwrap(), KILLS);
    // With every life, at least the plan that wakes or puts to sleep what came up anew.
    assert!(check_read_back(&all, 24) >= 2);
}

/// The machines live on in another process, as real ones do; one second is one second.
#[test]
fn a_restart_finds_the_machines_as_they_are() {
    let folder = Folder::new("outlive");
    let small = SiteText { machines: 30, poll_watts: "20 s", ..SiteText::default() };
    let farm_site = folder.write("farm.toml", small.text());
    let mut farm = Running::start(&folder, "farm", &["simfarm", path(&farm_site)]);
    let told: Value =
        wait_for("the farm", || serde_json::from_str(farm.out().lines().next()?).ok());
    let port = u16::try_from(told["port"].as_u64().unwrap()).unwrap();
    let site = folder.write("site.toml", SiteText { port, ..small }.text());
    let prices = folder.write("lmp.csv", five_minutes(&spike(12)));
    let data = folder.data();
    // It begins a minute before this, within the spike: the first thing to do is to go down.
    let from = ["--from", "2024-06-10T18:38:00Z"];
    let args = ["run", path(&site), "--data", path(&data), "--replay", path(&prices)];
    let args: Vec<&str> = args.into_iter().chain(from).collect();
    let mut chance = Chance::new("moments of death at real speed", 9);
    let asleep = |s: &Value| s["machines"]["asleep"] == 30 && s["commands"]["open"] == 0;
    for life in 0..3 {
        let daemon = Running::start(&folder, "daemon", &args);
        let end = wait_for("all asleep", || glance(&data).filter(asleep));
        // They sleep already when a later life begins: nobody tells them so again.
        assert_eq!(end["commands"]["commands"], if life == 0 { 30 } else { 0 }, "{end}");
        std::thread::sleep(Duration::from_millis(chance.below(400)));
        daemon.kill();
        check_journal(&data);
    }
    let _daemon = Running::start(&folder, "daemon", &args);
    let end = wait_for("all asleep", || glance(&data).filter(asleep));
    let measured = end["measured_w"].as_i64().unwrap();
    assert!(measured < 30 * 100 + 2_000, "{end}");
    farm.tell("meter");
    let meter: Value =
        wait_for("the meter", || serde_json::from_str(farm.out().lines().nth(1)?).ok());
    assert!(meter["power_w"].as_i64().unwrap() < 30 * 100 + 2_000, "{meter}");
    let all = events(&data);
    assert!(check_read_back(&all, 30) >= 1);
    assert_eq!(end["commands"]["commands"], 0, "{end}");
}

//! `dispatch`: from the price event to the last answer, against a raw client and pyasic.
//!
//! Ours is the whole program on its real clock: the event is journaled and synced, the engine
//! steps, the driver speaks; it is measured from before the journal. The farm runs in a process
//! of its own, a fresh one for every run. Both clients are counted to the last answer of a
//! curtail (`ours_s`, `anchor_s`) and to the last session given back (`ours_all_s`,
//! `anchor_all_s`); processor seconds are those of all three round trips.

use super::farm::{self, Bench, Farm, figure, median};
use crate::tools::Tools;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Machines of each case, as the goal says.
const SIZES: [u32; 2] = [3_000, 5_000];
/// Requests at one time, of the raw client and ours.
const LIMIT: u32 = 1_000;
/// Runs of each client, in turns; the middle one counts.
const ROUNDS: usize = 5;
/// Limits that pyasic is tried with; the best one counts.
const PYASIC_LIMITS: &str = "50,200";
/// Most that ours may take of the raw client's time, and of its processor seconds.
const RAW_MAX: f64 = 1.3;
const RAW_CPU_MAX: f64 = 1.5;
/// Most that ours may take of pyasic's time.
const PYASIC_MAX: f64 = 1.0 / 3.0;

/// Runs it; its rows and what goals were missed.
pub fn run(target: &Path, tools: &Tools) -> Result<(Vec<Value>, Vec<String>)> {
    let raw = super::build(target, "headgate-drivers", "raw_client")?;
    let bench = Bench::new(target, "dispatch")?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for n in SIZES {
        let site = bench.site(n, LIMIT)?;
        let (mut ours, mut anchors) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            ours.push(ours_once(&bench, &site)?);
            anchors.push(raw_once(&bench, &site, &raw, n)?);
            eprintln!("{n} machines, round {round} of {ROUNDS}");
        }
        let row = raw_row(n, &ours, &anchors)?;
        for (key, most) in [("ratio", RAW_MAX), ("ratio_all", RAW_MAX), ("ratio_cpu", RAW_CPU_MAX)]
        {
            faults.extend(fault(&row, key, most));
        }
        let ours_s = row["ours_s"].clone();
        rows.push(row);
        let Some(row) = pyasic_row(&bench, &site, n, tools, &ours_s)? else {
            eprintln!("pyasic is not to be had here: no row against it");
            continue;
        };
        faults.extend(fault(&row, "ratio", PYASIC_MAX));
        rows.push(row);
    }
    Ok((rows, faults))
}

fn fault(row: &Value, key: &str, most: f64) -> Option<String> {
    let got = row[key].as_f64().unwrap_or(f64::NAN);
    let fits = got <= most;
    (!fits).then(|| format!("{}: {key} is {got:.2}, at most {most:.2} is wanted", row["case"]))
}

fn ours_once(bench: &Bench, site: &Path) -> Result<Value> {
    let farm = Farm::start(bench, site)?;
    let mut command = Command::new(&bench.headgate);
    command.args(["bench", "dispatch"]).arg(site).args(["--port", &farm.port.to_string()]);
    farm::ask(command.arg("--data").arg(bench.fresh()?).env("RUST_LOG", "warn"))
}

fn raw_once(bench: &Bench, site: &Path, raw: &Path, n: u32) -> Result<Value> {
    let farm = Farm::start(bench, site)?;
    let first = std::net::Ipv4Addr::from(farm::FIRST).to_string();
    let mut command = Command::new(raw);
    let told = farm::ask(command.args([first, n.to_string(), farm.port.to_string()]))?;
    ensure!(told["acked"] == n, "the raw client reached {} of {n}", told["acked"]);
    Ok(told)
}

fn raw_row(n: u32, ours: &[Value], anchors: &[Value]) -> Result<Value> {
    let middle = |of: &[Value], key: &str| -> Result<f64> {
        Ok(median(of.iter().map(|d| figure(d, key)).collect::<Result<_>>()?))
    };
    let (ours_s, anchor_s) = (middle(ours, "ack_s")?, middle(anchors, "ack_s")?);
    let (ours_all_s, anchor_all_s) = (middle(ours, "all_s")?, middle(anchors, "all_s")?);
    let cpu = (middle(ours, "all_cpu_s")?, middle(anchors, "all_cpu_s")?);
    Ok(json!({
        "case": format!("{n} machines, to the last ack"), "n": n,
        "ours_s": ours_s, "ours_cpu_s": cpu.0,
        "anchor": format!("raw tokio client, limit {LIMIT}"),
        "anchor_s": anchor_s, "anchor_cpu_s": cpu.1,
        "ratio": ours_s / anchor_s, "ratio_cpu": cpu.0 / cpu.1,
        "ours_all_s": ours_all_s, "anchor_all_s": anchor_all_s,
        "ratio_all": ours_all_s / anchor_all_s,
        "ours_ack_cpu_s": middle(ours, "ack_cpu_s")?,
        "rounds": ours.len(), "load_average": farm::load_average(),
    }))
}

/// The row against pyasic; `None` where it cannot run.
fn pyasic_row(
    bench: &Bench,
    site: &Path,
    n: u32,
    tools: &Tools,
    ours_s: &Value,
) -> Result<Option<Value>> {
    let (Some(namespace), Some(python)) = (&tools.namespace, &tools.python) else {
        return Ok(None);
    };
    let farm = bench.simfarm(site, 4028);
    let mut command = Command::new(namespace[0]);
    command.args(&namespace[1..]).args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    command.arg(python).arg("contrib/oracles/bench_pyasic.py").arg(PYASIC_LIMITS);
    command.arg(farm.get_program()).args(farm.get_args()).current_dir(crate::root());
    let told = farm::ask(&mut command)?;
    let runs = told["rows"].as_array().context("pyasic has no rows")?;
    let whole = runs.iter().filter(|r| r["ok"] == n);
    let time = |r: &Value| r["wall_s"].as_f64().unwrap_or(f64::INFINITY);
    let best = whole.min_by(|a, b| time(a).total_cmp(&time(b)));
    let best = best.with_context(|| format!("pyasic stopped all at no limit: {told}"))?;
    let ours = ours_s.as_f64().context("ours has no time")?;
    Ok(Some(json!({
        "case": format!("{n} machines, pyasic's stop_mining"), "n": n,
        "ours_s": ours, "ours_cpu_s": null,
        "anchor": format!("pyasic {}, limit {}", told["version"].as_str().unwrap_or("?"),
            best["limit"]),
        "anchor_s": best["wall_s"], "anchor_cpu_s": best["cpu_s"],
        "ratio": ours / time(best), "pyasic": runs,
        "load_average": farm::load_average(),
    })))
}

//! `bench peers`: other planners on the tasks of `bench horizon` that they can state, a year each.
//!
//! Each is installed into an environment of its own under the target folder. It takes minutes and
//! a network, so it is no part of the tests.

use super::{BENCH_MAX, build, rows, venv};
use crate::process::{self, Show};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// A peer: its name, what to install, and the tasks it can state.
struct Peer {
    name: &'static str,
    shown: &'static str,
    packages: &'static [&'static str],
    tasks: &'static [&'static str],
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "pypsa",
        shown: "PyPSA 1.2.4 with HiGHS 1.16",
        packages: &["pypsa==1.2.4", "highspy==1.16.0"],
        tasks: &["c", "s"],
    },
    Peer {
        name: "emhass",
        shown: "EMHASS 0.18.7, a solve a day",
        packages: &["emhass==0.18.7", "highspy==1.16.0"],
        tasks: &["s"],
    },
    Peer {
        name: "energypylinear",
        shown: "energypylinear 1.4.1, a solve a day",
        packages: &["energypylinear==1.4.1"],
        tasks: &["s"],
    },
];

/// Runs them; a value that differs from ours beyond a part in ten thousand is a fault.
pub fn run(target: &Path) -> Result<(Vec<Value>, Vec<String>)> {
    let prices = super::shared_data().join("bench/synthetic_15min_35040.csv.gz");
    ensure!(prices.exists(), "there is no {}; set HEADGATE_SHARED_DATA", prices.display());
    let program = build(target, "headgate-core", "horizon_bench")?;
    let mut command = Command::new(program);
    command.args(["--format", "json"]).current_dir(crate::root());
    let done = process::run(&mut command, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to run horizon_bench: {}", done.fault());
    let ours = rows(&done.out)?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for peer in &PEERS {
        let venv = target.join("peers").join(peer.name);
        let python = venv::python(&venv, peer.name, peer.packages)?;
        for task in peer.tasks {
            let case = format!("task_{task}");
            let own = ours.iter().find(|row| row["case"] == case.as_str());
            let own = own.with_context(|| format!("horizon_bench has no case {case}"))?;
            let row = beside_ours(&python, peer, task, &prices, own)?;
            let (a, b) = (row["value"].as_f64(), row["anchor_value"].as_f64());
            let (a, b) = a.zip(b).context("a row has no value")?;
            if (a - b).abs() > 1e-4 * a.abs() {
                faults.push(format!("{case}: {} has {b} where we have {a}", peer.shown));
            }
            rows.push(row);
        }
    }
    Ok((rows, faults))
}

fn beside_ours(
    python: &Path,
    peer: &Peer,
    task: &str,
    prices: &Path,
    own: &Value,
) -> Result<Value> {
    let mut command = Command::new(python);
    command.arg(crate::root().join("contrib/oracles/bench_peers.py"));
    command.args([peer.name, task]).arg(prices).stderr(std::process::Stdio::null());
    let done = process::run(&mut command, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to run {} on task {task}: {}", peer.name, done.fault());
    let line = done.out.lines().next_back().unwrap_or_default();
    let theirs: Value =
        serde_json::from_str(line).with_context(|| format!("{} printed {line}", peer.name))?;
    let seconds = |v: &Value| v.as_f64().context("a time is missing");
    let ratio = seconds(&own["ours_s"])? / seconds(&theirs["s"])?;
    Ok(json!({
        "case": own["case"], "n": own["n"], "ours_s": own["ours_s"],
        "ours_cpu_s": own["ours_cpu_s"], "anchor": peer.shown, "anchor_s": theirs["s"],
        "anchor_cpu_s": theirs["cpu_s"], "ratio": ratio, "value": own["value"],
        "anchor_value": theirs["value"], "anchor_peak_mib": theirs["peak_mib"],
    }))
}

//! `prove`: a hold at 60 % of the measured load, to the meter's proof, with and without mute
//! machines.

use super::farm::{self, Bench, figure};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Machines of the farm.
const MACHINES: u32 = 3_000;
/// Requests at one time.
const CONCURRENCY: u32 = 800;
/// Share of the machines that are mute, in percent.
const MUTE: &str = "5";
/// Most that mute machines may make it slower.
const MOST: f64 = 1.3;

/// Runs it; its rows and what goals were missed.
pub fn run(target: &Path) -> Result<(Vec<Value>, Vec<String>)> {
    let bench = Bench::new(target, "prove")?;
    let site = bench.site(MACHINES, CONCURRENCY)?;
    let healthy = once(&bench, &site, &[])?;
    let anchor_s = figure(&healthy, "proven_s")?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let cases: [(&str, &[&str]); 2] = [
        ("5 % mute from the start", &["--mute", MUTE]),
        ("5 % fall mute at the act", &["--mute", MUTE, "--late"]),
    ];
    for (case, args) in cases {
        let told = once(&bench, &site, args)?;
        let ours_s = figure(&told, "proven_s")?;
        let ratio = ours_s / anchor_s;
        let fits = ratio <= MOST;
        if !fits {
            faults.push(format!("{case}: ratio is {ratio:.2}, at most {MOST} is wanted"));
        }
        let plans = told["plans"].as_array().context("there are no plans")?;
        rows.push(json!({
            "case": case, "n": MACHINES, "ours_s": ours_s, "ours_cpu_s": null,
            "anchor": "the same without mute machines", "anchor_s": anchor_s,
            "anchor_cpu_s": null, "ratio": ratio,
            "plans": plans, "slowest_ack_s": told["slowest_ack_s"],
            "target_w": told["target_w"], "highest_after_w": told["highest_after_w"],
            "last_w": told["last_w"],
            "load_average": farm::load_average(),
        }));
    }
    Ok((rows, faults))
}

fn once(bench: &Bench, site: &Path, args: &[&str]) -> Result<Value> {
    let mut command = Command::new(&bench.headgate);
    command.args(["bench", "prove"]).arg(site).args(args);
    farm::ask(command.arg("--data").arg(bench.fresh()?).env("RUST_LOG", "warn"))
}

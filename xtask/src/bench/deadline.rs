//! `deadline`: 60 % of the measured load down by a deadline, to the true meter's proof, with and
//! without machines that say nothing, lie or are gone.

use super::farm::{self, Bench, figure};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Machines of the farms.
const MACHINES: [u32; 2] = [1_000, 5_000];
/// Requests at one time.
const CONCURRENCY: u32 = 800;
/// Most that faulty machines may make it slower.
const MOST: f64 = 1.5;

/// Runs it; its rows and what goals were missed.
pub fn run(target: &Path) -> Result<(Vec<Value>, Vec<String>)> {
    let bench = Bench::new(target, "deadline")?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for machines in MACHINES {
        let site = bench.site(machines, CONCURRENCY)?;
        let healthy = once(&bench, &site, &[])?;
        let told = once(&bench, &site, &["--faulty"])?;
        let (ours_s, anchor_s) = (figure(&told, "down_s")?, figure(&healthy, "down_s")?);
        let ratio = ours_s / anchor_s;
        let case = "5 % mute, 3 % lying, 2 % dead at the order";
        if ratio > MOST {
            faults.push(format!("{case}: ratio is {ratio:.2}, at most {MOST} is wanted"));
        }
        if told["report"]["in_time"] != true {
            faults.push(format!("{case}: it was not proven in time: {}", told["report"]));
        }
        rows.push(json!({
            "case": case, "n": machines, "ours_s": ours_s, "ours_cpu_s": null,
            "anchor": "the same on a healthy farm", "anchor_s": anchor_s,
            "anchor_cpu_s": null, "ratio": ratio,
            "waves": told["report"]["waves"], "failed": told["report"]["failed"],
            "slowest_ack_s": told["slowest_ack_s"], "ceiling_w": told["ceiling_w"],
            "lowest_w": told["lowest_w"], "load_average": farm::load_average(),
        }));
    }
    Ok((rows, faults))
}

fn once(bench: &Bench, site: &Path, args: &[&str]) -> Result<Value> {
    let mut command = Command::new(&bench.headgate);
    command.args(["bench", "curtail"]).arg(site).args(args);
    farm::ask(command.arg("--data").arg(bench.fresh()?).env("RUST_LOG", "warn"))
}

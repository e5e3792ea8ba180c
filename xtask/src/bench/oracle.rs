//! `bench oracle`: every integer program that exact plans are held against, solved by HiGHS too.
//!
//! The tests state them for microlp; here they are written to files and a second solver, in an
//! environment of its own, has to find the same best. It takes a network the first time.

use super::{BENCH_MAX, venv};
use crate::process::{self, Show};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Runs the tests of exact plans, then HiGHS over their programs; one row for all.
pub fn run(target: &Path) -> Result<(Vec<Value>, Vec<String>)> {
    let folder = target.join("programs");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("failed to clear the programs of another run")?;
    }
    std::fs::create_dir_all(&folder).context("failed to make a folder for the programs")?;
    let mut tests = Command::new("cargo");
    tests.args(["test", "--locked", "-p", "headgate-core", "--test", "horizon"]);
    tests.env("HEADGATE_LP_DIR", &folder).current_dir(crate::root());
    let done = process::run(&mut tests, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to hold exact plans against microlp: {}", done.fault());
    let python = venv::python(&target.join("peers/highs"), "highspy", &["highspy==1.16.0"])?;
    let mut check = Command::new(python);
    check.arg(crate::root().join("contrib/oracles/highs_check.py")).arg(&folder);
    let done = process::run(&mut check, BENCH_MAX, Show::No)?;
    let read = |line: &str| serde_json::from_str::<Value>(line).ok();
    let each: Vec<Value> = done.out.lines().filter_map(read).collect();
    ensure!(!each.is_empty(), "HiGHS solved nothing: {}", done.fault());
    let same = each.iter().filter(|row| row["same"] == true).count();
    let of = |row: &Value| format!("{}: {} against {}", row["file"], row["highs"], row["noted"]);
    let faults: Vec<String> = each.iter().filter(|row| row["same"] != true).map(of).collect();
    let spent: f64 = each.iter().filter_map(|row| row["cpu_s"].as_f64()).sum();
    ensure!(done.ok() || !faults.is_empty(), "failed to run HiGHS: {}", done.fault());
    let row = json!({
        "case": format!("{same} programs alike"), "n": each.len(), "anchor": "HiGHS 1.16",
        "anchor_cpu_s": spent,
    });
    Ok((vec![row], faults))
}

//! `bench import`: a year of prices into the store, beside pandas doing the same.

use crate::process::{self, Show};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

use super::{BENCH_MAX, rows, venv};

/// Rows of the workbook: a year of quarter hours of all hubs and zones.
const WORKBOOK_ROWS: &str = "1121152";

/// Runs it; its rows, and nothing that could fail beside them.
pub fn run(target: &Path) -> Result<(Vec<Value>, Vec<String>)> {
    let build = ["build", "--locked", "--release", "-p", "headgate-app"];
    let done = process::run(&mut process::cargo(&build), BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to build headgate: {}", done.fault());
    let packages = ["pandas==3.1.1", "openpyxl==3.1.5"];
    let python = venv::python(&target.join("bench-venv"), "pandas, openpyxl", &packages)?;
    let mut command = Command::new(python);
    command.arg(crate::root().join("contrib/oracles/bench_import.py"));
    command.arg(target.join("release/headgate")).arg(target.join("bench-import"));
    command.arg(WORKBOOK_ROWS);
    let done = process::run(&mut command, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to run bench_import.py: {}", done.fault());
    let rows = rows(&done.out).context("failed to read what bench_import.py printed")?;
    Ok((rows, Vec::new()))
}

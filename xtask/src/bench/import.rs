//! `bench import`: a year of prices into the store, beside pandas doing the same.

use crate::process::{self, Show};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

use super::{BENCH_MAX, rows};

/// Rows of the workbook: a year of quarter hours of all hubs and zones.
const WORKBOOK_ROWS: &str = "1121152";

/// Runs it; its rows, and nothing that could fail beside them.
pub fn run(target: &Path) -> Result<(Vec<Value>, Vec<String>)> {
    let build = ["build", "--locked", "--release", "-p", "headgate-app"];
    let done = process::run(&mut process::cargo(&build), BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to build headgate: {}", done.fault());
    let python = python(target)?;
    let mut command = Command::new(python);
    command.arg(crate::root().join("contrib/oracles/bench_import.py"));
    command.arg(target.join("release/headgate")).arg(target.join("bench-import"));
    command.arg(WORKBOOK_ROWS);
    let done = process::run(&mut command, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to run bench_import.py: {}", done.fault());
    let rows = rows(&done.out).context("failed to read what bench_import.py printed")?;
    Ok((rows, Vec::new()))
}

/// A Python with pandas, made where there is none yet.
fn python(target: &Path) -> Result<std::path::PathBuf> {
    let venv = target.join("bench-venv");
    let python = venv.join("bin/python");
    let has = |python: &Path| {
        let mut probe = Command::new(python);
        probe.args(["-c", "import pandas, openpyxl"]);
        process::run(&mut probe, BENCH_MAX, Show::No).is_ok_and(|done| done.ok())
    };
    if python.exists() && has(&python) {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&venv);
    let done = process::run(&mut make, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to make {}: {}", venv.display(), done.fault());
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "pandas==3.1.1", "openpyxl==3.1.5"]);
    let done = process::run(&mut install, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to install pandas: {}", done.fault());
    Ok(python)
}

//! Python environments of the benches: made where there is none yet.

use super::BENCH_MAX;
use crate::process::{self, Show};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python in `venv` that can import some modules, its packages installed where it cannot.
///
/// # Errors
/// When there is no Python 3, or a package cannot be had.
pub fn python(venv: &Path, modules: &str, packages: &[&str]) -> Result<PathBuf> {
    let python = venv.join("bin/python");
    let has = |python: &Path| {
        let mut probe = Command::new(python);
        probe.args(["-c", &format!("import {modules}")]);
        process::run(&mut probe, BENCH_MAX, Show::No).is_ok_and(|done| done.ok())
    };
    if python.exists() && has(&python) {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(venv);
    let done = process::run(&mut make, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to make {}: {}", venv.display(), done.fault());
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet"]).args(packages);
    let done = process::run(&mut install, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to install {modules}: {}", done.fault());
    Ok(python)
}

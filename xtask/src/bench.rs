//! `cargo xtask bench NAME`: runs a benchmark and prints its rows.
//!
//! A benchmark is an example program that prints one JSON document `{bench, rows}` on its standard
//! output; a row names its anchor, and ratios come from one run. `step` counts instructions under
//! callgrind instead, against `xtask/budgets.toml`, because wall time is noisy on shared machines:
//! its example takes `CASE MACHINES`, prints the seconds of one step, and makes that step inside a
//! function `measured` that is never inlined. `deadline`, `dispatch` and `prove` measure the
//! running program against a simulated farm; goals that were missed make the task fail. `import`
//! puts a year of prices into the store, beside pandas. `peers` runs other planners on the tasks of
//! `horizon`, `oracle` a second solver on the programs that plans are held against.
//! `sweep` works off a thousand site-years. `capture` tries the policies on real prices; it has a
//! table and options of its own.

pub mod capture;
mod deadline;
mod dispatch;
mod farm;
mod import;
mod oracle;
mod peers;
mod prove;
mod sweep;
mod venv;

use crate::budget::{self, Budget};
use crate::process::{self, Show};
use crate::tools::Tools;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// All benchmarks.
pub const NAMES: [&str; 12] = [
    "capture", "day", "deadline", "dispatch", "horizon", "import", "journal", "oracle", "peers",
    "prove", "step", "sweep",
];

/// Longest time one benchmark may take.
const BENCH_MAX: Duration = Duration::from_secs(20 * 60);
/// The keys of a row, in the order they are printed in.
const KEYS: [&str; 8] =
    ["case", "n", "ours_s", "ours_cpu_s", "anchor", "anchor_s", "anchor_cpu_s", "ratio"];

/// Runs the benchmark asked for; whether it could be run and kept its budget.
pub fn task(args: &[&str]) -> Result<bool> {
    if let [name, rest @ ..] = args
        && *name == "capture"
    {
        return capture::task(&process::target()?, rest);
    }
    let (name, json) = match args {
        [name] => (*name, false),
        [name, "--format", "json"] => (*name, true),
        [name, "--format", "table"] => (*name, false),
        _ => bail!("usage: cargo xtask bench {} [--format json|table]", NAMES.join("|")),
    };
    let target = process::target()?;
    let (rows, faults) = match name {
        "day" => (example(&target, "headgate-sim", "day_bench")?, Vec::new()),
        "journal" => (example(&target, "headgate-store", "journal_bench")?, Vec::new()),
        "horizon" => (example(&target, "headgate-core", "horizon_bench")?, Vec::new()),
        "deadline" => deadline::run(&target)?,
        "dispatch" => dispatch::run(&target, &Tools::find(&target))?,
        "import" => import::run(&target)?,
        "oracle" => oracle::run(&target)?,
        "peers" => peers::run(&target)?,
        "prove" => prove::run(&target)?,
        "step" => step(&target)?,
        "sweep" => sweep::run(&target)?,
        other => bail!("`{other}` is no benchmark; there are {}", NAMES.join(", ")),
    };
    if json {
        println!("{}", json!({"bench": name, "rows": rows}));
    } else {
        print_table(&rows);
    }
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    Ok(faults.is_empty())
}

/// The block of the common task, as a site file has it.
fn unit(currency: &str) -> String {
    format!(
        "unit = {{ min = \"40 MW\", max = \"100 MW\", start_at = \"40 MW\", ramp_up = \
         \"20 MW per 15 min\", min_on = \"60 min\", min_off = \"60 min\", \
         start = \"400 {currency}\", begins = \"off\" }}\n"
    )
}

/// The folder of recorded prices, whether there is one or not.
fn shared_data() -> PathBuf {
    let beside = || crate::root().join("../shared/data");
    std::env::var_os("HEADGATE_SHARED_DATA").map_or_else(beside, PathBuf::from)
}

/// Builds an example with optimisation; where it lies.
fn build(target: &Path, package: &str, name: &str) -> Result<PathBuf> {
    let args = ["build", "--locked", "--release", "-p", package, "--example", name];
    let done = process::run(&mut process::cargo(&args), BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to build the example {name} of {package}: {}", done.fault());
    Ok(target.join("release/examples").join(name))
}

fn example(target: &Path, package: &str, name: &str) -> Result<Vec<Value>> {
    let program = build(target, package, name)?;
    let mut command = Command::new(program);
    command.args(["--format", "json"]).current_dir(crate::root());
    let done = process::run(&mut command, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to run {name}: {}", done.fault());
    rows(&done.out).with_context(|| format!("failed to read what {name} printed"))
}

/// The rows of a benchmark's document; each must have a case and a time.
fn rows(text: &str) -> Result<Vec<Value>> {
    let document: Value = serde_json::from_str(text)?;
    let rows = document["rows"].as_array().context("there are no rows")?;
    ensure!(!rows.is_empty(), "there are no rows");
    for row in rows {
        ensure!(row["case"].is_string(), "a row has no case: {row}");
        ensure!(row["ours_s"].is_number(), "a row has no ours_s: {row}");
    }
    Ok(rows.clone())
}

/// Counts the instructions of one engine step in each case of the budget.
pub fn step(target: &Path) -> Result<(Vec<Value>, Vec<String>)> {
    let budgets = budget::read(&crate::root().join("xtask/budgets.toml"))?;
    let program = build(target, "headgate-core", "step_bench")?;
    let folder = target.join("callgrind");
    std::fs::create_dir_all(&folder)?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for budget in budgets {
        let n = budget.machines.to_string();
        let timed =
            process::run(Command::new(&program).args([&budget.case, &n]), BENCH_MAX, Show::No)?;
        ensure!(timed.ok(), "failed to time the case {}: {}", budget.case, timed.fault());
        let ours_s: Option<f64> = timed.out.trim().parse().ok();
        let instructions = count(&program, &folder, &budget, &n)?;
        faults.extend(budget.fault(instructions));
        rows.push(json!({
            "case": budget.case, "n": budget.machines, "ours_s": ours_s, "ours_cpu_s": ours_s,
            "anchor": "budget", "anchor_s": null, "anchor_cpu_s": null,
            "ratio": budget.ratio(instructions),
            "instructions": instructions, "instructions_max": budget.instructions_max,
        }));
    }
    Ok((rows, faults))
}

/// Instructions spent inside the example's function `measured`, and in all that it calls.
fn count(program: &Path, folder: &Path, budget: &Budget, n: &str) -> Result<u64> {
    let out = folder.join(format!("{}-{n}.out", budget.case));
    let mut command = Command::new("valgrind");
    command.args([
        "--tool=callgrind",
        "--collect-atstart=no",
        "--toggle-collect=step_bench::measured*",
    ]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(program).args([&budget.case, n]).stderr(std::process::Stdio::null());
    let done = process::run(&mut command, BENCH_MAX, Show::No)?;
    ensure!(done.ok(), "failed to count the case {}: {}", budget.case, done.fault());
    let text = std::fs::read_to_string(&out).context("failed to read callgrind's output")?;
    budget::instructions(&text)
}

/// Prints rows as a table, with whatever keys a benchmark adds at the end.
pub fn print_table(rows: &[Value]) {
    let mut keys: Vec<&str> = KEYS.to_vec();
    for key in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let cell = |value: &Value| match value {
        Value::Null => "-".to_string(),
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => format!("{:.4}", n.as_f64().unwrap_or_default()),
        other => other.to_string(),
    };
    let mut table: Vec<Vec<String>> = vec![keys.iter().map(ToString::to_string).collect()];
    table.extend(rows.iter().map(|row| keys.iter().map(|key| cell(&row[*key])).collect()));
    let widths: Vec<usize> = (0..keys.len())
        .map(|i| table.iter().map(|row| row[i].len()).max().unwrap_or_default())
        .collect();
    for row in table {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_half_rows_refused() {
        let good = "{\"bench\": \"day\", \"rows\": [{\"case\": \"a\", \"ours_s\": 1.5}]}";
        assert_eq!(rows(good).expect("a good document").len(), 1);
        for bad in ["", "{}", "{\"rows\": []}", "{\"rows\": [{\"case\": \"a\"}]}"] {
            assert!(rows(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_benchmark_is_refused_with_the_known_ones() {
        let error = task(&["nap"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "`nap` is no benchmark; there are capture, day, deadline, dispatch, horizon, import, \
             journal, oracle, peers, prove, step, sweep"
        );
    }
}

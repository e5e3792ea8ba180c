//! `sweep`: site-years a second and core, for the bound, the full engine and each policy alone,
//! and the most memory that a thousand site-years hold at once, at any number of threads.
//!
//! The program is measured as people run it, prices read and outputs written included: its
//! processor seconds against the site-years that came of them. A site-year of the bound is one
//! unit over 35,040 quarter hours, planned in hindsight, settled and checked by the referee; one
//! of the engine is 105,120 five-minute steps under one policy, and the bound that every such
//! sweep works out beside them is not counted. Prices are a made-up year of 5-minute runs and the
//! quarter hours they settle at, of five points. A trained table and a rolling plan are measured
//! without the engine, by the example `policy_bench`.

use super::farm::{self, Bench, figure};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Points with prices.
const POINTS: usize = 5;
/// The year's first day, 2025-01-01, as days since the epoch; its days, and those before it that
/// are its history.
const YEAR_START: u64 = 20_089;
const YEAR_DAYS: u64 = 365;
const HISTORY_DAYS: u64 = 9;
/// Site-years a second and core that are wanted: of the bound, of the engine with ten units, of
/// a trained table and of a rolling plan.
const BOUND_WANTED: f64 = 200.0;
const ENGINE_WANTED: f64 = 1.0;
const TABLE_WANTED: f64 = 60.0;
const ROLLING_WANTED: f64 = 15.0;
/// Most memory a thousand site-years may hold, in MiB.
const MEMORY_MAX: f64 = 500.0;
/// Numbers of threads at which memory is measured; time is measured at the first.
const THREADS: [u32; 3] = [1, 2, 8];

/// What a case of the bench sweeps over.
struct Task {
    case: &'static str,
    folder: &'static str,
    units: usize,
    points: usize,
    plan: &'static str,
    /// Policies that live through each case; none is the bound alone.
    lived: f64,
    wanted: f64,
}

const TASKS: [Task; 3] = [
    Task {
        case: "bound: plans of 35,040 quarter hours, settled and checked",
        folder: "bound",
        units: 1,
        points: POINTS,
        plan: "policies = [\"perfect_foresight\"]\nseeds = \"0..10\"\n[parameters]\n\
               value = [VALUES]\n",
        lived: 0.0,
        wanted: BOUND_WANTED,
    },
    Task {
        case: "engine, one unit: 105,120 steps of 5 min, two policies",
        folder: "engine-1",
        units: 1,
        points: 2,
        plan: "policies = [\"always_on\", \"breakeven\"]\nseeds = \"0..4\"\n",
        lived: 2.0,
        wanted: ENGINE_WANTED,
    },
    Task {
        case: "engine, ten units: 105,120 steps of 5 min, two policies",
        folder: "engine-10",
        units: 10,
        points: 2,
        plan: "policies = [\"always_on\", \"breakeven\"]\nseeds = \"0..1\"\n",
        lived: 2.0,
        wanted: ENGINE_WANTED,
    },
];

/// Runs it; its rows and what goals were missed.
pub fn run(target: &Path) -> Result<(Vec<Value>, Vec<String>)> {
    let bench = Bench::new(target, "sweep")?;
    prices(&bench.folder)?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for task in &TASKS {
        let mut told = Vec::new();
        for threads in THREADS {
            told.push(once(&bench, task, threads)?);
        }
        let peak = |told: &Value| figure(&told["usage"], "peak_memory_mib");
        let memory = told.iter().map(peak).collect::<Result<Vec<f64>>>()?;
        for (threads, memory) in THREADS.iter().zip(&memory).filter(|(_, m)| **m > MEMORY_MAX) {
            let case = task.case;
            faults.push(format!("{case}: {memory:.0} MiB at {threads} threads, at most 500"));
        }
        let usage = &told[0]["usage"];
        let years = figure(usage, "site_years")? * task.lived.max(1.0);
        let mut row = json!({
            "case": task.case, "n": told[0]["cases"], "ours_s": usage["wall_s"],
            "ours_cpu_s": usage["cpu_s"], "site_years": years,
        });
        faults.extend(judged(&mut row, task.wanted)?);
        let peaks = THREADS.iter().zip(&memory).map(|(t, m)| format!("{m:.0} at {t}"));
        row["peak_memory_mib_at_threads"] = peaks.collect::<Vec<_>>().join(", ").into();
        rows.push(row);
    }
    for mut row in super::example(target, "headgate-sim", "policy_bench")? {
        let rolls = row["case"].as_str().is_some_and(|case| case.starts_with("rolling"));
        let wanted = if rolls { ROLLING_WANTED } else { TABLE_WANTED };
        faults.extend(judged(&mut row, wanted)?);
        rows.push(row);
    }
    Ok((rows, faults))
}

/// Puts beside a row what was wanted of it; says so where it falls short.
fn judged(row: &mut Value, wanted: f64) -> Result<Option<String>> {
    let (years, cpu) = (figure(row, "site_years")?, figure(row, "ours_cpu_s")?);
    let (reached, goal) = (years / cpu, years / wanted);
    row["anchor"] = format!("goal: {wanted} site-years a second and core").into();
    row["anchor_s"] = Value::Null;
    row["anchor_cpu_s"] = goal.into();
    row["ratio"] = (cpu / goal).into();
    row["site_years_per_cpu_s"] = reached.into();
    row["load_average"] = farm::load_average().into();
    let case = row["case"].as_str().unwrap_or_default();
    let short = format!("{case}: {reached:.1} site-years a second, short of the goal of {wanted}");
    Ok((reached < wanted).then_some(short))
}

fn once(bench: &Bench, task: &Task, threads: u32) -> Result<Value> {
    let folder = &bench.folder;
    std::fs::write(folder.join("site.toml"), site(task.units)).context("failed to write")?;
    let names: Vec<String> = (0..task.points).map(|p| format!("\"HB_{p}\"")).collect();
    let values: Vec<String> = (0..20).map(|v| format!("\"{} USD/MWh\"", 30 + 2 * v)).collect();
    let plan = format!(
        "schema = 1\nsites = [\"site.toml\"]\nprices = [\"spp.csv\", \"sced.csv\"]\n\
         points = [{}]\nyears = [2025]\n{}",
        names.join(", "),
        task.plan.replace("VALUES", &values.join(", "))
    );
    let path = folder.join("plan.toml");
    std::fs::write(&path, plan).context("failed to write the bench's plan")?;
    let out = folder.join(format!("{}-{threads}", task.folder));
    let mut command = Command::new(&bench.headgate);
    command.arg("sweep").arg(path).arg("--out").arg(out);
    command.args(["--threads", &threads.to_string(), "--format", "json"]).env("RUST_LOG", "warn");
    let told = farm::ask(&mut command)?;
    ensure!(told["failed"] == 0, "cases of {} failed: {told}", task.case);
    Ok(told)
}

/// A site of blocks of 100 MW.
fn site(units: usize) -> String {
    let mut text = format!(
        "schema = 1\n[site]\nname = \"Blocks\"\ntimezone = \"UTC\"\n\
         market = \"generic\"\nsettlement_point = {{ name = \"HB_0\", type = \"HU\" }}\n\
         [limits]\nimport = \"{} MW\"\n[value]\nsource = \"energy\"\n[policy]\n\
         name = \"breakeven\"\n",
        100 * units
    );
    for unit in 0..units {
        let _ = write!(
            text,
            "[[cohort]]\nname = \"block{unit}\"\ndriver = \"none\"\nvalue = \"40 USD/MWh\"\n\
             {}",
            super::unit("USD")
        );
    }
    text
}

/// A year of prices of all points: slow swings, noise, and a spike now and then.
fn prices(folder: &Path) -> Result<()> {
    let names: Vec<String> = (0..POINTS).map(|p| format!("HB_{p}")).collect();
    let mut spp = format!("interval_start_utc,{}\n", names.join(","));
    let mut sced = format!("SCEDTimestamp,repeatHourFlag,{}\n", names.join(","));
    let mut draw = crate::rng::Rng::new(20_250_101);
    let mut spike = [0i64; POINTS];
    for quarter in 0..(HISTORY_DAYS + YEAR_DAYS + 1) * 96 {
        let at = (YEAR_START - HISTORY_DAYS) * 86_400 + quarter * 900;
        let hour = (quarter / 4 % 24) as i64;
        let mut sums = [0i64; POINTS];
        for run in 0..3 {
            let _ = write!(sced, "{},N", stamp(at + run * 300));
            for (p, sum) in sums.iter_mut().enumerate() {
                if draw.below(400) == 0 {
                    spike[p] = 40_000;
                }
                spike[p] = spike[p] * 7 / 10;
                let noise = i64::try_from(draw.below(1_800)).unwrap_or(0);
                let cents = 1_500 + (hour - 4).abs() * 120 + noise + spike[p];
                let _ = write!(sced, ",{}.{:02}", cents / 100, cents % 100);
                *sum += cents;
            }
            sced.push('\n');
        }
        let _ = write!(spp, "{}Z", stamp(at));
        for sum in sums {
            let cents = sum / 3;
            let _ = write!(spp, ",{}.{:02}", cents / 100, cents % 100);
        }
        spp.push('\n');
    }
    std::fs::write(folder.join("spp.csv"), spp).context("failed to write the bench's prices")?;
    std::fs::write(folder.join("sced.csv"), sced).context("failed to write the bench's prices")
}

/// A moment of the bench's years, by the seconds since the epoch.
fn stamp(at: u64) -> String {
    let (day, second) = (at / 86_400, at % 86_400);
    // Days of December 2024, or else of 2025 and the day after it.
    let (year, mut left) = match day.checked_sub(YEAR_START) {
        None => (2024, 365 - (YEAR_START - day - 1)),
        Some(day) => (2025, day),
    };
    let february = if year == 2024 { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if left >= months.iter().sum() {
        return format!("2026-01-01T{:02}:{:02}:00", second / 3_600, second / 60 % 60);
    }
    let mut month = 1;
    for length in months {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year}-{month:02}-{:02}T{hour:02}:{minute:02}:00", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_those_of_the_calendar() {
        let at = |day: u64, second| stamp(day * 86_400 + second);
        assert_eq!(at(YEAR_START, 0), "2025-01-01T00:00:00");
        assert_eq!(at(YEAR_START - 1, 86_100), "2024-12-31T23:55:00");
        assert_eq!(at(YEAR_START - 9, 0), "2024-12-23T00:00:00");
        assert_eq!(at(YEAR_START + 59, 0), "2025-03-01T00:00:00");
        assert_eq!(at(YEAR_START + 365, 900), "2026-01-01T00:15:00");
    }
}

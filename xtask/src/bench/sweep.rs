//! `sweep`: site-years a second and core, for the bound alone and for the whole engine, and the
//! most memory that a thousand site-years hold at once.
//!
//! The program is measured as people run it, prices read and outputs written included. Prices
//! are a made-up year of 5-minute runs and the quarter hours they settle at, of five points.

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
/// Site-years a second and core that are wanted of the bound, and of the engine with ten units.
const BOUND_WANTED: f64 = 200.0;
const ENGINE_WANTED: f64 = 1.0;
/// Most memory a thousand site-years may hold, in MiB.
const MEMORY_MAX: f64 = 500.0;

/// What a case of the bench sweeps over.
struct Task {
    case: &'static str,
    units: usize,
    points: usize,
    plan: &'static str,
    /// Policies that live through each case; none is the bound alone.
    lived: f64,
    wanted: f64,
}

const TASKS: [Task; 3] = [
    Task {
        case: "bound, 1,000 site-years",
        units: 1,
        points: POINTS,
        plan: "policies = [\"perfect_foresight\"]\nseeds = \"0..10\"\n[parameters]\n\
               value = [VALUES]\n",
        lived: 0.0,
        wanted: BOUND_WANTED,
    },
    Task {
        case: "engine, one unit, two policies",
        units: 1,
        points: 2,
        plan: "policies = [\"always_on\", \"breakeven\"]\nseeds = \"0..2\"\n",
        lived: 2.0,
        wanted: ENGINE_WANTED,
    },
    Task {
        case: "engine, ten units, two policies",
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
        let told = once(&bench, task)?;
        ensure!(told["failed"] == 0, "cases of {} failed: {told}", task.case);
        let usage = &told["usage"];
        let lives = if task.lived > 0.0 { task.lived } else { 1.0 };
        let years = figure(usage, "site_years")? * lives;
        let (wall, cpu) = (figure(usage, "wall_s")?, figure(usage, "cpu_s")?);
        let memory = figure(usage, "peak_memory_mib")?;
        let goal = years / task.wanted;
        if cpu > goal {
            let reached = years / cpu;
            let (case, wanted) = (task.case, task.wanted);
            faults.push(format!("{case}: {reached:.1} site-years a second, {wanted} are wanted"));
        }
        if memory > MEMORY_MAX {
            faults.push(format!("{}: {memory:.0} MiB, at most {MEMORY_MAX}", task.case));
        }
        rows.push(json!({
            "case": task.case, "n": told["cases"], "ours_s": wall, "ours_cpu_s": cpu,
            "anchor": format!("goal: {} site-years a second and core", task.wanted),
            "anchor_s": null, "anchor_cpu_s": goal, "ratio": cpu / goal,
            "site_years": years, "site_years_per_cpu_s": years / cpu,
            "peak_memory_mib": memory, "load_average": farm::load_average(),
        }));
    }
    Ok((rows, faults))
}

fn once(bench: &Bench, task: &Task) -> Result<Value> {
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
    let out = folder.join(task.case.replace(|c: char| !c.is_alphanumeric(), "-"));
    let mut command = Command::new(&bench.headgate);
    command.arg("sweep").arg(path).arg("--out").arg(out);
    farm::ask(command.args(["--format", "json"]).env("RUST_LOG", "warn"))
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
             unit = {{ min = \"40 MW\", max = \"100 MW\", start_at = \"40 MW\", ramp_up = \
             \"20 MW per 15 min\", min_on = \"60 min\", min_off = \"60 min\", \
             start = \"400 USD\", begins = \"off\" }}\n"
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

//! `capture`: how much of what could have been earned on real prices each policy earns.
//!
//! The release binary is run as people run it, `backtest` with `--walk-forward month`, over points,
//! values, conventions of knowledge and the worst months on record. What comes out is one table to
//! publish, and the faults that [`judge`] finds.

mod cells;
mod judge;
mod table;

use super::farm::{self, Bench};
use crate::process::{self, Show};
use anyhow::{Context, Result, bail, ensure};
use cells::Cell;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// Longest time one back-test may take.
const RUN_MAX: Duration = Duration::from_secs(15 * 60);
const USAGE: &str = "usage: cargo xtask bench capture [--quick] [--only CELL] [--jobs N] \
                     [--format json|table]";

/// One cell under a convention, and what came of it.
#[derive(Debug)]
pub struct Tried {
    pub cell: Cell,
    pub known: &'static str,
    /// What `backtest` printed.
    pub document: Value,
    /// The trace, where starts are limited.
    pub trace: Option<String>,
    pub wall_s: f64,
}

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    quick: bool,
    only: Option<String>,
    jobs: usize,
    json: bool,
}

impl Asked {
    fn of(args: &[&str]) -> Result<Self> {
        let mut asked = Self { jobs: 1, ..Self::default() };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match *arg {
                "--quick" => asked.quick = true,
                "--only" => asked.only = Some(rest.next().context(USAGE)?.to_string()),
                "--jobs" => asked.jobs = rest.next().context(USAGE)?.parse().context(USAGE)?,
                "--format" => asked.json = *rest.next().context(USAGE)? == "json",
                _ => bail!(USAGE),
            }
        }
        ensure!(asked.jobs > 0, USAGE);
        Ok(asked)
    }

    /// The cells asked for, each with the conventions it is tried under.
    fn cells(&self) -> Result<Vec<(Cell, &'static str)>> {
        let named = |c: &Cell| self.only.as_ref().is_none_or(|o| c.name.starts_with(o.as_str()));
        let cells = cells::all().into_iter().filter(|c| named(c) && (c.quick || !self.quick));
        let mut all = Vec::new();
        for cell in cells {
            let known = if self.quick { &cell.known[..1] } else { cell.known };
            all.extend(known.iter().map(|k| (cell.clone(), *k)));
        }
        if all.is_empty() {
            let names: Vec<String> = cells::all().into_iter().map(|c| c.name).collect();
            bail!("there is no such cell; there are {}", names.join(", "));
        }
        Ok(all)
    }
}

/// The folder of recorded prices; `None` where there is none.
pub fn data() -> Option<PathBuf> {
    let data = super::shared_data();
    let needed = cells::all().into_iter().flat_map(|c| c.prices);
    needed.into_iter().all(|name| data.join(name).exists()).then_some(data)
}

/// Runs what is asked for, prints it, and says whether all is well.
pub fn task(target: &Path, args: &[&str]) -> Result<bool> {
    let asked = Asked::of(args)?;
    let cells = asked.cells()?;
    let data = data().context("recorded prices are missing; set HEADGATE_SHARED_DATA")?;
    let bench = Bench::new(target, "capture")?;
    let tried = all(&bench, &data, cells, asked.jobs)?;
    let mut faults: Vec<String> = tried.iter().flat_map(judge::faults).collect();
    let strike = asked.only.is_none().then(|| bad_strike(&bench, &data)).transpose()?;
    faults.extend(strike.as_ref().and_then(judge::loses));
    if asked.json {
        let rows: Vec<Value> = tried.iter().map(row).collect();
        println!("{}", json!({"bench": "capture", "rows": rows, "bad_strike": strike}));
    } else {
        print!("{}", table::markdown(&tried));
        println!("{}", strike.as_ref().map_or(String::new(), table::bad_strike));
    }
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    Ok(faults.is_empty())
}

fn row(tried: &Tried) -> Value {
    json!({
        "case": format!("{}, known {}", tried.cell.name, tried.known),
        "ours_s": tried.wall_s,
        "result": tried.document,
    })
}

/// Tries all, so many at a time; results in the order asked for.
fn all(
    bench: &Bench,
    data: &Path,
    cells: Vec<(Cell, &'static str)>,
    jobs: usize,
) -> Result<Vec<Tried>> {
    let waiting = Mutex::new(cells.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().expect("taking the next cell does not panic").next();
    let work = || {
        while let Some((i, (cell, known))) = next() {
            let name = cell.name.clone();
            let tried = one(bench, data, cell, known);
            let tried = tried.with_context(|| format!("failed to try {name}, known {known}"));
            if let Ok(tried) = &tried {
                let capture = &judge::policy(&tried.document["policies"], "look_ahead")["capture"];
                eprintln!("{name} known {known}: {capture} in {:.0} s", tried.wall_s);
            }
            done.lock().expect("keeping a result does not panic").push((i, tried));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().expect("keeping a result does not panic");
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, tried)| tried).collect()
}

/// The command that back-tests a cell.
fn command(bench: &Bench, data: &Path, cell: &Cell) -> Result<Command> {
    let site = bench.folder.join(format!("{}.toml", cell.name));
    std::fs::write(&site, cell.site()).context("failed to write a cell's site")?;
    let mut command = Command::new(&bench.headgate);
    command.arg("backtest").arg(site).arg("--prices");
    command.args(cell.prices.iter().map(|name| data.join(name)));
    command.args(["--from", cell.from, "--to", cell.to, "--format", "json"]);
    command.env("RUST_LOG", "warn");
    Ok(command)
}

fn one(bench: &Bench, data: &Path, cell: Cell, known: &'static str) -> Result<Tried> {
    let mut command = command(bench, data, &cell)?;
    command.args(["--walk-forward", "month", "--ladder", "--known", known]);
    let trace = cell.starts.map(|_| bench.folder.join(format!("{}-{known}.csv", cell.name)));
    if let Some(path) = &trace {
        command.arg("--trace").arg(path);
    }
    let done = process::run(&mut command, RUN_MAX, Show::No)?;
    ensure!(done.ok(), "failed to run {command:?}: {}", done.fault());
    let document = serde_json::from_str(&done.out).context("it printed no JSON")?;
    let read = |path| std::fs::read_to_string(path).context("it wrote no trace");
    let trace = trace.map(read).transpose()?;
    Ok(Tried { cell, known, document, trace, wall_s: done.took.as_secs_f64() })
}

fn bad_strike(bench: &Bench, data: &Path) -> Result<Value> {
    let (cell, strike) = cells::bad_strike();
    let mut command = command(bench, data, &cell)?;
    command.args(["--strike", strike, "--policy", "always_on", "fixed_strike"]);
    farm::ask(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read() {
        let asked = Asked::of(&["--quick", "--only", "HB_WEST", "--jobs", "2"]).unwrap();
        let only = Some("HB_WEST".to_string());
        assert_eq!(asked, Asked { quick: true, only, jobs: 2, json: false });
        let cells = asked.cells().unwrap();
        let names: Vec<&str> = cells.iter().map(|(c, _)| c.name.as_str()).collect();
        assert_eq!(names, ["HB_WEST-40", "HB_WEST-40-2-starts"]);
        for wrong in [&["--fast"][..], &["--jobs"], &["--jobs", "0"], &["--only"]] {
            assert!(Asked::of(wrong).is_err(), "{wrong:?}");
        }
        let nowhere = Asked::of(&["--only", "HB_NOWHERE"]).unwrap().cells();
        assert!(nowhere.unwrap_err().to_string().starts_with("there is no such cell"));
    }
}

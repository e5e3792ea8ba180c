//! `headgate sweep`: a plan of many back-tests, worked off over all cores, kept as it goes.
//!
//! `plan` reads the plan, `frame` numbers its cases, `books` reads the prices, `judge` tries the
//! policies, `keep` holds what is done, `table` and `write` make the outputs, `summary` and
//! `page` say what they come to.

mod books;
mod frame;
mod judge;
mod keep;
mod page;
mod plan;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod usage;
mod write;

use crate::cli::{Format, SweepArgs, exit};
use crate::commands::print_json;
use crate::run::Refused;
use anyhow::Context;
use frame::Frame;
use headgate_sim::sweep::axes::shard;
use headgate_sim::sweep::record::{FORMAT, Header};
use indicatif::{ProgressBar, ProgressStyle};
use keep::{Index, Keeper, Shard};
use plan::Plan;
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use usage::Usage;

pub use keep::Shard as SweepShard;

/// Most parts one plan may be cut into.
pub const SHARDS_MAX: u64 = 10_000;

/// A mean year.
const YEAR_NANOS: f64 = 365.25 * 86_400e9;

/// `headgate sweep`.
///
/// # Errors
/// What is wrong with the plan, its sites or its prices; or why results cannot be kept.
pub fn run(args: &SweepArgs) -> anyhow::Result<ExitCode> {
    let usage = Usage::new();
    let frame = Frame::of(Plan::read(&args.plan)?)?;
    let folder = args.out.clone().unwrap_or_else(|| folder_of(&args.plan));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let mut worked_years = 0.0;
    let records = if let Some(folders) = &args.merge {
        let own = std::slice::from_ref(&folder);
        let folders = if folders.is_empty() { own } else { folders.as_slice() };
        let mut all = Vec::new();
        for folder in folders {
            all.extend(keep::records(folder)?);
        }
        all
    } else {
        let part = args.shard.unwrap_or(Shard::WHOLE);
        let worked = work(&frame, &folder, part, args.threads)?;
        worked_years = worked.site_years;
        if part != Shard::WHOLE {
            let document = worked.document(&frame, part, &usage);
            return tell(&document, worked.failed, args.format);
        }
        vec![worked.record]
    };
    let mut index = Index::of(&records, &frame.hash, frame.cases)?;
    let written = write::rows(&frame, &mut index, &folder)?;
    let page = folder.join("summary.html");
    crate::settle::html::write(&page, &page::page(&frame, &written.summary))?;
    let document = json!({
        "plan": frame.plan.name,
        "plan_hash": frame.hash,
        "cases": frame.cases,
        "failed": written.summary.failed,
        "currency": match written.summary.currencies.as_slice() {
            [one] => Value::from(one.as_str()),
            _ => Value::Null,
        },
        "csv": written.csv.display().to_string(),
        "parquet": written.parquet.display().to_string(),
        "page": page.display().to_string(),
        "policies": written.summary.policies_json(),
        "usage": usage.document(worked_years),
    });
    written.summary.failures.iter().for_each(|(case, why)| eprintln!("case {case}: {why}"));
    tell(&document, written.summary.failed, args.format)
}

/// Where outputs go that are sent nowhere: beside where the program was started, by the plan.
fn folder_of(plan: &Path) -> PathBuf {
    let stem = plan.file_stem().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!("{stem}-sweep"))
}

/// What came of one call's work.
struct Worked {
    record: PathBuf,
    cases: u64,
    resumed: u64,
    failed: u64,
    /// Of what was worked off now.
    site_years: f64,
}

impl Worked {
    fn document(&self, frame: &Frame, part: Shard, usage: &Usage) -> Value {
        json!({
            "plan": frame.plan.name,
            "plan_hash": frame.hash,
            "cases": self.cases,
            "shard": format!("{}/{}", part.i, part.n),
            "resumed": self.resumed,
            "failed": self.failed,
            "record": self.record.display().to_string(),
            "usage": usage.document(self.site_years),
        })
    }
}

/// Works off what is not done yet of a part.
fn work(
    frame: &Frame,
    folder: &Path,
    part: Shard,
    threads: Option<NonZeroUsize>,
) -> anyhow::Result<Worked> {
    let range = shard(frame.cases, part.i, part.n);
    let header = Header {
        format: FORMAT,
        plan: frame.hash.clone(),
        cases: frame.cases,
        from: range.start,
        to: range.end,
    };
    let record = folder.join(part.file());
    let (mut keeper, done) = Keeper::open(&record, &header)?;
    let mut is_done = vec![false; usize::try_from(range.end - range.start)?];
    for case in &done {
        is_done[usize::try_from(case - range.start)?] = true;
    }
    let places = range.clone().zip(&is_done);
    let left: Vec<u64> = places.filter(|(_, done)| !**done).map(|(case, _)| case).collect();
    let cases = range.end - range.start;
    let mut worked =
        Worked { record, cases, resumed: cases - left.len() as u64, failed: 0, site_years: 0.0 };
    if left.is_empty() {
        return Ok(worked);
    }
    for case in &left {
        let case = frame.axes.case(*case);
        let span = frame.span(frame.sites[case.site].places[case.point], case.span)?;
        worked.site_years += span.length().0 as f64 / YEAR_NANOS;
    }
    let sweep = books::sweep(frame)?;
    let models = frame.sites.iter().map(|site| site.models.clone()).collect();
    let judge = judge::Policies { names: frame.plan.policies.clone(), models };
    let bar = ProgressBar::new(cases);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} cases, {per_sec}, {eta} left");
    bar.set_style(style.context("the progress bar's template is usable")?);
    bar.set_position(worked.resumed);
    bar.reset_eta();
    let threads = threads.or_else(|| std::thread::available_parallelism().ok());
    let threads = threads.unwrap_or(NonZeroUsize::MIN);
    sweep.run(&left, threads, &judge, |done| {
        worked.failed += u64::from(done.outcome.is_err());
        bar.inc(1);
        keeper.keep(&done)
    })?;
    keeper.sync()?;
    bar.finish_and_clear();
    Ok(worked)
}

/// Prints the result; a case that came to nothing is a failure of the command.
fn tell(document: &Value, failed: u64, format: Format) -> anyhow::Result<ExitCode> {
    match format {
        Format::Json | Format::Jsonl => print_json(document, format)?,
        Format::Csv => {
            return Err(Refused("the rows are in sweep.csv: use table or json".into()).into());
        }
        Format::Table => print!("{}", table_of(document)),
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

fn table_of(document: &Value) -> String {
    let mut out = String::new();
    for (key, value) in document.as_object().into_iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(_) | Value::Object(_) => continue,
            other => other.to_string(),
        };
        out += &format!("{key:<12}{text}\n");
    }
    let policies = document["policies"].as_array();
    let Some(policies) = policies else { return out };
    out += &format!(
        "\n{:<18}{:>7}{:>19}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}{:>11}\n",
        "policy",
        "cases",
        "mean profit",
        "pooled",
        "mean",
        "worst",
        "10 %",
        "median",
        "starts",
        "hours off"
    );
    for p in policies {
        let share =
            |key: &str| p[key].as_f64().map_or("-".to_owned(), |v| format!("{:.2} %", v * 100.0));
        let figure = |key: &str, digits: usize| {
            p[key].as_f64().map_or("-".to_owned(), |v| format!("{v:.digits$}"))
        };
        let profit = p["profit_mean"].as_f64().map_or("-".to_owned(), |v| {
            crate::settle::html::money(headgate_core::units::Money((v * 1e6).round() as i64))
        });
        out += &format!(
            "{:<18}{:>7}{:>19}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}{:>11}\n",
            p["name"].as_str().unwrap_or_default(),
            p["cases"],
            profit,
            share("capture_pooled"),
            share("capture_mean"),
            share("capture_worst"),
            share("capture_p10"),
            share("capture_median"),
            figure("starts_mean", 1),
            figure("curtailed_hours_mean", 1),
        );
    }
    out
}

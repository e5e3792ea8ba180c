//! `headgate prices import`: each file by itself, so that a bad one costs the others nothing.

use super::read::{self, How, LOAD, Understood};
use crate::cli::{Format, PricesImportArgs, exit};
use crate::commands::print;
use anyhow::{Context, bail};
use headgate_core::number::show;
use headgate_core::time::{Interval, Time};
use headgate_feeds::parse::NoteKind;
use headgate_store::prices::{Changes, Posting, PriceStore, Value};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};
use std::cmp::Reverse;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Files one command imports.
const FILES_MAX: usize = 100_000;
/// Series listed of one file before a table says how many more there are.
const LISTED_MAX: usize = 12;

/// What became of one file.
struct Told {
    file: String,
    outcome: Result<Summary, String>,
}

/// What one file held and changed.
struct Summary {
    kind: String,
    market: String,
    again: bool,
    series: Vec<Row>,
    places: usize,
    gaps: u64,
    duplicates: u64,
    notes: Vec<String>,
}

/// One series of a file.
struct Row {
    name: String,
    point: String,
    point_type: String,
    kind: String,
    span: Interval,
    changes: Changes,
    negative: u64,
    lowest: Value,
    highest: Value,
}

/// Imports files and folders.
///
/// # Errors
/// When the store cannot be opened or written, or a folder cannot be read.
pub fn import(args: &PricesImportArgs) -> anyhow::Result<ExitCode> {
    let specs = specs(&args.files)?;
    let mut store = super::open(&args.data)?;
    let how = How {
        market: args.market.as_deref(),
        point: args.point.as_deref(),
        posted: args.posted.map(read::nanos).transpose()?,
        now: crate::clock::wall_now(),
    };
    let bar = ProgressBar::new(specs.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files, {eta} left  {msg}");
    bar.set_style(style.context("the progress bar's template is usable")?);
    let mut all = Vec::new();
    for spec in &specs {
        bar.set_message(short(spec));
        all.push(one(&mut store, spec, &how)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    match args.format {
        Format::Table => super::emit(&table(&all))?,
        format => print(&document(&all), format)?,
    }
    let refused = all.iter().filter_map(|t| t.outcome.as_ref().err());
    let mut code = ExitCode::SUCCESS;
    for error in refused {
        eprintln!("headgate: {error}");
        code = ExitCode::from(exit::BAD_INPUT);
    }
    Ok(code)
}

/// Imports one file; what is wrong with it is told, what is wrong with the store is an error.
fn one(store: &mut PriceStore, spec: &str, how: &How<'_>) -> anyhow::Result<Told> {
    let file = spec.to_owned();
    match read::file(spec, how) {
        Ok(read) => {
            let changes = store.import(&read.import)?;
            Ok(Told { file, outcome: Ok(summary(&read, &changes)) })
        }
        Err(e) => Ok(Told { file, outcome: Err(sentence(&e)) }),
    }
}

fn sentence(error: &anyhow::Error) -> String {
    match error.downcast_ref::<headgate_feeds::FeedError>() {
        Some(e) => e.sentence(),
        None => format!("{error:#}"),
    }
}

/// Imports files into a store that only this command has.
///
/// # Errors
/// One sentence about the first file that cannot be used.
pub fn into_memory(store: &mut PriceStore, specs: &[String], how: &How<'_>) -> anyhow::Result<()> {
    for (place, spec) in specs.iter().enumerate() {
        let mut read = read::file(spec, how)?;
        // Of files that say nothing of their posting the later named one counts.
        let later = headgate_core::time::Span::seconds(i64::try_from(place)?);
        read.import.at += later;
        store.import(&read.import)?;
    }
    Ok(())
}

/// Folders opened, one level deep, in the order of names.
fn specs(given: &[String]) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for spec in given {
        let path = Path::new(spec);
        if !path.is_dir() {
            all.push(spec.clone());
            continue;
        }
        let read = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = read.with_context(|| format!("failed to read the folder {spec}"))?;
        let mut files: Vec<PathBuf> =
            entries.iter().map(std::fs::DirEntry::path).filter(|p| p.is_file()).collect();
        files.sort();
        all.extend(files.iter().map(|p| p.display().to_string()));
    }
    if all.len() > FILES_MAX {
        bail!(crate::run::Refused(format!(
            "there are {} files, and one command imports at most {FILES_MAX}: give fewer",
            all.len()
        )));
    }
    Ok(all)
}

fn short(spec: &str) -> String {
    let name = spec.rsplit('/').next().unwrap_or(spec);
    name.chars().take(40).collect()
}

fn summary(read: &Understood, changes: &[Changes]) -> Summary {
    let count = |kind| {
        let of = read.parsed.notes.iter().filter(|n| n.kind == kind);
        of.map(|n| n.count).sum()
    };
    let rows = read.import.postings.iter().zip(changes).filter_map(|(p, c)| row(p, *c));
    Summary {
        kind: read.import.kind.clone(),
        market: read.market.name.clone(),
        again: changes.iter().any(|c| c.again),
        series: rows.collect(),
        places: read.import.map.len(),
        gaps: count(NoteKind::Gap),
        duplicates: count(NoteKind::Duplicate),
        notes: read.parsed.notes.iter().map(ToString::to_string).collect(),
    }
}

fn row(posting: &Posting, changes: Changes) -> Option<Row> {
    let values = &posting.values;
    let key = &posting.key;
    let point = match key.point_type.as_str() {
        "" => key.point.clone(),
        kind => format!("{} ({kind})", key.point),
    };
    Some(Row {
        name: point,
        point: key.point.clone(),
        point_type: key.point_type.clone(),
        kind: key.kind.clone(),
        span: Interval { start: values.first()?.interval.start, end: values.last()?.interval.end },
        changes,
        negative: values.iter().filter(|v| v.value < 0).count() as u64,
        lowest: *values.iter().min_by_key(|v| v.value)?,
        highest: *values.iter().max_by_key(|v| (v.value, Reverse(v.interval.start)))?,
    })
}

fn total(all: &[Told]) -> Changes {
    let mut sum = Changes::default();
    for row in all.iter().flat_map(|t| &t.outcome).flat_map(|s| &s.series) {
        sum.new += row.changes.new;
        sum.unchanged += row.changes.unchanged;
        sum.corrected += row.changes.corrected;
        sum.older += row.changes.older;
    }
    sum
}

fn document(all: &[Told]) -> Json {
    let file = |t: &Told| match &t.outcome {
        Err(error) => json!({ "file": t.file, "imported": false, "error": error }),
        Ok(s) => json!({
            "file": t.file,
            "imported": true,
            "again": s.again,
            "kind": s.kind,
            "market": s.market,
            "gaps": s.gaps,
            "duplicates": s.duplicates,
            "places": s.places,
            "series": s.series.iter().map(series).collect::<Vec<_>>(),
            "notes": s.notes,
        }),
    };
    let sum = total(all);
    json!({
        "files": all.iter().map(file).collect::<Vec<_>>(),
        "refused": all.iter().filter(|t| t.outcome.is_err()).count(),
        "new": sum.new,
        "unchanged": sum.unchanged,
        "corrected": sum.corrected,
        "older": sum.older,
    })
}

fn series(r: &Row) -> Json {
    let extreme = |v: &Value| {
        let at = v.interval.start.to_string();
        match r.kind.as_str() {
            LOAD => json!({ "at": at, "power_w": v.value }),
            _ => json!({ "at": at, "price": v.value as f64 / 1e6 }),
        }
    };
    json!({
        "point": r.point,
        "type": r.point_type,
        "kind": r.kind,
        "from": r.span.start.to_string(),
        "to": r.span.end.to_string(),
        "new": r.changes.new,
        "unchanged": r.changes.unchanged,
        "corrected": r.changes.corrected,
        "older": r.changes.older,
        "negative": r.negative,
        "lowest": extreme(&r.lowest),
        "highest": extreme(&r.highest),
    })
}

fn table(all: &[Told]) -> String {
    let mut t = String::new();
    for told in all {
        let Ok(s) = &told.outcome else {
            let _ = writeln!(t, "{}: refused", told.file);
            continue;
        };
        let again = if s.again { "; imported before, nothing changed" } else { "" };
        let _ = writeln!(t, "{}: {} of market {}{again}", told.file, s.kind, s.market);
        for row in s.series.iter().take(LISTED_MAX) {
            let _ = writeln!(t, "{}", line(row));
        }
        if let Some(more) = s.series.len().checked_sub(LISTED_MAX).filter(|n| *n > 0) {
            let _ = writeln!(t, "  and {more} more series");
        }
        if s.places > 0 {
            let _ = writeln!(t, "  {} places of the network", s.places);
        }
        let _ = s.notes.iter().try_for_each(|n| writeln!(t, "  note: {n}"));
    }
    let sum = total(all);
    let points = all.iter().flat_map(|t| &t.outcome).map(|s| s.series.len()).sum::<usize>();
    let refused = all.iter().filter(|told| told.outcome.is_err()).count();
    let _ = writeln!(
        t,
        "{} files, {refused} refused; {points} series; values: {} new, {} unchanged, {} \
         corrected, {} older than what is known",
        all.len(),
        sum.new,
        sum.unchanged,
        sum.corrected,
        sum.older
    );
    t
}

fn line(r: &Row) -> String {
    let amount = |v: &Value| match r.kind.as_str() {
        LOAD => format!("{} MW", show(v.value, 6, 1)),
        _ => show(v.value, 6, 2),
    };
    let at = |v: &Value| minute(v.interval.start);
    format!(
        "  {:<22} {:<19} {} to {}  {} new, {} corrected, {} negative; {} at {} to {} at {}",
        r.name,
        r.kind,
        minute(r.span.start),
        minute(r.span.end),
        r.changes.new,
        r.changes.corrected,
        r.negative,
        amount(&r.lowest),
        at(&r.lowest),
        amount(&r.highest),
        at(&r.highest),
    )
}

/// A moment to the minute, in UTC.
fn minute(at: Time) -> String {
    at.to_string().chars().take(16).collect::<String>() + "Z"
}

//! `headgate fleet`: power down by a deadline, before and after it was sent.

pub mod text;
pub mod view;

use crate::cli::{CurtailArgs, DataArg, FleetCommand, Format, ReasonArgs, exit};
use crate::commands;
use crate::doors::{self, Reply, Request};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;
use view::CurtailView;

/// How often a curtailment under way is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// `headgate fleet`.
pub fn run(command: &FleetCommand) -> anyhow::Result<ExitCode> {
    match command {
        FleetCommand::Curtail(args) => curtail(args),
        FleetCommand::Resume(args) => resume(args),
    }
}

fn refused(what: String) -> anyhow::Error {
    anyhow::anyhow!(crate::run::Refused(what))
}

fn ask(data: &DataArg, request: &Request) -> anyhow::Result<Reply> {
    match doors::ask(&data.folder(), request)? {
        Reply::Refused { error } => anyhow::bail!("{error}"),
        reply => Ok(reply),
    }
}

/// A deadline as it is asked for: after so long, or at a moment.
fn deadline(by: &str) -> anyhow::Result<(Option<i64>, Option<String>)> {
    if by.parse::<jiff::Timestamp>().is_ok() {
        return Ok((None, Some(by.to_owned())));
    }
    let span = crate::config::span(by)
        .map_err(|e| refused(format!("--by: {e}; or give a moment like 2030-01-31T18:00:00Z")))?;
    Ok((Some(span.0.div_euclid(1_000_000)), None))
}

fn curtail(args: &CurtailArgs) -> anyhow::Result<ExitCode> {
    let shed = crate::config::power(&args.power).map_err(|e| refused(format!("POWER: {e}")))?;
    let (within_ms, by) = deadline(&args.by)?;
    let request = Request::Preview { shed_w: shed.0, within_ms, by: by.clone() };
    let Reply::Preview(preview) = ask(&args.data, &request)? else {
        anyhow::bail!("the daemon answered something else than was asked");
    };
    if args.preview {
        print(&*preview, args.format, text::preview)?;
        return Ok(ExitCode::SUCCESS);
    }
    eprint!("{}", text::preview(&preview));
    let reason = args.reason.clone();
    let request = Request::Curtail { shed_w: shed.0, within_ms, by, reason, actor: None };
    let Reply::Done { seq } = ask(&args.data, &request)? else {
        anyhow::bail!("the daemon answered something else than was asked");
    };
    eprintln!("curtailing: event {seq} in the journal");
    let report = wait(&args.data, seq)?;
    print(&report, args.format, text::report)?;
    Ok(if report.in_time { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

/// Waits until there is nothing more to wait for.
fn wait(data: &DataArg, seq: u64) -> anyhow::Result<CurtailView> {
    let mut said = String::new();
    loop {
        let Reply::Status(status) = ask(data, &Request::Status {})? else {
            anyhow::bail!("the daemon answered something else than was asked");
        };
        match &status.curtailment {
            Some(c) if c.seq == seq => {
                progress(c, &mut said);
                if c.done {
                    return Ok(c.clone());
                }
            }
            // The status is a moment behind, or another has taken its place.
            Some(c) if c.seq > seq => {
                anyhow::bail!("another curtailment, event {}, has taken its place", c.seq);
            }
            _ => {}
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Says on stderr how it goes, when something has changed.
fn progress(c: &CurtailView, said: &mut String) {
    let import = c
        .import_w
        .map_or_else(|| "unknown".to_owned(), |w| headgate_core::units::Power(w).to_string());
    let now = format!(
        "{}  import {import}, told {}, acked {}, measured {}, failed {}",
        c.at, c.told.machines, c.acked.machines, c.measured.machines, c.failed.machines
    );
    if *said != now {
        eprintln!("{now}");
        *said = now;
    }
}

fn print<T: Serialize>(shown: &T, format: Format, text: fn(&T) -> String) -> anyhow::Result<()> {
    match format {
        Format::Table => print!("{}", text(shown)),
        _ => commands::print(&serde_json::to_value(shown)?, format)?,
    }
    Ok(())
}

fn resume(args: &ReasonArgs) -> anyhow::Result<ExitCode> {
    let request = Request::Resume { reason: args.reason.clone(), actor: None };
    commands::told(ask(&args.data, &request)?, "resumed")
}

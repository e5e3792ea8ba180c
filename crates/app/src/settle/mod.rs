//! `headgate settle`: what a span came to, per interval and in total, from a meter's readings and
//! posted prices.
//!
//! `gather` gathers what was metered, posted and agreed; the core settles it; `print` and
//! `html` show it. Nothing here reckons money.

mod calendar;
mod case;
mod gather;
pub mod html;
mod posted;
mod print;
mod report;
mod work;

pub use calendar::months;
pub use report::Report;

use crate::cli::{Format, SettleArgs, exit};
use std::io::Write;
use std::process::ExitCode;

/// `headgate settle`.
///
/// # Errors
/// When an input is missing or not usable.
pub fn run(args: &SettleArgs) -> anyhow::Result<ExitCode> {
    if let Some(name) = &args.case {
        return case::run(name, &args.prices, args.format, args.html.as_deref());
    }
    let report = gather::report(args)?;
    if let Some(path) = &args.html {
        html::write(path, &html::page(&report))?;
    }
    write(&report, args.format, &mut std::io::stdout().lock())?;
    let nothing = report.statement.intervals.is_empty();
    Ok(if nothing { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

/// Writes a statement in the format asked for.
///
/// # Errors
/// When the output cannot be written.
pub fn write(report: &Report, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    match format {
        Format::Table => out.write_all(print::table(report).as_bytes())?,
        Format::Csv => print::csv(report, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &print::document(report))?;
            writeln!(out)?;
        }
        Format::Jsonl => {
            serde_json::to_writer(&mut *out, &print::document(report))?;
            writeln!(out)?;
        }
    }
    Ok(())
}

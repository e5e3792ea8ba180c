//! `headgate settle`: what a span came to, per interval and in total, from a meter's readings and
//! posted prices.
//!
//! [`inputs`] gathers what was metered, posted and agreed; the core settles it; [`print`] and
//! [`html`] show it. Nothing here reckons money.

mod case;
pub mod html;
mod print;
mod report;
mod work;

pub use report::{Correction, Full, Gathered, Names, Report, Strike};

use crate::cli::{Format, SettleArgs};
use crate::run::Refused;
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
    anyhow::bail!(Refused("only `--case` is built yet".into()))
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

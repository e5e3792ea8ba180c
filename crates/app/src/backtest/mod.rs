//! `headgate backtest`: recorded prices lived through by the live engine under every policy.

pub mod case;
mod months;
mod print;
pub mod read;
mod report;
mod trace;

pub use case::hashprices;

use crate::cli::{BacktestArgs, Format, exit};
use crate::run::Refused;
use crate::site_files::describe;
use anyhow::bail;
use case::Case;
use headgate_sim::backtest::CompareError;
use std::io::Write;
use std::process::ExitCode;

/// `headgate backtest`.
///
/// # Errors
/// When an input is missing or not usable, or a result cannot be written.
pub fn run(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
    let case = Case::of(args)?;
    let comparison = match case.compare() {
        Ok(comparison) => comparison,
        Err(e @ CompareError::Violation { .. }) => {
            eprintln!("headgate: {:#}", anyhow::Error::from(e));
            return Ok(ExitCode::from(exit::VIOLATION));
        }
        // What cannot be run or planned is the site's fault, not the program's.
        Err(e) => bail!(Refused(describe(&e))),
    };
    if let Some(path) = &args.trace {
        trace::write(path, &case, &comparison)?;
    }
    if let Some(path) = &args.png {
        report::picture(path, &case, &comparison)?;
    }
    if let Some(path) = &args.report {
        report::write(path, &case, &comparison)?;
    }
    let ladder = match args.ladder {
        true => report::ladder(&case, &comparison).map_err(|e| Refused(describe(&e)))?,
        false => Vec::new(),
    };
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Table => out.write_all(print::table(&case, &comparison, &ladder).as_bytes())?,
        Format::Csv => {
            case.notes.iter().for_each(|note| tracing::info!("{note}"));
            print::csv(&comparison, &mut out)?;
        }
        Format::Json | Format::Jsonl => {
            let document = print::document(&case, &comparison, &ladder)?;
            match args.format {
                Format::Json => serde_json::to_writer_pretty(&mut out, &document)?,
                _ => serde_json::to_writer(&mut out, &document)?,
            }
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

//! The project's own tasks: `cargo xtask tidy | test | bench NAME | campaign NAME`.

mod bench;
mod budget;
mod campaign;
mod count;
mod demo;
mod process;
mod rng;
mod stages;
mod tidy;
mod tools;

use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  tidy                        the rules no other tool knows; also a test of this crate
  test [--list]               everything CI runs, with what it needs installed first
       [--only A,B] [--skip A,B]
  bench NAME [--format json]  one of: BENCHES
  campaign NAME [--small] [--seed N]
                              one of: CAMPAIGNS
";

/// The repository's root, wherever the task was started from.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the repository").to_path_buf()
}

fn usage() -> String {
    USAGE
        .replace("BENCHES", &bench::NAMES.join(", "))
        .replace("CAMPAIGNS", &campaign::NAMES.join(", "))
}

/// Ends with 0 when all is well, 1 when a check failed, 2 on a wrong call.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.split_first() {
        Some((&"tidy", [])) => tidy_task(),
        Some((&"test", rest)) => stages::task(rest),
        Some((&"bench", rest)) => bench::task(rest),
        Some((&"campaign", rest)) => campaign::task(rest),
        _ => {
            eprint!("{}", usage());
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tidy_task() -> Result<bool> {
    let faults = tidy::check(&root())?;
    for fault in &faults {
        println!("{fault}");
    }
    println!("tidy: {} faults", faults.len());
    Ok(faults.is_empty())
}

//! The one binary `headgate`.

mod backtest;
mod bench;
mod chart;
mod cli;
mod clock;
mod commands;
mod config;
mod demo;
mod doors;
mod explain;
mod farm;
mod fleet;
mod kept;
mod model;
mod parquet;
mod plan;
mod plant;
mod prices;
mod run;
mod screen;
mod settle;
mod site_files;
mod start;
mod status;
mod sweep;
mod train;
mod values;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, PricesCommand, exit};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(screen::log_writer)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .init();
    match dispatch(&cli.command) {
        Ok(code) => code,
        Err(e) => {
            // A configuration's problems are laid out already, each with its place.
            match e.downcast_ref::<config::ConfigError>() {
                Some(problems) if !problems.problems().is_empty() => eprintln!("{problems}"),
                _ => eprintln!("headgate: {e:#}"),
            }
            ExitCode::from(code_of(&e))
        }
    }
}

fn dispatch(command: &Command) -> anyhow::Result<ExitCode> {
    let ok = |()| ExitCode::SUCCESS;
    match command {
        Command::Demo(args) => demo::run(args).map(ok),
        Command::Run(args) => run::run(args).map(ok),
        Command::Check(args) => commands::check(args),
        Command::Explain(args) => commands::explain(args),
        Command::Status(args) => commands::status(args),
        Command::Hold(args) => commands::hold(args),
        Command::Release(args) => commands::release(args),
        Command::Stop(args) => commands::stop(args),
        Command::Fleet(command) => fleet::run(command),
        Command::Replay(args) => commands::replay(args),
        Command::Settle(args) => settle::run(args),
        Command::Sweep(args) => sweep::run(args),
        Command::Plan(args) => plan::run(args).map(|()| ExitCode::SUCCESS),
        Command::Train(args) => train::run(args).map(|()| ExitCode::SUCCESS),
        Command::Backtest(args) => backtest::run(args),
        Command::Prices(PricesCommand::Import(args)) => prices::import(args),
        Command::Prices(PricesCommand::Show(args)) => prices::show(args),
        Command::Prices(PricesCommand::List(args)) => prices::list(args),
        Command::Journal(command) => commands::journal(command),
        Command::Simfarm(args) => commands::simfarm(args),
        Command::Bench(args) => bench::run(args).map(ok),
        Command::Completions { shell } => {
            let mut cli = Cli::command();
            clap_complete::generate(*shell, &mut cli, "headgate", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The exit code an error stands for.
fn code_of(error: &anyhow::Error) -> u8 {
    let bad_input = error.chain().any(|e| {
        e.is::<config::ConfigError>()
            || e.is::<headgate_feeds::FeedError>()
            || e.is::<run::Refused>()
    });
    if bad_input {
        return exit::BAD_INPUT;
    }
    let unreachable = error
        .chain()
        .filter_map(|e| e.downcast_ref::<doors::ClientError>())
        .any(doors::ClientError::is_unreachable);
    if unreachable { exit::UNREACHABLE } else { exit::FAILED }
}

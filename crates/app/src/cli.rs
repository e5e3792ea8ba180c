//! The command line: a contract that scripts depend on.

mod fleet;
mod planning;

pub use fleet::{CurtailArgs, FleetCommand};
pub use planning::{BacktestArgs, KnownArg, PlanArgs, PolicyArg, SweepArgs, TrainArgs};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Exit codes, as `--help` lists them.
pub mod exit {
    pub const FAILED: u8 = 1;
    pub const BAD_INPUT: u8 = 3;
    pub const UNREACHABLE: u8 = 4;
    pub const VIOLATION: u8 = 5;
}

/// The gate between a compute site and the power grid: it holds a flexible load at the power
/// that earns most now, within every limit, and proves afterwards what it did and why.
#[derive(Debug, Parser)]
#[command(
    name = "headgate",
    version,
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage, \
    3 bad configuration or input, 4 daemon unreachable, 5 a check found a violation.\n\
    Data goes to stdout; progress and logs go to stderr (RUST_LOG=debug for more)."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs everything on a simulated 10 MW farm, real sockets included; needs nothing.
    Demo(DemoArgs),
    /// Runs a site: live prices, or recorded ones with --replay.
    Run(RunArgs),
    /// Says what is wrong with a configuration, with line and caret, before anything starts.
    Check(CheckArgs),
    /// Shows the ladder of narrowings and the reason, now or at any past moment.
    Explain(ExplainArgs),
    /// Shows the running daemon's price, target, proof, machines and alarms.
    Status(StatusArgs),
    /// Holds the site at a power, or where it is, until released.
    Hold(HoldArgs),
    /// Lets go of a hold or a stop.
    Release(ReasonArgs),
    /// Takes everything down at once, past every ramp, until released.
    Stop(ReasonArgs),
    /// Acts on the fleet: power down by a deadline, and back.
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// Steps the engine through a journal again and says whether its decisions are the same.
    Replay(ReplayArgs),
    /// Settles a span: what each interval came to, line by line, from a meter and posted prices.
    Settle(Box<SettleArgs>),
    /// Shows the hours to come: prices known and expected, what would run, and the price at which
    /// each step would change.
    Plan(PlanArgs),
    /// Trains what looking ahead goes by, on recorded prices.
    Train(TrainArgs),
    /// Lives through recorded prices under every policy, by the live engine, and says what each
    /// was worth against the best that could have been done.
    Backtest(Box<BacktestArgs>),
    /// Works off many back-tests: sites, points, spans, parameters and seeds, over all cores.
    Sweep(SweepArgs),
    /// Imports price files of any market, and shows what was posted.
    #[command(subcommand)]
    Prices(PricesCommand),
    /// Looks after a journal.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Runs the simulated farm alone, for any client of its firmwares to try.
    Simfarm(SimfarmArgs),
    /// Measures the program against a simulated farm; `cargo xtask bench` calls it.
    #[command(hide = true)]
    Bench(crate::bench::BenchArgs),
    /// Prints shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page.
    Man,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// Comma-separated values with a header line.
    Csv,
}

/// Where the daemon keeps its data and is found.
#[derive(Debug, Clone, Args)]
pub struct DataArg {
    /// Data folder; the daemon is found by its control.sock in it.
    #[arg(long, env = "HEADGATE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl DataArg {
    /// The folder given, or the one that is meant where none is.
    pub fn folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from("headgate-data"))
    }
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Chooses everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Runs one day and prints its result, instead of repeating the day until interrupted.
    #[arg(long)]
    pub once: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Highest speed as a multiple of real time, or `max`.
    #[arg(long, default_value = "max", value_parser = speed)]
    pub speed: Speed,
    /// Keeps the journal here; by default in a temporary folder that is removed.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Port of the status page on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// No live view, even on a terminal.
    #[arg(long)]
    pub plain: bool,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The site's configuration.
    pub site: PathBuf,
    #[command(flatten)]
    pub data: DataArg,
    /// Recorded prices instead of live ones: `[KIND:]FILE[#column=POINT]`, any number of files.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub replay: Vec<String>,
    /// Highest speed of a replay as a multiple of real time, or `max`. Above 1 only on machines
    /// simulated in this process (--simfarm).
    #[arg(long, default_value = "1", value_parser = speed)]
    pub speed: Speed,
    /// Ends when the replay does.
    #[arg(long)]
    pub until_end: bool,
    /// First moment of the replay, RFC 3339; by default its first price.
    #[arg(long, value_name = "TIME")]
    pub from: Option<jiff::Timestamp>,
    /// First moment after the replay, RFC 3339; by default after its last price.
    #[arg(long, value_name = "TIME")]
    pub to: Option<jiff::Timestamp>,
    /// Simulates the site's machines in this process, on their loopback addresses.
    #[arg(long)]
    pub simfarm: bool,
    /// Chooses what the simulated machines leave to chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Port of the status page on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// How the summary at the end is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The site's configuration.
    pub site: PathBuf,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The moment, RFC 3339; by default the last one there is.
    #[arg(long, value_name = "TIME")]
    pub at: Option<jiff::Timestamp>,
    #[command(flatten)]
    pub data: DataArg,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub data: DataArg,
    /// Keeps showing it.
    #[arg(long)]
    pub watch: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct HoldArgs {
    /// Why; it goes into the journal.
    #[arg(long)]
    pub reason: String,
    /// The power to hold at the meter, such as "3 MW"; by default the present set point.
    #[arg(long, value_name = "POWER")]
    pub power: Option<String>,
    /// When the hold ends by itself, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub until: Option<jiff::Timestamp>,
    #[command(flatten)]
    pub data: DataArg,
}

#[derive(Debug, Args)]
pub struct ReasonArgs {
    /// Why; it goes into the journal.
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub data: DataArg,
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The data folder, or one of its journal segments.
    pub journal: PathBuf,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Every file may be packed; prices are told by their content, `[KIND:]FILE[#column=POINT]`.
#[derive(Debug, Args)]
pub struct SettleArgs {
    /// The site's configuration: its point, contracts, adders, charges and what its work is worth.
    #[arg(required_unless_present = "case")]
    pub site: Option<PathBuf>,
    /// What the meter read: interval_start_utc,energy_mwh, start,end,kwh or the like.
    #[arg(long, value_name = "FILE", required_unless_present = "case")]
    pub meter: Option<PathBuf>,
    /// Posted prices, any number of files, a later one correcting an earlier one; by default
    /// those imported with `prices import`.
    #[arg(long, value_name = "FILE", num_args = 1.., required_if_eq("case", "riot-2023"))]
    pub prices: Vec<String>,
    #[command(flatten)]
    pub data: DataArg,
    /// First moment, RFC 3339, or a date in the market's time zone; by default the meter's first.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// First moment after; by default the end of the meter's last interval.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// One month of the market's calendar, such as 2024-06.
    #[arg(long, value_name = "MONTH", conflicts_with_all = ["from", "to"])]
    pub month: Option<String>,
    /// Settles by what was known at this moment, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<jiff::Timestamp>,
    /// What was bought (above zero) and sold a day ahead: `interval_start_utc,mw[,price]`.
    #[arg(long, value_name = "FILE")]
    pub day_ahead: Option<PathBuf>,
    /// Reserve sold: `interval_start_utc,product,mw[,price]`.
    #[arg(long, value_name = "FILE")]
    pub awards: Option<PathBuf>,
    /// Reserve called upon: start_utc,end_utc,product,mw.
    #[arg(long, value_name = "FILE")]
    pub deployments: Option<PathBuf>,
    /// What the load was told to draw: interval_start_utc,mw.
    #[arg(long, value_name = "FILE")]
    pub base_points: Option<PathBuf>,
    /// What each unit drew: interval_start_utc,unit,energy_mwh; a unit is a cohort's name.
    #[arg(long, value_name = "FILE")]
    pub units: Option<PathBuf>,
    /// The intervals of the system's peaks, where they are published: interval_start_utc.
    #[arg(long, value_name = "FILE", conflicts_with = "loads")]
    pub peaks: Option<PathBuf>,
    /// The system's load, to find its peaks in.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub loads: Vec<String>,
    /// Strike price of the fixed-strike comparison, such as "60 USD/MWh"; by default that of
    /// `[policy]`, if it names one.
    #[arg(long, value_name = "PRICE")]
    pub strike: Option<String>,
    /// Checks a published result instead, by its own rule: riot-2023, or a file of that form.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["site", "meter"])]
    pub case: Option<String>,
    /// Writes a printable page here, too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Subcommand)]
pub enum PricesCommand {
    /// Takes price files in; the same file twice changes nothing, a later posting replaces an
    /// earlier one and keeps it.
    Import(PricesImportArgs),
    /// Shows one series: table, chart, CSV, JSON or a picture.
    Show(PricesShowArgs),
    /// Lists what was imported.
    List(PricesListArgs),
}

#[derive(Debug, Args)]
pub struct PricesImportArgs {
    /// `[KIND:]FILE[#column=POINT]` or a folder of files, packed or not; what a file holds is
    /// told by its content.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    #[command(flatten)]
    pub data: DataArg,
    /// The market the files are of, shipped or a path that ends in .toml; by default the first
    /// whose rules they go with.
    #[arg(long, value_name = "NAME")]
    pub market: Option<String>,
    /// Whose prices a file holds that names no point; of other files only this point is taken.
    #[arg(long, value_name = "NAME")]
    pub point: Option<String>,
    /// When the files were posted, RFC 3339; by default what an ERCOT name says, else now.
    #[arg(long, value_name = "TIME")]
    pub posted: Option<jiff::Timestamp>,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct PricesShowArgs {
    /// The settlement point, product of reserve or load zone.
    #[arg(long, value_name = "NAME")]
    pub point: String,
    /// Its type, such as LZ, LZEW, HU, AS; a bare LZ_* is of type LZ.
    #[arg(long = "type", value_name = "TYPE")]
    pub point_type: Option<String>,
    /// settlement, dispatch, day_ahead, surplus, look_ahead, capacity_day_ahead,
    /// capacity_settlement, capacity_dispatch, adder_dispatch, adder_settlement or load.
    #[arg(long, default_value = "settlement", value_name = "KIND")]
    pub kind: String,
    /// First moment, RFC 3339, or a date in the market's time zone.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// First moment after it.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Shows what was known at this moment instead of what stands now.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
    /// Shows every revision.
    #[arg(long)]
    pub revisions: bool,
    /// Files to read instead of what was imported; a later one corrects an earlier one.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub prices: Vec<String>,
    #[command(flatten)]
    pub data: DataArg,
    /// The market, where several have the point.
    #[arg(long, value_name = "NAME")]
    pub market: Option<String>,
    /// Draws a chart even where the output is no terminal.
    #[arg(long)]
    pub chart: bool,
    /// Also writes a picture.
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct PricesListArgs {
    #[command(flatten)]
    pub data: DataArg,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Checks every byte; exit 5 when one is wrong.
    Verify {
        #[command(flatten)]
        data: DataArg,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

#[derive(Debug, Args)]
pub struct SimfarmArgs {
    /// The site whose machines to simulate; without it, a mixed farm.
    pub site: Option<PathBuf>,
    /// Machines of the mixed farm, from 127.1.0.1 on.
    #[arg(long, default_value_t = 100)]
    pub machines: u32,
    /// What the machines run: one firmware, or parts of a mix such as luxos=8,antminer=2;
    /// without it, LuxOS on a mix of models.
    #[arg(long, value_name = "KIND[=PART],...", conflicts_with = "site")]
    pub firmware: Option<String>,
    /// Port of every machine; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Serves each firmware on the ports it really has, some of which need privileges.
    #[arg(long, conflicts_with = "port")]
    pub usual_ports: bool,
    /// Chooses everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Time a machine takes to answer, in milliseconds.
    #[arg(long, default_value_t = 20)]
    pub delay_ms: u32,
    /// Share of machines that accept and never answer, in percent.
    #[arg(long, default_value_t = 0.0)]
    pub mute: f64,
    /// Share of machines that say yes and keep drawing, in percent.
    #[arg(long, default_value_t = 0.0)]
    pub lying: f64,
    /// Share of machines that are off the network and draw nothing, in percent.
    #[arg(long, default_value_t = 0.0)]
    pub dead: f64,
}

/// A speed ceiling: a multiple of real time, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed(pub Option<i64>);

/// Highest speed that can be asked for by number.
const SPEED_MAX: i64 = 1_000_000;

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed(None));
    }
    match text.parse::<i64>() {
        Ok(n) if (1..=SPEED_MAX).contains(&n) => Ok(Speed(Some(n))),
        _ => Err(format!("give a whole number from 1 to {SPEED_MAX}, or `max`")),
    }
}

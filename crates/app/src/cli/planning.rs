//! Arguments of the commands that plan, train and back-test.

use super::{DataArg, Format};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The site's configuration.
    pub site: PathBuf,
    #[command(flatten)]
    pub data: DataArg,
    /// Recorded prices to plan from instead of what the site knows in its data folder:
    /// `[KIND:]FILE[#column=POINT]`, any number of files.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub prices: Vec<String>,
    /// The moment to plan from, with --prices: RFC 3339, or a date in the market's time zone; by
    /// default where they end.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Hours that are planned.
    #[arg(long, default_value_t = 12, value_name = "N")]
    pub hours: u32,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The site's configuration: its cohorts, what they can do and what their work is worth.
    pub site: PathBuf,
    /// Recorded prices: `[KIND:]FILE[#column=POINT]`, any number of files. Other points of the
    /// same files are learned from too, where they have the same kinds of prices.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub prices: Vec<String>,
    /// The settlement point; by default the site's own.
    #[arg(long, value_name = "NAME")]
    pub point: Option<String>,
    /// Learns from this point alone.
    #[arg(long)]
    pub alone: bool,
    /// First moment, RFC 3339, or a date in the market's time zone; by default all there is.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// First moment after.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Where the model is written.
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Profit = compute_revenue - energy_cost + sell_back - other_cost; other_cost is what starts cost.
///
/// curtailed_hours are hours of full power that were not drawn: half the power for two hours is
/// one hour. missed_spike_cost is what was lost against perfect foresight in the settlement
/// intervals in which power was drawn at a price, adders included, above the break-even of what
/// ran. capture = (policy - always_on) / (perfect_foresight - always_on).
///
/// bound is the most that any plan in settlement intervals earns: exact when perfect_foresight
/// reaches it, certified when gap, a share of the bound, is left open.
///
/// months has the same by month of the market's calendar, for one life through all of them: a
/// month's capture is measured against what perfect_foresight earned in it on its way through.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// The site's configuration.
    pub site: PathBuf,
    /// Recorded prices: `[KIND:]FILE[#column=POINT]`, any number of files.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub prices: Vec<String>,
    /// The settlement point; by default the site's own.
    #[arg(long, value_name = "NAME")]
    pub point: Option<String>,
    /// First moment, RFC 3339, or a date in the market's time zone; by default all that the
    /// prices cover. Prices before it are told as history.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// First moment after.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Which policies; by default all.
    #[arg(long = "policy", value_name = "NAME", num_args = 1.., value_enum)]
    pub policies: Vec<PolicyArg>,
    /// Strike of fixed_strike, such as "60 USD/MWh"; by default that of `[policy]`, else the
    /// break-even of the whole site.
    #[arg(long, value_name = "PRICE")]
    pub strike: Option<String>,
    /// The trained model of look_ahead; by default that of `[policy]`.
    #[arg(long, value_name = "MODEL", conflicts_with = "walk_forward")]
    pub model: Option<PathBuf>,
    /// Trains look_ahead anew before each month, on all prices that precede it.
    #[arg(long, value_name = "PERIOD", value_enum)]
    pub walk_forward: Option<Period>,
    /// Trains on the site's own point alone, not on others in the same files too.
    #[arg(long, requires = "walk_forward")]
    pub alone: bool,
    /// When real-time prices are known: live, or one of three easier conventions, for comparison
    /// with the figures of others. look_ahead is trained for the same one by --walk-forward.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = KnownArg::Live)]
    pub known: KnownArg,
    /// How much later than that everything is told, such as "5 min".
    #[arg(long, value_name = "TIME", default_value = "0 s")]
    pub lag: String,
    /// Also tells what each policy earns when told 5, 10, 15, 30 and 60 minutes late.
    #[arg(long)]
    pub ladder: bool,
    /// Writes what each policy did, one line for each time that power was held.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Writes a page with pictures: no script in it, nothing fetched.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Writes the picture of price, power and profit.
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Policies of a back-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum PolicyArg {
    /// Everything, always.
    AlwaysOn,
    /// Everything below one price.
    FixedStrike,
    /// Each step by its own break-even.
    Breakeven,
    /// By a plan over what is known and expected.
    LookAhead,
    /// By the best plan in hindsight.
    PerfectForesight,
}

/// When real-time prices are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum KnownArg {
    /// Each price from when it could be known.
    Live,
    /// Convention B2: each dispatch run at the beginning of its step.
    B2,
    /// Convention B1: one decision an interval, on its first run, at its beginning.
    B1,
    /// Convention A: what each interval settles at, at its beginning; not attainable.
    A,
}

/// How often a model is trained anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Period {
    /// Before each month of the market's calendar.
    Month,
}

/// What is done is kept at once: a sweep that was ended, however, goes on where it was.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// The plan: docs/sweep.md says what it holds.
    pub plan: PathBuf,
    /// Folder of the outputs: sweep.csv, sweep.parquet, summary.html, and the record of what is
    /// done; by default the plan's name and -sweep.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Works off this part of the cases alone, such as 2/3, and makes no outputs.
    #[arg(long, value_name = "I/N", value_parser = shard, conflicts_with = "merge")]
    pub shard: Option<crate::sweep::SweepShard>,
    /// Works nothing off, and makes the outputs of shards that are done, in these folders or
    /// else in that of --out.
    #[arg(long, value_name = "DIR", num_args = 0..)]
    pub merge: Option<Vec<PathBuf>>,
    /// Threads; by default one for each processor.
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
    /// How the summary is printed: table or json.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

fn shard(text: &str) -> Result<crate::sweep::SweepShard, String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    let (i, n): (u64, u64) = parts.ok_or("write it like 2/3: the second of three parts")?;
    match (1..=n).contains(&i) && n <= crate::sweep::SHARDS_MAX {
        true => Ok(crate::sweep::SweepShard { i, n }),
        false => Err(format!(
            "{i} is not one of 1 to {n}, or {n} is more than {}",
            crate::sweep::SHARDS_MAX
        )),
    }
}

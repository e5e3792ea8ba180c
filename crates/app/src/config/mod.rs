//! The configuration of one site: one TOML file, read whole, checked whole, refused with the
//! line and a caret.
//!
//! `file` parses and keeps every key's place, `raw` is the schema as written, `unit` reads
//! quantities exactly, `hosts` reads machine addresses, `drivers` knows firmwares, `fleet` and
//! `units` are what there is to run, `resolve` compares everything with everything and builds the
//! [`Site`] the engine takes.

mod drivers;
mod error;
mod file;
mod fleet;
mod forms;
mod hosts;
mod meters;
mod outside;
mod raw;
mod resolve;
mod switches;
mod terms;
#[cfg(test)]
mod tests;
mod unit;
mod units;
mod worth;

pub use error::{ConfigError, Problem, ProblemKind};
pub use file::{ConfigFile, Document};
pub use raw::{Pair, Spanned};
pub use resolve::resolve;
pub use unit::{Date, In, Text};

use headgate_core::event::Hashprice;
use headgate_core::hands::Hands;
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::market::SettlementPoint;
use headgate_core::settle::Terms;
use headgate_core::site::{MarketRule, MeterKind, Site};
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Power, Price};
use headgate_drivers::devices::modbus::MeterPlan;
use headgate_drivers::devices::switch::SwitchPlan;
use headgate_feeds::fx::{FxRate, FxSeries};
use std::path::{Path, PathBuf};

/// What the configuration needs of the market file it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketFacts {
    /// Currency and steps.
    pub rule: MarketRule,
    /// IANA time zone of the market: the days of a contract's term are its days.
    pub timezone: String,
}

/// A configuration that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The site, as the engine takes it.
    pub site: Site,
    /// Its blocks of load without machines.
    pub units: Vec<UnitSpec>,
    /// The trained model its policy looks ahead with, where it names one.
    pub model: Option<PathBuf>,
    /// The data folder, where the command line names no other.
    pub data: PathBuf,
    /// How each feed of the site is followed, in their order.
    pub live: Vec<LiveFeed>,
    /// What goes beside each driver of the site, in their order.
    pub drivers: Vec<LiveDriver>,
    /// How each meter of the site that is a device is read, in their order. The site itself goes
    /// by its machines' own sum: what never reads a device, like a back-test, has nothing else.
    pub meters: Vec<Option<MeterPlan>>,
    /// What the site has to bring power down with beside its machines.
    pub hands: Hands,
    /// How each of its switches is told and read, in their order.
    pub switches: Vec<SwitchPlan>,
    /// Where the hash price comes from.
    pub hashprice: HashpriceSource,
    /// What the work is worth otherwise, and in which currency.
    pub worth: Worth,
    /// What a settlement goes by; its peaks and months are still to be found.
    pub terms: Terms,
    /// Where each block is sold back, in the order of the blocks.
    pub resale: Vec<SettlementPoint>,
    /// What is allowed and probably not meant; one sentence each.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// The site with its devices read: their meters report.
    #[must_use]
    pub fn metered(&self) -> Site {
        let mut site = self.site.clone();
        for (spec, plan) in site.meters.iter_mut().zip(&self.meters) {
            if plan.is_some() {
                spec.kind = MeterKind::Reported;
            }
        }
        site
    }
}

/// How a feed is followed; the engine needs to know none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFeed {
    /// Pause between two looks, where the file names one.
    pub every: Option<Span>,
    /// How far back is caught up on.
    pub catch_up: Span,
    /// Where the account's name, password and key are kept.
    pub credentials: Option<CredentialsSource>,
    /// Where a token is to be had, where that is not the market's own.
    pub token: Option<String>,
}

/// What a driver needs beside its spec; the engine and the journal know none of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveDriver {
    /// The machines' second port, where that is not the kind's usual one.
    pub aux_port: Option<u16>,
    /// Where the machines' name and password are kept; the factory's where nowhere.
    pub credentials: Option<CredentialsSource>,
}

/// Where an account's name, password and key are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsSource {
    /// A TOML file with `username`, `password` and, for a feed, `subscription_key`.
    File(PathBuf),
    /// Environment variables that begin so.
    Env(String),
}

/// Where the hash price comes from; in the currency the work is paid in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashpriceSource {
    /// It is not needed: the work is valued otherwise.
    NotNeeded,
    /// A fixed one: money for one PH/s held for one day.
    Constant(Money),
    /// A contract's, by the dates from which each is in force; the first from the beginning.
    Dated(Vec<Hashprice>),
    /// A CSV file with its history.
    File(PathBuf),
    /// Computed from the network's numbers in CSV files.
    Network {
        /// Difficulty by epoch.
        difficulty: PathBuf,
        /// The coin's price by day.
        price: PathBuf,
        /// Fees by day; without them the subsidy alone counts.
        fees: Option<PathBuf>,
    },
    /// Fetched from an address that speaks as mempool.space does.
    Address {
        /// Scheme and host.
        base: String,
        /// Currency of the coin's price.
        currency: String,
    },
}

/// What the work is worth, beside the hash price, and in which currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worth {
    /// Prices of energy at the machine, from when each is in force; empty where work is valued
    /// by hash price.
    pub energy: Vec<(Time, Price)>,
    /// Currency of these prices and of the hash price.
    pub currency: String,
    /// How it becomes the market's.
    pub fx: Fx,
    /// Why the engine cannot run on it, where only a settlement can use it; one sentence.
    pub settle_only: Option<String>,
}

/// From the currency the work is paid in to the market's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fx {
    /// They are the same.
    Same,
    /// One rate for ever.
    Rate(FxRate),
    /// A rate for each day, known at its end.
    Series(FxSeries),
}

/// Reads, checks and resolves a configuration; `market` finds the facts of a market by name, or
/// says in one sentence why it cannot.
///
/// # Errors
/// [`ConfigError`] holds the first syntax error, or else everything found wrong.
pub fn load(
    path: &Path,
    market: &dyn Fn(&str) -> Result<MarketFacts, String>,
) -> Result<Loaded, ConfigError> {
    let file = ConfigFile::read(path)?;
    let name = file.market();
    let path = file.resolve_path(Path::new(name)).display().to_string();
    match market(if name.ends_with(".toml") { &path } else { name }) {
        Ok(facts) => resolve(&file, &facts),
        Err(why) => {
            let at = file.raw.site.market.span();
            let problems = vec![file.problem(ProblemKind::Wrong, &at, why)];
            Err(ConfigError::Invalid { problems })
        }
    }
}

/// Reads a power as a person writes it on a command line, for example `7 MW`.
///
/// # Errors
/// One sentence that says what is wrong and how it is written.
pub fn power(text: &str) -> Result<Power, String> {
    unit::read(text)
}

/// Reads a length of time as a person writes it on a command line, for example `5 min`.
///
/// # Errors
/// One sentence that says what is wrong and how it is written.
pub fn span(text: &str) -> Result<Span, String> {
    unit::read(text)
}

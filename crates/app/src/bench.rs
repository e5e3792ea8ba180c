//! `headgate bench`: the running program, measured against a simulated farm on the real clock.
//!
//! It is the whole plant, journal and wires included, and only the source of events is the
//! bench's own. `cargo xtask bench` calls it and holds what it prints against other clients.

mod curtail;
mod dispatch;
mod prove;

use crate::clock::{Clock, wall_now};
use crate::plant::{self, Plant, Prices};
use crate::site_files::load_site;
use crate::start::{self, Doors, Source, Stop};
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use headgate_core::event::{AutomationMode, Event, Hashprice};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::site::Site;
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Money, Power, Price};
use headgate_sim::farm::Farm;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// From a price event to the last answer, on a farm in another process.
    Dispatch {
        /// The site's configuration; loopback addresses only.
        site: PathBuf,
        /// Port of the farm.
        #[arg(long)]
        port: u16,
        /// Folder of the journal; it must not exist yet.
        #[arg(long)]
        data: PathBuf,
    },
    /// From an order to the meter's proof by a deadline, on a farm in this process whose meter the
    /// engine reads.
    Curtail {
        /// The site's configuration; loopback addresses only.
        site: PathBuf,
        /// Folder of the journal; it must not exist yet.
        #[arg(long)]
        data: PathBuf,
        /// 5 % say nothing, 3 % lie and 2 % are gone from just before the order on.
        #[arg(long)]
        faulty: bool,
    },
    /// From a hold to the meter's proof, on a farm in this process.
    Prove {
        /// The site's configuration; loopback addresses only.
        site: PathBuf,
        /// Folder of the journal; it must not exist yet.
        #[arg(long)]
        data: PathBuf,
        /// Share of mute machines, in percent.
        #[arg(long, default_value_t = 0)]
        mute: u32,
        /// They fall mute just before the hold, not before the start.
        #[arg(long)]
        late: bool,
    },
}

/// A price at which every machine works, and one at which none does, in currency per MWh.
const CHEAP: i64 = 20;
const DEAR: i64 = 9_000;
/// What the work is worth, in micro-currency per PH/s and day.
const HASHPRICE: Money = Money(45_000_000);
/// Length of a dispatch run.
const RUN: Span = Span::minutes(5);
/// Longest time reading back may take.
const READY_MAX: Duration = Duration::from_secs(60);
/// Quiet time after it, so that nothing of the start is measured.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs a bench.
///
/// # Errors
/// When the site cannot be run, or what is measured does not happen.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let runtime = start::runtime()?;
    let document = runtime.block_on(async {
        match &args.what {
            What::Dispatch { site, port, data } => dispatch::run(site, *port, data).await,
            What::Curtail { site, data, faulty } => curtail::run(site, data, *faulty).await,
            What::Prove { site, data, mute, late } => prove::run(site, data, *mute, *late).await,
        }
    })?;
    println!("{document}");
    Ok(())
}

/// Loads a site whose machines are all on the loopback device, and lets it act.
fn load(path: &Path) -> anyhow::Result<Site> {
    let mut site = load_site(path)?.site;
    ensure!(crate::farm::all_loopback(&site), "a bench runs on loopback addresses only");
    site.policy.mode = AutomationMode::Auto;
    Ok(site)
}

/// A dispatch run of the site's first price feed, in force from now on.
fn price(site: &Site, now: Time, usd: i64) -> anyhow::Result<Event> {
    let kind = PriceKind::Dispatch;
    let feed = plant::feed_for(site, kind).context("the site has no feed of dispatch prices")?;
    let interval = Interval::starting(now, RUN);
    let rows = vec![PriceRow { interval, price: Price(usd * 1_000_000), known_at: now }];
    Ok(Event::Prices { feed, kind, rows })
}

/// A plant on the real clock that was told a cheap price, has read every machine back and has
/// nothing under way.
async fn ready(
    site: &Site,
    data: &Path,
    observer: Option<plant::Observer>,
) -> anyhow::Result<(Plant, Doors)> {
    ensure!(!data.exists(), "`{}` exists: a bench begins with an empty journal", data.display());
    let clock = Clock::real();
    let now = clock.now();
    let value = Event::Value(Hashprice { per_ph_day: HASHPRICE, known_at: now });
    let script = [(now, value), (now, price(site, now, CHEAP)?)].into();
    let source = Source { prices: Prices::Live, script, ends_at: None };
    let stop = Stop::on_signals()?;
    let (mut plant, doors) =
        start::plant(data, site.into(), clock, source, observer, stop.signal())?;
    plant.begin()?;
    let began = Instant::now();
    while !plant.engine.ready() {
        ensure!(began.elapsed() < READY_MAX, "the machines were not read back in time");
        step(&mut plant).await?;
    }
    let quiet = Instant::now();
    while quiet.elapsed() < SETTLE || plant.counts().open > 0 {
        ensure!(began.elapsed() < READY_MAX, "commands of the start do not come to an end");
        // A short nap at most: the plant alone may sleep for a second.
        let _ = tokio::time::timeout(Duration::from_millis(10), plant.wait()).await;
        plant.turn()?;
    }
    Ok((plant, doors))
}

/// One turn of the plant and the wait after it.
async fn step(plant: &mut Plant) -> anyhow::Result<()> {
    ensure!(plant.turn()?.is_none(), "the bench was asked to end");
    plant.wait().await;
    Ok(())
}

/// Processor seconds of this process so far: those of its threads that are still there, and a
/// runtime's threads stay.
fn cpu_seconds() -> anyhow::Result<f64> {
    let mut nanos = 0.0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().context("schedstat is empty")?;
        nanos += first.parse::<f64>()?;
    }
    Ok(nanos / 1e9)
}

/// What the farm's meter shows now.
fn power(farm: &Mutex<Farm>) -> Power {
    farm.lock().unwrap_or_else(PoisonError::into_inner).meter(wall_now()).power
}

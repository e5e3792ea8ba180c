//! `headgate demo`: the whole program on a simulated farm, real sockets included.

mod day;
mod report;

use crate::cli::{DemoArgs, Format};
use crate::clock::Clock;
use crate::config::{ConfigFile, resolve};
use crate::plant::{self, Ended};
use crate::site_files::market_facts;
use crate::start::{self, Source};
use anyhow::Context;
use headgate_core::event::{AutomationMode, Event};
use headgate_core::market::PriceKind;
use headgate_core::site::Site;
use headgate_core::time::{Span, Time};
use headgate_core::units::Money;
use headgate_sim::farm::Farm;
use headgate_sim::serve::FarmServer;
use headgate_sim::spec::{FarmSpec, FaultShares};
use report::{Metered, Run};
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const SCENARIO: &str = include_str!("../../../../scenarios/demo.toml");
/// The first demo day: midnight of 18 August 2026 in Chicago.
const FIRST_DAY: Time = Time::from_seconds(1_787_029_200);
/// How long after the end of the day commands may still come to their end.
const AFTERGLOW: Span = Span::minutes(20);
/// Machines that answer nothing, draw nothing, or lie, in parts per million.
const FAULTS: (u32, u32, u32) = (15_000, 10_000, 5_000);

/// Runs the demo.
///
/// # Errors
/// When something needed is not to be had on this machine.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let runtime = start::runtime()?;
    runtime.block_on(days(args))
}

async fn days(args: &DemoArgs) -> anyhow::Result<()> {
    let stop = start::Stop::on_signals()?;
    let mut number = 0;
    loop {
        let folder = Folder::of(args, number)?;
        let began = Instant::now();
        let Some(run) = one_day(args, number, &folder, &stop).await? else { return Ok(()) };
        let report = report::make(&run, args.seed, began.elapsed())?;
        match args.format {
            Format::Table => {
                print!("{}", report.table());
                crate::screen::keep_report(&report.table());
            }
            Format::Json | Format::Jsonl => println!("{}", report.json(args.format)?),
            Format::Csv => print!("{}", report.csv()),
        }
        if args.once {
            return Ok(());
        }
        number += 1;
    }
}

/// The site of the scenario, at the port where the farm listens.
fn scenario() -> anyhow::Result<(Site, Money)> {
    let path = PathBuf::from("scenarios/demo.toml");
    let file = ConfigFile::parse(&path, SCENARIO.to_owned())?;
    let facts = market_facts(file.market()).map_err(anyhow::Error::msg)?;
    let loaded = resolve(&file, &facts)?;
    let crate::config::HashpriceSource::Constant(hashprice) = loaded.hashprice else {
        anyhow::bail!("the demo's scenario names no fixed hash price");
    };
    Ok((loaded.site, hashprice))
}

/// Lives through one day; `None` when it was interrupted.
async fn one_day(
    args: &DemoArgs,
    number: i64,
    folder: &Folder,
    stop: &start::Stop,
) -> anyhow::Result<Option<Run>> {
    let (mut site, hashprice) = scenario()?;
    site.policy.mode = AutomationMode::Auto;
    let start = FIRST_DAY + Span::hours(24 * number);
    let seed = args.seed.wrapping_add(u64::try_from(number).unwrap_or(0));
    let feed = |kind| plant::feed_for(&site, kind).context("the scenario lacks a feed");
    let feeds =
        [feed(PriceKind::Dispatch)?, feed(PriceKind::Settlement)?, feed(PriceKind::DayAhead)?];
    let day = day::make(start, seed, hashprice, feeds);
    let spec = farm_spec(&site, start, seed)?;
    let fresh = crate::farm::build(&spec)?;
    let farm = Arc::new(Mutex::new(fresh.clone()));
    let clock = Clock::gated(start, args.speed.0);
    let sim_time = clock.sim_time().context("the demo runs on a gated clock")?;
    let server = FarmServer::start(Arc::clone(&farm), Arc::new(sim_time), 0)?;
    crate::farm::at_port(&mut site, server.port());
    let meter = Arc::new(Mutex::new(Metered::new(&farm, &site, &day)));
    let watcher = Arc::clone(&meter);
    let observer: plant::Observer =
        Box::new(move |stamped, step| report::watch(&watcher, stamped, step));
    let script: VecDeque<(Time, Event)> = day.script.clone().into();
    let source = Source { prices: plant::Prices::Live, script, ends_at: Some(day.end) };
    let (mut plant, doors) =
        start::plant(&folder.path, (&site).into(), clock, source, Some(observer), stop.signal())?;
    plant.afterglow = AFTERGLOW;
    let open = doors.open(args.port).await?;
    let live = !args.plain && !args.once && std::io::stderr().is_terminal();
    let view = start::view(live, &doors, stop);
    let ended = plant.run().await?;
    view.end();
    open.close().await;
    let slowest = plant.slowest();
    let counts = plant.counts();
    server.shutdown();
    if ended == Ended::Asked {
        return Ok(None);
    }
    Ok(Some(Run { site, day, fresh, meter, counts, slowest }))
}

fn farm_spec(site: &Site, start: Time, seed: u64) -> anyhow::Result<FarmSpec> {
    let faults = FaultShares {
        mute_ppm: FAULTS.0,
        dead_ppm: FAULTS.1,
        lying_ppm: FAULTS.2,
        ..FaultShares::default()
    };
    crate::farm::spec_of(site, start, seed, faults)
}

/// Where the demo's journal is kept: a folder of the user's, or one that goes away.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn of(args: &DemoArgs, number: i64) -> anyhow::Result<Self> {
        if let Some(path) = &args.data {
            return Ok(Self { path: path.join(format!("day-{number}")), temporary: false });
        }
        let name = format!("headgate-demo-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("failed to make the folder `{}`", path.display()))?;
        Ok(Self { path, temporary: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // Left behind, it is only a temporary folder.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// The farm as shared between its server and its meter.
pub type SharedFarm = Arc<Mutex<Farm>>;

//! `headgate run`: a site, live or on recorded prices.

use crate::cli::RunArgs;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::plant::{self, Ended, Plant, Prices, Recovered};
use crate::site_files::{load_site, replay_of};
use crate::start::{self, Setup, Source, Stop};
use crate::values;
use anyhow::{Context, bail};
use headgate_core::event::{AutomationMode, CohortModel, Event};
use headgate_core::site::Site;
use headgate_core::time::{Span, Time};
use headgate_feeds::market::Market;
use headgate_feeds::replay::Replay;
use headgate_sim::serve::FarmServer;
use headgate_sim::spec::FaultShares;
use serde_json::json;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tracing::{info, warn};

/// A replay begins this long before its first price, so that machines are read back by then.
const LEAD: Span = Span::minutes(1);
/// How long after the end commands may still come to their end.
const AFTERGLOW: Span = Span::minutes(20);

/// A request that must not be granted, for a reason the asker can mend.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Runs a site.
///
/// # Errors
/// When the configuration or the prices are wrong, or something needed is not to be had.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    let mut loaded = load_site(&args.site)?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    if let Some(why) = &loaded.worth.settle_only {
        bail!(Refused(why.clone()));
    }
    guard(args, &mut loaded.site)?;
    let folder = args.data.data.clone().unwrap_or_else(|| loaded.data.clone());
    let runtime = start::runtime()?;
    runtime.block_on(async {
        let stop = Stop::on_signals()?;
        if args.replay.is_empty() {
            live(args, &loaded, folder, &stop).await
        } else {
            replay(args, loaded, folder, &stop).await
        }
    })
}

/// Recorded or accelerated prices never command a machine that is not simulated.
fn guard(args: &RunArgs, site: &mut Site) -> anyhow::Result<()> {
    let loopback = crate::farm::all_loopback(site);
    if args.simfarm && !loopback {
        bail!(Refused(
            "--simfarm simulates machines on loopback addresses only, and [[cohort]] hosts names \
             others: number them from 127.1.0.1 on"
                .into(),
        ));
    }
    if args.replay.is_empty() {
        if args.speed.0 != Some(1) {
            bail!(Refused("--speed needs recorded prices: give --replay FILE too".into()));
        }
        return Ok(());
    }
    if args.speed.0 != Some(1) && !args.simfarm {
        bail!(Refused(
            "accelerated prices never command a machine that is not simulated in this process: \
             add --simfarm, or leave --speed at 1"
                .into(),
        ));
    }
    if !loopback && site.policy.mode != AutomationMode::Off {
        warn!("recorded prices and real addresses: running in shadow, no machine is commanded");
        site.policy.mode = AutomationMode::Shadow;
    }
    Ok(())
}

async fn live(args: &RunArgs, loaded: &Loaded, folder: PathBuf, stop: &Stop) -> anyhow::Result<()> {
    let mut site = if args.simfarm { loaded.site.clone() } else { loaded.metered() };
    let clock = Clock::real();
    let farm = match args.simfarm {
        true => Some(serve(&mut site, &clock, args)?),
        false => None,
    };
    let script = values::script(loaded, clock.now(), values::Fetching::Later)?;
    let source = Source { prices: Prices::Live, script: script.into(), ends_at: None };
    let models = models(loaded)?;
    let (units, drivers) = (&loaded.units, &loaded.drivers);
    let hands = if args.simfarm { &start::NO_HANDS } else { &loaded.hands };
    let setup = Setup { site: &site, units, models: &models, drivers, hands };
    let (mut plant, doors) = start::plant(&folder, setup, clock, source, None, stop.signal())?;
    let market = Market::load(&site.market.name)?;
    plant.feed_board = plant::follow(loaded, &site, &market, &folder, &doors.feeds)?;
    values::follow(loaded, plant.values())?;
    match args.simfarm {
        true => warn_of_devices(loaded, "its machines are simulated"),
        false => plant.read_devices(&loaded.meters, &loaded.switches),
    }
    let open = doors.open(args.port).await?;
    info!("{} runs in mode {}", site.name, plant::mode_word(site.policy.mode));
    let ended = plant.run().await;
    open.close().await;
    drop(farm);
    ended.map(|_| ())
}

/// Says which devices are not read, and why.
fn warn_of_devices(loaded: &Loaded, why: &str) {
    for plan in loaded.meters.iter().flatten() {
        warn!(
            "the meter at {} is not read, for {why}: the machines' own sum is taken",
            plan.address
        );
    }
}

/// What the site's cohorts look ahead with, where its policy names a model.
fn models(loaded: &Loaded) -> anyhow::Result<Vec<CohortModel>> {
    let dated = crate::model::of_site(loaded)?;
    Ok(dated.into_iter().flat_map(|d| d.models).collect())
}

fn serve(site: &mut Site, clock: &Clock, args: &RunArgs) -> anyhow::Result<FarmServer> {
    let spec = crate::farm::spec_of(site, clock.now(), args.seed, FaultShares::default())?;
    let farm = Arc::new(Mutex::new(crate::farm::build(&spec)?));
    let time: Arc<dyn headgate_sim::serve::SimClock> = match clock.sim_time() {
        Some(time) => Arc::new(time),
        None => Arc::new(headgate_sim::serve::WallClock),
    };
    let server = FarmServer::start(farm, time, 0)?;
    crate::farm::at_port(site, server.port());
    Ok(server)
}

async fn replay(
    args: &RunArgs,
    loaded: Loaded,
    folder: PathBuf,
    stop: &Stop,
) -> anyhow::Result<()> {
    warn_of_devices(&loaded, "its prices were recorded");
    let recorded = replay_of(&args.replay, &loaded)?;
    let (begin, end) = span(args, &recorded)?;
    let found = plant::recover(&folder)?;
    let begin = resumed(&folder, &found, begin, end.min(recorded.ends_at().unwrap_or(end)))?;
    let mut site = loaded.site.clone();
    let clock = Clock::gated(begin, args.speed.0);
    let farm = match args.simfarm {
        true => Some(serve(&mut site, &clock, args)?),
        false => None,
    };
    let script: VecDeque<(Time, Event)> =
        values::script(&loaded, begin, values::Fetching::Now)?.into();
    let mut prices = Prices::recorded(recorded, &site);
    prices.skip_until(begin);
    let source = Source { prices, script, ends_at: Some(end) };
    let models = models(&loaded)?;
    let (units, drivers) = (&loaded.units, &loaded.drivers);
    let hands = &start::NO_HANDS;
    let setup = Setup { site: &site, units, models: &models, drivers, hands };
    let (mut plant, doors) =
        start::plant_on(found, &folder, setup, clock, source, None, stop.signal())?;
    plant.may_command = crate::farm::all_loopback(&site);
    plant.afterglow = AFTERGLOW;
    let open = doors.open(args.port).await?;
    let view = start::view(false, &doors, stop);
    let ended = plant.run().await;
    view.end();
    if matches!(ended, Ok(Ended::Replayed)) {
        summary(args, &plant)?;
        if !args.until_end {
            info!("the replay is over; status stays open until interrupted");
            stop.wanted().await;
        }
    }
    open.close().await;
    drop(farm);
    ended.map(|_| ())
}

/// First and last moment of a replay.
fn span(args: &RunArgs, replay: &Replay) -> anyhow::Result<(Time, Time)> {
    let given = |t: Option<jiff::Timestamp>| -> anyhow::Result<Option<Time>> {
        t.map(|t| Ok(Time(i64::try_from(t.as_nanosecond())?))).transpose()
    };
    let first = replay.next_at().context("the replay has no price")?;
    let last = replay.ends_at().context("the replay has no price")?;
    let begin = given(args.from)?.unwrap_or(first) - LEAD;
    let end = given(args.to)?.unwrap_or(last + LEAD);
    if begin >= end {
        bail!(Refused(format!(
            "the replay would begin at {} and end at {end}: there is nothing in between, so move \
             --from or --to",
            begin + LEAD
        )));
    }
    Ok((begin, end))
}

/// Where a replay goes on: at its beginning, or where the journal ends, so that time in one
/// journal never goes back.
fn resumed(folder: &Path, found: &Recovered, begin: Time, end: Time) -> anyhow::Result<Time> {
    let Some(last) = found.engine.now().filter(|t| *t > begin) else { return Ok(begin) };
    if last >= end {
        bail!(Refused(format!(
            "`{}` already holds a journal up to {last}, and this replay ends at {end}: name \
             another folder with --data",
            folder.display()
        )));
    }
    info!("the journal ends at {last}: the replay goes on from there");
    Ok(last)
}

fn summary(args: &RunArgs, plant: &Plant) -> anyhow::Result<()> {
    let s = plant.status();
    let c = s.commands;
    let document = json!({
        "site": s.site,
        "point": s.point,
        "currency": s.currency,
        "sim_s": plant.clock.sim_elapsed().as_seconds(),
        "wall_s": plant.clock.wall_elapsed().as_secs_f64(),
        "speed": plant.clock.speed(),
        "events": s.seq,
        "machines": s.machines.all,
        "profit": s.money.profit,
        "energy_mwh": s.money.energy_mwh,
        "energy_cost": s.money.energy_cost,
        "compute_revenue": s.money.compute_revenue,
        "sell_back": s.money.sell_back,
        "commands": c.commands,
        "acked": c.acked,
        "refused": c.refused,
        "timed_out": c.timed_out,
        "unconfirmed": c.unconfirmed,
        "confirmed": c.confirmed,
        "drifted": c.drifted,
        "unavailable": c.unavailable,
        "superseded": c.superseded,
        "decisions_at": s.at,
    });
    crate::commands::print(&document, args.format)
}

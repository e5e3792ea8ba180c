//! From an order to bring 60 % of the measured load down by a deadline to the farm's own meter at
//! or below it. The engine reads that meter, as a site's feeder meter is read.

use super::{load, power, ready};
use crate::clock::wall_now;
use crate::fleet::view;
use crate::plant::Plant;
use anyhow::{Context, ensure};
use headgate_core::event::{Act, Event, MeterId, OperatorAct};
use headgate_core::site::{MeterKind, MeterSpec};
use headgate_core::time::Span;
use headgate_core::units::Power;
use headgate_sim::farm::Farm;
use headgate_sim::serve::{FarmServer, WallClock};
use headgate_sim::spec::FaultShares;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The share of the measured load to bring down, in percent.
const SHED_PERCENT: i64 = 60;
/// By when.
const WITHIN: Span = Span::seconds(30);
/// How long a machine takes to answer.
const ANSWER: Span = Span::millis(20);
/// How often the engine reads the meter.
const READ_EVERY: Duration = Duration::from_secs(1);
/// How often the bench looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// From the start of the farm to the moment at which faults begin; read-back is over.
const LATE: Span = Span::seconds(20);
/// From then to the order: too short for a poll to notice.
const JUST_BEFORE: Span = Span::millis(50);
/// Longest time until the report.
const REPORT_MAX: Duration = Duration::from_secs(120);
/// Chooses which machines have which fault.
const SEED: u64 = 1;

/// Measures one order.
///
/// # Errors
/// When the meter does not get there.
pub async fn run(site: &Path, data: &Path, faulty: bool) -> anyhow::Result<Value> {
    let mut site = load(site)?;
    let (name, kind) = ("feeder".into(), MeterKind::Reported);
    site.meters = vec![MeterSpec { name, kind, stale_after: Span::seconds(10) }];
    let start = wall_now();
    let begin = start + LATE;
    let share = |ppm| if faulty { ppm } else { 0 };
    let faults = FaultShares {
        mute_ppm: share(50_000),
        lying_ppm: share(30_000),
        dead_ppm: share(20_000),
        from: Some(begin),
        ..FaultShares::default()
    };
    let mut spec = crate::farm::spec_of(&site, start, SEED, faults)?;
    spec.answer_delay = ANSWER;
    let farm = Arc::new(Mutex::new(crate::farm::build(&spec)?));
    let server = FarmServer::start(Arc::clone(&farm), Arc::new(WallClock), 0)?;
    crate::farm::at_port(&mut site, server.port());
    let (mut plant, _doors) = ready(&site, data, None).await?;
    ensure!(wall_now() < begin, "the start took too long for the bench");
    let mut read = Instant::now();
    while wall_now() < begin + JUST_BEFORE {
        turn(&mut plant, &farm, &mut read).await?;
    }
    let baseline = power(&farm);
    let shed = Power(baseline.0 * SHED_PERCENT / 100);
    let down = order(&mut plant, &farm, (baseline, shed)).await?;
    server.shutdown();
    let report = view::curtailment(&plant.engine, None).context("the order is in force")?;
    Ok(json!({
        "machines": site.machines.len(), "load_w": baseline.0, "ceiling_w": (baseline - shed).0,
        "down_s": down.as_secs_f64(), "lowest_w": power(&farm).0,
        "slowest_ack_s": plant.slowest().ack_wall.as_secs_f64(),
        "counts": plant.counts(), "report": report,
    }))
}

/// Gives the order, and sees when the meter is there; the report comes after that.
async fn order(
    plant: &mut Plant,
    farm: &Mutex<Farm>,
    (baseline, shed): (Power, Power),
) -> anyhow::Result<Duration> {
    // The engine's own baseline is what it read last, which is what it has to go by.
    read_meter(plant, farm);
    let (actor, reason) = ("bench".into(), "proof by the meter".into());
    let act = Act::Curtail { shed, by: wall_now() + WITHIN };
    plant.post(Event::Operator(OperatorAct { actor, reason, act }));
    let began = Instant::now();
    let (mut look, mut read, mut down) = (began, began, None);
    loop {
        turn(plant, farm, &mut read).await?;
        if down.is_none() && look.elapsed() >= LOOK_EVERY {
            look = Instant::now();
            down = (power(farm) <= baseline - shed).then(|| began.elapsed());
        }
        if let Some(down) = down
            && plant.engine.obligation().is_some_and(|o| o.reported)
        {
            return Ok(down);
        }
        ensure!(
            began.elapsed() < REPORT_MAX,
            "the meter shows {} of {} still",
            power(farm),
            baseline - shed
        );
    }
}

/// One turn of the plant, with the meter read where it is time.
async fn turn(plant: &mut Plant, farm: &Mutex<Farm>, read: &mut Instant) -> anyhow::Result<()> {
    if read.elapsed() >= READ_EVERY {
        *read = Instant::now();
        read_meter(plant, farm);
    }
    plant.turn()?;
    let _ = tokio::time::timeout(Duration::from_millis(5), plant.wait()).await;
    Ok(())
}

fn read_meter(plant: &mut Plant, farm: &Mutex<Farm>) {
    let power = Some(power(farm));
    plant.post(Event::Meter { meter: MeterId(0), power });
}

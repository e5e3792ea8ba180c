//! From a hold at 60 % of the measured load to the farm's own meter at or below it.
//!
//! The farm's meter knows what every machine really draws; the engine is told only what machines
//! say of themselves, and estimates are off. So the proof allows the meter a small tolerance, and
//! how close it came in the end is told too.

use super::{load, power, ready};
use crate::clock::wall_now;
use anyhow::{Context, ensure};
use headgate_core::event::{Act, Event, OperatorAct};
use headgate_core::time::Span;
use headgate_core::units::Power;
use headgate_sim::farm::Farm;
use headgate_sim::serve::{FarmServer, WallClock};
use headgate_sim::spec::FaultShares;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The share of the measured load to hold, in percent.
const HOLD_PERCENT: i64 = 60;
/// How long a machine takes to answer.
const ANSWER: Span = Span::millis(20);
/// How often the meter is looked at.
const METER_EVERY: Duration = Duration::from_millis(50);
/// From the start of the farm to the moment at which machines fall mute late; read-back is over.
const LATE: Span = Span::seconds(20);
/// From then to the hold.
const JUST_BEFORE: Span = Span::millis(50);
/// Longest time a proof may take.
const PROOF_MAX: Duration = Duration::from_secs(120);
/// How far above the target the meter may still be, in parts per thousand of the target.
const TOLERANCE_PERMILLE: i64 = 2;
/// How long the plant is watched after the proof: nothing may come back up.
const AFTER: Duration = Duration::from_secs(10);
/// Chooses which machines are mute.
const SEED: u64 = 1;

/// A plan as it was made: when, and how many machines it changes.
type Plans = Arc<Mutex<Vec<(Instant, usize)>>>;

/// Measures one hold.
///
/// # Errors
/// When the meter does not get there.
pub async fn run(site: &Path, data: &Path, mute: u32, late: bool) -> anyhow::Result<Value> {
    let mut site = load(site)?;
    let start = wall_now();
    let falls_mute = start + LATE;
    let faults = FaultShares {
        mute_ppm: mute * 10_000,
        from: late.then_some(falls_mute),
        ..FaultShares::default()
    };
    let mut spec = crate::farm::spec_of(&site, start, SEED, faults)?;
    spec.answer_delay = ANSWER;
    let farm = Arc::new(Mutex::new(crate::farm::build(&spec)?));
    let server = FarmServer::start(Arc::clone(&farm), Arc::new(WallClock), 0)?;
    crate::farm::at_port(&mut site, server.port());
    let plans = Plans::default();
    let noted = Arc::clone(&plans);
    let observer = move |_: &_, step: &headgate_core::engine::Step| {
        if let Some(plan) = &step.plan {
            let mut plans = noted.lock().unwrap_or_else(PoisonError::into_inner);
            plans.push((Instant::now(), plan.changes.len()));
        }
    };
    let (mut plant, _doors) = ready(&site, data, Some(Box::new(observer))).await?;
    ensure!(wall_now() < falls_mute, "the start took too long for the bench");
    while wall_now() < falls_mute + JUST_BEFORE {
        let _ = tokio::time::timeout(Duration::from_millis(5), plant.wait()).await;
        plant.turn()?;
    }
    let load = power(&farm);
    let target = Power(load.0 * HOLD_PERCENT / 100);
    let began = Instant::now();
    let proof = hold(&mut plant, &farm, target, began).await?;
    let plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
    let plans: Vec<Value> = plans
        .iter()
        .filter(|(at, _)| *at >= began)
        .map(|(at, n)| json!({"s": at.duration_since(began).as_secs_f64(), "changes": n}))
        .collect();
    server.shutdown();
    Ok(json!({
        "machines": site.machines.len(), "load_w": load.0, "target_w": target.0,
        "proven_s": proof.at.as_secs_f64(), "highest_after_w": proof.highest.0,
        "last_w": proof.last.0,
        "slowest_ack_s": plant.slowest().ack_wall.as_secs_f64(),
        "counts": plant.counts(), "plans": plans,
    }))
}

/// When the meter got there, and what it showed after that.
struct Proof {
    at: Duration,
    highest: Power,
    last: Power,
}

/// Holds, and looks at the meter until it is there and for a while after.
async fn hold(
    plant: &mut crate::plant::Plant,
    farm: &Mutex<Farm>,
    target: Power,
    began: Instant,
) -> anyhow::Result<Proof> {
    let act = Act::Hold { power: Some(target), until: None };
    plant.post(Event::Operator(OperatorAct {
        actor: "bench".into(),
        reason: "proof by the meter".into(),
        act,
    }));
    let near = target + Power(target.0 * TOLERANCE_PERMILLE / 1000);
    let mut look = began;
    let mut proof: Option<Proof> = None;
    loop {
        plant.turn()?;
        if look.elapsed() >= METER_EVERY {
            look = Instant::now();
            let now = power(farm);
            match &mut proof {
                Some(p) => (p.highest, p.last) = (p.highest.max(now), now),
                None if now <= near => {
                    proof = Some(Proof { at: began.elapsed(), highest: now, last: now });
                }
                None => {}
            }
        }
        if proof.as_ref().is_some_and(|p| began.elapsed() > p.at + AFTER) {
            return proof.context("the proof was just seen");
        }
        ensure!(began.elapsed() < PROOF_MAX, "the meter shows {} of {target} still", power(farm));
        let _ = tokio::time::timeout(Duration::from_millis(5), plant.wait()).await;
    }
}

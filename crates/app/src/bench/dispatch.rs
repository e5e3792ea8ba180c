//! From the price event, before it is journaled, to the last answer of the last machine.

use super::{DEAR, cpu_seconds, load, price, ready, step};
use crate::plant::Plant;
use anyhow::ensure;
use headgate_drivers::Counts;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest time a dispatch may take.
const DISPATCH_MAX: Duration = Duration::from_secs(120);

/// Measures one dispatch of every machine of a site.
///
/// # Errors
/// When a machine did not answer, or answered no.
pub async fn run(site: &Path, port: u16, data: &Path) -> anyhow::Result<Value> {
    let mut site = load(site)?;
    crate::farm::at_port(&mut site, port);
    let (mut plant, _doors) = ready(&site, data, None).await?;
    let before = plant.counts();
    let n = u64::try_from(site.machines.len())?;
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    plant.post(price(&site, plant.clock.now(), DEAR)?);
    while answered(&plant.counts()) < answered(&before) + n {
        ensure!(began.elapsed() < DISPATCH_MAX, "not all answered: {:?}", plant.counts());
        step(&mut plant).await?;
    }
    let (ack_s, ack_cpu_s) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    // The sessions are given back when all has been said that matters.
    while sessions(&plant) > 0 {
        ensure!(began.elapsed() < DISPATCH_MAX, "not all sessions were given back");
        step(&mut plant).await?;
    }
    let (all_s, all_cpu_s) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let acked = plant.counts().acked - before.acked;
    ensure!(acked == n, "{acked} of {n} machines said yes: {:?}", plant.counts());
    Ok(json!({
        "machines": n, "acked": acked,
        "ack_s": ack_s, "ack_cpu_s": ack_cpu_s, "all_s": all_s, "all_cpu_s": all_cpu_s,
    }))
}

fn answered(c: &Counts) -> u64 {
    c.acked + c.refused + c.timed_out + c.unconfirmed
}

fn sessions(plant: &Plant) -> usize {
    plant.drivers.iter().map(|d| d.driver.sessions()).sum()
}

//! A simulated farm for a site: the machines its configuration names, on loopback, in this
//! process or alone.

use anyhow::{Context, bail, ensure};
use headgate_core::engine::NO_DRIVER;
use headgate_core::fleet::{Level, MachineId};
use headgate_core::site::{Cohort, Site};
use headgate_core::time::Time;
use headgate_drivers::Port;
use headgate_drivers::shell::UNIT_SCHEME;
use headgate_sim::farm::Farm;
use headgate_sim::firmware::Firmware;
use headgate_sim::models::{Model, models};
use headgate_sim::serve::FarmServer;
use headgate_sim::spec::{CohortSpec, FarmSpec, FaultShares, SiteOverhead};
use std::net::{IpAddr, SocketAddr};

/// How far a configured curve's top may lie from a model's profile, in percent of its power.
const MODEL_TOLERANCE_PERCENT: i64 = 3;

/// The farm a site describes: one machine for each of its own, at its own address.
///
/// # Errors
/// When an address is not the simulated farm's, or no known model has such a curve.
pub fn spec_of(
    site: &Site,
    start: Time,
    seed: u64,
    faults: FaultShares,
) -> anyhow::Result<FarmSpec> {
    if let Some(unit) =
        site.cohorts.iter().find(|c| site.drivers[usize::from(c.driver.0)].kind == NO_DRIVER)
    {
        bail!(
            "cohort `{}` has no machines to simulate: leave --simfarm out, or disable it",
            unit.name
        );
    }
    for (id, machine) in site.machines() {
        let address: SocketAddr = machine
            .address
            .parse()
            .with_context(|| format!("machine address `{}` is not an address", machine.address))?;
        let want = headgate_sim::address::address_of(id).map(IpAddr::V4);
        ensure!(
            want == Some(address.ip()),
            "machine {} is at {}, and the simulated farm has it at {}: number the hosts of \
             [[cohort]] one after another from 127.1.0.1 on",
            id.0,
            address.ip(),
            want.map_or("no address".into(), |a| a.to_string()),
        );
    }
    let mut cohorts = Vec::new();
    for (i, cohort) in site.cohorts.iter().enumerate() {
        let count = site.machines.iter().filter(|m| usize::from(m.cohort.0) == i).count();
        if count > 0 {
            let kind = &site.drivers[usize::from(cohort.driver.0)].kind;
            let firmware = Firmware::from_key(kind)
                .with_context(|| format!("no simulated machine speaks `{kind}`"))?;
            cohorts.push(cohort_spec(cohort, u32::try_from(count)?)?.running(firmware));
        }
    }
    let mut spec = FarmSpec::new(start, cohorts, seed);
    spec.faults = faults;
    spec.overhead = SiteOverhead {
        share_ppm: u32::try_from(site.overhead.share_ppm)?,
        fixed: site.overhead.fixed,
    };
    Ok(spec)
}

fn cohort_spec(cohort: &Cohort, machines: u32) -> anyhow::Result<CohortSpec> {
    let levels = cohort.curve.levels();
    let top = levels[levels.len() - 1 - usize::from(cohort.overclocked)];
    let near = |m: &&Model| {
        let p = m.default_profile();
        let off = (p.watts.0 - top.power.0).abs() * 100 / top.power.0;
        let rate_off = (p.rate.0 - top.rate.0).abs() * 100 / top.rate.0;
        off <= MODEL_TOLERANCE_PERCENT && rate_off <= MODEL_TOLERANCE_PERCENT
    };
    let by_name = models().iter().find(|m| m.key == cohort.name);
    let Some(model) = by_name.or_else(|| models().iter().find(near)) else {
        let known: Vec<String> = models()
            .iter()
            .map(|m| {
                let p = m.default_profile();
                format!("{} ({} at {} GH/s)", m.key, p.watts, p.rate.0)
            })
            .collect();
        bail!(
            "cohort `{}` tops at {} and {} GH/s, and no simulated model does; known: {}",
            cohort.name,
            top.power,
            top.rate.0,
            known.join(", "),
        );
    };
    let mut spec = CohortSpec::new(model, machines);
    spec.sleep = cohort.curve.at(Level::SLEEP).power;
    spec.times.down = cohort.times.down;
    spec.times.up = cohort.times.up;
    Ok(spec)
}

/// What `--firmware` names: `luxos`, or parts of a mix such as `luxos=8,antminer=2`.
///
/// # Errors
/// When a name is not known, or a part is no whole number above zero.
pub fn firmwares(text: &str) -> anyhow::Result<Vec<(Firmware, u32)>> {
    let one = |word: &str| {
        let (name, part) = word.split_once('=').unwrap_or((word, "1"));
        let known = || Firmware::ALL.map(Firmware::key).join(", ");
        let firmware = Firmware::from_key(name.trim())
            .with_context(|| format!("no simulated machine speaks `{name}`; known: {}", known()))?;
        let part: u32 = part.trim().parse().ok().filter(|p| *p > 0).with_context(|| {
            format!("the part `{part}` of `{name}` is no whole number above zero")
        })?;
        Ok((firmware, part))
    };
    text.split(',').map(one).collect()
}

/// Where each firmware of a farm is found: its first address, how many, and its ports.
pub fn places(spec: &FarmSpec, server: &FarmServer, usual: bool) -> Vec<serde_json::Value> {
    let (mut first, mut places) = (0, Vec::new());
    for cohort in &spec.cohorts {
        let firmware = cohort.firmware;
        let served = |port, free| match firmware.usual_port(port) {
            Some(number) if usual => Some(number),
            Some(_) => free,
            None => None,
        };
        places.push(serde_json::json!({
            "firmware": firmware.key(),
            "model": cohort.model.type_name,
            "first": headgate_sim::address::address_of(MachineId(first)).map(|a| a.to_string()),
            "machines": cohort.machines,
            "port": served(Port::Main, Some(server.port())),
            "aux_port": served(Port::Aux, server.aux_port()),
        }));
        first += cohort.machines;
    }
    places
}

/// Builds a farm.
///
/// # Errors
/// When the specification contradicts itself.
pub fn build(spec: &FarmSpec) -> anyhow::Result<Farm> {
    Ok(Farm::new(spec)?)
}

/// Whether every machine of a site is on the loopback device, so that none can be real.
pub fn all_loopback(site: &Site) -> bool {
    // A unit without machines is nowhere, and nothing is ever sent to it.
    let loopback = |a: &str| {
        a.starts_with(UNIT_SCHEME) || a.parse::<SocketAddr>().is_ok_and(|a| a.ip().is_loopback())
    };
    site.machines.iter().all(|m| loopback(&m.address))
}

/// Moves every machine of a site to another port: where the farm really listens.
pub fn at_port(site: &mut Site, port: u16) {
    for m in &mut site.machines {
        if let Ok(mut address) = m.address.parse::<SocketAddr>() {
            address.set_port(port);
            m.address = address.to_string();
        }
    }
    for d in &mut site.drivers {
        d.port = port;
    }
}

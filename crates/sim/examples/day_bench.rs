//! Times a whole day of a farm through the engine:
//! `day_bench [--machines N] [--polled] [--format json]`.
//!
//! Five-minute prices with an evening spike, every machine read every 30 s with a little noise,
//! injected behind the parsers; the same engine and driver as live, in virtual time. What is
//! timed is everything: readings, batches, steps, plans, commands and the farm's own physics.
//! With `--polled` the readings are asked for and answered on the simulated wire instead.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use headgate_core::time::{Span, Time};
use headgate_core::units::Money;
use headgate_sim::farm::Farm;
use headgate_sim::spec::FarmSpec;
use headgate_sim::world::testing::{day_events, overhead, site_of, spike_day};
use headgate_sim::world::{Observe, Outcome, World, WorldOptions};
use std::time::Instant;

/// Machines of the benched farm, as the goal says.
const MACHINES: u32 = 3_000;
/// How often each is read.
const EVERY: Span = Span::seconds(30);
/// Noise of a reading: beyond the deadband now and then.
const NOISE_PPM: u32 = 20_000;
/// Seconds the day may take.
const LIMIT_S: f64 = 10.0;
/// Start of the benched day.
const START: Time = Time::from_seconds(1_724_198_400);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        args.get(at + 1)
    };
    let machines = value("--machines").and_then(|n| n.parse().ok()).unwrap_or(MACHINES);
    let polled = args.iter().any(|a| a == "--polled");
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let outcome = day(machines, polled);
    let ours_s = wall.elapsed().as_secs_f64();
    let ours_cpu_s = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    let how = if polled { "_polled" } else { "" };
    let case = format!("day_{machines}x{}s{how}", EVERY.as_seconds());
    let row = serde_json::json!({
        "case": case, "n": if polled { outcome.requests } else { outcome.readings },
        "ours_s": ours_s, "ours_cpu_s": ours_cpu_s,
        "anchor": "limit 10 s", "anchor_s": LIMIT_S, "anchor_cpu_s": null,
        "ratio": ours_s / LIMIT_S,
        "steps": outcome.steps, "plans": outcome.plans, "commands": outcome.counts.commands,
        "confirmed": outcome.counts.confirmed,
    });
    println!("{}", serde_json::json!({ "bench": "day", "rows": [row] }));
}

fn day(machines: u32, polled: bool) -> Outcome {
    let mut spec = FarmSpec::mixed(START, machines, 7);
    spec.overhead = overhead(150_000);
    let farm = Farm::new(&spec).expect("the benched farm is one");
    let mut options = WorldOptions::new(START, 7);
    options.observe = (!polled).then_some(Observe { every: EVERY, noise_ppm: NOISE_PPM });
    let events = day_events(START, Money(45_000_000), spike_day);
    let world = World::new(site_of(&spec), farm, options, events);
    world.expect("site and farm are of one size").run(START + Span::hours(24), &mut |_, _| {})
}

/// Processor time of this thread so far; `None` where the system does not tell.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanos: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanos / 1e9)
}

//! Runs a simulated farm on loopback sockets until its standard input ends.
//!
//! The first line it prints says where the machines are. A line `meter` on standard input (or
//! SIGUSR1) prints what they really draw, `machine N` what machine N really does.

use headgate_core::fleet::MachineId;
use headgate_core::time::Span;
use headgate_sim::farm::Farm;
use headgate_sim::models::model;
use headgate_sim::serve::{FarmServer, SimClock, WallClock};
use headgate_sim::spec::{CohortSpec, FarmSpec};
use serde_json::json;
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: farm [--machines N] [--model KEY|mixed] [--port P] [--seed S] \
    [--delay-ms D] [--down-s S] [--up-s S] [--dead-ppm N] [--dark-ppm N] [--mute-ppm N] \
    [--lying-ppm N] [--html-ppm N] [--slow-ppm N] [--each-address]";

struct Options {
    spec: FarmSpec,
    port: u16,
    each: bool,
}

fn number(args: &[String], name: &str, otherwise: u32) -> Result<u32, String> {
    let Some(place) = args.iter().position(|a| a == name) else { return Ok(otherwise) };
    let value = args.get(place + 1).ok_or_else(|| format!("{name} needs a number\n{USAGE}"))?;
    value.parse().map_err(|_| format!("{name}: `{value}` is not a whole number\n{USAGE}"))
}

fn options(args: &[String]) -> Result<Options, String> {
    for name in args.iter().filter(|a| a.starts_with("--")) {
        if !USAGE.contains(&format!("[{name}")) {
            return Err(format!("{name} is not an option\n{USAGE}"));
        }
    }
    let get = |name: &str, otherwise| number(args, name, otherwise);
    let (machines, seed) = (get("--machines", 10)?, u64::from(get("--seed", 1)?));
    let place = args.iter().position(|a| a == "--model");
    let key = place.map_or("s19kpro", |p| args.get(p + 1).map_or("", String::as_str));
    let start = WallClock.now();
    let mut spec = if key == "mixed" {
        FarmSpec::mixed(start, machines, seed)
    } else {
        let model = model(key).ok_or_else(|| format!("--model: `{key}` is no model\n{USAGE}"))?;
        FarmSpec::new(start, vec![CohortSpec::new(model, machines)], seed)
    };
    spec.answer_delay = Span::millis(i64::from(get("--delay-ms", 0)?));
    for cohort in &mut spec.cohorts {
        cohort.times.down = Span::seconds(i64::from(get("--down-s", 8)?));
        cohort.times.up = Span::seconds(i64::from(get("--up-s", 300)?));
    }
    spec.faults.dead_ppm = get("--dead-ppm", 0)?;
    spec.faults.dark_ppm = get("--dark-ppm", 0)?;
    spec.faults.mute_ppm = get("--mute-ppm", 0)?;
    spec.faults.lying_ppm = get("--lying-ppm", 0)?;
    spec.faults.html_ppm = get("--html-ppm", 0)?;
    spec.faults.slow_ppm = get("--slow-ppm", 0)?;
    let port =
        u16::try_from(get("--port", 0)?).map_err(|_| format!("--port is too large\n{USAGE}"))?;
    Ok(Options { spec, port, each: args.iter().any(|a| a == "--each-address") })
}

fn say(value: &serde_json::Value) {
    // Nobody is left to tell when standard output is closed.
    let _ = writeln!(std::io::stdout(), "{value}");
}

fn answer(farm: &Mutex<Farm>, line: &str) -> serde_json::Value {
    let now = WallClock.now();
    let mut farm = farm.lock().unwrap_or_else(PoisonError::into_inner);
    let mut words = line.split_whitespace();
    match (words.next(), words.next().map(str::parse::<u32>)) {
        (Some("meter"), None) => {
            let m = farm.meter(now);
            let ids = 0..u32::try_from(farm.machines()).unwrap_or(u32::MAX);
            let asleep = ids.filter(|id| farm.truth(MachineId(*id), now).asleep).count();
            json!({
                "at": m.at.to_string(), "power_w": m.power.0, "energy_ws": m.energy.0,
                "rate_ghs": m.rate.0, "work_gh": m.work, "asleep": asleep,
            })
        }
        (Some("machine"), Some(Ok(id))) if (id as usize) < farm.machines() => {
            let t = farm.truth(MachineId(id), now);
            json!({
                "machine": id, "power_w": t.power.0, "rate_ghs": t.rate.0,
                "reported_w": t.reported.0, "declares_sleep": t.declares_sleep,
                "asleep": t.asleep, "ramping": t.ramping,
                "profile": farm.model(MachineId(id)).profiles[t.profile].name,
                "fault": format!("{:?}", t.fault).to_lowercase(),
            })
        }
        _ => json!({ "error": "say `meter` or `machine N`" }),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = options(&args)?;
    let farm = Arc::new(Mutex::new(Farm::new(&options.spec)?));
    let start = if options.each { FarmServer::start_each } else { FarmServer::start };
    let server = start(Arc::clone(&farm), Arc::new(WallClock), options.port)?;
    let first = server.addresses().next().map(|a| a.ip().to_string());
    let machines = server.addresses().count();
    say(&json!({ "port": server.port(), "first": first, "machines": machines }));

    let mut usr1 = signal(SignalKind::user_defined1())?;
    let asked = Arc::clone(&farm);
    tokio::spawn(async move {
        while usr1.recv().await.is_some() {
            say(&answer(&asked, "meter"));
        }
    });
    tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            say(&answer(&farm, &line));
        }
    })
    .await?;
    server.shutdown();
    Ok(())
}

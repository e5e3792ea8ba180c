//! The commands that ask or tell a running daemon, and those that look at what it left behind.

use crate::cli::{
    CheckArgs, DataArg, ExplainArgs, Format, HoldArgs, JournalCommand, ReasonArgs, ReplayArgs,
    SimfarmArgs, StatusArgs, exit,
};
use crate::config::ConfigError;
use crate::doors::{self, Reply, Request};
use crate::explain;
use crate::plant;
use crate::site_files::load_site;
use crate::start::{self, Stop};
use anyhow::Context;
use headgate_core::time::{Span, Time};
use headgate_sim::serve::{FarmServer, WallClock};
use headgate_sim::spec::{FarmSpec, FaultShares};
use headgate_store::{Disk, RealDisk, verify};
use serde_json::{Value, json};
use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// How often `status --watch` looks.
const WATCH_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// One document, in the format asked for.
pub fn print(value: &Value, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Jsonl => print_json(value, format)?,
        Format::Table | Format::Csv => print_flat(value, format),
    }
    Ok(())
}

/// Prints a document as JSON, on one line or several.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn print_json(value: &Value, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Jsonl => println!("{value}"),
        _ => println!("{}", serde_json::to_string_pretty(value)?),
    }
    Ok(())
}

/// One line a key, for people or as CSV.
fn print_flat(value: &Value, format: Format) {
    for (key, v) in value.as_object().into_iter().flatten() {
        match format {
            Format::Csv => println!("{key},{v}"),
            _ => println!("{key:<18}{v}"),
        }
    }
}

/// `headgate check`.
pub fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    match load_site(&args.site) {
        Ok(loaded) => {
            let s = &loaded.site;
            let document = json!({
                "ok": true,
                "site": s.name,
                "point": s.point.to_string(),
                "machines": s.machines.len(),
                "excluded": s.machines.iter().filter(|m| m.excluded).count(),
                "mode": plant::mode_word(s.policy.mode),
                "policy": plant::policy_name(s.policy.rule),
                "currency": s.market.currency,
                "config_hash": s.config_hash,
                "warnings": loaded.warnings,
                "problems": [],
            });
            match args.format {
                Format::Json | Format::Jsonl => print_json(&document, args.format)?,
                format => {
                    loaded.warnings.iter().for_each(|w| eprintln!("warning: {w}"));
                    print_flat(&document, format);
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(e) => {
            if matches!(args.format, Format::Json | Format::Jsonl) {
                print_json(&problems(&args.site, &e), args.format)?;
            } else {
                eprintln!("{e}");
            }
            Ok(ExitCode::from(exit::BAD_INPUT))
        }
    }
}

fn problems(site: &Path, error: &ConfigError) -> Value {
    let all = error.problems();
    let list: Vec<Value> = match all.is_empty() {
        true => vec![json!({ "message": error.to_string() })],
        false => all.iter().map(|p| json!({ "message": p.sentence() })).collect(),
    };
    json!({ "ok": false, "file": site.display().to_string(), "problems": list })
}

fn ask(data: &DataArg, request: &Request) -> anyhow::Result<Reply> {
    Ok(doors::ask(&data.folder(), request)?)
}

/// Says where an act that was done stands in the journal.
pub fn told(reply: Reply, what: &str) -> anyhow::Result<ExitCode> {
    match reply {
        Reply::Done { seq } => {
            println!("{what}: event {seq} in the journal");
            Ok(ExitCode::SUCCESS)
        }
        Reply::Refused { error } => anyhow::bail!("{error}"),
        Reply::Status(_) | Reply::Preview(_) => {
            anyhow::bail!("the daemon answered something else than was asked")
        }
    }
}

/// `headgate hold`.
pub fn hold(args: &HoldArgs) -> anyhow::Result<ExitCode> {
    let power = args.power.as_deref().map(crate::config::power).transpose();
    let power = power.map_err(|e| anyhow::anyhow!(crate::run::Refused(format!("--power: {e}"))))?;
    let request = Request::Hold {
        reason: args.reason.clone(),
        power_w: power.map(|p| p.0),
        until: args.until.map(|t| t.to_string()),
        actor: None,
    };
    told(ask(&args.data, &request)?, "held")
}

/// `headgate release`.
pub fn release(args: &ReasonArgs) -> anyhow::Result<ExitCode> {
    let request = Request::Release { reason: args.reason.clone(), actor: None };
    told(ask(&args.data, &request)?, "released")
}

/// `headgate stop`.
pub fn stop(args: &ReasonArgs) -> anyhow::Result<ExitCode> {
    let request = Request::Stop { reason: args.reason.clone(), actor: None };
    told(ask(&args.data, &request)?, "stopped")
}

/// `headgate status`.
pub fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    loop {
        let Reply::Status(status) = ask(&args.data, &Request::Status {})? else {
            anyhow::bail!("the daemon answered something else than was asked");
        };
        let document = serde_json::to_value(&*status)?;
        match args.format {
            Format::Json | Format::Jsonl => print_json(&document, args.format)?,
            Format::Csv => print_flat(&document, args.format),
            Format::Table => print!("{}", crate::screen::table(&status)),
        }
        if !args.watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

/// `headgate explain`.
pub fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let at = args.at.map(|t| i64::try_from(t.as_nanosecond()).map(Time)).transpose()?;
    let found = explain::decision_at(&args.data.folder(), at)?;
    let Some(decision) = found else {
        eprintln!("no decision had been made by then");
        return Ok(ExitCode::from(exit::FAILED));
    };
    match args.format {
        Format::Json | Format::Jsonl => print_json(&decision, args.format)?,
        Format::Csv => print_flat(&decision, args.format),
        Format::Table => {
            print!("{}", decision["text"].as_str().context("a stored decision has its text")?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder of a journal, given itself or one of its segments.
fn journal_folder(path: &Path) -> &Path {
    if path.is_file() { path.parent().unwrap_or(path) } else { path }
}

fn disk(folder: &Path) -> anyhow::Result<Arc<dyn Disk>> {
    let opened = RealDisk::open(folder)
        .with_context(|| format!("failed to open the journal in `{}`", folder.display()))?;
    Ok(Arc::new(opened))
}

/// `headgate replay`.
pub fn replay(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let result = plant::replay(journal_folder(&args.journal))?;
    match args.format {
        Format::Json | Format::Jsonl => {
            print_json(&serde_json::to_value(&result)?, args.format)?;
        }
        Format::Csv => print_flat(&serde_json::to_value(&result)?, args.format),
        Format::Table => {
            println!(
                "{} events, {} outcomes, {} decisions, {} plans",
                result.events, result.outcomes, result.decisions, result.plans
            );
            match &result.first_difference {
                None => println!("byte-identical; digest {}", result.digest),
                Some(d) => println!("the outcome of event {} differs: {}", d.seq, d.why),
            }
        }
    }
    Ok(if result.identical { ExitCode::SUCCESS } else { ExitCode::from(exit::VIOLATION) })
}

/// `headgate journal`.
pub fn journal(command: &JournalCommand) -> anyhow::Result<ExitCode> {
    let JournalCommand::Verify { data, format } = command;
    let verdict = verify(disk(&data.folder())?)?;
    let document = json!({
        "ok": verdict.is_whole(),
        "segments": verdict.segments,
        "bytes": verdict.bytes,
        "outcomes": verdict.outcomes,
        "late": verdict.late,
        "events": verdict.events,
        "last_seq": verdict.last_seq,
        "torn": verdict.torn.as_ref().map(ToString::to_string),
        "damage": verdict.damage.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    print(&document, *format)?;
    Ok(if verdict.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(exit::VIOLATION) })
}

/// `headgate simfarm`.
pub fn simfarm(args: &SimfarmArgs) -> anyhow::Result<ExitCode> {
    let clock = WallClock;
    let now = headgate_sim::serve::SimClock::now(&clock);
    let ppm = |percent: f64| (percent.clamp(0.0, 100.0) * 10_000.0) as u32;
    let faults = FaultShares {
        mute_ppm: ppm(args.mute),
        lying_ppm: ppm(args.lying),
        dead_ppm: ppm(args.dead),
        ..FaultShares::default()
    };
    let mut spec = match &args.site {
        Some(path) => crate::farm::spec_of(&load_site(path)?.site, now, args.seed, faults)?,
        None => match &args.firmware {
            None => FarmSpec { faults, ..FarmSpec::mixed(now, args.machines, args.seed) },
            Some(names) => {
                let parts = crate::farm::firmwares(names)?;
                let spec = FarmSpec::of_firmwares(now, args.machines, args.seed, &parts);
                FarmSpec { faults, ..spec }
            }
        },
    };
    spec.answer_delay = Span::millis(i64::from(args.delay_ms));
    let farm = Arc::new(Mutex::new(crate::farm::build(&spec)?));
    let runtime = start::runtime()?;
    runtime.block_on(async {
        let stop = Stop::on_signals()?;
        let server = if args.usual_ports {
            FarmServer::start_usual(Arc::clone(&farm), Arc::new(clock))?
        } else {
            FarmServer::start(Arc::clone(&farm), Arc::new(clock), args.port)?
        };
        let places = crate::farm::places(&spec, &server, args.usual_ports);
        let first = server.addresses().next().map(|a| a.ip().to_string());
        let machines = server.addresses().count();
        println!(
            "{}",
            json!({
                "port": server.port(),
                "aux_port": server.aux_port(),
                "first": first,
                "machines": machines,
                "firmwares": places,
            })
        );
        let meter = Arc::clone(&farm);
        // A line `meter` on standard input prints what the machines really draw.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if line.trim() == "meter" {
                    let now = headgate_sim::serve::SimClock::now(&WallClock);
                    let mut farm = meter.lock().unwrap_or_else(PoisonError::into_inner);
                    let m = farm.meter(now);
                    let document = json!({
                        "at": m.at.to_string(),
                        "power_w": m.power.0,
                        "energy_mwh": m.energy.0 as f64 / 3.6e9,
                    });
                    println!("{document}");
                }
            }
        });
        stop.wanted().await;
        server.shutdown();
        Ok(ExitCode::SUCCESS)
    })
}

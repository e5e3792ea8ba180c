//! Measures the journal against a bare append and sync of the same bytes, in the same run.
//!
//! `cargo run --release --example journal_bench -p headgate-store [DIR]` prints one JSON document.
//! The disk it measures is that of `DIR`, by default the system's folder for temporary files.
//! A day is told at its most: every machine's reading is news every 30 s.

use headgate_core::event::{Event, FeedId, Stamped};
use headgate_core::fleet::{
    CohortId, CohortSum, DriverId, Link, MachineId, MachineReport, TargetPhase, TelemetryBatch,
};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Power, Price, Rate};
use headgate_store::{Disk, Journal, Options, RealDisk, read_all};
use serde_json::{Value, json};
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Each case is measured this often, ours and the anchor in turns; the fastest of each counts.
const ROUNDS: usize = 3;
/// Machines of the farm the sizes are told for.
const MACHINES: u32 = 3000;
/// Seconds between two readings of a machine's watts.
const POLL_SECONDS: u32 = 30;
/// Machines of the large farm whose day is computed from some of its seconds.
const LARGE: u32 = 100_000;
/// Seconds of a day, each with one batch of telemetry.
const DAY_SECONDS: u64 = 86_400;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let given = std::env::args_os().nth(1).filter(|a| !a.to_string_lossy().starts_with("--"));
    let base = given.map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = base.join(format!("headgate-journal-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let rows = measure(&folder);
    fs::remove_dir_all(&folder)?;
    let document = json!({ "bench": "journal", "rows": rows? });
    println!("{}", serde_json::to_string_pretty(&document)?);
    Ok(())
}

fn measure(folder: &Path) -> Outcome<Vec<Value>> {
    let second = MACHINES / POLL_SECONDS;
    let day = recovery_case(folder, "recover_day_3000_machines", DAY_SECONDS, &|seq| {
        telemetry(seq, second)
    })?;
    let large = append_case(folder, "telemetry_100000_machines_one_second", 300, 1, &|seq| {
        telemetry(seq, LARGE.div_ceil(POLL_SECONDS))
    })?;
    let computed = large_day(&day, &large)?;
    Ok(vec![
        append_case(folder, "append_sync_every_1", 2_000, 1, &price)?,
        append_case(folder, "append_sync_every_16", 20_000, 16, &price)?,
        append_case(folder, "append_sync_every_256", 200_000, 256, &price)?,
        append_case(folder, "tick", 50_000, 256, &|seq| stamped(seq, Event::Tick))?,
        append_case(folder, "prices_one_row", 50_000, 256, &price)?,
        append_case(folder, "telemetry_3000_machines_all_changed", 300, 1, &|seq| {
            telemetry(seq, MACHINES)
        })?,
        append_case(folder, "telemetry_3000_machines_one_second", 20_000, 16, &|seq| {
            telemetry(seq, second)
        })?,
        recovery_case(folder, "read_back_prices", 200_000, &price)?,
        large,
        day,
        computed,
    ])
}

/// The day of the large farm, computed: its bytes from some of its seconds, and the time to
/// recover it from how fast the smaller day's bytes were recovered.
fn large_day(day: &Value, large: &Value) -> Outcome<Value> {
    let figure = |of: &Value, key: &str| of[key].as_f64().ok_or(format!("a row has no {key}"));
    let bytes = figure(large, "bytes_per_event")? * DAY_SECONDS as f64;
    let small = figure(day, "bytes_per_event")? * DAY_SECONDS as f64;
    Ok(json!({
        "case": "recover_day_100000_machines_computed",
        "n": DAY_SECONDS,
        "ours_s": figure(day, "ours_s")? * bytes / small,
        "ours_cpu_s": null,
        "anchor": "the day of 3,000 machines, by bytes",
        "anchor_s": day["ours_s"],
        "anchor_cpu_s": null,
        "ratio": bytes / small,
        "bytes_per_event": large["bytes_per_event"],
        "bytes_per_day": bytes,
    }))
}

type Make<'a> = &'a dyn Fn(u64) -> Stamped;

/// Appends `n` events, a sync every `batch`; the anchor writes the bare bodies the same way.
fn append_case(folder: &Path, case: &str, n: u64, batch: u64, make: Make<'_>) -> Outcome<Value> {
    let events: Vec<_> = (1..=n).map(make).collect();
    let bodies = events.iter().map(postcard::to_stdvec).collect::<Result<Vec<_>, _>>()?;
    let (mut ours, mut anchor) = (Taken::WORST, Taken::WORST);
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let data = folder.join("ours");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::create_folder(&data)?);
        let (mut journal, _) = Journal::open(Arc::clone(&disk), Options::new("bench"))?;
        ours = ours.best(timed(|| fill(&mut journal, &events, batch))?);
        bytes = stored(&*disk)?;
        fs::remove_dir_all(data)?;
        let path = folder.join("anchor");
        anchor = anchor.best(timed(|| append_bare(&path, &bodies, batch))?);
        fs::remove_file(path)?;
    }
    Ok(row(case, n, bytes, ours, ("bare_append_fdatasync", anchor)))
}

/// Opens a journal of `n` events and reads all of it, checks included; the anchor reads the files.
fn recovery_case(folder: &Path, case: &str, n: u64, make: Make<'_>) -> Outcome<Value> {
    let data = folder.join("recovery");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::create_folder(&data)?);
    let (mut journal, _) = Journal::open(Arc::clone(&disk), Options::new("bench"))?;
    for seq in 1..=n {
        journal.append(&make(seq), false)?;
        if seq.is_multiple_of(4096) {
            journal.sync()?;
        }
    }
    journal.sync()?;
    drop(journal);
    let (mut ours, mut anchor) = (Taken::WORST, Taken::WORST);
    for _ in 0..ROUNDS {
        ours = ours.best(timed(|| {
            Journal::open(Arc::clone(&disk), Options::new("bench"))?;
            let mut count = 0;
            for record in read_all(Arc::clone(&disk), 0)? {
                record?;
                count += 1;
            }
            if count == n { Ok(()) } else { Err(format!("{count} of {n} read back").into()) }
        })?);
        anchor = anchor.best(timed(|| {
            for name in disk.list()? {
                fs::read(data.join(name))?;
            }
            Ok(())
        })?);
    }
    let bytes = stored(&*disk)?;
    fs::remove_dir_all(data)?;
    let mut row = row(case, n, bytes, ours, ("bare_read", anchor));
    if n == DAY_SECONDS {
        row["bytes_per_day"] = bytes.into();
    }
    Ok(row)
}

fn fill(journal: &mut Journal, events: &[Stamped], batch: u64) -> Outcome<()> {
    for event in events {
        journal.append(event, false)?;
        if event.seq.is_multiple_of(batch) {
            journal.sync()?;
        }
    }
    Ok(journal.sync()?)
}

fn append_bare(path: &Path, bodies: &[Vec<u8>], batch: u64) -> Outcome<()> {
    let mut file = File::options().append(true).create_new(true).open(path)?;
    let mut waiting = Vec::new();
    for (i, body) in bodies.iter().enumerate() {
        waiting.extend_from_slice(body);
        if (i as u64 + 1).is_multiple_of(batch) || i + 1 == bodies.len() {
            file.write_all(&waiting)?;
            file.sync_data()?;
            waiting.clear();
        }
    }
    Ok(())
}

fn stored(disk: &dyn Disk) -> Outcome<u64> {
    let lengths = disk.list()?.iter().map(|n| disk.length(n)).collect::<Result<Vec<_>, _>>()?;
    Ok(lengths.iter().sum())
}

fn stamped(seq: u64, event: Event) -> Stamped {
    Stamped { seq, at: Time(1_718_000_000_123_456_789 + seq.cast_signed() * 1_000_000_007), event }
}

fn price(seq: u64) -> Stamped {
    let start = Time::from_seconds(1_718_000_000 + seq.cast_signed() * 300);
    let row = PriceRow {
        interval: Interval::starting(start, Span::minutes(5)),
        price: Price(31_610_000 + seq.cast_signed() * 10_000),
        known_at: start + Span::seconds(20),
    };
    let event = Event::Prices { feed: FeedId(0), kind: PriceKind::Dispatch, rows: vec![row] };
    stamped(seq, event)
}

/// A batch in which so many machines of a large farm have something to say.
fn telemetry(seq: u64, changed: u32) -> Stamped {
    let at = Time(1_718_000_000_123_456_789 + seq.cast_signed() * 1_000_000_007);
    let report = |i: u32| MachineReport {
        machine: MachineId((i * POLL_SECONDS + i) % (changed * POLL_SECONDS)),
        generation: 1 + seq / 300,
        phase: TargetPhase::Confirmed,
        link: Link::Fresh,
        answer: None,
        declared: None,
        watts: Some(Power(2794 + i64::from(i % 60))),
        measured_at: Some(Time(at.0 - i64::from(i) * 7_000_003)),
    };
    let sum = |cohort| CohortSum {
        cohort: CohortId(cohort),
        heard: 990,
        silent: 10,
        power: Power(2_794_000),
        rate: Rate(121_800_000),
        oldest: Some(Time(at.0 - 31_000_000_007)),
    };
    stamped(
        seq,
        Event::Telemetry(TelemetryBatch {
            driver: DriverId(0),
            at,
            cohorts: (0..3).map(sum).collect(),
            machines: (0..changed).map(report).collect(),
        }),
    )
}

/// Seconds on the wall and, where the system tells, on a processor.
#[derive(Debug, Clone, Copy)]
struct Taken {
    wall: f64,
    cpu: Option<f64>,
}

impl Taken {
    const WORST: Self = Self { wall: f64::INFINITY, cpu: None };

    fn best(self, other: Self) -> Self {
        if other.wall < self.wall { other } else { self }
    }
}

fn timed(act: impl FnOnce() -> Outcome<()>) -> Outcome<Taken> {
    let (started, cpu) = (Instant::now(), cpu_seconds());
    act()?;
    let wall = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    Ok(Taken { wall, cpu })
}

/// Processor time of this thread, as the scheduler counts it in nanoseconds.
fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanos as f64 / 1e9)
}

fn row(case: &str, n: u64, bytes: u64, ours: Taken, (name, anchor): (&str, Taken)) -> Value {
    let round = |s: f64| (s * 1e6).round() / 1e6;
    json!({
        "case": case,
        "n": n,
        "ours_s": round(ours.wall),
        "ours_cpu_s": ours.cpu.map(round),
        "anchor": name,
        "anchor_s": round(anchor.wall),
        "anchor_cpu_s": anchor.cpu.map(round),
        "ratio": (ours.wall / anchor.wall * 1e3).round() / 1e3,
        "events_per_s": (n as f64 / ours.wall).round(),
        "bytes_per_event": (bytes as f64 / n as f64 * 10.0).round() / 10.0,
    })
}

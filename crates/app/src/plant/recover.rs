//! Start-up is recovery: the newest snapshot, then the tail of the journal, then the tables.

use super::quarantine::Quarantine;
use super::record::{ENGINE_VERSION, outcome_of};
use super::tables::rows_of;
use anyhow::{Context, ensure};
use headgate_core::engine::Engine;
use headgate_core::event::Event;
use headgate_store::journal::{Journal, Options, read_all};
use headgate_store::record::Payload;
use headgate_store::{DataLock, Disk, RealDisk, Tables, snapshot};
use std::path::Path;
use std::sync::Arc;
use tracing::{info, warn};

/// What start-up found and rebuilt.
pub struct Recovered {
    pub engine: Engine,
    pub journal: Journal,
    pub tables: Tables,
    pub disk: Arc<dyn Disk>,
    pub next_seq: u64,
    pub lock: DataLock,
    /// An event this start set aside, because it aborted the engine twice.
    pub quarantined: Option<u64>,
}

/// Opens a data folder and brings the engine to where the journal ends.
///
/// # Errors
/// When the folder is in use, the journal is damaged, or an outcome on disk differs from what
/// the same engine version says now.
pub fn recover(folder: &Path) -> anyhow::Result<Recovered> {
    let disk: Arc<dyn Disk> = Arc::new(
        RealDisk::create_folder(folder)
            .with_context(|| format!("failed to open the data folder `{}`", folder.display()))?,
    );
    let lock = DataLock::acquire(folder)?;
    let (journal, found) = Journal::open(Arc::clone(&disk), Options::new(ENGINE_VERSION))?;
    if let Some(cut) = &found.cut {
        warn!("cut {cut}");
    }
    let mut tables = Tables::open(&folder.join("headgate.sqlite"))?;
    let applied = tables.last_applied()?;
    let quarantine = Quarantine::begin(folder)?;
    let (mut engine, from) = newest_engine(&*disk, applied)?;
    let mut replayed = 0;
    for record in read_all(Arc::clone(&disk), from)? {
        let record = record?;
        match &record.payload {
            Payload::Event(stamped) if !quarantine.admits(stamped.seq) => {
                warn!("event {} is set aside: it aborts the engine", stamped.seq);
            }
            Payload::Event(stamped) => {
                let step = engine.step(stamped);
                replayed += 1;
                if applied.is_none_or(|a| stamped.seq > a)
                    && let Some(rows) = rows_of(&engine, stamped, &step)
                {
                    tables.apply(&rows)?;
                }
            }
            Payload::Outcome(_) => {}
        }
    }
    quarantine.end();
    let next_seq = journal.next_seq();
    info!("recovered to event {}, {replayed} stepped again", next_seq.saturating_sub(1));
    let quarantined = quarantine.fresh;
    Ok(Recovered { engine, journal, tables, disk, next_seq, lock, quarantined })
}

/// The engine of the newest usable snapshot and the event to go on from.
fn newest_engine(disk: &dyn Disk, applied: Option<u64>) -> anyhow::Result<(Engine, u64)> {
    let found = snapshot::newest(disk)?;
    for damaged in &found.damaged {
        warn!("snapshot `{}` is passed over: {}", damaged.file, damaged.why);
    }
    let first = headgate_store::journal::FIRST_SEQ;
    let Some(snap) = found.snapshot else { return Ok((Engine::new(), first)) };
    // Another version may decide otherwise, and tables that are behind need every event since.
    if snap.engine_version != ENGINE_VERSION || applied.is_none_or(|a| a < snap.seq) {
        return Ok((Engine::new(), first));
    }
    match postcard::from_bytes::<Engine>(&snap.content) {
        Ok(engine) => Ok((engine, snap.seq + 1)),
        Err(e) => {
            warn!("snapshot at event {} cannot be read ({e}); going by the journal", snap.seq);
            Ok((Engine::new(), first))
        }
    }
}

/// The engine as it is at the end of a journal, which may be written to meanwhile; nothing in
/// the folder is changed.
///
/// # Errors
/// When there is no journal or it cannot be read.
pub fn present(folder: &Path) -> anyhow::Result<Engine> {
    let disk: Arc<dyn Disk> = Arc::new(
        RealDisk::open(folder)
            .with_context(|| format!("failed to open the journal in `{}`", folder.display()))?,
    );
    let set_aside = super::quarantine::set_aside(folder)?;
    let (mut engine, from) = newest_engine(&*disk, Some(u64::MAX))?;
    for record in read_all(disk, from)? {
        if let Payload::Event(stamped) = record?.payload
            && !set_aside.contains(&stamped.seq)
        {
            engine.step(&stamped);
        }
    }
    Ok(engine)
}

/// The first place where a journal's outcomes differ from what this engine says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Event whose outcome differs.
    pub seq: u64,
    /// What the journal holds and what the engine says now.
    pub why: String,
}

/// What a replay of a journal found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    pub events: u64,
    pub outcomes: u64,
    pub decisions: u64,
    pub plans: u64,
    /// Outcomes the engine gave and a crash kept from being written.
    pub lost_outcomes: u64,
    pub identical: bool,
    pub first_difference: Option<Difference>,
    /// Digest over all outcomes, in hex: equal journals and engines give equal digests.
    pub digest: String,
}

/// Steps a new engine through a whole journal and compares every outcome, byte by byte.
///
/// # Errors
/// When the journal cannot be read.
pub fn replay(folder: &Path) -> anyhow::Result<Replayed> {
    let disk: Arc<dyn Disk> = Arc::new(
        RealDisk::open(folder)
            .with_context(|| format!("failed to open the journal in `{}`", folder.display()))?,
    );
    let set_aside = super::quarantine::set_aside(folder)?;
    let mut engine = Engine::new();
    let mut hasher = blake3::Hasher::new();
    let mut result = Replayed {
        events: 0,
        outcomes: 0,
        decisions: 0,
        plans: 0,
        lost_outcomes: 0,
        identical: true,
        first_difference: None,
        digest: String::new(),
    };
    // An outcome may be written after later events: it is matched by its cause.
    let mut expected: std::collections::VecDeque<headgate_store::Outcome> = Default::default();
    let differ = |result: &mut Replayed, seq: u64, why: String| {
        result.identical = false;
        result.first_difference.get_or_insert(Difference { seq, why });
    };
    for record in read_all(disk, headgate_store::journal::FIRST_SEQ)? {
        match record?.payload {
            Payload::Event(stamped) if set_aside.contains(&stamped.seq) => {}
            Payload::Event(stamped) => {
                ensure!(expected.len() <= OPEN_OUTCOMES_MAX, "failed to replay: outcomes missing");
                if matches!(stamped.event, Event::Started { .. }) {
                    // What was not written before a start never will be: it was lost with the
                    // process. The events alone decide what the state is.
                    result.lost_outcomes += expected.len() as u64;
                    expected.clear();
                }
                let step = engine.step(&stamped);
                result.events += 1;
                result.decisions += u64::from(step.decision.is_some());
                result.plans += u64::from(step.plan.is_some());
                if !step.is_empty() {
                    let outcome = outcome_of(stamped.seq, &step);
                    hasher.update(&outcome.digest);
                    expected.push_back(outcome);
                }
            }
            Payload::Outcome(kept) => {
                result.outcomes += 1;
                match expected.pop_front() {
                    Some(ours) if ours == kept => {}
                    Some(ours) => {
                        let why = first_byte(&kept, &ours);
                        differ(&mut result, kept.cause, why);
                    }
                    None => differ(
                        &mut result,
                        kept.cause,
                        "the journal holds an outcome where the engine says nothing".into(),
                    ),
                }
            }
        }
        if !result.identical {
            break;
        }
    }
    result.digest = hasher.finalize().to_hex().to_string();
    Ok(result)
}

/// Outcomes the engine may be ahead of the journal: those a crash kept from being written.
const OPEN_OUTCOMES_MAX: usize = 100_000;

fn first_byte(kept: &headgate_store::Outcome, ours: &headgate_store::Outcome) -> String {
    if kept.cause != ours.cause {
        return format!(
            "the journal answers event {}, the engine event {}",
            kept.cause, ours.cause
        );
    }
    let at = kept.body.iter().zip(&ours.body).position(|(a, b)| a != b);
    let read = |b: &[u8]| {
        postcard::from_bytes::<headgate_core::engine::Step>(b)
            .map(|s| s.decision.map_or("no decision".to_owned(), |d| d.to_string()))
            .unwrap_or_else(|_| "unreadable".into())
    };
    format!(
        "from byte {} on; the journal has:\n{}\nthe engine says:\n{}",
        at.unwrap_or(kept.body.len().min(ours.body.len())),
        read(&kept.body),
        read(&ours.body),
    )
}

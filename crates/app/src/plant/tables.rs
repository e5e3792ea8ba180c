//! The tables people query, fed behind the loop by a thread of their own. They are derived from
//! the journal: what is lost here is made again from there.

use super::publish::{kind_name, mode_name};
use anyhow::Context;
use headgate_core::engine::{Engine, Step};
use headgate_core::event::{Event, Stamped};
use headgate_core::ledger::LedgerInterval;
use headgate_core::market::Basis;
use headgate_core::reason::Decision;
use headgate_store::snapshot;
use headgate_store::tables::{AlarmRow, Batch, DecisionRow, IntervalRow, OperatorRow, PriceRow};
use headgate_store::{Disk, Tables};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tracing::warn;

/// Batches that may wait for the tables; beyond it rows are left to the next rebuild.
const QUEUE_MAX: usize = 4096;
/// Batches written in one transaction.
const TRANSACTION_MAX: usize = 512;

/// The way into the tables.
pub struct TableWriter {
    queue: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
    disk: Arc<dyn Disk>,
    behind: bool,
}

impl TableWriter {
    /// Starts the thread that owns the tables.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(tables: Tables, disk: Arc<dyn Disk>) -> anyhow::Result<Self> {
        let (queue, batches) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("tables".into())
            .spawn(move || write(tables, &batches))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), disk, behind: false })
    }

    /// Takes the rows of one step.
    pub fn take(&mut self, engine: &Engine, stamped: &Stamped, step: &Step) {
        let Some(batch) = rows_of(engine, stamped, step) else { return };
        let Some(queue) = &self.queue else { return };
        // Once a batch is lost nothing after it may count as applied: a restart fills the gap.
        if self.behind {
            return;
        }
        match queue.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.behind = true;
                warn!("the tables are behind; the next start fills them up from the journal");
            }
            Err(TrySendError::Disconnected(_)) => self.behind = true,
        }
    }

    /// Writes a snapshot of the engine.
    pub fn snapshot(&self, engine: &Engine) -> anyhow::Result<usize> {
        let content = postcard::to_stdvec(engine).context("failed to encode the engine")?;
        snapshot::write(&*self.disk, engine.seq(), super::ENGINE_VERSION, &content)?;
        Ok(content.len())
    }

    /// Writes what waits and ends the thread.
    pub fn flush(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the tables' thread ended badly; they are rebuilt from the journal");
        }
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        self.flush();
    }
}

fn write(mut tables: Tables, batches: &Receiver<Batch>) {
    while let Ok(mut batch) = batches.recv() {
        for _ in 0..TRANSACTION_MAX {
            let Ok(more) = batches.try_recv() else { break };
            batch.applied = more.applied.or(batch.applied);
            batch.decisions.extend(more.decisions);
            batch.intervals.extend(more.intervals);
            batch.prices.extend(more.prices);
            batch.alarms.extend(more.alarms);
            batch.operator.extend(more.operator);
        }
        if let Err(e) = tables.apply(&batch) {
            // Going on would count what was lost as applied; the next start fills the gap.
            let why = crate::site_files::describe(&e);
            warn!("{why}; the tables are filled up from the journal at the next start");
            return;
        }
    }
}

/// The rows one step leads to; `None` when there are none.
pub fn rows_of(engine: &Engine, stamped: &Stamped, step: &Step) -> Option<Batch> {
    let mut batch = Batch { applied: Some(stamped.seq), ..Batch::default() };
    let at_ns = stamped.at.0;
    match &stamped.event {
        Event::Prices { kind, rows, .. } => {
            let point = engine.site().map(|s| s.point.to_string()).unwrap_or_default();
            batch.prices = rows
                .iter()
                .map(|r| PriceRow {
                    point: point.clone(),
                    kind: kind_name(*kind).into(),
                    start_ns: r.interval.start.0,
                    end_ns: r.interval.end.0,
                    price: r.price.0,
                    known_at_ns: r.known_at.0,
                })
                .collect();
        }
        Event::Operator(o) => batch.operator.push(OperatorRow {
            seq: stamped.seq,
            at_ns,
            actor: o.actor.clone(),
            act: format!("{:?}", o.act),
            reason: o.reason.clone(),
        }),
        _ => {}
    }
    batch.decisions.extend(step.decision.as_ref().map(decision_row));
    batch.alarms = step
        .alarms
        .iter()
        .map(|a| AlarmRow {
            seq: stamped.seq,
            at_ns,
            alarm: format!("{:?}", a.alarm),
            raised: a.raised,
            text: a.text.clone(),
        })
        .collect();
    batch.intervals = step.closed.iter().map(|i| interval_row(stamped.seq, i)).collect();
    let empty = batch.prices.is_empty()
        && batch.operator.is_empty()
        && batch.decisions.is_empty()
        && batch.alarms.is_empty()
        && batch.intervals.is_empty();
    (!empty).then_some(batch)
}

fn decision_row(d: &Decision) -> DecisionRow {
    let rungs: Vec<&str> = d.ladder.iter().map(|n| n.rung.name()).collect();
    DecisionRow {
        seq: d.cause,
        at_ns: d.at.0,
        mode: mode_name(d.mode).into(),
        target_w: d.target.0,
        planned_w: d.planned.0,
        measured_w: d.measured.map(|p| p.0),
        expected_price: d.expected.map(|e| e.price.0),
        preferred_w: d.preferred.0,
        rungs: rungs.join(","),
        text: d.to_string(),
        json: crate::explain::decision_json(d).to_string(),
    }
}

fn interval_row(seq: u64, i: &LedgerInterval) -> IntervalRow {
    let known = i.measured.0 > 0;
    let basis = if i.published { "published" } else { "expected" };
    IntervalRow {
        start_ns: i.interval.start.0,
        end_ns: i.interval.end.0,
        energy_ws: known.then_some(i.energy.0),
        price: i.price.map(|p| p.0),
        price_basis: i.price.map(|_| basis.to_owned()),
        energy_cost: (known && i.price.is_some()).then_some(i.energy_cost.0),
        compute_revenue: known.then_some(i.compute_revenue.0),
        sell_back: (known && i.price.is_some()).then_some(i.sell_back.0),
        other_cost: None,
        starts: 0,
        seq,
    }
}

/// The word for how a price came about, as data has it.
pub fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::RunningMean => "running_mean",
        Basis::Published => "published",
        Basis::LastPublished => "last_published",
        Basis::DayAhead => "day_ahead",
    }
}

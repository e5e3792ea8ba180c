//! Journal before engine: an event is on disk before the engine sees it, one sync serves all
//! that wait, and what the engine answered is written down after it.

use super::Plant;
use headgate_core::engine::Step;
use headgate_core::event::{Event, Stamped};
use headgate_core::plan::DispatchPlan;
use headgate_store::{Durability, Entry, Outcome, Ticket};
use std::time::Duration;
use tracing::{info, warn};

/// Version of the engine as journals name it: another one may decide otherwise.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the loop waits for the disk before reductions go out without it.
const DISK_PATIENCE: Duration = Duration::from_millis(250);
/// Events between two snapshots.
pub const SNAPSHOT_EVERY: u64 = 20_000;
/// Entries kept in memory while the disk takes nothing; beyond it, the loop ends and recovers.
const BACKLOG_MAX: usize = 100_000;
/// Plans whose raises may wait for the disk; beyond it, the loop ends and recovers.
const WITHHELD_MAX: usize = 10_000;
/// Turns of commit within one turn of the loop: telemetry that follows from plans at once.
const ROUNDS_MAX: usize = 64;

impl Plant {
    /// Journals, steps and carries out everything that waits.
    pub(super) fn commit(&mut self) -> anyhow::Result<()> {
        self.release_withheld();
        for _ in 0..ROUNDS_MAX {
            if self.state.waiting.is_empty() {
                break;
            }
            let now = self.clock.now();
            let mut entries = std::mem::take(&mut self.state.backlog);
            let mut batch = Vec::with_capacity(self.state.waiting.len());
            for (event, done) in self.state.waiting.drain(..) {
                let stamped = Stamped { seq: self.state.next_seq, at: now, event };
                self.state.next_seq += 1;
                entries.push(Entry::Event(stamped.clone(), false));
                batch.push((stamped, done));
            }
            let (ticket, durable) = self.write(entries)?;
            for (stamped, done) in batch {
                if let Event::Telemetry(telemetry) = &stamped.event {
                    self.time_proofs(telemetry);
                }
                let step = self.engine.step(&stamped);
                self.state.wake = step.wake;
                self.carry_out(&stamped, &step, ticket, durable);
                if let Some(done) = done {
                    self.state.unacked.push_back((ticket, stamped.seq, done));
                }
            }
        }
        self.release_withheld();
        anyhow::ensure!(
            self.state.withheld.len() <= WITHHELD_MAX,
            "failed to journal: {WITHHELD_MAX} plans wait for a disk that does not recover"
        );
        self.maybe_snapshot();
        Ok(())
    }

    /// Hands entries to the journal and waits, with patience, until they are durable.
    fn write(&mut self, entries: Vec<Entry>) -> anyhow::Result<(Option<Ticket>, bool)> {
        match self.journal.append(entries) {
            Ok(ticket) => {
                // What waited for room in the queue went along with this batch.
                self.state.withheld.iter_mut().for_each(|w| w.0 = w.0.or(Some(ticket)));
                self.state.unacked.iter_mut().for_each(|u| u.0 = u.0.or(Some(ticket)));
                let got = self.journal.wait(ticket, DISK_PATIENCE);
                if let Durability::Failed(why) = &got {
                    warn!("the journal's disk refuses: {why}; only reductions go out");
                }
                Ok((Some(ticket), got == Durability::Durable))
            }
            Err(full) => {
                self.state.backlog = full.0;
                anyhow::ensure!(
                    self.state.backlog.len() <= BACKLOG_MAX,
                    "failed to journal: the disk takes nothing and {BACKLOG_MAX} entries wait"
                );
                Ok((None, false))
            }
        }
    }

    fn carry_out(&mut self, stamped: &Stamped, step: &Step, ticket: Option<Ticket>, durable: bool) {
        if let Some(observer) = &mut self.observer {
            observer(stamped, step);
        }
        if let Some(plan) = &step.plan {
            if durable {
                self.send_plan(plan);
            } else {
                self.send_reductions(plan, step, ticket);
            }
        }
        self.tell_switches(&step.switches, durable);
        if !step.is_empty() {
            self.write_outcome(stamped, step, !durable);
        }
        self.note_alarms(step, stamped.at);
        if let Some(report) = &step.report {
            self.state.curtailed = Some(report.clone());
        }
        self.tables.take(&self.engine, stamped, step);
        if let Event::FeedRejected { error, .. } = &stamped.event {
            warn!("{error}");
        }
    }

    /// Sends what reduces at once and keeps the rest until the disk has caught up.
    fn send_reductions(&mut self, plan: &DispatchPlan, step: &Step, ticket: Option<Ticket>) {
        let downs = step.decision.as_ref().map_or(0, |d| d.changes.0 as usize);
        let (down, up) = plan.changes.split_at(downs.min(plan.changes.len()));
        if !down.is_empty() {
            self.send_plan(&DispatchPlan { changes: down.to_vec(), ..plan.clone() });
        }
        if !up.is_empty() {
            self.state
                .withheld
                .push_back((ticket, DispatchPlan { changes: up.to_vec(), ..plan.clone() }));
        }
    }

    /// Sends raises, and tells people of their acts, whose events have become durable; an
    /// expired lease is refused by the driver.
    fn release_withheld(&mut self) {
        while let Some((Some(ticket), _, _)) = self.state.unacked.front() {
            if self.journal.wait(*ticket, Duration::ZERO) != Durability::Durable {
                break;
            }
            let (_, seq, done) = self.state.unacked.pop_front().expect("the front was just seen");
            // The asker may have gone away; the act stands all the same.
            let _ = done.send(Ok(seq));
        }
        while let Some((Some(ticket), _)) = self.state.withheld.front() {
            if self.journal.wait(*ticket, Duration::ZERO) != Durability::Durable {
                break;
            }
            let (_, plan) = self.state.withheld.pop_front().expect("the front was just seen");
            self.send_plan(&plan);
        }
    }

    fn write_outcome(&mut self, stamped: &Stamped, step: &Step, late: bool) {
        let outcome = outcome_of(stamped.seq, step);
        // It goes out with the next events' sync: the events alone decide what the state is.
        self.state.backlog.push(Entry::Outcome(outcome, late));
    }

    fn maybe_snapshot(&mut self) {
        // A snapshot never knows an event that the journal could still lose.
        let ahead = self.journal.durable().0 <= self.engine.seq();
        if self.state.next_seq < self.state.snapshot_at || ahead {
            return;
        }
        self.state.snapshot_at = self.state.next_seq + SNAPSHOT_EVERY;
        match self.tables.snapshot(&self.engine) {
            Ok(bytes) => info!("snapshot at event {} in {bytes} bytes", self.engine.seq()),
            Err(e) => warn!("{e:#}"),
        }
    }

    /// Writes what is left and waits for it.
    pub(super) fn settle_journal(&mut self) {
        let rest = std::mem::take(&mut self.state.backlog);
        if let Ok((Some(ticket), false)) = self.write(rest) {
            let end = self.journal.wait(ticket, Duration::from_secs(5));
            if end != Durability::Durable {
                warn!("the journal's last entries are not on disk: {end:?}");
            }
        }
    }

    fn note_alarms(&mut self, step: &Step, at: headgate_core::time::Time) {
        for change in &step.alarms {
            let name = format!("{:?}", change.alarm);
            if change.raised {
                warn!("alarm {name}: {}", change.text);
                self.state.alarms_since.push((name, change.text.clone(), at));
            } else {
                info!("alarm {name} cleared");
                self.state.alarms_since.retain(|(n, _, _)| *n != name);
            }
        }
    }
}

/// What a step is written down as: its encoding and a digest of it.
pub fn outcome_of(cause: u64, step: &Step) -> Outcome {
    let body = postcard::to_stdvec(step).expect("a step is plain data and always encodes");
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(&body).as_bytes()[..16]);
    Outcome { cause, digest, body }
}

//! What the engine and the screens are told: sums a cohort, kept as readings come, and the
//! machines about which something changed.

use super::FleetDriver;
use super::machine::NOBODY;
use crate::Output;
use crate::family::{Keep, Rival};
use headgate_core::fleet::{
    Answer, CohortSum, Declared, Level, Link, MachineId, MachineReport, TargetPhase, TelemetryBatch,
};
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;

/// Shortest pause between two batches.
const BATCH_EVERY: Span = Span::seconds(1);
/// Shortest pause between two batches that carry a command's failure.
const URGENT_EVERY: Span = Span::millis(100);
/// Watts that left the last report by no more than this share and this much are not news.
const NEWS: (i64, i64) = (2, 50);
/// A clock that goes back by less than this is read as standing still.
const JITTER: Span = Span::seconds(1);

/// What is to be said, and when it last was.
#[derive(Debug)]
pub(super) struct Report {
    pub dirty: Vec<u32>,
    pub heartbeat: bool,
    pub urgent: bool,
    /// A read-back is under way or done: its batch names every machine.
    pub full: bool,
    last: Time,
    last_urgent: Time,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            dirty: Vec::new(),
            heartbeat: false,
            urgent: false,
            full: false,
            last: Time::MIN,
            last_urgent: Time::MIN,
        }
    }
}

/// A value with the time it was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aged<T> {
    /// The value.
    pub value: T,
    /// When it was learned.
    pub at: Time,
}

impl<T> Aged<T> {
    /// How old it is.
    #[must_use]
    pub fn age(&self, now: Time) -> Span {
        now.since(self.at)
    }
}

/// What is known of one machine, for people to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineView<'a> {
    /// Which machine.
    pub machine: MachineId,
    /// In repair: never commanded.
    pub excluded: bool,
    /// Whether it is heard of.
    pub link: Link,
    /// How far its last target has come.
    pub phase: TargetPhase,
    /// Generation of the last target it was given.
    pub generation: u64,
    /// The level it was last told.
    pub told: Option<Aged<Level>>,
    /// What it answered to that.
    pub acked: Option<Aged<Answer>>,
    /// What it says of its own mode.
    pub declared: Option<Aged<Declared>>,
    /// What it draws.
    pub measured: Option<Aged<Power>>,
    /// Whether its PSU measured that; else its firmware estimated it.
    pub psu: bool,
    /// Another controller on the same knob, where one was met.
    pub rival: Option<Rival>,
    /// Why it did not do what it should.
    pub reason: Option<&'a str>,
}

/// Whether watts have left the last reported ones so far that the engine should know.
pub(super) fn is_news(reported: i64, watts: i64) -> bool {
    let (percent, least) = NEWS;
    (watts - reported).abs() > (reported * percent / 100).max(least)
}

impl FleetDriver {
    /// Puts a machine on the list of the next batch.
    pub(super) fn mark(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        if !machine.dirty {
            machine.dirty = true;
            self.report.dirty.push(m);
        }
    }

    pub(super) fn set_phase(&mut self, m: u32, phase: TargetPhase) {
        let machine = &mut self.machines[m as usize];
        if machine.phase != phase {
            machine.phase = phase;
            self.mark(m);
        }
    }

    /// Hands over a batch when one is due.
    pub(super) fn flush(&mut self, out: &mut Output) {
        if out.telemetry.is_some() || self.batch_at().is_none_or(|at| at > self.now) {
            return;
        }
        if self.report.urgent {
            self.report.last_urgent = self.now;
        }
        self.report.last = self.now;
        self.report.urgent = false;
        self.report.heartbeat = false;
        if self.round.unread == 0 && std::mem::take(&mut self.report.full) {
            for m in 0..self.machines.len() {
                self.mark(u32::try_from(m).expect("MACHINES_MAX fits 32 bits"));
            }
        }
        out.telemetry = Some(self.batch());
    }

    /// When the next batch is due by what there is to say now.
    fn batch_at(&self) -> Option<Time> {
        let report = &self.report;
        if report.urgent {
            return Some(report.last_urgent + URGENT_EVERY);
        }
        if self.round.unread > 0 {
            return None;
        }
        let news = report.full || report.heartbeat || !report.dirty.is_empty();
        news.then(|| report.last + BATCH_EVERY)
    }

    /// When to be called again.
    pub(super) fn wake(&self) -> Option<Time> {
        let due = self.due.first().map(|(at, _)| *at);
        let held = self.slots.held_until;
        [self.round.next_at, due, self.batch_at(), held].into_iter().flatten().min()
    }

    fn batch(&mut self) -> TelemetryBatch {
        let mut dirty = std::mem::take(&mut self.report.dirty);
        dirty.sort_unstable();
        let machines = dirty.iter().map(|m| self.report_of(*m)).collect();
        for m in dirty {
            let machine = &mut self.machines[m as usize];
            machine.dirty = false;
            machine.reported = machine.watts;
        }
        let sum = |c: &super::machine::CohortState| CohortSum {
            cohort: c.id,
            heard: c.heard,
            silent: c.machines - c.heard,
            power: Power(c.power),
            rate: c.rate(),
            oldest: (c.oldest != NOBODY).then(|| self.machines[c.oldest as usize].measured_at),
        };
        let cohorts = self.cohorts.iter().map(sum).collect();
        TelemetryBatch { driver: self.id, at: self.now, cohorts, machines }
    }

    fn report_of(&self, m: u32) -> MachineReport {
        let machine = &self.machines[m as usize];
        MachineReport {
            machine: machine.id,
            generation: machine.generation,
            phase: machine.phase,
            link: machine.link,
            answer: machine.answer.map(|(a, _)| a),
            declared: machine.declared.map(|(d, _)| d),
            watts: machine.watts.map(Power),
            measured_at: machine.watts.map(|_| machine.measured_at),
        }
    }

    /// What is known of a machine; `None` when it is not this driver's.
    #[must_use]
    pub fn machine_view(&self, id: MachineId) -> Option<MachineView<'_>> {
        let machine = &self.machines[self.local(id)? as usize];
        Some(MachineView {
            machine: id,
            excluded: machine.excluded,
            link: machine.link,
            phase: machine.phase,
            generation: machine.generation,
            told: machine.told.map(|(value, _, at)| Aged { value, at }),
            acked: machine.answer.map(|(value, at)| Aged { value, at }),
            declared: machine.declared.map(|(value, at)| Aged { value, at }),
            measured: machine.watts.map(|w| Aged { value: Power(w), at: machine.measured_at }),
            psu: machine.psu,
            rival: machine.rival,
            reason: machine.reason.as_deref(),
        })
    }

    /// What the talks with a machine have left for the next: a session, a token, a configuration.
    #[must_use]
    pub fn kept(&self, id: MachineId) -> Option<&Keep> {
        self.machines[self.local(id)? as usize].keep.as_ref()
    }

    /// Why a machine did not do what it should, where it did not.
    #[must_use]
    pub fn refused_reason(&self, id: MachineId) -> Option<&str> {
        self.machines[self.local(id)? as usize].reason.as_deref()
    }

    /// Follows the clock. A clock set back takes every noted time with it, for only spans count.
    pub(super) fn advance(&mut self, now: Time) {
        if now >= self.now {
            self.now = now;
        } else if self.now.since(now) >= JITTER {
            self.set_back(self.now.since(now));
            self.now = now;
        }
    }

    fn set_back(&mut self, by: Span) {
        let back = |t: &mut Time| *t = *t - by;
        for machine in &mut self.machines {
            back(&mut machine.measured_at);
            if let Some((_, _, at)) = &mut machine.told {
                back(at);
            }
            if let Some((_, at)) = &mut machine.answer {
                back(at);
            }
            if let Some((_, at)) = &mut machine.declared {
                back(at);
            }
            if let Some(command) = &mut machine.command {
                back(&mut command.ends);
            }
            if machine.due != Time::MAX {
                back(&mut machine.due);
            }
        }
        self.due = std::mem::take(&mut self.due).into_iter().map(|(at, m)| (at - by, m)).collect();
        self.round.next_at = self.round.next_at.map(|t| t - by);
        self.slots.held_until = self.slots.held_until.map(|t| t - by);
        back(&mut self.report.last);
        back(&mut self.report.last_urgent);
    }
}

//! Polling in common rounds, reading back at start-up, and what follows from a reading.

use super::FleetDriver;
use super::command::on_grid;
use super::machine::{CohortState, Kind, Machine, NOBODY, Reading, Stage};
use super::wire::Queue;
use crate::family::{self, Turn};
use crate::{Failure, Output, RequestId};
use headgate_core::fleet::{Level, Link, TargetPhase};
use headgate_core::time::{Span, Time};

/// Failures in a row after which a machine counts as silent.
const SILENT_AFTER: u16 = 2;
/// Said of a machine that answers and does not say what it draws.
pub(super) const UNMEASURED: &str = "it tells no watts: only a meter can prove what it does";
/// Shortest pause before a machine is looked at again.
const LOOK_AGAIN: Span = Span::seconds(1);

/// The round of readings under way. All machines are read together, as fast as the slots allow,
/// so that between rounds the wire is quiet and an accelerated clock can run.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub number: u64,
    /// First pass over the machines that answered last time, second over the others.
    cursor: usize,
    pub active: bool,
    pub next_at: Option<Time>,
    /// Machines a read-back still waits for.
    pub unread: usize,
}

impl FleetDriver {
    /// Does what has become due.
    pub(super) fn tick(&mut self) {
        while let Some((at, m)) = self.due.first().copied().filter(|(at, _)| *at <= self.now) {
            debug_assert_eq!(at, self.machines[m as usize].due, "one entry a machine");
            self.set_due(m, None);
            match self.machines[m as usize].stage() {
                Some(Stage::Pausing | Stage::Verifying) => {
                    if let Some(c) = &mut self.machines[m as usize].command {
                        c.stage = Stage::Talking;
                    }
                    self.line_up(m);
                }
                Some(Stage::Proving) => self.look(m),
                Some(Stage::Talking) | None => {}
            }
        }
        let next = *self.round.next_at.get_or_insert(self.now);
        if next <= self.now {
            self.begin_round(next);
        }
    }

    fn begin_round(&mut self, planned: Time) {
        let behind = self.now.since(planned).0.div_euclid(self.period.0);
        self.round.next_at = Some(planned + Span(self.period.0.saturating_mul(behind + 1)));
        if self.round.active || !self.options.poll {
            // Late or not ours to ask: the engine still hears that we are there.
            self.report.heartbeat = true;
            return;
        }
        self.round.number += 1;
        self.round.cursor = 0;
        self.round.active = true;
    }

    /// Starts reading the state of every machine.
    pub(super) fn read_back(&mut self, out: &mut Output) {
        self.report.full = true;
        self.round.next_at = Some(self.now + self.period);
        if !self.options.poll {
            return;
        }
        self.round.number += 1;
        self.round.cursor = 0;
        self.round.active = true;
        self.round.unread = self.machines.len();
        for m in 0..self.machines.len() {
            let m = u32::try_from(m).expect("MACHINES_MAX fits 32 bits");
            self.abandon_poll(m, out);
            self.machines[m as usize].reading = Reading::Watts;
        }
    }

    /// The next machine to read in this round; `None` when there is none to be read now.
    pub(super) fn next_of_round(&mut self) -> Option<u32> {
        let n = self.machines.len();
        if !self.round.active {
            return None;
        }
        while self.round.cursor < 2 * n {
            let second = self.round.cursor >= n;
            let index = if second { self.round.cursor - n } else { self.round.cursor };
            let machine = &mut self.machines[index];
            let number = self.round.number;
            let reads = machine.reading == Reading::Watts;
            let patience = backoff(machine.fails, self.options.silent_rounds);
            let due = reads || (machine.suspect() == second && number.is_multiple_of(patience));
            if machine.round == number || !due {
                self.round.cursor += 1;
                continue;
            }
            if second && self.wires.suspects >= self.slots.suspects() {
                return None;
            }
            self.round.cursor += 1;
            machine.round = number;
            let m = u32::try_from(index).expect("MACHINES_MAX fits 32 bits");
            let told = matches!(machine.stage(), Some(Stage::Talking | Stage::Pausing));
            if machine.wire.is_some() || told || (machine.want.is_some() && !reads) {
                self.done_reading(m);
                continue;
            }
            return Some(m);
        }
        None
    }

    /// Ends the round once everything asked was answered or given up.
    pub(super) fn end_round(&mut self) {
        let asked = self.round.cursor >= 2 * self.machines.len();
        if self.round.active && asked && self.polls_done() {
            self.round.active = false;
            self.report.heartbeat = true;
        }
    }

    /// A read-back has what it can have of a machine.
    fn done_reading(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        if machine.reading != Reading::Nothing {
            machine.reading = Reading::Nothing;
            self.round.unread -= 1;
            self.line_up(m);
        }
    }

    /// A request was answered.
    pub(super) fn reply(&mut self, request: RequestId, bytes: &[u8], out: &mut Output) {
        let Some((m, wire)) = self.land(request) else { return };
        self.slots.widen();
        match wire.kind {
            Kind::Watts | Kind::Mode => self.poll_reply(m, wire.kind, bytes, out),
            Kind::Command => self.command_reply(m, bytes, out),
            Kind::GiveBack => self.heard(m),
        }
        self.landed(m);
    }

    /// A request was not answered.
    pub(super) fn failed(&mut self, request: RequestId, failure: Failure, out: &mut Output) {
        let Some((m, wire)) = self.land(request) else { return };
        if failure != Failure::Local {
            self.slots.widen();
        }
        match wire.kind {
            kind if failure == Failure::Local => self.not_tried(m, kind),
            Kind::Command => self.command_failed(m, failure, out),
            Kind::GiveBack => {}
            kind => {
                let now = self.now;
                let talk = &mut self.machines[m as usize].poll;
                let turn = talk.as_mut().map_or(Turn::Lost(failure), |t| t.lost(now, failure));
                self.poll_turn(m, kind, turn, out);
            }
        }
        self.landed(m);
    }

    fn poll_reply(&mut self, m: u32, kind: Kind, bytes: &[u8], out: &mut Output) {
        let now = self.now;
        let Some(talk) = &mut self.machines[m as usize].poll else { return };
        let turn = talk.hear(now, bytes);
        self.poll_turn(m, kind, turn, out);
    }

    /// Goes on with a reading, or ends it.
    fn poll_turn(&mut self, m: u32, kind: Kind, turn: Turn, out: &mut Output) {
        if turn == Turn::Say {
            self.heard(m);
            return self.say_poll(m, kind, out);
        }
        self.end_poll(m);
        match turn {
            Turn::Read(reading) if kind == Kind::Watts => self.power_read(m, &reading),
            Turn::Read(reading) => self.mode_read(m, &reading),
            Turn::Lost(failure) => self.poll_failed(m, said_of(failure)),
            // It answers, but what it says is of no use: nothing is known of what it draws.
            Turn::Refused(why) if kind == Kind::Watts => self.poll_failed(m, &why),
            Turn::Refused(why) => {
                // The mode is only a claim; a machine whose watts are known is not lost for it.
                self.because(m, &why);
                self.done_reading(m);
            }
            _ => self.poll_failed(m, "it is busy"),
        }
    }

    /// Goes on with what waited for a machine's request to end.
    fn landed(&mut self, m: u32) {
        let machine = &self.machines[m as usize];
        if machine.wire.is_some() {
            return;
        }
        if machine.reading == Reading::Mode {
            self.enqueue(m, Queue::Mode);
        } else {
            self.line_up(m);
        }
    }

    pub(super) fn poll_failed(&mut self, m: u32, why: &str) {
        self.missed(m);
        if self.machines[m as usize].command.is_none() {
            self.because(m, why);
        }
        self.done_reading(m);
        self.close_overdue(m);
    }

    /// Ends the waiting for a proof whose time is over.
    fn close_overdue(&mut self, m: u32) {
        let machine = &self.machines[m as usize];
        let overdue = machine
            .command
            .as_ref()
            .is_some_and(|c| c.stage == Stage::Proving && c.polled && self.now >= c.ends);
        if overdue {
            self.close_unproven(m);
        }
    }

    fn power_read(&mut self, m: u32, read: &family::Reading) {
        let machine = &mut self.machines[m as usize];
        if machine.reading == Reading::Watts {
            machine.reading = Reading::Mode;
        } else if self.round.number.is_multiple_of(self.options.config_rounds.max(1).into())
            && machine.at_rest()
        {
            self.enqueue(m, Queue::Mode);
        }
        self.take_mode(m, read);
        match read.watts {
            Some(watts) => self.reading(m, watts.power.0, watts.psu),
            None => self.unmeasured(m),
        }
    }

    /// It answers and tells no watts: it is heard of, and what it draws is not known.
    fn unmeasured(&mut self, m: u32) {
        self.heard(m);
        if self.machines[m as usize].at_rest() {
            self.because(m, UNMEASURED);
        }
        self.close_overdue(m);
    }

    fn mode_read(&mut self, m: u32, read: &family::Reading) {
        self.heard(m);
        self.take_mode(m, read);
        self.done_reading(m);
    }

    /// Takes in what a machine says of its own mode.
    fn take_mode(&mut self, m: u32, read: &family::Reading) {
        let now = self.now;
        let machine = &mut self.machines[m as usize];
        let mut changed = false;
        if let Some(declared) = read.declared {
            changed |= machine.declared.is_none_or(|(d, _)| d != declared);
            machine.declared = Some((declared, now));
        }
        if let Some(rival) = read.rival {
            machine.rival = rival;
        }
        if let Some(setting) = read.setting {
            let cohort = &self.cohorts[usize::from(machine.kind)];
            machine.profile = Some(cohort.profile_of(setting));
        }
        if changed {
            self.mark(m);
        }
    }

    /// A machine answered something.
    pub(super) fn heard(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        if machine.fails > 0 {
            machine.fails = 0;
            if machine.phase == TargetPhase::Confirmed {
                machine.reason = None;
            }
        }
        if machine.link != Link::Fresh {
            machine.link = Link::Fresh;
            let cohort = &mut self.cohorts[usize::from(machine.kind)];
            cohort.heard += 1;
            cohort.rate += machine.rate;
            self.mark(m);
        }
    }

    /// A machine did not answer.
    pub(super) fn missed(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        machine.fails = machine.fails.saturating_add(1);
        let was = machine.link;
        let silent = machine.fails >= SILENT_AFTER || was == Link::Unknown;
        if !silent || was == Link::Silent {
            return;
        }
        machine.link = Link::Silent;
        if was == Link::Fresh {
            let cohort = &mut self.cohorts[usize::from(machine.kind)];
            cohort.heard -= 1;
            cohort.rate -= machine.rate;
        }
        self.mark(m);
    }

    /// Takes in a measured power.
    pub(super) fn reading(&mut self, m: u32, watts: i64, psu: bool) {
        self.heard(m);
        let now = self.now;
        self.newest(m);
        let machine = &mut self.machines[m as usize];
        machine.measured_at = now;
        machine.psu = psu;
        if machine.watts != Some(watts) {
            let cohort = &mut self.cohorts[usize::from(machine.kind)];
            cohort.power += watts - machine.watts.unwrap_or(0);
            machine.watts = Some(watts);
            let rate = cohort.rate_at(watts);
            cohort.rate += rate - machine.rate;
            machine.rate = rate;
            if machine.reported.is_none_or(|r| super::report::is_news(r, watts)) {
                self.mark(m);
            }
        }
        let machine = &self.machines[m as usize];
        if machine.command.is_some() {
            self.prove(m, watts);
        } else if machine.want.is_none() {
            self.watch(m, watts);
        }
    }

    /// Sees whether a machine that was left alone still is where it was.
    fn watch(&mut self, m: u32, watts: i64) {
        let machine = &mut self.machines[m as usize];
        let cohort = &self.cohorts[usize::from(machine.kind)];
        let (agrees, leaves) = match (machine.target, machine.found) {
            (Some(level), _) => {
                (cohort.agrees(level, watts, machine.bar), cohort.leaves(level, watts))
            }
            // Never told anything: only falling asleep or waking by itself is news.
            (None, Some(found)) => {
                let moved = cohort.asleep(watts) != (found == Level::SLEEP);
                (!moved, moved)
            }
            (None, None) => {
                let level = cohort.nearest(watts);
                let asleep = cohort.asleep(watts);
                machine.found = Some(if asleep { Level::SLEEP } else { level.max(Level(1)) });
                return self.set_phase(m, TargetPhase::Confirmed);
            }
        };
        match machine.phase {
            TargetPhase::Confirmed if leaves => {
                self.because(m, "its power moved without our command");
                self.set_phase(m, TargetPhase::Drifted);
            }
            TargetPhase::Confirmed => {}
            _ if agrees => {
                machine.bar = super::machine::Bar::None;
                machine.reason = None;
                self.set_phase(m, TargetPhase::Confirmed);
            }
            _ => {}
        }
    }

    /// Looks at a machine whose proof is awaited, or ends the waiting.
    fn look(&mut self, m: u32) {
        let now = self.now;
        let machine = &self.machines[m as usize];
        let Some(command) = &machine.command else { return };
        let (fall, ends, polled) = (command.fall, command.ends, command.polled);
        let reads = machine.wire.is_some_and(|w| w.kind == Kind::Watts)
            || self.is_queued(m, Queue::Proof)
            || self.is_queued(m, Queue::SuspectProof);
        if now >= ends && !reads && (polled || !self.options.poll) {
            return self.close_unproven(m);
        }
        if self.options.poll && !reads {
            let suspect = machine.suspect();
            self.enqueue(m, if suspect { Queue::SuspectProof } else { Queue::Proof });
        }
        let next = (now + CohortState::look_every(fall)).min(ends.max(now + LOOK_AGAIN));
        self.set_due(m, Some(on_grid(next)));
    }

    /// Sets when a machine wants to be looked at.
    pub(super) fn set_due(&mut self, m: u32, at: Option<Time>) {
        let at = at.unwrap_or(Time::MAX);
        let old = std::mem::replace(&mut self.machines[m as usize].due, at);
        if old != Time::MAX {
            self.due.remove(&(old, m));
        }
        if at != Time::MAX {
            self.due.insert((at, m));
        }
    }

    /// Moves a machine to the end of its cohort's list by measuring time.
    fn newest(&mut self, m: u32) {
        let Machine { kind, older, newer, .. } = self.machines[m as usize];
        let cohort = &mut self.cohorts[usize::from(kind)];
        if cohort.newest == m {
            return;
        }
        if older != NOBODY {
            self.machines[older as usize].newer = newer;
        } else if cohort.oldest == m {
            cohort.oldest = newer;
        }
        if newer != NOBODY {
            self.machines[newer as usize].older = older;
        }
        let last = std::mem::replace(&mut cohort.newest, m);
        if last == NOBODY {
            cohort.oldest = m;
        } else {
            self.machines[last as usize].newer = m;
        }
        self.machines[m as usize].older = last;
        self.machines[m as usize].newer = NOBODY;
    }
}

/// Rounds between two readings of a machine that failed this often: doubling, up to a bound, so
/// that dead machines cost little and are all tried in the same rounds.
fn backoff(fails: u16, most: u32) -> u64 {
    let doubled = 1u32.checked_shl(u32::from(fails.saturating_sub(1))).unwrap_or(u32::MAX);
    u64::from(doubled.min(most.max(1)))
}

/// A failure in people's words.
pub(super) fn said_of(failure: Failure) -> &'static str {
    match failure {
        Failure::Connect => "it cannot be reached: refused or no route",
        Failure::Reset => "the connection broke before a whole reply",
        Failure::Timeout => "it did not answer within the budget",
        Failure::Local => "this side is out of descriptors or ports",
        Failure::TooLong => "its reply was longer than any reply is",
    }
}

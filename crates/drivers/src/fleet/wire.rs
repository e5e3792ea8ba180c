//! Who may be on the wire: one request a machine, a bound over all, commands before polls, and
//! a bound of its own for machines that failed last time, so that mute ones hold nobody back.

use super::FleetDriver;
use super::machine::{Kind, Reading, Wire};
use crate::family::{Ask, Want};
use crate::{Output, Request, RequestId};
use std::collections::VecDeque;

/// Bits of a request's id that name the machine; the rest counts up.
const MACHINE_BITS: u32 = 20;
const _: () = assert!(headgate_core::limits::MACHINES_MAX <= 1 << MACHINE_BITS, "ids must fit");

/// What waits for a slot, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Commands to machines that answered last time.
    Fresh,
    /// Sessions to give back.
    GiveBack,
    /// Commands to machines that failed last time.
    Suspect,
    /// Readings that may prove a command.
    Proof,
    /// The same, of machines that failed last time.
    SuspectProof,
    /// Modes to read.
    Mode,
}

/// Queues of local machine indices; a machine stands in each at most once.
#[derive(Debug, Default)]
pub(super) struct Wires {
    queues: [VecDeque<u32>; 6],
    pub in_flight: usize,
    pub suspects: usize,
    pub polls: usize,
    next_id: u64,
}

impl FleetDriver {
    /// Puts a machine in a queue unless it stands there.
    pub(super) fn enqueue(&mut self, m: u32, queue: Queue) {
        let machine = &mut self.machines[m as usize];
        let bit = 1 << (queue as u8);
        if machine.queued & bit == 0 {
            machine.queued |= bit;
            self.wires.queues[queue as usize].push_back(m);
        }
    }

    pub(super) fn is_queued(&self, m: u32, queue: Queue) -> bool {
        self.machines[m as usize].queued & (1 << (queue as u8)) != 0
    }

    fn pop(&mut self, queue: Queue) -> Option<u32> {
        let m = self.wires.queues[queue as usize].pop_front()?;
        self.machines[m as usize].queued &= !(1 << (queue as u8));
        Some(m)
    }

    /// Puts as much on the wire as there are slots for.
    pub(super) fn pump(&mut self, out: &mut Output) {
        if self.slots.held_until.is_some_and(|t| t > self.now) {
            return;
        }
        self.slots.held_until = None;
        while self.wires.in_flight < self.slots.all {
            if let Some(m) = self.pop(Queue::Fresh) {
                self.speak(m, out);
            } else if let Some(m) = self.pop(Queue::GiveBack) {
                self.give_back(m, out);
            } else if !self.pump_suspects(Queue::Suspect, out) && !self.pump_polls(out) {
                return;
            }
        }
    }

    fn pump_suspects(&mut self, queue: Queue, out: &mut Output) -> bool {
        if self.wires.suspects >= self.slots.suspects() {
            return false;
        }
        let Some(m) = self.pop(queue) else { return false };
        if queue == Queue::Suspect {
            self.speak(m, out)
        } else {
            self.read(m, Kind::Watts, out)
        }
        true
    }

    /// Puts one poll on the wire; false when there is none to put.
    fn pump_polls(&mut self, out: &mut Output) -> bool {
        if self.wires.polls >= self.slots.polls() {
            return false;
        }
        if let Some(m) = self.pop(Queue::Proof) {
            self.read(m, Kind::Watts, out);
            return true;
        }
        if let Some(m) = self.pop(Queue::Mode) {
            self.read_mode(m, out);
            return true;
        }
        if self.pump_suspects(Queue::SuspectProof, out) {
            return true;
        }
        let Some(m) = self.next_of_round() else { return false };
        self.read(m, Kind::Watts, out);
        true
    }

    fn read_mode(&mut self, m: u32, out: &mut Output) {
        let machine = &self.machines[m as usize];
        let waits = machine.want.is_some() && machine.reading != Reading::Mode;
        if !waits {
            self.read(m, Kind::Mode, out);
        }
    }

    /// Begins a reading.
    fn read(&mut self, m: u32, kind: Kind, out: &mut Output) {
        let machine = &mut self.machines[m as usize];
        if machine.wire.is_some() {
            return;
        }
        let want = if kind == Kind::Mode { Want::Mode } else { Want::Watts };
        // A reading needs nothing that shuts others out, and must not lose it.
        let keep = machine.keep.as_ref().filter(|k| !k.holds()).cloned();
        machine.poll = Some(self.family.begin(want, keep));
        if let Some(command) = &mut machine.command {
            command.polled |= kind == Kind::Watts;
        }
        self.say_poll(m, kind, out);
    }

    /// Puts the next words of a reading on the wire.
    pub(super) fn say_poll(&mut self, m: u32, kind: Kind, out: &mut Output) {
        let now = self.now;
        let Some(talk) = &mut self.machines[m as usize].poll else { return };
        let ask = talk.say(now);
        self.send(m, kind, ask, out);
    }

    /// Puts a request on the wire.
    pub(super) fn send(&mut self, m: u32, kind: Kind, ask: Ask, out: &mut Output) {
        self.wires.next_id += 1;
        let id = self.wires.next_id << MACHINE_BITS | u64::from(m);
        let machine = &mut self.machines[m as usize];
        let suspect = machine.suspect();
        machine.wire = Some(Wire { id, kind, suspect });
        self.wires.in_flight += 1;
        self.wires.suspects += usize::from(suspect);
        self.wires.polls += usize::from(is_poll(kind));
        let Ask { port, framing, bytes, budget } = ask;
        let (id, machine) = (RequestId(id), machine.id);
        let budget = budget.unwrap_or(self.budget);
        out.requests.push(Request { id, machine, port, framing, bytes, budget });
    }

    /// Takes a request off the wire; `None` when it is not ours or was abandoned.
    pub(super) fn land(&mut self, request: RequestId) -> Option<(u32, Wire)> {
        let m = u32::try_from(request.0 & ((1 << MACHINE_BITS) - 1)).ok()?;
        let wire = self.machines.get(m as usize)?.wire.filter(|w| w.id == request.0)?;
        self.release(m, wire);
        Some((m, wire))
    }

    /// This side could not even try: the machine is not to blame and is asked again.
    pub(super) fn not_tried(&mut self, m: u32, kind: Kind) {
        self.slots.narrow(self.now);
        match kind {
            Kind::Command => {}
            // What it held ends by itself.
            Kind::GiveBack => return,
            Kind::Watts => self.enqueue(m, Queue::Proof),
            Kind::Mode => self.enqueue(m, Queue::Mode),
        }
        self.end_poll(m);
    }

    /// Abandons a poll that stands in the way of a command.
    pub(super) fn abandon_poll(&mut self, m: u32, out: &mut Output) {
        let Some(wire) = self.machines[m as usize].wire.filter(|w| is_poll(w.kind)) else {
            return;
        };
        out.cancel.push(RequestId(wire.id));
        self.release(m, wire);
        self.end_poll(m);
    }

    /// Ends a reading; what it learned is kept.
    pub(super) fn end_poll(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        if let Some(mut talk) = machine.poll.take() {
            machine.keep(talk.keep());
        }
    }

    fn release(&mut self, m: u32, wire: Wire) {
        self.machines[m as usize].wire = None;
        self.wires.in_flight -= 1;
        self.wires.suspects -= usize::from(wire.suspect);
        self.wires.polls -= usize::from(is_poll(wire.kind));
    }

    /// Whether no poll is on the wire and no mode waits to be read.
    pub(super) fn polls_done(&self) -> bool {
        self.wires.polls == 0 && self.wires.queues[Queue::Mode as usize].is_empty()
    }
}

fn is_poll(kind: Kind) -> bool {
    matches!(kind, Kind::Watts | Kind::Mode)
}

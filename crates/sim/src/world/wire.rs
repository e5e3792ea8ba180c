//! The simulated wire: a request reaches its machine after a while, and its end is seen by the
//! driver after another, or after its budget.

use super::World;
use super::queue::{Class, Due, Key};
use crate::firmware::Call;
use crate::luxos_api::ApiAnswer;
use headgate_core::time::{Span, Time};
use headgate_drivers::frame::framed;
use headgate_drivers::{Failure, Input, Request, RequestId};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Requests on the wire, with the next thing due for each.
#[derive(Debug, Default)]
pub(super) struct Flying(BTreeMap<(usize, RequestId), Flight>);

#[derive(Debug, Clone, Copy)]
struct Flight {
    due: Key,
    /// When its budget is used up.
    ends: Time,
}

impl World {
    /// Puts a request on the wire.
    pub(super) fn send(&mut self, lane: usize, request: Request) {
        self.outcome.requests += 1;
        let budget = self.options.request_budget.unwrap_or(request.budget);
        let longer = u64::try_from(self.options.jitter.0).unwrap_or(0);
        let drawn = if longer > 0 { self.rng.below(longer) } else { 0 };
        let takes = self.options.latency + Span(i64::try_from(drawn).unwrap_or(0));
        let (id, ends) = (request.id, self.now + budget);
        let due = if takes >= budget {
            self.fails(lane, id, ends, Failure::Timeout)
        } else {
            let due = Due::Arrives { lane, request };
            self.queue.push(self.now + takes, Class::Wire, due)
        };
        self.flying.0.insert((lane, id), Flight { due, ends });
    }

    fn fails(&mut self, lane: usize, request: RequestId, at: Time, failure: Failure) -> Key {
        let result = Err(failure);
        self.queue.push(at, Class::Wire, Due::Answers { lane, request, result })
    }

    /// A cancelled request vanishes: its connection is closed before the machine has read it.
    pub(super) fn abandon(&mut self, lane: usize, request: RequestId) {
        if let Some(flight) = self.flying.0.remove(&(lane, request)) {
            self.queue.remove(flight.due);
        }
    }

    /// A request reaches its machine, which does what it does; what it says takes its own time.
    pub(super) fn arrives(&mut self, lane: usize, request: Request) {
        let (id, machine) = (request.id, request.machine);
        let Some(flight) = self.flying.0.get(&(lane, id)).copied() else { return };
        let slept = self.farm.truth(machine, self.now).asleep;
        let (port, peer) = (request.port, Ipv4Addr::LOCALHOST);
        let call = Call { port, peer, bytes: &request.bytes };
        let answer = self.farm.call(machine, self.now, self.now, call);
        if slept && !self.farm.truth(machine, self.now).asleep {
            let cohort = usize::from(self.site.machines[machine.index()].cohort.0);
            self.outcome.starts[cohort] += 1;
        }
        let (result, delay) = match answer {
            ApiAnswer::Reply(bytes) => {
                (framed(request.framing, bytes), self.farm.answer_delay(machine))
            }
            ApiAnswer::Later(bytes, takes) => {
                (framed(request.framing, bytes), takes + self.farm.answer_delay(machine))
            }
            ApiAnswer::Close => (Err(Failure::Reset), Span::ZERO),
            ApiAnswer::Refuse => (Err(Failure::Connect), Span::ZERO),
            ApiAnswer::Never => (Err(Failure::Timeout), flight.ends.since(self.now)),
        };
        let at = self.now + delay;
        if at == self.now {
            return self.lands(lane, id, result);
        }
        let late = at >= flight.ends;
        let (at, result) = if late { (flight.ends, Err(Failure::Timeout)) } else { (at, result) };
        let due = Due::Answers { lane, request: id, result };
        let due = self.queue.push(at, Class::Wire, due);
        self.flying.0.insert((lane, id), Flight { due, ..flight });
    }

    /// The driver sees the end of a request.
    pub(super) fn lands(
        &mut self,
        lane: usize,
        request: RequestId,
        result: Result<Vec<u8>, Failure>,
    ) {
        if self.flying.0.remove(&(lane, request)).is_none() {
            return;
        }
        match result {
            Ok(bytes) => self.call(lane, Input::Reply { request, bytes: &bytes }),
            Err(failure) => self.call(lane, Input::Failed { request, failure }),
        }
    }
}

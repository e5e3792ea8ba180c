//! The driver over other families, with machines that are one function each.

use super::farm::site;
use crate::family::KINDS;
use crate::fleet::{FleetDriver, Options};
use crate::{Driver, Failure, Framing, Input, Output, Port, Request, RequestId};
use headgate_core::fleet::{Answer, DriverId, Level, Link, MachineId, TargetPhase};
use headgate_core::plan::{Change, DispatchPlan};
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

const DEFAULT: Level = Level(4);

type Reply = (Result<Vec<u8>, Failure>, Span);
type Landing = (MachineId, Result<Vec<u8>, Failure>);
type Machine<'a> = Box<dyn FnMut(Time, &Request) -> Reply + 'a>;

/// A driver of a few machines that all are the same function.
pub(super) struct Bench<'a> {
    pub driver: FleetDriver,
    pub now: Time,
    machine: Machine<'a>,
    wire: BTreeMap<(Time, RequestId), Landing>,
    wake: Option<Time>,
    generation: u64,
}

impl<'a> Bench<'a> {
    pub(super) fn new(kind: &str, machines: u32, machine: Machine<'a>) -> Self {
        let mut site = site(machines);
        site.drivers[0].kind = kind.into();
        let driver = FleetDriver::new(DriverId(0), &site, Options::default()).unwrap();
        let now = Time::from_seconds(1_773_869_570);
        let wire = BTreeMap::new();
        let mut bench = Self { driver, now, machine, wire, wake: None, generation: 0 };
        bench.input(Input::ReadBack);
        bench.run_for(Span::seconds(20));
        bench
    }

    fn input(&mut self, input: Input<'_>) {
        let mut out = Output::default();
        self.driver.on(self.now, input, &mut out);
        for id in out.cancel {
            self.wire.retain(|(_, r), _| *r != id);
        }
        for request in out.requests {
            let idle = self.wire.values().all(|(m, _)| *m != request.machine);
            assert!(idle, "one request a machine");
            let (result, takes) = (self.machine)(self.now, &request);
            let late = takes >= request.budget;
            let result = if late { Err(Failure::Timeout) } else { result };
            let at = self.now + takes.min(request.budget);
            self.wire.insert((at, request.id), (request.machine, result));
        }
        self.wake = out.wake;
    }

    pub(super) fn tell(&mut self, level: Level) {
        self.tell_for(level, Span::minutes(5));
    }

    fn tell_for(&mut self, level: Level, lease: Span) {
        self.generation += 1;
        let changes = vec![Change { machine: MachineId(0), level }];
        let valid_until = self.now + lease;
        let (generation, at) = (self.generation, self.now);
        let plan = DispatchPlan { generation, at, cause: 1, valid_until, changes };
        self.input(Input::Plan(&plan));
    }

    pub(super) fn run_for(&mut self, span: Span) {
        let end = self.now + span;
        for _ in 0..200_000 {
            let lands = self.wire.first_key_value().map(|((at, _), _)| *at);
            let next = [lands, self.wake].into_iter().flatten().min().unwrap_or(end);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if lands == Some(next) {
                let ((_, request), (_, result)) = self.wire.pop_first().unwrap();
                match result {
                    Ok(bytes) => self.input(Input::Reply { request, bytes: &bytes }),
                    Err(failure) => self.input(Input::Failed { request, failure }),
                }
            } else {
                self.input(Input::Timer);
            }
        }
        panic!("time stands still");
    }
}

fn http(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A stock Antminer without a password that answers a write after 21 s and falls at once.
fn antminer(tells_watts: bool, obeys: bool) -> Machine<'static> {
    let mut mode = 0;
    Box::new(move |_, request| {
        let soon = Span::millis(20);
        if request.port == Port::Aux {
            let watts = if mode == 1 { 40 } else { 2790 };
            let row = if tells_watts { format!(r#"{{"watt":{watts}}}"#) } else { "{}".into() };
            return (Ok(format!(r#"{{"STATUS":[],"STATS":[{row}]}}"#).into_bytes()), soon);
        }
        let text = String::from_utf8_lossy(&request.bytes);
        if text.starts_with("POST") {
            mode = i32::from(text.contains("\"miner-mode\":1") && obeys);
            return (Ok(http(r#"{"stats":"success","code":"M000"}"#)), Span::seconds(21));
        }
        let pools = r#"[{"url":"stratum+tcp://pool.example:3333","user":"a","pass":"b"}]"#;
        let body = format!(r#"{{"pools":{pools},"bitmain-work-mode":"{mode}"}}"#);
        (Ok(http(&body)), soon)
    })
}

#[test]
fn a_slow_machine_is_told_once_and_proven_by_its_watts() {
    let mut bench = Bench::new("antminer", 1, antminer(true, true));
    bench.tell(Level::SLEEP);
    bench.run_for(Span::seconds(10));
    let view = bench.driver.machine_view(MachineId(0)).unwrap();
    assert_eq!(view.phase, TargetPhase::Dispatched, "sent is not silent: {view:?}");
    assert_eq!(view.acked, None);
    bench.run_for(Span::seconds(60));
    let view = bench.driver.machine_view(MachineId(0)).unwrap();
    assert_eq!((view.phase, view.reason), (TargetPhase::Confirmed, None));
    let c = bench.driver.counts();
    assert_eq!((c.commands, c.confirmed, c.open), (1, 1, 0), "{c:?}");
    assert_eq!(c.acked + c.unconfirmed, 1, "{c:?}");
}

#[test]
fn a_machine_without_watts_is_never_proven_and_never_silent() {
    let mut bench = Bench::new("antminer", 1, antminer(false, true));
    bench.tell(Level::SLEEP);
    bench.run_for(Span::minutes(3));
    let view = bench.driver.machine_view(MachineId(0)).unwrap();
    assert_eq!((view.phase, view.link), (TargetPhase::Unavailable, Link::Fresh));
    assert_eq!(view.measured, None, "unknown is not off");
    assert_eq!(view.acked.map(|a| a.value), Some(Answer::Accepted), "read back it says yes");
    insta::assert_snapshot!(
        view.reason.unwrap(),
        @"it tells no watts: only a meter can prove what it does"
    );
}

#[test]
fn a_write_without_effect_is_refused_by_what_was_read_back() {
    let mut bench = Bench::new("antminer", 1, antminer(true, false));
    bench.tell(Level::SLEEP);
    bench.run_for(Span::minutes(3));
    let view = bench.driver.machine_view(MachineId(0)).unwrap();
    assert_eq!(view.phase, TargetPhase::Unavailable);
    assert_eq!(view.reason, Some("it was written twice and its mode is as it was"));
    assert_eq!(view.measured.map(|w| w.value), Some(Power(2790)));
}

#[test]
fn what_needed_no_word_is_not_taken_for_the_newer_targets_answer() {
    let mut bench = Bench::new("antminer", 1, antminer(true, true));
    // It works already: reading that is all there is to do. Before the reply a sleep is wanted.
    bench.tell(DEFAULT);
    bench.tell(Level::SLEEP);
    bench.run_for(Span::minutes(2));
    let view = bench.driver.machine_view(MachineId(0)).unwrap();
    assert_eq!(view.phase, TargetPhase::Confirmed);
    assert_eq!(view.told.map(|t| t.value), Some(Level::SLEEP));
    assert_eq!(view.measured.map(|w| w.value), Some(Power(40)), "it really sleeps");
}

#[test]
fn a_newer_target_does_not_wait_for_a_slow_machine_to_be_read_back() {
    let mut bench = Bench::new("antminer", 1, antminer(true, true));
    bench.tell(Level::SLEEP);
    // The write got no answer within its 5 s, and what became of it is not read back yet.
    bench.run_for(Span::seconds(8));
    bench.tell(DEFAULT);
    bench.run_for(Span::seconds(1));
    let told = bench.driver.machine_view(MachineId(0)).unwrap().told;
    assert_eq!(told.map(|t| t.value), Some(DEFAULT));
    bench.run_for(Span::minutes(12));
    let view = bench.driver.machine_view(MachineId(0)).unwrap();
    assert_eq!(view.phase, TargetPhase::Confirmed);
    assert_eq!(view.measured.map(|w| w.value), Some(Power(2790)));
    let c = bench.driver.counts();
    assert_eq!((c.commands, c.superseded, c.confirmed), (2, 1, 1), "{c:?}");
    assert_eq!((c.unconfirmed, c.timed_out), (1, 0), "{c:?}");
}

#[test]
fn a_write_is_not_told_again_after_its_lease() {
    let mut writes = 0;
    let mut machine = antminer(true, false);
    let mut bench = Bench::new(
        "antminer",
        1,
        Box::new(|now, request| {
            writes += usize::from(request.bytes.starts_with(b"POST"));
            machine(now, request)
        }),
    );
    // The first write is answered late; by then the lease is over.
    bench.tell_for(Level::SLEEP, Span::seconds(10));
    bench.run_for(Span::minutes(5));
    assert_eq!(bench.driver.counts().open, 0);
    drop(bench);
    assert_eq!(writes, 1);
}

#[test]
fn a_level_that_a_firmware_does_not_know_is_refused_unsaid() {
    let mut bench = Bench::new("antminer", 1, antminer(true, true));
    bench.tell(Level(2));
    bench.run_for(Span::seconds(10));
    assert_eq!(bench.driver.counts().commands, 0);
    let why = bench.driver.refused_reason(MachineId(0)).unwrap();
    insta::assert_snapshot!(why, @"its firmware knows no level between sleep and its default");
    bench.tell(DEFAULT);
    bench.run_for(Span::minutes(1));
    assert_eq!(bench.driver.counts().confirmed, 1);
}

#[test]
fn a_whatsminer_is_told_in_one_trip_and_told_its_power_anew_after_a_sleep() {
    use crate::whatsminer::v2::tests::played;
    let machine = RefCell::new(played());
    machine.borrow_mut().password = "admin";
    machine.borrow_mut().limit = 2794;
    let trips = Cell::new(0);
    let answer = |_, request: &Request| {
        trips.set(trips.get() + 1);
        (machine.borrow_mut().answer(&request.bytes), Span::millis(20))
    };
    let mut bench = Bench::new("whatsminer2", 1, Box::new(answer));
    let mut tell = |level, wrote: &[&str]| {
        machine.borrow_mut().wrote.clear();
        trips.set(0);
        bench.tell(level);
        bench.run_for(Span::millis(100));
        let first = trips.get();
        bench.run_for(Span::minutes(15));
        let machine = machine.borrow();
        let said = |w: &serde_json::Value| w["cmd"].as_str().unwrap().to_owned();
        assert_eq!(machine.wrote.iter().map(said).collect::<Vec<_>>(), wrote);
        let view = bench.driver.machine_view(MachineId(0)).unwrap();
        assert_eq!(view.phase, TargetPhase::Confirmed, "{view:?}");
        first
    };
    assert_eq!(tell(Level::SLEEP, &["power_off"]), 1, "its token was fetched by the readings");
    // 2192 W: the limit is read, then both are said.
    assert_eq!(tell(Level(3), &["power_on", "set_power_pct"]), 3);
    assert_eq!(tell(Level(2), &["set_power_pct"]), 2);
    tell(Level::SLEEP, &["power_off"]);
    tell(Level(2), &["power_on", "set_power_pct"]);
    tell(Level::SLEEP, &["power_off"]);
    assert_eq!(tell(DEFAULT, &["power_on"]), 1, "it starts at its default by itself");
}

/// Replies as machines give them, to be mangled.
const CAPTURES: [&str; 13] = [
    r#"{"STATUS":[{"STATUS":"S","Code":22,"Msg":"x"}],"POWER":[{"PSU":true,"Watts":1051}]}"#,
    r#"{"STATUS":[{"STATUS":"S","Code":22,"Msg":"x"}],"POWER":[{"PSU":true,"Watts":nan}]}"#,
    r#"{"STATUS":[{"STATUS":"S","Code":22,"Msg":"x"}],"SESSION":[{"SessionID":"yJN2nlj1"}]}"#,
    "<html><body>login</body></html>",
    r#"{"STATUS":[{"STATUS":"S","Msg":"Summary"}],"SUMMARY":[{"Power":3434,"Power Limit":3600}]}"#,
    r#"{"STATUS":"S","Code":134,"Msg":{"time":"5626","salt":"BQ5hoXV9","newsalt":"jbzkfQls"}}"#,
    r#"{"enc":"YJracrWpLn2XvqWuNiNqyg70K64pfivIJhwE32DXNCc="}"#,
    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"antMiner Configuration\", \
     nonce=\"5f\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n\
     {\"pools\":[{\"url\":\"a\",\"user\":\"b\",\"pass\":\"c\"}],\"bitmain-work-mode\":\"0\"}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
     1c\r\n{\"token\":\"t\",\"timeout_s\":3600}\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 61\r\n\r\n\
     {\"power_stats\":{\"approximated_consumption\":{\"watt\":3150}},\"a\":1}",
    r#"{"code":0,"msg":{"salt":"uhCiDyVj","summary":{"power-realtime":3156,"power-limit":3600}}}"#,
    r#"{"STATUS":[{"STATUS":"S","Code":70}],"STATS":[{"MM ID0":"PS[0 1 2 3 3250] SoftOFF[0]"}]}"#,
];

fn mangled() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5);
    let cut = prop::option::of(any::<prop::sample::Index>());
    (0..CAPTURES.len(), edits, cut).prop_map(|(which, edits, cut)| {
        let mut bytes = CAPTURES[which].as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            // Missing commas, raw newlines, NULs and any other byte.
            match byte % 3 {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b'\n'),
            }
        }
        bytes.truncate(cut.map_or(bytes.len(), |c| c.index(bytes.len() + 1)));
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..Default::default()
    })]

    /// Whatever a machine of whatever family answers, every command ends, and one that was not
    /// proven says why.
    #[test]
    fn hostile_replies_end_every_command_with_a_reason(
        replies in prop::collection::vec(mangled(), 1..12),
        levels in prop::collection::vec(prop_oneof![Just(Level::SLEEP), Just(DEFAULT)], 1..4),
    ) {
        for kind in KINDS {
            let mut next = replies.iter().cycle();
            let machine = move |_: Time, request: &Request| {
                let mut bytes = next.next().cloned().unwrap_or_default();
                // What is mangled has to get past its length to be read at all.
                if request.framing == Framing::LengthLe && bytes.len() % 4 != 0 {
                    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
                    bytes.splice(..0, length);
                }
                (crate::frame::framed(request.framing, bytes), Span::millis(20))
            };
            let mut bench = Bench::new(kind, 1, Box::new(machine));
            for level in &levels {
                bench.tell(*level);
                bench.run_for(Span::seconds(30));
            }
            bench.run_for(Span::minutes(20));
            let c = bench.driver.counts();
            prop_assert_eq!(c.open, 0, "{} {:?}", kind, c);
            prop_assert_eq!(c.commands, c.acked + c.refused + c.timed_out + c.unconfirmed);
            prop_assert_eq!(c.commands, c.confirmed + c.drifted + c.unavailable + c.superseded);
            let view = bench.driver.machine_view(MachineId(0)).unwrap();
            if view.phase == TargetPhase::Unavailable {
                let reason = view.reason.unwrap_or_default();
                prop_assert!(!reason.is_empty(), "{} {:?}", kind, view);
                prop_assert!(reason.chars().count() <= 240);
            }
        }
    }
}

/// A stock Antminer that loses its pools with the first write, and cannot be reached for the
/// second as often as said; told to sleep for a lease, and to work after so many seconds.
fn pools_are_back(lease: Span, work_after: Option<Span>, unreached: u32) {
    let pools = serde_json::json!([{"url": "stratum+tcp://pool.example:3333"}]);
    let config = RefCell::new(serde_json::json!({"pools": pools, "bitmain-work-mode": "0"}));
    let (writes, misses) = (Cell::new(0), Cell::new(unreached));
    let machine = |_: Time, request: &Request| {
        let text = String::from_utf8_lossy(&request.bytes);
        let reply = |body: &str| {
            let length = body.len();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
        };
        let (soon, late) = (Span::seconds(1), Span::seconds(9));
        if request.port == Port::Aux {
            return (Ok(br#"{"STATS":[{"power":2794}]}"#.to_vec()), soon);
        }
        if text.starts_with("GET ") {
            return (Ok(reply(&config.borrow().to_string())), soon);
        }
        if writes.get() > 0 && misses.get() > 0 {
            misses.set(misses.get() - 1);
            return (Err(Failure::Connect), soon);
        }
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let mut written: serde_json::Value = serde_json::from_str(body).unwrap();
        written["bitmain-work-mode"] = written["miner-mode"].take();
        writes.set(writes.get() + 1);
        if writes.get() == 1 {
            written["pools"] = serde_json::json!([]);
        }
        *config.borrow_mut() = written;
        (Ok(reply(r#"{"code":"M000"}"#)), if writes.get() == 1 { late } else { soon })
    };
    let mut bench = Bench::new("antminer", 1, Box::new(machine));
    bench.tell_for(Level::SLEEP, lease);
    if let Some(after) = work_after {
        bench.run_for(after);
        bench.tell(DEFAULT);
    }
    bench.run_for(Span::minutes(4));
    drop(bench);
    let case = format!("{lease:?} {work_after:?} {unreached}: {}", config.borrow());
    assert_eq!(config.borrow()["pools"], pools, "{case}");
    let mode = if work_after.is_some() { 0 } else { 1 };
    assert_eq!(config.borrow()["bitmain-work-mode"], mode, "{case}");
}

#[test]
fn pools_are_written_back_past_the_lease_and_before_a_newer_plan() {
    let (short, long) = (Span::seconds(10), Span::minutes(5));
    pools_are_back(long, None, 0);
    pools_are_back(short, None, 0);
    pools_are_back(short, None, 2);
    for unreached in [0, 2] {
        // 1 s to read, 5 s for the write, 15 s of patience, 1 s to read it back.
        for tenths in [213, 217, 221, 225, 300] {
            pools_are_back(long, Some(Span::millis(100 * tenths)), unreached);
        }
    }
}

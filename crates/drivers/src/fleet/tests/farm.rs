//! LuxOS machines played in memory: sessions, sleep, profiles, ramps and bad habits.

use crate::fleet::{FleetDriver, Options};
use crate::{Driver, Failure, Input, Output, Request, RequestId};
use headgate_core::event::AutomationMode;
use headgate_core::fleet::{
    CohortId, DriverId, Level, MachineId, MachineReport, OperatingPoint, PowerCurve, TelemetryBatch,
};
use headgate_core::market::SettlementPoint;
use headgate_core::plan::{Change, DispatchPlan};
use headgate_core::site::{
    Cohort, DriverSpec, Failsafe, MachineSpec, MachineTimes, MarketRule, Overhead, Policy,
    PolicyRule, PriceLoss, Site, SiteLimits, Value,
};
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Power, Price, Rate};
use std::collections::BTreeMap;
use std::ops::Range;

pub const SLEEP_WATTS: i64 = 30;
pub const TOP_WATTS: i64 = 2794;
pub const CONCURRENCY: usize = 64;
pub const BUDGET: Span = Span::seconds(2);
const DELAY: Span = Span::millis(20);
const DOWN: Span = Span::seconds(6);
const UP: Span = Span::seconds(240);

pub fn curve(points: &[(i64, i64)]) -> PowerCurve {
    let points: Vec<_> =
        points.iter().map(|(w, r)| OperatingPoint { power: Power(*w), rate: Rate(*r) }).collect();
    PowerCurve::new(Power(SLEEP_WATTS), &points).unwrap()
}

pub fn site(machines: u32) -> Site {
    let levels =
        [(784, 39_200), (1414, 70_200), (2192, 101_100), (TOP_WATTS, 121_800), (3119, 132_100)];
    Site {
        name: "test".into(),
        config_hash: String::new(),
        timezone: "UTC".into(),
        market: MarketRule {
            name: "ercot".into(),
            currency: "USD".into(),
            dispatch_step: Span::minutes(5),
            settle_step: Span::minutes(15),
        },
        point: SettlementPoint { name: "LZ_WEST".into(), kind: "LZ".into() },
        overhead: Overhead { share_ppm: 0, fixed: Power::ZERO },
        limits: SiteLimits { import: Power(9_000_000), ramp_up: None, ramp_down: None, step: None },
        blocks: Vec::new(),
        import_adder: Price::ZERO,
        value: Value::Energy(Price::ZERO),
        cohorts: vec![Cohort {
            name: "s19kpro".into(),
            driver: DriverId(0),
            curve: curve(&levels),
            overclocked: 1,
            times: MachineTimes {
                down: Span::seconds(8),
                up: Span::seconds(300),
                min_on: Span::ZERO,
                min_off: Span::ZERO,
            },
            start_cost: Money::ZERO,
            starts_per_day: 6,
            strike: None,
            value: None,
        }],
        machines: (0..machines)
            .map(|m| MachineSpec {
                address: format!("127.1.{}.{}:4028", m / 250, m % 250 + 1),
                cohort: CohortId(0),
                excluded: false,
            })
            .collect(),
        policy: Policy {
            mode: AutomationMode::Auto,
            rule: PolicyRule::AlwaysOn,
            starts_per_hour: 600,
        },
        feeds: Vec::new(),
        drivers: vec![DriverSpec {
            name: "luxos".into(),
            kind: "luxos".into(),
            port: 4028,
            request_budget: BUDGET,
            poll_watts: Span::seconds(30),
            concurrency: u32::try_from(CONCURRENCY).unwrap(),
        }],
        meters: Vec::new(),
        failsafe: Failsafe {
            dispatch_price: PriceLoss {
                hold: Span::minutes(15),
                day_ahead: false,
                otherwise: Power::ZERO,
            },
            meter_hold: Span::seconds(10),
            telemetry_hold: Span::seconds(90),
        },
    }
}

/// How a machine behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// As it should.
    Good,
    /// Accepts connections and never answers.
    Mute,
    /// Says yes and changes nothing.
    Lies,
    /// Does as told and never answers the command.
    MuteAfterAccept,
    /// Says no.
    Refuses,
    /// Answers with a web page.
    WebPage,
    /// Refuses connections.
    Dead,
    /// Forgets its session at once.
    Forgets,
}

#[derive(Debug)]
pub struct Played {
    pub habit: Habit,
    pub session: Option<String>,
    /// The session is another controller's.
    pub theirs: bool,
    /// Commands that reached it.
    pub commands: Vec<String>,
    /// Words of every request that reached it.
    pub heard: Vec<String>,
    asleep: bool,
    profile: i64,
    from: i64,
    to: i64,
    since: Time,
    ramp: Span,
    sessions: u32,
}

fn status(letter: &str, code: i64, msg: &str) -> String {
    format!(r#""STATUS":[{{"STATUS":"{letter}","Code":{code},"Msg":"{msg}"}}],"id":1"#)
}

fn plain(letter: &str, code: i64, msg: &str) -> Result<Vec<u8>, Failure> {
    Ok(format!("{{{}}}", status(letter, code, msg)).into_bytes())
}

impl Played {
    pub fn draw(&mut self, now: Time, watts: i64, ramp: Span) {
        self.from = self.watts(now);
        (self.to, self.since, self.ramp) = (watts, now, ramp);
    }

    pub fn asleep_from_the_start(&mut self, now: Time) {
        self.asleep = true;
        self.draw(now, SLEEP_WATTS, Span(1));
        self.from = SLEEP_WATTS;
    }

    fn watts(&self, now: Time) -> i64 {
        let share = i128::from(now.since(self.since).0.clamp(0, self.ramp.0));
        let moved = i128::from(self.to - self.from) * share / i128::from(self.ramp.0);
        self.from + i64::try_from(moved).unwrap()
    }

    /// Does what a request asks and answers it.
    fn answer(&mut self, now: Time, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let request: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let command = request["command"].as_str().unwrap().to_owned();
        let parameter = request["parameter"].as_str().unwrap_or("").to_owned();
        self.heard.push(command.clone());
        match self.habit {
            Habit::Mute => return Err(Failure::Timeout),
            Habit::Dead => return Err(Failure::Connect),
            Habit::WebPage => return Ok(b"<html>".to_vec()),
            _ => {}
        }
        match command.as_str() {
            "power" => {
                let ok = status("S", 350, "Power");
                let w = self.watts(now);
                Ok(format!(r#"{{"POWER":[{{"PSU":true,"Watts":{w}}}],{ok}}}"#).into_bytes())
            }
            "config" => {
                let ok = status("S", 33, "Config");
                let mode = if self.asleep { "Sleep" } else { "None" };
                let row = format!(r#"{{"CurtailMode":"{mode}","Profile":"{}W"}}"#, self.profile);
                Ok(format!(r#"{{"CONFIG":[{row}],{ok}}}"#).into_bytes())
            }
            "logon" if self.session.is_some() => plain("E", 402, "Another session is active"),
            "logon" => {
                self.sessions += 1;
                let id = format!("s{}", self.sessions);
                let ok = status("S", 316, "Session created");
                self.session = (self.habit != Habit::Forgets).then(|| id.clone());
                Ok(format!(r#"{{"SESSION":[{{"SessionID":"{id}"}}],{ok}}}"#).into_bytes())
            }
            _ => {
                let (id, rest) = parameter.split_once(',').unwrap_or((&parameter, ""));
                if self.session.as_deref() != Some(id) {
                    return plain("E", 403, "Invalid session");
                }
                if command == "logoff" {
                    self.session = None;
                    return plain("S", 317, "Session terminated");
                }
                if self.habit == Habit::Refuses {
                    return plain("E", 336, "Not now");
                }
                self.commands.push(rest.to_owned());
                self.obey(now, rest);
                if self.habit == Habit::MuteAfterAccept {
                    return Err(Failure::Timeout);
                }
                plain("S", 335, "Curtailment command sent")
            }
        }
    }

    fn obey(&mut self, now: Time, what: &str) {
        if self.habit == Habit::Lies {
            return;
        }
        match what {
            "sleep" => {
                self.asleep = true;
                self.draw(now, SLEEP_WATTS, DOWN);
            }
            "wakeup" => {
                self.asleep = false;
                self.draw(now, self.profile, UP);
            }
            profile => {
                self.profile = profile.strip_suffix('W').unwrap().parse().unwrap();
                let ramp = if self.watts(now) > self.profile { DOWN } else { UP };
                self.draw(now, self.profile, ramp);
            }
        }
    }
}

/// Whose request lands, and how.
type Landing = (MachineId, Result<Vec<u8>, Failure>);

/// A driver with its machines and its clock.
#[derive(Debug)]
pub struct Farm {
    pub driver: FleetDriver,
    pub machines: Vec<Played>,
    pub now: Time,
    pub batches: Vec<TelemetryBatch>,
    pub last: Option<TelemetryBatch>,
    pub most_in_flight: usize,
    /// From when this side is out of descriptors.
    pub lack_from: Option<Time>,
    reported: BTreeMap<MachineId, MachineReport>,
    wire: BTreeMap<(Time, RequestId), Landing>,
    wake: Option<Time>,
    last_batch: Time,
}

impl Farm {
    pub fn new(machines: u32, habit: Habit) -> Self {
        Self::with(machines, habit, |_| {})
    }

    pub fn with(machines: u32, habit: Habit, edit: impl FnOnce(&mut Site)) -> Self {
        let now = Time::from_seconds(1_724_198_400);
        let mut site = site(machines);
        edit(&mut site);
        let played = |_| Played {
            habit,
            session: None,
            theirs: false,
            commands: Vec::new(),
            heard: Vec::new(),
            asleep: false,
            profile: TOP_WATTS,
            from: TOP_WATTS,
            to: TOP_WATTS,
            since: now,
            ramp: Span(1),
            sessions: 0,
        };
        Self {
            driver: FleetDriver::new(DriverId(0), &site, Options::default()).unwrap(),
            machines: (0..machines).map(played).collect(),
            now,
            batches: Vec::new(),
            last: None,
            most_in_flight: 0,
            lack_from: None,
            reported: BTreeMap::new(),
            wire: BTreeMap::new(),
            wake: None,
            last_batch: Time::MIN,
        }
    }

    pub fn plan(
        &self,
        generation: u64,
        who: Range<u32>,
        level: Level,
        lease: Span,
    ) -> DispatchPlan {
        let changes = who.map(|m| Change { machine: MachineId(m), level }).collect();
        DispatchPlan { generation, at: self.now, cause: 1, valid_until: self.now + lease, changes }
    }

    pub fn tell(&mut self, generation: u64, who: Range<u32>, level: Level) {
        let plan = self.plan(generation, who, level, Span::minutes(5));
        self.input(Input::Plan(&plan));
    }

    pub fn read_back(&mut self) {
        self.input(Input::ReadBack);
        self.run_until(|f| f.last.is_some());
    }

    pub fn reported(&self, m: u32) -> MachineReport {
        self.reported[&MachineId(m)]
    }

    pub fn input(&mut self, input: Input<'_>) {
        let mut out = Output::default();
        self.driver.on(self.now, input, &mut out);
        for id in out.cancel {
            self.wire.retain(|(_, r), _| *r != id);
        }
        for Request { id, machine, bytes, .. } in out.requests {
            assert!(self.wire.values().all(|(m, _)| *m != machine), "one request a machine");
            let lack = self.lack_from.is_some_and(|from| self.now >= from);
            let result = match lack {
                true => Err(Failure::Local),
                false => self.machines[machine.index()].answer(self.now, &bytes),
            };
            let takes = if result == Err(Failure::Timeout) { BUDGET } else { DELAY };
            self.wire.insert((self.now + takes, id), (machine, result));
        }
        self.most_in_flight = self.most_in_flight.max(self.wire.len());
        self.wake = out.wake;
        if let Some(batch) = out.telemetry {
            self.take_batch(batch);
        }
    }

    fn take_batch(&mut self, batch: TelemetryBatch) {
        let urgent = batch.machines.iter().any(|m| m.answer.is_some());
        let since = batch.at.since(self.last_batch);
        assert!(urgent || since >= Span::seconds(1), "a batch after {} ns", since.0);
        self.last_batch = batch.at;
        for report in &batch.machines {
            self.reported.insert(report.machine, *report);
        }
        let power: i64 = self.driver.machines.iter().filter_map(|m| m.watts).sum();
        assert_eq!(batch.cohorts[0].power, Power(power), "the running sum is the sum");
        self.last = Some(batch.clone());
        self.batches.push(batch);
    }

    /// Lets the next thing happen.
    fn step(&mut self) {
        let lands = self.wire.first_key_value().map(|((at, _), _)| *at);
        let wake = self.wake.unwrap_or(self.now);
        if let Some(at) = lands.filter(|at| *at <= wake) {
            let ((_, id), (_, result)) = self.wire.pop_first().unwrap();
            self.now = self.now.max(at);
            match result {
                Ok(bytes) => self.input(Input::Reply { request: id, bytes: &bytes }),
                Err(failure) => self.input(Input::Failed { request: id, failure }),
            }
        } else {
            self.now = self.now.max(wake);
            self.input(Input::Timer);
        }
    }

    pub fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..200_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("it never came to that: {:?}", self.driver.counts());
    }

    pub fn run_for(&mut self, span: Span) {
        let end = self.now + span;
        self.run_until(|f| f.now >= end);
    }

    /// Runs until nothing is open and the last word was said.
    pub fn settle(&mut self) {
        self.run_until(|f| f.driver.counts().open == 0);
        self.run_for(Span::seconds(2));
    }

    pub fn set_clock_back(&mut self, by: Span) {
        self.now = self.now - by;
        self.wire = std::mem::take(&mut self.wire)
            .into_iter()
            .map(|((at, id), v)| ((at - by, id), v))
            .collect();
        self.last_batch = self.last_batch - by;
        for m in &mut self.machines {
            m.since = m.since - by;
        }
        self.input(Input::Timer);
    }
}

//! A site on strings: events in, telemetry made up from what was told.

use headgate_core::engine::{Engine, Step};
use headgate_core::event::{Act, Event, FeedId, OperatorAct, Stamped};
use headgate_core::fleet::*;
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::site::Site;
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Power, Price, Rate};

pub struct World {
    pub engine: Engine,
    pub site: Site,
    pub now: Time,
    pub seq: u64,
    pub levels: Vec<Level>,
    pub generation: Vec<u64>,
    pub phase: Vec<TargetPhase>,
    /// Machines that acknowledge and keep drawing.
    pub liars: Vec<bool>,
    /// Those are heard of as on their way, and not as failed.
    pub silent_liars: bool,
    /// Liars say nothing once they are told something.
    pub mute: bool,
    /// How often a machine was told what it was told last.
    pub told_twice: usize,
    pub told: Vec<Option<Level>>,
    pub log: Vec<String>,
    pub reported: Vec<Option<Power>>,
    /// The price repeated every five minutes while time runs; `None` is a silent feed.
    pub repeats: Option<i64>,
    posted: Time,
}

impl World {
    pub fn new(site: Site) -> World {
        let n = site.machines.len();
        let top = site.cohorts[0].curve.top();
        let mut world = World {
            engine: Engine::new(),
            now: Time::from_seconds(1_724_198_400),
            seq: 0,
            levels: vec![top; n],
            generation: vec![0; n],
            phase: vec![TargetPhase::Confirmed; n],
            liars: vec![false; n],
            silent_liars: false,
            mute: false,
            told_twice: 0,
            told: vec![None; n],
            log: Vec::new(),
            reported: vec![None; n],
            repeats: None,
            posted: Time::MIN,
            site: site.clone(),
        };
        world.feed(Event::Started { version: "test".into(), epoch: 1 });
        world.feed(Event::Configured(Box::new(site)));
        world.telemetry();
        world
    }

    pub fn feed(&mut self, event: Event) -> Step {
        self.seq += 1;
        let step = self.engine.step(&Stamped { seq: self.seq, at: self.now, event });
        if let Some(d) = &step.decision {
            self.log.push(d.to_string());
        }
        for a in &step.alarms {
            let verb = if a.raised { "raised" } else { "cleared" };
            self.log.push(format!("{} alarm {verb}: {}", self.now, a.text));
        }
        if let Some(plan) = &step.plan {
            assert_eq!(plan.cause, self.seq, "no command without its cause");
            for c in &plan.changes {
                let i = c.machine.index();
                self.generation[i] = plan.generation;
                self.phase[i] = TargetPhase::Confirmed;
                self.told_twice += usize::from(self.told[i] == Some(c.level));
                self.told[i] = Some(c.level);
                if self.liars[i] && self.silent_liars {
                    self.phase[i] = TargetPhase::Dispatched;
                } else if self.liars[i] {
                    let mute = self.mute;
                    self.phase[i] =
                        if mute { TargetPhase::Unavailable } else { TargetPhase::Drifted };
                } else {
                    self.levels[i] = c.level;
                }
            }
        }
        self.engine_agrees_with_a_recount();
        step
    }

    fn engine_agrees_with_a_recount(&self) {
        assert_eq!(self.engine.roster().tallies(), self.engine.roster().recounted());
    }

    pub fn watts(&self, i: usize) -> Power {
        let cohort = usize::from(self.site.machines[i].cohort.0);
        self.site.cohorts[cohort].curve.at(self.levels[i]).power
    }

    fn is_mute(&self, i: usize) -> bool {
        self.mute && self.liars[i] && self.told[i].is_some()
    }

    /// One batch that tells the truth about every machine that changed.
    pub fn telemetry(&mut self) -> Step {
        let n = self.levels.len();
        let machines: Vec<MachineReport> = (0..n)
            .filter(|i| self.reported[*i] != Some(self.watts(*i)) || self.generation[*i] > 0)
            .map(|i| MachineReport {
                machine: MachineId(u32::try_from(i).unwrap()),
                generation: self.generation[i],
                phase: self.phase[i],
                link: if self.is_mute(i) { Link::Silent } else { Link::Fresh },
                answer: (self.generation[i] > 0).then_some(if self.is_mute(i) {
                    Answer::TimedOut
                } else {
                    Answer::Accepted
                }),
                declared: None,
                watts: Some(self.watts(i)),
                measured_at: Some(self.now),
            })
            .collect();
        for m in &machines {
            self.reported[m.machine.index()] = m.watts;
        }
        let power: Power = (0..n).map(|i| self.watts(i)).sum();
        let rate: i64 = (0..n).map(|i| self.site.cohorts[0].curve.at(self.levels[i]).rate.0).sum();
        let cohorts = vec![CohortSum {
            cohort: CohortId(0),
            heard: u32::try_from(n).unwrap(),
            silent: 0,
            power,
            rate: Rate(rate),
            oldest: Some(self.now),
        }];
        self.feed(Event::Telemetry(TelemetryBatch {
            driver: DriverId(0),
            at: self.now,
            cohorts,
            machines,
        }))
    }

    pub fn price(&mut self, usd: i64) -> Step {
        self.repeats = Some(usd);
        self.posted = self.now;
        let interval = Interval::starting(self.now, Span::minutes(5));
        let price = Price(usd * 1_000_000);
        let rows = vec![PriceRow { interval, price, known_at: self.now }];
        self.feed(Event::Prices { feed: FeedId(0), kind: PriceKind::Dispatch, rows })
    }

    /// The program dies and starts again on its snapshot; machines are to be read back.
    pub fn restart(&mut self) {
        let bytes = postcard::to_stdvec(&self.engine).unwrap();
        self.engine = postcard::from_bytes::<Engine>(&bytes).unwrap();
        self.generation.fill(0);
        self.phase.fill(TargetPhase::Confirmed);
        self.reported.fill(None);
        self.told.fill(None);
        self.feed(Event::Started { version: "test".into(), epoch: 2 });
        let site = Box::new(self.site.clone());
        self.feed(Event::Configured(site));
    }

    /// The price repeated, where it is due.
    pub fn price_again(&mut self) {
        if let Some(usd) = self.repeats.filter(|_| self.now >= self.posted + Span::minutes(5)) {
            self.price(usd);
        }
    }

    pub fn operator(&mut self, act: Act) -> Step {
        let (actor, reason) = ("desk".to_string(), "test".to_string());
        self.feed(Event::Operator(OperatorAct { actor, reason, act }))
    }

    /// Lets time pass, ticking whenever the engine asked to be called.
    pub fn run(&mut self, span: Span) {
        let end = self.now + span;
        let mut wake = self.feed(Event::Tick).wake;
        loop {
            let post = self.repeats.map_or(Time::MAX, |_| self.posted + Span::minutes(5));
            let next = wake.min(post);
            if next >= end {
                break;
            }
            assert!(wake > self.now, "the engine asks for a later time");
            self.now = next.max(self.now);
            let told = match self.repeats.filter(|_| self.now >= post) {
                Some(usd) => self.price(usd),
                None => self.feed(Event::Tick),
            };
            wake = if told.plan.is_some() { self.telemetry().wake } else { told.wake };
        }
        self.now = end;
        self.telemetry();
    }

    pub fn import(&self) -> Power {
        let sum: Power = (0..self.levels.len()).map(|i| self.watts(i)).sum();
        self.site.overhead.meter(sum)
    }

    pub fn awake(&self) -> usize {
        self.levels.iter().filter(|l| **l > Level::SLEEP).count()
    }
}

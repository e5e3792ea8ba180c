//! The virtual-time world: recorded events in, the same engine and the same drivers in the
//! middle, a simulated farm at the far end, and no clock and no socket anywhere.
//!
//! One thread takes one due thing after another, in order of time, then kind, then arrival, so
//! that the same site, farm, options and events always lead to the same steps. A request takes
//! simulated time, a machine that does not answer costs its budget, and the farm's own meter
//! says what was really drawn.

mod account;
mod queue;
mod readings;
#[doc(hidden)]
pub mod testing;
mod wire;

pub use account::{Account, IntervalMeter, SettleError, settle};
pub use account::{Case, Compared, counterfactual, mean_breakeven};
pub(crate) use account::{entry, revenue};
pub use readings::{Feeder, Observe};

use crate::farm::{Farm, MeterReading};
use crate::rng::SplitMix;
use headgate_core::engine::{Engine, Step};
use headgate_core::event::{Event, Stamped};
use headgate_core::fleet::{DriverId, MachineId, TargetPhase, TelemetryBatch};
use headgate_core::plan::DispatchPlan;
use headgate_core::site::Site;
use headgate_core::time::{Interval, Span, Time};
use headgate_drivers::family::KINDS;
use headgate_drivers::fleet::{FleetDriver, FleetError, Options};
use headgate_drivers::{Counts, Driver, Input, Output};
use queue::{Class, Due, Queue};
use std::collections::VecDeque;
use wire::Flying;

/// Shortest pause before a driver is called again: a wake in the past must not stop time.
const WAKE_LEAST: Span = Span::millis(1);
/// Events that may follow from one another at one moment; more is a loop, not a world.
const CHAIN_MAX: usize = 10_000;

/// How a world runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldOptions {
    /// When it begins; the farm has begun by then.
    pub start: Time,
    /// Simulated time one request takes there and back, beside the machine's own answer delay.
    pub latency: Span,
    /// Up to so much longer, drawn for each request.
    pub jitter: Span,
    /// Simulated time a request may take; as the driver says when `None`. An accelerated live
    /// run has a wall-time budget, which is more simulated time than the driver's spec says.
    pub request_budget: Option<Span>,
    /// How the drivers behave.
    pub driver: Options,
    /// How readings are injected behind the parsers; polled on the wire when `None`.
    pub observe: Option<Observe>,
    /// The site's own meter, read into its first reporting meter; nothing reads it when `None`.
    pub feeder: Option<Feeder>,
    /// Chooses what is left to chance.
    pub seed: u64,
}

impl WorldOptions {
    /// Requests of 20 ms on an undisturbed wire.
    #[must_use]
    pub fn new(start: Time, seed: u64) -> Self {
        Self {
            start,
            latency: Span::millis(20),
            jitter: Span::ZERO,
            request_budget: None,
            driver: Options::default(),
            observe: None,
            feeder: None,
            seed,
        }
    }
}

/// Why a world cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The site has a driver that cannot be simulated.
    #[error("failed to build the world's driver")]
    Driver(#[source] FleetError),
    /// Site and farm are not of one size.
    #[error("failed to build the world: the site has {site} machines and the farm {farm}")]
    Machines {
        /// Machines of the site.
        site: usize,
        /// Machines of the farm.
        farm: usize,
    },
    /// Events must come in order of time.
    #[error("failed to build the world: event {index} at {at} comes before the one it follows")]
    Order {
        /// Which event, counted from 0.
        index: usize,
        /// Its time.
        at: Time,
    },
    /// A price would be told before it could be known.
    #[error("failed to build the world: event {index} at {at} tells a price known at {known_at}")]
    Foreknowledge {
        /// Which event, counted from 0.
        index: usize,
        /// Its time.
        at: Time,
        /// When its price could be known.
        known_at: Time,
    },
}

/// What a world led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What the simulator's own meter showed, by settlement interval.
    pub intervals: Vec<IntervalMeter>,
    /// The meter at the start and at the end.
    pub meter: (MeterReading, MeterReading),
    /// Events taken in by the engine.
    pub steps: u64,
    /// Decisions that differed from the one before.
    pub decisions: u64,
    /// Plans made.
    pub plans: u64,
    /// How the machine commands ended, over all drivers.
    pub counts: Counts,
    /// Machines really woken by our command, by cohort.
    pub starts: Vec<u64>,
    /// Longest time from a plan to a machine's yes.
    pub slowest_ack: Option<Span>,
    /// Longest time from a plan to the reading that proved it.
    pub slowest_confirm: Option<Span>,
    /// Requests put on the simulated wire.
    pub requests: u64,
    /// Readings injected behind the parsers.
    pub readings: u64,
}

/// What a machine was last told and since when it is awaited.
#[derive(Debug, Clone, Copy)]
struct Told {
    generation: u64,
    at: Time,
    acked: bool,
    confirmed: bool,
}

struct Lane {
    driver: FleetDriver,
    out: Output,
    wake: Option<queue::Key>,
}

/// A site, its engine, its drivers and a simulated farm in virtual time.
pub struct World {
    engine: Engine,
    site: Site,
    lanes: Vec<Lane>,
    farm: Farm,
    options: WorldOptions,
    rng: SplitMix,
    events: VecDeque<(Time, Event)>,
    queue: Queue,
    flying: Flying,
    inbox: VecDeque<Event>,
    engine_wake: Option<queue::Key>,
    now: Time,
    told: Vec<Told>,
    /// Machines told of late, read more often where readings are injected.
    proving: Vec<usize>,
    last_meter: MeterReading,
    begun: bool,
    outcome: Outcome,
}

/// Called with every event and the step that followed from it.
pub type OnStep<'a> = &'a mut dyn FnMut(&Stamped, &Step);

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now", &self.now).finish_non_exhaustive()
    }
}

impl World {
    /// Builds a world. Events are told to the engine at their times, in order; those before the
    /// start are told at the start.
    ///
    /// # Errors
    /// [`WorldError`] when site and farm do not fit, or events are out of order or foreknown.
    pub fn new(
        site: Site,
        mut farm: Farm,
        options: WorldOptions,
        events: Vec<(Time, Event)>,
    ) -> Result<Self, WorldError> {
        if site.machines.len() != farm.machines() {
            let (site, farm) = (site.machines.len(), farm.machines());
            return Err(WorldError::Machines { site, farm });
        }
        check(&events)?;
        let mut lanes = Vec::new();
        let mut driver_options = options.driver;
        driver_options.poll &= options.observe.is_none();
        for (id, spec) in (0u16..).zip(&site.drivers) {
            if KINDS.contains(&spec.kind.as_str()) {
                let driver = FleetDriver::new(DriverId(id), &site, driver_options);
                let driver = driver.map_err(WorldError::Driver)?;
                lanes.push(Lane { driver, out: Output::default(), wake: None });
            }
        }
        let first = farm.meter(options.start);
        let fresh = Told { generation: 0, at: Time::MIN, acked: true, confirmed: true };
        Ok(Self {
            engine: Engine::new(),
            lanes,
            rng: SplitMix::stream(options.seed, 77),
            events: events.into(),
            queue: Queue::default(),
            flying: Flying::default(),
            inbox: VecDeque::new(),
            engine_wake: None,
            now: options.start,
            told: vec![fresh; site.machines.len()],
            proving: Vec::new(),
            last_meter: first,
            begun: false,
            outcome: Outcome::new(&site, first),
            options,
            farm,
            site,
        })
    }

    /// Runs to a moment and says what came of it.
    #[must_use]
    pub fn run(mut self, until: Time, on_step: OnStep<'_>) -> Outcome {
        self.advance(until, on_step);
        self.finish()
    }

    /// Lets time pass: everything due before the moment happens, what is due at it does not.
    pub fn advance(&mut self, until: Time, on_step: OnStep<'_>) {
        if !self.begun {
            self.begin(on_step);
        }
        loop {
            let due = self.queue.next_at();
            let told = self.events.front().map(|(at, _)| (*at, Class::Told));
            let Some((at, class)) = [due, told].into_iter().flatten().min() else { break };
            if at >= until {
                break;
            }
            self.now = self.now.max(at);
            if told == Some((at, class)) {
                let (_, event) = self.events.pop_front().expect("its time was just read");
                self.inbox.push_back(event);
            } else if let Some(due) = self.queue.pop() {
                self.happen(due);
            }
            self.settle_inbox(on_step);
        }
        self.now = self.now.max(until);
    }

    /// Reads the meter a last time and says what came of it all.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        self.read_meter();
        for lane in &self.lanes {
            self.outcome.counts += lane.driver.counts();
        }
        self.outcome
    }

    /// The engine as it is now.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The farm's true meter now.
    pub fn meter(&mut self) -> MeterReading {
        self.farm.meter(self.now)
    }

    /// The farm, for what a test wants to happen to it.
    pub fn farm(&mut self) -> &mut Farm {
        &mut self.farm
    }

    fn begin(&mut self, on_step: OnStep<'_>) {
        self.begun = true;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.inbox.push_back(Event::Started { version, epoch: 1 });
        self.inbox.push_back(Event::Configured(Box::new(self.site.clone())));
        while self.events.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, event) = self.events.pop_front().expect("its time was just read");
            self.inbox.push_back(event);
        }
        self.settle_inbox(on_step);
        let boundary = self.now.interval(self.site.market.settle_step).end;
        self.queue.push(boundary, Class::Meter, Due::Meter);
        self.begin_readings();
        self.begin_feeder();
        for lane in 0..self.lanes.len() {
            self.call(lane, Input::ReadBack);
        }
        self.settle_inbox(on_step);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Meter => {
                self.read_meter();
                let next = self.now + self.site.market.settle_step;
                self.queue.push(next, Class::Meter, Due::Meter);
            }
            Due::Arrives { lane, request } => self.arrives(lane, request),
            Due::Answers { lane, request, result } => self.lands(lane, request, result),
            Due::Readings => self.readings(),
            Due::Feeder => self.read_feeder(),
            Due::Driver { lane } => {
                self.lanes[lane].wake = None;
                self.call(lane, Input::Timer);
            }
            Due::Engine => {
                self.engine_wake = None;
                self.inbox.push_back(Event::Tick);
            }
        }
    }

    /// Closes the metered interval that ends now.
    fn read_meter(&mut self) {
        let reading = self.farm.meter(self.now);
        let from = self.last_meter.at;
        if reading.at > from {
            let interval = Interval { start: from, end: reading.at };
            let between = IntervalMeter::between(&self.last_meter, &reading, interval);
            self.outcome.intervals.push(between);
            self.last_meter = reading;
            self.outcome.meter.1 = reading;
        }
    }

    /// Tells the engine what waits, and carries out what follows, until nothing more does.
    fn settle_inbox(&mut self, on_step: OnStep<'_>) {
        for _ in 0..CHAIN_MAX {
            let Some(event) = self.inbox.pop_front() else { return };
            if let Event::Telemetry(batch) = &event {
                self.note(batch);
            }
            self.outcome.steps += 1;
            let stamped = Stamped { seq: self.outcome.steps, at: self.now, event };
            let step = self.engine.step(&stamped);
            on_step(&stamped, &step);
            self.outcome.decisions += u64::from(step.decision.is_some());
            self.wake_engine(step.wake);
            if let Some(plan) = &step.plan {
                self.tell(plan);
            }
        }
        panic!("{CHAIN_MAX} events followed from one another at {}", self.now);
    }

    fn wake_engine(&mut self, at: Time) {
        if let Some(old) = self.engine_wake.take() {
            self.queue.remove(old);
        }
        let at = at.max(self.now + WAKE_LEAST);
        self.engine_wake = Some(self.queue.push(at, Class::Engine, Due::Engine));
    }

    fn tell(&mut self, plan: &DispatchPlan) {
        self.outcome.plans += 1;
        for c in &plan.changes {
            let (generation, at) = (plan.generation, self.now);
            self.told[c.machine.index()] = Told { generation, at, acked: false, confirmed: false };
        }
        if self.options.observe.is_some() {
            self.proving.extend(plan.changes.iter().map(|c| c.machine.index()));
        }
        for lane in 0..self.lanes.len() {
            self.call(lane, Input::Plan(plan));
        }
    }

    /// Calls a driver and carries out what it wants done.
    fn call(&mut self, lane: usize, input: Input<'_>) {
        let Lane { driver, out, .. } = &mut self.lanes[lane];
        driver.on(self.now, input, out);
        let mut out = std::mem::take(out);
        for request in out.cancel.drain(..) {
            self.abandon(lane, request);
        }
        for request in out.requests.drain(..) {
            self.send(lane, request);
        }
        if let Some(batch) = out.telemetry.take() {
            self.inbox.push_back(Event::Telemetry(batch));
        }
        let old = self.lanes[lane].wake.take();
        if let Some(old) = old {
            self.queue.remove(old);
        }
        if let Some(at) = out.wake.take() {
            let at = at.max(self.now + WAKE_LEAST);
            self.lanes[lane].wake = Some(self.queue.push(at, Class::Driver, Due::Driver { lane }));
        }
        self.lanes[lane].out = out;
    }

    /// Notes how long machines took to say yes and to be proven.
    fn note(&mut self, batch: &TelemetryBatch) {
        for report in &batch.machines {
            let told = self.told[report.machine.index()];
            if told.generation != report.generation || (told.acked && told.confirmed) {
                continue;
            }
            if !told.acked
                && let Some(at) = self.acked_at(report.machine)
            {
                self.told[report.machine.index()].acked = true;
                self.outcome.slowest_ack = self.outcome.slowest_ack.max(Some(at.since(told.at)));
            }
            if !told.confirmed && report.phase == TargetPhase::Confirmed {
                self.told[report.machine.index()].confirmed = true;
                let took = report.measured_at.map(|at| at.since(told.at));
                self.outcome.slowest_confirm = self.outcome.slowest_confirm.max(took);
            }
        }
    }

    fn acked_at(&self, machine: MachineId) -> Option<Time> {
        let view = self.lanes.iter().find_map(|l| l.driver.machine_view(machine))?;
        let acked = view.acked.filter(|a| a.value == headgate_core::fleet::Answer::Accepted)?;
        Some(acked.at)
    }
}

impl Outcome {
    fn new(site: &Site, meter: MeterReading) -> Self {
        Self {
            intervals: Vec::new(),
            meter: (meter, meter),
            steps: 0,
            decisions: 0,
            plans: 0,
            counts: Counts::default(),
            starts: vec![0; site.cohorts.len()],
            slowest_ack: None,
            slowest_confirm: None,
            requests: 0,
            readings: 0,
        }
    }
}

fn check(events: &[(Time, Event)]) -> Result<(), WorldError> {
    let mut last = Time::MIN;
    for (index, (at, event)) in events.iter().enumerate() {
        if *at < last {
            return Err(WorldError::Order { index, at: *at });
        }
        last = *at;
        let known_at = match event {
            Event::Prices { rows, .. } => rows.iter().map(|r| r.known_at).max(),
            Event::Value(h) => Some(h.known_at),
            _ => None,
        };
        if let Some(known_at) = known_at.filter(|k| k > at) {
            return Err(WorldError::Foreknowledge { index, at: *at, known_at });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

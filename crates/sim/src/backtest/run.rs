//! One policy's life through a tape: the live engine in virtual time.

use super::drawn::Drawn;
use super::scene::Scene;
use super::tape::Tape;
use headgate_core::engine::{Engine, Step};
use headgate_core::event::{CohortModel, Event, Stamped};
use headgate_core::horizon::unit::{LatticeError, UnitSpec};
use headgate_core::market::PriceRow;
use headgate_core::site::{PolicyRule, Site};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Energy, Money, Power};

/// History told before a span begins: what the engine can remember, and no more.
const HISTORY_MAX: Span = Span::hours(24 * 4);

/// How power is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// By the live engine, under one of its rules.
    Rule(PolicyRule),
    /// By the best plan in hindsight.
    PerfectForesight,
}

/// Models in force from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// From when on; models must have been trained on what was known before.
    pub from: Time,
    /// Those of each cohort that has one.
    pub models: Vec<CohortModel>,
}

/// How a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunOptions<'a> {
    /// How much later than it could be known every price is told, and its age counted from.
    pub lag: Span,
    /// What looking ahead goes by, in order of time; the engine's own rule where it is empty.
    pub models: &'a [Dated],
}

/// Power held for a while within one settlement interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// When.
    pub interval: Interval,
    /// Power at the meter.
    pub power: Power,
    /// Energy at the meter.
    pub energy: Energy,
    /// Energy of machines and units alone, without the site's overhead.
    pub machine_energy: Energy,
    /// Work done: rate x seconds, GH for hashing, W*s for units.
    pub work: i64,
    /// What the work was worth, at the hash price known by the segment's beginning.
    pub compute_revenue: Money,
    /// Starts made at its beginning, by machines and units together.
    pub starts: u32,
}

/// What a run led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Power over time, in order and without a gap over the tape's span.
    pub segments: Vec<Segment>,
    /// Starts by cohort, of machines where a cohort has machines.
    pub starts: Vec<u64>,
    /// What the starts cost.
    pub start_cost: Money,
    /// Engine steps taken; zero for the plan in hindsight.
    pub steps: u64,
    /// Power each unit was set to, and when, in order of time; before the first it is as it
    /// begins.
    pub set_points: Vec<Vec<(Time, Power)>>,
}

/// Why a run cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The site cannot be simulated.
    #[error("failed to simulate the site: {0}")]
    Site(String),
    /// There is no plan in hindsight.
    #[error("failed to plan in hindsight")]
    Hindsight(#[source] Box<super::HindsightError>),
    /// A unit admits no plan at the tape's step.
    #[error("failed to plan `{unit}` at the tape's step")]
    Unit {
        /// Its name.
        unit: String,
        /// Why.
        #[source]
        source: LatticeError,
    },
}

/// Called with every event and the step that followed from it.
pub type OnStep<'a> = &'a mut dyn FnMut(&Stamped, &Step);

/// Lives through a tape under a policy.
///
/// Lots of machines and units do what they are told; a machine takes its cohort's `time.up` and
/// `time.down` for it. Faults and the wire are the simulated farm's business.
///
/// # Errors
/// [`RunError`] when the site cannot be simulated.
pub fn run(
    site: &Site,
    units: &[UnitSpec],
    tape: &Tape,
    policy: Policy,
    options: RunOptions<'_>,
    on_step: OnStep<'_>,
) -> Result<Run, RunError> {
    let mut scene = Scene::new(site, units, tape)?;
    match policy {
        Policy::Rule(rule) => {
            scene.site.policy.rule = rule;
            Ok(Life::new(&scene, tape, options, on_step).live())
        }
        Policy::PerfectForesight => {
            let best = super::hindsight(site, units, tape);
            best.map(|h| h.run).map_err(|e| RunError::Hindsight(Box::new(e)))
        }
    }
}

/// Lives through a tape under the site's own rule and hands over the engine as it is then.
///
/// # Errors
/// [`RunError`] when the site cannot be simulated.
pub fn engine_after(
    site: &Site,
    units: &[UnitSpec],
    tape: &Tape,
    options: RunOptions<'_>,
) -> Result<Engine, RunError> {
    let scene = Scene::new(site, units, tape)?;
    let mut nothing = |_: &Stamped, _: &Step| {};
    let mut life = Life::new(&scene, tape, options, &mut nothing);
    life.pass();
    life.now = tape.span.end;
    life.tell(Event::Tick);
    Ok(life.engine)
}

/// One run under way.
struct Life<'a> {
    scene: &'a Scene,
    tape: &'a Tape,
    lag: Span,
    models: &'a [Dated],
    engine: Engine,
    drawn: Drawn<'a>,
    now: Time,
    steps: u64,
    wake: Time,
    on_step: OnStep<'a>,
}

impl<'a> Life<'a> {
    fn new(scene: &'a Scene, tape: &'a Tape, options: RunOptions<'a>, on_step: OnStep<'a>) -> Self {
        Self {
            scene,
            tape,
            lag: options.lag,
            models: options.models,
            engine: Engine::new(),
            drawn: Drawn::new(scene, tape),
            now: tape.span.start,
            steps: 0,
            wake: Time::MAX,
            on_step,
        }
    }

    fn live(mut self) -> Run {
        self.pass();
        self.drawn.finish(self.steps)
    }

    /// Lets the whole span pass.
    fn pass(&mut self) {
        let (tape, scene) = (self.tape, self.scene);
        self.tell(Event::Started { version: env!("CARGO_PKG_VERSION").into(), epoch: 1 });
        let mut values = tape.values.iter().peekable();
        let mut value = None;
        while let Some(known) = values.next_if(|v| v.known_at <= tape.span.start) {
            value = Some(*known);
        }
        self.configure();
        if let Some(value) = value {
            self.tell(Event::Value(value));
        }
        let from = tape.span.start - HISTORY_MAX;
        let mut told = tape.told[tape.told.partition_point(|t| t.at < from)..].iter().peekable();
        loop {
            let next_value = values.peek().map_or(Time::MAX, |v| v.known_at);
            let next_told = told.peek().map_or(Time::MAX, |t| t.at + self.lag);
            let next_models = self.models.first().map_or(Time::MAX, |m| m.from);
            let next = next_value.min(next_told).min(next_models).min(self.wake);
            let at = next.max(self.now);
            if at >= tape.span.end {
                break;
            }
            self.now = at;
            if next_models <= at {
                self.configure();
            } else if let Some(value) = values.next_if(|v| v.known_at <= at) {
                self.tell(Event::Value(*value));
            } else if let Some(batch) = told.next_if(|t| t.at + self.lag <= at) {
                if let Some(feed) = scene.feed(batch.kind) {
                    // Told late is known late: a slow reader, not a feed that has fallen silent.
                    let late = |r: &PriceRow| PriceRow { known_at: r.known_at + self.lag, ..*r };
                    let (kind, rows) = (batch.kind, batch.rows.iter().map(late).collect());
                    self.tell(Event::Prices { feed, kind, rows });
                }
            } else {
                self.tell(Event::Tick);
            }
        }
    }

    /// Tells the configuration, with the models in force now.
    fn configure(&mut self) {
        let scene = self.scene;
        let due = self.models.partition_point(|m| m.from <= self.now);
        let models = due.checked_sub(1).map_or(&[][..], |i| &self.models[i].models);
        self.models = &self.models[due..];
        for event in Event::configuration(&scene.site, &scene.units, models) {
            self.tell(event);
        }
    }

    fn tell(&mut self, event: Event) {
        self.steps += 1;
        let stamped = Stamped { seq: self.steps, at: self.now, event };
        let step = self.engine.step(&stamped);
        (self.on_step)(&stamped, &step);
        if let Some(plan) = &step.plan {
            self.drawn.told(self.now, &plan.changes);
        }
        self.wake = step.wake;
    }
}

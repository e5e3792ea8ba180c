//! The driver of all machines behind one driver spec: plans in, telemetry out. What their
//! firmware wants to hear is their [`Family`]'s.
//!
//! State is kept by machine in one flat list; every input touches one machine and keeps the
//! sums, queues and timers up to date, so that nothing but a plan, a read-back or a clock set
//! back walks over the fleet.

mod command;
mod machine;
mod poll;
mod report;
mod wire;

pub use report::{Aged, MachineView};

use crate::family::{self, DriverOptions, Family, Rival};
use crate::{Counts, Driver, Failure, Input, Output};
use headgate_core::fleet::{DriverId, MachineId};
use headgate_core::site::Site;
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;
use machine::{CohortState, Machine, NOBODY};
use std::collections::BTreeSet;

/// Share of the slots that machines which failed last time may hold together.
const SUSPECT_SLOTS: usize = 4;
/// Share of the slots that polls leave free for commands.
const COMMAND_SLOTS: usize = 4;
/// Slots that are always left, however often this side runs out of descriptors.
const SLOTS_MIN: usize = 8;
/// Slots that come back once all there are were used without trouble.
const SLOTS_MORE: usize = 8;
/// Pause before this side tries again to have more descriptors.
const LOCAL_PAUSE: Span = Span::millis(200);
/// Shortest time between two rounds of readings.
const PERIOD_MIN: Span = Span::seconds(1);

/// How a driver behaves beyond what its spec says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether it reads watts itself; else readings come by [`FleetDriver::observe`] alone.
    pub poll: bool,
    /// Most rounds between two tries of a machine that stays silent.
    pub silent_rounds: u32,
    /// Rounds between two readings of every machine's mode.
    pub config_rounds: u32,
}

impl Default for Options {
    fn default() -> Self {
        // At 30 s a round: silent machines every 8 minutes, modes every 6 hours.
        Self { poll: true, silent_rounds: 16, config_rounds: 720 }
    }
}

/// Why a driver cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The site has no such driver.
    #[error("failed to build driver {0}: the site has {1}")]
    NoSpec(u16, usize),
    /// A protocol is asked for that nobody here speaks.
    #[error("failed to build driver {name}: kind {kind:?} is none of {}", family::KINDS.join(", "))]
    Kind {
        /// The driver's name.
        name: String,
        /// The kind its spec names.
        kind: String,
    },
}

/// How many requests may be on the wire at once.
#[derive(Debug, Clone, Copy)]
struct Slots {
    /// As the spec says.
    most: usize,
    /// As this side has room for, up to that.
    all: usize,
    /// Requests that came to an end since it was last widened.
    landed: usize,
    /// Nothing is put on the wire before.
    held_until: Option<Time>,
}

impl Slots {
    fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, all: most, landed: 0, held_until: None }
    }

    fn suspects(self) -> usize {
        (self.all / SUSPECT_SLOTS).max(1)
    }

    fn polls(self) -> usize {
        (self.all - self.all / COMMAND_SLOTS).max(1)
    }

    /// This side ran out of descriptors or ports: half as many have to do, after a pause. What
    /// else was on the wire fails with it and counts as one.
    fn narrow(&mut self, now: Time) {
        if self.held_until.is_none() {
            self.all = (self.all / 2).max(SLOTS_MIN.min(self.most));
            self.landed = 0;
            self.held_until = Some(now + LOCAL_PAUSE);
        }
    }

    /// A request came to an end, well or badly: machines that stay mute narrow nothing.
    fn widen(&mut self) {
        self.landed += 1;
        if self.landed >= self.all && self.all < self.most {
            self.all = (self.all + SLOTS_MORE).min(self.most);
            self.landed = 0;
        }
    }
}

/// Drives all machines of one driver spec. See [`Driver`].
#[derive(Debug)]
pub struct FleetDriver {
    id: DriverId,
    family: Box<dyn Family>,
    options: Options,
    period: Span,
    budget: Span,
    slots: Slots,
    now: Time,
    cohorts: Vec<CohortState>,
    machines: Vec<Machine>,
    /// Place in `machines` by machine id.
    places: Vec<u32>,
    wires: wire::Wires,
    due: BTreeSet<(Time, u32)>,
    round: poll::Round,
    report: report::Report,
    counts: Counts,
    /// Targets not yet under way, commands without an answer, falls without a proof.
    wants: usize,
    talking: usize,
    falling: usize,
}

impl FleetDriver {
    /// Builds the driver of a site's driver spec, with the factory's credentials.
    ///
    /// # Errors
    /// [`FleetError`] when the site has no such driver or its protocol is not known.
    pub fn new(id: DriverId, site: &Site, options: Options) -> Result<Self, FleetError> {
        Self::with(id, site, options, &DriverOptions::default())
    }

    /// Builds the driver of a site's driver spec over the machines of its cohorts.
    ///
    /// # Errors
    /// [`FleetError`] when the site has no such driver or its protocol is not known.
    pub fn with(
        id: DriverId,
        site: &Site,
        options: Options,
        beside: &DriverOptions,
    ) -> Result<Self, FleetError> {
        let no_spec = FleetError::NoSpec(id.0, site.drivers.len());
        let spec = site.drivers.get(usize::from(id.0)).ok_or(no_spec)?;
        let unknown = || FleetError::Kind { name: spec.name.clone(), kind: spec.kind.clone() };
        let family = family::family(&spec.kind, beside).ok_or_else(unknown)?;
        let mut kinds = vec![None; site.cohorts.len()];
        let mut cohorts = Vec::new();
        for (c, cohort) in (0u16..).zip(&site.cohorts) {
            if cohort.driver == id {
                kinds[usize::from(c)] = Some(u16::try_from(cohorts.len()).unwrap_or(u16::MAX));
                cohorts.push(CohortState::new(headgate_core::fleet::CohortId(c), cohort));
            }
        }
        let mut machines = Vec::new();
        let mut places = vec![NOBODY; site.machines.len()];
        for (id, spec) in site.machines() {
            let Some(kind) = kinds[usize::from(spec.cohort.0)] else { continue };
            places[id.index()] = u32::try_from(machines.len()).unwrap_or(NOBODY);
            cohorts[usize::from(kind)].machines += 1;
            machines.push(Machine::new(id, kind, spec.excluded));
        }
        let most = usize::try_from(spec.concurrency).unwrap_or(usize::MAX);
        Ok(Self {
            id,
            family,
            options,
            period: spec.poll_watts.max(PERIOD_MIN),
            budget: spec.request_budget,
            slots: Slots::new(most),
            now: Time::MIN,
            cohorts,
            machines,
            places,
            wires: wire::Wires::default(),
            due: BTreeSet::new(),
            round: poll::Round::default(),
            report: report::Report::default(),
            counts: Counts::default(),
            wants: 0,
            talking: 0,
            falling: 0,
        })
    }

    /// Takes in a machine's measured power, as a parsed `power` reply does. What follows from it
    /// is said at the next [`Driver::on`].
    pub fn observe(&mut self, now: Time, machine: MachineId, watts: Power) {
        self.advance(now);
        if let Some(m) = self.local(machine) {
            self.reading(m, watts.0, true);
        }
    }

    /// Takes in that a machine did not answer when its power was asked for, as a failed poll does.
    pub fn unheard(&mut self, now: Time, machine: MachineId, failure: Failure) {
        self.advance(now);
        if let Some(m) = self.local(machine) {
            self.poll_failed(m, poll::said_of(failure));
        }
    }

    /// Sessions that are held now, or being given back.
    #[must_use]
    pub fn sessions(&self) -> usize {
        let given = |m: &Machine| m.wire.is_some_and(|w| matches!(w.kind, machine::Kind::GiveBack));
        self.machines.iter().filter(|m| m.holds() || given(m)).count()
    }

    /// What this driver's machines can do.
    #[must_use]
    pub fn family(&self) -> &dyn Family {
        &*self.family
    }

    /// Machines on which another controller was met, and which.
    pub fn rivals(&self) -> impl Iterator<Item = (MachineId, Rival)> + '_ {
        self.machines.iter().filter_map(|m| Some((m.id, m.rival?)))
    }

    fn local(&self, id: MachineId) -> Option<u32> {
        self.places.get(id.index()).copied().filter(|m| *m != NOBODY)
    }
}

impl Driver for FleetDriver {
    fn on(&mut self, now: Time, input: Input<'_>, out: &mut Output) {
        self.advance(now);
        match input {
            Input::Plan(plan) => self.plan(plan, out),
            Input::Reply { request, bytes } => self.reply(request, bytes, out),
            Input::Failed { request, failure } => self.failed(request, failure, out),
            Input::Timer => {}
            Input::ReadBack => self.read_back(out),
        }
        self.tick();
        self.pump(out);
        self.end_round();
        self.flush(out);
        out.wake = self.wake();
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn proving(&self) -> bool {
        self.wants + self.talking + self.falling > 0
    }
}

#[cfg(test)]
pub(crate) mod tests;

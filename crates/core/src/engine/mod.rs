//! The engine: one synchronous, infallible, deterministic step from an event to a decision.
//!
//! It has no clock: an event carries its time. It cannot fail: bad input is an event too. The
//! same engine runs live, in back-test and in replay; only where events come from differs.

mod ahead;
mod deadline;
mod decide;
mod inrush;
mod intake;
mod learn;
mod outlook;
mod units;
mod view;
mod wake;

use crate::curtail::CurtailReport;
use crate::event::{AutomationMode, CohortModel, Event, Hashprice, Stamped};
use crate::fleet::{CohortId, CohortSum};
use crate::hands::{Hands, SwitchChange};
use crate::horizon::Regret;
use crate::horizon::advise::Adviser;
use crate::horizon::unit::UnitSpec;
use crate::ledger::{Ledger, LedgerInterval};
use crate::market::FeedBook;
use crate::merit::Staircase;
use crate::plan::DispatchPlan;
use crate::reason::{Alarm, AlarmChange, Decision};
use crate::roster::Roster;
use crate::site::Site;
use crate::time::Time;
use crate::units::{Money, Power, Price};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use deadline::Obligation;
pub use learn::Learned;
pub use outlook::{CohortOutlook, Outlook, OutlookError};
pub use units::NO_DRIVER;

/// What one step led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// A decision, when it differs from the one in force.
    pub decision: Option<Decision>,
    /// A plan, when machines are to change.
    pub plan: Option<DispatchPlan>,
    /// Alarms raised or cleared.
    pub alarms: Vec<AlarmChange>,
    /// Intervals closed, or corrected by a published price.
    pub closed: Vec<LedgerInterval>,
    /// When the engine wants its next [`crate::event::Event::Tick`] at the latest.
    pub wake: Time,
    /// What became of a curtailment, once there is nothing more to wait for.
    pub report: Option<CurtailReport>,
    /// Switches that are to be opened or closed.
    pub switches: Vec<SwitchChange>,
}

impl Step {
    /// Whether it says nothing beyond when to call again.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.decision.is_none()
            && self.plan.is_none()
            && self.alarms.is_empty()
            && self.closed.is_empty()
            && self.report.is_none()
            && self.switches.is_empty()
    }
}

/// A person's hold on the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBy {
    /// Power held.
    pub power: Power,
    /// When it ends by itself.
    pub until: Option<Time>,
    /// Who and why, as shown.
    pub said: String,
}

/// The state of one site, all of it; a snapshot is this, serialised.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Engine {
    now: Option<Time>,
    seq: u64,
    epoch: u64,
    site: Option<Arc<Site>>,
    mode: Mode,
    books: Vec<FeedBook>,
    /// What all feeds have told together, each role by the best of its feeds that was heard.
    known: FeedBook,
    feeds_since: Option<Time>,
    hashprice: Option<Hashprice>,
    stairs: Option<Staircase>,
    stairs_for: Option<Money>,
    roster: Roster,
    sums: Vec<Option<CohortSum>>,
    heard: Vec<Option<Time>>,
    meters: Vec<Option<(Power, Time)>>,
    hold: Option<HeldBy>,
    stop: Option<String>,
    setpoint: Option<Power>,
    setpoints: VecDeque<(Time, Power)>,
    /// When a ramp was last used.
    decided_at: Option<Time>,
    regrets: Vec<Regret>,
    priced: Option<Price>,
    settling: Option<Price>,
    ledger: Ledger,
    generation: u64,
    alarms: BTreeSet<Alarm>,
    above_since: Option<Time>,
    units: Vec<units::Unit>,
    /// Units told of, until the configuration they belong to comes.
    units_next: Vec<UnitSpec>,
    /// What each cohort looks ahead with, where it has a model.
    advisers: BTreeMap<CohortId, Arc<Adviser>>,
    #[serde(skip)]
    planners: ahead::Planners,
    /// When looking ahead is to be asked again though nothing happens.
    ask_again: Option<Time>,
    /// Models told of, until the configuration they belong to comes.
    models_next: Vec<CohortModel>,
    /// Power that must be down until somebody lets go.
    obligation: Option<Obligation>,
    /// What machines have shown of themselves, by cohort.
    learned: Vec<Learned>,
    hands: Hands,
    /// Switches told of, until the configuration they belong to comes.
    hands_next: Hands,
    switches: Vec<deadline::SwitchState>,
    /// Power of machines started within the limit on inrush's window, and when.
    started: VecDeque<(Time, Power)>,
    last: Option<Decision>,
}

/// The automation mode, shadow until configured otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mode(AutomationMode);

impl Default for Mode {
    fn default() -> Self {
        Self(AutomationMode::Shadow)
    }
}

impl Engine {
    /// An engine that knows nothing yet; configuration comes in as an event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one event and says what follows from it.
    pub fn step(&mut self, stamped: &Stamped) -> Step {
        // Time never runs backwards inside the engine; a stepped clock says so in an event.
        let now = self.now.map_or(stamped.at, |t| t.max(stamped.at));
        self.seq = stamped.seq;
        let mut step = Step {
            decision: None,
            plan: None,
            alarms: Vec::new(),
            closed: match stamped.event {
                // Nobody was measuring over a start or a stepped clock: missing is not zero.
                Event::Started { .. } | Event::ClockStepped { .. } => Vec::new(),
                _ => self.pass(now),
            },
            wake: now + crate::limits::IDLE_STEP,
            report: None,
            switches: Vec::new(),
        };
        self.now = Some(now);
        self.take(now, &stamped.event, &mut step);
        self.roster.cool(now);
        self.roster.follow_bias();
        let seen = self.price(now);
        self.watch(now, seen.1, &mut step);
        self.oblige(now, &mut step);
        // A stop does not wait for the last machine to be read back: those not heard of yet are
        // counted as drawing and told nothing.
        if self.ready() || (self.site.is_some() && self.stop.is_some()) {
            self.decide(now, seen, &mut step);
        }
        self.close_again(now, &mut step);
        step.wake = self.next_wake(now, seen.1);
        step
    }

    /// Lets time pass with everything as it was: money runs, regret grows.
    fn pass(&mut self, now: Time) -> Vec<LedgerInterval> {
        let Some(site) = self.site.clone() else { return Vec::new() };
        let Some(before) = self.now else { return Vec::new() };
        let during = self.during();
        if let (Some(price), Some(stairs)) = (self.priced, &self.stairs) {
            for c in 0..site.cohorts.len() {
                if let Some(step) = &stairs.restarts[c] {
                    self.regrets[c].pass(step, price, now.since(before));
                }
            }
        }
        self.ledger.pass(&site, now, during)
    }

    /// Whether every machine has been read back, so that a decision is about what really is.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.site.is_some() && self.roster.unknown() == 0
    }

    /// The site in force.
    #[must_use]
    pub fn site(&self) -> Option<&Site> {
        self.site.as_deref()
    }

    /// The mode in force.
    #[must_use]
    pub fn mode(&self) -> AutomationMode {
        self.mode.0
    }

    /// The decision in force.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        self.last.as_ref()
    }

    /// The alarms that are on.
    #[must_use]
    pub fn alarms(&self) -> &BTreeSet<Alarm> {
        &self.alarms
    }

    /// The running account.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Every machine as counted.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The staircase in force.
    #[must_use]
    pub fn staircase(&self) -> Option<&Staircase> {
        self.stairs.as_ref()
    }

    /// What each feed has told, by feed.
    #[must_use]
    pub fn books(&self) -> &[FeedBook] {
        &self.books
    }

    /// A person's hold, when there is one.
    #[must_use]
    pub fn hold(&self) -> Option<&HeldBy> {
        self.hold.as_ref()
    }

    /// Who stopped the site and why, while it is stopped.
    #[must_use]
    pub fn stopped(&self) -> Option<&str> {
        self.stop.as_deref()
    }

    /// Place in the journal of the last event taken in.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How often the program has started on this journal.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When the last event was.
    #[must_use]
    pub fn now(&self) -> Option<Time> {
        self.now
    }

    /// Number of the last plan.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

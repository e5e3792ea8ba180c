//! Why a decision is what it is: data first, text second.

use crate::event::AutomationMode;
use crate::market::Expected;
use crate::time::Time;
use crate::units::{Power, Price};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A range of power at the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// Lowest.
    pub floor: Power,
    /// Highest; never below the floor.
    pub ceiling: Power,
}

/// A named limit, in order of right: an earlier one has its way over a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rung {
    /// What can be reached by the step's end; nothing overrides it.
    Physical,
    /// The fastest allowed rise; nothing overrides it.
    RampUp,
    /// Lost telemetry or meter: no raise.
    Safety,
    /// A person stops or reduces.
    OperatorStop,
    /// A grid emergency or firm shed.
    GridEmergency,
    /// The fastest allowed fall.
    RampDown,
    /// Most that one signal may move.
    Step,
    /// The connection's hard ceiling.
    SiteImport,
    /// Power that must be held ready or delivered.
    Obligation,
    /// A person holds.
    OperatorHold,
    /// A host's availability promise.
    Hosting,
    /// No real-time price: hold, then go down.
    PriceLoss,
    /// Shortest times awake and asleep.
    Dwell,
    /// Starts an hour and a day.
    Wear,
    /// Power of machines that start at once.
    Inrush,
}

impl Rung {
    /// The name used on screen, in the journal's tables and in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Physical => "physical",
            Self::RampUp => "ramp_up",
            Self::Safety => "safety",
            Self::OperatorStop => "operator_stop",
            Self::GridEmergency => "grid_emergency",
            Self::RampDown => "ramp_down",
            Self::Step => "step",
            Self::SiteImport => "site_import",
            Self::Obligation => "obligation",
            Self::OperatorHold => "operator_hold",
            Self::Hosting => "hosting",
            Self::PriceLoss => "price_loss",
            Self::Dwell => "dwell",
            Self::Wear => "wear",
            Self::Inrush => "inrush",
        }
    }
}

/// One rung of the ladder: what it asked for, what it got, and why it asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrowing {
    /// Which limit.
    pub rung: Rung,
    /// The lowest power it asked for, when it asked.
    pub floor: Option<Power>,
    /// The highest power it asked for, when it asked.
    pub ceiling: Option<Power>,
    /// The band after it.
    pub band: Band,
    /// What it lost to a limit of higher right.
    pub overridden: Option<Overridden>,
    /// Why, in one sentence.
    pub reason: String,
}

/// So much of a rung's wish was lost, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overridden {
    /// How much.
    pub watts: Power,
    /// The rung that set the bound it met.
    pub by: Rung,
}

/// One decision with everything that led to it. It cannot be built without its ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The event that caused it, by its place in the journal.
    pub cause: u64,
    /// When.
    pub at: Time,
    /// The mode it was made in.
    pub mode: AutomationMode,
    /// The price it was made for; `None` when none was known.
    pub expected: Option<Expected>,
    /// What the last working step of the staircase is worth: below this price it would have run.
    pub breakeven: Option<Price>,
    /// What economics would have liked.
    pub preferred: Power,
    /// Why it would have.
    pub wish: String,
    /// The narrowings, in order of right.
    pub ladder: Vec<Narrowing>,
    /// The set point at the meter.
    pub target: Power,
    /// Import expected once every change told has been obeyed.
    pub planned: Power,
    /// Import as last measured, overhead added; `None` until the first measurement.
    pub measured: Option<Power>,
    /// The plan it led to, by its generation; `None` when nothing changes or nothing is touched.
    pub generation: Option<u64>,
    /// Machines told to go down, and up.
    pub changes: (u32, u32),
    /// The price at which the next machine would change, and what it would do.
    pub next: Option<NextChange>,
}

/// The price that would change the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextChange {
    /// Above this price power would go down.
    pub down_above: Option<Price>,
    /// Below this price power would go up.
    pub up_below: Option<Price>,
}

/// Something a person must know, raised once and cleared once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Alarm {
    /// No healthy feed of a real-time price.
    PriceLost,
    /// A feed is silent.
    FeedStale(u16),
    /// A feed brought something unusable.
    FeedRejected(u16),
    /// A driver is silent.
    TelemetryLost(u16),
    /// A meter is silent.
    MeterLost(u16),
    /// A limit lost to one of higher right.
    LimitOverridden(Rung),
    /// Import is measured above the ceiling after the declared time.
    AboveCeiling,
    /// Machines that were told and did not follow.
    NotObeying,
    /// The hash price is older than allowed.
    ValueStale,
    /// A curtailment was not proven by its deadline.
    DeadlineMissed,
    /// A switch was told and has not done it.
    SwitchFailed(u16),
    /// A meter answers, and what it says cannot be.
    MeterImplausible(u16),
    /// A switch that was opened for a curtailment may not be closed yet.
    SwitchLeftOpen(u16),
}

/// An alarm's change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmChange {
    /// Which.
    pub alarm: Alarm,
    /// Raised, or cleared.
    pub raised: bool,
    /// One sentence.
    pub text: String,
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.floor, self.ceiling)
    }
}

/// Writes the ladder as `explain` shows it.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  target {}  ({:?})", self.at, self.target, self.mode)?;
        match &self.expected {
            Some(e) => {
                writeln!(f, "  price      {} expected, {}, {} old", e.price, e.basis, e.age)?;
            }
            None => writeln!(f, "  price      unknown")?,
        }
        writeln!(f, "  economics  {}  {}", self.preferred, self.wish)?;
        for n in &self.ladder {
            write!(f, "  {:<14} -> {}  {}", n.rung.name(), n.band, n.reason)?;
            if let Some(o) = n.overridden {
                write!(f, "  OVERRIDDEN by {}: {}", o.watts, o.by.name())?;
            }
            writeln!(f)?;
        }
        write!(f, "  planned {}", self.planned)?;
        if let Some(m) = self.measured {
            write!(f, ", measured {m}")?;
        }
        if let Some(g) = self.generation {
            write!(f, ", plan {g}: {} down, {} up", self.changes.0, self.changes.1)?;
        }
        writeln!(f)?;
        if let Some(n) = self.next {
            if let Some(p) = n.down_above {
                writeln!(f, "  above {p} power would go down")?;
            }
            if let Some(p) = n.up_below {
                writeln!(f, "  below {p} power would go up")?;
            }
        }
        Ok(())
    }
}

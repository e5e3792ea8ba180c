//! Everything that can happen to the engine: an event is exactly what the journal holds.
//!
//! The journal writes these by variant number: new variants and fields go at the end, and
//! `tests` holds their encoding as a golden file so that an old journal stays readable.

use crate::fleet::{CohortId, TelemetryBatch};
use crate::hands::{Hands, SwitchId};
use crate::horizon::model::Model;
use crate::horizon::unit::UnitSpec;
use crate::market::{PriceKind, PriceRow};
use crate::site::Site;
use crate::time::{Span, Time};
use crate::units::{Money, Power};
use serde::{Deserialize, Serialize};

/// A feed's index in its site's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FeedId(pub u16);

/// A meter's index in its site's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MeterId(pub u16);

/// An event with its place in the journal and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// Place in the journal, rising by one.
    pub seq: u64,
    /// When it happened, by the one clock the daemon runs on.
    pub at: Time,
    /// What happened.
    pub event: Event,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The program started; every machine must be read back before any is told anything.
    Started {
        /// Version of the program.
        version: String,
        /// Rising with every start on this journal.
        epoch: u64,
    },
    /// The whole configuration, checked and resolved.
    Configured(Box<Site>),
    /// A feed brought prices of the site's settlement point.
    Prices {
        /// Which feed.
        feed: FeedId,
        /// What they are prices of.
        kind: PriceKind,
        /// The prices, in time order.
        rows: Vec<PriceRow>,
    },
    /// A feed brought something unusable; what was known stays known.
    FeedRejected {
        /// Which feed.
        feed: FeedId,
        /// One sentence: file, line, field and the mend.
        error: String,
    },
    /// What the work is worth changed.
    Value(Hashprice),
    /// A driver reports.
    Telemetry(TelemetryBatch),
    /// A meter reports.
    Meter {
        /// Which meter.
        meter: MeterId,
        /// Import at the meter; `None` when the meter answered but could not tell.
        power: Option<Power>,
    },
    /// A person acts.
    Operator(OperatorAct),
    /// Time passed; due when the last step asked for it.
    Tick,
    /// The clock was stepped; spans across the step mean nothing.
    ClockStepped {
        /// How far, forward positive.
        by: Span,
    },
    /// The blocks of load without machines of the configuration that comes next.
    Units(Vec<UnitSpec>),
    /// The trained models of the configuration that comes next, whole: what they were is in the
    /// journal, whatever becomes of their files.
    Models(Vec<CohortModel>),
    /// The switches and ramp classes of the configuration that comes next.
    Hands(Hands),
    /// A switch was read.
    Switch {
        /// Which.
        switch: SwitchId,
        /// Whether it is closed; `None` when it answered and could not tell.
        closed: Option<bool>,
    },
}

impl Event {
    /// A configuration as the engine takes it: its units and models first, where it has any.
    #[must_use]
    pub fn configuration(site: &Site, units: &[UnitSpec], models: &[CohortModel]) -> Vec<Self> {
        let mut all = Vec::with_capacity(3);
        if !units.is_empty() {
            all.push(Self::Units(units.to_vec()));
        }
        if !models.is_empty() {
            all.push(Self::Models(models.to_vec()));
        }
        all.push(Self::Configured(Box::new(site.clone())));
        all
    }
}

/// What a cohort looks ahead with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortModel {
    /// Which cohort.
    pub cohort: CohortId,
    /// Its model.
    pub model: Model,
}

/// Value of hashing: currency per PH/s per day, before pool fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashprice {
    /// Money for one PH/s held for one day.
    pub per_ph_day: Money,
    /// When it could be known.
    pub known_at: Time,
}

/// What a person did, who, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorAct {
    /// Who.
    pub actor: String,
    /// The reason given.
    pub reason: String,
    /// What.
    pub act: Act,
}

/// What a person can do to a running site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Holds the site at a power, or where it is, until released or until a time.
    Hold {
        /// The power to hold; `None` is the present set point.
        power: Option<Power>,
        /// When the hold ends by itself.
        until: Option<Time>,
    },
    /// Lets go of a hold or a stop.
    Release,
    /// Everything down at once, past ramp and dwell, until released.
    Stop,
    /// Automation on or off.
    Mode(AutomationMode),
    /// So much power down by a moment, proven, and held down until [`Act::Resume`].
    Curtail {
        /// How much, at the meter, from what is imported now.
        shed: Power,
        /// By when.
        by: Time,
    },
    /// Lets power come back after a curtailment, by the site's ramps.
    Resume,
}

/// How much of its own mind the program may act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AutomationMode {
    /// Decides nothing.
    Off,
    /// Decides and journals, touches nothing.
    Shadow,
    /// Decides, acts on approval.
    Advise,
    /// Decides and acts.
    Auto,
    /// Holds what is.
    Hold,
}

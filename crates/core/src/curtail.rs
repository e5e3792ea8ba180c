//! A curtailment: so much power down by a deadline, and proven. What was asked, who was told, and
//! what came of it.

use crate::fleet::{Answer, CohortId, Declared, Level, MachineId, TargetPhase};
use crate::hands::SwitchId;
use crate::time::{Span, Time};
use crate::units::Power;
use serde::{Deserialize, Serialize};

/// How soon a machine's power follows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RampClass {
    /// Within seconds: it is told first.
    Fast,
    /// Later.
    Slow,
}

/// Machines whose own time to fall is no longer than this are fast.
pub const FAST_DOWN_MAX: Span = Span::seconds(10);
/// Waves kept in a report; later ones are added to the last.
pub const WAVES_KEPT_MAX: usize = 64;
/// Machines that failed, kept by name in a report; the rest is counted.
pub const FAILED_NAMED_MAX: usize = 10_000;

/// Machines told at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// When.
    pub at: Time,
    /// How many.
    pub machines: u32,
    /// How far their power falls if all obey, at the machines.
    pub power: Power,
}

/// What one machine was told, and what is known of how it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Time,
    /// Generation of the target.
    pub generation: u64,
    /// The level it was told.
    pub to: Level,
    /// What it drew before.
    pub before: Power,
    /// What it is to draw.
    pub due: Power,
    /// What it answered.
    pub answer: Option<Answer>,
    /// What it says of its own mode since.
    pub declared: Option<Declared>,
    /// What it was last measured at since.
    pub watts: Option<Power>,
    /// How far the target has come.
    pub phase: TargetPhase,
    /// When its watts proved it.
    pub proven_at: Option<Time>,
}

/// Some machines and the power that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How many machines.
    pub machines: u32,
    /// How much power at the machines.
    pub power: Power,
}

impl Share {
    /// Nobody.
    pub const NONE: Self = Self { machines: 0, power: Power::ZERO };

    /// Adds one machine.
    pub fn add(&mut self, power: Power) {
        self.machines += 1;
        self.power += power;
    }
}

/// How a machine failed to come down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum How {
    /// It said no.
    Refused,
    /// It said nothing.
    Mute,
    /// It said yes, and its watts say no.
    Lied,
    /// It said yes, and nothing was heard of its watts.
    Unseen,
}

impl How {
    /// The word used on screen and in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Mute => "mute",
            Self::Lied => "lied",
            Self::Unseen => "unseen",
        }
    }
}

/// A machine that was told and did not come down, or not provably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Which machine.
    pub machine: MachineId,
    /// How.
    pub how: How,
    /// What it is counted as still drawing above what it was told.
    pub power: Power,
}

/// What became of a curtailment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurtailReport {
    /// The act, by its place in the journal.
    pub seq: u64,
    /// Who asked, and why.
    pub said: String,
    /// How much was asked, at the meter.
    pub asked: Power,
    /// When it was asked.
    pub since: Time,
    /// By when.
    pub by: Time,
    /// Import when it was asked.
    pub baseline: Power,
    /// Import may be no higher than this.
    pub ceiling: Power,
    /// When this was written.
    pub at: Time,
    /// Import as last measured; `None` when nothing measures it.
    pub import: Option<Power>,
    /// Whether a meter measured it; else it is the machines' own watts.
    pub by_meter: bool,
    /// When import was first proven to be at or below the ceiling.
    pub proven_at: Option<Time>,
    /// Who was told, when.
    pub waves: Vec<Wave>,
    /// Switches opened for it.
    pub opened: Vec<SwitchId>,
    /// Machines told, and how far they were to come down.
    pub told: Share,
    /// Of those, the ones that said yes.
    pub acked: Share,
    /// Of those told, the ones that say they are where they were told to be.
    pub declared: Share,
    /// Of those told, the ones whose watts prove it, and how far they came down.
    pub measured: Share,
    /// Of those told, the ones that are still on their way.
    pub open: Share,
    /// Of those told, the ones that failed, and what they still draw.
    pub failed: Share,
    /// The failed ones by name.
    pub failures: Vec<Failed>,
}

impl CurtailReport {
    /// How far import has come down, by what measures it.
    #[must_use]
    pub fn delivered(&self) -> Option<Power> {
        self.import.map(|now| self.baseline - now)
    }

    /// Whether it was proven by the deadline.
    #[must_use]
    pub fn in_time(&self) -> bool {
        self.proven_at.is_some_and(|t| t <= self.by)
    }
}

/// Why a machine would not be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WhyNot {
    /// Others are enough, and worth less.
    NotNeeded,
    /// It sleeps already, or is at its lowest.
    Down,
    /// Its power cannot be down by then.
    TooSlow,
    /// In repair.
    Excluded,
    /// It does not answer.
    Silent,
    /// It failed its last command and is left alone.
    Failing,
    /// It was told already and is on its way.
    Underway,
    /// Nothing commands it, so nothing proves it.
    NoDriver,
}

impl WhyNot {
    /// The words used on screen and in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
            Self::Down => "down_already",
            Self::TooSlow => "too_slow",
            Self::Excluded => "excluded",
            Self::Silent => "silent",
            Self::Failing => "failing",
            Self::Underway => "underway",
            Self::NoDriver => "no_driver",
        }
    }
}

/// Machines of one cohort as a curtailment would find them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRow {
    /// Which cohort.
    pub cohort: CohortId,
    /// How soon they follow.
    pub class: RampClass,
    /// How long they take to be proven down, as learned.
    pub down: Span,
    /// Share of commands that fail, as learned, in parts per million.
    pub failure_ppm: i64,
    /// Who would go, and how far down.
    pub goes: Share,
    /// What they would still draw.
    pub kept: Power,
    /// Who would not go, and what they draw, by why.
    pub stays: Vec<(WhyNot, Share)>,
}

/// What a curtailment would do, before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// When it was worked out.
    pub at: Time,
    /// By when.
    pub by: Time,
    /// How much is asked, at the meter.
    pub asked: Power,
    /// Import now.
    pub baseline: Power,
    /// Import would be held at or below this.
    pub ceiling: Power,
    /// Power told to come down, at the meter: more than is asked, for some will fail.
    pub told: Power,
    /// Of that, what is expected to come.
    pub expected: Power,
    /// When it is expected to be down, ramps and learned times considered; `None` when not all
    /// of it can come.
    pub down_at: Option<Time>,
    /// Machines by cohort.
    pub rows: Vec<PreviewRow>,
    /// Who would be told what.
    pub changes: Vec<crate::plan::Change>,
}

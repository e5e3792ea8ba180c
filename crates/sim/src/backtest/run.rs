//! One policy's life through a tape.

use super::tape::Tape;
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::site::{PolicyRule, Site};
use headgate_core::time::{Interval, Span};
use headgate_core::units::{Energy, Power};

/// How power is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// By the live engine, under one of its rules.
    Rule(PolicyRule),
    /// By the best plan in hindsight.
    PerfectForesight,
}

/// How a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// How much later than it could be known everything is told.
    pub lag: Span,
    /// Chooses what is left to chance.
    pub seed: u64,
}

/// Power held for a while within one settlement interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// When.
    pub interval: Interval,
    /// Power at the meter; where machines are simulated, the mean.
    pub power: Power,
    /// Energy at the meter.
    pub energy: Energy,
    /// Energy of machines and units alone, without the site's overhead.
    pub machine_energy: Energy,
    /// Work done: rate x seconds, GH for hashing; zero for units.
    pub work: i64,
    /// Starts made in it, by machines and units together.
    pub starts: u32,
}

/// What a run led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Power over time, in order and without a gap over the tape's span.
    pub segments: Vec<Segment>,
    /// Starts by cohort.
    pub starts: Vec<u64>,
    /// Engine steps taken; zero for the plan in hindsight.
    pub steps: u64,
}

/// Why a run cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The site cannot be simulated.
    #[error("failed to simulate the site: {0}")]
    Site(String),
}

/// Lives through a tape under a policy.
///
/// # Errors
/// [`RunError`] when the site cannot be simulated.
pub fn run(
    _site: &Site,
    _units: &[UnitSpec],
    _tape: &Tape,
    _policy: Policy,
    _options: RunOptions,
) -> Result<Run, RunError> {
    Err(RunError::Site(String::from("not built yet")))
}

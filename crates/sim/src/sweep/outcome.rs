//! What a case came to: whole numbers only, so that the same case is the same bytes.

use headgate_core::time::Span;
use headgate_core::units::{Energy, Money};
use serde::{Deserialize, Serialize};

/// The most that could have been earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// No plan earns more.
    pub profit: Money,
    /// Whether a plan reaches it; otherwise nothing can earn more, and the best plan found less.
    pub exact: bool,
    /// Share of it that the best plan found leaves open, in parts per billion.
    pub gap_ppb: i64,
}

/// What one policy came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scored {
    /// Compute revenue less energy cost, plus sell-back, less other cost.
    pub profit: Money,
    /// What its work was worth.
    pub compute_revenue: Money,
    /// What its energy cost.
    pub energy_cost: Money,
    /// What blocks brought that it did not use.
    pub sell_back: Money,
    /// Starts and the like.
    pub other_cost: Money,
    /// Energy at the meter.
    pub energy: Energy,
    /// Starts.
    pub starts: u64,
    /// Time it drew less than always-on, weighted by how much less.
    pub curtailed: Span,
    /// What running through spikes cost against the best plan.
    pub missed_spike_cost: Money,
    /// Share of what perfect foresight gains over always-on, in parts per million; `None` where
    /// it gains nothing.
    pub capture_ppm: Option<i64>,
}

/// What one case came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The most that could have been earned.
    pub bound: Bound,
    /// Profit of always-on, the foot of the scale; `None` where nothing lived through the case.
    pub foot: Option<Money>,
    /// Profit of the best plan in hindsight, the head of the scale.
    pub head: Money,
    /// Every policy of the plan, in its order.
    pub policies: Vec<Scored>,
}

/// A case that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its number.
    pub case: u64,
    /// What it came to, or in one sentence why it came to nothing.
    pub outcome: Result<Outcome, String>,
}

//! What the outside may see of a running site: one value, made after each step, read by the
//! screen, the control socket, the HTTP door and the metrics.

use crate::fleet::view::{CurtailView, PreviewView};
use headgate_core::event::OperatorAct;
use headgate_core::time::Time;
use headgate_core::units::Power;
pub use headgate_drivers::Counts as CommandCounts;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// One site, now. Keys carry their unit last; money carries no currency, the document does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub site: String,
    pub point: String,
    pub market: String,
    pub currency: String,
    /// The time the engine lives in, RFC 3339 UTC; simulated under an accelerated clock.
    pub at: String,
    /// The same as nanoseconds since the epoch.
    pub at_ns: i64,
    pub mode: String,
    pub policy: String,
    /// Every machine has been read back and decisions are made.
    pub ready: bool,
    /// Machines not yet heard of since the start.
    pub unknown_machines: u32,
    pub seq: u64,
    pub generation: u64,
    pub price: Option<PriceView>,
    /// Steps of the staircase, most valuable first.
    pub staircase: Vec<StairView>,
    /// The fleet's energy-weighted break-even per MWh at the meter.
    pub mean_breakeven: Option<f64>,
    pub import_limit_w: i64,
    pub target_w: Option<i64>,
    pub planned_w: Option<i64>,
    /// Import as last measured: what is proven, not what was asked.
    pub measured_w: Option<i64>,
    pub machines: MachineCounts,
    pub commands: CommandCounts,
    pub money: MoneyView,
    pub alarms: Vec<AlarmView>,
    pub feeds: Vec<FeedView>,
    /// Meters that are devices of their own.
    #[serde(default)]
    pub meters: Vec<MeterView>,
    /// Breakers and the like.
    #[serde(default)]
    pub switches: Vec<SwitchView>,
    pub hold: Option<String>,
    pub stop: Option<String>,
    /// The curtailment in force, or the last one.
    #[serde(default)]
    pub curtailment: Option<CurtailView>,
    /// Market price above which power would go down.
    pub down_above: Option<f64>,
    /// Market price below which power would go up.
    pub up_below: Option<f64>,
    /// What economics wished and why, in one sentence.
    pub wish: Option<String>,
    /// The ladder as `explain` shows it.
    pub ladder: Option<String>,
    /// When the engine looks again by itself, RFC 3339 UTC.
    pub wake_at: String,
    pub clock: ClockView,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PriceView {
    /// Expected settlement price of the running interval, per MWh.
    pub expected: f64,
    /// The newest price that went into it, per MWh.
    pub latest: f64,
    pub basis: String,
    pub age_s: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StairView {
    pub cohort: String,
    pub from_w: i64,
    pub to_w: i64,
    /// Power of the step over all machines of the cohort.
    pub power_w: i64,
    pub breakeven: f64,
    /// Machines at or above this step.
    pub running: u32,
    pub machines: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MachineCounts {
    pub all: u32,
    pub awake: u32,
    pub asleep: u32,
    /// Counted as drawing and asked for nothing: excluded, silent, refusing, drifted.
    pub lost: u32,
    pub failed: u32,
    pub excluded: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct MoneyView {
    pub profit: f64,
    pub compute_revenue: f64,
    pub energy_cost: f64,
    pub sell_back: f64,
    pub energy_mwh: f64,
    /// Work's value less energy's cost at this moment, per hour; `None` where either is unknown.
    pub rate_per_h: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmView {
    pub alarm: String,
    pub text: String,
    /// Since when, RFC 3339 UTC.
    pub since: String,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FeedView {
    pub name: String,
    pub role: String,
    /// Age of its newest price; `None` when it never brought one.
    pub age_s: Option<f64>,
    pub stale: bool,
    /// Where it comes from, without anything secret.
    #[serde(default)]
    pub source: String,
    /// How long ago a look at the source last went well; `None` when none did.
    #[serde(default)]
    pub ok_s: Option<f64>,
    /// What last went wrong with it, and how long ago.
    #[serde(default)]
    pub last_error: Option<String>,
    #[serde(default)]
    pub last_error_s: Option<f64>,
}

/// A meter that is read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MeterView {
    pub name: String,
    /// Host and port.
    pub source: String,
    /// Import as it last told and was believed; `None` when it never was.
    pub power_w: Option<i64>,
    /// How long ago that was.
    pub age_s: Option<f64>,
    pub stale: bool,
    /// Whether the last reading failed or was not believed.
    pub failing: bool,
    /// What was last wrong with a reading, and how long ago.
    pub last_error: Option<String>,
    pub last_error_s: Option<f64>,
}

/// A switch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SwitchView {
    pub name: String,
    /// Host and port.
    pub source: String,
    /// Whether it may be opened for a deadline.
    pub allowed: bool,
    /// Whether it was last found closed; `None` where it never told.
    pub closed: Option<bool>,
    /// How long ago that was.
    pub age_s: Option<f64>,
    /// Why it does not tell now.
    pub error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClockView {
    /// Speed reached since the start; 1 is real time.
    pub speed: f64,
    /// Share of the replay that has passed, 0 to 1; `None` when there is no end.
    pub progress: Option<f64>,
    /// Whether the clock is held back for a request on the wire or a fall to be proven.
    pub proving: bool,
}

/// An act of a person on its way to the engine, and where to say what became of it.
#[derive(Debug)]
pub struct ActRequest {
    pub act: OperatorAct,
    /// The act's place in the journal once the engine has taken it, or why it was refused.
    pub done: oneshot::Sender<Result<u64, String>>,
}

/// A question on its way to the engine: what a curtailment would do.
#[derive(Debug)]
pub struct PreviewRequest {
    pub shed: Power,
    pub by: Time,
    /// `None` before the site is known.
    pub done: oneshot::Sender<Option<PreviewView>>,
}

/// The ways into a running site: look, act, and ask what an act would do.
#[derive(Debug, Clone)]
pub struct Desk {
    pub status: watch::Receiver<Arc<Status>>,
    pub acts: mpsc::Sender<ActRequest>,
    pub previews: mpsc::Sender<PreviewRequest>,
}

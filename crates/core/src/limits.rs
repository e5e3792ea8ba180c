//! Every bound of the core, named once.

use crate::time::Span;

/// SCED runs kept per feed: more than two hours of five-minute runs.
pub const RUNS_KEPT_MAX: usize = 64;
/// Settlement prices kept per feed: two days of quarter hours.
pub const SETTLEMENTS_KEPT_MAX: usize = 192;
/// Day-ahead hours kept per feed: three days.
pub const DAY_AHEAD_KEPT_MAX: usize = 72;
/// Foreseen steps kept per feed: two hours of five-minute steps.
pub const FORESEEN_KEPT_MAX: usize = 24;
/// Feeds of one site.
pub const FEEDS_MAX: usize = 64;
/// Machines of one site; a machine id fits with room to spare.
pub const MACHINES_MAX: usize = 1_000_000;
/// Cohorts of one site.
pub const COHORTS_MAX: usize = 256;
/// Levels of one cohort, sleep included.
pub const LEVELS_MAX: usize = 64;
/// Past set points remembered for the step limit.
pub const SETPOINTS_KEPT_MAX: usize = 256;
/// Longest pause between two control steps while a ramp is under way.
pub const CONTROL_STEP: Span = Span::seconds(5);
/// Longest pause between two steps when nothing is expected.
pub const IDLE_STEP: Span = Span::minutes(5);
/// How long a machine that failed to obey is left alone before it is counted on again; doubling
/// with every failure in a row.
pub const COOL_OFF: Span = Span::minutes(5);
/// Longest a machine that failed is left alone.
pub const COOL_OFF_MAX: Span = Span::hours(2);
/// After a start, sources have this long to speak before their silence is an alarm.
pub const START_GRACE: Span = Span::minutes(1);
/// Settled intervals kept for correction: three days of quarter hours.
pub const LEDGER_KEPT_MAX: usize = 288;
/// Distinct start counts kept for the rolling hour.
pub const STARTS_KEPT_MAX: usize = 720;
/// Longest text taken from outside into an event.
pub const TEXT_MAX: usize = 400;

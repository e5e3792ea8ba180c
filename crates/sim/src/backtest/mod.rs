//! Back-test: history lived through by the live engine in virtual time, and what it was worth.
//!
//! A [`Tape`] is what became known, and when, beside the prices energy settled at in the end.
//! [`run`] lets the engine live through it under one policy; what was drawn comes out as
//! [`Segment`]s, each within one settlement interval, from which anyone can count again.

mod account;
mod compare;
mod hindsight;
pub mod referee;
mod run;
mod tape;
#[cfg(test)]
mod tests;

pub use account::{AccountError, Statement, full_power, missed_spikes, misses, settle_run};
pub use compare::{
    Bound, BoundKind, Chosen, CompareError, Comparison, Information, Live, Name, Scored, Trial,
    capture,
};
pub use hindsight::{Hindsight, HindsightError, hindsight};
pub use run::{Policy, Run, RunError, RunOptions, Segment, run};
pub use tape::{Tape, Told};

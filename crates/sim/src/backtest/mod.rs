//! Back-test: history lived through by the live engine in virtual time, and what it was worth.
//!
//! A [`Tape`] is what became known, and when, beside the prices energy settled at in the end.
//! [`run`] lets the engine live through it under one policy; what was drawn comes out as
//! [`Segment`]s, each within one settlement interval, from which anyone can count again.
//! `scene` makes the site ready: whole lots in place of machines; `drawn` is what they draw.
//!
//! [`Known`] tells a tape by easier conventions of knowledge, for comparison with others.
//!
//! [`hindsight`] is the best that could have been done, [`settle_run`] says what a run was worth,
//! [`referee`] whether it could have been, and [`Trial`] does all of that for all policies.

mod account;
mod compare;
mod drawn;
mod hindsight;
mod known;
pub mod referee;
mod run;
mod scene;
mod tape;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use account::{AccountError, Statement, full_power, missed_spikes, misses, settle_run};
pub use compare::{
    Bound, BoundKind, Chosen, CompareError, Comparison, Information, Live, Name, Scored, Trial,
    capture,
};
pub use hindsight::{Hindsight, HindsightError, hindsight};
pub use known::Known;
pub use run::{Dated, OnStep, Policy, Run, RunError, RunOptions, Segment, engine_after, run};
pub use scene::LOTS_MAX;
pub(crate) use tape::batches;
pub use tape::{Tape, Told};

//! Back-test: history lived through by the live engine in virtual time, and what it was worth.
//!
//! A [`Tape`] is what became known, and when, beside the prices energy settled at in the end.
//! [`run`] lets the engine live through it under one policy; what was drawn comes out as
//! [`Segment`]s, each within one settlement interval, from which anyone can count again.
//! `scene` makes the site ready: whole lots in place of machines; `drawn` is what they draw.

mod drawn;
mod run;
mod scene;
mod tape;
#[doc(hidden)]
pub mod testing;

pub use run::{Dated, OnStep, Policy, Run, RunError, RunOptions, Segment, run};
pub use scene::LOTS_MAX;
pub use tape::{Tape, Told};

//! Looking ahead: what a plan over time is worth, in integers.
//!
//! [`mod@unit`] says what a block of load can do and puts it on a lattice of states; [`exact`]
//! finds its best plan over known prices, [`quota`] under quotas as well, [`stairs`] for several
//! behind one meter. [`path`] is what is known and expected of prices and [`rolling`] the plan on
//! it; [`features`], [`model`] and [`advise`] are what was learned from the past; [`regret`] is
//! the rule of restarts for machines, which needs no forecast.

pub mod advise;
pub mod asinh;
pub mod exact;
pub mod features;
mod lookup;
pub mod model;
pub mod path;
pub mod quota;
pub mod regret;
pub mod rolling;
pub mod stairs;
pub mod unit;

pub use regret::{Regret, Stair, Steps};

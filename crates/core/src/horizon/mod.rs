//! Looking ahead: what a plan over time is worth, in integers.
//!
//! [`unit`] says what a block of load can do and puts it on a lattice of states; [`regret`] is
//! the rule of restarts for machines, which needs no forecast.

pub mod advise;
pub mod asinh;
pub mod features;
pub mod model;
pub mod regret;
pub mod unit;

pub use regret::{Regret, Stair, Steps};

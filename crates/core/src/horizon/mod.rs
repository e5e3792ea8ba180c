//! Looking ahead: what a plan over time is worth, in integers.
//!
//! [`unit`] says what a block of load can do and puts it on a lattice of states. [`exact`] plans
//! one unit over known prices, [`quota`] under limits on energy or time off by the day or month,
//! [`stairs`] several units and cohorts behind one meter; each tells the plan and what no plan
//! exceeds. [`regret`] is the rule of restarts for machines, which needs no forecast.

pub mod exact;
pub mod quota;
pub mod regret;
pub mod stairs;
pub mod unit;

pub use regret::{Regret, Stair, Steps};

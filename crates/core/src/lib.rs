//! Headgate's core decides how much power a site draws, and why.
//!
//! It is pure and synchronous: no clock, IO, async, randomness, float or hash map. Whatever it
//! needs comes in as an [`event::Event`]; whatever it wants done goes out in an [`engine::Step`].
#![deny(missing_docs, clippy::float_arithmetic)]

pub mod bounds;
pub mod choose;
pub mod curtail;
pub mod engine;
pub mod event;
pub mod fleet;
pub mod hands;
pub mod horizon;
pub mod ledger;
pub mod limits;
pub mod market;
pub mod merit;
pub mod number;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod roster;
pub mod settle;
pub mod site;
#[doc(hidden)]
pub mod testing;
pub mod time;
pub mod units;

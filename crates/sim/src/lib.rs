//! A pretend world: a farm of machines with real curves, ramps and faults, behind their real
//! protocol.
//!
//! [`farm`] is the physics and the true meter, driven by whatever time it is given;
//! [`firmware`] answers one request as a machine would; [`serve`] puts it on loopback sockets;
//! [`world`] lives through whole days of it in virtual time.
#![deny(missing_docs)]

pub mod address;
pub mod backtest;
pub mod farm;
pub mod firmware;
mod json;
mod luxos_api;
mod luxos_reads;
pub mod machine;
pub mod models;
pub mod ramp;
pub mod rng;
pub mod serve;
pub mod spec;
pub mod sweep;
pub mod train;
pub mod world;

pub use luxos_api::{ApiAnswer, SESSION_LIFE};

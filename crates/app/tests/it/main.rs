//! The binary as people and scripts use it: real processes, real sockets on loopback, real files.
//!
//! Each test has a folder and processes of its own, and ends what it started by its id.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod backtest;
mod common;
mod contract;
mod crash;
mod fleet;
mod foreseen;
mod garbage;
mod help;
mod meter;
mod operator;
mod parity;
mod prices;
mod prices_cli;
mod real;
mod replay;
mod settle;
mod sweep;
mod train;
mod worth;

//! The feeds seen from outside: hand-made files, real files, followed sources.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;
mod corpus;
mod ercot;
mod follow;
mod hashprice;
mod inputs;
mod json;
mod live;
mod parse;
mod real;
mod real_world;
mod settlement;
mod workbook;
mod world;

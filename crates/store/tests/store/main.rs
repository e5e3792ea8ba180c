//! What the store promises: nothing acknowledged is lost, nothing changed goes unnoticed.
// A helper that cannot go on fails its test, which is what it is for.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod crash;
mod encoding;
mod examples;
mod journal;
mod lock;
mod prices;
mod snapshot;
mod tables;
mod writer;

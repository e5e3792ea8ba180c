//! What the store promises: nothing acknowledged is lost, nothing changed goes unnoticed.

mod crash;
mod encoding;
mod examples;
mod journal;
mod lock;
mod snapshot;
mod tables;
mod writer;

//! Sweeps: [`Book`] holds a point's prices, from which the tape of any span is made.

pub mod book;

pub use book::{Book, GapError, Prices};

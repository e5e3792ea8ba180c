//! The engine seen from outside: scenarios on a small site whose machines obey at once, unless
//! a test says otherwise.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod curtail;
mod harness;
mod properties;
mod scenarios;
mod settle;

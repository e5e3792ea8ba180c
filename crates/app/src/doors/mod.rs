//! The doors of a running site: the control socket for people on this machine, HTTP on the
//! loopback device for browsers and metrics, and the service manager's watchdog.
//!
//! Each door reads the one [`Status`](crate::status::Status) and hands a person's acts to the
//! engine; none of them decides anything.

pub mod act;
pub mod beat;
pub mod control;
pub mod http;
pub mod ready;
pub mod token;
pub mod watchdog;

mod guard;
mod metrics;
mod nursery;
mod page;

#[cfg(test)]
mod testing;

pub use act::Request;
pub use beat::Beat;
pub use control::{ClientError, ControlListener, Reply, ask, serve};
pub use http::serve_http;
pub use token::Token;

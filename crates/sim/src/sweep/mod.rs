//! Sweeps: many back-tests of sites, points, spans, settings and seeds, over all cores.
//!
//! [`Axes`] numbers the cases in a fixed order, [`Book`] holds a point's prices, [`bootstrap`]
//! makes price paths of real days, [`Setting`] changes a site, [`Sweep`] works cases off in
//! threads, and [`record`] keeps what is done, so that a killed sweep goes on where it was.
//!
//! ```text
//!   cases 0..n ---> workers (each takes the next) ---> bounded queue ---> record file
//!                     | tape of (site, point, span, seed), shared by its settings
//! ```

pub mod axes;
pub mod book;
pub mod bootstrap;
pub mod outcome;
pub mod record;
pub mod setting;
#[cfg(test)]
mod testing;
pub mod work;

pub use axes::{Axes, Case};
pub use book::{Book, GapError, Prices};
pub use bootstrap::{BootstrapError, Day, Resampling};
pub use outcome::{Bound, Done, Outcome, Scored};
pub use setting::{Setting, UnitSetting};
pub use work::{BookInput, Judge, SiteInput, SpanInput, Sweep, Trial, WorkError};

//! Live sources: servers that hold prices in pages and documents instead of one address.
//!
//! Each source is a machine that says what to ask and what an answer means, and never touches
//! the network or a clock: the follower carries its requests and judges what they bring.
//!
//! ```text
//!   listing      list -> document -> document -> ... -> rest     newest first, each once
//!   ercot_api    token -> page 1 -> page 2 -> ... -> rest        a token that ends is renewed,
//!                      -> archive list -> download -> ...        and the same page asked again
//! ```

pub mod ercot_api;
pub mod listing;
pub mod memory;

use crate::error::FeedError;
use crate::http::{Reply, Request, Secret};
use crate::market::Market;
use headgate_core::market::{PriceKind, SettlementPoint};
use headgate_core::time::{Span, Time};
use std::fmt;
use std::path::PathBuf;

/// Which server a feed follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LiveKind {
    /// A dashboard of ERCOT's web site: one address, no key.
    ErcotDashboard,
    /// A list of ERCOT's market information system, and its documents: no key.
    ErcotMis,
    /// ERCOT's Public API, with an account and a key.
    ErcotApi,
    /// A folder of AEMO's NEMWeb: no key.
    AemoNemweb,
}

impl LiveKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::ErcotDashboard, Self::ErcotMis, Self::ErcotApi, Self::AemoNemweb];

    /// Name as a configuration writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ErcotDashboard => "ercot_dashboard",
            Self::ErcotMis => "ercot_mis",
            Self::ErcotApi => "ercot_api",
            Self::AemoNemweb => "aemo_nemweb",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// Pause between two looks, where nothing else is said.
    #[must_use]
    pub fn every(self) -> Span {
        match self {
            Self::ErcotDashboard | Self::ErcotMis | Self::ErcotApi => Span::minutes(1),
            Self::AemoNemweb => Span::seconds(30),
        }
    }
}

impl fmt::Display for LiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who asks; never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the account.
    pub username: Secret,
    /// Its password.
    pub password: Secret,
    /// Key of its subscription.
    pub subscription_key: Secret,
}

/// How a live source is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePlan {
    /// Which server.
    pub kind: LiveKind,
    /// How far back is caught up on after a start or an outage.
    pub catch_up: Span,
    /// Least pause between two requests.
    pub gap: Span,
    /// Who asks, where the server wants to know.
    pub credentials: Option<Credentials>,
    /// Where a token is to be had; `None` is ERCOT's own.
    pub token: Option<String>,
    /// Where what was fetched is remembered; `None` forgets it with the process.
    pub memory: Option<PathBuf>,
}

/// What a machine needs to know beside its plan.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub source: &'a str,
    pub market: &'a Market,
    pub role: PriceKind,
    pub point: &'a SettlementPoint,
    pub every: Span,
}

/// What an answer turned out to be.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing that tells how the source is.
    Nothing,
    /// All is well, and there is nothing to read in it.
    Fine,
    /// Nothing where something is expected.
    Empty,
    /// Something to be read, and judged afterwards.
    Document {
        /// What messages call it.
        name: String,
        /// When it was posted, where that is known: a later posting replaces an earlier one.
        posted: Option<Time>,
        /// Whether it is of the past, and tells nothing of how the source is now.
        history: bool,
        bytes: Vec<u8>,
    },
    /// It went wrong; one phrase.
    Failed(String),
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was read; the end of its last interval.
    Taken(Option<Time>),
    /// It was in order and empty.
    NoRows,
    /// It could not be read.
    Unusable,
}

/// A machine that follows one server.
pub(crate) trait Live: Send + fmt::Debug {
    /// When it has something to ask next.
    fn next_at(&self) -> Time;
    /// What to ask now; `None` when it is too early.
    fn request(&mut self, now: Time) -> Option<Request>;
    /// Takes the answer.
    fn reply(&mut self, now: Time, reply: Result<Reply, String>) -> Found;
    /// Takes what became of the document the last answer was; says whether that is its first
    /// verdict.
    fn judged(&mut self, now: Time, verdict: Verdict) -> bool;
    /// What went wrong with its memory, told once.
    fn complaint(&mut self) -> Option<String>;
}

/// Sets a machine up; `None` for a kind that is one plain address.
///
/// # Errors
/// [`FeedError`] when the address or the plan cannot be used.
pub(crate) fn machine(
    plan: &LivePlan,
    wanted: &Wanted<'_>,
) -> Result<Option<Box<dyn Live>>, FeedError> {
    Ok(match plan.kind {
        LiveKind::ErcotDashboard => None,
        LiveKind::ErcotMis | LiveKind::AemoNemweb => {
            Some(Box::new(listing::Listing::new(plan, wanted)?))
        }
        LiveKind::ErcotApi => Some(Box::new(ercot_api::Api::new(plan, wanted)?)),
    })
}

/// Scheme and host of an address, and its path; `None` where it is no address.
pub(crate) fn split(url: &str) -> Option<(&str, &str)> {
    let host_at = url.find("://")? + 3;
    let path_at = url[host_at..].find('/').map_or(url.len(), |at| host_at + at);
    (path_at > host_at).then(|| url.split_at(path_at))
}

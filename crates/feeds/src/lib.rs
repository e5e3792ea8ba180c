//! Headgate's feeds turn outside price data into what the engine takes.
//!
//! Parsing is apart from fetching: [`parse`] turns bytes into rows and never opens anything,
//! [`follow`] fetches and never reads a row, [`replay`] walks through parsed rows without ever
//! showing one before it could be known. A [`market::Market`] says, by date, how stamps are to
//! be read, when a price could be known, and between which bounds it is expected.
#![deny(missing_docs)]

pub mod container;
pub mod error;
pub mod follow;
#[doc(hidden)]
pub mod fuzz;
pub mod fx;
pub mod hashprice;
pub mod hourly;
pub mod http;
pub mod limits;
pub mod live;
pub mod local;
pub mod market;
pub mod meter;
pub mod parse;
pub mod quantity;
pub mod replay;
pub mod schedule;
mod table;

pub use error::FeedError;
pub use follow::{FeedItem, FollowPlan, Follower};
pub use market::Market;
pub use parse::{FileKind, Note, NoteKind, Options, Parsed, Series, SeriesKind};
pub use replay::{Known, Replay};

use headgate_core::market::SettlementPoint;
use std::path::Path;

/// Names a settlement point; a bare `LZ_*` is the load zone itself, never its energy-weighted twin.
#[must_use]
pub fn settlement_point(name: &str, kind: &str) -> SettlementPoint {
    let (name, kind) = (name.trim(), kind.trim());
    let kind = if kind.is_empty() { implied_kind(name) } else { kind };
    SettlementPoint { name: name.to_owned(), kind: kind.to_owned() }
}

/// The type a name alone implies, for files without a type column; empty where it implies none.
pub(crate) fn implied_kind(name: &str) -> &'static str {
    if name.starts_with("LZ_") { "LZ" } else { "" }
}

/// Loads one price file of any known kind, packed or not, keeping only the wanted point.
///
/// # Errors
/// [`FeedError`] when the file cannot be read, or any row of the wanted point cannot be used;
/// nothing of a refused file is taken.
pub fn load(
    path: &Path,
    market: &Market,
    filter: Option<&SettlementPoint>,
) -> Result<Parsed, FeedError> {
    load_with(path, market, &Options { point: filter.cloned(), ..Options::default() })
}

/// Loads one price file like [`load`], with every option.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, market: &Market, options: &Options) -> Result<Parsed, FeedError> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path)
        .map_err(|source| FeedError::Read { file: name.clone(), source })?;
    parse::parse(&name, std::io::BufReader::new(file), market, options)
}

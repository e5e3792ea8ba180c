//! What can be wrong with an input: one sentence naming file, line, field and the mend.

use crate::limits::TEXT_SHOWN_MAX;
use std::error::Error;
use std::io;

/// How a file that lacks the point asked for is refused.
pub(crate) const OTHER_POINTS: &str = "it has no price of ";
/// What is wrong with a file that is of another market, between its kind and the market's name.
pub(crate) const OTHER_MARKET: &str = "does not go with the rules of market";

/// Says why an input was refused.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The file could not be read at all.
    #[error("failed to read {file}")]
    Read {
        /// Which file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The packing ends too early.
    #[error("failed to unpack {file}: the {container} is cut short; fetch the file again")]
    Truncated {
        /// Which file.
        file: String,
        /// gzip, zstd or zip.
        container: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The packing is damaged.
    #[error("failed to unpack {file}: the {container} is damaged; fetch the file again")]
    Damaged {
        /// Which file.
        file: String,
        /// gzip, zstd or zip.
        container: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The input as a whole is not usable.
    #[error("failed to read {file}: {what}; {mend}")]
    Whole {
        /// Which file.
        file: String,
        /// What is wrong.
        what: String,
        /// What to do about it.
        mend: String,
    },
    /// An answer is in order and holds nothing: a gap, not calm.
    #[error("failed to read {file}: the answer has no rows; what is missing stays unknown")]
    NoRows {
        /// Which answer.
        file: String,
    },
    /// A line is not usable.
    #[error("failed to read {file} line {line}: {what}; {mend}")]
    Line {
        /// Which file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
        /// What to do about it.
        mend: String,
    },
    /// A field is not usable.
    #[error("failed to read {file} line {line}, column {column}: {what}; {mend}")]
    Field {
        /// Which file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column as the file names it.
        column: String,
        /// What is wrong.
        what: String,
        /// What to do about it.
        mend: String,
    },
    /// A market file is not usable.
    #[error("failed to read market {file}")]
    MarketText {
        /// Which file.
        file: String,
        /// Why, with line and caret.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A key of a market file is not usable.
    #[error("failed to read market {file}, key {key}: {what}; {mend}")]
    MarketKey {
        /// Which file.
        file: String,
        /// Which key.
        key: String,
        /// What is wrong.
        what: String,
        /// What to do about it.
        mend: String,
    },
    /// An address did not answer usably.
    #[error("failed to fetch {url}: {what}")]
    Fetch {
        /// Which address, without anything secret in it.
        url: String,
        /// What is wrong.
        what: String,
    },
}

impl FeedError {
    /// Whether all that is wrong is that a file holds other points than the one asked for.
    #[must_use]
    pub fn is_other_points(&self) -> bool {
        matches!(self, Self::Whole { what, .. } if what.starts_with(OTHER_POINTS))
    }

    /// Whether an input is usable, only not by the rules of this market.
    #[must_use]
    pub fn is_other_market(&self) -> bool {
        matches!(self, Self::Whole { what, .. } if what.contains(OTHER_MARKET))
    }

    /// The whole story in one line: the error and its causes.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(e) = cause {
            text.push_str(": ");
            text.push_str(e.to_string().trim());
            cause = e.source();
        }
        text
    }
}

/// Shows foreign text in a message: cut, and without control characters.
pub(crate) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_SHOWN_MAX).collect();
    if text.chars().nth(TEXT_SHOWN_MAX).is_some() {
        out.push_str("...");
    }
    out
}

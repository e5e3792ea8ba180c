//! Where a reply ends: the one part of a protocol that whoever carries the bytes has to know.
//!
//! What a machine sends is hostile until it is proven otherwise: no length is believed beyond
//! [`REPLY_BYTES_MAX`], and no space is set aside for what has not come.

use crate::http::Progress;
use crate::{Failure, REPLY_BYTES_MAX};
use std::ops::Range;

/// How a reply ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// At its first NUL byte, or with the stream.
    NulOrEof,
    /// As HTTP/1.1 says: by its length, its last chunk, or with the stream.
    Http,
    /// After as many bytes as its first four say, the lowest first.
    LengthLe,
}

/// Bytes of a length in front of a reply.
const LENGTH_BYTES: usize = 4;

/// Follows a reply as it comes in.
#[derive(Debug)]
pub struct Framer {
    framing: Framing,
    /// Bytes that were looked at and end nothing.
    seen: usize,
    http: Progress,
}

impl Framer {
    /// Begins with nothing.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self { framing, seen: 0, http: Progress::default() }
    }

    /// Looks at all that has come so far; where the reply is in it, once it is whole.
    ///
    /// # Errors
    /// [`Failure::TooLong`] as soon as it is clear that it will be.
    pub fn whole(&mut self, came: &[u8]) -> Result<Option<Range<usize>>, Failure> {
        let found = match self.framing {
            Framing::NulOrEof => {
                let nul = came[self.seen..].iter().position(|b| *b == 0);
                let end = nul.map(|n| self.seen + n);
                self.seen = came.len();
                end.map(|end| 0..end)
            }
            Framing::LengthLe => match came.first_chunk::<LENGTH_BYTES>() {
                None => None,
                Some(length) => {
                    let length = usize::try_from(u32::from_le_bytes(*length));
                    let length = length.map_err(|_| Failure::TooLong)?;
                    if length > REPLY_BYTES_MAX {
                        return Err(Failure::TooLong);
                    }
                    let end = LENGTH_BYTES + length;
                    (came.len() >= end).then_some(LENGTH_BYTES..end)
                }
            },
            Framing::Http => self.http.end(came)?.map(|end| 0..end),
        };
        // What came with the end of a reply may be more than the reply.
        let long = found.as_ref().map_or(came.len(), ExactSizeIterator::len);
        if long > REPLY_BYTES_MAX + LENGTH_BYTES { Err(Failure::TooLong) } else { Ok(found) }
    }

    /// The stream has ended: what of it is a reply.
    ///
    /// # Errors
    /// [`Failure::Reset`] when it is none.
    pub fn ended(&self, came: &[u8]) -> Result<Range<usize>, Failure> {
        let all = match self.framing {
            Framing::NulOrEof => !came.is_empty(),
            Framing::LengthLe => false,
            Framing::Http => self.http.ends_with_stream(came),
        };
        if all { Ok(0..came.len()) } else { Err(Failure::Reset) }
    }
}

/// The reply in all that a machine sent before it closed the connection, as a shell would hand
/// it over.
///
/// # Errors
/// As the shell: [`Failure::TooLong`] or [`Failure::Reset`].
pub fn framed(framing: Framing, mut sent: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let mut framer = Framer::new(framing);
    let range = match framer.whole(&sent)? {
        Some(range) => range,
        None => framer.ended(&sent)?,
    };
    sent.truncate(range.end);
    sent.drain(..range.start);
    Ok(sent)
}

#[cfg(test)]
mod tests;

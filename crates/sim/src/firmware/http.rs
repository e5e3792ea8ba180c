//! Where a request ends.

use headgate_drivers::Framing;

/// Whether all of a request has come. A cgminer reads once: what came is the request.
pub(crate) fn is_whole(framing: Framing, came: &[u8]) -> bool {
    match framing {
        Framing::NulOrEof => true,
        Framing::LengthLe | Framing::Http => !came.is_empty(),
    }
}

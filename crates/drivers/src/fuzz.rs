//! What the fuzz target drives and a test replays: a machine's replies in, no panic, and every
//! talk ends. The target is in `fuzz/`, its corpus beside it.

use crate::family::{self, Ask, DriverOptions, Goal, KINDS, Turn, Want};
use crate::frame::framed;
use crate::{Failure, Framing};
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;

/// What stands between two replies of one input.
const NEXT: &[u8] = b"\n%%\n";
/// Turns after which a talk that has not ended never will.
const TURNS_MAX: usize = 32;
/// When the talks begin.
const BEGIN: Time = Time::from_seconds(1_773_869_570);

const WANTS: [Want; 6] = [
    Want::Identify,
    Want::Watts,
    Want::Mode,
    Want::Do(Goal::Sleep),
    Want::Do(Goal::Work { wake: true, power: Some(Power(2_500)) }),
    Want::Do(Goal::Work { wake: false, power: Some(Power(2_500)) }),
];

/// Replies of a machine to every family and for everything that can be wanted of it, as they are
/// and as they come through their framing.
///
/// # Panics
/// When a talk does not end.
pub fn replies(data: &[u8]) {
    let mut replies: Vec<&[u8]> = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(NEXT.len()).position(|w| w == NEXT) {
        replies.push(&rest[..at]);
        rest = &rest[at + NEXT.len()..];
    }
    replies.push(rest);
    for framing in [Framing::NulOrEof, Framing::Http, Framing::LengthLe] {
        for reply in &replies {
            // Whether it is a reply is no matter here.
            drop(framed(framing, reply.to_vec()));
        }
    }
    for kind in KINDS {
        let family = family::family(kind, &DriverOptions::default());
        let family = family.expect("every kind has its family");
        let mut keep = None;
        for want in WANTS {
            let mut talk = family.begin(want, keep.take());
            let mut said = replies.iter();
            let ended = (0..TURNS_MAX).any(|turn| {
                let now = BEGIN + Span::seconds(i64::try_from(turn).unwrap_or(0));
                let ask: Ask = talk.say(now);
                assert!(!ask.bytes.is_empty(), "something is said");
                let next = match said.next() {
                    Some(reply) => talk.hear(now, reply),
                    None if turn % 2 == 0 => talk.lost(now, Failure::Timeout),
                    None => talk.lost(now, Failure::Reset),
                };
                !matches!(next, Turn::Say | Turn::Wait(_) | Turn::Verify(_))
            });
            assert!(ended, "{kind} goes on for ever about {want:?}");
            keep = talk.keep();
        }
    }
}

//! A machine's side of a talk, for tests.

use super::{Ask, Talk, Turn};
use crate::Failure;
use headgate_core::time::{Span, Time};

/// Turns after which a talk that has not ended never will.
pub const TURNS_MAX: usize = 24;
/// What a trip takes.
const TRIP: Span = Span::millis(20);

/// When the talks of tests begin.
pub const BEGIN: Time = Time::from_seconds(1_773_869_570);

/// Lets a talk run against a machine until it ends; what was said and what followed, in lines.
pub fn play(
    talk: &mut dyn Talk,
    now: &mut Time,
    shown: impl Fn(&Ask) -> String,
    mut machine: impl FnMut(&Ask, Time) -> Result<Vec<u8>, Failure>,
) -> String {
    let mut lines = Vec::new();
    for _ in 0..TURNS_MAX {
        let ask = talk.say(*now);
        lines.push(format!("> {}", shown(&ask)));
        *now += TRIP;
        let turn = match machine(&ask, *now) {
            Ok(reply) => talk.hear(*now, &reply),
            Err(failure) => talk.lost(*now, failure),
        };
        match turn {
            Turn::Say => continue,
            Turn::Wait(span) | Turn::Verify(span) => {
                *now += span;
                let what = if matches!(turn, Turn::Wait(_)) { "wait" } else { "verify in" };
                lines.push(format!("{what} {span}"));
            }
            Turn::Read(reading) => {
                lines.push(short(&format!("{reading:?}")));
                return lines.join("\n");
            }
            turn => {
                lines.push(format!("{turn:?}"));
                return lines.join("\n");
            }
        }
    }
    panic!("it never ends:\n{}", lines.join("\n"));
}

/// A reading without what it does not say.
fn short(reading: &str) -> String {
    let mut text = reading.replace("Reading { ", "").replace(" }", "}");
    for name in ["watts", "declared", "setting", "rival", "identity"] {
        text = text.replace(&format!("{name}: None, "), "").replace(&format!(", {name}: None"), "");
    }
    let text = text.trim_end_matches('}');
    format!("read {}", if text == "identity: None" { "nothing" } else { text })
}

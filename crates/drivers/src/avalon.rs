//! Avalon of Canaan: cgminer's API with the machine's state packed into one text, and a soft
//! power switch that is told when to act, a few seconds from now by the machine's clock.

use crate::cgminer::{self, ReplyError, WATTS_MAX, request, text_of};
use crate::family::{
    Ask, Can, Chain, Family, Goal, Identity, Keep, RampClass, Reading, Step, Talk, Turn, Want,
    Watts,
};
use crate::{Failure, Framing};
use headgate_core::fleet::Declared;
use headgate_core::time::{SECOND, Span, Time};
use headgate_core::units::Power;
use serde_json::Value;

/// Kind of these machines in a configuration.
pub const KIND: &str = "avalon";
/// How far ahead the switch is told to act: a time that has passed is refused.
const AHEAD: Span = Span::seconds(5);
/// The address may not write.
const DENIED: i64 = 45;
/// Place of the power at the wall among the numbers of the supply, and of that it gives, which
/// older machines stop at.
const PS_IN: usize = 6;
const PS_OUT: usize = 4;

/// All Avalon machines.
#[derive(Debug, Clone, Copy)]
pub struct Avalon;

impl Family for Avalon {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn can(&self) -> Can {
        Can { sleep: true, trim: false, keeps_power: true, class: RampClass::Fast }
    }

    fn begin(&self, want: Want, _: Option<Keep>) -> Box<dyn Talk> {
        match want {
            Want::Watts => Chain::talk(WATTS),
            Want::Mode => Chain::talk(MODE),
            Want::Identify => Chain::talk(IDENTITY),
            Want::Do(goal) => Box::new(Command { goal }),
        }
    }
}

const WATTS: &[Step] = &[(|| ask(request("estats", None)), read_watts)];
const MODE: &[Step] = &[(|| ask(request("estats", None)), read_mode)];
const IDENTITY: &[Step] = &[(|| ask(request("version", None)), read_identity)];

fn ask(bytes: Vec<u8>) -> Ask {
    Ask::new(Framing::NulOrEof, bytes)
}

/// Reads a reply the machine must have given willingly.
fn read(reply: &[u8]) -> Result<Value, ReplyError> {
    let reply = cgminer::read_value(reply)?;
    let row = &reply["STATUS"][0];
    match row["STATUS"].as_str() {
        Some("S" | "I" | "W") => Ok(reply),
        Some(_) => {
            let code = cgminer::number_of(&row["Code"]).unwrap_or(0);
            Err(ReplyError::Said { code, msg: text_of(&row["Msg"]) })
        }
        None => Err(ReplyError::Missing { section: "STATUS", field: "STATUS" }),
    }
}

/// The texts that hold the machine's state: `Ver[..] PS[0 1215 ..] SoftOFF[0] ..`.
fn states(reply: &Value) -> impl Iterator<Item = &str> {
    let rows = reply["STATS"].as_array().map(Vec::as_slice).unwrap_or_default();
    let fields = rows.iter().filter_map(Value::as_object).flatten();
    fields.filter(|(key, _)| key.starts_with("MM ID")).filter_map(|(_, value)| value.as_str())
}

/// What stands in brackets after a name.
fn bracket<'a>(state: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = state;
    loop {
        let at = rest.find(name)?;
        let begins = rest[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        let after = &rest[at + name.len()..];
        if let Some(inside) = after.strip_prefix('[').filter(|_| begins) {
            return inside.split_once(']').map(|(inside, _)| inside.trim());
        }
        rest = after;
    }
}

fn watts(state: &str) -> Option<Power> {
    let number = |text: &str| text.parse().ok().filter(|w| (0..=WATTS_MAX).contains(w)).map(Power);
    let wall = bracket(state, "WALLPOWER").and_then(number);
    wall.or_else(|| {
        let numbers: Vec<&str> = bracket(state, "PS")?.split_whitespace().collect();
        number(numbers.get(PS_IN).or(numbers.get(PS_OUT))?)
    })
}

fn read_watts(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let reply = read(reply).map_err(|e| e.to_string())?;
    // One machine may report the modules of a stack, each with its own supply.
    let all: Vec<Power> = states(&reply).filter_map(watts).collect();
    let sum: i64 = all.iter().map(|p| p.0).sum();
    let known = !all.is_empty() && sum <= WATTS_MAX;
    reading.watts = known.then_some(Watts { power: Power(sum), psu: true });
    read_state(&reply, reading);
    Ok(())
}

fn read_mode(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let reply = read(reply).map_err(|e| e.to_string())?;
    read_state(&reply, reading);
    Ok(())
}

fn read_state(reply: &Value, reading: &mut Reading) {
    let off = states(reply).find_map(|state| {
        let soft = bracket(state, "SoftOFF").and_then(|v| v.parse::<u32>().ok());
        let idle = bracket(state, "SYSTEMSTATU").map(|v| v.contains("In Idle"));
        soft.map(|v| v != 0).or(idle)
    });
    reading.declared = off.map(|off| if off { Declared::Asleep } else { Declared::Awake });
}

fn read_identity(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let reply = read(reply).map_err(|e| e.to_string())?;
    let row = &reply["VERSION"][0];
    let named = ["MODEL", "PROD"].map(|key| text_of(&row[key]));
    let model = named.into_iter().find(|m| !m.is_empty()).unwrap_or_default();
    let identity = Identity {
        make: "Avalon".into(),
        model,
        firmware: format!("stock {}", text_of(&row["VERSION"])),
        rated: None,
    };
    reading.identity = Some(Box::new(identity));
    Ok(())
}

/// One command: the soft switch.
#[derive(Debug)]
struct Command {
    goal: Goal,
}

impl Talk for Command {
    fn say(&mut self, now: Time) -> Ask {
        let word = if self.goal == Goal::Sleep { "softoff" } else { "softon" };
        let at = (now + AHEAD).0.div_euclid(SECOND);
        ask(request("ascset", Some(&format!("0,{word},1:{at}"))))
    }

    fn hear(&mut self, _: Time, reply: &[u8]) -> Turn {
        match read(reply) {
            Ok(reply) => {
                let msg = text_of(&reply["STATUS"][0]["Msg"]);
                // It informs of failures, too.
                if msg.contains("fail") { Turn::Refused(msg) } else { Turn::Accepted }
            }
            Err(ReplyError::Said { code: DENIED, .. }) => Turn::Refused(
                "it may not be written to from this address: allow that in its API's settings"
                    .into(),
            ),
            Err(ReplyError::Said { msg, .. }) => Turn::Refused(msg),
            Err(ReplyError::Empty) => Turn::Unconfirmed,
            Err(e) => Turn::Refused(e.to_string()),
        }
    }

    fn lost(&mut self, _: Time, failure: Failure) -> Turn {
        match failure {
            // It closes the connection when it does what it was told.
            Failure::Reset => Turn::Unconfirmed,
            other => Turn::Lost(other),
        }
    }

    fn speaks(&self) -> bool {
        true
    }

    fn redirect(&mut self, goal: Goal) {
        self.goal = goal;
    }
}

#[cfg(test)]
mod tests;

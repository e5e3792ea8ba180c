//! The pretend farm from outside: its physics, its protocol, its sockets.

#[cfg(test)]
mod backtest;
mod curtail;
#[cfg(test)]
mod firmwares;
#[cfg(test)]
mod physics;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod train;

use headgate_core::fleet::MachineId;
use headgate_core::time::{Span, Time};
use headgate_sim::ApiAnswer;
use headgate_sim::farm::Farm;
use headgate_sim::models::model;
use headgate_sim::spec::{CohortSpec, FarmSpec};

/// The start of every farm here: 2024-08-20T18:00:00Z.
const START: Time = Time::from_seconds(1_724_176_800);
/// Wall time of every request here, where a test does not say otherwise.
const WALL: Time = Time::from_seconds(1_760_242_394);

/// So many seconds after the start.
fn at(seconds: i64) -> Time {
    START + Span::seconds(seconds)
}

/// A farm of S19k Pros without faults.
fn spec(machines: u32) -> FarmSpec {
    let model = model("s19kpro").expect("the model is known");
    FarmSpec::new(START, vec![CohortSpec::new(model, machines)], 7)
}

/// What one machine replies, without its closing NUL.
fn ask(farm: &mut Farm, machine: u32, now: Time, wall: Time, request: &str) -> String {
    match farm.handle(MachineId(machine), now, wall, request.as_bytes()) {
        ApiAnswer::Reply(bytes) => {
            let text = String::from_utf8(bytes).expect("a reply is text");
            text.trim_end_matches('\0').to_owned()
        }
        other => format!("{other:?}"),
    }
}

/// Opens a session on a machine.
fn logon(farm: &mut Farm, machine: u32, now: Time, wall: Time) -> String {
    let reply = ask(farm, machine, now, wall, r#"{"command":"logon"}"#);
    let value: serde_json::Value = serde_json::from_str(&reply).expect("a reply is JSON");
    value["SESSION"][0]["SessionID"].as_str().expect("the session is open").to_owned()
}

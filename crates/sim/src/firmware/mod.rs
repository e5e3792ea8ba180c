//! The machines' firmwares: each is another protocol in front of the same physics.
//!
//! A firmware only translates what it is told into sleep, wake and a profile; what follows in
//! watts is the farm's. What a firmware has to remember beyond that (tokens, a configuration) is
//! kept beside the machines and only for those that were spoken to, so that a farm of a hundred
//! thousand stays small. Each has the bad manners of the real thing: what they are stands at the
//! head of its module.

mod antminer;
mod avalon;
mod braiins;
mod http;
mod whatsminer;
mod whatsminer3;

use crate::farm::Farm;
use crate::luxos_api::{ApiAnswer, HTML};
use crate::machine::Fault;
use antminer::Antminer;
use braiins::Braiins;
use headgate_core::fleet::MachineId;
use headgate_core::time::Time;
use headgate_drivers::{Framing, Port};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use whatsminer::Whatsminer;

pub(crate) use http::is_whole;

/// What a machine runs, and so what it understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Firmware {
    /// LuxOS.
    #[default]
    Luxos,
    /// Whatsminer with the v2 API: tokens and sealed writes.
    Whatsminer2,
    /// An Antminer with its maker's own.
    Antminer,
    /// Braiins OS, by its REST interface.
    Braiins,
    /// Whatsminer with the v3 API: signed writes; v2 stays on its old port.
    Whatsminer3,
    /// An Avalon.
    Avalon,
}

impl Firmware {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Luxos,
        Self::Whatsminer2,
        Self::Antminer,
        Self::Braiins,
        Self::Whatsminer3,
        Self::Avalon,
    ];

    /// Its name: that of the driver which speaks to it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Luxos => "luxos",
            Self::Whatsminer2 => "whatsminer2",
            Self::Antminer => "antminer",
            Self::Braiins => "braiins",
            Self::Whatsminer3 => "whatsminer3",
            Self::Avalon => "avalon",
        }
    }

    /// The firmware of this name.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.key() == key)
    }

    /// The key of a common model that has it.
    pub(crate) fn usual_model(self) -> &'static str {
        match self {
            Self::Luxos => "s19kpro",
            Self::Whatsminer2 | Self::Whatsminer3 => "m60s",
            Self::Antminer => "s19jpro",
            Self::Braiins => "s19xp",
            Self::Avalon => "a1346",
        }
    }

    /// The port that the real thing has; `None` for a second one where it has none.
    #[must_use]
    pub fn usual_port(self, port: Port) -> Option<u16> {
        match (self, port) {
            (Self::Luxos | Self::Whatsminer2 | Self::Avalon, Port::Main) => Some(4028),
            (Self::Antminer | Self::Braiins, Port::Main) => Some(80),
            (Self::Whatsminer3, Port::Main) => Some(4433),
            (Self::Antminer | Self::Whatsminer3, Port::Aux) => Some(4028),
            (Self::Luxos | Self::Whatsminer2 | Self::Avalon | Self::Braiins, Port::Aux) => None,
        }
    }

    /// How requests and replies on a port end.
    #[must_use]
    pub fn framing(self, port: Port) -> Framing {
        match (self, port) {
            (Self::Antminer | Self::Braiins, Port::Main) => Framing::Http,
            (Self::Whatsminer3, Port::Main) => Framing::LengthLe,
            (Self::Luxos | Self::Whatsminer2 | Self::Avalon, Port::Main) | (_, Port::Aux) => {
                Framing::NulOrEof
            }
        }
    }

    /// Which of its ports stands behind a number of the real thing.
    #[must_use]
    pub fn port_at(self, number: u16) -> Option<Port> {
        [Port::Main, Port::Aux].into_iter().find(|p| self.usual_port(*p) == Some(number))
    }
}

/// One request as it comes in.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The port it came to.
    pub port: Port,
    /// Who sent it.
    pub peer: Ipv4Addr,
    /// What was sent.
    pub bytes: &'a [u8],
}

impl std::fmt::Debug for Call<'_> {
    // A request may carry a password or what could be used like one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { port, peer, bytes } = self;
        write!(f, "Call({port:?} from {peer}, {} bytes)", bytes.len())
    }
}

/// When a request comes: simulated time moves the physics, wall time ages what the firmware
/// keeps.
#[derive(Debug, Clone, Copy)]
struct Moment {
    now: Time,
    wall: Time,
}

impl Moment {
    /// Seconds of the wall clock since 1970.
    fn seconds(self) -> i64 {
        self.wall.0.div_euclid(headgate_core::time::SECOND)
    }
}

/// What the firmwares remember of single machines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    whatsminers: BTreeMap<u32, Whatsminer>,
    antminers: BTreeMap<u32, Antminer>,
    braiins: BTreeMap<u32, Braiins>,
}

impl Farm {
    /// What a machine runs.
    ///
    /// # Panics
    /// When there is no such machine.
    #[must_use]
    pub fn firmware(&self, machine: MachineId) -> Firmware {
        self.cohort(machine).firmware
    }

    /// What is run in the farm, each once.
    #[must_use]
    pub fn firmwares(&self) -> Vec<Firmware> {
        let all: BTreeSet<_> = self.cohorts().iter().map(|c| c.firmware).collect();
        all.into_iter().collect()
    }

    /// Answers one request to a machine's first port, sent by nobody in particular.
    ///
    /// `now` is simulated time and moves the physics; `wall` is wall time and ages sessions.
    pub fn handle(&mut self, machine: MachineId, now: Time, wall: Time, bytes: &[u8]) -> ApiAnswer {
        self.call(machine, now, wall, Call { port: Port::Main, peer: Ipv4Addr::LOCALHOST, bytes })
    }

    /// Answers one request as the machine would; see [`Farm::handle`].
    pub fn call(&mut self, machine: MachineId, now: Time, wall: Time, call: Call<'_>) -> ApiAnswer {
        let firmware = self.firmware(machine);
        if !self.accepts(machine, now) || firmware.usual_port(call.port).is_none() {
            return ApiAnswer::Refuse;
        }
        match self.machine(machine).fault {
            Fault::Mute => return ApiAnswer::Never,
            Fault::Html => return ApiAnswer::Reply(HTML.as_bytes().to_vec()),
            _ => {}
        }
        if call.bytes.is_empty() {
            return ApiAnswer::Close;
        }
        let at = Moment { now, wall };
        match firmware {
            Firmware::Luxos => self.luxos(machine, now, wall, call.bytes),
            Firmware::Whatsminer2 => self.whatsminer2(machine, at, call),
            Firmware::Antminer => self.antminer_hears(machine, at, call),
            Firmware::Braiins => self.braiins_hears(machine, at, call),
            Firmware::Whatsminer3 if call.port == Port::Aux => self.whatsminer2(machine, at, call),
            Firmware::Whatsminer3 => self.whatsminer3(machine, at, call),
            Firmware::Avalon => self.avalon(machine, at, call),
        }
    }
}

/// A text or a number, as texts are what numbers are written as here.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The profile of a model that is nearest to a power.
fn nearest(model: &crate::models::Model, watts: i64) -> usize {
    let distance = |i: &usize| (model.profiles[*i].watts.0 - watts).unsigned_abs();
    (0..model.profiles.len()).min_by_key(distance).unwrap_or(model.default)
}

//! The machine's side of the LuxOS API: one request's bytes in, the reply's bytes out.
//!
//! Framing, status letters and codes are those of the cgminer API that LuxOS keeps; the LuxOS
//! commands follow its published examples. Three codes are published nowhere and marked so.

use crate::farm::{Already, Farm};
use crate::json::Json;
use crate::machine::{FREQUENCY_STEP_MHZ, Pace};
use crate::models::Model;
use headgate_core::fleet::MachineId;
use headgate_core::number::decimal;
use headgate_core::time::{Span, Time};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// How long a session lives after its last use, in wall time.
pub const SESSION_LIFE: Span = Span::seconds(60);
/// Longest request read; a machine reads once into a buffer of this size.
pub const REQUEST_BYTES_MAX: usize = 8192;
/// Most commands joined by `+` in one request.
const JOINED_MAX: usize = 32;
/// Room for all of a reply but its sections' items.
const STATUS_BYTES: usize = 192;
/// The firmware the machines say they run.
pub(crate) const FIRMWARE: &str = "2025.4.8.220305";
/// The firmware with its build.
pub(crate) const BUILD: &str = "LUXminer 2025.4.8.220305-57b389c7";
/// What answers in place of a machine with [`Fault::Html`].
pub(crate) const HTML: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n\
    <html><head><title>400 Bad Request</title></head><body>nginx</body></html>\n";

/// Not published; what an invalid or expired session is told.
const CODE_NO_SESSION: u32 = 403;
/// Not published; what a curtail command that changes nothing is told.
const CODE_ALREADY: u32 = 433;
/// Not published; what an unknown profile is told.
const CODE_NO_PROFILE: u32 = 410;

/// What becomes of a connection that made a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiAnswer {
    /// These bytes, then the connection is closed. They end in NUL where a machine speaks.
    Reply(Vec<u8>),
    /// The same, after as long as the machine takes to do what it was told.
    Later(Vec<u8>, Span),
    /// Nothing, with the connection left open.
    Never,
    /// Nothing, with the connection closed.
    Close,
    /// The connection is refused.
    Refuse,
}

/// The `STATUS` of a reply.
#[derive(Debug)]
pub(crate) struct Status {
    letter: char,
    code: u32,
    msg: Cow<'static, str>,
    described: bool,
}

/// A reply before it is put together: its status and its named sections, each a JSON list.
#[derive(Debug)]
pub(crate) struct Reply {
    status: Status,
    sections: Vec<(&'static str, String)>,
}

impl Reply {
    fn new(letter: char, code: u32, msg: impl Into<Cow<'static, str>>) -> Self {
        let status = Status { letter, code, msg: msg.into(), described: true };
        Self { status, sections: Vec::new() }
    }

    /// Success.
    pub(crate) fn ok(code: u32, msg: impl Into<Cow<'static, str>>) -> Self {
        Self::new('S', code, msg)
    }

    /// Refusal.
    pub(crate) fn error(code: u32, msg: impl Into<Cow<'static, str>>) -> Self {
        Self::new('E', code, msg)
    }

    /// An unknown command; cgminer describes itself in every reply but this one.
    fn unknown() -> Self {
        let mut reply = Self::error(14, "Invalid command");
        reply.status.described = false;
        reply
    }

    /// Adds a section with one object in it.
    pub(crate) fn with(self, name: &'static str, fill: impl FnOnce(&mut Json)) -> Self {
        self.with_list(name, |j| {
            j.open();
            fill(j);
            j.close();
        })
    }

    /// Adds a section.
    pub(crate) fn with_list(mut self, name: &'static str, fill: impl FnOnce(&mut Json)) -> Self {
        let mut list = Json::default();
        fill(&mut list);
        self.sections.push((name, list.text()));
        self
    }

    /// Puts the reply together. Keys come in the order of their names, as the firmware has it.
    fn text(&self, wall: Time) -> String {
        let held: usize = self.sections.iter().map(|(_, list)| list.len()).sum();
        let mut j = Json::with_capacity(held + STATUS_BYTES);
        j.open();
        for (name, list) in self.sections.iter().filter(|(name, _)| *name < "STATUS") {
            j.raw_list(name, list);
        }
        j.list("STATUS").open().int("Code", self.status.code);
        if self.status.described {
            j.str("Description", BUILD);
        }
        j.str("Msg", &self.status.msg);
        j.str("STATUS", self.status.letter.encode_utf8(&mut [0; 4]));
        j.int("When", wall.0.div_euclid(headgate_core::time::SECOND)).close().end();
        for (name, list) in self.sections.iter().filter(|(name, _)| *name > "STATUS") {
            j.raw_list(name, list);
        }
        j.int("id", 1).close();
        j.text()
    }
}

/// One command with its parameter.
struct Request<'a> {
    command: Cow<'a, str>,
    parameter: Cow<'a, str>,
}

/// A request as it is written in JSON. What else it holds is ignored.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default)]
    command: Option<Text<'a>>,
    #[serde(borrow, default)]
    parameter: Option<Text<'a>>,
}

/// A text, or anything else that stands in its place.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text<'a> {
    #[serde(borrow)]
    Plain(&'a str),
    Escaped(String),
    Other(Value),
}

impl Farm {
    /// Answers one request as a machine with LuxOS.
    pub(crate) fn luxos(
        &mut self,
        machine: MachineId,
        now: Time,
        wall: Time,
        request: &[u8],
    ) -> ApiAnswer {
        let mut reply = match parse(request) {
            Err(reply) => reply.text(wall),
            Ok(r) if r.command.contains('+') => self.joined(machine, now, wall, &r.command),
            Ok(r) => self.one(machine, now, wall, &r).text(wall),
        };
        reply.push('\0');
        ApiAnswer::Reply(reply.into_bytes())
    }

    /// Several read commands at once; each answer is a list under its command's name.
    fn joined(&mut self, machine: MachineId, now: Time, wall: Time, commands: &str) -> String {
        let mut j = Json::default();
        j.open();
        let mut done: Vec<&str> = Vec::new();
        for command in commands.split('+').filter(|c| !c.is_empty()).take(JOINED_MAX) {
            if done.contains(&command) {
                continue;
            }
            done.push(command);
            let reply = if is_write(command) {
                Reply::error(45, format!("Access denied to '{command}' command"))
            } else {
                let request = Request { command: command.into(), parameter: "".into() };
                self.one(machine, now, wall, &request)
            };
            let text = reply.text(wall);
            let end = text.rfind(",\"id\":1}").unwrap_or(text.len());
            j.list(command).item(&format!("{}}}", &text[..end])).end();
        }
        j.int("id", 1).close();
        j.text()
    }

    fn one(&mut self, machine: MachineId, now: Time, wall: Time, request: &Request<'_>) -> Reply {
        match request.command.as_ref() {
            "logon" => self.logon(machine, wall),
            "session" => self.session(machine, wall),
            command if is_write(command) => {
                let (session, rest) = match request.parameter.split_once(',') {
                    Some((session, rest)) => (session.trim(), rest),
                    None => (request.parameter.trim(), ""),
                };
                if !self.holds(machine, wall, session) {
                    return Reply::error(CODE_NO_SESSION, "Invalid session ID");
                }
                self.write(machine, now, command, rest)
            }
            command => {
                self.read(machine, now, command, &request.parameter).unwrap_or_else(Reply::unknown)
            }
        }
    }

    fn write(&mut self, machine: MachineId, now: Time, command: &str, rest: &str) -> Reply {
        match command {
            "logoff" => {
                self.machine_mut(machine).session = 0;
                Reply::ok(317, "Session terminated")
            }
            "curtail" => self.curtail(machine, now, rest),
            "profileset" => self.profileset(machine, now, rest),
            "atmset" => self.atmset(machine, rest),
            "rebootdevice" => {
                self.reboot(machine, now);
                Reply::ok(318, "Rebooting device")
            }
            _ => Reply::unknown(),
        }
    }

    /// The machine's open session, if it has not outlived its last use.
    fn open_session(&mut self, machine: MachineId, wall: Time) -> Option<u64> {
        let m = self.machine_mut(machine);
        if m.session != 0 && wall >= m.session_used + SESSION_LIFE {
            m.session = 0;
        }
        (m.session != 0).then_some(m.session)
    }

    fn logon(&mut self, machine: MachineId, wall: Time) -> Reply {
        if self.open_session(machine, wall).is_some() {
            return Reply::error(402, "Another session is active");
        }
        let session = self.rng.draw() | 1;
        let m = self.machine_mut(machine);
        (m.session, m.session_used) = (session, wall);
        Reply::ok(316, "Session created").with("SESSION", |j| {
            j.str("SessionID", &session_text(session));
        })
    }

    fn session(&mut self, machine: MachineId, wall: Time) -> Reply {
        let open = self.open_session(machine, wall).map(session_text).unwrap_or_default();
        Reply::ok(319, "Session information").with("SESSION", |j| {
            j.str("SessionID", &open);
        })
    }

    /// Whether this is the open session; using it refreshes it.
    fn holds(&mut self, machine: MachineId, wall: Time, session: &str) -> bool {
        let holds = self.open_session(machine, wall).map(session_text).as_deref() == Some(session);
        if holds {
            self.machine_mut(machine).session_used = wall;
        }
        holds
    }

    fn curtail(&mut self, machine: MachineId, now: Time, rest: &str) -> Reply {
        let mut words = rest.split(',').map(str::trim);
        let action = words.next().unwrap_or_default();
        let (outcome, said, already) = match action {
            "sleep" => (self.sleep(machine, now), "sleep mode", "Miner is already in sleep mode"),
            "wakeup" => {
                let Some(pace) = pace(words) else {
                    return Reply::error(401, "Invalid parameter for curtail");
                };
                (self.wake(machine, now, pace), "wake up", "Miner is already active")
            }
            _ => return Reply::error(401, "Invalid parameter for curtail"),
        };
        match outcome {
            Err(Already) => Reply::error(CODE_ALREADY, already),
            Ok(()) => Reply::ok(335, "Curtailment command sent").with("CURTAIL", |j| {
                j.str("Action", said);
            }),
        }
    }

    fn profileset(&mut self, machine: MachineId, now: Time, rest: &str) -> Reply {
        let mut words = rest.split(',').map(str::trim);
        let mut wanted = words.next().unwrap_or_default();
        // A bare 0 to 3 is read as the board number of older versions.
        if matches!(wanted, "0" | "1" | "2" | "3") {
            wanted = words.next().unwrap_or_default();
        }
        let model = self.model(machine);
        let Some(profile) = select_profile(model, wanted) else {
            return Reply::error(CODE_NO_PROFILE, format!("Profile '{wanted}' not found"));
        };
        self.set_profile(machine, now, profile);
        Reply::ok(321, "Profile Set").with("PROFILE", |j| {
            j.int("Board", 0).int("FrequencyStep", FREQUENCY_STEP_MHZ);
            j.str("Profile", &model.profiles[profile].name).fixed("VoltageStep", 5, 2);
        })
    }

    fn atmset(&mut self, machine: MachineId, rest: &str) -> Reply {
        for word in rest.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            match word.split_once('=') {
                Some(("enabled", "true")) => self.machine_mut(machine).atm = true,
                Some(("enabled", "false")) => self.machine_mut(machine).atm = false,
                // The other settings steer a thermal manager that this farm does not have.
                Some((
                    "startup_minutes" | "post_ramp_minutes" | "temp_window" | "min_profile"
                    | "max_profile" | "prevent_oc",
                    _,
                )) => {}
                _ => return Reply::error(401, "Invalid parameter for atmset"),
            }
        }
        Reply::ok(340, "Advanced Thermal Management configuration updated")
    }
}

/// Whether a command needs a session.
fn is_write(command: &str) -> bool {
    matches!(command, "logoff" | "curtail" | "profileset" | "atmset" | "rebootdevice")
}

/// How fast a `wakeup` asks for; `None` when a word is not understood.
fn pace<'a>(words: impl Iterator<Item = &'a str>) -> Option<Pace> {
    let mut pace = Pace::Normal;
    for word in words.filter(|w| !w.is_empty()) {
        match word.split_once('=')? {
            ("mode", "unsafe") => pace = Pace::Unsafe,
            ("mode", _) => {}
            ("frequency_step", mhz) => pace = Pace::Steps(mhz.parse().ok()?),
            ("voltage_step", volts) => drop(decimal(volts, 2).ok()?),
            _ => return None,
        }
    }
    Some(pace)
}

/// The profile a selector names: by name, power, rate, or distance from the default one.
fn select_profile(model: &Model, wanted: &str) -> Option<usize> {
    if let Some(by_name) = model.profiles.iter().position(|p| p.name == wanted) {
        return Some(by_name);
    }
    if wanted.starts_with(['+', '-']) {
        let step: i32 = wanted.parse().ok()?;
        return model.profiles.iter().position(|p| p.step == step);
    }
    let nearest = |target: i64, of: fn(&crate::models::Profile) -> i64| {
        let distance = |i: &usize| (of(&model.profiles[*i]) - target).unsigned_abs();
        (0..model.profiles.len()).min_by_key(distance)
    };
    if let Some(th) = wanted.strip_suffix("THs") {
        return nearest(decimal(th, 3).ok()?, |p| p.rate.0);
    }
    if let Some(kw) = wanted.strip_suffix("kW") {
        return nearest(decimal(kw, 3).ok()?, |p| p.watts.0);
    }
    nearest(decimal(wanted.strip_suffix('W')?, 0).ok()?, |p| p.watts.0)
}

/// Reads a request: a JSON document, or `command|parameter`.
fn parse(bytes: &[u8]) -> Result<Request<'_>, Reply> {
    let invalid = || Reply::error(23, "Invalid JSON");
    let text = std::str::from_utf8(bytes).map_err(|_| invalid())?;
    if !text.trim_start().starts_with('{') {
        let text = text.trim_end_matches(['\0', '\r', '\n']);
        let (command, parameter) = text.split_once('|').unwrap_or((text, ""));
        return Ok(Request { command: command.into(), parameter: parameter.into() });
    }
    // A NUL after the document makes it invalid: the reader takes the byte as part of it.
    let written: Written<'_> = serde_json::from_str(text).map_err(|_| invalid())?;
    let command = match written.command {
        Some(Text::Plain(text)) => Cow::Borrowed(text),
        Some(Text::Escaped(text)) => Cow::Owned(text),
        Some(Text::Other(_)) | None => return Err(Reply::error(24, "Missing JSON 'command'")),
    };
    let parameter = match written.parameter {
        Some(Text::Plain(text)) => Cow::Borrowed(text),
        Some(Text::Escaped(text)) => Cow::Owned(text),
        Some(Text::Other(other)) => Cow::Owned(other.to_string()),
        None => Cow::Borrowed(""),
    };
    Ok(Request { command, parameter })
}

/// A session's name: eight letters and digits.
fn session_text(session: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digit = |place: u32| char::from(LETTERS[(session / 62u64.pow(place) % 62) as usize]);
    (0..8).map(digit).collect()
}

//! Braiins OS, by its REST API; a token from a login goes with each request, and each request
//! keeps it alive. Pausing and resuming are done by the firmware's own ramps, which an owner can
//! set to seconds; power is set by a target that outlives a pause.

use crate::Framing;
use crate::cgminer::{self, WORDS_MAX, number_of, power_of, text_of, words};
use crate::family::{
    Ask, Can, Family, Goal, Identity, Keep, RampClass, Reading, Rival, Setting, Talk, Turn, Want,
    Watts,
};
use crate::http::{self, Response};
use crate::secret::{Credentials, Secret};
use headgate_core::fleet::Declared;
use headgate_core::time::Time;
use headgate_core::units::Power;
use serde_json::{Value, json};

/// Kind of these machines in a configuration.
pub const KIND: &str = "braiins";
const LOGIN: &str = "/api/v1/auth/login";
const STATS: &str = "/api/v1/miner/stats";
const DETAILS: &str = "/api/v1/miner/details";
const CONFIG: &str = "/api/v1/configuration/miner";
const PAUSE: &str = "/api/v1/actions/pause";
const RESUME: &str = "/api/v1/actions/resume";
const POWER_TARGET: &str = "/api/v1/performance/power-target";
/// The firmware's own manager of power by temperature.
const DPS: Rival = Rival::Manager("the firmware's dynamic power scaling (DPS)");
/// Longest token taken in.
const TOKEN_BYTES_MAX: usize = 512;

/// All machines that run Braiins OS.
#[derive(Debug, Clone)]
pub struct Braiins {
    credentials: Credentials,
}

impl Braiins {
    /// With a name and a password, else the factory's.
    #[must_use]
    pub fn new(credentials: Option<Credentials>) -> Self {
        let factory = || Credentials::new("root", "root");
        Self { credentials: credentials.unwrap_or_else(factory).or_name("root") }
    }
}

impl Family for Braiins {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn can(&self) -> Can {
        Can { sleep: true, trim: true, keeps_power: true, class: RampClass::Fast }
    }

    fn begin(&self, want: Want, keep: Option<Keep>) -> Box<dyn Talk> {
        let token = match keep {
            Some(Keep::Braiins(token)) => Some(token),
            _ => None,
        };
        let api = Api { credentials: self.credentials.clone(), token, relogged: false };
        match want {
            Want::Do(goal) => Box::new(Command { api, goal, targeted: false }),
            want => Box::new(Read { api, want, details: None }),
        }
    }
}

/// The API behind its login.
#[derive(Debug)]
struct Api {
    credentials: Credentials,
    token: Option<Secret>,
    /// A token that was refused was replaced once already.
    relogged: bool,
}

/// What a reply was.
enum Heard {
    /// There is a token now, or has to be: say the same again.
    Again,
    /// What was asked for.
    Body(Vec<u8>),
    /// Neither, in these words.
    Refused(String),
}

impl Api {
    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Ask {
        let bytes = match &self.token {
            None => {
                let (name, password) = (&self.credentials.username, &self.credentials.password);
                let body = json!({"username": name.reveal(), "password": password.reveal()});
                http::request("POST", LOGIN, &[], Some(body.to_string().as_bytes()))
            }
            Some(token) => {
                // Not a bearer's token: the token alone.
                let line = format!("Authorization: {}", token.reveal());
                http::request(method, path, &[&line], body.map(str::as_bytes))
            }
        };
        Ask::new(Framing::Http, bytes)
    }

    fn hear(&mut self, reply: &[u8]) -> Heard {
        match self.judge(reply) {
            // A server may repeat what it was sent, and a login is sent with its password.
            Heard::Refused(why) => Heard::Refused(self.credentials.password.hide_in(&why)),
            heard => heard,
        }
    }

    fn judge(&mut self, reply: &[u8]) -> Heard {
        let reply = match Response::read(reply) {
            Ok(reply) => reply,
            Err(e) => return Heard::Refused(e.to_string()),
        };
        let logs_in = self.token.is_none();
        match reply.status {
            200..=299 if logs_in => self.take_token(&reply.body),
            200..=299 => Heard::Body(reply.body),
            401 | 403 if logs_in || self.relogged => {
                self.token = None;
                Heard::Refused("it does not take this name and password".into())
            }
            401 | 403 => {
                self.token = None;
                self.relogged = true;
                Heard::Again
            }
            _ => Heard::Refused(refusal(&reply)),
        }
    }

    fn take_token(&mut self, body: &[u8]) -> Heard {
        let reply = match cgminer::read_value(body) {
            Ok(reply) => reply,
            Err(e) => return Heard::Refused(e.to_string()),
        };
        let fits = |t: &&str| {
            (1..=TOKEN_BYTES_MAX).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic())
        };
        match reply["token"].as_str().filter(fits) {
            Some(token) => {
                self.token = Some(Secret::new(token));
                Heard::Again
            }
            None => Heard::Refused("its login gave no usable token".into()),
        }
    }

    fn keep(&mut self) -> Option<Keep> {
        self.token.take().map(Keep::Braiins)
    }
}

/// A refusal with the server's own words, where its body has them.
fn refusal(reply: &Response<'_>) -> String {
    let body = cgminer::read_value(&reply.body).unwrap_or_default();
    let text = match &body {
        Value::String(text) => words(text, WORDS_MAX),
        other => text_of(&other["message"]),
    };
    if text.is_empty() { reply.refusal().to_string() } else { text }
}

/// One reading.
#[derive(Debug)]
struct Read {
    api: Api,
    want: Want,
    /// The mode was read, and the settings are asked for.
    details: Option<Reading>,
}

impl Read {
    fn path(&self) -> &'static str {
        match self.want {
            Want::Watts => STATS,
            _ if self.details.is_some() => CONFIG,
            _ => DETAILS,
        }
    }

    fn take(&mut self, body: &Value) -> Turn {
        if let Some(mut reading) = self.details.take() {
            let config = body;
            let enabled = config["dps"]["enabled"].as_bool();
            reading.rival = enabled.map(|on| on.then_some(DPS));
            let target = power_of(&config["tuner"]["power_target"]["watt"]);
            reading.setting = target.map(Setting::Power);
            return Turn::Read(reading);
        }
        match self.want {
            Want::Watts => {
                let power = power_of(&body["power_stats"]["approximated_consumption"]["watt"]);
                let watts = power.map(|power| Watts { power, psu: false });
                Turn::Read(Reading { watts, ..Reading::default() })
            }
            Want::Identify => Turn::Read(identity(body)),
            Want::Mode | Want::Do(_) => {
                let Some(declared) = declared(body) else {
                    return Turn::Refused("it does not say what it does".into());
                };
                self.details = Some(Reading { declared, ..Reading::default() });
                Turn::Say
            }
        }
    }
}

impl Talk for Read {
    fn say(&mut self, _: Time) -> Ask {
        self.api.ask("GET", self.path(), None)
    }

    fn hear(&mut self, _: Time, reply: &[u8]) -> Turn {
        let read = match self.api.hear(reply) {
            Heard::Again => return Turn::Say,
            Heard::Body(body) => cgminer::read_value(&body).map_err(|e| e.to_string()),
            Heard::Refused(why) => Err(why),
        };
        match (read, self.details.take()) {
            (Ok(body), details) => {
                self.details = details;
                self.take(&body)
            }
            // Older versions do not show their settings; the mode is known all the same.
            (Err(_), Some(reading)) => Turn::Read(reading),
            (Err(why), None) => Turn::Refused(why),
        }
    }

    fn keep(&mut self) -> Option<Keep> {
        self.api.keep()
    }
}

/// What the status says; `None` when there is no status, and nothing inside when it is one that
/// says neither.
fn declared(details: &Value) -> Option<Option<Declared>> {
    let status = &details["status"];
    let name = status.as_str().unwrap_or_default().to_ascii_uppercase();
    let number = number_of(status);
    Some(match number {
        Some(2) => Some(Declared::Awake),
        // It throttles itself, and works.
        Some(5) => Some(Declared::Awake),
        Some(3 | 4) => Some(Declared::Asleep),
        Some(_) => None,
        None if name.ends_with("NORMAL") || name.ends_with("RESTRICTED") => Some(Declared::Awake),
        None if name.ends_with("PAUSED") || name.ends_with("SUSPENDED") => Some(Declared::Asleep),
        None if name.is_empty() => return None,
        None => None,
    })
}

fn identity(details: &Value) -> Reading {
    let model = text_of(&details["miner_identity"]["miner_model"]);
    let model = if model.is_empty() { text_of(&details["miner_identity"]["name"]) } else { model };
    let identity = Identity {
        make: "Antminer".into(),
        model: model.trim_start_matches("Antminer").trim().to_owned(),
        firmware: format!("Braiins OS {}", text_of(&details["bos_version"]["current"])),
        rated: None,
    };
    Reading { identity: Some(Box::new(identity)), ..Reading::default() }
}

/// One command. A target is set before a machine is woken, so that it does not start at another.
#[derive(Debug)]
struct Command {
    api: Api,
    goal: Goal,
    targeted: bool,
}

impl Command {
    fn target(&self) -> Option<Power> {
        match self.goal {
            Goal::Work { power, .. } if !self.targeted => power,
            _ => None,
        }
    }

    fn wakes(&self) -> bool {
        // Without a power to set, waking is all there is to say.
        !matches!(self.goal, Goal::Work { wake: false, power: Some(_) } | Goal::Sleep)
    }
}

impl Talk for Command {
    fn say(&mut self, _: Time) -> Ask {
        if let Some(power) = self.target() {
            let body = json!({"watt": power.0}).to_string();
            return self.api.ask("PUT", POWER_TARGET, Some(&body));
        }
        let path = if self.goal == Goal::Sleep { PAUSE } else { RESUME };
        self.api.ask("PUT", path, None)
    }

    fn hear(&mut self, _: Time, reply: &[u8]) -> Turn {
        match self.api.hear(reply) {
            Heard::Again => Turn::Say,
            // A machine that already was as told answers so, and that is success.
            Heard::Body(_) if self.target().is_some() => {
                self.targeted = true;
                if self.wakes() { Turn::Say } else { Turn::Accepted }
            }
            Heard::Body(_) => Turn::Accepted,
            Heard::Refused(why) => Turn::Refused(why),
        }
    }

    fn speaks(&self) -> bool {
        self.api.token.is_some()
    }

    fn redirect(&mut self, goal: Goal) {
        self.goal = goal;
        self.targeted = false;
    }

    fn keep(&mut self) -> Option<Keep> {
        self.api.keep()
    }
}

#[cfg(test)]
mod tests;

//! Whatsminer v3: each request and each reply with its length in front; reads need no name,
//! each write is signed with the password, a salt of the machine's and the time.

use super::job::Job;
use crate::Framing;
use crate::cgminer::{self, ReplyError, number_of, power_of, text_of};
use crate::family::{
    Ask, Can, Chain, Family, Goal, Identity, Keep, RampClass, Reading, Setting, Step, Talk, Turn,
    Want, Watts,
};
use crate::secret::{Credentials, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use headgate_core::fleet::Declared;
use headgate_core::time::Time;
use headgate_core::units::Power;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Kind of these machines in a configuration.
pub const KIND: &str = "whatsminer3";
const SERVICE: &str = "set.miner.service";
const PERCENT: &str = "set.miner.power_percent";
/// Characters of a signature.
const TOKEN_CHARS: usize = 8;
/// Longest salt taken in; real ones have eight characters.
const SALT_BYTES_MAX: usize = 64;
/// It may not be written to by this name and password.
const NO_PERMISSION: i64 = -4;

/// All machines that run a v3 firmware.
#[derive(Debug, Clone)]
pub struct Whatsminer3 {
    credentials: Credentials,
}

impl Whatsminer3 {
    /// With a name and a password, else the factory's.
    #[must_use]
    pub fn new(credentials: Option<Credentials>) -> Self {
        let factory = || Credentials::new("super", "super");
        Self { credentials: credentials.unwrap_or_else(factory).or_name("super") }
    }
}

impl Family for Whatsminer3 {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn can(&self) -> Can {
        Can { sleep: true, trim: true, keeps_power: false, class: RampClass::Fast }
    }

    fn begin(&self, want: Want, keep: Option<Keep>) -> Box<dyn Talk> {
        match want {
            Want::Watts => Chain::talk(WATTS),
            Want::Mode => Chain::talk(MODE),
            Want::Identify => Chain::talk(IDENTITY),
            Want::Do(goal) => {
                let salt = match keep {
                    Some(Keep::Whatsminer3(salt)) => Some(salt),
                    _ => None,
                };
                Box::new(Command::new(self.credentials.clone(), goal, salt))
            }
        }
    }
}

const WATTS: &[Step] = &[(|| get("get.miner.status", "summary"), read_watts)];
const MODE: &[Step] = &[(|| get("get.device.info", "miner"), read_mode)];
const IDENTITY: &[Step] = &[
    (|| get("get.device.info", "miner"), read_model),
    (|| get("get.device.info", "system"), read_version),
];

/// The signature of a write.
#[must_use]
pub fn token(cmd: &str, password: &Secret, salt: &str, ts: i64) -> String {
    let text = format!("{cmd}{}{salt}{ts}", password.reveal());
    let mut token = STANDARD.encode(Sha256::digest(text.as_bytes()));
    token.truncate(TOKEN_CHARS);
    token
}

fn ask(request: &Value) -> Ask {
    let body = request.to_string();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(body.as_bytes());
    Ask::new(Framing::LengthLe, bytes)
}

fn get(cmd: &str, param: &str) -> Ask {
    ask(&json!({"cmd": cmd, "param": param}))
}

/// Reads a reply the machine must have given willingly; what it says is in `msg`.
fn read(reply: &[u8]) -> Result<Value, ReplyError> {
    let mut reply = cgminer::read_value(reply)?;
    match number_of(&reply["code"]) {
        Some(0) => Ok(reply["msg"].take()),
        Some(code) => Err(ReplyError::Said { code, msg: text_of(&reply["msg"]) }),
        None => Err(ReplyError::Missing { section: "reply", field: "code" }),
    }
}

fn read_watts(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let msg = read(reply).map_err(|e| e.to_string())?;
    let summary = &msg["summary"];
    if !summary.is_object() {
        return Err("it sent no summary".into());
    }
    let power = power_of(&summary["power-realtime"]);
    reading.watts = power.map(|power| Watts { power, psu: true });
    Ok(())
}

fn read_limit(reply: &[u8]) -> Result<Option<Power>, String> {
    let msg = read(reply).map_err(|e| e.to_string())?;
    Ok(power_of(&msg["summary"]["power-limit"]).filter(|p| p.0 > 0))
}

fn read_mode(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let msg = read(reply).map_err(|e| e.to_string())?;
    let working = match &msg["miner"]["working"] {
        Value::Bool(b) => Some(*b),
        Value::String(s) => s.parse().ok(),
        _ => None,
    };
    reading.declared = working.map(|w| if w { Declared::Awake } else { Declared::Asleep });
    let default = reading.declared == Some(Declared::Asleep);
    // A share of the power is forgotten with the next start.
    reading.setting = default.then_some(Setting::Default);
    Ok(())
}

fn read_model(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let msg = read(reply).map_err(|e| e.to_string())?;
    let identity = Identity {
        make: "Whatsminer".into(),
        model: text_of(&msg["miner"]["type"]),
        rated: power_of(&msg["miner"]["power-limit-set"]).filter(|p| p.0 > 0),
        ..Identity::default()
    };
    reading.identity = Some(Box::new(identity));
    Ok(())
}

fn read_version(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let msg = read(reply).map_err(|e| e.to_string())?;
    if let Some(identity) = &mut reading.identity {
        identity.firmware = format!("stock {}", text_of(&msg["system"]["fwversion"]));
    }
    Ok(())
}

fn read_salt(reply: &[u8]) -> Result<Secret, String> {
    let msg = read(reply).map_err(|e| e.to_string())?;
    let fits = |s: &&str| {
        (1..=SALT_BYTES_MAX).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_graphic())
    };
    msg["salt"].as_str().filter(fits).map(Secret::new).ok_or("it gave no usable salt".into())
}

/// One command: what it needs to know, the salt, the switch, the share.
#[derive(Debug)]
struct Command {
    credentials: Credentials,
    job: Job,
    salt: Option<Secret>,
    /// The salt was read in this talk; one that is kept may be old.
    fresh: bool,
}

impl Command {
    fn new(credentials: Credentials, goal: Goal, salt: Option<Secret>) -> Self {
        Self { credentials, job: Job::new(goal), salt, fresh: false }
    }

    fn write(&self, salt: &Secret, now: Time) -> Value {
        let (cmd, param) = if self.job.switched {
            // The document says number; the firmware reads text.
            (PERCENT, json!({"percent": self.job.percent().to_string(), "mode": "fast"}))
        } else {
            let stop = self.job.goal == Goal::Sleep;
            (SERVICE, Value::from(if stop { "stop" } else { "start" }))
        };
        let ts = now.0.div_euclid(headgate_core::time::SECOND);
        let token = token(cmd, &self.credentials.password, salt.reveal(), ts);
        let account = self.credentials.username.reveal();
        json!({"cmd": cmd, "param": param, "ts": ts, "account": account, "token": token})
    }

    fn hear_written(&mut self, reply: &[u8]) -> Turn {
        match read(reply) {
            Ok(_) => self.job.advance(),
            Err(ReplyError::Said { code: NO_PERMISSION, .. }) if !self.fresh => {
                self.salt = None;
                Turn::Say
            }
            Err(ReplyError::Said { code: NO_PERMISSION, .. }) => Turn::Refused(
                "it does not take this name and password, or its clock is far from ours".into(),
            ),
            Err(ReplyError::Said { code, msg }) => {
                if let Some(turn) = self.job.wait_for_start() {
                    return turn;
                }
                let none = msg.is_empty();
                Turn::Refused(if none { format!("it refused (code {code})") } else { msg })
            }
            Err(e) => Turn::Refused(e.to_string()),
        }
    }
}

impl Talk for Command {
    fn say(&mut self, now: Time) -> Ask {
        match &self.salt {
            _ if self.job.asks_limit() => get("get.miner.status", "summary"),
            None => get("get.device.info", "salt"),
            Some(salt) => ask(&self.write(salt, now)),
        }
    }

    fn hear(&mut self, _: Time, reply: &[u8]) -> Turn {
        if self.job.asks_limit() {
            return self.job.hear_limit(read_limit(reply));
        }
        if self.salt.is_some() {
            return self.hear_written(reply);
        }
        match read_salt(reply) {
            Ok(salt) => {
                self.salt = Some(salt);
                self.fresh = true;
                Turn::Say
            }
            Err(why) => Turn::Refused(why),
        }
    }

    fn speaks(&self) -> bool {
        !self.job.asks_limit() && self.salt.is_some()
    }

    fn redirect(&mut self, goal: Goal) {
        self.job.redirect(goal);
    }

    fn keep(&mut self) -> Option<Keep> {
        self.salt.take().map(Keep::Whatsminer3)
    }
}

#[cfg(test)]
mod tests;

//! Antminer with the maker's own firmware: a web server with digest authentication for its
//! configuration, the cgminer port for its readings.
//!
//! Sleep is a value in the configuration, and the only way to set it is to write the whole
//! configuration, pools included. So nothing is written that was not read in the same attempt
//! with pools in it; what a write did is read back; and should it have lost the pools, they are
//! written again. The server may take a minute to answer a write that is already done: its
//! answer is not awaited. A success it tells is not believed either, for there are firmwares that
//! tell it and change nothing, and others that want the document in another shape.

mod command;
mod web;

use crate::cgminer::{self, WATTS_MAX, number_of, text_of};
use crate::digest::Challenge;
use crate::family::{
    Ask, Can, Family, Identity, Keep, RampClass, Reading, Setting, Talk, Turn, Want, Watts,
};
use crate::secret::Credentials;
use crate::{Failure, Framing};
use command::Command;
use headgate_core::fleet::Declared;
use headgate_core::time::Time;
use headgate_core::units::Power;
use serde_json::Value;
use std::sync::Arc;
use web::{Heard, Web};

/// Kind of these machines in a configuration.
pub const KIND: &str = "antminer";
const CONFIG: &str = "/cgi-bin/get_miner_conf.cgi";
const SET_CONFIG: &str = "/cgi-bin/set_miner_conf.cgi";
const STATS: &str = "/cgi-bin/stats.cgi";
const SYSTEM: &str = "/cgi-bin/get_system_info.cgi";
/// The key that is read; some firmwares write by it, too.
const READ_KEY: &str = "bitmain-work-mode";
/// The key that most firmwares write by.
const WRITE_KEY: &str = "miner-mode";
/// Values of the mode; 2 is high power and 3 low.
const NORMAL: i64 = 0;
const SLEEP: i64 = 1;

/// All machines that run the maker's firmware.
#[derive(Debug, Clone)]
pub struct Antminer {
    credentials: Credentials,
}

impl Antminer {
    /// With a name and a password, else the factory's.
    #[must_use]
    pub fn new(credentials: Option<Credentials>) -> Self {
        let factory = || Credentials::new("root", "root");
        Self { credentials: credentials.unwrap_or_else(factory).or_name("root") }
    }
}

/// What is kept of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    challenge: Option<Challenge>,
    golden: Option<Golden>,
}

impl Kept {
    /// The last configuration that was seen with pools in it, as text.
    #[must_use]
    pub fn golden(&self) -> Option<&str> {
        self.golden.as_ref().map(|g| g.text.as_ref())
    }
}

/// A configuration with pools in it. Their names and passwords are nobody's business.
#[derive(Clone, PartialEq, Eq)]
struct Golden {
    text: Arc<str>,
    /// The mode it names.
    mode: Option<i64>,
}

impl Golden {
    fn new(config: &Value) -> Self {
        Self { text: config.to_string().into(), mode: mode(config) }
    }
}

impl std::fmt::Debug for Golden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Golden({} bytes)", self.text.len())
    }
}

impl Family for Antminer {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn can(&self) -> Can {
        Can { sleep: true, trim: false, keeps_power: true, class: RampClass::Slow }
    }

    fn begin(&self, want: Want, keep: Option<Keep>) -> Box<dyn Talk> {
        let kept = match keep {
            Some(Keep::Antminer(kept)) => *kept,
            _ => Kept::default(),
        };
        let web = Web::new(self.credentials.clone(), kept.challenge);
        match want {
            Want::Do(goal) => Box::new(Command::new(web, kept.golden, goal)),
            want => Box::new(Read { web, golden: kept.golden, want, by_web: want != Want::Watts }),
        }
    }
}

/// One reading.
#[derive(Debug)]
struct Read {
    web: Web,
    golden: Option<Golden>,
    want: Want,
    /// The web server is asked; the cgminer port did not answer or is not the one to ask.
    by_web: bool,
}

impl Talk for Read {
    fn say(&mut self, _: Time) -> Ask {
        if !self.by_web {
            // The flag stands beside the command, not in its parameter.
            let bytes = br#"{"command":"stats","new_api":true}"#.to_vec();
            return Ask::new(Framing::NulOrEof, bytes).aux();
        }
        self.web.get(match self.want {
            Want::Watts => STATS,
            Want::Identify => SYSTEM,
            Want::Mode | Want::Do(_) => CONFIG,
        })
    }

    fn hear(&mut self, _: Time, reply: &[u8]) -> Turn {
        let mut whole = false;
        let body = match self.by_web {
            false => cgminer::read_value(reply).map_err(|e| e.to_string()),
            true => match self.web.hear(reply) {
                Heard::Again => return Turn::Say,
                Heard::Body(body) => {
                    whole = command::document(&body).is_ok();
                    cgminer::read_value(&body).map_err(|e| e.to_string())
                }
                Heard::Refused(why) => Err(why),
            },
        };
        let body = match body {
            Ok(body) => body,
            Err(why) => return Turn::Refused(why),
        };
        match self.want {
            Want::Watts => Turn::Read(Reading { watts: watts(&body), ..Reading::default() }),
            Want::Identify => Turn::Read(identity(&body)),
            Want::Mode | Want::Do(_) => {
                let works = mode(&body).is_some_and(is_work);
                if whole && has_pools(&body) && (works || self.golden.is_none()) {
                    self.golden = Some(Golden::new(&body));
                }
                match mode(&body) {
                    None => Turn::Refused("its configuration names no mode".into()),
                    Some(mode) => Turn::Read(mode_reading(mode)),
                }
            }
        }
    }

    fn lost(&mut self, _: Time, failure: Failure) -> Turn {
        // A machine that sleeps may have stopped the program behind that port.
        if self.by_web {
            return Turn::Lost(failure);
        }
        self.by_web = true;
        Turn::Say
    }

    fn keep(&mut self) -> Option<Keep> {
        keep(&mut self.web, self.golden.take())
    }
}

fn keep(web: &mut Web, golden: Option<Golden>) -> Option<Keep> {
    Some(Keep::Antminer(Box::new(Kept { challenge: web.challenge.take(), golden })))
}

/// The mode a configuration names.
fn mode(config: &Value) -> Option<i64> {
    number_of(&config[READ_KEY]).or_else(|| number_of(&config[WRITE_KEY]))
}

/// Whether a mode is one of working.
fn is_work(mode: i64) -> bool {
    matches!(mode, NORMAL | 2 | 3)
}

fn mode_reading(mode: i64) -> Reading {
    let declared = match mode {
        SLEEP => Some(Declared::Asleep),
        mode if is_work(mode) => Some(Declared::Awake),
        _ => None,
    };
    let setting = match mode {
        NORMAL => Some(Setting::Default),
        2 | 3 => Some(Setting::Other),
        _ => None,
    };
    Reading { declared, setting, ..Reading::default() }
}

/// Whether a configuration names a pool to work for.
fn has_pools(config: &Value) -> bool {
    let named = |pool: &Value| pool["url"].as_str().is_some_and(|url| !url.trim().is_empty());
    config["pools"].as_array().is_some_and(|pools| pools.iter().any(named))
}

/// The power in the statistics, where this firmware tells one. Most do not.
fn watts(body: &Value) -> Option<Watts> {
    let rows = body["STATS"].as_array()?;
    let keys = ["watt", "power", "chain_power"];
    let found = rows.iter().find_map(|row| keys.iter().find_map(|key| watts_of(&row[*key])));
    found.map(|w| Watts { power: Power(w), psu: false })
}

/// A power told as a number, or as text with its unit.
fn watts_of(value: &Value) -> Option<i64> {
    let bare =
        value.as_str().map(|t| t.trim().trim_end_matches(['W', 'w']).trim().replace(',', ""));
    let number = bare.map_or_else(|| number_of(value), |t| number_of(&Value::String(t)));
    number.filter(|w| (0..=WATTS_MAX).contains(w))
}

fn identity(body: &Value) -> Reading {
    let model = text_of(&body["minertype"]);
    let identity = Identity {
        make: "Antminer".into(),
        model: model.trim_start_matches("Antminer").trim().to_owned(),
        firmware: format!("stock {}", text_of(&body["system_filesystem_version"])),
        rated: None,
    };
    Reading { identity: Some(Box::new(identity)), ..Reading::default() }
}

#[cfg(test)]
mod tests;

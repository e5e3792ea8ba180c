//! LuxOS: its commands and replies on top of the cgminer API. Writes carry a session id as the
//! first element of their parameter; one session exists at a time and dies a minute after its
//! last use.

mod conversation;

pub use conversation::Conversation;

use crate::Framing;
use crate::cgminer::{self, NoSection, ReplyError, Section, WATTS_MAX, number, request};
use crate::family::{
    Ask, Can, Chain, Family, Identity, Keep, RampClass, Reading, Rival, Setting, Step, Talk, Want,
    Watts,
};
use headgate_core::fleet::Declared;
use headgate_core::units::Power;
use serde::de::{Deserialize, Deserializer};

/// Kind of these machines in a configuration.
pub const KIND: &str = "luxos";
/// The firmware's own manager of power by temperature.
const ATM: Rival = Rival::Manager("the firmware's thermal manager (ATM)");

/// All machines that run LuxOS.
#[derive(Debug, Clone, Copy)]
pub struct Luxos;

impl Family for Luxos {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn can(&self) -> Can {
        Can { sleep: true, trim: true, keeps_power: true, class: RampClass::Fast }
    }

    fn begin(&self, want: Want, keep: Option<Keep>) -> Box<dyn Talk> {
        match want {
            Want::Watts => Chain::talk(WATTS),
            Want::Mode => Chain::talk(MODE),
            Want::Identify => Chain::talk(IDENTITY),
            Want::Do(goal) => {
                let session = match keep {
                    Some(Keep::Session(session)) => Some(session),
                    _ => None,
                };
                Box::new(Conversation::new(goal, session))
            }
        }
    }

    fn give_back(&self, keep: &Keep) -> Option<Ask> {
        match keep {
            Keep::Session(session) => Some(ask(logoff(session))),
            _ => None,
        }
    }
}

const WATTS: &[Step] = &[(|| ask(power()), read_watts)];
const MODE: &[Step] = &[(|| ask(config()), read_mode)];
const IDENTITY: &[Step] = &[(|| ask(version()), read_identity)];

/// A request of this API.
fn ask(bytes: Vec<u8>) -> Ask {
    Ask::new(Framing::NulOrEof, bytes)
}

fn read_watts(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    reading.watts = Some(parse_power(reply).map_err(|e| e.to_string())?);
    Ok(())
}

fn read_mode(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let config = parse_config(reply).map_err(|e| e.to_string())?;
    reading.setting = config.profile.as_deref().map(|name| {
        let watts = name.strip_suffix(['W', 'w']).and_then(|w| w.parse::<i64>().ok());
        match watts {
            Some(watts) => Setting::Power(Power(watts)),
            None if name.eq_ignore_ascii_case("default") => Setting::Default,
            None => Setting::Other,
        }
    });
    reading.rival = config.atm.map(|on| on.then_some(ATM));
    reading.declared = config.declared;
    Ok(())
}

fn read_identity(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let version = parse_version(reply).map_err(|e| e.to_string())?;
    let identity = Identity {
        make: "Antminer".into(),
        model: version.model,
        firmware: format!("LuxOS {}", version.firmware),
        rated: None,
    };
    reading.identity = Some(Box::new(identity));
    Ok(())
}

/// `logon`: a session was created.
pub const SESSION_CREATED: i64 = 316;
/// `session`: which session there is; its id is empty when there is none.
pub const SESSION_TOLD: i64 = 319;
/// `profileset`: the profile was set.
pub const PROFILE_SET: i64 = 321;
/// `curtail`: the command was passed on.
pub const CURTAIL_SENT: i64 = 335;
/// `logon`: another session is active.
pub const SESSION_TAKEN: i64 = 402;
/// Longest session id taken in; real ones have eight characters.
pub const SESSION_BYTES_MAX: usize = 64;

/// A session's id, fit to stand in a comma-joined parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId(Box<str>);

impl SessionId {
    /// Takes an id as a machine gave it; `None` when it is empty or could not be sent back.
    #[must_use]
    pub fn new(id: &str) -> Option<Self> {
        let fits = !id.is_empty() && id.len() <= SESSION_BYTES_MAX;
        let plain = id.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        (fits && plain).then(|| Self(id.into()))
    }

    /// The id as the machine gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What `curtail` can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curtail {
    /// Boards and PSU off; survives a reboot.
    Sleep,
    /// Back to work by the default ramp.
    Wakeup,
}

/// Asks for a session.
#[must_use]
pub fn logon() -> Vec<u8> {
    request("logon", None)
}

/// Asks which session there is.
#[must_use]
pub fn session() -> Vec<u8> {
    request("session", None)
}

/// Gives a session back.
#[must_use]
pub fn logoff(session: &SessionId) -> Vec<u8> {
    request("logoff", Some(session.as_str()))
}

/// Puts a machine to sleep or wakes it.
#[must_use]
pub fn curtail(session: &SessionId, how: Curtail) -> Vec<u8> {
    let word = match how {
        Curtail::Sleep => "sleep",
        Curtail::Wakeup => "wakeup",
    };
    request("curtail", Some(&format!("{},{word}", session.as_str())))
}

/// Sets the profile nearest to a power. The unit is always written out: a bare 0 to 3 would be
/// read as a board.
#[must_use]
pub fn profileset(session: &SessionId, power: Power) -> Vec<u8> {
    request("profileset", Some(&format!("{},{}W", session.as_str(), power.0)))
}

/// Asks for the power drawn.
#[must_use]
pub fn power() -> Vec<u8> {
    request("power", None)
}

/// Asks for the configuration, the machine's own word on its mode.
#[must_use]
pub fn config() -> Vec<u8> {
    request("config", None)
}

/// Asks for the list of profiles.
#[must_use]
pub fn profiles() -> Vec<u8> {
    request("profiles", None)
}

/// Asks for the versions of firmware and API.
#[must_use]
pub fn version() -> Vec<u8> {
    request("version", None)
}

/// The machine's own word on its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether it says it sleeps; `None` when it does not say.
    pub declared: Option<Declared>,
    /// Name of the profile in use, at most [`cgminer::WORDS_MAX`] characters.
    pub profile: Option<String>,
    /// State of the whole machine in its own words.
    pub system_status: Option<String>,
    /// Whether the firmware's thermal manager may move the profile by itself.
    pub atm: Option<bool>,
}

/// One profile a machine can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Power it is said to draw.
    pub power: Power,
    /// Work it is said to do, in GH/s.
    pub gigahashes: i64,
}

/// Versions of firmware and API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Version of LuxOS.
    pub firmware: String,
    /// Version of the API.
    pub api: String,
    /// Model of the machine.
    pub model: String,
}

#[derive(serde::Deserialize)]
struct SessionRow {
    #[serde(rename = "SessionID", default, deserialize_with = "text")]
    id: Option<String>,
}
impl Section for SessionRow {
    const NAME: &'static str = "SESSION";
}

#[derive(serde::Deserialize)]
struct PowerRow {
    #[serde(rename = "Watts", default, deserialize_with = "number")]
    watts: Option<i64>,
    #[serde(rename = "PSU", default, deserialize_with = "flag")]
    psu: Option<bool>,
}
impl Section for PowerRow {
    const NAME: &'static str = "POWER";
}

#[derive(serde::Deserialize)]
struct ConfigRow {
    #[serde(rename = "CurtailMode", default, deserialize_with = "text")]
    curtail_mode: Option<String>,
    #[serde(rename = "IsPowerSupplyOn", default, deserialize_with = "flag")]
    supply_on: Option<bool>,
    #[serde(rename = "Profile", default, deserialize_with = "text")]
    profile: Option<String>,
    #[serde(rename = "SystemStatus", default, deserialize_with = "text")]
    system_status: Option<String>,
    #[serde(rename = "IsAtmEnabled", default, deserialize_with = "flag")]
    atm: Option<bool>,
}
impl Section for ConfigRow {
    const NAME: &'static str = "CONFIG";
}

#[derive(serde::Deserialize)]
struct ProfileRow {
    #[serde(rename = "Profile Name", default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(rename = "Watts", default, deserialize_with = "number")]
    watts: Option<i64>,
    #[serde(rename = "Hashrate", default)]
    terahashes: Option<f64>,
}
impl Section for ProfileRow {
    const NAME: &'static str = "PROFILES";
}

#[derive(serde::Deserialize)]
struct VersionRow {
    #[serde(rename = "LUXminer", default, deserialize_with = "text")]
    firmware: Option<String>,
    #[serde(rename = "API", default, deserialize_with = "text")]
    api: Option<String>,
    #[serde(rename = "Type", default, deserialize_with = "text")]
    model: Option<String>,
}
impl Section for VersionRow {
    const NAME: &'static str = "VERSION";
}

/// Reads the reply to `logon`.
///
/// # Errors
/// [`ReplyError::Said`] with [`SESSION_TAKEN`] when another session is active.
pub fn parse_logon(bytes: &[u8]) -> Result<SessionId, ReplyError> {
    let missing = ReplyError::Missing { section: SessionRow::NAME, field: "SessionID" };
    parse_session(bytes)?.ok_or(missing)
}

/// Reads the reply to `session`; `None` when there is no session.
///
/// # Errors
/// [`ReplyError`] says what came instead.
pub fn parse_session(bytes: &[u8]) -> Result<Option<SessionId>, ReplyError> {
    let rows = cgminer::parse_done::<SessionRow>(bytes)?;
    Ok(rows.first().and_then(|r| SessionId::new(r.id.as_deref()?)))
}

/// Reads the reply to a command that changes something: `curtail`, `profileset`, `logoff`.
///
/// A machine that already is as it was told to be has done what was asked.
///
/// # Errors
/// [`ReplyError::Said`] carries the machine's refusal.
pub fn parse_written(bytes: &[u8]) -> Result<(), ReplyError> {
    let status = cgminer::parse::<NoSection>(bytes)?.status;
    if status.done() || is_already(&status.msg) {
        return Ok(());
    }
    Err(ReplyError::Said { code: status.code, msg: status.msg })
}

fn is_already(msg: &str) -> bool {
    contains(msg, "already in sleep mode") || contains(msg, "already active")
}

/// Whether a refusal means that our session is no more.
fn is_session_gone(code: i64, msg: &str) -> bool {
    code != SESSION_TAKEN && contains(msg, "session")
}

fn contains(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|w| w.eq_ignore_ascii_case(part.as_bytes()))
}

/// Reads the reply to `power`.
///
/// # Errors
/// [`ReplyError::Missing`] when no believable power is told: missing is not zero.
pub fn parse_power(bytes: &[u8]) -> Result<Watts, ReplyError> {
    let rows = cgminer::parse_done::<PowerRow>(bytes)?;
    let missing = ReplyError::Missing { section: PowerRow::NAME, field: "Watts" };
    let row = rows.first();
    let watts = row.and_then(|r| r.watts).filter(|w| (0..=WATTS_MAX).contains(w));
    let power = Power(watts.ok_or(missing)?);
    Ok(Watts { power, psu: row.and_then(|r| r.psu).unwrap_or(false) })
}

/// Reads the reply to `config`.
///
/// # Errors
/// [`ReplyError::Missing`] when the reply has no configuration.
pub fn parse_config(bytes: &[u8]) -> Result<Config, ReplyError> {
    let rows = cgminer::parse_done::<ConfigRow>(bytes)?;
    let missing = ReplyError::Missing { section: ConfigRow::NAME, field: "CurtailMode" };
    let row = rows.into_iter().next().ok_or(missing)?;
    let asleep = match row.curtail_mode.as_deref() {
        Some("") | None => None,
        Some(mode) => Some(contains(mode, "sleep")),
    };
    // A machine without its supply cannot work, whatever it calls its mode.
    let asleep = if row.supply_on == Some(false) { Some(true) } else { asleep };
    let declared = asleep.map(|a| if a { Declared::Asleep } else { Declared::Awake });
    let (profile, system_status) = (row.profile, row.system_status);
    Ok(Config { declared, profile, system_status, atm: row.atm })
}

/// Reads the reply to `profiles`; profiles without a name or a power are passed over.
///
/// # Errors
/// [`ReplyError`] says what came instead.
pub fn parse_profiles(bytes: &[u8]) -> Result<Vec<Profile>, ReplyError> {
    let rows = cgminer::parse_done::<ProfileRow>(bytes)?;
    let profile = |r: ProfileRow| {
        let watts = r.watts.filter(|w| (0..=WATTS_MAX).contains(w))?;
        let gigahashes = gigahashes(r.terahashes?)?;
        Some(Profile { name: r.name?, power: Power(watts), gigahashes })
    };
    Ok(rows.into_iter().filter_map(profile).collect())
}

#[allow(clippy::cast_possible_truncation, reason = "the range was just checked")]
fn gigahashes(terahashes: f64) -> Option<i64> {
    // Bounded first, so the cast cannot cut anything.
    (0.0..=1e9).contains(&terahashes).then(|| (terahashes * 1000.0).round() as i64)
}

/// Reads the reply to `version`; what is not told is empty.
///
/// # Errors
/// [`ReplyError::Missing`] when the reply has no versions.
pub fn parse_version(bytes: &[u8]) -> Result<Version, ReplyError> {
    let rows = cgminer::parse_done::<VersionRow>(bytes)?;
    let missing = ReplyError::Missing { section: VersionRow::NAME, field: "API" };
    let row = rows.into_iter().next().ok_or(missing)?;
    let told = Option::unwrap_or_default;
    Ok(Version { firmware: told(row.firmware), api: told(row.api), model: told(row.model) })
}

/// Reads bounded text; anything that is not text is missing.
fn text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(d)? {
        serde_json::Value::String(s) => Some(cgminer::words(&s, cgminer::WORDS_MAX)),
        _ => None,
    })
}

/// Reads yes or no, told as such, as a number or as text.
fn flag<'de, D: Deserializer<'de>>(d: D) -> Result<Option<bool>, D::Error> {
    use serde_json::Value;
    Ok(match Value::deserialize(d)? {
        Value::Bool(b) => Some(b),
        Value::Number(n) => n.as_i64().map(|n| n != 0),
        Value::String(s) if s.eq_ignore_ascii_case("true") || s == "1" => Some(true),
        Value::String(s) if s.eq_ignore_ascii_case("false") || s == "0" => Some(false),
        _ => None,
    })
}

#[cfg(test)]
mod tests;

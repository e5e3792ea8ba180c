//! Whatsminer v2: plain reads as cgminer has them, writes encrypted with a token. A token lasts
//! half an hour and a machine has 32 for each address, so it is kept, and renewed between
//! readings: a command then takes one trip.
//!
//! Power is trimmed by a share of the machine's limit, which works at once and is forgotten with
//! the next start; setting the limit itself would restart the work.

use super::crypt::{self, Pass};
use super::job::Job;
use crate::Framing;
use crate::cgminer::{self, ReplyError, number_of, power_of, text_of};
use crate::family::{
    Ask, Can, Chain, Family, Goal, Identity, Keep, RampClass, Reading, Step, Talk, Turn, Want,
    Watts,
};
use crate::secret::{Credentials, Secret};
use headgate_core::fleet::Declared;
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;
use serde_json::Value;

/// Kind of these machines in a configuration.
pub const KIND: &str = "whatsminer2";
/// The machine has done what it was told.
const DONE: i64 = 131;
/// It may not be written to.
const DENIED: i64 = 45;
/// Our token is no more, or was never good.
const TOKEN_GONE: i64 = 135;
/// All tokens of this address are given out.
const TOKENS_OUT: i64 = 136;
/// How long a token is used; a machine keeps it for half an hour.
const TOKEN_LASTS: Span = Span::minutes(28);
/// A token with less than this to live is renewed by the next reading.
const TOKEN_RENEWED: Span = Span::minutes(6);

/// All machines that run a v2 firmware.
#[derive(Debug, Clone)]
pub struct Whatsminer2 {
    password: Secret,
}

impl Whatsminer2 {
    /// With a password, else the factory's.
    #[must_use]
    pub fn new(credentials: Option<Credentials>) -> Self {
        Self { password: credentials.map_or(Secret::new("admin"), |c| c.password) }
    }
}

/// A token and how long it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pass: Pass,
    until: Time,
}

impl Token {
    fn lasts(&self, now: Time, span: Span) -> bool {
        // A clock that was set back must not make it last for ever.
        let left = self.until.since(now);
        left > span && left <= TOKEN_LASTS
    }
}

impl Family for Whatsminer2 {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn can(&self) -> Can {
        Can { sleep: true, trim: true, keeps_power: false, class: RampClass::Fast }
    }

    fn begin(&self, want: Want, keep: Option<Keep>) -> Box<dyn Talk> {
        let token = match keep {
            Some(Keep::Whatsminer2(token)) => Some(*token),
            _ => None,
        };
        match want {
            Want::Watts => Box::new(Watch {
                password: self.password.clone(),
                token,
                asks: Asks::Summary,
                reading: Reading::default(),
                renewed: None,
            }),
            Want::Mode => Chain::talk(MODE),
            Want::Identify => Chain::talk(IDENTITY),
            Want::Do(goal) => Box::new(Command::new(self.password.clone(), goal, token)),
        }
    }
}

const MODE: &[Step] = &[(|| ask(plain("status")), read_mode)];
const IDENTITY: &[Step] =
    &[(|| ask(plain("devdetails")), read_model), (|| ask(plain("get_version")), read_version)];

fn ask(bytes: Vec<u8>) -> Ask {
    Ask::new(Framing::NulOrEof, bytes)
}

/// A request without parameters. These machines know the word `cmd`, not `command`.
fn plain(cmd: &str) -> Vec<u8> {
    format!(r#"{{"cmd":"{cmd}"}}"#).into_bytes()
}

/// Reads a plain reply the machine must have given willingly.
fn read(reply: &[u8]) -> Result<Value, ReplyError> {
    let reply = cgminer::read_value(reply)?;
    judge(&reply)?;
    Ok(reply)
}

/// What the machine says of its own answer: a letter and a code beside it, or in a row, as
/// cgminer has it.
fn judge(reply: &Value) -> Result<(), ReplyError> {
    let row = match &reply["STATUS"] {
        Value::Array(rows) => rows.first().unwrap_or(&Value::Null),
        Value::Object(_) => &reply["STATUS"],
        _ => reply,
    };
    if matches!(row["STATUS"].as_str(), Some("S" | "I" | "W")) {
        return Ok(());
    }
    let missing = ReplyError::Missing { section: "STATUS", field: "STATUS" };
    let Some(code) = number_of(&row["Code"]).or(row["STATUS"].as_str().map(|_| 0)) else {
        return Err(missing);
    };
    Err(ReplyError::Said { code, msg: text_of(&row["Msg"]) })
}

/// The row of a section that reads like `SUMMARY: [{..}]`.
fn row<'a>(reply: &'a Value, section: &str) -> &'a Value {
    match &reply[section] {
        Value::Array(rows) => rows.first().unwrap_or(&Value::Null),
        other => other,
    }
}

fn read_watts(reply: &[u8]) -> Result<Reading, ReplyError> {
    let reply = read(reply)?;
    let row = row(&reply, "SUMMARY");
    if !row.is_object() {
        return Err(ReplyError::Missing { section: "SUMMARY", field: "Power" });
    }
    let power = power_of(&row["Power_RT"]).or_else(|| power_of(&row["Power"]));
    let watts = power.map(|power| Watts { power, psu: true });
    Ok(Reading { watts, ..Reading::default() })
}

fn read_limit(reply: &[u8]) -> Result<Option<Power>, String> {
    let reply = read(reply).map_err(|e| e.to_string())?;
    Ok(power_of(&row(&reply, "SUMMARY")["Power Limit"]).filter(|p| p.0 > 0))
}

fn read_mode(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let reply = read(reply).map_err(|e| e.to_string())?;
    let msg = &reply["Msg"];
    let off = [&msg["mineroff"], &msg["btmineroff"]].into_iter().find_map(|v| match v {
        Value::Bool(b) => Some(*b),
        Value::String(s) => s.parse().ok(),
        _ => None,
    });
    reading.declared = off.map(|off| if off { Declared::Asleep } else { Declared::Awake });
    Ok(())
}

fn read_model(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let reply = read(reply).map_err(|e| e.to_string())?;
    let model = text_of(&row(&reply, "DEVDETAILS")["Model"]);
    let identity = Identity { make: "Whatsminer".into(), model, ..Identity::default() };
    reading.identity = Some(Box::new(identity));
    Ok(())
}

fn read_version(reply: &[u8], reading: &mut Reading) -> Result<(), String> {
    let reply = read(reply).map_err(|e| e.to_string())?;
    if let Some(identity) = &mut reading.identity {
        identity.firmware = format!("stock {}", text_of(&reply["Msg"]["fw_ver"]));
    }
    Ok(())
}

/// Reads the reply to `get_token`.
fn read_token(password: &Secret, now: Time, reply: &[u8]) -> Result<Token, String> {
    let reply = match read(reply) {
        Ok(reply) => reply,
        Err(ReplyError::Said { code, msg }) => return Err(refusal(code, msg)),
        Err(e) => return Err(e.to_string()),
    };
    let msg = &reply["Msg"];
    let text = |key: &str| match &msg[key] {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.to_string(),
        _ => String::new(),
    };
    let pass = crypt::pass(password, &text("salt"), &text("newsalt"), &text("time"));
    let pass = pass.ok_or("it gave no usable token")?;
    Ok(Token { pass, until: now + TOKEN_LASTS })
}

/// A refusal in people's words.
fn refusal(code: i64, msg: String) -> String {
    match code {
        DENIED => "it may not be written to: its write API is off, or its password is still the \
                   factory's; the vendor's tool changes both"
            .into(),
        TOKENS_OUT => "it has no token left for this address; each lasts half an hour".into(),
        TOKEN_GONE => "it takes no token of this password".into(),
        _ if msg.is_empty() => format!("it refused (code {code})"),
        _ => msg,
    }
}

/// What a reading of watts asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// The summary, watts in it.
    Summary,
    /// The mode: one that is off may have no summary to give, and is there all the same.
    Status,
    /// Another token, while it is at it.
    Token,
}

/// Reads watts, and renews the token once in a while.
#[derive(Debug)]
struct Watch {
    password: Secret,
    token: Option<Token>,
    asks: Asks,
    reading: Reading,
    renewed: Option<Token>,
}

impl Watch {
    /// The reading is there; a token is fetched along where the old one ends soon.
    fn read(&mut self, now: Time) -> Turn {
        if self.token.as_ref().is_some_and(|t| t.lasts(now, TOKEN_RENEWED)) {
            return Turn::Read(std::mem::take(&mut self.reading));
        }
        self.asks = Asks::Token;
        Turn::Say
    }
}

impl Talk for Watch {
    fn say(&mut self, _: Time) -> Ask {
        ask(plain(match self.asks {
            Asks::Summary => "summary",
            Asks::Status => "status",
            Asks::Token => "get_token",
        }))
    }

    fn hear(&mut self, now: Time, reply: &[u8]) -> Turn {
        match self.asks {
            Asks::Summary => match read_watts(reply) {
                Ok(reading) => {
                    self.reading = reading;
                    self.read(now)
                }
                Err(ReplyError::Said { .. }) => {
                    self.asks = Asks::Status;
                    Turn::Say
                }
                Err(e) => Turn::Refused(e.to_string()),
            },
            Asks::Status => match read_mode(reply, &mut self.reading) {
                Ok(()) => self.read(now),
                Err(why) => Turn::Refused(why),
            },
            Asks::Token => {
                // Without a token the next command fetches one; the reading stands.
                self.renewed = read_token(&self.password, now, reply).ok();
                Turn::Read(std::mem::take(&mut self.reading))
            }
        }
    }

    fn lost(&mut self, _: Time, failure: crate::Failure) -> Turn {
        match self.asks {
            Asks::Token => Turn::Read(std::mem::take(&mut self.reading)),
            _ => Turn::Lost(failure),
        }
    }

    fn keep(&mut self) -> Option<Keep> {
        self.renewed.take().map(|t| Keep::Whatsminer2(Box::new(t)))
    }
}

/// One command: what it needs to know, a token, the switch, the share.
#[derive(Debug)]
struct Command {
    password: Secret,
    job: Job,
    token: Option<Token>,
    /// A token that was refused was replaced once already.
    renewed: bool,
    /// The whole was refused: clients of the field go up to 99.
    capped: bool,
}

impl Command {
    fn new(password: Secret, goal: Goal, token: Option<Token>) -> Self {
        Self { password, job: Job::new(goal), token, renewed: false, capped: false }
    }

    /// A write in the words and the spacing that the vendor's own client has.
    fn write(&self, token: &Token) -> Vec<u8> {
        let sign = token.pass.sign.reveal();
        let text = if self.job.switched {
            let percent = self.percent();
            format!(r#"{{"cmd": "set_power_pct", "percent": "{percent}", "token": "{sign}"}}"#)
        } else {
            let cmd = if self.job.goal == Goal::Sleep { "power_off" } else { "power_on" };
            format!(r#"{{"cmd": "{cmd}", "respbefore": "true", "token": "{sign}"}}"#)
        };
        let data = crypt::encrypt(&token.pass.key, &text);
        format!(r#"{{"enc": 1, "data": "{data}"}}"#).into_bytes()
    }

    fn percent(&self) -> i64 {
        self.job.percent().min(if self.capped { 99 } else { 100 })
    }

    fn hear_written(&mut self, reply: &[u8]) -> Turn {
        match self.open(reply) {
            Ok(()) => self.job.advance(),
            Err(ReplyError::Said { code: TOKEN_GONE, .. }) if !self.renewed => {
                self.renewed = true;
                self.token = None;
                Turn::Say
            }
            Err(ReplyError::Said { msg, .. }) if msg.to_ascii_lowercase().contains("already") => {
                self.job.advance()
            }
            Err(ReplyError::Said { code, msg }) => {
                if let Some(turn) = self.job.wait_for_start() {
                    return turn;
                }
                if self.job.switched && self.percent() == 100 {
                    self.capped = true;
                    return Turn::Say;
                }
                Turn::Refused(refusal(code, msg))
            }
            Err(e) => Turn::Refused(e.to_string()),
        }
    }

    /// Opens the reply to a write; one that was not understood is answered in plain.
    fn open(&self, reply: &[u8]) -> Result<(), ReplyError> {
        let outer = cgminer::read_value(reply)?;
        let (Some(sealed), Some(token)) = (outer["enc"].as_str(), &self.token) else {
            return judge(&outer);
        };
        let missing = ReplyError::Missing { section: "enc", field: "an answer of this key" };
        let opened = crypt::decrypt(&token.pass.key, sealed).ok_or(missing)?;
        let inner = cgminer::read_value(&opened)?;
        match number_of(&inner["Code"]) {
            Some(DONE) => Ok(()),
            _ => judge(&inner),
        }
    }
}

impl Talk for Command {
    fn say(&mut self, now: Time) -> Ask {
        if self.token.as_ref().is_some_and(|t| !t.lasts(now, Span::ZERO)) {
            self.token = None;
        }
        ask(match &self.token {
            _ if self.job.asks_limit() => plain("summary"),
            None => plain("get_token"),
            Some(token) => self.write(token),
        })
    }

    fn hear(&mut self, now: Time, reply: &[u8]) -> Turn {
        if self.job.asks_limit() {
            return self.job.hear_limit(read_limit(reply));
        }
        if self.token.is_some() {
            return self.hear_written(reply);
        }
        match read_token(&self.password, now, reply) {
            Ok(token) => {
                self.token = Some(token);
                Turn::Say
            }
            Err(why) => Turn::Refused(why),
        }
    }

    fn speaks(&self) -> bool {
        !self.job.asks_limit() && self.token.is_some()
    }

    fn redirect(&mut self, goal: Goal) {
        self.job.redirect(goal);
    }

    fn keep(&mut self) -> Option<Keep> {
        self.token.take().map(|t| Keep::Whatsminer2(Box::new(t)))
    }
}

#[cfg(test)]
pub(crate) mod tests;

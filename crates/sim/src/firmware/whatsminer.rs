//! A Whatsminer's v2 API: plain reads, and writes sealed with a key that comes of the password.
//!
//! Its manners: a token lives half an hour, an address has 32 of them and a machine takes 16
//! addresses; a write is answered sealed; numbers are texts; a share of the power is refused
//! while it is off or starting, and forgotten with the next start; setting the limit restarts
//! the work.

use super::{Call, Moment, nearest, number};
use crate::farm::{Farm, Truth};
use crate::json::fixed;
use crate::luxos_api::ApiAnswer;
use crate::machine::Pace;
use headgate_core::fleet::MachineId;
use headgate_core::time::{Span, Time};
use headgate_drivers::secret::Secret;
use headgate_drivers::whatsminer::crypt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The password of every simulated Whatsminer.
const PASSWORD: &str = "admin";
/// Salt of the signs; the one of the keys is the machine's own.
const NEW_SALT: &str = "jbzkfQls";
/// How long a token lives.
const TOKEN_LIFE: Span = Span::minutes(30);
/// Tokens one address has at a time.
const TOKENS_MAX: usize = 32;
/// Addresses that have tokens at a time.
const PEERS_MAX: usize = 16;
/// A limit that stands for the maker's own.
const LIMIT_RESET: i64 = 99_999;
/// Power of the low mode, in percent of the usual one; the high one is the usual one here.
/// Assumptions.
const LOW_PERCENT: i64 = 75;
/// Commands joined by `+` in one request, at most.
const JOINED_MAX: usize = 16;

const INVALID: u32 = 14;
const BAD_JSON: u32 = 23;
const DONE: u32 = 131;
const FAILED: u32 = 132;
const TOKEN_GIVEN: u32 = 134;
const TOKEN_WRONG: u32 = 135;
const TOKENS_OUT: u32 = 136;
const BAD_BASE64: u32 = 137;

/// What such a machine remembers.
#[derive(Debug, Clone)]
pub(super) struct Whatsminer {
    /// Salt of its keys.
    pub(super) salt: String,
    key: Secret,
    tokens: Vec<Token>,
    given: u64,
    /// Watts.
    pub(super) limit: i64,
    pub(super) percent: i64,
}

#[derive(Debug, Clone)]
struct Token {
    peer: Ipv4Addr,
    sign: Secret,
    given: Time,
}

impl Whatsminer {
    fn new(machine: MachineId, limit: i64) -> Self {
        let salt = format!("BQ{:06}", machine.0 % 1_000_000);
        let key = hashed(PASSWORD, &salt);
        Self { salt, key, tokens: Vec::new(), given: 0, limit, percent: 100 }
    }

    fn give(&mut self, peer: Ipv4Addr, wall: Time) -> Value {
        self.tokens.retain(|t| t.given <= wall && wall < t.given + TOKEN_LIFE);
        let peers: BTreeSet<Ipv4Addr> = self.tokens.iter().map(|t| t.peer).collect();
        let held = self.tokens.iter().filter(|t| t.peer == peer).count();
        if held >= TOKENS_MAX || (peers.len() >= PEERS_MAX && !peers.contains(&peer)) {
            return said('E', TOKENS_OUT, json!("over max connect"), wall);
        }
        self.given += 1;
        let stamp = (5625 + self.given).to_string();
        let (salt, newsalt) = (&self.salt, NEW_SALT);
        let sign = hashed(&format!("{}{stamp}", self.key.reveal()), newsalt);
        self.tokens.push(Token { peer, sign, given: wall });
        said('S', TOKEN_GIVEN, json!({"time": stamp, "salt": salt, "newsalt": newsalt}), wall)
    }

    fn holds(&self, peer: Ipv4Addr, sign: &str, wall: Time) -> bool {
        let lives = |t: &&Token| t.given <= wall && wall < t.given + TOKEN_LIFE;
        self.tokens.iter().filter(lives).any(|t| t.peer == peer && t.sign.reveal() == sign)
    }
}

/// The last field of an md5crypt, which costs a thousand rounds: a farm of thousands does no more
/// of them than it must.
fn hashed(text: &str, salt: &str) -> Secret {
    let whole = md5crypt::md5crypt(text.as_bytes(), salt.as_bytes());
    let last = whole.rsplit(|b| *b == b'$').next().unwrap_or_default();
    Secret::new(String::from_utf8_lossy(last).into_owned())
}

/// An answer in the one form this API has beside cgminer's.
fn said(letter: char, code: u32, msg: Value, wall: Time) -> Value {
    let when = wall.0.div_euclid(headgate_core::time::SECOND);
    json!({"STATUS": letter.to_string(), "When": when, "Code": code, "Msg": msg,
           "Description": ""})
}

/// Its own word is `cmd`; clients of the field say `command` too, and are understood.
fn command_of(request: &Value) -> Option<&str> {
    request["cmd"].as_str().or(request["command"].as_str())
}

impl Farm {
    pub(super) fn whatsminer(&mut self, machine: MachineId) -> &mut Whatsminer {
        let limit = self.model(machine).default_profile().watts.0;
        let of = self.memory.whatsminers.entry(machine.0);
        of.or_insert_with(|| Whatsminer::new(machine, limit))
    }

    /// Answers one request to the v2 API.
    pub(super) fn whatsminer2(
        &mut self,
        machine: MachineId,
        at: Moment,
        call: Call<'_>,
    ) -> ApiAnswer {
        let reply = match serde_json::from_slice::<Value>(call.bytes) {
            Err(_) => said('E', BAD_JSON, json!("invalid json"), at.wall),
            Ok(request) if number(&request["enc"]) == Some(1) => {
                self.sealed(machine, at, call.peer, &request)
            }
            Ok(request) => match command_of(&request) {
                Some("get_token") => self.whatsminer(machine).give(call.peer, at.wall),
                Some(cmd) if cmd.contains('+') => self.several(machine, at, cmd),
                cmd => self.plain(machine, at, cmd.unwrap_or_default()),
            },
        };
        // No NUL ends it, only the end of the connection.
        ApiAnswer::Reply(reply.to_string().into_bytes())
    }

    fn several(&mut self, machine: MachineId, at: Moment, commands: &str) -> Value {
        let mut all = serde_json::Map::new();
        for cmd in commands.split('+').filter(|c| !c.is_empty()).take(JOINED_MAX) {
            all.insert(cmd.to_owned(), json!([self.plain(machine, at, cmd)]));
        }
        all.insert("id".into(), json!(1));
        Value::Object(all)
    }

    /// Opens a sealed write, does it, and seals the answer.
    fn sealed(&mut self, machine: MachineId, at: Moment, peer: Ipv4Addr, request: &Value) -> Value {
        let memory = self.whatsminer(machine);
        let Some(data) = request["data"].as_str() else {
            return said('E', BAD_BASE64, json!("base64 decode error"), at.wall);
        };
        let opened = crypt::decrypt(&memory.key, data);
        let write = opened.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let sign = |write: &Value| write["token"].as_str().map(str::to_owned).unwrap_or_default();
        let Some(write) = write.filter(|w| memory.holds(peer, &sign(w), at.wall)) else {
            return said('E', TOKEN_WRONG, json!("check token error"), at.wall);
        };
        let key = memory.key.clone();
        let (letter, code, msg) = match self.write2(machine, at, &write) {
            Ok(()) => ('S', DONE, "API command OK"),
            Err((code, msg)) => ('E', code, msg),
        };
        let text = said(letter, code, json!(msg), at.wall).to_string();
        json!({"enc": crypt::encrypt(&key, &text)})
    }

    fn write2(
        &mut self,
        machine: MachineId,
        at: Moment,
        write: &Value,
    ) -> Result<(), (u32, &'static str)> {
        let failed = Err((FAILED, "API command ERROR"));
        match command_of(write).unwrap_or_default() {
            // Twice the same is no error to it.
            "power_off" => drop(self.sleep(machine, at.now)),
            "power_on" => self.starts(machine, at.now),
            "set_power_pct" | "set_power_pct_v2" => match number(&write["percent"]) {
                Some(percent @ 1..=100) => return self.share(machine, at.now, percent),
                _ => return failed,
            },
            "adjust_power_limit" => match number(&write["power_limit"]) {
                Some(watts @ 1..=LIMIT_RESET) => self.limits(machine, at.now, watts),
                _ => return failed,
            },
            "restart_btminer" => self.restart(machine, at.now),
            "reboot" => self.reboot(machine, at.now),
            "set_low_power" => {
                let usual = self.model(machine).default_profile().watts.0;
                self.limits(machine, at.now, usual * LOW_PERCENT / 100);
            }
            "set_normal_power" | "set_high_power" => self.limits(machine, at.now, LIMIT_RESET),
            "set_led" => {}
            _ => return Err((INVALID, "invalid cmd")),
        }
        Ok(())
    }

    /// It starts at its limit: a share is forgotten.
    pub(super) fn starts(&mut self, machine: MachineId, now: Time) {
        if self.truth(machine, now).declares_sleep {
            let memory = self.whatsminer(machine);
            memory.percent = 100;
            let profile = nearest(self.model(machine), self.whatsminer(machine).limit);
            self.set_profile(machine, now, profile);
        }
        let _ = self.wake(machine, now, Pace::Normal);
    }

    /// Sets a share of the limit, where it works.
    pub(super) fn share(
        &mut self,
        machine: MachineId,
        now: Time,
        percent: i64,
    ) -> Result<(), (u32, &'static str)> {
        let truth = self.truth(machine, now);
        let starting = truth.ramping && !truth.asleep && truth.power <= self.cohort(machine).sleep;
        if truth.declares_sleep || starting {
            return Err((FAILED, "API command ERROR"));
        }
        let memory = self.whatsminer(machine);
        memory.percent = percent;
        let watts = memory.limit * percent / 100;
        let profile = nearest(self.model(machine), watts);
        self.set_profile(machine, now, profile);
        Ok(())
    }

    /// Sets the limit, and restarts the work.
    pub(super) fn limits(&mut self, machine: MachineId, now: Time, watts: i64) {
        let usual = self.model(machine).default_profile().watts.0;
        let memory = self.whatsminer(machine);
        memory.limit = if watts == LIMIT_RESET { usual } else { watts.min(usual) };
        memory.percent = 100;
        let profile = nearest(self.model(machine), self.whatsminer(machine).limit);
        self.set_profile(machine, now, profile);
        self.restart(machine, now);
    }

    fn plain(&mut self, machine: MachineId, at: Moment, cmd: &str) -> Value {
        let truth = self.truth(machine, at.now);
        let model = self.model(machine).type_name;
        let kind = model.trim_start_matches("Whatsminer ");
        let head = |code: u32, msg: &str| {
            json!([{"STATUS": "S", "When": at.seconds(), "Code": code, "Msg": msg,
                    "Description": "btminer"}])
        };
        let tell = |msg: Value| said('S', DONE, msg, at.wall);
        match cmd {
            "summary" => {
                let row = self.summary2(machine, at, &truth);
                json!({"STATUS": head(11, "Summary"), "SUMMARY": [row], "id": 1})
            }
            "status" => tell(json!({"mineroff": truth.declares_sleep.to_string(),
                "mineroff_reason": "", "mineroff_time": "", "FirmwareVersion": "'20240306.16.Rel'",
                "power_mode": "", "hash_percent": ""})),
            "get_version" | "version" => tell(json!({"api_ver": "2.0.5",
                "fw_ver": "20240306.16.Rel", "platform": "H6OS", "chip": "K10"})),
            "devdetails" => {
                let rows: Vec<Value> = (0..3)
                    .map(|i| {
                        json!({"DEVDETAILS": i, "Name": "SM", "ID": i, "Driver": "bitmicro",
                                    "Kernel": "", "Model": kind})
                    })
                    .collect();
                json!({"STATUS": head(69, "Device Details"), "DEVDETAILS": rows, "id": 1})
            }
            "devs" | "edevs" => {
                let rows: Vec<Value> = (0..3).map(|i| self.board(machine, i, &truth)).collect();
                json!({"STATUS": head(9, "3 ASC(s)"), "DEVS": rows, "id": 1})
            }
            "pools" => json!({"STATUS": head(7, "1 Pool(s)"), "POOLS": [{"POOL": 1,
                "URL": "stratum+tcp://pool.example:3333", "Status": "Alive", "Priority": 0,
                "User": "account.worker", "Accepted": 10, "Rejected": 0, "Stratum Active": true}],
                "id": 1}),
            "get_psu" => tell(json!({"name": "P221B", "hw_version": "V01.00",
                "sw_version": "V01.00.V01.03", "model": "P221B", "iin": "14500",
                "vin": "22900", "fan_speed": "6720", "serial_no": format!("SIM{:07}", machine.0)})),
            "get_miner_info" => {
                let [_, a, b, c] = machine.0.to_be_bytes();
                tell(json!({"ip": self.address(machine).map(|a| a.to_string()),
                    "proto": "dhcp", "netmask": "255.0.0.0", "dns": "", "ledstat": "auto",
                    "mac": format!("C8:11:10:{a:02X}:{b:02X}:{c:02X}"),
                    "hostname": format!("farm-{}", machine.0)}))
            }
            "get_error_code" => tell(json!({"error_code": []})),
            _ => said('E', INVALID, json!("invalid cmd"), at.wall),
        }
    }

    fn summary2(&mut self, machine: MachineId, at: Moment, truth: &Truth) -> Value {
        let up = at.now.since(self.machine(machine).booted).as_seconds().max(0);
        let limit = self.whatsminer(machine).limit;
        let usual = self.model(machine).default_profile();
        // Megahashes, as these machines count.
        let mhs = raw(fixed(truth.rate.0 * 100_000, 2));
        let watts = truth.reported.0;
        json!({"Elapsed": up, "MHS av": mhs, "MHS 5s": mhs, "MHS 1m": mhs, "MHS 5m": mhs,
            "MHS 15m": mhs, "HS RT": mhs, "Accepted": 10, "Rejected": 0, "Total MH": 0,
            "Temperature": 68, "freq_avg": if truth.rate.0 > 0 { usual.mhz } else { 0 },
            "Fan Speed In": 4110, "Fan Speed Out": 4170, "Power": watts,
            "Power_RT": watts.to_string(), "Power Mode": "Normal", "Power Limit": limit,
            "Factory GHS": usual.rate.0, "Hash Stable": !truth.ramping && truth.rate.0 > 0,
            "Hash Stable Cost Seconds": 1538, "Target Freq": usual.mhz, "Uptime": up,
            "Chip Temp Min": 60, "Chip Temp Max": 80, "Chip Temp Avg": 70, "Env Temp": 25,
            "MAC": "", "Debug": ""})
    }

    fn board(&self, machine: MachineId, index: u32, truth: &Truth) -> Value {
        let mhs = raw(fixed(truth.rate.0 * 100_000 / 3, 2));
        let model = self.model(machine);
        json!({"ASC": index, "Slot": index, "Enabled": "Y", "Status": "Alive",
            "Temperature": 65, "Chip Frequency": model.default_profile().mhz, "MHS av": mhs,
            "MHS 5s": mhs, "MHS 1m": mhs, "MHS 5m": mhs, "MHS 15m": mhs, "HS RT": mhs,
            "Factory GHS": model.default_profile().rate.0 / 3, "Upfreq Complete": 1,
            "Effective Chips": model.chips, "PCB SN": format!("SIM{:07}{index}", machine.0),
            "Chip Temp Min": 60, "Chip Temp Max": 80, "Chip Temp Avg": 70, "chip_vol_diff": 9})
    }
}

/// A number that is a text of digits already.
fn raw(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

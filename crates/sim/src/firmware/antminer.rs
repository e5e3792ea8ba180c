//! A stock Antminer: a web server with a digest for its configuration, and cgminer's port beside
//! it for readings.
//!
//! Its manners: sleep is a value in a configuration that is written as a whole, and a document
//! without pools takes the pools away; it answers a write when its work has restarted, 21 to 60
//! seconds later; it says success to a document it takes nothing from, and which key it takes the
//! mode from differs (five machines of eight by the name it is written by, one by the name it is
//! read by, one only in the very shape it is read in, and one tells no power at all); cgminer's
//! port is gone while the work restarts, and as long as it sleeps.

use super::http::{self, Web};
use super::{Call, Moment, nearest, number};
use crate::farm::{Farm, Truth};
use crate::json::fixed;
use crate::luxos_api::ApiAnswer;
use crate::machine::Pace;
use headgate_core::fleet::MachineId;
use headgate_core::time::{Span, Time};
use headgate_drivers::Port;
use serde_json::{Value, json};

const REALM: &str = "antMiner Configuration";
/// Name and password of every simulated Antminer: the factory's.
const LOGIN: (&str, &str) = ("root", "root");
/// How long a challenge can be answered.
const NONCE_LIFE: Span = Span::minutes(5);
/// Shortest and longest time to the answer to a write.
const ANSWERS: (i64, u64) = (21_000, 39_000);
const READ_KEY: &str = "bitmain-work-mode";
const WRITE_KEY: &str = "miner-mode";
const NORMAL: i64 = 0;
const SLEEP: i64 = 1;
const HIGH: i64 = 2;
const LOW: i64 = 3;
/// Power of the high and the low mode, in percent of the normal one. Assumptions.
const HIGH_PERCENT: i64 = 110;
const LOW_PERCENT: i64 = 75;
const VERSION: &str = "Fri Dec 16 18:13:41 CST 2022";

/// How a machine takes a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    Write,
    Read,
    Shape,
    /// Like the first, and tells no power.
    Silent,
}

fn habit(machine: MachineId) -> Habit {
    match machine.0 % 8 {
        5 => Habit::Read,
        6 => Habit::Shape,
        7 => Habit::Silent,
        _ => Habit::Write,
    }
}

/// What such a machine remembers.
#[derive(Debug, Clone)]
pub(super) struct Antminer {
    /// All of its configuration but the mode.
    config: Value,
    /// The mode in which it works.
    works: i64,
    nonce: String,
    nonce_given: Time,
    /// Until then its work restarts.
    restarts: Time,
}

impl Antminer {
    fn new() -> Self {
        let pool = |url: &str, user: &str| json!({"url": url, "user": user, "pass": "x"});
        let pools = [
            pool("stratum+tcp://pool.example:3333", "account.worker"),
            pool("stratum+tcp://pool.example:443", "account.worker"),
            pool("", ""),
        ];
        let config = json!({"pools": pools, "api-listen": true, "api-network": true,
            "api-groups": "A:stats:pools:devs:summary:version", "api-allow": "A:0/0,W:*",
            "bitmain-fan-ctrl": false, "bitmain-fan-pwm": "100", "bitmain-use-vil": true,
            "bitmain-freq": "545", "bitmain-voltage": "1340", "bitmain-ccdelay": "0",
            "bitmain-pwth": "0", "bitmain-freq-level": "100"});
        let (works, nonce) = (NORMAL, String::new());
        Self { config, works, nonce, nonce_given: Time::MIN, restarts: Time::MIN }
    }
}

/// The mode a document sets on a machine of this habit.
fn mode_in(document: &Value, habit: Habit) -> Option<i64> {
    let mode = match habit {
        Habit::Write | Habit::Silent => number(&document[WRITE_KEY]),
        Habit::Read => number(&document[READ_KEY]),
        Habit::Shape if document.get(WRITE_KEY).is_some() => None,
        Habit::Shape => document[READ_KEY].as_str()?.parse().ok(),
    };
    mode.filter(|m| (NORMAL..=LOW).contains(m))
}

impl Farm {
    fn antminer(&mut self, machine: MachineId) -> &mut Antminer {
        self.memory.antminers.entry(machine.0).or_insert_with(Antminer::new)
    }

    /// Answers one request to the web server or to cgminer's port.
    pub(super) fn antminer_hears(
        &mut self,
        machine: MachineId,
        at: Moment,
        call: Call<'_>,
    ) -> ApiAnswer {
        if call.port == Port::Aux {
            return self.antminer_cgminer(machine, at, call.bytes);
        }
        let Some(web) = Web::read(call.bytes) else {
            return ApiAnswer::Reply(http::page("400 Bad Request", ""));
        };
        let memory = self.antminer(machine);
        let lives = memory.nonce_given <= at.wall && at.wall < memory.nonce_given + NONCE_LIFE;
        if !lives || !web.answers(REALM, &memory.nonce, LOGIN) {
            return self.antminer_asks(machine, at, lives);
        }
        match (web.method, web.path) {
            ("GET", "/cgi-bin/get_miner_conf.cgi") => self.antminer_config(machine, at),
            ("GET", "/cgi-bin/stats.cgi") => {
                let truth = self.truth(machine, at.now);
                ApiAnswer::Reply(http::json("200 OK", &self.antminer_stats(machine, at, &truth)))
            }
            ("GET", "/cgi-bin/get_system_info.cgi") => self.antminer_system(machine),
            ("POST", "/cgi-bin/set_miner_conf.cgi") => self.antminer_writes(machine, at, web.body),
            ("POST" | "GET", "/cgi-bin/reboot.cgi") => {
                self.reboot(machine, at.now);
                ApiAnswer::Close
            }
            _ => ApiAnswer::Reply(http::page("404 Not Found", "")),
        }
    }

    /// Asks who is there; a challenge that is too old is replaced.
    fn antminer_asks(&mut self, machine: MachineId, at: Moment, lives: bool) -> ApiAnswer {
        if !lives {
            let drawn = self.rng.draw();
            let memory = self.antminer(machine);
            (memory.nonce, memory.nonce_given) = (format!("{drawn:016x}"), at.wall);
        }
        let nonce = &self.antminer(machine).nonce;
        let line = format!(
            "WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\"\r\n"
        );
        ApiAnswer::Reply(http::page("401 Unauthorized", &line))
    }

    fn antminer_config(&mut self, machine: MachineId, at: Moment) -> ApiAnswer {
        let sleeps = self.truth(machine, at.now).declares_sleep;
        let memory = self.antminer(machine);
        let mut config = memory.config.clone();
        let mode = if sleeps { SLEEP } else { memory.works };
        config[READ_KEY] = mode.to_string().into();
        ApiAnswer::Reply(http::json("200 OK", &config))
    }

    fn antminer_writes(&mut self, machine: MachineId, at: Moment, body: &[u8]) -> ApiAnswer {
        let document = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
        let Some(mut document) = document else {
            let no = json!({"stats": "error", "code": "M001", "msg": "Illegal request!"});
            return ApiAnswer::Reply(http::json("200 OK", &no));
        };
        let mode = mode_in(&document, habit(machine));
        if let Some(fields) = document.as_object_mut() {
            fields.remove(READ_KEY);
            fields.remove(WRITE_KEY);
        }
        let drawn = self.rng.below(ANSWERS.1);
        let takes = Span::millis(ANSWERS.0 + i64::try_from(drawn).unwrap_or(0));
        let memory = self.antminer(machine);
        memory.config = document;
        memory.restarts = at.now + takes;
        self.antminer_mode(machine, at.now, mode);
        let yes = json!({"stats": "success", "code": "M000", "msg": "OK!"});
        ApiAnswer::Later(http::json("200 OK", &yes), takes)
    }

    /// Takes a mode on; its work restarts even where it stays as it was.
    fn antminer_mode(&mut self, machine: MachineId, now: Time, mode: Option<i64>) {
        if mode == Some(SLEEP) {
            let _ = self.sleep(machine, now);
            return;
        }
        if let Some(mode) = mode {
            self.antminer(machine).works = mode;
            let usual = self.model(machine).default_profile().watts.0;
            let percent = match mode {
                HIGH => HIGH_PERCENT,
                LOW => LOW_PERCENT,
                _ => 100,
            };
            let profile = nearest(self.model(machine), usual * percent / 100);
            self.set_profile(machine, now, profile);
            if self.wake(machine, now, Pace::Normal).is_ok() {
                return;
            }
        }
        self.restart(machine, now);
    }

    fn antminer_system(&self, machine: MachineId) -> ApiAnswer {
        let [_, a, b, c] = machine.0.to_be_bytes();
        let address = self.address(machine).map(|a| a.to_string());
        let system = json!({"minertype": self.model(machine).type_name, "nettype": "DHCP",
            "netdevice": "eth0", "macaddr": format!("02:00:00:{a:02X}:{b:02X}:{c:02X}"),
            "hostname": "Antminer", "ipaddress": address, "netmask": "255.0.0.0",
            "gateway": "", "dnsservers": "", "system_mode": "GNU/Linux",
            "system_kernel_version": "Linux 4.6.0-xilinx-gff8137b-dirty",
            "system_filesystem_version": VERSION, "firmware_type": "Release",
            "serinum": format!("SIM{:07}", machine.0)});
        ApiAnswer::Reply(http::json("200 OK", &system))
    }

    fn antminer_stats(&self, machine: MachineId, at: Moment, truth: &Truth) -> Value {
        let model = self.model(machine);
        let rate: Value = serde_json::from_str(&fixed(truth.rate.0 * 100, 2)).unwrap_or_default();
        let up = at.now.since(self.machine(machine).booted).as_seconds().max(0);
        let mut row = json!({"elapsed": up, "rate_5s": rate, "rate_30m": rate, "rate_avg": rate,
            "rate_ideal": model.default_profile().rate.0, "rate_unit": "GH/s", "chain_num": 3,
            "fan_num": 4, "fan": [3000, 3000, 3000, 3000], "hwp_total": 0, "freq-level": 100});
        if habit(machine) != Habit::Silent {
            row["chain_power"] = format!("{} W", truth.reported.0).into();
        }
        let info = json!({"miner_version": "uart_trans.1.3", "CompileTime": VERSION,
            "type": model.type_name});
        let status = json!({"STATUS": "S", "when": at.seconds(), "Msg": "stats",
            "api_version": "1.0.0"});
        json!({"STATUS": [status], "INFO": info, "STATS": [row]})
    }

    fn antminer_cgminer(&mut self, machine: MachineId, at: Moment, bytes: &[u8]) -> ApiAnswer {
        let truth = self.truth(machine, at.now);
        if truth.declares_sleep || at.now < self.antminer(machine).restarts {
            return ApiAnswer::Refuse;
        }
        let kind = self.model(machine).type_name;
        let said = |letter: &str, code: u32, msg: &str| {
            json!([{"STATUS": letter, "When": at.seconds(), "Code": code, "Msg": msg,
                    "Description": "cgminer 1.0.0"}])
        };
        let of_miner = json!({"BMMiner": "1.0.0", "API": "3.1", "Miner": "uart_trans.1.3",
            "CompileTime": VERSION, "Type": kind});
        let request = serde_json::from_slice::<Value>(bytes);
        let reply = match request.as_ref().map(|r| r["command"].as_str().unwrap_or_default()) {
            Err(_) => json!({"STATUS": said("E", 23, "Invalid JSON"), "id": 1}),
            Ok("stats") if request.as_ref().is_ok_and(|r| r["new_api"] == true) => {
                self.antminer_stats(machine, at, &truth)
            }
            Ok("stats") => {
                let rate = fixed(truth.rate.0 * 100, 2);
                let row = json!({"STATS": 0, "ID": "BC50", "Elapsed": 1, "GHS 5s": rate,
                    "GHS av": rate, "miner_count": 3, "frequency": "545", "fan_num": 4});
                json!({"STATUS": said("S", 70, "CGMiner stats"), "STATS": [of_miner, row],
                       "id": 1})
            }
            Ok("version") => json!({"STATUS": said("S", 22, "CGMiner versions"),
                "VERSION": [of_miner], "id": 1}),
            Ok("summary") => {
                let rate = fixed(truth.rate.0 * 100, 2);
                json!({"STATUS": said("S", 11, "Summary"), "SUMMARY": [{"Elapsed": 1,
                    "GHS 5s": rate, "GHS av": rate, "Accepted": 10, "Rejected": 0}], "id": 1})
            }
            Ok(_) => json!({"STATUS": said("E", 14, "Invalid command"), "id": 1}),
        };
        let mut bytes = reply.to_string().into_bytes();
        bytes.push(0);
        ApiAnswer::Reply(bytes)
    }
}

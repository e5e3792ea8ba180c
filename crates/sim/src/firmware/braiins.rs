//! Braiins OS by its REST interface: a login, a token in each request, actions that say whether
//! they changed anything.
//!
//! Its manners: the token goes bare into the header, without the word `Bearer`; it lives an hour
//! from its last use; a target outside of the machine's range is a 400; one machine of sixteen
//! says that its own power scaling is on.

use super::http::{self, Web};
use super::{Call, Moment, nearest};
use crate::farm::Farm;
use crate::luxos_api::ApiAnswer;
use crate::machine::Pace;
use headgate_core::fleet::MachineId;
use headgate_core::time::{Span, Time};
use serde_json::{Value, json};

/// Name and password of every simulated machine.
const LOGIN: (&str, &str) = ("root", "root");
/// How long a token lives after its last use, in wall time.
const TOKEN_LIFE: Span = Span::hours(1);
/// Tokens that are good at a time; the oldest makes way.
const TOKENS_MAX: usize = 16;
const NORMAL: u8 = 2;
const PAUSED: u8 = 3;

/// What such a machine remembers.
#[derive(Debug, Clone)]
pub(super) struct Braiins {
    tokens: Vec<(String, Time)>,
    /// Watts.
    target: i64,
}

impl Braiins {
    /// Whether a token is good; using it refreshes it.
    fn knows(&mut self, token: &str, wall: Time) -> bool {
        self.tokens.retain(|(_, used)| *used <= wall && wall < *used + TOKEN_LIFE);
        let found = self.tokens.iter_mut().find(|(t, _)| t == token);
        found.is_some_and(|(_, used)| {
            *used = wall;
            true
        })
    }
}

impl Farm {
    fn braiins(&mut self, machine: MachineId) -> &mut Braiins {
        let target = self.model(machine).default_profile().watts.0;
        let new = || Braiins { tokens: Vec::new(), target };
        self.memory.braiins.entry(machine.0).or_insert_with(new)
    }

    /// Answers one request to the web server.
    pub(super) fn braiins_hears(
        &mut self,
        machine: MachineId,
        at: Moment,
        call: Call<'_>,
    ) -> ApiAnswer {
        let Some(web) = Web::read(call.bytes) else {
            return ApiAnswer::Reply(http::page("400 Bad Request", ""));
        };
        let body: Value = serde_json::from_slice(web.body).unwrap_or_default();
        let (status, reply) = if (web.method, web.path) == ("POST", "/api/v1/auth/login") {
            self.braiins_login(machine, at, &body)
        } else if self
            .braiins(machine)
            .knows(web.header("authorization").unwrap_or_default(), at.wall)
        {
            self.braiins_does(machine, at, (web.method, web.path), &body)
        } else {
            ("401 Unauthorized", json!({"message": "Unauthorized"}))
        };
        ApiAnswer::Reply(http::json(status, &reply))
    }

    fn braiins_login(
        &mut self,
        machine: MachineId,
        at: Moment,
        body: &Value,
    ) -> (&'static str, Value) {
        if (body["username"].as_str(), body["password"].as_str()) != (Some(LOGIN.0), Some(LOGIN.1))
        {
            return ("401 Unauthorized", json!({"message": "Invalid credentials"}));
        }
        let token = format!("{:016x}", self.rng.draw());
        let memory = self.braiins(machine);
        if memory.tokens.len() >= TOKENS_MAX {
            memory.tokens.remove(0);
        }
        memory.tokens.push((token.clone(), at.wall));
        ("200 OK", json!({"token": token, "timeout_s": TOKEN_LIFE.as_seconds()}))
    }

    fn braiins_does(
        &mut self,
        machine: MachineId,
        at: Moment,
        line: (&str, &str),
        body: &Value,
    ) -> (&'static str, Value) {
        let truth = self.truth(machine, at.now);
        let reply = match line {
            ("PUT", "/api/v1/actions/pause") => {
                json!({"already_paused": self.sleep(machine, at.now).is_err()})
            }
            ("PUT", "/api/v1/actions/resume") => {
                json!({"already_mining": self.wake(machine, at.now, Pace::Normal).is_err()})
            }
            ("PUT", "/api/v1/performance/power-target") => {
                return self.braiins_target(machine, at.now, body);
            }
            ("GET", "/api/v1/miner/stats") => {
                let power = json!({"approximated_consumption": {"watt": truth.reported.0}});
                let rate = json!({"gigahash_per_second": truth.rate.0});
                json!({"miner_stats": {"real_hashrate": {"last_5s": rate}}, "power_stats": power})
            }
            ("GET", "/api/v1/miner/details") => {
                let model = self.model(machine);
                let status = if truth.declares_sleep { PAUSED } else { NORMAL };
                json!({"status": status, "hostname": format!("farm-{}", machine.0),
                    "miner_identity": {"brand": 1, "miner_model": model.type_name},
                    "bos_version": {"current": "25.07", "major": "25.07", "bos_plus": true},
                    "sticker_hashrate": {"gigahash_per_second": model.default_profile().rate.0}})
            }
            ("GET", "/api/v1/configuration/miner") => {
                let target = json!({"watt": self.braiins(machine).target});
                let scales = machine.0 % 16 == 15;
                json!({"tuner": {"enabled": true, "power_target": target, "tuner_mode": 1},
                       "dps": {"enabled": scales}})
            }
            ("GET", "/api/v1/configuration/constraints") => {
                let (min, max) = self.braiins_range(machine);
                let default = self.model(machine).default_profile().watts.0;
                let watt = |w: i64| json!({"watt": w});
                json!({"tuner_constraints": {"power_target":
                    {"min": watt(min), "max": watt(max), "default": watt(default)}}})
            }
            _ => return ("404 Not Found", json!({"message": "Not found"})),
        };
        ("200 OK", reply)
    }

    fn braiins_range(&self, machine: MachineId) -> (i64, i64) {
        let profiles = &self.model(machine).profiles;
        (profiles[0].watts.0, profiles[profiles.len() - 1].watts.0)
    }

    fn braiins_target(
        &mut self,
        machine: MachineId,
        now: Time,
        body: &Value,
    ) -> (&'static str, Value) {
        let (min, max) = self.braiins_range(machine);
        let Some(watts) = body["watt"].as_i64().filter(|w| (min..=max).contains(w)) else {
            return ("400 Bad Request", json!({"message": "Power target is out of range"}));
        };
        self.braiins(machine).target = watts;
        let profile = nearest(self.model(machine), watts);
        self.set_profile(machine, now, profile);
        ("200 OK", json!({"watt": watts}))
    }
}

//! A Whatsminer's v3 API: each message with its length in front, reads for everybody, each write
//! signed with the password, the machine's salt and the time. The v2 API stays on its old port.
//!
//! Its manners: a signature is good for a minute around the machine's clock; the number that a
//! share of the power is must be a text; a share is refused while it is off or starting, and
//! forgotten with the next start.

use super::{Call, Moment};
use crate::farm::{Farm, Truth};
use crate::json::fixed;
use crate::luxos_api::ApiAnswer;
use headgate_core::fleet::MachineId;
use headgate_drivers::secret::Secret;
use headgate_drivers::whatsminer::v3::token;
use serde_json::{Value, json};

/// Account and password of every simulated machine: the factory's.
const LOGIN: (&str, &str) = ("super", "super");
/// How far the time in a signature may be from the machine's, in seconds.
const SKEW_MAX: u64 = 60;
/// Longest request taken in.
const BYTES_MAX: usize = 8192;

const FAILED: i64 = -1;
const INVALID: i64 = -2;
const DENIED: i64 = -4;

type Said = Result<Value, (i64, &'static str)>;

impl Farm {
    /// Answers one request to the v3 API.
    pub(super) fn whatsminer3(
        &mut self,
        machine: MachineId,
        at: Moment,
        call: Call<'_>,
    ) -> ApiAnswer {
        let Some((length, body)) = call.bytes.split_first_chunk::<4>() else {
            return ApiAnswer::Close;
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some(body) = body.get(..length).filter(|b| b.len() <= BYTES_MAX) else {
            return ApiAnswer::Close;
        };
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let cmd = request["cmd"].as_str().unwrap_or_default();
        let said = if cmd.starts_with("set.") {
            self.write3(machine, at, cmd, &request)
        } else {
            self.read3(machine, at, cmd, request["param"].as_str())
        };
        let (code, msg) = said.map_or_else(|(code, msg)| (code, json!(msg)), |msg| (0, msg));
        let reply = json!({"code": code, "when": at.seconds(), "msg": msg, "desc": cmd});
        let reply = reply.to_string().into_bytes();
        let mut bytes = u32::try_from(reply.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        bytes.extend(reply);
        ApiAnswer::Reply(bytes)
    }

    fn write3(&mut self, machine: MachineId, at: Moment, cmd: &str, request: &Value) -> Said {
        let ts = request["ts"].as_i64().unwrap_or_default();
        let salt = self.whatsminer(machine).salt.clone();
        let sign = token(cmd, &Secret::new(LOGIN.1), &salt, ts);
        let signed = request["account"] == LOGIN.0 && request["token"] == *sign;
        if !signed || ts.abs_diff(at.seconds()) > SKEW_MAX {
            return Err((DENIED, "no permission"));
        }
        let (param, failed) = (&request["param"], Err((FAILED, "error")));
        match (cmd, param.as_str()) {
            ("set.miner.service", Some("stop")) => drop(self.sleep(machine, at.now)),
            ("set.miner.service", Some("start")) => self.starts(machine, at.now),
            ("set.miner.service", Some("restart")) => self.restart(machine, at.now),
            ("set.miner.power_percent", _) => {
                let percent = param["percent"].as_str().and_then(|p| p.parse().ok());
                let Some(percent @ 1..=100) = percent else { return failed };
                if self.share(machine, at.now, percent).is_err() {
                    return failed;
                }
            }
            ("set.miner.power_limit", _) => {
                let text = || param.as_str()?.parse().ok();
                let Some(watts @ 1..=99_999) = param.as_i64().or_else(text) else {
                    return failed;
                };
                self.limits(machine, at.now, watts);
            }
            _ => return Err((INVALID, "invalid command")),
        }
        Ok(json!("ok"))
    }

    fn read3(&mut self, machine: MachineId, at: Moment, cmd: &str, param: Option<&str>) -> Said {
        let truth = self.truth(machine, at.now);
        match cmd {
            "get.device.info" => {
                let mut all = self.device3(machine, &truth);
                match param {
                    None => Ok(all),
                    Some(part) if all.get(part).is_some() => Ok(json!({part: all[part].take()})),
                    Some(_) => Err((INVALID, "invalid parameter")),
                }
            }
            "get.miner.status" => match param {
                Some("summary") | None => {
                    Ok(json!({"summary": self.summary3(machine, at, &truth)}))
                }
                Some("pools") => Ok(json!({"pools": [{"id": 1, "status": "alive",
                    "url": "stratum+tcp://pool.example:3333", "account": "account.worker",
                    "stratum-active": true, "reject-rate": 0}]})),
                Some(_) => Err((INVALID, "invalid parameter")),
            },
            "get.miner.setting" => {
                let limit = self.whatsminer(machine).limit;
                Ok(json!({"power-limit": limit, "power-mode": "normal", "fast-boot": "disable"}))
            }
            _ => Err((INVALID, "invalid command")),
        }
    }

    fn device3(&mut self, machine: MachineId, truth: &Truth) -> Value {
        let [_, a, b, c] = machine.0.to_be_bytes();
        let kind = self.model(machine).type_name.trim_start_matches("Whatsminer ");
        let address = self.address(machine).map(|a| a.to_string());
        let memory = self.whatsminer(machine);
        json!({
            "salt": memory.salt,
            "miner": {"working": (!truth.declares_sleep).to_string(), "type": kind,
                "hash-board": "K10", "power-limit-set": memory.limit.to_string(),
                "miner-sn": format!("SIM{:07}", machine.0), "fast-boot": "disable",
                "pcbsn0": "", "pcbsn1": "", "pcbsn2": "", "board-num": "3"},
            "system": {"api": "3.0.1", "platform": "h616", "fwversion": "20250214.16.Rel",
                "control-board-version": "CB6V10", "ledstatus": "auto"},
            "power": {"type": "P222B", "mode": "normal", "hwversion": "V01.00",
                "pin": truth.reported.0, "vin": 230},
            "network": {"ip": address, "proto": "dhcp", "hostname": format!("farm-{}", machine.0),
                "mac": format!("C8:11:11:{a:02X}:{b:02X}:{c:02X}")},
            "error-code": [],
        })
    }

    fn summary3(&mut self, machine: MachineId, at: Moment, truth: &Truth) -> Value {
        let up = at.now.since(self.machine(machine).booted).as_seconds().max(0);
        let usual = self.model(machine).default_profile();
        // Terahashes, where the older API counts megahashes.
        let tera = |gh: i64| serde_json::from_str::<Value>(&fixed(gh, 3)).unwrap_or_default();
        let rate = tera(truth.rate.0);
        let works = truth.rate.0 > 0;
        json!({"elapsed": up, "bootup-time": up, "freq-avg": if works { usual.mhz } else { 0 },
            "target-freq": usual.mhz, "factory-hash": tera(usual.rate.0), "hash-average": rate,
            "hash-1min": rate, "hash-15min": rate, "hash-realtime": rate,
            "power-rate": 0, "power-5min": truth.reported.0, "power-realtime": truth.reported.0,
            "environment-temperature": 25, "board-temperature": [65, 65, 65],
            "chip-temp-min": 60, "chip-temp-avg": 70, "chip-temp-max": 80,
            "power-limit": self.whatsminer(machine).limit, "up-freq-finish": u8::from(works),
            "fan-speed-in": 4110, "fan-speed-out": 4170})
    }
}

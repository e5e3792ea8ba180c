//! An Avalon: cgminer's API with the machine's state packed into one text, and a soft switch.
//!
//! Its manners: the switch acts at the moment it is told, by the machine's clock, and one that is
//! not ahead is refused in an answer that still informs rather than fails; switching on closes
//! the connection without a word.

use super::{Call, Moment};
use crate::farm::{Farm, Truth};
use crate::json::fixed;
use crate::luxos_api::ApiAnswer;
use crate::spec::Happening;
use headgate_core::fleet::MachineId;
use headgate_core::time::Span;
use serde_json::{Value, json};

/// Volts of its supply, in hundredths.
const CENTIVOLTS: i64 = 1280;

impl Farm {
    /// Answers one request.
    pub(super) fn avalon(&mut self, machine: MachineId, at: Moment, call: Call<'_>) -> ApiAnswer {
        let said = |letter: &str, code: u32, msg: &str| {
            json!([{"STATUS": letter, "When": at.seconds(), "Code": code, "Msg": msg,
                    "Description": "cgminer 4.11.1"}])
        };
        let request = serde_json::from_slice::<Value>(call.bytes);
        let parameter = request.as_ref().map(|r| r["parameter"].as_str().unwrap_or_default());
        let reply = match request.as_ref().map(|r| r["command"].as_str().unwrap_or_default()) {
            Err(_) => json!({"STATUS": said("E", 23, "Invalid JSON"), "id": 1}),
            Ok("version") => {
                let model = self.model(machine).type_name;
                let name = model.trim_start_matches("Avalon ");
                json!({"STATUS": said("S", 22, "CGMiner versions"), "VERSION": [{
                    "CGMiner": "4.11.1", "API": "3.7", "STM8": "20.08.01", "PROD": model,
                    "MODEL": name, "HWTYPE": "MM3v2_X3", "VERSION": "23072001_4ec6bb0",
                    "DNA": format!("02010000{:08x}", machine.0)}], "id": 1})
            }
            Ok("estats" | "stats") => {
                let truth = self.truth(machine, at.now);
                let state = self.avalon_state(machine, at, &truth);
                json!({"STATUS": said("S", 70, "CGMiner stats"), "STATS": [{"STATS": 0,
                    "ID": "AVA100", "Elapsed": 1, "MM Count": 1, "Nonce Mask": 25,
                    "MM ID0": state}], "id": 1})
            }
            Ok("summary") => {
                let mhs = fixed(self.truth(machine, at.now).rate.0 * 100_000, 2);
                json!({"STATUS": said("S", 11, "Summary"),
                    "SUMMARY": [{"Elapsed": 1, "MHS av": mhs, "Accepted": 10}], "id": 1})
            }
            Ok("ascset") => match self.avalon_set(machine, at, parameter.unwrap_or_default()) {
                Some(msg) => json!({"STATUS": said("I", 118, &msg), "id": 1}),
                None => return ApiAnswer::Close,
            },
            Ok(_) => json!({"STATUS": said("E", 14, "Invalid command"), "id": 1}),
        };
        let mut bytes = reply.to_string().into_bytes();
        bytes.push(0);
        ApiAnswer::Reply(bytes)
    }

    /// Sets the switch for a moment ahead; `None` when it closes the connection instead of an
    /// answer.
    fn avalon_set(&mut self, machine: MachineId, at: Moment, parameter: &str) -> Option<String> {
        let mut words = parameter.splitn(3, ',');
        let (_, option, value) = (words.next(), words.next(), words.next());
        let option = option.unwrap_or_default();
        if !matches!(option, "softoff" | "softon") {
            return Some(format!("ASC 0 set failed: Unknown option: {option}"));
        }
        let moment = value.and_then(|v| v.strip_prefix("1:")?.parse::<i64>().ok());
        let Some(ahead) = moment.map(|m| m - at.seconds()).filter(|a| (1..=86_400).contains(a))
        else {
            return Some(format!("ASC 0 set failed: {option} time"));
        };
        let off = option == "softoff";
        let then = if off { Happening::Sleeps(machine) } else { Happening::Wakes(machine) };
        self.schedule(at.now + Span::seconds(ahead), then);
        off.then(|| format!("ASC 0 set info: success {option}: {}", moment.unwrap_or_default()))
    }

    fn avalon_state(&self, machine: MachineId, at: Moment, truth: &Truth) -> String {
        let up = at.now.since(self.machine(machine).booted).as_seconds().max(0);
        let watts = truth.reported.0;
        // What leaves the supply is a little less than what goes in.
        let out = watts * 95 / 100;
        let amps = out * 100 / CENTIVOLTS;
        let work = if truth.declares_sleep { "In Idle" } else { "In Work" };
        format!(
            "Ver[1346-110-23072001_4ec6bb0] DNA[02010000{:08x}] Elapsed[{up}] \
             SYSTEMSTATU[Work: {work}, Hash Board: 3] GHSmm[{}] GHSavg[{}] Freq[{}] \
             PS[0 1215 {CENTIVOLTS} {amps} {out} {CENTIVOLTS} {watts}] WORKMODE[1] SoftOFF[{}]",
            machine.0,
            fixed(truth.rate.0 * 100, 2),
            fixed(truth.rate.0 * 100, 2),
            self.model(machine).default_profile().mhz,
            u8::from(truth.declares_sleep),
        )
    }
}

use super::*;
use crate::Failure;
use crate::family::testing::{BEGIN, play};

#[derive(Debug)]
struct Played {
    password: &'static str,
    salt: &'static str,
    working: bool,
    percent: i64,
    /// Codes it answers to the next writes, instead of doing them.
    refuses: Vec<i64>,
    wrote: Vec<Value>,
}

fn played() -> Played {
    let (password, salt, wrote) = ("hunter1", "uhCiDyVj", Vec::new());
    Played { password, salt, working: true, percent: 100, refuses: Vec::new(), wrote }
}

fn request(ask: &Ask) -> Value {
    let (length, body) = ask.bytes.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_le_bytes(*length) as usize, body.len());
    serde_json::from_slice(body).unwrap()
}

impl Played {
    /// Answers as the machine would, without the length its reply has in front.
    fn answer(&mut self, ask: &Ask, now: Time) -> Result<Vec<u8>, Failure> {
        let request = request(ask);
        let (cmd, param) = (request["cmd"].as_str().unwrap(), &request["param"]);
        let (code, msg) = match (cmd, param.as_str()) {
            ("get.device.info", Some("salt")) => (0, json!({"salt": self.salt})),
            ("get.device.info", Some("miner")) => {
                let working = self.working.to_string();
                let kind = "M60S_VK40";
                (0, json!({"miner": {"working": working, "type": kind, "power-limit-set": "3600"}}))
            }
            ("get.device.info", Some("system")) => {
                (0, json!({"system": {"api": "3.0.1", "fwversion": "20250214.16.Rel"}}))
            }
            ("get.miner.status", Some("summary")) => {
                let watts = if self.working { 3600 * self.percent / 100 } else { 18 };
                (0, json!({"summary": {"power-realtime": watts, "power-limit": 3600}}))
            }
            _ => self.write(&request, now),
        };
        let reply = json!({"code": code, "when": 1, "msg": msg, "desc": cmd});
        Ok(reply.to_string().into_bytes())
    }

    fn write(&mut self, request: &Value, now: Time) -> (i64, Value) {
        let ts = request["ts"].as_i64().unwrap();
        assert!((ts - now.0 / 1_000_000_000).abs() <= 1, "signed with the time it is");
        let cmd = request["cmd"].as_str().unwrap();
        let text = format!("{cmd}{}{}{ts}", self.password, self.salt);
        let whole = STANDARD.encode(Sha256::digest(text.as_bytes()));
        if request["account"] != "super" || request["token"] != whole[..8] {
            return (-4, json!("no permission"));
        }
        if !self.refuses.is_empty() {
            return (self.refuses.remove(0), json!("error"));
        }
        self.wrote.push(request.clone());
        match cmd {
            SERVICE => self.working = request["param"] == "start",
            PERCENT => {
                let percent = request["param"]["percent"].as_str().expect("text, not a number");
                self.percent = percent.parse().unwrap();
            }
            other => panic!("{other}"),
        }
        (0, json!("ok"))
    }
}

fn shown(ask: &Ask) -> String {
    let request = request(ask);
    format!("{} {}", request["cmd"].as_str().unwrap(), request["param"])
}

fn run(machine: &mut Played, want: Want, keep: Option<Keep>) -> (String, Option<Keep>) {
    let credentials = Credentials::new("super", "hunter1");
    let mut talk = Whatsminer3::new(Some(credentials)).begin(want, keep);
    let text = play(&mut *talk, &mut BEGIN.clone(), shown, |ask, now| machine.answer(ask, now));
    assert!(!format!("{talk:?}{text}").contains("hunter"), "{talk:?}");
    (text, talk.keep())
}

#[test]
fn a_signature_is_as_the_machine_works_it_out() {
    assert_eq!(token(SERVICE, &Secret::new("super"), "uhCiDyVj", 1_773_869_570), "wusyZCiM");
}

#[test]
fn a_stop_takes_the_salt_once() {
    let mut machine = played();
    let (text, keep) = run(&mut machine, Want::Do(Goal::Sleep), None);
    insta::assert_snapshot!(text, @r#"
    > get.device.info "salt"
    > set.miner.service "stop"
    Accepted
    "#);
    assert!(!machine.working);
    let wake = Want::Do(Goal::Work { wake: true, power: None });
    let (text, keep) = run(&mut machine, wake, keep);
    assert_eq!(text, "> set.miner.service \"start\"\nAccepted");
    machine.salt = "another1";
    let (text, _) = run(&mut machine, Want::Do(Goal::Sleep), keep);
    insta::assert_snapshot!(text, @r#"
    > set.miner.service "stop"
    > get.device.info "salt"
    > set.miner.service "stop"
    Accepted
    "#);
}

#[test]
fn power_is_a_share_of_the_limit_and_waits_for_the_start() {
    let mut machine = played();
    let trim = Want::Do(Goal::Work { wake: false, power: Some(Power(2500)) });
    insta::assert_snapshot!(run(&mut machine, trim, None).0, @r#"
    > get.miner.status "summary"
    > get.device.info "salt"
    > set.miner.power_percent {"mode":"fast","percent":"69"}
    Accepted
    "#);
    machine.working = false;
    let wake = Want::Do(Goal::Work { wake: true, power: Some(Power(1800)) });
    let credentials = Credentials::new("super", "hunter1");
    let mut talk = Whatsminer3::new(Some(credentials)).begin(wake, None);
    let text = play(&mut *talk, &mut BEGIN.clone(), shown, |ask, now| {
        if machine.wrote.len() == 2 && machine.percent == 69 {
            (machine.refuses, machine.percent) = (vec![-1], 100);
        }
        machine.answer(ask, now)
    });
    assert!(text.contains("verify in 30 s\n> set.miner.power_percent"), "{text}");
    assert!(text.ends_with("Accepted"), "{text}");
    assert_eq!((machine.working, machine.percent), (true, 50));
}

#[test]
fn a_wrong_password_is_named_and_not_shown() {
    let mut machine = Played { password: "hunter2", ..played() };
    let (text, _) = run(&mut machine, Want::Do(Goal::Sleep), None);
    insta::assert_snapshot!(text.lines().last().unwrap(), @r#"Refused("it does not take this name and password, or its clock is far from ours")"#);
}

#[test]
fn readings_need_no_name() {
    let mut machine = played();
    insta::assert_snapshot!(run(&mut machine, Want::Watts, None).0, @r#"
    > get.miner.status "summary"
    read watts: Some(Watts { power: Power(3600), psu: true})
    "#);
    machine.working = false;
    insta::assert_snapshot!(run(&mut machine, Want::Mode, None).0, @r#"
    > get.device.info "miner"
    read declared: Some(Asleep), setting: Some(Default)
    "#);
    let (text, _) = run(&mut machine, Want::Identify, None);
    insta::assert_snapshot!(text.lines().last().unwrap(), @r#"read identity: Some(Identity { make: "Whatsminer", model: "M60S_VK40", firmware: "stock 20250214.16.Rel", rated: Some(Power(3600))})"#);
    let watts = |msg: Value| {
        let mut reading = Reading::default();
        let reply = json!({"code": 0, "msg": msg}).to_string();
        read_watts(reply.as_bytes(), &mut reading).map(|()| reading.watts)
    };
    assert_eq!(watts(json!({"summary": {}})), Ok(None), "missing is not zero");
    assert_eq!(watts(json!("ok")), Err("it sent no summary".into()));
}

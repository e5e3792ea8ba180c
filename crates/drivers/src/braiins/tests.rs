use super::*;
use crate::Failure;
use crate::family::testing::{BEGIN, play};

#[derive(Debug)]
struct Played {
    password: &'static str,
    tokens: u32,
    /// The token it knows.
    token: Option<String>,
    paused: bool,
    target: i64,
    dps: bool,
    /// Its settings can be read.
    shows: bool,
    wrote: Vec<String>,
}

fn played() -> Played {
    let (tokens, token, wrote) = (0, None, Vec::new());
    Played {
        password: "hunter1",
        tokens,
        token,
        paused: false,
        target: 3200,
        dps: false,
        shows: true,
        wrote,
    }
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

impl Played {
    fn answer(&mut self, ask: &Ask) -> Result<Vec<u8>, Failure> {
        let text = String::from_utf8(ask.bytes.clone()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        if line == "POST /api/v1/auth/login" {
            if body != json!({"username": "root", "password": self.password}) {
                return Ok(http("401 Unauthorized", r#"{"message":"Invalid credentials"}"#));
            }
            self.tokens += 1;
            self.token = Some(format!("token{}", self.tokens));
            let token = self.token.as_ref().unwrap();
            return Ok(http("200 OK", &json!({"token": token, "timeout_s": 3600}).to_string()));
        }
        let known = self.token.as_ref().map(|t| format!("Authorization: {t}"));
        if known.is_none_or(|line| !head.lines().any(|l| l == line)) {
            return Ok(http("401 Unauthorized", ""));
        }
        if line.starts_with("PUT") {
            self.wrote.push(line.to_owned());
        }
        Ok(match line {
            "GET /api/v1/miner/stats" => {
                let watt = if self.paused { 35 } else { self.target };
                let power = json!({"approximated_consumption": {"watt": watt}});
                http("200 OK", &json!({"miner_stats": {}, "power_stats": power}).to_string())
            }
            "GET /api/v1/miner/details" => {
                let details = json!({
                    "status": if self.paused { 3 } else { 2 },
                    "miner_identity": {"brand": 1, "miner_model": "Antminer S19 XP"},
                    "bos_version": {"current": "25.07"},
                });
                http("200 OK", &details.to_string())
            }
            "GET /api/v1/configuration/miner" if self.shows => {
                let target = json!({"watt": self.target});
                let config =
                    json!({"tuner": {"power_target": target}, "dps": {"enabled": self.dps}});
                http("200 OK", &config.to_string())
            }
            "PUT /api/v1/actions/pause" => {
                let was = std::mem::replace(&mut self.paused, true);
                http("200 OK", &json!({"already_paused": was}).to_string())
            }
            "PUT /api/v1/actions/resume" => {
                let was = !std::mem::replace(&mut self.paused, false);
                http("200 OK", &json!({"already_mining": was}).to_string())
            }
            "PUT /api/v1/performance/power-target" if body["watt"].as_i64().unwrap() < 900 => {
                http("400 Bad Request", r#"{"message":"Power target is out of range"}"#)
            }
            "PUT /api/v1/performance/power-target" => {
                self.target = body["watt"].as_i64().unwrap();
                http("200 OK", &body.to_string())
            }
            _ => http("404 Not Found", ""),
        })
    }
}

fn shown(ask: &Ask) -> String {
    String::from_utf8_lossy(&ask.bytes).lines().next().unwrap().replace(" HTTP/1.1", "")
}

fn run(machine: &mut Played, want: Want, keep: Option<Keep>) -> (String, Option<Keep>) {
    let credentials = Credentials::new("root", "hunter1");
    let mut talk = Braiins::new(Some(credentials)).begin(want, keep);
    let text = play(&mut *talk, &mut BEGIN.clone(), shown, |ask, _| machine.answer(ask));
    let all = format!("{talk:?}{text}");
    assert!(!all.contains("hunter") && !all.contains("token1"), "{all}");
    (text, talk.keep())
}

#[test]
fn a_pause_takes_a_login_once() {
    let mut machine = played();
    let (text, keep) = run(&mut machine, Want::Do(Goal::Sleep), None);
    insta::assert_snapshot!(text, @"
    > POST /api/v1/auth/login
    > PUT /api/v1/actions/pause
    Accepted
    ");
    assert!(machine.paused);
    assert_eq!(format!("{keep:?}"), "Some(Braiins(***))");
    let again = run(&mut machine, Want::Do(Goal::Sleep), keep.clone()).0;
    assert_eq!(again, "> PUT /api/v1/actions/pause\nAccepted", "already paused is success");
    machine.token = None;
    let (text, _) = run(&mut machine, Want::Do(Goal::Sleep), keep);
    insta::assert_snapshot!(text, @"
    > PUT /api/v1/actions/pause
    > POST /api/v1/auth/login
    > PUT /api/v1/actions/pause
    Accepted
    ");
}

#[test]
fn a_target_is_set_before_a_machine_wakes() {
    let mut machine = Played { paused: true, ..played() };
    let wake = Goal::Work { wake: true, power: Some(Power(2500)) };
    let (_, keep) = run(&mut machine, Want::Do(wake), None);
    assert_eq!(
        machine.wrote,
        ["PUT /api/v1/performance/power-target", "PUT /api/v1/actions/resume"]
    );
    assert_eq!((machine.paused, machine.target), (false, 2500));
    let trim = Goal::Work { wake: false, power: Some(Power(2000)) };
    let (text, keep) = run(&mut machine, Want::Do(trim), keep);
    assert_eq!(text, "> PUT /api/v1/performance/power-target\nAccepted");
    let low = Goal::Work { wake: false, power: Some(Power(800)) };
    let (text, _) = run(&mut machine, Want::Do(low), keep);
    assert!(text.ends_with(r#"Refused("Power target is out of range")"#), "{text}");
}

#[test]
fn watts_modes_and_the_second_controller_are_read() {
    let mut machine = Played { dps: true, ..played() };
    insta::assert_snapshot!(run(&mut machine, Want::Watts, None).0, @"
    > POST /api/v1/auth/login
    > GET /api/v1/miner/stats
    read watts: Some(Watts { power: Power(3200), psu: false})
    ");
    let (text, keep) = run(&mut machine, Want::Mode, None);
    insta::assert_snapshot!(text, @r#"
    > POST /api/v1/auth/login
    > GET /api/v1/miner/details
    > GET /api/v1/configuration/miner
    read declared: Some(Awake), setting: Some(Power(Power(3200))), rival: Some(Some(Manager("the firmware's dynamic power scaling (DPS)")))
    "#);
    machine.shows = false;
    machine.paused = true;
    let (text, keep) = run(&mut machine, Want::Mode, keep);
    assert!(text.ends_with("read declared: Some(Asleep)"), "{text}");
    let (text, _) = run(&mut machine, Want::Identify, keep);
    insta::assert_snapshot!(text.lines().last().unwrap(), @r#"read identity: Some(Identity { make: "Antminer", model: "S19 XP", firmware: "Braiins OS 25.07", rated: None})"#);
}

#[test]
fn a_wrong_password_and_a_strange_token_are_named() {
    let mut machine = Played { password: "hunter2", ..played() };
    let (text, _) = run(&mut machine, Want::Do(Goal::Sleep), None);
    assert!(text.ends_with(r#"Refused("it does not take this name and password")"#), "{text}");
    let mut talk = Braiins::new(None).begin(Want::Do(Goal::Sleep), None);
    let text = play(&mut *talk, &mut BEGIN.clone(), shown, |_, _| {
        Ok(http("200 OK", r#"{"token":"a\r\nX-Evil: 1"}"#))
    });
    assert!(text.ends_with(r#"Refused("its login gave no usable token")"#), "{text}");
    let mut talk = Braiins::new(None).begin(Want::Do(Goal::Sleep), None);
    let text = play(&mut *talk, &mut BEGIN.clone(), shown, |_, _| Err(Failure::Connect));
    assert!(text.ends_with("Lost(Connect)"), "{text}");
}

#[test]
fn a_server_that_repeats_the_password_is_not_repeated() {
    for echo in [
        http("400 Bad Request", r#"{"message":"cannot read {\"password\":\"hunter1\"}"}"#),
        http("400 Bad Request", "\"hunter1\""),
        b"hunter1".to_vec(),
    ] {
        let credentials = Credentials::new("root", "hunter1");
        let mut talk = Braiins::new(Some(credentials)).begin(Want::Do(Goal::Sleep), None);
        let text = play(&mut *talk, &mut BEGIN.clone(), shown, |_, _| Ok(echo.clone()));
        assert!(text.contains("***") && !text.contains("hunter1"), "{text}");
    }
}

#[test]
fn a_status_is_a_number_or_a_name() {
    let declared = |status: Value| declared(&json!({"status": status}));
    assert_eq!(declared(json!(2)), Some(Some(Declared::Awake)));
    assert_eq!(declared(json!(5)), Some(Some(Declared::Awake)));
    assert_eq!(declared(json!(4)), Some(Some(Declared::Asleep)));
    assert_eq!(declared(json!("MINER_STATUS_PAUSED")), Some(Some(Declared::Asleep)));
    assert_eq!(declared(json!(1)), Some(None), "neither");
    assert_eq!(declared(json!(null)), None);
}

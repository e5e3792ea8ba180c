use super::*;
use crate::Failure;
use crate::family::testing::{BEGIN, play};

const SALT: &str = "BQ5hoXV9";

/// A machine as its API's document has it.
#[derive(Debug)]
pub(crate) struct Played {
    /// Its password.
    pub password: &'static str,
    pub limit: i64,
    pub asleep: bool,
    pub percent: i64,
    /// Tokens given out, by when and by their pass.
    tokens: Vec<Pass>,
    /// Codes it answers to the next writes, instead of doing them.
    refuses: Vec<i64>,
    /// Encrypted answers.
    seals: bool,
    pub wrote: Vec<Value>,
}

pub(crate) fn played() -> Played {
    Played {
        password: "secret1",
        limit: 3600,
        asleep: false,
        percent: 100,
        tokens: Vec::new(),
        refuses: Vec::new(),
        seals: true,
        wrote: Vec::new(),
    }
}

fn said(letter: &str, code: i64, msg: &str) -> String {
    format!(
        r#"{{"STATUS":"{letter}","When":1773869570,"Code":{code},"Msg":{msg},"Description":""}}"#
    )
}

impl Played {
    pub(crate) fn answer(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        assert!(!bytes.contains(&0), "a NUL is Invalid JSON to it");
        let request: Value = serde_json::from_slice(bytes).unwrap();
        let reply = if let Some(cmd) = request["cmd"].as_str() {
            self.read(cmd)
        } else {
            self.write(request["data"].as_str().unwrap())
        };
        Ok(reply.into_bytes())
    }

    fn read(&mut self, cmd: &str) -> String {
        let (limit, asleep) = (self.limit, self.asleep);
        let power = if asleep { 0 } else { limit * self.percent / 100 };
        match cmd {
            "summary" => format!(
                r#"{{"STATUS":[{{"STATUS":"S","Msg":"Summary"}}],"SUMMARY":[{{"Elapsed":2648,
                "MHS av":87431210.61,"Power":{},"Power_RT":"{power}","Power Limit":{limit},
                "Hash Stable":true,"Power Mode":"Normal"}}]}}"#,
                power + 9
            ),
            "status" => {
                let off = self.asleep;
                said("S", 131, &format!(r#"{{"mineroff":"{off}","Firmware Version":"'2022'"}}"#))
            }
            "devdetails" => r#"{"STATUS":[{"STATUS":"S","Code":69,"Msg":"Device Details"}],
                "DEVDETAILS":[{"DEVDETAILS":0,"Name":"SM","Model":"M30S++_VH40"}]}"#
                .into(),
            "get_version" => said("S", 131, r#"{"api_ver":"2.0.4","fw_ver":"20220801.14.Rel"}"#),
            "get_token" if self.tokens.len() >= 32 => said("E", 136, r#""over max token""#),
            "get_token" => {
                let stamp = format!("{}", 5626 + self.tokens.len());
                let password = Secret::new(self.password);
                self.tokens.push(crypt::pass(&password, SALT, "jbzkfQls", &stamp).unwrap());
                let msg = format!(r#"{{"time":"{stamp}","salt":"{SALT}","newsalt":"jbzkfQls"}}"#);
                said("S", 134, &msg)
            }
            other => panic!("nobody should ask {other}"),
        }
    }

    fn write(&mut self, data: &str) -> String {
        let opens = |pass: &&Pass| {
            let text = crypt::decrypt(&pass.key, data).unwrap_or_default();
            let write: Result<Value, _> = serde_json::from_slice(&text);
            write.is_ok_and(|w| w["token"] == pass.sign.reveal())
        };
        let Some(pass) = self.tokens.iter().rev().find(opens).cloned() else {
            return said("E", 135, r#""check token error""#);
        };
        let write: Value =
            serde_json::from_slice(&crypt::decrypt(&pass.key, data).unwrap()).unwrap();
        if !self.refuses.is_empty() {
            return said("E", self.refuses.remove(0), r#""""#);
        }
        match write["cmd"].as_str().unwrap() {
            "power_off" => self.asleep = true,
            // A share of the power is forgotten with the next start.
            "power_on" => (self.asleep, self.percent) = (false, 100),
            // Numbers are texts to this API.
            "set_power_pct" => self.percent = write["percent"].as_str().unwrap().parse().unwrap(),
            other => panic!("{other}"),
        }
        self.wrote.push(write);
        let done = said("S", 131, r#""API command OK""#);
        if self.seals {
            format!(r#"{{"enc":"{}"}}"#, crypt::encrypt(&pass.key, &done))
        } else {
            done
        }
    }
}

fn family(password: &str) -> Whatsminer2 {
    Whatsminer2::new(Some(Credentials::new("admin", password)))
}

/// Shows a request with a sealed write opened by the newest token.
fn shown(ask: &Ask) -> String {
    let text = String::from_utf8_lossy(&ask.bytes);
    if text.contains("\"enc\"") { "sealed".into() } else { text.into_owned() }
}

fn tell(
    machine: &mut Played,
    goal: Goal,
    keep: Option<Keep>,
    now: &mut Time,
) -> (String, Option<Keep>) {
    let mut talk = family("secret1").begin(Want::Do(goal), keep);
    let text = play(&mut *talk, now, shown, |ask, _| machine.answer(&ask.bytes));
    (text, talk.keep())
}

#[test]
fn a_first_sleep_fetches_a_token_and_the_next_uses_it() {
    let (mut machine, mut now) = (played(), BEGIN);
    let (text, keep) = tell(&mut machine, Goal::Sleep, None, &mut now);
    insta::assert_snapshot!(text, @r#"
    > {"cmd":"get_token"}
    > sealed
    Accepted
    "#);
    assert!(machine.asleep);
    assert_eq!(machine.wrote[0]["respbefore"], "true");
    let wake = Goal::Work { wake: true, power: None };
    let (text, keep) = tell(&mut machine, wake, keep, &mut now);
    insta::assert_snapshot!(text, @"
    > sealed
    Accepted
    ");
    assert!(!machine.asleep);
    // After half an hour it is not even tried.
    now += Span::minutes(29);
    let (text, _) = tell(&mut machine, Goal::Sleep, keep, &mut now);
    assert!(text.starts_with("> {\"cmd\":\"get_token\"}"), "{text}");
}

#[test]
fn power_is_a_share_of_the_limit_told_as_text() {
    let (mut machine, mut now) = (played(), BEGIN);
    let trim = Goal::Work { wake: false, power: Some(Power(2520)) };
    insta::assert_snapshot!(tell(&mut machine, trim, None, &mut now).0, @r#"
    > {"cmd":"summary"}
    > {"cmd":"get_token"}
    > sealed
    Accepted
    "#);
    assert_eq!(machine.percent, 70);
    assert_eq!(machine.wrote.len(), 1, "the limit itself is never set: that restarts the work");
}

#[test]
fn a_machine_that_is_starting_is_told_its_power_again() {
    let (mut machine, mut now) = (played(), BEGIN);
    machine.asleep = true;
    let wake = Goal::Work { wake: true, power: Some(Power(1800)) };
    let mut talk = family("secret1").begin(Want::Do(wake), None);
    let text = play(&mut *talk, &mut now, shown, |ask, _| {
        if machine.wrote.len() == 1 && machine.refuses.is_empty() && machine.percent == 100 {
            machine.refuses = vec![132];
            machine.percent = 99;
        }
        machine.answer(&ask.bytes)
    });
    insta::assert_snapshot!(text, @r#"
    > {"cmd":"summary"}
    > {"cmd":"get_token"}
    > sealed
    > sealed
    verify in 30 s
    > sealed
    Accepted
    "#);
    assert_eq!((machine.asleep, machine.percent), (false, 50));
}

#[test]
fn a_machine_that_takes_no_whole_gets_99() {
    let (mut machine, mut now) = (played(), BEGIN);
    machine.refuses = vec![132];
    let full = Goal::Work { wake: false, power: Some(Power(3600)) };
    let text = tell(&mut machine, full, None, &mut now).0;
    assert!(text.ends_with("> sealed\n> sealed\nAccepted"), "{text}");
    assert_eq!(machine.percent, 99);
}

#[test]
fn a_lost_token_is_replaced_once() {
    let (mut machine, mut now) = (played(), BEGIN);
    let keep = tell(&mut machine, Goal::Sleep, None, &mut now).1;
    machine.tokens.clear();
    machine.seals = false;
    insta::assert_snapshot!(tell(&mut machine, Goal::Sleep, keep, &mut now).0, @r#"
    > sealed
    > {"cmd":"get_token"}
    > sealed
    Accepted
    "#);
}

#[test]
fn refusals_say_what_a_person_has_to_mend() {
    let check = |machine: &mut Played, password: &str| {
        let mut talk = family(password).begin(Want::Do(Goal::Sleep), None);
        let text = play(&mut *talk, &mut BEGIN.clone(), shown, |ask, _| machine.answer(&ask.bytes));
        assert!(!format!("{talk:?}{text}").contains("secret"), "{talk:?}");
        text.lines().last().unwrap().to_owned()
    };
    insta::assert_snapshot!(
        check(&mut played(), "secret2"),
        @r#"Refused("it takes no token of this password")"#
    );
    let mut denied = Played { refuses: vec![45], ..played() };
    insta::assert_snapshot!(check(&mut denied, "secret1"), @r#"Refused("it may not be written to: its write API is off, or its password is still the factory's; the vendor's tool changes both")"#);
    let token = crypt::pass(&Secret::new("x"), SALT, SALT, "1").unwrap();
    let mut full = Played { tokens: vec![token; 32], ..played() };
    insta::assert_snapshot!(
        check(&mut full, "secret1"),
        @r#"Refused("it has no token left for this address; each lasts half an hour")"#
    );
}

#[test]
fn readings_renew_the_token_and_do_not_need_it() {
    let (mut machine, mut now) = (played(), BEGIN);
    let watch = |machine: &mut Played, keep, now: &mut Time| {
        let mut talk = family("secret1").begin(Want::Watts, keep);
        let text = play(&mut *talk, now, shown, |ask, _| machine.answer(&ask.bytes));
        (text, talk.keep())
    };
    let (text, keep) = watch(&mut machine, None, &mut now);
    insta::assert_snapshot!(text, @r#"
    > {"cmd":"summary"}
    > {"cmd":"get_token"}
    read watts: Some(Watts { power: Power(3600), psu: true})
    "#);
    let (text, none) = watch(&mut machine, keep.clone(), &mut now);
    assert_eq!((text.lines().count(), none), (2, None), "one trip while the token is young");
    let (text, _) = tell(&mut machine, Goal::Sleep, keep, &mut now);
    assert_eq!(text, "> sealed\nAccepted", "and a command takes one trip, too");
    machine.tokens = vec![machine.tokens[0].clone(); 32];
    let (text, none) = watch(&mut machine, None, &mut now);
    insta::assert_snapshot!(text, @r#"
    > {"cmd":"summary"}
    > {"cmd":"get_token"}
    read watts: Some(Watts { power: Power(0), psu: true})
    "#);
    assert_eq!(none, None);
}

#[test]
fn one_that_is_off_and_has_no_summary_is_there_all_the_same() {
    let mut machine = Played { asleep: true, ..played() };
    let mut talk = family("secret1").begin(Want::Watts, None);
    let text = play(&mut *talk, &mut BEGIN.clone(), shown, |ask, _| {
        if ask.bytes == plain("summary") {
            return Ok(said("E", 132, r#""btminer is off""#).into_bytes());
        }
        machine.answer(&ask.bytes)
    });
    insta::assert_snapshot!(text, @r#"
    > {"cmd":"summary"}
    > {"cmd":"status"}
    > {"cmd":"get_token"}
    read declared: Some(Asleep)
    "#);
}

#[test]
fn mode_and_identity_are_read() {
    let mut machine = played();
    machine.asleep = true;
    let mut read = |want| {
        let mut talk = family("secret1").begin(want, None);
        play(&mut *talk, &mut BEGIN.clone(), shown, |ask, _| machine.answer(&ask.bytes))
    };
    insta::assert_snapshot!(read(Want::Mode), @r#"
    > {"cmd":"status"}
    read declared: Some(Asleep)
    "#);
    insta::assert_snapshot!(read(Want::Identify), @r#"
    > {"cmd":"devdetails"}
    > {"cmd":"get_version"}
    read identity: Some(Identity { make: "Whatsminer", model: "M30S++_VH40", firmware: "stock 20220801.14.Rel", rated: None})
    "#);
}

#[test]
fn old_words_and_missing_ones_are_known() {
    let mode = |msg: &str| {
        let mut reading = Reading::default();
        read_mode(said("S", 131, msg).as_bytes(), &mut reading).map(|()| reading.declared)
    };
    assert_eq!(mode(r#"{"btmineroff":"true"}"#), Ok(Some(Declared::Asleep)));
    assert_eq!(mode(r#"{"mineroff":false}"#), Ok(Some(Declared::Awake)));
    assert_eq!(mode(r#"{"mineroff":"perhaps"}"#), Ok(None), "not known is not off");
    assert_eq!(mode("[]"), Ok(None));
    let watts = |row: &str| {
        let reply = format!(r#"{{"STATUS":[{{"STATUS":"S"}}],"SUMMARY":[{row}]}}"#);
        let read = read_watts(reply.as_bytes()).map_err(|e| e.to_string());
        read.map(|r| r.watts.map(|w| w.power.0))
    };
    assert_eq!(watts(r#"{"Power":3434}"#), Ok(Some(3434)));
    assert_eq!(watts(r#"{"Power":"nan"}"#), Ok(None));
    let none = "failed to find Power in the SUMMARY of a reply";
    assert_eq!(watts(""), Err(none.into()));
}

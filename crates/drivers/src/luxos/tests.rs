use super::*;
use crate::family::{Goal, Turn};
use headgate_core::time::Time;

fn status(letter: &str, code: i64, msg: &str) -> String {
    format!(r#""STATUS":[{{"STATUS":"{letter}","When":1,"Code":{code},"Msg":"{msg}"}}],"id":1"#)
}

fn said(letter: &str, code: i64, msg: &str) -> Vec<u8> {
    format!("{{{}}}", status(letter, code, msg)).into_bytes()
}

fn session_created(id: &str) -> Vec<u8> {
    let status = status("S", SESSION_CREATED, "Session created");
    format!(r#"{{"SESSION":[{{"SessionID":"{id}"}}],{status}}}"#).into_bytes()
}

/// Plays replies to a conversation and writes down who said what.
fn check(goal: Goal, replies: &[Vec<u8>]) -> String {
    let now = Time::from_seconds(1_724_198_400);
    let mut talk = Luxos.begin(Want::Do(goal), None);
    let said = |ask: Ask| format!("> {}", String::from_utf8(ask.bytes).unwrap());
    let mut lines = vec![said(talk.say(now))];
    for reply in replies {
        match talk.hear(now, reply) {
            Turn::Say => lines.push(said(talk.say(now))),
            Turn::Wait(_) => lines.push(format!("pause\n{}", said(talk.say(now)))),
            turn => lines.push(format!("{turn:?}")),
        }
    }
    if let Some(keep) = talk.keep() {
        lines.push(said(Luxos.give_back(&keep).unwrap()));
    }
    lines.join("\n")
}

#[test]
fn sleep_takes_three_trips() {
    let ok = said("S", CURTAIL_SENT, "Curtailment command sent");
    insta::assert_snapshot!(check(Goal::Sleep, &[session_created("yJN2nlj1"), ok]), @r#"
    > {"command":"logon"}
    > {"command":"curtail","parameter":"yJN2nlj1,sleep"}
    Accepted
    > {"command":"logoff","parameter":"yJN2nlj1"}
    "#);
}

#[test]
fn a_machine_that_already_sleeps_has_done_it() {
    let already = said("E", 0, "Miner is already in sleep mode");
    insta::assert_snapshot!(check(Goal::Sleep, &[session_created("a"), already]), @r#"
    > {"command":"logon"}
    > {"command":"curtail","parameter":"a,sleep"}
    Accepted
    > {"command":"logoff","parameter":"a"}
    "#);
}

#[test]
fn waking_to_a_lower_profile_is_one_session() {
    let goal = Goal::Work { wake: true, power: Some(Power(1414)) };
    let awake = said("E", 0, "Miner is already active");
    let set = said("S", PROFILE_SET, "Profile Set");
    insta::assert_snapshot!(check(goal, &[session_created("a"), awake, set]), @r#"
    > {"command":"logon"}
    > {"command":"curtail","parameter":"a,wakeup"}
    > {"command":"profileset","parameter":"a,1414W"}
    Accepted
    > {"command":"logoff","parameter":"a"}
    "#);
    let trim = Goal::Work { wake: false, power: Some(Power(2192)) };
    let set = said("S", PROFILE_SET, "Profile Set");
    insta::assert_snapshot!(check(trim, &[session_created("a"), set]), @r#"
    > {"command":"logon"}
    > {"command":"profileset","parameter":"a,2192W"}
    Accepted
    > {"command":"logoff","parameter":"a"}
    "#);
}

#[test]
fn a_taken_session_is_asked_for_twice() {
    let taken = said("E", SESSION_TAKEN, "Another session is active");
    insta::assert_snapshot!(check(Goal::Sleep, &[taken.clone(), taken]), @r#"
    > {"command":"logon"}
    pause
    > {"command":"logon"}
    Refused("another session is active (second controller?)")
    "#);
}

#[test]
fn a_lost_session_is_replaced_once() {
    let gone = said("E", 403, "Invalid session");
    let replies = [session_created("a"), gone.clone(), session_created("b"), gone];
    insta::assert_snapshot!(check(Goal::Sleep, &replies), @r#"
    > {"command":"logon"}
    > {"command":"curtail","parameter":"a,sleep"}
    > {"command":"logon"}
    > {"command":"curtail","parameter":"b,sleep"}
    Refused("Invalid session")
    > {"command":"logoff","parameter":"b"}
    "#);
}

#[test]
fn a_machine_that_answers_html_says_so() {
    insta::assert_snapshot!(check(Goal::Sleep, &[b"<html>".to_vec()]), @r#"
    > {"command":"logon"}
    Refused("failed to read a reply: a web page came (\"<html>\"); is this the API's port?")
    "#);
}

#[test]
fn a_session_id_must_fit_a_parameter() {
    assert!(SessionId::new("yJN2nlj1").is_some());
    for bad in ["", "a,sleep", "a b", "a\n", "é", &"x".repeat(65)] {
        assert_eq!(SessionId::new(bad), None, "{bad:?}");
    }
    let crooked = session_created("a,wakeup");
    assert!(matches!(parse_logon(&crooked), Err(ReplyError::Missing { .. })));
}

#[test]
fn watts_missing_are_not_zero() {
    let power = |row: &str| {
        let reply = format!(r#"{{{},"POWER":[{row}]}}"#, status("S", 1, "Power"));
        parse_power(reply.as_bytes()).map_err(|e| e.to_string())
    };
    let read = |w, psu| Ok(Watts { power: Power(w), psu });
    assert_eq!(power(r#"{"PSU":true,"Watts":1051}"#), read(1051, true));
    assert_eq!(power(r#"{"Watts":0.4}"#), read(0, false));
    for row in ["", "{}", r#"{"Watts":null}"#, r#"{"Watts":-5}"#, r#"{"Watts":1e9}"#] {
        assert_eq!(power(row), Err("failed to find Watts in the POWER of a reply".into()), "{row}");
    }
}

#[test]
fn config_tells_the_declared_mode() {
    let config = |row: &str| {
        let reply = format!(r#"{{{},"CONFIG":[{row}]}}"#, status("S", 33, "Config"));
        parse_config(reply.as_bytes()).map(|c| (c.declared, c.profile)).unwrap()
    };
    use Declared::{Asleep, Awake};
    let default = Some("default".to_owned());
    let awake = r#"{"CurtailMode":"None","IsPowerSupplyOn":true,"Profile":"default"}"#;
    assert_eq!(config(awake), (Some(Awake), default));
    assert_eq!(config(r#"{"CurtailMode":"Sleep"}"#), (Some(Asleep), None));
    assert_eq!(config(r#"{"CurtailMode":"None","IsPowerSupplyOn":false}"#).0, Some(Asleep));
    assert_eq!(config("{}"), (None, None));
}

#[test]
fn profiles_and_versions_are_read() {
    let status = status("S", 1, "x");
    let reply = format!(
        r#"{{{status},"PROFILES":[{{"Profile Name":"400MHz","Hashrate":70.2,"Watts":1414}},{{}}]}}"#
    );
    let profile = Profile { name: "400MHz".into(), power: Power(1414), gigahashes: 70_200 };
    assert_eq!(parse_profiles(reply.as_bytes()).unwrap(), [profile]);
    let reply = format!(r#"{{{status},"VERSION":[{{"API":"3.7","LUXminer":"2024","Type":"S"}}]}}"#);
    let version = parse_version(reply.as_bytes()).unwrap();
    assert_eq!(
        (version.firmware, version.api, version.model),
        ("2024".into(), "3.7".into(), "S".into())
    );
    let free = format!(r#"{{{status},"SESSION":[{{"SessionID":""}}]}}"#);
    assert_eq!(parse_session(free.as_bytes()).unwrap(), None);
}

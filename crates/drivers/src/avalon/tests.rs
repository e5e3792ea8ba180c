use super::*;
use crate::family::testing::{BEGIN, play};

fn estats(state: &str) -> Vec<u8> {
    format!(
        r#"{{"STATUS":[{{"STATUS":"S","When":1,"Code":70,"Msg":"CGMiner stats"}}],
        "STATS":[{{"STATS":0,"ID":"AVA100","Elapsed":5,"MM Count":1,"MM ID0":"{state}"}}],"id":1}}"#
    )
    .into_bytes()
}

fn said(letter: &str, code: i64, msg: &str) -> Vec<u8> {
    format!(r#"{{"STATUS":[{{"STATUS":"{letter}","Code":{code},"Msg":"{msg}"}}],"id":1}}"#).into()
}

fn shown(ask: &Ask) -> String {
    String::from_utf8(ask.bytes.clone()).unwrap()
}

fn check(want: Want, reply: Result<Vec<u8>, Failure>) -> String {
    let mut talk = Avalon.begin(want, None);
    play(&mut *talk, &mut BEGIN.clone(), shown, |_, _| reply.clone())
}

#[test]
fn the_switch_is_told_to_act_five_seconds_from_now() {
    let done = Ok(said("I", 118, "ASC 0 set info: success softoff: 1773869575"));
    insta::assert_snapshot!(check(Want::Do(Goal::Sleep), done), @r#"
    > {"command":"ascset","parameter":"0,softoff,1:1773869575"}
    Accepted
    "#);
    let wake = Want::Do(Goal::Work { wake: true, power: None });
    // It closes without a word when it wakes: sent, and only watts can say.
    insta::assert_snapshot!(check(wake, Err(Failure::Reset)), @r#"
    > {"command":"ascset","parameter":"0,softon,1:1773869575"}
    Unconfirmed
    "#);
    assert!(check(wake, Ok(Vec::new())).ends_with("Unconfirmed"));
    assert!(check(wake, Err(Failure::Timeout)).ends_with("Lost(Timeout)"));
    let last = |reply| check(Want::Do(Goal::Sleep), Ok(reply)).lines().last().unwrap().to_owned();
    insta::assert_snapshot!(
        last(said("E", 45, "Access denied to 'ascset' command")),
        @r#"Refused("it may not be written to from this address: allow that in its API's settings")"#
    );
    insta::assert_snapshot!(
        last(said("I", 118, "ASC 0 set failed: Unknown option: softoff")),
        @r#"Refused("ASC 0 set failed: Unknown option: softoff")"#
    );
}

#[test]
fn watts_stand_in_the_text_of_the_state() {
    let check = |state: &str| check(Want::Watts, Ok(estats(state)));
    let state =
        "Ver[1246-83-21] GHSmm[88000.12] TPS[1] PS[0 1215 1282 257 3295 1283 3460] SoftOFF[0]";
    insta::assert_snapshot!(check(state), @r#"
    > {"command":"estats"}
    read watts: Some(Watts { power: Power(3460), psu: true}), declared: Some(Awake)
    "#);
    let older = "Ver[1166] PS[0 1209 1308 72 941 1307] WORKMODE[1] SoftOFF[1]";
    assert!(check(older).contains("Power(941)"), "{}", check(older));
    assert!(check(older).contains("Asleep"));
    let newer = "SYSTEMSTATU[Work: In Idle, Hash Board: 1 ] WALLPOWER[12] PS[0 1 2 3 4 5 6]";
    assert!(check(newer).contains("Power(12)") && check(newer).contains("Asleep"));
    for none in ["", "PS[]", "PS[0 1]", "PS[0 1 2 3 x]", "PS[0 0 0 0 -4]", "PS[0 0 0 0 9999999]"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(check(none), @r#"
            > {"command":"estats"}
            read nothing
            "#);
        }
    }
}

#[test]
fn a_model_is_read() {
    let row = r#""CGMiner":"4.11.1","PROD":"AvalonMiner","MODEL":"1346-110","VERSION":"23021701""#;
    let reply = format!(r#"{{"STATUS":[{{"STATUS":"S"}}],"VERSION":[{{{row}}}]}}"#);
    insta::assert_snapshot!(check(Want::Identify, Ok(reply.into_bytes())), @r#"
    > {"command":"version"}
    read identity: Some(Identity { make: "Avalon", model: "1346-110", firmware: "stock 23021701", rated: None})
    "#);
}

use super::*;
use proptest::prelude::*;

#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
struct PowerRow {
    #[serde(rename = "Watts", default, deserialize_with = "number")]
    watts: Option<i64>,
}
impl Section for PowerRow {
    const NAME: &'static str = "POWER";
}

const POWER: &str = concat!(
    r#"{"STATUS":[{"STATUS":"S","When":1795445711,"Code":320,"Msg":"Power usage","#,
    r#""Description":"LUXminer 2024.1.26"}],"POWER":[{"PSU":false,"Watts":1051}],"id":1}"#,
);

/// Shows what is read from bytes: judgement, code, words and watts, or the error.
fn check(bytes: &[u8]) -> String {
    match parse::<PowerRow>(bytes) {
        Ok(Reply { status: Status { letter, code, msg }, rows }) => {
            let watts: Vec<_> = rows.iter().map(|r| r.watts).collect();
            format!("{letter:?} {code} {msg:?} {watts:?}")
        }
        Err(e) => format!("error: {e}"),
    }
}

#[test]
fn requests_are_one_object_without_a_nul() {
    let show = |r: Vec<u8>| String::from_utf8(r).unwrap();
    insta::assert_snapshot!(show(request("power", None)), @r#"{"command":"power"}"#);
    let quoted = show(request("curtail", Some("ab\"c,sleep")));
    insta::assert_snapshot!(quoted, @r#"{"command":"curtail","parameter":"ab\"c,sleep"}"#);
}

#[test]
fn well_formed_replies_are_read() {
    insta::assert_snapshot!(check(POWER.as_bytes()), @r#"Success 320 "Power usage" [Some(1051)]"#);
    let framed = format!("\n{POWER}\0");
    assert_eq!(check(framed.as_bytes()), check(POWER.as_bytes()));
    let invalid =
        br#"{"STATUS":[{"STATUS":"E","When":1,"Code":14,"Msg":"Invalid command"}],"id":1}"#;
    insta::assert_snapshot!(check(invalid), @r#"Error 14 "Invalid command" []"#);
    let bare = br#"{"STATUS":{"STATUS":"I","Code":"7","Msg":"x"},"POWER":{"Watts":"980.6"}}"#;
    insta::assert_snapshot!(check(bare), @r#"Info 7 "x" [Some(981)]"#);
}

#[test]
fn broken_replies_are_mended() {
    let power = |body: &str| check(format!(r#"{{"STATUS":[{{"STATUS":"S"}}],{body}"#).as_bytes());
    let missing_comma = check(br#"{"STATUS":[{"STATUS":"S","Code":1}{"STATUS":"E"}]"POWER":[]}"#);
    insta::assert_snapshot!(missing_comma, @r#"Success 1 "" []"#);
    insta::assert_snapshot!(power(r#""POWER":[,{"Watts":10,}],}"#), @r#"Success 0 "" [Some(10)]"#);
    insta::assert_snapshot!(power(r#""POWER":[{"Watts":nan}]}"#), @r#"Success 0 "" [None]"#);
    insta::assert_snapshot!(power(r#""POWER":[{"Watts":-inf,}]}"#), @r#"Success 0 "" [None]"#);
    insta::assert_snapshot!(power(r#""POWER":[{"Watts":"nan"}]}"#), @r#"Success 0 "" [None]"#);
    let line_break = check(b"{\"STATUS\":[{\"STATUS\":\"S\",\"Msg\":\"two\nlines\"}]}");
    insta::assert_snapshot!(line_break, @r#"Success 0 "two lines" []"#);
    let twice = [POWER, POWER].concat();
    insta::assert_snapshot!(check(twice.as_bytes()), @r#"Success 320 "Power usage" [Some(1051)]"#);
}

#[test]
fn a_number_cut_short_is_not_a_smaller_number() {
    for cut in 0..POWER.len() {
        if let Ok(reply) = parse::<PowerRow>(&POWER.as_bytes()[..cut]) {
            assert!(
                reply.rows.iter().all(|r| r.watts.is_none_or(|w| w == 1051)),
                "cut at {cut}: {reply:?}"
            );
        }
    }
    let whole = &POWER[..POWER.find("],\"id\"").unwrap()];
    insta::assert_snapshot!(check(whole.as_bytes()), @r#"Success 320 "Power usage" [Some(1051)]"#);
}

#[test]
fn what_is_no_reply_is_named() {
    let refusal = |bytes: &[u8]| {
        let said = check(bytes);
        said.strip_prefix("error: failed to read a reply").unwrap_or(&said).to_owned()
    };
    let no_word = ": the machine closed the connection without a word";
    assert_eq!(refusal(b""), no_word);
    insta::assert_snapshot!(
        refusal(b"<html><title>401</title></html>"),
        @r#": a web page came ("<html><title>401</title></html>"); is this the API's port?"#
    );
    insta::assert_snapshot!(
        refusal(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        @r#": a web page came ("HTTP/1.1 400 Bad Request"); is this the API's port?"#
    );
    insta::assert_snapshot!(refusal(b"\x1b[31mSSH"), @r#": no JSON came but " [31mSSH""#);
    insta::assert_snapshot!(refusal(br#"{"id":1}"#), @r#" that begins "{\"id\":1}""#);
    let long = refusal(&vec![b'['; REPLY_BYTES_MAX + 1]);
    insta::assert_snapshot!(long, @": 262145 bytes came, 262144 are the limit");
    let deep = refusal(&vec![b'['; REPLY_BYTES_MAX]);
    assert!(deep.starts_with(" that begins"), "{deep}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes);
        check(repair::repair(&bytes).as_bytes());
    }

    #[test]
    fn no_jumble_of_json_makes_it_panic(text in r#"[\[\]{},:"\\a1eE.+\-\n ]{0,120}"#) {
        check(text.as_bytes());
        let mended = repair::repair(text.as_bytes());
        prop_assert!(mended.len() <= 5 * text.len() + 64, "{mended:?}");
    }

    #[test]
    fn mutated_replies_never_panic(
        edits in prop::collection::vec((0..POWER.len(), any::<u8>(), 0..3u8), 1..6),
    ) {
        let mut bytes = POWER.as_bytes().to_vec();
        for (at, byte, how) in edits {
            let at = at.min(bytes.len().saturating_sub(1));
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at + 1),
            }
        }
        check(&bytes);
    }
}

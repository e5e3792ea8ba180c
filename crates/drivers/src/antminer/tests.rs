use super::*;
use crate::Port;
use crate::family::Goal;
use crate::family::testing::{BEGIN, play};
use headgate_core::time::Span;
use serde_json::json;

const NONCE: &str = "5f2e1a";

/// How the server takes a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// By the key most firmwares write by; answers at once.
    Write,
    /// The same, and answers a minute later.
    Slow,
    /// By the key it is read by.
    Read,
    /// Wants the document exactly as it is read, in type and keys.
    AsRead,
    /// Says yes and changes nothing.
    Lies,
    /// Does it and loses the pools, the first time.
    Wipes,
    /// Says no.
    Refuses,
}

#[derive(Debug)]
struct Played {
    habit: Habit,
    password: &'static str,
    config: Value,
    writes: Vec<Value>,
    /// Reads of the configuration that fail, from the write on.
    busy: u8,
    busy_after_write: u8,
    /// What the cgminer port answers.
    stats: Option<Value>,
    /// Bytes of the configuration after which a stream without a length ends.
    cut: Option<usize>,
}

fn played(habit: Habit) -> Played {
    let pool = |url: &str| json!({"url": url, "user": "account.worker", "pass": "hunter2"});
    let config = json!({
        "pools": [pool("stratum+tcp://pool.example:3333"), pool(""), pool("")],
        "api-listen": true, "api-allow": "A:0/0,W:*", "bitmain-fan-ctrl": false,
        "bitmain-fan-pwm": "100", "bitmain-freq-level": "100", "bitmain-work-mode": "0",
    });
    let stats = json!({"STATUS": [{"STATUS": "S"}], "STATS": [{"chain_power": "3,150.4 W"}]});
    Played {
        habit,
        password: "hunter1",
        config,
        writes: Vec::new(),
        busy: 0,
        busy_after_write: 0,
        stats: Some(stats),
        cut: None,
    }
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

impl Played {
    fn answer(&mut self, ask: &Ask) -> Result<Vec<u8>, Failure> {
        if ask.port == Port::Aux {
            assert_eq!(ask.bytes, br#"{"command":"stats","new_api":true}"#);
            let stats = self.stats.as_ref().ok_or(Failure::Connect)?;
            return Ok(stats.to_string().into_bytes());
        }
        let text = String::from_utf8(ask.bytes.clone()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut line = head.split(' ');
        let (method, path) = (line.next().unwrap(), line.next().unwrap());
        if !self.knows(head, method, path) {
            let asks = format!(
                "WWW-Authenticate: Digest realm=\"antMiner Configuration\", nonce=\"{NONCE}\", \
                 qop=\"auth\"\r\n"
            );
            return Ok(http("401 Unauthorized", &asks, "<html>401</html>"));
        }
        match (method, path) {
            ("GET", CONFIG) if self.busy > 0 => {
                self.busy -= 1;
                Ok(http("500 Internal Server Error", "", ""))
            }
            ("GET", CONFIG) => {
                let text = self.config.to_string();
                let Some(cut) = self.cut else { return Ok(http("200 OK", "", &text)) };
                let text = &text[..cut.min(text.len())];
                Ok(format!("HTTP/1.1 200 OK\r\n\r\n{text}").into_bytes())
            }
            ("GET", STATS) => Ok(http("200 OK", "", r#"{"STATUS":{},"STATS":[{"rate_5s":0}]}"#)),
            ("GET", SYSTEM) => Ok(http(
                "200 OK",
                "",
                r#"{"minertype":"Antminer S19j Pro","system_filesystem_version":"Dec 2022"}"#,
            )),
            ("POST", SET_CONFIG) => {
                assert_eq!(ask.budget, Some(Span::seconds(5)));
                self.write(serde_json::from_str(body).unwrap())
            }
            other => panic!("nobody should ask {other:?}"),
        }
    }

    /// Checks the answer to the challenge as a server does: from its own password.
    fn knows(&self, head: &str, method: &str, path: &str) -> bool {
        let Some(line) = head.lines().find_map(|l| l.strip_prefix("Authorization: Digest ")) else {
            return false;
        };
        let field = |name: &str| {
            let rest = line.split(&format!("{name}=")).nth(1).unwrap();
            rest.split(", ").next().unwrap().trim_matches('"').to_owned()
        };
        let hash = |text: String| format!("{:x}", md5::compute(text));
        let user = hash(format!("root:antMiner Configuration:{}", self.password));
        let what = hash(format!("{method}:{path}"));
        let (nc, own) = (field("nc"), field("cnonce"));
        field("response") == hash(format!("{user}:{NONCE}:{nc}:{own}:auth:{what}"))
    }

    fn write(&mut self, document: Value) -> Result<Vec<u8>, Failure> {
        self.busy = self.busy_after_write;
        self.writes.push(document.clone());
        let (by_write, by_read) = (number_of(&document[WRITE_KEY]), number_of(&document[READ_KEY]));
        let took = match self.habit {
            Habit::Write | Habit::Slow | Habit::Wipes => by_write,
            Habit::Read => by_read,
            Habit::AsRead if document[READ_KEY].is_string() && by_write.is_none() => by_read,
            Habit::AsRead | Habit::Lies => None,
            Habit::Refuses => {
                return Ok(http(
                    "200 OK",
                    "",
                    r#"{"stats":"error","code":"M001","msg":"Illegal"}"#,
                ));
            }
        };
        if let Some(mode) = took {
            self.config = document;
            self.config[READ_KEY] = mode.to_string().into();
            self.config.as_object_mut().unwrap().remove(WRITE_KEY);
        }
        if self.habit == Habit::Wipes && self.writes.len() == 1 {
            self.config["pools"] = json!([]);
        }
        if self.habit == Habit::Slow {
            return Err(Failure::Timeout);
        }
        Ok(http("200 OK", "", r#"{"stats":"success","code":"M000","msg":"OK!"}"#))
    }
}

fn family(password: &str) -> Antminer {
    Antminer::new(Some(Credentials::new("root", password)))
}

/// Shows the first line of a request and nothing that is secret.
fn shown(ask: &Ask) -> String {
    let text = String::from_utf8_lossy(&ask.bytes);
    let first = text.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
    let knows = if text.contains("Authorization") { " (digest)" } else { "" };
    format!("{first}{knows}")
}

fn run(machine: &mut Played, want: Want, keep: Option<Keep>) -> (String, Option<Keep>) {
    let mut talk = family("hunter1").begin(want, keep);
    let text = play(&mut *talk, &mut BEGIN.clone(), shown, |ask, _| machine.answer(ask));
    assert!(!format!("{talk:?}{text}").contains("hunter"), "{talk:?} {text}");
    (text, talk.keep())
}

fn sleep(machine: &mut Played) -> String {
    run(machine, Want::Do(Goal::Sleep), None).0
}

#[test]
fn the_configuration_is_read_written_with_both_keys_and_read_back() {
    let mut machine = played(Habit::Write);
    let (text, keep) = run(&mut machine, Want::Do(Goal::Sleep), None);
    insta::assert_snapshot!(text, @"
    > GET /cgi-bin/get_miner_conf.cgi
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    > POST /cgi-bin/set_miner_conf.cgi (digest)
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    Accepted
    ");
    let mut written = machine.writes[0].clone();
    assert_eq!((&written[WRITE_KEY], &written[READ_KEY]), (&json!(1), &json!(1)), "as numbers");
    assert_eq!(written["freq-level"], "100");
    let fields = written.as_object_mut().unwrap();
    fields.retain(|key, _| ![WRITE_KEY, READ_KEY, "freq-level"].contains(&key.as_str()));
    let mut before = played(Habit::Write).config;
    before.as_object_mut().unwrap().remove(READ_KEY);
    assert_eq!(written, before, "all else is as it was read");
    let (text, _) = run(&mut machine, Want::Do(Goal::Work { wake: true, power: None }), keep);
    assert!(text.starts_with("> GET /cgi-bin/get_miner_conf.cgi (digest)\n> POST"), "{text}");
    assert_eq!(machine.config[READ_KEY], "0");
    // A machine that works is not restarted for nothing.
    let (text, _) = run(&mut machine, Want::Do(Goal::Work { wake: true, power: None }), None);
    assert!(text.ends_with("Accepted") && machine.writes.len() == 2, "{text}");
}

#[test]
fn who_worked_at_high_power_wakes_at_high_power() {
    let mut machine = played(Habit::Write);
    machine.config[READ_KEY] = "2".into();
    let work = Want::Do(Goal::Work { wake: true, power: None });
    let (text, keep) = run(&mut machine, work, None);
    assert!(text.ends_with("Accepted") && machine.writes.is_empty(), "it works: {text}");
    let (_, keep) = run(&mut machine, Want::Do(Goal::Sleep), keep);
    // It is read while it sleeps, too.
    let (_, keep) = run(&mut machine, Want::Mode, keep);
    let (text, _) = run(&mut machine, work, keep);
    assert!(text.ends_with("Accepted"), "{text}");
    assert_eq!(machine.config[READ_KEY], "2");
    machine.config[READ_KEY] = "1".into();
    run(&mut machine, work, None);
    assert_eq!(machine.config[READ_KEY], "0", "normal where nothing is known");
}

#[test]
fn a_write_that_is_not_answered_is_read_back() {
    let mut machine = Played { busy_after_write: 2, ..played(Habit::Slow) };
    insta::assert_snapshot!(sleep(&mut machine), @"
    > GET /cgi-bin/get_miner_conf.cgi
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    > POST /cgi-bin/set_miner_conf.cgi (digest)
    verify in 15 s
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    verify in 10 s
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    verify in 10 s
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    Accepted
    ");
    assert_eq!(machine.writes.len(), 1, "nothing is told twice for nothing");
    let mut mute = Played { busy_after_write: 99, ..played(Habit::Slow) };
    let text = sleep(&mut mute);
    assert!(text.ends_with("Unconfirmed"), "only watts can say: {text}");
    assert_eq!(mute.writes.len(), 1);
}

#[test]
fn a_firmware_that_wants_its_own_shape_gets_it() {
    let mut machine = played(Habit::AsRead);
    insta::assert_snapshot!(sleep(&mut machine), @"
    > GET /cgi-bin/get_miner_conf.cgi
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    > POST /cgi-bin/set_miner_conf.cgi (digest)
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    > POST /cgi-bin/set_miner_conf.cgi (digest)
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    Accepted
    ");
    let mut expected = played(Habit::AsRead).config;
    expected[READ_KEY] = "1".into();
    assert_eq!(machine.writes[1], expected, "the very shape it was read in");
    assert!(sleep(&mut played(Habit::Read)).ends_with("Accepted"));
}

#[test]
fn a_success_that_changed_nothing_is_no_success() {
    let text = sleep(&mut played(Habit::Lies));
    let last = text.lines().last().unwrap();
    insta::assert_snapshot!(last, @r#"Refused("it was written twice and its mode is as it was")"#);
    let text = sleep(&mut played(Habit::Refuses));
    let last = text.lines().last().unwrap();
    insta::assert_snapshot!(last, @r#"Refused("it refused its configuration: Illegal (M001)")"#);
}

#[test]
fn nothing_is_written_that_was_not_read_with_pools_in_it() {
    let check = |edit: fn(&mut Played)| {
        let mut machine = played(Habit::Write);
        edit(&mut machine);
        let text = sleep(&mut machine);
        assert!(machine.writes.is_empty(), "{text}");
        text.lines().last().unwrap().to_owned()
    };
    insta::assert_snapshot!(
        check(|m| m.config["pools"] = json!([])),
        @r#"Refused("its configuration names no pool, and writing it would make that so")"#
    );
    check(|m| m.config["pools"] = json!([{"url": " ", "user": "", "pass": ""}]));
    check(|m| m.config = json!([]));
    insta::assert_snapshot!(
        check(|m| {
            m.config.as_object_mut().unwrap().remove(READ_KEY);
        }),
        @r#"Refused("its configuration names no mode")"#
    );
    insta::assert_snapshot!(
        check(|m| m.busy = 1),
        @r#"Refused("failed to be answered: the web server says 500 \"Internal Server Error\"")"#
    );
    insta::assert_snapshot!(
        check(|m| m.password = "hunter3"),
        @r#"Refused("it does not take this name and password")"#
    );
    let mut dead = family("hunter1").begin(Want::Do(Goal::Sleep), None);
    let text = play(&mut *dead, &mut BEGIN.clone(), shown, |_, _| Err(Failure::Connect));
    assert!(text.ends_with("Lost(Connect)"), "host down is never stopped: {text}");
}

#[test]
fn a_configuration_that_was_cut_off_is_never_written_nor_kept() {
    let length = played(Habit::Write).config.to_string().len();
    for cut in 0..length {
        let mut machine = Played { cut: Some(cut), ..played(Habit::Write) };
        let text = sleep(&mut machine);
        assert!(machine.writes.is_empty() && text.contains("is not whole"), "{cut}: {text}");
        let (_, keep) = run(&mut machine, Want::Mode, None);
        let Some(Keep::Antminer(kept)) = &keep else { panic!("{keep:?}") };
        assert!(kept.golden().is_none(), "{cut}");
    }
    // Without a length, and whole.
    let mut machine = Played { cut: Some(usize::MAX), ..played(Habit::Write) };
    assert!(sleep(&mut machine).ends_with("Accepted") && machine.writes.len() == 1);
}

#[test]
fn pools_that_a_write_lost_are_written_back() {
    let mut machine = played(Habit::Wipes);
    insta::assert_snapshot!(sleep(&mut machine), @"
    > GET /cgi-bin/get_miner_conf.cgi
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    > POST /cgi-bin/set_miner_conf.cgi (digest)
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    > POST /cgi-bin/set_miner_conf.cgi (digest)
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    Accepted
    ");
    assert_eq!(machine.config["pools"], played(Habit::Wipes).config["pools"]);
    assert_eq!(machine.config[READ_KEY], "1");
}

#[test]
fn a_copy_with_pools_is_kept_and_never_shown() {
    let mut machine = played(Habit::Write);
    let (text, keep) = run(&mut machine, Want::Mode, None);
    insta::assert_snapshot!(text, @"
    > GET /cgi-bin/get_miner_conf.cgi
    > GET /cgi-bin/get_miner_conf.cgi (digest)
    read declared: Some(Awake), setting: Some(Default)
    ");
    assert!(!format!("{keep:?}").contains("hunter"), "{keep:?}");
    let Some(Keep::Antminer(kept)) = &keep else { panic!("{keep:?}") };
    assert!(kept.golden().unwrap().contains("pool.example"));
    machine.config["pools"] = json!([]);
    let (text, keep) = run(&mut machine, Want::Do(Goal::Sleep), keep);
    assert!(text.contains("a copy with pools is kept"), "{text}");
    let Some(Keep::Antminer(kept)) = &keep else { panic!("{keep:?}") };
    assert!(kept.golden().is_some(), "and stays");
}

#[test]
fn watts_are_told_by_some_and_unknown_is_not_off() {
    let mut machine = played(Habit::Write);
    insta::assert_snapshot!(run(&mut machine, Want::Watts, None).0, @r#"
    > {"command":"stats","new_api":true}
    read watts: Some(Watts { power: Power(3150), psu: false})
    "#);
    machine.stats = Some(json!({"STATUS": [], "STATS": [{"rate_5s": 101.2}]}));
    let (text, _) = run(&mut machine, Want::Watts, None);
    assert!(text.contains("read nothing"), "{text}");
    // Asleep it may close that port; the web server still says that it is there.
    machine.stats = None;
    let (text, _) = run(&mut machine, Want::Watts, None);
    assert!(text.contains("> GET /cgi-bin/stats.cgi (digest)\nread nothing"), "{text}");
    for (value, watts) in [
        (json!(3010), Some(3010)),
        (json!("3010.6 W"), Some(3011)),
        (json!("inf"), None),
        (json!(-4), None),
        (json!({}), None),
    ] {
        assert_eq!(watts_of(&value), watts, "{value}");
    }
}

#[test]
fn modes_and_models_are_read() {
    let mode_of = |config: Value| mode(&config).map(mode_reading);
    let awake = Some(Declared::Awake);
    for (mode, declared) in
        [(0, awake), (1, Some(Declared::Asleep)), (2, awake), (3, awake), (9, None)]
    {
        assert_eq!(mode_of(json!({READ_KEY: mode})).unwrap().declared, declared, "{mode}");
        assert_eq!(mode_of(json!({WRITE_KEY: mode.to_string()})).unwrap().declared, declared);
    }
    assert_eq!(mode_of(json!({})), None);
    let (text, _) = run(&mut played(Habit::Write), Want::Identify, None);
    insta::assert_snapshot!(text.lines().last().unwrap(), @r#"read identity: Some(Identity { make: "Antminer", model: "S19j Pro", firmware: "stock Dec 2022", rated: None})"#);
}

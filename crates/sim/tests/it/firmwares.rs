//! The real drivers against machines of every firmware, in virtual time: a whole site sleeps,
//! wakes and is trimmed, and the true meter says so.

use crate::{WALL, at};
use headgate_core::event::{Act, Event, OperatorAct};
use headgate_core::fleet::{MachineId, TargetPhase};
use headgate_core::site::{MeterKind, MeterSpec};
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Price};
use headgate_drivers::digest::Challenge;
use headgate_drivers::family::{DriverOptions, Goal, Reading, Talk, Turn, Want, family};
use headgate_drivers::secret::{Credentials, Secret};
use headgate_drivers::whatsminer::{crypt, v3};
use headgate_drivers::{Counts, Port, http, shell};
use headgate_sim::ApiAnswer;
use headgate_sim::farm::Farm;
use headgate_sim::firmware::{Call, Firmware};
use headgate_sim::models::model;
use headgate_sim::serve::{FarmServer, SimClock, WallClock};
use headgate_sim::spec::{CohortSpec, FarmSpec, FaultShares};
use headgate_sim::world::testing::{day_events, site_of};
use headgate_sim::world::{Feeder, World, WorldOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

const HASHPRICE: Money = Money(45_000_000);
const MACHINES: u32 = 40;

/// 5 % say nothing, 5 % say yes and keep drawing, from just before they are told to sleep.
fn faults() -> FaultShares {
    let from = Some(crate::START + Span::seconds(15 * 60 + 15));
    FaultShares { mute_ppm: 50_000, lying_ppm: 50_000, from, ..FaultShares::default() }
}

/// Cheap, then dear beyond all use, then cheap again, then between the worths of two levels.
fn price(run: i64, between: i64) -> Price {
    Price(
        1_000_000
            * match run {
                0..3 => 20,
                3..6 => 9_000,
                6..12 => 20,
                _ => between,
            },
    )
}

fn farm(firmware: Firmware, key: &str, faults: FaultShares, down: Span) -> FarmSpec {
    let mut cohort =
        CohortSpec::new(model(key).expect("the model is known"), MACHINES).running(firmware);
    cohort.times.down = down;
    let mut spec = FarmSpec::new(crate::START, vec![cohort], 11);
    spec.faults = faults;
    spec
}

/// Lives through a day's start and says what the true meter showed, what the drivers made of the
/// machines while these were to sleep, and how commands ended.
fn live(spec: &FarmSpec, between: i64) -> String {
    let start = crate::START;
    let mut options = WorldOptions::new(start, 3);
    options.jitter = Span::millis(15);
    let events = day_events(start, HASHPRICE, |run| price(run, between));
    let farm = Farm::new(spec).expect("the farm's spec is whole");
    let mut world = World::new(site_of(spec), farm, options, events).expect("both of one size");
    let mut phases = BTreeMap::new();
    let mut text = String::new();
    let moments = [("full", 14), ("asleep", 29), ("back", 59), ("trimmed", 89)];
    let mut full = 0;
    for (name, minute) in moments {
        world.advance(at(60 * minute), &mut |stamped, _| {
            if let Event::Telemetry(batch) = &stamped.event {
                for report in &batch.machines {
                    phases.insert(report.machine, report.phase);
                }
            }
        });
        let watts = world.meter().machine_power.0;
        full = if name == "full" { watts } else { full };
        let mut count: BTreeMap<TargetPhase, usize> = BTreeMap::new();
        for phase in phases.values() {
            *count.entry(*phase).or_default() += 1;
        }
        let count: Vec<String> = count.iter().map(|(p, n)| format!("{n} {p:?}")).collect();
        let percent = watts * 100 / full;
        writeln!(text, "{name}: {percent} %, {}", count.join(", ")).expect("a text takes all");
    }
    let counts = world.finish().counts;
    let Counts { commands, acked, refused, timed_out, unconfirmed, confirmed, .. } = counts;
    write!(text, "{commands} commands: {acked} acked, {refused} refused, {timed_out} timed out, ")
        .expect("a text takes all");
    write!(text, "{unconfirmed} unconfirmed; {confirmed} confirmed").expect("a text takes all");
    text
}

#[test]
fn whatsminers_of_v2_sleep_wake_and_are_trimmed() {
    let spec = |faults| farm(Firmware::Whatsminer2, "m60s", faults, Span::seconds(8));
    insta::assert_snapshot!(live(&spec(FaultShares::default()), 85), @"
    full: 100 %, 40 Confirmed
    asleep: 0 %, 40 Confirmed
    back: 100 %, 40 Confirmed
    trimmed: 72 %, 40 Confirmed
    120 commands: 120 acked, 0 refused, 0 timed out, 0 unconfirmed; 120 confirmed
    ");
    insta::assert_snapshot!(live(&spec(faults()), 85), @"
    full: 100 %, 40 Confirmed
    asleep: 10 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    back: 100 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    trimmed: 74 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    118 commands: 116 acked, 0 refused, 2 timed out, 0 unconfirmed; 108 confirmed
    ");
}

#[test]
fn sixty_percent_of_a_farm_of_six_firmwares_are_down_in_a_minute() {
    let parts = Firmware::ALL.map(|f| (f, if f == Firmware::Antminer { 1 } else { 2 }));
    let mut spec = FarmSpec::of_firmwares(crate::START, 330, 5, &parts);
    let (begin, asked) = (crate::START + Span::minutes(20), at(20 * 60 + 1));
    let (mute_ppm, lying_ppm, dead_ppm, from) = (50_000, 30_000, 20_000, Some(begin));
    spec.faults = FaultShares { mute_ppm, lying_ppm, dead_ppm, from, ..FaultShares::default() };
    let mut farm = Farm::new(&spec).unwrap();
    let shed = farm.meter(crate::START).power.scaled(600_000);
    let act = Act::Curtail { shed, by: asked + Span::minutes(1) };
    let curtail = OperatorAct { actor: "desk".into(), reason: "test".into(), act };
    let mut events = day_events(crate::START, HASHPRICE, |_| Price(20_000_000));
    events.push((asked, Event::Operator(curtail)));
    events.sort_by_key(|(at, _)| *at);
    let mut options = WorldOptions::new(crate::START, 5);
    options.feeder = Some(Feeder { every: Span::seconds(1), noise_ppm: 2_000 });
    let mut site = site_of(&spec);
    let (name, kind, stale_after) = ("feeder".into(), MeterKind::Reported, Span::seconds(5));
    site.meters = vec![MeterSpec { name, kind, stale_after }];
    let mut world = World::new(site, farm, options, events).unwrap();
    world.advance(asked, &mut |_, _| {});
    let before = world.meter().power;
    let mut down = None;
    for tick in 1..=240 {
        world.advance(asked + Span::millis(250 * tick), &mut |_, _| {});
        if down.is_none() && world.meter().power <= before - shed {
            down = Some(Span::millis(250 * tick));
        }
    }
    let down = down.expect("it is down by the deadline");
    assert!(down <= Span::minutes(1), "{down:?}");
    insta::assert_snapshot!(format!("{} ms", down.0 / 1_000_000), @"
    12750 ms
    ");
}

#[test]
fn braiins_takes_a_bare_token_and_a_target_in_range() {
    let spec = farm(Firmware::Braiins, "s19xp", FaultShares::default(), Span::seconds(8));
    let mut farm = Farm::new(&spec).unwrap();
    let mut web = |wall: Time, line: &str, token: Option<&str>, body: Option<&Value>| {
        let (method, path) = line.split_once(' ').unwrap();
        let header = token.map(|t| format!("Authorization: {t}"));
        let body = body.map(Value::to_string);
        let body = body.as_ref().map(String::as_bytes);
        let bytes = http::request(method, path, header.as_deref().as_slice(), body);
        let call = Call { port: Port::Main, peer: Ipv4Addr::LOCALHOST, bytes: &bytes };
        let (status, body, _) = body_of(farm.call(MachineId(0), at(1), wall, call));
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (login, target) = ("POST /api/v1/auth/login", "PUT /api/v1/performance/power-target");
    let pause = "PUT /api/v1/actions/pause";
    let wrong = json!({"username": "root", "password": "toor"});
    assert_eq!(web(WALL, login, None, Some(&wrong)).0, 401);
    let right = json!({"username": "root", "password": "root"});
    let (status, reply) = web(WALL, login, None, Some(&right));
    let token = reply["token"].as_str().unwrap();
    assert_eq!((status, web(WALL, pause, None, None).0), (200, 401));
    assert_eq!(web(WALL, pause, Some(&format!("Bearer {token}")), None).0, 401);
    assert_eq!(web(WALL, pause, Some(token), None).1, json!({"already_paused": false}));
    let later = WALL + Span::minutes(59);
    assert_eq!(web(later, pause, Some(token), None).1, json!({"already_paused": true}));
    let later = later + Span::minutes(59);
    assert_eq!(web(later, target, Some(token), Some(&json!({"watt": 100}))).0, 400);
    assert_eq!(web(later, target, Some(token), Some(&json!({"watt": 2000}))).0, 200);
    assert_eq!(web(later + Span::hours(1), pause, Some(token), None).0, 401, "it is too old");
}

#[test]
fn a_whatsminer_of_v3_wants_a_signature_of_now() {
    let spec = farm(Firmware::Whatsminer3, "m60s", FaultShares::default(), Span::seconds(8));
    let mut farm = Farm::new(&spec).unwrap();
    let mut ask = |request: Value| {
        let body = request.to_string();
        let mut bytes = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(body.as_bytes());
        let call = Call { port: Port::Main, peer: Ipv4Addr::LOCALHOST, bytes: &bytes };
        let ApiAnswer::Reply(reply) = farm.call(MachineId(0), at(1), WALL, call) else {
            panic!("it answers")
        };
        let (length, body) = reply.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_le_bytes(*length) as usize, body.len());
        serde_json::from_slice::<Value>(body).unwrap()
    };
    let info = ask(json!({"cmd": "get.device.info", "param": "salt"}));
    let salt = info["msg"]["salt"].as_str().unwrap().to_owned();
    let seconds = WALL.0 / headgate_core::time::SECOND;
    let mut write = |cmd: &str, param: Value, password: &str, ts: i64| {
        let token = v3::token(cmd, &Secret::new(password), &salt, ts);
        let request = json!({"cmd": cmd, "param": param, "ts": ts, "account": "super",
            "token": token});
        ask(request)["code"].as_i64().unwrap()
    };
    let (service, percent) = ("set.miner.service", "set.miner.power_percent");
    assert_eq!(write(service, json!("stop"), "other", seconds), -4);
    assert_eq!(write(service, json!("stop"), "super", seconds - 61), -4, "it is too old");
    assert_eq!(write(percent, json!({"percent": 80}), "super", seconds), -1, "not a text");
    assert_eq!(write(percent, json!({"percent": "80"}), "super", seconds), 0);
    assert_eq!(write(service, json!("dance"), "super", seconds), -2);
    assert_eq!(write(service, json!("stop"), "super", seconds + 60), 0);
    assert_eq!(write(percent, json!({"percent": "80"}), "super", seconds), -1, "it is off");
    // The older API is still there, beside it.
    let bytes = br#"{"cmd":"status"}"#;
    let call = Call { port: Port::Aux, peer: Ipv4Addr::LOCALHOST, bytes };
    let ApiAnswer::Reply(reply) = farm.call(MachineId(0), at(1), WALL, call) else {
        panic!("it answers")
    };
    assert!(String::from_utf8(reply).unwrap().contains(r#""mineroff":"true""#));
}

#[test]
fn an_avalon_switches_at_the_moment_it_is_told() {
    let spec = farm(Firmware::Avalon, "a1346", FaultShares::default(), Span::seconds(8));
    let mut farm = Farm::new(&spec).unwrap();
    let now = at(0);
    let seconds = now.0 / headgate_core::time::SECOND;
    let set = |farm: &mut Farm, word: &str, ahead: i64| {
        let parameter = format!("0,{word},1:{}", seconds + ahead);
        let bytes = json!({"command": "ascset", "parameter": parameter}).to_string();
        let call = Call { port: Port::Main, peer: Ipv4Addr::LOCALHOST, bytes: bytes.as_bytes() };
        match farm.call(MachineId(0), now, now, call) {
            ApiAnswer::Reply(bytes) => {
                let text = String::from_utf8(bytes).unwrap();
                let reply: Value = serde_json::from_str(text.trim_end_matches('\0')).unwrap();
                reply["STATUS"][0]["Msg"].as_str().unwrap().to_owned()
            }
            other => format!("{other:?}"),
        }
    };
    let past = set(&mut farm, "softoff", 0);
    assert!(past.contains("failed"), "{past}");
    let done = set(&mut farm, "softoff", 5);
    assert!(done.contains("success softoff"), "{done}");
    assert!(!farm.truth(MachineId(0), at(4)).asleep);
    assert!(farm.truth(MachineId(0), at(5)).asleep);
    assert_eq!(set(&mut farm, "softon", 9), "Close");
    assert!(!farm.truth(MachineId(0), at(9)).asleep);
}

/// Lets a driver's talk have its way with a machine behind a socket.
async fn talk(mut talk: Box<dyn Talk>, main: SocketAddr, aux: Option<u16>) -> Turn {
    for _ in 0..20 {
        let ask = talk.say(WallClock.now());
        let address = match ask.port {
            Port::Main => main,
            Port::Aux => SocketAddr::new(main.ip(), aux.expect("it has a second port")),
        };
        let budget = Span::seconds(10);
        let turn = match shell::trip(address, ask.framing, &ask.bytes, budget).await {
            Ok(reply) => talk.hear(WallClock.now(), &reply),
            Err(failure) => talk.lost(WallClock.now(), failure),
        };
        if turn != Turn::Say {
            return turn;
        }
    }
    panic!("it talks without an end");
}

#[tokio::test]
async fn every_firmware_is_read_and_told_through_sockets_by_its_driver() {
    for each in [false, true] {
        let parts = Firmware::ALL.map(|f| (f, 1));
        let spec = FarmSpec::of_firmwares(WallClock.now(), 6, 1, &parts);
        let farm = Arc::new(Mutex::new(Farm::new(&spec).unwrap()));
        let start = if each { FarmServer::start_each } else { FarmServer::start };
        let server = start(Arc::clone(&farm), Arc::new(WallClock), 0).unwrap();
        for (m, (firmware, address)) in (0..).zip(Firmware::ALL.into_iter().zip(server.addresses()))
        {
            let family = family(firmware.key(), &DriverOptions::default()).unwrap();
            let begin = |want| talk(family.begin(want, None), address, server.aux_port());
            let is = begin(Want::Identify).await;
            let Turn::Read(Reading { identity: Some(is), .. }) = is else { panic!("{is:?}") };
            assert!(spec.cohorts[m].model.type_name.contains(&is.model), "{is:?}");
            let watts = begin(Want::Watts).await;
            let Turn::Read(Reading { watts: Some(watts), .. }) = watts else { panic!("{watts:?}") };
            assert!((2_500..3_700).contains(&watts.power.0), "{firmware:?} {watts:?}");
            // An Antminer answers a write too late for this.
            if firmware != Firmware::Antminer {
                assert_eq!(begin(Want::Do(Goal::Sleep)).await, Turn::Accepted, "{firmware:?}");
            }
        }
    }
}

/// What a machine answers on its first port.
fn ask(farm: &mut Farm, peer: u8, wall: Time, bytes: &[u8]) -> Value {
    let call = Call { port: Port::Main, peer: Ipv4Addr::new(127, 0, 0, peer), bytes };
    match farm.call(MachineId(0), at(1), wall, call) {
        ApiAnswer::Reply(bytes) => serde_json::from_slice(&bytes).expect("a reply is JSON"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whatsminer_counts_its_tokens_and_believes_only_its_own() {
    let spec = farm(Firmware::Whatsminer2, "m60s", FaultShares::default(), Span::seconds(8));
    let mut farm = Farm::new(&spec).unwrap();
    let farm = &mut farm;
    let code = |v: &Value| v["Code"].as_i64().unwrap();
    let token = |farm: &mut Farm, peer, wall| ask(farm, peer, wall, br#"{"cmd":"get_token"}"#);
    let first = token(farm, 1, WALL);
    assert_eq!(code(&first), 134);
    let text = |key: &str| first["Msg"][key].as_str().unwrap();
    let password = Secret::new("admin");
    let pass = crypt::pass(&password, text("salt"), text("newsalt"), text("time")).unwrap();
    let sealed = |cmd: &str| {
        let sign = pass.sign.reveal();
        let write = json!({"cmd": cmd, "token": sign, "percent": "80"}).to_string();
        json!({"enc": 1, "data": crypt::encrypt(&pass.key, &write)}).to_string().into_bytes()
    };
    let opened = |reply: &Value| {
        let text = crypt::decrypt(&pass.key, reply["enc"].as_str().unwrap()).unwrap();
        code(&serde_json::from_slice(&text).unwrap())
    };
    // From another address, or half an hour later, the token is none.
    let last = WALL + Span::minutes(30) - Span::seconds(1);
    assert_eq!(code(&ask(farm, 2, WALL, &sealed("power_off"))), 135);
    assert_eq!(code(&ask(farm, 1, last + Span::seconds(1), &sealed("power_off"))), 135);
    assert!(!farm.truth(MachineId(0), at(1)).asleep);
    assert_eq!(opened(&ask(farm, 1, last, &sealed("power_off"))), 131);
    assert!(farm.truth(MachineId(0), at(1)).asleep);
    assert_eq!(opened(&ask(farm, 1, WALL, &sealed("power_off"))), 131, "twice is no error");
    assert_eq!(opened(&ask(farm, 1, WALL, &sealed("set_power_pct"))), 132, "it is off");
    assert_eq!(opened(&ask(farm, 1, WALL, &sealed("format_disk"))), 14);
    for _ in 1..32 {
        assert_eq!(code(&token(farm, 1, WALL)), 134);
    }
    assert_eq!(code(&token(farm, 1, WALL)), 136, "an address has 32");
    for peer in 2..=16 {
        assert_eq!(code(&token(farm, peer, WALL)), 134);
    }
    assert_eq!(code(&token(farm, 17, WALL)), 136, "16 addresses have some");
    assert_eq!(code(&token(farm, 17, last + Span::seconds(1))), 134, "until they are old");
    assert_eq!(code(&ask(farm, 1, WALL, b"{\"cmd\":\"summary\"}\0")), 23);
    assert_eq!(code(&ask(farm, 1, WALL, br#"{"cmd":"power_off"}"#)), 14, "not in plain");
}

#[test]
fn braiins_sleeps_wakes_and_is_trimmed() {
    let spec = |faults| farm(Firmware::Braiins, "s19xp", faults, Span::seconds(8));
    insta::assert_snapshot!(live(&spec(FaultShares::default()), 75), @"
    full: 100 %, 40 Confirmed
    asleep: 0 %, 40 Confirmed
    back: 100 %, 40 Confirmed
    trimmed: 71 %, 40 Confirmed
    120 commands: 120 acked, 0 refused, 0 timed out, 0 unconfirmed; 120 confirmed
    ");
    insta::assert_snapshot!(live(&spec(faults()), 75), @"
    full: 100 %, 40 Confirmed
    asleep: 10 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    back: 100 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    trimmed: 74 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    118 commands: 116 acked, 0 refused, 2 timed out, 0 unconfirmed; 108 confirmed
    ");
}

#[test]
fn whatsminers_of_v3_sleep_wake_and_are_trimmed() {
    let spec = |faults| farm(Firmware::Whatsminer3, "m60s", faults, Span::seconds(8));
    insta::assert_snapshot!(live(&spec(FaultShares::default()), 85), @"
    full: 100 %, 40 Confirmed
    asleep: 0 %, 40 Confirmed
    back: 100 %, 40 Confirmed
    trimmed: 72 %, 40 Confirmed
    120 commands: 120 acked, 0 refused, 0 timed out, 0 unconfirmed; 120 confirmed
    ");
    insta::assert_snapshot!(live(&spec(faults()), 85), @"
    full: 100 %, 40 Confirmed
    asleep: 10 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    back: 100 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    trimmed: 74 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    118 commands: 116 acked, 0 refused, 2 timed out, 0 unconfirmed; 108 confirmed
    ");
}

#[test]
fn avalons_sleep_and_wake() {
    let spec = |faults| farm(Firmware::Avalon, "a1346", faults, Span::seconds(8));
    insta::assert_snapshot!(live(&spec(FaultShares::default()), 20), @"
    full: 100 %, 40 Confirmed
    asleep: 0 %, 40 Confirmed
    back: 100 %, 40 Confirmed
    trimmed: 100 %, 40 Confirmed
    80 commands: 40 acked, 0 refused, 0 timed out, 40 unconfirmed; 80 confirmed
    ");
    insta::assert_snapshot!(live(&spec(faults()), 20), @"
    full: 100 %, 40 Confirmed
    asleep: 10 %, 36 Confirmed, 2 Drifted, 2 Unavailable
    back: 100 %, 38 Confirmed, 2 Unavailable
    trimmed: 100 %, 38 Confirmed, 2 Unavailable
    78 commands: 38 acked, 0 refused, 2 timed out, 38 unconfirmed; 74 confirmed
    ");
}

#[test]
fn stock_antminers_sleep_and_wake() {
    // One in eight tells no power: it counts as awake until it is told to sleep, and nothing
    // it is told is ever proven.
    // Another writes twice, and the restart between is not taken for sleep.
    let spec = |faults| farm(Firmware::Antminer, "s19jpro", faults, Span::seconds(60));
    insta::assert_snapshot!(live(&spec(FaultShares::default()), 20), @"
    full: 100 %, 5 Pending, 35 Confirmed
    asleep: 0 %, 35 Confirmed, 5 Unavailable
    back: 100 %, 35 Confirmed, 5 Unavailable
    trimmed: 100 %, 35 Confirmed, 5 Unavailable
    80 commands: 80 acked, 0 refused, 0 timed out, 0 unconfirmed; 70 confirmed
    ");
    insta::assert_snapshot!(live(&spec(faults()), 20), @"
    full: 100 %, 5 Pending, 35 Confirmed
    asleep: 10 %, 32 Confirmed, 2 Drifted, 6 Unavailable
    back: 100 %, 34 Confirmed, 6 Unavailable
    trimmed: 100 %, 34 Confirmed, 6 Unavailable
    80 commands: 76 acked, 0 refused, 4 timed out, 0 unconfirmed; 66 confirmed
    ");
}

/// One request to a web server, with a digest where a challenge is held.
fn web(farm: &mut Farm, now: Time, challenge: Option<&mut Challenge>, line: &str) -> ApiAnswer {
    let (line, body) = line.split_once('\n').unwrap_or((line, ""));
    let (method, path) = line.split_once(' ').unwrap();
    let root = Credentials::new("root", "root");
    let digest = challenge.map(|c| c.answer(&root, method, path));
    let body = (!body.is_empty()).then_some(body.as_bytes());
    let bytes = http::request(method, path, digest.as_deref().as_slice(), body);
    let call = Call { port: Port::Main, peer: Ipv4Addr::LOCALHOST, bytes: &bytes };
    farm.call(MachineId(0), now, now, call)
}

fn body_of(answer: ApiAnswer) -> (u16, String, Option<Challenge>) {
    let (ApiAnswer::Reply(bytes) | ApiAnswer::Later(bytes, _)) = answer else {
        panic!("{answer:?}")
    };
    let reply = http::Response::read(&bytes).unwrap();
    let challenge = reply.all("www-authenticate").find_map(Challenge::read);
    (reply.status, String::from_utf8(reply.body.clone()).unwrap(), challenge)
}

#[test]
fn a_stock_antminer_answers_late_and_takes_what_it_is_given() {
    const CONFIG: &str = "GET /cgi-bin/get_miner_conf.cgi";
    let spec = farm(Firmware::Antminer, "s19jpro", FaultShares::default(), Span::seconds(60));
    let mut farm = Farm::new(&spec).unwrap();
    let farm = &mut farm;
    let stats = Call {
        port: Port::Aux,
        peer: Ipv4Addr::LOCALHOST,
        bytes: br#"{"command":"stats","new_api":true}"#,
    };
    let awake = farm.call(MachineId(0), at(0), at(0), stats);
    assert!(matches!(awake, ApiAnswer::Reply(_)), "{awake:?}");
    let (status, _, challenge) = body_of(web(farm, at(1), None, CONFIG));
    let mut challenge = challenge.unwrap();
    assert_eq!(status, 401);
    let (status, body, _) = body_of(web(farm, at(2), Some(&mut challenge), CONFIG));
    let config: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &config["bitmain-work-mode"]), (200, &json!("0")));
    let mut write = |farm: &mut Farm, document: &Value| {
        let line = format!("POST /cgi-bin/set_miner_conf.cgi\n{document}");
        match web(farm, at(3), Some(&mut challenge), &line) {
            ApiAnswer::Later(bytes, takes) => {
                assert!((21..=60).contains(&takes.as_seconds()), "{takes:?}");
                assert!(String::from_utf8(bytes).unwrap().contains("M000"));
            }
            other => panic!("{other:?}"),
        }
    };
    write(farm, &json!({"pools": [], "bitmain-work-mode": 1}));
    assert!(!farm.truth(MachineId(0), at(3)).asleep, "not by the name it is read by");
    write(farm, &json!({"pools": [], "miner-mode": 1}));
    assert!(farm.truth(MachineId(0), at(3)).asleep);
    assert_eq!(farm.call(MachineId(0), at(99), at(99), stats), ApiAnswer::Refuse, "it sleeps");
    let (_, body, _) = body_of(web(farm, at(4), Some(&mut challenge), CONFIG));
    let config: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(config, json!({"pools": [], "bitmain-work-mode": "1"}), "the rest is gone");
    let late = at(1) + Span::minutes(5);
    let (status, _, mut again) = body_of(web(farm, late, Some(&mut challenge), CONFIG));
    assert_eq!(status, 401, "a challenge is good for a while");
    let (status, ..) = body_of(web(farm, late, again.as_mut(), CONFIG));
    assert_eq!(status, 200);
}

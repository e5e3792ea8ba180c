//! What machines answer, byte for byte.

use crate::{WALL, ask, at, logon, spec};
use headgate_core::fleet::MachineId;
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;
use headgate_sim::farm::Farm;
use headgate_sim::machine::Fault;
use headgate_sim::spec::Happening;
use headgate_sim::{ApiAnswer, SESSION_LIFE};

/// A reply in lines short enough to read, broken after commas. What is the same in all is left out.
fn fold(reply: &str) -> String {
    const LINE: usize = 88;
    let reply = reply.replace(r#""Description":"LUXminer 2025.4.8.220305-57b389c7","#, "");
    let reply = reply.replace(r#","When":1760242394"#, "");
    let (mut text, mut line) = (String::new(), 0);
    for part in reply.split_inclusive(',') {
        if line + part.len() > LINE {
            text.push('\n');
            line = 0;
        }
        text.push_str(part);
        line += part.len();
    }
    text
}

/// Requests to one machine of a fresh farm, each a second after the last, and the replies.
fn check(requests: &[&str]) -> String {
    let mut farm = Farm::new(&spec(3)).unwrap();
    let (mut text, mut session) = (String::new(), String::new());
    for (second, request) in (1i64..).zip(requests) {
        let request = request.replace("SID", &session);
        let reply = ask(&mut farm, 1, at(second), WALL, &request);
        if let Some((_, rest)) = reply.split_once(r#""SessionID":""#) {
            session = rest.split('"').next().unwrap().to_owned();
        }
        let request = request.replace('\n', "\\n").replace('\0', "\\0");
        text += &format!("> {request}\n{}\n", fold(&reply));
    }
    if session.is_empty() { text } else { text.replace(&session, "SID") }
}

#[test]
fn a_dispatch_goes_as_on_the_real_thing() {
    insta::assert_snapshot!(check(&[
        r#"{"command":"session"}"#,
        r#"{"command":"logon"}"#,
        r#"{"command":"curtail","parameter":"SID,sleep"}"#,
        r#"{"command":"curtail","parameter":"SID,sleep"}"#,
        r#"{"command":"curtail","parameter":"SID,wakeup"}"#,
        r#"{"command":"curtail","parameter":"SID,wakeup,mode=unsafe"}"#,
        "curtail|SID,sleep",
        r#"{"command":"curtail","parameter":"SID,nap"}"#,
        r#"{"command":"logoff","parameter":"SID"}"#,
        r#"{"command":"curtail","parameter":"SID,wakeup"}"#,
    ]), @r#"
> {"command":"session"}
{"SESSION":[{"SessionID":""}],"STATUS":[{"Code":319,"Msg":"Session information",
"STATUS":"S"}],"id":1}
> {"command":"logon"}
{"SESSION":[{"SessionID":"SID"}],"STATUS":[{"Code":316,"Msg":"Session created",
"STATUS":"S"}],"id":1}
> {"command":"curtail","parameter":"SID,sleep"}
{"CURTAIL":[{"Action":"sleep mode"}],"STATUS":[{"Code":335,
"Msg":"Curtailment command sent","STATUS":"S"}],"id":1}
> {"command":"curtail","parameter":"SID,sleep"}
{"STATUS":[{"Code":433,"Msg":"Miner is already in sleep mode","STATUS":"E"}],"id":1}
> {"command":"curtail","parameter":"SID,wakeup"}
{"CURTAIL":[{"Action":"wake up"}],"STATUS":[{"Code":335,
"Msg":"Curtailment command sent","STATUS":"S"}],"id":1}
> {"command":"curtail","parameter":"SID,wakeup,mode=unsafe"}
{"STATUS":[{"Code":433,"Msg":"Miner is already active","STATUS":"E"}],"id":1}
> curtail|SID,sleep
{"CURTAIL":[{"Action":"sleep mode"}],"STATUS":[{"Code":335,
"Msg":"Curtailment command sent","STATUS":"S"}],"id":1}
> {"command":"curtail","parameter":"SID,nap"}
{"STATUS":[{"Code":401,"Msg":"Invalid parameter for curtail","STATUS":"E"}],"id":1}
> {"command":"logoff","parameter":"SID"}
{"STATUS":[{"Code":317,"Msg":"Session terminated","STATUS":"S"}],"id":1}
> {"command":"curtail","parameter":"SID,wakeup"}
{"STATUS":[{"Code":403,"Msg":"Invalid session ID","STATUS":"E"}],"id":1}
"#);
}

#[test]
fn reads_have_the_fields_clients_look_for() {
    insta::assert_snapshot!(check(&[
        "{\"command\":\"version\"}\n",
        r#"{"command": "power"}"#,
        r#"{"command":"config"}"#,
        r#"{"command":"summary"}"#,
        r#"{"command":"atm"}"#,
        r#"{"command":"limits"}"#,
        r#"{"command":"privileged"}"#,
        r#"{"command":"check","parameter":"curtail"}"#,
    ]), @r#"
> {"command":"version"}\n
{"STATUS":[{"Code":22,"Msg":"LUXminer versions","STATUS":"S"}],"VERSION":[{"API":"3.7",
"CompileTime":"Tue Apr  8 22:05:35 UTC 2025","LUXminer":"2025.4.8.220305-57b389c7",
"Miner":"2025.4.8.220305","Type":"Antminer S19k Pro"}],"id":1}
> {"command": "power"}
{"POWER":[{"PSU":false,"Watts":2893}],"STATUS":[{"Code":311,"Msg":"Power usage",
"STATUS":"S"}],"id":1}
> {"command":"config"}
{"CONFIG":[{"ASC Count":3,"BcastAddr":"127.255.255.255","ControlBoardType":"cvitek",
"Cooling":"Air","CurtailMode":"None","DHCP":true,"DNS Servers":"","Device Code":"",
"FPGABuildIdHex":"0x18351835","FPGABuildIdStr":"2018-35-18 35:00","FeeStatus":"Ok",
"Gateway":"127.0.0.1","GreenLed":"auto","Hostname":"farm-1","Hotplug":"None",
"IPAddr":"127.1.0.2","ImmersionMode":false,"IsAtmEnabled":true,"IsPowerSupplyOn":true,
"IsSingleVoltage":true,"IsTuning":false,"Log Interval":0,"LogFileLevel":"info",
"MACAddr":"02:68:00:00:00:01","Model":"Antminer S19k Pro","NameplateTHS":121.8,
"Netmask":"255.0.0.0","OS":"LuxOS","PGA Count":0,"PSUHwVersion":"75",
"PSULabel":"APW121215e","Pool Count":1,"Profile":"default","ProfileStep":"0",
"RedLed":"auto","SerialNumber":"SIM00000000000001","Strategy":"Failover",
"SystemStatus":"Normal","UpdateOnStartup":"off","UpdateOnTimeout":"off",
"UpdateOnUser":"full","UpdateSource":"","UpdateTimeout":60}],"STATUS":[{"Code":33,
"Msg":"LUXminer config","STATUS":"S"}],"id":1}
> {"command":"summary"}
{"STATUS":[{"Code":11,"Msg":"Summary","STATUS":"S"}],"SUMMARY":[{"Accepted":0,
"Best Share":32768,"Device Hardware%":0.0,"Device Rejected%":0.0,
"Difficulty Accepted":0,"Difficulty Rejected":0,"Difficulty Stale":0,"Discarded":0,
"Elapsed":4,"Found Blocks":0,"GHS 15m":121008.00,"GHS 1m":121008.00,"GHS 30m":121008.00,
"GHS 5m":121008.00,"GHS 5s":121008.00,"GHS av":121008.00,"Get Failures":0,"Getworks":0,
"Hardware Errors":0,"Local Work":0,"Network Blocks":0,"Pool Rejected%":0.0,
"Pool Stale%":0.0,"Rejected":0,"Remote Failures":0,"Stale":0,"Total MH":121008.000,
"Utility":8.57,"Work Utility":11.5}],"id":1}
> {"command":"atm"}
{"ATM":[{"Enabled":true,"MaxProfile":"","MinProfile":"","PostRampMinutes":10,
"StartupMinutes":10,"TempWindow":5}],"STATUS":[{"Code":339,
"Msg":"ATM configuration values","STATUS":"S"}],"id":1}
> {"command":"limits"}
{"LIMITS":[{"FanSpeedMax":100,"FanSpeedMin":0,"FrequencyDefault":590,"FrequencyMax":790,
"FrequencyMin":190,"FrequencyStepDefault":5,"FrequencyStepMax":100,"FrequencyStepMin":1,
"VoltageDefault":13.50,"VoltageMax":14.70,"VoltageMin":11.88,"VoltageStepDefault":0.05,
"VoltageStepMax":1.00,"VoltageStepMin":0.01}],"STATUS":[{"Code":329,"Msg":"Limits",
"STATUS":"S"}],"id":1}
> {"command":"privileged"}
{"STATUS":[{"Code":46,"Msg":"Privileged access OK","STATUS":"S"}],"id":1}
> {"command":"check","parameter":"curtail"}
{"CHECK":[{"Access":"Y","Exists":"Y"}],"STATUS":[{"Code":72,"Msg":"Check command",
"STATUS":"S"}],"id":1}
"#);
}

#[test]
fn wrong_requests_get_the_codes_of_the_real_thing() {
    insta::assert_snapshot!(check(&[
        r#"{"command":"fly"}"#,
        r#"{"command":"#,
        "{\"command\":\"version\"}\0",
        r#"{"parameter":"x"}"#,
        r#"{"command":"curtail","parameter":"sleep"}"#,
        r#"{"command":"voltageget","parameter":"9"}"#,
        "summary+",
        r#"{"command":"power+logoff+power"}"#,
    ]), @r#"
> {"command":"fly"}
{"STATUS":[{"Code":14,"Msg":"Invalid command","STATUS":"E"}],"id":1}
> {"command":
{"STATUS":[{"Code":23,"Msg":"Invalid JSON","STATUS":"E"}],"id":1}
> {"command":"version"}\0
{"STATUS":[{"Code":23,"Msg":"Invalid JSON","STATUS":"E"}],"id":1}
> {"parameter":"x"}
{"STATUS":[{"Code":24,"Msg":"Missing JSON 'command'","STATUS":"E"}],"id":1}
> {"command":"curtail","parameter":"sleep"}
{"STATUS":[{"Code":403,"Msg":"Invalid session ID","STATUS":"E"}],"id":1}
> {"command":"voltageget","parameter":"9"}
{"STATUS":[{"Code":107,"Msg":"Invalid ASC id 9 - range is 0 - 2","STATUS":"E"}],"id":1}
> summary+
{"summary":[{"STATUS":[{"Code":11,"Msg":"Summary","STATUS":"S"}],
"SUMMARY":[{"Accepted":1,"Best Share":32768,"Device Hardware%":0.0,
"Device Rejected%":0.0,"Difficulty Accepted":32768,"Difficulty Rejected":0,
"Difficulty Stale":0,"Discarded":0,"Elapsed":7,"Found Blocks":0,"GHS 15m":121008.00,
"GHS 1m":121008.00,"GHS 30m":121008.00,"GHS 5m":121008.00,"GHS 5s":121008.00,
"GHS av":121008.00,"Get Failures":0,"Getworks":1,"Hardware Errors":0,"Local Work":0,
"Network Blocks":0,"Pool Rejected%":0.0,"Pool Stale%":0.0,"Rejected":0,
"Remote Failures":0,"Stale":0,"Total MH":121008.000,"Utility":8.57,
"Work Utility":11.5}]}],"id":1}
> {"command":"power+logoff+power"}
{"power":[{"POWER":[{"PSU":false,"Watts":2893}],"STATUS":[{"Code":311,
"Msg":"Power usage","STATUS":"S"}]}],"logoff":[{"STATUS":[{"Code":45,
"Msg":"Access denied to 'logoff' command","STATUS":"E"}]}],"id":1}
"#);
}

#[test]
fn profiles_are_chosen_by_name_power_rate_and_place() {
    let mut farm = Farm::new(&spec(1)).unwrap();
    let session = logon(&mut farm, 0, at(0), WALL);
    let mut text = String::new();
    let wanted =
        ["490MHz", "2500W", "2.5kW", "100THs", "-16", "+8", "0,default", "1", "9GHz", "", "-17"];
    for (second, wanted) in (1i64..).zip(wanted) {
        let request = format!(r#"{{"command":"profileset","parameter":"{session},{wanted}"}}"#);
        let reply = ask(&mut farm, 0, at(second * 1000), WALL, &request);
        let value: serde_json::Value = serde_json::from_str(&reply).unwrap();
        let (status, chosen) = (&value["STATUS"][0], &value["PROFILE"][0]["Profile"]);
        let watts = farm.truth(MachineId(0), at(second * 1000 + 900)).power.0;
        text +=
            &format!("{wanted} -> {} {} {chosen} {watts} W\n", status["STATUS"], status["Code"]);
    }
    insta::assert_snapshot!(text, @r#"
490MHz -> "S" 321 "490MHz" 2188 W
2500W -> "S" 321 "540MHz" 2480 W
2.5kW -> "S" 321 "540MHz" 2480 W
100THs -> "S" 321 "490MHz" 2188 W
-16 -> "S" 321 "190MHz" 782 W
+8 -> "S" 321 "790MHz" 4187 W
0,default -> "S" 321 "default" 2789 W
1 -> "E" 410 null 2789 W
9GHz -> "E" 410 null 2789 W
 -> "E" 410 null 2789 W
-17 -> "E" 410 null 2789 W
"#);
}

#[test]
fn every_reply_says_who_speaks_and_when() {
    let mut farm = Farm::new(&spec(1)).unwrap();
    let reply = ask(&mut farm, 0, at(1), WALL, "privileged");
    insta::assert_snapshot!(reply.replace(",\"Msg", ",\n\"Msg"), @r#"
{"STATUS":[{"Code":46,"Description":"LUXminer 2025.4.8.220305-57b389c7",
"Msg":"Privileged access OK","STATUS":"S","When":1760242394}],"id":1}
"#);
}

#[test]
fn one_session_at_a_time_and_it_ages_in_wall_time() {
    let mut farm = Farm::new(&spec(2)).unwrap();
    let code = |farm: &mut Farm, machine: u32, wall: Time, request: &str| {
        // Simulated time runs a thousand times faster here, and must not age a session.
        let now = at(wall.since(WALL).as_seconds() * 1000);
        let reply = ask(farm, machine, now, wall, request);
        let value: serde_json::Value = serde_json::from_str(&reply).unwrap();
        value["STATUS"][0]["Code"].as_i64().unwrap()
    };
    let logon_request = r#"{"command":"logon"}"#;
    let first = logon(&mut farm, 0, at(0), WALL);
    let just = Span(SESSION_LIFE.0 - 1);
    assert_eq!(code(&mut farm, 0, WALL + just, logon_request), 402);
    assert_eq!(code(&mut farm, 1, WALL + just, logon_request), 316, "another machine is free");
    let sleep = format!(r#"{{"command":"curtail","parameter":"{first},sleep"}}"#);
    assert_eq!(code(&mut farm, 0, WALL + just, &sleep), 335, "using it refreshes it");
    assert_eq!(code(&mut farm, 0, WALL + just + just, logon_request), 402);
    let later = WALL + just + SESSION_LIFE;
    assert_eq!(code(&mut farm, 0, later, &sleep), 403, "an expired session writes nothing");
    assert_eq!(code(&mut farm, 0, later, logon_request), 316);
    assert_eq!(code(&mut farm, 0, later, &sleep), 403, "nor does an old one");
}

#[test]
fn the_reported_power_is_off_by_the_machines_own_bias() {
    let mut farm = Farm::new(&spec(200)).unwrap();
    let mut off: Vec<i64> = Vec::new();
    for id in 0..200 {
        let reply = ask(&mut farm, id, at(1), WALL, r#"{"command":"power"}"#);
        let value: serde_json::Value = serde_json::from_str(&reply).unwrap();
        let said = value["POWER"][0]["Watts"].as_i64().unwrap();
        let truth = farm.truth(MachineId(id), at(1));
        assert_eq!(said, truth.reported.0);
        off.push((said - truth.power.0) * 1000 / truth.power.0);
    }
    let (least, most) = (off.iter().min().unwrap(), off.iter().max().unwrap());
    assert!((-50..-25).contains(least) && (25..=50).contains(most), "{least} {most}");
}

#[test]
fn faulty_machines_answer_like_faulty_machines() {
    let mut farm = Farm::new(&spec(4)).unwrap();
    for (id, fault) in [Fault::Dead, Fault::Mute, Fault::Html, Fault::Lying].iter().enumerate() {
        let m = MachineId(u32::try_from(id).unwrap());
        farm.schedule(at(0), Happening::FaultBegins(m, *fault));
    }
    let power = br#"{"command":"power"}"#;
    assert_eq!(farm.handle(MachineId(0), at(1), WALL, power), ApiAnswer::Refuse);
    assert_eq!(farm.handle(MachineId(1), at(1), WALL, power), ApiAnswer::Never);
    assert!(ask(&mut farm, 2, at(1), WALL, r#"{"command":"power"}"#).contains("<html>"));
    let session = logon(&mut farm, 3, at(1), WALL);
    let sleep = format!(r#"{{"command":"curtail","parameter":"{session},sleep"}}"#);
    assert!(ask(&mut farm, 3, at(2), WALL, &sleep).contains("Curtailment command sent"));
    let config = ask(&mut farm, 3, at(100), WALL, r#"{"command":"config"}"#);
    assert!(config.contains(r#""CurtailMode":"Sleep""#));
    assert!(farm.truth(MachineId(3), at(100)).power > Power(2500));
    assert_eq!(farm.handle(MachineId(3), at(100), WALL, b""), ApiAnswer::Close);
}

#[test]
fn every_reply_is_json_and_ends_in_one_nul() {
    let mut farm = Farm::new(&spec(1)).unwrap();
    let commands = [
        "version",
        "summary",
        "devs",
        "devdetails",
        "pools",
        "groups",
        "stats",
        "config",
        "power",
        "profiles",
        "session",
        "atm",
        "limits",
        "fans",
        "temps",
        "tempctrl",
        "events",
        "asccount",
        "privileged",
        "logon",
        "version+devs+profiles",
    ];
    for command in commands.iter().copied().chain(["voltageget|0", "healthchipget|2"]) {
        let ApiAnswer::Reply(bytes) = farm.handle(MachineId(0), at(1), WALL, command.as_bytes())
        else {
            panic!("{command} has no reply");
        };
        let (nul, text) = bytes.split_last().unwrap();
        assert_eq!((*nul, text.contains(&0)), (0, false), "{command}");
        let value: serde_json::Value = serde_json::from_slice(text).expect(command);
        assert_eq!(value["id"], 1, "{command}");
        if let Some(first) = command.split_once('+').map(|(first, _)| first) {
            assert_eq!(value[first][0]["STATUS"][0]["STATUS"], "S", "{command}");
        } else {
            assert_eq!(value["STATUS"][0]["STATUS"], "S", "{command}");
        }
    }
}

//! The farm on real sockets, as a client meets it.

use crate::spec;
use headgate_core::fleet::MachineId;
use headgate_core::time::{Span, Time};
use headgate_sim::farm::Farm;
use headgate_sim::machine::Fault;
use headgate_sim::serve::{Binding, FarmServer, SimClock, WallClock};
use headgate_sim::spec::Happening;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for something that must come.
const COMES: Duration = Duration::from_secs(20);
/// How long a test waits for something that must not come.
const STAYS_AWAY: Duration = Duration::from_millis(200);

fn farm(machines: u32) -> Arc<Mutex<Farm>> {
    let mut spec = spec(machines);
    spec.start = WallClock.now();
    Arc::new(Mutex::new(Farm::new(&spec).unwrap()))
}

fn start(farm: &Arc<Mutex<Farm>>) -> FarmServer {
    FarmServer::start(Arc::clone(farm), Arc::new(WallClock), 0).unwrap()
}

async fn connect(server: &FarmServer, machine: usize) -> TcpStream {
    let address: SocketAddr = server.addresses().nth(machine).unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// One request; what came back before the end, or why nothing did.
async fn ask(server: &FarmServer, machine: usize, request: &[u8]) -> Result<String, String> {
    let mut stream = connect(server, machine).await;
    let mut reply = Vec::new();
    let asked = async {
        stream.write_all(request).await?;
        stream.read_to_end(&mut reply).await
    };
    match tokio::time::timeout(COMES, asked).await {
        Ok(Ok(_)) => Ok(String::from_utf8(reply).unwrap()),
        Ok(Err(e)) => Err(e.kind().to_string()),
        Err(_) => Err("nothing came".to_owned()),
    }
}

async fn each_address_is_a_machine(server: &FarmServer) {
    for machine in [0usize, 1, 254, 299] {
        let reply = ask(server, machine, br#"{"command":"config"}"#).await.unwrap();
        assert!(reply.ends_with("}\0"), "{reply}");
        let address = server.addresses().nth(machine).unwrap().ip();
        assert!(reply.contains(&format!(r#""IPAddr":"{address}""#)), "{reply}");
        assert!(reply.contains(&format!(r#""Hostname":"farm-{machine}""#)), "{reply}");
    }
}

#[tokio::test]
async fn one_socket_serves_every_address() {
    let server = start(&farm(300));
    assert_eq!(server.binding(), Binding::Device);
    each_address_is_a_machine(&server).await;
    let stranger = SocketAddr::from(([127, 9, 9, 9], server.port()));
    let mut stream = TcpStream::connect(stranger).await.unwrap();
    let read = stream.read(&mut [0; 8]).await;
    assert!(!matches!(read, Ok(1..)), "an address without a machine says nothing");
}

#[tokio::test]
async fn a_socket_for_each_address_serves_the_same() {
    let server = FarmServer::start_each(farm(300), Arc::new(WallClock), 0).unwrap();
    assert_eq!(server.binding(), Binding::EachAddress);
    each_address_is_a_machine(&server).await;
}

#[tokio::test]
async fn an_idle_connection_blocks_its_machine_and_no_other() {
    let server = start(&farm(2));
    let idle = connect(&server, 0).await;
    // The idle one is served first: it was there first.
    tokio::time::sleep(STAYS_AWAY).await;
    let mut blocked = connect(&server, 0).await;
    blocked.write_all(br#"{"command":"power"}"#).await.unwrap();
    let mut byte = [0u8; 1];
    let early = tokio::time::timeout(STAYS_AWAY, blocked.read(&mut byte)).await;
    assert!(early.is_err(), "the machine is busy listening to silence");
    assert!(ask(&server, 1, br#"{"command":"power"}"#).await.unwrap().contains("Watts"));
    drop(idle);
    let late = tokio::time::timeout(COMES, blocked.read(&mut byte)).await;
    assert!(matches!(late, Ok(Ok(1))), "it goes on when the idle one has gone: {late:?}");
}

#[tokio::test]
async fn a_request_in_two_pieces_is_read_as_one_half() {
    let server = start(&farm(1));
    let mut stream = connect(&server, 0).await;
    stream.set_nodelay(true).unwrap();
    stream.write_all(br#"{"comm"#).await.unwrap();
    let mut reply = vec![0u8; 4096];
    let length = tokio::time::timeout(COMES, stream.read(&mut reply)).await.unwrap().unwrap();
    let reply = String::from_utf8_lossy(&reply[..length]);
    assert!(reply.contains(r#""Code":23"#) && reply.contains("Invalid JSON"), "{reply}");
}

#[tokio::test]
async fn dead_mute_and_html_machines_are_met_as_such() {
    let farm = farm(3);
    for (id, fault) in [(0, Fault::Dead), (1, Fault::Mute), (2, Fault::Html)] {
        let begins = Happening::FaultBegins(MachineId(id), fault);
        farm.lock().unwrap().schedule(Time::MIN, begins);
    }
    let server = start(&farm);
    let mut dead = connect(&server, 0).await;
    let _ = dead.write_all(b"version").await;
    let read = tokio::time::timeout(COMES, dead.read(&mut [0; 8])).await.unwrap();
    assert!(!matches!(read, Ok(1..)), "a dead machine says nothing");
    let mut mute = connect(&server, 1).await;
    mute.write_all(b"version").await.unwrap();
    assert!(tokio::time::timeout(STAYS_AWAY, mute.read(&mut [0; 8])).await.is_err());
    let html = ask(&server, 2, b"version").await.unwrap();
    assert!(html.contains("<html>") && !html.contains('\0'), "{html}");
}

#[tokio::test]
async fn too_many_waiting_are_refused_and_shutdown_closes_the_rest() {
    let server = start(&farm(1));
    let address = server.addresses().next().unwrap();
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..headgate_sim::serve::WAITING_MAX + 20 {
        match TcpStream::connect(address).await {
            Ok(stream) => open.push(stream),
            Err(_) => refused += 1,
        }
    }
    for stream in &mut open {
        let read = tokio::time::timeout(Duration::from_millis(5), stream.read(&mut [0; 8])).await;
        refused += u32::from(read.is_ok());
    }
    assert!((1..=20).contains(&refused), "{refused} were refused");
    server.shutdown();
    let last = tokio::time::timeout(COMES, open[0].read(&mut [0; 8])).await;
    assert!(!matches!(last, Err(_) | Ok(Ok(1..))), "shutdown closes what is open: {last:?}");
}

/// A clock that a test moves.
struct Stepped(Mutex<Time>);

impl SimClock for Stepped {
    fn now(&self) -> Time {
        *self.0.lock().unwrap()
    }
}

#[tokio::test]
async fn the_physics_follow_the_clock_that_was_handed_in() {
    let farm = Arc::new(Mutex::new(Farm::new(&spec(1)).unwrap()));
    let clock = Arc::new(Stepped(Mutex::new(crate::START)));
    let server = FarmServer::start(Arc::clone(&farm), clock.clone(), 0).unwrap();
    let watts = async || {
        let reply = ask(&server, 0, br#"{"command":"power"}"#).await.unwrap();
        let value: serde_json::Value = serde_json::from_str(reply.trim_end_matches('\0')).unwrap();
        value["POWER"][0]["Watts"].as_i64().unwrap()
    };
    let session = ask(&server, 0, b"logon").await.unwrap();
    let session = session.split(r#""SessionID":""#).nth(1).unwrap().split('"').next().unwrap();
    ask(&server, 0, format!("curtail|{session},sleep").as_bytes()).await.unwrap();
    assert!(watts().await > 2500, "no simulated time has passed");
    *clock.0.lock().unwrap() = crate::START + Span::seconds(60);
    assert!(watts().await < 40, "a minute later it sleeps");
}

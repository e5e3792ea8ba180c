//! The shell against real sockets on loopback.

use super::*;
use crate::REPLY_BYTES_MAX;
use crate::fleet::tests::farm::{TOP_WATTS, site};
use crate::fleet::{FleetDriver, Options};
use crate::{Driver, Input, Output};
use headgate_core::fleet::{DriverId, Level, TargetPhase};
use headgate_core::plan::{Change, DispatchPlan};
use headgate_core::time::Time;
use headgate_core::units::Power;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::net::TcpListener;

const BUDGET: Span = Span::millis(400);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves one connection with fixed bytes and shows what a trip makes of them.
async fn check(reply: Option<Vec<u8>>, close: bool) -> Result<String, Failure> {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 256];
        let n = stream.read(&mut asked).await.unwrap();
        assert_eq!(&asked[..n], b"{\"command\":\"power\"}", "one write, no NUL");
        if let Some(reply) = reply {
            // The client may have closed already.
            let _ = stream.write_all(&reply).await;
        }
        if !close {
            // The client closes first, or never: either way this ends with the test.
            while stream.read(&mut asked).await.is_ok_and(|n| n > 0) {}
        }
    });
    let result = trip(address, Framing::NulOrEof, &crate::luxos::power(), BUDGET).await;
    server.await.unwrap();
    result.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn a_reply_ends_at_its_nul_or_with_the_stream() {
    assert_eq!(check(Some(b"{}\0".to_vec()), false).await, Ok("{}".into()));
    assert_eq!(check(Some(b"{}\0more".to_vec()), true).await, Ok("{}".into()));
    assert_eq!(check(Some(b"{}".to_vec()), true).await, Ok("{}".into()));
    assert_eq!(check(None, true).await, Err(Failure::Reset));
}

#[tokio::test]
async fn a_trip_is_bounded_in_time_and_in_bytes() {
    assert_eq!(check(None, false).await, Err(Failure::Timeout));
    assert_eq!(check(Some(b"{".to_vec()), false).await, Err(Failure::Timeout));
    let flood = vec![b'x'; 2 * REPLY_BYTES_MAX];
    assert_eq!(check(Some(flood), false).await, Err(Failure::TooLong));
    let (listener, address) = listener().await;
    drop(listener);
    assert_eq!(trip(address, Framing::NulOrEof, b"x", BUDGET).await, Err(Failure::Connect));
}

#[tokio::test]
async fn a_cancelled_request_closes_its_connection_and_is_not_heard_of() {
    let (listener, address) = listener().await;
    let (results, mut heard) = mpsc::channel(8);
    let mut wire = Wire::new(Arc::from([address]), results);
    let id = RequestId(7);
    let bytes = crate::luxos::power();
    let (machine, port, framing) = (MachineId(0), Port::Main, Framing::NulOrEof);
    wire.send(Request { id, machine, port, framing, bytes, budget: Span::seconds(60) });
    let (mut stream, _) = listener.accept().await.unwrap();
    wire.cancel(id);
    let mut rest = Vec::new();
    // Ends only when the client's side is closed.
    let _ = stream.read_to_end(&mut rest).await;
    drop(wire);
    assert!(heard.recv().await.is_none());
}

/// Serves one connection with fixed bytes, kept open, and shows what a trip makes of them.
async fn framed(framing: Framing, reply: &'static [u8]) -> Result<Vec<u8>, Failure> {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for byte in reply {
            stream.write_all(&[*byte]).await.unwrap();
        }
        let _ = stream.read(&mut [0; 64]).await;
        let _ = stream.read(&mut [0; 64]).await;
    });
    let result = trip(address, framing, b"?", BUDGET).await;
    server.await.unwrap();
    result
}

#[tokio::test]
async fn a_reply_ends_by_its_own_framing_on_a_connection_that_stays_open() {
    let http = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(framed(Framing::Http, http).await.unwrap(), http);
    assert_eq!(framed(Framing::LengthLe, b"\x02\0\0\0{}").await.unwrap(), b"{}");
    assert_eq!(framed(Framing::LengthLe, b"\0\0\0\x01{}").await, Err(Failure::TooLong));
    assert_eq!(framed(Framing::Http, b"HTTP/1.1 200 OK\r\n\r\n{}").await, Err(Failure::Timeout));
}

#[tokio::test]
async fn the_second_port_is_the_drivers_and_the_host_the_machines() {
    let (listener, aux) = listener().await;
    let (results, mut heard) = mpsc::channel(8);
    // Nobody listens at the machine's own port.
    let machine: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let mut wire = Wire::new(Arc::from([machine]), results).with_aux_port(Some(aux.port()));
    let request = |id, port| Request {
        id: RequestId(id),
        machine: MachineId(0),
        port,
        framing: Framing::NulOrEof,
        bytes: b"?".to_vec(),
        budget: BUDGET,
    };
    wire.send(request(1, Port::Aux));
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"!\0").await.unwrap();
    assert_eq!(heard.recv().await.unwrap().result.unwrap(), b"!");
    wire.send(request(2, Port::Main));
    assert_eq!(heard.recv().await.unwrap().result, Err(Failure::Connect));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_connection_is_closed_before_the_next_is_opened() {
    let (listener, address) = listener().await;
    let (results, _heard) = mpsc::channel(8);
    let mut wire = Wire::new(Arc::from([address]), results);
    let request = |id| Request {
        id: RequestId(id),
        machine: MachineId(0),
        port: Port::Main,
        framing: Framing::NulOrEof,
        bytes: vec![0],
        budget: Span::seconds(60),
    };
    wire.send(request(1));
    let (mut before, _) = listener.accept().await.unwrap();
    for id in 2..200 {
        before.read_exact(&mut [0]).await.unwrap();
        wire.cancel(RequestId(id - 1));
        wire.send(request(id));
        let (next, _) = listener.accept().await.unwrap();
        // On loopback the end is there at once: nothing to wait for, else it came too late.
        let end = before.into_std().unwrap().read(&mut [0; 8]);
        assert!(!end.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock), "two connections");
        before = next;
    }
}

#[test]
fn a_lack_on_this_side_is_no_fault_of_a_machine() {
    let kind = |number| unconnected(&io::Error::from_raw_os_error(number));
    // EMFILE, EADDRNOTAVAIL; ECONNREFUSED, EHOSTUNREACH.
    assert_eq!([kind(24), kind(99)], [Failure::Local; 2]);
    assert_eq!([kind(111), kind(113)], [Failure::Connect; 2]);
}

#[test]
fn addresses_are_read_as_given_and_faults_named() {
    let mut site = site(2);
    assert_eq!(addresses(&site).unwrap()[1], "127.1.0.2:4028".parse().unwrap());
    site.machines[1].address = "127.1.0.2".into();
    let said = addresses(&site).unwrap_err().to_string();
    insta::assert_snapshot!(said, @r#"failed to resolve "127.1.0.2" of machine 1"#);
}

/// A machine that knows logon, curtail, logoff, power and config, one connection at a time.
async fn machine(listener: TcpListener, asleep: Arc<AtomicBool>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 512];
        let n = stream.read(&mut asked).await.unwrap();
        let request: serde_json::Value = serde_json::from_slice(&asked[..n]).unwrap();
        let body = match (request["command"].as_str().unwrap(), request["parameter"].as_str()) {
            ("logon", None) => r#","SESSION":[{"SessionID":"abc"}]"#.to_owned(),
            ("curtail", Some("abc,sleep")) => {
                asleep.store(true, Ordering::SeqCst);
                String::new()
            }
            ("logoff", Some("abc")) => String::new(),
            ("power", None) => {
                let watts = if asleep.load(Ordering::SeqCst) { 31 } else { TOP_WATTS };
                format!(r#","POWER":[{{"PSU":true,"Watts":{watts}}}]"#)
            }
            ("config", None) => r#","CONFIG":[{"CurtailMode":"None"}]"#.to_owned(),
            other => panic!("nobody should ask {other:?}"),
        };
        let reply = format!(r#"{{"STATUS":[{{"STATUS":"S","Code":1,"Msg":"ok"}}]{body}}}"#);
        stream.write_all(reply.as_bytes()).await.unwrap();
        stream.write_all(&[0]).await.unwrap();
    }
}

// A real clock drives it: the sockets are real.
#[allow(clippy::disallowed_methods, reason = "a test of real sockets runs in real time")]
#[tokio::test]
async fn a_small_fleet_is_put_to_sleep_over_real_sockets() {
    const MACHINES: u32 = 8;
    const SPEED: i64 = 20;
    let site = site(MACHINES);
    let mut driver = FleetDriver::new(DriverId(0), &site, Options::default()).unwrap();
    let mut found = Vec::new();
    let mut states = Vec::new();
    for _ in 0..MACHINES {
        let (listener, address) = listener().await;
        let asleep = Arc::new(AtomicBool::new(false));
        tokio::spawn(machine(listener, Arc::clone(&asleep)));
        found.push(address);
        states.push(asleep);
    }
    let (results, mut heard) = mpsc::channel(64);
    let mut wire = Wire::new(found.into(), results);
    let (zero, began) = (Time::from_seconds(1_724_198_400), Instant::now());
    let clock = || {
        let wall = i64::try_from(began.elapsed().as_nanos()).unwrap();
        zero + Span(wall * SPEED)
    };
    let changes = (0..MACHINES).map(|m| Change { machine: MachineId(m), level: Level::SLEEP });
    let plan = DispatchPlan {
        generation: 1,
        at: zero,
        cause: 1,
        valid_until: zero + Span::hours(1),
        changes: changes.collect(),
    };
    let mut steps = 0;
    let mut out = Output::default();
    driver.on(clock(), Input::ReadBack, &mut out);
    driver.on(clock(), Input::Plan(&plan), &mut out);
    while driver.counts().confirmed < u64::from(MACHINES) {
        steps += 1;
        assert!(steps < 10_000, "it never came to that: {:?}", driver.counts());
        out.cancel.drain(..).for_each(|id| wire.cancel(id));
        out.requests.drain(..).for_each(|r| wire.send(r));
        out.telemetry = None;
        let sleep = out.wake.map_or(Span::ZERO, |at| at.since(clock()));
        let sleep = Duration::from_nanos(u64::try_from(sleep.0 / SPEED).unwrap_or(0));
        match tokio::time::timeout(sleep, heard.recv()).await {
            Ok(Some(WireResult { request, result: Ok(bytes) })) => {
                driver.on(clock(), Input::Reply { request, bytes: &bytes }, &mut out);
            }
            Ok(Some(WireResult { request, result: Err(failure) })) => {
                driver.on(clock(), Input::Failed { request, failure }, &mut out);
            }
            Ok(None) => panic!("the wire is gone"),
            Err(_) => driver.on(clock(), Input::Timer, &mut out),
        }
    }
    assert!(states.iter().all(|s| s.load(Ordering::SeqCst)), "they really sleep");
    let view = driver.machine_view(MachineId(3)).unwrap();
    assert_eq!(view.phase, TargetPhase::Confirmed);
    assert_eq!(view.measured.map(|m| m.value), Some(Power(31)));
}

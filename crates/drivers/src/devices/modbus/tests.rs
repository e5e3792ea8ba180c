//! A meter on loopback that answers byte by byte as the test says.

use super::super::register::{Nonsense, Shape};
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the meter does with one question.
#[derive(Clone)]
enum Says {
    Words(Vec<u16>),
    Exception(u8),
    /// Nothing at all.
    Silence,
    /// An answer to a question that was not asked.
    Stranger,
    Bytes(&'static [u8]),
    Closes,
}

/// Answers questions in turn, over any number of connections, and counts these.
async fn meter(script: Vec<Says>) -> (String, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let (mut script, mut connections) = (script.into_iter(), 0);
        'next: loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections += 1;
            let mut ask = [0; 12];
            while stream.read_exact(&mut ask).await.is_ok() {
                let Some(says) = script.next() else { return connections };
                // Unit 7, function 4, register 30, and how many words.
                assert_eq!(ask[2..10], [0, 0, 0, 6, 7, 4, 0, 30], "{ask:?}");
                let head = |id: [u8; 2], body: &[u8]| {
                    let length = u8::try_from(body.len() + 1).unwrap();
                    [&id[..], &[0, 0, 0, length, 7], body].concat()
                };
                let id = [ask[0], ask[1]];
                let answer = match says {
                    Says::Words(words) => {
                        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
                        let count = u8::try_from(bytes.len()).unwrap();
                        head(id, &[&[4, count], &bytes[..]].concat())
                    }
                    Says::Exception(code) => head(id, &[0x84, code]),
                    Says::Stranger => head([id[0] ^ 0x55, id[1]], &[4, 2, 0, 1]),
                    Says::Silence => continue,
                    Says::Bytes(bytes) => bytes.to_vec(),
                    Says::Closes => continue 'next,
                };
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
    (address, task)
}

fn plan(address: String) -> MeterPlan {
    let power = Register {
        table: Table::Input,
        at: 30,
        shape: Shape::U16,
        low_first: false,
        microwatts: 1_000_000_000,
        reversed: false,
    };
    let bounds = Bounds { noise: Power(1_000), most: Power(6_000_000) };
    let (every, budget) = (Span::millis(10), Span::millis(300));
    MeterPlan { address, unit_id: 7, power, bounds, every, budget }
}

#[tokio::test]
async fn a_meter_is_read_over_one_connection() {
    let says = [2_500, 2_400].map(|w| Says::Words(vec![w]));
    let (address, task) = meter(says.to_vec()).await;
    let mut meter = Meter::new(plan(address));
    assert_eq!(meter.read().await.unwrap(), Power(2_500_000));
    assert_eq!(meter.read().await.unwrap(), Power(2_400_000));
    // The script is over: the third question ends the server.
    meter.read().await.unwrap_err();
    assert_eq!(task.await.unwrap(), 1);
}

#[tokio::test]
async fn what_cannot_be_believed_has_its_reason_and_costs_no_connection() {
    let words = |w| Says::Words(vec![w]);
    let script = vec![
        words(3_000),
        words(0xffff),
        words(6_001),
        words(3),
        Says::Exception(2),
        Says::Words(vec![0, 1]),
        words(2_900),
    ];
    let (address, task) = meter(script).await;
    let mut meter = Meter::new(plan(address));
    let mut faults = Vec::new();
    for _ in 0..7 {
        faults.push(match meter.read().await {
            Ok(power) => power.to_string(),
            Err(fault) => format!("{} {fault}", fault.answered()),
        });
    }
    insta::assert_snapshot!(faults.join("\n"), @"
    3.000 MW
    true its register holds no value
    true it says 6.001 MW, more than the 6.000 MW that can be: is its scale right?
    true it says 3.0 kW after 3.000 MW, a thousand times off: has its unit changed?
    true it refuses: Illegal data address
    true it answered with 2 words in place of 1
    2.900 MW
    ");
    drop(meter);
    task.abort();
}

#[tokio::test]
async fn a_broken_answer_closes_the_connection_and_the_next_is_read() {
    let html = b"HTTP/1.1 400 Bad Request\r\n\r\n<html>";
    let bad = [Says::Silence, Says::Stranger, Says::Bytes(html), Says::Closes];
    for says in bad {
        let (address, task) = meter(vec![says, Says::Words(vec![1_000])]).await;
        let mut meter = Meter::new(plan(address));
        let fault = meter.read().await.unwrap_err();
        assert!(!fault.answered(), "{fault:?}");
        assert_eq!(meter.read().await.unwrap(), Power(1_000_000), "after {fault}");
        meter.read().await.unwrap_err();
        assert_eq!(task.await.unwrap(), 2, "{fault}");
    }
}

#[tokio::test]
async fn nobody_there_is_said() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fault = Meter::new(plan(free.to_string())).read().await.unwrap_err();
    assert!(matches!(fault, DeviceFault::Connect(_)), "{fault:?}");
}

#[tokio::test]
async fn a_followed_meter_tells_what_it_reads_until_nobody_listens() {
    let script = vec![Says::Words(vec![500]), Says::Closes, Says::Words(vec![400])];
    let (address, task) = meter(script).await;
    let (tx, mut reads) = mpsc::channel(READS_MAX);
    let follower = tokio::spawn(Meter::new(plan(address)).follow(MeterId(3), tx));
    let mut told = Vec::new();
    while told.len() < 3 {
        let read = reads.recv().await.unwrap();
        assert_eq!(read.meter, MeterId(3));
        told.push(read.power.ok());
    }
    assert_eq!(told, [Some(Power(500_000)), None, Some(Power(400_000))]);
    drop(reads);
    follower.await.unwrap();
    task.abort();
}

#[test]
fn pauses_double_up_to_a_bound() {
    let pauses =
        |every| [1, 2, 3, 4, 5, 60].map(|n| pause(Duration::from_secs(every), n).as_secs());
    assert_eq!(pauses(1), [0, 1, 3, 7, 7, 7]);
    assert_eq!(pauses(20), [0; 6]);
    assert_eq!(Nonsense::NoValue.to_string(), "its register holds no value");
}

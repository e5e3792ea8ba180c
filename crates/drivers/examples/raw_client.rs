//! The plainest client that can put a LuxOS fleet to sleep: logon, curtail and logoff on each of
//! N addresses, at most 1000 at once, nothing kept and nothing proven. Benches measure the real
//! driver against it. It prints wall and CPU seconds as one JSON document: to the last answer of
//! a curtail, and to the last logoff.
//!
//! Usage: `raw_client FIRST_ADDRESS COUNT PORT [sleep|wakeup]`; loopback addresses only, one
//! after another.
// A bench asks the clock.
#![allow(clippy::disallowed_methods, reason = "a bench client lives in real time")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const LIMIT: usize = 1000;
const BUDGET: Duration = Duration::from_secs(2);

static BEGAN: OnceLock<Instant> = OnceLock::new();
/// When the last curtail was answered, in microseconds since the beginning.
static LAST_ACK: AtomicU64 = AtomicU64::new(0);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [first, count, port, rest @ ..] = args.as_slice() else {
        return Err("usage: raw_client FIRST_ADDRESS COUNT PORT [sleep|wakeup]".into());
    };
    let first: Ipv4Addr = first.parse()?;
    if !first.is_loopback() {
        return Err("only loopback addresses are benched".into());
    }
    let (count, port): (u32, u16) = (count.parse()?, port.parse()?);
    let word: Arc<str> = rest.first().map_or("sleep", String::as_str).into();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let cpu = cpu_seconds()?;
    let began = *BEGAN.get_or_init(Instant::now);
    let ok = runtime.block_on(fleet(first, count, port, word));
    // The runtime's threads are still there, and so is their time.
    let (all, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let ack = LAST_ACK.load(Ordering::Relaxed) as f64 / 1e6;
    let times = format!(r#""ack_s":{ack:.4},"all_s":{all:.4},"all_cpu_s":{cpu:.4}"#);
    println!(r#"{{"machines":{count},"acked":{ok},{times}}}"#);
    Ok(())
}

async fn fleet(first: Ipv4Addr, count: u32, port: u16, word: Arc<str>) -> usize {
    let slots = Arc::new(Semaphore::new(LIMIT));
    let mut tasks = Vec::new();
    for n in 0..count {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        let address = SocketAddr::from((Ipv4Addr::from(u32::from(first) + n), port));
        let word = Arc::clone(&word);
        tasks.push(tokio::spawn(async move {
            let _slot = slot;
            curtail(address, &word).await.is_some()
        }));
    }
    let mut ok = 0;
    for task in tasks {
        ok += usize::from(task.await.unwrap_or(false));
    }
    ok
}

async fn curtail(address: SocketAddr, word: &str) -> Option<()> {
    let reply = trip(address, r#"{"command":"logon"}"#).await?;
    let reply = String::from_utf8(reply).ok()?;
    let id = reply.split(r#""SessionID":""#).nth(1)?.split('"').next()?;
    let request = format!(r#"{{"command":"curtail","parameter":"{id},{word}"}}"#);
    trip(address, &request).await?;
    let since = BEGAN.get()?.elapsed().as_micros();
    LAST_ACK.fetch_max(u64::try_from(since).ok()?, Ordering::Relaxed);
    trip(address, &format!(r#"{{"command":"logoff","parameter":"{id}"}}"#)).await?;
    Some(())
}

async fn trip(address: SocketAddr, request: &str) -> Option<Vec<u8>> {
    tokio::time::timeout(BUDGET, async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut reply = Vec::with_capacity(1024);
        while !reply.ends_with(&[0]) && stream.read_buf(&mut reply).await.ok()? > 0 {}
        Some(reply)
    })
    .await
    .ok()?
}

/// Processor seconds of all threads of this process so far.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let mut nanos = 0.0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().ok_or("schedstat is empty")?;
        nanos += first.parse::<f64>()?;
    }
    Ok(nanos / 1e9)
}

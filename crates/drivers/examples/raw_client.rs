//! The plainest client that can put a LuxOS fleet to sleep: logon, curtail and logoff on each of
//! N addresses, at most 1000 at once, nothing kept and nothing proven. Benches measure the real
//! driver against it. It prints wall and CPU seconds as one JSON document.
//!
//! Usage: `raw_client FIRST_ADDRESS COUNT PORT [sleep|wakeup]`; loopback addresses only, counted
//! upwards with the last part running from 1 to 250.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const LIMIT: usize = 1000;
const BUDGET: Duration = Duration::from_secs(2);
/// Hosts in one last part: 1 to 250.
const HOSTS: u32 = 250;
/// Kernel ticks in a second as `/proc` counts them.
const TICKS: f64 = 100.0;

// A bench asks the clock.
#[allow(clippy::disallowed_methods)]
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
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    let ok = runtime.block_on(fleet(first, count, port, word));
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    println!(r#"{{"machines":{count},"ok":{ok},"wall_s":{wall:.3},"cpu_s":{cpu:.2}}}"#);
    Ok(())
}

async fn fleet(first: Ipv4Addr, count: u32, port: u16, word: Arc<str>) -> usize {
    let slots = Arc::new(Semaphore::new(LIMIT));
    let mut tasks = Vec::new();
    for n in 0..count {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        let address = SocketAddr::from((nth(first, n), port));
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

fn nth(first: Ipv4Addr, n: u32) -> Ipv4Addr {
    let first = u32::from(first);
    let (net, host) = (first >> 8, (first & 0xff).saturating_sub(1) + n);
    Ipv4Addr::from((net + host / HOSTS) << 8 | (host % HOSTS + 1))
}

async fn curtail(address: SocketAddr, word: &str) -> Option<()> {
    let reply = trip(address, r#"{"command":"logon"}"#).await?;
    let reply = String::from_utf8(reply).ok()?;
    let id = reply.split(r#""SessionID":""#).nth(1)?.split('"').next()?;
    let request = format!(r#"{{"command":"curtail","parameter":"{id},{word}"}}"#);
    trip(address, &request).await?;
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

/// User and system time of this process so far.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').ok_or("/proc/self/stat has no name")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64, Box<dyn Error>> {
        Ok(fields.next().ok_or("/proc/self/stat is short")?.parse()?)
    };
    Ok((ticks()? + ticks()?) / TICKS)
}

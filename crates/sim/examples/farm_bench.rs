//! What the pretend farm costs: one answer, one meter reading, one loopback round trip.
//!
//! Prints one JSON document with a row for each. The client of the round trips runs in the same
//! process, so their rate is that of farm and client together.

use headgate_core::fleet::MachineId;
use headgate_core::time::Span;
use headgate_sim::ApiAnswer;
use headgate_sim::farm::{Already, Farm};
use headgate_sim::serve::{FarmServer, SimClock, WallClock};
use headgate_sim::spec::FarmSpec;
use serde_json::{Value, json};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const POWER: &[u8] = br#"{"command":"power"}"#;
/// Requests in flight at one time.
const IN_FLIGHT: usize = 400;

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_secs_f64())
}

fn answers(farm: &mut Farm) -> Value {
    let (n, start) = (400_000u32, WallClock.now());
    let machines = u32::try_from(farm.machines()).unwrap_or(1);
    let (bytes, s) = timed(|| {
        let mut bytes = 0;
        for i in 0..n {
            let now = start + Span(i64::from(i) * 1000);
            if let ApiAnswer::Reply(r) = farm.handle(MachineId(i % machines), now, now, POWER) {
                bytes += r.len();
            }
        }
        bytes
    });
    let each = s / f64::from(n) * 1e6;
    json!({ "case": "handle power", "n": n, "bytes": bytes, "ours_s": s, "each_us": each })
}

fn readings(farm: &mut Farm) -> Result<Value, Already> {
    let start = WallClock.now();
    let machines = u32::try_from(farm.machines()).unwrap_or(u32::MAX);
    let (slept, sleep_s) =
        timed(|| (0..machines).try_for_each(|id| farm.sleep(MachineId(id), start)));
    slept?;
    let (moving, moving_s) = timed(|| farm.meter(start + Span::seconds(1)));
    let (still, still_s) = timed(|| farm.meter(start + Span::seconds(100)));
    let (_, steady_s) = timed(|| farm.meter(start + Span::seconds(101)));
    Ok(json!({
        "case": "meter", "n": machines, "sleep_all_s": sleep_s, "all_moving_s": moving_s,
        "settling_s": still_s, "steady_s": steady_s, "moving_w": moving.power.0,
        "still_w": still.power.0, "bytes_per_machine": farm.bytes_per_machine(),
    }))
}

async fn client(addresses: Arc<Vec<SocketAddr>>, first: usize, n: usize) -> std::io::Result<()> {
    let mut reply = Vec::with_capacity(4096);
    for i in 0..n {
        let address = addresses[(first + i * IN_FLIGHT) % addresses.len()];
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(POWER).await?;
        reply.clear();
        stream.read_to_end(&mut reply).await?;
    }
    Ok(())
}

async fn round_trips(farm: Farm) -> Result<Value, Box<dyn Error>> {
    let server = FarmServer::start(Arc::new(Mutex::new(farm)), Arc::new(WallClock), 0)?;
    let addresses: Arc<Vec<_>> = Arc::new(server.addresses().collect());
    let each = 250;
    #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
    let start = Instant::now();
    let clients: Vec<_> = (0..IN_FLIGHT)
        .map(|first| tokio::spawn(client(Arc::clone(&addresses), first, each)))
        .collect();
    for client in clients {
        client.await??;
    }
    let (n, s) = (IN_FLIGHT * each, start.elapsed().as_secs_f64());
    Ok(json!({ "case": "round trip", "n": n, "ours_s": s, "per_second": n as f64 / s }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut farm = Farm::new(&FarmSpec::mixed(WallClock.now(), 100_000, 1))?;
    let mut rows = vec![answers(&mut farm)];
    rows.push(readings(&mut farm).map_err(|Already| "a machine slept already")?);
    let small = Farm::new(&FarmSpec::mixed(WallClock.now(), 3000, 1))?;
    rows.push(round_trips(small).await?);
    println!("{}", json!({ "bench": "farm", "rows": rows }));
    Ok(())
}

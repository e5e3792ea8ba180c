//! The thin part that touches sockets: one connection a request, one write, one reply up to where
//! its framing ends it, and the connection is closed at once. Nothing is ever held open:
//! one idle connection blocks every other client of a machine.

use crate::frame::{Framer, Framing};
use crate::{Failure, Port, Request, RequestId};
use headgate_core::fleet::MachineId;
use headgate_core::site::Site;
use headgate_core::time::Span;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Space a reply starts out with; most fit.
const REPLY_BYTES_USUAL: usize = 1024;
/// Handles kept before ended ones are first swept out.
const SWEEP_MIN: usize = 1024;

/// How a request ended.
#[derive(Debug)]
pub struct WireResult {
    /// Which request.
    pub request: RequestId,
    /// The reply without its framing, or why there is none.
    pub result: Result<Vec<u8>, Failure>,
}

/// Why a machine's address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It names no host that is known, or no port.
    #[error("failed to resolve {address:?} of machine {machine}")]
    Resolve {
        /// The machine's index.
        machine: u32,
        /// The address as configured.
        address: String,
        /// What was wrong.
        #[source]
        source: io::Error,
    },
    /// Its name stands for nothing.
    #[error("failed to resolve {address:?} of machine {machine}: the name has no address")]
    None {
        /// The machine's index.
        machine: u32,
        /// The address as configured.
        address: String,
    },
}

/// Resolves the addresses of a site's machines, by machine id. Names are looked up once, here,
/// so that control never waits for a name server.
///
/// # Errors
/// [`AddressError`] names the first machine whose address cannot be used.
pub fn addresses(site: &Site) -> Result<Vec<SocketAddr>, AddressError> {
    let resolve =
        |(id, spec): (MachineId, &headgate_core::site::MachineSpec)| {
            // A unit without a driver is never connected to.
            if spec.address.starts_with(UNIT_SCHEME) {
                return Ok(NOWHERE);
            }
            if let Ok(literal) = spec.address.parse::<SocketAddr>() {
                return Ok(literal);
            }
            let address = || spec.address.clone();
            let mut found = spec.address.to_socket_addrs().map_err(|source| {
                AddressError::Resolve { machine: id.0, address: address(), source }
            })?;
            found.next().ok_or_else(|| AddressError::None { machine: id.0, address: address() })
        };
    site.machines().map(resolve).collect()
}

/// Begins what stands for the address of a unit without machines.
pub const UNIT_SCHEME: &str = "unit:";
/// Where a unit without machines is: nothing is ever sent there.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Carries requests to machines and their results back.
#[derive(Debug)]
pub struct Wire {
    addresses: Arc<[SocketAddr]>,
    aux_port: Option<u16>,
    results: mpsc::Sender<WireResult>,
    /// Requests that may have to be abandoned; ended ones are swept out now and then.
    live: HashMap<RequestId, (MachineId, JoinHandle<()>)>,
    sweep_at: usize,
    /// Abandoned requests whose connections may not be closed yet.
    closing: HashMap<MachineId, JoinHandle<()>>,
}

impl Wire {
    /// Builds it over addresses by machine id; results go to a bounded channel, and a request
    /// whose result finds it full waits there without holding its connection.
    #[must_use]
    pub fn new(addresses: Arc<[SocketAddr]>, results: mpsc::Sender<WireResult>) -> Self {
        let (live, closing) = (HashMap::new(), HashMap::new());
        Self { addresses, aux_port: None, results, live, sweep_at: SWEEP_MIN, closing }
    }

    /// The same with a second port of the machines.
    #[must_use]
    pub fn with_aux_port(self, aux_port: Option<u16>) -> Self {
        Self { aux_port, ..self }
    }

    fn address(&self, machine: MachineId, port: Port) -> Option<SocketAddr> {
        let address = *self.addresses.get(machine.index())?;
        match port {
            Port::Main => Some(address),
            Port::Aux => Some(SocketAddr::new(address.ip(), self.aux_port?)),
        }
    }

    /// Puts a request on the wire. Must be called inside a tokio runtime. How many may be there
    /// at once is bounded by the driver.
    pub fn send(&mut self, request: Request) {
        let Request { id, machine, port, framing, bytes, budget } = request;
        let address = self.address(machine, port);
        let results = self.results.clone();
        let closing = self.closing.remove(&machine);
        let task = tokio::spawn(async move {
            // Two connections to one machine are one too many: one that is being abandoned is
            // closed before the next is opened. That it was aborted is what was wanted.
            if let Some(closing) = closing {
                let _ = closing.await;
            }
            let result = match address {
                Some(address) => trip(address, framing, &bytes, budget).await,
                None => Err(Failure::Connect),
            };
            // Nobody left to hear it: the driver is gone, and so is the need.
            let _ = results.send(WireResult { request: id, result }).await;
        });
        if self.live.len() >= self.sweep_at {
            self.live.retain(|_, (_, task)| !task.is_finished());
            self.closing.retain(|_, task| !task.is_finished());
            self.sweep_at = SWEEP_MIN.max(2 * self.live.len());
        }
        self.live.insert(id, (machine, task));
    }

    /// Abandons a request: its connection is closed. A result already on its way may still
    /// come; the driver knows it no more.
    pub fn cancel(&mut self, request: RequestId) {
        if let Some((machine, task)) = self.live.remove(&request) {
            task.abort();
            self.closing.insert(machine, task);
        }
    }
}

/// One whole trip: connect, write, read, close, within a budget.
///
/// # Errors
/// [`Failure`] says how far it came.
pub async fn trip(
    address: SocketAddr,
    framing: Framing,
    bytes: &[u8],
    budget: Span,
) -> Result<Vec<u8>, Failure> {
    let budget = Duration::from_nanos(u64::try_from(budget.0).unwrap_or(0));
    match tokio::time::timeout(budget, exchange(address, framing, bytes)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Timeout),
    }
}

async fn exchange(address: SocketAddr, framing: Framing, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut stream = TcpStream::connect(address).await.map_err(|e| unconnected(&e))?;
    // A request split over two segments is "Invalid JSON" to the original program.
    stream.set_nodelay(true).map_err(|_| Failure::Reset)?;
    stream.write_all(bytes).await.map_err(|_| Failure::Reset)?;
    let mut reply = Vec::with_capacity(REPLY_BYTES_USUAL);
    let mut framer = Framer::new(framing);
    let range = loop {
        let n = stream.read_buf(&mut reply).await.map_err(|_| Failure::Reset)?;
        if let Some(range) = framer.whole(&reply)? {
            break range;
        }
        if n == 0 {
            break framer.ended(&reply)?;
        }
    };
    reply.truncate(range.end);
    reply.drain(..range.start);
    Ok(reply)
}

/// Whether a connection failed over there, or could not even be tried here.
fn unconnected(e: &io::Error) -> Failure {
    // The standard library has no names for most of these; the numbers are Linux's.
    const EAGAIN: i32 = 11;
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const EADDRNOTAVAIL: i32 = 99;
    const ENOBUFS: i32 = 105;
    match e.raw_os_error() {
        Some(EAGAIN | ENOMEM | ENFILE | EMFILE | EADDRNOTAVAIL | ENOBUFS) => Failure::Local,
        _ => Failure::Connect,
    }
}

#[cfg(test)]
mod tests;

//! The thin part that touches sockets: one connection a request, one write, one reply up to its
//! NUL or the end of the stream, and the connection is closed at once. Nothing is ever held open:
//! one idle connection blocks every other client of a machine.

use crate::{Failure, REPLY_BYTES_MAX, Request, RequestId};
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
use tokio::task::AbortHandle;

/// Space a reply starts out with; most fit.
const REPLY_BYTES_USUAL: usize = 1024;
/// Handles kept before ended ones are first swept out.
const SWEEP_MIN: usize = 1024;

/// How a request ended.
#[derive(Debug)]
pub struct WireResult {
    /// Which request.
    pub request: RequestId,
    /// The reply without its NUL, or why there is none.
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
    results: mpsc::Sender<WireResult>,
    /// Requests that may have to be abandoned; ended ones are swept out now and then.
    live: HashMap<RequestId, AbortHandle>,
    sweep_at: usize,
}

impl Wire {
    /// Builds it over addresses by machine id; results go to a bounded channel, and a request
    /// whose result finds it full waits there without holding its connection.
    #[must_use]
    pub fn new(addresses: Arc<[SocketAddr]>, results: mpsc::Sender<WireResult>) -> Self {
        Self { addresses, results, live: HashMap::new(), sweep_at: SWEEP_MIN }
    }

    /// Puts a request on the wire. Must be called inside a tokio runtime. How many may be there
    /// at once is bounded by the driver.
    pub fn send(&mut self, request: Request) {
        let Request { id, machine, bytes, budget } = request;
        let address = self.addresses.get(machine.index()).copied();
        let results = self.results.clone();
        let task = tokio::spawn(async move {
            let result = match address {
                Some(address) => trip(address, &bytes, budget).await,
                None => Err(Failure::Connect),
            };
            // Nobody left to hear it: the driver is gone, and so is the need.
            let _ = results.send(WireResult { request: id, result }).await;
        });
        if self.live.len() >= self.sweep_at {
            self.live.retain(|_, task| !task.is_finished());
            self.sweep_at = SWEEP_MIN.max(2 * self.live.len());
        }
        self.live.insert(id, task.abort_handle());
    }

    /// Abandons a request: its connection is closed. A result already on its way may still
    /// come; the driver knows it no more.
    pub fn cancel(&mut self, request: RequestId) {
        if let Some(task) = self.live.remove(&request) {
            task.abort();
        }
    }
}

/// One whole trip: connect, write, read, close, within a budget.
///
/// # Errors
/// [`Failure`] says how far it came.
pub async fn trip(address: SocketAddr, bytes: &[u8], budget: Span) -> Result<Vec<u8>, Failure> {
    let budget = Duration::from_nanos(u64::try_from(budget.0).unwrap_or(0));
    match tokio::time::timeout(budget, exchange(address, bytes)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Timeout),
    }
}

async fn exchange(address: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut stream = TcpStream::connect(address).await.map_err(|_| Failure::Connect)?;
    // A request split over two segments is "Invalid JSON" to the original program.
    stream.set_nodelay(true).map_err(|_| Failure::Reset)?;
    stream.write_all(bytes).await.map_err(|_| Failure::Reset)?;
    let mut reply = Vec::with_capacity(REPLY_BYTES_USUAL);
    loop {
        let seen = reply.len();
        let n = stream.read_buf(&mut reply).await.map_err(|_| Failure::Reset)?;
        if let Some(nul) = reply[seen..].iter().position(|b| *b == 0) {
            reply.truncate(seen + nul);
            return Ok(reply);
        }
        if reply.len() > REPLY_BYTES_MAX {
            return Err(Failure::TooLong);
        }
        if n == 0 {
            return if reply.is_empty() { Err(Failure::Reset) } else { Ok(reply) };
        }
    }
}

#[cfg(test)]
mod tests;

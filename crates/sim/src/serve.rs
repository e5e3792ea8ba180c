//! Puts a farm on loopback sockets: every machine has its own 127.x.y.z and its own API.
//!
//! One socket, bound to all addresses of the loopback device, takes the connections of all
//! machines; the address that was called names the machine. Where that binding is refused, each
//! machine gets a socket of its own. As on the real thing, a cgminer serves one connection at
//! a time, reads once, answers once and closes; a connection that says nothing blocks the rest.
//! A web server reads on until it has the whole request and serves several at once.

use crate::address::ADDRESSES_MAX;
use crate::farm::Farm;
use crate::firmware::{Call, Firmware, is_whole};
use crate::luxos_api::{ApiAnswer, REQUEST_BYTES_MAX};
use headgate_core::fleet::MachineId;
use headgate_core::time::{Span, Time};
use headgate_drivers::{Framing, Port};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Connections waiting to be accepted from the socket of all machines.
const BACKLOG_ALL: i32 = 8192;
/// Connections waiting to be accepted from one machine's own socket.
const BACKLOG_ONE: i32 = 128;
/// Connections that wait for one machine to become free; more are refused, as by its own kernel.
pub const WAITING_MAX: u32 = 100;
/// Connections open at one time on all machines together; more are refused.
pub const CONNECTIONS_MAX: usize = 65_536;
/// How long accepting pauses when the process has no file handle left.
const OUT_OF_HANDLES_PAUSE: Duration = Duration::from_millis(20);
/// Longest request of several reads, such as a whole configuration.
const LONG_REQUEST_BYTES_MAX: usize = 64 * 1024;
/// How long a connection that says nothing is kept, where a firmware does not wait for ever.
const IDLE: Duration = Duration::from_secs(10);
/// How many free ports are tried until one is free on every machine's address.
const PORT_TRIES: u32 = 16;

/// Tells the farm's simulated time.
pub trait SimClock: Send + Sync {
    /// The simulated time now.
    fn now(&self) -> Time;
}

/// The clock on the wall: simulated time at its natural speed.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

impl SimClock for WallClock {
    fn now(&self) -> Time {
        #[expect(clippy::disallowed_methods, reason = "this is the clock of the shell")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_nanos()).unwrap_or(Time::MAX.0))
    }
}

/// How the machines' addresses are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// One socket on the loopback device for all machines.
    Device,
    /// One socket for each machine.
    EachAddress,
}

/// Says why a farm cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A socket could not be opened.
    #[error("failed to listen on {address} for the simulated farm")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One socket for each machine is more than this process may open.
    #[error(
        "failed to listen for all {machines} simulated machines: binding to the loopback device \
         is not allowed here, and one socket a machine is more than this process may open; raise \
         the limit with `ulimit -n` or simulate fewer machines"
    )]
    Handles {
        /// How many machines there are.
        machines: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a listening socket stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// This port of every machine, whatever its number on the real thing.
    Port(Port),
    /// The number that the real thing has; a machine that has none such refuses.
    Usual(u16),
}

impl Door {
    fn port(self, firmware: Firmware) -> Option<Port> {
        match self {
            Self::Port(port) => Some(port),
            Self::Usual(number) => firmware.port_at(number),
        }
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct FarmServer {
    port: u16,
    aux_port: Option<u16>,
    binding: Binding,
    machines: u32,
    stop: watch::Sender<bool>,
}

impl FarmServer {
    /// Serves a farm on a port of all its addresses; port 0 takes a free one. Machines with a
    /// second port have it on a free one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ServeError`] when no socket can be opened.
    pub fn start(
        farm: Arc<Mutex<Farm>>,
        clock: Arc<dyn SimClock>,
        port: u16,
    ) -> Result<Self, ServeError> {
        let mut doors = vec![(Door::Port(Port::Main), port)];
        if has_aux(&farm) {
            doors.push((Door::Port(Port::Aux), 0));
        }
        Self::open(farm, clock, &doors)
    }

    /// Serves a farm on the ports that the real things have, which foreign clients insist on.
    ///
    /// # Errors
    /// [`ServeError`] when a socket cannot be opened; some of these ports need privileges.
    pub fn start_usual(
        farm: Arc<Mutex<Farm>>,
        clock: Arc<dyn SimClock>,
    ) -> Result<Self, ServeError> {
        let numbers: BTreeSet<u16> = {
            let farm = lock(&farm);
            let usual = |f: Firmware| [Port::Main, Port::Aux].map(|p| f.usual_port(p));
            farm.firmwares().into_iter().flat_map(usual).flatten().collect()
        };
        let doors: Vec<_> = numbers.into_iter().map(|n| (Door::Usual(n), n)).collect();
        Self::open(farm, clock, &doors)
    }

    fn open(
        farm: Arc<Mutex<Farm>>,
        clock: Arc<dyn SimClock>,
        doors: &[(Door, u16)],
    ) -> Result<Self, ServeError> {
        let open = |(door, port): &(Door, u16)| {
            let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port));
            let at = |source| (all, source);
            listen(all, true, BACKLOG_ALL).map(|l| (*door, None, l)).map_err(at)
        };
        match doors.iter().map(open).collect() {
            Ok(listeners) => Self::run(farm, clock, listeners),
            Err((_, e)) if e.kind() == io::ErrorKind::PermissionDenied || unsupported(&e) => {
                Self::open_each(farm, clock, doors)
            }
            Err((address, source)) => Err(ServeError::Listen { address, source }),
        }
    }

    /// Serves a farm with one socket for each machine.
    ///
    /// # Errors
    /// [`ServeError`] when the sockets cannot be opened.
    pub fn start_each(
        farm: Arc<Mutex<Farm>>,
        clock: Arc<dyn SimClock>,
        port: u16,
    ) -> Result<Self, ServeError> {
        let mut doors = vec![(Door::Port(Port::Main), port)];
        if has_aux(&farm) {
            doors.push((Door::Port(Port::Aux), 0));
        }
        Self::open_each(farm, clock, &doors)
    }

    fn open_each(
        farm: Arc<Mutex<Farm>>,
        clock: Arc<dyn SimClock>,
        doors: &[(Door, u16)],
    ) -> Result<Self, ServeError> {
        let mut listeners = Vec::new();
        for (door, port) in doors {
            listeners.extend(Self::door_each(&farm, *door, *port)?);
        }
        Self::run(farm, clock, listeners)
    }

    fn door_each(farm: &Arc<Mutex<Farm>>, door: Door, port: u16) -> Result<Listeners, ServeError> {
        let addresses: Vec<(MachineId, Ipv4Addr)> = {
            let farm = lock(farm);
            let ids = (0..ADDRESSES_MAX).map(MachineId).take(farm.machines());
            ids.filter_map(|m| farm.address(m).map(|a| (m, a))).collect()
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match listen_each(&addresses, door, port) {
                Ok(listeners) => return Ok(listeners),
                Err((_, e)) if e.raw_os_error() == Some(EMFILE) => {
                    return Err(ServeError::Handles { machines: addresses.len(), source: e });
                }
                Err((_, e))
                    if port == 0 && e.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES => {}
                Err((address, source)) => return Err(ServeError::Listen { address, source }),
            }
        }
    }

    fn run(
        farm: Arc<Mutex<Farm>>,
        clock: Arc<dyn SimClock>,
        listeners: Listeners,
    ) -> Result<Self, ServeError> {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let port_of = |(_, _, l): &(Door, Option<MachineId>, TcpListener)| {
            let address = l.local_addr();
            address.map(|a| a.port()).map_err(|source| ServeError::Listen { address: any, source })
        };
        let port = listeners.first().map_or(Ok(0), port_of)?;
        let aux = listeners.iter().find(|(door, ..)| *door == Door::Port(Port::Aux));
        let aux_port = aux.map(port_of).transpose()?;
        let machines = lock(&farm).machines();
        let each = listeners.iter().any(|(_, machine, _)| machine.is_some());
        let shared = Arc::new(Shared {
            seats: (0..machines).map(|_| Seat::default()).collect(),
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            farm,
            clock,
        });
        let (stop, stopped) = watch::channel(false);
        for (door, machine, listener) in listeners {
            let at = (door, machine);
            tokio::spawn(accept(Arc::clone(&shared), at, listener, stopped.clone()));
        }
        let binding = if each { Binding::EachAddress } else { Binding::Device };
        let machines = u32::try_from(machines).unwrap_or(u32::MAX);
        Ok(Self { port, aux_port, binding, machines, stop })
    }

    /// The port that is served.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The machines' second port, where one has one and it is not the real thing's.
    #[must_use]
    pub fn aux_port(&self) -> Option<u16> {
        self.aux_port
    }

    /// How the addresses are served.
    #[must_use]
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// Where each machine is, in order of their numbers.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let ids = (0..self.machines).map(MachineId);
        ids.filter_map(crate::address::address_of).map(|a| SocketAddr::from((a, self.port)))
    }

    /// Stops serving: no connection is accepted any more, and open ones are closed.
    pub fn shutdown(self) {
        // With no receiver left there is nothing to stop.
        let _ = self.stop.send(true);
    }
}

impl Drop for FarmServer {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// `EMFILE`: no file handle left.
const EMFILE: i32 = 24;
/// `ENOPROTOOPT`: the option is not known here.
const ENOPROTOOPT: i32 = 92;
/// `ENODEV`: there is no loopback device of that name.
const ENODEV: i32 = 19;

fn unsupported(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::Unsupported || matches!(e.raw_os_error(), Some(ENOPROTOOPT | ENODEV))
}

fn listen(address: SocketAddr, on_loopback: bool, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if on_loopback {
        // Without this the wildcard address would serve the whole network.
        socket.bind_device(Some(b"lo"))?;
    }
    // What is accepted inherits it: a reply must not wait for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

type Listeners = Vec<(Door, Option<MachineId>, TcpListener)>;

fn has_aux(farm: &Mutex<Farm>) -> bool {
    lock(farm).firmwares().iter().any(|f| f.usual_port(Port::Aux).is_some())
}

fn listen_each(
    addresses: &[(MachineId, Ipv4Addr)],
    door: Door,
    port: u16,
) -> Result<Listeners, (SocketAddr, io::Error)> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut port = port;
    for (machine, address) in addresses {
        let address = SocketAddr::from((*address, port));
        let listener = listen(address, false, BACKLOG_ONE).map_err(|e| (address, e))?;
        port = listener.local_addr().map_err(|e| (address, e))?.port();
        listeners.push((door, Some(*machine), listener));
    }
    Ok(listeners)
}

/// One machine's API: who is served, and how many wait.
#[derive(Debug, Default)]
struct Seat {
    taken: tokio::sync::Mutex<()>,
    waiting: AtomicU32,
}

struct Shared {
    farm: Arc<Mutex<Farm>>,
    clock: Arc<dyn SimClock>,
    seats: Vec<Seat>,
    room: Arc<Semaphore>,
}

/// A panic elsewhere while the farm was locked leaves sums that are still each on their own
/// right, so serving goes on.
fn lock(farm: &Mutex<Farm>) -> MutexGuard<'_, Farm> {
    farm.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(
    shared: Arc<Shared>,
    at: (Door, Option<MachineId>),
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
) {
    let closing = stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(OUT_OF_HANDLES_PAUSE).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&shared.room).try_acquire_owned() else {
            refuse(&stream);
            continue;
        };
        let shared = Arc::clone(&shared);
        let mut closing = closing.clone();
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = connection(&shared, at, stream) => {}
                _ = closing.wait_for(|stop| *stop) => {}
            }
        });
    }
}

/// Resets a connection: the nearest that one socket for all comes to a refusal.
fn refuse(stream: &TcpStream) {
    // When even that fails, the connection is closed in the ordinary way.
    let _ = stream.set_zero_linger();
}

async fn connection(
    shared: &Shared,
    (door, machine): (Door, Option<MachineId>),
    mut stream: TcpStream,
) {
    let called = || match stream.local_addr().map(|a| a.ip()) {
        Ok(IpAddr::V4(address)) => lock(&shared.farm).at(address),
        _ => None,
    };
    let Some(machine) = machine.or_else(called) else {
        return refuse(&stream);
    };
    let (accepts, firmware) = {
        let mut farm = lock(&shared.farm);
        (farm.accepts(machine, shared.clock.now()), farm.firmware(machine))
    };
    let Some(port) = door.port(firmware).filter(|_| accepts) else {
        return refuse(&stream);
    };
    if firmware.framing(port) != Framing::NulOrEof {
        return serve(shared, machine, port, &mut stream).await;
    }
    let seat = &shared.seats[machine.index()];
    if seat.waiting.fetch_add(1, Ordering::Relaxed) > WAITING_MAX {
        seat.waiting.fetch_sub(1, Ordering::Relaxed);
        return refuse(&stream);
    }
    let _leaves = Leaves(&seat.waiting);
    let _served = seat.taken.lock().await;
    serve(shared, machine, port, &mut stream).await;
}

/// Gives the place in the queue back, however the connection ends.
struct Leaves<'a>(&'a AtomicU32);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads a request: at once where the machine does, else until it is whole.
async fn request(firmware: Firmware, port: Port, stream: &mut TcpStream) -> Option<Vec<u8>> {
    let framing = firmware.framing(port);
    let mut came = Vec::with_capacity(REQUEST_BYTES_MAX);
    let read = async {
        loop {
            let n = stream.read_buf(&mut came).await.ok()?;
            if n == 0 || is_whole(framing, &came) {
                return Some(());
            }
            if came.len() > LONG_REQUEST_BYTES_MAX {
                return None;
            }
        }
    };
    if firmware == Firmware::Luxos {
        read.await?;
    } else {
        tokio::time::timeout(IDLE, read).await.ok()??;
    }
    Some(came)
}

/// One request, one answer. What a broken connection makes of it concerns the client alone.
async fn serve(shared: &Shared, machine: MachineId, port: Port, stream: &mut TcpStream) {
    let firmware = lock(&shared.farm).firmware(machine);
    let Some(bytes) = request(firmware, port, stream).await else { return };
    let peer = match stream.peer_addr().map(|a| a.ip()) {
        Ok(IpAddr::V4(peer)) => peer,
        _ => Ipv4Addr::LOCALHOST,
    };
    let (answer, delay) = {
        let (now, wall) = (shared.clock.now(), WallClock.now());
        let mut farm = lock(&shared.farm);
        let call = Call { port, peer, bytes: &bytes };
        (farm.call(machine, now, wall, call), farm.answer_delay(machine))
    };
    match answer {
        ApiAnswer::Reply(bytes) => reply(stream, &bytes, delay).await,
        ApiAnswer::Later(bytes, takes) => reply(stream, &bytes, delay + takes).await,
        // The machine's one thread hangs until the client gives up.
        ApiAnswer::Never => while matches!(stream.read(&mut [0; 64]).await, Ok(1..)) {},
        ApiAnswer::Close => {}
        ApiAnswer::Refuse => refuse(stream),
    }
}

async fn reply(stream: &mut TcpStream, bytes: &[u8], delay: Span) {
    if delay > Span::ZERO {
        tokio::time::sleep(Duration::from_nanos(delay.0.unsigned_abs())).await;
    }
    let _ = stream.write_all(bytes).await;
}

//! Headgate's drivers turn plans into machine commands and machine replies into telemetry.
//!
//! A driver is sans-IO: [`Driver::on`] takes the time and one [`Input`] and says in an
//! [`Output`] what to put on the wire, what to tell the engine and when to call again. It never
//! opens a socket and never reads a clock, so the simulator runs the very same code; `shell`
//! is the thin tokio part that carries the bytes.

pub mod antminer;
pub mod avalon;
pub mod braiins;
pub mod cgminer;
pub mod devices;
pub mod digest;
pub mod family;
pub mod fleet;
pub mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod http;
pub mod luxos;
pub mod secret;
pub mod shell;
pub mod whatsminer;

pub use frame::Framing;

use headgate_core::fleet::{MachineId, TelemetryBatch};
use headgate_core::plan::DispatchPlan;
use headgate_core::time::{Span, Time};

/// Names one request on the wire; never used twice by one driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Which of a machine's ports a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The one of its address.
    Main,
    /// The driver's second one, at the same host.
    Aux,
}

/// One request: one connection, one write, one reply as its framing says.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Names it.
    pub id: RequestId,
    /// Whom it is for.
    pub machine: MachineId,
    /// Which of its ports it goes to.
    pub port: Port,
    /// How the reply ends.
    pub framing: Framing,
    /// What to write, in one write.
    pub bytes: Vec<u8>,
    /// Wall time it may take, connecting included.
    pub budget: Span,
}

impl std::fmt::Debug for Request {
    // A request may carry a password or what could be used like one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, machine, port, framing, bytes, .. } = self;
        let length = bytes.len();
        write!(f, "Request({id:?} to {machine:?} {port:?}, {framing:?}, {length} bytes)")
    }
}

/// Why a request brought no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The connection was refused or the host is unreachable.
    Connect,
    /// The connection broke before a whole reply.
    Reset,
    /// The budget was used up.
    Timeout,
    /// This side could not even try: it is out of descriptors or ports. It says nothing of the
    /// machine.
    Local,
    /// The reply was longer than [`REPLY_BYTES_MAX`].
    TooLong,
}

/// Longest reply taken in; a `profiles` reply of a real machine has about 6 kB.
pub const REPLY_BYTES_MAX: usize = 256 * 1024;

/// What can happen to a driver.
#[derive(Debug)]
pub enum Input<'a> {
    /// A plan to carry out. Changes of machines that are not this driver's are ignored.
    Plan(&'a DispatchPlan),
    /// A request was answered.
    Reply {
        /// Which.
        request: RequestId,
        /// The whole reply without its framing.
        bytes: &'a [u8],
    },
    /// A request was not answered.
    Failed {
        /// Which.
        request: RequestId,
        /// Why.
        failure: Failure,
    },
    /// The time asked for by [`Output::wake`] has come.
    Timer,
    /// Read the real state of every machine now; at start-up, before any command.
    ReadBack,
}

/// What a driver wants done. Reused between calls: the caller drains it.
#[derive(Debug, Default)]
pub struct Output {
    /// Requests to put on the wire now.
    pub requests: Vec<Request>,
    /// Requests to abandon: their connections are closed and nothing more is heard of them.
    pub cancel: Vec<RequestId>,
    /// Something to tell the engine; at most one batch a second.
    pub telemetry: Option<TelemetryBatch>,
    /// When to call again with [`Input::Timer`].
    pub wake: Option<Time>,
}

/// Machine commands since the start, by how they ended. At rest
/// `commands = acked + refused + timed_out + unconfirmed` and also
/// `commands = confirmed + drifted + unavailable + superseded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Commands put on the wire.
    pub commands: u64,
    /// Answered yes.
    pub acked: u64,
    /// Answered no.
    pub refused: u64,
    /// Not answered.
    pub timed_out: u64,
    /// Sent where no answer is to be awaited: only watts say what became of it.
    #[serde(default)]
    pub unconfirmed: u64,
    /// Proven by watts.
    pub confirmed: u64,
    /// Answered yes, watts say no.
    pub drifted: u64,
    /// Refused or unheard of, and not proven by watts either.
    pub unavailable: u64,
    /// Overtaken by a newer command before they were proven.
    pub superseded: u64,
    /// Machines whose command is still open.
    pub open: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.commands += more.commands;
        self.acked += more.acked;
        self.refused += more.refused;
        self.timed_out += more.timed_out;
        self.unconfirmed += more.unconfirmed;
        self.confirmed += more.confirmed;
        self.drifted += more.drifted;
        self.unavailable += more.unavailable;
        self.superseded += more.superseded;
        self.open += more.open;
    }
}

/// A family of machines behind one protocol.
pub trait Driver: Send {
    /// Takes one input and adds to `out` what follows from it.
    fn on(&mut self, now: Time, input: Input<'_>, out: &mut Output);
    /// How the commands so far have ended.
    fn counts(&self) -> Counts;
    /// Whether a command is on the wire or a fall in power is still to be proven; an accelerated
    /// clock slows down for it.
    fn proving(&self) -> bool;
}

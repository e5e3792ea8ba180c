//! Devices that speak Modbus TCP, and meters among them.
//!
//! A device's connection stays open between readings; many meters have room for a few clients
//! alone and none for one that comes and goes each second. Anything that may have left an answer
//! under way, a timeout above all, closes it, so that no answer is ever taken for another's.

use super::register::{Bounds, Register, Table};
use super::{DeviceFault, MeterRead};
use headgate_core::event::MeterId;
use headgate_core::time::Span;
use headgate_core::units::Power;
use std::fmt;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::Slave;
use tokio_modbus::{Request, Response};

/// The port of Modbus TCP.
pub const PORT: u16 = 502;
/// Longest pause before a silent meter is tried again, or its own pace where that is slower.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// Readings that may wait for whoever takes them, of all meters; a newer one is worth more than
/// an old one, so what finds no room is dropped.
pub const READS_MAX: usize = 64;

/// A device's connection.
pub(super) struct Link {
    address: String,
    unit_id: u8,
    budget: Span,
    open: Option<Context>,
}

impl Link {
    /// A device that is not connected to yet.
    pub(super) fn new(address: &str, unit_id: u8, budget: Span) -> Self {
        Self { address: address.to_owned(), unit_id, budget, open: None }
    }

    /// One question and its answer, connecting first where that is needed.
    pub(super) async fn call(&mut self, request: Request<'_>) -> Result<Response, DeviceFault> {
        // The connection is out while it is used: a call that is given up takes it along.
        let open = self.open.take();
        let asked = async {
            let mut open = match open {
                Some(open) => open,
                None => connect(&self.address, self.unit_id).await?,
            };
            let answer = open.call(request).await.map_err(DeviceFault::Wire)?;
            Ok::<_, DeviceFault>((open, answer))
        };
        let asked = tokio::time::timeout(duration(self.budget), asked).await;
        let (open, answer) = asked.map_err(|_| DeviceFault::Timeout)??;
        self.open = Some(open);
        answer.map_err(DeviceFault::Refused)
    }
}

async fn connect(address: &str, unit_id: u8) -> Result<Context, DeviceFault> {
    let stream = TcpStream::connect(address).await.map_err(DeviceFault::Connect)?;
    // One small question at a time: waiting to join it with another only makes it late.
    stream.set_nodelay(true).map_err(DeviceFault::Connect)?;
    Ok(tcp::attach_slave(stream, Slave(unit_id)))
}

/// A meter: where it is and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterPlan {
    /// Host and port.
    pub address: String,
    /// Which device behind the address.
    pub unit_id: u8,
    /// Where its active power is.
    pub power: Register,
    /// What is believed of it.
    pub bounds: Bounds,
    /// How often it is read.
    pub every: Span,
    /// Wall time one reading may take, connecting included.
    pub budget: Span,
}

/// A meter on its wire.
pub struct Meter {
    plan: MeterPlan,
    link: Link,
    /// What was last believed.
    before: Option<Power>,
}

impl Meter {
    /// A meter that is not connected to yet.
    #[must_use]
    pub fn new(plan: MeterPlan) -> Self {
        let link = Link::new(&plan.address, plan.unit_id, plan.budget);
        Self { plan, link, before: None }
    }

    /// Reads it once.
    ///
    /// # Errors
    /// [`DeviceFault`] says why its power is not known.
    pub async fn read(&mut self) -> Result<Power, DeviceFault> {
        let (at, count) = (self.plan.power.at, self.plan.power.shape.words());
        // Not by the crate's own readers: where assertions are on, an answer of another length is
        // a panic there.
        let request = match self.plan.power.table {
            Table::Holding => Request::ReadHoldingRegisters(at, count),
            Table::Input => Request::ReadInputRegisters(at, count),
        };
        let words = match self.link.call(request).await? {
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => words,
            _ => Vec::new(),
        };
        let power = self.plan.power.power(&words)?;
        let believed = self.plan.bounds.believe(power, self.before)?;
        self.before = Some(believed);
        Ok(believed)
    }

    /// Reads it at its pace until nobody takes its readings any more. A meter that cannot be
    /// reached is tried less often; one that answers, whatever it says, is not.
    pub async fn follow(mut self, meter: MeterId, reads: mpsc::Sender<MeterRead>) {
        let every = duration(self.plan.every);
        let mut pace = tokio::time::interval(every);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut silent = 0;
        loop {
            pace.tick().await;
            #[expect(clippy::disallowed_methods, reason = "a reading's age is told in wall time")]
            let asked = Instant::now();
            let power = self.read().await;
            silent = match &power {
                Err(fault) if !fault.answered() => silent + 1,
                _ => 0,
            };
            let told = reads.try_send(MeterRead { meter, asked, power });
            if let Err(mpsc::error::TrySendError::Closed(_)) = told {
                return;
            }
            if silent > 0 {
                tokio::time::sleep(pause(every, silent)).await;
            }
        }
    }
}

/// Pause after so many readings in a row without an answer, beside the usual pace.
fn pause(every: Duration, silent: u32) -> Duration {
    let doubled = every.saturating_mul(1 << silent.min(16).saturating_sub(1));
    doubled.min(PAUSE_MAX).saturating_sub(every)
}

pub(super) fn duration(span: Span) -> Duration {
    Duration::from_nanos(u64::try_from(span.0).unwrap_or(0))
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, before) = (self.link.open.is_some(), self.before);
        write!(f, "Meter {{ plan: {:?}, open: {open}, before: {before:?} }}", self.plan)
    }
}

#[cfg(test)]
mod tests;

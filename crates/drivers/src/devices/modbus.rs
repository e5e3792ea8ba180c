//! Meters that speak Modbus TCP.
//!
//! A meter's connection stays open between readings; many meters have room for a few clients
//! alone and none for one that comes and goes each second. Anything that may have left an answer
//! under way, a timeout above all, closes it, so that no answer is ever taken for another's.

use super::register::{Bounds, Register, Table};
use super::{MeterFault, MeterRead};
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
    link: Option<Context>,
    /// What was last believed.
    before: Option<Power>,
}

impl Meter {
    /// A meter that is not connected to yet.
    #[must_use]
    pub fn new(plan: MeterPlan) -> Self {
        Self { plan, link: None, before: None }
    }

    /// Reads it once.
    ///
    /// # Errors
    /// [`MeterFault`] says why its power is not known.
    pub async fn read(&mut self) -> Result<Power, MeterFault> {
        // The link is out while it is used: a reading that is given up takes it along.
        let link = self.link.take();
        let read = tokio::time::timeout(duration(self.plan.budget), ask(&self.plan, link));
        let (link, words) = read.await.map_err(|_| MeterFault::Timeout)??;
        self.link = Some(link);
        let power = self.plan.power.power(&words.map_err(MeterFault::Refused)?)?;
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

fn duration(span: Span) -> Duration {
    Duration::from_nanos(u64::try_from(span.0).unwrap_or(0))
}

type Words = Result<Vec<u16>, tokio_modbus::ExceptionCode>;

/// Asks for the words of the power, over a link that is there or a new one.
async fn ask(plan: &MeterPlan, link: Option<Context>) -> Result<(Context, Words), MeterFault> {
    let mut link = match link {
        Some(link) => link,
        None => connect(plan).await?,
    };
    let (at, count) = (plan.power.at, plan.power.shape.words());
    // Not by the crate's own readers: where assertions are on, an answer of another length is
    // a panic there.
    let request = match plan.power.table {
        Table::Holding => Request::ReadHoldingRegisters(at, count),
        Table::Input => Request::ReadInputRegisters(at, count),
    };
    let words = match link.call(request).await.map_err(MeterFault::Wire)? {
        Ok(Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words)) => {
            Ok(words)
        }
        Ok(_) => Ok(Vec::new()),
        Err(code) => Err(code),
    };
    Ok((link, words))
}

async fn connect(plan: &MeterPlan) -> Result<Context, MeterFault> {
    let stream = TcpStream::connect(&plan.address).await.map_err(MeterFault::Connect)?;
    // One small question at a time: waiting to join it with another only makes it late.
    stream.set_nodelay(true).map_err(MeterFault::Connect)?;
    Ok(tcp::attach_slave(stream, Slave(plan.unit_id)))
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, before) = (self.link.is_some(), self.before);
        write!(f, "Meter {{ plan: {:?}, open: {open}, before: {before:?} }}", self.plan)
    }
}

#[cfg(test)]
mod tests;

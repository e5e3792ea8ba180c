//! Breakers, contactors and the like over Modbus TCP: read at their pace, told what the site
//! allows, and read back after that. What was written proves nothing; what is read back does.

use super::DeviceFault;
use super::modbus::{Link, duration};
use headgate_core::hands::SwitchId;
use headgate_core::time::Span;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_modbus::{Request, Response};

/// Tells that may wait for one switch; the last is what counts.
pub const TELLS_MAX: usize = 8;
/// Times a switch is told to open before it is left to a person, and read back after each.
const OPENS: u32 = 3;
/// Times it is told to close: what did not stay closed may have tripped, and closing it again is
/// a person's to decide.
const CLOSES: u32 = 1;
/// Times it is read back after it was told, and the pause before each: breakers take a moment.
const LOOKS: u32 = 5;
const LOOK_AFTER: Duration = Duration::from_millis(200);

/// Where a switch's state is written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// A bit that can be written.
    Coil,
    /// A bit that can be read alone.
    Discrete,
    /// A word that can be written.
    Holding,
    /// A word that can be read alone.
    Input,
}

/// A switch's state in a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// In which table.
    pub spot: Spot,
    /// Its address as it goes over the wire, from 0.
    pub at: u16,
    /// What stands for closed; 0 or 1 for a bit.
    pub on: u16,
    /// What stands for open.
    pub off: u16,
}

/// A switch: where it is, how it is told and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchPlan {
    /// Host and port.
    pub address: String,
    /// Which device behind the address.
    pub unit_id: u8,
    /// Where it is told.
    pub write: Point,
    /// Where it shows how it stands.
    pub read_back: Point,
    /// Whether it may be told at all.
    pub allowed: bool,
    /// How often it is read.
    pub every: Span,
    /// Wall time of one question, connecting included.
    pub budget: Span,
}

/// Everything that may be written to any device, and nothing else ever is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowList(Vec<Write>);

/// One value at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Write {
    address: String,
    unit_id: u8,
    spot: Spot,
    at: u16,
    value: u16,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, unit_id, spot, at, value } = self;
        write!(f, "{value} to {spot:?} {at} of device {unit_id} at {address}")
    }
}

impl AllowList {
    /// What the plans that are allowed may write: on and off, each at its place.
    #[must_use]
    pub fn of<'a>(plans: impl IntoIterator<Item = &'a SwitchPlan>) -> Self {
        let allowed = plans.into_iter().filter(|p| p.allowed);
        Self(allowed.flat_map(|p| [true, false].map(|on| p.telling(on))).collect())
    }

    /// The one place where it is decided whether something may be written.
    fn check(&self, write: &Write) -> Result<(), DeviceFault> {
        let writable = matches!(write.spot, Spot::Coil | Spot::Holding);
        match writable && self.0.contains(write) {
            true => Ok(()),
            false => Err(DeviceFault::Forbidden(write.to_string())),
        }
    }
}

impl SwitchPlan {
    fn telling(&self, closed: bool) -> Write {
        let Point { spot, at, on, off } = self.write;
        let value = if closed { on } else { off };
        Write { address: self.address.clone(), unit_id: self.unit_id, spot, at, value }
    }
}

/// How a switch was found.
#[derive(Debug)]
pub struct SwitchRead {
    /// Which.
    pub switch: SwitchId,
    /// Whether it is closed; `None` where it answered and could not tell.
    pub closed: Result<Option<bool>, DeviceFault>,
}

/// A switch on its wire.
pub struct Switch {
    plan: SwitchPlan,
    list: Arc<AllowList>,
    link: Link,
}

impl Switch {
    /// A switch that is not connected to yet, and what may be written.
    #[must_use]
    pub fn new(plan: SwitchPlan, list: Arc<AllowList>) -> Self {
        let link = Link::new(&plan.address, plan.unit_id, plan.budget);
        Self { plan, list, link }
    }

    /// Reads how it stands; `None` where that is neither open nor closed.
    ///
    /// # Errors
    /// [`DeviceFault`] says why it does not tell.
    pub async fn read(&mut self) -> Result<Option<bool>, DeviceFault> {
        let Point { spot, at, on, off } = self.plan.read_back;
        let request = match spot {
            Spot::Coil => Request::ReadCoils(at, 1),
            Spot::Discrete => Request::ReadDiscreteInputs(at, 1),
            Spot::Holding => Request::ReadHoldingRegisters(at, 1),
            Spot::Input => Request::ReadInputRegisters(at, 1),
        };
        let value = match self.link.call(request).await? {
            // Bits come by the byte.
            Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => {
                bits.first().map(|bit| u16::from(*bit))
            }
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words)
                if words.len() == 1 =>
            {
                Some(words[0])
            }
            _ => None,
        };
        Ok(value.and_then(|v| if v == on { Some(true) } else { (v == off).then_some(false) }))
    }

    /// Tells it and reads it back until it has done it; to open some times over, to close once.
    ///
    /// # Errors
    /// [`DeviceFault::Forbidden`] before anything is sent; else why it does not tell.
    pub async fn tell(&mut self, closed: bool) -> Result<Option<bool>, DeviceFault> {
        self.tell_newest(closed, || None).await
    }

    /// Tells it as [`Self::tell`], and turns to a newer tell as soon as there is one.
    async fn tell_newest(
        &mut self,
        mut closed: bool,
        mut newer: impl FnMut() -> Option<bool>,
    ) -> Result<Option<bool>, DeviceFault> {
        let mut found = Ok(None);
        let mut told = 0;
        'telling: while told < if closed { CLOSES } else { OPENS } {
            told += 1;
            if let Err(fault) = self.write(closed).await {
                let forbidden = matches!(fault, DeviceFault::Forbidden(_));
                found = Err(fault);
                if forbidden {
                    break;
                }
            }
            for _ in 0..LOOKS {
                tokio::time::sleep(LOOK_AFTER).await;
                if let Some(newest) = newer().filter(|newest| *newest != closed) {
                    (closed, told) = (newest, 0);
                    continue 'telling;
                }
                found = self.read().await;
                if matches!(found, Ok(Some(now)) if now == closed) {
                    return found;
                }
            }
        }
        found
    }

    /// The only function that writes to a device.
    async fn write(&mut self, closed: bool) -> Result<(), DeviceFault> {
        let write = self.plan.telling(closed);
        self.list.check(&write)?;
        let request = match write.spot {
            Spot::Coil | Spot::Discrete => Request::WriteSingleCoil(write.at, write.value != 0),
            Spot::Holding | Spot::Input => {
                Request::WriteMultipleRegisters(write.at, Cow::Owned(vec![write.value]))
            }
        };
        self.link.call(request).await.map(|_| ())
    }

    /// Reads it at its pace, and tells it what comes, until nobody takes its readings any more.
    pub async fn follow(
        mut self,
        switch: SwitchId,
        mut tells: mpsc::Receiver<bool>,
        reads: mpsc::Sender<SwitchRead>,
    ) {
        let mut pace = tokio::time::interval(duration(self.plan.every));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let closed = tokio::select! {
                biased;
                told = tells.recv() => {
                    let Some(mut told) = told else { return };
                    let mut newest = || std::iter::from_fn(|| tells.try_recv().ok()).last();
                    told = newest().unwrap_or(told);
                    self.tell_newest(told, newest).await
                }
                _ = pace.tick() => self.read().await,
            };
            let read = reads.try_send(SwitchRead { switch, closed });
            if let Err(mpsc::error::TrySendError::Closed(_)) = read {
                return;
            }
        }
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Switch {{ plan: {:?} }}", self.plan)
    }
}

#[cfg(test)]
mod tests;

//! What a site has beside its machines: meters that say what it draws, and switches.
//!
//! `register` turns a device's words into watts or a reason why not, `modbus` carries them over
//! TCP. Each device has a task of its own, which reads it at its pace and hands what it says
//! into one bounded queue; a device that does not answer holds nothing else up. `switch` alone
//! writes, and only what its list allows.

pub mod modbus;
pub mod register;
pub mod switch;

use headgate_core::event::MeterId;
use headgate_core::units::Power;
use register::Nonsense;
use std::time::Instant;

/// One reading of a meter.
#[derive(Debug)]
pub struct MeterRead {
    /// Which meter.
    pub meter: MeterId,
    /// When it was asked: the power is at least that old.
    pub asked: Instant,
    /// Import, or why it is not known.
    pub power: Result<Power, DeviceFault>,
}

/// Why what a device says is not known.
#[derive(Debug, thiserror::Error)]
pub enum DeviceFault {
    /// Nothing listens there, or its name is not known.
    #[error("failed to connect")]
    Connect(#[source] std::io::Error),
    /// It took longer than its budget.
    #[error("failed to hear from it in time")]
    Timeout,
    /// The connection broke, or what came is no Modbus.
    #[error("failed to speak Modbus with it")]
    Wire(#[source] tokio_modbus::Error),
    /// It refused.
    #[error("it refuses: {0}")]
    Refused(tokio_modbus::ExceptionCode),
    /// It answered, and the answer is not to be believed.
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
    /// What was to be written is on no list.
    #[error("failed to write {0}: the configuration does not allow it")]
    Forbidden(String),
}

impl DeviceFault {
    /// Whether the device answered and could not tell, or told what cannot be.
    #[must_use]
    pub fn answered(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Nonsense(_))
    }
}

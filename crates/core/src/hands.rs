//! What a site has beside its machines to bring power down with, and how soon machines follow.

use crate::curtail::RampClass;
use crate::fleet::MachineId;
use crate::site::Ramp;
use serde::{Deserialize, Serialize};

/// A switch's index in its site's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SwitchId(pub u16);

/// An outlet, a contactor or a breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchSpec {
    /// What people call it.
    pub name: String,
    /// The machines behind it.
    pub feeds: Vec<MachineId>,
    /// Whether it may be opened for a deadline; else it is only watched.
    pub allowed: bool,
}

/// What the next configuration has of this.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hands {
    /// How soon a cohort's machines follow, by cohort, where that is set by hand; else it goes by
    /// their own time to fall.
    pub classes: Vec<Option<RampClass>>,
    /// Switches in file order; a [`SwitchId`] is an index into this.
    pub switches: Vec<SwitchSpec>,
    /// Most power of machines that may be started within so long; `None` is no limit.
    pub inrush: Option<Ramp>,
}

/// A switch that is to be opened or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchChange {
    /// Which.
    pub switch: SwitchId,
    /// Closed: what is behind it has power.
    pub closed: bool,
}

//! The dispatch plan: an immutable set of changes of machine targets.

use crate::fleet::{Level, MachineId};
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// A set of changes of per-machine targets with a rising number. A target keeps the generation
/// that last changed it, and a driver refuses an older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchPlan {
    /// Rises by one with every plan.
    pub generation: u64,
    /// When it was made.
    pub at: Time,
    /// The event that caused it, by its place in the journal: no command without a cause.
    pub cause: u64,
    /// The lease: after this it may no longer be put on a wire. What a machine was told before
    /// stays as the site's `failsafe.daemon` declares.
    pub valid_until: Time,
    /// The changes, in the order in which they are to be sent.
    pub changes: Vec<Change>,
}

/// One machine's new target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which machine.
    pub machine: MachineId,
    /// The level it shall run at.
    pub level: Level,
}

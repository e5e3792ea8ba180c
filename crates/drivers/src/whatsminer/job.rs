//! What a command has to do, whatever its words: the switch, then a share of the machine's power
//! limit, which has to be asked for first.

use crate::family::{Goal, Turn};
use headgate_core::time::Span;
use headgate_core::units::Power;

/// Pause before a machine that is starting is told its power again.
const STARTING: Span = Span::seconds(30);
/// How often it is.
const TRIMS_MAX: u8 = 3;

/// A command's work, and how far it is.
#[derive(Debug)]
pub(super) struct Job {
    pub goal: Goal,
    /// The machine's power limit, once it has told it.
    limit: Option<Power>,
    /// The switch is done, or need not be: the share is next.
    pub switched: bool,
    trims: u8,
}

impl Job {
    pub(super) fn new(goal: Goal) -> Self {
        let mut job = Self { goal, limit: None, switched: false, trims: 0 };
        job.redirect(goal);
        job
    }

    pub(super) fn redirect(&mut self, goal: Goal) {
        self.goal = goal;
        // A machine that works is only told its power.
        self.switched = matches!(goal, Goal::Work { wake: false, power: Some(_) });
    }

    fn power(&self) -> Option<Power> {
        match self.goal {
            Goal::Sleep => None,
            Goal::Work { power, .. } => power,
        }
    }

    /// Whether the power limit has to be asked for.
    pub(super) fn asks_limit(&self) -> bool {
        self.power().is_some() && self.limit.is_none()
    }

    /// Takes in what the machine says of its limit.
    pub(super) fn hear_limit(&mut self, limit: Result<Option<Power>, String>) -> Turn {
        match limit {
            Ok(Some(limit)) => {
                self.limit = Some(limit);
                Turn::Say
            }
            Ok(None) => Turn::Refused("it names no power limit to take a share of".into()),
            Err(why) => Turn::Refused(why),
        }
    }

    /// The share of the limit to go to, in percent.
    pub(super) fn percent(&self) -> i64 {
        let (Some(power), Some(limit)) = (self.power(), self.limit) else { return 100 };
        ((power.0 * 100 + limit.0 / 2) / limit.0).clamp(1, 100)
    }

    /// What was written was taken.
    pub(super) fn advance(&mut self) -> Turn {
        if self.switched || self.power().is_none() {
            return Turn::Accepted;
        }
        self.switched = true;
        Turn::Say
    }

    /// What to do where a share was refused by a machine that has just been woken: it takes none
    /// until it works.
    pub(super) fn wait_for_start(&mut self) -> Option<Turn> {
        let wakes = matches!(self.goal, Goal::Work { wake: true, .. });
        (self.switched && wakes && self.trims < TRIMS_MAX).then(|| {
            self.trims += 1;
            Turn::Verify(STARTING)
        })
    }
}

//! The conversation that brings one command to one machine: log on, say it, log off.
//!
//! Pure: it takes replies and says what comes next. Deciding when to try again after silence is
//! its owner's; it only keeps where it was, so that a second try goes on with the same session.

use super::{Curtail, SESSION_TAKEN, SessionId};
use crate::cgminer::ReplyError;
use headgate_core::units::Power;

/// Said of a machine whose session stays taken.
const TAKEN: &str = "another session is active (second controller?)";

/// What one command asks of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Sleep.
    Sleep,
    /// Work.
    Work {
        /// Whether it must be woken first.
        wake: bool,
        /// Profile to set, by its power; `None` leaves the one it has.
        profile: Option<Power>,
    },
}

/// What follows from a reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Say this next, at once.
    Say(Vec<u8>),
    /// The session is taken: pause, then [`Conversation::say`] again.
    Pause,
    /// The machine accepted the command.
    Accepted,
    /// The machine refused it, in these words.
    Refused(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Curtail,
    Profile,
}

/// A conversation with one machine about one command.
#[derive(Debug, Clone)]
pub struct Conversation {
    goal: Goal,
    step: Step,
    session: Option<SessionId>,
    /// A taken session was met once already.
    paused: bool,
    /// A lost session was replaced once already.
    relogged: bool,
}

impl Conversation {
    /// Begins a conversation, in a session that is still open where there is one.
    #[must_use]
    pub fn new(goal: Goal, session: Option<SessionId>) -> Self {
        Self { goal, step: first(goal), session, paused: false, relogged: false }
    }

    /// Changes what is asked, as long as nothing of it was said.
    pub fn redirect(&mut self, goal: Goal) {
        self.goal = goal;
        self.step = first(goal);
    }

    /// Whether what is to be said next is the command itself, not the request for a session.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.session.is_some()
    }

    /// What is to be said now; the same again until a reply is taken in.
    #[must_use]
    pub fn say(&self) -> Vec<u8> {
        let Some(session) = &self.session else { return super::logon() };
        match (self.step, self.goal) {
            (Step::Curtail, Goal::Sleep) => super::curtail(session, Curtail::Sleep),
            (Step::Profile, Goal::Work { profile: Some(power), .. }) => {
                super::profileset(session, power)
            }
            (Step::Curtail | Step::Profile, _) => super::curtail(session, Curtail::Wakeup),
        }
    }

    /// Takes in the reply to what [`Self::say`] last said.
    ///
    /// # Errors
    /// [`ReplyError`] when no reply came that can be understood.
    pub fn hear(&mut self, reply: &[u8]) -> Result<Turn, ReplyError> {
        if self.session.is_none() { self.hear_logon(reply) } else { self.hear_written(reply) }
    }

    fn hear_logon(&mut self, reply: &[u8]) -> Result<Turn, ReplyError> {
        match super::parse_logon(reply) {
            Ok(session) => {
                self.session = Some(session);
                Ok(Turn::Say(self.say()))
            }
            Err(ReplyError::Said { code: SESSION_TAKEN, .. }) if self.paused => {
                Ok(Turn::Refused(TAKEN.into()))
            }
            Err(ReplyError::Said { code: SESSION_TAKEN, .. }) => {
                self.paused = true;
                Ok(Turn::Pause)
            }
            Err(ReplyError::Said { msg, .. }) => Ok(Turn::Refused(msg)),
            Err(e) => Err(e),
        }
    }

    fn hear_written(&mut self, reply: &[u8]) -> Result<Turn, ReplyError> {
        match super::parse_written(reply) {
            Ok(()) => Ok(self.advance()),
            Err(ReplyError::Said { code, msg })
                if super::is_session_gone(code, &msg) && !self.relogged =>
            {
                self.relogged = true;
                self.session = None;
                Ok(Turn::Say(self.say()))
            }
            Err(ReplyError::Said { msg, .. }) => Ok(Turn::Refused(msg)),
            Err(e) => Err(e),
        }
    }

    fn advance(&mut self) -> Turn {
        match (self.step, self.goal) {
            (Step::Curtail, Goal::Work { profile: Some(_), .. }) => {
                self.step = Step::Profile;
                Turn::Say(self.say())
            }
            _ => Turn::Accepted,
        }
    }

    /// Takes out the session, to be given back or used again.
    pub fn take_session(&mut self) -> Option<SessionId> {
        self.session.take()
    }
}

fn first(goal: Goal) -> Step {
    match goal {
        Goal::Work { wake: false, profile: Some(_) } => Step::Profile,
        _ => Step::Curtail,
    }
}

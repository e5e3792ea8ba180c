//! The conversation that brings one command to one machine: log on, say it, log off.
//!
//! Pure: it takes replies and says what comes next. Deciding when to try again after silence is
//! its owner's; it only keeps where it was, so that a second try goes on with the same session.

use super::{Curtail, SESSION_TAKEN, SessionId, ask};
use crate::cgminer::ReplyError;
use crate::family::{Ask, Goal, Keep, Rival, Talk, Turn};
use headgate_core::time::{Span, Time};

/// Said of a machine whose session stays taken.
const TAKEN: &str = "another session is active (second controller?)";
/// Pause before a session that another holds is asked for again.
const SESSION_PAUSE: Span = Span::seconds(2);

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
    /// Another's session was met and stayed.
    taken: bool,
}

impl Conversation {
    /// Begins a conversation, in a session that is still open where there is one.
    #[must_use]
    pub fn new(goal: Goal, session: Option<SessionId>) -> Self {
        Self { goal, step: first(goal), session, paused: false, relogged: false, taken: false }
    }

    fn words(&self) -> Vec<u8> {
        let Some(session) = &self.session else { return super::logon() };
        match (self.step, self.goal) {
            (Step::Curtail, Goal::Sleep) => super::curtail(session, Curtail::Sleep),
            (Step::Profile, Goal::Work { power: Some(power), .. }) => {
                super::profileset(session, power)
            }
            (Step::Curtail | Step::Profile, _) => super::curtail(session, Curtail::Wakeup),
        }
    }

    fn hear_logon(&mut self, reply: &[u8]) -> Turn {
        match super::parse_logon(reply) {
            Ok(session) => {
                self.session = Some(session);
                self.taken = false;
                Turn::Say
            }
            Err(ReplyError::Said { code: SESSION_TAKEN, .. }) if self.paused => {
                self.taken = true;
                Turn::Refused(TAKEN.into())
            }
            Err(ReplyError::Said { code: SESSION_TAKEN, .. }) => {
                self.paused = true;
                Turn::Wait(SESSION_PAUSE)
            }
            Err(ReplyError::Said { msg, .. }) => Turn::Refused(msg),
            Err(e) => Turn::Refused(e.to_string()),
        }
    }

    fn hear_written(&mut self, reply: &[u8]) -> Turn {
        match super::parse_written(reply) {
            Ok(()) => self.advance(),
            Err(ReplyError::Said { code, msg })
                if super::is_session_gone(code, &msg) && !self.relogged =>
            {
                self.relogged = true;
                self.session = None;
                Turn::Say
            }
            Err(ReplyError::Said { msg, .. }) => Turn::Refused(msg),
            Err(e) => Turn::Refused(e.to_string()),
        }
    }

    fn advance(&mut self) -> Turn {
        match (self.step, self.goal) {
            (Step::Curtail, Goal::Work { power: Some(_), .. }) => {
                self.step = Step::Profile;
                Turn::Say
            }
            _ => Turn::Accepted,
        }
    }
}

impl Talk for Conversation {
    fn say(&mut self, _: Time) -> Ask {
        ask(self.words())
    }

    fn hear(&mut self, _: Time, reply: &[u8]) -> Turn {
        if self.session.is_none() { self.hear_logon(reply) } else { self.hear_written(reply) }
    }

    fn speaks(&self) -> bool {
        self.session.is_some()
    }

    fn redirect(&mut self, goal: Goal) {
        self.goal = goal;
        self.step = first(goal);
    }

    fn rival(&self) -> Option<Rival> {
        self.taken.then_some(Rival::Session)
    }

    fn keep(&mut self) -> Option<Keep> {
        self.session.take().map(Keep::Session)
    }
}

fn first(goal: Goal) -> Step {
    match goal {
        Goal::Work { wake: false, power: Some(_) } => Step::Profile,
        _ => Step::Curtail,
    }
}

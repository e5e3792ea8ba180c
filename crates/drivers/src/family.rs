//! The seam between the fleet and a firmware: what is wanted of one machine, and the talk that
//! brings it about.
//!
//! A [`Family`] stands for all machines of one firmware. For each thing wanted of one machine it
//! begins a [`Talk`], a pure state machine that says what to put on the wire and takes in what
//! came back. A talk opens no socket and reads no clock, and whatever a machine answers, it ends
//! after a bounded number of turns. What it learned and the next talk can use, a session, a token
//! or a challenge, it leaves as a [`Keep`].

use crate::antminer;
use crate::avalon;
use crate::braiins;
use crate::luxos::{self, SessionId};
use crate::secret::{Credentials, Secret};
use crate::whatsminer::{v2, v3};
use crate::{Failure, Framing, Port};
use headgate_core::fleet::Declared;
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;
use std::fmt::Debug;

/// What is wanted of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// What it is: maker, model, firmware.
    Identify,
    /// What it draws.
    Watts,
    /// What it says of its own mode.
    Mode,
    /// That it does something.
    Do(Goal),
}

/// What one command asks of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Sleep.
    Sleep,
    /// Work.
    Work {
        /// Whether it must be woken first.
        wake: bool,
        /// Power to be set; `None` leaves what is set.
        power: Option<Power>,
    },
}

/// One request of a talk.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which of the machine's ports it goes to.
    pub port: Port,
    /// How its reply ends.
    pub framing: Framing,
    /// What to write, in one write.
    pub bytes: Vec<u8>,
    /// Wall time it may take, where that is not the driver's.
    pub budget: Option<Span>,
}

impl Ask {
    /// A request to the machine's own port, within the driver's budget.
    #[must_use]
    pub fn new(framing: Framing, bytes: Vec<u8>) -> Self {
        Self { port: Port::Main, framing, bytes, budget: None }
    }

    /// The same to the machine's second port.
    #[must_use]
    pub fn aux(self) -> Self {
        Self { port: Port::Aux, ..self }
    }
}

impl Debug for Ask {
    // A request may carry a password or what could be used like one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { port, framing, bytes, .. } = self;
        write!(f, "Ask({port:?}, {framing:?}, {} bytes)", bytes.len())
    }
}

/// A reading of a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watts {
    /// Power drawn.
    pub power: Power,
    /// Whether the PSU measured it; else the firmware estimated it.
    pub psu: bool,
}

/// The power a machine is set to draw when it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Its own default.
    Default,
    /// A power.
    Power(Power),
    /// Something that stands for no power.
    Other,
}

/// Another controller on the same knob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rival {
    /// Somebody else holds the machine's only session.
    Session,
    /// The firmware's own manager moves power by temperature; its name.
    Manager(&'static str),
}

impl Rival {
    /// It in people's words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "another session",
            Self::Manager(name) => name,
        }
    }
}

/// What a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Its maker.
    pub make: String,
    /// Its model, in its own words.
    pub model: String,
    /// Its firmware and the version of it.
    pub firmware: String,
    /// Power its maker or its limit names.
    pub rated: Option<Power>,
}

/// What a talk has read. A missing value is no value: it is never zero and never "off".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// What it draws; many firmwares do not say.
    pub watts: Option<Watts>,
    /// What it says of its own mode.
    pub declared: Option<Declared>,
    /// The power it is set to.
    pub setting: Option<Setting>,
    /// Another controller that was met. `Some(None)` when it was looked for and is not there.
    pub rival: Option<Option<Rival>>,
    /// What it is.
    pub identity: Option<Box<Identity>>,
}

/// What follows from a reply, or from none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Go on: [`Talk::say`] at once.
    Say,
    /// Nothing of the command was said yet, or it has to be said again: [`Talk::say`] after this
    /// pause.
    Wait(Span),
    /// The command is on its way and no answer is awaited: [`Talk::say`] after this pause, to see
    /// what became of it.
    Verify(Span),
    /// The talk is over: this was read.
    Read(Reading),
    /// The talk is over: the machine accepted the command.
    Accepted,
    /// The talk is over: the command was sent, and only its watts can say what became of it.
    Unconfirmed,
    /// The talk is over: the machine refused, or answered what is of no use, in these words.
    Refused(String),
    /// Nothing came of it, for this reason: [`Talk::say`] tries the same again.
    Lost(Failure),
}

/// One talk with one machine about one thing wanted of it.
pub trait Talk: Send + Debug {
    /// What is to be said now; the same again until something is heard.
    fn say(&mut self, now: Time) -> Ask;

    /// Takes in the reply to what was last said.
    fn hear(&mut self, now: Time, reply: &[u8]) -> Turn;

    /// Takes in that no reply came to what was last said.
    fn lost(&mut self, now: Time, failure: Failure) -> Turn {
        let _ = now;
        Turn::Lost(failure)
    }

    /// Whether what is to be said next is the command itself, not what makes way for it.
    fn speaks(&self) -> bool {
        false
    }

    /// Whether what is to be said next gives back what the command took from the machine by
    /// mistake. It is said however late it is, and before any newer target.
    fn restores(&self) -> bool {
        false
    }

    /// Changes what is asked, as long as nothing of it was said.
    fn redirect(&mut self, goal: Goal) {
        let _ = goal;
    }

    /// Another controller that was met on the way.
    fn rival(&self) -> Option<Rival> {
        None
    }

    /// Takes out what the next talk with this machine can use.
    fn keep(&mut self) -> Option<Keep> {
        None
    }
}

/// What outlives a talk: of use to the next one with the same machine, and lost without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// A session of LuxOS; while it is held, nobody else can have one.
    Session(SessionId),
    /// A token of a Whatsminer.
    Whatsminer2(Box<v2::Token>),
    /// A challenge and a configuration of a stock Antminer.
    Antminer(Box<antminer::Kept>),
    /// A token of Braiins OS.
    Braiins(Secret),
    /// A salt of a Whatsminer.
    Whatsminer3(Secret),
}

impl Keep {
    /// Whether it shuts others out, so that it must be given back.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self {
            Self::Session(_) => true,
            Self::Whatsminer2(_) | Self::Antminer(_) | Self::Braiins(_) | Self::Whatsminer3(_) => {
                false
            }
        }
    }
}

/// How fast power follows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RampClass {
    /// In seconds.
    Fast,
    /// In tens of seconds, up to minutes.
    Slow,
}

/// What a family can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Can {
    /// Put a machine to sleep and wake it.
    pub sleep: bool,
    /// Set a power between sleep and full.
    pub trim: bool,
    /// Whether a power once set outlives a sleep; else it wakes at its default.
    pub keeps_power: bool,
    /// How fast its power falls.
    pub class: RampClass,
}

/// All machines of one firmware.
pub trait Family: Send + Debug {
    /// The name a configuration has for it.
    fn kind(&self) -> &'static str;

    /// What it can do.
    fn can(&self) -> Can;

    /// Begins a talk, with what an earlier one with the same machine has left.
    fn begin(&self, want: Want, keep: Option<Keep>) -> Box<dyn Talk>;

    /// What gives back what [`Keep::holds`].
    fn give_back(&self, keep: &Keep) -> Option<Ask> {
        let _ = keep;
        None
    }
}

/// One step of a chain: what is asked, and what its reply adds to the reading, or why it is of no
/// use.
pub(crate) type Step = (fn() -> Ask, fn(&[u8], &mut Reading) -> Result<(), String>);

/// A talk that reads: one request after another, each reply adds to one reading.
#[derive(Debug)]
pub(crate) struct Chain {
    steps: &'static [Step],
    at: usize,
    reading: Reading,
}

impl Chain {
    pub(crate) fn talk(steps: &'static [Step]) -> Box<dyn Talk> {
        Box::new(Self { steps, at: 0, reading: Reading::default() })
    }
}

impl Talk for Chain {
    fn say(&mut self, _: Time) -> Ask {
        (self.steps[self.at].0)()
    }

    fn hear(&mut self, _: Time, reply: &[u8]) -> Turn {
        match (self.steps[self.at].1)(reply, &mut self.reading) {
            Err(why) => Turn::Refused(why),
            Ok(()) if self.at + 1 < self.steps.len() => {
                self.at += 1;
                Turn::Say
            }
            Ok(()) => Turn::Read(std::mem::take(&mut self.reading)),
        }
    }
}

/// What a driver needs to know beyond its spec: what the journal must not hold.
#[derive(Debug, Clone, Default)]
pub struct DriverOptions {
    /// Name and password; the field's factory defaults where there are none.
    pub credentials: Option<Credentials>,
    /// The machines' second port, where that is not the family's usual one.
    pub aux_port: Option<u16>,
}

/// Kinds that can be driven, as a configuration names them.
pub const KINDS: [&str; 6] =
    [luxos::KIND, braiins::KIND, v2::KIND, v3::KIND, antminer::KIND, avalon::KIND];

/// Port of a kind's machines where none is written; `None` for a kind that is not known.
#[must_use]
pub fn default_port(kind: &str) -> Option<u16> {
    match kind {
        luxos::KIND | v2::KIND | avalon::KIND => Some(4028),
        v3::KIND => Some(4433),
        antminer::KIND | braiins::KIND => Some(80),
        _ => None,
    }
}

/// Second port of a kind's machines where none is written; `None` for a kind that has none.
#[must_use]
pub fn default_aux_port(kind: &str) -> Option<u16> {
    (kind == antminer::KIND).then_some(4028)
}

/// Whether a kind's machines ask for a password.
#[must_use]
pub fn wants_credentials(kind: &str) -> bool {
    [braiins::KIND, v2::KIND, v3::KIND, antminer::KIND].contains(&kind)
}

/// The family of a kind; `None` for a kind that is not known.
#[must_use]
pub fn family(kind: &str, options: &DriverOptions) -> Option<Box<dyn Family>> {
    let credentials = || options.credentials.clone();
    Some(match kind {
        luxos::KIND => Box::new(luxos::Luxos),
        avalon::KIND => Box::new(avalon::Avalon),
        v2::KIND => Box::new(v2::Whatsminer2::new(credentials())),
        v3::KIND => Box::new(v3::Whatsminer3::new(credentials())),
        antminer::KIND => Box::new(antminer::Antminer::new(credentials())),
        braiins::KIND => Box::new(braiins::Braiins::new(credentials())),
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) mod testing;

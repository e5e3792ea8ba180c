//! One command to such a machine: read, write, read back.

use super::web::{Heard, Web};
use super::{
    CONFIG, Golden, NORMAL, READ_KEY, SET_CONFIG, SLEEP, WRITE_KEY, has_pools, is_work, mode,
};
use crate::Failure;
use crate::cgminer::{self, text_of};
use crate::family::{Ask, Goal, Keep, Talk, Turn};
use headgate_core::time::{Span, Time};
use serde_json::Value;

/// How long a write may take to be refused. One that is taken is answered up to a minute later,
/// and done long before that.
const WRITE_BUDGET: Span = Span::seconds(5);
/// Pause before a write without an answer is read back.
const READ_BACK: Span = Span::seconds(15);
/// Pause before a server that does not answer yet is asked again.
const READ_AGAIN: Span = Span::seconds(10);
/// How often it is.
const READS_MAX: u8 = 5;

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The configuration is read; nothing was written.
    Read,
    /// It is written with both keys.
    Write,
    /// It is written in the very shape it was read in.
    WriteAsRead,
    /// The pools are written back.
    Restore,
    /// What a write did is read back; the step that wrote.
    Back(Wrote),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrote {
    Both,
    AsRead,
    Restored,
}

#[derive(Debug)]
pub(super) struct Command {
    web: Web,
    golden: Option<Golden>,
    /// Whether it shall sleep; else it shall work.
    sleep: bool,
    /// The mode to be set; known once the configuration was read.
    target: i64,
    step: Step,
    /// The configuration as it was read in this attempt, with pools in it.
    config: Option<Config>,
    /// Reads that came to nothing since the last write.
    misses: u8,
}

/// Reads a document that will be written. A reply that is mended before it is read may lack what
/// was cut off, and writing it would take that from the machine: it is JSON as a whole or nothing.
pub(super) fn document(body: &[u8]) -> Result<Value, String> {
    let whole = serde_json::from_slice(body);
    // Where it fails is said, and never what it says: there are passwords in it.
    let place = |e: serde_json::Error| format!("line {}, column {}", e.line(), e.column());
    whole.map_err(|e| format!("its configuration is not whole: it is no JSON at {}", place(e)))
}

/// A configuration with pools in it; their names and passwords are not shown.
struct Config(Value);

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Config(***)")
    }
}

impl Command {
    pub(super) fn new(web: Web, golden: Option<Golden>, goal: Goal) -> Self {
        let (sleep, step) = (goal == Goal::Sleep, Step::Read);
        Self { web, golden, sleep, target: SLEEP, step, config: None, misses: 0 }
    }

    /// The document to be written.
    fn document(&self, step: Step) -> Option<String> {
        let mut config = self.config.as_ref()?.0.clone();
        let fields = config.as_object_mut()?;
        let as_read = fields.get(READ_KEY).is_some_and(Value::is_string);
        if step == Step::WriteAsRead && as_read {
            fields.insert(READ_KEY.into(), self.target.to_string().into());
        } else {
            fields.insert(READ_KEY.into(), self.target.into());
        }
        if step != Step::WriteAsRead {
            fields.insert(WRITE_KEY.into(), self.target.into());
            // It is read by one name and written by another, like the mode.
            if let Some(level) = fields.get("bitmain-freq-level").cloned() {
                fields.entry("freq-level").or_insert(level);
            }
        }
        Some(config.to_string())
    }

    /// Takes in the configuration as it is before anything is written.
    fn read(&mut self, config: Value) -> Turn {
        if !has_pools(&config) {
            let kept = if self.golden.is_some() { "; a copy with pools is kept" } else { "" };
            let why = "its configuration names no pool, and writing it would make that so";
            return Turn::Refused(format!("{why}{kept}"));
        }
        let mode = mode(&config);
        if mode.is_none() {
            return Turn::Refused("its configuration names no mode".into());
        }
        // Writing restarts the work: what works already, at whatever power, is left alone.
        if !self.sleep && mode.is_some_and(is_work) {
            self.golden = Some(Golden::new(&config));
            return Turn::Accepted;
        }
        // Who sleeps wakes as it worked before, where that is known.
        let before = self.golden.as_ref().and_then(|g| g.mode).filter(|m| is_work(*m));
        self.target = if self.sleep { SLEEP } else { before.unwrap_or(NORMAL) };
        if mode.is_some_and(is_work) || self.golden.is_none() {
            self.golden = Some(Golden::new(&config));
        }
        self.config = Some(Config(config));
        self.step = Step::Write;
        Turn::Say
    }

    /// Takes in the configuration as it is after a write.
    fn read_back(&mut self, config: Value, wrote: Wrote) -> Turn {
        if !has_pools(&config) {
            if wrote == Wrote::Restored {
                return Turn::Refused("its pools are gone and could not be written back".into());
            }
            self.step = Step::Restore;
            return Turn::Say;
        }
        match mode(&config) {
            // Such a document is not written again.
            None => return self.missed(),
            Some(mode) if mode == self.target => return Turn::Accepted,
            Some(_) => {}
        }
        if wrote != Wrote::Both {
            return Turn::Refused("it was written twice and its mode is as it was".into());
        }
        self.config = Some(Config(config));
        self.step = Step::WriteAsRead;
        Turn::Say
    }

    fn wrote(&self) -> Wrote {
        match self.step {
            Step::WriteAsRead => Wrote::AsRead,
            Step::Restore => Wrote::Restored,
            _ => Wrote::Both,
        }
    }

    fn is_write(&self) -> bool {
        matches!(self.step, Step::Write | Step::WriteAsRead | Step::Restore)
    }

    /// A write was answered.
    fn written(&mut self, body: &[u8]) -> Turn {
        let reply = match cgminer::read_value(body) {
            Ok(reply) => reply,
            Err(e) => return Turn::Refused(e.to_string()),
        };
        let done = reply["code"] == "M000" || reply["stats"] == "success";
        if !done {
            let (code, msg) = (text_of(&reply["code"]), text_of(&reply["msg"]));
            return Turn::Refused(format!("it refused its configuration: {msg} ({code})"));
        }
        self.step = Step::Back(self.wrote());
        self.misses = 0;
        Turn::Say
    }

    /// A read-back came to nothing: the server may be busy with what was written.
    fn missed(&mut self) -> Turn {
        self.misses += 1;
        if self.misses > READS_MAX { Turn::Unconfirmed } else { Turn::Verify(READ_AGAIN) }
    }
}

impl Talk for Command {
    fn say(&mut self, _: Time) -> Ask {
        let document = if self.is_write() { self.document(self.step) } else { None };
        match document {
            Some(document) => {
                let ask = self.web.post(SET_CONFIG, &document);
                Ask { budget: Some(WRITE_BUDGET), ..ask }
            }
            None => self.web.get(CONFIG),
        }
    }

    fn hear(&mut self, _: Time, reply: &[u8]) -> Turn {
        let body = match self.web.hear(reply) {
            Heard::Again => return Turn::Say,
            Heard::Body(body) => body,
            Heard::Refused(_) if matches!(self.step, Step::Back(_)) => return self.missed(),
            Heard::Refused(why) => return Turn::Refused(why),
        };
        if self.is_write() {
            return self.written(&body);
        }
        match (document(&body), self.step) {
            (Ok(config), Step::Back(wrote)) => self.read_back(config, wrote),
            (Ok(config), _) => self.read(config),
            (Err(_), Step::Back(_)) => self.missed(),
            (Err(why), _) => Turn::Refused(why),
        }
    }

    fn lost(&mut self, _: Time, failure: Failure) -> Turn {
        match self.step {
            Step::Read => Turn::Lost(failure),
            // The server may not be there yet again after the write that lost the pools.
            Step::Restore if failure == Failure::Connect => self.missed(),
            Step::Back(_) => self.missed(),
            // It was never there to be written to; what was read may be old by the next try.
            _ if failure == Failure::Connect => {
                self.step = Step::Read;
                Turn::Lost(failure)
            }
            _ => {
                self.step = Step::Back(self.wrote());
                self.misses = 0;
                Turn::Verify(READ_BACK)
            }
        }
    }

    fn speaks(&self) -> bool {
        self.is_write()
    }

    fn restores(&self) -> bool {
        self.step == Step::Restore
    }

    fn redirect(&mut self, goal: Goal) {
        self.sleep = goal == Goal::Sleep;
        self.step = Step::Read;
    }

    fn keep(&mut self) -> Option<Keep> {
        super::keep(&mut self.web, self.golden.take())
    }
}

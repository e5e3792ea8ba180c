//! What is due when, in one order: by time, then by kind, then by arrival.

use headgate_core::time::Time;
use headgate_drivers::{Failure, Request, RequestId};
use std::collections::BTreeMap;

/// Kinds of due things, in the order in which they happen at one moment: the meter closes its
/// interval before anything of the next one begins, and the engine ticks only when all news of
/// the moment has come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Meter,
    Told,
    Wire,
    Driver,
    Engine,
}

/// One due thing.
#[derive(Debug)]
pub(super) enum Due {
    Meter,
    /// A request reaches its machine.
    Arrives {
        lane: usize,
        request: Request,
    },
    /// The end of a request is seen by the driver.
    Answers {
        lane: usize,
        request: RequestId,
        result: Result<Vec<u8>, Failure>,
    },
    /// Readings are injected.
    Readings,
    /// The site's meter is read.
    Feeder,
    Driver {
        lane: usize,
    },
    Engine,
}

/// Names one due thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Time, Class, u64);

/// All due things.
#[derive(Debug, Default)]
pub(super) struct Queue {
    due: BTreeMap<Key, Due>,
    pushed: u64,
}

impl Queue {
    pub fn push(&mut self, at: Time, class: Class, due: Due) -> Key {
        self.pushed += 1;
        let key = Key(at, class, self.pushed);
        self.due.insert(key, due);
        key
    }

    pub fn remove(&mut self, key: Key) {
        self.due.remove(&key);
    }

    pub fn next_at(&self) -> Option<(Time, Class)> {
        self.due.first_key_value().map(|(k, _)| (k.0, k.1))
    }

    pub fn pop(&mut self) -> Option<Due> {
        self.due.pop_first().map(|(_, due)| due)
    }
}

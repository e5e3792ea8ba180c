//! The engine loop's sign of life.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts the turns of the engine loop and remembers when the last one was; clones share it.
#[derive(Debug, Clone)]
pub struct Beat {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    turns: AtomicU64,
    last_ns: AtomicU64,
}

impl Beat {
    /// Makes a beat that has not been touched yet.
    #[must_use]
    pub fn new() -> Self {
        let turns = AtomicU64::new(0);
        let inner = Inner { started: Instant::now(), turns, last_ns: AtomicU64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// Says that the engine loop has made a turn.
    ///
    /// An idle engine may want to sleep for minutes; its loop must come by every few seconds all
    /// the same, or the readiness check and the watchdog take it for stuck.
    pub fn touch(&self) {
        let ns = u64::try_from(self.inner.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.inner.last_ns.store(ns, Ordering::Relaxed);
        self.inner.turns.fetch_add(1, Ordering::Release);
    }

    /// Returns how long ago the last turn was, in wall time; `None` before the first.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        if self.turns() == 0 {
            return None;
        }
        let last = Duration::from_nanos(self.inner.last_ns.load(Ordering::Relaxed));
        Some(self.inner.started.elapsed().saturating_sub(last))
    }

    /// Returns how many turns there were.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.inner.turns.load(Ordering::Acquire)
    }
}

impl Default for Beat {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_has_no_age_before_its_first_turn() {
        let beat = Beat::new();
        let seen_elsewhere = beat.clone();
        assert_eq!((seen_elsewhere.age(), seen_elsewhere.turns()), (None, 0));
        beat.touch();
        assert!(seen_elsewhere.age().is_some());
        assert_eq!(seen_elsewhere.turns(), 1);
    }
}

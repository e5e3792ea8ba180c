//! The one clock a daemon runs on: real, or gated.
//!
//! A gated clock is simulated time that may run fast, but never past something that is due and
//! not done: a poll, a timer, a journal write. While a request is on the wire, or a fall in
//! power is still to be proven, it runs at most [`HELD_SPEED_MAX`] times real time, so that
//! answers and physics keep their order.

use headgate_core::time::{Span, Time};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Fastest a gated clock runs while something is under way.
pub const HELD_SPEED_MAX: i64 = 30;
/// Shortest sleep while a gated clock is held; it decides how finely time moves.
const SLICE: Duration = Duration::from_millis(1);

/// Simulated time as others may read it.
#[derive(Debug, Clone)]
pub struct SimTime(Arc<AtomicI64>);

impl SimTime {
    pub fn now(&self) -> Time {
        Time(self.0.load(Ordering::Acquire))
    }
}

impl headgate_sim::serve::SimClock for SimTime {
    fn now(&self) -> Time {
        SimTime::now(self)
    }
}

/// Longest sleep: the loop shows its sign of life in between.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How a clock runs.
#[derive(Debug)]
enum Pace {
    Real,
    Gated {
        now: SimTime,
        /// Highest speed; `None` is as fast as what is due allows.
        ceiling: Option<i64>,
        credited: Instant,
    },
}

/// A wall clock this far from where it should be was stepped.
const STEP_LEAST: Span = Span::seconds(2);

/// The clock of one daemon.
#[derive(Debug)]
pub struct Clock {
    pace: Pace,
    began: (Instant, Time),
    /// A moment on the monotonic clock and on the wall's, as last compared.
    compared: (Instant, Time),
}

impl Clock {
    /// Wall time.
    pub fn real() -> Self {
        let began = (Instant::now(), wall_now());
        Self { pace: Pace::Real, began, compared: began }
    }

    /// Simulated time from `start`, at most `ceiling` times real time.
    pub fn gated(start: Time, ceiling: Option<i64>) -> Self {
        let now = SimTime(Arc::new(AtomicI64::new(start.0)));
        let credited = Instant::now();
        Self {
            pace: Pace::Gated { now, ceiling, credited },
            began: (credited, start),
            compared: (credited, start),
        }
    }

    /// Simulated time for a farm in this process; `None` on a real clock.
    pub fn sim_time(&self) -> Option<SimTime> {
        match &self.pace {
            Pace::Real => None,
            Pace::Gated { now, .. } => Some(now.clone()),
        }
    }

    /// The time.
    pub fn now(&self) -> Time {
        match &self.pace {
            Pace::Real => wall_now(),
            Pace::Gated { now, .. } => now.now(),
        }
    }

    /// How far the wall clock was stepped since the last call, by the monotonic clock; `None`
    /// when it was not, and on a gated clock.
    pub fn stepped(&mut self) -> Option<Span> {
        let Pace::Real = self.pace else { return None };
        let (at, wall) = (Instant::now(), wall_now());
        let passed = at.duration_since(self.compared.0).as_nanos();
        let should = self.compared.1 + Span(i64::try_from(passed).unwrap_or(i64::MAX / 4));
        self.compared = (at, wall);
        let by = wall.since(should);
        (by.0.abs() >= STEP_LEAST.0).then_some(by)
    }

    /// Credits the wall time that has passed since the last call, never beyond `due`.
    pub fn credit(&mut self, due: Time, held: bool) {
        let Pace::Gated { now, ceiling, credited } = &mut self.pace else { return };
        let at = Instant::now();
        let passed = i64::try_from(at.duration_since(*credited).as_nanos()).unwrap_or(i64::MAX);
        *credited = at;
        let speed = match (held, *ceiling) {
            (true, Some(c)) => c.min(HELD_SPEED_MAX),
            (true, None) => HELD_SPEED_MAX,
            (false, Some(c)) => c,
            // Nothing is under way and no ceiling is set: go straight to what is due.
            (false, None) => {
                let was = now.now();
                now.0.store(was.0.max(due.0), Ordering::Release);
                return;
            }
        };
        let was = now.now();
        let moved = was + Span(passed.saturating_mul(speed));
        now.0.store(moved.min(due.max(was)).0, Ordering::Release);
    }

    /// Waits until something may be due; may return early, and may be dropped at any point.
    pub async fn wait(&self, due: Time, held: bool) {
        let ahead = due.since(self.now()).0.max(0);
        let wall = match &self.pace {
            Pace::Real => ahead,
            Pace::Gated { ceiling: None, .. } if !held => 0,
            Pace::Gated { ceiling, .. } => {
                let speed = ceiling.unwrap_or(HELD_SPEED_MAX);
                let speed = if held { speed.min(HELD_SPEED_MAX) } else { speed };
                ahead / speed.max(1)
            }
        };
        if wall == 0 {
            tokio::task::yield_now().await;
        } else {
            let sleep = Duration::from_nanos(u64::try_from(wall).unwrap_or(0));
            tokio::time::sleep(sleep.clamp(SLICE, SLEEP_MAX)).await;
        }
    }

    /// Simulated seconds passed for each wall second since the start.
    pub fn speed(&self) -> f64 {
        let wall = self.began.0.elapsed().as_secs_f64();
        self.sim_elapsed().0 as f64 / 1e9 / wall.max(1e-9)
    }

    /// Time passed on this clock since the start.
    pub fn sim_elapsed(&self) -> Span {
        self.now().since(self.began.1)
    }

    /// Wall time passed since the start.
    pub fn wall_elapsed(&self) -> Duration {
        self.began.0.elapsed()
    }
}

/// Wall time as the engine counts it.
pub fn wall_now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gated_clock_never_passes_what_is_due() {
        let start = Time::from_seconds(1_000);
        let mut clock = Clock::gated(start, None);
        clock.credit(start + Span::seconds(5), false);
        assert_eq!(clock.now(), start + Span::seconds(5));
        std::thread::sleep(Duration::from_millis(5));
        clock.credit(start + Span::seconds(5), true);
        assert_eq!(clock.now(), start + Span::seconds(5));
        // What is due in the past never turns it back.
        clock.credit(start, false);
        assert_eq!(clock.now(), start + Span::seconds(5));
    }

    #[test]
    fn a_held_clock_runs_at_most_thirty_times_real_time() {
        let start = Time::from_seconds(0);
        let mut clock = Clock::gated(start, None);
        let began = Instant::now();
        std::thread::sleep(Duration::from_millis(10));
        clock.credit(start + Span::hours(1), true);
        let wall = i64::try_from(began.elapsed().as_nanos()).expect("short");
        assert!(clock.now().0 <= wall * HELD_SPEED_MAX && clock.now().0 >= 10_000_000 * 30);
    }
}

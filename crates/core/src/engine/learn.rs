//! What machines show of themselves: watts by level, seconds to fall and to rise, and how often a
//! command fails. What the site's file says is where it begins.

use crate::fleet::{Level, MachineReport, TargetPhase};
use crate::number::{div_half_even, to_i64};
use crate::roster::{Before, Machine};
use crate::site::Site;
use crate::time::Span;
use crate::units::Power;
use serde::{Deserialize, Serialize};

/// So many samples weigh as much as what is known before.
const INERTIA: i64 = 32;
/// Commands after which older ones count half.
const COMMANDS_KEPT_MAX: u32 = 4096;
/// Before anything is seen, this share of commands is taken to fail, in parts per million: of
/// hosts in the field 5 to 10 in a hundred are dead or mute. An assumption ...
const FAILURE_PRIOR_PPM: i64 = 50_000;
/// ... and it weighs as much as so many commands.
const FAILURE_PRIOR_WEIGHT: i64 = 64;
/// A machine that failed last time is taken to fail this often.
pub(super) const FAILED_BEFORE_PPM: i64 = 500_000;
/// Of the machines that are where they should be, one in so many is learned from.
const SAMPLED: u32 = 16;
/// Longest believable way down or up; more is a machine that was looked at late.
const WAY_MAX: Span = Span::hours(1);

/// What one cohort has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// Power by level.
    watts: Vec<Power>,
    down: Span,
    up: Span,
    told: u32,
    failed: u32,
}

/// Sums of one batch of telemetry.
#[derive(Debug, Clone, Default)]
pub(super) struct Lesson {
    watts: Vec<(i64, i64)>,
    down: (i64, i64),
    up: (i64, i64),
    told: i32,
    failed: i32,
}

impl Learned {
    /// What a site's file says of its cohorts.
    pub(super) fn priors(site: &Site) -> Vec<Self> {
        let prior = |c: &crate::site::Cohort| {
            let driver = &site.drivers[usize::from(c.driver.0)];
            Self {
                watts: c.curve.levels().iter().map(|p| p.power).collect(),
                // A command may take its whole budget before power begins to fall.
                down: c.times.down + driver.request_budget,
                up: c.times.up + driver.request_budget,
                told: 0,
                failed: 0,
            }
        };
        site.cohorts.iter().map(prior).collect()
    }

    /// Power of a machine at a level.
    #[must_use]
    pub fn power(&self, level: Level) -> Power {
        self.watts[level.index()]
    }

    /// From the command to the proof that power has fallen.
    #[must_use]
    pub fn down(&self) -> Span {
        self.down
    }

    /// From the command to the proof that power has risen.
    #[must_use]
    pub fn up(&self) -> Span {
        self.up
    }

    /// Share of commands that fail, in parts per million.
    #[must_use]
    pub fn failure_ppm(&self) -> i64 {
        let failed = i64::from(self.failed) * 1_000_000 + FAILURE_PRIOR_PPM * FAILURE_PRIOR_WEIGHT;
        failed / (i64::from(self.told) + FAILURE_PRIOR_WEIGHT)
    }

    fn take(&mut self, lesson: &Lesson) {
        for (known, (sum, n)) in self.watts.iter_mut().zip(&lesson.watts) {
            known.0 = moved(known.0, *sum, *n);
        }
        self.down.0 = moved(self.down.0, lesson.down.0, lesson.down.1);
        self.up.0 = moved(self.up.0, lesson.up.0, lesson.up.1);
        self.told = self.told.saturating_add_signed(lesson.told);
        self.failed = self.failed.saturating_add_signed(lesson.failed).min(self.told);
        while self.told > COMMANDS_KEPT_MAX {
            self.told /= 2;
            self.failed /= 2;
        }
    }
}

/// A value moved toward the mean of samples by their weight.
fn moved(known: i64, sum: i64, n: i64) -> i64 {
    if n == 0 {
        return known;
    }
    let total = i128::from(known) * i128::from(INERTIA) + i128::from(sum);
    to_i64(div_half_even(total, i128::from(INERTIA + n)))
}

impl Lesson {
    /// Whether a report may teach something: one that changes how far a target has come does, and
    /// of those of machines that are where they should be one in so many is enough.
    #[inline]
    pub(super) fn teaches(before: Before, report: &MachineReport) -> bool {
        before.phase != report.phase || report.machine.0.is_multiple_of(SAMPLED)
    }

    /// Takes in what a report changed about a machine.
    pub(super) fn hear(&mut self, before: Before, after: &Machine, report: &MachineReport) {
        use TargetPhase::{Confirmed, Dispatched, Drifted, Pending, RestoreFailed, Unavailable};
        let own = before.generation > 0 && before.generation == report.generation;
        if after.phase == Confirmed
            && let Some(w) = report.watts
        {
            if self.watts.len() <= after.level.index() {
                self.watts.resize(after.level.index() + 1, (0, 0));
            }
            let level = &mut self.watts[after.level.index()];
            *level = (level.0 + w.0, level.1 + 1);
        }
        let was_open = matches!(before.phase, Pending | Dispatched);
        if !own || before.phase == after.phase {
            return;
        }
        match after.phase {
            Confirmed if was_open => {
                self.told += 1;
                self.time(before, after, report);
            }
            Drifted | Unavailable | RestoreFailed if was_open => {
                self.told += 1;
                self.failed += 1;
            }
            // It came after all, at its second try.
            Confirmed | Pending | Dispatched if before.phase == Unavailable => {
                self.told -= 1;
                self.failed -= 1;
            }
            _ => {}
        }
    }

    /// Times a way down to sleep or up from it; a way between two levels is not timed.
    fn time(&mut self, before: Before, after: &Machine, report: &MachineReport) {
        let Some(at) = report.measured_at else { return };
        let took = at.since(after.switched_at);
        if took <= Span::ZERO || took > WAY_MAX {
            return;
        }
        let sleeps = after.level == Level::SLEEP;
        let slot = if sleeps { &mut self.down } else { &mut self.up };
        if sleeps || report.watts > before.watts {
            *slot = (slot.0 + took.0, slot.1 + 1);
        }
    }
}

/// Takes in the lessons of a batch, by cohort.
pub(super) fn take(learned: &mut [Learned], lessons: &[Lesson]) {
    for (known, lesson) in learned.iter_mut().zip(lessons) {
        known.take(lesson);
    }
}

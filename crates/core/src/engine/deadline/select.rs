//! Who comes down: the fast first, then by worth, each told once and to its last level.

use super::call::failure_of;
use crate::choose::locked;
use crate::curtail::{FAST_DOWN_MAX, RampClass};
use crate::engine::units::NO_DRIVER;
use crate::engine::{Engine, learn::Learned};
use crate::fleet::{Level, MachineId, TargetPhase};
use crate::merit::Staircase;
use crate::plan::Change;
use crate::site::Site;
use crate::time::Time;
use crate::units::{Money, Power, Price};
use std::borrow::Cow;
use std::cmp::Reverse;

/// One machine that is to come down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    pub change: Change,
    pub cohort: usize,
    /// How far the planned power of all machines falls by it.
    pub planned: Power,
    /// How far its own power falls.
    pub drop: Power,
    /// The same with what is known of failures taken off.
    pub expected: Power,
    /// It will not be down by the deadline, and goes because nothing else is left.
    pub late: bool,
}

/// A step down of one cohort, in the order in which steps are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct StepDown {
    late: bool,
    class: RampClass,
    worth: Price,
    cohort: usize,
    above: Reverse<Level>,
    to: Level,
}

/// A machine that may be told, as far down as it has been taken.
struct Candidate {
    id: u32,
    cohort: usize,
    level: Level,
    draws: Power,
    failure_ppm: i64,
    pick: Option<usize>,
}

impl Engine {
    /// The ramp class of a cohort: as set by hand, else by its own time to fall.
    pub(super) fn class(&self, site: &Site, cohort: usize) -> RampClass {
        if let Some(class) = self.hands.classes.get(cohort).copied().flatten() {
            return class;
        }
        if site.cohorts[cohort].times.down <= FAST_DOWN_MAX {
            RampClass::Fast
        } else {
            RampClass::Slow
        }
    }

    /// Picks machines until what is expected of them covers a gap, in the order in which they
    /// are to be told. A machine that was told already and should be down by now is not told
    /// again; one that is still on its way is told only after all others.
    pub(super) fn select(
        &self,
        site: &Site,
        now: Time,
        (by, gap): (Time, Power),
        failure_ppm: &[i64],
    ) -> Vec<Pick> {
        let mut picks: Vec<Pick> = Vec::new();
        let Some(stairs) = self.stairs_or_by_efficiency(site) else { return picks };
        let steps = self.steps_down(site, &stairs, now, by);
        let mut cohorts: Vec<Option<Vec<Candidate>>> = site.cohorts.iter().map(|_| None).collect();
        let mut left = gap;
        for step in steps {
            if left <= Power::ZERO {
                break;
            }
            let learned = &self.learned[step.cohort];
            let due = learned.power(step.to);
            let candidates = cohorts[step.cohort]
                .get_or_insert_with(|| self.candidates(site, step.cohort, now, failure_ppm));
            for c in candidates.iter_mut().filter(|c| c.level > step.to) {
                if left <= Power::ZERO {
                    break;
                }
                let drop = c.draws.minus_or_zero(due);
                let expected = drop.scaled(1_000_000 - c.failure_ppm);
                let planned =
                    self.roster.power(c.cohort, c.level) - self.roster.power(c.cohort, step.to);
                let at = *c.pick.get_or_insert_with(|| {
                    picks.push(Pick {
                        change: Change { machine: MachineId(c.id), level: step.to },
                        cohort: c.cohort,
                        planned: Power::ZERO,
                        drop: Power::ZERO,
                        expected: Power::ZERO,
                        late: step.late,
                    });
                    picks.len() - 1
                });
                let pick = &mut picks[at];
                pick.change.level = step.to;
                pick.planned += planned;
                pick.drop += drop;
                pick.expected += expected;
                (c.level, c.draws) = (step.to, c.draws.min(due));
                left -= expected;
            }
        }
        picks.retain(|p| p.drop > Power::ZERO);
        picks
    }

    /// The staircase; with the value unknown, one by efficiency alone.
    fn stairs_or_by_efficiency(&self, site: &Site) -> Option<Cow<'_, Staircase>> {
        match &self.stairs {
            Some(stairs) => Some(Cow::Borrowed(stairs)),
            None => Staircase::of(site, Some(Money(1 << 26))).map(Cow::Owned),
        }
    }

    fn steps_down(&self, site: &Site, stairs: &Staircase, now: Time, by: Time) -> Vec<StepDown> {
        let mut steps = Vec::new();
        for (cohort, segments) in stairs.by_cohort.iter().enumerate() {
            if !proves(site, cohort) {
                continue;
            }
            // Past the deadline whatever helps is welcome.
            let late = now < by && now + self.learned[cohort].down() > by;
            let class = self.class(site, cohort);
            // From the top down, so that no step is taken before the one above it.
            let mut worth = Price(i64::MIN);
            for s in segments.iter().rev() {
                worth = worth.max(s.breakeven);
                let (above, to) = (Reverse(s.to), s.from);
                steps.push(StepDown { late, class, worth, cohort, above, to });
            }
        }
        steps.sort_unstable();
        steps
    }

    /// Machines of a cohort that may be told to come down, in the order in which they are taken.
    fn candidates(
        &self,
        site: &Site,
        cohort: usize,
        now: Time,
        failure_ppm: &[i64],
    ) -> Vec<Candidate> {
        let learned = &self.learned[cohort];
        let (from, to) = self.roster.tallies()[cohort].range;
        let mut ids: Vec<u32> = (from..to).filter(|id| self.may_fall(cohort, *id, now)).collect();
        let machines = self.roster.machines();
        ids.sort_by_key(|id| {
            let m = &machines[*id as usize];
            let open = m.phase != TargetPhase::Confirmed;
            let sure = (open, m.failures > 0, locked(site, m, now));
            (sure, Reverse(m.excess_ppm), m.switched_at, *id)
        });
        let candidate = |id: u32| {
            let m = &machines[id as usize];
            let at_rest = m.phase == TargetPhase::Confirmed;
            let draws = m.watts.filter(|_| at_rest).unwrap_or_else(|| learned.power(m.level));
            let (level, failure_ppm) = (m.level, failure_of(failure_ppm, m));
            Candidate { id, cohort, level, draws, failure_ppm, pick: None }
        };
        ids.into_iter().map(candidate).collect()
    }

    /// Whether telling a machine to come down could help.
    fn may_fall(&self, cohort: usize, id: u32, now: Time) -> bool {
        let m = &self.roster.machines()[id as usize];
        let ours = usize::from(m.cohort) == cohort && m.counted_on() && m.level > Level::SLEEP;
        let open = ours && m.phase != TargetPhase::Confirmed;
        ours && !(open && self.overdue(id, &self.learned[cohort], now))
    }

    /// Whether a machine that was told to come down should be by now, and has not shown it.
    fn overdue(&self, id: u32, learned: &Learned, now: Time) -> bool {
        let m = &self.roster.machines()[id as usize];
        let told = self.obligation.as_ref().and_then(|o| o.told(MachineId(id)));
        told.is_some_and(|t| t.generation == m.generation && now >= t.at + learned.down())
    }
}

/// Whether a cohort's machines are commanded by somebody, so that their watts prove them.
pub(super) fn proves(site: &Site, cohort: usize) -> bool {
    site.drivers[usize::from(site.cohorts[cohort].driver.0)].kind != NO_DRIVER
}

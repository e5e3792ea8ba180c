//! Every machine as the engine counts it, with sums kept as machines change.
//!
//! A machine is either *counted on* (it answers and does what it is told: its level counts) or
//! *lost* (excluded, silent, refusing, drifted: it counts as drawing what it last drew, and
//! nothing is asked of it). Sums are kept per cohort and level, so that a step in which nothing
//! changed costs nothing per machine.

use crate::fleet::{Declared, Level, Link, MachineId, MachineReport, TargetPhase};
use crate::limits::{COOL_OFF, COOL_OFF_MAX};
use crate::number::{div_half_even, to_i64};
use crate::plan::Change;
use crate::site::Site;
use crate::time::{Span, Time};
use crate::units::Power;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// One machine as the engine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Index of its cohort.
    pub cohort: u16,
    /// Level it was told, or is taken to be at.
    pub level: Level,
    /// How far the last target has come.
    pub phase: TargetPhase,
    /// Whether it is heard of.
    pub link: Link,
    /// Never commanded.
    pub excluded: bool,
    /// Generation of the last target; 0 when none was given.
    pub generation: u64,
    /// Last measured power.
    pub watts: Option<Power>,
    /// When that was measured.
    pub measured_at: Time,
    /// When it was last told anything.
    pub told_at: Time,
    /// When it last went to sleep or woke.
    pub switched_at: Time,
    /// Starts on `start_day`.
    pub starts: u16,
    /// The UTC day `starts` counts.
    pub start_day: i32,
    /// Measured over nominal power when last proven, in parts per million.
    pub excess_ppm: i32,
    /// Times in a row it failed to do what it was told.
    pub failures: u16,
    /// Not counted on before this.
    pub lost_until: Time,
}

/// What was known of a machine before it was reported on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// How far its target had come.
    pub phase: TargetPhase,
    /// Generation of its target.
    pub generation: u64,
    /// Its power as measured before.
    pub watts: Option<Power>,
}

/// Sums over one cohort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Machines counted on, by level.
    pub at: Vec<u32>,
    /// Machines not counted on.
    pub lost: u32,
    /// Of those, the ones that failed a command or fell silent; excluded ones are not failed.
    pub failed: u32,
    /// What the lost ones draw.
    pub lost_power: Power,
    /// How far machines that were told to come down were last measured above it, unproven yet.
    pub falling: Power,
    /// Measured and nominal power of proven, working machines: together they tell the bias.
    pub proven: (Power, Power),
    /// The bias in use, in parts per million; follows the proven one in steps of a percent.
    pub bias_ppm: i64,
    /// The latest switch of any machine.
    pub last_switch: Time,
    /// First and one-past-last index of the cohort's machines.
    pub range: (u32, u32),
}

/// All machines of a site.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roster {
    machines: Vec<Machine>,
    tallies: Vec<Tally>,
    nominal: Vec<Vec<Power>>,
    cooling: BTreeSet<(Time, MachineId)>,
    unknown: u32,
    starts: VecDeque<(Time, u32)>,
}

/// Change of bias below which the one in use is kept, so that noise moves no machine.
const BIAS_STEP_PPM: i64 = 10_000;
/// Machines that draw what their curve says.
const NO_BIAS_PPM: i64 = 1_000_000;
/// Bounds of a believable bias.
const BIAS_RANGE_PPM: (i64, i64) = (800_000, 1_250_000);

impl Roster {
    /// Takes a site's machines; what is already known of a machine by address is kept by the
    /// caller's mapping from new ids to old ones.
    #[must_use]
    pub fn new(site: &Site, old: &Roster, old_id: &dyn Fn(&str) -> Option<MachineId>) -> Self {
        let mut roster = Roster {
            nominal: site
                .cohorts
                .iter()
                .map(|c| c.curve.levels().iter().map(|p| p.power).collect())
                .collect(),
            starts: old.starts.clone(),
            ..Roster::default()
        };
        roster.tallies = site.cohorts.iter().map(|c| Tally::new(c.curve.levels().len())).collect();
        for (id, spec) in site.machines() {
            let cohort = usize::from(spec.cohort.0);
            let range = &mut roster.tallies[cohort].range;
            range.0 = range.0.min(id.0);
            range.1 = range.1.max(id.0 + 1);
            let top = site.cohorts[cohort].curve.top();
            let mut machine = Machine::fresh(spec.cohort.0, spec.excluded);
            if let Some(was) = old_id(&spec.address).map(|i| old.machines[i.index()]) {
                machine = was;
                machine.cohort = spec.cohort.0;
                machine.excluded = spec.excluded;
                machine.level = machine.level.min(top);
            }
            // What is still locked or cooling off stays so under another configuration.
            let tally = &mut roster.tallies[cohort];
            tally.last_switch = tally.last_switch.max(machine.switched_at);
            if is_failure(machine.phase) {
                roster.cooling.insert((machine.lost_until, id));
            }
            roster.machines.push(machine);
            roster.add(id);
        }
        roster
    }

    /// Forgets what machines are doing, at start-up: each must be read back first.
    pub fn forget_links(&mut self) {
        for i in 0..self.machines.len() {
            let id = MachineId(u32::try_from(i).expect("MACHINES_MAX fits 32 bits"));
            self.change(id, |m| {
                m.link = Link::Unknown;
                m.generation = 0;
            });
        }
    }

    /// Lets nothing lie ahead of a clock that was set back.
    pub fn clock_stepped_back(&mut self, now: Time) {
        for m in &mut self.machines {
            m.switched_at = m.switched_at.min(now);
            m.measured_at = m.measured_at.min(now);
            m.told_at = m.told_at.min(now);
            m.lost_until = m.lost_until.min(now + COOL_OFF_MAX);
        }
        for t in &mut self.tallies {
            t.last_switch = t.last_switch.min(now);
        }
        let late = std::mem::take(&mut self.cooling);
        self.cooling = late.into_iter().map(|(t, id)| (t.min(now + COOL_OFF_MAX), id)).collect();
        for (at, _) in &mut self.starts {
            *at = (*at).min(now);
        }
    }

    /// Machines never heard of nor given up on since start-up.
    #[must_use]
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// All machines by id.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Sums by cohort.
    #[must_use]
    pub fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// Power a machine of a cohort is expected to draw at a level, by what its kind has shown.
    #[must_use]
    #[inline]
    pub fn power(&self, cohort: usize, level: Level) -> Power {
        let nominal = self.nominal[cohort][level.index()];
        let bias_ppm = self.tallies[cohort].bias_ppm;
        let as_told = level == Level::SLEEP || bias_ppm == NO_BIAS_PPM;
        if as_told { nominal } else { nominal.scaled(bias_ppm) }
    }

    /// Power of a level by the curve, whatever machines of its kind have shown.
    #[must_use]
    pub fn nominal(&self, cohort: usize, level: Level) -> Power {
        self.nominal[cohort][level.index()]
    }

    /// Power of the machines once everything told has been obeyed; the lost as last measured.
    #[must_use]
    pub fn planned(&self) -> Power {
        let mut sum = Power::ZERO;
        for (c, tally) in self.tallies.iter().enumerate() {
            sum += tally.lost_power;
            for (l, n) in tally.at.iter().enumerate().filter(|(_, n)| **n > 0) {
                let level = Level(u8::try_from(l).expect("a curve has at most LEVELS_MAX levels"));
                sum += self.power(c, level).times(i64::from(*n));
            }
        }
        sum
    }

    /// Power of the machines that are not counted on.
    #[must_use]
    pub fn lost_power(&self) -> Power {
        self.tallies.iter().map(|t| t.lost_power).sum()
    }

    /// Power that machines told to come down may still draw above what they were told.
    #[must_use]
    pub fn falling(&self) -> Power {
        self.tallies.iter().map(|t| t.falling).sum()
    }

    /// Takes in what a driver says of one machine, and gives back what was known of it before;
    /// `None` when there is no such machine.
    pub fn report(&mut self, now: Time, report: &MachineReport) -> Option<Before> {
        let before = self.machines.get(report.machine.index()).copied()?;
        let nominal = &self.nominal[usize::from(before.cohort)];
        let inferred = infer(nominal, report);
        let failed = before.generation == report.generation && is_failure(report.phase);
        let level_nominal = nominal[before.level.index()];
        self.change(report.machine, |m| {
            m.link = report.link;
            m.watts = report.watts.or(m.watts);
            m.measured_at = report.measured_at.unwrap_or(m.measured_at);
            if report.generation < m.generation {
                // The report is of an older target than the one now under way: only its watts
                // and its link are news.
                return;
            }
            if failed && !is_failure(m.phase) {
                m.failures = m.failures.saturating_add(1);
                m.lost_until = now + cool_off(m.failures);
            }
            m.phase = report.phase;
            if m.generation == 0 {
                let level = inferred.unwrap_or(m.level);
                if (level == Level::SLEEP) != (m.level == Level::SLEEP) {
                    // It is not where it was last told to be: that switch says nothing of how
                    // long it has been as it is now, and locks nothing.
                    m.switched_at = Time::MIN;
                }
                m.level = level;
                m.phase = TargetPhase::Confirmed;
            } else if report.phase == TargetPhase::Confirmed {
                m.lost_until = Time::MIN;
                m.failures = 0;
                if let Some(w) = m.watts.filter(|_| m.level > Level::SLEEP) {
                    m.excess_ppm = excess(w, level_nominal);
                }
            }
        });
        if failed && !is_failure(before.phase) {
            self.cooling.insert((self.machines[report.machine.index()].lost_until, report.machine));
        }
        let Machine { phase, generation, watts, .. } = before;
        Some(Before { phase, generation, watts })
    }

    /// Counts again on machines that have cooled off and answer, at the level they show. What was
    /// not measured since it was last told may not have obeyed: it counts at the higher of what it
    /// was told and what it showed before, and at its top where it never showed anything.
    pub fn cool(&mut self, now: Time) {
        while self.cooling.first().is_some_and(|(t, _)| *t <= now) {
            let (_, id) = self.cooling.pop_first().expect("the set was just seen not empty");
            let machine = self.machines[id.index()];
            if machine.lost_until > now || !is_failure(machine.phase) {
                continue;
            }
            if machine.link != Link::Fresh {
                self.cooling.insert((now + COOL_OFF, id));
                continue;
            }
            let nominal = &self.nominal[usize::from(machine.cohort)];
            let level = match machine.watts.map(|w| nearest(nominal, w)) {
                Some(seen) if machine.measured_at > machine.told_at => seen,
                Some(seen) => seen.max(machine.level),
                None => top(nominal),
            };
            self.change(id, |m| {
                m.phase = TargetPhase::Confirmed;
                m.level = level;
            });
        }
    }

    /// When the next machine has cooled off.
    #[must_use]
    pub fn next_cool(&self) -> Option<Time> {
        self.cooling.first().map(|(t, _)| *t)
    }

    /// Writes down a plan's changes as told.
    pub fn tell(&mut self, now: Time, generation: u64, changes: &[Change]) {
        let day = now.day();
        let mut starts = 0;
        for c in changes {
            self.change(c.machine, |m| {
                let waking = m.level == Level::SLEEP && c.level > Level::SLEEP;
                let sleeping = m.level > Level::SLEEP && c.level == Level::SLEEP;
                if waking {
                    m.starts = if m.start_day == day { m.starts.saturating_add(1) } else { 1 };
                    m.start_day = day;
                    starts += 1;
                }
                if waking || sleeping {
                    m.switched_at = now;
                }
                m.level = c.level;
                m.told_at = now;
                m.generation = generation;
                m.phase = TargetPhase::Pending;
            });
            let cohort = usize::from(self.machines[c.machine.index()].cohort);
            let tally = &mut self.tallies[cohort];
            tally.last_switch = tally.last_switch.max(now);
        }
        if starts > 0 {
            self.starts.push_back((now, starts));
            while self.starts.len() > crate::limits::STARTS_KEPT_MAX {
                // Two entries become one at the later time: the limit may only get stricter.
                let (_, n) = self.starts.pop_front().expect("the queue is longer than its limit");
                if let Some(first) = self.starts.front_mut() {
                    first.1 += n;
                }
            }
        }
    }

    /// Starts made in the last hour.
    #[must_use]
    pub fn starts_in_hour(&self, now: Time) -> u32 {
        let recent = self.starts.iter().rev().take_while(|(t, _)| now.since(*t) < Span::hours(1));
        recent.map(|(_, n)| *n).sum()
    }

    /// When the oldest start leaves the rolling hour.
    #[must_use]
    pub fn next_start_free(&self, now: Time) -> Option<Time> {
        let free = self.starts.iter().map(|(t, _)| *t + Span::hours(1));
        free.filter(|t| *t > now).min()
    }

    /// Follows the proven bias of each cohort once it has moved by a percent.
    pub fn follow_bias(&mut self) {
        for t in &mut self.tallies {
            let (measured, nominal) = t.proven;
            // What draws what it should, as all that nobody measures does, shows no bias.
            if nominal.0 <= 0 || (measured == nominal && t.bias_ppm == NO_BIAS_PPM) {
                continue;
            }
            let shown = div_half_even(i128::from(measured.0) * 1_000_000, i128::from(nominal.0));
            let shown = to_i64(shown).clamp(BIAS_RANGE_PPM.0, BIAS_RANGE_PPM.1);
            if (shown - t.bias_ppm).abs() >= BIAS_STEP_PPM {
                t.bias_ppm = shown;
            }
        }
    }

    fn change(&mut self, id: MachineId, f: impl FnOnce(&mut Machine)) {
        self.count(id, -1);
        f(&mut self.machines[id.index()]);
        self.count(id, 1);
    }

    fn add(&mut self, id: MachineId) {
        self.count(id, 1);
    }

    fn count(&mut self, id: MachineId, sign: i64) {
        let m = &self.machines[id.index()];
        let nominal = &self.nominal[usize::from(m.cohort)];
        let tally = &mut self.tallies[usize::from(m.cohort)];
        let bump = |n: &mut u32| *n = n.wrapping_add_signed(i32::try_from(sign).unwrap_or(0));
        if m.link == Link::Unknown {
            bump(&mut self.unknown);
        }
        if m.counted_on() {
            bump(&mut tally.at[m.level.index()]);
            if let Some(w) = m.watts.filter(|_| m.phase != TargetPhase::Confirmed) {
                tally.falling += w.minus_or_zero(nominal[m.level.index()]).times(sign);
            }
            let proven = m.phase == TargetPhase::Confirmed && m.level > Level::SLEEP;
            if let Some(w) = m.watts.filter(|_| proven) {
                tally.proven.0 += w.times(sign);
                tally.proven.1 += nominal[m.level.index()].times(sign);
            }
        } else {
            bump(&mut tally.lost);
            if !m.excluded {
                bump(&mut tally.failed);
            }
            // Never measured: as much as its kind can draw.
            let draws = m.watts.unwrap_or_else(|| nominal[nominal.len() - 1]);
            tally.lost_power += draws.times(sign);
        }
    }

    /// Counts everything anew; the running sums must agree with it.
    #[must_use]
    pub fn recounted(&self) -> Vec<Tally> {
        let mut copy = self.clone();
        for t in &mut copy.tallies {
            let levels = t.at.len();
            *t = Tally {
                bias_ppm: t.bias_ppm,
                last_switch: t.last_switch,
                range: t.range,
                ..Tally::new(levels)
            };
        }
        for i in 0..copy.machines.len() {
            copy.add(MachineId(u32::try_from(i).expect("MACHINES_MAX fits 32 bits")));
        }
        copy.tallies
    }
}

impl Machine {
    fn fresh(cohort: u16, excluded: bool) -> Self {
        Self {
            cohort,
            level: Level::SLEEP,
            phase: TargetPhase::Confirmed,
            link: Link::Unknown,
            excluded,
            generation: 0,
            watts: None,
            measured_at: Time::MIN,
            told_at: Time::MIN,
            switched_at: Time::MIN,
            starts: 0,
            start_day: i32::MIN,
            excess_ppm: 1_000_000,
            failures: 0,
            lost_until: Time::MIN,
        }
    }

    /// Whether the engine counts on it: it answers and has not failed its last command.
    #[must_use]
    pub fn counted_on(&self) -> bool {
        !self.excluded && self.link == Link::Fresh && !is_failure(self.phase)
    }
}

impl Tally {
    fn new(levels: usize) -> Self {
        Self {
            at: vec![0; levels],
            lost: 0,
            failed: 0,
            lost_power: Power::ZERO,
            falling: Power::ZERO,
            proven: (Power::ZERO, Power::ZERO),
            bias_ppm: 1_000_000,
            last_switch: Time::MIN,
            range: (u32::MAX, 0),
        }
    }

    /// Machines counted on that are awake.
    #[must_use]
    pub fn awake(&self) -> u32 {
        self.at[1..].iter().sum()
    }

    /// Machines counted on that sleep.
    #[must_use]
    pub fn asleep(&self) -> u32 {
        self.at[0]
    }
}

/// How long a machine is left alone: doubling with every failure in a row.
fn cool_off(failures: u16) -> Span {
    let doubled = COOL_OFF.0 << failures.saturating_sub(1).min(6);
    Span(doubled.min(COOL_OFF_MAX.0))
}

fn is_failure(phase: TargetPhase) -> bool {
    use TargetPhase::{Drifted, RestoreFailed, Unavailable};
    matches!(phase, Drifted | Unavailable | RestoreFailed)
}

fn excess(watts: Power, nominal: Power) -> i32 {
    let ppm = div_half_even(i128::from(watts.0) * 1_000_000, i128::from(nominal.0.max(1)));
    i32::try_from(ppm).unwrap_or(i32::MAX)
}

fn nearest(nominal: &[Power], watts: Power) -> Level {
    let distance = |p: &Power| (p.0 - watts.0).unsigned_abs();
    let best = nominal.iter().enumerate().min_by_key(|(_, p)| distance(p)).map_or(0, |(i, _)| i);
    Level(u8::try_from(best).expect("a curve has at most LEVELS_MAX levels"))
}

fn top(nominal: &[Power]) -> Level {
    let last = nominal.len().saturating_sub(1);
    Level(u8::try_from(last).expect("a curve has at most LEVELS_MAX levels"))
}

/// The level a machine that was told nothing is taken to be at, where its report shows one.
/// Unknown is not off: who answers, tells no watts and does not say that it sleeps may draw all
/// that its kind can.
fn infer(nominal: &[Power], report: &MachineReport) -> Option<Level> {
    match (report.declared, report.watts) {
        (_, Some(w)) => Some(nearest(nominal, w)),
        (Some(Declared::Asleep), None) => Some(Level::SLEEP),
        (_, None) if report.link == Link::Fresh => Some(top(nominal)),
        _ => None,
    }
}

//! What lots and units draw as they are told: levels over time into segments.

use super::account::value_at;
use super::run::{Run, Segment};
use super::scene::Scene;
use super::tape::Tape;
use crate::world::revenue as worth;
use headgate_core::fleet::Level;
use headgate_core::horizon::unit::Begins;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::plan::Change;
use headgate_core::time::{Interval, Time};
use headgate_core::units::{Energy, Money, NANOS_PER_SECOND, Power};
use std::collections::BTreeMap;

/// The true state of every lot, and what has been drawn so far.
pub(super) struct Drawn<'a> {
    scene: &'a Scene,
    tape: &'a Tape,
    levels: Vec<Level>,
    /// Power and rate of each cohort now.
    sums: Vec<(Power, i64)>,
    /// Changes told whose time has not come, by time and machine.
    coming: BTreeMap<(Time, u32), Level>,
    /// When each machine's change is coming, if one is.
    due: Vec<Option<Time>>,
    since: Time,
    starts_now: u32,
    segments: Vec<Segment>,
    starts: Vec<u64>,
    /// Power each unit was set to, and when.
    set_points: Vec<Vec<(Time, Power)>>,
}

impl<'a> Drawn<'a> {
    pub fn new(scene: &'a Scene, tape: &'a Tape) -> Self {
        let site = &scene.site;
        let mut drawn = Self {
            scene,
            tape,
            levels: vec![Level::SLEEP; site.machines.len()],
            sums: vec![(Power::ZERO, 0); site.cohorts.len()],
            coming: BTreeMap::new(),
            due: vec![None; site.machines.len()],
            since: tape.span.start,
            starts_now: 0,
            segments: Vec::new(),
            starts: vec![0; site.cohorts.len()],
            set_points: vec![Vec::new(); scene.units.len()],
        };
        for (i, machine) in site.machines.iter().enumerate() {
            let unit = scene.units.iter().find(|u| u.cohort == machine.cohort);
            let on = unit.is_some_and(|u| u.begins == Begins::On);
            let cohort = usize::from(machine.cohort.0);
            if on {
                drawn.levels[i] = site.cohorts[cohort].curve.top();
            }
            drawn.add(cohort, drawn.levels[i], 1);
        }
        drawn
    }

    fn add(&mut self, cohort: usize, level: Level, sign: i64) {
        let point = self.scene.site.cohorts[cohort].curve.at(level);
        let sum = &mut self.sums[cohort];
        sum.0 += point.power.times(sign);
        sum.1 += point.rate.0 * sign;
    }

    /// Takes in what machines are told now.
    pub fn told(&mut self, now: Time, changes: &[Change]) {
        self.pass(now);
        for c in changes {
            let i = c.machine.index();
            if let Some(due) = self.due[i].take() {
                self.coming.remove(&(due, c.machine.0));
            }
            let site = &self.scene.site;
            let times = &site.cohorts[usize::from(site.machines[i].cohort.0)].times;
            let takes = match (self.levels[i], c.level) {
                (Level::SLEEP, Level::SLEEP) => continue,
                (Level::SLEEP, _) => times.up,
                _ => times.down,
            };
            if takes.0 <= 0 {
                self.set(now, i, c.level);
            } else {
                self.due[i] = Some(now + takes);
                self.coming.insert((now + takes, c.machine.0), c.level);
            }
        }
    }

    fn set(&mut self, at: Time, machine: usize, level: Level) {
        let id = self.scene.site.machines[machine].cohort;
        let cohort = usize::from(id.0);
        if let Some(unit) = self.scene.units.iter().position(|u| u.cohort == id) {
            let power = self.scene.site.cohorts[cohort].curve.at(level).power;
            self.set_points[unit].push((at, power));
        }
        let was = std::mem::replace(&mut self.levels[machine], level);
        self.add(cohort, was, -1);
        self.add(cohort, level, 1);
        if was == Level::SLEEP && level > Level::SLEEP {
            let size = self.scene.lot_sizes[cohort];
            self.starts[cohort] += u64::from(size);
            self.starts_now += size;
        }
    }

    /// Lets time pass up to a moment.
    fn pass(&mut self, now: Time) {
        while let Some(((at, machine), level)) =
            self.coming.first_key_value().map(|(k, l)| (*k, *l))
        {
            if at > now {
                break;
            }
            self.draw(at);
            self.coming.remove(&(at, machine));
            self.due[machine as usize] = None;
            self.set(at, machine as usize, level);
        }
        self.draw(now);
    }

    /// Draws what is drawn now from the last moment to this one, by settlement interval.
    fn draw(&mut self, until: Time) {
        while self.since < until {
            let whole = self.since.interval(self.tape.settle_step);
            let end = whole.end.min(until);
            let interval = Interval { start: self.since, end };
            let segment = self.segment(interval);
            self.segments.push(segment);
            self.starts_now = 0;
            self.since = end;
        }
    }

    fn segment(&self, interval: Interval) -> Segment {
        // Before the first hash price is known, work by it is worth nothing yet.
        let hashprice = value_at(&self.tape.values, interval.start).unwrap_or(Money::ZERO);
        let site = &self.scene.site;
        let span = interval.length();
        let (mut machines, mut energy, mut work) = (Power::ZERO, Energy::ZERO, 0);
        let mut revenue = Money::ZERO;
        for (cohort, (power, rate)) in site.cohorts.iter().zip(&self.sums) {
            let drawn = power.over(span);
            let done = i128::from(*rate) * i128::from(span.0);
            let done = to_i64(div_half_even(done, NANOS_PER_SECOND));
            machines += *power;
            energy += drawn;
            work += done;
            revenue += match cohort.value {
                Some(price) => price.of(drawn),
                None => worth(site, drawn, done, hashprice),
            };
        }
        let power = site.overhead.meter(machines);
        Segment {
            interval,
            power,
            energy: power.over(span),
            machine_energy: energy,
            work,
            compute_revenue: revenue,
            starts: self.starts_now,
        }
    }

    /// Draws up to the span's end and says what came of it.
    pub fn finish(mut self, steps: u64) -> Run {
        self.pass(self.tape.span.end);
        let mut start_cost = Money::ZERO;
        let sizes = self.scene.lot_sizes.iter();
        for ((cohort, starts), size) in self.scene.site.cohorts.iter().zip(&self.starts).zip(sizes)
        {
            let lots = starts / u64::from((*size).max(1));
            start_cost += cohort.start_cost.times(i64::try_from(lots).unwrap_or(i64::MAX));
        }
        Run {
            segments: self.segments,
            starts: self.starts,
            start_cost,
            steps,
            set_points: self.set_points,
        }
    }
}

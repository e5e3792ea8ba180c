//! Load without a driver: units, planned as one block each, and whole lots of machines in a
//! back-test.
//!
//! A unit is a cohort of one whose levels are its lattice. Nobody measures what has no driver, so
//! it is taken to do what it is told: its set point is all there is, and no proof is claimed.

use super::Engine;
use crate::choose::{Stock, Wish};
use crate::fleet::{CohortId, CohortSum, Level, Link, MachineId, MachineReport, TargetPhase};
use crate::horizon::unit::{Begins, Lattice, UnitSpec, UnitState};
use crate::plan::Change;
use crate::roster::Machine;
use crate::site::{MachineSpec, Site};
use crate::time::Time;
use crate::units::{Power, Rate};
use serde::{Deserialize, Serialize};

/// Kind of the driver, the last of its site, that commands nothing.
pub const NO_DRIVER: &str = "none";

/// One unit of the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unit {
    pub spec: UnitSpec,
    pub lattice: Lattice,
    pub machine: MachineId,
    /// When its level last changed.
    pub changed_at: Time,
}

/// The levels a unit can be set to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reach {
    low: Level,
    high: Level,
    /// Whether it is low enough to be stopped.
    stops: bool,
}

impl Unit {
    fn level(&self, lattice_level: u16) -> Level {
        Level(u8::try_from(lattice_level + 1).expect("LATTICE_LEVELS_MAX fits a level"))
    }

    /// What it can be set to from a working level.
    fn reach(&self, at: Level, now: Time) -> Reach {
        let (_, up, down) = self.lattice.reach();
        let (here, top) = (u16::from(at.0) - 1, self.lattice.top());
        let due = now.since(self.changed_at) >= self.lattice.step();
        let free = |most: u16| if due || most >= top { most } else { 0 };
        Reach {
            low: self.level(here.saturating_sub(free(down))),
            high: self.level((here + free(up)).min(top)),
            stops: here == 0 || here <= free(down),
        }
    }

    /// A wish brought within what it can be set to.
    fn within(&self, wish: Wish, at: Level, now: Time) -> Wish {
        let (start, _, _) = self.lattice.reach();
        let asleep = wish.asleep.min(self.level(start));
        if at == Level::SLEEP {
            return Wish { awake: wish.awake.min(self.level(start)), asleep };
        }
        let reach = self.reach(at, now);
        let awake = match wish.awake {
            Level::SLEEP if reach.stops => Level::SLEEP,
            level => level.clamp(reach.low, reach.high),
        };
        Wish { awake, asleep }
    }

    fn state(&self, m: &Machine, power: Power) -> UnitState {
        UnitState {
            power: if m.level == Level::SLEEP { Power::ZERO } else { power },
            switched_at: m.switched_at,
            changed_at: self.changed_at,
            starts: m.starts,
            start_day: m.start_day,
        }
    }
}

impl Engine {
    /// The units of the site.
    pub fn units(&self) -> impl Iterator<Item = &UnitSpec> {
        self.units.iter().map(|u| &u.spec)
    }

    /// Where a unit is, by its place among the site's units.
    ///
    /// # Panics
    /// When there is no such unit.
    #[must_use]
    pub fn unit_state(&self, unit: usize) -> UnitState {
        let u = &self.units[unit];
        let m = &self.roster.machines()[u.machine.index()];
        u.state(m, self.roster.nominal(usize::from(m.cohort), m.level))
    }

    /// Takes the units of a configuration that has just come in.
    pub(super) fn configure_units(&mut self, now: Time, site: &Site) {
        let old = std::mem::take(&mut self.units);
        for spec in std::mem::take(&mut self.units_next) {
            let Some(machine) = site.machines().find(|(_, m)| m.cohort == spec.cohort) else {
                continue;
            };
            let lattice = Lattice::new(&spec, site.market.dispatch_step)
                .expect("a unit was put on its lattice when the site was read");
            let was = old.iter().find(|u| u.spec.cohort == spec.cohort);
            let changed_at = was.map_or(Time::MIN, |u| u.changed_at);
            self.units.push(Unit { spec, lattice, machine: machine.0, changed_at });
        }
        self.assume_obeyed(now);
    }

    /// Takes everything without a driver to be where it was told to be, or where it begins.
    pub(super) fn assume_obeyed(&mut self, now: Time) {
        let Some(site) = self.site.clone() else { return };
        for (id, spec) in site.machines().filter(|(_, m)| driverless(&site, m)) {
            let unit = self.units.iter().find(|u| u.machine == id);
            let m = self.roster.machines()[id.index()];
            let level = match (m.watts, unit) {
                (None, Some(u)) if u.spec.begins == Begins::On => u.level(u.lattice.top()),
                _ => m.level,
            };
            let watts = self.roster.nominal(usize::from(spec.cohort.0), level);
            self.obeyed(now, id, m.generation, watts);
        }
        for cohort in 0..site.cohorts.len() {
            self.sum_driverless(now, &site, cohort);
        }
    }

    /// Notes that what has no driver follows what it was told.
    fn obeyed(&mut self, now: Time, machine: MachineId, generation: u64, watts: Power) {
        self.roster.report(
            now,
            &MachineReport {
                machine,
                generation,
                phase: TargetPhase::Confirmed,
                link: Link::Fresh,
                answer: None,
                declared: None,
                watts: Some(watts),
                measured_at: Some(now),
            },
        );
    }

    /// Sums up a cohort without a driver, as its driver would have.
    fn sum_driverless(&mut self, now: Time, site: &Site, cohort: usize) {
        let spec = &site.cohorts[cohort];
        if site.drivers[usize::from(spec.driver.0)].kind != NO_DRIVER {
            return;
        }
        let tally = &self.roster.tallies()[cohort];
        let (mut power, mut rate, mut heard) = (tally.lost_power, Rate::ZERO, 0);
        for (point, n) in spec.curve.levels().iter().zip(&tally.at) {
            power += point.power.times(i64::from(*n));
            rate += point.rate.times(i64::from(*n));
            heard += n;
        }
        let cohort_id = CohortId(u16::try_from(cohort).expect("COHORTS_MAX fits 16 bits"));
        let (silent, oldest) = (tally.lost, Some(now));
        let sum = CohortSum { cohort: cohort_id, heard, silent, power, rate, oldest };
        self.sums[cohort] = Some(sum);
    }

    /// Carries out the changes of a plan that no driver will.
    pub(super) fn carry_out(&mut self, now: Time, generation: u64, changes: &[Change]) {
        let Some(site) = self.site.clone() else { return };
        if site.drivers.last().is_none_or(|d| d.kind != NO_DRIVER) {
            return;
        }
        let mut touched = vec![false; site.cohorts.len()];
        for c in changes {
            let spec = &site.machines[c.machine.index()];
            if !driverless(&site, spec) {
                continue;
            }
            if let Some(u) = self.units.iter_mut().find(|u| u.machine == c.machine) {
                u.changed_at = now;
            }
            let cohort = usize::from(spec.cohort.0);
            touched[cohort] = true;
            self.obeyed(now, c.machine, generation, self.roster.nominal(cohort, c.level));
        }
        for cohort in (0..touched.len()).filter(|c| touched[*c]) {
            self.sum_driverless(now, &site, cohort);
        }
    }

    /// Brings wishes within what units can be set to now.
    pub(super) fn within_reach(&self, now: Time, wishes: &mut [Wish]) {
        for u in &self.units {
            let at = self.roster.machines()[u.machine.index()].level;
            let wish = &mut wishes[usize::from(u.spec.cohort.0)];
            *wish = u.within(*wish, at, now);
        }
    }

    /// Notes how high each unit can be set now, so that no limit asks for more.
    pub(super) fn reaches(&self, now: Time, stocks: &mut [Stock]) {
        for u in &self.units {
            let at = self.roster.machines()[u.machine.index()].level;
            if at > Level::SLEEP {
                stocks[usize::from(u.spec.cohort.0)].reach = Some(u.reach(at, now).high);
            }
        }
    }

    /// When a unit can next do what it cannot do now.
    pub(super) fn wake_for_units(&self, at: &mut dyn FnMut(Time)) {
        for u in &self.units {
            let m = &self.roster.machines()[u.machine.index()];
            let dwell = if m.level > Level::SLEEP { u.spec.min_on } else { u.spec.min_off };
            at(m.switched_at + dwell);
            if m.level > Level::SLEEP {
                at(u.changed_at + u.lattice.step());
            }
        }
    }

    /// A clock that was set back leaves no change of level ahead of it.
    pub(super) fn units_stepped_back(&mut self, then: Time) {
        for u in &mut self.units {
            u.changed_at = u.changed_at.min(then);
        }
    }
}

fn driverless(site: &Site, machine: &MachineSpec) -> bool {
    let cohort = &site.cohorts[usize::from(machine.cohort.0)];
    site.drivers[usize::from(cohort.driver.0)].kind == NO_DRIVER
}

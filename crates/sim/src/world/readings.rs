//! Readings injected behind the parsers: what a machine would have answered, without the words.
//!
//! A day of polls of a whole farm is millions of requests whose text nobody reads. Here a
//! reading is taken straight from the machine's truth and handed to the driver, at the same
//! pace, and a machine that would not have answered is reported as such. Commands still go over
//! the simulated wire.

use super::World;
use super::queue::{Class, Due};
use crate::machine::Fault;
use headgate_core::event::{Event, MeterId};
use headgate_core::fleet::MachineId;
use headgate_core::site::{MeterKind, MeterSpec};
use headgate_core::time::Span;
use headgate_core::units::Power;
use headgate_drivers::{Failure, Input};

/// How readings come in where they are injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observe {
    /// How often every machine is read; whole seconds.
    pub every: Span,
    /// Largest distance of a reading from what the machine says, in parts per million.
    pub noise_ppm: u32,
}

/// The site's meter as it comes in beside the machines' own watts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feeder {
    /// How often it is read.
    pub every: Span,
    /// Largest distance of a reading from the truth, in parts per million.
    pub noise_ppm: u32,
}

/// Readings are taken so often, each time of another part of the farm.
const READ_STEP: Span = Span::seconds(1);
/// Pause between two readings of a machine whose command is to be proven.
const PROOF_EVERY: i64 = 4;
/// How long after a plan its machines are read at that pace.
const PROOF_FOR: Span = Span::seconds(40);

impl World {
    /// Reads every machine once, as a read-back does, and begins the rounds.
    pub(super) fn begin_readings(&mut self) {
        if self.options.observe.is_none() {
            return;
        }
        for i in 0..self.site.machines.len() {
            self.read(i);
        }
        self.queue.push(self.now + READ_STEP, Class::Wire, Due::Readings);
    }

    /// Takes the readings that are due now.
    pub(super) fn readings(&mut self) {
        let Some(observe) = self.options.observe else { return };
        let second = self.now.since(self.options.start).as_seconds();
        let round = observe.every.as_seconds().max(1);
        let slot = usize::try_from(second % round).unwrap_or(0);
        let round = usize::try_from(round).unwrap_or(1);
        for i in (slot..self.site.machines.len()).step_by(round) {
            self.read(i);
        }
        if second % PROOF_EVERY == 0 {
            self.read_proofs();
        }
        for lane in 0..self.lanes.len() {
            self.call(lane, Input::Timer);
        }
        self.queue.push(self.now + READ_STEP, Class::Wire, Due::Readings);
    }

    /// Begins to read the site's meter, where it has one that reports.
    pub(super) fn begin_feeder(&mut self) {
        if self.options.feeder.is_some() {
            self.queue.push(self.now, Class::Wire, Due::Feeder);
        }
    }

    /// Reads the site's meter, a little off the truth.
    pub(super) fn read_feeder(&mut self) {
        let Some(feeder) = self.options.feeder else { return };
        let reports = |m: &MeterSpec| m.kind == MeterKind::Reported;
        let Some(meter) = self.site.meters.iter().position(reports) else { return };
        let ppm = 1_000_000 + i64::from(self.rng.around(feeder.noise_ppm));
        let power = Some(self.farm.meter(self.now).power.scaled(ppm));
        let meter = MeterId(u16::try_from(meter).expect("meters are few"));
        self.inbox.push_back(Event::Meter { meter, power });
        self.queue.push(self.now + feeder.every, Class::Wire, Due::Feeder);
    }

    fn read_proofs(&mut self) {
        let mut proving = std::mem::take(&mut self.proving);
        proving.retain(|i| {
            let told = &self.told[*i];
            !told.confirmed && self.now.since(told.at) < PROOF_FOR
        });
        for i in &proving {
            self.read(*i);
        }
        self.proving = proving;
    }

    fn read(&mut self, index: usize) {
        let machine = MachineId(u32::try_from(index).expect("MACHINES_MAX fits 32 bits"));
        let reading = self.reading(machine);
        for lane in &mut self.lanes {
            match reading {
                Ok(watts) => lane.driver.observe(self.now, machine, watts),
                Err(failure) => lane.driver.unheard(self.now, machine, failure),
            }
        }
        self.outcome.readings += 1;
    }

    fn reading(&mut self, machine: MachineId) -> Result<Power, Failure> {
        if !self.farm.accepts(machine, self.now) {
            return Err(Failure::Connect);
        }
        let truth = self.farm.truth(machine, self.now);
        match truth.fault {
            Fault::Mute => return Err(Failure::Timeout),
            Fault::Html => return Err(Failure::Reset),
            _ => {}
        }
        let noise_ppm = self.options.observe.map_or(0, |o| o.noise_ppm);
        if noise_ppm == 0 {
            return Ok(truth.reported);
        }
        let ppm = 1_000_000 + i64::from(self.rng.around(noise_ppm));
        Ok(truth.reported.scaled(ppm))
    }
}

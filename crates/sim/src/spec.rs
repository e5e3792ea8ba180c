//! What a farm is made of.

use crate::address::ADDRESSES_MAX;
use crate::firmware::Firmware;
use crate::machine::{Fault, Spread, Times};
use crate::models::{Model, model};
use headgate_core::fleet::MachineId;
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;
use thiserror::Error;

/// How long a stock Antminer takes to fall asleep. An assumption.
const SLOW_DOWN: Span = Span::seconds(60);

/// Machines of one model at one site.
#[derive(Debug, Clone)]
pub struct CohortSpec {
    /// Their model.
    pub model: &'static Model,
    /// What they run.
    pub firmware: Firmware,
    /// How many there are.
    pub machines: u32,
    /// Power asleep.
    pub sleep: Power,
    /// How fast they change.
    pub times: Times,
    /// Index of the profile they start in.
    pub profile: usize,
    /// Whether they start awake.
    pub awake: bool,
    /// Whether their supply measures power; otherwise they estimate it.
    pub psu_measures: bool,
}

impl CohortSpec {
    /// Machines of a model, awake in their default profile, 8 s down and 300 s up.
    #[must_use]
    pub fn new(model: &'static Model, machines: u32) -> Self {
        let times = Times { down: Span::seconds(8), up: Span::seconds(300) };
        let (sleep, profile) = (model.sleep, model.default);
        let (firmware, awake, psu_measures) = (Firmware::Luxos, true, false);
        Self { model, firmware, machines, sleep, times, profile, awake, psu_measures }
    }

    /// Machines that have this firmware: its common model, and how fast its power falls.
    ///
    /// # Panics
    /// Never: every firmware's model is one of this crate's own.
    #[must_use]
    pub fn usual(firmware: Firmware, machines: u32) -> Self {
        let model = model(firmware.usual_model()).expect("the key is one of this crate's own");
        let mut cohort = Self::new(model, machines).running(firmware);
        if firmware == Firmware::Antminer {
            cohort.times.down = SLOW_DOWN;
        }
        cohort
    }

    /// The same with another firmware.
    #[must_use]
    pub fn running(self, firmware: Firmware) -> Self {
        Self { firmware, ..self }
    }
}

/// Which share of the machines has which fault, in parts per million of all machines.
///
/// The number of machines is exact (rounded down); the seed chooses which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultShares {
    /// [`Fault::Dead`].
    pub dead_ppm: u32,
    /// [`Fault::Dark`].
    pub dark_ppm: u32,
    /// [`Fault::Mute`].
    pub mute_ppm: u32,
    /// [`Fault::Lying`].
    pub lying_ppm: u32,
    /// [`Fault::Html`].
    pub html_ppm: u32,
    /// [`Fault::Slow`].
    pub slow_ppm: u32,
    /// When the faults begin; from the start when `None`.
    pub from: Option<Time>,
}

impl FaultShares {
    /// The share of one fault.
    #[must_use]
    pub fn share(&self, fault: Fault) -> u32 {
        match fault {
            Fault::None => 0,
            Fault::Dead => self.dead_ppm,
            Fault::Dark => self.dark_ppm,
            Fault::Mute => self.mute_ppm,
            Fault::Lying => self.lying_ppm,
            Fault::Html => self.html_ppm,
            Fault::Slow => self.slow_ppm,
        }
    }
}

/// Power drawn at the site beside the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteOverhead {
    /// Share of the machines' power, in parts per million: fans, losses.
    pub share_ppm: u32,
    /// Always drawn.
    pub fixed: Power,
}

impl SiteOverhead {
    /// Nothing beside the machines.
    pub const NONE: Self = Self { share_ppm: 0, fixed: Power::ZERO };
}

/// A whole farm.
#[derive(Debug, Clone)]
pub struct FarmSpec {
    /// Simulated time at which it begins.
    pub start: Time,
    /// Its machines, in order of their numbers.
    pub cohorts: Vec<CohortSpec>,
    /// What is wrong with them.
    pub faults: FaultShares,
    /// How machines of one model differ.
    pub spread: Spread,
    /// What the site draws beside them.
    pub overhead: SiteOverhead,
    /// Wall time a machine takes to answer.
    pub answer_delay: Span,
    /// Wall time a slow machine takes to answer.
    pub slow_delay: Span,
    /// Chooses everything that is left to chance.
    pub seed: u64,
}

impl FarmSpec {
    /// Healthy machines without overhead that answer at once.
    #[must_use]
    pub fn new(start: Time, cohorts: Vec<CohortSpec>, seed: u64) -> Self {
        Self {
            start,
            cohorts,
            faults: FaultShares::default(),
            spread: Spread::default(),
            overhead: SiteOverhead::NONE,
            answer_delay: Span::ZERO,
            slow_delay: Span::seconds(5),
            seed,
        }
    }

    /// A mixed farm of a given size: old, middle and new models in the shares of a common site.
    #[must_use]
    pub fn mixed(start: Time, machines: u32, seed: u64) -> Self {
        let known = |key| model(key).expect("the key is one of this crate's own models");
        let part = |percent: u32| machines / 100 * percent + machines % 100 * percent / 100;
        let (s19j, xp, s21) = (part(25), part(15), part(20));
        let cohorts = vec![
            CohortSpec::new(known("s19kpro"), machines - s19j - xp - s21),
            CohortSpec::new(known("s19jpro"), s19j),
            CohortSpec::new(known("s19xp"), xp),
            CohortSpec::new(known("s21"), s21),
        ];
        Self::new(start, cohorts.into_iter().filter(|c| c.machines > 0).collect(), seed)
    }

    /// A farm of firmwares in parts of a whole, each on a model that has it.
    #[must_use]
    pub fn of_firmwares(start: Time, machines: u32, seed: u64, parts: &[(Firmware, u32)]) -> Self {
        let whole: u64 = parts.iter().map(|(_, part)| u64::from(*part)).sum();
        let (mut cohorts, mut given, mut sum) = (Vec::new(), 0, 0);
        for (firmware, part) in parts {
            sum += u64::from(*part);
            // Rounding never loses a machine: each part ends where the parts so far do.
            let end = u64::from(machines) * sum / whole.max(1);
            let count = u32::try_from(end).unwrap_or(machines) - given;
            given += count;
            if count > 0 {
                cohorts.push(CohortSpec::usual(*firmware, count));
            }
        }
        Self::new(start, cohorts, seed)
    }

    pub(crate) fn check(&self) -> Result<u32, FarmError> {
        let count: u64 = self.cohorts.iter().map(|c| u64::from(c.machines)).sum();
        let machines = u32::try_from(count).unwrap_or(u32::MAX);
        if machines == 0 {
            return Err(FarmError::Empty);
        }
        if machines > ADDRESSES_MAX {
            return Err(FarmError::TooMany { machines: count });
        }
        let shares: u64 = Fault::ALL.iter().map(|f| u64::from(self.faults.share(*f))).sum();
        if shares > 1_000_000 {
            return Err(FarmError::Shares { shares });
        }
        for (cohort, c) in self.cohorts.iter().enumerate() {
            if c.profile >= c.model.profiles.len() {
                let (profile, most) = (c.profile, c.model.profiles.len() - 1);
                return Err(FarmError::Profile { cohort, profile, most });
            }
            if c.times.down.0 < 0 || c.times.up.0 < 0 {
                return Err(FarmError::Times { cohort });
            }
        }
        Ok(machines)
    }
}

/// Says why a farm cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FarmError {
    /// There is no machine in it.
    #[error("failed to build the farm: it has no machine; give a cohort at least one")]
    Empty,
    /// There is no address for so many machines.
    #[error(
        "failed to build the farm: {machines} machines, and at most {ADDRESSES_MAX} have one \
        loopback address each; ask for fewer"
    )]
    TooMany {
        /// How many were asked for.
        machines: u64,
    },
    /// More than every machine would be faulty.
    #[error(
        "failed to build the farm: the fault shares sum to {shares} ppm; keep them to \
        1000000 or less"
    )]
    Shares {
        /// The sum in parts per million.
        shares: u64,
    },
    /// A cohort starts in a profile that its model does not have.
    #[error(
        "failed to build the farm: cohort {cohort} starts in profile {profile}; its model \
        has 0 to {most}"
    )]
    Profile {
        /// Index of the cohort.
        cohort: usize,
        /// The profile asked for.
        profile: usize,
        /// The last profile there is.
        most: usize,
    },
    /// A ramp would end before it begins.
    #[error(
        "failed to build the farm: cohort {cohort} has a negative ramp time; make it zero or \
        more"
    )]
    Times {
        /// Index of the cohort.
        cohort: usize,
    },
}

/// Something that happens to a farm at a set time, without anybody's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// A fault begins: a breaker trips ([`Fault::Dead`]), a network goes ([`Fault::Dark`]).
    FaultBegins(MachineId, Fault),
    /// The fault is over; a dead machine boots.
    FaultEnds(MachineId),
    /// It is put to sleep by someone else.
    Sleeps(MachineId),
    /// It wakes by itself.
    Wakes(MachineId),
    /// It reboots.
    Reboots(MachineId),
}

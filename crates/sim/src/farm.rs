//! The farm: all machines, their physics, and a meter that knows what they really draw.
//!
//! Steady machines are summed once, as a straight line over time; only a machine that moves
//! costs work at each reading. Everything is integer arithmetic on the time that is given; the
//! farm has no clock.

use crate::address::{address_of, machine_at};
use crate::firmware::Memory;
use crate::machine::{
    AT_REST, BOOT, CHANGE_SHORTEST, Draw, FREQUENCY_STEP_MHZ, Fault, Machine, Pace, UP_SHORTEST,
};
use crate::models::Model;
use crate::ramp::{Line, Motion, Track};
use crate::rng::SplitMix;
use crate::spec::{CohortSpec, FarmError, FarmSpec, Happening};
use headgate_core::fleet::MachineId;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::time::{Span, Time};
use headgate_core::units::{Energy, NANOS_PER_SECOND, Power, Rate};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Of the way up, the share in which the chain is probed and draws as little as asleep.
const QUIET_PERCENT: i64 = 10;
/// Of the way up, the share after which the first hash is found.
const HASHING_PERCENT: i64 = 60;
/// Of the way down, the share after which no hash is found any more.
const HASHLESS_PERCENT: i64 = 10;

/// What the simulator's own meter shows: what machines really drew, not what was commanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeterReading {
    /// When it was read.
    pub at: Time,
    /// Power at the meter, overhead included.
    pub power: Power,
    /// Energy at the meter since the farm's start.
    pub energy: Energy,
    /// Power of the machines alone.
    pub machine_power: Power,
    /// Energy of the machines alone since the start.
    pub machine_energy: Energy,
    /// Work done each second.
    pub rate: Rate,
    /// Work done since the start: rate x seconds.
    pub work: i64,
}

/// What a machine is really doing, and what it says it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// Real power.
    pub power: Power,
    /// Real work rate.
    pub rate: Rate,
    /// The power it reports.
    pub reported: Power,
    /// Whether it says that it sleeps.
    pub declares_sleep: bool,
    /// Whether it really sleeps or is on its way there.
    pub asleep: bool,
    /// Whether it is between two levels.
    pub ramping: bool,
    /// Index of the profile it is set to.
    pub profile: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Says that a machine already is what it was told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Already;

#[derive(Debug, Clone, Copy)]
struct Moving {
    machine: u32,
    motion: Motion,
}

/// A farm of simulated machines.
#[derive(Debug, Clone)]
pub struct Farm {
    start: Time,
    latest: Time,
    cohorts: Vec<CohortSpec>,
    machines: Vec<Machine>,
    moving: Vec<Moving>,
    power: Line,
    rate: Line,
    share_ppm: u32,
    fixed: Power,
    answer_delay: Span,
    slow_delay: Span,
    agenda: BTreeMap<(Time, u64), Happening>,
    scheduled: u64,
    pub(crate) rng: SplitMix,
    pub(crate) memory: Memory,
}

impl Farm {
    /// Builds a farm.
    ///
    /// # Errors
    /// [`FarmError`] when the specification is none of a farm.
    pub fn new(spec: &FarmSpec) -> Result<Self, FarmError> {
        let count = spec.check()?;
        let mut farm = Self {
            start: spec.start,
            latest: spec.start,
            cohorts: spec.cohorts.clone(),
            machines: Vec::with_capacity(count as usize),
            moving: Vec::new(),
            power: Line::default(),
            rate: Line::default(),
            share_ppm: spec.overhead.share_ppm,
            fixed: spec.overhead.fixed,
            answer_delay: spec.answer_delay,
            slow_delay: spec.slow_delay,
            agenda: BTreeMap::new(),
            scheduled: 0,
            rng: SplitMix::stream(spec.seed, 1),
            memory: Memory::default(),
        };
        for (index, cohort) in spec.cohorts.iter().enumerate() {
            farm.add_cohort(spec, u16::try_from(index).unwrap_or(u16::MAX), cohort);
        }
        farm.give_faults(spec);
        Ok(farm)
    }

    fn add_cohort(&mut self, spec: &FarmSpec, index: u16, cohort: &CohortSpec) {
        let mut rng = SplitMix::stream(spec.seed, 1000 + u64::from(index));
        let profile = u8::try_from(cohort.profile).expect("a model has at most 25 profiles");
        for _ in 0..cohort.machines {
            let mut m = Machine::new(index, profile, &spec.spread, &mut rng);
            (m.asleep, m.declares_sleep) = (!cohort.awake, !cohort.awake);
            m.booted = spec.start;
            m.rest = if cohort.awake {
                m.working(cohort.model, profile)
            } else {
                m.sleeping(cohort.sleep)
            };
            self.power.join(m.rest.power, 0);
            self.rate.join(m.rest.rate, 0);
            self.machines.push(m);
        }
    }

    fn give_faults(&mut self, spec: &FarmSpec) {
        let count = self.machines.len();
        let mut order: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
        SplitMix::stream(spec.seed, 2).shuffle(&mut order);
        let mut next = order.into_iter();
        for fault in Fault::ALL {
            let share = u64::from(spec.faults.share(fault)) * count as u64 / 1_000_000;
            for id in next.by_ref().take(usize::try_from(share).unwrap_or(usize::MAX)) {
                let begins = Happening::FaultBegins(MachineId(id), fault);
                match spec.faults.from {
                    Some(at) if at > self.start => self.schedule(at, begins),
                    _ => self.happen(self.start, begins),
                }
            }
        }
    }

    /// How many machines there are.
    #[must_use]
    pub fn machines(&self) -> usize {
        self.machines.len()
    }

    /// Memory the farm holds for each of its machines, in bytes.
    #[must_use]
    pub fn bytes_per_machine(&self) -> usize {
        let held = self.machines.capacity() * size_of::<Machine>()
            + self.moving.capacity() * size_of::<Moving>();
        held / self.machines.len()
    }

    /// The model of a machine.
    ///
    /// # Panics
    /// When there is no such machine.
    #[must_use]
    pub fn model(&self, machine: MachineId) -> &'static Model {
        self.cohort(machine).model
    }

    pub(crate) fn cohorts(&self) -> &[CohortSpec] {
        &self.cohorts
    }

    pub(crate) fn cohort(&self, machine: MachineId) -> &CohortSpec {
        &self.cohorts[usize::from(self.machines[machine.index()].cohort)]
    }

    pub(crate) fn machine(&self, machine: MachineId) -> &Machine {
        &self.machines[machine.index()]
    }

    pub(crate) fn machine_mut(&mut self, machine: MachineId) -> &mut Machine {
        &mut self.machines[machine.index()]
    }

    /// The address of a machine.
    #[must_use]
    pub fn address(&self, machine: MachineId) -> Option<Ipv4Addr> {
        address_of(machine).filter(|_| machine.index() < self.machines.len())
    }

    /// The machine at an address.
    #[must_use]
    pub fn at(&self, address: Ipv4Addr) -> Option<MachineId> {
        machine_at(address).filter(|m| m.index() < self.machines.len())
    }

    /// Lets something happen later. What lies in the past happens at the next call.
    pub fn schedule(&mut self, at: Time, happening: Happening) {
        self.agenda.insert((at, self.scheduled), happening);
        self.scheduled += 1;
    }

    /// When the next scheduled thing happens.
    #[must_use]
    pub fn next_happening(&self) -> Option<Time> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Carries out what was scheduled up to now, and gives back the time that holds: the farm's
    /// time never goes back, whatever order two callers come in.
    pub fn advance(&mut self, now: Time) -> Time {
        while let Some(entry) = self.agenda.first_entry() {
            let due = entry.key().0;
            if due > now {
                break;
            }
            let happening = entry.remove();
            self.latest = self.latest.max(due);
            self.happen(self.latest, happening);
        }
        self.latest = self.latest.max(now);
        self.latest
    }

    fn happen(&mut self, at: Time, happening: Happening) {
        match happening {
            Happening::FaultBegins(m, fault) => {
                if fault == Fault::Dead {
                    self.jump(m, at, Draw::default());
                }
                self.machine_mut(m).fault = fault;
            }
            Happening::FaultEnds(m) => {
                let was = std::mem::take(&mut self.machine_mut(m).fault);
                if was == Fault::Dead {
                    self.boot(m, at);
                }
            }
            Happening::Sleeps(m) => drop(self.fall_asleep(m, at)),
            Happening::Wakes(m) => drop(self.wake_up(m, at, Pace::Normal)),
            Happening::Reboots(m) => self.boot(m, at),
        }
    }

    /// Reads the meter. Its cost grows with the machines that are between two levels.
    pub fn meter(&mut self, now: Time) -> MeterReading {
        let now = self.advance(now);
        let t = now.since(self.start).0;
        let (mut power, mut rate) = (0i128, 0i128);
        let (mut energy, mut work) = (0i128, 0i128);
        let mut i = 0;
        while i < self.moving.len() {
            let motion = self.moving[i].motion;
            if motion.end() <= now {
                self.settle(i);
                continue;
            }
            let after = motion.after(now);
            power += i128::from(motion.power.value(after));
            rate += i128::from(motion.rate.value(after));
            energy += motion.power.integral(after);
            work += motion.rate.integral(after);
            i += 1;
        }
        power += self.power.slope();
        rate += self.rate.slope();
        energy += self.power.at(t);
        work += self.rate.at(t);
        let with_share = |x: i128| x * i128::from(1_000_000 + u64::from(self.share_ppm));
        let fixed = i128::from(self.fixed.0);
        let site_power = with_share(power).div_euclid(1_000_000) + fixed;
        let site_energy = with_share(energy) + fixed * i128::from(t) * 1_000_000;
        let per_second = |x: i128| to_i64(x.div_euclid(NANOS_PER_SECOND));
        MeterReading {
            at: now,
            power: Power(to_i64(site_power)),
            energy: Energy(to_i64(site_energy.div_euclid(NANOS_PER_SECOND * 1_000_000))),
            machine_power: Power(to_i64(power)),
            machine_energy: Energy(per_second(energy)),
            rate: Rate(to_i64(rate)),
            work: per_second(work),
        }
    }

    /// What a machine really does now.
    pub fn truth(&mut self, machine: MachineId, now: Time) -> Truth {
        let now = self.advance(now);
        let draw = self.draw(machine, now);
        let m = self.machine(machine);
        let ramping = m.motion != AT_REST && self.moving[m.motion as usize].motion.end() > now;
        Truth {
            power: Power(draw.power),
            rate: Rate(draw.rate),
            reported: Power(m.says(draw.power)),
            declares_sleep: m.declares_sleep,
            asleep: m.asleep,
            ramping,
            profile: usize::from(m.profile),
            fault: m.fault,
        }
    }

    /// Whether a connection to the machine's API is accepted now.
    pub fn accepts(&mut self, machine: MachineId, now: Time) -> bool {
        let now = self.advance(now);
        let m = self.machine(machine);
        !matches!(m.fault, Fault::Dead | Fault::Dark) && m.booted <= now
    }

    /// Wall time this machine takes to answer.
    #[must_use]
    pub fn answer_delay(&self, machine: MachineId) -> Span {
        if self.machine(machine).fault == Fault::Slow { self.slow_delay } else { self.answer_delay }
    }

    /// Puts a machine to sleep.
    ///
    /// # Errors
    /// [`Already`] when it says that it sleeps.
    pub fn sleep(&mut self, machine: MachineId, now: Time) -> Result<(), Already> {
        let now = self.advance(now);
        self.fall_asleep(machine, now)
    }

    /// Wakes a machine.
    ///
    /// # Errors
    /// [`Already`] when it says that it is awake.
    pub fn wake(&mut self, machine: MachineId, now: Time, pace: Pace) -> Result<(), Already> {
        let now = self.advance(now);
        self.wake_up(machine, now, pace)
    }

    /// Sets a machine's profile; asleep, it takes effect at the next wake-up.
    ///
    /// # Panics
    /// When its model has no such profile.
    pub fn set_profile(&mut self, machine: MachineId, now: Time, profile: usize) {
        let now = self.advance(now);
        let model = self.model(machine);
        assert!(profile < model.profiles.len(), "the model has this profile");
        let index = u8::try_from(profile).expect("a model has at most 25 profiles");
        let m = self.machine_mut(machine);
        let obeys = m.fault != Fault::Lying;
        let unchanged = m.profile == index;
        m.profile = index;
        if unchanged || !obeys || m.asleep || m.fault == Fault::Dead {
            return;
        }
        let (from, to) = (self.draw(machine, now), self.machine(machine).working(model, index));
        let times = self.cohort(machine).times;
        let whole = if to.power > from.power { times.up } else { times.down };
        let range = (model.default_profile().watts.0 - model.sleep.0).max(1);
        let way = (to.power - from.power).abs().min(range);
        let part = div_half_even(i128::from(whole.0) * i128::from(way), i128::from(range));
        let takes = self.machine(machine).takes(Span(to_i64(part))).max(CHANGE_SHORTEST);
        // A machine that does not hash yet goes on probing for its part of the way.
        let late = if from.rate == 0 { percent(takes, HASHING_PERCENT) } else { Span::ZERO };
        self.go(machine, now, to, (Span::ZERO, takes), (late, takes));
    }

    /// Reboots a machine. One that slept goes on sleeping.
    pub fn reboot(&mut self, machine: MachineId, now: Time) {
        let now = self.advance(now);
        self.boot(machine, now);
    }

    /// Restarts a machine's work: it falls to where it begins, and rises.
    pub(crate) fn restart(&mut self, machine: MachineId, now: Time) {
        let now = self.advance(now);
        let m = self.machine(machine);
        if m.asleep || matches!(m.fault, Fault::Dead | Fault::Lying) {
            return;
        }
        let off = self.machine(machine).sleeping(self.cohort(machine).sleep);
        self.jump(machine, now, off);
        self.rise(machine, now, Pace::Normal, Span::ZERO);
    }

    fn fall_asleep(&mut self, machine: MachineId, now: Time) -> Result<(), Already> {
        let m = self.machine_mut(machine);
        if m.declares_sleep {
            return Err(Already);
        }
        m.declares_sleep = true;
        if m.fault == Fault::Lying {
            return Ok(());
        }
        m.asleep = true;
        if m.fault == Fault::Dead {
            return Ok(());
        }
        let cohort = self.cohort(machine);
        let to = self.machine(machine).sleeping(cohort.sleep);
        let takes = self.machine(machine).takes(cohort.times.down);
        let hashless = percent(takes, HASHLESS_PERCENT);
        self.go(machine, now, to, (Span::ZERO, takes), (Span::ZERO, hashless));
        Ok(())
    }

    fn wake_up(&mut self, machine: MachineId, now: Time, pace: Pace) -> Result<(), Already> {
        let m = self.machine_mut(machine);
        if !m.declares_sleep {
            return Err(Already);
        }
        m.declares_sleep = false;
        let first = std::mem::take(&mut m.first_wake);
        if !m.asleep {
            return Ok(());
        }
        m.asleep = false;
        if m.fault == Fault::Dead {
            return Ok(());
        }
        let pace = if first && pace == Pace::Unsafe { Pace::Normal } else { pace };
        self.rise(machine, now, pace, Span::ZERO);
        Ok(())
    }

    /// Starts the way up to the machine's profile, after a delay.
    fn rise(&mut self, machine: MachineId, now: Time, pace: Pace, delay: Span) {
        let up = self.machine(machine).takes(self.cohort(machine).times.up);
        let takes = match pace {
            Pace::Normal => up,
            Pace::Steps(mhz) => {
                let faster = up.0 * i64::from(FREQUENCY_STEP_MHZ) / i64::from(mhz.max(1));
                Span(faster).clamp(UP_SHORTEST.min(up), up)
            }
            Pace::Unsafe => UP_SHORTEST.min(up),
        };
        let to = {
            let m = self.machine(machine);
            m.working(self.model(machine), m.profile)
        };
        let quiet = delay + percent(takes, QUIET_PERCENT);
        let late = delay + percent(takes, HASHING_PERCENT);
        self.go(machine, now, to, (quiet, delay + takes), (late, delay + takes));
    }

    fn boot(&mut self, machine: MachineId, now: Time) {
        let off = self.machine(machine).sleeping(self.cohort(machine).sleep);
        let m = self.machine_mut(machine);
        if m.fault == Fault::Dead {
            return;
        }
        m.booted = now + BOOT;
        m.session = 0;
        m.first_wake = true;
        let asleep = m.asleep;
        self.jump(machine, now, off);
        if !asleep {
            self.rise(machine, now, Pace::Normal, BOOT);
        }
    }

    fn draw(&self, machine: MachineId, now: Time) -> Draw {
        let m = self.machine(machine);
        if m.motion == AT_REST {
            return m.rest;
        }
        let motion = &self.moving[m.motion as usize].motion;
        let after = motion.after(now);
        Draw { power: motion.power.value(after), rate: motion.rate.value(after) }
    }

    fn jump(&mut self, machine: MachineId, now: Time, to: Draw) {
        self.go(machine, now, to, (Span::ZERO, Span::ZERO), (Span::ZERO, Span::ZERO));
    }

    /// Sends a machine from where it is to a new draw; each pair is its hold and its end.
    fn go(
        &mut self,
        machine: MachineId,
        now: Time,
        to: Draw,
        power: (Span, Span),
        rate: (Span, Span),
    ) {
        let from = self.draw(machine, now);
        let t = now.since(self.start).0;
        let motion = Motion {
            start: now,
            power: Track::new(from.power, to.power, power.0, power.1),
            rate: Track::new(from.rate, to.rate, rate.0, rate.1),
        };
        let place = self.machine(machine).motion;
        if place == AT_REST {
            let rest = self.machine(machine).rest;
            self.power.leave(rest.power, t);
            self.rate.leave(rest.rate, t);
            let place = u32::try_from(self.moving.len()).expect("no more move than there are");
            self.moving.push(Moving { machine: machine.0, motion });
            self.machine_mut(machine).motion = place;
        } else {
            let old = self.moving[place as usize].motion;
            self.power.add(old.power.integral(old.after(now)));
            self.rate.add(old.rate.integral(old.after(now)));
            self.moving[place as usize].motion = motion;
        }
        self.machine_mut(machine).rest = to;
        if motion.end() <= now {
            let place = self.machine(machine).motion;
            self.settle(place as usize);
        }
    }

    /// Takes a machine that has arrived from the moving ones to the steady ones.
    fn settle(&mut self, place: usize) {
        let Moving { machine, motion } = self.moving.swap_remove(place);
        let end = motion.end();
        let (after, t) = (motion.after(end), end.since(self.start).0);
        self.power.add(motion.power.integral(after));
        self.rate.add(motion.rate.integral(after));
        self.power.join(motion.power.to, t);
        self.rate.join(motion.rate.to, t);
        self.machines[machine as usize].motion = AT_REST;
        if let Some(moved) = self.moving.get(place) {
            let place = u32::try_from(place).expect("no more move than there are");
            self.machines[moved.machine as usize].motion = place;
        }
    }
}

/// A share of a span.
fn percent(span: Span, percent: i64) -> Span {
    Span(span.0 / 100 * percent)
}

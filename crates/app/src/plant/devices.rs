//! Devices beside the machines: each is read by a task of its own, and what it says becomes an
//! event of the one loop.

use super::Plant;
use crate::site_files::describe;
use crate::status::{MeterView, SwitchView};
use headgate_core::event::{Event, MeterId};
use headgate_core::hands::{SwitchChange, SwitchId, SwitchSpec};
use headgate_core::site::{MeterKind, Site};
use headgate_core::time::Time;
use headgate_core::units::Power;
use headgate_drivers::devices::modbus::{Meter, MeterPlan};
use headgate_drivers::devices::switch::{AllowList, Switch, SwitchPlan, SwitchRead, TELLS_MAX};
use headgate_drivers::devices::{DeviceFault, MeterRead};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A reading that waited longer than this for the loop is not taken: it would look newer than it
/// is.
const READ_AGE_MAX: Duration = Duration::from_secs(2);

/// What became of a meter's readings.
#[derive(Debug, Clone, Default)]
pub(super) struct MeterBoard {
    address: String,
    power: Option<(Time, Power)>,
    fault: Option<(Time, String)>,
    /// Whether the last reading failed.
    failing: bool,
}

/// The switches: how each was last found, and the way to its task.
pub(super) struct SwitchBoards {
    reads: mpsc::Sender<SwitchRead>,
    all: Vec<SwitchBoard>,
    /// Closings that wait for the disk: like a raise, none goes out unsynced.
    withheld: Vec<SwitchChange>,
}

struct SwitchBoard {
    address: String,
    tell: mpsc::Sender<bool>,
    /// What the engine last heard, once it has.
    said: Option<Option<bool>>,
    found: Option<(Time, Option<bool>)>,
    fault: Option<String>,
}

impl SwitchBoards {
    /// No switch yet.
    pub(super) fn new(reads: mpsc::Sender<SwitchRead>) -> Self {
        Self { reads, all: Vec::new(), withheld: Vec::new() }
    }
}

impl Plant {
    /// Begins to read the devices of the site; their tasks end with the plant.
    pub fn read_devices(&mut self, meters: &[Option<MeterPlan>], switches: &[SwitchPlan]) {
        self.read_meters(meters);
        let list = Arc::new(AllowList::of(switches));
        for (i, plan) in switches.iter().enumerate() {
            let Ok(id) = u16::try_from(i) else { return };
            let (tell, tells) = mpsc::channel(TELLS_MAX);
            let switch = Switch::new(plan.clone(), Arc::clone(&list));
            tokio::spawn(switch.follow(SwitchId(id), tells, self.switches.reads.clone()));
            let address = plan.address.clone();
            let board = SwitchBoard { address, tell, said: None, found: None, fault: None };
            self.switches.all.push(board);
        }
    }

    /// Takes how a switch stands; the engine hears of what has changed.
    pub(super) fn take_stand(&mut self, read: SwitchRead) {
        let (now, switch) = (self.clock.now(), read.switch);
        let Some(board) = self.switches.all.get_mut(usize::from(switch.0)) else { return };
        let closed = match read.closed {
            Ok(closed) => {
                board.fault = None;
                board.found = Some((now, closed));
                closed
            }
            Err(fault) => {
                let text = describe(&fault);
                if board.fault.is_none() {
                    tracing::warn!("switch at {}: {text}", board.address);
                }
                board.fault = Some(text);
                None
            }
        };
        if board.said != Some(closed) {
            board.said = Some(closed);
            self.state.waiting.push((Event::Switch { switch, closed }, None));
        }
    }

    /// Tells switches what a step decided: openings at once, closings once they are on disk.
    pub(super) fn tell_switches(&mut self, changes: &[SwitchChange], durable: bool) {
        for change in changes {
            // The latest word on a switch is the one that counts, whatever still waits.
            self.switches.withheld.retain(|w| w.switch != change.switch);
            self.switches.withheld.push(*change);
        }
        let withheld = std::mem::take(&mut self.switches.withheld);
        for change in withheld {
            if change.closed && !durable {
                self.switches.withheld.push(change);
                continue;
            }
            if !self.may_command {
                continue;
            }
            let Some(board) = self.switches.all.get(usize::from(change.switch.0)) else { continue };
            let word = if change.closed { "close" } else { "open" };
            tracing::warn!("switch at {} is told to {word}", board.address);
            if board.tell.try_send(change.closed).is_err() {
                tracing::warn!("switch at {} takes nothing more", board.address);
            }
        }
    }

    fn read_meters(&mut self, plans: &[Option<MeterPlan>]) {
        self.meters = vec![MeterBoard::default(); plans.len()];
        for (i, plan) in plans.iter().enumerate() {
            let (Some(plan), Ok(id)) = (plan, u16::try_from(i)) else { continue };
            self.meters[i].address.clone_from(&plan.address);
            let meter = Meter::new(plan.clone());
            tokio::spawn(meter.follow(MeterId(id), self.reads.clone()));
        }
    }

    /// Takes what a meter said, or why it did not.
    pub(super) fn take_read(&mut self, read: MeterRead) {
        if read.asked.elapsed() > READ_AGE_MAX {
            return;
        }
        let (now, meter) = (self.clock.now(), read.meter);
        let Some(board) = self.meters.get_mut(usize::from(meter.0)) else { return };
        let answered = read.power.as_ref().map_or_else(DeviceFault::answered, |_| true);
        let power = read.power.as_ref().ok().copied();
        match read.power {
            Ok(power) => {
                if board.failing {
                    tracing::info!("meter at {} is read again: {power}", board.address);
                }
                board.power = Some((now, power));
            }
            Err(fault) => {
                let text = describe(&fault);
                if !board.failing {
                    tracing::warn!("meter at {}: {text}", board.address);
                }
                board.fault = Some((now, text));
            }
        }
        board.failing = power.is_none();
        if answered {
            self.state.waiting.push((Event::Meter { meter, power }, None));
        }
    }
}

/// How the devices are, for people.
pub(super) fn views(site: &Site, boards: &[MeterBoard], now: Time) -> Vec<MeterView> {
    let age = |t: Time| now.since(t).0 as f64 / 1e9;
    let all = site.meters.iter().zip(boards).filter(|(m, _)| m.kind == MeterKind::Reported);
    let view = |(spec, board): (&headgate_core::site::MeterSpec, &MeterBoard)| MeterView {
        name: spec.name.clone(),
        source: board.address.clone(),
        power_w: board.power.map(|(_, p)| p.0),
        age_s: board.power.map(|(t, _)| age(t)),
        stale: board.power.is_none_or(|(t, _)| now.since(t) > spec.stale_after),
        failing: board.failing,
        last_error: board.fault.as_ref().map(|(_, text)| text.clone()),
        last_error_s: board.fault.as_ref().map(|(t, _)| age(*t)),
    };
    all.map(view).collect()
}

/// How the switches are, for people.
pub(super) fn switch_views(
    specs: &[SwitchSpec],
    boards: &SwitchBoards,
    now: Time,
) -> Vec<SwitchView> {
    let view = |(spec, board): (&SwitchSpec, &SwitchBoard)| SwitchView {
        name: spec.name.clone(),
        source: board.address.clone(),
        allowed: spec.allowed,
        closed: board.found.and_then(|(_, closed)| closed),
        age_s: board.found.map(|(t, _)| now.since(t).0 as f64 / 1e9),
        error: board.fault.clone(),
    };
    specs.iter().zip(&boards.all).map(view).collect()
}

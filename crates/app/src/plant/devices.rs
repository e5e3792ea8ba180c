//! Devices beside the machines: each is read by a task of its own, and what it says becomes an
//! event of the one loop.

use super::Plant;
use crate::site_files::describe;
use crate::status::MeterView;
use headgate_core::event::{Event, MeterId};
use headgate_core::site::{MeterKind, Site};
use headgate_core::time::Time;
use headgate_core::units::Power;
use headgate_drivers::devices::modbus::{Meter, MeterPlan};
use headgate_drivers::devices::{MeterFault, MeterRead};
use std::time::Duration;

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

impl Plant {
    /// Begins to read the devices of the site; their tasks end with the plant.
    pub fn read_meters(&mut self, plans: &[Option<MeterPlan>]) {
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
        let answered = read.power.as_ref().map_or_else(MeterFault::answered, |_| true);
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

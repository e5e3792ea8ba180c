//! What came of an obligation: told, acked, declared and measured are four things.

use super::Obligation;
use crate::curtail::{CurtailReport, FAILED_NAMED_MAX, Failed, How, Share, Told};
use crate::engine::Engine;
use crate::fleet::{Answer, Declared, Level, MachineId, TargetPhase};
use crate::time::Time;

/// How a machine that was told fares.
enum Fate {
    Proven,
    Open,
    Failed(How),
}

impl Engine {
    /// The report of an obligation as far as it has come.
    pub(super) fn report_of(&self, o: &Obligation, now: Time) -> CurtailReport {
        let mut r = CurtailReport {
            seq: o.seq,
            said: o.said.clone(),
            asked: o.asked,
            since: o.since,
            by: o.by,
            baseline: o.baseline,
            ceiling: o.ceiling,
            at: now,
            import: self.measured_import(),
            by_meter: self.metered(now).is_some(),
            proven_at: o.proven_at,
            waves: o.waves.clone(),
            opened: o.opened.clone(),
            told: Share::NONE,
            acked: Share::NONE,
            declared: Share::NONE,
            measured: Share::NONE,
            open: Share::NONE,
            failed: Share::NONE,
            failures: Vec::new(),
        };
        for (i, told) in o.told.iter().enumerate() {
            let Some(t) = told else { continue };
            let machine = MachineId(u32::try_from(i).expect("MACHINES_MAX fits 32 bits"));
            add(&mut r, machine, t);
        }
        r
    }
}

fn add(r: &mut CurtailReport, machine: MachineId, t: &Told) {
    let way = t.before.minus_or_zero(t.due);
    r.told.add(way);
    if t.answer == Some(Answer::Accepted) {
        r.acked.add(way);
    }
    let says = if t.to == Level::SLEEP { Declared::Asleep } else { Declared::Awake };
    if t.declared == Some(says) {
        r.declared.add(way);
    }
    let still = t.watts.unwrap_or(t.before).minus_or_zero(t.due);
    match fate(t) {
        Fate::Proven => r.measured.add(t.before.minus_or_zero(t.watts.unwrap_or(t.due))),
        Fate::Open => r.open.add(still),
        Fate::Failed(how) => {
            r.failed.add(still);
            if r.failures.len() < FAILED_NAMED_MAX {
                r.failures.push(Failed { machine, how, power: still });
            }
        }
    }
}

fn fate(t: &Told) -> Fate {
    match (t.phase, t.answer) {
        (TargetPhase::Confirmed, _) => Fate::Proven,
        (TargetPhase::Pending | TargetPhase::Dispatched, _) => Fate::Open,
        (_, Some(Answer::Refused)) => Fate::Failed(How::Refused),
        (_, Some(Answer::TimedOut) | None) => Fate::Failed(How::Mute),
        (TargetPhase::Unavailable, Some(Answer::Accepted)) => Fate::Failed(How::Unseen),
        (_, Some(Answer::Accepted)) => Fate::Failed(How::Lied),
    }
}

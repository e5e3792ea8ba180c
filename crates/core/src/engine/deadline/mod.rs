//! A deadline: so much power down by then, proven by what measures import.
//!
//! More machines are told than would be enough if all obeyed, by what is known of failures. What
//! is missing is looked at as soon as a failure is known, again at a third and at two thirds of
//! the time and at its end, and other machines are told. It stops when the meter says so, and
//! import is held there until somebody lets go.
//!
//! ```text
//!   asked        a third      two thirds      by
//!     |-- wave 1 ---|-- wave 2 ---|-- wave 3 ---|-- more, as often as a fall takes
//! ```

mod call;
mod preview;
mod report;
mod select;
mod switches;

use super::learn::Learned;
use super::{Engine, inrush};
use crate::curtail::{CurtailReport, Told, WAVES_KEPT_MAX, Wave};
use crate::event::AutomationMode;
use crate::fleet::{MachineId, MachineReport, TargetPhase};
use crate::hands::{Hands, SwitchId};
use crate::limits::CONTROL_STEP;
use crate::plan::Change;
use crate::reason::{Alarm, Narrowing, Rung};
use crate::site::{MeterKind, Ramp, Site};
use crate::time::{Span, Time};
use crate::units::Power;
pub(super) use call::Call;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
pub(super) use switches::SwitchState;

/// Import is aimed below what is asked by this share of it, for meters are not exact.
const MARGIN_PPM: i64 = 5_000;
/// Between two waves less than this share of what is asked is left to the next one.
const SPARE_PPM: i64 = 10_000;
/// Readings of a meter in a row that prove, or take back.
const READINGS: u8 = 2;
/// How often what is held down is looked at for room to fill.
const HELD_EVERY: Span = Span::minutes(1);
/// After the deadline, machines that are still open are waited for so much longer than a fall
/// takes before the report is written.
const REPORT_GRACE: Span = Span::seconds(20);

/// Power that must be down, from when it was asked until somebody lets go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    /// The act, by its place in the journal.
    pub seq: u64,
    /// Who asked, and why.
    pub said: String,
    /// How much was asked, at the meter.
    pub asked: Power,
    /// When.
    pub since: Time,
    /// By when.
    pub by: Time,
    /// Import when it was asked.
    pub baseline: Power,
    /// Import may be no higher than this.
    pub ceiling: Power,
    /// Whether a meter measured import when it was asked, and how far it was above the machines'
    /// own watts then: without the meter those prove nothing.
    metered: Option<Power>,
    /// When it was first proven.
    pub proven_at: Option<Time>,
    /// Whether its report was written.
    pub reported: bool,
    /// Share of commands that fail, by cohort, as known when it was asked: failures come in before
    /// proofs do, and what is learned meanwhile is too dark.
    failure_ppm: Vec<i64>,
    told: Vec<Option<Told>>,
    waves: Vec<Wave>,
    /// Power told to come down within the windows of the ramps, and when.
    lowered: VecDeque<(Time, Power)>,
    /// Switches opened for it.
    opened: Vec<SwitchId>,
    /// When the next wave is looked at; at once when none was yet.
    look: Option<Time>,
    /// When the next wave is looked at that nothing brought forward: switches wait for it.
    scheduled: Time,
    /// When the last one was.
    looked: Time,
    /// What the machines may be told to draw while import is held down.
    allowed: Power,
    /// Readings at or below the ceiling in a row, and the first of them.
    under: (u8, Option<Time>),
    /// Readings above it in a row.
    over: u8,
    /// The last reading counted.
    read_at: Option<Time>,
}

impl Obligation {
    /// What one machine was told for it.
    #[must_use]
    pub fn told(&self, machine: MachineId) -> Option<&Told> {
        self.told.get(machine.index())?.as_ref()
    }

    /// Import aimed at.
    fn goal(&self) -> Power {
        (self.ceiling - self.asked.scaled(MARGIN_PPM)).max(Power::ZERO)
    }

    /// When a third of the time is over.
    fn first_look(&self) -> Time {
        self.since + Span(self.by.since(self.since).0.max(0) / 3)
    }

    /// When two thirds of it are.
    fn last_look(&self) -> Time {
        self.since + Span(self.by.since(self.since).0.max(0) / 3 * 2)
    }

    /// The first moment to look again after one.
    fn next_look(&self, now: Time, pause: Span) -> Time {
        let looks = [self.first_look(), self.last_look(), self.by];
        looks.into_iter().find(|t| *t > now).unwrap_or(now + pause)
    }
}

impl Engine {
    /// The obligation in force.
    #[must_use]
    pub fn obligation(&self) -> Option<&Obligation> {
        self.obligation.as_ref()
    }

    /// The switches and ramp classes in force.
    #[must_use]
    pub fn hands(&self) -> &Hands {
        &self.hands
    }

    /// What the machines have shown of themselves, by cohort.
    #[must_use]
    pub fn learned(&self) -> &[Learned] {
        &self.learned
    }

    /// A person wants so much power down by a moment. One that is in force already is never
    /// loosened by it.
    pub(super) fn curtail(&mut self, now: Time, (shed, by): (Power, Time), said: String) {
        let Some(site) = self.site.as_deref() else { return };
        let baseline = self.import_or_planned(site);
        let own = self.machine_import().unwrap_or(baseline);
        let metered = self.metered(now).map(|(power, _)| (power - own).max(Power::ZERO));
        let asked = shed.max(Power::ZERO);
        let held = self.obligation.as_ref().map_or(baseline, |o| o.ceiling);
        let ceiling = (baseline - asked).max(Power::ZERO).min(held);
        self.obligation = Some(Obligation {
            seq: self.seq,
            said,
            asked,
            since: now,
            by,
            baseline,
            ceiling,
            metered,
            proven_at: None,
            reported: false,
            failure_ppm: self.learned.iter().map(Learned::failure_ppm).collect(),
            told: vec![None; site.machines.len()],
            waves: Vec::new(),
            lowered: self.obligation.take().map_or_else(VecDeque::new, |o| o.lowered),
            opened: self.opened_before(),
            look: None,
            scheduled: Time::MIN,
            looked: Time::MIN,
            allowed: Power::ZERO,
            under: (0, None),
            over: 0,
            read_at: None,
        });
    }

    /// Lets go of what is held down.
    pub(super) fn resume(&mut self, now: Time, step: &mut super::Step) {
        let Some(o) = self.obligation.take() else { return };
        if !o.reported {
            step.report = Some(self.report_of(&o, now));
        }
        self.set_alarm(Alarm::DeadlineMissed, false, String::new, step);
    }

    fn import_or_planned(&self, site: &Site) -> Power {
        let planned = || site.overhead.meter(self.roster.planned() + self.roster.falling());
        self.measured_import().unwrap_or_else(planned)
    }

    /// Import to go by: with its meter lost, the machines' own watts and what they left out.
    fn import_for(&self, site: &Site, o: &Obligation, now: Time) -> Power {
        let import = self.import_or_planned(site);
        let left_out = o.metered.filter(|_| self.metered(now).is_none());
        import + left_out.unwrap_or(Power::ZERO)
    }

    /// The meter that measures import, as long as it is fresh.
    pub(super) fn metered(&self, now: Time) -> Option<(Power, Time)> {
        let site = self.site.as_deref()?;
        site.meters.iter().zip(&self.meters).find_map(|(meter, reading)| {
            let (power, at) = (*reading)?;
            let counts = meter.kind == MeterKind::Reported && now.since(at) <= meter.stale_after;
            counts.then_some((power, at))
        })
    }

    /// Whether the site has a meter of its own: then nothing else proves, fresh or not.
    fn has_meter(&self) -> bool {
        let reported = |s: &Site| s.meters.iter().any(|m| m.kind == MeterKind::Reported);
        self.site.as_deref().is_some_and(reported)
    }

    /// Forgets who was told: machines are read back, or are others now.
    pub(super) fn obligation_restarts(&mut self, machines: usize, forget: bool) {
        let Some(o) = &mut self.obligation else { return };
        (o.look, o.scheduled) = (None, Time::MIN);
        (o.under, o.over, o.read_at) = ((0, None), 0, None);
        if forget {
            o.told = vec![None; machines];
        }
    }

    /// Goes by what is known of failures now: cohorts are others than when it was asked.
    pub(super) fn obligation_relearns(&mut self) {
        let failure_ppm = self.learned.iter().map(Learned::failure_ppm).collect();
        if let Some(o) = &mut self.obligation {
            o.failure_ppm = failure_ppm;
        }
    }

    /// Notes what a machine shows of what it was told.
    pub(super) fn note_told(&mut self, now: Time, report: &MachineReport) {
        let Some(o) = &mut self.obligation else { return };
        let Some(Some(told)) = o.told.get_mut(report.machine.index()) else { return };
        if report.generation != told.generation {
            return;
        }
        told.phase = report.phase;
        told.answer = report.answer.or(told.answer);
        told.declared = report.declared.or(told.declared);
        if report.measured_at.is_some_and(|t| t >= told.at) {
            told.watts = report.watts;
        }
        let proven = report.phase == TargetPhase::Confirmed;
        told.proven_at = if proven { told.proven_at.or(Some(now)) } else { None };
    }

    /// Follows import against what was asked, and says what came of it.
    pub(super) fn oblige(&mut self, now: Time, step: &mut super::Step) {
        self.watch_switches(now, step);
        let Some(mut o) = self.obligation.take() else { return };
        self.follow(&mut o, now);
        let missed = now > o.by && o.proven_at.is_none();
        let text = || {
            let left = self.measured_import().map_or_else(String::new, |m| format!(", it is {m}"));
            format!("import was to be at most {} by {}{left}", o.ceiling, o.by)
        };
        let text = if missed { text() } else { String::new() };
        self.set_alarm(Alarm::DeadlineMissed, missed, || text, step);
        if !o.reported && self.is_over(&o, now) {
            o.reported = true;
            step.report = Some(self.report_of(&o, now));
        }
        self.obligation = Some(o);
    }

    /// Counts readings at or below the ceiling, and above it.
    fn follow(&self, o: &mut Obligation, now: Time) {
        let (import, at, needed) = match self.metered(now) {
            Some((power, at)) => (power, at, READINGS),
            None if self.has_meter() || o.metered.is_some() => return,
            // The machines' own watts count as last measured, so one sum is proof.
            None => match self.measured_import().filter(|_| self.ready()) {
                Some(power) => (power, now, 1),
                None => return,
            },
        };
        if o.read_at.is_some_and(|t| at <= t) || at < o.since {
            return;
        }
        o.read_at = Some(at);
        if import <= o.ceiling {
            o.over = 0;
            o.under = (o.under.0.saturating_add(1), o.under.1.or(Some(at)));
            if o.under.0 >= needed {
                o.proven_at = o.proven_at.or(o.under.1);
            }
        } else {
            o.over = o.over.saturating_add(1);
            o.under = (0, None);
        }
    }

    /// Whether there is nothing more to wait for before the report is written.
    fn is_over(&self, o: &Obligation, now: Time) -> bool {
        let open = o
            .told
            .iter()
            .flatten()
            .any(|t| matches!(t.phase, TargetPhase::Pending | TargetPhase::Dispatched));
        (o.proven_at.is_some() && !open) || now >= o.by + self.pause() + REPORT_GRACE
    }

    /// How long a wave takes to show: the fall of the fastest cohort.
    fn pause(&self) -> Span {
        let fastest = self.learned.iter().map(Learned::down).min();
        fastest.unwrap_or(CONTROL_STEP).max(CONTROL_STEP).min(Span::minutes(1))
    }

    /// Writes down who is about to be told to come down, with what they draw until then.
    pub(super) fn note_wave(&mut self, now: Time, changes: &[Change]) {
        let Some(mut o) = self.obligation.take() else { return };
        let mut wave = Wave { at: now, machines: 0, power: Power::ZERO };
        for c in changes {
            let m = &self.roster.machines()[c.machine.index()];
            if c.level >= m.level || o.proven_at.is_some() && o.over < READINGS {
                continue;
            }
            let learned = &self.learned[usize::from(m.cohort)];
            let (before, due) = (m.watts.unwrap_or(learned.power(m.level)), learned.power(c.level));
            // One that is told again is still the same machine, and fell from where it was.
            let was = o.told[c.machine.index()].filter(|t| t.proven_at.is_none());
            wave.machines += 1;
            wave.power += was.map_or(before, |t| t.due).minus_or_zero(due);
            let before = was.map_or(before, |t| t.before);
            o.told[c.machine.index()] = Some(Told {
                at: now,
                generation: self.generation,
                to: c.level,
                before,
                due,
                answer: None,
                declared: None,
                watts: None,
                phase: TargetPhase::Pending,
                proven_at: None,
            });
        }
        if wave.machines > 0 {
            let full = o.waves.len() >= WAVES_KEPT_MAX;
            match o.waves.last_mut() {
                Some(last) if last.at == now || full => {
                    last.machines += wave.machines;
                    last.power += wave.power;
                }
                _ => o.waves.push(wave),
            }
            inrush::remember(&mut o.lowered, now, Some(wave.power), self.longest_ramp());
        }
        self.obligation = Some(o);
    }

    /// How far back the ramps on the way down look.
    fn longest_ramp(&self) -> Span {
        let step = self.site.as_deref().and_then(|s| s.limits.step);
        step.map_or(CONTROL_STEP, |r| r.per.max(CONTROL_STEP))
    }

    /// When an obligation is to be looked at again.
    pub(super) fn wake_for_obligation(&self, at: &mut dyn FnMut(Time)) {
        let Some(o) = &self.obligation else { return };
        if let Some(look) = o.look {
            at(look);
        }
        at(o.by + Span(1));
        if !o.reported {
            at(o.by + self.pause() + REPORT_GRACE);
        }
    }

    /// Whether what an obligation lost to a ramp still comes in time; once it is late, that is
    /// an alarm of its own.
    pub(super) fn in_time_by_ramp(&self, site: &Site, n: &Narrowing, now: Time) -> bool {
        let (Some(o), Some(lost)) = (&self.obligation, n.overridden) else { return false };
        let ramp: Option<Ramp> = match lost.by {
            Rung::RampDown => site.limits.ramp_down,
            Rung::Step => site.limits.step,
            _ => None,
        };
        let comes = |r: Ramp| now >= o.by || r.within(o.by.since(now)) >= lost.watts;
        n.rung == Rung::Obligation && ramp.is_some_and(comes)
    }

    /// Whether plans reach machines in the mode in force.
    pub(super) fn acts(&self) -> bool {
        matches!(self.mode.0, AutomationMode::Auto | AutomationMode::Hold)
    }
}

impl Engine {
    /// The report of what is in force, as far as it has come.
    #[must_use]
    pub fn curtailment(&self) -> Option<CurtailReport> {
        let o = self.obligation.as_ref()?;
        Some(self.report_of(o, self.now?))
    }
}

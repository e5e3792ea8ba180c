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

mod preview;
mod report;
mod select;
mod switches;

use super::Engine;
use super::learn::{FAILED_BEFORE_PPM, Learned};
use crate::curtail::{CurtailReport, Told, WAVES_KEPT_MAX, Wave};
use crate::event::AutomationMode;
use crate::fleet::{Level, MachineId, MachineReport, TargetPhase};
use crate::hands::{Hands, SwitchChange, SwitchId};
use crate::limits::CONTROL_STEP;
use crate::plan::Change;
use crate::reason::{Alarm, Narrowing, Rung};
use crate::roster::Machine;
use crate::site::{MeterKind, Ramp, Site};
use crate::time::{Span, Time};
use crate::units::Power;
use select::Pick;
use serde::{Deserialize, Serialize};
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
    /// When it was first proven.
    pub proven_at: Option<Time>,
    /// Whether its report was written.
    pub reported: bool,
    /// Share of commands that fail, by cohort, as known when it was asked: failures come in before
    /// proofs do, and what is learned meanwhile is too dark.
    failure_ppm: Vec<i64>,
    told: Vec<Option<Told>>,
    waves: Vec<Wave>,
    /// Switches opened for it.
    opened: Vec<SwitchId>,
    /// When the next wave is looked at; at once when none was yet.
    look: Option<Time>,
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

/// What an obligation wants of one decision.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Who is to come down, in the order in which they are told.
    picks: Vec<Pick>,
    /// Switches that are to be opened for what machines cannot do in time.
    switches: Vec<SwitchChange>,
    /// The power told, at the meter.
    aim: Power,
    /// Nobody is told to come up.
    shedding: bool,
    text: String,
}

/// Of the machines that were told and have not shown it: what import will still do by itself.
#[derive(Debug, Clone, Copy)]
struct Unproven {
    /// How far it is expected to fall.
    falls: Power,
    /// How far it will rise.
    rises: Power,
    /// How far all that was told for the obligation and has not failed is expected to bring it,
    /// from where it was when it was asked.
    promised: Power,
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
        let whole = self.by.since(self.since).0.max(0);
        let thirds = [self.since + Span(whole / 3), self.since + Span(whole / 3 * 2), self.by];
        thirds.into_iter().find(|t| *t > now).unwrap_or(now + pause)
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
            proven_at: None,
            reported: false,
            failure_ppm: self.learned.iter().map(Learned::failure_ppm).collect(),
            told: vec![None; site.machines.len()],
            waves: Vec::new(),
            opened: Vec::new(),
            look: None,
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
        step.switches = self.close_switches(now, &o);
        self.set_alarm(Alarm::DeadlineMissed, false, String::new, step);
    }

    fn import_or_planned(&self, site: &Site) -> Power {
        let planned = || site.overhead.meter(self.roster.planned() + self.roster.falling());
        self.measured_import().unwrap_or_else(planned)
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

    /// Forgets who was told: machines are read back, or are others now.
    pub(super) fn obligation_restarts(&mut self, machines: usize, forget: bool) {
        let Some(o) = &mut self.obligation else { return };
        o.look = None;
        (o.under, o.over, o.read_at) = ((0, None), 0, None);
        if forget {
            o.told = vec![None; machines];
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

    /// What the obligation wants now; `None` when there is none.
    pub(super) fn call(&mut self, site: &Site, now: Time) -> Option<Call> {
        let mut o = self.obligation.take()?;
        let shedding = o.proven_at.is_none();
        // What was proven once is taken back by several readings alone.
        let above = shedding || o.over >= READINGS;
        let hurry = !shedding && above && now.since(o.looked) >= self.pause();
        let due = o.look.is_none_or(|t| now >= t) || hurry;
        let unproven = self.unproven(site, &o, now, due);
        let goal = site.overhead.machines(o.goal());
        let import = site.overhead.machines(self.import_or_planned(site));
        let gap = if now < o.first_look() && import > site.overhead.machines(o.ceiling) {
            // In mid-fall a reading tells little; who has failed since is known at once.
            site.overhead.machines(o.baseline) - goal - unproven.promised + unproven.rises
        } else {
            import - goal - unproven.falls + unproven.rises
        };
        let spare = if due { Power::ZERO } else { o.asked.scaled(SPARE_PPM) };
        let acts = above && (shedding || due) && gap > spare;
        let planned = self.roster.planned();
        if due {
            o.looked = now;
            let pause = if above { self.pause() } else { HELD_EVERY };
            o.look = Some(if shedding { o.next_look(now, pause) } else { now + pause });
            // What is held may be filled up by what both the meter and the plan have room for,
            // with something to spare: a meter is not exact.
            let spare = o.asked.scaled(SPARE_PPM);
            let room = (goal - import - unproven.rises).min(goal - planned) - spare;
            let filled = !above && o.proven_at.is_some_and(|t| now.since(t) >= HELD_EVERY);
            o.allowed = if filled && room > spare { planned + room } else { Power::ZERO };
        }
        let allowed = if above { planned } else { o.allowed.max(planned) };
        let (by, failure_ppm) = (o.by, o.failure_ppm.clone());
        let last = shedding && due && now >= o.last_look();
        self.obligation = Some(o);
        let picks = if acts { self.select(site, now, (by, gap), &failure_ppm) } else { Vec::new() };
        let falls: Power = picks.iter().map(|p| p.planned).sum();
        let aim = site.overhead.meter(allowed - falls);
        let switches = if acts && last { self.escalate(now, gap, &picks) } else { Vec::new() };
        let text = self.obligation_text(&picks);
        Some(Call { picks, switches, aim, shedding: above, text })
    }

    fn obligation_text(&self, picks: &[Pick]) -> String {
        let Some(o) = &self.obligation else { return String::new() };
        let told = o.told.iter().flatten().count();
        let more = if picks.is_empty() {
            String::new()
        } else {
            format!(", {} more are to be told", picks.len())
        };
        let proof = match o.proven_at {
            Some(t) => format!("proven at {t}"),
            None => String::from("not proven yet"),
        };
        format!(
            "{} down by {}, {}: at most {} at the meter, {proof}; {told} machines told{more}",
            o.asked, o.by, o.said, o.ceiling,
        )
    }

    /// What machines that were told and have not shown it will still do to what is measured.
    ///
    /// When a wave is `due`, a machine is taken to fall evenly over the time its kind takes, and
    /// one whose time is up to stay where it is; in between, all of them are taken to obey in
    /// the end, so that nobody is told for a reading that came too early.
    fn unproven(&self, site: &Site, o: &Obligation, now: Time, due: bool) -> Unproven {
        let seen_at = self.metered(now).map(|(_, at)| at);
        let mut sum = Unproven { falls: Power::ZERO, rises: Power::ZERO, promised: Power::ZERO };
        for (i, m) in self.roster.machines().iter().enumerate() {
            let cohort = usize::from(m.cohort);
            if !m.counted_on() || !select::proves(site, cohort) {
                continue;
            }
            let told = o.told[i].as_ref().filter(|t| t.generation == m.generation);
            if m.phase == TargetPhase::Confirmed {
                // Proven by its own watts after the meter was read: the meter still has it.
                let Some(t) = told else { continue };
                let fell = t.before.minus_or_zero(t.due);
                sum.promised += fell;
                if seen_at.is_some() && t.proven_at > seen_at {
                    sum.falls += fell;
                }
                continue;
            }
            let learned = &self.learned[cohort];
            let share_ppm = 1_000_000 - failure_of(&o.failure_ppm, m);
            if let Some(t) = told {
                sum.promised += t.before.minus_or_zero(t.due).scaled(share_ppm);
            }
            let Some(watts) = m.watts else { continue };
            let way = watts - learned.power(m.level);
            if way <= Power::ZERO {
                sum.rises += -way;
                continue;
            }
            let obeys = way.scaled(share_ppm);
            let at = told.map_or(o.since, |t| t.at);
            let passed = seen_at.unwrap_or(now).since(at).0.max(0);
            let takes = learned.down().0.max(1);
            sum.falls += match (due, passed >= takes) {
                (false, _) => obeys,
                (true, true) => Power::ZERO,
                (true, false) => {
                    let left = i128::from(obeys.0) * i128::from(takes - passed);
                    Power(crate::number::to_i64(crate::number::div_floor(left, takes.into())))
                }
            };
        }
        sum
    }

    /// What ramps leave to be told now. One who is told instead of one that failed falls too,
    /// though the set point has come down for it before.
    fn ramps_leave(&self, site: &Site, now: Time) -> Power {
        let step = |r: Ramp| Ramp { power: r.within(CONTROL_STEP), per: CONTROL_STEP };
        let ramps = [site.limits.ramp_down.map(step), site.limits.step];
        let waves = self.obligation.as_ref().map_or(&[][..], |o| &o.waves);
        let leaves = |r: Ramp| {
            let recent = waves.iter().filter(|w| now.since(w.at) < r.per);
            let told: Power = recent.map(|w| w.power).sum();
            site.overhead.machines(r.power + site.overhead.fixed) - told
        };
        ramps.into_iter().flatten().map(leaves).min().unwrap_or(Power(i64::MAX))
    }

    /// The picks that may be told now: as far as the target has come down.
    pub(super) fn told_now(
        &self,
        site: &Site,
        call: &Call,
        target: Power,
        now: Time,
    ) -> Vec<Change> {
        let ramped = self.ramps_leave(site, now);
        let down = self.roster.planned() - site.overhead.machines(target);
        let whole = target <= call.aim && down <= ramped;
        let mut left = down.min(ramped);
        let mut changes = Vec::new();
        for p in &call.picks {
            if left <= Power::ZERO {
                break;
            }
            // At the aim the last one may go a little beyond it; on a ramp none does.
            if p.planned > left && !whole {
                break;
            }
            left -= p.planned;
            changes.push(p.change);
        }
        changes
    }

    /// Goes on looking for those whom a ramp has left no room yet.
    pub(super) fn look_again(&mut self, now: Time, call: &Call, told: usize) {
        if told < call.picks.len()
            && let Some(o) = &mut self.obligation
        {
            o.look = o.look.map(|t| t.min(now));
        }
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
        }
        self.obligation = Some(o);
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

/// Share of commands to one machine that fail.
fn failure_of(by_cohort: &[i64], m: &Machine) -> i64 {
    let own = if m.failures > 0 { FAILED_BEFORE_PPM } else { 0 };
    by_cohort[usize::from(m.cohort)].max(own)
}

impl Call {
    /// What the machines may draw at most, at the meter, by what is told.
    pub(super) fn ceiling(&self) -> (Power, &str) {
        (self.aim, &self.text)
    }

    /// Switches that are to be opened.
    pub(super) fn switches(self) -> Vec<SwitchChange> {
        self.switches
    }

    /// Whether somebody is to be told.
    pub(super) fn tells(&self) -> bool {
        !self.picks.is_empty()
    }

    /// Whether a change may be made while power is on its way down.
    pub(super) fn admits(&self, from: Level, to: Level) -> bool {
        !self.shedding || to < from
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

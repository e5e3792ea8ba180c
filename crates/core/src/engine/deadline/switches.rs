//! The last resort: switches, where the site allows it. First those behind which nobody works,
//! then those that take the least work with them.

use super::{HELD_EVERY, Obligation, select::Pick};
use crate::engine::{Engine, Step};
use crate::event::AutomationMode;
use crate::fleet::{Level, TargetPhase};
use crate::hands::{Hands, SwitchChange, SwitchId, SwitchSpec};
use crate::reason::{Alarm, Narrowing, Rung};
use crate::time::{Span, Time};
use crate::units::Power;
use serde::{Deserialize, Serialize};

/// A switch that was told has shown by then that it did it.
const SWITCH_WAIT: Span = Span::seconds(10);

/// One switch as it was told and as it shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::engine) struct SwitchState {
    closed: Option<bool>,
    told: Option<(bool, Time)>,
    /// It was opened for an obligation, and was not told to close since.
    opened: bool,
}

impl SwitchState {
    /// Whether it may be opened: it is known to be closed, and not on its way already.
    fn may_open(&self) -> bool {
        self.closed == Some(true) && self.told.is_none_or(|(closed, _)| closed)
    }

    /// Whether it was told to close, and may still do it.
    fn closing(&self, now: Time) -> bool {
        self.closed != Some(true) && self.closed_within(SWITCH_WAIT, now)
    }

    fn closed_within(&self, span: Span, now: Time) -> bool {
        self.told.is_some_and(|(closed, at)| closed && now.since(at) <= span)
    }
}

/// What would happen behind a switch that is opened.
struct Behind {
    switch: SwitchId,
    /// What machines draw there that do work and are to go on with it.
    works: Power,
    /// All that would be gone.
    gone: Power,
}

impl Engine {
    /// Takes what the configuration that has just come in has of switches.
    pub(in crate::engine) fn configure_hands(&mut self) {
        let hands: Hands = std::mem::take(&mut self.hands_next);
        if hands.switches != self.hands.switches {
            self.keep_switches(&hands);
        }
        self.hands = hands;
    }

    /// Takes over by name what is known of switches, and which of them an obligation opened: what
    /// is open stays open whatever a file says.
    fn keep_switches(&mut self, next: &Hands) {
        let old = &self.hands.switches;
        let place = |name: &str| old.iter().position(|s| s.name == name);
        let state = |s: &SwitchSpec| place(&s.name).and_then(|i| self.switches.get(i).copied());
        self.switches = next.switches.iter().map(|s| state(s).unwrap_or_default()).collect();
        let opened = self.opened_before();
        if let Some(o) = &mut self.obligation {
            o.opened = opened;
        }
    }

    /// Takes in how a switch stands; `None` when it could not be read.
    pub(in crate::engine) fn switch_seen(&mut self, switch: SwitchId, closed: Option<bool>) {
        if let Some(state) = self.switches.get_mut(usize::from(switch.0)) {
            state.closed = closed;
        }
    }

    /// Watches the switches that were told.
    pub(super) fn watch_switches(&mut self, now: Time, step: &mut Step) {
        for i in 0..self.switches.len() {
            let (id, state) = (id_of(i).0, self.switches[i]);
            let failed = state.told.is_some_and(|(closed, at)| {
                state.closed != Some(closed) && now.since(at) > SWITCH_WAIT
            });
            let text = if failed {
                let close = state.told.is_some_and(|(closed, _)| closed);
                let word = if close { "close" } else { "open" };
                format!("switch `{}` was told to {word} and has not", self.hands.switches[i].name)
            } else {
                String::new()
            };
            self.set_alarm(Alarm::SwitchFailed(id), failed, || text, step);
        }
    }

    /// Opens switches for what machines cannot do in time.
    pub(super) fn escalate(&mut self, now: Time, gap: Power, picks: &[Pick]) -> Vec<SwitchChange> {
        let Some(mut o) = self.obligation.take() else { return Vec::new() };
        let changes = self.opened(now, &mut o, gap, picks);
        self.obligation = Some(o);
        changes
    }

    fn opened(
        &mut self,
        now: Time,
        o: &mut Obligation,
        gap: Power,
        picks: &[Pick],
    ) -> Vec<SwitchChange> {
        let comes: Power = picks.iter().filter(|p| !p.late).map(|p| p.expected).sum();
        let mut left = gap - comes;
        if left <= Power::ZERO || self.hands.switches.is_empty() || !self.acts() {
            return Vec::new();
        }
        let mut behind: Vec<Behind> = self
            .hands
            .switches
            .iter()
            .enumerate()
            .filter(|(i, spec)| spec.allowed && self.switches[*i].may_open())
            .map(|(i, spec)| self.behind(i, spec, o))
            .filter(|b| b.gone > Power::ZERO)
            .collect();
        behind.sort_by_key(|b| (b.works > Power::ZERO, b.works, -b.gone.0, b.switch));
        let mut changes = Vec::new();
        for b in behind {
            if left <= Power::ZERO {
                break;
            }
            left -= b.gone;
            let state = &mut self.switches[usize::from(b.switch.0)];
            (state.told, state.opened) = (Some((false, now)), true);
            changes.push(SwitchChange { switch: b.switch, closed: false });
        }
        let opened = changes.iter().map(|c| c.switch).filter(|s| !o.opened.contains(s));
        o.opened.extend(opened.collect::<Vec<_>>());
        changes
    }

    /// What switches that were told to open a moment ago still take away: a meter has not shown
    /// it yet.
    pub(super) fn switching(&self, o: &Obligation, now: Time) -> Power {
        let told = |s: &SwitchState| {
            s.told.is_some_and(|(closed, at)| !closed && now.since(at) <= SWITCH_WAIT)
        };
        let specs = self.hands.switches.iter().enumerate();
        let told = specs.filter(|(i, _)| self.switches.get(*i).is_some_and(told));
        told.map(|(i, spec)| self.behind(i, spec, o).gone).sum()
    }

    /// Switches that were opened for an obligation before, and are to be closed with the next.
    pub(super) fn opened_before(&self) -> Vec<SwitchId> {
        let opened = self.switches.iter().enumerate().filter(|(_, s)| s.opened);
        opened.map(|(i, _)| id_of(i)).collect()
    }

    /// Closes again what was opened for an obligation that is over: one at a time, where the
    /// engine acts, and while what is behind it fits under the ceiling just decided. What has to
    /// stay open is said.
    pub(in crate::engine) fn close_again(&mut self, now: Time, step: &mut Step) {
        let decided = self.last.as_ref().filter(|d| d.cause == self.seq);
        let ceiling = decided.and_then(|d| lowest_ceiling(&d.ladder));
        let mut waits = self.switches.iter().any(|s| s.closing(now));
        for i in 0..self.switches.len() {
            let (switch, left) = (id_of(i), self.switches[i].opened && self.obligation.is_none());
            if left && waits {
                continue;
            }
            let why = if left { self.stays_open(i, ceiling, now) } else { None };
            if left && why.is_none() {
                let state = &mut self.switches[i];
                (state.told, state.opened) = (Some((true, now)), false);
                step.switches.push(SwitchChange { switch, closed: true });
                waits = true;
            }
            let raised = why.is_some();
            let spec = self.hands.switches.get(i).filter(|_| raised);
            let name = spec.map_or_else(String::new, |s| s.name.clone());
            let text = || format!("switch `{name}` is left open: {}", why.unwrap_or_default());
            self.set_alarm(Alarm::SwitchLeftOpen(switch.0), raised, text, step);
        }
    }

    /// Why a switch may not be closed now; `None` when it may.
    fn stays_open(&self, index: usize, ceiling: Option<Power>, now: Time) -> Option<String> {
        if self.mode.0 != AutomationMode::Auto {
            return Some(String::from("nothing is told in the mode in force"));
        }
        if self.stop.is_some() {
            return Some(String::from("the site is stopped"));
        }
        let Some(ceiling) = ceiling else {
            return Some(String::from("not all machines have been read back"));
        };
        // One that never opened brings nothing back.
        if self.switches[index].closed == Some(true) {
            return None;
        }
        let after = self.once_closed(index, now)?;
        (after > ceiling).then(|| format!("import could be {after} then, above {ceiling}"))
    }

    /// Import once a switch is closed and all behind it draw what they can: machines start by
    /// themselves when power comes back. Those behind one just closed have not all shown it yet.
    fn once_closed(&self, index: usize, now: Time) -> Option<Power> {
        let site = self.site.as_deref()?;
        let (mut most, mut counted) = (Power::ZERO, Power::ZERO);
        for (i, spec) in self.hands.switches.iter().enumerate() {
            if i != index && !self.switches[i].closed_within(HELD_EVERY, now) {
                continue;
            }
            for m in spec.feeds.iter().filter_map(|id| self.roster.machines().get(id.index())) {
                let cohort = usize::from(m.cohort);
                let top = self.roster.power(cohort, site.cohorts[cohort].curve.top());
                let planned = self.roster.power(cohort, m.level);
                let counts = if m.counted_on() { planned } else { m.watts.unwrap_or(top) };
                most += top;
                counted += counts.min(top);
            }
        }
        let planned = self.roster.planned() + self.roster.falling();
        let by_plan = site.overhead.meter(planned - counted + most);
        let more = site.overhead.meter(most) - site.overhead.meter(Power::ZERO);
        let by_meter = self.metered(now).map(|(power, _)| power + more);
        Some(by_meter.map_or(by_plan, |p| p.max(by_plan)))
    }

    /// When the next switch that waits may be closed.
    pub(in crate::engine) fn wake_for_switches(&self, now: Time, at: &mut dyn FnMut(Time)) {
        let told = self.switches.iter().filter_map(|s| s.told);
        told.map(|(_, t)| t + SWITCH_WAIT + Span(1)).filter(|t| *t > now).for_each(at);
    }

    fn behind(&self, index: usize, spec: &SwitchSpec, o: &Obligation) -> Behind {
        let switch = id_of(index);
        let mut b = Behind { switch, works: Power::ZERO, gone: Power::ZERO };
        for id in &spec.feeds {
            let Some(m) = self.roster.machines().get(id.index()) else { continue };
            let draws =
                m.watts.unwrap_or_else(|| self.learned[usize::from(m.cohort)].power(m.level));
            b.gone += draws;
            let told_off = o.told(*id).is_some_and(|t| t.to == Level::SLEEP);
            let failed = !m.counted_on() || m.phase != TargetPhase::Confirmed;
            if m.level > Level::SLEEP && !(told_off || failed) {
                b.works += draws;
            }
        }
        b
    }
}

/// The lowest ceiling that is there for its own sake: others only say how far machines that can
/// be told would get.
fn lowest_ceiling(ladder: &[Narrowing]) -> Option<Power> {
    let counts = |n: &&Narrowing| !matches!(n.rung, Rung::Physical | Rung::Dwell | Rung::Wear);
    ladder.iter().filter(counts).filter_map(|n| n.ceiling).min()
}

fn id_of(index: usize) -> SwitchId {
    SwitchId(u16::try_from(index).expect("switches are few"))
}

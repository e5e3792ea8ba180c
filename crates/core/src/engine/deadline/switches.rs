//! The last resort: switches, where the site allows it. First those behind which nobody works,
//! then those that take the least work with them.

use super::{Obligation, select::Pick};
use crate::engine::{Engine, Step};
use crate::fleet::{Level, TargetPhase};
use crate::hands::{Hands, SwitchChange, SwitchId, SwitchSpec};
use crate::reason::Alarm;
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
            self.switches = vec![SwitchState::default(); hands.switches.len()];
        }
        self.hands = hands;
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
            let (id, state) = (u16::try_from(i).expect("switches are few"), self.switches[i]);
            let failed = state.told.is_some_and(|(closed, at)| {
                state.closed != Some(closed) && now.since(at) > SWITCH_WAIT
            });
            let (hands, told) = (self.hands.clone(), state.told);
            let text = || {
                let word = if told.is_some_and(|(closed, _)| closed) { "close" } else { "open" };
                format!("switch `{}` was told to {word} and has not", hands.switches[i].name)
            };
            let text = if failed { text() } else { String::new() };
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
            .filter(|(i, spec)| spec.allowed && self.switches[*i].told.is_none_or(|(c, _)| c))
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
            self.switches[usize::from(b.switch.0)].told = Some((false, now));
            changes.push(SwitchChange { switch: b.switch, closed: false });
        }
        o.opened.extend(changes.iter().map(|c| c.switch));
        changes
    }

    /// Closes again what was opened for an obligation.
    pub(super) fn close_switches(&mut self, now: Time, o: &Obligation) -> Vec<SwitchChange> {
        let close = |switch: &SwitchId| {
            self.switches[usize::from(switch.0)].told = Some((true, now));
            SwitchChange { switch: *switch, closed: true }
        };
        o.opened.iter().map(close).collect()
    }

    fn behind(&self, index: usize, spec: &SwitchSpec, o: &Obligation) -> Behind {
        let switch = SwitchId(u16::try_from(index).expect("switches are few"));
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

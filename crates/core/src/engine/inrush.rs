//! Machines that start at once draw more than they will: so many at a time and no more.

use super::Engine;
use crate::bounds::Fold;
use crate::fleet::Level;
use crate::limits::STARTS_KEPT_MAX;
use crate::plan::Change;
use crate::reason::Rung;
use crate::site::Site;
use crate::time::{Span, Time};
use crate::units::Power;
use std::collections::VecDeque;

impl Engine {
    /// Narrows by what may still be started within the window.
    pub(super) fn fold_inrush(&self, site: &Site, now: Time, fold: &mut Fold) {
        let Some(limit) = self.hands.inrush else { return };
        let recent = self.started.iter().filter(|(at, _)| now.since(*at) < limit.per);
        let started: Power = recent.map(|(_, power)| *power).sum();
        let left = limit.power.minus_or_zero(started);
        let ceiling = site.overhead.meter(self.roster.planned() + left);
        fold.narrow(Rung::Inrush, None, Some(ceiling), || {
            format!("at most {} of machines started in {}, {left} left", limit.power, limit.per)
        });
    }

    /// Notes the power of the machines that are about to be started.
    pub(super) fn note_started(&mut self, now: Time, changes: &[Change]) {
        let Some(limit) = self.hands.inrush else { return };
        let rise = |c: &Change| {
            let m = &self.roster.machines()[c.machine.index()];
            let wakes = m.level == Level::SLEEP && c.level > Level::SLEEP;
            let power = |level| self.roster.power(usize::from(m.cohort), level);
            if wakes { power(c.level) - power(m.level) } else { Power::ZERO }
        };
        let power: Power = changes.iter().map(rise).sum();
        let power = (power > Power::ZERO).then_some(power);
        remember(&mut self.started, now, power, limit.per);
    }

    /// When more may be started.
    pub(super) fn next_inrush(&self, now: Time) -> Option<Time> {
        let limit = self.hands.inrush?;
        self.started.iter().map(|(at, _)| *at + limit.per).find(|t| *t > now)
    }
}

/// Forgets what a window no longer sees, and adds power told now.
pub(super) fn remember(
    kept: &mut VecDeque<(Time, Power)>,
    now: Time,
    power: Option<Power>,
    per: Span,
) {
    while kept.front().is_some_and(|(at, _)| now.since(*at) >= per) {
        kept.pop_front();
    }
    let Some(power) = power else { return };
    kept.push_back((now, power));
    if kept.len() > STARTS_KEPT_MAX {
        // Two entries become one at the later time: a limit may only get stricter.
        let (_, first) = kept.pop_front().expect("the queue is longer than its limit");
        if let Some(next) = kept.front_mut() {
            next.1 += first;
        }
    }
}

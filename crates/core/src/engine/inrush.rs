//! Machines that start at once draw more than they will: so many at a time and no more.

use super::Engine;
use crate::bounds::Fold;
use crate::fleet::Level;
use crate::limits::STARTS_KEPT_MAX;
use crate::plan::Change;
use crate::reason::Rung;
use crate::site::Site;
use crate::time::Time;
use crate::units::Power;

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
        while self.started.front().is_some_and(|(at, _)| now.since(*at) >= limit.per) {
            self.started.pop_front();
        }
        let rise = |c: &Change| {
            let m = &self.roster.machines()[c.machine.index()];
            let wakes = m.level == Level::SLEEP && c.level > Level::SLEEP;
            let power = |level| self.roster.power(usize::from(m.cohort), level);
            if wakes { power(c.level) - power(m.level) } else { Power::ZERO }
        };
        let power: Power = changes.iter().map(rise).sum();
        if power <= Power::ZERO {
            return;
        }
        self.started.push_back((now, power));
        if self.started.len() > STARTS_KEPT_MAX {
            // Two entries become one at the later time: the limit may only get stricter.
            let (_, first) = self.started.pop_front().expect("the queue is longer than its limit");
            if let Some(next) = self.started.front_mut() {
                next.1 += first;
            }
        }
    }

    /// When more may be started.
    pub(super) fn next_inrush(&self, now: Time) -> Option<Time> {
        let limit = self.hands.inrush?;
        self.started.iter().map(|(at, _)| *at + limit.per).find(|t| *t > now)
    }
}

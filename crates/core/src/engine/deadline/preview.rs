//! What a curtailment would do, before anything is sent.

use super::select::{Pick, proves};
use super::{MARGIN_PPM, Obligation};
use crate::curtail::{Preview, PreviewRow, Share, WhyNot};
use crate::engine::{Engine, Learned};
use crate::fleet::{CohortId, Level, Link, MachineId, TargetPhase};
use crate::number::{div_ceil, to_i64};
use crate::site::{Ramp, Site};
use crate::time::{Span, Time};
use crate::units::Power;

impl Engine {
    /// Says who would go, who would not and why, if so much were to be down by a moment; `None`
    /// before the site is known.
    #[must_use]
    pub fn preview(&self, shed: Power, by: Time) -> Option<Preview> {
        let (site, now) = (self.site.as_deref()?, self.now?);
        let baseline = self.import_or_planned(site);
        let held = self.obligation.as_ref().map_or(baseline, |o| o.ceiling);
        let ceiling = (baseline - shed).max(Power::ZERO).min(held);
        let goal = (ceiling - shed.scaled(MARGIN_PPM)).max(Power::ZERO);
        let import = site.overhead.machines(baseline);
        let gap = import - site.overhead.machines(goal);
        let failure_ppm: Vec<i64> = self.learned.iter().map(Learned::failure_ppm).collect();
        let picks = self.select(site, now, (by, gap), &failure_ppm);
        let sum = |f: fn(&Pick) -> Power| -> Power { picks.iter().map(f).sum() };
        let (told, expected) = (sum(|p| p.drop), sum(|p| p.expected));
        let at_meter = |p: Power| site.overhead.meter(p) - site.overhead.meter(Power::ZERO);
        let slowest = picks.iter().map(|p| self.learned[p.cohort].down()).max();
        let ramps = [site.limits.ramp_down, site.limits.step];
        let ramped = ramps.into_iter().flatten().map(|r| takes(r, at_meter(told))).max();
        let down_at = (gap <= Power::ZERO || expected >= gap)
            .then(|| now + slowest.unwrap_or(Span::ZERO) + ramped.unwrap_or(Span::ZERO));
        Some(Preview {
            at: now,
            by,
            asked: shed,
            baseline,
            ceiling,
            told: at_meter(told),
            expected: at_meter(expected),
            down_at,
            rows: self.preview_rows(site, now, by, &picks),
            changes: picks.iter().map(|p| p.change).collect(),
        })
    }

    fn preview_rows(&self, site: &Site, now: Time, by: Time, picks: &[Pick]) -> Vec<PreviewRow> {
        let mut goes: Vec<Option<&Pick>> = vec![None; site.machines.len()];
        picks.iter().for_each(|p| goes[p.change.machine.index()] = Some(p));
        let mut rows: Vec<PreviewRow> = (0..site.cohorts.len())
            .map(|c| PreviewRow {
                cohort: CohortId(u16::try_from(c).expect("COHORTS_MAX fits 16 bits")),
                class: self.class(site, c),
                down: self.learned[c].down(),
                failure_ppm: self.learned[c].failure_ppm(),
                goes: Share::NONE,
                kept: Power::ZERO,
                stays: Vec::new(),
            })
            .collect();
        for (i, m) in self.roster.machines().iter().enumerate() {
            let cohort = usize::from(m.cohort);
            let row = &mut rows[cohort];
            let now_draws = m.watts.unwrap_or_else(|| self.learned[cohort].power(m.level));
            if let Some(p) = goes[i] {
                row.goes.add(p.drop);
                row.kept += now_draws.minus_or_zero(p.drop);
                continue;
            }
            let id = MachineId(u32::try_from(i).expect("MACHINES_MAX fits 32 bits"));
            let why = self.why_not(site, id, now, by);
            match row.stays.iter_mut().find(|(w, _)| *w == why) {
                Some((_, share)) => share.add(now_draws),
                None => {
                    let mut share = Share::NONE;
                    share.add(now_draws);
                    row.stays.push((why, share));
                }
            }
        }
        rows.iter_mut().for_each(|r| r.stays.sort_unstable_by_key(|(why, _)| *why));
        rows
    }

    fn why_not(&self, site: &Site, id: MachineId, now: Time, by: Time) -> WhyNot {
        let m = &self.roster.machines()[id.index()];
        let cohort = usize::from(m.cohort);
        let told = self.obligation.as_ref().and_then(|o: &Obligation| o.told(id));
        if m.excluded {
            WhyNot::Excluded
        } else if !proves(site, cohort) {
            WhyNot::NoDriver
        } else if m.link != Link::Fresh {
            WhyNot::Silent
        } else if !m.counted_on() {
            WhyNot::Failing
        } else if m.level == Level::SLEEP {
            WhyNot::Down
        } else if told.is_some() && m.phase != TargetPhase::Confirmed {
            WhyNot::Underway
        } else if now + self.learned[cohort].down() > by {
            WhyNot::TooSlow
        } else {
            WhyNot::NotNeeded
        }
    }
}

/// How long a ramp takes for so much power.
fn takes(ramp: Ramp, power: Power) -> Span {
    let n = i128::from(power.0.max(0)) * i128::from(ramp.per.0);
    Span(to_i64(div_ceil(n, i128::from(ramp.power.0.max(1)))))
}

//! What an obligation wants of one decision: what is missing, who is to come down for it, and how
//! much of that a ramp leaves to be told now.

use super::select::{self, Pick};
use super::{HELD_EVERY, Obligation, READINGS, SPARE_PPM};
use crate::engine::Engine;
use crate::engine::learn::FAILED_BEFORE_PPM;
use crate::fleet::{Level, TargetPhase};
use crate::hands::SwitchChange;
use crate::limits::CONTROL_STEP;
use crate::number::{div_floor, to_i64};
use crate::plan::Change;
use crate::roster::Machine;
use crate::site::{Ramp, Site};
use crate::time::Time;
use crate::units::Power;

/// What an obligation wants of one decision.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Call {
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

impl Unproven {
    const NONE: Self = Self { falls: Power::ZERO, rises: Power::ZERO, promised: Power::ZERO };
}

impl Engine {
    /// What the obligation wants now; `None` when there is none.
    pub(in crate::engine) fn call(&mut self, site: &Site, now: Time) -> Option<Call> {
        let mut o = self.obligation.take()?;
        let shedding = o.proven_at.is_none();
        // What was proven once is taken back by several readings alone.
        let above = shedding || o.over >= READINGS;
        let hurry = !shedding && above && now.since(o.looked) >= self.pause();
        let due = o.look.is_none_or(|t| now >= t) || hurry;
        let unproven =
            if above || due { self.unproven(site, &o, now, due) } else { Unproven::NONE };
        let goal = site.overhead.machines(o.goal());
        let import = site.overhead.machines(self.import_for(site, &o, now));
        let gap = if now < o.first_look() && import > site.overhead.machines(o.ceiling) {
            // In mid-fall a reading tells little; who has failed since is known at once.
            site.overhead.machines(o.baseline) - goal - unproven.promised + unproven.rises
        } else {
            import - goal - unproven.falls + unproven.rises
        };
        let gap = gap - self.switching(&o, now);
        let spare = if due { Power::ZERO } else { o.asked.scaled(SPARE_PPM) };
        let acts = above && (shedding || due) && gap > spare;
        let planned = self.roster.planned();
        let scheduled = now >= o.scheduled;
        if due {
            o.looked = now;
            let pause = if above { self.pause() } else { HELD_EVERY };
            o.look = Some(if shedding { o.next_look(now, pause) } else { now + pause });
            if scheduled {
                o.scheduled = o.look.unwrap_or(now);
            }
            // What is held may be filled up by what both the meter and the plan have room for,
            // with something to spare: a meter is not exact.
            let spare = o.asked.scaled(SPARE_PPM);
            let room = (goal - import - unproven.rises).min(goal - planned) - spare;
            let filled = !above && o.proven_at.is_some_and(|t| now.since(t) >= HELD_EVERY);
            o.allowed = if filled && room > spare { planned + room } else { Power::ZERO };
        }
        let allowed = if above { planned } else { o.allowed.max(planned) };
        let (by, failure_ppm) = (o.by, o.failure_ppm.clone());
        let last = shedding && due && scheduled && now >= o.last_look();
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
        let mut sum = Unproven::NONE;
        for (i, m) in self.roster.machines().iter().enumerate() {
            let cohort = usize::from(m.cohort);
            if !m.counted_on() || !select::proves(site, cohort) {
                continue;
            }
            let told = o.told.get(i).and_then(Option::as_ref);
            let told = told.filter(|t| t.generation == m.generation);
            if m.phase == TargetPhase::Confirmed {
                // Proven by its own watts no sooner than the meter was read: that still has it.
                let Some(t) = told else { continue };
                let fell = t.before.minus_or_zero(t.due);
                sum.promised += fell;
                if seen_at.is_some() && t.proven_at >= seen_at {
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
            if told.is_none() {
                sum.promised += obeys;
            }
            let at = told.map_or(o.since, |t| t.at);
            let passed = seen_at.unwrap_or(now).since(at).0.max(0);
            let takes = learned.down().0.max(1);
            sum.falls += match (due, passed >= takes) {
                (false, _) => obeys,
                (true, true) => Power::ZERO,
                (true, false) => {
                    let left = i128::from(obeys.0) * i128::from(takes - passed);
                    Power(to_i64(div_floor(left, takes.into())))
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
        let leaves = |r: Ramp| {
            let told = self.obligation.iter().flat_map(|o| &o.lowered);
            let recent = told.filter(|(at, _)| now.since(*at) < r.per);
            let told: Power = recent.map(|(_, power)| *power).sum();
            site.overhead.machines(r.power + site.overhead.fixed) - told
        };
        ramps.into_iter().flatten().map(leaves).min().unwrap_or(Power(i64::MAX))
    }

    /// The picks that may be told now: as far as the target has come down.
    pub(in crate::engine) fn told_now(
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
    pub(in crate::engine) fn look_again(&mut self, now: Time, call: &Call, told: usize) {
        if told < call.picks.len()
            && let Some(o) = &mut self.obligation
        {
            o.look = o.look.map(|t| t.min(now));
        }
    }
}

/// Share of commands to one machine that fail.
pub(super) fn failure_of(by_cohort: &[i64], m: &Machine) -> i64 {
    let own = if m.failures > 0 { FAILED_BEFORE_PPM } else { 0 };
    by_cohort.get(usize::from(m.cohort)).map_or(own, |ppm| own.max(*ppm))
}

impl Call {
    /// What the machines may draw at most, at the meter, by what is told.
    pub(in crate::engine) fn ceiling(&self) -> (Power, &str) {
        (self.aim, &self.text)
    }

    /// Switches that are to be opened.
    pub(in crate::engine) fn switches(self) -> Vec<SwitchChange> {
        self.switches
    }

    /// Whether somebody is to be told.
    pub(in crate::engine) fn tells(&self) -> bool {
        !self.picks.is_empty()
    }

    /// Whether a change may be made while power is on its way down.
    pub(in crate::engine) fn admits(&self, from: Level, to: Level) -> bool {
        !self.shedding || to < from
    }
}

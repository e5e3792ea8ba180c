//! Looking ahead: what each cohort's model advises.

use super::Engine;
use crate::choose::Wish;
use crate::fleet::{CohortId, Level};
use crate::horizon::advise::{Advice, Adviser, Way};
use crate::horizon::unit::UnitState;
use crate::merit::Staircase;
use crate::reason::NextChange;
use crate::site::{PolicyRule, Site};
use crate::time::Time;
use crate::units::{Power, Price};
use std::sync::Arc;

/// What looking ahead came to for one cohort.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    pub wish: Wish,
    /// What was advised for what runs, and for what is off; a unit is one or the other.
    pub awake: Option<Advice>,
    pub asleep: Option<Advice>,
}

impl Ahead {
    /// Whether the cohort has a model, and it had something to go by.
    fn advice(&self) -> Option<&Advice> {
        self.awake.as_ref().or(self.asleep.as_ref())
    }
}

impl Engine {
    /// Takes the models of a configuration that has just come in.
    pub(super) fn configure_models(&mut self, site: &Site) {
        self.advisers.clear();
        for told in std::mem::take(&mut self.models_next) {
            if usize::from(told.cohort.0) < site.cohorts.len() {
                let adviser =
                    Adviser::new(told.model).expect("a model was checked when its file was read");
                self.advisers.insert(told.cohort, Arc::new(adviser));
            }
        }
    }

    /// The models the cohorts look ahead with.
    pub fn advisers(&self) -> impl Iterator<Item = (CohortId, &Adviser)> {
        self.advisers.iter().map(|(c, a)| (*c, &**a))
    }

    /// What each cohort's model advises, `None` where it has none; empty under another rule.
    /// `over` is what the next unit imported costs above the market's price.
    pub(super) fn look_ahead(
        &self,
        site: &Site,
        price: Price,
        over: Price,
        now: Time,
    ) -> Vec<Option<Ahead>> {
        match &self.stairs {
            Some(stairs) if site.policy.rule == PolicyRule::LookAhead => (0..site.cohorts.len())
                .map(|c| self.cohort_ahead(stairs, c, price, over, now))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn cohort_ahead(
        &self,
        stairs: &Staircase,
        cohort: usize,
        price: Price,
        over: Price,
        now: Time,
    ) -> Option<Ahead> {
        let id = CohortId(u16::try_from(cohort).expect("COHORTS_MAX fits 16 bits"));
        let adviser = self.advisers.get(&id)?;
        let first = stairs.by_cohort[cohort].first()?;
        let value = first.breakeven - over;
        if let Some(i) = self.units.iter().position(|u| u.spec.cohort == id) {
            let state = self.unit_state(i);
            let advice = adviser.decide(&state, &self.known, now, value);
            let level = self.site.as_deref()?.cohorts[cohort].curve.nearest(advice.power);
            let wish = Wish { awake: level, asleep: level };
            let (awake, asleep) =
                if state.on() { (Some(advice), None) } else { (None, Some(advice)) };
            return Some(Ahead { wish, awake, asleep });
        }
        // Machines that are free to: one that runs, and one that sleeps.
        let free = |power: Power| UnitState {
            power,
            switched_at: Time::MIN,
            changed_at: Time::MIN,
            starts: 0,
            start_day: 0,
        };
        let awake = adviser.decide(&free(adviser.model().unit.max), &self.known, now, value);
        let asleep = adviser.decide(&free(Power::ZERO), &self.known, now, value);
        // Whether it runs looks ahead; at which level it does is a matter of this price alone.
        let worth = stairs.by_cohort[cohort].iter().take_while(|s| s.breakeven > price).last();
        let level = worth.map_or(first.to, |s| s.to);
        let runs = |a: &Advice| if a.power > Power::ZERO { level } else { Level::SLEEP };
        let wish = Wish { awake: runs(&awake), asleep: runs(&asleep) };
        Some(Ahead { wish, awake: Some(awake), asleep: Some(asleep) })
    }

    /// What is told of advice in a decision.
    pub(super) fn ahead_text(&self, site: &Site, aheads: &[Option<Ahead>]) -> String {
        let mut parts = Vec::new();
        for (cohort, ahead) in site.cohorts.iter().zip(aheads) {
            let Some(advice) = ahead.as_ref().and_then(Ahead::advice) else { continue };
            let name = &cohort.name;
            let price = match advice.estimate {
                Some(p) => format!("{p} expected"),
                None => String::from("no price known"),
            };
            let what = match advice.way {
                Way::Table => "by the trained table",
                Way::Band => "by two thresholds",
                Way::Hold => "held until the next price",
            };
            let off = advice.off_above.map_or(String::new(), |p| format!(", off above {p}"));
            parts.push(format!("{name}: {what}, {price}{off}"));
        }
        if parts.is_empty() {
            return String::from("no model: each step by its break-even and the cost of a restart");
        }
        parts.join("; ")
    }

    /// The prices at which advice would change.
    pub(super) fn ahead_changes(aheads: &[Option<Ahead>]) -> Option<NextChange> {
        let of = |pick: fn(&Ahead) -> Option<Advice>| {
            aheads.iter().flatten().filter_map(pick).filter_map(|a| a.off_above)
        };
        let (down, up) = (of(|a| a.awake).min(), of(|a| a.asleep).max());
        (down.is_some() || up.is_some()).then_some(NextChange { down_above: down, up_below: up })
    }

    /// The earliest moment at which some advice wants to be asked for again.
    pub(super) fn ask_again_at(aheads: &[Option<Ahead>]) -> Option<Time> {
        let all = aheads.iter().flatten().flat_map(|a| [a.awake, a.asleep]);
        all.flatten().filter_map(|a| a.ask_again).min()
    }

    /// When advice is to be asked for again though nothing happens.
    pub(super) fn wake_for_advice(&self, at: &mut dyn FnMut(Time)) {
        if let Some(t) = self.ask_again {
            at(t);
        }
    }
}

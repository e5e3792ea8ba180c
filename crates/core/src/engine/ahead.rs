//! Looking ahead: by a trained model where a cohort has one, by a plan on the expected path of
//! prices for a unit without, and by break-even and the cost of a restart for other machines.

use super::Engine;
use crate::choose::Wish;
use crate::event::CohortModel;
use crate::fleet::{CohortId, Level};
use crate::horizon::advise::{Advice, Adviser, Way};
use crate::horizon::exact::Planner;
use crate::horizon::features::Eyes;
use crate::horizon::path;
use crate::horizon::rolling;
use crate::horizon::unit::UnitState;
use crate::reason::NextChange;
use crate::site::{PolicyRule, Site};
use crate::time::{Span, Time};
use crate::units::{Power, Price};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far a plan without a model looks: for an hour's dwell and ramp, more adds nothing
/// (dispatch notes, section 4).
const ROLLING: Span = Span::hours(2);

/// By what a wish came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Model(Way),
    Plan,
}

/// What was advised, as far as it is told.
#[derive(Debug, Clone, Copy)]
struct Said {
    by: By,
    estimate: Option<Price>,
    /// Above this price of the running interval it would be off.
    off_above: Option<Price>,
    ask_again: Option<Time>,
}

impl From<&Advice> for Said {
    fn from(a: &Advice) -> Self {
        let Advice { estimate, off_above, ask_again, .. } = *a;
        Self { by: By::Model(a.way), estimate, off_above, ask_again }
    }
}

/// What looking ahead came to for one cohort.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    pub wish: Wish,
    /// What was advised for what runs, and for what is off; a unit is one or the other.
    awake: Option<Said>,
    asleep: Option<Said>,
}

/// Planners of the units that have no model, and the eyes of the cohorts that have one: no state,
/// only what is used again.
#[derive(Debug, Clone, Default)]
pub(super) struct Planners {
    plans: BTreeMap<CohortId, Planner>,
    eyes: BTreeMap<CohortId, Box<Eyes>>,
}

impl PartialEq for Planners {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Planners {}

/// The price a wish is for, and how far it is above the market's.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtPrice {
    pub price: Price,
    pub over: Price,
    pub now: Time,
}

impl Engine {
    /// Takes the models of a configuration that has just come in.
    pub(super) fn configure_models(&mut self, site: &Site) {
        self.advisers.clear();
        self.planners = Planners::default();
        for CohortModel { cohort, model } in std::mem::take(&mut self.models_next) {
            if usize::from(cohort.0) < site.cohorts.len() {
                let adviser = Adviser::new(model);
                let adviser = adviser.expect("a model was checked when its file was read");
                self.advisers.insert(cohort, Arc::new(adviser));
            }
        }
    }

    /// Whether these are the models it looks ahead with.
    #[must_use]
    pub fn looks_ahead_with(&self, models: &[CohortModel]) -> bool {
        let known = self.advisers.iter().map(|(c, a)| (*c, a.model()));
        known.eq(models.iter().map(|m| (m.cohort, &m.model)))
    }

    /// What is advised for each cohort, `None` where nothing looks ahead for it; empty under
    /// another rule.
    pub(super) fn look_ahead(&mut self, site: &Site, at: AtPrice) -> Vec<Option<Ahead>> {
        if site.policy.rule != PolicyRule::LookAhead || self.stairs.is_none() {
            return Vec::new();
        }
        let mut path = None;
        (0..site.cohorts.len()).map(|c| self.cohort_ahead(site, c, at, &mut path)).collect()
    }

    fn cohort_ahead(
        &mut self,
        site: &Site,
        cohort: usize,
        at: AtPrice,
        path: &mut Option<Vec<path::Step>>,
    ) -> Option<Ahead> {
        let id = CohortId(u16::try_from(cohort).expect("COHORTS_MAX fits 16 bits"));
        let first = *self.stairs.as_ref()?.by_cohort[cohort].first()?;
        let value = first.breakeven - at.over;
        let unit = self.units.iter().position(|u| u.spec.cohort == id);
        let adviser = self.advisers.get(&id).cloned();
        match (unit, adviser) {
            (Some(unit), Some(adviser)) => {
                let state = self.unit_state(unit);
                let eyes = self.planners.eyes.entry(id).or_default();
                let advice = adviser.decide_with(eyes, &state, &self.known, at.now, value);
                Some(one(site, cohort, &state, advice.power, Said::from(&advice)))
            }
            (Some(unit), None) => self.planned(site, cohort, unit, value, at.now, path),
            (None, Some(adviser)) => Some(self.machines(&adviser, cohort, value, at)),
            (None, None) => None,
        }
    }

    /// A unit without a model goes by the best plan on the expected path.
    fn planned(
        &mut self,
        site: &Site,
        cohort: usize,
        unit: usize,
        value: Price,
        now: Time,
        path: &mut Option<Vec<path::Step>>,
    ) -> Option<Ahead> {
        let (step, settle) = (site.market.dispatch_step, site.market.settle_step);
        if path.is_none() {
            let steps = usize::try_from(ROLLING.0 / step.0).unwrap_or(0).max(1);
            *path = path::expected(&self.known, now, step, settle, steps);
        }
        let path = path.as_ref()?;
        let state = self.unit_state(unit);
        let spec = &self.units[unit].spec;
        let planner = self.planners.plans.entry(spec.cohort).or_insert_with(|| {
            Planner::new(spec, step).expect("a unit was put on its lattice before")
        });
        // Nothing bounds the states of these plans, so there always is one.
        let power = rolling::power_now(planner, &state, path, value, now).ok()?;
        let estimate = path.first().map(|s| s.price);
        let said = Said { by: By::Plan, estimate, off_above: None, ask_again: None };
        Some(one(site, cohort, &state, power, said))
    }

    /// Machines that are free to: one that runs, and one that sleeps. Whether it runs looks
    /// ahead; at which level it does is a matter of the price alone.
    fn machines(&mut self, adviser: &Adviser, cohort: usize, value: Price, at: AtPrice) -> Ahead {
        let free = |power: Power| UnitState {
            power,
            switched_at: Time::MIN,
            changed_at: Time::MIN,
            starts: 0,
            start_day: 0,
        };
        let id = CohortId(u16::try_from(cohort).expect("COHORTS_MAX fits 16 bits"));
        let eyes = self.planners.eyes.entry(id).or_default();
        let mut ask = |power| adviser.decide_with(eyes, &free(power), &self.known, at.now, value);
        let (awake, asleep) = (ask(adviser.model().unit.max), ask(Power::ZERO));
        let steps = self.stairs.as_ref().map_or(&[][..], |s| &s.by_cohort[cohort]);
        let worth = steps.iter().take_while(|s| s.breakeven > at.price).last();
        let level = worth.or(steps.first()).map_or(Level::SLEEP, |s| s.to);
        let runs = |a: &Advice| if a.power > Power::ZERO { level } else { Level::SLEEP };
        let wish = Wish { awake: runs(&awake), asleep: runs(&asleep) };
        Ahead { wish, awake: Some(Said::from(&awake)), asleep: Some(Said::from(&asleep)) }
    }

    /// When advice is to be asked for again though nothing happens.
    pub(super) fn wake_for_advice(&self, at: &mut dyn FnMut(Time)) {
        if let Some(t) = self.ask_again {
            at(t);
        }
    }
}

/// What is advised for a unit.
fn one(site: &Site, cohort: usize, state: &UnitState, power: Power, said: Said) -> Ahead {
    let level = site.cohorts[cohort].curve.nearest(power);
    let wish = Wish { awake: level, asleep: level };
    let (awake, asleep) = if state.on() { (Some(said), None) } else { (None, Some(said)) };
    Ahead { wish, awake, asleep }
}

/// The earliest moment at which some advice wants to be asked for again.
pub(super) fn ask_again_at(aheads: &[Option<Ahead>]) -> Option<Time> {
    let all = aheads.iter().flatten().flat_map(|a| [a.awake, a.asleep]);
    all.flatten().filter_map(|a| a.ask_again).min()
}

/// The prices at which advice would change.
pub(super) fn changes(aheads: &[Option<Ahead>]) -> Option<NextChange> {
    let of = |pick: fn(&Ahead) -> Option<Said>| {
        aheads.iter().flatten().filter_map(pick).filter_map(|a| a.off_above)
    };
    let (down, up) = (of(|a| a.awake).min(), of(|a| a.asleep).max());
    (down.is_some() || up.is_some()).then_some(NextChange { down_above: down, up_below: up })
}

/// What is told of advice in a decision.
pub(super) fn text(site: &Site, aheads: &[Option<Ahead>]) -> String {
    let mut parts = Vec::new();
    for (cohort, ahead) in site.cohorts.iter().zip(aheads) {
        let name = &cohort.name;
        let Some(said) = ahead.as_ref().and_then(|a| a.awake.or(a.asleep)) else {
            parts.push(format!("{name}: no model, by break-even and the cost of a restart"));
            continue;
        };
        let price = said.estimate.map_or("no price known".into(), |p| format!("{p} expected"));
        let what = match said.by {
            By::Model(Way::Table) => "by the trained table",
            By::Model(Way::Band) => "by two thresholds fitted on the past",
            By::Model(Way::Hold) => "held until the next price",
            By::Plan => "no model, by the best plan on the expected path",
        };
        let off = said.off_above.map_or(String::new(), |p| format!(", off above {p}"));
        parts.push(format!("{name}: {what}, {price}{off}"));
    }
    parts.join("; ")
}

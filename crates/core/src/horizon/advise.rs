//! The look-ahead policy: a unit's next step by a trained model, and what to do where it has
//! none.
//!
//! ```text
//!  score(d) = (value - estimate) x energy(d) x steps left - start cost + W(d | what is known)
//! ```
//!
//! over the states that can follow; the settlement price is what the running interval's runs
//! say so far, so energy used earlier in it is sunk and what it will cost is in every score
//! alike. At each run the choice is made anew.

use super::features::{Eyes, Knowledge, Seen, View};
use super::lookup::{self, AnchorSet, Ready, Worths};
use super::model::{Model, ModelError, Table};
use super::unit::{LATTICE_LEVELS_MAX, Lattice, StateId, UnitState};
use crate::market::FeedBook;
use crate::number::div_floor;
use crate::time::{Span, Time};
use crate::units::{Energy, Money, Power, Price};
use serde::{Deserialize, Serialize};

/// How long after it is due a price is waited on, holding: a run a step after the last one's
/// stamp, a settlement price an interval after the last one was known.
pub const AWAITED: Span = Span::minutes(1);
/// How old the newest price may be to act on at all.
pub const PRICE_USABLE: Span = Span::hours(2);

/// By what a power was advised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Way {
    /// By a trained table.
    Table,
    /// By two thresholds, as no table fits what is known.
    Band,
    /// As it is: the next price is due any moment, or none is known.
    Hold,
}

/// What a unit is advised to do, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// Power to go to now; zero is off.
    pub power: Power,
    /// The state of the running step then.
    pub state: StateId,
    /// By what.
    pub way: Way,
    /// What was known of the running interval.
    pub knowledge: Knowledge,
    /// Price it rests on; `None` where none is known.
    pub estimate: Option<Price>,
    /// How much the choice is worth over the second best; zero where there was no choice.
    pub margin: Money,
    /// Price of the running interval, all else equal, above which it would be off, where it could
    /// be; `None` where there was no such choice.
    pub off_above: Option<Price>,
    /// When to ask again, though nothing new is known.
    pub ask_again: Option<Time>,
}

/// A model made ready to decide; as data it is the model alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Model", into = "Model")]
pub struct Adviser {
    model: Model,
    lattice: Lattice,
    /// What is to be known of each state.
    states: Vec<Known>,
    /// Each table, made ready.
    tables: Vec<(Knowledge, Ready)>,
}

/// A state as a decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// As a mixture of anchors, by their places in the tables made ready.
    mixture: Vec<(usize, i64)>,
    /// These anchors.
    anchors: AnchorSet,
    /// Energy of a step in it.
    energy: Energy,
    on: bool,
}

impl TryFrom<Model> for Adviser {
    type Error = ModelError;

    fn try_from(model: Model) -> Result<Self, ModelError> {
        Self::new(model)
    }
}

impl From<Adviser> for Model {
    fn from(adviser: Adviser) -> Self {
        adviser.model
    }
}

impl Adviser {
    /// Checks a model and makes it ready.
    ///
    /// # Errors
    /// [`ModelError`] naming what is wrong with it.
    pub fn new(model: Model) -> Result<Self, ModelError> {
        let lattice = model.check()?;
        let all = (0..lattice.states()).map(|s| StateId(u16::try_from(s).expect("states fit")));
        let anchors = &model.anchors;
        let placed = |(i, w): (usize, i64)| (lookup::place(anchors, i), w);
        let known = |s: StateId| {
            let mixture: Vec<_> = anchors.mixture(&lattice, s).into_iter().map(placed).collect();
            let anchors = AnchorSet::of(&mixture);
            Known { mixture, anchors, energy: lattice.energy(s), on: lattice.level(s).is_some() }
        };
        let states = all.map(known).collect();
        let ready = |t: &Table| (t.knowledge, Ready::of(t, anchors, model.worth_most));
        let tables = model.tables.iter().map(ready).collect();
        Ok(Self { model, lattice, states, tables })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The lattice it plans on.
    #[must_use]
    pub fn lattice(&self) -> &Lattice {
        &self.lattice
    }

    /// What a decision would look at.
    #[must_use]
    pub fn view<'a>(&self, book: &'a FeedBook, now: Time, value: Price) -> View<'a> {
        let m = &self.model;
        View {
            book,
            now,
            value,
            scale: m.scale,
            step: m.step,
            settle_step: m.settle_step,
            offset: m.offset(now),
        }
    }

    /// Advises a unit: the state it can be in at the end of the running step that is worth most,
    /// at a tie the lower one.
    #[must_use]
    pub fn decide(&self, unit: &UnitState, book: &FeedBook, now: Time, value: Price) -> Advice {
        self.decide_with(&mut Eyes::default(), unit, book, now, value)
    }

    /// As [`Self::decide`], the sooner the more of the prices these eyes have seen before.
    #[must_use]
    pub fn decide_with(
        &self,
        eyes: &mut Eyes,
        unit: &UnitState,
        book: &FeedBook,
        now: Time,
        value: Price,
    ) -> Advice {
        let view = self.view(book, now, value);
        let options = self.options(unit, now);
        let Some(seen) = view.see_with(eyes) else { return self.without(&options, &view, None) };
        let table = self.tables.iter().find(|(knowledge, _)| *knowledge == seen.knowledge);
        let Some((_, table)) = table else {
            return self.without(&options, &view, Some(&seen));
        };
        let mut anchors = AnchorSet::default();
        for (state, _) in options.states() {
            anchors.add(self.states[state.index()].anchors);
        }
        let worths = table.worths(&seen.features, anchors);
        self.best(&options, &seen, value, &worths)
    }

    /// The states the running step can end in, the lowest first, each with whether it takes a
    /// start. Steps are counted by the grid: a switch in one step is one step old in the next.
    #[must_use]
    pub fn options(&self, unit: &UnitState, now: Time) -> Options {
        let l = &self.lattice;
        let step = now.interval(self.model.step).start;
        let of = |t: Time| {
            let gone = step.0.saturating_sub(t.0.max(Time::MIN.0)).max(0);
            u16::try_from(gone.div_euclid(l.step().0).min(600)).expect("it is bounded")
        };
        let ran = |t: Time| of(t.interval(self.model.step).start);
        let gone = ran(unit.switched_at);
        let here = l.state_at_steps(unit.power, gone);
        let changed = unit.changed_at.max(unit.switched_at) >= step;
        let mut out = Options { all: [(here, false); OPTIONS_MAX], count: 0, now: here };
        if changed {
            // This step's rise is used up; it may still fall.
            let count = gone + 1;
            match l.level(here) {
                None => out.extend([(l.off(count), false)]),
                Some(level) => {
                    let (_, _, down) = l.reach();
                    out.extend(
                        (level.saturating_sub(down)..=level).map(|x| (l.on(x, count), false)),
                    );
                }
            }
            return out;
        }
        let spent = self
            .model
            .unit
            .starts_per_day
            .is_some_and(|most| unit.start_day == now.day() && unit.starts >= most);
        out.extend(l.moves(here).filter(|(_, start)| !(*start && spent)));
        out
    }

    fn best(&self, options: &Options, seen: &Seen, value: Price, worths: &Worths) -> Advice {
        let per_interval = self.model.settle_step.0 / self.model.step.0;
        let per_interval = u8::try_from(per_interval).expect("checked when it was made ready");
        let steps = i64::from(seen.knowledge.steps_left(per_interval));
        let mut best: Option<(Money, StateId)> = None;
        let mut second = None;
        let (mut off, mut on): (Option<Money>, Option<(Money, StateId)>) = (None, None);
        for (state, start) in options.states() {
            let score = self.score(*state, *start, value - seen.estimate, steps, worths);
            if !self.states[state.index()].on {
                off = Some(score);
            } else if on.is_none_or(|(s, _)| score > s) {
                on = Some((score, *state));
            }
            if best.is_none_or(|(s, _)| score > s) {
                second = best.map(|(s, _)| s);
                best = Some((score, *state));
            } else if second.is_none_or(|s| score > s) {
                second = Some(score);
            }
        }
        let (score, state) = best.expect("a step can always end somewhere");
        let off_above = off.zip(on).and_then(|(off, (on, at))| {
            let energy = i128::from(self.states[at.index()].energy.0.max(1)) * i128::from(steps);
            let gap = i128::from((on - off).0) * crate::units::WATT_SECONDS_PER_MWH;
            let above = i128::from(seen.estimate.0) + div_floor(gap, energy);
            i64::try_from(above).ok().map(Price)
        });
        Advice {
            power: self.lattice.power(state),
            state,
            way: Way::Table,
            knowledge: seen.knowledge,
            estimate: Some(seen.estimate),
            margin: second.map_or(Money::ZERO, |s| score - s),
            off_above,
            ask_again: None,
        }
    }

    /// What ending the step in a state is worth: energy until the interval's end at the price
    /// expected, and what the table knows beyond it.
    fn score(
        &self,
        state: StateId,
        start: bool,
        gain: Price,
        steps: i64,
        worths: &Worths,
    ) -> Money {
        let known = &self.states[state.index()];
        let now = gain.of(known.energy).times(steps);
        let cost = if start { self.model.unit.start_cost } else { Money::ZERO };
        now - cost + worths.mixed(&known.mixture)
    }

    /// Where no table fits: hold while the next run is due, else two thresholds on the newest
    /// price.
    fn without(&self, options: &Options, view: &View<'_>, seen: Option<&Seen>) -> Advice {
        let knowledge = view.knowledge();
        let advice = |state: StateId, way, estimate, ask_again| Advice {
            power: self.lattice.power(state),
            state,
            way,
            knowledge,
            estimate,
            margin: Money::ZERO,
            off_above: None,
            ask_again,
        };
        let run = view.book.runs().back();
        let awaited = if seen.is_none() { awaited(view) } else { None };
        if let Some((price, due)) = awaited.filter(|(_, due)| view.now < *due) {
            return advice(options.hold(&self.lattice), Way::Hold, Some(price), Some(due));
        }
        let newest = run.into_iter().chain(view.book.settlements().back());
        let newest = newest.max_by_key(|r| r.interval.start);
        let price = seen.map(|s| s.estimate).or(newest.map(|r| r.price));
        let usable = newest.is_some_and(|r| view.now.since(r.interval.start) <= PRICE_USABLE);
        let Some(price) = price.filter(|_| usable) else {
            return advice(options.hold(&self.lattice), Way::Hold, price, None);
        };
        let state = options.by_band(&self.lattice, price - view.value, &self.model);
        advice(state, Way::Band, Some(price), None)
    }
}

/// The newest price, and until when the next one is waited for.
fn awaited(view: &View<'_>) -> Option<(Price, Time)> {
    if let Some(run) = view.book.runs().back() {
        return Some((run.price, run.interval.start + view.step + AWAITED));
    }
    // What settled before the running interval is told as long after it as the last was; where
    // that is too late for the interval at all, there is nothing to wait for.
    let last = view.book.settlements().back()?;
    let in_time = last.known_at.since(last.interval.end) < view.settle_step;
    in_time.then(|| (last.price, last.known_at + view.settle_step + AWAITED))
}

/// Where a step can end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    all: [(StateId, bool); OPTIONS_MAX],
    count: usize,
    /// The state of the step before.
    pub now: StateId,
}

/// Most states that a step can end in: off, and every level.
const OPTIONS_MAX: usize = LATTICE_LEVELS_MAX + 1;

impl Options {
    /// States and whether each takes a start, the lowest first.
    #[must_use]
    pub fn states(&self) -> &[(StateId, bool)] {
        &self.all[..self.count]
    }

    fn extend(&mut self, states: impl IntoIterator<Item = (StateId, bool)>) {
        for state in states {
            self.all[self.count] = state;
            self.count += 1;
        }
    }

    /// The state of going on as it is.
    fn hold(&self, lattice: &Lattice) -> StateId {
        let level = lattice.level(self.now);
        let same = self.states().iter().rev().find(|(s, _)| lattice.level(*s) <= level);
        same.or(self.states().first()).expect("a step can always end somewhere").0
    }

    /// Off above the band, on below it; within it as it is. While on, full power below the value
    /// and the least above it.
    fn by_band(&self, lattice: &Lattice, over: Price, model: &Model) -> StateId {
        let (first, last) = match (self.states().first(), self.states().last()) {
            (Some((first, _)), Some((last, _))) => (*first, *last),
            _ => return self.now,
        };
        let least = self.states().iter().find(|(s, _)| lattice.level(*s).is_some());
        let on = lattice.level(self.now).is_some();
        let stay = match least {
            Some((least, _)) if over > Price::ZERO => *least,
            _ => last,
        };
        match on {
            true if over > model.band.stop_above => first,
            true => stay,
            false if over < model.band.start_below => last,
            false => first,
        }
    }
}

//! The best plan of one unit over known prices: exact, by a dynamic program over its lattice.
//!
//! Values go backwards: what each state is worth before each step. A plan needs only every n-th
//! row of them, n about the root of the number of steps; between two rows they are made again
//! while the plan is read off forwards, so a year takes some hundred kilobytes. Ties go to the
//! first move of [`Lattice::moves`]: off before on, lower before higher.

mod back;
pub(in crate::horizon) mod counted;
mod kernel;
mod rewards;
#[cfg(test)]
pub(in crate::horizon) mod tests;
mod walk;

use super::unit::{LATTICE_LEVELS_MAX, Lattice, LatticeError, StateId, UnitSpec, UnitState};
use crate::time::{Span, Time};
use crate::units::{Energy, Money, Power, Price, WATT_SECONDS_PER_MWH};
use counted::{Counter, Lanes};
pub(in crate::horizon) use kernel::NEVER;
use kernel::Shape;
use rewards::Rewards;
use std::fmt;
use std::ops::Range;

/// Most micro-currency a plan may be about, summed without regard to sign. It is small enough
/// that no sum of two values, possible or not, leaves 64 bits.
pub const VALUE_MAX: i64 = 1 << 60;
/// Most steps of one plan: ten years of five-minute steps.
pub const STEPS_MAX: usize = 1_100_000;
/// Room for the levels of any lattice.
const LEVELS_PADDED: usize = LATTICE_LEVELS_MAX + 1;

/// The levels a unit may take in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// Whether it may be off.
    pub off: bool,
    /// Lowest level it may be on at.
    pub from: u16,
    /// One above the highest level it may be on at; `from` or less: it may not be on.
    pub to: u16,
}

impl Band {
    /// Anything.
    pub const ALL: Self = Self { off: true, from: 0, to: u16::MAX };

    fn allows(self, level: Option<u16>) -> bool {
        level.map_or(self.off, |l| (self.from..self.to).contains(&l))
    }
}

/// What lies ahead of a unit: one entry for each step from `begin` on.
#[derive(Debug, Clone, Copy)]
pub struct Ahead<'a> {
    /// Start of the first step.
    pub begin: Time,
    /// What a consumed MWh is worth beyond what it costs.
    pub gains: &'a [Price],
    /// What a step on is worth besides, at whatever level; empty is nothing.
    pub awake: &'a [Money],
    /// What is allowed; empty is anything.
    pub bands: &'a [Band],
    /// What each state is worth after the last step, by [`StateId::index`]; empty is nothing.
    pub end: &'a [Money],
}

impl<'a> Ahead<'a> {
    /// Prices alone.
    #[must_use]
    pub fn new(begin: Time, gains: &'a [Price]) -> Self {
        Self { begin, gains, awake: &[], bands: &[], end: &[] }
    }
}

/// Where a plan begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In a state, with so many starts made on the UTC day of the first step.
    At {
        /// The state of the step before the first.
        state: StateId,
        /// Starts already made on the day.
        starts: u16,
    },
    /// Wherever it is best, with no start made.
    Free,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExactError {
    /// The money at stake is beyond [`VALUE_MAX`], or there are more than [`STEPS_MAX`] steps.
    TooLarge,
    /// A list has another number of entries than there are steps or states.
    Uneven {
        /// Which list.
        what: &'static str,
        /// How many entries it should have.
        want: usize,
        /// How many it has.
        got: usize,
    },
    /// No state allowed in a step can be reached from where the plan begins.
    NoWay {
        /// Which step, counted from 0.
        step: usize,
        /// When it begins.
        at: Time,
    },
}

impl Origin {
    /// Starts already made on the day of the first step.
    #[must_use]
    pub fn starts(self) -> u16 {
        match self {
            Self::At { starts, .. } => starts,
            Self::Free => 0,
        }
    }
}

impl fmt::Display for ExactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the plan is about more money or steps than fit"),
            Self::Uneven { what, want, got } => {
                write!(f, "{what} has {got} entries where {want} are needed")
            }
            Self::NoWay { step, at } => write!(
                f,
                "no state allowed in step {step}, at {} s, can be reached within ramps, dwells \
                 and starts a day",
                at.0.div_euclid(crate::time::SECOND)
            ),
        }
    }
}

impl std::error::Error for ExactError {}

/// The best plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it earns, end values included: the sum over steps of the gain's price of the step's
    /// energy, each rounded half to even, less its starts.
    pub profit: Money,
    /// The state before the first step.
    pub origin: StateId,
    /// The state of each step.
    pub states: Vec<StateId>,
    /// Starts it makes.
    pub starts: u32,
}

/// The first step of the best plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// What the whole plan earns.
    pub profit: Money,
    /// The state of the first step.
    pub state: StateId,
    /// Whether the unit starts in it.
    pub starts: bool,
}

impl Plan {
    /// Power of each step.
    pub fn powers<'a>(&'a self, lattice: &'a Lattice) -> impl Iterator<Item = Power> + 'a {
        self.states.iter().map(|s| lattice.power(*s))
    }

    /// Energy of all steps.
    #[must_use]
    pub fn energy(&self, lattice: &Lattice) -> Energy {
        self.states.iter().map(|s| lattice.energy(*s)).sum()
    }
}

/// The value of each state before each step, and after the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    rows: Vec<i64>,
    shape: Option<(Shape, usize)>,
}

impl Values {
    /// The value of a state before a step, or after the last one, with so many starts made on the
    /// day of the step before; `None` when nothing allowed can follow.
    ///
    /// # Panics
    /// When the step lies beyond the plan.
    #[must_use]
    pub fn at(&self, lattice: &Lattice, step: usize, state: StateId, starts: u16) -> Option<Money> {
        let (shape, layers) = self.shape.expect("the values have been worked out");
        let width = shape.width();
        let layer = usize::from(starts).min(layers - 1);
        let row = step * layers + layer;
        known(self.rows[row * width + place(&shape, lattice, state)]).map(Money)
    }
}

fn known(value: i64) -> Option<i64> {
    (value > -VALUE_MAX).then_some(value)
}

/// Where a state lies in a row of values.
fn place(shape: &Shape, lattice: &Lattice, s: StateId) -> usize {
    let steps = usize::from(lattice.steps(s)) - 1;
    lattice.level(s).map_or(steps, |l| shape.off + steps * shape.levels + usize::from(l))
}

/// Steps that are gone over together.
#[derive(Debug, Clone)]
pub(in crate::horizon) struct Piece<'a> {
    pub steps: Range<usize>,
    pub counter: Option<&'a Counter>,
}

/// Cuts steps without a counter into pieces of at most `size`.
pub(in crate::horizon) fn cut<'a>(steps: Range<usize>, size: usize, into: &mut Vec<Piece<'a>>) {
    let end = steps.end;
    let begins = steps.step_by(size);
    into.extend(begins.map(|b| Piece { steps: b..(b + size).min(end), counter: None }));
}

/// Plans one unit at one step length, with buffers that are used again.
#[derive(Debug, Clone)]
pub struct Planner {
    lattice: Lattice,
    shape: Shape,
    /// Counts of starts told apart: one more than are allowed a day, or 1 without a limit.
    layers: usize,
    /// Whether a unit in the last layer may start.
    unlimited: bool,
    rewards: Rewards,
    /// Whether no product of this plan's gains and energies leaves 62 bits.
    small: bool,
    /// Place of each state in a row.
    places: Vec<usize>,
    row: Vec<i64>,
    spare: Vec<i64>,
    pay: Vec<i64>,
    marks: Vec<i64>,
    block: Vec<i64>,
    /// What each step of a piece pays.
    pays: Vec<i64>,
    lane_rows: Vec<i64>,
    lanes: Lanes,
    /// What a counted period is worth around the lane it begins in, on the way of the last plan.
    edges: Vec<Vec<i64>>,
}

impl Planner {
    /// Puts a unit on its lattice.
    ///
    /// # Errors
    /// [`LatticeError`] when its physics admits no plan at this step.
    pub fn new(spec: &UnitSpec, step: Span) -> Result<Self, LatticeError> {
        Self::finer(spec, step, 1)
    }

    /// Puts a unit on a lattice with so many levels for each that it needs: under a quota, powers
    /// between those levels earn a little more.
    ///
    /// # Errors
    /// [`LatticeError`] when its physics admits no plan at this step.
    pub fn finer(spec: &UnitSpec, step: Span, times: u16) -> Result<Self, LatticeError> {
        let lattice = Lattice::finer(spec, step, times)?;
        let (off, on) = lattice.dwell();
        let (start, up, down) = lattice.reach();
        let shape = Shape {
            levels: lattice.levels().len(),
            off: off.into(),
            on: on.into(),
            start: start.into(),
            up: up.into(),
            down: down.into(),
            cost: spec.start_cost.0,
        };
        let day = 86_400 * crate::time::SECOND / step.0 + 1;
        let most = day / i64::from(off + on) + 1;
        let counted = spec.starts_per_day.filter(|n| i64::from(*n) < most);
        let layers = counted.map_or(1, |n| usize::from(n) + 1);
        let states = u16::try_from(lattice.states()).expect("a state's number fits 16 bits");
        let places = (0..states).map(|s| place(&shape, &lattice, StateId(s))).collect();
        let rewards = Rewards::new(&lattice);
        Ok(Self {
            shape,
            layers,
            unlimited: counted.is_none(),
            rewards,
            small: false,
            places,
            row: vec![0; layers * shape.width()],
            spare: vec![0; shape.levels],
            pay: vec![0; shape.levels],
            marks: Vec::new(),
            block: Vec::new(),
            pays: Vec::new(),
            lane_rows: Vec::new(),
            lanes: Lanes::default(),
            edges: Vec::new(),
            lattice,
        })
    }

    /// The lattice planned on.
    #[must_use]
    pub fn lattice(&self) -> &Lattice {
        &self.lattice
    }

    /// What a start costs.
    #[must_use]
    pub fn start_cost(&self) -> Money {
        Money(self.shape.cost)
    }

    /// Counts of starts that are told apart.
    pub(in crate::horizon) fn layers(&self) -> usize {
        self.layers
    }

    /// Whether starts are counted at all.
    pub(in crate::horizon) fn counts_starts(&self) -> bool {
        !self.unlimited
    }

    /// Whether starts are counted anew in a step of a plan that begins at a moment.
    pub(in crate::horizon) fn begins_day(&self, begin: Time, t: usize) -> bool {
        self.counts_starts() && self.new_day(&Ahead::new(begin, &[]), t)
    }

    /// What each counted period of the last plan was worth, the lanes around its beginning from
    /// the tightest to the loosest.
    pub(in crate::horizon) fn edges(&mut self) -> &mut Vec<Vec<i64>> {
        &mut self.edges
    }

    /// Where a unit stands at a moment, as the beginning of a plan.
    #[must_use]
    pub fn origin(&self, unit: &UnitState, now: Time) -> Origin {
        let starts = if unit.start_day == now.day() { unit.starts } else { 0 };
        Origin::At { state: self.lattice.state_at(unit, now), starts }
    }

    /// Where a unit stands at the beginning of a step, its switches counted by the grid: one made
    /// in a step is one step old in the next, wherever in the step it was made.
    #[must_use]
    pub fn origin_on_grid(&self, unit: &UnitState, begin: Time) -> Origin {
        let step = self.lattice.step();
        let on_grid = UnitState { switched_at: unit.switched_at.interval(step).start, ..*unit };
        self.origin(&on_grid, begin)
    }

    /// What the best plan earns.
    ///
    /// # Errors
    /// [`ExactError`] when there is no plan, or what lies ahead does not fit together.
    pub fn value(&mut self, ahead: &Ahead<'_>, from: Origin) -> Result<Money, ExactError> {
        self.check(ahead)?;
        self.set_end(ahead);
        self.sweep(ahead, 0..ahead.gains.len(), |_, _, _| {});
        self.best(from).map(|(_, v)| Money(v)).ok_or_else(|| self.blocked(ahead, from))
    }

    /// The best plan.
    ///
    /// # Errors
    /// [`ExactError`] when there is no plan, or what lies ahead does not fit together.
    pub fn plan(&mut self, ahead: &Ahead<'_>, from: Origin) -> Result<Plan, ExactError> {
        self.check(ahead)?;
        let steps = ahead.gains.len();
        let mut pieces = Vec::new();
        cut(0..steps, steps.isqrt() + 1, &mut pieces);
        self.plan_pieces(ahead, from, &pieces).ok_or_else(|| self.blocked(ahead, from))
    }

    /// The first step of the best plan alone, at half the price of the plan: what a rolling plan
    /// asks for at each step.
    ///
    /// # Errors
    /// [`ExactError`] when there is no plan, or no step ahead, or what lies ahead does not fit
    /// together.
    pub fn next(&mut self, ahead: &Ahead<'_>, from: Origin) -> Result<Next, ExactError> {
        self.check(ahead)?;
        let steps = ahead.gains.len();
        if steps == 0 {
            return Err(ExactError::Uneven { what: "gains", want: 1, got: 0 });
        }
        self.set_end(ahead);
        self.sweep(ahead, 1..steps, |_, _, _| {});
        let mut behind = std::mem::take(&mut self.block);
        behind.clear();
        behind.extend_from_slice(&self.row);
        self.sweep(ahead, 0..1, |_, _, _| {});
        let next = self.best(from).map(|(state, profit)| {
            let spot = self.spot(state, from);
            let may_be_off = ahead.bands.first().is_none_or(|b| b.off);
            // The pay of step 0 is the last that was worked out.
            let to = self.follow(spot, &behind, may_be_off, None);
            let starts = spot.level.is_none() && to.level.is_some();
            Next { profit: Money(profit), state: self.state(&to), starts }
        });
        self.block = behind;
        next.ok_or_else(|| self.blocked(ahead, from))
    }

    /// The best plan over pieces that follow each other without a gap; what lies ahead has been
    /// checked.
    pub(in crate::horizon) fn plan_pieces(
        &mut self,
        ahead: &Ahead<'_>,
        from: Origin,
        pieces: &[Piece<'_>],
    ) -> Option<Plan> {
        let width = self.row.len();
        let mut marks = std::mem::take(&mut self.marks);
        marks.resize(pieces.len() * width, 0);
        self.set_end(ahead);
        for (piece, mark) in pieces.iter().zip(marks.chunks_exact_mut(width)).rev() {
            mark.copy_from_slice(&self.row);
            self.go_back(ahead, piece);
        }
        self.edges.clear();
        let plan = self.best(from).map(|(state, profit)| {
            let mut plan = Plan {
                profit: Money(profit),
                origin: state,
                states: Vec::with_capacity(ahead.gains.len()),
                starts: 0,
            };
            let mut at = self.spot(state, from);
            for (piece, mark) in pieces.iter().zip(marks.chunks_exact(width)) {
                self.row.copy_from_slice(mark);
                at = self.read_piece(ahead, piece, at, &mut plan);
            }
            plan
        });
        self.marks = marks;
        plan
    }

    /// What the best plan over pieces earns; what lies ahead has been checked.
    pub(in crate::horizon) fn value_pieces(
        &mut self,
        ahead: &Ahead<'_>,
        from: Origin,
        pieces: &[Piece<'_>],
    ) -> Option<Money> {
        self.set_end(ahead);
        pieces.iter().rev().for_each(|piece| self.go_back(ahead, piece));
        self.best(from).map(|(_, v)| Money(v))
    }

    fn go_back(&mut self, ahead: &Ahead<'_>, piece: &Piece<'_>) {
        match piece.counter {
            None => self.sweep(ahead, piece.steps.clone(), |_, _, _| {}),
            Some(counter) => self.sweep_counted(ahead, counter, piece.steps.clone(), |_, _, _| {}),
        }
    }

    /// Works out the value of every state before every step.
    ///
    /// # Errors
    /// [`ExactError`] when what lies ahead does not fit together.
    pub fn values(&mut self, ahead: &Ahead<'_>, into: &mut Values) -> Result<(), ExactError> {
        self.check(ahead)?;
        let width = self.row.len();
        let rows = &mut into.rows;
        rows.clear();
        rows.resize((ahead.gains.len() + 1) * width, 0);
        self.set_end(ahead);
        rows[ahead.gains.len() * width..].copy_from_slice(&self.row);
        self.sweep(ahead, 0..ahead.gains.len(), |t, row, _| {
            rows[t * width..][..width].copy_from_slice(row);
        });
        into.shape = Some((self.shape, self.layers));
        Ok(())
    }

    /// Refuses lists of uneven length and money that might not fit.
    pub(in crate::horizon) fn check(&mut self, ahead: &Ahead<'_>) -> Result<(), ExactError> {
        let steps = ahead.gains.len();
        let even = |what, got, want| match got {
            0 => Ok(()),
            _ if got == want => Ok(()),
            _ => Err(ExactError::Uneven { what, want, got }),
        };
        even("awake", ahead.awake.len(), steps)?;
        even("bands", ahead.bands.len(), steps)?;
        even("end", ahead.end.len(), self.lattice.states())?;
        let largest = |most: Option<u64>| i128::from(most.unwrap_or(0));
        let gain = largest(ahead.gains.iter().map(|g| g.0.unsigned_abs()).max());
        let awake = largest(ahead.awake.iter().map(|m| m.0.unsigned_abs()).max());
        let end = largest(ahead.end.iter().map(|m| m.0.unsigned_abs()).max());
        let energy = i128::from(self.rewards.most.0);
        // Factors of at most 2^64 and 2^63, so the product fits.
        let step = gain * energy / WATT_SECONDS_PER_MWH + 1;
        let step = step + awake + i128::from(self.shape.cost.unsigned_abs());
        let all = step.checked_mul(steps as i128).map(|all| all + end);
        self.small = gain * i128::from(self.rewards.parts.last().copied().unwrap_or(0)) < 1 << 62;
        let fits = all.is_some_and(|all| all < i128::from(VALUE_MAX)) && steps <= STEPS_MAX;
        if fits { Ok(()) } else { Err(ExactError::TooLarge) }
    }

    /// Sets the row to the values after the last step.
    fn set_end(&mut self, ahead: &Ahead<'_>) {
        self.row.fill(0);
        for layer in self.row.chunks_exact_mut(self.shape.width()) {
            for (place, value) in self.places.iter().zip(ahead.end) {
                layer[*place] = value.0;
            }
        }
    }

    /// Whether a step is the first of its UTC day and not the first of the plan, whose beginning
    /// counts starts of its own day.
    fn new_day(&self, ahead: &Ahead<'_>, t: usize) -> bool {
        let at = |t: usize| self.time(ahead, t).day();
        t > 0 && at(t) != at(t - 1)
    }

    fn time(&self, ahead: &Ahead<'_>, t: usize) -> Time {
        Time(ahead.begin.0 + self.lattice.step().0 * i64::try_from(t).expect("steps are bounded"))
    }

    /// The beginning and its value in the row.
    fn best(&self, from: Origin) -> Option<(StateId, i64)> {
        let (state, value) = match from {
            Origin::At { state, starts } => {
                let layer = usize::from(starts).min(self.layers - 1);
                (state, self.row[layer * self.shape.width() + self.places[state.index()]])
            }
            Origin::Free => {
                let all = (0u16..).zip(self.places.iter().map(|p| self.row[*p]));
                let (s, v) = all.reduce(|a, b| if b.1 > a.1 { b } else { a })?;
                (StateId(s), v)
            }
        };
        known(value).map(|v| (state, v))
    }
}

//! The best plan of one unit over known prices: exact, by a dynamic program over its lattice.
//!
//! Values go backwards: what each state is worth before each step. A plan needs only every n-th
//! row of them, n about the root of the number of steps; between two rows they are made again
//! while the plan is read off forwards, so a year takes some hundred kilobytes. Ties go to the
//! first move of [`Lattice::moves`]: off before on, lower before higher.

mod kernel;
#[cfg(test)]
mod tests;

use super::unit::{LATTICE_LEVELS_MAX, Lattice, LatticeError, StateId, UnitSpec, UnitState};
use crate::time::{Span, Time};
use crate::units::{Energy, Money, Power, Price, WATT_SECONDS_PER_MWH};
use kernel::{NEVER, Pay, Shape};
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

/// A state while a plan is read off.
#[derive(Debug, Clone, Copy)]
struct Spot {
    level: Option<u16>,
    steps: u16,
    /// Starts of its day, where they are counted.
    starts: usize,
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
}

impl Planner {
    /// Puts a unit on its lattice.
    ///
    /// # Errors
    /// [`LatticeError`] when its physics admits no plan at this step.
    pub fn new(spec: &UnitSpec, step: Span) -> Result<Self, LatticeError> {
        let lattice = Lattice::new(spec, step)?;
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
            lattice,
        })
    }

    /// The lattice planned on.
    #[must_use]
    pub fn lattice(&self) -> &Lattice {
        &self.lattice
    }

    /// Where a unit stands at a moment, as the beginning of a plan.
    #[must_use]
    pub fn origin(&self, unit: &UnitState, now: Time) -> Origin {
        let starts = if unit.start_day == now.day() { unit.starts } else { 0 };
        Origin::At { state: self.lattice.state_at(unit, now), starts }
    }

    /// What the best plan earns.
    ///
    /// # Errors
    /// [`ExactError`] when there is no plan, or what lies ahead does not fit together.
    pub fn value(&mut self, ahead: &Ahead<'_>, from: Origin) -> Result<Money, ExactError> {
        self.check(ahead)?;
        self.set_end(ahead);
        self.sweep(ahead, 0..ahead.gains.len(), |_, _| {});
        self.best(from).map(|(_, v)| Money(v)).ok_or_else(|| self.blocked(ahead, from))
    }

    /// The best plan.
    ///
    /// # Errors
    /// [`ExactError`] when there is no plan, or what lies ahead does not fit together.
    pub fn plan(&mut self, ahead: &Ahead<'_>, from: Origin) -> Result<Plan, ExactError> {
        self.check(ahead)?;
        let steps = ahead.gains.len();
        let (size, width) = (steps.isqrt() + 1, self.row.len());
        let mut marks = std::mem::take(&mut self.marks);
        marks.clear();
        marks.resize((steps / size + 1) * width, 0);
        self.set_end(ahead);
        self.sweep(ahead, 0..steps, |t, row| {
            if t % size == 0 {
                marks[t / size * width..][..width].copy_from_slice(row);
            }
        });
        let plan = self.best(from).map(|(state, profit)| {
            let mut plan = Plan {
                profit: Money(profit),
                origin: state,
                states: Vec::with_capacity(steps),
                starts: 0,
            };
            let made = if let Origin::At { starts, .. } = from { starts.into() } else { 0 };
            let mut at = Spot {
                level: self.lattice.level(state),
                steps: self.lattice.steps(state),
                starts: usize::min(made, self.layers - 1),
            };
            for begin in (0..steps).step_by(size) {
                let end = (begin + size).min(steps);
                match marks.get(end / size * width..).filter(|_| end < steps) {
                    Some(mark) => self.row.copy_from_slice(&mark[..width]),
                    None => self.set_end(ahead),
                }
                at = self.read_block(ahead, begin..end, at, &mut plan);
            }
            plan
        });
        self.marks = marks;
        plan.ok_or_else(|| self.blocked(ahead, from))
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
        self.sweep(ahead, 0..ahead.gains.len(), |t, row| {
            rows[t * width..][..width].copy_from_slice(row);
        });
        into.shape = Some((self.shape, self.layers));
        Ok(())
    }

    /// Refuses lists of uneven length and money that might not fit.
    fn check(&mut self, ahead: &Ahead<'_>) -> Result<(), ExactError> {
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

    /// Goes back over steps, from the row as it is, and tells each row.
    fn sweep(&mut self, ahead: &Ahead<'_>, steps: Range<usize>, tell: impl FnMut(usize, &[i64])) {
        let small = self.small;
        if ahead.bands.is_empty() {
            self.sweep_as::<false>(ahead, small, steps, tell);
        } else {
            self.sweep_as::<true>(ahead, small, steps, tell);
        }
    }

    fn sweep_as<const BANDED: bool>(
        &mut self,
        ahead: &Ahead<'_>,
        small: bool,
        steps: Range<usize>,
        mut tell: impl FnMut(usize, &[i64]),
    ) {
        let width = self.shape.width();
        for t in steps.rev() {
            self.rewards.pay(ahead, t, small, &mut self.pay);
            let off = !BANDED || ahead.bands[t].off;
            let pay = Pay { on: &self.pay, off };
            let reset = self.layers > 1 && self.new_day(ahead, t);
            let computed = if reset { 1 } else { self.layers };
            for layer in 0..computed {
                let (low, high) = self.row.split_at_mut((layer + 1) * width);
                let row = &mut low[layer * width..];
                let start = match high.get(..width) {
                    Some(next) => kernel::start(&self.shape, next, pay),
                    None if self.unlimited => kernel::start(&self.shape, row, pay),
                    None => NEVER,
                };
                kernel::back::<BANDED>(&self.shape, row, pay, start, &mut self.spare);
            }
            if reset {
                let (first, rest) = self.row.split_at_mut(width);
                rest.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(first));
            }
            tell(t, &self.row);
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

    /// Makes the values of a block again, the row being those behind it, and reads the plan off.
    fn read_block(
        &mut self,
        ahead: &Ahead<'_>,
        steps: Range<usize>,
        from: Spot,
        plan: &mut Plan,
    ) -> Spot {
        let (begin, width) = (steps.start, self.row.len());
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        block.resize((steps.len() + 1) * width, 0);
        block[steps.len() * width..].copy_from_slice(&self.row);
        self.sweep(ahead, steps.clone(), |t, row| {
            block[(t - begin) * width..][..width].copy_from_slice(row);
        });
        let small = self.small;
        let mut spot = from;
        for t in steps {
            self.rewards.pay(ahead, t, small, &mut self.pay);
            if self.layers > 1 && self.new_day(ahead, t) {
                spot.starts = 0;
            }
            let next = &block[(t + 1 - begin) * width..][..width];
            let stays_off = ahead.bands.get(t).is_none_or(|b| b.off);
            let was_on = spot.level.is_some();
            spot = self.follow(spot, next, stays_off);
            let started = !was_on && spot.level.is_some();
            plan.starts += u32::from(started);
            spot.starts += usize::from(started && !self.unlimited);
            plan.states.push(match spot.level {
                None => self.lattice.off(spot.steps),
                Some(level) => self.lattice.on(level, spot.steps),
            });
        }
        self.block = block;
        spot
    }

    /// Where the best move into a step leads, the step's pay being worked out and the values
    /// behind it known. The first of the best is taken: off, then levels from the lowest.
    fn follow(&self, spot: Spot, next: &[i64], may_be_off: bool) -> Spot {
        let shape = &self.shape;
        let layer = |starts: usize| &next[starts * shape.width()..][..shape.width()];
        let steps = usize::from(spot.steps);
        let top = shape.levels - 1;
        let (off, levels, starts) = match spot.level.map(usize::from) {
            None => {
                let may_start =
                    steps == shape.off && (self.unlimited || spot.starts + 1 < self.layers);
                let levels = if may_start { 0..shape.start + 1 } else { 0..0 };
                (Some((steps + 1).min(shape.off)), levels, true)
            }
            Some(l) => {
                let stops = steps == shape.on && l <= shape.down;
                (
                    stops.then_some(1),
                    l.saturating_sub(shape.down)..(l + shape.up).min(top) + 1,
                    false,
                )
            }
        };
        let mut best = (i64::MIN, spot);
        if let Some(steps) = off.filter(|_| may_be_off) {
            let to = Spot { level: None, steps: narrow(steps), starts: spot.starts };
            best = (layer(spot.starts)[steps - 1], to);
        }
        let (age, cost) = if starts { (1, shape.cost) } else { ((steps + 1).min(shape.on), 0) };
        let made = spot.starts + usize::from(starts && !self.unlimited);
        if !levels.is_empty() {
            let values = &layer(made)[shape.off + (age - 1) * shape.levels..][..shape.levels];
            for l in levels {
                let value = values[l].wrapping_add(self.pay[l]).wrapping_sub(cost);
                if value > best.0 {
                    let to =
                        Spot { level: Some(narrow(l)), steps: narrow(age), starts: spot.starts };
                    best = (value, to);
                }
            }
        }
        assert!(best.0 > i64::MIN, "a state of a plan has a move");
        best.1
    }

    /// The first step no state of which can be reached.
    fn blocked(&self, ahead: &Ahead<'_>, from: Origin) -> ExactError {
        let states = self.lattice.states();
        let mut here = vec![false; states * self.layers];
        match from {
            Origin::At { state, starts } => {
                here[usize::from(starts).min(self.layers - 1) * states + state.index()] = true;
            }
            Origin::Free => here[..states].fill(true),
        }
        for t in 0..ahead.gains.len() {
            let mut next = vec![false; here.len()];
            let band = ahead.bands.get(t).copied().unwrap_or(Band::ALL);
            let reset = self.new_day(ahead, t);
            for i in (0..here.len()).filter(|i| here[*i]) {
                let made = if reset { 0 } else { i / states };
                let state = StateId(u16::try_from(i % states).expect("a state's number fits"));
                for (to, started) in self.lattice.moves(state) {
                    let layer = made + usize::from(started && !self.unlimited);
                    if layer < self.layers && band.allows(self.lattice.level(to)) {
                        next[layer * states + to.index()] = true;
                    }
                }
            }
            if !next.contains(&true) {
                return ExactError::NoWay { step: t, at: self.time(ahead, t) };
            }
            here = next;
        }
        unreachable!("a plan that reaches its last step has a value")
    }
}

/// What a step's energy earns at each level.
#[derive(Debug, Clone)]
struct Rewards {
    energies: Vec<Energy>,
    most: Energy,
    /// The energies in MWh as fractions over one denominator.
    parts: Vec<i64>,
    whole: i64,
}

impl Rewards {
    fn new(lattice: &Lattice) -> Self {
        let energies: Vec<Energy> =
            lattice.levels().iter().map(|p| p.over(lattice.step())).collect();
        let mwh = i64::try_from(WATT_SECONDS_PER_MWH).expect("a constant that fits");
        let common = energies.iter().fold(mwh, |a, e| gcd(a, e.0));
        Self {
            most: energies.iter().copied().max().unwrap_or(Energy::ZERO),
            parts: energies.iter().map(|e| e.0 / common).collect(),
            whole: mwh / common,
            energies,
        }
    }

    /// Writes what a step pays at each level. `small` promises that products fit.
    fn pay(&self, ahead: &Ahead<'_>, t: usize, small: bool, into: &mut [i64]) {
        let gain = ahead.gains[t];
        match (small, self.whole) {
            (true, 1) => {
                let each = into.iter_mut().zip(&self.parts);
                each.for_each(|(pay, part)| *pay = gain.0.wrapping_mul(*part));
            }
            (true, whole) => {
                let each = into.iter_mut().zip(&self.parts);
                each.for_each(|(pay, part)| *pay = half_even(gain.0.wrapping_mul(*part), whole));
            }
            _ => {
                let each = into.iter_mut().zip(&self.energies);
                each.for_each(|(pay, energy)| *pay = gain.of(*energy).0);
            }
        }
        if let Some(awake) = ahead.awake.get(t) {
            into.iter_mut().for_each(|pay| *pay = pay.wrapping_add(awake.0));
        }
        if let Some(band) = ahead.bands.get(t) {
            for (l, pay) in (0u16..).zip(into) {
                *pay = if band.allows(Some(l)) { *pay } else { NEVER };
            }
        }
    }
}

/// Divides to the nearest, halves to even; `n` has 62 bits, `d` is positive.
fn half_even(n: i64, d: i64) -> i64 {
    let (q, r) = (n.div_euclid(d), n.rem_euclid(d));
    match (2 * r).cmp(&d) {
        std::cmp::Ordering::Less => q,
        std::cmp::Ordering::Greater => q + 1,
        std::cmp::Ordering::Equal => q + (q & 1),
    }
}

fn narrow(n: usize) -> u16 {
    u16::try_from(n).expect("levels and steps of a lattice fit 16 bits")
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

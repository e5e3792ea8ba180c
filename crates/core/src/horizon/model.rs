//! A trained model as data: what states of a unit are worth, seen from what is known.
//!
//! `W(d | x)` is the money still to come after a step that ends in state `d`, less that after
//! one at full power, as expected from features `x`. For a few *anchor* states it is a sum over
//! small decision trees; between anchors it is interpolated.

use super::features::Knowledge;
use super::lookup::{self, WEIGHT_BITS};
use super::unit::{Lattice, LatticeError, StateId, UnitSpec};
use crate::market::SettlementPoint;
use crate::time::{Interval, Span, Time};
use crate::units::{Money, Power, Price};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Version of the model's meaning: features, their order and the sums.
pub const MODEL_VERSION: u16 = 2;
/// Most anchor states.
pub const ANCHORS_MAX: usize = 64;
/// Most tables.
pub const TABLES_MAX: usize = 16;
/// Most trees of a table.
pub const TREES_MAX: usize = 512;
/// Most that a table's trees ask of one feature: counting it takes 8 bits.
pub const CUTS_MAX: usize = 254;
/// Most questions a tree asks before it answers.
pub const DEPTH_MAX: usize = 8;
/// Largest constant, in a table's unit: with a leaf of each tree it fits 32 bits.
pub const CONSTANT_MAX: i32 = 1 << 29;
/// Most that one of a table's numbers stands for: a sum of them then fits 64 bits.
const UNIT_MAX: Money = Money(1 << 32);
/// Largest bound of a worth: one thousand million of currency.
const WORTH_MAX: i64 = 1_000_000_000_000_000;
/// Most power of a unit, and of a ramp: a million megawatts.
const POWER_MAX: Power = Power(1_000_000_000_000);
/// Longest step, and longest time that a ramp is told for.
const SPAN_MAX: Span = Span::hours(24);
/// Farthest local time is from UTC.
const OFFSET_MAX: Span = Span::hours(26);

/// Where a tree goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// To one of its questions, later in the list.
    Split(u16),
    /// To one of its leaves.
    Leaf(u16),
}

/// A question of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Index of the feature that is looked at.
    pub of: u8,
    /// The most that it is on the low side.
    pub at: i32,
    /// Where the tree goes on if the feature is at most that.
    pub low: Next,
    /// Where it goes on if the feature is more.
    pub high: Next,
}

/// A decision tree: from its first question to a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The questions; without any the tree is its first leaf.
    pub splits: Vec<Split>,
    /// For each leaf, a number for each anchor.
    pub leaves: Vec<i16>,
}

/// Worth of the anchors under one kind of knowledge: the sum of a constant and of one leaf of each
/// tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// What is known.
    pub knowledge: Knowledge,
    /// What a one stands for.
    pub unit: Money,
    /// Constant part for each anchor.
    pub constant: Vec<i32>,
    /// The trees.
    pub trees: Vec<Tree>,
}

/// Two prices between which a unit stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// It starts below this, relative to the value.
    pub start_below: Price,
    /// It stops above this, relative to the value.
    pub stop_above: Price,
}

/// The states whose worth is told, as counters and levels; the others are interpolated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchors {
    /// Steps off, rising.
    pub off: Vec<u16>,
    /// Steps on, rising.
    pub on: Vec<u16>,
    /// Levels, rising.
    pub levels: Vec<u16>,
}

/// What a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trained {
    /// At these points together.
    pub points: Vec<SettlementPoint>,
    /// From when to when.
    pub span: Interval,
    /// Decisions learned from.
    pub rows: u64,
    /// Whether day-ahead prices were among what was known.
    pub day_ahead: bool,
    /// Whether the market's own look-ahead was.
    pub look_ahead: bool,
}

/// A trained model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// [`MODEL_VERSION`] it was made by.
    pub version: u16,
    /// The unit it is for; its cohort does not matter.
    pub unit: UnitSpec,
    /// Value of a consumed MWh it was trained at.
    pub value: Price,
    /// Distance from the value that counts as one.
    pub scale: Price,
    /// Step of decisions.
    pub step: Span,
    /// Step of settlement.
    pub settle_step: Span,
    /// Local time less UTC, from each moment on, in time order.
    pub offsets: Vec<(Time, Span)>,
    /// What it was trained on.
    pub trained: Trained,
    /// States whose worth is told.
    pub anchors: Anchors,
    /// No worth it was fitted on was more, either way; none that it tells is.
    pub worth_most: Money,
    /// Worth by kind of knowledge.
    pub tables: Vec<Table>,
    /// What to do where no table fits what is known.
    pub band: Band,
}

/// Why a model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelError {
    /// It was made by another version of the program.
    Version(u16),
    /// The unit does not fit the step.
    Unit(LatticeError),
    /// A part of it contradicts another or is out of bounds; the part is named.
    Part(&'static str),
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(v) => write!(
                f,
                "the model is of version {v}, this program reads {MODEL_VERSION}: train it anew"
            ),
            Self::Unit(e) => write!(f, "the model's unit: {e}"),
            Self::Part(part) => write!(f, "the model's {part} is damaged: train it anew"),
        }
    }
}

impl std::error::Error for ModelError {}

impl Anchors {
    /// Anchors for a lattice: at most five counters of each dwell and four levels.
    #[must_use]
    pub fn of(lattice: &Lattice) -> Self {
        let (off, on) = lattice.dwell();
        let top = u16::try_from(lattice.levels().len() - 1).expect("levels fit 16 bits");
        Self { off: spaced(1, off, 5), on: spaced(1, on, 5), levels: spaced(0, top, 4) }
    }

    /// How many anchors there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.off.len() + self.on.len() * self.levels.len()
    }

    /// The anchors as states, in order.
    #[must_use]
    pub fn states(&self, lattice: &Lattice) -> Vec<StateId> {
        let off = self.off.iter().map(|n| lattice.off(*n));
        let on = self.levels.iter().flat_map(|l| self.on.iter().map(|n| lattice.on(*l, *n)));
        off.chain(on).collect()
    }

    /// A state as a mixture of anchors: indices and weights in parts of 65,536.
    #[must_use]
    pub fn mixture(&self, lattice: &Lattice, s: StateId) -> Vec<(usize, i64)> {
        let steps = lattice.steps(s);
        let Some(level) = lattice.level(s) else { return between(&self.off, steps) };
        let counters = between(&self.on, steps);
        let mut out = Vec::with_capacity(4);
        for (l, wide) in between(&self.levels, level) {
            for (n, narrow) in &counters {
                let at = self.off.len() + l * self.on.len() + n;
                out.push((at, (wide * narrow) >> WEIGHT_BITS));
            }
        }
        out
    }

    fn fits(&self, lattice: &Lattice) -> bool {
        let rising = |list: &[u16], from: u16, to: u16| {
            list.first() == Some(&from)
                && list.last() == Some(&to)
                && list.windows(2).all(|w| w[0] < w[1])
        };
        let (off, on) = lattice.dwell();
        let top = u16::try_from(lattice.levels().len() - 1).unwrap_or(u16::MAX);
        rising(&self.off, 1, off)
            && rising(&self.on, 1, on)
            && rising(&self.levels, 0, top)
            && self.count() <= ANCHORS_MAX
    }
}

fn spaced(from: u16, to: u16, most: u16) -> Vec<u16> {
    let gaps = (most - 1).min(to - from);
    let at = |i: u16| from + (u32::from(to - from) * u32::from(i) / u32::from(gaps.max(1))) as u16;
    (0..=gaps).map(at).collect()
}

fn between(list: &[u16], x: u16) -> Vec<(usize, i64)> {
    let one = 1 << WEIGHT_BITS;
    let above = list.partition_point(|v| *v < x);
    match (above.checked_sub(1), list.get(above)) {
        (_, Some(v)) if *v == x => vec![(above, one)],
        (Some(below), Some(v)) => {
            let (low, high) = (i64::from(list[below]), i64::from(*v));
            let part = ((i64::from(x) - low) << WEIGHT_BITS) / (high - low);
            vec![(below, one - part), (above, part)]
        }
        (Some(below), None) => vec![(below, one)],
        (None, _) => vec![(0, one)],
    }
}

impl Model {
    /// Checks every part of a model that came from outside.
    ///
    /// # Errors
    /// [`ModelError`] naming what is wrong.
    pub fn check(&self) -> Result<Lattice, ModelError> {
        if self.version != MODEL_VERSION {
            return Err(ModelError::Version(self.version));
        }
        let part = |ok: bool, name| if ok { Ok(()) } else { Err(ModelError::Part(name)) };
        part(self.bounded(), "unit")?;
        let lattice = Lattice::new(&self.unit, self.step).map_err(ModelError::Unit)?;
        let steps = self.settle_step.0 > 0 && self.settle_step.0 % self.step.0 == 0;
        part(steps && self.settle_step.0 / self.step.0 < 255, "step")?;
        part(self.scale.0 > 0, "scale")?;
        part((1..=WORTH_MAX).contains(&self.worth_most.0), "largest worth")?;
        part(self.offsets.windows(2).all(|w| w[0].0 < w[1].0), "list of time zone offsets")?;
        let far = |(_, offset): &(Time, Span)| offset.0.abs() > OFFSET_MAX.0;
        part(!self.offsets.iter().any(far), "list of time zone offsets")?;
        part(self.anchors.fits(&lattice), "list of states")?;
        part(self.band.start_below <= self.band.stop_above, "band")?;
        let states = self.anchors.count();
        let kinds: BTreeSet<Knowledge> = self.tables.iter().map(|t| t.knowledge).collect();
        let once = kinds.len() == self.tables.len();
        part(once && self.tables.len() <= TABLES_MAX, "list of tables")?;
        for table in &self.tables {
            let constant = |c: &i32| c.abs() <= CONSTANT_MAX;
            part(table.constant.len() == states && table.trees.len() <= TREES_MAX, "table")?;
            part(table.unit > Money::ZERO && table.unit <= UNIT_MAX, "unit of money")?;
            part(table.constant.iter().all(constant), "constant")?;
            part(table.trees.iter().all(|t| t.depth(states).is_some()), "tree")?;
            let cuts = lookup::cuts(table);
            part(cuts.iter().all(|c| c.len() <= CUTS_MAX), "list of questions")?;
        }
        Ok(lattice)
    }

    /// Whether the unit's numbers are such that a lattice of it can be counted out.
    fn bounded(&self) -> bool {
        let unit = &self.unit;
        let power = |p: Power| (Power(0)..=POWER_MAX).contains(&p);
        let span = |s: Span| s > Span::ZERO && s <= SPAN_MAX;
        let ramps = [unit.ramp_up, unit.ramp_down];
        [unit.min, unit.max, unit.start_at].into_iter().all(power)
            && ramps.into_iter().flatten().all(|r| power(r.power) && span(r.per))
            && span(self.step)
            && span(self.settle_step)
    }

    /// Local time less UTC at a moment; zero before the first one told.
    #[must_use]
    pub fn offset(&self, at: Time) -> Span {
        offset_at(&self.offsets, at)
    }
}

/// Local time less UTC at a moment, of a list of what it is from each moment on; zero before the
/// first one.
#[must_use]
pub fn offset_at(offsets: &[(Time, Span)], at: Time) -> Span {
    let next = offsets.partition_point(|(from, _)| *from <= at);
    next.checked_sub(1).map_or(Span::ZERO, |i| offsets[i].1)
}

impl Tree {
    /// How many questions it asks at most; `None` where it does not hang together for so many
    /// anchors, or is out of bounds.
    #[must_use]
    pub fn depth(&self, anchors: usize) -> Option<usize> {
        let leaves = self.leaves.chunks_exact(anchors.max(1));
        let some = (1..=1 << DEPTH_MAX).contains(&leaves.len());
        let whole = leaves.remainder().is_empty() && some;
        if !whole {
            return None;
        }
        // How deep each question lies: those it leads to come later in the list.
        let mut depths = vec![0; self.splits.len()];
        let mut deepest = 0;
        for (i, split) in self.splits.iter().enumerate() {
            if usize::from(split.of) >= super::features::FEATURES {
                return None;
            }
            let below = depths[i] + 1;
            for next in [split.low, split.high] {
                match next {
                    Next::Leaf(leaf) if usize::from(leaf) < leaves.len() => {
                        deepest = deepest.max(below);
                    }
                    Next::Split(to) if usize::from(to) > i => {
                        let depth = depths.get_mut(usize::from(to))?;
                        *depth = below.max(*depth);
                    }
                    _ => return None,
                }
            }
        }
        (deepest <= DEPTH_MAX && depths.iter().all(|d| *d < DEPTH_MAX)).then_some(deepest)
    }
}

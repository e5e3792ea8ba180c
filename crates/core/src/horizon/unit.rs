//! A block of load that is planned as one: what it can do, where it is, and its lattice.
//!
//! ```text
//!   off 1 -> off 2 -> .. -> off n --start--> on 1, at `start_at`
//!     ^                     (stays)             |  +ramp a step, down as far as allowed
//!     +------stop, once on for `min_on`---------+
//! ```
//!
//! A lattice state says what the unit did in the step that ends: off for so many steps, or on
//! for so many at a level; both counters stop where nothing depends on them any more. Power
//! levels are whole multiples of one grain above `min`, so that bounds and ramps all lie on
//! them. For a fixed pattern of on and off, bounds and ramps are a system of differences, which
//! is totally unimodular: an optimum lies on the lattice, and a search over it is exact.

use crate::fleet::{CohortId, OperatingPoint, PowerCurve};
use crate::number::{div_ceil, div_floor, to_i64};
use crate::site::Ramp;
use crate::time::{Span, Time};
use crate::units::{Energy, Money, Power, Rate};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most levels of one lattice; more means that bounds and ramps have no useful common grain.
pub const LATTICE_LEVELS_MAX: usize = 63;
/// Most steps a dwell may last: two days of five-minute steps.
pub const DWELL_STEPS_MAX: i64 = 576;

/// How a unit begins, where nothing is known of its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begins {
    /// Off for long enough to start.
    Off,
    /// On at full power for long enough to stop.
    On,
}

/// What one dispatchable block of load can do. Powers are at the unit; the site's overhead comes
/// on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSpec {
    /// The cohort it is in the site's list.
    pub cohort: CohortId,
    /// Least power while it runs.
    pub min: Power,
    /// Most power.
    pub max: Power,
    /// Most power of the step in which it starts.
    pub start_at: Power,
    /// Fastest rise while it runs; `None` is no limit.
    pub ramp_up: Option<Ramp>,
    /// Fastest fall while it runs; `None` is no limit. A stop is from `min` or, from higher, as
    /// far as one step's fall reaches it.
    pub ramp_down: Option<Ramp>,
    /// Shortest time on.
    pub min_on: Span,
    /// Shortest time off.
    pub min_off: Span,
    /// What one start costs.
    pub start_cost: Money,
    /// Starts it may make in one UTC day; `None` is no limit.
    pub starts_per_day: Option<u16>,
    /// How it begins, where nothing is known of its past.
    pub begins: Begins,
}

/// Where a unit is: carried from each window of a plan into the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// Power it was last set to; zero when it is off.
    pub power: Power,
    /// When it was last switched on or off.
    pub switched_at: Time,
    /// When its power last changed while on.
    pub changed_at: Time,
    /// Starts made on the UTC day of `start_day`.
    pub starts: u16,
    /// The UTC day `starts` counts.
    pub start_day: i32,
}

impl UnitState {
    /// Whether it runs.
    #[must_use]
    pub fn on(&self) -> bool {
        self.power > Power::ZERO
    }

    /// The state of a unit of which nothing is known yet.
    #[must_use]
    pub fn beginning(spec: &UnitSpec) -> Self {
        let power = match spec.begins {
            Begins::Off => Power::ZERO,
            Begins::On => spec.max,
        };
        Self { power, switched_at: Time::MIN, changed_at: Time::MIN, starts: 0, start_day: 0 }
    }
}

/// Why a unit admits no plan at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LatticeError {
    /// `min` is not above zero or not below `max`, or `start_at` lies outside them.
    Bounds,
    /// A ramp is not above zero.
    Ramp,
    /// A dwell is longer than [`DWELL_STEPS_MAX`] steps, or negative.
    Dwell,
    /// Bounds and ramps have no grain that leaves at most [`LATTICE_LEVELS_MAX`] levels; the
    /// number they need is told.
    Levels(i128),
    /// The step is not above zero.
    Step,
}

impl fmt::Display for LatticeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounds => f.write_str("0 < min <= start_at <= max does not hold"),
            Self::Ramp => f.write_str("a ramp is not above zero"),
            Self::Dwell => write!(f, "min_on or min_off is longer than {DWELL_STEPS_MAX} steps"),
            Self::Levels(n) => write!(
                f,
                "min, max, start_at and the ramps need {n} levels of power, more than \
                 {LATTICE_LEVELS_MAX}: choose values with a larger common part"
            ),
            Self::Step => f.write_str("the step is not above zero"),
        }
    }
}

impl std::error::Error for LatticeError {}

/// A state of a lattice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StateId(pub u16);

impl StateId {
    /// The index into a table of values.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A unit's states at one step length.
///
/// States are numbered: off for 1, 2, .. `off_steps` steps; then, level by level from the
/// lowest, on for 1, 2, .. `on_steps` steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lattice {
    step: Span,
    levels: Vec<Power>,
    off_steps: u16,
    on_steps: u16,
    start: u16,
    up: u16,
    down: u16,
}

impl Lattice {
    /// Puts a unit on a lattice of steps.
    ///
    /// # Errors
    /// [`LatticeError`] when its physics admits no plan at this step.
    pub fn new(spec: &UnitSpec, step: Span) -> Result<Self, LatticeError> {
        Self::finer(spec, step, 1)
    }

    /// Puts a unit on a lattice with so many levels for each that it needs.
    ///
    /// # Errors
    /// [`LatticeError`] when its physics admits no plan at this step.
    pub fn finer(spec: &UnitSpec, step: Span, times: u16) -> Result<Self, LatticeError> {
        if step.0 <= 0 {
            return Err(LatticeError::Step);
        }
        let ordered = spec.min <= spec.start_at && spec.start_at <= spec.max;
        if spec.min.0 <= 0 || !ordered {
            return Err(LatticeError::Bounds);
        }
        let ramps = [spec.ramp_up, spec.ramp_down];
        if ramps.iter().flatten().any(|r| r.power.0 <= 0 || r.per.0 <= 0) {
            return Err(LatticeError::Ramp);
        }
        let dwell = |span: Span| {
            let steps = div_ceil(i128::from(span.0), i128::from(step.0)).max(1);
            let fits = (0..=i128::from(DWELL_STEPS_MAX)).contains(&steps) && span.0 >= 0;
            fits.then(|| u16::try_from(steps).expect("DWELL_STEPS_MAX fits 16 bits"))
        };
        let on_steps = dwell(spec.min_on).ok_or(LatticeError::Dwell)?;
        let off_steps = dwell(spec.min_off).ok_or(LatticeError::Dwell)?;
        // Everything in parts of a watt in which a ramp moves a whole number a step.
        let parts = ramps.iter().flatten().map(|r| i128::from(r.per.0) / gcd(r.per.0, step.0));
        let times = i128::from(times.max(1));
        let parts = parts.fold(1, lcm) * times;
        let moved =
            |r: Ramp| i128::from(r.power.0) * parts * i128::from(step.0) / i128::from(r.per.0);
        let height = i128::from((spec.max - spec.min).0) * parts;
        let rise = i128::from((spec.start_at - spec.min).0) * parts;
        let steps = ramps.iter().flatten().map(|r| moved(*r));
        let grain = steps.chain([rise]).fold(height, gcd128);
        let grain = if grain == 0 { 1 } else { grain / times };
        let count = height / grain + 1;
        if count > LATTICE_LEVELS_MAX as i128 {
            return Err(LatticeError::Levels(count));
        }
        let level = |i| to_i64(div_floor(i128::from(spec.min.0) * parts + grain * i, parts));
        let all = u16::try_from(count - 1).expect("LATTICE_LEVELS_MAX fits 16 bits");
        let per_step = |r: Option<Ramp>| {
            r.map_or(all, |r| u16::try_from(moved(r) / grain).unwrap_or(all).min(all))
        };
        Ok(Self {
            step,
            levels: (0..count).map(|i| Power(level(i))).collect(),
            off_steps,
            on_steps,
            start: u16::try_from(rise / grain).expect("it lies within the levels"),
            up: per_step(spec.ramp_up),
            down: per_step(spec.ramp_down),
        })
    }

    /// Length of a step.
    #[must_use]
    pub fn step(&self) -> Span {
        self.step
    }

    /// Powers while on, lowest first.
    #[must_use]
    pub fn levels(&self) -> &[Power] {
        &self.levels
    }

    /// Steps it must be off, and on, at least.
    #[must_use]
    pub fn dwell(&self) -> (u16, u16) {
        (self.off_steps, self.on_steps)
    }

    /// Highest level of a start, and levels it may rise and fall by in a step.
    #[must_use]
    pub fn reach(&self) -> (u16, u16, u16) {
        (self.start, self.up, self.down)
    }

    /// How many states there are.
    #[must_use]
    pub fn states(&self) -> usize {
        usize::from(self.off_steps) + self.levels.len() * usize::from(self.on_steps)
    }

    /// The state of having been off for so many steps, at least one.
    #[must_use]
    pub fn off(&self, steps: u16) -> StateId {
        StateId(steps.clamp(1, self.off_steps) - 1)
    }

    /// The state of having been on for so many steps, at least one, the last one at a level.
    #[must_use]
    pub fn on(&self, level: u16, steps: u16) -> StateId {
        StateId(self.off_steps + level * self.on_steps + steps.clamp(1, self.on_steps) - 1)
    }

    /// The level of a state; `None` when it is off.
    #[must_use]
    pub fn level(&self, s: StateId) -> Option<u16> {
        s.0.checked_sub(self.off_steps).map(|on| on / self.on_steps)
    }

    /// Steps a state has been off or on, up to where nothing depends on more.
    #[must_use]
    pub fn steps(&self, s: StateId) -> u16 {
        s.0.checked_sub(self.off_steps).map_or(s.0, |on| on % self.on_steps) + 1
    }

    /// Power of a state's step.
    #[must_use]
    pub fn power(&self, s: StateId) -> Power {
        self.level(s).map_or(Power::ZERO, |l| self.levels[usize::from(l)])
    }

    /// The levels as a machine's curve, asleep at nothing; its work is its energy.
    ///
    /// # Panics
    /// Never: the levels of a lattice rise.
    #[must_use]
    pub fn curve(&self) -> PowerCurve {
        let point = |p: &Power| OperatingPoint { power: *p, rate: Rate(p.0) };
        let points: Vec<_> = self.levels.iter().map(point).collect();
        PowerCurve::new(Power::ZERO, &points).expect("the levels of a lattice rise")
    }

    /// Energy of a state's step.
    #[must_use]
    pub fn energy(&self, s: StateId) -> Energy {
        self.power(s).over(self.step)
    }

    /// The states that can follow, and whether getting there is a start; the order is fixed:
    /// off first, then levels from the lowest.
    pub fn moves(&self, s: StateId) -> impl Iterator<Item = (StateId, bool)> + '_ {
        let steps = self.steps(s);
        let (off, on, starts) = match self.level(s) {
            None if steps == self.off_steps => (Some(self.off(steps)), 0..self.start + 1, true),
            None => (Some(self.off(steps + 1)), 0..0, false),
            Some(l) => {
                let stops = steps == self.on_steps && l <= self.down;
                let most = (l + self.up).min(self.top());
                (stops.then(|| self.off(1)), l.saturating_sub(self.down)..most + 1, false)
            }
        };
        let count = if starts { 1 } else { (steps + 1).min(self.on_steps) };
        off.map(|s| (s, false)).into_iter().chain(on.map(move |l| (self.on(l, count), starts)))
    }

    /// The highest level.
    ///
    /// # Panics
    /// Never: a lattice has at least one level and at most [`LATTICE_LEVELS_MAX`].
    #[must_use]
    pub fn top(&self) -> u16 {
        u16::try_from(self.levels.len() - 1).expect("LATTICE_LEVELS_MAX fits 16 bits")
    }

    /// The state of a unit at a moment, as the state of the step that ends there. A dwell that
    /// is not over counts as whole steps gone by; a power between two levels as the lower one.
    #[must_use]
    pub fn state_at(&self, unit: &UnitState, now: Time) -> StateId {
        let gone =
            div_floor(i128::from(now.0) - i128::from(unit.switched_at.0), i128::from(self.step.0));
        let gone =
            u16::try_from(gone.clamp(1, i128::from(DWELL_STEPS_MAX))).expect("it is clamped");
        self.state_at_steps(unit.power, gone)
    }

    /// The state of having been at a power, or off at none, for so many steps, counted as at
    /// least one; a power between two levels counts as the lower one.
    #[must_use]
    pub fn state_at_steps(&self, power: Power, steps: u16) -> StateId {
        if power <= Power::ZERO {
            return self.off(steps);
        }
        let above = self.levels.partition_point(|p| *p <= power);
        let level = u16::try_from(above.saturating_sub(1)).expect("levels fit 16 bits");
        self.on(level, steps)
    }
}

fn gcd128(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd128(b, a % b) }
}

fn gcd(a: i64, b: i64) -> i128 {
    gcd128(i128::from(a), i128::from(b))
}

fn lcm(a: i128, b: i128) -> i128 {
    a / gcd128(a, b) * b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block;

    #[test]
    fn the_common_task_has_its_states() {
        let coarse = Lattice::new(&block(), Span::minutes(15)).unwrap();
        assert_eq!((coarse.states(), coarse.levels().len()), (20, 4));
        let fine = Lattice::new(&block(), Span::minutes(5)).unwrap();
        assert_eq!((fine.states(), fine.levels()[1]), (132, Power(46_666_666)));
        let next = |s| coarse.moves(s).map(|(s, start)| (s.0, start)).collect::<Vec<_>>();
        assert_eq!(next(coarse.off(2)), [(2, false)]);
        assert_eq!(next(coarse.off(4)), [(3, false), (4, true)]);
        assert_eq!(next(coarse.on(2, 3)), [(7, false), (11, false), (15, false), (19, false)]);
        assert_eq!(
            next(coarse.on(3, 4)),
            [(0, false), (7, false), (11, false), (15, false), (19, false)]
        );
    }

    #[test]
    fn what_admits_no_plan_is_refused() {
        let refused = |f: &dyn Fn(&mut UnitSpec)| {
            let mut spec = block();
            f(&mut spec);
            Lattice::new(&spec, Span::minutes(15)).unwrap_err().to_string()
        };
        assert_eq!(refused(&|s| s.min = Power(0)), "0 < min <= start_at <= max does not hold");
        let odd = refused(&|s| s.max = Power(100_000_001));
        assert!(odd.starts_with("min, max, start_at and the ramps need 60000002 levels"), "{odd}");
    }
}

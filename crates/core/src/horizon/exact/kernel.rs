//! One step of the dynamic program backwards, over all states at once.
//!
//! Values lie in one row for each count of starts: off for 1, 2, .. steps; then, by steps on,
//! all levels. States that only wait take over a value as it is, so a step costs one addition
//! and one comparison for each level and each step of the dwell.
//!
//! Sums here wrap: [`super::VALUE_MAX`] bounds every value before a plan begins, and an
//! impossible one is held at [`NEVER`], so no sum of two can leave 64 bits.

/// The value of what cannot be; below every possible value, and two of them can be added.
pub(in crate::horizon) const NEVER: i64 = -(1 << 61);

/// A lattice as the kernel needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub levels: usize,
    /// Steps off, and on, that are told apart.
    pub off: usize,
    pub on: usize,
    /// Highest level of a start, and levels it may rise and fall by.
    pub start: usize,
    pub up: usize,
    pub down: usize,
    /// Cost of a start in micro-currency.
    pub cost: i64,
}

impl Shape {
    /// Values in a row.
    pub fn width(&self) -> usize {
        self.off + self.on * self.levels
    }

    /// How many levels there are, where `LEVELS` says so or is 0 and says nothing: loops over a
    /// number of levels known when this is compiled cost a third of others.
    #[inline]
    pub fn known<const LEVELS: usize>(&self) -> usize {
        if LEVELS == 0 { self.levels } else { LEVELS }
    }
}

/// What a step pays.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pay<'a> {
    /// By level; [`NEVER`] where the level is not allowed.
    pub on: &'a [i64],
    /// Whether it may be off.
    pub off: bool,
}

/// The value of starting in this step, the values behind it in `next`.
#[inline]
pub(super) fn start<const LEVELS: usize>(shape: &Shape, next: &[i64], pay: Pay<'_>) -> i64 {
    let first = &next[shape.off..][..shape.known::<LEVELS>()];
    let reached = first.iter().zip(pay.on).take(shape.start + 1);
    let best = reached.map(|(v, r)| v.wrapping_add(*r)).max();
    best.unwrap_or(NEVER).wrapping_sub(shape.cost).max(NEVER)
}

/// Goes back over one step: `row` holds the values behind it and gets those before it. `start` is
/// what starting is worth, `spare` holds one value for each level.
#[inline]
pub(super) fn back<const BANDED: bool, const LEVELS: usize>(
    shape: &Shape,
    row: &mut [i64],
    pay: Pay<'_>,
    start: i64,
    spare: &mut [i64],
) {
    let (offs, ons) = row.split_at_mut(shape.off);
    let (mut stop, mut stay) = (offs[0], offs[shape.off - 1]);
    if BANDED && !pay.off {
        (stop, stay) = (NEVER, NEVER);
        offs.fill(NEVER);
    }
    // Each state takes over the next one's value; by hand, as a call to move so few costs more.
    let mut carried = stay.max(start);
    for value in offs.iter_mut().rev() {
        carried = std::mem::replace(value, carried);
    }
    if LEVELS == 0 {
        ages_any::<BANDED>(shape, ons, pay.on, stop, spare);
    } else {
        ages::<BANDED, LEVELS>(shape, ons, pay.on, stop);
    }
}

/// The states that are on, for a number of levels known when this is compiled.
#[inline]
fn ages<const BANDED: bool, const LEVELS: usize>(
    shape: &Shape,
    ons: &mut [i64],
    pay: &[i64],
    stop: i64,
) {
    let (ages, _) = ons.as_chunks_mut::<LEVELS>();
    let pay: &[i64; LEVELS] = pay.try_into().expect("a step pays at each level");
    let waits = (shape.on - 1).max(1);
    if shape.up == 1 && shape.down + 1 >= LEVELS {
        for age in 0..waits {
            let next = ages[(age + 1).min(shape.on - 1)];
            ages[age] = risen::<BANDED, LEVELS>(&next, pay);
        }
    } else {
        for age in 0..waits {
            let mut best = ages[(age + 1).min(shape.on - 1)];
            for (best, pay) in best.iter_mut().zip(pay) {
                *best = paid::<BANDED>(*best, *pay);
            }
            reach(shape, &mut best);
            ages[age] = best;
        }
    }
    let mut last = ages[waits - 1];
    for v in last.iter_mut().take(shape.down + 1) {
        *v = (*v).max(stop);
    }
    ages[shape.on - 1] = last;
}

/// The value of a level taken in this step.
fn paid<const BANDED: bool>(next: i64, pay: i64) -> i64 {
    let value = next.wrapping_add(pay);
    if BANDED { value.max(NEVER) } else { value }
}

/// Each level's best where, as for nearly every unit, one may rise by one level and fall by all.
///
/// Nothing here may be lent out: values then stay in registers, and a step takes a quarter of
/// the time it takes where they go through memory in halves and come back whole.
#[inline]
fn risen<const BANDED: bool, const LEVELS: usize>(
    next: &[i64; LEVELS],
    pay: &[i64; LEVELS],
) -> [i64; LEVELS] {
    let mut best = [0; LEVELS];
    let mut most = paid::<BANDED>(next[0], pay[0]);
    for l in 1..LEVELS {
        most = most.max(paid::<BANDED>(next[l], pay[l]));
        best[l - 1] = most;
    }
    best[LEVELS - 1] = most;
    best
}

/// The states that are on, for any number of levels; `best` holds one value for each.
#[inline(never)]
fn ages_any<const BANDED: bool>(
    shape: &Shape,
    ons: &mut [i64],
    pay: &[i64],
    stop: i64,
    best: &mut [i64],
) {
    let levels = shape.levels;
    for age in 0..(shape.on - 1).max(1) {
        let next = &ons[(age + 1).min(shape.on - 1) * levels..][..levels];
        for ((sum, v), r) in best.iter_mut().zip(next).zip(pay) {
            *sum = v.wrapping_add(*r);
            if BANDED {
                *sum = (*sum).max(NEVER);
            }
        }
        reach(shape, best);
        ons[age * levels..(age + 1) * levels].copy_from_slice(best);
    }
    for v in best.iter_mut().take(shape.down + 1) {
        *v = (*v).max(stop);
    }
    ons[(shape.on - 1) * levels..].copy_from_slice(best);
}

/// Replaces each level's value by the best within its reach.
#[inline(never)]
fn reach(shape: &Shape, values: &mut [i64]) {
    let top = values.len() - 1;
    if shape.down >= top {
        let mut best = values[..shape.up.min(top)].iter().copied().max().unwrap_or(NEVER);
        for l in 0..values.len() {
            if let Some(v) = values.get(l + shape.up) {
                best = best.max(*v);
            }
            values[l] = best;
        }
    } else if shape.up >= top {
        let tail = top + 1 - shape.down.min(top);
        let mut best = values[tail..].iter().copied().max().unwrap_or(NEVER);
        for l in (0..values.len()).rev() {
            if let Some(v) = l.checked_sub(shape.down).and_then(|i| values.get(i)) {
                best = best.max(*v);
            }
            values[l] = best;
        }
    } else {
        let mut all = [NEVER; super::LEVELS_PADDED];
        let kept = &mut all[..values.len()];
        kept.copy_from_slice(values);
        for (l, v) in values.iter_mut().enumerate() {
            let window = &kept[l.saturating_sub(shape.down)..=(l + shape.up).min(top)];
            *v = window.iter().copied().max().unwrap_or(NEVER);
        }
    }
}

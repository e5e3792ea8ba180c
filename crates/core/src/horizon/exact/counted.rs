//! The dynamic program with a counter beside the state: energy used, or steps off, in a period.
//!
//! Each place of a row becomes a row of lanes of its own, one for each count. A step moves a value
//! by what its level counts, so that the inner loops run along lanes.

use super::kernel::{NEVER, Pay, Shape};
use super::{Ahead, Planner};
use std::ops::Range;

/// Most values held at once while a plan is read off a counted period: 64 MiB.
pub(in crate::horizon) const COUNTED_MAX: usize = 1 << 23;

/// What is counted from the beginning of a period to its end. Lanes are counted down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::horizon) struct Counter {
    /// What a step counts, by level.
    pub on: Vec<usize>,
    /// What a step off counts.
    pub off: usize,
    /// Whether the count stops at lane 0; else nothing may go beyond it.
    pub saturates: bool,
    /// Lane in which the period begins.
    pub start: usize,
    /// What each lane is worth at the end; [`NEVER`] where the period may not end.
    pub end: Vec<i64>,
}

impl Counter {
    /// The lane after a step that counts so much; `None` when that is not allowed.
    pub fn after(&self, lane: usize, count: usize) -> Option<usize> {
        match lane.checked_sub(count) {
            None if self.saturates => Some(0),
            left => left,
        }
    }

    /// What a step counts.
    pub fn count(&self, level: Option<u16>) -> usize {
        level.map_or(self.off, |l| self.on[usize::from(l)])
    }

    /// The lanes around the start, tightest first, as many on either side.
    pub fn edge(&self, row: &[i64]) -> Vec<i64> {
        let half = (row.len() - 1 - self.start).min(self.start);
        let around = row[self.start - half..=self.start + half].iter().copied();
        // What saturates is to be used up, and more to use is tighter; else less is.
        if self.saturates { around.rev().collect() } else { around.collect() }
    }

    /// `to[n]` becomes `from` after the count, and `pay` on top.
    fn moved(&self, to: &mut [i64], from: &[i64], count: usize, pay: i64) {
        if pay == NEVER {
            to.fill(NEVER);
            return;
        }
        let count = count.min(to.len());
        let beyond = if self.saturates { from[0].wrapping_add(pay) } else { NEVER };
        let (short, rest) = to.split_at_mut(count);
        short.fill(beyond);
        rest.iter_mut().zip(from).for_each(|(to, from)| *to = from.wrapping_add(pay));
    }
}

fn raise(to: &mut [i64], other: &[i64]) {
    to.iter_mut().zip(other).for_each(|(to, other)| *to = (*to).max(*other));
}

/// Rows of lanes that are made and used within a step.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    /// Values of starting.
    begun: Vec<i64>,
    stop: Vec<i64>,
    /// By level.
    sums: Vec<i64>,
    best: Vec<i64>,
}

impl Lanes {
    fn fit(&mut self, lanes: usize, levels: usize) {
        self.begun.resize(lanes, 0);
        self.stop.resize(lanes, 0);
        self.sums.resize(lanes * levels, 0);
        self.best.resize(lanes * levels, 0);
    }

    /// The value of starting in a step, the values behind it in `next`.
    fn start(&mut self, shape: &Shape, counter: &Counter, next: &[i64], pay: Pay<'_>) {
        let lanes = counter.end.len();
        self.begun.fill(NEVER);
        for l in 0..=shape.start {
            let from = &next[(shape.off + l) * lanes..][..lanes];
            let paid = if pay.on[l] == NEVER { NEVER } else { pay.on[l].wrapping_sub(shape.cost) };
            counter.moved(&mut self.best[..lanes], from, counter.on[l], paid);
            raise(&mut self.begun, &self.best[..lanes]);
        }
    }

    /// Goes back over one step; what starting is worth has been worked out.
    fn back(&mut self, shape: &Shape, counter: &Counter, row: &mut [i64], pay: Pay<'_>) {
        let lanes = counter.end.len();
        let (offs, ons) = row.split_at_mut(shape.off * lanes);
        let rest = if pay.off { 0 } else { NEVER };
        counter.moved(&mut self.stop, &offs[..lanes], counter.off, rest);
        for k in 0..shape.off {
            let from = (k + 1).min(shape.off - 1) * lanes;
            counter.moved(&mut self.best[..lanes], &offs[from..from + lanes], counter.off, rest);
            offs[k * lanes..(k + 1) * lanes].copy_from_slice(&self.best[..lanes]);
        }
        raise(&mut offs[(shape.off - 1) * lanes..], &self.begun);
        let size = shape.levels * lanes;
        for age in 0..(shape.on - 1).max(1) {
            let next = &ons[(age + 1).min(shape.on - 1) * size..][..size];
            let levels = self.sums.chunks_exact_mut(lanes).zip(next.chunks_exact(lanes));
            for (l, (to, from)) in levels.enumerate() {
                counter.moved(to, from, counter.on[l], pay.on[l]);
            }
            self.reach(shape, lanes);
            ons[age * size..(age + 1) * size].copy_from_slice(&self.best);
        }
        for level in self.best.chunks_exact_mut(lanes).take(shape.down + 1) {
            raise(level, &self.stop);
        }
        ons[(shape.on - 1) * size..].copy_from_slice(&self.best);
    }

    /// The best of the sums within each level's reach.
    fn reach(&mut self, shape: &Shape, lanes: usize) {
        let top = shape.levels - 1;
        let sum = |l: usize| l * lanes..(l + 1) * lanes;
        for l in 0..=top {
            let (done, here) = self.best.split_at_mut(l * lanes);
            let here = &mut here[..lanes];
            let high = (l + shape.up).min(top);
            let low = l.saturating_sub(shape.down);
            // What reaches down all the way has what the level below it has, and one more.
            let (first, inherits) = if l > 0 && low == 0 {
                here.copy_from_slice(&done[(l - 1) * lanes..]);
                ((l - 1 + shape.up).min(top) + 1, true)
            } else {
                (low, false)
            };
            if !inherits {
                here.copy_from_slice(&self.sums[sum(first)]);
            }
            for other in first..=high {
                raise(here, &self.sums[sum(other)]);
            }
        }
    }
}

impl Planner {
    /// Goes back over a period with a counter, from the row behind it to the row before it, and
    /// tells the lanes behind the last step and before each.
    pub(super) fn sweep_counted(
        &mut self,
        ahead: &Ahead<'_>,
        counter: &Counter,
        steps: Range<usize>,
        mut tell: impl FnMut(usize, &[i64]),
    ) {
        let (lanes, width) = (counter.end.len(), self.shape.width());
        let mut rows = std::mem::take(&mut self.lane_rows);
        rows.resize(self.row.len() * lanes, 0);
        for (values, behind) in rows.chunks_exact_mut(lanes).zip(&self.row) {
            for (value, end) in values.iter_mut().zip(&counter.end) {
                *value = if *end == NEVER { NEVER } else { behind.wrapping_add(*end).max(NEVER) };
            }
        }
        tell(steps.end, &rows);
        let mut lane = std::mem::take(&mut self.lanes);
        lane.fit(lanes, self.shape.levels);
        for t in steps.rev() {
            self.rewards.pay(ahead, t, self.small, &mut self.pay);
            let pay = Pay { on: &self.pay, off: ahead.bands.get(t).is_none_or(|b| b.off) };
            let reset = self.layers > 1 && self.new_day(ahead, t);
            let size = width * lanes;
            for layer in 0..if reset { 1 } else { self.layers } {
                let (low, high) = rows.split_at_mut((layer + 1) * size);
                let row = &mut low[layer * size..];
                match high.get(..size) {
                    Some(next) => lane.start(&self.shape, counter, next, pay),
                    None if self.unlimited => lane.start(&self.shape, counter, row, pay),
                    None => lane.begun.fill(NEVER),
                }
                lane.back(&self.shape, counter, row, pay);
            }
            if reset {
                let (first, rest) = rows.split_at_mut(size);
                rest.chunks_exact_mut(size).for_each(|row| row.copy_from_slice(first));
            }
            tell(t, &rows);
        }
        for (value, values) in self.row.iter_mut().zip(rows.chunks_exact(lanes)) {
            *value = values[counter.start];
        }
        (self.lanes, self.lane_rows) = (lane, rows);
    }

    /// Whether a period can be read off within [`COUNTED_MAX`].
    pub(in crate::horizon) fn counts(&self, lanes: usize, steps: usize) -> bool {
        self.row.len().saturating_mul(lanes).saturating_mul(steps + 1) <= COUNTED_MAX
    }
}

//! Reads a plan off the values, and finds where there is none.

use super::{Ahead, Band, ExactError, Origin, Plan, Planner, StateId};
use std::ops::Range;

/// A state while a plan is read off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub level: Option<u16>,
    pub steps: u16,
    /// Starts of its day, where they are counted.
    pub starts: usize,
}

impl Planner {
    /// Makes the values of a block again, the row being those behind it, and reads the plan off.
    pub(super) fn read_block(
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
    pub(super) fn blocked(&self, ahead: &Ahead<'_>, from: Origin) -> ExactError {
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

fn narrow(n: usize) -> u16 {
    u16::try_from(n).expect("levels and steps of a lattice fit 16 bits")
}

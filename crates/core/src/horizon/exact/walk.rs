//! Reads a plan off the values, and finds where there is none.

use super::counted::Counter;
use super::kernel::NEVER;
use super::{Ahead, Band, ExactError, Origin, Piece, Plan, Planner, StateId};

/// A state while a plan is read off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub level: Option<u16>,
    pub steps: u16,
    /// Starts of its day, where they are counted.
    pub starts: usize,
    /// Where a counter stands, where there is one.
    pub lane: usize,
}

impl Planner {
    /// Makes the values of a piece again, the row being those behind it, and reads the plan off.
    pub(super) fn read_piece(
        &mut self,
        ahead: &Ahead<'_>,
        piece: &Piece<'_>,
        from: Spot,
        plan: &mut Plan,
    ) -> Spot {
        let steps = piece.steps.clone();
        let (begin, mut spot) = (steps.start, from);
        let lanes = piece.counter.map_or(1, |c| c.end.len());
        let size = self.row.len() * lanes;
        let mut block = std::mem::take(&mut self.block);
        // Only ever longer: what is not written is not read, and clearing it would cost as much.
        block.resize(block.len().max((steps.len() + 1) * size), 0);
        match piece.counter {
            None => {
                let mut keep = |t: usize, row: &[i64]| {
                    block[(t - begin) * size..][..size].copy_from_slice(row)
                };
                keep(steps.end, &self.row);
                self.sweep(ahead, steps.clone(), keep);
            }
            Some(counter) => {
                spot.lane = counter.start;
                let most = counter.most();
                self.sweep_counted(ahead, counter, steps.clone(), |t, rows, used| {
                    // As far up as a step may look, where nothing is possible.
                    let used = used.start..(used.end + most).min(lanes);
                    let to = block[(t - begin) * size..][..size].chunks_exact_mut(lanes);
                    for (to, row) in to.zip(rows.chunks_exact(lanes)) {
                        to[used.clone()].copy_from_slice(&row[used.clone()]);
                    }
                });
            }
        }
        if let Some(counter) = piece.counter {
            let place = spot.level.map_or(usize::from(spot.steps) - 1, |l| {
                self.shape.off + (usize::from(spot.steps) - 1) * self.shape.levels + usize::from(l)
            });
            let day = self.layers > 1 && self.new_day(ahead, begin);
            let layer = if day { 0 } else { spot.starts };
            let row = &block[(layer * self.shape.width() + place) * lanes..][..lanes];
            self.edges.push(counter.edge(row));
        }
        for t in steps {
            self.rewards.pay(ahead, t, self.small, &mut self.pay);
            if self.layers > 1 && self.new_day(ahead, t) {
                spot.starts = 0;
            }
            let next = &block[(t + 1 - begin) * size..][..size];
            let may_be_off = ahead.bands.get(t).is_none_or(|b| b.off);
            let was_on = spot.level.is_some();
            spot = self.follow(spot, next, may_be_off, piece.counter);
            plan.starts += u32::from(!was_on && spot.level.is_some());
            plan.states.push(self.state(&spot));
        }
        self.block = block;
        spot
    }

    /// A state as the beginning of a plan.
    pub(super) fn spot(&self, state: StateId, from: Origin) -> Spot {
        let made = if let Origin::At { starts, .. } = from { starts.into() } else { 0 };
        Spot {
            level: self.lattice.level(state),
            steps: self.lattice.steps(state),
            starts: usize::min(made, self.layers - 1),
            lane: 0,
        }
    }

    pub(super) fn state(&self, spot: &Spot) -> StateId {
        match spot.level {
            None => self.lattice.off(spot.steps),
            Some(level) => self.lattice.on(level, spot.steps),
        }
    }

    /// Where the best move into a step leads, the step's pay being worked out and the values
    /// behind it known. The first of the best is taken: off, then levels from the lowest.
    pub(super) fn follow(
        &self,
        spot: Spot,
        next: &[i64],
        may_be_off: bool,
        count: Option<&Counter>,
    ) -> Spot {
        let shape = &self.shape;
        let (steps, top) = (usize::from(spot.steps), shape.levels - 1);
        let (off, levels, starts) = match spot.level.map(usize::from) {
            None => {
                let may = steps == shape.off && (self.unlimited || spot.starts + 1 < self.layers);
                let levels = if may { 0..shape.start + 1 } else { 0..0 };
                (Some((steps + 1).min(shape.off)), levels, true)
            }
            Some(l) => {
                let stops = steps == shape.on && l <= shape.down;
                let levels = l.saturating_sub(shape.down)..(l + shape.up).min(top) + 1;
                (stops.then_some(1), levels, false)
            }
        };
        let (age, cost) = if starts { (1, shape.cost) } else { ((steps + 1).min(shape.on), 0) };
        let made = spot.starts + usize::from(starts && !self.unlimited);
        let lanes = count.map_or(1, |counter| counter.end.len());
        let value = |starts: usize, place: usize, level: Option<usize>, pay: i64| {
            let at = starts * shape.width() + place;
            let lane = match count {
                None => 0,
                Some(c) => c.after(spot.lane, c.count(level.map(narrow)))?,
            };
            Some((next[at * lanes + lane].wrapping_add(pay), lane))
        };
        let mut best = None;
        let mut most = i64::MIN;
        if let Some(steps) = off.filter(|_| may_be_off)
            && let Some((v, lane)) = value(spot.starts, steps - 1, None, 0)
            && v > most
        {
            (most, best) = (v, Some((None, lane)));
        }
        let row = shape.off + (age - 1) * shape.levels;
        for l in levels {
            let pay = self.pay[l];
            if pay != NEVER
                && let Some((v, lane)) = value(made, row + l, Some(l), pay - cost)
                && v > most
            {
                (most, best) = (v, Some((Some(l), lane)));
            }
        }
        let (level, lane) = best.expect("a state of a plan has a move");
        let (steps, starts) = match level {
            None => (off.expect("it was just chosen"), spot.starts),
            Some(_) => (age, made),
        };
        Spot { level: level.map(narrow), steps: narrow(steps), starts, lane }
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

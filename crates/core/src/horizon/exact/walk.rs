//! Reads a plan off the values, and finds where there is none.

use super::counted::Counter;
use super::kernel::NEVER;
use super::{Ahead, Band, ExactError, Origin, Piece, Plan, Planner, StateId};
use std::ops::Range;

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

/// The moves out of a state.
struct Moves {
    /// Where being off then lies in a row, and steps off; `None` where that may not be.
    off: Option<(usize, usize)>,
    /// Where the levels it may be on at lie in a row, counted from the lowest of all.
    on: usize,
    levels: Range<usize>,
    /// Steps on, starts made and what is paid where it is on.
    age: usize,
    made: usize,
    cost: i64,
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
        let (size, levels) = (self.row.len() * lanes, self.shape.levels);
        let mut block = std::mem::take(&mut self.block);
        // Only ever longer: what is not written is not read, and clearing it would cost as much.
        block.resize(block.len().max((steps.len() + 1) * size), 0);
        let mut pays = std::mem::take(&mut self.pays);
        pays.resize(pays.len().max(steps.len() * levels), 0);
        match piece.counter {
            None => {
                block[steps.len() * size..][..size].copy_from_slice(&self.row);
                self.sweep(ahead, steps.clone(), |t, row, pay| {
                    block[(t - begin) * size..][..size].copy_from_slice(row);
                    pays[(t - begin) * levels..][..levels].copy_from_slice(pay);
                });
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
            if self.layers > 1 && self.new_day(ahead, t) {
                spot.starts = 0;
            }
            let next = &block[(t + 1 - begin) * size..][..size];
            if piece.counter.is_some() {
                self.rewards.pay(ahead, t, self.small, &mut self.pay);
            } else {
                self.pay.copy_from_slice(&pays[(t - begin) * levels..][..levels]);
            }
            let may_be_off = ahead.bands.get(t).is_none_or(|b| b.off);
            let was_on = spot.level.is_some();
            spot = self.follow(spot, next, may_be_off, piece.counter);
            plan.starts += u32::from(!was_on && spot.level.is_some());
            plan.states.push(self.state(&spot));
        }
        (self.block, self.pays) = (block, pays);
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
        let moves = self.moves(&spot, may_be_off);
        let (level, lane) = match count {
            None => (self.best_move(&moves, next), 0),
            Some(counter) => self.best_counted_move(&moves, next, counter, spot.lane),
        };
        let (steps, starts) = match level {
            None => (moves.off.expect("a state of a plan has a move").1, spot.starts),
            Some(_) => (moves.age, moves.made),
        };
        Spot { level: level.map(narrow), steps: narrow(steps), starts, lane }
    }

    /// The moves out of a state.
    fn moves(&self, spot: &Spot, may_be_off: bool) -> Moves {
        let shape = &self.shape;
        let (steps, top) = (usize::from(spot.steps), shape.levels - 1);
        let (off, levels, starts) = match spot.level.map(usize::from) {
            None => {
                let may = steps == shape.off && (self.unlimited || spot.starts + 1 < self.layers);
                let levels = if may { 0..shape.start + 1 } else { 0..0 };
                (Some((steps + 1).min(shape.off)), levels, may)
            }
            Some(l) => {
                let stops = steps == shape.on && l <= shape.down;
                let levels = l.saturating_sub(shape.down)..(l + shape.up).min(top) + 1;
                (stops.then_some(1), levels, false)
            }
        };
        let (age, cost) = if starts { (1, shape.cost) } else { ((steps + 1).min(shape.on), 0) };
        let made = spot.starts + usize::from(starts && !self.unlimited);
        let off = off.filter(|_| may_be_off);
        Moves {
            off: off.map(|steps| (spot.starts * shape.width() + steps - 1, steps)),
            on: made * shape.width() + shape.off + (age - 1) * shape.levels,
            levels,
            age,
            made,
            cost,
        }
    }

    /// The level that the best move leads to.
    fn best_move(&self, moves: &Moves, next: &[i64]) -> Option<usize> {
        let off = moves.off.map_or(i64::MIN, |(at, _)| next[at]);
        let values = next[moves.on..][moves.levels.clone()].iter();
        let each = values.zip(&self.pay[moves.levels.clone()]).zip(moves.levels.clone());
        let best = each.fold((off, None), |best, ((value, pay), l)| {
            let all = value.wrapping_add(pay.wrapping_sub(moves.cost));
            if *pay != NEVER && all > best.0 { (all, Some(l)) } else { best }
        });
        best.1
    }

    /// The level that the best move leads to where something is counted, and the lane.
    fn best_counted_move(
        &self,
        moves: &Moves,
        next: &[i64],
        counter: &Counter,
        lane: usize,
    ) -> (Option<usize>, usize) {
        let lanes = counter.end.len();
        let value = |place: usize, level: Option<usize>, pay: i64| {
            let lane = counter.after(lane, counter.count(level.map(narrow)))?;
            Some((next[place * lanes + lane].wrapping_add(pay), level, lane))
        };
        let off = moves.off.and_then(|(at, _)| value(at, None, 0));
        let allowed = moves.levels.clone().filter(|l| self.pay[*l] != NEVER);
        let on = allowed.filter_map(|l| value(moves.on + l, Some(l), self.pay[l] - moves.cost));
        let best = off.into_iter().chain(on).reduce(|a, b| if b.0 > a.0 { b } else { a });
        best.map(|(_, level, lane)| (level, lane)).expect("a state of a plan has a move")
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

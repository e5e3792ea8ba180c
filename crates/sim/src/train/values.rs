//! What states were worth along a path that was lived through.

use super::rows::Steps;
use headgate_core::horizon::unit::{Lattice, StateId, UnitSpec};

/// A lattice in f64, its moves listed.
#[derive(Debug, Clone)]
pub struct Moves {
    /// Energy of each state's step, MWh.
    pub energy: Vec<f64>,
    /// States that can follow each, with the cost of getting there.
    pub next: Vec<Vec<(usize, f64)>>,
    /// The state that comes after each if nothing is changed.
    pub hold: Vec<usize>,
    /// The state of full power, on for long.
    pub full: usize,
}

impl Moves {
    /// Lists a lattice's moves.
    pub fn of(lattice: &Lattice, spec: &UnitSpec) -> Self {
        let all = (0..lattice.states()).map(|i| StateId(u16::try_from(i).unwrap_or(0)));
        let cost = spec.start_cost.0 as f64 / 1e6;
        let list = |s: StateId| {
            let of = |(d, start): (StateId, bool)| (d.index(), if start { cost } else { 0.0 });
            lattice.moves(s).map(of).collect::<Vec<_>>()
        };
        let hold = |s: StateId| {
            let same = |d: &StateId| lattice.level(*d) == lattice.level(s);
            lattice.moves(s).map(|(d, _)| d).find(same).map_or(s.index(), StateId::index)
        };
        let top = u16::try_from(lattice.levels().len() - 1).unwrap_or(0);
        Self {
            energy: all.clone().map(|s| lattice.energy(s).0 as f64 / 3.6e9).collect(),
            next: all.clone().map(list).collect(),
            hold: all.map(hold).collect(),
            full: lattice.on(top, u16::MAX).index(),
        }
    }

    /// How many states.
    pub fn states(&self) -> usize {
        self.energy.len()
    }
}

/// How a path is valued.
#[derive(Debug, Clone, Copy)]
pub struct Valuation {
    /// Value of a consumed MWh.
    pub value: f64,
    /// Settlement prices above this count as this.
    pub cap: f64,
    /// Share of what really followed, against what the last fit expected of it.
    pub lambda: f64,
}

/// By what the next state is chosen.
pub enum Chooser<'a> {
    /// The best in hindsight.
    Hindsight,
    /// By worths of all states at a step, as fitted before: row by step seen.
    Fitted(&'a dyn Fn(usize, &mut [f64])),
}

/// Values states backwards; `tell` gets, for each step, the worth of every state after it,
/// relative to full power.
pub fn backward(
    steps: &Steps,
    moves: &Moves,
    how: &Valuation,
    chooser: &Chooser<'_>,
    mut tell: impl FnMut(usize, &[f64]),
) {
    let n = moves.states();
    let mut after = vec![0.0; n];
    let mut before = vec![0.0; n];
    let mut fitted = vec![0.0; n];
    for t in (0..steps.settled.len()).rev() {
        tell(t, &after);
        let price = if steps.settled[t].is_nan() { how.value } else { steps.settled[t] };
        let gain = how.value - price.min(how.cap);
        match (chooser, &steps.seen[t]) {
            (Chooser::Hindsight, _) => {
                for s in 0..n {
                    let of = |(d, cost): &(usize, f64)| gain * moves.energy[*d] - cost + after[*d];
                    before[s] = moves.next[s].iter().map(of).fold(f64::MIN, f64::max);
                }
            }
            (Chooser::Fitted(worth), Some(seen)) => {
                worth(t, &mut fitted);
                let expected = how.value - seen.estimate.0 as f64 / 1e6;
                for s in 0..n {
                    let (mut best, mut to, mut paid) = (f64::MIN, 0, 0.0);
                    for (d, cost) in &moves.next[s] {
                        let score = expected * moves.energy[*d] - cost + fitted[*d];
                        if score > best {
                            (best, to, paid) = (score, *d, *cost);
                        }
                    }
                    let later = how.lambda * after[to] + (1.0 - how.lambda) * fitted[to];
                    before[s] = gain * moves.energy[to] - paid + later;
                }
            }
            (Chooser::Fitted(_), None) => {
                for s in 0..n {
                    let to = moves.hold[s];
                    before[s] = gain * moves.energy[to] + after[to];
                }
            }
        }
        let full = before[moves.full];
        for (a, b) in after.iter_mut().zip(&before) {
            *a = b - full;
        }
    }
}

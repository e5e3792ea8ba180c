//! What states were worth along a path that was lived through.

use super::rows::Steps;
use headgate_core::horizon::features::{Knowledge, Seen};
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
    /// Share of the step's own error left out of targets.
    pub share: f64,
}

impl Valuation {
    /// The share for what is known: where nothing of the running interval is, the estimate is the
    /// price of the one before, and how far it is off is just what has to be learned.
    fn share(&self, knowledge: Knowledge) -> f64 {
        if knowledge == Knowledge::Late { 0.0 } else { self.share }
    }
}

impl Valuation {
    /// What a consumed MWh of the step is taken to have gained, where its price's error is left
    /// out of what is fitted.
    fn own(&self, seen: &Seen) -> f64 {
        self.value - (seen.estimate.0 as f64 / 1e6).min(self.cap)
    }
}

/// By what the next state is chosen.
#[expect(missing_debug_implementations, reason = "it holds a function")]
pub enum Chooser<'a> {
    /// The best in hindsight.
    Hindsight,
    /// By worths of all states at a step, as fitted before: row by step seen.
    Fitted(&'a dyn Fn(usize, &mut [f64])),
}

/// What a consumed MWh is expected to gain until the settlement interval ends, for each step's.
pub fn expected_gain(seen: &Seen, value: f64, cap: f64, per_interval: u8) -> f64 {
    let estimate = seen.estimate.0 as f64 / 1e6;
    (value - estimate.min(cap)) * f64::from(seen.knowledge.steps_left(per_interval))
}

/// What a step ending in each state is worth by what is expected alone: energy of that step and
/// of the rest of its settlement interval, at the price expected, above that of full power.
fn expected(seen: &Seen, moves: &Moves, how: &Valuation, n: u8, to: &mut [f64]) {
    let gain = expected_gain(seen, how.value, how.cap, n);
    let most = moves.energy[moves.full];
    to.iter_mut().zip(&moves.energy).for_each(|(v, e)| *v = gain * (e - most));
}

/// Values states backwards; `tell` gets, for each step that saw something, what a step ending in
/// each state was worth beyond what is expected of its interval alone, relative to full power.
pub fn backward(
    steps: &Steps,
    moves: &Moves,
    how: &Valuation,
    chooser: &Chooser<'_>,
    mut tell: impl FnMut(usize, &[f64]),
) {
    let n = moves.states();
    let most = moves.energy[moves.full];
    let mut after = vec![0.0; n];
    let mut before = vec![0.0; n];
    let mut base = vec![0.0; n];
    let mut fitted = vec![0.0; n];
    // What really came of ending the step in each state.
    let mut real = vec![0.0; n];
    for t in (0..steps.settled.len()).rev() {
        let price = if steps.settled[t].is_nan() { how.value } else { steps.settled[t] };
        let gain = how.value - price.min(how.cap);
        for s in 0..n {
            real[s] = gain * (moves.energy[s] - most) + after[s];
        }
        if let Some(seen) = &steps.seen[t] {
            expected(seen, moves, how, steps.per_interval, &mut base);
            for s in 0..n {
                let share = how.share(seen.knowledge);
                let own = share * (gain - how.own(seen)) * (moves.energy[s] - most);
                fitted[s] = real[s] - base[s] - own;
            }
            tell(t, &fitted);
        }
        match (chooser, &steps.seen[t]) {
            (Chooser::Hindsight, _) => {
                for (to, next) in before.iter_mut().zip(&moves.next) {
                    let of = |(d, cost): &(usize, f64)| real[*d] - cost;
                    *to = next.iter().map(of).fold(f64::MIN, f64::max);
                }
            }
            (Chooser::Fitted(worth), Some(_)) => {
                worth(t, &mut fitted);
                fitted.iter_mut().zip(&base).for_each(|(f, b)| *f += b);
                for (value, next) in before.iter_mut().zip(&moves.next) {
                    let (mut best, mut to, mut paid) = (f64::MIN, 0, 0.0);
                    for (d, cost) in next {
                        let score = fitted[*d] - cost;
                        if score > best {
                            (best, to, paid) = (score, *d, *cost);
                        }
                    }
                    *value = how.lambda * real[to] + (1.0 - how.lambda) * fitted[to] - paid;
                }
            }
            (Chooser::Fitted(_), None) => {
                for (to, hold) in before.iter_mut().zip(&moves.hold) {
                    *to = real[*hold];
                }
            }
        }
        let full = before[moves.full];
        for (a, b) in after.iter_mut().zip(&before) {
            *a = b - full;
        }
    }
}

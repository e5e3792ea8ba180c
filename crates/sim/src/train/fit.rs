//! Fitted value iteration: what states are worth as a function of what is known.

use super::columns::Columns;
use super::ridge::{Gram, ROWS_AT_ONCE};
use super::rows::Steps;
use super::values::{Chooser, Moves, Valuation, backward};
use headgate_core::horizon::features::{Features, Knowledge};
use headgate_core::horizon::model::Anchors;
use headgate_core::horizon::unit::{Lattice, StateId, UnitSpec};
use headgate_core::time::SECOND;

/// Settings of a fit; the defaults are what `train` uses.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Shrinkage of standardised columns.
    pub ridge: f64,
    /// Rounds after the one in hindsight.
    pub rounds: usize,
    /// Groups of weeks; worths used on a week come from the other groups.
    pub folds: usize,
    /// Share of what really followed in a target.
    pub lambda: f64,
    /// Scales above the value at which settlement prices are cut.
    pub cap: f64,
    /// Largest difference of worth, as money lost or won at one scale's distance from the value,
    /// in hours of full power.
    pub clip: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ridge: 30.0, rounds: 3, folds: 2, lambda: 0.0, cap: 40.0, clip: 4.0 }
    }
}

/// A fitted table in f64: weights by column and anchor.
pub struct Fitted {
    /// What was known.
    pub knowledge: Knowledge,
    /// Its columns.
    pub columns: Columns,
    /// Weights, `[column * anchors + anchor]`.
    pub weights: Vec<f64>,
    /// Rows it was fitted on.
    pub rows: usize,
}

/// One decision: tape, step, fold.
type At = (usize, usize, usize);

struct Group {
    knowledge: Knowledge,
    rows: Vec<At>,
    columns: Columns,
    /// Factors for each fold left out, and for all.
    factors: Vec<super::ridge::Factor>,
    /// Worths of the anchors on each row, by fits without its fold.
    worth: Vec<f32>,
    weights: Vec<f64>,
}

/// What a fit works on.
pub struct Fit<'a> {
    /// Tapes, step by step.
    pub steps: &'a [Steps],
    /// The unit.
    pub spec: &'a UnitSpec,
    /// Its lattice.
    pub lattice: &'a Lattice,
    /// States whose worth is fitted.
    pub anchors: &'a Anchors,
    /// Value of a consumed MWh.
    pub value: f64,
    /// Distance from it that counts as one.
    pub scale: f64,
    /// Settings.
    pub settings: Settings,
}

impl Fit<'_> {
    fn features(&self, at: &At) -> &Features {
        let seen = self.steps[at.0].seen[at.1].as_ref();
        &seen.expect("rows are steps that saw something").features
    }

    /// Fits.
    pub fn run(&self) -> Vec<Fitted> {
        let moves = Moves::of(self.lattice, self.spec);
        let mut groups = self.groups();
        let how = Valuation {
            value: self.value,
            cap: self.value + self.settings.cap * self.scale,
            lambda: self.settings.lambda,
        };
        for round in 0..=self.settings.rounds {
            let targets = self.targets(&moves, &how, &groups, round);
            for group in &mut groups {
                self.round(group, &targets);
            }
        }
        let done = |g: Group| Fitted {
            knowledge: g.knowledge,
            columns: g.columns,
            weights: g.weights,
            rows: g.rows.len(),
        };
        groups.into_iter().map(done).collect()
    }

    fn groups(&self) -> Vec<Group> {
        let mut rows: std::collections::BTreeMap<Knowledge, Vec<At>> = Default::default();
        for (i, steps) in self.steps.iter().enumerate() {
            for (t, seen) in steps.seen.iter().enumerate() {
                let Some(seen) = seen else { continue };
                let at = steps.start.0 + steps.step.0 * i64::try_from(t).unwrap_or(0);
                let week = at.div_euclid(7 * 86_400 * SECOND);
                let folds = i64::try_from(self.settings.folds).unwrap_or(1);
                let fold = usize::try_from(week.rem_euclid(folds)).unwrap_or(0);
                rows.entry(seen.knowledge).or_default().push((i, t, fold));
            }
        }
        rows.into_iter().map(|(knowledge, rows)| self.group(knowledge, rows)).collect()
    }

    fn group(&self, knowledge: Knowledge, rows: Vec<At>) -> Group {
        let sample: Vec<&Features> = rows.iter().map(|r| self.features(r)).collect();
        let columns = Columns::of(&sample);
        let (n, folds) = (columns.count(), self.settings.folds);
        let mut grams: Vec<Gram> = (0..folds).map(|_| Gram::new(n)).collect();
        for (fold, gram) in grams.iter_mut().enumerate() {
            let mut block: [Vec<f64>; ROWS_AT_ONCE] = std::array::from_fn(|_| vec![0.0; n]);
            let mut filled = 0;
            for r in rows.iter().filter(|r| r.2 == fold) {
                columns.row(self.features(r), &mut block[filled]);
                filled += 1;
                if filled == ROWS_AT_ONCE {
                    gram.add(&block);
                    filled = 0;
                }
            }
            block[filled..].iter_mut().for_each(|row| row.fill(0.0));
            gram.add(&block);
        }
        let factor = |without: usize| {
            let mut sum = Gram::new(n);
            for (_, g) in grams.iter().enumerate().filter(|(f, _)| *f != without) {
                sum.plus(g);
            }
            sum.factor(self.settings.ridge)
        };
        let factors = (0..=folds).map(factor).collect();
        let worth = vec![0.0; rows.len() * self.anchors.count()];
        Group { knowledge, rows, columns, factors, worth, weights: Vec::new() }
    }

    /// Targets of each tape's steps: worths of the anchors after the step.
    fn targets(
        &self,
        moves: &Moves,
        how: &Valuation,
        groups: &[Group],
        round: usize,
    ) -> Vec<Vec<f32>> {
        let anchors = self.anchors.states(self.lattice);
        let a = anchors.len();
        let hour = self.spec.max.0 as f64 / 1e6 * self.scale;
        let clip = (self.settings.clip * hour).max(2.0 * self.spec.start_cost.0 as f64 / 1e6);
        let all = (0..self.lattice.states()).map(|i| StateId(u16::try_from(i).unwrap_or(0)));
        let mixtures: Vec<_> = all.map(|s| self.anchors.mixture(self.lattice, s)).collect();
        let mut out = Vec::new();
        for (i, steps) in self.steps.iter().enumerate() {
            let mut index: Vec<Option<(usize, usize)>> = vec![None; steps.seen.len()];
            for (g, group) in groups.iter().enumerate() {
                for (r, (tape, t, _)) in group.rows.iter().enumerate() {
                    if *tape == i {
                        index[*t] = Some((g, r));
                    }
                }
            }
            let worth = |t: usize, to: &mut [f64]| {
                let (g, r) = index[t].expect("a step that saw something has a row");
                let row = &groups[g].worth[r * a..(r + 1) * a];
                for (v, mixture) in to.iter_mut().zip(&mixtures) {
                    let part = |(k, w): &(usize, i64)| f64::from(row[*k]) * *w as f64 / 65536.0;
                    *v = mixture.iter().map(part).sum();
                }
            };
            let chooser = if round == 0 { Chooser::Hindsight } else { Chooser::Fitted(&worth) };
            let mut targets = vec![0.0; steps.seen.len() * a];
            backward(steps, moves, how, &chooser, |t, after| {
                for (k, s) in anchors.iter().enumerate() {
                    targets[t * a + k] = after[s.index()].clamp(-clip, clip) as f32;
                }
            });
            out.push(targets);
        }
        out
    }

    /// One round: fits without each fold, their worths, and the fit on all.
    fn round(&self, group: &mut Group, targets: &[Vec<f32>]) {
        let (n, a, folds) = (group.columns.count(), self.anchors.count(), self.settings.folds);
        let mut sums = vec![vec![0.0; n * a]; folds];
        let mut row = vec![0.0; n];
        for (i, t, fold) in &group.rows {
            group.columns.row(self.features(&(*i, *t, *fold)), &mut row);
            let y: Vec<f64> =
                targets[*i][t * a..(t + 1) * a].iter().map(|v| f64::from(*v)).collect();
            for (x, to) in row.iter().zip(sums[*fold].chunks_exact_mut(a)) {
                for (s, y) in to.iter_mut().zip(&y) {
                    *s += x * y;
                }
            }
        }
        let without = |fold: usize| {
            let mut sum = vec![0.0; n * a];
            for (_, s) in sums.iter().enumerate().filter(|(f, _)| *f != fold) {
                sum.iter_mut().zip(s).for_each(|(a, b)| *a += b);
            }
            sum
        };
        let weights: Vec<Vec<f64>> =
            (0..=folds).map(|f| group.factors[f].solve(&without(f), a)).collect();
        let mut to = vec![0.0; a];
        for (r, (i, t, fold)) in group.rows.iter().enumerate() {
            let seen = self.steps[*i].seen[*t].as_ref().expect("rows saw something");
            group.columns.row(&seen.features, &mut row);
            to.fill(0.0);
            for (x, w) in row.iter().zip(weights[*fold].chunks_exact(a)) {
                for (s, w) in to.iter_mut().zip(w) {
                    *s += x * w;
                }
            }
            for (k, v) in to.iter().enumerate() {
                group.worth[r * a + k] = *v as f32;
            }
        }
        group.weights = weights.into_iter().next_back().unwrap_or_default();
    }
}

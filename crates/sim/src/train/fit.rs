//! Fitted value iteration: what states are worth as a function of what is known.
//!
//! In the rounds that find out what following the fit itself would have been worth, a ridge
//! regression on hinges stands for the fit: it is quick, and it must be fitted without each
//! group of weeks. What it settles on is then told by boosted trees.

use super::columns::{Columns, Scale, Sparse};
use super::ridge::{Factor, Gram};
use super::rows::Steps;
use super::trees::{self, Growth, Sample, Sketch, Trees};
use super::values::{Chooser, Moves, Valuation, backward};
use super::weigh::{Stakes, by_price};
use headgate_core::horizon::features::{Features, Knowledge, Seen};
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
    /// Last rounds whose targets are averaged for the trees: each round's choices differ a little
    /// from the last one's, and so do its errors.
    pub averaged: usize,
    /// Groups of weeks; worths used on a week come from the other groups.
    pub folds: usize,
    /// Share of what really followed in a target.
    pub lambda: f64,
    /// Scales above the value at which settlement prices are cut.
    pub cap: f64,
    /// Largest difference of worth, as money lost or won at one scale's distance from the value,
    /// in hours of full power.
    pub clip: f64,
    /// Scales from the value within which a decision counts in full, in the first round.
    pub focus: f64,
    /// The same for where knots are placed.
    pub knots: f64,
    /// What may hang on a decision that counts half, in later rounds; in hours of full power, as
    /// `clip`.
    pub close: f64,
    /// Share of the step's own error left out of targets.
    pub share: f64,
    /// Steps by which prices are late when the band is needed.
    pub band_late: usize,
    /// How the trees are grown.
    pub growth: Growth,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ridge: 30.0,
            rounds: 5,
            averaged: 3,
            folds: 2,
            lambda: 0.85,
            cap: 40.0,
            clip: 4.0,
            focus: 1.0,
            knots: 0.5,
            close: 0.3,
            share: 1.0,
            band_late: 1,
            growth: Growth::default(),
        }
    }
}

/// A fitted table in f64.
#[derive(Debug)]
pub struct Fitted {
    /// What was known.
    pub knowledge: Knowledge,
    /// Worths of the anchors.
    pub trees: Trees,
    /// Rows it was fitted on.
    pub rows: usize,
}

/// One decision: tape, step, fold.
type At = (usize, usize, usize);

struct Group {
    knowledge: Knowledge,
    rows: Vec<At>,
    columns: Columns,
    /// How much each row counts.
    weights: Vec<f64>,
    /// Factors for each fold left out.
    factors: Vec<(Factor, Scale)>,
    /// Worths of the anchors on each row, by fits without its fold.
    worth: Vec<f32>,
}

/// What a fit works on.
#[derive(Debug)]
pub struct Fit<'a> {
    /// Tapes, step by step.
    pub steps: &'a [Steps],
    /// The unit.
    pub spec: &'a UnitSpec,
    /// Its lattice.
    pub lattice: &'a Lattice,
    /// States whose worth is fitted.
    pub anchors: &'a Anchors,
    /// Distance from it that counts as one.
    pub scale: f64,
    /// Settings.
    pub settings: Settings,
}

impl Fit<'_> {
    fn seen(&self, at: &At) -> &Seen {
        let seen = self.steps[at.0].seen[at.1].as_ref();
        seen.expect("rows are steps that saw something")
    }

    fn features(&self, at: &At) -> &Features {
        &self.seen(at).features
    }

    /// Money lost or won in an hour of full power at one scale's distance from the value.
    fn hour(&self) -> f64 {
        self.spec.max.0 as f64 / 1e6 * self.scale
    }

    /// Largest difference of worth that is fitted.
    pub fn clip(&self) -> f64 {
        (self.settings.clip * self.hour()).max(2.0 * self.spec.start_cost.0 as f64 / 1e6)
    }

    /// Fits.
    pub fn run(&self) -> Vec<Fitted> {
        let moves = Moves::of(self.lattice, self.spec);
        let stakes = Stakes::of(self);
        let mut groups = self.groups();
        let mut mean = Mean::default();
        for round in 0..=self.settings.rounds {
            let targets = self.targets(&moves, &groups, round);
            for group in &mut groups {
                if round > 0 {
                    self.weigh(group, &stakes);
                }
                if round < self.settings.rounds {
                    self.factor(group);
                    self.round(group, &targets);
                }
            }
            if round + self.settings.averaged > self.settings.rounds {
                mean.take(targets);
            }
        }
        // Groups have nothing to do with each other any more.
        std::thread::scope(|scope| {
            let each = |group| scope.spawn(|| self.grown(group, &mean.targets));
            let running: Vec<_> = groups.into_iter().map(each).collect();
            let done = |r: std::thread::ScopedJoinHandle<'_, Fitted>| {
                r.join().expect("growing trees does not fail")
            };
            running.into_iter().map(done).collect()
        })
    }

    /// A group's trees.
    fn grown(&self, group: Group, targets: &[Vec<f32>]) -> Fitted {
        let a = self.anchors.count();
        let told = |at: &At| &targets[at.0][at.1 * a..(at.1 + 1) * a];
        let features: Vec<&Features> = group.rows.iter().map(|r| self.features(r)).collect();
        let targets: Vec<f32> = group.rows.iter().flat_map(|r| told(r).iter().copied()).collect();
        let sample = Sample {
            features: &features,
            weights: &group.weights,
            targets: &targets,
            width: a,
            sketches: self.sketches(),
        };
        let trees = trees::fit(&sample, &self.settings.growth);
        Fitted { knowledge: group.knowledge, trees, rows: group.rows.len() }
    }

    /// What questions are chosen by: what it is worth to stop, to start rather than to stay off,
    /// and to be long on at the least power.
    fn sketches(&self) -> [Sketch; 3] {
        let (off, on) = (self.anchors.off.len(), self.anchors.on.len());
        [(0, None), (off, Some(off - 1)), (off + on - 1, None)]
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
        let (knots, focus) = (self.settings.knots, self.settings.focus);
        let sample: Vec<(&Features, f64)> =
            rows.iter().map(|r| (self.features(r), by_price(self.features(r), knots))).collect();
        let columns = Columns::of(&sample);
        let weights = rows.iter().map(|r| by_price(self.features(r), focus)).collect();
        let worth = vec![0.0; rows.len() * self.anchors.count()];
        Group { knowledge, rows, columns, weights, factors: Vec::new(), worth }
    }

    /// Weighs rows by what the last round's worths say hangs on them.
    fn weigh(&self, group: &mut Group, stakes: &Stakes) {
        let (a, half) = (self.anchors.count(), self.settings.close * self.hour());
        let rows = group.rows.iter().zip(group.worth.chunks_exact(a));
        for ((at, worth), weight) in rows.zip(&mut group.weights) {
            *weight = stakes.weight(&self.steps[at.0], self.seen(at), worth, half);
        }
    }

    /// Factors a group's rows, by their weights.
    fn factor(&self, group: &mut Group) {
        let (n, folds) = (group.columns.count, self.settings.folds);
        let mut grams: Vec<Gram> = (0..folds).map(|_| Gram::new(n)).collect();
        let mut row = Sparse::new();
        for (at, weight) in group.rows.iter().zip(&group.weights) {
            group.columns.row(self.features(at), &mut row);
            grams[at.2].add(&row, *weight);
        }
        let factor = |without: usize| {
            let mut sum = Gram::new(n);
            for (_, g) in grams.iter().enumerate().filter(|(f, _)| *f != without) {
                sum.plus(g);
            }
            let (standard, scale) = group.columns.standard(&sum.whole());
            (Factor::of(&standard, n, self.settings.ridge), scale)
        };
        group.factors = (0..folds).map(factor).collect();
    }

    /// Targets of each tape's steps: worths of the anchors after the step.
    fn targets(&self, moves: &Moves, groups: &[Group], round: usize) -> Vec<Vec<f32>> {
        let anchors = self.anchors.states(self.lattice);
        let a = anchors.len();
        let clip = self.clip();
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
            let how = Valuation {
                value: steps.value,
                cap: steps.value + self.settings.cap * self.scale,
                lambda: self.settings.lambda,
                share: self.settings.share,
            };
            let mut targets = vec![0.0; steps.seen.len() * a];
            backward(steps, moves, &how, &chooser, |t, after| {
                for (k, s) in anchors.iter().enumerate() {
                    targets[t * a + k] = after[s.index()].clamp(-clip, clip) as f32;
                }
            });
            out.push(targets);
        }
        out
    }

    /// One round: fits without each fold, and their worths.
    fn round(&self, group: &mut Group, targets: &[Vec<f32>]) {
        let (n, a, folds) = (group.columns.count, self.anchors.count(), self.settings.folds);
        let mut sums = vec![vec![0.0; n * a]; folds];
        let mut row = Sparse::new();
        let mut y = vec![0.0; a];
        for (at, weight) in group.rows.iter().zip(&group.weights) {
            group.columns.row(self.features(at), &mut row);
            let told = &targets[at.0][at.1 * a..(at.1 + 1) * a];
            y.iter_mut().zip(told).for_each(|(y, v)| *y = f64::from(*v) * weight);
            let to = &mut sums[at.2];
            to[..a].iter_mut().zip(&y).for_each(|(s, y)| *s += y);
            for (first, low, high) in &row {
                let (l, h) = to[first * a..(first + 2) * a].split_at_mut(a);
                for ((l, h), y) in l.iter_mut().zip(h).zip(&y) {
                    *l += low * y;
                    *h += high * y;
                }
            }
        }
        let fitted = |without: usize| {
            let mut sum = vec![0.0; n * a];
            for (_, s) in sums.iter().enumerate().filter(|(f, _)| *f != without) {
                sum.iter_mut().zip(s).for_each(|(a, b)| *a += b);
            }
            let (factor, scale) = &group.factors[without];
            let sums = group.columns.standard_sums(&sum, a, scale);
            group.columns.at_knots(&factor.solve(&sums, a), a, scale)
        };
        let values: Vec<Vec<f64>> = (0..folds).map(fitted).collect();
        let (mut to, clip) = (vec![0.0; a], self.clip());
        for (r, at) in group.rows.iter().enumerate() {
            group.columns.row(self.features(at), &mut row);
            let values = &values[at.2];
            to.copy_from_slice(&values[..a]);
            for (first, low, high) in &row {
                let (l, h) = values[first * a..(first + 2) * a].split_at(a);
                for ((to, l), h) in to.iter_mut().zip(l).zip(h) {
                    *to += low * l + high * h;
                }
            }
            let worth = &mut group.worth[r * a..(r + 1) * a];
            worth.iter_mut().zip(&to).for_each(|(w, v)| *w = v.clamp(-clip, clip) as f32);
        }
    }
}

/// The mean of some rounds' targets.
#[derive(Default)]
struct Mean {
    targets: Vec<Vec<f32>>,
    rounds: f32,
}

impl Mean {
    fn take(&mut self, targets: Vec<Vec<f32>>) {
        self.rounds += 1.0;
        if self.targets.is_empty() {
            self.targets = targets;
            return;
        }
        let pairs = self.targets.iter_mut().zip(&targets);
        for (mean, v) in pairs.flat_map(|(mean, v)| mean.iter_mut().zip(v)) {
            *mean += (v - *mean) / self.rounds;
        }
    }
}

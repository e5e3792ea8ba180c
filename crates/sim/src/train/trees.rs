//! Boosted decision trees for many targets at once, in a fixed order of sums.
//!
//! Each tree is grown, level by level, on a random half of the rows and of the features, on what
//! the trees before it left over; questions are chosen by a few [`Sketch`]es of the targets, and a
//! leaf holds a part of what its rows have left, for each target. Rows are counted into a few
//! dozen bins of each feature, and a node's rows are counted only where its sister has more:
//! the rest is a difference.

use super::columns::is_told;
use super::grow::{Grower, Grown};
use crate::rng::SplitMix;
use headgate_core::horizon::features::{Feature, Features};
use headgate_core::horizon::model::Next;

/// Bins of a feature; a cut lies between two of them.
pub(super) const BINS: usize = 48;
/// Sums that a question is chosen by, beside the weight.
pub(super) const SKETCHES: usize = 3;
/// Weighted sums of [`SKETCHES`] targets, and the weight.
pub(super) type Sums = [f32; SKETCHES + 1];

/// Settings of the trees; the defaults are what `train` uses.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// How many trees.
    pub trees: usize,
    /// Questions a tree asks at most, one after the other.
    pub depth: usize,
    /// Part of what is left over that a leaf takes.
    pub rate: f64,
    /// Least weight of a leaf's rows.
    pub leaf: f64,
    /// Weight of rows that tell nothing, by which a leaf is drawn towards zero.
    pub shrink: f64,
    /// Share of the rows that a tree is grown on, in parts of 256; and of the features.
    pub share: u64,
}

impl Default for Growth {
    fn default() -> Self {
        Self { trees: 200, depth: 6, rate: 0.06, leaf: 60.0, shrink: 60.0, share: 128 }
    }
}

/// A target by which questions are chosen: one target, or one less another.
pub type Sketch = (usize, Option<usize>);

/// What trees are fitted to.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// What each row looks at.
    pub features: &'a [&'a Features],
    /// How much each row counts.
    pub weights: &'a [f64],
    /// Targets of each row: `[row * width + target]`.
    pub targets: &'a [f32],
    /// How many targets a row has.
    pub width: usize,
    /// By what questions are chosen.
    pub sketches: [Sketch; SKETCHES],
}

/// Trees in f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Trees {
    /// The mean of each target.
    pub constant: Vec<f64>,
    /// The trees.
    pub trees: Vec<Grown>,
}

/// A feature that moves, cut into bins.
#[derive(Debug)]
pub(super) struct Cuts {
    /// Its index.
    pub of: usize,
    /// The most in each bin but the last, rising.
    pub at: Vec<i32>,
}

/// Fits trees.
pub fn fit(sample: &Sample<'_>, growth: &Growth) -> Trees {
    let cuts: Vec<Cuts> = Feature::ALL.iter().filter_map(|f| Cuts::of_told(sample, *f)).collect();
    let bins = binned(sample, &cuts);
    let (constant, mut left) = less_mean(sample);
    let mut random = SplitMix::new(1);
    let mut trees = Vec::with_capacity(growth.trees);
    for _ in 0..growth.trees {
        let mut drawn = |n: usize| -> Vec<u32> {
            (0..n as u32).filter(|_| random.below(256) < growth.share).collect()
        };
        let (rows, columns) = (drawn(sample.weights.len()), drawn(cuts.len()));
        if rows.is_empty() || columns.is_empty() {
            continue;
        }
        let columns: Vec<usize> = columns.iter().map(|c| *c as usize).collect();
        let sums = sums(sample, &left, &rows);
        let grower = Grower { cuts: &cuts, columns: &columns, bins: &bins, sums: &sums, growth };
        let tree = grower.grow(rows, sample, &left);
        for (x, left) in sample.features.iter().zip(left.chunks_exact_mut(sample.width)) {
            left.iter_mut().zip(tree.leaf(x)).for_each(|(l, v)| *l -= *v as f32);
        }
        trees.push(tree);
    }
    Trees { constant, trees }
}

impl Cuts {
    /// Cuts a feature. One that was never known is the price in other words, and is asked about as
    /// the price: the day it becomes known it would say something that was not learned.
    fn of_told(sample: &Sample<'_>, f: Feature) -> Option<Self> {
        let now = Feature::Now as usize;
        if is_told(f, sample.features.iter().copied()) {
            return Self::of(sample, f as usize);
        }
        let same = sample.features.iter().all(|x| x[f as usize] == x[now]);
        if same { Self::of(sample, now) } else { None }
    }

    /// Cuts a feature at quantiles of the rows' weight; `None` where it does not move.
    fn of(sample: &Sample<'_>, of: usize) -> Option<Self> {
        let rows = sample.features.iter().zip(sample.weights);
        let mut sorted: Vec<(i32, f64)> = rows.map(|(x, w)| (x[of], *w)).collect();
        sorted.sort_by_key(|(x, _)| *x);
        let all: f64 = sorted.iter().map(|(_, w)| w).sum();
        let (mut at, mut sum) = (Vec::with_capacity(BINS), 0.0);
        let mut next = 1;
        for (x, w) in sorted.iter().copied() {
            sum += w;
            while next < BINS && sum >= all * next as f64 / BINS as f64 {
                at.push(x);
                next += 1;
            }
        }
        at.dedup();
        // Nothing lies above the highest.
        at.pop_if(|last| sorted.last().is_some_and(|(x, _)| x == last));
        (!at.is_empty()).then_some(Self { of, at })
    }
}

/// The bin of each row in each feature: `[row * features + feature]`.
fn binned(sample: &Sample<'_>, cuts: &[Cuts]) -> Vec<u8> {
    let mut bins = Vec::with_capacity(sample.features.len() * cuts.len());
    for x in sample.features {
        let bin = |c: &Cuts| c.at.partition_point(|at| *at < x[c.of]) as u8;
        bins.extend(cuts.iter().map(bin));
    }
    bins
}

/// The mean of each target, and what is left of the targets without it.
fn less_mean(sample: &Sample<'_>) -> (Vec<f64>, Vec<f32>) {
    let mut mean = vec![0.0; sample.width];
    let all = sample.weights.iter().sum::<f64>().max(1e-9);
    let rows = sample.targets.chunks_exact(sample.width);
    for (row, w) in rows.clone().zip(sample.weights) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) * w);
    }
    mean.iter_mut().for_each(|m| *m /= all);
    let left = rows.flat_map(|row| row.iter().zip(&mean).map(|(v, m)| v - *m as f32));
    let left = left.collect();
    (mean, left)
}

/// The sums that each drawn row adds to its bins.
fn sums(sample: &Sample<'_>, left: &[f32], rows: &[u32]) -> Vec<Sums> {
    let mut sums = vec![Sums::default(); sample.weights.len()];
    for i in rows.iter().map(|i| *i as usize) {
        let (left, w) = (&left[i * sample.width..(i + 1) * sample.width], sample.weights[i] as f32);
        for (sum, (of, less)) in sums[i].iter_mut().zip(sample.sketches) {
            *sum = (left[of] - less.map_or(0.0, |l| left[l])) * w;
        }
        sums[i][SKETCHES] = w;
    }
    sums
}

impl Grown {
    /// The leaf of a row, for each target.
    pub fn leaf(&self, x: &Features) -> &[f64] {
        let width = self.width;
        let mut next = if self.splits.is_empty() { Next::Leaf(0) } else { Next::Split(0) };
        loop {
            match next {
                Next::Leaf(i) => {
                    return &self.leaves[usize::from(i) * width..(usize::from(i) + 1) * width];
                }
                Next::Split(i) => {
                    let s = &self.splits[usize::from(i)];
                    next = if x[usize::from(s.of)] <= s.at { s.low } else { s.high };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_core::horizon::features::FEATURES;

    /// A step in one feature, another for one half of a second, and a feature that says nothing.
    fn steps(n: u64) -> (Vec<Features>, Vec<f32>) {
        let mut random = SplitMix::new(7);
        let mut targets = Vec::new();
        let mut row = || {
            let mut x = [0; FEATURES];
            x[..3].fill_with(|| random.below(20_000) as i32 - 10_000);
            let (a, b) = (x[0] > 2_000, x[1] > 0);
            let y = if a { 300.0 } else { -100.0 } + if a && b { 200.0 } else { 0.0 };
            targets.extend([y, -y, 0.0]);
            x
        };
        ((0..n).map(|_| row()).collect(), targets)
    }

    fn fitted(rows: &[Features], targets: &[f32], growth: &Growth) -> Trees {
        let features: Vec<&Features> = rows.iter().collect();
        let weights = vec![1.0; rows.len()];
        let sketches = [(0, None), (1, None), (2, Some(0))];
        let sample = Sample { features: &features, weights: &weights, targets, width: 3, sketches };
        fit(&sample, growth)
    }

    fn told(trees: &Trees, x: &Features) -> [f64; 3] {
        let of = |k: usize| trees.trees.iter().map(|t| t.leaf(x)[k]).sum::<f64>();
        [0, 1, 2].map(|k| trees.constant[k] + of(k))
    }

    #[test]
    fn steps_are_found_and_hold_on_other_rows() {
        let (rows, targets) = steps(4_000);
        let trees = fitted(&rows, &targets, &Growth::default());
        let (others, wanted) = steps(4_400);
        let fresh = others.iter().zip(wanted.chunks_exact(3)).skip(4_000);
        let wrong = fresh.filter(|(x, y)| {
            let got = told(&trees, x);
            (got[0] - f64::from(y[0])).abs() > 60.0 || (got[1] + got[0]).abs() > 1.0
        });
        // Those beside a step may be off.
        assert!(wrong.count() < 40);
    }

    #[test]
    fn the_same_rows_give_the_same_trees_and_unlike_depths_are_kept() {
        let (rows, targets) = steps(2_000);
        let growth = Growth { trees: 20, depth: 3, ..Growth::default() };
        let trees = fitted(&rows, &targets, &growth);
        assert_eq!(trees, fitted(&rows, &targets, &growth));
        for tree in &trees.trees {
            assert!(tree.splits.len() < 8 && tree.leaves.len() == 3 * (tree.splits.len() + 1));
        }
    }

    /// What was never known moves with the price, and is not asked about all the same.
    #[test]
    fn what_was_never_known_is_no_question() {
        let (mut rows, targets) = steps(2_000);
        let foreseen = [Feature::Foreseen, Feature::Foreseen1, Feature::ForeseenMax];
        for x in &mut rows {
            foreseen.iter().for_each(|f| x[*f as usize] = x[0]);
            x[Feature::NoForeseen as usize] = 4_096;
        }
        let asked = |trees: &Trees| {
            let all = trees.trees.iter().flat_map(|t| &t.splits);
            all.filter(|s| foreseen.iter().any(|f| *f as u8 == s.of)).count()
        };
        assert_eq!(asked(&fitted(&rows, &targets, &Growth::default())), 0);
        rows[7][Feature::NoForeseen as usize] = 0;
        assert!(asked(&fitted(&rows, &targets, &Growth::default())) > 0);
    }

    #[test]
    fn what_does_not_move_is_no_question() {
        let (mut rows, targets) = steps(500);
        rows.iter_mut().for_each(|x| *x = [5; FEATURES]);
        let trees = fitted(&rows, &targets, &Growth::default());
        assert!(trees.trees.is_empty(), "there is nothing to ask about");
    }
}

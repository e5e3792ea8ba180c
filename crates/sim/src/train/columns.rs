//! From features to the columns of a regression: piecewise linear functions of one feature each,
//! some of them times another feature.
//!
//! A row is kept by the two knots on either side of each feature: sums over rows then touch two
//! columns a function. The regression itself is in a line and hinges, standardised, so that
//! shrinking smooths; [`Columns::standard`] changes over from one to the other.

use headgate_core::horizon::features::{FEATURES, Feature, Features, UNIT};

/// One piecewise linear function.
#[derive(Debug, Clone, PartialEq)]
pub struct Spline {
    /// The feature.
    pub of: usize,
    /// What it is multiplied by.
    pub times: Option<usize>,
    /// Knots, rising, at least two.
    pub knots: Vec<i32>,
    /// Its first column.
    pub first: usize,
}

/// The columns of a regression: a constant, then each function's values at its knots.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// The functions.
    pub splines: Vec<Spline>,
    /// How many columns there are.
    pub count: usize,
}

/// Features multiplied with functions of the expected price.
pub const TIMES: [Feature; 4] =
    [Feature::AheadNext, Feature::Hour, Feature::Quarter, Feature::RecentMax];
/// Knots of a function.
const KNOTS: usize = 9;

/// A row by its columns that are not zero: index of the first of two, and both values.
pub type Sparse = Vec<(usize, f64, f64)>;

impl Columns {
    /// Places knots at quantiles of a sample with weights.
    pub fn of(sample: &[(&Features, f64)]) -> Self {
        let mut columns = Self { splines: Vec::new(), count: 1 };
        let told = |f: &&Feature| is_told(**f, sample.iter().map(|(x, _)| *x));
        for f in Feature::ALL.iter().filter(told) {
            let of = *f as usize;
            columns.push(of, None, &quantiles(sample, of));
        }
        let now = Feature::Now as usize;
        let price = quantiles(sample, now);
        for by in TIMES.iter().filter(told) {
            columns.push(now, Some(*by as usize), &price);
        }
        columns
    }

    fn push(&mut self, of: usize, times: Option<usize>, knots: &[i32]) {
        // A feature that hardly moves says nothing.
        if knots.len() >= 2 {
            let (knots, first) = (knots.to_vec(), self.count);
            self.splines.push(Spline { of, times, knots, first });
            self.count += self.splines.last().map_or(0, |s| s.knots.len());
        }
    }

    /// The row of one decision.
    pub fn row(&self, x: &Features, row: &mut Sparse) {
        row.clear();
        for s in &self.splines {
            let v = x[s.of];
            let last = s.knots.len() - 2;
            let piece = s.knots[1..=last].iter().take_while(|k| **k <= v).count();
            let (low, high) = (s.knots[piece], s.knots[piece + 1]);
            let part = f64::from(v - low) / f64::from(high - low);
            let by = s.times.map_or(1.0, |t| f64::from(x[t]) / f64::from(UNIT));
            row.push((s.first + piece, by * (1.0 - part), by * part));
        }
    }

    /// Each function's line and hinges (and, for a product, the constant) as values at its
    /// knots, by function: `[knot][column]`.
    fn hinges(&self) -> Vec<Vec<Vec<f64>>> {
        let unit = f64::from(UNIT);
        let of = |s: &Spline| {
            let n = s.knots.len();
            let at = |j: usize, i: usize| match i {
                i if i + 1 == n => 1.0,
                i => f64::from((s.knots[j] - s.knots[i]).max(0)) / unit,
            };
            (0..n).map(|j| (0..n).map(|i| at(j, i)).collect()).collect()
        };
        self.splines.iter().map(of).collect()
    }

    /// Sums over rows of values at knots, `[row * width + column]` and as many rows as columns,
    /// as sums over rows of lines and hinges.
    fn turned(&self, sums: &[f64], width: usize) -> Vec<f64> {
        let mut out = sums.to_vec();
        for (s, hinges) in self.splines.iter().zip(self.hinges()) {
            let n = s.knots.len();
            for i in 0..n {
                let to = &mut out[(s.first + i) * width..(s.first + i + 1) * width];
                to.fill(0.0);
                for (j, values) in hinges.iter().enumerate() {
                    let from = &sums[(s.first + j) * width..(s.first + j + 1) * width];
                    to.iter_mut().zip(from).for_each(|(t, f)| *t += values[i] * f);
                }
            }
        }
        out
    }

    /// Sums of products of rows, standardised: each column of lines and hinges less its mean and
    /// over its spread. Columns that do not move, as a plain function's constant, are zero.
    pub fn standard(&self, gram: &[f64]) -> (Vec<f64>, Scale) {
        let n = self.count;
        let transpose = |m: &[f64]| {
            let mut t = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..n {
                    t[j * n + i] = m[i * n + j];
                }
            }
            t
        };
        let mut g = self.turned(&transpose(&self.turned(gram, n)), n);
        let rows = g[0].max(1e-9);
        let mean: Vec<f64> = (0..n).map(|i| g[i * n] / rows).collect();
        let spread = |i: usize| {
            let square = g[i * n + i] / rows - mean[i] * mean[i];
            if square < 1e-9 * (1.0 + mean[i] * mean[i]) { 0.0 } else { 1.0 / square.sqrt() }
        };
        let mut inverse: Vec<f64> = (0..n).map(spread).collect();
        inverse[0] = 1.0;
        for i in 0..n {
            for j in 0..n {
                let centred = match (i, j) {
                    (0, 0) => g[0],
                    (0, _) | (_, 0) => 0.0,
                    _ => g[i * n + j] - rows * mean[i] * mean[j],
                };
                g[i * n + j] = centred * inverse[i] * inverse[j];
            }
        }
        (g, Scale { mean, inverse })
    }

    /// Sums of rows times targets, `[column * targets + k]`, standardised likewise.
    pub fn standard_sums(&self, sums: &[f64], targets: usize, scale: &Scale) -> Vec<f64> {
        let mut s = self.turned(sums, targets);
        let (whole, rest) = s.split_at_mut(targets);
        for (i, row) in rest.chunks_exact_mut(targets).enumerate() {
            for (v, all) in row.iter_mut().zip(whole.iter()) {
                *v = (*v - scale.mean[i + 1] * all) * scale.inverse[i + 1];
            }
        }
        s
    }

    /// Weights of standardised lines and hinges as values at knots, the constant first.
    pub fn at_knots(&self, weights: &[f64], targets: usize, scale: &Scale) -> Vec<f64> {
        let mut out = vec![0.0; weights.len()];
        out[..targets].copy_from_slice(&weights[..targets]);
        for (s, hinges) in self.splines.iter().zip(self.hinges()) {
            for i in 0..s.knots.len() {
                let column = s.first + i;
                for k in 0..targets {
                    let raw = weights[column * targets + k] * scale.inverse[column];
                    out[k] -= raw * scale.mean[column];
                    for (j, values) in hinges.iter().enumerate() {
                        out[(s.first + j) * targets + k] += raw * values[i];
                    }
                }
            }
        }
        out
    }
}

/// Whether a feature was ever known; what never was repeats the price in other words.
pub(super) fn is_told<'a>(f: Feature, mut rows: impl Iterator<Item = &'a Features>) -> bool {
    f.unknown().is_none_or(|unknown| rows.any(|x| x[unknown as usize] == 0))
}

/// Mean and inverse spread of each column of lines and hinges.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    mean: Vec<f64>,
    inverse: Vec<f64>,
}

fn quantiles(sample: &[(&Features, f64)], f: usize) -> Vec<i32> {
    let mut sorted: Vec<(i32, f64)> = sample.iter().map(|(x, w)| (x[f], *w)).collect();
    sorted.sort_unstable_by_key(|(x, _)| *x);
    let all: f64 = sorted.iter().map(|(_, w)| w).sum();
    let share = |k: usize| 0.01 + 0.98 * k as f64 / (KNOTS - 1) as f64;
    let (mut knots, mut sum) = (Vec::with_capacity(KNOTS), 0.0);
    for (x, w) in sorted {
        sum += w;
        if knots.len() < KNOTS && sum >= share(knots.len()) * all {
            knots.push(x);
        }
    }
    // Knots closer than a sixteenth bend a line at nothing but noise.
    knots.dedup_by(|b, a| *b - *a < UNIT / 16);
    knots
}

const _: () = assert!(FEATURES < 255, "an index of a feature fits a byte");

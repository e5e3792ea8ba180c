//! From features to the columns of a regression: hinges, and hinges times another feature.

use headgate_core::horizon::features::{FEATURES, Feature, Features, UNIT};

/// One term: a feature's own line and hinges at its knots, perhaps times another feature.
#[derive(Debug, Clone)]
pub struct Spline {
    /// The feature.
    pub of: usize,
    /// What it is multiplied by.
    pub times: Option<usize>,
    /// Knots, rising.
    pub knots: Vec<i32>,
}

/// The columns of a regression.
#[derive(Debug, Clone)]
pub struct Columns {
    /// The terms; a plain one has one column for the line and one for each knot but the first,
    /// a product one for each knot beside.
    pub splines: Vec<Spline>,
    /// Mean and spread of each column, the constant first.
    pub scale: Vec<(f64, f64)>,
}

/// Features that enter by themselves.
pub const PLAIN: &[Feature] = Feature::ALL;
/// Features multiplied with hinges of the expected price.
pub const TIMES: [Feature; 4] =
    [Feature::AheadNext, Feature::Hour, Feature::Quarter, Feature::RecentMax];
/// Hinges of a feature.
const HINGES: usize = 8;

impl Columns {
    /// Places knots at quantiles of a sample and measures the columns' spread over it.
    pub fn of(sample: &[&Features]) -> Self {
        let mut sorted: Vec<i32> = Vec::with_capacity(sample.len());
        let mut splines = Vec::new();
        let mut knots_of = |f: usize| {
            sorted.clear();
            sorted.extend(sample.iter().map(|x| x[f]));
            sorted.sort_unstable();
            let last = sorted.len().saturating_sub(1) as f64;
            let at =
                |k: usize| sorted[((0.02 + 0.96 * k as f64 / (HINGES - 1) as f64) * last) as usize];
            let mut knots: Vec<i32> = (0..HINGES).map(at).collect();
            knots.dedup();
            knots
        };
        for f in PLAIN {
            let knots = knots_of(*f as usize);
            splines.push(Spline { of: *f as usize, times: None, knots });
        }
        let price = knots_of(Feature::Now as usize);
        for by in TIMES {
            let knots = price.clone();
            splines.push(Spline { of: Feature::Now as usize, times: Some(by as usize), knots });
        }
        let mut columns = Self { splines, scale: Vec::new() };
        columns.measure(sample);
        columns
    }

    fn measure(&mut self, sample: &[&Features]) {
        let n = self.count();
        let (mut sum, mut square) = (vec![0.0; n], vec![0.0; n]);
        let mut row = vec![0.0; n];
        for x in sample {
            self.raw(x, &mut row);
            for (i, v) in row.iter().enumerate() {
                sum[i] += v;
                square[i] += v * v;
            }
        }
        let rows = sample.len().max(1) as f64;
        let of = |i: usize| {
            let mean = sum[i] / rows;
            let spread = (square[i] / rows - mean * mean).max(0.0).sqrt();
            // A column that never moves is left out by having no weight at all.
            if spread < 1e-9 { (mean, f64::INFINITY) } else { (mean, spread) }
        };
        self.scale = (0..n).map(of).collect();
        self.scale[0] = (0.0, 1.0);
    }

    /// How many columns, the constant included.
    pub fn count(&self) -> usize {
        1 + self.splines.iter().map(Spline::columns).sum::<usize>()
    }

    fn raw(&self, x: &Features, row: &mut [f64]) {
        row[0] = 1.0;
        let mut at = 1;
        let unit = f64::from(UNIT);
        for s in &self.splines {
            let v = x[s.of];
            let by = s.times.map_or(1.0, |t| f64::from(x[t]) / unit);
            let first = s.knots[0];
            row[at] = f64::from(v - first) / unit * by;
            at += 1;
            for k in &s.knots[1..] {
                row[at] = f64::from((v - k).max(0)) / unit * by;
                at += 1;
            }
            if s.times.is_some() {
                // Products have a hinge for the first knot too: the line is its own.
                row[at] = f64::from((v - first).max(0)) / unit * by;
                at += 1;
            }
        }
    }

    /// The row of one decision, each column less its mean and over its spread.
    pub fn row(&self, x: &Features, row: &mut [f64]) {
        self.raw(x, row);
        for (v, (mean, spread)) in row.iter_mut().zip(&self.scale) {
            *v = (*v - mean) / spread;
        }
    }
}

impl Spline {
    /// How many columns it has.
    pub fn columns(&self) -> usize {
        self.knots.len() + usize::from(self.times.is_some())
    }
}

const _: () = assert!(FEATURES < 255, "an index of a feature fits a byte");

//! Ridge regression of many targets at once, in a fixed order of sums.

use super::columns::Sparse;

/// Sums of products of rows; the lower part is kept while rows are added.
#[derive(Debug, Clone)]
pub struct Gram {
    n: usize,
    sums: Vec<f64>,
}

impl Gram {
    /// No rows yet.
    pub fn new(n: usize) -> Self {
        Self { n, sums: vec![0.0; n * n] }
    }

    /// Adds a row with a weight; its first column is the constant.
    pub fn add(&mut self, row: &Sparse, weight: f64) {
        let n = self.n;
        self.sums[0] += weight;
        for (i, (at, a, b)) in row.iter().enumerate() {
            let (a, b) = (a * weight, b * weight);
            let (first, second) = self.sums[at * n..(at + 2) * n].split_at_mut(n);
            first[0] += a;
            second[0] += b;
            for (to, c, d) in &row[..=i] {
                first[*to] += a * c;
                first[to + 1] += a * d;
                second[*to] += b * c;
                second[to + 1] += b * d;
            }
        }
    }

    /// Adds another one's sums.
    pub fn plus(&mut self, other: &Gram) {
        for (a, b) in self.sums.iter_mut().zip(&other.sums) {
            *a += b;
        }
    }

    /// The whole matrix, row by row.
    pub fn whole(&self) -> Vec<f64> {
        let n = self.n;
        let mut out = self.sums.clone();
        for i in 0..n {
            for j in i + 1..n {
                // What lies above the diagonal within a pair of knots is doubled below it.
                out[i * n + j] = out[j * n + i];
            }
        }
        out
    }
}

/// A factored system.
#[derive(Debug, Clone)]
pub struct Factor {
    n: usize,
    l: Vec<f64>,
}

impl Factor {
    /// Factors `G + lambda I` as `L L'`; column 0 is the constant and not shrunk.
    pub fn of(gram: &[f64], n: usize, lambda: f64) -> Self {
        let mut l = gram.to_vec();
        for i in 0..n {
            l[i * n + i] += if i == 0 { 1e-6 } else { lambda };
        }
        for i in 0..n {
            for j in 0..=i {
                let (row_i, row_j) = (&l[i * n..i * n + j], &l[j * n..j * n + j]);
                let s = l[i * n + j] - dot(row_i, row_j);
                l[i * n + j] = if i == j { s.max(1e-9).sqrt() } else { s / l[j * n + j] };
            }
        }
        Self { n, l }
    }

    /// Solves for many right-hand sides: `sums[row * targets + k]`.
    pub fn solve(&self, sums: &[f64], targets: usize) -> Vec<f64> {
        let n = self.n;
        let mut x = sums.to_vec();
        for i in 0..n {
            let (before, rest) = x.split_at_mut(i * targets);
            let row = &mut rest[..targets];
            for j in 0..i {
                let f = self.l[i * n + j];
                for (to, from) in row.iter_mut().zip(&before[j * targets..(j + 1) * targets]) {
                    *to -= f * from;
                }
            }
            row.iter_mut().for_each(|v| *v /= self.l[i * n + i]);
        }
        for i in (0..n).rev() {
            let (rest, after) = x.split_at_mut((i + 1) * targets);
            let row = &mut rest[i * targets..];
            for j in i + 1..n {
                let f = self.l[j * n + i];
                let from = &after[(j - i - 1) * targets..(j - i) * targets];
                for (to, from) in row.iter_mut().zip(from) {
                    *to -= f * from;
                }
            }
            row.iter_mut().for_each(|v| *v /= self.l[i * n + i]);
        }
        x
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut acc = [0.0; 4];
    let (pa, pb) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = pa.remainder().iter().zip(pb.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in pa.zip(pb) {
        for k in 0..4 {
            acc[k] += x[k] * y[k];
        }
    }
    (acc[0] + acc[1]) + (acc[2] + acc[3]) + rest
}

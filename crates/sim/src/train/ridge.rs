//! Ridge regression of many targets at once, in a fixed order of sums.

/// A symmetric matrix of sums of products, its lower part row by row, each row full length.
#[derive(Debug, Clone)]
pub struct Gram {
    n: usize,
    sums: Vec<f64>,
}

/// Rows added together before the sums are touched.
pub const ROWS_AT_ONCE: usize = 8;

impl Gram {
    /// No rows yet.
    pub fn new(n: usize) -> Self {
        Self { n, sums: vec![0.0; n * n] }
    }

    /// Adds eight rows; rows of zeros add nothing.
    pub fn add(&mut self, rows: &[Vec<f64>; ROWS_AT_ONCE]) {
        let n = self.n;
        for i in 0..n {
            let f: [f64; ROWS_AT_ONCE] = std::array::from_fn(|r| rows[r][i]);
            if f.iter().all(|v| *v == 0.0) {
                continue;
            }
            let [a, b, c, d, e, g, h, k] = f;
            let to = &mut self.sums[i * n..i * n + i + 1];
            let part = |r: usize| &rows[r][..=i];
            let (ra, rb, rc, rd) = (part(0), part(1), part(2), part(3));
            let (re, rg, rh, rk) = (part(4), part(5), part(6), part(7));
            for j in 0..to.len() {
                to[j] += ((a * ra[j] + b * rb[j]) + (c * rc[j] + d * rd[j]))
                    + ((e * re[j] + g * rg[j]) + (h * rh[j] + k * rk[j]));
            }
        }
    }

    /// Adds another one's sums.
    pub fn plus(&mut self, other: &Gram) {
        for (a, b) in self.sums.iter_mut().zip(&other.sums) {
            *a += b;
        }
    }

    /// Factors `G + lambda I` as `L L'`; column 0 is the constant and not shrunk.
    pub fn factor(&self, lambda: f64) -> Factor {
        let n = self.n;
        let mut l = self.sums.clone();
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
        Factor { n, l }
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

/// A factored system.
#[derive(Debug, Clone)]
pub struct Factor {
    n: usize,
    l: Vec<f64>,
}

impl Factor {
    /// Solves for many right-hand sides, given and returned column by column of targets:
    /// `sums[row * targets + k]`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let mut gram = Gram::new(2);
        let mut sums = vec![0.0; 2];
        let rows: [Vec<f64>; ROWS_AT_ONCE] = std::array::from_fn(|i| vec![1.0, i as f64]);
        for row in &rows {
            let y = 3.0 + 2.0 * row[1];
            sums[0] += y;
            sums[1] += row[1] * y;
        }
        gram.add(&rows);
        let x = gram.factor(0.0).solve(&sums, 1);
        assert!((x[0] - 3.0).abs() < 1e-4 && (x[1] - 2.0).abs() < 1e-4, "{x:?}");
    }
}

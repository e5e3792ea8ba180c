//! The run so far, in bounded memory: buckets of time that double in length when they run out.

use crate::status::Status;

/// Buckets kept: more than any terminal has columns, so that halving is never seen.
pub const BUCKETS_MAX: usize = 1024;
/// Length of a bucket to begin with.
const BUCKET_FIRST_NS: i64 = 1_000_000_000;

/// A value within a bucket. The extremes are kept, so that no spike is thinned away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    pub first: f64,
    pub min: f64,
    pub max: f64,
    pub last: f64,
}

impl Extent {
    fn of(v: f64) -> Self {
        Self { first: v, min: v, max: v, last: v }
    }

    fn then(self, later: Self) -> Self {
        Self {
            first: self.first,
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            last: later.last,
        }
    }

    /// Its values in the order to draw them.
    fn path(self) -> [f64; 4] {
        if self.first <= self.last {
            [self.first, self.min, self.max, self.last]
        } else {
            [self.first, self.max, self.min, self.last]
        }
    }
}

/// What is kept of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Expected settlement price, per MWh.
    Price,
    /// The fleet's break-even, per MWh.
    Breakeven,
    /// MW.
    Target,
    /// MW.
    Measured,
}

const LINES: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    start_ns: i64,
    values: [Option<Extent>; LINES],
}

/// The run so far.
#[derive(Debug)]
pub struct History {
    buckets: Vec<Bucket>,
    length_ns: i64,
    latest_ns: i64,
}

impl Default for History {
    fn default() -> Self {
        Self { buckets: Vec::new(), length_ns: BUCKET_FIRST_NS, latest_ns: i64::MIN }
    }
}

impl History {
    /// Takes a status in. Time that went back begins a new run.
    pub fn see(&mut self, s: &Status) {
        if s.seq == 0 {
            return;
        }
        if s.at_ns < self.latest_ns {
            *self = Self::default();
        }
        self.latest_ns = s.at_ns;
        let mw = |w: Option<i64>| w.map(|w| w as f64 / 1e6);
        let price = s.price.as_ref().map(|p| p.expected);
        let values = [price, s.mean_breakeven, mw(s.target_w), mw(s.measured_w)]
            .map(|v| v.filter(|v| v.is_finite()).map(Extent::of));
        let start_ns = s.at_ns.div_euclid(self.length_ns) * self.length_ns;
        self.take(Bucket { start_ns, values });
        if self.buckets.len() > BUCKETS_MAX {
            self.halve();
        }
    }

    fn take(&mut self, new: Bucket) {
        match self.buckets.last_mut() {
            Some(open) if open.start_ns == new.start_ns => {
                for (kept, later) in open.values.iter_mut().zip(new.values) {
                    *kept = match (*kept, later) {
                        (Some(k), Some(l)) => Some(k.then(l)),
                        (k, l) => k.or(l),
                    };
                }
            }
            _ => self.buckets.push(new),
        }
    }

    /// Doubles the length of the buckets until half of them are free.
    fn halve(&mut self) {
        while self.buckets.len() > BUCKETS_MAX / 2 {
            self.length_ns = self.length_ns.saturating_mul(2);
            for b in std::mem::take(&mut self.buckets) {
                let start_ns = b.start_ns.div_euclid(self.length_ns) * self.length_ns;
                self.take(Bucket { start_ns, ..b });
            }
        }
    }

    /// First and latest moment; `None` before the first status.
    pub fn bounds_ns(&self) -> Option<(i64, i64)> {
        Some((self.buckets.first()?.start_ns, self.latest_ns))
    }

    /// The line as runs of points, time in seconds since `from_ns`; what is missing parts them.
    pub fn runs(&self, line: Line, from_ns: i64) -> Vec<Vec<(f64, f64)>> {
        let mut runs = vec![Vec::new()];
        for b in &self.buckets {
            match b.values[line as usize] {
                Some(extent) => {
                    let t = (b.start_ns - from_ns) as f64 / 1e9;
                    let run = runs.last_mut().expect("there is always a run to add to");
                    run.extend(extent.path().map(|v| (t, v)));
                }
                None if runs.last().is_some_and(|r| !r.is_empty()) => runs.push(Vec::new()),
                None => {}
            }
        }
        runs.retain(|r| !r.is_empty());
        runs
    }

    /// The line's value at a moment: the last one told by then.
    pub fn at(&self, line: Line, ns: i64) -> Option<f64> {
        let after = self.buckets.partition_point(|b| b.start_ns <= ns);
        self.buckets[..after].last()?.values[line as usize].map(|e| e.last)
    }

    /// Lowest and highest value of the line.
    pub fn range(&self, line: Line) -> Option<(f64, f64)> {
        let extents = self.buckets.iter().filter_map(|b| b.values[line as usize]);
        extents.map(|e| (e.min, e.max)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

//! How one tree grows: level by level, each node by the question that tells its rows apart best.

use super::trees::{BINS, Cuts, Growth, SKETCHES, Sample, Sums};
use headgate_core::horizon::model::{Next, Split};
use std::ops::Range;

/// A tree in f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Grown {
    /// The questions.
    pub splits: Vec<Split>,
    /// For each leaf, for each target.
    pub leaves: Vec<f64>,
    /// How many targets.
    pub width: usize,
}

/// [`Sums`] over many rows.
type Wide = [f64; SKETCHES + 1];

/// What a tree is grown from.
#[derive(Debug)]
pub(super) struct Grower<'a> {
    pub cuts: &'a [Cuts],
    /// Features that may be asked about, by their place in `cuts`.
    pub columns: &'a [usize],
    /// The bin of each row in each feature: `[row * cuts + cut]`.
    pub bins: &'a [u8],
    /// By row.
    pub sums: &'a [Sums],
    pub growth: &'a Growth,
}

/// A node that is not done: its rows, their sums by feature and bin, and what leads to it.
struct Node {
    rows: Range<usize>,
    counted: Vec<Sums>,
    from: Option<(usize, bool)>,
}

/// A question: the column it is about, and the last bin on the low side.
#[derive(Clone, Copy)]
struct Question {
    column: usize,
    bin: usize,
}

impl Grower<'_> {
    /// Grows a tree on some rows; `left` is what its leaves are to take a part of.
    pub(super) fn grow(&self, mut rows: Vec<u32>, sample: &Sample<'_>, left: &[f32]) -> Grown {
        let mut tree = Grown { splits: Vec::new(), leaves: Vec::new(), width: sample.width };
        let counted = self.count(&rows);
        let mut open = vec![Node { rows: 0..rows.len(), counted, from: None }];
        for depth in 0..=self.growth.depth {
            let last = depth + 1 >= self.growth.depth;
            for node in std::mem::take(&mut open) {
                let question = if depth < self.growth.depth { self.best(&node) } else { None };
                match question {
                    Some(q) => open.extend(self.split(&mut tree, node, q, &mut rows, last)),
                    None => self.leaf(&mut tree, &node, &rows, sample, left),
                }
            }
        }
        tree
    }

    /// Sums of rows by feature and bin.
    fn count(&self, rows: &[u32]) -> Vec<Sums> {
        let mut counted = vec![Sums::default(); self.columns.len() * BINS];
        for i in rows.iter().map(|i| *i as usize) {
            let bins = &self.bins[i * self.cuts.len()..(i + 1) * self.cuts.len()];
            for (column, to) in self.columns.iter().zip(counted.chunks_exact_mut(BINS)) {
                add(&mut to[usize::from(bins[*column])], &self.sums[i]);
            }
        }
        counted
    }

    /// The question that gains most, if any does.
    fn best(&self, node: &Node) -> Option<Question> {
        let mut best = None;
        let mut most = 0.0;
        for (k, counted) in node.counted.chunks_exact(BINS).enumerate() {
            let mut all = Wide::default();
            counted.iter().for_each(|c| wide(&mut all, c));
            let whole = self.worth(&all);
            let mut low = Wide::default();
            for (bin, c) in counted[..self.cuts[self.columns[k]].at.len()].iter().enumerate() {
                wide(&mut low, c);
                let high: Wide = std::array::from_fn(|z| all[z] - low[z]);
                if low[SKETCHES].min(high[SKETCHES]) < self.growth.leaf {
                    continue;
                }
                let gain = self.worth(&low) + self.worth(&high) - whole;
                if gain > most {
                    (most, best) = (gain, Some(Question { column: k, bin }));
                }
            }
        }
        best
    }

    /// How much of the squares of what is left a leaf of such sums would take away.
    fn worth(&self, sums: &Wide) -> f64 {
        let squares: f64 = sums[..SKETCHES].iter().map(|s| s * s).sum();
        squares / (sums[SKETCHES] + self.growth.shrink)
    }

    /// Puts a question to a node's rows.
    fn split(
        &self,
        tree: &mut Grown,
        node: Node,
        q: Question,
        rows: &mut [u32],
        last: bool,
    ) -> [Node; 2] {
        let column = self.columns[q.column];
        let cuts = &self.cuts[column];
        let here = tree.splits.len();
        join(tree, node.from, Next::Split(index(here)));
        let of = u8::try_from(cuts.of).expect("features are fewer than 255");
        let open = Next::Leaf(0);
        tree.splits.push(Split { of, at: cuts.at[q.bin], low: open, high: open });
        let is_low =
            |i: &u32| usize::from(self.bins[*i as usize * self.cuts.len() + column]) <= q.bin;
        let own = &mut rows[node.rows.clone()];
        let (low, high): (Vec<u32>, Vec<u32>) = own.iter().partition(|i| is_low(i));
        own[..low.len()].copy_from_slice(&low);
        own[low.len()..].copy_from_slice(&high);
        let middle = node.rows.start + low.len();
        // The smaller half is counted, the other is what is left. Leaves need neither.
        let (mut fewer, mut more) = (Vec::new(), Vec::new());
        if !last {
            fewer = self.count(if low.len() < high.len() { &low } else { &high });
            more = node.counted;
            more.iter_mut().zip(&fewer).for_each(|(m, f)| subtract(m, f));
        }
        if low.len() >= high.len() {
            std::mem::swap(&mut fewer, &mut more);
        }
        let part = |rows, counted, high| Node { rows, counted, from: Some((here, high)) };
        [part(node.rows.start..middle, fewer, false), part(middle..node.rows.end, more, true)]
    }

    /// Ends a node with a leaf: a part of the mean of what its rows have left.
    fn leaf(&self, tree: &mut Grown, node: &Node, rows: &[u32], sample: &Sample<'_>, left: &[f32]) {
        let leaf = tree.leaves.len() / tree.width;
        join(tree, node.from, Next::Leaf(index(leaf)));
        let (mut sums, mut all) = (vec![0.0; sample.width], 0.0);
        for i in rows[node.rows.clone()].iter().map(|i| *i as usize) {
            let w = sample.weights[i];
            let left = &left[i * sample.width..(i + 1) * sample.width];
            sums.iter_mut().zip(left).for_each(|(s, v)| *s += w * f64::from(*v));
            all += w;
        }
        let part = self.growth.rate / (all + self.growth.shrink);
        tree.leaves.extend(sums.iter().map(|s| s * part));
    }
}

/// Says where the tree goes on after an answer to a question.
fn join(tree: &mut Grown, from: Option<(usize, bool)>, next: Next) {
    match from {
        Some((i, false)) => tree.splits[i].low = next,
        Some((i, true)) => tree.splits[i].high = next,
        None => {}
    }
}

fn index(i: usize) -> u16 {
    u16::try_from(i).expect("a tree has at most two to the power of its depth of each")
}

fn add(to: &mut Sums, from: &Sums) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
}

fn subtract(to: &mut Sums, from: &Sums) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t -= f);
}

fn wide(to: &mut Wide, from: &Sums) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += f64::from(*f));
}

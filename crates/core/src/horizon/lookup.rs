//! A table looked up at one decision's features: the worth of the anchors that are asked for.

use super::features::{FEATURES, Features};
use super::model::{ANCHORS_MAX, Anchors, CONSTANT_MAX, DEPTH_MAX, Next, TREES_MAX, Table, Tree};
use crate::number::to_i64;
use crate::units::Money;

/// Fractional bits of an interpolation weight.
pub(super) const WEIGHT_BITS: u32 = 16;
/// Leaves of a tree of at most six questions, and of any.
const LOW: usize = 64;
const HIGH: usize = 1 << DEPTH_MAX;
/// Anchors that are summed together: a loop over a known number of them is unrolled.
const LANES: usize = 4;
/// Places for features, such that no index of one needs to be checked.
const PLACES: usize = FEATURES.next_power_of_two();

const _: () = assert!(
    TREES_MAX as i64 * -(i16::MIN as i64) + CONSTANT_MAX as i64 <= i32::MAX as i64,
    "a sum over trees fits 32 bits"
);

/// A table made ready to be looked up. Its anchors are in an order in which those that one
/// decision asks for lie side by side, in blocks: off, then all levels of one count of steps
/// after the other, each filled up to whole blocks. Its trees are filled up to one depth, so that
/// every walk through one takes as many steps and none has to be guessed, and ask for a feature's
/// place among all that any of them asks of it, which is found once: they are small then, and what
/// is small is near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    unit: Money,
    /// By block.
    constant: Vec<[i32; LANES]>,
    /// By feature, rising: what trees ask whether it is more than.
    cuts: Vec<Vec<i32>>,
    /// Leaves of each tree when it is filled up: [`LOW`] or [`HIGH`].
    filled: usize,
    /// By tree, as many places as leaves: an unused one, the first question, the two that may
    /// follow it, the four that may follow these.
    splits: Vec<ReadySplit>,
    /// By tree, by answers: the leaf.
    ends: Vec<u8>,
    /// By tree: where its leaves' blocks begin.
    firsts: Vec<u32>,
    /// Blocks of a leaf.
    blocks: u32,
    /// By leaf, by block.
    leaves: Vec<[i16; LANES]>,
    /// Worths are cut off here, either way: none that it was fitted on was more.
    most: Money,
}

/// A question: whether more than so many of a feature's cuts are below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ReadySplit {
    of: u8,
    at: u8,
}

/// Anchors of a table by the blocks of a [`Ready`] one that they lie in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AnchorSet(u64);

/// Most blocks: each has an anchor.
const BLOCKS_MAX: usize = ANCHORS_MAX;
const _: () = assert!(BLOCKS_MAX <= u64::BITS as usize, "a block has a bit");

/// Worth of anchors relative to full power; what is said of others than were asked for is of no
/// meaning.
#[derive(Debug)]
pub(super) struct Worths([[i64; LANES]; BLOCKS_MAX]);

/// The place of an anchor in a [`Ready`] table.
pub(super) fn place(anchors: &Anchors, i: usize) -> usize {
    let off = anchors.off.len();
    i.checked_sub(off).map_or(i, |on| {
        let (level, steps) = (on / anchors.on.len(), on % anchors.on.len());
        let filled = |n: usize| n.next_multiple_of(LANES);
        filled(off) + steps * filled(anchors.levels.len()) + level
    })
}

impl Ready {
    /// Makes a table ready that was checked.
    pub(super) fn of(table: &Table, anchors: &Anchors, most: Money) -> Self {
        let states = table.constant.len();
        let places: Vec<usize> = (0..states).map(|i| place(anchors, i)).collect();
        let blocks = places.iter().max().map_or(0, |last| last / LANES + 1);
        let depths = table.trees.iter().map(|t| t.depth(states).expect("it was checked"));
        let leaves_most = 1 << depths.max().unwrap_or(0);
        let filled_up = if leaves_most <= LOW { LOW } else { HIGH };
        let cuts = cuts(table);
        let (mut splits, mut ends) = (Vec::new(), Vec::new());
        let (mut firsts, mut leaves) = (Vec::new(), Vec::new());
        for tree in &table.trees {
            let (asked, answers) = complete(tree, filled_up, &cuts);
            splits.extend(asked);
            ends.extend(answers);
            firsts.push(leaves.len() as u32);
            for leaf in tree.leaves.chunks_exact(states) {
                leaves.extend(filled(leaf, &places, blocks));
            }
        }
        let constant = filled(&table.constant, &places, blocks);
        let (unit, filled, blocks) = (table.unit, filled_up, blocks as u32);
        Self { unit, constant, cuts, filled, splits, ends, firsts, blocks, leaves, most }
    }

    /// Worth of anchors at a decision's features.
    pub(super) fn worths(&self, features: &Features, anchors: AnchorSet) -> Worths {
        let mut ends = [0; TREES_MAX];
        let ends = &mut ends[..self.firsts.len()];
        let x = self.counted(features);
        if self.filled == LOW {
            self.walk::<LOW>(&x, ends)
        } else {
            self.walk::<HIGH>(&x, ends)
        }
        let mut worths = Worths([[0; LANES]; BLOCKS_MAX]);
        let (list, count) = anchors.list();
        for b in list[..count].iter().map(|b| usize::from(*b)) {
            let mut sums = self.constant[b];
            for end in &*ends {
                let leaf = &self.leaves[*end as usize + b];
                for (sum, v) in sums.iter_mut().zip(leaf) {
                    *sum = sum.wrapping_add(i32::from(*v));
                }
            }
            let worth = |sum: i32| (i64::from(sum) * self.unit.0).clamp(-self.most.0, self.most.0);
            worths.0[b] = sums.map(worth);
        }
        worths
    }

    /// How many cuts of each feature are below it.
    fn counted(&self, features: &Features) -> [u8; PLACES] {
        let mut x = [0; PLACES];
        for ((x, cuts), feature) in x.iter_mut().zip(&self.cuts).zip(features) {
            *x = cuts.partition_point(|cut| cut < feature) as u8;
        }
        x
    }

    /// Goes through each tree to its leaf.
    fn walk<const LEAVES: usize>(&self, x: &[u8; PLACES], ends: &mut [u32]) {
        let (splits, leaves) = (self.splits.as_chunks::<LEAVES>().0, self.ends.as_chunks().0);
        let trees = splits.iter().zip(leaves).zip(&self.firsts);
        for (end, ((splits, leaves), first)) in ends.iter_mut().zip(trees) {
            let leaves: &[u8; LEAVES] = leaves;
            let mut i = 1;
            // Nothing here can be out of bounds, and the compiler sees that.
            for _ in 0..LEAVES.ilog2() {
                let ReadySplit { at, of } = splits[i % LEAVES];
                i = (i << 1) | usize::from(x[usize::from(of) % PLACES] > at);
            }
            *end = first + u32::from(leaves[i % LEAVES]) * self.blocks;
        }
    }
}

/// What a table's trees ask of each feature, rising.
pub(super) fn cuts(table: &Table) -> Vec<Vec<i32>> {
    let mut cuts = vec![Vec::new(); FEATURES];
    for split in table.trees.iter().flat_map(|t| &t.splits) {
        cuts[usize::from(split.of)].push(split.at);
    }
    for cuts in &mut cuts {
        cuts.sort_unstable();
        cuts.dedup();
    }
    cuts
}

/// Numbers of anchors at their places, in blocks.
fn filled<T: Copy + Default>(numbers: &[T], places: &[usize], blocks: usize) -> Vec<[T; LANES]> {
    let mut row = vec![[T::default(); LANES]; blocks];
    for (v, place) in numbers.iter().zip(places) {
        row[place / LANES][place % LANES] = *v;
    }
    row
}

/// A tree filled up to so many leaves: its questions, and the leaf for each way through them.
fn complete(tree: &Tree, leaves: usize, cuts: &[Vec<i32>]) -> (Vec<ReadySplit>, Vec<u8>) {
    let first = if tree.splits.is_empty() { Next::Leaf(0) } else { Next::Split(0) };
    let unused = ReadySplit { at: u8::MAX, of: 0 };
    let (mut splits, mut row) = (vec![unused], vec![first]);
    while row.len() < leaves {
        let mut below = Vec::with_capacity(2 * row.len());
        for next in row {
            // A leaf that is reached early is asked about nothing any more.
            let (split, low, high) = match next {
                Next::Leaf(_) => (unused, next, next),
                Next::Split(i) => {
                    let s = tree.splits[usize::from(i)];
                    let at = cuts[usize::from(s.of)].partition_point(|cut| *cut < s.at);
                    let at = u8::try_from(at).expect("a feature has fewer cuts");
                    (ReadySplit { at, of: s.of }, s.low, s.high)
                }
            };
            splits.push(split);
            below.extend([low, high]);
        }
        row = below;
    }
    let leaf = |next| match next {
        Next::Leaf(i) => u8::try_from(i).expect("a tree has fewer leaves"),
        Next::Split(_) => unreachable!("a tree is no deeper than the deepest"),
    };
    (splits, row.into_iter().map(leaf).collect())
}

impl AnchorSet {
    /// Those of a mixture.
    pub(super) fn of(mixture: &[(usize, i64)]) -> Self {
        Self(mixture.iter().fold(0, |set, (place, _)| set | 1 << (place / LANES)))
    }

    /// Adds others.
    pub(super) fn add(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// The blocks, the lowest first, and how many.
    fn list(self) -> ([u8; BLOCKS_MAX], usize) {
        let (mut list, mut count, mut left) = ([0; BLOCKS_MAX], 0, self.0);
        while left != 0 {
            list[count] = left.trailing_zeros() as u8;
            count += 1;
            left &= left - 1;
        }
        (list, count)
    }
}

impl Worths {
    /// Worth of a mixture of anchors that were asked for, by their places.
    pub(super) fn mixed(&self, mixture: &[(usize, i64)]) -> Money {
        let worth = |place: usize| i128::from(self.0[place / LANES][place % LANES]);
        let part = |(place, w): &(usize, i64)| worth(*place) * i128::from(*w);
        Money(to_i64(mixture.iter().map(part).sum::<i128>() >> WEIGHT_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::horizon::features::Knowledge;
    use crate::horizon::model::{DEPTH_MAX, Split};
    use proptest::prelude::*;

    const STATES: usize = 5;

    /// One anchor, question by question.
    fn plainly(table: &Table, features: &Features, anchor: usize) -> i64 {
        let leaf = |tree: &Tree| {
            let mut next = if tree.splits.is_empty() { Next::Leaf(0) } else { Next::Split(0) };
            loop {
                match next {
                    Next::Leaf(i) => return tree.leaves[usize::from(i) * STATES + anchor],
                    Next::Split(i) => {
                        let s = tree.splits[usize::from(i)];
                        next = if features[usize::from(s.of)] <= s.at { s.low } else { s.high };
                    }
                }
            }
        };
        let sum = table.trees.iter().map(|t| i64::from(leaf(t))).sum::<i64>();
        (sum + i64::from(table.constant[anchor])) * table.unit.0
    }

    fn table(trees: Vec<Tree>, constant: Vec<i32>, unit: Money) -> Table {
        Table { knowledge: Knowledge::Published, unit, constant, trees }
    }

    /// A tree of any shape: each question is put where one of the ways ended.
    fn tree() -> impl Strategy<Value = Tree> {
        let question = (0..FEATURES as u8, -90_000i32..90_000, any::<prop::sample::Index>());
        let leaves = prop::collection::vec(any::<i16>(), 21 * STATES);
        (prop::collection::vec(question, 0..20), leaves).prop_map(|(questions, mut leaves)| {
            let (mut splits, mut open) = (Vec::<Split>::new(), vec![(None, 0)]);
            for (of, at, way) in questions {
                let (from, depth) = open.swap_remove(way.index(open.len()));
                if depth == DEPTH_MAX {
                    open.push((from, depth));
                    continue;
                }
                let here = splits.len();
                join(&mut splits, from, Next::Split(here as u16));
                splits.push(Split { of, at, low: Next::Leaf(0), high: Next::Leaf(0) });
                open.extend([(Some((here, false)), depth + 1), (Some((here, true)), depth + 1)]);
            }
            leaves.truncate(open.len() * STATES);
            for (leaf, (from, _)) in open.into_iter().enumerate() {
                join(&mut splits, from, Next::Leaf(leaf as u16));
            }
            Tree { splits, leaves }
        })
    }

    fn join(splits: &mut [Split], from: Option<(usize, bool)>, next: Next) {
        match from {
            Some((i, false)) => splits[i].low = next,
            Some((i, true)) => splits[i].high = next,
            None => {}
        }
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_trees(
            trees in prop::collection::vec(tree(), 0..6),
            constant in prop::collection::vec(-CONSTANT_MAX..=CONSTANT_MAX, STATES),
            unit in 1i64..=1 << 32,
            features in prop::array::uniform32(-100_000i32..100_000),
            asked in 0u64..32,
            most in prop_oneof![Just(i64::MAX), 1i64..1_000_000_000],
        ) {
            let features = std::array::from_fn(|i| features[i % 32] ^ i as i32);
            let table = table(trees, constant, Money(unit));
            for tree in &table.trees {
                prop_assert!(tree.depth(STATES).is_some(), "{tree:?}");
            }
            let anchors = Anchors { off: vec![1], on: vec![1, 3], levels: vec![0, 5] };
            let asked: Vec<usize> = (0..STATES).filter(|i| asked >> i & 1 == 1).collect();
            let mut set = AnchorSet::default();
            for i in &asked {
                set.add(AnchorSet::of(&[(place(&anchors, *i), 1)]));
            }
            let worths = Ready::of(&table, &anchors, Money(most)).worths(&features, set);
            for i in asked {
                let plain = plainly(&table, &features, i).clamp(-most, most);
                let place = place(&anchors, i);
                prop_assert_eq!(worths.0[place / LANES][place % LANES], plain, "anchor {}", i);
            }
        }

        /// What does not hang together is refused, and nothing is read beyond an end.
        #[test]
        fn a_tree_that_does_not_hang_together_is_refused(
            tree in tree(),
            split in any::<prop::sample::Index>(),
            high in any::<bool>(),
            next in prop_oneof![
                (0u16..30).prop_map(Next::Split),
                (0u16..30).prop_map(Next::Leaf),
            ],
        ) {
            let mut tree = tree;
            prop_assume!(!tree.splits.is_empty());
            let i = split.index(tree.splits.len());
            join(&mut tree.splits, Some((i, high)), next);
            let within = match next {
                Next::Split(to) => usize::from(to) > i && usize::from(to) < tree.splits.len(),
                Next::Leaf(to) => usize::from(to) < tree.leaves.len() / STATES,
            };
            match tree.depth(STATES) {
                Some(depth) => {
                    prop_assert!(within && depth <= DEPTH_MAX);
                    let table = table(vec![tree.clone()], vec![0; STATES], Money(1));
                    let (splits, leaves) = complete(&tree, 1 << depth, &cuts(&table));
                    prop_assert_eq!((splits.len(), leaves.len()), (1 << depth, 1 << depth));
                }
                None => prop_assert!(!within || matches!(next, Next::Split(_))),
            }
        }
    }
}

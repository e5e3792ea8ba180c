//! A table looked up at one decision's features: the worth of the anchors that are asked for.

use super::features::{FEATURES, Features};
use super::model::{ANCHORS_MAX, Anchors, CONSTANT_MAX, LEAF_MAX, Next, TREES_MAX, Table, Tree};
use crate::number::to_i64;
use crate::units::Money;

/// Fractional bits of an interpolation weight.
pub(super) const WEIGHT_BITS: u32 = 16;
/// Anchors that are summed together: a loop over a known number of them is unrolled.
const LANES: usize = 4;
/// Places for features, such that no index of one needs to be checked.
const PLACES: usize = FEATURES.next_power_of_two();

const _: () = assert!(
    TREES_MAX as i64 * LEAF_MAX as i64 + CONSTANT_MAX as i64 <= i32::MAX as i64,
    "a sum over trees fits 32 bits"
);

/// Numbers of some anchors.
type Block = [i32; LANES];

/// A table made ready to be looked up. Its anchors are in an order in which those that one
/// decision asks for lie side by side, in blocks: off, then all levels of one count of steps
/// after the other, each filled up to whole blocks. Its trees are filled up to one depth, so that
/// every walk through one takes as many steps and none has to be guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    unit: Money,
    /// By block.
    constant: Vec<Block>,
    /// How many questions each tree asks, at least one.
    depth: u32,
    /// By tree: the first question, the two that may follow it, the four that may follow these.
    splits: Vec<ReadySplit>,
    /// By tree, by answers: where the leaf's blocks begin.
    ends: Vec<u32>,
    /// By leaf, by block.
    leaves: Vec<Block>,
    /// Worths are cut off here, either way: none that it was fitted on was more.
    most: Money,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ReadySplit {
    at: i32,
    of: u8,
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
        let filled = |numbers: &[i32]| {
            let mut row = vec![[0; LANES]; blocks];
            for (v, place) in numbers.iter().zip(&places) {
                row[place / LANES][place % LANES] = *v;
            }
            row
        };
        let depths = table.trees.iter().map(|t| t.depth(states).expect("it was checked"));
        let depth = depths.max().unwrap_or(0).max(1);
        let (mut splits, mut ends, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
        for tree in &table.trees {
            let (asked, answers) = complete(tree, depth);
            splits.extend(asked);
            ends.extend(answers.iter().map(|leaf| (leaves.len() + leaf * blocks) as u32));
            for leaf in tree.leaves.chunks_exact(states) {
                leaves.extend(filled(leaf));
            }
        }
        let (constant, depth) = (filled(&table.constant), depth as u32);
        Self { unit: table.unit, constant, depth, splits, ends, leaves, most }
    }

    /// Worth of anchors at a decision's features.
    pub(super) fn worths(&self, features: &Features, anchors: AnchorSet) -> Worths {
        let mut ends = [0; TREES_MAX];
        let trees = self.ends.len() >> self.depth;
        let ends = &mut ends[..trees];
        self.walk(features, ends);
        let mut worths = Worths([[0; LANES]; BLOCKS_MAX]);
        let (list, count) = anchors.list();
        for b in list[..count].iter().map(|b| usize::from(*b)) {
            let mut sums = self.constant[b];
            for end in &*ends {
                let leaf = &self.leaves[*end as usize + b];
                for (sum, v) in sums.iter_mut().zip(leaf) {
                    *sum = sum.wrapping_add(*v);
                }
            }
            let worth = |sum: i32| (i64::from(sum) * self.unit.0).clamp(-self.most.0, self.most.0);
            worths.0[b] = sums.map(worth);
        }
        worths
    }

    /// Goes through each tree to its leaf.
    fn walk(&self, features: &Features, ends: &mut [u32]) {
        let mut x = [0; PLACES];
        x[..FEATURES].copy_from_slice(features);
        let leaves = 1 << self.depth;
        let trees = self.splits.chunks_exact(leaves - 1).zip(self.ends.chunks_exact(leaves));
        for (end, (splits, leaves)) in ends.iter_mut().zip(trees) {
            let mut i = 0;
            for _ in 0..self.depth {
                let ReadySplit { at, of } = splits[i];
                i = 2 * i + 1 + usize::from(x[usize::from(of) % PLACES] > at);
            }
            *end = leaves[i - splits.len()];
        }
    }
}

/// A tree filled up to a depth: its questions, and the leaf for each way through them.
fn complete(tree: &Tree, depth: usize) -> (Vec<ReadySplit>, Vec<usize>) {
    let first = if tree.splits.is_empty() { Next::Leaf(0) } else { Next::Split(0) };
    let (mut splits, mut row) = (Vec::new(), vec![first]);
    for _ in 0..depth {
        let mut below = Vec::with_capacity(2 * row.len());
        for next in row {
            // A leaf that is reached early is asked about nothing any more.
            let (split, low, high) = match next {
                Next::Leaf(_) => (ReadySplit { at: i32::MAX, of: 0 }, next, next),
                Next::Split(i) => {
                    let s = tree.splits[usize::from(i)];
                    (ReadySplit { at: s.at, of: s.of }, s.low, s.high)
                }
            };
            splits.push(split);
            below.extend([low, high]);
        }
        row = below;
    }
    let leaf = |next| match next {
        Next::Leaf(i) => usize::from(i),
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

    /// A tree of any shape: each question is put where one of the ways ended.
    fn tree() -> impl Strategy<Value = Tree> {
        let question = (0..FEATURES as u8, -90_000i32..90_000, any::<prop::sample::Index>());
        let leaves = prop::collection::vec(-LEAF_MAX..=LEAF_MAX, 21 * STATES);
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
            unit in 1i64..1 << 31,
            features in prop::array::uniform32(-100_000i32..100_000),
            asked in 0u64..32,
            most in prop_oneof![Just(i64::MAX), 1i64..1_000_000_000],
        ) {
            let features = std::array::from_fn(|i| features[i % 32] ^ i as i32);
            let (unit, knowledge) = (Money(unit), Knowledge::Published);
            let table = Table { knowledge, unit, constant, trees };
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
                    let (splits, leaves) = complete(&tree, depth.max(1));
                    prop_assert_eq!(splits.len() + 1, leaves.len());
                }
                None => prop_assert!(!within || matches!(next, Next::Split(_))),
            }
        }
    }
}

//! A table looked up at one decision's features: the worth of the anchors that are asked for.

use super::features::{FEATURE_BITS, Features};
use super::model::{ANCHORS_MAX, Anchors, KNOTS_MAX, TERMS_MAX, Table, Term};
use crate::number::to_i64;
use crate::units::Money;

/// Fractional bits of an interpolation weight.
pub(super) const WEIGHT_BITS: u32 = 16;
/// Anchors that are looked up together: their coefficients fill a line of a processor's cache,
/// and a loop over a known number of them is unrolled.
const LANES: usize = 4;
/// Features at most this far from zero are within what 64 bits are enough for.
const FEATURE_MAX: u32 = 1 << 19;
/// No sum over a table is more where 64 bits are enough, with its fractional bits.
const SUM_MAX: i128 = 1 << 62;

/// A table made ready to be looked up. Its anchors are in an order in which those that one
/// decision asks for lie side by side, in blocks: off, then all levels of one count of steps
/// after the other, each filled up to whole blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    /// By block.
    constant: Vec<[i64; LANES]>,
    /// The terms, products last.
    terms: Vec<ReadyTerm>,
    /// How many are no products.
    plain: usize,
    /// By term, by piece, by block.
    pieces: Vec<Block>,
    /// Fractional bits of constants and of values at knots: those of a product of features, where
    /// 64 bits are then enough if no feature is beyond [`FEATURE_MAX`], or else none.
    bits: u32,
    /// Worths are cut off here, either way: none that it was fitted on was more.
    most: Money,
}

/// Coefficients of some anchors in one piece: value at the piece's lower knot, and slope.
#[repr(align(64))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Block {
    base: [i64; LANES],
    slope: [i64; LANES],
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ReadyTerm {
    /// The knots; above the last one, what no feature reaches.
    knots: [i32; KNOTS_MAX],
    count: usize,
    of: usize,
    /// What a product is multiplied by.
    times: usize,
    /// Where its pieces begin, and how long each is.
    first: usize,
    blocks: usize,
}

/// Where a feature lies in a term.
#[derive(Debug, Clone, Copy, Default)]
struct Spot {
    /// Where the blocks of its piece begin.
    piece: u32,
    /// How far into the piece it lies.
    into: i32,
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
        let bits = if most_of(table) <= SUM_MAX { FEATURE_BITS } else { 0 };
        let (plain, products): (Vec<&Term>, Vec<&Term>) =
            table.terms.iter().partition(|term| term.times.is_none());
        let mut pieces = Vec::new();
        let mut terms = Vec::with_capacity(table.terms.len());
        for term in plain.iter().chain(&products) {
            terms.push(ReadyTerm::of(term, pieces.len(), blocks));
            for piece in term.pieces.chunks_exact(states) {
                let first = pieces.len();
                pieces.resize(first + blocks, Block::default());
                for ((base, slope), place) in piece.iter().zip(&places) {
                    let block = &mut pieces[first + place / LANES];
                    block.base[place % LANES] = *base << bits;
                    block.slope[place % LANES] = *slope;
                }
            }
        }
        let mut constant = vec![[0; LANES]; blocks];
        for (c, place) in table.constant.iter().zip(&places) {
            constant[place / LANES][place % LANES] = *c << bits;
        }
        Self { constant, terms, plain: plain.len(), pieces, bits, most }
    }

    /// Worth of anchors at a decision's features. Where 64 bits are enough it is rounded once, and
    /// so by up to a micro-unit a term more than where each term is.
    pub(super) fn worths(&self, features: &Features, anchors: AnchorSet) -> Worths {
        let mut worths = Worths([[0; LANES]; BLOCKS_MAX]);
        let mut spots = [Spot::default(); TERMS_MAX];
        let spots = &mut spots[..self.terms.len()];
        for (spot, term) in spots.iter_mut().zip(&self.terms) {
            *spot = term.at(features[term.of]);
        }
        let (plain, products) = spots.split_at(self.plain);
        let far = features.iter().fold(0, |far, x| far.max(x.unsigned_abs()));
        let narrow = self.bits > 0 && far <= FEATURE_MAX;
        let (list, count) = anchors.list();
        for b in list[..count].iter().map(|b| usize::from(*b)) {
            let mut sums = self.constant[b];
            if narrow {
                for spot in plain {
                    self.pieces[spot.piece as usize + b].add(spot.into, &mut sums);
                }
                for (spot, term) in products.iter().zip(&self.terms[self.plain..]) {
                    let times = features[term.times];
                    self.pieces[spot.piece as usize + b].add_product(spot.into, times, &mut sums);
                }
                sums = sums.map(|sum| sum >> FEATURE_BITS);
            } else {
                self.add_wide(spots, features, b, &mut sums);
            }
            worths.0[b] = sums.map(|sum| sum.clamp(-self.most.0, self.most.0));
        }
        worths
    }

    /// Adds all terms to the sums of a block, whatever their size.
    #[cold]
    fn add_wide(&self, spots: &[Spot], features: &Features, block: usize, sums: &mut [i64; LANES]) {
        let scaled = |a: i64, b: i32| ((i128::from(a) * i128::from(b)) >> FEATURE_BITS) as i64;
        *sums = sums.map(|sum| sum >> self.bits);
        for (i, (spot, term)) in spots.iter().zip(&self.terms).enumerate() {
            let Block { base, slope } = &self.pieces[spot.piece as usize + block];
            for ((sum, base), slope) in sums.iter_mut().zip(base).zip(slope) {
                let here = (base >> self.bits) + scaled(*slope, spot.into);
                let plain = i < self.plain;
                *sum += if plain { here } else { scaled(here, features[term.times]) };
            }
        }
    }
}

/// The most that any sum over a table can be, and any step on the way to it, with the fractional
/// bits of a product of features, where no feature is beyond [`FEATURE_MAX`].
fn most_of(table: &Table) -> i128 {
    let far = i128::from(FEATURE_MAX);
    let states = table.constant.len();
    let largest = |term: &Term| {
        let knot = |i: usize| term.knots.get(i).map(|k| i128::from(*k));
        let pieces = term.pieces.chunks_exact(states).enumerate();
        let here = pieces.flat_map(|(i, piece)| {
            let from = knot(i.saturating_sub(1)).unwrap_or(0);
            let (low, high) = (if i == 0 { -far } else { from }, knot(i).unwrap_or(far));
            let reach = (high - from).abs().max((from - low).abs());
            let most = move |(base, slope): &(i64, i64)| {
                (i128::from(*base).abs() << FEATURE_BITS) + i128::from(*slope).abs() * reach
            };
            piece.iter().map(most)
        });
        let by = term.times.map_or(1, |_| far >> FEATURE_BITS);
        // A product rounds towards minus infinity before it is multiplied.
        (here.max().unwrap_or(0) + (1 << FEATURE_BITS)) * by
    };
    let constant = table.constant.iter().map(|c| i128::from(*c).abs() << FEATURE_BITS).max();
    constant.unwrap_or(0) + table.terms.iter().map(largest).sum::<i128>()
}

impl ReadyTerm {
    fn of(term: &Term, first: usize, blocks: usize) -> Self {
        let mut knots = [i32::MAX; KNOTS_MAX];
        knots[..term.knots.len()].copy_from_slice(&term.knots);
        Self {
            knots,
            count: term.knots.len(),
            of: usize::from(term.of),
            times: usize::from(term.times.unwrap_or(0)),
            first,
            blocks,
        }
    }

    /// Where a feature lies in it.
    #[inline]
    fn at(&self, x: i32) -> Spot {
        // Knots rise: this many lie at or below. Four are counted side by side.
        let mut below = [0; 4];
        for knots in self.knots.as_chunks().0 {
            let each: &[i32; 4] = knots;
            for (below, knot) in below.iter_mut().zip(each) {
                *below += i32::from(*knot <= x);
            }
        }
        let piece = (below.iter().sum::<i32>() as usize).min(self.count);
        let from = self.knots[piece.saturating_sub(1)];
        Spot { piece: (self.first + piece * self.blocks) as u32, into: x - from }
    }
}

impl Block {
    /// Adds a function of one feature to sums, where 64 bits are enough: nothing wraps.
    #[inline]
    fn add(&self, into: i32, sums: &mut [i64; LANES]) {
        for (l, sum) in sums.iter_mut().enumerate() {
            let way = self.slope[l].wrapping_mul(i64::from(into));
            *sum = sum.wrapping_add(self.base[l]).wrapping_add(way);
        }
    }

    /// Adds such a function times another feature to sums, where 64 bits are enough.
    #[inline]
    fn add_product(&self, into: i32, times: i32, sums: &mut [i64; LANES]) {
        for (l, sum) in sums.iter_mut().enumerate() {
            let way = self.slope[l].wrapping_mul(i64::from(into));
            let here = self.base[l].wrapping_add(way) >> FEATURE_BITS;
            *sum = sum.wrapping_add(here.wrapping_mul(i64::from(times)));
        }
    }
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
    use crate::horizon::features::{FEATURES, Knowledge};
    use proptest::prelude::*;

    /// One anchor, term by term in 128 bits.
    fn plainly(table: &Table, features: &Features, i: usize) -> i64 {
        let mut sum = i128::from(table.constant[i]);
        for term in &table.terms {
            let x = features[usize::from(term.of)];
            let piece = term.knots.iter().take_while(|k| **k <= x).count();
            let from = term.knots[piece.saturating_sub(1)];
            let (base, slope) = term.pieces[piece * table.constant.len() + i];
            let way = i128::from(slope) * (i128::from(x) - i128::from(from));
            let here = i128::from(base) + (way >> FEATURE_BITS);
            sum += term
                .times
                .map_or(here, |t| (here * i128::from(features[usize::from(t)])) >> FEATURE_BITS);
        }
        i64::try_from(sum).unwrap()
    }

    /// A table of five anchors; coefficients up to a bound.
    fn table(bound: i64) -> impl Strategy<Value = Table> {
        let term = move |knots: Vec<i32>| {
            let pieces = prop::collection::vec((-bound..=bound, -bound..=bound), 5 * 17);
            let feature = 0..FEATURES as u8;
            (feature.clone(), prop::option::of(feature), pieces).prop_map(
                move |(of, times, all)| {
                    let pieces = all[..5 * (knots.len() + 1)].to_vec();
                    Term { of, times, knots: knots.clone(), pieces }
                },
            )
        };
        let knots = prop::collection::btree_set(-90_000i32..90_000, 1..17);
        let terms = knots.prop_flat_map(move |k| term(k.into_iter().collect()));
        let constant = prop::collection::vec(-bound..=bound, 5);
        (constant, prop::collection::vec(terms, 0..6)).prop_map(|(constant, terms)| Table {
            knowledge: Knowledge::Published,
            constant,
            terms,
        })
    }

    fn agrees(table: &Table, features: &Features, asked: u64, most: i64, exactly: bool) {
        let anchors = Anchors { off: vec![1], on: vec![1, 3], levels: vec![0, 5] };
        let mut set = AnchorSet::default();
        let asked: Vec<usize> = (0..5).filter(|i| asked >> i & 1 == 1).collect();
        for i in &asked {
            set.add(AnchorSet::of(&[(place(&anchors, *i), 1)]));
        }
        let worths = Ready::of(table, &anchors, Money(most)).worths(features, set);
        for i in asked {
            let plain = plainly(table, features, i).clamp(-most, most);
            let place = place(&anchors, i);
            let got = worths.0[place / LANES][place % LANES];
            let rounding = if exactly { 0 } else { table.terms.len() as i64 };
            assert!((plain..=plain + rounding).contains(&got), "anchor {i}: {got} for {plain}");
        }
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_formula(
            table in prop_oneof![table(1_000_000), table(1_000_000_000_000)],
            features in prop::array::uniform32(-200_000i32..200_000),
            anchors in 0u64..32,
            most in prop_oneof![Just(i64::MAX), 1i64..1_000_000_000],
        ) {
            let features = std::array::from_fn(|i| features[i % 32] ^ i as i32);
            agrees(&table, &features, anchors, most, false);
        }

        /// At the bounds of what a model may say 128 bits are needed, and taken.
        #[test]
        fn wide_sums_are_too(
            table in table(1_000_000_000_000_000),
            feature in -30_000i32..30_000,
            anchors in 0u64..32,
        ) {
            let features = std::array::from_fn(|i| feature - 100 * i as i32);
            agrees(&table, &features, anchors, i64::MAX, true);
        }
    }
}

//! A table looked up at one decision's features: the worth of the anchors that are asked for.

use super::features::{FEATURE_BITS, Features};
use super::model::{ANCHORS_MAX, Table, Term};
use crate::number::to_i64;
use crate::units::Money;

/// Fractional bits of an interpolation weight.
pub(super) const WEIGHT_BITS: u32 = 16;
/// What a term comes to is at most this where 64 bits are enough for it: that many times
/// [`TERMS_MAX`](super::model::TERMS_MAX) fits them too.
const NARROW_MAX: i64 = 1 << 54;

/// The largest values and slopes of each term of a table, which tell where 64 bits are enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes(Vec<Size>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    base: i64,
    slope: i64,
}

/// Anchors of a table, each once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AnchorSet(u64);

const _: () = assert!(ANCHORS_MAX <= u64::BITS as usize, "an anchor has a bit");

/// Worth of anchors relative to full power; zero for those that were not asked for.
#[derive(Debug)]
pub(super) struct Worths([i64; ANCHORS_MAX]);

/// Where a term is looked up: the piece of all anchors, the way into it and what it is multiplied
/// by.
struct Place<'a> {
    piece: &'a [(i64, i64)],
    into: i32,
    times: Option<i32>,
}

impl Sizes {
    /// Those of a table whose coefficients are within bounds.
    pub(super) fn of(table: &Table) -> Self {
        let largest = |term: &Term| {
            let most = |size: Size, (base, slope): &(i64, i64)| Size {
                base: size.base.max(base.saturating_abs()),
                slope: size.slope.max(slope.saturating_abs()),
            };
            term.pieces.iter().fold(Size { base: 0, slope: 0 }, most)
        };
        Self(table.terms.iter().map(largest).collect())
    }
}

impl Size {
    /// Whether all that is worked out for a term at a place fits 64 bits, and what it comes to is
    /// at most [`NARROW_MAX`].
    fn narrow(self, into: i32, times: Option<i32>) -> bool {
        let product = self.slope.checked_mul(i64::from(into).abs());
        // Rounding goes towards minus infinity: by one at most.
        let here = product.and_then(|p| self.base.checked_add((p >> FEATURE_BITS) + 1));
        let all = match times {
            None => here,
            Some(times) => here
                .and_then(|h| h.checked_mul(i64::from(times).abs()))
                .map(|p| (p >> FEATURE_BITS) + 1),
        };
        all.is_some_and(|most| most <= NARROW_MAX)
    }
}

impl AnchorSet {
    /// Adds those of a mixture.
    pub(super) fn add(&mut self, mixture: &[(usize, i64)]) {
        for (i, _) in mixture {
            self.0 |= 1 << i;
        }
    }

    /// The anchors, the lowest first, and how many they are.
    fn list(self) -> ([u8; ANCHORS_MAX], usize) {
        let (mut list, mut count, mut left) = ([0; ANCHORS_MAX], 0, self.0);
        while left != 0 {
            list[count] = left.trailing_zeros() as u8;
            count += 1;
            left &= left - 1;
        }
        (list, count)
    }
}

impl<'a> Place<'a> {
    fn of(term: &'a Term, features: &Features, states: usize) -> Self {
        let x = features[usize::from(term.of)];
        // Knots rise: this many lie at or below.
        let piece = term.knots.iter().filter(|k| **k <= x).count();
        let from = term.knots[piece.saturating_sub(1)];
        let times = term.times.map(|i| features[usize::from(i)]);
        Self { piece: &term.pieces[piece * states..][..states], into: x - from, times }
    }

    /// Adds the term to each sum, where 64 bits are enough: nothing wraps.
    fn add_narrow(&self, anchors: &[u8], sums: &mut [i64]) {
        let into = i64::from(self.into);
        let here = |i: u8| {
            let (base, slope) = self.piece[usize::from(i)];
            base.wrapping_add(slope.wrapping_mul(into) >> FEATURE_BITS)
        };
        match self.times.map(i64::from) {
            None => {
                for (sum, i) in sums.iter_mut().zip(anchors) {
                    *sum = sum.wrapping_add(here(*i));
                }
            }
            Some(times) => {
                for (sum, i) in sums.iter_mut().zip(anchors) {
                    *sum = sum.wrapping_add(here(*i).wrapping_mul(times) >> FEATURE_BITS);
                }
            }
        }
    }

    /// Adds the term to each sum, whatever its size.
    fn add_wide(&self, anchors: &[u8], sums: &mut [i64]) {
        let scaled = |a: i64, b: i32| ((i128::from(a) * i128::from(b)) >> FEATURE_BITS) as i64;
        for (sum, i) in sums.iter_mut().zip(anchors) {
            let (base, slope) = self.piece[usize::from(*i)];
            let here = base + scaled(slope, self.into);
            *sum += self.times.map_or(here, |times| scaled(here, times));
        }
    }
}

impl Worths {
    /// What a table says of anchors at a decision's features, no more than `most` either way:
    /// beyond what it was fitted on a line goes on for ever, and says nothing.
    pub(super) fn of(
        table: &Table,
        sizes: &Sizes,
        features: &Features,
        anchors: AnchorSet,
        most: Money,
    ) -> Self {
        let states = table.constant.len();
        let (list, count) = anchors.list();
        let list = &list[..count];
        let mut sums = [0; ANCHORS_MAX];
        for (sum, i) in sums.iter_mut().zip(list) {
            *sum = table.constant[usize::from(*i)];
        }
        let sums = &mut sums[..count];
        for (term, size) in table.terms.iter().zip(&sizes.0) {
            let place = Place::of(term, features, states);
            if size.narrow(place.into, place.times) {
                place.add_narrow(list, sums);
            } else {
                place.add_wide(list, sums);
            }
        }
        let mut worths = [0; ANCHORS_MAX];
        for (sum, i) in sums.iter().zip(list) {
            worths[usize::from(*i)] = (*sum).clamp(-most.0, most.0);
        }
        Self(worths)
    }

    /// Worth of a mixture of anchors that were asked for.
    pub(super) fn mixed(&self, mixture: &[(usize, i64)]) -> Money {
        let part = |(i, w): &(usize, i64)| i128::from(self.0[*i]) * i128::from(*w);
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

    /// A table of three anchors; coefficients up to a bound.
    fn table(bound: i64) -> impl Strategy<Value = Table> {
        let term = move |knots: Vec<i32>| {
            let pieces = prop::collection::vec((-bound..=bound, -bound..=bound), 3 * 17);
            let feature = 0..FEATURES as u8;
            (feature.clone(), prop::option::of(feature), pieces).prop_map(
                move |(of, times, all)| {
                    let pieces = all[..3 * (knots.len() + 1)].to_vec();
                    Term { of, times, knots: knots.clone(), pieces }
                },
            )
        };
        let knots = prop::collection::btree_set(-90_000i32..90_000, 1..17);
        let terms = knots.prop_flat_map(move |k| term(k.into_iter().collect()));
        let constant = prop::collection::vec(-bound..=bound, 3);
        (constant, prop::collection::vec(terms, 0..6)).prop_map(|(constant, terms)| Table {
            knowledge: Knowledge::Published,
            constant,
            terms,
        })
    }

    fn agrees(table: &Table, features: &Features, anchors: u64, most: i64) {
        let sizes = Sizes::of(table);
        let worths = Worths::of(table, &sizes, features, AnchorSet(anchors), Money(most));
        for i in 0..3 {
            let asked = anchors >> i & 1 == 1;
            let plain = if asked { plainly(table, features, i).clamp(-most, most) } else { 0 };
            assert_eq!(worths.0[i], plain, "anchor {i}");
        }
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_formula(
            table in prop_oneof![table(1_000_000), table(1_000_000_000_000)],
            features in prop::array::uniform32(-200_000i32..200_000),
            anchors in 0u64..8,
            most in prop_oneof![Just(i64::MAX), 1i64..1_000_000_000],
        ) {
            let features = std::array::from_fn(|i| features[i % 32] ^ i as i32);
            agrees(&table, &features, anchors, most);
        }

        /// At the bounds of what a model may say 128 bits are needed, and taken.
        #[test]
        fn wide_sums_are_too(
            table in table(1_000_000_000_000_000),
            feature in -30_000i32..30_000,
            anchors in 0u64..8,
        ) {
            let features = std::array::from_fn(|i| feature - 100 * i as i32);
            agrees(&table, &features, anchors, i64::MAX);
        }
    }
}

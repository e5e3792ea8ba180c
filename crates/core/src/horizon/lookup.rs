//! A table looked up at one decision's features: the worth of the anchors that are asked for.

use super::features::{FEATURE_BITS, Features};
use super::model::{ANCHORS_MAX, Anchors, KNOTS_MAX, Table, Term};
use crate::number::to_i64;
use crate::units::Money;

/// Fractional bits of an interpolation weight.
pub(super) const WEIGHT_BITS: u32 = 16;
/// A function of one feature is at most this where 64 bits are enough for a term, and so is what
/// it is multiplied by: their product then fits, and so do as many terms as there can be.
const HERE_MAX: i64 = 1 << 42;
const TIMES_MAX: u32 = 1 << 20;

/// A table made ready to be looked up. Its anchors are in an order in which those that one
/// decision asks for lie side by side: off, then all levels of one count of steps after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    constant: Vec<i64>,
    terms: Vec<ReadyTerm>,
    /// By term, by piece, by anchor: value at the piece's lower knot, and slope.
    pieces: Vec<(i64, i64)>,
    /// Worths are cut off here, either way: none that it was fitted on was more.
    most: Money,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ReadyTerm {
    /// The knots; above the last one, what no feature reaches.
    knots: [i32; KNOTS_MAX],
    count: usize,
    of: usize,
    times: Option<usize>,
    /// Where its pieces begin.
    first: usize,
    /// As far into a piece, to either side, 64 bits are enough.
    narrow: i64,
}

/// Anchors of a table, each once, by their place in a [`Ready`] one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AnchorSet(u64);

const _: () = assert!(ANCHORS_MAX <= u64::BITS as usize, "an anchor has a bit");

/// Worth of anchors relative to full power; what is said of others than were asked for is of no
/// meaning.
#[derive(Debug)]
pub(super) struct Worths([i64; ANCHORS_MAX]);

/// The place of an anchor in a [`Ready`] table.
pub(super) fn place(anchors: &Anchors, i: usize) -> usize {
    let off = anchors.off.len();
    i.checked_sub(off).map_or(i, |on| {
        let (level, steps) = (on / anchors.on.len(), on % anchors.on.len());
        off + steps * anchors.levels.len() + level
    })
}

impl Ready {
    /// Makes a table ready that was checked.
    pub(super) fn of(table: &Table, anchors: &Anchors, most: Money) -> Self {
        let states = table.constant.len();
        let mut order = vec![0; states];
        for i in 0..states {
            order[place(anchors, i)] = i;
        }
        let mut pieces = Vec::new();
        let mut terms = Vec::with_capacity(table.terms.len());
        for term in &table.terms {
            terms.push(ReadyTerm::of(term, pieces.len()));
            for piece in term.pieces.chunks_exact(states) {
                pieces.extend(order.iter().map(|i| piece[*i]));
            }
        }
        let constant = order.iter().map(|i| table.constant[*i]).collect();
        Self { constant, terms, pieces, most }
    }

    /// Worth of anchors at a decision's features.
    pub(super) fn worths(&self, features: &Features, anchors: AnchorSet) -> Worths {
        let states = self.constant.len();
        let mut sums = [0; ANCHORS_MAX];
        sums[..states].copy_from_slice(&self.constant);
        let (runs, count) = anchors.runs();
        let runs = &runs[..count];
        for term in &self.terms {
            let x = features[term.of];
            // Knots rise: this many lie at or below.
            let below: i32 = term.knots.iter().map(|k| i32::from(*k <= x)).sum();
            let piece = (below as usize).min(term.count);
            let into = x - term.knots[piece.saturating_sub(1)];
            let times = term.times.map(|i| features[i]);
            let narrow = i64::from(into.unsigned_abs()) <= term.narrow
                && times.is_none_or(|t| t.unsigned_abs() <= TIMES_MAX);
            let piece = &self.pieces[term.first + piece * states..][..states];
            for (from, to) in runs {
                let (from, to) = (usize::from(*from), usize::from(*to));
                let (piece, sums) = (&piece[from..to], &mut sums[from..to]);
                match times {
                    _ if !narrow => add_wide(piece, into, times, sums),
                    None => add(piece, into, sums),
                    Some(times) => add_product(piece, into, times, sums),
                }
            }
        }
        for sum in &mut sums[..states] {
            *sum = (*sum).clamp(-self.most.0, self.most.0);
        }
        Worths(sums)
    }
}

impl ReadyTerm {
    fn of(term: &Term, first: usize) -> Self {
        let mut knots = [i32::MAX; KNOTS_MAX];
        knots[..term.knots.len()].copy_from_slice(&term.knots);
        let largest = |of: fn(&(i64, i64)) -> i64| {
            term.pieces.iter().map(|p| of(p).saturating_abs()).max().unwrap_or(0)
        };
        let (base, slope) = (largest(|p| p.0), largest(|p| p.1));
        // Rounding goes towards minus infinity: by one at most.
        let left = HERE_MAX.saturating_sub(base).saturating_sub(1);
        let narrow = if left < 0 { -1 } else { (left << FEATURE_BITS) / slope.max(1) };
        Self {
            knots,
            count: term.knots.len(),
            of: usize::from(term.of),
            times: term.times.map(usize::from),
            first,
            narrow,
        }
    }
}

/// Adds a function of one feature to sums, where 64 bits are enough: nothing wraps.
#[inline]
fn add(piece: &[(i64, i64)], into: i32, sums: &mut [i64]) {
    for (sum, (base, slope)) in sums.iter_mut().zip(piece) {
        let here = base.wrapping_add(slope.wrapping_mul(i64::from(into)) >> FEATURE_BITS);
        *sum = sum.wrapping_add(here);
    }
}

/// Adds such a function times another feature to sums, where 64 bits are enough.
#[inline]
fn add_product(piece: &[(i64, i64)], into: i32, times: i32, sums: &mut [i64]) {
    for (sum, (base, slope)) in sums.iter_mut().zip(piece) {
        let here = base.wrapping_add(slope.wrapping_mul(i64::from(into)) >> FEATURE_BITS);
        *sum = sum.wrapping_add(here.wrapping_mul(i64::from(times)) >> FEATURE_BITS);
    }
}

/// Adds either to sums, whatever its size.
#[cold]
fn add_wide(piece: &[(i64, i64)], into: i32, times: Option<i32>, sums: &mut [i64]) {
    let scaled = |a: i64, b: i32| ((i128::from(a) * i128::from(b)) >> FEATURE_BITS) as i64;
    for (sum, (base, slope)) in sums.iter_mut().zip(piece) {
        let here = base + scaled(*slope, into);
        *sum += times.map_or(here, |times| scaled(here, times));
    }
}

impl AnchorSet {
    /// Adds those of a mixture.
    pub(super) fn add(&mut self, mixture: &[(usize, i64)]) {
        for (place, _) in mixture {
            self.0 |= 1 << place;
        }
    }

    /// The anchors as half-open ranges, the lowest first, and how many ranges.
    fn runs(self) -> ([(u8, u8); ANCHORS_MAX / 2], usize) {
        let (mut runs, mut count) = ([(0, 0); ANCHORS_MAX / 2], 0);
        let (mut left, mut from) = (self.0, 0);
        while left != 0 {
            let gap = left.trailing_zeros();
            let length = (left >> gap).trailing_ones();
            runs[count] = ((from + gap) as u8, (from + gap + length) as u8);
            count += 1;
            from += gap + length;
            left = left.checked_shr(gap + length).unwrap_or(0);
        }
        (runs, count)
    }
}

impl Worths {
    /// Worth of a mixture of anchors that were asked for, by their places.
    pub(super) fn mixed(&self, mixture: &[(usize, i64)]) -> Money {
        let part = |(place, w): &(usize, i64)| i128::from(self.0[*place]) * i128::from(*w);
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

    fn agrees(table: &Table, features: &Features, asked: u64, most: i64) {
        let anchors = Anchors { off: vec![1], on: vec![1, 3], levels: vec![0, 5] };
        let mut set = AnchorSet::default();
        let asked: Vec<usize> = (0..5).filter(|i| asked >> i & 1 == 1).collect();
        for i in &asked {
            set.add(&[(place(&anchors, *i), 1)]);
        }
        let worths = Ready::of(table, &anchors, Money(most)).worths(features, set);
        for i in asked {
            let plain = plainly(table, features, i).clamp(-most, most);
            assert_eq!(worths.0[place(&anchors, i)], plain, "anchor {i}");
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
            agrees(&table, &features, anchors, most);
        }

        /// At the bounds of what a model may say 128 bits are needed, and taken.
        #[test]
        fn wide_sums_are_too(
            table in table(1_000_000_000_000_000),
            feature in -30_000i32..30_000,
            anchors in 0u64..32,
        ) {
            let features = std::array::from_fn(|i| feature - 100 * i as i32);
            agrees(&table, &features, anchors, i64::MAX);
        }
    }
}

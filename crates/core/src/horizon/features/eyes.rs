//! Features of prices kept from one decision to the next: most of what a decision looks at, the
//! one before it looked at too.

use super::{FEATURE_BITS, asinh};
use crate::number::to_i64;
use crate::units::Price;

/// Places for settlement prices: more than are looked back over.
const SETTLED: usize = 32;
/// Places for all other prices.
const OTHERS: usize = 64;

/// What was worked out for the decisions before.
///
/// It is no part of what is known: each place holds a price and the feature of that price, which
/// depends on nothing else, so whatever it holds, what is seen is the same.
#[derive(Debug, Clone)]
pub struct Eyes {
    value: Price,
    scale: Price,
    /// The lowest price whose feature is above zero.
    above_from: Price,
    settled: [(Price, i32); SETTLED],
    others: [(Price, i32); OTHERS],
}

impl Default for Eyes {
    fn default() -> Self {
        Self::on(Price::ZERO, Price::ZERO)
    }
}

impl Eyes {
    /// Eyes that have seen nothing but the value itself, which is zero as a feature.
    fn on(value: Price, scale: Price) -> Self {
        Self {
            value,
            scale,
            above_from: above_from(value, scale),
            settled: [(value, 0); SETTLED],
            others: [(value, 0); OTHERS],
        }
    }

    /// Turns to a value and a scale; what was seen with others is forgotten.
    pub(super) fn turn(&mut self, value: Price, scale: Price) {
        if (self.value, self.scale) != (value, scale) {
            *self = Self::on(value, scale);
        }
    }

    /// A settlement price as a feature; `nth` is the number of its interval.
    #[inline]
    pub(super) fn settled(&mut self, nth: i64, price: Price) -> i32 {
        let place = &mut self.settled[(nth & (SETTLED as i64 - 1)) as usize];
        if place.0 != price {
            *place = (price, feature(price, self.value, self.scale));
        }
        place.1
    }

    /// Whether a price as a feature is above zero.
    #[inline]
    pub(super) fn above(&self, price: Price) -> bool {
        price >= self.above_from
    }

    /// A price as a feature.
    #[inline]
    pub(super) fn z(&mut self, price: Price) -> i32 {
        // Multiplied by 2^64 over the golden ratio, close prices lie far apart.
        let spread = (price.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &mut self.others[(spread >> (u64::BITS - OTHERS.ilog2())) as usize];
        if place.0 != price {
            *place = (price, feature(price, self.value, self.scale));
        }
        place.1
    }
}

/// The lowest price whose feature is above zero: near zero a feature is its argument, cut.
pub(super) fn above_from(value: Price, scale: Price) -> Price {
    let one = (scale.0.max(1) - 1) / (1 << FEATURE_BITS) + 1;
    Price(value.0.saturating_add(one))
}

/// Fixed-point `asinh((p - value) / scale)`, as a feature.
pub(super) fn feature(price: Price, value: Price, scale: Price) -> i32 {
    const BOUND: i64 = 1 << 40;
    let scale = scale.0.max(1);
    // Nearly every distance fits 64 bits, where division is many times faster.
    let gap = price.0.checked_sub(value.0).and_then(|gap| gap.checked_mul(asinh::ONE));
    let scaled = match gap {
        Some(gap) => (gap / scale).clamp(-BOUND, BOUND),
        None => {
            let gap = i128::from(price.0) - i128::from(value.0);
            let scaled = gap * i128::from(asinh::ONE) / i128::from(scale);
            to_i64(scaled.clamp(i128::from(-BOUND), i128::from(BOUND)))
        }
    };
    let z = asinh::asinh(scaled);
    i32::try_from(z >> (asinh::BITS - FEATURE_BITS)).expect("asinh of a bounded number")
}

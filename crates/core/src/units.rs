//! Quantities with dimensions: integers in the smallest useful unit, one type each.

use crate::number::{div_floor, div_half_even, show, to_i64};
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

/// Watt-seconds in one megawatt-hour.
pub const WATT_SECONDS_PER_MWH: i128 = 3_600_000_000;
/// Nanoseconds in one second.
pub const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// Micro-currency in one unit of currency.
pub const MICRO: i64 = 1_000_000;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(pub i64);

        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0);

            /// The difference clamped at zero from below.
            #[must_use]
            pub fn minus_or_zero(self, other: Self) -> Self {
                Self((self.0 - other.0).max(0))
            }

            /// This many of it.
            #[must_use]
            pub fn times(self, n: i64) -> Self {
                Self(self.0.checked_mul(n).expect("a product of bounded inputs fits"))
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, o: Self) -> Self {
                Self(self.0 + o.0)
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, o: Self) -> Self {
                Self(self.0 - o.0)
            }
        }
        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, o: Self) {
                self.0 += o.0;
            }
        }
        impl SubAssign for $name {
            fn sub_assign(&mut self, o: Self) {
                self.0 -= o.0;
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self::ZERO, Add::add)
            }
        }
    };
}

quantity! {
    /// Electric power in watts; import at the meter is positive.
    Power
}
quantity! {
    /// Electric energy in watt-seconds.
    Energy
}
quantity! {
    /// Price of energy in micro-currency per megawatt-hour.
    Price
}
quantity! {
    /// Money in micro-currency.
    Money
}
quantity! {
    /// Work per second: GH/s for hashing, thousandths of a unit per second for anything else.
    Rate
}

impl Power {
    /// Energy drawn at this power for a span, rounded to the nearest watt-second.
    #[must_use]
    #[inline]
    pub fn over(self, span: Span) -> Energy {
        let seconds = span.as_seconds();
        if Span::seconds(seconds) == span {
            return Energy(to_i64(i128::from(self.0) * i128::from(seconds)));
        }
        let product = i128::from(self.0) * i128::from(span.0);
        Energy(to_i64(div_half_even(product, NANOS_PER_SECOND)))
    }

    /// This power scaled by a share in parts per million, rounded down.
    #[must_use]
    #[inline]
    pub fn scaled(self, ppm: i64) -> Power {
        // The product fits 64 bits for anything below nine terawatts, and divides far faster.
        match self.0.checked_mul(ppm) {
            Some(product) => Power(product.div_euclid(1_000_000)),
            None => Power(to_i64(div_floor(i128::from(self.0) * i128::from(ppm), 1_000_000))),
        }
    }
}

impl Price {
    /// Cost of an energy at this price, rounded half to even.
    #[must_use]
    #[inline]
    pub fn of(self, energy: Energy) -> Money {
        let product = i128::from(self.0) * i128::from(energy.0);
        Money(to_i64(div_half_even(product, WATT_SECONDS_PER_MWH)))
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.unsigned_abs() >= 1_000_000 {
            write!(f, "{} MW", show(self.0, 6, 3))
        } else if self.0.unsigned_abs() >= 1_000 {
            write!(f, "{} kW", show(self.0, 3, 1))
        } else {
            write!(f, "{} W", self.0)
        }
    }
}

impl fmt::Display for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milli_mwh = div_half_even(i128::from(self.0) * 1000, WATT_SECONDS_PER_MWH);
        write!(f, "{} MWh", show(to_i64(milli_mwh), 3, 3))
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/MWh", show(self.0, 6, 2))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", show(self.0, 6, 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_megawatt_for_an_hour_costs_its_price() {
        let energy = Power(1_000_000).over(Span::hours(1));
        assert_eq!(i128::from(energy.0), WATT_SECONDS_PER_MWH);
        assert_eq!(Price(95_000_000).of(energy), Money(95_000_000));
        assert_eq!(Price(-250_000_000).of(energy), Money(-250_000_000));
    }

    #[test]
    fn energy_of_parts_of_a_second_is_rounded_to_even() {
        let over = |watts: i64, millis: i64| Power(watts).over(Span::millis(millis)).0;
        assert_eq!([over(7, 1_000), over(-7, 2_000), over(7, 900_000)], [7, -14, 6_300]);
        assert_eq!([over(1, 500), over(3, 500), over(-3, 500), over(5, 300)], [0, 2, -2, 2]);
    }

    #[test]
    fn quantities_read_well() {
        assert_eq!(Power(7_000_000).to_string(), "7.000 MW");
        assert_eq!(Power(-30).to_string(), "-30 W");
        assert_eq!(Price(-4_100_000).to_string(), "-4.10/MWh");
        assert_eq!(Energy(3_600_000_000).to_string(), "1.000 MWh");
    }
}

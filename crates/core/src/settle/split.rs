//! Splits that lose nothing.

/// Splits a total in proportion to weights: each part is rounded down in size and what is left
/// goes, one by one, to the largest remainders, ties to the first. Weights below zero count as
/// zero; where all are zero the parts are equal.
///
/// # Panics
/// When there is a total and nothing to split it over.
#[must_use]
pub fn split(total: i64, weights: &[i64]) -> Vec<i64> {
    if weights.is_empty() {
        assert!(total == 0, "a sum is split over at least one part");
        return Vec::new();
    }
    let weigh = |w: &i64| i128::from((*w).max(0));
    let all: i128 = weights.iter().map(weigh).sum();
    let even = all == 0;
    let all = if even { i128::try_from(weights.len()).expect("few parts") } else { all };
    let size = i128::from(total.unsigned_abs());
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        let share = size * if even { 1 } else { weigh(weight) };
        parts.push(share / all);
        remainders.push((std::cmp::Reverse(share % all), at));
    }
    let left = size - parts.iter().sum::<i128>();
    remainders.sort_unstable();
    for (_, at) in remainders.iter().take(usize::try_from(left).expect("fewer than parts")) {
        parts[*at] += 1;
    }
    let sign = if total < 0 { -1 } else { 1 };
    parts.iter().map(|p| i64::try_from(sign * p).expect("a part is within the total")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_remainder_goes_to_the_largest_then_the_first() {
        assert_eq!(split(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(split(-10, &[1, 1, 1]), [-4, -3, -3]);
        assert_eq!(split(7, &[0, 0]), [4, 3]);
        assert_eq!(split(100, &[1, 0, 2]), [33, 0, 67]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(
            total in -1_000_000_000_000i64..1_000_000_000_000,
            weights in proptest::collection::vec(-5i64..1_000_000_000, 1..40),
        ) {
            let parts = split(total, &weights);
            prop_assert_eq!(parts.iter().sum::<i64>(), total);
            prop_assert!(parts.iter().all(|p| p.signum() * total.signum() >= 0));
        }
    }
}

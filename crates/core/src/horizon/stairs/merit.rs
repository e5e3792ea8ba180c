//! Merit order over time: energy of a period, where nothing couples its steps.

use crate::time::Span;
use crate::units::{Energy, NANOS_PER_SECOND, Power, Price};

/// Spreads an energy over the steps in which it gains most, at up to `most` in each, ties to the
/// earlier step; the power of each step. The last step taken runs in part, rounded up to a watt.
/// `None` when the steps cannot hold it.
#[must_use]
pub fn spread(gains: &[Price], most: Power, step: Span, energy: Energy) -> Option<Vec<Power>> {
    let whole = most.over(step).0;
    if whole <= 0 || step.0 <= 0 {
        return (energy.0 <= 0).then(|| vec![Power::ZERO; gains.len()]);
    }
    let full = usize::try_from(energy.0.max(0) / whole).unwrap_or(usize::MAX);
    let rest = i128::from(energy.0.max(0) % whole) * NANOS_PER_SECOND;
    let part = crate::number::to_i64(crate::number::div_ceil(rest, i128::from(step.0)));
    if full > gains.len() || (full == gains.len() && part > 0) {
        return None;
    }
    let mut order: Vec<usize> = (0..gains.len()).collect();
    let better = |n: &usize| (std::cmp::Reverse(gains[*n]), *n);
    // Which steps are taken matters, in which order they are does not.
    if full < order.len() {
        order.select_nth_unstable_by_key(full, better);
    }
    let mut powers = vec![Power::ZERO; gains.len()];
    order[..full].iter().for_each(|n| powers[*n] = most);
    if let Some(n) = order.get(full) {
        powers[*n] = Power(part);
    }
    Some(powers)
}

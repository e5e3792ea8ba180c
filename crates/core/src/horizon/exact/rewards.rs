//! What each step pays, in whole micro-currency.

use super::kernel::NEVER;
use super::{Ahead, Lattice};
use crate::units::{Energy, WATT_SECONDS_PER_MWH};

/// What a step's energy earns at each level.
#[derive(Debug, Clone)]
pub(super) struct Rewards {
    energies: Vec<Energy>,
    pub most: Energy,
    /// The energies in MWh as fractions over one denominator.
    pub parts: Vec<i64>,
    whole: i64,
}

impl Rewards {
    pub fn new(lattice: &Lattice) -> Self {
        let energies: Vec<Energy> =
            lattice.levels().iter().map(|p| p.over(lattice.step())).collect();
        let mwh = i64::try_from(WATT_SECONDS_PER_MWH).expect("a constant that fits");
        let common = energies.iter().fold(mwh, |a, e| gcd(a, e.0));
        Self {
            most: energies.iter().copied().max().unwrap_or(Energy::ZERO),
            parts: energies.iter().map(|e| e.0 / common).collect(),
            whole: mwh / common,
            energies,
        }
    }

    /// Writes what a step pays at each level. `small` promises that products fit.
    #[inline]
    pub fn pay(&self, ahead: &Ahead<'_>, t: usize, small: bool, into: &mut [i64]) {
        let gain = ahead.gains[t];
        match (small, self.whole) {
            (true, 1) => {
                let each = into.iter_mut().zip(&self.parts);
                each.for_each(|(pay, part)| *pay = gain.0.wrapping_mul(*part));
            }
            (true, whole) => {
                let each = into.iter_mut().zip(&self.parts);
                each.for_each(|(pay, part)| *pay = half_even(gain.0.wrapping_mul(*part), whole));
            }
            _ => {
                let each = into.iter_mut().zip(&self.energies);
                each.for_each(|(pay, energy)| *pay = gain.of(*energy).0);
            }
        }
        if let Some(awake) = ahead.awake.get(t) {
            into.iter_mut().for_each(|pay| *pay = pay.wrapping_add(awake.0));
        }
        if let Some(band) = ahead.bands.get(t) {
            for (l, pay) in (0u16..).zip(into) {
                *pay = if band.allows(Some(l)) { *pay } else { NEVER };
            }
        }
    }
}

/// Divides to the nearest, halves to even; `n` has 62 bits, `d` is positive.
fn half_even(n: i64, d: i64) -> i64 {
    let (q, r) = (n.div_euclid(d), n.rem_euclid(d));
    match (2 * r).cmp(&d) {
        std::cmp::Ordering::Less => q,
        std::cmp::Ordering::Greater => q + 1,
        std::cmp::Ordering::Equal => q + (q & 1),
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

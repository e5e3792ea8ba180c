//! Which intervals were a system's peaks.

use super::terms::{CoincidentPeakTariff, Peak};
use crate::time::{Interval, Time};
use crate::units::Power;
use std::cmp::Reverse;

/// Picks the peaks of each month: the highest loads, ties to the earlier, in time order.
///
/// `months` are the tariff's own months as the calendar has them; `known_to` is how far the
/// loads reach: a month that ends after it may still have another peak.
#[must_use]
pub fn coincident_peaks(
    tariff: &CoincidentPeakTariff,
    months: &[Interval],
    loads: &[(Interval, Power)],
    known_to: Time,
) -> Vec<Peak> {
    let mut peaks = Vec::new();
    for month in months {
        let mut within: Vec<&(Interval, Power)> = loads
            .iter()
            .filter(|(i, _)| month.contains(i.start) && i.length() == tariff.interval)
            .collect();
        within.sort_by_key(|(interval, power)| (Reverse(*power), interval.start));
        let settled = month.end <= known_to;
        let picked = within.iter().take(usize::from(tariff.peaks));
        peaks.extend(picked.map(|(interval, _)| Peak { interval: *interval, settled }));
    }
    peaks.sort_unstable();
    peaks
}

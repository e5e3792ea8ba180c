//! Charges on power: booked on the interval that caused them.

use super::input::Metered;
use super::line::{Class, Component, Line, Quantity};
use super::statement::{Settled, Unsettled, Why, number};
use super::terms::{Charge, CoincidentPeakTariff, Demand, Peak, Terms};
use crate::number::{div_ceil, div_half_even, to_i64};
use crate::time::Interval;
use crate::units::{Energy, Money, NANOS_PER_SECOND, Power};

/// Watts in a kilowatt.
const KILO: i128 = 1000;

/// Books every charge; one that falls on what is not settled is told, not dropped.
pub(super) fn book(
    terms: &Terms,
    inputs: &[Metered],
    intervals: &mut [Settled],
    unsettled: &mut Vec<Unsettled>,
) {
    for (place, charge) in terms.charges.iter().enumerate() {
        let place = number(place);
        match charge {
            Charge::CoincidentPeak { tariff, from, to, peaks, .. } => {
                let in_term = |p: &&Peak| *from <= p.interval.start && p.interval.start < *to;
                for peak in peaks.iter().filter(in_term) {
                    if coincident(place, tariff, peak, intervals).is_none() {
                        let (interval, why) = (peak.interval, Why::PeakNotSettled);
                        unsettled.push(Unsettled { interval, why });
                    }
                }
            }
            Charge::Demand(demand) => self::demand(place, demand, inputs, intervals, unsettled),
        }
    }
}

/// Mean power of an energy over an interval, rounded up: a charge forgives nothing.
fn mean(energy: Energy, interval: &Interval) -> Power {
    let nanos = i128::from(interval.length().0);
    Power(to_i64(div_ceil(i128::from(energy.0) * NANOS_PER_SECOND, nanos)))
}

/// What a power costs at a rate per kilowatt, split over `parts`.
fn by_kilowatt(power: Power, rate: Money, parts: i64) -> Money {
    let product = i128::from(power.0) * i128::from(rate.0);
    Money(to_i64(div_half_even(product, KILO * i128::from(parts))))
}

fn line(component: Component, power: Power, cost: Money) -> Line {
    Line {
        component,
        class: Class::OtherCost,
        quantity: Quantity::Power(power),
        quote: None,
        exchange: None,
        amount: -cost,
    }
}

/// Books a peak of the system on the first interval in it; `None` where not all of it is settled.
fn coincident(
    place: u16,
    tariff: &CoincidentPeakTariff,
    peak: &Peak,
    intervals: &mut [Settled],
) -> Option<()> {
    let from = intervals.partition_point(|s| s.interval.start < peak.interval.start);
    let to = intervals.partition_point(|s| s.interval.end <= peak.interval.end);
    let within = &mut intervals[from..to.max(from)];
    let settled: i64 = within.iter().map(|s| s.interval.length().0).sum();
    if settled != peak.interval.length().0 {
        return None;
    }
    let power = mean(within.iter().map(|s| s.energy).sum(), &peak.interval);
    let cost = by_kilowatt(power, tariff.rate, tariff.peaks_a_year());
    within.first_mut()?.lines.push(line(Component::CoincidentPeak(place), power, cost));
    Some(())
}

/// Books each month's demand on the interval that set it, the first of equals. Every metered
/// interval may set it, whether or not the rest of it could be settled.
fn demand(
    place: u16,
    demand: &Demand,
    inputs: &[Metered],
    intervals: &mut [Settled],
    unsettled: &mut Vec<Unsettled>,
) {
    for month in &demand.months {
        let mut highest: Option<(Interval, Power)> = None;
        for input in inputs {
            let start = input.interval.start;
            let counts = month.contains(start) && demand.from <= start && start < demand.to;
            let Some(energy) = input.energy.filter(|_| counts) else { continue };
            let power = mean(energy, &input.interval);
            if highest.is_none_or(|(_, most)| power > most) {
                highest = Some((input.interval, power));
            }
        }
        let Some((interval, power)) = highest else { continue };
        match intervals.binary_search_by_key(&interval.start, |s| s.interval.start) {
            Ok(at) => {
                let cost = by_kilowatt(power, demand.rate, 1);
                intervals[at].lines.push(line(Component::Demand(place), power, cost));
            }
            Err(_) => unsettled.push(Unsettled { interval, why: Why::PeakNotSettled }),
        }
    }
}

//! The calendar of charges: months where the market is, and the system's peaks in them.

use super::gather::Inputs;
use crate::cli::SettleArgs;
use headgate_core::settle::{Charge, Peak, Terms, coincident_peaks};
use headgate_core::time::{Interval, SECOND, Time};
use headgate_core::units::Power;
use headgate_feeds::Options;
use headgate_feeds::schedule::ScheduleKind;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::path::Path;

/// What people call a charge.
pub fn name(charge: &Charge) -> String {
    match charge {
        Charge::CoincidentPeak { name, .. } => name.clone(),
        Charge::Demand(demand) => demand.name.clone(),
    }
}

/// The terms with the peaks and months of this span.
pub fn terms(inputs: &mut Inputs<'_>, args: &SettleArgs, span: Interval) -> anyhow::Result<Terms> {
    let mut terms = inputs.loaded.terms.clone();
    let zone = inputs.market.zone().clone();
    let months = months(&zone, span)?;
    let listed = match &args.peaks {
        Some(path) => inputs.schedule(path, ScheduleKind::Peak)?,
        None => Vec::new(),
    };
    let loads = loads(inputs, args)?;
    let known_to = loads.iter().map(|(i, _)| i.end).max().unwrap_or(Time::MIN);
    let mut open = 0usize;
    for charge in &mut terms.charges {
        match charge {
            Charge::Demand(demand) => {
                demand.months = months.iter().map(|(_, m)| *m).collect();
            }
            Charge::CoincidentPeak { tariff, peaks, .. } => {
                let of = months.iter().filter(|(n, _)| tariff.months.contains(n));
                let own: Vec<Interval> = of.map(|(_, m)| *m).collect();
                let within = |p: &Interval| own.iter().any(|m| m.contains(p.start));
                let told =
                    listed.iter().map(|e| Interval::starting(e.interval.start, tariff.interval));
                let told = told.filter(within).map(|interval| Peak { interval, settled: true });
                *peaks = told.collect();
                if !loads.is_empty() {
                    *peaks = coincident_peaks(tariff, &own, &loads, known_to);
                }
                let found = peaks.len();
                // Peaks of the same months that another statement covers are its own.
                peaks.retain(|p| span.contains(p.interval.start));
                open += peaks.iter().filter(|p| !p.settled).count();
                let wanted = own.len() * usize::from(tariff.peaks);
                if found < wanted {
                    inputs.notes.push(format!(
                        "{} of {wanted} coincident peaks of this span are not known and not \
                         charged: give --peaks or --loads",
                        wanted - found
                    ));
                }
                let fits = loads.iter().any(|(i, _)| i.length() == tariff.interval);
                if let Some((one, _)) = loads.first().filter(|_| !fits) {
                    inputs.notes.push(format!(
                        "the system load given is by {}, and these peaks last {}: name them with \
                         --peaks",
                        one.length(),
                        tariff.interval
                    ));
                }
                if tariff.lag > 0 && !peaks.is_empty() {
                    inputs.notes.push(format!(
                        "coincident peaks are booked when they are, and billed {} year later",
                        tariff.lag
                    ));
                }
            }
        }
    }
    if open > 0 {
        inputs.notes.push(format!(
            "{open} coincident peaks are the highest so far, of months that are not over"
        ));
    }
    Ok(terms)
}

/// The system's load as it was known, by interval; a later file corrects an earlier one.
fn loads(inputs: &mut Inputs<'_>, args: &SettleArgs) -> anyhow::Result<Vec<(Interval, Power)>> {
    let mut all_loads: BTreeMap<Time, (Interval, Power)> = BTreeMap::new();
    for spec in &args.loads {
        let parsed =
            headgate_feeds::load_with(Path::new(spec), inputs.market, &Options::default())?;
        let all = parsed.loads.iter().max_by_key(|l| l.rows.first().map(|r| r.power));
        let rows = all.map_or(&[][..], |l| &l.rows);
        let known = rows.iter().filter(|r| inputs.as_of.is_none_or(|now| r.known_at <= now));
        all_loads.extend(known.map(|r| (r.interval.start, (r.interval, r.power))));
        inputs.sources.push(format!("system load: {spec}, {} rows", rows.len()));
    }
    Ok(all_loads.into_values().collect())
}

/// Months of the market's calendar that a span touches, whole, with their numbers.
pub fn months(zone: &TimeZone, span: Interval) -> anyhow::Result<Vec<(u8, Interval)>> {
    let civil = |t: Time| -> anyhow::Result<jiff::civil::Date> {
        let stamp = jiff::Timestamp::from_second(t.0.div_euclid(SECOND))?;
        Ok(zone.to_datetime(stamp).date())
    };
    let moment = |d: jiff::civil::Date| -> anyhow::Result<Time> {
        Ok(Time::from_seconds(zone.to_timestamp(d.at(0, 0, 0, 0))?.as_second()))
    };
    let mut first = civil(span.start)?.first_of_month();
    let mut out = Vec::new();
    loop {
        let next = first.last_of_month().tomorrow()?;
        let month = Interval { start: moment(first)?, end: moment(next)? };
        if month.start >= span.end {
            return Ok(out);
        }
        out.push((u8::try_from(first.month())?, month));
        first = next;
    }
}

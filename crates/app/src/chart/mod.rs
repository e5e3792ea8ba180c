//! Charts outside the live view: as SVG text for pages, as PNG files, as lines of a terminal.

pub mod plot;
pub mod png;
pub mod svg;
pub mod text;

use headgate_core::time::{Interval, SECOND, Span, Time};
use jiff::tz::TimeZone;

/// Labels along a time axis, about.
const MARKS_MAX: i64 = 8;
/// A span up to this shows hours.
const HOURS_SHOWN: Span = Span::hours(60);
/// A span from this on shows years with its months.
const YEARS_SHOWN_DAYS: i64 = 300;

/// The x of a moment: hours since the epoch.
pub fn hours(at: Time) -> f64 {
    at.0 as f64 / (3600.0 * SECOND as f64)
}

/// Labels of a time axis, in a zone's own days and hours.
pub fn marks(span: Interval, zone: &TimeZone) -> Vec<(f64, String)> {
    let Ok(first) = jiff::Timestamp::from_second(span.start.0.div_euclid(SECOND)) else {
        return Vec::new();
    };
    if span.length() <= HOURS_SHOWN {
        return hour_marks(span, zone);
    }
    let days = (span.length().0 / Span::hours(24).0).max(1);
    let by_month = days >= YEARS_SHOWN_DAYS;
    let all = if by_month { days / 30 } else { days };
    let every = usize::try_from((all + MARKS_MAX - 1) / MARKS_MAX).unwrap_or(1).max(1);
    let form = if by_month { "%b %Y" } else { "%-d %b" };
    let start = zone.to_datetime(first).date();
    let mut date = if by_month { start.first_of_month() } else { start };
    let mut out = Vec::new();
    for n in 0..=all + 2 {
        let Ok(midnight) = zone.to_timestamp(date.at(0, 0, 0, 0)) else { break };
        let at = Time::from_seconds(midnight.as_second());
        let n = usize::try_from(n).unwrap_or(0);
        if at >= span.start && at < span.end && n.is_multiple_of(every) {
            out.push((hours(at), date.strftime(form).to_string()));
        }
        let next = if by_month { date.last_of_month().tomorrow() } else { date.tomorrow() };
        match next {
            Ok(next) => date = next,
            Err(_) => break,
        }
    }
    out
}

fn hour_marks(span: Interval, zone: &TimeZone) -> Vec<(f64, String)> {
    let whole = (span.length().0 / Span::hours(1).0).max(1);
    let every = [1i64, 2, 3, 6, 12].into_iter().find(|n| whole / n <= MARKS_MAX).unwrap_or(12);
    let mut out = Vec::new();
    let mut at = span.start.interval(Span::hours(1)).start;
    while at < span.end {
        if let Ok(stamp) = jiff::Timestamp::from_second(at.0.div_euclid(SECOND)) {
            let local = zone.to_datetime(stamp);
            if at >= span.start && i64::from(local.hour()) % every == 0 {
                out.push((hours(at), local.strftime("%-d %b %H:%M").to_string()));
            }
        }
        at += Span::hours(1);
    }
    out
}

//! Time as the engine knows it: UTC nanoseconds, spans, half-open intervals.

use crate::units::NANOS_PER_SECOND;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Nanoseconds in one second, as `i64`.
pub const SECOND: i64 = 1_000_000_000;

/// A moment: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub i64);

/// A length of time in nanoseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Span(pub i64);

/// A half-open interval `[start, end)` in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// First moment inside.
    pub start: Time,
    /// First moment after.
    pub end: Time,
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// This many seconds.
    #[must_use]
    pub const fn seconds(n: i64) -> Self {
        Self(n * SECOND)
    }
    /// This many milliseconds.
    #[must_use]
    pub const fn millis(n: i64) -> Self {
        Self(n * 1_000_000)
    }
    /// This many minutes.
    #[must_use]
    pub const fn minutes(n: i64) -> Self {
        Self::seconds(n * 60)
    }
    /// This many hours.
    #[must_use]
    pub const fn hours(n: i64) -> Self {
        Self::seconds(n * 3600)
    }
    /// Whole seconds, cut.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0 / SECOND
    }
}

impl Time {
    /// The earliest moment that can be told.
    pub const MIN: Self = Self(i64::MIN / 4);
    /// The latest moment that can be told.
    pub const MAX: Self = Self(i64::MAX / 4);

    /// A moment by whole seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(s: i64) -> Self {
        Self(s * SECOND)
    }

    /// Time since an earlier moment; negative when that moment is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> Span {
        Span(self.0 - earlier.0)
    }

    /// The interval of this length, counted from the epoch, that contains the moment.
    ///
    /// # Panics
    /// When `step` is not positive.
    #[must_use]
    pub fn interval(self, step: Span) -> Interval {
        assert!(step.0 > 0, "an interval has a length");
        let start = Time(self.0.div_euclid(step.0) * step.0);
        Interval { start, end: start + step }
    }

    /// Whole seconds since the UTC day began.
    #[must_use]
    pub fn as_second_of_day(self) -> i64 {
        self.0.div_euclid(SECOND).rem_euclid(86_400)
    }

    /// Day number since the epoch, in UTC.
    #[must_use]
    pub fn day(self) -> i32 {
        let days = self.0.div_euclid(86_400 * SECOND);
        i32::try_from(days).expect("a day number fits 32 bits")
    }
}

impl Interval {
    /// An interval from its start and length.
    #[must_use]
    pub fn starting(start: Time, length: Span) -> Self {
        Self { start, end: start + length }
    }
    /// Whether the moment lies inside.
    #[must_use]
    pub fn contains(&self, t: Time) -> bool {
        self.start <= t && t < self.end
    }
    /// How long it is.
    #[must_use]
    pub fn length(&self) -> Span {
        self.end.since(self.start)
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, s: Span) -> Time {
        Time(self.0.saturating_add(s.0))
    }
}
impl Sub<Span> for Time {
    type Output = Time;
    fn sub(self, s: Span) -> Time {
        Time(self.0.saturating_sub(s.0))
    }
}
impl AddAssign<Span> for Time {
    fn add_assign(&mut self, s: Span) {
        *self = *self + s;
    }
}
impl Add for Span {
    type Output = Span;
    fn add(self, o: Span) -> Span {
        Span(self.0 + o.0)
    }
}
impl Sub for Span {
    type Output = Span;
    fn sub(self, o: Span) -> Span {
        Span(self.0 - o.0)
    }
}

/// Writes RFC 3339 in UTC, with a fraction only where there is one.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(SECOND);
        let nanos = self.0.rem_euclid(SECOND);
        let (y, m, d) = civil_from_days(seconds.div_euclid(86_400));
        let s = seconds.rem_euclid(86_400);
        write!(f, "{y:04}-{m:02}-{d:02}T{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)?;
        if nanos != 0 {
            let text = format!("{nanos:09}");
            write!(f, ".{}", text.trim_end_matches('0'))?;
        }
        write!(f, "Z")
    }
}

/// Proleptic Gregorian date of a day number since 1970-01-01, by 400-year eras starting in March.
fn civil_from_days(day: i64) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = doy - (153 * mp + 2) / 5 + 1;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.as_seconds();
        match s.unsigned_abs() {
            0..=119 => write!(f, "{s} s"),
            120..=7199 => write!(f, "{} min", s / 60),
            _ => write!(f, "{} h", s / 3600),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

const _: () = assert!(NANOS_PER_SECOND == SECOND as i128, "one second, told twice");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_rfc_3339() {
        let show = |s: i64| Time::from_seconds(s).to_string();
        assert_eq!(show(0), "1970-01-01T00:00:00Z");
        assert_eq!(show(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(show(1_724_198_123), "2024-08-20T23:55:23Z");
        assert_eq!(Time(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn intervals_are_half_open() {
        let i = Time::from_seconds(899).interval(Span::minutes(15));
        assert_eq!(i, Interval::starting(Time(0), Span::minutes(15)));
        assert!(i.contains(Time(0)) && !i.contains(i.end));
        assert_eq!(Time(-1).interval(Span::minutes(15)).end, Time(0));
    }
}

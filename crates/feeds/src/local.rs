//! Wall-clock time of a market into UTC, with the hour that happens twice and the one that does
//! not happen at all; offsets are remembered per hour, because files have many rows an hour.

use crate::limits::LOCAL_HOURS_MAX;
use headgate_core::time::{SECOND, Span, Time};
use jiff::civil::{Date, DateTime, Time as Clock};
use jiff::tz::{AmbiguousOffset, TimeZone};
use std::collections::HashMap;

/// Which pass of a repeated hour a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The first one, still in summer time.
    First,
    /// The second one, in standard time.
    Second,
    /// The file does not say.
    Unsaid,
}

/// Says why a local time is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalError {
    /// The clocks go forward over it.
    Skipped,
    /// It happens twice, and the file does not say which is meant.
    Twice,
    /// It is marked as the second pass but happens once.
    Once,
}

/// First year a date may be of; earlier is a typing error, not a market.
pub const YEAR_MIN: i64 = 1990;
/// Last year a date may be of; nanoseconds stay far inside 64 bits.
pub const YEAR_MAX: i64 = 2199;

/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;

/// A market's wall clock.
#[derive(Debug)]
pub struct LocalClock {
    zone: TimeZone,
    hours: HashMap<(i32, u8), Hour>,
    last: Option<((i32, u8), Hour)>,
}

/// How one local hour maps to UTC, where the whole hour maps alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hour {
    /// One offset in seconds.
    Once(i64),
    /// Happens twice: the offsets of the first and the second pass.
    Twice(i64, i64),
    /// Does not happen.
    Skipped,
    /// Changes within the hour: each moment is looked up by itself.
    Mixed,
}

impl LocalClock {
    /// A clock of this zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, hours: HashMap::new(), last: None }
    }

    /// The moment of a local day (its number since 1970-01-01) and second of the day.
    ///
    /// # Errors
    /// [`LocalError`] when that local time does not happen, or happens twice and `pass` is
    /// unsaid, or happens once and `pass` is the second.
    pub fn utc(&mut self, day: i32, second: u32, pass: Pass) -> Result<Time, LocalError> {
        let local = i64::from(day) * DAY_SECONDS + i64::from(second);
        let hour = match self.hour(day, second) {
            Hour::Mixed => look_up(&self.zone, day, second),
            hour => hour,
        };
        let offset = match (hour, pass) {
            (Hour::Once(o), Pass::First | Pass::Unsaid) => o,
            (Hour::Twice(first, _), Pass::First) => first,
            (Hour::Twice(_, second), Pass::Second) => second,
            (Hour::Once(_), Pass::Second) => return Err(LocalError::Once),
            (Hour::Twice(..), Pass::Unsaid) => return Err(LocalError::Twice),
            (Hour::Skipped | Hour::Mixed, _) => return Err(LocalError::Skipped),
        };
        Ok(Time::from_seconds(local - offset))
    }

    fn hour(&mut self, day: i32, second: u32) -> Hour {
        let hour = u8::try_from(second / 3600).unwrap_or(u8::MAX);
        let key = (day, hour);
        if let Some((last, found)) = self.last
            && last == key
        {
            return found;
        }
        if self.hours.len() >= LOCAL_HOURS_MAX {
            self.hours.clear();
        }
        let zone = &self.zone;
        let found = *self.hours.entry(key).or_insert_with(|| {
            let begin = u32::from(hour) * 3600;
            let (first, last) = (look_up(zone, day, begin), look_up(zone, day, begin + 3599));
            if first == last { first } else { Hour::Mixed }
        });
        self.last = Some((key, found));
        found
    }
}

fn look_up(zone: &TimeZone, day: i32, second: u32) -> Hour {
    let Some(local) = civil(day, second) else { return Hour::Skipped };
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => Hour::Once(i64::from(offset.seconds())),
        AmbiguousOffset::Gap { .. } => Hour::Skipped,
        AmbiguousOffset::Fold { before, after } => {
            Hour::Twice(i64::from(before.seconds()), i64::from(after.seconds()))
        }
    }
}

fn civil(day: i32, second: u32) -> Option<DateTime> {
    let epoch = Date::constant(1970, 1, 1);
    let date = epoch.checked_add(jiff::Span::new().try_days(day).ok()?).ok()?;
    let part = |n: u32| i8::try_from(n).ok();
    let (h, m, s) = (part(second / 3600)?, part(second / 60 % 60)?, part(second % 60)?);
    Some(date.to_datetime(Clock::new(h, m, s, 0).ok()?))
}

/// The local day number and second of the day of a moment.
#[must_use]
pub fn local_of(zone: &TimeZone, at: Time) -> (i32, u32) {
    let seconds = at.0.div_euclid(SECOND);
    let stamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let local = seconds + i64::from(zone.to_offset(stamp).seconds());
    let day = i32::try_from(local.div_euclid(DAY_SECONDS)).unwrap_or(i32::MAX);
    (day, u32::try_from(local.rem_euclid(DAY_SECONDS)).unwrap_or(0))
}

/// Reads a date as `MM/DD/YYYY`, `YYYY-MM-DD` or `YYYY/MM/DD`: its day number since 1970-01-01.
#[must_use]
pub fn date(text: &[u8]) -> Option<i32> {
    let separator = if text.contains(&b'/') { b'/' } else { b'-' };
    let mut parts = text.split(|b| *b == separator);
    let (a, b, c) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = if a.len() == 4 { (a, b, c) } else { (c, a, b) };
    if year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    day_number(whole(year)?, whole(month)?, whole(day)?)
}

/// Reads a time of day as `HH:MM`, `HH:MM:SS` or with a fraction: second of the day and nanos.
#[must_use]
pub fn clock(text: &[u8]) -> Option<(u32, i64)> {
    let (text, nanos) = match text.iter().position(|b| *b == b'.') {
        None => (text, 0),
        Some(at) => {
            let digits = &text[at + 1..];
            let scale = 9usize.checked_sub(digits.len())?;
            (&text[..at], whole(digits)? * 10i64.pow(u32::try_from(scale).ok()?))
        }
    };
    let mut parts = text.split(|b| *b == b':');
    let hour = whole(parts.next()?)?;
    let minute = whole(parts.next()?)?;
    let second = parts.next().map_or(Some(0), whole)?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((u32::try_from(hour * 3600 + minute * 60 + second).ok()?, nanos))
}

/// Splits `DATE TIME` or `DATETTIME` and reads both: day, second of the day, nanos.
#[must_use]
pub fn stamp(text: &[u8]) -> Option<(i32, u32, i64)> {
    let at = text.iter().position(|b| matches!(b, b' ' | b'T'))?;
    let (second, nanos) = clock(text[at + 1..].trim_ascii())?;
    Some((date(&text[..at])?, second, nanos))
}

/// Reads a moment in UTC: `2024-06-01T05:00:00Z`, an offset such as `+00:00`, or neither where
/// the column says that it is UTC. A date alone is its first moment.
#[must_use]
pub fn utc(text: &[u8]) -> Option<Time> {
    let (body, offset_s) = match text.strip_suffix(b"Z") {
        Some(body) => (body, 0),
        None => match text.iter().rposition(|b| matches!(b, b'+' | b'-')) {
            Some(at) if at > 10 => {
                let (second, _) = clock(&text[at + 1..])?;
                let sign = if text[at] == b'-' { -1 } else { 1 };
                (&text[..at], sign * i64::from(second))
            }
            _ => (text, 0),
        },
    };
    let (day, second, nanos) = match date(body) {
        Some(day) => (day, 0, 0),
        None => stamp(body)?,
    };
    let seconds = i64::from(day) * DAY_SECONDS + i64::from(second) - offset_s;
    Some(Time::from_seconds(seconds) + Span(nanos))
}

/// Reads a whole number of at most nine digits.
#[must_use]
pub fn whole(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0')))
}

/// Day number since 1970-01-01 of a date that exists and lies in the years of a market.
fn day_number(year: i64, month: i64, day: i64) -> Option<i32> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let index = usize::try_from(month.checked_sub(1)?).ok()?;
    let length = LENGTHS.get(index)? + i64::from(leap && month == 2);
    if !(YEAR_MIN..=YEAR_MAX).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    // Counted in years that start in March, so that the leap day comes last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era_days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    i32::try_from(era * 146_097 + of_era_days - 719_468).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get(name).unwrap()
    }

    fn check(name: &str, at: &str, pass: Pass, want: Result<&str, LocalError>) {
        let (day, second, _) = stamp(at.as_bytes()).unwrap();
        let got = LocalClock::new(zone(name)).utc(day, second, pass).map(|t| t.to_string());
        assert_eq!(got, want.map(String::from), "{at} {pass:?}");
    }

    #[test]
    fn summer_time_comes_and_goes() {
        use Pass::{First, Second, Unsaid};
        let central = |at, pass, want| check("America/Chicago", at, pass, want);
        central("2024-03-10 01:59:59", Unsaid, Ok("2024-03-10T07:59:59Z"));
        central("2024-03-10 02:00:00", First, Err(LocalError::Skipped));
        central("2024-03-10 03:00:00", Unsaid, Ok("2024-03-10T08:00:00Z"));
        central("2024-11-03 00:59:59", Unsaid, Ok("2024-11-03T05:59:59Z"));
        central("2024-11-03 01:00:00", First, Ok("2024-11-03T06:00:00Z"));
        central("11/03/2024 01:00:00", Second, Ok("2024-11-03T07:00:00Z"));
        central("2024-11-03 01:30:00", Unsaid, Err(LocalError::Twice));
        central("2024-11-03 02:00:00", Second, Err(LocalError::Once));
        central("2024-11-03 02:00:00", First, Ok("2024-11-03T08:00:00Z"));
        check("Australia/Brisbane", "2024/12/01 00:05:00", First, Ok("2024-11-30T14:05:00Z"));
        // Lord Howe moves by half an hour, so an hour there changes in its middle.
        let howe = |at, pass, want| check("Australia/Lord_Howe", at, pass, want);
        howe("2024-10-06 02:15", First, Err(LocalError::Skipped));
        howe("2024-10-06 02:30", First, Ok("2024-10-05T15:30:00Z"));
    }

    #[test]
    fn texts_that_are_no_time_are_refused() {
        for bad in ["2024-02-30", "13/01/2024", "1/1/24", "2024-1", "", "2024-01-01-01", "x/y/z"] {
            assert_eq!(date(bad.as_bytes()), None, "{bad}");
        }
        for bad in ["24:00", "1", "01:60", "01:00:00:00", "-1:00", "01:00:00.0000000001"] {
            assert_eq!(clock(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(utc(b"2024-06-01T05:00:00+05:00"), utc(b"2024-06-01 00:00"));
        assert_eq!(utc(b"2024-06-01"), utc(b"2024-06-01T00:00:00.000Z"));
        assert_eq!(utc(b"June"), None);
    }

    proptest::proptest! {
        #[test]
        fn dates_are_those_the_core_shows(day in 7_400i32..80_000) {
            let text = Time::from_seconds(i64::from(day) * DAY_SECONDS).to_string();
            assert_eq!(date(&text.as_bytes()[..10]), Some(day), "{}", text);
        }

        #[test]
        fn local_and_back(second in 1_000_000_000i64..2_500_000_000) {
            let zone = zone("America/Chicago");
            let at = Time::from_seconds(second);
            let (day, of_day) = local_of(&zone, at);
            let mut clock = LocalClock::new(zone);
            let passes = [Pass::First, Pass::Second].map(|p| clock.utc(day, of_day, p));
            assert!(passes.contains(&Ok(at)), "{:?} does not hold {}", passes, at);
        }
    }
}

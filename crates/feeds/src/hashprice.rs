//! Hash prices from a file, or one for ever: what a PH/s held for a day brings, before pool fee.

use crate::container::{self, Container};
use crate::error::{FeedError, shown};
use crate::limits::HASHPRICES_MAX;
use crate::local;
use headgate_core::event::Hashprice;
use headgate_core::number::decimal;
use headgate_core::time::{Span, Time};
use headgate_core::units::Money;
use std::io::{BufRead, Read, Seek};
use std::path::Path;

/// The same hash price from the first moment on.
#[must_use]
pub fn constant(per_ph_day: Money) -> Vec<Hashprice> {
    vec![Hashprice { per_ph_day, known_at: Time::MIN }]
}

/// Loads a hash price file, packed or not.
///
/// # Errors
/// [`FeedError`] when the file cannot be read or any row of it cannot be used.
pub fn load(path: &Path) -> Result<Vec<Hashprice>, FeedError> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path)
        .map_err(|source| FeedError::Read { file: name.clone(), source })?;
    parse(&name, std::io::BufReader::new(file))
}

/// Parses `date,usd_per_ph_day` (known at the end of its UTC day) or `time,hashprice` (known at
/// that time) into hash prices in the order in which they are known, one a moment.
///
/// # Errors
/// [`FeedError`] naming file, line, column and the mend.
pub fn parse<R: Read + Seek>(file: &str, input: R) -> Result<Vec<Hashprice>, FeedError> {
    let mut out = Vec::new();
    container::unpack(file, input, &mut |name, packed, text| read(name, packed, text, &mut out))?;
    if out.is_empty() {
        return Err(FeedError::Whole {
            file: file.to_owned(),
            what: "it has a header and no rows".into(),
            mend: "write one line a day".into(),
        });
    }
    out.sort_by_key(|h| h.known_at);
    out.dedup_by(|later, kept| {
        let same = later.known_at == kept.known_at;
        if same {
            *kept = *later;
        }
        same
    });
    Ok(out)
}

fn read(
    file: &str,
    packed: Container,
    text: &mut dyn BufRead,
    out: &mut Vec<Hashprice>,
) -> Result<(), FeedError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text);
    let mut daily = None;
    for record in reader.byte_records() {
        let record = record
            .map_err(|e| container::failed(file, packed, std::io::Error::other(e.to_string())))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| record.get(at).unwrap_or_default().trim_ascii();
        let bad = |column: &str, what: String, mend: &str| FeedError::Field {
            file: file.to_owned(),
            line,
            column: column.to_owned(),
            what,
            mend: mend.to_owned(),
        };
        let Some(daily) = daily else {
            daily = match (cell(0), cell(1), record.len()) {
                (b"date", b"usd_per_ph_day", 2) => Some(true),
                (b"time", b"hashprice", 2) => Some(false),
                _ => {
                    let what = format!("the header `{}` is not known", shown(record.as_slice()));
                    let mend = "write date,usd_per_ph_day or time,hashprice".to_owned();
                    return Err(FeedError::Line { file: file.to_owned(), line, what, mend });
                }
            };
            continue;
        };
        let column = if daily { "date" } else { "time" };
        let at = match daily {
            true => local::date(cell(0))
                .map(|d| Time::from_seconds(i64::from(d) * 86_400) + Span::hours(24)),
            false => local::utc(cell(0)),
        };
        let known_at = at.ok_or_else(|| {
            let what = format!("`{}` is not a {column}", shown(cell(0)));
            bad(column, what, "write it as 2024-06-01 or 2024-06-01T05:00:00Z")
        })?;
        let value = std::str::from_utf8(cell(1)).unwrap_or("?");
        let column = if daily { "usd_per_ph_day" } else { "hashprice" };
        let mend = "leave the row out: the last known value stays";
        let number = decimal(value, 6).map_err(|e| bad(column, e.to_string(), mend))?;
        if number < 0 || record.len() != 2 || out.len() >= HASHPRICES_MAX {
            let what = match (number < 0, record.len() != 2) {
                (true, _) => format!("`{value}` is negative"),
                (_, true) => format!("the row has {} fields instead of 2", record.len()),
                _ => format!("there are more than {HASHPRICES_MAX} rows"),
            };
            return Err(bad(column, what, mend));
        }
        out.push(Hashprice { per_ph_day: Money(number), known_at });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        match parse("hash.csv", std::io::Cursor::new(text)) {
            Ok(rows) => rows
                .iter()
                .map(|h| format!("{} {}", h.known_at, h.per_ph_day))
                .collect::<Vec<_>>()
                .join("; "),
            Err(e) => e.sentence(),
        }
    }

    #[test]
    fn a_day_is_known_at_its_end() {
        let daily = "date,usd_per_ph_day\n2023-08-18,63.10\n2023-08-17, 63.99\n";
        insta::assert_snapshot!(check(daily), @"2023-08-18T00:00:00Z 63.99; 2023-08-19T00:00:00Z 63.10");
        let timed = "time,hashprice\n2023-08-17T12:00:00Z,64\n";
        insta::assert_snapshot!(check(timed), @"2023-08-17T12:00:00Z 64.00");
    }

    #[test]
    fn bad_values_are_named() {
        insta::assert_snapshot!(check("date,usd_per_ph_day\n2023-08-17,NaN\n"), @"failed to read hash.csv line 2, column usd_per_ph_day: `NaN` is not a finite number; leave the row out: the last known value stays");
        insta::assert_snapshot!(check("date,usd_per_ph_day\n2023-08-17,-1\n"), @"failed to read hash.csv line 2, column usd_per_ph_day: `-1` is negative; leave the row out: the last known value stays");
        insta::assert_snapshot!(check("day,price\n2023-08-17,1\n"), @"failed to read hash.csv line 1: the header `dayprice` is not known; write date,usd_per_ph_day or time,hashprice");
        insta::assert_snapshot!(check("date,usd_per_ph_day\n"), @"failed to read hash.csv: it has a header and no rows; write one line a day");
        insta::assert_snapshot!(check("date,usd_per_ph_day\n31/31/2023,1\n"), @"failed to read hash.csv line 2, column date: `31/31/2023` is not a date; write it as 2024-06-01 or 2024-06-01T05:00:00Z");
    }
}

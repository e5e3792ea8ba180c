//! Hash prices: what a PH/s held for a day brings, before pool fee. They come from a file, from
//! the network's difficulty, subsidy, fees and coin price, or stay the same for ever.

mod mempool;
mod network;

pub use mempool::Mempool;
pub use network::{Coin, Computed, Difficulty, NetworkData, Subsidy, per_ph_day};

use crate::error::FeedError;
use crate::limits::HASHPRICES_MAX;
use crate::local;
use crate::table::{self, Head, Row, Rows};
use headgate_core::event::Hashprice;
use headgate_core::time::Time;
use headgate_core::units::Money;
use std::io::{Read, Seek};
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
    let mut reader = Reader::default();
    table::read(file, input, &mut reader)?;
    let mut out = reader.out;
    if out.is_empty() {
        return Err(table::no_rows(file, "write one line a day"));
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

/// The end of a UTC day, by its number: when what happened on it is known.
#[must_use]
pub fn end_of_day(day: i32) -> Time {
    Time::from_seconds((i64::from(day) + 1) * 86_400)
}

#[derive(Debug, Default)]
struct Reader {
    daily: bool,
    out: Vec<Hashprice>,
}

impl Rows for Reader {
    fn header(&mut self, head: &Head) -> Result<(), FeedError> {
        match head.names() {
            [date, price] if date == "date" && price == "usd_per_ph_day" => self.daily = true,
            [time, price] if time == "time" && price == "hashprice" => self.daily = false,
            _ => return Err(head.unknown("write date,usd_per_ph_day or time,hashprice")),
        }
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), FeedError> {
        let at = match self.daily {
            true => local::date(row.bytes(0)).map(end_of_day),
            false => local::utc(row.bytes(0)),
        };
        let known_at = at.ok_or_else(|| {
            let what = format!("`{}` is no time", crate::error::shown(row.bytes(0)));
            row.bad(0, what, "write it as 2024-06-01 or 2024-06-01T05:00:00Z")
        })?;
        let per_ph_day = Money(row.amount(1, 6)?);
        if self.out.len() >= HASHPRICES_MAX {
            return Err(table::too_many(row, HASHPRICES_MAX));
        }
        self.out.push(Hashprice { per_ph_day, known_at });
        Ok(())
    }
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
        insta::assert_snapshot!(check("date,usd_per_ph_day\n2023-08-17,NaN\n"), @"failed to read hash.csv line 2, column usd_per_ph_day: `NaN` is not a finite number; write a number, or leave the row out: missing is not zero");
        insta::assert_snapshot!(check("date,usd_per_ph_day\n2023-08-17,-1\n"), @"failed to read hash.csv line 2, column usd_per_ph_day: `-1` is negative; write the amount without a sign");
        insta::assert_snapshot!(check("day,price\n2023-08-17,1\n"), @"failed to read hash.csv line 1: the header `day,price` is not known; write date,usd_per_ph_day or time,hashprice");
        insta::assert_snapshot!(check("date,usd_per_ph_day\n"), @"failed to read hash.csv: it has a header and no rows; write one line a day");
        insta::assert_snapshot!(check("date,usd_per_ph_day\n31/31/2023,1\n"), @"failed to read hash.csv line 2, column date: `31/31/2023` is no time; write it as 2024-06-01 or 2024-06-01T05:00:00Z");
    }
}

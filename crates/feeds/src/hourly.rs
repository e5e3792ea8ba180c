//! Hourly prices by wall clock: `hour_beginning_local,<POINT>...`, as analysts keep them.

use crate::error::FeedError;
use crate::limits::ROWS_MAX;
use crate::local::{self, LocalClock, LocalError, Pass};
use crate::market::Market;
use crate::table::{self, Head, Row, Rows};
use headgate_core::time::Time;
use headgate_core::units::Price;
use std::collections::BTreeMap;
use std::path::Path;

/// One point's prices by hour.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hourly {
    /// Price by the hour's first moment.
    pub prices: BTreeMap<Time, Price>,
    /// What was found worth telling, one sentence each.
    pub notes: Vec<String>,
}

/// Loads a point's hourly prices; `None` where the file is of another kind.
///
/// # Errors
/// [`FeedError`] when the file has no such point, or a row of it cannot be used.
pub fn load(path: &Path, market: &Market, point: &str) -> Result<Option<Hourly>, FeedError> {
    let mut reader = Reader {
        clock: LocalClock::new(market.zone().clone()),
        point: point.to_ascii_lowercase(),
        columns: None,
        twice: 0,
        empty: 0,
        prices: BTreeMap::new(),
    };
    match table::load(path, &mut reader) {
        // Another kind of file, whose header this reader does not know and need not.
        Err(_) if reader.columns.is_none() => return Ok(None),
        other => other?,
    }
    let Some((_, column)) = reader.columns else { return Ok(None) };
    let file = path.display().to_string();
    if column.is_none() {
        let what = format!("it has no column {point}");
        let mend = "name a file with that point".to_owned();
        return Err(FeedError::Whole { file, what, mend });
    }
    if reader.prices.is_empty() {
        return Err(table::no_rows(&file, "write one hour a line"));
    }
    let mut notes = Vec::new();
    if reader.twice > 0 {
        notes.push(format!(
            "{} hours happen twice on the wall clock and are told once: each counts once",
            reader.twice
        ));
    }
    if reader.empty > 0 {
        notes.push(format!("{} hours have no price: they stay missing", reader.empty));
    }
    Ok(Some(Hourly { prices: reader.prices, notes }))
}

#[derive(Debug)]
struct Reader {
    clock: LocalClock,
    point: String,
    /// Column of the hour and of the point; `None` until a header of this kind was seen.
    columns: Option<(usize, Option<usize>)>,
    twice: usize,
    empty: usize,
    prices: BTreeMap<Time, Price>,
}

impl Rows for Reader {
    fn header(&mut self, head: &Head) -> Result<(), FeedError> {
        let hour = head.find(&["hour_beginning_local"]);
        let hour = hour.ok_or_else(|| head.unknown("write hour_beginning_local,<POINT>"))?;
        self.columns = Some((hour, head.find(&[self.point.as_str()])));
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), FeedError> {
        let Some((hour, Some(column))) = self.columns else { return Ok(()) };
        if self.prices.len() >= ROWS_MAX {
            return Err(table::too_many(row, ROWS_MAX));
        }
        let bad = |what: String| row.bad(hour, what, "write the local hour as 2023-08-17T19:00:00");
        let stamp = local::stamp(row.bytes(hour)).filter(|(_, s, n)| s % 3600 == 0 && *n == 0);
        let (day, second, _) =
            stamp.ok_or_else(|| bad(format!("`{}` is no whole hour", row.text(hour))))?;
        let at = match self.clock.utc(day, second, Pass::Unsaid) {
            Ok(at) => at,
            Err(LocalError::Twice) => {
                let pass = |p| self.clock.utc(day, second, p);
                let [first, second] = [Pass::First, Pass::Second].map(pass);
                let first = first.map_err(|_| bad("the hour does not happen".into()))?;
                self.twice += 1;
                match self.prices.contains_key(&first) {
                    true => {
                        // Told twice after all: the second line is the second pass.
                        self.twice -= 2;
                        second.map_err(|_| bad("the hour does not happen".into()))?
                    }
                    false => first,
                }
            }
            Err(_) => {
                return Err(bad(format!(
                    "`{}` does not happen: the clocks go forward over it",
                    row.text(hour)
                )));
            }
        };
        if row.bytes(column).is_empty() {
            self.empty += 1;
            return Ok(());
        }
        let price = Price(row.number(column, 6)?);
        if self.prices.insert(at, price).is_some() {
            return Err(bad(format!("{at} is told twice")));
        }
        Ok(())
    }
}

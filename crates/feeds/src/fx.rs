//! Foreign exchange by day: what one unit of the currency the work is paid in is worth in the
//! market's.

use crate::error::FeedError;
use crate::hashprice::end_of_day;
use crate::limits::FX_RATES_MAX;
use crate::table::{self, Head, Row, Rows};
use headgate_core::number::div_half_even;
use headgate_core::time::Time;
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

/// Decimals kept of a rate: enough for a yen in a dinar.
const RATE_DIGITS: u32 = 9;
/// One, as a rate.
const ONE: i128 = 1_000_000_000;

/// Units of the market's currency for one of the other, in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FxRate(pub i64);

impl FxRate {
    /// Reads a rate written as a plain number.
    ///
    /// # Errors
    /// One sentence when the text is no number above zero.
    pub fn read(text: &str) -> Result<Self, String> {
        match headgate_core::number::decimal(text, RATE_DIGITS) {
            Ok(n) if n > 0 => Ok(Self(n)),
            Ok(_) => Err(format!("`{text}` is not above zero")),
            Err(e) => Err(e.to_string()),
        }
    }

    /// An amount in micro-units of the other currency, in the market's, rounded half to even;
    /// `None` where it does not fit.
    #[must_use]
    pub fn of(self, micro: i64) -> Option<i64> {
        let n = i128::from(micro) * i128::from(self.0);
        i64::try_from(div_half_even(n, ONE)).ok()
    }
}

/// Rates by the moment from which they are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FxSeries {
    rates: BTreeMap<Time, FxRate>,
}

impl FxSeries {
    /// The same rate from the first moment on.
    #[must_use]
    pub fn constant(rate: FxRate) -> Self {
        Self { rates: BTreeMap::from([(Time::MIN, rate)]) }
    }

    /// Loads `date,rate`: a day's rate is known at the end of its UTC day.
    ///
    /// # Errors
    /// [`FeedError`] naming file, line, column and the mend.
    pub fn load(path: &Path) -> Result<Self, FeedError> {
        let mut reader = Reader::default();
        table::load(path, &mut reader)?;
        reader.done(&path.display().to_string())
    }

    /// Parses the same from memory.
    ///
    /// # Errors
    /// As [`FxSeries::load`].
    pub fn parse<R: Read + Seek>(file: &str, input: R) -> Result<Self, FeedError> {
        let mut reader = Reader::default();
        table::read(file, input, &mut reader)?;
        reader.done(file)
    }

    /// The last rate known at a moment, and since when; over a weekend that is Friday's.
    #[must_use]
    pub fn at(&self, at: Time) -> Option<(Time, FxRate)> {
        self.rates.range(..=at).next_back().map(|(t, r)| (*t, *r))
    }

    /// All rates, in the order in which they are known.
    pub fn rates(&self) -> impl Iterator<Item = (Time, FxRate)> {
        self.rates.iter().map(|(t, r)| (*t, *r))
    }
}

#[derive(Debug, Default)]
struct Reader {
    columns: (usize, usize),
    lines: BTreeMap<Time, (FxRate, u64)>,
}

impl Reader {
    fn done(self, file: &str) -> Result<FxSeries, FeedError> {
        if self.lines.is_empty() {
            return Err(table::no_rows(file, "write one line a day"));
        }
        Ok(FxSeries { rates: self.lines.into_iter().map(|(t, (r, _))| (t, r)).collect() })
    }
}

impl Rows for Reader {
    fn header(&mut self, head: &Head) -> Result<(), FeedError> {
        let found = head.find(&["date"]).zip(head.find(&["rate"]));
        self.columns = found.ok_or_else(|| head.unknown("write date,rate"))?;
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), FeedError> {
        if self.lines.len() >= FX_RATES_MAX {
            return Err(table::too_many(row, FX_RATES_MAX));
        }
        let known_at = end_of_day(row.day(self.columns.0)?);
        let text = row.text(self.columns.1);
        let rate = FxRate::read(text).map_err(|what| {
            row.bad(self.columns.1, what, "leave the day out: Friday's rate holds")
        })?;
        if let Some((_, line)) = self.lines.insert(known_at, (rate, row.line)) {
            let what = format!("the day has a rate in line {line} already");
            return Err(row.bad(self.columns.0, what, "take one of the two out"));
        }
        Ok(())
    }
}

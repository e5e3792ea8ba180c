//! One row of a file and where it is, so that a cell that cannot be read is told of exactly.

use super::header::Layout;
use crate::error::{FeedError, shown};
use crate::local::Pass;
use csv::ByteRecord;
use headgate_core::number::{NumberError, decimal};
use headgate_core::units::{Power, Price};

/// Decimals of a price in micro-currency, and of megawatts in watts.
const DIGITS: u32 = 6;
/// The mend of a cell that a market wrote wrongly.
pub(super) const FETCH_AGAIN: &str = "fetch the file again, or leave the row out";

/// One row and where it is, for messages.
pub(super) struct Row<'r> {
    pub file: &'r str,
    pub layout: &'r Layout,
    pub record: &'r ByteRecord,
    pub line: u64,
}

impl<'r> Row<'r> {
    /// A cell without the blanks around it.
    pub fn cell(&self, at: usize) -> &'r [u8] {
        self.record.get(at).unwrap_or_default().trim_ascii()
    }

    /// A cell as text.
    pub fn text(&self, at: usize, wanted: &str) -> Result<&'r str, FeedError> {
        std::str::from_utf8(self.cell(at)).map_err(|_| self.unreadable(at, wanted, FETCH_AGAIN))
    }

    /// What is wrong with a cell.
    pub fn bad(&self, at: usize, what: String, mend: &str) -> FeedError {
        FeedError::Field {
            file: self.file.to_owned(),
            line: self.line,
            column: self.layout.names[at].clone(),
            what,
            mend: mend.to_owned(),
        }
    }

    /// What is wrong with a cell that should be of some form.
    pub fn unreadable(&self, at: usize, wanted: &str, mend: &str) -> FeedError {
        let cell = self.cell(at);
        let what = if cell.is_empty() {
            format!("an empty field where {wanted} is expected")
        } else {
            format!("`{}` is not {wanted}", shown(cell))
        };
        self.bad(at, what, mend)
    }

    /// A cell as a price.
    pub fn price(&self, at: usize) -> Result<Price, FeedError> {
        self.number(at, "a missing price is not zero: leave the row out").map(Price)
    }

    /// A cell in megawatts as power.
    pub fn power(&self, at: usize) -> Result<Power, FeedError> {
        self.number(at, "a missing load is not zero: leave the row out").map(Power)
    }

    fn number(&self, at: usize, mend: &str) -> Result<i64, FeedError> {
        let cell = self.cell(at);
        let number = match std::str::from_utf8(cell) {
            Ok(text) => decimal(text, DIGITS),
            Err(_) => Err(NumberError::NotANumber(shown(cell))),
        };
        number.map_err(|e| self.bad(at, e.to_string(), mend))
    }

    /// Which pass of a repeated hour a column marks.
    pub fn pass(&self, flag: Option<usize>) -> Result<Pass, FeedError> {
        let Some(at) = flag else { return Ok(Pass::Unsaid) };
        let cell = self.cell(at);
        let is = |words: [&[u8]; 3]| words.iter().any(|word| cell.eq_ignore_ascii_case(word));
        match cell {
            b"" => Ok(Pass::Unsaid),
            _ if is([b"n", b"false", b"0"]) => Ok(Pass::First),
            _ if is([b"y", b"true", b"1"]) => Ok(Pass::Second),
            _ => Err(self.unreadable(at, "Y or N", FETCH_AGAIN)),
        }
    }
}

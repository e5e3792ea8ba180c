//! Small CSV files that people write: columns by name, in any order, and every complaint with
//! its line and column.

use crate::container::{self, Container};
use crate::error::{FeedError, shown};
use crate::local;
use csv::ByteRecord;
use headgate_core::number::decimal;
use headgate_core::time::Time;
use std::io::{BufRead, Read, Seek};
use std::path::Path;

/// Most columns of such a file.
const COLUMNS_MAX: usize = 1_000;

/// The header of a file.
#[derive(Debug)]
pub(crate) struct Head {
    file: String,
    line: u64,
    /// Names in lower case, without blanks around them.
    names: Vec<String>,
}

/// One row of a file.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    head: &'a Head,
    /// Line in the file, from 1.
    pub(crate) line: u64,
    record: &'a ByteRecord,
}

/// Takes a file row by row.
pub(crate) trait Rows {
    /// Takes the header, once for each file of an archive.
    fn header(&mut self, head: &Head) -> Result<(), FeedError>;
    /// Takes one row.
    fn row(&mut self, row: &Row<'_>) -> Result<(), FeedError>;
}

impl Head {
    /// The first of these columns that is there.
    pub(crate) fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|n| self.names.iter().position(|have| have == n))
    }

    /// All names of the header.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Refuses the header.
    pub(crate) fn unknown(&self, mend: &str) -> FeedError {
        let header = shown(self.names.join(",").as_bytes());
        let what = format!("the header `{header}` is not known");
        FeedError::Line { file: self.file.clone(), line: self.line, what, mend: mend.to_owned() }
    }
}

impl Row<'_> {
    /// The cell of a column, without blanks around it; empty where the row is too short.
    pub(crate) fn bytes(&self, column: usize) -> &[u8] {
        self.record.get(column).unwrap_or_default().trim_ascii()
    }

    /// The same as text; a cell that is not UTF-8 reads as no text at all.
    pub(crate) fn text(&self, column: usize) -> &str {
        std::str::from_utf8(self.bytes(column)).unwrap_or("?")
    }

    /// Refuses the cell of a column.
    pub(crate) fn bad(&self, column: usize, what: String, mend: &str) -> FeedError {
        FeedError::Field {
            file: self.head.file.clone(),
            line: self.line,
            column: self.head.names.get(column).cloned().unwrap_or_default(),
            what,
            mend: mend.to_owned(),
        }
    }

    /// Refuses the row.
    pub(crate) fn refuse(&self, what: String, mend: &str) -> FeedError {
        let (file, mend) = (self.head.file.clone(), mend.to_owned());
        FeedError::Line { file, line: self.line, what, mend }
    }

    /// A decimal number in units of `10^-digits`.
    pub(crate) fn number(&self, column: usize, digits: u32) -> Result<i64, FeedError> {
        let mend = "write a number, or leave the row out: missing is not zero";
        decimal(self.text(column), digits).map_err(|e| self.bad(column, e.to_string(), mend))
    }

    /// A decimal number that is not negative.
    pub(crate) fn amount(&self, column: usize, digits: u32) -> Result<i64, FeedError> {
        let number = self.number(column, digits)?;
        if number < 0 {
            let what = format!("`{}` is negative", self.text(column));
            return Err(self.bad(column, what, "write the amount without a sign"));
        }
        Ok(number)
    }

    /// A day, as its number since 1970-01-01.
    pub(crate) fn day(&self, column: usize) -> Result<i32, FeedError> {
        local::date(self.bytes(column)).ok_or_else(|| {
            let what = format!("`{}` is not a date", shown(self.bytes(column)));
            self.bad(column, what, "write it as 2024-06-01")
        })
    }

    /// A moment in UTC, or the first moment of a day.
    pub(crate) fn moment_or_day(&self, column: usize) -> Result<Time, FeedError> {
        match local::date(self.bytes(column)) {
            Some(day) => Ok(Time::from_seconds(i64::from(day) * 86_400)),
            None => self.moment(column),
        }
    }

    /// A moment in UTC. Where the column's name does not say `utc` the cell must say its offset.
    pub(crate) fn moment(&self, column: usize) -> Result<Time, FeedError> {
        let cell = self.bytes(column);
        let mend = "write it as 2024-06-01T05:00:00Z";
        let at = local::utc(cell)
            .ok_or_else(|| self.bad(column, format!("`{}` is not a moment", shown(cell)), mend))?;
        let named = self.head.names.get(column).is_some_and(|n| n.contains("utc"));
        let offset = cell.ends_with(b"Z") || cell.iter().skip(10).any(|b| matches!(b, b'+' | b'-'));
        if !named && !offset {
            let what = format!("`{}` does not say in which time zone it is", shown(cell));
            return Err(self.bad(column, what, "write it as 2024-06-01T05:00:00Z"));
        }
        Ok(at)
    }
}

/// Reads a file, packed or not.
pub(crate) fn load(path: &Path, into: &mut dyn Rows) -> Result<(), FeedError> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path)
        .map_err(|source| FeedError::Read { file: name.clone(), source })?;
    read(&name, std::io::BufReader::new(file), into)
}

/// Reads an input, packed or not.
pub(crate) fn read<R: Read + Seek>(
    file: &str,
    input: R,
    into: &mut dyn Rows,
) -> Result<(), FeedError> {
    container::unpack(file, input, &mut |name, packed, text| one(name, packed, text, into))?;
    Ok(())
}

fn one(
    file: &str,
    packed: Container,
    text: &mut dyn BufRead,
    into: &mut dyn Rows,
) -> Result<(), FeedError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text);
    let mut record = ByteRecord::new();
    let mut head: Option<Head> = None;
    loop {
        let more = reader
            .read_byte_record(&mut record)
            .map_err(|e| container::failed(file, packed, std::io::Error::other(e.to_string())))?;
        if !more {
            break;
        }
        let line = record.position().map_or(0, csv::Position::line);
        let Some(head) = &head else {
            let names = record.iter().take(COLUMNS_MAX).map(|n| {
                let n = n.strip_prefix(b"\xef\xbb\xbf").unwrap_or(n);
                String::from_utf8_lossy(n.trim_ascii()).to_ascii_lowercase()
            });
            let new = Head { file: file.to_owned(), line, names: names.collect() };
            into.header(&new)?;
            head = Some(new);
            continue;
        };
        let row = Row { head, line, record: &record };
        if record.len() != head.names.len() {
            let what = format!("it has {} fields instead of {}", record.len(), head.names.len());
            return Err(row.refuse(what, "write one field a column"));
        }
        into.row(&row)?;
    }
    match head {
        Some(_) => Ok(()),
        None => Err(FeedError::Whole {
            file: file.to_owned(),
            what: "it is empty".into(),
            mend: "write a header and one row a line".into(),
        }),
    }
}

/// Refuses a file with a header and nothing else.
pub(crate) fn no_rows(file: &str, mend: &str) -> FeedError {
    let what = "it has a header and no rows".into();
    FeedError::Whole { file: file.to_owned(), what, mend: mend.to_owned() }
}

/// Refuses a file with more rows than are kept.
pub(crate) fn too_many(row: &Row<'_>, max: usize) -> FeedError {
    row.refuse(format!("there are more than {max} rows"), "split the file into smaller ones")
}

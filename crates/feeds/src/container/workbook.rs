//! A workbook as texts: each sheet is written as CSV, row for row, so that what reads files
//! reads sheets.
//!
//! A number in a cell is a binary float. It is written with the fewest digits that mean it, which
//! are those that were typed for any price or load of up to fifteen digits.

use super::{Container, failed, whole, zip_failed};
use crate::error::FeedError;
use crate::limits::{COLUMNS_MAX, WORKBOOK_BYTES_MAX, WORKBOOK_PART_BYTES_MAX};
use calamine::{Cell, DataRef, ExcelDateTime, Reader, SheetType, Xlsx, XlsxCellReader, XlsxError};
use headgate_core::time::Time;
use std::fmt::Write as _;
use std::io::{self, Read, Seek};

/// Day number of 1970-01-01 where 1 is 1900-01-01, and where 0 is 1904-01-01.
const EPOCH_1900: i64 = 25_569;
const EPOCH_1904: i64 = 24_107;
const DAY_SECONDS: i64 = 86_400;

/// An open workbook.
pub(super) struct Book<R: Read + Seek> {
    xlsx: Xlsx<R>,
}

/// Refuses a workbook that would not fit: the sheets are streamed, the rest is held in memory.
pub(super) fn check<R: Read + Seek>(
    name: &str,
    archive: &mut zip::ZipArchive<R>,
) -> Result<(), FeedError> {
    let mend = "split it into smaller ones, or save its sheets as CSV";
    let (mut declared, mut left) = (0u64, WORKBOOK_PART_BYTES_MAX);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| zip_failed(name, e))?;
        declared = declared.saturating_add(entry.size());
        let part = String::from_utf8_lossy(entry.name_raw()).into_owned();
        if part.contains("worksheets/") {
            continue;
        }
        // What a header declares is no bound, so the part is unpacked once to count.
        let real = io::copy(&mut entry.take(left + 1), &mut io::sink());
        let real = real.map_err(|e| failed(name, Container::Workbook, e))?;
        left = left.checked_sub(real).ok_or_else(|| {
            let what =
                format!("beside its sheets it has more than {WORKBOOK_PART_BYTES_MAX} bytes");
            whole(name, what, mend)
        })?;
    }
    if declared > WORKBOOK_BYTES_MAX {
        let what = format!("the workbook has more than {WORKBOOK_BYTES_MAX} bytes");
        return Err(whole(name, what, mend));
    }
    Ok(())
}

impl<R: Read + Seek> Book<R> {
    pub fn open(name: &str, mut input: R) -> Result<Self, FeedError> {
        input.rewind().map_err(|e| failed(name, Container::Workbook, e))?;
        Ok(Self { xlsx: Xlsx::new(input).map_err(|e| damaged(name, e))? })
    }

    /// Names of the sheets with cells, in the workbook's order.
    pub fn sheets(&self) -> Vec<String> {
        let sheets = self.xlsx.sheets_metadata().iter();
        sheets.filter(|s| s.typ == SheetType::WorkSheet).map(|s| s.name.clone()).collect()
    }

    /// One sheet as CSV.
    pub fn text<'a>(&'a mut self, label: &str, sheet: &str) -> Result<SheetText<'a, R>, FeedError> {
        let epoch = if self.xlsx.has_1904_epoch() { EPOCH_1904 } else { EPOCH_1900 };
        let cells = self.xlsx.worksheet_cells_reader(sheet).map_err(|e| damaged(label, e))?;
        Ok(SheetText { cells, epoch, ahead: None, row: 0, out: String::new(), at: 0, ended: false })
    }
}

fn damaged(name: &str, e: XlsxError) -> FeedError {
    FeedError::Damaged { file: name.to_owned(), container: "workbook", source: Box::new(e) }
}

/// A sheet on its way into CSV: a line for each row, also for one without cells, so that a
/// line's number is the row's.
pub(super) struct SheetText<'a, R: Read + Seek> {
    cells: XlsxCellReader<'a, R>,
    epoch: i64,
    ahead: Option<Cell<DataRef<'a>>>,
    row: u32,
    out: String,
    at: usize,
    ended: bool,
}

impl<R: Read + Seek> SheetText<'_, R> {
    /// Writes the next row out.
    fn line(&mut self) -> io::Result<()> {
        let other = |e: XlsxError| io::Error::other(e);
        self.out.clear();
        self.at = 0;
        let mut column = 0u32;
        loop {
            let next = match self.ahead.take() {
                Some(cell) => Some(cell),
                None => self.cells.next_cell().map_err(other)?,
            };
            let Some(cell) = next else {
                self.ended = true;
                return Ok(());
            };
            let (row, at) = cell.get_position();
            let forward = row > self.row || (row == self.row && at >= column);
            if !forward || at as usize >= COLUMNS_MAX {
                return Err(io::Error::other("its cells are not in the order of a sheet"));
            }
            if row > self.row {
                // A line with nothing in it would not be counted by what reads it.
                self.out.push_str(if self.out.is_empty() { ",\n" } else { "\n" });
                self.row += 1;
                self.ahead = Some(cell);
                return Ok(());
            }
            while column < at {
                self.out.push(',');
                column += 1;
            }
            write_value(&mut self.out, cell.get_value(), self.epoch);
        }
    }
}

impl<R: Read + Seek> Read for SheetText<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.out.len() {
            if self.ended {
                return Ok(0);
            }
            self.line()?;
        }
        let n = out.len().min(self.out.len() - self.at);
        out[..n].copy_from_slice(&self.out.as_bytes()[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

fn write_value(out: &mut String, value: &DataRef<'_>, epoch: i64) {
    let told = match value {
        DataRef::Empty => Ok(()),
        DataRef::Int(n) => write!(out, "{n}"),
        DataRef::Float(n) => write!(out, "{n}"),
        DataRef::Bool(b) => write!(out, "{b}"),
        DataRef::SharedString(text) => {
            write_text(out, text);
            Ok(())
        }
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            write_text(out, text);
            Ok(())
        }
        DataRef::DateTime(at) => {
            write_moment(out, at, epoch);
            Ok(())
        }
        DataRef::Error(e) => write!(out, "{e}"),
    };
    told.expect("a string takes all that is written to it");
}

fn write_text(out: &mut String, text: &str) {
    if !text.contains([',', '"', '\n', '\r']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    // A line break inside a cell would make the lines differ from the rows.
    for c in text.chars() {
        match c {
            '"' => out.push_str("\"\""),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Writes a date as `2023-01-31`, with its time where it has one, and a time of day up to the
/// whole day as `24:00`.
fn write_moment(out: &mut String, at: &ExcelDateTime, epoch: i64) {
    // Cells are full of moments a hair before the second they mean.
    let seconds = (at.as_f64() * DAY_SECONDS as f64).round() as i64;
    let told = if at.is_duration() || (0..=DAY_SECONDS).contains(&seconds) {
        write!(out, "{:02}:{:02}", seconds / 3600, seconds / 60 % 60)
    } else {
        let text =
            Time::from_seconds((seconds - epoch * DAY_SECONDS).clamp(0, i64::from(u32::MAX)));
        let text = text.to_string();
        match &text[11..19] {
            "00:00:00" => write!(out, "{}", &text[..10]),
            clock => write!(out, "{} {clock}", &text[..10]),
        }
    };
    told.expect("a string takes all that is written to it");
}

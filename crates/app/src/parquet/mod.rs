//! Writes Parquet: flat tables of whole numbers, decimals, moments and text.
//!
//! Only what such a table needs: one page a column and row group, plain values, zstd. There is
//! no moment of writing and no machine's name in it, so the same rows are the same bytes. The
//! `parquet` crate would bring some twenty others, among them a second calendar and one that
//! draws a random key when it is built, which would make no build like the other.

mod thrift;

use std::io::{self, Write};
use thrift::{Struct, Type};

const MAGIC: &[u8; 4] = b"PAR1";
const CREATED_BY: &str = "headgate";
/// Version of the format: the first, which every reader knows.
const VERSION: i64 = 1;
/// Numbers the format gives to what is used here.
const INT64: i64 = 2;
const BYTE_ARRAY: i64 = 6;
const PLAIN: i64 = 0;
const RLE: i64 = 3;
const ZSTD: i64 = 6;
const REQUIRED: i64 = 0;
const OPTIONAL: i64 = 1;
const DATA_PAGE: i64 = 0;
/// Decimal digits that a 64-bit number always has room for.
const PRECISION: i64 = 18;
/// How hard zstd tries; its own default.
const ZSTD_LEVEL: i32 = 3;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Int,
    /// Numbers with so many decimals, kept as whole ones.
    Decimal(u32),
    /// Moments, in microseconds since the epoch, in UTC.
    Time,
    /// Text.
    Text,
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether a value may be missing.
    pub optional: bool,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A number, in the unit of its column.
    Number(i64),
    /// Text.
    Text(String),
}

/// One column chunk that is written.
struct Chunk {
    offset: u64,
    bytes: u64,
    bytes_before_packing: u64,
}

/// A row group that is written.
struct Group {
    rows: usize,
    chunks: Vec<Chunk>,
}

/// A file under way.
pub struct Writer<W: Write> {
    out: W,
    at: u64,
    columns: Vec<Column>,
    groups: Vec<Group>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut out: W, columns: &[Column]) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        let at = MAGIC.len() as u64;
        Ok(Self { out, at, columns: columns.to_vec(), groups: Vec::new() })
    }

    /// Writes rows as one row group; none of them write nothing.
    ///
    /// # Errors
    /// When they cannot be written, or do not go with the columns.
    pub fn group(&mut self, rows: &[Vec<Cell>]) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut chunks = Vec::with_capacity(self.columns.len());
        for (i, column) in self.columns.clone().iter().enumerate() {
            let page = page(column, rows.iter().map(|row| row.get(i).unwrap_or(&Cell::Null)))?;
            let packed = zstd::bulk::compress(&page, ZSTD_LEVEL)?;
            let header = header(rows.len(), page.len(), packed.len());
            let offset = self.at;
            self.out.write_all(&header)?;
            self.out.write_all(&packed)?;
            let bytes = (header.len() + packed.len()) as u64;
            self.at += bytes;
            let bytes_before_packing = (header.len() + page.len()) as u64;
            chunks.push(Chunk { offset, bytes, bytes_before_packing });
        }
        self.groups.push(Group { rows: rows.len(), chunks });
        Ok(())
    }

    /// Writes the end of the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        let footer = self.footer();
        self.out.write_all(&footer)?;
        let length = u32::try_from(footer.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(MAGIC)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn footer(&self) -> Vec<u8> {
        let rows: usize = self.groups.iter().map(|g| g.rows).sum();
        let mut root = Struct::default();
        root.text(4, "rows");
        root.int(5, Type::I32, self.columns.len() as i64);
        let schema = std::iter::once(root.end()).chain(self.columns.iter().map(element));
        let mut file = Struct::default();
        file.int(1, Type::I32, VERSION);
        file.structs(2, &schema.collect::<Vec<_>>());
        file.int(3, Type::I64, rows as i64);
        let groups = self.groups.iter().map(|g| self.row_group(g)).collect::<Vec<_>>();
        file.structs(4, &groups);
        file.text(6, CREATED_BY);
        file.end()
    }

    fn row_group(&self, group: &Group) -> Vec<u8> {
        let chunks = self.columns.iter().zip(&group.chunks);
        let chunks = chunks.map(|(column, chunk)| chunk.described(column, group.rows));
        let before: u64 = group.chunks.iter().map(|c| c.bytes_before_packing).sum();
        let mut out = Struct::default();
        out.structs(1, &chunks.collect::<Vec<_>>());
        out.int(2, Type::I64, before as i64);
        out.int(3, Type::I64, group.rows as i64);
        out.end()
    }
}

impl Chunk {
    fn described(&self, column: &Column, rows: usize) -> Vec<u8> {
        let mut meta = Struct::default();
        meta.int(1, Type::I32, physical(column.kind));
        meta.ints(2, &[PLAIN, RLE]);
        meta.texts(3, &[column.name]);
        meta.int(4, Type::I32, ZSTD);
        meta.int(5, Type::I64, rows as i64);
        meta.int(6, Type::I64, self.bytes_before_packing as i64);
        meta.int(7, Type::I64, self.bytes as i64);
        meta.int(9, Type::I64, self.offset as i64);
        let mut out = Struct::default();
        out.int(2, Type::I64, self.offset as i64);
        out.inner(3, &meta.end());
        out.end()
    }
}

fn physical(kind: Kind) -> i64 {
    if kind == Kind::Text { BYTE_ARRAY } else { INT64 }
}

/// A column as the schema has it.
fn element(column: &Column) -> Vec<u8> {
    let mut out = Struct::default();
    out.int(1, Type::I32, physical(column.kind));
    out.int(3, Type::I32, if column.optional { OPTIONAL } else { REQUIRED });
    out.text(4, column.name);
    match column.kind {
        Kind::Int => {}
        Kind::Text => out.int(6, Type::I32, 0),
        Kind::Time => out.int(6, Type::I32, 10),
        Kind::Decimal(scale) => {
            out.int(6, Type::I32, 5);
            out.int(7, Type::I32, i64::from(scale));
            out.int(8, Type::I32, PRECISION);
        }
    }
    out.end()
}

/// The header of a page.
fn header(rows: usize, bytes: usize, packed: usize) -> Vec<u8> {
    let mut data = Struct::default();
    data.int(1, Type::I32, rows as i64);
    data.int(2, Type::I32, PLAIN);
    data.int(3, Type::I32, RLE);
    data.int(4, Type::I32, RLE);
    let mut out = Struct::default();
    out.int(1, Type::I32, DATA_PAGE);
    out.int(2, Type::I32, bytes as i64);
    out.int(3, Type::I32, packed as i64);
    out.inner(5, &data.end());
    out.end()
}

/// A column's values, before them which of them are there.
fn page<'a>(column: &Column, cells: impl Iterator<Item = &'a Cell>) -> io::Result<Vec<u8>> {
    let (mut values, mut present) = (Vec::new(), Vec::new());
    for cell in cells {
        match (cell, column.kind) {
            (Cell::Null, _) if column.optional => {}
            (Cell::Number(n), Kind::Int | Kind::Decimal(_) | Kind::Time) => {
                values.extend_from_slice(&n.to_le_bytes());
            }
            (Cell::Text(text), Kind::Text) => {
                let length = u32::try_from(text.len()).map_err(io::Error::other)?;
                values.extend_from_slice(&length.to_le_bytes());
                values.extend_from_slice(text.as_bytes());
            }
            _ => {
                let why = format!("{cell:?} does not go into the column {}", column.name);
                return Err(io::Error::other(why));
            }
        }
        present.push(*cell != Cell::Null);
    }
    if !column.optional {
        return Ok(values);
    }
    let mut levels = Vec::new();
    for run in present.chunk_by(|a, b| a == b) {
        thrift::varint(&mut levels, (run.len() as u64) << 1);
        levels.push(u8::from(run[0]));
    }
    let mut out = u32::try_from(levels.len()).map_err(io::Error::other)?.to_le_bytes().to_vec();
    out.append(&mut levels);
    out.append(&mut values);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { name: "n", kind: Kind::Int, optional: false },
        Column { name: "profit", kind: Kind::Decimal(6), optional: true },
        Column { name: "policy", kind: Kind::Text, optional: true },
    ];

    fn written(rows: &[Vec<Cell>], at_once: usize) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &COLUMNS).unwrap();
        for rows in rows.chunks(at_once) {
            writer.group(rows).unwrap();
        }
        writer.finish().unwrap()
    }

    fn rows() -> Vec<Vec<Cell>> {
        let row = |n: i64| {
            let profit = if n % 3 == 0 { Cell::Null } else { Cell::Number(n * -1_500_000) };
            vec![Cell::Number(n), profit, Cell::Text(format!("é{n}"))]
        };
        (0..10).map(row).collect()
    }

    #[test]
    fn the_same_rows_are_the_same_bytes() {
        let file = written(&rows(), 4);
        assert_eq!(file, written(&rows(), 4));
        assert_eq!((&file[..4], &file[file.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
        assert_ne!(file, written(&rows()[1..], 4));
        // Apache Arrow reads this file as these rows; contrib/oracles/check_parquet.py is how.
        let hash = blake3::hash(&file).to_hex();
        insta::assert_snapshot!(&hash[..16], @"5c2008b95aa4063c");
    }

    #[test]
    fn a_page_says_which_values_are_there() {
        let cells = [Cell::Number(1), Cell::Null, Cell::Null, Cell::Number(-1)];
        let page = page(&COLUMNS[1], cells.iter()).unwrap();
        let (levels, values) = page[4..].split_at(6);
        assert_eq!((page[0], levels), (6, &[2, 1, 4, 0, 2, 1][..]));
        assert_eq!(values, [1i64.to_le_bytes(), (-1i64).to_le_bytes()].concat());
    }

    #[test]
    fn what_does_not_go_into_a_column_is_refused() {
        let error = |i: usize, cell: &Cell| page(&COLUMNS[i], [cell].into_iter()).unwrap_err();
        assert_eq!(error(0, &Cell::Null).to_string(), "Null does not go into the column n");
        assert!(error(1, &Cell::Text("x".into())).to_string().contains("the column profit"));
    }
}

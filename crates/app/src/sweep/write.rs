//! The outputs of a sweep that is done: CSV, Parquet and what the page is made of.

use super::frame::Frame;
use super::keep::Index;
use super::summary::Summary;
use super::table::{COLUMNS, text};
use crate::parquet::{Cell, Writer};
use anyhow::Context;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Rows of one row group; fixed, so that shards and threads make no difference.
const GROUP_ROWS: usize = 50_000;

/// A file that is written beside its place and put there when it is whole.
struct Fresh {
    part: PathBuf,
    path: PathBuf,
}

impl Fresh {
    fn new(folder: &Path, name: &str) -> Self {
        Self { part: folder.join(format!("{name}.part")), path: folder.join(name) }
    }

    fn create(&self) -> anyhow::Result<BufWriter<File>> {
        let file = File::create(&self.part);
        Ok(BufWriter::new(file.with_context(|| self.failed())?))
    }

    fn put(self) -> anyhow::Result<PathBuf> {
        std::fs::rename(&self.part, &self.path).with_context(|| self.failed())?;
        Ok(self.path)
    }

    fn failed(&self) -> String {
        format!("failed to write {}", self.path.display())
    }
}

/// Where the outputs are.
pub struct Written {
    pub csv: PathBuf,
    pub parquet: PathBuf,
    pub summary: Summary,
}

/// Writes all rows in the order of the cases.
///
/// # Errors
/// When a case cannot be read or a file not written.
pub fn rows(frame: &Frame, index: &mut Index, folder: &Path) -> anyhow::Result<Written> {
    let (csv_file, parquet_file) =
        (Fresh::new(folder, "sweep.csv"), Fresh::new(folder, "sweep.parquet"));
    let mut csv = csv::Writer::from_writer(csv_file.create()?);
    let mut parquet = Writer::new(parquet_file.create()?, &COLUMNS)?;
    let mut summary = Summary::new(frame);
    csv.write_record(COLUMNS.map(|c| c.name))?;
    let mut group: Vec<Vec<Cell>> = Vec::new();
    for case in 0..frame.cases {
        let done = index.case(case)?;
        summary.take(frame, &done);
        for row in frame.rows(&done)? {
            csv.write_record(row.iter().zip(&COLUMNS).map(|(cell, c)| text(cell, c.kind)))?;
            group.push(row);
        }
        if group.len() >= GROUP_ROWS {
            parquet.group(&group)?;
            group.clear();
        }
    }
    parquet.group(&group)?;
    parquet.finish()?;
    csv.flush().with_context(|| csv_file.failed())?;
    drop(csv);
    Ok(Written { csv: csv_file.put()?, parquet: parquet_file.put()?, summary })
}

//! `headgate prices`: imports price files of any market, and shows what was posted.

mod import;
mod read;
mod show;

pub use import::import;
pub use read::{moment, nanos, stamped};
pub use show::{list, show};

use crate::cli::DataArg;
use anyhow::Context;
use headgate_store::PriceStore;
use std::io::Write as _;
use std::path::Path;

/// The price store's file in the data folder.
const FILE: &str = "prices.sqlite";

/// Opens the store of a data folder, making both where they are not there yet.
fn open(data: &DataArg) -> anyhow::Result<PriceStore> {
    let folder = data.folder();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to make the data folder {}", folder.display()))?;
    Ok(PriceStore::open(&folder.join(FILE))?)
}

/// Opens the store of a data folder, which must be there.
///
/// # Errors
/// When nothing was imported yet, or the store cannot be opened.
pub fn open_existing(folder: &Path) -> anyhow::Result<PriceStore> {
    let path = folder.join(FILE);
    if !path.exists() {
        anyhow::bail!(crate::run::Refused(format!(
            "nothing was imported into {}: run `headgate prices import FILE...` first, or give \
             the files with --prices",
            folder.display()
        )));
    }
    Ok(PriceStore::open(&path)?)
}

/// Writes to standard output; a reader that has seen enough is no failure.
fn emit(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("failed to write to standard output"),
    }
}

/// A store that lasts as long as the command.
fn in_memory() -> anyhow::Result<PriceStore> {
    Ok(PriceStore::open(Path::new(":memory:"))?)
}

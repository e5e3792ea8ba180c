//! The committed corpus of the fuzz targets, replayed: no input makes a reader panic, neither as
//! it is nor cut at any place, nor with any byte turned over.

use headgate_feeds::fuzz;
use std::path::Path;

/// Inputs a target must have at least: an empty corpus replays nothing.
const INPUTS_MIN: usize = 2;
/// Places at which an input is cut and turned over.
const PLACES: usize = 24;

fn check(target: &str, drive: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= INPUTS_MIN, "{target} has {} inputs", files.len());
    for file in files {
        eprintln!("{}", file.display());
        let mut bytes = std::fs::read(&file).unwrap();
        drive(&bytes);
        let stride = (bytes.len() / PLACES).max(1);
        for at in (0..bytes.len()).step_by(stride) {
            drive(&bytes[..at]);
            bytes[at] ^= 0xff;
            drive(&bytes);
            bytes[at] ^= 0xff;
        }
    }
}

#[test]
fn no_price_file_of_the_corpus_breaks_its_reader() {
    check("prices", fuzz::prices);
}

#[test]
fn no_schedule_of_the_corpus_breaks_its_reader() {
    check("schedules", fuzz::schedules);
}

#[test]
fn no_series_of_the_corpus_breaks_its_reader() {
    check("series", fuzz::series);
}

#[test]
fn no_market_of_the_corpus_breaks_its_reader() {
    check("markets", fuzz::markets);
}

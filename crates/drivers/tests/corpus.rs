//! The committed corpus of the fuzz target, replayed: no reply makes a talk panic or go on for
//! ever, neither as it is nor cut at any place, nor with any byte turned over.

use headgate_drivers::fuzz;
use std::path::Path;

/// Inputs there must be at least: an empty corpus replays nothing.
const INPUTS_MIN: usize = 6;
/// Places at which an input is cut and turned over.
const PLACES: usize = 64;

#[test]
fn no_reply_of_the_corpus_breaks_a_talk() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/replies");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= INPUTS_MIN, "there are {} inputs", files.len());
    for file in files {
        eprintln!("{}", file.display());
        let mut bytes = std::fs::read(&file).unwrap();
        fuzz::replies(&bytes);
        let stride = (bytes.len() / PLACES).max(1);
        for at in (0..bytes.len()).step_by(stride) {
            fuzz::replies(&bytes[..at]);
            for mask in [0xff, 0x08] {
                bytes[at] ^= mask;
                fuzz::replies(&bytes);
                bytes[at] ^= mask;
            }
        }
    }
}

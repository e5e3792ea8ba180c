//! What is kept of a sweep while it runs: one line a case, checked, so that it can go on.
//!
//! ```text
//!   9f3b2c11 {"format":1,"plan":"ab12..","cases":480,"from":0,"to":480}
//!   04c1d2e7 {"case":3,"outcome":{"Ok":{..}}}
//!   77aa0b
//! ```
//!
//! The number before a line is the CRC-32 of the rest. Lines stand in the order in which cases
//! were done. What a kill left half-written is cut off, with all that follows it.

use super::outcome::Done;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{BufRead, Read};

/// Version of the format.
pub const FORMAT: u32 = 1;
/// Longest line, in bytes.
pub const LINE_BYTES_MAX: u64 = 1 << 16;
/// Digits of a checksum.
const SUM_DIGITS: usize = 8;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format.
    pub format: u32,
    /// Hash of everything the results depend on.
    pub plan: String,
    /// Cases of the whole plan.
    pub cases: u64,
    /// First case that is kept here.
    pub from: u64,
    /// First case after.
    pub to: u64,
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Its header; `None` where not even that is whole.
    pub header: Option<Header>,
    /// Cases that are done, each with the place of its line, in the order they are there.
    pub done: Vec<(u64, u64)>,
    /// Bytes up to which it is whole.
    pub whole: u64,
}

/// One line of a record.
///
/// # Panics
/// When the item cannot be written as JSON, which items of a record can.
#[must_use]
pub fn line<T: Serialize>(item: &T) -> String {
    let text = serde_json::to_string(item).expect("items of a record have plain keys");
    format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes()))
}

/// Reads a line back; `None` where it is not whole.
#[must_use]
pub fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let body = line.strip_suffix(b"\n")?;
    let (sum, text) = body.split_at_checked(SUM_DIGITS)?;
    let text = text.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (sum == crc32fast::hash(text)).then(|| serde_json::from_slice(text).ok())?
}

/// Reads one line of at most [`LINE_BYTES_MAX`] bytes; empty at the end.
///
/// # Errors
/// When it cannot be read.
pub fn next_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<()> {
    line.clear();
    from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', line)?;
    Ok(())
}

/// Reads a record as far as it is whole.
///
/// # Errors
/// When it cannot be read.
pub fn read(mut from: impl BufRead) -> std::io::Result<Contents> {
    let mut contents = Contents::default();
    let mut bytes = Vec::new();
    next_line(&mut from, &mut bytes)?;
    let Some(header) = parse::<Header>(&bytes) else { return Ok(contents) };
    let (first, after) = (header.from, header.to);
    contents.header = Some(header);
    contents.whole = bytes.len() as u64;
    loop {
        next_line(&mut from, &mut bytes)?;
        let Some(done) = parse::<Done>(&bytes).filter(|d| (first..after).contains(&d.case)) else {
            return Ok(contents);
        };
        contents.done.push((done.case, contents.whole));
        contents.whole += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(cases: u64) -> (String, Vec<usize>) {
        let header = Header { format: FORMAT, plan: "ab".into(), cases, from: 0, to: cases };
        let mut text = line(&header);
        let mut ends = vec![text.len()];
        for case in 0..cases {
            text += &line(&Done { case, outcome: Err(format!("no {case}")) });
            ends.push(text.len());
        }
        (text, ends)
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        let (text, ends) = record(3);
        let read = read(text.as_bytes()).unwrap();
        assert_eq!(read.header.unwrap().plan, "ab");
        assert_eq!(read.whole, text.len() as u64);
        let places: Vec<(u64, u64)> = (0..3).map(|i| (i, ends[i as usize] as u64)).collect();
        assert_eq!(read.done, places);
    }

    proptest! {
        /// Wherever it is cut, what was whole before the cut is there, and nothing else.
        #[test]
        fn a_cut_costs_the_line_it_falls_in(cut in 0usize..400) {
            let (text, ends) = record(6);
            let cut = cut.min(text.len());
            let got = read(&text.as_bytes()[..cut]).unwrap();
            let whole = ends.iter().filter(|e| **e <= cut).count();
            prop_assert_eq!(got.done.len(), whole.saturating_sub(1));
            prop_assert_eq!(got.whole as usize, if whole == 0 { 0 } else { ends[whole - 1] });
        }

        #[test]
        fn a_flipped_bit_is_found(at in 0usize..300, bit in 0u8..8) {
            let (text, ends) = record(6);
            let at = at % text.len();
            let mut bytes = text.into_bytes();
            bytes[at] ^= 1 << bit;
            // Case of hexadecimal digits in a checksum does not matter.
            prop_assume!(bit != 5 || ends.iter().chain(&[0]).all(|e| at < *e || at >= e + 8));
            let got = read(bytes.as_slice()).unwrap();
            prop_assert!(got.whole as usize <= at);
        }
    }
}

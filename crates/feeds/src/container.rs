//! What a file is packed in, recognised by its first bytes, unpacked as a bounded stream.

use crate::error::FeedError;
use crate::limits::{INNER_ZIP_BYTES_MAX, UNPACKED_BYTES_MAX, ZIP_DEPTH_MAX, ZIP_ENTRIES_MAX};
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};

/// What a file is packed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Nothing.
    Plain,
    /// gzip, also of several members.
    Gzip,
    /// Zstandard.
    Zstd,
    /// A zip of one or more files.
    Zip,
}

impl Container {
    /// Recognises a container by the first bytes of a file.
    #[must_use]
    pub fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Zip,
            _ => Self::Plain,
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "file",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Zip => "zip",
        }
    }
}

/// Takes one unpacked text: what to call it, and its bytes.
pub type Take<'a> = dyn FnMut(&str, Container, &mut dyn BufRead) -> Result<(), FeedError> + 'a;

/// Unpacks an input and hands each text in it to `take`; a zip hands over its files in their
/// order, leaving out folders and the XML twins of ERCOT's reports.
///
/// # Errors
/// What `take` says, and [`FeedError`] when the packing is cut short, damaged or too large.
pub fn unpack<R: Read + Seek>(name: &str, input: R, take: &mut Take<'_>) -> Result<(), FeedError> {
    let mut budget = UNPACKED_BYTES_MAX;
    unpack_within(name, input, &mut budget, 0, take)
}

fn unpack_within<R: Read + Seek>(
    name: &str,
    mut input: R,
    budget: &mut u64,
    depth: usize,
    take: &mut Take<'_>,
) -> Result<(), FeedError> {
    let mut magic = [0u8; 4];
    let mut have = 0;
    let start = input.stream_position().map_err(|e| failed(name, Container::Plain, e))?;
    loop {
        match input.read(&mut magic[have..]) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(name, Container::Plain, e)),
        }
    }
    input.seek(SeekFrom::Start(start)).map_err(|e| failed(name, Container::Plain, e))?;
    let container = Container::of(&magic[..have]);
    match container {
        Container::Plain => stream(name, container, input, budget, take),
        Container::Gzip => {
            stream(name, container, flate2::read::MultiGzDecoder::new(input), budget, take)
        }
        Container::Zstd => {
            let decoder =
                zstd::stream::read::Decoder::new(input).map_err(|e| failed(name, container, e))?;
            stream(name, container, decoder, budget, take)
        }
        Container::Zip => unzip(name, input, budget, depth, take),
    }
}

fn stream<R: Read>(
    name: &str,
    container: Container,
    reader: R,
    budget: &mut u64,
    take: &mut Take<'_>,
) -> Result<(), FeedError> {
    let bounded = Bounded { reader, left: budget };
    take(name, container, &mut BufReader::with_capacity(1 << 16, bounded))
}

fn unzip<R: Read + Seek>(
    name: &str,
    input: R,
    budget: &mut u64,
    depth: usize,
    take: &mut Take<'_>,
) -> Result<(), FeedError> {
    let whole = |what: String, mend: &str| FeedError::Whole {
        file: name.to_owned(),
        what,
        mend: mend.to_owned(),
    };
    let mut archive = zip::ZipArchive::new(input).map_err(|e| zip_failed(name, e))?;
    if archive.len() > ZIP_ENTRIES_MAX {
        let what = format!("the zip has {} files", archive.len());
        return Err(whole(what, "split it into smaller ones"));
    }
    if archive.index_for_name("[Content_Types].xml").is_some() {
        return Err(whole("it is a workbook".into(), "save its sheet as CSV, or fetch the CSV"));
    }
    let mut taken = 0usize;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| zip_failed(name, e))?;
        let inner = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let lower = inner.to_ascii_lowercase();
        // ERCOT packs each report twice, and the XML twin says the same again.
        if entry.is_dir() || lower.contains("_xml") || lower.ends_with(".xml") {
            continue;
        }
        let label = format!("{name}:{inner}");
        taken += 1;
        if !has_extension(&lower, "zip") {
            stream(&label, Container::Zip, entry, budget, take)?;
            continue;
        }
        if depth + 1 >= ZIP_DEPTH_MAX {
            let what = format!("`{inner}` is a zip too deep inside zips");
            return Err(whole(what, "unpack the outer one first"));
        }
        let mut bytes = Vec::new();
        let read = entry.by_ref().take(INNER_ZIP_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|e| failed(&label, Container::Zip, e))?;
        if bytes.len() as u64 > INNER_ZIP_BYTES_MAX {
            let what = format!("`{inner}` has more than {INNER_ZIP_BYTES_MAX} bytes");
            return Err(whole(what, "unpack the outer one first"));
        }
        unpack_within(&label, Cursor::new(bytes), budget, depth + 1, take)?;
    }
    if taken == 0 {
        return Err(whole("the zip has no CSV file".into(), "fetch the CSV, not the XML"));
    }
    Ok(())
}

fn has_extension(name: &str, extension: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

fn zip_failed(name: &str, e: zip::result::ZipError) -> FeedError {
    match e {
        zip::result::ZipError::Io(e) => failed(name, Container::Zip, e),
        // The directory of a zip is at its end: without one the end is missing.
        e @ zip::result::ZipError::InvalidArchive(_) if e.to_string().contains("EOCD") => {
            let (file, container) = (name.to_owned(), "zip");
            FeedError::Truncated { file, container, source: Box::new(e) }
        }
        e => {
            let (file, container) = (name.to_owned(), "zip");
            FeedError::Damaged { file, container, source: Box::new(e) }
        }
    }
}

/// Says what a failed read means, by what the bytes come out of.
pub(crate) fn failed(name: &str, container: Container, e: io::Error) -> FeedError {
    let file = name.to_owned();
    if e.get_ref().is_some_and(|inner| inner.is::<TooLarge>()) {
        let what = format!("it unpacks to more than {UNPACKED_BYTES_MAX} bytes");
        return FeedError::Whole { file, what, mend: "split it into smaller files".into() };
    }
    let cut = e.kind() == io::ErrorKind::UnexpectedEof;
    match container {
        Container::Plain => FeedError::Read { file, source: e },
        packed if cut => {
            FeedError::Truncated { file, container: packed.name(), source: Box::new(e) }
        }
        packed => FeedError::Damaged { file, container: packed.name(), source: Box::new(e) },
    }
}

/// More came out than one input may have.
#[derive(Debug, thiserror::Error)]
#[error("more bytes than one input may have")]
struct TooLarge;

/// Counts what comes out against a budget shared by all files of one input.
struct Bounded<'a, R> {
    reader: R,
    left: &'a mut u64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(out)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => *self.left = left,
            None => return Err(io::Error::other(TooLarge)),
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        let mut left = 1000;
        let bounded = Bounded { reader: io::repeat(b'x'), left: &mut left };
        let error = io::copy(&mut BufReader::new(bounded), &mut io::sink()).unwrap_err();
        let told = failed("bomb.gz", Container::Gzip, error).sentence();
        insta::assert_snapshot!(told, @"failed to read bomb.gz: it unpacks to more than 1073741824 bytes; split it into smaller files");
    }
}

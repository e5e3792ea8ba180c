//! What a file is packed in, recognised by its first bytes, unpacked as a bounded stream.

mod salvage;
mod workbook;

use crate::error::FeedError;
use crate::limits::{INNER_ZIP_BYTES_MAX, UNPACKED_BYTES_MAX, ZIP_DEPTH_MAX, ZIP_ENTRIES_MAX};
use salvage::Salvage;
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
    /// A workbook; its sheets come out as CSV.
    Workbook,
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
            Self::Workbook => "workbook",
        }
    }
}

/// Takes one unpacked text: what to call it, and its bytes.
pub type Take<'a> = dyn FnMut(&str, Container, &mut dyn BufRead) -> Result<(), FeedError> + 'a;

/// Unpacks an input and hands each text in it to `take`; a zip hands over its files in their
/// order, leaving out folders and the XML twins of ERCOT's reports, and a workbook its sheets,
/// each written as CSV. Returns one sentence for each zip that was read without its directory.
///
/// # Errors
/// What `take` says, and [`FeedError`] when the packing is cut short, damaged or too large.
pub fn unpack<R: Read + Seek>(
    name: &str,
    input: R,
    take: &mut Take<'_>,
) -> Result<Vec<String>, FeedError> {
    let mut unpacker = Unpacker { budget: UNPACKED_BYTES_MAX, take, told: Vec::new() };
    unpacker.unpack(name, input, 0)?;
    Ok(unpacker.told)
}

/// One input on its way out of its packing.
struct Unpacker<'t, 'f> {
    budget: u64,
    take: &'t mut Take<'f>,
    told: Vec<String>,
}

impl Unpacker<'_, '_> {
    fn unpack<R: Read + Seek>(
        &mut self,
        name: &str,
        mut input: R,
        depth: usize,
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
        if magic == OLD_WORKBOOK {
            let what = "it is a workbook of the format before 2007";
            return Err(whole(name, what.into(), "save it as .xlsx or CSV"));
        }
        let container = Container::of(&magic[..have]);
        match container {
            Container::Gzip => {
                self.stream(name, container, flate2::read::MultiGzDecoder::new(input))
            }
            Container::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(input)
                    .map_err(|e| failed(name, container, e))?;
                self.stream(name, container, decoder)
            }
            Container::Zip => self.unzip(name, input, depth),
            Container::Plain | Container::Workbook => self.stream(name, container, input),
        }
    }

    fn stream<R: Read>(
        &mut self,
        name: &str,
        container: Container,
        reader: R,
    ) -> Result<(), FeedError> {
        let bounded = Bounded { reader, left: &mut self.budget };
        (self.take)(name, container, &mut BufReader::with_capacity(1 << 16, bounded))
    }

    fn unzip<R: Read + Seek>(
        &mut self,
        name: &str,
        mut input: R,
        depth: usize,
    ) -> Result<(), FeedError> {
        let mut archive = match zip::ZipArchive::new(&mut input) {
            Ok(archive) => archive,
            Err(e) => {
                let refusal = zip_failed(name, e);
                return self.salvage(name, &mut input, depth, refusal);
            }
        };
        if archive.len() > ZIP_ENTRIES_MAX {
            return Err(too_many(name));
        }
        if archive.index_for_name("[Content_Types].xml").is_some() {
            workbook::check(name, &mut archive)?;
            drop(archive);
            return self.sheets(name, input);
        }
        let mut taken = 0usize;
        // An exchange that answers in XML alone, or says by XML why it has nothing.
        let only_xml =
            archive.file_names().all(|n| n.is_ok_and(|n| n.ends_with('/') || is_twin(&n)));
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(|e| zip_failed(name, e))?;
            let inner = String::from_utf8_lossy(entry.name_raw()).into_owned();
            if entry.is_dir() || (is_twin(&inner) && !only_xml) {
                continue;
            }
            taken += 1;
            self.entry(name, &inner, entry, depth)?;
        }
        if taken == 0 {
            return Err(whole(
                name,
                "the zip has no CSV file".into(),
                "fetch the CSV, not the XML",
            ));
        }
        Ok(())
    }

    /// Takes one file out of a zip: a text as it is, a zip or workbook by way of memory.
    fn entry(
        &mut self,
        name: &str,
        inner: &str,
        entry: impl Read,
        depth: usize,
    ) -> Result<(), FeedError> {
        let label = format!("{name}:{inner}");
        let zipped = has_extension(inner, "zip");
        if !zipped && !["xlsx", "xlsm"].iter().any(|e| has_extension(inner, e)) {
            return self.stream(&label, Container::Zip, entry);
        }
        if zipped && depth + 1 >= ZIP_DEPTH_MAX {
            let what = format!("`{inner}` is a zip too deep inside zips");
            return Err(whole(name, what, "unpack the outer one first"));
        }
        let bytes = held(name, inner, entry)?;
        // What is held counts as well: many packed files may come to nothing and still cost.
        let left = self.budget.checked_sub(bytes.len() as u64);
        self.budget = left.ok_or_else(|| failed(&label, Container::Zip, TooLarge.into()))?;
        self.unpack(&label, Cursor::new(bytes), depth + 1)
    }

    fn sheets<R: Read + Seek>(&mut self, name: &str, input: R) -> Result<(), FeedError> {
        let mut book = workbook::Book::open(name, input)?;
        for sheet in book.sheets() {
            let label = format!("{name}:{sheet}");
            let text = book.text(&label, &sheet)?;
            self.stream(&label, Container::Workbook, text)?;
        }
        Ok(())
    }

    /// Reads a zip whose directory is unusable by the headers before each file, as ERCOT posts
    /// one now and then. `refusal` stands when these do not lead through all files either.
    fn salvage<R: Read + Seek>(
        &mut self,
        name: &str,
        input: &mut R,
        depth: usize,
        refusal: FeedError,
    ) -> Result<(), FeedError> {
        if input.rewind().is_err() {
            return Err(refusal);
        }
        let mut headers = Salvage::new(BufReader::new(input));
        let mut taken = 0usize;
        loop {
            let Ok(next) = headers.next_file() else { return Err(refusal) };
            let Some((inner, bytes)) = next else { break };
            if inner.ends_with('/') || is_twin(&inner) {
                continue;
            }
            taken += 1;
            if taken > ZIP_ENTRIES_MAX {
                return Err(too_many(name));
            }
            self.entry(name, &inner, bytes.as_slice(), depth)?;
        }
        if taken == 0 {
            return Err(refusal);
        }
        self.told.push(format!(
            "{name}: the zip's directory is damaged; its files were whole and were read without it: \
             {taken}"
        ));
        Ok(())
    }
}

/// First bytes of a workbook as it was before 2007.
const OLD_WORKBOOK: [u8; 4] = [0xd0, 0xcf, 0x11, 0xe0];

/// ERCOT packs each report twice, and the XML twin says the same again.
fn is_twin(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.contains("_xml") || has_extension(&lower, "xml")
}

/// The bytes of a file that has to be held in memory.
fn held(name: &str, inner: &str, mut entry: impl Read) -> Result<Vec<u8>, FeedError> {
    let mut bytes = Vec::new();
    let read = entry.by_ref().take(INNER_ZIP_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| failed(&format!("{name}:{inner}"), Container::Zip, e))?;
    if bytes.len() as u64 > INNER_ZIP_BYTES_MAX {
        let what = format!("`{inner}` has more than {INNER_ZIP_BYTES_MAX} bytes");
        return Err(whole(name, what, "unpack the outer one first"));
    }
    Ok(bytes)
}

fn too_many(name: &str) -> FeedError {
    let what = format!("the zip has more than {ZIP_ENTRIES_MAX} files");
    whole(name, what, "split it into smaller ones")
}

pub(crate) fn whole(name: &str, what: String, mend: &str) -> FeedError {
    FeedError::Whole { file: name.to_owned(), what, mend: mend.to_owned() }
}

fn has_extension(name: &str, extension: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

pub(crate) fn zip_failed(name: &str, e: zip::result::ZipError) -> FeedError {
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

impl From<TooLarge> for io::Error {
    fn from(e: TooLarge) -> Self {
        Self::other(e)
    }
}

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
            None => return Err(TooLarge.into()),
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

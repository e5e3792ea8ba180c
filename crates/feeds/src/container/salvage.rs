//! A zip read by the headers before each file, for one whose directory is damaged.

use crate::limits::INNER_ZIP_BYTES_MAX;
use std::io::{self, BufRead, Read};

const FILE: [u8; 4] = *b"PK\x03\x04";
const DIRECTORY: [u8; 4] = *b"PK\x01\x02";
const DIRECTORY_END: [u8; 4] = *b"PK\x05\x06";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
/// Bytes of a file's header after its mark.
const HEADER_BYTES: usize = 26;

/// Walks through the files of a zip from its start.
pub(super) struct Salvage<R> {
    input: R,
}

impl<R: BufRead> Salvage<R> {
    pub fn new(input: R) -> Self {
        Self { input }
    }

    /// Name and bytes of the next file, whole and with the right checksum; `None` where the
    /// directory begins, which is after the last file.
    pub fn next_file(&mut self) -> io::Result<Option<(String, Vec<u8>)>> {
        let mark: [u8; 4] = self.bytes()?;
        if mark == DIRECTORY || mark == DIRECTORY_END {
            return Ok(None);
        }
        if mark != FILE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let header: [u8; HEADER_BYTES] = self.bytes()?;
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let long = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (flags, method, packed) = (short(2), short(4), u64::from(long(14)));
        let (encrypted, described) = (flags & 1 != 0, flags & 8 != 0);
        let mut name = vec![0; usize::from(short(22))];
        self.input.read_exact(&mut name)?;
        io::copy(&mut self.input.by_ref().take(u64::from(short(24))), &mut io::sink())?;
        let mut out = Vec::new();
        match (method, described) {
            _ if encrypted || packed > INNER_ZIP_BYTES_MAX => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            (0, false) => self.limited(packed, &mut out)?,
            (8, false) => {
                let mut body = Vec::new();
                self.limited(packed, &mut body)?;
                inflate(body.as_slice(), &mut out)?;
            }
            // Its length stands after it: the packing itself says where it ends.
            (8, true) => inflate(&mut self.input, &mut out)?,
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        let sum = if described { self.descriptor()? } else { long(10) };
        let mut check = flate2::Crc::new();
        check.update(&out);
        if check.sum() != sum {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Some((String::from_utf8_lossy(&name).into_owned(), out)))
    }

    /// Checksum of the descriptor after a file; its own mark may be missing.
    fn descriptor(&mut self) -> io::Result<u32> {
        let mut sum: [u8; 4] = self.bytes()?;
        if sum == DESCRIPTOR {
            sum = self.bytes()?;
        }
        let _lengths: [u8; 8] = self.bytes()?;
        Ok(u32::from_le_bytes(sum))
    }

    fn limited(&mut self, length: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let got = self.input.by_ref().take(length).read_to_end(out)?;
        if got as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut out = [0; N];
        self.input.read_exact(&mut out)?;
        Ok(out)
    }
}

fn inflate(packed: impl BufRead, out: &mut Vec<u8>) -> io::Result<()> {
    let decoder = flate2::bufread::DeflateDecoder::new(packed);
    let got = decoder.take(INNER_ZIP_BYTES_MAX + 1).read_to_end(out)?;
    if got as u64 > INNER_ZIP_BYTES_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
}

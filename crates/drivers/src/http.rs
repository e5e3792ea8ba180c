//! As much of HTTP/1.1 as a miner's web server speaks: one request a connection, a reply with a
//! length, in chunks, or up to the end of the stream.

use crate::cgminer::{WORDS_MAX, words};
use crate::{Failure, REPLY_BYTES_MAX};
use std::fmt::Write as _;

/// Longest head of a reply, its status line and headers.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of one reply that are looked at.
const HEADERS_MAX: usize = 64;
/// Longest line that says a chunk's length.
const CHUNK_LINE_MAX: usize = 256;
/// Characters shown of something that is no reply at all.
const START_SHOWN_MAX: usize = 40;

/// Why something is no HTTP reply, or not the one that was hoped for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It does not begin like one.
    #[error("failed to read a reply: no HTTP came but {start:?}; is this the web server's port?")]
    NotHttp {
        /// How it begins.
        start: String,
    },
    /// Its body is not what its head says.
    #[error("failed to read the body of a reply: its chunks are broken")]
    Chunks,
    /// The server answered that it could not.
    #[error("failed to be answered: the web server says {status} {reason:?}")]
    Status {
        /// The status.
        status: u16,
        /// The server's words.
        reason: String,
    },
}

/// Builds a request; `headers` are whole lines without their ends.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[&str], body: Option<&[u8]>) -> Vec<u8> {
    // Its name is no matter to a server that serves one machine.
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: miner\r\nConnection: close\r\n");
    for line in headers {
        head.push_str(line);
        head.push_str("\r\n");
    }
    if let Some(body) = body {
        let length = body.len();
        let _ = write!(head, "Content-Type: application/json\r\nContent-Length: {length}\r\n");
    }
    head.push_str("\r\n");
    let mut out = head.into_bytes();
    out.extend_from_slice(body.unwrap_or_default());
    out
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    /// Its status.
    pub status: u16,
    reason: &'a [u8],
    headers: Vec<(&'a [u8], &'a [u8])>,
    /// Its body, put together from its chunks.
    pub body: Vec<u8>,
}

impl<'a> Response<'a> {
    /// Reads a whole reply.
    ///
    /// # Errors
    /// [`HttpError`] says what came instead.
    pub fn read(bytes: &'a [u8]) -> Result<Self, HttpError> {
        let not_http = || HttpError::NotHttp { start: start(bytes) };
        let mut bytes = bytes;
        let (head, body) = loop {
            let (head, body) = split_head(bytes).ok_or_else(not_http)?;
            // A provisional answer goes before the real one.
            if !matches!(status(head), Some((100..=199, _))) {
                break (head, body);
            }
            bytes = body;
        };
        let (status, reason) = status(head).ok_or_else(not_http)?;
        let headers: Vec<_> = headers(head).collect();
        let body = if is_chunked(head) {
            joined(body).ok_or(HttpError::Chunks)?
        } else {
            let length = length(head).unwrap_or(body.len());
            body[..length.min(body.len())].to_vec()
        };
        Ok(Self { status, reason, headers, body })
    }

    /// Reads a reply whose server must have done what was asked.
    ///
    /// # Errors
    /// As [`Self::read`], and [`HttpError::Status`] for any status but 200 to 299.
    pub fn done(bytes: &'a [u8]) -> Result<Self, HttpError> {
        let reply = Self::read(bytes)?;
        if (200..300).contains(&reply.status) { Ok(reply) } else { Err(reply.refusal()) }
    }

    /// What its status says, as an error.
    #[must_use]
    pub fn refusal(&self) -> HttpError {
        let reason = words(&String::from_utf8_lossy(self.reason), WORDS_MAX);
        HttpError::Status { status: self.status, reason }
    }

    /// Values of a header, in the order they came.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        let fits = move |n: &&(&[u8], &[u8])| n.0.eq_ignore_ascii_case(name.as_bytes());
        let text = |(_, value): &(&'a [u8], &'a [u8])| str::from_utf8(value).ok();
        self.headers.iter().filter(fits).filter_map(text)
    }
}

/// The head of a reply with its empty line, and what follows it.
fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = head_end(bytes)?;
    Some(bytes.split_at(end))
}

/// Where the first empty line ends.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let bounded = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let mut line = 0;
    for (i, byte) in bounded.iter().enumerate() {
        if *byte == b'\n' {
            if matches!(&bounded[line..i], [] | [b'\r']) && line > 0 {
                return Some(i + 1);
            }
            line = i + 1;
        }
    }
    None
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn status(head: &[u8]) -> Option<(u16, &[u8])> {
    let line = lines(head).next()?;
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (_, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(b" ")?;
    let (digits, reason) = rest.split_at_checked(3)?;
    let status = str::from_utf8(digits).ok()?.parse().ok()?;
    Some((status, reason.trim_ascii()))
}

fn headers(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(head).skip(1).take(HEADERS_MAX).filter_map(|line| {
        let colon = line.iter().position(|b| *b == b':')?;
        Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
    })
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    headers(head).find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

fn is_chunked(head: &[u8]) -> bool {
    header(head, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked"))
}

/// The body's length as the head says it, bounded so that sums with it cannot overflow.
fn length(head: &[u8]) -> Option<usize> {
    let digits = header(head, "content-length")?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = str::from_utf8(digits).ok()?.parse::<usize>();
    Some(length.map_or(REPLY_BYTES_MAX + 1, |n| n.min(REPLY_BYTES_MAX + 1)))
}

/// Whether a reply of this status never has a body.
fn is_bare(head: &[u8]) -> bool {
    matches!(status(head), Some((204 | 304, _)))
}

/// What stands at a place in a body of chunks.
enum Chunk {
    /// More has to come first.
    More,
    /// Data of so many bytes begins there; 0 is the last.
    Data(usize, usize),
    /// No chunk, and where the line that is none ends.
    Broken(usize),
}

fn chunk_at(body: &[u8], at: usize) -> Chunk {
    let rest = &body[at.min(body.len())..];
    let Some(end) = rest.iter().take(CHUNK_LINE_MAX).position(|b| *b == b'\n') else {
        let long = rest.len() >= CHUNK_LINE_MAX;
        return if long { Chunk::Broken(at + CHUNK_LINE_MAX) } else { Chunk::More };
    };
    let line = rest[..end].trim_ascii();
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let size = str::from_utf8(digits).ok().and_then(|t| usize::from_str_radix(t, 16).ok());
    match size {
        Some(size) if size <= REPLY_BYTES_MAX => Chunk::Data(at + end + 1, size),
        _ => Chunk::Broken(at + end + 1),
    }
}

/// Puts a body together from its chunks.
fn joined(body: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), 0);
    loop {
        match chunk_at(body, at) {
            Chunk::Data(_, 0) => return Some(out),
            Chunk::Data(from, size) => {
                out.extend_from_slice(body.get(from..from + size)?);
                at = from + size;
                at += match body.get(at..) {
                    Some([b'\r', b'\n', ..]) => 2,
                    Some([b'\n', ..]) => 1,
                    _ => return None,
                };
            }
            Chunk::More | Chunk::Broken(_) => return None,
        }
    }
}

fn start(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(4 * START_SHOWN_MAX)];
    words(&String::from_utf8_lossy(head), START_SHOWN_MAX)
}

/// How far a reply that is still coming in has been understood.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Where its head begins: after provisional answers.
    from: usize,
    body: Option<Body>,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    /// It ends here.
    Length(usize),
    /// The next chunk begins here.
    Chunks(usize),
    /// It ends with the stream.
    Stream,
}

impl Progress {
    /// Where the reply in what has come so far ends, once it is whole.
    pub(crate) fn end(&mut self, came: &[u8]) -> Result<Option<usize>, Failure> {
        loop {
            match self.body {
                None => {
                    let Some((head, _)) = split_head(&came[self.from..]) else {
                        let long = came.len() - self.from >= HEAD_BYTES_MAX;
                        return if long { Err(Failure::TooLong) } else { Ok(None) };
                    };
                    self.take_head(head)?;
                }
                Some(Body::Length(end)) => return Ok((came.len() >= end).then_some(end)),
                Some(Body::Stream) => return Ok(None),
                Some(Body::Chunks(at)) => match chunk_at(came, at) {
                    Chunk::More => return Ok(None),
                    // What is no chunk ends nothing; the reader of the reply says so.
                    Chunk::Broken(end) => return Ok(Some(end)),
                    Chunk::Data(from, 0) => return Ok(trailer_end(came, from)),
                    Chunk::Data(from, size) if came.len() < from + size + 2 => {
                        let long = from + size > REPLY_BYTES_MAX;
                        return if long { Err(Failure::TooLong) } else { Ok(None) };
                    }
                    Chunk::Data(from, size) => {
                        let end = from + size;
                        let bare = came[end] == b'\n';
                        self.body = Some(Body::Chunks(end + if bare { 1 } else { 2 }));
                    }
                },
            }
        }
    }

    fn take_head(&mut self, head: &[u8]) -> Result<(), Failure> {
        let end = self.from + head.len();
        if matches!(status(head), Some((100..=199, _))) {
            self.from = end;
            return Ok(());
        }
        let body = match length(head) {
            _ if is_bare(head) => Body::Length(end),
            _ if is_chunked(head) => Body::Chunks(end),
            Some(length) if end + length > REPLY_BYTES_MAX => return Err(Failure::TooLong),
            Some(length) => Body::Length(end + length),
            None => Body::Stream,
        };
        self.body = Some(body);
        Ok(())
    }

    /// Whether a stream that ends now ends the reply. What never was HTTP is handed over too, for
    /// its reader says better what it is.
    pub(crate) fn ends_with_stream(&self, came: &[u8]) -> bool {
        let strange = !came.is_empty() && !came.starts_with(b"HTTP/");
        matches!(self.body, Some(Body::Stream)) || (self.body.is_none() && strange)
    }
}

/// Where the lines after the last chunk end.
fn trailer_end(came: &[u8], from: usize) -> Option<usize> {
    let rest = came.get(from..)?;
    match rest {
        [b'\r', b'\n', ..] => Some(from + 2),
        [b'\n', ..] => Some(from + 1),
        _ => head_end(rest).map(|end| from + end),
    }
}

#[cfg(test)]
mod tests;

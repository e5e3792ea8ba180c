//! The cgminer API: one JSON request a connection, one JSON reply closed by a NUL byte.
//!
//! Well-formed replies take one pass of `serde_json` that skips what is not asked for. Replies
//! that are broken in the ways the field knows are mended by `repair` and read again; what
//! cannot be mended is a [`ReplyError`] that says what came instead.

mod repair;

use crate::REPLY_BYTES_MAX;
use headgate_core::units::Power;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Rows of one section that are kept; the longest known section has 25.
pub const ROWS_MAX: usize = 256;
/// Characters of a machine's own words that are kept.
pub const WORDS_MAX: usize = 120;
/// Characters shown of something that is no reply at all.
const START_SHOWN_MAX: usize = 40;
/// Power above which a reading of one machine is not believed.
pub const WATTS_MAX: i64 = 1_000_000;
/// Largest number a machine may say; every quantity of one machine lies far below it.
const NUMBER_MAX: f64 = 1e15;

/// How a machine judges a command itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// `S`: done.
    Success,
    /// `I`: done, something to tell.
    Info,
    /// `W`: done, with a warning.
    Warning,
    /// `E`: not done.
    Error,
    /// `F`: not done, and worse.
    Fatal,
}

/// The STATUS of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The machine's own judgement.
    pub letter: Letter,
    /// The API's code of what was done or refused; 0 where none was told.
    pub code: i64,
    /// The machine's words, at most [`WORDS_MAX`] characters.
    pub msg: String,
}

impl Status {
    /// Whether the machine says that it did what was asked.
    #[must_use]
    pub fn done(&self) -> bool {
        matches!(self.letter, Letter::Success | Letter::Info | Letter::Warning)
    }
}

/// A named section of a reply.
pub trait Section: DeserializeOwned {
    /// Its key in the reply.
    const NAME: &'static str;
}

/// Stands for a reply of which only the STATUS is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSection;

impl<'de> Deserialize<'de> for NoSection {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(d).map(|_| Self)
    }
}

impl Section for NoSection {
    const NAME: &'static str = "";
}

/// A reply: its STATUS and the rows of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<S> {
    /// The machine's judgement.
    pub status: Status,
    /// Rows of the section asked for, at most [`ROWS_MAX`]; empty when it is not there.
    pub rows: Vec<S>,
}

/// Why a reply could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// Nothing came.
    #[error("failed to read a reply: the machine closed the connection without a word")]
    Empty,
    /// A web page came.
    #[error("failed to read a reply: a web page came ({start:?}); is this the API's port?")]
    WebPage {
        /// How it begins.
        start: String,
    },
    /// Something came that is not JSON at all.
    #[error("failed to read a reply: no JSON came but {start:?}")]
    NotJson {
        /// How it begins.
        start: String,
    },
    /// JSON came that is broken beyond repair.
    #[error("failed to read a reply that begins {start:?}")]
    Malformed {
        /// How it begins.
        start: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// More came than any reply has.
    #[error("failed to read a reply: {bytes} bytes came, {REPLY_BYTES_MAX} are the limit")]
    TooLong {
        /// How much.
        bytes: usize,
    },
    /// The reply says nothing of what was asked.
    #[error("failed to find {field} in the {section} of a reply")]
    Missing {
        /// The section.
        section: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The machine answered that it could not.
    #[error("failed to be answered: the machine says {msg:?} (code {code})")]
    Said {
        /// The API's code.
        code: i64,
        /// The machine's words.
        msg: String,
    },
}

/// Builds a request: one JSON object to be put on the wire in one write, without a NUL, which
/// the original program answers with "Invalid JSON".
#[must_use]
pub fn request(command: &str, parameter: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(b"{\"command\":");
    quote(command, &mut out);
    if let Some(p) = parameter {
        out.extend_from_slice(b",\"parameter\":");
        quote(p, &mut out);
    }
    out.push(b'}');
    out
}

fn quote(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text always has a JSON form");
}

/// Reads a reply: its STATUS and the rows of one section; a bare object counts as one row.
///
/// # Errors
/// [`ReplyError`] says what came instead of a reply.
pub fn parse<S: Section>(bytes: &[u8]) -> Result<Reply<S>, ReplyError> {
    read_json(bytes)
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReplyError> {
    if bytes.len() > REPLY_BYTES_MAX {
        return Err(ReplyError::TooLong { bytes: bytes.len() });
    }
    let bytes = trim(bytes);
    let source = match serde_json::from_slice::<T>(bytes) {
        Ok(reply) => return Ok(reply),
        Err(source) => source,
    };
    match bytes.first() {
        None => return Err(ReplyError::Empty),
        Some(b'<') => return Err(ReplyError::WebPage { start: start(bytes) }),
        _ if bytes.starts_with(b"HTTP/") => {
            return Err(ReplyError::WebPage { start: start(bytes) });
        }
        Some(b'{' | b'[') => {}
        Some(_) => return Err(ReplyError::NotJson { start: start(bytes) }),
    }
    let mended = repair::repair(bytes);
    let malformed = |_| ReplyError::Malformed { start: start(bytes), source };
    serde_json::from_str::<T>(&mended).map_err(malformed)
}

/// Reads a reply whose machine must have done what was asked.
///
/// # Errors
/// As [`parse`], and [`ReplyError::Said`] when the machine said no.
pub fn parse_done<S: Section>(bytes: &[u8]) -> Result<Vec<S>, ReplyError> {
    let reply = parse::<S>(bytes)?;
    if reply.status.done() {
        return Ok(reply.rows);
    }
    Err(ReplyError::Said { code: reply.status.code, msg: reply.status.msg })
}

/// Reads a reply of any shape, mended where it has to be.
///
/// # Errors
/// [`ReplyError`] says what came instead of a reply.
pub fn read_value(bytes: &[u8]) -> Result<Value, ReplyError> {
    read_json(bytes)
}

/// Reads a number told as a number or as text, rounded to the nearest; anything else is missing.
#[must_use]
pub fn number_of(value: &Value) -> Option<i64> {
    number(value.clone()).ok().flatten()
}

/// Reads a power, where it is believable.
#[must_use]
pub fn power_of(value: &Value) -> Option<Power> {
    number_of(value).filter(|w| (0..=WATTS_MAX).contains(w)).map(Power)
}

/// Reads text, bounded; anything else is empty.
#[must_use]
pub fn text_of(value: &Value) -> String {
    words(value.as_str().unwrap_or_default(), WORDS_MAX)
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., 0 | b' ' | b'\n' | b'\r' | b'\t'] = bytes {
        bytes = rest;
    }
    while let [0 | b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn start(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(4 * START_SHOWN_MAX)];
    words(&String::from_utf8_lossy(head), START_SHOWN_MAX)
}

/// Cuts a machine's words to a bound and takes out what a terminal would act on.
#[must_use]
pub fn words(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[derive(Deserialize)]
struct StatusRow<'a> {
    #[serde(rename = "STATUS", borrow)]
    letter: Cow<'a, str>,
    #[serde(rename = "Code", default, deserialize_with = "number")]
    code: Option<i64>,
    #[serde(rename = "Msg", borrow, default)]
    msg: Option<Cow<'a, str>>,
}

impl StatusRow<'_> {
    fn owned(self) -> Option<Status> {
        let letter = match &*self.letter {
            "S" => Letter::Success,
            "I" => Letter::Info,
            "W" => Letter::Warning,
            "E" => Letter::Error,
            "F" => Letter::Fatal,
            _ => return None,
        };
        let msg = words(&self.msg.unwrap_or_default(), WORDS_MAX);
        Some(Status { letter, code: self.code.unwrap_or(0), msg })
    }
}

/// Reads a list of rows, or a bare object as one row; rows beyond a limit are passed over.
struct Rows<T, const MAX: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Rows<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(RowsVisitor(PhantomData))
    }
}

struct RowsVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for RowsVisitor<T, MAX> {
    type Value = Rows<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while rows.len() < MAX {
            let Some(row) = seq.next_element()? else { return Ok(Rows(rows)) };
            rows.push(row);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Rows(rows))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let row = T::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Rows(vec![row]))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Rows(Vec::new()))
    }
}

impl<'de, S: Section> Deserialize<'de> for Reply<S> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_map(ReplyVisitor(PhantomData))
    }
}

struct ReplyVisitor<S>(PhantomData<S>);

impl<'de, S: Section> Visitor<'de> for ReplyVisitor<S> {
    type Value = Reply<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reply with a STATUS")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut status = None;
        let mut rows = None;
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if key == "STATUS" {
                let Rows(found) = map.next_value::<Rows<StatusRow<'de>, 1>>()?;
                status = found.into_iter().next().and_then(StatusRow::owned);
            } else if key == S::NAME {
                let Rows::<S, ROWS_MAX>(found) = map.next_value()?;
                rows = Some(found);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let status = status.ok_or_else(|| de::Error::custom("no STATUS in it"))?;
        Ok(Reply { status, rows: rows.unwrap_or_default() })
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a number told as a number or as text; anything else, and anything that is not finite,
/// is missing. A fraction is rounded to the nearest.
///
/// # Errors
/// Only what the reader itself stumbles on.
pub fn number<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    d.deserialize_any(NumberVisitor)
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }
    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Self::Value, E> {
        Ok(Some(n))
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(n).ok())
    }
    #[allow(clippy::cast_possible_truncation, reason = "the range was just checked")]
    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Self::Value, E> {
        // Bounded first, so the cast cannot cut anything; NaN fails the comparison.
        Ok((n.abs() <= NUMBER_MAX).then(|| n.round() as i64))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        text.trim().parse::<f64>().map_or(Ok(None), |n| self.visit_f64(n))
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests;

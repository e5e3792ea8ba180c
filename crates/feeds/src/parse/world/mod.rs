//! Files of markets other than ERCOT that have a form of their own, told by their first bytes.

mod entsoe;
mod nemweb;
mod sheets;

use super::collect::{Collector, Held};
use super::header::{Layout, What, When};
use super::{FileKind, SeriesKind};
use crate::container::{self, Container};
use crate::error::FeedError;
use crate::market::Market;
use csv::ByteRecord;
use headgate_core::market::SettlementPoint;
use headgate_core::time::Interval;
use headgate_core::units::{Power, Price};
use std::io::BufRead;

/// The forms that are told by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An XML document.
    Xml,
    /// AEMO's lines marked C, I and D.
    Nemweb,
    /// A CSV file under one header.
    Sheet(FileKind),
}

/// What is read, where, and for whom.
pub(super) struct Input<'a> {
    pub file: &'a str,
    pub container: Container,
    pub market: &'a Market,
    pub wanted: Option<&'a SettlementPoint>,
}

/// Headers by their first columns.
const HEADERS: [(&[u8], FileKind); 3] = [
    (b"intervalstarttime_gmt,", FileKind::CaisoOasis),
    (b"timeinterval start loc,", FileKind::TennetImbalance),
    (b"date,time_order,", FileKind::Provincial),
];

/// Tells a form by the first bytes of a text.
pub(super) fn form(start: &[u8]) -> Option<Form> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    if start.first() == Some(&b'<') {
        return Some(Form::Xml);
    }
    if [b"C,", b"I,", b"D,"].iter().any(|mark| start.starts_with(*mark)) {
        return Some(Form::Nemweb);
    }
    let bare: Vec<u8> = start.iter().filter(|b| **b != b'"').take(64).copied().collect();
    let bare = bare.to_ascii_lowercase();
    let found = HEADERS.iter().find(|(header, _)| bare.starts_with(header));
    found.map(|(_, kind)| Form::Sheet(*kind))
}

/// Reads one text to its end and says of what kind it is.
pub(super) fn read(
    form: Form,
    input: &Input<'_>,
    asked: Option<SeriesKind>,
    text: &mut dyn BufRead,
    collector: &mut Collector<'_>,
) -> Result<FileKind, FeedError> {
    let mut taker = Taker { input, asked, refused: None, took: false, collector };
    let kind = match form {
        Form::Xml => entsoe::read(text, &mut taker)?,
        Form::Nemweb => nemweb::read(text, &mut taker)?,
        Form::Sheet(kind) => sheets::read(kind, text, &mut taker)?,
    };
    match taker.refused {
        Some(other) if !taker.took => {
            let asked = taker.asked.unwrap_or(other);
            let what = format!("a file of kind {kind} holds {other} prices");
            Err(whole(input, what, &format!("do not call it {asked}")))
        }
        _ => Ok(kind),
    }
}

/// Takes rows in that are wanted and that the market has.
struct Taker<'t, 'a> {
    input: &'t Input<'t>,
    asked: Option<SeriesKind>,
    /// The first kind that was met and not asked for.
    refused: Option<SeriesKind>,
    took: bool,
    collector: &'t mut Collector<'a>,
}

impl Taker<'_, '_> {
    /// Whether a point of a kind is to be taken; `""` is whichever point the input is given for.
    fn wants(&mut self, point: &str, typed: &str, kind: SeriesKind) -> bool {
        if self.asked.is_some_and(|asked| asked != kind) {
            self.refused.get_or_insert(kind);
            return false;
        }
        let Some(wanted) = self.input.wanted else { return true };
        let other = !wanted.kind.is_empty() && !typed.is_empty() && wanted.kind != typed;
        if !point.is_empty() && (wanted.name != point || other) {
            self.collector.passed_over(point.as_bytes());
            return false;
        }
        true
    }

    /// Takes a price in that [`Taker::wants`] let pass.
    fn price(
        &mut self,
        (point, typed): (&str, &str),
        kind: SeriesKind,
        interval: Interval,
        price: Price,
    ) -> Result<(), (String, String)> {
        let held = Held::Prices(kind);
        if held.step(self.input.market).is_none() {
            let name = &self.input.market.name;
            let what = format!("it has {kind} prices, and market {name} has none");
            return Err((what, "name the market the file is from".into()));
        }
        self.took = true;
        let asked = self.input.wanted;
        let point = if point.is_empty() { asked.map_or("", |w| &w.name) } else { point };
        let typed = if typed.is_empty() { asked.map_or("", |w| &w.kind) } else { typed };
        self.collector.push((point, typed), held, interval, price)
    }

    /// Takes a load in, where the market has loads and the zone is wanted.
    fn load(
        &mut self,
        zone: &str,
        interval: Interval,
        power: Power,
    ) -> Result<(), (String, String)> {
        let other = self.input.wanted.is_some_and(|w| w.name != zone);
        if other || self.input.market.load_step.is_none() {
            return Ok(());
        }
        self.collector.push_load(zone, interval, power)
    }
}

/// A layout that only names the columns, for rows that their own reader understands.
fn named(kind: FileKind, names: Vec<String>) -> Layout {
    Layout {
        kind,
        when: When::Never,
        what: What::Single { price: 0 },
        flag: None,
        names,
        ignored: Vec::new(),
        ignored_because: "",
        load: None,
    }
}

/// The cells of a header as names.
fn names(header: &ByteRecord, skip: usize) -> Vec<String> {
    let name = |cell: &[u8]| String::from_utf8_lossy(cell).trim().to_owned();
    let strip = |cell: &[u8]| name(cell).trim_start_matches('\u{feff}').to_owned();
    header
        .iter()
        .enumerate()
        .map(|(at, c)| if at < skip { String::new() } else { strip(c) })
        .collect()
}

/// Where the column of one of these names is, or which is missing.
fn column(
    input: &Input<'_>,
    line: u64,
    layout: &Layout,
    wanted: &[&str],
) -> Result<usize, FeedError> {
    let same = |n: &String| wanted.iter().any(|w| w.eq_ignore_ascii_case(n));
    layout.names.iter().position(same).ok_or_else(|| FeedError::Line {
        file: input.file.to_owned(),
        line,
        what: format!(
            "a file of kind {} is recognised, but the column {} is missing",
            layout.kind,
            wanted.join(" or ")
        ),
        mend: "fetch the file again, or put its header right".into(),
    })
}

/// A CSV reader that counts lines by their feeds.
fn csv_of<R: BufRead>(text: R) -> csv::Reader<R> {
    let mut builder = csv::ReaderBuilder::new();
    builder.flexible(true).has_headers(false).terminator(csv::Terminator::Any(b'\n'));
    builder.from_reader(text)
}

fn unread(input: &Input<'_>, e: csv::Error) -> FeedError {
    match e.into_kind() {
        csv::ErrorKind::Io(e) => container::failed(input.file, input.container, e),
        other => whole(input, format!("{other:?}"), "fetch the file again"),
    }
}

fn at_line(input: &Input<'_>, line: u64, (what, mend): (String, String)) -> FeedError {
    FeedError::Line { file: input.file.to_owned(), line, what, mend }
}

fn whole(input: &Input<'_>, what: String, mend: &str) -> FeedError {
    container::whole(input.file, what, mend)
}

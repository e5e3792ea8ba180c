//! A file's kind and layout from its header, matched on letters only and in lower case, because
//! one field is `DSTFlag`, `Repeated Hour Flag` and `repeatHourFlag` in three reports.

use super::{FileKind, Options};
use crate::error::{FeedError, shown};
use crate::limits::{COLUMNS_MAX, NAMES_SHOWN_MAX};
use csv::ByteRecord;

/// How a file tells time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Local date, hour ending and quarter of the hour.
    Quarter { date: usize, hour: usize, quarter: usize },
    /// Local date and hour ending.
    Hour { date: usize, hour: usize },
    /// Local date and time, the moment from which a run is in force.
    Stamp { at: usize },
    /// Local date and time of the end of the interval.
    StampEnd { at: usize },
    /// The start of the interval in UTC.
    Utc { at: usize },
    /// The number of the interval.
    Index { at: usize },
}

/// How a file tells points and prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// One row a point.
    Long { name: usize, kind: Option<usize>, price: usize },
    /// One column a point.
    Wide(Vec<(String, usize)>),
    /// One price a row, of a point the file does not name.
    Single { price: usize },
}

/// Where everything is in a file's rows.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub kind: FileKind,
    pub when: When,
    pub what: What,
    /// Column that marks the second pass of a repeated hour.
    pub flag: Option<usize>,
    /// Column names as the file writes them.
    pub names: Vec<String>,
    /// Columns that are no points and were left out.
    pub ignored: Vec<String>,
}

/// One field under all its names, the first being the one messages use.
type Field = (&'static str, &'static [&'static str]);

const DATE: Field = ("DeliveryDate", &["deliverydate"]);
const HOUR: Field = ("DeliveryHour", &["deliveryhour"]);
const QUARTER: Field = ("DeliveryInterval", &["deliveryinterval"]);
const ENDING: Field = ("HourEnding", &["hourending"]);
const POINT: Field = ("SettlementPointName", &["settlementpointname", "settlementpoint"]);
const TYPE: Field = ("SettlementPointType", &["settlementpointtype"]);
const SPP: Field = ("SettlementPointPrice", &["settlementpointprice"]);
const STAMP: Field = ("SCEDTimestamp", &["scedtimestamp"]);
const LMP: Field = ("LMP", &["lmp"]);
const REGION: Field = ("REGION", &["region"]);
const SETTLED: Field = ("SETTLEMENTDATE", &["settlementdate"]);
const RRP: Field = ("RRP", &["rrp"]);
const START: Field = ("interval_start_utc", &["intervalstartutc"]);
const SPP_USD: Field = ("spp_usd_mwh", &["sppusdmwh"]);
const T: Field = ("t", &["t"]);
const PRICE: Field = ("price", &["price"]);
const FLAGS: Field = ("DSTFlag", &["dstflag", "repeatedhourflag", "repeathourflag"]);

/// Kinds by the fields they must have, the most telling first.
const KINDS: [(FileKind, &[Field]); 10] = [
    (FileKind::ErcotNp6905, &[DATE, HOUR, QUARTER, POINT, TYPE, SPP]),
    (FileKind::ErcotNp4190, &[DATE, ENDING, POINT, SPP]),
    (FileKind::ErcotNp6788, &[STAMP, POINT, LMP]),
    (FileKind::AemoPrice, &[REGION, SETTLED, RRP]),
    (FileKind::CanonicalSpp, &[START, SPP_USD]),
    (FileKind::Indexed, &[T, PRICE]),
    // These last three want at least one point column as well.
    (FileKind::DayAheadWide, &[DATE, ENDING]),
    (FileKind::ScedWide, &[STAMP]),
    (FileKind::Canonical, &[START]),
    // Told from NP6-905 by its spelling alone, so never found here.
    (FileKind::ErcotNp6785, &[DATE, HOUR, QUARTER, POINT, TYPE, SPP]),
];

/// The headers that are recognised, for messages and help.
#[must_use]
pub fn known_kinds() -> String {
    FileKind::ALL.map(FileKind::name).join(", ")
}

/// A header's columns, as written and by letters only.
struct Columns {
    names: Vec<String>,
    letters: Vec<String>,
}

impl Columns {
    fn find(&self, field: Field) -> Option<usize> {
        self.letters.iter().position(|c| field.1.contains(&c.as_str()))
    }

    /// Columns that name a point, and those that are nothing we know.
    fn points(&self, options: &Options) -> (Vec<(String, usize)>, Vec<String>) {
        const FIELDS: [Field; 17] = [
            DATE, HOUR, QUARTER, ENDING, POINT, TYPE, SPP, STAMP, LMP, REGION, SETTLED, RRP, START,
            SPP_USD, T, PRICE, FLAGS,
        ];
        let is_field = |c: &str| FIELDS.iter().any(|f| f.1.contains(&c));
        let shaped = |name: &str| {
            let mark = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
            !name.is_empty() && name.bytes().all(mark)
        };
        let (mut points, mut ignored) = (Vec::new(), Vec::new());
        for (at, (name, letters)) in self.names.iter().zip(&self.letters).enumerate() {
            let asked = options.column.as_deref() == Some(name.as_str());
            if asked || (shaped(name) && !is_field(letters)) {
                points.push((name.clone(), at));
            } else if !is_field(letters) {
                ignored.push(name.clone());
            }
        }
        (points, ignored)
    }
}

impl Layout {
    /// Understands a header.
    pub fn of(file: &str, header: &ByteRecord, options: &Options) -> Result<Self, FeedError> {
        let columns = columns(file, header)?;
        let (points, ignored) = columns.points(options);
        for (kind, fields) in KINDS {
            let wide =
                matches!(kind, FileKind::DayAheadWide | FileKind::ScedWide | FileKind::Canonical);
            // Ancillary prices come by the hour and by column too, and are not energy prices.
            let energy = |(name, _): &(String, usize)| {
                kind != FileKind::DayAheadWide || name.starts_with("HB_") || name.starts_with("LZ_")
            };
            let no_points = wide && !points.iter().any(energy);
            if fields.iter().all(|f| columns.find(*f).is_some()) && !no_points {
                return Self::place(kind, columns, points, ignored);
            }
        }
        Err(unknown(file, header, &columns))
    }

    fn place(
        kind: FileKind,
        columns: Columns,
        points: Vec<(String, usize)>,
        ignored: Vec<String>,
    ) -> Result<Self, FeedError> {
        let at = |field: Field| columns.find(field).expect("the kind's fields were all found");
        let flag = columns.find(FLAGS);
        let spaced = flag.map_or_else(
            || columns.names.iter().any(|n| n.contains(' ')),
            |f| columns.letters[f] != "dstflag",
        );
        let kind = match kind {
            FileKind::ErcotNp6905 if spaced => FileKind::ErcotNp6785,
            kind => kind,
        };
        let wide = What::Wide(points);
        let (when, what) = match kind {
            FileKind::ErcotNp6905 | FileKind::ErcotNp6785 => (
                When::Quarter { date: at(DATE), hour: at(HOUR), quarter: at(QUARTER) },
                What::Long { name: at(POINT), kind: Some(at(TYPE)), price: at(SPP) },
            ),
            FileKind::ErcotNp4190 => (
                When::Hour { date: at(DATE), hour: at(ENDING) },
                What::Long { name: at(POINT), kind: None, price: at(SPP) },
            ),
            FileKind::ErcotNp6788 => (
                When::Stamp { at: at(STAMP) },
                What::Long { name: at(POINT), kind: None, price: at(LMP) },
            ),
            FileKind::AemoPrice => (
                When::StampEnd { at: at(SETTLED) },
                What::Long { name: at(REGION), kind: None, price: at(RRP) },
            ),
            FileKind::ScedWide => (When::Stamp { at: at(STAMP) }, wide),
            FileKind::DayAheadWide => (When::Hour { date: at(DATE), hour: at(ENDING) }, wide),
            FileKind::Canonical => (When::Utc { at: at(START) }, wide),
            FileKind::CanonicalSpp => {
                (When::Utc { at: at(START) }, What::Single { price: at(SPP_USD) })
            }
            FileKind::ErcotDashboard => unreachable!("it has no header to be told by"),
            FileKind::Indexed => (When::Index { at: at(T) }, What::Single { price: at(PRICE) }),
        };
        let ignored = if matches!(what, What::Wide(_)) { ignored } else { Vec::new() };
        Ok(Self { kind, when, what, flag, names: columns.names, ignored })
    }
}

fn columns(file: &str, header: &ByteRecord) -> Result<Columns, FeedError> {
    if header.len() > COLUMNS_MAX {
        return Err(FeedError::Line {
            file: file.to_owned(),
            line: 1,
            what: format!("it has {} columns", header.len()),
            mend: format!("a price file has at most {COLUMNS_MAX}"),
        });
    }
    let mut columns = Columns { names: Vec::new(), letters: Vec::new() };
    for (at, name) in header.iter().enumerate() {
        let name = if at == 0 { name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name) } else { name };
        let name = String::from_utf8_lossy(name).trim().trim_matches('"').to_owned();
        let letters = name.chars().filter(char::is_ascii_alphabetic);
        columns.letters.push(letters.map(|c| c.to_ascii_lowercase()).collect());
        columns.names.push(name);
    }
    Ok(columns)
}

/// A header of no kind: names the missing column of the kind it comes nearest to, if any does.
fn unknown(file: &str, header: &ByteRecord, columns: &Columns) -> FeedError {
    let mut nearest: Option<(usize, usize, FileKind, Vec<&str>)> = None;
    for (kind, fields) in KINDS {
        let missing: Vec<&str> =
            fields.iter().filter(|f| columns.find(**f).is_none()).map(|f| f.0).collect();
        let found = fields.len() - missing.len();
        let near = found > 0 && !missing.is_empty() && found >= missing.len();
        if near && nearest.as_ref().is_none_or(|(m, f, ..)| (missing.len(), *f) < (*m, found)) {
            nearest = Some((missing.len(), found, kind, missing));
        }
    }
    let no_points = [FileKind::Canonical, FileKind::ScedWide, FileKind::DayAheadWide];
    let wide = KINDS.iter().find(|(kind, fields)| {
        no_points.contains(kind) && fields.iter().all(|f| columns.find(*f).is_some())
    });
    let bare = wide.map_or(0, |(_, fields)| fields.len());
    let (what, mend) = match (nearest, wide) {
        (Some((_, found, kind, missing)), _) if found > bare => {
            let one = missing.len() == 1;
            let names = missing.join(", ");
            let (plural, are) = if one { ("column", "is") } else { ("columns", "are") };
            let what = format!(
                "a file of kind {kind} is recognised, but the {plural} {names} {are} missing"
            );
            (what, "fetch the file again, or put its header right".to_owned())
        }
        (_, Some((kind, _))) => (
            format!(
                "a file of kind {kind} needs a column for each point, and none is named in capitals"
            ),
            "name the columns by point, for example HB_WEST".to_owned(),
        ),
        _ => {
            let names: Vec<String> = header.iter().take(NAMES_SHOWN_MAX).map(shown).collect();
            let first = shown(names.join(",").as_bytes());
            let what = format!("the header `{first}` is of no known kind");
            (what, format!("give one of {}", known_kinds()))
        }
    };
    FeedError::Line { file: file.to_owned(), line: 1, what, mend }
}

//! Bytes into rows: recognises a file by its content and takes all of it or nothing.

mod collect;
mod header;
mod rows;

use crate::container;
use crate::error::FeedError;
use crate::market::Market;
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::time::Time;
use std::fmt;
use std::io::{Read, Seek};

pub use header::known_kinds;

/// First interval of a `t,price` file unless told otherwise: 2025-01-01T00:00:00Z.
pub const INDEX_EPOCH: Time = Time::from_seconds(1_735_689_600);

/// The kinds of price file that are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// ERCOT NP6-905: settlement prices of all points, one file a quarter hour.
    ErcotNp6905,
    /// ERCOT NP6-785: settlement prices by month, as CSV.
    ErcotNp6785,
    /// ERCOT NP6-788: prices of all points by SCED run.
    ErcotNp6788,
    /// ERCOT NP4-190: day-ahead prices of all points.
    ErcotNp4190,
    /// One row a SCED run, one column a point.
    ScedWide,
    /// One row an hour of the day-ahead market, one column a point.
    DayAheadWide,
    /// AEMO's price and demand file of one region.
    AemoPrice,
    /// `interval_start_utc` and one column a point.
    Canonical,
    /// `interval_start_utc,spp_usd_mwh`: settlement prices of a point the file does not name.
    CanonicalSpp,
    /// `t,price`: `t` counts settlement intervals from 0 at [`INDEX_EPOCH`].
    Indexed,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::ErcotNp6905,
        Self::ErcotNp6785,
        Self::ErcotNp6788,
        Self::ErcotNp4190,
        Self::ScedWide,
        Self::DayAheadWide,
        Self::AemoPrice,
        Self::Canonical,
        Self::CanonicalSpp,
        Self::Indexed,
    ];

    /// Name as a configuration writes it, for example `ercot_np6_788`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ErcotNp6905 => "ercot_np6_905",
            Self::ErcotNp6785 => "ercot_np6_785",
            Self::ErcotNp6788 => "ercot_np6_788",
            Self::ErcotNp4190 => "ercot_np4_190",
            Self::ScedWide => "sced_wide",
            Self::DayAheadWide => "day_ahead_wide",
            Self::AemoPrice => "aemo_price",
            Self::Canonical => "canonical",
            Self::CanonicalSpp => "canonical_spp",
            Self::Indexed => "indexed",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// What a file of this kind holds prices of, unless told otherwise where it may be.
    #[must_use]
    pub fn price_kind(self) -> PriceKind {
        match self {
            Self::ErcotNp6788 | Self::ScedWide => PriceKind::Dispatch,
            Self::ErcotNp4190 | Self::DayAheadWide => PriceKind::DayAhead,
            _ => PriceKind::Settlement,
        }
    }

    /// Whether the file leaves open what it holds prices of.
    #[must_use]
    pub fn takes_any_price_kind(self) -> bool {
        matches!(self, Self::AemoPrice | Self::Canonical | Self::CanonicalSpp | Self::Indexed)
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What to take of a file, and as what.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The only point to keep; `None` keeps all. A type left empty matches any one type.
    pub point: Option<SettlementPoint>,
    /// What the prices are of, for files that leave it open.
    pub kind: Option<PriceKind>,
    /// The column to read as `point`, for files with one column a point.
    pub column: Option<String>,
    /// First interval of a `t,price` file; [`INDEX_EPOCH`] by default.
    pub index_epoch: Option<Time>,
}

/// Prices of one settlement point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The point; its name is empty where neither the file nor the options name it.
    pub point: SettlementPoint,
    /// The prices in time order, one an interval.
    pub rows: Vec<PriceRow>,
}

/// A whole file, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What messages call the file.
    pub file: String,
    /// What kind of file it is.
    pub kind: FileKind,
    /// What its prices are of.
    pub price_kind: PriceKind,
    /// The points in order of name and type.
    pub series: Vec<Series>,
    /// What a reader should know, though all rows are usable.
    pub notes: Vec<Note>,
}

impl Parsed {
    /// The rows of a point; a type that the file or the caller leaves empty matches any.
    #[must_use]
    pub fn rows_of(&self, point: &SettlementPoint) -> &[PriceRow] {
        let wanted = |s: &&Series| {
            let (a, b) = (&s.point.kind, &point.kind);
            s.point.name == point.name && (a.is_empty() || b.is_empty() || a == b)
        };
        self.series.iter().find(wanted).map_or(&[], |s| &s.rows)
    }

    /// Every row with its point.
    pub fn rows(&self) -> impl Iterator<Item = (&SettlementPoint, &PriceRow)> {
        self.series.iter().flat_map(|s| s.rows.iter().map(move |r| (&s.point, r)))
    }
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// Intervals are missing between the first and the last.
    Gap,
    /// An interval came more than once; the last one counts.
    Duplicate,
    /// Rows were not in time order; they were sorted.
    Unordered,
    /// Prices lie beyond the dated cap or floor; they were kept.
    Beyond,
    /// Columns that are no points were left out.
    ColumnIgnored,
}

/// Something worth telling about a usable file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// How many rows, intervals or columns.
    pub count: u64,
    /// One sentence with the file's name.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Parses one input, packed or not; `file` is what messages call it.
///
/// With [`Options::point`] the rows of other points are passed over unread. Of a refused input
/// nothing is taken: the first error is told.
///
/// # Errors
/// [`FeedError`] naming file, line, column and the mend.
pub fn parse<R: Read + Seek>(
    file: &str,
    input: R,
    market: &Market,
    options: &Options,
) -> Result<Parsed, FeedError> {
    let mut reader = rows::RowReader::new(market, options);
    container::unpack(file, input, &mut |name, container, text| {
        reader.text(name, container, text)
    })?;
    reader.finish(file)
}

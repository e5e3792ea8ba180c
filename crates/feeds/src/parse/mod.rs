//! Bytes into rows: recognises a file by its content and takes all of it or nothing.

mod collect;
mod header;
mod json;
mod kind;
mod moments;
mod row;
mod rows;
mod world;

use crate::container;
use crate::error::FeedError;
use crate::market::Market;
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::time::{Interval, Time};
use headgate_core::units::Power;
use std::fmt;
use std::io::{Read, Seek};

pub use header::known_kinds;
pub use kind::SeriesKind;

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
    /// ERCOT NP4-180: day-ahead prices by year.
    ErcotNp4180,
    /// ERCOT NP4-188: day-ahead prices of reserve, one row a product.
    ErcotNp4188,
    /// ERCOT NP4-181: day-ahead prices of reserve by year, one column a product.
    ErcotNp4181,
    /// ERCOT NP6-331 and NP6-796: real-time prices of reserve by quarter hour.
    ErcotNp6331,
    /// ERCOT NP6-332: real-time prices of reserve by SCED run.
    ErcotNp6332,
    /// ERCOT NP6-322: the system's marginal price by SCED run.
    ErcotNp6322,
    /// ERCOT NP6-323 and NP6-792: price adders by SCED run.
    ErcotNp6323,
    /// ERCOT NP6-324 and NP6-793: price adders by quarter hour.
    ErcotNp6324,
    /// ERCOT NP6-970: prices the look-ahead run foresees for the next hour.
    ErcotNp6970,
    /// ERCOT NP6-345 and NP6-346: hourly load by zone.
    ErcotNp6345,
    /// ERCOT's hourly native load by year.
    ErcotNativeLoad,
    /// ERCOT NP4-160: which bus lies in which zone and hub.
    ErcotNp4160,
    /// One row a SCED run, one column a point.
    ScedWide,
    /// One row an hour of the day-ahead market, one column a point.
    DayAheadWide,
    /// AEMO's price and demand file of one region.
    AemoPrice,
    /// AEMO NEMWeb: prices and demand by dispatch interval, with reserve.
    NemwebDispatch,
    /// AEMO NEMWeb: prices by trading interval, with reserve.
    NemwebTrading,
    /// CAISO OASIS: locational prices, day ahead or in real time.
    CaisoOasis,
    /// ENTSO-E: day-ahead prices as XML.
    EntsoeA44,
    /// TenneT: the two prices at which imbalance settles.
    TennetImbalance,
    /// Chinese provincial exchange: both clearing prices in 96 periods a day.
    Provincial,
    /// `interval_start_utc` and one column a point.
    Canonical,
    /// `interval_start_utc,spp_usd_mwh`: settlement prices of a point the file does not name.
    CanonicalSpp,
    /// ERCOT's dashboard of system-wide prices, as JSON.
    ErcotDashboard,
    /// `t,price`: `t` counts settlement intervals from 0 at [`INDEX_EPOCH`].
    Indexed,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 29] = [
        Self::ErcotNp6905,
        Self::ErcotNp6785,
        Self::ErcotNp6788,
        Self::ErcotNp4190,
        Self::ErcotNp4180,
        Self::ErcotNp4188,
        Self::ErcotNp4181,
        Self::ErcotNp6331,
        Self::ErcotNp6332,
        Self::ErcotNp6322,
        Self::ErcotNp6323,
        Self::ErcotNp6324,
        Self::ErcotNp6970,
        Self::ErcotNp6345,
        Self::ErcotNativeLoad,
        Self::ErcotNp4160,
        Self::ScedWide,
        Self::DayAheadWide,
        Self::AemoPrice,
        Self::NemwebDispatch,
        Self::NemwebTrading,
        Self::CaisoOasis,
        Self::EntsoeA44,
        Self::TennetImbalance,
        Self::Provincial,
        Self::Canonical,
        Self::CanonicalSpp,
        Self::ErcotDashboard,
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
            Self::ErcotNp4180 => "ercot_np4_180",
            Self::ErcotNp4188 => "ercot_np4_188",
            Self::ErcotNp4181 => "ercot_np4_181",
            Self::ErcotNp6331 => "ercot_np6_331",
            Self::ErcotNp6332 => "ercot_np6_332",
            Self::ErcotNp6322 => "ercot_np6_322",
            Self::ErcotNp6323 => "ercot_np6_323",
            Self::ErcotNp6324 => "ercot_np6_324",
            Self::ErcotNp6970 => "ercot_np6_970",
            Self::ErcotNp6345 => "ercot_np6_345",
            Self::ErcotNativeLoad => "ercot_native_load",
            Self::ErcotNp4160 => "ercot_np4_160",
            Self::ScedWide => "sced_wide",
            Self::DayAheadWide => "day_ahead_wide",
            Self::AemoPrice => "aemo_price",
            Self::NemwebDispatch => "nemweb_dispatch",
            Self::NemwebTrading => "nemweb_trading",
            Self::CaisoOasis => "caiso_oasis",
            Self::EntsoeA44 => "entsoe_a44",
            Self::TennetImbalance => "tennet_imbalance",
            Self::Provincial => "provincial",
            Self::Canonical => "canonical",
            Self::CanonicalSpp => "canonical_spp",
            Self::ErcotDashboard => "ercot_dashboard",
            Self::Indexed => "indexed",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// What the values of a file of this kind are of, unless told otherwise where it may be;
    /// `None` for loads and maps.
    #[must_use]
    pub fn series_kind(self) -> Option<SeriesKind> {
        Some(match self {
            Self::ErcotNp6345 | Self::ErcotNativeLoad | Self::ErcotNp4160 => return None,
            Self::ErcotNp6788 | Self::ScedWide | Self::NemwebDispatch => SeriesKind::Dispatch,
            Self::ErcotNp4190 | Self::ErcotNp4180 | Self::DayAheadWide | Self::EntsoeA44 => {
                SeriesKind::DayAhead
            }
            Self::ErcotNp4188 | Self::ErcotNp4181 => SeriesKind::CapacityDayAhead,
            Self::ErcotNp6331 => SeriesKind::CapacitySettlement,
            Self::ErcotNp6332 => SeriesKind::CapacityDispatch,
            Self::ErcotNp6322 | Self::ErcotNp6323 => SeriesKind::AdderDispatch,
            Self::ErcotNp6324 => SeriesKind::AdderSettlement,
            Self::ErcotNp6970 => SeriesKind::LookAhead,
            Self::ErcotNp6905
            | Self::ErcotNp6785
            | Self::AemoPrice
            | Self::NemwebTrading
            | Self::CaisoOasis
            | Self::TennetImbalance
            | Self::Provincial
            | Self::Canonical
            | Self::CanonicalSpp
            | Self::ErcotDashboard
            | Self::Indexed => SeriesKind::Settlement,
        })
    }

    /// Whether the file leaves open what it holds prices of.
    #[must_use]
    pub fn takes_any_price_kind(self) -> bool {
        matches!(
            self,
            Self::AemoPrice
                | Self::Canonical
                | Self::CanonicalSpp
                | Self::ErcotDashboard
                | Self::Indexed
        )
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

/// Values of one kind at one settlement point, or of one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The point; its name is empty where neither the file nor the options name it. A product of
    /// reserve is a point of type `AS`, an adder one of type `ADDER`.
    pub point: SettlementPoint,
    /// What the values are of.
    pub kind: SeriesKind,
    /// The values in time order, one an interval; of a look-ahead one an interval and run.
    pub rows: Vec<PriceRow>,
}

/// Load of one zone or region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadSeries {
    /// The zone; its type is `LOAD`.
    pub point: SettlementPoint,
    /// Mean power by interval, in time order.
    pub rows: Vec<LoadRow>,
}

/// Mean load of one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadRow {
    /// Which.
    pub interval: Interval,
    /// Mean power drawn in it.
    pub power: Power,
    /// When it could be known.
    pub known_at: Time,
}

/// Where a settlement point lies in the network, as a market's map tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// Electrical bus or resource node.
    pub bus: String,
    /// Substation it is in.
    pub substation: String,
    /// Load zone its load settles at; empty where the map tells none.
    pub zone: String,
    /// Hub it belongs to; empty where it belongs to none.
    pub hub: String,
    /// Node at which a resource there settles; empty where the map tells none.
    pub node: String,
}

/// A whole file, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What messages call the file.
    pub file: String,
    /// What kind of file it is.
    pub kind: FileKind,
    /// The series in order of point and kind.
    pub series: Vec<Series>,
    /// Loads in order of zone.
    pub loads: Vec<LoadSeries>,
    /// The network map, where the file is one.
    pub map: Vec<Mapping>,
    /// What a reader should know, though all rows are usable.
    pub notes: Vec<Note>,
}

impl Parsed {
    /// The energy prices of a point in the file's first kind of them; a type that the file or the
    /// caller leaves empty matches any.
    #[must_use]
    pub fn rows_of(&self, point: &SettlementPoint) -> &[PriceRow] {
        let mut wanted =
            self.series.iter().filter(|s| s.kind.price_kind().is_some() && s.is_of(point));
        wanted.next().map_or(&[], |s| &s.rows)
    }

    /// Every row with its point.
    pub fn rows(&self) -> impl Iterator<Item = (&SettlementPoint, &PriceRow)> {
        self.series.iter().flat_map(|s| s.rows.iter().map(move |r| (&s.point, r)))
    }
}

impl Series {
    /// Whether this is a series of a point; a type left empty on either side matches any.
    #[must_use]
    pub fn is_of(&self, point: &SettlementPoint) -> bool {
        let (a, b) = (&self.point.kind, &point.kind);
        self.point.name == point.name && (a.is_empty() || b.is_empty() || a == b)
    }
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// Intervals are missing between the first and the last.
    Gap,
    /// An interval came more than once; the last one counts.
    Duplicate,
    /// An interval came more than once, with different values; the last one counts.
    Conflict,
    /// Rows were not in time order; they were sorted.
    Unordered,
    /// Prices lie beyond the dated cap or floor; they were kept.
    Beyond,
    /// Columns that are no points were left out.
    ColumnIgnored,
    /// Sheets or files beside the data were passed over.
    Remark,
    /// A zip was read without its directory, which is damaged.
    Salvaged,
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
    let told = container::unpack(file, input, &mut |name, container, text| {
        reader.text(name, container, text)
    })?;
    let mut parsed = reader.finish(file)?;
    let note = |text| Note { kind: NoteKind::Salvaged, count: 1, text };
    parsed.notes.extend(told.into_iter().map(note));
    Ok(parsed)
}

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
    /// Local date and hour ending in one field, with a mark on the second pass of an hour.
    HourEnd { at: usize },
    /// Local date and time of the end of a foreseen interval, and of the run that foresees it.
    Foreseen { end: usize, end_flag: Option<usize>, run: usize },
    /// The start of the interval in UTC.
    Utc { at: usize },
    /// The number of the interval.
    Index { at: usize },
    /// Not at all: the file is a map.
    Never,
}

/// How a file tells points and prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// One row a point.
    Long { name: usize, typed: Typed, price: usize },
    /// One column a point.
    Wide { points: Vec<(String, usize)>, typed: Typed },
    /// One price a row, of a point the file does not name.
    Single { price: usize },
    /// One column a zone, of loads.
    Loads(Vec<(String, usize)>),
    /// One row a bus.
    Map { bus: usize, substation: usize, zone: usize, hub: Option<usize>, node: Option<usize> },
}

/// How a file tells the type of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// In a column.
    Column(usize),
    /// By the point's name at most.
    Implied,
    /// All its points are of one type: products of reserve or adders, which a row may lack.
    All(&'static str),
}

/// Type of a product of reserve.
const RESERVE: Typed = Typed::All("AS");
/// Type of an adder.
const ADDER: Typed = Typed::All("ADDER");

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
    /// Why they were.
    pub ignored_because: &'static str,
    /// Column of the load of a row's region, beside its price.
    pub load: Option<usize>,
}

/// One field under all its names, the first being the one messages use.
type Field = (&'static str, &'static [&'static str]);

const DATE: Field = ("DeliveryDate", &["deliverydate"]);
const HOUR: Field = ("DeliveryHour", &["deliveryhour"]);
const QUARTER: Field = ("DeliveryInterval", &["deliveryinterval", "deliveryint"]);
const ENDING: Field = ("HourEnding", &["hourending", "hourend", "heendlocal"]);
const POINT: Field = ("SettlementPointName", &["settlementpointname", "settlementpoint"]);
const TYPE: Field = ("SettlementPointType", &["settlementpointtype"]);
const SPP: Field = ("SettlementPointPrice", &["settlementpointprice"]);
const STAMP: Field = ("SCEDTimestamp", &["scedtimestamp"]);
const LMP: Field = ("LMP", &["lmp"]);
const REGION: Field = ("REGION", &["region"]);
const SETTLED: Field = ("SETTLEMENTDATE", &["settlementdate"]);
const DEMAND: Field = ("TOTALDEMAND", &["totaldemand"]);
const RRP: Field = ("RRP", &["rrp"]);
const START: Field = ("interval_start_utc", &["intervalstartutc"]);
const SPP_USD: Field = ("spp_usd_mwh", &["sppusdmwh"]);
const T: Field = ("t", &["t"]);
const PRICE: Field = ("price", &["price"]);
const FLAGS: Field = ("DSTFlag", &["dstflag", "repeatedhourflag", "repeathourflag"]);
const PRODUCT: Field = ("AncillaryType", &["ancillarytype", "astype"]);
const MCPC: Field = ("MCPC", &["mcpc", "cappedmcpc"]);
const REGUP: Field = ("REGUP", &["regup"]);
const REGDN: Field = ("REGDN", &["regdn"]);
const LAMBDA: Field = ("SystemLambda", &["systemlambda", "cappedsystemlambda"]);
const RUN_ADDER: Field = ("RTRDPA", &["rtrdpa", "rtorpa"]);
const QUARTER_ADDER: Field = ("RTRDP", &["rtrdp", "rtrdpa"]);
const RTD: Field = ("RTDTimestamp", &["rtdtimestamp"]);
const FORESEEN: Field = ("IntervalEnding", &["intervalending"]);
const FORESEEN_FLAG: Field =
    ("IntervalRepeatedHourFlag", &["intervalrepeatedhourflag", "intervalrepeathourflag"]);
const OPER_DAY: Field = ("OperDay", &["operday", "operatingday"]);
const TOTAL: Field = ("TOTAL", &["total"]);
const COAST: Field = ("COAST", &["coast"]);
const WHOLE: Field = ("ERCOT", &["ercot"]);
const BUS: Field = ("ELECTRICAL_BUS", &["electricalbus"]);
const SUBSTATION: Field = ("SUBSTATION", &["substation"]);
const ZONE: Field = ("SETTLEMENT_LOAD_ZONE", &["settlementloadzone"]);
const NODE: Field = ("RESOURCE_NODE", &["resourcenode"]);
const HUB: Field = ("HUB", &["hub"]);

/// Fields that are never a point, a product or a zone, whatever the file.
const FIELDS: [Field; 21] = [
    DATE,
    HOUR,
    QUARTER,
    ENDING,
    POINT,
    TYPE,
    SPP,
    STAMP,
    LMP,
    REGION,
    SETTLED,
    RRP,
    START,
    SPP_USD,
    T,
    PRICE,
    FLAGS,
    RTD,
    FORESEEN,
    FORESEEN_FLAG,
    OPER_DAY,
];

/// Kinds by the fields they must have, the most telling first.
const KINDS: [(FileKind, &[Field]); 20] = [
    (FileKind::ErcotNp6905, &[DATE, HOUR, QUARTER, POINT, TYPE, SPP]),
    (FileKind::ErcotNp4190, &[DATE, ENDING, POINT, SPP]),
    (FileKind::ErcotNp6970, &[RTD, FORESEEN, POINT, LMP]),
    (FileKind::ErcotNp6788, &[STAMP, POINT, LMP]),
    (FileKind::ErcotNp6331, &[DATE, HOUR, QUARTER, PRODUCT, MCPC]),
    (FileKind::ErcotNp4188, &[DATE, ENDING, PRODUCT, MCPC]),
    (FileKind::ErcotNp6332, &[STAMP, PRODUCT, MCPC]),
    (FileKind::ErcotNp4181, &[DATE, ENDING, REGUP, REGDN]),
    (FileKind::ErcotNp6324, &[DATE, HOUR, QUARTER, QUARTER_ADDER]),
    (FileKind::ErcotNp6323, &[STAMP, LAMBDA, RUN_ADDER]),
    (FileKind::ErcotNp6322, &[STAMP, LAMBDA]),
    (FileKind::ErcotNp6345, &[OPER_DAY, ENDING, TOTAL]),
    (FileKind::ErcotNativeLoad, &[ENDING, COAST, WHOLE]),
    (FileKind::ErcotNp4160, &[BUS, SUBSTATION, ZONE]),
    (FileKind::AemoPrice, &[REGION, SETTLED, RRP]),
    (FileKind::CanonicalSpp, &[START, SPP_USD]),
    (FileKind::Indexed, &[T, PRICE]),
    // These last three want at least one point column as well. The kinds that are not here are
    // told from others by their spelling alone.
    (FileKind::DayAheadWide, &[DATE, ENDING]),
    (FileKind::ScedWide, &[STAMP]),
    (FileKind::Canonical, &[START]),
];

/// The headers that are recognised, for messages and help.
#[must_use]
pub fn known_kinds() -> String {
    FileKind::ALL.map(FileKind::name).join(", ")
}

/// Why a kind is never told by its header.
const NO_HEADER: &str = "what is told by its first bytes has a reader of its own";

/// A header's columns, as written and by letters only.
struct Columns {
    names: Vec<String>,
    letters: Vec<String>,
}

impl Columns {
    fn find(&self, field: Field) -> Option<usize> {
        self.letters.iter().position(|c| field.1.contains(&c.as_str()))
    }

    /// Tells the reports by month and year from those by interval and day: the same fields, spelt
    /// with blanks.
    fn spelled(&self, kind: FileKind) -> FileKind {
        let spaced = self.find(FLAGS).map_or_else(
            || self.names.iter().any(|n| n.contains(' ')),
            |f| self.letters[f] != "dstflag",
        );
        match kind {
            FileKind::ErcotNp6905 if spaced => FileKind::ErcotNp6785,
            FileKind::ErcotNp4190 if spaced => FileKind::ErcotNp4180,
            kind => kind,
        }
    }

    /// Columns that name a point, and those that are nothing we know.
    fn points(&self, options: &Options) -> (Vec<(String, usize)>, Vec<String>) {
        let shaped = |name: &str| {
            let mark = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
            !name.is_empty() && name.bytes().all(mark)
        };
        self.split(|name, _| {
            let asked = options.column.as_deref() == Some(name);
            (asked || shaped(name)).then(|| name.to_owned())
        })
    }

    /// Columns that hold a price adder or the system's marginal price, and the others.
    fn adders(&self) -> (Vec<(String, usize)>, Vec<String>) {
        self.split(|_, letters| {
            if LAMBDA.1.contains(&letters) {
                return Some("SYSTEM_LAMBDA".to_owned());
            }
            // A name ends in PA for price adder; its quarter-hour mean in P and the product.
            let adder = letters.starts_with("rt")
                && (letters.ends_with("pa")
                    || letters.starts_with("rtrdp")
                    || letters.starts_with("rtrsvp"));
            adder.then(|| letters.to_ascii_uppercase())
        })
    }

    fn at(&self, field: Field) -> usize {
        self.find(field).expect("the kind's fields were all found")
    }

    fn when(&self, kind: FileKind) -> When {
        let at = |field| self.at(field);
        match kind {
            FileKind::ErcotNp6905
            | FileKind::ErcotNp6785
            | FileKind::ErcotNp6331
            | FileKind::ErcotNp6324 => {
                When::Quarter { date: at(DATE), hour: at(HOUR), quarter: at(QUARTER) }
            }
            FileKind::ErcotNp4190
            | FileKind::ErcotNp4180
            | FileKind::ErcotNp4188
            | FileKind::ErcotNp4181
            | FileKind::DayAheadWide => When::Hour { date: at(DATE), hour: at(ENDING) },
            FileKind::ErcotNp6788
            | FileKind::ErcotNp6332
            | FileKind::ErcotNp6322
            | FileKind::ErcotNp6323
            | FileKind::ScedWide => When::Stamp { at: at(STAMP) },
            FileKind::ErcotNp6970 => When::Foreseen {
                end: at(FORESEEN),
                end_flag: self.find(FORESEEN_FLAG),
                run: at(RTD),
            },
            FileKind::ErcotNp6345 => When::Hour { date: at(OPER_DAY), hour: at(ENDING) },
            FileKind::ErcotNativeLoad => When::HourEnd { at: at(ENDING) },
            FileKind::ErcotNp4160 => When::Never,
            FileKind::AemoPrice => When::StampEnd { at: at(SETTLED) },
            FileKind::CanonicalSpp | FileKind::Canonical => When::Utc { at: at(START) },
            FileKind::ErcotDashboard
            | FileKind::NemwebDispatch
            | FileKind::NemwebTrading
            | FileKind::CaisoOasis
            | FileKind::EntsoeA44
            | FileKind::TennetImbalance
            | FileKind::Provincial => unreachable!("{NO_HEADER}"),
            FileKind::Indexed => When::Index { at: at(T) },
        }
    }

    /// What the rows tell, which columns tell nothing, and why that is thought.
    fn what(
        &self,
        kind: FileKind,
        points: Vec<(String, usize)>,
        ignored: Vec<String>,
    ) -> (What, Vec<String>, &'static str) {
        let at = |field| self.at(field);
        let long = |name, typed, price| What::Long { name: at(name), typed, price: at(price) };
        let by_name = "a point is named in capitals";
        let what = match kind {
            FileKind::ErcotNp6905 | FileKind::ErcotNp6785 => {
                long(POINT, Typed::Column(at(TYPE)), SPP)
            }
            FileKind::ErcotNp4190 | FileKind::ErcotNp4180 => long(POINT, Typed::Implied, SPP),
            FileKind::ErcotNp6788 => long(POINT, Typed::Implied, LMP),
            FileKind::ErcotNp6970 => {
                long(POINT, self.find(TYPE).map_or(Typed::Implied, Typed::Column), LMP)
            }
            FileKind::ErcotNp6331 | FileKind::ErcotNp6332 | FileKind::ErcotNp4188 => {
                long(PRODUCT, RESERVE, MCPC)
            }
            FileKind::ErcotNp4181 => {
                return (What::Wide { points, typed: RESERVE }, ignored, by_name);
            }
            FileKind::ErcotNp6322 | FileKind::ErcotNp6323 | FileKind::ErcotNp6324 => {
                let (points, others) = self.adders();
                let why = "they hold no price adder";
                return (What::Wide { points, typed: ADDER }, others, why);
            }
            FileKind::ErcotNp6345 | FileKind::ErcotNativeLoad => What::Loads(points),
            FileKind::ErcotDashboard
            | FileKind::NemwebDispatch
            | FileKind::NemwebTrading
            | FileKind::CaisoOasis
            | FileKind::EntsoeA44
            | FileKind::TennetImbalance
            | FileKind::Provincial => unreachable!("{NO_HEADER}"),
            FileKind::ErcotNp4160 => What::Map {
                bus: at(BUS),
                substation: at(SUBSTATION),
                zone: at(ZONE),
                hub: self.find(HUB),
                node: self.find(NODE),
            },
            FileKind::AemoPrice => long(REGION, Typed::Implied, RRP),
            FileKind::ScedWide | FileKind::DayAheadWide | FileKind::Canonical => {
                return (What::Wide { points, typed: Typed::Implied }, ignored, by_name);
            }
            FileKind::CanonicalSpp => What::Single { price: at(SPP_USD) },
            FileKind::Indexed => What::Single { price: at(PRICE) },
        };
        (what, Vec::new(), by_name)
    }

    fn split(
        &self,
        name_of: impl Fn(&str, &str) -> Option<String>,
    ) -> (Vec<(String, usize)>, Vec<String>) {
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for (at, (name, letters)) in self.names.iter().zip(&self.letters).enumerate() {
            if FIELDS.iter().any(|f| f.1.contains(&letters.as_str())) {
                continue;
            }
            match name_of(name, letters) {
                Some(name) => found.push((name, at)),
                None => others.push(name.clone()),
            }
        }
        (found, others)
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
                return Ok(Self::place(columns.spelled(kind), columns, points, ignored));
            }
        }
        Err(unknown(file, header, &columns))
    }

    fn place(
        kind: FileKind,
        columns: Columns,
        points: Vec<(String, usize)>,
        ignored: Vec<String>,
    ) -> Self {
        let (when, flag) = (columns.when(kind), columns.find(FLAGS));
        let (what, ignored, ignored_because) = columns.what(kind, points, ignored);
        let load = columns.find(DEMAND).filter(|_| kind == FileKind::AemoPrice);
        Self { kind, when, what, flag, names: columns.names, ignored, ignored_because, load }
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

//! The one loop over a file's rows, for every layout, file and sheet.

use super::collect::{Collector, Held};
use super::header::{Layout, Typed, What, When};
use super::json::{self, Table};
use super::moments::Moments;
use super::row::{FETCH_AGAIN, Row};
use super::world::{self, Input};
use super::{FileKind, INDEX_EPOCH, Mapping, Options, Parsed, SeriesKind};
use crate::container::{self, Container};
use crate::error::{FeedError, OTHER_MARKET};
use crate::limits::{PREAMBLE_ROWS_MAX, REMARK_ROWS_MAX};
use crate::market::{Edge, Market};
use crate::{implied_kind, settlement_point};
use csv::ByteRecord;
use headgate_core::market::{PriceKind, SettlementPoint};
use headgate_core::time::{Interval, Span};
use std::io::BufRead;

/// Reads texts into series.
pub(super) struct RowReader<'a> {
    market: &'a Market,
    options: &'a Options,
    wanted: Option<SettlementPoint>,
    moments: Moments,
    kind: Option<(FileKind, Held)>,
    /// What was wrong with the first sheet of no known kind that was passed over.
    unknown: Option<FeedError>,
    /// What was wrong with the first file of no known kind in a zip.
    foreign: Option<FeedError>,
    /// Names of what was passed over.
    passed_over: Vec<String>,
    /// The wanted columns of the file being read, once a row of it was; of a wide file alone.
    chosen: Option<Vec<(SettlementPoint, usize)>>,
    collector: Collector<'a>,
}

impl<'a> RowReader<'a> {
    pub fn new(market: &'a Market, options: &'a Options) -> Self {
        Self {
            market,
            options,
            wanted: options.point.as_ref().map(|p| settlement_point(&p.name, &p.kind)),
            moments: Moments::new(market, options.index_epoch.unwrap_or(INDEX_EPOCH)),
            kind: None,
            unknown: None,
            foreign: None,
            passed_over: Vec::new(),
            chosen: None,
            collector: Collector::new(market),
        }
    }

    /// Reads one text to its end.
    pub fn text(
        &mut self,
        file: &str,
        container: Container,
        text: &mut dyn BufRead,
    ) -> Result<(), FeedError> {
        let start = text.fill_buf().map_err(|e| container::failed(file, container, e))?;
        if json::is_json(start) {
            return self.json(file, container, text);
        }
        if let Some(form) = world::form(start) {
            let input =
                Input { file, container, market: self.market, wanted: self.wanted.as_ref() };
            let asked = self.options.kind.map(SeriesKind::from);
            let kind = world::read(form, &input, asked, text, &mut self.collector)?;
            return self.one_kind(file, kind, Held::Loads);
        }
        let mut builder = csv::ReaderBuilder::new();
        builder.flexible(true).has_headers(false);
        // A carriage return is trimmed off its cell, so that lines are counted by their feeds.
        builder.terminator(csv::Terminator::Any(b'\n'));
        let mut reader = builder.from_reader(text);
        let mut record = ByteRecord::new();
        let sheet = container == Container::Workbook;
        let mut next = |record: &mut ByteRecord| {
            loop {
                let more = reader.read_byte_record(record);
                let more = more.map_err(|e| unread(file, container, e))?;
                if !more || !(is_blank(record) && (sheet || record.len() == 1)) {
                    return Ok(more);
                }
            }
        };
        let found = if sheet {
            self.sheet_header(file, &mut record, &mut next)?
        } else {
            self.header(file, container, &mut record, &mut next)?
        };
        let Some(layout) = found else { return Ok(()) };
        let held = self.agree(file, &layout)?;
        self.collector.ignored(file, &layout.ignored, layout.ignored_because);
        while next(&mut record)? {
            let width = layout.names.len();
            if sheet {
                fit(&mut record, width);
            }
            let line = record.position().map_or(0, csv::Position::line);
            self.record(&Row { file, layout: &layout, record: &record, line }, held)?;
        }
        Ok(())
    }

    fn record(&mut self, row: &Row<'_>, held: Held) -> Result<(), FeedError> {
        let (got, want) = (row.record.len(), row.layout.names.len());
        if got != want {
            return Err(FeedError::Line {
                file: row.file.to_owned(),
                line: row.line,
                what: format!("it has {got} fields where the header has {want}"),
                mend: "the file is cut short or damaged: fetch it again".into(),
            });
        }
        self.row(row, held)
    }

    /// Reads an answer in JSON; what messages call a line is a row of its data.
    fn json(
        &mut self,
        file: &str,
        container: Container,
        text: &mut dyn BufRead,
    ) -> Result<(), FeedError> {
        let (layout, tables) = match json::table(file, container, text, self.market)? {
            Table::Answer(header, rows) => {
                let layout = Layout::of(file, &header, self.options)?;
                let held = self.agree(file, &layout)?;
                self.collector.ignored(file, &layout.ignored, layout.ignored_because);
                (layout, vec![(held, rows)])
            }
            Table::Dashboard(layout, tables) => {
                let wanted = self.agree(file, &layout)?;
                let asked = self.options.kind.is_some();
                let held = |(kind, rows): (PriceKind, _)| (Held::Prices(kind.into()), rows);
                let tables = tables.into_iter().map(held);
                (layout, tables.filter(|t| !asked || t.0 == wanted).collect())
            }
        };
        if tables.iter().all(|(_, rows): &(Held, Vec<ByteRecord>)| rows.is_empty()) {
            return Err(FeedError::NoRows { file: file.to_owned() });
        }
        let file = format!("{file}:data");
        for (held, rows) in &tables {
            for (record, line) in rows.iter().zip(1..) {
                self.record(&Row { file: &file, layout: &layout, record, line }, *held)?;
            }
        }
        Ok(())
    }

    /// The layout by a file's first row. A file of a zip may be one of several tables, of which
    /// only some are known: it is passed over, and at the end it is seen whether that is right.
    fn header(
        &mut self,
        file: &str,
        container: Container,
        record: &mut ByteRecord,
        next: &mut dyn FnMut(&mut ByteRecord) -> Result<bool, FeedError>,
    ) -> Result<Option<Layout>, FeedError> {
        if !next(record)? {
            return Err(whole(file, "it is empty", "fetch the file again"));
        }
        match Layout::of(file, record, self.options) {
            Err(refusal) if container == Container::Zip => {
                self.foreign.get_or_insert(refusal);
                self.passed_over.push(file.to_owned());
                Ok(None)
            }
            layout => layout.map(Some),
        }
    }

    /// The layout of a sheet, whose header may stand below a title. A sheet of a few remarks is
    /// passed over, and an empty one is a month to come.
    fn sheet_header(
        &mut self,
        file: &str,
        record: &mut ByteRecord,
        next: &mut dyn FnMut(&mut ByteRecord) -> Result<bool, FeedError>,
    ) -> Result<Option<Layout>, FeedError> {
        let mut rows = 0usize;
        // What is wrong with the row that comes nearest to a header: the fullest one.
        let mut nearest: Option<(usize, FeedError)> = None;
        while next(record)? {
            rows += 1;
            if rows <= PREAMBLE_ROWS_MAX {
                let refusal = match Layout::of(file, &unpadded(record), self.options) {
                    Ok(layout) => return Ok(Some(layout)),
                    Err(refusal) => refusal,
                };
                let filled = record.iter().filter(|cell| !cell.trim_ascii().is_empty()).count();
                if nearest.as_ref().is_none_or(|(most, _)| filled > *most) {
                    let line = record.position().map_or(1, csv::Position::line);
                    nearest = Some((filled, at_line(refusal, line)));
                }
            }
            if rows > REMARK_ROWS_MAX {
                break;
            }
        }
        match nearest {
            None => Ok(None),
            Some((_, refusal)) if rows > REMARK_ROWS_MAX => Err(refusal),
            Some((_, refusal)) => {
                self.unknown.get_or_insert(refusal);
                self.passed_over.push(file.to_owned());
                Ok(None)
            }
        }
    }

    /// All files of one input are of one kind, and that kind goes with market and options.
    fn agree(&mut self, file: &str, layout: &Layout) -> Result<Held, FeedError> {
        self.chosen = None;
        let kind = layout.kind;
        let asked = self.options.kind.map(SeriesKind::from);
        let held = match (kind.series_kind(), &layout.what) {
            (None, What::Map { .. }) => Held::Map,
            (None, _) => Held::Loads,
            (Some(own), _) => match asked {
                Some(asked) if asked != own && !kind.takes_any_price_kind() => {
                    let what = format!("a file of kind {kind} holds {own} prices");
                    return Err(whole(file, &what, &format!("do not call it {asked}")));
                }
                asked => Held::Prices(asked.unwrap_or(own)),
            },
        };
        self.one_kind(file, kind, held)?;
        let name = &self.market.name;
        let end = self.market.stamp == Edge::End;
        let step = held.step(self.market);
        let fits = match layout.when {
            When::Quarter { .. } => self.market.settle_step == Span::minutes(15),
            When::Hour { .. } | When::HourEnd { .. } => step == Some(Span::hours(1)),
            When::Stamp { .. } | When::Foreseen { .. } => !end,
            When::StampEnd { .. } => end,
            When::Utc { .. } | When::Index { .. } | When::Never => true,
        };
        if !fits || (step.is_none() && held != Held::Map) {
            let what = format!("a file of kind {kind} {OTHER_MARKET} {name}");
            return Err(whole(file, &what, "name the market the file is from"));
        }
        Ok(held)
    }

    fn one_kind(&mut self, file: &str, kind: FileKind, held: Held) -> Result<(), FeedError> {
        match self.kind {
            Some((first, _)) if first != kind => {
                let what = format!("it holds both {first} and {kind} files");
                Err(whole(file, &what, "give them one by one"))
            }
            _ => {
                self.kind = Some((kind, held));
                Ok(())
            }
        }
    }

    fn row(&mut self, row: &Row<'_>, held: Held) -> Result<(), FeedError> {
        match &row.layout.what {
            What::Long { name, typed, price } => self.long(row, (*name, *typed, *price), held),
            What::Wide { points, typed } => {
                let mut interval = None;
                let chosen = match self.chosen.take() {
                    Some(chosen) => chosen,
                    None => self.choose(points, *typed),
                };
                for (point, at) in &chosen {
                    if is_lacking(row, *typed, *at) {
                        continue;
                    }
                    let value = row.price(*at)?;
                    let when = match interval {
                        Some(when) => when,
                        None => *interval.insert(self.interval(row, held)?),
                    };
                    let told = self.collector.push((&point.name, &point.kind), held, when, value);
                    told.map_err(|refusal| refused(row, refusal))?;
                }
                self.chosen = Some(chosen);
                Ok(())
            }
            What::Single { price } => {
                let value = row.price(*price)?;
                let when = self.interval(row, held)?;
                // The file names no point: it is of whichever point it was given for.
                let point = self.wanted.clone().unwrap_or_else(|| settlement_point("", ""));
                let told = self.collector.push((&point.name, &point.kind), held, when, value);
                told.map_err(|refusal| refused(row, refusal))
            }
            What::Loads(zones) => {
                let when = self.interval(row, held)?;
                for (zone, at) in zones {
                    if self.wide_point(zone, Typed::All("LOAD")).is_none() {
                        self.collector.passed_over(zone.as_bytes());
                    } else if !row.cell(*at).is_empty() {
                        let power = row.power(*at)?;
                        let told = self.collector.push_load(zone, when, power);
                        told.map_err(|refusal| refused(row, refusal))?;
                    }
                }
                Ok(())
            }
            What::Map { bus, substation, zone, hub, node } => {
                let text = |at: usize| row.text(at, "a name").map(str::to_owned);
                let maybe = |at: &Option<usize>| at.map_or(Ok(String::new()), text);
                let mapping = Mapping {
                    bus: text(*bus)?,
                    substation: text(*substation)?,
                    zone: text(*zone)?,
                    hub: maybe(hub)?,
                    node: maybe(node)?,
                };
                let told = self.collector.push_mapping(mapping);
                told.map_err(|refusal| refused(row, refusal))
            }
        }
    }

    fn long(
        &mut self,
        row: &Row<'_>,
        (name, typed, price): (usize, Typed, usize),
        held: Held,
    ) -> Result<(), FeedError> {
        let name_cell = row.cell(name);
        if let Some(wanted) = &self.wanted
            && wanted.name.as_bytes() != name_cell
        {
            self.collector.passed_over(name_cell);
            return Ok(());
        }
        let point = row.text(name, "a settlement point")?;
        if point.is_empty() {
            return Err(row.unreadable(name, "a settlement point", FETCH_AGAIN));
        }
        let kind = match typed {
            Typed::Column(at) => row.text(at, "a type")?,
            Typed::Implied => implied_kind(point),
            Typed::All(kind) => kind,
        };
        if self.other_type(kind) {
            self.collector.passed_over(name_cell);
            return Ok(());
        }
        if is_lacking(row, typed, price) {
            return Ok(());
        }
        let value = row.price(price)?;
        let interval = self.interval(row, held)?;
        let run = self.moments.run(row)?;
        // A file without types has the wanted point under its name alone.
        let asked = self.wanted.as_ref().map_or("", |w| w.kind.as_str());
        let kind = if kind.is_empty() { asked } else { kind };
        let told = match run {
            Some(run) => self.collector.push_foreseen((point, kind), interval, value, run),
            None => self.collector.push((point, kind), held, interval, value),
        };
        told.map_err(|refusal| refused(row, refusal))?;
        let load = row
            .layout
            .load
            .filter(|at| self.market.load_step.is_some() && !row.cell(*at).is_empty());
        let Some(at) = load else { return Ok(()) };
        let told = self.collector.push_load(point, interval, row.power(at)?);
        told.map_err(|refusal| refused(row, refusal))
    }

    /// Whether a row's type is told and is not the wanted one.
    fn other_type(&self, kind: &str) -> bool {
        self.wanted
            .as_ref()
            .is_some_and(|w| !w.kind.is_empty() && !kind.is_empty() && w.kind != kind)
    }

    /// The wanted columns of a wide file, which are the same in each of its rows.
    fn choose(
        &mut self,
        points: &[(String, usize)],
        typed: Typed,
    ) -> Vec<(SettlementPoint, usize)> {
        let mut chosen = Vec::new();
        for (name, at) in points {
            match self.wide_point(name, typed) {
                Some(point) => chosen.push((point, *at)),
                None => self.collector.passed_over(name.as_bytes()),
            }
        }
        chosen
    }

    /// The point of a wide column, when it is wanted.
    fn wide_point(&self, column: &str, typed: Typed) -> Option<SettlementPoint> {
        if let Typed::All(kind) = typed {
            let named = self.wanted.as_ref().is_none_or(|w| w.name == column);
            return (named && !self.other_type(kind)).then(|| settlement_point(column, kind));
        }
        match (&self.options.column, &self.wanted) {
            (Some(asked), Some(wanted)) => (asked == column).then(|| wanted.clone()),
            (Some(asked), None) => (asked == column).then(|| settlement_point(column, "")),
            (None, None) => Some(settlement_point(column, "")),
            (None, Some(wanted)) => {
                let named = wanted.name == column && !self.other_type(implied_kind(column));
                named.then(|| wanted.clone())
            }
        }
    }

    fn interval(&mut self, row: &Row<'_>, held: Held) -> Result<Interval, FeedError> {
        let step = held.step(self.market).expect("agree() refused a kind the market has not");
        let aligned = held == Held::Prices(SeriesKind::Settlement);
        self.moments.interval(row, step, aligned)
    }

    /// Puts the rows in order and says what is worth knowing of them.
    pub fn finish(mut self, file: &str) -> Result<Parsed, FeedError> {
        let refusal = self.foreign.take();
        let Some((kind, held)) = self.kind else {
            let empty = || whole(file, "it is empty", "fetch the file again");
            return Err(refusal.or(self.unknown).unwrap_or_else(empty));
        };
        // ERCOT's map comes in one zip with other tables; anything else unknown is a mistake.
        if let Some(refusal) = refusal
            && held != Held::Map
        {
            return Err(refusal);
        }
        self.collector.beside(file, &self.passed_over);
        self.moments.finish()?;
        self.collector.finish(file, kind, self.wanted.as_ref())
    }
}

/// Says what a failed read of a row means.
fn unread(file: &str, container: Container, e: csv::Error) -> FeedError {
    match e.into_kind() {
        csv::ErrorKind::Io(e) => container::failed(file, container, e),
        other => whole(file, &format!("{other:?}"), "fetch the file again"),
    }
}

fn refused(row: &Row<'_>, (what, mend): (String, String)) -> FeedError {
    FeedError::Line { file: row.file.to_owned(), line: row.line, what, mend }
}

/// Whether a row has no value of a product: before ECRS was bought, its cells were empty.
fn is_lacking(row: &Row<'_>, typed: Typed, at: usize) -> bool {
    matches!(typed, Typed::All(_)) && row.cell(at).is_empty()
}

fn is_blank(record: &ByteRecord) -> bool {
    record.iter().all(|cell| cell.trim_ascii().is_empty())
}

/// A header without the empty cells after it.
fn unpadded(record: &ByteRecord) -> ByteRecord {
    let width =
        record.iter().rposition(|cell| !cell.trim_ascii().is_empty()).map_or(0, |at| at + 1);
    record.iter().take(width).collect()
}

/// Gives a sheet's row the width of its header: cells at its end that are empty may be there or
/// not.
fn fit(record: &mut ByteRecord, width: usize) {
    while record.len() < width {
        record.push_field(b"");
    }
    if record.iter().skip(width).all(|cell| cell.trim_ascii().is_empty()) {
        record.truncate(width);
    }
}

fn at_line(refusal: FeedError, line: u64) -> FeedError {
    match refusal {
        FeedError::Line { file, what, mend, .. } => FeedError::Line { file, line, what, mend },
        other => other,
    }
}

fn whole(file: &str, what: &str, mend: &str) -> FeedError {
    container::whole(file, what.to_owned(), mend)
}

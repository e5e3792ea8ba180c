//! The one loop over a file's rows, for every layout.

use super::collect::Collector;
use super::header::{Layout, What, When};
use super::json::{self, Table};
use super::{FileKind, INDEX_EPOCH, Options, Parsed};
use crate::container::{self, Container};
use crate::error::{FeedError, shown};
use crate::limits::INDEX_MAX;
use crate::local::{self, LocalClock, LocalError, Pass};
use crate::market::{Edge, Market};
use crate::{implied_kind, settlement_point};
use csv::ByteRecord;
use headgate_core::market::{PriceKind, SettlementPoint};
use headgate_core::number::{NumberError, decimal};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::Price;
use std::io::BufRead;

/// Decimals of a price: micro-currency.
const PRICE_DIGITS: u32 = 6;
const FETCH_AGAIN: &str = "fetch the file again, or leave the row out";

/// Reads texts into series.
pub(super) struct RowReader<'a> {
    market: &'a Market,
    options: &'a Options,
    wanted: Option<SettlementPoint>,
    clock: LocalClock,
    date: Option<(Vec<u8>, i32)>,
    kind: Option<(FileKind, PriceKind)>,
    collector: Collector<'a>,
}

/// One row and where it is, for messages.
struct Row<'r> {
    file: &'r str,
    layout: &'r Layout,
    record: &'r ByteRecord,
    line: u64,
}

impl Row<'_> {
    fn cell(&self, at: usize) -> &[u8] {
        self.record.get(at).unwrap_or_default().trim_ascii()
    }

    fn bad(&self, at: usize, what: String, mend: &str) -> FeedError {
        FeedError::Field {
            file: self.file.to_owned(),
            line: self.line,
            column: self.layout.names[at].clone(),
            what,
            mend: mend.to_owned(),
        }
    }

    fn unreadable(&self, at: usize, wanted: &str, mend: &str) -> FeedError {
        let cell = self.cell(at);
        let what = if cell.is_empty() {
            format!("an empty field where {wanted} is expected")
        } else {
            format!("`{}` is not {wanted}", shown(cell))
        };
        self.bad(at, what, mend)
    }

    fn price(&self, at: usize) -> Result<Price, FeedError> {
        let cell = self.cell(at);
        let number = match std::str::from_utf8(cell) {
            Ok(text) => decimal(text, PRICE_DIGITS),
            Err(_) => Err(NumberError::NotANumber(shown(cell))),
        };
        number.map(Price).map_err(|e| {
            self.bad(at, e.to_string(), "a missing price is not zero: leave the row out")
        })
    }

    fn pass(&self) -> Result<Pass, FeedError> {
        let Some(at) = self.layout.flag else { return Ok(Pass::Unsaid) };
        match self.cell(at).to_ascii_lowercase().as_slice() {
            b"" => Ok(Pass::Unsaid),
            b"n" | b"false" | b"0" => Ok(Pass::First),
            b"y" | b"true" | b"1" => Ok(Pass::Second),
            _ => Err(self.unreadable(at, "Y or N", FETCH_AGAIN)),
        }
    }
}

impl<'a> RowReader<'a> {
    pub fn new(market: &'a Market, options: &'a Options) -> Self {
        Self {
            market,
            options,
            wanted: options.point.as_ref().map(|p| settlement_point(&p.name, &p.kind)),
            clock: LocalClock::new(market.zone().clone()),
            date: None,
            kind: None,
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
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text);
        let mut record = ByteRecord::new();
        let read = |e: csv::Error| match e.into_kind() {
            csv::ErrorKind::Io(e) => container::failed(file, container, e),
            other => FeedError::Whole {
                file: file.to_owned(),
                what: format!("{other:?}"),
                mend: "fetch the file again".into(),
            },
        };
        if !reader.read_byte_record(&mut record).map_err(read)? {
            return Err(whole(file, "it is empty", "fetch the file again"));
        }
        let layout = Layout::of(file, &record, self.options)?;
        let price_kind = self.agree(file, &layout)?;
        self.collector.ignored(file, &layout.ignored);
        while reader.read_byte_record(&mut record).map_err(read)? {
            let line = record.position().map_or(0, csv::Position::line);
            self.record(&Row { file, layout: &layout, record: &record, line }, price_kind)?;
        }
        Ok(())
    }

    fn record(&mut self, row: &Row<'_>, kind: PriceKind) -> Result<(), FeedError> {
        let (got, want) = (row.record.len(), row.layout.names.len());
        if got != want {
            return Err(FeedError::Line {
                file: row.file.to_owned(),
                line: row.line,
                what: format!("it has {got} fields where the header has {want}"),
                mend: "the file is cut short or damaged: fetch it again".into(),
            });
        }
        self.row(row, kind)
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
                let kind = self.agree(file, &layout)?;
                self.collector.ignored(file, &layout.ignored);
                (layout, vec![(kind, rows)])
            }
            Table::Dashboard(layout, tables) => {
                let wanted = self.agree(file, &layout)?;
                let asked = self.options.kind.is_some();
                (layout, tables.into_iter().filter(|t| !asked || t.0 == wanted).collect())
            }
        };
        if tables.iter().all(|(_, rows)| rows.is_empty()) {
            return Err(FeedError::NoRows { file: file.to_owned() });
        }
        let file = format!("{file}:data");
        for (kind, rows) in &tables {
            for (record, line) in rows.iter().zip(1..) {
                self.record(&Row { file: &file, layout: &layout, record, line }, *kind)?;
            }
        }
        Ok(())
    }

    /// All files of one input are of one kind, and that kind goes with market and options.
    fn agree(&mut self, file: &str, layout: &Layout) -> Result<PriceKind, FeedError> {
        let kind = layout.kind;
        let own = kind.price_kind();
        let price_kind = match self.options.kind {
            Some(asked) if asked != own && !kind.takes_any_price_kind() => {
                let what = format!("a file of kind {kind} holds {} prices", label(own));
                return Err(whole(file, &what, &format!("do not call it {}", label(asked))));
            }
            asked => asked.unwrap_or(own),
        };
        match self.kind {
            Some((first, _)) if first != kind => {
                let what = format!("it holds both {first} and {kind} files");
                return Err(whole(file, &what, "give them one by one"));
            }
            _ => self.kind = Some((kind, price_kind)),
        }
        let name = &self.market.name;
        let end = self.market.stamp == Edge::End;
        let fits = match layout.when {
            When::Quarter { .. } => self.market.settle_step == Span::minutes(15),
            When::Hour { .. } => self.market.day_ahead_step == Some(Span::hours(1)),
            When::Stamp { .. } => !end,
            When::StampEnd { .. } => end,
            When::Utc { .. } | When::Index { .. } => true,
        };
        if !fits || self.market.step(price_kind).is_none() {
            let what = format!("a file of kind {kind} does not go with the rules of market {name}");
            return Err(whole(file, &what, "name the market the file is from"));
        }
        Ok(price_kind)
    }

    fn row(&mut self, row: &Row<'_>, kind: PriceKind) -> Result<(), FeedError> {
        match &row.layout.what {
            What::Long { name, kind: type_at, price } => {
                let name_cell = row.cell(*name);
                if let Some(wanted) = &self.wanted
                    && wanted.name.as_bytes() != name_cell
                {
                    self.collector.passed_over(name_cell);
                    return Ok(());
                }
                let Ok(point) = std::str::from_utf8(name_cell) else {
                    return Err(row.unreadable(*name, "a settlement point", FETCH_AGAIN));
                };
                if point.is_empty() {
                    return Err(row.unreadable(*name, "a settlement point", FETCH_AGAIN));
                }
                let typed = type_at.map(|at| row.cell(at));
                let point_kind = match typed {
                    Some(t) => std::str::from_utf8(t)
                        .map_err(|_| row.unreadable(type_at.unwrap_or(0), "a type", FETCH_AGAIN))?,
                    None => implied_kind(point),
                };
                if self.other_type(point_kind) {
                    self.collector.passed_over(name_cell);
                    return Ok(());
                }
                let value = row.price(*price)?;
                let interval = self.interval(row, kind)?;
                // A file without types has the wanted point under its name alone.
                let asked = self.wanted.as_ref().map_or("", |w| &w.kind).to_owned();
                let point_kind = if point_kind.is_empty() { &asked } else { point_kind };
                self.push(row, (point, point_kind), kind, interval, value)
            }
            What::Wide(points) => {
                let mut interval = None;
                for (name, at) in points {
                    let Some(point) = self.wide_point(name) else {
                        self.collector.passed_over(name.as_bytes());
                        continue;
                    };
                    let value = row.price(*at)?;
                    let when = match interval {
                        Some(when) => when,
                        None => *interval.insert(self.interval(row, kind)?),
                    };
                    self.push(row, (&point.name, &point.kind), kind, when, value)?;
                }
                Ok(())
            }
            What::Single { price } => {
                let value = row.price(*price)?;
                let interval = self.interval(row, kind)?;
                // The file names no point: it is of whichever point it was given for.
                let point = self.wanted.clone().unwrap_or_else(|| settlement_point("", ""));
                self.push(row, (&point.name, &point.kind), kind, interval, value)
            }
        }
    }

    fn push(
        &mut self,
        row: &Row<'_>,
        point: (&str, &str),
        kind: PriceKind,
        interval: Interval,
        price: Price,
    ) -> Result<(), FeedError> {
        self.collector.push(point, kind.into(), interval, price).map_err(|(what, mend)| {
            FeedError::Line { file: row.file.to_owned(), line: row.line, what, mend }
        })
    }

    /// Whether a row's type is told and is not the wanted one.
    fn other_type(&self, kind: &str) -> bool {
        self.wanted
            .as_ref()
            .is_some_and(|w| !w.kind.is_empty() && !kind.is_empty() && w.kind != kind)
    }

    /// The point of a wide column, when it is wanted.
    fn wide_point(&self, column: &str) -> Option<SettlementPoint> {
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

    fn interval(&mut self, row: &Row<'_>, kind: PriceKind) -> Result<Interval, FeedError> {
        let step = self.market.step(kind).expect("agree() refused a kind the market has not");
        match row.layout.when {
            When::Quarter { date, hour, quarter } => {
                let quarters = Span::hours(1).0 / step.0;
                let n = local::whole(row.cell(quarter)).filter(|n| (1..=quarters).contains(n));
                let n = n.ok_or_else(|| {
                    row.unreadable(
                        quarter,
                        &format!("an interval from 1 to {quarters}"),
                        FETCH_AGAIN,
                    )
                })?;
                let start = self.hour_ending(row, date, hour)?;
                Ok(Interval::starting(start + Span((n - 1) * step.0), step))
            }
            When::Hour { date, hour } => {
                Ok(Interval::starting(self.hour_ending(row, date, hour)?, step))
            }
            When::Stamp { at } => Ok(Interval::starting(self.stamp(row, at)?, step)),
            When::StampEnd { at } => Ok(Interval::starting(self.stamp(row, at)? - step, step)),
            When::Utc { at } => {
                let mend = "write it as 2024-06-01T05:00:00Z";
                let start = local::utc(row.cell(at))
                    .ok_or_else(|| row.unreadable(at, "a time in UTC", mend))?;
                if kind == PriceKind::Settlement && start.0 % step.0 != 0 {
                    let what = format!("{start} is not the start of a {step} interval");
                    return Err(row.bad(at, what, "give the start of each settlement interval"));
                }
                Ok(Interval::starting(start, step))
            }
            When::Index { at } => {
                let n =
                    local::whole(row.cell(at)).filter(|n| *n <= INDEX_MAX).ok_or_else(|| {
                        let wanted = format!("an interval number from 0 to {INDEX_MAX}");
                        row.unreadable(at, &wanted, "for times write a column interval_start_utc")
                    })?;
                let epoch = self.options.index_epoch.unwrap_or(INDEX_EPOCH);
                Ok(Interval::starting(epoch + Span(n * step.0), step))
            }
        }
    }

    /// Start of the hour that ends at a row's local hour 1 to 24; hour 24 is of its own date.
    fn hour_ending(&mut self, row: &Row<'_>, date: usize, hour: usize) -> Result<Time, FeedError> {
        let day = self.day(row, date)?;
        let text = row.cell(hour);
        let text = text.strip_suffix(b":00").unwrap_or(text);
        let ending = local::whole(text)
            .filter(|h| (1..=24).contains(h))
            .ok_or_else(|| row.unreadable(hour, "an hour ending from 1 to 24", FETCH_AGAIN))?;
        let second = u32::try_from((ending - 1) * 3600).expect("an hour of a day is small");
        self.moment(row, hour, day, second)
    }

    fn day(&mut self, row: &Row<'_>, at: usize) -> Result<i32, FeedError> {
        let text = row.cell(at);
        if let Some((known, day)) = &self.date
            && known == text
        {
            return Ok(*day);
        }
        let day = local::date(text)
            .ok_or_else(|| row.unreadable(at, "a date", "write it as MM/DD/YYYY or YYYY-MM-DD"))?;
        self.date = Some((text.to_vec(), day));
        Ok(day)
    }

    fn stamp(&mut self, row: &Row<'_>, at: usize) -> Result<Time, FeedError> {
        let (day, second, nanos) = local::stamp(row.cell(at)).ok_or_else(|| {
            row.unreadable(at, "a local date and time", "write it as MM/DD/YYYY HH:MM:SS")
        })?;
        Ok(self.moment(row, at, day, second)? + Span(nanos))
    }

    fn moment(
        &mut self,
        row: &Row<'_>,
        at: usize,
        day: i32,
        second: u32,
    ) -> Result<Time, FeedError> {
        let found = self.clock.utc(day, second, row.pass()?);
        found.map_err(|e| {
            let (what, mend) = match e {
                LocalError::Skipped => (
                    "this local hour does not exist, because the clocks go forward over it",
                    FETCH_AGAIN,
                ),
                LocalError::Twice => (
                    "this local hour happens twice, because the clocks go back, and the file \
                     does not say which is meant",
                    "use the file with a DSTFlag or RepeatedHourFlag column",
                ),
                LocalError::Once => (
                    "the row is marked as the second pass of a repeated hour, and this hour \
                     happens once",
                    FETCH_AGAIN,
                ),
            };
            row.bad(at, what.to_owned(), mend)
        })
    }

    /// Puts the rows in order and says what is worth knowing of them.
    pub fn finish(self, file: &str) -> Result<Parsed, FeedError> {
        let Some((kind, price_kind)) = self.kind else {
            return Err(whole(file, "it is empty", "fetch the file again"));
        };
        let (series, notes) = self.collector.finish(file, price_kind, self.wanted.as_ref())?;
        let (loads, map) = (Vec::new(), Vec::new());
        Ok(Parsed { file: file.to_owned(), kind, series, loads, map, notes })
    }
}

/// What a price kind is called in messages and options.
fn label(kind: PriceKind) -> &'static str {
    match kind {
        PriceKind::Dispatch => "dispatch",
        PriceKind::Settlement => "settlement",
        PriceKind::DayAhead => "day_ahead",
    }
}

fn whole(file: &str, what: &str, mend: &str) -> FeedError {
    FeedError::Whole { file: file.to_owned(), what: what.to_owned(), mend: mend.to_owned() }
}

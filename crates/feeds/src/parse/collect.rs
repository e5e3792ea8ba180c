//! Rows into series: one row an interval, in time order, with notes on what was odd.

use super::{Note, NoteKind, Series, SeriesKind};
use crate::error::{FeedError, OTHER_POINTS, shown};
use crate::limits::{NAMES_SHOWN_MAX, POINTS_MAX, ROWS_MAX};
use crate::market::{Beyond, Market};
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::Price;
use std::collections::{BTreeSet, HashMap};

/// A dispatch run is missing when the next one is this many steps away: extra runs and late
/// ones are ordinary.
const RUN_GAP_STEPS: i64 = 3;

/// Gathers rows by point.
pub(super) struct Collector<'a> {
    market: &'a Market,
    index: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
    series: Vec<Series>,
    rows: usize,
    known: Option<(PriceKind, Interval, Time)>,
    beyond: Option<Extreme>,
    seen: BTreeSet<Vec<u8>>,
    notes: Vec<Note>,
}

/// The price farthest beyond its bound, and how many are beyond.
struct Extreme {
    count: u64,
    point: String,
    start: Time,
    price: Price,
    bound: Beyond,
}

/// What is wrong, and the mend.
type Refusal = (String, String);

impl<'a> Collector<'a> {
    pub fn new(market: &'a Market) -> Self {
        Self {
            market,
            index: HashMap::new(),
            key: Vec::new(),
            series: Vec::new(),
            rows: 0,
            known: None,
            beyond: None,
            seen: BTreeSet::new(),
            notes: Vec::new(),
        }
    }

    /// Remembers a few names of points that are not wanted, to show when the wanted is missing.
    pub fn passed_over(&mut self, name: &[u8]) {
        if self.seen.len() < NAMES_SHOWN_MAX && !self.seen.contains(name) {
            self.seen.insert(name.to_vec());
        }
    }

    /// Tells of columns that are no points.
    pub fn ignored(&mut self, file: &str, columns: &[String]) {
        if columns.is_empty() {
            return;
        }
        let names: Vec<String> = columns
            .iter()
            .take(NAMES_SHOWN_MAX)
            .map(|c| format!("`{}`", shown(c.as_bytes())))
            .collect();
        let more = if columns.len() > names.len() { " and more" } else { "" };
        let text =
            format!("{file}: {}{more} left out: a point is named in capitals", names.join(", "));
        self.notes.push(Note { kind: NoteKind::ColumnIgnored, count: columns.len() as u64, text });
    }

    /// Takes one row in.
    pub fn push(
        &mut self,
        (name, kind): (&str, &str),
        series_kind: SeriesKind,
        interval: Interval,
        price: Price,
    ) -> Result<(), Refusal> {
        self.key.clear();
        self.key.extend_from_slice(name.as_bytes());
        self.key.push(0);
        self.key.extend_from_slice(kind.as_bytes());
        self.key.push(0);
        self.key.extend_from_slice(series_kind.name().as_bytes());
        let at = match self.index.get(&self.key) {
            Some(at) => *at,
            None => self.open(name, kind, series_kind)?,
        };
        self.rows += 1;
        if self.rows > ROWS_MAX {
            let what = format!("there are more than {ROWS_MAX} rows");
            return Err((what, "name the point wanted, or split the file".into()));
        }
        let known_at = match self.known {
            // The points of one interval come in a row, and the calendar is slow.
            Some((paced, last, known_at))
                if last == interval && paced == series_kind.paced_by() =>
            {
                known_at
            }
            _ => {
                let found = self.market.known_at(series_kind.paced_by(), interval);
                let found = found.expect("a kind the market has not was refused at the header");
                self.known.insert((series_kind.paced_by(), interval, found)).2
            }
        };
        if let Some(bound) = self.market.beyond(interval.start, price) {
            self.note_beyond(name, interval.start, price, bound);
        }
        self.series[at].rows.push(PriceRow { interval, price, known_at });
        Ok(())
    }

    fn open(&mut self, name: &str, kind: &str, series_kind: SeriesKind) -> Result<usize, Refusal> {
        if self.series.len() >= POINTS_MAX {
            let what = format!("there are more than {POINTS_MAX} points");
            return Err((what, "name the point wanted, or split the file".into()));
        }
        let at = self.series.len();
        let point = SettlementPoint { name: name.to_owned(), kind: kind.to_owned() };
        self.series.push(Series { point, kind: series_kind, rows: Vec::new() });
        self.index.insert(self.key.clone(), at);
        Ok(at)
    }

    fn note_beyond(&mut self, point: &str, start: Time, price: Price, bound: Beyond) {
        let size = |p: Price| p.0.unsigned_abs();
        let count = self.beyond.as_ref().map_or(0, |e| e.count) + 1;
        match &mut self.beyond {
            Some(worst) if size(worst.price) >= size(price) => worst.count = count,
            worst => {
                *worst = Some(Extreme { count, point: point.to_owned(), start, price, bound });
            }
        }
    }

    /// Sorts, leaves one row an interval, counts gaps.
    pub fn finish(
        mut self,
        file: &str,
        kind: PriceKind,
        wanted: Option<&SettlementPoint>,
    ) -> Result<(Vec<Series>, Vec<Note>), FeedError> {
        self.one_type(file, wanted)?;
        if self.series.is_empty() {
            return Err(self.nothing(file, wanted));
        }
        let mut series = std::mem::take(&mut self.series);
        series.sort_by(|a, b| (&a.point, a.kind).cmp(&(&b.point, b.kind)));
        let (mut unordered, mut duplicates) = (0u64, 0u64);
        let mut gaps = Gaps::new(self.market, kind);
        for one in &mut series {
            let falls = one.rows.windows(2).filter(|w| w[1].interval.start < w[0].interval.start);
            let falls = falls.count() as u64;
            if falls > 0 {
                unordered += falls;
                one.rows.sort_by_key(|r| r.interval.start);
            }
            let before = one.rows.len();
            // The sort keeps the file's order within an interval: the last one counts.
            one.rows.dedup_by(|later, kept| {
                let same = later.interval.start == kept.interval.start;
                if same {
                    *kept = *later;
                }
                same
            });
            duplicates += (before - one.rows.len()) as u64;
            gaps.count(&one.rows);
        }
        self.tell(file, unordered, duplicates, &gaps);
        self.notes.sort_by_key(|n| n.kind);
        Ok((series, self.notes))
    }

    fn tell(&mut self, file: &str, unordered: u64, duplicates: u64, gaps: &Gaps) {
        let mut note = |kind, count, text| self.notes.push(Note { kind, count, text });
        if duplicates > 0 {
            let text =
                format!("{file}: rows that came again: {duplicates}; the last of each counts");
            note(NoteKind::Duplicate, duplicates, text);
        }
        if unordered > 0 {
            let text = format!("{file}: rows out of time order, now sorted: {unordered}");
            note(NoteKind::Unordered, unordered, text);
        }
        if let Some(longest) = gaps.longest {
            let (missing, places) = (gaps.missing, gaps.places);
            let text = format!(
                "{file}: intervals missing: {missing}; gaps: {places}, the longest {longest}"
            );
            note(NoteKind::Gap, missing, text);
        }
        if let Some(e) = self.beyond.take() {
            let (side, bound) = match e.bound {
                Beyond::Cap(p) => ("above the cap", p),
                Beyond::Floor(p) => ("below the floor", p),
            };
            let (price, count, point, start) = (e.price, e.count, &e.point, e.start);
            let text = format!(
                "{file}: prices beyond the dated bounds, all of them kept: {count}; the farthest \
                 is {price} at {point} {start}, {side} of {bound}"
            );
            self.notes.push(Note { kind: NoteKind::Beyond, count, text });
        }
    }

    /// A name alone must mean one type: load zones and ties come as two with different prices.
    fn one_type(&self, file: &str, wanted: Option<&SettlementPoint>) -> Result<(), FeedError> {
        if wanted.is_none() || self.series.len() < 2 {
            return Ok(());
        }
        let kinds: Vec<&str> = self.series.iter().map(|s| s.point.kind.as_str()).collect();
        let name = &self.series[0].point.name;
        Err(FeedError::Whole {
            file: file.to_owned(),
            what: format!("{name} comes as type {}, with different prices", kinds.join(" and ")),
            mend: "name the type of the settlement point".into(),
        })
    }

    fn nothing(&self, file: &str, wanted: Option<&SettlementPoint>) -> FeedError {
        let names: Vec<String> = self.seen.iter().map(|n| shown(n)).collect();
        let (what, mend) = match wanted {
            Some(point) if !names.is_empty() => (
                format!("{OTHER_POINTS}{point}; it has {}", names.join(", ")),
                "name a settlement point and type the file has".to_owned(),
            ),
            _ => ("it has a header and no rows".to_owned(), "fetch the file again".to_owned()),
        };
        FeedError::Whole { file: file.to_owned(), what, mend }
    }
}

/// Counts what is missing between the first and the last row.
struct Gaps {
    step: Span,
    tolerated: Span,
    missing: u64,
    places: u64,
    longest: Option<Interval>,
}

impl Gaps {
    fn new(market: &Market, kind: PriceKind) -> Self {
        let step = market.step(kind).unwrap_or(market.settle_step);
        let steps = if kind == PriceKind::Dispatch { RUN_GAP_STEPS } else { 1 };
        let tolerated = Span(step.0 * steps);
        Self { step, tolerated, missing: 0, places: 0, longest: None }
    }

    fn count(&mut self, rows: &[PriceRow]) {
        for pair in rows.windows(2) {
            let (from, to) = (pair[0].interval.start, pair[1].interval.start);
            if to.since(from) <= self.tolerated {
                continue;
            }
            let whole = to.since(from).0 / self.step.0 - 1;
            self.missing += u64::try_from(whole).unwrap_or(0);
            self.places += 1;
            let gap = Interval { start: pair[0].interval.end, end: to };
            if self.longest.is_none_or(|l| gap.length() > l.length()) {
                self.longest = Some(gap);
            }
        }
    }
}

//! Rows into series: one row an interval, in time order, with notes on what was odd.

use super::{FileKind, LoadRow, LoadSeries, Mapping, Note, NoteKind, Parsed, Series, SeriesKind};
use crate::error::{FeedError, OTHER_POINTS, shown};
use crate::limits::{MAPPINGS_MAX, NAMES_SHOWN_MAX, POINTS_MAX, ROWS_MAX};
use crate::market::{Beyond, Market};
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Power, Price};
use std::collections::{BTreeSet, HashMap};

/// A dispatch run is missing when the next one is this many steps away: extra runs and late
/// ones are ordinary.
const RUN_GAP_STEPS: i64 = 3;

/// What an input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Money by interval.
    Prices(SeriesKind),
    /// Power by interval.
    Loads,
    /// The network.
    Map,
}

impl Held {
    /// Length of an interval; `None` where the market has no such kind, or a map has none.
    pub fn step(self, market: &Market) -> Option<Span> {
        match self {
            Self::Prices(kind) => market.step(kind.paced_by()),
            Self::Loads => market.load_step,
            Self::Map => None,
        }
    }
}

/// Gathers rows by point.
pub(super) struct Collector<'a> {
    market: &'a Market,
    index: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
    /// The last row's key and its place.
    last: Option<(Vec<u8>, usize)>,
    series: Vec<Series>,
    loads: Vec<LoadSeries>,
    map: Vec<Mapping>,
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
    /// How many are zero under a floor above zero.
    zeros: u64,
}

/// What is wrong, and the mend.
type Refusal = (String, String);

impl<'a> Collector<'a> {
    pub fn new(market: &'a Market) -> Self {
        Self {
            market,
            index: HashMap::new(),
            key: Vec::new(),
            last: None,
            series: Vec::new(),
            loads: Vec::new(),
            map: Vec::new(),
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

    /// Tells of columns that were left out, and why.
    pub fn ignored(&mut self, file: &str, columns: &[String], because: &str) {
        if let Some(names) = listed(columns) {
            let text = format!("{file}: {names} left out: {because}");
            let count = columns.len() as u64;
            self.notes.push(Note { kind: NoteKind::ColumnIgnored, count, text });
        }
    }

    /// Tells of sheets and files that were passed over.
    pub fn beside(&mut self, file: &str, names: &[String]) {
        if let Some(listed) = listed(names) {
            let text = format!("{file}: passed over, because they hold no data known: {listed}");
            let count = names.len() as u64;
            self.notes.push(Note { kind: NoteKind::Remark, count, text });
        }
    }

    /// Takes one row in, known by the market's rule.
    pub fn push(
        &mut self,
        point: (&str, &str),
        held: Held,
        interval: Interval,
        price: Price,
    ) -> Result<(), Refusal> {
        let Held::Prices(kind) = held else { unreachable!("loads and maps have no prices") };
        let known_at = match self.known {
            // The points of one interval come in a row, and the calendar is slow.
            Some((paced, last, known_at)) if last == interval && paced == kind.paced_by() => {
                known_at
            }
            _ => {
                let found = self.market.known_at(kind.paced_by(), interval);
                let found = found.expect("a kind the market has not was refused at the header");
                self.known.insert((kind.paced_by(), interval, found)).2
            }
        };
        self.put(point, kind, PriceRow { interval, price, known_at })
    }

    /// Takes in a price that a run foresees: it is known when the run is.
    pub fn push_foreseen(
        &mut self,
        point: (&str, &str),
        interval: Interval,
        price: Price,
        run: Time,
    ) -> Result<(), Refusal> {
        let ran = Interval::starting(run, self.market.dispatch_step);
        let found = self.market.known_at(PriceKind::Dispatch, ran);
        let known_at = found.expect("a kind the market has not was refused at the header");
        self.put(point, SeriesKind::LookAhead, PriceRow { interval, price, known_at })
    }

    /// Takes one row of a load in.
    pub fn push_load(
        &mut self,
        zone: &str,
        interval: Interval,
        power: Power,
    ) -> Result<(), Refusal> {
        self.count_row()?;
        let known_at = self.market.load_known_at(interval);
        let known_at = known_at.expect("a market without loads was refused at the header");
        let row = LoadRow { interval, power, known_at };
        // There are some ten zones: a list is as quick as a map.
        if let Some(load) = self.loads.iter_mut().find(|l| l.point.name == zone) {
            load.rows.push(row);
        } else if self.loads.len() >= POINTS_MAX {
            return Err(too_many_points());
        } else {
            let point = SettlementPoint { name: zone.to_owned(), kind: "LOAD".to_owned() };
            self.loads.push(LoadSeries { point, rows: vec![row] });
        }
        Ok(())
    }

    /// Takes one bus of the map in.
    pub fn push_mapping(&mut self, mapping: Mapping) -> Result<(), Refusal> {
        if self.map.len() >= MAPPINGS_MAX {
            let what = format!("there are more than {MAPPINGS_MAX} buses");
            return Err((what, "split the file".into()));
        }
        self.map.push(mapping);
        Ok(())
    }

    fn count_row(&mut self) -> Result<(), Refusal> {
        self.rows += 1;
        if self.rows > ROWS_MAX {
            let what = format!("there are more than {ROWS_MAX} rows");
            return Err((what, "name the point wanted, or split the file".into()));
        }
        Ok(())
    }

    fn put(
        &mut self,
        (name, kind): (&str, &str),
        series_kind: SeriesKind,
        row: PriceRow,
    ) -> Result<(), Refusal> {
        self.key.clear();
        self.key.extend_from_slice(name.as_bytes());
        self.key.push(0);
        self.key.extend_from_slice(kind.as_bytes());
        self.key.push(0);
        self.key.extend_from_slice(series_kind.name().as_bytes());
        let at = match &self.last {
            // Where one point is wanted, all rows are of it.
            Some((key, at)) if *key == self.key => *at,
            _ => {
                let at = match self.index.get(&self.key) {
                    Some(at) => *at,
                    None => self.open(name, kind, series_kind)?,
                };
                let (key, last) = self.last.get_or_insert_default();
                key.clone_from(&self.key);
                *last = at;
                at
            }
        };
        self.count_row()?;
        if let Some(bound) = self.market.beyond(row.interval.start, row.price) {
            self.note_beyond(name, row.interval.start, row.price, bound);
        }
        self.series[at].rows.push(row);
        Ok(())
    }

    fn open(&mut self, name: &str, kind: &str, series_kind: SeriesKind) -> Result<usize, Refusal> {
        if self.series.len() >= POINTS_MAX {
            return Err(too_many_points());
        }
        let at = self.series.len();
        let point = SettlementPoint { name: name.to_owned(), kind: kind.to_owned() };
        self.series.push(Series { point, kind: series_kind, rows: Vec::new() });
        self.index.insert(self.key.clone(), at);
        Ok(at)
    }

    fn note_beyond(&mut self, point: &str, start: Time, price: Price, bound: Beyond) {
        let size = |p: Price| p.0.unsigned_abs();
        let zero = price == Price::ZERO && matches!(bound, Beyond::Floor(p) if p.0 > 0);
        let (count, zeros) = self.beyond.as_ref().map_or((0, 0), |e| (e.count, e.zeros));
        let (count, zeros) = (count + 1, zeros + u64::from(zero));
        match &mut self.beyond {
            Some(worst) if size(worst.price) >= size(price) => {
                (worst.count, worst.zeros) = (count, zeros);
            }
            worst => {
                let point = point.to_owned();
                *worst = Some(Extreme { count, point, start, price, bound, zeros });
            }
        }
    }

    /// Tells of rows that were left out on purpose.
    pub fn remark(&mut self, count: u64, text: String) {
        if count > 0 {
            self.notes.push(Note { kind: NoteKind::Remark, count, text });
        }
    }

    /// Sorts, leaves one row an interval, counts gaps.
    pub fn finish(
        mut self,
        file: &str,
        kind: FileKind,
        wanted: Option<&SettlementPoint>,
    ) -> Result<Parsed, FeedError> {
        self.one_type(file, wanted)?;
        if self.series.is_empty() && self.loads.is_empty() && self.map.is_empty() {
            return Err(self.nothing(file, wanted));
        }
        let mut series = std::mem::take(&mut self.series);
        let mut loads = std::mem::take(&mut self.loads);
        let mut map = std::mem::take(&mut self.map);
        series.sort_by(|a, b| (&a.point, a.kind).cmp(&(&b.point, b.kind)));
        loads.sort_by(|a, b| a.point.cmp(&b.point));
        map.sort();
        let mut order = Order::default();
        for one in &mut series {
            // Several runs foresee one interval, and each of them counts.
            let by_run = one.kind == SeriesKind::LookAhead;
            let run = |r: &PriceRow| if by_run { r.known_at } else { Time::MIN };
            let key = |r: &PriceRow| (run(r), r.interval);
            order.set(&mut one.rows, gap_steps(one.kind), key, |r| r.price.0);
            one.rows.sort_by_key(|r| (r.interval.start, run(r)));
        }
        for one in &mut loads {
            order.set(&mut one.rows, Some(1), |r| (Time::MIN, r.interval), |r| r.power.0);
        }
        let buses = map.len();
        map.dedup();
        order.duplicates += (buses - map.len()) as u64;
        self.tell(file, &order);
        self.notes.sort_by_key(|n| n.kind);
        Ok(Parsed { file: file.to_owned(), kind, series, loads, map, notes: self.notes })
    }

    fn tell(&mut self, file: &str, order: &Order) {
        let mut note = |kind, count, text| self.notes.push(Note { kind, count, text });
        let (duplicates, unordered) = (order.duplicates, order.unordered);
        if duplicates > 0 {
            let text =
                format!("{file}: rows that came again: {duplicates}; the last of each counts");
            note(NoteKind::Duplicate, duplicates, text);
        }
        if let Some(first) = order.conflict {
            let count = order.conflicts;
            let text = format!(
                "{file}: rows that came again with another value: {count}; the first is of {first}"
            );
            note(NoteKind::Conflict, count, text);
        }
        if unordered > 0 {
            let text = format!("{file}: rows out of time order, now sorted: {unordered}");
            note(NoteKind::Unordered, unordered, text);
        }
        if let Some(longest) = order.longest {
            let (missing, places) = (order.missing, order.places);
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
            let zeros = match e.zeros {
                0 => String::new(),
                n => format!("; zeros under a floor above zero, most likely missing data: {n}"),
            };
            let text = format!(
                "{file}: prices beyond the dated bounds, all of them kept: {count}; the farthest \
                 is {price} at {point} {start}, {side} of {bound}{zeros}"
            );
            self.notes.push(Note { kind: NoteKind::Beyond, count, text });
        }
    }

    /// A name alone must mean one type: load zones and ties come as two with different prices.
    fn one_type(&self, file: &str, wanted: Option<&SettlementPoint>) -> Result<(), FeedError> {
        if wanted.is_none() || self.series.len() < 2 {
            return Ok(());
        }
        let kinds: BTreeSet<&str> = self.series.iter().map(|s| s.point.kind.as_str()).collect();
        // One point may have a price of each kind.
        if kinds.len() < 2 {
            return Ok(());
        }
        let kinds: Vec<&str> = kinds.into_iter().collect();
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

fn too_many_points() -> Refusal {
    let what = format!("there are more than {POINTS_MAX} points");
    (what, "name the point wanted, or split the file".into())
}

/// A few names as a message shows them; `None` where there are none.
fn listed(names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let few = names.iter().take(NAMES_SHOWN_MAX);
    let few: Vec<String> = few.map(|n| format!("`{}`", shown(n.as_bytes()))).collect();
    let more = if names.len() > few.len() { " and more" } else { "" };
    Some(format!("{}{more}", few.join(", ")))
}

/// Steps by which two neighbours may lie apart; `None` where nothing is ever missing.
fn gap_steps(kind: SeriesKind) -> Option<i64> {
    match kind {
        // Runs overlap in what they foresee, and the last intervals of one are the next one's.
        SeriesKind::LookAhead => None,
        kind if kind.paced_by() == PriceKind::Dispatch => Some(RUN_GAP_STEPS),
        _ => Some(1),
    }
}

/// Puts rows in time order, one an interval and run, and counts what was not so and what is
/// missing between the first and the last.
#[derive(Default)]
struct Order {
    unordered: u64,
    duplicates: u64,
    conflicts: u64,
    /// The first interval that came again with another value.
    conflict: Option<Interval>,
    missing: u64,
    places: u64,
    longest: Option<Interval>,
}

impl Order {
    /// Orders rows by run and interval; `key` is the run and the interval of one, `value` what it
    /// tells of them.
    fn set<T: Copy>(
        &mut self,
        rows: &mut Vec<T>,
        steps: Option<i64>,
        key: impl Fn(&T) -> (Time, Interval),
        value: impl Fn(&T) -> i64,
    ) {
        let at = |row: &T| {
            let (run, interval) = key(row);
            (run, interval.start)
        };
        let falls = rows.windows(2).filter(|w| at(&w[1]) < at(&w[0])).count() as u64;
        if falls > 0 {
            self.unordered += falls;
            rows.sort_by_key(at);
        }
        let before = rows.len();
        // The sort keeps the file's order within an interval: the last one counts.
        rows.dedup_by(|later, kept| {
            let same = at(later) == at(kept);
            if same {
                if value(later) != value(kept) {
                    self.conflicts += 1;
                    self.conflict.get_or_insert(key(later).1);
                }
                *kept = *later;
            }
            same
        });
        self.duplicates += (before - rows.len()) as u64;
        let Some(steps) = steps else { return };
        for pair in rows.windows(2) {
            let (from, to) = (key(&pair[0]).1, key(&pair[1]).1.start);
            let between = to.since(from.start);
            // A market's step may change within a file: each row tells its own.
            let step = from.length();
            if between.0 <= step.0 * steps {
                continue;
            }
            self.missing += u64::try_from(between.0 / step.0 - 1).unwrap_or(0);
            self.places += 1;
            let gap = Interval { start: from.end, end: to };
            if self.longest.is_none_or(|l| gap.length() > l.length()) {
                self.longest = Some(gap);
            }
        }
    }
}

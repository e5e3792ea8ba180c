//! Prices as they were posted: what people imported, every revision of it, by when it could be
//! known.
//!
//! A later posting replaces an earlier one and keeps it; an earlier one that is imported later is
//! kept and replaces nothing. Nothing here is derived from the journal, so nothing is ever dropped.
//!
//! ```text
//!  posted        1 May      3 May      9 May        the interval's revisions
//!  file A        25.10                              25.10  known by the market's rule
//!  file C                              25.10        26.40  known from 3 May
//!  file B                   26.40                   25.10  known from 9 May
//! ```
//!
//! A revision keeps its first and its last posting. Where another value turns out to lie between
//! the two, the earlier value is taken to return at its last posting: never too early.

use headgate_core::time::{Interval, Time};
use rusqlite::{Connection, OptionalExtension, Statement, Transaction, params};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Rises with every change of `prices.sql`; each step up has its own migration.
const VERSION: i64 = 1;
/// Values one question gives at most: a year of five-minute runs of ninety points.
pub const VALUES_MAX: usize = 10_000_000;

const SCHEMA: &str = include_str!("prices.sql");

/// What a series is of. Two points of one name and different types are two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The market's name.
    pub market: String,
    /// The point, product or zone.
    pub point: String,
    /// Its type.
    pub point_type: String,
    /// What the values are of, such as `settlement`, or `load`.
    pub kind: String,
}

/// One value with the moment from which it could be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// What it covers.
    pub interval: Interval,
    /// Micro-currency per MWh, or watts of a load.
    pub value: i64,
    /// When it could be known.
    pub known_at: Time,
}

/// The values of one series in a file.
#[derive(Debug, Clone)]
pub struct Posting {
    /// Which series.
    pub key: SeriesKey,
    /// ISO 4217 code; empty for loads.
    pub currency: String,
    /// Whether each moment of knowledge is a forecast of its own.
    pub forecast: bool,
    /// The values, `known_at` by the market's rule.
    pub values: Vec<Value>,
}

/// One place of a market's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Electrical bus.
    pub bus: String,
    /// Substation.
    pub substation: String,
    /// Resource node; empty where there is none.
    pub node: String,
    /// Load zone.
    pub zone: String,
    /// Hub; empty where it is of none.
    pub hub: String,
}

/// A file to be imported.
#[derive(Debug, Clone)]
pub struct Import {
    /// blake3 of the file and of what it was read by, in hex.
    pub hash: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// When it is imported.
    pub at: Time,
    /// When it was posted, where that is told; else it counts as posted when imported.
    pub posted: Option<Time>,
    /// What it holds.
    pub postings: Vec<Posting>,
    /// The network it maps, with the market's name.
    pub map: Vec<(String, Place)>,
}

/// What an import changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Values of intervals that had none.
    pub new: u64,
    /// Values that were known already.
    pub unchanged: u64,
    /// Values that replace another.
    pub corrected: u64,
    /// Values older than one that is known: kept, and replacing nothing.
    pub older: u64,
    /// Whether this very file had been imported before.
    pub again: bool,
}

/// A series and how far it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Which series.
    pub key: SeriesKey,
    /// ISO 4217 code; empty for loads.
    pub currency: String,
    /// Intervals that have a value.
    pub intervals: u64,
    /// First moment of the first one.
    pub from: Time,
    /// First moment after the last one.
    pub to: Time,
}

/// Says why the store failed.
#[derive(Debug, Error)]
pub enum PricesError {
    /// It cannot be opened.
    #[error("failed to open the price store `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// It was written by a later version.
    #[error(
        "failed to open the price store `{}`: it is of version {found}, and this program knows \
         {VERSION}; use the version that wrote it", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// A statement failed.
    #[error("failed to {verb} the price store")]
    Statement {
        /// What was tried.
        verb: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// A question would give more than fits.
    #[error(
        "failed to read the price store: there are more than {VALUES_MAX} values; ask for less"
    )]
    TooMany,
}

/// Imported prices of one data folder.
#[derive(Debug)]
pub struct PriceStore {
    connection: Connection,
}

/// One revision as stored.
#[derive(Debug, Clone, Copy)]
struct Revision {
    posted: i64,
    last: i64,
    value: i64,
    import: i64,
}

impl PriceStore {
    /// Opens or makes the store, and brings an older one up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is not what SQLite writes, or is of a later version.
    pub fn open(path: &Path) -> Result<Self, PricesError> {
        let failed = |source| PricesError::Open { path: path.to_path_buf(), source };
        let connection = Connection::open(path).map_err(failed)?;
        let prepare = || -> rusqlite::Result<i64> {
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.query_row("PRAGMA user_version", [], |r| r.get(0))
        };
        let found = prepare().map_err(failed)?;
        if found > VERSION {
            return Err(PricesError::Newer { path: path.to_path_buf(), found });
        }
        connection.execute_batch(SCHEMA).map_err(failed)?;
        connection.pragma_update(None, "user_version", VERSION).map_err(failed)?;
        Ok(Self { connection })
    }

    /// Imports a file, all or nothing. The same file again changes nothing.
    ///
    /// # Errors
    /// When the database refuses; then nothing of the file is stored.
    pub fn import(&mut self, import: &Import) -> Result<Vec<Changes>, PricesError> {
        let mut store = || {
            let change = self.connection.transaction()?;
            let all = put(&change, import)?;
            change.commit()?;
            Ok(all)
        };
        store().map_err(|source| PricesError::Statement { verb: "write to", source })
    }

    /// The values in force, in time order, of intervals that start in `[from, to)`.
    ///
    /// # Errors
    /// When the database refuses, or there are more than [`VALUES_MAX`].
    pub fn latest(&self, key: &SeriesKey, from: Time, to: Time) -> Result<Vec<Value>, PricesError> {
        self.pick(key, from, to, |revisions| revisions.last().copied())
    }

    /// The values as they were known at a moment: no row has a later `known_at`.
    ///
    /// # Errors
    /// As [`PriceStore::latest`].
    pub fn as_of(
        &self,
        key: &SeriesKey,
        from: Time,
        to: Time,
        now: Time,
    ) -> Result<Vec<Value>, PricesError> {
        self.pick(key, from, to, |revisions| {
            revisions.iter().rev().find(|v| v.known_at <= now).copied()
        })
    }

    /// Every revision, by interval and then by when each could be known.
    ///
    /// # Errors
    /// As [`PriceStore::latest`].
    pub fn revisions(
        &self,
        key: &SeriesKey,
        from: Time,
        to: Time,
    ) -> Result<Vec<Value>, PricesError> {
        let mut all = Vec::new();
        self.each(key, from, to, |revisions| all.extend_from_slice(revisions))?;
        Ok(all)
    }

    fn pick(
        &self,
        key: &SeriesKey,
        from: Time,
        to: Time,
        choose: impl Fn(&[Value]) -> Option<Value>,
    ) -> Result<Vec<Value>, PricesError> {
        let mut all = Vec::new();
        self.each(key, from, to, |revisions| all.extend(choose(revisions)))?;
        Ok(all)
    }

    /// Hands over the revisions of each interval, in the order in which they could be known.
    fn each(
        &self,
        key: &SeriesKey,
        from: Time,
        to: Time,
        mut take: impl FnMut(&[Value]),
    ) -> Result<(), PricesError> {
        let reading = |source| PricesError::Statement { verb: "read", source };
        let Some(series) = find(&self.connection, key).map_err(reading)? else { return Ok(()) };
        let sql = "SELECT start_ns, end_ns, run_ns, posted_ns, value, known_ns FROM revisions \
                   WHERE series = ?1 AND start_ns >= ?2 AND start_ns < ?3 \
                   ORDER BY start_ns, run_ns, posted_ns";
        let mut statement = self.connection.prepare_cached(sql).map_err(reading)?;
        let mut rows = statement.query(params![series, from.0, to.0]).map_err(reading)?;
        let mut group: Vec<Value> = Vec::new();
        let (mut last_run, mut seen) = (0i64, 0usize);
        while let Some(row) = rows.next().map_err(reading)? {
            let read = || -> rusqlite::Result<(Value, i64, i64)> {
                let interval = Interval { start: Time(row.get(0)?), end: Time(row.get(1)?) };
                let (run, posted): (i64, i64) = (row.get(2)?, row.get(3)?);
                let known_at = Time(row.get(5)?);
                Ok((Value { interval, value: row.get(4)?, known_at }, run, posted))
            };
            let (mut value, run, posted) = read().map_err(reading)?;
            seen += 1;
            if seen > VALUES_MAX {
                return Err(PricesError::TooMany);
            }
            if group.first().is_some_and(|v| v.interval.start != value.interval.start) {
                take(&group);
                group.clear();
            } else if !group.is_empty() && run == last_run {
                // Only the first posting is known by the market's rule.
                value.known_at = value.known_at.max(Time(posted));
            }
            last_run = run;
            group.push(value);
        }
        if !group.is_empty() {
            take(&group);
        }
        Ok(())
    }

    /// All series, with how far each reaches.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn series(&self) -> Result<Vec<Extent>, PricesError> {
        let sql = "SELECT market, point, type, kind, currency, COUNT(DISTINCT start_ns), \
                   MIN(start_ns), MAX(end_ns) FROM series JOIN revisions ON series = id \
                   GROUP BY id ORDER BY market, point, type, kind";
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |r| {
                let count: i64 = r.get(5)?;
                Ok(Extent {
                    key: SeriesKey {
                        market: r.get(0)?,
                        point: r.get(1)?,
                        point_type: r.get(2)?,
                        kind: r.get(3)?,
                    },
                    currency: r.get(4)?,
                    intervals: u64::try_from(count).unwrap_or(0),
                    from: Time(r.get(6)?),
                    to: Time(r.get(7)?),
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<Extent>>>()
        };
        read().map_err(|source| PricesError::Statement { verb: "read", source })
    }
}

fn find(connection: &Connection, key: &SeriesKey) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT id FROM series WHERE market = ?1 AND point = ?2 AND type = ?3 AND kind = ?4";
    let SeriesKey { market, point, point_type, kind } = key;
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row(params![market, point, point_type, kind], |r| r.get(0)).optional()
}

fn put(change: &Transaction<'_>, import: &Import) -> rusqlite::Result<Vec<Changes>> {
    let sql = "SELECT 1 FROM imports WHERE hash = ?1 AND (posted_ns IS ?2 OR ?2 IS NULL)";
    let posted = import.posted.map(|t| t.0);
    let again = change.query_row(sql, params![import.hash, posted], |_| Ok(())).optional()?;
    if again.is_some() {
        let same = |p: &Posting| Changes {
            unchanged: p.values.len() as u64,
            again: true,
            ..Changes::default()
        };
        return Ok(import.postings.iter().map(same).collect());
    }
    let rows: usize = import.postings.iter().map(|p| p.values.len()).sum();
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    change.execute(
        "INSERT INTO imports (hash, name, kind, imported_ns, posted_ns, rows) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![import.hash, import.name, import.kind, import.at.0, posted, rows],
    )?;
    let id = change.last_insert_rowid();
    let at = posted.unwrap_or(import.at.0);
    let all = import.postings.iter().map(|p| put_posting(change, p, id, at)).collect();
    let sql = "INSERT OR REPLACE INTO map VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut place = change.prepare_cached(sql)?;
    for (market, p) in &import.map {
        place.execute(params![market, p.bus, p.substation, p.node, p.zone, p.hub])?;
    }
    all
}

fn put_posting(
    change: &Transaction<'_>,
    posting: &Posting,
    import: i64,
    posted: i64,
) -> rusqlite::Result<Changes> {
    let SeriesKey { market, point, point_type, kind } = &posting.key;
    let (series, empty) = match find(change, &posting.key)? {
        Some(series) => (series, false),
        None => {
            change.execute(
                "INSERT INTO series (market, point, type, kind, currency) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![market, point, point_type, kind, posting.currency],
            )?;
            (change.last_insert_rowid(), true)
        }
    };
    let mut read = change.prepare_cached(
        "SELECT posted_ns, last_posted_ns, value, import FROM revisions \
         WHERE series = ?1 AND start_ns = ?2 AND run_ns = ?3 ORDER BY posted_ns",
    )?;
    let mut write = change.prepare_cached(
        "INSERT OR REPLACE INTO revisions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let mut remove = change.prepare_cached(
        "DELETE FROM revisions WHERE series = ?1 AND start_ns = ?2 AND run_ns = ?3 AND \
         posted_ns = ?4",
    )?;
    let mut changes = Changes::default();
    for value in &posting.values {
        let run = if posting.forecast { value.known_at.0 } else { 0 };
        let start = value.interval.start.0;
        let before = if empty { Vec::new() } else { known(&mut read, series, start, run)? };
        let own = Revision { posted, last: posted, value: value.value, import };
        let edit = edit(&before, own);
        match edit.what {
            What::New => changes.new += 1,
            What::Unchanged => changes.unchanged += 1,
            What::Corrected => changes.corrected += 1,
            What::Older => changes.older += 1,
        }
        for old in &edit.remove {
            remove.execute(params![series, start, run, old])?;
        }
        for r in &edit.write {
            let (end, known) = (value.interval.end.0, value.known_at.0);
            write.execute(params![
                series, start, run, r.posted, r.last, end, r.value, known, r.import
            ])?;
        }
    }
    Ok(changes)
}

fn known(
    read: &mut Statement<'_>,
    series: i64,
    start: i64,
    run: i64,
) -> rusqlite::Result<Vec<Revision>> {
    let rows = read.query_map(params![series, start, run], |r| {
        Ok(Revision { posted: r.get(0)?, last: r.get(1)?, value: r.get(2)?, import: r.get(3)? })
    })?;
    rows.collect()
}

enum What {
    New,
    Unchanged,
    Corrected,
    Older,
}

/// What one posted value does to the revisions of its interval.
struct Edit {
    what: What,
    remove: Vec<i64>,
    write: Vec<Revision>,
}

/// Puts a posted value in its place among the revisions, which are in the order of posting.
/// Of two values posted at one moment the one imported later counts.
fn edit(before: &[Revision], own: Revision) -> Edit {
    let Revision { mut posted, value, .. } = own;
    // What was posted at the same moment stands a nanosecond apart, in the order of import.
    let stands = |at: i64| before.iter().any(|r| r.posted == at);
    while stands(posted) && stands(posted + 1) {
        posted += 1;
    }
    let edit = |what, remove, write| Edit { what, remove, write };
    let next = before.partition_point(|r| r.posted <= posted);
    let (Some(earlier), later) = (next.checked_sub(1).map(|i| before[i]), before.get(next)) else {
        return match before.first() {
            None => edit(What::New, Vec::new(), vec![own]),
            // The same value had been posted before it was thought: its posting moves back.
            Some(first) if first.value == value => {
                edit(What::Unchanged, vec![first.posted], vec![Revision { posted, ..*first }])
            }
            Some(_) => edit(What::Older, Vec::new(), vec![own]),
        };
    };
    let newest = later.is_none() && earlier.last <= posted;
    if earlier.value == value {
        let last = earlier.last.max(posted);
        return edit(What::Unchanged, Vec::new(), vec![Revision { last, ..earlier }]);
    }
    // Two values posted at one moment are two revisions all the same.
    let own = Revision { posted: posted.max(earlier.posted + 1), ..own };
    if newest {
        return edit(What::Corrected, Vec::new(), vec![own]);
    }
    let mut write = vec![own];
    let mut remove = Vec::new();
    if earlier.last > posted {
        // Another value stood between two postings of the same one: it is two revisions.
        write.push(Revision { last: earlier.posted, ..earlier });
        write.push(Revision { posted: earlier.last, ..earlier });
    } else if let Some(later) = later.filter(|l| l.value == value) {
        remove.push(later.posted);
        write[0].last = later.last;
    }
    edit(What::Older, remove, write)
}

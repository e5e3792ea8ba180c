//! The SQLite tables people query: derived from the journal and imports, and rebuildable.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Rises with every change of `schema.sql`; tables of another version are dropped and made anew.
pub const SCHEMA_VERSION: u32 = 1;
/// Rows one query gives at most.
pub const ROWS_MAX: i64 = 1_000_000;

const SCHEMA: &str = include_str!("schema.sql");
const TABLES: [&str; 5] = ["decisions", "intervals", "prices", "alarms", "operator"];

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// The event that caused it.
    pub seq: u64,
    /// When.
    pub at_ns: i64,
    /// Automation mode it was made in.
    pub mode: String,
    /// Set point at the meter.
    pub target_w: i64,
    /// Import expected once every change told has been obeyed.
    pub planned_w: i64,
    /// Import as last measured.
    pub measured_w: Option<i64>,
    /// Price it was made for, micro-currency per MWh.
    pub expected_price: Option<i64>,
    /// What economics would have liked.
    pub preferred_w: i64,
    /// Names of the limits that narrowed, in order of right.
    pub rungs: String,
    /// As `explain` shows it.
    pub text: String,
    /// The whole of it.
    pub json: String,
}

/// One settlement interval. What is not known is `None`, never zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntervalRow {
    /// First moment.
    pub start_ns: i64,
    /// First moment after it.
    pub end_ns: i64,
    /// Energy at the meter in watt-seconds.
    pub energy_ws: Option<i64>,
    /// Price it settles at, micro-currency per MWh.
    pub price: Option<i64>,
    /// Where that price comes from.
    pub price_basis: Option<String>,
    /// Paid for energy, micro-currency.
    pub energy_cost: Option<i64>,
    /// Earned by the work, micro-currency.
    pub compute_revenue: Option<i64>,
    /// Earned by selling back, micro-currency.
    pub sell_back: Option<i64>,
    /// Wear and the like, micro-currency.
    pub other_cost: Option<i64>,
    /// Machine starts in it.
    pub starts: i64,
    /// The event that last changed it.
    pub seq: u64,
}

/// One price as it was known from some moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    /// Settlement point, with its type.
    pub point: String,
    /// `dispatch`, `settlement` or `day_ahead`.
    pub kind: String,
    /// First moment of the interval.
    pub start_ns: i64,
    /// First moment after it.
    pub end_ns: i64,
    /// Micro-currency per MWh.
    pub price: i64,
    /// When it could be known.
    pub known_at_ns: i64,
}

/// An alarm raised or cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmRow {
    /// The event that caused it.
    pub seq: u64,
    /// When.
    pub at_ns: i64,
    /// Which.
    pub alarm: String,
    /// Raised, or cleared.
    pub raised: bool,
    /// One sentence.
    pub text: String,
}

/// What a person did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorRow {
    /// The event.
    pub seq: u64,
    /// When.
    pub at_ns: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub act: String,
    /// Why.
    pub reason: String,
}

/// Rows to be stored together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The last event these rows know of; `None` for an import, which has no event.
    pub applied: Option<u64>,
    /// Decisions.
    pub decisions: Vec<DecisionRow>,
    /// Intervals.
    pub intervals: Vec<IntervalRow>,
    /// Prices.
    pub prices: Vec<PriceRow>,
    /// Alarms.
    pub alarms: Vec<AlarmRow>,
    /// Acts of people.
    pub operator: Vec<OperatorRow>,
}

/// Says why the tables failed.
#[derive(Debug, Error)]
pub enum TablesError {
    /// They cannot be opened.
    #[error(
        "failed to open tables `{}`; they hold nothing the journal does not: if the file is \
         damaged, remove it and it is made again", path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A statement failed.
    #[error("failed to {verb} the tables")]
    Statement {
        /// What was tried.
        verb: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
}

/// The tables of one data folder.
#[derive(Debug)]
pub struct Tables {
    connection: Connection,
}

impl Tables {
    /// Opens or makes the tables. Tables of another schema version are emptied: then
    /// [`Tables::last_applied`] is `None`, and whoever opened them fills them from the journal.
    ///
    /// # Errors
    /// When the file cannot be opened or is not what SQLite writes.
    pub fn open(path: &Path) -> Result<Self, TablesError> {
        let failed = |source| TablesError::Open { path: path.to_path_buf(), source };
        let mut tables = Self { connection: Connection::open(path).map_err(failed)? };
        tables.prepare().map_err(failed)?;
        Ok(tables)
    }

    fn prepare(&mut self) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        self.connection.busy_timeout(std::time::Duration::from_secs(5))?;
        let change = self.connection.transaction()?;
        change.execute_batch(SCHEMA)?;
        let version = meta(&change, "schema_version")?;
        if version.is_some_and(|v| v != SCHEMA_VERSION.to_string()) {
            for table in TABLES.iter().chain(&["meta"]) {
                change.execute_batch(&format!("DROP TABLE {table}"))?;
            }
            change.execute_batch(SCHEMA)?;
        }
        set_meta(&change, "schema_version", &SCHEMA_VERSION.to_string())?;
        change.commit()
    }

    /// Stores rows, all or none. Storing the same rows again changes nothing.
    ///
    /// # Errors
    /// When the database refuses; then nothing of the batch is stored.
    pub fn apply(&mut self, batch: &Batch) -> Result<(), TablesError> {
        let last = self.last_applied()?;
        let mut store = || {
            let change = self.connection.transaction()?;
            put_decisions(&change, &batch.decisions)?;
            put_intervals(&change, &batch.intervals)?;
            put_prices(&change, &batch.prices)?;
            put_alarms(&change, &batch.alarms)?;
            put_operator(&change, &batch.operator)?;
            if let Some(seq) = batch.applied.max(last) {
                set_meta(&change, "last_applied", &seq.to_string())?;
            }
            change.commit()
        };
        store().map_err(|source| TablesError::Statement { verb: "write to", source })
    }

    /// The last event the tables know of; `None` when they must be filled from the journal.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn last_applied(&self) -> Result<Option<u64>, TablesError> {
        let value = meta(&self.connection, "last_applied").map_err(reading)?;
        Ok(value.and_then(|v| v.parse().ok()))
    }

    /// Empties every table, for a rebuild.
    ///
    /// # Errors
    /// When the database refuses; then nothing is emptied.
    pub fn clear(&mut self) -> Result<(), TablesError> {
        let mut clear = || {
            let change = self.connection.transaction()?;
            for table in TABLES {
                change.execute_batch(&format!("DELETE FROM {table}"))?;
            }
            change.execute("DELETE FROM meta WHERE key = 'last_applied'", [])?;
            change.commit()
        };
        clear().map_err(|source| TablesError::Statement { verb: "empty", source })
    }

    /// The JSON of the decision in force at a moment: the last one made at or before it.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn decision_at(&self, at_ns: i64) -> Result<Option<String>, TablesError> {
        let sql = "SELECT json FROM decisions WHERE at_ns <= ?1 \
                   ORDER BY at_ns DESC, seq DESC LIMIT 1";
        self.connection.query_row(sql, [at_ns], |r| r.get(0)).optional().map_err(reading)
    }

    /// Decisions made in `[from, to)`, in order.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn decisions(&self, from_ns: i64, to_ns: i64) -> Result<Vec<DecisionRow>, TablesError> {
        let sql = "SELECT seq, at_ns, mode, target_w, planned_w, measured_w, expected_price, \
                   preferred_w, rungs, text, json FROM decisions \
                   WHERE at_ns >= ?1 AND at_ns < ?2 ORDER BY at_ns, seq LIMIT ?3";
        self.rows(sql, params![from_ns, to_ns, ROWS_MAX], |r| {
            Ok(DecisionRow {
                seq: seq(r, 0)?,
                at_ns: r.get(1)?,
                mode: r.get(2)?,
                target_w: r.get(3)?,
                planned_w: r.get(4)?,
                measured_w: r.get(5)?,
                expected_price: r.get(6)?,
                preferred_w: r.get(7)?,
                rungs: r.get(8)?,
                text: r.get(9)?,
                json: r.get(10)?,
            })
        })
    }

    /// Intervals that start in `[from, to)`, in order.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn intervals(&self, from_ns: i64, to_ns: i64) -> Result<Vec<IntervalRow>, TablesError> {
        let sql = "SELECT start_ns, end_ns, energy_ws, price, price_basis, energy_cost, \
                   compute_revenue, sell_back, other_cost, starts, seq FROM intervals \
                   WHERE start_ns >= ?1 AND start_ns < ?2 ORDER BY start_ns LIMIT ?3";
        self.rows(sql, params![from_ns, to_ns, ROWS_MAX], |r| {
            Ok(IntervalRow {
                start_ns: r.get(0)?,
                end_ns: r.get(1)?,
                energy_ws: r.get(2)?,
                price: r.get(3)?,
                price_basis: r.get(4)?,
                energy_cost: r.get(5)?,
                compute_revenue: r.get(6)?,
                sell_back: r.get(7)?,
                other_cost: r.get(8)?,
                starts: r.get(9)?,
                seq: seq(r, 10)?,
            })
        })
    }

    /// Prices of intervals that start in `[from, to)`, every revision, by start and then by when
    /// each could be known.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn prices(
        &self,
        point: &str,
        kind: &str,
        from_ns: i64,
        to_ns: i64,
    ) -> Result<Vec<PriceRow>, TablesError> {
        let sql = "SELECT point, kind, start_ns, end_ns, price, known_at_ns FROM prices \
                   WHERE point = ?1 AND kind = ?2 AND start_ns >= ?3 AND start_ns < ?4 \
                   ORDER BY start_ns, known_at_ns LIMIT ?5";
        self.rows(sql, params![point, kind, from_ns, to_ns, ROWS_MAX], |r| {
            Ok(PriceRow {
                point: r.get(0)?,
                kind: r.get(1)?,
                start_ns: r.get(2)?,
                end_ns: r.get(3)?,
                price: r.get(4)?,
                known_at_ns: r.get(5)?,
            })
        })
    }

    /// Alarms raised or cleared in `[from, to)`, in order.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn alarms(&self, from_ns: i64, to_ns: i64) -> Result<Vec<AlarmRow>, TablesError> {
        let sql = "SELECT seq, at_ns, alarm, raised, text FROM alarms \
                   WHERE at_ns >= ?1 AND at_ns < ?2 ORDER BY at_ns, seq, alarm, raised LIMIT ?3";
        self.rows(sql, params![from_ns, to_ns, ROWS_MAX], |r| {
            Ok(AlarmRow {
                seq: seq(r, 0)?,
                at_ns: r.get(1)?,
                alarm: r.get(2)?,
                raised: r.get(3)?,
                text: r.get(4)?,
            })
        })
    }

    /// Acts of people in `[from, to)`, in order.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn operator(&self, from_ns: i64, to_ns: i64) -> Result<Vec<OperatorRow>, TablesError> {
        let sql = "SELECT seq, at_ns, actor, act, reason FROM operator \
                   WHERE at_ns >= ?1 AND at_ns < ?2 ORDER BY seq LIMIT ?3";
        self.rows(sql, params![from_ns, to_ns, ROWS_MAX], |r| {
            Ok(OperatorRow {
                seq: seq(r, 0)?,
                at_ns: r.get(1)?,
                actor: r.get(2)?,
                act: r.get(3)?,
                reason: r.get(4)?,
            })
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, TablesError> {
        let collect = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>()
        };
        collect().map_err(reading)
    }
}

fn reading(source: rusqlite::Error) -> TablesError {
    TablesError::Statement { verb: "read", source }
}

/// SQLite's integers are signed; a place beyond them is refused, never wrapped.
fn place(seq: u64) -> rusqlite::Result<i64> {
    i64::try_from(seq).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    connection.query_row(sql, [key], |r| r.get(0)).optional()
}

fn set_meta(change: &Transaction<'_>, key: &str, value: &str) -> rusqlite::Result<()> {
    change.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", [key, value]).map(drop)
}

fn put_decisions(change: &Transaction<'_>, rows: &[DecisionRow]) -> rusqlite::Result<()> {
    let mut put = change.prepare_cached(
        "INSERT OR REPLACE INTO decisions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for r in rows {
        put.execute(params![
            place(r.seq)?,
            r.at_ns,
            r.mode,
            r.target_w,
            r.planned_w,
            r.measured_w,
            r.expected_price,
            r.preferred_w,
            r.rungs,
            r.text,
            r.json
        ])?;
    }
    Ok(())
}

fn put_intervals(change: &Transaction<'_>, rows: &[IntervalRow]) -> rusqlite::Result<()> {
    let mut put = change.prepare_cached(
        "INSERT OR REPLACE INTO intervals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for r in rows {
        put.execute(params![
            r.start_ns,
            r.end_ns,
            r.energy_ws,
            r.price,
            r.price_basis,
            r.energy_cost,
            r.compute_revenue,
            r.sell_back,
            r.other_cost,
            r.starts,
            place(r.seq)?
        ])?;
    }
    Ok(())
}

fn put_prices(change: &Transaction<'_>, rows: &[PriceRow]) -> rusqlite::Result<()> {
    let mut put =
        change.prepare_cached("INSERT OR REPLACE INTO prices VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for r in rows {
        put.execute(params![r.point, r.kind, r.start_ns, r.end_ns, r.price, r.known_at_ns])?;
    }
    Ok(())
}

fn put_alarms(change: &Transaction<'_>, rows: &[AlarmRow]) -> rusqlite::Result<()> {
    let mut put =
        change.prepare_cached("INSERT OR REPLACE INTO alarms VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for r in rows {
        put.execute(params![place(r.seq)?, r.alarm, r.raised, r.at_ns, r.text])?;
    }
    Ok(())
}

fn put_operator(change: &Transaction<'_>, rows: &[OperatorRow]) -> rusqlite::Result<()> {
    let mut put =
        change.prepare_cached("INSERT OR REPLACE INTO operator VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for r in rows {
        put.execute(params![place(r.seq)?, r.at_ns, r.actor, r.act, r.reason])?;
    }
    Ok(())
}

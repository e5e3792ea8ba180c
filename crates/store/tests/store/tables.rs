//! The tables: idempotent, rebuildable, and half-open in time.

use headgate_store::Tables;
use headgate_store::tables::{
    AlarmRow, Batch, DecisionRow, IntervalRow, OperatorRow, PriceRow, SCHEMA_VERSION,
};
use std::path::PathBuf;

pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("headgate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("tables.sqlite")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn decision(seq: u64, at_ns: i64) -> DecisionRow {
    DecisionRow {
        seq,
        at_ns,
        mode: "auto".into(),
        target_w: 5_000_000,
        planned_w: 4_990_000,
        measured_w: None,
        expected_price: Some(31_610_000),
        preferred_w: 6_000_000,
        rungs: "physical site_import".into(),
        text: "a ladder".into(),
        json: format!("{{\"seq\":{seq}}}"),
    }
}

fn price(start_ns: i64, known_at_ns: i64, price: i64) -> PriceRow {
    let (point, kind) = ("LZ_WEST (LZ)".into(), "settlement".into());
    PriceRow { point, kind, start_ns, end_ns: start_ns + 900, price, known_at_ns }
}

fn batch() -> Batch {
    Batch {
        applied: Some(7),
        decisions: vec![decision(3, 100), decision(5, 200), decision(6, 200)],
        intervals: vec![IntervalRow {
            start_ns: 0,
            end_ns: 900,
            energy_ws: None,
            price: Some(-251_000_000),
            price_basis: Some("published".into()),
            energy_cost: None,
            compute_revenue: Some(12),
            sell_back: Some(0),
            other_cost: Some(3),
            starts: 2,
            seq: 7,
        }],
        prices: vec![price(0, 1020, 10), price(0, 5000, 11), price(900, 1920, 12)],
        alarms: vec![AlarmRow {
            seq: 4,
            at_ns: 150,
            alarm: "price_lost".into(),
            raised: true,
            text: "no price".into(),
        }],
        operator: vec![OperatorRow {
            seq: 2,
            at_ns: 90,
            actor: "ana".into(),
            act: "hold".into(),
            reason: "storm".into(),
        }],
    }
}

fn check(tables: &Tables) {
    let b = batch();
    assert_eq!(tables.last_applied().unwrap(), Some(7));
    assert_eq!(tables.decisions(100, 201).unwrap(), b.decisions);
    assert_eq!(tables.decisions(100, 200).unwrap(), b.decisions[..1]);
    assert_eq!(tables.intervals(0, 1).unwrap(), b.intervals);
    assert_eq!(tables.prices("LZ_WEST (LZ)", "settlement", 0, 901).unwrap(), b.prices);
    assert_eq!(tables.prices("LZ_WEST (LZ)", "settlement", 0, 900).unwrap(), b.prices[..2]);
    assert_eq!(tables.prices("LZ_WEST (LZEW)", "settlement", 0, 900).unwrap(), []);
    assert_eq!(tables.alarms(0, 200).unwrap(), b.alarms);
    assert_eq!(tables.operator(0, 200).unwrap(), b.operator);
    let at = |t| tables.decision_at(t).unwrap();
    assert_eq!(at(99), None);
    assert_eq!(at(100).as_deref(), Some("{\"seq\":3}"));
    assert_eq!(at(199).as_deref(), Some("{\"seq\":3}"));
    assert_eq!(at(i64::MAX).as_deref(), Some("{\"seq\":6}"));
}

#[test]
fn rows_are_stored_once_and_survive() {
    let folder = Folder::new("rows");
    let mut tables = Tables::open(&folder.file()).unwrap();
    assert_eq!(tables.last_applied().unwrap(), None);
    tables.apply(&batch()).unwrap();
    check(&tables);
    tables.apply(&batch()).unwrap();
    tables.apply(&Batch { applied: Some(3), ..Batch::default() }).unwrap();
    tables.apply(&Batch::default()).unwrap();
    check(&tables);
    drop(tables);
    check(&Tables::open(&folder.file()).unwrap());
}

#[test]
fn cleared_tables_are_filled_again() {
    let folder = Folder::new("clear");
    let mut tables = Tables::open(&folder.file()).unwrap();
    tables.apply(&batch()).unwrap();
    tables.clear().unwrap();
    assert_eq!(tables.last_applied().unwrap(), None);
    assert_eq!(tables.decision_at(i64::MAX).unwrap(), None);
    tables.apply(&batch()).unwrap();
    check(&tables);
}

#[test]
fn a_batch_that_fails_leaves_nothing() {
    let folder = Folder::new("fails");
    let mut tables = Tables::open(&folder.file()).unwrap();
    let mut bad = batch();
    bad.operator[0].seq = u64::MAX;
    assert_eq!(tables.apply(&bad).unwrap_err().to_string(), "failed to write to the tables");
    assert_eq!(tables.last_applied().unwrap(), None);
    assert_eq!(tables.decision_at(i64::MAX).unwrap(), None);
}

#[test]
fn another_schema_is_made_anew_and_a_damaged_file_is_told() {
    let folder = Folder::new("schema");
    let mut tables = Tables::open(&folder.file()).unwrap();
    tables.apply(&batch()).unwrap();
    drop(tables);
    let raw = rusqlite::Connection::open(folder.file()).unwrap();
    let older = (SCHEMA_VERSION - 1).to_string();
    raw.execute("UPDATE meta SET value = ?1 WHERE key = 'schema_version'", [older]).unwrap();
    raw.execute("ALTER TABLE decisions DROP COLUMN text", []).unwrap();
    drop(raw);
    let mut tables = Tables::open(&folder.file()).unwrap();
    assert_eq!(tables.last_applied().unwrap(), None);
    tables.apply(&batch()).unwrap();
    check(&tables);
    drop(tables);
    for name in ["tables.sqlite-wal", "tables.sqlite-shm"] {
        let _ = std::fs::remove_file(folder.0.join(name));
    }
    std::fs::write(folder.file(), "not a database, whatever its name says. ".repeat(100)).unwrap();
    let told = Tables::open(&folder.file()).unwrap_err().to_string();
    insta::assert_snapshot!(
        told.replace(&folder.0.display().to_string(), "DIR"),
        @"failed to open tables `DIR/tables.sqlite`; they hold nothing the journal does not: if the file is damaged, remove it and it is made again"
    );
}

//! What the tests of the doors share: a status with everything in it, an engine that takes
//! notes, and a folder of their own.

use crate::status::{
    ActRequest, AlarmView, ClockView, CommandCounts, Desk, FeedView, MachineCounts, MeterView,
    MoneyView, PriceView, StairView, Status,
};
use headgate_core::event::OperatorAct;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// A folder that is there as long as the test.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hg-{name}-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What became of acts: those the pretend engine was given.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<OperatorAct>>>);

impl Notes {
    pub fn taken(&self) -> Vec<OperatorAct> {
        self.0.lock().unwrap().clone()
    }
}

/// A desk with a pretend engine behind it. It numbers acts from 101, and refuses whatever has
/// the reason "refuse me".
#[derive(Debug)]
pub struct Office {
    pub desk: Desk,
    pub notes: Notes,
    /// Keeps the status alive, and lets a test change it.
    pub board: watch::Sender<Arc<Status>>,
}

impl Office {
    pub fn new() -> Self {
        let (board, status) = watch::channel(Arc::new(status()));
        let (acts, waiting) = mpsc::channel(4);
        let (previews, _) = mpsc::channel(1);
        let notes = Notes::default();
        tokio::spawn(pretend_engine(waiting, notes.clone()));
        Self { desk: Desk { status, acts, previews }, notes, board }
    }
}

async fn pretend_engine(mut acts: mpsc::Receiver<ActRequest>, notes: Notes) {
    let mut seq = 100;
    while let Some(ActRequest { act, done }) = acts.recv().await {
        if act.reason == "refuse me" {
            done.send(Err("mode is off".to_owned())).unwrap();
            continue;
        }
        seq += 1;
        notes.0.lock().unwrap().push(act);
        // Who asked may have gone away; the act is done all the same.
        let _ = done.send(Ok(seq));
    }
}

/// A status in which every field has a value.
pub fn status() -> Status {
    Status {
        site: "Example <1>".to_owned(),
        point: "LZ_WEST".to_owned(),
        market: "ercot".to_owned(),
        currency: "USD".to_owned(),
        at: "2024-08-20T23:55:23Z".to_owned(),
        at_ns: 1_724_198_123_000_000_000,
        mode: "auto".to_owned(),
        policy: "breakeven".to_owned(),
        ready: true,
        unknown_machines: 0,
        seq: 4711,
        generation: 17,
        price: Some(price()),
        staircase: vec![stair()],
        mean_breakeven: Some(71.5),
        import_limit_w: 3_000_000,
        target_w: Some(2_500_000),
        planned_w: Some(2_490_000),
        measured_w: Some(2_480_000),
        machines: MachineCounts {
            all: 250,
            awake: 240,
            asleep: 5,
            lost: 3,
            failed: 2,
            excluded: 1,
        },
        commands: commands(),
        money: money(),
        alarms: vec![AlarmView {
            alarm: "not_obeying".to_owned(),
            text: "5 machines were told and still draw".to_owned(),
            since: "2024-08-20T23:50:00Z".to_owned(),
        }],
        feeds: vec![
            feed("lmp", "dispatch_price", 42.0),
            feed("spp", "settlement_price", 300.0),
            feed("dam", "day_ahead", 36_000.0),
        ],
        meters: vec![MeterView {
            name: "poi".to_owned(),
            source: "10.0.0.5:502".to_owned(),
            power_w: Some(2_480_000),
            age_s: Some(0.5),
            last_error: Some("it refuses: Server device busy".to_owned()),
            last_error_s: Some(90.0),
            ..MeterView::default()
        }],
        switches: Vec::new(),
        hold: Some("breaker work".to_owned()),
        stop: Some("smoke".to_owned()),
        curtailment: None,
        down_above: Some(88.0),
        up_below: Some(31.0),
        wish: Some("run every step that is worth more than 31.25/MWh".to_owned()),
        ladder: Some("site import limit: 3.000 MW".to_owned()),
        wake_at: "2024-08-21T00:00:00Z".to_owned(),
        clock: ClockView { speed: 1.0, progress: Some(0.5), proving: true },
    }
}

fn price() -> PriceView {
    PriceView { expected: 31.25, latest: 29.5, basis: "dispatch runs".to_owned(), age_s: 42.0 }
}

fn stair() -> StairView {
    StairView {
        cohort: "s19kpro".to_owned(),
        from_w: 30,
        to_w: 784,
        power_w: 188_500,
        breakeven: 88.0,
        running: 249,
        machines: 250,
    }
}

fn commands() -> CommandCounts {
    CommandCounts {
        commands: 21,
        acked: 11,
        refused: 6,
        timed_out: 4,
        unconfirmed: 0,
        confirmed: 9,
        drifted: 5,
        unavailable: 4,
        superseded: 3,
        open: 2,
    }
}

fn money() -> MoneyView {
    MoneyView {
        profit: 12.5,
        compute_revenue: 40.0,
        energy_cost: 30.0,
        sell_back: 2.5,
        energy_mwh: 1.75,
        rate_per_h: Some(-3.5),
    }
}

fn feed(name: &str, role: &str, age_s: f64) -> FeedView {
    let (name, role) = (name.to_owned(), role.to_owned());
    FeedView { name, role, age_s: Some(age_s), ok_s: Some(2.0), ..FeedView::default() }
}

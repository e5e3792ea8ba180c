//! Works the cases of a sweep off in threads.

use super::axes::{Axes, Case};
use super::book::Book;
use super::bootstrap::{Day, Resampling, path};
use super::outcome::{Done, Outcome};
use super::setting::Setting;
use crate::backtest::Tape;
use headgate_core::event::Hashprice;
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::site::Site;
use headgate_core::time::Interval;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Cases that are done and wait to be kept; a worker waits beyond it.
const DONE_QUEUE_MAX: usize = 64;
/// Most threads.
pub const THREADS_MAX: usize = 256;

/// A site of a sweep.
#[derive(Debug, Clone)]
pub struct SiteInput {
    /// The site, but for the point, which the case has.
    pub site: Site,
    /// Its units.
    pub units: Vec<UnitSpec>,
    /// What its work was worth over time, in order.
    pub values: Vec<Hashprice>,
    /// Its points, as places in the list of books.
    pub books: Vec<usize>,
}

/// A point of a sweep.
#[derive(Debug, Clone)]
pub struct BookInput {
    /// Its prices.
    pub book: Book,
    /// Whole days that paths may be made of, in order.
    pub sources: Vec<Day>,
    /// The spans as this point's market counts days, in the order of the axis.
    pub spans: Vec<SpanInput>,
}

/// A span of a sweep at one point.
#[derive(Debug, Clone)]
pub struct SpanInput {
    /// From its first midnight to its last.
    pub interval: Interval,
    /// Its days and some before it, in order; empty where no path is drawn.
    pub days: Vec<Day>,
}

/// Everything a sweep is made of.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Sites, the slowest axis.
    pub sites: Vec<SiteInput>,
    /// Points, as sites name them.
    pub books: Vec<BookInput>,
    /// Settings, the fastest axis.
    pub settings: Vec<Setting>,
    /// How long each axis is.
    pub axes: Axes,
    /// How paths are drawn.
    pub resampling: Resampling,
}

/// One case, ready to be lived through.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The site, with its point and setting.
    pub site: &'a Site,
    /// Its units, with the setting.
    pub units: &'a [UnitSpec],
    /// The prices.
    pub tape: &'a Tape,
    /// The setting, for what a policy takes of it.
    pub setting: &'a Setting,
    /// The case's seed.
    pub seed: u64,
}

/// Says what a case comes to.
pub trait Judge: Sync {
    /// Lives through a case under every policy of the plan.
    ///
    /// # Errors
    /// One sentence that says why it comes to nothing.
    fn judge(&self, trial: &Trial<'_>) -> Result<Outcome, String>;
}

/// Why a sweep ended before its cases did.
#[derive(Debug, thiserror::Error)]
pub enum WorkError<E: std::error::Error + 'static> {
    /// What is done could not be kept.
    #[error("failed to keep what is done")]
    Keep(#[source] E),
}

/// What a tape depends on: site, point, span, seed, factor on the hash price.
type TapeKey = (usize, usize, usize, u64, Option<i64>);
/// A tape that one worker makes and others wait for.
type TapeCell = Arc<OnceLock<Result<Arc<Tape>, String>>>;

/// The tapes last used, at most one for each worker.
struct Tapes {
    kept: Mutex<VecDeque<(TapeKey, TapeCell)>>,
    kept_max: usize,
}

impl Tapes {
    fn of(&self, sweep: &Sweep, case: &Case) -> Result<Arc<Tape>, String> {
        let ppm = sweep.settings[case.setting].hashprice_ppm;
        let key = (case.site, case.point, case.span, case.seed, ppm);
        let cell = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.iter().find(|(k, _)| *k == key) {
                Some((_, cell)) => Arc::clone(cell),
                None => {
                    let cell = TapeCell::default();
                    kept.push_back((key, Arc::clone(&cell)));
                    while kept.len() > self.kept_max {
                        kept.pop_front();
                    }
                    cell
                }
            }
        };
        cell.get_or_init(|| sweep.tape(case).map(Arc::new)).clone()
    }
}

impl Sweep {
    /// The prices of a case.
    ///
    /// # Errors
    /// One sentence naming the interval without a price, or the day that cannot be drawn.
    pub fn tape(&self, case: &Case) -> Result<Tape, String> {
        let site = &self.sites[case.site];
        let input = &self.books[site.books[case.point]];
        let span = &input.spans[case.span];
        let values = self.settings[case.setting].values(&site.values);
        let drawn;
        let book = if case.seed == 0 {
            &input.book
        } else {
            drawn = path(&input.book, &input.sources, &span.days, self.resampling, case.seed)
                .map_err(|e| e.to_string())?;
            &drawn
        };
        book.tape(span.interval, &values).map_err(|e| e.to_string())
    }

    fn one(&self, case: &Case, tapes: &Tapes, judge: &dyn Judge) -> Result<Outcome, String> {
        let tape = tapes.of(self, case)?;
        let input = &self.sites[case.site];
        let setting = &self.settings[case.setting];
        let (mut site, units) = setting.applied(&input.site, &input.units);
        site.point = tape.point.clone();
        judge.judge(&Trial { site: &site, units: &units, tape: &tape, setting, seed: case.seed })
    }

    /// Works cases off in threads and hands each to `keep` as it is done, in no certain order.
    ///
    /// # Errors
    /// [`WorkError`] when `keep` fails; the cases under way are given up.
    ///
    /// # Panics
    /// When a worker panics.
    pub fn run<E: std::error::Error + 'static>(
        &self,
        cases: &[u64],
        threads: NonZeroUsize,
        judge: &dyn Judge,
        mut keep: impl FnMut(Done) -> Result<(), E>,
    ) -> Result<(), WorkError<E>> {
        let threads = threads.get().min(THREADS_MAX).min(cases.len().max(1));
        let tapes = Tapes { kept: Mutex::default(), kept_max: threads };
        let (next, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
        let worker = |done: &SyncSender<Done>| {
            while !ended.load(Ordering::Relaxed) {
                let Some(index) = cases.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                let case = self.axes.case(*index);
                let outcome = self.one(&case, &tapes, judge);
                if done.send(Done { case: *index, outcome }).is_err() {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(DONE_QUEUE_MAX);
            for _ in 0..threads {
                let sender = sender.clone();
                scope.spawn(move || worker(&sender));
            }
            drop(sender);
            for done in &receiver {
                if let Err(e) = keep(done) {
                    ended.store(true, Ordering::Relaxed);
                    return Err(WorkError::Keep(e));
                }
            }
            Ok(())
        })
    }
}

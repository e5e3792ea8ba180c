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
use headgate_core::time::{Interval, Span};
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Cases that are done and wait to be kept; a worker waits beyond it.
const DONE_QUEUE_MAX: usize = 64;
/// Most threads.
pub const THREADS_MAX: usize = 256;
/// Memory that the cases under way may hold together, by an estimate from the length of their
/// spans: a worker more than fits is not begun. Prices are shared by all and come on top.
pub const CASES_BYTES_MAX: usize = 256 << 20;
/// What a case holds for each settlement interval: its price, the plan in hindsight with its
/// segments, and the statement of it.
const INTERVAL_BYTES: usize = 400;
/// What each policy that lived holds for each settlement interval: its statement.
const STATEMENT_BYTES: usize = 120;
/// What living through a case holds for each step of decisions: what is told in it, with room
/// for a list that grows, and the segments of the one run under way.
const STEP_BYTES: usize = 300;

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
    /// Which case it is.
    pub case: &'a Case,
}

/// Says what a case comes to.
pub trait Judge: Sync {
    /// How many policies live through each case. Where none does, its tape tells nothing: the
    /// plan in hindsight needs what energy settled at and no more.
    fn lives(&self) -> usize {
        1
    }

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
    fn of(&self, sweep: &Sweep, case: &Case, lives: bool) -> Result<Arc<Tape>, String> {
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
        cell.get_or_init(|| sweep.tape(case, lives).map(Arc::new)).clone()
    }
}

impl Sweep {
    /// The prices of a case; what is told of them only where something `lives` through it.
    ///
    /// # Errors
    /// One sentence naming the interval without a price, or the day that cannot be drawn.
    pub fn tape(&self, case: &Case, lives: bool) -> Result<Tape, String> {
        let site = &self.sites[case.site];
        let input = &self.books[site.books[case.point]];
        let span = &input.spans[case.span];
        let values = self.settings[case.setting].values(&site.values);
        let drawn;
        let book = if case.seed == 0 {
            &input.book
        } else {
            let (how, seed) = (self.resampling, case.seed);
            let made = path(&input.book, &input.sources, &span.days, how, seed, lives);
            drawn = made.map_err(|e| e.to_string())?;
            &drawn
        };
        let tape = if lives { Book::tape } else { Book::settled_tape };
        tape(book, span.interval, &values).map_err(|e| e.to_string())
    }

    /// About how much memory the largest case holds while it is worked off.
    fn case_bytes(&self, lives: usize) -> usize {
        let count = |span: Interval, step: Span| {
            usize::try_from(span.length().0 / step.0.max(1)).unwrap_or(usize::MAX)
        };
        let of = |book: &Book, span: Interval| {
            let each = INTERVAL_BYTES + lives * STATEMENT_BYTES;
            let settled = count(span, book.settle_step()).saturating_mul(each);
            let told = if lives > 0 { STEP_BYTES } else { 0 };
            settled.saturating_add(count(span, book.step()).saturating_mul(told))
        };
        let all = self.books.iter().flat_map(|b| b.spans.iter().map(|s| of(&b.book, s.interval)));
        all.max().unwrap_or(0)
    }

    fn one(&self, case: &Case, tapes: &Tapes, judge: &dyn Judge) -> Result<Outcome, String> {
        let tape = tapes.of(self, case, judge.lives() > 0)?;
        let input = &self.sites[case.site];
        let setting = &self.settings[case.setting];
        let (mut site, units) = setting.applied(&input.site, &input.units);
        site.point = tape.point.clone();
        judge.judge(&Trial { site: &site, units: &units, tape: &tape, setting, case })
    }

    /// Works cases off in threads and hands each to `keep` as it is done, in no certain order.
    /// There are fewer threads than asked for where their cases would hold more than
    /// [`CASES_BYTES_MAX`] together, and always one.
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
        let fitting = (CASES_BYTES_MAX / self.case_bytes(judge.lives()).max(1)).max(1);
        let threads = threads.get().min(THREADS_MAX).min(fitting).min(cases.len().max(1));
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

#[cfg(test)]
mod tests {
    use super::super::outcome::{Bound, Scored};
    use super::super::setting::UnitSetting;
    use super::super::testing::{DAY, day, ercot};
    use super::*;
    use crate::backtest::testing::blocks;
    use headgate_core::time::Span;
    use headgate_core::units::{Energy, Money, Price};

    /// Judges by what a case is made of: its prices, its seed, its site's value, its unit's cost.
    struct Sums;

    impl Judge for Sums {
        fn judge(&self, trial: &Trial<'_>) -> Result<Outcome, String> {
            let prices: i64 = trial.tape.settled.iter().map(|r| r.price.0 / 1_000_000).sum();
            let value = trial.site.cohorts[0].value.map_or(0, |v| v.0 / 1_000_000);
            let start = trial.units[0].start_cost;
            if start != trial.site.cohorts[0].start_cost {
                return Err("the account would take another cost of a start".into());
            }
            let profit = Money(prices * 1_000 + value);
            let scored = Scored {
                profit,
                compute_revenue: Money::ZERO,
                energy_cost: Money::ZERO,
                sell_back: Money::ZERO,
                other_cost: start,
                energy: Energy::ZERO,
                starts: trial.case.seed,
                curtailed: Span::ZERO,
                missed_spike_cost: Money::ZERO,
                capture_ppm: None,
            };
            let bound = Bound { profit, exact: true, gap_ppb: 0 };
            Ok(Outcome { bound, foot: None, head: profit, policies: vec![scored] })
        }
    }

    fn sweep() -> Sweep {
        let (site, units) = blocks(1);
        let one = |n: i64| Day {
            interval: Interval::starting(day(n), DAY),
            of_year: u16::try_from(n + 1).unwrap(),
        };
        let span = |from: i64, to: i64| SpanInput {
            interval: Interval { start: day(from), end: day(to) },
            days: (from - 8..to).map(one).collect(),
        };
        let setting = |value: i64, start: i64| Setting {
            value: Some(Price(value * 1_000_000)),
            unit: UnitSetting { start: Some(Money(start)), ..UnitSetting::default() },
            ..Setting::default()
        };
        let book = ercot(30);
        let sources = (0..30).map(one).collect();
        // The last span is not covered in history; paths of it are.
        let spans = vec![span(10, 12), span(29, 32)];
        Sweep {
            sites: vec![SiteInput { site, units, values: Vec::new(), books: vec![0] }],
            books: vec![BookInput { book, sources, spans }],
            settings: vec![setting(40, 1), setting(60, 2), setting(80, 3)],
            axes: Axes { sites: 1, points: 1, spans: 2, seeds: 0..6, settings: 3 },
            resampling: Resampling { block_days: 2, season_days: 10 },
        }
    }

    fn done(threads: usize) -> Vec<Done> {
        let sweep = sweep();
        let cases: Vec<u64> = (0..sweep.axes.cases().unwrap()).collect();
        let mut all = Vec::new();
        let threads = NonZeroUsize::new(threads).unwrap();
        let kept = sweep.run(&cases, threads, &Sums, |done| {
            all.push(done);
            Ok::<(), std::io::Error>(())
        });
        kept.unwrap();
        all.sort_by_key(|d| d.case);
        all
    }

    #[test]
    fn threads_make_no_difference() {
        let one = done(1);
        assert_eq!(one.len(), 36);
        for threads in [2, 3, 8] {
            assert_eq!(done(threads), one);
        }
    }

    #[test]
    fn seed_0_is_history_and_a_setting_is_what_it_says() {
        let all = done(2);
        let profit = |i: usize| all[i].outcome.as_ref().unwrap().bound.profit.0;
        // Days 10 and 11: quarter hours priced by their place, and a thousand for each day.
        let day_sum = |d: i64| (0..96).map(|i| d * 1_000 + i).sum::<i64>();
        let history = (day_sum(10) + day_sum(11)) * 1_000;
        assert_eq!([profit(0), profit(1), profit(2)], [40, 60, 80].map(|v| history + v));
        let path = |seed: usize| profit(seed * 3) - 40;
        assert!((1..6).any(|seed| path(seed) != history));
        let cost = |i: usize| all[i].outcome.as_ref().unwrap().policies[0].other_cost.0;
        assert_eq!([cost(0), cost(1), cost(2)], [1, 2, 3]);
    }

    #[test]
    fn a_span_without_prices_is_told_case_by_case() {
        let all = done(2);
        let why = all[18].outcome.as_ref().unwrap_err();
        assert!(why.contains("2024-01-31T00:00:00Z"), "{why}");
        assert!(all[21..].iter().all(|d| d.outcome.is_ok()));
    }

    #[test]
    fn what_cannot_be_kept_ends_the_sweep() {
        let sweep = sweep();
        let cases: Vec<u64> = (0..36).collect();
        let mut kept = 0;
        let error = sweep
            .run(&cases, NonZeroUsize::new(2).unwrap(), &Sums, |_| {
                kept += 1;
                if kept == 5 { Err(std::io::Error::other("the disk is full")) } else { Ok(()) }
            })
            .unwrap_err();
        assert_eq!(error.to_string(), "failed to keep what is done");
        assert_eq!(kept, 5);
    }
}

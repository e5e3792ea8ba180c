//! What a report works out beside the comparison: the same policies told ever later, the work
//! worth more or less, the strike higher or lower. Each is a run of its own, on all cores.

use crate::backtest::case::Case;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::site::{PolicyRule, Site, Value};
use headgate_core::time::Span;
use headgate_core::units::{Money, Price};
use headgate_sim::backtest::{
    Chosen, CompareError, Comparison, Name, Statement, Tape, Trial, capture,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One strike or value tried: price, profit, capture, starts.
type AtPrice = (Price, Money, Option<f64>, u64);

/// How late policies are told, in minutes.
pub const LAGS: [i64; 6] = [0, 5, 10, 15, 30, 60];
/// Shares of the work's value that are tried, in percent.
const WORTHS: [i64; 7] = [70, 80, 90, 100, 110, 120, 130];
/// Strikes that are tried, in percent of the break-even.
const STRIKES: [i64; 10] = [60, 80, 90, 100, 110, 125, 150, 200, 300, 500];
/// A capture may rise by so much with the lag before it is called odd: chance, not knowledge.
const RISE_LEAST: f64 = 0.001;

/// Capture of one policy at one lag.
pub type Captured = (Name, Option<f64>);

/// A lag, and what each policy captures at it.
pub type Rung = (Span, Vec<Captured>);

/// All that was worked out.
pub struct Studies {
    /// By lag.
    pub lags: Vec<Rung>,
    /// By share of the value in percent: profit of always-on, of each policy with its capture,
    /// and of hindsight.
    pub worths: Vec<Worth>,
    /// By strike: profit, capture and starts.
    pub strikes: Vec<(Price, Money, Option<f64>, u64)>,
}

/// Results at one value of the work.
pub struct Worth {
    pub percent: i64,
    pub always_on: Money,
    pub best: Money,
    pub policies: Vec<(Name, Money, Option<f64>)>,
}

/// One run of a study.
struct Job<'a> {
    site: &'a Site,
    tape: &'a Tape,
    chosen: Chosen,
    lag: Span,
}

/// Works all of it out.
///
/// # Errors
/// When a run fails or breaks the physics of the site.
pub fn work_out(case: &Case, main: &Comparison) -> Result<Studies, CompareError> {
    let deciding = deciding(case);
    Ok(Studies {
        lags: lags(case, main, &deciding)?,
        worths: worths(case, &deciding)?,
        strikes: strikes(case, main)?,
    })
}

/// The policies of a case that decide anything.
fn deciding(case: &Case) -> Vec<Chosen> {
    let decides = |c: &Chosen| c.rule.is_some() && c.name != Name::AlwaysOn;
    case.chosen.iter().copied().filter(decides).collect()
}

/// Capture of each policy that decides anything, told ever later.
///
/// # Errors
/// When a run fails or breaks the physics of the site.
pub fn ladder(case: &Case, main: &Comparison) -> Result<Vec<Rung>, CompareError> {
    lags(case, main, &deciding(case))
}

impl Studies {
    /// The policies whose capture rises somewhere as they are told later: where knowledge may
    /// leak.
    pub fn rising(&self) -> Vec<Name> {
        let Some((_, first)) = self.lags.first() else { return Vec::new() };
        let of = |i: usize| self.lags.iter().filter_map(move |(_, row)| row[i].1);
        let rises = |i: usize| {
            let all: Vec<f64> = of(i).collect();
            all.windows(2).any(|w| w[1] > w[0] + RISE_LEAST)
        };
        (0..first.len()).filter(|i| rises(*i)).map(|i| first[i].0).collect()
    }
}

fn lags(case: &Case, main: &Comparison, deciding: &[Chosen]) -> Result<Vec<Rung>, CompareError> {
    let (site, tape) = (&case.loaded.site, &case.tape);
    let spans = LAGS.map(|m| Span::minutes(m) + case.lag);
    let jobs: Vec<Job<'_>> = spans
        .iter()
        .flat_map(|lag| deciding.iter().map(|c| Job { site, tape, chosen: *c, lag: *lag }))
        .collect();
    let done = all(case, &jobs)?;
    let of = |s: &Statement| capture(s, &main.always_on, &main.best);
    let rows = done.chunks(deciding.len().max(1)).zip(spans);
    let row = |(row, lag): (&[Statement], Span)| {
        (lag, deciding.iter().zip(row).map(|(c, s)| (c.name, of(s))).collect())
    };
    Ok(rows.map(row).collect())
}

fn worths(case: &Case, deciding: &[Chosen]) -> Result<Vec<Worth>, CompareError> {
    let always = Chosen { name: Name::AlwaysOn, rule: Some(PolicyRule::AlwaysOn) };
    let tried = [&[always], deciding].concat();
    let changed: Vec<(Site, Tape)> = WORTHS.iter().map(|p| at_worth(case, *p)).collect();
    let lag = case.lag;
    let jobs: Vec<Job<'_>> = changed
        .iter()
        .flat_map(|(site, tape)| tried.iter().map(move |c| Job { site, tape, chosen: *c, lag }))
        .collect();
    let done = all(case, &jobs)?;
    let mut out = Vec::new();
    for ((row, (site, tape)), percent) in done.chunks(tried.len()).zip(&changed).zip(WORTHS) {
        let units = &case.loaded.units;
        let best = Trial { site, units, tape }.hindsight()?.statement;
        let scored = tried
            .iter()
            .zip(row)
            .skip(1)
            .map(|(c, s)| (c.name, Money(s.account.profit), capture(s, &row[0], &best)));
        out.push(Worth {
            percent,
            always_on: Money(row[0].account.profit),
            best: Money(best.account.profit),
            policies: scored.collect(),
        });
    }
    Ok(out)
}

/// The site and its tape with all work worth a share of what it is.
fn at_worth(case: &Case, percent: i64) -> (Site, Tape) {
    let share = |v: i64| to_i64(div_half_even(i128::from(v) * i128::from(percent), 100));
    let (mut site, mut tape) = (case.loaded.site.clone(), case.tape.clone());
    if let Value::Energy(price) = &mut site.value {
        price.0 = share(price.0);
    }
    for cohort in &mut site.cohorts {
        cohort.value = cohort.value.map(|v| Price(share(v.0)));
    }
    for value in &mut tape.values {
        value.per_ph_day = Money(share(value.per_ph_day.0));
    }
    (site, tape)
}

/// Profit by strike, whether fixed_strike was asked for or not: what a wrong one costs.
fn strikes(case: &Case, main: &Comparison) -> Result<Vec<AtPrice>, CompareError> {
    let (site, tape) = (&case.loaded.site, &case.tape);
    let at =
        |p: &i64| Price(to_i64(div_half_even(i128::from(case.breakeven.0) * i128::from(*p), 100)));
    let mut prices: Vec<Price> = STRIKES.iter().map(at).collect();
    prices.push(case.strike.0);
    prices.sort_unstable();
    prices.dedup();
    let job = |p: &Price| {
        let rule = Some(PolicyRule::FixedStrike(*p));
        let chosen = Chosen { name: Name::FixedStrike, rule };
        Job { site, tape, chosen, lag: case.lag }
    };
    let jobs: Vec<Job<'_>> = prices.iter().map(job).collect();
    let done = all(case, &jobs)?;
    let row = |(p, s): (&Price, &Statement)| {
        let captured = capture(s, &main.always_on, &main.best);
        (*p, Money(s.account.profit), captured, s.account.starts)
    };
    Ok(prices.iter().zip(&done).map(row).collect())
}

/// Does all jobs, on as many threads as there are cores; results in the order of the jobs.
fn all(case: &Case, jobs: &[Job<'_>]) -> Result<Vec<Statement>, CompareError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(jobs.len()));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(jobs.len());
    let work = || {
        while let Some((i, job)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, jobs.get(i)?)))
        {
            let result = lived(case, job);
            // A thread that panicked took the scope down with it: the list is whole here.
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((i, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

fn lived(case: &Case, job: &Job<'_>) -> Result<Statement, CompareError> {
    let trial = Trial { site: job.site, units: &case.loaded.units, tape: job.tape };
    let live = |rule| case.live_as(job.site, job.tape, rule, job.lag, &mut |_, _| {});
    trial.lived(job.chosen, &live).map(|(_, _, statement)| statement)
}

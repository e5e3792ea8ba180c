//! What a run was worth on its tape, by the site's own terms.
//!
//! Segments are put together by settlement interval first: a block is drawn on by an interval's
//! energy, not by the power of a moment. Each interval is then settled by the ledger's rules.

use super::run::{Run, Segment};
use super::tape::Tape;
use crate::world::{Account, entry};
use headgate_core::event::Hashprice;
use headgate_core::fleet::CohortId;
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::ledger::LedgerInterval;
use headgate_core::merit::frontier;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::site::{Site, Value};
use headgate_core::time::{Interval, Time};
use headgate_core::units::{Energy, Money, Power, Price};

/// Watt-seconds that one watt draws in an hour.
const SECONDS_PER_HOUR: f64 = 3600.0;

/// A run, settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The sums.
    pub account: Account,
    /// Every settlement interval of the tape, in order; without what starts cost.
    pub intervals: Vec<LedgerInterval>,
    /// What the starts of each of these intervals cost.
    pub start_costs: Vec<Money>,
    /// Most the site can draw at its meter, by its machines, units and import limit.
    pub full: Power,
    /// Energy that was not drawn though the site could have.
    pub undrawn: Energy,
}

/// Why a run cannot be settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The work has no value yet.
    #[error(
        "failed to settle the run: no hash price was known at {start}; start later or give \
         earlier hash prices"
    )]
    NoValue {
        /// Start of the interval.
        start: Time,
    },
    /// The run does not go with the tape.
    #[error("failed to settle the run: it says nothing of the interval at {start}")]
    Uncovered {
        /// Start of the interval.
        start: Time,
    },
}

/// Settles a run: energy by the price each interval settled at, starts by what they cost.
///
/// # Errors
/// [`AccountError`] when a value or a part of the run is missing.
pub fn settle_run(
    site: &Site,
    units: &[UnitSpec],
    tape: &Tape,
    run: &Run,
) -> Result<Statement, AccountError> {
    let by_hashprice = matches!(site.value, Value::Hashprice { .. })
        && site.cohorts.iter().any(|c| c.value.is_none());
    if by_hashprice && value_at(&tape.values, tape.span.start).is_none() {
        return Err(AccountError::NoValue { start: tape.span.start });
    }
    let full = full_power(site, units);
    let mut account = Account::default();
    let mut intervals = Vec::with_capacity(tape.settled.len());
    let mut start_costs = Vec::with_capacity(tape.settled.len());
    let mut undrawn = Energy::ZERO;
    let mut rest = run.segments.as_slice();
    let a_start = mean_start_cost(run);
    for row in &tape.settled {
        let within = rest.iter().take_while(|s| s.interval.end <= row.interval.end).count();
        let (own, later) = rest.split_at(within);
        rest = later;
        let sum = Sum::of(own);
        if sum.interval != Some(row.interval) {
            return Err(AccountError::Uncovered { start: row.interval.start });
        }
        let settled = entry(site, row.interval, sum.energy, sum.compute_revenue, row.price);
        account.count(&settled, sum.work);
        undrawn += full.over(row.interval.length()).minus_or_zero(sum.energy);
        start_costs.push(a_start.times(i64::from(sum.starts)));
        intervals.push(settled);
    }
    account.starts = run.starts.iter().sum();
    account.other_cost = run.start_cost.0;
    account.profit =
        account.compute_revenue - account.energy_cost + account.sell_back - account.other_cost;
    Ok(Statement { account, intervals, start_costs, full, undrawn })
}

impl Statement {
    /// Hours of full power that were not drawn: half the power for two hours is one hour.
    #[must_use]
    pub fn curtailed_hours(&self) -> f64 {
        if self.full.0 <= 0 {
            return 0.0;
        }
        self.undrawn.0 as f64 / (self.full.0 as f64 * SECONDS_PER_HOUR)
    }

    /// Profit of one interval, its starts counted.
    ///
    /// # Panics
    /// When there is no such interval.
    #[must_use]
    pub fn profit_of(&self, interval: usize) -> Money {
        self.intervals[interval].profit() - self.start_costs[interval]
    }

    /// Whether the energy drawn in an interval cost more at the market, adders included, than
    /// the work done with it was worth: its price was above the break-even of what ran.
    ///
    /// # Panics
    /// When there is no such interval.
    #[must_use]
    pub fn ran_at_a_loss(&self, site: &Site, interval: usize) -> bool {
        let i = &self.intervals[interval];
        let market = i.price.unwrap_or(Price::ZERO) + site.import_adder;
        i.energy > Energy::ZERO && market.of(i.energy) > i.compute_revenue
    }
}

/// What was lost against another run, the best in hindsight, in the intervals in which this run
/// drew power at a price above the break-even of what ran; without starts, and never below zero
/// in any of them.
#[must_use]
pub fn missed_spikes(site: &Site, run: &Statement, best: &Statement) -> Money {
    misses(site, run, best).map(|(_, lost)| lost).sum()
}

/// Each interval that counts for [`missed_spikes`], with what was lost in it.
pub fn misses<'a>(
    site: &'a Site,
    run: &'a Statement,
    best: &'a Statement,
) -> impl Iterator<Item = (usize, Money)> + 'a {
    (0..run.intervals.len().min(best.intervals.len())).filter_map(move |i| {
        let lost = best.intervals[i].profit().minus_or_zero(run.intervals[i].profit());
        (lost > Money::ZERO && run.ran_at_a_loss(site, i)).then_some((i, lost))
    })
}

/// Most a site can draw: every machine and unit at the top of its curve, no overclocking, within
/// the import limit.
#[must_use]
pub fn full_power(site: &Site, units: &[UnitSpec]) -> Power {
    let is_unit = |c: CohortId| units.iter().any(|u| u.cohort == c);
    let working = site.machines.iter().filter(|m| !m.excluded && !is_unit(m.cohort));
    let top = |m: &headgate_core::site::MachineSpec| {
        let cohort = site.cohort(m.cohort);
        let level = frontier(cohort, false).last().copied();
        level.map_or(Power::ZERO, |l| cohort.curve.at(l).power)
    };
    let machines: Power = working.map(top).sum();
    let blocks: Power = units.iter().map(|u| u.max).sum();
    site.overhead.meter(machines + blocks).min(site.limits.import)
}

/// The hash price last known at a moment.
pub(super) fn value_at(values: &[Hashprice], at: Time) -> Option<Money> {
    let next = values.partition_point(|v| v.known_at <= at);
    values.get(next.checked_sub(1)?).map(|v| v.per_ph_day)
}

/// What a start of a run cost on average: what a segment counts are starts of any cohort.
fn mean_start_cost(run: &Run) -> Money {
    let count: u64 = run.starts.iter().sum();
    let cost = i128::from(run.start_cost.0);
    if count == 0 { Money::ZERO } else { Money(to_i64(div_half_even(cost, count.into()))) }
}

/// Segments of one settlement interval, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    interval: Option<Interval>,
    energy: Energy,
    compute_revenue: Money,
    work: i64,
    starts: u32,
}

impl Sum {
    fn of(segments: &[Segment]) -> Self {
        let zero = Self {
            interval: None,
            energy: Energy::ZERO,
            compute_revenue: Money::ZERO,
            work: 0,
            starts: 0,
        };
        segments.iter().fold(zero, |sum, s| Self {
            interval: Some(Interval {
                start: sum.interval.map_or(s.interval.start, |i| i.start),
                end: s.interval.end,
            }),
            energy: sum.energy + s.energy,
            compute_revenue: sum.compute_revenue + s.compute_revenue,
            work: sum.work + s.work,
            starts: sum.starts + s.starts,
        })
    }
}

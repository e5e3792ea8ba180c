//! Small tapes and sites for tests and benches of back-tests.

use super::tape::{Tape, Told};
use headgate_core::fleet::CohortId;
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint, time_weighted};
use headgate_core::site::{Overhead, Site};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Power, Price};

/// The block of the common task, as a cohort.
#[must_use]
pub fn block(cohort: u16) -> UnitSpec {
    UnitSpec { cohort: CohortId(cohort), ..headgate_core::testing::block() }
}

/// A site of so many such blocks, each energy worth 40 a megawatt-hour, nothing else in the way.
#[must_use]
pub fn blocks(count: u16) -> (Site, Vec<UnitSpec>) {
    let mut site = headgate_core::testing::site(0);
    let units: Vec<UnitSpec> = (0..count).map(block).collect();
    site.overhead = Overhead { share_ppm: 0, fixed: Power::ZERO };
    let one = |unit: &UnitSpec| {
        let mut cohort = headgate_core::testing::cohort();
        cohort.name = format!("block{}", unit.cohort.0);
        cohort.times.down = Span::ZERO;
        cohort.times.up = Span::ZERO;
        cohort.times.min_on = unit.min_on;
        cohort.times.min_off = unit.min_off;
        cohort.start_cost = unit.start_cost;
        cohort.starts_per_day = u16::MAX;
        cohort.value = Some(Price(40_000_000));
        cohort
    };
    site.cohorts = units.iter().map(one).collect();
    site.limits.import = Power(100_000_000 * i64::from(count.max(1)));
    (site, units)
}

/// A tape of dispatch runs, one a step from `start` on, each known 20 s after its stamp, and the
/// settlement prices they come to, each known 2 minutes after its interval.
#[must_use]
pub fn tape(start: Time, step: Span, settle_step: Span, prices: &[Price]) -> Tape {
    let mut runs = Vec::new();
    let mut told = Vec::new();
    for (i, price) in (0i64..).zip(prices) {
        let interval = Interval::starting(start + Span(step.0 * i), step);
        let known_at = interval.start + Span::seconds(20);
        let row = PriceRow { interval, price: *price, known_at };
        runs.push(row);
        told.push(Told { at: known_at, kind: PriceKind::Dispatch, rows: vec![row] });
    }
    let span = Interval { start, end: start + Span(step.0 * runs.len() as i64) };
    let per = usize::try_from(settle_step.0 / step.0).unwrap_or(1).max(1);
    let mut settled = Vec::new();
    for some in runs.chunks(per) {
        let interval = Interval::starting(some[0].interval.start, settle_step);
        let price = time_weighted(some.iter(), interval).unwrap_or(some[0].price);
        let row = PriceRow { interval, price, known_at: interval.end + Span::minutes(2) };
        settled.push(row);
        told.push(Told { at: row.known_at, kind: PriceKind::Settlement, rows: vec![row] });
    }
    told.sort_by_key(|t| t.at);
    let point = SettlementPoint { name: "P".into(), kind: String::new() };
    Tape { point, span, step, settle_step, told, settled, values: Vec::new() }
}

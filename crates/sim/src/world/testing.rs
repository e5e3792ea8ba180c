//! A farm, its site and a market day for tests, benches and examples.

use crate::firmware::Firmware;
use crate::spec::{CohortSpec, FarmSpec};
use headgate_core::event::{Event, FeedId, Hashprice};
use headgate_core::fleet::{CohortId, DriverId, OperatingPoint, PowerCurve};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::site::{Cohort, DriverSpec, MachineSpec, Overhead, Site, Value};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Money, Power, Price};
use headgate_drivers::Port;
use std::collections::BTreeMap;

/// Every so many profiles of a model is a level of its cohort.
const PROFILES_PER_LEVEL: usize = 5;
/// Dispatch runs are known so long after their stamp.
const KNOWN_AFTER: Span = Span::seconds(20);

/// The site of a farm: its cohorts and machines, valued by hash price, no limit in the way.
#[must_use]
pub fn site_of(spec: &FarmSpec) -> Site {
    let mut site = headgate_core::testing::site(0);
    let mut firmwares: Vec<_> = spec.cohorts.iter().map(|c| c.firmware).collect();
    firmwares.sort_unstable();
    firmwares.dedup();
    let driver = |f: &Firmware| {
        let port = f.usual_port(Port::Main).unwrap_or_default();
        DriverSpec { name: f.key().into(), kind: f.key().into(), port, ..site.drivers[0].clone() }
    };
    site.drivers = firmwares.iter().map(driver).collect();
    let cohort = |c: &CohortSpec| {
        let driver = firmwares.iter().position(|f| *f == c.firmware).unwrap_or_default();
        cohort_of(c, DriverId(u16::try_from(driver).unwrap_or_default()))
    };
    site.cohorts = spec.cohorts.iter().map(cohort).collect();
    for (c, cohort) in (0u16..).zip(&spec.cohorts) {
        for _ in 0..cohort.machines {
            let address = format!("127.0.0.1:{}", site.machines.len() + 1024);
            site.machines.push(MachineSpec { address, cohort: CohortId(c), excluded: false });
        }
    }
    site.overhead =
        Overhead { share_ppm: i64::from(spec.overhead.share_ppm), fixed: spec.overhead.fixed };
    site.value = Value::Hashprice {
        pool_fee_ppm: 10_000,
        stale_after: Span::hours(36),
        stale_discount_ppm: 200_000,
    };
    site
}

fn cohort_of(spec: &CohortSpec, driver: DriverId) -> Cohort {
    let profiles = &spec.model.profiles[..=spec.model.default];
    let points: Vec<_> = profiles
        .iter()
        .rev()
        .step_by(PROFILES_PER_LEVEL)
        .map(|p| OperatingPoint { power: p.watts, rate: p.rate })
        .collect();
    let points: Vec<_> = points.into_iter().rev().collect();
    let curve = PowerCurve::new(spec.sleep, &points).expect("a model's profiles rise");
    let mut cohort = headgate_core::testing::cohort();
    cohort.name = spec.model.key.to_owned();
    cohort.driver = driver;
    cohort.times.down = spec.times.down;
    cohort.times.up = spec.times.up;
    cohort.curve = curve;
    cohort
}

/// A market day in small, by five-minute run: below zero at night, a morning between the
/// break-evens of old machines and of new ones, an evening that jumps from 20 to 9,000 a
/// megawatt-hour and back.
#[must_use]
pub fn spike_day(run: i64) -> Price {
    let minute = run * 5;
    let usd = match minute / 60 {
        0..=4 => -8 - run % 3,
        5..=8 => 66 + (run - 60) / 2,
        9..=15 => 18 + run % 5,
        16 | 17 => 58 + run % 9,
        18 if minute >= 18 * 60 + 20 => 9_000,
        19 if minute < 19 * 60 + 10 => 4_800,
        18 | 19 => 20 + run % 9,
        _ => 31 - run % 4,
    };
    Price(usd * 1_000_000)
}

/// A hash price and the five-minute runs of one day, told when they could be known.
#[must_use]
pub fn day_events(
    start: Time,
    hashprice: Money,
    price: impl Fn(i64) -> Price,
) -> Vec<(Time, Event)> {
    let value = Event::Value(Hashprice { per_ph_day: hashprice, known_at: start });
    let mut events = vec![(start, value)];
    for run in -1..288 {
        let interval = Interval::starting(start + Span::minutes(5 * run), Span::minutes(5));
        let known_at = interval.start + KNOWN_AFTER;
        let rows = vec![PriceRow { interval, price: price(run.max(0)), known_at }];
        let (feed, kind) = (FeedId(0), PriceKind::Dispatch);
        events.push((known_at.max(start), Event::Prices { feed, kind, rows }));
    }
    events
}

/// Settlement prices of that day: the mean of each quarter hour's runs.
#[must_use]
pub fn day_prices(start: Time, price: impl Fn(i64) -> Price) -> BTreeMap<Time, Price> {
    let quarter = |q: i64| {
        let sum: i64 = (0..3).map(|i| price(3 * q + i).0).sum();
        (start + Span::minutes(15 * q), Price(sum.div_euclid(3)))
    };
    (0..96).map(quarter).collect()
}

/// Overhead of a common air-cooled site: 4 % and so many watts.
#[must_use]
pub fn overhead(fixed: i64) -> crate::spec::SiteOverhead {
    crate::spec::SiteOverhead { share_ppm: 40_000, fixed: Power(fixed) }
}

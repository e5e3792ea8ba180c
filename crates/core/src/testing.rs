//! A small site for the core's own tests and benches.

use crate::event::AutomationMode;
use crate::fleet::{CohortId, DriverId, OperatingPoint, PowerCurve};
use crate::horizon::unit::{Begins, UnitSpec};
use crate::market::{PriceKind, SettlementPoint};
use crate::site::*;
use crate::time::Span;
use crate::units::{Money, Power, Price, Rate};

/// The part-load curve of an S19k Pro under LuxOS, four of its levels.
#[must_use]
pub fn s19k_curve() -> PowerCurve {
    let p = |w, r| OperatingPoint { power: Power(w), rate: Rate(r) };
    let points = [p(784, 39_200), p(1414, 70_200), p(2192, 101_100), p(2794, 121_800)];
    PowerCurve::new(Power(30), &points).expect("the curve rises")
}

/// A site of one cohort with so many machines, no overhead in the way, value 80 per MWh.
#[must_use]
pub fn site(machines: usize) -> Site {
    let usd = |n: i64| Price(n * 1_000_000);
    Site {
        name: "Test".into(),
        config_hash: String::new(),
        timezone: "UTC".into(),
        market: MarketRule {
            name: "generic".into(),
            currency: "USD".into(),
            dispatch_step: Span::minutes(5),
            settle_step: Span::minutes(15),
        },
        point: SettlementPoint { name: "P".into(), kind: String::new() },
        overhead: Overhead { share_ppm: 40_000, fixed: Power(1_000) },
        limits: SiteLimits {
            import: Power(1_000_000_000),
            ramp_up: None,
            ramp_down: None,
            step: None,
        },
        blocks: vec![],
        import_adder: Price::ZERO,
        value: Value::Energy(usd(80)),
        cohorts: vec![cohort()],
        machines: (0..machines)
            .map(|i| MachineSpec {
                address: format!("127.1.{}.{}:4028", i / 200, i % 200 + 1),
                cohort: CohortId(0),
                excluded: false,
            })
            .collect(),
        policy: Policy {
            mode: AutomationMode::Auto,
            rule: PolicyRule::Breakeven,
            starts_per_hour: u32::MAX,
        },
        feeds: vec![Feed {
            name: "lmp".into(),
            role: PriceKind::Dispatch,
            rank: 1,
            parser: "canonical".into(),
            source: String::new(),
            stale_after: Span::minutes(11),
        }],
        drivers: vec![DriverSpec {
            name: "luxos".into(),
            kind: "luxos".into(),
            port: 4028,
            request_budget: Span::seconds(2),
            poll_watts: Span::seconds(30),
            concurrency: 800,
        }],
        meters: vec![],
        failsafe: Failsafe {
            dispatch_price: PriceLoss {
                hold: Span::minutes(15),
                day_ahead: true,
                otherwise: Power::ZERO,
            },
            meter_hold: Span::seconds(10),
            telemetry_hold: Span::seconds(90),
        },
    }
}

/// The block of the common task: 40 to 100 MW, up by 20 MW in a quarter of an hour, an hour on and
/// off at least, 400 a start; off and free to start.
#[must_use]
pub fn block() -> UnitSpec {
    let mw = |n: i64| Power(n * 1_000_000);
    UnitSpec {
        cohort: CohortId(0),
        min: mw(40),
        max: mw(100),
        start_at: mw(40),
        ramp_up: Some(Ramp { power: mw(20), per: Span::minutes(15) }),
        ramp_down: None,
        min_on: Span::hours(1),
        min_off: Span::hours(1),
        start_cost: Money(400_000_000),
        starts_per_day: None,
        begins: Begins::Off,
    }
}

/// The cohort of [`site`].
#[must_use]
pub fn cohort() -> Cohort {
    Cohort {
        name: "s19kpro".into(),
        driver: DriverId(0),
        curve: s19k_curve(),
        overclocked: 0,
        times: MachineTimes {
            down: Span::seconds(8),
            up: Span::seconds(300),
            min_on: Span::minutes(15),
            min_off: Span::minutes(15),
        },
        start_cost: Money(20_000),
        starts_per_day: 6,
        strike: None,
        value: None,
    }
}

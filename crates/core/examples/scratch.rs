use headgate_core::fleet::CohortId;
use headgate_core::horizon::exact::{Ahead, Origin, Planner};
use headgate_core::horizon::unit::{Begins, UnitSpec};
use headgate_core::number::decimal;
use headgate_core::site::Ramp;
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Power, Price};
use std::io::Read;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let gains: Vec<Price> = text
        .lines()
        .skip(1)
        .map(|l| Price(40_000_000 - decimal(l.split(',').nth(1).unwrap(), 6).unwrap()))
        .collect();
    let mw = |n: i64| Power(n * 1_000_000);
    let spec = UnitSpec {
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
    };
    let mut p = Planner::new(&spec, Span::minutes(15)).unwrap();
    let from = Origin::At { state: p.lattice().off(u16::MAX), starts: 0 };

    use headgate_core::horizon::quota::{Limit, Quota, best};
    use headgate_core::units::Energy;
    let ahead = Ahead::new(Time::from_seconds(1_704_067_200), &gains);
    let q: Vec<Quota> = (0..365)
        .map(|d| Quota {
            steps: d * 96..(d + 1) * 96,
            limit: Limit::EnergyAtLeast(Energy(1440 * 3_600_000_000)),
        })
        .collect();
    for _ in 0..3 {
        let at = std::time::Instant::now();
        let c = best(&mut p, &ahead, from, &q).unwrap();
        println!(
            "{} bound {} gap {} {:.2e} {:?}",
            c.plan.profit,
            c.bound,
            c.gap(),
            c.gap().0 as f64 / c.plan.profit.0 as f64,
            at.elapsed()
        );
    }
}

//! Times exact plans of a year on the prices of the common task.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench measures time")]

use headgate_core::fleet::CohortId;
use headgate_core::horizon::exact::{Ahead, Origin, Planner};
use headgate_core::horizon::unit::{Begins, UnitSpec};
use headgate_core::number::decimal;
use headgate_core::site::Ramp;
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Power, Price};
use std::io::Read;
use std::time::Instant;

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
    let fine: Vec<Price> = gains.iter().flat_map(|g| [*g; 3]).collect();
    let mut five = spec;
    five.ramp_up = Some(Ramp { power: mw(20), per: Span::minutes(5) });
    five.min_on = Span::minutes(20);
    five.min_off = Span::minutes(20);
    let mut capped = spec;
    capped.starts_per_day = Some(2);
    for (name, spec, step, gains) in [
        ("C", &spec, 15, &gains),
        ("C5", &five, 5, &fine),
        ("fine", &spec, 5, &fine),
        ("capped", &capped, 15, &gains),
    ] {
        let mut p = Planner::new(spec, Span::minutes(step)).unwrap();
        let ahead = Ahead::new(Time::from_seconds(1_704_067_200), gains);
        let off = p.lattice().off(u16::MAX);
        let from = Origin::At { state: off, starts: 0 };
        let (mut a, mut b) = (f64::MAX, f64::MAX);
        let (mut v, mut starts) = (Money::ZERO, 0);
        for _ in 0..30 {
            let at = Instant::now();
            v = p.value(&ahead, from).unwrap();
            a = a.min(at.elapsed().as_secs_f64());
            let at = Instant::now();
            let plan = p.plan(&ahead, from).unwrap();
            b = b.min(at.elapsed().as_secs_f64());
            starts = plan.starts;
        }
        println!(
            "{name} {} value {v} {:.2} ms plan {:.2} ms starts {}",
            p.lattice().states(),
            a * 1e3,
            b * 1e3,
            starts
        );
    }
}

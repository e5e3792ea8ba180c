//! Back-tests of small tapes: what is drawn, and that it obeys the physics of what draws it.

use headgate_core::horizon::unit::UnitSpec;
use headgate_core::site::{PolicyRule, Site};
use headgate_core::time::{Span, Time};
use headgate_core::units::Price;
use headgate_sim::backtest::testing::{blocks, tape};
use headgate_sim::backtest::{Policy, Run, RunOptions, Tape, run};

const START: Time = Time::from_seconds(1_724_112_000);

fn live(site: &Site, units: &[UnitSpec], tape: &Tape, rule: PolicyRule) -> Run {
    let options = RunOptions::default();
    run(site, units, tape, Policy::Rule(rule), options, &mut |_, _| {}).unwrap()
}

/// Segments in which power differs from the one before, one a line.
fn shown(run: &Run) -> String {
    let mut out = String::new();
    let mut last = None;
    for s in &run.segments {
        if last != Some(s.power) {
            out += &format!("{} {}\n", s.interval.start, s.power);
        }
        last = Some(s.power);
    }
    out
}

fn usd(prices: &[i64]) -> Vec<Price> {
    prices.iter().flat_map(|p| [Price(p * 1_000_000); 12]).collect()
}

#[test]
fn a_block_starts_ramps_and_stops_with_the_price() {
    let (site, units) = blocks(1);
    let tape = tape(START, Span::minutes(5), Span::minutes(15), &usd(&[20, 20, 900, 900, 10, 10]));
    let on = live(&site, &units, &tape, PolicyRule::AlwaysOn);
    insta::assert_snapshot!(shown(&on));
    let breakeven = live(&site, &units, &tape, PolicyRule::Breakeven);
    insta::assert_snapshot!(shown(&breakeven));
    assert_eq!(breakeven.starts, [2]);
    let strike = live(&site, &units, &tape, PolicyRule::FixedStrike(Price(100_000_000)));
    assert_eq!(shown(&strike), shown(&breakeven));
}

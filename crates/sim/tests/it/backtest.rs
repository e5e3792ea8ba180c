//! Back-tests of small tapes: what is drawn, and that it obeys the physics of what draws it.

use headgate_core::horizon::unit::UnitSpec;
use headgate_core::site::{PolicyRule, Site};
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Power, Price};
use headgate_sim::backtest::testing::{blocks, tape};
use headgate_sim::backtest::{
    BoundKind, Chosen, Comparison, Name, Policy, Run, RunOptions, Tape, Trial, run,
};

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

/// Every policy of a site on a tape, by the live engine and checked by the referee.
fn compared(site: &Site, units: &[UnitSpec], tape: &Tape) -> Comparison {
    let rule = |name| match name {
        Name::AlwaysOn => Some(PolicyRule::AlwaysOn),
        Name::FixedStrike => Some(PolicyRule::FixedStrike(Price(60_000_000))),
        Name::Breakeven => Some(PolicyRule::Breakeven),
        Name::LookAhead => Some(PolicyRule::LookAhead),
        Name::PerfectForesight => None,
    };
    let chosen = Name::ALL.map(|name| Chosen { name, rule: rule(name) });
    let trial = Trial { site, units, tape };
    trial.compare(&chosen, &|rule| Ok(live(site, units, tape, rule))).unwrap()
}

fn profits(c: &Comparison) -> String {
    let row = |r: &headgate_sim::backtest::Scored| {
        let profit = Money(r.statement.account.profit);
        format!("{} {profit}, {} starts", r.name.as_str(), r.statement.account.starts)
    };
    c.rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// A day with a spell at night below zero, a spike and prices about what the work is worth.
fn day() -> Tape {
    let hours = [-8, -12, -5, 10, 20, 31, 38, 44, 39, 35, 28, 22, 26, 45, 300, 900, 90, 43, 36, 20];
    tape(START, Span::minutes(5), Span::minutes(15), &usd(&hours))
}

#[test]
fn units_that_share_a_limit_are_planned_together_and_none_beats_the_bound() {
    let (mut site, units) = blocks(3);
    site.limits.import = Power(170_000_000);
    site.cohorts[1].value = Some(Price(70_000_000));
    site.cohorts[2].value = Some(Price(25_000_000));
    let got = compared(&site, &units, &day());
    insta::assert_snapshot!(profits(&got), @"
    always_on -131978.33, 3 starts
    fixed_strike 58528.70, 6 starts
    breakeven 81609.81, 6 starts
    look_ahead 81649.81, 6 starts
    perfect_foresight 89875.00, 4 starts
    ");
    for row in &got.rows {
        assert!(row.statement.account.profit <= got.bound.profit.0, "{}", row.name.as_str());
    }
    assert_eq!(got.bound.kind, BoundKind::Certified);
    assert!(got.bound.gap < 0.05, "{}", got.bound.gap);
}

#[test]
fn machines_never_earn_more_than_hindsight() {
    let mut site = headgate_core::testing::site(400);
    site.limits.import = Power(2_000_000);
    let got = compared(&site, &[], &day());
    insta::assert_snapshot!(profits(&got), @"
    always_on -208.46, 400 starts
    fixed_strike 996.00, 800 starts
    breakeven 996.00, 800 starts
    look_ahead 996.00, 800 starts
    perfect_foresight 1007.26, 800 starts
    ");
    for row in &got.rows {
        assert!(row.statement.account.profit <= got.bound.profit.0, "{}", row.name.as_str());
        assert!(row.name == Name::AlwaysOn || row.capture.is_some_and(|c| c > 0.5), "{row:?}");
    }
    assert_eq!(got.bound.kind, BoundKind::Exact);
}

/// Whatever comes an hour late is not taken for a feed that has fallen silent.
#[test]
fn a_slow_reader_is_no_silent_feed() {
    let (site, units) = blocks(1);
    let tape = tape(START, Span::minutes(5), Span::minutes(15), &usd(&[20; 8]));
    let options = RunOptions { lag: Span::hours(1), ..RunOptions::default() };
    let rule = Policy::Rule(PolicyRule::Breakeven);
    let late = run(&site, &units, &tape, rule, options, &mut |_, _| {}).unwrap();
    assert_eq!(late.segments.last().unwrap().power, Power(100_000_000));
}

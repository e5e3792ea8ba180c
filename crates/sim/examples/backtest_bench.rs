//! How many site-years a second one core lives through: the full engine over blocks of load on
//! five-minute steps. `cargo run --release --example backtest_bench -- [BLOCKS] [DAYS] [POLICY]`.

#![expect(clippy::disallowed_methods, reason = "a bench measures wall time")]

use headgate_core::site::PolicyRule;
use headgate_core::time::{Span, Time};
use headgate_core::units::Price;
use headgate_sim::backtest::testing::{blocks, tape};
use headgate_sim::backtest::{Policy, RunOptions, run};
use headgate_sim::rng::SplitMix;

fn main() {
    let mut args = std::env::args().skip(1);
    let count: u16 = args.next().and_then(|a| a.parse().ok()).unwrap_or(10);
    let days: usize = args.next().and_then(|a| a.parse().ok()).unwrap_or(365);
    let only = args.next();
    let mut rng = SplitMix::new(1);
    let mut price = 30_000_000i64;
    let prices: Vec<Price> = (0..days * 288)
        .map(|_| {
            price += i64::from(rng.around(8_000_000)) - (price - 30_000_000) / 50;
            Price(price)
        })
        .collect();
    let start = Time::from_seconds(1_704_067_200);
    let tape = tape(start, Span::minutes(5), Span::minutes(15), &prices);
    let (site, units) = blocks(count);
    let rules = [
        ("always_on", PolicyRule::AlwaysOn),
        ("breakeven", PolicyRule::Breakeven),
        ("look_ahead", PolicyRule::LookAhead),
    ];
    for (name, rule) in rules.into_iter().filter(|(n, _)| only.as_deref().is_none_or(|o| o == *n)) {
        let begun = std::time::Instant::now();
        let options = RunOptions::default();
        let run = run(&site, &units, &tape, Policy::Rule(rule), options, &mut |_, _| {});
        let run = run.expect("blocks can be simulated");
        let s = begun.elapsed().as_secs_f64();
        let years = days as f64 / 365.0;
        println!(
            "{name:<12} {count} blocks: {:.2} site-years/s, {:.2} us a step of {}, {} starts",
            years / s,
            s * 1e6 / run.steps as f64,
            run.steps,
            run.starts.iter().sum::<u64>()
        );
    }
}

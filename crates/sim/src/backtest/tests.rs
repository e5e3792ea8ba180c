//! Accounts, hindsight and the referee, on small sites and random runs.

use super::referee::{Held, check, check_unit};
use super::*;
use headgate_core::horizon::unit::{Begins, Lattice, StateId, UnitSpec};
use headgate_core::market::{PriceRow, SettlementPoint};
use headgate_core::site::{Block, Overhead, PolicyRule, Ramp, Site, Value};
use headgate_core::testing::block;
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Energy, Money, Power, Price};
use proptest::prelude::*;

const QUARTER: Span = Span::minutes(15);

fn mw(n: i64) -> Power {
    Power(n * 1_000_000)
}

fn usd(n: i64) -> Price {
    Price(n * 1_000_000)
}

fn site(unit: &UnitSpec) -> Site {
    let mut site = headgate_core::testing::site(1);
    let lattice = Lattice::new(unit, QUARTER).unwrap();
    site.cohorts[0].curve = lattice.curve();
    site.cohorts[0].start_cost = unit.start_cost;
    site.overhead = Overhead { share_ppm: 0, fixed: Power::ZERO };
    site.market.dispatch_step = QUARTER;
    site.value = Value::Energy(usd(40));
    site
}

fn quarter(i: usize) -> Interval {
    let start = Time::from_seconds(1_704_067_200) + Span(QUARTER.0 * i as i64);
    Interval::starting(start, QUARTER)
}

fn tape(prices: &[i64]) -> Tape {
    let row = |(i, p): (usize, &i64)| {
        let interval = quarter(i);
        PriceRow { interval, price: usd(*p), known_at: interval.end }
    };
    Tape {
        point: SettlementPoint { name: "P".into(), kind: String::new() },
        span: Interval { start: quarter(0).start, end: quarter(prices.len()).start },
        step: QUARTER,
        settle_step: QUARTER,
        told: Vec::new(),
        settled: prices.iter().enumerate().map(row).collect(),
        values: Vec::new(),
    }
}

/// A run at these powers, a quarter each.
fn run_of(site: &Site, powers: &[Power]) -> Run {
    let mut last = Power::ZERO;
    let (mut segments, mut set) = (Vec::new(), Vec::new());
    for (i, power) in powers.iter().enumerate() {
        let starts = u32::from(last == Power::ZERO && *power > Power::ZERO);
        let meter = site.overhead.meter(*power);
        segments.push(Segment {
            interval: quarter(i),
            power: meter,
            energy: meter.over(QUARTER),
            machine_energy: power.over(QUARTER),
            work: 0,
            compute_revenue: usd(40).of(power.over(QUARTER)),
            starts,
        });
        set.push((quarter(i).start, *power));
        last = *power;
    }
    let starts: u64 = segments.iter().map(|s| u64::from(s.starts)).sum();
    let start_cost = site.cohorts[0].start_cost.times(starts as i64);
    Run { segments, starts: vec![starts], start_cost, steps: 1, set_points: vec![set] }
}

/// A walk over the lattice that goes by chance.
fn walk(lattice: &Lattice, choices: &[u8]) -> Vec<Power> {
    let mut state: StateId = lattice.off(u16::MAX);
    let mut powers = Vec::new();
    for choice in choices {
        let moves: Vec<StateId> = lattice.moves(state).map(|(s, _)| s).collect();
        state = moves[usize::from(*choice) % moves.len()];
        powers.push(lattice.power(state));
    }
    powers
}

fn track(powers: &[Power]) -> Vec<Held> {
    let of = |(i, power): (usize, &Power)| Held { interval: quarter(i), power: *power };
    powers.iter().enumerate().map(of).collect()
}

#[test]
fn an_account_follows_its_terms() {
    let unit = block();
    let mut site = site(&unit);
    site.import_adder = usd(4);
    site.blocks = vec![Block {
        quantity: mw(60),
        price: usd(30),
        from: Time::MIN,
        to: Time::MAX,
        resale_fee: usd(1),
        resale_share_ppm: 1_000_000,
    }];
    let tape = tape(&[20, 100]);
    let run = run_of(&site, &[mw(40), mw(80)]);
    let s = settle_run(&site, &[block()], &tape, &run).unwrap();
    let shown = format!(
        "energy {} revenue {} cost {} back {} other {} profit {} curtailed {:.3} h",
        Energy(s.account.energy),
        Money(s.account.compute_revenue),
        Money(s.account.energy_cost),
        Money(s.account.sell_back),
        Money(s.account.other_cost),
        Money(s.account.profit),
        s.curtailed_hours()
    );
    // 30 MWh at 40; block 30 MWh at 30 and 5 MWh at 100, adder 4 on 30; 5 MWh back at 20 - 1;
    // one start. Not drawn: 15 and 5 MWh of 25 each, at 100 MW.
    insta::assert_snapshot!(
        shown,
        @"energy 30.000 MWh revenue 1200.00 cost 1520.00 back 95.00 other 400.00 profit -625.00 curtailed 0.200 h"
    );
    assert_eq!(s.profit_of(0) + s.profit_of(1), Money(s.account.profit));
    assert!(!s.ran_at_a_loss(&site, 0) && s.ran_at_a_loss(&site, 1));
}

#[test]
fn a_run_that_leaves_time_out_is_not_settled() {
    let site = site(&block());
    let tape = tape(&[20, 20, 20]);
    let mut run = run_of(&site, &[mw(40), mw(40), mw(40)]);
    run.segments.remove(1);
    let why = settle_run(&site, &[block()], &tape, &run).unwrap_err().to_string();
    insta::assert_snapshot!(why, @"failed to settle the run: it says nothing of the interval at 2024-01-01T00:15:00Z");
    let why = check(&site, &[block()], QUARTER, &tape, &run).unwrap_err().to_string();
    insta::assert_snapshot!(why, @"the run breaks off at 2024-01-01T00:15:00Z: the next segment is [2024-01-01T00:30:00Z, 2024-01-01T00:45:00Z)");
}

#[test]
fn hindsight_stops_for_a_spike_and_counts_what_others_missed() {
    let unit = block();
    let site = site(&unit);
    let prices = [10, 10, 10, 10, 10, 10, 900, 900, 10, 10, 10, 10, 10, 10];
    let tape = tape(&prices);
    let trial = Trial { site: &site, units: std::slice::from_ref(&unit), tape: &tape };
    let climbed = [40, 60, 80].map(mw).into_iter().chain(std::iter::repeat(mw(100)));
    let powers: Vec<Power> = climbed.take(prices.len()).collect();
    let always = |_: PolicyRule| Ok(run_of(&site, &powers));
    let chosen = [
        Chosen { name: Name::AlwaysOn, rule: Some(PolicyRule::AlwaysOn) },
        Chosen { name: Name::PerfectForesight, rule: None },
    ];
    let got = trial.compare(&chosen, &always).unwrap();
    let rows = got.rows.iter().map(|r| {
        format!(
            "{} {} starts {} missed {} capture {:?}",
            r.name.as_str(),
            Money(r.statement.account.profit),
            r.statement.account.starts,
            r.missed_spikes,
            r.capture
        )
    });
    insta::assert_snapshot!(rows.collect::<Vec<_>>().join("\n"), @"
    always_on -35300.00 starts 1 missed 43000.00 capture Some(0.0)
    perfect_foresight 4900.00 starts 2 missed 0.00 capture Some(1.0)
    ");
    assert_eq!(got.bound.kind, BoundKind::Exact);
    assert_eq!(got.bound.profit, Money(got.rows[1].statement.account.profit));
}

#[test]
fn a_run_that_breaks_physics_is_not_compared() {
    let unit = block();
    let site = site(&unit);
    let tape = tape(&[10, 10, 10]);
    let trial = Trial { site: &site, units: std::slice::from_ref(&unit), tape: &tape };
    let leaps = |_: PolicyRule| Ok(run_of(&site, &[mw(40), mw(100), mw(100)]));
    let error = trial.compare(&[], &leaps).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    insta::assert_snapshot!(format!("{error}: {source}"), @"a check found a violation by always_on: unit 0 at 2024-01-01T00:15:00Z: it rises by 60.000 MW in 15 min; 20.000 MW per 15 min are allowed");
}

fn prices() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(prop_oneof![3 => -30i64..90, 1 => 90i64..5000], 8..40)
}

proptest! {
    /// Nothing legal earns more than the bound, blocks with a fee and overhead included; and the
    /// plan in hindsight is itself legal.
    #[test]
    fn no_legal_run_beats_the_bound(
        prices in prices(),
        choices in prop::collection::vec(0u8..60, 40),
        share in 0i64..80_000,
        quantity in 0i64..120,
        fee in 0i64..30,
        import in 45i64..120,
    ) {
        let unit = block();
        let mut site = site(&unit);
        site.overhead = Overhead { share_ppm: share, fixed: Power(150_000) };
        site.limits.import = mw(import);
        if quantity > 20 {
            site.blocks = vec![Block {
                quantity: mw(quantity),
                price: usd(28),
                from: Time::MIN,
                to: quarter(30).start,
                resale_fee: usd(fee),
                resale_share_ppm: 980_000,
            }];
        }
        let tape = tape(&prices);
        let units = [unit];
        let best = hindsight(&site, &units, &tape).unwrap();
        prop_assert_eq!(check(&site, &units, QUARTER, &tape, &best.run), Ok(()));
        prop_assert!(best.bound.profit.0 >= best.statement.account.profit);
        let lattice = Lattice::new(&unit, QUARTER).unwrap();
        let powers = walk(&lattice, &choices[..prices.len()]);
        let run = run_of(&site, &powers);
        if check(&site, &units, QUARTER, &tape, &run).is_ok() {
            let s = settle_run(&site, &[block()], &tape, &run).unwrap();
            prop_assert!(s.account.profit <= best.bound.profit.0);
        }
    }

    /// Every walk over the lattice obeys, and the referee needs no lattice to see it.
    #[test]
    fn what_the_lattice_allows_the_referee_allows(
        choices in prop::collection::vec(0u8..60, 1..80),
        down in prop::option::of(prop_oneof![Just(20i64), Just(40)]),
        min_on in 0i64..5,
        min_off in 0i64..5,
    ) {
        let mut unit = block();
        unit.ramp_down = down.map(|n| Ramp { power: mw(n), per: QUARTER });
        unit.min_on = Span(QUARTER.0 * min_on);
        unit.min_off = Span(QUARTER.0 * min_off);
        let lattice = Lattice::new(&unit, QUARTER).unwrap();
        let powers = walk(&lattice, &choices);
        let made = check_unit(0, &unit, QUARTER, &track(&powers));
        prop_assert!(made.is_ok(), "{:?}", made);
    }

    /// A power that no move of the lattice leads to is caught, wherever it stands.
    #[test]
    fn what_the_lattice_forbids_the_referee_catches(
        choices in prop::collection::vec(0u8..60, 8..60),
        at in 0usize..60,
        level in 0u16..5,
    ) {
        let unit = block();
        let lattice = Lattice::new(&unit, QUARTER).unwrap();
        let mut powers = walk(&lattice, &choices);
        let at = at % powers.len();
        let new = level.checked_sub(1).map_or(Power::ZERO, |l| lattice.levels()[usize::from(l)]);
        powers[at] = new;
        let legal = is_walk(&lattice, &powers);
        let caught = check_unit(0, &unit, QUARTER, &track(&powers)).is_err();
        prop_assert_eq!(caught, !legal, "{:?}", powers);
    }
}

/// Whether powers are a walk over the lattice: there is at most one state for each.
fn is_walk(lattice: &Lattice, powers: &[Power]) -> bool {
    let mut state = lattice.off(u16::MAX);
    powers.iter().all(|p| {
        let next = lattice.moves(state).map(|(s, _)| s).find(|s| lattice.power(*s) == *p);
        state = next.unwrap_or(state);
        next.is_some()
    })
}

fn caught(change: impl Fn(&mut UnitSpec), powers: &[i64]) -> String {
    let mut unit = block();
    change(&mut unit);
    let powers: Vec<Power> = powers.iter().map(|n| mw(*n)).collect();
    match check_unit(0, &unit, QUARTER, &track(&powers)) {
        Ok(starts) => format!("{starts} starts"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn each_constraint_is_named() {
    let same = |_: &mut UnitSpec| {};
    insta::assert_snapshot!(caught(same, &[0, 40, 60, 80, 100, 0, 0, 0, 0, 40]), @"2 starts");
    insta::assert_snapshot!(caught(same, &[60]), @"unit 0 at 2024-01-01T00:00:00Z: it starts at 60.000 MW, above 40.000 MW");
    insta::assert_snapshot!(caught(same, &[40, 30]), @"unit 0 at 2024-01-01T00:15:00Z: it draws 30.000 MW, outside 40.000 MW to 100.000 MW");
    insta::assert_snapshot!(caught(same, &[40, 40, 0]), @"unit 0 at 2024-01-01T00:30:00Z: it was on since 2024-01-01T00:00:00Z, shorter than 60 min");
    insta::assert_snapshot!(caught(same, &[40, 40, 40, 40, 0, 0, 40]), @"unit 0 at 2024-01-01T01:30:00Z: it was off since 2024-01-01T01:00:00Z, shorter than 60 min");
    insta::assert_snapshot!(caught(same, &[40, 40, 40, 80]), @"unit 0 at 2024-01-01T00:45:00Z: it rises by 40.000 MW in 15 min; 20.000 MW per 15 min are allowed");
    let slow = |u: &mut UnitSpec| u.ramp_down = Some(Ramp { power: mw(20), per: QUARTER });
    insta::assert_snapshot!(caught(slow, &[40, 60, 80, 100, 100, 0]), @"unit 0 at 2024-01-01T01:15:00Z: it stops, a fall by 60.000 MW in 15 min; 20.000 MW per 15 min are allowed");
    insta::assert_snapshot!(caught(slow, &[40, 60, 80, 80, 60, 0]), @"1 starts");
    let once = |u: &mut UnitSpec| u.starts_per_day = Some(1);
    insta::assert_snapshot!(caught(once, &[40, 40, 40, 40, 0, 0, 0, 0, 40]), @"unit 0 at 2024-01-01T02:00:00Z: it is start 2 of the day, 1 are allowed");
    let on = |u: &mut UnitSpec| u.begins = Begins::On;
    insta::assert_snapshot!(caught(on, &[100, 0, 0, 0, 0, 40]), @"1 starts");
}

/// A ramp used in two halves of a step is used twice as fast: caught, though each move alone
/// is small enough.
#[test]
fn a_ramp_is_not_used_twice_in_one_step() {
    let unit = block();
    let halves = [40, 60, 80, 100].map(mw);
    let half = Span(QUARTER.0 / 2);
    let held = |(i, power): (usize, &Power)| {
        let start = quarter(0).start + Span(half.0 * i as i64);
        Held { interval: Interval::starting(start, half), power: *power }
    };
    let track: Vec<Held> = halves.iter().enumerate().map(held).collect();
    let got = check_unit(0, &unit, QUARTER, &track).unwrap_err().to_string();
    insta::assert_snapshot!(got, @"unit 0 at 2024-01-01T00:07:30Z: it rises by 20.000 MW in 7 min; 20.000 MW per 15 min are allowed");
}

#[test]
fn a_segment_over_the_limit_or_with_wrong_energy_is_caught() {
    let unit = block();
    let mut site = site(&unit);
    site.limits.import = mw(70);
    let tape = tape(&[10, 10, 10]);
    let run = run_of(&site, &[mw(40), mw(60), mw(80)]);
    let got = check(&site, &[unit], QUARTER, &tape, &run).unwrap_err().to_string();
    insta::assert_snapshot!(got, @"the site draws 80.000 MW in [2024-01-01T00:30:00Z, 2024-01-01T00:45:00Z): its import limit is 70.000 MW");
    site.limits.import = mw(100);
    let mut off = run.clone();
    off.segments[1].energy = Energy(off.segments[1].energy.0 - 1_000);
    let got = check(&site, &[unit], QUARTER, &tape, &off).unwrap_err().to_string();
    insta::assert_snapshot!(got, @"the segment [2024-01-01T00:15:00Z, 2024-01-01T00:30:00Z) draws 60.000 MW and counts 15.000 MWh");
    let mut more = run;
    more.starts[0] = 2;
    let got = check(&site, &[unit], QUARTER, &tape, &more).unwrap_err().to_string();
    insta::assert_snapshot!(got, @"the run counts 2 starts, its units made 1");
}

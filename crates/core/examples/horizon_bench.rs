//! Times exact plans: `horizon_bench [--format json]`.
//!
//! The common task is a block of 40 to 100 MW by 20 over a year of quarters; with a quota of
//! 1,440 MWh each day it is task D. Prices are the shared series where it can be found
//! (`HEADGATE_SHARED_DATA`, or beside the repository), and else made up, which is said. Anchors:
//! a bare loop of as many additions and comparisons as the plan's values need, and a solver of
//! integer programs on the same task.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench measures time")]

#[path = "../tests/horizon/oracle.rs"]
mod oracle;
#[path = "../tests/horizon/program.rs"]
mod program;

use headgate_core::horizon::exact::{Ahead, Origin, Planner};
use headgate_core::horizon::quota::{self, Limit, Quota};
use headgate_core::horizon::stairs::{self, Member, Rows};
use headgate_core::horizon::unit::{UnitSpec, UnitState};
use headgate_core::number::decimal;
use headgate_core::site::Ramp;
use headgate_core::time::{Span, Time};
use headgate_core::units::{Energy, Money, Power, Price};
use oracle::Task;
use serde_json::{Value, json};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

const QUARTER: Span = Span::minutes(15);
/// Start of the benched year.
const BEGIN: Time = Time::from_seconds(1_704_067_200);
/// Times each case is run.
const RUNS: usize = 25;

fn main() {
    let gains = prices().into_iter().map(|p| Price(40_000_000 - p.0)).collect::<Vec<_>>();
    // In this order: the peak of memory is that of the whole process so far.
    let mut rows = vec![plan("task_c", &block(QUARTER), QUARTER, &gains, true)];
    rows.push(plan("task_c_bound", &block(QUARTER), QUARTER, &gains, false));
    let five = Span::minutes(5);
    let fine: Vec<Price> = gains.iter().flat_map(|g| [*g; 3]).collect();
    rows.push(plan("five_minutes", &block(five), five, &fine, true));
    rows.push(plan("five_minutes_132_states", &block(QUARTER), five, &fine, true));
    let capped = UnitSpec { starts_per_day: Some(2), ..block(QUARTER) };
    rows.push(plan("two_starts_a_day", &capped, QUARTER, &gains, true));
    rows.push(rolling(&gains));
    rows.push(daily_quota(&gains));
    rows.push(energy_alone(&gains));
    rows.push(solver(&gains[..30 * 96]));
    rows.push(site(&gains[..96]));
    println!("{}", json!({ "bench": "horizon", "rows": rows }));
}

/// The block of the common task; `step` is how long a rise by 20 MW takes.
fn block(step: Span) -> UnitSpec {
    let common = headgate_core::testing::block();
    let ramp_up = common.ramp_up.map(|r| Ramp { per: step, ..r });
    UnitSpec { ramp_up, min_on: Span(4 * step.0), min_off: Span(4 * step.0), ..common }
}

/// The shared series, or one of the same length made up.
fn prices() -> Vec<Price> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("HEADGATE_SHARED_DATA").map_or_else(beside, PathBuf::from);
    let path = data.join("bench/synthetic_15min_35040.csv.gz");
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        flate2::read::GzDecoder::new(std::fs::File::open(&path)?).read_to_string(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => {
            let price = |line: &str| {
                let cell = line.split(',').nth(1).expect("a row has two cells");
                Price(decimal(cell, 6).expect("a price is a number"))
            };
            text.lines().skip(1).map(price).collect()
        }
        Err(e) => {
            eprintln!("NO SHARED PRICES ({e}): these are made up, values are not the known ones");
            let wave =
                |t: i64| (t * 7_919 + t * t % 1_013) % 61 + if t % 96 > 68 { t % 29 } else { 0 };
            (0..35_040).map(|t| Price(wave(t) * 1_000_000)).collect()
        }
    }
}

/// Wall seconds of the quickest of some runs, processor seconds of the mean one, since they are
/// told in coarse steps, and what the last one made.
fn timed<T>(runs: usize, mut run: impl FnMut() -> T) -> (f64, Option<f64>, T) {
    let (mut best, mut made) = (f64::MAX, None);
    let cpu = cpu_seconds();
    for _ in 0..runs {
        let wall = Instant::now();
        made = Some(black_box(run()));
        best = best.min(wall.elapsed().as_secs_f64());
    }
    let cpu = cpu_seconds().zip(cpu).map(|(after, before)| (after - before) / runs as f64);
    (best, cpu.filter(|s| *s > 0.0), made.expect("there is at least one run"))
}

/// Processor time of this thread so far; `None` where the system does not tell.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanos: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanos / 1e9)
}

/// Most memory this process has held, in MiB.
fn peak_mib() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

fn money(m: Money) -> f64 {
    m.0 as f64 / 1e6
}

/// One addition and one comparison for each state and step, in order and without a choice: what
/// any program that looks at each state in each step has to do.
fn bare(states: usize, gains: &[Price]) -> i64 {
    let mut values = vec![0i64; states];
    for gain in gains {
        let mut best = i64::MIN;
        for value in &mut values {
            *value = value.wrapping_add(gain.0);
            best = best.max(*value);
        }
        values[0] = best;
    }
    values[0]
}

fn row(
    case: &str,
    n: usize,
    (ours_s, ours_cpu_s): (f64, Option<f64>),
    (anchor, anchor_s, anchor_cpu_s): (&str, f64, Option<f64>),
    more: Value,
) -> Value {
    let mut row = json!({
        "case": case, "n": n, "ours_s": ours_s, "ours_cpu_s": ours_cpu_s, "anchor": anchor,
        "anchor_s": anchor_s, "anchor_cpu_s": anchor_cpu_s, "ratio": ours_s / anchor_s,
    });
    let (into, more) = (row.as_object_mut(), more.as_object().cloned());
    into.expect("a row is an object").extend(more.unwrap_or_default());
    row
}

fn off(planner: &Planner) -> Origin {
    Origin::At { state: planner.lattice().off(u16::MAX), starts: 0 }
}

/// A year's best plan, or its value alone.
fn plan(case: &str, spec: &UnitSpec, step: Span, gains: &[Price], whole: bool) -> Value {
    let mut planner = Planner::new(spec, step).expect("the common task has a lattice");
    let (ahead, from) = (Ahead::new(BEGIN, gains), off(&planner));
    let (wall, cpu, (value, starts)) = timed(RUNS, || {
        if whole {
            let plan = planner.plan(&ahead, from).expect("there is a plan");
            (plan.profit, Some(plan.starts))
        } else {
            (planner.value(&ahead, from).expect("there is a plan"), None)
        }
    });
    let peak = peak_mib();
    let states = planner.lattice().states();
    let (bare_s, bare_cpu, _) = timed(RUNS, || bare(states, gains));
    let more = json!({
        "value": money(value), "starts": starts, "states": states, "peak_mib": peak,
        "site_years_per_s": 1.0 / cpu.unwrap_or(wall),
    });
    row(case, gains.len(), (wall, cpu), ("bare loop", bare_s, bare_cpu), more)
}

/// A plan of two hours made anew in each quarter of a year, the state carried.
fn rolling(gains: &[Price]) -> Value {
    let mut planner = Planner::new(&block(QUARTER), QUARTER).expect("it has a lattice");
    let (wall, cpu, value) = timed(3, || {
        let (mut at, mut sum) = (planner.lattice().off(u16::MAX), Money::ZERO);
        for t in 0..gains.len() {
            let now = Time(BEGIN.0 + QUARTER.0 * t as i64);
            let ahead = Ahead::new(now, &gains[t..(t + 8).min(gains.len())]);
            let from = Origin::At { state: at, starts: 0 };
            let next = planner.next(&ahead, from).expect("there is a plan");
            sum += gains[t].of(planner.lattice().energy(next.state));
            sum += if next.starts { -planner.start_cost() } else { Money::ZERO };
            at = next.state;
        }
        sum
    });
    let (bare_s, bare_cpu, _) = timed(3, || (0..8).map(|_| bare(20, gains)).max());
    let more = json!({ "value": money(value), "site_years_per_s": 1.0 / cpu.unwrap_or(wall) });
    row("rolling_two_hours", gains.len(), (wall, cpu), ("bare loop", bare_s, bare_cpu), more)
}

/// Task D: at least 1,440 MWh each day, to within 75 of the bound.
fn daily_quota(gains: &[Price]) -> Value {
    let least = Limit::EnergyAtLeast(Energy(1_440 * 3_600_000_000));
    let days = (0..gains.len()).step_by(96);
    let quotas: Vec<Quota> =
        days.map(|b| Quota { steps: b..(b + 96).min(gains.len()), limit: least }).collect();
    let spec = block(QUARTER);
    let unit = UnitState::beginning(&spec);
    let gap = Money(75_000_000);
    let (wall, cpu, (planner, found)) = timed(3, || {
        quota::tight(&spec, QUARTER, (BEGIN, gains), &unit, &quotas, gap).expect("there is a plan")
    });
    assert!(quotas.iter().all(|q| q.is_met(planner.lattice(), &found.plan)), "every day is served");
    let peak = peak_mib();
    let (bare_s, bare_cpu, _) = timed(3, || bare(20 * 289, &gains[..gains.len() / 7]));
    let more = json!({
        "value": money(found.plan.profit), "bound": money(found.bound), "gap": money(found.gap()),
        "gap_ppm": found.gap().0 as f64 / found.plan.profit.0 as f64 * 1e6, "peak_mib": peak,
        "levels": planner.lattice().levels().len(),
    });
    row("task_d", gains.len(), (wall, cpu), ("bare loop, binding days", bare_s, bare_cpu), more)
}

/// Task S: 1,440 MWh each day at up to 100 MW for the least cost, nothing else.
fn energy_alone(gains: &[Price]) -> Value {
    let (most, need) = (Power(100_000_000), Energy(1_440 * 3_600_000_000));
    let (wall, cpu, cost) = timed(RUNS, || {
        let day = |day: &[Price]| -> Money {
            let powers = stairs::spread(day, most, QUARTER, need).expect("a day holds it");
            let price = |g: &Price| Price(40_000_000 - g.0);
            powers.iter().zip(day).map(|(p, g)| price(g).of(p.over(QUARTER))).sum()
        };
        gains.chunks(96).map(day).sum::<Money>()
    });
    let (bare_s, bare_cpu, _) = timed(RUNS, || bare(1, gains));
    let anchor = ("bare loop", bare_s, bare_cpu);
    row("task_s", gains.len(), (wall, cpu), anchor, json!({ "value": money(cost) }))
}

/// A month, beside a solver of integer programs.
fn solver(gains: &[Price]) -> Value {
    let spec = block(QUARTER);
    let mut planner = Planner::new(&spec, QUARTER).expect("it has a lattice");
    let (ahead, from) = (Ahead::new(BEGIN, gains), off(&planner));
    let (wall, cpu, plan) = timed(RUNS, || planner.plan(&ahead, from).expect("there is a plan"));
    let lattice = planner.lattice();
    let task = Task { spec: &spec, lattice, begin: BEGIN, gains, from, quotas: &[] };
    let (other_s, other_cpu, value) =
        timed(1, || oracle::best(&task).expect("the solver has a plan"));
    assert!((money(plan.profit) - value).abs() < 0.005, "they agree to the cent");
    let more = json!({ "value": money(plan.profit), "anchor_value": value });
    row("task_c_30_days", gains.len(), (wall, cpu), ("microlp", other_s, other_cpu), more)
}

/// Two blocks behind a limit that does not hold both, for a day, beside the solver.
fn site(gains: &[Price]) -> Value {
    let spec = block(QUARTER);
    let planner = Planner::new(&spec, QUARTER).expect("it has a lattice");
    let from = off(&planner);
    let mut rows = Rows::after(Power::ZERO);
    rows.most = vec![Power(140_000_000); gains.len()];
    let mut planners = [planner.clone(), planner.clone()];
    let (wall, cpu, found) = timed(3, || {
        let mut members: Vec<Member<'_>> =
            planners.iter_mut().map(|planner| Member { planner, gains, from }).collect();
        stairs::best(BEGIN, QUARTER, &mut members, &[], &rows).expect("there is a plan")
    });
    let lattice = planner.lattice();
    let task = || Task { spec: &spec, lattice, begin: BEGIN, gains, from, quotas: &[] };
    let (other_s, other_cpu, value) = timed(1, || {
        oracle::best_site(&[task(), task()], &[], &rows).expect("the solver has a plan")
    });
    let more = json!({
        "value": money(found.profit), "bound": money(found.bound), "gap": money(found.gap()),
        "anchor_value": value,
    });
    row("site_of_two_day", gains.len(), (wall, cpu), ("microlp", other_s, other_cpu), more)
}

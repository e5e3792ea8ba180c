//! What a demo day was worth: the live run and its counterfactuals, all from the simulator's own
//! meter, settled by the same rules.

use super::SharedFarm;
use super::day::Day;
use crate::cli::Format;
use crate::clock::HELD_SPEED_MAX;
use crate::plant::Slowest;
use anyhow::Context;
use headgate_core::engine::Step;
use headgate_core::event::{Event, Stamped};
use headgate_core::fleet::MachineId;
use headgate_core::site::{PolicyRule, Site};
use headgate_core::time::{Interval, Span, Time};
use headgate_drivers::Counts;
use headgate_sim::farm::{Farm, MeterReading};
use headgate_sim::world::{
    Account, Case, IntervalMeter, WorldOptions, counterfactual, mean_breakeven, settle,
};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The 2 s budget of a request at the speed the gated clock keeps while one is on the wire.
const BUDGET: Span = Span::seconds(60);
/// Round trips to a machine's yes: logon, then the command.
const TRIPS: i64 = 2;

/// The simulated time a request took in the live run: its slowest command, at the speed the
/// gated clock keeps meanwhile, shared among the trips that waited for one another.
fn latency(run: &Run) -> Span {
    let slots = run.site.drivers.iter().map(|d| i64::from(d.concurrency)).sum::<i64>().max(1);
    let machines = i64::try_from(run.site.machines.len()).unwrap_or(i64::MAX);
    let waves = (machines + slots - 1) / slots * TRIPS;
    let slowest = i64::try_from(run.slowest.ack_wall.as_nanos()).unwrap_or(i64::MAX / 64);
    Span(slowest * HELD_SPEED_MAX / waves.max(1))
}

/// The meter of a live run, read at every settlement boundary.
pub struct Metered {
    farm: SharedFarm,
    cohorts: Vec<usize>,
    step: Span,
    end: Time,
    last: MeterReading,
    asleep: Vec<bool>,
    /// What it showed.
    pub intervals: Vec<IntervalMeter>,
    /// Machines seen to have woken, by cohort.
    pub starts: Vec<u64>,
}

impl Metered {
    pub fn new(farm: &SharedFarm, site: &Site, day: &Day) -> Self {
        let mut locked = farm.lock().unwrap_or_else(PoisonError::into_inner);
        let last = locked.meter(day.start);
        let asleep = sleeping(&mut locked, site.machines.len(), day.start);
        drop(locked);
        Self {
            farm: Arc::clone(farm),
            cohorts: site.machines.iter().map(|m| usize::from(m.cohort.0)).collect(),
            step: site.market.settle_step,
            end: day.end,
            last,
            asleep,
            intervals: Vec::new(),
            starts: vec![0; site.cohorts.len()],
        }
    }

    fn read(&mut self, now: Time) {
        // The engine asks to be called at every settlement boundary, so none is skipped.
        let interval = Interval::starting(self.last.at, self.step);
        if now < interval.end || interval.start >= self.end {
            return;
        }
        let mut farm = self.farm.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = farm.meter(interval.end);
        let asleep = sleeping(&mut farm, self.cohorts.len(), interval.end);
        drop(farm);
        for (i, cohort) in self.cohorts.iter().enumerate() {
            self.starts[*cohort] += u64::from(self.asleep[i] && !asleep[i]);
        }
        self.asleep = asleep;
        self.intervals.push(IntervalMeter::between(&self.last, &reading, interval));
        self.last = reading;
    }
}

fn sleeping(farm: &mut Farm, machines: usize, at: Time) -> Vec<bool> {
    let id = |i: usize| MachineId(u32::try_from(i).expect("MACHINES_MAX fits 32 bits"));
    (0..machines).map(|i| farm.truth(id(i), at).asleep).collect()
}

/// Looks at a step: at a settlement boundary the meter is read.
pub fn watch(metered: &Mutex<Metered>, stamped: &Stamped, _step: &Step) {
    if matches!(stamped.event, Event::Tick | Event::Prices { .. }) {
        metered.lock().unwrap_or_else(PoisonError::into_inner).read(stamped.at);
    }
}

/// A day lived through.
pub struct Run {
    pub site: Site,
    pub day: Day,
    /// The farm as it was at the start.
    pub fresh: Farm,
    pub meter: Arc<Mutex<Metered>>,
    pub counts: Counts,
    pub slowest: Slowest,
}

/// One policy's line.
struct Line {
    name: &'static str,
    account: Account,
    curtailed_hours: f64,
}

/// The result of a day.
pub struct Report {
    seed: u64,
    wall: Duration,
    sim: Span,
    machines: usize,
    currency: String,
    counts: Counts,
    slowest: Slowest,
    strike: f64,
    lines: Vec<Line>,
}

/// Settles the live run and lives through its counterfactuals.
///
/// # Errors
/// When an interval has no price, or the counterfactual world cannot be built.
pub fn make(run: &Run, seed: u64, wall: Duration) -> anyhow::Result<Report> {
    let metered = run.meter.lock().unwrap_or_else(PoisonError::into_inner);
    let full = full_power(&run.fresh, run.day.start);
    let account = settle(
        &run.site,
        &metered.intervals,
        &run.day.settled,
        run.day.hashprice,
        &metered.starts,
    )?;
    let mut lines = vec![Line {
        name: "breakeven",
        account,
        curtailed_hours: curtailed(&metered.intervals, full),
    }];
    let strike = mean_breakeven(&run.site, Some(run.day.hashprice))
        .context("the fleet's break-even is not known")?;
    let mut options = WorldOptions::new(run.day.start, seed);
    options.latency = latency(run);
    options.request_budget = Some(BUDGET);
    let case = Case {
        site: &run.site,
        farm: &run.fresh,
        options,
        events: &run.day.script,
        until: run.day.end,
        prices: &run.day.settled,
        hashprice: run.day.hashprice,
    };
    let others =
        [("always_on", PolicyRule::AlwaysOn), ("fixed_strike", PolicyRule::FixedStrike(strike))];
    for (name, rule) in others {
        let (account, outcome) = counterfactual(&case, rule, &mut |_, _| {})?;
        lines.push(Line { name, account, curtailed_hours: curtailed(&outcome.intervals, full) });
    }
    Ok(Report {
        seed,
        wall,
        sim: run.day.end.since(run.day.start),
        machines: run.site.machines.len(),
        currency: run.site.market.currency.clone(),
        counts: run.counts,
        slowest: run.slowest,
        strike: strike.0 as f64 / 1e6,
        lines,
    })
}

/// Power at the meter with nothing curtailed: as the farm stands at the start, all awake.
fn full_power(farm: &Farm, at: Time) -> i64 {
    farm.clone().meter(at).power.0
}

/// Full-power hours not drawn.
fn curtailed(intervals: &[IntervalMeter], full: i64) -> f64 {
    let hours = |i: &IntervalMeter| {
        let length = i.interval.length().0 as f64 / 3.6e12;
        (1.0 - i.energy.0 as f64 / 3600.0 / length / full as f64).max(0.0) * length
    };
    intervals.iter().map(hours).sum()
}

impl Report {
    fn policies(&self) -> Vec<Value> {
        let money = |m: i64| m as f64 / 1e6;
        let one = |l: &Line| {
            let a = &l.account;
            json!({
                "name": l.name,
                "profit": money(a.profit),
                "energy_mwh": a.energy as f64 / 3.6e9,
                "energy_cost": money(a.energy_cost),
                "compute_revenue": money(a.compute_revenue),
                "sell_back": money(a.sell_back),
                "other_cost": money(a.other_cost),
                "starts": a.starts,
                "curtailed_hours": l.curtailed_hours,
                "live": l.name == "breakeven",
            })
        };
        self.lines.iter().map(one).collect()
    }

    /// The document of DESIGN §7.
    ///
    /// # Errors
    /// Never in practice: the document is plain data.
    pub fn json(&self, format: Format) -> anyhow::Result<String> {
        let live = &self.lines[0].account;
        let c = &self.counts;
        let document = json!({
            "seed": self.seed,
            "wall_s": self.wall.as_secs_f64(),
            "sim_s": self.sim.as_seconds(),
            "machines": self.machines,
            "intervals": live.intervals,
            "meter_mwh": live.energy as f64 / 3.6e9,
            "currency": self.currency,
            "commands": c.commands,
            "acked": c.acked,
            "refused": c.refused,
            "timed_out": c.timed_out,
            "confirmed": c.confirmed,
            "drifted": c.drifted,
            "unavailable": c.unavailable,
            "superseded": c.superseded,
            "slowest_ack_wall_ms": self.slowest.ack_wall.as_secs_f64() * 1e3,
            "slowest_confirm_sim_ms": self.slowest.confirm_sim.map(|s| s.0 as f64 / 1e6),
            "policies": self.policies(),
        });
        Ok(match format {
            Format::Jsonl => serde_json::to_string(&document)?,
            _ => serde_json::to_string_pretty(&document)?,
        })
    }

    /// One line a policy.
    pub fn csv(&self) -> String {
        let mut out = String::from(
            "name,profit,energy_mwh,energy_cost,compute_revenue,sell_back,other_cost,starts,\
             curtailed_hours\n",
        );
        for l in &self.lines {
            let a = &l.account;
            let money = |m: i64| m as f64 / 1e6;
            let _ = writeln!(
                out,
                "{},{:.6},{:.6},{:.6},{:.6},{:.6},{:.6},{},{:.4}",
                l.name,
                money(a.profit),
                a.energy as f64 / 3.6e9,
                money(a.energy_cost),
                money(a.compute_revenue),
                money(a.sell_back),
                money(a.other_cost),
                a.starts,
                l.curtailed_hours,
            );
        }
        out
    }

    /// The table at the end of a day.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let c = &self.counts;
        let hours = self.sim.as_seconds() / 3600;
        let _ = writeln!(
            out,
            "\nA day of {hours} h on {} machines in {:.1} s. All figures are the simulator's own \
             meter's.\n",
            self.machines,
            self.wall.as_secs_f64(),
        );
        let _ = writeln!(
            out,
            "{:<14}{:>13}{:>11}{:>13}{:>13}{:>13}{:>9}{:>8}",
            "policy", "profit", "MWh", "work", "energy", "sold back", "wear", "starts"
        );
        for l in &self.lines {
            let a = &l.account;
            let money = |m: i64| format!("{:.2}", m as f64 / 1e6);
            let _ = writeln!(
                out,
                "{:<14}{:>13}{:>11.1}{:>13}{:>13}{:>13}{:>9}{:>8}",
                l.name,
                money(a.profit),
                a.energy as f64 / 3.6e9,
                money(a.compute_revenue),
                money(a.energy_cost),
                money(a.sell_back),
                money(a.other_cost),
                a.starts,
            );
        }
        let better = (self.lines[0].account.profit - self.lines[1].account.profit) as f64 / 1e6;
        let _ = writeln!(
            out,
            "\n{better:+.2} {} against always on; fixed strike is {:.2}/MWh, the fleet's \
             energy-weighted break-even.",
            self.currency, self.strike,
        );
        let _ = writeln!(
            out,
            "{} commands: {} acked, {} refused, {} timed out; {} confirmed by watts, {} drifted, \
             {} unavailable, {} superseded. Slowest answer {:.0} ms.\n",
            c.commands,
            c.acked,
            c.refused,
            c.timed_out,
            c.confirmed,
            c.drifted,
            c.unavailable,
            c.superseded,
            self.slowest.ack_wall.as_secs_f64() * 1e3,
        );
        out
    }
}

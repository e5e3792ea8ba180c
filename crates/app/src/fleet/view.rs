//! A curtailment as the outside sees it: before it is sent, and how it went.

use headgate_core::curtail::{CurtailReport, Preview, RampClass, Share};
use headgate_core::engine::Engine;
use headgate_core::hands::{Hands, SwitchId};
use headgate_core::site::Site;
use serde::{Deserialize, Serialize};

/// Machines that failed, named in a status; the rest is counted.
const FAILURES_SHOWN_MAX: usize = 1_000;

/// Some machines and the power that is meant, at the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareView {
    pub machines: u32,
    pub power_w: i64,
}

/// Machines told at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveView {
    pub at: String,
    pub machines: u32,
    pub power_w: i64,
}

/// A machine that was told and did not provably come down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedView {
    pub machine: String,
    pub how: String,
    pub power_w: i64,
}

/// A curtailment in force, or the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurtailView {
    /// The act, by its place in the journal.
    pub seq: u64,
    pub said: String,
    /// Import is held down by it.
    pub active: bool,
    /// There is nothing more to wait for.
    pub done: bool,
    pub asked_w: i64,
    pub baseline_w: i64,
    pub ceiling_w: i64,
    pub since: String,
    pub by: String,
    pub at: String,
    /// Import as last measured; null when nothing measures it.
    pub import_w: Option<i64>,
    pub delivered_w: Option<i64>,
    /// Whether a meter measured it; else it is the machines' own watts.
    pub by_meter: bool,
    pub proven_at: Option<String>,
    /// It was proven by the deadline.
    pub in_time: bool,
    pub waves: Vec<WaveView>,
    /// Switches opened for it.
    pub opened: Vec<String>,
    pub told: ShareView,
    pub acked: ShareView,
    pub declared: ShareView,
    pub measured: ShareView,
    pub open: ShareView,
    pub failed: ShareView,
    pub failures: Vec<FailedView>,
}

/// Why machines of a cohort would stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StayView {
    pub why: String,
    pub machines: u32,
    pub power_w: i64,
}

/// What a curtailment would do to one cohort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviewRowView {
    pub cohort: String,
    /// `fast` or `slow`.
    pub class: String,
    /// How long its machines take to be proven down, as learned.
    pub down_s: f64,
    /// Share of commands that fail, as learned, in parts per million.
    pub failure_ppm: i64,
    pub goes: ShareView,
    /// What those that go still draw.
    pub kept_w: i64,
    pub stays: Vec<StayView>,
}

/// What one machine would be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    pub machine: String,
    pub level: u8,
    pub level_w: i64,
}

/// What a curtailment would do, before anything is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviewView {
    pub at: String,
    pub by: String,
    /// Automation's mode: in `shadow` and `off` nothing is sent.
    pub mode: String,
    pub asked_w: i64,
    pub baseline_w: i64,
    pub ceiling_w: i64,
    /// Told to come down, at the meter: more than is asked, for some will fail.
    pub told_w: i64,
    /// Of that, what is expected to come.
    pub expected_w: i64,
    /// When it is expected to be down; null when not all of it can come.
    pub down_at: Option<String>,
    pub in_time: bool,
    pub cohorts: Vec<PreviewRowView>,
    pub machines: Vec<ChangeView>,
}

impl From<Share> for ShareView {
    fn from(s: Share) -> Self {
        Self { machines: s.machines, power_w: s.power.0 }
    }
}

/// The curtailment in force, or the last one there was.
pub fn curtailment(engine: &Engine, last: Option<&CurtailReport>) -> Option<CurtailView> {
    let (site, hands) = (engine.site()?, engine.hands());
    match (engine.obligation(), engine.curtailment()) {
        (Some(o), Some(r)) => Some(view(site, hands, &r, (true, o.reported))),
        _ => last.map(|r| view(site, hands, r, (false, true))),
    }
}

fn view(
    site: &Site,
    hands: &Hands,
    r: &CurtailReport,
    (active, done): (bool, bool),
) -> CurtailView {
    let wave = |w: &headgate_core::curtail::Wave| WaveView {
        at: w.at.to_string(),
        machines: w.machines,
        power_w: w.power.0,
    };
    let failed = |f: &headgate_core::curtail::Failed| FailedView {
        machine: address(site, f.machine),
        how: f.how.name().into(),
        power_w: f.power.0,
    };
    let name = |s: &SwitchId| hands.switches.get(usize::from(s.0)).map(|s| s.name.clone());
    CurtailView {
        seq: r.seq,
        said: r.said.clone(),
        active,
        done,
        asked_w: r.asked.0,
        baseline_w: r.baseline.0,
        ceiling_w: r.ceiling.0,
        since: r.since.to_string(),
        by: r.by.to_string(),
        at: r.at.to_string(),
        import_w: r.import.map(|p| p.0),
        delivered_w: r.delivered().map(|p| p.0),
        by_meter: r.by_meter,
        proven_at: r.proven_at.map(|t| t.to_string()),
        in_time: r.in_time(),
        waves: r.waves.iter().map(wave).collect(),
        opened: r.opened.iter().filter_map(name).collect(),
        told: r.told.into(),
        acked: r.acked.into(),
        declared: r.declared.into(),
        measured: r.measured.into(),
        open: r.open.into(),
        failed: r.failed.into(),
        failures: r.failures.iter().take(FAILURES_SHOWN_MAX).map(failed).collect(),
    }
}

fn address(site: &Site, machine: headgate_core::fleet::MachineId) -> String {
    site.machines.get(machine.index()).map(|m| m.address.clone()).unwrap_or_default()
}

/// A preview with names in it.
pub fn preview(site: &Site, p: &Preview, mode: &str) -> PreviewView {
    let row = |r: &headgate_core::curtail::PreviewRow| PreviewRowView {
        cohort: site.cohort(r.cohort).name.clone(),
        class: match r.class {
            RampClass::Fast => "fast".into(),
            RampClass::Slow => "slow".into(),
        },
        down_s: r.down.0 as f64 / 1e9,
        failure_ppm: r.failure_ppm,
        goes: r.goes.into(),
        kept_w: r.kept.0,
        stays: r
            .stays
            .iter()
            .map(|(why, share)| StayView {
                why: why.name().into(),
                machines: share.machines,
                power_w: share.power.0,
            })
            .collect(),
    };
    let change = |c: &headgate_core::plan::Change| {
        let cohort = site.machines[c.machine.index()].cohort;
        ChangeView {
            machine: address(site, c.machine),
            level: c.level.0,
            level_w: site.cohort(cohort).curve.at(c.level).power.0,
        }
    };
    PreviewView {
        at: p.at.to_string(),
        by: p.by.to_string(),
        mode: mode.into(),
        asked_w: p.asked.0,
        baseline_w: p.baseline.0,
        ceiling_w: p.ceiling.0,
        told_w: p.told.0,
        expected_w: p.expected.0,
        down_at: p.down_at.map(|t| t.to_string()),
        in_time: p.down_at.is_some_and(|t| t <= p.by),
        cohorts: p.rows.iter().map(row).collect(),
        machines: p.changes.iter().map(change).collect(),
    }
}

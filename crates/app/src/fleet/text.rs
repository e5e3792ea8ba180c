//! A curtailment in words, for people.

use super::view::{CurtailView, PreviewView, ShareView};
use headgate_core::units::Power;
use std::fmt::Write as _;

/// Machines that failed, named on screen; the document has more.
const NAMED_MAX: usize = 20;

fn watts(w: i64) -> String {
    Power(w).to_string()
}

fn share(s: &ShareView) -> String {
    format!("{} machines, {}", s.machines, watts(s.power_w))
}

/// One line a fact, the name first.
fn line(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "{name:<10}{text}");
}

/// Who would go, who would not, and why.
pub fn preview(p: &PreviewView) -> String {
    let mut out = String::new();
    line(&mut out, "asked", &format!("{} down by {}", watts(p.asked_w), p.by));
    let now = format!("{} now, at most {} then", watts(p.baseline_w), watts(p.ceiling_w));
    line(&mut out, "import", &now);
    let told = format!(
        "{} machines, {} at the meter, of which {} is expected to come",
        p.machines.len(),
        watts(p.told_w),
        watts(p.expected_w)
    );
    line(&mut out, "told", &told);
    let down = match (&p.down_at, p.in_time) {
        (Some(t), true) => format!("{t}, in time"),
        (Some(t), false) => format!("{t}, LATE"),
        (None, _) => String::from("NOT ENOUGH: all that can come is less than is asked"),
    };
    line(&mut out, "down at", &down);
    if !acts(&p.mode) {
        line(&mut out, "mode", &format!("{}: nothing would be sent", p.mode));
    }
    for c in &p.cohorts {
        let head = format!(
            "{} ({}, {:.0} s down, {:.1} % of commands fail)",
            c.cohort,
            c.class,
            c.down_s,
            c.failure_ppm as f64 / 1e4
        );
        line(&mut out, "cohort", &head);
        if c.goes.machines > 0 {
            line(&mut out, "  goes", &format!("{} less, {} kept", share(&c.goes), watts(c.kept_w)));
        }
        for s in &c.stays {
            let who = ShareView { machines: s.machines, power_w: s.power_w };
            line(&mut out, "  stays", &format!("{}: {}", share(&who), s.why.replace('_', " ")));
        }
    }
    out
}

/// How it went.
pub fn report(r: &CurtailView) -> String {
    let mut out = String::new();
    line(&mut out, "asked", &format!("{} down by {}, {}", watts(r.asked_w), r.by, r.said));
    let proof = match (&r.proven_at, r.in_time) {
        (Some(t), true) => format!("proven at {t}, in time"),
        (Some(t), false) => format!("proven at {t}, LATE"),
        (None, _) => String::from("NOT PROVEN"),
    };
    let source = if r.by_meter { "the meter" } else { "the machines' own watts" };
    line(&mut out, "proof", &format!("{proof}, by {source}"));
    let import = r.import_w.map_or_else(|| "unknown".into(), watts);
    let delivered = r.delivered_w.map_or_else(|| "unknown".into(), watts);
    let from = format!(
        "{} to {import}, {delivered} down; at most {} was asked",
        watts(r.baseline_w),
        watts(r.ceiling_w)
    );
    line(&mut out, "import", &from);
    line(&mut out, "told", &share(&r.told));
    line(&mut out, "acked", &share(&r.acked));
    line(&mut out, "declared", &share(&r.declared));
    line(&mut out, "measured", &share(&r.measured));
    if r.open.machines > 0 {
        line(&mut out, "open", &share(&r.open));
    }
    line(&mut out, "failed", &share(&r.failed));
    for w in &r.waves {
        let text = format!("{}  {} machines, {}", w.at, w.machines, watts(w.power_w));
        line(&mut out, "wave", &text);
    }
    for name in &r.opened {
        line(&mut out, "opened", name);
    }
    for f in r.failures.iter().take(NAMED_MAX) {
        line(&mut out, "  failed", &format!("{} {}: {}", f.machine, f.how, watts(f.power_w)));
    }
    let more = r.failed.machines as usize - r.failures.len().min(NAMED_MAX);
    if more > 0 {
        line(&mut out, "  failed", &format!("and {more} more"));
    }
    out
}

/// Whether plans reach machines in a mode.
pub fn acts(mode: &str) -> bool {
    matches!(mode, "auto" | "hold")
}

//! The status as plain text, once: for `headgate status`.

use super::facts::{self, Fact, Group};
use super::words::{clean, mw, number, utc};
use crate::status::{StairView, Status};
use std::fmt::Write as _;

/// Width of the column of groups.
const GROUP: usize = 11;
/// Width of the column of labels.
const LABEL: usize = 13;
/// Width of the column of values.
const VALUE: usize = 12;

/// The status as lines of text, without colour.
pub fn table(s: &Status) -> String {
    let mut out = String::new();
    let mut line = |group: &str, text: &str| {
        let row = format!("{group:<GROUP$}{text}");
        out.push_str(row.trim_end());
        out.push('\n');
    };
    line("site", &facts::identity(s));
    if s.seq > 0 {
        line("time", &clock(s));
    }
    for (_, text) in facts::banners(s) {
        line("note", &text);
    }
    let none = [String::from(if s.seq > 0 { "none" } else { super::words::UNKNOWN })];
    let alarms = facts::alarms(s);
    for text in if alarms.is_empty() { &none[..] } else { &alarms } {
        line("alarms", text);
    }
    let groups = [
        facts::price(s),
        facts::power(s),
        facts::money(s),
        facts::machines(s),
        facts::commands(s),
        facts::meters(s),
        facts::switches(s),
        facts::feeds(s),
        facts::next(s),
    ];
    for Group { title, facts } in &groups {
        for (i, fact) in facts.iter().enumerate() {
            line(if i == 0 { title } else { "" }, &row(fact));
        }
    }
    line("why", &facts::why(s));
    for (i, step) in s.staircase.iter().enumerate() {
        let title = if i == 0 { "staircase" } else { "" };
        line(title, &stair(step, &facts::per_mwh(s)));
    }
    out
}

/// Time, and how fast it runs.
fn clock(s: &Status) -> String {
    let mut text = utc(&s.at);
    let _ = write!(text, " · speed {}x", number(s.clock.speed, 1));
    if let Some(p) = s.clock.progress {
        let _ = write!(text, " · {} %", number(p * 100.0, 1));
    }
    if s.clock.proving {
        text.push_str(" · proving");
    }
    text
}

fn row(f: &Fact) -> String {
    let text = format!("{:<LABEL$}{:>VALUE$} {:<9} {}", f.label, f.value, f.unit, f.note);
    text.trim_end().to_owned()
}

fn stair(s: &StairView, unit: &str) -> String {
    format!(
        "{:<LABEL$}{:>VALUE$} {unit:<9} {:>13} a machine, {:>5} of {:>5} running, {} MW",
        clean(&s.cohort),
        number(s.breakeven, 2),
        kilowatts(s.from_w, s.to_w),
        s.running,
        s.machines,
        mw(s.power_w),
    )
}

/// A step of power of one machine, in kW.
pub fn kilowatts(from_w: i64, to_w: i64) -> String {
    let kw = |w: i64| number(w as f64 / 1e3, 2);
    format!("{}-{} kW", kw(from_w), kw(to_w))
}

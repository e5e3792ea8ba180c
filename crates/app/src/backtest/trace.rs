//! The trace of a back-test: what each policy drew, from which anyone can count again.

use super::case::Case;
use anyhow::Context;
use headgate_core::number::{div_half_even, show, to_i64};
use headgate_core::units::{Energy, Power};
use headgate_sim::backtest::{Comparison, Scored};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Seconds in an hour.
const HOUR: i128 = 3_600;

/// Writes one line for each time that power was held, within one settlement interval.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, case: &Case, comparison: &Comparison) -> anyhow::Result<()> {
    let failed = || format!("failed to write the trace {}", path.display());
    let file = File::create(path).with_context(failed)?;
    let mut writer = csv::Writer::from_writer(BufWriter::new(file));
    let header = ["policy", "start", "end", "price", "known_at", "power_w", "energy_wh", "state"];
    writer.write_record(header).with_context(failed)?;
    for row in &comparison.rows {
        one(&mut writer, case, row).with_context(failed)?;
    }
    writer.flush().with_context(failed)
}

fn one(
    writer: &mut csv::Writer<BufWriter<File>>,
    case: &Case,
    row: &Scored,
) -> Result<(), csv::Error> {
    let idle = case.loaded.site.overhead.meter(Power::ZERO);
    let full = row.statement.full;
    let mut settled = case.tape.settled.iter().peekable();
    let mut last = None;
    for s in &row.run.segments {
        while settled.next_if(|r| r.interval.end <= s.interval.start).is_some() {}
        // A run was settled, so that every segment has its interval.
        let Some(price) = settled.peek() else { break };
        let state = state(s.power, last, s.starts, idle, full);
        last = Some(s.power);
        writer.write_record([
            row.name.as_str(),
            &s.interval.start.to_string(),
            &s.interval.end.to_string(),
            &micro(price.price.0),
            &price.known_at.to_string(),
            &s.power.0.to_string(),
            &watt_hours(s.energy),
            state,
        ])?;
    }
    Ok(())
}

/// What is going on: nothing runs, something starts, all runs, or power is on its way.
fn state(power: Power, last: Option<Power>, starts: u32, idle: Power, full: Power) -> &'static str {
    match last {
        _ if power <= idle => "off",
        _ if starts > 0 => "start",
        _ if power >= full => "on",
        Some(last) if power > last => "ramp_up",
        Some(last) if power < last => "ramp_down",
        _ => "part",
    }
}

/// A decimal without the zeros at its end.
fn trimmed(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn micro(v: i64) -> String {
    trimmed(&show(v, 6, 6))
}

/// Energy to a millionth of a watt-hour.
fn watt_hours(energy: Energy) -> String {
    micro(to_i64(div_half_even(i128::from(energy.0) * 1_000_000, HOUR)))
}

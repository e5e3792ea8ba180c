//! A back-test as a table for people, as CSV lines, as one JSON document.

use super::case::{Case, seconds};
use super::months::{InMonth, Month, months};
use super::report::{Captured, Rung};
use headgate_core::number::{div_half_even, show};
use headgate_core::units::{MICRO, WATT_SECONDS_PER_MWH};
use headgate_sim::backtest::{BoundKind, Comparison, Known, Scored};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;

/// Currency as a number, exact to a micro-unit below nine billions.
fn money(micro: i64) -> f64 {
    micro as f64 / MICRO as f64
}

/// Energy in MWh, to a millionth.
fn mwh(watt_seconds: i64) -> f64 {
    micro_mwh(watt_seconds) as f64 / 1e6
}

fn micro_mwh(watt_seconds: i64) -> i64 {
    let n = div_half_even(i128::from(watt_seconds) * 1_000_000, WATT_SECONDS_PER_MWH);
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A number cut to so many decimals, as documents have it.
fn cut(v: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (v * scale).round() / scale
}

/// The whole result as one document.
///
/// # Errors
/// When the span lies outside the calendar.
pub fn document(case: &Case, c: &Comparison, ladder: &[Rung]) -> anyhow::Result<Value> {
    let tape = &case.tape;
    let months = months(case, c)?;
    let mut document = json!({
        "site": case.loaded.site.name,
        "point": tape.point.name,
        "type": Some(&tape.point.kind).filter(|k| !k.is_empty()),
        "currency": case.market.currency,
        "from": tape.span.start.to_string(),
        "to": tape.span.end.to_string(),
        "step_s": seconds(tape.step),
        "settle_s": seconds(tape.settle_step),
        "known": case.known.as_str(),
        "lag_s": seconds(case.lag),
        "intervals": tape.settled.len(),
        "breakeven": money(case.breakeven.0),
        "strike": money(case.strike.0.0),
        "bound": {
            "profit": money(c.bound.profit.0),
            "kind": c.bound.kind.as_str(),
            "gap": c.bound.gap,
        },
        "policies": c.rows.iter().map(policy).collect::<Vec<_>>(),
        "months": months.iter().map(month).collect::<Vec<_>>(),
        "notes": case.notes,
    });
    if !ladder.is_empty() {
        document["ladder"] = ladder.iter().map(rung).collect();
    }
    Ok(document)
}

fn month(month: &Month) -> Value {
    let policy = |p: &InMonth| {
        json!({
            "name": p.name.as_str(),
            "profit": money(p.profit.0),
            "starts": p.starts,
            "capture": p.capture.map(|c| cut(c, 6)),
        })
    };
    json!({
        "month": month.name,
        "from": month.span.start.to_string(),
        "to": month.span.end.to_string(),
        "policies": month.policies.iter().map(policy).collect::<Vec<_>>(),
    })
}

fn rung((lag, policies): &Rung) -> Value {
    json!({
        "lag_s": seconds(*lag),
        "policies": policies.iter().map(captured).collect::<Vec<_>>(),
    })
}

fn captured((name, capture): &Captured) -> Value {
    json!({ "name": name.as_str(), "capture": capture.map(|c| cut(c, 6)) })
}

/// When prices are known, in a few words.
pub fn known_as(known: Known) -> &'static str {
    match known {
        Known::Live => "each price when it could be known",
        Known::B2 => "by convention B2, each dispatch run at the beginning of its step",
        Known::B1 => "by convention B1, one decision an interval on its first dispatch run",
        Known::A => "by convention A, what an interval settles at, at its beginning",
    }
}

fn policy(row: &Scored) -> Value {
    let a = &row.statement.account;
    json!({
        "name": row.name.as_str(),
        "profit": money(a.profit),
        "energy_mwh": mwh(a.energy),
        "energy_cost": money(a.energy_cost),
        "compute_revenue": money(a.compute_revenue),
        "sell_back": money(a.sell_back),
        "other_cost": money(a.other_cost),
        "starts": a.starts,
        "curtailed_hours": cut(row.statement.curtailed_hours(), 4),
        "missed_spike_cost": money(row.missed_spikes.0),
        "capture": row.capture.map(|c| cut(c, 6)),
        "information": row.name.information().as_str(),
    })
}

/// One CSV line a policy; numbers are exact decimals.
pub fn csv(c: &Comparison, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "name",
        "profit",
        "energy_mwh",
        "energy_cost",
        "compute_revenue",
        "sell_back",
        "other_cost",
        "starts",
        "curtailed_hours",
        "missed_spike_cost",
        "capture",
        "information",
    ])?;
    let micro = |v: i64| show(v, 6, 6);
    for row in &c.rows {
        let a = &row.statement.account;
        writer.write_record([
            row.name.as_str(),
            &micro(a.profit),
            &micro(micro_mwh(a.energy)),
            &micro(a.energy_cost),
            &micro(a.compute_revenue),
            &micro(a.sell_back),
            &micro(a.other_cost),
            &a.starts.to_string(),
            &format!("{:.4}", row.statement.curtailed_hours()),
            &micro(row.missed_spikes.0),
            &row.capture.map_or(String::new(), |c| format!("{c:.6}")),
            row.name.information().as_str(),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

/// Micro-units as whole units, thousands apart.
pub fn whole(micro: i64) -> String {
    let n = div_half_even(micro.into(), MICRO.into());
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "-" } else { "" });
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

/// A share in percent.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |s| format!("{:.2} %", s * 100.0))
}

/// What was back-tested.
fn head(case: &Case) -> String {
    let tape = &case.tape;
    let mut t = String::new();
    let _ = writeln!(
        t,
        "{} at {}, {} to {}",
        case.loaded.site.name, tape.point, tape.span.start, tape.span.end
    );
    let _ = writeln!(
        t,
        "{} settlement intervals of {}, decisions by {}{}; money in {}\nknown: {}\n",
        tape.settled.len(),
        tape.settle_step,
        tape.step,
        match case.lag.0 {
            0 => String::new(),
            _ => format!(", told {} late", case.lag),
        },
        case.market.currency,
        known_as(case.known),
    );
    t
}

/// The result for people.
pub fn table(case: &Case, c: &Comparison, ladder: &[Rung]) -> String {
    let mut t = head(case);
    let _ = writeln!(
        t,
        "{:<19}{:>15}{:>15}{:>15}{:>13}{:>11}{:>8}{:>11}{:>14}{:>10}",
        "policy",
        "profit",
        "revenue",
        "energy cost",
        "sold back",
        "starts'",
        "starts",
        "curtailed",
        "missed",
        "capture",
    );
    let _ = writeln!(
        t,
        "{:<19}{:>15}{:>15}{:>15}{:>13}{:>11}{:>8}{:>11}{:>14}{:>10}",
        "", "", "", "", "", "cost", "", "hours", "spikes", ""
    );
    for row in &c.rows {
        let a = &row.statement.account;
        let _ = writeln!(
            t,
            "{:<19}{:>15}{:>15}{:>15}{:>13}{:>11}{:>8}{:>11.1}{:>14}{:>10}",
            row.name.as_str(),
            whole(a.profit),
            whole(a.compute_revenue),
            whole(a.energy_cost),
            whole(a.sell_back),
            whole(a.other_cost),
            a.starts,
            row.statement.curtailed_hours(),
            whole(row.missed_spikes.0),
            percent(row.capture),
        );
    }
    let bound = &c.bound;
    let _ = match bound.kind {
        BoundKind::Exact => writeln!(t, "{:<19}{:>15}  exact", "bound", whole(bound.profit.0)),
        BoundKind::Certified => writeln!(
            t,
            "{:<19}{:>15}  certified; perfect_foresight leaves {:.2e} of it open",
            "bound",
            whole(bound.profit.0),
            bound.gap
        ),
    };
    told_late(&mut t, ladder);
    for note in &case.notes {
        let _ = writeln!(t, "note: {note}");
    }
    t
}

/// What each policy captures when it is told late, where that was asked for.
fn told_late(t: &mut String, ladder: &[Rung]) {
    if let Some((_, first)) = ladder.first() {
        let names = first.iter().map(|(name, _)| format!("{:>15}", name.as_str()));
        let _ = writeln!(t, "\n{:<19}{}", "captured, told late", names.collect::<String>());
    }
    for (lag, row) in ladder {
        let cells = row.iter().map(|(_, captured)| format!("{:>15}", percent(*captured)));
        let _ = writeln!(t, "{:<19}{}", lag.to_string(), cells.collect::<String>());
    }
}

//! Why power is what it is, at any past moment: the decision in force then, with its ladder.

use crate::plant;
use anyhow::Context;
use headgate_core::reason::Decision;
use headgate_core::time::Time;
use headgate_store::Tables;
use serde_json::{Value, json};
use std::path::Path;

/// A decision as data. Keys carry their unit last; a missing value is null.
pub fn decision_json(d: &Decision) -> Value {
    let price = |p: headgate_core::units::Price| p.0 as f64 / 1e6;
    let ladder: Vec<Value> = d
        .ladder
        .iter()
        .map(|n| {
            json!({
                "rung": n.rung.name(),
                "floor_w": n.floor.map(|p| p.0),
                "ceiling_w": n.ceiling.map(|p| p.0),
                "band_floor_w": n.band.floor.0,
                "band_ceiling_w": n.band.ceiling.0,
                "overridden": n.overridden.map(|o| {
                    json!({ "power_w": o.watts.0, "by": o.by.name() })
                }),
                "reason": n.reason,
            })
        })
        .collect();
    json!({
        "at": d.at.to_string(),
        "cause": d.cause,
        "mode": plant::mode_word(d.mode),
        "expected": d.expected.map(|e| json!({
            "price": price(e.price),
            "latest": price(e.latest),
            "basis": plant::basis_word(e.basis),
            "age_s": e.age.0 as f64 / 1e9,
        })),
        "breakeven": d.breakeven.map(price),
        "preferred_w": d.preferred.0,
        "wish": d.wish,
        "ladder": ladder,
        "target_w": d.target.0,
        "planned_w": d.planned.0,
        "measured_w": d.measured.map(|p| p.0),
        "generation": d.generation,
        "machines_down": d.changes.0,
        "machines_up": d.changes.1,
        "down_above": d.next.and_then(|n| n.down_above).map(price),
        "up_below": d.next.and_then(|n| n.up_below).map(price),
        "text": d.to_string(),
    })
}

/// The decision in force at a moment, as data; `None` when none had been made.
///
/// # Errors
/// When the tables cannot be read.
pub fn decision_at(folder: &Path, at: Option<Time>) -> anyhow::Result<Option<Value>> {
    let file = folder.join("headgate.sqlite");
    anyhow::ensure!(
        file.exists(),
        "no decisions in `{}`: nothing has run there yet; name the folder with --data",
        folder.display()
    );
    let tables = Tables::open(&file)?;
    let at = at.map_or(i64::MAX, |t| t.0);
    let Some(text) = tables.decision_at(at)? else { return Ok(None) };
    Ok(Some(serde_json::from_str(&text).context("failed to read a stored decision")?))
}

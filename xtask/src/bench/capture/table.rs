//! Results as one table in Markdown, to be published as it is.

use super::Tried;
use super::judge::{figure, ladder, policy};
use serde_json::Value;
use std::fmt::Write as _;

/// The table of all results, and under it mean and least of the cells that are averaged.
pub fn markdown(tried: &[Tried]) -> String {
    let lags: Vec<i64> = tried.first().map_or(Vec::new(), |t| {
        ladder(&t.document, "look_ahead").iter().map(|(lag, _)| lag / 60).skip(1).collect()
    });
    let mut out = String::from(
        "| cell | known | always on, k | one strike | two thresholds | trained model | bound, k |",
    );
    lags.iter().for_each(|lag| out += &format!(" {lag} min late |"));
    out += "\n| --- | --- | --- | --- | --- | --- | --- |";
    out += &" --- |".repeat(lags.len());
    out.push('\n');
    for t in tried {
        let d = &t.document;
        let thousand = |v: &Value| format!("{:.0}", figure(v) / 1e3);
        let always = thousand(&policy(&d["policies"], "always_on")["profit"]);
        let _ = write!(out, "| {} | {} | {always} |", t.cell.name, t.known);
        for name in ["fixed_strike", "breakeven", "look_ahead"] {
            let own = policy(&d["policies"], name);
            let capture = percent(figure(&own["capture"]));
            let _ = write!(out, " {} = {capture} |", thousand(&own["profit"]));
        }
        let _ = write!(out, " {} |", thousand(&d["bound"]["profit"]));
        for (_, capture) in ladder(d, "look_ahead").iter().skip(1) {
            let _ = write!(out, " {} |", percent(*capture));
        }
        out.push('\n');
    }
    for known in ["live", "b2", "b1", "a"] {
        out += &mean(tried, known).unwrap_or_default();
    }
    out
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Mean and least capture of the averaged cells under one convention; `None` where some are
/// missing.
fn mean(tried: &[Tried], known: &str) -> Option<String> {
    let own: Vec<&Tried> = tried.iter().filter(|t| t.cell.mean && t.known == known).collect();
    let whole = super::cells::all().iter().filter(|c| c.mean).count();
    if own.len() != whole {
        return None;
    }
    let mut text = format!("\nknown {known}, mean and least of {whole} cells:");
    for name in ["fixed_strike", "breakeven", "look_ahead"] {
        let captures: Vec<f64> =
            own.iter().map(|t| figure(&policy(&t.document["policies"], name)["capture"])).collect();
        let mean = captures.iter().sum::<f64>() / captures.len() as f64;
        let least = captures.iter().copied().fold(f64::INFINITY, f64::min);
        let _ = write!(text, " {name} {} and {};", percent(mean), percent(least));
    }
    text.pop();
    text.push('\n');
    Some(text)
}

/// One line on what a bad strike cost.
pub fn bad_strike(document: &Value) -> String {
    let profit = |name| figure(&policy(&document["policies"], name)["profit"]);
    format!(
        "\na strike of {} at {} from {} to {} earns {:.0}, always on {:.0}",
        document["strike"],
        document["point"].as_str().unwrap_or("?"),
        document["from"].as_str().unwrap_or("?"),
        document["to"].as_str().unwrap_or("?"),
        profit("fixed_strike"),
        profit("always_on")
    )
}

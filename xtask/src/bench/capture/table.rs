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

#[cfg(test)]
mod tests {
    use super::super::cells;
    use super::*;
    use serde_json::json;

    fn of(name: &str, profit: f64, capture: f64) -> Value {
        json!({"name": name, "profit": profit, "capture": capture})
    }

    #[test]
    fn all_cells_make_a_table_and_six_a_mean() {
        let tried = |(i, cell): (usize, cells::Cell)| {
            let capture = 0.95 + i as f64 / 100.0;
            let policies = json!([
                of("always_on", -2e3, 0.0),
                of("fixed_strike", 5e3, 0.7),
                of("breakeven", 6e3, 0.8),
                of("look_ahead", 7e3, capture),
            ]);
            let late = json!([of("look_ahead", 1.0, 0.5)]);
            let rung = |lag_s: i64, of: &Value| json!({"lag_s": lag_s, "policies": of});
            let ladder = json!([rung(0, &policies), rung(900, &late)]);
            let bound = json!({"profit": 8e3});
            let document = json!({"policies": policies, "ladder": ladder, "bound": bound});
            Tried { cell, known: "live", document, trace: None, wall_s: 1.0 }
        };
        let six: Vec<Tried> =
            cells::all().into_iter().filter(|c| c.mean).enumerate().map(tried).collect();
        let text = markdown(&six);
        let lines: Vec<&str> = text.lines().collect();
        let first = "| HB_WEST-40 | live | -2 | 5 = 70.00 % | 6 = 80.00 % | 7 = 95.00 % | 8 | \
                     50.00 % |";
        assert_eq!(lines[2], first);
        let columns = |line: &str| line.matches('|').count();
        assert!(lines[..8].iter().all(|l| columns(l) == columns(lines[0])), "{text}");
        let mean = "known live, mean and least of 6 cells: fixed_strike 70.00 % and 70.00 %; \
                    breakeven 80.00 % and 80.00 %; look_ahead 97.50 % and 95.00 %";
        assert_eq!(lines[9], mean);
        // One cell short is no mean.
        assert!(!markdown(&six[1..]).contains("mean"));
    }
}

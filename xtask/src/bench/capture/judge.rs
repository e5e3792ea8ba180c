//! What no result may show: a month far below always-on, starts beyond the limit, a ladder that
//! rises, a capture too good to be true.

use super::Tried;
use serde_json::Value;
use std::collections::BTreeMap;

/// Share of what always-on earns in a month that looking ahead may earn less.
const DISGRACE: f64 = 0.001;
/// A capture may rise by so much from one lag to the next: chance, not knowledge.
const RISE: f64 = 0.001;
/// So much where staying on loses: then whatever stops at all captures nearly everything, the
/// rungs lie within half a point, and prices told too late for a table leave the thresholds to
/// decide, which a storm flatters.
const RISE_IN_A_STORM: f64 = 0.002;
/// A capture above this, in the cells of the mean and with prices known as they are live, is a
/// leak until shown otherwise.
const LEAK: f64 = 0.985;
/// The policy that is judged.
const JUDGED: &str = "look_ahead";

/// A policy's entry in a list of policies.
pub fn policy<'a>(policies: &'a Value, name: &str) -> &'a Value {
    let all = policies.as_array().map_or(&[][..], Vec::as_slice);
    all.iter().find(|p| p["name"] == name).unwrap_or(&Value::Null)
}

/// A figure; `NaN` where it is missing, which no comparison here passes.
pub fn figure(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// Capture of a policy at each lag, the shortest first.
pub fn ladder(document: &Value, name: &str) -> Vec<(i64, f64)> {
    let rungs = document["ladder"].as_array().map_or(&[][..], Vec::as_slice);
    let rung = |r: &Value| {
        let capture = figure(&policy(&r["policies"], name)["capture"]);
        (r["lag_s"].as_i64().unwrap_or(-1), capture)
    };
    rungs.iter().map(rung).collect()
}

/// What is wrong with a result, one sentence each.
pub fn faults(tried: &Tried) -> Vec<String> {
    let mut out = Vec::new();
    let said = |what: String| format!("{} known {}: {what}", tried.cell.name, tried.known);
    out.extend(months(&tried.document).into_iter().map(said));
    out.extend(rises(&tried.document).into_iter().map(said));
    let capture = figure(&policy(&tried.document["policies"], JUDGED)["capture"]);
    let leaks = tried.cell.mean && tried.known == "live" && capture > LEAK;
    if leaks || capture.is_nan() {
        let most = 100.0 * LEAK;
        out.push(said(format!("captures {:.2} %, more than {most} % is a leak", 100.0 * capture)));
    }
    if let (Some(most), Some(trace)) = (tried.cell.starts, &tried.trace) {
        out.extend(starts(trace, most).into_iter().map(said));
    }
    out
}

/// Months in which looking ahead earns less than always-on beyond what is allowed.
fn months(document: &Value) -> Vec<String> {
    let months = document["months"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = Vec::new();
    for month in months {
        let profit = |name| figure(&policy(&month["policies"], name)["profit"]);
        let (own, always) = (profit(JUDGED), profit("always_on"));
        let fits = own >= always - DISGRACE * always.abs();
        if !fits {
            out.push(format!("earns {own:.0} in {}, always_on {always:.0}", month["month"]));
        }
    }
    if months.is_empty() {
        out.push("tells no months".into());
    }
    out
}

/// Lags at which more is captured than at the one before.
fn rises(document: &Value) -> Vec<String> {
    let ladder = ladder(document, JUDGED);
    let always = figure(&policy(&document["policies"], "always_on")["profit"]);
    let most = if always < 0.0 { RISE_IN_A_STORM } else { RISE };
    let mut out = Vec::new();
    for pair in ladder.windows(2) {
        let ((_, before), (lag, after)) = (pair[0], pair[1]);
        let falls = after <= before + most;
        if !falls {
            let (a, b) = (100.0 * before, 100.0 * after);
            out.push(format!("rises from {a:.2} to {b:.2} % when told {} min late", lag / 60));
        }
    }
    if ladder.len() < 3 {
        out.push("tells no ladder".into());
    }
    out
}

/// Days, in UTC, on which a trace has more starts than allowed; it must have some at all.
fn starts(trace: &str, most: u32) -> Vec<String> {
    let mut days: BTreeMap<&str, u32> = BTreeMap::new();
    for line in trace.lines() {
        let cells: Vec<&str> = line.split(',').collect();
        if let (Some(&JUDGED), Some(start), Some(&"start")) =
            (cells.first(), cells.get(1), cells.last())
        {
            *days.entry(start.get(..10).unwrap_or(start)).or_default() += 1;
        }
    }
    let over = days.iter().filter(|(_, n)| **n > most);
    let mut out: Vec<String> =
        over.map(|(day, n)| format!("starts {n} times on {day}, {most} are allowed")).collect();
    if days.is_empty() {
        out.push("never starts".into());
    }
    out
}

/// What is wrong with the proof that a bad strike loses.
pub fn loses(document: &Value) -> Option<String> {
    let profit = |name| figure(&policy(&document["policies"], name)["profit"]);
    let (strike, always) = (profit("fixed_strike"), profit("always_on"));
    let lost = strike < always;
    (!lost).then(|| format!("a bad strike earns {strike:.0}, not less than always_on {always:.0}"))
}

#[cfg(test)]
mod tests {
    use super::super::cells;
    use super::*;
    use serde_json::json;

    /// A result as good as any, and what is said of it once it is changed.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Tried), expect: &[&str]) {
        let month = |name: &str, own: f64, always: f64| {
            json!({"month": name, "policies": [
                {"name": "always_on", "profit": always}, {"name": "look_ahead", "profit": own},
            ]})
        };
        let rung = |lag_s: i64, capture: f64| {
            let policies = [json!({"name": "look_ahead", "capture": capture})];
            json!({"lag_s": lag_s, "policies": policies})
        };
        let document = json!({
            "policies": [{"name": "look_ahead", "capture": 0.97}],
            "months": [month("2024-03", 120.0, 100.0), month("2024-04", -49.96, -50.0)],
            "ladder": [rung(0, 0.97), rung(900, 0.9709), rung(3_600, 0.8)],
        });
        let mut tried = Tried {
            cell: cells::all().swap_remove(0),
            known: "live",
            document,
            trace: None,
            wall_s: 1.0,
        };
        change(&mut tried);
        assert_eq!(faults(&tried), expect);
    }

    #[test]
    fn a_month_below_always_on_is_a_disgrace() {
        check(|_| {}, &[]);
        check(
            |t| t.document["months"][1]["policies"][1]["profit"] = json!(-50.06),
            &["HB_WEST-40 known live: earns -50 in \"2024-04\", always_on -50"],
        );
        check(|t| t.document["months"] = json!([]), &["HB_WEST-40 known live: tells no months"]);
    }

    #[test]
    fn a_ladder_that_rises_is_a_fault() {
        check(
            |t| t.document["ladder"][2]["policies"][0]["capture"] = json!(0.98),
            &["HB_WEST-40 known live: rises from 97.09 to 98.00 % when told 60 min late"],
        );
        check(|t| t.document["ladder"] = json!(null), &["HB_WEST-40 known live: tells no ladder"]);
    }

    #[test]
    fn too_good_is_a_leak_live_only() {
        let good = |t: &mut Tried| t.document["policies"][0]["capture"] = json!(0.986);
        check(good, &["HB_WEST-40 known live: captures 98.60 %, more than 98.5 % is a leak"]);
        check(
            |t| {
                good(t);
                t.known = "a";
            },
            &[],
        );
    }

    #[test]
    fn starts_are_counted_by_day_from_the_trace() {
        let line = |policy: &str, time: &str| {
            format!("{policy},2024-03-01T{time}Z,2024-03-01T23:00:00Z,1,x,40,1,start\n")
        };
        let day = [line("look_ahead", "01:00:00"), line("look_ahead", "09:00:00")].concat();
        let limited =
            |trace: String| move |t: &mut Tried| (t.cell.starts, t.trace) = (Some(2), Some(trace));
        check(limited(day.clone() + &line("breakeven", "12:00:00")), &[]);
        check(
            limited(day + &line("look_ahead", "12:00:00")),
            &["HB_WEST-40 known live: starts 3 times on 2024-03-01, 2 are allowed"],
        );
        check(limited(String::new()), &["HB_WEST-40 known live: never starts"]);
    }

    #[test]
    fn a_bad_strike_has_to_lose() {
        let of = |strike: f64| {
            json!({"policies": [
                {"name": "always_on", "profit": 10.0}, {"name": "fixed_strike", "profit": strike},
            ]})
        };
        assert_eq!(loses(&of(9.0)), None);
        assert!(loses(&of(11.0)).is_some() && loses(&json!({})).is_some());
    }
}

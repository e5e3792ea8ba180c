//! Checks what one day of `headgate demo` says of itself.

use serde_json::Value;

/// Every key that scripts may rely on.
const KEYS: [&str; 18] = [
    "seed",
    "wall_s",
    "sim_s",
    "machines",
    "intervals",
    "meter_mwh",
    "currency",
    "commands",
    "acked",
    "refused",
    "timed_out",
    "confirmed",
    "drifted",
    "unavailable",
    "superseded",
    "slowest_ack_wall_ms",
    "slowest_confirm_sim_ms",
    "policies",
];

/// The wall time a day should take; reported, not asserted, as machines differ.
pub const WALL_S_WANTED: f64 = 60.0;

/// What is wrong with the document, one sentence each.
pub fn faults(text: &str) -> Vec<String> {
    let document: Value = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => return vec![format!("standard output is not one JSON document: {error}")],
    };
    let mut faults: Vec<String> = KEYS
        .iter()
        .filter(|key| document.get(**key).is_none())
        .map(|key| format!("the key `{key}` is missing"))
        .collect();
    let count = |key: &str| document[key].as_u64().unwrap_or(0);
    let commands = count("commands");
    for parts in [
        ["acked", "refused", "timed_out"].as_slice(),
        &["confirmed", "drifted", "unavailable", "superseded"],
    ] {
        let sum: u64 = parts.iter().map(|part| count(part)).sum();
        if sum != commands {
            faults.push(format!("commands are {commands}, but {} is {sum}", parts.join(" + ")));
        }
    }
    if commands == 0 || count("confirmed") == 0 {
        faults.push("a day without a confirmed command shows nothing".into());
    }
    if document["policies"].as_array().is_none_or(Vec::is_empty) {
        faults.push("no policy is compared".into());
    }
    faults
}

/// The wall time that the day says it took.
pub fn wall_s(text: &str) -> Option<f64> {
    serde_json::from_str::<Value>(text).ok()?["wall_s"].as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(change: impl FnOnce(&mut Value), expect: &[&str]) {
        let mut document = json!({
            "seed": 1, "wall_s": 41.5, "sim_s": 86400, "machines": 3000, "intervals": 288,
            "meter_mwh": 210.4, "currency": "USD", "commands": 10, "acked": 7, "refused": 1,
            "timed_out": 2, "confirmed": 6, "drifted": 1, "unavailable": 2, "superseded": 1,
            "slowest_ack_wall_ms": 2000, "slowest_confirm_sim_ms": 9000,
            "policies": [{"name": "breakeven", "profit": 1.0}],
        });
        change(&mut document);
        assert_eq!(faults(&document.to_string()), expect);
    }

    #[test]
    fn a_day_whose_counts_agree_passes() {
        check(|_| {}, &[]);
        assert_eq!(wall_s("{\"wall_s\": 41.5}"), Some(41.5));
    }

    #[test]
    fn each_fault_is_named() {
        check(
            |d| d["acked"] = json!(8),
            &["commands are 10, but acked + refused + timed_out is 11"],
        );
        check(
            |d| d["drifted"] = json!(0),
            &["commands are 10, but confirmed + drifted + unavailable + superseded is 9"],
        );
        check(|d| d["policies"] = json!([]), &["no policy is compared"]);
        check(
            |d| {
                d.as_object_mut().unwrap().remove("sim_s");
            },
            &["the key `sim_s` is missing"],
        );
        check(
            |d| KEYS[7..15].iter().for_each(|key| d[*key] = json!(0)),
            &["a day without a confirmed command shows nothing"],
        );
        assert!(faults("progress\n{}")[0].starts_with("standard output is not one JSON document"));
    }
}

//! Whether a site can be relied on at this moment, and what is missing.

use crate::doors::beat::Beat;
use crate::status::{FeedView, Status};
use serde::Serialize;
use std::time::Duration;

/// Longest wall time between two turns of the engine loop of a site that is ready.
pub const ENGINE_SILENCE_MAX: Duration = Duration::from_secs(30);

/// The answer of the readiness check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Nothing is missing.
    pub ready: bool,
    /// What is missing, a sentence each; empty when ready.
    pub reasons: Vec<String>,
}

impl Readiness {
    /// Judges a status and the age of the engine's last turn.
    ///
    /// The ages in a status stand still when the engine does, so the beat is judged by itself.
    #[must_use]
    pub fn of(status: &Status, beat: &Beat) -> Self {
        let mut reasons = Vec::new();
        match beat.age() {
            None => reasons.push("the engine has not stepped yet".to_owned()),
            Some(age) if age > ENGINE_SILENCE_MAX => {
                reasons.push(format!("the engine has not stepped for {} s", age.as_secs()));
            }
            Some(_) => {}
        }
        reasons.extend(machines_missing(status));
        reasons.extend(price_missing(status));
        Self { ready: reasons.is_empty(), reasons }
    }
}

fn machines_missing(status: &Status) -> Option<String> {
    match status.unknown_machines {
        0 if status.ready => None,
        0 => Some("the machines are being read back".to_owned()),
        1 => Some("1 machine has not been read back yet".to_owned()),
        n => Some(format!("{n} machines have not been read back yet")),
    }
}

fn price_missing(status: &Status) -> Option<String> {
    if status.price.is_none() {
        return Some("no price is known yet".to_owned());
    }
    // A day-ahead price is no price of the running interval, however fresh it is.
    let mut feeds = status.feeds.iter().filter(|f| !f.role.starts_with("day_ahead")).peekable();
    if feeds.peek().is_none() || feeds.any(|f| !f.stale) {
        return None;
    }
    let stale: Vec<&str> =
        status.feeds.iter().filter(|f| !f.role.starts_with("day_ahead")).map(name).collect();
    Some(format!("no price is fresh: {} gone stale", stale.join(", ")))
}

fn name(feed: &FeedView) -> &str {
    &feed.name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::testing::status;

    fn check(change: impl FnOnce(&mut Status), touched: bool, expect: &[&str]) {
        let mut status = status();
        change(&mut status);
        let beat = Beat::new();
        if touched {
            beat.touch();
        }
        let got = Readiness::of(&status, &beat);
        assert_eq!(got.reasons, expect);
        assert_eq!(got.ready, expect.is_empty());
    }

    #[test]
    fn a_site_with_everything_is_ready() {
        check(|_| {}, true, &[]);
    }

    #[test]
    fn each_thing_missing_is_said() {
        check(|_| {}, false, &["the engine has not stepped yet"]);
        check(|s| s.ready = false, true, &["the machines are being read back"]);
        check(|s| s.unknown_machines = 1, true, &["1 machine has not been read back yet"]);
        check(|s| s.price = None, true, &["no price is known yet"]);
    }

    #[test]
    fn a_fresh_day_ahead_price_is_not_a_price() {
        let stale_but_day_ahead = |s: &mut Status| {
            for feed in &mut s.feeds {
                feed.stale = feed.role != "day_ahead";
            }
        };
        check(stale_but_day_ahead, true, &["no price is fresh: lmp, spp gone stale"]);
    }

    #[test]
    fn one_fresh_feed_is_enough() {
        check(|s| s.feeds[0].stale = true, true, &[]);
    }
}

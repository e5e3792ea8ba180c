//! Fetches one address, politely: conditional, bounded, spread in time, backing off on failure.
//!
//! [`Poll`] decides without touching the network, so that every rule can be tested; [`Fetch`] is
//! the only part that does.

use crate::limits::{
    BACKOFF_MAX, BODY_BYTES_MAX, JITTER_PERCENT, REQUEST_TIMEOUT, RETRY_AFTER_MAX,
};
use headgate_core::time::{SECOND, Span, Time};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What makes a request conditional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// The last answer's entity tag.
    pub etag: Option<String>,
    /// The last answer's date of change, as it wrote it.
    pub last_modified: Option<String>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// What makes the next request conditional.
    pub condition: Condition,
    /// When to come back, as the answer wrote it.
    pub retry_after: Option<String>,
    /// The body, empty where there is none.
    pub body: Vec<u8>,
}

/// Carries one request; blocks until the answer is whole or the time is up.
pub trait Fetch: Send + fmt::Debug {
    /// Gets an address.
    ///
    /// # Errors
    /// One phrase saying what went wrong, without the address.
    fn get(&mut self, url: &str, condition: &Condition) -> Result<Reply, String>;
}

/// Fetches over the network.
#[derive(Debug)]
pub struct NetFetch {
    agent: ureq::Agent,
}

impl Default for NetFetch {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            .user_agent(concat!("headgate/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into() }
    }
}

impl Fetch for NetFetch {
    fn get(&mut self, url: &str, condition: &Condition) -> Result<Reply, String> {
        let mut request = self.agent.get(url);
        if let Some(etag) = &condition.etag {
            request = request.header("If-None-Match", etag);
        }
        if let Some(date) = &condition.last_modified {
            request = request.header("If-Modified-Since", date);
        }
        let mut response = request.call().map_err(|e| e.to_string())?;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let condition = Condition { etag: header("etag"), last_modified: header("last-modified") };
        let retry_after = header("retry-after");
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(BODY_BYTES_MAX);
        let body =
            if status == 200 { body.read_to_vec().map_err(|e| e.to_string())? } else { Vec::new() };
        Ok(Reply { status, condition, retry_after, body })
    }
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Something new.
    Body(Vec<u8>),
    /// Nothing new.
    Same,
    /// It went wrong; one phrase.
    Failed(String),
}

/// When to ask an address, and what its answers mean.
#[derive(Debug)]
pub struct Poll {
    every: Span,
    next_at: Time,
    condition: Condition,
    body_hash: Option<u64>,
    failures: u32,
    draw: u64,
}

impl Poll {
    /// Asks this address so often, the first time at once.
    #[must_use]
    pub fn new(url: &str, every: Span) -> Self {
        // The address seeds the spread, so that two sites of one owner do not ask in step.
        let draw = hash(url.as_bytes());
        let condition = Condition::default();
        Self { every, next_at: Time::MIN, condition, body_hash: None, failures: 0, draw }
    }

    /// When to ask next.
    #[must_use]
    pub fn next_at(&self) -> Time {
        self.next_at
    }

    /// What to ask now; `None` when it is too early.
    pub fn request(&mut self, now: Time) -> Option<Condition> {
        // A clock set back must not silence the feed for as long as it was set back.
        let farthest = now + Span(self.every.0.max(RETRY_AFTER_MAX.0).saturating_mul(2));
        self.next_at = self.next_at.min(farthest);
        (now >= self.next_at).then(|| self.condition.clone())
    }

    /// Takes an answer and settles when to ask next.
    pub fn reply(&mut self, now: Time, reply: Result<Reply, String>) -> Outcome {
        let (outcome, wait) = match reply {
            Err(e) => (Outcome::Failed(e), None),
            Ok(r) if r.status == 304 => (Outcome::Same, None),
            Ok(r) if r.status == 200 => {
                let hash = hash(&r.body);
                self.condition = r.condition;
                let same = self.body_hash.replace(hash) == Some(hash);
                (if same { Outcome::Same } else { Outcome::Body(r.body) }, None)
            }
            Ok(r) => {
                let wait = r.retry_after.as_deref().and_then(|t| retry_after(t, now));
                (Outcome::Failed(format!("it answered with status {}", r.status)), wait)
            }
        };
        self.failures = match outcome {
            Outcome::Failed(_) => self.failures.saturating_add(1),
            _ => 0,
        };
        let pause = wait.unwrap_or_else(|| self.backoff());
        self.next_at = now + self.spread(pause);
        outcome
    }

    /// Forgets what was fetched, because it could not be used: the next answer comes whole.
    pub fn forget(&mut self) {
        self.condition = Condition::default();
        self.body_hash = None;
    }

    fn backoff(&self) -> Span {
        let doublings = self.failures.saturating_sub(1).min(16);
        let longest = self.every.0.max(BACKOFF_MAX.0);
        Span(self.every.0.saturating_mul(1 << doublings).min(longest))
    }

    /// Lengthens a pause by a drawn share: never shorter, because a server may have set it.
    fn spread(&mut self, pause: Span) -> Span {
        self.draw = self.draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let share = (self.draw >> 33) % (JITTER_PERCENT * 10 + 1);
        let extra = i128::from(pause.0) * i128::from(share) / 1000;
        Span(pause.0.saturating_add(i64::try_from(extra).unwrap_or(0)))
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Reads a `Retry-After`, in seconds or as a date, bounded.
fn retry_after(text: &str, now: Time) -> Option<Span> {
    let text = text.trim();
    let span = match text.parse::<u32>() {
        Ok(seconds) => Span::seconds(i64::from(seconds)),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
            Span(at.checked_mul(SECOND)?.checked_sub(now.0)?)
        }
    };
    Some(Span(span.0.clamp(0, RETRY_AFTER_MAX.0)))
}

/// An address without what may be secret in it: user, password and query.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Span = Span::seconds(10);

    fn at(second: i64) -> Time {
        Time::from_seconds(second)
    }

    fn ok(body: &str, etag: &str) -> Result<Reply, String> {
        let condition = Condition { etag: Some(etag.into()), last_modified: None };
        Ok(Reply { status: 200, condition, retry_after: None, body: body.into() })
    }

    fn status(status: u16, retry_after: Option<&str>) -> Result<Reply, String> {
        let retry_after = retry_after.map(str::to_owned);
        Ok(Reply { status, retry_after, ..Reply::default() })
    }

    /// Pause after an answer given at second 1000, in whole seconds.
    fn pause(poll: &mut Poll, reply: Result<Reply, String>) -> i64 {
        let _ = poll.reply(at(1000), reply);
        poll.next_at().since(at(1000)).as_seconds()
    }

    #[test]
    fn a_body_is_told_once() {
        let mut poll = Poll::new("http://127.0.0.1/a", EVERY);
        assert_eq!(poll.request(at(0)), Some(Condition::default()));
        assert_eq!(poll.reply(at(0), ok("x", "1")), Outcome::Body(b"x".to_vec()));
        assert_eq!(poll.request(at(9)), None, "it is too early");
        assert_eq!(poll.request(at(12)).unwrap().etag.as_deref(), Some("1"));
        assert_eq!(poll.reply(at(12), status(304, None)), Outcome::Same);
        // A server that knows no conditions sends the same again.
        assert_eq!(poll.reply(at(24), ok("x", "2")), Outcome::Same);
        poll.forget();
        assert_eq!(poll.reply(at(36), ok("x", "2")), Outcome::Body(b"x".to_vec()));
    }

    #[test]
    fn failures_back_off_and_retry_after_is_honoured() {
        let mut poll = Poll::new("http://127.0.0.1/a", EVERY);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(pause(&mut poll, status(500, None)));
        }
        let doubling = [10, 20, 40, 80, 160, 300, 300, 300];
        for (got, want) in pauses.iter().zip(doubling) {
            assert!((want..=want * 11 / 10).contains(got), "{pauses:?}");
        }
        let got = pause(&mut poll, status(429, Some("77")));
        assert!((77..=84).contains(&got), "{got}");
        let got = pause(&mut poll, status(503, Some("Thu, 01 Jan 1970 00:18:20 GMT")));
        assert!((100..=110).contains(&got), "{got}");
        let got = pause(&mut poll, status(503, Some("9999999")));
        assert!((3600..=3960).contains(&got), "{got}");
        let got = pause(&mut poll, ok("x", "1"));
        assert!((10..=11).contains(&got), "{got}");
    }

    #[test]
    fn a_clock_set_back_does_not_silence_the_feed() {
        let mut poll = Poll::new("http://127.0.0.1/a", EVERY);
        let _ = poll.reply(at(1_000_000), ok("x", "1"));
        assert_eq!(poll.request(at(0)), None);
        assert!(poll.request(at(7_201)).is_some());
    }

    #[test]
    fn secrets_stay_out_of_messages() {
        let told = without_secrets("https://me:pw@example.org:8443/a/b?token=s#x");
        assert_eq!(told, "https://example.org:8443/a/b");
    }
}

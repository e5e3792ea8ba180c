//! Fetches one address, politely: conditional, bounded, spread in time, backing off on failure.
//!
//! [`Poll`] decides without touching the network, so that every rule can be tested; [`Fetch`] is
//! the only part that does.

use crate::limits::{
    BACKOFF_MAX, BODY_BYTES_MAX, FAILED_PAUSE, JITTER_PERCENT, REQUEST_TIMEOUT, RETRY_AFTER_MAX,
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

/// A text that is never shown: a password, a key, a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being shown.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// Headers that may be secret, by name.
    pub headers: Vec<(&'static str, Secret)>,
    /// What is posted, with its content type; without it the address is got.
    pub body: Option<(&'static str, Secret)>,
    /// What makes it conditional.
    pub condition: Condition,
}

impl Request {
    /// Gets an address.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// An error's text without anything that was secret in the request.
    fn scrub(&self, mut text: String) -> String {
        let of_headers = self.headers.iter().map(|(_, secret)| secret);
        for secret in of_headers.chain(self.body.iter().map(|(_, secret)| secret)) {
            if !secret.0.is_empty() {
                text = text.replace(&secret.0, "***");
            }
        }
        text
    }
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
    /// The server's clock when it answered, as it wrote it.
    pub date: Option<String>,
    /// How long the answer lay in a cache, in seconds, as it wrote it.
    pub age: Option<String>,
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

    /// Sends a whole request. What can only get says so of anything else.
    ///
    /// # Errors
    /// As [`Fetch::get`].
    fn send(&mut self, request: &Request) -> Result<Reply, String> {
        if request.body.is_some() || !request.headers.is_empty() {
            return Err("this fetcher only gets addresses".into());
        }
        self.get(&request.url, &request.condition)
    }
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
        self.send(&Request { condition: condition.clone(), ..Request::get(url) })
    }

    fn send(&mut self, request: &Request) -> Result<Reply, String> {
        self.carry(request).map_err(|e| request.scrub(e))
    }
}

impl NetFetch {
    fn carry(&mut self, request: &Request) -> Result<Reply, String> {
        let mut head = ureq::http::Request::builder().uri(&request.url);
        for (name, value) in &request.headers {
            head = head.header(*name, value.reveal());
        }
        if let Some(etag) = &request.condition.etag {
            head = head.header("If-None-Match", etag);
        }
        if let Some(date) = &request.condition.last_modified {
            head = head.header("If-Modified-Since", date);
        }
        // A redirect must not carry a key or a password to another host.
        let secret = !request.headers.is_empty() || request.body.is_some();
        let redirects = if secret { 0 } else { self.agent.config().max_redirects() };
        let mut response = match &request.body {
            None => {
                let whole = head.body(()).map_err(|e| e.to_string())?;
                let whole = self.agent.configure_request(whole).max_redirects(redirects).build();
                self.agent.run(whole)
            }
            Some((kind, body)) => {
                let head = head.method("POST").header("Content-Type", *kind);
                let whole = head.body(body.reveal().to_owned()).map_err(|e| e.to_string())?;
                let whole = self.agent.configure_request(whole).max_redirects(redirects).build();
                self.agent.run(whole)
            }
        }
        .map_err(|e| e.to_string())?;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let condition = Condition { etag: header("etag"), last_modified: header("last-modified") };
        let (retry_after, date, age) = (header("retry-after"), header("date"), header("age"));
        let status = response.status().as_u16();
        let body = if status == 200 {
            let body = response.body_mut().with_config().limit(BODY_BYTES_MAX);
            body.read_to_vec().map_err(|e| format!("its answer broke off: {e}"))?
        } else {
            Vec::new()
        };
        Ok(Reply { status, condition, retry_after, date, age, body })
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

/// When the next request may go: not sooner than a least pause, at set intervals while all is
/// well, ever later while it is not, and as a server asks.
#[derive(Debug)]
pub struct Pace {
    every: Span,
    least: Span,
    next_at: Time,
    failures: u32,
    draw: u64,
}

impl Pace {
    /// A look so often with so much between two requests, the first at once.
    #[must_use]
    pub fn new(url: &str, every: Span, least: Span) -> Self {
        // The address seeds the spread, so that two sites of one owner do not ask in step.
        Self { every, least, next_at: Time::MIN, failures: 0, draw: hash(url.as_bytes()) }
    }

    /// When the next request may go.
    #[must_use]
    pub fn next_at(&self) -> Time {
        self.next_at
    }

    /// Whether a request may go now.
    pub fn is_due(&mut self, now: Time) -> bool {
        // A clock set back must not silence the feed for as long as it was set back.
        let farthest = now + Span(self.every.0.max(RETRY_AFTER_MAX.0).saturating_mul(2));
        self.next_at = self.next_at.min(farthest);
        now >= self.next_at
    }

    /// All is well, and there is more to ask for: only the least pause.
    pub fn go_on(&mut self, now: Time) {
        self.failures = 0;
        self.pause(now, self.least);
    }

    /// All is well, and there is nothing more: until the next look.
    pub fn rest(&mut self, now: Time) {
        self.failures = 0;
        self.pause(now, self.every.max(self.least));
    }

    /// It went wrong: as long as the server asks, or ever longer.
    pub fn failed(&mut self, now: Time, asked: Option<Span>) {
        self.failures = self.failures.saturating_add(1);
        let base = self.every.min(FAILED_PAUSE);
        let doublings = self.failures.saturating_sub(1).min(16);
        let longest = base.max(BACKOFF_MAX);
        let backoff = Span(base.0.saturating_mul(1 << doublings)).min(longest);
        self.pause(now, asked.unwrap_or(backoff).max(self.least));
    }

    fn pause(&mut self, now: Time, pause: Span) {
        self.next_at = now + self.spread(pause);
    }

    /// Lengthens a pause by a drawn share: never shorter, because a server may have set it.
    pub fn spread(&mut self, pause: Span) -> Span {
        self.draw = self.draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let share = (self.draw >> 33) % (JITTER_PERCENT * 10 + 1);
        let extra = i128::from(pause.0) * i128::from(share) / 1000;
        Span(pause.0.saturating_add(i64::try_from(extra).unwrap_or(0)))
    }
}

/// When to ask an address, and what its answers mean.
#[derive(Debug)]
pub struct Poll {
    pace: Pace,
    condition: Condition,
    body_hash: Option<u64>,
}

impl Poll {
    /// Asks this address so often, the first time at once.
    #[must_use]
    pub fn new(url: &str, every: Span) -> Self {
        let pace = Pace::new(url, every, Span::ZERO);
        Self { pace, condition: Condition::default(), body_hash: None }
    }

    /// When to ask next.
    #[must_use]
    pub fn next_at(&self) -> Time {
        self.pace.next_at()
    }

    /// What to ask now; `None` when it is too early.
    pub fn request(&mut self, now: Time) -> Option<Condition> {
        self.pace.is_due(now).then(|| self.condition.clone())
    }

    /// Takes an answer and settles when to ask next.
    pub fn reply(&mut self, now: Time, reply: Result<Reply, String>) -> Outcome {
        let (outcome, wait) = match reply {
            Err(e) => (Outcome::Failed(e), None),
            Ok(r) if r.status == 304 => (Outcome::Same, None),
            Ok(r) if r.status == 200 && is_web_page(&r.body) => {
                (Outcome::Failed(WEB_PAGE.to_owned()), None)
            }
            Ok(r) if r.status == 200 => {
                let hash = hash(&r.body);
                self.condition = r.condition;
                let same = self.body_hash.replace(hash) == Some(hash);
                (if same { Outcome::Same } else { Outcome::Body(r.body) }, None)
            }
            Ok(r) => (Outcome::Failed(r.refusal()), r.wait(now)),
        };
        match outcome {
            Outcome::Failed(_) => self.pace.failed(now, wait),
            _ => self.pace.rest(now),
        }
        outcome
    }

    /// Forgets what was fetched, because it could not be used: the next answer comes whole.
    pub fn forget(&mut self) {
        self.condition = Condition::default();
        self.body_hash = None;
    }
}

impl Reply {
    /// Says what a status other than 200 means for the reader.
    #[must_use]
    pub fn refusal(&self) -> String {
        let means = match self.status {
            429 => ": it was asked too often, and is asked again once it allows",
            403 => ": it refuses this computer; ERCOT answers addresses in the US alone",
            404 => ": there is nothing at this address",
            500..=599 => ": the server is in trouble, and is asked again ever later",
            _ => "",
        };
        format!("it answered with status {}{means}", self.status)
    }

    /// How long the server asks to be left alone, bounded.
    #[must_use]
    pub fn wait(&self, now: Time) -> Option<Span> {
        self.retry_after.as_deref().and_then(|text| retry_after(text, now))
    }

    /// How far the server's clock is ahead of `now`; `None` where it does not say.
    #[must_use]
    pub fn clock_ahead(&self, now: Time) -> Option<Span> {
        let date = jiff::fmt::rfc2822::parse(self.date.as_deref()?).ok()?.timestamp().as_second();
        // An answer from a cache was dated when it was made.
        let age = self.age.as_deref().map_or(Some(0), |a| a.trim().parse::<u32>().ok())?;
        let then = date.checked_add(i64::from(age))?.checked_mul(SECOND)?;
        Some(Span(then.checked_sub(now.0)?))
    }
}

/// What is said of a page where data is expected.
pub const WEB_PAGE: &str = "it answered with a web page where data is expected: the address may \
                            be wrong, or the service down or closed to this computer";

/// Whether a body is a web page.
#[must_use]
pub fn is_web_page(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let start = body[..body.len().min(14)].to_ascii_lowercase();
    start.starts_with(b"<!doctype html")
        || start.starts_with(b"<html")
        || start.starts_with(b"<head")
}

/// A body's or an address's fingerprint, of this process alone.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
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
        Ok(Reply { status: 200, condition, body: body.into(), ..Reply::default() })
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

//! Difficulty, fees and coin price from an address that speaks as mempool.space does.
//!
//! ```text
//! /api/v1/mining/difficulty-adjustments      [[time, height, difficulty, change], ...]
//! /api/v1/mining/blocks/fees/3y              [{"timestamp": .., "avgFees": satoshi, ..}, ...]
//! /api/v1/historical-price?currency=USD      {"prices": [{"time": .., "USD": ..}, ...], ..}
//! ```

use super::network::{Coin, Difficulty, NetworkData};
use crate::error::{FeedError, shown};
use crate::http::{self, Condition, Fetch, NetFetch, Outcome, Poll};
use crate::limits::NETWORK_ROWS_MAX;
use headgate_core::number::{decimal, div_half_even, to_i64};
use headgate_core::time::{Span, Time};
use headgate_core::units::Money;
use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// How often an address is asked anew: the answer is a day's, so four times a day is plenty.
const EVERY: Span = Span::hours(6);
/// Pause before an address that failed is asked again; it doubles with each failure in a row.
const RETRY: Span = Span::minutes(1);
/// Earliest second a time may be of: what is below is no time of this network.
const SECOND_MIN: i64 = 1_230_000_000;
/// Latest second a time may be of.
const SECOND_MAX: i64 = 7_258_000_000;

/// Asks one address for the network's numbers.
#[derive(Debug)]
pub struct Mempool {
    base: String,
    currency: String,
    fetch: Box<dyn Fetch>,
    failures: u32,
    next_at: Time,
    /// The earliest moment the last server asked allows.
    wait_until: Time,
}

impl Mempool {
    /// Asks an address such as `https://mempool.space` over the network.
    #[must_use]
    pub fn new(base: &str, currency: &str) -> Self {
        Self::with_fetch(base, currency, Box::new(NetFetch::default()))
    }

    /// Asks through what is given.
    #[must_use]
    pub fn with_fetch(base: &str, currency: &str, fetch: Box<dyn Fetch>) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        let currency = currency.to_owned();
        Self { base, currency, fetch, failures: 0, next_at: Time::MIN, wait_until: Time::MIN }
    }

    /// When it wants to be asked next.
    #[must_use]
    pub fn next_at(&self) -> Time {
        self.next_at
    }

    /// Fetches all three; what is not over by `now` is left out, so that no day is told early.
    /// After a failure the address is left alone for a minute, and longer with each one more.
    ///
    /// # Errors
    /// [`FeedError`] when an address does not answer or its answer is not usable.
    pub fn fetch(&mut self, now: Time) -> Result<NetworkData, FeedError> {
        let got = self.fetch_all(now);
        self.failures = if got.is_ok() { 0 } else { self.failures.saturating_add(1) };
        let pause = match self.failures {
            0 => EVERY,
            n => Span(RETRY.0.saturating_mul(1 << n.min(10)).min(EVERY.0)),
        };
        self.next_at = self.wait_until.max(now + pause);
        got
    }

    fn fetch_all(&mut self, now: Time) -> Result<NetworkData, FeedError> {
        let mut data = NetworkData::default();
        let (url, text) = self.get("/api/v1/mining/difficulty-adjustments", now)?;
        data.difficulty = difficulties(&text).map_err(|what| fault(&url, what))?;
        let (url, text) = self.get("/api/v1/mining/blocks/fees/3y", now)?;
        data.fees = Some(fees(&text).map_err(|what| fault(&url, what))?);
        let path = format!("/api/v1/historical-price?currency={}", self.currency);
        let (url, text) = self.get(&path, now)?;
        data.price = prices(&text, &self.currency).map_err(|what| fault(&url, what))?;
        // A day that is not over has no last price yet.
        let today = now.day();
        data.price.retain(|day, _| *day < today);
        data.difficulty.retain(|from, _| *from <= now);
        Ok(data)
    }

    /// One request, asked once; a server that says when to come back is heeded.
    fn get(&mut self, path: &str, now: Time) -> Result<(String, Value), FeedError> {
        let url = format!("{}{path}", self.base);
        let reply = self.fetch.get(&url, &Condition::default());
        let mut poll = Poll::new(&url, RETRY);
        let outcome = poll.reply(now, reply);
        self.wait_until = poll.next_at();
        match outcome {
            Outcome::Body(body) => {
                let value = serde_json::from_slice(&body).map_err(|e| {
                    let start = shown(&body[..body.len().min(200)]);
                    fault(&url, format!("the answer is no JSON ({e}): `{start}`"))
                })?;
                Ok((url, value))
            }
            Outcome::Same => Err(fault(&url, "it says that nothing changed".into())),
            Outcome::Failed(what) => Err(fault(&url, what)),
        }
    }
}

fn fault(url: &str, what: String) -> FeedError {
    FeedError::Fetch { url: http::without_secrets(url), what }
}

/// A number with so many decimals kept; its text is what was sent, so nothing is lost in a float.
fn exact(number: &Number, digits: u32) -> Option<i64> {
    decimal(&number.to_string(), digits).ok()
}

fn number(value: Option<&Value>, digits: u32, what: &str) -> Result<i64, String> {
    let number = value.and_then(Value::as_number).and_then(|n| exact(n, digits));
    number.filter(|n| *n >= 0).ok_or_else(|| format!("an entry has no usable {what}"))
}

fn second(value: Option<&Value>) -> Result<Time, String> {
    let s = number(value, 0, "time")?;
    if !(SECOND_MIN..=SECOND_MAX).contains(&s) {
        return Err(format!("{s} is no time in seconds"));
    }
    Ok(Time::from_seconds(s))
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    let list = value.as_array().ok_or("the answer is no list")?;
    match list.len() {
        0 => Err("the answer is an empty list".into()),
        n if n > NETWORK_ROWS_MAX => Err(format!("the answer has {n} entries")),
        _ => Ok(list),
    }
}

fn difficulties(value: &Value) -> Result<BTreeMap<Time, (u32, Difficulty)>, String> {
    let mut out = BTreeMap::new();
    for entry in list(value)? {
        let at = |i: usize| entry.get(i);
        let height = u32::try_from(number(at(1), 0, "height")?).unwrap_or(u32::MAX);
        let difficulty = number(at(2), 2, "difficulty")?;
        if difficulty > 0 {
            out.insert(second(at(0))?, (height, Difficulty(difficulty)));
        }
    }
    Ok(out)
}

/// Mean of the day's entries: each is the mean of as many blocks as any other.
fn fees(value: &Value) -> Result<BTreeMap<i32, Coin>, String> {
    let mut sums: BTreeMap<i32, (i128, i128)> = BTreeMap::new();
    for entry in list(value)? {
        let fees = number(entry.get("avgFees"), 0, "avgFees")?;
        let sum = sums.entry(second(entry.get("timestamp"))?.day()).or_default();
        *sum = (sum.0 + i128::from(fees), sum.1 + 1);
    }
    let mean = |(day, (sum, n))| (day, Coin(to_i64(div_half_even(sum, n))));
    Ok(sums.into_iter().map(mean).collect())
}

/// The last price of each day; an entry without one (-1 stands for none) is passed over.
fn prices(value: &Value, currency: &str) -> Result<BTreeMap<i32, Money>, String> {
    let entries = list(value.get("prices").ok_or("the answer has no `prices`")?)?;
    let mut last: BTreeMap<i32, (Time, Money)> = BTreeMap::new();
    for entry in entries {
        let at = second(entry.get("time"))?;
        let price = entry.get(currency).and_then(Value::as_number).and_then(|n| exact(n, 6));
        let Some(price) = price.filter(|p| *p > 0) else { continue };
        let kept = last.entry(at.day()).or_insert((at, Money(price)));
        if at >= kept.0 {
            *kept = (at, Money(price));
        }
    }
    if last.is_empty() {
        return Err(format!("no entry has a price in {currency}"));
    }
    Ok(last.into_iter().map(|(day, (_, money))| (day, money)).collect())
}

//! ERCOT's Public API: a token that lasts an hour, answers in pages, and an archive of documents
//! for what a query no longer reaches or answers with nothing.

use super::memory::Memory;
use super::{Found, Live, LivePlan, Verdict, Wanted, split};
use crate::error::FeedError;
use crate::http::{Pace, Reply, Request, Secret, WEB_PAGE, is_web_page, without_secrets};
use crate::limits::{
    ARCHIVE_BATCH_MAX, ARCHIVE_DOCUMENTS_MAX, ARCHIVE_EVERY, EMPTY_RUN_MAX, PAGE_ROWS, PAGES_MAX,
    QUERY_BACK, TOKEN_RENEWED_AFTER, TRIES_MAX,
};
use crate::live::Credentials;
use crate::local;
use headgate_core::market::{PriceKind, SettlementPoint};
use headgate_core::time::{Span, Time};
use jiff::tz::TimeZone;
use serde::Deserialize;

/// Where ERCOT's tokens are to be had.
const TOKEN_URL: &str = "https://ercotb2c.b2clogin.com/ercotb2c.onmicrosoft.com/\
                         B2C_1_PUBAPI-ROPC-FLOW/oauth2/v2.0/token";
/// The API's own name at the token service; it is no secret.
const CLIENT: &str = "fec253ea-0d06-4272-a5e6-b478baeecd70";
const FORM: &str = "application/x-www-form-urlencoded";

/// Products a query can be made for: part of the path, name of its time filter, whether that
/// takes a time of day.
const PRODUCTS: [(&str, &str, bool); 3] = [
    ("np6-905-cd", "deliveryDate", false),
    ("np4-190-cd", "deliveryDate", false),
    ("np6-788-cd", "SCEDTimestamp", true),
];

/// Whether a query can be made of a source: it is of a known product, or brings its own.
#[must_use]
pub fn can_query(source: &str) -> bool {
    source.contains('?') || product(source).is_some()
}

fn product(source: &str) -> Option<(&'static str, &'static str, bool)> {
    let path = source.split('?').next().unwrap_or_default().to_ascii_lowercase();
    PRODUCTS.into_iter().find(|(part, ..)| path.split('/').any(|p| p == *part))
}

/// Follows one product.
#[derive(Debug)]
pub(crate) struct Api {
    source: String,
    /// The address without the product, and the product.
    base: String,
    emil: String,
    token_url: String,
    credentials: Credentials,
    zone: TimeZone,
    role: PriceKind,
    point: SettlementPoint,
    every: Span,
    catch_up: Span,
    pace: Pace,
    memory: Memory,
    token: Option<(Secret, Time)>,
    asked_token: bool,
    refusals: u32,
    job: Job,
    /// When the next query is due; the archive waits for it.
    query_at: Time,
    waiting: Option<(Job, u32)>,
    tries: u32,
    empties: u32,
    archive_at: Time,
    more: bool,
}

/// What is being asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Job {
    /// Nothing: the next look begins a query.
    Rest,
    /// One page of a query; the same text until the page is there.
    Page { query: String, page: u32, rows: bool, reached: Option<Time> },
    /// One page of the archive's list, and what the pages before it held.
    List { from: Time, to: Time, page: u32, documents: Vec<(Time, u64)> },
    /// The documents left to download, the oldest first.
    Download { documents: Vec<(Time, u64)> },
}

impl Api {
    pub fn new(plan: &LivePlan, wanted: &Wanted<'_>) -> Result<Self, FeedError> {
        let source = wanted.source;
        let refuse = |what: &str, mend: &str| FeedError::Whole {
            file: format!("source `{}`", without_secrets(source)),
            what: what.into(),
            mend: mend.into(),
        };
        let Some(credentials) = plan.credentials.clone() else {
            return Err(refuse("the API wants an account and a key", "name `credentials`"));
        };
        let path = source.split('?').next().unwrap_or_default();
        let parts = path.trim_end_matches('/').rsplit_once('/');
        let named = parts.and_then(|(above, _)| above.rsplit_once('/'));
        let Some((base, emil)) = named.filter(|_| split(path).is_some()) else {
            return Err(refuse(
                "it names no product",
                "write it like https://api.ercot.com/api/public-reports/np6-905-cd/\
                 spp_node_zone_hub",
            ));
        };
        if !can_query(source) {
            return Err(refuse(
                "no query is known for this product",
                "use np6-905-cd, np6-788-cd or np4-190-cd, or write the whole query after a `?`",
            ));
        }
        Ok(Self {
            base: base.to_owned(),
            emil: emil.to_owned(),
            token_url: plan.token.clone().unwrap_or_else(|| TOKEN_URL.to_owned()),
            credentials,
            zone: wanted.market.zone().clone(),
            role: wanted.role,
            point: wanted.point.clone(),
            every: wanted.every,
            catch_up: plan.catch_up,
            pace: Pace::new(source, wanted.every, plan.gap),
            memory: Memory::open(plan.memory.as_deref(), &without_secrets(source)),
            token: None,
            asked_token: false,
            refusals: 0,
            job: Job::Rest,
            query_at: Time::MIN,
            waiting: None,
            tries: 0,
            empties: 0,
            archive_at: Time::MIN,
            more: false,
            source: source.to_owned(),
        })
    }

    /// Whether there is a token that lasts for another while.
    fn has_token(&self, now: Time) -> bool {
        let fresh = |at: Time| (Span::ZERO..TOKEN_RENEWED_AFTER).contains(&now.since(at));
        self.token.as_ref().is_some_and(|(_, at)| fresh(*at))
    }

    fn sign_in(&self) -> Request {
        let who = &self.credentials;
        let pairs = [
            ("username", who.username.reveal()),
            ("password", who.password.reveal()),
            ("grant_type", "password"),
            ("scope", &format!("openid {CLIENT} offline_access")),
            ("client_id", CLIENT),
            ("response_type", "id_token"),
        ];
        let form: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let body = Some((FORM, Secret::new(form.join("&"))));
        Request { body, ..Request::get(&self.token_url) }
    }

    /// Asks with the token and the key.
    fn signed(&self, url: String, body: Option<String>) -> Request {
        let token = self.token.as_ref().map_or("", |(token, _)| token.reveal());
        Request {
            headers: vec![
                ("Authorization", Secret::new(format!("Bearer {token}"))),
                ("Ocp-Apim-Subscription-Key", self.credentials.subscription_key.clone()),
            ],
            body: body.map(|b| ("application/json", Secret::new(b))),
            ..Request::get(url)
        }
    }

    /// The query of a look, from what is there already to now; it stays the same over its pages.
    fn query(&mut self, now: Time) -> String {
        let horizon = now - self.catch_up;
        let through = self.memory.through().unwrap_or(horizon).clamp(horizon, now);
        let recent = now - QUERY_BACK;
        if through < recent && self.memory.owed().is_none() {
            self.memory.owe(Some((through, now)));
        }
        let Some((_, filter, timed)) = product(&self.source).filter(|_| !self.source.contains('?'))
        else {
            return format!("{}&size={PAGE_ROWS}", self.source);
        };
        // A day ahead is tomorrow's.
        let until = if self.role == PriceKind::DayAhead { now + Span::hours(24) } else { now };
        let stamp = |at: Time| {
            let text = self.local(at);
            if timed { text } else { text[..10].to_owned() }
        };
        // What was brought last is asked for again: it may have been corrected.
        let from = stamp(through.max(recent) - Span::hours(1));
        let mut query = format!(
            "{}?{filter}From={from}&{filter}To={}&settlementPoint={}",
            self.source,
            stamp(until),
            encoded(&self.point.name)
        );
        if filter == "deliveryDate" && !self.point.kind.is_empty() && self.emil == "np6-905-cd" {
            query += &format!("&settlementPointType={}", encoded(&self.point.kind));
        }
        query + &format!("&size={PAGE_ROWS}")
    }

    /// A moment on the market's clock, as the API takes it.
    fn local(&self, at: Time) -> String {
        let (day, second) = local::local_of(&self.zone, at);
        let date = Time::from_seconds(i64::from(day) * 86_400 + i64::from(second)).to_string();
        date[..19].to_owned()
    }

    /// Takes the first or next page of whatever is asked for, by its own count of pages.
    fn page(&mut self, reply: Reply) -> Found {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "_meta")]
            meta: Option<Meta>,
        }
        #[derive(Deserialize)]
        struct Meta {
            #[serde(rename = "totalPages")]
            total: Option<u32>,
        }
        let Job::Page { page, .. } = &self.job else { return Found::Nothing };
        let meta = serde_json::from_slice::<Answer>(&reply.body).ok().and_then(|a| a.meta);
        let total = meta.and_then(|m| m.total).unwrap_or(1).min(PAGES_MAX);
        self.more = *page < total;
        let name = format!("{} page {page} of {}", without_secrets(&self.source), total.max(1));
        Found::Document { name, posted: None, history: false, bytes: reply.body }
    }

    /// Takes a page of the archive's list.
    fn list(&mut self, now: Time, reply: &Reply) -> Found {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "_meta")]
            meta: Option<Meta>,
            #[serde(default)]
            archives: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Meta {
            #[serde(rename = "totalPages")]
            total: Option<u32>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "docId")]
            id: u64,
            #[serde(rename = "friendlyName")]
            name: Option<String>,
            #[serde(rename = "postDatetime")]
            posted: Option<String>,
        }
        let answer: Answer = match serde_json::from_slice(&reply.body) {
            Ok(answer) => answer,
            Err(e) => {
                self.pace.failed(now, None);
                let what = format!("its archive answered with no list of documents: {e}");
                return Found::Failed(what);
            }
        };
        let Job::List { page, documents, .. } = &mut self.job else { return Found::Nothing };
        let mut clock = local::LocalClock::new(self.zone.clone());
        for entry in answer.archives {
            let twin = entry.name.is_some_and(|n| n.to_ascii_lowercase().contains("xml"));
            let posted = entry.posted.as_deref().and_then(|t| local::stamp(t.as_bytes()));
            // Of a repeated hour the first pass: a posting only has to be in order.
            let first = local::Pass::First;
            let posted = posted.and_then(|(day, second, _)| {
                clock.utc(day, second, local::Pass::Unsaid).or(clock.utc(day, second, first)).ok()
            });
            if !twin && !self.memory.has(&entry.id.to_string()) {
                documents.push((posted.unwrap_or(Time::MIN), entry.id));
            }
        }
        let total = answer.meta.and_then(|m| m.total).unwrap_or(1).min(PAGES_MAX);
        self.pace.go_on(now);
        if *page < total && documents.len() < ARCHIVE_DOCUMENTS_MAX {
            *page += 1;
            return Found::Nothing;
        }
        let mut documents = std::mem::take(documents);
        documents.sort_unstable();
        // The oldest are left to the next time.
        let old = documents.len().saturating_sub(ARCHIVE_DOCUMENTS_MAX);
        documents.drain(..old);
        match documents.is_empty() {
            true => self.caught_up(now),
            false => self.job = Job::Download { documents },
        }
        Found::Nothing
    }

    fn caught_up(&mut self, now: Time) {
        self.memory.owe(None);
        self.job = Job::Rest;
        self.pace.go_on(now);
    }

    /// After a query: into the archive where something is owed, else to rest.
    fn after_query(&mut self, now: Time) {
        self.query_at = now + self.pace.spread(self.every);
        self.pace.go_on(now);
        if let Some((job, tries)) = self.waiting.take() {
            (self.job, self.tries) = (job, tries);
            return;
        }
        self.job = Job::Rest;
        let horizon = now - self.catch_up;
        if self.empties >= EMPTY_RUN_MAX && self.memory.owed().is_none() {
            let from = self.memory.through().unwrap_or(horizon).clamp(horizon, now);
            self.memory.owe(Some((from, now)));
        }
        // A clock set back must not keep the archive shut.
        self.archive_at = self.archive_at.min(now + ARCHIVE_EVERY);
        if let Some((from, to)) = self.memory.owed().filter(|_| now >= self.archive_at) {
            self.archive_at = now + ARCHIVE_EVERY;
            let (from, to) = (from.max(horizon), to.max(horizon));
            self.job = Job::List { from, to, page: 1, documents: Vec::new() };
        }
    }

    /// What is asked for next: prices of now come before history.
    fn choose(&mut self, now: Time) {
        // As the pace does, for a clock that was set back.
        self.query_at = self.query_at.min(now + Span(self.every.0.saturating_mul(2)));
        if now < self.query_at || matches!(self.job, Job::Page { .. }) {
            return;
        }
        let query = self.query(now);
        let job = Job::Page { query, page: 1, rows: false, reached: None };
        let before = std::mem::replace(&mut self.job, job);
        let tries = std::mem::take(&mut self.tries);
        self.waiting = (before != Job::Rest).then_some((before, tries));
    }

    fn token(&mut self, now: Time, reply: &Reply) -> Found {
        #[derive(Deserialize)]
        struct Answer {
            id_token: String,
        }
        let what = match reply.status {
            200 => match serde_json::from_slice::<Answer>(&reply.body) {
                Ok(answer) if !answer.id_token.is_empty() => {
                    self.token = Some((Secret::new(answer.id_token), now));
                    self.pace.go_on(now);
                    return Found::Nothing;
                }
                // The error is not told: it may quote what was sent.
                _ => "the token service answered without an id_token".to_owned(),
            },
            400 | 401 => format!(
                "the token service refused to sign in with status {}; check username and \
                 password in the credentials",
                reply.status
            ),
            _ => format!("signing in failed: {}", reply.refusal()),
        };
        self.pace.failed(now, reply.wait(now));
        Found::Failed(what)
    }

    /// The token was refused: a new one at once, later ones ever later.
    fn unauthorized(&mut self, now: Time) -> Found {
        self.token = None;
        self.refusals += 1;
        if self.refusals == 1 {
            self.pace.go_on(now);
            return Found::Nothing;
        }
        self.pace.failed(now, None);
        let what = "it refuses a new token, too; check the subscription key in the credentials";
        Found::Failed(what.into())
    }
}

/// Percent-encodes a value of a form or a query.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(b));
            }
            _ => out += &format!("%{b:02X}"),
        }
    }
    out
}

impl Live for Api {
    fn next_at(&self) -> Time {
        let due = if self.job == Job::Rest { self.query_at } else { Time::MIN };
        due.max(self.pace.next_at())
    }

    fn request(&mut self, now: Time) -> Option<Request> {
        self.memory.save();
        if !self.pace.is_due(now) {
            return None;
        }
        self.choose(now);
        self.asked_token = self.job != Job::Rest && !self.has_token(now);
        if self.asked_token {
            return Some(self.sign_in());
        }
        Some(match &self.job {
            Job::Page { query, page, .. } => self.signed(format!("{query}&page={page}"), None),
            Job::List { from, to, page, .. } => {
                let (base, emil) = (&self.base, &self.emil);
                let (from, to) = (self.local(*from), self.local(*to));
                let url = format!(
                    "{base}/archive/{emil}?postDatetimeFrom={from}&postDatetimeTo={to}\
                     &size=1000&page={page}"
                );
                self.signed(url, None)
            }
            Job::Download { documents } => {
                let batch = documents.iter().take(ARCHIVE_BATCH_MAX);
                let ids: Vec<String> = batch.map(|(_, id)| id.to_string()).collect();
                let url = format!("{}/archive/{}/download", self.base, self.emil);
                self.signed(url, Some(format!("{{\"docIds\":[{}]}}", ids.join(","))))
            }
            Job::Rest => return None,
        })
    }

    fn reply(&mut self, now: Time, reply: Result<Reply, String>) -> Found {
        let asked_token = std::mem::take(&mut self.asked_token);
        let reply = match reply {
            Ok(reply) => reply,
            Err(e) => {
                self.pace.failed(now, None);
                return Found::Failed(e);
            }
        };
        if asked_token {
            return self.token(now, &reply);
        }
        match reply.status {
            200 if is_web_page(&reply.body) => {
                self.pace.failed(now, None);
                return Found::Failed(WEB_PAGE.into());
            }
            200 => self.refusals = 0,
            401 => return self.unauthorized(now),
            _ => {
                self.pace.failed(now, reply.wait(now));
                return Found::Failed(reply.refusal());
            }
        }
        match &self.job {
            Job::Page { .. } => self.page(reply),
            Job::List { .. } => self.list(now, &reply),
            Job::Download { documents } => {
                let batch = &documents[..documents.len().min(ARCHIVE_BATCH_MAX)];
                let name = format!("archive of {}, {} documents", self.emil, batch.len());
                // As old as the oldest: what is there already came later, or is the same.
                let posted = batch.first().map(|(posted, _)| *posted);
                Found::Document { name, posted, history: true, bytes: reply.body }
            }
            Job::Rest => Found::Nothing,
        }
    }

    fn judged(&mut self, now: Time, verdict: Verdict) -> bool {
        let first = self.tries == 0;
        if verdict == Verdict::Unusable && self.tries + 1 < TRIES_MAX {
            self.tries += 1;
            self.pace.failed(now, None);
            return first;
        }
        self.tries = 0;
        let end = if let Verdict::Taken(end) = verdict { end } else { None };
        match &mut self.job {
            Job::Page { page, rows, reached, .. } => {
                *rows |= matches!(verdict, Verdict::Taken(_));
                *reached = (*reached).max(end);
                if self.more && verdict != Verdict::Unusable {
                    *page += 1;
                    self.pace.go_on(now);
                    return first;
                }
                let (any, reached) = (*rows, *reached);
                // Not before the last page: a restart asks for the others again.
                if let Some(end) = reached.filter(|_| verdict != Verdict::Unusable) {
                    self.memory.reach(end);
                }
                let empty = !any && verdict == Verdict::NoRows;
                self.empties = if empty { self.empties.saturating_add(1) } else { 0 };
                self.after_query(now);
            }
            Job::Download { documents } => {
                let batch = documents.len().min(ARCHIVE_BATCH_MAX);
                for (_, id) in documents.drain(..batch) {
                    self.memory.fetch(id.to_string());
                }
                let done = documents.is_empty();
                if let Some(end) = end {
                    self.memory.reach(end);
                }
                if done { self.caught_up(now) } else { self.pace.go_on(now) }
            }
            Job::List { .. } | Job::Rest => self.pace.rest(now),
        }
        first
    }

    fn complaint(&mut self) -> Option<String> {
        self.memory.complaint()
    }
}

//! A server that lists documents: ERCOT's market information system and AEMO's NEMWeb.
//!
//! The newest document comes first, so that a price is acted on before history is caught up;
//! the list is asked again on time even while there is history left to fetch.

use super::memory::Memory;
use super::{Found, Live, LiveKind, LivePlan, Verdict, Wanted, split};
use crate::error::FeedError;
use crate::http::{Condition, Pace, Reply, Request, WEB_PAGE, is_web_page, without_secrets};
use crate::limits::{DOCUMENTS_MAX, LISTING_BYTES_MAX, TRIES_MAX};
use crate::local::{self, LocalClock, Pass};
use headgate_core::time::{Span, Time};
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::collections::VecDeque;

/// Follows a list of documents.
#[derive(Debug)]
pub(crate) struct Listing {
    kind: LiveKind,
    url: String,
    /// Scheme and host: nothing is fetched from anywhere else.
    host: String,
    zone: TimeZone,
    every: Span,
    catch_up: Span,
    pace: Pace,
    list_at: Time,
    condition: Condition,
    memory: Memory,
    queue: VecDeque<Document>,
    asked: Asked,
    tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    List,
    Document,
}

/// One document of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Document {
    id: String,
    name: String,
    url: String,
    posted: Option<Time>,
}

impl Listing {
    pub fn new(plan: &LivePlan, wanted: &Wanted<'_>) -> Result<Self, FeedError> {
        let url = wanted.source;
        let Some((host, _)) = split(url) else {
            return Err(FeedError::Whole {
                file: format!("source `{}`", without_secrets(url)),
                what: "it is no address of a list".into(),
                mend: "write https://... with the list's path".into(),
            });
        };
        Ok(Self {
            kind: plan.kind,
            host: host.to_owned(),
            zone: wanted.market.zone().clone(),
            every: wanted.every,
            catch_up: plan.catch_up,
            pace: Pace::new(url, wanted.every, plan.gap),
            list_at: Time::MIN,
            condition: Condition::default(),
            memory: Memory::open(plan.memory.as_deref(), &nameless(url)),
            queue: VecDeque::new(),
            asked: Asked::Nothing,
            tries: 0,
            url: url.to_owned(),
        })
    }

    fn listed(&mut self, now: Time, reply: Reply) -> Found {
        let read = match self.kind {
            _ if reply.body.len() > LISTING_BYTES_MAX => {
                Err(format!("its list has more than {LISTING_BYTES_MAX} bytes"))
            }
            LiveKind::AemoNemweb => self.links(&reply.body),
            _ if is_web_page(&reply.body) => Err(WEB_PAGE.to_owned()),
            _ => self.documents(&reply.body),
        };
        let documents = match read {
            Ok(documents) => documents,
            Err(what) => {
                self.condition = Condition::default();
                self.pace.failed(now, None);
                return Found::Failed(what);
            }
        };
        self.condition = reply.condition;
        let empty = documents.is_empty();
        self.line_up(documents);
        self.listed_at(now);
        if empty { Found::Empty } else { Found::Fine }
    }

    /// Settles when to list again, and goes on with what is left to fetch.
    fn listed_at(&mut self, now: Time) {
        self.list_at = now + self.pace.spread(self.every);
        self.pace.go_on(now);
    }

    /// Puts what is new in line, the newest first, back to the bound.
    fn line_up(&mut self, mut documents: Vec<Document>) {
        documents.sort_by(|a, b| (b.posted, &b.name).cmp(&(a.posted, &a.name)));
        documents.dedup_by(|a, b| a.id == b.id);
        documents.truncate(DOCUMENTS_MAX);
        // Counted from the newest document and not from a clock that may be wrong.
        let newest = documents.iter().find_map(|d| d.posted);
        let wanted = |d: &Document| match (newest, d.posted) {
            (Some(newest), Some(posted)) => posted >= newest - self.catch_up,
            _ => true,
        };
        let fresh = documents.into_iter().filter(|d| wanted(d) && !self.memory.has(&d.id));
        let fresh: VecDeque<Document> = fresh.collect();
        let head = |q: &VecDeque<Document>| q.front().map(|d| d.id.clone());
        if head(&fresh) != head(&self.queue) {
            self.tries = 0;
        }
        self.queue = fresh;
    }

    /// The documents of ERCOT's list in JSON, without the XML twins.
    fn documents(&self, body: &[u8]) -> Result<Vec<Document>, String> {
        #[derive(Deserialize)]
        struct Whole {
            #[serde(rename = "ListDocsByRptTypeRes")]
            list: List,
        }
        #[derive(Deserialize)]
        struct List {
            #[serde(rename = "DocumentList", default)]
            documents: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "Document")]
            document: Raw,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Raw {
            #[serde(rename = "DocID")]
            id: String,
            constructed_name: Option<String>,
            friendly_name: Option<String>,
            publish_date: Option<String>,
        }
        let whole: Whole = serde_json::from_slice(body)
            .map_err(|e| format!("it answered with something that is no list of documents: {e}"))?;
        let document = |entry: Entry| {
            let raw = entry.document;
            let twin = |n: &Option<String>| {
                n.as_deref().is_some_and(|n| n.to_ascii_lowercase().contains("xml"))
            };
            if twin(&raw.constructed_name) || twin(&raw.friendly_name) {
                return None;
            }
            let plain = !raw.id.is_empty() && raw.id.bytes().all(|b| b.is_ascii_alphanumeric());
            plain.then(|| Document {
                url: format!(
                    "{}/misdownload/servlets/mirDownload?doclookupId={}",
                    self.host, raw.id
                ),
                name: raw.constructed_name.unwrap_or_else(|| format!("document {}", raw.id)),
                posted: raw.publish_date.and_then(|t| local::utc(t.as_bytes())),
                id: raw.id,
            })
        };
        Ok(whole.list.documents.into_iter().filter_map(document).collect())
    }

    /// The zips a NEMWeb folder links to; the stamp in a name is when it was posted.
    fn links(&self, body: &[u8]) -> Result<Vec<Document>, String> {
        let text = String::from_utf8_lossy(body);
        let lower = text.to_ascii_lowercase();
        let mut clock = LocalClock::new(self.zone.clone());
        let (mut all, mut at) = (Vec::new(), 0);
        while let Some(found) = lower[at..].find("href=\"") {
            let from = at + found + 6;
            let Some(length) = lower[from..].find('"') else { break };
            at = from + length;
            let link = &text[from..at];
            let name = link.rsplit('/').next().unwrap_or_default();
            let upper = name.to_ascii_uppercase();
            if !upper.starts_with("PUBLIC_") || !upper.ends_with(".ZIP") {
                continue;
            }
            let url = match link {
                _ if link.starts_with("http") => link.to_owned(),
                _ if link.starts_with('/') => format!("{}{link}", self.host),
                _ => format!("{}/{link}", self.url.trim_end_matches('/')),
            };
            if split(&url).is_none_or(|(host, _)| host != self.host) {
                continue;
            }
            let posted = stamp(name, &mut clock);
            all.push(Document { id: name.to_owned(), name: name.to_owned(), url, posted });
        }
        match all.is_empty() && !lower.contains("href=") {
            true => Err("it answered with something that is no folder of files".to_owned()),
            false => Ok(all),
        }
    }
}

/// The moment a name such as `PUBLIC_DISPATCHIS_202401010005_...` carries.
fn stamp(name: &str, clock: &mut LocalClock) -> Option<Time> {
    let digits = |part: &&str| part.len() >= 12 && part.bytes().all(|b| b.is_ascii_digit());
    let part = name.split(['_', '.']).find(digits)?;
    let day = format!("{}-{}-{}", &part[..4], &part[4..6], &part[6..8]);
    let day = local::date(day.as_bytes())?;
    let (second, _) = local::clock(format!("{}:{}", &part[8..10], &part[10..12]).as_bytes())?;
    clock.utc(day, second, Pass::Unsaid).ok()
}

impl Live for Listing {
    fn next_at(&self) -> Time {
        let due = if self.queue.is_empty() { self.list_at } else { Time::MIN };
        due.max(self.pace.next_at())
    }

    fn request(&mut self, now: Time) -> Option<Request> {
        self.memory.save();
        if !self.pace.is_due(now) {
            return None;
        }
        // As the pace does, for a clock that was set back.
        self.list_at = self.list_at.min(now + Span(self.every.0.saturating_mul(2)));
        if now >= self.list_at {
            self.asked = Asked::List;
            let condition = self.condition.clone();
            return Some(Request { condition, ..Request::get(&self.url) });
        }
        let url = &self.queue.front()?.url;
        self.asked = Asked::Document;
        Some(Request::get(url))
    }

    fn reply(&mut self, now: Time, reply: Result<Reply, String>) -> Found {
        let asked = std::mem::replace(&mut self.asked, Asked::Nothing);
        let reply = match reply {
            Ok(reply) => reply,
            Err(e) => {
                self.pace.failed(now, None);
                return Found::Failed(e);
            }
        };
        match (asked, reply.status) {
            (Asked::List, 304) => {
                self.listed_at(now);
                Found::Fine
            }
            (Asked::List, 200) => self.listed(now, reply),
            (Asked::Document, 200) => {
                let Some(document) = self.queue.front() else { return Found::Nothing };
                let (name, posted) = (document.name.clone(), document.posted);
                Found::Document { name, posted, history: false, bytes: reply.body }
            }
            (Asked::Document, 404 | 410) => {
                let name = self.queue.front().map_or_else(String::new, |d| d.name.clone());
                match self.judged(now, Verdict::Unusable) {
                    true => Found::Failed(format!("{name} is in its list and not to be had")),
                    false => Found::Nothing,
                }
            }
            _ => {
                self.pace.failed(now, reply.wait(now));
                Found::Failed(reply.refusal())
            }
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
        if let Verdict::Taken(Some(end)) = verdict {
            self.memory.reach(end);
        }
        if let Some(document) = self.queue.pop_front() {
            self.memory.fetch(document.id);
        }
        self.pace.go_on(now);
        first
    }

    fn complaint(&mut self) -> Option<String> {
        self.memory.complaint()
    }
}

/// What tells a source from another, without what may be secret in its address.
fn nameless(url: &str) -> String {
    let hash = blake3::hash(url.as_bytes()).to_hex();
    format!("{} {}", crate::http::without_secrets(url), &hash[..16])
}

//! Live sources against a server on loopback that misbehaves, in virtual time.

mod api;
mod lists;
mod server;

use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::time::{Span, Time};
use headgate_feeds::live::{LiveKind, LivePlan};
use headgate_feeds::{FeedItem, FollowPlan, Follower, Market, settlement_point};
use server::Server;

/// Noon in Texas on 10 April 2025.
pub const NOON: Time = Time::from_seconds(1_744_304_400);

pub fn live(kind: LiveKind) -> LivePlan {
    LivePlan {
        kind,
        catch_up: Span::hours(24),
        gap: Span::millis(2_500),
        credentials: None,
        token: None,
        memory: None,
    }
}

pub fn plan(source: String, live: LivePlan) -> FollowPlan {
    FollowPlan {
        source,
        parser: None,
        role: PriceKind::Settlement,
        point: settlement_point("LZ_WEST", "LZ"),
        every: Span::minutes(1),
        live: Some(live),
    }
}

/// One quarter hour of 10 April 2025 as ERCOT posts it, zipped.
pub fn quarter(hour: u32, quarter: u32, price: &str) -> Vec<u8> {
    let text =
        format!("{}04/10/2025,{hour},{quarter},LZ_WEST,LZ,{price},N\n", crate::common::SPP_HEADER);
    crate::common::pack_zip(&[("spp.csv", text.as_bytes())])
}

/// A follower, its server and the virtual time of both.
pub struct Bench {
    pub follower: Follower,
    pub server: Server,
    pub now: Time,
    /// When each request went out.
    pub asked: Vec<Time>,
}

impl Bench {
    pub fn new(market: &str, plan: FollowPlan, server: Server) -> Self {
        let follower = Follower::new(plan, Market::shipped(market).unwrap()).unwrap();
        Self { follower, server, now: NOON, asked: Vec::new() }
    }

    /// Looks until so much later: what was asked and what was told, in their order.
    pub fn run(&mut self, length: Span) -> String {
        let end = self.now + length;
        let mut told = Vec::new();
        while self.now < end {
            let items = self.follower.poll(self.now);
            let log = self.server.take_log();
            self.asked.extend(log.iter().map(|_| self.now));
            told.extend(log);
            told.extend(items.iter().map(|i| format!("  {}", show(i))));
            assert!(self.follower.next_at() > self.now, "a look comes to an end");
            self.now = self.follower.next_at();
        }
        let told = told.join("\n").replace(&self.server.host(), "HOST");
        let told = told.replace("/api/public-reports", "/API");
        without_seconds(&told.replace("/misapp/servlets/IceDocListJsonWS", "/LIST"))
    }

    /// The pauses between requests, in whole seconds.
    pub fn pauses(&self) -> Vec<i64> {
        self.asked.windows(2).map(|w| w[1].since(w[0]).as_seconds()).collect()
    }

    /// No two requests are nearer than the pace, and no minute has more than 30.
    pub fn check_pace(&self) {
        for pair in self.asked.windows(2) {
            assert!(pair[1].since(pair[0]) >= Span::millis(2_500), "{:?}", self.pauses());
        }
        for many in self.asked.windows(31) {
            assert!(many[30].since(many[0]) > Span::minutes(1), "{:?}", self.pauses());
        }
    }
}

/// A port draws the spread of the requests, so seconds of a run differ by a few.
fn without_seconds(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n', '&']).map(|word| {
        let stamped = word.find("2025-04-").filter(|at| word[*at..].len() >= 20);
        match stamped.filter(|at| word.as_bytes()[at + 10] == b'T') {
            Some(at) => format!("{}..{}", &word[..at + 16], &word[at + 19..]),
            None => word.to_owned(),
        }
    });
    words.collect()
}

fn show(item: &FeedItem) -> String {
    let row = |r: &PriceRow| format!("{} {}", &r.interval.start.to_string()[5..16], r.price);
    match item {
        FeedItem::Prices { rows, .. } => rows.iter().map(row).collect::<Vec<_>>().join(", "),
        FeedItem::Rejected { error } => format!("rejected: {error}"),
        FeedItem::Noted { text } => format!("noted: {text}"),
    }
}

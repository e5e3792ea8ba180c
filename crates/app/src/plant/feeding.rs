//! Where prices come from: a replay on the plant's own clock, or followers in threads of their
//! own.

use headgate_core::event::{Event, FeedId};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::site::Site;
use headgate_core::time::{Span, Time};
use headgate_feeds::follow::{FeedItem, FollowPlan, Follower};
use headgate_feeds::market::Market;
use headgate_feeds::parse::FileKind;
use headgate_feeds::replay::Replay;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long before its beginning a replay still brings what was known: as long as the engine
/// remembers a price.
const LOOK_BACK: Span = Span::hours(72);
/// How often a source is looked at.
const FOLLOW_EVERY: Span = Span::seconds(2);
/// Shortest and longest sleep of a follower's thread.
const FOLLOW_LEAST: Duration = Duration::from_millis(50);
const FOLLOW_MOST: Duration = Duration::from_secs(5);

/// What a feed brings: prices, or one sentence about what was wrong.
#[derive(Debug)]
pub struct FeedMessage {
    pub feed: FeedId,
    pub item: Result<(PriceKind, Vec<PriceRow>), String>,
}

/// The source of prices.
pub enum Prices {
    /// They come through the inbox.
    Live,
    /// They were recorded; each is handed over when it could be known.
    Recorded {
        replay: Replay,
        /// The feed that takes rows of each kind.
        feeds: Vec<(PriceKind, FeedId)>,
    },
}

impl Prices {
    /// A replay into the feeds of a site; kinds no feed takes are left out.
    pub fn recorded(replay: Replay, site: &Site) -> Self {
        let kinds = [PriceKind::Dispatch, PriceKind::Settlement, PriceKind::DayAhead];
        let feeds =
            kinds.iter().filter_map(|k| super::feed_for(site, *k).map(|f| (*k, f))).collect();
        Self::Recorded { replay, feeds }
    }

    /// Leaves out recorded prices known so long before `begin` that nothing looks at them any
    /// more; what a start in the middle still needs is kept.
    pub fn skip_until(&mut self, begin: Time) {
        if let Self::Recorded { replay, .. } = self {
            // They are of no use to anybody: dropping them is the point.
            let _ = replay.due(begin - LOOK_BACK);
        }
    }

    /// When the next recorded price becomes known.
    pub fn next_at(&self) -> Option<Time> {
        match self {
            Self::Live => None,
            Self::Recorded { replay, .. } => replay.next_at(),
        }
    }

    /// What has become known by now, one event a kind.
    pub fn due(&mut self, now: Time) -> Vec<Event> {
        let Self::Recorded { replay, feeds } = self else { return Vec::new() };
        let mut kinds: BTreeMap<PriceKind, Vec<PriceRow>> = BTreeMap::new();
        for known in replay.due(now).unwrap_or_default() {
            kinds.entry(known.kind).or_default().extend(known.rows);
        }
        let taken = |(kind, rows)| {
            let feed = feeds.iter().find(|(k, _)| *k == kind)?.1;
            Some(Event::Prices { feed, kind, rows })
        };
        kinds.into_iter().filter_map(taken).collect()
    }
}

/// Follows every feed of a site, each in a thread of its own, until the receiver is gone.
///
/// # Errors
/// When the system gives no thread, or a feed's source cannot be followed at all.
pub fn follow(
    site: &Site,
    market: &Market,
    into: &mpsc::Sender<FeedMessage>,
) -> anyhow::Result<()> {
    for (i, feed) in site.feeds.iter().enumerate() {
        let id = FeedId(u16::try_from(i)?);
        let plan = FollowPlan {
            source: feed.source.clone(),
            parser: FileKind::from_name(&feed.parser),
            role: feed.role,
            point: site.point.clone(),
            every: FOLLOW_EVERY,
        };
        let mut follower = Follower::new(plan, market.clone())?;
        let into = into.clone();
        std::thread::Builder::new().name(format!("feed-{}", feed.name)).spawn(move || {
            loop {
                for item in follower.poll(crate::clock::wall_now()) {
                    let item = match item {
                        FeedItem::Prices { kind, rows } => Ok((kind, rows)),
                        FeedItem::Rejected { error } => Err(error),
                    };
                    if into.blocking_send(FeedMessage { feed: id, item }).is_err() {
                        return;
                    }
                }
                if into.is_closed() {
                    return;
                }
                let pause = follower.next_at().since(crate::clock::wall_now()).0.max(0);
                let pause = Duration::from_nanos(u64::try_from(pause).unwrap_or(0));
                std::thread::sleep(pause.clamp(FOLLOW_LEAST, FOLLOW_MOST));
            }
        })?;
    }
    Ok(())
}

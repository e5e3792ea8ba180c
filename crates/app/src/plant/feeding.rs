//! Where prices come from: a replay on the plant's own clock, or followers in threads of their
//! own.

use crate::config::{CredentialsSource, LiveFeed, Loaded};
use headgate_core::event::{Event, FeedId};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::site::{Feed, Site};
use headgate_core::time::{Span, Time};
use headgate_feeds::follow::{FeedItem, FollowPlan, Follower};
use headgate_feeds::http::Secret;
use headgate_feeds::limits::REQUEST_GAP;
use headgate_feeds::live::{Credentials, LiveKind, LivePlan};
use headgate_feeds::market::Market;
use headgate_feeds::parse::FileKind;
use headgate_feeds::replay::Replay;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
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
        let feeds = PriceKind::ALL
            .iter()
            .filter_map(|k| super::feed_for(site, *k).map(|f| (*k, f)))
            .collect();
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

/// How one feed's source is.
#[derive(Debug, Clone, Default)]
pub struct FeedHealth {
    /// When a look last went well.
    pub ok: Option<Time>,
    /// When something last went wrong, and what.
    pub error: Option<(Time, String)>,
}

/// How the sources of all feeds are: written by their threads, read for the status.
#[derive(Debug, Clone, Default)]
pub struct FeedBoard(Arc<Mutex<Vec<FeedHealth>>>);

impl FeedBoard {
    /// How one is; of a feed nobody follows nothing is known.
    pub fn of(&self, feed: usize) -> FeedHealth {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(feed).cloned().unwrap_or_default()
    }

    fn set(&self, feed: usize, change: impl FnOnce(&mut FeedHealth)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= feed {
            all.resize_with(feed + 1, FeedHealth::default);
        }
        change(&mut all[feed]);
    }
}

/// Follows every feed of a site, each in a thread of its own, until the receiver is gone.
///
/// # Errors
/// When the system gives no thread, or a feed's source cannot be followed at all.
pub fn follow(
    loaded: &Loaded,
    site: &Site,
    market: &Market,
    folder: &Path,
    into: &mpsc::Sender<FeedMessage>,
) -> anyhow::Result<FeedBoard> {
    let board = FeedBoard::default();
    for (i, (feed, how)) in site.feeds.iter().zip(&loaded.live).enumerate() {
        let id = FeedId(u16::try_from(i)?);
        let live = live_plan(feed, how, folder)?;
        let every = live.as_ref().map_or(FOLLOW_EVERY, |l| l.kind.every());
        let plan = FollowPlan {
            source: feed.source.clone(),
            parser: FileKind::from_name(&feed.parser),
            role: feed.role,
            point: site.point.clone(),
            every: how.every.unwrap_or(every),
            live,
        };
        let mut follower = Follower::new(plan, market.clone())?;
        let (into, board, name) = (into.clone(), board.clone(), feed.name.clone());
        std::thread::Builder::new().name(format!("feed-{name}")).spawn(move || {
            loop {
                let now = crate::clock::wall_now();
                let items = follower.poll(now);
                board.set(i, |health| health.ok = follower.last_ok());
                for item in items {
                    let item = match item {
                        FeedItem::Prices { kind, rows } => Ok((kind, rows)),
                        FeedItem::Rejected { error } => {
                            board.set(i, |health| health.error = Some((now, error.clone())));
                            Err(error)
                        }
                        FeedItem::Noted { text } => {
                            tracing::warn!("feed `{name}`: {text}");
                            board.set(i, |health| health.error = Some((now, text)));
                            continue;
                        }
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
    Ok(board)
}

/// How a server is followed; `None` for a file or a plain address.
fn live_plan(feed: &Feed, how: &LiveFeed, folder: &Path) -> anyhow::Result<Option<LivePlan>> {
    let Some(kind) = LiveKind::from_name(&feed.parser) else { return Ok(None) };
    let credentials = how.credentials.as_ref().map(credentials).transpose()?;
    // The name is the owner's and may hold anything; a file's name may not.
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = feed.name.chars().map(plain).collect();
    Ok(Some(LivePlan {
        kind,
        catch_up: how.catch_up,
        gap: REQUEST_GAP,
        credentials,
        token: how.token.clone(),
        memory: Some(folder.join("feeds").join(format!("{name}.json"))),
    }))
}

/// Reads an account's name, password and key from where they are kept.
fn credentials(source: &CredentialsSource) -> anyhow::Result<Credentials> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Kept {
        username: String,
        password: String,
        subscription_key: String,
    }
    let keys = ["username", "password", "subscription_key"];
    let kept: Kept = crate::kept::read(source, &keys)?;
    Ok(Credentials {
        username: Secret::new(kept.username),
        password: Secret::new(kept.password),
        subscription_key: Secret::new(kept.subscription_key),
    })
}

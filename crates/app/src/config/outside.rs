//! What the site is connected to: feeds.

use super::raw::{FeedKind, Named, RawCredentials, RawFeed, Role, Spanned};
use super::resolve::Check;
use super::{CredentialsSource, LiveFeed};
use headgate_core::limits::FEEDS_MAX;
use headgate_core::market::PriceKind;
use headgate_core::site::Feed;
use headgate_core::time::Span;
use headgate_feeds::live::{LiveKind, ercot_api};
use std::path::Path;

/// How far back a live source is caught up on, where the file names nothing.
const CATCH_UP: Span = Span::hours(24);
/// The farthest that may be asked for: a week is what servers keep everywhere.
const CATCH_UP_MAX: Span = Span::hours(24 * 7);
/// Shortest pause between two looks at a file or an address.
const EVERY_MIN: Span = Span::seconds(1);
/// Shortest pause between two looks at a market's server.
const LIVE_EVERY_MIN: Span = Span::seconds(10);

/// Feeds in file order, and how each is followed.
pub(super) fn feeds(check: &mut Check<'_>, raw: &Named<RawFeed>) -> (Vec<Feed>, Vec<LiveFeed>) {
    if let Some((name, _)) = raw.0.get(FEEDS_MAX) {
        check.wrong(&name.span(), format!("a site has at most {FEEDS_MAX} feeds: join some"));
    }
    let (mut all, mut live): (Vec<Feed>, Vec<LiveFeed>) = (Vec::new(), Vec::new());
    for (name, feed) in &raw.0 {
        let (role, stale_after) = match feed.role.get_ref() {
            Role::DispatchPrice => (PriceKind::Dispatch, Span::minutes(11)),
            Role::SettlementPrice => (PriceKind::Settlement, Span::minutes(40)),
            Role::DayAhead => (PriceKind::DayAhead, Span::hours(30)),
            Role::LookAhead => (PriceKind::LookAhead, Span::minutes(11)),
        };
        let (parser, brings) = kind(*feed.kind.get_ref());
        if let Some((_, fitting)) = brings.filter(|(kind, _)| *kind != role) {
            let message = format!("`{parser}` files hold another price: use role `{fitting}`");
            check.wrong(&feed.role.span(), message);
        }
        let rank = feed.rank.unwrap_or(1);
        if let Some(twin) = all.iter().find(|f| f.role == role && f.rank == rank) {
            let message = format!("it has the role and rank of `{}`, which goes first", twin.name);
            check.warn(&name.span(), &message);
        }
        live.push(followed(check, feed, LiveKind::from_name(parser), role));
        all.push(Feed {
            name: check.name(name),
            role,
            rank,
            parser: parser.to_owned(),
            source: source(check, &feed.source),
            stale_after: check.positive(feed.stale_after.as_ref(), stale_after),
        });
    }
    if all.iter().all(|f| matches!(f.role, PriceKind::DayAhead | PriceKind::LookAhead)) {
        check.warn_of("feeds", "none brings a real-time price; only `--replay` will");
    }
    (all, live)
}

/// How a feed is followed, and whether its keys go together.
fn followed(
    check: &mut Check<'_>,
    feed: &RawFeed,
    kind: Option<LiveKind>,
    role: PriceKind,
) -> LiveFeed {
    let source = feed.source.get_ref().as_str();
    let every = feed.every.as_ref().map(|every| {
        let least = if kind.is_some() { LIVE_EVERY_MIN } else { EVERY_MIN };
        if every.get_ref().0 < least {
            check.wrong(&every.span(), format!("a source is looked at once in {least} at most"));
        }
        every.get_ref().0
    });
    let strangers = [
        (
            feed.catch_up.as_ref().map(Spanned::span),
            kind.is_some(),
            "a live kind such as `ercot_mis`",
        ),
        (feed.token.as_ref().map(Spanned::span), kind == Some(LiveKind::ErcotApi), "`ercot_api`"),
        (
            feed.credentials.as_ref().map(Spanned::span),
            kind == Some(LiveKind::ErcotApi),
            "`ercot_api`",
        ),
    ];
    for (at, fits, whose) in strangers {
        if let Some(at) = at.filter(|_| !fits) {
            check.wrong(&at, format!("this is for {whose}: take it out"));
        }
    }
    if let Some(kind) = kind {
        if source.starts_with("file:") {
            let message = format!("`{kind}` follows a server: write its https: address");
            check.wrong(&feed.source.span(), message);
        }
        if kind == LiveKind::ErcotDashboard && role == PriceKind::Dispatch {
            let message =
                "a dashboard has no dispatch prices: use `settlement_price` or `day_ahead`";
            check.wrong(&feed.role.span(), message);
        }
        if kind == LiveKind::ErcotApi {
            account(check, feed);
        }
    }
    let catch_up = feed.catch_up.as_ref().map_or(CATCH_UP, |t| t.get_ref().0);
    if let Some(at) = feed.catch_up.as_ref().filter(|_| catch_up > CATCH_UP_MAX) {
        check.wrong(&at.span(), format!("at most {CATCH_UP_MAX}: import older prices from files"));
    }
    let credentials = feed.credentials.as_ref().and_then(|c| credentials(check, c));
    LiveFeed {
        every,
        catch_up,
        credentials,
        token: feed.token.as_ref().map(|t| t.get_ref().clone()),
    }
}

/// The Public API wants an account, a known product, and a wire nobody listens on.
fn account(check: &mut Check<'_>, feed: &RawFeed) {
    let source = feed.source.get_ref();
    if feed.credentials.is_none() {
        let message = "`ercot_api` needs an account: add `credentials = { file = \"..\" }`";
        check.wrong(&feed.kind.span(), message);
    }
    for address in std::iter::once(&feed.source).chain(&feed.token) {
        let open = address.get_ref().strip_prefix("http://");
        let own = |rest: &str| {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            ["127.0.0.1", "localhost"].contains(&host)
        };
        if open.is_some_and(|host| !own(host)) {
            check.wrong(&address.span(), "a password never goes over http: write https://");
        }
    }
    if !ercot_api::can_query(source) {
        let message =
            "no query is known for this product: use np6-905-cd, np6-788-cd or np4-190-cd";
        check.wrong(&feed.source.span(), message);
    }
}

/// Where a secret is kept, once it is one place.
pub(super) fn credentials(
    check: &mut Check<'_>,
    raw: &Spanned<RawCredentials>,
) -> Option<CredentialsSource> {
    match (&raw.get_ref().file, &raw.get_ref().env) {
        (Some(file), None) => {
            let path = check.file.resolve_path(file);
            if !path.is_file() {
                let message = format!("there is no file {}: write it there", path.display());
                check.wrong(&raw.span(), message);
            }
            Some(CredentialsSource::File(path))
        }
        (None, Some(env)) => Some(CredentialsSource::Env(env.clone())),
        _ => {
            check.wrong(&raw.span(), "write either { file = \"..\" } or { env = \"..\" }");
            None
        }
    }
}

/// A kind's parser, and the one price its files hold where they hold only one.
fn kind(kind: FeedKind) -> (&'static str, Option<(PriceKind, &'static str)>) {
    let settlement = Some((PriceKind::Settlement, "settlement_price"));
    match kind {
        FeedKind::ErcotNp6788 => ("ercot_np6_788", Some((PriceKind::Dispatch, "dispatch_price"))),
        FeedKind::ErcotNp6905 => ("ercot_np6_905", settlement),
        FeedKind::ErcotNp6785 => ("ercot_np6_785", settlement),
        FeedKind::ErcotNp6970 => ("ercot_np6_970", Some((PriceKind::LookAhead, "look_ahead"))),
        FeedKind::ErcotNp4190 => ("ercot_np4_190", Some((PriceKind::DayAhead, "day_ahead"))),
        FeedKind::ErcotDashboard => (LiveKind::ErcotDashboard.name(), None),
        FeedKind::ErcotMis => (LiveKind::ErcotMis.name(), None),
        FeedKind::ErcotApi => (LiveKind::ErcotApi.name(), None),
        FeedKind::AemoNemweb => (LiveKind::AemoNemweb.name(), None),
        FeedKind::Canonical => ("canonical", None),
        FeedKind::Auto => ("auto", None),
    }
}

/// A source with its path made relative to where the program runs, not to the file.
fn source(check: &mut Check<'_>, text: &Spanned<String>) -> String {
    let source = text.get_ref();
    if let Some(path) = source.strip_prefix("file:").filter(|p| !p.is_empty()) {
        let path = check.file.resolve_path(Path::new(path));
        if !path.exists() {
            check.warn(&text.span(), &format!("there is no {} yet", path.display()));
        }
        return format!("file:{}", path.display());
    }
    let address = source.strip_prefix("https://").or_else(|| source.strip_prefix("http://"));
    if address.is_none_or(str::is_empty) {
        let message = "a source is a `file:` with its path, or an `http:` or `https:` address";
        check.wrong(&text.span(), message);
    }
    source.clone()
}

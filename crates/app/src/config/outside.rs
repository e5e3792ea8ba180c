//! What the site is connected to: feeds, drivers, meters.

use super::raw::{FeedKind, Named, RawDriver, RawFeed, RawMeter, Role, Spanned};
use super::resolve::Check;
use headgate_core::limits::FEEDS_MAX;
use headgate_core::market::PriceKind;
use headgate_core::site::{DriverSpec, Feed, MeterKind, MeterSpec};
use headgate_core::time::Span;
use std::path::Path;

/// Drivers of one site.
const DRIVERS_MAX: usize = 64;
/// Requests one driver may have in flight.
const CONCURRENCY_MAX: u32 = 20_000;
/// The port of the cgminer protocol.
pub(super) const LUXOS_PORT: u16 = 4028;
/// Wall time of one request, where the file names none.
const REQUEST_BUDGET: Span = Span::seconds(2);
/// How often watts are read, where the file names none.
const POLL_WATTS: Span = Span::seconds(30);
/// Requests in flight, where the file names none.
const CONCURRENCY: u32 = 800;
/// Age at which a meter is silent, where the file names none.
const METER_STALE_AFTER: Span = Span::seconds(10);
/// The name of the meter of a configuration that names none.
const METER_DEFAULT: &str = "machines";

/// Drivers in file order.
pub(super) fn drivers(check: &mut Check<'_>, raw: &Named<RawDriver>) -> Vec<DriverSpec> {
    if let Some((name, _)) = raw.0.get(DRIVERS_MAX) {
        check.wrong(&name.span(), format!("a site has at most {DRIVERS_MAX} drivers: join some"));
    }
    let mut all = Vec::new();
    for (name, driver) in &raw.0 {
        if name.get_ref() == "none" {
            check.wrong(&name.span(), "`none` means no driver at all: choose another name");
        }
        if driver.kind.get_ref() != "luxos" {
            check.not_built(&driver.kind.span(), driver.kind.get_ref(), "use `luxos`");
        }
        if let Some(port) = driver.port.as_ref().filter(|p| *p.get_ref() == 0) {
            check.wrong(&port.span(), "port 0 is no port: use 1 to 65535");
        }
        let allowed = 1..=CONCURRENCY_MAX;
        if let Some(n) = driver.concurrency.as_ref().filter(|n| !allowed.contains(n.get_ref())) {
            check.wrong(&n.span(), format!("it must be from 1 to {CONCURRENCY_MAX}"));
        }
        all.push(DriverSpec {
            name: check.name(name),
            kind: driver.kind.get_ref().clone(),
            port: driver.port.as_ref().map_or(LUXOS_PORT, |p| *p.get_ref()),
            request_budget: check.positive(driver.request_budget.as_ref(), REQUEST_BUDGET),
            poll_watts: check.positive(driver.poll_watts.as_ref(), POLL_WATTS),
            concurrency: driver.concurrency.as_ref().map_or(CONCURRENCY, |n| *n.get_ref()),
        });
    }
    all
}

/// Feeds in file order.
pub(super) fn feeds(check: &mut Check<'_>, raw: &Named<RawFeed>) -> Vec<Feed> {
    if let Some((name, _)) = raw.0.get(FEEDS_MAX) {
        check.wrong(&name.span(), format!("a site has at most {FEEDS_MAX} feeds: join some"));
    }
    let mut all: Vec<Feed> = Vec::new();
    for (name, feed) in &raw.0 {
        let (role, stale_after) = match feed.role.get_ref() {
            Role::DispatchPrice => (PriceKind::Dispatch, Span::minutes(11)),
            Role::SettlementPrice => (PriceKind::Settlement, Span::minutes(40)),
            Role::DayAhead => (PriceKind::DayAhead, Span::hours(30)),
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
        all.push(Feed {
            name: check.name(name),
            role,
            rank,
            parser: parser.to_owned(),
            source: source(check, &feed.source),
            stale_after: check.positive(feed.stale_after.as_ref(), stale_after),
        });
    }
    if all.iter().all(|f| f.role == PriceKind::DayAhead) {
        check.warn_of("feeds", "none brings a real-time price; only `--replay` will");
    }
    all
}

/// A kind's parser, and the one price its files hold where they hold only one.
fn kind(kind: FeedKind) -> (&'static str, Option<(PriceKind, &'static str)>) {
    let settlement = Some((PriceKind::Settlement, "settlement_price"));
    match kind {
        FeedKind::ErcotNp6788 => ("ercot_np6_788", Some((PriceKind::Dispatch, "dispatch_price"))),
        FeedKind::ErcotNp6905 => ("ercot_np6_905", settlement),
        FeedKind::ErcotNp6785 => ("ercot_np6_785", settlement),
        FeedKind::ErcotNp4190 => ("ercot_np4_190", Some((PriceKind::DayAhead, "day_ahead"))),
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

/// The meter: one a site.
pub(super) fn meters(check: &mut Check<'_>, raw: &Named<RawMeter>) -> Vec<MeterSpec> {
    let mut all = Vec::new();
    for (name, meter) in &raw.0 {
        if meter.kind.get_ref() != "machine_sum" {
            check.not_built(&meter.kind.span(), meter.kind.get_ref(), "use `machine_sum`");
        }
        if !all.is_empty() {
            check.wrong(&name.span(), "a site has one meter: take the other out");
        }
        all.push(MeterSpec {
            name: check.name(name),
            kind: MeterKind::MachineSum,
            stale_after: check.positive(meter.stale_after.as_ref(), METER_STALE_AFTER),
        });
    }
    if all.is_empty() {
        all.push(MeterSpec {
            name: METER_DEFAULT.to_owned(),
            kind: MeterKind::MachineSum,
            stale_after: METER_STALE_AFTER,
        });
    }
    all
}

//! A market's dated rules: steps, stamps, caps and floors, and when a price could be known.

use crate::error::FeedError;
use crate::limits::{DATED_RULES_MAX, MARKET_BYTES_MAX};
use crate::local::{self, LocalClock, Pass};
use crate::quantity;
use headgate_core::market::PriceKind;
use headgate_core::site::MarketRule;
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::Price;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::Deserialize;
use std::path::Path;

/// The markets shipped with the program: name and rules.
pub const SHIPPED: [(&str, &str); 8] = [
    ("ercot", include_str!("../../../markets/ercot.toml")),
    ("nem", include_str!("../../../markets/nem.toml")),
    ("caiso", include_str!("../../../markets/caiso.toml")),
    ("eu_day_ahead", include_str!("../../../markets/eu_day_ahead.toml")),
    ("tennet_nl", include_str!("../../../markets/tennet_nl.toml")),
    ("gansu", include_str!("../../../markets/gansu.toml")),
    ("shandong", include_str!("../../../markets/shandong.toml")),
    ("generic", include_str!("../../../markets/generic.toml")),
];

/// Which edge of an interval a stamp or a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// First moment inside.
    Start,
    /// First moment after.
    End,
}

/// How many prices an imbalance settles at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pricing {
    /// One price for being short and being long.
    #[default]
    Single,
    /// A price for being short and another for being long.
    Dual,
}

/// When a price of one kind could be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownAt {
    /// So long after an edge of its interval.
    After {
        /// How long.
        after: Span,
        /// Which edge.
        of: Edge,
    },
    /// At a local time of day, some days before the local day of its interval.
    Local {
        /// Second of the local day.
        second: u32,
        /// How many days before; negative for days after.
        days_before: i32,
    },
}

/// Says on which side of what is expected a price lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// Above the dated cap by more than the tolerance; the cap is told.
    Cap(Price),
    /// Below the dated floor by more than the tolerance; the floor is told.
    Floor(Price),
}

/// One market's rules, checked.
#[derive(Debug, Clone)]
pub struct Market {
    /// Name, for example `ercot`.
    pub name: String,
    /// ISO 4217 code of its prices.
    pub currency: String,
    /// Nominal step of dispatch.
    pub dispatch_step: Span,
    /// Step of settlement.
    pub settle_step: Span,
    /// Step of the day-ahead market; `None` where there is none.
    pub day_ahead_step: Option<Span>,
    /// Step of published loads; `None` where none are read.
    pub load_step: Option<Span>,
    /// Whether being short and being long settle at one price or at two.
    pub pricing: Pricing,
    /// Which edge of a dispatch interval the market's stamps name.
    pub stamp: Edge,
    zone: TimeZone,
    dispatch_known: KnownAt,
    settlement_known: KnownAt,
    day_ahead_known: Option<KnownAt>,
    load_known: Option<KnownAt>,
    caps: Dated,
    floors: Dated,
}

/// Prices in force from a moment on, in time order, with the tolerance beyond them.
#[derive(Debug, Clone)]
struct Dated {
    rules: Vec<(Time, Price)>,
    tolerance: Price,
}

impl Dated {
    fn at(&self, at: Time) -> Option<Price> {
        let next = self.rules.partition_point(|(from, _)| *from <= at);
        self.rules.get(next.checked_sub(1)?).map(|(_, price)| *price)
    }
}

impl Market {
    /// The market a configuration names: one that is shipped, or a path that ends in `.toml`.
    ///
    /// # Errors
    /// [`FeedError`] when there is no such market or its file is not usable.
    pub fn load(name: &str) -> Result<Self, FeedError> {
        let file_like = Path::new(name).extension().is_some_and(|e| e == "toml");
        if file_like { Self::read(Path::new(name)) } else { Self::shipped(name) }
    }

    /// A market that is shipped with the program.
    ///
    /// # Errors
    /// [`FeedError`] when none has that name.
    pub fn shipped(name: &str) -> Result<Self, FeedError> {
        let Some((_, text)) = SHIPPED.iter().find(|(n, _)| *n == name) else {
            let names: Vec<&str> = SHIPPED.iter().map(|(n, _)| *n).collect();
            return Err(FeedError::Whole {
                file: format!("market `{name}`"),
                what: "no market of that name is shipped".into(),
                mend: format!("use one of {} or a path that ends in .toml", names.join(", ")),
            });
        };
        Self::parse(&format!("markets/{name}.toml"), text)
    }

    /// Reads a market file.
    ///
    /// # Errors
    /// [`FeedError`] when it cannot be read or is not usable.
    pub fn read(path: &Path) -> Result<Self, FeedError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| FeedError::Read { file: file.clone(), source })?;
        Self::parse(&file, &text)
    }

    /// Parses a market's rules; `file` is what messages call it.
    ///
    /// # Errors
    /// [`FeedError`] naming the line or key and the mend.
    pub fn parse(file: &str, text: &str) -> Result<Self, FeedError> {
        if text.len() > MARKET_BYTES_MAX {
            return Err(FeedError::Whole {
                file: file.to_owned(),
                what: format!("it has {} bytes", text.len()),
                mend: format!("a market file has at most {MARKET_BYTES_MAX}"),
            });
        }
        let raw: Raw = toml::from_str(text)
            .map_err(|e| FeedError::MarketText { file: file.to_owned(), source: Box::new(e) })?;
        raw.check().map_err(|(key, what, mend)| FeedError::MarketKey {
            file: file.to_owned(),
            key,
            what,
            mend,
        })
    }

    /// What the engine needs of these rules.
    #[must_use]
    pub fn rule(&self) -> MarketRule {
        MarketRule {
            name: self.name.clone(),
            currency: self.currency.clone(),
            dispatch_step: self.dispatch_step,
            settle_step: self.settle_step,
        }
    }

    /// The market's own time zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Length of an interval of this kind; `None` where the market has no such kind.
    #[must_use]
    pub fn step(&self, kind: PriceKind) -> Option<Span> {
        match kind {
            PriceKind::Dispatch | PriceKind::LookAhead => Some(self.dispatch_step),
            PriceKind::Settlement => Some(self.settle_step),
            PriceKind::DayAhead => self.day_ahead_step,
        }
    }

    /// When a price of this kind and interval could be known; `None` where the market has no
    /// such kind.
    #[must_use]
    pub fn known_at(&self, kind: PriceKind, interval: Interval) -> Option<Time> {
        let rule = match kind {
            // A foreseen price is known with the run that foresees it, which its file names.
            PriceKind::Dispatch | PriceKind::LookAhead => self.dispatch_known,
            PriceKind::Settlement => self.settlement_known,
            PriceKind::DayAhead => self.day_ahead_known?,
        };
        Some(self.moment_of(rule, interval))
    }

    /// When the load of an interval could be known; `None` where the market has no such rule.
    #[must_use]
    pub fn load_known_at(&self, interval: Interval) -> Option<Time> {
        self.load_known.map(|rule| self.moment_of(rule, interval))
    }

    fn moment_of(&self, rule: KnownAt, interval: Interval) -> Time {
        match rule {
            KnownAt::After { after, of: Edge::Start } => interval.start + after,
            KnownAt::After { after, of: Edge::End } => interval.end + after,
            KnownAt::Local { second, days_before } => {
                let (day, _) = local::local_of(&self.zone, interval.start);
                local_moment(&self.zone, day - days_before, second)
            }
        }
    }

    /// Whether a price lies beyond what the rules of its date let expect. Such a price is kept
    /// and warned about: congestion and adders may carry a price past the offer cap.
    #[must_use]
    pub fn beyond(&self, start: Time, price: Price) -> Option<Beyond> {
        if let Some(cap) = self.caps.at(start)
            && price > cap + self.caps.tolerance
        {
            return Some(Beyond::Cap(cap));
        }
        let floor = self.floors.at(start)?;
        (price < floor - self.floors.tolerance).then_some(Beyond::Floor(floor))
    }
}

/// A local time as a moment: where it happens twice the first, where it is skipped the moment
/// the clocks had moved on by.
fn local_moment(zone: &TimeZone, day: i32, second: u32) -> Time {
    let mut clock = LocalClock::new(zone.clone());
    [0, 3600]
        .iter()
        .find_map(|later| clock.utc(day, (second + later) % 86_400, Pass::First).ok())
        .unwrap_or_else(|| Time::from_seconds(i64::from(day) * 86_400 + i64::from(second)))
}

/// Key, what is wrong, the mend.
type KeyError = (String, String, String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    timezone: String,
    currency: String,
    dispatch_step: String,
    settle_step: String,
    day_ahead_step: Option<String>,
    load_step: Option<String>,
    #[serde(default)]
    price: Pricing,
    stamp: Edge,
    cap_tolerance: Option<String>,
    floor_tolerance: Option<String>,
    known_at: RawKnown,
    #[serde(default)]
    cap: Vec<RawDated>,
    #[serde(default)]
    floor: Vec<RawDated>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKnown {
    dispatch: RawRule,
    settlement: RawRule,
    day_ahead: Option<RawRule>,
    load: Option<RawRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    after: Option<String>,
    of: Option<Edge>,
    at: Option<String>,
    days_before: Option<i32>,
    days_after: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDated {
    from: String,
    price: String,
}

fn key<T>(key: &str, mend: &str, got: Result<T, String>) -> Result<T, KeyError> {
    got.map_err(|what| (key.to_owned(), what, mend.to_owned()))
}

impl Raw {
    fn check(self) -> Result<Market, KeyError> {
        let zone = key(
            "timezone",
            "write an IANA name such as \"America/Chicago\"",
            // The bundled table, so that every machine reads a file alike.
            TimeZoneDatabase::bundled().get(&self.timezone).map_err(|e| e.to_string()),
        )?;
        let currency = self.currency;
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            let mend = "write an ISO 4217 code such as \"USD\"".to_owned();
            return Err(("currency".into(), format!("`{currency}` is no currency code"), mend));
        }
        let dispatch_step = step("dispatch_step", &self.dispatch_step)?;
        let settle_step = step("settle_step", &self.settle_step)?;
        if settle_step.0 % dispatch_step.0 != 0 {
            let what = "it is not a whole number of dispatch steps".to_owned();
            let mend = "make it dispatch_step or a multiple of it".to_owned();
            return Err(("settle_step".into(), what, mend));
        }
        let (day_ahead_step, day_ahead_known) =
            pair("day_ahead", self.day_ahead_step.as_ref(), self.known_at.day_ahead.as_ref())?;
        let (load_step, load_known) =
            pair("load", self.load_step.as_ref(), self.known_at.load.as_ref())?;
        let caps = dated("cap", &self.cap, &self.cap_tolerance, &currency, &zone)?;
        let floors = dated("floor", &self.floor, &self.floor_tolerance, &currency, &zone)?;
        Ok(Market {
            dispatch_known: self.known_at.dispatch.check("known_at.dispatch")?,
            settlement_known: self.known_at.settlement.check("known_at.settlement")?,
            day_ahead_known,
            load_known,
            name: self.name,
            currency,
            dispatch_step,
            settle_step,
            day_ahead_step,
            load_step,
            pricing: self.price,
            stamp: self.stamp,
            zone,
            caps,
            floors,
        })
    }
}

impl RawRule {
    fn check(&self, name: &str) -> Result<KnownAt, KeyError> {
        let mend = "write { after = \"20 s\", of = \"start\" } or \
                    { at = \"13:30\", days_before = 1 }";
        let days = match (self.days_before, self.days_after) {
            (days, None) => days,
            (None, Some(after)) => Some(-after),
            _ => return key(name, mend, Err("it has days before and days after".into())),
        };
        match (&self.after, self.of, &self.at, days) {
            (Some(after), Some(of), None, None) => {
                let after = key(name, mend, quantity::span(after))?;
                Ok(KnownAt::After { after, of })
            }
            (None, None, Some(at), Some(days_before)) if (-7..=7).contains(&days_before) => {
                let clock = local::clock(at.as_bytes()).filter(|(_, nanos)| *nanos == 0);
                let read = clock.ok_or_else(|| format!("`{at}` is no time of day"));
                let (second, _) = key(name, mend, read)?;
                Ok(KnownAt::Local { second, days_before })
            }
            _ => key(name, mend, Err("it is neither of the two forms".into())),
        }
    }
}

/// Step and rule of a kind that a market may lack: both or neither.
fn pair(
    name: &str,
    length: Option<&String>,
    rule: Option<&RawRule>,
) -> Result<(Option<Span>, Option<KnownAt>), KeyError> {
    let (length_key, rule_key) = (format!("{name}_step"), format!("known_at.{name}"));
    match (length, rule) {
        (None, None) => Ok((None, None)),
        (Some(length), Some(rule)) => {
            Ok((Some(step(&length_key, length)?), Some(rule.check(&rule_key)?)))
        }
        _ => {
            let what = format!("{length_key} and {rule_key} belong together");
            Err((length_key, what, "write both or neither".into()))
        }
    }
}

fn step(name: &str, text: &str) -> Result<Span, KeyError> {
    let mend = "write a length such as \"5 min\" that divides a day";
    let span = key(name, mend, quantity::span(text))?;
    let divides = span.0 > 0 && Span::hours(24).0 % span.0 == 0;
    key(name, mend, if divides { Ok(span) } else { Err(format!("`{text}` does not divide a day")) })
}

fn dated(
    name: &str,
    raw: &[RawDated],
    tolerance: &Option<String>,
    currency: &str,
    zone: &TimeZone,
) -> Result<Dated, KeyError> {
    let mend = format!("write from = \"2022-01-01\" and price = \"5000 {currency}/MWh\"");
    if raw.len() > DATED_RULES_MAX {
        return key(name, &mend, Err(format!("there are more than {DATED_RULES_MAX}")));
    }
    let mut rules: Vec<(Time, Price)> = Vec::with_capacity(raw.len());
    for rule in raw {
        let day = local::date(rule.from.as_bytes());
        let day = key(name, &mend, day.ok_or_else(|| format!("`{}` is no date", rule.from)))?;
        let from = local_moment(zone, day, 0);
        if rules.last().is_some_and(|(before, _)| *before >= from) {
            let what = format!("from = \"{}\" is not after the one before it", rule.from);
            return key(name, "put them in the order of their dates", Err(what));
        }
        rules.push((from, key(name, &mend, quantity::price(&rule.price, currency))?));
    }
    let tolerance = match tolerance {
        None => Price::ZERO,
        Some(text) => {
            let name = format!("{name}_tolerance");
            let mend = format!("write \"250 {currency}/MWh\", zero or more");
            let price = key(&name, &mend, quantity::price(text, currency))?;
            let negative = || Err(format!("`{text}` is negative"));
            key(&name, &mend, if price.0 < 0 { negative() } else { Ok(price) })?
        }
    };
    Ok(Dated { rules, tolerance })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        local::utc(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_shipped_market_is_usable() {
        for (name, _) in SHIPPED {
            let market = Market::shipped(name).unwrap();
            assert_eq!(market.name, name);
            assert_eq!(market.rule().settle_step, market.step(PriceKind::Settlement).unwrap());
        }
        assert!(Market::load("narnia").unwrap_err().to_string().contains("ercot, nem, caiso"));
    }

    fn known(market: &str, kind: PriceKind, start: &str) -> Option<String> {
        let market = Market::shipped(market).unwrap();
        let step = market.step(kind)?;
        market.known_at(kind, Interval::starting(at(start), step)).map(|t| t.to_string())
    }

    #[test]
    fn each_kind_is_known_by_its_own_rule() {
        let ercot = |kind, start| known("ercot", kind, start).unwrap();
        let noon = "2024-08-20T17:00:00Z";
        assert_eq!(ercot(PriceKind::Dispatch, noon), "2024-08-20T17:00:20Z");
        assert_eq!(ercot(PriceKind::Settlement, noon), "2024-08-20T17:17:00Z");
        assert_eq!(ercot(PriceKind::DayAhead, noon), "2024-08-19T18:30:00Z");
        // The last local hour of the 20th is already the 21st in UTC: still the 19th's auction.
        assert_eq!(ercot(PriceKind::DayAhead, "2024-08-21T04:00:00Z"), "2024-08-19T18:30:00Z");
        assert_eq!(ercot(PriceKind::DayAhead, "2024-08-21T05:00:00Z"), "2024-08-20T18:30:00Z");
        assert_eq!(ercot(PriceKind::DayAhead, "2024-12-21T06:00:00Z"), "2024-12-20T19:30:00Z");
        assert_eq!(known("nem", PriceKind::DayAhead, noon), None);
    }

    fn beyond(market: &str, start: &str, price: i64) -> Option<Beyond> {
        Market::shipped(market).unwrap().beyond(at(start), Price(price * 1_000_000))
    }

    #[test]
    fn caps_and_floors_are_those_of_the_date() {
        let cap = |n: i64| Some(Beyond::Cap(Price(n * 1_000_000)));
        assert_eq!(beyond("ercot", "2021-02-17T12:00:00Z", 9_161), None);
        assert_eq!(beyond("ercot", "2021-02-17T12:00:00Z", 9_251), cap(9_000));
        // The lower cap came at local midnight.
        assert_eq!(beyond("ercot", "2022-01-01T05:59:00Z", 9_000), None);
        assert_eq!(beyond("ercot", "2022-01-01T06:00:00Z", 9_000), cap(5_000));
        assert_eq!(beyond("ercot", "2009-01-01T06:00:00Z", 99_000), None);
        assert_eq!(beyond("ercot", "2026-01-01T06:00:00Z", -251), None);
        let floor = Some(Beyond::Floor(Price(-250_000_000)));
        assert_eq!(beyond("ercot", "2026-01-01T06:00:00Z", -301), floor);
        assert_eq!(beyond("nem", "2025-01-01T00:00:00Z", 17_501), cap(17_500));
    }

    fn check_bad(from: &str, to: &str, want: &str) {
        let text = SHIPPED[0].1.replacen(from, to, 1);
        assert_ne!(text, SHIPPED[0].1, "{from} is in the file");
        let got = Market::parse("x.toml", &text).unwrap_err().sentence();
        assert!(got.contains(want), "{got}");
    }

    #[test]
    fn a_wrong_key_is_named() {
        check_bad("stamp =", "stomp =", "unknown field `stomp`");
        check_bad(
            "settle_step = \"15 min\"",
            "settle_step = \"7 min\"",
            "key settle_step: `7 min`",
        );
        check_bad("USD/MWh\"", "EUR/MWh\"", "the unit is `EUR/MWh` where `USD/MWh` is expected");
        check_bad("America/Chicago", "America/Chikago", "key timezone");
        check_bad("2012-08-01", "2010-08-01", "put them in the order of their dates");
        check_bad(", of = \"end\"", "", "key known_at.settlement: it is neither of the two forms");
        check_bad("currency = \"USD\"", "currency = \"$\"", "`$` is no currency code");
        check_bad("day_ahead_step = \"60 min\"", "", "write both or neither");
        check_bad("\"13:30\"", "\"25:30\"", "`25:30` is no time of day");
    }
}

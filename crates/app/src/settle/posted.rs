//! Posted prices of one point: from files, a later one correcting an earlier one, or from what was
//! imported, with every revision.

use super::gather::Inputs;
use crate::cli::SettleArgs;
use crate::config::Loaded;
use crate::prices;
use crate::run::Refused;
use crate::site_files::PriceSpec;
use anyhow::bail;
use headgate_core::market::{PriceRow, SettlementPoint};
use headgate_core::settle::Quote;
use headgate_core::time::Time;
use headgate_core::units::Price;
use headgate_feeds::market::Market;
use headgate_feeds::{Options, SeriesKind};
use headgate_store::PriceStore;
use headgate_store::prices::SeriesKey;
use std::collections::BTreeMap;
use std::path::Path;

/// Prices of one point by interval: as first posted, and as in force.
#[derive(Debug, Default)]
pub struct Posted {
    /// As first posted.
    pub first: BTreeMap<Time, Quote>,
    /// As in force.
    pub latest: BTreeMap<Time, Quote>,
    /// Whether any was posted again with another price.
    pub corrected: bool,
    ends: BTreeMap<Time, Time>,
}

impl Posted {
    /// Takes the rows of one posting, a later one than any before. A price that replaces another
    /// is known from its own posting on, where that is told; what was known only after `as_of` is
    /// left out.
    fn take(&mut self, rows: &[PriceRow], posted: Option<Time>, as_of: Option<Time>) {
        for row in rows {
            let before = self.latest.get(&row.interval.start);
            let replaces = before.is_some_and(|b| b.price != row.price);
            let told = posted.filter(|_| replaces).unwrap_or(Time::MIN);
            let quote = Quote { price: row.price, known_at: row.known_at.max(told) };
            if as_of.is_some_and(|now| quote.known_at > now) {
                continue;
            }
            self.ends.insert(row.interval.start, row.interval.end);
            self.first.entry(row.interval.start).or_insert(quote);
            let before = self.latest.insert(row.interval.start, quote);
            self.corrected |= before.is_some_and(|b| b.price != quote.price);
        }
    }

    /// The price in force at a moment: of the interval that contains it.
    pub fn at(&self, start: Time) -> Option<Quote> {
        let (from, quote) = self.latest.range(..=start).next_back()?;
        self.ends.get(from).filter(|end| start < **end).map(|_| *quote)
    }
}

/// The store of imported prices, where no file is given.
///
/// # Errors
/// When there is none.
pub fn store(args: &SettleArgs, loaded: &Loaded) -> anyhow::Result<Option<PriceStore>> {
    if !args.prices.is_empty() {
        return Ok(None);
    }
    let folder = args.data.data.clone().unwrap_or_else(|| loaded.data.clone());
    prices::open_existing(&folder).map(Some)
}

/// Imported prices of a point, and where they came from.
fn imported(
    store: &PriceStore,
    market: &Market,
    point: &SettlementPoint,
    kind: SeriesKind,
    as_of: Option<Time>,
) -> anyhow::Result<(Posted, Option<String>)> {
    let mut posted = Posted::default();
    // What came from a file without types has the point under its name alone.
    for point_type in [point.kind.as_str(), ""] {
        let key = SeriesKey {
            market: market.name.clone(),
            point: point.name.clone(),
            point_type: point_type.to_owned(),
            kind: kind.name().to_owned(),
        };
        let mut rows = store.revisions(&key, Time::MIN, Time::MAX)?;
        rows.retain(|v| as_of.is_none_or(|now| v.known_at <= now));
        let row = |v: &headgate_store::prices::Value| PriceRow {
            interval: v.interval,
            price: Price(v.value),
            known_at: v.known_at,
        };
        if rows.is_empty() {
            continue;
        }
        posted.take(&rows.iter().map(row).collect::<Vec<_>>(), None, as_of);
        let source = format!("{kind} prices of {point}: imported, {} postings", rows.len());
        return Ok((posted, Some(source)));
    }
    Ok((posted, None))
}

impl Inputs<'_> {
    /// Every posting of a point's prices, in the order of the files.
    pub(super) fn posted(
        &mut self,
        point: &SettlementPoint,
        kind: SeriesKind,
    ) -> anyhow::Result<Posted> {
        if let Some(store) = &self.store {
            let (posted, source) = imported(store, self.market, point, kind, self.as_of)?;
            self.sources.extend(source);
            return Ok(posted);
        }
        let mut posted = Posted::default();
        for spec in self.files {
            let PriceSpec { file, column, .. } = PriceSpec::of(spec);
            let options = Options {
                point: Some(point.clone()),
                column: column.filter(|_| *point == self.loaded.site.point),
                ..Options::default()
            };
            let parsed = match headgate_feeds::load_with(Path::new(file), self.market, &options) {
                Ok(parsed) => parsed,
                // Of several files each may hold other points and products.
                Err(e) if e.is_other_points() => continue,
                Err(e) => return Err(e.into()),
            };
            let rows: Vec<PriceRow> = parsed
                .series
                .iter()
                .filter(|s| s.kind == kind)
                .flat_map(|s| s.rows.iter().copied())
                .collect();
            if rows.is_empty() {
                continue;
            }
            let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
            posted.take(&rows, prices::stamped(&name, self.market), self.as_of);
            self.sources.push(format!(
                "{kind} prices of {point}: {file}, {} rows from {} to {}",
                rows.len(),
                rows.iter().map(|r| r.interval.start).min().unwrap_or(Time::MIN),
                rows.iter().map(|r| r.interval.end).max().unwrap_or(Time::MIN),
            ));
        }
        Ok(posted)
    }

    /// The settlement prices of the site's own point.
    pub(super) fn own_prices(&mut self) -> anyhow::Result<Posted> {
        let point = self.loaded.site.point.clone();
        let own = self.posted(&point, SeriesKind::Settlement)?;
        if own.latest.is_empty() {
            let from = match self.files.is_empty() {
                true => "what was imported".to_owned(),
                false => self.files.join(", "),
            };
            bail!(Refused(format!(
                "no settlement price of {point} in {from}: name another [site] settlement_point \
                 or another file"
            )));
        }
        Ok(own)
    }
}

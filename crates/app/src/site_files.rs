//! Files of a site: its configuration, its market, its recorded prices.

use crate::config::{ConfigError, HashpriceSource, Loaded, MarketFacts, load};
use crate::run::Refused;
use anyhow::bail;
use headgate_core::site::Value;
use headgate_core::time::Span;
use headgate_feeds::market::Market;
use headgate_feeds::parse::{FileKind, Options, Parsed};
use headgate_feeds::replay::Replay;
use headgate_feeds::settlement_point;
use std::path::Path;

/// What the configuration needs of a market: one that ships with the program, or a file.
///
/// # Errors
/// One sentence when there is no such market or its file is wrong.
pub fn market_facts(name: &str) -> Result<MarketFacts, String> {
    let market = Market::load(name).map_err(|e| describe(&e))?;
    let timezone = market.zone().iana_name().unwrap_or("UTC").to_owned();
    Ok(MarketFacts { rule: market.rule(), timezone })
}

/// An error with everything that led to it, in one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Loads a site's configuration.
///
/// # Errors
/// Everything found wrong with it, each with line and caret.
pub fn load_site(path: &Path) -> Result<Loaded, ConfigError> {
    let mut loaded = load(path, &market_facts)?;
    // What the owner fixed by hand never grows old, however long the program runs.
    let fixed =
        matches!(loaded.hashprice, HashpriceSource::Constant(_) | HashpriceSource::Dated(_));
    if let (true, Value::Hashprice { stale_after, .. }) = (fixed, &mut loaded.site.value) {
        *stale_after = Span(i64::MAX);
    }
    Ok(loaded)
}

/// Moves a site to another settlement point; a name that is its own keeps its type.
pub fn at_point(loaded: &mut Loaded, name: Option<&str>) {
    let Some(name) = name else { return };
    let own = &loaded.site.point;
    let kind = if name == own.name { own.kind.clone() } else { String::new() };
    loaded.site.point = settlement_point(name, &kind);
}

/// A price file as the command line names it: `[KIND:]FILE[#column=POINT]`.
pub struct PriceSpec<'a> {
    /// The kind it must be of, where one is named.
    pub kind: Option<FileKind>,
    /// The file.
    pub file: &'a str,
    /// The column to read, where one is named.
    pub column: Option<String>,
}

impl<'a> PriceSpec<'a> {
    /// Takes a specification apart.
    pub fn of(spec: &'a str) -> Self {
        let (body, column) = match spec.rsplit_once("#column=") {
            Some((body, column)) => (body, Some(column.to_owned())),
            None => (spec, None),
        };
        let named = body.split_once(':').and_then(|(k, f)| FileKind::from_name(k).map(|k| (k, f)));
        Self { kind: named.map(|(k, _)| k), file: named.map_or(body, |(_, f)| f), column }
    }
}

/// Reads recorded prices for a site's point: `[KIND:]FILE[#column=POINT]`.
///
/// # Errors
/// One sentence naming file, line, field and the mend.
pub fn read_prices(spec: &str, site: &Loaded, market: &Market) -> anyhow::Result<Parsed> {
    let PriceSpec { kind, file, column } = PriceSpec::of(spec);
    let options = Options { point: Some(site.site.point.clone()), column, ..Options::default() };
    let parsed = headgate_feeds::load_with(Path::new(file), market, &options)?;
    if let Some(kind) = kind
        && parsed.kind != kind
    {
        bail!(Refused(format!(
            "`{file}` holds {}, not {kind}: leave the kind out or name the right one",
            parsed.kind
        )));
    }
    for note in &parsed.notes {
        tracing::info!("{note}");
    }
    Ok(parsed)
}

/// Reads any number of price files into one replay.
///
/// # Errors
/// As [`read_prices`]; also when none of them has a price of the site's point.
pub fn replay_of(specs: &[String], site: &Loaded) -> anyhow::Result<Replay> {
    let market = Market::load(&site.site.market.name)?;
    let mut files = Vec::new();
    for spec in specs {
        files.push(read_prices(spec, site, &market)?);
    }
    let replay = Replay::new(&files, &site.site.point);
    if replay.next_at().is_none() {
        bail!(Refused(format!(
            "no price of {} in {}: name another [site] settlement_point or another file",
            site.site.point,
            specs.join(", "),
        )));
    }
    Ok(replay)
}

//! One price file into what the store takes: its market found, its posting dated.

use crate::run::Refused;
use crate::site_files::PriceSpec;
use anyhow::bail;
use headgate_core::market::PriceRow;
use headgate_core::time::{SECOND, Time};
use headgate_feeds::market::{Market, SHIPPED};
use headgate_feeds::parse::{FileKind, Note, NoteKind};
use headgate_feeds::{FeedError, Options, Parsed, SeriesKind, settlement_point};
use headgate_store::prices::{Import, Place, Posting, SeriesKey, Value};
use jiff::civil::DateTime;
use std::io::Read;
use std::path::Path;

/// What loads are called among the kinds of series.
pub const LOAD: &str = "load";
/// Bytes hashed at a time.
const CHUNK: usize = 1 << 16;

/// What every file of one command is read by.
pub struct How<'a> {
    /// The market, where it is named.
    pub market: Option<&'a str>,
    /// Whose prices a file holds that names no point.
    pub point: Option<&'a str>,
    /// When it was posted, where that is said.
    pub posted: Option<Time>,
    /// When it is imported.
    pub now: Time,
}

/// A file understood, and the market it is of.
pub struct Understood {
    pub parsed: Parsed,
    pub market: Market,
    pub import: Import,
}

/// Reads `[KIND:]FILE[#column=POINT]`.
///
/// # Errors
/// One sentence naming file, line, field and the mend.
pub fn file(spec: &str, how: &How<'_>) -> anyhow::Result<Understood> {
    let PriceSpec { kind, file, column } = PriceSpec::of(spec);
    let path = Path::new(file);
    let point = how.point.map(|p| settlement_point(p, ""));
    let options = Options { column, point, ..Options::default() };
    let (mut parsed, market) = parse(path, how.market, &options)?;
    let hash = hash(path, &[Some(&market.name), how.point, options.column.as_deref()])?;
    if how.market.is_none() && says_nothing(parsed.kind) {
        parsed.notes.push(Note {
            kind: NoteKind::Remark,
            count: 1,
            text: format!(
                "{}: it does not say of which market it is, and is taken as of {}, in {}: name \
                 another with --market",
                path.display(),
                market.name,
                market.currency
            ),
        });
    }
    if let Some(kind) = kind.filter(|kind| *kind != parsed.kind) {
        bail!(Refused(format!(
            "{} holds {}, not {kind}: leave the kind out or name the right one",
            path.display(),
            parsed.kind
        )));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let postings = postings(&parsed, &market);
    if postings.iter().any(|p| p.key.point.is_empty()) {
        bail!(Refused(format!("{} names no settlement point: add --point NAME", path.display())));
    }
    let of = |m: &headgate_feeds::parse::Mapping| Place {
        bus: m.bus.clone(),
        substation: m.substation.clone(),
        node: m.node.clone(),
        zone: m.zone.clone(),
        hub: m.hub.clone(),
    };
    let import = Import {
        hash,
        posted: how.posted.or_else(|| stamped(&name, &market)),
        name,
        kind: parsed.kind.to_string(),
        at: how.now,
        postings,
        map: parsed.map.iter().map(|m| (market.name.clone(), of(m))).collect(),
    };
    Ok(Understood { parsed, market, import })
}

/// Parses by the market named, or by the first that the file goes with.
fn parse(path: &Path, named: Option<&str>, options: &Options) -> anyhow::Result<(Parsed, Market)> {
    if let Some(name) = named {
        let market = Market::load(name)?;
        return Ok((headgate_feeds::load_with(path, &market, options)?, market));
    }
    let mut told: Option<FeedError> = None;
    for (name, _) in SHIPPED {
        let market = Market::shipped(name)?;
        match headgate_feeds::load_with(path, &market, options) {
            Ok(parsed) => return Ok((parsed, market)),
            // Not of this market; what is wrong with it in its own is worth telling.
            Err(e) if e.is_other_market() => {}
            Err(e) => told = told.or(Some(e)),
        }
    }
    match told {
        Some(e) => Err(e.into()),
        None => bail!(Refused(format!(
            "{} goes with the rules of no market that is shipped: add --market NAME",
            path.display()
        ))),
    }
}

fn postings(parsed: &Parsed, market: &Market) -> Vec<Posting> {
    let key = |point: &str, point_type: &str, kind: &str| SeriesKey {
        market: market.name.clone(),
        point: point.to_owned(),
        point_type: point_type.to_owned(),
        kind: kind.to_owned(),
    };
    let value = |row: &PriceRow| Value {
        interval: row.interval,
        value: row.price.0,
        known_at: row.known_at,
    };
    let priced = parsed.series.iter().map(|s| Posting {
        key: key(&s.point.name, &s.point.kind, s.kind.name()),
        currency: market.currency.clone(),
        forecast: s.kind == SeriesKind::LookAhead,
        values: s.rows.iter().map(value).collect(),
    });
    let loads = parsed.loads.iter().map(|l| Posting {
        key: key(&l.point.name, &l.point.kind, LOAD),
        currency: String::new(),
        forecast: false,
        values: l
            .rows
            .iter()
            .map(|r| Value { interval: r.interval, value: r.power.0, known_at: r.known_at })
            .collect(),
    });
    priced.chain(loads).collect()
}

/// Whether a file of a kind leaves its market open.
fn says_nothing(kind: FileKind) -> bool {
    matches!(kind, FileKind::Canonical | FileKind::CanonicalSpp | FileKind::Indexed)
}

/// blake3 of a file and of what it was read by, in hex: read for another point it is another
/// import.
fn hash(path: &Path, read_by: &[Option<&str>]) -> anyhow::Result<String> {
    let failed = |source| FeedError::Read { file: path.display().to_string(), source };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    for text in read_by {
        hasher.update(text.unwrap_or_default().as_bytes()).update(&[0]);
    }
    let mut chunk = vec![0u8; CHUNK];
    loop {
        let n = file.read(&mut chunk).map_err(failed)?;
        if n == 0 {
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update(&chunk[..n]);
    }
}

/// When a file was posted by its name, `cdr.00012301.0000000000000000.20250410.193011.SPP...`;
/// fractions of a second may follow. The stamp is in the market's zone and does not say which
/// pass of a repeated hour it is of: the first is taken.
pub fn stamped(name: &str, market: &Market) -> Option<Time> {
    let parts: Vec<&str> = name.split('.').collect();
    if !parts.first()?.eq_ignore_ascii_case("cdr") {
        return None;
    }
    let digits = |text: &str, n: usize| {
        (text.len() >= n && text.bytes().all(|b| b.is_ascii_digit())).then(|| text[..n].to_owned())
    };
    let at = parts.windows(2).find_map(|pair| {
        let (date, time) = (digits(pair[0], 8)?, digits(pair[1], 6)?);
        (pair[0].len() == 8 && date.starts_with("20")).then(|| format!("{date}T{time}"))
    })?;
    let local: DateTime = at.parse().ok()?;
    let stamp = market.zone().to_ambiguous_zoned_datetime(local).compatible().ok()?.timestamp();
    Some(Time(stamp.as_second().checked_mul(SECOND)?))
}

/// A moment of the command line.
///
/// # Errors
/// When it lies beyond what can be told.
pub fn nanos(stamp: jiff::Timestamp) -> anyhow::Result<Time> {
    // Far within what a moment can be, so that no difference of two overflows.
    let nanos = i64::try_from(stamp.as_nanosecond()).ok().map(Time);
    let usable = nanos.filter(|t| (Time::MIN..=Time::MAX).contains(t));
    usable.ok_or_else(|| Refused(format!("{stamp} is out of range: use a nearer year")).into())
}

/// A moment, RFC 3339, or the beginning of a date in a zone.
///
/// # Errors
/// One sentence when it is neither.
pub fn moment(text: &str, market: &Market) -> anyhow::Result<Time> {
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return nanos(stamp);
    }
    let date: jiff::civil::Date = text.parse().map_err(|_| {
        Refused(format!("`{text}` is no time: write 2024-06-01 or 2024-06-01T05:00:00Z"))
    })?;
    nanos(market.zone().to_timestamp(date.at(0, 0, 0, 0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_when_it_was_posted() {
        let market = Market::shipped("ercot").unwrap();
        let at = |name: &str| stamped(name, &market).map(|t| t.to_string());
        let spp = "cdr.00012301.0000000000000000.20250410.193011.SPPHLZNP6905_20250410_1930.csv";
        assert_eq!(at(spp).as_deref(), Some("2025-04-11T00:30:11Z"));
        let zip = "cdr.00012301.0000000000000000.20250110.193011453.SPP_retry_1_csv.zip";
        assert_eq!(at(zip).as_deref(), Some("2025-01-11T01:30:11Z"));
        assert_eq!(at("cdr.00012301.SPPHLZNP6905_20250410_1930.csv"), None);
        assert_eq!(at("prices.20250410.193011.csv"), None);
    }
}

//! Price files into the book of one point: whole, each interval once, one point only; or one
//! sentence that says which interval of which file is wrong and how it is mended.

use crate::config::Loaded;
use crate::run::Refused;
use crate::site_files::{PriceSpec, read_prices};
use anyhow::{anyhow, bail};
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::time::{Interval, Time};
use headgate_feeds::market::Market;
use headgate_feeds::parse::{NoteKind, Options, Parsed};
use headgate_feeds::{FeedError, load_with};
use headgate_sim::sweep::{Book, Prices};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Names like an unknown one that are shown.
const NEAR_MAX: usize = 6;

/// The prices of one point, and what a reader should know of them.
pub struct Recorded {
    pub book: Book,
    pub notes: Vec<String>,
}

/// A price and the file it is from.
type From<'a> = (PriceRow, &'a str);

/// Reads `[KIND:]FILE[#column=POINT]` files into the book of the site's point.
///
/// # Errors
/// One sentence naming file, interval and the mend.
pub fn book(specs: &[String], loaded: &Loaded, market: &Market) -> anyhow::Result<Recorded> {
    book_for(specs, loaded, market, &ON_THE_LINE)
}

/// Where a point or its type is named, for the sentence that says how to mend it.
pub struct Naming {
    pub point: &'static str,
    pub kind: &'static str,
}

/// On the command line, or in the site.
const ON_THE_LINE: Naming =
    Naming { point: "name one with --point", kind: "name the type in the site's settlement_point" };

/// As [`book`], for a caller whose points are named elsewhere.
///
/// # Errors
/// As [`book`].
pub fn book_for(
    specs: &[String],
    loaded: &Loaded,
    market: &Market,
    naming: &Naming,
) -> anyhow::Result<Recorded> {
    let point = &loaded.site.point;
    let mut files = Vec::new();
    for spec in specs {
        let file = PriceSpec::of(spec).file;
        let parsed = match read_prices(spec, loaded, market) {
            Ok(parsed) => parsed,
            Err(e) if other_points(&e) => return Err(absent(file, point, market, naming)),
            Err(e) => return Err(e),
        };
        in_order(&parsed)?;
        files.push(parsed);
    }
    one_type(&files, point, naming)?;
    let mut notes = Vec::new();
    let mut prices = joined(&files, point, &mut notes)?;
    if prices.dispatch.is_empty() && prices.settlement.is_empty() {
        bail!(Refused(format!(
            "{} hold no real-time price of {point}: add dispatch runs or settlement prices",
            specs.join(", ")
        )));
    }
    one_price(&mut prices, market, &mut notes);
    let settle_step = market.settle_step;
    if let Some(odd) = prices.settlement.iter().find(|r| r.interval.length() != settle_step) {
        bail!(Refused(format!(
            "the price at {} settles {}, and {} settles by {settle_step}: name the market the \
             prices are of in [site]",
            odd.interval.start,
            odd.interval.length(),
            market.name
        )));
    }
    let book = Book::new(point.clone(), market.dispatch_step, settle_step, prices);
    Ok(Recorded { book, notes })
}

/// Books of the other points in the same files than the site's own, by name; those whose prices
/// contradict each other are left out.
///
/// # Errors
/// When a file cannot be read.
pub fn others(specs: &[String], loaded: &Loaded, market: &Market) -> anyhow::Result<Vec<Book>> {
    let mut files = Vec::new();
    for spec in specs {
        let PriceSpec { file, column, .. } = PriceSpec::of(spec);
        let options = Options { column, ..Options::default() };
        match load_with(Path::new(file), market, &options) {
            Ok(parsed) => files.push(parsed),
            // A file without names holds the site's own point; one too large to be read whole is
            // read for that alone.
            Err(e) => tracing::info!("only {} is read of {file}: {e}", loaded.site.point.name),
        }
    }
    let mut names = BTreeSet::new();
    for series in files.iter().flat_map(|f| &f.series) {
        if series.point.name != loaded.site.point.name && !series.point.name.is_empty() {
            names.insert(series.point.name.clone());
        }
    }
    let mut books = Vec::new();
    for name in names {
        let point = SettlementPoint { name, kind: String::new() };
        let own_files: Vec<Parsed> = files
            .iter()
            .filter(|f| !f.series.is_empty())
            .map(|f| {
                let series = f.series.iter().filter(|s| s.point.name == point.name).cloned();
                Parsed { series: series.collect(), ..f.clone() }
            })
            .collect();
        let Ok(mut prices) = joined(&own_files, &point, &mut Vec::new()) else { continue };
        one_price(&mut prices, market, &mut Vec::new());
        let fits = prices.settlement.iter().all(|r| r.interval.length() == market.settle_step);
        if fits {
            books.push(Book::new(point, market.dispatch_step, market.settle_step, prices));
        }
    }
    Ok(books)
}

fn other_points(error: &anyhow::Error) -> bool {
    error.downcast_ref::<FeedError>().is_some_and(FeedError::is_other_points)
}

/// Says which points a file has instead, those most like the wanted one first.
fn absent(file: &str, point: &SettlementPoint, market: &Market, naming: &Naming) -> anyhow::Error {
    let all = load_with(Path::new(file), market, &Options::default());
    let mut names: Vec<String> = match all {
        Ok(parsed) => {
            let names: BTreeSet<String> =
                parsed.series.iter().map(|s| s.point.to_string()).collect();
            names.into_iter().collect()
        }
        // Of a file too large to be read whole the error has the first names.
        Err(e) => return e.into(),
    };
    let wanted = point.to_string().to_ascii_uppercase();
    names.sort_by_key(|n| strsim::damerau_levenshtein(&wanted, &n.to_ascii_uppercase()));
    names.truncate(NEAR_MAX);
    anyhow!(Refused(format!(
        "{file} has no price of {point}: it has {}; {}",
        names.join(", "),
        naming.point
    )))
}

/// A file tells each interval once.
fn in_order(parsed: &Parsed) -> anyhow::Result<()> {
    match parsed.notes.iter().find(|n| n.kind == NoteKind::Conflict) {
        Some(note) => {
            bail!(Refused(format!("{}: leave one of the two out", note.text)))
        }
        None => Ok(()),
    }
}

/// Files of one name and two types are of two points.
fn one_type(files: &[Parsed], point: &SettlementPoint, naming: &Naming) -> anyhow::Result<()> {
    let mut seen: Option<(&str, &str)> = None;
    for file in files {
        for series in file.series.iter().filter(|s| s.is_of(point) && !s.point.kind.is_empty()) {
            let kind = series.point.kind.as_str();
            match seen {
                Some((other, first)) if other != kind => bail!(Refused(format!(
                    "{first} has {} as type {other} and {} as type {kind}, which are two points: \
                     {}",
                    point.name, file.file, naming.kind
                ))),
                _ => seen = Some((kind, file.file.as_str())),
            }
        }
    }
    Ok(())
}

/// All rows of the point by kind; the same interval may come again only with the same price.
fn joined(
    files: &[Parsed],
    point: &SettlementPoint,
    notes: &mut Vec<String>,
) -> anyhow::Result<Prices> {
    let unnamed = SettlementPoint { name: String::new(), kind: String::new() };
    let mut all: BTreeMap<PriceKind, BTreeMap<(Time, Time), From<'_>>> = BTreeMap::new();
    let mut again = 0u64;
    for file in files {
        for series in file.series.iter().filter(|s| s.is_of(point) || s.is_of(&unnamed)) {
            // Reserve and adders are no prices the engine may act on.
            let Some(kind) = series.kind.price_kind() else { continue };
            let rows = all.entry(kind).or_default();
            for row in &series.rows {
                // Several runs foresee one step, and each of them was known in its time.
                let run = if kind == PriceKind::LookAhead { row.known_at } else { Time::MIN };
                match rows.get(&(row.interval.start, run)) {
                    Some((old, first)) if old.price != row.price => bail!(Refused(format!(
                        "{first} has {} at {} and {} has {}: leave one of the two out, or see \
                         whether both are of {point}",
                        old.price, row.interval.start, file.file, row.price
                    ))),
                    Some(_) => again += 1,
                    None => {
                        rows.insert((row.interval.start, run), (*row, file.file.as_str()));
                    }
                }
            }
        }
    }
    if again > 0 {
        notes.push(format!("intervals told by more than one file, with the same price: {again}"));
    }
    let mut take = |kind| -> Vec<PriceRow> {
        all.remove(&kind).unwrap_or_default().into_values().map(|(row, _)| row).collect()
    };
    Ok(Prices {
        dispatch: take(PriceKind::Dispatch),
        settlement: take(PriceKind::Settlement),
        day_ahead: take(PriceKind::DayAhead),
        look_ahead: take(PriceKind::LookAhead),
    })
}

/// Where dispatch and settlement are by one step they have one price: that of a run is known when
/// the run is, not when its interval is over.
fn one_price(prices: &mut Prices, market: &Market, notes: &mut Vec<String>) {
    if !prices.dispatch.is_empty() || market.dispatch_step != market.settle_step {
        return;
    }
    let as_run = |row: &PriceRow| {
        let known_at = market.known_at(PriceKind::Dispatch, row.interval)?;
        Some(PriceRow { known_at, ..*row })
    };
    prices.dispatch = prices.settlement.iter().filter_map(as_run).collect();
    notes.push(format!(
        "{} dispatches and settles by {} at one price: each is told when its run is known",
        market.name, market.settle_step
    ));
}

/// The span asked for, or all that the book covers; on settlement boundaries and without a gap.
///
/// # Errors
/// One sentence when the prices do not cover it.
pub fn span(
    book: &Book,
    market: &Market,
    from: Option<Time>,
    to: Option<Time>,
) -> anyhow::Result<Interval> {
    let step = market.settle_step;
    let Some(covered) = book.covered() else {
        bail!(Refused(format!("no interval of {} has a settled price", book.point())));
    };
    let mut all = covered;
    let runs = &book.prices().dispatch;
    if let (Some(first), Some(last)) = (runs.first(), runs.last()) {
        // Where runs are told, what lies outside them would be decided blind.
        let (begin, end) = (first.interval.start + step, last.interval.end);
        all.start = all.start.max(begin.interval(step).start);
        all.end = all.end.min(end.interval(step).start);
    }
    for (t, flag) in [(from, "--from"), (to, "--to")] {
        if let Some(t) = t.filter(|t| t.interval(step).start != *t) {
            bail!(Refused(format!("{flag} {t} is not at the edge of a {step} interval")));
        }
    }
    let asked = Interval { start: from.unwrap_or(all.start), end: to.unwrap_or(all.end) };
    let mend = format!(
        "the prices cover {} to {}: move --from or --to, or add a file",
        covered.start, covered.end
    );
    if asked.start >= asked.end {
        bail!(Refused(format!("there is nothing from {} to {}; {mend}", asked.start, asked.end)));
    }
    if asked.start < covered.start || asked.end > covered.end {
        bail!(Refused(format!("{} to {} is not covered; {mend}", asked.start, asked.end)));
    }
    match book.gap(asked) {
        None => Ok(asked),
        Some(gap) => {
            let missing = missing(book, asked);
            bail!(Refused(format!(
                "{} has no price in {gap} ({missing} intervals are missing in all): add a file \
                 that has them, or move --from or --to",
                book.point()
            )))
        }
    }
}

/// Settlement intervals of a span without a price.
fn missing(book: &Book, span: Interval) -> i64 {
    let within = |r: &&PriceRow| r.interval.start >= span.start && r.interval.end <= span.end;
    let known = book.settled().iter().filter(within).count();
    let step = book.settled().first().map_or(1, |r| r.interval.length().0);
    span.length().0 / step - i64::try_from(known).unwrap_or(i64::MAX)
}

/// What a reader should know of a span's prices: how many were not published, and where runs are
/// missing.
pub fn odd(book: &Book, span: Interval, market: &Market) -> Vec<String> {
    let mut notes = Vec::new();
    let prices = book.prices();
    let inside = |r: &&PriceRow| span.contains(r.interval.start);
    let settled = book.settled().iter().filter(inside).count();
    let published = prices.settlement.iter().filter(inside).count();
    if let Some(made) = settled.checked_sub(published).filter(|n| *n > 0) {
        notes.push(format!(
            "no settlement price was given for {made} of {settled} intervals: they settle at the \
             time-weighted mean of their runs"
        ));
    }
    let runs: Vec<&PriceRow> = prices.dispatch.iter().filter(inside).collect();
    let late = |pair: &&[&PriceRow]| {
        let gap = pair[1].interval.start.since(pair[0].interval.start);
        gap.0 > 3 * market.dispatch_step.0
    };
    let holes: Vec<_> = runs.windows(2).filter(late).collect();
    if let Some(first) = holes.first() {
        notes.push(format!(
            "{} times no run is told for longer than {}, first after {}: live it would be the \
             same, and policies get by",
            holes.len(),
            headgate_core::time::Span(3 * market.dispatch_step.0),
            first[0].interval.start
        ));
    }
    if prices.dispatch.is_empty() {
        notes.push(format!(
            "no dispatch runs were given: decisions go by settlement prices, each known {}",
            known_after(prices.settlement.first())
        ));
    }
    notes
}

fn known_after(row: Option<&PriceRow>) -> String {
    row.map_or_else(String::new, |r| {
        let since = r.known_at.since(r.interval.end);
        match since.0 {
            0.. => format!("{since} after its interval"),
            _ => format!("{} after its beginning", r.known_at.since(r.interval.start)),
        }
    })
}

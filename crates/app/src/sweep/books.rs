//! The prices of a sweep: one book a place, its spans covered, its whole days counted.

use super::frame::{Frame, midnight};
use super::plan::Key;
use crate::backtest::read;
use crate::run::Refused;
use anyhow::bail;
use headgate_core::market::SettlementPoint;
use headgate_core::time::Interval;
use headgate_sim::sweep::book::HISTORY;
use headgate_sim::sweep::bootstrap::draw;
use headgate_sim::sweep::{Book, BookInput, Day, SiteInput, SpanInput, Sweep};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// A name that no market has, to see whether a file names its point at all.
const NOWHERE: &str = "\u{1}nowhere";

/// Where a plan, or its site, names points and their types.
const IN_THE_PLAN: read::Naming = read::Naming {
    point: "name one in the plan's `points`, or in the site's settlement_point",
    kind: "name the type in the plan's `points`, \"NAME:TYPE\", or in the site's settlement_point",
};

/// Reads all prices.
///
/// # Errors
/// One sentence naming file, point, interval or day, and the mend.
pub fn sweep(frame: &Frame) -> anyhow::Result<Sweep> {
    let mut books = Vec::new();
    for place in 0..frame.places.len() {
        books.push(book(frame, place)?);
    }
    let days = whole_days(frame, &books)?;
    let mut inputs = Vec::new();
    for (place, book) in books.into_iter().enumerate() {
        let sources = days.get(&frame.places[place].market).cloned().unwrap_or_default();
        let spans = spans(frame, place, &book, &sources)?;
        inputs.push(BookInput { book, sources, spans });
    }
    let mut sites = Vec::new();
    for site in &frame.sites {
        let loaded = &site.loaded;
        let values = site.values.clone();
        let (site, books) = (loaded.site.clone(), site.places.clone());
        sites.push(SiteInput { site, units: loaded.units.clone(), values, books });
    }
    Ok(Sweep {
        sites,
        books: inputs,
        settings: frame.plan.settings.clone(),
        axes: frame.axes.clone(),
        resampling: frame.plan.resampling,
    })
}

fn book(frame: &Frame, place: usize) -> anyhow::Result<Book> {
    let (wanted, market) = (&frame.places[place], &frame.markets[place]);
    let site = frame.sites.iter().find(|s| s.places.contains(&place));
    let mut loaded = site.expect("every place is a site's").loaded.clone();
    loaded.site.point = wanted.point.clone();
    let own = |p: &SettlementPoint| {
        p.name == wanted.point.name && (p.kind.is_empty() || p.kind == wanted.point.kind)
    };
    let files = frame.plan.prices.iter().filter(|f| f.point.as_ref().is_none_or(own));
    let specs: Vec<String> = files.clone().map(|f| f.spec.clone()).collect();
    if specs.is_empty() {
        let message = format!("no file holds prices of {}: add one", wanted.point);
        return Err(frame.plan.refuse(Key::Prices, message).into());
    }
    let shared = frame.places.iter().filter(|p| p.market == wanted.market).count() > 1;
    if shared {
        let mut nowhere = loaded.clone();
        nowhere.site.point = SettlementPoint { name: NOWHERE.into(), kind: String::new() };
        for file in files.filter(|f| f.point.is_none() && !f.spec.contains("#column=")) {
            if read::book(std::slice::from_ref(&file.spec), &nowhere, market).is_ok() {
                let message = format!(
                    "{} names no settlement point: write {{ file = \"..\", point = \"..\" }}",
                    file.file.display()
                );
                return Err(frame.plan.refuse(Key::Prices, message).into());
            }
        }
    }
    let recorded = read::book_for(&specs, &loaded, market, &IN_THE_PLAN)?;
    let read::Recorded { book, notes } = recorded;
    notes.iter().for_each(|note| tracing::info!("{}: {note}", wanted.point));
    Ok(book)
}

/// Local days from one moment to another, those that are cut off left out.
fn local_days(zone: &TimeZone, span: Interval) -> anyhow::Result<Vec<Day>> {
    let first = jiff::Timestamp::from_nanosecond(i128::from(span.start.0))?;
    let mut date = zone.to_datetime(first).date();
    let mut days = Vec::new();
    loop {
        let next = date.tomorrow()?;
        let interval = Interval { start: midnight(zone, date)?, end: midnight(zone, next)? };
        if interval.end > span.end {
            return Ok(days);
        }
        if interval.start >= span.start {
            let of_year = u16::try_from(date.day_of_year())?;
            days.push(Day { interval, of_year });
        }
        date = next;
    }
}

/// The days of each market that are whole at all its places; none where no path is drawn.
fn whole_days(frame: &Frame, books: &[Book]) -> anyhow::Result<BTreeMap<String, Vec<Day>>> {
    let mut of_market: BTreeMap<String, Vec<Day>> = BTreeMap::new();
    if frame.axes.seeds.end <= 1 {
        return Ok(of_market);
    }
    for (place, book) in books.iter().enumerate() {
        let Some(all) = book.covered() else { continue };
        let mut days = local_days(frame.markets[place].zone(), all)?;
        days.retain(|day| book.is_whole(day.interval));
        let market = &frame.places[place].market;
        match of_market.get_mut(market) {
            Some(known) => known.retain(|day| days.contains(day)),
            None => {
                of_market.insert(market.clone(), days);
            }
        }
    }
    for (market, days) in &of_market {
        tracing::info!("{market}: paths are made of {} whole days", days.len());
    }
    Ok(of_market)
}

fn spans(
    frame: &Frame,
    place: usize,
    book: &Book,
    sources: &[Day],
) -> anyhow::Result<Vec<SpanInput>> {
    let point = &frame.places[place].point;
    let seeds = &frame.axes.seeds;
    let mut spans = Vec::new();
    for span in 0..frame.axes.spans {
        let interval = frame.span(place, span)?;
        let gap = if seeds.contains(&0) { book.gap(interval) } else { None };
        if let Some(gap) = gap {
            bail!(Refused(format!(
                "{point} has no price in {gap}: add a file that has it, or take the span from {} \
                 to {} out",
                interval.start, interval.end
            )));
        }
        let mut days = Vec::new();
        if seeds.end > 1 {
            let start = interval.start - HISTORY;
            days = local_days(frame.markets[place].zone(), Interval { start, ..interval })?;
            let first = seeds.start.max(1);
            if let Err(e) = draw(sources, &days, frame.plan.resampling, first) {
                return Err(frame.plan.refuse(Key::Seeds, format!("{point}: {e}")).into());
            }
        }
        spans.push(SpanInput { interval, days });
    }
    Ok(spans)
}

//! AEMO's NEMWeb reports: lines marked C (comment), I (the columns of a table) and D (a row of
//! the table whose columns came last). One file has several tables, in several versions.

use super::super::row::{FETCH_AGAIN, Row};
use super::super::{FileKind, SeriesKind};
use super::{Taker, at_line, column, csv_of, named, names, unread, whole};
use crate::error::{FeedError, OTHER_MARKET, shown};
use crate::local::{self, LocalClock, Pass};
use crate::market::Edge;
use csv::ByteRecord;
use headgate_core::time::{Interval, Span};
use std::io::BufRead;

/// Columns before those of the table: mark, group, table, version.
const PREFIX: usize = 4;

/// A table that is taken, as its I line tells it.
struct Table {
    head: ByteRecord,
    layout: super::Layout,
    energy: SeriesKind,
    reserve: SeriesKind,
    stamp: usize,
    region: usize,
    intervention: Option<usize>,
    price: Option<usize>,
    demand: Option<usize>,
    products: Vec<(String, usize)>,
}

/// Reads a report to its end; without its last line it was cut short.
pub(super) fn read(
    text: &mut dyn BufRead,
    taker: &mut Taker<'_, '_>,
) -> Result<FileKind, FeedError> {
    let input = taker.input;
    if input.market.stamp != Edge::End {
        let what = format!("a NEMWeb report {OTHER_MARKET} {}", input.market.name);
        return Err(whole(input, what, "name the market the file is from"));
    }
    let mut clock = LocalClock::new(input.market.zone().clone());
    let mut reader = csv_of(text);
    let mut record = ByteRecord::new();
    let (mut table, mut kind, mut ended, mut left_out) = (None::<Table>, None, false, 0u64);
    while reader.read_byte_record(&mut record).map_err(|e| unread(input, e))? {
        let line = record.position().map_or(0, csv::Position::line);
        match record.get(0).unwrap_or_default().trim_ascii() {
            b"C" => ended |= record.get(1).is_some_and(|c| c.trim_ascii() == b"END OF REPORT"),
            b"I" => {
                table = open(taker, &record, line)?;
                kind = table.as_ref().map(|t| t.layout.kind).or(kind);
            }
            b"D" => {
                let Some(table) = &table else { continue };
                left_out += u64::from(!data(taker, &mut clock, table, &record, line)?);
            }
            b"" if record.len() == 1 => {}
            other => {
                let what = format!("`{}` is no mark of a line", shown(other));
                return Err(at_line(input, line, (what, "fetch the file again".into())));
            }
        }
    }
    if !ended {
        let what = "its last line, END OF REPORT, is missing".to_owned();
        return Err(whole(input, what, "the file is cut short: fetch it again"));
    }
    let text = format!(
        "{}: rows of runs with an intervention left out, because they set no price: {left_out}",
        input.file
    );
    taker.collector.remark(left_out, text);
    kind.ok_or_else(|| {
        let what = "it has no table of prices".to_owned();
        whole(input, what, "fetch PUBLIC_DISPATCHIS or PUBLIC_TRADINGIS")
    })
}

/// The table an I line opens; `None` for one that tells neither price nor demand.
fn open(taker: &Taker<'_, '_>, head: &ByteRecord, line: u64) -> Result<Option<Table>, FeedError> {
    let (group, table) = (head.get(1).unwrap_or_default(), head.get(2).unwrap_or_default());
    let (kind, priced) = match (group, table) {
        (b"DISPATCH", b"PRICE") => (FileKind::NemwebDispatch, true),
        (b"DISPATCH", b"REGIONSUM") => (FileKind::NemwebDispatch, false),
        (b"TRADING", b"PRICE") => (FileKind::NemwebTrading, true),
        _ => return Ok(None),
    };
    let layout = named(kind, names(head, PREFIX));
    let at = |name: &str| column(taker.input, line, &layout, &[name]);
    let (stamp, region) = (at("SETTLEMENTDATE")?, at("REGIONID")?);
    let price = if priced { Some(at("RRP")?) } else { None };
    let demand = if priced { None } else { Some(at("TOTALDEMAND")?) };
    let mut products = Vec::new();
    for (at, name) in layout.names.iter().enumerate().filter(|_| priced) {
        let product =
            name.strip_suffix("RRP").filter(|p| p.starts_with("RAISE") || p.starts_with("LOWER"));
        products.extend(product.map(|p| (p.to_owned(), at)));
    }
    let intervention = at("INTERVENTION").ok();
    let (energy, reserve) = match kind {
        FileKind::NemwebTrading => (SeriesKind::Settlement, SeriesKind::CapacitySettlement),
        _ => (SeriesKind::Dispatch, SeriesKind::CapacityDispatch),
    };
    let head = head.clone();
    let table = Table {
        head,
        layout,
        energy,
        reserve,
        stamp,
        region,
        intervention,
        price,
        demand,
        products,
    };
    Ok(Some(table))
}

/// Takes a D line; `false` where it is of a run that sets no price.
fn data(
    taker: &mut Taker<'_, '_>,
    clock: &mut LocalClock,
    table: &Table,
    record: &ByteRecord,
    line: u64,
) -> Result<bool, FeedError> {
    let input = taker.input;
    if !(1..PREFIX).all(|at| record.get(at) == table.head.get(at)) {
        let what = "it is of another table or version than the columns before it".to_owned();
        return Err(at_line(input, line, (what, "fetch the file again".into())));
    }
    if record.len() != table.head.len() {
        let what =
            format!("it has {} fields where its table has {}", record.len(), table.head.len());
        let mend = "the file is cut short or damaged: fetch it again".to_owned();
        return Err(at_line(input, line, (what, mend)));
    }
    let row = Row { file: input.file, layout: &table.layout, record, line };
    // Under an intervention AEMO prices by the run that leaves it out, marked 0.
    match table.intervention.map_or(&b"0"[..], |at| row.cell(at)) {
        b"0" => {}
        b"1" => return Ok(false),
        _ => {
            let at = table.intervention.unwrap_or(0);
            return Err(row.unreadable(at, "0 or 1", FETCH_AGAIN));
        }
    }
    let region = row.text(table.region, "a region")?;
    if region.is_empty() {
        return Err(row.unreadable(table.region, "a region", FETCH_AGAIN));
    }
    let bad =
        || row.unreadable(table.stamp, "a local date and time", "write it as YYYY/MM/DD HH:MM:SS");
    let (day, second, nanos) = local::stamp(row.cell(table.stamp)).ok_or_else(bad)?;
    let end = clock.utc(day, second, Pass::Unsaid).map_err(|_| bad())? + Span(nanos);
    let step = match table.energy {
        SeriesKind::Settlement => input.market.settle_step,
        _ => input.market.dispatch_step,
    };
    let interval = Interval::starting(end - step, step);
    let told = |result: Result<(), _>| result.map_err(|refusal| at_line(input, line, refusal));
    if let Some(at) = table.price
        && taker.wants(region, "", table.energy)
    {
        told(taker.price((region, ""), table.energy, interval, row.price(at)?))?;
    }
    if let Some(at) = table.demand {
        told(taker.load(region, interval, row.power(at)?))?;
    }
    for (product, at) in &table.products {
        let name = format!("{region}_{product}");
        // Before a product was bought, its cells were empty.
        if !row.cell(*at).is_empty() && taker.wants(&name, "AS", table.reserve) {
            told(taker.price((&name, "AS"), table.reserve, interval, row.price(*at)?))?;
        }
    }
    Ok(true)
}

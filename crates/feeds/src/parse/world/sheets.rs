//! CSV files under one header with rules of their own: CAISO OASIS, TenneT, a Chinese province.

use super::super::row::{FETCH_AGAIN, Row};
use super::super::{FileKind, SeriesKind};
use super::{Taker, at_line, column, csv_of, named, names, unread, whole};
use crate::error::FeedError;
use crate::local::{self, LocalClock, Pass};
use csv::ByteRecord;
use headgate_core::time::{Interval, Span, Time};
use std::io::BufRead;

/// Periods of a day with the most hours: numbers beyond it are no periods.
const HOURS_MAX: i64 = 25;

/// Where things are.
enum Places {
    Oasis { start: usize, end: usize, node: usize, run: usize, component: usize, price: usize },
    Tennet { start: usize, isp: usize, shortage: usize, surplus: usize, currency: Option<usize> },
    Provincial { date: usize, number: usize, day_ahead: usize, real_time: usize },
}

/// Reads a file to its end.
pub(super) fn read(
    kind: FileKind,
    text: &mut dyn BufRead,
    taker: &mut Taker<'_, '_>,
) -> Result<FileKind, FeedError> {
    let input = taker.input;
    let mut reader = csv_of(text);
    let mut record = ByteRecord::new();
    reader.read_byte_record(&mut record).map_err(|e| unread(input, e))?;
    let layout = named(kind, names(&record, 0));
    let at = |names: &[&str]| column(input, 1, &layout, names);
    let places = match kind {
        FileKind::CaisoOasis => Places::Oasis {
            start: at(&["INTERVALSTARTTIME_GMT"])?,
            end: at(&["INTERVALENDTIME_GMT"])?,
            node: at(&["NODE", "NODE_ID", "NODE_ID_XML"])?,
            run: at(&["MARKET_RUN_ID"])?,
            component: at(&["LMP_TYPE"])?,
            // Each report has a name of its own for the one number it tells.
            price: at(&["MW", "VALUE", "PRC", "LMP_PRC"])?,
        },
        FileKind::TennetImbalance => Places::Tennet {
            start: at(&["Timeinterval Start Loc"])?,
            isp: at(&["Isp"])?,
            shortage: at(&["Price Shortage"])?,
            surplus: at(&["Price Surplus"])?,
            currency: at(&["Currency Unit Name"]).ok(),
        },
        _ => Places::Provincial {
            date: at(&["date"])?,
            number: at(&["time_order"])?,
            day_ahead: at(&["dayahead_clearing_price"])?,
            real_time: at(&["realtime_clearing_price"])?,
        },
    };
    let mut clock = LocalClock::new(input.market.zone().clone());
    let mut rows = 0u64;
    while reader.read_byte_record(&mut record).map_err(|e| unread(input, e))? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() == 1 && record.get(0).is_none_or(|c| c.trim_ascii().is_empty()) {
            continue;
        }
        if record.len() != layout.names.len() {
            let (got, want) = (record.len(), layout.names.len());
            let what = format!("it has {got} fields where the header has {want}");
            let mend = "the file is cut short or damaged: fetch it again".to_owned();
            return Err(at_line(input, line, (what, mend)));
        }
        rows += 1;
        let row = Row { file: input.file, layout: &layout, record: &record, line };
        match &places {
            Places::Oasis { .. } => oasis(taker, &row, &places)?,
            Places::Tennet { .. } => tennet(taker, &row, &places, &mut clock)?,
            Places::Provincial { .. } => provincial(taker, &row, &places, &mut clock)?,
        }
    }
    if rows == 0 {
        return Err(whole(input, "it has a header and no rows".into(), "fetch the file again"));
    }
    Ok(kind)
}

/// The run a row is of says its kind; its own two times say how long it lasts. The prices of the
/// five-minute run settle; the quarter-hour run, which commits, counts as a dispatch run.
fn oasis(taker: &mut Taker<'_, '_>, row: &Row<'_>, places: &Places) -> Result<(), FeedError> {
    let Places::Oasis { start, end, node, run, component, price } = *places else { return Ok(()) };
    match row.cell(component) {
        b"LMP" => {}
        b"MCC" | b"MCE" | b"MCL" | b"MGHG" | b"MCG" => return Ok(()),
        _ => {
            let wanted = "a component of a price such as LMP";
            return Err(row.unreadable(component, wanted, FETCH_AGAIN));
        }
    }
    let kind = match row.cell(run) {
        b"DAM" => SeriesKind::DayAhead,
        b"RTM" | b"RTD" => SeriesKind::Settlement,
        b"RTPD" | b"FMM" => SeriesKind::Dispatch,
        _ => return Err(row.unreadable(run, "one of DAM, RTM, RTPD", FETCH_AGAIN)),
    };
    let name = row.text(node, "a node")?;
    if name.is_empty() {
        return Err(row.unreadable(node, "a node", FETCH_AGAIN));
    }
    if !taker.wants(name, "", kind) {
        return Ok(());
    }
    let time = |at| {
        let read = local::utc(row.cell(at));
        read.ok_or_else(|| row.unreadable(at, "a time in UTC", FETCH_AGAIN))
    };
    let interval = Interval { start: time(start)?, end: time(end)? };
    let length = interval.end.since(interval.start);
    if length.0 <= 0 || length > Span::hours(1) {
        let what = format!("the interval {interval} is not one of an hour or less");
        return Err(row.bad(end, what, FETCH_AGAIN));
    }
    let told = taker.price((name, ""), kind, interval, row.price(price)?);
    told.map_err(|refusal| at_line(taker.input, row.line, refusal))
}

/// Start of the period of a local day with this number, from 1: so the hour that comes twice is
/// told apart, and a day has as many periods as it is long.
fn period(row: &Row<'_>, at: usize, step: Span, midnight: Time) -> Result<Time, FeedError> {
    let most = Span::hours(HOURS_MAX).0 / step.0;
    let n = local::whole(row.cell(at)).filter(|n| (1..=most).contains(n));
    let n =
        n.ok_or_else(|| row.unreadable(at, &format!("a period from 1 to {most}"), FETCH_AGAIN))?;
    Ok(midnight + Span((n - 1) * step.0))
}

/// A short party pays the price of shortage, and a long one gets the price of surplus.
fn tennet(
    taker: &mut Taker<'_, '_>,
    row: &Row<'_>,
    places: &Places,
    clock: &mut LocalClock,
) -> Result<(), FeedError> {
    let Places::Tennet { start, isp, shortage, surplus, currency } = *places else {
        return Ok(());
    };
    let market = taker.input.market;
    if let Some(at) = currency
        && row.cell(at) != market.currency.as_bytes()
    {
        let wanted = format!("the currency {} of market {}", market.currency, market.name);
        return Err(row.unreadable(at, &wanted, "name the market the file is from"));
    }
    let bad = || row.unreadable(start, "a local date and time", "write it as YYYY-MM-DDTHH:MM");
    let (day, second, _) = local::stamp(row.cell(start)).ok_or_else(bad)?;
    let midnight = clock.utc(day, 0, Pass::First).map_err(|_| bad())?;
    let from = period(row, isp, market.settle_step, midnight)?;
    if local::local_of(market.zone(), from) != (day, second) {
        let what = format!("period {} does not start at that time", row.text(isp, "a period")?);
        return Err(row.bad(start, what, FETCH_AGAIN));
    }
    let interval = Interval::starting(from, market.settle_step);
    for (at, kind) in [(shortage, SeriesKind::Settlement), (surplus, SeriesKind::Surplus)] {
        if taker.wants("", "", kind) {
            let told = taker.price(("", ""), kind, interval, row.price(at)?);
            told.map_err(|refusal| at_line(taker.input, row.line, refusal))?;
        }
    }
    Ok(())
}

fn provincial(
    taker: &mut Taker<'_, '_>,
    row: &Row<'_>,
    places: &Places,
    clock: &mut LocalClock,
) -> Result<(), FeedError> {
    let Places::Provincial { date, number, day_ahead, real_time } = *places else { return Ok(()) };
    let market = taker.input.market;
    let bad = || row.unreadable(date, "a date", "write it as YYYY-MM-DD");
    let day = local::date(row.cell(date)).ok_or_else(bad)?;
    let midnight = clock.utc(day, 0, Pass::First).map_err(|_| bad())?;
    let from = period(row, number, market.settle_step, midnight)?;
    if local::local_of(market.zone(), from).0 != day {
        let what = "the day has not so many periods".to_owned();
        return Err(row.bad(number, what, FETCH_AGAIN));
    }
    let interval = Interval::starting(from, market.settle_step);
    for (at, kind) in [(day_ahead, SeriesKind::DayAhead), (real_time, SeriesKind::Settlement)] {
        if taker.wants("", "", kind) {
            let told = taker.price(("", ""), kind, interval, row.price(at)?);
            told.map_err(|refusal| at_line(taker.input, row.line, refusal))?;
        }
    }
    Ok(())
}

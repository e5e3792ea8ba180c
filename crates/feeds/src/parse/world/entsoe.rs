//! XML: ENTSO-E's day-ahead prices (A44), and what exchanges say by XML when they have nothing.

use super::super::{FileKind, SeriesKind};
use super::{Input, Taker, at_line, whole};
use crate::container;
use crate::error::{FeedError, shown};
use crate::limits::{CURVE_POINTS_MAX, XML_BYTES_MAX, XML_NODES_MAX};
use crate::local;
use headgate_core::number::decimal;
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::Price;
use roxmltree::{Document, Node, ParsingOptions};
use std::io::{BufRead, Read};

/// Decimals of a price in micro-currency.
const DIGITS: u32 = 6;
const FETCH: &str = "fetch the file again";

/// Reads a document. A type declaration, and so any entity of its own, is refused.
pub(super) fn read(
    text: &mut dyn BufRead,
    taker: &mut Taker<'_, '_>,
) -> Result<FileKind, FeedError> {
    let input = taker.input;
    let mut bytes = Vec::new();
    let taken = text.take(XML_BYTES_MAX + 1).read_to_end(&mut bytes);
    taken.map_err(|e| container::failed(input.file, input.container, e))?;
    if bytes.len() as u64 > XML_BYTES_MAX {
        let what = format!("the document has more than {XML_BYTES_MAX} bytes");
        return Err(whole(input, what, "ask for a shorter time"));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| whole(input, "the document is not UTF-8".into(), FETCH))?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let head = text.as_bytes().get(..14).unwrap_or_default().to_ascii_lowercase();
    if head.starts_with(b"<!doctype html") || head.starts_with(b"<html") {
        let what = "it is a web page, not data".to_owned();
        return Err(whole(input, what, "see in a browser what the address answers"));
    }
    let options = ParsingOptions { nodes_limit: XML_NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|e| {
        let what = format!("the XML is damaged: {e}");
        at_line(input, u64::from(e.pos().row), (what, FETCH.into()))
    })?;
    let root = document.root_element();
    match root.tag_name().name() {
        "Publication_MarketDocument" => publication(taker, root)?,
        "Acknowledgement_MarketDocument" => return Err(refusal(input, root, "text", "code")),
        "OASISReport" => return Err(refusal(input, root, "ERR_DESC", "ERR_CODE")),
        other => {
            let what = format!("an XML document `{}` is of no known kind", shown(other.as_bytes()));
            return Err(whole(input, what, "fetch the CSV, or ENTSO-E's A44"));
        }
    }
    Ok(FileKind::EntsoeA44)
}

/// What an exchange says instead of data.
fn refusal(input: &Input<'_>, root: Node<'_, '_>, text: &str, code: &str) -> FeedError {
    let find = |name: &str| root.descendants().find(|n| n.tag_name().name() == name);
    let said = find(text).and_then(|n| n.text()).unwrap_or("no reason given").trim();
    let code = find(code).and_then(|n| n.text()).unwrap_or("no code").trim();
    let what = format!(
        "it holds no data, but the answer \"{}\" ({})",
        shown(said.as_bytes()),
        shown(code.as_bytes())
    );
    whole(input, what, "ask for another time or point")
}

fn publication(taker: &mut Taker<'_, '_>, root: Node<'_, '_>) -> Result<(), FeedError> {
    let input = taker.input;
    let mut series = 0usize;
    for one in children(root, "TimeSeries") {
        series += 1;
        let zone = ["in_Domain.mRID", "out_Domain.mRID"].iter().find_map(|n| child(one, n));
        let zone = zone.and_then(|n| n.text()).unwrap_or("").trim();
        if let Some(currency) = child(one, "currency_Unit.name")
            && content(currency) != input.market.currency
        {
            let market = input.market;
            let what = format!("`{}` is not the currency {}", show(currency), market.currency);
            return Err(bad(input, currency, what, "name a market of that currency"));
        }
        let repeats = match child(one, "curveType").map(content) {
            None | Some("A01") => false,
            Some("A03") => true,
            Some(other) => {
                let what = format!("the curve type `{}` is not known", shown(other.as_bytes()));
                return Err(bad(input, one, what, "ask for A01 or A03"));
            }
        };
        for period in children(one, "Period") {
            curve(taker, zone, period, repeats)?;
        }
    }
    if series == 0 {
        return Err(whole(input, "it has no time series".into(), FETCH));
    }
    Ok(())
}

/// Takes one period in. A curve that omits repeated points holds each price until the next
/// point or the end of the period; in any other a point that is not there is missing.
fn curve(
    taker: &mut Taker<'_, '_>,
    zone: &str,
    period: Node<'_, '_>,
    repeats: bool,
) -> Result<(), FeedError> {
    let input = taker.input;
    let span = need(input, period, "timeInterval")?;
    let (start, end) = (time(input, span, "start")?, time(input, span, "end")?);
    let resolution = need(input, period, "resolution")?;
    let step = match content(resolution) {
        "PT15M" => Span::minutes(15),
        "PT30M" => Span::minutes(30),
        "PT60M" | "PT1H" => Span::hours(1),
        _ => {
            let what =
                format!("`{}` is not a resolution of 15, 30 or 60 minutes", show(resolution));
            return Err(bad(input, resolution, what, FETCH));
        }
    };
    let length = end.since(start);
    let count = length.0 / step.0;
    if length.0 <= 0 || length.0 % step.0 != 0 || count > CURVE_POINTS_MAX {
        let what = format!("{start} to {end} is not a whole number of {step} intervals");
        return Err(bad(input, span, what, FETCH));
    }
    let mut last: Option<(i64, Price, Node<'_, '_>)> = None;
    for point in children(period, "Point") {
        let position = need(input, point, "position")?;
        let at = local::whole(content(position).as_bytes())
            .filter(|at| (1..=count).contains(at) && last.is_none_or(|(before, ..)| *at > before));
        let at = at.ok_or_else(|| {
            let what = format!("`{}` is not the next position of 1 to {count}", show(position));
            bad(input, position, what, FETCH)
        })?;
        if repeats && last.is_none() && at != 1 {
            let what = "the curve omits repeated points and has no first one".to_owned();
            return Err(bad(input, position, what, FETCH));
        }
        if let Some(before) = last {
            let to = if repeats { at } else { before.0 + 1 };
            fill(taker, zone, (start, step), before, to)?;
        }
        let amount = need(input, point, "price.amount")?;
        let price = decimal(content(amount), DIGITS).map_err(|e| {
            bad(input, amount, e.to_string(), "a missing price is not zero: leave the point out")
        })?;
        last = Some((at, Price(price), point));
    }
    let Some(before) = last else { return Ok(()) };
    let to = if repeats { count + 1 } else { before.0 + 1 };
    fill(taker, zone, (start, step), before, to)
}

/// Takes in one price from its position up to another.
fn fill(
    taker: &mut Taker<'_, '_>,
    zone: &str,
    (start, step): (Time, Span),
    (from, price, point): (i64, Price, Node<'_, '_>),
    to: i64,
) -> Result<(), FeedError> {
    if !taker.wants(zone, "", SeriesKind::DayAhead) {
        return Ok(());
    }
    for at in from..to {
        let interval = Interval::starting(start + Span((at - 1) * step.0), step);
        let told = taker.price((zone, ""), SeriesKind::DayAhead, interval, price);
        told.map_err(|(what, mend)| bad(taker.input, point, what, &mend))?;
    }
    Ok(())
}

fn children<'n, 'd: 'n>(
    node: Node<'n, 'd>,
    name: &'static str,
) -> impl Iterator<Item = Node<'n, 'd>> {
    node.children().filter(move |n| n.tag_name().name() == name)
}

fn child<'n, 'd>(node: Node<'n, 'd>, name: &str) -> Option<Node<'n, 'd>> {
    node.children().find(|n| n.tag_name().name() == name)
}

fn need<'n, 'd>(
    input: &Input<'_>,
    node: Node<'n, 'd>,
    name: &str,
) -> Result<Node<'n, 'd>, FeedError> {
    child(node, name).ok_or_else(|| {
        let what = format!("{} has no {name}", node.tag_name().name());
        bad(input, node, what, FETCH)
    })
}

fn content<'n>(node: Node<'n, '_>) -> &'n str {
    node.text().unwrap_or("").trim()
}

fn show(node: Node<'_, '_>) -> String {
    shown(node.text().unwrap_or("").as_bytes())
}

fn time(input: &Input<'_>, span: Node<'_, '_>, name: &str) -> Result<Time, FeedError> {
    let node = need(input, span, name)?;
    let read = local::utc(content(node).as_bytes());
    read.ok_or_else(|| bad(input, node, format!("`{}` is not a time in UTC", show(node)), FETCH))
}

fn bad(input: &Input<'_>, node: Node<'_, '_>, what: String, mend: &str) -> FeedError {
    let line = node.document().text_pos_at(node.range().start).row;
    at_line(input, u64::from(line), (what, mend.to_owned()))
}

//! What the tests of this crate share: packing, parsing from memory, showing.

use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::number;
use headgate_core::time::{Interval, Time};
use headgate_core::units::Price;
use headgate_feeds::local::local_of;
use headgate_feeds::{FeedError, Market, Options, Parsed, parse as parsing};
use std::io::{Cursor, Write};

pub const SPP_HEADER: &str = "DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,\
                              SettlementPointType,SettlementPointPrice,DSTFlag\n";
pub const MONTH_HEADER: &str = "Delivery Date,Delivery Hour,Delivery Interval,Repeated Hour Flag,\
                                Settlement Point Name,Settlement Point Type,\
                                Settlement Point Price\n";

pub fn parse(market: &str, bytes: &[u8]) -> Result<Parsed, FeedError> {
    parse_for(market, None, bytes)
}

pub fn parse_for(
    market: &str,
    point: Option<SettlementPoint>,
    bytes: &[u8],
) -> Result<Parsed, FeedError> {
    parse_with(market, &Options { point, ..Options::default() }, bytes)
}

pub fn parse_with(market: &str, options: &Options, bytes: &[u8]) -> Result<Parsed, FeedError> {
    let market = Market::shipped(market).unwrap();
    parsing::parse("x.csv", Cursor::new(bytes), &market, options)
}

/// Rows and notes of a parsed file, or the sentence that refuses it.
pub fn show(parsed: &Result<Parsed, FeedError>) -> String {
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(e) => return told(e),
    };
    let mut text = format!("{} {:?}\n", parsed.kind, parsed.series[0].kind);
    for (point, row) in parsed.rows() {
        let (start, length) = (row.interval.start, row.interval.length());
        text += &format!("{point} {start} +{length} {} known {}\n", row.price, row.known_at);
    }
    for note in &parsed.notes {
        // A note has parts, and a line of a test has an end.
        text += &format!("note: {}\n", note.text.replace("; ", ";\n    ").replace(", ", ",\n    "));
    }
    text
}

/// All that a parsed file holds, or the sentence that refuses it.
pub fn show_all(parsed: &Result<Parsed, FeedError>) -> String {
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(e) => return told(e),
    };
    let mut text = format!("{}\n", parsed.kind);
    for series in &parsed.series {
        text += &format!("{} {}\n", series.point, series.kind);
        for row in &series.rows {
            let (start, length) = (row.interval.start, row.interval.length());
            text += &format!("  {start} +{length} {} known {}\n", row.price, row.known_at);
        }
    }
    for load in &parsed.loads {
        text += &format!("{}\n", load.point);
        for row in &load.rows {
            let (start, length) = (row.interval.start, row.interval.length());
            text += &format!("  {start} +{length} {} W known {}\n", row.power.0, row.known_at);
        }
    }
    for m in &parsed.map {
        text +=
            &format!("{} {} zone={} hub={} node={}\n", m.bus, m.substation, m.zone, m.hub, m.node);
    }
    for note in &parsed.notes {
        text += &format!("note: {}\n", note.text);
    }
    text
}

/// The sentence of a refusal, without the long list of what would not have been refused.
pub fn told(refusal: &FeedError) -> String {
    refusal.sentence().replace(&parsing::known_kinds(), "KINDS")
}

/// Quarter hours from a moment on, written as ERCOT would, and the rows they are.
pub fn render_np6_905(market: &Market, from: Time, prices: &[i64]) -> (String, Vec<PriceRow>) {
    let (mut text, mut rows) = (SPP_HEADER.to_owned(), Vec::new());
    let step = market.settle_step;
    let mut start = from;
    for price in prices {
        let interval = Interval::starting(start, step);
        let known_at = market.known_at(PriceKind::Settlement, interval).unwrap();
        rows.push(PriceRow { interval, price: Price(*price), known_at });
        let (day, second) = local_of(market.zone(), start);
        let shown = Time::from_seconds(i64::from(day) * 86_400).to_string();
        let (y, m, d) = (&shown[0..4], &shown[5..7], &shown[8..10]);
        // The second pass is the one whose local time was also an hour ago.
        let an_hour_ago = local_of(market.zone(), Time(start.0 - 3_600_000_000_000));
        let flag = if an_hour_ago == (day, second) { "Y" } else { "N" };
        let (hour, quarter) = (second / 3600 + 1, second % 3600 / 900 + 1);
        let price = number::show(*price, 6, 6);
        text += &format!("{m}/{d}/{y},{hour},{quarter},LZ_WEST,LZ,{price},{flag}\n");
        start += step;
    }
    (text, rows)
}

pub fn pack_gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn pack_zst(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 0).unwrap()
}

pub fn pack_zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        out.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

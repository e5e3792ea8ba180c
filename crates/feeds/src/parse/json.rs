//! JSON answers into the records of the one row loop: ERCOT's Public API, whose rows are arrays
//! in the order of its `fields`, and the prices of ERCOT's dashboards.

use super::FileKind;
use super::header::{Layout, Typed, What, When};
use crate::container::{self, Container};
use crate::error::{FeedError, OTHER_MARKET, shown};
use crate::limits::{JSON_BYTES_MAX, NAMES_SHOWN_MAX, ROWS_MAX};
use crate::local;
use crate::market::Market;
use csv::ByteRecord;
use headgate_core::market::PriceKind;
use headgate_core::time::Time;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{BufRead, Read};

/// An object whose values are still as written: no price ever is a float.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// A text's rows, ready for the row loop.
pub(super) enum Table {
    /// A header as of a CSV file, and the rows under it.
    Answer(ByteRecord, Vec<ByteRecord>),
    /// The prices of a dashboard, by kind.
    Dashboard(Layout, Vec<(PriceKind, Vec<ByteRecord>)>),
}

/// Dashboards that hold no price, by a key only they have.
const PRICELESS: [(&str, &str); 7] = [
    ("current_condition", "daily-prc"),
    ("ascapmon", "ancillary-services"),
    ("monthlyCapacity", "fuel-mix"),
    ("forecast", "supply-demand"),
    ("currentOutages", "generation-outages"),
    ("currentDay", "of loads, wind, sun or storage"),
    ("currentFrequency", "dc-tie-flows"),
];

/// Whether a text is JSON, by its first letter.
pub(super) fn is_json(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    matches!(start.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// One column of an answer.
#[derive(Deserialize)]
struct Column {
    name: String,
}

/// Reads a whole text into rows.
pub(super) fn table(
    file: &str,
    container: Container,
    text: &mut dyn BufRead,
    market: &Market,
) -> Result<Table, FeedError> {
    let mut bytes = Vec::new();
    let read = text.take(JSON_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| container::failed(file, container, e))?;
    if bytes.len() as u64 > JSON_BYTES_MAX {
        let what = format!("the answer has more than {JSON_BYTES_MAX} bytes");
        return Err(whole(file, what, "ask for smaller pages"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let object: Object<'_> = serde_json::from_slice(bytes).map_err(|e| damaged(file, &e))?;
    if let (Some(fields), Some(data)) = (object.get("fields"), object.get("data")) {
        return answer(file, fields, data);
    }
    let priced = [("rtSppData", PriceKind::Settlement), ("damSppData", PriceKind::DayAhead)];
    let mut all = Vec::new();
    for (key, kind) in priced {
        if let Some(raw) = object.get(key) {
            all.push((kind, dashboard(file, key, kind, raw, market)?));
        }
    }
    match all.iter().any(|(_, rows)| !rows.is_empty()) {
        true => Ok(Table::Dashboard(dashboard_layout(), all)),
        false if all.is_empty() => Err(unknown(file, &object)),
        false => Err(FeedError::NoRows { file: file.to_owned() }),
    }
}

fn answer(file: &str, fields: &RawValue, data: &RawValue) -> Result<Table, FeedError> {
    let fields: Vec<Column> = read(file, fields)?;
    let data: Vec<Vec<&RawValue>> = read(file, data)?;
    if data.is_empty() {
        return Err(FeedError::NoRows { file: file.to_owned() });
    }
    if data.len() > ROWS_MAX {
        let what = format!("there are more than {ROWS_MAX} rows");
        return Err(whole(file, what, "ask for smaller pages"));
    }
    let header: ByteRecord = fields.iter().map(|f| f.name.as_bytes()).collect();
    let mut rows = Vec::with_capacity(data.len());
    for values in data {
        let mut row = ByteRecord::with_capacity(64, values.len());
        for value in values {
            row.push_field(cell(file, value)?.as_bytes());
        }
        rows.push(row);
    }
    Ok(Table::Answer(header, rows))
}

/// A value as a CSV field would hold it: a number in its own digits, nothing for `null`.
fn cell(file: &str, value: &RawValue) -> Result<String, FeedError> {
    match value.get() {
        "null" => Ok(String::new()),
        text if text.starts_with('"') => read(file, value),
        text if text.starts_with(['{', '[']) => {
            let what = format!("`{}` stands where one value is expected", shown(text.as_bytes()));
            Err(whole(file, what, "fetch it again"))
        }
        text => Ok(text.to_owned()),
    }
}

const DASHBOARD: [&str; 3] = ["interval_start_utc", "point", "price"];

fn dashboard_layout() -> Layout {
    Layout {
        kind: FileKind::ErcotDashboard,
        when: When::Utc { at: 0 },
        what: What::Long { name: 1, typed: Typed::Implied, price: 2 },
        flag: None,
        names: DASHBOARD.map(str::to_owned).to_vec(),
        ignored: Vec::new(),
        ignored_because: "",
        load: None,
    }
}

/// A dashboard's rows, one a point. A point without a price has no row: missing is not zero.
fn dashboard(
    file: &str,
    key: &str,
    kind: PriceKind,
    raw: &RawValue,
    market: &Market,
) -> Result<Vec<ByteRecord>, FeedError> {
    let intervals: Vec<Object<'_>> = read(file, raw)?;
    let step = market.step(kind).ok_or_else(|| {
        let what = format!("`{key}` {OTHER_MARKET} {}", market.name);
        whole(file, what, "name the market the file is from")
    })?;
    let mut rows = Vec::new();
    for (i, interval) in intervals.iter().enumerate() {
        let stamp = interval.get("timestamp").map(|v| cell(file, v)).transpose()?;
        // Without its offset the stamp would be ambiguous once a year.
        let end = stamp.as_deref().and_then(stamped).ok_or_else(|| FeedError::Field {
            file: format!("{file}:{key}"),
            line: i as u64 + 1,
            column: "timestamp".into(),
            what: match &stamp {
                Some(text) => format!("`{}` is no time with its offset", shown(text.as_bytes())),
                None => "there is none".into(),
            },
            mend: "fetch it again".into(),
        })?;
        let start = (end - step).to_string();
        for (name, value) in interval {
            let Some(point) = point(name) else { continue };
            let price = cell(file, value)?;
            if !price.is_empty() {
                rows.push([start.as_bytes(), point.as_bytes(), price.as_bytes()].iter().collect());
            }
        }
    }
    Ok(rows)
}

/// The settlement point a dashboard's key means: `hbHouston` is HB_HOUSTON.
fn point(key: &str) -> Option<String> {
    let (prefix, rest) = key.split_at_checked(2)?;
    let named = rest.starts_with(|c: char| c.is_ascii_uppercase());
    (matches!(prefix, "hb" | "lz") && named)
        .then(|| format!("{}_{}", prefix.to_ascii_uppercase(), rest.to_ascii_uppercase()))
}

/// Reads a stamp with an offset, `2026-10-09 00:15:00-0500` or `-05:00`.
fn stamped(text: &str) -> Option<Time> {
    let at = text.rfind(['+', '-']).filter(|at| *at > 10);
    let Some(at) = at else { return text.ends_with('Z').then(|| local::utc(text.as_bytes()))? };
    let (body, offset) = text.split_at(at);
    if offset.len() != 5 {
        return local::utc(text.as_bytes());
    }
    let (hours, minutes) = offset.split_at_checked(3)?;
    local::utc(format!("{body}{hours}:{minutes}").as_bytes())
}

fn unknown(file: &str, object: &Object<'_>) -> FeedError {
    if let Some((_, name)) = PRICELESS.iter().find(|(key, _)| object.contains_key(*key)) {
        let what = format!("it is the dashboard {name}, which holds no price");
        return whole(file, what, "fetch the dashboard system-wide-prices");
    }
    if object.contains_key("ListDocsByRptTypeRes") {
        let what = "it is a list of documents, not one of them".to_owned();
        return whole(file, what, "follow it by a feed of kind ercot_mis");
    }
    // What a gateway answers instead of data.
    if let Some(message) = object.get("message").and_then(|m| cell(file, m).ok()) {
        let what = format!("it is a message instead of prices, `{}`", shown(message.as_bytes()));
        return whole(file, what, "mend what it says");
    }
    let keys: Vec<String> =
        object.keys().take(NAMES_SHOWN_MAX).map(|k| format!("`{}`", shown(k.as_bytes()))).collect();
    let what = format!("no answer of a known kind has the keys {}", keys.join(", "));
    whole(file, what, "give an answer with `fields` and `data`, or with `rtSppData`")
}

fn read<'a, T: Deserialize<'a>>(file: &str, raw: &'a RawValue) -> Result<T, FeedError> {
    serde_json::from_str(raw.get()).map_err(|e| damaged(file, &e))
}

fn damaged(file: &str, e: &serde_json::Error) -> FeedError {
    let what = match e.is_eof() {
        true => "the JSON is cut short".to_owned(),
        false => format!("it is no JSON of a known form: {e}"),
    };
    whole(file, what, "fetch it again")
}

fn whole(file: &str, what: String, mend: &str) -> FeedError {
    FeedError::Whole { file: file.to_owned(), what, mend: mend.to_owned() }
}

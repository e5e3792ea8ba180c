//! `headgate prices show` and `prices list`: what was posted, as it stands or as it was known.

use super::import::into_memory;
use super::read::{self, How, LOAD};
use crate::chart::svg::{Lines, Series, Style};
use crate::chart::{self, hours};
use crate::cli::{Format, PricesListArgs, PricesShowArgs};
use crate::run::Refused;
use anyhow::{anyhow, bail};
use headgate_core::number::show as digits;
use headgate_core::time::{Interval, SECOND, Span};
use headgate_feeds::SeriesKind;
use headgate_feeds::market::Market;
use headgate_store::PriceStore;
use headgate_store::prices::{Extent, Value};
use serde_json::{Value as Json, json};
use std::cmp::Reverse;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Rows a table shows before it says how many more there are.
const ROWS_SHOWN_MAX: usize = 96;
/// Names like an unknown one that are shown.
const NEAR_MAX: usize = 6;
/// Width of a picture in pixels.
const PICTURE_WIDTH: f32 = 1_600.0;
/// Columns of a chart where the output is no terminal.
const COLUMNS: u16 = 100;

/// What is shown: one series over a span.
struct Shown {
    extent: Extent,
    market: Market,
    span: Interval,
    step: Span,
    rows: Vec<Value>,
}

/// Shows one series.
///
/// # Errors
/// When there is no such series, or the store or a file cannot be read.
pub fn show(args: &PricesShowArgs) -> anyhow::Result<ExitCode> {
    let store = if args.prices.is_empty() {
        super::open_existing(&args.data.folder())?
    } else {
        let mut store = super::in_memory()?;
        let market = args.market.as_deref();
        let now = crate::clock::wall_now();
        let how = How { market, point: Some(&args.point), posted: None, now };
        into_memory(&mut store, &args.prices, &how)?;
        store
    };
    let shown = find(&store, args)?;
    if let Some(path) = &args.png {
        chart::png::write(path, &picture(&shown), PICTURE_WIDTH)?;
        eprintln!("wrote {}", path.display());
    }
    let text = match args.format {
        Format::Table => table(&shown, args),
        Format::Json => serde_json::to_string_pretty(&document(&shown))? + "\n",
        Format::Jsonl => shown.rows.iter().map(|v| format!("{}\n", row(&shown, v))).collect(),
        Format::Csv => csv(&shown),
    };
    super::emit(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn find(store: &PriceStore, args: &PricesShowArgs) -> anyhow::Result<Shown> {
    let all = store.series()?;
    let extent = choose(&all, args)?;
    let market = Market::load(&extent.key.market)?;
    let moment =
        |text: &Option<String>| text.as_deref().map(|t| read::moment(t, &market)).transpose();
    let from = moment(&args.from)?.unwrap_or(extent.from);
    let to = moment(&args.to)?.unwrap_or(extent.to);
    if to <= from {
        bail!(Refused(format!("there is nothing from {from} to {to}: swap --from and --to")));
    }
    let key = &extent.key;
    let rows = match (args.revisions, moment(&args.as_of)?) {
        (true, None) => store.revisions(key, from, to)?,
        (true, Some(now)) => {
            let mut all = store.revisions(key, from, to)?;
            all.retain(|v| v.known_at <= now);
            all
        }
        (false, Some(now)) => store.as_of(key, from, to, now)?,
        (false, None) => store.latest(key, from, to)?,
    };
    let pace = SeriesKind::from_name(&key.kind).and_then(|k| market.step(k.paced_by()));
    let shortest = rows.iter().map(|v| v.interval.length()).min();
    let step = pace.or(shortest).unwrap_or(Span::hours(1));
    let span = Interval { start: from, end: to };
    Ok(Shown { extent: extent.clone(), market, span, step, rows })
}

/// The one series that is meant.
fn choose<'a>(all: &'a [Extent], args: &PricesShowArgs) -> anyhow::Result<&'a Extent> {
    let implied = if args.point.starts_with("LZ_") { Some("LZ") } else { None };
    let kind = args.kind.as_str();
    let typed = args.point_type.as_deref().or(implied.filter(|_| kind != LOAD));
    let named = |e: &&Extent| {
        e.key.point == args.point
            && args.market.as_deref().is_none_or(|m| e.key.market == m)
            && typed.is_none_or(|t| e.key.point_type == t)
    };
    let found: Vec<&Extent> = all.iter().filter(named).filter(|e| e.key.kind == kind).collect();
    match found.as_slice() {
        [one] => return Ok(one),
        [] => {}
        several => {
            let of = |e: &&Extent| format!("{} in {}", e.key.point_type, e.key.market);
            let types: Vec<String> = several.iter().map(of).collect();
            bail!(Refused(format!(
                "{} is several series, of type {}: name one with --type and --market",
                args.point,
                types.join(", ")
            )));
        }
    }
    let others: Vec<&str> = all.iter().filter(named).map(|e| e.key.kind.as_str()).collect();
    if !others.is_empty() {
        bail!(Refused(format!(
            "there is no {kind} of {}: it has {}; name one with --kind",
            args.point,
            others.join(", ")
        )));
    }
    Err(anyhow!(Refused(unknown(all, &args.point))))
}

fn unknown(all: &[Extent], point: &str) -> String {
    let wanted = point.to_ascii_uppercase();
    let mut near: Vec<&str> = all.iter().map(|e| e.key.point.as_str()).collect();
    near.sort_unstable();
    near.dedup();
    near.sort_by_key(|name| strsim::damerau_levenshtein(&wanted, &name.to_ascii_uppercase()));
    let names = near.iter().take(NEAR_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.is_empty() {
        true => format!("nothing of {point} was imported: `prices import FILE...` does that"),
        false => format!("nothing of {point} was imported; there is {names}"),
    }
}

/// The key and the number of a value: a price, or a load's power.
fn amount(shown: &Shown, v: &Value) -> (&'static str, Json) {
    match shown.extent.key.kind.as_str() {
        LOAD => ("power_w", json!(v.value)),
        _ => ("price", json!(v.value as f64 / 1e6)),
    }
}

fn row(shown: &Shown, v: &Value) -> Json {
    let (key, amount) = amount(shown, v);
    json!({
        "start": v.interval.start.to_string(),
        "end": v.interval.end.to_string(),
        key: amount,
        "known_at": v.known_at.to_string(),
    })
}

fn document(shown: &Shown) -> Json {
    let key = &shown.extent.key;
    json!({
        "point": key.point,
        "type": key.point_type,
        "kind": key.kind,
        "market": key.market,
        "currency": Some(&shown.extent.currency).filter(|c| !c.is_empty()),
        "step_s": shown.step.0 / SECOND,
        "rows": shown.rows.iter().map(|v| row(shown, v)).collect::<Vec<_>>(),
    })
}

fn csv(shown: &Shown) -> String {
    let load = shown.extent.key.kind == LOAD;
    let mut out = format!("start,end,{},known_at\n", if load { "power_w" } else { "price" });
    for v in &shown.rows {
        let value = if load { v.value.to_string() } else { digits(v.value, 6, 6) };
        let (start, end) = (v.interval.start, v.interval.end);
        let _ = writeln!(out, "{start},{end},{value},{}", v.known_at);
    }
    out
}

/// Values in MW or money per MWh, held through each interval, with a break at each gap.
fn points(shown: &Shown) -> Vec<(f64, Option<f64>)> {
    let mut out: Vec<(f64, Option<f64>)> = Vec::with_capacity(shown.rows.len() * 2);
    let mut until = None;
    for v in &shown.rows {
        // A run of the dispatch holds until the next one, so a late one leaves no gap.
        let slack = shown.step;
        if let Some(last) = until.filter(|t| *t + slack < v.interval.start) {
            out.push((hours(last), None));
        }
        let value = v.value as f64 / 1e6;
        out.push((hours(v.interval.start), Some(value)));
        out.push((hours(v.interval.end) - 1e-6, Some(value)));
        until = Some(v.interval.end);
    }
    out
}

fn unit(shown: &Shown) -> String {
    match shown.extent.key.kind.as_str() {
        LOAD => "MW".into(),
        kind if kind.starts_with("capacity") => format!("{}/MW and h", shown.extent.currency),
        _ => format!("{}/MWh", shown.extent.currency),
    }
}

fn title(shown: &Shown) -> String {
    let key = &shown.extent.key;
    let typed =
        if key.point_type.is_empty() { String::new() } else { format!(" ({})", key.point_type) };
    format!("{}{typed}, {}, {}", key.point, key.kind, unit(shown))
}

fn picture(shown: &Shown) -> String {
    let extreme = |pick: fn(&Shown) -> Option<&Value>, word: &str| {
        let v = pick(shown)?;
        let value = digits(v.value, 6, 2);
        Some(format!("{word} {value} at {}", local(shown, v)))
    };
    let highest =
        extreme(|s| s.rows.iter().max_by_key(|v| (v.value, Reverse(v.interval.start))), "highest");
    let lowest = extreme(|s| s.rows.iter().min_by_key(|v| v.value), "lowest");
    let told = [Some(title(shown)), highest, lowest].into_iter().flatten();
    let name = told.collect::<Vec<_>>().join("; ");
    let series =
        Series { name, colour: "#2d6f8e", style: Style::Line, right: false, points: points(shown) };
    let marks = chart::marks(shown.span, shown.market.zone());
    let chart = Lines { left: unit(shown), right: String::new(), marks, series: vec![series] };
    chart::svg::lines(&title(shown), &chart)
}

/// The start of a value's interval in the market's own time, with its offset.
fn local(shown: &Shown, v: &Value) -> String {
    let second = v.interval.start.0.div_euclid(SECOND);
    jiff::Timestamp::from_second(second).map_or_else(
        |_| v.interval.start.to_string(),
        |t| {
            let zoned = jiff::ZonedDateTime::new(t, shown.market.zone().clone());
            zoned.strftime("%Y-%m-%d %H:%M %Z").to_string()
        },
    )
}

fn table(shown: &Shown, args: &PricesShowArgs) -> String {
    let mut t = format!("{}, market {}\n", title(shown), shown.extent.key.market);
    let of = |pick: fn(&[Value]) -> Option<&Value>| pick(&shown.rows);
    let low = of(|rows| rows.iter().min_by_key(|v| v.value));
    let Some((low, high)) =
        low.zip(of(|rows| rows.iter().max_by_key(|v| (v.value, Reverse(v.interval.start)))))
    else {
        let _ = writeln!(t, "no value from {} to {}", shown.span.start, shown.span.end);
        return t;
    };
    let sum: i128 = shown.rows.iter().map(|v| i128::from(v.value)).sum();
    let mean = headgate_core::number::div_half_even(sum, shown.rows.len() as i128);
    let lines = runs(shown);
    let _ = writeln!(
        t,
        "{} values from {} to {} with {} gaps; mean {}, lowest {} at {}, highest {} at {}; {} \
         negative",
        shown.rows.len(),
        shown.span.start,
        shown.span.end,
        lines.len().saturating_sub(1),
        digits(headgate_core::number::to_i64(mean), 6, 2),
        digits(low.value, 6, 2),
        local(shown, low),
        digits(high.value, 6, 2),
        local(shown, high),
        shown.rows.iter().filter(|v| v.value < 0).count(),
    );
    if args.chart || std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        let columns = crossterm::terminal::size().map_or(COLUMNS, |(w, _)| w);
        let marks = chart::marks(shown.span, shown.market.zone());
        let _ = write!(t, "\n{}", chart::text::lines(&lines, &marks, columns));
    }
    let _ = writeln!(t, "\n{:<22}{:>14}  {:<24}known at", "start", unit(shown), "local");
    for v in shown.rows.iter().take(ROWS_SHOWN_MAX) {
        let (start, value) = (v.interval.start.to_string(), digits(v.value, 6, 2));
        let (local, known) = (local(shown, v), v.known_at);
        let _ = writeln!(t, "{start:<22}{value:>14}  {local:<24}{known}");
    }
    if let Some(more) = shown.rows.len().checked_sub(ROWS_SHOWN_MAX).filter(|n| *n > 0) {
        let _ = writeln!(t, "and {more} more: narrow --from and --to, or use --format csv");
    }
    t
}

/// The points between two gaps, each for itself: nothing is drawn over what is missing.
fn runs(shown: &Shown) -> Vec<Vec<(f64, f64)>> {
    let points = points(shown);
    let parts = points.split(|(_, y)| y.is_none()).filter(|part| !part.is_empty());
    parts.map(|part| part.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect()).collect()
}

/// Lists what was imported.
///
/// # Errors
/// When nothing was imported, or the store cannot be read.
pub fn list(args: &PricesListArgs) -> anyhow::Result<ExitCode> {
    let all = super::open_existing(&args.data.folder())?.series()?;
    let one = |e: &Extent| {
        json!({
            "market": e.key.market,
            "point": e.key.point,
            "type": e.key.point_type,
            "kind": e.key.kind,
            "currency": Some(&e.currency).filter(|c| !c.is_empty()),
            "intervals": e.intervals,
            "from": e.from.to_string(),
            "to": e.to.to_string(),
        })
    };
    let mut t = String::new();
    match args.format {
        Format::Json => {
            let all: Vec<Json> = all.iter().map(one).collect();
            t = serde_json::to_string_pretty(&json!({ "series": all }))? + "\n";
        }
        Format::Jsonl => t = all.iter().map(|e| format!("{}\n", one(e))).collect(),
        Format::Csv => {
            t.push_str("market,point,type,kind,intervals,from,to\n");
            for Extent { key: k, intervals, from, to, .. } in &all {
                let (market, point, typed, kind) = (&k.market, &k.point, &k.point_type, &k.kind);
                let row = format!("{market},{point},{typed},{kind},{intervals},{from},{to}\n");
                t.push_str(&row);
            }
        }
        Format::Table => {
            let _ = writeln!(
                t,
                "{:<14}{:<24}{:<8}{:<20}{:>10}  span",
                "market", "point", "type", "kind", "intervals"
            );
            for Extent { key: k, intervals, from, to, .. } in &all {
                let _ = writeln!(
                    t,
                    "{:<14}{:<24}{:<8}{:<20}{intervals:>10}  {from} to {to}",
                    k.market, k.point, k.point_type, k.kind
                );
            }
        }
    }
    super::emit(&t)?;
    Ok(ExitCode::SUCCESS)
}

//! The charts of a statement.

use super::label;
use crate::chart::svg::{self, Lines, Series, Style};
use crate::chart::{hours, marks};
use crate::settle::Report;
use headgate_core::settle::{Settled, Statement};
use headgate_core::time::Time;
use headgate_core::units::Price;
use jiff::tz::TimeZone;

const BLUE: &str = "#2d6f8e";
const RED: &str = "#b4542d";
const GREY: &str = "#8b979f";
const PALE: &str = "#cfdde4";
/// The dearest part of a price-duration curve that may run off its top, in percent.
const CUT_PERCENT: usize = 5;
/// Nothing is cut below this.
const CUT_LEAST: Price = Price(100_000_000);

/// Title, sentence and drawing of each.
pub fn all(report: &Report, zone: &TimeZone) -> Vec<(String, String, String)> {
    let chart = |title: &str, text: &str, svg: String| (title.to_owned(), text.to_owned(), svg);
    vec![
        chart(
            "Price and load.",
            "Settlement price (left) and mean load of the interval (right); gaps are intervals \
             that are not settled.",
            price_and_load(report, zone),
        ),
        chart("Where the money came from.", "Sum of each component.", components(report)),
        chart(
            "Profit as it added up.",
            "As run, and under the other ways to run where they are known.",
            cumulative(report, zone),
        ),
        chart("Price duration, and what was run.", &duration_text(report), duration(report)),
    ]
}

fn load_mw(settled: &Settled) -> f64 {
    let hours = settled.interval.length().0 as f64 / 3.6e12;
    settled.energy.0 as f64 / 3.6e9 / hours.max(1e-9)
}

/// Values over time, with a break where intervals are missing.
fn over_time(s: &Statement, value: impl Fn(&Settled) -> f64) -> Vec<(f64, Option<f64>)> {
    let mut out: Vec<(f64, Option<f64>)> = Vec::with_capacity(s.intervals.len() * 2);
    let mut until: Option<Time> = None;
    for settled in &s.intervals {
        let (from, to) = (settled.interval.start, settled.interval.end);
        if let Some(last) = until.filter(|t| *t < from) {
            out.push((hours(last), None));
        }
        // Held through its interval: a step, not a slope between two middles.
        let v = value(settled);
        out.push((hours(from), Some(v)));
        out.push((hours(to) - 1e-6, Some(v)));
        until = Some(to);
    }
    out
}

fn price_and_load(report: &Report, zone: &TimeZone) -> String {
    let s = &report.statement;
    let load = over_time(s, load_mw);
    let price = over_time(s, |i| i.quote.price.0 as f64 / 1e6);
    let series = |name: &str, colour, style, right, points| Series {
        name: name.to_owned(),
        colour,
        style,
        right,
        points,
    };
    let chart = Lines {
        left: format!("{}/MWh", s.currency),
        right: "MW".into(),
        marks: marks(report.span, zone),
        series: vec![
            series("load", PALE, Style::Area, true, load),
            series("settlement price", RED, Style::Line, false, price),
        ],
    };
    svg::lines("Price and load", &chart)
}

fn components(report: &Report) -> String {
    let mut rows: Vec<(String, f64)> = report
        .statement
        .totals()
        .iter()
        .map(|t| (label(report, t.component), t.amount.0 as f64 / 1e6))
        .collect();
    rows.push(("Profit".into(), report.statement.profit().0 as f64 / 1e6));
    svg::bars("Sum of each component", &report.statement.currency, &rows)
}

fn running(s: &Statement) -> Vec<(f64, Option<f64>)> {
    let mut sum = 0i64;
    let mut out: Vec<(f64, Option<f64>)> = Vec::with_capacity(s.intervals.len() + 1);
    if let Some(first) = s.intervals.first() {
        out.push((hours(first.interval.start), Some(0.0)));
    }
    for settled in &s.intervals {
        sum += settled.profit().0;
        out.push((hours(settled.interval.end), Some(sum as f64 / 1e6)));
    }
    out
}

fn cumulative(report: &Report, zone: &TimeZone) -> String {
    let series = |name: String, colour, style, s: &Statement| {
        let points = running(s);
        Series { name, colour, style, right: false, points }
    };
    let mut all = Vec::new();
    if let Some(s) = &report.always_on {
        all.push(series("always on".into(), GREY, Style::Line, &s.other));
    }
    if let Some(k) = &report.fixed_strike {
        let name = format!("fixed strike {}", super::price(k.price));
        all.push(series(name, RED, Style::Dashed, &k.against.other));
    }
    all.push(series("as run".into(), BLUE, Style::Line, &report.statement));
    let left = report.statement.currency.clone();
    let chart = Lines { left, right: String::new(), marks: marks(report.span, zone), series: all };
    svg::lines("Cumulative profit", &chart)
}

/// Intervals from the dearest to the cheapest, and the price above which the scale is cut: a few
/// spikes would press everything else flat.
fn dearest_first(report: &Report) -> (Vec<&Settled>, Option<Price>) {
    let mut sorted: Vec<&Settled> = report.statement.intervals.iter().collect();
    sorted.sort_by_key(|i| (std::cmp::Reverse(i.quote.price), i.interval.start));
    let dearest = sorted.first().map_or(Price::ZERO, |s| s.quote.price);
    let cut = sorted.get(sorted.len() * CUT_PERCENT / 100).map_or(dearest, |s| s.quote.price);
    let cut = Price(cut.0.max(CUT_LEAST.0));
    (sorted, (dearest.0 > cut.0.saturating_mul(2)).then_some(cut))
}

fn duration_text(report: &Report) -> String {
    let text =
        "Intervals from the dearest to the cheapest: the area is the load, the line the price";
    let (sorted, cut) = dearest_first(report);
    match (cut, sorted.first()) {
        (Some(cut), Some(first)) => format!(
            "{text}, cut at {} (the dearest is {}).",
            super::price(cut),
            super::price(first.quote.price)
        ),
        _ => format!("{text}."),
    }
}

fn duration(report: &Report) -> String {
    let (sorted, cut) = dearest_first(report);
    let shown = |s: &Settled| s.quote.price.min(cut.unwrap_or(s.quote.price)).0 as f64 / 1e6;
    let n = sorted.len().max(1) as f64;
    let at = |i: usize| i as f64 / n * 100.0;
    let price = sorted.iter().enumerate();
    let price = price.map(|(i, s)| (at(i), Some(shown(s)))).collect();
    // Load jumps from interval to interval: a mean over neighbours of like price shows the rule.
    let bunch = sorted.len().div_ceil(150).max(1);
    let mut load = Vec::new();
    for (k, bunch_of) in sorted.chunks(bunch).enumerate() {
        let mean = bunch_of.iter().map(|s| load_mw(s)).sum::<f64>() / bunch_of.len() as f64;
        load.push((at(k * bunch), Some(mean)));
        load.push((at((k * bunch + bunch_of.len()).min(sorted.len())) - 1e-6, Some(mean)));
    }
    let marks = (0u8..=5).map(|k| (f64::from(k) * 20.0, format!("{} %", k * 20))).collect();
    let chart = Lines {
        left: format!("{}/MWh", report.statement.currency),
        right: "MW".into(),
        marks,
        series: vec![
            Series {
                name: "load".into(),
                colour: PALE,
                style: Style::Area,
                right: true,
                points: load,
            },
            Series {
                name: "settlement price".into(),
                colour: RED,
                style: Style::Line,
                right: false,
                points: price,
            },
        ],
    };
    svg::lines("Price duration", &chart)
}

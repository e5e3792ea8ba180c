//! `headgate settle --case`: a published result as a scale check, in hindsight, on the user's own
//! prices.

use crate::cli::{Format, exit};
use crate::config::{Date, Text};
use crate::run::Refused;
use anyhow::{Context, bail};
use headgate_core::market::PriceKind;
use headgate_core::number::{decimal, div_half_even, to_i64};
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Price};
use headgate_feeds::hourly;
use headgate_feeds::local::local_of;
use headgate_feeds::market::Market;
use headgate_feeds::{Options, settlement_point};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Cases that ship with the program.
const CASES: [(&str, &str); 1] =
    [("riot-2023", include_str!("../../../../scenarios/riot-2023.toml"))];
/// Figures and sentences of one case.
const FIGURES_MAX: usize = 200;
const HOUR: Span = Span::hours(1);

/// A case as its file tells it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    title: String,
    market: String,
    point: CasePoint,
    block: String,
    threshold: String,
    from: Text<Date>,
    to: Text<Date>,
    block_source: String,
    why: Vec<String>,
    published: Vec<Published>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CasePoint {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// A published figure, in millions of the market's currency.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    /// `2023`, `2023-Q3` or `2023-08`.
    period: String,
    power_credits: String,
    demand_response: Option<String>,
    source: String,
}

/// What the rule comes to in one period.
#[derive(Debug, Clone, Copy)]
struct Sum {
    hours: u32,
    sold_hours: u32,
    price: i128,
    sold: Money,
}

impl Default for Sum {
    fn default() -> Self {
        Self { hours: 0, sold_hours: 0, price: 0, sold: Money::ZERO }
    }
}

impl Sum {
    fn add(&mut self, price: Price, sold: Option<Money>) {
        self.hours += 1;
        self.price += i128::from(price.0);
        if let Some(sold) = sold {
            self.sold_hours += 1;
            self.sold += sold;
        }
    }
}

/// Runs a case: one that ships with the program, or a file of the same form.
///
/// # Errors
/// When there is no such case, or the prices cannot be read or are not of its point and time.
pub fn run(
    name: &str,
    prices: &[String],
    format: Format,
    html: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let document = compute(name, prices)?;
    if let Some(path) = html {
        super::html::write(path, &super::html::case_page(&document))?;
    }
    match format {
        Format::Json | Format::Jsonl => crate::commands::print(&document, format)?,
        Format::Csv => print!("{}", csv(&document)),
        Format::Table => print!("{}", table(&document)),
    }
    let empty = document["hours"] == 0;
    Ok(if empty { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

fn load(name: &str) -> anyhow::Result<Case> {
    let file_like = Path::new(name).extension().is_some_and(|e| e == "toml");
    let text = match CASES.iter().find(|(n, _)| *n == name) {
        Some((_, text)) => (*text).to_owned(),
        None if file_like => std::fs::read_to_string(name)
            .with_context(|| format!("failed to read the case {name}"))?,
        None => {
            let names: Vec<&str> = CASES.iter().map(|(n, _)| *n).collect();
            bail!(Refused(format!(
                "there is no case `{name}`: use {} or a file that ends in .toml",
                names.join(", ")
            )));
        }
    };
    let case: Case = toml::from_str(&text)
        .map_err(|e| Refused(format!("the case {name} is not usable: {}", e.to_string().trim())))?;
    if case.published.len() > FIGURES_MAX || case.why.len() > FIGURES_MAX {
        bail!(Refused(format!("a case has at most {FIGURES_MAX} figures: {name} has more")));
    }
    Ok(case)
}

/// What the rule sells, by month, quarter and year, beside what was published.
///
/// # Errors
/// As [`run`].
pub fn compute(name: &str, prices: &[String]) -> anyhow::Result<Value> {
    let case = load(name)?;
    let market = Market::load(&case.market)?;
    let currency = market.currency.clone();
    let wrong = |key: &str, e: String| Refused(format!("the case {name}, key {key}: {e}"));
    let block = crate::config::power(&case.block).map_err(|e| wrong("block", e))?;
    let threshold = headgate_feeds::quantity::price(&case.threshold, &currency)
        .map_err(|e| wrong("threshold", e))?;
    if prices.is_empty() {
        bail!(Refused(format!(
            "a case needs prices of {}: give --prices FILE, hourly or finer",
            case.point.name
        )));
    }
    let (hours, notes) = hourly_prices(&case, &market, prices)?;
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for (at, price) in &hours {
        let (day, _) = local_of(market.zone(), *at);
        let date = jiff::civil::Date::constant(1970, 1, 1)
            .checked_add(jiff::Span::new().days(i64::from(day)))?;
        if date < case.from.0.0 || date > case.to.0.0 {
            continue;
        }
        let sold = (*price > threshold).then(|| price.of(block.over(HOUR)));
        let (year, month) = (date.year(), date.month());
        let quarter = (month + 2) / 3;
        for period in
            [format!("{year}"), format!("{year}-Q{quarter}"), format!("{year}-{month:02}")]
        {
            sums.entry(period).or_default().add(*price, sold);
        }
    }
    let periods = periods(&case, &sums)?;
    let whole: Sum =
        sums.iter().filter(|(p, _)| p.len() == 4).fold(Sum::default(), |mut all, s| {
            all.hours += s.1.hours;
            all.sold_hours += s.1.sold_hours;
            all.sold += s.1.sold;
            all
        });
    let expected = expected_hours(&case, &market)?;
    Ok(json!({
        "case": name,
        "title": case.title,
        "point": case.point.name,
        "type": case.point.kind,
        "currency": currency,
        "block_w": block.0,
        "threshold": money(Money(threshold.0)),
        "rule": format!(
            "in hindsight, all of {block} is sold in each hour whose mean price at {} is above \
             {threshold}", case.point.name
        ),
        "hours": whole.hours,
        "hours_missing": expected - i64::from(whole.hours),
        "sold_hours": whole.sold_hours,
        "sold": money(whole.sold),
        "periods": periods,
        "published": case.published.iter().map(published).collect::<anyhow::Result<Vec<_>>>()?,
        "block_source": case.block_source,
        "scale_check": true,
        "why_no_proof": case.why,
        "notes": notes,
    }))
}

/// Hours between the case's days, from midnight to midnight where the market is.
fn expected_hours(case: &Case, market: &Market) -> anyhow::Result<i64> {
    let at = |date: jiff::civil::Date| -> anyhow::Result<i64> {
        Ok(market.zone().to_timestamp(date.at(0, 0, 0, 0))?.as_second())
    };
    Ok((at(case.to.0.0.tomorrow()?)? - at(case.from.0.0)?) / 3600)
}

fn periods(case: &Case, sums: &BTreeMap<String, Sum>) -> anyhow::Result<Vec<Value>> {
    // Months first, then quarters, then the year, as a reader adds them up.
    let rank = |p: &str| match (p.len(), p.contains('Q')) {
        (4, _) => 2,
        (_, true) => 1,
        _ => 0,
    };
    let mut all: Vec<_> = sums.iter().collect();
    all.sort_by_key(|(p, _)| (rank(p), (*p).clone()));
    let mut out = Vec::new();
    for (period, sum) in all {
        let reported = case.published.iter().rev().find(|p| p.period == *period);
        let reported = reported.map(total).transpose()?;
        let mean = div_half_even(sum.price, i128::from(sum.hours.max(1)));
        out.push(json!({
            "period": period,
            "hours": sum.hours,
            "sold_hours": sum.sold_hours,
            "mean_price": money(Money(to_i64(mean))),
            "sold": money(sum.sold),
            "reported": reported.map(money),
        }));
    }
    Ok(out)
}

/// A published figure in micro-units: power credits and demand response together.
fn total(p: &Published) -> anyhow::Result<Money> {
    let millions = |text: &str| {
        decimal(text, 12).map_err(|e| Refused(format!("the case's figure of {}: {e}", p.period)))
    };
    let response = p.demand_response.as_deref().map_or(Ok(0), millions)?;
    Ok(Money(millions(&p.power_credits)? + response))
}

fn published(p: &Published) -> anyhow::Result<Value> {
    let alone = Published { demand_response: None, ..p.clone() };
    let response = Money(total(p)?.0 - total(&alone)?.0);
    Ok(json!({
        "period": p.period,
        "power_credits": money(total(&alone)?),
        "demand_response": p.demand_response.as_ref().map(|_| money(response)),
        "source": p.source,
    }))
}

/// Money as a number for a document: to the cent, halves to the even one.
fn money(m: Money) -> f64 {
    let cents = div_half_even(i128::from(m.0), 10_000);
    cents as f64 / 100.0
}

/// Mean price by hour at the case's point, from hourly files or from settlement prices.
fn hourly_prices(
    case: &Case,
    market: &Market,
    files: &[String],
) -> anyhow::Result<(BTreeMap<Time, Price>, Vec<String>)> {
    let (mut hours, mut notes) = (BTreeMap::new(), Vec::new());
    let mut quarters: BTreeMap<Time, (i128, i64)> = BTreeMap::new();
    for file in files {
        if let Some(found) = hourly::load(Path::new(file), market, &case.point.name)? {
            notes.extend(found.notes.iter().map(|n| format!("{file}: {n}")));
            hours.extend(found.prices);
            continue;
        }
        let point = settlement_point(&case.point.name, &case.point.kind);
        let options = Options { point: Some(point), ..Options::default() };
        let parsed = headgate_feeds::load_with(Path::new(file), market, &options)?;
        let settlement = headgate_feeds::SeriesKind::from(PriceKind::Settlement);
        for row in parsed.series.iter().filter(|s| s.kind == settlement).flat_map(|s| &s.rows) {
            let length = row.interval.length();
            let sum = quarters.entry(row.interval.start.interval(HOUR).start).or_default();
            *sum = (sum.0 + i128::from(row.price.0) * i128::from(length.0), sum.1 + length.0);
        }
    }
    let partly = quarters.values().filter(|(_, length)| *length != HOUR.0).count();
    if partly > 0 {
        notes.push(format!("{partly} hours have a part of their prices only: they stay missing"));
    }
    for (at, (sum, length)) in quarters.into_iter().filter(|(_, (_, l))| *l == HOUR.0) {
        let mean = Price(to_i64(div_half_even(sum, i128::from(length))));
        hours.entry(at).or_insert(mean);
    }
    if hours.is_empty() {
        bail!(Refused(format!(
            "no settlement price of {} in {}: name a file that has it",
            case.point.name,
            files.join(", ")
        )));
    }
    Ok((hours, notes))
}

fn rows(document: &Value, key: &str) -> Vec<Value> {
    document[key].as_array().cloned().unwrap_or_default()
}

fn millions(v: &Value) -> String {
    v.as_f64().map_or_else(|| "-".to_owned(), |n| format!("{:.2}", n / 1e6))
}

fn csv(document: &Value) -> String {
    let mut out = String::from("period,hours,sold_hours,mean_price,sold,reported\n");
    for p in rows(document, "periods") {
        let reported =
            if p["reported"].is_null() { String::new() } else { p["reported"].to_string() };
        let (period, hours, sold) = (p["period"].as_str(), &p["hours"], &p["sold_hours"]);
        let (mean, money) = (&p["mean_price"], &p["sold"]);
        let period = period.unwrap_or_default();
        writeln!(out, "{period},{hours},{sold},{mean},{money},{reported}")
            .expect("writing to a text cannot fail");
    }
    out
}

fn table(document: &Value) -> String {
    let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
    let mut out = format!("{}\n{}\n\n", text("title"), text("rule"));
    let currency = text("currency");
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(format!(
        "{:<10}{:>8}{:>8}{:>12}{:>14}{:>14}",
        "period", "hours", "sold", "mean /MWh", "sold, M", "reported, M"
    ));
    for p in rows(document, "periods") {
        line(format!(
            "{:<10}{:>8}{:>8}{:>12.2}{:>14}{:>14}",
            p["period"].as_str().unwrap_or_default(),
            p["hours"].to_string(),
            p["sold_hours"].to_string(),
            p["mean_price"].as_f64().unwrap_or_default(),
            millions(&p["sold"]),
            millions(&p["reported"]),
        ));
    }
    line(format!(
        "\nAll money in millions of {currency}. Missing hours: {}.",
        document["hours_missing"]
    ));
    line("\nA scale check, not a proof:".into());
    for why in rows(document, "why_no_proof") {
        line(format!("  - {}", why.as_str().unwrap_or_default()));
    }
    line("\nReported (power credits + demand response):".into());
    for p in rows(document, "published") {
        let response = match p["demand_response"].is_null() {
            true => String::new(),
            false => format!(" + {}", millions(&p["demand_response"])),
        };
        let (period, source) = (p["period"].as_str(), p["source"].as_str());
        line(format!(
            "  {:<9}{}{response}: {}",
            period.unwrap_or_default(),
            millions(&p["power_credits"]),
            source.unwrap_or_default()
        ));
    }
    line(format!("  block    {}", text("block_source")));
    for note in rows(document, "notes") {
        line(format!("note: {}", note.as_str().unwrap_or_default()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_cases_are_usable() {
        for (name, _) in CASES {
            let case = load(name).unwrap();
            assert!(!case.why.is_empty(), "{name} says why it is no proof");
            case.published.iter().for_each(|p| assert!(total(p).unwrap() > Money::ZERO));
        }
        let error = load("riot").unwrap_err().to_string();
        insta::assert_snapshot!(error, @"there is no case `riot`: use riot-2023 or a file that ends in .toml");
    }

    /// Two dear hours in one month and one cheap one, one of them the hour that happens twice.
    #[test]
    fn only_hours_above_the_threshold_are_sold() {
        let folder = std::env::temp_dir().join(format!("headgate-case-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("hours.csv");
        let text = "hour_beginning_local,LZ_NORTH,LZ_SOUTH\n2022-12-31T23:00:00,1,9000\n\
                    2023-08-17T18:00:00,1,75\n2023-08-17T19:00:00,1,100.01\n\
                    2023-11-05T01:00:00,1,200\n";
        std::fs::write(&path, text).unwrap();
        let document = compute("riot-2023", &[path.display().to_string()]);
        let bad = folder.join("bad.csv");
        std::fs::write(&bad, "hour_beginning_local,LZ_SOUTH\n2023-03-12T02:00:00,1\n").unwrap();
        let spring = compute("riot-2023", &[bad.display().to_string()]).unwrap_err().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        let document = document.unwrap();
        insta::assert_snapshot!(csv(&document), @r"
        period,hours,sold_hours,mean_price,sold,reported
        2023-08,2,1,87.5,34503.45,28500000.0
        2023-11,1,1,200.0,69000.0,
        2023-Q3,2,1,87.5,34503.45,49600000.0
        2023-Q4,1,1,200.0,69000.0,
        2023,3,2,125.0,103503.45,71215000.0
        ");
        assert_eq!(document["hours_missing"], 8757);
        assert!(document["notes"][0].as_str().unwrap().ends_with("each counts once"));
        assert!(
            spring.ends_with(
                "the clocks go forward over it; write the local hour as 2023-08-17T19:00:00"
            ),
            "{spring}"
        );
    }
}

//! A statement as a table for people, as CSV lines, as one JSON document.

use super::report::Report;
use headgate_core::number::{div_half_even, show, to_i64};
use headgate_core::settle::{
    Change, Class, Component, Counterfactual, Line, Quantity, Quote, Settled, Statement, Total,
    Unsettled, Why,
};
use headgate_core::time::Time;
use headgate_core::units::{Energy, MICRO, Money, Price, WATT_SECONDS_PER_MWH};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;

/// Corrected or unsettled intervals that a table lists before it says how many more there are.
const LISTED_MAX: usize = 10;

/// Currency as a number, exact to a micro-unit below nine billions.
fn money(m: Money) -> f64 {
    m.0 as f64 / 1e6
}

fn price(p: Price) -> f64 {
    p.0 as f64 / 1e6
}

/// Energy in MWh, exact to a micro-MWh.
fn mwh(e: Energy) -> f64 {
    micro_mwh(e) as f64 / 1e6
}

fn micro_mwh(e: Energy) -> i64 {
    to_i64(div_half_even(i128::from(e.0) * i128::from(MICRO), WATT_SECONDS_PER_MWH))
}

/// A moment that is said; the beginning of time is not.
fn known(at: Time) -> Option<String> {
    (at > Time::MIN).then(|| at.to_string())
}

/// Where a class is found in JSON.
fn class(class: Class) -> &'static str {
    match class {
        Class::ComputeRevenue => "compute_revenue",
        Class::EnergyCost => "energy_cost",
        Class::SellBack => "sell_back",
        Class::Capacity => "capacity",
        Class::OtherCost => "other_cost",
    }
}

/// Why something is not settled, for people.
pub fn why(why: Why) -> &'static str {
    match why {
        Why::NoEnergy => "the meter told nothing, or not all of it",
        Why::NoPrice => "no settlement price was posted",
        Why::NoResalePrice => "no price was posted where the block sells back",
        Why::NoExchange => "there is no exchange rate for the work's currency",
        Why::NoValue => "no value of the work was known",
        Why::PeakNotSettled => "a charge falls on this peak, which is not settled throughout",
    }
}

/// The parts of a profit: profit = compute_revenue - energy_cost + sell_back + capacity -
/// other_cost.
fn parts(s: &Statement) -> Value {
    json!({
        "intervals": s.intervals.len(),
        "energy_mwh": mwh(s.energy()),
        "profit": money(s.profit()),
        "compute_revenue": money(s.of(Class::ComputeRevenue)),
        "energy_cost": money(-s.of(Class::EnergyCost)),
        "sell_back": money(s.of(Class::SellBack)),
        "capacity": money(s.of(Class::Capacity)),
        "other_cost": money(-s.of(Class::OtherCost)),
    })
}

fn with(mut value: Value, more: Value) -> Value {
    if let (Some(into), Value::Object(from)) = (value.as_object_mut(), more) {
        into.extend(from);
    }
    value
}

/// The whole statement as one document.
pub fn document(report: &Report) -> Value {
    let s = &report.statement;
    let head = json!({
        "site": report.site,
        "point": report.point,
        "currency": s.currency,
        "from": report.span.start.to_string(),
        "to": report.span.end.to_string(),
        "step_s": report.terms.step.as_seconds(),
    });
    let units = s.by_unit();
    let units: Vec<Value> = units
        .iter()
        .map(|(unit, m)| json!({ "unit": report.names.unit(*unit), "profit": money(*m) }))
        .collect();
    let tail = json!({
        "components": s.totals().iter().map(|t| total(report, t)).collect::<Vec<_>>(),
        "units": units,
        "counterfactuals": counterfactuals(report),
        "correction": correction(report),
        "unsettled": s.unsettled.iter().map(unsettled).collect::<Vec<_>>(),
        "sources": report.sources,
        "notes": report.notes,
        "rows": s.intervals.iter().map(|i| row(report, i)).collect::<Vec<_>>(),
    });
    with(with(head, parts(s)), tail)
}

fn total(report: &Report, t: &Total) -> Value {
    json!({
        "component": t.component.name(),
        "name": name(report, t.component),
        "part": class(t.class),
        "lines": t.lines,
        "energy_mwh": t.energy.map(mwh),
        "mean_price": mean_price(t).map(price),
        "amount": money(t.amount),
        "formula": t.component.formula(),
    })
}

fn name(report: &Report, component: Component) -> Option<&str> {
    Some(report.names.of(component)).filter(|n| !n.is_empty())
}

/// What a component's energy cost or brought on average.
fn mean_price(t: &Total) -> Option<Price> {
    let energy = t.energy.filter(|e| e.0 > 0)?;
    let product = i128::from(t.amount.0) * WATT_SECONDS_PER_MWH;
    let mean = to_i64(div_half_even(product, i128::from(energy.0)));
    Some(Price(if t.class == Class::EnergyCost { -mean } else { mean }))
}

fn counterfactuals(report: &Report) -> Vec<Value> {
    let one = |name: &str, strike: Option<Price>, c: &Counterfactual| {
        let more = json!({
            "name": name,
            "strike": strike.map(price),
            "better_by": money(c.better_by()),
        });
        with(more, parts(&c.other))
    };
    let mut all = Vec::new();
    all.extend(report.always_on.as_ref().map(|s| one("always_on", None, s)));
    let strike = report.fixed_strike.as_ref();
    all.extend(strike.map(|k| one("fixed_strike", Some(k.price), &k.against)));
    all
}

fn correction(report: &Report) -> Option<Value> {
    let correction = report.correction.as_ref()?;
    let quote = |q: Option<Quote>| {
        json!({
            "price": q.map(|q| price(q.price)),
            "known_at": q.and_then(|q| known(q.known_at)),
        })
    };
    let change = |c: &Change| {
        json!({
            "start": c.interval.start.to_string(),
            "end": c.interval.end.to_string(),
            "first": quote(c.before),
            "latest": quote(c.after),
            "profit_first": money(c.profit_before),
            "profit_latest": money(c.profit_after),
            "difference": money(c.delta()),
        })
    };
    Some(json!({
        "profit_first": money(correction.first.profit()),
        "profit_latest": money(report.statement.profit()),
        "difference": money(correction.difference.total),
        "changes": correction.difference.changes.iter().map(change).collect::<Vec<_>>(),
    }))
}

fn unsettled(u: &Unsettled) -> Value {
    json!({
        "start": u.interval.start.to_string(),
        "end": u.interval.end.to_string(),
        "why": why(u.why),
    })
}

fn row(report: &Report, i: &Settled) -> Value {
    json!({
        "start": i.interval.start.to_string(),
        "end": i.interval.end.to_string(),
        "energy_mwh": mwh(i.energy),
        "billed_mwh": mwh(i.billed),
        "price": price(i.quote.price),
        "known_at": known(i.quote.known_at),
        "profit": money(i.profit()),
        "lines": i.lines.iter().map(|l| line(report, l)).collect::<Vec<_>>(),
    })
}

fn line(report: &Report, l: &Line) -> Value {
    let (energy, power) = quantities(l);
    json!({
        "component": l.component.name(),
        "name": name(report, l.component),
        "energy_mwh": energy.map(mwh),
        "power_w": power,
        "price": l.quote.map(|q| price(q.price)),
        "known_at": l.quote.and_then(|q| known(q.known_at)),
        "exchange_rate": l.exchange.map(|e| e.nano as f64 / 1e9),
        "amount": money(l.amount),
    })
}

fn quantities(l: &Line) -> (Option<Energy>, Option<i64>) {
    match l.quantity {
        Quantity::Energy(energy) => (Some(energy), None),
        Quantity::Power(power) | Quantity::Held(power) => (None, Some(power.0)),
        Quantity::Sum => (None, None),
    }
}

/// One CSV line for each line of each interval; numbers are exact decimals.
pub fn csv(report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "start",
        "end",
        "component",
        "name",
        "part",
        "energy_mwh",
        "power_w",
        "price",
        "known_at",
        "exchange_rate",
        "amount",
        "currency",
        "formula",
    ])?;
    let micro = |v: i64| show(v, 6, 6);
    for settled in &report.statement.intervals {
        let (start, end) = (settled.interval.start.to_string(), settled.interval.end.to_string());
        for l in &settled.lines {
            let (energy, power) = quantities(l);
            writer.write_record([
                start.as_str(),
                end.as_str(),
                l.component.name(),
                report.names.of(l.component),
                class(l.class),
                &energy.map_or(String::new(), |e| micro(micro_mwh(e))),
                &power.map_or(String::new(), |p| p.to_string()),
                &l.quote.map_or(String::new(), |q| micro(q.price.0)),
                &l.quote.and_then(|q| known(q.known_at)).unwrap_or_default(),
                &l.exchange.map_or(String::new(), |e| show(e.nano, 9, 9)),
                &micro(l.amount.0),
                &report.statement.currency,
                l.component.formula(),
            ])?;
        }
    }
    writer.flush()?;
    Ok(())
}

/// The statement for people.
pub fn table(report: &Report) -> String {
    let s = &report.statement;
    let mut t = String::new();
    let currency = &s.currency;
    let _ = writeln!(
        t,
        "{} at {}, {} to {}",
        report.site, report.point, report.span.start, report.span.end
    );
    let settled = s.intervals.len();
    let _ = writeln!(
        t,
        "{settled} intervals settled, {} not; {}; money in {currency}\n",
        s.unsettled.len(),
        s.energy()
    );
    let _ =
        writeln!(t, "{:<34}{:>16}{:>12}{:>18}", "component", "energy, MWh", "mean price", "amount");
    for total in s.totals() {
        let name = report.names.of(total.component);
        let label = match name {
            "" => total.component.name().to_owned(),
            name => format!("{} ({name})", total.component.name()),
        };
        let energy = total.energy.map_or(String::new(), |e| show(micro_mwh(e), 6, 3));
        let mean = mean_price(&total).map_or(String::new(), |p| show(p.0, 6, 2));
        let amount = show(total.amount.0, 6, 2);
        let _ = writeln!(t, "{label:<34}{energy:>16}{mean:>12}{amount:>18}");
    }
    let _ = writeln!(t, "{:<34}{:>46}", "profit", show(s.profit().0, 6, 2));
    table_counterfactuals(report, &mut t);
    table_units(report, &mut t);
    table_correction(report, &mut t);
    table_unsettled(s, &mut t);
    table_formulas(s, &mut t);
    for note in &report.notes {
        let _ = writeln!(t, "\nnote: {note}");
    }
    t
}

fn table_counterfactuals(report: &Report, t: &mut String) {
    let mut all: Vec<(String, &Counterfactual)> = Vec::new();
    all.extend(report.always_on.as_ref().map(|s| ("always on".to_owned(), s)));
    let strike = report.fixed_strike.as_ref();
    all.extend(strike.map(|k| (format!("fixed strike {}", k.price), &k.against)));
    if all.is_empty() {
        return;
    }
    let _ = writeln!(
        t,
        "\n{:<34}{:>16}{:>15}{:>15}",
        "against", "energy, MWh", "its profit", "better by"
    );
    for (name, c) in all {
        let energy = show(micro_mwh(c.other.energy()), 6, 3);
        let theirs = show(c.other.profit().0, 6, 2);
        let better = show(c.better_by().0, 6, 2);
        let _ = writeln!(t, "{name:<34}{energy:>16}{theirs:>15}{better:>15}");
    }
}

fn table_units(report: &Report, t: &mut String) {
    let units = report.statement.by_unit();
    if units.len() < 2 {
        return;
    }
    let _ = writeln!(t, "\n{:<34}{:>46}", "by unit", "profit");
    for (unit, m) in units.iter().take(LISTED_MAX) {
        let _ = writeln!(t, "{:<34}{:>46}", report.names.unit(*unit), show(m.0, 6, 2));
    }
    more(t, units.len());
}

fn table_correction(report: &Report, t: &mut String) {
    let Some(correction) = &report.correction else { return };
    let difference = &correction.difference;
    let _ = writeln!(
        t,
        "\ncorrected prices: {} intervals settle anew; profit as first posted {}, now {}, \
         difference {}",
        difference.changes.len(),
        show(correction.first.profit().0, 6, 2),
        show(report.statement.profit().0, 6, 2),
        show(difference.total.0, 6, 2),
    );
    let shown = |q: Option<Quote>| q.map_or("none".to_owned(), |q| show(q.price.0, 6, 2));
    for change in difference.changes.iter().take(LISTED_MAX) {
        let (start, delta) = (change.interval.start, show(change.delta().0, 6, 2));
        let (before, after) = (shown(change.before), shown(change.after));
        let _ = writeln!(t, "  {start}  {before:>10} -> {after:>10}{delta:>16}");
    }
    more(t, difference.changes.len());
}

fn table_formulas(s: &Statement, t: &mut String) {
    let _ =
        writeln!(t, "\nhow each is reckoned, per interval; --format csv has every line's prices:");
    let mut told: Vec<&str> = Vec::new();
    for total in s.totals() {
        let name = total.component.name();
        if !told.contains(&name) {
            told.push(name);
            let _ = writeln!(t, "  {name:<22}{}", total.component.formula());
        }
    }
}

fn table_unsettled(s: &Statement, t: &mut String) {
    if s.unsettled.is_empty() {
        return;
    }
    let _ = writeln!(t, "\nnot settled, and not counted as zero:");
    for u in s.unsettled.iter().take(LISTED_MAX) {
        let _ = writeln!(t, "  {}  {}", u.interval.start, why(u.why));
    }
    more(t, s.unsettled.len());
}

fn more(t: &mut String, count: usize) {
    if let Some(rest) = count.checked_sub(LISTED_MAX).filter(|n| *n > 0) {
        let _ = writeln!(t, "  and {rest} more");
    }
}

//! A statement as one printable page: it needs no script and fetches nothing.

mod case;
mod charts;
pub mod style;

pub use case::case_page;
pub use style::STYLE;

use super::Report;
use super::print::why;
use crate::chart::svg::escape;
use anyhow::Context;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::settle::{Class, Component, Settled, Statement, Total};
use headgate_core::time::{Interval, SECOND, Time};
use headgate_core::units::{Energy, Money, Price, WATT_SECONDS_PER_MWH};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Corrections and runs of unsettled intervals that are listed before the page says how many
/// more there are.
const LISTED_MAX: usize = 25;
/// Days a table lists; a longer span is listed by month.
const DAYS_MAX: usize = 62;

/// The page.
pub fn page(report: &Report) -> String {
    let zone = TimeZone::get(&report.zone).unwrap_or(TimeZone::UTC);
    let mut p = Page { report, zone, out: String::new(), footnotes: Vec::new() };
    p.head();
    p.summary();
    p.totals();
    p.against();
    p.figures();
    p.periods();
    p.units();
    p.corrections();
    p.unsettled();
    p.formulas();
    p.footnotes();
    p.out.push_str("</main></body></html>\n");
    p.out
}

/// Writes a page to a file, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("html.part");
    std::fs::write(&beside, page)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("failed to write the page {}", path.display()))?;
    tracing::info!("the page is in {}", path.display());
    Ok(())
}

/// Money to the cent, halves to the even one, with thousands apart and a true minus.
pub fn money(m: Money) -> String {
    let cents = div_half_even(i128::from(m.0), 10_000);
    let (whole, rest) = (cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
    let sign = if cents < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}.{rest:02}", grouped(&whole.to_string()))
}

/// Digits in groups of three.
pub fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn price(p: Price) -> String {
    money(Money(p.0))
}

/// Energy to the kilowatt-hour, in MWh.
fn mwh(e: Energy) -> String {
    let kwh = div_half_even(i128::from(e.0) * 1000, WATT_SECONDS_PER_MWH);
    let (whole, rest) = (kwh.unsigned_abs() / 1000, kwh.unsigned_abs() % 1000);
    let sign = if kwh < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}.{rest:03}", grouped(&whole.to_string()))
}

/// What one MWh cost or brought; `None` where there was none.
fn mean(amount: Money, energy: Energy) -> Option<Price> {
    let n = i128::from(amount.0) * WATT_SECONDS_PER_MWH;
    (energy.0 > 0).then(|| Price(to_i64(div_half_even(n, i128::from(energy.0)))))
}

fn dash(p: Option<Price>) -> String {
    p.map_or_else(|| "\u{2013}".to_owned(), price)
}

/// What a component is called on paper.
fn title(component: Component) -> &'static str {
    match component {
        Component::ComputeRevenue => "Compute revenue",
        Component::SpotEnergy => "Energy at spot",
        Component::BlockEnergy(_) => "Block",
        Component::BlockResale(_) => "Block sold back",
        Component::DayAhead => "Day-ahead position",
        Component::DayAheadOffset => "Day-ahead position in real time",
        Component::Adder(_) => "Adder",
        Component::CoincidentPeak(_) => "Coincident peak",
        Component::Demand(_) => "Demand",
        Component::CapacityPayment(_) => "Capacity held",
        Component::CapacityShortfall(_) => "Capacity not delivered",
        Component::BasePointDeviation => "Base-point deviation",
        Component::Wear => "Starts and wear",
    }
}

/// Name of a component with that of its block, adder, charge or product.
fn label(report: &Report, component: Component) -> String {
    match report.names.of(component) {
        "" => title(component).to_owned(),
        name => format!("{}: {name}", title(component)),
    }
}

struct Page<'a> {
    report: &'a Report,
    zone: TimeZone,
    out: String,
    footnotes: Vec<String>,
}

impl Page<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A row of cells; the first is text, the others are figures.
    fn row(&mut self, tag: &str, class: &str, cells: &[String]) {
        write!(self.out, "<tr class=\"{class}\">").expect("writing to a text cannot fail");
        for (i, cell) in cells.iter().enumerate() {
            let figure = if i > 0 { " class=\"n\"" } else { "" };
            write!(self.out, "<{tag}{figure}>{}</{tag}>", escape(cell))
                .expect("writing to a text cannot fail");
        }
        self.out.push_str("</tr>\n");
    }

    fn table(&mut self, head: &[&str], rows: &[Vec<String>], foot: Option<Vec<String>>) {
        // Dates stay on one line.
        let dated = matches!(head[0], "Day" | "Month" | "Interval");
        self.put(if dated { "<table class=\"dates\">" } else { "<table>" });
        let cells: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
        self.put("<thead>");
        self.row("th", "", &cells);
        self.put("</thead><tbody>");
        rows.iter().for_each(|cells| self.row("td", "", cells));
        if let Some(cells) = foot {
            self.row("td", "sum", &cells);
        }
        self.put("</tbody></table>");
    }

    fn local(&self, at: Time) -> String {
        match jiff::Timestamp::from_second(at.0.div_euclid(SECOND)) {
            Ok(t) => self.zone.to_datetime(t).strftime("%Y-%m-%d %H:%M").to_string(),
            Err(_) => at.to_string(),
        }
    }

    fn head(&mut self) {
        let r = self.report;
        let (from, to) = (self.local(r.span.start), self.local(r.span.end));
        let (site, currency) = (escape(&r.site), escape(&r.statement.currency));
        let (point, zone) = (escape(&r.point), escape(&r.zone));
        let (s, e) = (r.span.start, r.span.end);
        let style = style::STYLE;
        self.put(&format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>Settlement of {site}, {from} to {to}</title>\n<style>{style}</style></head>\
             <body><main>\n<header><h1>Settlement statement</h1>\
             <p class=\"site\">{site}</p>\n<dl><dt>Settlement point</dt><dd>{point}</dd>\
             <dt>Span</dt><dd>{from} to {to} ({zone})<br><small>{s} to {e}</small></dd>\
             <dt>Money in</dt><dd>{currency}</dd>"
        ));
        let posted = r.statement.intervals.iter().map(|i| i.quote.known_at);
        let posted: Vec<Time> = posted.filter(|t| *t > Time::MIN).collect();
        if let (Some(first), Some(last)) = (posted.iter().min(), posted.iter().max()) {
            let (first, last) = (self.local(*first), self.local(*last));
            self.put(&format!("<dt>Prices known</dt><dd>{first} to {last}</dd>"));
        }
        self.put("</dl></header>");
    }

    fn summary(&mut self) {
        let s = &self.report.statement;
        let minutes = self.report.terms.step.as_seconds() / 60;
        let energy = s.energy();
        let cost = -(s.of(Class::EnergyCost) + s.of(Class::SellBack));
        let tiles = [
            ("Profit", money(s.profit())),
            ("Compute revenue", money(s.of(Class::ComputeRevenue))),
            ("Energy cost", money(-s.of(Class::EnergyCost))),
            ("Sold back", money(s.of(Class::SellBack))),
            ("Capacity", money(s.of(Class::Capacity))),
            ("Other cost", money(-s.of(Class::OtherCost))),
            ("Energy, MWh", mwh(energy)),
            ("Net energy cost a MWh", dash(mean(cost, energy))),
        ];
        self.put("<section class=\"tiles\">");
        for (name, value) in tiles {
            self.put(&format!("<div><span>{name}</span><b>{value}</b></div>"));
        }
        self.put("</section>");
        let (settled, left) = (s.intervals.len(), s.unsettled.len());
        let expected = self.report.span.length().0 / self.report.terms.step.0.max(1);
        self.put(&format!(
            "<p>{settled} of {expected} intervals of {minutes} minutes are settled, {left} are \
             not (listed below). Profit is compute revenue less energy cost, plus what was \
             sold back and paid for capacity, less other cost.</p>"
        ));
        if settled == 0 {
            self.put("<p class=\"warn\">Nothing could be settled: see below why.</p>");
        }
    }

    fn totals(&mut self) {
        let r = self.report;
        self.put("<section><h2>Components</h2>");
        let rows: Vec<Vec<String>> = r.statement.totals().iter().map(|t| self.total(t)).collect();
        let profit = money(r.statement.profit());
        let foot = ["Profit", "", "", "", profit.as_str()].map(str::to_owned).to_vec();
        self.table(
            &["Component", "Lines", "Energy, MWh", "Mean a MWh", "Amount"],
            &rows,
            Some(foot),
        );
        self.put("</section>");
    }

    fn total(&self, t: &Total) -> Vec<String> {
        let energy = t.energy.filter(|e| e.0 != 0);
        let sign = if t.class == Class::EnergyCost { -1 } else { 1 };
        let each = energy.and_then(|e| mean(t.amount.times(sign), e));
        vec![
            label(self.report, t.component),
            grouped(&t.lines.to_string()),
            energy.map_or_else(|| "\u{2013}".to_owned(), mwh),
            dash(each),
            money(t.amount),
        ]
    }

    fn against(&mut self) {
        let r = self.report;
        let mut others: Vec<(String, &Statement, Money)> = Vec::new();
        let always = r.always_on.as_ref();
        others.extend(always.map(|c| ("Always on".to_owned(), &c.other, c.better_by())));
        let strike = r.fixed_strike.as_ref();
        others.extend(strike.map(|k| {
            let name = format!("Fixed strike {}", price(k.price));
            (name, &k.against.other, k.against.better_by())
        }));
        if others.is_empty() {
            return;
        }
        others.insert(0, ("As run".to_owned(), &r.statement, Money::ZERO));
        let of = |(name, s, better): &(String, &Statement, Money)| {
            vec![
                name.clone(),
                mwh(s.energy()),
                money(s.of(Class::ComputeRevenue)),
                money(-s.of(Class::EnergyCost)),
                money(s.of(Class::SellBack)),
                money(-s.of(Class::OtherCost)),
                money(s.profit()),
                money(*better),
            ]
        };
        let rows: Vec<Vec<String>> = others.iter().map(of).collect();
        self.put("<section><h2>Against other ways to run</h2>");
        let head = [
            "",
            "Energy, MWh",
            "Revenue",
            "Energy cost",
            "Sold back",
            "Other cost",
            "Profit",
            "As run is better by",
        ];
        self.table(&head, &rows, None);
        self.put(
            "<p>The same terms and prices, for intervals with a meter reading only. Always on \
             keeps everything at full power; a fixed strike runs everything below it and nothing \
             at or above it, without a forecast and without ramps.</p></section>",
        );
    }

    fn figures(&mut self) {
        if self.report.statement.intervals.is_empty() {
            return;
        }
        self.put("<section class=\"charts\"><h2>Charts</h2>");
        let charts = charts::all(self.report, &self.zone);
        for (title, text, svg) in charts {
            self.put(&format!(
                "<figure><figcaption><b>{}</b> {}</figcaption>{svg}</figure>",
                escape(&title),
                escape(&text)
            ));
        }
        self.put("</section>");
    }

    /// By day, or by month where the span is long.
    fn periods(&mut self) {
        let days = self.by(10);
        let (word, periods) =
            if days.len() > DAYS_MAX { ("Month", self.by(7)) } else { ("Day", days) };
        let mut rows = Vec::new();
        for (period, sum) in &periods {
            rows.push(vec![
                period.clone(),
                grouped(&sum.intervals.to_string()),
                mwh(sum.energy),
                dash(mean(sum.market, sum.energy)),
                money(sum.of(Class::ComputeRevenue)),
                money(-sum.of(Class::EnergyCost)),
                money(sum.of(Class::SellBack)),
                money(sum.of(Class::Capacity)),
                money(-sum.of(Class::OtherCost)),
                money(sum.profit()),
            ]);
        }
        self.put(&format!("<section><h2>By {}</h2>", word.to_lowercase()));
        let head = [
            word,
            "Intervals",
            "MWh",
            "Price met",
            "Revenue",
            "Energy cost",
            "Sold back",
            "Capacity",
            "Other",
            "Profit",
        ];
        let s = &self.report.statement;
        let foot = vec![
            "All".to_owned(),
            grouped(&s.intervals.len().to_string()),
            mwh(s.energy()),
            String::new(),
            money(s.of(Class::ComputeRevenue)),
            money(-s.of(Class::EnergyCost)),
            money(s.of(Class::SellBack)),
            money(s.of(Class::Capacity)),
            money(-s.of(Class::OtherCost)),
            money(s.profit()),
        ];
        self.table(&head, &rows, Some(foot));
        self.put("</section>");
        self.footnotes.push(
            "\u{201c}Price met\u{201d} is the settlement price weighted by the energy drawn: what \
             the load would have paid at spot."
                .into(),
        );
    }

    /// Sums by so many characters of the local date.
    fn by(&self, length: usize) -> BTreeMap<String, Sum> {
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for settled in &self.report.statement.intervals {
            let date: String = self.local(settled.interval.start).chars().take(length).collect();
            sums.entry(date).or_default().add(settled);
        }
        sums
    }

    fn units(&mut self) {
        let units = self.report.statement.by_unit();
        if units.len() < 2 {
            return;
        }
        let rows: Vec<Vec<String>> = units
            .iter()
            .map(|(unit, m)| vec![self.report.names.unit(*unit).to_owned(), money(*m)])
            .collect();
        let foot = vec!["Profit".to_owned(), money(self.report.statement.profit())];
        self.put("<section><h2>By unit</h2>");
        self.table(&["Unit", "Profit"], &rows, Some(foot));
        self.put("</section>");
    }

    fn corrections(&mut self) {
        let Some(correction) = &self.report.correction else { return };
        let difference = &correction.difference;
        self.put("<section><h2>Corrections</h2>");
        self.put(&format!(
            "<p>{} intervals settle differently since prices were corrected. By the prices first \
             posted the profit was {}; by those in force it is {}: a difference of <b>{}</b>.</p>",
            difference.changes.len(),
            money(correction.first.profit()),
            money(self.report.statement.profit()),
            money(difference.total),
        ));
        let mut changes: Vec<_> = difference.changes.iter().collect();
        changes.sort_by_key(|c| (std::cmp::Reverse(c.delta().0.unsigned_abs()), c.interval.start));
        let quote = |q: Option<headgate_core::settle::Quote>| dash(q.map(|q| q.price));
        let rows: Vec<Vec<String>> = changes
            .iter()
            .take(LISTED_MAX)
            .map(|c| {
                let known = c.after.filter(|q| q.known_at > Time::MIN);
                vec![
                    self.local(c.interval.start),
                    quote(c.before),
                    quote(c.after),
                    known.map_or_else(String::new, |q| self.local(q.known_at)),
                    money(c.delta()),
                ]
            })
            .collect();
        let foot = vec![
            "All".into(),
            String::new(),
            String::new(),
            String::new(),
            money(difference.total),
        ];
        let head = ["Interval", "First price", "Price in force", "Known since", "Difference"];
        self.table(&head, &rows, Some(foot));
        self.more(changes.len());
        self.put("</section>");
    }

    fn more(&mut self, count: usize) {
        if let Some(rest) = count.checked_sub(LISTED_MAX).filter(|n| *n > 0) {
            self.put(&format!("<p>And {rest} more; the CSV has them all.</p>"));
        }
    }

    fn unsettled(&mut self) {
        let all = &self.report.statement.unsettled;
        self.put("<section><h2>Not settled</h2>");
        if all.is_empty() {
            self.put("<p>Nothing: every interval of the meter has its price.</p></section>");
            return;
        }
        // Neighbours left out for one reason are one line.
        let mut runs: Vec<(Interval, &'static str, u32)> = Vec::new();
        for u in all {
            match runs.iter_mut().rev().find(|(_, w, _)| *w == why(u.why)) {
                Some((run, _, n)) if run.end == u.interval.start => {
                    (run.end, *n) = (u.interval.end, *n + 1);
                }
                _ => runs.push((u.interval, why(u.why), 1)),
            }
        }
        let rows: Vec<Vec<String>> = runs
            .iter()
            .take(LISTED_MAX)
            .map(|(run, why, n)| {
                let span = format!("{} to {}", self.local(run.start), self.local(run.end));
                vec![format!("{span}: {why}"), n.to_string()]
            })
            .collect();
        self.put("<p>What is missing is left out and not counted as zero.</p>");
        self.table(&["Span and reason", "Intervals"], &rows, None);
        self.more(runs.len());
        self.put("</section>");
    }

    fn formulas(&mut self) {
        self.put("<section><h2>Formulas</h2><table class=\"formulas\"><tbody>");
        for t in self.report.statement.totals() {
            let name = label(self.report, t.component);
            self.row("td", "", &[name, t.component.formula().to_owned()]);
        }
        self.put(
            "</tbody></table><p>L is the metered energy of the interval, B the blocks in force, K \
             a block\u{2019}s price, P the settlement price, D the day-ahead position, dt the \
             interval in hours. Income is above zero and cost below.</p></section>",
        );
    }

    fn footnotes(&mut self) {
        let r = self.report;
        let mut notes =
            vec![
            "Sums are of unrounded amounts (millionths); each figure is rounded to the cent by \
             itself, halves to the even one, so rounded lines may miss their rounded sum by a \
             cent. The sum by intervals, by components and by units is one number."
                .to_owned(),
            format!("Days and hours are those of {}; intervals include their first moment and \
                     not their last.", r.zone),
        ];
        notes.append(&mut self.footnotes);
        notes.extend(r.notes.iter().cloned());
        self.put("<section class=\"notes\"><h2>Notes</h2><ol>");
        for note in &notes {
            self.put(&format!("<li>{}</li>", escape(note)));
        }
        self.put("</ol>");
        if !r.sources.is_empty() {
            self.put("<h3>Prices and readings used</h3><ul>");
            for source in &r.sources {
                self.put(&format!("<li>{}</li>", escape(source)));
            }
            self.put("</ul>");
        }
        self.put("</section>");
    }
}

/// A day's or a month's sums.
struct Sum {
    intervals: usize,
    energy: Energy,
    /// The energy at the settlement price.
    market: Money,
    classes: BTreeMap<Class, Money>,
}

impl Default for Sum {
    fn default() -> Self {
        let (energy, market) = (Energy::ZERO, Money::ZERO);
        Self { intervals: 0, energy, market, classes: BTreeMap::new() }
    }
}

impl Sum {
    fn add(&mut self, settled: &Settled) {
        self.intervals += 1;
        self.energy += settled.energy;
        self.market += settled.quote.price.of(settled.energy);
        for line in &settled.lines {
            *self.classes.entry(line.class).or_insert(Money::ZERO) += line.amount;
        }
    }

    fn of(&self, class: Class) -> Money {
        self.classes.get(&class).copied().unwrap_or(Money::ZERO)
    }

    fn profit(&self) -> Money {
        self.classes.values().copied().sum()
    }
}

#[cfg(test)]
mod tests;

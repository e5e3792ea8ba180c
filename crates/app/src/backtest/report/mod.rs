//! A back-test as one page for people: pictures, tables, and why money was lost. It needs no
//! script and fetches nothing.

mod charts;
mod misses;
mod studies;

pub use studies::{Captured, Rung, ladder};

use super::case::Case;
use super::print::{percent, whole};
use crate::chart::svg::escape;
use crate::settle::html::STYLE;
use anyhow::Context;
use charts::{local, title};
use headgate_core::number::show;
use headgate_core::units::{Power, Price};
use headgate_sim::backtest::{BoundKind, Comparison, Name, Scored};
use jiff::tz::TimeZone;
use misses::Miss;
use std::path::Path;
use studies::Studies;

/// Width of the picture in pixels.
const PICTURE_WIDTH: f32 = 1_800.0;
/// What the page's style says beyond that of a statement.
const MORE_STYLE: &str = "
.ladder { margin: 1mm 0 4mm; padding: 2mm 2.5mm; background: #f4f7f8; overflow-x: auto;
  font: 8pt/1.4 ui-monospace, 'DejaVu Sans Mono', 'Liberation Mono', monospace; }
.policies td:first-child { font-weight: 600; }
.shown td { background: #eef4f7; }
";

/// The policy a report is about: the best informed of those that decide by what is known.
fn shown(c: &Comparison) -> Option<&Scored> {
    let order = [
        Name::LookAhead,
        Name::Breakeven,
        Name::FixedStrike,
        Name::AlwaysOn,
        Name::PerfectForesight,
    ];
    order.iter().find_map(|name| c.rows.iter().find(|r| r.name == *name))
}

fn zone(case: &Case) -> TimeZone {
    TimeZone::get(&case.loaded.site.timezone).unwrap_or(TimeZone::UTC)
}

/// Writes the picture of price, power and profit.
///
/// # Errors
/// When it cannot be drawn or written.
pub fn picture(path: &Path, case: &Case, c: &Comparison) -> anyhow::Result<()> {
    let Some(row) = shown(c) else { return Ok(()) };
    let svg = charts::main(case, c, row, &zone(case));
    crate::chart::png::write(path, &svg, PICTURE_WIDTH)?;
    tracing::info!("the picture is in {}", path.display());
    Ok(())
}

/// Writes the page.
///
/// # Errors
/// When one of its runs fails, or it cannot be written.
pub fn write(path: &Path, case: &Case, c: &Comparison) -> anyhow::Result<()> {
    let Some(row) = shown(c) else { return Ok(()) };
    tracing::info!("working out the report: the same policies, told late and worth more or less");
    let studies = studies::work_out(case, c)?;
    let rule = case.chosen.iter().find(|p| p.name == row.name).and_then(|p| p.rule);
    let missed = misses::costliest(case, c, row, rule).context("failed to find the misses")?;
    let page = Page { case, c, row, studies, missed, zone: zone(case), out: String::new() };
    crate::settle::html::write(path, &page.whole())
}

struct Page<'a> {
    case: &'a Case,
    c: &'a Comparison,
    row: &'a Scored,
    studies: Studies,
    missed: Vec<Miss>,
    zone: TimeZone,
    out: String,
}

/// Money per MWh to the cent.
fn price(p: Price) -> String {
    show(p.0, 6, 2)
}

fn mw(p: Power) -> String {
    show(p.0, 6, 1)
}

impl Page<'_> {
    fn whole(mut self) -> String {
        self.head();
        self.summary();
        self.policies();
        self.over_time();
        self.by_price_and_hour();
        self.misses();
        self.latency();
        self.sensitivity();
        self.counted();
        self.out.push_str("</main></body></html>\n");
        self.out
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn figure(&mut self, name: &str, text: &str, svg: &str) {
        let caption = format!("<b>{}</b> {}", escape(name), escape(text));
        self.put(&format!("<figure><figcaption>{caption}</figcaption>\n{svg}</figure>"));
    }

    fn table(&mut self, class: &str, head: &[&str], rows: &[(bool, Vec<String>)]) {
        self.put(&format!("<table class=\"{class}\"><thead><tr>"));
        for (i, cell) in head.iter().enumerate() {
            let figure = if i > 0 { " class=\"n\"" } else { "" };
            self.put(&format!("<th{figure}>{}</th>", escape(cell)));
        }
        self.put("</tr></thead><tbody>");
        for (marked, cells) in rows {
            self.put(if *marked { "<tr class=\"shown\">" } else { "<tr>" });
            for (i, cell) in cells.iter().enumerate() {
                let figure = if i > 0 { " class=\"n\"" } else { "" };
                self.put(&format!("<td{figure}>{}</td>", escape(cell)));
            }
            self.put("</tr>");
        }
        self.put("</tbody></table>");
    }

    fn day(&self, at: headgate_core::time::Time) -> String {
        local(&self.zone, at).strftime("%Y-%m-%d %H:%M").to_string()
    }

    fn head(&mut self) {
        let case = self.case;
        let name = escape(&case.loaded.site.name);
        let (point, span) = (escape(&case.tape.point.to_string()), case.tape.span);
        let (from, to) = (self.day(span.start), self.day(span.end));
        let zone = escape(&case.loaded.site.timezone);
        self.put(&format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>Back-test: {name} at {point}</title>\
             <style>{STYLE}{MORE_STYLE}</style></head><body><main>\n\
             <h1>Back-test</h1><p class=\"site\">{name} at {point}</p>\n<dl>\
             <dt>Span</dt><dd>{from} to {to} <small>{zone}</small></dd>"
        ));
        let lag = match case.lag.0 {
            0 => String::new(),
            _ => format!(", told {} late", case.lag),
        };
        self.put(&format!("<dt>Known</dt><dd>{}</dd>", escape(super::print::known_as(case.known))));
        self.put(&format!(
            "<dt>Intervals</dt><dd>{} of {}, decisions by {}{lag}</dd>\
             <dt>Break-even</dt><dd>{} {}/MWh at the meter, adders of {} included</dd></dl>",
            case.tape.settled.len(),
            case.tape.settle_step,
            case.tape.step,
            price(case.breakeven),
            escape(&case.market.currency),
            price(case.loaded.site.import_adder),
        ));
    }

    fn summary(&mut self) {
        let (row, c) = (self.row, self.c);
        let currency = escape(&self.case.market.currency);
        let profit = row.statement.account.profit;
        let beyond = profit - c.always_on.account.profit;
        let tile = |name: &str, value: &str| {
            format!("<div><span>{}</span><b>{}</b></div>", escape(name), escape(value))
        };
        let all = [
            tile(&format!("Profit of {}, {currency}", title(row.name)), &whole(profit)),
            tile(&format!("Beyond always-on, {currency}"), &whole(beyond)),
            tile("Capture of what hindsight earns", &percent(row.capture)),
            tile(&format!("Lost at spikes, {currency}"), &whole(row.missed_spikes.0)),
        ];
        self.put(&format!("<div class=\"tiles\">{}</div>", all.concat()));
        if let Some(caveat) = self.case.known.caveat() {
            self.put(&format!("<p class=\"warn\">All that follows is {}.</p>", escape(caveat)));
        }
        for name in self.studies.rising() {
            self.put(&format!(
                "<p class=\"warn\">{} captures more when it is told later: with prices like \
                 these that is luck at best. See whether the files tell a price before it was \
                 known.</p>",
                escape(title(name))
            ));
        }
    }

    fn policies(&mut self) {
        let head = [
            "Policy",
            "Profit",
            "Compute revenue",
            "Energy cost",
            "Sold back",
            "Starts",
            "Cost of starts",
            "Curtailed, h",
            "Lost at spikes",
            "Capture",
        ];
        let shown = self.row.name;
        let cells = |row: &Scored| {
            let a = &row.statement.account;
            let cells = vec![
                title(row.name).to_owned(),
                whole(a.profit),
                whole(a.compute_revenue),
                whole(a.energy_cost),
                whole(a.sell_back),
                a.starts.to_string(),
                whole(a.other_cost),
                format!("{:.1}", row.statement.curtailed_hours()),
                whole(row.missed_spikes.0),
                percent(row.capture),
            ];
            (row.name == shown, cells)
        };
        let rows: Vec<_> = self.c.rows.iter().map(cells).collect();
        self.put("<h2>Policies</h2>");
        self.table("policies", &head, &rows);
        let bound = &self.c.bound;
        let sure = match bound.kind {
            BoundKind::Exact => "reached by the plan in hindsight, exactly".to_owned(),
            BoundKind::Certified => {
                format!("certified: the plan found leaves {:.1e} of it open", bound.gap)
            }
        };
        self.put(&format!(
            "<p>No plan in settlement intervals earns more than <b>{}</b> {} ({sure}).</p>",
            whole(bound.profit.0),
            escape(&self.case.market.currency),
        ));
    }

    fn over_time(&mut self) {
        let (case, c, row) = (self.case, self.c, self.row);
        let own = title(row.name);
        self.put("<h2>Over time</h2>");
        let svg = charts::price_and_power(case, c, row, &self.zone);
        let text = format!(
            "Settlement price with the break-even as a market price, and the power of {own} and \
             of the plan in hindsight. Above about 20 the scale of prices is logarithmic."
        );
        self.figure("Price and power.", &text, &svg);
        let svg = charts::cumulative(case, c, &self.zone);
        let text = "What each policy had earned by then beyond one that always runs.";
        self.figure("Profit as it added up.", text, &svg);
    }

    fn by_price_and_hour(&mut self) {
        let (case, c, row) = (self.case, self.c, self.row);
        self.put("<h2>By price and by hour</h2>");
        let text = "Intervals from the dearest to the cheapest, and the mean power that each \
                    policy drew at such prices.";
        self.figure("Price duration, and what was run where.", text, &charts::duration(case, c));
        let svg = charts::price_map(case, &self.zone);
        self.figure("Price by hour and day.", "Mean of the hour; local time.", &svg);
        let svg = charts::power_map(row, &self.zone);
        let text = format!("Power of {} as a share of full power; local time.", title(row.name));
        self.figure("Power by hour and day.", &text, &svg);
    }

    fn misses(&mut self) {
        let (case, c, row) = (self.case, self.c, self.row);
        self.put("<h2>The costliest misses</h2>");
        let Some(first) = self.missed.first() else {
            self.put("<p>None: nothing was drawn at a price above its break-even.</p>");
            return;
        };
        let svg = charts::close_up(case, c, row, &self.zone, first.worst);
        self.figure("Around the costliest.", "As it was decided on, run by run.", &svg);
        let head = ["Spell", "Lost", "Worst interval", "Price then", "Drew, MW", "Hindsight, MW"];
        let cells = |m: &Miss| {
            let spell =
                format!("{}, {} min", self.day(m.span.start), m.span.length().as_seconds() / 60);
            let worst = local(&self.zone, m.worst.start).strftime("%H:%M").to_string();
            let power = (mw(m.power.0), mw(m.power.1));
            (false, vec![spell, whole(m.lost.0), worst, price(m.price), power.0, power.1])
        };
        let rows: Vec<_> = self.missed.iter().map(cells).collect();
        self.table("dates", &head, &rows);
        let ladders: Vec<(String, String)> = self
            .missed
            .iter()
            .filter_map(|m| Some((self.day(m.worst.start), m.decision.as_ref()?.to_string())))
            .collect();
        if ladders.is_empty() {
            return;
        }
        self.put(
            "<h3>Why: the ladder of the decision in force</h3><p>Made with what was known by the \
             middle of the worst interval of each spell; times in UTC.</p>",
        );
        for (when, ladder) in ladders {
            self.put(&format!(
                "<details open><summary>{}</summary><pre class=\"ladder\">{}</pre></details>",
                escape(&when),
                escape(ladder.trim_end())
            ));
        }
    }

    fn latency(&mut self) {
        let first = self.studies.lags.first();
        let names: Vec<Name> =
            first.map_or(Vec::new(), |(_, row)| row.iter().map(|c| c.0).collect());
        if names.is_empty() {
            return;
        }
        self.put("<h2>Told late</h2>");
        let svg = charts::latency(&self.studies);
        let text = "Capture when every price is told so much later than it could be known; it \
                    must fall from left to right.";
        self.figure("Latency ladder.", text, &svg);
        let mut head = vec!["Told late"];
        head.extend(names.iter().map(|name| title(*name)));
        let rows: Vec<_> = self
            .studies
            .lags
            .iter()
            .map(|(lag, row)| {
                let mut cells = vec![lag.to_string()];
                cells.extend(row.iter().map(|(_, captured)| percent(*captured)));
                (false, cells)
            })
            .collect();
        self.table("", &head, &rows);
    }

    fn sensitivity(&mut self) {
        let case = self.case;
        self.put("<h2>Worth more or less</h2>");
        let text = "Capture if all work were worth so much of what it is, the hash price or the \
                    value of its energy; each point is a back-test of its own.";
        let svg = charts::worth(&self.studies);
        self.figure("Value of the work.", text, &svg);
        let names: Vec<Name> = self
            .studies
            .worths
            .first()
            .map_or(Vec::new(), |w| w.policies.iter().map(|p| p.0).collect());
        let mut head = vec!["Worth", "Always on", "Perfect foresight"];
        let capture: Vec<String> =
            names.iter().map(|n| format!("{}, capture", title(*n))).collect();
        head.extend(capture.iter().map(String::as_str));
        let rows: Vec<_> = self
            .studies
            .worths
            .iter()
            .map(|w| {
                let mut cells =
                    vec![format!("{} %", w.percent), whole(w.always_on.0), whole(w.best.0)];
                cells.extend(w.policies.iter().map(|p| percent(p.2)));
                (w.percent == 100, cells)
            })
            .collect();
        self.table("", &head, &rows);
        let text = "Profit of stopping everything at one price, adders included, chosen once and \
                    for all; a wrong one loses money.";
        let svg = charts::strikes(case, self.c, &self.studies);
        self.figure("Strike.", text, &svg);
        let rows: Vec<_> = self
            .studies
            .strikes
            .iter()
            .map(|(strike, profit, captured, starts)| {
                let cells =
                    vec![price(*strike), whole(profit.0), percent(*captured), starts.to_string()];
                (*strike == case.strike.0, cells)
            })
            .collect();
        self.table("", &["Strike", "Profit", "Capture", "Starts"], &rows);
    }

    fn counted(&mut self) {
        self.put(
            "<h2>How it is counted</h2><div class=\"notes\"><ul>\
             <li>Each policy but perfect foresight is the live engine in virtual time: it is told \
             every price at the moment it could be known, never before, and acts then.</li>\
             <li>Profit = compute revenue - energy cost + sold back - cost of starts, by \
             settlement interval and at the price it settled at.</li>\
             <li>Capture = (policy - always on) / (perfect foresight - always on).</li>\
             <li>Curtailed hours are hours of full power that were not drawn.</li>\
             <li>Lost at spikes is what was lost against perfect foresight in the intervals in \
             which power was drawn at a price above the break-even of what ran, starts not \
             counted.</li>\
             <li>An independent check found every run within the physics of its units and the \
             limits of the site.</li>",
        );
        for note in &self.case.notes {
            self.out.push_str(&format!("<li>{}</li>\n", escape(note)));
        }
        for file in &self.case.files {
            self.out.push_str(&format!("<li>Prices: {}</li>\n", escape(file)));
        }
        self.put("</ul></div>");
    }
}

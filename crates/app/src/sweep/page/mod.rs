//! A sweep as one page: it needs no script and fetches nothing.

mod charts;

use super::frame::Frame;
use super::summary::{Seen, Summary};
use super::table::parameters;
use crate::chart::svg::escape;
use crate::settle::html::{grouped, money, style::STYLE};
use headgate_core::units::Money;
use headgate_sim::backtest::{Information, Name};
use headgate_sim::sweep::Case;

/// Rows a table lists before it says how many more there are.
const LISTED_MAX: usize = 60;
/// Spans that are named in the head.
const SPANS_NAMED: usize = 6;
/// Cases listed as the ones that went worst.
const WORST_LISTED: usize = 10;

/// A share as the page shows it; a dash where there is none.
fn share(capture: Option<f64>) -> String {
    let text = |c: f64| format!("{:.2} %", c * 100.0).replace('-', "\u{2212}");
    capture.map_or_else(|| "\u{2013}".to_owned(), text)
}

/// The page.
pub fn page(frame: &Frame, summary: &Summary) -> String {
    let mut p = Page { frame, summary, out: String::new() };
    p.head();
    p.tiles();
    p.policies();
    p.figures();
    p.places();
    p.settings();
    p.worst();
    p.failures();
    p.notes();
    p.out.push_str("</main></body></html>\n");
    p.out
}

struct Page<'a> {
    frame: &'a Frame,
    summary: &'a Summary,
    out: String,
}

impl Page<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// A table whose first columns are words and whose others are figures.
    fn table(&mut self, words: usize, head: &[String], rows: &[Vec<String>]) {
        let row = |tag: &str, cells: &[String]| {
            let cell = |(i, text): (usize, &String)| {
                let class = if i < words { "" } else { " class=\"n\"" };
                format!("<{tag}{class}>{}</{tag}>", escape(text))
            };
            format!("<tr>{}</tr>", cells.iter().enumerate().map(cell).collect::<String>())
        };
        let listed = &rows[..rows.len().min(LISTED_MAX)];
        let body: String = listed.iter().map(|cells| row("td", cells)).collect();
        let head = row("th", head);
        self.put(&format!(
            "<table class=\"dates\"><thead>{head}</thead><tbody>{body}</tbody></table>\n"
        ));
        if rows.len() > LISTED_MAX {
            let more = rows.len() - LISTED_MAX;
            self.put(&format!("<p><small>and {more} more, in sweep.csv</small></p>\n"));
        }
    }

    fn head(&mut self) {
        let (frame, plan) = (self.frame, &self.frame.plan);
        let name = escape(&plan.name);
        let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let spans: Vec<String> =
            plan.spans.iter().map(|s| format!("{} to {}", s.first, s.after)).collect();
        let named = spans[..spans.len().min(SPANS_NAMED)].join(", ");
        let more = if spans.len() > SPANS_NAMED { ", ..." } else { "" };
        let axes = [
            count(frame.sites.len(), "site"),
            count(frame.places.len(), "point"),
            count(plan.spans.len(), "span"),
            count(plan.settings.len(), "setting"),
            count(usize::try_from(plan.seeds.end - plan.seeds.start).unwrap_or(0), "seed"),
        ];
        let how = if plan.seeds.end > 1 {
            format!(
                "{}seeds to {} are paths of real days, {} at a time, from within {} days of the \
                 season",
                if plan.seeds.start == 0 { "seed 0 is history; " } else { "" },
                plan.seeds.end - 1,
                plan.resampling.block_days,
                plan.resampling.season_days
            )
        } else {
            "history alone".to_owned()
        };
        self.put(&format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>Sweep: {name}</title>\n<style>{STYLE}</style></head><body><main>\n\
             <header><h1>Sweep</h1><p class=\"site\">{name}</p>\n<dl>\
             <dt>Cases</dt><dd>{} = {}</dd><dt>Spans</dt><dd>{} (local days, half-open)</dd>\
             <dt>Prices</dt><dd>{how}</dd><dt>Money in</dt><dd>{}</dd>\
             <dt>Plan</dt><dd><small>{}</small></dd></dl></header>\n",
            grouped(&frame.cases.to_string()),
            axes.join(" \u{d7} "),
            named + more,
            escape(&self.summary.currencies.join(", ")),
            escape(&frame.hash),
        ));
    }

    /// The policy without foresight that captures most, pooled.
    fn leader(&self) -> Option<(Name, f64)> {
        let causal = self.summary.policies.iter().enumerate();
        let causal = causal.filter(|(_, n)| n.information() == Information::Causal);
        let means = causal.filter_map(|(i, name)| Some((*name, self.summary.pooled(i, |_| true)?)));
        means.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// What a policy leaves to the best plan in the mean case.
    fn lost(&self, name: &str) -> String {
        let of = |want: &str| self.summary.policies.iter().position(|p| p.as_str() == want);
        let [currency] = self.summary.currencies.as_slice() else { return share(None) };
        let Some(at) = of(name) else { return share(None) };
        let lost = self.summary.lost(at);
        lost.map_or_else(|| share(None), |m| format!("{} {currency}", money(m)))
    }

    fn tiles(&mut self) {
        let (name, mean) = match self.leader() {
            Some((name, mean)) => (name.as_str(), share(Some(mean))),
            None => ("none", share(None)),
        };
        let spread = self.summary.policies.iter().position(|p| p.as_str() == name);
        let spread = spread.map(|i| self.summary.captures(i, |_| true));
        let at = |percent| share(spread.as_ref().and_then(|c| c.quantile(percent)));
        let tile = |title: &str, text: &str| {
            format!("<div><span>{}</span><b>{}</b></div>", escape(title), escape(text))
        };
        let lost = self.lost(name);
        let tiles = [
            tile(&format!("Pooled capture of {name}"), &mean),
            tile("Its median case", &at(50)),
            tile("Left to the best, mean case", &lost),
            tile("Cases that failed", &grouped(&self.summary.failed.to_string())),
        ];
        self.put(&format!("<div class=\"tiles\">{}</div>\n", tiles.concat()));
    }

    fn policies(&mut self) {
        let s = self.summary;
        let mut head = ["Policy", "Cases"].map(String::from).to_vec();
        let one_currency = s.currencies.len() == 1;
        if one_currency {
            head.push(format!("Mean profit, {}", s.currencies[0]));
        }
        let rest = ["Pooled", "10 %", "Median", "90 %", "Best", "Starts", "Hours off"];
        head.extend(rest.map(String::from));
        let mut rows = Vec::new();
        for (i, name) in s.policies.iter().enumerate() {
            let captures = s.captures(i, |_| true);
            let figure = |v: Option<f64>| v.map_or("\u{2013}".to_owned(), |v| format!("{v:.1}"));
            let mut row = vec![name.as_str().to_owned()];
            row.push(grouped(&s.marks(i, |_| true).count().to_string()));
            if one_currency {
                row.push(s.profit(i, |_| true).map_or("\u{2013}".to_owned(), money));
            }
            row.push(share(s.pooled(i, |_| true)));
            row.extend([10, 50, 90, 100].map(|p| share(captures.quantile(p))));
            row.push(figure(s.mean(i, |_| true, |m| m.starts as f64)));
            row.push(figure(s.mean(i, |_| true, |m| m.curtailed_hours)));
            rows.push(row);
        }
        self.put("<h2>Policies</h2>\n");
        self.table(1, &head, &rows);
        self.put(
            "<p><small>Capture is (policy \u{2212} always_on) / (perfect_foresight \u{2212} \
             always_on). Pooled: all gains together as a share of all there was to gain; the \
             others: of each case by itself, from the 10 % case up; where there was little to \
             gain, little is enough to throw it far. \
             Hours off count energy not drawn, at the most the site can draw.</small></p>\n",
        );
    }

    fn figures(&mut self) {
        let figures = charts::all(self.frame, self.summary);
        for charts::Figure { title, text, svg } in figures {
            self.put(&format!(
                "<figure><figcaption><b>{}</b> {}</figcaption>{svg}</figure>\n",
                escape(&title),
                escape(&text)
            ));
        }
    }

    /// Captures by policy over the cases that pass; nothing where there is none.
    fn captures(&self, passes: impl Fn(&Case) -> bool) -> Option<Vec<String>> {
        let policies = 0..self.summary.policies.len();
        let all: Vec<_> = policies.map(|i| self.summary.pooled(i, &passes)).collect();
        all.iter().any(Option::is_some).then(|| all.iter().map(|c| share(*c)).collect())
    }

    fn by(&mut self, title: &str, words: &[&str], rows: &[Vec<String>]) {
        if rows.len() < 2 {
            return;
        }
        let names = self.summary.policies.iter().map(|p| p.as_str());
        let head: Vec<String> = words.iter().copied().chain(names).map(String::from).collect();
        self.put(&format!("<h2>{}</h2>\n", escape(title)));
        self.table(words.len(), &head, rows);
    }

    fn places(&mut self) {
        let frame = self.frame;
        let mut rows = Vec::new();
        for (s, site) in frame.sites.iter().enumerate() {
            for (p, place) in site.places.iter().enumerate() {
                for (t, span) in frame.plan.spans.iter().enumerate() {
                    let own = |c: &Case| (c.site, c.point, c.span) == (s, p, t);
                    let Some(captures) = self.captures(own) else { continue };
                    let place = frame.places[*place].point.to_string();
                    let span = format!("{} to {}", span.first, span.after);
                    let words = [site.loaded.site.name.clone(), place, span];
                    rows.push(words.into_iter().chain(captures).collect());
                }
            }
        }
        self.by("Pooled capture by site, point and span", &["Site", "Point", "Span"], &rows);
    }

    fn settings(&mut self) {
        let mut rows = Vec::new();
        for (i, setting) in self.frame.plan.settings.iter().enumerate() {
            let Some(captures) = self.captures(|c| c.setting == i) else { continue };
            let set = parameters(setting);
            let text: Vec<String> = set.iter().map(|(name, v)| format!("{name} {v}")).collect();
            rows.push(std::iter::once(text.join(", ")).chain(captures).collect());
        }
        self.by("Pooled capture by setting", &["Setting"], &rows);
    }

    fn worst(&mut self) {
        let Some((name, _)) = self.leader() else { return };
        let at = self.summary.policies.iter().position(|p| *p == name).unwrap_or(0);
        // In several currencies the one with small units would seem to lose most.
        if self.summary.currencies.len() != 1 {
            return;
        }
        let lost = |s: &Seen| Some(s.scale?.1 - s.marks.get(at)?.profit);
        let seen = self.summary.seen.iter();
        let mut all: Vec<(&Seen, Money)> = seen.filter_map(|s| Some((s, lost(s)?))).collect();
        all.sort_by_key(|(seen, lost)| (std::cmp::Reverse(*lost), seen.case.index));
        let row = |(seen, lost): &(&Seen, Money)| {
            let case = &seen.case;
            let site = &self.frame.sites[case.site];
            let span = self.frame.plan.spans[case.span];
            let set = parameters(&self.frame.plan.settings[case.setting]);
            let set: Vec<String> = set.iter().map(|(name, v)| format!("{name} {v}")).collect();
            vec![
                site.loaded.site.name.clone(),
                self.frame.places[site.places[case.point]].point.to_string(),
                format!("{} to {}", span.first, span.after),
                set.join(", "),
                case.index.to_string(),
                case.seed.to_string(),
                money(seen.marks[at].profit),
                money(*lost),
                share(seen.marks[at].capture_ppm.map(|ppm| ppm as f64 / 1e6)),
            ]
        };
        let rows: Vec<Vec<String>> = all.iter().take(WORST_LISTED).map(row).collect();
        if rows.is_empty() {
            return;
        }
        let head =
            ["Site", "Point", "Span", "Setting", "Case", "Seed", "Profit", "Lost", "Capture"];
        self.put(&format!("<h2>Where {} lost most against the best plan</h2>\n", name.as_str()));
        self.table(4, &head.map(String::from), &rows);
    }

    fn failures(&mut self) {
        if self.summary.failed == 0 {
            return;
        }
        let failed = self.summary.failed;
        self.put(&format!("<h2>Cases that came to nothing: {failed}</h2><div class=\"warn\">\n"));
        for (case, why) in &self.summary.failures {
            self.put(&format!("<p>Case {case}: {}</p>\n", escape(why)));
        }
        self.put("</div>\n");
    }

    fn notes(&mut self) {
        self.put(
            "<h2>How to read it</h2><div class=\"notes\"><ul>\
             <li>Every case is the live engine living through its prices, told as they became \
             known; perfect_foresight knows all of them and is nobody's to have.</li>\
             <li>A path of another seed is made of whole real days: runs, settlement prices and \
             day-ahead curve together. It shows how much luck there is in one history; it holds \
             no price that never was.</li>\
             <li>The same plan on the same files gives the same figures, byte for byte, on any \
             number of threads and from any number of shards.</li>\
             <li>All rows are in sweep.csv and sweep.parquet.</li></ul></div>\n",
        );
    }
}

//! A published case as a page: what the rule comes to beside what was reported.

use super::style::STYLE;
use crate::chart::svg::{self, escape};
use serde_json::Value;
use std::fmt::Write as _;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn all(value: &Value, key: &str) -> Vec<Value> {
    value[key].as_array().cloned().unwrap_or_default()
}

/// Millions, or a dash where there is no figure.
fn millions(value: &Value) -> String {
    value.as_f64().map_or_else(|| "\u{2013}".to_owned(), |n| format!("{:.2}", n / 1e6))
}

/// The page of a case's document.
pub fn case_page(document: &Value) -> String {
    let (title, currency) = (escape(text(document, "title")), escape(text(document, "currency")));
    let rule = escape(text(document, "rule"));
    let mut out = String::new();
    let mut put = |line: &str| writeln!(out, "{line}").expect("writing to a text cannot fail");
    put(&format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><main><header><h1>A scale check, not a proof</h1>\
         <p class=\"site\">{title}</p><p>Rule: {rule}.</p></header>"
    ));
    put("<section><h2>Why it proves nothing</h2><ul>");
    for why in all(document, "why_no_proof") {
        put(&format!("<li>{}</li>", escape(why.as_str().unwrap_or_default())));
    }
    put("</ul></section>");
    let periods = all(document, "periods");
    let months = periods.iter().filter(|p| text(p, "period").len() == 7);
    let months = months.filter(|p| !text(p, "period").contains('Q'));
    let bars: Vec<(String, f64)> = months
        .flat_map(|p| {
            let name = text(p, "period").to_owned();
            let reported = p["reported"].as_f64().map(|v| (format!("{name} reported"), v));
            let sold = (name, p["sold"].as_f64().unwrap_or_default());
            [Some(sold), reported].into_iter().flatten()
        })
        .collect();
    let chart = svg::bars("Sold back by month", &currency, &bars);
    put(&format!("<section><h2>By month</h2><figure>{chart}</figure>"));
    put(&format!(
        "<table class=\"dates\"><thead><tr><th>Period</th><th class=\"n\">Hours</th>\
         <th class=\"n\">Hours sold</th><th class=\"n\">Mean price</th>\
         <th class=\"n\">Sold, M {currency}</th><th class=\"n\">Reported, M {currency}</th></tr>\
         </thead><tbody>"
    ));
    for p in &periods {
        let class = if text(p, "period").len() == 4 { "sum" } else { "" };
        put(&format!(
            "<tr class=\"{class}\"><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{:.2}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(text(p, "period")),
            p["hours"],
            p["sold_hours"],
            p["mean_price"].as_f64().unwrap_or_default(),
            millions(&p["sold"]),
            millions(&p["reported"]),
        ));
    }
    put("</tbody></table></section><section class=\"notes\"><h2>What was reported</h2><ul>");
    for p in all(document, "published") {
        let response = match p["demand_response"].is_null() {
            true => String::new(),
            false => format!(" and demand response {}", millions(&p["demand_response"])),
        };
        put(&format!(
            "<li>{}: power credits {}{response} million {currency}. {}</li>",
            escape(text(&p, "period")),
            millions(&p["power_credits"]),
            escape(text(&p, "source"))
        ));
    }
    put(&format!("<li>{}</li></ul>", escape(text(document, "block_source"))));
    put(&format!(
        "<p>{} hours have their price and {} have none.</p>",
        document["hours"], document["hours_missing"]
    ));
    for note in all(document, "notes") {
        put(&format!("<p>{}</p>", escape(note.as_str().unwrap_or_default())));
    }
    put("</section></main></body></html>");
    out
}

//! One plain page that shows the status and reloads itself, until the control room is built.

use crate::doors::ready::Readiness;
use crate::status::Status;
use std::fmt::{self, Write};

/// How often the page reloads itself, in seconds.
const RELOAD_S: u32 = 5;

/// Writes the page. It has no script and no style, so it may be forbidden to load anything.
pub(super) fn render(status: &Status, readiness: &Readiness) -> String {
    let mut page = String::new();
    write_page(&mut page, status, readiness).expect("writing to a text does not fail");
    page
}

fn write_page(out: &mut String, s: &Status, readiness: &Readiness) -> fmt::Result {
    let site = Escaped(&s.site);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"refresh\" content=\"{RELOAD_S}\">\n\
         <title>{site} - Headgate</title>\n</head>\n<body>\n<h1>{site}</h1>\n\
         <p>The control room is not built yet. This is the status, renewed every {RELOAD_S} s.\
         </p>\n"
    )?;
    for alarm in &s.alarms {
        writeln!(out, "<p><strong>Alarm</strong>: {}</p>", Escaped(&alarm.text))?;
    }
    for reason in &readiness.reasons {
        writeln!(out, "<p>Not ready: {}</p>", Escaped(reason))?;
    }
    out.push_str("<table>\n");
    for (name, value) in rows(s) {
        let value = value.unwrap_or_else(|| "not known".to_owned());
        writeln!(out, "<tr><th>{name}</th><td>{}</td></tr>", Escaped(&value))?;
    }
    out.push_str("</table>\n");
    if let Some(ladder) = &s.ladder {
        writeln!(out, "<pre>{}</pre>", Escaped(ladder))?;
    }
    out.push_str("<ul>\n");
    for path in ["/api/v1/status", "/metrics", "/ready", "/live"] {
        writeln!(out, "<li><a href=\"{path}\">{path}</a></li>")?;
    }
    out.push_str("</ul>\n</body>\n</html>\n");
    Ok(())
}

fn rows(s: &Status) -> Vec<(&'static str, Option<String>)> {
    let watts = |w: Option<i64>| w.map(|w| headgate_core::units::Power(w).to_string());
    let per_mwh = |p: f64| format!("{p:.2} {}/MWh", s.currency);
    let m = &s.machines;
    vec![
        ("Time", Some(s.at.clone())),
        ("Settlement point", Some(s.point.clone())),
        ("Mode", Some(s.mode.clone())),
        ("Policy", Some(s.policy.clone())),
        ("Expected price", s.price.as_ref().map(|p| per_mwh(p.expected))),
        ("Mean break-even", s.mean_breakeven.map(per_mwh)),
        ("Import limit", watts(Some(s.import_limit_w))),
        ("Target", watts(s.target_w)),
        ("Planned", watts(s.planned_w)),
        ("Measured", watts(s.measured_w)),
        (
            "Machines",
            Some(format!(
                "{} awake, {} asleep, {} lost, {} failed, of {}",
                m.awake, m.asleep, m.lost, m.failed, m.all
            )),
        ),
        ("Profit", Some(format!("{:.2} {}", s.money.profit, s.currency))),
        ("Hold", Some(s.hold.clone().unwrap_or_else(|| "none".to_owned()))),
        ("Stop", Some(s.stop.clone().unwrap_or_else(|| "none".to_owned()))),
        ("Wish", s.wish.clone()),
        ("Looks again", Some(s.wake_at.clone())),
    ]
}

/// A text in which nothing reads as markup.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::testing::status;

    #[test]
    fn nothing_from_outside_reads_as_markup() {
        let mut status = status();
        status.hold = Some("<script>alert('x')</script> & \"more\"".to_owned());
        let reasons = vec!["no <b>price</b>".to_owned()];
        let page = render(&status, &Readiness { ready: false, reasons });
        assert!(page.contains("<h1>Example &lt;1&gt;</h1>"));
        let hold = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;";
        assert!(page.contains(hold));
        assert!(page.contains("no &lt;b&gt;price"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn what_is_not_known_is_not_shown_as_zero() {
        let mut status = status();
        status.measured_w = None;
        let page = render(&status, &Readiness { ready: true, reasons: Vec::new() });
        assert!(page.contains("<th>Measured</th><td>not known</td>"));
        assert!(page.contains("<th>Target</th><td>2.500 MW</td>"));
    }
}

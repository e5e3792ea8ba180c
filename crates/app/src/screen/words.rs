//! Numbers, ages and times as people read them, and the tones they are said in.

use ratatui::style::{Color, Modifier, Style};

/// Grey of labels and rules: readable on light and on dark ground.
const GREY: Color = Color::Indexed(245);
/// Orange: told from grey by every kind of eye.
const ORANGE: Color = Color::Indexed(208);

/// What a value or a line is to the eye. Colour is for what is abnormal, never alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Labels, rules, and what is of no interest now.
    Quiet,
    Plain,
    /// What one looks for first.
    Strong,
    /// Abnormal: stale, drifted, failed.
    Warn,
    /// A person must know.
    Alarm,
}

/// How tones look on this terminal.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    colour: bool,
}

impl Theme {
    /// With colour or without.
    pub const fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// As the environment asks: a `NO_COLOR` that is not empty switches colour off.
    pub fn from_env() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()))
    }

    /// The style of a tone.
    pub fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        match (tone, self.colour) {
            (Tone::Plain, _) => plain,
            (Tone::Strong, _) => plain.add_modifier(Modifier::BOLD),
            (Tone::Quiet, true) => plain.fg(GREY),
            (Tone::Quiet, false) => plain.add_modifier(Modifier::DIM),
            (Tone::Warn, true) => plain.fg(ORANGE),
            (Tone::Warn, false) => plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            (Tone::Alarm, true) => plain.fg(Color::Black).bg(ORANGE),
            (Tone::Alarm, false) => plain.add_modifier(Modifier::BOLD | Modifier::REVERSED),
        }
    }
}

/// What stands where a value is not known.
pub const UNKNOWN: &str = "unknown";

/// A number with its thousands apart and this many decimals.
pub fn number(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return UNKNOWN.into();
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |(w, r)| (w, r));
    let mut out = String::with_capacity(text.len() + 8);
    // What rounds to zero has no sign.
    if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
        out.push('-');
    }
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out
}

/// A count with its thousands apart.
pub fn count(value: u64) -> String {
    number(value as f64, 0)
}

/// Power in MW, to the kilowatt.
pub fn mw(watts: i64) -> String {
    number(watts as f64 / 1e6, 3)
}

/// A number, or that it is not known.
pub fn known(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| UNKNOWN.into(), |v| number(v, decimals))
}

/// A length of time, to about two digits.
pub fn span(seconds: f64) -> String {
    // Adding nothing makes a negative nothing a plain one.
    let s = seconds.max(0.0) + 0.0;
    match s {
        s if s < 119.5 => format!("{s:.0} s"),
        s if s < 597.0 => format!("{:.1} min", s / 60.0),
        s if s < 119.5 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

/// An RFC 3339 time in UTC, cut to seconds: `2026-08-18 05:35:00 UTC`.
pub fn utc(rfc3339: &str) -> String {
    let text = clean(rfc3339);
    let Some((day, rest)) = text.split_once('T') else { return text };
    let time = rest.split(['.', 'Z', '+']).next().unwrap_or(rest);
    format!("{day} {time} UTC")
}

/// The same without the day.
pub fn time_utc(rfc3339: &str) -> String {
    let text = utc(rfc3339);
    text.split_once(' ').map_or(text.clone(), |(_, time)| time.into())
}

/// The time of day of a moment, `05:35`, or to the second, `05:35:20`.
pub fn time_of_day(ns: i64, seconds: bool) -> String {
    let s = ns.div_euclid(1_000_000_000).rem_euclid(86_400);
    let minute = format!("{:02}:{:02}", s / 3600, s / 60 % 60);
    if seconds { format!("{minute}:{:02}", s % 60) } else { minute }
}

/// Seconds from one moment to an RFC 3339 time; `None` when it is not one.
pub fn seconds_until(from_ns: i64, rfc3339: &str) -> Option<f64> {
    let to = rfc3339.parse::<jiff::Timestamp>().ok()?;
    Some((to.as_nanosecond() - i128::from(from_ns)) as f64 / 1e9)
}

/// Text from outside without what a terminal would obey.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text cut to a width, saying that it was.
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

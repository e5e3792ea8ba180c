//! Charts of a printed page, as SVG text: no script, no link, readable in black and white.

use std::fmt::Write as _;

/// Width and height of a chart, in the units of its own box.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 205.0;
/// Room for labels: left, right, top, bottom.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 62.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 34.0;
/// Points a line is thinned to: more cannot be seen on paper.
const POINTS_MAX: usize = 1_400;
/// Steps an axis is cut into, about.
const TICKS: f64 = 5.0;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A line.
    Line,
    /// A line with its area filled, behind all lines.
    Area,
    /// A broken line.
    Dashed,
}

/// One series; x and y in their own units, a break where y is missing.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Colour, as CSS has it.
    pub colour: &'static str,
    /// How it is drawn.
    pub style: Style,
    /// Whether it goes by the right axis.
    pub right: bool,
    /// Its points, x rising.
    pub points: Vec<(f64, Option<f64>)>,
}

/// A chart of lines.
#[derive(Debug, Clone)]
pub struct Lines {
    /// What the left axis counts.
    pub left: String,
    /// What the right axis counts; empty where there is none.
    pub right: String,
    /// Labels below, at their x.
    pub marks: Vec<(f64, String)>,
    /// The series.
    pub series: Vec<Series>,
}

/// Text safe inside HTML and SVG, in an element or an attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A scale from values to places.
#[derive(Debug, Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64, with_zero: bool) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in values.filter(|v| v.is_finite()) {
            (low, high) = (low.min(v), high.max(v));
        }
        if !low.is_finite() {
            (low, high) = (0.0, 1.0);
        }
        if with_zero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if high - low < 1e-9 {
            high = low + 1.0;
        }
        Self { low, high, from, to }
    }

    fn at(&self, v: f64) -> f64 {
        self.from + (v - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers within it.
    fn ticks(&self) -> Vec<f64> {
        let raw = (self.high - self.low) / TICKS;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= raw);
        let step = step.unwrap_or(raw);
        let mut v = (self.low / step).ceil() * step;
        let mut out = Vec::new();
        while v <= self.high + step * 1e-9 && out.len() < 20 {
            out.push(v);
            v += step;
        }
        out
    }
}

/// A label of an axis: short, with its thousands.
pub fn number(v: f64) -> String {
    let a = v.abs();
    let (v, unit) = match a {
        a if a >= 1e6 => (v / 1e6, " M"),
        a if a >= 1e4 => (v / 1e3, " k"),
        _ => (v, ""),
    };
    let text = if (v - v.round()).abs() < 1e-9 { format!("{v:.0}") } else { format!("{v:.1}") };
    format!("{}{unit}", if text == "-0" { "0" } else { &text })
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a text cannot fail");
}

fn open(title: &str) -> String {
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             xmlns=\"http://www.w3.org/2000/svg\"><title>{}</title>\n",
            escape(title)
        ),
    );
    out
}

/// Grid lines and labels of one axis.
fn axis(out: &mut String, axis: &Axis, what: &str, right: bool) {
    let (x, anchor) = if right { (WIDTH - RIGHT + 6.0, "start") } else { (LEFT - 6.0, "end") };
    for v in axis.ticks() {
        let y = axis.at(v);
        if !right {
            let to = WIDTH - RIGHT;
            let class = if v == 0.0 { "zero" } else { "grid" };
            put(
                out,
                format_args!(
                    "<line class=\"{class}\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{to}\" \
                     y2=\"{y:.1}\"/>\n"
                ),
            );
        }
        let base = y + 3.5;
        let text = number(v);
        put(
            out,
            format_args!(
                "<text x=\"{x}\" y=\"{base:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"
            ),
        );
    }
    let x = if right { WIDTH - 4.0 } else { 4.0 };
    let anchor = if right { "end" } else { "start" };
    let what = escape(what);
    put(
        out,
        format_args!(
            "<text class=\"unit\" x=\"{x}\" y=\"9\" text-anchor=\"{anchor}\">{what}</text>\n"
        ),
    );
}

/// Thins a series: of each bunch of points the extremes stay, in their order.
pub fn thin(points: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let bunch = points.len().div_ceil(POINTS_MAX / 2);
    let mut out = Vec::with_capacity(POINTS_MAX);
    for bunch in points.chunks(bunch) {
        let known = bunch.iter().enumerate().filter_map(|(i, (_, y))| Some((i, (*y)?)));
        let (mut low, mut high) = (None::<(usize, f64)>, None::<(usize, f64)>);
        for (i, y) in known {
            if low.is_none_or(|(_, l)| y < l) {
                low = Some((i, y));
            }
            if high.is_none_or(|(_, h)| y > h) {
                high = Some((i, y));
            }
        }
        match (low, high) {
            (Some((a, _)), Some((b, _))) => {
                out.push(bunch[a.min(b)]);
                if a != b {
                    out.push(bunch[a.max(b)]);
                }
            }
            _ => out.push(bunch[0]),
        }
    }
    out
}

/// Draws lines over a common x.
pub fn lines(title: &str, chart: &Lines) -> String {
    let mut out = open(title);
    let (floor, ceiling) = (HEIGHT - BOTTOM, TOP);
    let all = |right: bool| {
        let own = chart.series.iter().filter(move |s| s.right == right);
        own.flat_map(|s| s.points.iter().filter_map(|(_, y)| *y))
    };
    let xs = chart.series.iter().flat_map(|s| s.points.iter().map(|(x, _)| *x));
    let x = Axis::of(xs, LEFT, WIDTH - RIGHT, false);
    let left = Axis::of(all(false), floor, ceiling, true);
    let right = Axis::of(all(true), floor, ceiling, true);
    axis(&mut out, &left, &chart.left, false);
    if !chart.right.is_empty() {
        axis(&mut out, &right, &chart.right, true);
    }
    for (at, text) in &chart.marks {
        let (at, y) = (x.at(*at), floor + 13.0);
        let (text, top) = (escape(text), floor + 3.0);
        put(
            &mut out,
            format_args!(
                "<line class=\"tick\" x1=\"{at:.1}\" y1=\"{floor}\" x2=\"{at:.1}\" y2=\"{top}\"/>\
                 <text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>\n"
            ),
        );
    }
    let mut sorted: Vec<&Series> = chart.series.iter().collect();
    sorted.sort_by_key(|s| s.style != Style::Area);
    for series in sorted {
        let y = if series.right { &right } else { &left };
        line(&mut out, series, &x, y);
    }
    legend(&mut out, &chart.series);
    out.push_str("</svg>\n");
    out
}

fn line(out: &mut String, series: &Series, x: &Axis, y: &Axis) {
    let points = thin(&series.points);
    let mut path = String::new();
    for run in points.split(|(_, v)| v.is_none()).filter(|r| !r.is_empty()) {
        let base = y.at(0.0);
        let first = x.at(run[0].0);
        let area = series.style == Style::Area;
        if area {
            put(&mut path, format_args!("M{first:.1} {base:.1}"));
        }
        for (i, (px, py)) in run.iter().enumerate() {
            let (px, py) = (x.at(*px), y.at(py.unwrap_or_default()));
            let letter = if i == 0 && !area { 'M' } else { 'L' };
            put(&mut path, format_args!("{letter}{px:.1} {py:.1}"));
        }
        if area {
            let last = x.at(run[run.len() - 1].0);
            put(&mut path, format_args!("L{last:.1} {base:.1}Z"));
        }
    }
    let colour = series.colour;
    let look = match series.style {
        Style::Line => format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.1\""),
        Style::Dashed => format!(
            "fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.1\" stroke-dasharray=\"5 3\""
        ),
        Style::Area => format!("fill=\"{colour}\" stroke=\"none\""),
    };
    put(out, format_args!("<path d=\"{path}\" {look}/>\n"));
}

fn legend(out: &mut String, series: &[Series]) {
    let mut x = LEFT;
    let y = HEIGHT - 6.0;
    for s in series {
        let (colour, name, text) = (s.colour, escape(&s.name), x + 16.0);
        let dash = if s.style == Style::Dashed { " stroke-dasharray=\"5 3\"" } else { "" };
        let (width, end, middle) = (if s.style == Style::Area { 7 } else { 2 }, x + 12.0, y - 3.0);
        put(
            out,
            format_args!(
                "<line x1=\"{x:.0}\" x2=\"{end:.0}\" y1=\"{middle}\" y2=\"{middle}\" \
                 stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>\
                 <text x=\"{text:.0}\" y=\"{y}\">{name}</text>\n"
            ),
        );
        x = text + 6.2 * s.name.chars().count() as f64 + 18.0;
    }
}

/// Draws one bar a name, income to the right of zero and cost to the left.
pub fn bars(title: &str, unit: &str, rows: &[(String, f64)]) -> String {
    const ROW: f64 = 22.0;
    const NAMES: f64 = 190.0;
    let height = ROW * rows.len() as f64 + 30.0;
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             xmlns=\"http://www.w3.org/2000/svg\"><title>{}</title>\n",
            escape(title)
        ),
    );
    let x = Axis::of(rows.iter().map(|(_, v)| *v), NAMES + 60.0, WIDTH - 70.0, true);
    let (zero, bottom) = (x.at(0.0), height - 22.0);
    put(
        &mut out,
        format_args!(
            "<line class=\"zero\" x1=\"{zero:.1}\" y1=\"2\" x2=\"{zero:.1}\" y2=\"{bottom}\"/>\n"
        ),
    );
    for (i, (name, v)) in rows.iter().enumerate() {
        let y = 4.0 + ROW * i as f64;
        let at = x.at(*v);
        let (from, width) = (at.min(zero), (at - zero).abs().max(0.5));
        let colour = if *v < 0.0 { "#b4542d" } else { "#2d6f8e" };
        let (bar, text) = (ROW - 8.0, y + 11.0);
        let (beside, anchor) = if *v < 0.0 { (from - 4.0, "end") } else { (at + 4.0, "start") };
        let (name, value) = (escape(name), number(*v));
        put(
            &mut out,
            format_args!(
                "<text x=\"{NAMES}\" y=\"{text:.1}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{bar}\" \
                 fill=\"{colour}\"/>\
                 <text x=\"{beside:.1}\" y=\"{text:.1}\" text-anchor=\"{anchor}\">{value}</text>\n"
            ),
        );
    }
    let (y, unit) = (height - 6.0, escape(unit));
    put(
        &mut out,
        format_args!(
            "<text class=\"unit\" x=\"{zero:.1}\" y=\"{y}\" text-anchor=\"middle\">{unit}</text>\n</svg>\n"
        ),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escape("<b a=\"1\">&'\u{7}"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39; ");
        let drawn = bars("</svg><script>", "x", &[("<i>".into(), 1.0)]);
        assert!(!drawn.contains("<script>") && !drawn.contains("<i>"), "{drawn}");
    }

    #[test]
    fn axes_have_round_ticks_around_any_values() {
        let ticks = |values: &[f64]| Axis::of(values.iter().copied(), 0.0, 1.0, true).ticks();
        assert_eq!(ticks(&[0.0, 9000.0]), [0.0, 2000.0, 4000.0, 6000.0, 8000.0]);
        assert_eq!(ticks(&[-251.0, 40.0]), [-200.0, -100.0, 0.0]);
        assert_eq!(ticks(&[]).first(), Some(&0.0));
        assert!(ticks(&[f64::NAN, 5.0, 5.0]).len() > 2);
    }

    #[test]
    fn thinning_keeps_the_extremes_and_the_gaps() {
        let mut points: Vec<(f64, Option<f64>)> =
            (0..50_000).map(|i| (f64::from(i), Some(1.0))).collect();
        points[31_337].1 = Some(9_000.0);
        points[40_000].1 = Some(-250.0);
        points[..5_000].iter_mut().for_each(|p| p.1 = None);
        let thin = thin(&points);
        assert!(thin.len() <= POINTS_MAX + 2, "{}", thin.len());
        assert!(thin.contains(&(31_337.0, Some(9_000.0))));
        assert!(thin.contains(&(40_000.0, Some(-250.0))));
        assert!(thin[..60].iter().all(|(_, y)| y.is_none()));
        assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
    }
}

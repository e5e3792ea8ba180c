//! Charts of stacked panels over one axis, and maps of coloured cells, as SVG text.
//!
//! A panel's scale may be linear around zero and logarithmic beyond, so that a price of 20 and
//! one of 5,000 are both read off one picture.

use super::svg::{escape, number, thin};
use std::fmt::Write as _;

/// Width of a chart in the units of its own box.
pub const WIDTH: f64 = 720.0;
/// Room for labels: left, right.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
/// Room above a panel for its unit and legend, and below all panels for the axis.
const HEAD: f64 = 22.0;
const FOOT: f64 = 30.0;
/// Least distance between two labels of a vertical axis.
const LABELS_APART: f64 = 15.0;
/// Values that a logarithmic axis may label, either side of zero.
const DECADES: [f64; 13] = [
    10.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0, 5.0, 1.0,
];

/// How values become heights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// In proportion.
    Linear,
    /// In proportion up to about this, by their logarithm beyond.
    Log(f64),
}

/// How a trace is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A line.
    Line,
    /// A thick line.
    Bold,
    /// A broken line.
    Dashed,
    /// The area down to zero.
    Area,
    /// The area between a value and its low.
    Band,
    /// A line with a dot at each point.
    Dots,
}

/// One series of a panel; x rising, a break where y is missing.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Name in the legend.
    pub name: String,
    /// Colour, as CSS has it.
    pub colour: &'static str,
    /// How it is drawn.
    pub look: Look,
    /// Its points.
    pub points: Vec<(f64, Option<f64>)>,
    /// The other edge of a band, by point; empty for every other look.
    pub lows: Vec<f64>,
}

/// A horizontal line with a name.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Where.
    pub at: f64,
    /// Its name.
    pub name: String,
    /// Colour, as CSS has it.
    pub colour: &'static str,
}

/// A panel.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What its axis counts.
    pub unit: String,
    /// Height of its field.
    pub height: f64,
    /// Its scale.
    pub scale: Scale,
    /// Whether zero is always on it.
    pub zero: bool,
    /// Its series, the first behind.
    pub traces: Vec<Trace>,
    /// Horizontal lines.
    pub marks: Vec<Mark>,
}

/// Panels over a common horizontal axis.
#[derive(Debug, Clone)]
pub struct Plot {
    /// First and last value of the axis.
    pub x: (f64, f64),
    /// Labels below, at their x.
    pub labels: Vec<(f64, String)>,
    /// What the horizontal axis counts; empty where the labels say it.
    pub x_unit: String,
    /// From the top.
    pub panels: Vec<Panel>,
}

impl Trace {
    /// A trace that is no band.
    pub fn new(name: &str, colour: &'static str, look: Look, points: Points) -> Self {
        Self { name: name.to_owned(), colour, look, points, lows: Vec::new() }
    }
}

/// Points of a trace.
pub type Points = Vec<(f64, Option<f64>)>;

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a text cannot fail");
}

impl Scale {
    fn of(self, v: f64) -> f64 {
        match self {
            Self::Linear => v,
            Self::Log(near) => (v / near).asinh(),
        }
    }
}

/// The vertical axis of a panel.
struct Rise {
    scale: Scale,
    low: f64,
    high: f64,
    top: f64,
    bottom: f64,
}

impl Rise {
    fn of(panel: &Panel, top: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let own = panel
            .traces
            .iter()
            .flat_map(|t| t.points.iter().filter_map(|(_, y)| *y).chain(t.lows.iter().copied()));
        for v in own.chain(panel.marks.iter().map(|m| m.at)).filter(|v| v.is_finite()) {
            (low, high) = (low.min(v), high.max(v));
        }
        if !low.is_finite() {
            (low, high) = (0.0, 1.0);
        }
        if panel.zero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if high - low < 1e-9 {
            high = low + 1.0;
        }
        let (low, high) = (panel.scale.of(low), panel.scale.of(high));
        // A little air, so that no line runs along the edge.
        let air = (high - low) * 0.04;
        let low = if low == 0.0 { low } else { low - air };
        Self { scale: panel.scale, low, high: high + air, top, bottom: top + panel.height }
    }

    fn at(&self, v: f64) -> f64 {
        let share = (self.scale.of(v) - self.low) / (self.high - self.low);
        self.bottom - share * (self.bottom - self.top)
    }

    fn ticks(&self) -> Vec<f64> {
        let inside = |v: &f64| (self.low..=self.high).contains(&self.scale.of(*v));
        match self.scale {
            Scale::Linear => {
                let most = ((self.bottom - self.top) / (2.0 * LABELS_APART)).max(2.0);
                let raw = (self.high - self.low) / most;
                let power = 10f64.powf(raw.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= raw);
                let step = step.unwrap_or(raw);
                let first = (self.low / step).ceil() as i64;
                let all = (0..40).map(|i| (first + i) as f64 * step);
                all.filter(inside).collect()
            }
            Scale::Log(_) => {
                let mut kept: Vec<f64> = vec![0.0];
                kept.retain(inside);
                // The round numbers first, and what still finds room between them.
                let order = [1_000.0, 100.0, 10_000.0, 10.0, 250.0, 5_000.0, 50.0, 500.0, 2_500.0];
                let order = order.into_iter().chain(DECADES).flat_map(|v| [v, -v]);
                for v in order.filter(inside) {
                    let free = |k: &f64| (self.at(*k) - self.at(v)).abs() >= LABELS_APART;
                    if kept.iter().all(free) {
                        kept.push(v);
                    }
                }
                kept
            }
        }
    }
}

/// Draws panels.
pub fn draw(title: &str, plot: &Plot) -> String {
    let height: f64 = plot.panels.iter().map(|p| p.height + HEAD).sum::<f64>() + FOOT;
    let mut out = open(title, height);
    let (from, to) = plot.x;
    let across = (to - from).max(1e-9);
    let x = |v: f64| LEFT + (v - from) / across * (WIDTH - LEFT - RIGHT);
    let mut top = 0.0;
    for panel in &plot.panels {
        top += HEAD;
        field(&mut out, panel, top, &x, &plot.labels);
        top += panel.height;
    }
    for (at, text) in &plot.labels {
        let (at, y, text) = (x(*at), top + 14.0, escape(text));
        // A label at the very edge stays on the picture.
        let (at, anchor) =
            if at > WIDTH - RIGHT - 4.0 { (WIDTH - 2.0, "end") } else { (at, "middle") };
        put(
            &mut out,
            format_args!(
                "<text x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"
            ),
        );
    }
    if !plot.x_unit.is_empty() {
        let (at, y, text) = (WIDTH - RIGHT, top + 26.0, escape(&plot.x_unit));
        put(
            &mut out,
            format_args!(
                "<text class=\"unit\" x=\"{at}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>\n"
            ),
        );
    }
    out.push_str("</svg>\n");
    out
}

fn open(title: &str, height: f64) -> String {
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
             xmlns=\"http://www.w3.org/2000/svg\"><title>{}</title>\n",
            escape(title)
        ),
    );
    out
}

/// One panel: grid, traces, marks, legend.
fn field(
    out: &mut String,
    panel: &Panel,
    top: f64,
    x: &dyn Fn(f64) -> f64,
    labels: &[(f64, String)],
) {
    let rise = Rise::of(panel, top);
    let (right, bottom) = (WIDTH - RIGHT, top + panel.height);
    for (at, _) in labels {
        let at = x(*at);
        put(
            out,
            format_args!(
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top:.1}\" \
                 y2=\"{bottom:.1}\"/>\n"
            ),
        );
    }
    for v in rise.ticks() {
        let (y, text) = (rise.at(v), number(v));
        let class = if v == 0.0 { "zero" } else { "grid" };
        let (base, beside) = (y + 3.3, LEFT - 6.0);
        put(
            out,
            format_args!(
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{beside}\" y=\"{base:.1}\" text-anchor=\"end\">{text}</text>\n"
            ),
        );
    }
    for trace in &panel.traces {
        one(out, trace, x, &rise);
    }
    marks(out, &panel.marks, &rise);
    let (unit, above) = (escape(&panel.unit), top - 8.0);
    put(out, format_args!("<text class=\"unit\" x=\"4\" y=\"{above:.1}\">{unit}</text>\n"));
    legend(out, &panel.traces, above);
}

/// Horizontal lines with their names, at the right edge or, where that is taken, at the left.
fn marks(out: &mut String, marks: &[Mark], rise: &Rise) {
    let right = WIDTH - RIGHT;
    let mut taken: Vec<f64> = Vec::new();
    for mark in marks {
        let (y, name, colour) = (rise.at(mark.at), escape(&mark.name), mark.colour);
        // Above the line, unless that would leave the field.
        let base = if y - LABELS_APART < rise.top { y + 11.0 } else { y - 3.5 };
        let free = taken.iter().all(|t| (t - base).abs() >= LABELS_APART);
        let (beside, anchor) = if free { (right - 3.0, "end") } else { (LEFT + 3.0, "start") };
        if free {
            taken.push(base);
        }
        put(
            out,
            format_args!(
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" \
                 stroke-width=\"1\" stroke-dasharray=\"6 3\"/>\
                 <text x=\"{beside}\" y=\"{base:.1}\" text-anchor=\"{anchor}\" \
                 style=\"fill:{colour};stroke:#fff;stroke-width:3px;paint-order:stroke\">\
                 {name}</text>\n"
            ),
        );
    }
}

fn one(out: &mut String, trace: &Trace, x: &dyn Fn(f64) -> f64, rise: &Rise) {
    let mut path = String::new();
    if trace.look == Look::Band {
        let ends = trace.points.iter().zip(&trace.lows);
        let known = ends.filter_map(|((px, y), low)| Some((x(*px), rise.at((*y)?), rise.at(*low))));
        let all: Vec<_> = known.collect();
        let down = all.iter().rev().map(|(px, _, low)| (*px, *low));
        for (i, (px, py)) in all.iter().map(|(px, y, _)| (*px, *y)).chain(down).enumerate() {
            put(&mut path, format_args!("{}{px:.1} {py:.1}", if i == 0 { 'M' } else { 'L' }));
        }
    } else {
        let points = thin(&trace.points);
        let area = trace.look == Look::Area;
        let base = rise.at(0.0);
        for run in points.split(|(_, v)| v.is_none()).filter(|r| !r.is_empty()) {
            if area {
                put(&mut path, format_args!("M{:.1} {base:.1}", x(run[0].0)));
            }
            for (i, (px, py)) in run.iter().enumerate() {
                let (px, py) = (x(*px), rise.at(py.unwrap_or_default()));
                let letter = if i == 0 && !area { 'M' } else { 'L' };
                put(&mut path, format_args!("{letter}{px:.1} {py:.1}"));
            }
            if area {
                put(&mut path, format_args!("L{:.1} {base:.1}Z", x(run[run.len() - 1].0)));
            }
        }
    }
    let colour = trace.colour;
    let line = |width: &str, more: &str| {
        format!(
            "fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\"{more}"
        )
    };
    let look = match trace.look {
        Look::Line | Look::Dots => line("1.3", ""),
        Look::Bold => line("1.9", ""),
        Look::Dashed => line("1.2", " stroke-dasharray=\"5 3\""),
        Look::Area | Look::Band => format!("fill=\"{colour}\" stroke=\"none\""),
    };
    put(out, format_args!("<path d=\"{path}\" {look}/>\n"));
    if trace.look == Look::Dots {
        for (px, py) in trace.points.iter().filter_map(|(px, y)| Some((x(*px), rise.at((*y)?)))) {
            put(
                out,
                format_args!(
                    "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"2.6\" fill=\"{colour}\"/>\n"
                ),
            );
        }
    }
}

/// Names of the traces, from the right edge to the left.
fn legend(out: &mut String, traces: &[Trace], y: f64) {
    let mut x = WIDTH - RIGHT;
    for t in traces.iter().rev().filter(|t| !t.name.is_empty()) {
        let wide = 5.6 * t.name.chars().count() as f64;
        let (text, colour, name) = (x - wide, t.colour, escape(&t.name));
        let (from, to, middle) = (text - 17.0, text - 4.0, y - 3.3);
        let width = match t.look {
            Look::Area | Look::Band => 8,
            _ => 2,
        };
        let dash = if t.look == Look::Dashed { " stroke-dasharray=\"5 3\"" } else { "" };
        put(
            out,
            format_args!(
                "<line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" \
                 stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>\
                 <text x=\"{text:.1}\" y=\"{y:.1}\">{name}</text>\n"
            ),
        );
        x = from - 12.0;
    }
}

/// Cells by row and column, coloured by class.
#[derive(Debug, Clone)]
pub struct Map {
    /// Class of each cell, row by row from the top; `None` stays white.
    pub rows: Vec<Vec<Option<usize>>>,
    /// Names of some rows.
    pub row_labels: Vec<(usize, String)>,
    /// Names of some columns.
    pub column_labels: Vec<(usize, String)>,
    /// Colour and name of each class.
    pub classes: Vec<(&'static str, String)>,
    /// What rows count.
    pub unit: String,
}

/// Draws a map.
pub fn map(title: &str, map: &Map) -> String {
    const ROW: f64 = 7.0;
    let rows = map.rows.len() as f64;
    let height = HEAD + rows * ROW + FOOT;
    let mut out = open(title, height);
    let columns = map.rows.iter().map(Vec::len).max().unwrap_or(1).max(1) as f64;
    let cell = (WIDTH - LEFT - RIGHT) / columns;
    // Cells of one class are one path: a year of hours is thousands of them.
    for (class, (colour, _)) in map.classes.iter().enumerate() {
        let mut path = String::new();
        for (r, row) in map.rows.iter().enumerate() {
            let y = HEAD + r as f64 * ROW;
            let mut c = 0;
            while c < row.len() {
                let same = row[c..].iter().take_while(|v| **v == Some(class)).count();
                if same > 0 {
                    let (x, w) = (LEFT + c as f64 * cell, same as f64 * cell);
                    put(&mut path, format_args!("M{x:.1} {y:.1}h{w:.1}v{ROW}h-{w:.1}z"));
                }
                c += same.max(1);
            }
        }
        if !path.is_empty() {
            put(&mut out, format_args!("<path d=\"{path}\" fill=\"{colour}\"/>\n"));
        }
    }
    for (r, text) in &map.row_labels {
        let (y, text) = (HEAD + *r as f64 * ROW + ROW * 0.5 + 3.3, escape(text));
        let x = LEFT - 6.0;
        put(
            &mut out,
            format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>\n"),
        );
    }
    for (c, text) in &map.column_labels {
        let (x, text) = (LEFT + *c as f64 * cell, escape(text));
        let (from, to, y) = (HEAD + rows * ROW, HEAD + rows * ROW + 3.0, HEAD + rows * ROW + 14.0);
        put(
            &mut out,
            format_args!(
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from:.1}\" y2=\"{to:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{text}</text>\n"
            ),
        );
    }
    let unit = escape(&map.unit);
    put(&mut out, format_args!("<text class=\"unit\" x=\"4\" y=\"14\">{unit}</text>\n"));
    let keys: Vec<Trace> = map
        .classes
        .iter()
        .map(|(colour, name)| Trace::new(name, colour, Look::Area, Vec::new()))
        .collect();
    legend(&mut out, &keys, 14.0);
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rise(scale: Scale, values: &[f64]) -> Rise {
        let points = values.iter().map(|v| (0.0, Some(*v))).collect();
        let traces = vec![Trace::new("", "#000", Look::Line, points)];
        let unit = String::new();
        let panel = Panel { unit, height: 120.0, scale, zero: true, traces, marks: vec![] };
        Rise::of(&panel, 0.0)
    }

    #[test]
    fn a_logarithmic_axis_labels_small_and_large_values_apart() {
        let rise = rise(Scale::Log(20.0), &[-30.0, 5000.0]);
        let mut ticks = rise.ticks();
        ticks.sort_by(f64::total_cmp);
        assert_eq!(ticks, [0.0, 100.0, 1000.0, 5000.0]);
        let heights: Vec<f64> = ticks.iter().map(|v| rise.at(*v)).collect();
        assert!(heights.windows(2).all(|w| w[0] - w[1] >= LABELS_APART));
    }

    #[test]
    fn a_linear_axis_has_round_labels_within_it() {
        let ticks = rise(Scale::Linear, &[0.0, 102.1]).ticks();
        assert_eq!(ticks, [0.0, 50.0, 100.0]);
        assert!(rise(Scale::Linear, &[]).ticks().len() > 1);
    }

    #[test]
    fn cells_of_one_class_that_touch_are_drawn_as_one() {
        let one = Map {
            rows: vec![vec![Some(0), Some(0), None, Some(0)]],
            row_labels: vec![],
            column_labels: vec![],
            classes: vec![("#123456", "<dear>".into())],
            unit: "hour".into(),
        };
        let drawn = map("Map", &one);
        assert_eq!(drawn.matches("M56").count(), 1);
        assert_eq!(drawn.matches('z').count(), 2, "{drawn}");
        assert!(!drawn.contains("<dear>"));
    }
}

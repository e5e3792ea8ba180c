//! Two small charts of the run so far: the price on a scale of decades, and power in MW.

use super::history::{History, Line};
use super::words::{Theme, Tone, number, time_of_day};
use crate::status::Status;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType};

/// Below this size the price scale is linear, beyond it each decade is as tall as the last.
const DECADE: f64 = 10.0;
/// Width of the numbers left of a chart, with the rule.
const GUTTER: u16 = 8;
/// Shortest time a chart spans, so that the first second is no wall.
const SPAN_LEAST_NS: i64 = 60_000_000_000;
/// A chart that spans less shows seconds.
const SECONDS_SHOWN_NS: i64 = 600_000_000_000;
/// Farthest a mark may be from the middle of its row, in rows: the scale is steep.
const MARK_OFF_MOST: f64 = 0.26;
/// Columns between two marks of a dotted line.
const DOT_EVERY: u16 = 2;
/// Columns a label below a chart needs.
const TIME_LABEL: u16 = 12;

/// A value's height on the scale of decades: -100 at -2, 0 at 0, 10 at 1, 9000 at 3.95.
pub fn decades(value: f64) -> f64 {
    let size = value.abs();
    let height = if size <= DECADE { size / DECADE } else { 1.0 + (size / DECADE).log10() };
    height.copysign(value)
}

/// The value at a whole height of the scale of decades.
fn at_decade(height: i32) -> f64 {
    let size = if height == 0 { 0.0 } else { DECADE.powi(height.abs()) };
    if height < 0 { -size } else { size }
}

/// A vertical scale: its ends, how a value gets its height, and its marks as (height, text).
#[derive(Debug)]
struct Scale {
    low: f64,
    high: f64,
    marks: Vec<(f64, String)>,
}

/// A scale for prices, from what has been seen.
fn price_scale(history: &History, rows: u16) -> Scale {
    let lines = [Line::Price, Line::Breakeven];
    let seen = lines.iter().filter_map(|l| history.range(*l));
    let (min, max) = seen.fold((0.0_f64, DECADE), |a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (low, high) = (decades(min).floor() as i32, decades(max).ceil() as i32);
    let row = |h: i32| f64::from(high - h) / f64::from(high - low) * f64::from(rows.max(2) - 1);
    let mut last = f64::MIN;
    let mut marks = Vec::new();
    for h in (low..=high).rev() {
        let at = row(h);
        let exact = (at - at.round()).abs() <= MARK_OFF_MOST;
        // At least one row between two marks.
        if exact && at - last >= 0.9 {
            marks.push((f64::from(h), number(at_decade(h), 0)));
            last = at;
        }
    }
    Scale { low: f64::from(low), high: f64::from(high), marks }
}

/// A scale for power, from nothing to the limit or what has been seen above it.
fn power_scale(history: &History, limit_w: i64, rows: u16) -> Scale {
    let lines = [Line::Target, Line::Measured];
    let seen = lines.iter().filter_map(|l| history.range(*l)).map(|r| r.1);
    let top = seen.fold(limit_w as f64 / 1e6, f64::max).max(1e-3);
    let most = f64::from((rows / 2).clamp(1, 5));
    // Steps of 1, 2 or 5 times a power of ten.
    let rough = top / most;
    let ten = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * ten).into_iter().find(|s| *s >= rough * 0.999);
    let step = step.unwrap_or(10.0 * ten);
    let decimals = if step >= 1.0 { 0 } else { (-step.log10().floor()) as usize };
    let n = (top / step - 1e-9).ceil().max(1.0);
    let marks = (0..=n as u32).map(|i| f64::from(i) * step).map(|v| (v, number(v, decimals)));
    Scale { low: 0.0, high: n * step, marks: marks.collect() }
}

/// The first and the last moment a chart shows: the whole run where its end is known.
fn window(s: &Status, history: &History) -> Option<(i64, i64)> {
    let (first, latest) = history.bounds_ns()?;
    let passed = latest - first;
    let whole = match s.clock.progress {
        Some(p) if p > 0.01 && p < 1.0 => (passed as f64 / p) as i64,
        _ => passed,
    };
    Some((first, first + whole.max(SPAN_LEAST_NS)))
}

/// Draws the price of the run so far, and the break-even as dots.
pub fn price(frame: &mut Frame<'_>, area: Rect, s: &Status, history: &History, theme: Theme) {
    let scale = price_scale(history, area.height.saturating_sub(1));
    let lines = [(Line::Breakeven, Tone::Quiet), (Line::Price, Tone::Plain)];
    draw(frame, area, s, history, theme, &scale, &lines, decades);
}

/// Draws measured power of the run so far, and its target as dots.
pub fn power(frame: &mut Frame<'_>, area: Rect, s: &Status, history: &History, theme: Theme) {
    let scale = power_scale(history, s.import_limit_w, area.height.saturating_sub(1));
    let lines = [(Line::Target, Tone::Quiet), (Line::Measured, Tone::Plain)];
    draw(frame, area, s, history, theme, &scale, &lines, |v| v);
}

#[expect(clippy::too_many_arguments, reason = "one private drawing routine for both charts")]
fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    s: &Status,
    history: &History,
    theme: Theme,
    scale: &Scale,
    [dotted, drawn]: &[(Line, Tone); 2],
    height: impl Fn(f64) -> f64,
) {
    if area.height < 3 || area.width < GUTTER + TIME_LABEL {
        return;
    }
    let plot = Rect {
        x: area.x + GUTTER,
        width: area.width - GUTTER - 1,
        height: area.height - 1,
        ..area
    };
    let quiet = theme.style(Tone::Quiet);
    let Some((from, to)) = window(s, history) else {
        frame.buffer_mut().set_string(plot.x, plot.y, "nothing seen yet", quiet);
        return;
    };
    gutter(frame.buffer_mut(), plot, scale, quiet);
    frame.buffer_mut().set_string(area.x + GUTTER - 5, plot.bottom(), "UTC", quiet);
    time_labels(frame.buffer_mut(), plot, (from, to), quiet);
    let moment = |x: u16| {
        let share = f64::from(x) / f64::from(plot.width.saturating_sub(1).max(1));
        from + ((to - from) as f64 * share) as i64
    };
    let latest = history.bounds_ns().map_or(from, |b| b.1);
    let dots: Vec<(f64, f64)> = (0..plot.width)
        .step_by(usize::from(DOT_EVERY))
        .map(moment)
        .take_while(|ns| *ns <= latest)
        .filter_map(|ns| Some(((ns - from) as f64 / 1e9, height(history.at(dotted.0, ns)?))))
        .collect();
    let mut runs = history.runs(drawn.0, from);
    runs.iter_mut().flatten().for_each(|p| p.1 = height(p.1));
    let set = |points, marker, graph, tone| {
        let set = Dataset::default().marker(marker).graph_type(graph);
        set.style(theme.style(tone)).data(points)
    };
    let mut sets = vec![set(&dots, Marker::Dot, GraphType::Scatter, dotted.1)];
    for run in &runs {
        // A run of one moment has no line.
        let graph = if run.len() > 4 { GraphType::Line } else { GraphType::Scatter };
        sets.push(set(run, Marker::Braille, graph, drawn.1));
    }
    let chart = Chart::new(sets)
        .x_axis(Axis::default().bounds([0.0, (to - from) as f64 / 1e9]))
        .y_axis(Axis::default().bounds([scale.low, scale.high]))
        .legend_position(None);
    frame.render_widget(chart, plot);
}

/// Writes the marks of a scale left of a chart.
fn gutter(buffer: &mut Buffer, plot: Rect, scale: &Scale, style: Style) {
    let rule = plot.x - 1;
    for y in plot.y..plot.bottom() {
        buffer.set_string(rule, y, "│", style);
    }
    let tall = (scale.high - scale.low).max(f64::MIN_POSITIVE);
    for (at, text) in &scale.marks {
        let down = (scale.high - at) / tall * f64::from(plot.height - 1);
        let y = plot.y + down.round() as u16;
        let width = usize::from(GUTTER - 1);
        buffer.set_string(plot.x - GUTTER, y, format!("{text:>width$}"), style);
        buffer.set_string(rule, y, "┤", style);
    }
}

/// Writes the time of day below a chart.
fn time_labels(buffer: &mut Buffer, plot: Rect, (from, to): (i64, i64), style: Style) {
    let seconds = to - from < SECONDS_SHOWN_NS;
    let parts = (plot.width / if seconds { TIME_LABEL * 3 / 2 } else { TIME_LABEL }).clamp(1, 6);
    for i in 0..=parts {
        let text = time_of_day(from + (to - from) / i64::from(parts) * i64::from(i), seconds);
        let x = plot.x + (plot.width - 1) * i / parts;
        let half = text.len() as u16 / 2;
        let x = x.saturating_sub(half).clamp(plot.x, plot.right() - text.len() as u16);
        buffer.set_string(x, plot.bottom(), text, style);
    }
}

//! A chart of one series on a terminal, in Braille dots.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

/// Rows of a chart, labels included.
const ROWS: u16 = 16;
/// Fewest and most columns of a chart.
const COLUMNS: (u16, u16) = (40, 200);

/// Draws the parts of one series, with nothing between them; `marks` are labels below.
pub fn lines(parts: &[Vec<(f64, f64)>], marks: &[(f64, String)], columns: u16) -> String {
    let ends = |of: fn(&(f64, f64)) -> f64| {
        let start = (f64::INFINITY, f64::NEG_INFINITY);
        parts.iter().flatten().map(of).fold(start, |(a, b), v| (a.min(v), b.max(v)))
    };
    let (x, y) = (ends(|p| p.0), ends(|p| p.1));
    if !x.0.is_finite() {
        return String::new();
    }
    let bottom = y.0.min(0.0);
    let top = if y.1 - bottom < 1e-9 { bottom + 1.0 } else { y.1 };
    let label = |v: f64| format!("{v:.2}");
    let mut labels = vec![label(bottom), label(bottom + (top - bottom) / 2.0), label(top)];
    labels.iter_mut().for_each(|l| *l = format!("{l:>9}"));
    let first = marks.first().map_or(String::new(), |m| m.1.clone());
    let middle = marks.get(marks.len() / 2).map_or(String::new(), |m| m.1.clone());
    let last = marks.last().map_or(String::new(), |m| m.1.clone());
    let part = |points| {
        Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).data(points)
    };
    let chart = Chart::new(parts.iter().map(|p| part(p)).collect())
        .x_axis(Axis::default().bounds([x.0, x.1]).labels(vec![first, middle, last]))
        .y_axis(Axis::default().bounds([bottom, top]).labels(labels));
    let area = Rect::new(0, 0, columns.clamp(COLUMNS.0, COLUMNS.1), ROWS);
    let mut buffer = Buffer::empty(area);
    chart.render(area, &mut buffer);
    let mut out = String::new();
    for row in 0..area.height {
        let cells = (0..area.width).map(|column| buffer[(column, row)].symbol());
        out.push_str(cells.collect::<String>().trim_end());
        out.push('\n');
    }
    out
}

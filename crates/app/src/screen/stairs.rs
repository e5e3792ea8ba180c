//! The break-even staircase as a ladder: dearest step on top, the price's place between the
//! steps that are worth more and those that are worth less.

use super::table::kilowatts;
use super::words::{Theme, Tone, clean, count, fit, number};
use crate::status::{StairView, Status};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// From this width on a row has room for the step's power.
const WIDE: u16 = 60;
/// Columns of a row that are not its bar.
const FIXED_WIDE: u16 = 9 + 2 + 10 + 1 + 13 + 1 + 1 + 11 + 1 + 8;
const FIXED_NARROW: u16 = 9 + 1 + 7 + 1 + 1 + 11;

enum Row<'a> {
    Step(&'a StairView),
    Price(f64),
}

/// Draws as much of the ladder as fits, around the price.
pub fn draw(frame: &mut Frame<'_>, area: Rect, s: &Status, theme: Theme) {
    if area.height < 2 {
        return;
    }
    let quiet = theme.style(Tone::Quiet);
    if s.staircase.is_empty() {
        let text = Line::styled("  no staircase yet", quiet);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let mut rows: Vec<Row<'_>> = s.staircase.iter().map(Row::Step).collect();
    let mut mark = None;
    if let Some(p) = &s.price {
        let place = s.staircase.partition_point(|step| step.breakeven > p.expected);
        rows.insert(place, Row::Price(p.expected));
        mark = Some(place);
    }
    let room = usize::from(area.height) - 1;
    let first = first_shown(rows.len(), room, mark);
    let last = (first + room).min(rows.len());
    let mut lines = vec![head(area.width, quiet, first, rows.len() - last)];
    for row in &rows[first..last] {
        lines.push(match row {
            Row::Step(step) => line(step, area.width, theme),
            Row::Price(p) => mark_line(*p, area.width, theme),
        });
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The first row shown, so that the mark is in the middle where possible.
pub fn first_shown(rows: usize, room: usize, mark: Option<usize>) -> usize {
    let most = rows.saturating_sub(room);
    mark.unwrap_or(0).saturating_sub(room / 2).min(most)
}

fn head(width: u16, style: ratatui::style::Style, above: usize, below: usize) -> Line<'static> {
    let mut text = if width >= WIDE {
        format!("{:>9}  {:<10} {:<13} {}", "worth", "machine", "step", "running")
    } else {
        format!("{:>9} {:<7} {}", "worth", "machine", "running")
    };
    let more = match (above, below) {
        (0, 0) => String::new(),
        (a, 0) => format!("{a} more above"),
        (0, b) => format!("{b} more below"),
        (a, b) => format!("{a} above, {b} below"),
    };
    let gap = usize::from(width).saturating_sub(text.chars().count() + more.chars().count());
    text.push_str(&" ".repeat(gap));
    text.push_str(&more);
    Line::styled(text, style)
}

fn mark_line(price: f64, width: u16, theme: Theme) -> Line<'static> {
    let text = format!("{:>9} ◄ expected price, before adders ", number(price, 2));
    let rest = usize::from(width).saturating_sub(text.chars().count());
    let style = theme.style(Tone::Strong);
    Line::from(vec![Span::styled(text, style), Span::styled("─".repeat(rest), style)])
}

fn line(s: &StairView, width: u16, theme: Theme) -> Line<'static> {
    let wide = width >= WIDE;
    let fixed = if wide { FIXED_WIDE } else { FIXED_NARROW };
    let bar = usize::from(width.saturating_sub(fixed));
    let full = match s.machines {
        0 => 0,
        n => (bar * s.running.min(n) as usize).div_ceil(n as usize),
    };
    let running = format!("{}/{}", count(s.running.into()), count(s.machines.into()));
    let cohort = clean(&s.cohort);
    let before = if wide {
        let step = kilowatts(s.from_w, s.to_w);
        format!("{:>9}  {:<10} {step:<13} ", number(s.breakeven, 2), fit(&cohort, 10))
    } else {
        format!("{:>9} {:<7} ", number(s.breakeven, 2), fit(&cohort, 7))
    };
    let after = if wide {
        format!(" {running:>11} {:>5} MW", number(s.power_w as f64 / 1e6, 2))
    } else {
        format!(" {running:>11}")
    };
    let tone = if s.running > 0 { Tone::Plain } else { Tone::Quiet };
    Line::from(vec![
        Span::styled(before, theme.style(tone)),
        Span::styled("█".repeat(full), theme.style(tone)),
        Span::styled("░".repeat(bar - full), theme.style(Tone::Quiet)),
        Span::styled(after, theme.style(tone)),
    ])
}

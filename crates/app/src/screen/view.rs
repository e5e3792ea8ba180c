//! What the screen shows and what keys do to it, without a terminal: it can be drawn anywhere.

use super::facts::{self, Fact, Group};
use super::history::History;
use super::words::{Theme, Tone, fit, number, span, utc};
use super::{chart, stairs};
use crate::status::Status;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use std::sync::Arc;
use std::time::Duration;

/// Smallest terminal that is drawn in panels; below it the facts are listed.
const LEAST: (u16, u16) = (72, 20);
/// From this size on every fact has a place of its own.
const LARGE: (u16, u16) = (110, 36);
/// Without a new status for so long the picture says that it is old.
const QUIET_MOST: Duration = Duration::from_secs(5);
/// Width of the labels of what comes next.
const NEXT_LABEL: usize = 12;
/// Rows a panel scrolls at once.
const PAGE: u16 = 10;

/// What lies over the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// The ladder of the decision in force.
    Explain,
    /// What was logged meanwhile.
    Log,
    /// The report of the day before.
    Report,
    Help,
}

/// What a key asks of the one who runs the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Nothing,
    Redraw,
    /// Draw every cell anew: something else wrote on the terminal.
    Repaint,
    Quit,
}

/// The picture's own state.
#[derive(Debug)]
pub struct View {
    pub theme: Theme,
    pub panel: Option<Panel>,
    /// The end was asked for and is on its way.
    pub stopping: bool,
    history: History,
    scroll: u16,
    frozen: Option<Arc<Status>>,
}

/// What one frame is made of, beside the view itself.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    pub status: &'a Arc<Status>,
    /// Wall time since the last status came.
    pub quiet: Duration,
    pub log: &'a [String],
    /// The report of the day before, if there was one.
    pub report: Option<&'a str>,
}

impl View {
    /// A view that has seen nothing.
    pub fn new(theme: Theme) -> Self {
        let history = History::default();
        Self { theme, panel: None, stopping: false, history, scroll: 0, frozen: None }
    }

    /// Takes a status into the history.
    pub fn see(&mut self, status: &Status) {
        self.history.see(status);
    }

    /// Does what a key says.
    pub fn key(&mut self, key: KeyEvent, status: &Arc<Status>) -> Act {
        if key.kind == KeyEventKind::Release {
            return Act::Nothing;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return self.quit(),
            KeyCode::Char('l') if control => return Act::Repaint,
            KeyCode::Char(_) if control => return Act::Nothing,
            KeyCode::Char('q') => return self.quit(),
            KeyCode::Esc if self.panel.is_none() => return self.quit(),
            KeyCode::Esc => self.panel = None,
            KeyCode::Char('e') => self.toggle(Panel::Explain),
            KeyCode::Char('l') => self.toggle(Panel::Log),
            KeyCode::Char('r') => self.toggle(Panel::Report),
            KeyCode::Char('?' | 'h') => self.toggle(Panel::Help),
            KeyCode::Char(' ') => {
                self.frozen = if self.frozen.is_some() { None } else { Some(Arc::clone(status)) };
            }
            KeyCode::Down | KeyCode::Char('j') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_add(PAGE),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(PAGE),
            KeyCode::Home => self.scroll = 0,
            _ => return Act::Nothing,
        }
        Act::Redraw
    }

    fn quit(&mut self) -> Act {
        self.stopping = true;
        Act::Quit
    }

    fn toggle(&mut self, panel: Panel) {
        self.panel = if self.panel == Some(panel) { None } else { Some(panel) };
        self.scroll = 0;
    }

    /// Draws one frame.
    pub fn draw(&mut self, frame: &mut Frame<'_>, now: Now<'_>) {
        let shown = self.frozen.clone().unwrap_or_else(|| Arc::clone(now.status));
        let s = &*shown;
        let area = frame.area();
        if area.width < LEAST.0 || area.height < LEAST.1 {
            let text = super::table::table(s);
            frame.render_widget(Paragraph::new(text), area);
            return;
        }
        let banners = self.banners(s, now.quiet);
        let rows = [Constraint::Length(2), Constraint::Length(banners.len() as u16)];
        let rest = [Constraint::Min(0), Constraint::Length(1)];
        let [head, notes, body, keys] =
            Layout::vertical([rows[0], rows[1], rest[0], rest[1]]).areas(area);
        self.head(frame, head, s);
        frame.render_widget(Paragraph::new(banners), notes);
        match self.panel {
            Some(panel) => self.panel(frame, body, s, panel, now),
            None => self.body(frame, body, s, area.width >= LARGE.0 && area.height >= LARGE.1),
        }
        self.keys(frame, keys, now);
    }

    fn line(&self, tone: Tone, text: String) -> Line<'static> {
        Line::styled(text, self.theme.style(tone))
    }

    /// Two rows: who and when, how far and how fast.
    fn head(&self, frame: &mut Frame<'_>, area: Rect, s: &Status) {
        let width = usize::from(area.width);
        let (time, who) = match s.seq {
            0 => (String::new(), String::new()),
            _ => (utc(&s.at), facts::identity(s)),
        };
        let room = width.saturating_sub(time.chars().count() + 13);
        let who = fit(&who, room);
        let strong = self.theme.style(Tone::Strong);
        let first = Line::from(vec![
            Span::styled(" Headgate  ", strong),
            Span::raw(format!("{who:<room$} ")),
            Span::styled(time, strong),
        ]);
        let decimals = if s.clock.speed < 9.95 { 1 } else { 0 };
        let speed = format!("{}x", number(s.clock.speed, decimals));
        let proving = if s.clock.proving { "◆ proving" } else { "" };
        let right = match s.seq {
            0 => String::new(),
            _ => format!("speed {speed:>8}  {proving:<9} "),
        };
        let bar = width.saturating_sub(right.chars().count() + 11);
        let mut spans = vec![Span::raw(" ")];
        if let Some(p) = s.clock.progress {
            let full = (p.clamp(0.0, 1.0) * bar as f64) as usize;
            spans.push(Span::raw("█".repeat(full)));
            let quiet = self.theme.style(Tone::Quiet);
            spans.push(Span::styled("░".repeat(bar - full), quiet));
            spans.push(Span::raw(format!(" {:>6} % ", number(p * 100.0, 1))));
        } else {
            let text = if s.seq == 0 { "" } else { "no end set" };
            spans
                .push(Span::styled(format!("{text:<0$}", bar + 10), self.theme.style(Tone::Quiet)));
        }
        spans.push(Span::raw(right));
        frame.render_widget(Paragraph::new(vec![first, Line::from(spans)]), area);
    }

    fn banners(&self, s: &Status, quiet: Duration) -> Vec<Line<'static>> {
        let mut lines: Vec<Line<'static>> = facts::banners(s)
            .into_iter()
            .map(|(t, text)| self.line(t, format!(" {text} ")))
            .collect();
        if quiet >= QUIET_MOST && s.seq > 0 {
            let text =
                format!(" STALE: no news from the engine for {} ", span(quiet.as_secs_f64()));
            lines.push(self.line(Tone::Warn, text));
        }
        if self.frozen.is_some() {
            lines.push(self.line(Tone::Strong, " FROZEN picture; space goes on ".into()));
        }
        if self.stopping {
            lines.push(self.line(Tone::Strong, " stopping: finishing what is under way ".into()));
        }
        lines
    }

    fn body(&self, frame: &mut Frame<'_>, area: Rect, s: &Status, large: bool) {
        let middle = if large { 18 } else { 8 };
        let bottom = 5;
        let rows = Layout::vertical([
            Constraint::Min(7),
            Constraint::Length(middle),
            Constraint::Length(bottom),
        ]);
        let [charts, facts_area, below] = rows.areas(area);
        self.charts(frame, charts, s);
        let split = if large { [56, 44] } else { [52, 48] };
        let [left, right] = columns(facts_area, split);
        let ladder = self.titled(frame, left, "break-even staircase, ", &facts::per_mwh(s));
        stairs::draw(frame, ladder, s, self.theme);
        if large {
            self.groups(frame, right, s);
        } else {
            self.condensed(frame, right, s);
        }
        let [left, right] = columns(below, split);
        self.next(frame, left, s);
        self.alarms(frame, right, s);
    }

    /// Draws a rule with a title and returns what is below it.
    fn titled(&self, frame: &mut Frame<'_>, area: Rect, title: &str, unit: &str) -> Rect {
        let text = format!("─ {title}{unit} ");
        let rest = usize::from(area.width).saturating_sub(text.chars().count());
        let rule = self.line(Tone::Quiet, format!("{text}{}", "─".repeat(rest)));
        frame.render_widget(Paragraph::new(rule), Rect { height: 1.min(area.height), ..area });
        let down = 1.min(area.height);
        Rect { y: area.y + down, height: area.height - down, ..area }
    }

    fn charts(&self, frame: &mut Frame<'_>, area: Rect, s: &Status) {
        let [left, right] = columns(area, [50, 50]);
        let unit = facts::per_mwh(s);
        let legend =
            if left.width >= 50 { "── expected   • break-even" } else { "• break-even" };
        let rows = Layout::vertical([Constraint::Length(2), Constraint::Min(0)]);
        let price = self.titled(frame, left, "price, ", &format!("{unit}   {legend}"));
        let [values, plot] = rows.areas(price);
        let f = facts::price(s).facts;
        let note = [f[1].note.as_str(), f[0].note.as_str()];
        self.pair(frame, values, &f[0], &f[1], &note);
        chart::price(frame, plot, s, &self.history, self.theme);
        let power = self.titled(frame, right, "power, ", "MW   ── measured   • target");
        let [values, plot] = rows.areas(power);
        let f = facts::power(s).facts;
        self.pair(frame, values, &f[0], &f[1], &[f[1].note.as_str()]);
        chart::power(frame, plot, s, &self.history, self.theme);
    }

    /// Two facts in one row and what belongs to them below. Units stand in the title.
    fn pair(&self, frame: &mut Frame<'_>, area: Rect, a: &Fact, b: &Fact, notes: &[&str]) {
        let quiet = self.theme.style(Tone::Quiet);
        let values = [a, b].into_iter().flat_map(|f| {
            let label = Span::styled(format!(" {:<8}", f.label), quiet);
            [label, Span::styled(format!("{:>10} ", f.value), self.theme.style(f.tone))]
        });
        let said: Vec<&str> = notes.iter().copied().filter(|n| !n.is_empty()).collect();
        let room = usize::from(area.width).saturating_sub(1);
        let note = Span::styled(format!(" {}", fit(&said.join(", "), room)), self.note_style(a));
        let lines = vec![Line::from(values.collect::<Vec<_>>()), Line::from(note)];
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn note_style(&self, f: &Fact) -> ratatui::style::Style {
        self.theme.style(if f.tone == Tone::Warn { Tone::Warn } else { Tone::Quiet })
    }

    /// Money, machines, commands and feeds, each with its own rule.
    fn groups(&self, frame: &mut Frame<'_>, area: Rect, s: &Status) {
        let feeds = facts::feeds(s);
        let groups = [facts::money(s), facts::machines(s), facts::commands(s)];
        let mut left = area;
        for g in &groups {
            let unit = g.unit();
            let comma = if unit.is_empty() { "" } else { ", " };
            left = self.titled(frame, left, g.title, &format!("{comma}{unit}"));
            let rows = g.facts.len().div_ceil(2) as u16;
            self.grid(frame, Rect { height: rows.min(left.height), ..left }, g);
            let used = rows.min(left.height);
            left = Rect { y: left.y + used, height: left.height - used, ..left };
        }
        let left = self.titled(frame, left, feeds.title, "");
        let lines: Vec<Line<'static>> = feeds.facts.iter().map(|f| self.feed(f)).collect();
        frame.render_widget(Paragraph::new(lines), left);
    }

    fn feed(&self, f: &Fact) -> Line<'static> {
        let text = format!("{:>11} {:<6} {}", f.value, f.unit, f.note);
        Line::from(vec![
            Span::styled(format!(" {:<10}", fit(&f.label, 10)), self.theme.style(Tone::Quiet)),
            Span::styled(text, self.theme.style(f.tone)),
        ])
    }

    /// Facts of a group, two a row.
    fn grid(&self, frame: &mut Frame<'_>, area: Rect, group: &Group) {
        let cell = |f: &Fact| {
            // Only a unit that is not the title's stands beside the label.
            let label = match f.unit.is_empty() || f.unit == group.unit() {
                true => f.label.clone(),
                false => format!("{}, {}", f.label, f.unit),
            };
            [
                Span::styled(format!(" {label:<12}"), self.theme.style(Tone::Quiet)),
                Span::styled(format!("{:>12} ", f.value), self.theme.style(f.tone)),
            ]
        };
        let lines: Vec<Line<'static>> = group
            .facts
            .chunks(2)
            .map(|pair| Line::from(pair.iter().flat_map(cell).collect::<Vec<_>>()))
            .collect();
        frame.render_widget(Paragraph::new(lines), area);
    }

    /// The same for a small terminal, without rules.
    fn condensed(&self, frame: &mut Frame<'_>, area: Rect, s: &Status) {
        let money = facts::money(s).facts;
        let machines = facts::machines(s).facts;
        let commands = facts::commands(s).facts;
        let area = self.titled(frame, area, "money, machines, commands, feeds", "");
        let mut lines = vec![
            self.short(&[&money[0]]),
            self.short(&[&money[1]]),
            self.short(&[&machines[0], &machines[1]]),
            self.short(&[&machines[2], &machines[3]]),
            self.short(&[&commands[0], &commands[3]]),
            self.short(&[&commands[1], &commands[5]]),
        ];
        lines.push(self.feeds_short(s));
        frame.render_widget(Paragraph::new(lines), area);
    }

    /// Feeds in one row, the stale ones first: what does not fit is healthy.
    fn feeds_short(&self, s: &Status) -> Line<'static> {
        let mut feeds = facts::feeds(s).facts;
        feeds.sort_by_key(|f| f.tone != Tone::Warn);
        let cell = |f: &Fact| {
            let stale = if f.tone == Tone::Warn { " STALE" } else { "" };
            let label = format!(" {} ", fit(&f.label, 8));
            [
                Span::styled(label, self.theme.style(Tone::Quiet)),
                Span::styled(format!("{}{stale} ", f.value), self.theme.style(f.tone)),
            ]
        };
        Line::from(feeds.iter().flat_map(cell).collect::<Vec<_>>())
    }

    fn short(&self, facts: &[&Fact]) -> Line<'static> {
        let wide = if facts.len() == 1 { 16 } else { 7 };
        let cell = |f: &&Fact| {
            let unit = if f.unit.is_empty() { String::new() } else { format!(" {}", f.unit) };
            [
                Span::styled(format!(" {:<10}", f.label), self.theme.style(Tone::Quiet)),
                Span::styled(format!("{:>wide$}", f.value), self.theme.style(f.tone)),
                Span::styled(unit, self.theme.style(Tone::Quiet)),
            ]
        };
        Line::from(facts.iter().flat_map(cell).collect::<Vec<_>>())
    }

    fn next(&self, frame: &mut Frame<'_>, area: Rect, s: &Status) {
        let area = self.titled(frame, area, "what next and why, prices ", &facts::per_mwh(s));
        let quiet = self.theme.style(Tone::Quiet);
        let room = usize::from(area.width).saturating_sub(NEXT_LABEL + 1);
        let row = |label: &str, text: String| {
            let label = Span::styled(format!(" {label:<NEXT_LABEL$}"), quiet);
            Line::from(vec![label, Span::raw(text)])
        };
        let mut lines: Vec<Line<'static>> = Vec::new();
        // Two rows for the sentence; what is beyond them is in the ladder.
        let why = wrapped(&facts::why(s), room, 2);
        lines.extend(
            why.into_iter().enumerate().map(|(i, w)| row(if i == 0 { "why" } else { "" }, w)),
        );
        if s.wish.is_some() {
            let at = |v: Option<f64>| v.map_or_else(|| "none".into(), |v| number(v, 2));
            let (down, up) = (at(s.down_above), at(s.up_below));
            lines.push(row("less above", format!("{down}, more below {up}")));
        }
        for f in facts::next(s).facts.iter().filter(|f| f.unit.is_empty()) {
            lines.push(row(&f.label, format!("{}, {}", f.value, f.note)));
        }
        frame.render_widget(Paragraph::new(lines), area);
    }

    /// Alarms by exception: one quiet line when there are none.
    fn alarms(&self, frame: &mut Frame<'_>, area: Rect, s: &Status) {
        let area = self.titled(frame, area, "alarms", "");
        let alarms = facts::alarms(s);
        if alarms.is_empty() {
            let text = if s.seq == 0 { "" } else { " none" };
            frame.render_widget(Paragraph::new(self.line(Tone::Quiet, text.into())), area);
            return;
        }
        let room = usize::from(area.height);
        let shown = if alarms.len() > room { room.saturating_sub(1) } else { alarms.len() };
        let width = usize::from(area.width);
        let mut lines: Vec<Line<'static>> =
            alarms[..shown].iter().map(|a| self.line(Tone::Alarm, fit(a, width))).collect();
        if shown < alarms.len() {
            let text = format!("! and {} more; `headgate status` lists all", alarms.len() - shown);
            lines.push(self.line(Tone::Alarm, text));
        }
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn panel(&mut self, frame: &mut Frame<'_>, area: Rect, s: &Status, panel: Panel, now: Now<'_>) {
        let (title, text) = match panel {
            Panel::Explain => {
                let none = || String::from("nothing has been decided yet");
                ("why power is what it is", s.ladder.clone().unwrap_or_else(none))
            }
            Panel::Log => ("log of this run", now.log.join("\n")),
            Panel::Report => {
                ("the day before", now.report.unwrap_or("no day has ended yet").to_owned())
            }
            Panel::Help => ("help", HELP.to_owned()),
        };
        let area = self.titled(frame, area, title, "");
        let lines = text.lines().count().min(usize::from(u16::MAX)) as u16;
        self.scroll = self.scroll.min(lines.saturating_sub(1));
        // Columns of a table must not be broken; sentences may be.
        let text = Paragraph::new(text).scroll((self.scroll, 0));
        let text = if panel == Panel::Report { text } else { text.wrap(Wrap { trim: false }) };
        frame.render_widget(text, area);
    }

    fn keys(&self, frame: &mut Frame<'_>, area: Rect, now: Now<'_>) {
        let mut text = String::from(" q quit   e explain   space freeze   ? help");
        if !now.log.is_empty() {
            text.push_str(&format!("   l log ({})", now.log.len()));
        }
        if now.report.is_some() {
            text.push_str("   r the day before");
        }
        frame.render_widget(Paragraph::new(self.line(Tone::Quiet, text)), area);
    }
}

/// Text broken at spaces into at most this many rows, saying where it was cut.
fn wrapped(text: &str, width: usize, rows: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut free = rows.saturating_sub(1);
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a row to add to");
        let long = last.chars().count() + 1 + word.chars().count() > width;
        if last.is_empty() {
            last.push_str(word);
        } else if long && free > 0 {
            free -= 1;
            lines.push(word.into());
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.iter().map(|l| fit(l, width)).collect()
}

/// Two columns with a gap, by shares in percent.
fn columns(area: Rect, [left, right]: [u16; 2]) -> [Rect; 2] {
    Layout::horizontal([Constraint::Percentage(left), Constraint::Percentage(right)])
        .spacing(1)
        .areas(area)
}

const HELP: &str = "
 q, Ctrl-C   end the site's run and leave
 Esc         close a panel, else the same as q
 e           the ladder: every limit in order of right, and why power is what it is
 space       freeze the picture; the site runs on
 l           what was logged meanwhile
 r           the report of the day before
 Up, Down    scroll a panel; PageUp, PageDown, Home too
 Ctrl-L      draw everything anew
 ?           this help

 less above  market price above which power would go down; more below: under which up
 expected    price at which the running interval is expected to settle
 latest      the newest price that went into it
 break-even  price at which a machine's work is worth its energy
 worth       the break-even of a step: above the price's mark it pays to run
 target      set point at the meter
 measured    import as last measured; only this is proven
 planned     import once every machine told has obeyed
 proving     the clock is held back while a request is on the wire or a fall is unproven
 confirmed   machines whose watts show that they followed; drifted: those that did not
 failed      machines that do not answer or did not follow, counted as drawing

 The price chart's scale is linear up to 10 and has equal room for each decade beyond.
";

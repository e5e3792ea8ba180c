//! Tests of the picture and of the plain table: drawn into memory, compared with goldens.

use super::history::{BUCKETS_MAX, History, Line};
use super::terminal::without_escapes;
use super::view::{Act, Now, Panel, View};
use super::words::{self, Theme};
use super::{chart, stairs, table};
use crate::status::*;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use std::sync::Arc;
use std::time::Duration;

const MIDNIGHT_NS: i64 = 1_787_029_200_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
const DAY_MIN: i64 = 24 * 60;
const LARGE: (u16, u16) = (120, 40);
const SMALL: (u16, u16) = (80, 24);

/// A site before its first step.
fn empty() -> Status {
    Status {
        site: String::new(),
        point: String::new(),
        market: String::new(),
        currency: String::new(),
        at: rfc3339(0),
        at_ns: 0,
        mode: "shadow".into(),
        policy: String::new(),
        ready: false,
        unknown_machines: 0,
        seq: 0,
        generation: 0,
        price: None,
        staircase: Vec::new(),
        mean_breakeven: None,
        import_limit_w: 0,
        target_w: None,
        planned_w: None,
        measured_w: None,
        machines: MachineCounts::default(),
        commands: CommandCounts::default(),
        money: MoneyView::default(),
        alarms: Vec::new(),
        feeds: Vec::new(),
        meters: Vec::new(),
        switches: Vec::new(),
        hold: None,
        stop: None,
        curtailment: None,
        down_above: None,
        up_below: None,
        wish: None,
        ladder: None,
        wake_at: rfc3339(0),
        clock: ClockView { speed: 1.0, progress: None, proving: false },
    }
}

fn rfc3339(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into()).unwrap().to_string()
}

fn stair(cohort: &str, from_w: i64, to_w: i64, breakeven: f64, running: u32) -> StairView {
    let power_w = (to_w - from_w) * 700;
    StairView { cohort: cohort.into(), from_w, to_w, power_w, breakeven, running, machines: 700 }
}

fn staircase(price: f64) -> Vec<StairView> {
    let steps = [
        ("s21", 30, 982, 118.16),
        ("s21", 982, 1771, 112.84),
        ("s21", 1771, 2746, 91.02),
        ("s21", 2746, 3500, 78.51),
        ("s19xp", 30, 1555, 91.84),
        ("s19xp", 1555, 2012, 76.64),
        ("s19xp", 2469, 3010, 64.74),
        ("s19kpro", 30, 784, 91.05),
        ("s19kpro", 784, 1414, 86.17),
        ("s19kpro", 1414, 2192, 69.56),
        ("s19kpro", 2192, 2794, 60.22),
        ("s19jpro", 30, 861, 70.59),
        ("s19jpro", 861, 1553, 66.81),
        ("s19jpro", 1553, 2407, 54.33),
        ("s19jpro", 2407, 3068, 46.62),
    ];
    let running = |b: f64| if b > price { 693 } else { 0 };
    let mut all: Vec<StairView> =
        steps.iter().map(|(c, f, t, b)| stair(c, *f, *t, *b, running(*b))).collect();
    all.sort_by(|a, b| b.breakeven.total_cmp(&a.breakeven));
    all
}

fn feed(name: &str, role: &str, age_s: Option<f64>, stale: bool) -> FeedView {
    FeedView { name: name.into(), role: role.into(), age_s, stale, ..FeedView::default() }
}

const FAILED: MachineCounts =
    MachineCounts { all: 0, awake: 0, asleep: 0, lost: 0, failed: 90, excluded: 0 };
const COMMANDS: CommandCounts = CommandCounts {
    commands: 12_804,
    acked: 12_690,
    refused: 4,
    timed_out: 110,
    unconfirmed: 0,
    confirmed: 12_600,
    drifted: 31,
    unavailable: 110,
    superseded: 63,
    open: 0,
};
const MONEY: MoneyView = MoneyView {
    profit: 9_812.4,
    compute_revenue: 15_002.16,
    energy_cost: 5_189.76,
    sell_back: 0.0,
    energy_mwh: 171.284,
    rate_per_h: Some(412.09),
};

/// The demo's day at a minute, at this price and these powers.
fn at(minute: i64, price: f64, target_w: i64, measured_w: i64) -> Status {
    let at_ns = MIDNIGHT_NS + minute * MINUTE_NS;
    Status {
        site: "Demo 10 MW".into(),
        point: "DEMO".into(),
        market: "generic".into(),
        currency: "USD".into(),
        at: rfc3339(at_ns),
        at_ns,
        mode: "auto".into(),
        policy: "breakeven".into(),
        ready: true,
        seq: 1 + minute as u64,
        generation: 118,
        price: Some(PriceView {
            expected: price,
            latest: price,
            basis: "mean of the interval's dispatch runs so far".into(),
            age_s: 40.0,
        }),
        staircase: staircase(price),
        mean_breakeven: Some(74.31),
        import_limit_w: 10_000_000,
        target_w: Some(target_w),
        planned_w: Some(target_w),
        measured_w: Some(measured_w),
        machines: MachineCounts { all: 3096, awake: 2950, asleep: 56, lost: 90, ..FAILED },
        commands: COMMANDS,
        money: MONEY,
        feeds: vec![
            feed("lmp", "dispatch", Some(40.0), false),
            feed("spp", "settlement", Some(760.0), false),
            feed("dam", "day_ahead", Some(104_400.0), false),
        ],
        down_above: Some(42.52),
        wish: Some(
            "15 of 15 steps of the staircase are worth more than 26.30/MWh with adders".into(),
        ),
        ladder: Some(
            "2026-08-18T18:00:00Z  target 9.880 MW  (Auto)\n  site_import    -> [0 W, \
                      10.000 MW]  the connection carries 10.000 MW\n"
                .into(),
        ),
        wake_at: rfc3339(at_ns + 20_000_000_000),
        clock: ClockView {
            speed: 1834.2,
            progress: Some(minute as f64 / DAY_MIN as f64),
            proving: false,
        },
        ..empty()
    }
}

/// The day until the evening's jump, every five minutes.
fn day_until_jump() -> Vec<Status> {
    let price = |m: i64| match m {
        0..=329 => -12.0 - 23.0 * (m as f64 / 165.0).min(1.0),
        330..=1129 => 12.0 + 20.0 * (m as f64 / 600.0).sin().abs(),
        _ => 9000.0,
    };
    let mut day: Vec<Status> =
        (0..1130).step_by(5).map(|m| at(m, price(m), 9_880_000, 9_874_000)).collect();
    let mut jump = at(1131, 4_512.33, 412_000, 7_310_000);
    jump.price.as_mut().unwrap().latest = 9000.0;
    jump.clock.proving = true;
    jump.down_above = None;
    jump.up_below = Some(114.06);
    jump.commands.open = 1804;
    jump.money.rate_per_h = Some(-64_120.77);
    jump.wish =
        Some("0 of 15 steps of the staircase are worth more than 9004.10/MWh with adders".into());
    day.push(jump);
    day
}

fn alarmed() -> Status {
    let mut s = at(600, 31.0, 9_880_000, 9_874_000);
    s.measured_w = None;
    s.money.rate_per_h = None;
    s.hold = Some("desk: breaker work\u{1b}[2J until noon".into());
    s.feeds[0].stale = true;
    s.feeds[0].age_s = Some(1_260.0);
    s.feeds[1] = feed("spp", "settlement", None, true);
    s.price.as_mut().unwrap().age_s = 1_260.0;
    let alarm = |alarm: &str, text: &str, ago_min: i64| AlarmView {
        alarm: alarm.into(),
        text: text.into(),
        since: rfc3339(s.at_ns - ago_min * MINUTE_NS),
    };
    s.alarms = vec![
        alarm("price_lost", "no healthy feed of a real-time price", 10),
        alarm("feed_stale", "feed `lmp` is older than 11 min", 10),
        alarm("feed_stale", "feed `spp` is older than 40 min", 3),
        alarm("meter_lost", "meter `poi` is older than 10 s", 1),
        alarm("not_obeying", "31 machines do not answer or did not follow", 0),
    ];
    s
}

struct Drawn {
    text: String,
    colours: bool,
}

/// Draws the last of these, having seen all of them.
fn draw(view: &mut View, seen: &[Status], (width, height): (u16, u16)) -> Drawn {
    seen.iter().for_each(|s| view.see(s));
    let status = Arc::new(seen.last().unwrap().clone());
    let now = Now { status: &status, quiet: Duration::ZERO, log: &[], report: None };
    let mut screen = Terminal::new(TestBackend::new(width, height)).unwrap();
    screen.draw(|frame| view.draw(frame, now)).unwrap();
    let buffer = screen.backend().buffer();
    let colours = buffer.content.iter().any(|c| c.fg != Color::Reset || c.bg != Color::Reset);
    let rows = buffer.content.chunks(usize::from(width));
    let line = |row: &[ratatui::buffer::Cell]| {
        let text: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    Drawn { text: rows.map(line).collect::<Vec<_>>().join("\n"), colours }
}

fn check(name: &str, seen: &[Status], size: (u16, u16)) {
    let drawn = draw(&mut View::new(Theme::new(true)), seen, size);
    golden(&format!("{name}_{}x{}", size.0, size.1), &drawn.text);
}

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn before_the_first_step_nothing_is_claimed() {
    check("empty", &[empty()], LARGE);
    check("empty", &[empty()], SMALL);
}

#[test]
fn machines_not_yet_heard_of_are_not_called_failed() {
    let mut s = at(1, -12.0, 1, 1);
    (s.ready, s.unknown_machines, s.wish, s.price) = (false, 3096, None, None);
    (s.machines.awake, s.machines.asleep, s.machines.failed) = (0, 0, 3096);
    (s.target_w, s.measured_w, s.down_above) = (None, None, None);
    let text = table(&s);
    let rows = text.lines().filter(|l| l.contains("heard") || l.contains("failed"));
    insta::assert_snapshot!(rows.collect::<Vec<_>>().join("\n"), @r"
    note       reading machines back: 0 of 3,096 heard; no decision yet
               failed            unknown
               not heard of        3,096
    ");
}

#[test]
fn an_evening_jump_is_seen_with_its_fall() {
    check("jump", &day_until_jump(), LARGE);
    check("jump", &day_until_jump(), SMALL);
}

#[test]
fn alarms_stale_feeds_and_a_hold_stand_out() {
    check("alarms", &[alarmed()], LARGE);
    check("alarms", &[alarmed()], SMALL);
}

#[test]
fn the_table_says_the_same_without_a_terminal() {
    golden("table_empty", &table(&empty()));
    golden("table_jump", &table(day_until_jump().last().unwrap()));
    golden("table_alarms", &table(&alarmed()));
}

#[test]
fn without_colour_nothing_is_coloured_and_nothing_is_lost() {
    for seen in [vec![empty()], day_until_jump(), vec![alarmed()]] {
        let with = draw(&mut View::new(Theme::new(true)), &seen, LARGE);
        let without = draw(&mut View::new(Theme::new(false)), &seen, LARGE);
        assert_eq!(with.text, without.text);
        assert!(with.colours && !without.colours);
    }
}

#[test]
fn an_old_picture_says_so() {
    let status = Arc::new(at(600, 31.0, 9_880_000, 9_874_000));
    let mut view = View::new(Theme::new(true));
    let quiet = Duration::from_secs(42);
    let now = Now { status: &status, quiet, log: &[], report: None };
    let mut screen = Terminal::new(TestBackend::new(120, 40)).unwrap();
    screen.draw(|frame| view.draw(frame, now)).unwrap();
    let text = screen.backend().to_string();
    assert!(text.contains("STALE: no news from the engine for 42 s"), "{text}");
}

fn press(view: &mut View, code: KeyCode, modifiers: KeyModifiers) -> Act {
    view.key(KeyEvent::new(code, modifiers), &Arc::new(at(600, 31.0, 1, 1)))
}

#[test]
fn keys_open_close_and_quit() {
    let none = KeyModifiers::NONE;
    let mut view = View::new(Theme::new(true));
    assert_eq!(press(&mut view, KeyCode::Char('x'), none), Act::Nothing);
    assert_eq!(press(&mut view, KeyCode::Char('e'), none), Act::Redraw);
    let seen = [at(600, 31.0, 9_880_000, 9_874_000)];
    let drawn = draw(&mut view, &seen, SMALL);
    assert!(drawn.text.contains("the connection carries 10.000 MW"), "{}", drawn.text);
    assert_eq!(press(&mut view, KeyCode::Esc, none), Act::Redraw);
    assert_eq!(view.panel, None);
    press(&mut view, KeyCode::Char('?'), none);
    assert_eq!(view.panel, Some(Panel::Help));
    press(&mut view, KeyCode::Char('?'), none);
    assert_eq!(press(&mut view, KeyCode::Esc, none), Act::Quit);
    for (code, modifiers) in
        [(KeyCode::Char('q'), none), (KeyCode::Char('c'), KeyModifiers::CONTROL)]
    {
        let mut view = View::new(Theme::new(true));
        assert_eq!(press(&mut view, code, modifiers), Act::Quit);
        assert!(view.stopping);
    }
}

#[test]
fn a_frozen_picture_stays_while_the_site_goes_on() {
    let mut view = View::new(Theme::new(true));
    press(&mut view, KeyCode::Char(' '), KeyModifiers::NONE);
    let later = [at(900, 77.7, 1_000_000, 1_000_000)];
    let drawn = draw(&mut view, &later, LARGE);
    assert!(drawn.text.contains("FROZEN") && !drawn.text.contains("77.70"), "{}", drawn.text);
    press(&mut view, KeyCode::Char(' '), KeyModifiers::NONE);
    assert!(draw(&mut view, &later, LARGE).text.contains("77.70"));
}

#[test]
fn a_terminal_of_any_size_is_drawn() {
    for panel in [None, Some(Panel::Explain), Some(Panel::Help)] {
        for width in [1, 2, 9, 19, 40, 72, 73, 80, 109, 110, 131, 200] {
            for height in [1, 2, 3, 10, 19, 20, 21, 24, 30, 36, 45] {
                let mut view = View::new(Theme::new(true));
                view.panel = panel;
                draw(&mut view, &[alarmed()], (width, height));
                draw(&mut view, &[empty()], (width, height));
            }
        }
    }
}

#[test]
fn numbers_read_well() {
    let said = [
        words::number(-0.004, 2),
        words::number(1_234_567.891, 2),
        words::number(-999.5, 0),
        words::number(f64::NAN, 2),
        words::mw(-30),
        words::span(35.4),
        words::span(200.0),
        words::span(700.0),
        words::span(31.0 * 3600.0),
        words::span(200.0 * 3600.0),
        words::utc("2026-08-18T05:35:00.25Z"),
        words::time_of_day(MIDNIGHT_NS, false),
        words::time_of_day(MIDNIGHT_NS, true),
        words::fit("a long name", 6),
        words::clean("bell\u{7} and\u{1b}[2J"),
        without_escapes("\u{1b}[2m12:00\u{1b}[0m \u{1b}[33mWARN\u{1b}[0m late"),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    0.00
    1,234,567.89
    -1,000
    unknown
    0.000
    35 s
    3.3 min
    12 min
    31.0 h
    8.3 d
    2026-08-18 05:35:00 UTC
    05:00
    05:00:00
    a lon…
    bell  and [2J
    12:00 WARN late
    ");
}

#[test]
fn the_price_scale_has_equal_room_for_each_decade() {
    let said = [-100.0, -10.0, -1.0, 0.0, 5.0, 10.0, 100.0, 1000.0, 9000.0];
    let said = said.map(|v| format!("{v}:{:.2}", chart::decades(v)));
    insta::assert_snapshot!(
        said.join(" "),
        @"-100:-2.00 -10:-1.00 -1:-0.10 0:0.00 5:0.50 10:1.00 100:2.00 1000:3.00 9000:3.95"
    );
}

#[test]
fn a_run_that_begins_anew_forgets_the_last() {
    let mut history = History::default();
    history.see(&at(100, 20.0, 1, 1));
    history.see(&at(200, 30.0, 1, 1));
    history.see(&at(5, 40.0, 1, 1));
    assert_eq!(history.range(Line::Price), Some((40.0, 40.0)));
}

#[test]
fn what_was_not_measured_parts_the_line() {
    let mut history = History::default();
    history.see(&at(1, 20.0, 1, 1_000_000));
    history.see(&Status { measured_w: None, ..at(2, 20.0, 1, 1) });
    history.see(&at(3, 20.0, 1, 3_000_000));
    assert_eq!(history.runs(Line::Measured, MIDNIGHT_NS).len(), 2);
    assert_eq!(history.at(Line::Measured, MIDNIGHT_NS + 2 * MINUTE_NS), None);
}

proptest! {
    #[test]
    fn a_long_run_stays_bounded_and_loses_no_spike(
        steps in proptest::collection::vec((1_i64..5_000, -250.0..9000.0_f64), 1..6_000),
    ) {
        let mut history = History::default();
        let mut s = at(0, 0.0, 1, 1);
        let (mut min, mut max) = (f64::MAX, f64::MIN);
        for (gap_s, price) in steps {
            s.at_ns += gap_s * 1_000_000_000;
            s.price.as_mut().unwrap().expected = price;
            (min, max) = (min.min(price), max.max(price));
            history.see(&s);
        }
        prop_assert_eq!(history.range(Line::Price), Some((min, max)));
        let runs = history.runs(Line::Price, MIDNIGHT_NS);
        prop_assert!(runs.len() == 1 && runs[0].len() <= BUCKETS_MAX * 4);
        prop_assert!(runs[0].windows(2).all(|w| w[0].0 <= w[1].0));
        prop_assert_eq!(history.bounds_ns().unwrap().1, s.at_ns);
    }

    #[test]
    fn the_price_stays_on_the_ladder_shown(
        rows in 1_usize..60,
        room in 1_usize..40,
        at in 0_usize..60,
    ) {
        let mark = at.min(rows - 1);
        let first = stairs::first_shown(rows, room, Some(mark));
        prop_assert!(first <= mark && mark < first + room);
    }
}

//! The pictures of a report.

use super::studies::Studies;
use crate::backtest::case::Case;
use crate::chart::plot::{Look, Map, Mark, Panel, Plot, Points, Scale, Trace, draw, map};
use crate::chart::{hours, marks};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Energy, MICRO};
use headgate_sim::backtest::{Comparison, Name, Scored, Segment, Statement};
use jiff::tz::TimeZone;

/// A span up to this is drawn interval by interval, a longer one day by day.
const FINE_MOST: Span = Span::hours(24 * 14);
/// A close-up shows so much before and after its middle.
const CLOSE_UP: Span = Span::hours(18);
/// Up to this price the scale is in proportion, by its logarithm beyond.
const PRICE_NEAR: f64 = 20.0;
/// The break-even line's colour.
const BREAKEVEN: &str = "#7a3e9d";
const PRICE: &str = "#b4542d";
const PRICE_PALE: &str = "#f0d9cc";
const POWER_PALE: &str = "#cfdde4";

/// The colour of a policy, the same in every picture.
pub fn colour(name: Name) -> &'static str {
    match name {
        Name::AlwaysOn => "#8b979f",
        Name::FixedStrike => "#c98a1b",
        Name::Breakeven => "#3f8f5b",
        Name::LookAhead => "#1f6f9f",
        Name::PerfectForesight => "#1b2024",
    }
}

/// What people call a policy.
pub fn title(name: Name) -> &'static str {
    match name {
        Name::AlwaysOn => "always on",
        Name::FixedStrike => "fixed strike",
        Name::Breakeven => "break-even",
        Name::LookAhead => "look-ahead",
        Name::PerfectForesight => "perfect foresight",
    }
}

fn usd(micro: i64) -> f64 {
    micro as f64 / MICRO as f64
}

fn mw(energy: Energy, length: Span) -> f64 {
    energy.0 as f64 / 1e6 / (length.0 as f64 / 1e9).max(1e-9)
}

/// The break-even as a market price: adders are taken off.
fn market_breakeven(case: &Case) -> f64 {
    usd((case.breakeven - case.loaded.site.import_adder).0)
}

fn breakeven_mark(case: &Case) -> Mark {
    let at = market_breakeven(case);
    Mark { at, name: format!("break-even {at:.2}"), colour: BREAKEVEN }
}

/// A value held through each interval: a step, not a slope.
fn held(of: impl Iterator<Item = (Interval, f64)>) -> Points {
    let mut out = Vec::new();
    for (interval, v) in of {
        out.push((hours(interval.start), Some(v)));
        out.push((hours(interval.end) - 1e-6, Some(v)));
    }
    out
}

/// Means, lows and highs of values by local day.
struct Days {
    spans: Vec<Interval>,
    mean: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Days {
    fn of(zone: &TimeZone, of: impl Iterator<Item = (Interval, f64)>) -> Self {
        let mut days = Self { spans: vec![], mean: vec![], low: vec![], high: vec![] };
        let (mut today, mut weight) = (None, 0.0);
        for (interval, v) in of {
            let date = local(zone, interval.start).date();
            let long = interval.length().0 as f64;
            if today != Some(date) {
                (today, weight) = (Some(date), 0.0);
                days.spans.push(interval);
                days.mean.push(v);
                days.low.push(v);
                days.high.push(v);
            }
            let last = days.spans.len() - 1;
            weight += long;
            days.mean[last] += (v - days.mean[last]) * long / weight;
            days.low[last] = days.low[last].min(v);
            days.high[last] = days.high[last].max(v);
            days.spans[last].end = interval.end;
        }
        days
    }

    fn points(&self, values: &[f64]) -> Points {
        held(self.spans.iter().copied().zip(values.iter().copied()))
    }

    fn band(&self, name: &str, colour: &'static str) -> Trace {
        let lows = self.low.iter().flat_map(|v| [*v, *v]).collect();
        let points = self.points(&self.high);
        Trace { name: name.to_owned(), colour, look: Look::Band, points, lows }
    }
}

/// A moment by the clocks of a zone.
pub fn local(zone: &TimeZone, at: Time) -> jiff::civil::DateTime {
    let stamp = jiff::Timestamp::from_nanosecond(at.0.into());
    stamp.map(|t| zone.to_datetime(t)).unwrap_or_default()
}

fn prices(case: &Case) -> impl Iterator<Item = (Interval, f64)> + '_ {
    case.tape.settled.iter().map(|r| (r.interval, usd(r.price.0)))
}

fn powers(s: &Statement) -> impl Iterator<Item = (Interval, f64)> + '_ {
    s.intervals.iter().map(|i| (i.interval, mw(i.energy, i.interval.length())))
}

fn segment_powers(all: &[Segment]) -> impl Iterator<Item = (Interval, f64)> + '_ {
    all.iter().map(|s| (s.interval, s.power.0 as f64 / 1e6))
}

fn price_panel(case: &Case, zone: &TimeZone, fine: bool, height: f64) -> Panel {
    let traces = if fine {
        vec![Trace::new("settlement price", PRICE, Look::Line, held(prices(case)))]
    } else {
        let days = Days::of(zone, prices(case));
        let mean = Trace::new("mean of the day", PRICE, Look::Line, days.points(&days.mean));
        vec![days.band("lowest to highest", PRICE_PALE), mean]
    };
    Panel {
        unit: format!("price, {}/MWh", case.market.currency),
        height,
        scale: Scale::Log(PRICE_NEAR),
        zero: true,
        traces,
        marks: vec![breakeven_mark(case)],
    }
}

fn power_panel(c: &Comparison, row: &Scored, zone: &TimeZone, fine: bool, height: f64) -> Panel {
    let name = title(row.name);
    let best = title(Name::PerfectForesight);
    let dark = colour(Name::PerfectForesight);
    let (own, hindsight, unit) = if fine {
        (held(powers(&row.statement)), held(powers(&c.best)), "power, MW")
    } else {
        let (own, best) = (Days::of(zone, powers(&row.statement)), Days::of(zone, powers(&c.best)));
        (own.points(&own.mean), best.points(&best.mean), "power, MW, mean of the day")
    };
    let mut traces = vec![Trace::new(name, POWER_PALE, Look::Area, own)];
    if row.name != Name::PerfectForesight {
        traces.push(Trace::new(best, dark, Look::Dashed, hindsight));
    }
    Panel { unit: unit.into(), height, scale: Scale::Linear, zero: true, traces, marks: vec![] }
}

/// What each policy had earned beyond always-on by each moment.
fn gained(case: &Case, c: &Comparison, height: f64) -> Panel {
    let running = |s: &Statement| -> Points {
        let mut sum = 0i64;
        let mut out = vec![(hours(case.tape.span.start), Some(0.0))];
        for i in 0..s.intervals.len() {
            sum += (s.profit_of(i) - c.always_on.profit_of(i)).0;
            out.push((hours(s.intervals[i].interval.end), Some(usd(sum))));
        }
        out
    };
    let trace = |row: &Scored| {
        let look = match row.name {
            Name::PerfectForesight => Look::Dashed,
            Name::LookAhead => Look::Bold,
            _ => Look::Line,
        };
        Trace::new(title(row.name), colour(row.name), look, running(&row.statement))
    };
    let others = c.rows.iter().filter(|r| r.name != Name::AlwaysOn);
    Panel {
        unit: format!("profit beyond always-on, {}", case.market.currency),
        height,
        scale: Scale::Linear,
        zero: true,
        traces: others.map(trace).collect(),
        marks: vec![],
    }
}

fn over_time(case: &Case, zone: &TimeZone, panels: Vec<Panel>) -> Plot {
    let span = case.tape.span;
    Plot {
        x: (hours(span.start), hours(span.end)),
        labels: marks(span, zone),
        x_unit: String::new(),
        panels,
    }
}

/// Price, power and profit over time: the picture of `--png`.
pub fn main(case: &Case, c: &Comparison, row: &Scored, zone: &TimeZone) -> String {
    let fine = case.tape.span.length() <= FINE_MOST;
    let panels = vec![
        price_panel(case, zone, fine, 130.0),
        power_panel(c, row, zone, fine, 90.0),
        gained(case, c, 130.0),
    ];
    draw("Price, power and profit", &over_time(case, zone, panels))
}

/// Price and power over time.
pub fn price_and_power(case: &Case, c: &Comparison, row: &Scored, zone: &TimeZone) -> String {
    let fine = case.tape.span.length() <= FINE_MOST;
    let panels = vec![price_panel(case, zone, fine, 130.0), power_panel(c, row, zone, fine, 90.0)];
    draw("Price and power", &over_time(case, zone, panels))
}

/// Profit beyond always-on as it added up.
pub fn cumulative(case: &Case, c: &Comparison, zone: &TimeZone) -> String {
    draw("Profit as it added up", &over_time(case, zone, vec![gained(case, c, 150.0)]))
}

/// Price and power around a moment, as they were decided on.
pub fn close_up(
    case: &Case,
    c: &Comparison,
    row: &Scored,
    zone: &TimeZone,
    around: Interval,
) -> String {
    let span = case.tape.span;
    let window = Interval {
        start: (around.start - CLOSE_UP).max(span.start),
        end: (around.end + CLOSE_UP).min(span.end),
    };
    let inside = |i: &Interval| i.start < window.end && i.end > window.start;
    let price = held(prices(case).filter(|(i, _)| inside(i)));
    let best = held(powers(&c.best).filter(|(i, _)| inside(i)));
    let own = held(segment_powers(&row.run.segments).filter(|(i, _)| inside(i)));
    let mut power = vec![Trace::new(title(row.name), POWER_PALE, Look::Area, own)];
    if row.name != Name::PerfectForesight {
        let (name, dark) = (title(Name::PerfectForesight), colour(Name::PerfectForesight));
        power.push(Trace::new(name, dark, Look::Dashed, best));
    }
    let panels = vec![
        Panel {
            unit: format!("price, {}/MWh", case.market.currency),
            height: 110.0,
            scale: Scale::Log(PRICE_NEAR),
            zero: true,
            traces: vec![Trace::new("settlement price", PRICE, Look::Line, price)],
            marks: vec![breakeven_mark(case)],
        },
        Panel {
            unit: "power, MW".into(),
            height: 80.0,
            scale: Scale::Linear,
            zero: true,
            traces: power,
            marks: vec![],
        },
    ];
    let x = (hours(window.start), hours(window.end));
    let plot = Plot { x, labels: marks(window, zone), x_unit: String::new(), panels };
    draw("Around the costliest miss", &plot)
}

/// Prices from the dearest to the cheapest, and what was drawn at them.
pub fn duration(case: &Case, c: &Comparison) -> String {
    let mut order: Vec<usize> = (0..case.tape.settled.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(case.tape.settled[*i].price), *i));
    let n = order.len().max(1) as f64;
    let at = |k: usize| k as f64 / n * 100.0;
    let price: Points = order
        .iter()
        .enumerate()
        .map(|(k, i)| (at(k), Some(usd(case.tape.settled[*i].price.0))))
        .collect();
    // Power jumps from interval to interval: the mean over neighbours of like price is the rule.
    let bunch = order.len().div_ceil(120).max(1);
    let mean = |s: &Statement| -> Points {
        let mut out = Vec::new();
        for (k, some) in order.chunks(bunch).enumerate() {
            let of = |i: &usize| mw(s.intervals[*i].energy, s.intervals[*i].interval.length());
            let v = some.iter().map(of).sum::<f64>() / some.len() as f64;
            out.push((at(k * bunch), Some(v)));
            out.push((at((k * bunch + some.len()).min(order.len())) - 1e-6, Some(v)));
        }
        out
    };
    let trace = |row: &Scored| {
        let look = if row.name == Name::PerfectForesight { Look::Dashed } else { Look::Line };
        Trace::new(title(row.name), colour(row.name), look, mean(&row.statement))
    };
    let panels = vec![
        Panel {
            unit: format!("price, {}/MWh", case.market.currency),
            height: 120.0,
            scale: Scale::Log(PRICE_NEAR),
            zero: true,
            traces: vec![Trace::new("", PRICE, Look::Line, price)],
            marks: vec![breakeven_mark(case)],
        },
        Panel {
            unit: "mean power drawn at such prices, MW".into(),
            height: 110.0,
            scale: Scale::Linear,
            zero: true,
            traces: c.rows.iter().map(trace).collect(),
            marks: vec![],
        },
    ];
    let labels = (0u8..=10).map(|k| (f64::from(k) * 10.0, format!("{} %", k * 10))).collect();
    let x_unit = "share of the time, the dearest first".into();
    draw("Price duration", &Plot { x: (0.0, 100.0), labels, x_unit, panels })
}

/// Values by local hour and day as classes of a map.
fn by_hour(
    zone: &TimeZone,
    of: impl Iterator<Item = (Interval, f64)>,
    class: impl Fn(f64) -> usize,
    classes: Vec<(&'static str, String)>,
    unit: &str,
) -> Map {
    let mut days: Vec<jiff::civil::Date> = Vec::new();
    let mut sums = vec![Vec::<(f64, f64)>::new(); 24];
    for (interval, v) in of {
        let at = local(zone, interval.start);
        if days.last() != Some(&at.date()) {
            days.push(at.date());
            sums.iter_mut().for_each(|row| row.push((0.0, 0.0)));
        }
        let cell = &mut sums[usize::try_from(at.hour()).unwrap_or(0)][days.len() - 1];
        let long = interval.length().0 as f64;
        *cell = (cell.0 + v * long, cell.1 + long);
    }
    let of = |(sum, long): &(f64, f64)| (*long > 0.0).then(|| class(sum / long));
    let every = days.len().div_ceil(8).max(1);
    let firsts = days.iter().enumerate().filter(|(i, _)| {
        if days.len() > 60 { days[*i].day() == 1 } else { i.is_multiple_of(every) }
    });
    let labels: Vec<_> = firsts.map(|(i, d)| (i, d.strftime("%-d %b").to_string())).collect();
    let thinned = labels.len().div_ceil(12).max(1);
    Map {
        rows: sums.iter().map(|row| row.iter().map(of).collect()).collect(),
        row_labels: [0usize, 6, 12, 18].iter().map(|h| (*h, format!("{h:02}:00"))).collect(),
        column_labels: labels.into_iter().step_by(thinned).collect(),
        classes,
        unit: unit.to_owned(),
    }
}

/// The mean price of each hour of each day.
pub fn price_map(case: &Case, zone: &TimeZone) -> String {
    let edge = market_breakeven(case);
    let edges = [0.0, edge * 0.5, edge, edge * 2.0, edge * 5.0, f64::INFINITY];
    let colours = ["#2d6f8e", "#8fb8c9", "#dfe9ec", "#f6c9a8", "#e07b45", "#8f2d12"];
    let name = |i: usize| match i {
        0 => "below 0".to_owned(),
        5 => format!("above {:.0}", edges[4]),
        i => format!("to {:.0}", edges[i]),
    };
    let classes = colours.iter().enumerate().map(|(i, c)| (*c, name(i))).collect();
    let class = |v: f64| edges.iter().position(|e| v < *e).unwrap_or(5);
    let unit = format!("{}/MWh", case.market.currency);
    map("Price by hour and day", &by_hour(zone, prices(case), class, classes, &unit))
}

/// The share of full power drawn in each hour of each day.
pub fn power_map(row: &Scored, zone: &TimeZone) -> String {
    let full = (row.statement.full.0 as f64 / 1e6).max(1e-9);
    let colours = ["#1b2024", "#51707f", "#8fb0bf", "#c3d6de", "#e8f0f3"];
    let names = ["off", "to 40 %", "to 70 %", "to 95 %", "full"];
    let classes = colours.iter().zip(names).map(|(c, n)| (*c, n.to_owned())).collect();
    let class = |v: f64| [0.02, 0.4, 0.7, 0.95].iter().position(|e| v / full < *e).unwrap_or(4);
    map("Power by hour and day", &by_hour(zone, powers(&row.statement), class, classes, "hour"))
}

/// Capture by how late everything is told.
pub fn latency(studies: &Studies) -> String {
    let minutes = |s: &Span| s.0 as f64 / 60e9;
    let names: Vec<Name> =
        studies.lags.first().map_or(Vec::new(), |(_, row)| row.iter().map(|c| c.0).collect());
    let trace = |(i, name): (usize, &Name)| {
        let points =
            studies.lags.iter().map(|(lag, row)| (minutes(lag), row[i].1.map(|c| c * 100.0)));
        Trace::new(title(*name), colour(*name), Look::Dots, points.collect())
    };
    let panel = Panel {
        unit: "capture, %".into(),
        height: 130.0,
        scale: Scale::Linear,
        zero: false,
        traces: names.iter().enumerate().map(trace).collect(),
        marks: vec![],
    };
    let ends = (studies.lags.first(), studies.lags.last());
    let x = match ends {
        (Some((a, _)), Some((b, _))) => (minutes(a) - 1.0, minutes(b) + 1.0),
        _ => (0.0, 1.0),
    };
    let labels = studies.lags.iter().map(|(lag, _)| (minutes(lag), format!("{}", minutes(lag))));
    let plot = Plot {
        x,
        labels: labels.collect(),
        x_unit: "minutes told late".into(),
        panels: vec![panel],
    };
    draw("Capture by how late everything is told", &plot)
}

/// Capture by what the work is worth.
pub fn worth(studies: &Studies) -> String {
    let percent = |w: &super::studies::Worth| w.percent as f64;
    let names: Vec<Name> =
        studies.worths.first().map_or(Vec::new(), |w| w.policies.iter().map(|p| p.0).collect());
    let line = |(i, name): (usize, &Name)| {
        let of = |w: &super::studies::Worth| w.policies[i].2.map(|c| c * 100.0);
        let points = studies.worths.iter().map(|w| (percent(w), of(w))).collect();
        Trace::new(title(*name), colour(*name), Look::Dots, points)
    };
    let panel = Panel {
        unit: "capture, %".into(),
        height: 130.0,
        scale: Scale::Linear,
        zero: false,
        traces: names.iter().enumerate().map(line).collect(),
        marks: vec![],
    };
    let labels = studies.worths.iter().map(|w| (percent(w), format!("{} %", w.percent)));
    let ends = (studies.worths.first(), studies.worths.last());
    let x = ends.0.zip(ends.1).map_or((0.0, 1.0), |(a, b)| (percent(a) - 1.0, percent(b) + 1.0));
    let x_unit = "of what the work is worth now".into();
    let plot = Plot { x, labels: labels.collect(), x_unit, panels: vec![panel] };
    draw("Capture by the work's value", &plot)
}

/// Profit of one fixed strike after the other.
pub fn strikes(case: &Case, c: &Comparison, studies: &Studies) -> String {
    let points: Points = studies.strikes.iter().map(|s| (usd(s.0.0), Some(usd(s.1.0)))).collect();
    let profit = |s: &Statement| usd(s.account.profit);
    let mark = |name: Name, s: &Statement| Mark {
        at: profit(s),
        name: title(name).to_owned(),
        colour: colour(name),
    };
    let mut marks = vec![mark(Name::AlwaysOn, &c.always_on), mark(Name::PerfectForesight, &c.best)];
    let ahead = c.rows.iter().find(|r| r.name == Name::LookAhead);
    marks.extend(ahead.map(|r| mark(r.name, &r.statement)));
    let name = Name::FixedStrike;
    let panel = Panel {
        unit: format!("profit, {}", case.market.currency),
        height: 140.0,
        scale: Scale::Linear,
        zero: false,
        traces: vec![Trace::new(title(name), colour(name), Look::Dots, points)],
        marks,
    };
    let all = studies.strikes.iter().map(|s| usd(s.0.0));
    let (low, high) = all.clone().fold((f64::INFINITY, 0f64), |(a, b), v| (a.min(v), b.max(v)));
    let far = (high - low).max(1.0);
    let mut labels: Vec<(f64, String)> = Vec::new();
    for v in all {
        if labels.last().is_none_or(|(last, _)| v - last > far * 0.05) {
            labels.push((v, format!("{v:.0}")));
        }
    }
    let plot = Plot {
        x: (low - far * 0.02, high + far * 0.02),
        labels,
        x_unit: format!("strike, {}/MWh, adders included", case.market.currency),
        panels: vec![panel],
    };
    draw("Profit by strike", &plot)
}

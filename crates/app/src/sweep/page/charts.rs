//! The charts of a sweep.

use crate::chart::svg::{self, Lines, Series, Style};
use crate::sweep::frame::Frame;
use crate::sweep::summary::Summary;
use crate::sweep::table::parameters;
use headgate_sim::backtest::Name;
use headgate_sim::sweep::Case;

/// Points of a quantile curve.
const QUANTILES: usize = 100;
/// Lowest capture that is drawn, in percent: with little to gain it can be anything.
const CAPTURE_DRAWN_MIN: f64 = -100.0;
/// Most values of a parameter that are drawn.
const VALUES_MAX: usize = 40;

/// One figure.
pub struct Figure {
    pub title: String,
    pub text: String,
    pub svg: String,
}

fn colour(name: Name) -> &'static str {
    match name {
        Name::AlwaysOn => "#8b979f",
        Name::FixedStrike => "#b4542d",
        Name::Breakeven => "#c79a2b",
        Name::LookAhead => "#2d6f8e",
        Name::PerfectForesight => "#1b2024",
    }
}

/// Policies whose capture says something: always-on is 0 and foresight 1 by definition.
fn told(summary: &Summary) -> impl Iterator<Item = (usize, Name)> + '_ {
    let all = summary.policies.iter().copied().enumerate();
    all.filter(|(_, name)| !matches!(name, Name::AlwaysOn | Name::PerfectForesight))
}

fn series(name: Name, points: Vec<(f64, Option<f64>)>) -> Series {
    let (colour, style) = (colour(name), Style::Line);
    Series { name: name.as_str().to_owned(), colour, style, right: false, points }
}

/// All figures that the sweep has something to show in.
pub fn all(frame: &Frame, summary: &Summary) -> Vec<Figure> {
    let mut figures = Vec::new();
    figures.extend(spread(summary));
    figures.extend(luck(frame, summary));
    figures.extend(by_parameter(frame, summary));
    figures
}

/// Captures from the worst case to the best.
fn spread(summary: &Summary) -> Option<Figure> {
    let mut all = Vec::new();
    for (i, name) in told(summary) {
        let captures = summary.captures(i, |_| true);
        if captures.count() < 2 {
            continue;
        }
        let point =
            |p: usize| (p as f64, captures.quantile(p).map(|c| (c * 100.0).max(CAPTURE_DRAWN_MIN)));
        all.push(series(name, (0..=QUANTILES).map(point).collect()));
    }
    let marks = (0..=4).map(|q| (f64::from(q) * 25.0, format!("{} % of cases", q * 25)));
    let chart = Lines {
        left: "capture, %".into(),
        right: String::new(),
        marks: marks.collect(),
        series: all,
    };
    (!chart.series.is_empty()).then(|| Figure {
        title: "Capture, worst case to best.".into(),
        text:
            "Each policy's cases in their own order; what lies below \u{2212}100 % is drawn there."
                .into(),
        svg: svg::lines("Capture from the worst case to the best", &chart),
    })
}

/// What a policy earns over always-on on the paths, beside what it earned in history.
fn luck(frame: &Frame, summary: &Summary) -> Option<Figure> {
    let foot = summary.policies.iter().position(|p| *p == Name::AlwaysOn)?;
    if frame.plan.seeds.end <= 2 || summary.currencies.len() != 1 {
        return None;
    }
    let gains = |i: usize, history: bool| -> Vec<f64> {
        let seen = summary.seen.iter().filter(|s| (s.case.seed == 0) == history);
        let gain = seen.filter_map(|s| {
            let (own, foot) = (s.marks.get(i)?, s.marks.get(foot)?);
            Some((own.profit - foot.profit).0 as f64 / 1e6)
        });
        let mut all: Vec<f64> = gain.collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let pooled = |i: usize| summary.pooled(i, |_| true).unwrap_or(f64::NEG_INFINITY);
    let best = told(summary).map(|(i, _)| i).max_by(|a, b| pooled(*a).total_cmp(&pooled(*b)));
    let mut drawn = Vec::new();
    for (i, name) in told(summary) {
        let paths = gains(i, false);
        let Some(last) = paths.len().checked_sub(1).filter(|n| *n > 0) else { continue };
        let at = |p: usize| paths[(last * p + QUANTILES / 2) / QUANTILES];
        drawn.push(series(name, (0..=QUANTILES).map(|p| (p as f64, Some(at(p)))).collect()));
        let history = gains(i, true);
        // More than one such line would hide what it is about.
        if !history.is_empty() && Some(i) == best {
            let mean = history.iter().sum::<f64>() / history.len() as f64;
            let points = vec![(0.0, Some(mean)), (QUANTILES as f64, Some(mean))];
            let label = format!("{}, history", name.as_str());
            let line = Series { name: label, style: Style::Dashed, ..series(name, points) };
            drawn.push(line);
        }
    }
    let marks = (0..=4).map(|q| (f64::from(q) * 25.0, format!("{} % of paths", q * 25)));
    let chart = Lines {
        left: format!("{} a case", summary.currencies[0]),
        right: String::new(),
        marks: marks.collect(),
        series: drawn,
    };
    (!chart.series.is_empty()).then(|| Figure {
        title: "Gain over always-on, by luck.".into(),
        text: "Paths from the poorest to the richest; the broken line is the mean of history."
            .into(),
        svg: svg::lines("Gain over always-on from the poorest path to the richest", &chart),
    })
}

/// Pooled capture over the values of each parameter that has more than one.
fn by_parameter(frame: &Frame, summary: &Summary) -> Vec<Figure> {
    let settings = &frame.plan.settings;
    let names: Vec<&str> = settings
        .first()
        .map_or_else(Vec::new, |s| parameters(s).into_iter().map(|(name, _)| name).collect());
    let mut figures = Vec::new();
    for name in names {
        let value = |i: usize| {
            let set = parameters(&settings[i]);
            set.into_iter().find(|(n, _)| *n == name).map(|(_, v)| v)
        };
        let of: Vec<Option<String>> = (0..settings.len()).map(value).collect();
        let mut values: Vec<String> = of.iter().flatten().cloned().collect();
        let number = |v: &String| v.parse::<f64>().unwrap_or_default();
        values.sort_by(|a, b| number(a).total_cmp(&number(b)));
        values.dedup();
        if values.len() < 2 || values.len() > VALUES_MAX {
            continue;
        }
        let mut drawn = Vec::new();
        for (i, policy) in told(summary) {
            let point = |v: &String| {
                let own = |c: &Case| of[c.setting].as_ref() == Some(v);
                (number(v), summary.pooled(i, own).map(|c| c * 100.0))
            };
            drawn.push(series(policy, values.iter().map(point).collect()));
        }
        if drawn.is_empty() {
            continue;
        }
        let every = values.len().div_ceil(8);
        let marks = values.iter().step_by(every).map(|v| (number(v), v.clone()));
        let chart = Lines {
            left: "pooled capture, %".into(),
            right: String::new(),
            marks: marks.collect(),
            series: drawn,
        };
        figures.push(Figure {
            title: format!("Capture by {name}."),
            text: "Pooled over all cases with that value.".into(),
            svg: svg::lines(&format!("Pooled capture by {name}"), &chart),
        });
    }
    figures
}

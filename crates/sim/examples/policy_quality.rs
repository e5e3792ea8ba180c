//! How much of the possible saving the look-ahead reaches, walk-forward by month, on a lattice.
//!
//! `policy_quality FOLDER [KEY=VALUE...]`; the folder holds the test data. Not a test of truth
//! (that is the back-test with the live engine): a fast way to compare settings.

#![expect(clippy::unwrap_used, reason = "a study run by hand; what is wrong is shown at once")]

use headgate_core::fleet::CohortId;
use headgate_core::horizon::advise::{Adviser, Way};
use headgate_core::horizon::unit::{Begins, Lattice, StateId, UnitSpec, UnitState};
use headgate_core::market::{FeedBook, PriceKind, PriceRow, SettlementPoint};
use headgate_core::site::Ramp;
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Money, Power, Price};
use headgate_feeds::{Market, Options, load_with};
use headgate_sim::backtest::{Tape, Told};
use headgate_sim::train::values::Moves;
use headgate_sim::train::{Order, Settings, train};
use std::collections::BTreeMap;
use std::path::Path;

type Rows = BTreeMap<(String, PriceKind), Vec<PriceRow>>;

fn block() -> UnitSpec {
    let mw = |n: i64| Power(n * 1_000_000);
    UnitSpec {
        cohort: CohortId(0),
        min: mw(40),
        max: mw(100),
        start_at: mw(40),
        ramp_up: Some(Ramp { power: mw(20), per: Span::minutes(15) }),
        ramp_down: None,
        min_on: Span::hours(1),
        min_off: Span::hours(1),
        start_cost: Money(400_000_000),
        starts_per_day: None,
        begins: Begins::Off,
    }
}

fn read(rows: &mut Rows, path: &Path, market: &Market, kind: Option<PriceKind>) {
    let parsed = load_with(path, market, &Options { kind, ..Options::default() }).unwrap();
    for s in parsed.series {
        let Some(kind) = s.kind.price_kind() else { continue };
        rows.entry((s.point.name.clone(), kind)).or_default().extend(s.rows);
    }
}

fn tape(rows: &Rows, point: &str, span: Interval, market: &Market, runs: bool) -> Tape {
    let of = |kind| rows.get(&(point.to_owned(), kind)).cloned().unwrap_or_default();
    let mut told: BTreeMap<(Time, PriceKind), Vec<PriceRow>> = BTreeMap::new();
    for kind in [PriceKind::Dispatch, PriceKind::Settlement, PriceKind::DayAhead] {
        if kind == PriceKind::Dispatch && !runs {
            continue;
        }
        for r in of(kind) {
            told.entry((r.known_at, kind)).or_default().push(r);
        }
    }
    let settled: Vec<PriceRow> = of(PriceKind::Settlement);
    Tape {
        point: SettlementPoint { name: point.to_owned(), kind: String::new() },
        span,
        step: if runs { market.dispatch_step } else { market.settle_step },
        settle_step: market.settle_step,
        told: told.into_iter().map(|((at, kind), rows)| Told { at, kind, rows }).collect(),
        settled: settled
            .into_iter()
            .filter(|r| r.interval.start >= span.start && r.interval.end <= span.end)
            .collect(),
        values: Vec::new(),
    }
}

/// Settlement price of each interval of a span, in currency; the value where there is none.
fn settled(tape: &Tape, span: Interval, value: f64) -> Vec<f64> {
    let n = (span.length().0 / tape.settle_step.0) as usize;
    let mut out = vec![value; n];
    for r in &tape.settled {
        let i = r.interval.start.since(span.start).0 / tape.settle_step.0;
        if r.interval.start >= span.start && (i as usize) < n {
            out[i as usize] = r.price.0 as f64 / 1e6;
        }
    }
    out
}

fn bound(spec: &UnitSpec, step: Span, prices: &[f64], value: f64) -> f64 {
    let lattice = Lattice::new(spec, step).unwrap();
    let moves = Moves::of(&lattice, spec);
    let mut after = vec![0.0; moves.states()];
    for p in prices.iter().rev() {
        let gain = value - p;
        let of = |s: usize| {
            let f = |(d, c): &(usize, f64)| gain * moves.energy[*d] - c + after[*d];
            moves.next[s].iter().map(f).fold(f64::MIN, f64::max)
        };
        after = (0..moves.states()).map(of).collect();
    }
    after[lattice.off(u16::MAX).index()]
}

/// Always on from cold and off.
fn always_on(spec: &UnitSpec, step: Span, prices: &[f64], value: f64) -> f64 {
    let lattice = Lattice::new(spec, step).unwrap();
    let mut s = lattice.off(u16::MAX);
    let mut sum = 0.0;
    for p in prices {
        let (to, start) = lattice.moves(s).last().unwrap();
        s = to;
        let cost = if start { spec.start_cost.0 as f64 / 1e6 } else { 0.0 };
        sum += (value - p) * lattice.energy(s).0 as f64 / 3.6e9 - cost;
    }
    sum
}

/// Where a policy lost against hindsight: by what it did and what it should have done.
fn losses(
    tape: &Tape,
    span: Interval,
    value: Price,
    path: &[(StateId, StateId)],
) -> BTreeMap<String, f64> {
    use headgate_sim::train::rows::{Look, steps};
    use headgate_sim::train::values::{Chooser, Valuation, backward};
    let look = Look { value, scale: Price(10_000_000), offsets: &[] };
    let mut s = steps(tape, span, &look);
    let lattice = Lattice::new(&block(), tape.step).unwrap();
    let moves = Moves::of(&lattice, &block());
    let first = s.seen.iter().flatten().next().unwrap().to_owned();
    let mut none = first;
    none.estimate = value;
    s.seen.iter_mut().for_each(|x| *x = Some(none));
    let how = Valuation { value: value.0 as f64 / 1e6, cap: 1e9, lambda: 0.0, share: 0.0 };
    let mut out: BTreeMap<String, f64> = BTreeMap::new();
    backward(&s, &moves, &how, &Chooser::Hindsight, |t, q| {
        let Some((from, to)) = path.get(t) else { return };
        let best = moves.next[from.index()].iter().map(|(d, c)| (q[*d] - c, *d));
        let best = best.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        let cost = moves.next[from.index()].iter().find(|(d, _)| *d == to.index());
        let Some((_, cost)) = cost else { return };
        let lost = best.0 - (q[to.index()] - cost);
        let name = |s: StateId| lattice.level(s);
        let should = StateId(best.1 as u16);
        let key = match (name(*from), name(*to), name(should)) {
            (Some(_), Some(_), None) => "ran, should stop",
            (Some(_), None, Some(_)) => "stopped, should run",
            (None, None, Some(_)) => "started late",
            (None, Some(_), None) => "started early",
            (_, Some(a), Some(b)) if a > b => "level high",
            (_, Some(a), Some(b)) if a < b => "level low",
            _ => "other",
        };
        *out.entry(key.to_owned()).or_default() += lost;
    });
    out
}

struct Outcome {
    path: Vec<(StateId, StateId)>,
    profit: f64,
    starts: u32,
    ways: [u32; 3],
}

/// Lives through a tape over spans, each with its adviser; one decision a step, when its first
/// fresh price is known, acted on for the whole step.
fn live(tape: &Tape, parts: &[(Interval, &Adviser)], value: Price) -> Vec<Outcome> {
    let spec = parts[0].1.model().unit;
    let lattice = Lattice::new(&spec, tape.step).unwrap();
    let mut unit = UnitState::beginning(&spec);
    let mut book = FeedBook::default();
    let mut told = tape.told.iter().peekable();
    let within = |t: &&Told, end: Time| t.at < end;
    let money = value.0 as f64 / 1e6;
    let mut out = Vec::new();
    for (span, adviser) in parts {
        let mut sum = Outcome { path: Vec::new(), profit: 0.0, starts: 0, ways: [0; 3] };
        let prices = settled(tape, *span, money);
        let mut at = span.start;
        while let Some(t) = told.next_if(|t| within(t, at)) {
            book.take(t.kind, &t.rows, t.at);
        }
        while at < span.end {
            let mut advice = None;
            while let Some(t) = told.next_if(|t| within(t, at + tape.step)) {
                book.take(t.kind, &t.rows, t.at);
                if advice.is_none() && t.kind != PriceKind::DayAhead {
                    let a = adviser.decide(&unit, &book, t.at, value);
                    sum.ways[a.way as usize] += 1;
                    if a.way != Way::Hold {
                        advice = Some(a);
                    }
                }
            }
            let was = unit.power;
            let from = adviser.options(&unit, at).now;
            let power = advice.map_or(was, |a| a.power);
            if (was > Power::ZERO) != (power > Power::ZERO) {
                unit.switched_at = at;
                if power > Power::ZERO {
                    sum.starts += 1;
                    sum.profit -= spec.start_cost.0 as f64 / 1e6;
                }
            }
            if was != power {
                unit.changed_at = at;
                unit.power = power;
            }
            let i = at.since(span.start).0 / tape.settle_step.0;
            let mwh = power.over(tape.step).0 as f64 / 3.6e9;
            sum.profit += (money - prices[i as usize]) * mwh;
            at += tape.step;
            sum.path.push((from, adviser.options(&unit, at).now));
        }
        out.push(sum);
    }
    let _ = (lattice, StateId(0));
    out
}

/// The first moment of a month, at six in UTC: near enough to a market's midnight.
fn month(year: i64, month: i64) -> Time {
    // Days since the epoch, by years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + 1 - 719_469;
    Time::from_seconds(days * 86_400 + 6 * 3600)
}

fn time(text: &str) -> Time {
    let (y, m) = text.split_once('-').unwrap();
    month(y.parse().unwrap(), m.parse().unwrap())
}

/// Another market, walk-forward by month, month by month against always on.
fn elsewhere(name: &str, folder: &Path, settings: Settings, arg: &dyn Fn(&str, f64) -> f64) {
    let (market, file, point, from, months, values): (_, _, _, (i64, i64), usize, &[i64]) =
        match name {
            "houston" => {
                let file = "ercot_rtm_spp15_HB_HOUSTON_2021-01-08_2024-06-30.csv.gz";
                ("ercot", file, "HB_HOUSTON", (2021, 1), 42, &[40, 60])
            }
            "victoria" => {
                let file = "aemo_nem_VIC1_price_demand_5min_2024-12_2025-05.csv.gz";
                ("nem", file, "VIC1", (2024, 12), 6, &[40, 60, 100])
            }
            _ => {
                let file = "china_gansu_spot_15min_2024-01-01_2024-10-23.csv.gz";
                ("gansu", file, "GANSU", (2024, 1), 10, &[200, 300])
            }
        };
    let market = Market::shipped(market).unwrap();
    let mut rows = Rows::new();
    let options = Options {
        point: Some(headgate_feeds::settlement_point(point, "")).filter(|_| name != "victoria"),
        ..Options::default()
    };
    let parsed = load_with(&folder.join(file), &market, &options).unwrap();
    for s in parsed.series {
        let Some(kind) = s.kind.price_kind() else { continue };
        println!("{} {:?} {} rows", s.point, kind, s.rows.len());
        rows.entry((point.to_owned(), kind)).or_default().extend(s.rows);
    }
    if name == "houston" {
        read(&mut rows, Path::new("/tmp/hg/dam.csv"), &market, Some(PriceKind::DayAhead));
    }
    if name == "victoria" {
        // What the issue asks: the price is known at the start of its step.
        for r in rows.get_mut(&(point.to_owned(), PriceKind::Settlement)).unwrap() {
            r.known_at = r.interval.start;
        }
    }
    let at = |i: usize| {
        let m = from.1 - 1 + i as i64;
        month(from.0 + m / 12, m % 12 + 1)
    };
    let late = Span::hours(24 * if name == "houston" { 8 } else { 0 });
    let whole = Interval { start: at(0) + late, end: at(months) };
    let tape = tape(&rows, point, whole, &market, false);
    let spec = block();
    for usd in values {
        let value = Price(usd * 1_000_000);
        let money = *usd as f64;
        let every = arg("every", 1.0) as usize;
        let first = arg("first", 1.0) as usize;
        let last = arg("last", months as f64) as usize;
        let mut parts: Vec<(Interval, std::rc::Rc<Adviser>)> = Vec::new();
        for i in first..last {
            let adviser = if (i - first) % every == 0 {
                let start = whole.start.max(at(i.saturating_sub(24)));
                let span = Interval { start, end: at(i) };
                let used = Tape { span, ..tape.clone() };
                let order = Order { unit: spec, value, span, offsets: Vec::new(), settings };
                std::rc::Rc::new(Adviser::new(train(&[used], &order).unwrap()).unwrap())
            } else {
                parts.last().unwrap().1.clone()
            };
            parts.push((Interval { start: at(i), end: at(i + 1).min(whole.end) }, adviser));
        }
        let borrowed: Vec<(Interval, &Adviser)> = parts.iter().map(|(s, a)| (*s, &**a)).collect();
        let outcome = live(&tape, &borrowed, value);
        let (mut sum, mut ons, mut bests) = (0.0, 0.0, 0.0);
        for ((span, _), o) in parts.iter().zip(&outcome) {
            let prices = settled(&tape, *span, money);
            let on = always_on(&spec, tape.settle_step, &prices, money);
            let best = bound(&spec, tape.settle_step, &prices, money);
            (sum, ons, bests) = (sum + o.profit, ons + on, bests + best);
            let worse = o.profit < on - 0.001 * on.abs();
            println!(
                "{name} {usd} {} {:.2} of {:.3}M{}",
                &span.start.to_string()[..7],
                100.0 * (o.profit - on) / (best - on),
                (best - on) / 1e6,
                if worse { " WORSE THAN ALWAYS ON" } else { "" }
            );
        }
        println!("{name} {usd}: {:.2}", 100.0 * (sum - ons) / (bests - ons));
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(&args[0]);
    let arg = |key: &str, or: f64| {
        let found = args.iter().find_map(|a| a.strip_prefix(&format!("{key}=")));
        found.map_or(or, |v| v.parse().unwrap())
    };
    let d = Settings::default();
    let settings = Settings {
        ridge: arg("ridge", d.ridge),
        rounds: arg("rounds", d.rounds as f64) as usize,
        folds: arg("folds", d.folds as f64) as usize,
        lambda: arg("lambda", d.lambda),
        cap: arg("cap", d.cap),
        clip: arg("clip", d.clip),
        focus: arg("focus", d.focus),
        share: arg("share", d.share),
        knots: arg("knots", d.knots),
        beside: arg("beside", d.beside),
        shift: arg("shift", d.shift),
        band_late: arg("band_late", d.band_late as f64) as usize,
        ..d
    };
    if let Some(name) = args.iter().find_map(|a| a.strip_prefix("case=")) {
        elsewhere(name, folder, settings, &arg);
        return;
    }
    let market = Market::shipped("ercot").unwrap();
    let mut rows = Rows::new();
    read(
        &mut rows,
        &folder.join("ercot_sced_lmp5_5hubs_2024-01-01_2024-06-30.csv.gz"),
        &market,
        None,
    );
    read(
        &mut rows,
        &folder.join("ercot_rtm_spp15_5hubs_reconstructed_2024-01-01_2024-06-30.csv.gz"),
        &market,
        Some(PriceKind::Settlement),
    );
    read(&mut rows, Path::new("/tmp/hg/dam.csv"), &market, Some(PriceKind::DayAhead));
    let offsets: Vec<(Time, Span)> = std::fs::read_to_string("/tmp/hg/offsets.csv")
        .unwrap()
        .lines()
        .map(|l| {
            let (a, b) = l.split_once(',').unwrap();
            (Time::from_seconds(a.parse().unwrap()), Span::seconds(b.parse().unwrap()))
        })
        .collect();
    let whole = Interval { start: time("2024-01"), end: time("2024-07") };
    let hubs = ["HB_HOUSTON", "HB_NORTH", "HB_SOUTH", "HB_WEST", "HB_PAN"];
    let tapes: Vec<Tape> = hubs.iter().map(|h| tape(&rows, h, whole, &market, true)).collect();
    let spec = block();
    let loo = arg("loo", 0.0) > 0.0;
    let months: Vec<&str> =
        ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05", "2024-06", "2024-07"]
            [if loo { 0 } else { 2 }..]
            .to_vec();
    let one = |usd: i64| {
        let value = Price(usd * 1_000_000);
        let advisers: Vec<(Interval, Adviser)> = months
            .windows(2)
            .map(|m| {
                let mut used: Vec<Tape> = Vec::new();
                for t in &tapes {
                    used.push(Tape {
                        span: Interval { start: whole.start, end: time(m[0]) },
                        ..t.clone()
                    });
                    if loo {
                        used.push(Tape {
                            span: Interval { start: time(m[1]), end: whole.end },
                            ..t.clone()
                        });
                    }
                }
                used.retain(|t| t.span.length().0 > 0);
                let order =
                    Order { unit: spec, value, span: whole, offsets: offsets.clone(), settings };
                let mut model = train(&used, &order).unwrap();
                if arg("bands", 0.0) > 0.0 {
                    model.tables.clear();
                }
                let span = Interval { start: time(m[0]), end: time(m[1]) };
                (span, Adviser::new(model).unwrap())
            })
            .collect();
        let parts: Vec<(Interval, &Adviser)> = advisers.iter().map(|(s, a)| (*s, a)).collect();
        let mut lines = Vec::new();
        for hub in ["HB_WEST", "HB_HOUSTON", "HB_PAN", "HB_NORTH", "HB_SOUTH"] {
            let tape = &tapes[hubs.iter().position(|h| *h == hub).unwrap()];
            let test = Interval { start: parts[0].0.start, end: parts[parts.len() - 1].0.end };
            let money = usd as f64;
            let prices = settled(tape, test, money);
            let best = bound(&spec, tape.settle_step, &prices, money);
            let on = always_on(&spec, tape.settle_step, &prices, money);
            let outcome = live(tape, &parts, value);
            let profit: f64 = outcome.iter().map(|o| o.profit).sum();
            let starts: u32 = outcome.iter().map(|o| o.starts).sum();
            if arg("losses", 0.0) > 0.0 {
                let path: Vec<_> = outcome.iter().flat_map(|o| o.path.clone()).collect();
                let lost = losses(tape, test, value, &path);
                let all: f64 = lost.values().sum();
                let text: Vec<String> =
                    lost.iter().map(|(k, v)| format!("{k} {:.0}%", 100.0 * v / all)).collect();
                println!("{hub} {usd}: {:.2}% {}", 100.0 * all / (best - on), text.join(", "));
            }
            lines.push((hub, usd, 100.0 * (profit - on) / (best - on), starts, (best - on) / 1e6));
        }
        lines
    };
    let lines = std::thread::scope(|s| {
        let forty = s.spawn(|| one(40));
        let mut rest = one(60);
        let mut lines = forty.join().unwrap();
        lines.append(&mut rest);
        lines
    });
    let mut sums = [(0.0, 0.0); 2];
    let mut text = String::new();
    for (hub, usd, capture, starts, saving) in lines {
        text += &format!("{}{usd} {capture:.2}({starts},{saving:.2}) ", &hub[3..4]);
        let six = ["HB_WEST", "HB_HOUSTON", "HB_PAN"].contains(&hub);
        for (i, s) in sums.iter_mut().enumerate() {
            if i == 1 || six {
                *s = (s.0 + capture, s.1 + 1.0);
            }
        }
    }
    println!("{text}");
    println!("{:?} six {:.3} ten {:.3}", &args[1..], sums[0].0 / sums[0].1, sums[1].0 / sums[1].1);
}

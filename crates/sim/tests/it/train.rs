//! Training: what is learned is worth money, and nothing that comes later changes what was seen,
//! decided or learned before it.

use headgate_core::event::CohortModel;
use headgate_core::fleet::CohortId;
use headgate_core::horizon::features::Seen;
use headgate_core::horizon::model::Model;
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::site::PolicyRule;
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Power, Price};
use headgate_sim::backtest::testing::{block, blocks, tape};
use headgate_sim::backtest::{Chosen, Comparison, Dated, Name, Policy, RunOptions, Tape, Told};
use headgate_sim::backtest::{Trial, run};
use headgate_sim::train::rows::{Look, steps};
use headgate_sim::train::{Order, Settings, train};
use proptest::prelude::*;
use std::sync::OnceLock;

/// 2024-08-20T00:00:00Z.
const START: Time = Time::from_seconds(1_724_112_000);
const HOUR: Span = Span::hours(1);
const QUARTER: Span = Span::minutes(15);
const RUN: Span = Span::minutes(5);
/// What the work of the blocks is worth.
const VALUE: Price = Price(40_000_000);

/// Small chance, the same for a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % u64::try_from(bound).unwrap()).unwrap()
    }

    /// A price between two whole numbers.
    fn price(&mut self, from: i64, to: i64) -> Price {
        Price(from * 1_000_000 + self.below((to - from) * 1_000_000))
    }
}

fn days(n: i64) -> Span {
    Span::hours(24 * n)
}

fn nth(from: Time, step: Span, n: usize) -> Time {
    from + Span(step.0 * i64::try_from(n).unwrap())
}

/// What a tape tells besides its prices of real time.
#[derive(Debug, Clone, Copy)]
struct With {
    /// Dispatch runs; else settlement prices alone.
    runs: bool,
    /// A day-ahead curve, known in the afternoon before.
    ahead: bool,
    /// At each run, what the market foresees of the next hour.
    foreseen: bool,
    /// Single dear runs now and then, which nothing tells of.
    blips: bool,
}

/// So many days: cheap with noise, and each day a dear hour, which the curve ahead and the
/// market's own foresight tell of where there are such.
fn market(with: With, count: i64, seed: u64) -> Tape {
    let mut chance = Chance(seed);
    let mut prices = Vec::new();
    let mut ahead: Vec<(Time, Price)> = Vec::new();
    for d in 0..count {
        let dear = chance.below(24);
        for h in 0..24 {
            let hot = h == dear;
            ahead.push((
                START + days(d) + Span::hours(h),
                Price(if hot { 95 } else { 27 } * 1_000_000),
            ));
            for k in 0..12 {
                let blip = with.blips && k % 3 == 0 && chance.below(12) == 0;
                prices.push(match (hot, blip) {
                    (true, _) => chance.price(250, 900),
                    (false, true) => chance.price(80, 100),
                    (false, false) => chance.price(15, 30),
                });
            }
        }
    }
    let mut tape = tape(START, RUN, QUARTER, &prices);
    if !with.runs {
        tape.told.retain(|t| t.kind != PriceKind::Dispatch);
        tape.step = QUARTER;
    }
    if with.ahead {
        for day in ahead.chunks(24) {
            let known_at = day[0].0 - Span::hours(6);
            let row = |(at, price): &(Time, Price)| PriceRow {
                interval: Interval::starting(*at, HOUR),
                price: *price,
                known_at,
            };
            let rows = day.iter().map(row).collect();
            tape.told.push(Told { at: known_at.max(START), kind: PriceKind::DayAhead, rows });
        }
    }
    if with.foreseen {
        tape.told.extend(foresight(&prices, &mut chance));
    }
    tape.told.sort_by_key(|t| (t.at, t.kind));
    tape
}

/// At each run, what the market foresees of the next hour: nearly what comes.
fn foresight(prices: &[Price], chance: &mut Chance) -> Vec<Told> {
    let mut told = Vec::new();
    for n in 0..prices.len() {
        let known_at = nth(START, RUN, n) + Span::seconds(40);
        let row = |k: usize| PriceRow {
            interval: Interval::starting(nth(START, RUN, k), RUN),
            price: prices[k] + chance.price(-3, 3),
            known_at,
        };
        let rows = (n + 1..(n + 12).min(prices.len())).map(row).collect();
        told.push(Told { at: known_at, kind: PriceKind::LookAhead, rows });
    }
    told
}

/// The tape with every price that was not known at a moment made another one.
fn altered(tape: &Tape, after: Time, seed: u64) -> Tape {
    let mut chance = Chance(seed);
    let mut other = tape.clone();
    let later = other.told.iter_mut().filter(|t| t.at > after).flat_map(|t| &mut t.rows);
    for row in later.chain(other.settled.iter_mut().filter(|r| r.known_at > after)) {
        row.price = chance.price(-200, 3000);
    }
    other
}

fn order(span: Interval) -> Order {
    let offsets = vec![(START - days(400), Span::hours(-5))];
    Order { unit: block(0), value: VALUE, span, offsets, settings: Settings::default() }
}

fn trained(with: With) -> &'static Model {
    static MODELS: [OnceLock<Model>; 2] = [OnceLock::new(), OnceLock::new()];
    MODELS[usize::from(with.runs)].get_or_init(|| {
        let tape =
            market(With { runs: with.runs, ahead: true, foreseen: true, blips: true }, 9, 99);
        train(std::slice::from_ref(&tape), &order(tape.span)).unwrap()
    })
}

fn dated(model: &Model) -> Vec<Dated> {
    let models = vec![CohortModel { cohort: CohortId(0), model: model.clone() }];
    vec![Dated { from: Time::MIN, models }]
}

/// What a look-ahead run did, and when: each step of the engine as text, each set point.
struct Life {
    steps: Vec<(Time, String)>,
    set: Vec<(Time, Power)>,
}

impl Life {
    /// What of it was done by a moment.
    fn until(mut self, now: Time) -> Self {
        self.steps.retain(|(t, _)| *t <= now);
        self.set.retain(|(t, _)| *t <= now);
        self
    }
}

fn decided(tape: &Tape, model: &Model) -> Life {
    let (site, units) = blocks(1);
    let models = dated(model);
    let options = RunOptions { models: &models, ..RunOptions::default() };
    let mut all = Vec::new();
    let mut keep = |event: &headgate_core::event::Stamped, step: &headgate_core::engine::Step| {
        all.push((event.at, format!("{step:?}")));
    };
    let rule = Policy::Rule(PolicyRule::LookAhead);
    let life = run(&site, &units, tape, rule, options, &mut keep).unwrap();
    Life { steps: all, set: life.set_points.into_iter().flatten().collect() }
}

fn seen(tape: &Tape) -> Vec<Option<Seen>> {
    let offsets = order(tape.span).offsets;
    let look = Look { value: VALUE, scale: Price(10_000_000), offsets: &offsets };
    steps(tape, tape.span, &look).seen
}

fn with() -> impl Strategy<Value = With> {
    any::<[bool; 4]>().prop_map(|[runs, ahead, foreseen, blips]| With {
        runs,
        ahead,
        foreseen,
        blips,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_later_changes_nothing_that_was_seen(
        with in with(), seed in any::<u64>(), at in 0..2 * 86_400i64,
    ) {
        let tape = market(with, 2, seed);
        let now = START + Span::seconds(at);
        let (is, was) = (seen(&tape), seen(&altered(&tape, now, seed ^ 1)));
        // As if the world had ended now: what is seen by then, and in which step.
        let ended = Tape {
            told: tape.told.iter().filter(|t| t.at <= now).cloned().collect(),
            ..tape.clone()
        };
        let by_now = seen(&ended);
        for (n, ((a, b), c)) in is.iter().zip(&was).zip(&by_now).enumerate() {
            let over = nth(START, tape.step, n + 1) <= now;
            if over || c.is_some() {
                prop_assert_eq!(a, c, "step {}", n);
                prop_assert_eq!(b, c, "step {}", n);
            }
        }
        prop_assert!(at < 7200 || by_now.iter().any(Option::is_some));
    }

    #[test]
    fn what_comes_later_changes_nothing_that_was_decided(
        with in with(), seed in any::<u64>(), at in 0..2 * 86_400i64,
    ) {
        let tape = market(with, 2, seed);
        let now = START + Span::seconds(at);
        let model = trained(with);
        let is = decided(&tape, model).until(now);
        let was = decided(&altered(&tape, now, seed ^ 1), model).until(now);
        prop_assert_eq!(is.steps.len(), was.steps.len());
        for (a, b) in is.steps.iter().zip(&was.steps) {
            prop_assert_eq!(a, b);
        }
        prop_assert_eq!(is.set, was.set);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, ..ProptestConfig::default() })]

    /// What `--walk-forward` trains before a month rests on what settled a settlement step before
    /// it, all of which is known when the month begins.
    #[test]
    fn what_comes_later_changes_nothing_that_was_learned(with in with(), seed in any::<u64>()) {
        let tape = market(with, 10, seed);
        let month = START + days(8);
        let order = order(Interval { start: START, end: month - QUARTER });
        let learned = |tape: &Tape| train(std::slice::from_ref(tape), &order).unwrap();
        let is = learned(&tape);
        prop_assert!(is == learned(&altered(&tape, month, seed ^ 1)), "another future");
        let mut ended = tape.clone();
        ended.span.end = month;
        ended.told.retain(|t| t.at < month);
        ended.settled.retain(|r| r.interval.end <= month);
        prop_assert!(is == learned(&ended), "no future");
        let past = altered(&tape, month - HOUR - HOUR, seed ^ 1);
        prop_assert!(is != learned(&past), "another past: or this test could not fail");
    }
}

/// The tests above would find foreknowledge: one told early is seen, and moves decisions.
#[test]
fn foreknowledge_would_be_found() {
    let with = With { runs: true, ahead: true, foreseen: false, blips: true };
    let tape = market(with, 2, 5);
    let now = START + days(1);
    let mut leaky = tape.clone();
    for told in leaky.told.iter_mut().filter(|t| t.kind == PriceKind::Dispatch && t.at > now) {
        // A run is known ten minutes before it is made.
        told.at = told.at - RUN - RUN;
        told.rows.iter_mut().for_each(|r| r.known_at = told.at);
    }
    leaky.told.sort_by_key(|t| (t.at, t.kind));
    let until = now - QUARTER;
    let early = leaky.told.iter().filter(|t| t.at <= now).count();
    assert!(early > tape.told.iter().filter(|t| t.at <= now).count());
    let before = |t: &Tape| seen(t).into_iter().take(286).collect::<Vec<_>>();
    assert_eq!(before(&leaky), before(&tape), "nothing is early before {until}");
    assert_ne!(seen(&leaky)[287], seen(&tape)[287]);
}

/// Each policy's place in a comparison of the days after those that were trained on.
fn tried(tape: &Tape, model: &Model, from: Time) -> Comparison {
    let (site, units) = blocks(1);
    let models = dated(model);
    let later = Tape {
        span: Interval { start: from, end: tape.span.end },
        told: {
            let known = |t: &Told| Told { at: t.at.max(from), ..t.clone() };
            let recent = |t: &&Told| t.at >= from - days(8);
            tape.told.iter().filter(recent).map(known).collect()
        },
        settled: tape.settled.iter().filter(|r| r.interval.start >= from).copied().collect(),
        ..tape.clone()
    };
    let rule = |name| match name {
        Name::AlwaysOn => Some(PolicyRule::AlwaysOn),
        Name::Breakeven => Some(PolicyRule::Breakeven),
        Name::LookAhead => Some(PolicyRule::LookAhead),
        _ => None,
    };
    let names = [Name::AlwaysOn, Name::Breakeven, Name::LookAhead, Name::PerfectForesight];
    let chosen = names.map(|name| Chosen { name, rule: rule(name) });
    let trial = Trial { site: &site, units: &units, tape: &later };
    let options = RunOptions { models: &models, ..RunOptions::default() };
    let live = |rule| run(&site, &units, &later, Policy::Rule(rule), options, &mut |_, _| {});
    trial.compare(&chosen, &|rule| Ok(live(rule).unwrap())).unwrap()
}

fn capture(c: &Comparison, name: Name) -> f64 {
    let row = c.rows.iter().find(|r| r.name == name).unwrap();
    row.capture.unwrap()
}

fn profit(c: &Comparison, name: Name) -> i64 {
    c.rows.iter().find(|r| r.name == name).unwrap().statement.account.profit
}

/// The curve of the day before tells the hour of the spike; the rule learns of it when it has
/// begun, and where there are runs it takes each single dear one for a spike.
#[test]
fn a_planted_signal_is_learned() {
    for runs in [false, true] {
        let tape = market(With { runs, ahead: true, foreseen: false, blips: true }, 27, 3);
        let from = START + days(20);
        let span = Interval { start: START, end: from - QUARTER };
        let model = train(std::slice::from_ref(&tape), &order(span)).unwrap();
        let got = tried(&tape, &model, from);
        let (rule, learned) = (capture(&got, Name::Breakeven), capture(&got, Name::LookAhead));
        assert!(learned <= 1.0 && learned > rule + 0.05, "{learned} against {rule}");
    }
}

/// Dear spells that last a quarter of an hour or three hours: nothing but the market's own
/// look-ahead tells which. A model learns of it, and says that it was trained with it.
#[test]
fn what_the_market_foresees_is_learned_from() {
    let mut chance = Chance(5);
    let mut prices = Vec::new();
    while prices.len() < 27 * 288 {
        let cheap = 12 + 3 * chance.below(30);
        let dear = if chance.below(2) == 0 { 3 } else { 36 };
        prices.extend((0..cheap).map(|_| chance.price(15, 30)));
        prices.extend((0..dear).map(|_| chance.price(85, 95)));
    }
    prices.truncate(27 * 288);
    let mut of = |foreseen: bool| {
        let mut tape = tape(START, RUN, QUARTER, &prices);
        if foreseen {
            tape.told.extend(foresight(&prices, &mut chance));
            tape.told.sort_by_key(|t| (t.at, t.kind));
        }
        let from = START + days(20);
        let span = Interval { start: START, end: from - QUARTER };
        let model = train(std::slice::from_ref(&tape), &order(span)).unwrap();
        assert_eq!(model.trained.look_ahead, foreseen);
        capture(&tried(&tape, &model, from), Name::LookAhead)
    };
    let (blind, foreseeing) = (of(false), of(true));
    assert!(foreseeing <= 1.0 && foreseeing > blind + 0.02, "{foreseeing} against {blind}");
}

/// Where there is nothing to learn, what is learned costs next to nothing.
#[test]
fn noise_is_no_disgrace() {
    for (low, high) in [(10, 60), (-50, 120), (20, 39)] {
        let mut chance = Chance(11);
        let prices: Vec<Price> = (0..48 * 288).map(|_| chance.price(low, high)).collect();
        let tape = tape(START, RUN, QUARTER, &prices);
        let from = START + days(20);
        let span = Interval { start: START, end: from - QUARTER };
        let model = train(std::slice::from_ref(&tape), &order(span)).unwrap();
        let got = tried(&tape, &model, from);
        let of = |name| profit(&got, name);
        let (best, learned) = (of(Name::AlwaysOn).max(of(Name::Breakeven)), of(Name::LookAhead));
        assert!(learned >= best - best.abs() / 50, "{low} to {high}: {learned} against {best}");
    }
}

/// Nor is it where settlement prices alone are known: the price of the interval before, and that
/// two minutes late. Between two of them nothing is done.
#[test]
fn noise_known_late_is_no_disgrace() {
    for (low, high) in [(10, 60), (-50, 120), (20, 39)] {
        let mut chance = Chance(11);
        let quarter = |_| [chance.price(low, high); 3];
        let prices: Vec<Price> = (0..48 * 96).flat_map(quarter).collect();
        let mut tape = tape(START, RUN, QUARTER, &prices);
        tape.told.retain(|t| t.kind != PriceKind::Dispatch);
        tape.step = QUARTER;
        let from = START + days(20);
        let span = Interval { start: START, end: from - QUARTER };
        let model = train(std::slice::from_ref(&tape), &order(span)).unwrap();
        let got = tried(&tape, &model, from);
        let of = |name| profit(&got, name);
        let (on, learned) = (of(Name::AlwaysOn), of(Name::LookAhead));
        assert!(learned >= on - on.abs() / 20, "{low} to {high}: {learned} against {on}");
    }
}

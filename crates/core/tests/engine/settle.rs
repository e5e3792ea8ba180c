//! Settlement: known cents, and sums that are one number however they are made.

use headgate_core::settle::{
    AdderOn, AdderTerms, BlockTerms, Capacity, Charge, Class, CoincidentPeakTariff, Component,
    Demand, Deployment, DeviationPrice, DeviationTerms, Exchange, Line, Metered, Peak, Position,
    Quote, Statement, Terms, UnitId, Why, Work, coincident_peaks, counterfactual, difference,
    settle,
};
use headgate_core::site::Block;
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Energy, Money, Power, Price};
use proptest::prelude::*;

const QUARTER: Span = Span::minutes(15);
const MWH: i64 = 3_600_000_000;

fn usd(cents: i64) -> Price {
    Price(cents * 10_000)
}

fn quote(cents: i64) -> Quote {
    Quote { price: usd(cents), known_at: Time(0) }
}

fn quarter(n: i64) -> Interval {
    Interval::starting(Time::from_seconds(n * 900), QUARTER)
}

fn unit_work(unit: u32, energy: i64, revenue: i64, foreign: bool) -> Work {
    let (unit, energy, revenue) = (UnitId(unit), Energy(energy), Money(revenue));
    Work { unit, energy, revenue, foreign }
}

fn block(megawatts: i64, cents: i64) -> BlockTerms {
    BlockTerms {
        name: "block".into(),
        block: Block {
            quantity: Power(megawatts * 1_000_000),
            price: usd(cents),
            from: Time(0),
            to: Time::MAX,
            resale_fee: usd(50),
            resale_share_ppm: 1_000_000,
        },
        elsewhere: false,
    }
}

fn terms() -> Terms {
    Terms {
        currency: "USD".into(),
        step: QUARTER,
        loss_ppm: 0,
        blocks: vec![block(5, 2_800)],
        adders: vec![AdderTerms { name: "retail".into(), on: AdderOn::Import, price: usd(410) }],
        charges: Vec::new(),
        deviation: None,
    }
}

/// Energy in hundredths of a MWh.
fn metered(n: i64, hundredths: i64, cents: i64) -> Metered {
    Metered {
        energy: Some(Energy(MWH / 100 * hundredths)),
        quote: Some(quote(cents)),
        ..Metered::unknown(quarter(n))
    }
}

fn check(terms: &Terms, inputs: &[Metered]) -> String {
    let statement = settle(terms, inputs);
    let totals = statement.totals();
    let mut text: Vec<String> =
        totals.iter().map(|t| format!("{} {}", t.component.name(), t.amount)).collect();
    text.extend(statement.unsettled.iter().map(|u| format!("{:?}", u.why)));
    format!("{}; profit {}", text.join("; "), statement.profit())
}

#[test]
fn an_unused_block_is_sold_back_less_the_fee() {
    // 5 MW for a quarter is 1.25 MWh at 28: 35.00. Load 0.25 MWh leaves 1.00 MWh, sold at
    // 2398.10 - 0.50. Adder on import: 0.25 * 4.10.
    insta::assert_snapshot!(check(&terms(), &[metered(0, 25, 239_810)]), @"spot_energy 0.00; block_energy -35.00; block_resale 2397.60; adder -1.02; profit 2361.57");
}

#[test]
fn a_load_above_the_block_is_topped_up_at_spot() {
    // Load 2.25 MWh, 10 % losses: billed 2.475; 1.225 beyond the block at 40.00 is 49.00.
    let terms = Terms { loss_ppm: 100_000, ..terms() };
    insta::assert_snapshot!(check(&terms, &[metered(0, 225, 4_000)]), @"spot_energy -49.00; block_energy -35.00; block_resale 0.00; adder -10.14; profit -94.14");
}

#[test]
fn what_is_missing_is_left_out_and_counted() {
    let no_energy = Metered { energy: None, ..metered(0, 1, 1) };
    let no_price = Metered { quote: None, ..metered(1, 1, 1) };
    let no_rate = Metered { work: vec![unit_work(0, 1, 1, true)], ..metered(2, 1, 1) };
    insta::assert_snapshot!(check(&terms(), &[no_energy, no_price, no_rate]), @"NoEnergy; NoPrice; NoExchange; profit 0.00");
    let no_value = Metered { unvalued: true, ..metered(0, 1, 1) };
    insta::assert_snapshot!(check(&terms(), &[no_value]), @"NoValue; profit 0.00");
    let mut elsewhere = terms();
    elsewhere.blocks[0].elsewhere = true;
    insta::assert_snapshot!(check(&elsewhere, &[metered(0, 1, 1)]), @"NoResalePrice; profit 0.00");
    // What is not sold needs no price of the place where it would be.
    insta::assert_snapshot!(check(&elsewhere, &[metered(0, 125, 1)]), @"spot_energy 0.00; block_energy -35.00; adder -5.12; profit -40.12");
}

#[test]
fn duties_are_paid_taken_back_and_charged() {
    let terms = Terms {
        blocks: Vec::new(),
        adders: Vec::new(),
        deviation: Some(DeviationTerms {
            tolerance_ppm: 50_000,
            at_least: Power(100_000),
            price: DeviationPrice::Spot,
        }),
        ..terms()
    };
    let input = Metered {
        // 2 MW day-ahead at 30.00 for a quarter: 15.00; given back at 50.00: 25.00.
        position: Some(Position { power: Power(2_000_000), quote: quote(3_000) }),
        // 1 MW held at 20.00: 5.00; a quarter of it not delivered: 1.25 back.
        capacity: vec![Capacity { product: 0, awarded: Power(1_000_000), quote: quote(2_000) }],
        deployments: vec![Deployment {
            product: 0,
            required: Power(1_000_000),
            delivered: Power(750_000),
        }],
        // 4 MW drawn, 3 MW told, 0.15 MW forgiven: 0.85 MW for a quarter at 50.00 is 10.625.
        base_point: Some(Power(3_000_000)),
        ..metered(0, 100, 5_000)
    };
    insta::assert_snapshot!(check(&terms, &[input]), @"spot_energy -50.00; day_ahead -15.00; day_ahead_offset 25.00; capacity_payment 5.00; capacity_shortfall -1.25; base_point_deviation -10.62; profit -46.87");
}

#[test]
fn no_more_is_taken_back_than_was_paid() {
    let terms = Terms { blocks: Vec::new(), adders: Vec::new(), ..terms() };
    let call = |watts| Deployment { product: 0, required: Power(watts), delivered: Power::ZERO };
    let input = Metered {
        capacity: vec![Capacity { product: 0, awarded: Power(1_000_000), quote: quote(2_000) }],
        deployments: vec![call(750_000), call(1_500_000)],
        ..metered(0, 0, 0)
    };
    insta::assert_snapshot!(check(&terms, &[input]), @"spot_energy 0.00; capacity_payment 5.00; capacity_shortfall -5.00; profit 0.00");
}

fn four_cp() -> CoincidentPeakTariff {
    CoincidentPeakTariff {
        months: vec![6, 7, 8, 9],
        peaks: 1,
        interval: QUARTER,
        rate: Money(66_760_000),
        lag: 1,
    }
}

fn with_charges(peaks: Vec<Peak>, month: Interval) -> Terms {
    let peak = Charge::CoincidentPeak {
        name: "4CP".into(),
        tariff: four_cp(),
        from: Time(0),
        to: Time::MAX,
        peaks,
    };
    let demand = Charge::Demand(Demand {
        name: "demand".into(),
        rate: Money(5_000_000),
        from: Time(0),
        to: Time::MAX,
        months: vec![month],
    });
    Terms { blocks: Vec::new(), adders: Vec::new(), charges: vec![peak, demand], ..terms() }
}

#[test]
fn peaks_are_charged_by_the_kilowatt() {
    // 4 MW in one of four peaks: 4000 kW * 66.76 / 4 = 66,760. Highest of the month 8 MW at 5.00.
    let month = Interval { start: Time(0), end: quarter(2).start };
    let terms = with_charges(vec![Peak { interval: quarter(1), settled: true }], month);
    let inputs = [metered(0, 200, 0), metered(1, 100, 0), metered(2, 900, 0)];
    insta::assert_snapshot!(check(&terms, &inputs), @"spot_energy 0.00; coincident_peak -66760.00; demand -40000.00; profit -106760.00");
    // A peak that was not metered is not free: it is told.
    let terms = with_charges(vec![Peak { interval: quarter(7), settled: true }], month);
    insta::assert_snapshot!(check(&terms, &inputs), @"spot_energy 0.00; demand -40000.00; PeakNotSettled; profit -40000.00");
}

#[test]
fn a_demand_whose_interval_has_no_price_is_told_and_not_lowered() {
    let month = Interval { start: Time(0), end: quarter(3).start };
    let terms = with_charges(Vec::new(), month);
    // The highest quarter, 9 MWh, has no price: no smaller peak is charged in its place.
    let highest = Metered { quote: None, ..metered(1, 900, 0) };
    let inputs = [metered(0, 200, 0), highest, metered(2, 100, 0)];
    insta::assert_snapshot!(check(&terms, &inputs), @"spot_energy 0.00; NoPrice; PeakNotSettled; profit 0.00");
}

#[test]
fn work_in_another_currency_is_converted_once_and_says_by_what() {
    let exchange = Some(Exchange { nano: 6_543_219, known_at: Time(5) });
    let input = Metered {
        // 1,000 yen and 2,000 yen at 0.006543219: 6.543219 and 13.086438. The third is paid in the
        // site's own currency and is not converted.
        work: vec![
            unit_work(1, MWH, 1_000_000_000, true),
            unit_work(4, 2 * MWH, 2_000_000_000, true),
            unit_work(5, 0, 40_000_000, false),
        ],
        value: Some(quote(100_000)),
        exchange,
        ..metered(0, 300, 0)
    };
    let terms = Terms { blocks: Vec::new(), adders: Vec::new(), ..terms() };
    let statement = settle(&terms, &[input]);
    let line = statement.intervals[0].lines[0];
    assert_eq!(line.component, Component::ComputeRevenue);
    assert_eq!(line.amount, Money(6_543_219 + 13_086_438 + 40_000_000));
    assert_eq!((line.exchange, line.quote), (exchange, Some(quote(100_000))));
    let unit = |n, micro| (Some(UnitId(n)), Money(micro));
    let units = [unit(1, 6_543_219), unit(4, 13_086_438), unit(5, 40_000_000)];
    assert_eq!(statement.by_unit(), units);
}

#[test]
fn another_load_is_compared_over_what_settles_under_both() {
    let mut terms = Terms { adders: Vec::new(), ..terms() };
    terms.blocks[0].elsewhere = true;
    // The block of 1.25 MWh is used up in both quarters; asleep it would be sold at a place
    // whose price is known for the second alone.
    let second = Metered { resale: vec![Some(quote(4_850))], ..metered(1, 125, 3_000) };
    let inputs = [metered(0, 125, 3_000), second];
    let asleep = counterfactual(&terms, &inputs, |_| (Energy::ZERO, Vec::new()));
    assert_eq!(settle(&terms, &inputs).intervals.len(), 2);
    assert_eq!((asleep.actual.intervals.len(), asleep.other.intervals.len()), (1, 1));
    // Sold: 1.25 * (48.50 - 0.50) = 60.00; the block's cost of 35.00 is the same in both.
    assert_eq!(asleep.better_by(), Money(-60_000_000));
    // What was not settled is not reported for another load either.
    let unknown = [Metered { energy: None, ..metered(0, 1, 1) }];
    let asleep = counterfactual(&terms, &unknown, |_| (Energy::ZERO, Vec::new()));
    assert!(asleep.other.intervals.is_empty() && asleep.other.unsettled.is_empty());
}

#[test]
fn a_day_has_as_many_quarters_as_its_clock_shows_and_months_meet() {
    // Chicago's days of 10, 11 March and 3 November 2024 begin at these hours of UTC.
    let day = |start: i64, quarters: i64| -> Vec<Metered> {
        (0..quarters).map(|n| metered(start * 4 + n, 100, 2_000)).collect()
    };
    let spring = 475_014; // 2024-03-10T06:00Z
    let ordinary = spring + 23;
    let autumn = 480_725; // 2024-11-03T05:00Z
    let terms = Terms { blocks: Vec::new(), adders: Vec::new(), ..terms() };
    for (start, quarters) in [(spring, 92), (ordinary, 96), (autumn, 100)] {
        let statement = settle(&terms, &day(start, quarters));
        assert_eq!(statement.intervals.len(), usize::try_from(quarters).unwrap());
        // A quarter of 1 MWh at 20.00.
        assert_eq!(statement.profit(), Money(-20_000_000 * quarters));
        assert!(statement.intervals.windows(2).all(|w| w[0].interval.end == w[1].interval.start));
    }
    // A month that ends where the next begins: its last quarter is its own, and no other's.
    let edge = quarter(spring * 4 + 4).start;
    let first = Interval { start: quarter(spring * 4).start, end: edge };
    let second = Interval { start: edge, end: quarter(spring * 4 + 92).start };
    let demand = Demand {
        name: "demand".into(),
        rate: Money(1_000_000),
        from: Time(0),
        to: Time::MAX,
        months: vec![first, second],
    };
    let mut inputs = day(spring, 92);
    inputs[3].energy = Some(Energy(2 * MWH));
    inputs[4].energy = Some(Energy(3 * MWH));
    let statement = settle(&Terms { charges: vec![Charge::Demand(demand)], ..terms }, &inputs);
    // 2 MWh and 3 MWh a quarter are 8,000 kW and 12,000 kW.
    let booked: Vec<(Time, Money)> = statement
        .intervals
        .iter()
        .flat_map(|i| i.lines.iter().map(move |l| (i.interval.start, l)))
        .filter(|(_, l)| l.component == Component::Demand(0))
        .map(|(t, l)| (t, l.amount))
        .collect();
    let (a, b) = (inputs[3].interval.start, inputs[4].interval.start);
    assert_eq!(booked, [(a, Money(-8_000_000_000)), (b, Money(-12_000_000_000))]);
}

#[test]
fn the_highest_loads_of_a_month_are_its_peaks() {
    let loads = [5, 9, 9, 1].map(Power);
    let loads: Vec<_> = (0..).map(quarter).zip(loads).collect();
    let months = [Interval { start: Time(0), end: quarter(3).start }];
    let found = coincident_peaks(&four_cp(), &months, &loads, quarter(2).end);
    assert_eq!(found, [Peak { interval: quarter(1), settled: true }], "ties go to the earlier");
    let early = coincident_peaks(&four_cp(), &months, &loads[..1], quarter(0).end);
    assert_eq!(early, [Peak { interval: quarter(0), settled: false }]);
}

#[test]
fn a_correction_shows_what_it_changed() {
    let first = settle(&terms(), &[metered(0, 25, 1_000), metered(1, 25, 1_000)]);
    let latest = settle(&terms(), &[metered(0, 25, 1_000), metered(1, 25, 2_000)]);
    let change = difference(&first, &latest);
    assert_eq!(change.changes.len(), 1);
    // One MWh sold back for ten dollars more.
    assert_eq!(change.total, Money(10_000_000));
    assert_eq!(change.total, latest.profit() - first.profit());
}

prop_compose! {
    fn interval_input()(
        energy in proptest::option::weighted(0.9, 0i64..20 * MWH),
        price in proptest::option::weighted(0.9, -25_000i64..500_000),
        other in proptest::option::weighted(0.9, -25_000i64..500_000),
        position in proptest::option::of((-9_000_000i64..9_000_000, -5_000i64..90_000)),
        award in proptest::option::of((0i64..5_000_000, 0i64..500_000, 0i64..6_000_000)),
        base_point in proptest::option::of(0i64..9_000_000),
        work in proptest::collection::vec((0i64..5 * MWH, 0i64..900_000_000), 0..5),
        exchange in proptest::option::weighted(0.9, 1i64..20_000_000_000),
        unvalued in proptest::bool::weighted(0.05),
        foreign: bool,
        wear in 0i64..9_000_000,
    ) -> Metered {
        Metered {
            energy: energy.map(Energy),
            quote: price.map(quote),
            resale: vec![None, other.map(quote)],
            position: position.map(|(w, p)| Position { power: Power(w), quote: quote(p) }),
            capacity: award.iter().map(|(w, p, _)| Capacity {
                product: 3, awarded: Power(*w), quote: quote(*p),
            }).collect(),
            deployments: award.iter().map(|(w, _, got)| Deployment {
                product: 3, required: Power(*w), delivered: Power(*got),
            }).collect(),
            base_point: base_point.map(Power),
            work: (0..).zip(work).map(|(n, (e, r))| unit_work(n, e, r, foreign && n > 0)).collect(),
            exchange: exchange.map(|nano| Exchange { nano, known_at: Time(0) }),
            unvalued,
            wear: Money(wear),
            ..Metered::unknown(quarter(0))
        }
    }
}

fn random_terms(loss_ppm: i64, rates: (i64, i64), sizes: (i64, i64)) -> Terms {
    let mut second = block(sizes.1, 4_000);
    second.elsewhere = true;
    second.block.resale_share_ppm = 930_001;
    second.block.to = quarter(40).start;
    let on = [AdderOn::Import, AdderOn::Block, AdderOn::Resale];
    let adders = on.map(|on| AdderTerms { name: format!("{on:?}"), on, price: Price(4_100_003) });
    let month = |a, b| Interval { start: quarter(a).start, end: quarter(b).start };
    let mut charges =
        with_charges(vec![Peak { interval: quarter(3), settled: true }], month(0, 20));
    for charge in &mut charges.charges {
        match charge {
            Charge::CoincidentPeak { tariff, .. } => tariff.rate = Money(rates.0),
            Charge::Demand(demand) => {
                demand.rate = Money(rates.1);
                demand.months.push(month(20, 96));
            }
        }
    }
    Terms {
        loss_ppm,
        blocks: vec![block(sizes.0, 2_800), second],
        adders: adders.to_vec(),
        charges: charges.charges,
        deviation: Some(DeviationTerms {
            tolerance_ppm: 50_000,
            at_least: Power(250_000),
            price: DeviationPrice::Fixed(usd(1_234)),
        }),
        ..terms()
    }
}

fn sums(statement: &Statement) -> [Money; 4] {
    let by_class = [
        Class::ComputeRevenue,
        Class::EnergyCost,
        Class::SellBack,
        Class::Capacity,
        Class::OtherCost,
    ];
    [
        statement.intervals.iter().map(|i| i.profit()).sum(),
        statement.totals().iter().map(|t| t.amount).sum(),
        statement.by_unit().iter().map(|(_, m)| *m).sum(),
        by_class.into_iter().map(|c| statement.of(c)).sum(),
    ]
}

proptest! {
    /// By intervals, by components, by units and by parts of the profit: one number, to the
    /// micro-unit.
    #[test]
    fn nothing_is_lost_between_the_sums(
        inputs in proptest::collection::vec(interval_input(), 1..60),
        loss in 0i64..200_000,
        rates in (0i64..90_000_000, 0i64..90_000_000),
        sizes in (0i64..8, 0i64..8),
    ) {
        let inputs: Vec<Metered> =
            (0..).zip(inputs).map(|(n, i)| Metered { interval: quarter(n), ..i }).collect();
        let terms = random_terms(loss, rates, sizes);
        let statement = settle(&terms, &inputs);
        let [intervals, components, units, classes] = sums(&statement);
        prop_assert_eq!(intervals, components);
        prop_assert_eq!(intervals, units);
        prop_assert_eq!(intervals, classes);
        // Every interval is settled or told as not.
        let told = statement.unsettled.iter().filter(|u| u.why != Why::PeakNotSettled).count();
        prop_assert_eq!(statement.intervals.len() + told, inputs.len());
        // Another load is compared over the intervals that settle under both, and no others.
        let off = counterfactual(&terms, &inputs, |_| (Energy::ZERO, Vec::new()));
        let starts = |s: &Statement| -> Vec<Time> {
            s.intervals.iter().map(|i| i.interval.start).collect()
        };
        prop_assert_eq!(starts(&off.other), starts(&off.actual));
        prop_assert!(starts(&off.actual).iter().all(|t| starts(&statement).contains(t)));
        prop_assert_eq!(-off.better_by(), difference(&off.actual, &off.other).total);
        let same = |m: &Metered| (m.energy.unwrap(), m.work.clone());
        let same = counterfactual(&terms, &inputs, same);
        prop_assert_eq!(same.better_by(), Money::ZERO);
        // Where no charge fell on an unsettled interval, the load there was is the statement.
        if statement.unsettled.iter().all(|u| u.why != Why::PeakNotSettled) {
            prop_assert_eq!(same.actual.profit(), statement.profit());
        }
    }

    /// Energy at spot, block at its price, resale without fee: dt*[L*(V-P) + B*(P-K)].
    #[test]
    fn a_block_is_a_hedge_whatever_is_drawn(
        load in 0i64..3 * MWH, price in -25_000i64..500_000, size in 0i64..9,
    ) {
        let mut terms = Terms { adders: Vec::new(), blocks: vec![block(size, 2_800)], ..terms() };
        terms.blocks[0].block.resale_fee = Price::ZERO;
        let input = Metered { energy: Some(Energy(load)), ..metered(0, 0, price) };
        let got = i128::from(settle(&terms, &[input]).profit().0);
        let (price, k) = (i128::from(price) * 10_000, 28_000_000i128);
        let want = -i128::from(load) * price / i128::from(MWH)
            + i128::from(size) * (price - k) / 4;
        prop_assert!((got - want).abs() <= 3, "{got} against {want}");
    }
}

#[test]
fn a_line_says_what_it_used() {
    let statement = settle(&terms(), &[metered(0, 225, 4_000)]);
    let lines = &statement.intervals[0].lines;
    let spot: &Line = lines.iter().find(|l| l.component == Component::SpotEnergy).unwrap();
    assert_eq!(spot.quote, Some(quote(4_000)));
    assert!(spot.component.formula().contains("* P"));
}

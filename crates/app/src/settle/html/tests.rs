//! What the page says, and that nothing in it can break out of its place.

use super::*;
use crate::settle::report::{Full, Gathered, Names};
use headgate_core::settle::{AdderOn, AdderTerms, BlockTerms, Metered, Quote, Terms, UnitId, Work};
use headgate_core::site::Block;
use headgate_core::time::Span;
use headgate_core::units::Power;

const QUARTER: Span = Span::minutes(15);
/// 2024-06-01 00:00 in Chicago.
const START: Time = Time::from_seconds(1_717_218_000);

fn at(i: i64) -> Interval {
    Interval::starting(Time(START.0 + i * QUARTER.0), QUARTER)
}

fn metered(i: i64, mw: i64, dollars: i64) -> Metered {
    let interval = at(i);
    let energy = Power(mw * 1_000_000).over(QUARTER);
    let price = Price(dollars * 1_000_000);
    let quote = Some(Quote { price, known_at: interval.end + Span::minutes(2) });
    Metered { energy: Some(energy), quote, work: work(energy), ..Metered::unknown(interval) }
}

fn work(energy: Energy) -> Vec<Work> {
    let part = |unit, energy: Energy| Work {
        unit: UnitId(unit),
        energy,
        revenue: Price(95_000_000).of(energy),
        foreign: false,
    };
    let half = Energy(energy.0 / 2);
    vec![part(0, half), part(1, energy - half)]
}

fn terms() -> Terms {
    let block = Block {
        quantity: Power(5_000_000),
        price: Price(28_000_000),
        from: Time::MIN,
        to: Time::MAX,
        resale_fee: Price(500_000),
        resale_share_ppm: 1_000_000,
    };
    let blocks = vec![BlockTerms { name: "A".into(), block, elsewhere: false }];
    let price = Price(4_100_000);
    let adders = vec![AdderTerms { name: "<retail>".into(), on: AdderOn::Import, price }];
    Terms {
        currency: "USD".into(),
        step: QUARTER,
        loss_ppm: 0,
        blocks,
        adders,
        charges: Vec::new(),
        deviation: None,
    }
}

/// A month of quarter hours with an evening spike a day, load off above 95, one gap.
fn month(days: i64) -> Vec<Metered> {
    let mut all = Vec::new();
    for i in 0..days * 96 {
        let of_day = i % 96;
        let price = match of_day {
            72..=75 => 400 + 40 * (i / 96),
            40..=50 => -5,
            _ => 18 + of_day / 4,
        };
        let mut m = metered(i, if price > 95 { 0 } else { 6 }, price);
        if (200..204).contains(&i) {
            m.energy = None;
        }
        all.push(m);
    }
    all
}

fn report(site: &str, intervals: Vec<Metered>, first: Option<Vec<Metered>>) -> Report {
    let span = Interval { start: START, end: intervals[intervals.len() - 1].interval.end };
    let full = |m: &Metered| {
        let energy = Power(7_000_000).over(m.interval.length());
        (energy, work(energy))
    };
    let off = |_: &Metered| (Energy::ZERO, work(Energy::ZERO));
    let names = Names {
        blocks: vec!["5 MW".into()],
        adders: vec!["<retail>".into()],
        units: vec!["east".into(), "west".into()],
        ..Names::default()
    };
    Report::of(Gathered {
        site: site.into(),
        point: "LZ_WEST (LZ)".into(),
        zone: "America/Chicago".into(),
        span,
        terms: terms(),
        names,
        intervals,
        first,
        strike: Some(Price(60_000_000)),
        full: Some(Full { on: &full, off: &off }),
        sources: vec!["prices.csv, posted 2024-07-01".into()],
        notes: vec!["each reading is taken to cover 15 min".into()],
    })
}

#[test]
fn figures_read_as_on_an_invoice() {
    assert_eq!(money(Money(1_234_567_895_000)), "1,234,567.90");
    assert_eq!(money(Money(-995_000)), "\u{2212}1.00", "half to even");
    assert_eq!(money(Money(-4_999)), "0.00");
    assert_eq!(money(Money(1_005_000)), "1.00");
    assert_eq!(mwh(Energy(3_600_000_000 * 12_345)), "12,345.000");
    assert_eq!(mean(Money(5), Energy::ZERO), None);
}

#[test]
fn the_page_holds_every_part_and_no_way_out() {
    let mut first = month(3);
    first[10].quote = first[10].quote.map(|q| Quote { price: Price(90_000_000), ..q });
    let page = page(&report("Pecos <script>alert(1)</script>", month(3), Some(first)));
    for part in [
        "Settlement statement",
        "2024-06-01 00:00 to 2024-06-04 00:00 (America/Chicago)",
        "<h2>Components</h2>",
        "Block sold back: 5 MW",
        "Adder: &lt;retail&gt;",
        "<h2>Against other ways to run</h2>",
        "Fixed strike 60.00",
        "<h2>By day</h2>",
        "<h2>By unit</h2>",
        "1 intervals settle differently",
        "2024-06-03 02:00 to 2024-06-03 03:00: the meter told nothing, or not all of it",
        "-B * dt * K",
        "prices.csv, posted 2024-07-01",
    ] {
        assert!(page.contains(part), "the page lacks `{part}`");
    }
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(!page.contains("<script"), "escaped");
    // Nothing is fetched: the only addresses are names of namespaces.
    let links = page.matches("http").count();
    assert_eq!(links, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
    for tag in ["table", "section", "tr", "svg", "figure", "main", "header", "ol"] {
        let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
        let opened =
            page.matches(&open).count() - page.matches("<thead").count() * usize::from(tag == "th");
        assert_eq!(opened, page.matches(&close).count(), "{tag} is closed as often as opened");
    }
}

#[test]
fn the_page_sums_to_the_statement() {
    let report = report("Pecos", month(3), None);
    let page = page(&report);
    let profit = money(report.statement.profit());
    // The tile, the components' foot, the days' foot, the units' foot, and "as run".
    assert!(page.matches(&format!(">{profit}<")).count() >= 5, "{profit}");
}

#[test]
fn a_statement_of_nothing_is_still_a_page() {
    let nothing: Vec<Metered> = (0..4).map(|i| Metered::unknown(at(i))).collect();
    let page = page(&report("Pecos", nothing, None));
    assert!(page.contains("Nothing could be settled") && !page.contains("<svg"));
    assert!(page.contains("2024-06-01 00:00 to 2024-06-01 01:00"));
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

/// Writes a month's page where `HEADGATE_PAGE` says, for a person to look at.
#[test]
fn a_month_fits_on_paper() {
    let mut first = month(30);
    for m in first.iter_mut().step_by(331) {
        m.quote = m.quote.map(|q| Quote { price: q.price + Price(12_340_000), ..q });
    }
    let page = page(&report("Pecos 1", month(30), Some(first)));
    assert!(page.len() < 400_000, "a page of {} bytes", page.len());
    if let Some(path) = std::env::var_os("HEADGATE_PAGE") {
        std::fs::write(path, page).unwrap();
    }
}

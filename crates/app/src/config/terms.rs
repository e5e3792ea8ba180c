//! What only a settlement needs: charges for peaks, adders by name, where blocks are sold back,
//! losses, and how far a load may stray from its base point.

use super::raw::{AdderOn as RawAdderOn, ChargeKind, RawCharge, RawConfig, RawPeaks, Spanned};
use super::resolve::{Check, value};
use super::unit::DemandRate;
use headgate_core::market::SettlementPoint;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::settle::{
    AdderOn, AdderTerms, BlockTerms, Charge, CoincidentPeakTariff, Demand, DeviationPrice,
    DeviationTerms, Terms,
};
use headgate_core::site::Block;
use headgate_core::time::Span;
use headgate_core::units::{Money, Price};

/// Charges of one site.
const CHARGES_MAX: usize = 64;
/// Adders of one site.
const ADDERS_MAX: usize = 64;
/// Peaks of one month.
const PER_MONTH_MAX: u8 = 31;
/// Months of a year.
const MONTHS: i64 = 12;

/// Resolves them; peaks and the months of demand charges are the settlement's to find.
pub(super) fn terms(
    check: &mut Check<'_>,
    raw: &RawConfig,
    blocks: &[Block],
    resale: &[SettlementPoint],
) -> Terms {
    if let Some(over) = raw.charge.get(CHARGES_MAX) {
        let message = format!("a site has at most {CHARGES_MAX} charges: join some");
        check.wrong(&over.kind.span(), message);
    }
    if let Some(over) = raw.adder.get(ADDERS_MAX) {
        let message = format!("a site has at most {ADDERS_MAX} adders: join some");
        check.wrong(&over.on.span(), message);
    }
    let mut adders = Vec::new();
    for adder in &raw.adder {
        let on = match adder.on.get_ref() {
            RawAdderOn::Import => AdderOn::Import,
            RawAdderOn::Block => AdderOn::Block,
            RawAdderOn::Resale => AdderOn::Resale,
        };
        if on != AdderOn::Import && raw.contract.is_empty() {
            check.warn(&adder.on.span(), "there is no `[[contract]]` it could be paid on");
        }
        let name = check.name(&adder.name);
        adders.push(AdderTerms { name, on, price: check.amount(&adder.price) });
    }
    let charges = raw.charge.iter().map(|c| charge(check, c)).collect();
    let deviation = raw.settlement.base_point.as_ref().map(|b| DeviationTerms {
        tolerance_ppm: value(&b.tolerance).0,
        at_least: value(&b.at_least),
        price: match &b.price {
            Some(price) => DeviationPrice::Fixed(check.amount(price)),
            None => DeviationPrice::Spot,
        },
    });
    let own = own_point(raw);
    let of = |on| sum(&adders, on);
    let named =
        blocks.iter().zip(resale.iter()).enumerate().map(|(i, (block, point))| BlockTerms {
            name: format!("block {}", i + 1),
            // The engine's blocks hold the adders already; here they have lines of their own.
            block: Block {
                price: block.price - of(AdderOn::Block),
                resale_fee: block.resale_fee - of(AdderOn::Resale),
                ..block.clone()
            },
            elsewhere: *point != own,
        });
    let blocks = named.collect();
    Terms {
        currency: check.currency().to_owned(),
        step: check.market.rule.settle_step,
        loss_ppm: raw.settlement.losses.as_ref().map_or(0, |l| value(l).0),
        blocks,
        adders,
        charges,
        deviation,
    }
}

/// The site's own settlement point.
fn own_point(raw: &RawConfig) -> SettlementPoint {
    let own = &raw.site.settlement_point;
    headgate_feeds::settlement_point(own.name.get_ref(), &own.kind)
}

/// Where each block is sold back, in the order of the blocks.
pub(super) fn resale(raw: &RawConfig) -> Vec<SettlementPoint> {
    let blocks = raw.contract.iter().filter(|c| c.kind.get_ref() == "block");
    let of = |contract: &super::raw::RawContract| {
        let (resale, own) = (&contract.resale, own_point(raw));
        match &resale.kind {
            None if *resale.point.get_ref() == own.name => own,
            kind => {
                let kind = kind.as_deref().unwrap_or_default();
                headgate_feeds::settlement_point(resale.point.get_ref(), kind)
            }
        }
    };
    blocks.map(of).collect()
}

fn sum(adders: &[AdderTerms], on: AdderOn) -> Price {
    adders.iter().filter(|a| a.on == on).map(|a| a.price).sum()
}

fn charge(check: &mut Check<'_>, raw: &RawCharge) -> Charge {
    let kind = *raw.kind.get_ref();
    let word = match kind {
        ChargeKind::CoincidentPeak => "coincident peak",
        ChargeKind::Demand => "demand",
    };
    let name = raw.name.as_ref().map_or_else(|| word.to_owned(), |n| check.name(n));
    let DemandRate { per_kw, months } = check.amount(&raw.rate);
    if value(&raw.term.1) < value(&raw.term.0) {
        check.wrong(&raw.term.1.span(), "the term ends before it begins: swap its two dates");
    }
    let (from, to) = (check.midnight(&raw.term.0, false), check.midnight(&raw.term.1, true));
    let lag = lag(check, raw);
    match (kind, &raw.peaks) {
        (ChargeKind::CoincidentPeak, Some(p)) => {
            let Peaks { months: of, per_month, interval } = peaks(check, p.get_ref());
            // A rate by the month is paid in each of twelve.
            let rate = if months == 1 { per_kw.times(MONTHS) } else { per_kw };
            let tariff = CoincidentPeakTariff { months: of, peaks: per_month, interval, rate, lag };
            return Charge::CoincidentPeak { name, tariff, from, to, peaks: Vec::new() };
        }
        (ChargeKind::CoincidentPeak, None) => {
            let message = "a coincident peak needs `peaks = { months = [6, 7, 8, 9], per_month \
                           = 1, interval = \"15 min\" }`";
            check.wrong(&raw.kind.span(), message);
        }
        (ChargeKind::Demand, Some(p)) => {
            check.wrong(&p.span(), "a demand charge takes the month's own peak: take this out");
        }
        (ChargeKind::Demand, None) => {}
    }
    let yearly = Money(to_i64(div_half_even(i128::from(per_kw.0), i128::from(MONTHS))));
    let rate = if months == 1 { per_kw } else { yearly };
    Charge::Demand(Demand { name, rate, from, to, months: Vec::new() })
}

/// Years between a peak and its bills.
fn lag(check: &mut Check<'_>, raw: &RawCharge) -> u8 {
    let kind = *raw.kind.get_ref();
    let peak = kind == ChargeKind::CoincidentPeak;
    match raw.applies.as_ref().map(|a| (a.span(), a.get_ref().as_str())) {
        None | Some((_, "next year")) if peak => 1,
        Some((_, "same year")) if peak => 0,
        None | Some((_, "same month")) if !peak => 0,
        Some((at, _)) => {
            let message = match kind {
                ChargeKind::Demand => "a demand charge applies in the \"same month\"",
                ChargeKind::CoincidentPeak => "write \"next year\" or \"same year\"",
            };
            check.wrong(&at, message);
            0
        }
        None => 0,
    }
}

/// Which peaks of the system count.
struct Peaks {
    months: Vec<u8>,
    per_month: u8,
    interval: Span,
}

fn peaks(check: &mut Check<'_>, raw: &RawPeaks) -> Peaks {
    let mut months: Vec<u8> = raw.months.get_ref().clone();
    months.sort_unstable();
    months.dedup();
    let whole = months.len() == raw.months.get_ref().len() && !months.is_empty();
    if !whole || months.iter().any(|m| !(1..=12).contains(m)) {
        check.wrong(&raw.months.span(), "name months from 1 to 12, each once");
    }
    let per_month: &Spanned<u8> = &raw.per_month;
    if !(1..=PER_MONTH_MAX).contains(per_month.get_ref()) {
        check.wrong(&per_month.span(), format!("use 1 to {PER_MONTH_MAX} peaks a month"));
    }
    let (interval, step) = (value(&raw.interval), check.market.rule.settle_step);
    if interval.0 < step.0 || interval.0 % step.0 != 0 {
        let message = format!("a peak lasts a whole number of settlement intervals of {step}");
        check.wrong(&raw.interval.span(), message);
    }
    Peaks { months, per_month: *per_month.get_ref(), interval }
}

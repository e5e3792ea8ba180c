//! What only a settlement needs: charges for peaks, adders by name, where blocks are sold back,
//! how far a load may stray from its base point.

use super::raw::{RawCharge, RawConfig, RawPeaks, Spanned};
use super::resolve::{Check, value};
use super::unit::DemandRate;
use headgate_core::market::SettlementPoint;
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Power, Price};

pub use super::raw::{AdderOn, ChargeKind};

/// Charges of one site.
const CHARGES_MAX: usize = 64;
/// Adders of one site.
const ADDERS_MAX: usize = 64;
/// Peaks of one month.
const PER_MONTH_MAX: u8 = 31;

/// What a settlement charges and pays beside energy and blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Prices on top, by name.
    pub adders: Vec<Adder>,
    /// Charges for peaks, dated.
    pub charges: Vec<Charge>,
    /// Where each block is sold back, in the order of the blocks.
    pub resale: Vec<SettlementPoint>,
    /// How far the load may stray from its base point; `None` charges nothing for it.
    pub base_point: Option<BasePoint>,
}

/// A price paid on top of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adder {
    /// What people call it.
    pub name: String,
    /// What it is paid on.
    pub on: AdderOn,
    /// How much.
    pub price: Price,
}

/// A charge for a peak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// What people call it.
    pub name: String,
    /// Whose peak counts: the system's or the site's own.
    pub kind: ChargeKind,
    /// Which peaks of the system; `None` for a demand charge.
    pub peaks: Option<Peaks>,
    /// Money for a kilowatt.
    pub per_kw: Money,
    /// For how many months that pays: 12 or 1.
    pub months: u8,
    /// When it is billed.
    pub applies: Applies,
    /// First moment of its term.
    pub from: Time,
    /// First moment after its term.
    pub to: Time,
}

/// Which peaks of the system count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peaks {
    /// Months, from 1 to 12, in order.
    pub months: Vec<i8>,
    /// How many in each.
    pub per_month: u8,
    /// How long each lasts.
    pub interval: Span,
}

/// When a charge is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// In the month of the peak.
    SameMonth,
    /// Over the year of the peaks.
    SameYear,
    /// Over the year after the peaks.
    NextYear,
}

/// How far a load may stray from its base point without being charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasePoint {
    /// Share of the base point, in parts per million.
    pub tolerance_ppm: i64,
    /// And no less than this.
    pub at_least: Power,
    /// Price of energy beyond it; `None` is the settlement price.
    pub price: Option<Price>,
}

/// Resolves them.
pub(super) fn terms(check: &mut Check<'_>, raw: &RawConfig) -> Terms {
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
        let name = check.name(&adder.name);
        adders.push(Adder { name, on: *adder.on.get_ref(), price: check.amount(&adder.price) });
        if *adder.on.get_ref() != AdderOn::Import && raw.contract.is_empty() {
            check.warn(&adder.on.span(), "there is no `[[contract]]` it could be paid on");
        }
    }
    let charges = raw.charge.iter().map(|c| charge(check, c)).collect();
    let resale = raw.contract.iter().filter(|c| c.kind.get_ref() == "block").map(|contract| {
        let (own, resale) = (&raw.site.settlement_point, &contract.resale);
        match (resale.point.get_ref() == own.name.get_ref(), &resale.kind) {
            (true, None) => headgate_feeds::settlement_point(own.name.get_ref(), &own.kind),
            (_, kind) => {
                let kind = kind.as_deref().unwrap_or_default();
                headgate_feeds::settlement_point(resale.point.get_ref(), kind)
            }
        }
    });
    let resale = resale.collect();
    let base_point = raw.settlement.base_point.as_ref().map(|b| BasePoint {
        tolerance_ppm: value(&b.tolerance).0,
        at_least: value(&b.at_least),
        price: b.price.as_ref().map(|p| check.amount(p)),
    });
    Terms { adders, charges, resale, base_point }
}

fn charge(check: &mut Check<'_>, raw: &RawCharge) -> Charge {
    let kind = *raw.kind.get_ref();
    let (word, default) = match kind {
        ChargeKind::CoincidentPeak => ("coincident peak", Applies::NextYear),
        ChargeKind::Demand => ("demand", Applies::SameMonth),
    };
    let name = raw.name.as_ref().map_or_else(|| word.to_owned(), |n| check.name(n));
    let DemandRate { per_kw, months } = check.amount(&raw.rate);
    let first = value(&raw.term.0);
    if value(&raw.term.1) < first {
        check.wrong(&raw.term.1.span(), "the term ends before it begins: swap its two dates");
    }
    let applies = match raw.applies.as_ref().map(|a| (a.span(), a.get_ref().as_str())) {
        None => default,
        Some((_, "same month")) if kind == ChargeKind::Demand => Applies::SameMonth,
        Some((_, "same year")) if kind == ChargeKind::CoincidentPeak => Applies::SameYear,
        Some((_, "next year")) if kind == ChargeKind::CoincidentPeak => Applies::NextYear,
        Some((at, _)) => {
            let message = match kind {
                ChargeKind::Demand => "a demand charge applies in the \"same month\"",
                ChargeKind::CoincidentPeak => "write \"next year\" or \"same year\"",
            };
            check.wrong(&at, message);
            default
        }
    };
    let peaks = match (kind, &raw.peaks) {
        (ChargeKind::CoincidentPeak, Some(p)) => Some(peaks(check, p.get_ref())),
        (ChargeKind::CoincidentPeak, None) => {
            let message = "a coincident peak needs `peaks = { months = [6, 7, 8, 9], per_month \
                           = 1, interval = \"15 min\" }`";
            check.wrong(&raw.kind.span(), message);
            None
        }
        (ChargeKind::Demand, Some(p)) => {
            check.wrong(&p.span(), "a demand charge takes the month's own peak: take this out");
            None
        }
        (ChargeKind::Demand, None) => None,
    };
    let (from, to) = (check.midnight(&raw.term.0, false), check.midnight(&raw.term.1, true));
    Charge { name, kind, peaks, per_kw, months, applies, from, to }
}

fn peaks(check: &mut Check<'_>, raw: &RawPeaks) -> Peaks {
    let mut months: Vec<i8> = raw.months.get_ref().clone();
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

//! Money and energy per settlement interval, from measured power only.

use crate::limits::LEDGER_KEPT_MAX;
use crate::settle::draw;
use crate::site::Site;
use crate::time::{Interval, Span, Time};
use crate::units::{Energy, Money, Power, Price};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// One settlement interval as measured and priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerInterval {
    /// Which.
    pub interval: Interval,
    /// Energy at the meter; of the measured part of the interval only.
    pub energy: Energy,
    /// How long power was known in it. Missing is not zero: the rest is unknown, not free.
    pub measured: Span,
    /// Its price: expected until the published one is known.
    pub price: Option<Price>,
    /// Whether the price is the published one.
    pub published: bool,
    /// What the work done was worth.
    pub compute_revenue: Money,
    /// What the energy cost: block at its price, top-up at the market price, adders.
    pub energy_cost: Money,
    /// What came in for block energy sold back.
    pub sell_back: Money,
}

impl LedgerInterval {
    fn new(interval: Interval) -> Self {
        Self {
            interval,
            energy: Energy::ZERO,
            measured: Span::ZERO,
            price: None,
            published: false,
            compute_revenue: Money::ZERO,
            energy_cost: Money::ZERO,
            sell_back: Money::ZERO,
        }
    }

    /// Work less energy plus sell-back.
    #[must_use]
    pub fn profit(&self) -> Money {
        self.compute_revenue - self.energy_cost + self.sell_back
    }

    /// Prices the interval. The block counts for the measured part, as the load does.
    pub fn settle(&mut self, site: &Site, price: Price, published: bool) {
        self.price = Some(price);
        self.published = published;
        self.energy_cost = site.import_adder.of(self.energy);
        self.sell_back = Money::ZERO;
        let blocks = site.blocks.iter().filter(|b| b.in_force(self.interval.start));
        let (mut cost, mut back) = (Money::ZERO, Money::ZERO);
        let rest = draw(self.energy, self.measured, blocks, |block, used| {
            cost += block.price.of(used.bought);
            back += block.resale(price).of(used.unused);
        });
        self.energy_cost += cost;
        self.sell_back += back;
        self.energy_cost += price.of(rest);
    }
}

/// The running account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    open: Option<LedgerInterval>,
    kept: VecDeque<LedgerInterval>,
    /// Sum over all intervals closed so far, corrections included.
    pub total: Totals,
    until: Option<Time>,
}

/// Sums over intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Energy at the meter.
    pub energy: Energy,
    /// What the work done was worth.
    pub compute_revenue: Money,
    /// What the energy cost.
    pub energy_cost: Money,
    /// What came in for block energy sold back.
    pub sell_back: Money,
}

impl Default for Totals {
    fn default() -> Self {
        let zero = Money::ZERO;
        Self { energy: Energy::ZERO, compute_revenue: zero, energy_cost: zero, sell_back: zero }
    }
}

impl Totals {
    /// Work less energy plus sell-back.
    #[must_use]
    pub fn profit(&self) -> Money {
        self.compute_revenue - self.energy_cost + self.sell_back
    }

    fn count(&mut self, i: &LedgerInterval, sign: i64) {
        self.energy += i.energy.times(sign);
        self.compute_revenue += i.compute_revenue.times(sign);
        self.energy_cost += i.energy_cost.times(sign);
        self.sell_back += i.sell_back.times(sign);
    }
}

/// What was so while time passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct During {
    /// Import at the meter; `None` is unknown.
    pub power: Option<Power>,
    /// Value of the work, currency per hour; `None` is unknown.
    pub earning: Option<Money>,
    /// The price expected for the interval that was running.
    pub price: Option<Price>,
}

impl Ledger {
    /// Lets time pass to `now` with things as they were; returns the intervals that closed.
    pub fn pass(&mut self, site: &Site, now: Time, during: During) -> Vec<LedgerInterval> {
        let step = site.market.settle_step;
        let mut closed = Vec::new();
        let mut from = self.until.replace(now).unwrap_or(now);
        // A pause longer than what is kept is not filled in: nothing was measured.
        if now.since(from) > Span(step.0.saturating_mul(LEDGER_KEPT_MAX as i64)) {
            from = now;
        }
        while from < now {
            let interval = from.interval(step);
            let to = interval.end.min(now);
            let open = self.open.get_or_insert_with(|| LedgerInterval::new(interval));
            if open.interval != interval {
                // The clock was stepped into another interval: close what was open as it is.
                let was = std::mem::replace(open, LedgerInterval::new(interval));
                closed.push(self.close(was));
            }
            let open = self.open.as_mut().expect("an interval was just opened");
            let span = to.since(from);
            if let Some(power) = during.power {
                open.energy += power.over(span);
                open.measured = open.measured + span;
                let hours = |m: Money| i128::from(m.0) * i128::from(span.0);
                let earned = during.earning.map_or(0, hours);
                let hour = i128::from(Span::hours(1).0);
                open.compute_revenue +=
                    Money(crate::number::to_i64(crate::number::div_half_even(earned, hour)));
            }
            if let Some(price) = during.price.filter(|_| !open.published) {
                open.settle(site, price, false);
            }
            if to == interval.end {
                let was = self.open.take().expect("an interval was just opened");
                closed.push(self.close(was));
            }
            from = to;
        }
        closed
    }

    /// Forgets where it was after a clock step: the time in between means nothing.
    pub fn restart(&mut self) {
        self.until = None;
    }

    fn close(&mut self, interval: LedgerInterval) -> LedgerInterval {
        self.total.count(&interval, 1);
        self.kept.push_back(interval);
        while self.kept.len() > LEDGER_KEPT_MAX {
            self.kept.pop_front();
        }
        interval
    }

    /// Whether an interval that is kept has its published price.
    #[must_use]
    pub fn published(&self, start: Time) -> bool {
        self.kept.iter().any(|i| i.interval.start == start && i.published)
    }

    /// Corrects an interval by its published price; returns it when it changed.
    pub fn correct(&mut self, site: &Site, start: Time, price: Price) -> Option<LedgerInterval> {
        let at = self.kept.iter().position(|i| i.interval.start == start)?;
        let entry = &mut self.kept[at];
        if entry.published && entry.price == Some(price) {
            return None;
        }
        let before = *entry;
        entry.settle(site, price, true);
        let after = *entry;
        self.total.count(&before, -1);
        self.total.count(&after, 1);
        Some(after)
    }

    /// The interval now running.
    #[must_use]
    pub fn open(&self) -> Option<&LedgerInterval> {
        self.open.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Block;
    use crate::testing::site;
    use proptest::prelude::*;

    fn block() -> Block {
        Block {
            quantity: Power(5_000_000),
            price: Price(28_000_000),
            from: Time(0),
            to: Time::MAX,
            resale_fee: Price(500_000),
            resale_share_ppm: 1_000_000,
        }
    }

    proptest! {
        /// profit = dt*[L*(V - P - adders) + B*(P - K)] when resale has no fee (DESIGN §3).
        #[test]
        fn profit_follows_the_formula(load in 0i64..10_000_000, price in -250i64..5000) {
            let mut site = site(1);
            site.import_adder = Price(4_100_000);
            site.blocks = vec![Block { resale_fee: Price::ZERO, ..block() }];
            let mut ledger = Ledger::default();
            let during = During {
                power: Some(Power(load)),
                earning: Some(Money(0)),
                price: Some(Price(price * 1_000_000)),
            };
            ledger.pass(&site, Time(0), during);
            let closed = ledger.pass(&site, Time(0) + Span::minutes(15), during);
            let (l, b) = (i128::from(load), 5_000_000i128);
            let hour4 = -l * i128::from(price) - l * 41 / 10 + b * i128::from(price - 28);
            let want = hour4 / 4;
            let got = i128::from(closed[0].profit().0);
            prop_assert!((got - want).abs() <= 4, "{} against {}", got, want);
        }
    }

    #[test]
    fn a_published_price_corrects_and_unknown_power_is_not_zero() {
        let site = site(1);
        let mut ledger = Ledger::default();
        let known = During {
            power: Some(Power(4_000_000)),
            earning: Some(Money(100_000_000)),
            price: Some(Price(50_000_000)),
        };
        ledger.pass(&site, Time(0), known);
        ledger.pass(&site, Time(0) + Span::minutes(5), known);
        let unknown = During { power: None, ..known };
        let closed = ledger.pass(&site, Time(0) + Span::minutes(20), unknown);
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].measured, Span::minutes(5));
        assert_eq!(ledger.total.energy_cost.to_string(), "16.66");
        let corrected = ledger.correct(&site, Time(0), Price(5_000_000_000)).unwrap();
        assert_eq!(corrected.energy_cost.to_string(), "1666.66");
        assert_eq!(ledger.total.energy_cost, corrected.energy_cost);
        assert!(ledger.correct(&site, Time(0), Price(5_000_000_000)).is_none());
    }
}

//! What the engine can see now: the price to expect, the power measured, what the work is worth.

use super::Engine;
use crate::ledger::During;
use crate::market::{Expected, PriceKind};
use crate::merit::Staircase;
use crate::number::{div_half_even, to_i64};
use crate::policy::discounted;
use crate::site::{Site, Value};
use crate::time::{Span, Time};
use crate::units::{Money, Power, Price};

/// How a missing real-time price is lived with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// A real-time price is there.
    None,
    /// Lost a moment ago: hold.
    Holding {
        /// Since when.
        since: Time,
    },
    /// Lost for long: by the day-ahead curve, never up.
    ByDayAhead {
        /// Since when.
        since: Time,
    },
    /// Lost for long and no day-ahead price either.
    Otherwise {
        /// Since when.
        since: Time,
    },
}

impl Engine {
    /// The price to expect, by the healthy feed of the lowest rank; dispatch before settlement.
    pub(super) fn price(&self, now: Time) -> (Option<Expected>, Loss) {
        let Some(site) = self.site.as_deref() else { return (None, Loss::None) };
        let mut last_known: Option<Expected> = None;
        let mut lost_since = self.feeds_since.unwrap_or(now);
        for role in [PriceKind::Dispatch, PriceKind::Settlement] {
            for (feed, i) in ranked(site, role) {
                let book = &self.books[i];
                let expected = match role {
                    PriceKind::Dispatch => book.expected_from_runs(now, site.market.settle_step),
                    _ => book.expected_from_settlements(now),
                };
                if expected.is_some() && book.fresh(now, feed.stale_after) {
                    return (expected, Loss::None);
                }
                if let Some(newest) = book.newest {
                    lost_since = lost_since.max(newest + feed.stale_after);
                }
                last_known = last_known.or(expected);
            }
        }
        let rule = &site.failsafe.dispatch_price;
        if now.since(lost_since) < rule.hold {
            return (last_known, Loss::Holding { since: lost_since });
        }
        let day_ahead = ranked(site, PriceKind::DayAhead)
            .find_map(|(_, i)| self.books[i].day_ahead_at(now))
            .filter(|_| rule.day_ahead);
        match day_ahead {
            Some(e) => (Some(e), Loss::ByDayAhead { since: lost_since }),
            None => (last_known, Loss::Otherwise { since: lost_since }),
        }
    }

    /// Import as last measured: a reporting meter that is fresh, else the machines' own watts
    /// with overhead added. Missing is not zero.
    #[must_use]
    pub fn measured_import(&self) -> Option<Power> {
        if let Some((power, _)) = self.metered(self.now?) {
            return Some(power);
        }
        self.machine_import()
    }

    /// Import by the machines' own watts as last measured, overhead added.
    pub(super) fn machine_import(&self) -> Option<Power> {
        let site = self.site.as_deref()?;
        let mut machines = Power::ZERO;
        for sum in &self.sums {
            machines += (*sum)?.power;
        }
        (!self.sums.is_empty()).then(|| site.overhead.meter(machines))
    }

    /// What the work done now earns in an hour, by the rate the drivers measure.
    #[must_use]
    pub fn earning(&self) -> Option<Money> {
        let site = self.site.as_deref()?;
        let mut earning = Money::ZERO;
        for (cohort, sum) in site.cohorts.iter().zip(&self.sums) {
            let sum = (*sum)?;
            earning += match (cohort.value, site.value) {
                (Some(price), _) | (None, Value::Energy(price)) => {
                    price.of(sum.power.over(Span::hours(1)))
                }
                (None, Value::Hashprice { pool_fee_ppm, .. }) => {
                    let gross = i128::from(self.stairs_for?.0) * i128::from(sum.rate.0);
                    let net = gross * i128::from(1_000_000 - pool_fee_ppm);
                    // Per PH/s and day, from GH/s, for one hour.
                    Money(to_i64(div_half_even(net, 24 * 1_000_000 * 1_000_000)))
                }
            };
        }
        Some(earning)
    }

    pub(super) fn during(&self) -> During {
        During { power: self.measured_import(), earning: self.earning(), price: self.settling }
    }

    /// The hash price in force, discounted when it is older than allowed.
    pub(super) fn hashprice_now(&self, now: Time) -> (Option<Money>, bool) {
        let Some(site) = self.site.as_deref() else { return (None, false) };
        let Value::Hashprice { stale_after, stale_discount_ppm, .. } = site.value else {
            return (None, false);
        };
        let Some(h) = self.hashprice else { return (None, true) };
        if now.since(h.known_at) <= stale_after {
            return (Some(h.per_ph_day), false);
        }
        (Some(Money(discounted(h.per_ph_day.0, stale_discount_ppm))), true)
    }

    /// Builds the staircase anew when what it was built for has changed.
    pub(super) fn refresh_stairs(&mut self, now: Time) {
        let (hashprice, _) = self.hashprice_now(now);
        if self.stairs.is_some() && self.stairs_for == hashprice {
            return;
        }
        let Some(site) = self.site.as_deref() else { return };
        self.stairs = Staircase::of(site, hashprice);
        self.stairs_for = hashprice;
    }

    /// The fleet's energy-weighted break-even at the meter.
    #[must_use]
    pub fn mean_breakeven(&self) -> Option<Price> {
        let counts: Vec<u64> = self
            .roster
            .tallies()
            .iter()
            .map(|t| u64::from(t.range.1.saturating_sub(t.range.0)))
            .collect();
        self.stairs.as_ref()?.mean(&counts)
    }
}

/// Feeds of a role by rank, with their index.
fn ranked(site: &Site, role: PriceKind) -> impl Iterator<Item = (&crate::site::Feed, usize)> {
    let next = move |after: Option<(u16, usize)>| {
        let all = site.feeds.iter().enumerate().filter(|(_, f)| f.role == role);
        let places = all.map(|(i, f)| (f.rank, i));
        places.filter(|place| after.is_none_or(|after| *place > after)).min()
    };
    let places = std::iter::successors(next(None), move |last| next(Some(*last)));
    places.map(|(_, i)| (&site.feeds[i], i))
}

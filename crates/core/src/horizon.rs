//! When to pay for a restart: an online rule with a proven bound.
//!
//! Stopping and starting again costs a start. Half of it is charged to the stop, half to the
//! start. A machine that runs at a loss stops as soon as the loss since the price crossed its
//! break-even, plus the loss it is sure to avoid in its shortest stop, reaches its half (and a
//! sleeping one starts likewise). This is the ski-rental rule: never worse than twice the best
//! in hindsight, and with nothing sure to be avoided it waits, with a tall spike it acts at once.

use crate::number::{div_ceil, div_half_even, to_i64};
use crate::time::Span;
use crate::units::{Money, Power, Price, WATT_SECONDS_PER_MWH};
use serde::{Deserialize, Serialize};

/// Regret of one cohort for staying as it is, per machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regret {
    /// Loss since the price crossed the break-even upwards, for a machine that runs.
    pub running: Money,
    /// Profit missed since it crossed downwards, for a machine that sleeps.
    pub sleeping: Money,
}

/// What the rule needs to know of a cohort's first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstStep {
    /// Break-even at the meter.
    pub breakeven: Price,
    /// Power at the meter that the step adds to one machine.
    pub power: Power,
    /// Cost of one start.
    pub start_cost: Money,
    /// Shortest time asleep.
    pub min_off: Span,
    /// Shortest time awake.
    pub min_on: Span,
}

impl Regret {
    /// No regret yet.
    pub const NONE: Self = Self { running: Money::ZERO, sleeping: Money::ZERO };

    /// Counts a span that has passed at a price.
    pub fn pass(&mut self, step: &FirstStep, price: Price, span: Span) {
        let lost = (price - step.breakeven).of(step.power.over(span));
        self.running = if lost.0 > 0 { self.running + lost } else { Money::ZERO };
        self.sleeping = if lost.0 < 0 { self.sleeping - lost } else { Money::ZERO };
        // Bounded: once it suffices to act, more of it means nothing.
        self.running = self.running.min(step.start_cost);
        self.sleeping = self.sleeping.min(step.start_cost);
    }

    /// Whether a running machine should stop at this price.
    #[must_use]
    pub fn stops(&self, step: &FirstStep, price: Price) -> bool {
        let gap = price - step.breakeven;
        let sure = gap.of(step.power.over(step.min_off));
        gap.0 > 0 && (self.running + sure).0 * 2 >= step.start_cost.0
    }

    /// Whether a sleeping machine should start at this price.
    #[must_use]
    pub fn starts(&self, step: &FirstStep, price: Price) -> bool {
        let gap = step.breakeven - price;
        let sure = gap.of(step.power.over(step.min_on));
        gap.0 > 0 && (self.sleeping + sure).0 * 2 >= step.start_cost.0
    }

    /// How long the price must stay where it is until the rule acts; `None` when it will not.
    #[must_use]
    pub fn acts_in(&self, step: &FirstStep, price: Price) -> Option<Span> {
        let gap = price - step.breakeven;
        let (so_far, least) = match gap.0.signum() {
            1 => (self.running, step.min_off),
            -1 => (self.sleeping, step.min_on),
            _ => return None,
        };
        let sure = Price(gap.0.abs()).of(step.power.over(least));
        let missing = i128::from(step.start_cost.0) - 2 * i128::from((so_far + sure).0);
        if missing <= 0 {
            return None;
        }
        // missing/2 micro-currency at |gap| * power micro-currency * W per MWh.
        let rate = i128::from(gap.0.abs()) * i128::from(step.power.0) * 2;
        let nanos = missing * WATT_SECONDS_PER_MWH * 1_000_000_000;
        (rate > 0).then(|| Span(i64::try_from(div_ceil(nanos, rate)).unwrap_or(i64::MAX / 8)))
    }

    /// The price above which a running machine would stop now.
    #[must_use]
    pub fn stop_price(&self, step: &FirstStep) -> Price {
        step.breakeven + gap_for(step, self.running, step.min_off)
    }

    /// The price below which a sleeping machine would start now.
    #[must_use]
    pub fn start_price(&self, step: &FirstStep) -> Price {
        step.breakeven - gap_for(step, self.sleeping, step.min_on)
    }
}

fn gap_for(step: &FirstStep, so_far: Money, least: Span) -> Price {
    let missing = i128::from(step.start_cost.0) - 2 * i128::from(so_far.0);
    let energy = 2 * i128::from(step.power.over(least).0);
    if missing <= 0 || energy <= 0 {
        return Price::ZERO;
    }
    Price(to_i64(div_half_even(missing * WATT_SECONDS_PER_MWH, energy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step() -> FirstStep {
        FirstStep {
            breakeven: Price(80_000_000),
            power: Power(3_000),
            start_cost: Money(20_000),
            min_off: Span::minutes(15),
            min_on: Span::minutes(15),
        }
    }

    #[test]
    fn a_tall_spike_stops_at_once_and_a_small_one_waits() {
        let s = step();
        assert_eq!(Regret::NONE.stop_price(&s).to_string(), "93.33/MWh");
        assert!(Regret::NONE.stops(&s, Price(94_000_000)));
        assert!(!Regret::NONE.stops(&s, Price(93_000_000)));
        assert_eq!(Regret::NONE.acts_in(&s, Price(90_000_000)), Some(Span::minutes(5)));
        assert_eq!(Regret::NONE.acts_in(&s, s.breakeven), None);
    }

    proptest! {
        #[test]
        fn waiting_as_long_as_told_makes_it_act(gap in -200i64..200, waited in 0i64..600) {
            let s = step();
            let price = s.breakeven + Price(gap * 100_000);
            let mut regret = Regret::NONE;
            regret.pass(&s, price, Span::seconds(waited));
            if let Some(wait) = regret.acts_in(&s, price) {
                prop_assert!(!regret.stops(&s, price) && !regret.starts(&s, price));
                regret.pass(&s, price, wait + Span::seconds(1));
                prop_assert!(regret.stops(&s, price) || regret.starts(&s, price));
            }
        }

        /// The rule's cost is at most twice the best in hindsight (plus one step's rounding).
        #[test]
        fn never_worse_than_twice_hindsight(
            gaps in proptest::collection::vec(1i64..60, 1..40),
        ) {
            let mut s = step();
            s.min_off = Span::ZERO;
            let mut regret = Regret::NONE;
            let (mut cost, mut stopped, mut all) = (Money::ZERO, false, Money::ZERO);
            let mut longest = Money::ZERO;
            for gap in gaps {
                let price = s.breakeven + Price(gap * 1_000_000);
                let lost = Price(gap * 1_000_000).of(s.power.over(Span::minutes(5)));
                if !stopped && regret.stops(&s, price) {
                    stopped = true;
                    cost += Money(s.start_cost.0 / 2);
                }
                if !stopped {
                    cost += lost;
                    regret.pass(&s, price, Span::minutes(5));
                }
                all += lost;
                longest = longest.max(lost);
            }
            let best = all.min(Money(s.start_cost.0 / 2));
            prop_assert!(cost.0 <= 2 * best.0 + longest.0 + 10, "{} against {}", cost, best);
        }
    }
}

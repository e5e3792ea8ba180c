//! When to pay for a restart: an online rule with a proven bound.
//!
//! Stopping and starting again costs a start. Half of it is charged to the stop, half to the
//! start. A machine that runs at a loss stops as soon as the loss since the price crossed its
//! break-even, plus the loss it is sure to avoid in its shortest stop, reaches its half (and a
//! sleeping one starts likewise). This is the ski-rental rule: never worse than twice the best
//! in hindsight, and with nothing sure to be avoided it waits, with a tall spike it acts at once.

use crate::number::{div_ceil, div_floor, to_i64};
use crate::time::Span;
use crate::units::{Money, NANOS_PER_SECOND, Power, Price, WATT_SECONDS_PER_MWH};
use serde::{Deserialize, Serialize};

/// Regret of one cohort for staying as it is, per machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regret {
    /// Loss since the price crossed the break-even upwards, for a machine that runs.
    pub running: Money,
    /// Profit missed since it crossed downwards, for a machine that sleeps.
    pub sleeping: Money,
}

/// One step up of a cohort as the rule sees it: its break-even and the power it adds to one
/// machine, both at the meter.
pub type Stair = (Price, Power);

/// What the rule needs to know of a cohort. A machine that runs at a loss runs at its first
/// step, where it loses least; one that is woken goes to the level it is wished at, and gains
/// what all steps below the price gain together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// Steps from sleep up, falling in break-even; at least one.
    pub stairs: Vec<Stair>,
    /// Cost of one start.
    pub start_cost: Money,
    /// Shortest time asleep.
    pub min_off: Span,
    /// Shortest time awake.
    pub min_on: Span,
}

/// [`WATT_SECONDS_PER_MWH`], for what fits 64 bits.
const MWH: i64 = WATT_SECONDS_PER_MWH as i64;

/// Money in a time, before it is divided down: micro-currency per MWh times watts.
type Flow = i128;

impl Steps {
    fn first(&self) -> Stair {
        *self.stairs.first().expect("a cohort has at least one step")
    }

    /// What a running machine loses.
    fn loss(&self, price: Price) -> Flow {
        let (breakeven, power) = self.first();
        flow(price - breakeven, power).max(0)
    }

    /// What a sleeping machine misses; steps at or below the price gain nothing, nor does any
    /// step after them.
    fn gain(&self, price: Price) -> Flow {
        let worth = self.stairs.iter().take_while(|(breakeven, _)| *breakeven > price);
        worth.map(|(breakeven, power)| flow(*breakeven - price, *power).max(0)).sum()
    }
}

fn flow(gap: Price, power: Power) -> Flow {
    i128::from(gap.0) * i128::from(power.0)
}

fn over(flow: Flow, span: Span) -> Money {
    // Whole seconds, as nearly all spans are, leave a product that fits 64 bits.
    let seconds = span.as_seconds();
    if Span::seconds(seconds) == span
        && let Ok(flow) = i64::try_from(flow)
        && let Some(money) = flow.checked_mul(seconds)
    {
        return Money(money / MWH);
    }
    let whole = WATT_SECONDS_PER_MWH * NANOS_PER_SECOND;
    // Bounded before it is counted: a regret beyond any start cost means nothing.
    let money = flow.saturating_mul(i128::from(span.0)) / whole;
    Money(i64::try_from(money).unwrap_or(i64::MAX / 8))
}

impl Regret {
    /// No regret yet.
    pub const NONE: Self = Self { running: Money::ZERO, sleeping: Money::ZERO };

    /// Counts a span that has passed at a price.
    pub fn pass(&mut self, steps: &Steps, price: Price, span: Span) {
        let (loss, gain) = (steps.loss(price), steps.gain(price));
        let grown = |was: Money, by: Flow| match by {
            0 => Money::ZERO,
            _ => Money(was.0.saturating_add(over(by, span).0)).min(steps.start_cost),
        };
        self.running = grown(self.running, loss);
        self.sleeping = grown(self.sleeping, gain);
    }

    /// Whether a running machine should stop at this price.
    #[must_use]
    pub fn stops(&self, steps: &Steps, price: Price) -> bool {
        let loss = steps.loss(price);
        loss > 0 && self.running.0 + over(loss, steps.min_off).0 >= half(steps)
    }

    /// Whether a sleeping machine should start at this price.
    #[must_use]
    pub fn starts(&self, steps: &Steps, price: Price) -> bool {
        let gain = steps.gain(price);
        gain > 0 && self.sleeping.0 + over(gain, steps.min_on).0 >= half(steps)
    }

    /// How long the price must stay where it is until the rule acts; `None` when it will not.
    #[must_use]
    pub fn acts_in(&self, steps: &Steps, price: Price) -> Option<Span> {
        let (loss, gain) = (steps.loss(price), steps.gain(price));
        let (flow, so_far, least) = match (loss, gain) {
            (0, 0) => return None,
            (0, gain) => (gain, self.sleeping, steps.min_on),
            (loss, _) => (loss, self.running, steps.min_off),
        };
        let missing = i128::from(half(steps) - so_far.0 - over(flow, least).0);
        if missing <= 0 {
            return None;
        }
        let nanos = missing * WATT_SECONDS_PER_MWH * NANOS_PER_SECOND;
        Some(Span(i64::try_from(div_ceil(nanos, flow)).unwrap_or(i64::MAX / 8)))
    }

    /// The price above which a running machine would stop now.
    #[must_use]
    pub fn stop_price(&self, steps: &Steps) -> Price {
        let (breakeven, power) = steps.first();
        let need = needed(steps, self.running, steps.min_off);
        breakeven + Price(to_i64(div_ceil(need, i128::from(power.0.max(1)))))
    }

    /// The price below which a sleeping machine would start now.
    #[must_use]
    pub fn start_price(&self, steps: &Steps) -> Price {
        let need = needed(steps, self.sleeping, steps.min_on);
        let (mut worth, mut power) = (0, 0);
        for (i, (breakeven, step)) in steps.stairs.iter().enumerate() {
            worth += flow(*breakeven, *step);
            power += i128::from(step.0);
            // With these steps alone the price lies above the next one's break-even: found.
            let above = |next: Price| worth - need >= i128::from(next.0) * power.max(1);
            if steps.stairs.get(i + 1).is_none_or(|(next, _)| above(*next)) {
                break;
            }
        }
        Price(to_i64(div_floor(worth - need, power.max(1))))
    }
}

/// A cycle costs one start: half of it is charged to each end.
fn half(steps: &Steps) -> i64 {
    steps.start_cost.0 / 2
}

/// The flow that would make the rule act now, beside what has been regretted so far.
fn needed(steps: &Steps, so_far: Money, least: Span) -> Flow {
    let missing = i128::from((half(steps) - so_far.0).max(0));
    if least.0 <= 0 {
        return 0;
    }
    let seconds = least.as_seconds();
    if Span::seconds(seconds) == least {
        return div_ceil(missing * WATT_SECONDS_PER_MWH, i128::from(seconds));
    }
    div_ceil(missing * WATT_SECONDS_PER_MWH * NANOS_PER_SECOND, i128::from(least.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps() -> Steps {
        let usd = |n: i64| Price(n * 1_000_000);
        Steps {
            stairs: vec![(usd(80), Power(3_000)), (usd(60), Power(1_000))],
            start_cost: Money(20_000),
            min_off: Span::minutes(15),
            min_on: Span::minutes(15),
        }
    }

    #[test]
    fn a_tall_spike_stops_at_once_and_a_small_one_waits() {
        let s = steps();
        assert_eq!(Regret::NONE.stop_price(&s).to_string(), "93.33/MWh");
        assert!(Regret::NONE.stops(&s, Price(94_000_000)));
        assert!(!Regret::NONE.stops(&s, Price(93_000_000)));
        assert_eq!(Regret::NONE.acts_in(&s, Price(90_000_000)), Some(Span::minutes(5)));
        assert_eq!(Regret::NONE.acts_in(&s, Price(80_000_000)), None);
    }

    proptest! {
        #[test]
        fn the_prices_told_are_the_prices_at_which_it_acts(waited in 0i64..600, at in 60i64..79) {
            let s = steps();
            let mut regret = Regret::NONE;
            regret.pass(&s, Price(at * 1_000_000), Span::seconds(waited));
            let start = regret.start_price(&s);
            prop_assert!(regret.starts(&s, start - Price(20_000)), "{}", start);
            prop_assert!(start >= s.stairs[0].0 || !regret.starts(&s, start + Price(20_000)));
            let stop = regret.stop_price(&s);
            prop_assert!(regret.stops(&s, stop + Price(20_000)));
            prop_assert!(!regret.stops(&s, stop - Price(20_000)));
        }

        #[test]
        fn waiting_as_long_as_told_makes_it_act(gap in -200i64..200, waited in 0i64..600) {
            let s = steps();
            let price = s.stairs[0].0 + Price(gap * 100_000);
            let mut regret = Regret::NONE;
            regret.pass(&s, price, Span::seconds(waited));
            if let Some(wait) = regret.acts_in(&s, price) {
                prop_assert!(!regret.stops(&s, price) && !regret.starts(&s, price));
                regret.pass(&s, price, wait + Span::seconds(1));
                prop_assert!(regret.stops(&s, price) || regret.starts(&s, price));
            }
        }

        /// The rule's cost is at most twice the best in hindsight, plus one step's rounding.
        #[test]
        fn never_worse_than_twice_hindsight(gaps in proptest::collection::vec(1i64..60, 1..40)) {
            let mut s = steps();
            s.min_off = Span::ZERO;
            let mut regret = Regret::NONE;
            let (mut cost, mut stopped, mut all) = (Money::ZERO, false, Money::ZERO);
            let mut longest = Money::ZERO;
            for gap in gaps {
                let price = s.stairs[0].0 + Price(gap * 1_000_000);
                let lost = over(s.loss(price), Span::minutes(5));
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

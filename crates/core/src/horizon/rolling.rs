//! The plan for the hours to come on the expected path of prices, made anew at every step: what
//! looking ahead goes by where no model was trained, and what `headgate plan` shows.

use super::exact::{Ahead, ExactError, Planner, Values};
use super::path::Step;
use super::unit::{Lattice, StateId, UnitState};
use crate::number::{div_ceil, div_floor, to_i64};
use crate::time::Time;
use crate::units::{Money, Power, Price, WATT_SECONDS_PER_MWH};

/// One step of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// The path's step.
    pub step: Step,
    /// The state it ends in.
    pub state: StateId,
    /// Power.
    pub power: Power,
    /// Whether it makes a start.
    pub start: bool,
    /// What it earns: value less price of its energy, less a start.
    pub profit: Money,
    /// Above this price of the step, all else equal, the plan would draw less in it; `None`
    /// where it could not.
    pub down_above: Option<Price>,
    /// Below this price it would draw more.
    pub up_below: Option<Price>,
}

/// Plans a unit over a path of expected prices, from where it stands.
///
/// `value` is what a consumed MWh is worth in terms of the path's prices.
///
/// # Errors
/// [`ExactError`] when there is no plan.
pub fn plan(
    planner: &mut Planner,
    unit: &UnitState,
    path: &[Step],
    value: Price,
) -> Result<Vec<Planned>, ExactError> {
    let Some(first) = path.first() else { return Ok(Vec::new()) };
    let begin = first.interval.start;
    let gains: Vec<Price> = path.iter().map(|s| value - s.price).collect();
    let ahead = Ahead::new(begin, &gains);
    let origin = planner.origin_on_grid(unit, begin);
    let best = planner.plan(&ahead, origin)?;
    let mut values = Values::default();
    planner.values(&ahead, &mut values)?;
    let lattice = planner.lattice();
    let mut before = best.origin;
    let (mut starts, mut day) = (origin.starts(), begin.day());
    let mut out = Vec::with_capacity(path.len());
    for (k, (step, state)) in path.iter().zip(&best.states).enumerate() {
        let now = step.interval.start;
        if now.day() != day {
            (day, starts) = (now.day(), 0);
        }
        let options = Options { lattice, values: &values, k, before, starts };
        let start = lattice.level(before).is_none() && lattice.level(*state).is_some();
        let cost = if start { planner.start_cost() } else { Money::ZERO };
        let (down_above, up_below) = options.turns(value, step.price, *state, planner.start_cost());
        out.push(Planned {
            step: *step,
            state: *state,
            power: lattice.power(*state),
            start,
            profit: (value - step.price).of(lattice.energy(*state)) - cost,
            down_above,
            up_below,
        });
        starts += u16::from(start);
        before = *state;
    }
    Ok(out)
}

/// The states one step may end in.
struct Options<'a> {
    lattice: &'a Lattice,
    values: &'a Values,
    k: usize,
    before: StateId,
    starts: u16,
}

impl Options<'_> {
    /// What ending in a state is worth without the step's own energy; `None` where nothing can
    /// follow.
    fn worth(&self, state: StateId, start: bool, cost: Money) -> Option<Money> {
        let starts = self.starts + u16::from(start);
        let after = self.values.at(self.lattice, self.k + 1, state, starts)?;
        Some(if start { after - cost } else { after })
    }

    /// The prices of the step at which less, or more, would be as good: lines in the price that
    /// cross the chosen one.
    ///
    /// ```text
    ///  (value - p) x E(a) + W(a) = (value - p) x E(b) + W(b)
    /// ```
    fn turns(
        &self,
        value: Price,
        price: Price,
        chosen: StateId,
        cost: Money,
    ) -> (Option<Price>, Option<Price>) {
        let mine = self.lattice.moves(self.before).find(|(s, _)| *s == chosen);
        let Some(worth) = mine.and_then(|(s, start)| self.worth(s, start, cost)) else {
            return (None, None);
        };
        let energy = self.lattice.energy(chosen);
        let (mut down, mut up): (Option<Price>, Option<Price>) = (None, None);
        for (state, start) in self.lattice.moves(self.before) {
            let Some(other) = self.worth(state, start, cost) else { continue };
            let less = i128::from((energy - self.lattice.energy(state)).0);
            let gap = i128::from((worth - other).0) * WATT_SECONDS_PER_MWH;
            if less > 0 {
                let at = value + Price(to_i64(div_ceil(gap, less)));
                down = Some(down.map_or(at, |p| p.min(at)).max(price));
            } else if less < 0 {
                let at = value + Price(to_i64(div_floor(-gap, -less)));
                up = Some(up.map_or(at, |p| p.max(at)).min(price));
            }
        }
        (down, up)
    }
}

/// The state to go to now by the plan, or to stay in where this step is used up.
///
/// # Errors
/// [`ExactError`] when there is no plan.
pub fn power_now(
    planner: &mut Planner,
    unit: &UnitState,
    path: &[Step],
    value: Price,
    now: Time,
) -> Result<Power, ExactError> {
    let begin = now.interval(planner.lattice().step()).start;
    if unit.changed_at.max(unit.switched_at) >= begin {
        return Ok(unit.power);
    }
    let gains: Vec<Price> = path.iter().map(|s| value - s.price).collect();
    let origin = planner.origin_on_grid(unit, begin);
    let next = planner.next(&Ahead::new(begin, &gains), origin)?;
    Ok(planner.lattice().power(next.state))
}

#[cfg(test)]
mod tests {
    use super::super::path::Source;
    use super::super::unit::{Begins, UnitSpec};
    use super::*;
    use crate::time::{Interval, Span};
    use proptest::prelude::*;

    const START: Time = Time::from_seconds(1_724_198_400);

    fn block(on: bool) -> UnitSpec {
        let begins = if on { Begins::On } else { Begins::Off };
        UnitSpec { starts_per_day: Some(4), begins, ..crate::testing::block() }
    }

    fn path(prices: &[i64]) -> Vec<Step> {
        let step = Span::minutes(15);
        let at = |k: i64| Interval::starting(START + Span(step.0 * k), step);
        let one = |(k, p): (i64, &i64)| Step {
            interval: at(k),
            price: Price(p * 10_000),
            day_ahead: None,
            source: Source::CarriedOn,
        };
        (0i64..).zip(prices).map(one).collect()
    }

    proptest! {
        /// A price just beyond the one told changes the step, a price just short of it does not.
        #[test]
        fn the_prices_told_are_those_at_which_the_plan_turns(
            prices in proptest::collection::vec(-2_000i64..12_000, 4..24),
            on in any::<bool>(),
        ) {
            let spec = block(on);
            let value = Price(40_000_000);
            let mut planner = Planner::new(&spec, Span::minutes(15)).unwrap();
            let unit = UnitState::beginning(&spec);
            let path = path(&prices);
            let planned = plan(&mut planner, &unit, &path, value).unwrap();
            let total: Money = planned.iter().map(|p| p.profit).sum();
            let first = planned[0];
            let mut at = |price: Price| {
                let mut other = path.clone();
                other[0].price = price;
                plan(&mut planner, &unit, &other, value).unwrap()[0].power
            };
            let near = Price(20_000);
            if let Some(p) = first.down_above {
                prop_assert!(at(p + near) < first.power);
                prop_assert!(at((p - near).max(path[0].price)) >= first.power);
            }
            if let Some(p) = first.up_below {
                prop_assert!(at(p - near) > first.power);
                prop_assert!(at((p + near).min(path[0].price)) <= first.power);
            }
            let now = power_now(&mut planner, &unit, &path, value, START).unwrap();
            prop_assert_eq!(now, first.power);
            let gains: Vec<Price> = path.iter().map(|s| value - s.price).collect();
            let origin = planner.origin_on_grid(&unit, START);
            let best = planner.value(&Ahead::new(START, &gains), origin).unwrap();
            prop_assert_eq!(total, best);
        }
    }
}

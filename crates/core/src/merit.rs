//! The staircase of break-evens: what each further step of power is worth, cohort by cohort.

use crate::fleet::{Level, OperatingPoint};
use crate::horizon::{Stair, Steps};
use crate::limits::LEVELS_MAX;
use crate::number::{div_half_even, to_i64};
use crate::site::{Cohort, Site, Value};
use crate::units::{Money, Power, Price};
use serde::{Deserialize, Serialize};

/// One step up of one cohort: from a level to the next on its efficient frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Index of the cohort.
    pub cohort: usize,
    /// Level below the step.
    pub from: Level,
    /// Level above the step.
    pub to: Level,
    /// Power the step adds to one machine.
    pub power: Power,
    /// What a unit of energy at the meter is worth in this step: its break-even.
    pub breakeven: Price,
}

impl Segment {
    /// Whether the step wakes a machine, so that it costs a start.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.from == Level::SLEEP
    }
}

/// Steps of all cohorts, most valuable first; ties by cohort, then by level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staircase {
    /// The steps.
    pub segments: Vec<Segment>,
    /// The steps of each cohort alone, from its lowest level up.
    pub by_cohort: Vec<Vec<Segment>>,
    /// What the rule of restarts needs of each cohort; `None` where it has no working level.
    pub restarts: Vec<Option<Steps>>,
}

/// Levels of a curve that no mix of two others beats: sleep first, then the upper hull of rate
/// over power. A level below the hull is never worth choosing.
#[must_use]
pub fn frontier(cohort: &Cohort, overclock: bool) -> Vec<Level> {
    let levels = cohort.curve.levels();
    let spare = if overclock { 0 } else { usize::from(cohort.overclocked) };
    let usable = &levels[..levels.len() - spare.min(levels.len() - 1)];
    let mut hull: Vec<usize> = Vec::with_capacity(LEVELS_MAX);
    for i in 0..usable.len() {
        while hull.len() >= 2 {
            let (a, b) = (usable[hull[hull.len() - 2]], usable[hull[hull.len() - 1]]);
            let c = usable[i];
            let run = |x: Power, y: Power| i128::from((y - x).0);
            let left = i128::from((b.rate - a.rate).0) * run(b.power, c.power);
            let right = i128::from((c.rate - b.rate).0) * run(a.power, b.power);
            // A level on the line between two others is kept: it is as good as a mix of them.
            if left >= right {
                break;
            }
            hull.pop();
        }
        hull.push(i);
    }
    let level = |i: usize| Level(u8::try_from(i).expect("a curve has at most LEVELS_MAX levels"));
    hull.into_iter().map(level).collect()
}

/// The last level of [`frontier`]: whatever lies below it, the hull ends there.
#[must_use]
pub fn highest(cohort: &Cohort, overclock: bool) -> Level {
    let above_sleep = cohort.curve.levels().len() - 1;
    let spare = if overclock { 0 } else { usize::from(cohort.overclocked) };
    let last = above_sleep - spare.min(above_sleep);
    Level(u8::try_from(last).expect("a curve has at most LEVELS_MAX levels"))
}

impl Staircase {
    /// Builds the staircase of a site for a hash price (currency per PH/s per day, net of any
    /// discount); `None` where a cohort's value cannot be told without one.
    #[must_use]
    pub fn of(site: &Site, hashprice: Option<Money>) -> Option<Staircase> {
        let mut segments = Vec::new();
        for (index, cohort) in site.cohorts.iter().enumerate() {
            for pair in frontier(cohort, true).windows(2) {
                let (a, b) = (cohort.curve.at(pair[0]), cohort.curve.at(pair[1]));
                let power = b.power - a.power;
                let at_machine = step_value(site, cohort, hashprice, a, b)?;
                segments.push(Segment {
                    cohort: index,
                    from: pair[0],
                    to: pair[1],
                    power,
                    breakeven: cohort.strike.unwrap_or_else(|| at_meter(site, at_machine)),
                });
            }
        }
        let mut by_cohort = vec![Vec::new(); site.cohorts.len()];
        for s in &segments {
            by_cohort[s.cohort].push(*s);
        }
        segments.sort_by_key(|s: &Segment| (-s.breakeven.0, s.cohort, s.to));
        let restarts = (0..site.cohorts.len()).map(|c| restarts(site, &by_cohort[c], c)).collect();
        Some(Staircase { segments, by_cohort, restarts })
    }

    /// Mean break-even of the whole staircase weighted by power: the fleet's energy-weighted
    /// break-even, given how many machines each cohort has.
    #[must_use]
    pub fn mean(&self, machines: &[u64]) -> Option<Price> {
        let weight = |s: &Segment| i128::from(s.power.0) * i128::from(machines[s.cohort]);
        let total: i128 = self.segments.iter().map(weight).sum();
        let sum: i128 = self.segments.iter().map(|s| weight(s) * i128::from(s.breakeven.0)).sum();
        (total > 0).then(|| Price(to_i64(div_half_even(sum, total))))
    }
}

fn restarts(site: &Site, segments: &[Segment], cohort: usize) -> Option<Steps> {
    let at_meter = |p: Power| p.scaled(1_000_000 + site.overhead.share_ppm);
    let stairs: Vec<Stair> = segments.iter().map(|s| (s.breakeven, at_meter(s.power))).collect();
    let c = &site.cohorts[cohort];
    let (start_cost, min_off, min_on) = (c.start_cost, c.times.min_off, c.times.min_on);
    (!stairs.is_empty()).then_some(Steps { stairs, start_cost, min_off, min_on })
}

/// What a unit of energy at the machine is worth in the step from one point of a cohort's curve
/// to another; `None` where that cannot be told without a hash price.
#[must_use]
pub fn step_value(
    site: &Site,
    cohort: &Cohort,
    hashprice: Option<Money>,
    from: OperatingPoint,
    to: OperatingPoint,
) -> Option<Price> {
    match (cohort.value, site.value) {
        (Some(price), _) | (None, Value::Energy(price)) => Some(price),
        (None, Value::Hashprice { pool_fee_ppm, .. }) => {
            let (rate, power) = ((to.rate - from.rate).0, to.power - from.power);
            Some(hash_value(hashprice?, rate, power, pool_fee_ppm))
        }
    }
}

/// Value of hashing per megawatt-hour: `hashprice * rate / (24 * power)`, less the pool's fee.
/// Hash price is per PH/s per day, rate in GH/s, power in W (market.md §7).
fn hash_value(hashprice: Money, rate: i64, power: Power, fee_ppm: i64) -> Price {
    let gross = i128::from(hashprice.0) * i128::from(rate);
    let net = gross * i128::from(1_000_000 - fee_ppm);
    Price(to_i64(div_half_even(net, 24 * 1_000_000 * i128::from(power.0))))
}

/// What a unit at the machine is worth at the meter: less the share lost on the way.
fn at_meter(site: &Site, at_machine: Price) -> Price {
    let ppm = i128::from(1_000_000 + site.overhead.share_ppm);
    Price(to_i64(div_half_even(i128::from(at_machine.0) * 1_000_000, ppm)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{s19k_curve, site};
    use crate::units::Rate;

    #[test]
    fn the_staircase_falls_and_matches_the_formula() {
        let mut site = site(10);
        site.overhead.share_ppm = 0;
        site.value = Value::Hashprice {
            pool_fee_ppm: 0,
            stale_after: crate::time::Span::hours(36),
            stale_discount_ppm: 0,
        };
        let stairs = Staircase::of(&site, Some(Money(45_000_000))).unwrap();
        let shown: Vec<String> = stairs
            .segments
            .iter()
            .map(|s| format!("{}>{} {} {}", s.from.0, s.to.0, s.power, s.breakeven))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        0>1 754 W 97.48/MWh
        1>2 630 W 92.26/MWh
        2>3 778 W 74.46/MWh
        3>4 602 W 64.47/MWh
        ");
        assert_eq!(hash_value(Money(45_000_000), 121_800, Power(2794), 0).to_string(), "81.73/MWh");
        assert!(Staircase::of(&site, None).is_none());
        assert_eq!(stairs.mean(&[10]).unwrap().to_string(), "82.62/MWh");
    }

    #[test]
    fn a_level_under_the_hull_is_left_out() {
        let mut site = site(1);
        site.cohorts[0].curve = s19k_curve();
        let mut points = site.cohorts[0].curve.levels()[1..].to_vec();
        points[1].rate = Rate(points[0].rate.0 + 1);
        site.cohorts[0].curve = crate::fleet::PowerCurve::new(Power(30), &points).unwrap();
        assert!(!frontier(&site.cohorts[0], true).contains(&Level(2)));
        for (overclocked, overclock) in [(0, false), (2, false), (2, true), (9, false)] {
            site.cohorts[0].overclocked = overclocked;
            let last = frontier(&site.cohorts[0], overclock).last().copied();
            assert_eq!(Some(highest(&site.cohorts[0], overclock)), last);
        }
    }
}

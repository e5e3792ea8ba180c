//! Economics: what the owner's policy wishes of each cohort at a price.

use crate::choose::Wish;
use crate::fleet::Level;
use crate::horizon::Regret;
use crate::merit::{Staircase, highest};
use crate::number::{div_half_even, to_i64};
use crate::site::{PolicyRule, Site};
use crate::time::Time;
use crate::units::{Power, Price};

/// The price of the next unit imported, above and below the contract block.
///
/// Above the block a unit costs the market price and the adders; below it the unit is not sold
/// back, so it costs what resale would have paid, and the adders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marginal {
    /// The market price itself.
    pub market: Price,
    /// Above the block.
    pub above: Price,
    /// Below the block.
    pub below: Price,
    /// Size of the block.
    pub block: Power,
}

impl Marginal {
    /// The marginal prices of a site at a market price.
    #[must_use]
    pub fn of(site: &Site, market: Price, now: Time) -> Self {
        let above = market + site.import_adder;
        let mut block = Power::ZERO;
        let mut below = above;
        for b in site.blocks.iter().filter(|b| b.in_force(now)) {
            block += b.quantity;
            below = below.min(b.resale(market) + site.import_adder);
        }
        Self { market, above, below, block }
    }
}

/// What the policy wishes of each cohort at a marginal price.
#[must_use]
pub fn wishes(
    site: &Site,
    stairs: Option<&Staircase>,
    regrets: &[Regret],
    price: Price,
) -> Vec<Wish> {
    let each = |c: usize| match site.policy.rule {
        PolicyRule::AlwaysOn => everything(site, c),
        PolicyRule::FixedStrike(strike) => {
            let strike = site.cohorts[c].strike.unwrap_or(strike);
            if price < strike { everything(site, c) } else { Wish::NOTHING }
        }
        PolicyRule::Breakeven | PolicyRule::LookAhead => match stairs {
            Some(stairs) => by_breakeven(stairs, &regrets[c], c, price),
            None => Wish::NOTHING,
        },
    };
    (0..site.cohorts.len()).map(each).collect()
}

impl Wish {
    /// Everything asleep.
    pub const NOTHING: Self = Self { awake: Level::SLEEP, asleep: Level::SLEEP };
}

fn everything(site: &Site, cohort: usize) -> Wish {
    let top = highest(&site.cohorts[cohort], false);
    Wish { awake: top, asleep: top }
}

fn by_breakeven(stairs: &Staircase, regret: &Regret, cohort: usize, price: Price) -> Wish {
    let mut level = Level::SLEEP;
    for s in &stairs.by_cohort[cohort] {
        if s.breakeven > price && s.from <= level {
            level = level.max(s.to);
        }
    }
    let Some(step) = &stairs.restarts[cohort] else { return Wish::NOTHING };
    let first = stairs.by_cohort[cohort].iter().find(|s| s.is_start());
    let first = first.map_or(Level::SLEEP, |s| s.to);
    let awake = if level == Level::SLEEP && !regret.stops(step, price) { first } else { level };
    let asleep = if regret.starts(step, price) { level } else { Level::SLEEP };
    Wish { awake, asleep }
}

/// Value discounted when it is older than allowed: the last known, less the discount.
#[must_use]
pub fn discounted(value: i64, discount_ppm: i64) -> i64 {
    to_i64(div_half_even(i128::from(value) * i128::from(1_000_000 - discount_ppm), 1_000_000))
}

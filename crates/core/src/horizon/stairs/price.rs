//! Prices on rows, and the bound they give.
//!
//! Each price moves by a step of its own: up while its row is broken, down while it has room;
//! the step doubles while it goes one way and halves when it turns, which is bisection for all
//! rows at once. Any prices give a bound; the lowest seen counts.

use super::{Limit, Site, StairsError};
use crate::horizon::exact::Ahead;
use crate::number::{div_ceil, to_i64};
use crate::units::{Money, Price, WATT_SECONDS_PER_MWH};

/// Times prices are searched and a plan is made at them.
pub(super) const ROUNDS: u32 = 16;
/// Moves of all prices in the first round, and in each other one.
const MOVES: [u32; 2] = [60, 12];
/// Highest price, in micro-currency per MWh.
const PRICE_MAX: i64 = 100_000_000_000;
/// First move of a price.
const FIRST: i64 = 1_000_000;

/// A row of one or two steps, or of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Most(usize),
    Least(usize),
    /// From the step before into this one.
    Rise(usize),
    Fall(usize),
    Quota(usize),
}

#[derive(Debug, Clone, Copy)]
struct Priced {
    kind: Kind,
    price: i64,
    /// How far it moves next; its sign tells which way it moved last.
    step: i64,
    /// What a plan adds to the price of a quota: the highest at which it was broken, and the
    /// lowest at which it was met.
    broken: i64,
    met: i64,
    /// What the next plan adds.
    added: i64,
}

/// Prices on all rows of a site.
pub(super) struct Prices {
    rows: Vec<Priced>,
    best: Money,
}

impl Prices {
    pub fn new(site: &Site<'_, '_>) -> Self {
        let mut kinds: Vec<Kind> = Vec::new();
        kinds.extend((0..site.rows.most.len()).map(Kind::Most));
        kinds.extend((0..site.rows.least.len()).map(Kind::Least));
        kinds.extend(site.rows.rise.iter().flat_map(|_| (0..site.steps).map(Kind::Rise)));
        kinds.extend(site.rows.fall.iter().flat_map(|_| (0..site.steps).map(Kind::Fall)));
        kinds.extend((0..site.rows.quotas.len()).map(Kind::Quota));
        let row =
            |kind| Priced { kind, price: 0, step: FIRST, broken: -1, met: i64::MAX, added: 0 };
        Self { rows: kinds.into_iter().map(row).collect(), best: Money(i64::MAX) }
    }

    /// What the rows take from each step's gain.
    pub fn by_step(&self, site: &Site<'_, '_>) -> Vec<Price> {
        self.sum(site, |row| row.price + row.added)
    }

    fn sum(&self, site: &Site<'_, '_>, price: impl Fn(&Priced) -> i64) -> Vec<Price> {
        let mut prices = vec![0; site.steps];
        for row in self.rows.iter().map(|r| Priced { price: price(r), ..*r }) {
            match row.kind {
                Kind::Most(t) => prices[t] += row.price,
                Kind::Least(t) => prices[t] -= row.price,
                Kind::Rise(t) | Kind::Fall(t) => {
                    let sign = if matches!(row.kind, Kind::Rise(_)) { 1 } else { -1 };
                    prices[t] += sign * row.price;
                    if let Some(before) = t.checked_sub(1) {
                        prices[before] -= sign * row.price;
                    }
                }
                Kind::Quota(n) => {
                    let (steps, limit) = &site.rows.quotas[n];
                    let sign = if matches!(limit, Limit::EnergyAtLeast(_)) { -1 } else { 1 };
                    prices[steps.clone()].iter_mut().for_each(|p| *p += sign * row.price);
                }
            }
        }
        prices.into_iter().map(Price).collect()
    }

    /// Moves all prices for a while; the best bound so far.
    pub fn search(&mut self, site: &mut Site<'_, '_>, round: u32) -> Result<Money, StairsError> {
        for _ in 0..MOVES[usize::from(round > 0)] {
            let prices = self.sum(site, |row| row.price);
            let (bound, powers) = alone(site, &prices)?;
            let credit: i128 = self.rows.iter().map(|r| credit(site, r)).sum();
            self.best = self.best.min(Money(to_i64(bound + credit)));
            let mut moved = false;
            for row in &mut self.rows {
                let over = excess(site, row.kind, &powers);
                moved |= row.go(over);
            }
            if !moved {
                break;
            }
        }
        Ok(self.best)
    }

    /// What the next plan is made at: more where the last one broke a quota, less where it met
    /// one at more than its price.
    pub fn press(&mut self, broken: &[usize]) {
        for row in &mut self.rows {
            let Kind::Quota(n) = row.kind else { continue };
            if broken.contains(&n) {
                row.broken = row.added;
                row.added = match row.met {
                    i64::MAX => (row.added * 4).clamp(FIRST / 16, PRICE_MAX),
                    met => row.added + (met - row.added) / 2,
                };
            } else if row.added > 0 {
                row.met = row.added;
                row.added = row.broken + (row.added - row.broken) / 2;
            }
        }
    }
}

impl Priced {
    /// Moves the price; whether it did.
    fn go(&mut self, over: i128) -> bool {
        let size = self.step.abs();
        let (to, size) = match over.signum() {
            0 => return false,
            sign => {
                let same = (self.step > 0) == (sign > 0);
                let next = if same { size + size / 2 } else { (size / 2).max(1) };
                let by = if sign > 0 { next } else { -next };
                ((self.price + by).clamp(0, PRICE_MAX), by)
            }
        };
        let moved = to != self.price;
        // At the edge there is nothing to double.
        self.step = if moved { size } else { size.signum() * FIRST };
        self.price = to;
        moved
    }
}

/// Plans every member alone at its gains less the rows' prices: what they earn, and the site's
/// power by step.
fn alone(site: &mut Site<'_, '_>, prices: &[Price]) -> Result<(i128, Vec<i64>), StairsError> {
    let mut powers = vec![0; site.steps];
    let mut bound = 0i128;
    for (n, member) in site.members.iter_mut().enumerate() {
        let gains: Vec<Price> = member.gains.iter().zip(prices).map(|(g, p)| *g - *p).collect();
        let ahead = Ahead::new(site.begin, &gains);
        let plan = member.planner.plan(&ahead, member.from);
        let plan = plan.map_err(|e| StairsError::Member(n, e))?;
        let lattice = member.planner.lattice();
        powers.iter_mut().zip(plan.powers(lattice)).for_each(|(sum, p)| *sum += p.0);
        bound += i128::from(plan.profit.0);
    }
    for stair in site.stairs {
        let energy = stair.power.over(site.step);
        for ((gain, price), sum) in stair.gains.iter().zip(prices).zip(&mut powers) {
            let gain = *gain - *price;
            if gain > Price::ZERO {
                *sum += stair.power.0;
                bound += i128::from(gain.of(energy).0);
            }
        }
    }
    // Roundings of a micro-unit, one for each member and step.
    let members = site.members.len() + site.stairs.len();
    Ok((bound + i128::try_from(members * site.steps).expect("they are bounded"), powers))
}

/// How much a row is broken by, in watts or watt-seconds; below zero it has room.
fn excess(site: &Site<'_, '_>, kind: Kind, powers: &[i64]) -> i128 {
    let before = |t: usize| t.checked_sub(1).map_or(site.rows.before.0, |b| powers[b]);
    let limit = |p: Option<crate::units::Power>| p.map_or(0, |p| p.0);
    i128::from(match kind {
        Kind::Most(t) => powers[t] - site.most(t),
        Kind::Least(t) => site.least(t) - powers[t],
        Kind::Rise(t) => powers[t] - before(t) - limit(site.rows.rise),
        Kind::Fall(t) => before(t) - powers[t] - limit(site.rows.fall),
        Kind::Quota(n) => {
            let (steps, limit) = &site.rows.quotas[n];
            let sum = powers[steps.clone()].iter();
            let used: i64 = sum.map(|p| crate::units::Power(*p).over(site.step).0).sum();
            match limit {
                Limit::EnergyAtLeast(e) => e.0 - used,
                Limit::EnergyAtMost(e) => used - e.0,
                Limit::OffAtMost(_) => 0,
            }
        }
    })
}

/// What keeping a row is worth at its price, rounded up.
fn credit(site: &Site<'_, '_>, row: &Priced) -> i128 {
    let step = |p: i64| i128::from(crate::units::Power(p).over(site.step).0);
    let limit = |p: Option<crate::units::Power>| p.map_or(0, |p| p.0);
    let first = |t: usize| if t == 0 { site.rows.before.0 } else { 0 };
    let energy = match row.kind {
        Kind::Most(t) => step(site.most(t)),
        Kind::Least(t) => -step(site.least(t)),
        Kind::Rise(t) => step(limit(site.rows.rise) + first(t)),
        Kind::Fall(t) => step(limit(site.rows.fall) - first(t)),
        Kind::Quota(n) => match site.rows.quotas[n].1 {
            Limit::EnergyAtLeast(e) => -i128::from(e.0),
            Limit::EnergyAtMost(e) => i128::from(e.0),
            Limit::OffAtMost(_) => 0,
        },
    };
    div_ceil(i128::from(row.price) * energy, WATT_SECONDS_PER_MWH) + 1
}

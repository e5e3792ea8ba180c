//! The statement itself: terms and measured intervals in, lines out.

use super::charges;
use super::energy::draw;
use super::input::{Metered, Quote, UnitId, Work};
use super::line::{Class, Component, Line, Quantity};
use super::split::split;
use super::terms::{AdderOn, DeviationPrice, Terms};
use crate::number::{div_half_even, to_i64};
use crate::time::{Interval, Time};
use crate::units::{Energy, Money, Power, Price};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why something was not settled. Nothing that is missing counts as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// The meter told nothing.
    NoEnergy,
    /// No price was posted.
    NoPrice,
    /// A block sells at a point without a price.
    NoResalePrice,
    /// The work is paid in another currency and there is no rate.
    NoExchange,
    /// No value of the work was known.
    NoValue,
    /// A charge falls on a peak that is not settled throughout.
    PeakNotSettled,
}

/// An interval that is left out, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// Which.
    pub interval: Interval,
    /// Why.
    pub why: Why,
}

/// One interval, settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Which.
    pub interval: Interval,
    /// Energy at the meter.
    pub energy: Energy,
    /// Energy billed: losses added.
    pub billed: Energy,
    /// The settlement price used.
    pub quote: Quote,
    /// Its lines, in order of component.
    pub lines: Vec<Line>,
    /// Profit by unit; `None` is what no unit was named for.
    pub units: Vec<(Option<UnitId>, Money)>,
}

impl Settled {
    /// What the interval brought.
    #[must_use]
    pub fn profit(&self) -> Money {
        self.lines.iter().map(|l| l.amount).sum()
    }
}

/// All lines of one component together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Which component.
    pub component: Component,
    /// Which part of the profit it belongs to.
    pub class: Class,
    /// How many lines.
    pub lines: u64,
    /// Energy they count, where they count energy.
    pub energy: Option<Energy>,
    /// Their sum.
    pub amount: Money,
}

/// What a span came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// ISO 4217 code of every money in it.
    pub currency: String,
    /// Settled intervals in time order.
    pub intervals: Vec<Settled>,
    /// What could not be settled, in time order.
    pub unsettled: Vec<Unsettled>,
}

impl Statement {
    /// The sum of all intervals.
    #[must_use]
    pub fn profit(&self) -> Money {
        self.intervals.iter().map(Settled::profit).sum()
    }

    /// Energy at the meter over all settled intervals.
    #[must_use]
    pub fn energy(&self) -> Energy {
        self.intervals.iter().map(|i| i.energy).sum()
    }

    /// Sums by component, in order.
    #[must_use]
    pub fn totals(&self) -> Vec<Total> {
        let mut all: BTreeMap<(Component, Class), Total> = BTreeMap::new();
        for line in self.intervals.iter().flat_map(|i| &i.lines) {
            let (component, class) = (line.component, line.class);
            let empty = Total { component, class, lines: 0, energy: None, amount: Money::ZERO };
            let total = all.entry((component, class)).or_insert(empty);
            total.lines += 1;
            total.amount += line.amount;
            if let Quantity::Energy(energy) = line.quantity {
                *total.energy.get_or_insert(Energy::ZERO) += energy;
            }
        }
        all.into_values().collect()
    }

    /// The part of the profit a class brought: income above zero, cost below.
    #[must_use]
    pub fn of(&self, class: Class) -> Money {
        self.totals().iter().filter(|t| t.class == class).map(|t| t.amount).sum()
    }

    /// Sums by unit, in order.
    #[must_use]
    pub fn by_unit(&self) -> Vec<(Option<UnitId>, Money)> {
        let mut all: BTreeMap<Option<UnitId>, Money> = BTreeMap::new();
        for (unit, money) in self.intervals.iter().flat_map(|i| &i.units) {
            *all.entry(*unit).or_insert(Money::ZERO) += *money;
        }
        all.into_iter().collect()
    }
}

/// Settles intervals, given in time order, each once.
#[must_use]
pub fn settle(terms: &Terms, inputs: &[Metered]) -> Statement {
    let mut intervals = Vec::with_capacity(inputs.len());
    let mut unsettled = Vec::new();
    for input in inputs {
        match lines(terms, input) {
            Ok(settled) => intervals.push(settled),
            Err(why) => unsettled.push(Unsettled { interval: input.interval, why }),
        }
    }
    charges::book(terms, inputs, &mut intervals, &mut unsettled);
    for settled in &mut intervals {
        settled.lines.sort_by_key(|l| l.component);
        share(settled, inputs);
    }
    unsettled.sort_by_key(|u| (u.interval.start, u.why));
    Statement { currency: terms.currency.clone(), intervals, unsettled }
}

/// The number of a part of a contract.
pub(super) fn number(place: usize) -> u16 {
    u16::try_from(place).expect("a contract has few parts")
}

/// The lines that an interval has by itself.
fn lines(terms: &Terms, input: &Metered) -> Result<Settled, Why> {
    let energy = input.energy.ok_or(Why::NoEnergy)?;
    let quote = input.quote.ok_or(Why::NoPrice)?;
    let ppm = i128::from(1_000_000 + terms.loss_ppm);
    let billed = Energy(to_i64(div_half_even(i128::from(energy.0) * ppm, 1_000_000)));
    let mut lines = Vec::new();
    revenue(input, &mut lines)?;
    energy_lines(terms, input, billed, quote, &mut lines)?;
    if let Some(position) = input.position {
        let energy = position.power.over(input.interval.length());
        lines.push(line(Component::DayAhead, Class::EnergyCost, energy, position.quote, -1));
        lines.push(line(Component::DayAheadOffset, Class::EnergyCost, energy, quote, 1));
    }
    duties(terms, input, energy, quote, &mut lines);
    let interval = input.interval;
    Ok(Settled { interval, energy, billed, quote, lines, units: Vec::new() })
}

/// A line of energy at a price; `sign` is -1 for what is paid.
fn line(component: Component, class: Class, energy: Energy, quote: Quote, sign: i64) -> Line {
    let amount = quote.price.of(energy).times(sign);
    Line {
        component,
        class,
        quantity: Quantity::Energy(energy),
        quote: Some(quote),
        exchange: None,
        amount,
    }
}

fn revenue(input: &Metered, lines: &mut Vec<Line>) -> Result<(), Why> {
    if input.unvalued {
        return Err(Why::NoValue);
    }
    if input.work.is_empty() {
        return Ok(());
    }
    let foreign = input.work.iter().any(|w| w.foreign);
    if foreign && input.exchange.is_none() {
        return Err(Why::NoExchange);
    }
    lines.push(Line {
        component: Component::ComputeRevenue,
        class: Class::ComputeRevenue,
        quantity: Quantity::Energy(input.work.iter().map(|w| w.energy).sum()),
        quote: input.value,
        exchange: input.exchange.filter(|_| foreign),
        amount: earned(input).into_iter().sum(),
    });
    Ok(())
}

/// What each unit earned, in the site's currency, in the order of the work.
fn earned(input: &Metered) -> Vec<Money> {
    let earned = |w: &Work| match input.exchange {
        Some(rate) if w.foreign => rate.convert(w.revenue),
        _ => w.revenue,
    };
    input.work.iter().map(earned).collect()
}

/// Blocks, what is left of them, the load beyond, and the adders on each.
fn energy_lines(
    terms: &Terms,
    input: &Metered,
    billed: Energy,
    quote: Quote,
    lines: &mut Vec<Line>,
) -> Result<(), Why> {
    let (mut bought, mut resold) = (Energy::ZERO, Energy::ZERO);
    let start = input.interval.start;
    let in_force: Vec<usize> =
        (0..terms.blocks.len()).filter(|i| terms.blocks[*i].block.in_force(start)).collect();
    let mut at = in_force.iter();
    let mut missing = false;
    let blocks = in_force.iter().map(|i| &terms.blocks[*i].block);
    let rest = draw(billed, input.interval.length(), blocks, |block, used| {
        let place = *at.next().expect("a block in force for each use");
        bought += used.bought;
        resold += used.unused;
        let own = Quote { price: block.price, known_at: block.from };
        let class = Class::EnergyCost;
        lines.push(line(Component::BlockEnergy(number(place)), class, used.bought, own, -1));
        let market = if terms.blocks[place].elsewhere {
            input.resale.get(place).copied().flatten()
        } else {
            Some(quote)
        };
        let Some(market) = market else {
            missing |= used.unused > Energy::ZERO;
            return;
        };
        lines.push(Line {
            component: Component::BlockResale(number(place)),
            class: Class::SellBack,
            quantity: Quantity::Energy(used.unused),
            quote: Some(market),
            exchange: None,
            amount: block.resale(market.price).of(used.unused),
        });
    });
    if missing {
        return Err(Why::NoResalePrice);
    }
    lines.push(line(Component::SpotEnergy, Class::EnergyCost, rest, quote, -1));
    for (place, adder) in terms.adders.iter().enumerate() {
        let (energy, class) = match adder.on {
            AdderOn::Import => (billed, Class::EnergyCost),
            AdderOn::Block => (bought, Class::EnergyCost),
            AdderOn::Resale => (resold, Class::SellBack),
        };
        let own = Quote { price: adder.price, known_at: Time::MIN };
        lines.push(line(Component::Adder(number(place)), class, energy, own, -1));
    }
    Ok(())
}

/// What was held ready, called for, forgiven and worn.
fn duties(terms: &Terms, input: &Metered, energy: Energy, quote: Quote, lines: &mut Vec<Line>) {
    let span = input.interval.length();
    for held in &input.capacity {
        lines.push(Line {
            component: Component::CapacityPayment(held.product),
            class: Class::Capacity,
            quantity: Quantity::Held(held.awarded),
            quote: Some(held.quote),
            exchange: None,
            amount: held.quote.price.of(held.awarded.over(span)),
        });
    }
    let mut taken: BTreeMap<u16, Power> = BTreeMap::new();
    for call in &input.deployments {
        // What was not paid for cannot be taken back, nor what was paid be taken back twice.
        let Some(held) = input.capacity.iter().find(|c| c.product == call.product) else {
            continue;
        };
        let taken = taken.entry(call.product).or_insert(Power::ZERO);
        let left = held.awarded.minus_or_zero(*taken);
        let short = call.required.minus_or_zero(call.delivered).min(left);
        *taken += short;
        lines.push(Line {
            component: Component::CapacityShortfall(call.product),
            class: Class::Capacity,
            quantity: Quantity::Held(short),
            quote: Some(held.quote),
            exchange: None,
            amount: -held.quote.price.of(short.over(span)),
        });
    }
    if let (Some(deviation), Some(base)) = (terms.deviation, input.base_point) {
        let allowed = base + base.scaled(deviation.tolerance_ppm).max(deviation.at_least);
        let beyond = energy.minus_or_zero(allowed.over(span));
        let price = match deviation.price {
            DeviationPrice::Spot => Quote { price: quote.price.max(Price::ZERO), ..quote },
            DeviationPrice::Fixed(price) => Quote { price, known_at: Time::MIN },
        };
        lines.push(line(Component::BasePointDeviation, Class::OtherCost, beyond, price, -1));
    }
    if input.wear != Money::ZERO {
        lines.push(Line {
            component: Component::Wear,
            class: Class::OtherCost,
            quantity: Quantity::Sum,
            quote: None,
            exchange: None,
            amount: -input.wear,
        });
    }
}

/// Shares an interval over its units: revenue to the one that earned it, the rest by energy.
fn share(settled: &mut Settled, inputs: &[Metered]) {
    let at = inputs.partition_point(|i| i.interval.start < settled.interval.start);
    let input = &inputs[at];
    if input.work.is_empty() {
        settled.units = vec![(None, settled.profit())];
        return;
    }
    let earned = earned(input);
    let common = settled.profit() - earned.iter().copied().sum();
    let weights: Vec<i64> = input.work.iter().map(|w| w.energy.0).collect();
    let parts = split(common.0, &weights);
    settled.units = input
        .work
        .iter()
        .zip(earned.iter().zip(parts))
        .map(|(work, (own, part))| (Some(work.unit), *own + Money(part)))
        .collect();
}

/// What another load would have come to, beside what there was, over the same intervals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// The other load.
    pub other: Statement,
    /// The load there was, over the intervals that settle under both.
    pub actual: Statement,
}

impl Counterfactual {
    /// How much better the load there was did than the other.
    #[must_use]
    pub fn better_by(&self) -> Money {
        self.actual.profit() - self.other.profit()
    }
}

/// What another load would have come to under the same terms and prices: `load` gives the energy
/// at the meter and the work of an interval. Only intervals that settle under both loads are
/// taken, so that the two may be compared; charges follow each one's own load, and a duty that
/// was kept is kept.
#[must_use]
pub fn counterfactual(
    terms: &Terms,
    inputs: &[Metered],
    load: impl Fn(&Metered) -> (Energy, Vec<Work>),
) -> Counterfactual {
    let (mut others, mut actuals) = (Vec::new(), Vec::new());
    for input in inputs.iter().filter(|i| lines(terms, i).is_ok()) {
        let (energy, work) = load(input);
        let other = Metered { energy: Some(energy), work, value: None, ..input.clone() };
        if lines(terms, &other).is_ok() {
            others.push(other);
            actuals.push(input.clone());
        }
    }
    Counterfactual { other: settle(terms, &others), actual: settle(terms, &actuals) }
}

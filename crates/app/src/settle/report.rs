//! A statement with all that stands beside it: what another load would have come to, what
//! corrections changed, and the names of things.

use headgate_core::settle::{
    Component, Counterfactual, Difference, Metered, Statement, Terms, UnitId, Work, counterfactual,
    difference, settle,
};
use headgate_core::time::Interval;
use headgate_core::units::{Energy, Price};

/// What people call the things that lines are numbered by.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Blocks, in the order of the terms.
    pub blocks: Vec<String>,
    /// Adders, in the order of the terms.
    pub adders: Vec<String>,
    /// Charges, in the order of the terms.
    pub charges: Vec<String>,
    /// Products of capacity, by number.
    pub products: Vec<String>,
    /// Units, by number.
    pub units: Vec<String>,
}

impl Names {
    /// The name of what a component is of; empty where it is of the whole site.
    pub fn of(&self, component: Component) -> &str {
        let list = match component {
            Component::BlockEnergy(_) | Component::BlockResale(_) => &self.blocks,
            Component::Adder(_) => &self.adders,
            Component::CoincidentPeak(_) | Component::Demand(_) => &self.charges,
            Component::CapacityPayment(_) | Component::CapacityShortfall(_) => &self.products,
            _ => return "",
        };
        component.place().and_then(|p| list.get(usize::from(p))).map_or("", String::as_str)
    }

    /// The name of a unit; `None` is what no unit was named for.
    pub fn unit(&self, unit: Option<UnitId>) -> &str {
        match unit {
            None => "not attributed",
            Some(UnitId(n)) => {
                usize::try_from(n).ok().and_then(|n| self.units.get(n)).map_or("?", String::as_str)
            }
        }
    }
}

/// The load at a fixed strike price, settled.
#[derive(Debug, Clone)]
pub struct Strike {
    /// Everything ran below it, nothing at or above it.
    pub price: Price,
    /// What that came to.
    pub against: Counterfactual,
}

/// What corrected prices changed.
#[derive(Debug, Clone)]
pub struct Correction {
    /// The span by the prices first posted.
    pub first: Statement,
    /// From those to the ones in force.
    pub difference: Difference,
}

/// A statement and all that stands beside it.
#[derive(Debug, Clone)]
pub struct Report {
    /// The site's name.
    pub site: String,
    /// Where its energy settles.
    pub point: String,
    /// The site's time zone, for people.
    pub zone: String,
    /// The span asked for.
    pub span: Interval,
    /// The contract terms, for the page.
    pub terms: Terms,
    /// Names of things.
    pub names: Names,
    /// The statement.
    pub statement: Statement,
    /// The whole fleet at full power throughout; `None` where its power is not known.
    pub always_on: Option<Counterfactual>,
    /// The whole fleet below a strike; `None` where none was named.
    pub fixed_strike: Option<Strike>,
    /// What corrections changed; `None` where every price was posted once.
    pub correction: Option<Correction>,
    /// Where prices and readings came from, one sentence each.
    pub sources: Vec<String>,
    /// What a reader should know, one sentence each.
    pub notes: Vec<String>,
}

/// What a report is made of.
pub struct Gathered<'a> {
    /// The site's name.
    pub site: String,
    /// Where its energy settles.
    pub point: String,
    /// The site's time zone, for people.
    pub zone: String,
    /// The span asked for.
    pub span: Interval,
    /// The contract terms.
    pub terms: Terms,
    /// Names of things.
    pub names: Names,
    /// Every interval of the span with the prices in force.
    pub intervals: Vec<Metered>,
    /// The same with the prices first posted, where any was corrected.
    pub first: Option<Vec<Metered>>,
    /// The price of a fixed strike, where one is wanted.
    pub strike: Option<Price>,
    /// Energy and work of the whole fleet at full power in an interval, where that is known.
    pub full: Option<Full<'a>>,
    /// Where prices and readings came from.
    pub sources: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Energy at the meter and work of an interval, at full power or asleep.
pub struct Full<'a> {
    /// Everything at full power.
    pub on: &'a dyn Fn(&Metered) -> (Energy, Vec<Work>),
    /// Everything asleep.
    pub off: &'a dyn Fn(&Metered) -> (Energy, Vec<Work>),
}

impl Report {
    /// Settles what was gathered.
    pub fn of(gathered: Gathered<'_>) -> Self {
        let g = gathered;
        let statement = settle(&g.terms, &g.intervals);
        let always_on = g.full.as_ref().map(|f| counterfactual(&g.terms, &g.intervals, f.on));
        let fixed_strike = g.full.as_ref().zip(g.strike).map(|(full, price)| {
            // An interval without a price is not settled whatever it drew.
            let below = |m: &Metered| m.quote.is_none_or(|q| q.price < price);
            let load = |m: &Metered| if below(m) { (full.on)(m) } else { (full.off)(m) };
            Strike { price, against: counterfactual(&g.terms, &g.intervals, load) }
        });
        let correction = g.first.map(|first| {
            let first = settle(&g.terms, &first);
            let difference = difference(&first, &statement);
            Correction { first, difference }
        });
        Self {
            site: g.site,
            point: g.point,
            zone: g.zone,
            span: g.span,
            terms: g.terms,
            names: g.names,
            statement,
            always_on,
            fixed_strike,
            correction,
            sources: g.sources,
            notes: g.notes,
        }
    }
}

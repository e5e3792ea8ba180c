//! The hours to come as the engine sees them: prices known and expected, what each cohort would
//! do at them, and the price at which it would do otherwise. Nothing is decided here.

use super::Engine;
use crate::fleet::{CohortId, Level};
use crate::horizon::exact::{Ahead, ExactError, Planner};
use crate::horizon::path::{self, Step};
use crate::horizon::rolling::{self, Planned};
use crate::horizon::unit::{Begins, LatticeError, UnitSpec, UnitState};
use crate::merit::Segment;
use crate::number::{div_half_even, to_i64};
use crate::site::Site;
use crate::time::Time;
use crate::units::{Money, NANOS_PER_SECOND, Power, Price, WATT_SECONDS_PER_MWH};
use std::fmt;

/// What one cohort would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CohortOutlook {
    /// Which.
    pub cohort: CohortId,
    /// Value of a consumed MWh of its first step, in terms of the market's price.
    pub value: Price,
    /// Its plan, step by step; powers are of all its machines counted on.
    pub plan: Vec<Planned>,
}

/// The hours to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Seen from here.
    pub at: Time,
    /// Prices, by settlement interval.
    pub path: Vec<Step>,
    /// What each cohort would do, in the order of the site.
    pub cohorts: Vec<CohortOutlook>,
}

/// Why there is no outlook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutlookError {
    /// Nothing is configured yet, or machines have not been heard of.
    NotReady,
    /// No real-time price is known.
    NoPrice,
    /// The value of the work is not known.
    NoValue,
    /// A cohort admits no plan at the settlement step.
    Unit(CohortId, LatticeError),
    /// A cohort has no plan.
    Plan(CohortId, ExactError),
}

impl fmt::Display for OutlookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("the machines have not been heard of yet"),
            Self::NoPrice => f.write_str("no real-time price is known"),
            Self::NoValue => f.write_str("the value of the work is not known"),
            Self::Unit(c, e) => write!(f, "cohort {} at the settlement step: {e}", c.0),
            Self::Plan(c, e) => write!(f, "cohort {}: {e}", c.0),
        }
    }
}

impl std::error::Error for OutlookError {}

impl Engine {
    /// Plans so many settlement intervals ahead, each cohort by itself, on the expected path.
    ///
    /// # Errors
    /// [`OutlookError`] when something needed is not known.
    pub fn outlook(&self, steps: usize) -> Result<Outlook, OutlookError> {
        let (Some(site), Some(now)) = (self.site.as_deref(), self.now) else {
            return Err(OutlookError::NotReady);
        };
        if !self.ready() {
            return Err(OutlookError::NotReady);
        }
        let step = site.market.settle_step;
        let path = path::expected(&self.known, now, step, step, steps);
        let path = path.ok_or(OutlookError::NoPrice)?;
        let stairs = self.stairs.as_ref().ok_or(OutlookError::NoValue)?;
        let mut cohorts = Vec::new();
        for (c, segments) in stairs.by_cohort.iter().enumerate() {
            let cohort = CohortId(u16::try_from(c).expect("COHORTS_MAX fits 16 bits"));
            let Some(first) = segments.first() else { continue };
            let value = first.breakeven - site.import_adder;
            let plan = match self.units.iter().position(|u| u.spec.cohort == cohort) {
                Some(unit) => self.unit_outlook(unit, &path, value)?,
                None => self.machines_outlook(site, cohort, segments, &path)?,
            };
            cohorts.push(CohortOutlook { cohort, value, plan });
        }
        Ok(Outlook { at: now, path, cohorts })
    }

    fn unit_outlook(
        &self,
        unit: usize,
        path: &[Step],
        value: Price,
    ) -> Result<Vec<Planned>, OutlookError> {
        let spec = &self.units[unit].spec;
        let step = path[0].interval.length();
        let planner = Planner::new(spec, step);
        let mut planner = planner.map_err(|e| OutlookError::Unit(spec.cohort, e))?;
        let state = self.unit_state(unit);
        let plan = rolling::plan(&mut planner, &state, path, value);
        plan.map_err(|e| OutlookError::Plan(spec.cohort, e))
    }

    /// Machines of a cohort as one: on or off looks ahead, the level is a matter of the price.
    fn machines_outlook(
        &self,
        site: &Site,
        cohort: CohortId,
        segments: &[Segment],
        path: &[Step],
    ) -> Result<Vec<Planned>, OutlookError> {
        let c = usize::from(cohort.0);
        let tally = &self.roster.tallies()[c];
        let (awake, count) = (tally.awake(), i64::from(tally.awake() + tally.asleep()));
        let sleep = self.roster.power(c, Level::SLEEP);
        let rise = |s: &Segment| self.roster.power(c, s.to) - self.roster.power(c, s.from);
        let top: Power = segments.iter().map(rise).sum();
        let times = &site.cohorts[c].times;
        let spec = UnitSpec {
            cohort,
            min: top,
            max: top,
            start_at: top,
            ramp_up: None,
            ramp_down: None,
            min_on: times.min_on,
            min_off: times.min_off,
            start_cost: site.cohorts[c].start_cost,
            starts_per_day: Some(site.cohorts[c].starts_per_day),
            begins: Begins::Off,
        };
        let step = path[0].interval.length();
        let planner = Planner::new(&spec, step);
        let mut planner = planner.map_err(|e| OutlookError::Unit(cohort, e))?;
        // Most machines are on, or most are off: the plan is for that many.
        let on = i64::from(awake) * 2 >= count && awake > 0;
        let state = UnitState {
            power: if on { top } else { Power::ZERO },
            switched_at: tally.last_switch,
            changed_at: tally.last_switch,
            starts: 0,
            start_day: 0,
        };
        let levels: Vec<Running> =
            path.iter().map(|s| self.running(site, segments, s.price)).collect();
        let awake: Vec<Money> = levels.iter().map(|r| r.earns(step.0)).collect();
        let gains = vec![Price::ZERO; path.len()];
        let begin = path[0].interval.start;
        let ahead = Ahead { awake: &awake, ..Ahead::new(begin, &gains) };
        let plan = planner.plan(&ahead, planner.origin_on_grid(&state, begin));
        let plan = plan.map_err(|e| OutlookError::Plan(cohort, e))?;
        let mut before = plan.origin;
        let lattice = planner.lattice();
        let mut out = Vec::with_capacity(path.len());
        for (k, (at, s)) in path.iter().zip(&plan.states).enumerate() {
            let on = lattice.level(*s).is_some();
            let start = on && lattice.level(before).is_none();
            let running = &levels[k];
            let drawn = if on { sleep + running.power } else { sleep };
            let cost = if start { spec.start_cost } else { Money::ZERO };
            out.push(Planned {
                step: *at,
                state: *s,
                power: site.overhead.meter(drawn.times(count)) - site.overhead.fixed,
                start,
                profit: if on { (awake[k] - cost).times(count) } else { Money::ZERO },
                down_above: running.down_above.filter(|_| on),
                up_below: if on { running.up_below } else { segments.first().map(|f| f.breakeven) },
            });
            before = *s;
        }
        Ok(out)
    }

    /// The level a running machine would be at, at a price.
    fn running(&self, site: &Site, segments: &[Segment], price: Price) -> Running {
        let mut out = Running { power: Power::ZERO, flow: 0, down_above: None, up_below: None };
        for (i, s) in segments.iter().enumerate() {
            let market = s.breakeven - site.import_adder;
            let power = self.roster.power(s.cohort, s.to) - self.roster.power(s.cohort, s.from);
            // A machine that runs is at its first level at least.
            if i > 0 && market <= price {
                out.up_below = Some(market);
                break;
            }
            out.power += power;
            let at_meter = power.scaled(1_000_000 + site.overhead.share_ppm);
            out.flow += i128::from((market - price).0) * i128::from(at_meter.0);
            out.down_above = Some(market);
        }
        out
    }
}

/// A running machine at one price.
struct Running {
    /// Power above sleep.
    power: Power,
    /// What it earns beyond its energy: micro-currency per MWh times watts.
    flow: i128,
    down_above: Option<Price>,
    up_below: Option<Price>,
}

impl Running {
    /// What it earns over so many nanoseconds.
    fn earns(&self, nanos: i64) -> Money {
        let whole = WATT_SECONDS_PER_MWH * NANOS_PER_SECOND;
        Money(to_i64(div_half_even(self.flow * i128::from(nanos), whole)))
    }
}

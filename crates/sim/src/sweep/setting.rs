//! What a case changes of its site.

use headgate_core::event::Hashprice;
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::site::{Ramp, Site};
use headgate_core::time::Span;
use headgate_core::units::{Money, Power, Price};
use serde::{Deserialize, Serialize};

/// One point of the parameters; `None` leaves what the site says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Setting {
    /// Worth of a megawatt-hour at every cohort, per MWh.
    pub value: Option<Price>,
    /// Price of the policy `fixed_strike`, per MWh.
    pub strike: Option<Price>,
    /// Factor on the hash price, in parts per million.
    pub hashprice_ppm: Option<i64>,
    /// How much later than it could be known everything is told.
    pub lag: Option<Span>,
    /// What it changes of every unit.
    pub unit: UnitSetting,
}

/// What a setting changes of every unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitSetting {
    /// Cost of one start.
    pub start: Option<Money>,
    /// Least power while on.
    pub min: Option<Power>,
    /// Fastest rise.
    pub ramp_up: Option<Ramp>,
    /// Shortest time on.
    pub min_on: Option<Span>,
    /// Shortest time off.
    pub min_off: Option<Span>,
    /// Starts in one UTC day.
    pub starts_per_day: Option<u16>,
}

impl Setting {
    /// The site and its units as this setting has them.
    #[must_use]
    pub fn applied(&self, site: &Site, units: &[UnitSpec]) -> (Site, Vec<UnitSpec>) {
        let mut site = site.clone();
        if let Some(value) = self.value {
            for cohort in &mut site.cohorts {
                cohort.value = Some(value);
            }
        }
        let units: Vec<UnitSpec> = units.iter().map(|u| self.unit.applied(u)).collect();
        // The account takes what starts cost from the cohort.
        for unit in &units {
            if let Some(cohort) = site.cohorts.get_mut(usize::from(unit.cohort.0)) {
                cohort.start_cost = unit.start_cost;
            }
        }
        (site, units)
    }

    /// Hash prices by the factor of this setting.
    #[must_use]
    pub fn values(&self, values: &[Hashprice]) -> Vec<Hashprice> {
        let ppm = i128::from(self.hashprice_ppm.unwrap_or(1_000_000));
        let of = |v: &Hashprice| Hashprice {
            per_ph_day: Money(to_i64(div_half_even(i128::from(v.per_ph_day.0) * ppm, 1_000_000))),
            ..*v
        };
        values.iter().map(of).collect()
    }
}

impl UnitSetting {
    /// A unit as this setting has it. A start goes to the least power at least.
    #[must_use]
    pub fn applied(&self, unit: &UnitSpec) -> UnitSpec {
        let min = self.min.unwrap_or(unit.min);
        UnitSpec {
            min,
            start_at: if unit.start_at == unit.min { min } else { unit.start_at.max(min) },
            start_cost: self.start.unwrap_or(unit.start_cost),
            ramp_up: self.ramp_up.or(unit.ramp_up),
            min_on: self.min_on.unwrap_or(unit.min_on),
            min_off: self.min_off.unwrap_or(unit.min_off),
            starts_per_day: self.starts_per_day.or(unit.starts_per_day),
            ..*unit
        }
    }
}

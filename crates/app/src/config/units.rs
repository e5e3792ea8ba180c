//! Cohorts without machines: one dispatchable block of load each, planned and not commanded.

use super::raw::{At, Begins as RawBegins, RawCohort, RawUnit};
use super::resolve::{Check, value};
use headgate_core::fleet::{CohortId, DriverId};
use headgate_core::horizon::unit::{Begins, Lattice, LatticeError, UnitSpec};
use headgate_core::site::{Cohort, MachineTimes, SiteLimits};
use headgate_core::time::Span;
use headgate_core::units::Money;
use std::ops::Range;

/// Shortest time on or off, where the file names none.
const DWELL: Span = Span::minutes(15);

/// One block of load: its cohort, whose levels are its lattice at the market's dispatch step, and
/// what it can do; `None` where something is wrong with it.
pub(super) fn unit(
    check: &mut Check<'_>,
    raw: &RawCohort,
    id: CohortId,
    driver: DriverId,
    limits: &SiteLimits,
) -> Option<(Cohort, UnitSpec)> {
    let Some(unit) = &raw.unit else {
        let message = "`unit` is missing: add `unit = { min = \"40 MW\", max = \"100 MW\" }`, \
                       or name a driver of `[drivers]`";
        check.missing(&raw.driver.span(), message);
        return None;
    };
    machines_only(check, raw);
    let at = unit.span();
    let unit = unit.get_ref();
    let spec = spec(check, raw, unit, id);
    let (min, max) = (value(&unit.min), value(&unit.max));
    if min > max {
        check.wrong(&unit.min.span(), format!("it is above `max` ({max}): swap the two"));
        return None;
    }
    if let Some(start) = unit.start_at.as_ref().filter(|s| !(min..=max).contains(&value(s))) {
        check.wrong(&start.span(), format!("it is outside `min` ({min}) to `max` ({max})"));
        return None;
    }
    if raw.enabled && min > limits.import {
        let import = limits.import;
        let message = format!("it is above `limits.import` ({import}), so it could never start");
        check.wrong(&unit.min.span(), message);
        return None;
    }
    let lattice = match Lattice::new(&spec, check.market.rule.dispatch_step) {
        Ok(lattice) => lattice,
        Err(error) => {
            let (at, message) = told(&at, unit, &error);
            check.wrong(&at, message);
            return None;
        }
    };
    if raw.value.is_none() && *check.file.raw.value.source.get_ref() == hashes() {
        let message = "a hash price cannot value a unit: add `value = \"40 USD/MWh\"`";
        check.missing(&raw.name.span(), message);
    }
    Some((cohort(check, raw, &spec, driver, &lattice), spec))
}

fn hashes() -> super::raw::ValueSource {
    super::raw::ValueSource::Hashprice
}

fn told(at: &Range<usize>, unit: &RawUnit, error: &LatticeError) -> (Range<usize>, String) {
    let at = match error {
        LatticeError::Bounds => unit.min.span(),
        LatticeError::Ramp => {
            let ramp = unit.ramp_up.as_ref().or(unit.ramp_down.as_ref());
            ramp.map_or(at.clone(), super::raw::Spanned::span)
        }
        _ => at.clone(),
    };
    (at, format!("it admits no plan: {error}"))
}

/// What only machines have is refused by name.
fn machines_only(check: &mut Check<'_>, raw: &RawCohort) {
    let mut refuse = |at: Range<usize>, what: &str| {
        check.wrong(&at, format!("a unit without a driver has no `{what}`: take it out"));
    };
    if let Some(hosts) = &raw.hosts {
        refuse(hosts.span(), "hosts");
    }
    if let Some(curve) = &raw.curve {
        refuse(curve.span(), "curve");
    }
    if let Some(sleep) = &raw.sleep {
        refuse(sleep.span(), "sleep");
    }
    if let Some(level) = raw.overclock.first() {
        refuse(level.span(), "overclock");
    }
    if let Some(host) = raw.exclude.first() {
        refuse(host.span(), "exclude");
    }
    if let Some(start) = &raw.wear.start {
        let message = "a unit's start is `unit.start`: move it there";
        check.wrong(&start.span(), message);
    }
}

fn spec(check: &mut Check<'_>, raw: &RawCohort, unit: &RawUnit, id: CohortId) -> UnitSpec {
    let span = |text: &Option<At<Span>>| text.as_ref().map_or(DWELL, value);
    if let Some(zero) = raw.wear.starts_per_day.as_ref().filter(|s| *s.get_ref() == 0) {
        check.wrong(&zero.span(), "it could never start: use 1 or more");
    }
    UnitSpec {
        cohort: id,
        min: value(&unit.min),
        max: value(&unit.max),
        start_at: unit.start_at.as_ref().map_or(value(&unit.max), value),
        ramp_up: unit.ramp_up.as_ref().map(value),
        ramp_down: unit.ramp_down.as_ref().map(value),
        min_on: span(&unit.min_on),
        min_off: span(&unit.min_off),
        start_cost: unit.start.as_ref().map_or(Money::ZERO, |m| check.amount(m)),
        starts_per_day: raw.wear.starts_per_day.as_ref().map(|s| *s.get_ref()),
        begins: match unit.begins {
            Some(RawBegins::On) => Begins::On,
            None | Some(RawBegins::Off) => Begins::Off,
        },
    }
}

fn cohort(
    check: &mut Check<'_>,
    raw: &RawCohort,
    spec: &UnitSpec,
    driver: DriverId,
    lattice: &Lattice,
) -> Cohort {
    Cohort {
        name: raw.name.get_ref().clone(),
        driver,
        curve: lattice.curve(),
        overclocked: 0,
        times: MachineTimes {
            down: Span::ZERO,
            up: Span::ZERO,
            min_on: spec.min_on,
            min_off: spec.min_off,
        },
        start_cost: spec.start_cost,
        starts_per_day: spec.starts_per_day.unwrap_or(u16::MAX),
        strike: raw.strike.as_ref().map(|s| check.amount(s)),
        value: raw.value.as_ref().map(|v| check.amount(v)),
    }
}

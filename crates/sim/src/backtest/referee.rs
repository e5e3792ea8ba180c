//! The referee: whether a run obeyed the physics of its units and the limit of its site.
//!
//! It knows nothing of lattices, plans or engines. It reads the power of each unit over time and
//! checks it against the unit's own numbers, so that a plan and the code that carried it out
//! cannot be wrong together.
//!
//! ```text
//!   power        max  ------------+
//!                     ramp_up ^   | stop: only from where a fall reaches `min`
//!   start_at  +-------+           |
//!             |  at least min_on  |  at least min_off  |
//! ```

use super::account::full_power;
use super::run::{Run, Segment};
use super::tape::Tape;
use headgate_core::horizon::unit::{Begins, UnitSpec};
use headgate_core::site::{Ramp, Site};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Energy, Power};

/// Levels of a ramp are cut to whole watts: a rise over this many steps may be so many watts off.
const WATTS_A_STEP: i64 = 1;
/// Simulated machines draw a little more or less than their curves say, in parts per million.
const MACHINES_OFF_PPM: i64 = 20_000;

/// A run that cannot have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Time is missing, or told twice.
    #[error("the run breaks off at {at}: the next segment is {next}")]
    Cover {
        /// Where the run stands.
        at: Time,
        /// What comes instead.
        next: String,
    },
    /// A segment reaches over the edge of a settlement interval.
    #[error("the segment {0} lies in two settlement intervals")]
    Straddles(Interval),
    /// Power and energy of a segment do not belong together.
    #[error("the segment {interval} draws {power} and counts {energy}")]
    Energy {
        /// Which segment.
        interval: Interval,
        /// Its power.
        power: Power,
        /// Its energy.
        energy: Energy,
    },
    /// More than the site may draw, or less than nothing.
    #[error("the site draws {power} in {interval}: {limit}")]
    Site {
        /// When.
        interval: Interval,
        /// How much.
        power: Power,
        /// What it broke.
        limit: String,
    },
    /// A unit did what it cannot do.
    #[error("unit {unit} at {at}: {what}")]
    Unit {
        /// Which, counted from 0.
        unit: usize,
        /// When.
        at: Time,
        /// What it did and the constraint it broke.
        what: String,
    },
    /// Starts of the run and of its segments are not the same.
    #[error("the run counts {counted} starts, its units made {made}")]
    Starts {
        /// As the run says.
        counted: u64,
        /// As its power shows.
        made: u64,
    },
    /// A unit's power is not told.
    #[error("the run does not tell the power of each of {units} units: nobody can check them")]
    Unknown {
        /// How many.
        units: usize,
    },
}

/// Checks a run; `units` are those of the site, `step` is the step in which they use their ramps.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check(
    site: &Site,
    units: &[UnitSpec],
    step: Span,
    tape: &Tape,
    run: &Run,
) -> Result<(), Violation> {
    covers(tape, &run.segments)?;
    for s in &run.segments {
        site_of(site, units, s)?;
    }
    if run.set_points.len() != units.len() {
        return Err(Violation::Unknown { units: units.len() });
    }
    if !has_machines(site, units) {
        add_up(site, units, tape, run)?;
    }
    for (unit, (spec, set)) in units.iter().zip(&run.set_points).enumerate() {
        let made = check_unit(unit, spec, step, &track(set, tape.span.end))?;
        let counted = run.starts.get(usize::from(spec.cohort.0)).copied().unwrap_or(0);
        if counted != made {
            return Err(Violation::Starts { counted, made });
        }
    }
    let counted: u64 = run.starts.iter().sum();
    let made: u64 = run.segments.iter().map(|s| u64::from(s.starts)).sum();
    if counted == made { Ok(()) } else { Err(Violation::Starts { counted, made }) }
}

/// Whether anything but units draws power.
fn has_machines(site: &Site, units: &[UnitSpec]) -> bool {
    let is_unit = |c| units.iter().any(|u| u.cohort == c);
    site.machines.iter().any(|m| !m.excluded && !is_unit(m.cohort))
}

/// The set points of one unit as power over time.
fn track(set: &[(Time, Power)], end: Time) -> Vec<Held> {
    let until = set.iter().skip(1).map(|(at, _)| *at).chain([end]);
    let held = |((start, power), end): (&(Time, Power), Time)| Held {
        interval: Interval { start: *start, end },
        power: *power,
    };
    set.iter().zip(until).map(held).collect()
}

/// Every segment draws what the set points of all units add up to.
fn add_up(site: &Site, units: &[UnitSpec], tape: &Tape, run: &Run) -> Result<(), Violation> {
    let mut all: Vec<(Time, usize, Power)> = Vec::new();
    for (unit, set) in run.set_points.iter().enumerate() {
        all.extend(set.iter().map(|(at, power)| (*at, unit, *power)));
    }
    all.sort_by_key(|(at, ..)| *at);
    let mut now: Vec<Power> = units.iter().map(begin).collect();
    let mut next = all.into_iter().peekable();
    for s in &run.segments {
        while let Some((_, unit, power)) = next.next_if(|(at, ..)| *at <= s.interval.start) {
            now[unit] = power;
        }
        let broken =
            |what: String| Violation::Site { interval: s.interval, power: s.power, limit: what };
        if let Some((at, unit, _)) = next.peek().filter(|(at, ..)| *at < s.interval.end) {
            return Err(broken(format!("unit {unit} is set anew within it, at {at}")));
        }
        let meter = site.overhead.meter(now.iter().copied().sum());
        if meter != s.power {
            return Err(broken(format!("its units and overhead draw {meter}")));
        }
    }
    match next.next() {
        Some((at, ..)) if at >= tape.span.end => {
            Err(Violation::Cover { at: tape.span.end, next: format!("a set point at {at}") })
        }
        _ => Ok(()),
    }
}

fn covers(tape: &Tape, segments: &[Segment]) -> Result<(), Violation> {
    let mut at = tape.span.start;
    for s in segments {
        if s.interval.start != at || s.interval.end <= s.interval.start {
            return Err(Violation::Cover { at, next: s.interval.to_string() });
        }
        if s.interval.end > s.interval.start.interval(tape.settle_step).end {
            return Err(Violation::Straddles(s.interval));
        }
        at = s.interval.end;
    }
    match at == tape.span.end {
        true => Ok(()),
        false => Err(Violation::Cover { at, next: "missing".into() }),
    }
}

/// What the site as a whole may draw, and that energy is power by time.
fn site_of(site: &Site, units: &[UnitSpec], s: &Segment) -> Result<(), Violation> {
    let interval = s.interval;
    let told = s.power.over(interval.length());
    // A mean power is rounded to whole watts.
    let slack = interval.length().as_seconds() + 1;
    if (told - s.energy).0.abs() > slack {
        return Err(Violation::Energy { interval, power: s.power, energy: s.energy });
    }
    let most = if has_machines(site, units) {
        Power(site.limits.import.0 + full_power(site, units).scaled(MACHINES_OFF_PPM).0)
    } else {
        site.limits.import
    };
    if s.power > most {
        let limit = format!("its import limit is {}", site.limits.import);
        return Err(Violation::Site { interval, power: s.power, limit });
    }
    if s.power < Power::ZERO || s.machine_energy < Energy::ZERO {
        let limit = "a load does not feed in".to_owned();
        return Err(Violation::Site { interval, power: s.power, limit });
    }
    Ok(())
}

/// Power of a unit over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// When.
    pub interval: Interval,
    /// How much.
    pub power: Power,
}

/// What a unit draws before anything is set.
fn begin(spec: &UnitSpec) -> Power {
    match spec.begins {
        Begins::Off => Power::ZERO,
        Begins::On => spec.max,
    }
}

/// What is known of a unit while its power is read from the start on.
#[derive(Debug, Clone, Copy)]
struct Past {
    on: bool,
    /// When it was last switched; `None` before the span.
    switched: Option<Time>,
    day: i32,
    starts: u16,
}

/// Checks one unit by its power over time; returns the starts it made. `step` is the step in
/// which it uses its ramps: a power stands for the ramp over the step in which it is held.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check_unit(
    unit: usize,
    spec: &UnitSpec,
    step: Span,
    track: &[Held],
) -> Result<u64, Violation> {
    let Some(first) = track.first() else { return Ok(0) };
    let before = begin(spec);
    let begins_on = before > Power::ZERO;
    let mut past =
        Past { on: begins_on, switched: None, day: first.interval.start.day(), starts: 0 };
    let mut last = before;
    let mut made = 0;
    let mut ramps = Ramps::new(spec, step);
    if begins_on {
        ramps.started(Time::MIN, before);
    }
    for h in track {
        let at = h.interval.start;
        let broken = |what: String| Violation::Unit { unit, at, what };
        let on = h.power > Power::ZERO;
        if on && !(spec.min..=spec.max).contains(&h.power) {
            return Err(broken(format!(
                "it draws {}, outside {} to {}",
                h.power, spec.min, spec.max
            )));
        }
        if on != past.on {
            let least = if past.on { spec.min_on } else { spec.min_off };
            if past.switched.is_some_and(|t| at.since(t) < least) {
                let (word, since) = (if past.on { "on" } else { "off" }, past.switched);
                let since = since.unwrap_or(at);
                return Err(broken(format!("it was {word} since {since}, shorter than {least}")));
            }
            if on {
                made += 1;
                count_start(spec, &mut past, at).map_err(broken)?;
                if h.power > spec.start_at {
                    let start = spec.start_at;
                    return Err(broken(format!("it starts at {}, above {start}", h.power)));
                }
                ramps.started(at, h.power);
            } else {
                ramps.stops(at).map_err(broken)?;
            }
            past = Past { on, switched: Some(at), ..past };
        } else if on {
            ramps.moves(at, last, h.power).map_err(broken)?;
        }
        last = h.power;
    }
    Ok(made)
}

fn count_start(spec: &UnitSpec, past: &mut Past, at: Time) -> Result<(), String> {
    if at.day() != past.day {
        (past.day, past.starts) = (at.day(), 0);
    }
    past.starts = past.starts.saturating_add(1);
    match spec.starts_per_day.filter(|most| past.starts > *most) {
        Some(most) => Err(format!("it is start {} of the day, {most} are allowed", past.starts)),
        None => Ok(()),
    }
}

/// A power a unit was held at.
#[derive(Debug, Clone, Copy)]
struct Mark {
    power: Power,
    /// When it got there.
    reached: Time,
    /// When it went on.
    left: Time,
}

/// Ramps, checked from every earlier power and not only from the last one.
///
/// A ramp is used step by step: a power is left by one step's ramp at once, and reached for
/// good after a whole step.
#[derive(Debug)]
struct Ramps<'a> {
    spec: &'a UnitSpec,
    step: Span,
    past: Vec<Mark>,
}

impl<'a> Ramps<'a> {
    fn new(spec: &'a UnitSpec, step: Span) -> Self {
        Self { spec, step, past: Vec::new() }
    }

    fn started(&mut self, reached: Time, power: Power) {
        self.past = vec![Mark { power, reached, left: Time::MAX }];
    }

    /// Checks a change of power while on.
    fn moves(&mut self, at: Time, last: Power, power: Power) -> Result<(), String> {
        if power == last {
            return Ok(());
        }
        if let Some(mark) = self.past.last_mut() {
            mark.left = at;
        }
        if power > last {
            self.within(self.spec.ramp_up, at, "rises", |from| power - from)?;
        } else {
            self.within(self.spec.ramp_down, at, "falls", |from| from - power)?;
        }
        let height = self.spec.max - self.spec.min;
        let ramps = [self.spec.ramp_up, self.spec.ramp_down];
        // What any ramp has had the time to make up for bounds nothing any more.
        let bounds =
            |m: &Mark| ramps.iter().flatten().any(|r| !reaches(*r, at.since(m.left), height));
        self.past.retain(bounds);
        self.past.push(Mark { power, reached: at, left: Time::MAX });
        Ok(())
    }

    /// Checks a stop: from where one step's fall reaches the least power.
    fn stops(&mut self, at: Time) -> Result<(), String> {
        if let Some(mark) = self.past.last_mut() {
            mark.left = at;
        }
        self.within(self.spec.ramp_down, at, "stops, a fall", |from| from - self.spec.min)
    }

    fn within(
        &self,
        ramp: Option<Ramp>,
        at: Time,
        verb: &str,
        moved: impl Fn(Power) -> Power,
    ) -> Result<(), String> {
        let Some(ramp) = ramp else { return Ok(()) };
        for mark in &self.past {
            let whole = |since: Time| at.since(since).0.div_euclid(self.step.0);
            let steps = whole(mark.reached).min(whole(mark.left).saturating_add(1));
            let by = moved(mark.power);
            let slack = Power(WATTS_A_STEP.saturating_mul(steps));
            if !reaches(ramp, Span(self.step.0.saturating_mul(steps)), by.minus_or_zero(slack)) {
                let since = mark.reached.max(mark.left - self.step);
                return Err(format!(
                    "it {verb} by {by} in {}; {} per {} are allowed",
                    at.since(since),
                    ramp.power,
                    ramp.per
                ));
            }
        }
        Ok(())
    }
}

/// Whether a ramp moves so much power in a span.
fn reaches(ramp: Ramp, span: Span, power: Power) -> bool {
    let wanted = i128::from(power.0) * i128::from(ramp.per.0);
    wanted <= i128::from(ramp.power.0) * i128::from(span.0)
}

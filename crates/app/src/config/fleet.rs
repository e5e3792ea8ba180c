//! Cohorts and their machines: curves, addresses, what is excluded, and the floor they make.

use super::drivers::{self, PORT};
use super::error::{Place, Problem, ProblemKind};
use super::file::read_bounded;
use super::hosts::{Hosts, INVENTORY_BYTES_MAX, inventory};
use super::raw::{At, Pair, RawCohort, RawConfig, RawHosts, RawLevel, Spanned, ValueSource};
use super::resolve::{Check, value};
use super::unit::Work;
use headgate_core::engine::NO_DRIVER;
use headgate_core::fleet::{CohortId, DriverId, OperatingPoint, PowerCurve};
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::limits::{COHORTS_MAX, LEVELS_MAX, MACHINES_MAX};
use headgate_core::site::{Cohort, DriverSpec, MachineSpec, MachineTimes, Overhead, SiteLimits};
use headgate_core::time::Span;
use headgate_core::units::{Money, Power};
use headgate_drivers::family::RampClass;
use headgate_drivers::shell::UNIT_SCHEME;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

/// From a command to the fall in power, where the file names none.
const DOWN: Span = Span::seconds(8);
/// From a command to full power, where the file names none.
const UP: Span = Span::seconds(300);
/// The same of firmwares that restart what they run; an assumption, between the reply after 21 s
/// and the minute that people report.
const DOWN_SLOW: Span = Span::seconds(60);
const UP_SLOW: Span = Span::seconds(600);
/// Shortest time awake or asleep, where the file names none.
const DWELL: Span = Span::minutes(15);
/// Starts a machine may make a day, where the file names none.
const STARTS_PER_DAY: u16 = 6;
/// Bad rows of one inventory that are told; the rest are the same mistake.
const BAD_ROWS_TOLD_MAX: usize = 20;

/// Who has an address.
type Owners = BTreeMap<SocketAddr, Owner>;

#[derive(Debug, Clone)]
struct Owner {
    machine: usize,
    cohort: String,
    at: Range<usize>,
}

/// Addresses that two entries name.
#[derive(Debug)]
struct Twins {
    address: SocketAddr,
    at: Range<usize>,
    count: usize,
}

impl Twins {
    fn message(&self, check: &Check<'_>, cohort: &str, other: &str) -> String {
        let line = Place::of(&check.file.text, &self.at).line;
        let more = match self.count {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        let address = self.address;
        if cohort == other {
            return format!("cohort `{cohort}` has {address}{more} twice (line {line}): keep one");
        }
        format!(
            "{address}{more} of cohort `{cohort}` is in cohort `{other}` too (line {line}): \
             keep one"
        )
    }
}

/// Enabled cohorts in file order, their machines, and those that are blocks without machines.
pub(super) struct Fleet {
    pub cohorts: Vec<Cohort>,
    pub machines: Vec<MachineSpec>,
    pub units: Vec<UnitSpec>,
}

/// Reads the cohorts.
pub(super) fn fleet(
    check: &mut Check<'_>,
    raw: &RawConfig,
    specs: &[DriverSpec],
    limits: &SiteLimits,
) -> Fleet {
    let (mut cohorts, mut machines, mut units) = (Vec::new(), Vec::new(), Vec::new());
    let mut owners = Owners::new();
    for (i, cohort) in raw.cohort.iter().enumerate() {
        let name = check.name(&cohort.name);
        let twin = raw.cohort[..i].iter().find(|c| c.name.get_ref() == &name);
        if twin.is_some() {
            check.wrong(&cohort.name.span(), "another cohort has this name: choose another");
        }
        let id = CohortId(u16::try_from(cohorts.len()).unwrap_or(u16::MAX));
        if cohort.driver.get_ref() == NO_DRIVER {
            let driver = DriverId(u16::try_from(specs.len()).unwrap_or(u16::MAX));
            // A block that is not enabled is checked all the same.
            let unit = super::units::unit(check, cohort, id, driver, limits);
            if let Some((cohort, unit)) = unit.filter(|_| cohort.enabled) {
                let address = format!("{UNIT_SCHEME}{name}");
                machines.push(MachineSpec { address, cohort: id, excluded: false });
                cohorts.push(cohort);
                units.push(unit);
            }
            continue;
        }
        if !cohort.enabled {
            continue;
        }
        let (driver, port) = find_driver(check, cohort, specs);
        add_machines(check, cohort, id, port, &mut owners, &mut machines);
        cohorts.push(resolve_cohort(check, raw, cohort, driver, specs));
    }
    if cohorts.len() > COHORTS_MAX {
        let at = raw.cohort[COHORTS_MAX].name.span();
        check.wrong(&at, format!("a site has at most {COHORTS_MAX} cohorts: join some"));
    }
    if cohorts.is_empty() && check.problems.is_empty() {
        let at = raw.cohort.first().map_or(raw.site.name.span(), |c| c.name.span());
        check.missing(&at, "the site has no enabled cohort: enable or add a `[[cohort]]`");
    }
    Fleet { cohorts, machines, units }
}

fn find_driver(
    check: &mut Check<'_>,
    cohort: &RawCohort,
    drivers: &[DriverSpec],
) -> (DriverId, u16) {
    let name = cohort.driver.get_ref();
    let found = drivers.iter().position(|d| d.name == *name);
    let Some(i) = found else {
        let message = format!(
            "there is no such driver: add `{name} = {{ kind = \"luxos\" }}` to `[drivers]`"
        );
        check.wrong(&cohort.driver.span(), message);
        return (DriverId(0), PORT);
    };
    (DriverId(u16::try_from(i).unwrap_or(u16::MAX)), drivers[i].port)
}

fn resolve_cohort(
    check: &mut Check<'_>,
    raw: &RawConfig,
    cohort: &RawCohort,
    driver: DriverId,
    specs: &[DriverSpec],
) -> Cohort {
    let spec = specs.get(usize::from(driver.0));
    if let Some(spec) = spec {
        drivers::levels(check, spec, cohort);
    }
    let slow = spec.and_then(drivers::can).is_some_and(|can| can.class == RampClass::Slow);
    let (down, up) = if slow { (DOWN_SLOW, UP_SLOW) } else { (DOWN, UP) };
    if let Some(unit) = &cohort.unit {
        let message = "a cohort of machines has no `unit`: take it out, or use `driver = \"none\"`";
        check.wrong(&unit.span(), message);
    }
    let (time, wear) = (&cohort.time, &cohort.wear);
    let span = |text: &Option<At<Span>>, default| text.as_ref().map_or(default, value);
    if let Some(zero) = wear.starts_per_day.as_ref().filter(|s| *s.get_ref() == 0) {
        check.wrong(&zero.span(), "no machine could ever wake again: use 1 or more");
    }
    Cohort {
        name: cohort.name.get_ref().clone(),
        driver,
        curve: curve(check, raw, cohort),
        overclocked: u8::try_from(cohort.overclock.len()).unwrap_or(u8::MAX),
        times: MachineTimes {
            down: span(&time.down, down),
            up: span(&time.up, up),
            min_on: span(&time.min_on, DWELL),
            min_off: span(&time.min_off, DWELL),
        },
        start_cost: wear.start.as_ref().map_or(Money::ZERO, |m| check.amount(m)),
        starts_per_day: wear.starts_per_day.as_ref().map_or(STARTS_PER_DAY, |s| *s.get_ref()),
        strike: cohort.strike.as_ref().map(|s| check.amount(s)),
        value: cohort.value.as_ref().map(|v| check.amount(v)),
    }
}

fn curve(check: &mut Check<'_>, raw: &RawConfig, cohort: &RawCohort) -> PowerCurve {
    let at = cohort.name.span();
    let none = || PowerCurve::new(Power::ZERO, &[]).expect("a curve of sleep alone is in order");
    let Some(sleep) = &cohort.sleep else {
        check.missing(&at, "`sleep` is missing: add the power of a sleeping machine");
        return none();
    };
    let like = "`curve = [[\"784 W\", \"39.2 TH/s\"], ..]`";
    let Some(given) = &cohort.curve else {
        check.missing(&at, format!("`curve` is missing: add {like}"));
        return none();
    };
    if given.get_ref().is_empty() {
        check.wrong(&given.span(), format!("a curve needs a level: write {like}"));
        return none();
    }
    let levels: Vec<_> = given.get_ref().iter().chain(&cohort.overclock).collect();
    if levels.len() >= LEVELS_MAX {
        let most = LEVELS_MAX - 1;
        check.wrong(&given.span(), format!("a curve has at most {most} levels: thin it out"));
        return none();
    }
    let hashes = *raw.value.source.get_ref() == ValueSource::Hashprice && cohort.value.is_none();
    let work = |level: &RawLevel| level.get_ref().1.0.work.clone();
    let other = levels.iter().find(|l| work(l) != work(levels[0]));
    if let Some(level) = other {
        check.wrong(&level.span(), "its work is counted differently above: use one unit");
        return none();
    }
    if hashes && work(levels[0]) != Work::Hash {
        let message = "a hash price cannot value this work: give the cohort a `value`";
        check.wrong(&levels[0].span(), message);
        return none();
    }
    let point = |level: &RawLevel| {
        let Pair(power, rate) = level.get_ref();
        OperatingPoint { power: power.0, rate: rate.0.rate }
    };
    let points: Vec<_> = levels.iter().map(|l| point(l)).collect();
    PowerCurve::new(value(sleep), &points).unwrap_or_else(|order| {
        let before = if order.at == 1 { "`sleep`" } else { "the level before it" };
        let message = format!("it must draw more and do more than {before}: sort the levels");
        check.wrong(&levels[order.at - 1].span(), message);
        none()
    })
}

fn add_machines(
    check: &mut Check<'_>,
    cohort: &RawCohort,
    id: CohortId,
    port: u16,
    owners: &mut Owners,
    machines: &mut Vec<MachineSpec>,
) {
    let Some(hosts) = &cohort.hosts else {
        check.missing(&cohort.name.span(), "`hosts` is missing: add the machines' addresses");
        return;
    };
    let before = machines.len();
    for (at, hosts) in read_hosts(check, hosts) {
        let room = MACHINES_MAX.saturating_sub(machines.len());
        if hosts.count() > room {
            check.wrong(&at, format!("a site has at most {MACHINES_MAX} machines"));
            return;
        }
        let mut twins: BTreeMap<String, Twins> = BTreeMap::new();
        for address in hosts.addresses(port) {
            if let Some(owner) = owners.get(&address) {
                let first = || Twins { address, at: owner.at.clone(), count: 0 };
                twins.entry(owner.cohort.clone()).or_insert_with(first).count += 1;
                continue;
            }
            let cohort = cohort.name.get_ref().clone();
            owners.insert(address, Owner { machine: machines.len(), cohort, at: at.clone() });
            machines.push(MachineSpec {
                address: address.to_string(),
                cohort: id,
                excluded: false,
            });
        }
        for (other, twins) in &twins {
            check.wrong(&at, twins.message(check, cohort.name.get_ref(), other));
        }
    }
    if machines.len() == before && check.problems.is_empty() {
        check.wrong(&hosts.span(), "it names no machine: add an address");
    }
    exclude(check, cohort, before, owners, machines);
}

fn read_hosts(check: &mut Check<'_>, raw: &Spanned<RawHosts>) -> Vec<(Range<usize>, Hosts)> {
    let texts: Vec<(Range<usize>, &str)> = match raw.get_ref() {
        RawHosts::One(text) => vec![(raw.span(), text)],
        RawHosts::Many(all) => all.iter().map(|t| (t.span(), t.get_ref().as_str())).collect(),
        RawHosts::File(path) => return read_inventory(check, &raw.span(), path),
    };
    let mut all = Vec::new();
    for (at, text) in texts {
        match Hosts::read(text) {
            Ok(hosts) => all.push((at, hosts)),
            Err(why) => check.wrong(&at, why),
        }
    }
    all
}

fn read_inventory(
    check: &mut Check<'_>,
    at: &Range<usize>,
    path: &Path,
) -> Vec<(Range<usize>, Hosts)> {
    let path = check.file.resolve_path(path);
    let bytes = match read_bounded(&path, INVENTORY_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(e) => {
            let path = path.display();
            check.wrong(at, format!("failed to read {path} ({e}): name a readable inventory"));
            return Vec::new();
        }
    };
    // The length first, so that no two sets of files can make the same stream of bytes.
    check.hash.update(&(bytes.len() as u64).to_le_bytes());
    check.hash.update(&bytes);
    let text = String::from_utf8_lossy(&bytes);
    match inventory(&text) {
        Ok(all) => all.into_iter().map(|hosts| (at.clone(), hosts)).collect(),
        Err(problems) => {
            let told = problems.into_iter().take(BAD_ROWS_TOLD_MAX);
            check.problems.extend(told.map(|(range, message)| Problem {
                kind: ProblemKind::Wrong,
                message,
                field: String::new(),
                file: path.clone(),
                place: Some(Place::of(&text, &range)),
            }));
            Vec::new()
        }
    }
}

fn exclude(
    check: &mut Check<'_>,
    cohort: &RawCohort,
    before: usize,
    owners: &Owners,
    machines: &mut [MachineSpec],
) {
    for text in &cohort.exclude {
        let hosts = match Hosts::read(text.get_ref()) {
            Ok(hosts) => hosts,
            Err(why) => {
                check.wrong(&text.span(), why);
                continue;
            }
        };
        let total = hosts.count();
        if total > machines.len() - before {
            check.wrong(&text.span(), "it names more addresses than `hosts`: shorten it");
            continue;
        }
        let mut unknown = None;
        for first in hosts.addresses(hosts.port.unwrap_or(0)) {
            let last = SocketAddr::new(first.ip(), hosts.port.unwrap_or(u16::MAX));
            let owned = owners.range(first..=last).map(|(_, o)| o.machine);
            let mine: Vec<usize> = owned.filter(|m| *m >= before).collect();
            if mine.is_empty() {
                unknown.get_or_insert(first.ip());
            }
            mine.into_iter().for_each(|m| machines[m].excluded = true);
        }
        if let Some(ip) = unknown {
            let message = format!("{ip} is not in this cohort's `hosts`: take it out");
            check.wrong(&text.span(), message);
        }
    }
}

/// Checks that the least the site can draw fits under its ceiling.
pub(super) fn floors(
    check: &mut Check<'_>,
    raw: &RawConfig,
    limits: &SiteLimits,
    overhead: &Overhead,
    cohorts: &[Cohort],
    machines: &[MachineSpec],
) {
    let import = &raw.limits.import;
    if limits.import == Power::ZERO {
        return;
    }
    if overhead.fixed > limits.import {
        let at = raw.site.overhead.fixed.as_ref().map_or(import.span(), Spanned::span);
        let ceiling = limits.import;
        check.wrong(
            &at,
            format!("it is above `limits.import` ({ceiling}): raise that, or lower it"),
        );
        return;
    }
    let curve = |m: &MachineSpec| cohorts.get(usize::from(m.cohort.0)).map(|c| (c, &c.curve));
    let asleep = |m: &MachineSpec| curve(m).map_or(Power::ZERO, |(_, curve)| curve.sleep());
    let floor = overhead.meter(machines.iter().map(asleep).sum());
    if floor > limits.import {
        let message = format!(
            "the site draws {floor} with every machine asleep: raise it, or name fewer machines"
        );
        check.wrong(&import.span(), message);
        return;
    }
    let drawing = |m: &MachineSpec| match curve(m) {
        Some((cohort, curve)) if m.excluded => {
            let top =
                curve.top().index() - usize::from(cohort.overclocked).min(curve.top().index());
            curve.levels()[top].power
        }
        _ => asleep(m),
    };
    let floor = overhead.meter(machines.iter().map(drawing).sum());
    if floor > limits.import {
        let message = format!(
            "excluded machines may draw {floor} with all others asleep, and are never commanded"
        );
        check.warn(&import.span(), &message);
    }
}

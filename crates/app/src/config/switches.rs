//! Switches: breakers and the like that may be opened for a deadline, and what is behind each.

use super::hosts::Hosts;
use super::meters::address;
use super::raw::{RawSpot, RawSpots, RawSwitch, Spanned};
use super::resolve::Check;
use headgate_core::fleet::MachineId;
use headgate_core::hands::SwitchSpec;
use headgate_core::site::MachineSpec;
use headgate_core::time::Span;
use headgate_drivers::devices::switch::{Point, Spot, SwitchPlan};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Switches of one site.
const SWITCHES_MAX: usize = 1_024;
/// How often a switch is read, where the file names nothing.
const EVERY: Span = Span::seconds(2);
/// Wall time of one question, where the file names none.
const REQUEST_BUDGET: Span = Span::seconds(1);
/// The device behind an address, where the file names none.
const UNIT_ID: u8 = 1;

/// Switches in file order, and how each is told and read.
pub(super) fn switches(
    check: &mut Check<'_>,
    raw: &[RawSwitch],
    machines: &[MachineSpec],
) -> (Vec<SwitchSpec>, Vec<SwitchPlan>) {
    if let Some(switch) = raw.get(SWITCHES_MAX) {
        let message = format!("a site has at most {SWITCHES_MAX} switches: take some out");
        check.wrong(&switch.name.span(), message);
    }
    let known = Known::of(if raw.is_empty() { &[] } else { machines });
    let (mut names, mut specs, mut plans) = (BTreeSet::new(), Vec::new(), Vec::new());
    for switch in raw {
        let name = check.name(&switch.name);
        if !names.insert(name.clone()) {
            check.wrong(&switch.name.span(), "another switch has this name: choose one of its own");
        }
        if switch.kind.get_ref() != "modbus" {
            check.not_built(&switch.kind.span(), switch.kind.get_ref(), "use `modbus`");
        }
        let feeds = feeds(check, switch, &known);
        specs.push(SwitchSpec { name, feeds, allowed: switch.allowed });
        plans.extend(plan(check, switch));
    }
    (specs, plans)
}

/// Machines by address.
struct Known {
    exact: BTreeMap<SocketAddr, MachineId>,
    by_ip: BTreeMap<IpAddr, Vec<MachineId>>,
}

impl Known {
    fn of(machines: &[MachineSpec]) -> Self {
        let (mut exact, mut by_ip) = (BTreeMap::new(), BTreeMap::<_, Vec<MachineId>>::new());
        for (i, machine) in machines.iter().enumerate() {
            let id = MachineId(u32::try_from(i).expect("MACHINES_MAX fits 32 bits"));
            if let Ok(address) = machine.address.parse::<SocketAddr>() {
                exact.insert(address, id);
                by_ip.entry(address.ip()).or_default().push(id);
            }
        }
        Self { exact, by_ip }
    }
}

/// The machines behind a switch.
fn feeds(check: &mut Check<'_>, switch: &RawSwitch, known: &Known) -> Vec<MachineId> {
    let mut all = BTreeSet::new();
    for text in switch.feeds.get_ref() {
        let hosts = match Hosts::read(text.get_ref()) {
            Ok(hosts) => hosts,
            Err(why) => {
                check.wrong(&text.span(), why);
                continue;
            }
        };
        if hosts.count() > known.exact.len() {
            check.wrong(&text.span(), "it names more addresses than the site has machines");
            continue;
        }
        for address in hosts.addresses(0) {
            let found: &[MachineId] = match hosts.port {
                Some(_) => known.exact.get(&address).map(std::slice::from_ref),
                None => known.by_ip.get(&address.ip()).map(Vec::as_slice),
            }
            .unwrap_or_default();
            if found.is_empty() {
                let ip = address.ip();
                check.wrong(&text.span(), format!("no machine of the site is at {ip}"));
                break;
            }
            all.extend(found.iter().copied());
        }
    }
    if switch.feeds.get_ref().is_empty() {
        check.wrong(&switch.feeds.span(), "it names no machine: add the addresses behind it");
    }
    all.into_iter().collect()
}

fn plan(check: &mut Check<'_>, switch: &RawSwitch) -> Option<SwitchPlan> {
    let write = point(check, &switch.write, None);
    if !matches!(write.spot, Spot::Coil | Spot::Holding) {
        check.wrong(&switch.write.span(), "this cannot be written: use a `coil` or `holding`");
    }
    let read_back = match &switch.read_back {
        Some(spot) => point(check, spot, Some(write)),
        None => write,
    };
    Some(SwitchPlan {
        address: address(check, &switch.address)?,
        unit_id: switch.unit_id.as_ref().map_or(UNIT_ID, |u| *u.get_ref()),
        write,
        read_back,
        allowed: switch.allowed,
        every: check.positive(switch.every.as_ref(), EVERY),
        budget: check.positive(switch.request_budget.as_ref(), REQUEST_BUDGET),
    })
}

/// A place and its two values; 1 and 0 where neither it nor the other place says.
fn point(check: &mut Check<'_>, raw: &Spanned<RawSpot>, other: Option<Point>) -> Point {
    let RawSpot { table, at, on, off } = raw.get_ref();
    let spot = match table {
        RawSpots::Coil => Spot::Coil,
        RawSpots::Discrete => Spot::Discrete,
        RawSpots::Holding => Spot::Holding,
        RawSpots::Input => Spot::Input,
    };
    let is_bit = matches!(spot, Spot::Coil | Spot::Discrete);
    let usual = other.filter(|_| !is_bit).map_or((1, 0), |p| (p.on, p.off));
    let (on, off) = (on.unwrap_or(usual.0), off.unwrap_or(usual.1));
    if on == off || is_bit && on.max(off) > 1 {
        check.wrong(&raw.span(), "`on` and `off` must differ, and a bit is 0 or 1");
    }
    Point { spot, at: *at, on, off }
}

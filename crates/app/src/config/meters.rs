//! Meters: the machines' own sum, or a device that is read over Modbus TCP.

use super::raw::{Named, RawMeter, RawRegister, RawTable, Spanned};
use super::resolve::Check;
use super::unit::{CountOf, Text};
use headgate_core::site::{MeterKind, MeterSpec};
use headgate_core::time::Span;
use headgate_core::units::Power;
use headgate_drivers::devices::modbus::{MeterPlan, PORT};
use headgate_drivers::devices::register::{Bounds, Register, SHAPES, Shape, Table};
use std::net::{IpAddr, SocketAddr};

/// Age at which a meter is silent, where the file names none.
const STALE_AFTER: Span = Span::seconds(10);
/// The name of the meter of a configuration that names none.
const NAME: &str = "machines";
/// How often a device is read, where the file names nothing.
const EVERY: Span = Span::seconds(1);
/// Shortest pause between two readings of a device.
const EVERY_MIN: Span = Span::millis(100);
/// Wall time of one reading, where the file names none.
const REQUEST_BUDGET: Span = Span::seconds(1);
/// The device behind an address, where the file names none.
const UNIT_ID: u8 = 1;
/// Export up to this part of the import limit is a meter's noise around nothing.
const NOISE_PPM: i64 = 1_000;

/// The meter, one a site, and how it is read where it is a device.
pub(super) fn meters(
    check: &mut Check<'_>,
    raw: &Named<RawMeter>,
    import: Power,
) -> (Vec<MeterSpec>, Vec<Option<MeterPlan>>) {
    let (mut all, mut plans) = (Vec::new(), Vec::new());
    for (name, meter) in &raw.0 {
        if !all.is_empty() {
            check.wrong(&name.span(), "a site has one meter: take the other out");
        }
        let stale_after = check.positive(meter.stale_after.as_ref(), STALE_AFTER);
        plans.push(match meter.kind.get_ref().as_str() {
            "machine_sum" => {
                needless(check, meter);
                None
            }
            "modbus" => modbus(check, meter, stale_after, import),
            other => {
                check.not_built(&meter.kind.span(), other, "use `machine_sum` or `modbus`");
                None
            }
        });
        all.push(MeterSpec { name: check.name(name), kind: MeterKind::MachineSum, stale_after });
    }
    if all.is_empty() {
        let (name, kind) = (NAME.to_owned(), MeterKind::MachineSum);
        all.push(MeterSpec { name, kind, stale_after: STALE_AFTER });
        plans.push(None);
    }
    (all, plans)
}

/// The machines' own sum needs no device's keys.
fn needless(check: &mut Check<'_>, meter: &RawMeter) {
    let keys = [
        meter.address.as_ref().map(Spanned::span),
        meter.unit_id.as_ref().map(Spanned::span),
        meter.registers.as_ref().map(Spanned::span),
        meter.covers.as_ref().map(Spanned::span),
        meter.every.as_ref().map(Spanned::span),
        meter.request_budget.as_ref().map(Spanned::span),
        meter.most.as_ref().map(Spanned::span),
    ];
    for at in keys.into_iter().flatten() {
        check.wrong(&at, "`machine_sum` is no device: take it out, or use kind `modbus`");
    }
}

fn modbus(
    check: &mut Check<'_>,
    meter: &RawMeter,
    stale_after: Span,
    import: Power,
) -> Option<MeterPlan> {
    if let Some(part) = meter.covers.as_ref().filter(|c| c.get_ref() != "site") {
        check.not_built(&part.span(), part.get_ref(), "use the meter of the whole \"site\"");
    }
    let every = check.positive(meter.every.as_ref(), EVERY);
    if let Some(at) = meter.every.as_ref().filter(|_| every < EVERY_MIN) {
        check.wrong(&at.span(), "a meter is read once in 100 ms at most");
    }
    let budget = check.positive(meter.request_budget.as_ref(), REQUEST_BUDGET);
    if every + budget >= stale_after {
        let message = "it would be stale between two readings: `stale_after` must be longer than \
                       `every` and `request_budget` together";
        check.wrong(&meter.kind.span(), message);
    }
    let most = meter.most.as_ref().map_or(import + import, |m| m.get_ref().0);
    if let Some(at) = meter.most.as_ref().filter(|_| most < import) {
        let message = "the site may import more than that: it must be at least `limits.import`";
        check.wrong(&at.span(), message);
    }
    let address = match &meter.address {
        Some(address) => self::address(check, address),
        None => {
            check.missing(&meter.kind.span(), "`modbus` needs an `address`, like \"10.0.0.5:502\"");
            None
        }
    };
    let power = match &meter.registers {
        Some(registers) => register(check, &registers.get_ref().power),
        None => {
            let like = "`registers = { power = { at = 0, type = \"f32\", scale = \"1 W\" } }`";
            check.missing(&meter.kind.span(), format!("`modbus` needs {like}"));
            None
        }
    };
    let unit_id = meter.unit_id.as_ref().map_or(UNIT_ID, |u| *u.get_ref());
    let bounds = Bounds { noise: import.scaled(NOISE_PPM), most };
    let (address, power) = (address?, power?);
    Some(MeterPlan { address, unit_id, power, bounds, every, budget })
}

/// A host with a port; Modbus has one of its own.
pub(super) fn address(check: &mut Check<'_>, text: &Spanned<String>) -> Option<String> {
    let address = text.get_ref();
    if let Ok(ip) = address.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PORT).to_string());
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or(0)),
        None => (address.as_str(), PORT),
    };
    let literal = address.parse::<SocketAddr>().is_ok();
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if port == 0 || !(literal || !host.is_empty() && host.chars().all(named)) {
        check.wrong(&text.span(), "an address is a host, and a port behind a colon if not 502");
        return None;
    }
    Some(format!("{host}:{port}"))
}

fn register(check: &mut Check<'_>, raw: &Spanned<RawRegister>) -> Option<Register> {
    let Text(CountOf(microwatts)) = *raw.get_ref().scale.get_ref();
    let RawRegister { at, kind, table, low_word_first, import_negative, .. } = raw.get_ref();
    let shape = find(check, kind)?;
    if usize::from(*at) + usize::from(shape.words()) > usize::from(u16::MAX) + 1 {
        check.wrong(&raw.span(), "addresses end at 65535: the number would reach beyond");
    }
    let table = match table {
        None | Some(RawTable::Holding) => Table::Holding,
        Some(RawTable::Input) => Table::Input,
    };
    let (low_first, reversed) =
        (low_word_first.unwrap_or_default(), import_negative.unwrap_or_default());
    Some(Register { table, at: *at, shape, low_first, microwatts, reversed })
}

fn find(check: &mut Check<'_>, name: &Spanned<String>) -> Option<Shape> {
    let found = SHAPES.iter().find(|(known, _)| known == name.get_ref());
    if found.is_none() {
        let known = SHAPES.map(|(name, _)| format!("`{name}`")).join(", ");
        check.wrong(&name.span(), format!("a number is one of {known}"));
    }
    found.map(|(_, shape)| *shape)
}

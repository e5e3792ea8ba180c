//! Drivers: what firmware their machines run, and what of it the journal must not hold.

use super::LiveDriver;
use super::outside::credentials;
use super::raw::{Named, RawCohort, RawDriver};
use super::resolve::Check;
use headgate_core::site::DriverSpec;
use headgate_core::time::Span;
use headgate_drivers::family::{self, Can, DriverOptions};

/// Drivers of one site.
const DRIVERS_MAX: usize = 64;
/// Requests one driver may have in flight.
const CONCURRENCY_MAX: u32 = 20_000;
/// The port of a driver that could not be found.
pub(super) const PORT: u16 = 4028;
/// Wall time of one request, where the file names none.
const REQUEST_BUDGET: Span = Span::seconds(2);
/// How often watts are read, where the file names none.
const POLL_WATTS: Span = Span::seconds(30);
/// Requests in flight, where the file names none.
const CONCURRENCY: u32 = 800;

/// Drivers in file order, and what goes beside each.
pub(super) fn drivers(
    check: &mut Check<'_>,
    raw: &Named<RawDriver>,
) -> (Vec<DriverSpec>, Vec<LiveDriver>) {
    if let Some((name, _)) = raw.0.get(DRIVERS_MAX) {
        check.wrong(&name.span(), format!("a site has at most {DRIVERS_MAX} drivers: join some"));
    }
    let (mut all, mut live) = (Vec::new(), Vec::new());
    for (name, driver) in &raw.0 {
        if name.get_ref() == "none" {
            check.wrong(&name.span(), "`none` means no driver at all: choose another name");
        }
        let kind = driver.kind.get_ref();
        let port = family::default_port(kind).unwrap_or(PORT);
        if family::default_port(kind).is_none() {
            let known = family::KINDS.map(|k| format!("`{k}`")).join(", ");
            check.not_built(&driver.kind.span(), kind, &format!("use one of {known}"));
        }
        for port in [&driver.port, &driver.aux_port].into_iter().flatten() {
            if *port.get_ref() == 0 {
                check.wrong(&port.span(), "port 0 is no port: use 1 to 65535");
            }
        }
        let allowed = 1..=CONCURRENCY_MAX;
        if let Some(n) = driver.concurrency.as_ref().filter(|n| !allowed.contains(n.get_ref())) {
            check.wrong(&n.span(), format!("it must be from 1 to {CONCURRENCY_MAX}"));
        }
        live.push(beside(check, driver));
        all.push(DriverSpec {
            name: check.name(name),
            kind: kind.clone(),
            port: driver.port.as_ref().map_or(port, |p| *p.get_ref()),
            request_budget: check.positive(driver.request_budget.as_ref(), REQUEST_BUDGET),
            poll_watts: check.positive(driver.poll_watts.as_ref(), POLL_WATTS),
            concurrency: driver.concurrency.as_ref().map_or(CONCURRENCY, |n| *n.get_ref()),
        });
    }
    (all, live)
}

/// What a driver needs beside its spec, and whether its kind has any use for it.
fn beside(check: &mut Check<'_>, driver: &RawDriver) -> LiveDriver {
    let kind = driver.kind.get_ref();
    let known = family::default_port(kind).is_some();
    let has_one = known && family::default_aux_port(kind).is_none();
    if let Some(port) = driver.aux_port.as_ref().filter(|_| has_one) {
        check.wrong(&port.span(), format!("`{kind}` has one port: take it out"));
    }
    let open = known && !family::wants_credentials(kind);
    if let Some(given) = driver.credentials.as_ref().filter(|_| open) {
        check.wrong(&given.span(), format!("`{kind}` asks for no password: take it out"));
    }
    if known && !open && driver.credentials.is_none() {
        let message = "it has no `credentials`: the factory's name and password are tried";
        check.warn(&driver.kind.span(), message);
    }
    LiveDriver {
        aux_port: driver.aux_port.as_ref().map(|p| *p.get_ref()),
        credentials: driver.credentials.as_ref().and_then(|c| credentials(check, c)),
    }
}

/// What the machines of a driver can do; `None` for a kind that is not known.
pub(super) fn can(driver: &DriverSpec) -> Option<Can> {
    family::family(&driver.kind, &DriverOptions::default()).map(|f| f.can())
}

/// Checks that a cohort has no more levels than its firmware can be told.
pub(super) fn levels(check: &mut Check<'_>, driver: &DriverSpec, cohort: &RawCohort) {
    let trims = can(driver).is_none_or(|c| c.trim);
    let curve = cohort.curve.as_ref().map(|c| c.get_ref().as_slice()).unwrap_or_default();
    let second = curve.iter().chain(&cohort.overclock).nth(1);
    if let Some(second) = second.filter(|_| !trims) {
        let kind = &driver.kind;
        let message = format!(
            "`{kind}` knows sleep and full power alone: keep the level it draws when it works"
        );
        check.wrong(&second.span(), message);
    }
}

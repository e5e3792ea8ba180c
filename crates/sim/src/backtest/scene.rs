//! The site as a back-test runs it: the same rules and limits, whole lots of machines in place of
//! single ones, and feeds that bring what the tape tells.

use super::run::RunError;
use super::tape::Tape;
use headgate_core::event::{AutomationMode, FeedId};
use headgate_core::fleet::{CohortId, DriverId, OperatingPoint, PowerCurve};
use headgate_core::horizon::unit::{Lattice, UnitSpec};
use headgate_core::market::PriceKind;
use headgate_core::site::{Cohort, DriverSpec, Feed, MachineSpec, MeterKind, MeterSpec, Site};
use headgate_core::time::Span;
use headgate_core::units::{Money, Power, Rate};

/// Lots a cohort is divided into: a tenth of it is the finest step of its power.
pub const LOTS_MAX: u32 = 10;
/// A feed the site does not name counts as silent after so many of its steps.
const STALE_STEPS: i64 = 3;
/// And not before this, so that a late file is no loss.
const STALE_LEAST: Span = Span::minutes(11);
/// A day-ahead curve counts as silent after this.
const DAY_AHEAD_STALE: Span = Span::hours(48);

/// What runs in a back-test.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    /// The site as the engine takes it.
    pub site: Site,
    /// Its units.
    pub units: Vec<UnitSpec>,
    /// Machines of the real site that one lot of a cohort stands for; one for a unit.
    pub lot_sizes: Vec<u32>,
}

impl Scene {
    /// Sets a site up for a tape.
    pub fn new(site: &Site, units: &[UnitSpec], tape: &Tape) -> Result<Self, RunError> {
        let mut scene = Self { site: site.clone(), units: units.to_vec(), lot_sizes: Vec::new() };
        let s = &mut scene.site;
        s.policy.mode = AutomationMode::Auto;
        s.market.dispatch_step = tape.step;
        s.market.settle_step = tape.settle_step;
        s.point = tape.point.clone();
        s.feeds = feeds(site, tape);
        s.drivers = vec![DriverSpec::none()];
        s.meters = vec![MeterSpec {
            name: "lots".into(),
            kind: MeterKind::MachineSum,
            stale_after: Span::hours(1),
        }];
        s.machines = Vec::new();
        let mut lots = 0u64;
        for (c, cohort) in s.cohorts.iter_mut().enumerate() {
            cohort.driver = DriverId(0);
            let id = CohortId(u16::try_from(c).expect("COHORTS_MAX fits 16 bits"));
            let (count, size) = match units.iter().find(|u| u.cohort == id) {
                Some(unit) => {
                    let lattice = Lattice::new(unit, tape.step);
                    let wrong = |e| RunError::Unit { unit: cohort.name.clone(), source: e };
                    cohort.curve = lattice.map_err(wrong)?.curve();
                    (1, 1)
                }
                None => into_lots(site, cohort, id),
            };
            scene.lot_sizes.push(size);
            lots += u64::from(count);
            for n in 0..count {
                let address = format!("lot:{c}.{n}");
                s.machines.push(MachineSpec { address, cohort: id, excluded: false });
            }
        }
        if s.machines.is_empty() {
            return Err(RunError::Site("it has no machine and no unit".into()));
        }
        // As many lots as machines would have come in an hour, and never none.
        let machines = u64::try_from(site.machines.len()).unwrap_or(u64::MAX).max(1);
        let hourly = u64::from(site.policy.starts_per_hour) * lots / machines;
        s.policy.starts_per_hour = u32::try_from(hourly.max(1)).unwrap_or(u32::MAX);
        Ok(scene)
    }

    /// The feed that brings prices of a kind.
    pub fn feed(&self, kind: PriceKind) -> Option<FeedId> {
        let i = self.site.feeds.iter().position(|f| f.role == kind)?;
        Some(FeedId(u16::try_from(i).expect("there are at most four feeds")))
    }
}

/// One feed for each kind the tape tells, silent as soon as the site's own would be.
fn feeds(site: &Site, tape: &Tape) -> Vec<Feed> {
    let told = |kind: &PriceKind| tape.told.iter().any(|t| t.kind == *kind);
    let feed = |role: PriceKind| {
        let own = site.feeds.iter().filter(|f| f.role == role).min_by_key(|f| f.rank);
        let usual = match role {
            PriceKind::DayAhead => DAY_AHEAD_STALE,
            PriceKind::Dispatch | PriceKind::LookAhead => {
                Span((tape.step.0 * STALE_STEPS).max(STALE_LEAST.0))
            }
            PriceKind::Settlement => Span((tape.settle_step.0 * STALE_STEPS).max(STALE_LEAST.0)),
        };
        Feed {
            name: format!("{role:?}").to_lowercase(),
            role,
            rank: 1,
            parser: "tape".into(),
            source: "tape".into(),
            stale_after: own.map_or(usual, |f| f.stale_after),
        }
    };
    PriceKind::ALL.into_iter().filter(told).map(feed).collect()
}

/// A cohort as lots: how many, and for how many machines each stands.
fn into_lots(site: &Site, cohort: &mut Cohort, id: CohortId) -> (u32, u32) {
    let machines = site.machines.iter().filter(|m| m.cohort == id && !m.excluded).count();
    let machines = u32::try_from(machines).expect("MACHINES_MAX fits 32 bits");
    let lots = machines.min(LOTS_MAX);
    let Some(size) = machines.checked_div(lots) else { return (0, 0) };
    let scaled = |n: i64| {
        let all = i128::from(n) * i128::from(machines) / i128::from(lots);
        i64::try_from(all).expect("the power and work of a cohort fit")
    };
    let point = |p: &OperatingPoint| OperatingPoint {
        power: Power(scaled(p.power.0)),
        rate: Rate(scaled(p.rate.0)),
    };
    let points: Vec<_> = cohort.curve.levels()[1..].iter().map(point).collect();
    let sleep = Power(scaled(cohort.curve.sleep().0));
    cohort.curve = PowerCurve::new(sleep, &points).expect("a scaled curve rises as before");
    cohort.start_cost = Money(scaled(cohort.start_cost.0));
    (lots, size)
}

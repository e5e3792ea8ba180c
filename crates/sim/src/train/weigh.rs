//! How much a decision counts in a fit: where little hangs on it, its worths are not needed to
//! the dollar.

use super::fit::Fit;
use super::rows::Steps;
use super::values::expected_gain;
use headgate_core::horizon::features::{Feature, Features, Seen, UNIT};
use headgate_core::horizon::unit::StateId;

/// Least weight of a row: what lies far away still shapes what lies near.
const LEAST: f64 = 0.02;

/// Half at a distance of one.
fn falling(distance: f64) -> f64 {
    LEAST + (1.0 - LEAST) / (1.0 + distance * distance)
}

/// Weight by prices alone: in full where they lie near the value or on both sides of it.
pub fn by_price(x: &Features, focus: f64) -> f64 {
    let z = |f: Feature| f64::from(x[f as usize]) / f64::from(UNIT);
    let high = z(Feature::Now).max(z(Feature::Run)).max(z(Feature::Back1)).max(z(Feature::Back2));
    let low = z(Feature::Now).min(z(Feature::Run));
    let far = if high < 0.0 { -high } else { low.max(0.0) };
    falling(far / focus)
}

/// The states of the two choices that matter most: to stop what has long been on, and to start
/// what has long been off. As anchor and energy in MWh.
#[derive(Debug)]
pub struct Stakes {
    stop: (usize, f64),
    on: Vec<(usize, f64)>,
    start: (usize, f64),
    stay_off: (usize, f64),
    full: f64,
    start_cost: f64,
}

impl Stakes {
    /// Finds them among a fit's anchors.
    pub fn of(fit: &Fit<'_>) -> Self {
        let l = fit.lattice;
        let (off, on) = l.dwell();
        let anchors = fit.anchors.states(l);
        let energy = |s: StateId| l.energy(s).0 as f64 / 3.6e9;
        let of = |s: StateId| {
            let at = anchors.iter().position(|a| *a == s);
            (at.expect("the ends of every counter and level are anchors"), energy(s))
        };
        Self {
            stop: of(l.off(1)),
            on: fit.anchors.levels.iter().map(|v| of(l.on(*v, on))).collect(),
            start: of(l.on(0, 1)),
            stay_off: of(l.off(off)),
            full: energy(l.on(l.top(), on)),
            start_cost: fit.spec.start_cost.0 as f64 / 1e6,
        }
    }

    /// What hangs on the closer of the two choices, by worths of the anchors.
    fn margin(&self, steps: &Steps, seen: &Seen, worth: &[f32]) -> f64 {
        let gain = expected_gain(seen, steps.value, f64::MAX, steps.per_interval);
        let score = |(at, energy): (usize, f64)| gain * (energy - self.full) + f64::from(worth[at]);
        let on = self.on.iter().map(|s| score(*s)).fold(f64::MIN, f64::max);
        let stopping = (on - score(self.stop)).abs();
        let starting = (score(self.start) - self.start_cost - score(self.stay_off)).abs();
        stopping.min(starting)
    }

    /// Weight of a row by what hangs on it, where `half` of it counts half.
    pub fn weight(&self, steps: &Steps, seen: &Seen, worth: &[f32], half: f64) -> f64 {
        falling(self.margin(steps, seen, worth) / half)
    }
}

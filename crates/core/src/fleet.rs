//! Machines, their curves, and what their drivers report of them.

use crate::time::Time;
use crate::units::{Power, Rate};
use serde::{Deserialize, Serialize};

/// A machine's index in its site's list; ties are broken by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MachineId(pub u32);

impl MachineId {
    /// The index into a machine list.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A cohort's index in its site's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CohortId(pub u16);

/// A driver's index in its site's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DriverId(pub u16);

/// An index into a [`PowerCurve`]: 0 is sleep, higher draws more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Level(pub u8);

impl Level {
    /// The level at which a machine does no work.
    pub const SLEEP: Self = Self(0);

    /// The index into a curve.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One level a device can run at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Power at the machine's plug.
    pub power: Power,
    /// Work done each second.
    pub rate: Rate,
}

/// The levels of a model: sleep first, then rising in power and in rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerCurve(Vec<OperatingPoint>);

/// Says which point of a curve breaks its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurveOrder {
    /// Index of the offending point, sleep being 0.
    pub at: usize,
}

impl PowerCurve {
    /// Builds a curve from the sleep power and rising operating points.
    ///
    /// # Errors
    /// [`CurveOrder`] names the first point that does not rise in both power and rate.
    pub fn new(sleep: Power, points: &[OperatingPoint]) -> Result<Self, CurveOrder> {
        let mut levels = vec![OperatingPoint { power: sleep, rate: Rate::ZERO }];
        for p in points {
            let last = levels[levels.len() - 1];
            if p.power <= last.power || p.rate <= last.rate {
                return Err(CurveOrder { at: levels.len() });
            }
            levels.push(*p);
        }
        Ok(Self(levels))
    }

    /// All levels, sleep first.
    #[must_use]
    pub fn levels(&self) -> &[OperatingPoint] {
        &self.0
    }

    /// The point of a level.
    ///
    /// # Panics
    /// When the level is not of this curve.
    #[must_use]
    pub fn at(&self, level: Level) -> OperatingPoint {
        self.0[level.index()]
    }

    /// The highest level.
    #[must_use]
    pub fn top(&self) -> Level {
        Level(u8::try_from(self.0.len() - 1).expect("a curve has at most LEVELS_MAX levels"))
    }

    /// Power at sleep.
    #[must_use]
    pub fn sleep(&self) -> Power {
        self.0[0].power
    }

    /// The level whose power is nearest to a measured power, the lower one on a tie.
    #[must_use]
    pub fn nearest(&self, watts: Power) -> Level {
        let distance = |p: &OperatingPoint| (p.power.0 - watts.0).unsigned_abs();
        let best = self.0.iter().enumerate().min_by_key(|(_, p)| distance(p)).map_or(0, |(i, _)| i);
        Level(u8::try_from(best).expect("a curve has at most LEVELS_MAX levels"))
    }
}

/// How far a command to one machine has come. Only watts confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TargetPhase {
    /// Wanted, not yet on the wire.
    Pending,
    /// On the wire or answered; its watts have not followed yet.
    Dispatched,
    /// Its watts agree with what it was told.
    Confirmed,
    /// It answered yes, and its watts say no.
    Drifted,
    /// It refused, or nothing is heard of it.
    Unavailable,
    /// It was told to come back, and its watts did not rise in time.
    RestoreFailed,
}

/// Whether a machine is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Link {
    /// Never tried yet.
    Unknown,
    /// It answered within the driver's limit.
    Fresh,
    /// It does not answer.
    Silent,
}

/// What a machine answered to the last command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Answer {
    /// It said yes. Accepted is not confirmed.
    Accepted,
    /// It said no.
    Refused,
    /// It said nothing within the budget.
    TimedOut,
}

/// What a machine says of its own mode. A claim, not a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Declared {
    /// It says it sleeps.
    Asleep,
    /// It says it works.
    Awake,
}

/// What a driver tells of one machine, sent only when something about it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineReport {
    /// Which machine.
    pub machine: MachineId,
    /// Generation of the last target told to it; 0 when none was.
    pub generation: u64,
    /// How far that target has come.
    pub phase: TargetPhase,
    /// Whether the machine is heard of.
    pub link: Link,
    /// Its answer to the last command, when there was one.
    pub answer: Option<Answer>,
    /// What it last said of its own mode.
    pub declared: Option<Declared>,
    /// Its last measured power; `None` until the first one. Missing is not zero.
    pub watts: Option<Power>,
    /// When that power was measured.
    pub measured_at: Option<Time>,
}

/// One driver's sum over one cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortSum {
    /// Which cohort.
    pub cohort: CohortId,
    /// Machines heard of within the driver's limit.
    pub heard: u32,
    /// Machines not heard of.
    pub silent: u32,
    /// Sum of the last measured power of all machines ever measured, excluded ones too.
    pub power: Power,
    /// Sum of the measured work rate of the machines heard of, read off their curves.
    pub rate: Rate,
    /// When the oldest measurement in `power` was made; `None` when there is none.
    pub oldest: Option<Time>,
}

/// What a driver has to say since its last batch; at most one a second a driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelemetryBatch {
    /// Who speaks.
    pub driver: DriverId,
    /// When it was put together.
    pub at: Time,
    /// One sum a cohort of this driver.
    pub cohorts: Vec<CohortSum>,
    /// Machines whose phase or link changed, or whose power left `max(2 %, 50 W)`.
    pub machines: Vec<MachineReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(w: i64, r: i64) -> OperatingPoint {
        OperatingPoint { power: Power(w), rate: Rate(r) }
    }

    #[test]
    fn a_curve_rises() {
        let curve = PowerCurve::new(Power(30), &[point(784, 39_200), point(2794, 121_800)]);
        let curve = curve.unwrap();
        assert_eq!(curve.top(), Level(2));
        assert_eq!(curve.nearest(Power(0)), Level::SLEEP);
        assert_eq!(curve.nearest(Power(2500)), Level(2));
        assert_eq!(curve.nearest(Power(407)), Level::SLEEP);
        let falls = PowerCurve::new(Power(30), &[point(784, 39_200), point(900, 39_200)]);
        assert_eq!(falls, Err(CurveOrder { at: 2 }));
    }
}

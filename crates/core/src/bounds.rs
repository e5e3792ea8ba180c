//! The fold: named limits narrow a band of power in order of right.
//!
//! A limit may only narrow. What it asks beyond the band it finds is clipped and kept as
//! [`Overridden`], with the name of the limit it lost to. The list of narrowings *is* the
//! explanation of a decision.

use crate::reason::{Band, Narrowing, Overridden, Rung};
use crate::units::Power;

/// A band being narrowed.
#[derive(Debug, Clone)]
pub struct Fold {
    band: Band,
    floor_by: Rung,
    ceiling_by: Rung,
    last: Rung,
    ladder: Vec<Narrowing>,
}

impl Fold {
    /// Starts from what is physically reachable; nothing overrides it.
    ///
    /// # Panics
    /// When the band is upside down.
    #[must_use]
    pub fn physical(band: Band, reason: String) -> Self {
        assert!(band.floor <= band.ceiling, "a physical band has its floor below its ceiling");
        let rung = Rung::Physical;
        let first = Narrowing {
            rung,
            floor: Some(band.floor),
            ceiling: Some(band.ceiling),
            band,
            overridden: None,
            reason,
        };
        Self { band, floor_by: rung, ceiling_by: rung, last: rung, ladder: vec![first] }
    }

    /// The band as narrowed so far.
    #[must_use]
    pub fn band(&self) -> Band {
        self.band
    }

    /// Narrows by one limit.
    ///
    /// # Panics
    /// When limits come out of order of right, or this one's floor is above its own ceiling.
    pub fn narrow(
        &mut self,
        rung: Rung,
        floor: Option<Power>,
        ceiling: Option<Power>,
        reason: impl FnOnce() -> String,
    ) {
        assert!(self.last <= rung, "limits are folded in order of right");
        if let (Some(f), Some(c)) = (floor, ceiling) {
            assert!(f <= c, "a limit does not contradict itself");
        }
        self.last = rung;
        let mut overridden = None;
        if let Some(c) = ceiling {
            if c < self.band.floor {
                overridden = Some(Overridden { watts: self.band.floor - c, by: self.floor_by });
            }
            let clipped = c.max(self.band.floor);
            if clipped < self.band.ceiling {
                self.band.ceiling = clipped;
                self.ceiling_by = rung;
            }
        }
        if let Some(f) = floor {
            if f > self.band.ceiling {
                overridden = Some(Overridden { watts: f - self.band.ceiling, by: self.ceiling_by });
            }
            let clipped = f.min(self.band.ceiling);
            if clipped > self.band.floor {
                self.band.floor = clipped;
                self.floor_by = rung;
            }
        }
        let (band, reason) = (self.band, reason());
        self.ladder.push(Narrowing { rung, floor, ceiling, band, overridden, reason });
    }

    /// Ends the fold: what economics prefers, clamped, and the ladder that led to it.
    #[must_use]
    pub fn finish(self, preferred: Power) -> (Power, Vec<Narrowing>) {
        (preferred.clamp(self.band.floor, self.band.ceiling), self.ladder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RUNGS: [Rung; 6] = [
        Rung::Safety,
        Rung::OperatorStop,
        Rung::RampDown,
        Rung::SiteImport,
        Rung::OperatorHold,
        Rung::Dwell,
    ];

    type Ask = (usize, Option<i64>, Option<i64>);

    fn asks() -> impl Strategy<Value = Vec<Ask>> {
        let one =
            (0..RUNGS.len(), proptest::option::of(-5i64..15), proptest::option::of(-5i64..15));
        proptest::collection::vec(one, 0..8).prop_map(|mut v| {
            v.sort_by_key(|a| a.0);
            for a in &mut v {
                if let (Some(f), Some(c)) = (a.1, a.2) {
                    (a.1, a.2) = (Some(f.min(c)), Some(f.max(c)));
                }
            }
            v
        })
    }

    fn run(asks: &[Ask], preferred: i64) -> (Power, Vec<Narrowing>) {
        let band = Band { floor: Power(0), ceiling: Power(10) };
        let mut fold = Fold::physical(band, String::new());
        for (r, f, c) in asks {
            fold.narrow(RUNGS[*r], f.map(Power), c.map(Power), String::new);
        }
        fold.finish(Power(preferred))
    }

    proptest! {
        #[test]
        fn bands_only_narrow_and_the_target_is_inside(asks in asks(), preferred in -5i64..15) {
            let (target, ladder) = run(&asks, preferred);
            for pair in ladder.windows(2) {
                prop_assert!(pair[1].band.floor >= pair[0].band.floor);
                prop_assert!(pair[1].band.ceiling <= pair[0].band.ceiling);
                prop_assert!(pair[1].band.floor <= pair[1].band.ceiling);
            }
            let last = ladder.last().unwrap().band;
            prop_assert!(last.floor <= target && target <= last.ceiling);
            for n in &ladder {
                prop_assert!(n.band.floor <= target && target <= n.band.ceiling);
            }
        }

        /// A limit that was not overridden is kept by everything after it.
        #[test]
        fn an_earlier_limit_has_its_way(asks in asks(), preferred in -5i64..15) {
            let (target, ladder) = run(&asks, preferred);
            for n in ladder.iter().filter(|n| n.overridden.is_none()) {
                prop_assert!(n.floor.is_none_or(|f| f <= target), "{:?}", n);
                prop_assert!(n.ceiling.is_none_or(|c| target <= c), "{:?}", n);
            }
            for n in ladder.iter() {
                if let Some(o) = n.overridden {
                    prop_assert!(o.watts > Power::ZERO && o.by <= n.rung);
                }
            }
        }
    }

    #[test]
    fn the_loser_is_named() {
        let (target, ladder) = run(&[(1, None, Some(3)), (4, Some(7), Some(7))], 9);
        assert_eq!(target, Power(3));
        let lost = ladder[2].overridden;
        assert_eq!(lost, Some(Overridden { watts: Power(4), by: Rung::OperatorStop }));
    }
}

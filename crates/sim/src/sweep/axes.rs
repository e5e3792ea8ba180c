//! The cases of a sweep in their fixed order.

use std::ops::Range;

/// Most cases one sweep may have.
pub const CASES_MAX: u64 = 200_000;

/// How long each axis is. Sites change slowest, settings fastest, so that cases which share a
/// tape stand together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axes {
    /// Sites.
    pub sites: usize,
    /// Points of each site.
    pub points: usize,
    /// Spans of time.
    pub spans: usize,
    /// Seeds: 0 is history itself, any other one a path of its own.
    pub seeds: Range<u64>,
    /// Settings.
    pub settings: usize,
}

/// One case: its number and its place on each axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Its number, from 0.
    pub index: u64,
    /// Its site.
    pub site: usize,
    /// Its point, among the site's.
    pub point: usize,
    /// Its span.
    pub span: usize,
    /// Its seed.
    pub seed: u64,
    /// Its setting.
    pub setting: usize,
}

impl Axes {
    /// How many cases there are; `None` where they are more than [`CASES_MAX`].
    #[must_use]
    pub fn cases(&self) -> Option<u64> {
        let seeds = self.seeds.end.saturating_sub(self.seeds.start);
        let all = [self.sites, self.points, self.spans, self.settings];
        let all = all.iter().try_fold(seeds, |n, axis| n.checked_mul(*axis as u64));
        all.filter(|n| *n <= CASES_MAX)
    }

    /// The case of a number below [`Axes::cases`].
    ///
    /// # Panics
    /// When an axis is empty.
    #[must_use]
    pub fn case(&self, index: u64) -> Case {
        let mut left = index;
        let mut take = |length: usize| {
            let place = left % length as u64;
            left /= length as u64;
            usize::try_from(place).expect("a place is below its axis' length")
        };
        let setting = take(self.settings);
        let seeds = usize::try_from(self.seeds.end - self.seeds.start).expect("seeds fit");
        let seed = self.seeds.start + take(seeds) as u64;
        let (span, point, site) = (take(self.spans), take(self.points), take(self.sites));
        Case { index, site, point, span, seed, setting }
    }
}

/// The cases of shard `i` of `n`, both counted from 1: one run of numbers, all shards together
/// every case once.
#[must_use]
pub fn shard(cases: u64, i: u64, n: u64) -> Range<u64> {
    let at = |i: u64| {
        let part = u128::from(cases) * u128::from(i) / u128::from(n.max(1));
        u64::try_from(part).expect("a part is at most the whole")
    };
    at(i.saturating_sub(1))..at(i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn settings_change_fastest_and_sites_slowest() {
        let axes = Axes { sites: 2, points: 1, spans: 2, seeds: 3..5, settings: 2 };
        let show = |c: Case| format!("{}{}{}{}{}", c.site, c.point, c.span, c.seed, c.setting);
        let all: Vec<String> = (0..axes.cases().unwrap()).map(|i| show(axes.case(i))).collect();
        assert_eq!(
            all.join(" "),
            "00030 00031 00040 00041 00130 00131 00140 00141 \
             10030 10031 10040 10041 10130 10131 10140 10141"
        );
        assert_eq!(Axes { settings: 1_000_000, ..axes }.cases(), None);
    }

    proptest! {
        #[test]
        fn shards_hold_every_case_once(cases in 0u64..5_000, n in 1u64..40) {
            let all: Vec<u64> = (1..=n).flat_map(|i| shard(cases, i, n)).collect();
            prop_assert_eq!(all, (0..cases).collect::<Vec<_>>());
            let sizes = (1..=n).map(|i| shard(cases, i, n).count());
            let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}

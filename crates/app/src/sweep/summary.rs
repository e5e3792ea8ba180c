//! What a sweep says as a whole: how each policy did over all cases, and by each axis.

use super::frame::Frame;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::units::Money;
use headgate_sim::backtest::Name;
use headgate_sim::sweep::{Case, Done};
use serde_json::{Value, json};

/// Failed cases that are named.
const FAILURES_NAMED_MAX: usize = 25;
/// Parts per million in the whole.
const WHOLE_PPM: f64 = 1e6;

/// One policy in one case.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    pub profit: Money,
    pub capture_ppm: Option<i64>,
    pub starts: u64,
    pub curtailed_hours: f64,
}

/// One case that came to something.
#[derive(Debug, Clone)]
pub struct Seen {
    pub case: Case,
    /// Profit of always-on and of the best plan.
    pub scale: Option<(Money, Money)>,
    /// By policy, in the plan's order.
    pub marks: Vec<Mark>,
}

/// All cases.
pub struct Summary {
    pub policies: Vec<Name>,
    pub seen: Vec<Seen>,
    pub failed: u64,
    /// The first cases that came to nothing, and why.
    pub failures: Vec<(u64, String)>,
    pub currencies: Vec<String>,
}

/// Captures of one policy over some cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Captures {
    /// In rising order, in parts per million.
    sorted: Vec<i64>,
}

impl Captures {
    fn of(marks: impl Iterator<Item = Mark>) -> Self {
        let mut sorted: Vec<i64> = marks.filter_map(|m| m.capture_ppm).collect();
        sorted.sort_unstable();
        Self { sorted }
    }

    /// The one that a share of all lies below; `None` of none.
    pub fn quantile(&self, percent: usize) -> Option<f64> {
        let last = self.sorted.len().checked_sub(1)?;
        let at = (last * percent.min(100) + 50) / 100;
        Some(self.sorted[at] as f64 / WHOLE_PPM)
    }

    /// The mean; `None` of none.
    pub fn mean(&self) -> Option<f64> {
        let n = i128::try_from(self.sorted.len()).ok().filter(|n| *n > 0)?;
        let sum: i128 = self.sorted.iter().map(|c| i128::from(*c)).sum();
        Some(to_i64(div_half_even(sum, n)) as f64 / WHOLE_PPM)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }
}

impl Summary {
    pub fn new(frame: &Frame) -> Self {
        let mut currencies: Vec<String> =
            frame.sites.iter().map(|s| s.loaded.site.market.currency.clone()).collect();
        currencies.sort();
        currencies.dedup();
        Self {
            policies: frame.plan.policies.clone(),
            seen: Vec::new(),
            failed: 0,
            failures: Vec::new(),
            currencies,
        }
    }

    /// Takes a case in.
    pub fn take(&mut self, frame: &Frame, done: &Done) {
        match &done.outcome {
            Ok(outcome) => {
                let mark = |s: &headgate_sim::sweep::Scored| Mark {
                    profit: s.profit,
                    capture_ppm: s.capture_ppm,
                    starts: s.starts,
                    curtailed_hours: s.curtailed.0 as f64 / 3.6e12,
                };
                let marks = outcome.policies.iter().map(mark).collect();
                let scale = outcome.foot.map(|foot| (foot, outcome.head));
                self.seen.push(Seen { case: frame.axes.case(done.case), scale, marks });
            }
            Err(why) => {
                self.failed += 1;
                if self.failures.len() < FAILURES_NAMED_MAX {
                    self.failures.push((done.case, why.clone()));
                }
            }
        }
    }

    /// One policy's marks over the cases that pass.
    pub fn marks<'a>(
        &'a self,
        policy: usize,
        passes: impl Fn(&Case) -> bool + 'a,
    ) -> impl Iterator<Item = Mark> + 'a {
        let seen = self.seen.iter().filter(move |s| passes(&s.case));
        seen.filter_map(move |s| s.marks.get(policy).copied())
    }

    /// What a policy gains over always-on in all cases that pass together, as a share of what
    /// there was to gain; `None` of nothing.
    pub fn pooled(&self, policy: usize, passes: impl Fn(&Case) -> bool) -> Option<f64> {
        let (mut gained, mut most) = (0i128, 0i128);
        for seen in self.seen.iter().filter(|s| passes(&s.case)) {
            let (Some((foot, head)), Some(mark)) = (seen.scale, seen.marks.get(policy)) else {
                continue;
            };
            gained += i128::from((mark.profit - foot).0);
            most += i128::from((head - foot).0);
        }
        (most > 0).then(|| gained as f64 / most as f64)
    }

    /// What a policy leaves to the best plan, in the mean case; `None` of none.
    pub fn lost(&self, policy: usize) -> Option<Money> {
        let lost = |s: &Seen| Some(i128::from((s.scale?.1 - s.marks.get(policy)?.profit).0));
        let all: Vec<i128> = self.seen.iter().filter_map(lost).collect();
        let n = i128::try_from(all.len()).ok().filter(|n| *n > 0)?;
        Some(Money(to_i64(div_half_even(all.iter().sum(), n))))
    }

    /// One policy's captures over the cases that pass.
    pub fn captures(&self, policy: usize, passes: impl Fn(&Case) -> bool) -> Captures {
        Captures::of(self.marks(policy, passes))
    }

    /// Mean of a figure over the cases that pass; `None` of none.
    pub fn mean(
        &self,
        policy: usize,
        passes: impl Fn(&Case) -> bool,
        of: impl Fn(&Mark) -> f64,
    ) -> Option<f64> {
        let (mut sum, mut n) = (0.0, 0u32);
        for mark in self.marks(policy, passes) {
            sum += of(&mark);
            n += 1;
        }
        (n > 0).then(|| sum / f64::from(n))
    }

    /// Mean profit over the cases that pass; `None` of none.
    pub fn profit(&self, policy: usize, passes: impl Fn(&Case) -> bool) -> Option<Money> {
        let (mut sum, mut n) = (0i128, 0i128);
        for mark in self.marks(policy, passes) {
            sum += i128::from(mark.profit.0);
            n += 1;
        }
        (n > 0).then(|| Money(to_i64(div_half_even(sum, n))))
    }

    /// The document of the command line.
    pub fn policies_json(&self) -> Value {
        let one = |(i, name): (usize, &Name)| {
            let captures = self.captures(i, |_| true);
            let profit = match self.currencies.as_slice() {
                [_] => self.profit(i, |_| true).map(|m| m.0 as f64 / WHOLE_PPM),
                _ => None,
            };
            json!({
                "name": name.as_str(),
                "information": name.information().as_str(),
                "cases": self.marks(i, |_| true).count(),
                "profit_mean": profit,
                "capture_pooled": self.currencies.len().eq(&1).then(|| self.pooled(i, |_| true)),
                "capture_mean": captures.mean(),
                "capture_worst": captures.quantile(0),
                "capture_p10": captures.quantile(10),
                "capture_median": captures.quantile(50),
                "capture_best": captures.quantile(100),
                "starts_mean": self.mean(i, |_| true, |m| m.starts as f64),
                "curtailed_hours_mean": self.mean(i, |_| true, |m| m.curtailed_hours),
            })
        };
        self.policies.iter().enumerate().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_captures_that_were_there() {
        let mark = |ppm: i64| Mark {
            profit: Money(0),
            capture_ppm: (ppm >= 0).then_some(ppm),
            starts: 0,
            curtailed_hours: 0.0,
        };
        let of = |all: &[i64]| Captures::of(all.iter().map(|c| mark(*c)));
        let some = of(&[900_000, -1, 500_000, 1_000_000, 800_000]);
        assert_eq!((some.count(), some.mean()), (4, Some(0.8)));
        let all = [0, 10, 50, 100].map(|p| some.quantile(p));
        assert_eq!(all, [Some(0.5), Some(0.5), Some(0.9), Some(1.0)]);
        assert_eq!((of(&[-1]).quantile(50), of(&[]).mean()), (None, None));
    }
}

//! The costliest misses of a policy: when it drew power at a loss that hindsight avoids, and why,
//! by the ladder of the engine's own decision.

use crate::backtest::case::Case;
use headgate_core::reason::Decision;
use headgate_core::site::PolicyRule;
use headgate_core::time::{Interval, Time};
use headgate_core::units::{Money, Power, Price};
use headgate_sim::backtest::{Comparison, RunError, Scored, misses};

/// Misses that are listed.
pub const LISTED_MAX: usize = 10;

/// A spell of settlement intervals in which money was lost against hindsight.
#[derive(Debug, Clone)]
pub struct Miss {
    /// From its first interval to its last.
    pub span: Interval,
    /// What was lost in it.
    pub lost: Money,
    /// Its costliest interval.
    pub worst: Interval,
    /// What that settled at.
    pub price: Price,
    /// Mean power then, as drawn and as hindsight would have.
    pub power: (Power, Power),
    /// The decision in force as it began; `None` for a policy that decides nothing.
    pub decision: Option<Decision>,
}

/// The costliest misses of a policy, the costliest first.
///
/// # Errors
/// When the policy cannot be run again for its ladders.
pub fn costliest(
    case: &Case,
    comparison: &Comparison,
    row: &Scored,
    rule: Option<PolicyRule>,
) -> Result<Vec<Miss>, RunError> {
    let site = &case.loaded.site;
    let (own, best) = (&row.statement, &comparison.best);
    let mut spells: Vec<(usize, usize, Money, (usize, Money))> = Vec::new();
    for (i, lost) in misses(site, own, best) {
        match spells.last_mut() {
            Some((_, last, sum, worst)) if *last + 1 == i => {
                (*last, *sum) = (i, *sum + lost);
                if lost > worst.1 {
                    *worst = (i, lost);
                }
            }
            _ => spells.push((i, i, lost, (i, lost))),
        }
    }
    spells.sort_by_key(|(first, _, lost, _)| (std::cmp::Reverse(*lost), *first));
    spells.truncate(LISTED_MAX);
    let decisions = match rule {
        Some(rule) => {
            let times: Vec<Time> =
                spells.iter().map(|s| own.intervals[s.3.0].interval.start).collect();
            ladders(case, rule, &times)?
        }
        None => vec![None; spells.len()],
    };
    let mean = |s: &headgate_sim::backtest::Statement, i: usize| {
        let seconds = s.intervals[i].interval.length().as_seconds().max(1);
        Power(s.intervals[i].energy.0 / seconds)
    };
    let miss = |((first, last, lost, (worst, _)), decision)| {
        let interval = |i: usize| own.intervals[i].interval;
        Miss {
            span: Interval { start: interval(first).start, end: interval(last).end },
            lost,
            worst: interval(worst),
            price: own.intervals[worst].price.unwrap_or(Price::ZERO),
            power: (mean(own, worst), mean(best, worst)),
            decision,
        }
    };
    Ok(spells.into_iter().zip(decisions).map(miss).collect())
}

/// The last decision made before each interval's middle: by then what was known of its price at
/// its beginning has been decided on.
fn ladders(
    case: &Case,
    rule: PolicyRule,
    starts: &[Time],
) -> Result<Vec<Option<Decision>>, RunError> {
    let half = headgate_core::time::Span(case.tape.settle_step.0 / 2);
    let mut due: Vec<(Time, usize)> =
        starts.iter().enumerate().map(|(i, t)| (*t + half, i)).collect();
    due.sort_unstable();
    let mut due = due.into_iter().peekable();
    let mut found = vec![None; starts.len()];
    let mut last: Option<Decision> = None;
    let (site, tape) = (&case.loaded.site, &case.tape);
    case.live_as(site, tape, rule, case.lag, &mut |stamped, step| {
        while let Some((_, i)) = due.next_if(|(t, _)| *t <= stamped.at) {
            found[i] = last.clone();
        }
        if step.decision.is_some() {
            last.clone_from(&step.decision);
        }
    })?;
    for (_, i) in due {
        found[i] = last.clone();
    }
    Ok(found)
}

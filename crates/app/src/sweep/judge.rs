//! A case under every policy of the plan: the same comparison as a back-test's.

use anyhow::Context;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::site::PolicyRule;
use headgate_core::time::Span;
use headgate_core::units::{Energy, Money, Price};
use headgate_sim::backtest::{
    self, BoundKind, Chosen, Dated, Hindsight, Name, Policy, RunOptions, Statement, missed_spikes,
};
use headgate_sim::sweep::{Bound, Judge, Outcome, Scored, Trial};
use headgate_sim::world::mean_breakeven;

/// Longest sentence that is kept of a case that came to nothing.
const WHY_MAX: usize = 1_000;
/// The whole, in parts per million and per billion.
const WHOLE_PPM: i128 = 1_000_000;
const WHOLE_PPB: f64 = 1e9;

/// Tries the policies of a plan on each case.
pub struct Policies {
    pub names: Vec<Name>,
    /// What looking ahead goes by, for each site.
    pub models: Vec<Vec<Dated>>,
}

impl Judge for Policies {
    fn lives(&self) -> usize {
        let lived = self.names.iter().filter(|name| **name != Name::PerfectForesight).count();
        // Always-on is the foot of the scale, whether asked for or not.
        match lived {
            0 => 0,
            lived => lived + usize::from(!self.names.contains(&Name::AlwaysOn)),
        }
    }

    fn judge(&self, trial: &Trial<'_>) -> Result<Outcome, String> {
        self.outcome(trial).map_err(|e| {
            let why = crate::site_files::describe(&*e);
            why.chars().take(WHY_MAX).collect()
        })
    }
}

impl Policies {
    fn outcome(&self, trial: &Trial<'_>) -> anyhow::Result<Outcome> {
        let (site, units, tape) = (trial.site, trial.units, trial.tape);
        let back_test = backtest::Trial { site, units, tape };
        if self.names.iter().all(|name| *name == Name::PerfectForesight) {
            // Nothing lives through the tape: the bound alone was asked for.
            let found = back_test.hindsight()?;
            let bound = bound(&found.bound);
            let scored = scored(&found.statement, Money::ZERO, None);
            let policies = vec![scored; self.names.len()];
            let head = Money(found.statement.account.profit);
            return Ok(Outcome { bound, foot: None, head, policies });
        }
        let chosen: Vec<Chosen> =
            self.names.iter().map(|name| chosen(*name, trial)).collect::<Result<_, _>>()?;
        let always = Chosen { name: Name::AlwaysOn, rule: Some(PolicyRule::AlwaysOn) };
        let models = &self.models[trial.case.site];
        let options = RunOptions { lag: trial.setting.lag.unwrap_or(Span::ZERO), models };
        let live = |rule: PolicyRule| {
            backtest::run(site, units, tape, Policy::Rule(rule), options, &mut |_, _| {})
        };
        // One after the other, and of each the statement alone is kept: a year's run is larger.
        let Hindsight { statement: head, bound: most, .. } = back_test.hindsight()?;
        let missing = (!chosen.contains(&always)).then_some(always);
        let mut statements = Vec::with_capacity(chosen.len() + 1);
        for policy in chosen.iter().copied().chain(missing).filter(|p| p.rule.is_some()) {
            let (policy, _, statement) = back_test.lived(policy, &live)?;
            statements.push((policy.name, statement));
        }
        let of = |name| statements.iter().find(|(n, _)| *n == name).map(|(_, s)| s);
        let foot = of(Name::AlwaysOn).expect("always-on was put in above");
        let each = chosen.iter().map(|policy| {
            let statement = of(policy.name).unwrap_or(&head);
            let missed = missed_spikes(site, statement, &head);
            scored(statement, missed, capture(statement, foot, &head))
        });
        Ok(Outcome {
            bound: bound(&most),
            foot: Some(Money(foot.account.profit)),
            head: Money(head.account.profit),
            policies: each.collect(),
        })
    }
}

/// A policy with its rule; a strike that nobody names is the break-even of the whole site, as in
/// a back-test.
fn chosen(name: Name, trial: &Trial<'_>) -> anyhow::Result<Chosen> {
    let own = match trial.site.policy.rule {
        PolicyRule::FixedStrike(strike) => Some(strike),
        _ => None,
    };
    let strike = || {
        let hashprice = trial.tape.values.first().map(|v| v.per_ph_day);
        let whole = || mean_breakeven(trial.site, hashprice);
        let strike = trial.setting.strike.or(own).or_else(whole);
        strike.context("the site has nothing that works: add a cohort to it")
    };
    // No other policy has a strike, and a site without a break-even may try them.
    let strike = if name == Name::FixedStrike { strike()? } else { Price::ZERO };
    Ok(Chosen { name, rule: name.rule(strike) })
}

fn bound(bound: &backtest::Bound) -> Bound {
    Bound {
        profit: bound.profit,
        exact: bound.kind == BoundKind::Exact,
        gap_ppb: (bound.gap * WHOLE_PPB).ceil() as i64,
    }
}

/// The share of what hindsight earns beyond always-on, in parts per million.
fn capture(policy: &Statement, foot: &Statement, head: &Statement) -> Option<i64> {
    let above = |s: &Statement| i128::from(s.account.profit - foot.account.profit);
    let most = above(head);
    (most > 0).then(|| to_i64(div_half_even(above(policy) * WHOLE_PPM, most)))
}

fn scored(s: &Statement, missed_spike_cost: Money, capture_ppm: Option<i64>) -> Scored {
    let a = &s.account;
    // Energy not drawn, as time at the most the site can draw.
    let seconds = i128::from(s.undrawn.0) * 1_000_000_000;
    let curtailed = match s.full.0 {
        0 => Span::ZERO,
        full => Span(to_i64(div_half_even(seconds, i128::from(full)))),
    };
    Scored {
        profit: Money(a.profit),
        compute_revenue: Money(a.compute_revenue),
        energy_cost: Money(a.energy_cost),
        sell_back: Money(a.sell_back),
        other_cost: Money(a.other_cost),
        energy: Energy(a.energy),
        starts: a.starts,
        curtailed,
        missed_spike_cost,
        capture_ppm,
    }
}

//! All policies on one tape, each settled by the same rules and measured on the same scale.

use super::account::{AccountError, Statement, missed_spikes, settle_run};
use super::hindsight::{Hindsight, HindsightError, hindsight};
use super::referee::{self, Violation};
use super::run::{Run, RunError};
use super::tape::Tape;
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::site::{PolicyRule, Site};
use headgate_core::units::{Money, Price};

/// A policy by the name that scripts and tables use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Everything, always.
    AlwaysOn,
    /// One price for everything.
    FixedStrike,
    /// Each step by its own break-even.
    Breakeven,
    /// By a plan over what is known and expected.
    LookAhead,
    /// By the best plan in hindsight.
    PerfectForesight,
}

/// What a policy goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Information {
    /// What could be known when it decided.
    Causal,
    /// What nobody could know.
    Foresight,
}

impl Name {
    /// Every policy.
    pub const ALL: [Self; 5] = [
        Self::AlwaysOn,
        Self::FixedStrike,
        Self::Breakeven,
        Self::LookAhead,
        Self::PerfectForesight,
    ];

    /// As tables and scripts have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlwaysOn => "always_on",
            Self::FixedStrike => "fixed_strike",
            Self::Breakeven => "breakeven",
            Self::LookAhead => "look_ahead",
            Self::PerfectForesight => "perfect_foresight",
        }
    }

    /// The engine's rule, with the strike of the one that has one; `None` is the plan in
    /// hindsight.
    #[must_use]
    pub fn rule(self, strike: Price) -> Option<PolicyRule> {
        match self {
            Self::AlwaysOn => Some(PolicyRule::AlwaysOn),
            Self::FixedStrike => Some(PolicyRule::FixedStrike(strike)),
            Self::Breakeven => Some(PolicyRule::Breakeven),
            Self::LookAhead => Some(PolicyRule::LookAhead),
            Self::PerfectForesight => None,
        }
    }

    /// What it goes by.
    #[must_use]
    pub fn information(self) -> Information {
        match self {
            Self::PerfectForesight => Information::Foresight,
            _ => Information::Causal,
        }
    }
}

impl Information {
    /// As tables and scripts have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Causal => "causal",
            Self::Foresight => "foresight",
        }
    }
}

/// A policy to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// What it is called.
    pub name: Name,
    /// The engine's rule; `None` is the plan in hindsight.
    pub rule: Option<PolicyRule>,
}

/// What every policy is tried on.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The site.
    pub site: &'a Site,
    /// Its units.
    pub units: &'a [UnitSpec],
    /// The tape.
    pub tape: &'a Tape,
}

/// One policy's result.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Which policy.
    pub name: Name,
    /// What it did.
    pub run: Run,
    /// What that was worth.
    pub statement: Statement,
    /// What it lost against hindsight by drawing power at a price above break-even.
    pub missed_spikes: Money,
    /// Its share of what hindsight earns beyond always-on; `None` where that is nothing.
    pub capture: Option<f64>,
}

/// How sure a bound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundKind {
    /// It is reached, to the last micro-unit.
    Exact,
    /// Nothing can earn more; the best plan found may earn less.
    Certified,
}

impl BoundKind {
    /// As tables and scripts have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Certified => "certified",
        }
    }
}

/// What no policy that plans in settlement intervals can earn more than.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Profit.
    pub profit: Money,
    /// How sure it is.
    pub kind: BoundKind,
    /// Share of it that the best plan found leaves open.
    pub gap: f64,
}

/// All policies, and the bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Results in the order asked for.
    pub rows: Vec<Scored>,
    /// The bound.
    pub bound: Bound,
    /// Always-on, whether asked for or not: the foot of the scale.
    pub always_on: Statement,
    /// Hindsight, whether asked for or not: its head.
    pub best: Statement,
}

/// Why policies cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The engine cannot run the site.
    #[error("failed to run {name}")]
    Run {
        /// Which policy.
        name: &'static str,
        /// Why.
        #[source]
        source: RunError,
    },
    /// A run cannot be settled.
    #[error("failed to settle {name}")]
    Account {
        /// Which policy.
        name: &'static str,
        /// Why.
        #[source]
        source: AccountError,
    },
    /// There is no plan in hindsight.
    #[error("failed to plan in hindsight")]
    Hindsight(#[from] HindsightError),
    /// A run broke the physics of the site.
    #[error("a check found a violation by {name}")]
    Violation {
        /// Which policy.
        name: &'static str,
        /// What it broke.
        #[source]
        source: Violation,
    },
}

/// The engine living through the tape under a rule.
pub type Live<'a> = &'a (dyn Fn(PolicyRule) -> Result<Run, RunError> + Sync);

impl Trial<'_> {
    /// Tries policies; always-on and hindsight are worked out in any case, for the scale.
    ///
    /// # Errors
    /// [`CompareError`] when a run fails, cannot be settled, or breaks the physics of the site.
    pub fn compare(&self, policies: &[Chosen], live: Live<'_>) -> Result<Comparison, CompareError> {
        let always = Chosen { name: Name::AlwaysOn, rule: Some(PolicyRule::AlwaysOn) };
        let mut causal: Vec<Chosen> =
            policies.iter().copied().filter(|p| p.rule.is_some()).collect();
        if !causal.contains(&always) {
            causal.push(always);
        }
        let (best, judged) = std::thread::scope(|scope| {
            let hindsight = scope.spawn(|| self.hindsight());
            let judged: Vec<_> = causal.iter().map(|p| self.lived(*p, live)).collect();
            (hindsight.join(), judged)
        });
        let best = best.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let Hindsight { run: best_run, statement: best, bound } = best?;
        let mut lived = judged.into_iter().collect::<Result<Vec<_>, _>>()?;
        let foot = lived.iter().find(|(p, ..)| *p == always).map(|(_, _, s)| s.clone());
        let always_on = foot.expect("always-on was put in above");
        lived.push((Chosen { name: Name::PerfectForesight, rule: None }, best_run, best.clone()));
        let scored = |chosen: &Chosen| {
            let found = lived.iter().find(|(p, ..)| p.name == chosen.name)?;
            let (_, run, statement) = found.clone();
            Some(Scored {
                name: chosen.name,
                missed_spikes: missed_spikes(self.site, &statement, &best),
                capture: capture(&statement, &always_on, &best),
                run,
                statement,
            })
        };
        let rows = policies.iter().filter_map(scored).collect();
        Ok(Comparison { rows, bound, always_on, best })
    }

    /// Lives through the tape under a rule, and has it checked and settled.
    ///
    /// # Errors
    /// As [`Trial::compare`].
    pub fn lived(
        &self,
        chosen: Chosen,
        live: Live<'_>,
    ) -> Result<(Chosen, Run, Statement), CompareError> {
        let name = chosen.name.as_str();
        let rule = chosen.rule.unwrap_or(PolicyRule::AlwaysOn);
        let run = live(rule).map_err(|source| CompareError::Run { name, source })?;
        let step = self.tape.step;
        referee::check(self.site, self.units, step, self.tape, &run)
            .map_err(|source| CompareError::Violation { name, source })?;
        let statement = settle_run(self.site, self.units, self.tape, &run)
            .map_err(|source| CompareError::Account { name, source })?;
        Ok((chosen, run, statement))
    }

    /// The plan in hindsight, settled and checked.
    ///
    /// # Errors
    /// As [`Trial::compare`].
    pub fn hindsight(&self) -> Result<Hindsight, CompareError> {
        let name = Name::PerfectForesight.as_str();
        let found = hindsight(self.site, self.units, self.tape)?;
        let step = self.tape.settle_step;
        referee::check(self.site, self.units, step, self.tape, &found.run)
            .map_err(|source| CompareError::Violation { name, source })?;
        Ok(found)
    }
}

/// The share of what hindsight earns beyond always-on; `None` where that is nothing.
#[must_use]
pub fn capture(policy: &Statement, always_on: &Statement, best: &Statement) -> Option<f64> {
    let above = |s: &Statement| s.account.profit - always_on.account.profit;
    let most = above(best);
    (most > 0).then(|| above(policy) as f64 / most as f64)
}

//! Instruction budgets: how many a case may spend, and how many callgrind says it spent.

use anyhow::{Context, Result, ensure};
use std::path::Path;

/// The share of its budget below which a budget has gone slack and should be lowered.
const SLACK: f64 = 0.5;

/// One line of `xtask/budgets.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The case, as the example calls it.
    pub case: String,
    /// How many machines it has.
    pub machines: u64,
    /// How many instructions one step may spend.
    pub instructions_max: u64,
}

impl Budget {
    /// The share of the budget that was spent.
    pub fn ratio(&self, instructions: u64) -> f64 {
        instructions as f64 / self.instructions_max as f64
    }

    /// What is wrong with a count, in one sentence.
    pub fn fault(&self, instructions: u64) -> Option<String> {
        let Self { case, machines, instructions_max } = self;
        if instructions == 0 {
            return Some(format!("{case} at {machines}: nothing was counted"));
        }
        if instructions > *instructions_max {
            return Some(format!(
                "{case} at {machines} machines spends {instructions} instructions, \
                 {instructions_max} are budgeted: make it cheaper, or say why it must cost more"
            ));
        }
        if self.ratio(instructions) < SLACK {
            return Some(format!(
                "{case} at {machines} machines spends only {instructions} of \
                 {instructions_max} instructions: lower the budget, so that it can fail"
            ));
        }
        None
    }
}

/// Reads the budgets.
pub fn read(path: &Path) -> Result<Vec<Budget>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    parse(&text).with_context(|| format!("failed to read {}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Budget>> {
    let table: toml::Table = text.parse()?;
    let list = table.get("step").and_then(toml::Value::as_array).context("there is no [[step]]")?;
    let budgets = list.iter().map(|entry| {
        let number = |key: &str| {
            let n = entry.get(key).and_then(toml::Value::as_integer);
            let n = n.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
            n.with_context(|| format!("a [[step]] needs `{key}`, a number above 0"))
        };
        let case =
            entry.get("case").and_then(toml::Value::as_str).context("a step needs `case`")?;
        Ok(Budget {
            case: case.into(),
            machines: number("machines")?,
            instructions_max: number("instructions_max")?,
        })
    });
    let budgets = budgets.collect::<Result<Vec<_>>>()?;
    ensure!(!budgets.is_empty(), "there is no [[step]]");
    Ok(budgets)
}

/// The instructions that callgrind's output file sums up.
pub fn instructions(text: &str) -> Result<u64> {
    let line =
        text.lines().find_map(|l| l.strip_prefix("totals: ").or(l.strip_prefix("summary: ")));
    let first = line.and_then(|l| l.split_whitespace().next()).context("there is no sum in it")?;
    first.parse().with_context(|| format!("`{first}` is no count"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget { case: "quiet".into(), machines: 100_000, instructions_max: 1000 }
    }

    #[test]
    fn a_budget_can_be_overspent_and_can_go_slack() {
        assert_eq!(budget().fault(1000), None);
        assert_eq!(budget().fault(500), None);
        let fault = |n| budget().fault(n).expect("a fault");
        assert!(fault(1001).contains("spends 1001 instructions, 1000 are budgeted"));
        assert!(fault(499).contains("lower the budget"));
        assert!(fault(0).contains("nothing was counted"));
    }

    #[test]
    fn budgets_are_read_and_bad_ones_refused() {
        let text = "[[step]]\ncase = \"quiet\"\nmachines = 100_000\ninstructions_max = 1_000\n";
        assert_eq!(parse(text).expect("a good file"), [budget()]);
        for bad in ["", "[[step]]\ncase = \"a\"\n", &text.replace("1_000", "0")] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn callgrind_is_read() {
        assert_eq!(instructions("events: Ir\nsummary: 123\ntotals: 123\n").expect("a sum"), 123);
        assert!(instructions("events: Ir\n").is_err());
    }
}

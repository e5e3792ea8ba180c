//! Counts tests by reading the test runner's own closing lines.

use std::ops::AddAssign;

/// So many passed, failed and were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Left out.
    pub skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, o: Self) {
        self.passed += o.passed;
        self.failed += o.failed;
        self.skipped += o.skipped;
    }
}

impl Counts {
    /// The sum over all `test result:` lines of a run.
    pub fn of(output: &str) -> Self {
        let mut sum = Self::default();
        for line in output.lines() {
            let Some((_, rest)) = line.split_once("test result: ") else { continue };
            // The verdict comes first and ends in a full stop: `ok. 3 passed; 0 failed; ...`
            let (_, rest) = rest.split_once(". ").unwrap_or(("", rest));
            for part in rest.split("; ") {
                let Some((n, what)) = part.trim().split_once(' ') else { continue };
                let n = n.parse().unwrap_or(0);
                match what {
                    "passed" => sum.passed += n,
                    "failed" => sum.failed += n,
                    "ignored" => sum.skipped += n,
                    _ => {}
                }
            }
        }
        sum
    }

    /// The closing line that anything can read.
    pub fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_are_summed() {
        let output = "\
running 4 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.31s
some test result of another kind
test result: FAILED. 10 passed; 2 failed; 0 ignored; 5 measured; 7 filtered out; finished in 1s
";
        let counts = Counts::of(output);
        assert_eq!(counts, Counts { passed: 13, failed: 2, skipped: 1 });
        assert_eq!(counts.line(), "13 passed, 2 failed, 1 skipped");
        assert_eq!(Counts::of(""), Counts::default());
    }
}

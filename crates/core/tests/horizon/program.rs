//! An integer program as plain data: for microlp, which solves it here, and as a file for any
//! other solver, by hand (`cargo xtask bench oracle` has HiGHS try them all).

use microlp::{ComparisonOp, OptimizationDirection, Problem};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Folder for the programs solved, as `.lp` files with their best in a comment at the top.
const FOLDER: &str = "HEADGATE_LP_DIR";

/// A variable, by its place.
pub type Variable = usize;

/// Something to make as large as can be.
#[derive(Default)]
pub struct Program {
    /// Gain of one, and most; zero is the least of each. Whether it is zero or one.
    variables: Vec<(f64, f64, bool)>,
    rows: Vec<(BTreeMap<Variable, f64>, ComparisonOp, f64)>,
}

impl Program {
    pub fn binary(&mut self, gain: f64) -> Variable {
        self.variables.push((gain, 1.0, true));
        self.variables.len() - 1
    }

    pub fn up_to(&mut self, most: f64, gain: f64) -> Variable {
        self.variables.push((gain, most, false));
        self.variables.len() - 1
    }

    pub fn row(
        &mut self,
        terms: impl IntoIterator<Item = (Variable, f64)>,
        op: ComparisonOp,
        bound: f64,
    ) {
        let mut sums = BTreeMap::new();
        for (variable, factor) in terms {
            *sums.entry(variable).or_default() += factor;
        }
        self.rows.push((sums, op, bound));
    }

    /// The most it can come to; `None` where it has no solution.
    ///
    /// # Panics
    /// When the solver gives up, or a file cannot be written where files are asked for.
    pub fn best(&self) -> Option<f64> {
        let mut problem = Problem::new(OptimizationDirection::Maximize);
        let add = |(gain, most, binary): &(f64, f64, bool)| match binary {
            true => problem.add_binary_var(*gain),
            false => problem.add_var(*gain, (0.0, *most)),
        };
        let variables: Vec<_> = self.variables.iter().map(add).collect();
        for (terms, op, bound) in &self.rows {
            let terms = terms.iter().map(|(v, factor)| (variables[*v], *factor));
            problem.add_constraint(terms, *op, *bound);
        }
        let best = match problem.solve() {
            Ok(outcome) => Some(outcome.into_solution().expect("it has no limit").objective()),
            Err(microlp::Error::Infeasible) => None,
            Err(e) => panic!("the solver gave up: {e}"),
        };
        if let Some(folder) = std::env::var_os(FOLDER) {
            self.keep(Path::new(&folder), best);
        }
        best
    }

    #[expect(clippy::disallowed_methods, reason = "by hand, for another solver to read")]
    fn keep(&self, folder: &Path, best: Option<f64>) {
        let found = best.map_or("none".into(), |b| format!("{b}"));
        let text = format!("\\ best {found}\n{}", self.text());
        let name = std::hash::BuildHasher::hash_one(&Fixed::default(), &text);
        let path = folder.join(format!("{name:016x}.lp"));
        std::fs::write(&path, text).expect("the folder of programs can be written to");
    }

    /// The program in the LP format that solvers read.
    fn text(&self) -> String {
        let mut out = String::from("Maximize\n gain:");
        let term = |out: &mut String, variable: Variable, factor: f64| {
            let sign = if factor < 0.0 { '-' } else { '+' };
            // Lines of this format are of bounded length.
            let _ = write!(out, "\n  {sign} {} x{variable}", factor.abs());
        };
        for (v, (gain, ..)) in self.variables.iter().enumerate() {
            term(&mut out, v, *gain);
        }
        out += "\nSubject To\n";
        for (n, (terms, op, bound)) in self.rows.iter().enumerate() {
            let _ = write!(out, " r{n}:");
            for (v, factor) in terms {
                term(&mut out, *v, *factor);
            }
            let op = match op {
                ComparisonOp::Eq => "=",
                ComparisonOp::Le => "<=",
                ComparisonOp::Ge => ">=",
            };
            let _ = writeln!(out, " {op} {bound}");
        }
        out += "Bounds\n";
        for (v, (_, most, _)) in self.variables.iter().enumerate() {
            let _ = writeln!(out, " 0 <= x{v} <= {most}");
        }
        out += "Binary\n";
        for (v, _) in self.variables.iter().enumerate().filter(|(_, (.., binary))| *binary) {
            let _ = writeln!(out, " x{v}");
        }
        out + "End\n"
    }
}

type Fixed = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

//! From values at knots in f64 to the integer tables of a model.

use super::columns::Spline;
use super::fit::Fitted;
use headgate_core::horizon::features::UNIT;
use headgate_core::horizon::model::{Table, Term};

fn micro(v: f64) -> i64 {
    (v * 1e6).round() as i64
}

/// Turns a fit into a table of integers.
pub fn table(fitted: &Fitted, anchors: usize) -> Table {
    let term = |s: &Spline| {
        let at = |knot: usize, a: usize| fitted.values[(s.first + knot) * anchors + a];
        term(s, at, anchors)
    };
    Table {
        knowledge: fitted.knowledge,
        constant: fitted.values[..anchors].iter().map(|v| micro(*v)).collect(),
        terms: fitted.columns.splines.iter().map(term).collect(),
    }
}

/// A function as a term: its line goes on to the least and the most that the feature was, and
/// stays as it is there beyond: nothing was learned of it.
fn term(s: &Spline, at: impl Fn(usize, usize) -> f64, anchors: usize) -> Term {
    let within = &s.knots[1..s.knots.len() - 1];
    let value = |x: i32, a: usize| {
        let k = within.iter().take_while(|k| **k <= x).count();
        let part = f64::from(x - s.knots[k]) / f64::from(s.knots[k + 1] - s.knots[k]);
        at(k, a) * (1.0 - part) + at(k + 1, a) * part
    };
    let mut knots = s.knots.clone();
    knots.extend([s.range.0, s.range.1]);
    knots.sort_unstable();
    knots.dedup();
    let mut pieces = Vec::with_capacity((knots.len() + 1) * anchors);
    for piece in 0..=knots.len() {
        let from = knots[piece.saturating_sub(1)];
        let to = knots.get(piece).filter(|to| **to > from);
        for a in 0..anchors {
            let width = |to: i32| f64::from(to - from) / f64::from(UNIT);
            let slope = to.map_or(0.0, |to| (value(*to, a) - value(from, a)) / width(*to));
            pieces.push((micro(value(from, a)), micro(slope)));
        }
    }
    let index = |i: usize| u8::try_from(i).expect("features are fewer than 255");
    Term { of: index(s.of), times: s.times.map(index), knots, pieces }
}

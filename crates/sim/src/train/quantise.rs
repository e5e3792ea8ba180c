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

fn term(s: &Spline, at: impl Fn(usize, usize) -> f64, anchors: usize) -> Term {
    let last = s.knots.len() - 1;
    let mut pieces = Vec::with_capacity((last + 2) * anchors);
    for piece in 0..=last + 1 {
        // Below the first knot and above the last one it stays as it is there.
        let outside = piece == 0 || piece == last + 1;
        let from = piece.saturating_sub(1);
        let slope_from = from.min(last - 1);
        let width = f64::from(s.knots[slope_from + 1] - s.knots[slope_from]) / f64::from(UNIT);
        for a in 0..anchors {
            let slope = (at(slope_from + 1, a) - at(slope_from, a)) / width;
            let slope = if outside { 0.0 } else { slope };
            pieces.push((micro(at(from, a)), micro(slope)));
        }
    }
    let index = |i: usize| u8::try_from(i).expect("features are fewer than 255");
    Term { of: index(s.of), times: s.times.map(index), knots: s.knots.clone(), pieces }
}

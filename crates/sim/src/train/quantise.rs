//! From weights in f64 to the integer tables of a model.

use super::columns::Spline;
use super::fit::Fitted;
use headgate_core::horizon::features::UNIT;
use headgate_core::horizon::model::{Table, Term};

/// Turns a fit into a table of integers.
pub fn table(fitted: &Fitted, anchors: usize) -> Table {
    let micro = |v: f64| (v * 1e6).round() as i64;
    // Weight of a raw column for an anchor.
    let raw = |column: usize, a: usize| {
        fitted.weights[column * anchors + a] / fitted.columns.scale[column].1
    };
    let constant = |a: usize| {
        let shift = |c: usize| raw(c, a) * fitted.columns.scale[c].0;
        micro(raw(0, a) - (1..fitted.columns.count()).map(shift).sum::<f64>())
    };
    let mut first = 1;
    let mut terms = Vec::new();
    for s in &fitted.columns.splines {
        terms.push(term(s, |i, a| raw(first + i, a), anchors));
        first += s.columns();
    }
    Table { knowledge: fitted.knowledge, constant: (0..anchors).map(constant).collect(), terms }
}

fn term(s: &Spline, weight: impl Fn(usize, usize) -> f64, anchors: usize) -> Term {
    let micro = |v: f64| (v * 1e6).round() as i64;
    let mut pieces = Vec::with_capacity((s.knots.len() + 1) * anchors);
    let slope = |piece: usize, a: usize| {
        let bends = (1..piece).map(|i| weight(i, a)).sum::<f64>();
        // A product's last column bends at the first knot.
        let extra = if s.times.is_some() && piece > 0 { weight(s.knots.len(), a) } else { 0.0 };
        weight(0, a) + bends + extra
    };
    let mut bases = vec![0.0; anchors];
    for piece in 0..=s.knots.len() {
        for (a, base) in bases.iter_mut().enumerate() {
            if piece > 1 {
                let width = f64::from(s.knots[piece - 1] - s.knots[piece - 2]) / f64::from(UNIT);
                *base += slope(piece - 1, a) * width;
            }
            pieces.push((micro(*base), micro(slope(piece, a))));
        }
    }
    let index = |i: usize| u8::try_from(i).unwrap_or(u8::MAX);
    Term { of: index(s.of), times: s.times.map(index), knots: s.knots.clone(), pieces }
}

//! From trees in f64 to the integer tables of a model.

use super::fit::Fitted;
use super::grow::Grown;
use headgate_core::horizon::model::{CONSTANT_MAX, LEAF_MAX, Table, Tree};
use headgate_core::units::Money;

/// Turns a fit into a table of integers: one of them stands for as little money as lets the
/// largest one fit.
pub fn table(fitted: &Fitted) -> Table {
    let trees = &fitted.trees;
    let largest = |values: &mut dyn Iterator<Item = &f64>| {
        values.fold(0.0, |most: f64, v| most.max(v.abs())) * 1e6
    };
    let leaf = largest(&mut trees.trees.iter().flat_map(|t| &t.leaves)) / f64::from(LEAF_MAX);
    let constant = largest(&mut trees.constant.iter()) / f64::from(CONSTANT_MAX);
    let unit = leaf.max(constant).ceil().max(1.0);
    let whole = |v: &f64| (v * 1e6 / unit).round() as i32;
    let tree =
        |t: &Grown| Tree { splits: t.splits.clone(), leaves: t.leaves.iter().map(whole).collect() };
    Table {
        knowledge: fitted.knowledge,
        unit: Money(unit as i64),
        constant: trees.constant.iter().map(whole).collect(),
        trees: trees.trees.iter().map(tree).collect(),
    }
}

//! The table of features in docs/model.md says what the code has, in its order and its words.

use headgate_core::horizon::features::Feature;

const DOC: &str = include_str!("../../../../docs/model.md");
const CODE: &str = include_str!("../../src/horizon/features/mod.rs");

#[test]
fn the_table_of_features_is_that_of_the_code() {
    let list = CODE.split_once("\nfeatures! {\n").unwrap().1.split_once("\n}\n").unwrap().0;
    let mut said = Vec::new();
    let mut words = Vec::new();
    for line in list.lines().map(str::trim) {
        match line.strip_prefix("///") {
            Some(more) => words.push(more.trim()),
            None => {
                said.push((line.trim_end_matches(','), words.join(" ")));
                words.clear();
            }
        }
    }
    let rows = said.iter().zip(Feature::ALL).enumerate().map(|(i, ((name, about), feature))| {
        assert_eq!(*name, format!("{feature:?}"), "feature {i}");
        assert_eq!(*feature as usize, i);
        format!("| {i} | `{name}` | {} |\n", about.trim_end_matches('.'))
    });
    let table: String = rows.collect();
    assert_eq!(said.len(), Feature::ALL.len());
    let head = "| no. | feature | what it is |\n| --- | --- | --- |\n";
    let doc = DOC.split_once(head).unwrap().1.split_once("\n\n").unwrap().0;
    assert!(doc.trim_end() == table.trim_end(), "docs/model.md has to say:\n{head}{table}");
}

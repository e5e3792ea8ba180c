//! Every plan of `tests/plans/invalid` against its golden file, and the example.

use super::plan::Plan;
use headgate_core::time::Span;
use headgate_core::units::Price;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().find(|p| p.join("config.example.toml").exists());
    root.expect("the example is at the root of the repository").to_owned()
}

#[test]
fn invalid_plans_are_refused_by_line_and_caret() {
    let folder = root().join("tests/plans/invalid");
    let mut all: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    all.sort();
    assert!(!all.is_empty());
    let mut text = String::new();
    for path in all {
        let refusal = match Plan::read(&path) {
            Ok(_) => panic!("{} was accepted", path.display()),
            Err(e) => e.to_string(),
        };
        text += &refusal.replace(&format!("{}/", folder.display()), "");
        text += "\n\n";
    }
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("invalid", text));
}

#[test]
fn the_example_is_a_plan() {
    let plan = Plan::read(&root().join("scenarios/sweep-example.toml")).unwrap();
    assert_eq!((plan.sites.len(), plan.points.len(), plan.spans.len()), (1, 2, 2));
    assert_eq!((plan.seeds.clone(), plan.resampling.block_days), (0..21, 7));
    let settings: Vec<(Option<Price>, Option<Span>)> =
        plan.settings.iter().map(|s| (s.value, s.lag)).collect();
    assert_eq!(settings.len(), 6);
    assert_eq!(settings[1], (Some(Price(40_000_000)), Some(Span::minutes(5))));
    assert_eq!(plan.currency.as_deref(), Some("USD"));
    assert!(plan.prices[0].spec.ends_with("scenarios/prices/sced_lmp_2024.csv.gz"));
    assert_eq!(plan.prices[2].point.as_ref().map(|p| p.name.as_str()), Some("HB_WEST"));
    crate::site_files::load_site(&plan.sites[0]).unwrap();
}

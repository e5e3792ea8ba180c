//! Rules about crates: who may depend on whom, and what every crate must have.

use super::{Fault, orphans};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// All that the core may be built on.
const CORE_MAY_USE: [&str; 1] = ["serde"];
/// Crates that talk to a person and so may use an error without a type.
const ANYHOW_MAY_BE_IN: [&str; 2] = ["headgate-app", "xtask"];
/// Lines a crate's own clippy.toml must repeat, because it replaces the workspace's.
const CLIPPY_REPEATS: [&str; 2] = ["too-many-lines-threshold = 70", "allow-unwrap-in-tests = true"];

/// Adds every fault of the workspace's manifests.
pub fn check(root: &Path, files: &[String], faults: &mut Vec<Fault>) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let out = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .context("failed to start cargo metadata")?;
    anyhow::ensure!(
        out.status.success(),
        "failed to read the workspace: {}",
        String::from_utf8_lossy(&out.stderr).trim()
    );
    let metadata: Value =
        serde_json::from_slice(&out.stdout).context("failed to parse cargo metadata")?;
    dependencies(&metadata, faults);

    let read = |file: &str| std::fs::read_to_string(root.join(file)).ok();
    let crates: Vec<String> = crate_folders(&metadata, root);
    let map = read("ARCHITECTURE.md").unwrap_or_default();
    code_map(&crates, &map, faults);
    for folder in &crates {
        house_lints(folder, &read(&format!("{folder}/Cargo.toml")).unwrap_or_default(), faults);
        if folder.starts_with("crates/") {
            clippy_file(folder, read(&format!("{folder}/clippy.toml")).as_deref(), faults);
        }
    }
    faults.extend(orphans(files, read));
    Ok(())
}

fn packages(metadata: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let list = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|p| (p["name"].as_str().unwrap_or_default(), p))
}

fn crate_folders(metadata: &Value, root: &Path) -> Vec<String> {
    let folder = |p: &Value| {
        let manifest = Path::new(p["manifest_path"].as_str()?);
        let below = manifest.parent()?.strip_prefix(root).ok()?;
        Some(below.to_string_lossy().into_owned())
    };
    packages(metadata).filter_map(|(_, p)| folder(p)).collect()
}

/// The core leans on an allow-list; only the outermost crates take errors without a type.
fn dependencies(metadata: &Value, faults: &mut Vec<Fault>) {
    for (name, package) in packages(metadata) {
        let deps = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        for dep in deps {
            let dep_name = dep["name"].as_str().unwrap_or_default();
            let is_dev = dep["kind"].as_str() == Some("dev");
            let file = || format!("{}/Cargo.toml", folder_of(name));
            if name == "headgate-core" && !is_dev && !CORE_MAY_USE.contains(&dep_name) {
                let mend =
                    format!("`{dep_name}`: the core may use {} only", CORE_MAY_USE.join(", "));
                faults.push(Fault { file: file(), line: 1, rule: "core", mend });
            }
            if dep_name == "anyhow" && !ANYHOW_MAY_BE_IN.contains(&name) {
                let mend = "a library's errors have types: use thiserror".into();
                faults.push(Fault { file: file(), line: 1, rule: "anyhow", mend });
            }
        }
    }
}

fn folder_of(package: &str) -> String {
    match package.strip_prefix("headgate-") {
        Some(folder) => format!("crates/{folder}"),
        None => package.to_string(),
    }
}

fn code_map(crates: &[String], map: &str, faults: &mut Vec<Fault>) {
    for folder in crates.iter().filter(|f| !map.contains(&format!("`{f}`"))) {
        faults.push(Fault {
            file: "ARCHITECTURE.md".into(),
            line: 1,
            rule: "map",
            mend: format!("say in the code map what `{folder}` is for"),
        });
    }
}

fn house_lints(folder: &str, manifest: &str, faults: &mut Vec<Fault>) {
    if !manifest.contains("[lints]\nworkspace = true\n") {
        faults.push(Fault {
            file: format!("{folder}/Cargo.toml"),
            line: 1,
            rule: "lints",
            mend: "add `[lints]` with `workspace = true`".into(),
        });
    }
}

fn clippy_file(folder: &str, body: Option<&str>, faults: &mut Vec<Fault>) {
    for line in CLIPPY_REPEATS {
        if !body.is_some_and(|b| b.lines().any(|l| l == line)) {
            faults.push(Fault {
                file: format!("{folder}/clippy.toml"),
                line: 1,
                rule: "clippy",
                mend: format!("it must say `{line}` itself"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(run: impl FnOnce(&mut Vec<Fault>)) -> Vec<String> {
        let mut faults = Vec::new();
        run(&mut faults);
        faults.iter().map(|f| format!("{}:{}", f.file, f.rule)).collect()
    }

    fn package(name: &str, dep: &str, kind: Option<&str>) -> Value {
        json!({"packages": [{"name": name, "dependencies": [{"name": dep, "kind": kind}]}]})
    }

    #[test]
    fn the_core_leans_on_the_allow_list_only() {
        let found = |dep, kind| rules(|f| dependencies(&package("headgate-core", dep, kind), f));
        assert_eq!(found("tokio", None), ["crates/core/Cargo.toml:core"]);
        assert_eq!(found("cc", Some("build")), ["crates/core/Cargo.toml:core"]);
        assert!(found("proptest", Some("dev")).is_empty());
        assert!(found("serde", None).is_empty());
    }

    #[test]
    fn untyped_errors_stay_at_the_edge() {
        let found = |name| rules(|f| dependencies(&package(name, "anyhow", None), f));
        assert_eq!(found("headgate-store"), ["crates/store/Cargo.toml:anyhow"]);
        assert!(found("headgate-app").is_empty() && found("xtask").is_empty());
    }

    #[test]
    fn a_crate_that_the_map_forgets_is_found() {
        let crates = ["crates/core".to_string(), "crates/new".to_string()];
        let found = rules(|f| code_map(&crates, "`crates/core` decides", f));
        assert_eq!(found, ["ARCHITECTURE.md:map"]);
    }

    #[test]
    fn a_crate_without_the_house_lints_is_found() {
        assert_eq!(rules(|f| house_lints("a", "[package]\n", f)), ["a/Cargo.toml:lints"]);
        assert!(rules(|f| house_lints("a", "[lints]\nworkspace = true\n", f)).is_empty());
    }

    #[test]
    fn a_clippy_file_that_forgets_the_house_is_found() {
        let whole = CLIPPY_REPEATS.join("\n");
        assert!(rules(|f| clippy_file("a", Some(&whole), f)).is_empty());
        assert_eq!(rules(|f| clippy_file("a", None, f)).len(), 2);
        let half = rules(|f| clippy_file("a", Some(CLIPPY_REPEATS[0]), f));
        assert_eq!(half, ["a/clippy.toml:clippy"]);
    }
}

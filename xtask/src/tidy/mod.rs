//! The house rules that rustfmt, clippy and cargo-deny do not know.
//!
//! Each rule says `file:line: rule: mend` and has a test that shows it can fail.

mod manifest;
mod mask;
mod text;

use anyhow::{Context, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// One broken rule: where, which, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Path below the root.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// The rule's short name.
    pub rule: &'static str,
    /// What to do.
    pub mend: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.rule, self.mend)
    }
}

/// Folders that hold what was made, not what was written.
const SKIPPED: [&str; 6] =
    ["target", ".git", "headgate-data", "node_modules", "__pycache__", "proptest-regressions"];

/// Kinds of file that are read; anything else is data.
const KINDS: [&str; 13] =
    ["rs", "toml", "md", "js", "mjs", "py", "css", "html", "sh", "service", "lock", "json", "run"];

/// Most files a tree may hold before this task stops making sense.
const FILES_MAX: usize = 20_000;

/// All faults of the tree at `root`, in order of file and line.
pub fn check(root: &Path) -> Result<Vec<Fault>> {
    let mut files = Vec::new();
    walk(root, root, &mut files)?;
    files.sort();
    let mut faults = Vec::new();
    for file in &files {
        let path = root.join(file);
        let bytes = std::fs::read(&path).with_context(|| format!("failed to read {file}"))?;
        match String::from_utf8(bytes) {
            Ok(body) => text::check(file, &body, &mut faults),
            Err(_) => faults.push(Fault {
                file: file.clone(),
                line: 1,
                rule: "text",
                mend: "save it as UTF-8".into(),
            }),
        }
    }
    manifest::check(root, &files, &mut faults)?;
    faults.sort();
    Ok(faults)
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<()> {
    let listing = std::fs::read_dir(folder)
        .with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in listing {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                walk(root, &path, files)?;
            }
        } else if entry.file_type()?.is_file() && is_text(&path) {
            let below = path.strip_prefix(root).expect("the walk stays below the root");
            files.push(below.to_string_lossy().into_owned());
            anyhow::ensure!(files.len() <= FILES_MAX, "more than {FILES_MAX} files to read");
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    let kind = path.extension().or(path.file_name()).map(|e| e.to_string_lossy().into_owned());
    kind.is_some_and(|k| KINDS.contains(&k.as_str()))
}

/// The source files of one crate that no `mod` leads to.
fn orphans(files: &[String], body: impl Fn(&str) -> Option<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|f| f.contains("/src/") && f.ends_with(".rs")) {
        let path = PathBuf::from(file);
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let name = if stem == "mod" {
            path.parent()
                .and_then(Path::file_name)
                .map(|s| s.to_string_lossy().into_owned())
                .unwrap_or_default()
        } else {
            stem
        };
        if ["main", "lib", "src"].contains(&name.as_str()) || file.contains("/src/bin/") {
            continue;
        }
        let (home, _) = file.split_once("/src/").expect("filtered just now");
        let told = files
            .iter()
            .filter(|f| f.starts_with(&format!("{home}/src/")) && f.ends_with(".rs"))
            .filter_map(|f| body(f))
            .any(|text| {
                let text = mask::code(&text);
                text.lines().any(|l| {
                    let l = l.trim_start().trim_start_matches("pub ");
                    let l = l.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
                    l.strip_prefix("mod ")
                        .is_some_and(|m| m.trim_end_matches([';', '{', ' ', '}']).trim() == name)
                })
            });
        if !told {
            faults.push(Fault {
                file: file.clone(),
                line: 1,
                rule: "orphan",
                mend: format!("say `mod {name};` in its parent, or delete the file"),
            });
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree itself is tidy.
    #[test]
    fn tidy() {
        let faults = check(&crate::root()).expect("the tree can be read");
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), lines.join("\n"));
    }

    #[test]
    fn an_orphan_is_found() {
        let files = ["c/src/lib.rs", "c/src/told.rs", "c/src/lost.rs", "c/src/deep/mod.rs"];
        let files: Vec<String> = files.iter().map(ToString::to_string).collect();
        let body = |f: &str| {
            let text = match f {
                "c/src/lib.rs" => "pub mod told;\npub(crate) mod deep;\n// mod lost;\n",
                _ => "",
            };
            Some(text.to_string())
        };
        let faults = orphans(&files, body);
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            ["c/src/lost.rs:1: orphan: say `mod lost;` in its parent, or delete the file"]
        );
    }
}

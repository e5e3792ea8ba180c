//! Rules that need nothing but one file's text.

use super::Fault;
use super::mask;

/// Most lines a source file may have.
const LINES_MAX: usize = 600;
/// Most columns a line of Rust may have.
const COLUMNS_MAX: usize = 100;

/// Calls that say "not yet"; they never reach the main branch.
const UNFINISHED: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];
/// Words that bring floats into the core.
const FLOATS: [&str; 2] = ["f32", "f64"];
/// Words that bring chance into the core.
const CHANCE: [&str; 5] = ["rand", "thread_rng", "getrandom", "fastrand", "RandomState"];
/// Beginnings of paths and names that are true on one machine only. Written in two halves, so
/// that this file does not break its own rule.
const MACHINES: [&str; 9] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tm", "p/w/"),
    concat!("index.crat", "es.io"),
    concat!("static.crat", "es.io"),
    concat!("pypi", ".org"),
    concat!("registry.npm", "js.org"),
];
/// The invented person whose home a test may speak of.
const INVENTED: &str = "ann";

/// Adds every fault of one file.
pub fn check(file: &str, body: &str, faults: &mut Vec<Fault>) {
    let mut add = |line: usize, rule: &'static str, mend: &str| {
        faults.push(Fault { file: file.into(), line, rule, mend: mend.into() });
    };
    let kind = file.rsplit('.').next().unwrap_or_default();
    if kind == "lock" {
        forbidden_crates(body, &mut add);
        return;
    }
    machine_names(body, &mut add);
    if is_made(file, body) {
        return;
    }
    if ["rs", "js", "mjs", "py", "css"].contains(&kind) {
        length(body, &mut add);
    }
    if kind != "json" {
        blanks(body, &mut add);
    }
    if kind == "rs" {
        let code = mask::code(body);
        shape(body, &code, &mut add);
        words(&code, &UNFINISHED, &mut add, "unfinished", "finish it, or leave it out");
        escapes(&code, &mut add);
        if file.starts_with("crates/core/src/") {
            words(&code, &FLOATS, &mut add, "float", "use an integer newtype of `core::units`");
            words(&code, &CHANCE, &mut add, "chance", "the core has no randomness: take a seed in");
            float_literals(&code, &mut add);
        }
    }
}

/// Whether a file is made by a program or holds expected output.
fn is_made(file: &str, body: &str) -> bool {
    let folder = |name: &str| file.split('/').any(|part| part == name);
    let first = body.lines().next().unwrap_or_default();
    ["golden", "goldens", "snapshots", "fixtures", "vendor"].iter().any(|n| folder(n))
        || first.contains("@generated")
}

type Add<'a> = dyn FnMut(usize, &'static str, &str) + 'a;

fn length(body: &str, add: &mut Add) {
    let lines = body.lines().count();
    if lines > LINES_MAX {
        add(lines, "length", &format!("{lines} lines; split it, {LINES_MAX} is the most"));
    }
}

fn blanks(body: &str, add: &mut Add) {
    for (i, line) in body.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            add(i + 1, "blanks", "delete the blanks at the line's end");
        }
    }
    if !body.is_empty() && (!body.ends_with('\n') || body.ends_with("\n\n")) {
        add(body.lines().count(), "blanks", "end the file with exactly one newline");
    }
}

fn shape(body: &str, code: &str, add: &mut Add) {
    for (i, (line, code)) in body.lines().zip(code.lines()).enumerate() {
        let columns = line.chars().count();
        // What a golden expects stands as it is printed: text that begins on the line, or that the
        // line lies wholly inside of.
        let inside = code.trim().is_empty() && !line.trim_start().starts_with("//");
        let is_golden = inside || line.contains("@\"") || line.contains("@r");
        if columns > COLUMNS_MAX && !is_golden {
            add(i + 1, "columns", &format!("{columns} columns; {COLUMNS_MAX} is the most"));
        }
    }
    for (i, line) in code.lines().enumerate() {
        if line.contains('\t') {
            add(i + 1, "tab", "indent with spaces; run `cargo fmt`");
        }
    }
}

fn machine_names(body: &str, add: &mut Add) {
    for (i, line) in body.lines().enumerate() {
        for name in MACHINES {
            let invented = format!("{name}{INVENTED}");
            if line.replace(&invented, "").contains(name) {
                add(i + 1, "machine", &format!("{name} is true on one machine only: leave it out"));
            }
        }
    }
}

/// Finds whole words of code; a word that ends in `!` is a macro.
fn words(code: &str, list: &[&str], add: &mut Add, rule: &'static str, mend: &str) {
    for (i, line) in code.lines().enumerate() {
        for word in list {
            if has_word(line, word) {
                add(i + 1, rule, &format!("`{word}`: {mend}"));
            }
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        // A digit may stand before a suffix: `1f64` is a float too.
        !before.is_some_and(|c| part_of_word(c) && !c.is_ascii_digit())
            && (word.ends_with('!') || !after.is_some_and(part_of_word))
    })
}

/// A literal like `0.5`; a field of a tuple in a tuple, `x.0.1`, is none.
fn float_literals(code: &str, add: &mut Add) {
    for (i, line) in code.lines().enumerate() {
        let chars: Vec<char> = line.chars().collect();
        let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
        let found = (1..chars.len()).any(|at| {
            if chars[at] != '.' || !digit(at - 1) || !digit(at + 1) {
                return false;
            }
            let start = (0..at).rev().find(|&n| !digit(n) && chars[n] != '_');
            start.is_none_or(|n| chars[n] != '.' && !chars[n].is_alphanumeric())
        });
        if found {
            add(i + 1, "float", "a float literal: use an integer in the smallest useful unit");
        }
    }
}

/// Every switched-off lint and test says why.
fn escapes(code: &str, add: &mut Add) {
    for (at, _) in code.match_indices("#[").chain(code.match_indices("#![")) {
        let open = at + code[at..].find('[').expect("matched just now");
        let Some(length) = attribute(&code[open..]) else { continue };
        let text = &code[open + 1..open + length];
        let text = text.trim_start();
        let line = code[..at].matches('\n').count() + 1;
        let is = |name: &str| text.starts_with(name) && text[name.len()..].trim_start() != "";
        if (is("allow(") || is("expect(")) && !has_word(text, "reason") {
            add(line, "escape", "a lint that is switched off says why: add `reason = \"...\"`");
        }
        if text.trim_end() == "ignore" {
            add(line, "escape", "a test that is left out says why: `#[ignore = \"...\"]`");
        }
    }
}

/// Length of an attribute up to the bracket that closes it.
fn attribute(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Crates whose licence or provenance keeps them out, whatever asks for them.
const FORBIDDEN: [&str; 2] = ["dnp3", "rodbus"];

fn forbidden_crates(body: &str, add: &mut Add) {
    for (i, line) in body.lines().enumerate() {
        for name in FORBIDDEN {
            if line.trim() == format!("name = \"{name}\"") {
                add(
                    i + 1,
                    "forbidden",
                    &format!("{name} may not be built in: find who asks for it"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(file: &str, body: &str, expect: &[&str]) {
        let mut faults = Vec::new();
        check(file, body, &mut faults);
        let lines: Vec<String> = faults.iter().map(|f| format!("{}:{}", f.line, f.rule)).collect();
        assert_eq!(lines, expect, "{faults:#?}");
    }

    #[test]
    fn long_files_and_lines_are_found() {
        let long = "x;\n".repeat(601);
        check_one("a.rs", &long, &["601:length"]);
        check_one("a.js", &long, &["601:length"]);
        check_one("a.md", &long, &[]);
        check_one("tests/golden/a.js", &long, &[]);
        check_one("a.css", &format!("/* @generated */\n{long}"), &[]);
        check_one("a.rs", &"x;\n".repeat(600), &[]);
        check_one("a.rs", &format!("// {}\n", "é".repeat(98)), &["1:columns"]);
        check_one("a.rs", &format!("// {}\n", "é".repeat(97)), &[]);
        check_one("a.rs", &format!("assert_snapshot!(x, @\"{}\");\n", "é".repeat(98)), &[]);
    }

    #[test]
    fn blanks_and_tabs_are_found() {
        check_one("a.md", "a \nb\t\nc\n", &["1:blanks", "2:blanks"]);
        check_one("a.toml", "a = 1\r\n", &["1:blanks"]);
        check_one("a.toml", "a = 1", &["1:blanks"]);
        check_one("a.toml", "a = 1\n\n", &["2:blanks"]);
        check_one("a.rs", "\tx;\n", &["1:tab"]);
        check_one("a.rs", "let t = \"\ta\";\n", &[]);
    }

    #[test]
    fn unfinished_work_is_found_in_code_only() {
        check_one("a.rs", "todo!()\n", &["1:unfinished"]);
        check_one("a.rs", "x;\nunimplemented!(\"y\")\n", &["2:unfinished"]);
        check_one("a.rs", "dbg!(x)\n", &["1:unfinished"]);
        check_one("a.rs", "// todo!()\nlet s = \"dbg!(x)\"; my_dbg!(x)\n", &[]);
    }

    #[test]
    fn floats_and_chance_are_found_in_the_core_only() {
        let float = "fn f(x: f64) -> f32 { x }\n";
        check_one("crates/core/src/a.rs", float, &["1:float", "1:float"]);
        check_one("crates/core/src/a.rs", "let x = 1f64;\n", &["1:float"]);
        check_one("crates/core/src/a.rs", "let x = 2 * 0.5;\n", &["1:float"]);
        check_one("crates/core/src/a.rs", "let x = y.0.1; // 0.5\nfor i in 0..5 {}\n", &[]);
        check_one("crates/core/src/a.rs", "use rand::Rng;\n", &["1:chance"]);
        check_one("crates/core/src/a.rs", "thread_rng()\n", &["1:chance"]);
        check_one("crates/sim/src/a.rs", float, &[]);
    }

    #[test]
    fn names_of_one_machine_are_found() {
        for name in MACHINES {
            check_one("a.md", &format!("see {name}x\n"), &["1:machine"]);
        }
        check_one("a.md", "see /var/lib/headgate\n", &[]);
        let homes = [concat!("/ho", "me/ann:"), concat!("/ho", "me/bob:")];
        check_one("a.md", &format!("{}\n{}\n", homes[0], homes[1]), &["2:machine"]);
    }

    #[test]
    fn an_escape_without_a_reason_is_found() {
        check_one("a.rs", "#[allow(dead_code)]\n", &["1:escape"]);
        check_one("a.rs", "x;\n#![expect(\n  clippy::x,\n)]\n", &["2:escape"]);
        check_one("a.rs", "#[expect(clippy::x, reason = \"the shell reads clocks\")]\n", &[]);
        check_one("a.rs", "#[ignore]\n", &["1:escape"]);
        check_one("a.rs", "#[ignore = \"takes an hour\"]\n", &[]);
        check_one("a.rs", "#[derive(Debug)]\n", &[]);
    }

    #[test]
    fn forbidden_crates_are_found() {
        let lock = "[[package]]\nname = \"dnp3\"\n\n[[package]]\nname = \"rodbus\"\n";
        check_one("Cargo.lock", lock, &["2:forbidden", "5:forbidden"]);
        check_one("Cargo.lock", "[[package]]\nname = \"serde\"\n", &[]);
    }
}

//! The command line is a contract: what `--help` says changes only on purpose.

use crate::common::{headgate, run};

/// Every command with a help text of its own.
const COMMANDS: [&[&str]; 28] = [
    &[],
    &["demo"],
    &["run"],
    &["check"],
    &["explain"],
    &["status"],
    &["hold"],
    &["release"],
    &["stop"],
    &["fleet"],
    &["fleet", "curtail"],
    &["fleet", "resume"],
    &["replay"],
    &["settle"],
    &["plan"],
    &["train"],
    &["backtest"],
    &["sweep"],
    &["prices"],
    &["prices", "import"],
    &["prices", "show"],
    &["prices", "list"],
    &["journal"],
    &["journal", "verify"],
    &["simfarm"],
    &["completions"],
    &["man"],
    &["help"],
];

#[test]
fn every_command_says_what_it_does() {
    let mut text = String::new();
    for command in COMMANDS.iter().filter(|c| **c != ["help"]) {
        let said = headgate().args(*command).arg("--help").output().unwrap();
        assert!(said.status.success(), "{command:?}");
        let help = String::from_utf8(said.stdout).unwrap();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        text += &format!("=== headgate {} ===\n{}\n\n", command.join(" "), lines.join("\n"));
    }
    insta::assert_snapshot!("help", text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn the_list_of_commands_is_whole() {
    let top = run(&["--help"]).ok().out;
    let list = top.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    for line in list.lines().filter(|l| l.starts_with("  ") && !l.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        assert!(COMMANDS.iter().any(|c| c.first() == Some(&name)), "`{name}` has no golden");
    }
}

#[test]
fn completions_and_the_manual_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let said = run(&["completions", shell]).ok();
        assert!(said.out.contains("simfarm") && said.out.contains("explain"), "{shell}");
    }
    let manual = run(&["man"]).ok().out;
    assert!(manual.contains(".TH") && manual.contains("explain"), "{manual}");
    let version = run(&["--version"]).ok().out;
    assert_eq!(version.trim(), format!("headgate {}", env!("CARGO_PKG_VERSION")));
}

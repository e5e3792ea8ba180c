//! The programs that stages need besides cargo: found, or installed where that is allowed.

use crate::process::{self, Show};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longest time one installation may take.
const INSTALL_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest time a look for a tool may take.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// The release of cargo-deny that is installed where none is found.
const DENY_VERSION: &str = "0.20.2";

/// A program and the Debian package that brings it.
const PACKAGES: [(&str, &str); 6] = [
    ("cc", "gcc"),
    ("git", "git"),
    ("ip", "iproute2"),
    ("python3", "python3"),
    ("unshare", "util-linux"),
    ("valgrind", "valgrind"),
];

/// What was found.
#[derive(Debug, Default)]
pub struct Tools {
    /// Counts instructions.
    pub valgrind: bool,
    /// How to run a program in a network namespace of its own; `None` where that is not allowed.
    pub namespace: Option<Vec<&'static str>>,
    /// A Python that has the foreign clients.
    pub python: Option<PathBuf>,
    /// The cargo-deny to use.
    pub deny: Option<PathBuf>,
}

impl Tools {
    /// Looks, and installs nothing.
    pub fn find(target: &Path) -> Self {
        let own = target.join("tools/bin/cargo-deny");
        let deny = match process::on_path("cargo-deny") {
            true => Some(PathBuf::from("cargo-deny")),
            false => own.is_file().then_some(own),
        };
        Self {
            valgrind: process::on_path("valgrind"),
            namespace: namespace(),
            python: has_clients(target).then(|| venv(target).join("bin/python")),
            deny,
        }
    }
}

/// Installs what is missing. What cannot be is told, and its stage will be skipped by name.
pub fn install(target: &Path) -> Result<Tools> {
    if let Some(packages) = missing_packages() {
        println!("installing {}", packages.join(" "));
        apt(&packages);
    }
    if !has_clients(target) {
        println!("installing the foreign clients into {}", venv(target).display());
        python_clients(target);
    }
    if Tools::find(target).deny.is_none() {
        println!("installing cargo-deny {DENY_VERSION}");
        cargo_deny(target);
    }
    let tools = Tools::find(target);
    println!("valgrind: {}", told(tools.valgrind));
    println!("network namespace: {}", told(tools.namespace.is_some()));
    println!("foreign clients: {}", told(tools.python.is_some()));
    println!("cargo-deny: {}", told(tools.deny.is_some()));
    Ok(tools)
}

fn told(there: bool) -> &'static str {
    if there { "there" } else { "NOT THERE" }
}

fn quiet(command: &mut Command) -> bool {
    let command = command.stderr(std::process::Stdio::null());
    process::run(command, LOOK_MAX, Show::No).is_ok_and(|d| d.ok())
}

/// Runs an installer; a failure is shown and lived with.
fn try_install(what: &str, command: &mut Command) -> bool {
    match process::run(command, INSTALL_MAX, Show::No) {
        Ok(done) if done.ok() => true,
        Ok(done) => {
            eprintln!("failed to install {what}: {}\n{}", done.fault(), done.out.trim_end());
            false
        }
        Err(error) => {
            eprintln!("failed to install {what}: {error:#}");
            false
        }
    }
}

fn missing_packages() -> Option<Vec<&'static str>> {
    let mut packages: Vec<&str> =
        PACKAGES.iter().filter(|(bin, _)| !process::on_path(bin)).map(|(_, p)| *p).collect();
    if !quiet(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        packages.push("python3-venv");
    }
    (!packages.is_empty()).then_some(packages)
}

fn apt(packages: &[&str]) {
    let root = quiet(Command::new("sh").args(["-c", "test \"$(id -u)\" = 0"]));
    let apt_get = |args: &[&str]| {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            command.args(["-n", "apt-get"]);
        }
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    // An old list of packages may still do: a failure here shows in the next step.
    try_install("the list of packages", &mut apt_get(&["update", "-qq"]));
    let args = [&["install", "-y", "-qq"], packages].concat();
    try_install(&packages.join(" "), &mut apt_get(&args));
}

fn namespace() -> Option<Vec<&'static str>> {
    let ways: [&[&str]; 2] = [&["unshare", "-n"], &["unshare", "-r", "-n"]];
    let works = |way: &&&[&str]| {
        let mut command = Command::new(way[0]);
        quiet(command.args(&way[1..]).args(["ip", "link", "set", "lo", "up"]))
    };
    ways.iter().find(works).map(|way| way.to_vec())
}

fn venv(target: &Path) -> PathBuf {
    target.join("oracles-venv")
}

fn requirements() -> PathBuf {
    crate::root().join("contrib/oracles/requirements.txt")
}

/// The stamp is written last, and holds what was asked for.
fn has_clients(target: &Path) -> bool {
    let asked = std::fs::read(requirements()).ok();
    asked.is_some() && asked == std::fs::read(venv(target).join("requirements.stamp")).ok()
}

fn python_clients(target: &Path) {
    let folder = venv(target);
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    let mut fill = Command::new(folder.join("bin/python"));
    fill.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    fill.arg(requirements());
    if try_install("a Python environment", &mut make) && try_install("pip packages", &mut fill) {
        let stamp = std::fs::copy(requirements(), folder.join("requirements.stamp"));
        if let Err(error) = stamp {
            eprintln!("failed to note what was installed: {error}");
        }
    }
}

fn cargo_deny(target: &Path) {
    let mut command =
        process::cargo(&["install", "cargo-deny", "--locked", "--quiet", "--version"]);
    command.arg(DENY_VERSION).arg("--root").arg(target.join("tools"));
    command.env_remove("CARGO_TARGET_DIR").env("CARGO_INCREMENTAL", "0");
    // It is run once: a quick build is worth more than a quick program.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    try_install("cargo-deny", &mut command);
}

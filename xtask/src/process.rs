//! Runs other programs: shows what they say, keeps it, and stops them at a limit.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often a running program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a program ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All it wrote to its standard output.
    pub out: String,
    /// How long it took.
    pub took: Duration,
    /// Whether it was ended because its limit was used up.
    pub timed_out: bool,
}

impl Done {
    /// Whether it ended well.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// One phrase for a report: how it ended, when not well.
    pub fn fault(&self) -> String {
        match self.code {
            _ if self.timed_out => format!("no end after {} s", self.took.as_secs()),
            Some(code) => format!("exit code {code}"),
            None => "ended by a signal".into(),
        }
    }
}

/// What becomes of a program's standard output, besides being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// It is passed on.
    Yes,
    /// It is not shown.
    No,
}

/// Runs a program without standard input until it ends, at most for `limit`.
pub fn run(command: &mut Command, limit: Duration, show: Show) -> Result<Done> {
    let name = command.get_program().to_string_lossy().into_owned();
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {name}"))?;
    let pipe = child.stdout.take().expect("the output was piped just now");
    let reader = std::thread::spawn(move || drain(pipe, show));
    let timed_out = !wait(&mut child, started, limit)?;
    if timed_out {
        end_tree(child.id());
    }
    let status = child.wait().with_context(|| format!("failed to wait for {name}"))?;
    let out = reader.join().expect("reading a pipe does not panic");
    Ok(Done { code: status.code(), out, took: started.elapsed(), timed_out })
}

fn drain(pipe: impl std::io::Read, show: Show) -> String {
    let mut all = String::new();
    let mut lines = BufReader::new(pipe);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line);
        if show == Show::Yes {
            print!("{text}");
        }
        all.push_str(&text);
        line.clear();
    }
    all
}

/// Whether the program ended by itself within its limit.
fn wait(child: &mut Child, started: Instant, limit: Duration) -> Result<bool> {
    while started.elapsed() < limit {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(false)
}

/// Ends a program that was started here, and all that it started, by their ids.
fn end_tree(id: u32) {
    let mut ids = vec![id];
    let parents = parents();
    let mut at = 0;
    while at < ids.len() {
        let parent = ids[at];
        ids.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(child, _)| *child));
        at += 1;
    }
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    // What has ended meanwhile is a complaint of `kill`, and none of ours.
    let _ = Command::new("kill").arg("-KILL").args(&ids).stderr(Stdio::null()).status();
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(listing) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = listing.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in brackets may hold blanks; after it come the state and the parent.
        let (_, rest) = stat.rsplit_once(") ")?;
        Some((id, rest.split(' ').nth(1)?.parse().ok()?))
    })
    .collect()
}

/// Whether a program of this name is to be found.
pub fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Cargo, as it was started; the same tool chain all the way down.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(args).current_dir(crate::root());
    command
}

/// The folder that cargo builds into.
pub fn target() -> Result<std::path::PathBuf> {
    let args = ["metadata", "--format-version=1", "--no-deps", "--offline"];
    let done = run(&mut cargo(&args), Duration::from_secs(60), Show::No)?;
    let metadata: serde_json::Value = serde_json::from_str(&done.out)
        .with_context(|| format!("failed to read the workspace: {}", done.fault()))?;
    let folder = metadata["target_directory"].as_str().context("no target folder is told")?;
    Ok(folder.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Done {
        run(Command::new("sh").args(["-c", script]), limit, Show::No).expect("a shell starts")
    }

    #[test]
    fn output_and_exit_code_are_kept() {
        let done = sh("echo one; echo two; exit 3", Duration::from_secs(30));
        assert_eq!((done.out.as_str(), done.code), ("one\ntwo\n", Some(3)));
        assert_eq!(done.fault(), "exit code 3");
    }

    /// Where a grandchild survived, reading its output would take ten minutes.
    #[test]
    fn a_limit_ends_the_grandchildren_too() {
        let done = sh("sh -c 'echo up; sleep 600' & wait", Duration::from_millis(500));
        assert!(done.timed_out && !done.ok());
        assert_eq!(done.out, "up\n");
    }
}

//! `cargo xtask campaign NAME`: long searches for trouble, run small on every test run.

use crate::process::{self, Show};
use crate::rng::{Rng, fresh_seed};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// All campaigns.
pub const NAMES: [&str; 1] = ["kills"];

/// Kills of a whole campaign.
const KILLS_WHOLE: u64 = 200;
/// Kills on every test run.
pub const KILLS_SMALL: u64 = 6;

/// Longest time a daemon may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);
/// Longest time a question to a daemon or a journal may take.
const ASK_MAX: Duration = Duration::from_secs(120);
/// How often a starting daemon is asked.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Shortest and longest life of a daemon, from its start.
const LIFE_MS: (u64, u64) = (50, 5_000);
/// One kill in so many comes without waiting for an answer: also while it starts and recovers.
const EARLY_ONE_IN: u64 = 3;

/// The exit code of a check that found something.
const VIOLATION: i32 = 5;

/// Runs the campaign asked for; whether it found nothing.
pub fn task(args: &[&str]) -> Result<bool> {
    let Some((name, options)) = args.split_first() else {
        bail!("usage: cargo xtask campaign {} [--small] [--seed N]", NAMES.join("|"));
    };
    let (mut rounds, mut seed) = (KILLS_WHOLE, fresh_seed());
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        match *option {
            "--small" => rounds = KILLS_SMALL,
            "--seed" => {
                let text = rest.next().context("--seed needs a number")?;
                seed = text.parse().with_context(|| format!("`{text}` is no seed"))?;
            }
            other => bail!("`{other}` is no option of campaign"),
        }
    }
    ensure!(*name == "kills", "`{name}` is no campaign; there are {}", NAMES.join(", "));
    let build = process::cargo(&["build", "--locked", "--release"]).status()?;
    ensure!(build.success(), "failed to build headgate");
    let faults = kills(&process::target()?, rounds, seed)?;
    faults.iter().for_each(|fault| println!("{fault}"));
    println!("kills: {rounds} kills, {} faults, seed {seed}", faults.len());
    Ok(faults.is_empty())
}

/// Kills a running day again and again on one journal, and looks at the journal after each kill.
pub fn kills(target: &Path, rounds: u64, seed: u64) -> Result<Vec<String>> {
    println!("kills: {rounds} rounds, repeat with `cargo xtask campaign kills --seed {seed}`");
    let folder = target.join("kills").join(seed.to_string());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("failed to clear an old campaign")?;
    }
    std::fs::create_dir_all(&folder).context("failed to make the campaign's folder")?;
    let gate = Gate { program: target.join("release/headgate"), folder, seed };
    let mut rng = Rng::new(seed);
    let mut told = 0;
    for round in 1..=rounds {
        let early = rng.below(EARLY_ONE_IN) == 0;
        let life = Duration::from_millis(LIFE_MS.0 + rng.below(LIFE_MS.1 - LIFE_MS.0));
        let seen = gate.live(round, life, early)?;
        told = told.max(seen.unwrap_or(0));
        let kept = match gate.verify() {
            Ok(kept) => kept,
            // Killed before the first segment was there: nothing was told either.
            Err(_) if told == 0 => 0,
            Err(error) => return Ok(vec![gate.fault(round, &format!("{error:#}"))]),
        };
        println!("round {round}: killed after {life:?}, event {told} was told, {kept} is kept");
        if kept < told {
            return Ok(vec![gate.fault(round, &format!("event {told} was told, {kept} is kept"))]);
        }
    }
    if told == 0 {
        return Ok(vec![gate.fault(rounds, "no daemon lived long enough to tell anything")]);
    }
    match gate.replay() {
        Ok(()) => {
            std::fs::remove_dir_all(&gate.folder).context("failed to clear the campaign")?;
            Ok(Vec::new())
        }
        Err(error) => Ok(vec![gate.fault(rounds, &format!("{error:#}"))]),
    }
}

/// The program under test with its data.
struct Gate {
    program: PathBuf,
    folder: PathBuf,
    seed: u64,
}

impl Gate {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where the demo keeps the journal of its first day; a life is far too short for a second.
    fn journal(&self) -> PathBuf {
        self.data().join("day-0")
    }

    /// A fault with all that is needed to look at it.
    fn fault(&self, round: u64, what: &str) -> String {
        format!("seed {}, round {round}: {what}; see {}", self.seed, self.folder.display())
    }

    /// Starts it, lets it live, kills it; the newest event it told of.
    fn live(&self, round: u64, life: Duration, early: bool) -> Result<Option<u64>> {
        let log = File::create(self.folder.join(format!("round-{round}.log")))?;
        let mut child = Command::new(&self.program)
            .args(["demo", "--seed", &self.seed.to_string(), "--data"])
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("failed to start headgate")?;
        let seen = self.watch(&mut child, life, early);
        // SIGKILL: no handler runs, nothing is flushed.
        child.kill().context("failed to kill headgate")?;
        child.wait()?;
        seen
    }

    fn watch(&self, child: &mut Child, life: Duration, early: bool) -> Result<Option<u64>> {
        let started = Instant::now();
        while !early && self.status().is_none() {
            ensure!(started.elapsed() < START_MAX, "no answer in {} s", START_MAX.as_secs());
            if let Some(status) = child.try_wait()? {
                bail!("headgate ended by itself, {status}");
            }
            std::thread::sleep(ASK_EVERY);
        }
        std::thread::sleep(life);
        Ok(if early { None } else { self.status() })
    }

    /// The place in the journal that the daemon vouches for.
    fn status(&self) -> Option<u64> {
        let out = self.ask(&["status", "--format", "json"]).ok()?;
        out["seq"].as_u64()
    }

    /// The last place in the journal, once all of it has been checked. A torn end is what a kill
    /// may leave; any other damage is a fault.
    fn verify(&self) -> Result<u64> {
        let mut command = Command::new(&self.program);
        command.args(["journal", "verify", "--format", "json", "--data"]).arg(self.journal());
        let done = process::run(&mut command, ASK_MAX, Show::No)?;
        let verdict: Value = serde_json::from_str(&done.out)
            .with_context(|| format!("journal verify told no JSON, {}", done.fault()))?;
        let is_torn_only = done.code == Some(VIOLATION)
            && verdict["damage"].as_array().is_some_and(Vec::is_empty)
            && !verdict["torn"].is_null();
        ensure!(done.ok() || is_torn_only, "the journal is damaged, {}: {verdict}", done.fault());
        verdict["last_seq"].as_u64().context("journal verify tells no last_seq")
    }

    /// Runs all that was journaled through the engine again.
    fn replay(&self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("replay").arg(self.journal());
        let done = process::run(&mut command, ASK_MAX, Show::Yes)?;
        ensure!(done.ok(), "the replay differs, {}", done.fault());
        Ok(())
    }

    fn ask(&self, args: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--data").arg(self.journal()).stderr(Stdio::null());
        let done = process::run(&mut command, ASK_MAX, Show::No)?;
        ensure!(done.ok(), "failed to run {}: {}", args.join(" "), done.fault());
        serde_json::from_str(&done.out).with_context(|| format!("{} told no JSON", args.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// What the campaign makes of a stand-in for headgate that tells of event 42, and whose
    /// journal and replay answer with this script.
    fn campaign(name: &str, journal: &str, replay: &str) -> Vec<String> {
        let target = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        let program = target.join("release/headgate");
        std::fs::create_dir_all(target.join("release")).unwrap();
        let script = format!(
            "#!/bin/sh\ncase $1 in\n demo) exec sleep 600;;\n status) echo '{{\"seq\": 42}}';;\n\
             journal) {journal};;\n replay) {replay};;\nesac\n"
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        // With this seed the first daemon is asked before it is killed, and lives shortly.
        let seed = (0..).find(|&s| {
            let mut rng = Rng::new(s);
            rng.below(EARLY_ONE_IN) != 0 && rng.below(LIFE_MS.1 - LIFE_MS.0) < 100
        });
        let faults = kills(&target, 1, seed.unwrap()).unwrap();
        std::fs::remove_dir_all(&target).unwrap();
        faults
    }

    const WHOLE: &str = r#"echo '{"last_seq": 42, "torn": null, "damage": []}'"#;

    #[test]
    fn a_journal_that_keeps_what_was_told_passes() {
        assert_eq!(campaign("keeps", WHOLE, "exit 0"), [""; 0]);
        let torn = r#"echo '{"last_seq": 42, "torn": {"offset": 9}, "damage": []}'; exit 5"#;
        assert_eq!(campaign("torn", torn, "exit 0"), [""; 0]);
    }

    #[test]
    fn a_lost_event_damage_and_a_different_replay_are_found() {
        let check = |name, journal, replay, expect| {
            let faults = campaign(name, journal, replay);
            assert!(faults[0].contains(expect), "{faults:?}");
        };
        let lost = r#"echo '{"last_seq": 41, "torn": null, "damage": []}'"#;
        check("loses", lost, "exit 0", "round 1: event 42 was told, 41 is kept");
        let flipped = r#"echo '{"last_seq": 42, "torn": {}, "damage": [{"offset": 9}]}'; exit 5"#;
        check("flipped", flipped, "exit 0", "the journal is damaged, exit code 5");
        check("fails", "exit 1", "exit 0", "journal verify told no JSON, exit code 1");
        check("differs", WHOLE, "exit 5", "the replay differs, exit code 5");
    }

    #[test]
    fn an_unknown_campaign_is_refused_with_the_known_ones() {
        let error = task(&["naps"]).unwrap_err().to_string();
        assert_eq!(error, "`naps` is no campaign; there are kills");
    }
}

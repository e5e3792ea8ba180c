//! `cargo xtask test`: the stages of CI, in order, each with its time and its outcome.

use crate::count::Counts;
use crate::process::{self, Show};
use crate::tools::{self, Tools};
use crate::{bench, campaign, demo, tidy};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest time one build or test run may take.
const BUILD_MAX: Duration = Duration::from_secs(25 * 60);
/// Longest time one day of the demo may take before it counts as hung.
const DEMO_MAX: Duration = Duration::from_secs(5 * 60);
/// Longest time the foreign clients may take.
const ORACLES_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest time the small checks may take.
const CHECK_MAX: Duration = Duration::from_secs(5 * 60);

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
    /// Left out for want of data that the repository may not hold; no failure anywhere.
    Absent(String),
}

/// What stages share.
struct Context {
    target: PathBuf,
    tools: Tools,
    tests: Counts,
}

struct Stage {
    name: &'static str,
    run: fn(&mut Context) -> Result<Outcome>,
    /// Whether nothing after it makes sense once it failed.
    stops: bool,
}

const fn stage(name: &'static str, run: fn(&mut Context) -> Result<Outcome>) -> Stage {
    Stage { name, run, stops: false }
}

/// Checks and tests share the debug build, the rest shares one release build; so nothing is
/// compiled twice in one profile.
const STAGES: [Stage; 14] = [
    stage("tools", install),
    stage("fmt", fmt),
    stage("tidy", tidy_stage),
    stage("clippy", clippy),
    Stage { name: "build", run: build, stops: true },
    stage("test", test),
    stage("doc", doc),
    stage("deny", deny),
    Stage { name: "release", run: release, stops: true },
    stage("demo", demo_stage),
    stage("captures", captures),
    stage("oracles", oracles),
    stage("kills", kills),
    stage("budget", budget),
];

/// Runs the stages asked for; whether all is well.
pub fn task(args: &[&str]) -> Result<bool> {
    let (mut only, mut skip) = (Vec::new(), Vec::new());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let list = match *arg {
            "--list" => {
                STAGES.iter().for_each(|s| println!("{}", s.name));
                return Ok(true);
            }
            "--only" => &mut only,
            "--skip" => &mut skip,
            other => bail!("`{other}` is no option of test"),
        };
        let names = rest.next().with_context(|| format!("{arg} needs names of stages"))?;
        for name in names.split(',') {
            known(name)?;
            list.push(name);
        }
    }
    let target = process::target()?;
    let tools = Tools::find(&target);
    let mut context = Context { target, tools, tests: Counts::default() };
    let wanted = |name: &str| (only.is_empty() || only.contains(&name)) && !skip.contains(&name);
    let outcomes = run_all(&mut context, &wanted);
    Ok(report(&outcomes, context.tests, is_ci()))
}

fn known(name: &str) -> Result<()> {
    if STAGES.iter().any(|s| s.name == name) {
        return Ok(());
    }
    let all: Vec<&str> = STAGES.iter().map(|s| s.name).collect();
    bail!("`{name}` is no stage; there are {}", all.join(", "))
}

fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|v| v == "true" || v == "1")
}

type Row = (&'static str, Duration, Outcome);

fn run_all(context: &mut Context, wanted: &dyn Fn(&str) -> bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut stopped = None;
    for stage in STAGES {
        let started = Instant::now();
        let outcome = if let Some(by) = stopped {
            Outcome::Skipped(format!("nothing to run: {by} failed"))
        } else if wanted(stage.name) {
            println!("\n==== {} ====", stage.name);
            (stage.run)(context).unwrap_or_else(|e| Outcome::Failed(format!("{e:#}")))
        } else {
            Outcome::Skipped("not asked for".into())
        };
        if stage.stops && matches!(outcome, Outcome::Failed(_)) {
            stopped = Some(stage.name);
        }
        let took = started.elapsed();
        println!("{}", line(stage.name, took, &outcome));
        rows.push((stage.name, took, outcome));
    }
    rows
}

fn line(name: &str, took: Duration, outcome: &Outcome) -> String {
    let time = format!("{:>7.1} s", took.as_secs_f64());
    match outcome {
        Outcome::Passed => format!("{name:<8} {time}  passed"),
        Outcome::Failed(why) => format!("{name:<8} {time}  FAILED: {why}"),
        Outcome::Skipped(why) | Outcome::Absent(why) => {
            format!("{name:<8} {time}  SKIPPED: {why}")
        }
    }
}

/// Prints all outcomes, the skipped ones loudly, and the closing line; whether all is well.
fn report(rows: &[Row], tests: Counts, ci: bool) -> bool {
    let total: Duration = rows.iter().map(|(_, took, _)| *took).sum();
    println!("\n==== all stages, {:.0} s ====", total.as_secs_f64());
    let mut counts = tests;
    for (name, took, outcome) in rows {
        println!("{}", line(name, *took, outcome));
        match outcome {
            Outcome::Passed => counts.passed += 1,
            Outcome::Absent(_) => counts.skipped += 1,
            Outcome::Skipped(_) if !ci => counts.skipped += 1,
            Outcome::Failed(_) | Outcome::Skipped(_) => counts.failed += 1,
        }
    }
    println!("note: advisories are not checked here, their database cannot be fetched everywhere");
    let skipped = rows.iter().filter(|r| matches!(r.2, Outcome::Skipped(_))).count();
    if skipped > 0 {
        let verdict = if ci { "which is a failure here, as CI is set" } else { "see above why" };
        println!("!!!! {skipped} STAGES WERE SKIPPED, {verdict} !!!!");
    }
    for (name, _, _) in rows.iter().filter(|r| matches!(r.2, Outcome::Absent(_))) {
        println!("!!!! {name} SHOWED NOTHING, as its data is not here !!!!");
    }
    println!("{}", counts.line());
    counts.failed == 0
}

fn judge(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let done = process::run(command, limit, Show::Yes)?;
    Ok(if done.ok() { Outcome::Passed } else { Outcome::Failed(done.fault()) })
}

fn skipped(why: &str) -> Result<Outcome> {
    Ok(Outcome::Skipped(why.into()))
}

fn failed_if_any(faults: &[String]) -> Outcome {
    match faults {
        [] => Outcome::Passed,
        [first, ..] => Outcome::Failed(format!("{} faults, the first: {first}", faults.len())),
    }
}

fn install(context: &mut Context) -> Result<Outcome> {
    context.tools = tools::install(&context.target)?;
    Ok(Outcome::Passed)
}

fn fmt(_: &mut Context) -> Result<Outcome> {
    judge(&mut process::cargo(&["fmt", "--all", "--check"]), CHECK_MAX)
}

fn tidy_stage(_: &mut Context) -> Result<Outcome> {
    let faults: Vec<String> =
        tidy::check(&crate::root())?.iter().map(ToString::to_string).collect();
    faults.iter().for_each(|fault| println!("{fault}"));
    Ok(failed_if_any(&faults))
}

fn clippy(_: &mut Context) -> Result<Outcome> {
    let args = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    judge(&mut process::cargo(&args), BUILD_MAX)
}

fn build(_: &mut Context) -> Result<Outcome> {
    let args = ["test", "--locked", "--workspace", "--no-run"];
    judge(&mut process::cargo(&args), BUILD_MAX)
}

fn test(context: &mut Context) -> Result<Outcome> {
    let args = ["test", "--locked", "--workspace", "--no-fail-fast"];
    let done = process::run(&mut process::cargo(&args), BUILD_MAX, Show::Yes)?;
    let counts = Counts::of(&done.out);
    context.tests += counts;
    Ok(match (done.ok(), counts.passed) {
        (true, 0) => Outcome::Failed("no test was run".into()),
        (true, _) => Outcome::Passed,
        (false, _) => Outcome::Failed(format!("{} tests failed, {}", counts.failed, done.fault())),
    })
}

fn doc(_: &mut Context) -> Result<Outcome> {
    let mut command = process::cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    judge(command.env("RUSTDOCFLAGS", "-D warnings"), BUILD_MAX)
}

fn deny(context: &mut Context) -> Result<Outcome> {
    let Some(deny) = &context.tools.deny else {
        return skipped("cargo-deny is not to be had");
    };
    let mut command = Command::new(deny);
    command.args(["--all-features", "--locked", "check", "licenses", "bans", "sources"]);
    judge(command.current_dir(crate::root()), CHECK_MAX)
}

fn release(_: &mut Context) -> Result<Outcome> {
    judge(&mut process::cargo(&["build", "--locked", "--release"]), BUILD_MAX)
}

fn headgate(context: &Context) -> PathBuf {
    context.target.join("release/headgate")
}

fn demo_stage(context: &mut Context) -> Result<Outcome> {
    let mut command = Command::new(headgate(context));
    command.args(["demo", "--once", "--format", "json", "--seed", "1"]);
    let done = process::run(&mut command, DEMO_MAX, Show::Yes)?;
    if !done.ok() {
        return Ok(Outcome::Failed(done.fault()));
    }
    if let Some(wall_s) = demo::wall_s(&done.out).filter(|s| *s > demo::WALL_S_WANTED) {
        println!("note: the day took {wall_s:.1} s, wanted are {} s", demo::WALL_S_WANTED);
    }
    Ok(failed_if_any(&demo::faults(&done.out)))
}

fn captures(context: &mut Context) -> Result<Outcome> {
    if bench::capture::data().is_none() {
        let why = "recorded prices are not here: name their folder in HEADGATE_SHARED_DATA";
        return Ok(Outcome::Absent(why.into()));
    }
    Ok(match bench::capture::task(&context.target, &["--quick"])? {
        true => Outcome::Passed,
        false => Outcome::Failed("a capture is at fault, see above".into()),
    })
}

fn oracles(context: &mut Context) -> Result<Outcome> {
    let Some(namespace) = &context.tools.namespace else {
        return skipped("a network namespace is not allowed here");
    };
    let Some(python) = &context.tools.python else {
        return skipped("the foreign clients could not be installed");
    };
    let mut command = Command::new(namespace[0]);
    command.args(&namespace[1..]).arg("bash").arg("contrib/oracles/run.sh");
    command.arg(headgate(context)).arg(python).current_dir(crate::root());
    judge(&mut command, ORACLES_MAX)
}

fn kills(context: &mut Context) -> Result<Outcome> {
    let seed = crate::rng::fresh_seed();
    Ok(failed_if_any(&campaign::kills(&context.target, campaign::KILLS_SMALL, seed)?))
}

fn budget(context: &mut Context) -> Result<Outcome> {
    if !context.tools.valgrind {
        return skipped("valgrind is not to be had");
    }
    let (rows, faults) = bench::step(&context.target)?;
    bench::print_table(&rows);
    Ok(failed_if_any(&faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(outcome: Outcome) -> Row {
        ("x", Duration::ZERO, outcome)
    }

    #[test]
    fn a_skipped_stage_fails_in_ci_only() {
        let rows = [row(Outcome::Passed), row(Outcome::Skipped("no tool".into()))];
        assert!(report(&rows, Counts::default(), false));
        assert!(!report(&rows, Counts::default(), true));
        let absent = [row(Outcome::Absent("no data".into()))];
        assert!(report(&absent, Counts::default(), true));
    }

    #[test]
    fn a_failed_stage_or_test_fails_the_run() {
        assert!(!report(&[row(Outcome::Failed("why".into()))], Counts::default(), false));
        let tests = Counts { passed: 3, failed: 1, skipped: 0 };
        assert!(!report(&[row(Outcome::Passed)], tests, false));
        assert!(report(&[row(Outcome::Passed)], Counts::default(), true));
    }

    #[test]
    fn an_unknown_stage_is_refused_with_the_known_ones() {
        let error = task(&["--only", "tset"]).unwrap_err().to_string();
        assert!(error.starts_with("`tset` is no stage; there are tools, fmt"), "{error}");
        assert!(task(&["--fast"]).is_err() && task(&["--skip"]).is_err());
    }

    #[test]
    fn a_stage_that_stops_lets_nothing_run_after_it() {
        let mut context =
            Context { target: PathBuf::new(), tools: Tools::default(), tests: Counts::default() };
        let rows = run_all(&mut context, &|name| name == "deny");
        let outcome = |name| rows.iter().find(|r| r.0 == name).map(|r| r.2.clone());
        assert_eq!(outcome("deny"), Some(Outcome::Skipped("cargo-deny is not to be had".into())));
        assert_eq!(outcome("fmt"), Some(Outcome::Skipped("not asked for".into())));
        assert_eq!(rows.len(), STAGES.len());
    }
}

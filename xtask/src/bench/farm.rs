//! The farm that benches of the running program are measured on, and its program.

use crate::process::{self, Show};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The address of the first machine; the others follow.
pub const FIRST: [u8; 4] = [127, 1, 0, 1];
/// Time a machine takes to answer, in milliseconds, as the goal says.
pub const ANSWER_MS: &str = "20";
/// Longest time one build may take.
const BUILD_MAX: Duration = Duration::from_secs(20 * 60);
/// Longest time one measurement may take.
const ROUND_MAX: Duration = Duration::from_secs(5 * 60);

/// A site of LuxOS machines of one model, without limits that would pace a dispatch.
const SITE: &str = r#"schema = 1
[site]
name = "Bench"
timezone = "America/Chicago"
market = "generic"
settlement_point = { name = "BENCH", type = "" }
[limits]
import = "POWER"
[value]
source = "hashprice"
hashprice = "45 USD/PH/day"
pool_fee = "1 %"
[[cohort]]
name = "s19kpro"
driver = "luxos"
hosts = "HOSTS"
curve = [
  ["784 W", "39.2 TH/s"], ["1414 W", "70.2 TH/s"],
  ["2192 W", "101.1 TH/s"], ["2794 W", "121.8 TH/s"],
]
sleep = "30 W"
[policy]
mode = "auto"
name = "breakeven"
starts_per_hour = 100000
[feeds]
lmp = { role = "dispatch_price", kind = "canonical", source = "file:bench", stale_after = "11 min" }
[drivers.luxos]
kind = "luxos"
port = 4028
request_budget = "2 s"
poll_watts = "30 s"
concurrency = CONCURRENCY
"#;

/// What a bench of the running program works with.
pub struct Bench {
    pub headgate: PathBuf,
    /// Its own folder, emptied at the start.
    pub folder: PathBuf,
}

impl Bench {
    /// Builds the program and clears the folder.
    pub fn new(target: &Path, name: &str) -> Result<Self> {
        let mut build = process::cargo(&["build", "--locked", "--release"]);
        let done = process::run(&mut build, BUILD_MAX, Show::No)?;
        ensure!(done.ok(), "failed to build headgate: {}", done.fault());
        let folder = target.join("bench").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context("failed to clear the last bench")?;
        }
        std::fs::create_dir_all(&folder).context("failed to make the bench's folder")?;
        Ok(Self { headgate: target.join("release/headgate"), folder })
    }

    /// Writes the site of so many machines.
    pub fn site(&self, machines: u32, concurrency: u32) -> Result<PathBuf> {
        let first = std::net::Ipv4Addr::from(FIRST);
        let last = std::net::Ipv4Addr::from(u32::from(first) + machines - 1);
        // Every machine at full power, and a third more.
        let power = format!("{} kW", u64::from(machines) * 4);
        let text = SITE
            .replace("POWER", &power)
            .replace("HOSTS", &format!("{first}-{last}"))
            .replace("CONCURRENCY", &concurrency.to_string());
        let path = self.folder.join(format!("site-{machines}.toml"));
        std::fs::write(&path, text).context("failed to write the bench's site")?;
        Ok(path)
    }

    /// A folder for a journal that is not there yet.
    pub fn fresh(&self) -> Result<PathBuf> {
        let data = self.folder.join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data).context("failed to clear a bench's journal")?;
        }
        Ok(data)
    }

    /// The command that serves the farm of a site alone.
    pub fn simfarm(&self, site: &Path, port: u16) -> Command {
        let mut command = Command::new(&self.headgate);
        command.arg("simfarm").arg(site).args(["--port", &port.to_string()]);
        command.args(["--delay-ms", ANSWER_MS]);
        command
    }
}

/// A farm in a process of its own; it ends when this is dropped.
pub struct Farm {
    child: Child,
    pub port: u16,
}

impl Farm {
    /// Serves a site's machines on a free port.
    pub fn start(bench: &Bench, site: &Path) -> Result<Self> {
        let mut command = bench.simfarm(site, 0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("failed to start the farm")?;
        let mut line = String::new();
        let out = child.stdout.take().context("the farm's output is piped")?;
        let port = BufReader::new(out).read_line(&mut line).ok().and_then(|_| {
            let hello: Value = serde_json::from_str(&line).ok()?;
            hello["port"].as_u64().and_then(|p| u16::try_from(p).ok())
        });
        let farm = Self { child, port: port.unwrap_or(0) };
        ensure!(farm.port != 0, "the farm did not say its port, but {line:?}");
        Ok(farm)
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program that prints one JSON document.
pub fn ask(command: &mut Command) -> Result<Value> {
    let name = format!("{command:?}");
    let done = process::run(command, ROUND_MAX, Show::No)?;
    ensure!(done.ok(), "failed to run {name}: {}", done.fault());
    serde_json::from_str(&done.out).with_context(|| format!("{name} told no JSON: {}", done.out))
}

/// The middle one of some figures; `NaN` of none, which no comparison passes.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The one figure of a document; an error where it is missing.
pub fn figure(document: &Value, key: &str) -> Result<f64> {
    document[key].as_f64().with_context(|| format!("there is no {key} in {document}"))
}

/// Load of the machine over the last minute, to judge the figures by.
pub fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

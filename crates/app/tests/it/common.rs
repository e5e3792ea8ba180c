//! What the tests share: a folder each, sites, price files, and the binary itself.

use headgate_core::event::Stamped;
use headgate_core::time::Time;
use headgate_store::RealDisk;
use headgate_store::journal::read_all;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for anything a running daemon is to do; a bound, not an expectation.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A folder of one test, removed when the test has passed.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let leaf = format!("hg-it-{name}-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(leaf);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The data folder a daemon of this test uses.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Text with what differs from run to run taken out.
    pub fn redact(&self, text: &str) -> String {
        text.replace(&self.0.display().to_string(), "DIR")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A site of one block of load at a point in ERCOT; `ramp_up` where it has one.
pub fn block_site(point: &str, ramp_up: Option<&str>) -> String {
    let ramp_up = ramp_up.map_or(String::new(), |ramp| format!("ramp_up = \"{ramp}\", "));
    format!(
        r#"schema = 1
[site]
name = "Block"
timezone = "America/Chicago"
market = "ercot"
settlement_point = {{ name = "{point}", type = "HU" }}
[limits]
import = "100 MW"
[value]
source = "energy"
[[cohort]]
name = "block"
driver = "none"
unit = {{ min = "40 MW", max = "100 MW", start_at = "40 MW", {ramp_up}min_on = "60 min", min_off = "60 min", start = "400 USD", begins = "off" }}
value = "40 USD/MWh"
[policy]
name = "breakeven"
"#
    )
}

/// A site of simulated machines: what a test changes of it.
#[derive(Debug, Clone)]
pub struct SiteText {
    pub machines: u32,
    pub point: (&'static str, &'static str),
    pub mode: &'static str,
    pub poll_watts: &'static str,
    pub port: u16,
    pub times: &'static str,
    /// Machines on 127.1.0.x; the simulated farm numbers them from 127.1.0.1 on.
    pub first_host: u32,
}

impl Default for SiteText {
    fn default() -> Self {
        Self {
            machines: 60,
            point: ("HB_HOUSTON", "HU"),
            mode: "auto",
            poll_watts: "6 h",
            port: 4028,
            times: "",
            first_host: 1,
        }
    }
}

impl SiteText {
    pub fn text(&self) -> String {
        let Self { machines, point, mode, poll_watts, port, times, first_host } = self;
        let last = first_host + machines - 1;
        let (name, kind) = point;
        format!(
            r#"schema = 1

[site]
name = "Test"
timezone = "America/Chicago"
market = "ercot"
settlement_point = {{ name = "{name}", type = "{kind}" }}
overhead = {{ share = "4 %", fixed = "2 kW" }}

[limits]
import = "1 MW"

[[adder]]
name = "retail and losses"
on = "import"
price = "4.10 USD/MWh"

[value]
source = "hashprice"
hashprice = "45 USD/PH/day"
pool_fee = "1 %"

[[cohort]]
name = "s19kpro"
driver = "luxos"
hosts = "127.1.0.{first_host}-127.1.0.{last}"
curve = [["784 W", "39.2 TH/s"], ["1414 W", "70.2 TH/s"], ["2192 W", "101.1 TH/s"], ["2794 W", "121.8 TH/s"]]
sleep = "30 W"
{times}
[policy]
mode = "{mode}"
name = "breakeven"
starts_per_hour = 6000

[feeds]
lmp = {{ role = "dispatch_price", kind = "auto", source = "file:recorded", stale_after = "11 min" }}
spp = {{ role = "settlement_price", kind = "ercot_np6_905", source = "file:recorded", stale_after = "40 min" }}

[drivers.luxos]
kind = "luxos"
port = {port}
request_budget = "2 s"
poll_watts = "{poll_watts}"
concurrency = 200
"#
        )
    }
}

/// Lowest and highest break-even of such a site's staircase per MWh at the market, adders taken
/// off: (45 * 0.99 / 24) / 20.0 J/TH and / 22.7 to 29.1 J/TH a step, less 4 %, less 4.10.
pub const ALL_ON_BELOW: f64 = 55.0;
pub const ALL_OFF_ABOVE: f64 = 100.0;

/// The binary, with nothing of the tester's environment that it listens to.
pub fn headgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    command.env_remove("HEADGATE_DATA").env_remove("RUST_LOG").env("NO_COLOR", "1");
    command.stdin(Stdio::null());
    command
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            // No code stands for an end by a signal, which no command of ours means.
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e}\n{}\n{}", self.out, self.err))
    }

    /// The code and the complaint, without log lines: what a script and a person see.
    pub fn verdict(&self, folder: &Folder) -> String {
        let keep = |l: &&str| !l.contains(" INFO ") && !l.contains(" WARN ");
        let err: Vec<&str> = self.err.lines().filter(keep).collect();
        folder.redact(&format!("exit {}\n{}{}", self.code, self.out, err.join("\n")))
    }
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Said {
    headgate().args(args).output().unwrap().into()
}

/// `run SITE --data DIR --replay FILE --simfarm --speed max --until-end --format json` and more.
#[track_caller]
pub fn run_replay(folder: &Folder, site: &Path, prices: &str, more: &[&str]) -> Value {
    let data = folder.data();
    let args = ["run", path(site), "--data", path(&data), "--replay", prices];
    let fixed = ["--simfarm", "--speed", "max", "--until-end", "--format", "json"];
    let said: Said = headgate().args(args).args(fixed).args(more).output().unwrap().into();
    said.ok().json()
}

pub fn path(p: &Path) -> &str {
    p.to_str().unwrap()
}

/// A running process, ended by its id when the test is done with it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts the binary; what it says goes to files beside the data.
    pub fn start(folder: &Folder, name: &str, args: &[&str]) -> Self {
        let log = folder.path().join(format!("{name}.err"));
        let out = std::fs::File::create(folder.path().join(format!("{name}.out"))).unwrap();
        let err = std::fs::File::create(&log).unwrap();
        let mut command = headgate();
        let child = command.args(args).stdin(Stdio::piped()).stdout(out).stderr(err).spawn();
        Self { child: child.unwrap(), log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn out(&self) -> String {
        std::fs::read_to_string(self.log.with_extension("out")).unwrap_or_default()
    }

    /// Says a line on its standard input.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// SIGKILL: no goodbye.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may be over already; what counts is that it is over now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("the process had said:\n{}", self.log());
        }
    }
}

/// Looks until something is there, up to a bound.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Asks a daemon's control socket; `None` when nobody is there.
pub fn ask(data: &Path, request: &Value) -> Option<Value> {
    let mut stream = UnixStream::connect(data.join("control.sock")).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    writeln!(stream, "{request}").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// The daemon's status by its command line; `None` while none answers.
pub fn status(data: &Path) -> Option<Value> {
    let said = run(&["status", "--data", path(data), "--format", "json"]);
    (said.code == 0).then(|| said.json())
}

/// The daemon's status by its socket, without a process: quick enough to poll.
pub fn glance(data: &Path) -> Option<Value> {
    let reply = ask(data, &json!({ "do": "status" }))?;
    reply.get("status").cloned()
}

/// Waits until the daemon's status is such; the status.
pub fn wait_status(data: &Path, what: &str, test: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, || glance(data).filter(&test))
}

/// Twelve simulated machines that follow cheap prices at thirty times the speed.
#[derive(Debug)]
pub struct SmallFarm {
    pub folder: Folder,
    pub data: PathBuf,
    site: PathBuf,
    prices: PathBuf,
}

impl SmallFarm {
    pub fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let small = SiteText { machines: 12, poll_watts: "1 min", ..SiteText::default() };
        let site = folder.write("site.toml", small.text());
        let prices = folder.write("lmp.csv", crate::prices::five_minutes(&[20.0; 140]));
        let data = folder.data();
        Self { folder, data, site, prices }
    }

    /// What a daemon of it is started with.
    pub fn args(&self) -> [&str; 9] {
        let (site, data, prices) = (path(&self.site), path(&self.data), path(&self.prices));
        ["run", site, "--data", data, "--replay", prices, "--simfarm", "--speed", "30"]
    }

    /// Starts a daemon of it.
    pub fn start(&self, life: &str) -> Running {
        Running::start(&self.folder, life, &self.args())
    }
}

/// Every event of a data folder's journal.
pub fn events(data: &Path) -> Vec<Stamped> {
    let disk = std::sync::Arc::new(RealDisk::open(data).unwrap());
    let records = read_all(disk, headgate_store::journal::FIRST_SEQ).unwrap();
    records.filter_map(|r| r.unwrap().event().cloned()).collect()
}

/// The decision in force at a moment, as `explain --format json` has it.
#[track_caller]
pub fn explain_json(data: &Path, at: &str) -> Value {
    run(&["explain", "--at", at, "--data", path(data), "--format", "json"]).ok().json()
}

pub fn time(text: &str) -> Time {
    let t: jiff::Timestamp = text.parse().unwrap();
    Time(i64::try_from(t.as_nanosecond()).unwrap())
}

/// The counts of commands keep their books: every command was answered or timed out, and every
/// command came to one end.
#[track_caller]
pub fn check_counts(summary: &Value) {
    let n = |key: &str| summary[key].as_u64().unwrap_or_else(|| panic!("no {key}: {summary}"));
    let answers = n("acked") + n("refused") + n("timed_out") + n("unconfirmed");
    assert_eq!(n("commands"), answers, "{summary}");
    let ends = n("confirmed") + n("drifted") + n("unavailable") + n("superseded");
    assert_eq!(n("commands"), ends, "{summary}");
}

/// Small chance with a seed that is printed, so that a failure can be had again.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// `HEADGATE_TEST_SEED`, or a fixed seed.
    pub fn new(what: &str, seed: u64) -> Self {
        let given = std::env::var("HEADGATE_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let seed = given.unwrap_or(seed);
        eprintln!("{what}: HEADGATE_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number below `n`, by splitmix64.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

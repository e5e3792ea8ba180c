//! What the machine answers to read commands: the fields real clients look for.

use crate::farm::{Farm, Truth};
use crate::json::Json;
use crate::luxos_api::{BUILD, FIRMWARE, Reply};
use crate::machine::FREQUENCY_STEP_MHZ;
use crate::models::{Model, Profile};
use headgate_core::fleet::MachineId;
use headgate_core::time::Time;
use std::net::Ipv4Addr;

/// Boards of every model here.
const BOARDS: u32 = 3;
/// Fans of every model here.
const FANS: u32 = 4;
/// Fan speed at work and asleep, in percent.
const FAN_PERCENT: (i64, i64) = (70, 20);
/// Fan revolutions a minute at full speed.
const FAN_FULL_RPM: i64 = 6000;
/// Board temperature at work and asleep, in degrees.
const BOARD_DEGREES: (i64, i64) = (62, 25);
/// Seconds a machine needs for one accepted share. Shares are not part of the physics.
const SECONDS_PER_SHARE: i64 = 7;
/// When the firmware was compiled.
const COMPILED: &str = "Tue Apr  8 22:05:35 UTC 2025";

/// A machine as its API sees it.
struct View {
    model: &'static Model,
    profile: &'static Profile,
    truth: Truth,
    address: Ipv4Addr,
    machine: MachineId,
    atm: bool,
    psu_measures: bool,
    elapsed: i64,
}

impl View {
    /// Hash rate in units of `GH/s / 10^digits`.
    fn ghs(&self, digits: u32) -> i64 {
        self.truth.rate.0 * 10i64.pow(digits)
    }
    /// One board's hash rate in MH/s.
    fn board_mhs(&self) -> i64 {
        self.truth.rate.0 * 1000 / i64::from(BOARDS)
    }
    fn working(&self) -> bool {
        self.truth.rate.0 > 0
    }
    fn shares(&self) -> i64 {
        if self.working() { self.elapsed / SECONDS_PER_SHARE } else { 0 }
    }
    fn degrees(&self) -> i64 {
        if self.working() { BOARD_DEGREES.0 } else { BOARD_DEGREES.1 }
    }
    fn fan_percent(&self) -> i64 {
        if self.truth.asleep { FAN_PERCENT.1 } else { FAN_PERCENT.0 }
    }
    fn fan_rpm(&self) -> i64 {
        FAN_FULL_RPM * self.fan_percent() / 100
    }
    /// A locally administered address, one for each machine.
    fn mac(&self, separator: &str) -> String {
        let id = self.machine.0.to_be_bytes().map(|b| format!("{b:02x}"));
        [["02", "68"].map(str::to_owned).as_slice(), id.as_slice()].concat().join(separator)
    }
}

impl Farm {
    /// The reply to a read command; `None` when there is no such command.
    pub(crate) fn read(
        &mut self,
        machine: MachineId,
        now: Time,
        command: &str,
        parameter: &str,
    ) -> Option<Reply> {
        let truth = self.truth(machine, now);
        let (model, m) = (self.model(machine), self.machine(machine));
        let view = View {
            model,
            profile: &model.profiles[truth.profile],
            truth,
            address: self.address(machine).unwrap_or(Ipv4Addr::LOCALHOST),
            machine,
            atm: m.atm,
            psu_measures: self.cohort(machine).psu_measures,
            elapsed: now.since(m.booted).as_seconds().max(0),
        };
        let board = || parameter.split(',').next().and_then(|b| b.trim().parse::<u32>().ok());
        Some(match command {
            "power" => power(&view),
            "config" => config(&view),
            "version" => version(&view),
            "summary" => summary(&view),
            "devs" => devs(&view),
            "devdetails" => devdetails(&view),
            "pools" => pools(&view),
            "groups" => groups(),
            "stats" => stats(&view),
            "profiles" => profiles(&view),
            "atm" => atm(&view),
            "limits" => limits(&view),
            "fans" => fans(&view),
            "temps" => temps(&view),
            "tempctrl" => tempctrl(),
            "events" => Reply::ok(352, "0 events").with_list("EVENTS", |_| ()),
            "voltageget" => voltage(&view, board()?),
            "healthchipget" => chips(&view, board()?),
            "asccount" => Reply::ok(104, "ASC count").with("ASCS", |j| {
                j.int("Count", BOARDS);
            }),
            "privileged" => Reply::ok(46, "Privileged access OK"),
            "check" => check(parameter),
            _ => return None,
        })
    }
}

fn power(v: &View) -> Reply {
    Reply::ok(311, "Power usage").with("POWER", |j| {
        j.bool("PSU", v.psu_measures).int("Watts", v.truth.reported.0);
    })
}

fn version(v: &View) -> Reply {
    Reply::ok(22, "LUXminer versions").with("VERSION", |j| {
        j.str("API", "3.7").str("CompileTime", COMPILED);
        j.str("LUXminer", BUILD.trim_start_matches("LUXminer "));
        j.str("Miner", FIRMWARE).str("Type", v.model.type_name);
    })
}

fn config(v: &View) -> Reply {
    let asleep = v.truth.declares_sleep;
    Reply::ok(33, "LUXminer config").with("CONFIG", |j| {
        j.int("ASC Count", BOARDS).str("BcastAddr", "127.255.255.255");
        j.str("ControlBoardType", "cvitek").str("Cooling", "Air");
        j.str("CurtailMode", if asleep { "Sleep" } else { "None" });
        j.bool("DHCP", true).str("DNS Servers", "").str("Device Code", "");
        j.str("FPGABuildIdHex", "0x18351835").str("FPGABuildIdStr", "2018-35-18 35:00");
        j.str("FeeStatus", "Ok").str("Gateway", "127.0.0.1").str("GreenLed", "auto");
        j.str("Hostname", &format!("farm-{}", v.machine.0)).str("Hotplug", "None");
        j.str("IPAddr", &v.address.to_string()).bool("ImmersionMode", false);
        j.bool("IsAtmEnabled", v.atm).bool("IsPowerSupplyOn", !asleep);
        j.bool("IsSingleVoltage", true).bool("IsTuning", false).int("Log Interval", 0);
        j.str("LogFileLevel", "info").str("MACAddr", &v.mac(":"));
        j.str("Model", v.model.type_name);
        j.fixed("NameplateTHS", v.model.default_profile().rate.0 / 100, 1);
        j.str("Netmask", "255.0.0.0").str("OS", "LuxOS").int("PGA Count", 0);
        j.str("PSUHwVersion", "75").str("PSULabel", "APW121215e").int("Pool Count", 1);
        j.str("Profile", &v.profile.name).str("ProfileStep", &v.profile.step.to_string());
        j.str("RedLed", "auto").str("SerialNumber", &format!("SIM{:014}", v.machine.0));
        j.str("Strategy", "Failover").str("SystemStatus", "Normal");
        j.str("UpdateOnStartup", "off").str("UpdateOnTimeout", "off");
        j.str("UpdateOnUser", "full").str("UpdateSource", "").int("UpdateTimeout", 60);
    })
}

/// The running averages clients read. A ramp takes minutes, so all windows show the present.
fn averages(j: &mut Json, prefix: &str, value: i64, digits: u32) {
    for window in ["15m", "1m", "30m", "5m", "5s", "av"] {
        j.fixed(&format!("{prefix} {window}"), value, digits);
    }
}

fn summary(v: &View) -> Reply {
    Reply::ok(11, "Summary").with("SUMMARY", |j| {
        j.int("Accepted", v.shares()).int("Best Share", 32_768);
        j.fixed("Device Hardware%", 0, 1).fixed("Device Rejected%", 0, 1);
        j.int("Difficulty Accepted", v.shares() * 32_768).int("Difficulty Rejected", 0);
        j.int("Difficulty Stale", 0).int("Discarded", 0).int("Elapsed", v.elapsed);
        j.int("Found Blocks", 0);
        averages(j, "GHS", v.ghs(2), 2);
        j.int("Get Failures", 0).int("Getworks", v.elapsed / 5).int("Hardware Errors", 0);
        j.int("Local Work", 0).int("Network Blocks", 0).fixed("Pool Rejected%", 0, 1);
        j.fixed("Pool Stale%", 0, 1).int("Rejected", 0).int("Remote Failures", 0);
        j.int("Stale", 0).fixed("Total MH", v.ghs(3), 3);
        j.fixed("Utility", 857, 2).fixed("Work Utility", 115, 1);
    })
}

fn devs(v: &View) -> Reply {
    Reply::ok(9, format!("{BOARDS} ASC(s)")).with_list("DEVS", |j| {
        for board in 0..BOARDS {
            j.open().int("ASC", board).int("Accepted", v.shares() / i64::from(BOARDS));
            j.str("Board", "BHB56903").str("Connector", &format!("J{}", 7 + board));
            j.int("Device Elapsed", v.elapsed).int("Device Hardware%", 0);
            j.int("Device Rejected%", 0).str("Enabled", "Y").int("Hardware Errors", 0);
            j.int("ID", board).bool("IsRamping", v.truth.ramping && !v.truth.asleep);
            j.bool("IsUserShutdown", false);
            averages(j, "MHS", v.board_mhs(), 0);
            let nominal = v.profile.rate.0 * 1000 / i64::from(BOARDS);
            j.str("Name", "").fixed("Nominal MHS", nominal * 10, 1);
            j.str("Profile", &v.profile.name).int("Rejected", 0);
            j.str("SerialNumber", &format!("SIM{:013}{board}", v.machine.0));
            j.str("Status", if v.truth.declares_sleep { "Dead" } else { "Alive" });
            j.fixed("Temperature", v.degrees() * 10, 1);
            j.fixed("Total MH", v.board_mhs() * 10, 1).int("Utility", 0).close();
        }
    })
}

fn devdetails(v: &View) -> Reply {
    Reply::ok(69, "Device Details").with_list("DEVDETAILS", |j| {
        for board in 0..BOARDS {
            j.open().int("Chips", v.model.chips).int("DEVDETAILS", board).str("Device Path", "");
            j.str("Driver", "LUXminer").int("Frequency", v.profile.mhz).int("ID", board);
            j.str("Kernel", "").str("Model", v.model.type_name).str("Name", "");
            j.str("Profile", &v.profile.name);
            j.fixed("Voltage", i64::from(v.profile.centivolts), 2).close();
        }
    })
}

fn pools(v: &View) -> Reply {
    Reply::ok(7, "1 Pool(s)").with("POOLS", |j| {
        j.int("Accepted", v.shares()).bool("AsicBoost", true).int("Best Share", 32_768);
        j.str("Diff", "32K").int("Discarded", 0).int("GROUP", 0).int("Get Failures", 0);
        j.bool("Has GBT", false).bool("Has Stratum", true).bool("Has Vmask", true);
        j.str("Last Share Time", "00:00:01").str("Long Pool", "N").int("POOL", 0);
        j.int("Priority", 0).fixed("Quota", 10, 1).int("Rejected", 0);
        j.int("Remote Failures", 0).int("Stale", 0);
        j.str("Status", if v.truth.declares_sleep { "Dead" } else { "Alive" });
        j.bool("Stratum Active", !v.truth.declares_sleep).int("Stratum Difficulty", 32_768);
        j.str("Stratum URL", "pool.invalid:3333").str("URL", "stratum+tcp://pool.invalid:3333");
        j.str("User", &format!("farm.{}", v.machine.0));
    })
}

fn groups() -> Reply {
    Reply::ok(342, "1 Group(s)").with("GROUPS", |j| {
        j.int("GROUP", 0).str("Name", "default").fixed("Quota", 10, 1);
    })
}

fn stats(v: &View) -> Reply {
    Reply::ok(70, "LUXminer stats").with_list("STATS", |j| {
        j.open().str("CompileTime", COMPILED).str("Miner", FIRMWARE);
        j.str("Type", v.model.type_name).close();
        j.open().int("Elapsed", v.elapsed).fixed("GHS 5s", v.ghs(2), 2);
        j.fixed("GHS av", v.ghs(2), 2).str("ID", "BTM_SOC0").int("STATS", 0);
        let temps = format!("{0}-{1}-{1}-{0}", v.degrees(), v.degrees() - 12);
        for n in 1..=BOARDS {
            let rate = crate::json::fixed(v.truth.rate.0 * 100 / i64::from(BOARDS), 2);
            j.int(&format!("chain_acn{n}"), v.model.chips).int(&format!("chain_hw{n}"), 0);
            j.str(&format!("chain_rate{n}"), &rate);
            j.fixed(&format!("freq{n}"), i64::from(v.profile.mhz) * 10, 1);
            j.str(&format!("temp_chip{n}"), &temps).str(&format!("temp_pcb{n}"), &temps);
        }
        for n in 1..=FANS {
            j.int(&format!("fan{n}"), v.fan_rpm());
        }
        j.int("fan_num", FANS).int("frequency", v.profile.mhz).int("miner_count", BOARDS);
        j.str("miner_id", &v.mac("")).str("miner_version", FIRMWARE).str("rate_unit", "GH");
        j.fixed("temp_max", v.degrees() * 10, 1).int("temp_num", BOARDS);
        j.fixed("total_rateideal", v.profile.rate.0 * 10, 1).close();
    })
}

fn profiles(v: &View) -> Reply {
    let list = &v.model.profiles;
    Reply::ok(328, format!("{} Profiles", list.len())).with_list("PROFILES", |j| {
        for p in list {
            j.open().bool("CanRestore", true).int("Frequency", p.mhz);
            j.bool("HasOverrides", false).fixed("Hashrate", p.rate.0 / 100, 1);
            j.bool("IsDynamic", true).bool("IsTuned", false).str("Profile Name", &p.name);
            j.str("Step", &p.step.to_string()).fixed("Voltage", i64::from(p.centivolts), 2);
            j.int("Watts", p.watts.0).close();
        }
    })
}

fn atm(v: &View) -> Reply {
    Reply::ok(339, "ATM configuration values").with("ATM", |j| {
        j.bool("Enabled", v.atm).str("MaxProfile", "").str("MinProfile", "");
        j.int("PostRampMinutes", 10).int("StartupMinutes", 10).int("TempWindow", 5);
    })
}

/// The field names are published; their values are not, so these are the table's own ends.
fn limits(v: &View) -> Reply {
    let (low, high) = (&v.model.profiles[0], &v.model.profiles[v.model.profiles.len() - 1]);
    let volts = |p: &Profile| i64::from(p.centivolts);
    Reply::ok(329, "Limits").with("LIMITS", |j| {
        j.int("FanSpeedMax", 100).int("FanSpeedMin", 0);
        j.int("FrequencyDefault", v.model.default_profile().mhz);
        j.int("FrequencyMax", high.mhz).int("FrequencyMin", low.mhz);
        j.int("FrequencyStepDefault", FREQUENCY_STEP_MHZ).int("FrequencyStepMax", 100);
        j.int("FrequencyStepMin", 1).fixed("VoltageDefault", volts(v.model.default_profile()), 2);
        j.fixed("VoltageMax", volts(high), 2).fixed("VoltageMin", volts(low), 2);
        j.fixed("VoltageStepDefault", 5, 2).fixed("VoltageStepMax", 100, 2);
        j.fixed("VoltageStepMin", 1, 2);
    })
}

fn fans(v: &View) -> Reply {
    let reply = Reply::ok(202, format!("{FANS} Fan(s)")).with("FANCTRL", |j| {
        j.int("MinFans", 3).int("PowerOffSpeed", FAN_PERCENT.1);
    });
    reply.with_list("FANS", |j| {
        for fan in 0..FANS {
            j.open().str("FAN", &format!("FAN{}", fan + 1)).int("ID", fan);
            j.int("RPM", v.fan_rpm()).int("Speed", v.fan_percent()).close();
        }
    })
}

fn temps(v: &View) -> Reply {
    let (exhaust, intake) = (v.degrees() * 10, (v.degrees() - 12) * 10);
    let corners = [
        ("BottomLeft", "Board Exhaust (bottom)"),
        ("BottomRight", "Board Intake (bottom)"),
        ("TopLeft", "Board Exhaust (top)"),
        ("TopRight", "Board Intake (top)"),
    ];
    let reply = Reply::ok(201, format!("{BOARDS} Temp(s)")).with("METADATA", |j| {
        for (corner, label) in corners {
            j.object(corner).str("Label", label).close();
        }
    });
    reply.with_list("TEMPS", |j| {
        for board in 0..BOARDS {
            j.open().fixed("BottomLeft", exhaust, 1).fixed("BottomRight", intake, 1);
            j.int("ID", board).int("TEMP", board);
            j.fixed("TopLeft", exhaust, 1).fixed("TopRight", intake, 1).close();
        }
    })
}

fn tempctrl() -> Reply {
    Reply::ok(200, "Temperature control values").with("TEMPCTRL", |j| {
        j.int("Dangerous", 80).int("Hot", 75).str("Mode", "Automatic").int("Target", 65);
    })
}

fn voltage(v: &View, board: u32) -> Reply {
    if board >= BOARDS {
        return Reply::error(107, format!("Invalid ASC id {board} - range is 0 - {}", BOARDS - 1));
    }
    let volts = if v.truth.asleep { 0 } else { i64::from(v.profile.centivolts) };
    Reply::ok(307, "Get Voltage").with("VOLTAGE", |j| {
        j.int("Board", board).bool("IsOnBoard", false).fixed("Voltage", volts, 2);
    })
}

fn chips(v: &View, board: u32) -> Reply {
    if board >= BOARDS {
        return Reply::error(107, format!("Invalid ASC id {board} - range is 0 - {}", BOARDS - 1));
    }
    let rate = v.truth.rate.0 * 100 / i64::from(BOARDS * v.model.chips);
    Reply::ok(314, "Health Chip Get").with_list("CHIPS", |j| {
        for chip in 0..v.model.chips {
            j.open().int("Board", board).int("Chip", chip).int("Frequency", v.profile.mhz);
            j.fixed("GHS 15m", rate, 2).fixed("GHS 1m", rate, 2).fixed("GHS 5m", rate, 2);
            j.str("Healthy", if v.working() { "Y" } else { "Unknown" });
            j.bool("IsChecking", false).close();
        }
    })
}

fn check(command: &str) -> Reply {
    let known = !command.is_empty() && KNOWN.contains(&command);
    let yes = |is: bool| if is { "Y" } else { "N" };
    Reply::ok(72, "Check command").with("CHECK", |j| {
        j.str("Access", yes(known)).str("Exists", yes(known));
    })
}

/// Every command this farm's machines know.
const KNOWN: [&str; 28] = [
    "asccount",
    "atm",
    "atmset",
    "check",
    "config",
    "curtail",
    "devdetails",
    "devs",
    "events",
    "fans",
    "groups",
    "healthchipget",
    "limits",
    "logoff",
    "logon",
    "pools",
    "power",
    "privileged",
    "profiles",
    "profileset",
    "rebootdevice",
    "session",
    "stats",
    "summary",
    "tempctrl",
    "temps",
    "version",
    "voltageget",
];

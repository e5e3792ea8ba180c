//! The file as written: every key of the schema, with its place, before anything is compared.
//!
//! Keys of what is not built yet are here too, so that they are refused by name and not as
//! unknown.

pub use super::forms::{Named, Pair};
use super::unit::{CountOf, Date, DemandRate, In, PerPhDay, PerWork, Share, Text, WorkRate};
use headgate_core::site::Ramp;
use headgate_core::time::Span;
use headgate_core::units::{Money, Power, Price};
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::path::PathBuf;
pub use toml::Spanned;

/// A quantity with its place in the file.
pub type At<T> = Spanned<Text<T>>;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    #[expect(dead_code, reason = "checked before anything else is read")]
    pub schema: u32,
    pub site: RawSite,
    pub limits: RawLimits,
    #[serde(default)]
    pub contract: Vec<RawContract>,
    #[serde(default)]
    pub adder: Vec<RawAdder>,
    #[serde(default)]
    pub charge: Vec<RawCharge>,
    pub value: RawValue,
    pub fx: Option<Spanned<RawFx>>,
    #[serde(default)]
    pub settlement: RawSettlement,
    #[serde(default)]
    pub cohort: Vec<RawCohort>,
    #[serde(default)]
    pub policy: RawPolicy,
    #[serde(default)]
    pub feeds: Named<RawFeed>,
    #[serde(default)]
    pub drivers: Named<RawDriver>,
    #[serde(default)]
    pub meters: Named<RawMeter>,
    #[serde(default)]
    pub switch: Vec<RawSwitch>,
    #[serde(default)]
    pub failsafe: RawFailsafe,
}

/// `[site]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSite {
    pub name: Spanned<String>,
    pub timezone: Spanned<String>,
    pub market: Spanned<String>,
    pub settlement_point: RawPoint,
    #[serde(default)]
    pub overhead: RawOverhead,
    pub data: Option<PathBuf>,
}

/// `site.settlement_point`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPoint {
    pub name: Spanned<String>,
    #[serde(rename = "type")]
    pub kind: String,
}

/// `site.overhead`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawOverhead {
    pub share: Option<At<Share>>,
    pub fixed: Option<At<Power>>,
}

/// `[limits]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    pub import: At<Power>,
    pub ramp_up: Option<At<Ramp>>,
    pub ramp_down: Option<At<Ramp>>,
    pub step: Option<At<Ramp>>,
}

/// `[[contract]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawContract {
    pub kind: Spanned<String>,
    pub quantity: At<Power>,
    pub price: At<In<Price>>,
    pub term: Pair<At<Date>, At<Date>>,
    pub resale: RawResale,
}

/// `contract.resale`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawResale {
    pub point: Spanned<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub fee: Option<At<In<Price>>>,
    pub share: Option<At<Share>>,
}

/// `[[adder]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAdder {
    pub name: Spanned<String>,
    pub on: Spanned<AdderOn>,
    pub price: At<In<Price>>,
}

/// What an adder is paid on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdderOn {
    Import,
    Block,
    Resale,
}

/// `[[charge]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCharge {
    pub name: Option<Spanned<String>>,
    pub kind: Spanned<ChargeKind>,
    pub peaks: Option<Spanned<RawPeaks>>,
    pub rate: At<In<DemandRate>>,
    pub applies: Option<Spanned<String>>,
    pub term: Pair<At<Date>, At<Date>>,
}

/// What a charge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeKind {
    CoincidentPeak,
    Demand,
}

/// `charge.peaks`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPeaks {
    pub months: Spanned<Vec<u8>>,
    pub per_month: Spanned<u8>,
    pub interval: At<Span>,
}

/// `[settlement]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSettlement {
    pub losses: Option<At<Share>>,
    pub base_point: Option<RawBasePoint>,
}

/// `settlement.base_point`: how far a load may draw beside what it was told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawBasePoint {
    pub tolerance: At<Share>,
    pub at_least: At<Power>,
    pub price: Option<At<In<Price>>>,
}

/// `[value]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawValue {
    pub source: Spanned<ValueSource>,
    pub hashprice: Option<At<In<PerPhDay>>>,
    pub file: Option<Spanned<PathBuf>>,
    pub files: Option<Spanned<RawNetwork>>,
    pub address: Option<Spanned<String>>,
    pub price: Option<At<In<Price>>>,
    pub work: Option<At<In<PerWork>>>,
    #[serde(default)]
    pub steps: Vec<Spanned<RawStep>>,
    pub currency: Option<Spanned<String>>,
    pub pool_fee: Option<At<Share>>,
    pub stale_after: Option<At<Span>>,
}

/// `value.files`: what a hash price is computed from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNetwork {
    pub difficulty: Spanned<PathBuf>,
    pub price: Spanned<PathBuf>,
    pub fees: Option<Spanned<PathBuf>>,
}

/// One of `value.steps`: what a contract pays from a day on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStep {
    pub from: At<Date>,
    pub price: Option<At<In<Price>>>,
    pub work: Option<At<In<PerWork>>>,
}

/// `[fx]`: what one unit of the value's currency is worth in the market's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFx {
    pub rate: Option<Spanned<String>>,
    pub file: Option<Spanned<PathBuf>>,
}

/// What the work is valued by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueSource {
    Hashprice,
    Contract,
    Energy,
}

/// `[[cohort]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCohort {
    pub name: Spanned<String>,
    pub driver: Spanned<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub hosts: Option<Spanned<RawHosts>>,
    #[serde(default)]
    pub exclude: Vec<Spanned<String>>,
    pub curve: Option<Spanned<Vec<RawLevel>>>,
    #[serde(default)]
    pub overclock: Vec<RawLevel>,
    pub sleep: Option<At<Power>>,
    #[serde(default)]
    pub time: RawTimes,
    #[serde(default)]
    pub wear: RawWear,
    pub unit: Option<Spanned<RawUnit>>,
    pub strike: Option<At<In<Price>>>,
    pub value: Option<At<In<Price>>>,
}

fn yes() -> bool {
    true
}

/// One level of a curve: power and rate of work.
pub type RawLevel = Spanned<Pair<Text<Power>, Text<WorkRate>>>;

/// `cohort.time`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTimes {
    pub down: Option<At<Span>>,
    pub up: Option<At<Span>>,
    pub min_on: Option<At<Span>>,
    pub min_off: Option<At<Span>>,
}

/// `cohort.wear`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWear {
    pub start: Option<At<In<Money>>>,
    pub starts_per_day: Option<Spanned<u16>>,
}

/// `cohort.unit`: one dispatchable block without machines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUnit {
    pub min: At<Power>,
    pub max: At<Power>,
    pub start_at: Option<At<Power>>,
    pub ramp_up: Option<At<Ramp>>,
    pub ramp_down: Option<At<Ramp>>,
    pub min_on: Option<At<Span>>,
    pub min_off: Option<At<Span>>,
    pub start: Option<At<In<Money>>>,
    pub begins: Option<Begins>,
}

/// How a unit begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begins {
    Off,
    On,
}

/// `[policy]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPolicy {
    pub mode: Option<Spanned<RawMode>>,
    pub name: Option<Spanned<PolicyName>>,
    pub strike: Option<At<In<Price>>>,
    pub model: Option<Spanned<String>>,
    pub starts_per_hour: Option<Spanned<u32>>,
}

/// `policy.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawMode {
    Off,
    Shadow,
    Advise,
    Auto,
    Hold,
}

/// `policy.name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyName {
    AlwaysOn,
    FixedStrike,
    Breakeven,
    LookAhead,
}

/// One of `[feeds]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFeed {
    pub role: Spanned<Role>,
    pub kind: Spanned<FeedKind>,
    pub source: Spanned<String>,
    pub stale_after: Option<At<Span>>,
    pub rank: Option<u16>,
    pub every: Option<At<Span>>,
    pub catch_up: Option<At<Span>>,
    pub credentials: Option<Spanned<RawCredentials>>,
    pub token: Option<Spanned<String>>,
}

/// `credentials` of a feed or a driver: where a name, a password and a key are kept, never
/// themselves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCredentials {
    pub file: Option<PathBuf>,
    pub env: Option<String>,
}

/// What a feed brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    DispatchPrice,
    SettlementPrice,
    DayAhead,
    LookAhead,
}

/// How a feed's files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedKind {
    #[serde(rename = "ercot_np6_788")]
    ErcotNp6788,
    #[serde(rename = "ercot_np6_905")]
    ErcotNp6905,
    #[serde(rename = "ercot_np4_190")]
    ErcotNp4190,
    #[serde(rename = "ercot_np6_970")]
    ErcotNp6970,
    #[serde(rename = "ercot_np6_785")]
    ErcotNp6785,
    Canonical,
    Auto,
    ErcotDashboard,
    ErcotMis,
    ErcotApi,
    AemoNemweb,
}

/// One of `[drivers]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDriver {
    pub kind: Spanned<String>,
    pub port: Option<Spanned<u16>>,
    pub request_budget: Option<At<Span>>,
    pub poll_watts: Option<At<Span>>,
    pub concurrency: Option<Spanned<u32>>,
    pub aux_port: Option<Spanned<u16>>,
    pub credentials: Option<Spanned<RawCredentials>>,
}

/// One of `[meters]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMeter {
    pub kind: Spanned<String>,
    pub stale_after: Option<At<Span>>,
    pub address: Option<Spanned<String>>,
    pub unit_id: Option<Spanned<u8>>,
    pub registers: Option<Spanned<RawRegisters>>,
    pub covers: Option<Spanned<String>>,
    pub every: Option<At<Span>>,
    pub request_budget: Option<At<Span>>,
    pub most: Option<At<Power>>,
}

/// `meter.registers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRegisters {
    pub power: Spanned<RawRegister>,
}

/// `meter.registers.power`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRegister {
    pub at: u16,
    #[serde(rename = "type")]
    pub kind: Spanned<String>,
    pub scale: At<CountOf>,
    pub table: Option<RawTable>,
    pub low_word_first: Option<bool>,
    pub import_negative: Option<bool>,
}

/// Which registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawTable {
    Holding,
    Input,
}

/// `[[switch]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSwitch {
    pub name: Spanned<String>,
    pub kind: Spanned<String>,
    pub address: Spanned<String>,
    pub unit_id: Option<Spanned<u8>>,
    pub write: Spanned<RawSpot>,
    pub read_back: Option<Spanned<RawSpot>>,
    pub feeds: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub allowed: bool,
    pub every: Option<At<Span>>,
    pub request_budget: Option<At<Span>>,
}

/// `switch.write` and `switch.read_back`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSpot {
    pub table: RawSpots,
    pub at: u16,
    pub on: Option<u16>,
    pub off: Option<u16>,
}

/// Which bits or words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawSpots {
    Coil,
    Discrete,
    Holding,
    Input,
}

/// `[failsafe]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFailsafe {
    #[serde(default)]
    pub dispatch_price: RawLoss,
    #[serde(default)]
    pub meter: RawLoss,
    #[serde(default)]
    pub telemetry: RawLoss,
    #[serde(default)]
    pub daemon: RawLoss,
}

/// What to do when one signal is lost.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLoss {
    pub hold: Option<At<Span>>,
    pub level: Option<Spanned<String>>,
    pub otherwise: Option<At<Power>>,
}

/// `cohort.hosts`.
#[derive(Debug)]
pub enum RawHosts {
    /// A range, a block or one address.
    One(String),
    /// Any number of these.
    Many(Vec<Spanned<String>>),
    /// A file with a column `address`.
    File(PathBuf),
}

impl<'de> Deserialize<'de> for RawHosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> de::Visitor<'de> for Reader {
            type Value = RawHosts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a range, a CIDR block, an address, a list of these, or { file = .. }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawHosts, E> {
                Ok(RawHosts::One(text.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<RawHosts, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(RawHosts::Many(all))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawHosts, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct InFile {
                    file: PathBuf,
                }
                let inner = de::value::MapAccessDeserializer::new(map);
                Ok(RawHosts::File(InFile::deserialize(inner)?.file))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

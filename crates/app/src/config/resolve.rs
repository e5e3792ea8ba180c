//! From the file as written to the [`Site`] the engine takes: every check that compares one key
//! with another, or with the market. All problems are gathered, not only the first.

use super::error::{ConfigError, Problem, ProblemKind};
use super::file::ConfigFile;
use super::fleet::Fleet;
use super::raw::{
    AdderOn, At, Pair, PolicyName, RawConfig, RawContract, RawLoss, RawMode, Spanned,
};
use super::unit::{Date, In, Text};
use super::worth::Valued;
use super::{
    HashpriceSource, LiveDriver, LiveFeed, Loaded, MarketFacts, Worth, drivers, fleet, meters,
    outside, switches, terms,
};
use headgate_core::event::AutomationMode;
use headgate_core::hands::Hands;
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::limits::TEXT_MAX;
use headgate_core::market::{PriceKind, SettlementPoint};
use headgate_core::settle::Terms;
use headgate_core::site::{
    Block, DriverSpec, Failsafe, Overhead, Policy, PolicyRule, PriceLoss, Ramp, Site, SiteLimits,
};
use headgate_core::time::{Span, Time};
use headgate_core::units::{Power, Price};
use headgate_drivers::devices::modbus::MeterPlan;
use headgate_drivers::devices::switch::SwitchPlan;
use jiff::tz::TimeZone;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Data folder of a configuration that names none.
const DATA_DEFAULT: &str = "headgate-data";
/// Starts the site may make in an hour, where the file names none.
const STARTS_PER_HOUR: u32 = 600;
/// How long the last set point is held without a price, where the file names none.
const PRICE_HOLD: Span = Span::minutes(15);
/// How long until raises freeze without a meter, where the file names none.
const METER_HOLD: Span = Span::seconds(10);
/// How long until raises freeze without telemetry, where the file names none.
const TELEMETRY_HOLD: Span = Span::seconds(90);
/// The whole, in parts per million.
const WHOLE_PPM: i64 = 1_000_000;

/// Resolves a parsed file against its market.
///
/// # Errors
/// [`ConfigError`] holds everything found wrong, in file order.
pub fn resolve(file: &ConfigFile, market: &MarketFacts) -> Result<Loaded, ConfigError> {
    let mut check = Check::new(file, market);
    let resolved = check.config(&file.raw);
    let Check { mut problems, mut warnings, .. } = check;
    if !problems.is_empty() {
        problems.sort_by(|a, b| a.order().cmp(&b.order()));
        return Err(ConfigError::Invalid { problems });
    }
    warnings.sort_by(|a, b| a.order().cmp(&b.order()));
    let data = file.raw.site.data.as_deref();
    let data = data.map_or(PathBuf::from(DATA_DEFAULT), |d| file.resolve_path(d));
    let warnings = warnings.iter().map(Problem::sentence).collect();
    let model = resolved.model.map(|m| file.resolve_path(Path::new(&m)));
    let (hands, switches) = (resolved.hands, resolved.switches);
    Ok(Loaded {
        site: resolved.site,
        units: resolved.units,
        model,
        data,
        live: resolved.live,
        drivers: resolved.drivers,
        meters: resolved.meters,
        hands,
        switches,
        hashprice: resolved.hashprice,
        worth: resolved.worth,
        terms: resolved.terms,
        resale: resolved.resale,
        warnings,
    })
}

/// What a pass finds when nothing is wrong.
struct Resolved {
    site: Site,
    units: Vec<UnitSpec>,
    model: Option<String>,
    live: Vec<LiveFeed>,
    drivers: Vec<LiveDriver>,
    meters: Vec<Option<MeterPlan>>,
    hands: Hands,
    switches: Vec<SwitchPlan>,
    hashprice: HashpriceSource,
    worth: Worth,
    terms: Terms,
    resale: Vec<SettlementPoint>,
}

/// One pass over one file: what it found so far.
#[derive(Debug)]
pub(super) struct Check<'a> {
    pub(super) file: &'a ConfigFile,
    pub(super) market: &'a MarketFacts,
    pub(super) problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Over the file and every inventory it names.
    pub(super) hash: blake3::Hasher,
}

impl<'a> Check<'a> {
    fn new(file: &'a ConfigFile, market: &'a MarketFacts) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(file.text.as_bytes());
        Self { file, market, problems: Vec::new(), warnings: Vec::new(), hash }
    }

    /// Notes something wrong.
    pub(super) fn wrong(&mut self, at: &Range<usize>, message: impl Into<String>) {
        self.problems.push(self.file.problem(ProblemKind::Wrong, at, message.into()));
    }

    /// Notes that a table lacks a key; the place is that of another key of it.
    pub(super) fn missing(&mut self, at: &Range<usize>, message: impl Into<String>) {
        let mut problem = self.file.problem(ProblemKind::Wrong, at, message.into());
        let table = problem.field.rfind('.').unwrap_or(0);
        problem.field.truncate(table);
        self.problems.push(problem);
    }

    /// Notes something of the schema that this version cannot do, with what to do instead.
    pub(super) fn not_built(&mut self, at: &Range<usize>, value: &str, instead: &str) {
        let field = self.file.fields.at(at);
        let message = format!("`{field} = \"{value}\"` is not built yet; {instead}");
        self.problems.push(self.file.problem(ProblemKind::NotBuilt, at, message));
    }

    /// Notes something that is allowed and probably not meant.
    pub(super) fn warn(&mut self, at: &Range<usize>, message: &str) {
        self.warnings.push(self.file.problem(ProblemKind::Wrong, at, message.to_owned()));
    }

    /// The same, of a section that may not be there.
    pub(super) fn warn_of(&mut self, section: &str, message: &str) {
        self.warnings.push(Problem {
            kind: ProblemKind::Wrong,
            message: message.to_owned(),
            field: section.to_owned(),
            file: self.file.path.clone(),
            place: None,
        });
    }

    /// An amount, once its currency is the market's.
    pub(super) fn amount<T: Copy>(&mut self, text: &At<In<T>>) -> T {
        let Text(In { amount, currency }) = text.get_ref();
        let (market, wanted) = (&self.market.rule.name, &self.market.rule.currency);
        if currency != wanted {
            let message = format!("`{currency}` is not the currency of {market}: use {wanted}");
            self.wrong(&text.span(), message);
        }
        *amount
    }

    /// The market's currency.
    pub(super) fn currency(&self) -> &str {
        &self.market.rule.currency
    }

    /// An amount in a currency that may be another than the market's.
    pub(super) fn amount_in<T: Clone>(&mut self, text: &At<In<T>>, wanted: &str) -> T {
        let Text(In { amount, currency }) = text.get_ref();
        if currency != wanted {
            let message = format!("`{currency}` is not the currency of [value]: use {wanted}");
            self.wrong(&text.span(), message);
        }
        amount.clone()
    }

    /// A span that must not be zero.
    pub(super) fn positive(&mut self, text: Option<&At<Span>>, default: Span) -> Span {
        let Some(text) = text else { return default };
        if value(text) == Span::ZERO {
            self.wrong(&text.span(), format!("it must be above zero: use \"{default}\""));
        }
        value(text)
    }

    /// A name: not empty, not a novel.
    pub(super) fn name(&mut self, text: &Spanned<String>) -> String {
        let name = text.get_ref();
        if name.trim().is_empty() || name.len() > TEXT_MAX {
            self.wrong(&text.span(), format!("a name has 1 to {TEXT_MAX} characters"));
        }
        name.clone()
    }

    fn config(&mut self, raw: &RawConfig) -> Resolved {
        let limits = self.limits(raw);
        let overhead = Overhead {
            share_ppm: raw.site.overhead.share.as_ref().map_or(0, |s| value(s).0),
            fixed: raw.site.overhead.fixed.as_ref().map_or(Power::ZERO, value),
        };
        let (mut drivers, beside) = drivers::drivers(self, &raw.drivers);
        let Fleet { cohorts, machines, units } = fleet::fleet(self, raw, &drivers, &limits);
        if !units.is_empty() {
            drivers.push(DriverSpec::none());
        }
        fleet::floors(self, raw, &limits, &overhead, &cohorts, &machines);
        let (feeds, live) = outside::feeds(self, &raw.feeds);
        let (meters, plans) = meters::meters(self, &raw.meters, limits.import);
        let Valued { value: worth, hashprice, worth: paid } = super::worth::value(self, raw);
        let site = Site {
            name: self.name(&raw.site.name),
            config_hash: self.hash.finalize().to_hex().to_string(),
            timezone: self.timezone(&raw.site.timezone),
            market: self.market.rule.clone(),
            point: SettlementPoint {
                name: self.name(&raw.site.settlement_point.name),
                kind: raw.site.settlement_point.kind.clone(),
            },
            blocks: self.contracts(raw),
            import_adder: self.adders(raw, AdderOn::Import),
            value: worth,
            policy: self.policy(raw),
            failsafe: self.failsafe(
                raw,
                &limits,
                feeds.iter().any(|f| f.role == PriceKind::DayAhead),
            ),
            meters,
            overhead,
            limits,
            cohorts,
            machines,
            feeds,
            drivers,
        };
        let resale = terms::resale(raw);
        let terms = terms::terms(self, raw, &site.blocks, &resale);
        let model = raw.policy.model.as_ref().map(|m| m.get_ref().clone());
        let (specs, switches) = switches::switches(self, &raw.switch, &site.machines);
        let hands = Hands { switches: specs, ..Hands::default() };
        Resolved {
            site,
            units,
            model,
            live,
            drivers: beside,
            meters: plans,
            hands,
            switches,
            hashprice,
            worth: paid,
            terms,
            resale,
        }
    }

    fn limits(&mut self, raw: &RawConfig) -> SiteLimits {
        let import = &raw.limits.import;
        if value(import) == Power::ZERO {
            self.wrong(&import.span(), "a site that may import nothing cannot run: raise it");
        }
        let ramp = |text: &Option<At<Ramp>>| text.as_ref().map(value);
        SiteLimits {
            import: value(import),
            ramp_up: ramp(&raw.limits.ramp_up),
            ramp_down: ramp(&raw.limits.ramp_down),
            step: ramp(&raw.limits.step),
        }
    }

    fn timezone(&mut self, text: &Spanned<String>) -> String {
        if TimeZone::get(text.get_ref()).is_err() {
            let message = "this is no IANA time zone: write it like \"America/Chicago\"";
            self.wrong(&text.span(), message);
        }
        text.get_ref().clone()
    }

    fn contracts(&mut self, raw: &RawConfig) -> Vec<Block> {
        let mut blocks = Vec::new();
        for contract in &raw.contract {
            if contract.kind.get_ref() == "block" {
                blocks.push(self.block(raw, contract));
            } else {
                self.not_built(&contract.kind.span(), contract.kind.get_ref(), "use `block`");
            }
        }
        if !blocks.is_empty() && *raw.site.timezone.get_ref() != self.market.timezone {
            let zone = &self.market.timezone;
            let message = format!("contract terms count the market's days ({zone}), not these");
            self.warn(&raw.site.timezone.span(), &message);
        }
        blocks
    }

    fn block(&mut self, raw: &RawConfig, contract: &RawContract) -> Block {
        let Pair(first, last) = &contract.term;
        if value(last) < value(first) {
            self.wrong(&last.span(), "the term ends before it begins: swap its two dates");
        }
        let (point, own) = (&contract.resale.point, raw.site.settlement_point.name.get_ref());
        if point.get_ref() != own {
            let message = format!(
                "the running engine prices what is sold back at the site's own point {own}; \
                 `headgate settle` takes the price at this one"
            );
            self.warn(&point.span(), &message);
        }
        let resale = &contract.resale;
        let (block_adder, resale_adder) =
            (self.adders(raw, AdderOn::Block), self.adders(raw, AdderOn::Resale));
        Block {
            quantity: value(&contract.quantity),
            price: self.amount(&contract.price) + block_adder,
            from: self.midnight(first, false),
            to: self.midnight(last, true),
            resale_fee: resale.fee.as_ref().map_or(Price::ZERO, |fee| self.amount(fee))
                + resale_adder,
            resale_share_ppm: resale.share.as_ref().map_or(WHOLE_PPM, |s| value(s).0),
        }
    }

    /// The first moment of a day where the market is, or of the day after it.
    pub(super) fn midnight(&mut self, date: &At<Date>, after: bool) -> Time {
        let day = value(date).0;
        let day = if after { day.tomorrow().ok() } else { Some(day) };
        let zone = match TimeZone::get(&self.market.timezone) {
            Ok(zone) => zone,
            Err(_) => {
                let market = &self.file.raw.site.market;
                let zone = &self.market.timezone;
                let message = format!("the market's time zone `{zone}` is unknown: mend its file");
                self.wrong(&market.span(), message);
                return Time(0);
            }
        };
        let start = day.and_then(|d| zone.to_timestamp(d.at(0, 0, 0, 0)).ok());
        let nanos = start.and_then(|t| i64::try_from(t.as_nanosecond()).ok());
        nanos.map_or_else(
            || {
                self.wrong(&date.span(), "the date is out of range: use a year before 2200");
                Time(0)
            },
            Time,
        )
    }

    /// Sum of the adders on one kind of energy; their currency is checked with the terms.
    fn adders(&mut self, raw: &RawConfig, on: AdderOn) -> Price {
        let own = raw.adder.iter().filter(|a| *a.on.get_ref() == on);
        own.map(|a| a.price.get_ref().0.amount).sum()
    }

    fn policy(&mut self, raw: &RawConfig) -> Policy {
        let policy = &raw.policy;
        let mode = match policy.mode.as_ref().map(|m| *m.get_ref()) {
            Some(RawMode::Off) => AutomationMode::Off,
            None | Some(RawMode::Shadow) => AutomationMode::Shadow,
            Some(RawMode::Auto) => AutomationMode::Auto,
            Some(RawMode::Hold) => AutomationMode::Hold,
            Some(RawMode::Advise) => {
                let at = policy.mode.as_ref().map_or(0..0, Spanned::span);
                self.not_built(&at, "advise", "use `shadow` to look on, or `auto` to act");
                AutomationMode::Shadow
            }
        };
        let starts = policy.starts_per_hour.as_ref();
        if let Some(zero) = starts.filter(|s| *s.get_ref() == 0) {
            self.wrong(&zero.span(), "no machine could ever wake again: use 1 or more");
        }
        let starts_per_hour = starts.map_or(STARTS_PER_HOUR, |s| *s.get_ref());
        Policy { mode, rule: self.rule(raw), starts_per_hour }
    }

    fn rule(&mut self, raw: &RawConfig) -> PolicyRule {
        let (name, strike) = (raw.policy.name.as_ref(), raw.policy.strike.as_ref());
        let price = strike.map(|s| self.amount(s));
        let rule = match name.map(|n| *n.get_ref()) {
            Some(PolicyName::AlwaysOn) => PolicyRule::AlwaysOn,
            None | Some(PolicyName::Breakeven) => PolicyRule::Breakeven,
            Some(PolicyName::FixedStrike) => {
                if price.is_none() {
                    let message = "`fixed_strike` needs a price: add `strike = \"95 USD/MWh\"`";
                    self.wrong(&name.map_or(0..0, Spanned::span), message);
                }
                PolicyRule::FixedStrike(price.unwrap_or(Price::ZERO))
            }
            Some(PolicyName::LookAhead) => PolicyRule::LookAhead,
        };
        if let (Some(strike), false) = (strike, matches!(rule, PolicyRule::FixedStrike(_))) {
            self.warn(&strike.span(), "only `fixed_strike` uses it; it is ignored");
        }
        rule
    }

    fn failsafe(&mut self, raw: &RawConfig, limits: &SiteLimits, day_ahead: bool) -> Failsafe {
        let (price, hold) = (&raw.failsafe.dispatch_price, |loss: &RawLoss, default| {
            loss.hold.as_ref().map_or(default, value)
        });
        self.loss(price, "day_ahead");
        if let (Some(level), false) = (&price.level, day_ahead) {
            self.warn(&level.span(), "no feed has the role `day_ahead`; `otherwise` will be used");
        }
        let otherwise = price.otherwise.as_ref();
        if let Some(text) = otherwise.filter(|o| value(o) > limits.import) {
            let import = limits.import;
            let message = format!("it is above `limits.import` ({import}): lower it");
            self.wrong(&text.span(), message);
        }
        for (loss, level) in [
            (&raw.failsafe.meter, "no_raise"),
            (&raw.failsafe.telemetry, "no_raise"),
            (&raw.failsafe.daemon, "as_is"),
        ] {
            self.loss(loss, level);
            if let Some(text) = &loss.otherwise {
                self.wrong(&text.span(), "only `dispatch_price` has an `otherwise`: take it out");
            }
        }
        if let Some(text) = &raw.failsafe.daemon.hold {
            self.wrong(&text.span(), "a daemon that is gone holds nothing: take it out");
        }
        Failsafe {
            dispatch_price: PriceLoss {
                hold: hold(price, PRICE_HOLD),
                day_ahead: true,
                otherwise: otherwise.map_or(Power::ZERO, value),
            },
            meter_hold: hold(&raw.failsafe.meter, METER_HOLD),
            telemetry_hold: hold(&raw.failsafe.telemetry, TELEMETRY_HOLD),
        }
    }

    /// Every signal has one level that is built.
    fn loss(&mut self, loss: &RawLoss, built: &str) {
        if let Some(level) = loss.level.as_ref().filter(|l| l.get_ref() != built) {
            self.not_built(&level.span(), level.get_ref(), &format!("use `{built}`"));
        }
    }
}

/// The quantity in a text.
pub(super) fn value<T: Copy>(text: &At<T>) -> T {
    text.get_ref().0
}

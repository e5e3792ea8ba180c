//! `plan.toml`: what a sweep is made of, each key with its place.

use crate::config::Text;
use crate::config::{ConfigError, Date, Document, In, Pair, Problem, ProblemKind, Spanned};
use headgate_core::market::SettlementPoint;
use headgate_core::site::Ramp;
use headgate_core::time::Span;
use headgate_core::units::{Money, Power, Price};
use headgate_sim::backtest::Name;
use headgate_sim::sweep::bootstrap::{BLOCK_DAYS_MAX, SEASON_DAYS_MAX};
use headgate_sim::sweep::{Resampling, Setting};
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Most settings: the product of all parameters.
pub const SETTINGS_MAX: usize = 10_000;
/// Most entries of one list.
const LIST_MAX: usize = 1_000;
/// Days taken together, where the plan says nothing.
const BLOCK_DAYS: u16 = 7;
/// How far apart in the year, where the plan says nothing.
const SEASON_DAYS: u16 = 30;
/// Parts per million in the whole, and the largest factor on a hash price.
const WHOLE_PPM: i64 = 1_000_000;
const FACTOR_PPM_MAX: i64 = 100 * WHOLE_PPM;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPlan {
    #[expect(dead_code, reason = "checked before anything else is read")]
    schema: u32,
    name: Option<Spanned<String>>,
    sites: Spanned<Vec<Spanned<PathBuf>>>,
    prices: Spanned<Vec<Spanned<RawPrices>>>,
    points: List<String>,
    years: List<i16>,
    spans: List<Pair<Text<Date>, Text<Date>>>,
    policies: List<PolicyName>,
    model: Option<Spanned<PathBuf>>,
    seeds: Option<Spanned<String>>,
    #[serde(default)]
    bootstrap: RawBootstrap,
    #[serde(default)]
    parameters: RawParameters,
}

/// A price file: as on the command line, or with the point whose prices it holds.
#[derive(Debug)]
enum RawPrices {
    Spec(String),
    Of(RawPriceFile),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPriceFile {
    file: String,
    point: String,
}

impl<'de> Deserialize<'de> for RawPrices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> de::Visitor<'de> for Reader {
            type Value = RawPrices;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file in quotes, or { file = \"FILE\", point = \"POINT\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawPrices, E> {
                Ok(RawPrices::Spec(text.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawPrices, A::Error> {
                let all = de::value::MapAccessDeserializer::new(map);
                RawPriceFile::deserialize(all).map(RawPrices::Of)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// `[bootstrap]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBootstrap {
    block_days: Option<Spanned<u16>>,
    season_days: Option<Spanned<u16>>,
}

/// A list that may be left out.
type List<T> = Option<Spanned<Vec<Spanned<T>>>>;

/// `[parameters]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParameters {
    value: List<Text<In<Price>>>,
    strike: List<Text<In<Price>>>,
    hashprice: List<Factor>,
    lag: List<Text<Span>>,
    #[serde(default)]
    unit: RawUnitParameters,
}

/// `[parameters.unit]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnitParameters {
    start: List<Text<In<Money>>>,
    min: List<Text<Power>>,
    ramp_up: List<Text<Ramp>>,
    min_on: List<Text<Span>>,
    min_off: List<Text<Span>>,
    starts_per_day: List<u16>,
}

/// A factor as people write it, `120 %`, in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Factor(i64);

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl de::Visitor<'_> for Reader {
            type Value = Factor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a factor in quotes, like \"120 %\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Factor, E> {
                let number = text.strip_suffix('%').map(str::trim_end);
                let ppm = number.and_then(|n| headgate_core::number::decimal(n, 4).ok());
                let ppm = ppm.filter(|ppm| (1..=FACTOR_PPM_MAX).contains(ppm));
                ppm.map(Factor).ok_or_else(|| {
                    E::custom(format!("\"{text}\" is no factor: write it like \"120 %\""))
                })
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// A policy by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PolicyName {
    AlwaysOn,
    FixedStrike,
    Breakeven,
    LookAhead,
    PerfectForesight,
}

impl PolicyName {
    fn name(self) -> Name {
        match self {
            Self::AlwaysOn => Name::AlwaysOn,
            Self::FixedStrike => Name::FixedStrike,
            Self::Breakeven => Name::Breakeven,
            Self::LookAhead => Name::LookAhead,
            Self::PerfectForesight => Name::PerfectForesight,
        }
    }
}

/// A price file of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceFile {
    /// `[KIND:]FILE[#column=POINT]`, the file from where the program was started.
    pub spec: String,
    /// The file alone.
    pub file: PathBuf,
    /// Whose prices it holds, where that is said.
    pub point: Option<SettlementPoint>,
}

/// Local days: from the first midnight to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first day.
    pub first: jiff::civil::Date,
    /// The first day after.
    pub after: jiff::civil::Date,
}

/// A plan whose keys, units and lists are right.
#[derive(Debug)]
pub struct Plan {
    document: Document<RawPlan>,
    pub name: String,
    pub sites: Vec<PathBuf>,
    pub prices: Vec<PriceFile>,
    /// Empty: each site's own.
    pub points: Vec<SettlementPoint>,
    pub spans: Vec<Days>,
    pub policies: Vec<Name>,
    pub model: Option<PathBuf>,
    pub seeds: Range<u64>,
    pub resampling: Resampling,
    pub settings: Vec<Setting>,
    /// Currency of its prices and money; `None` where it has none of them.
    pub currency: Option<String>,
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`ConfigError`] holds what is wrong, with line and caret.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::of(Document::read(path)?)
    }

    fn of(document: Document<RawPlan>) -> Result<Self, ConfigError> {
        let mut check = Check { document: &document, problems: Vec::new(), currency: None };
        let raw = document.raw();
        let stem = document.path().file_stem().unwrap_or_default().to_string_lossy();
        let name = raw.name.as_ref().map_or(stem.into_owned(), |n| n.get_ref().clone());
        let sites = check.list(Some(&raw.sites)).iter().map(|s| document.resolve_path(s.get_ref()));
        let sites = sites.collect();
        let prices = check.prices(&raw.prices);
        let points = check.list(raw.points.as_ref()).iter();
        let points = points.map(|p| point(p.get_ref())).collect();
        let spans = check.spans(raw);
        let policies = check.policies(raw);
        let model = raw.model.as_ref().map(|m| document.resolve_path(m.get_ref()));
        let seeds = raw.seeds.as_ref().map_or(0..1, |text| check.seeds(text));
        let resampling = check.resampling(&raw.bootstrap);
        let settings = check.settings(&raw.parameters, &raw.sites);
        let Check { problems, currency, .. } = check;
        if !problems.is_empty() {
            return Err(ConfigError::Invalid { problems });
        }
        Ok(Self {
            name,
            sites,
            prices,
            points,
            spans,
            policies,
            model,
            seeds,
            resampling,
            settings,
            currency,
            document,
        })
    }

    /// A problem with one of the plan's sites, its prices or its seeds.
    pub fn refuse(&self, key: Key, message: String) -> ConfigError {
        let raw = self.document.raw();
        let whole = 0..0;
        let at = match key {
            Key::Site(n) => raw.sites.get_ref().get(n).map(Spanned::span),
            Key::Prices => Some(raw.prices.span()),
            Key::Seeds => raw.seeds.as_ref().map(Spanned::span),
        };
        let at = at.unwrap_or(whole);
        ConfigError::Invalid {
            problems: vec![self.document.problem(ProblemKind::Wrong, &at, message)],
        }
    }
}

/// What of a plan a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A site, by its place in the list.
    Site(usize),
    Prices,
    Seeds,
}

/// `NAME` or `NAME:TYPE`.
fn point(text: &str) -> SettlementPoint {
    let (name, kind) = text.split_once(':').unwrap_or((text, ""));
    headgate_feeds::settlement_point(name, kind)
}

impl RawParameters {
    /// Where the first parameter that is given stands.
    fn first_span(&self) -> Option<Range<usize>> {
        let money =
            [self.value.as_ref().map(Spanned::span), self.strike.as_ref().map(Spanned::span)];
        let rest = [
            self.hashprice.as_ref().map(Spanned::span),
            self.lag.as_ref().map(Spanned::span),
            self.unit.start.as_ref().map(Spanned::span),
            self.unit.min.as_ref().map(Spanned::span),
            self.unit.ramp_up.as_ref().map(Spanned::span),
            self.unit.min_on.as_ref().map(Spanned::span),
            self.unit.min_off.as_ref().map(Spanned::span),
            self.unit.starts_per_day.as_ref().map(Spanned::span),
        ];
        money.into_iter().chain(rest).flatten().min_by_key(|r| r.start)
    }
}

/// Gathers what is wrong.
struct Check<'a> {
    document: &'a Document<RawPlan>,
    problems: Vec<Problem>,
    currency: Option<String>,
}

impl Check<'_> {
    fn wrong(&mut self, at: &Range<usize>, message: impl Into<String>) {
        self.problems.push(self.document.problem(ProblemKind::Wrong, at, message.into()));
    }

    /// A list, which has something in it and not too much.
    fn list<'b, T>(&mut self, list: Option<&'b Spanned<Vec<T>>>) -> &'b [T] {
        let Some(list) = list else { return &[] };
        let count = list.get_ref().len();
        if count == 0 {
            self.wrong(&list.span(), "the list is empty: name something, or leave the key out");
        } else if count > LIST_MAX {
            self.wrong(&list.span(), format!("{count} entries are more than {LIST_MAX}"));
        }
        list.get_ref()
    }

    fn prices(&mut self, list: &Spanned<Vec<Spanned<RawPrices>>>) -> Vec<PriceFile> {
        let of = |raw: &Spanned<RawPrices>| {
            let (spec, named) = match raw.get_ref() {
                RawPrices::Spec(spec) => (spec, None),
                RawPrices::Of(of) => (&of.file, Some(point(&of.point))),
            };
            let bare = crate::site_files::PriceSpec::of(spec).file.to_owned();
            let file = self.document.resolve_path(Path::new(&bare));
            // Only the file's own part is looked for beside the plan.
            let spec = spec.replacen(&bare, &file.display().to_string(), 1);
            PriceFile { spec, file, point: named }
        };
        let files = list.get_ref().iter().map(of).collect();
        self.list(Some(list));
        files
    }

    fn spans(&mut self, raw: &RawPlan) -> Vec<Days> {
        let mut spans = Vec::new();
        for year in self.list(raw.years.as_ref()) {
            let first = |y: i16| jiff::civil::Date::new(y, 1, 1).ok();
            let next = year.get_ref().checked_add(1).and_then(first);
            match (first(*year.get_ref()), next) {
                (Some(first), Some(after)) if (1970..2200).contains(year.get_ref()) => {
                    spans.push(Days { first, after });
                }
                _ => self.wrong(&year.span(), "the year is out of range: use one before 2200"),
            }
        }
        for span in self.list(raw.spans.as_ref()) {
            let Pair(Text(first), Text(after)) = span.get_ref();
            if first.0 >= after.0 {
                self.wrong(&span.span(), "it ends before it begins: its second date is after it");
            }
            spans.push(Days { first: first.0, after: after.0 });
        }
        if raw.years.is_none() && raw.spans.is_none() {
            self.wrong(&raw.sites.span(), "no span of time: add `years` or `spans`");
        }
        spans
    }

    fn policies(&mut self, raw: &RawPlan) -> Vec<Name> {
        let mut policies: Vec<Name> = Vec::new();
        for policy in self.list(raw.policies.as_ref()) {
            if policies.contains(&policy.get_ref().name()) {
                self.wrong(&policy.span(), "it is given twice: take one out");
            }
            policies.push(policy.get_ref().name());
        }
        if raw.policies.is_none() {
            policies = vec![Name::AlwaysOn, Name::Breakeven];
        }
        policies
    }

    /// `A..B`, half-open.
    fn seeds(&mut self, text: &Spanned<String>) -> Range<u64> {
        let parsed = text.get_ref().split_once("..").and_then(|(from, to)| {
            let (from, to) = (from.trim().parse::<u64>().ok()?, to.trim().parse::<u64>().ok()?);
            (from < to && to <= u64::from(u32::MAX)).then_some(from..to)
        });
        parsed.unwrap_or_else(|| {
            self.wrong(&text.span(), "write seeds like \"0..20\": the first and the one after");
            0..1
        })
    }

    fn resampling(&mut self, raw: &RawBootstrap) -> Resampling {
        let mut days = |days: Option<&Spanned<u16>>, or: u16, range: Range<u16>| {
            let Some(days) = days else { return or };
            if !range.contains(days.get_ref()) {
                let last = range.end - 1;
                self.wrong(&days.span(), format!("it is from {} to {last} days", range.start));
            }
            *days.get_ref()
        };
        let block_days = days(raw.block_days.as_ref(), BLOCK_DAYS, 1..BLOCK_DAYS_MAX + 1);
        let season_days = days(raw.season_days.as_ref(), SEASON_DAYS, 0..SEASON_DAYS_MAX + 1);
        Resampling { block_days, season_days }
    }

    /// The product of all parameters, the last one changing fastest.
    fn settings(
        &mut self,
        raw: &RawParameters,
        sites: &Spanned<Vec<Spanned<PathBuf>>>,
    ) -> Vec<Setting> {
        let mut all = vec![Setting::default()];
        let prices = |check: &mut Self, list: &List<Text<In<Price>>>| check.amounts(list);
        let (value, strike) = (prices(self, &raw.value), prices(self, &raw.strike));
        let start = self.amounts(&raw.unit.start);
        cross(&mut all, &value, |s, v| s.value = Some(v));
        cross(&mut all, &strike, |s, v| s.strike = Some(v));
        cross(&mut all, &self.plain(&raw.hashprice), |s, v| s.hashprice_ppm = Some(v.0));
        cross(&mut all, &self.texts(&raw.lag), |s, v| s.lag = Some(v));
        cross(&mut all, &start, |s, v| s.unit.start = Some(v));
        cross(&mut all, &self.texts(&raw.unit.min), |s, v| s.unit.min = Some(v));
        cross(&mut all, &self.texts(&raw.unit.ramp_up), |s, v| s.unit.ramp_up = Some(v));
        cross(&mut all, &self.texts(&raw.unit.min_on), |s, v| s.unit.min_on = Some(v));
        cross(&mut all, &self.texts(&raw.unit.min_off), |s, v| s.unit.min_off = Some(v));
        let starts = self.plain(&raw.unit.starts_per_day);
        cross(&mut all, &starts, |s, v| s.unit.starts_per_day = Some(v));
        if all.len() > SETTINGS_MAX {
            let at = raw.first_span().unwrap_or(sites.span());
            let message = "all parameters together make more than 10,000 settings: take some out";
            self.wrong(&at, message);
        }
        all
    }

    fn amounts<T: Copy + PartialEq>(&mut self, list: &List<Text<In<T>>>) -> Vec<T> {
        let mut out = Vec::new();
        for item in self.list(list.as_ref()) {
            let Text(In { amount, currency }) = item.get_ref();
            match &self.currency {
                Some(first) if first != currency => {
                    let message = format!("it is in {currency}, others in {first}: use one");
                    self.wrong(&item.span(), message);
                }
                _ => {
                    self.currency = Some(currency.clone());
                    self.once(&mut out, *amount, &item.span());
                }
            }
        }
        out
    }

    fn texts<T: Copy + PartialEq>(&mut self, list: &List<Text<T>>) -> Vec<T> {
        let mut out = Vec::new();
        for item in self.list(list.as_ref()) {
            self.once(&mut out, item.get_ref().0, &item.span());
        }
        out
    }

    fn plain<T: Copy + PartialEq>(&mut self, list: &List<T>) -> Vec<T> {
        let mut out = Vec::new();
        for item in self.list(list.as_ref()) {
            self.once(&mut out, *item.get_ref(), &item.span());
        }
        out
    }

    fn once<T: PartialEq>(&mut self, out: &mut Vec<T>, item: T, at: &Range<usize>) {
        if out.contains(&item) {
            self.wrong(at, "it is given twice: take one out");
        }
        out.push(item);
    }
}

/// Makes of each setting one for each value; none of them changes nothing.
fn cross<T: Copy>(all: &mut Vec<Setting>, values: &[T], set: impl Fn(&mut Setting, T)) {
    if values.is_empty() || all.len() > SETTINGS_MAX {
        return;
    }
    let with = |s: &Setting, v: T| {
        let mut s = *s;
        set(&mut s, v);
        s
    };
    *all = all.iter().flat_map(|s| values.iter().map(move |v| with(s, *v))).collect();
}

//! What a plan comes to before a price is read: its sites, points, spans and cases.

use super::plan::{Days, Key, Plan};
use crate::backtest::case::hashprices;
use crate::config::Loaded;
use crate::model::worth_of;
use crate::run::Refused;
use crate::site_files::load_site;
use anyhow::Context;
use headgate_core::event::{CohortModel, Hashprice};
use headgate_core::fleet::CohortId;
use headgate_core::horizon::unit::Lattice;
use headgate_core::market::SettlementPoint;
use headgate_core::site::{Site, Value};
use headgate_core::time::{Interval, SECOND, Span, Time};
use headgate_core::units::Money;
use headgate_feeds::market::Market;
use headgate_sim::backtest::{Dated, Name};
use headgate_sim::sweep::{Axes, Case, Setting, UnitSetting};
use jiff::tz::TimeZone;
use std::path::Path;

/// Version of how results come about beside the program's own.
const RESULTS: u32 = 1;
/// Digits of a case's id.
const ID_DIGITS: usize = 16;
/// Bytes of a file that are hashed at a time.
const CHUNK: usize = 1 << 16;

/// A point of one market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The market's name.
    pub market: String,
    /// The point.
    pub point: SettlementPoint,
}

/// A site and the places its cases are at.
pub struct SitePlan {
    pub loaded: Loaded,
    /// Indices into the list of places.
    pub places: Vec<usize>,
    /// What its work was worth over all spans.
    pub values: Vec<Hashprice>,
    /// What looking ahead goes by; empty where it plans on the expected path.
    pub models: Vec<Dated>,
    /// Hash of the configuration, of these values and models and of the market's rules, in hex.
    hash: String,
}

/// Everything of a sweep but its prices.
pub struct Frame {
    pub plan: Plan,
    pub sites: Vec<SitePlan>,
    pub places: Vec<Place>,
    /// The market of each place.
    pub markets: Vec<Market>,
    pub axes: Axes,
    /// Cases in all.
    pub cases: u64,
    /// Hash of everything the results depend on, in hex.
    pub hash: String,
    /// Hash of all price files.
    inputs: String,
}

impl Frame {
    /// Loads the sites and compares everything with everything.
    ///
    /// # Errors
    /// What is wrong with the plan or one of its sites, with line and caret.
    pub fn of(plan: Plan) -> anyhow::Result<Self> {
        let mut frame = Self {
            sites: Vec::new(),
            places: Vec::new(),
            markets: Vec::new(),
            axes: Axes {
                sites: plan.sites.len(),
                points: plan.points.len().max(1),
                spans: plan.spans.len(),
                seeds: plan.seeds.clone(),
                settings: plan.settings.len(),
            },
            cases: 0,
            hash: String::new(),
            inputs: String::new(),
            plan,
        };
        let Some(cases) = frame.axes.cases() else {
            let max = headgate_sim::sweep::axes::CASES_MAX;
            let message = format!("the plan has more than {max} cases: take something out");
            return Err(frame.plan.refuse(Key::Seeds, message).into());
        };
        frame.cases = cases;
        for path in frame.plan.sites.clone() {
            frame.site(&path)?;
        }
        frame.check()?;
        frame.inputs = frame.hash_inputs()?;
        frame.hash = frame.hash_all();
        Ok(frame)
    }

    fn site(&mut self, path: &Path) -> anyhow::Result<()> {
        let loaded = load_site(path)?;
        let market = Market::load(&loaded.site.market.name)?;
        let own = std::slice::from_ref(&loaded.site.point);
        let points = if self.plan.points.is_empty() { own } else { &self.plan.points };
        let mut places = Vec::new();
        for point in points {
            let place = Place { market: market.name.clone(), point: point.clone() };
            let known = self.places.iter().position(|p| *p == place);
            places.push(known.unwrap_or(self.places.len()));
            if known.is_none() {
                self.places.push(place);
                self.markets.push(market.clone());
            }
        }
        let values = self.values(&loaded, market.zone())?;
        let models = match &self.plan.model {
            _ if !self.plan.policies.contains(&Name::LookAhead) => Vec::new(),
            Some(path) => crate::model::dated(path, &loaded)?,
            None => crate::model::of_site(&loaded)?,
        };
        let config = &loaded.site.config_hash;
        let text = format!("{config} {values:?} {market:?} {models:?}");
        let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
        self.sites.push(SitePlan { loaded, places, values, models, hash });
        Ok(())
    }

    /// What a site's work was worth from the first span's beginning to the last one's end.
    fn values(&self, loaded: &Loaded, zone: &TimeZone) -> anyhow::Result<Vec<Hashprice>> {
        let first = self.plan.spans.iter().map(|s| s.first).min();
        let after = self.plan.spans.iter().map(|s| s.after).max();
        let (Some(first), Some(after)) = (first, after) else { return Ok(Vec::new()) };
        hashprices(loaded, Interval { start: midnight(zone, first)?, end: midnight(zone, after)? })
    }

    fn check(&self) -> anyhow::Result<()> {
        let settings = &self.plan.settings;
        for (n, SitePlan { loaded, places, models, .. }) in self.sites.iter().enumerate() {
            let refuse = |message| Err(self.plan.refuse(Key::Site(n), message).into());
            let currency = &loaded.site.market.currency;
            if let Some(named) = self.plan.currency.as_ref().filter(|c| *c != currency) {
                return refuse(format!(
                    "its market is in {currency}, the plan's parameters in {named}: use one"
                ));
            }
            if let Some(why) = &loaded.worth.settle_only {
                return refuse(why.clone());
            }
            let hashing = matches!(loaded.site.value, Value::Hashprice { .. });
            if !hashing && settings.iter().any(|s| s.hashprice_ppm.is_some()) {
                return refuse("its work has no hash price: take `hashprice` out".into());
            }
            if loaded.units.is_empty() && settings.iter().any(|s| s.unit != UnitSetting::default())
            {
                return refuse("it has no unit: take `[parameters.unit]` out".into());
            }
            let changed = |s: &Setting| loaded.units.iter().any(|u| s.unit.applied(u) != *u);
            if !models.is_empty() && settings.iter().any(changed) {
                return refuse(
                    "its model is of its units as they are: take `[parameters.unit]` out, or the \
                     model, or `look_ahead`"
                        .into(),
                );
            }
            if let Some(why) = other_value(loaded, models, settings) {
                return refuse(why);
            }
            let steps = places.iter().map(|p| self.markets[*p].settle_step);
            for step in steps.chain([loaded.site.market.dispatch_step]) {
                self.lattices(loaded, step).or_else(refuse)?;
            }
        }
        Ok(())
    }

    /// Every unit admits a plan under every setting.
    fn lattices(&self, loaded: &Loaded, step: Span) -> Result<(), String> {
        let mut seen: Vec<UnitSetting> = Vec::new();
        for setting in &self.plan.settings {
            if seen.contains(&setting.unit) {
                continue;
            }
            seen.push(setting.unit);
            for unit in &loaded.units {
                Lattice::new(&setting.unit.applied(unit), step).map_err(|e| {
                    let name = &loaded.site.cohort(unit.cohort).name;
                    format!(
                        "`{name}` admits no plan in steps of {step} under {}: {e}",
                        self.of_unit(setting)
                    )
                })?;
            }
        }
        Ok(())
    }

    fn of_unit(&self, setting: &Setting) -> String {
        let columns = super::table::parameters(setting);
        let set = columns.into_iter().filter(|(name, _)| name.starts_with("unit_"));
        let text: Vec<String> = set.map(|(name, value)| format!("{name} {value}")).collect();
        if text.is_empty() { "what the site says".into() } else { text.join(", ") }
    }

    fn hash_inputs(&self) -> anyhow::Result<String> {
        let mut hasher = blake3::Hasher::new();
        for file in &self.plan.prices {
            add(&mut hasher, &file.file)?;
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    fn hash_all(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // Everything that names a case is in its id; so the ids of the ends stand for all.
        for part in [self.inputs.clone(), format!("{:?} {}", self.axes, self.cases)] {
            hasher.update(part.as_bytes()).update(b"\n");
        }
        let mut axis = |text: String| {
            hasher.update(text.as_bytes()).update(b"\n");
        };
        self.sites.iter().for_each(|s| axis(format!("{} {:?}", s.hash, s.places)));
        self.places.iter().for_each(|p| axis(format!("{p:?}")));
        self.plan.spans.iter().for_each(|s| axis(format!("{} {}", s.first, s.after)));
        self.plan.settings.iter().for_each(|s| axis(format!("{s:?}")));
        axis(self.common());
        hasher.finalize().to_hex().to_string()
    }

    /// What is the same in all cases.
    fn common(&self) -> String {
        let policies: Vec<&str> = self.plan.policies.iter().map(|p| p.as_str()).collect();
        format!(
            "{RESULTS} {} {} {:?}",
            env!("CARGO_PKG_VERSION"),
            policies.join(","),
            self.plan.resampling
        )
    }

    /// A case's id: the same wherever the same case stands in whichever plan.
    pub fn id(&self, case: &Case) -> String {
        let site = &self.sites[case.site];
        let place = &self.places[site.places[case.point]];
        let Days { first, after } = self.plan.spans[case.span];
        let text = format!(
            "{} {} {:?} {first} {after} {} {:?} {}",
            self.inputs,
            site.hash,
            place,
            case.seed,
            self.plan.settings[case.setting],
            self.common(),
        );
        blake3::hash(text.as_bytes()).to_hex()[..ID_DIGITS].to_owned()
    }

    /// A span as a place's market counts days.
    ///
    /// # Errors
    /// When a day has no midnight that can be told.
    pub fn span(&self, place: usize, span: usize) -> anyhow::Result<Interval> {
        let Days { first, after } = self.plan.spans[span];
        let zone = self.markets[place].zone();
        Ok(Interval { start: midnight(zone, first)?, end: midnight(zone, after)? })
    }
}

/// Why a model cannot go with a setting of `value` or `hashprice`: it was trained at another
/// worth, and what it says of the hours to come is the worth of work at that.
fn other_value(loaded: &Loaded, models: &[Dated], settings: &[Setting]) -> Option<String> {
    for setting in settings {
        let (site, _) = setting.applied(&loaded.site, &loaded.units);
        let mut cohorts = models.iter().flat_map(|dated| &dated.models).map(|m| m.cohort);
        if let Some(ppm) = setting.hashprice_ppm
            && let Some(cohort) = cohorts.find(|c| follows_factor(&site, *c, ppm))
        {
            let (name, percent) = (&site.cohort(cohort).name, Percent(ppm));
            return Some(format!(
                "its model of `{name}` was trained at the hash price as it was, and `hashprice` \
                 {percent} changes its worth: take that factor out of this plan, and sweep it in \
                 one with a model trained at it"
            ));
        }
        let Some(value) = setting.value else { continue };
        for CohortModel { cohort, model } in models.iter().flat_map(|dated| &dated.models) {
            // With a value of its own no cohort needs a hash price.
            let worth = worth_of(&site, *cohort, None);
            if worth != Some(model.value) {
                let (name, at) = (&site.cohort(*cohort).name, model.value);
                let worth = worth.map_or("none".into(), |w| w.to_string());
                return Some(format!(
                    "its model of `{name}` was trained at a worth of {at}, and `value` {value} \
                     makes it {worth}: take that value out of this plan, and sweep it in one \
                     with a model trained at it"
                ));
            }
        }
    }
    None
}

/// Whether a factor on the hash price changes what a cohort's work is worth: not where it has a
/// worth of its own, or a strike.
fn follows_factor(site: &Site, cohort: CohortId, ppm: i64) -> bool {
    // Any hash price shows it; this one is large enough that no factor is lost in rounding.
    const SOME: i64 = 1_000_000_000;
    let at = |ppm: i64| worth_of(site, cohort, Some(Money(SOME / 1_000 * ppm / 1_000)));
    at(ppm) != at(1_000_000)
}

/// A factor in millionths, shown in percent.
struct Percent(i64);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        let text = format!("{whole}.{rest:04}");
        write!(f, "{} %", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// The first moment of a local day.
///
/// # Errors
/// When it is beyond what can be told.
pub fn midnight(zone: &TimeZone, day: jiff::civil::Date) -> anyhow::Result<Time> {
    let start = zone.to_timestamp(day.at(0, 0, 0, 0))?;
    let nanos = start.as_second().checked_mul(SECOND).context("the day is out of range")?;
    Ok(Time(nanos))
}

fn add(hasher: &mut blake3::Hasher, path: &Path) -> anyhow::Result<()> {
    use std::io::Read;
    let failed = |e: std::io::Error| Refused(format!("failed to read {}: {e}", path.display()));
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut chunk = vec![0u8; CHUNK];
    let mut length = 0u64;
    loop {
        let n = file.read(&mut chunk).map_err(failed)?;
        if n == 0 {
            hasher.update(&length.to_le_bytes());
            return Ok(());
        }
        length += n as u64;
        hasher.update(&chunk[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_core::site::Value;
    use headgate_core::time::Span;
    use headgate_core::units::Price;

    /// A factor counts where work is worth what the hash price says, and nowhere else.
    #[test]
    fn a_factor_changes_the_worth_of_what_follows_the_hash_price() {
        let mut site = headgate_core::testing::site(1);
        let cohort = CohortId(0);
        assert!(!follows_factor(&site, cohort, 1_100_000), "a worth by energy");
        site.value = Value::Hashprice {
            pool_fee_ppm: 0,
            stale_after: Span::hours(48),
            stale_discount_ppm: 0,
        };
        for ppm in [900_000, 1_000_001, 1_100_000] {
            assert!(follows_factor(&site, cohort, ppm), "{}", Percent(ppm));
        }
        assert!(!follows_factor(&site, cohort, 1_000_000));
        site.cohorts[0].value = Some(Price(40_000_000));
        assert!(!follows_factor(&site, cohort, 1_100_000));
    }
}

//! Files of trained models: a magic word, the hash of what follows, and the models by cohort.

use crate::config::Loaded;
use crate::run::Refused;
use anyhow::{Context, bail};
use headgate_core::event::CohortModel;
use headgate_core::fleet::CohortId;
use headgate_core::horizon::advise::Adviser;
use headgate_core::horizon::model::Model;
use headgate_core::horizon::unit::{Begins, UnitSpec};
use headgate_core::merit::Staircase;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::site::Site;
use headgate_core::time::Time;
use headgate_core::units::{Money, Power, Price};
use headgate_sim::backtest::Dated;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// First bytes of a model file: the form of the rest.
const MAGIC: &[u8; 8] = b"HGMODEL1";
/// Bytes of the hash behind it.
const HASH_BYTES: usize = 32;
/// Largest model file that is read: far beyond any that `train` writes.
const BYTES_MAX: u64 = 64 << 20;

/// What a model file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Version of the program that trained it.
    pub trained_by: String,
    /// Models by the name of their cohort.
    pub models: Vec<(String, Model)>,
}

impl ModelFile {
    /// The file's bytes.
    ///
    /// # Errors
    /// When it cannot be put into bytes.
    pub fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let content = postcard::to_stdvec(self)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(blake3::hash(&content).as_bytes());
        bytes.extend_from_slice(&content);
        Ok(bytes)
    }

    /// Reads a file's bytes, and checks every model.
    ///
    /// # Errors
    /// One sentence that says what is wrong with it.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        let anew = "train it anew with `headgate train`";
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            bail!(Refused(format!("{name} is no model of this program: {anew}")));
        };
        let Some((hash, content)) = rest.split_at_checked(HASH_BYTES) else {
            bail!(Refused(format!("{name} is cut off: {anew}")));
        };
        if blake3::hash(content).as_bytes() != hash {
            bail!(Refused(format!("{name} is damaged, its hash does not fit: {anew}")));
        }
        let file: Self = postcard::from_bytes(content)
            .map_err(|e| Refused(format!("{name} cannot be read ({e}): {anew}")))?;
        for (cohort, model) in &file.models {
            Adviser::new(model.clone())
                .map_err(|e| Refused(format!("{name}, cohort `{cohort}`: {e}")))?;
        }
        Ok(file)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`ModelFile::from_bytes`]; also when it cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let about = std::fs::metadata(path);
        let about = about.map_err(|e| {
            let mend = "name a file that `headgate train` wrote";
            Refused(format!("failed to read the model {name} ({e}): {mend}"))
        })?;
        if about.len() > BYTES_MAX {
            bail!(Refused(format!("{name} has {} bytes, too many for a model", about.len())));
        }
        let bytes = std::fs::read(path).with_context(|| format!("failed to read {name}"))?;
        Self::from_bytes(&name, &bytes)
    }

    /// The models of a site's cohorts.
    ///
    /// # Errors
    /// When none is of this site, or one is of a cohort with other physics or another step.
    pub fn of(&self, name: &str, loaded: &Loaded) -> anyhow::Result<Vec<CohortModel>> {
        let site = &loaded.site;
        let mut all = Vec::new();
        for (cohort, model) in &self.models {
            let Some(i) = site.cohorts.iter().position(|c| c.name == *cohort) else { continue };
            let id = CohortId(u16::try_from(i)?);
            let want = planned_as(site, &loaded.units, id);
            let same = |u: &UnitSpec| UnitSpec { cohort: CohortId(0), ..*u };
            if want.is_none_or(|want| same(&want) != same(&model.unit)) {
                bail!(Refused(format!(
                    "{name} was trained for a `{cohort}` of other physics: train it anew"
                )));
            }
            if model.settle_step != site.market.settle_step {
                bail!(Refused(format!(
                    "{name} was trained for intervals of {}, and {} settles by {}: train it anew",
                    model.settle_step, site.market.name, site.market.settle_step
                )));
            }
            all.push(CohortModel { cohort: id, model: model.clone() });
        }
        if all.is_empty() {
            let names: Vec<&str> = self.models.iter().map(|(n, _)| n.as_str()).collect();
            bail!(Refused(format!(
                "{name} is of {}, none of which is a cohort of {}",
                names.join(", "),
                site.name
            )));
        }
        Ok(all)
    }
}

/// The models of a file, in force always.
///
/// # Errors
/// As [`ModelFile::read`] and [`ModelFile::of`].
pub fn dated(path: &Path, loaded: &Loaded) -> anyhow::Result<Vec<Dated>> {
    let models = ModelFile::read(path)?.of(&path.display().to_string(), loaded)?;
    Ok(vec![Dated { from: Time::MIN, models }])
}

/// The models that a site's policy names; none where it names none.
///
/// # Errors
/// As [`dated`].
pub fn of_site(loaded: &Loaded) -> anyhow::Result<Vec<Dated>> {
    loaded.model.as_deref().map_or(Ok(Vec::new()), |path| dated(path, loaded))
}

/// What a cohort is planned as: its unit, or all its machines as one that is on or off. `None`
/// where it has nothing that works.
pub fn planned_as(site: &Site, units: &[UnitSpec], id: CohortId) -> Option<UnitSpec> {
    if let Some(unit) = units.iter().find(|u| u.cohort == id) {
        return Some(*unit);
    }
    let cohort = site.cohort(id);
    let machines = site.machines.iter().filter(|m| m.cohort == id && !m.excluded).count();
    let machines = i64::try_from(machines).ok().filter(|n| *n > 0)?;
    let levels = cohort.curve.levels();
    let top = levels[levels.len() - 1 - usize::from(cohort.overclocked)].power;
    let full = (top - cohort.curve.sleep()).times(machines);
    Some(UnitSpec {
        cohort: id,
        min: full,
        max: full,
        start_at: full,
        ramp_up: None,
        ramp_down: None,
        min_on: cohort.times.min_on,
        min_off: cohort.times.min_off,
        start_cost: cohort.start_cost.times(machines),
        starts_per_day: None,
        begins: Begins::Off,
    })
    .filter(|u| u.max > Power::ZERO)
}

/// What a consumed MWh of a cohort is worth at the meter, adders taken off: in terms of the
/// market's price. `None` where that takes a hash price and none is known.
pub fn worth_of(site: &Site, id: CohortId, hashprice: Option<Money>) -> Option<Price> {
    let stairs = Staircase::of(site, hashprice)?;
    let steps = stairs.by_cohort.get(usize::from(id.0))?;
    let power: i128 = steps.iter().map(|s| i128::from(s.power.0)).sum();
    let sum: i128 = steps.iter().map(|s| i128::from(s.breakeven.0) * i128::from(s.power.0)).sum();
    let mean = (power > 0).then(|| Price(to_i64(div_half_even(sum, power))))?;
    Some(mean - site.import_adder)
}

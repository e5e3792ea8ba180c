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
                "{name} is of {}, none of which is a cohort of {}: train it anew",
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

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_core::horizon::features::Knowledge;
    use headgate_core::horizon::model::{
        Anchors, Band, MODEL_VERSION, Next, Split, Table, Trained, Tree,
    };
    use headgate_core::horizon::unit::Lattice;
    use headgate_core::time::{Interval, Span};
    use proptest::prelude::*;

    /// A small file: a model of one table with one tree.
    fn file() -> ModelFile {
        let unit = headgate_core::testing::block();
        let step = Span::minutes(15);
        let lattice = Lattice::new(&unit, step).unwrap();
        let anchors = Anchors::of(&lattice);
        let (states, split) = (anchors.count(), |of, at, low, high| Split { of, at, low, high });
        let tree = Tree {
            splits: vec![
                split(0, -90, Next::Leaf(1), Next::Split(1)),
                split(7, 300, Next::Leaf(0), Next::Leaf(2)),
            ],
            leaves: (0..3 * states as i16).map(|v| 40 - v).collect(),
        };
        let table = Table {
            knowledge: Knowledge::Runs(2),
            unit: Money(1_000),
            constant: (0..states as i32).map(|v| v - 5).collect(),
            trees: vec![tree],
        };
        let model = Model {
            version: MODEL_VERSION,
            unit,
            value: Price(40_000_000),
            scale: Price(10_000_000),
            step,
            settle_step: step,
            offsets: vec![(Time::from_seconds(0), Span::hours(-6))],
            trained: Trained {
                points: Vec::new(),
                span: Interval::starting(Time::from_seconds(0), Span::hours(200)),
                rows: 800,
                day_ahead: false,
                look_ahead: false,
            },
            anchors,
            worth_most: Money(4_000_000_000),
            tables: vec![table],
            band: Band { start_below: Price(-1_000_000), stop_above: Price(2_000_000) },
        };
        ModelFile { trained_by: "1.2.3".into(), models: vec![("block".into(), model)] }
    }

    fn refused(bytes: &[u8]) -> String {
        let error = ModelFile::from_bytes("m.hgm", bytes).unwrap_err();
        assert!(error.downcast_ref::<Refused>().is_some(), "{error}");
        error.to_string()
    }

    /// The file of some content, whatever it holds, with the hash that fits.
    fn sealed(content: &[u8]) -> Vec<u8> {
        [&MAGIC[..], blake3::hash(content).as_bytes(), content].concat()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = file().to_bytes().unwrap();
        assert_eq!(ModelFile::from_bytes("m.hgm", &bytes).unwrap(), file());
        assert_eq!(sealed(&bytes[40..]), bytes);
    }

    #[test]
    fn a_file_cut_at_any_byte_is_refused() {
        let bytes = file().to_bytes().unwrap();
        for length in 0..bytes.len() {
            let said = refused(&bytes[..length]);
            let want = match length {
                0..8 => "m.hgm is no model of this program: train it anew with `headgate train`",
                8..40 => "m.hgm is cut off: train it anew with `headgate train`",
                _ => "m.hgm is damaged, its hash does not fit: train it anew with `headgate train`",
            };
            assert_eq!(said, want, "{length} bytes");
            if length > 40 {
                // Even with the hash of what is left.
                let said = refused(&sealed(&bytes[40..length]));
                assert!(said.starts_with("m.hgm cannot be read ("), "{length} bytes: {said}");
            }
        }
    }

    #[test]
    fn a_changed_bit_anywhere_is_refused() {
        let bytes = file().to_bytes().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let said = refused(&other);
            let want = if bit < 64 { "is no model of this program" } else { "is damaged" };
            assert!(said.contains(want), "bit {bit}: {said}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut other = file();
        other.models[0].1.version = MODEL_VERSION + 1;
        insta::assert_snapshot!(
            refused(&other.to_bytes().unwrap()),
            @"m.hgm, cohort `block`: the model is of version 3, this program reads 2: train it anew"
        );
        let mut other = file();
        other.models[0].1.band.start_below = Price(3_000_000);
        insta::assert_snapshot!(
            refused(&other.to_bytes().unwrap()),
            @"m.hgm, cohort `block`: the model's band is damaged: train it anew"
        );
    }

    /// Reads the content as docs/model.md has it.
    struct Reader<'a>(&'a [u8]);

    impl Reader<'_> {
        fn unsigned(&mut self) -> u64 {
            let mut sum = 0;
            for place in 0.. {
                let byte = self.byte();
                sum |= u64::from(byte & 0x7f) << (7 * place);
                if byte < 0x80 {
                    break;
                }
            }
            sum
        }

        fn signed(&mut self) -> i64 {
            let n = self.unsigned();
            (n >> 1) as i64 ^ -((n & 1) as i64)
        }

        fn byte(&mut self) -> u8 {
            let (first, rest) = self.0.split_first().unwrap();
            self.0 = rest;
            *first
        }

        fn text(&mut self) -> String {
            let length = usize::try_from(self.unsigned()).unwrap();
            let (text, rest) = self.0.split_at(length);
            self.0 = rest;
            String::from_utf8(text.to_vec()).unwrap()
        }
    }

    #[test]
    fn the_form_is_that_of_the_document() {
        let file = file();
        let bytes = file.to_bytes().unwrap();
        let (name, m) = &file.models[0];
        let mut r = Reader(&bytes[40..]);
        assert_eq!((r.text(), r.unsigned(), r.text()), ("1.2.3".into(), 1, name.clone()));
        assert_eq!((r.unsigned(), r.unsigned()), (u64::from(MODEL_VERSION), 0));
        let u = &m.unit;
        assert_eq!([r.signed(), r.signed(), r.signed()], [u.min.0, u.max.0, u.start_at.0]);
        for ramp in [u.ramp_up, u.ramp_down] {
            let read = (r.byte() == 1).then(|| (r.signed(), r.signed()));
            assert_eq!(read, ramp.map(|ramp| (ramp.power.0, ramp.per.0)));
        }
        assert_eq!([r.signed(), r.signed()], [u.min_on.0, u.min_off.0]);
        assert_eq!(r.signed(), u.start_cost.0);
        let starts = (r.byte() == 1).then(|| r.unsigned());
        assert_eq!(starts, u.starts_per_day.map(u64::from));
        assert_eq!(r.byte(), u8::from(u.begins == Begins::On));
        assert_eq!([r.signed(), r.signed()], [m.value.0, m.scale.0]);
        assert_eq!([r.signed(), r.signed()], [m.step.0, m.settle_step.0]);
        let (from, offset) = m.offsets[0];
        assert_eq!((r.unsigned(), r.signed(), r.signed()), (1, from.0, offset.0));
        assert_eq!(r.unsigned(), 0, "no points");
        assert_eq!([r.signed(), r.signed()], [m.trained.span.start.0, m.trained.span.end.0]);
        assert_eq!((r.unsigned(), r.byte(), r.byte()), (m.trained.rows, 0, 0));
        for list in [&m.anchors.off, &m.anchors.on, &m.anchors.levels] {
            let read: Vec<u64> = (0..r.unsigned()).map(|_| r.unsigned()).collect();
            assert_eq!(read, list.iter().map(|n| u64::from(*n)).collect::<Vec<_>>());
        }
        assert_eq!(r.signed(), m.worth_most.0);
        assert_eq!(r.unsigned(), 1, "a table");
        let table = &m.tables[0];
        assert_eq!((r.byte(), r.byte(), r.signed()), (0, 2, table.unit.0));
        let read: Vec<i64> = (0..r.unsigned()).map(|_| r.signed()).collect();
        assert_eq!(read, table.constant.iter().map(|v| i64::from(*v)).collect::<Vec<_>>());
        assert_eq!((r.unsigned(), r.unsigned()), (1, 2), "a tree of two questions");
        for split in &table.trees[0].splits {
            assert_eq!((r.byte(), r.signed()), (split.of, i64::from(split.at)));
            for next in [split.low, split.high] {
                let read = (r.byte(), r.unsigned());
                let told = match next {
                    Next::Split(i) => (0, u64::from(i)),
                    Next::Leaf(i) => (1, u64::from(i)),
                };
                assert_eq!(read, told);
            }
        }
        let read: Vec<i64> = (0..r.unsigned()).map(|_| r.signed()).collect();
        let leaves = &table.trees[0].leaves;
        assert_eq!(read, leaves.iter().map(|v| i64::from(*v)).collect::<Vec<_>>());
        assert_eq!([r.signed(), r.signed()], [m.band.start_below.0, m.band.stop_above.0]);
        assert_eq!(r.0, b"", "nothing is left");
    }

    proptest! {
        /// A hash that fits is no proof of sense: what is read is checked, and never a panic.
        #[test]
        fn content_of_any_kind_is_read_or_refused(
            changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
        ) {
            let mut content = file().to_bytes().unwrap()[40..].to_vec();
            let n = content.len();
            changes.iter().for_each(|(at, byte)| content[usize::from(*at) % n] = *byte);
            if let Ok(read) = ModelFile::from_bytes("m.hgm", &sealed(&content)) {
                for (_, model) in &read.models {
                    prop_assert!(Adviser::new(model.clone()).is_ok());
                }
            }
        }
    }
}

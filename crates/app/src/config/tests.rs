//! Every configuration of `tests/configs` against its golden file, the example, the published
//! schema, and what holds for any file at all.

use super::unit::Quantity;
use super::{ConfigError, ConfigFile, LiveDriver, Loaded, MarketFacts, load, resolve};
use headgate_core::event::AutomationMode;
use headgate_core::site::{MarketRule, PolicyRule};
use headgate_core::time::Span;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().find(|p| p.join("config.example.toml").exists());
    root.expect("the example is at the root of the repository").to_owned()
}

fn market(name: &str) -> Result<MarketFacts, String> {
    if name != "ercot" {
        return Err(format!("there is no markets/{name}.toml: use ercot"));
    }
    let rule = MarketRule {
        name: name.to_owned(),
        currency: "USD".to_owned(),
        dispatch_step: Span::minutes(5),
        settle_step: Span::minutes(15),
    };
    Ok(MarketFacts { rule, timezone: "America/Chicago".to_owned() })
}

/// The files of a folder with an ending, by name.
fn files(folder: &Path, ending: &str) -> Vec<(String, PathBuf)> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    all.sort();
    all
}

/// Compares one text a configuration with the golden file beside it.
fn walk(kind: &str, show: impl Fn(&str, Result<Loaded, ConfigError>) -> String) {
    let folder = root().join("tests/configs").join(kind);
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let prefix = format!("{}/", folder.display());
    let configs = files(&folder, "toml");
    for (name, path) in &configs {
        let text = show(name, load(path, &market)).replace(&prefix, "");
        settings.bind(|| insta::assert_snapshot!(name.as_str(), text));
    }
    let names: BTreeSet<_> = configs.iter().map(|(name, _)| name).collect();
    for (golden, _) in &files(&folder, "snap") {
        assert!(names.contains(golden), "{golden}.snap has no configuration");
    }
    assert!(!names.is_empty(), "there is nothing in {}", folder.display());
}

#[test]
fn invalid_configurations_are_refused_by_line_and_caret() {
    walk("invalid", |name, loaded| match loaded {
        Ok(_) => panic!("{name} was accepted"),
        Err(error) => error.to_string(),
    });
}

#[test]
fn valid_configurations_resolve() {
    walk("valid", |name, loaded| match loaded {
        Ok(loaded) => summary(&loaded),
        Err(error) => panic!("{name} was refused:\n{error}"),
    });
}

/// All of a loaded configuration on one line a thing.
fn summary(loaded: &Loaded) -> String {
    let site = &loaded.site;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name}: {value}").expect("writing to a text cannot fail");
    };
    line("site", format!("{} at {} in {}", site.name, site.point, site.timezone));
    line("market", format!("{:?}", site.market));
    line("overhead", format!("{:?}", site.overhead));
    line("limits", format!("{:?}", site.limits));
    for block in &site.blocks {
        line("block", format!("{block:?}"));
        line("term", format!("{} to {}", block.from, block.to));
    }
    line("import_adder", format!("{:?}", site.import_adder));
    line("value", format!("{:?}", site.value));
    for (i, cohort) in site.cohorts.iter().enumerate() {
        line("cohort", format!("{cohort:?}"));
        let own = site.machines.iter().filter(|m| usize::from(m.cohort.0) == i);
        let own: Vec<_> = own.collect();
        let ends = [own.first(), own.last()].map(|m| m.unwrap().address.clone());
        line("machines", format!("{}, {} to {}", own.len(), ends[0], ends[1]));
        let excluded = own.iter().filter(|m| m.excluded).map(|m| m.address.as_str());
        let excluded: Vec<_> = excluded.collect();
        line("excluded", format!("{}, {:?}", excluded.len(), &excluded[..excluded.len().min(3)]));
    }
    line("policy", format!("{:?}", site.policy));
    site.feeds.iter().for_each(|feed| line("feed", format!("{feed:?}")));
    loaded.live.iter().for_each(|live| line("live", format!("{live:?}")));
    site.drivers.iter().for_each(|driver| line("driver", format!("{driver:?}")));
    for beside in loaded.drivers.iter().filter(|d| **d != LiveDriver::default()) {
        line("beside", format!("{beside:?}"));
    }
    site.meters.iter().for_each(|meter| line("meter", format!("{meter:?}")));
    loaded.hands.switches.iter().for_each(|switch| line("switch", format!("{switch:?}")));
    loaded.switches.iter().for_each(|plan| line("told", format!("{plan:?}")));
    loaded.meters.iter().flatten().for_each(|plan| line("read", format!("{plan:?}")));
    line("failsafe", format!("{:?}", site.failsafe));
    line("data", format!("{}", loaded.data.display()));
    line("hashprice", format!("{:?}", loaded.hashprice));
    line("worth", format!("{:?}", loaded.worth));
    let terms = &loaded.terms;
    for (block, point) in terms.blocks.iter().zip(&loaded.resale) {
        line("sold back", format!("at {point}: {block:?}"));
    }
    terms.adders.iter().for_each(|adder| line("adder", format!("{adder:?}")));
    terms.charges.iter().for_each(|charge| line("charge", format!("{charge:?}")));
    line("losses", terms.loss_ppm.to_string());
    line("deviation", format!("{:?}", terms.deviation));
    loaded.warnings.iter().for_each(|warning| line("warning", warning.clone()));
    text
}

#[test]
fn the_example_runs_in_shadow() {
    let loaded = load(&root().join("config.example.toml"), &market).unwrap();
    assert_eq!(loaded.site.policy.mode, AutomationMode::Shadow);
    assert_eq!(loaded.site.machines.len(), 2 * 256 + 250);
    assert!(loaded.site.machines.iter().all(|m| m.address.starts_with("127.")));
}

/// A key of the schema that the example does not show is a key nobody finds.
#[test]
fn the_example_shows_every_key() {
    let example = std::fs::read_to_string(root().join("config.example.toml")).unwrap();
    let words: BTreeSet<&str> =
        example.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let schema = include_str!("raw.rs");
    let mut keys = 0;
    for line in schema.lines().filter_map(|l| l.strip_prefix("    pub ")) {
        let Some((key, _)) = line.split_once(": ") else { continue };
        keys += 1;
        assert!(words.contains(key), "config.example.toml does not show `{key}`");
    }
    assert!(keys > 50, "the schema was not found in raw.rs: {keys} keys");
}

#[test]
fn the_published_schema_is_taken_whole() {
    let shared = std::env::var_os("HEADGATE_SHARED").map(PathBuf::from);
    let path = shared.unwrap_or_else(|| root().join("../shared")).join("site.example.toml");
    if !path.exists() {
        eprintln!("SKIPPED: the published schema is not at {}", path.display());
        return;
    }
    let loaded = load(&path, &market).unwrap();
    assert_eq!(loaded.site.policy.rule, PolicyRule::LookAhead);
    assert!(loaded.model.is_some_and(|m| m.ends_with("models/lz_west.hgm")));
}

#[test]
fn a_file_that_is_not_there_is_told_with_its_cause() {
    let error = load(Path::new("no/such/site.toml"), &market).unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(error.to_string(), "failed to read no/such/site.toml");
    assert_eq!(cause.as_deref(), Some("No such file or directory (os error 2)"));
}

#[test]
fn the_hash_is_of_the_file_and_its_inventories() {
    let folder = root().join("tests/configs/valid");
    let hash = |name: &str| load(&folder.join(name), &market).unwrap().site.config_hash;
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(hash("minimal.toml"), blake3::hash(&bytes("minimal.toml")).to_hex().as_str());
    let inventory = bytes("inventory.csv");
    let mut all = bytes("inventory.toml");
    all.extend((inventory.len() as u64).to_le_bytes());
    all.extend(inventory);
    assert_eq!(hash("inventory.toml"), blake3::hash(&all).to_hex().as_str());
}

#[test]
fn a_file_that_is_not_utf_8_is_told_by_its_line() {
    let folder = std::env::temp_dir().join(format!("headgate-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("latin1.toml");
    std::fs::write(&path, b"schema = 1\n[site]\nname = \"Caf\xe9\"\n").unwrap();
    let error = load(&path, &market).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    let error = error.replace(&format!("{}/", folder.display()), "");
    insta::assert_snapshot!(error, @r#"
    error: this byte is not UTF-8: save the file as UTF-8
     --> latin1.toml:3:12
      |
    3 | name = "Caf�"
      |            ^
    "#);
}

fn check<T: Quantity>(text: &str, of: fn(T) -> i64, want: Result<i64, &str>) {
    assert_eq!(T::read(text).map(of), want.map_err(String::from), "{text}");
}

#[test]
fn quantities_are_exact() {
    use super::unit::{In, Share, WorkRate};
    use headgate_core::units::{Power, Price};
    check("7 MW", |p: Power| p.0, Ok(7_000_000));
    check("0.7kW", |p: Power| p.0, Ok(700));
    check("1.500 W", |p: Power| p.0, Err("in W at most 0 decimals are kept"));
    check("1.0 W", |p: Power| p.0, Ok(1));
    check("MW", |p: Power| p.0, Err("the number is missing"));
    check("1e3 W", |p: Power| p.0, Err("the unit `e3 W` is not one of W, kW, MW, GW"));
    check("1.5 h", |s: Span| s.0, Ok(5_400 * 1_000_000_000));
    check("4 %", |s: Share| s.0, Ok(40_000));
    check("-4.1 USD/MWh", |p: In<Price>| p.amount.0, Ok(-4_100_000));
    check("0.028 USD/kWh", |p: In<Price>| p.amount.0, Ok(28_000_000));
    check("39.2 TH/s", |r: WorkRate| r.rate.0, Ok(39_200));
    check("0.0001 EH/s", |r: WorkRate| r.rate.0, Ok(100_000));
    check("1200.5 tokens/s", |r: WorkRate| r.rate.0, Ok(1_200_500));
}

#[test]
fn a_power_on_the_command_line_is_read_like_one_in_the_file() {
    use headgate_core::units::Power;
    assert_eq!(super::power("2.5 MW"), Ok(Power(2_500_000)));
    insta::assert_snapshot!(
        super::power("2.5").unwrap_err(),
        @r#""2.5" is not a power: the unit is missing (one of W, kW, MW, GW); write it like "7 MW""#
    );
}

#[test]
fn a_market_in_a_file_is_looked_for_beside_the_configuration() {
    let text = std::fs::read_to_string(root().join("tests/configs/valid/minimal.toml")).unwrap();
    let folder = std::env::temp_dir().join(format!("headgate-market-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("site.toml");
    std::fs::write(&path, text.replace("\"ercot\"", "\"mine.toml\"")).unwrap();
    let asked = std::cell::RefCell::new(String::new());
    let loaded = load(&path, &|name| {
        *asked.borrow_mut() = name.to_owned();
        market("ercot")
    });
    std::fs::remove_dir_all(&folder).unwrap();
    loaded.unwrap();
    assert_eq!(asked.into_inner(), folder.join("mine.toml").display().to_string());
}

proptest::proptest! {
    #[test]
    fn powers_survive_their_text(watts in 0i64..1_000_000_000_000) {
        use headgate_core::units::Power;
        let texts = [
            format!("{watts} W"),
            format!("{}.{:03} kW", watts / 1000, watts % 1000),
            format!("{}.{:06} MW", watts / 1_000_000, watts % 1_000_000),
        ];
        for text in texts {
            assert_eq!(Power::read(&text), Ok(Power(watts)));
        }
    }

    /// Whatever is typed over the example, the answer is a site or problems with their places.
    #[test]
    fn no_file_breaks_the_reader(
        at in 0.0f64..1.0, cut in 0usize..12, typed in "[ -~é\n\t]{0,6}",
    ) {
        let example = std::fs::read_to_string(root().join("config.example.toml")).unwrap();
        let chars: Vec<char> = example.chars().collect();
        let from = ((chars.len() as f64) * at) as usize;
        let to = (from + cut).min(chars.len());
        let (before, after) = (chars[..from].iter().copied(), chars[to..].iter().copied());
        let text: String = before.chain(typed.chars()).chain(after).collect();
        let read = ConfigFile::parse(Path::new("site.toml"), text.clone());
        let facts = market("ercot").unwrap();
        let Err(error) = read.and_then(|file| resolve(&file, &facts)) else { return Ok(()) };
        assert!(!error.problems().is_empty());
        for problem in error.problems() {
            if let Some(place) = &problem.place {
                let line = text.lines().nth(place.line - 1).unwrap_or_default();
                assert_eq!(place.text, line);
                assert!(place.column <= line.chars().count() + 1);
            }
        }
    }
}

//! Sweeps: the same bytes on any number of threads, from any shards, after any kill.

use crate::common::{Folder, Running, Said, block_site, headgate, path, run, wait_for};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

fn site() -> String {
    block_site("HB_A", Some("20 MW per 15 min"))
}

const OUTPUTS: [&str; 3] = ["sweep.csv", "sweep.parquet", "summary.html"];
/// Cases of [`PLAN`].
const CASES: usize = 16;

const PLAN: &str = r#"schema = 1
name = "Two points"
sites = ["site.toml"]
points = ["HB_A", "HB_B"]
prices = ["spp.csv", "sced.csv"]
policies = ["always_on", "breakeven", "perfect_foresight"]
spans = [["2024-02-09", "2024-02-11"]]
seeds = "0..4"
[bootstrap]
block_days = 2
[parameters]
value = ["40 USD/MWh", "60 USD/MWh"]
"#;

/// A part of it.
const SPAN_AND_SEEDS: &str = "[[\"2024-02-09\", \"2024-02-11\"]]\nseeds = \"0..4\"";

/// Twelve days of made-up prices of two points, with a spike now and then: settlement prices of
/// quarter hours, and runs that they are the means of.
fn prices(folder: &Folder) {
    let mut spp = "interval_start_utc,HB_A,HB_B\n".to_owned();
    let mut sced = "SCEDTimestamp,repeatHourFlag,HB_A,HB_B\n".to_owned();
    let zone = jiff::tz::TimeZone::get("America/Chicago").unwrap();
    let mut state = 7u64;
    let mut draw = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for quarter in 0..12 * 96u64 {
        let utc = 1_706_767_200 + quarter * 900;
        let spike = if draw(40) == 0 { 900 } else { 0 };
        let mut mean = [0; 2];
        for i in 0..3 {
            let cents: Vec<u64> = (0..2).map(|_| 2_000 + draw(4_500) + spike * 10).collect();
            let at = jiff::Timestamp::from_second((utc + i * 300) as i64).unwrap();
            let local = zone.to_datetime(at);
            let stamp = local.strftime("%Y-%m-%dT%H:%M:%S");
            writeln!(
                sced,
                "{stamp},N,{}.{:02},{}.{:02}",
                cents[0] / 100,
                cents[0] % 100,
                cents[1] / 100,
                cents[1] % 100
            )
            .unwrap();
            (0..2).for_each(|p| mean[p] += cents[p]);
        }
        let at = jiff::Timestamp::from_second(utc as i64).unwrap();
        let [a, b] = mean.map(|sum| sum / 3);
        writeln!(spp, "{at},{}.{:02},{}.{:02}", a / 100, a % 100, b / 100, b % 100).unwrap();
    }
    folder.write("spp.csv", spp);
    folder.write("sced.csv", sced);
}

fn prepared(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("site.toml", site());
    folder.write("plan.toml", PLAN);
    prices(&folder);
    folder
}

fn sweep(folder: &Folder, out: &str, more: &[&str]) -> Said {
    let (plan, out) = (folder.path().join("plan.toml"), folder.path().join(out));
    let fixed = ["sweep", path(&plan), "--out", path(&out), "--format", "json"];
    headgate().args(fixed).args(more).output().unwrap().into()
}

fn outputs(folder: &Folder, out: &str) -> Vec<Vec<u8>> {
    OUTPUTS.map(|name| std::fs::read(folder.path().join(out).join(name)).unwrap()).to_vec()
}

/// Cases that a record holds so far.
fn kept(record: &Path) -> usize {
    let text = std::fs::read(record).unwrap_or_default();
    text.iter().filter(|b| **b == b'\n').count().saturating_sub(1)
}

#[test]
fn threads_and_shards_make_no_difference() {
    let folder = prepared("sweep-same");
    let whole = sweep(&folder, "one", &["--threads", "1"]).ok().json();
    assert_eq!((whole["cases"].as_u64(), whole["failed"].as_u64()), (Some(16), Some(0)));
    let expected = outputs(&folder, "one");
    for threads in ["2", "4"] {
        sweep(&folder, threads, &["--threads", threads]).ok();
        assert!(outputs(&folder, threads) == expected, "{threads} threads");
    }
    for (shard, out) in [("1/3", "parts"), ("2/3", "parts"), ("3/3", "apart")] {
        let part = sweep(&folder, out, &["--shard", shard]).ok().json();
        assert_eq!(part["shard"], shard);
    }
    let early = sweep(&folder, "parts", &["--merge"]);
    insta::assert_snapshot!(early.verdict(&folder), @r#"
    exit 3
    headgate: 6 of 16 cases are not done, the first is case 10: run the shards that have them first
    "#);
    let (a, b) = (folder.path().join("parts"), folder.path().join("apart"));
    sweep(&folder, "merged", &["--merge", path(&a), path(&b)]).ok();
    assert!(outputs(&folder, "merged") == expected, "merged shards");
}

#[test]
fn a_killed_sweep_goes_on_to_the_same_bytes() {
    let folder = prepared("sweep-kill");
    sweep(&folder, "whole", &[]).ok();
    let (plan, out) = (folder.path().join("plan.toml"), folder.path().join("killed"));
    let record = out.join("cases.log");
    let args = ["sweep", path(&plan), "--out", path(&out), "--threads", "1"];
    let mut interrupted = 0;
    for at in [1, 4, 9] {
        let running = Running::start(&folder, "killed", &args);
        wait_for("the next case", || (kept(&record) >= at).then_some(()));
        running.kill();
        interrupted += usize::from(kept(&record) < CASES);
    }
    assert!(interrupted > 0, "every sweep was over before it could be killed");
    let had = kept(&record);
    // A line that a kill left half-written, and one that is spoilt.
    let mut text = std::fs::read(&record).unwrap();
    text.extend_from_slice(b"0badc0de {\"case\":15,\"outcome\":{\"Ok\":");
    std::fs::write(&record, &text).unwrap();
    let said = Running::start(&folder, "last", &args);
    wait_for("the end", || out.join("summary.html").exists().then_some(()));
    drop(said);
    assert_eq!(kept(&record), CASES);
    assert!(had > 0 && outputs(&folder, "killed") == outputs(&folder, "whole"));
    // What is done is not done again.
    let again = sweep(&folder, "killed", &["--shard", "1/1"]).ok().json();
    assert_eq!(again["failed"], 0);
    assert!(outputs(&folder, "killed") == outputs(&folder, "whole"));
}

#[test]
fn a_row_can_be_counted_again() {
    let folder = prepared("sweep-rows");
    sweep(&folder, "out", &[]).ok();
    let text = std::fs::read_to_string(folder.path().join("out/sweep.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), CASES * 3);
    let micro = |row: &csv::StringRecord, key: &str| -> i64 {
        let at = head.iter().position(|h| h == key).unwrap();
        headgate_core::number::decimal(&row[at], 6).unwrap()
    };
    let name =
        |row: &csv::StringRecord| row[head.iter().position(|h| h == "policy").unwrap()].to_owned();
    for row in &rows {
        let parts = micro(row, "compute_revenue") - micro(row, "energy_cost")
            + micro(row, "sell_back")
            - micro(row, "other_cost");
        assert_eq!(micro(row, "profit"), parts);
        let gain = micro(row, "profit") - micro(row, "always_on_profit");
        let most = micro(row, "best_profit") - micro(row, "always_on_profit");
        let capture =
            headgate_core::number::div_half_even(i128::from(gain) * 1_000_000, i128::from(most));
        assert_eq!(i128::from(micro(row, "capture")), capture);
        assert!(micro(row, "profit") <= micro(row, "bound"), "{row:?}");
        match name(row).as_str() {
            "always_on" => assert_eq!(micro(row, "capture"), 0),
            "perfect_foresight" => assert_eq!(micro(row, "capture"), 1_000_000),
            _ => assert!(micro(row, "capture") < 1_000_000),
        }
    }
    // History and the paths differ from each other, and the points from one another.
    let bounds: BTreeSet<i64> = rows.iter().map(|row| micro(row, "bound")).collect();
    assert_eq!(bounds.len(), CASES);
    let ids: BTreeSet<&str> = rows.iter().map(|row| &row[1]).collect();
    assert_eq!(ids.len(), CASES);
}

/// History in a sweep is a back-test, to the last micro-unit.
#[test]
fn a_case_of_history_is_the_back_test() {
    let folder = prepared("sweep-parity");
    sweep(&folder, "out", &[]).ok();
    let text = std::fs::read_to_string(folder.path().join("out/sweep.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().unwrap().clone();
    let of = |row: &csv::StringRecord, key: &str| -> String {
        row[head.iter().position(|h| h == key).unwrap()].to_owned()
    };
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (site, spp, sced) = (file("site.toml"), file("spp.csv"), file("sced.csv"));
    let args = ["backtest", &site, "--prices", &spp, &sced, "--point", "HB_A"];
    let span = ["--from", "2024-02-09", "--to", "2024-02-11", "--format", "json"];
    let said: Said = headgate().args(args).args(span).output().unwrap().into();
    let told = said.ok().json();
    let mut compared = 0;
    let own = |row: &&csv::StringRecord| {
        of(row, "point") == "HB_A" && of(row, "seed") == "0" && of(row, "value") == "40"
    };
    for row in rows.iter().filter(own) {
        let all = told["policies"].as_array().unwrap();
        let policy = all.iter().find(|p| p["name"] == of(row, "policy").as_str()).unwrap();
        for key in ["profit", "energy_cost", "compute_revenue", "other_cost", "starts", "capture"] {
            let (ours, theirs) = (of(row, key).parse::<f64>().unwrap(), policy[key].as_f64());
            assert!((ours - theirs.unwrap()).abs() < 1e-6, "{key}: {ours} {policy}");
        }
        assert_eq!(of(row, "bound").parse::<f64>().ok(), told["bound"]["profit"].as_f64());
        compared += 1;
    }
    assert_eq!(compared, 3);
}

/// Apache Arrow reads what we write. Without it here the test says so and proves nothing.
#[test]
fn arrow_reads_the_parquet_as_the_csv() {
    let python = std::env::var("HEADGATE_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = std::process::Command::new(&python).args(["-c", "import pyarrow"]).output();
    if !has.is_ok_and(|said| said.status.success()) {
        eprintln!("NOT TESTED: {python} has no pyarrow; HEADGATE_PYTHON names one that has");
        return;
    }
    let folder = prepared("sweep-arrow");
    sweep(&folder, "out", &[]).ok();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/oracles");
    let out = folder.path().join("out");
    let mut command = std::process::Command::new(python);
    command.arg(here.join("check_parquet.py"));
    command.arg(out.join("sweep.parquet")).arg(out.join("sweep.csv"));
    let said = Said::from(command.output().unwrap()).ok();
    assert_eq!(said.out.trim(), "48 rows of 38 columns agree");
}

#[test]
fn bad_input_is_named_with_its_mend() {
    let folder = prepared("sweep-bad");
    let mut all = String::new();
    let mut refuse = |what: &str, from: &str, to: &str| {
        assert!(PLAN.contains(from), "{from}");
        folder.write("plan.toml", PLAN.replace(from, to));
        let said = sweep(&folder, "bad", &[]);
        write!(all, "{what}: {}\n\n", said.verdict(&folder)).unwrap();
    };
    refuse("a gap", "2024-02-11", "2024-02-14");
    refuse("a point", "HB_B", "HB_C");
    refuse("a currency", "\"40 USD/MWh\", \"60 USD/MWh\"", "\"40 EUR/MWh\"");
    refuse("no hash price", "value = [\"40 USD/MWh\", \"60 USD/MWh\"]", "hashprice = [\"90 %\"]");
    refuse(
        "no plan",
        "value = [\"40 USD/MWh\", \"60 USD/MWh\"]",
        "[parameters.unit]\nmin = [\"200 MW\"]",
    );
    let summer = "[[\"2025-06-01\", \"2025-06-03\"]]\nseeds = \"1..4\"";
    refuse("a season", SPAN_AND_SEEDS, summer);
    refuse("a file", "spp.csv", "gone.csv");
    refuse("a site", "site.toml", "gone.toml");
    insta::assert_snapshot!(all, @r#"
    a gap: exit 3
    headgate: HB_A has no price in [2024-02-13T06:00:00Z, 2024-02-13T06:15:00Z): add a file that has it, or take the span from 2024-02-09T06:00:00Z to 2024-02-14T06:00:00Z out

    a point: exit 3
    headgate: DIR/spp.csv has no price of HB_C: it has HB_A, HB_B; name one in the plan's `points`, or in the site's settlement_point

    a currency: exit 3
    error: `sites[0]`: its market is in USD, the plan's parameters in EUR: use one
     --> DIR/plan.toml:3:10
      |
    3 | sites = ["site.toml"]
      |          ^^^^^^^^^^^

    no hash price: exit 3
    error: `sites[0]`: its work has no hash price: take `hashprice` out
     --> DIR/plan.toml:3:10
      |
    3 | sites = ["site.toml"]
      |          ^^^^^^^^^^^

    no plan: exit 3
    error: `sites[0]`: `block` admits no plan in steps of 15 min under unit_min_mw 200: 0 < min <= start_at <= max does not hold
     --> DIR/plan.toml:3:10
      |
    3 | sites = ["site.toml"]
      |          ^^^^^^^^^^^

    a season: exit 3
    error: `seeds`: HB_A: no whole day of 24 h within 30 days of the season of 2025-05-24T05:00:00Z: give more history or a wider season
     --> DIR/plan.toml:8:9
      |
    8 | seeds = "1..4"
      |         ^^^^^^

    a file: exit 3
    headgate: failed to read DIR/gone.csv: No such file or directory (os error 2)

    a site: exit 3
    headgate: failed to read DIR/gone.toml: No such file or directory (os error 2)
    "#);
}

#[test]
fn a_record_of_another_plan_is_refused() {
    let folder = prepared("sweep-other");
    sweep(&folder, "out", &["--shard", "1/8"]).ok();
    folder.write("site.toml", site().replace("400 USD", "500 USD"));
    let said = sweep(&folder, "out", &["--shard", "1/8"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.err.contains("is of another plan (or its sites or prices have changed)"),
        "{said:?}"
    );
    let shard = run(&["sweep", "plan.toml", "--shard", "4/3"]);
    assert_eq!(shard.code, 2);
}

#[test]
fn a_file_without_a_point_needs_one_where_there_are_two() {
    let folder = prepared("sweep-nameless");
    let text = std::fs::read_to_string(folder.path().join("spp.csv")).unwrap();
    let one: String =
        text.lines().map(|l| format!("{}\n", l.rsplit_once(',').unwrap().0)).collect();
    folder.write("one.csv", one.replace("HB_A", "spp_usd_mwh"));
    let files = "\"spp.csv\", \"sced.csv\"";
    folder.write("plan.toml", PLAN.replace(files, "\"one.csv\", \"sced.csv\""));
    let said = sweep(&folder, "out", &["--shard", "1/8"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("one.csv names no settlement point"), "{said:?}");
    let named = "{ file = \"one.csv\", point = \"HB_A\" }, \"sced.csv\"";
    folder.write("plan.toml", PLAN.replace(files, named));
    sweep(&folder, "out", &["--shard", "1/8"]).ok();
}

/// A trained model is of one physics and one worth of work: a plan that changes either is refused,
/// one that does not is tried with the model, and differs from one without.
#[test]
fn a_model_goes_with_the_physics_it_was_trained_for() {
    let folder = prepared("sweep-model");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (site, spp, sced, model) =
        (file("site.toml"), file("spp.csv"), file("sced.csv"), file("m.hgm"));
    let args = ["train", &site, "--prices", &spp, &sced, "--point", "HB_A"];
    let said: Said = headgate().args(args).args(["--out", &model]).output().unwrap().into();
    said.ok();
    let two = PLAN.replace("\"breakeven\"", "\"look_ahead\"").replace("0..4", "0..1");
    let base = two.replace(", \"60 USD/MWh\"", "");
    folder.write("plan.toml", &base);
    let without = sweep(&folder, "without", &[]).ok().json();
    let with = base.replace("seeds", "model = \"m.hgm\"\nseeds");
    folder.write("plan.toml", &with);
    let said = sweep(&folder, "with", &[]).ok().json();
    assert_ne!(said["plan_hash"], without["plan_hash"]);
    assert_ne!(outputs(&folder, "with")[0], outputs(&folder, "without")[0]);
    folder.write("plan.toml", two.replace("seeds", "model = \"m.hgm\"\nseeds"));
    let said = sweep(&folder, "value", &[]);
    assert_eq!(said.code, 3, "{said:?}");
    let why = "its model of `block` was trained at a worth of 40.00/MWh, and `value` 60.00/MWh \
               makes it 60.00/MWh: take that value out of this plan";
    assert!(said.err.contains(why), "{said:?}");
    assert!(!folder.path().join("value").exists(), "nothing is begun");
    folder.write("plan.toml", format!("{with}[parameters.unit]\nstart = [\"500 USD\"]\n"));
    let said = sweep(&folder, "other", &[]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("its model is of its units as they are"), "{said:?}");
}

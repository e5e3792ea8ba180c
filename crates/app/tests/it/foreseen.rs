//! What ERCOT itself foresees for the next hour (NP6-970): recorded by a running site from the day
//! its configuration names it, whatever its policy, and lived through by a back-test.

use crate::common::{Folder, Running, Said, block_site, events, path, run, wait_for};
use headgate_core::event::Event;
use headgate_core::market::{PriceKind, PriceRow};
use std::fmt::Write as _;
use std::path::PathBuf;

fn site() -> String {
    block_site("HB_WEST", None)
}

const FEEDS: &str = r#"
[feeds.rtd]
role = "look_ahead"
kind = "ercot_np6_970"
source = "file:rtd"
"#;

/// Runs of 2025-04-10, local time, with an hour for each to look ahead into.
const RUNS: usize = 276;

fn price(run: usize) -> &'static str {
    // A spike of half an hour at 13:00, and one at 18:00.
    if matches!(run, 156..162 | 216..222) { "900.00" } else { "20.00" }
}

fn runs() -> String {
    let mut text = "SCEDTimestamp,repeatHourFlag,HB_WEST\n".to_owned();
    for n in 0..RUNS {
        let (hour, minute) = (n / 12, n % 12 * 5);
        writeln!(text, "2025-04-10T{hour:02}:{minute:02}:12,N,{}", price(n)).unwrap();
    }
    text
}

/// The publication of each of some runs: eleven steps ahead, for two points.
fn foreseen(of: std::ops::Range<usize>) -> String {
    let mut text = "RTDTimestamp,RepeatedHourFlag,IntervalId,IntervalEnding,\
                    IntervalRepeatedHourFlag,SettlementPoint,SettlementPointType,LMP\n"
        .to_owned();
    for n in of {
        let (hour, minute) = (n / 12, n % 12 * 5);
        for k in 1..12 {
            let end = n + k + 1;
            let ending = format!("04/10/2025 {:02}:{:02}:00", end / 12, end % 12 * 5);
            let head = format!("04/10/2025 {hour:02}:{minute:02}:14,N,{k},{ending},N");
            writeln!(text, "{head},HB_WEST,HU,{}", price(n + k)).unwrap();
            writeln!(text, "{head},HB_PAN,SH,-7.5").unwrap();
        }
    }
    text
}

#[test]
fn a_running_site_records_it_whatever_its_policy() {
    let folder = Folder::new("foreseen-run");
    let rtd = folder.path().join("rtd");
    std::fs::create_dir(&rtd).unwrap();
    let site = folder.write("site.toml", site() + FEEDS);
    let data = folder.data();
    folder.write("rtd/first.csv", foreseen(155..156));
    let _daemon = Running::start(&folder, "daemon", &["run", path(&site), "--data", path(&data)]);
    let told = || -> Vec<PriceRow> {
        let of = |event| match event {
            Event::Prices { kind: PriceKind::LookAhead, rows, .. } => rows,
            _ => Vec::new(),
        };
        events(&data).into_iter().flat_map(|e| of(e.event)).collect()
    };
    let wait = |count: usize| {
        wait_for("what is foreseen in the journal", || {
            let journal = data.join("journal-00000000000000000001.hgj");
            let rows = if journal.exists() { told() } else { Vec::new() };
            (rows.len() >= count).then_some(rows)
        })
    };
    let first = wait(11);
    let shown: Vec<String> = first
        .iter()
        .take(2)
        .map(|r| format!("{} {} known {}", r.interval.start, r.price, r.known_at))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    2025-04-10T18:00:00Z 900.00/MWh known 2025-04-10T17:55:34Z
    2025-04-10T18:05:00Z 900.00/MWh known 2025-04-10T17:55:34Z
    ");
    assert_eq!(first.len(), 11, "of the site's own point alone");
    // Later publications foresee most of the same steps again, at the same prices: all are kept,
    // as one that says the same says that it still holds; also where one file has several.
    folder.write("rtd/second.csv", foreseen(156..158));
    assert_eq!(wait(33).len(), 33);
}

#[test]
fn a_backtest_lives_through_an_archive_of_it() {
    let folder = Folder::new("foreseen-backtest");
    let site = folder.write("site.toml", site());
    let lmp = folder.write("lmp.csv", runs());
    let rtd = folder.write("rtd.csv", foreseen(0..RUNS));
    let named = format!("ercot_np6_970:{}", path(&rtd));
    let capture = |prices: &[&str]| -> f64 {
        let mut args = vec!["backtest", path(&site), "--format", "json", "--policy", "look_ahead"];
        args.push("--prices");
        args.extend(prices);
        let said = run(&args).ok().json();
        said["policies"][0]["capture"].as_f64().unwrap()
    };
    let (blind, told) = (capture(&[path(&lmp)]), capture(&[path(&lmp), &named]));
    assert!(told > blind && told <= 1.0, "{told} with it, {blind} without");
    // At 12:45 the plan knows of the spike at 13:00, and how.
    let plan = |prices: &[&str]| -> String {
        let at = ["--at", "2025-04-10T17:45:00Z", "--hours", "1", "--format", "csv"];
        let mut args = vec!["plan", path(&site), "--prices"];
        args.extend(prices);
        args.extend(at);
        run(&args).ok().out
    };
    assert!(plan(&[path(&lmp), &named]).contains("foreseen"));
    assert!(!plan(&[path(&lmp)]).contains("foreseen"));
    // Named as what it is not, or alone, it is refused.
    let said = |prices: &[&str]| -> Said {
        let mut args = vec!["backtest", path(&site), "--prices"];
        args.extend(prices);
        run(&args)
    };
    let wrong: PathBuf = rtd.clone();
    let dispatch = format!("ercot_np6_788:{}", path(&wrong));
    insta::assert_snapshot!(said(&[path(&lmp), &dispatch]).verdict(&folder), @r"
    exit 3
    headgate: `DIR/rtd.csv` holds ercot_np6_970, not ercot_np6_788: leave the kind out or name the right one
    ");
    insta::assert_snapshot!(said(&[&named]).verdict(&folder), @r"
    exit 3
    headgate: ercot_np6_970:DIR/rtd.csv hold no real-time price of HB_WEST (HU): add dispatch runs or settlement prices
    ");
}

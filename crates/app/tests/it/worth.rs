//! What work is worth: hash prices fetched by a running site, contracts in other currencies, and
//! a published year as a scale check.

use crate::common::*;
use headgate_core::event::Event;
use headgate_core::units::Money;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Serves mempool's three answers for one day with a whole coin price, until the test ends.
fn mempool() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let now = jiff::Timestamp::now().as_second();
    let (epoch, yesterday) = (now - 3 * 86_400, now.div_euclid(86_400) * 86_400 - 43_200);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0u8; 2048];
            let have = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..have]).into_owned();
            let body = if request.contains("difficulty-adjustments") {
                format!("[[{epoch},900000,100000000000000,1.0]]")
            } else if request.contains("blocks/fees") {
                format!(r#"[{{"avgHeight":1,"timestamp":{yesterday},"avgFees":0}}]"#)
            } else {
                format!(r#"{{"prices":[{{"time":{yesterday},"USD":100000}}]}}"#)
            };
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
            // The client may be gone already; then there is nobody to answer.
            let _ = write!(stream, "{head} {length}\r\n\r\n{body}");
        }
    });
    format!("http://{address}")
}

fn site(folder: &Folder, value: &str) -> PathBuf {
    let text = SiteText { machines: 4, mode: "shadow", ..SiteText::default() }.text();
    let old = "source = \"hashprice\"\nhashprice = \"45 USD/PH/day\"\npool_fee = \"1 %\"";
    assert!(text.contains(old));
    std::fs::create_dir_all(folder.path().join("recorded")).unwrap();
    folder.write("site.toml", text.replace(old, value))
}

#[test]
fn a_running_site_fetches_its_hash_price() {
    let folder = Folder::new("hashprice-live");
    let value = format!("source = \"hashprice\"\naddress = \"{}\"", mempool());
    let site = site(&folder, &value);
    let data = folder.data();
    let args = ["run", path(&site), "--data", path(&data), "--simfarm"];
    let _daemon = Running::start(&folder, "daemon", &args);
    wait_for("a daemon that answers", || glance(&data));
    let told = wait_for("a hash price in the journal", || {
        events(&data).into_iter().find_map(|s| match s.event {
            Event::Value(h) => Some((s.at, h)),
            _ => None,
        })
    });
    // 86400e15 / (1e14 * 2^32) * 3.125 BTC * 100,000 USD.
    assert_eq!(told.1.per_ph_day, Money(62_864_274));
    assert!(told.1.known_at <= told.0, "it was over when it was told");
}

#[test]
fn a_value_that_only_a_settlement_can_use_is_refused_by_run() {
    let folder = Folder::new("settle-only");
    folder.write("fx.csv", "date,rate\n2024-06-01,1.08\n");
    let value = "source = \"contract\"\ncurrency = \"EUR\"\nprice = \"60 EUR/MWh\"\n\n\
                 [fx]\nfile = \"fx.csv\"";
    let site = site(&folder, value);
    run(&["check", path(&site)]).ok();
    let said = run(&["run", path(&site), "--data", path(&folder.data())]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("`headgate settle` takes into account"), "{}", said.err);
}

fn case(file: &Path, more: &[&str]) -> Said {
    let args = ["settle", "--case", "riot-2023", "--prices", path(file)];
    headgate().args(args).args(more).output().unwrap().into()
}

#[test]
fn a_case_without_its_point_or_prices_is_refused() {
    let folder = Folder::new("case");
    let other = folder.write("other.csv", "hour_beginning_local,LZ_WEST\n2023-01-01T00:00:00,1\n");
    let said = case(&other, &[]);
    assert_eq!(said.code, 3);
    insta::assert_snapshot!(folder.redact(&said.err).trim(), @"headgate: failed to read DIR/other.csv: it has no column LZ_SOUTH; name a file with that point");
    let said = run(&["settle", "--case", "enron-2000", "--prices", path(&other)]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("there is no case `enron-2000`"), "{}", said.err);
    assert_eq!(run(&["settle", "--case", "riot-2023"]).code, 2, "prices are needed");
}

/// The table of the published year, on the hourly prices of its eight load zones.
#[test]
fn the_published_year_comes_out_in_its_order_of_magnitude() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("HEADGATE_SHARED_DATA").map_or(default, PathBuf::from);
    let file = data.join("ercot_rtm_hourly_8loadzones_2023.csv.gz");
    if !file.exists() {
        eprintln!("SKIPPED: {} is not there; set HEADGATE_SHARED_DATA", file.display());
        return;
    }
    let folder = Folder::new("riot");
    let page = folder.path().join("riot.html");
    let said = case(&file, &["--format", "json", "--html", path(&page)]).ok();
    let document = said.json();
    let periods = document["periods"].as_array().unwrap();
    let of = |period: &str| {
        let found = periods.iter().find(|p| p["period"] == period).unwrap();
        (found["sold"].as_f64().unwrap() / 1e4).round() / 100.0
    };
    let months: Vec<f64> = (1..=12).map(|m| of(&format!("2023-{m:02}"))).collect();
    let known = [0.53, 0.42, 2.16, 0.56, 1.44, 9.14, 2.89, 35.36, 14.12, 2.75, 1.16, 0.57];
    assert_eq!(months, known);
    assert_eq!((of("2023"), of("2023-Q3")), (71.10, 52.37));
    assert_eq!(document["scale_check"], true);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("A scale check, not a proof") && page.contains("71.10"));
}

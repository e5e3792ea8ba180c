//! `prices import`, `show` and `list`, as a user runs them, on files of the forms markets publish.

use crate::common::{Folder, Said, run};
use std::path::PathBuf;

const HEADER: &str = "DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,\
                      SettlementPointType,SettlementPointPrice,DSTFlag\n";
/// The name of a posting of the evening of 3 June, Central time.
const FIRST: &str = "cdr.00012301.0000000000000000.20240603.193011.SPPHLZNP6905_20240603_1930.csv";
/// The same interval, posted again two days later.
const LATER: &str = "cdr.00012301.0000000000000000.20240605.080000.SPPHLZNP6905_20240603_1930.csv";

struct Desk(Folder);

impl Desk {
    fn new(name: &str) -> Self {
        Self(Folder::new(name))
    }

    /// Writes quarters from 19:15 on 3 June of a load zone, of both its types.
    fn posting(&self, name: &str, prices: &[&str]) -> PathBuf {
        let mut text = HEADER.to_owned();
        for (quarter, price) in (2..).zip(prices) {
            text += &format!("06/03/2024,20,{quarter},LZ_WEST,LZ, {price},N\r\n");
            text += &format!("06/03/2024,20,{quarter},LZ_WEST,LZEW,1.00,N\r\n");
        }
        self.0.write(name, text)
    }

    fn prices(&self, args: &[&str]) -> Said {
        let data = self.0.data();
        let mut all = vec!["prices", args[0], "--data", data.to_str().unwrap()];
        all.extend(&args[1..]);
        run(&all)
    }

    fn import(&self, file: &std::path::Path, more: &[&str]) -> Said {
        let mut all = vec!["import", file.to_str().unwrap()];
        all.extend(more);
        self.prices(&all)
    }
}

fn counts(said: &Said) -> String {
    let d = said.json();
    let count = |key: &str| d[key].to_string();
    ["new", "unchanged", "corrected", "older", "refused"]
        .map(|k| format!("{k} {}", count(k)))
        .join(", ")
}

#[test]
fn the_same_import_twice_changes_nothing_and_a_later_posting_is_a_correction() {
    let desk = Desk::new("prices-import");
    let first = desk.posting(FIRST, &["20.25", "-3.10"]);
    let json = ["--format", "json"];
    let said = desk.import(&first, &json).ok();
    insta::assert_snapshot!(counts(&said), @"new 4, unchanged 0, corrected 0, older 0, refused 0");
    let said = desk.import(&first, &json).ok();
    insta::assert_snapshot!(counts(&said), @"new 0, unchanged 4, corrected 0, older 0, refused 0");
    let later = desk.posting(LATER, &["20.25", "-7.00"]);
    let said = desk.import(&later, &json).ok();
    insta::assert_snapshot!(counts(&said), @"new 0, unchanged 3, corrected 1, older 0, refused 0");

    let csv = ["show", "--point", "LZ_WEST", "--format", "csv"];
    insta::assert_snapshot!(desk.prices(&csv).ok().out, @r"
    start,end,price,known_at
    2024-06-04T00:15:00Z,2024-06-04T00:30:00Z,20.250000,2024-06-04T00:32:00Z
    2024-06-04T00:30:00Z,2024-06-04T00:45:00Z,-7.000000,2024-06-05T13:00:00Z
    ");
    let known = [&csv[..], &["--as-of", "2024-06-05T12:59:59Z"]].concat();
    insta::assert_snapshot!(desk.prices(&known).ok().out, @r"
    start,end,price,known_at
    2024-06-04T00:15:00Z,2024-06-04T00:30:00Z,20.250000,2024-06-04T00:32:00Z
    2024-06-04T00:30:00Z,2024-06-04T00:45:00Z,-3.100000,2024-06-04T00:47:00Z
    ");
    let all = [&csv[..], &["--revisions", "--from", "2024-06-04T00:30:00Z"]].concat();
    insta::assert_snapshot!(desk.prices(&all).ok().out, @r"
    start,end,price,known_at
    2024-06-04T00:30:00Z,2024-06-04T00:45:00Z,-3.100000,2024-06-04T00:47:00Z
    2024-06-04T00:30:00Z,2024-06-04T00:45:00Z,-7.000000,2024-06-05T13:00:00Z
    ");
}

#[test]
fn a_bad_file_costs_the_others_nothing() {
    let desk = Desk::new("prices-refused");
    let good = desk.posting(FIRST, &["20.25"]);
    let bad = desk.0.write("bad.csv", format!("{HEADER}06/03/2024,20,2,LZ_WEST,LZ,NaN,N\n"));
    let files = [good.to_str().unwrap(), bad.to_str().unwrap()];
    let said = desk.prices(&["import", files[0], files[1]]);
    assert_eq!(said.code, 3);
    insta::assert_snapshot!(said.verdict(&desk.0), @r"
    exit 3
    DIR/cdr.00012301.0000000000000000.20240603.193011.SPPHLZNP6905_20240603_1930.csv: ercot_np6_905 of market ercot
      LZ_WEST (LZ)           settlement          2024-06-04T00:15Z to 2024-06-04T00:30Z  1 new, 0 corrected, 0 negative; 20.25 at 2024-06-04T00:15Z to 20.25 at 2024-06-04T00:15Z
      LZ_WEST (LZEW)         settlement          2024-06-04T00:15Z to 2024-06-04T00:30Z  1 new, 0 corrected, 0 negative; 1.00 at 2024-06-04T00:15Z to 1.00 at 2024-06-04T00:15Z
    DIR/bad.csv: refused
    2 files, 1 refused; 2 series; values: 2 new, 0 unchanged, 0 corrected, 0 older than what is known
    headgate: failed to read DIR/bad.csv line 2, column SettlementPointPrice: `NaN` is not a finite number; a missing price is not zero: leave the row out
    ");
    assert_eq!(desk.prices(&["show", "--point", "LZ_WEST"]).code, 0);
}

#[test]
fn a_file_without_points_is_imported_for_each_it_is_given_for() {
    let desk = Desk::new("prices-points");
    let text = "interval_start_utc,spp_usd_mwh\n2024-06-04T00:15:00Z,20.25\n";
    let file = desk.0.write("spp.csv", text);
    let refused = desk.import(&file, &[]);
    insta::assert_snapshot!(refused.verdict(&desk.0), @r"
    exit 3
    DIR/spp.csv: refused
    1 files, 1 refused; 0 series; values: 0 new, 0 unchanged, 0 corrected, 0 older than what is known
    headgate: DIR/spp.csv names no settlement point: add --point NAME
    ");
    for point in ["HB_A", "HB_B"] {
        let said = desk.import(&file, &["--point", point, "--format", "json"]).ok();
        insta::allow_duplicates! {
            insta::assert_snapshot!(counts(&said), @"new 1, unchanged 0, corrected 0, older 0, refused 0");
        }
        assert_eq!(desk.prices(&["show", "--point", point]).code, 0);
    }
    // The market it was taken for is told.
    let other = desk.import(&file, &["--point", "HB_C"]).ok().out;
    assert!(other.contains("is taken as of ercot, in USD: name another with --market"), "{other}");
}

#[test]
fn a_series_is_shown_in_every_form() {
    let desk = Desk::new("prices-show");
    let file = desk.posting(FIRST, &["20.25", "-3.10", "9000.00"]);
    desk.import(&file, &[]).ok();
    let said = desk.prices(&[
        "show",
        "--point",
        "LZ_WEST",
        "--to",
        "2024-06-04T00:30:00Z",
        "--format",
        "json",
    ]);
    insta::assert_snapshot!(said.ok().out, @r#"
    {
      "currency": "USD",
      "kind": "settlement",
      "market": "ercot",
      "point": "LZ_WEST",
      "rows": [
        {
          "end": "2024-06-04T00:30:00Z",
          "known_at": "2024-06-04T00:32:00Z",
          "price": 20.25,
          "start": "2024-06-04T00:15:00Z"
        }
      ],
      "step_s": 900,
      "type": "LZ"
    }
    "#);
    // A day by the market's own calendar: 3 June in Texas ends at 05:00 UTC.
    let day = [
        "show",
        "--point",
        "LZ_WEST",
        "--type",
        "LZEW",
        "--from",
        "2024-06-03",
        "--to",
        "2024-06-04",
    ];
    insta::assert_snapshot!(desk.prices(&day).ok().out, @r"
    LZ_WEST (LZEW), settlement, USD/MWh, market ercot
    3 values from 2024-06-03T05:00:00Z to 2024-06-04T05:00:00Z with 0 gaps; mean 1.00, lowest 1.00 at 2024-06-03 19:15 CDT, highest 1.00 at 2024-06-03 19:15 CDT; 0 negative

    start                        USD/MWh  local                   known at
    2024-06-04T00:15:00Z            1.00  2024-06-03 19:15 CDT    2024-06-04T00:32:00Z
    2024-06-04T00:30:00Z            1.00  2024-06-03 19:30 CDT    2024-06-04T00:47:00Z
    2024-06-04T00:45:00Z            1.00  2024-06-03 19:45 CDT    2024-06-04T01:02:00Z
    ");
    let chart = desk.prices(&["show", "--point", "LZ_WEST", "--chart"]).ok().out;
    assert!(chart.contains("9000.00") && chart.contains('\u{2502}'), "{chart}");
    let listed = desk.prices(&["list", "--format", "csv"]).ok().out;
    insta::assert_snapshot!(listed, @r"
    market,point,type,kind,intervals,from,to
    ercot,LZ_WEST,LZ,settlement,3,2024-06-04T00:15:00Z,2024-06-04T01:00:00Z
    ercot,LZ_WEST,LZEW,settlement,3,2024-06-04T00:15:00Z,2024-06-04T01:00:00Z
    ");
}

#[test]
fn a_picture_is_a_png_of_its_size() {
    let desk = Desk::new("prices-png");
    let file = desk.posting(FIRST, &["20.25", "-3.10", "9000.00"]);
    let picture = desk.0.path().join("lz_west.png");
    let (file, out) = (file.to_str().unwrap(), picture.to_str().unwrap());
    // Straight from the file, with nothing imported.
    let args = ["show", "--point", "LZ_WEST", "--prices", file, "--png", out];
    desk.prices(&args).ok();
    let bytes = std::fs::read(&picture).unwrap();
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let width = u32::from_be_bytes(bytes[16..20].try_into().unwrap());
    let height = u32::from_be_bytes(bytes[20..24].try_into().unwrap());
    assert_eq!(width, 1_600);
    assert!((300..1_000).contains(&height), "{height}");
}

#[test]
fn what_is_not_there_is_named() {
    let desk = Desk::new("prices-unknown");
    let show = |args: &[&str]| {
        let all = [&["show"], args].concat();
        let said = desk.prices(&all);
        assert_eq!(said.code, 3, "{}", said.out);
        said.verdict(&desk.0)
    };
    insta::assert_snapshot!(show(&["--point", "LZ_WEST"]), @r"
    exit 3
    headgate: nothing was imported into DIR/data: run `headgate prices import FILE...` first, or give the files with --prices
    ");
    desk.import(&desk.posting(FIRST, &["20.25"]), &[]).ok();
    insta::assert_snapshot!(show(&["--point", "LZ_WST"]), @r"
    exit 3
    headgate: nothing of LZ_WST was imported; there is LZ_WEST
    ");
    insta::assert_snapshot!(show(&["--point", "LZ_WEST", "--kind", "day_ahead"]), @r"
    exit 3
    headgate: there is no day_ahead of LZ_WEST: it has settlement; name one with --kind
    ");
    insta::assert_snapshot!(show(&["--point", "LZ_WEST", "--from", "June"]), @r"
    exit 3
    headgate: `June` is no time: write 2024-06-01 or 2024-06-01T05:00:00Z
    ");
}

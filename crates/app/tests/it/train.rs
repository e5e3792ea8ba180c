//! `train`, as a user runs it: prices in, a model file out, a back-test that goes by it; the same
//! bytes every time, and one clear sentence for whatever is wrong.

use crate::common::{Folder, Said, block_site, path, run};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Seconds of 2024-01-20T00:00:00-06:00.
const BEGIN: i64 = 1_705_730_400;
/// Days the fixtures have: to the end of the second of February.
const DAYS: usize = 14;

fn site() -> String {
    block_site("HB_A", None)
}

/// A site and two weeks of prices at two points: cheap, with a dear hour each day that the curve
/// of the day before tells.
struct Desk {
    folder: Folder,
    site: PathBuf,
    spp: PathBuf,
    dam: PathBuf,
}

/// The dear hour of a day.
fn dear(day: usize) -> usize {
    (day * 7 + 5) % 24
}

fn cents(quarter: usize, point: usize) -> u64 {
    let noise = (quarter as u64 * 7919 + point as u64 * 131) % 1300;
    let hour = quarter / 4;
    if hour % 24 == dear(hour / 24) { 40_000 + noise * 10 } else { 2_000 + noise }
}

fn stamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

impl Desk {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let site = folder.write("site.toml", site());
        let spp = folder.write("spp.csv", Self::settled(DAYS));
        let dam = folder.write("dam.csv", Self::ahead(DAYS, "HB_A,HB_B"));
        Self { folder, site, spp, dam }
    }

    fn settled(days: usize) -> String {
        let mut text = "interval_start_utc,HB_A,HB_B\n".to_owned();
        for q in 0..days * 96 {
            let [a, b] = [0, 1].map(|p| cents(q, p) as f64 / 100.0);
            writeln!(text, "{},{a:.2},{b:.2}", stamp(BEGIN + q as i64 * 900)).unwrap();
        }
        text
    }

    fn ahead(days: usize, points: &str) -> String {
        let mut text = format!("DeliveryDate,HourEnding,{points}\n");
        for day in 0..days {
            let at = jiff::civil::date(2024, 1, 20) + jiff::Span::new().days(day as i64);
            let date = at.strftime("%m/%d/%Y");
            for hour in 0..24 {
                let price = if hour == dear(day) { "95.00" } else { "26.00" };
                let cells = vec![price; points.split(',').count()].join(",");
                writeln!(text, "{date},{:02}:00,{cells}", hour + 1).unwrap();
            }
        }
        text
    }

    fn file(&self, name: &str) -> String {
        path(&self.folder.path().join(name)).to_owned()
    }

    fn train(&self, prices: &[&PathBuf], out: &str, more: &[&str]) -> Said {
        let out = self.file(out);
        let mut args = vec!["train", path(&self.site), "--out", &out, "--prices"];
        args.extend(prices.iter().map(|p| path(p)));
        args.extend(more);
        run(&args)
    }

    /// The bytes of a model trained so.
    fn bytes(&self, prices: &[&PathBuf], out: &str, more: &[&str]) -> Vec<u8> {
        self.train(prices, out, more).ok();
        std::fs::read(self.folder.path().join(out)).unwrap()
    }

    fn backtest(&self, prices: &[&PathBuf], more: &[&str]) -> Said {
        let mut args = vec!["backtest", path(&self.site), "--format", "json", "--prices"];
        args.extend(prices.iter().map(|p| path(p)));
        args.extend(more);
        run(&args)
    }
}

const LATER: [&str; 2] = ["--from", "2024-02-01"];
const BEFORE: [&str; 2] = ["--to", "2024-02-01"];

#[test]
fn a_trained_model_is_told_of_and_gone_by() {
    let desk = Desk::new("train");
    let prices = [&desk.spp, &desk.dam];
    let table = desk.train(&prices, "m.hgm", &BEFORE).ok().out;
    let said = desk.train(&prices, "m.hgm", &[&BEFORE[..], &["--format", "json"]].concat());
    let mut told = said.ok().json();
    let bytes = std::fs::read(desk.folder.path().join("m.hgm")).unwrap();
    assert_eq!(told["bytes"].as_u64(), Some(bytes.len() as u64));
    assert_eq!(told["blake3"], blake3::hash(&bytes).to_hex().as_str());
    assert!(table.contains(&told["blake3"].as_str().unwrap()[..16]), "{table}");
    told["bytes"] = "LENGTH".into();
    told["blake3"] = "HASH".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&told).unwrap());
    insta::assert_snapshot!(
        table.split_once('\n').unwrap().1,
        @"block: worth 40.00/MWh in the market's terms; 2302 decisions 2024-01-20T06:00:00Z to 2024-02-01T06:00:00Z, with day-ahead prices, without the market's look-ahead, at HB_A (HU), HB_B"
    );
    let model = desk.file("m.hgm");
    let both = ["--policy", "breakeven", "look_ahead", "--model", &model];
    let said = desk.backtest(&prices, &[&LATER[..], &both].concat()).ok().json();
    let capture = |i: usize| said["policies"][i]["capture"].as_f64().unwrap();
    assert!(capture(1) > capture(0) + 0.1, "{said:#}");
    let notes = said["notes"].to_string();
    assert!(!notes.contains("trained"), "{notes}");
    // The same days it has learned from, and days without the curve it has learned to read.
    let said = desk.backtest(&prices, &both).ok().json();
    let notes = said["notes"].to_string();
    assert!(notes.contains("which the back-test overlaps: its capture is no evidence"), "{notes}");
    let said = desk.backtest(&[&desk.spp], &[&LATER[..], &both].concat()).ok().json();
    let notes = said["notes"].to_string();
    assert!(notes.contains("trained with day-ahead prices, and none are given"), "{notes}");
    let blind = desk.train(&[&desk.spp], "blind.hgm", &["--alone"]).ok().out;
    assert!(blind.contains("without day-ahead prices, "), "{blind}");
    assert!(blind.ends_with(", at HB_A (HU)\n"), "{blind}");
}

/// The same bytes every time, in whichever order the files are given.
#[test]
fn a_model_is_the_same_bytes_every_time() {
    let desk = Desk::new("train-same");
    let first = desk.bytes(&[&desk.spp, &desk.dam], "a.hgm", &[]);
    assert!(first == desk.bytes(&[&desk.spp, &desk.dam], "b.hgm", &[]), "a second time");
    assert!(first == desk.bytes(&[&desk.dam, &desk.spp], "c.hgm", &[]), "another order");
    let lines = Desk::settled(DAYS);
    let (head, rows) = lines.split_once('\n').unwrap();
    let middle = rows.match_indices('\n').nth(600).unwrap().0 + 1;
    let early = desk.folder.write("early.csv", format!("{head}\n{}", &rows[..middle]));
    let late = desk.folder.write("late.csv", format!("{head}\n{}", &rows[middle..]));
    let parts = [&late, &desk.dam, &early];
    assert!(first == desk.bytes(&parts, "d.hgm", &[]), "one file cut in two");
    assert!(first != desk.bytes(&[&desk.spp, &desk.dam], "e.hgm", &["--alone"]), "other prices");
}

/// Neither prices of later days nor which points have any then: what is learned by a day is the
/// same whether or not the days after it are there.
#[test]
fn later_days_change_no_byte_of_an_earlier_model() {
    let desk = Desk::new("train-honest");
    let until = 12;
    let cut = [
        desk.folder.write("cut-spp.csv", Desk::settled(until)),
        // Of the other point there is no curve before the last days.
        desk.folder.write("cut-dam.csv", Desk::ahead(until, "HB_A")),
    ];
    let is = desk.bytes(&[&cut[0], &cut[1]], "is.hgm", &BEFORE);
    let mut wild = Desk::settled(until);
    for q in until * 96..(until + 5) * 96 {
        writeln!(wild, "{},{}.00,-250.00", stamp(BEGIN + q as i64 * 900), q % 5000).unwrap();
    }
    let wild = desk.folder.write("wild-spp.csv", wild);
    let own = desk.folder.write("own-dam.csv", Desk::ahead(until + 1, "HB_A"));
    let both = Desk::ahead(until + 5, "HB_A,HB_B");
    // The curve of the second of February is known on the first: it is no future.
    let rows: Vec<&str> = both.lines().skip(1 + 24 * (until + 2)).collect();
    let both = format!("DeliveryDate,HourEnding,HB_A,HB_B\n{}\n", rows.join("\n"));
    let both = desk.folder.write("both-dam.csv", both);
    let was = desk.bytes(&[&wild, &own, &both], "was.hgm", &BEFORE);
    assert!(is == was, "the future is in the model");
    // A walk forward decides the days of a month alike, whatever follows them.
    let trace = |prices: &[&PathBuf], name: &str| -> String {
        let trace = desk.file(name);
        let more = ["--walk-forward", "month", "--policy", "look_ahead", "--trace", &trace];
        let span = ["--from", "2024-02-01", "--to", "2024-02-02"];
        desk.backtest(prices, &[&more[..], &span].concat()).ok();
        std::fs::read_to_string(&trace).unwrap()
    };
    let day = desk.folder.write("day-spp.csv", Desk::settled(until + 1));
    let curve = desk.folder.write("day-dam.csv", Desk::ahead(until + 1, "HB_A"));
    let whole = desk.folder.write("all-spp.csv", {
        let wild = std::fs::read_to_string(&wild).unwrap();
        let from = wild.lines().skip(1 + (until + 1) * 96).collect::<Vec<_>>().join("\n");
        format!("{}{from}\n", Desk::settled(until + 1))
    });
    let short = trace(&[&day, &curve], "short.csv");
    assert!(short.lines().count() > 20, "{short}");
    assert_eq!(short, trace(&[&whole, &own, &both], "long.csv"));
}

#[test]
fn a_bad_model_is_refused_in_one_sentence() {
    let desk = Desk::new("train-bad");
    let prices = [&desk.spp, &desk.dam];
    let good = desk.bytes(&prices, "m.hgm", &BEFORE);
    let with = |name: &str, bytes: &[u8]| -> String {
        let file = desk.folder.write(name, bytes);
        let said = desk.backtest(&prices, &["--policy", "look_ahead", "--model", path(&file)]);
        said.verdict(&desk.folder)
    };
    let mut text = String::new();
    let mut add = |name: &str, said: &str| text += &format!("{name}:\n{said}\n\n");
    add("a site file", &with("site-as-model.hgm", site().as_bytes()));
    add("nothing", &with("empty.hgm", b""));
    add("of another form", &with("form.hgm", &[b"HGMODEL2", &good[8..]].concat()));
    add("cut in its head", &with("head.hgm", &good[..39]));
    add("cut", &with("cut.hgm", &good[..good.len() - 1]));
    add("too long", &with("long.hgm", &[&good[..], b"\0"].concat()));
    let missing = desk.file("gone.hgm");
    let said = desk.backtest(&prices, &["--model", &missing]).verdict(&desk.folder);
    add("not there", &said);
    // One changed byte, anywhere; each byte of a small file is tried where the file is read.
    for at in (0..good.len()).step_by(good.len() / 40) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        let said = with("flipped.hgm", &bytes);
        let want = if at < 8 { "is no model of this program" } else { "is damaged" };
        assert!(said.starts_with("exit 3\n") && said.contains(want), "byte {at}: {said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
    // Whole, and of another site.
    let other = |name: &str, from: &str, to: &str| -> String {
        let site = desk.folder.write(name, site().replacen(from, to, 1));
        let mut args = vec!["backtest", path(&site), "--policy", "look_ahead", "--model"];
        let model = desk.file("m.hgm");
        args.extend([&model, "--prices", path(&desk.spp)]);
        run(&args).verdict(&desk.folder)
    };
    add("other physics", &other("physics.toml", "min_on = \"60 min\"", "min_on = \"90 min\""));
    add("another cohort", &other("cohort.toml", "name = \"block\"", "name = \"rack\""));
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_to_learn_from_is_told_in_one_sentence() {
    let desk = Desk::new("train-little");
    let prices = [&desk.spp, &desk.dam];
    let file = |name: &str, text: String| desk.folder.write(name, text);
    let mut text = String::new();
    let mut add = |name: &str, prices: &[&PathBuf], more: &[&str]| {
        let said = desk.train(prices, "none.hgm", more).verdict(&desk.folder);
        text += &format!("{name}:\n{said}\n\n");
        assert!(!desk.folder.path().join("none.hgm").exists(), "{name}: a file was written");
    };
    add("too little", &prices, &["--to", "2024-01-25"]);
    add("a span turned round", &prices, &["--from", "2024-01-30", "--to", "2024-01-28"]);
    add("a span before it all", &prices, &["--to", "2023-12-01"]);
    add("a span after it all", &prices, &["--from", "2024-03-01"]);
    add("a mistyped point", &prices, &["--point", "HB_C"]);
    add("only a curve", &[&desk.dam], &[]);
    let settled = Desk::settled(DAYS);
    let holes = |n: &usize| *n == 0 || !n.is_multiple_of(480);
    let kept: Vec<&str> =
        settled.lines().enumerate().filter(|(n, _)| holes(n)).map(|(_, l)| l).collect();
    let holed = file("holed.csv", kept.join("\n") + "\n");
    add("pieces of five days", &[&holed], &["--alone"]);
    let unnamed = settled.replace("HB_A,HB_B", "spp_usd_mwh,rest");
    let mixed = file("mixed.csv", unnamed.replace(",2", ",3"));
    add("two points mixed", &[&desk.spp, &mixed], &[]);
    let idle = desk.folder.write("nowhere.csv", "");
    add("an empty file", &[&idle], &[]);
    insta::assert_snapshot!(text);
}

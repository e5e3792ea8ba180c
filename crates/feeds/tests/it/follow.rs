//! Replay and following: nothing early, nothing twice, nothing lost to a bad file.

use crate::common::{SPP_HEADER, pack_gz, parse};
use headgate_core::market::{PriceKind, PriceRow};
use headgate_core::time::{Span, Time};
use headgate_feeds::http::{Condition, Fetch, Reply};
use headgate_feeds::{FeedItem, FileKind, FollowPlan, Follower, Market, Replay, settlement_point};
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Noon of a day long after every price here.
const NOW: Time = Time::from_seconds(1_745_000_000);
const EVERY: Span = Span::seconds(10);

fn quarter(n: u32, price: &str) -> String {
    format!("04/10/2025,19,{n},LZ_WEST,LZ,{price},N\n")
}

fn file(rows: &[(u32, &str)]) -> String {
    rows.iter().fold(SPP_HEADER.to_owned(), |text, (n, price)| text + &quarter(*n, price))
}

fn plan(source: String) -> FollowPlan {
    FollowPlan {
        source,
        parser: Some(FileKind::ErcotNp6905),
        role: PriceKind::Settlement,
        point: settlement_point("LZ_WEST", ""),
        every: EVERY,
        live: None,
    }
}

/// Items as text: prices by start, refusals by their sentence.
fn show(items: &[FeedItem]) -> String {
    let row = |r: &PriceRow| format!("{} {}", &r.interval.start.to_string()[11..16], r.price);
    let item = |item: &FeedItem| match item {
        FeedItem::Prices { kind, rows } => {
            format!("{kind:?} {}", rows.iter().map(row).collect::<Vec<_>>().join(", "))
        }
        FeedItem::Rejected { error } => format!("rejected: {error}"),
        FeedItem::Noted { text } => format!("noted: {text}"),
    };
    items.iter().map(item).collect::<Vec<_>>().join("; ")
}

/// A follower of a folder of its own, and the moment of its next look.
struct Bench {
    folder: PathBuf,
    follower: Follower,
    now: Time,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("follow_{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let source = format!("file:{}", folder.display());
        Self::of(folder, source)
    }

    fn of(folder: PathBuf, source: String) -> Self {
        let market = Market::shipped("ercot").unwrap();
        Self { folder, follower: Follower::new(plan(source), market).unwrap(), now: NOW }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.folder.join(name), bytes).unwrap();
    }

    fn check(&mut self, want: &str) {
        let items = self.follower.poll(self.now);
        let folder = format!("{}/", self.folder.display());
        assert_eq!(show(&items).replace(&folder, ""), want);
        assert!(self.follower.next_at() > self.now);
        self.now = self.follower.next_at();
    }
}

#[test]
fn new_files_of_a_folder_are_told_once() {
    let mut bench = Bench::new("new");
    bench.check("");
    bench.write("b.csv", file(&[(2, "35")]));
    bench.write("a.csv", file(&[(1, "33.53")]));
    bench.check("Settlement 23:00 33.53/MWh, 23:15 35.00/MWh");
    bench.check("");
    // A later file corrects one price and repeats the other.
    bench.write("c.csv.gz", pack_gz(file(&[(1, "33.53"), (2, "36")]).as_bytes()));
    bench.check("Settlement 23:15 36.00/MWh");
    bench.check("");
}

#[test]
fn what_is_not_meant_is_left_alone() {
    let mut bench = Bench::new("left");
    for name in [".hidden.csv", "a.csv.part", "b.tmp", "c_xml.zip", "d.xml", "e.csv~"] {
        bench.write(name, "rubbish");
    }
    fs::create_dir(bench.folder.join("folder.csv")).unwrap();
    for _ in 0..4 {
        bench.check("");
    }
}

#[test]
fn a_file_being_written_is_waited_for() {
    let mut bench = Bench::new("growing");
    let whole = file(&[(1, "33.53"), (2, "35")]);
    // Cut within a price: `33.5` would be a wrong price, so a torn last line is not believed.
    bench.write("a.csv", &whole[..whole.len() - 30]);
    bench.check("");
    bench.write("a.csv", &whole);
    bench.check("Settlement 23:00 33.53/MWh, 23:15 35.00/MWh");
    // A packed file tells by itself that it is cut short.
    let packed = pack_gz(file(&[(3, "37")]).as_bytes());
    bench.write("b.csv.gz", &packed[..packed.len() / 2]);
    bench.check("");
    bench.write("b.csv.gz", &packed);
    bench.check("Settlement 23:30 37.00/MWh");
}

#[test]
fn a_file_without_a_last_line_end_is_taken_when_it_rests() {
    let mut bench = Bench::new("resting");
    bench.write("a.csv", file(&[(1, "33.53")]).trim_end());
    bench.check("");
    bench.check("Settlement 23:00 33.53/MWh");
}

#[test]
fn a_bad_file_is_rejected_once_and_costs_nothing() {
    let mut bench = Bench::new("bad");
    bench.write("a.csv", file(&[(1, "33.53")]));
    bench.write("b.csv", file(&[(2, "NaN")]));
    bench.check("Settlement 23:00 33.53/MWh");
    bench.check("");
    bench.check(
        "rejected: failed to read b.csv line 2, column SettlementPointPrice: `NaN` is not a \
         finite number; a missing price is not zero: leave the row out",
    );
    bench.check("");
    bench.write("b.csv", file(&[(2, "35")]));
    bench.check("Settlement 23:15 35.00/MWh");
    bench.write("c.csv", "interval_start_utc,LZ_WEST\n2025-04-11T00:00:00Z,1\n");
    bench.check("");
    bench.check("");
    bench.check(
        "rejected: failed to read c.csv: it is of kind canonical where ercot_np6_905 is \
         expected; put it where its own feed looks, or change the feed's kind",
    );
}

#[test]
fn one_file_is_read_again_when_it_changes() {
    let folder = Bench::new("one").folder;
    let path = folder.join("live.csv");
    let mut bench = Bench::of(folder, format!("file:{}", path.display()));
    bench.check("rejected: failed to read live.csv: No such file or directory (os error 2)");
    bench.check("");
    bench.write("live.csv", file(&[(1, "33.53")]));
    bench.check("Settlement 23:00 33.53/MWh");
    bench.write("live.csv", file(&[(1, "33.53"), (2, "35")]));
    bench.check("Settlement 23:15 35.00/MWh");
    bench.check("");
}

#[test]
fn a_price_is_never_known_later_than_it_came() {
    let mut bench = Bench::new("early");
    bench.write("a.csv", file(&[(1, "33.53")]));
    // A quarter hour from 23:00Z is known at 23:17 by rule; here it came at 23:16.
    let came = Time::from_seconds(1_744_326_960);
    let items = bench.follower.poll(came);
    let FeedItem::Prices { rows, .. } = &items[0] else { panic!("{items:?}") };
    assert_eq!(rows[0].known_at, came);
}

#[test]
fn a_source_is_a_file_or_an_address() {
    let market = Market::shipped("ercot").unwrap();
    let error = Follower::new(plan("ftp://a:b@127.0.0.1/x?y".into()), market).unwrap_err();
    insta::assert_snapshot!(error.sentence(), @"failed to read source `ftp://127.0.0.1/x`: it is neither a file nor an address; write file:FOLDER, file:PATH, http://... or https://...");
}

/// Answers from a list, and keeps what it was asked.
#[derive(Debug)]
struct Script {
    answers: VecDeque<Result<Reply, String>>,
    asked: Arc<Mutex<Vec<Condition>>>,
}

impl Fetch for Script {
    fn get(&mut self, _: &str, condition: &Condition) -> Result<Reply, String> {
        self.asked.lock().unwrap().push(condition.clone());
        self.answers.pop_front().unwrap()
    }
}

fn answer(status: u16, body: &str, etag: Option<&str>) -> Result<Reply, String> {
    let condition = Condition { etag: etag.map(str::to_owned), last_modified: None };
    Ok(Reply { status, condition, body: body.into(), ..Reply::default() })
}

#[test]
fn an_address_is_asked_politely() {
    let asked = Arc::default();
    let answers = VecDeque::from([
        answer(200, &file(&[(1, "33.53")]), Some("v1")),
        answer(304, "", None),
        Err("connection refused".into()),
        Err("connection refused".into()),
        answer(200, &file(&[(1, "33.53"), (2, "NaN")]), Some("v2")),
        answer(200, &file(&[(1, "33.53"), (2, "35")]), Some("v3")),
    ]);
    let fetch = Box::new(Script { answers, asked: Arc::clone(&asked) });
    let market = Market::shipped("ercot").unwrap();
    let plan = plan("http://me:secret@127.0.0.1:1/spp.csv?key=secret".into());
    let follower = Follower::with_fetch(plan, market, fetch).unwrap();
    let mut bench = Bench { folder: PathBuf::from("/nowhere"), follower, now: NOW };
    bench.check("Settlement 23:00 33.53/MWh");
    bench.check("");
    bench.check("rejected: failed to fetch http://127.0.0.1:1/spp.csv: connection refused");
    bench.check("");
    bench.check(
        "rejected: failed to read http://127.0.0.1:1/spp.csv line 3, column \
         SettlementPointPrice: `NaN` is not a finite number; a missing price is not zero: leave \
         the row out",
    );
    bench.check("Settlement 23:15 35.00/MWh");
    let etags: Vec<Option<String>> =
        asked.lock().unwrap().iter().map(|c: &Condition| c.etag.clone()).collect();
    let v1 = Some("v1".to_owned());
    // A body that could not be used is asked for again whole.
    assert_eq!(etags, [None, v1.clone(), v1.clone(), v1.clone(), v1, None]);
}

#[test]
fn too_early_a_look_asks_nothing() {
    let asked = Arc::default();
    let answers = VecDeque::from([answer(200, &file(&[(1, "33.53")]), None)]);
    let fetch = Box::new(Script { answers, asked: Arc::clone(&asked) });
    let market = Market::shipped("ercot").unwrap();
    let mut follower =
        Follower::with_fetch(plan("http://127.0.0.1:1/x".into()), market, fetch).unwrap();
    assert_eq!(follower.poll(NOW).len(), 1);
    assert_eq!(follower.poll(NOW + Span::seconds(9)).len(), 0);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

/// Serves one request a connection on loopback: a body with an entity tag, then 304 for it.
fn serve(requests: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let mut known = false;
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let line = line.unwrap().to_ascii_lowercase();
                known |= line == "if-none-match: \"v1\"";
                if line.is_empty() {
                    break;
                }
            }
            let body = pack_gz(file(&[(1, "33.53")]).as_bytes());
            let head = match known {
                true => "HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n".to_owned(),
                false => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len()),
            };
            write!(stream, "{head}ETag: \"v1\"\r\nConnection: close\r\n\r\n").unwrap();
            if !known {
                stream.write_all(&body).unwrap();
            }
        }
    });
    format!("http://{address}/spp.csv.gz")
}

#[test]
fn a_real_address_is_followed() {
    let mut bench = Bench::of(PathBuf::from("/nowhere"), serve(2));
    bench.check("Settlement 23:00 33.53/MWh");
    bench.check("");
}

#[test]
fn a_replay_shows_nothing_early_and_everything_once() {
    let spp = parse("ercot", file(&[(1, "33.53"), (2, "35")]).as_bytes()).unwrap();
    let runs = "SCEDTimestamp,RepeatedHourFlag,SettlementPoint,LMP\n\
                04/10/2025 18:00:11,N,LZ_WEST,33.00\n04/10/2025 18:05:12,N,LZ_WEST,34.00\n";
    let runs = parse("ercot", runs.as_bytes()).unwrap();
    let corrected = parse("ercot", file(&[(2, "36")]).as_bytes()).unwrap();
    let point = settlement_point("LZ_WEST", "");
    let mut replay = Replay::new([&spp, &runs, &corrected], &point);
    assert_eq!(replay.ends_at().unwrap().to_string(), "2025-04-10T23:32:00Z");
    let mut seen = Vec::new();
    while let Some(at) = replay.next_at() {
        assert_eq!(replay.due(Time(at.0 - 1)), None, "a nanosecond early there is nothing");
        for known in replay.due(at).unwrap() {
            assert_eq!(known.known_at, at);
            let rows: Vec<String> = known.rows.iter().map(|r| r.price.to_string()).collect();
            seen.push(format!("{at} {:?} {}", known.kind, rows.join(" ")));
        }
        assert_eq!(replay.due(at), None, "what was shown is gone");
    }
    insta::assert_snapshot!(seen.join("\n"), @"
    2025-04-10T23:00:31Z Dispatch 33.00/MWh
    2025-04-10T23:05:32Z Dispatch 34.00/MWh
    2025-04-10T23:17:00Z Settlement 33.53/MWh
    2025-04-10T23:32:00Z Settlement 36.00/MWh
    ");
}

#[test]
fn a_day_ahead_auction_is_known_all_at_once() {
    let mut text =
        "DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag\n".to_owned();
    for hour in 1..=24 {
        text += &format!("04/11/2025,{hour:02}:00,LZ_WEST,{hour},N\n");
    }
    let dam = parse("ercot", text.as_bytes()).unwrap();
    let mut replay = Replay::new([&dam], &settlement_point("LZ_WEST", "LZ"));
    let at = replay.next_at().unwrap();
    assert_eq!(at.to_string(), "2025-04-10T18:30:00Z");
    let known = replay.due(at).unwrap();
    assert_eq!((known.len(), known[0].rows.len()), (1, 24));
    assert_eq!(replay.next_at(), None);
}

proptest::proptest! {
    #[test]
    fn no_replay_has_foreknowledge(
        quarters in proptest::collection::btree_set(1u32..5, 1..5),
        looks in proptest::collection::vec(-30i64..150, 1..20),
    ) {
        let rows: Vec<(u32, &str)> = quarters.iter().map(|q| (*q, "1")).collect();
        let parsed = parse("ercot", file(&rows).as_bytes()).unwrap();
        let mut replay = Replay::new([&parsed], &settlement_point("LZ_WEST", ""));
        let mut told = 0;
        let mut looks = looks;
        looks.push(150);
        let base = Time::from_seconds(1_744_326_000);
        for minute in looks {
            let now = base + Span::minutes(minute);
            for known in replay.due(now).unwrap_or_default() {
                assert!(known.rows.iter().all(|r| r.known_at <= now));
                told += known.rows.len();
            }
            assert!(replay.next_at().is_none_or(|at| at > now));
        }
        assert_eq!(told, quarters.len());
    }
}

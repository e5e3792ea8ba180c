//! Hash prices from the network's numbers: the formula, the joins, the address.

use headgate_core::time::{Span, Time};
use headgate_core::units::Money;
use headgate_feeds::hashprice::{
    Coin, Computed, Difficulty, Mempool, NetworkData, Subsidy, end_of_day, per_ph_day,
};
use headgate_feeds::http::{Condition, Fetch, NetFetch, Reply};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;

/// Files of one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("headgate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn show(computed: &Computed) -> String {
    let row = |h: &headgate_core::event::Hashprice| format!("{} {}\n", h.known_at, h.per_ph_day.0);
    let rows: String = computed.rows.iter().map(row).collect();
    rows + &computed.notes.iter().map(|n| format!("note: {n}\n")).collect::<String>()
}

const DIFFICULTY: &str = "first_block_height,first_block_time_utc,difficulty,subsidy_btc\n\
                          500000,,1.0,12.5\n\
                          804000,2023-08-01T12:00:00Z,52328000000000.00,6.25\n\
                          806016,2023-08-16T08:00:00Z,52390000000000.5,6.25\n";
const PRICE: &str = "Date,Open,High,Low,Close,Volume\n\
                     2023-08-15,1,1,1,29170.35,1\n\
                     2023-08-16,1,1,1,28701.78,1\n\
                     2023-08-17,1,1,1,26664.55,1\n\
                     2023-10-01,1,1,1,27983.75,1\n";
const FEES: &str = "date,fees_btc\n2023-08-15,14.4\n2023-08-17,28.8\n";

fn check(difficulty: &str, price: &str, fees: Option<&str>) -> String {
    let name = format!("hash-{:?}", std::thread::current().id());
    let folder = Folder::new(&name.replace(['(', ')'], "-"));
    let d = folder.file("d.csv", difficulty);
    let p = folder.file("p.csv", price);
    let f = fees.map(|f| folder.file("f.csv", f));
    let subsidy = Subsidy::shipped().unwrap();
    match NetworkData::load(&d, &p, f.as_deref(), &subsidy) {
        Ok(data) => show(&data.hashprices(&subsidy)),
        Err(e) => e.sentence().replace(&format!("{}/", folder.0.display()), ""),
    }
}

#[test]
fn a_day_takes_the_difficulty_at_its_end_and_is_known_then() {
    insta::assert_snapshot!(check(DIFFICULTY, PRICE, None), @r"
    2023-08-16T00:00:00Z 70087634
    2023-08-17T00:00:00Z 68880189
    2023-08-18T00:00:00Z 63991127
    note: 1 difficulties without a time are left out
    note: 1 days have a coin price and no difficulty in force: left out
    ");
    // 0.1 and 0.2 BTC of fees a block on top of 6.25, and a day without: told, not made zero.
    insta::assert_snapshot!(check(DIFFICULTY, PRICE, Some(FEES)), @r"
    2023-08-16T00:00:00Z 71209037
    2023-08-17T00:00:00Z 68880189
    2023-08-18T00:00:00Z 66038843
    note: 1 difficulties without a time are left out
    note: 1 days have a coin price and no difficulty in force: left out
    note: 1 days have no fees: their hash price is of the subsidy alone
    ");
    let per_block = "date,fees_btc_per_block\n2023-08-15,0.1\n2023-08-16,0\n2023-08-17,0.2\n";
    let counted = "date,fees_btc,blocks\n2023-08-15,10,100\n2023-08-16,0,1\n2023-08-17,10,50\n";
    assert_eq!(check(DIFFICULTY, PRICE, Some(per_block)), check(DIFFICULTY, PRICE, Some(counted)));
}

#[test]
fn bad_rows_are_named() {
    let bad = |d: &str, p: &str, f: Option<&str>| check(d, p, f);
    insta::assert_snapshot!(bad("a,b\n", PRICE, None), @"failed to read d.csv line 1: the header `a,b` is not known; write first_block_height,first_block_time_utc,difficulty");
    insta::assert_snapshot!(bad("date,difficulty\n2023-08-01,NaN\n", PRICE, None), @"failed to read d.csv line 2, column difficulty: `NaN` is not a finite number; write a number, or leave the row out: missing is not zero");
    insta::assert_snapshot!(bad("date,difficulty\n2023-08-01,0\n", PRICE, None), @"failed to read d.csv line 2, column difficulty: a difficulty is zero; leave the row out");
    insta::assert_snapshot!(bad("date,difficulty\n2023-08-01,1,2\n", PRICE, None), @"failed to read d.csv line 2: it has 3 fields instead of 2; write one field a column");
    insta::assert_snapshot!(bad("date,difficulty\n", PRICE, None), @"failed to read d.csv: it has a header and no rows; write one line a day");
    insta::assert_snapshot!(bad("", PRICE, None), @"failed to read d.csv: it is empty; write a header and one row a line");
    insta::assert_snapshot!(bad(DIFFICULTY, "date,close\n2023-13-01,1\n", None), @"failed to read p.csv line 2, column date: `2023-13-01` is not a date; write it as 2024-06-01");
    insta::assert_snapshot!(bad(DIFFICULTY, PRICE, Some("date,fees_btc\n2023-08-15,-1\n")), @"failed to read f.csv line 2, column fees_btc: `-1` is negative; write the amount without a sign");
}

#[test]
fn the_subsidy_halves_by_date_and_by_height() {
    let subsidy = Subsidy::shipped().unwrap();
    let at = |text: &str, height: u32| {
        let at = headgate_feeds::local::utc(text.as_bytes()).unwrap();
        subsidy.at(at, height).0
    };
    assert_eq!(at("2024-04-20T00:09:26Z", 839_999), 625_000_000);
    assert_eq!(at("2024-04-20T00:09:27Z", 840_000), 312_500_000);
    assert_eq!(at("2020-05-12", 0), 625_000_000);
    // The shipped list ends in 2024: a chain past block 1,050,000 has halved all the same.
    assert_eq!(at("2028-06-01", 1_050_000), 156_250_000);
    assert_eq!(at("2040-01-01", 1_260_001), 78_125_000);
}

#[test]
fn a_protocol_file_out_of_order_is_refused() {
    let head = "name=\"x\"\nblock_time=\"10 min\"\nhalving_blocks=210000\naddress=\"\"\n";
    let two = "[[subsidy]]\nfrom=\"2020-01-02\"\nheight=5\nbtc=\"2\"\n\
               [[subsidy]]\nfrom=\"2020-01-01\"\nheight=6\nbtc=\"1\"\n";
    let said = |text: String| Subsidy::parse("p.toml", &text).unwrap_err().sentence();
    insta::assert_snapshot!(said(format!("{head}{two}")), @"failed to read market p.toml, key subsidy: the dates or heights are not rising; put them in order");
    insta::assert_snapshot!(said(head.replace("10 min", "10") + two), @"failed to read market p.toml, key block_time: `10` is not a number, a blank and a unit; write it as 10 min");
}

proptest::proptest! {
    #[test]
    fn it_falls_with_difficulty_and_rises_with_price_and_reward(
        d in 1i64..9_000_000_000_000_000, more in 1i64..1_000_000,
        reward in 1i64..10_000_000_000, price in 1i64..10_000_000_000_000,
    ) {
        let of = |d: i64, r: i64, p: i64| per_ph_day(Difficulty(d), Coin(r), Money(p));
        if let Some(now) = of(d, reward, price) {
            assert!(of(d + more, reward, price).unwrap() <= now);
            assert!(of(d, reward + more, price).is_none_or(|m| m >= now));
            assert!(of(d, reward, price + more).is_none_or(|m| m >= now));
            // Twice the coin price is twice the hash price, to the last micro-dollar's rounding.
            assert!(of(d, reward, 2 * price).is_none_or(|m| (m.0 - 2 * now.0).abs() <= 1));
        }
        assert_eq!(of(0, reward, price), None);
    }
}

/// Answers by what the path contains.
#[derive(Debug)]
struct Canned(Vec<(&'static str, Result<Reply, String>)>);

impl Fetch for Canned {
    fn get(&mut self, url: &str, _: &Condition) -> Result<Reply, String> {
        self.0.iter().find(|(part, _)| url.contains(part)).expect("a known path").1.clone()
    }
}

fn ok(body: &str) -> Result<Reply, String> {
    Ok(Reply { status: 200, body: body.into(), ..Reply::default() })
}

/// 2023-08-16 12:00 and 2023-08-17 23:00, newest first as mempool sends them.
const ADJUSTMENTS: &str = "[[1692165600,803040,52391178981379.1,1.0012],\
                           [1691000000,801024,52328312309286.2,0.99]]";
const BLOCK_FEES: &str = r#"[{"avgHeight":803000,"timestamp":1692144000,"avgFees":10000000,"USD":1},
    {"avgHeight":803050,"timestamp":1692187200,"avgFees":30000000,"USD":1}]"#;
const PRICES: &str = r#"{"prices":[{"time":1692273600,"USD":27000,"EUR":25000},
    {"time":1692313200,"USD":26664.55,"EUR":24500},{"time":1692187200,"USD":28701.78,"EUR":-1},
    {"time":1692140400,"USD":29170.35,"EUR":26700}],"exchangeRates":{"USDEUR":0.92}}"#;

fn mempool(answers: Vec<(&'static str, Result<Reply, String>)>) -> Mempool {
    Mempool::with_fetch("http://user:pw@127.0.0.1:1/", "USD", Box::new(Canned(answers)))
}

fn good() -> Vec<(&'static str, Result<Reply, String>)> {
    vec![
        ("difficulty-adjustments", ok(ADJUSTMENTS)),
        ("blocks/fees", ok(BLOCK_FEES)),
        ("historical-price", ok(PRICES)),
    ]
}

#[test]
fn an_address_tells_no_day_before_its_end() {
    let subsidy = Subsidy::shipped().unwrap();
    let ask = |second: i64| {
        let data = mempool(good()).fetch(Time::from_seconds(second)).unwrap();
        show(&data.hashprices(&subsidy))
    };
    // The last second of the 17th, and the first of the 18th.
    let before = ask(1_692_316_799);
    insta::assert_snapshot!(before, @r"
    2023-08-16T00:00:00Z 70087216
    2023-08-17T00:00:00Z 71082756
    note: 1 days have no fees: their hash price is of the subsidy alone
    ");
    insta::assert_snapshot!(ask(1_692_316_800), @r"
    2023-08-16T00:00:00Z 70087216
    2023-08-17T00:00:00Z 71082756
    2023-08-18T00:00:00Z 63989687
    note: 2 days have no fees: their hash price is of the subsidy alone
    ");
}

#[test]
fn answers_that_are_none_are_told_and_waited_out() {
    let now = Time::from_seconds(1_692_316_800);
    let said = |part: &str, answer: Result<Reply, String>| {
        let mut all = good();
        all.iter_mut().find(|(p, _)| *p == part).unwrap().1 = answer;
        let mut mempool = mempool(all);
        let error = mempool.fetch(now).unwrap_err().sentence();
        (error, mempool.next_at().since(now))
    };
    let (error, pause) = said("blocks/fees", ok("<html>busy</html>"));
    insta::assert_snapshot!(error, @"failed to fetch http://127.0.0.1:1/api/v1/mining/blocks/fees/3y: it answered with a web page where data is expected: the address may be wrong, or the service down or closed to this computer");
    assert_eq!(pause, Span::minutes(2));
    let limited = Reply { status: 429, retry_after: Some("900".into()), ..Reply::default() };
    let (error, pause) = said("historical-price", Ok(limited));
    insta::assert_snapshot!(error, @"failed to fetch http://127.0.0.1:1/api/v1/historical-price: it answered with status 429: it was asked too often, and is asked again once it allows");
    assert!(pause >= Span::minutes(15), "the server said so: {pause}");
    let (error, _) = said("difficulty-adjustments", ok("[[1692165600,803040]]"));
    insta::assert_snapshot!(error, @"failed to fetch http://127.0.0.1:1/api/v1/mining/difficulty-adjustments: an entry has no usable difficulty");
    let (error, _) = said("difficulty-adjustments", ok("[]"));
    insta::assert_snapshot!(error, @"failed to fetch http://127.0.0.1:1/api/v1/mining/difficulty-adjustments: the answer is an empty list");
    let (error, _) = said("difficulty-adjustments", ok("[[1692165600000,8,5.1,1]]"));
    insta::assert_snapshot!(error, @"failed to fetch http://127.0.0.1:1/api/v1/mining/difficulty-adjustments: 1692165600000 is no time in seconds");
    let (error, _) = said("historical-price", ok(r#"{"prices":[{"time":1692313200,"EUR":2}]}"#));
    insta::assert_snapshot!(error, @"failed to fetch http://127.0.0.1:1/api/v1/historical-price: no entry has a price in USD");
}

/// The real client against a real socket that answers half a body, then the whole.
#[test]
fn half_a_body_is_a_failure_and_the_next_asking_mends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut paths = Vec::new();
        for n in 0..4 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0u8; 2048];
            let have = stream.read(&mut request).unwrap();
            let path = String::from_utf8_lossy(&request[..have]);
            let path = path.split(' ').nth(1).unwrap_or_default().to_owned();
            let body = match path.as_str() {
                p if p.contains("adjustments") => ADJUSTMENTS,
                p if p.contains("fees") => BLOCK_FEES,
                _ => PRICES,
            };
            let sent = if n == 0 { &body[..body.len() / 2] } else { body };
            let (length, kind) = (body.len(), "application/json");
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(sent.as_bytes()).unwrap();
            paths.push(path);
        }
        paths
    });
    let fetch = Box::new(NetFetch::default());
    let mut mempool = Mempool::with_fetch(&format!("http://{address}"), "USD", fetch);
    let now = Time::from_seconds(1_692_316_800);
    mempool.fetch(now).unwrap_err();
    let data = mempool.fetch(now).unwrap();
    assert_eq!(data.price.len(), 3);
    assert_eq!(data.difficulty.len(), 2);
    let paths = server.join().unwrap();
    assert_eq!(paths[3], "/api/v1/historical-price?currency=USD");
    assert_eq!(end_of_day(19_585), Time::from_seconds(1_692_230_400));
}

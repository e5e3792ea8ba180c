//! Lists of documents: newest first, each once, a restart that fetches nothing twice.

use super::server::{Answer, Asked, Server, ok, status};
use super::{Bench, NOON, live, plan, quarter};
use crate::common::pack_zip;
use headgate_core::time::Span;
use headgate_feeds::live::LiveKind;
use headgate_feeds::settlement_point;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A document of ERCOT's list: id, what it is called, when it was posted.
fn entry(id: u32, what: &str, posted: &str) -> String {
    format!(
        r#"{{"Document":{{"DocID":"{id}","ConstructedName":"cdr.{id}.{what}.zip","FriendlyName":"SPP_{what}","PublishDate":"2025-04-10T{posted}-05:00","ContentSize":"1"}}}}"#
    )
}

fn list(entries: &[String]) -> Answer {
    let entries = entries.join(",");
    ok(format!(r#"{{"ListDocsByRptTypeRes":{{"DocumentList":[{entries}]}}}}"#))
}

fn is_list(asked: &Asked) -> bool {
    asked.path.contains("IceDocListJsonWS")
}

fn mis(server: Server) -> Bench {
    let source = format!("{}/misapp/servlets/IceDocListJsonWS?reportTypeId=12301", server.host());
    Bench::new("ercot", plan(source, live(LiveKind::ErcotMis)), server)
}

/// Two documents, and a third that appears once `late` says so.
fn growing(late: Arc<Mutex<bool>>) -> Server {
    Server::new(move |asked, _| match asked.path.rsplit('=').next().unwrap() {
        "12301" => {
            let mut all = vec![
                entry(1, "csv", "11:32:10"),
                entry(2, "xml", "11:47:09"),
                entry(3, "csv", "11:47:10"),
            ];
            if *late.lock().unwrap() {
                all.insert(0, entry(4, "csv", "12:02:10"));
            }
            list(&all)
        }
        "1" => ok(quarter(12, 1, "31")),
        "3" => ok(quarter(12, 3, "33")),
        "4" => ok(quarter(12, 4, "34")),
        _ => status(404, ""),
    })
}

#[test]
fn documents_come_newest_first_and_once() {
    let late = Arc::new(Mutex::new(false));
    let mut bench = mis(growing(Arc::clone(&late)));
    insta::assert_snapshot!(bench.run(Span::seconds(100)), @"
    GET /LIST?reportTypeId=12301
    GET /misdownload/servlets/mirDownload?doclookupId=3
      04-10T16:30 33.00/MWh
    GET /misdownload/servlets/mirDownload?doclookupId=1
      04-10T16:00 31.00/MWh
    GET /LIST?reportTypeId=12301
    ");
    *late.lock().unwrap() = true;
    insta::assert_snapshot!(bench.run(Span::seconds(30)), @"
    GET /LIST?reportTypeId=12301
    GET /misdownload/servlets/mirDownload?doclookupId=4
      04-10T16:45 34.00/MWh
    ");
    bench.check_pace();
}

#[test]
fn a_restart_fetches_nothing_twice_and_what_was_missed() {
    let memory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("live_restart/spp.json");
    let _ = std::fs::remove_file(&memory);
    let late = Arc::new(Mutex::new(false));
    let server = growing(Arc::clone(&late));
    let source = format!("{}/misapp/servlets/IceDocListJsonWS?reportTypeId=12301", server.host());
    let mut live = live(LiveKind::ErcotMis);
    live.memory = Some(memory.clone());
    let mut bench = Bench::new("ercot", plan(source.clone(), live.clone()), server);
    let _ = bench.run(Span::seconds(70));
    *late.lock().unwrap() = true;
    let mut bench = Bench::new("ercot", plan(source.clone(), live.clone()), bench.server);
    insta::assert_snapshot!(bench.run(Span::seconds(70)), @"
    GET /LIST?reportTypeId=12301
    GET /misdownload/servlets/mirDownload?doclookupId=4
      04-10T16:45 34.00/MWh
    GET /LIST?reportTypeId=12301
    ");
    // A memory that is damaged is told and begun anew.
    std::fs::write(&memory, "{\"source").unwrap();
    let mut bench = Bench::new("ercot", plan(source, live), bench.server);
    let told = bench.run(Span::seconds(20));
    assert!(told.contains("it is begun anew from the server"), "{told}");
    assert_eq!(told.matches("mirDownload").count(), 3, "{told}");
}

#[test]
fn a_later_posting_stands_whichever_comes_first() {
    let mut bench = mis(Server::new(|asked, _| match asked.path.rsplit('=').next().unwrap() {
        "12301" => list(&[entry(8, "csv", "11:32:10"), entry(9, "retry_csv", "11:59:00")]),
        "8" => ok(quarter(12, 1, "31")),
        _ => ok(quarter(12, 1, "99")),
    }));
    insta::assert_snapshot!(bench.run(Span::seconds(30)), @"
    GET /LIST?reportTypeId=12301
    GET /misdownload/servlets/mirDownload?doclookupId=9
      04-10T16:00 99.00/MWh
    GET /misdownload/servlets/mirDownload?doclookupId=8
    ");
}

#[test]
fn a_server_in_trouble_is_told_of_once_and_left_alone_ever_longer() {
    let mut bench = mis(Server::new(|asked, n| match n {
        0 | 1 => status(500, ""),
        2 => status(429, "Retry-After: 77\r\n"),
        3 => ok("<!DOCTYPE html><html><body>Maintenance</body></html>"),
        4 => Answer { broken: true, ..list(&[entry(1, "csv", "11:32:10")]) },
        5 => ok("{\"ListDocs"),
        _ if is_list(asked) => list(&[entry(1, "csv", "11:32:10")]),
        _ => ok(quarter(12, 1, "31")),
    }));
    let told = bench.run(Span::minutes(8));
    insta::assert_snapshot!(told, @"
    GET /LIST?reportTypeId=12301
      rejected: failed to fetch HOST/LIST: it answered with status 500: the server is in trouble, and is asked again ever later
    GET /LIST?reportTypeId=12301
    GET /LIST?reportTypeId=12301
      rejected: failed to fetch HOST/LIST: it answered with status 429: it was asked too often, and is asked again once it allows
    GET /LIST?reportTypeId=12301
      rejected: failed to fetch HOST/LIST: it answered with a web page where data is expected: the address may be wrong, or the service down or closed to this computer
    GET /LIST?reportTypeId=12301
      rejected: failed to fetch HOST/LIST: its answer broke off: io: Peer disconnected
    GET /LIST?reportTypeId=12301
      rejected: failed to fetch HOST/LIST: it answered with something that is no list of documents: EOF while parsing a string at line 1 column 10
    ");
    let pauses = bench.pauses();
    let least = [10, 20, 77, 80, 160, 300];
    for (got, want) in pauses.iter().zip(least) {
        assert!((want..=want * 11 / 10).contains(got), "{pauses:?}");
    }
}

#[test]
fn a_damaged_document_is_tried_again_and_told_once() {
    let mut bench = mis(Server::new(|asked, n| match asked.path.rsplit('=').next().unwrap() {
        "12301" => list(&[entry(1, "csv", "11:32:10"), entry(5, "csv", "11:47:10")]),
        "5" if n == 1 => ok(&quarter(12, 2, "32")[..40]),
        "5" if n == 2 => Answer { broken: true, ..ok(quarter(12, 2, "32")) },
        "5" => ok("PK\u{3}\u{4} and rubbish"),
        _ => ok(quarter(12, 1, "31")),
    }));
    insta::assert_snapshot!(bench.run(Span::seconds(100)), @"
    GET /LIST?reportTypeId=12301
    GET /misdownload/servlets/mirDownload?doclookupId=5
      rejected: failed to unpack cdr.5.csv.zip: the zip is cut short; fetch the file again: invalid Zip archive: Could not find EOCD
    GET /misdownload/servlets/mirDownload?doclookupId=5
      rejected: failed to fetch HOST/LIST: its answer broke off: io: Peer disconnected
    GET /misdownload/servlets/mirDownload?doclookupId=5
    GET /LIST?reportTypeId=12301
    GET /misdownload/servlets/mirDownload?doclookupId=5
    GET /misdownload/servlets/mirDownload?doclookupId=1
      04-10T16:00 31.00/MWh
    ");
}

#[test]
fn a_clock_that_is_an_hour_off_is_told_once_and_prices_keep_their_stamps() {
    // The server says 18:00Z where it is 17:00Z, and once the time of an old copy in a cache.
    let mut bench = mis(Server::new(|asked, n| {
        let answer = match is_list(asked) {
            true => list(&[entry(1, "csv", "11:32:10")]),
            false => ok(quarter(12, 1, "31")),
        };
        let date = match n {
            0 => "Date: Thu, 10 Apr 2025 16:00:00 GMT\r\nAge: 3600\r\n",
            1 | 2 => "Date: Thu, 10 Apr 2025 18:00:00 GMT\r\n",
            _ => "Date: Thu, 10 Apr 2025 17:02:00 GMT\r\n",
        };
        Answer { head: date.to_owned(), ..answer }
    }));
    insta::assert_snapshot!(bench.run(Span::seconds(170)), @"
    GET /LIST?reportTypeId=12301
    GET /misdownload/servlets/mirDownload?doclookupId=1
      04-10T16:00 31.00/MWh
      noted: the clock of HOST/LIST is 60 min ahead of this computer's: set the wrong one right; prices keep the stamps they came with
    GET /LIST?reportTypeId=12301
    GET /LIST?reportTypeId=12301
      noted: the clocks of HOST/LIST and of this computer agree again
    ");
}

#[test]
fn an_empty_list_is_a_gap_once_it_goes_on() {
    let mut bench = mis(Server::new(|asked, n| match is_list(asked) {
        true if n < 6 => list(&[]),
        true => list(&[entry(1, "csv", "11:32:10")]),
        false => ok(quarter(12, 1, "31")),
    }));
    insta::assert_snapshot!(bench.run(Span::minutes(7)), @"
    GET /LIST?reportTypeId=12301
    GET /LIST?reportTypeId=12301
    GET /LIST?reportTypeId=12301
      rejected: failed to fetch HOST/LIST: it has answered without rows since 2025-04-10T17:00..Z; what is missing stays unknown, so see whether the market publishes at all
    GET /LIST?reportTypeId=12301
    GET /LIST?reportTypeId=12301
    GET /LIST?reportTypeId=12301
    GET /LIST?reportTypeId=12301
    GET /misdownload/servlets/mirDownload?doclookupId=1
      04-10T16:00 31.00/MWh
      noted: HOST/LIST has rows again; it had none since 2025-04-10T17:00..Z
    ");
}

#[test]
fn catching_up_is_bounded_and_new_prices_go_first() {
    // A hundred documents of a day, and a new one while the old ones are being fetched.
    let mut bench = mis(Server::new(|asked, n| match asked.path.rsplit('=').next().unwrap() {
        "12301" => {
            let old = (0..100).map(|i| entry(i, "csv", &format!("{:02}:{:02}:00", i / 10, i % 10)));
            let mut all: Vec<String> = old.collect();
            if n > 5 {
                all.push(entry(500, "csv", "12:00:30"));
            }
            list(&all)
        }
        "500" => ok(quarter(12, 4, "34")),
        _ => ok(quarter(1, 1, "1")),
    }));
    let told = bench.run(Span::seconds(90));
    let lines: Vec<&str> = told.lines().filter(|l| l.starts_with("GET")).collect();
    let lists: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].contains("LIST")).collect();
    assert_eq!(lists.len(), 2, "{told}");
    assert!(lines[lists[1] + 1].ends_with("=500"), "{told}");
    assert!(lines.len() > 25, "history goes on: {told}");
    bench.check_pace();
}

#[test]
fn a_nemweb_folder_is_followed_by_its_links() {
    let csv = |stamp: &str, price: &str| {
        let text = format!(
            "REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE\nNSW1,{stamp},7000,{price},TRADE\n"
        );
        pack_zip(&[("x.csv", text.as_bytes())])
    };
    let folder = r#"<html><pre><A HREF="/Reports/Current/">[To Parent Directory]</A><br>
        <A HREF="/Reports/Current/DispatchIS_Reports/PUBLIC_DISPATCHIS_202504102200_1.zip">a</A>
        <A HREF="/Reports/Current/DispatchIS_Reports/PUBLIC_DISPATCHIS_202504110300_2.zip">b</A>
        <a href="PUBLIC_DISPATCHIS_202504110305_3.zip">c</a>
        <A HREF="https://elsewhere.example/PUBLIC_DISPATCHIS_202504110310_4.zip">d</A>
        <A HREF="/Reports/Current/DispatchIS_Reports/readme.txt">e</A></pre></html>"#;
    let server = Server::new(move |asked, _| {
        if asked.path.ends_with("_2.zip") {
            return ok(csv("2025/04/11 03:00:00", "80.5"));
        }
        match asked.path.ends_with("_3.zip") {
            true => ok(csv("2025/04/11 03:05:00", "-20")),
            false => ok(folder),
        }
    });
    let source = format!("{}/Reports/Current/DispatchIS_Reports/", server.host());
    let mut live = live(LiveKind::AemoNemweb);
    live.catch_up = Span::hours(2);
    let mut plan = plan(source, live);
    plan.point = settlement_point("NSW1", "");
    let mut bench = Bench::new("nem", plan, server);
    assert_eq!(bench.now, NOON);
    insta::assert_snapshot!(bench.run(Span::seconds(40)), @"
    GET /Reports/Current/DispatchIS_Reports/
    GET /Reports/Current/DispatchIS_Reports/PUBLIC_DISPATCHIS_202504110305_3.zip
      04-10T17:00 -20.00/MWh
    GET /Reports/Current/DispatchIS_Reports/PUBLIC_DISPATCHIS_202504110300_2.zip
      04-10T16:55 80.50/MWh
    ");
}

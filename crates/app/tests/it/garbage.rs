//! A machine that answers with a web page instead of its protocol: it is lost, the others are not.

use crate::common::*;
use crate::prices::{five_minutes, spike};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n\
                    <html><body><h1>Miner configuration</h1></body></html>";

/// Answers every connection with a web page until it is dropped.
#[derive(Debug)]
struct WebServer {
    port: u16,
    asked: Arc<AtomicU32>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WebServer {
    fn start(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (Arc::clone(&asked), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Acquire) {
                let Ok((mut stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                count.fetch_add(1, Ordering::AcqRel);
                // Whoever hangs up first gets no page; that is theirs to bear.
                let _ = stream.set_nonblocking(false);
                let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
                let _ = stream.read(&mut [0; 512]);
                let _ = stream.write_all(PAGE.as_bytes());
            }
        });
        Self { port, asked, over, thread: Some(thread) }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn a_machine_that_answers_html_is_lost_and_no_other() {
    let folder = Folder::new("html");
    let web = WebServer::start("127.9.0.1");
    let small = SiteText { machines: 10, poll_watts: "20 s", ..SiteText::default() };
    let farm_site = folder.write("farm.toml", small.text());
    let mut farm = Running::start(&folder, "farm", &["simfarm", path(&farm_site)]);
    let told: Value =
        wait_for("the farm", || serde_json::from_str(farm.out().lines().next()?).ok());
    let port = u16::try_from(told["port"].as_u64().unwrap()).unwrap();
    let ours = SiteText { port, ..small }.text();
    let mixed = format!("hosts = [\"127.1.0.1-127.1.0.10\", \"127.9.0.1:{}\"]", web.port);
    let text = ours.replace("hosts = \"127.1.0.1-127.1.0.10\"", &mixed);
    assert_ne!(ours, text);
    let site = folder.write("site.toml", text);
    let prices = folder.write("lmp.csv", five_minutes(&spike(12)));
    let data = folder.data();
    let from = ["--from", "2024-06-10T18:38:00Z"];
    let args = ["run", path(&site), "--data", path(&data), "--replay", path(&prices)];
    let args: Vec<&str> = args.into_iter().chain(from).collect();
    let _daemon = Running::start(&folder, "daemon", &args);

    let done = |s: &Value| s["machines"]["asleep"] == 10 && s["commands"]["confirmed"] == 10;
    let end = wait_for("ten machines asleep", || glance(&data).filter(done));
    assert!(web.asked.load(Ordering::Acquire) > 0);
    assert_eq!(end["machines"]["all"], 11, "{end}");
    assert_eq!(end["machines"]["lost"], 1, "{end}");
    farm.tell("meter");
    let meter: Value =
        wait_for("the meter", || serde_json::from_str(farm.out().lines().nth(1)?).ok());
    assert!(meter["power_w"].as_i64().unwrap() < 10 * 100 + 2_000, "{meter}");
    // What cannot be measured is counted as drawing its full power, and somebody is told.
    let text = run(&["explain", "--data", path(&data)]).ok().out;
    insta::assert_snapshot!(
        text.lines().find(|l| l.contains("physical")).unwrap_or_default().trim(),
        @"
        physical       -> [5.2 kW, 33.4 kW]  10 machines answer, 1 are counted as drawing 2.7 kW
        "
    );
    let alarms = end["alarms"].to_string();
    assert!(alarms.contains("1 machines do not answer"), "{alarms}");
}

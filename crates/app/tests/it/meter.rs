//! A site with a meter on a wire: what it says is what counts, and what cannot be does not.

use crate::common::*;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A Modbus meter with one holding register that the test sets.
struct Meter {
    port: u16,
    register: Arc<AtomicU16>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    fn start(value: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (register, over) = (Arc::new(AtomicU16::new(value)), Arc::new(AtomicBool::new(false)));
        let (held, stop) = (Arc::clone(&register), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Acquire) {
                let Ok((mut stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut ask = [0; 12];
                while !stop.load(Ordering::Acquire) && stream.read_exact(&mut ask).is_ok() {
                    assert_eq!(ask[6..], [9, 3, 0, 100, 0, 1], "unit 9, one word at 100");
                    let [high, low] = held.load(Ordering::Acquire).to_be_bytes();
                    let answer = [ask[0], ask[1], 0, 0, 0, 5, 9, 3, 2, high, low];
                    stream.write_all(&answer).unwrap();
                }
            }
        });
        Self { port, register, over, thread: Some(thread) }
    }

    fn says(&self, value: u16) {
        self.register.store(value, Ordering::Release);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn wait_status(data: &Path, what: &str, test: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, || glance(data).filter(&test))
}

#[test]
fn a_meter_on_the_wire_measures_the_site_and_proves_a_curtailment() {
    let folder = Folder::new("meter");
    let small = SiteText { machines: 10, poll_watts: "2 s", ..SiteText::default() };
    let farm_site = folder.write("farm.toml", small.text());
    let farm = Running::start(&folder, "farm", &["simfarm", path(&farm_site)]);
    let told: Value =
        wait_for("the farm", || serde_json::from_str(farm.out().lines().next()?).ok());
    let port = u16::try_from(told["port"].as_u64().unwrap()).unwrap();
    // Tens of watts: 31.2 kW.
    let meter = Meter::start(3_120);
    let text = SiteText { port, ..small }.text();
    let meters = format!(
        "[meters.poi]\nkind = \"modbus\"\naddress = \"127.0.0.1:{}\"\nunit_id = 9\n\
         registers = {{ power = {{ at = 100, type = \"u16\", scale = \"10 W\" }} }}\n\
         every = \"100 ms\"\nmost = \"1 MW\"\n",
        meter.port
    );
    let site = folder.write("site.toml", format!("{text}\n{meters}"));
    let data = folder.data();
    let args = ["run", path(&site), "--data", path(&data), "--port", "0"];
    let _daemon = Running::start(&folder, "daemon", &args);

    let seen = wait_status(&data, "the meter", |s| s["measured_w"] == 31_200 && s["ready"] == true);
    let poi = &seen["meters"][0];
    assert_eq!((&poi["name"], &poi["failing"]), (&"poi".into(), &false.into()), "{seen}");
    assert_eq!((&poi["power_w"], &poi["stale"]), (&31_200.into(), &false.into()), "{seen}");

    // No such number: what was believed before stays, and somebody is told.
    meter.says(u16::MAX);
    let alarmed = |s: &Value| s["alarms"].to_string().contains("what it says cannot be");
    let bad = wait_status(&data, "the alarm", alarmed);
    assert_eq!(
        (&bad["meters"][0]["power_w"], &bad["measured_w"]),
        (&31_200.into(), &31_200.into())
    );
    let shown = run(&["status", "--data", path(&data)]).ok().out;
    assert!(shown.contains("its register holds no value"), "{shown}");
    meter.says(3_120);
    wait_status(&data, "the alarm's end", |s| !alarmed(s) && s["meters"][0]["failing"] == false);

    // By their own watts the machines go down at once; it is the meter that has to show it.
    let ask = ["fleet", "curtail", "20 kW", "--by", "20 s", "--reason", "storm"];
    let args: Vec<&str> =
        ask.into_iter().chain(["--data", path(&data), "--format", "json"]).collect();
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| run(&args));
        wait_status(&data, "the curtailment", |s| s["curtailment"]["active"] == true);
        meter.says(1_100);
        asked.join().unwrap()
    });
    let done = asked.ok().json();
    assert_eq!((&done["in_time"], &done["by_meter"]), (&true.into(), &true.into()), "{done}");
    assert_eq!(done["delivered_w"], 20_200, "{done}");
}

//! A site with a meter on a wire: what it says is what counts, and what cannot be does not.

use crate::common::*;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A Modbus device: a meter at holding register 100 that the test sets, and a breaker whose coil
/// 5 tells it and whose input 6 shows it.
struct Device {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    meter: AtomicU16,
    /// What the meter says with the breaker open.
    meter_open: AtomicU16,
    closed: AtomicBool,
    writes: AtomicU16,
    over: AtomicBool,
}

impl Shared {
    fn answer(&self, ask: [u8; 12]) -> Vec<u8> {
        let body = match ask[7..] {
            [3, 0, 100, 0, 1] => {
                let open = !self.closed.load(Ordering::Acquire);
                let meter = if open { &self.meter_open } else { &self.meter };
                let [high, low] = meter.load(Ordering::Acquire).to_be_bytes();
                vec![9, 3, 2, high, low]
            }
            [2, 0, 6, 0, 1] => vec![9, 2, 1, u8::from(self.closed.load(Ordering::Acquire))],
            [5, 0, 5, on, 0] => {
                self.writes.fetch_add(1, Ordering::AcqRel);
                self.closed.store(on == 0xff, Ordering::Release);
                ask[6..].to_vec()
            }
            _ => panic!("nobody was to ask {ask:?}"),
        };
        let length = u8::try_from(body.len()).unwrap();
        [&[ask[0], ask[1], 0, 0, 0, length], &body[..]].concat()
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut ask = [0; 12];
        while !self.over.load(Ordering::Acquire) && stream.read_exact(&mut ask).is_ok() {
            assert_eq!(ask[6], 9, "the unit");
            // Whoever hangs up first gets no answer.
            let _ = stream.write_all(&self.answer(ask));
        }
    }
}

impl Device {
    fn start(meter: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            meter: AtomicU16::new(meter),
            meter_open: AtomicU16::new(meter),
            closed: AtomicBool::new(true),
            writes: AtomicU16::new(0),
            over: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                while !served.over.load(Ordering::Acquire) {
                    match listener.accept() {
                        Ok((stream, _)) => {
                            let served = &served;
                            scope.spawn(move || served.serve(stream));
                        }
                        Err(_) => std::thread::sleep(Duration::from_millis(5)),
                    }
                }
            });
        });
        Self { port, shared, thread: Some(thread) }
    }

    fn says(&self, value: u16) {
        self.shared.meter.store(value, Ordering::Release);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Ten simulated machines in a process of their own, and a daemon that reads a device.
fn site(folder: &Folder, device: &Device, more: &str) -> (Running, Running) {
    let small = SiteText { machines: 10, poll_watts: "2 s", ..SiteText::default() };
    let farm_site = folder.write("farm.toml", small.text());
    let farm = Running::start(folder, "farm", &["simfarm", path(&farm_site)]);
    let told: Value =
        wait_for("the farm", || serde_json::from_str(farm.out().lines().next()?).ok());
    let port = u16::try_from(told["port"].as_u64().unwrap()).unwrap();
    let text = SiteText { port, ..small }.text();
    // Tens of watts.
    let meter = format!(
        "[meters.poi]\nkind = \"modbus\"\naddress = \"127.0.0.1:{}\"\nunit_id = 9\n\
         registers = {{ power = {{ at = 100, type = \"u16\", scale = \"10 W\" }} }}\n\
         every = \"100 ms\"\nmost = \"1 MW\"\n",
        device.port
    );
    let site = folder.write("site.toml", format!("{text}\n{meter}{more}"));
    let data = folder.data();
    let args = ["run", path(&site), "--data", path(&data), "--port", "0"];
    (farm, Running::start(folder, "daemon", &args))
}

#[test]
fn a_meter_on_the_wire_measures_the_site_and_proves_a_curtailment() {
    let folder = Folder::new("meter");
    let meter = Device::start(3_120);
    let _running = site(&folder, &meter, "");
    let data = folder.data();
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

#[test]
fn a_breaker_is_opened_when_machines_do_not_and_closed_only_where_there_is_room() {
    let folder = Folder::new("breaker");
    let device = Device::start(3_120);
    // Whatever the machines do, the meter sees nothing of it before the breaker opens.
    device.shared.meter_open.store(1_000, Ordering::Release);
    let switch = format!(
        "[[switch]]\nname = \"feeder 1\"\nkind = \"modbus\"\naddress = \"127.0.0.1:{}\"\n\
         unit_id = 9\nwrite = {{ table = \"coil\", at = 5 }}\n\
         read_back = {{ table = \"discrete\", at = 6 }}\nfeeds = [\"127.1.0.1-127.1.0.9\"]\n\
         allowed = true\nevery = \"200 ms\"\n",
        device.port
    );
    let _running = site(&folder, &device, &switch);
    let data = folder.data();
    let stands = |s: &Value| s["switches"][0]["closed"].as_bool();
    wait_status(&data, "the breaker", |s| {
        s["measured_w"] == 31_200 && s["ready"] == true && stands(s) == Some(true)
    });
    assert_eq!(device.shared.writes.load(Ordering::Acquire), 0);

    let ask = ["fleet", "curtail", "20 kW", "--by", "20 s", "--reason", "storm"];
    let args: Vec<&str> =
        ask.into_iter().chain(["--data", path(&data), "--format", "json"]).collect();
    let done = run(&args).ok().json();
    assert_eq!((&done["in_time"], &done["by_meter"]), (&true.into(), &true.into()), "{done}");
    assert_eq!(done["delivered_w"], 21_200, "{done}");
    assert_eq!(device.shared.writes.load(Ordering::Acquire), 1, "{done}");
    let open = wait_status(&data, "it is open", |s| stands(s) == Some(false));
    assert!(!open["alarms"].to_string().contains("feeder 1"), "{open}");
    assert!(run(&["status", "--data", path(&data)]).ok().out.contains("OPEN"));

    run(&["fleet", "resume", "--data", path(&data)]).ok();
    // Without a price nothing may rise, and a breaker is no way around that.
    let left = |s: &Value| s["alarms"].to_string().contains("is left open");
    let open = wait_status(&data, "it is left open", left);
    assert_eq!(stands(&open), Some(false), "{open}");
    assert_eq!(device.shared.writes.load(Ordering::Acquire), 1);
}

//! Putting a running site together: recovery, drivers on their wires, the loop, and its doors.

use crate::clock::Clock;
use crate::config::LiveDriver;
use crate::doors::{self, Beat, ControlListener, Token};
use crate::plant::{self, DriverSlot, FeedMessage, Observer, Parts, Plant, Prices};
use crate::status::Desk;
use anyhow::Context;
use headgate_core::engine::NO_DRIVER;
use headgate_core::event::{Act, AutomationMode, CohortModel, Event, OperatorAct};
use headgate_core::fleet::DriverId;
use headgate_core::hands::Hands;
use headgate_core::horizon::unit::UnitSpec;
use headgate_core::site::Site;
use headgate_core::time::Time;
use headgate_drivers::family::{self, DriverOptions};
use headgate_drivers::fleet::{FleetDriver, Options};
use headgate_drivers::shell::{Wire, addresses};
use headgate_store::{DataLock, Writer};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::info;

/// What is to run.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub site: &'a Site,
    /// Its blocks of load without machines.
    pub units: &'a [UnitSpec],
    /// What its cohorts look ahead with.
    pub models: &'a [CohortModel],
    /// What goes beside its drivers, in their order.
    pub drivers: &'a [LiveDriver],
    /// What it has to bring power down with beside its machines.
    pub hands: &'a Hands,
}

/// A site has nothing but its machines.
pub static NO_HANDS: Hands = Hands { classes: Vec::new(), switches: Vec::new(), inrush: None };

impl<'a> From<&'a Site> for Setup<'a> {
    fn from(site: &'a Site) -> Self {
        Self { site, units: &[], models: &[], drivers: &[], hands: &NO_HANDS }
    }
}

/// Where events come from.
pub struct Source {
    pub prices: Prices,
    /// Events due at set times.
    pub script: VecDeque<(Time, Event)>,
    /// Where it ends, when it does.
    pub ends_at: Option<Time>,
}

/// The runtime of a daemon.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")
}

/// A wish to end, by a person or the system.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Ends on SIGINT and SIGTERM.
    ///
    /// # Errors
    /// When signals cannot be waited for.
    pub fn on_signals() -> anyhow::Result<Self> {
        let stop = Self(Arc::new(watch::channel(false).0));
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let ours = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            ours.now();
        });
        Ok(stop)
    }

    /// Asks everybody to end.
    pub fn now(&self) {
        self.0.send_replace(true);
    }

    /// What to wait on.
    pub fn signal(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Waits until somebody wants the end.
    pub async fn wanted(&self) {
        let mut signal = self.signal();
        // The sender lives as long as we do.
        let _ = signal.wait_for(|stop| *stop).await;
    }
}

/// Recovers a data folder and puts the loop together; the doors are not open yet.
///
/// # Errors
/// When the folder is in use or damaged, or an address cannot be resolved.
pub fn plant(
    folder: &Path,
    setup: Setup<'_>,
    clock: Clock,
    source: Source,
    observer: Option<Observer>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<(Plant, Doors)> {
    plant_on(plant::recover(folder)?, folder, setup, clock, source, observer, stop)
}

/// Puts the loop together on what recovery found; the doors are not open yet.
///
/// # Errors
/// When an address cannot be resolved or a thread cannot be had.
pub fn plant_on(
    found: plant::Recovered,
    folder: &Path,
    setup: Setup<'_>,
    clock: Clock,
    source: Source,
    observer: Option<Observer>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<(Plant, Doors)> {
    let Setup { site, units, models, drivers: beside, hands } = setup;
    let known: Arc<[SocketAddr]> = addresses(site)?.into();
    let mut drivers = Vec::new();
    // Units have no driver; theirs is the last.
    let commanded = site.drivers.iter().filter(|d| d.kind != NO_DRIVER).count();
    for i in 0..commanded {
        let id = DriverId(u16::try_from(i)?);
        let spec = &site.drivers[i];
        let options = match beside.get(i) {
            Some(live) => crate::kept::driver(live)
                .with_context(|| format!("failed to start driver {}", spec.name))?,
            None => DriverOptions::default(),
        };
        let driver = FleetDriver::with(id, site, Options::default(), &options)?;
        let (tx, results) = mpsc::channel(plant::WIRE_QUEUE_MAX);
        let aux_port = options.aux_port.or_else(|| family::default_aux_port(&spec.kind));
        let wire = Wire::new(Arc::clone(&known), tx).with_aux_port(aux_port);
        drivers.push(DriverSlot::new(driver, wire, results));
    }
    let epoch = found.engine.epoch() + 1;
    let same = found.engine.site() == Some(site)
        && found.engine.units().eq(units)
        && found.engine.looks_ahead_with(models)
        && found.engine.hands() == hands;
    let stale_clock = found.engine.now();
    let acting = found.engine.mode() == AutomationMode::Auto;
    let parts = Parts {
        clock,
        engine: found.engine,
        drivers,
        prices: source.prices,
        next_seq: found.next_seq,
        script: source.script,
        journal: Writer::start(found.journal)?,
        tables: plant::TableWriter::start(found.tables, found.disk)?,
        ends_at: source.ends_at,
        observer,
    };
    let (feeds_tx, feeds) = mpsc::channel(plant::FEED_QUEUE_MAX);
    let (mut plant, desk, beat) = Plant::new(parts, feeds, stop);
    let now = plant.clock.now();
    // First of all the start: from here on nothing is told to a machine that was not read back.
    plant.post(Event::Started { version: plant::ENGINE_VERSION.into(), epoch });
    // A clock put right may start before the journal's last event.
    if let Some(last) = stale_clock.filter(|t| *t > now) {
        plant.post(Event::ClockStepped { by: now.since(last) });
    }
    if !same {
        // They are taken in with the configuration that comes next.
        if *hands != NO_HANDS {
            plant.post(Event::Hands(hands.clone()));
        }
        Event::configuration(site, units, models).into_iter().for_each(|e| plant.post(e));
    }
    // A site that was not acting on its own does not begin to because an event was set aside.
    if let Some(seq) = found.quarantined.filter(|_| acting) {
        plant.post(Event::Operator(OperatorAct {
            actor: "headgate".into(),
            reason: format!("event {seq} aborted the engine twice and is set aside"),
            act: Act::Mode(AutomationMode::Hold),
        }));
    }
    let doors = Doors { desk, beat, feeds: feeds_tx, folder: folder.into(), _lock: found.lock };
    Ok((plant, doors))
}

/// The ways into a running site.
pub struct Doors {
    pub desk: Desk,
    pub beat: Beat,
    /// Where followers put what they bring.
    pub feeds: mpsc::Sender<FeedMessage>,
    folder: PathBuf,
    _lock: DataLock,
}

/// Doors that are open.
pub struct OpenDoors {
    tasks: Vec<JoinHandle<()>>,
    close: watch::Sender<bool>,
}

impl Doors {
    /// Opens the control socket and the HTTP port on 127.0.0.1.
    ///
    /// # Errors
    /// When the port is taken or the folder's files cannot be made.
    pub async fn open(&self, port: u16) -> anyhow::Result<OpenDoors> {
        let (close, closed) = watch::channel(false);
        let over = |mut closed: watch::Receiver<bool>| async move {
            // A dropped sender is the end, too.
            let _ = closed.wait_for(|c| *c).await;
        };
        let control = ControlListener::open(&self.folder)?;
        let token = Token::open(&self.folder)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let http = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to listen on {address}: choose another --port"))?;
        info!("http://{} (status, metrics); data in {}", http.local_addr()?, self.folder.display());
        let tasks = vec![
            tokio::spawn(doors::serve(control, self.desk.clone(), over(closed.clone()))),
            tokio::spawn(serve_http(
                http,
                self.desk.clone(),
                token,
                self.beat.clone(),
                closed.clone(),
            )),
            tokio::spawn(doors::watchdog::keep_informed(
                self.beat.clone(),
                self.desk.status.clone(),
                over(closed),
            )),
        ];
        Ok(OpenDoors { tasks, close })
    }
}

async fn serve_http(
    http: tokio::net::TcpListener,
    desk: Desk,
    token: Token,
    beat: Beat,
    mut closed: watch::Receiver<bool>,
) {
    let over = async move {
        let _ = closed.wait_for(|c| *c).await;
    };
    if let Err(e) = doors::serve_http(http, desk, token, beat, over).await {
        tracing::warn!("the HTTP door is closed: {e}");
    }
}

impl OpenDoors {
    /// Closes them and waits for what is under way.
    pub async fn close(self) {
        self.close.send_replace(true);
        for task in self.tasks {
            // A door that ended badly is closed all the same.
            let _ = task.await;
        }
    }
}

/// A live view on the terminal, or progress lines on stderr.
pub struct View(Option<JoinHandle<()>>);

/// Starts the view: the screen on a terminal, else a line of progress now and then.
pub fn view(live: bool, doors: &Doors, stop: &Stop) -> View {
    let status = doors.desk.status.clone();
    if live {
        return View(Some(tokio::spawn(crate::screen::run(status, stop.clone()))));
    }
    View(Some(tokio::spawn(progress(status))))
}

impl View {
    /// Puts the terminal back as it was.
    pub fn end(self) {
        if let Some(task) = self.0 {
            task.abort();
            crate::screen::restore();
        }
    }
}

/// How often progress is told.
const PROGRESS_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

async fn progress(status: watch::Receiver<Arc<crate::status::Status>>) {
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    tick.tick().await;
    loop {
        tick.tick().await;
        let s = status.borrow().clone();
        let price = s.price.as_ref().map_or("?".into(), |p| format!("{:.2}", p.expected));
        let mw = |w: Option<i64>| w.map_or("?".into(), |w| format!("{:.2}", w as f64 / 1e6));
        let done = s.clock.progress.map_or(String::new(), |p| format!("{:3.0} % ", p * 100.0));
        info!(
            "{done}{} at {:.0}x: price {price}, target {} MW, measured {} MW, profit {:.2} {}",
            s.at,
            s.clock.speed,
            mw(s.target_w),
            mw(s.measured_w),
            s.money.profit,
            s.currency,
        );
    }
}

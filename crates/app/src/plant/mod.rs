//! The running site: one loop that owns the clock, the engine, the drivers and the journal.
//!
//! An event is written to the journal, then the engine steps on it, then its plan goes to the
//! drivers, and what machines answer comes back as telemetry events. One loop, one direction:
//! nothing else may call the engine, and drivers never call back.

mod devices;
mod feeding;
mod publish;
mod quarantine;
mod record;
mod recover;
mod tables;

pub use feeding::{FeedBoard, FeedMessage, Prices, follow};
pub use record::ENGINE_VERSION;
pub use recover::{Recovered, recover};
pub use tables::TableWriter;

use crate::clock::Clock;
use crate::doors::Beat;
use crate::status::{ActRequest, Desk, PreviewRequest, Status};
use headgate_core::curtail::CurtailReport;
use headgate_core::engine::{Engine, Step};
use headgate_core::event::{Event, FeedId, Stamped};
use headgate_core::fleet::{Level, MachineId, TargetPhase};
use headgate_core::plan::DispatchPlan;
use headgate_core::time::{Span, Time};
use headgate_drivers::devices::switch::SwitchRead;
use headgate_drivers::devices::{MeterRead, modbus::READS_MAX};
use headgate_drivers::fleet::FleetDriver;
use headgate_drivers::shell::{Wire, WireResult};
use headgate_drivers::{Counts, Driver, Input, Output, RequestId};
use headgate_store::Ticket;
use headgate_store::Writer;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Wire results that may wait for the loop.
pub const WIRE_QUEUE_MAX: usize = 8192;
/// Feed messages that may wait for the loop.
pub const FEED_QUEUE_MAX: usize = 256;
/// Hash prices that may wait for the loop.
const VALUE_QUEUE_MAX: usize = 16;
/// Acts of people that may wait for the loop.
pub const ACT_QUEUE_MAX: usize = 64;
/// Messages taken in one turn of the loop, so that timers are never starved.
const TURN_MAX: usize = 512;
/// How often the status is made anew, in wall time.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

/// What makes up a running site.
pub struct Plant {
    pub clock: Clock,
    pub engine: Engine,
    pub drivers: Vec<DriverSlot>,
    pub prices: Prices,
    /// Events due at set times that are not prices: hash prices of a file, a demo's script.
    pub script: VecDeque<(Time, Event)>,
    pub journal: Writer,
    pub tables: TableWriter,
    pub inbox: Inbox,
    values: mpsc::Sender<Event>,
    reads: mpsc::Sender<MeterRead>,
    /// How each meter of the site was last read.
    meters: Vec<devices::MeterBoard>,
    switches: devices::SwitchBoards,
    pub beat: Beat,
    /// Where a replay ends; the loop returns there.
    pub ends_at: Option<Time>,
    /// How long after that commands may still come to their end.
    pub afterglow: Span,
    /// Whether plans may reach machines at all; never where recorded prices meet machines that
    /// may be real, whatever the engine's mode says.
    pub may_command: bool,
    /// How the feeds' sources are, as their followers last found them.
    pub feed_board: FeedBoard,
    /// Called after each step with the event that caused it.
    pub observer: Option<Observer>,
    state: State,
}

/// Looks at every step as it is made.
pub type Observer = Box<dyn FnMut(&Stamped, &Step) + Send>;

/// A driver, its wire and what it asked for.
pub struct DriverSlot {
    pub driver: FleetDriver,
    pub wire: Wire,
    pub results: mpsc::Receiver<WireResult>,
    wake: Option<Time>,
    /// Requests on the wire, and whom they ask.
    asked: HashMap<RequestId, MachineId>,
}

impl DriverSlot {
    /// A driver on its wire.
    pub fn new(driver: FleetDriver, wire: Wire, results: mpsc::Receiver<WireResult>) -> Self {
        Self { driver, wire, results, wake: None, asked: HashMap::new() }
    }
}

/// What comes in from outside the loop.
pub struct Inbox {
    pub feeds: mpsc::Receiver<FeedMessage>,
    pub acts: mpsc::Receiver<ActRequest>,
    /// Questions what a curtailment would do.
    pub previews: mpsc::Receiver<PreviewRequest>,
    /// Hash prices as they are fetched.
    pub values: mpsc::Receiver<Event>,
    /// What meters say.
    pub reads: mpsc::Receiver<MeterRead>,
    /// How switches stand.
    pub stands: mpsc::Receiver<SwitchRead>,
    pub stop: watch::Receiver<bool>,
    pub status: watch::Sender<Arc<Status>>,
}

/// The loop's own bookkeeping.
struct State {
    next_seq: u64,
    waiting: Vec<(Event, Option<ActDone>)>,
    wake: Time,
    published: Instant,
    out: Output,
    /// Raises that wait for the disk: a raise never goes out unsynced. Without a ticket the
    /// event itself still waits to be handed to the journal.
    withheld: VecDeque<(Option<Ticket>, DispatchPlan)>,
    /// Acts that are told to be in the journal once they are.
    unacked: VecDeque<(Option<Ticket>, u64, ActDone)>,
    backlog: Vec<headgate_store::Entry>,
    snapshot_at: u64,
    alarms_since: Vec<(String, String, Time)>,
    slowest: Slowest,
    /// The report of the last curtailment.
    curtailed: Option<CurtailReport>,
    /// Plans sent, by generation, and when; for timing their proofs.
    sent: VecDeque<(u64, Time)>,
    /// When each machine was last told something, in wall time; for timing its answer.
    told_wall: HashMap<MachineId, Instant>,
}

/// Plans whose answers are timed.
const SENT_KEPT_MAX: usize = 1024;

type ActDone = tokio::sync::oneshot::Sender<Result<u64, String>>;

/// The slowest answers so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slowest {
    /// From a plan to a command's answer, wall time.
    pub ack_wall: Duration,
    /// From a plan to the proof of a fall by watts, simulated time.
    pub confirm_sim: Option<Span>,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The replay is over.
    Replayed,
    /// A person or the system asked for it.
    Asked,
}

/// The parts a plant is put together from.
pub struct Parts {
    pub clock: Clock,
    pub engine: Engine,
    pub drivers: Vec<DriverSlot>,
    pub prices: Prices,
    pub script: VecDeque<(Time, Event)>,
    pub journal: Writer,
    pub next_seq: u64,
    pub tables: TableWriter,
    pub ends_at: Option<Time>,
    pub observer: Option<Observer>,
}

impl Plant {
    /// Puts a plant together; the desk is the way in for everybody else.
    pub fn new(
        parts: Parts,
        feeds: mpsc::Receiver<FeedMessage>,
        stop: watch::Receiver<bool>,
    ) -> (Self, Desk, Beat) {
        let (status_tx, status) = watch::channel(Arc::new(publish::nothing_yet()));
        let (acts_tx, acts) = mpsc::channel(ACT_QUEUE_MAX);
        let (previews_tx, previews) = mpsc::channel(ACT_QUEUE_MAX);
        let (values_tx, values) = mpsc::channel(VALUE_QUEUE_MAX);
        let (reads_tx, reads) = mpsc::channel(READS_MAX);
        let (stands_tx, stands) = mpsc::channel(READS_MAX);
        let beat = Beat::new();
        let state = State {
            next_seq: parts.next_seq,
            waiting: Vec::new(),
            wake: Time::MIN,
            published: Instant::now(),
            out: Output::default(),
            withheld: VecDeque::new(),
            unacked: VecDeque::new(),
            backlog: Vec::new(),
            snapshot_at: parts.next_seq + record::SNAPSHOT_EVERY,
            alarms_since: Vec::new(),
            slowest: Slowest::default(),
            curtailed: None,
            sent: VecDeque::new(),
            told_wall: HashMap::new(),
        };
        let plant = Self {
            clock: parts.clock,
            engine: parts.engine,
            drivers: parts.drivers,
            prices: parts.prices,
            script: parts.script,
            journal: parts.journal,
            tables: parts.tables,
            inbox: Inbox { feeds, acts, previews, values, reads, stands, stop, status: status_tx },
            values: values_tx,
            reads: reads_tx,
            meters: Vec::new(),
            switches: devices::SwitchBoards::new(stands_tx),
            beat: beat.clone(),
            ends_at: parts.ends_at,
            afterglow: Span::ZERO,
            may_command: true,
            feed_board: FeedBoard::default(),
            observer: parts.observer,
            state,
        };
        (plant, Desk { status, acts: acts_tx, previews: previews_tx }, beat)
    }

    /// Where hash prices are handed in as they are fetched.
    pub fn values(&self) -> mpsc::Sender<Event> {
        self.values.clone()
    }

    /// Puts an event first in line, before the loop starts: configuration, start, value.
    pub fn post(&mut self, event: Event) {
        self.state.waiting.push((event, None));
    }

    /// Runs until the replay is over or somebody asks it to end. Machines stay as they are.
    ///
    /// # Errors
    /// When the journal can no longer be written and nothing may go on.
    pub async fn run(&mut self) -> anyhow::Result<Ended> {
        self.begin()?;
        loop {
            if let Some(ended) = self.turn()? {
                return Ok(ended);
            }
            self.wait().await;
        }
    }

    /// Commits what was posted and has every machine read back; turns come after it.
    ///
    /// # Errors
    /// As [`Plant::run`].
    pub fn begin(&mut self) -> anyhow::Result<()> {
        self.commit()?;
        for i in 0..self.drivers.len() {
            self.drive(i, Input::ReadBack);
        }
        Ok(())
    }

    /// One turn of the loop: takes what is due and what has come in, journals it, acts on it.
    ///
    /// # Errors
    /// As [`Plant::run`].
    pub fn turn(&mut self) -> anyhow::Result<Option<Ended>> {
        self.beat.touch();
        if let Some(by) = self.clock.stepped() {
            self.state.waiting.push((Event::ClockStepped { by }, None));
        }
        self.take_due();
        self.take_messages();
        self.commit()?;
        self.publish(false);
        if *self.inbox.stop.borrow() {
            return self.finish(Ended::Asked).map(Some);
        }
        if self.over() {
            return self.finish(Ended::Replayed).map(Some);
        }
        Ok(None)
    }

    fn finish(&mut self, ended: Ended) -> anyhow::Result<Ended> {
        self.settle_journal();
        self.publish(true);
        self.tables.flush();
        Ok(ended)
    }

    /// Whether something is under way that an accelerated clock must not run away from.
    fn held(&self) -> bool {
        self.drivers.iter().any(|d| !d.asked.is_empty() || d.driver.proving())
    }

    /// Whether the replay is over and every command has come to its end, or had time to.
    fn over(&self) -> bool {
        let now = self.clock.now();
        let Some(end) = self.ends_at.filter(|t| now >= *t) else { return false };
        let open = self.drivers.iter().any(|d| d.driver.counts().open > 0);
        self.idle() && ((!open && !self.held()) || now >= end + self.afterglow)
    }

    fn idle(&self) -> bool {
        self.state.waiting.is_empty() && self.drivers.iter().all(|d| d.asked.is_empty())
    }

    /// The next moment at which something is due.
    fn next_due(&self) -> Time {
        let mut due = self.state.wake;
        for d in &self.drivers {
            due = d.wake.map_or(due, |t| due.min(t));
        }
        due = self.prices.next_at().map_or(due, |t| due.min(t));
        due = self.script.front().map_or(due, |(t, _)| due.min(*t));
        let now = self.clock.now();
        let ends = self.ends_at.map(|t| if now < t { t } else { t + self.afterglow });
        ends.map_or(due, |t| due.min(t))
    }

    /// Takes what has become due by now.
    fn take_due(&mut self) {
        let now = self.clock.now();
        while self.script.front().is_some_and(|(t, _)| *t <= now) {
            self.state.waiting.extend(self.script.pop_front().map(|(_, e)| (e, None)));
        }
        for event in self.prices.due(now) {
            self.state.waiting.push((event, None));
        }
        for i in 0..self.drivers.len() {
            if self.drivers[i].wake.is_some_and(|t| t <= now) {
                self.drivers[i].wake = None;
                self.drive(i, Input::Timer);
            }
        }
        if self.state.wake <= now {
            self.state.waiting.push((Event::Tick, None));
        }
    }

    /// Takes what has come in, up to a bound.
    fn take_messages(&mut self) {
        for i in 0..self.drivers.len() {
            for _ in 0..TURN_MAX {
                let Ok(result) = self.drivers[i].results.try_recv() else { break };
                self.take_result(i, result);
            }
        }
        while let Ok(message) = self.inbox.feeds.try_recv() {
            self.take_feed(message);
        }
        while let Ok(event) = self.inbox.values.try_recv() {
            self.state.waiting.push((event, None));
        }
        while let Ok(read) = self.inbox.reads.try_recv() {
            self.take_read(read);
        }
        while let Ok(read) = self.inbox.stands.try_recv() {
            self.take_stand(read);
        }
        while let Ok(question) = self.inbox.previews.try_recv() {
            self.answer(question);
        }
        while let Ok(request) = self.inbox.acts.try_recv() {
            self.state.waiting.push((Event::Operator(request.act), Some(request.done)));
        }
    }

    fn take_result(&mut self, driver: usize, result: WireResult) {
        let slot = &mut self.drivers[driver];
        let request = result.request;
        // What was cancelled may still have answered: it is no longer waited for.
        let machine = slot.asked.remove(&request);
        let acked = slot.driver.counts().acked;
        match result.result {
            Ok(bytes) => self.drive(driver, Input::Reply { request, bytes: &bytes }),
            Err(failure) => self.drive(driver, Input::Failed { request, failure }),
        }
        if let Some(machine) = machine
            && self.drivers[driver].driver.counts().acked > acked
            && let Some(sent) = self.state.told_wall.get(&machine)
        {
            self.state.slowest.ack_wall = self.state.slowest.ack_wall.max(sent.elapsed());
        }
    }

    /// Says what a curtailment would do; nothing is journaled, for nothing happens.
    fn answer(&self, question: PreviewRequest) {
        let preview = self.engine.preview(question.shed, question.by);
        let named = preview.zip(self.engine.site());
        let view = named
            .map(|(p, site)| crate::fleet::view::preview(site, &p, mode_word(self.engine.mode())));
        // Who asked may have gone away.
        let _ = question.done.send(view);
    }

    fn take_feed(&mut self, message: FeedMessage) {
        let FeedMessage { feed, item } = message;
        let event = match item {
            Ok((kind, rows)) => Event::Prices { feed, kind, rows },
            Err(error) => Event::FeedRejected { feed, error },
        };
        self.state.waiting.push((event, None));
    }

    /// Gives a driver one input and puts on the wire what it says.
    fn drive(&mut self, driver: usize, input: Input<'_>) {
        let now = self.clock.now();
        let mut out = std::mem::take(&mut self.state.out);
        let slot = &mut self.drivers[driver];
        slot.driver.on(now, input, &mut out);
        for id in out.cancel.drain(..) {
            slot.wire.cancel(id);
            slot.asked.remove(&id);
        }
        for request in out.requests.drain(..) {
            slot.asked.insert(request.id, request.machine);
            slot.wire.send(request);
        }
        if let Some(batch) = out.telemetry.take() {
            self.state.waiting.push((Event::Telemetry(batch), None));
        }
        slot.wake = out.wake.take();
        self.state.out = out;
    }

    fn send_plan(&mut self, plan: &DispatchPlan) {
        if !self.may_command {
            tracing::warn!(
                "plan {} stays here: recorded prices and real addresses",
                plan.generation
            );
            return;
        }
        let (wall, at) = (Instant::now(), self.clock.now());
        for i in 0..self.drivers.len() {
            self.drive(i, Input::Plan(plan));
        }
        for c in &plan.changes {
            self.state.told_wall.insert(c.machine, wall);
        }
        self.state.sent.push_back((plan.generation, at));
        if self.state.sent.len() > SENT_KEPT_MAX {
            self.state.sent.pop_front();
        }
    }

    /// Times proofs: from a plan to the watts that proved one of its falls.
    fn time_proofs(&mut self, batch: &headgate_core::fleet::TelemetryBatch) {
        for r in batch.machines.iter().filter(|r| r.phase == TargetPhase::Confirmed) {
            let machines = self.engine.roster().machines();
            let Some(was) = machines.get(r.machine.index()) else { continue };
            let fresh = was.phase != TargetPhase::Confirmed && was.generation == r.generation;
            if !fresh || was.level != Level::SLEEP {
                continue;
            }
            let sent = self.state.sent.iter().rev().find(|(g, _)| *g == r.generation);
            if let (Some((_, sent)), Some(at)) = (sent, r.measured_at) {
                let took = Some(at.since(*sent));
                self.state.slowest.confirm_sim = self.state.slowest.confirm_sim.max(took);
            }
        }
    }

    /// Waits for a message or for what is due next, whichever is first.
    pub async fn wait(&mut self) {
        let due = self.next_due();
        let held = self.held();
        if !self.state.waiting.is_empty() {
            // Something has happened that the engine has not seen: no time passes before it has.
            self.clock.credit(self.clock.now(), held);
            return;
        }
        let slots = self.drivers.iter_mut().map(|d| &mut d.results).collect::<Vec<_>>();
        let wired = first_result(slots);
        let taken = tokio::select! {
            biased;
            got = wired => Taken::Wire(got),
            Some(m) = self.inbox.feeds.recv() => Taken::Feed(m),
            Some(r) = self.inbox.acts.recv() => Taken::Act(r),
            Some(q) = self.inbox.previews.recv() => Taken::Preview(q),
            Some(e) = self.inbox.values.recv() => Taken::Event(e),
            Some(r) = self.inbox.reads.recv() => Taken::Read(r),
            Some(r) = self.inbox.stands.recv() => Taken::Stand(r),
            _ = self.inbox.stop.changed() => Taken::Nothing,
            () = self.clock.wait(due, held) => Taken::Nothing,
        };
        // The time waited is credited at the speed that held while it was waited.
        self.clock.credit(due, held);
        match taken {
            Taken::Wire((i, result)) => self.take_result(i, result),
            Taken::Feed(m) => self.take_feed(m),
            Taken::Preview(q) => self.answer(q),
            Taken::Read(r) => self.take_read(r),
            Taken::Stand(r) => self.take_stand(r),
            Taken::Event(e) => self.state.waiting.push((e, None)),
            Taken::Act(r) => {
                self.state.waiting.push((Event::Operator(r.act), Some(r.done)));
            }
            Taken::Nothing => {}
        }
    }

    /// The slowest answers so far.
    pub fn slowest(&self) -> Slowest {
        self.state.slowest
    }

    /// Commands so far, over all drivers.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for slot in &self.drivers {
            sum += slot.driver.counts();
        }
        sum
    }
}

enum Taken {
    Wire((usize, WireResult)),
    Feed(FeedMessage),
    Event(Event),
    Read(MeterRead),
    Stand(SwitchRead),
    Act(ActRequest),
    Preview(PreviewRequest),
    Nothing,
}

/// The first result of any driver; pends for ever when there is no driver.
async fn first_result(mut slots: Vec<&mut mpsc::Receiver<WireResult>>) -> (usize, WireResult) {
    std::future::poll_fn(move |cx| {
        for (i, slot) in slots.iter_mut().enumerate() {
            if let std::task::Poll::Ready(Some(result)) = slot.poll_recv(cx) {
                return std::task::Poll::Ready((i, result));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Which feed of a site takes rows of a kind in a replay: the winning one of that role.
pub fn feed_for(
    site: &headgate_core::site::Site,
    kind: headgate_core::market::PriceKind,
) -> Option<FeedId> {
    let of_kind = site.feeds.iter().enumerate().filter(|(_, f)| f.role == kind);
    let (i, _) = of_kind.min_by_key(|(i, f)| (f.rank, *i))?;
    u16::try_from(i).ok().map(FeedId)
}

pub use publish::{mode_name as mode_word, policy_name};
pub use recover::{present, replay};
pub use tables::basis_name as basis_word;

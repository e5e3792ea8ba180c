//! A thread that owns the journal, so that a stalled disk never stalls the engine: one sync
//! serves everything that waits, and a waiter may give up waiting.

use crate::journal::{Journal, JournalError};
use crate::record::{Link, Outcome};
use headgate_core::event::Stamped;
use std::error::Error;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use thiserror::Error;

/// Batches that may wait for the thread; beyond that [`Writer::append`] gives the batch back.
pub const QUEUE_MAX: usize = 1024;
/// Bytes gathered for one sync.
pub const GROUP_BYTES: usize = 4 << 20;
/// How often a disk that refused is tried again when nothing new comes.
pub const RETRY_EVERY: Duration = Duration::from_secs(1);

/// One thing to be journaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An event, and whether it was acted on already.
    Event(Stamped, bool),
    /// An outcome, and whether it went out before its cause was durable.
    Outcome(Outcome, bool),
}

/// Stands for a batch handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// How far a batch has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// It is on disk.
    Durable,
    /// Not known yet. The batch is still under way; waiting again is fine.
    TimedOut,
    /// The disk refused, for this reason. The batch is kept and tried again with the next one,
    /// or after [`RETRY_EVERY`]: it must not be handed over twice.
    Failed(String),
}

/// The queue is full because the disk does not take what is there: the batch comes back.
#[derive(Debug, Error)]
#[error("failed to queue a batch for the journal: {QUEUE_MAX} already wait for the disk")]
pub struct QueueFull(pub Vec<Entry>);

/// The journal behind a thread.
#[derive(Debug)]
pub struct Writer {
    queue: Option<SyncSender<(Ticket, Vec<Entry>)>>,
    last: Ticket,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Journal, JournalError>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    durable: u64,
    link: Link,
    next_seq: u64,
    /// The last ticket of the last try that failed, and why.
    failed: Option<(u64, String)>,
    /// Nobody will hand over anything more.
    closing: bool,
    /// The thread is gone: nothing not durable by now ever will be.
    over: Option<String>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(journal: Journal) -> io::Result<Self> {
        let state = State {
            link: journal.last_chain(),
            next_seq: journal.durable_seq(),
            ..State::default()
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (queue, batches) = sync_channel(QUEUE_MAX);
        let ours = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || run(journal, &batches, &ours))?;
        Ok(Self { queue: Some(queue), last: Ticket(0), shared, thread: Some(thread) })
    }

    /// Hands a batch over without waiting. Batches become durable in this order.
    ///
    /// # Errors
    /// [`QueueFull`] gives the batch back when the disk is far behind.
    pub fn append(&mut self, batch: Vec<Entry>) -> Result<Ticket, QueueFull> {
        let ticket = Ticket(self.last.0 + 1);
        let queue = self.queue.as_ref().expect("the queue is open until the writer is finished");
        match queue.try_send((ticket, batch)) {
            Err(TrySendError::Full((_, batch))) => return Err(QueueFull(batch)),
            // The thread is gone and has said why: waiting for the ticket tells.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        }
        self.last = ticket;
        Ok(ticket)
    }

    /// Waits until a batch is durable, has failed, or the time is up.
    #[must_use]
    pub fn wait(&self, ticket: Ticket, timeout: Duration) -> Durability {
        let state = self.shared.lock();
        let open = |s: &mut State| s.verdict(ticket).is_none();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, open)
            .unwrap_or_else(PoisonError::into_inner);
        state.verdict(ticket).unwrap_or(Durability::TimedOut)
    }

    /// The first place that is not durable yet, and the chain before it.
    #[must_use]
    pub fn durable(&self) -> (u64, Link) {
        let state = self.shared.lock();
        (state.next_seq, state.link)
    }

    /// Writes all that waits and gives the journal back.
    ///
    /// # Errors
    /// When the last of it could not be written, or was refused.
    ///
    /// # Panics
    /// When the thread did.
    pub fn finish(mut self) -> Result<Journal, JournalError> {
        self.close();
        let thread = self.thread.take().expect("the thread is joined once");
        thread.join().expect("the journal's thread does not panic")
    }

    fn close(&mut self) {
        self.shared.lock().closing = true;
        self.queue = None;
    }
}

/// A writer dropped on the way out still writes what waits.
impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            // Its failure was told to every waiter already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl State {
    fn verdict(&self, ticket: Ticket) -> Option<Durability> {
        if ticket.0 <= self.durable {
            return Some(Durability::Durable);
        }
        let failed = self.failed.as_ref().filter(|(last, _)| ticket.0 <= *last).map(|(_, w)| w);
        failed.or(self.over.as_ref()).cloned().map(Durability::Failed)
    }
}

fn run(
    mut journal: Journal,
    batches: &Receiver<(Ticket, Vec<Entry>)>,
    shared: &Shared,
) -> Result<Journal, JournalError> {
    let result = serve(&mut journal, batches, shared);
    let why = match &result {
        Ok(()) => "the journal was closed".to_owned(),
        Err(e) => explain(e),
    };
    shared.tell(|state| state.over = Some(why));
    result.map(|()| journal)
}

/// Serves until the queue closes. An entry that is refused ends it: after a gap nothing that
/// follows could be trusted.
fn serve(
    journal: &mut Journal,
    batches: &Receiver<(Ticket, Vec<Entry>)>,
    shared: &Shared,
) -> Result<(), JournalError> {
    let mut last = Ticket(0);
    loop {
        // Far behind: leave the queue alone, so that it fills and its user sees it.
        let open = if journal.waiting_bytes() > GROUP_BYTES {
            let closing = shared.lock().closing;
            if !closing {
                thread::sleep(RETRY_EVERY);
            }
            !closing
        } else {
            let (open, refused) = gather(journal, batches, &mut last);
            if let Some(error) = refused {
                // What was taken before it is whole and in order.
                let _ = sync(journal, last, shared);
                return Err(error);
            }
            open
        };
        let synced = sync(journal, last, shared);
        if !open {
            return synced;
        }
    }
}

/// Takes the next batch and all that wait behind it. Says whether the queue is still open, and
/// what refused an entry. `last` is the last batch taken whole.
fn gather(
    journal: &mut Journal,
    batches: &Receiver<(Ticket, Vec<Entry>)>,
    last: &mut Ticket,
) -> (bool, Option<JournalError>) {
    let mut next = if journal.waiting_bytes() == 0 {
        batches.recv().map_err(|_| RecvTimeoutError::Disconnected)
    } else {
        batches.recv_timeout(RETRY_EVERY)
    };
    loop {
        match next {
            Err(RecvTimeoutError::Timeout) => return (true, None),
            Err(RecvTimeoutError::Disconnected) => return (false, None),
            Ok((ticket, batch)) => {
                for entry in &batch {
                    let taken = match entry {
                        Entry::Event(event, late) => journal.append(event, *late),
                        Entry::Outcome(outcome, late) => journal.append_outcome(outcome, *late),
                    };
                    if let Err(error) = taken {
                        return (true, Some(error));
                    }
                }
                *last = ticket;
            }
        }
        if journal.waiting_bytes() > GROUP_BYTES {
            return (true, None);
        }
        match batches.try_recv() {
            Ok(more) => next = Ok(more),
            // A closed queue is noticed by the next blocking look.
            Err(_) => return (true, None),
        }
    }
}

fn sync(journal: &mut Journal, last: Ticket, shared: &Shared) -> Result<(), JournalError> {
    let result = journal.sync();
    match &result {
        Ok(()) => shared.tell(|state| {
            state.durable = last.0;
            state.link = journal.last_chain();
            state.next_seq = journal.durable_seq();
            state.failed = None;
        }),
        Err(error) => {
            let why = explain(error);
            shared.tell(|state| state.failed = Some((last.0, why)));
        }
    }
    result
}

/// An error with everything behind it, in one line.
fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

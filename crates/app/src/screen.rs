//! The live view on a terminal, and the same facts as plain text.
//!
//! The picture is drawn on stderr by a thread of its own: a terminal that is slow or stopped
//! holds up nothing but itself.

mod chart;
mod facts;
mod history;
mod stairs;
mod table;
mod terminal;
mod view;
mod words;

#[cfg(test)]
mod tests;

pub use table::table;
pub use terminal::{LogWriter, restore};

use crate::start::Stop;
use crate::status::Status;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use view::{Act, Now, View};
use words::Theme;

/// Shortest time between two frames.
const FRAME_EVERY: Duration = Duration::from_millis(100);
/// How often keys are looked for.
const KEYS_EVERY: Duration = Duration::from_millis(50);
/// Keys taken between two frames: a pasted page holds nothing up.
const KEYS_MAX: usize = 64;
/// Without news the picture is drawn this often, so that it can say how old it is.
const IDLE_FRAME_EVERY: Duration = Duration::from_secs(1);
/// Bytes kept of a report.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// The report of the last day that ended.
static REPORT: Mutex<Option<Arc<str>>> = Mutex::new(None);

/// Where log lines go, for the subscriber: to stderr, or into the view while it is on.
pub fn log_writer() -> LogWriter {
    LogWriter
}

/// Keeps the report of a day for the `r` panel of the views that follow.
pub fn keep_report(text: &str) {
    let end = text.floor_char_boundary(REPORT_BYTES_MAX);
    *REPORT.lock().unwrap_or_else(PoisonError::into_inner) = Some(text[..end].into());
}

/// Shows a running site until it ends, the terminal is given back, or this is dropped.
///
/// `q`, Ctrl-C and Esc ask everybody to end by `stop`. Whoever started this calls [`restore`]
/// when it has ended or been aborted.
pub async fn run(status: watch::Receiver<Arc<Status>>, stop: Stop) {
    let open = Open(Arc::new(AtomicBool::new(true)));
    let (done, ended) = oneshot::channel::<()>();
    let watched = Arc::clone(&open.0);
    let thread = std::thread::Builder::new().name("screen".into()).spawn(move || {
        if let Err(e) = show(status, &stop, &watched) {
            restore();
            tracing::warn!("the live view is off, the site runs on: {e}");
        }
        drop(done);
    });
    match thread {
        // The thread never sends; that its end is dropped says that it is done.
        Ok(_) => {
            let _ = ended.await;
        }
        Err(e) => tracing::warn!("the live view is off, the site runs on: {e}"),
    }
}

/// Ends the thread when the future that watches it goes.
struct Open(Arc<AtomicBool>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

fn show(
    mut status: watch::Receiver<Arc<Status>>,
    stop: &Stop,
    open: &AtomicBool,
) -> std::io::Result<()> {
    let mut screen = terminal::take()?;
    let mut view = View::new(Theme::from_env());
    let mut shown = status.borrow_and_update().clone();
    view.see(&shown);
    let mut news = Instant::now();
    let mut drawn: Option<Instant> = None;
    let mut wanted = true;
    while open.load(Ordering::SeqCst) {
        let pressed = keys(&mut view, &shown, stop);
        if pressed == Act::Repaint {
            terminal::wipe(&mut screen)?;
        }
        wanted |= pressed != Act::Nothing;
        match status.has_changed() {
            Ok(true) => {
                shown = status.borrow_and_update().clone();
                view.see(&shown);
                news = Instant::now();
                wanted = true;
            }
            Ok(false) => {}
            // The site is gone: its last state has been shown.
            Err(_) => return Ok(()),
        }
        let due = drawn
            .is_none_or(|at| at.elapsed() >= if wanted { FRAME_EVERY } else { IDLE_FRAME_EVERY });
        if !due {
            continue;
        }
        drawn = Some(Instant::now());
        wanted = false;
        let log = terminal::log_lines();
        let report = REPORT.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let quiet = news.elapsed();
        let now = Now { status: &shown, quiet, log: &log, report: report.as_deref() };
        if !terminal::draw(&mut screen, |frame| view.draw(frame, now))? {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits a little for keys, does what they say, and returns the most that one asked for.
fn keys(view: &mut View, shown: &Arc<Status>, stop: &Stop) -> Act {
    use crossterm::event::{Event, poll, read};
    let mut most = Act::Nothing;
    let mut wait = KEYS_EVERY;
    for _ in 0..KEYS_MAX {
        match poll(wait) {
            Ok(true) => {}
            Ok(false) => return most,
            Err(_) => {
                // No keys can be had; the picture goes on.
                std::thread::sleep(wait);
                return most;
            }
        }
        wait = Duration::ZERO;
        let act = match read() {
            Ok(Event::Key(key)) => view.key(key, shown),
            Ok(Event::Resize(..)) => Act::Redraw,
            Ok(_) => Act::Nothing,
            Err(_) => return most,
        };
        if act == Act::Quit {
            stop.now();
        }
        most = most.max(act);
    }
    most
}

//! What the service manager is told: that the site has started, that the engine still turns,
//! that it stops. Without a service manager nothing happens.

use crate::doors::beat::Beat;
use crate::doors::ready::Readiness;
use crate::status::Status;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the engine is looked at when the service manager has no watchdog.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Looks within the time after which the service manager loses patience.
const LOOKS_PER_PATIENCE: u32 = 3;
/// Shortest pause between two looks, whatever the service manager wishes.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Keeps the service manager informed until `shutdown` ends, then says that the site stops.
///
/// To be started when the doors are open. The start counts as done with the engine's first turn,
/// not with the first price: a site that waits for its feed must not be killed for it.
pub async fn keep_informed(
    beat: Beat,
    status: watch::Receiver<Arc<Status>>,
    shutdown: impl Future<Output = ()>,
) {
    let pause = sd_notify::watchdog_enabled()
        .map_or(LOOK_EVERY, |patience| (patience / LOOKS_PER_PATIENCE).max(LOOK_PAUSE_MIN));
    let mut report = Report::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let readiness = Readiness::of(&status.borrow(), &beat);
        for line in report.lines(beat.turns(), &readiness) {
            tell(&line);
        }
        // Until the first turn the start is waited for, and it should not wait for long.
        let pause = if beat.turns() == 0 { LOOK_PAUSE_MIN } else { pause };
        tokio::select! {
            () = &mut shutdown => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    tell(&Line::Stopping);
}

/// One thing the service manager is told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Ready,
    Watchdog,
    Status(String),
    Stopping,
}

fn tell(line: &Line) {
    let state = match line {
        Line::Ready => NotifyState::Ready,
        Line::Watchdog => NotifyState::Watchdog,
        Line::Status(text) => NotifyState::Status(text),
        Line::Stopping => NotifyState::Stopping,
    };
    if let Err(e) = sd_notify::notify(&[state]) {
        tracing::warn!(error = %e, "failed to tell the service manager");
    }
}

/// What has been told so far.
#[derive(Debug, Default)]
struct Report {
    turns: u64,
    status: String,
}

impl Report {
    /// Returns what to tell after a look at the engine's turns.
    fn lines(&mut self, turns: u64, readiness: &Readiness) -> Vec<Line> {
        let mut lines = Vec::new();
        if turns != self.turns {
            if self.turns == 0 {
                lines.push(Line::Ready);
            }
            // Only an engine that has turned since the last look keeps the process alive.
            lines.push(Line::Watchdog);
            self.turns = turns;
        }
        let status = match readiness.reasons.as_slice() {
            [] => "ready".to_owned(),
            reasons => format!("not ready: {}", reasons.join("; ")),
        };
        if status != self.status {
            lines.push(Line::Status(status.clone()));
            self.status = status;
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::testing::{self, Folder};
    use std::os::unix::net::UnixDatagram;
    use std::process::{Command, Stdio};

    fn missing(reasons: &[&str]) -> Readiness {
        let reasons: Vec<String> = reasons.iter().map(|r| (*r).to_owned()).collect();
        Readiness { ready: reasons.is_empty(), reasons }
    }

    #[test]
    fn the_watchdog_is_fed_only_by_an_engine_that_turns() {
        let mut report = Report::default();
        let waiting = missing(&["no price is known yet"]);
        let status = Line::Status("not ready: no price is known yet".to_owned());
        assert_eq!(report.lines(0, &waiting), [status]);
        assert_eq!(report.lines(0, &waiting), []);
        assert_eq!(report.lines(3, &waiting), [Line::Ready, Line::Watchdog]);
        assert_eq!(report.lines(3, &waiting), []);
        let ready = Line::Status("ready".to_owned());
        assert_eq!(report.lines(4, &missing(&[])), [Line::Watchdog, ready]);
        assert_eq!(report.lines(4, &missing(&[])), []);
        assert_eq!(report.lines(5, &missing(&[])), [Line::Watchdog]);
    }

    /// The environment names the service manager's socket, so a process of its own has to talk.
    #[test]
    fn the_service_manager_hears_start_turns_and_stop() {
        let folder = Folder::new("watchdog");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let name = concat!(module_path!(), "::a_site_that_runs_for_three_turns");
        let name = name.split_once("::").unwrap().1;
        let done = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--ignored"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "300000")
            .env_remove("WATCHDOG_PID")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success());
        manager.set_nonblocking(true).unwrap();
        let mut heard = Vec::new();
        let mut line = [0; 1024];
        while let Ok(n) = manager.recv(&mut line) {
            heard.push(String::from_utf8_lossy(&line[..n]).trim().to_owned());
        }
        let expect = [
            "STATUS=not ready: the engine has not stepped yet",
            "READY=1",
            "WATCHDOG=1",
            "STATUS=ready",
            "WATCHDOG=1",
            "STOPPING=1",
        ];
        assert_eq!(heard, expect);
    }

    #[tokio::test]
    #[ignore = "the test above starts it as a process with an environment of its own"]
    async fn a_site_that_runs_for_three_turns() {
        let beat = Beat::new();
        let (_board, status) = watch::channel(Arc::new(testing::status()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let engine = beat.clone();
        let site = async move {
            // Far longer than the pause between two looks, so that each is seen.
            let breath = || tokio::time::sleep(LOOK_PAUSE_MIN * 5);
            breath().await;
            engine.touch();
            breath().await;
            engine.touch();
            breath().await;
            stop.send(()).unwrap();
        };
        let shutdown = async {
            let _ = stopped.await;
        };
        // In this order, a look that is due comes before the next turn even on a stalled machine.
        tokio::join!(biased; keep_informed(beat, status, shutdown), site);
    }
}

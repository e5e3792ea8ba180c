//! The terminal: taken, drawn on, and given back whatever happens.

use crossterm::{cursor, execute, terminal};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::collections::VecDeque;
use std::io::{self, BufWriter, IsTerminal, Stderr, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Held while a frame is drawn, so that nobody gives the terminal back in the middle of one.
static GATE: Mutex<()> = Mutex::new(());
/// Log lines that came while the terminal was ours.
static HELD_BACK: Mutex<Lines> = Mutex::new(Lines { kept: VecDeque::new(), open: false });
static HOOK: Once = Once::new();

/// Log lines kept while the terminal is ours; older ones go.
const LOG_LINES_MAX: usize = 200;
/// Characters kept of one log line.
const LOG_LINE_CHARS_MAX: usize = 400;
/// Bytes gathered for one write; a frame of a large terminal fits.
const FRAME_BYTES: usize = 64 * 1024;

/// The newest log lines.
#[derive(Debug)]
struct Lines {
    kept: VecDeque<String>,
    /// The last one has not ended yet: a line may come in pieces.
    open: bool,
}

impl Lines {
    fn take(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            let line = piece.trim_end_matches(['\n', '\r']);
            match self.kept.back_mut() {
                Some(last) if self.open => {
                    let room = LOG_LINE_CHARS_MAX.saturating_sub(last.chars().count());
                    last.extend(line.chars().take(room));
                }
                _ => self.kept.push_back(line.chars().take(LOG_LINE_CHARS_MAX).collect()),
            }
            self.open = !piece.ends_with('\n');
            if self.kept.len() > LOG_LINES_MAX {
                self.kept.pop_front();
            }
        }
    }
}

/// A screen on stderr: stdout is for data.
pub type Screen = Terminal<CrosstermBackend<BufWriter<Stderr>>>;

fn locked<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the terminal: raw mode, alternate screen, no cursor.
///
/// # Errors
/// When stderr is no terminal, or it refuses.
pub fn take() -> io::Result<Screen> {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // The panic may have come while drawing, so the gate is not waited for.
            let _gate = GATE.try_lock();
            give_back();
            if let Ok(mut lines) = HELD_BACK.try_lock() {
                tell(&mut lines);
            }
            before(info);
        }));
    });
    if !io::stderr().is_terminal() {
        return Err(io::Error::other("stderr is not a terminal"));
    }
    let _gate = locked(&GATE);
    terminal::enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let opened = open();
    if opened.is_err() {
        give_back();
    }
    opened
}

fn open() -> io::Result<Screen> {
    execute!(io::stderr(), terminal::EnterAlternateScreen, cursor::Hide)?;
    let writer = BufWriter::with_capacity(FRAME_BYTES, io::stderr());
    let mut screen = Terminal::new(CrosstermBackend::new(writer))?;
    screen.clear()?;
    Ok(screen)
}

/// Draws while the terminal is ours; `false` once it has been given back.
///
/// # Errors
/// When the terminal cannot be written.
pub fn draw(screen: &mut Screen, paint: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<bool> {
    let _gate = locked(&GATE);
    if !TAKEN.load(Ordering::SeqCst) {
        return Ok(false);
    }
    screen.draw(paint)?;
    Ok(true)
}

/// Makes the next frame draw every cell, while the terminal is ours.
///
/// # Errors
/// When the terminal cannot be written.
pub fn wipe(screen: &mut Screen) -> io::Result<()> {
    let _gate = locked(&GATE);
    if TAKEN.load(Ordering::SeqCst) { screen.clear() } else { Ok(()) }
}

/// Puts the terminal back as it was; does nothing when it is.
pub fn restore() {
    let _gate = locked(&GATE);
    give_back();
    tell(&mut locked(&HELD_BACK));
}

fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // A terminal that has gone away needs no putting back.
    let _ = execute!(io::stderr(), terminal::LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
}

/// Says on stderr what was held back.
fn tell(lines: &mut Lines) {
    lines.open = false;
    for line in lines.kept.drain(..) {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Where log lines go: to stderr, or while the terminal is ours into its memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Locked before looking, so that no line is kept after the kept ones were said.
        let mut lines = locked(&HELD_BACK);
        if !TAKEN.load(Ordering::SeqCst) {
            return io::stderr().write(bytes);
        }
        lines.take(&without_escapes(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The log lines held back, oldest first.
pub fn log_lines() -> Vec<String> {
    locked(&HELD_BACK).kept.iter().cloned().collect()
}

/// Text without colour codes, which mean nothing inside a panel.
pub fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
            continue;
        }
        if chars.next() == Some('[') {
            // A control sequence ends with its first letter.
            let _ = chars.find(|c| ('@'..='~').contains(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_come_whole_and_stay_bounded() {
        let mut lines = Lines { kept: VecDeque::new(), open: false };
        lines.take("WARN late");
        lines.take(" by 4 s\nINFO next\n");
        assert_eq!(lines.kept, ["WARN late by 4 s", "INFO next"]);
        for i in 0..2 * LOG_LINES_MAX {
            lines.take(&format!("line {i} {}\n", "x".repeat(2 * LOG_LINE_CHARS_MAX)));
        }
        assert_eq!(lines.kept.len(), LOG_LINES_MAX);
        assert!(lines.kept.iter().all(|l| l.chars().count() == LOG_LINE_CHARS_MAX));
        assert!(lines.kept.back().is_some_and(|l| l.starts_with("line 399 ")));
    }

    #[test]
    fn giving_back_what_was_not_taken_does_nothing() {
        restore();
        restore();
        assert!(!TAKEN.load(Ordering::SeqCst));
    }
}

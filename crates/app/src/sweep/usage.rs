//! What a sweep took of the machine, as the system counts it.

use serde_json::{Value, json};
use std::time::Instant;

/// Ticks of processor time in a second, as Linux tells them to programs.
const TICKS_PER_SECOND: f64 = 100.0;
/// Which words after a program's name are its ticks in user and in system mode.
const TICKS: std::ops::Range<usize> = 11..13;

/// Counts from its making on.
pub struct Usage {
    began: Instant,
}

impl Usage {
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }

    /// Seconds gone by and of processor, and the most memory held at once; missing where the
    /// system does not tell.
    pub fn document(&self, site_years: f64) -> Value {
        json!({
            "site_years": site_years,
            "wall_s": self.began.elapsed().as_secs_f64(),
            "cpu_s": std::fs::read_to_string("/proc/self/stat").ok().and_then(|t| cpu(&t)),
            "peak_memory_mib": std::fs::read_to_string("/proc/self/status").ok()
                .and_then(|t| peak(&t)),
        })
    }
}

fn cpu(stat: &str) -> Option<f64> {
    // A program's name may hold blanks; it ends at the last bracket.
    let after = stat.rsplit_once(')')?.1;
    let words: Vec<&str> = after.split_whitespace().collect();
    let ticks: Option<Vec<u64>> = words.get(TICKS)?.iter().map(|w| w.parse().ok()).collect();
    Some(ticks?.iter().sum::<u64>() as f64 / TICKS_PER_SECOND)
}

fn peak(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_linux_tells_them() {
        let stat = "12 (a (b) c) S 1 1 1 0 -1 4194304 5 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(peak("Name:\tx\nVmHWM:\t   2048 kB\n"), Some(2.0));
        assert_eq!((cpu("12"), peak("")), (None, None));
    }
}

//! How far a run has got, for whoever watches it.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A line each second, if the standard error is a terminal.
pub struct Printer {
    is_watched: bool,
    start: Instant,
    last: Instant,
    done: usize,
    total: usize,
    done_share: f64,
    total_share: f64,
}

impl Printer {
    /// A number of cells, and what they take in all, in any unit.
    pub fn new(total: usize, total_share: f64) -> Self {
        let now = Instant::now();
        let is_watched = std::io::stderr().is_terminal();
        Self { is_watched, start: now, last: now, done: 0, total, done_share: 0.0, total_share }
    }

    /// A cell is done, which takes that much of the whole.
    pub fn advance(&mut self, share: f64) {
        self.done += 1;
        self.done_share += share;
        if self.is_watched && self.last.elapsed() >= Duration::from_secs(1) {
            self.last = Instant::now();
            let left_s = self.start.elapsed().as_secs_f64() / self.done_share * (self.total_share - self.done_share);
            let _ = writeln!(std::io::stderr(), "{} of {} cells, about {left_s:.0} s left", self.done, self.total);
        }
    }
}

//! How long a run may take, and how far it is.

use crate::lab::experiment::Observer;
use crate::lab::show;
use crate::lab::show::OutputError;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::time::{Duration, Instant};

/// A run's time: when it began, and when it has to end.
#[derive(Debug)]
pub struct TimeLimit {
    started: Instant,
    limit: Option<Duration>,
    bar: ProgressBar,
}

impl TimeLimit {
    /// A run that begins now. Without a limit every stage takes as long as it takes.
    pub fn starts_now(limit: Option<Duration>) -> Self {
        let bar = match limit {
            Some(limit) => {
                let style = ProgressStyle::with_template("{bar:24} {msg}");
                ProgressBar::new(limit.as_secs()).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            }
            None => ProgressBar::new_spinner(),
        };
        Self { started: Instant::now(), limit, bar }
    }

    /// How long the run has been going on.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether that share of the time has passed.
    pub fn is_past(&self, share: f64) -> bool {
        self.limit.is_some_and(|limit| self.elapsed() >= limit.mul_f64(share))
    }

    /// Says that a stage begins, how long it may go on, and how long the run may.
    pub fn begin(&self, stage: &str, until_share: f64) {
        let line = match self.limit {
            Some(limit) => {
                let until = limit.mul_f64(until_share).saturating_sub(self.elapsed()).as_secs();
                format!("{stage}: {until} s at most; {} s to the end at most", self.left_s())
            }
            None => format!("{stage}: as long as it takes"),
        };
        if self.bar.is_hidden() {
            show::say(line);
        } else {
            self.bar.println(line);
        }
    }

    /// Shows what is measured now.
    pub fn next(&self, what: impl Display) {
        self.bar.set_position(self.elapsed().as_secs());
        self.bar.set_message(match self.limit {
            Some(_) => format!("{} s left at most: {what}", self.left_s()),
            None => format!("{} s: {what}", self.elapsed().as_secs()),
        });
    }

    /// Prints a text and a line break while the bar is out of the way.
    ///
    /// # Errors
    ///
    /// As for [`show::print()`].
    pub fn print(&self, text: impl Display) -> Result<(), OutputError> {
        self.bar.suspend(|| show::print(format_args!("{text}\n")))
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn left_s(&self) -> u64 {
        self.limit.map_or(0, |limit| limit.saturating_sub(self.elapsed()).as_secs())
    }
}

impl Observer for TimeLimit {
    fn say(&self, line: &str) {
        self.next(line);
    }

    fn show(&self, _done: usize, _of: usize, _share: f64, next: &dyn Display) {
        self.next(next);
    }
}

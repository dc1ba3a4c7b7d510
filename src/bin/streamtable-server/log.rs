//! What the server says, on standard error. A thread of its own writes it: a reader that does not read it, a full disk or a closed
//! end keeps no client waiting.

use memcpy_select::lab::show::say;
use std::convert::Infallible;
use std::fmt::Display;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;
use std::{io, thread};

/// Most lines that wait to be written. Further ones are dropped.
const MAX_WAITING: usize = 256;
/// How long the end of the server waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(200);

pub struct Log {
    lines: SyncSender<String>,
    /// Hung up once all is written.
    written: Receiver<Infallible>,
    dropped: u64,
}

impl Log {
    pub fn start() -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel(MAX_WAITING);
        let (writing, written) = mpsc::channel();
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            waiting.iter().for_each(|line: String| say(line));
            drop(writing);
        })?;
        Ok(Self { lines, written, dropped: 0 })
    }

    pub fn say(&mut self, line: impl Display) {
        self.catch_up();
        if self.dropped > 0 || self.lines.try_send(line.to_string()).is_err() {
            self.dropped += 1;
        }
    }

    /// Says how many lines were dropped, if there is room again.
    pub fn catch_up(&mut self) {
        if self.dropped > 0 {
            let line = format!("{} lines were dropped here: they were not read in time", self.dropped);
            if self.lines.try_send(line).is_ok() {
                self.dropped = 0;
            }
        }
    }

    /// Waits for what was said to be written, for a moment.
    pub fn end(mut self) {
        self.catch_up();
        drop(self.lines);
        let _ = self.written.recv_timeout(LAST_LINES);
    }
}

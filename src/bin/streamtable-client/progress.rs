//! What is shown of a transfer, on standard error: a bar while it goes on, where that is a terminal, and a line at its end.

use indicatif::{ProgressBar, ProgressStyle};
use memcpy_select::lab::show::say;
use std::time::Instant;

/// The bytes on their way from or to the server, in one transfer: long enough that a request costs nothing beside it.
const MAX_CHUNK_BYTES: usize = 1 << 20;
/// Transfers under way at once: one that the server works on, one that this side does, and one between.
pub const DEPTH: usize = 3;

/// How long a transfer should be, of which several fit into the blocks at once.
pub fn chunk_bytes(max_bytes: usize) -> usize {
    MAX_CHUNK_BYTES.min(max_bytes / (DEPTH + 1)).max(1)
}

pub struct Progress {
    bar: ProgressBar,
    start: Instant,
    len_bytes: u64,
    over_buffer_bytes: u64,
}

impl Progress {
    pub fn start(total_bytes: u64) -> Self {
        let bar = ProgressBar::new(total_bytes);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
        {
            bar.set_style(style);
        }
        Self { bar, start: Instant::now(), len_bytes: 0, over_buffer_bytes: 0 }
    }

    /// That many bytes are there; `in_place` if they went without a buffer between block and file.
    pub fn add(&mut self, len_bytes: usize, in_place: bool) {
        self.len_bytes += len_bytes as u64;
        if !in_place {
            self.over_buffer_bytes += len_bytes as u64;
        }
        self.bar.inc(len_bytes as u64);
    }

    /// Says how it went.
    pub fn finish(self, what: &str) {
        self.bar.finish_and_clear();
        let seconds = self.start.elapsed().as_secs_f64();
        let rate = self.len_bytes as f64 / seconds.max(1e-9) / 1e9;
        let copies = match self.over_buffer_bytes {
            0 => "this side copied each byte once, between file and block".to_owned(),
            bytes if bytes == self.len_bytes => {
                "this side copied each byte twice, over a buffer, since it did not write to a file".to_owned()
            }
            bytes => format!("this side copied {bytes} of them twice, over a buffer, and the others once"),
        };
        say(format_args!("{what}: {} bytes in {seconds:.3} s, {rate:.2} GB/s; {copies}", self.len_bytes));
    }
}

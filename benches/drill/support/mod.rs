//! What the drill-down benches share beyond `benches/support/`: criterion's settings, one place to copy, variants of a loop.

#![allow(dead_code, unused_imports, reason = "each bench uses its part")]

#[path = "../../support/mod.rs"]
mod common;
pub mod variants;

pub use common::{effort, harness, pin, print};

use criterion::Criterion;
use memcpy_select::measure::buffers::Buffers;
use memcpy_select::measure::effort::Effort;
use memcpy_select::report;
use std::time::Duration;

/// Buffers, or the end of the program with the reason.
pub fn buffers(max_len_bytes: usize) -> Buffers {
    Buffers::new(max_len_bytes).unwrap_or_else(|error| {
        report::say(format_args!("error: {error}"));
        std::process::exit(1);
    })
}

/// Criterion with short times. Its options override them, and so does the effort.
pub fn criterion() -> Criterion {
    let (warm_up_ms, measurement_ms) = match effort() {
        Effort::Quick => (20, 80),
        Effort::Default => (40, 200),
        Effort::Full => (500, 3000),
    };
    Criterion::default()
        .warm_up_time(Duration::from_millis(warm_up_ms))
        .measurement_time(Duration::from_millis(measurement_ms))
        .sample_size(20)
        .nresamples(5_000)
        .without_plots()
        .configure_from_args()
}

/// One place to copy from and to.
#[derive(Clone, Copy)]
pub struct Range {
    /// Where to.
    pub dst: *mut u8,
    /// Where from.
    pub src: *mut u8,
    /// How much, in bytes.
    pub len_bytes: usize,
}

impl Range {
    /// Fills the source with a pattern, copies once, and compares every byte.
    ///
    /// # Panics
    ///
    /// If the copy is wrong: a wrong copy is never timed.
    pub fn verify(&self, name: &str, copy: impl FnOnce(&mut [u8], &[u8])) {
        // SAFETY: the range lies in buffers that outlive the bench, and nothing else refers to it now.
        let src = unsafe { std::slice::from_raw_parts_mut(self.src, self.len_bytes) };
        for (at, byte) in src.iter_mut().enumerate() {
            *byte = (at % 251) as u8;
        }
        // SAFETY: as above; source and destination are apart.
        let dst = unsafe { std::slice::from_raw_parts_mut(self.dst, self.len_bytes) };
        dst.fill(0xFF);
        copy(dst, src);
        assert!(dst == src, "{name} copies {} bytes wrongly: it is not timed", self.len_bytes);
    }
}

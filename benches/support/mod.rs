//! What the benches share: pinning, criterion's settings, and one timed loop.

#![allow(dead_code, reason = "each bench uses its part")]

pub mod harness;
pub mod variants;

use criterion::Criterion;
use memcpy_select::measure::buffers::Buffers;
use memcpy_select::measure::effort::Effort;
use std::time::Duration;

/// Pins this thread to the last logical CPU it may use: not the first, which serves most interrupts.
pub fn pin() -> Option<usize> {
    let core = core_affinity::get_core_ids()?.pop()?;
    core_affinity::set_for_current(core).then_some(core.id)
}

/// The effort, or the end of the program with the reason.
pub fn effort() -> Effort {
    Effort::from_environment().unwrap_or_else(|error| {
        eprintln!("error: {error}");
        std::process::exit(2);
    })
}

/// Buffers, or the end of the program with the reason.
pub fn buffers(max_len_bytes: usize) -> Buffers {
    Buffers::new(max_len_bytes).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        std::process::exit(1);
    })
}

/// Criterion with short times: cargo runs the benches in the order of their names, and `select`, whose table is what
/// most readers wait for, comes last. Criterion's options override them, and so does the effort.
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

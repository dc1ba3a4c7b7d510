//! What the drill-down benches share beyond `benches/support/`: criterion's settings, one place to copy, records of copies.

#![allow(dead_code, unused_imports, reason = "each bench uses its part")]

#[path = "../../support/mod.rs"]
mod common;
pub mod variants;

pub use common::*;

use criterion::{Criterion, SamplingMode, Throughput};
use memcpy_select::lab::LabError;
use memcpy_select::lab::copies::cell::Cell;
use memcpy_select::lab::copies::contender::Contender;
use memcpy_select::lab::copies::scope::Scope;
use memcpy_select::lab::copies::{Copies, CopyRecord, Verified};
use memcpy_select::lab::experiment::{Lines, Start, run};
use memcpy_select::lab::instruments::affinity::pin;
use memcpy_select::lab::instruments::buffers::Buffers;
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::show;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs a bench of criterion's, on one logical CPU and with short times. Criterion's options override them, and so does the
/// effort.
pub fn with_criterion(bench: impl FnOnce(&mut Criterion)) {
    pin();
    let (warm_up_ms, measurement_ms) = match effort() {
        Effort::Quick => (20, 80),
        Effort::Default => (40, 200),
        Effort::Full => (500, 3000),
    };
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(warm_up_ms))
        .measurement_time(Duration::from_millis(measurement_ms))
        .sample_size(20)
        .nresamples(5_000)
        .without_plots()
        .configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}

/// Buffers, or the end of the program with the reason.
pub fn buffers(max_len_bytes: usize) -> Buffers {
    or_end(Buffers::new(max_len_bytes))
}

/// A length as one word of a benchmark's name.
pub fn size(len_bytes: usize) -> String {
    show::size(len_bytes).replace(' ', "")
}

/// Measures all contenders at one place: a group of criterion's.
pub fn all_contenders(criterion: &mut Criterion, group: &str, range: &Range<'_>) {
    let mut group = criterion.benchmark_group(group);
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::BytesDecimal(range.len_bytes as u64));
    for contender in Contender::all_available() {
        range.verify(contender.name(), |dst, src| contender.copy(dst, src));
        group.bench_function(contender.name(), |bencher| {
            bencher.iter_custom(|iterations| range.time(&contender, iterations));
        });
    }
    group.finish();
}

/// One place to copy from and to.
pub struct Range<'a> {
    /// Where to.
    pub dst: *mut u8,
    /// Where from.
    pub src: *mut u8,
    /// How much, in bytes.
    pub len_bytes: usize,
    _buffers: &'a Buffers,
}

impl<'a> Range<'a> {
    /// So many bytes at these offsets from a page boundary.
    ///
    /// # Panics
    ///
    /// If they do not fit.
    pub fn new(buffers: &'a Buffers, dst_offset: usize, src_offset: usize, len_bytes: usize) -> Self {
        assert!(len_bytes <= buffers.max_len_bytes());
        Self { dst: buffers.dst(dst_offset), src: buffers.src(src_offset), len_bytes, _buffers: buffers }
    }

    /// Fills the source with a pattern, copies once, and compares every byte.
    ///
    /// # Panics
    ///
    /// If the copy is wrong: a wrong copy is never timed.
    pub fn verify(&self, name: &str, copy: impl FnOnce(&mut [u8], &[u8])) {
        // SAFETY: the range lies in the buffers, and nothing else refers to it now.
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

    /// How long that many copies take.
    pub fn time(&self, contender: &Contender, iterations: u64) -> Duration {
        // SAFETY: the range lies in the buffers, source and destination apart.
        unsafe { contender.time(self.dst, self.src, self.len_bytes, iterations) }
    }
}

/// Measures contenders, and the peers that the environment names, in a record of that bench.
pub fn measure_copies(
    bench: &str,
    contenders: Vec<Contender>,
    scope: &Scope,
    grid: Vec<Vec<Cell>>,
    buffer_bytes: usize,
) -> Result<(PathBuf, CopyRecord), LabError> {
    let start = Start::pinned(scope.effort, Path::new(RESULTS), None, false);
    let mut environment = start.environment()?;
    let verified = Verified::of(contenders);
    show::print(verified.sentence())?;
    let verified = verified.with_peers(&mut environment);
    let mut copies = Copies::new(&verified, grid, buffer_bytes, scope.effort)?;
    let growing = start.open(bench, environment, &scope.to_string())?;
    let (folder, kept) = run(&mut copies, growing, &Lines::new())?;
    show::print("\n")?;
    Ok((folder, kept.into()))
}

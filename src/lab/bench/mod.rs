//! What a reader came for: copies, calls as programs make them, sections and paths, measured in turn within a time limit,
//! and the answer last. It is what `cargo bench` runs; the verbs and the other benches measure one question each, longer.

#![forbid(unsafe_code)]

mod run;
mod stages;
mod time;

pub use run::run;
pub use time::TimeLimit;

use super::instruments::affinity::CpuPair;
use super::instruments::effort::Effort;
use std::path::PathBuf;

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much; [`Effort::Full`] has no time limit.
    pub effort: Effort,
    /// Where the records go.
    pub results: PathBuf,
    /// The logical CPU that this thread is pinned to.
    pub pinned_to: Option<usize>,
    /// The logical CPUs of two processes, as they were before this thread was pinned.
    pub cpus: CpuPair,
}

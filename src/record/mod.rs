//! What is kept: raw samples and the environment they were taken in, one folder a run, never changed afterwards.
//!
//! `results/<machine>/<date>.<n>/` holds `env.toml` and `samples.csv`. Statistics are derived on reading, so that a
//! mistake in a statistic never costs a measurement. The format is described in `results/FORMAT.md`.

#![forbid(unsafe_code)]

mod environment;
mod folder;
mod profiles;
mod samples;

pub use environment::{Environment, KernelSource};
pub use folder::{Growing, Progress, Record, RecordError};
pub use profiles::{PROFILES_FILE, newest_record, profiles_source};

/// The version of the format that this build writes and reads.
pub const FORMAT_VERSION: u32 = 1;

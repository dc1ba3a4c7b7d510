//! What is kept: raw samples and the environment they were taken in, one folder a run, never changed afterwards.
//!
//! `results/<machine>/<date>.<n>/` holds `env.toml`, `samples.csv` and whatever else was measured as `<name>.csv`, each
//! compressed once the run has come to its end (`samples.csv.gz`).
//! Statistics are derived on reading, so that a mistake in a statistic never costs a measurement. The format is described
//! in `results/FORMAT.md`.

#![forbid(unsafe_code)]

mod appending;
mod contribute;
mod environment;
mod error;
pub mod file;
mod folder;
mod growing;
mod listing;
mod lock;
mod progress;
mod stored;
mod table;
mod workload;

pub use contribute::contribute;
pub use environment::{Environment, KernelSource, PeerFile};
pub use error::RecordError;
pub use folder::Record;
pub use growing::{Growing, Growth, Kept};
pub use listing::{LOCAL, Listed, all_folders, is_record, newest, record_folders, records_below};
pub use progress::Progress;
pub use table::{CsvFile, SAMPLES};
pub use workload::{CallLengths, LengthRange, WORKLOAD, WorkloadError};

pub(crate) use environment::MOST_CYCLES_PER_NS;
pub(crate) use folder::{age, is_unused};
pub use table::Ended;

/// The version of the format that this build writes.
pub const FORMAT_VERSION: u32 = 2;
/// The oldest version that this build reads.
pub const OLDEST_FORMAT: u32 = 1;

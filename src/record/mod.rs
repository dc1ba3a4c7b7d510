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
mod ipc;
mod ipc_further;
mod ipc_growing;
mod ipc_rows;
pub mod judge;
mod listing;
mod lock;
mod plan;
mod profiles;
mod progress;
mod samples;
mod stored;
mod table;
#[cfg(target_arch = "x86_64")]
pub mod xsave;

pub use contribute::contribute;
pub use environment::{Environment, KernelSource, PeerFile};
pub use error::RecordError;
pub use folder::Record;
pub use growing::Growing;
pub use ipc::{IpcRecord, newest_ipc_record};
pub use ipc_growing::GrowingIpc;
pub use ipc_rows::{is_of_paths, round_trips, round_trips_text};
pub use judge::Validation;
pub use listing::{Chosen, Listed, is_record, one_of_each_cpu, records_below};
pub use plan::{is_held_back, plan, ratio_of_plans};
pub use profiles::{LOCAL, PROFILES_FILE, Profile, Survey, newest_of_bench, newest_record};
pub use progress::Progress;
pub use table::Table;

/// The version of the format that this build writes.
pub const FORMAT_VERSION: u32 = 2;
/// The oldest version that this build reads.
pub const OLDEST_FORMAT: u32 = 1;

//! What a reader came for: copies, calls as programs make them, sections and paths, measured in turn within a time limit,
//! and the answer last. It is what `cargo bench` runs; the verbs and the other benches measure one question each, longer.
//!
//! Each stage has a file: what it measures, and the record that it keeps.

#![forbid(unsafe_code)]

mod calls;
mod copies;
mod error;
mod paths;
mod run;
#[cfg(target_arch = "x86_64")]
pub mod sections;
mod stage;
mod time;

pub use error::LabError;
pub use run::run;
pub use stage::Options;
pub use time::TimeLimit;

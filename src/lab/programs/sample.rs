//! A row of a record of programs.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// One run of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The workload.
    pub program: String,
    /// What it was started with: the name of an [`Arm`](super::Arm).
    pub arm: String,
    /// In which round.
    pub round: u32,
    /// From the start of the command to its end.
    pub wall_ns: u64,
    /// Processor time of the program that is measured: of a server, over its whole life.
    pub cpu_ns: u64,
    /// Empty; or why there is no time, and the others are 0.
    pub error: String,
}

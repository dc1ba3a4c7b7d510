//! Why a stage has no figures.

use crate::lab::instruments::buffers::BufferError;
use crate::lab::record::RecordError;
use crate::lab::show::OutputError;
use std::fmt;

/// Why a stage has no figures.
#[derive(Debug)]
#[non_exhaustive]
pub enum LabError {
    /// There is no memory for the buffers.
    Buffers(BufferError),
    /// What was measured could not be kept.
    Record(RecordError),
    /// The CPU or its system lacks XSAVE.
    NoXsave,
    /// No routine copies rightly, so that none is timed.
    NothingVerified,
    /// What was asked for cannot be had: which, and why.
    Asked(String),
    /// What was found could not be printed.
    Output(OutputError),
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buffers(error) => error.fmt(f),
            Self::Record(error) => error.fmt(f),
            Self::NoXsave => f.write_str(
                "this CPU or its operating system lacks XSAVE: there is no state to set and save; nothing was measured; \
                 --record shows another machine's figures",
            ),
            Self::NothingVerified => f.write_str(
                "no routine copies rightly here: nothing was timed; `cargo test` says what is wrong with them",
            ),
            Self::Asked(cause) => f.write_str(cause),
            Self::Output(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LabError {}

impl From<BufferError> for LabError {
    fn from(error: BufferError) -> Self {
        Self::Buffers(error)
    }
}

impl From<RecordError> for LabError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<OutputError> for LabError {
    fn from(error: OutputError) -> Self {
        Self::Output(error)
    }
}

impl From<LabError> for String {
    fn from(error: LabError) -> Self {
        error.to_string()
    }
}

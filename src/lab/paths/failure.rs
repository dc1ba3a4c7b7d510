//! Why two processes did not do what they were ordered to.

use crate::lab::paths::side::Side;
use std::fmt;
use std::time::Duration;

/// Why a pair did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// A side could not be started.
    NotStarted {
        /// Which.
        side: Side,
        /// What the system said.
        what: String,
    },
    /// The path is not to be had on this system.
    Unavailable {
        /// Why.
        reason: String,
    },
    /// A side says that it did not work.
    Refused {
        /// Which.
        side: Side,
        /// What it says.
        what: String,
    },
    /// A side ended.
    Died {
        /// Which.
        side: Side,
        /// Its process number.
        process_id: u32,
        /// How.
        status: String,
    },
    /// A side did not answer within the bound, and was killed.
    Silent {
        /// Which.
        side: Side,
        /// Its process number.
        process_id: u32,
        /// The bound.
        bound: Duration,
    },
    /// Payloads arrived that were not what was sent.
    Wrong {
        /// How many.
        payloads: u64,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { side, what } => {
                write!(f, "the {} side cannot be started ({what}): nothing is measured", side.name())
            }
            Self::Unavailable { reason } => write!(f, "not available here: {reason}"),
            Self::Refused { side, what } => write!(f, "the {} side gave up: {what}", side.name()),
            Self::Died { side, process_id, status } => {
                write!(f, "the {} side, process {process_id}, ended: {status}", side.name())
            }
            Self::Silent { side, process_id, bound } => {
                write!(f, "the {} side, process {process_id}, said nothing for {bound:?} and was killed", side.name())
            }
            Self::Wrong { payloads } => write!(f, "{payloads} payloads arrived that were not what was sent"),
        }
    }
}

impl std::error::Error for Failure {}

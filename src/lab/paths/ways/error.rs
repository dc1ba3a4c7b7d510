//! Why a path cannot be had, or ended.

use std::fmt;
use std::time::Duration;

/// Why a payload did not arrive, or could not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// This system does not offer the path, or not to this user.
    Unavailable {
        /// What is missing.
        reason: String,
    },
    /// A system call failed.
    System {
        /// What was attempted.
        call: &'static str,
        /// What the system said.
        cause: rustix::io::Errno,
    },
    /// The other side closed its end.
    PeerGone,
    /// The other side did not come within the bound.
    Timeout {
        /// The bound.
        after: Duration,
    },
    /// The other side said what none of ours says.
    Protocol {
        /// What.
        what: String,
    },
}

impl PathError {
    /// For `map_err` after a system call.
    pub fn system(call: &'static str) -> impl Fn(rustix::io::Errno) -> Self {
        move |cause| Self::System { call, cause }
    }

    /// For `map_err` after a system call that this user or system may not offer at all.
    pub fn unavailable(call: &'static str) -> impl Fn(rustix::io::Errno) -> Self {
        move |cause| Self::Unavailable { reason: format!("{call}: {cause}") }
    }

    /// A message that cannot be.
    pub fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol { what: what.into() }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { reason } => write!(f, "not available here: {reason}"),
            Self::System { call, cause } => {
                write!(f, "{call}: {cause}: the path ends here; what it says about the system says what to change")
            }
            Self::PeerGone => write!(f, "the other side is gone: nothing more arrives; start the pair again"),
            Self::Timeout { after } => {
                write!(f, "the other side was silent for {after:?}: the path is given up; see whether it still runs")
            }
            Self::Protocol { what } => write!(f, "{what}: no side of this version says that; the path is given up"),
        }
    }
}

impl std::error::Error for PathError {}

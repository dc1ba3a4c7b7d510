//! Why there is no connection.

#![forbid(unsafe_code)]

use super::wire::Refusal;
use crate::transport::geometry::GeometryError;
use crate::transport::region_error::RegionError;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why two sides did not come together, or came apart.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The system refused to make, bind or connect a socket.
    Socket {
        /// What the system said.
        cause: io::Error,
    },
    /// What answers is not a table.
    NotATable,
    /// The other side speaks another version.
    Version {
        /// This side's.
        ours: u32,
        /// The other side's.
        theirs: u32,
    },
    /// A message of a kind that is unknown or does not belong here.
    Message {
        /// Its kind.
        kind: u32,
    },
    /// A message with too few or too many descriptors.
    Descriptors {
        /// How many belong to it.
        expected: usize,
        /// How many came; of more than fit, as many as fit.
        found: usize,
    },
    /// Numbers that no session can have.
    Geometry(GeometryError),
    /// A region that is not what was promised, or that could not be made.
    Region(RegionError),
    /// The other side refused.
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// The other side did not answer in time.
    Timeout {
        /// How long it was given.
        limit: Duration,
    },
    /// The other side hung up.
    PeerGone,
    /// The other side does not read what it is sent.
    Congested,
}

impl ConnectError {
    pub(super) fn socket(cause: impl Into<io::Error>) -> Self {
        Self::Socket { cause: cause.into() }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { cause } => write!(
                f,
                "the socket failed ({cause}): there is no connection; check the address and whether the server runs"
            ),
            Self::NotATable => f.write_str(
                "not a table socket: what answers there does not begin as a table does; connect to the address that a \
                 table's server was given",
            ),
            Self::Version { ours, theirs } => write!(
                f,
                "version mismatch: this side speaks version {ours} and the other version {theirs}, so that nothing is \
                 shared; build both from the same version of memcpy-select"
            ),
            Self::Message { kind } => write!(
                f,
                "the other side sent a message of kind {kind}, which does not belong here: the connection is closed; it \
                 does not follow the protocol"
            ),
            Self::Descriptors { expected, found } => write!(
                f,
                "a message came with {found} descriptors where {expected} belong to it: all are closed, and so is the \
                 connection; the other side does not follow the protocol"
            ),
            Self::Geometry(error) => error.fmt(f),
            Self::Region(error) => error.fmt(f),
            Self::Refused { reason } => match reason {
                Refusal::Version => f.write_str(
                    "the server refused this side's version: nothing is shared; build both from the same version",
                ),
                Refusal::Full => f.write_str(
                    "the server has as many clients as it takes: there is no connection; try again when one has left",
                ),
                Refusal::Handshake => f.write_str(
                    "the server refused what this side sent it: there is no connection; build both from the same version",
                ),
                Refusal::Other(code) => write!(
                    f,
                    "the server refused for reason {code}, which this build does not know: there is no connection; \
                     build both from the same version"
                ),
            },
            Self::Timeout { limit } => write!(
                f,
                "the other side did not answer within {limit:?}: the connection is given up; see whether it runs, or \
                 allow more time"
            ),
            Self::PeerGone => f.write_str("the other side hung up: the session is over; connect again"),
            Self::Congested => f.write_str(
                "the other side does not read its socket: the message was not sent; try again when it does",
            ),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket { cause } => Some(cause),
            Self::Geometry(error) => Some(error),
            Self::Region(error) => Some(error),
            _ => None,
        }
    }
}

impl From<GeometryError> for ConnectError {
    fn from(error: GeometryError) -> Self {
        Self::Geometry(error)
    }
}

impl From<RegionError> for ConnectError {
    fn from(error: RegionError) -> Self {
        Self::Region(error)
    }
}

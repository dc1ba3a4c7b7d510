//! What can go wrong with a session that is there; [`ConnectError`] is for those that are not yet.
//!
//! An error that has another one as its cause says that too, and so returns no [source](std::error::Error::source).

use super::connect::{ConnectError, is_forbidden};
use super::region_error::RegionError;
use super::request::ErrorCode;
use super::violation::{GeometryError, Violation};
use std::fmt;
use std::io;
use std::time::Duration;

/// Has `?` make an error of each of its causes that is named: the variant that holds it.
macro_rules! causes {
    ($error:ident { $($variant:ident($cause:ident)),* $(,)? }) => {$(
        impl From<$cause> for $error {
            fn from(cause: $cause) -> Self {
                Self::$variant(cause)
            }
        }
    )*};
}

pub(super) use causes;

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// The other side broke the protocol.
    Violation(Violation),
    /// The other side hung up, or its process ended.
    PeerGone,
    /// There was not enough memory for its regions.
    OutOfMemory,
}

causes! { SessionError { Violation(Violation) } }

/// What fails on a session's socket ends it as a hang-up does.
impl From<ConnectError> for SessionError {
    fn from(_: ConnectError) -> Self {
        Self::PeerGone
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::PeerGone => {
                f.write_str("the other side is gone: its session is over and what was under way is lost; connect again")
            }
            Self::OutOfMemory => f.write_str(
                "there is not enough memory for the session's regions: it is over; use fewer blocks or free memory",
            ),
        }
    }
}

impl std::error::Error for SessionError {}

/// Why a client's call did not do what it says. The session goes on, but with [`Session`](Self::Session) and, mostly, with
/// [`Socket`](Self::Socket).
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "what is in a variant is said where the variant is")]
pub enum ClientError {
    /// The table refused.
    Refused(ErrorCode),
    /// There are not enough free blocks on this side for so many bytes.
    OutOfBlocks { len_bytes: usize },
    /// As many requests are under way as the ring holds, or the table took none until the limit.
    Full,
    /// More bytes than one transfer can have.
    TooLarge { len_bytes: usize, max_bytes: usize },
    /// A part that does not begin and end on pages.
    Unaligned { start_bytes: u64, len_bytes: u64 },
    /// A ticket that is not under way, or a lease or a view of another session.
    NotOfThisSession,
    /// The table did not answer within the limit. The answer is dropped when it comes.
    Timeout { limit: Duration },
    /// An object came that cannot be used.
    Object(RegionError),
    /// The socket failed.
    Socket(ConnectError),
    /// The session is over.
    Session(SessionError),
}

causes! { ClientError { Object(RegionError) } }

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => code.fmt(f),
            Self::OutOfBlocks { len_bytes } => write!(
                f,
                "no free blocks for {len_bytes} bytes: nothing was sent; wait for requests under way, drop leases, or \
                 ask the server for more blocks"
            ),
            Self::Full => f.write_str(
                "as many requests are under way as the ring holds: nothing was sent; poll for answers first, or see whether \
                 the table is stuck",
            ),
            Self::TooLarge { len_bytes, max_bytes } => write!(
                f,
                "{len_bytes} bytes in one transfer where at most {max_bytes} are possible: nothing was sent; divide it"
            ),
            Self::Unaligned { start_bytes, len_bytes } => write!(
                f,
                "the part from {start_bytes} of {len_bytes} bytes does not lie on pages: nothing was asked for; use \
                 multiples of 4096"
            ),
            Self::NotOfThisSession => f.write_str(
                "a ticket that is not under way here, or blocks of another session: nothing was done; use each with the \
                 client that gave it, once",
            ),
            Self::Timeout { limit } => write!(
                f,
                "no answer within {limit:?}: it is dropped should it come, the session goes on; see whether the server \
                 is stuck, or allow more time"
            ),
            Self::Object(error) => error.fmt(f),
            Self::Socket(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

/// Why a table's call did not do what it says. What a client does wrong is none of these: it ends with an
/// [`Event::Left`](super::Event::Left) of its own. A client that was to be answered was not, and can still be.
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "what is in a variant is said where the variant is")]
pub enum TableError {
    /// The job is answered already, or its client has left.
    NoSuchJob,
    /// There is no such client, or it has left.
    NoSuchClient,
    /// The client has as many blocks as it may hold, or there are none left for so many bytes.
    OutOfBlocks { len_bytes: usize },
    /// More bytes than the client asked for, or than one transfer can have.
    TooLarge { len_bytes: usize, max_bytes: usize },
    /// The part does not lie on pages of the object.
    Unaligned { start_bytes: u64, len_bytes: u64 },
    /// The object is sealed against writing, and the client is to write it.
    ReadOnly,
    /// The address cannot be used, or the socket failed.
    Socket(ConnectError),
    /// A region could not be made.
    Region(RegionError),
    /// No session can have this geometry.
    Geometry(GeometryError),
    /// The system refused what waiting for many takes.
    Wait { cause: io::Error },
}

causes! { TableError { Socket(ConnectError), Region(RegionError), Geometry(GeometryError) } }

impl TableError {
    pub(super) fn wait(cause: impl Into<io::Error>) -> Self {
        Self::Wait { cause: cause.into() }
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchJob => {
                f.write_str("no such job: it was answered before, or its client has left; nothing was sent, go on")
            }
            Self::NoSuchClient => f.write_str("no such client: it has left; nothing was done, go on"),
            Self::OutOfBlocks { len_bytes } => write!(
                f,
                "no blocks for {len_bytes} bytes: the client was not answered; answer with ErrorCode::OUT_OF_BLOCKS, or \
                 later, when it has given some back"
            ),
            Self::TooLarge { len_bytes, max_bytes } => write!(
                f,
                "{len_bytes} bytes where at most {max_bytes} can be sent: the client was not answered; answer with less"
            ),
            Self::Unaligned { start_bytes, len_bytes } => write!(
                f,
                "the part from {start_bytes} of {len_bytes} bytes does not lie on pages of the object: the client was \
                 not answered; answer with ErrorCode::UNALIGNED"
            ),
            Self::ReadOnly => f.write_str(
                "the object is sealed against writing: the client was not answered; answer with ErrorCode::DENIED",
            ),
            Self::Socket(error) => error.fmt(f),
            Self::Region(error) => error.fmt(f),
            Self::Geometry(error) => error.fmt(f),
            Self::Wait { cause } => write!(
                f,
                "the system refused to wait for clients ({cause}): the table cannot go on; {}",
                if is_forbidden(cause) {
                    "have the filter of system calls allow epoll_create1, epoll_ctl and epoll_pwait"
                } else {
                    "raise its limit of open files"
                }
            ),
        }
    }
}

impl std::error::Error for TableError {}

//! Why there is no connection.

#![forbid(unsafe_code)]

use super::wire::Refusal;
use crate::transport::error::{causes, errors};
use crate::transport::geometry::GeometryError;
use crate::transport::region_error::RegionError;
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::time::Duration;

errors! {
    /// Why two sides did not come together, or came apart. `cause` is what the system said.
    #[derive(Debug)]
    pub enum ConnectError {
        /// Text that is no address.
        Address { text: String } =>
            "{text:?} is no address: no table can be there; write @name, or a path with a slash";
        /// The system refused to make, bind or connect a socket.
        Socket { cause: io::Error }
            if is_limit(cause) =>
                "the system made no socket ({cause}): there is no connection; close descriptors, free memory, or raise \
                 this process's limits";
            if is_forbidden(cause) =>
                "the system does not let this process use the socket ({cause}): there is no connection; check who may \
                 use the address, and have the filter of system calls, if there is one, allow those for Unix sockets \
                 and epoll";
            => "the socket failed ({cause}): there is no connection; check the address and whether the server runs";
        /// This process cannot take the descriptors that it was sent.
        Resources { cause: io::Error } =>
            "this process cannot take the descriptors that it was sent ({cause}): there is no connection; close some, \
             or raise its limit of open files";
        /// The peer belongs to another user, of this number, or to one that cannot be told from others here.
        OtherUser { user: u32 } =>
            "the peer is of user {user}, which is not this process's own, or cannot be told from others in this user \
             namespace: it is hung up on; allow any user, and let a path's permissions say who may connect";
        /// What answers is not a table.
        NotATable =>
            "not a table socket: what answers there does not begin as a table does; connect to the address that a \
             table's server was given";
        /// The other side speaks another version.
        Version { ours: u32, theirs: u32 } =>
            "version mismatch: this side speaks version {ours} and the other version {theirs}, so that nothing is \
             shared; build both from the same version of memcpy-select";
        /// A message of a kind that is unknown or does not belong here.
        Message { kind: u32 } =>
            "the other side sent a message of kind {kind}, which does not belong here: the connection is closed; it \
             does not follow the protocol";
        /// A message with too few or too many descriptors: so many belong to it, and so many came, of more than fit as
        /// many as fit.
        Descriptors { expected: usize, found: usize } =>
            "a message came with {found} descriptors where {expected} belong to it: all are closed, and so is the \
             connection; the other side does not follow the protocol";
        /// Numbers that no session can have.
        Geometry(error: GeometryError) => "{error}";
        /// A region that is not what was promised, or that could not be made.
        Region(error: RegionError) => "{error}";
        /// The other side refused, for that reason.
        Refused { reason: Refusal } => "{reason}";
        /// The other side did not answer in the time that it was given.
        Timeout { limit: Duration } =>
            "the other side did not answer within {limit:?}: the connection is given up; see whether it runs, or allow \
             more time";
        /// The other side hung up.
        PeerGone => "the other side hung up: the session is over; connect again";
        /// The other side does not read what it is sent.
        Congested =>
            "the other side does not read its socket: the message was not sent; try again when it does";
        /// There are as many clients as there can be, or as many are connecting.
        Full =>
            "there are as many clients as there can be, or as many are connecting: the newcomer is hung up on; allow \
             more, or have some leave";
    }
}

causes! { ConnectError { Geometry(GeometryError), Region(RegionError) } }

impl ConnectError {
    pub(in crate::transport) fn socket(cause: impl Into<io::Error>) -> Self {
        Self::Socket { cause: cause.into() }
    }

    /// What the other side is told when this ends a handshake.
    pub(in crate::transport) fn refusal(&self) -> Refusal {
        match self {
            Self::Version { .. } => Refusal::Version,
            Self::OtherUser { .. } => Refusal::OtherUser,
            Self::Timeout { .. } => Refusal::Late,
            Self::Socket { .. } | Self::Resources { .. } => Refusal::Resources,
            Self::Region(error) if error.is_shortage() => Refusal::Resources,
            Self::Full => Refusal::Full,
            // What a table behind a proxy said is the proxy's answer, too.
            Self::Refused { reason } => *reason,
            _ => Refusal::Handshake,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (why, fix) = match self {
            Self::Version => ("it speaks another version", "build both from the same version"),
            Self::Full => ("it has as many clients as it takes, or too many are connecting", "try again later"),
            Self::Handshake => ("what it was sent is not as agreed", "build both from the same version"),
            Self::Resources => (
                "it is short of memory or descriptors, or may not share memory",
                "see what it says, and try again later",
            ),
            Self::OtherUser => {
                ("it takes clients of its own user only", "run as that user, or have the server take others")
            }
            Self::Late => ("this side's part of the handshake took too long", "try again"),
            Self::Other(_) => ("this build does not know the reason", "build both from the same version"),
        };
        write!(f, "the other side refused (reason {}), since {why}: there is no connection; {fix}", self.code())
    }
}

/// Whether the system had too little of something.
pub(in crate::transport) fn is_limit(cause: &io::Error) -> bool {
    let limits = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::NOSPC, Errno::FBIG];
    Errno::from_io_error(cause).is_some_and(|found| limits.contains(&found))
}

/// Whether the system knows no such call, or does not allow it: a filter of system calls, a security module, permissions.
pub(in crate::transport) fn is_forbidden(cause: &io::Error) -> bool {
    let found = Errno::from_io_error(cause);
    found.is_some_and(|found| [Errno::PERM, Errno::ACCESS, Errno::NOSYS].contains(&found))
}

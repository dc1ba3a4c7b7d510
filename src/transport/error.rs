//! What can go wrong with a session that is there; [`ConnectError`] is for those that are not yet.
//!
//! An error that has another one as its cause says that too, and so returns no [source](std::error::Error::source).

use super::connect::{ConnectError, is_forbidden};
use super::region_error::RegionError;
use super::request::ErrorCode;
use super::violation::{GeometryError, Violation};
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

/// An error whose variants stand with their texts: behind `if` what is said in a case that is told apart, and behind `=>` alone what is
/// said in all others.
macro_rules! errors {
    ($(#[$about:meta])* pub enum $error:ident {$(
        $(#[$doc:meta])* $variant:ident $({ $($field:ident: $type:ty),* })? $(($inner:ident: $cause:ty))?
        $(if $case:expr => $special:literal;)* => $text:literal $(, $more:expr)*;
    )*}) => {
        $(#[$about])*
        #[non_exhaustive]
        #[allow(missing_docs, reason = "what is in a variant is said where the variant is")]
        pub enum $error {
            $($(#[$doc])* $variant $({ $($field: $type),* })? $(($cause))?,)*
        }

        impl std::fmt::Display for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant $({ $($field),* })? $(($inner))? => {
                        $(if $case {
                            return write!(f, $special);
                        })*
                        write!(f, $text $(, $more)*)
                    })*
                }
            }
        }

        impl std::error::Error for $error {}
    };
}

pub(super) use {causes, errors};

errors! {
    /// Why a session is over.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum SessionError {
        /// The other side broke the protocol.
        Violation(violation: Violation) => "{violation}";
        /// The other side hung up, or its process ended.
        PeerGone => "the other side is gone: its session is over and what was under way is lost; connect again";
        /// There was not enough memory for its regions.
        OutOfMemory =>
            "there is not enough memory for the session's regions: it is over; use fewer blocks or free memory";
    }
}

causes! { SessionError { Violation(Violation) } }

/// What fails on a session's socket ends it as a hang-up does.
impl From<ConnectError> for SessionError {
    fn from(_: ConnectError) -> Self {
        Self::PeerGone
    }
}

errors! {
    /// Why a client's call did not do what it says. The session goes on, but with [`Session`](Self::Session) and, mostly, with
    /// [`Socket`](Self::Socket).
    #[derive(Debug)]
    pub enum ClientError {
        /// The table refused.
        Refused(code: ErrorCode) => "{code}";
        /// There are not enough free blocks on this side for so many bytes.
        OutOfBlocks { len_bytes: usize } =>
            "no free blocks for {len_bytes} bytes: nothing was sent; wait for requests under way, drop leases, or ask \
             the server for more blocks";
        /// As many requests are under way as the ring holds, or the table took none until the limit.
        Full =>
            "as many requests are under way as the ring holds: nothing was sent; poll for answers first, or see \
             whether the table is stuck";
        /// More bytes than one transfer can have.
        TooLarge { len_bytes: usize, max_bytes: usize } =>
            "{len_bytes} bytes in one transfer where at most {max_bytes} are possible: nothing was sent; divide it";
        /// A part that does not begin and end on pages.
        Unaligned { start_bytes: u64, len_bytes: u64 } =>
            "the part from {start_bytes} of {len_bytes} bytes does not lie on pages: nothing was asked for; use \
             multiples of 4096";
        /// A ticket that is not under way, or a lease or a view of another session.
        NotOfThisSession =>
            "a ticket that is not under way here, or blocks of another session: nothing was done; use each with the \
             client that gave it, once";
        /// The table did not answer within the limit. The answer is dropped when it comes.
        Timeout { limit: Duration } =>
            "no answer within {limit:?}: it is dropped should it come, the session goes on; see whether the server is \
             stuck, or allow more time";
        /// An object came that cannot be used.
        Object(error: RegionError) => "{error}";
        /// The socket failed.
        Socket(error: ConnectError) => "{error}";
        /// The session is over.
        Session(error: SessionError) => "{error}";
    }
}

causes! { ClientError { Object(RegionError) } }

errors! {
    /// Why a table's call did not do what it says. What a client does wrong is none of these: it ends with an
    /// [`Event::Left`](super::Event::Left) of its own. A client that was to be answered was not, and can still be.
    #[derive(Debug)]
    pub enum TableError {
        /// The job is answered already, or its client has left.
        NoSuchJob => "no such job: it was answered before, or its client has left; nothing was sent, go on";
        /// There is no such client, or it has left.
        NoSuchClient => "no such client: it has left; nothing was done, go on";
        /// The client has as many blocks as it may hold, or there are none left for so many bytes.
        OutOfBlocks { len_bytes: usize } =>
            "no blocks for {len_bytes} bytes: the client was not answered; answer with ErrorCode::OUT_OF_BLOCKS, or \
             later, when it has given some back";
        /// More bytes than the client asked for, or than one transfer can have.
        TooLarge { len_bytes: usize, max_bytes: usize } =>
            "{len_bytes} bytes where at most {max_bytes} can be sent: the client was not answered; answer with less";
        /// The part does not lie on pages of the object.
        Unaligned { start_bytes: u64, len_bytes: u64 } =>
            "the part from {start_bytes} of {len_bytes} bytes does not lie on pages of the object: the client was not \
             answered; answer with ErrorCode::UNALIGNED";
        /// The object is sealed against writing, and the client is to write it.
        ReadOnly => "the object is sealed against writing: the client was not answered; answer with ErrorCode::DENIED";
        /// The address cannot be used, or the socket failed.
        Socket(error: ConnectError) => "{error}";
        /// A region could not be made.
        Region(error: RegionError) => "{error}";
        /// No session can have this geometry.
        Geometry(error: GeometryError) => "{error}";
        /// The system refused what waiting for many takes.
        Wait { cause: io::Error }
            if is_forbidden(cause) =>
                "the system refused to wait for clients ({cause}): the table cannot go on; have the filter of system \
                 calls allow epoll_create1, epoll_ctl and epoll_pwait";
            => "the system refused to wait for clients ({cause}): the table cannot go on; raise its limit of open files";
    }
}

causes! { TableError { Socket(ConnectError), Region(RegionError), Geometry(GeometryError) } }

impl TableError {
    pub(super) fn wait(cause: impl Into<io::Error>) -> Self {
        Self::Wait { cause: cause.into() }
    }
}

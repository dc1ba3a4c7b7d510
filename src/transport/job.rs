//! What a table gets to do, and what it answers.

use super::connect::ConnectError;
use super::error::SessionError;
use super::loan::Lease;
use super::memory::Copier;
use super::request::{ErrorCode, Flags, Kind, PageRange, Request};
use super::session::JobKey;
use super::share::Object;
use super::slots::Key;
use std::io::SeekFrom;

/// The name of a client. It is never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(pub(super) Key);

impl ClientKey {
    /// A small number, unique among the clients of this moment: an index for a table of the program's own.
    pub const fn slot(self) -> usize {
        self.0.slot()
    }
}

/// What happened at a table.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client connected.
    Joined(ClientKey),
    /// A client asks for something: [`answer`](super::Table::answer) it, now or later.
    Job(Job),
    /// A client is done with a handle. There is no answer.
    Closed {
        /// The client that had it.
        client: ClientKey,
        /// The handle.
        handle: u32,
    },
    /// A client has left, by itself or because it broke the protocol. Its jobs need no answer any more.
    Left {
        /// The client.
        client: ClientKey,
        /// Why.
        why: SessionError,
    },
    /// Clients were not taken in. Of each kind of reason there is one event a second at most.
    Refused {
        /// Why the last of them was not.
        why: ConnectError,
        /// How many there were of that kind since the last event, this one included.
        count: u64,
    },
    /// Newcomers have to wait, since taking them in would delay requests of clients. There is one event a second at most.
    Throttled {
        /// How often that was so since the last event, this time included.
        count: u64,
    },
}

/// A request of a client, to be answered once.
#[derive(Debug)]
#[must_use = "the client waits for an answer"]
pub struct Job {
    pub(super) client: ClientKey,
    pub(super) key: JobKey,
    pub(super) request: Request,
}

/// What a client wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Bytes from where the handle is: answer with [`Answer::Bytes`] or [`Answer::Lease`].
    Read {
        /// The object.
        handle: u32,
        /// How many bytes, at most.
        amount: u32,
        /// Whether the handle moves past them.
        advance: bool,
    },
    /// The [payload](super::Table::payload) to where the handle is: answer with [`Answer::Amount`].
    Write {
        /// The object.
        handle: u32,
    },
    /// The object that the [payload](super::Table::payload) names: answer with [`Answer::Handle`].
    Open,
    /// A new object that the payload names: answer with [`Answer::Handle`].
    Create,
    /// Away with the object that the payload names: answer with [`Answer::Done`].
    Destroy,
    /// Another position: answer with [`Answer::Position`].
    Seek {
        /// The object.
        handle: u32,
        /// Where to.
        to: SeekFrom,
    },
    /// The memory of the object: answer with [`Answer::Object`].
    Share {
        /// The object.
        handle: u32,
        /// Which part, and what for.
        part: PageRange,
    },
}

impl Job {
    /// The client that asks.
    pub fn client(&self) -> ClientKey {
        self.client
    }

    /// The flags of the request.
    pub fn flags(&self) -> Flags {
        self.request.flags
    }

    /// What is to be done.
    #[inline]
    pub fn operation(&self) -> Operation {
        Operation::of(&self.request)
    }
}

impl Operation {
    /// What a request asks for. [`Kind::Close`] is no job, and has no operation of its own.
    #[inline]
    pub(super) fn of(request: &Request) -> Self {
        let Request { kind, flags, handle, args, .. } = *request;
        let offset = args.raw();
        let signed = offset as i64;
        match kind {
            Kind::Read => Self::Read { handle, amount: args.to_amount(), advance: flags.advance },
            Kind::Write => Self::Write { handle },
            Kind::Open => Self::Open,
            Kind::Create => Self::Create,
            Kind::Destroy => Self::Destroy,
            // A close is no job. Should one be taken for one, this changes nothing.
            Kind::Close => Self::Seek { handle, to: SeekFrom::Current(0) },
            Kind::SeekStart => Self::Seek { handle, to: SeekFrom::Start(offset) },
            Kind::SeekCurrent => Self::Seek { handle, to: SeekFrom::Current(signed) },
            Kind::SeekEnd => Self::Seek { handle, to: SeekFrom::End(signed) },
            Kind::Share => Self::Share { handle, part: args.to_range() },
        }
    }
}

/// An answer.
#[derive(Debug)]
pub enum Answer<'a> {
    /// It failed.
    Error(ErrorCode),
    /// It is done.
    Done,
    /// How many bytes were written.
    Amount(u32),
    /// The object is open under this number.
    Handle(u32),
    /// The object is open under this number, and this is its memory.
    HandleAndObject(u32, Object<'a>),
    /// The handle is there now.
    Position(u64),
    /// These bytes, copied as [`memcpy_auto`](crate::memcpy_auto) would.
    Bytes(&'a [u8]),
    /// These bytes, copied with a kernel of the program's choice.
    BytesWith(&'a [u8], Copier),
    /// The bytes in this [lease](super::Table::lease), without a copy.
    Lease(Lease),
    /// The memory of the object.
    Object(Object<'a>),
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The client gets it.
    Sent,
    /// It could not be sent, so that the client gets this error instead: more bytes than it asked for, or than there are
    /// blocks for.
    Instead(ErrorCode),
    /// The client has left.
    Left,
}

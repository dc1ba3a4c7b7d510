//! What a table gets to do, and what it answers.

use super::connect::ConnectError;
use super::error::SessionError;
use super::loan::Lease;
use super::memory::Copier;
use super::request::{ErrorCode, Flags, JobId, Kind, PageRange, Request};
use super::session::JobKey;
use super::share::Object;
pub use super::slots::Key as ClientKey;
use std::io::SeekFrom;

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
        /// The client gave the open or the create up that this is the handle of: it has never used it, and what was created
        /// is not wanted.
        is_discarded: bool,
    },
    /// A client takes more messages of a stream, or none: the next [`push`](super::Table::push) to it says which.
    Credit {
        /// The client that has it.
        client: ClientKey,
    },
    /// A client has left, by itself or because it broke the protocol. Its jobs need no answer any more. What it asked for before it
    /// hung up has come.
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
    /// Messages, as long as there are some: [`push`](super::Table::push) them, and answer with [`Answer::Done`] when there are no
    /// more.
    Stream {
        /// The object.
        handle: u32,
        /// How many bytes of each, at most.
        amount: u32,
        /// How many messages the client takes at a time.
        credits: u32,
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

    /// Whether the client waits for an answer. For a posted write it does not: any answer just ends it.
    pub fn wants_answer(&self) -> bool {
        self.request.id != JobId::ZERO
    }

    /// What is to be done.
    #[inline]
    pub fn operation(&self) -> Operation {
        Operation::of(&self.request)
    }
}

impl Operation {
    /// What a request asks for. [`Kind::Close`] and [`Kind::Credit`] are no jobs, and have no operation of their own.
    #[inline]
    pub(super) fn of(request: &Request) -> Self {
        let Request { kind, flags, handle, args, .. } = *request;
        let offset = args.0;
        let signed = offset as i64;
        match kind {
            Kind::Read => Self::Read { handle, amount: args.to_number(), advance: flags.has(Flags::ADVANCE) },
            Kind::Write => Self::Write { handle },
            Kind::Open => Self::Open,
            Kind::Create => Self::Create,
            Kind::Destroy => Self::Destroy,
            Kind::Stream => Self::Stream { handle, amount: args.to_number(), credits: args.to_pair()[1] },
            // These are no jobs. Should one be taken for one, this changes nothing.
            Kind::Close | Kind::Credit => Self::Seek { handle, to: SeekFrom::Current(0) },
            Kind::SeekStart => Self::Seek { handle, to: SeekFrom::Start(offset) },
            Kind::SeekCurrent => Self::Seek { handle, to: SeekFrom::Current(signed) },
            Kind::SeekEnd => Self::Seek { handle, to: SeekFrom::End(signed) },
            Kind::Share => Self::Share { handle, part: PageRange(args.0) },
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

/// What became of a message of a stream.
#[derive(Debug)]
#[must_use = "a message may not have been sent"]
pub enum Pushed<'a> {
    /// The client gets it.
    Sent,
    /// The client takes none now. Here it is again, for the time after [`Event::Credit`]; the stream goes on.
    NoCredit(Answer<'a>),
    /// It cannot be sent: more bytes than the client asked for, or than there are blocks for, or no bytes at all but another answer.
    /// The stream goes on.
    Refused(ErrorCode),
    /// The stream has ended, by its client or with it, or the job is none. Any answer to the job is dropped.
    Ended,
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

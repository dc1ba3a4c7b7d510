//! What a table gets to do, and what it answers.

use super::blocks::BlockGeometry;
use super::chain::{Chain, clamp};
use super::connect::ConnectError;
use super::error::SessionError;
use super::loan::Lease;
use super::memory::{Copier, Mapped};
use super::request::{Args, ErrorCode, Flags, Kind, PageRange, Request};
use super::session::JobKey;
use super::share::Object;
use super::slots::Key;
use std::io::SeekFrom;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

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
        /// Whose it was.
        client: ClientKey,
        /// The handle.
        handle: u32,
    },
    /// A client has left, by itself or because it broke the protocol. Its jobs need no answer any more.
    Left {
        /// Who it was.
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
    /// Whose it is.
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
        // These views are of whole numbers: every value is one.
        let offset = args.raw();
        let signed = offset as i64;
        match kind {
            Kind::Read => Self::Read { handle, amount: args.get(Args::AMOUNT).unwrap_or(0), advance: flags.advance },
            Kind::Write => Self::Write { handle },
            Kind::Open => Self::Open,
            Kind::Create => Self::Create,
            Kind::Destroy => Self::Destroy,
            // A close is no job. Should one be taken for one, this changes nothing.
            Kind::Close => Self::Seek { handle, to: SeekFrom::Current(0) },
            Kind::SeekStart => Self::Seek { handle, to: SeekFrom::Start(offset) },
            Kind::SeekCurrent => Self::Seek { handle, to: SeekFrom::Current(signed) },
            Kind::SeekEnd => Self::Seek { handle, to: SeekFrom::End(signed) },
            Kind::Share => Self::Share {
                handle,
                part: args.get(Args::RANGE).unwrap_or(PageRange {
                    is_writable: false,
                    first: super::message::Bits::ZERO,
                    count: 0,
                }),
            },
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

/// The bytes, or the name, that came with a job. The client can change them at any time: copy out what is to be believed,
/// once, and look at the copy.
#[derive(Debug)]
pub struct Payload<'a> {
    pub(super) found: Option<(&'a Chain, &'a Mapped, BlockGeometry)>,
    /// The client's region as a file.
    pub(super) file: Option<BorrowedFd<'a>>,
}

impl Payload<'_> {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.found.map_or(0, |(chain, ..)| chain.length() as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes out, from the offset on; how many: less than `dst` has room for where the payload ends.
    pub fn read_at(&self, offset: usize, dst: &mut [u8]) -> usize {
        self.read_with(offset, dst, Copier::AUTO)
    }

    /// As [`read_at`](Self::read_at), with a kernel of the caller's choice.
    pub fn read_with(&self, offset: usize, dst: &mut [u8], copier: Copier) -> usize {
        self.found.map_or(0, |(chain, memory, blocks)| chain.read(memory, blocks, clamp(offset), dst, copier))
    }

    /// A copy of all of it: at most what the client's region holds.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.read_at(0, &mut bytes);
        bytes
    }

    /// Offset in the client's region and length of each part, for calls that take a descriptor.
    pub fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let runs = self.found.map(|(chain, _, blocks)| chain.runs(blocks, 0, chain.length()));
        runs.into_iter().flatten().map(|run| (run.at, run.len_bytes))
    }

    /// The client's region as a file: the offsets of [`runs`](Self::runs) are in it. None if both sides write the region.
    pub fn region_file(&self) -> Option<BorrowedFd<'_>> {
        self.file
    }

    /// Start and length of each part. The client may be writing there: use the kernels or volatile reads.
    pub fn parts(&self) -> impl Iterator<Item = (NonNull<u8>, usize)> + '_ {
        let memory = self.found.map(|(_, memory, _)| memory);
        self.runs().filter_map(move |(at, len_bytes)| Some((memory?.pointer(at, len_bytes)?, len_bytes)))
    }
}

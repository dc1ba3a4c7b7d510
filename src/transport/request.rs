//! The two messages of the table: a request of 16 bytes and a response of 12, in words of 4 bytes.

use super::violation::Violation;

pub use super::error_code::ErrorCode;
pub use super::page_range::PageRange;

/// What a client asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes from an object: args are a [number](Value::number), how many at most, answered with a [slice](Value::slice).
    #[default]
    Read,
    /// Bytes to an object: args are a [slice](Value::slice), answered with an amount.
    Write,
    /// An object by name: args are the name's [slice](Value::slice), answered with a handle.
    Open,
    /// The end of a handle. Its job id is 0, and there is no response. With [`Flags::META`] the handle was never used.
    Close,
    /// A new object by name: as [`Open`](Self::Open). With [`Flags::META`] the name may be taken.
    Create,
    /// Removes an object by name: args are the name's [slice](Value::slice), answered with an amount of 0.
    Destroy,
    /// Moves the position of a handle: args are the position as they are, answered with a position.
    SeekStart,
    /// From where it is: args are an `i64` as it is, answered with a position.
    SeekCurrent,
    /// From the end: args are an `i64` as it is, answered with a position.
    SeekEnd,
    /// A memory object: args are a [`PageRange`], answered with an amount of 0 and the object.
    Share,
    /// Messages from an object, one after the other: args are a [pair](Value::pair), how many bytes of each
    /// at most and how many messages the client takes at a time, answered with many slices, of which the last
    /// is empty.
    Stream,
    /// Credits for a stream, whose job id it has: args are how many, or 0 to end it. There is no response.
    Credit,
}

impl Kind {
    /// All of them, by their numbers.
    const ALL: [Self; 12] = [
        Self::Read,
        Self::Write,
        Self::Open,
        Self::Close,
        Self::Create,
        Self::Destroy,
        Self::SeekStart,
        Self::SeekCurrent,
        Self::SeekEnd,
        Self::Share,
        Self::Stream,
        Self::Credit,
    ];

    /// Whether its args are a [`Slice`].
    #[inline(always)]
    pub(super) const fn has_payload(self) -> bool {
        matches!(self, Self::Write | Self::Open | Self::Create | Self::Destroy)
    }
}

/// How: a set of flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// Bytes as they are, not as text for people.
    pub const BINARY: Self = Self(1 << 4);
    /// Moves the position of the handle past the bytes.
    pub const ADVANCE: Self = Self(1 << 5);
    /// What is known about the object, as text, not what is in it. Of a [`Create`](Kind::Create): the name may be taken.
    /// Of a [`Close`](Kind::Close): what was created is not wanted.
    pub const META: Self = Self(1 << 6);
    /// The usual ones for bytes: as they are, and the position moves.
    pub const DATA: Self = Self(Self::BINARY.0 | Self::ADVANCE.0);
    const ALL: u8 = Self::DATA.0 | Self::META.0;

    /// Whether all of those are set.
    #[inline(always)]
    pub const fn has(self, those: Self) -> bool {
        self.0 & those.0 == those.0
    }
}

/// A number of 24 bits that a client gives a request, and finds in the response; of a longer one the lower bits are sent. 0 is for
/// what has none: [`Kind::Close`], and a [`Kind::Write`] that is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobId(pub u32);

impl JobId {
    /// The number of a request that has no response.
    pub const ZERO: Self = Self(0);
}

/// Bytes in blocks: one block, or a chain if they are longer; or in the entry itself. A length of 0 uses neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The block, or the first list block of the chain; [`INLINE`](Self::INLINE) if the bytes are in the entry.
    pub block: u32,
    /// How many bytes.
    pub length: u32,
}

impl Slice {
    /// No bytes, in no block.
    pub const EMPTY: Self = Self { block: 0, length: 0 };
    /// What stands for a block where the bytes are in the entry. No region has as many blocks.
    pub const INLINE: u32 = u32::MAX;

    /// That many bytes in the entry.
    #[inline(always)]
    pub const fn inline(length: u32) -> Self {
        if length == 0 { Self::EMPTY } else { Self { block: Self::INLINE, length } }
    }

    /// Whether there are bytes, in the entry.
    #[inline(always)]
    pub const fn is_inline(self) -> bool {
        self.block == Self::INLINE && self.length > 0
    }
}

/// What a request is about, or what a response says: 64 bits, which the request's kind says how to read; as they are: a position, a
/// distance, or a [`PageRange`]. From [`ErrorCode::FIRST`] on in a response, the request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(pub u64);

impl Value {
    /// How many bytes, or a handle.
    #[inline(always)]
    pub const fn number(number: u32) -> Self {
        Self(number as u64)
    }

    /// How many bytes, or a handle.
    #[inline(always)]
    pub const fn to_number(self) -> u32 {
        self.0 as u32
    }

    /// Two numbers: how many bytes a message of a stream has at most, and how many of them the client takes at a time.
    #[inline(always)]
    pub const fn pair(low: u32, high: u32) -> Self {
        Self(low as u64 | (high as u64) << 32)
    }

    /// Two numbers.
    #[inline(always)]
    pub const fn to_pair(self) -> [u32; 2] {
        [self.0 as u32, (self.0 >> 32) as u32]
    }

    /// A name, or bytes.
    #[inline(always)]
    pub const fn slice(slice: Slice) -> Self {
        Self::pair(slice.block, slice.length)
    }

    /// A name, or bytes.
    #[inline(always)]
    pub const fn to_slice(self) -> Slice {
        let [block, length] = self.to_pair();
        Slice { block, length }
    }
}

/// The bit of the first word of a request or a response that says which lap it belongs to. It is the ring's.
pub const LAP_BIT: u32 = 1 << 7;

/// A request: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub kind: Kind,
    /// How.
    pub flags: Flags,
    /// The client's number for it.
    pub id: JobId,
    /// The object; 0 where a name says which.
    pub handle: u32,
    /// The rest.
    pub args: Value,
}

impl Request {
    /// A request that has no number yet, or none at all.
    #[inline(always)]
    pub const fn new(kind: Kind, flags: Flags, handle: u32, args: Value) -> Self {
        Self { kind, flags, id: JobId::ZERO, handle, args }
    }

    /// The end of a handle; with [`Flags::META`] of one that came for a request which was given up.
    pub const fn close(handle: u32, flags: Flags) -> Self {
        Self::new(Kind::Close, flags, handle, Value(0))
    }

    /// The entry of the ring.
    #[inline(always)]
    pub const fn to_entry(self) -> [u32; 4] {
        let [low, high] = self.args.to_pair();
        [self.kind as u32 | self.flags.0 as u32 | self.id.0 << 8, self.handle, low, high]
    }

    /// Whether the request in an entry with that first word has a response, if it is [found](Self::check) to be right.
    #[inline(always)]
    pub(super) const fn has_response(first: u32) -> bool {
        first >> 8 != 0 && first & 0xF != Kind::Credit as u32
    }

    /// Whether it is a write without an answer.
    #[inline(always)]
    pub(super) fn is_post(&self) -> bool {
        self.kind == Kind::Write && self.id == JobId::ZERO
    }

    /// How many bytes an answer, or a message, may have.
    #[inline(always)]
    pub(super) fn most_bytes(&self) -> u32 {
        if matches!(self.kind, Kind::Read | Kind::Stream) { self.args.to_number() } else { 0 }
    }

    /// The credits of a stream; of other requests none.
    #[inline(always)]
    pub(super) fn credits(&self) -> u32 {
        if self.kind == Kind::Stream { self.args.to_pair()[1] } else { 0 }
    }

    /// Whether it has a number, or none, as its kind must, and as many credits as there can be.
    ///
    /// # Errors
    ///
    /// [`Violation::JobId`] or [`Violation::Credits`].
    #[inline(always)]
    pub(super) fn check(&self, capacity: u32) -> Result<(), Violation> {
        let slice = self.args.to_slice();
        let is_unanswered = self.kind == Kind::Close || self.is_post() && (slice.is_inline() || slice.length == 0);
        if is_unanswered != (self.id == JobId::ZERO) {
            return Err(Violation::JobId { id: self.id.0 });
        }
        let (found, most) = (self.credits(), capacity - 1);
        if self.kind == Kind::Stream && !(1..=most).contains(&found) {
            return Err(Violation::Credits { found, most });
        }
        Ok(())
    }

    /// The request in an entry of the ring.
    ///
    /// # Errors
    ///
    /// [`Violation::Kind`] if there is no such kind.
    #[inline(always)]
    pub fn from_entry([first, handle, low, high]: [u32; 4]) -> Result<Self, Violation> {
        let kind = first & 0xF;
        Ok(Self {
            kind: *Kind::ALL.get(kind as usize).ok_or(Violation::Kind { kind })?,
            flags: Flags(first as u8 & Flags::ALL),
            id: JobId(first >> 8),
            handle,
            args: Value::pair(low, high),
        })
    }
}

/// A response: 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Whether a descriptor for this job id was sent over the socket before.
    pub has_object: bool,
    /// Whether it is a message of a stream, and not its end.
    pub has_more: bool,
    /// The client's number of the request.
    pub id: JobId,
    /// The answer.
    pub value: Value,
}

const OBJECT: u32 = 1;
const MORE: u32 = 1 << 1;

impl Response {
    /// The entry of the ring.
    #[inline(always)]
    pub const fn to_entry(self) -> [u32; 3] {
        let flags = (self.has_object as u32 * OBJECT) | (self.has_more as u32 * MORE);
        let [low, high] = self.value.to_pair();
        [flags | self.id.0 << 8, low, high]
    }

    /// The response in an entry of the ring. Every value is one.
    #[inline(always)]
    pub const fn from_entry([first, low, high]: [u32; 3]) -> Self {
        Self {
            has_object: first & OBJECT != 0,
            has_more: first & MORE != 0,
            id: JobId(first >> 8),
            value: Value::pair(low, high),
        }
    }
}

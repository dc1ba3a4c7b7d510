//! The two messages of the table: a request of 16 bytes and a response of 12, in words of 4 bytes.

use super::memory::Access;
use super::violation::Violation;

pub use super::error_code::ErrorCode;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes from an object: args are an [amount](Args::amount), answered with a [slice](Value::slice).
    Read,
    /// Bytes to an object: args are a [slice](Args::slice), answered with an amount.
    Write,
    /// An object by name: args are the name's [slice](Args::slice), answered with a handle.
    Open,
    /// The end of a handle. Its job id is 0, and there is no response.
    Close,
    /// A new object by name: as [`Open`](Self::Open). With the flag [`meta`](Flags::meta) the name may be taken.
    Create,
    /// Removes an object by name: args are the name's [slice](Args::slice), answered with an amount of 0.
    Destroy,
    /// Moves the position of a handle: args are the position as they are, answered with a position.
    SeekStart,
    /// From where it is: args are an `i64` as it is, answered with a position.
    SeekCurrent,
    /// From the end: args are an `i64` as it is, answered with a position.
    SeekEnd,
    /// A memory object: args are a [range](Args::range), answered with an amount of 0 and the object.
    Share,
}

impl Kind {
    /// All of them, by their numbers.
    const ALL: [Self; 10] = [
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
    ];

    /// Whether its args are a [`Slice`].
    #[inline(always)]
    pub(super) const fn has_payload(self) -> bool {
        matches!(self, Self::Write | Self::Open | Self::Create | Self::Destroy)
    }
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// Bytes as they are, not as text for people.
    pub binary: bool,
    /// Moves the position of the handle past the bytes.
    pub advance: bool,
    /// What is known about the object, not what is in it. Of a [`Create`](Kind::Create): the name may be taken.
    pub meta: bool,
}

impl Flags {
    /// None of them.
    pub const NONE: Self = Self { binary: false, advance: false, meta: false };
    /// The usual ones for bytes: as they are, and the position moves.
    pub const DATA: Self = Self { binary: true, advance: true, meta: false };
    /// What is known about the object, as text.
    pub const META: Self = Self { binary: false, advance: false, meta: true };
}

/// A number of 24 bits that a client gives a request, and finds in the response. 0 is for [`Kind::Close`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId(u32);

impl JobId {
    /// The number of a request that has no response.
    pub const ZERO: Self = Self(0);
    const MASK: u32 = 0xFF_FFFF;

    /// The number, if it has 24 bits.
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MASK as u64 { Some(Self(number as u32)) } else { None }
    }

    /// The low 24 bits of a number.
    #[inline(always)]
    pub const fn truncated(number: u64) -> Self {
        Self(number as u32 & Self::MASK)
    }

    /// The number.
    #[inline(always)]
    pub const fn get(self) -> u64 {
        self.0 as u64
    }

    /// The number in the first word of an entry.
    #[inline(always)]
    const fn of_word(word: u32) -> Self {
        Self(word >> 8)
    }
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

    #[inline(always)]
    const fn to_bits(self) -> u64 {
        self.block as u64 | (self.length as u64) << 32
    }

    #[inline(always)]
    const fn of_bits(bits: u64) -> Self {
        Self { block: bits as u32, length: (bits >> 32) as u32 }
    }
}

/// The unit of a [`PageRange`].
const PAGE_BYTES: u64 = 4096;

/// Which part of an object to share, in pages of 4096 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// To be written, too.
    pub is_writable: bool,
    /// The first page: 31 bits.
    first: u32,
    /// How many; 0 is all the rest.
    count: u32,
}

impl PageRange {
    /// All of an object, to be read.
    pub const WHOLE: Self = Self { is_writable: false, first: 0, count: 0 };

    /// The pages of a part in bytes; `None` if it does not lie on pages, or on more than can be named. A length of 0 is all
    /// the rest.
    pub fn of_bytes(start_bytes: u64, len_bytes: u64, access: Access) -> Option<Self> {
        let is_aligned = start_bytes.is_multiple_of(PAGE_BYTES) && len_bytes.is_multiple_of(PAGE_BYTES);
        let first = u32::try_from(start_bytes / PAGE_BYTES).ok().filter(|first| is_aligned && *first < 1 << 31)?;
        let is_writable = access == Access::ReadWrite;
        Some(Self { is_writable, first, count: u32::try_from(len_bytes / PAGE_BYTES).ok()? })
    }

    /// Where the part starts.
    pub fn start_bytes(self) -> u64 {
        u64::from(self.first) * PAGE_BYTES
    }

    /// How long it is; 0 for all the rest.
    pub fn len_bytes(self) -> u64 {
        u64::from(self.count) * PAGE_BYTES
    }
}

/// What a request is about: 64 bits, which its kind says how to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args(u64);

impl Args {
    /// As they are: a position, or a distance.
    #[inline(always)]
    pub const fn from_raw(bits: u64) -> Self {
        Self(bits)
    }

    /// As they are.
    #[inline(always)]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// How many bytes, at most.
    #[inline(always)]
    pub const fn amount(amount: u32) -> Self {
        Self(amount as u64)
    }

    /// How many bytes, at most.
    #[inline(always)]
    pub const fn to_amount(self) -> u32 {
        self.0 as u32
    }

    /// A name, or bytes to write.
    #[inline(always)]
    pub const fn slice(slice: Slice) -> Self {
        Self(slice.to_bits())
    }

    /// A name, or bytes to write.
    #[inline(always)]
    pub const fn to_slice(self) -> Slice {
        Slice::of_bits(self.0)
    }

    /// A part of an object.
    pub const fn range(range: PageRange) -> Self {
        Self(range.is_writable as u64 | (range.first as u64) << 1 | (range.count as u64) << 32)
    }

    /// A part of an object.
    pub const fn to_range(self) -> PageRange {
        PageRange { is_writable: self.0 & 1 != 0, first: self.0 as u32 >> 1, count: (self.0 >> 32) as u32 }
    }
}

/// What a response says: 64 bits. From [`ErrorCode::FIRST`] on the request failed; else its kind says how to read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(u64);

impl Value {
    /// As it is: a position.
    #[inline(always)]
    pub const fn from_raw(bits: u64) -> Self {
        Self(bits)
    }

    /// As it is.
    #[inline(always)]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// How many bytes, or a handle.
    #[inline(always)]
    pub const fn number(number: u32) -> Self {
        Self(number as u64)
    }

    /// The bytes.
    #[inline(always)]
    pub const fn slice(slice: Slice) -> Self {
        Self(slice.to_bits())
    }

    /// The bytes.
    #[inline(always)]
    pub const fn to_slice(self) -> Slice {
        Slice::of_bits(self.0)
    }
}

/// The bit of an entry's first word that says which lap it belongs to. It is the ring's.
pub const PHASE_BIT: u32 = 1 << 7;

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
    pub args: Args,
}

const BINARY: u32 = 1 << 4;
const ADVANCE: u32 = 1 << 5;
const META: u32 = 1 << 6;

impl Request {
    /// The entry of the ring.
    #[inline(always)]
    pub const fn to_entry(self) -> [u32; 4] {
        let Flags { binary, advance, meta } = self.flags;
        let flags = (binary as u32 * BINARY) | (advance as u32 * ADVANCE) | (meta as u32 * META);
        [self.kind as u32 | flags | self.id.0 << 8, self.handle, self.args.0 as u32, (self.args.0 >> 32) as u32]
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
            flags: Flags { binary: first & BINARY != 0, advance: first & ADVANCE != 0, meta: first & META != 0 },
            id: JobId::of_word(first),
            handle,
            args: Args(low as u64 | (high as u64) << 32),
        })
    }
}

/// A response: 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Whether a descriptor for this job id was sent over the socket before.
    pub has_object: bool,
    /// The client's number of the request.
    pub id: JobId,
    /// The answer.
    pub value: Value,
}

const OBJECT: u32 = 1;

impl Response {
    /// The entry of the ring.
    #[inline(always)]
    pub const fn to_entry(self) -> [u32; 3] {
        let flags = self.has_object as u32 * OBJECT;
        [flags | self.id.0 << 8, self.value.0 as u32, (self.value.0 >> 32) as u32]
    }

    /// The response in an entry of the ring. Every value is one.
    #[inline(always)]
    pub const fn from_entry([first, low, high]: [u32; 3]) -> Self {
        Self {
            has_object: first & OBJECT != 0,
            id: JobId::of_word(first),
            value: Value(low as u64 | (high as u64) << 32),
        }
    }
}

//! The two messages of the table: a request of 16 bytes and a response of 12.

use super::memory::Access;
use super::message::widths::{u4, u6, u24, u31};
use std::fmt;

crate::message! {
    /// What a client asks for.
    pub enum Kind: u4 {
        /// Bytes from an object: args [`AMOUNT`](Args::AMOUNT), answered with a [`SLICE`](Value::SLICE).
        Read,
        /// Bytes to an object: args [`SLICE`](Args::SLICE), answered with an [`AMOUNT`](Value::AMOUNT).
        Write,
        /// An object by name: args [`SLICE`](Args::SLICE) (the name), answered with a [`HANDLE`](Value::HANDLE).
        Open,
        /// The end of a handle. Its job id is 0, and there is no response.
        Close,
        /// A new object by name: as [`Open`](Self::Open). With the flag [`meta`](Flags::meta) the name may be taken.
        Create,
        /// Removes an object by name: args [`SLICE`](Args::SLICE), answered with an [`AMOUNT`](Value::AMOUNT) of 0.
        Destroy,
        /// Moves the position of a handle: args [`OFFSET`](Args::OFFSET), answered with a [`POSITION`](Value::POSITION).
        SeekStart,
        /// From where it is: args [`SIGNED_OFFSET`](Args::SIGNED_OFFSET), answered with a [`POSITION`](Value::POSITION).
        SeekCurrent,
        /// From the end: args [`SIGNED_OFFSET`](Args::SIGNED_OFFSET), answered with a [`POSITION`](Value::POSITION).
        SeekEnd,
        /// A memory object: args [`RANGE`](Args::RANGE), answered with an [`AMOUNT`](Value::AMOUNT) of 0 and the object.
        Share,
    }

    /// How.
    pub struct Flags {
        /// Bytes as they are, not as text for people.
        binary: bool,
        /// Moves the position of the handle past the bytes.
        advance: bool,
        /// What is known about the object, not what is in it. Of a [`Create`](Kind::Create): the name may be taken.
        meta: bool,
        /// For the ring: which lap the entry belongs to.
        phase: bool,
    }

    /// A number that the client gives a request, and finds in the response. 0 is for [`Kind::Close`] alone.
    pub alias JobId = u24;

    /// Bytes in blocks: one block, or a chain if they are longer. A length of 0 uses no block.
    pub struct Slice {
        /// The block, or the first list block of the chain.
        block: u32,
        /// How many bytes.
        length: u32,
    }

    /// Which part of an object to share, in pages of 4096 bytes.
    pub struct PageRange {
        /// To be written, too.
        is_writable: bool,
        /// The first page.
        first: u31,
        /// How many; 0 is all the rest.
        count: u32,
    }

    /// What a request is about.
    pub union Args: u64 {
        /// A position.
        OFFSET: u64,
        /// A distance.
        SIGNED_OFFSET: i64,
        /// The handle of an object.
        SHARE: u32,
        /// A name, or bytes to write.
        SLICE: Slice,
        /// How many bytes, at most.
        AMOUNT: u32,
        /// A part of an object.
        RANGE: PageRange,
    }

    /// A request: 16 bytes.
    pub struct Request {
        /// What is asked for.
        kind: Kind,
        /// How.
        flags: Flags,
        /// The client's number for it.
        id: JobId,
        /// The object; 0 where a name says which.
        handle: u32,
        /// The rest.
        args: Args,
    }

    /// The first byte of a response.
    pub struct ResponseFlags {
        /// A descriptor for this job id was sent over the socket before.
        has_object: bool,
        /// Not used: 0.
        reserved: u6,
        /// For the ring: which lap the entry belongs to.
        phase: bool,
    }

    /// What a response says.
    pub union Value: u64 {
        /// From [`ErrorCode::FIRST`] on: the request failed.
        ERROR: u64,
        /// Where the handle is now.
        POSITION: u64,
        /// The new handle.
        HANDLE: u32,
        /// How many bytes.
        AMOUNT: u32,
        /// The bytes.
        SLICE: Slice,
    }

    /// A response: 12 bytes.
    pub struct Response {
        /// The first byte.
        flags: ResponseFlags,
        /// The client's number of the request.
        id: JobId,
        /// The answer.
        value: Value,
    }
}

/// The bit of an entry's first word that says which lap it belongs to: bit 3 of a request's flags, bit 7 of a response's
/// first byte.
pub const PHASE_BIT: u32 = 1 << 7;

/// The unit of a [`PageRange`].
const PAGE_BYTES: u64 = 4096;

impl Flags {
    /// None of them.
    pub const NONE: Self = Self { binary: false, advance: false, meta: false, phase: false };
    /// The usual ones for bytes: as they are, and the position moves.
    pub const DATA: Self = Self { binary: true, advance: true, meta: false, phase: false };
    /// What is known about the object, as text.
    pub const META: Self = Self { binary: false, advance: false, meta: true, phase: false };
}

impl ResponseFlags {
    /// None of them.
    pub const NONE: Self = Self { has_object: false, reserved: u6::ZERO, phase: false };
}

impl Slice {
    /// No bytes, in no block.
    pub const EMPTY: Self = Self { block: 0, length: 0 };
}

impl PageRange {
    /// All of an object, to be read.
    pub const WHOLE: Self = Self { is_writable: false, first: u31::ZERO, count: 0 };

    /// The pages of a part in bytes; `None` if it does not lie on pages, or on more than can be named. A length of 0 is all
    /// the rest.
    pub fn of_bytes(start_bytes: u64, len_bytes: u64, access: Access) -> Option<Self> {
        let is_aligned = start_bytes.is_multiple_of(PAGE_BYTES) && len_bytes.is_multiple_of(PAGE_BYTES);
        let first = u31::new(start_bytes / PAGE_BYTES).filter(|_| is_aligned)?;
        let is_writable = access == Access::ReadWrite;
        Some(Self { is_writable, first, count: u32::try_from(len_bytes / PAGE_BYTES).ok()? })
    }

    /// Where the part starts.
    pub fn start_bytes(self) -> u64 {
        self.first.get() * PAGE_BYTES
    }

    /// How long it is; 0 for all the rest.
    pub fn len_bytes(self) -> u64 {
        u64::from(self.count) * PAGE_BYTES
    }
}

impl Request {
    /// The entry of the ring.
    #[inline(always)]
    pub fn to_entry(self) -> [u32; 4] {
        let [low, high] = self.to_words();
        [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
    }

    /// The request in an entry of the ring.
    ///
    /// # Errors
    ///
    /// [`UnknownValue`](super::message::UnknownValue) if its kind is not declared.
    #[inline(always)]
    pub fn from_entry(entry: [u32; 4]) -> Result<Self, super::message::UnknownValue> {
        let [a, b, c, d] = entry.map(u64::from);
        Self::from_words([a | b << 32, c | d << 32])
    }
}

impl Response {
    /// The entry of the ring.
    #[inline(always)]
    pub fn to_entry(self) -> [u32; 3] {
        let [low, high] = self.to_words();
        [low as u32, (low >> 32) as u32, high as u32]
    }

    /// The response in an entry of the ring. Every value is one.
    #[inline(always)]
    pub fn from_entry(entry: [u32; 3]) -> Self {
        let [a, b, c] = entry.map(u64::from);
        let empty = Self { flags: ResponseFlags::NONE, id: JobId::ZERO, value: Value::from_raw(0) };
        // Nothing in it is an enumeration, so that this cannot fail.
        Self::from_words([a | b << 32, c]).unwrap_or(empty)
    }
}

/// Why a table refused a request: the values of a response from [`FIRST`](Self::FIRST) on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(u16);

impl ErrorCode {
    /// The lowest value of a response that is an error: 0xFFFF_FFFF_FFFF_F000.
    pub const FIRST: u64 = 0xFFFF_FFFF_FFFF_F000;

    /// The table does not do that.
    pub const UNSUPPORTED: Self = Self(1);
    /// There is no object of that name.
    pub const NOT_FOUND: Self = Self(2);
    /// There is an object of that name already.
    pub const EXISTS: Self = Self(3);
    /// The name is none, or leads where it must not.
    pub const BAD_NAME: Self = Self(4);
    /// The handle is not, or no longer, one of this client's.
    pub const WRONG_HANDLE: Self = Self(5);
    /// The table has no room for another object.
    pub const TABLE_FULL: Self = Self(6);
    /// The table has no free blocks for this client: it has to drop views first.
    pub const OUT_OF_BLOCKS: Self = Self(7);
    /// More bytes than the object, or the table's memory, can hold.
    pub const TOO_LARGE: Self = Self(8);
    /// A part that does not begin and end on pages of the object.
    pub const UNALIGNED: Self = Self(9);
    /// Not allowed to this client.
    pub const DENIED: Self = Self(10);
    /// The object's own reading or writing failed.
    pub const IO: Self = Self(11);
    /// A position before the start, or one that does not fit.
    pub const BAD_POSITION: Self = Self(12);
    /// Another program holds the object.
    pub const BUSY: Self = Self(13);
    /// There is no room for the bytes.
    pub const NO_SPACE: Self = Self(14);

    /// A code of the table's own, below 4096; `None` if it is not.
    pub const fn new(number: u16) -> Option<Self> {
        if number < 0x1000 { Some(Self(number)) } else { None }
    }

    /// Its number, below 4096.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The response that says so.
    #[inline]
    pub fn value(self) -> Value {
        Value::from_raw(Self::FIRST | u64::from(self.0))
    }

    /// The error in a response, if it is one.
    #[inline(always)]
    pub const fn of(value: Value) -> Option<Self> {
        if value.raw() >= Self::FIRST { Some(Self((value.raw() & 0xFFF) as u16)) } else { None }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::UNSUPPORTED => "the table does not do that: nothing was changed; ask for what it documents",
            Self::NOT_FOUND => "there is no object of that name: nothing was opened; check the name, or create it",
            Self::EXISTS => {
                "there is an object of that name already: nothing was created; open it, or destroy it first"
            }
            Self::BAD_NAME => "the name is not one that the table serves: nothing was done; use a plain relative name",
            Self::WRONG_HANDLE => "the handle is not, or no longer, open: nothing was done; open the object again",
            Self::TABLE_FULL => "the table has no room for another object: nothing was opened; close one first",
            Self::OUT_OF_BLOCKS => {
                "the table has no free blocks for this client: nothing was done; drop views, or ask for less at once"
            }
            Self::TOO_LARGE => {
                "more bytes than the table, or the object, can take: nothing was done; ask for less at once, or make the \
                 object shorter"
            }
            Self::UNALIGNED => {
                "the part does not lie on pages of the object: nothing was shared; align its start and length to 4096"
            }
            Self::DENIED => "the table does not allow that: nothing was done; ask its operator",
            Self::IO => "the object could not be read or written: what was done is unknown; look at the table's side",
            Self::BAD_POSITION => "a position before the start: the handle stays where it was; seek to 0 or beyond",
            Self::BUSY => "another program holds the object: nothing was opened; try again later",
            Self::NO_SPACE => {
                "there is no room for the bytes where the table keeps them: they are not there as a whole; make room"
            }
            Self(number) => return write!(f, "error {number} of the table's own: see its documentation"),
        })
    }
}

impl std::error::Error for ErrorCode {}

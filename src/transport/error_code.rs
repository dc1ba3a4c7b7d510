//! Why a table refused a request.

#![forbid(unsafe_code)]

use super::request::Value;
use std::fmt;

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
        Value(Self::FIRST | u64::from(self.0))
    }

    /// The error in a response, if it is one.
    #[inline(always)]
    pub const fn of(value: Value) -> Option<Self> {
        if value.0 >= Self::FIRST { Some(Self((value.0 & 0xFFF) as u16)) } else { None }
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

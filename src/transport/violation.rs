//! Numbers that cannot be: what a peer can do against the protocol, as values, each of which ends its own session and nothing
//! else; and what no session can have.

#![forbid(unsafe_code)]

use std::fmt;

/// What the other side did that no honest side does. What is in a variant is what it sent, and what it could have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "what is in a variant is said where the variant is")]
pub enum Violation {
    /// A ring's head that is beyond `tail`, where this side writes next, or behind its previous value.
    Head { claimed: u32, previous: u32, tail: u32 },
    /// A kind of request that is not declared.
    Kind { kind: u32 },
    /// The job id 0 on a request that wants a response, or another one on one that wants none.
    JobId { id: u32 },
    /// A response to a request that is not waiting for one.
    NoSuchJob { id: u32 },
    /// A block index beyond the region, which has so many.
    Block { block: u32, count: u32 },
    /// A block that is in use already: named twice, a chain that bites its tail, a free list with a cycle.
    BlockTwice { block: u32 },
    /// More bytes than the region holds, in so many blocks.
    Length { length: u32, count: u32 },
    /// Credits that a stream cannot have, or a message without one.
    Credits { found: u32, most: u32 },
    /// Requests and credits for more responses than the ring has room for.
    NoRoom,
    /// More bytes in an entry than it has room for.
    Room { length: u32, room_bytes: u32 },
    /// A response with more than was asked for.
    MoreThanAsked { got: u64, asked: u64 },
    /// A block given back that this side does not hold.
    NotHeld { block: u32 },
    /// A free list that changes under every attempt to use it.
    FreeListRestless { attempts: u32 },
    /// A response that promises an object which did not come, for that job.
    NoObject { id: u32 },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Head { claimed, previous, tail } => {
                write!(f, "a ring's head of {claimed} where {previous} to {tail} is possible")
            }
            Self::Kind { kind } => write!(f, "a request of unknown kind {kind}"),
            Self::JobId { id } => write!(f, "the job id {id} on a request that cannot have it"),
            Self::NoSuchJob { id } => write!(f, "a response to job {id}, which is not waiting for one"),
            Self::Block { block, count } => write!(f, "block {block} of a region that has {count}"),
            Self::BlockTwice { block } => write!(f, "block {block} in use twice"),
            Self::Length { length, count } => write!(f, "{length} bytes in a region of {count} blocks"),
            Self::Credits { found, most } => write!(f, "{found} credits of a stream where at most {most} are possible"),
            Self::NoRoom => f.write_str("requests for more responses than the ring has room for"),
            Self::Room { length, room_bytes } => {
                write!(f, "{length} bytes in an entry that has room for {room_bytes}")
            }
            Self::MoreThanAsked { got, asked } => write!(f, "a response of {got} where at most {asked} was asked for"),
            Self::NotHeld { block } => write!(f, "block {block} given back, which was not handed out"),
            Self::FreeListRestless { attempts } => {
                write!(f, "a free list that changed under each of {attempts} attempts")
            }
            Self::NoObject { id } => write!(f, "an object promised for job {id}, which did not come"),
        }?;
        f.write_str(": the other side breaks the protocol, its session ends; connect again, and do not trust it more")
    }
}

impl std::error::Error for Violation {}

/// A number that no session, ring or region of blocks can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeometryError {
    /// What it counts, and what is allowed.
    pub what: &'static str,
    /// The number.
    pub found: u64,
}

impl GeometryError {
    /// The number as a length, if it is right.
    pub(super) fn unless(is_right: bool, what: &'static str, found: u64) -> Result<usize, Self> {
        usize::try_from(found).ok().filter(|_| is_right).ok_or(Self { what, found })
    }
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found } = self;
        write!(f, "{found} {what}: there is no session; change the server's geometry or this side's limits")
    }
}

impl std::error::Error for GeometryError {}

//! What a peer can do against the protocol, as values: each ends its own session and nothing else.

use std::fmt;

/// What the other side did that no honest side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A ring's tail that claims more entries than the ring holds, or goes back.
    Tail {
        /// What it wrote.
        claimed: u32,
        /// Where this side reads next.
        head: u32,
        /// Entries of the ring.
        capacity: u32,
    },
    /// A ring's head that is beyond what was written, or goes back.
    Head {
        /// What it wrote.
        claimed: u32,
        /// Its last value.
        previous: u32,
        /// Where this side writes next.
        tail: u32,
    },
    /// A kind of request that is not declared.
    Kind {
        /// What it sent.
        kind: u32,
    },
    /// The job id 0 on a request that wants a response, or another one on one that wants none.
    JobId {
        /// What it sent.
        id: u32,
    },
    /// A response to a request that is not waiting for one.
    NoSuchJob {
        /// What it sent.
        id: u32,
    },
    /// A block index beyond the region.
    Block {
        /// What it sent.
        block: u32,
        /// Blocks of the region.
        count: u32,
    },
    /// A block that is in use already: named twice, a chain that bites its tail, a free list with a cycle.
    BlockTwice {
        /// The block.
        block: u32,
    },
    /// More bytes than the region holds.
    Length {
        /// What it sent, in bytes.
        length: u32,
        /// Blocks of the region.
        count: u32,
    },
    /// Credits that a stream cannot have, or a message without one.
    Credits {
        /// How many.
        found: u32,
        /// The most that are possible.
        most: u32,
    },
    /// Requests and credits for more responses than the ring has room for.
    NoRoom,
    /// More bytes in an entry than it has room for.
    Room {
        /// What it sent, in bytes.
        length: u32,
        /// What there is room for.
        room_bytes: u32,
    },
    /// A response with more than was asked for.
    MoreThanAsked {
        /// What it sent.
        got: u64,
        /// What was asked for.
        asked: u64,
    },
    /// A block given back that this side does not hold.
    NotHeld {
        /// The block.
        block: u32,
    },
    /// A free list that changes under every attempt to use it.
    FreeListRestless {
        /// How many attempts were made.
        attempts: u32,
    },
    /// A response that promises an object which did not come.
    NoObject {
        /// The job id.
        id: u32,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Tail { claimed, head, capacity } => {
                write!(f, "a ring's tail of {claimed} where {head} to {head} + {capacity} is possible")
            }
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

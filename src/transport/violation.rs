//! Numbers that cannot be: what a peer can do against the protocol, as values, each of which ends its own session and nothing
//! else; and what no session can have.

#![forbid(unsafe_code)]

use super::error::errors;
use std::fmt;

/// What follows from each of them, and what to do.
const END: &str = "the other side breaks the protocol, its session ends; connect again, and do not trust it more";

errors! {
    /// What the other side did that no honest side does. What is in a variant is what it sent, and what it could have sent.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Violation {
        /// A ring's head that is beyond `tail`, where this side writes next, or behind its previous value.
        Head { claimed: u32, previous: u32, tail: u32 } =>
            "a ring's head of {claimed} where {previous} to {tail} is possible: {END}";
        /// A kind of request that is not declared.
        Kind { kind: u32 } => "a request of unknown kind {kind}: {END}";
        /// The job id 0 on a request that wants a response, or another one on one that wants none.
        JobId { id: u32 } => "the job id {id} on a request that cannot have it: {END}";
        /// A response to a request that is not waiting for one.
        NoSuchJob { id: u32 } => "a response to job {id}, which is not waiting for one: {END}";
        /// A block index beyond the region, which has so many.
        Block { block: u32, count: u32 } => "block {block} of a region that has {count}: {END}";
        /// A block that is in use already: named twice, a chain that bites its tail, a free list with a cycle.
        BlockTwice { block: u32 } => "block {block} in use twice: {END}";
        /// More bytes than the region holds, in so many blocks.
        Length { length: u32, count: u32 } => "{length} bytes in a region of {count} blocks: {END}";
        /// Credits that a stream cannot have, or a message without one.
        Credits { found: u32, most: u32 } => "{found} credits of a stream where at most {most} are possible: {END}";
        /// Requests and credits for more responses than the ring has room for.
        NoRoom => "requests for more responses than the ring has room for: {END}";
        /// More bytes in an entry than it has room for.
        Room { length: u32, room_bytes: u32 } => "{length} bytes in an entry that has room for {room_bytes}: {END}";
        /// A response with more than was asked for.
        MoreThanAsked { got: u64, asked: u64 } => "a response of {got} where at most {asked} was asked for: {END}";
        /// A block given back that this side does not hold.
        NotHeld { block: u32 } => "block {block} given back, which was not handed out: {END}";
        /// A free list that changes under every attempt to use it.
        FreeListRestless { attempts: u32 } => "a free list that changed under each of {attempts} attempts: {END}";
        /// A response that promises an object which did not come, for that job.
        NoObject { id: u32 } => "an object promised for job {id}, which did not come: {END}";
    }
}

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

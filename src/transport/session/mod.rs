//! One session, without an operating system: what each side does with the memory that the two share.
//!
//! [`ServerSide`] and [`ClientSide`] hold all the rules. They are generic over [`Memory`], wait for nothing and call
//! nothing, so that tests can put any memory under them. [`Table`](super::Table) and [`Client`](super::Client) add the
//! sockets, the regions and the waiting.

mod client_side;
mod layout;
mod outcome;
mod server_side;

pub use client_side::{ClientSide, Ticket};
pub use layout::{QueueLayout, data_bytes, lay_out_shared};
pub use outcome::{AnswerError, Outcome, Reply, SubmitError};
pub use server_side::{Incoming, JobKey, ServerSide};

use super::blocks::{Allocate, AllocateError, BlockGeometry, Marks, Owned, Shared};
use super::geometry::{Allocator, Blocks, Geometry, GeometryError};
use super::memory::Memory;
use super::violation::Violation;

/// The allocator that a session uses: one or the other.
#[derive(Debug)]
enum Pool<M: Memory> {
    Owned(Owned),
    Shared(Shared<M>),
}

impl<M: Memory> Pool<M> {
    /// The allocator of a side whose own blocks, or the shared ones, are in `data`.
    fn new(geometry: &Geometry, blocks: BlockGeometry, data: M) -> Self {
        match geometry.allocator {
            Allocator::Owned => Self::Owned(Owned::new(blocks)),
            Allocator::Shared => Self::Shared(Shared::new(data, layout::free_list(blocks), blocks)),
        }
    }

    /// Marks of the blocks that came from the other side: `foreign`, or if both take from one list, the list's own.
    #[inline(always)]
    fn marks<'a>(&'a mut self, foreign: &'a mut Marks) -> &'a mut Marks {
        match self {
            Self::Owned(_) => foreign,
            Self::Shared(shared) => shared.held(),
        }
    }
}

impl<M: Memory> Allocate for Pool<M> {
    #[inline]
    fn allocate(&mut self, count: u32, blocks: &mut Vec<u32>) -> Result<(), AllocateError> {
        match self {
            Self::Owned(owned) => owned.allocate(count, blocks),
            Self::Shared(shared) => shared.allocate(count, blocks),
        }
    }

    #[inline]
    fn allocate_one(&mut self) -> Result<u32, AllocateError> {
        match self {
            Self::Owned(owned) => owned.allocate_one(),
            Self::Shared(shared) => shared.allocate_one(),
        }
    }

    #[inline]
    fn free(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        match self {
            Self::Owned(owned) => owned.free(blocks),
            Self::Shared(shared) => shared.free(blocks),
        }
    }
}

/// The blocks of a checked geometry.
fn block_geometry(blocks: Blocks) -> Result<BlockGeometry, GeometryError> {
    BlockGeometry::new(blocks.block_bytes, blocks.count).map_err(|_| GeometryError {
        what: "bytes in all blocks, which no region can be cut into",
        found: blocks.total_bytes(),
    })
}

/// How many chains a side keeps for the next ones.
const SPARE_CHAINS: usize = 64;

/// Refuses regions that are too short for what is to be in them.
fn check_lengths<M: Memory>(
    geometry: &Geometry,
    layout: &QueueLayout,
    queue: &M,
    client_data: &M,
    server_data: &M,
) -> Result<(), GeometryError> {
    let too_short =
        |found: usize| GeometryError { what: "bytes in a region, too few for the session", found: found as u64 };
    let client_bytes = data_bytes(geometry.client_blocks, geometry.allocator)?;
    let server_bytes = data_bytes(geometry.server_blocks, geometry.allocator)?;
    for (memory, wanted_bytes) in [(queue, layout.len_bytes), (client_data, client_bytes), (server_data, server_bytes)]
    {
        if memory.len_bytes() < wanted_bytes {
            return Err(too_short(memory.len_bytes()));
        }
    }
    Ok(())
}

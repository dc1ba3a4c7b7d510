//! The two directions of a session's bytes, as one side has them: the blocks that it sends from, and those that it receives.

use crate::transport::blocks::{Allocate, AllocateError, BlockMemory, Marks, Owned, Shared};
use crate::transport::chain::Chain;
use crate::transport::geometry::{Allocator, Blocks, GeometryError};
use crate::transport::memory::Memory;
use crate::transport::request::Slice;
use crate::transport::ring::Consumer;
use crate::transport::violation::Violation;

/// How many chains a side keeps for the next ones.
const SPARE_CHAINS: usize = 64;

/// The allocator that a session uses: one or the other.
#[derive(Debug)]
pub(super) enum Pool<M: Memory> {
    Owned(Owned),
    Shared(Shared<M>),
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

/// The blocks that a side sends from, and chains for the next bytes in either direction.
#[derive(Debug)]
pub(super) struct Sending<M: Memory> {
    pub(super) place: BlockMemory<M>,
    pub(super) pool: Pool<M>,
    /// The longest bytes that travel in an entry.
    pub(super) room_bytes: u32,
    spare: Vec<Chain>,
}

impl<M: Memory + Clone> Sending<M> {
    /// All of them free; with a shared list, as it is.
    pub(super) fn new(allocator: Allocator, blocks: Blocks, memory: M, room_bytes: u32) -> Result<Self, GeometryError> {
        let place = BlockMemory::new(memory.clone(), blocks)?;
        let pool = match allocator {
            Allocator::Owned => Pool::Owned(Owned::new(blocks)),
            Allocator::Shared => Pool::Shared(Shared::new(memory, super::layout::free_list(blocks), blocks)),
        };
        Ok(Self { place, pool, room_bytes, spare: Vec::new() })
    }
}

impl<M: Memory> Sending<M> {
    /// A chain of no blocks.
    #[inline(always)]
    pub(super) fn empty_chain(&mut self) -> Chain {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes blocks for `length` bytes, or memory of its own for those that travel in an entry.
    #[inline(always)]
    pub(super) fn allocate(&mut self, length: u32) -> Result<Chain, AllocateError> {
        let mut chain = self.empty_chain();
        if (1..=self.room_bytes).contains(&length) {
            chain.hold(length);
            return Ok(chain);
        }
        match chain.allocate(&self.place, &mut self.pool, length) {
            Ok(()) => Ok(chain),
            Err(error) => {
                self.keep(chain);
                Err(error)
            }
        }
    }

    /// Gives blocks back that the other side is done with.
    #[inline(always)]
    pub(super) fn free(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        self.pool.free(blocks)?;
        if let [block] = *blocks {
            // The next short transfer takes it again.
            self.place.memory().prefetch_to_write(self.place.blocks().block_at(block));
        }
        Ok(())
    }

    /// Gives blocks back that were allocated and not sent.
    pub(super) fn give_back(&mut self, chain: Chain) {
        // They are this side's own: the list can only refuse them if the other side spoils it, and then the next call says so.
        let _ = self.pool.free(chain.blocks());
        self.keep(chain);
    }

    /// Keeps a chain whose blocks are given up, for the next one.
    #[inline(always)]
    pub(super) fn keep(&mut self, mut chain: Chain) {
        if chain.has_memory() && self.spare.len() < SPARE_CHAINS {
            chain.clear();
            self.spare.push(chain);
        }
    }
}

/// The blocks that a side receives, and which of them it holds. Where both take from one list, that says what it holds.
#[derive(Debug)]
pub(super) struct Receiving<M> {
    pub(super) place: BlockMemory<M>,
    marks: Marks,
}

impl<M: Memory> Receiving<M> {
    /// It holds none of them.
    pub(super) fn new(allocator: Allocator, blocks: Blocks, memory: M) -> Result<Self, GeometryError> {
        let place = BlockMemory::new(memory, blocks)?;
        let marks = Marks::new(if allocator == Allocator::Owned { blocks.count } else { 0 });
        Ok(Self { place, marks })
    }

    /// Makes `chain` the one that the message names which was popped last from `ring`, and holds it.
    #[inline(always)]
    pub(super) fn resolve<const WORDS: usize>(
        &mut self,
        own: &mut Pool<M>,
        ring: &Consumer<M, WORDS>,
        chain: &mut Chain,
        slice: Slice,
    ) -> Result<(), Violation> {
        if slice.is_inline() {
            return chain.receive(ring, slice.length);
        }
        let Self { place, marks } = self;
        chain.resolve(place, held(own, marks), slice)
    }

    /// Holds these blocks no more.
    #[inline(always)]
    pub(super) fn give_up(&mut self, own: &mut Pool<M>, blocks: &[u32]) -> Result<(), Violation> {
        let marks = held(own, &mut self.marks);
        match *blocks {
            [] => Ok(()),
            [block] => marks.clear(block),
            _ => marks.clear_all(blocks),
        }
    }
}

/// Marks of the blocks that came from the other side: `foreign`, or if both take from one list, the list's own.
#[inline(always)]
fn held<'a, M: Memory>(own: &'a mut Pool<M>, foreign: &'a mut Marks) -> &'a mut Marks {
    match own {
        Pool::Owned(_) => foreign,
        Pool::Shared(shared) => shared.held(),
    }
}

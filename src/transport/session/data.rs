//! The blocks of a session as one side has them: those that it sends from, and those that it receives.

use crate::transport::blocks::{AllocateError, BlockMemory, Marks, Pool};
use crate::transport::chain::Chain;
use crate::transport::geometry::{Allocator, Blocks, GeometryError};
use crate::transport::memory::{Copier, Memory};
use crate::transport::request::Slice;
use crate::transport::ring::Consumer;
use crate::transport::violation::Violation;

/// How many chains a side keeps for the next ones.
const SPARE_CHAINS: usize = 64;

/// The blocks of both directions, and chains for the next bytes in either.
#[derive(Debug)]
pub struct Data<M: Memory> {
    /// Those that this side sends from.
    pub own: BlockMemory<M>,
    /// Those that it receives.
    pub theirs: BlockMemory<M>,
    pub(in crate::transport) pool: Pool<M>,
    /// Which of theirs this side holds. Where both take from one list, the pool says that.
    received: Marks,
    /// The longest bytes that travel in an entry.
    pub(super) room_bytes: u32,
    spare: Vec<Chain>,
}

impl<M: Memory + Clone> Data<M> {
    /// All of this side's own are free, and none of the other side's held; with a shared list, as it is.
    pub(super) fn new(
        allocator: Allocator,
        (own, own_memory): (Blocks, M),
        (theirs, their_memory): (Blocks, M),
        room_bytes: u32,
    ) -> Result<Self, GeometryError> {
        super::check_length(&own_memory, super::data_bytes(own, allocator)?)?;
        super::check_length(&their_memory, super::data_bytes(theirs, allocator)?)?;
        let (pool, received) = match allocator {
            Allocator::Owned => (Pool::owned(own), theirs.count),
            Allocator::Shared => (Pool::shared(own_memory.clone(), super::layout::free_list(own), own), 0),
        };
        Ok(Self {
            own: BlockMemory::new(own_memory, own)?,
            theirs: BlockMemory::new(their_memory, theirs)?,
            pool,
            received: Marks::new(received),
            room_bytes,
            spare: Vec::new(),
        })
    }

    /// Whether so many bytes travel in an entry, and need no blocks.
    #[inline(always)]
    pub fn fits(&self, len_bytes: usize) -> bool {
        len_bytes <= self.room_bytes as usize
    }

    /// Takes blocks for `length` bytes to be sent, or memory of this side's own for those that [fit](Self::fits) into an entry.
    ///
    /// # Errors
    ///
    /// [`AllocateError::OutOfBlocks`] if there are not as many.
    #[inline(always)]
    pub fn allocate(&mut self, length: u32) -> Result<Chain, AllocateError> {
        let mut chain = self.spare.pop().unwrap_or_default();
        if (1..=self.room_bytes).contains(&length) {
            chain.hold(length);
            return Ok(chain);
        }
        if let Err(error) = chain.allocate(&self.own, &mut self.pool, length) {
            self.keep(chain);
            return Err(error);
        }
        Ok(chain)
    }

    /// Gives blocks back that the other side is done with.
    #[inline(always)]
    pub(super) fn free(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        self.pool.free(blocks)?;
        if let [block] = *blocks {
            // The next short transfer takes it again.
            self.own.memory().prefetch(self.own.blocks().block_at(block), true);
        }
        Ok(())
    }

    /// Gives blocks back that were allocated and not sent.
    pub fn give_back(&mut self, chain: Chain) {
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

    /// Makes `chain` the one that the message names which was popped last from `ring`, and holds it.
    #[inline(always)]
    pub(super) fn resolve<const WORDS: usize>(
        &mut self,
        ring: &Consumer<M, WORDS>,
        chain: &mut Chain,
        slice: Slice,
    ) -> Result<(), Violation> {
        if slice.is_inline() {
            let bytes = chain.hold(slice.length);
            return ring.take_bytes(slice.length, bytes, Copier::AUTO).inspect_err(|_| chain.clear());
        }
        let marks = if self.pool.is_shared() { &mut self.pool.held } else { &mut self.received };
        chain.resolve(&self.theirs, marks, slice)
    }

    /// The chain that the message names which was popped last from `ring`, held from now on.
    #[inline(always)]
    pub(super) fn receive<const WORDS: usize>(
        &mut self,
        ring: &Consumer<M, WORDS>,
        slice: Slice,
    ) -> Result<Chain, Violation> {
        let mut chain = if slice.length > 0 { self.spare.pop().unwrap_or_default() } else { Chain::EMPTY };
        self.resolve(ring, &mut chain, slice)?;
        Ok(chain)
    }

    /// Holds these blocks of the other side's no more.
    #[inline(always)]
    pub(super) fn give_up(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        let marks = if self.pool.is_shared() { &mut self.pool.held } else { &mut self.received };
        marks.clear_all(blocks)
    }
}

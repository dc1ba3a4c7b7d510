//! Blocks of memory that this side alone writes, on its own account.
//!
//! The account is private: a stack of free blocks, and a mark on each that is taken. The last ones given back are the
//! first to be taken again, while they are in the caches, and in the order they had, so that neighbours stay neighbours.

use super::{Allocate, AllocateError, Marks};
use crate::transport::geometry::Blocks;
use crate::transport::violation::Violation;

/// The allocator of a region that this side alone writes.
#[derive(Clone, Debug)]
pub struct Owned {
    /// Blocks that were given back.
    free: Vec<u32>,
    /// The first block that was never taken: of a large region only what is used costs memory.
    fresh: u32,
    count: u32,
    taken: Marks,
}

impl Owned {
    /// All blocks are free.
    pub fn new(blocks: Blocks) -> Self {
        let count = blocks.count;
        Self { free: Vec::new(), fresh: 0, count, taken: Marks::new(count) }
    }

    /// How many blocks are free.
    pub fn free_blocks(&self) -> u32 {
        self.free.len() as u32 + (self.count - self.fresh)
    }

    #[inline(always)]
    fn take_fresh(&mut self) -> Option<u32> {
        let block = self.fresh;
        if block == self.count {
            return None;
        }
        self.fresh += 1;
        Some(block)
    }
}

impl Allocate for Owned {
    #[inline]
    fn allocate(&mut self, count: u32, blocks: &mut Vec<u32>) -> Result<(), AllocateError> {
        if count > self.free_blocks() {
            return Err(AllocateError::OutOfBlocks);
        }
        let start = blocks.len();
        let rest = self.free.len().saturating_sub(count as usize);
        blocks.extend(self.free.drain(rest..).rev());
        while blocks.len() - start < count as usize
            && let Some(block) = self.take_fresh()
        {
            blocks.push(block);
        }
        for &block in &blocks[start..] {
            self.taken.mark(block)?;
        }
        Ok(())
    }

    #[inline]
    fn allocate_one(&mut self) -> Result<u32, AllocateError> {
        let block = self.free.pop().or_else(|| self.take_fresh()).ok_or(AllocateError::OutOfBlocks)?;
        self.taken.mark(block)?;
        Ok(block)
    }

    #[inline]
    fn free(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        for &block in blocks.iter().rev() {
            self.taken.clear(block)?;
            self.free.push(block);
        }
        Ok(())
    }
}

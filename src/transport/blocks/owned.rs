//! Blocks of memory that this side alone writes, on its own account.
//!
//! The account is private: a stack of free blocks, and a mark on each that is taken. The last ones given back are the
//! first to be taken again, while they are in the caches, and in the order they had, so that neighbours stay neighbours.

use super::{Allocate, AllocateError, BlockGeometry, Marks};
use crate::transport::violation::Violation;

/// The allocator of a region that this side alone writes.
#[derive(Clone, Debug)]
pub struct Owned {
    free: Vec<u32>,
    taken: Marks,
}

impl Owned {
    /// All blocks are free.
    pub fn new(geometry: BlockGeometry) -> Self {
        Self { free: (0..geometry.count()).rev().collect(), taken: Marks::new(geometry.count()) }
    }

    /// How many blocks are free.
    pub fn free_blocks(&self) -> u32 {
        self.free.len() as u32
    }
}

impl Allocate for Owned {
    #[inline]
    fn allocate(&mut self, count: u32, blocks: &mut Vec<u32>) -> Result<(), AllocateError> {
        let rest = self.free.len().checked_sub(count as usize).ok_or(AllocateError::OutOfBlocks)?;
        for block in self.free.drain(rest..).rev() {
            self.taken.mark(block)?;
            blocks.push(block);
        }
        Ok(())
    }

    #[inline]
    fn allocate_one(&mut self) -> Result<u32, AllocateError> {
        let block = self.free.pop().ok_or(AllocateError::OutOfBlocks)?;
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

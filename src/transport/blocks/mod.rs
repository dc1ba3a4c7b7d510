//! Blocks of equal size in a data region, and which side has which.
//!
//! A [`Pool`] is this side's alone, over memory that this side alone can write: nothing that the other side does can disturb
//! it. Or it takes from a lock-free list that both sides take from and give back to. The difference is the price of trust.

mod pool;

pub(crate) use pool::payloads_at_rest;
pub use pool::{FreeList, Pool};

use super::error::causes;
use super::geometry::{Blocks, GeometryError};
use super::violation::Violation;

/// The blocks of a region: its memory, and how it is cut.
#[derive(Clone, Debug)]
pub struct BlockMemory<M> {
    memory: M,
    blocks: Blocks,
}

impl<M> BlockMemory<M> {
    /// The blocks of that memory.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] if none can be cut so.
    pub fn new(memory: M, blocks: Blocks) -> Result<Self, GeometryError> {
        blocks.check()?;
        Ok(Self { memory, blocks })
    }

    /// The memory that they are in.
    #[inline(always)]
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// How it is cut.
    #[inline(always)]
    pub const fn blocks(&self) -> Blocks {
        self.blocks
    }
}

/// Why no blocks were allocated. What had been taken so far is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocateError {
    /// There are not as many.
    OutOfBlocks,
    /// The other side spoiled the list.
    Violation(Violation),
}

causes! { AllocateError { Violation(Violation) } }

/// One bit for each block of a region: held by this side, or not. Private memory.
///
/// A block that there is not is a [`Violation::Block`], one that is marked already a [`Violation::BlockTwice`], and one from which a
/// mark is taken that it has not a [`Violation::NotHeld`]; of several blocks the first of these.
#[derive(Clone, Debug)]
pub struct Marks {
    words: Vec<u64>,
    count: u32,
}

impl Marks {
    /// No block is marked.
    pub fn new(count: u32) -> Self {
        Self { words: vec![0; count.div_ceil(64) as usize], count }
    }

    /// Marks a block.
    #[inline(always)]
    pub fn mark(&mut self, block: u32) -> Result<(), Violation> {
        self.change::<true>(block)
    }

    /// Takes the mark from a block.
    #[inline(always)]
    pub fn clear(&mut self, block: u32) -> Result<(), Violation> {
        self.change::<false>(block)
    }

    #[inline(always)]
    fn change<const MARK: bool>(&mut self, block: u32) -> Result<(), Violation> {
        let bit = 1 << (block % 64);
        match self.words.get_mut((block / 64) as usize) {
            Some(word) if block < self.count && (*word & bit != 0) != MARK => {
                *word ^= bit;
                Ok(())
            }
            _ => Err(self.refusal::<MARK>(block)),
        }
    }

    /// Marks all of these blocks, or on an error none.
    #[inline(always)]
    pub fn mark_all(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        self.change_all::<true>(blocks).map_err(|(done, violation)| {
            // They were marked just now.
            let _ = self.change_all::<false>(&blocks[..done]);
            violation
        })
    }

    /// Takes the marks from all of these blocks; on an error those before it have lost theirs.
    #[inline(always)]
    pub fn clear_all(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        match *blocks {
            [block] => self.clear(block),
            _ => self.change_all::<false>(blocks).map_err(|(_, violation)| violation),
        }
    }

    /// Neighbours have their marks in one word, which stays in a register while they follow each other. With an error: how
    /// many were changed before it.
    #[inline(always)]
    fn change_all<const MARK: bool>(&mut self, blocks: &[u32]) -> Result<(), (usize, Violation)> {
        let mut done = 0;
        while let Some(&first) = blocks.get(done) {
            let (start, base) = (done, first & !63);
            if let Some(word) = self.words.get_mut((first / 64) as usize) {
                let (mut bits, count) = (*word, 64.min(self.count - base));
                for &block in &blocks[start..] {
                    let place = block.wrapping_sub(base);
                    if place >= count || (bits >> place & 1 != 0) == MARK {
                        break;
                    }
                    bits ^= 1 << place;
                    done += 1;
                }
                *word = bits;
            }
            if done == start {
                return Err((done, self.refusal::<MARK>(first)));
            }
        }
        Ok(())
    }

    #[cold]
    fn refusal<const MARK: bool>(&self, block: u32) -> Violation {
        match MARK {
            _ if block >= self.count => Violation::Block { block, count: self.count },
            true => Violation::BlockTwice { block },
            false => Violation::NotHeld { block },
        }
    }
}

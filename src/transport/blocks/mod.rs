//! Blocks of equal size in a data region, and which side has which.
//!
//! Two allocators stand behind one interface ([`Allocate`]). [`Shared`] is a lock-free list that both sides take from and
//! give back to. [`Owned`] is this side's alone, over memory that this side alone can write: nothing that the other side
//! does can disturb it. The difference between the two is the price of trust.

mod owned;
mod place;
mod shared;

pub use super::geometry_error::GeometryError;
pub use owned::Owned;
pub use place::BlockMemory;
pub use shared::{FreeList, Shared};

use super::violation::Violation;

/// The size and the number of the blocks of a region. Comes from the handshake, never from shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockGeometry {
    block_bytes: u32,
    count: u32,
}

impl BlockGeometry {
    /// The smallest block: a list block needs two entries of 4 bytes, or a chain would never end.
    pub const MIN_BLOCK_BYTES: u32 = 8;
    /// The largest block.
    pub const MAX_BLOCK_BYTES: u32 = 1 << 30;
    /// Most blocks of a region.
    pub const MAX_COUNT: u32 = 1 << 30;

    /// `count` blocks of `block_bytes` each.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] unless the size is a power of two from 8 bytes to 1 GiB and there is at least one block, and not
    /// more than fit into this process.
    pub const fn new(block_bytes: u32, count: u32) -> Result<Self, GeometryError> {
        let is_size = block_bytes.is_power_of_two()
            && block_bytes >= Self::MIN_BLOCK_BYTES
            && block_bytes <= Self::MAX_BLOCK_BYTES;
        if !is_size {
            let what = "bytes in a block (a power of two from 8 to 2^30, so that chains can be built of them)";
            return Err(GeometryError { what, found: block_bytes as u64 });
        }
        let fits = count as u64 <= isize::MAX as u64 / block_bytes as u64;
        if count == 0 || count > Self::MAX_COUNT || !fits {
            let what = "blocks of a region (1 to 2^30, and no more than the address space holds)";
            return Err(GeometryError { what, found: count as u64 });
        }
        Ok(Self { block_bytes, count })
    }

    /// The size of a block in bytes.
    #[inline(always)]
    pub const fn block_bytes(self) -> u32 {
        self.block_bytes
    }

    /// How many blocks there are.
    #[inline(always)]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The size of the region in bytes.
    #[inline(always)]
    pub const fn region_bytes(self) -> usize {
        self.block_bytes as usize * self.count as usize
    }

    /// The offset of a block in the region.
    #[inline(always)]
    pub const fn block_at(self, block: u32) -> usize {
        block as usize * self.block_bytes as usize
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

impl From<Violation> for AllocateError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// Takes blocks and gives them back.
pub trait Allocate {
    /// Takes `count` blocks and adds them to `blocks`: all, or on an error none.
    ///
    /// # Errors
    ///
    /// [`AllocateError`] if there are not as many, or if the other side spoiled the list.
    fn allocate(&mut self, count: u32, blocks: &mut Vec<u32>) -> Result<(), AllocateError>;

    /// Takes one block.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate).
    fn allocate_one(&mut self) -> Result<u32, AllocateError>;

    /// Gives blocks back that this side holds.
    ///
    /// # Errors
    ///
    /// [`Violation::NotHeld`] or [`Violation::Block`] for one that this side does not hold; how many of the others were
    /// given back is not said.
    fn free(&mut self, blocks: &[u32]) -> Result<(), Violation>;
}

/// One bit for each block of a region: held by this side, or not. Private memory.
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
    ///
    /// # Errors
    ///
    /// [`Violation::Block`] if there is no such block, [`Violation::BlockTwice`] if it is marked already.
    #[inline(always)]
    pub fn mark(&mut self, block: u32) -> Result<(), Violation> {
        self.change::<true>(block)
    }

    /// Takes the mark from a block.
    ///
    /// # Errors
    ///
    /// [`Violation::Block`] if there is no such block, [`Violation::NotHeld`] if it is not marked.
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
    ///
    /// # Errors
    ///
    /// As [`mark`](Self::mark), of the first that cannot be marked.
    #[inline(always)]
    pub fn mark_all(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        self.change_all::<true>(blocks).map_err(|(done, violation)| {
            // They were marked just now.
            let _ = self.change_all::<false>(&blocks[..done]);
            violation
        })
    }

    /// Takes the marks from all of these blocks; on an error those before it have lost theirs.
    ///
    /// # Errors
    ///
    /// As [`clear`](Self::clear), of the first that is not marked.
    #[inline(always)]
    pub fn clear_all(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        self.change_all::<false>(blocks).map_err(|(_, violation)| violation)
    }

    /// Neighbours have their marks in one word, which stays in a register while they follow each other. With an error: how
    /// many were changed before it.
    #[inline(always)]
    fn change_all<const MARK: bool>(&mut self, blocks: &[u32]) -> Result<(), (usize, Violation)> {
        let mut rest = blocks;
        while let Some(&first) = rest.first() {
            let place = first / 64;
            let done = blocks.len() - rest.len();
            let Some(word) = self.words.get_mut(place as usize) else {
                return Err((done, Violation::Block { block: first, count: self.count }));
            };
            let mut bits = *word;
            let mut taken = 0;
            let mut wrong = None;
            for &block in rest {
                if block / 64 != place {
                    break;
                }
                let bit = 1 << (block % 64);
                if block >= self.count || (bits & bit != 0) == MARK {
                    wrong = Some(block);
                    break;
                }
                bits ^= bit;
                taken += 1;
            }
            *word = bits;
            if let Some(block) = wrong {
                return Err((done + taken, self.refusal::<MARK>(block)));
            }
            rest = &rest[taken..];
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

    /// Whether a block is marked.
    pub fn is_marked(&self, block: u32) -> bool {
        self.words.get((block / 64) as usize).is_some_and(|word| word & (1 << (block % 64)) != 0)
    }

    /// How many blocks are marked.
    #[doc(hidden)]
    pub fn marked(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }
}

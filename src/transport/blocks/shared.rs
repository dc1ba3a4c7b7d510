//! Blocks that both sides take from one lock-free list and give back to it.
//!
//! 1. The head is one word of 8 bytes: a tag above, the first free block below. Each change adds 1 to the tag, so that a
//!    head that was taken and put back meanwhile is not mistaken for the same one (ABA).
//! 2. The links stand in an array of their own behind the blocks, not in them, so that the holder of a block may write all
//!    of it.
//! 3. Taking n blocks follows n links and swings the head once; giving back n links them up and swings the head once.
//!    If the head did not change meanwhile, neither did the links behind it.
//! 4. Every index read is checked, every walk takes as many steps as blocks are wanted, and the swing is tried a bounded
//!    number of times. A block that this side holds already cannot be taken again: the list has a cycle then.
//!
//! Each side keeps a few free blocks for itself, an eighth of all at most, so that most blocks are taken and given back
//! without touching the list: a locked instruction costs as much as all the rest.
//!
//! A peer that is not honest can still take all blocks, or write into blocks that this side holds. This allocator is for
//! sides that trust each other that far.
//!
//! # References
//!
//! R. K. Treiber, Systems Programming: Coping with Parallelism, IBM RJ 5118 (1986); the tag is the IBM System/370's own
//! remedy, Principles of Operation, appendix A, "Free-Pool Manipulation". The blocks kept aside are the magazines of
//! J. Bonwick and J. Adams, Magazines and Vmem, USENIX 2001.

use super::{Allocate, AllocateError, Marks};
use crate::transport::geometry::Blocks;
use crate::transport::memory::{Load, Memory, Store};
use crate::transport::violation::Violation;
use std::sync::atomic::Ordering;

/// Where the list is: the head's word of 8 bytes, and one word of 4 for each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeList {
    /// The offset of the head.
    pub head_at: usize,
    /// The offset of the links.
    pub links_at: usize,
}

/// The end of the list.
const NONE: u32 = u32::MAX;

/// How often a swing of the head is tried. Another side succeeds whenever one fails, so that honest sides, some tens of
/// them, never come near.
const MAX_ATTEMPTS: u32 = 1 << 16;

/// Most blocks that a side keeps for itself.
const MAX_KEPT: u32 = 16;

/// One side's view of a shared list. What it keeps for itself goes back when it is dropped.
#[derive(Debug)]
pub struct Shared<M: Memory> {
    memory: M,
    list: FreeList,
    count: u32,
    held: Marks,
    kept: Vec<u32>,
    max_kept: usize,
}

impl<M: Memory> Shared<M> {
    /// Uses a list that was [laid out](Self::lay_out).
    pub fn new(memory: M, list: FreeList, blocks: Blocks) -> Self {
        Self::keeping(memory, list, blocks, (blocks.count / 8).min(MAX_KEPT))
    }

    /// As [`new`](Self::new), with another number of blocks that this side keeps for itself; 0 goes to the list each time.
    pub fn keeping(memory: M, list: FreeList, blocks: Blocks, max_kept: u32) -> Self {
        let count = blocks.count;
        Self { memory, list, count, held: Marks::new(count), kept: Vec::new(), max_kept: max_kept as usize }
    }

    /// Writes the list with all blocks free, before the other side uses it.
    pub fn lay_out(memory: &M, list: FreeList, blocks: Blocks) {
        for block in 0..blocks.count {
            let next = if block + 1 == blocks.count { NONE } else { block + 1 };
            memory.store32(list.links_at + 4 * block as usize, next, Store::Relaxed);
        }
        let old = memory.load64(list.head_at, Load::Relaxed);
        // The other side does not use the list yet, so that this fails only if that side is hostile.
        let _ = memory.cas64(list.head_at, old, 0, Ordering::Release);
    }

    /// Blocks that this side holds: its own, and those that it received and has not given back.
    pub fn held(&mut self) -> &mut Marks {
        &mut self.held
    }

    #[inline(always)]
    fn link_at(&self, block: u32) -> usize {
        self.list.links_at + 4 * block as usize
    }

    /// Tries to take blocks, as many as `each` is called for. `false`: the head changed meanwhile.
    #[inline(always)]
    fn try_take(&self, count: u32, each: &mut impl FnMut(u32)) -> Result<bool, AllocateError> {
        let head = self.memory.load64(self.list.head_at, Load::Acquire);
        let mut block = head as u32;
        for _ in 0..count {
            if block == NONE {
                let is_same = self.memory.load64(self.list.head_at, Load::Acquire) == head;
                return if is_same { Err(AllocateError::OutOfBlocks) } else { Ok(false) };
            }
            if block >= self.count {
                return Err(Violation::Block { block, count: self.count }.into());
            }
            each(block);
            block = self.memory.load32(self.link_at(block), Load::Relaxed);
        }
        let new = next_tag(head) | u64::from(block);
        // Acquire, here or at the load: what was done with the blocks before they were given back is over. All changes of
        // the head are read-modify-writes, so that each carries on what every earlier release published.
        Ok(self.memory.cas64(self.list.head_at, head, new, Ordering::Acquire).is_ok())
    }
}

/// The tag of a head after one more change, in its place.
#[inline(always)]
fn next_tag(head: u64) -> u64 {
    (head >> 32).wrapping_add(1) << 32
}

impl<M: Memory> Shared<M> {
    /// Takes blocks off the list and adds them to `blocks`: all, or none.
    fn take(&self, count: u32, blocks: &mut Vec<u32>) -> Result<(), AllocateError> {
        if count > self.count {
            return Err(AllocateError::OutOfBlocks);
        }
        let start = blocks.len();
        for _ in 0..MAX_ATTEMPTS {
            let result = self.try_take(count, &mut |block| blocks.push(block));
            if result == Ok(true) {
                return Ok(());
            }
            blocks.truncate(start);
            result?;
            self.memory.relax();
        }
        Err(Violation::FreeListRestless { attempts: MAX_ATTEMPTS }.into())
    }

    /// Puts blocks on the list, the first one on top.
    fn put(&self, blocks: &[u32]) -> Result<(), Violation> {
        let (Some(&first), Some(&last)) = (blocks.first(), blocks.last()) else { return Ok(()) };
        for pair in blocks.windows(2) {
            self.memory.store32(self.link_at(pair[0]), pair[1], Store::Relaxed);
        }
        for _ in 0..MAX_ATTEMPTS {
            let head = self.memory.load64(self.list.head_at, Load::Relaxed);
            self.memory.store32(self.link_at(last), head as u32, Store::Relaxed);
            let new = next_tag(head) | u64::from(first);
            // Release: the links, and all that was done with the blocks, come before.
            if self.memory.cas64(self.list.head_at, head, new, Ordering::Release).is_ok() {
                return Ok(());
            }
            self.memory.relax();
        }
        Err(Violation::FreeListRestless { attempts: MAX_ATTEMPTS })
    }

    /// One of the blocks that are kept, after taking some more if there are none.
    #[cold]
    fn refill(&mut self) -> Result<u32, AllocateError> {
        let mut kept = std::mem::take(&mut self.kept);
        let some = (self.max_kept / 2).max(1) as u32;
        let mut result = self.take(some, &mut kept);
        if result == Err(AllocateError::OutOfBlocks) && some > 1 {
            result = self.take(1, &mut kept);
        }
        // The first on top of the list is the next to be used.
        kept.reverse();
        self.kept = kept;
        result?;
        self.kept.pop().ok_or(AllocateError::OutOfBlocks)
    }

    /// Puts back what is more than may be kept, and half of the rest, so that it is some time until the next.
    #[cold]
    fn shed(&mut self) -> Result<(), Violation> {
        let excess = self.kept.len() - self.max_kept / 2;
        self.kept[..excess].reverse();
        let result = self.put(&self.kept[..excess]);
        self.kept.drain(..excess);
        result
    }
}

impl<M: Memory> Allocate for Shared<M> {
    fn allocate(&mut self, count: u32, blocks: &mut Vec<u32>) -> Result<(), AllocateError> {
        let start = blocks.len();
        let own = self.kept.len().min(count as usize);
        if count as usize > own {
            self.take(count - own as u32, blocks)?;
        }
        let rest = self.kept.len() - own;
        blocks.extend(self.kept.drain(rest..).rev());
        for &block in &blocks[start..] {
            if let Err(violation) = self.held.mark(block) {
                blocks.truncate(start);
                return Err(violation.into());
            }
        }
        Ok(())
    }

    #[inline]
    fn allocate_one(&mut self) -> Result<u32, AllocateError> {
        let block = match self.kept.pop() {
            Some(block) => block,
            None => self.refill()?,
        };
        self.held.mark(block)?;
        Ok(block)
    }

    #[inline]
    fn free(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        for &block in blocks {
            self.held.clear(block)?;
        }
        if blocks.len() > self.max_kept {
            return self.put(blocks);
        }
        self.kept.extend(blocks.iter().rev());
        if self.kept.len() > self.max_kept { self.shed() } else { Ok(()) }
    }
}

impl<M: Memory> Drop for Shared<M> {
    fn drop(&mut self) {
        // A list that was spoiled cannot be repaired from here.
        let _ = self.put(&self.kept);
    }
}

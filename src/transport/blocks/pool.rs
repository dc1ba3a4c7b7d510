//! The blocks that a side takes what it sends from: its own, or those of a list that both sides share.
//!
//! The account is private: the free blocks, and a mark on each that this side holds. The last ones given back are the first to
//! be taken again, while they are in the caches, and in the order they had, so that neighbours stay neighbours; of blocks that the
//! other side only reads, long payloads take ones that have rested. Where none is free, blocks come from those that were never taken,
//! or from the shared list:
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
//! Of a shared list each side keeps a few free blocks on its stack, an eighth of all at most, so that most blocks are taken and
//! given back without touching the list: a locked instruction costs as much as all the rest.
//!
//! A peer that is not honest can still take all blocks of a shared list, or write into blocks that this side holds: it is for
//! sides that trust each other that far.
//!
//! # References
//!
//! R. K. Treiber, Systems Programming: Coping with Parallelism, IBM RJ 5118 (1986); the tag is the IBM System/370's own
//! remedy, Principles of Operation, appendix A, "Free-Pool Manipulation". The blocks kept aside are the magazines of
//! J. Bonwick and J. Adams, Magazines and Vmem, USENIX 2001.

use super::{AllocateError, Marks};
use crate::transport::geometry::Blocks;
use crate::transport::memory::{Load, Memory, Store};
use crate::transport::violation::Violation;
use rustix::process::{Pid, getpid};
use std::sync::atomic::Ordering;

/// Where a shared list is: the head's word of 8 bytes, and one word of 4 for each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeList {
    /// The offset of the head.
    pub head_at: usize,
    /// The offset of the links.
    pub links_at: usize,
}

impl FreeList {
    /// Writes the list with all blocks free, before the other side uses it.
    pub fn lay_out<M: Memory>(self, memory: &M, blocks: Blocks) {
        for block in 0..blocks.count {
            let next = if block + 1 == blocks.count { NONE } else { block + 1 };
            memory.store32(self.link_at(block), next, Store::Relaxed);
        }
        let old = memory.load64(self.head_at, Load::Relaxed);
        // The other side does not use the list yet, so that this fails only if that side is hostile.
        let _ = memory.cas64(self.head_at, old, 0, Ordering::Release);
    }

    #[inline(always)]
    fn link_at(self, block: u32) -> usize {
        self.links_at + 4 * block as usize
    }
}

/// The end of the list.
const NONE: u32 = u32::MAX;

/// How often a swing of the head is tried. Another side succeeds whenever one fails, so that honest sides, some tens of
/// them, never come near.
const MAX_ATTEMPTS: u32 = 1 << 16;

/// Most blocks of a shared list that a side keeps for itself.
const MAX_KEPT: u32 = 16;

/// A payload of so many bytes or more is not written where the last one was read, but where one was read as many bytes ago as
/// follow: twice a second-level cache of common size. The other side's core has let go of these lines by then, and writing them
/// need not wait for it. What is shorter is written to the lines that were used last.
const LONG_BYTES: u32 = 8 << 10;
const RESTING_BYTES: usize = 2 << 20;
/// One in so many long payloads makes the free blocks more, as long as fewer rest: they cost memory, and faults at first.
const LONG_PER_REFILL: u32 = 32;

/// How many payloads of a length are read before one is written where the first of them was.
pub(crate) const fn payloads_at_rest(len_bytes: usize) -> usize {
    if len_bytes < LONG_BYTES as usize || len_bytes > RESTING_BYTES { 1 } else { RESTING_BYTES / len_bytes }
}

/// The free blocks of one side. What it keeps for itself of a shared list goes back when it is dropped by the process that made it.
#[derive(Debug)]
pub struct Pool<M: Memory> {
    /// Those that were given back last are at the end.
    free: Vec<u32>,
    /// Of more than so many free blocks some go back to the source.
    max_free: usize,
    /// Blocks that this side holds: its own, and of a shared list those that it received and has not given back.
    pub(in crate::transport) held: Marks,
    source: Source<M>,
    /// Long payloads so far for which fewer blocks rested than should.
    restless: u32,
}

/// Where blocks come from that are not free here.
#[derive(Debug)]
enum Source<M> {
    /// From the first block that was never taken on: of a large region only what is used costs memory.
    Fresh { next: u32, count: u32 },
    /// From a list in shared memory, in that process and not in copies that it forks.
    List { memory: M, list: FreeList, count: u32, process: Pid },
}

impl<M: Memory> Pool<M> {
    /// All blocks of a region that this side alone writes.
    pub fn owned(blocks: Blocks) -> Self {
        let count = blocks.count;
        let source = Source::Fresh { next: 0, count };
        Self { free: Vec::new(), max_free: usize::MAX, held: Marks::new(count), source, restless: 0 }
    }

    /// Those of a list that was [laid out](FreeList::lay_out).
    pub fn shared(memory: M, list: FreeList, blocks: Blocks) -> Self {
        Self::keeping(memory, list, blocks, (blocks.count / 8).min(MAX_KEPT))
    }

    /// As [`shared`](Self::shared), with another number of blocks that this side keeps for itself; 0 goes to the list each time.
    pub fn keeping(memory: M, list: FreeList, blocks: Blocks, max_kept: u32) -> Self {
        let count = blocks.count;
        let source = Source::List { memory, list, count, process: getpid() };
        Self { free: Vec::new(), max_free: max_kept as usize, held: Marks::new(count), source, restless: 0 }
    }

    /// Whether the other side uses the same blocks.
    #[inline(always)]
    pub(in crate::transport) fn is_shared(&self) -> bool {
        matches!(self.source, Source::List { .. })
    }

    /// Whether what it has would be missing from a list. Of a forked copy the process that made it has these blocks still.
    pub(in crate::transport) fn gives_back(&self) -> bool {
        matches!(self.source, Source::List { process, .. } if process == getpid())
    }

    /// Keeps what it has from the list.
    pub(in crate::transport) fn forget(&mut self) {
        self.free.clear();
    }

    /// Takes `count` blocks for a payload of `length` bytes and adds them to `blocks`: all, or on an error none.
    ///
    /// # Errors
    ///
    /// [`AllocateError`] if there are not as many, or if the other side spoiled the list.
    pub fn allocate(&mut self, length: u32, count: u32, blocks: &mut Vec<u32>) -> Result<(), AllocateError> {
        let start = blocks.len();
        let first = self.free.len().saturating_sub(self.resting(length, count).max(count as usize));
        let end = self.free.len().min(first + count as usize);
        blocks.extend(self.free.drain(first..end).rev());
        let missing = count - (blocks.len() - start) as u32;
        if missing > 0 {
            let taken = self.source.take(missing, blocks);
            taken.inspect_err(|_| self.free.extend(blocks.drain(start..).rev()))?;
        }
        self.held.mark_all(&blocks[start..]).inspect_err(|_| blocks.truncate(start))?;
        Ok(())
    }

    /// Takes one block, for a payload of `length` bytes.
    #[inline(always)]
    pub fn allocate_one(&mut self, length: u32) -> Result<u32, AllocateError> {
        let block = match self.resting(length, 1).min(self.free.len()) {
            0 | 1 => match self.free.pop() {
                Some(block) => block,
                None => self.refill()?,
            },
            resting => self.free.remove(self.free.len() - resting),
        };
        self.held.mark(block)?;
        Ok(block)
    }

    /// How many blocks rest, if there are as many, before those of a payload are used again. Once in a while there are more then.
    #[inline(always)]
    fn resting(&mut self, length: u32, count: u32) -> usize {
        if length < LONG_BYTES || self.is_shared() { 0 } else { self.resting_long(length, count) }
    }

    fn resting_long(&mut self, length: u32, count: u32) -> usize {
        let wanted = payloads_at_rest(length as usize) * count as usize;
        if self.free.len() < wanted {
            self.restless = (self.restless + 1) % LONG_PER_REFILL;
            if self.restless == 0 {
                // There may be no more.
                let _ = self.free_more(count);
            }
        }
        wanted
    }

    /// One of some more blocks.
    #[cold]
    fn refill(&mut self) -> Result<u32, AllocateError> {
        let some = (self.max_free / 2).clamp(1, MAX_KEPT as usize / 2) as u32;
        match self.free_more(some) {
            Err(AllocateError::OutOfBlocks) if some > 1 => self.free_more(1)?,
            result => result?,
        }
        self.free.pop().ok_or(AllocateError::OutOfBlocks)
    }

    /// Makes so many more blocks free. The first of them is the next to be used.
    fn free_more(&mut self, count: u32) -> Result<(), AllocateError> {
        let old = self.free.len();
        self.source.take(count, &mut self.free)?;
        self.free[old..].reverse();
        Ok(())
    }

    /// Gives blocks back that this side holds.
    ///
    /// # Errors
    ///
    /// [`Violation::NotHeld`] or [`Violation::Block`] for one that this side does not hold; how many of the others were
    /// given back is not said.
    #[inline]
    pub fn free(&mut self, blocks: &[u32]) -> Result<(), Violation> {
        self.held.clear_all(blocks)?;
        if blocks.len() > self.max_free {
            return self.source.put(blocks);
        }
        self.free.extend(blocks.iter().rev());
        if self.free.len() > self.max_free { self.shed() } else { Ok(()) }
    }

    /// Puts back what is more than may be kept, and half of the rest, so that it is some time until the next.
    #[cold]
    fn shed(&mut self) -> Result<(), Violation> {
        let excess = self.free.len() - self.max_free / 2;
        self.free[..excess].reverse();
        let result = self.source.put(&self.free[..excess]);
        self.free.drain(..excess);
        result
    }
}

impl<M: Memory> Source<M> {
    /// Takes blocks and adds them to `blocks`: all, or none.
    fn take(&mut self, wanted: u32, blocks: &mut Vec<u32>) -> Result<(), AllocateError> {
        match self {
            Self::Fresh { next, count } if wanted <= *count - *next => {
                blocks.extend(*next..*next + wanted);
                *next += wanted;
                Ok(())
            }
            Self::List { memory, list, count, .. } if wanted <= *count => {
                let start = blocks.len();
                for _ in 0..MAX_ATTEMPTS {
                    let head = memory.load64(list.head_at, Load::Acquire);
                    let (mut block, mut left) = (head as u32, wanted);
                    while left > 0 && block < *count {
                        blocks.push(block);
                        block = memory.load32(list.link_at(block), Load::Relaxed);
                        left -= 1;
                    }
                    let new = next_tag(head) | u64::from(block);
                    // Acquire, here or at the load: what was done with the blocks before they were given back is over. All changes of
                    // the head are read-modify-writes, so that each carries on what every earlier release published.
                    if left == 0 && memory.cas64(list.head_at, head, new, Ordering::Acquire).is_ok() {
                        return Ok(());
                    }
                    blocks.truncate(start);
                    if left > 0 && block != NONE {
                        return Err(Violation::Block { block, count: *count }.into());
                    }
                    if left > 0 && memory.load64(list.head_at, Load::Acquire) == head {
                        return Err(AllocateError::OutOfBlocks);
                    }
                    memory.relax();
                }
                Err(Violation::FreeListRestless { attempts: MAX_ATTEMPTS }.into())
            }
            _ => Err(AllocateError::OutOfBlocks),
        }
    }

    /// Puts blocks on the list, the first one on top.
    fn put(&self, blocks: &[u32]) -> Result<(), Violation> {
        let Self::List { memory, list, .. } = self else { return Ok(()) };
        let (Some(&first), Some(&last)) = (blocks.first(), blocks.last()) else { return Ok(()) };
        for pair in blocks.windows(2) {
            memory.store32(list.link_at(pair[0]), pair[1], Store::Relaxed);
        }
        for _ in 0..MAX_ATTEMPTS {
            let head = memory.load64(list.head_at, Load::Relaxed);
            memory.store32(list.link_at(last), head as u32, Store::Relaxed);
            let new = next_tag(head) | u64::from(first);
            // Release: the links, and all that was done with the blocks, come before.
            if memory.cas64(list.head_at, head, new, Ordering::Release).is_ok() {
                return Ok(());
            }
            memory.relax();
        }
        Err(Violation::FreeListRestless { attempts: MAX_ATTEMPTS })
    }
}

/// The tag of a head after one more change, in its place.
#[inline(always)]
fn next_tag(head: u64) -> u64 {
    (head >> 32).wrapping_add(1) << 32
}

impl<M: Memory> Drop for Pool<M> {
    fn drop(&mut self) {
        if self.gives_back() {
            // A list that was spoiled cannot be repaired from here.
            let _ = self.source.put(&self.free);
        }
    }
}

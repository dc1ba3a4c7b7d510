//! Where the bytes of a slice are: in one block, in a chain of list blocks that name data blocks, or, short ones, in memory of
//! this side's own, where they wait to be sent in an entry or were put when they came in one.
//!
//! A list block holds E = block_bytes / 4 entries. The last entry of a full list block is the index of the next list
//! block, except in the final one, where it is data: n data blocks need ceil((n − 1) / (E − 1)) list blocks.
//!
//! A chain that arrives is copied out once, entry by entry, and every entry is checked: in range, and not in use already
//! (which rules out cycles and blocks named twice). How many steps that takes is computed from the length before the
//! first, and a length that the region could not hold is refused.

use super::blocks::{AllocateError, BlockMemory, Marks, Pool};
use super::geometry::Blocks;
use super::memory::{Copier, Load, Memory, Store};
use super::request::Slice;
use super::ring::MAX_ROOM_BYTES;
use super::violation::Violation;
use std::{iter, slice};

/// The blocks of a slice: data blocks in order, then list blocks; or its bytes. Private memory; nothing in it is read again
/// from where it came.
///
/// The usual chain is one block, and stands in registers; only longer ones have a list on the heap, and bytes their place.
#[derive(Clone, Debug)]
pub struct Chain {
    length: u32,
    /// The block, if it is one; [`Slice::INLINE`] for bytes; else [`LISTED`].
    one: u32,
    many: Option<Box<Many>>,
    bytes: Option<Box<Bytes>>,
}

/// No region has this many blocks.
const LISTED: u32 = u32::MAX - 1;

/// The bytes of a chain that has them, or, kept for the next such chain, bytes of no meaning. They begin on a line.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Bytes([u8; MAX_ROOM_BYTES]);

/// The blocks of a chain that has several, or, kept for the next such chain, none.
#[derive(Clone, Debug, Default)]
struct Many {
    data_count: u32,
    blocks: Vec<u32>,
}

impl Chain {
    /// No bytes, in no block.
    pub const EMPTY: Self = Self { length: 0, one: LISTED, many: None, bytes: None };

    /// How many bytes it holds.
    #[inline(always)]
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// The one block, if it is one.
    #[inline(always)]
    fn one(&self) -> &[u32] {
        if self.one >= LISTED { &[] } else { slice::from_ref(&self.one) }
    }

    /// The bytes, if they are here and not in blocks.
    #[inline(always)]
    pub fn inline(&self) -> Option<&[u8]> {
        let bytes = self.bytes.as_ref().filter(|_| self.one == Slice::INLINE)?;
        bytes.0.get(..self.length as usize)
    }

    /// The same, to be written.
    #[inline(always)]
    pub(super) fn inline_mut(&mut self) -> Option<&mut [u8]> {
        let bytes = self.bytes.as_mut().filter(|_| self.one == Slice::INLINE)?;
        bytes.0.get_mut(..self.length as usize)
    }

    /// The blocks with the bytes, in order.
    #[inline(always)]
    pub fn data(&self) -> &[u32] {
        match &self.many {
            Some(many) if self.one == LISTED => many.blocks.get(..many.data_count as usize).unwrap_or(&[]),
            _ => self.one(),
        }
    }

    /// All its blocks.
    #[inline(always)]
    pub fn blocks(&self) -> &[u32] {
        match &self.many {
            Some(many) if self.one == LISTED => &many.blocks,
            _ => self.one(),
        }
    }

    /// What names it in a message.
    #[inline(always)]
    pub fn slice(&self) -> Slice {
        let length = self.length;
        if self.one != LISTED {
            return Slice { block: self.one, length };
        }
        // More than one are behind the first list block.
        let head = self.many.as_ref().and_then(|many| many.blocks.get(many.data_count as usize));
        Slice { block: head.copied().unwrap_or(0), length }
    }

    /// Empties it, keeping its memory for the next one.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.length = 0;
        self.one = LISTED;
        if let Some(many) = &mut self.many {
            many.data_count = 0;
            many.blocks.clear();
        }
    }

    /// Whether it has memory of its own, worth keeping.
    #[inline(always)]
    pub(super) fn has_memory(&self) -> bool {
        self.many.is_some() || self.bytes.is_some()
    }

    /// Makes it one of `length` bytes of its own, 1 to [`MAX_ROOM_BYTES`], which are of no meaning yet. It was
    /// [cleared](Self::clear) before.
    #[inline(always)]
    pub(super) fn hold(&mut self, length: u32) -> &mut [u8] {
        self.length = length;
        self.one = Slice::INLINE;
        &mut self.bytes.get_or_insert_with(|| Box::new(Bytes([0; MAX_ROOM_BYTES]))).0
    }

    /// Makes it one of `length` bytes, of blocks that are allocated for it, and writes its list blocks. It was
    /// [cleared](Self::clear) before, and on an error it is again: all blocks are given back then.
    ///
    /// # Errors
    ///
    /// [`AllocateError`] if there are not enough blocks, or if the other side spoiled the list.
    #[inline(always)]
    pub fn allocate<M: Memory>(
        &mut self,
        place: &BlockMemory<M>,
        pool: &mut Pool<M>,
        length: u32,
    ) -> Result<(), AllocateError> {
        self.clear();
        let (data, lists) = blocks_for(place, length);
        if data == 1 {
            self.one = pool.allocate_one(length)?;
        } else if data > 1 {
            let count = data.checked_add(lists).filter(|&count| count <= place.blocks().count);
            let many = self.many.get_or_insert_default();
            pool.allocate(length, count.ok_or(AllocateError::OutOfBlocks)?, &mut many.blocks)?;
            many.data_count = data;
            many.write_lists(place);
        }
        self.length = length;
        Ok(())
    }

    /// Makes it the one that a message of the other side names, whose blocks it marks. It was [cleared](Self::clear)
    /// before; on an error it holds the blocks that were marked so far.
    ///
    /// # Errors
    ///
    /// [`Violation::Length`] if the region cannot hold as much, [`Violation::Block`] or [`Violation::BlockTwice`] for a
    /// block that cannot be part of it.
    #[inline(always)]
    pub fn resolve<M: Memory>(
        &mut self,
        place: &BlockMemory<M>,
        marks: &mut Marks,
        slice: Slice,
    ) -> Result<(), Violation> {
        self.clear();
        let geometry = place.blocks();
        let (data, lists) = blocks_for(place, slice.length);
        match data {
            0 => {}
            1 => {
                marks.mark(slice.block)?;
                self.one = slice.block;
                place.memory().prefetch(geometry.block_at(slice.block), false);
            }
            _ => {
                if data.checked_add(lists).is_none_or(|count| count > geometry.count) {
                    return Err(Violation::Length { length: slice.length, count: geometry.count });
                }
                let many = self.many.get_or_insert_default();
                many.walk(place, marks, slice.block, (data, lists))?;
            }
        }
        self.length = slice.length;
        Ok(())
    }

    /// The runs of neighbouring bytes of `[from, from + len_bytes)`, in order, neighbouring blocks as one: the offset in the region and the
    /// length of each; less where the chain ends.
    #[inline(always)]
    pub fn runs(&self, blocks: Blocks, from: u32, len_bytes: u32) -> impl Iterator<Item = (usize, usize)> {
        let from = from.min(self.length);
        let mut data = self.data().get((from / blocks.block_bytes) as usize..).unwrap_or(&[]);
        let (mut skip, mut left) = (from % blocks.block_bytes, len_bytes.min(self.length - from));
        iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let (&first, mut rest) = data.split_first()?;
            let mut length = blocks.block_bytes - skip;
            let mut last = first;
            while length < left
                && let Some((&next, later)) = rest.split_first()
                && next == last + 1
            {
                length = length.saturating_add(blocks.block_bytes);
                last = next;
                rest = later;
            }
            let run = (blocks.block_at(first) + skip as usize, length.min(left) as usize);
            left -= length.min(left);
            skip = 0;
            data = rest;
            Some(run)
        })
    }

    /// Copies bytes in from `from` on, as one transfer; how many, less than `src` has where the chain ends.
    #[inline]
    pub fn write<M: Memory>(&mut self, place: &BlockMemory<M>, from: u32, src: &[u8], copier: Copier) -> usize {
        if let Some(bytes) = self.inline_mut() {
            return copier.copy_private(bytes.get_mut(from as usize..).unwrap_or_default(), src);
        }
        let copier = copier.for_total(src.len());
        let mut rest = src;
        for (at, len_bytes) in self.runs(place.blocks(), from, clamp(src.len())) {
            let Some(now) = rest.split_off(..len_bytes) else { break };
            place.memory().write(at, now, copier);
        }
        src.len() - rest.len()
    }

    /// Copies bytes out from `from` on, as one transfer; how many, less than `dst` has room for where the chain ends.
    #[inline]
    pub fn read<M: Memory>(&self, place: &BlockMemory<M>, from: u32, dst: &mut [u8], copier: Copier) -> usize {
        if let Some(bytes) = self.inline() {
            return copier.copy_private(dst, bytes.get(from as usize..).unwrap_or_default());
        }
        let whole = dst.len();
        let copier = copier.for_total(whole);
        let mut rest = dst;
        for (at, len_bytes) in self.runs(place.blocks(), from, clamp(whole)) {
            let Some(now) = rest.split_off_mut(..len_bytes) else { break };
            place.memory().read(at, now, copier);
        }
        whole - rest.len()
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        // Which of the blocks are data follows from the length.
        (self.length, self.blocks(), self.inline()) == (other.length, other.blocks(), other.inline())
    }
}

impl Eq for Chain {}

impl Many {
    /// Writes the entries of the list blocks.
    fn write_lists<M: Memory>(&self, place: &BlockMemory<M>) {
        let (memory, geometry) = (place.memory(), place.blocks());
        let entries = (geometry.block_bytes / 4) as usize;
        let (mut data, lists) = self.blocks.split_at(self.data_count as usize);
        for (at, &list) in lists.iter().enumerate() {
            let next = lists.get(at + 1);
            let own = if next.is_some() { entries - 1 } else { data.len() };
            let (now, later) = data.split_at(own.min(data.len()));
            for (at, &entry) in now.iter().chain(next).enumerate() {
                memory.store32(geometry.block_at(list) + 4 * at, entry, Store::Relaxed);
            }
            data = later;
        }
    }

    /// Follows `lists` list blocks from `first` on, which hold `data` entries.
    fn walk<M: Memory>(
        &mut self,
        place: &BlockMemory<M>,
        marks: &mut Marks,
        first: u32,
        (data, lists): (u32, u32),
    ) -> Result<(), Violation> {
        let (memory, geometry) = (place.memory(), place.blocks());
        let entries = geometry.block_bytes / 4;
        let mut list = first;
        let mut left = data;
        self.blocks.reserve((data + lists) as usize);
        // List blocks are gathered behind the data, where they stay when the data before them is complete. Most chains have
        // one, for which nothing is allocated.
        let mut later = Vec::new();
        for step in 0..lists {
            marks.mark(list)?;
            if step > 0 {
                later.push(list);
            }
            let is_final = step + 1 == lists;
            let own = if is_final { left } else { entries - 1 };
            let list_at = geometry.block_at(list);
            let start = self.blocks.len();
            memory.load_list(list_at, own as usize, &mut self.blocks);
            marks.mark_all(&self.blocks[start..]).inspect_err(|_| self.blocks.truncate(start))?;
            left -= own;
            if !is_final {
                list = memory.load32(list_at + 4 * own as usize, Load::Relaxed);
            }
        }
        self.blocks.push(first);
        self.blocks.append(&mut later);
        self.data_count = data;
        Ok(())
    }
}

/// As much of a length as a slice can have.
#[inline(always)]
pub(super) fn clamp(len_bytes: usize) -> u32 {
    u32::try_from(len_bytes).unwrap_or(u32::MAX)
}

/// How many data blocks and how many list blocks a length needs.
#[inline(always)]
pub fn blocks_for<M>(place: &BlockMemory<M>, length: u32) -> (u32, u32) {
    let block_bytes = place.blocks().block_bytes;
    let data = (length >> block_bytes.trailing_zeros()) + u32::from(!length.is_multiple_of(block_bytes));
    let entries = block_bytes / 4;
    let lists = match data {
        0 | 1 => 0,
        data if data <= entries => 1,
        data => (data - 1).div_ceil(entries - 1),
    };
    (data, lists)
}

//! A ring of small entries from one side to the other, with room for bytes in each if its stride leaves some.
//!
//! Each side keeps its own index privately and never reads it back. The other side's index is copied out once and checked
//! before it is used: never more than the capacity ahead, never back. Indices run free over all of u32; the capacity is a
//! power of two.
//!
//! A bit of an entry's first word says which lap the entry belongs to: the reader waits for it to change, and fetches no line but
//! the entry's. A batch is kept privately until it is published and then written at once, its first entry last: a reader that
//! looks all the time takes each cache line from the writer once, not once for each entry. The writer learns from the reader's
//! head which entries it may write again, and looks there only when it has used up what it knew.
//!
//! Bytes that travel in an entry are written to its free place at once, and the words that announce them with the batch.
//!
//! # References
//!
//! Xen's `ring.h` (private indices; copy a request before looking at it) and virtio's packed ring (a lap bit in the entry).

use super::memory::{Copier, Load, Memory, Store};
use super::violation::{GeometryError, Violation};

/// Most entries of a ring.
pub const MAX_CAPACITY: u32 = 1 << 15;

/// The longest stride.
pub const MAX_STRIDE_BYTES: u32 = 512;
/// Where an entry's bytes begin, if its stride leaves room for some.
const ROOM_AT: usize = 16;
/// How many bytes of an entry are in one line with its words.
const FIRST_BYTES: usize = 64 - ROOM_AT;
/// The most bytes that an entry has room for.
pub const MAX_ROOM_BYTES: usize = MAX_STRIDE_BYTES as usize - ROOM_AT;

/// How many bytes an entry of that stride has room for.
#[inline(always)]
pub(super) const fn room_bytes(stride_bytes: u32) -> u32 {
    stride_bytes.saturating_sub(ROOM_AT as u32)
}

/// Where the parts of a ring are in their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingPlace {
    /// The offset of the reader's index.
    pub head_at: usize,
    /// The offset of the first entry.
    pub entries_at: usize,
}

/// Where a ring is and how it works. Comes from the handshake, never from shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLayout {
    at: RingPlace,
    capacity: u32,
    stride_bytes: u32,
    lap_bit: u32,
}

impl RingLayout {
    /// A ring at these offsets, whose entries have their lap in that bit of their first word: the ring writes it, whatever is
    /// pushed, and it is 0 in what is popped.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] for a capacity, a stride or a lap bit that cannot work.
    pub fn new(at: RingPlace, capacity: u32, stride_bytes: u32, lap_bit: u32) -> Result<Self, GeometryError> {
        let is_capacity = capacity.is_power_of_two() && capacity <= MAX_CAPACITY;
        let what = "entries of a ring (a power of two from 1 to 32768)";
        GeometryError::unless(is_capacity, what, capacity.into())?;
        let is_stride = (1..=MAX_STRIDE_BYTES).contains(&stride_bytes) && stride_bytes.is_multiple_of(4);
        let what = "bytes from entry to entry of a ring (a multiple of 4 from the entry's size to 512)";
        GeometryError::unless(is_stride, what, stride_bytes.into())?;
        let what = "as the lap bit of a ring (one bit)";
        GeometryError::unless(lap_bit.is_power_of_two(), what, lap_bit.into())?;
        Ok(Self { at, capacity, stride_bytes, lap_bit })
    }

    /// How many bytes an entry has room for, beside its words.
    #[inline(always)]
    pub const fn room_bytes(&self) -> u32 {
        room_bytes(self.stride_bytes)
    }

    /// The offset behind the last entry.
    pub const fn end_at(&self) -> usize {
        self.at.entries_at + self.capacity as usize * self.stride_bytes as usize
    }

    #[inline(always)]
    fn entry_at(&self, index: u32) -> usize {
        self.at.entries_at + (index & (self.capacity - 1)) as usize * self.stride_bytes as usize
    }

    /// The lap bit of an entry: set in the first lap, when the memory is still 0, then in every other one.
    #[inline(always)]
    fn lap(&self, index: u32) -> u32 {
        if index & self.capacity == 0 { self.lap_bit } else { 0 }
    }

    /// Whether an entry with that first word is of its index's lap.
    #[inline(always)]
    fn has_come(&self, index: u32, first: u32) -> bool {
        first & self.lap_bit == self.lap(index)
    }
}

/// The writing side of a ring of entries of `WORDS` words. A reader's head where it cannot be is a [`Violation::Head`].
#[derive(Debug)]
pub struct Producer<M, const WORDS: usize> {
    memory: M,
    layout: RingLayout,
    /// Behind the last entry.
    tail: u32,
    /// The last entries, which are not published.
    batch: Vec<[u32; WORDS]>,
    /// The reader's head as last seen: what is before it may be written again.
    head: u32,
}

impl<M: Memory, const WORDS: usize> Producer<M, WORDS> {
    /// The writing side of an unused ring.
    pub fn new(memory: M, layout: RingLayout) -> Self {
        Self::starting_at(memory, layout, 0)
    }

    /// As [`new`](Self::new), with indices that start elsewhere, as in a ring long in use: at a multiple of twice the capacity.
    #[doc(hidden)]
    pub fn starting_at(memory: M, layout: RingLayout, index: u32) -> Self {
        Self { memory, layout, tail: index, batch: Vec::new(), head: index }
    }

    /// How many entries the other side has not read yet. Looks at its head.
    #[inline]
    pub fn unread(&mut self) -> Result<u32, Violation> {
        let claimed = self.memory.load32(self.layout.at.head_at, Load::Acquire);
        if claimed.wrapping_sub(self.head) > self.tail.wrapping_sub(self.head) {
            return Err(Violation::Head { claimed, previous: self.head, tail: self.tail });
        }
        self.head = claimed;
        Ok(self.tail.wrapping_sub(self.head))
    }

    /// Whether as many entries can be written. Looks at the reader's head only if they are not known to be free.
    #[inline(always)]
    pub fn has_room(&mut self, entries: u32) -> Result<bool, Violation> {
        let (capacity, unread) = (self.layout.capacity, self.tail.wrapping_sub(self.head));
        Ok(capacity - unread >= entries || capacity - self.unread()? >= entries)
    }

    /// Adds an entry to the batch; `false` if the ring is full. The other side sees it after [`publish`](Self::publish).
    #[inline(always)]
    pub fn push(&mut self, entry: [u32; WORDS]) -> Result<bool, Violation> {
        self.push_with(entry, &[], Copier::AUTO)
    }

    /// As [`push`](Self::push), with bytes in the entry, which [has room](RingLayout::room_bytes) for them: more are not sent.
    #[inline(always)]
    pub fn push_with(&mut self, entry: [u32; WORDS], bytes: &[u8], copier: Copier) -> Result<bool, Violation> {
        if !self.has_room(1)? {
            return Ok(false);
        }
        let bytes = bytes.get(..self.layout.room_bytes() as usize).unwrap_or(bytes);
        let at = self.layout.entry_at(self.tail) + ROOM_AT;
        // The reader may be looking at the first line all the time: it is written last, as close to its words as can be.
        let (first, rest) = bytes.split_at(bytes.len().min(FIRST_BYTES));
        if !rest.is_empty() {
            self.memory.write(at + FIRST_BYTES, rest, copier);
        }
        if !first.is_empty() {
            self.memory.write(at, first, copier);
        }
        self.batch.push(entry);
        self.tail = self.tail.wrapping_add(1);
        Ok(true)
    }

    /// Makes all entries so far visible; whether there were any since the last time.
    #[inline(always)]
    pub fn publish(&mut self) -> bool {
        let Some((&first, rest)) = self.batch.split_first() else { return false };
        let start = self.tail.wrapping_sub(self.batch.len() as u32);
        for (&entry, index) in rest.iter().zip(1..) {
            self.write(start.wrapping_add(index), entry);
        }
        self.write(start, first);
        self.batch.clear();
        true
    }

    #[inline(always)]
    fn write(&self, index: u32, mut entry: [u32; WORDS]) {
        entry[0] = entry[0] & !self.layout.lap_bit | self.layout.lap(index);
        self.memory.store_words(self.layout.entry_at(index), entry);
    }
}

/// The reading side of a ring of entries of `WORDS` words. A hostile writer can make an entry of anything, and at any time: it is
/// for the reader to judge what it [pops](Self::pop), and to take no more entries at a time than it wants.
#[derive(Debug)]
pub struct Consumer<M, const WORDS: usize> {
    memory: M,
    layout: RingLayout,
    /// The next entry to read.
    head: u32,
    /// The head as the other side knows it.
    released: u32,
    /// Up to which entry they have come together, if as many do as the last time.
    batch_end: u32,
}

impl<M: Memory, const WORDS: usize> Consumer<M, WORDS> {
    /// The reading side of an unused ring.
    pub fn new(memory: M, layout: RingLayout) -> Self {
        Self::starting_at(memory, layout, 0)
    }

    /// As [`new`](Self::new), with indices that start elsewhere; see the producer's.
    #[doc(hidden)]
    pub fn starting_at(memory: M, layout: RingLayout, index: u32) -> Self {
        Self { memory, layout, head: index, released: index, batch_end: index.wrapping_add(1) }
    }

    /// The next entry, copied out; none if there is none yet. Its place stays taken until [`release`](Self::release).
    #[inline(always)]
    pub fn pop(&mut self) -> Option<[u32; WORDS]> {
        let (layout, head) = (self.layout, self.head);
        let at = layout.entry_at(head);
        let mut entry = self.memory.load_words::<WORDS>(at, |first| layout.has_come(head, first))?;
        entry[0] &= !layout.lap_bit;
        // What is behind the first line, all at once and before it is known how much is meant.
        for line in (64..layout.stride_bytes as usize).step_by(64) {
            self.memory.prefetch(at + line, false);
        }
        self.head = head.wrapping_add(1);
        // It has come together with this one, in a line that takes as long as this one's.
        if self.head != self.batch_end {
            self.memory.prefetch(layout.entry_at(self.head), false);
        }
        Some(entry)
    }

    /// Copies out the bytes that came in the entry that was [popped](Self::pop) last, into the first `length` bytes of `dst`,
    /// before its place is [given back](Self::release). What becomes of them in the entry later is not seen.
    ///
    /// # Errors
    ///
    /// [`Violation::Room`] if the entry has no room for as many, or `dst` has not.
    #[inline(always)]
    pub fn take_bytes(&self, length: u32, dst: &mut [u8], copier: Copier) -> Result<(), Violation> {
        let room_bytes = self.layout.room_bytes();
        match dst.get_mut(..length as usize) {
            Some([]) => Ok(()),
            Some(dst) if length <= room_bytes => {
                let at = self.layout.entry_at(self.head.wrapping_sub(1));
                self.memory.read(at + ROOM_AT, dst, copier);
                Ok(())
            }
            _ => Err(Violation::Room { length, room_bytes }),
        }
    }

    /// The first word of the next entry, none if there is none yet: what a side that wants to sleep checks last. It is not to be
    /// believed: [`pop`](Self::pop) copies it out again.
    #[inline(always)]
    pub fn peek(&self) -> Option<u32> {
        let first = self.memory.load32(self.layout.entry_at(self.head), Load::Acquire);
        self.layout.has_come(self.head, first).then_some(first)
    }

    /// The index of the next entry to read: it has changed when one was read.
    pub fn index(&self) -> u32 {
        self.head
    }

    /// Gives the places of all entries read so far back to the writer.
    #[inline(always)]
    pub fn release(&mut self) {
        if self.released != self.head {
            self.memory.store32(self.layout.at.head_at, self.head, Store::Release);
            self.batch_end = self.head.wrapping_mul(2).wrapping_sub(self.released);
            self.released = self.head;
        }
    }
}

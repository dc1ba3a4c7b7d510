//! A ring of small entries from one side to the other, with room for bytes in each if its stride leaves some.
//!
//! Each side keeps its own index privately and never reads it back. The other side's index is copied out once and checked
//! before it is used: never more than the capacity ahead, never back. Indices run free over all of u32; the capacity is a
//! power of two.
//!
//! There are two ways to publish an entry ([`Publication`]). Either way a batch is kept privately until it is published and
//! then written at once, its first entry last where the reader waits for that: a reader that looks all the time takes each
//! cache line from the writer once, not once for each entry. The writer learns from the reader's head which entries it may
//! write again, and looks there only when it has used up what it knew.
//!
//! Bytes that travel in an entry are written to its free place at once, and the words that announce them with the batch.
//!
//! # References
//!
//! Xen's `ring.h` (private indices; copy a request before looking at it) and virtio's packed ring (a lap bit in the entry).

use super::memory::{Copier, Load, Memory, Store};
use super::request::PHASE_BIT;
use super::violation::{GeometryError, Violation};

/// How the reader learns that there is an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publication {
    /// By the writer's tail, which is stored once for a batch: a cache line more to fetch for each batch.
    #[default]
    Index,
    /// By a bit in the entry itself that changes with each lap: the reader fetches no line but the entry's.
    Phase,
}

/// Most entries of a ring.
pub const MAX_CAPACITY: u32 = 1 << 15;

/// The longest stride.
pub const MAX_STRIDE_BYTES: u32 = 512;
/// Where an entry's bytes begin, if its stride leaves room for some.
const ROOM_AT: usize = 16;
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
    /// The offset of the writer's index.
    pub tail_at: usize,
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
    publication: Publication,
}

impl RingLayout {
    /// A ring at these offsets.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] for a capacity or a stride that cannot work.
    pub const fn new(
        at: RingPlace,
        capacity: u32,
        stride_bytes: u32,
        publication: Publication,
    ) -> Result<Self, GeometryError> {
        if !capacity.is_power_of_two() || capacity > MAX_CAPACITY {
            let what = "entries of a ring (a power of two from 1 to 32768)";
            return Err(GeometryError { what, found: capacity as u64 });
        }
        if stride_bytes == 0 || !stride_bytes.is_multiple_of(4) || stride_bytes > MAX_STRIDE_BYTES {
            let what = "bytes from entry to entry of a ring (a multiple of 4 from the entry's size to 512)";
            return Err(GeometryError { what, found: stride_bytes as u64 });
        }
        Ok(Self { at, capacity, stride_bytes, publication })
    }

    /// How many entries there are.
    pub const fn capacity(&self) -> u32 {
        self.capacity
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

    /// Where the bytes of an entry are.
    #[inline(always)]
    fn room_at(&self, index: u32) -> usize {
        self.entry_at(index) + ROOM_AT
    }

    /// The lap bit of an entry: set in the first lap, when the memory is still 0, then in every other one.
    #[inline(always)]
    fn phase(&self, index: u32) -> u32 {
        if index & self.capacity == 0 { PHASE_BIT } else { 0 }
    }
}

/// The writing side of a ring of entries of `WORDS` words. A reader's head where it cannot be is a [`Violation::Head`].
#[derive(Debug)]
pub struct Producer<M, const WORDS: usize> {
    memory: M,
    layout: RingLayout,
    /// Behind the last entry.
    tail: u32,
    /// The tail as the other side knows it.
    published: u32,
    /// The entries between the two.
    batch: Vec<[u32; WORDS]>,
    /// The reader's head as last seen: what is before it may be written again.
    head: u32,
}

impl<M: Memory, const WORDS: usize> Producer<M, WORDS> {
    /// The writing side of an unused ring.
    pub fn new(memory: M, layout: RingLayout) -> Self {
        Self::starting_at(memory, layout, 0)
    }

    /// As [`new`](Self::new), with indices that start elsewhere, as in a ring long in use. With [`Publication::Phase`]
    /// a multiple of twice the capacity.
    #[doc(hidden)]
    pub fn starting_at(memory: M, layout: RingLayout, index: u32) -> Self {
        Self { memory, layout, tail: index, published: index, batch: Vec::new(), head: index }
    }

    /// How many entries can be written, as far as is known without looking.
    #[inline(always)]
    fn known_free(&self) -> u32 {
        self.layout.capacity - self.tail.wrapping_sub(self.head)
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
        if self.known_free() < entries {
            self.unread()?;
        }
        Ok(self.known_free() >= entries)
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
        if !bytes.is_empty() {
            self.memory.write(self.layout.room_at(self.tail), bytes, copier);
        }
        self.batch.push(entry);
        self.tail = self.tail.wrapping_add(1);
        Ok(true)
    }

    /// Makes all entries so far visible; whether there were any since the last time.
    #[inline(always)]
    pub fn publish(&mut self) -> bool {
        let Some((first, rest)) = self.batch.split_first() else { return false };
        let start = self.published;
        for (entry, index) in rest.iter().zip(1..) {
            self.write(start.wrapping_add(index), entry);
        }
        self.write(start, first);
        if self.layout.publication == Publication::Index {
            self.memory.store32(self.layout.at.tail_at, self.tail, Store::Release);
        }
        self.batch.clear();
        self.published = self.tail;
        true
    }

    #[inline(always)]
    fn write(&self, index: u32, entry: &[u32; WORDS]) {
        let at = self.layout.entry_at(index);
        for (word, &value) in entry.iter().enumerate().skip(1) {
            self.memory.store32(at + 4 * word, value, Store::Relaxed);
        }
        match self.layout.publication {
            Publication::Index => self.memory.store32(at, entry[0], Store::Relaxed),
            Publication::Phase => {
                let first = entry[0] & !PHASE_BIT | self.layout.phase(index);
                self.memory.store32(at, first, Store::Release);
            }
        }
    }
}

/// The reading side of a ring of entries of `WORDS` words. A writer's tail where it cannot be is a [`Violation::Tail`].
#[derive(Debug)]
pub struct Consumer<M, const WORDS: usize> {
    memory: M,
    layout: RingLayout,
    /// The next entry to read.
    head: u32,
    /// The head as the other side knows it.
    released: u32,
    /// The writer's tail as last seen: what is before it may be read.
    tail: u32,
}

impl<M: Memory, const WORDS: usize> Consumer<M, WORDS> {
    /// The reading side of an unused ring.
    pub fn new(memory: M, layout: RingLayout) -> Self {
        Self::starting_at(memory, layout, 0)
    }

    /// As [`new`](Self::new), with indices that start elsewhere; see the producer's.
    #[doc(hidden)]
    pub fn starting_at(memory: M, layout: RingLayout, index: u32) -> Self {
        Self { memory, layout, head: index, released: index, tail: index }
    }

    /// The next entry, copied out; none if there is none yet. Its place stays taken until [`release`](Self::release).
    #[inline(always)]
    pub fn pop(&mut self) -> Result<Option<[u32; WORDS]>, Violation> {
        let at = self.layout.entry_at(self.head);
        let mut entry = [0; WORDS];
        match self.layout.publication {
            Publication::Index => {
                if self.head == self.tail && !self.look()? {
                    return Ok(None);
                }
                entry[0] = self.memory.load32(at, Load::Relaxed);
            }
            Publication::Phase => {
                entry[0] = self.memory.load32(at, Load::Acquire);
                if entry[0] & PHASE_BIT != self.layout.phase(self.head) {
                    return Ok(None);
                }
                // What is behind the first line, all at once and before it is known how much is meant.
                for line in (64..self.layout.stride_bytes as usize).step_by(64) {
                    self.memory.prefetch(at + line);
                }
            }
        }
        for (word, value) in entry.iter_mut().enumerate().skip(1) {
            *value = self.memory.load32(at + 4 * word, Load::Relaxed);
        }
        self.head = self.head.wrapping_add(1);
        Ok(Some(entry))
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
                self.memory.read(self.layout.room_at(self.head.wrapping_sub(1)), dst, copier);
                Ok(())
            }
            _ => Err(Violation::Room { length, room_bytes }),
        }
    }

    /// Copies the writer's tail out; whether there is an entry.
    #[inline(always)]
    fn look(&mut self) -> Result<bool, Violation> {
        let claimed = self.memory.load32(self.layout.at.tail_at, Load::Acquire);
        if claimed.wrapping_sub(self.head) > self.layout.capacity {
            return Err(Violation::Tail { claimed, head: self.head, capacity: self.layout.capacity });
        }
        self.tail = claimed;
        Ok(self.tail != self.head)
    }

    /// Whether [`pop`](Self::pop) would return something, an error included: what a side that wants to sleep checks last.
    #[inline]
    pub fn is_ready(&self) -> bool {
        match self.layout.publication {
            Publication::Index => {
                self.head != self.tail || self.memory.load32(self.layout.at.tail_at, Load::Acquire) != self.head
            }
            Publication::Phase => {
                let first = self.memory.load32(self.layout.entry_at(self.head), Load::Acquire);
                first & PHASE_BIT == self.layout.phase(self.head)
            }
        }
    }

    /// The first word of the next entry; none if there is none yet. It is not to be believed: [`pop`](Self::pop) copies it out
    /// again.
    pub(super) fn peek(&self) -> Option<u32> {
        self.is_ready().then(|| self.memory.load32(self.layout.entry_at(self.head), Load::Relaxed))
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
            self.released = self.head;
        }
    }
}

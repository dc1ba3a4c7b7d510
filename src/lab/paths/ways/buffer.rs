//! Memory of this process alone, at a stated offset in its page, every page written once.

use crate::lab::paths::ways::PAGE_BYTES;

/// Slots of equal size, each at the same offset in its page.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    slot_bytes: usize,
    step_bytes: usize,
    slots: usize,
}

impl Buffer {
    /// One slot.
    pub fn new(slot_bytes: usize, offset: usize) -> Self {
        Self::slots(slot_bytes, offset, 1)
    }

    /// That many slots of `slot_bytes` bytes, each `offset` bytes behind a page's start.
    pub fn slots(slot_bytes: usize, offset: usize, slots: usize) -> Self {
        let offset = offset % PAGE_BYTES;
        let step_bytes = (slot_bytes + offset).next_multiple_of(PAGE_BYTES);
        // Ones, not zeros: these pages are written, not promised.
        let bytes = vec![1; step_bytes * slots + PAGE_BYTES];
        let start = bytes.as_ptr().addr().next_multiple_of(PAGE_BYTES) - bytes.as_ptr().addr() + offset;
        Self { bytes, start, slot_bytes, step_bytes, slots }
    }

    /// The first `len_bytes` of the slot that is `turn`'s, the slots taking turns.
    pub fn at(&mut self, turn: usize, len_bytes: usize) -> &mut [u8] {
        let start = self.start + turn % self.slots * self.step_bytes;
        &mut self.bytes[start..start + self.slot_bytes][..len_bytes]
    }

    /// The first `len_bytes` of the first slot.
    pub fn head(&mut self, len_bytes: usize) -> &mut [u8] {
        self.at(0, len_bytes)
    }
}

//! Memory with a guard page directly before it and directly after it: one byte too far is a fault.

use super::sys;
use core::slice;

/// A multiple of every page size in use on the systems that the tests run on.
pub const GRANULE: usize = 1 << 16;

/// Readable and writable memory between two ranges that nobody may touch.
pub struct Guarded {
    start: *mut u8,
    len: usize,
}

// SAFETY: the memory belongs to the value alone, like that of a `Vec`.
unsafe impl Send for Guarded {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for Guarded {}

impl Guarded {
    /// At least `len` bytes, rounded up to [`GRANULE`].
    pub fn new(len: usize) -> Self {
        let len = len.next_multiple_of(GRANULE).max(GRANULE);
        let mapping = sys::reserve(len + 2 * GRANULE);
        let start = mapping.wrapping_add(GRANULE);
        // SAFETY: the middle of the range just reserved, between one granule on either side.
        unsafe { sys::open(start, len) };
        Self { start, len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes from `start` are open and were zeroed by the system; they live as long as the value.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and the value is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let mapping = self.start.wrapping_sub(GRANULE);
        // SAFETY: exactly the range that `new` reserved; whoever borrowed from it is gone.
        unsafe { sys::release(mapping, self.len + 2 * GRANULE) };
    }
}

//! The only way the transport touches shared memory: words of one size each, a fence, and copies in and out.
//!
//! The logic of rings, blocks, chains and semaphores is written once, over [`Memory`]. Production runs it over
//! [`Mapped`] memory; tests run the very same code over memory that explores every order of events (loom) and over memory
//! that answers differently at each read, as a hostile peer can. All `unsafe` of that logic is in this folder.
//!
//! An offset outside the memory, or one that is not aligned for its word, touches nothing: a load gives 0 and a store is
//! dropped. The logic checks every index before it gets here; this is the second line behind it.
//!
//! # References
//!
//! No Rust reference to shared bytes is formed: another process may be writing them, which the language does not allow
//! under `&[u8]` (rust-lang/rust#141260). Words are atomics; bytes go through the copy kernels, which are assembly, or
//! through volatile accesses where none was assembled.

mod copier;
mod mapped;

use core::ops::Deref;
use core::sync::atomic::Ordering;

pub use copier::Copier;
pub use mapped::{Access, Mapped};

/// The order of a load: those that a load can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// No order with other accesses.
    Relaxed,
    /// What the releasing store published is visible afterwards.
    Acquire,
}

/// The order of a store: those that a store can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// No order with other accesses.
    Relaxed,
    /// Publishes everything before it to an acquiring load of the value.
    Release,
}

/// Memory that another thread or process reads and writes at the same time.
///
/// Offsets are in bytes from its start. Each location is accessed with one size only, but for blocks, which hold words when
/// they list other blocks, and else bytes. Words are little-endian, as
/// everywhere on x86-64. An access outside, or one that is not aligned, touches nothing and reads as 0.
pub trait Memory {
    /// Its length in bytes.
    fn len_bytes(&self) -> usize;

    /// Reads a word of 4 bytes.
    fn load32(&self, at: usize, order: Load) -> u32;

    /// Writes a word of 4 bytes.
    fn store32(&self, at: usize, value: u32, order: Store);

    /// Replaces a word of 4 bytes and returns what was there.
    fn swap32(&self, at: usize, value: u32, order: Ordering) -> u32;

    /// Replaces `current` by `new`, or returns as an error what was there instead. A failure orders as an acquiring load
    /// if `order` acquires, else not at all.
    ///
    /// # Errors
    ///
    /// What the word held, if it was not `current`; it is unchanged then.
    fn cas32(&self, at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32>;

    /// Adds, wrapping, and returns what was there before.
    fn add32(&self, at: usize, value: u32, order: Ordering) -> u32;

    /// Reads a word of 8 bytes.
    fn load64(&self, at: usize, order: Load) -> u64;

    /// As [`cas32`](Self::cas32), for a word of 8 bytes.
    ///
    /// # Errors
    ///
    /// What the word held, if it was not `current`; it is unchanged then.
    fn cas64(&self, at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64>;

    /// Orders every access before it against every access after it, among all threads that fence (sequentially consistent).
    fn fence(&self);

    /// Copies `dst.len()` bytes out. What another side writes meanwhile arrives in part.
    fn read(&self, at: usize, dst: &mut [u8], copier: Copier);

    /// Copies `src.len()` bytes in.
    fn write(&self, at: usize, src: &[u8], copier: Copier);

    /// Asks for the cache line at an offset, which will be read soon. Changes nothing.
    #[inline(always)]
    fn prefetch(&self, _at: usize) {}

    /// Asks for the cache line at an offset, which will be written soon. Changes nothing.
    #[inline(always)]
    fn prefetch_to_write(&self, _at: usize) {}

    /// What a loop that waits for the other side does in each turn.
    fn relax(&self) {
        core::hint::spin_loop();
    }
}

/// What a side that polls does between two looks at a line: waits until the last one has its answer, a few nanoseconds. On some CPUs
/// `pause` takes 50, and what comes meanwhile waits for half of that; without either, looks that were begun too early are thrown
/// away when the line changes.
#[inline(always)]
pub(crate) fn between_looks() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64, and the instruction touches no memory.
    unsafe {
        core::arch::x86_64::_mm_lfence();
    }
    #[cfg(not(target_arch = "x86_64"))]
    core::hint::spin_loop();
}

/// Memory behind a pointer is the same memory.
impl<P: Deref<Target: Memory>> Memory for P {
    #[inline(always)]
    fn len_bytes(&self) -> usize {
        (**self).len_bytes()
    }
    #[inline(always)]
    fn load32(&self, at: usize, order: Load) -> u32 {
        (**self).load32(at, order)
    }
    #[inline(always)]
    fn store32(&self, at: usize, value: u32, order: Store) {
        (**self).store32(at, value, order);
    }
    #[inline(always)]
    fn swap32(&self, at: usize, value: u32, order: Ordering) -> u32 {
        (**self).swap32(at, value, order)
    }
    #[inline(always)]
    fn cas32(&self, at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32> {
        (**self).cas32(at, current, new, order)
    }
    #[inline(always)]
    fn add32(&self, at: usize, value: u32, order: Ordering) -> u32 {
        (**self).add32(at, value, order)
    }
    #[inline(always)]
    fn load64(&self, at: usize, order: Load) -> u64 {
        (**self).load64(at, order)
    }
    #[inline(always)]
    fn cas64(&self, at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64> {
        (**self).cas64(at, current, new, order)
    }
    #[inline(always)]
    fn fence(&self) {
        (**self).fence();
    }
    #[inline(always)]
    fn read(&self, at: usize, dst: &mut [u8], copier: Copier) {
        (**self).read(at, dst, copier);
    }
    #[inline(always)]
    fn write(&self, at: usize, src: &[u8], copier: Copier) {
        (**self).write(at, src, copier);
    }
    #[inline(always)]
    fn prefetch(&self, at: usize) {
        (**self).prefetch(at);
    }
    #[inline(always)]
    fn prefetch_to_write(&self, at: usize) {
        (**self).prefetch_to_write(at);
    }
    #[inline(always)]
    fn relax(&self) {
        (**self).relax();
    }
}

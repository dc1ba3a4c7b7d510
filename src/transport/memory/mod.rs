//! The only way the transport touches shared memory: words of one size each, a fence, and copies in and out.
//!
//! The logic of rings, blocks, chains and semaphores is written once, over [`Memory`]. Production runs it over
//! [`Mapped`] memory; tests run the very same code over memory that explores every order of events (loom) and over memory
//! that answers differently at each read, as a hostile peer can. All `unsafe` of that logic is in this folder.
//!
//! An offset outside the memory, or one that is not aligned for its word, touches nothing: a load gives 0, or no words, and
//! a store is dropped. The logic checks every index before it gets here; this is the second line behind it.
//!
//! # References
//!
//! No Rust reference to shared bytes is formed: another process may be writing them, which the language does not allow
//! under `&[u8]` (rust-lang/rust#141260). Words are atomics; bytes go through the copy kernels, which are assembly, or
//! through volatile accesses where none was assembled.

mod mapped;

use crate::kernel::ReadyKernel;
use crate::select::copy_part;
use std::array;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use mapped::{Access, Mapped, PAGE_BYTES};

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
/// they list other blocks, and else bytes. Words are little-endian.
pub trait Memory {
    /// Its length in bytes.
    fn len_bytes(&self) -> usize;

    /// Reads a word of 4 bytes.
    fn load32(&self, at: usize, order: Load) -> u32;

    /// Writes a word of 4 bytes.
    fn store32(&self, at: usize, value: u32, order: Store);

    /// Reads `N` words of 4 bytes in a row: the first one with acquire, and the others, relaxed, only if that one is wanted. None if
    /// it is not.
    #[inline(always)]
    fn load_words<const N: usize>(&self, at: usize, is_wanted: impl FnOnce(u32) -> bool) -> Option<[u32; N]> {
        let first = self.load32(at, Load::Acquire);
        let word = |word| if word == 0 { first } else { self.load32(at + 4 * word, Load::Relaxed) };
        is_wanted(first).then(|| array::from_fn(word))
    }

    /// Writes `N` words of 4 bytes in a row: all but the first, relaxed, and then the first one with release.
    #[inline(always)]
    fn store_words<const N: usize>(&self, at: usize, words: [u32; N]) {
        for (word, value) in words.into_iter().enumerate().rev() {
            self.store32(at + 4 * word, value, if word == 0 { Store::Release } else { Store::Relaxed });
        }
    }

    /// Reads so many words of 4 bytes in a row, relaxed, and adds them to `words`.
    #[inline(always)]
    fn load_list(&self, at: usize, count: usize, words: &mut Vec<u32>) {
        words.extend((0..count).map(|word| self.load32(at + 4 * word, Load::Relaxed)));
    }

    /// Replaces `current` by `new`. A failure orders nothing.
    ///
    /// # Errors
    ///
    /// What the word held, if it was not `current`; it is unchanged then.
    fn cas32(&self, at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32>;

    /// Adds, wrapping, and returns what was there before.
    fn add32(&self, at: usize, value: u32, order: Ordering) -> u32;

    /// Reads a word of 8 bytes.
    fn load64(&self, at: usize, order: Load) -> u64;

    /// As [`cas32`](Self::cas32), also in its errors, for a word of 8 bytes.
    fn cas64(&self, at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64>;

    /// Orders every access before it against every access after it, among all threads that fence (sequentially consistent).
    fn fence(&self);

    /// Copies `dst.len()` bytes out. What another side writes meanwhile arrives in part.
    fn read(&self, at: usize, dst: &mut [u8], copier: Copier);

    /// Copies `src.len()` bytes in.
    fn write(&self, at: usize, src: &[u8], copier: Copier);

    /// Asks for the cache line at an offset, which will be read soon, or written. Changes nothing.
    #[inline(always)]
    fn prefetch(&self, _at: usize, _to_write: bool) {}

    /// What a loop that waits for the other side does in each turn.
    fn relax(&self) {
        std::hint::spin_loop();
    }

    /// Sleeps until [`unpark`](Self::unpark) or until the limit has passed, unless the word of 4 bytes is already not
    /// `expected`. May return early for no reason, and with a hostile peer may sleep through a wake: its caller checks again,
    /// within a bound. Memory that is never slept on returns at once.
    fn park(&self, _at: usize, _expected: u32, _limit: Duration) {}

    /// Wakes all threads that sleep on the word.
    fn unpark(&self, _at: usize) {}
}

/// What a side that polls does between two looks at a line: waits until the last one has its answer, a few nanoseconds. On some CPUs
/// `pause` takes 50, and what comes meanwhile waits for half of that; without either, looks that were begun too early are thrown
/// away when the line changes.
#[inline(always)]
pub(crate) fn between_looks() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64, and the instruction touches no memory.
    unsafe {
        std::arch::x86_64::_mm_lfence();
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::spin_loop();
}

/// What copies bytes in and out: a kernel of the caller's choice, or the plan in force.
///
/// A transfer of many segments is one transfer: the plan is asked for its whole length, so that a long one is copied past
/// the caches where the plan says so, however short its segments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copier {
    kernel: Option<ReadyKernel>,
    total_bytes: usize,
}

impl Copier {
    /// Copies with the kernels of the plan that [`memcpy_auto`](crate::memcpy_auto) follows, short lengths too: their
    /// instructions may meet memory that another process is writing, and compiled code may not.
    pub const AUTO: Self = Self { kernel: None, total_bytes: 0 };

    /// Copies with one kernel, whatever the length.
    #[inline]
    pub const fn with(kernel: ReadyKernel) -> Self {
        Self { kernel: Some(kernel), total_bytes: 0 }
    }

    /// The same choice of kernel, for a transfer of that length.
    #[inline]
    #[must_use]
    pub const fn for_total(self, total_bytes: usize) -> Self {
        Self { kernel: self.kernel, total_bytes }
    }

    /// Copies between two ranges of memory that are this process's alone, as much as both hold. How many bytes.
    #[inline]
    pub(super) fn copy_private(self, dst: &mut [u8], src: &[u8]) -> usize {
        let len_bytes = dst.len().min(src.len());
        if self.kernel.is_none() {
            crate::memcpy_auto(&mut dst[..len_bytes], &src[..len_bytes]);
        } else {
            // SAFETY: both ranges are borrowed and hold as many bytes, one of them exclusively, so that they are apart.
            unsafe { self.copy(dst.as_mut_ptr(), src.as_ptr(), len_bytes) }
        }
        len_bytes
    }

    /// # Safety
    ///
    /// `src` is valid for reads and `dst` for writes of `len_bytes`, the ranges do not overlap, and at most one of them is
    /// written by others meanwhile, as memory and not as Rust objects.
    #[inline]
    unsafe fn copy(self, dst: *mut u8, src: *const u8, len_bytes: usize) {
        if let Some(ready) = self.kernel {
            // SAFETY: the ranges are valid and apart, which the caller vouches for; the CPU has what the kernel needs, since a
            // `ReadyKernel` exists only for an available one.
            return unsafe { ready.kernel().copy(dst, src, len_bytes) };
        }
        // SAFETY: the ranges are valid and apart, which the caller vouches for.
        unsafe { copy_part(dst, src, len_bytes, self.total_bytes) }
    }
}

//! Memory that is mapped into this process, and may be into others.

use super::{Copier, Load, Memory, Store};
use core::ptr::NonNull;
use core::sync::atomic::{self, AtomicU32, AtomicU64, Ordering};
use std::alloc::{self, Layout};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What this side may do with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only: a store is dropped.
    Read,
    /// Read and write.
    ReadWrite,
}

/// Memory at an address of this process, kept alive by its owner.
#[derive(Clone)]
pub struct Mapped {
    base: NonNull<u8>,
    len_bytes: usize,
    /// The part that may be written: all or nothing.
    writable_bytes: usize,
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: all access is through atomics and copies that allow for others at the same time; the owner is `Send + Sync`.
unsafe impl Send for Mapped {}
// SAFETY: through a shared reference too all access is through atomics and copies that allow for others at the same time;
// the owner is `Sync`.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// The memory of `len_bytes` at `base`, which `owner` keeps.
    ///
    /// # Safety
    ///
    /// - `base` is aligned to 8 and valid for reads, and with [`Access::ReadWrite`] for writes, of `len_bytes` bytes for as
    ///   long as `owner` lives, whatever other processes do (no truncation).
    /// - As long as it is shared, this process touches the bytes through `Mapped` and its pointers alone: no reference to
    ///   them exists that another side's writes would violate.
    pub unsafe fn new(base: NonNull<u8>, len_bytes: usize, access: Access, owner: Arc<dyn Any + Send + Sync>) -> Self {
        let writable_bytes = if access == Access::ReadWrite { len_bytes } else { 0 };
        Self { base, len_bytes, writable_bytes, _owner: owner }
    }

    /// Zeroed memory of this process alone, on a page boundary, for both sides in one process. `None` if there is none
    /// left, or for a length of 0.
    pub fn private(len_bytes: usize) -> Option<Self> {
        let heap = Heap::new(len_bytes)?;
        let base = heap.base;
        // SAFETY: the allocation is page-aligned, valid for its length until `heap` is dropped, and nothing else refers
        // to it.
        Some(unsafe { Self::new(base, len_bytes, Access::ReadWrite, Arc::new(heap)) })
    }

    /// The same memory, to be read only.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self { writable_bytes: 0, ..self.clone() }
    }

    /// What this side may do with it.
    pub fn access(&self) -> Access {
        if self.writable_bytes == 0 { Access::Read } else { Access::ReadWrite }
    }

    /// The address of a range of bytes that lies inside.
    ///
    /// The other side may be writing there: read and write through the pointer with the kernels or volatile accesses,
    /// and form no reference unless this side alone can write it.
    #[inline(always)]
    pub fn pointer(&self, at: usize, len_bytes: usize) -> Option<NonNull<u8>> {
        Self::place(self.base, self.len_bytes, at, len_bytes)
    }

    /// The word of 4 bytes at an offset, for calls that need its address, such as futexes.
    #[inline(always)]
    pub fn word32(&self, at: usize) -> Option<&AtomicU32> {
        let place = self.pointer(at, 4)?.cast::<u32>();
        // SAFETY: four bytes inside the memory, valid as long as the owner, which `self` keeps; aligned, as just below;
        // every access to this location is atomic and has this size.
        place.is_aligned().then(|| unsafe { AtomicU32::from_ptr(place.as_ptr()) })
    }

    #[inline(always)]
    fn writable32(&self, at: usize) -> Option<&AtomicU32> {
        if self.writable_bytes == 0 { None } else { self.word32(at) }
    }

    #[inline(always)]
    fn word64(&self, at: usize) -> Option<&AtomicU64> {
        let place = self.pointer(at, 8)?.cast::<u64>();
        // SAFETY: eight bytes inside the memory, valid as long as the owner, which `self` keeps; aligned, as just below; every
        // access to this location is atomic and has this size.
        place.is_aligned().then(|| unsafe { AtomicU64::from_ptr(place.as_ptr()) })
    }

    #[inline(always)]
    fn place(base: NonNull<u8>, whole_bytes: usize, at: usize, len_bytes: usize) -> Option<NonNull<u8>> {
        let is_inside = whole_bytes.checked_sub(len_bytes).is_some_and(|last| at <= last);
        // SAFETY: `at` is at most the length of the memory, which is one object.
        is_inside.then(|| unsafe { base.add(at) })
    }
}

/// The order of a compare-and-swap that failed: as a load of the same strength.
#[inline(always)]
fn of_failure(order: Ordering) -> Ordering {
    match order {
        Ordering::Acquire | Ordering::AcqRel => Ordering::Acquire,
        Ordering::SeqCst => Ordering::SeqCst,
        _ => Ordering::Relaxed,
    }
}

impl Memory for Mapped {
    #[inline(always)]
    fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    #[inline(always)]
    fn load32(&self, at: usize, order: Load) -> u32 {
        self.word32(at).map_or(0, |word| match order {
            Load::Relaxed => word.load(Ordering::Relaxed),
            Load::Acquire => word.load(Ordering::Acquire),
        })
    }

    #[inline(always)]
    fn store32(&self, at: usize, value: u32, order: Store) {
        if let Some(word) = self.writable32(at) {
            match order {
                Store::Relaxed => word.store(value, Ordering::Relaxed),
                Store::Release => word.store(value, Ordering::Release),
            }
        }
    }

    #[inline(always)]
    fn swap32(&self, at: usize, value: u32, order: Ordering) -> u32 {
        self.writable32(at).map_or(0, |word| word.swap(value, order))
    }

    #[inline(always)]
    fn cas32(&self, at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32> {
        let word = self.writable32(at).ok_or(0_u32)?;
        word.compare_exchange(current, new, order, of_failure(order))
    }

    #[inline(always)]
    fn add32(&self, at: usize, value: u32, order: Ordering) -> u32 {
        self.writable32(at).map_or(0, |word| word.fetch_add(value, order))
    }

    #[inline(always)]
    fn load64(&self, at: usize, order: Load) -> u64 {
        self.word64(at).map_or(0, |word| match order {
            Load::Relaxed => word.load(Ordering::Relaxed),
            Load::Acquire => word.load(Ordering::Acquire),
        })
    }

    #[inline(always)]
    fn cas64(&self, at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64> {
        let word = if self.writable_bytes == 0 { None } else { self.word64(at) };
        word.ok_or(0_u64)?.compare_exchange(current, new, order, of_failure(order))
    }

    #[inline(always)]
    fn fence(&self) {
        atomic::fence(Ordering::SeqCst);
    }

    #[inline]
    fn read(&self, at: usize, dst: &mut [u8], copier: Copier) {
        match self.pointer(at, dst.len()) {
            // SAFETY: the range was just found inside the memory; `dst` is borrowed exclusively, so that they do not
            // overlap; others write the source as memory only.
            Some(src) => unsafe { copier.copy(dst.as_mut_ptr(), src.as_ptr(), dst.len()) },
            None => dst.fill(0),
        }
    }

    #[inline]
    fn write(&self, at: usize, src: &[u8], copier: Copier) {
        if let Some(dst) = Self::place(self.base, self.writable_bytes, at, src.len()) {
            // SAFETY: the range was just found inside what may be written; no reference to shared bytes exists, so that
            // `src` does not overlap it.
            unsafe { copier.copy(dst.as_ptr(), src.as_ptr(), src.len()) }
        }
    }

    #[inline(always)]
    fn prefetch(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(place) = self.pointer(at, 1) {
            // SAFETY: a prefetch is a hint, and this one is of an address inside.
            unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(place.as_ptr().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    #[inline(always)]
    fn prefetch_to_write(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(place) = self.pointer(at, 1) {
            // SAFETY: a hint, of an address inside; CPUs that do not know it do nothing.
            unsafe {
                core::arch::asm!("prefetchw [{}]", in(reg) place.as_ptr(), options(nostack, preserves_flags, readonly));
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped")
            .field("base", &self.base)
            .field("len_bytes", &self.len_bytes)
            .field("access", &self.access())
            .finish_non_exhaustive()
    }
}

/// The owner of [`Mapped::private`] memory.
struct Heap {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it only holds the allocation and frees it once.
unsafe impl Send for Heap {}
// SAFETY: nothing is done through a shared reference, so that threads that have one cannot disturb each other.
unsafe impl Sync for Heap {}

impl Heap {
    fn new(len_bytes: usize) -> Option<Self> {
        const PAGE_BYTES: usize = 4096;
        let layout = Layout::from_size_align(len_bytes, PAGE_BYTES).ok().filter(|layout| layout.size() > 0)?;
        // SAFETY: the layout is not empty.
        let base = unsafe { alloc::alloc_zeroed(layout) };
        NonNull::new(base).map(|base| Self { base, layout })
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed only here.
        unsafe { alloc::dealloc(self.base.as_ptr(), self.layout) }
    }
}

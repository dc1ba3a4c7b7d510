//! Memory that is mapped into this process, and may be into others.

use super::{Copier, Load, Memory, Store};
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, ProtFlags};
use rustix::thread::futex;
use std::any::Any;
use std::array;
use std::fs;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Regions are whole pages, and so are the parts that are mapped.
pub const PAGE_BYTES: usize = 4096;

/// How long a wait on a word is where there are no futexes.
const REFUSED_SLEEP: Duration = Duration::from_micros(500);

/// What is copied out at a time, of transfers up to this length, where this side may not write. String instructions leave the lines of
/// a longer source in both caches there, and its writer has to take each of them back (seen on Zen 5: `results/TRIED.md`).
const PIECE_BYTES: usize = 16 << 10;
const MAX_IN_PIECES: usize = 112 << 10;

/// What this side may do with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only: a store is dropped.
    Read,
    /// Read and write.
    ReadWrite,
}

impl Access {
    fn protection(self) -> ProtFlags {
        match self {
            Self::Read => ProtFlags::READ,
            Self::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        }
    }
}

/// What shared memory is seen as: a word, or words of 4 bytes in a row.
///
/// # Safety
///
/// Whatever the bytes are, they are one, and each access to it through a shared reference is atomic and has the size of a word.
unsafe trait Words {}

// SAFETY: an atomic word.
unsafe impl Words for AtomicU32 {}
// SAFETY: an atomic word.
unsafe impl Words for AtomicU64 {}
// SAFETY: atomic words.
unsafe impl<const N: usize> Words for [AtomicU32; N] {}

/// Memory at an address of this process, kept alive by its owner.
#[derive(Clone, Debug)]
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
        Self::zeros(len_bytes, Access::ReadWrite).ok()
    }

    fn zeros(len_bytes: usize, access: Access) -> Result<Self, Errno> {
        // SAFETY: a new mapping at an address of the system's choice replaces none.
        let base = unsafe { mm::mmap_anonymous(ptr::null_mut(), len_bytes, access.protection(), MapFlags::PRIVATE) }?;
        Self::owning(base.cast(), len_bytes, access)
    }

    /// Maps `len_bytes` of a file, from the page at `start_bytes` on. The file cannot be truncated: its seals were set or
    /// verified before, or somebody has vouched for that.
    pub(crate) fn of_file(file: &OwnedFd, start_bytes: usize, len_bytes: usize, access: Access) -> Result<Self, Errno> {
        let (protection, flags) = (access.protection(), MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the system's choice replaces none.
        let base = unsafe { mm::mmap(ptr::null_mut(), len_bytes, protection, flags, file, start_bytes as u64) }?;
        Self::owning(base.cast(), len_bytes, access)
    }

    /// Maps two files as one range of `whole_bytes`, to be read: the first at its start, the second at its end, and zeros in
    /// between. All lengths are whole pages; neither file can be truncated, as above.
    pub(crate) fn of_two(files: &[(OwnedFd, usize); 2], whole_bytes: usize) -> Result<Self, Errno> {
        let whole = Self::zeros(whole_bytes, Access::Read)?;
        let last_at = whole_bytes.saturating_sub(files[1].1);
        for ((file, len_bytes), at) in files.iter().zip([0, last_at]) {
            let place = whole.pointer(at, *len_bytes).ok_or(Errno::INVAL)?.as_ptr().cast();
            let flags = MapFlags::SHARED.union(MapFlags::FIXED);
            // SAFETY: the range is inside the mapping that was just made, so that only its pages are replaced, and no other
            // thread knows its address yet.
            unsafe { mm::mmap(place, *len_bytes, ProtFlags::READ, flags, file, 0) }?;
        }
        Ok(whole)
    }

    /// What was mapped just now.
    fn owning(base: *mut u8, len_bytes: usize, access: Access) -> Result<Self, Errno> {
        let base = NonNull::new(base).ok_or(Errno::FAULT)?;
        let mapping = Arc::new(Mapping { base, len_bytes });
        // SAFETY: the mapping is page-aligned, may be accessed so, and stays as long as `mapping`; it is anonymous, or its file
        // cannot be truncated. Only this value and its copies ever know the address.
        Ok(unsafe { Self::new(base, len_bytes, access, mapping) })
    }

    /// Asks for huge pages; false where the system's settings do not follow such advice in shared memory.
    pub(crate) fn advise_huge(&self) -> bool {
        let setting = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
        let follows = ["[always]", "[within_size]", "[advise]", "[force]"].iter().any(|value| setting.contains(value));
        follows && self.advise(0, self.len_bytes, Advice::LinuxHugepage).is_ok()
    }

    /// Has every page of a part there. Where the system cannot do that at once (Linux before 5.14), or a filter of system calls
    /// does not let it, one read of each does it.
    pub(crate) fn prefault(&self, start_bytes: usize, len_bytes: usize) -> Result<(), Errno> {
        let advice = match self.access() {
            Access::Read => Advice::LinuxPopulateRead,
            Access::ReadWrite => Advice::LinuxPopulateWrite,
        };
        match self.advise(start_bytes, len_bytes, advice) {
            Err(Errno::INVAL | Errno::PERM | Errno::NOSYS) => {
                self.touch(start_bytes, len_bytes);
                Ok(())
            }
            result => result,
        }
    }

    /// Reads a word of each page.
    pub(crate) fn touch(&self, start_bytes: usize, len_bytes: usize) {
        for at in (start_bytes..start_bytes + len_bytes).step_by(PAGE_BYTES) {
            std::hint::black_box(self.load32(at, Load::Relaxed));
        }
    }

    fn advise(&self, start_bytes: usize, len_bytes: usize, advice: Advice) -> Result<(), Errno> {
        let start = self.pointer(start_bytes, len_bytes).ok_or(Errno::FAULT)?;
        // SAFETY: the range is inside the mapping; these pieces of advice change no contents and unmap nothing.
        unsafe { mm::madvise(start.as_ptr().cast(), len_bytes, advice) }
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
        self.words(at)
    }

    #[inline(always)]
    fn words<W: Words>(&self, at: usize) -> Option<&W> {
        let place = self.pointer(at, size_of::<W>())?.cast::<W>();
        // SAFETY: as many bytes inside the memory, valid as long as the owner, which `self` keeps; aligned, as just looked at;
        // every access to one of the words is atomic and has its size.
        if place.is_aligned() { Some(unsafe { place.as_ref() }) } else { None }
    }

    #[inline(always)]
    fn writable<W: Words>(&self, at: usize) -> Option<&W> {
        if self.writable_bytes == 0 { None } else { self.words(at) }
    }

    #[inline(always)]
    fn place(base: NonNull<u8>, whole_bytes: usize, at: usize, len_bytes: usize) -> Option<NonNull<u8>> {
        let is_inside = whole_bytes.checked_sub(len_bytes).is_some_and(|last| at <= last);
        // SAFETY: `at` is at most the length of the memory, which is one object.
        is_inside.then(|| unsafe { base.add(at) })
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
        if let Some(word) = self.writable::<AtomicU32>(at) {
            match order {
                Store::Relaxed => word.store(value, Ordering::Relaxed),
                Store::Release => word.store(value, Ordering::Release),
            }
        }
    }

    #[inline(always)]
    fn load_words<const N: usize>(&self, at: usize, is_wanted: impl FnOnce(u32) -> bool) -> Option<[u32; N]> {
        let words = self.words::<[AtomicU32; N]>(at)?;
        let first = words.first()?.load(Ordering::Acquire);
        let word = |word: usize| if word == 0 { first } else { words[word].load(Ordering::Relaxed) };
        is_wanted(first).then(|| array::from_fn(word))
    }

    #[inline(always)]
    fn store_words<const N: usize>(&self, at: usize, words: [u32; N]) {
        let Some(places) = self.writable::<[AtomicU32; N]>(at) else { return };
        for (word, (place, &value)) in places.iter().zip(&words).enumerate().rev() {
            place.store(value, if word == 0 { Ordering::Release } else { Ordering::Relaxed });
        }
    }

    #[inline(always)]
    fn load_list(&self, at: usize, count: usize, words: &mut Vec<u32>) {
        let place =
            count.checked_mul(4).and_then(|len_bytes| self.pointer(at, len_bytes)).map(NonNull::cast::<AtomicU32>);
        let Some(place) = place.filter(|place| place.is_aligned()) else { return words.resize(words.len() + count, 0) };
        // SAFETY: as many words inside the memory, which stays as long as `self`; aligned, as just looked at; every access to one of
        // them is atomic and has its size.
        let list = unsafe { slice::from_raw_parts(place.as_ptr(), count) };
        words.extend(list.iter().map(|word| word.load(Ordering::Relaxed)));
    }

    #[inline(always)]
    fn cas32(&self, at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32> {
        let word = self.writable::<AtomicU32>(at).ok_or(0_u32)?;
        word.compare_exchange(current, new, order, Ordering::Relaxed)
    }

    #[inline(always)]
    fn add32(&self, at: usize, value: u32, order: Ordering) -> u32 {
        self.writable(at).map_or(0, |word: &AtomicU32| word.fetch_add(value, order))
    }

    #[inline(always)]
    fn load64(&self, at: usize, order: Load) -> u64 {
        self.words(at).map_or(0, |word: &AtomicU64| match order {
            Load::Relaxed => word.load(Ordering::Relaxed),
            Load::Acquire => word.load(Ordering::Acquire),
        })
    }

    #[inline(always)]
    fn cas64(&self, at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64> {
        let word = self.writable::<AtomicU64>(at).ok_or(0_u64)?;
        word.compare_exchange(current, new, order, Ordering::Relaxed)
    }

    #[inline(always)]
    fn fence(&self) {
        atomic::fence(Ordering::SeqCst);
    }

    #[inline]
    fn read(&self, at: usize, dst: &mut [u8], copier: Copier) {
        let Some(src) = self.pointer(at, dst.len()) else { return dst.fill(0) };
        let total_bytes = copier.total_bytes.max(dst.len());
        if self.writable_bytes > 0 || dst.len() <= PIECE_BYTES || total_bytes > MAX_IN_PIECES {
            // SAFETY: the range was just found inside the memory; `dst` is borrowed exclusively, so that they do not
            // overlap; others write the source as memory only.
            return unsafe { copier.copy(dst.as_mut_ptr(), src.as_ptr(), dst.len()) };
        }
        let copier = copier.for_total(total_bytes);
        for (number, piece) in dst.chunks_mut(PIECE_BYTES).enumerate() {
            // SAFETY: as above, for a part of both.
            unsafe { copier.copy(piece.as_mut_ptr(), src.as_ptr().add(number * PIECE_BYTES), piece.len()) }
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

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn prefetch(&self, at: usize, to_write: bool) {
        let Some(place) = self.pointer(at, 1).map(NonNull::as_ptr) else { return };
        // SAFETY: a prefetch is a hint, and these are of an address inside; CPUs that do not know the second one do nothing.
        unsafe {
            if to_write {
                std::arch::asm!("prefetchw [{}]", in(reg) place, options(nostack, preserves_flags, readonly));
            } else {
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
            }
        }
    }

    fn park(&self, at: usize, expected: u32, duration: Duration) {
        let Some(word) = self.word32(at) else { return };
        let Ok(limit) = Timespec::try_from(duration) else { return };
        // Not private: the other side is another process. Every outcome means the same: look again.
        let result = futex::wait(word, futex::Flags::empty(), expected, Some(&limit));
        if let Err(Errno::PERM | Errno::NOSYS) = result {
            // A filter of system calls does not let it sleep on a word: look again soon, and burn no CPU until then.
            thread::sleep(duration.min(REFUSED_SLEEP));
        }
    }

    fn unpark(&self, at: usize) {
        const ALL: u32 = i32::MAX as u32;
        if let Some(word) = self.word32(at) {
            let _ = futex::wake(word, futex::Flags::empty(), ALL);
        }
    }
}

/// A mapping, undone when it is dropped: the owner of what was mapped here.
struct Mapping {
    base: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: it only holds the mapping and undoes it once; no thread is special to a mapping.
unsafe impl Send for Mapping {}
// SAFETY: nothing is done through a shared reference, so that threads that have one cannot disturb each other.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length; the last `Mapped` of it, which alone knew the address, is gone.
        let result = unsafe { mm::munmap(self.base.as_ptr().cast(), self.len_bytes) };
        debug_assert!(result.is_ok());
    }
}

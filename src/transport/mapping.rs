//! Mappings of regions: made, advised on, pre-faulted, and undone.

use super::memory::{Access, Load, Mapped, Memory};
use super::region_error::RegionError;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::fs;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// Regions are whole pages, and so are the parts that are mapped.
pub const PAGE_BYTES: usize = 4096;

pub(super) fn map(
    descriptor: &OwnedFd,
    start_bytes: usize,
    len_bytes: usize,
    access: Access,
) -> Result<Mapped, RegionError> {
    let protection = match access {
        Access::Read => ProtFlags::READ,
        Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
    };
    let error = |cause: Errno| RegionError::Map { len_bytes, access, cause: cause.into() };
    let len = NonZeroUsize::new(len_bytes).ok_or(RegionError::Length { len_bytes })?;
    // SAFETY: a new mapping at an address of the system's choice replaces none.
    let base = unsafe {
        rustix::mm::mmap(ptr::null_mut(), len.get(), protection, MapFlags::SHARED, descriptor, start_bytes as u64)
    }
    .map_err(error)?;
    let base = NonNull::new(base.cast::<u8>()).ok_or_else(|| error(Errno::FAULT))?;
    let mapping = Mapping { base, len_bytes };
    // SAFETY: the mapping is page-aligned and stays as long as `mapping`. It cannot be truncated: its seals were set or
    // verified before, or the caller of `map_unsealed` vouches for that. Only `Mapped` ever sees the address.
    Ok(unsafe { Mapped::new(base, len_bytes, access, Arc::new(mapping)) })
}

/// Advises the use of huge pages; false where the system's settings do not follow such advice in shared memory.
pub(super) fn advise_huge(memory: &Mapped) -> bool {
    let setting = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
    let follows = ["[always]", "[within_size]", "[advise]", "[force]"].iter().any(|value| setting.contains(value));
    follows && advise(memory, 0, memory.len_bytes(), Advice::LinuxHugepage).is_ok()
}

/// Has every page of a part there. Where the system cannot do that at once (Linux before 5.14), or a filter of system calls
/// does not let it, one read of each does it.
pub(super) fn prefault(memory: &Mapped, start_bytes: usize, len_bytes: usize) -> Result<(), RegionError> {
    let advice = match memory.access() {
        Access::Read => Advice::LinuxPopulateRead,
        Access::ReadWrite => Advice::LinuxPopulateWrite,
    };
    match advise(memory, start_bytes, len_bytes, advice) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::PERM | Errno::NOSYS) => {
            touch(memory, start_bytes, len_bytes);
            Ok(())
        }
        Err(cause) => Err(RegionError::Prefault { len_bytes, cause: cause.into() }),
    }
}

pub(super) fn touch(memory: &Mapped, start_bytes: usize, len_bytes: usize) {
    for at in (start_bytes..start_bytes + len_bytes).step_by(PAGE_BYTES) {
        std::hint::black_box(memory.load32(at, Load::Relaxed));
    }
}

fn advise(memory: &Mapped, start_bytes: usize, len_bytes: usize, advice: Advice) -> Result<(), Errno> {
    let start = memory.pointer(start_bytes, len_bytes).ok_or(Errno::FAULT)?;
    // SAFETY: the range is inside the mapping; these pieces of advice change no contents and unmap nothing.
    unsafe { rustix::mm::madvise(start.as_ptr().cast(), len_bytes, advice) }
}

/// A mapping, undone when it is dropped.
pub(super) struct Mapping {
    pub(super) base: NonNull<u8>,
    pub(super) len_bytes: usize,
}

// SAFETY: it only holds the mapping and undoes it once; no thread is special to a mapping.
unsafe impl Send for Mapping {}
// SAFETY: nothing is done through a shared reference, so that threads that have one cannot disturb each other.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length; `Mapped`, which alone knows the address, holds this value, and is gone.
        let result = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len_bytes) };
        debug_assert!(result.is_ok());
    }
}

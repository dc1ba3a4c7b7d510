//! Memory that both processes map: a sealed memfd, and a mapping of it.

use crate::lab::paths::ways::PathError;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;

/// The seals without which the other side could pull the memory away.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// Makes a memfd of that size whose size is sealed.
pub(crate) fn sealed(bytes: usize) -> Result<OwnedFd, PathError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memfd = rustix::fs::memfd_create("memcpy-select", flags).map_err(PathError::unavailable("memfd_create"))?;
    rustix::fs::ftruncate(&memfd, bytes as u64).map_err(PathError::system("ftruncate"))?;
    rustix::fs::fcntl_add_seals(&memfd, SEALS).map_err(PathError::unavailable("F_ADD_SEALS"))?;
    Ok(memfd)
}

/// Whether the other side's memfd has that size for good.
pub(crate) fn verify(memfd: &OwnedFd, bytes: usize) -> Result<(), PathError> {
    let seals = rustix::fs::fcntl_get_seals(memfd).map_err(PathError::system("F_GET_SEALS"))?;
    let size = rustix::fs::fstat(memfd).map_err(PathError::system("fstat"))?.st_size;
    if !seals.contains(SEALS) {
        return Err(PathError::protocol("memory whose size is not sealed"));
    }
    if u64::try_from(size).is_ok_and(|size| size == bytes as u64) {
        return Ok(());
    }
    Err(PathError::protocol(format!("memory of {size} bytes in place of {bytes}")))
}

/// A mapping, undone when it is dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    at: *mut u8,
    bytes: usize,
}

impl Mapping {
    /// Maps `bytes` of the memfd from `offset` on, which is a multiple of a page.
    pub(crate) fn of(
        memfd: impl AsFd,
        offset: usize,
        bytes: usize,
        rights: ProtFlags,
        flags: MapFlags,
    ) -> Result<Self, PathError> {
        // SAFETY: a fresh mapping at an address of the system's choice aliases nothing of this process.
        let at = unsafe { rustix::mm::mmap(ptr::null_mut(), bytes, rights, flags, memfd, offset as u64) }
            .map_err(PathError::system("mmap"))?;
        Ok(Self { at: at.cast(), bytes })
    }

    /// Maps all of the memfd for reading and writing, every page faulted in.
    pub(crate) fn all(memfd: impl AsFd, bytes: usize) -> Result<Self, PathError> {
        Self::of(memfd, 0, bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::POPULATE)
    }

    /// As [`all`](Self::all), for reading only.
    pub(crate) fn to_read(memfd: impl AsFd, bytes: usize) -> Result<Self, PathError> {
        Self::of(memfd, 0, bytes, ProtFlags::READ, MapFlags::SHARED | MapFlags::POPULATE)
    }

    /// Where it starts.
    pub(crate) const fn at(&self) -> *mut u8 {
        self.at
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own; who took a pointer from it does not use it any longer.
        let result = unsafe { rustix::mm::munmap(self.at.cast(), self.bytes) };
        debug_assert!(result.is_ok());
    }
}

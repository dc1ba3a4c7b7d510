//! Copy-on-write hand-over: each payload in a memfd of its own, which the producer maps, writes, unmaps and seals, and
//! the consumer receives, verifies, maps and reads. No byte is copied; the kernel makes and takes away the pages.
//!
//! `MAP_PRIVATE` alone is no snapshot, since the producer could still write to the pages; the write seal is what makes it
//! one. A consumer that wants to write would map the same descriptor privately and copy the pages it touches.

use crate::lab::paths::ways::shared::Mapping;
use crate::lab::paths::ways::{Consumer, PathError, Producer};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::OwnedFd;

/// After these the payload cannot be written, nor its size be changed.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);
/// System calls of [`prepare`] and of [`take`] for a payload that is not empty, with closing the descriptor.
pub(crate) const PREPARE_CALLS: u64 = 6;
/// See [`PREPARE_CALLS`].
pub(crate) const TAKE_CALLS: u64 = 5;

/// How a payload that will be touched is mapped: all pages at once.
fn flags(base: MapFlags, touch: bool) -> MapFlags {
    if touch { base | MapFlags::POPULATE } else { base }
}

/// A payload in sealed memory, `offset` bytes behind its start.
pub(crate) fn prepare(
    len_bytes: usize,
    offset: usize,
    touch: bool,
    producer: &mut Producer,
) -> Result<OwnedFd, PathError> {
    let memfd = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memfd = rustix::fs::memfd_create("payload", memfd).map_err(PathError::unavailable("memfd_create"))?;
    let bytes = len_bytes + offset;
    rustix::fs::ftruncate(&memfd, bytes as u64).map_err(PathError::system("ftruncate"))?;
    if bytes > 0 {
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        let mapping = Mapping::of(&memfd, 0, bytes, rights, flags(MapFlags::SHARED, touch))?;
        // SAFETY: the payload lies in the mapping, which this end alone has.
        unsafe { producer.write(mapping.at().wrapping_add(offset), len_bytes) };
    }
    rustix::fs::fcntl_add_seals(&memfd, SEALS).map_err(PathError::unavailable("F_SEAL_WRITE"))?;
    Ok(memfd)
}

/// Reads such a payload, once it is sure that it cannot be changed.
pub(crate) fn take(
    memfd: &OwnedFd,
    len_bytes: usize,
    offset: usize,
    touch: bool,
    consumer: &mut Consumer,
) -> Result<(), PathError> {
    let seals = rustix::fs::fcntl_get_seals(memfd).map_err(PathError::system("F_GET_SEALS"))?;
    if !seals.contains(SEALS) {
        return Err(PathError::protocol("a payload that could still be changed"));
    }
    let size = rustix::fs::fstat(memfd).map_err(PathError::system("fstat"))?.st_size;
    let bytes = len_bytes + offset;
    if u64::try_from(size) != Ok(bytes as u64) {
        return Err(PathError::protocol(format!("a payload of {size} bytes in place of {bytes}")));
    }
    if bytes > 0 {
        let mapping = Mapping::of(memfd, 0, bytes, ProtFlags::READ, flags(MapFlags::PRIVATE, touch))?;
        // SAFETY: the payload lies in the mapping, and the seals keep its pages there.
        unsafe { consumer.read(mapping.at().wrapping_add(offset), len_bytes) };
    }
    Ok(())
}

//! Why there is no region, and what must be true of one.

#![forbid(unsafe_code)]

use super::connect::{is_forbidden, is_limit};
use super::error::errors;
use super::memory::Access;
use rustix::fs::SealFlags;
use std::io;

/// What must be true of a region that another process made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// Its size cannot change.
    Size,
    /// Nor can it be written by a process that has not mapped it yet, nor its pages be taken away.
    SizeAndWriting,
}

impl Sealing {
    pub(super) const fn is_in(self, seals: SealFlags) -> bool {
        let size = SealFlags::SHRINK.union(SealFlags::GROW);
        // A full write seal promises more than one for future writes.
        let writing = seals.intersects(SealFlags::WRITE.union(SealFlags::FUTURE_WRITE));
        seals.contains(size) && (matches!(self, Self::Size) || writing)
    }
}

errors! {
    /// Why a region was not made or not mapped. `len_bytes` is the length that was asked for, `cause` what the system said.
    #[derive(Debug)]
    pub enum RegionError {
        /// A length of 0, or beyond what a process can map.
        Length { len_bytes: usize } =>
            "a region cannot have {len_bytes} bytes: nothing is mapped; ask for at least one byte and less than half \
             of the address space";
        /// A part that is empty, not in whole pages or not inside its region of `whole_bytes`.
        Part { start_bytes: usize, len_bytes: usize, whole_bytes: usize } =>
            "{len_bytes} bytes at offset {start_bytes} are not a part in whole pages of a region of {whole_bytes} \
             bytes: nothing is mapped; give a start and a length that are multiples of 4096 and lie inside";
        /// The system made no memfd of that length.
        Create { len_bytes: usize, cause: io::Error }
            if is_forbidden(cause) =>
                "the system made no shared memory of {len_bytes} bytes ({cause}): there is no region; have the filter \
                 of system calls or the security module that refuses memfd_create or ftruncate allow it";
            =>
                "the system made no shared memory of {len_bytes} bytes ({cause}): there is no region; ask for less, \
                 free memory and descriptors, or raise the limits of open files and file sizes";
        /// The system did not seal.
        Seal { cause: io::Error } =>
            "shared memory cannot be sealed ({cause}): it is not shared, since it could be truncated under the other \
             side; Linux 5.1 is needed, and a filter of system calls must allow fcntl(F_ADD_SEALS)";
        /// The system did not map for reading, or also for writing.
        Map { len_bytes: usize, access: Access, cause: io::Error } =>
            "cannot map {len_bytes} bytes {} ({cause}): the region is not used; {}",
            if *access == Access::Read { "for reading" } else { "for reading and writing" },
            if is_limit(cause) {
                "free memory, or raise the limit of address space"
            } else {
                "ask for what its descriptor and its seals allow"
            };
        /// There are not enough pages.
        Prefault { len_bytes: usize, cause: io::Error } =>
            "there are not {len_bytes} bytes of memory to pre-fault ({cause}): the region is not used, since its first \
             use would end the process; ask for less or free memory";
        /// The descriptor is not a memfd, or the system does not say what it is.
        NotSealable { cause: io::Error }
            if is_forbidden(cause) =>
                "the system does not tell this process the seals or the size of a descriptor ({cause}): it is not \
                 mapped, since it could be truncated; have the filter of system calls allow fcntl(F_GET_SEALS) and \
                 fstat";
            =>
                "the descriptor is not a memfd ({cause}): it is not mapped, since it could be truncated; have the \
                 other side pass a sealed memfd";
        /// The descriptor has other seals than promised: these, as `F_SEAL_` bits.
        NotSealed { promised: Sealing, found_bits: u32 } =>
            "the memfd has the seals {found_bits:#x}, which do not keep {}: it is not mapped; have the other side seal \
             it before it passes it",
            if *promised == Sealing::Size { "its size" } else { "its size and who may write it" };
        /// The system did not open it once more for reading only.
        ReadOnly { cause: io::Error } =>
            "the region cannot be opened once more for reading only ({cause}): it is not shared; {}, or seal the \
             region against writing",
            if is_limit(cause) { "close descriptors" } else { "mount /proc" };
        /// The descriptor has another size than promised.
        WrongSize { promised_bytes: usize, found_bytes: u64 } =>
            "the memfd has {found_bytes} bytes and {promised_bytes} were promised: it is not mapped; have the other \
             side pass a region of the size it names";
    }
}

impl RegionError {
    /// Whether this process lacks something, or is not allowed to make it: nothing that the other side did.
    pub(super) fn is_shortage(&self) -> bool {
        match self {
            Self::Create { .. } | Self::Seal { .. } | Self::Prefault { .. } | Self::ReadOnly { .. } => true,
            Self::Map { cause, .. } => is_limit(cause),
            Self::NotSealable { cause } => is_forbidden(cause),
            Self::Length { .. } | Self::Part { .. } | Self::NotSealed { .. } | Self::WrongSize { .. } => false,
        }
    }
}

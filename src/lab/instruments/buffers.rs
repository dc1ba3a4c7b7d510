//! Memory that is ours: mapped, in huge pages where the system gives them, pre-faulted, with every offset named.

use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::{fmt, ptr};

/// Alignment of the mapping's usable part: a huge page of x86-64.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A pair of ranges in one private mapping, every page written once.
pub struct Buffers {
    mapping: *mut u8,
    mapping_bytes: usize,
    /// The first huge-page boundary in the mapping: where the destination's range starts.
    base: *mut u8,
    /// Length of the destination's range and of the source's.
    range_bytes: usize,
}

impl Buffers {
    /// Maps room for a destination and a source of up to `max_len_bytes`, each with 8 KiB to place offsets in.
    ///
    /// # Errors
    ///
    /// [`BufferError`] if the system refuses the mapping.
    pub fn new(max_len_bytes: usize) -> Result<Self, BufferError> {
        let error = |cause| BufferError { bytes: max_len_bytes, cause };
        let too_large = || error(rustix::io::Errno::NOMEM);
        let range_bytes = max_len_bytes
            .checked_add(8192)
            .and_then(|bytes| bytes.checked_next_multiple_of(HUGE_PAGE_BYTES))
            .ok_or_else(too_large)?;
        let mapping_bytes =
            range_bytes.checked_mul(2).and_then(|bytes| bytes.checked_add(HUGE_PAGE_BYTES)).ok_or_else(too_large)?;
        // SAFETY: a fresh private anonymous mapping at an address of the system's choice aliases nothing.
        let mapping = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                mapping_bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .map_err(error)?
        .cast::<u8>();
        let to_boundary = mapping.addr().next_multiple_of(HUGE_PAGE_BYTES) - mapping.addr();
        let buffers = Self { mapping, mapping_bytes, base: mapping.wrapping_add(to_boundary), range_bytes };
        // Advice only: without huge pages the run goes on, and the environment says which it had.
        #[cfg(target_os = "linux")]
        // SAFETY: the range is the mapping just made; this advice changes no contents.
        let _ = unsafe { rustix::mm::madvise(mapping.cast(), mapping_bytes, Advice::LinuxHugepage) };
        // SAFETY: both ranges lie inside the mapping, behind `base`; writing them faults every page in.
        unsafe { ptr::write_bytes(buffers.base, 0xA5, 2 * range_bytes) };
        Ok(buffers)
    }

    /// The destination at `offset` bytes from a page boundary.
    ///
    /// # Panics
    ///
    /// If `offset` is 4096 or more.
    pub fn dst(&self, offset: usize) -> *mut u8 {
        assert!(offset < 4096, "an offset names a place in a page of 4096 bytes, not {offset}");
        self.base.wrapping_add(offset)
    }

    /// The source at `offset` bytes from a page boundary.
    ///
    /// # Panics
    ///
    /// If `offset` is 8192 - 4096 or more.
    pub fn src(&self, offset: usize) -> *mut u8 {
        assert!(offset < 4096, "an offset names a place in a page of 4096 bytes, not {offset}");
        self.base.wrapping_add(self.range_bytes + offset)
    }

    /// The longest copy that fits at any offset, in bytes.
    pub fn max_len_bytes(&self) -> usize {
        self.range_bytes - 4096
    }
}

// SAFETY: the mapping is this value's alone, and no thread is special to it.
unsafe impl Send for Buffers {}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no pointer from `dst` or `src` may outlive it in use.
        let result = unsafe { rustix::mm::munmap(self.mapping.cast(), self.mapping_bytes) };
        debug_assert!(result.is_ok());
    }
}

/// The system refused memory for the buffers.
#[derive(Debug)]
pub struct BufferError {
    bytes: usize,
    cause: rustix::io::Errno,
}

impl fmt::Display for BufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot map two buffers of {} bytes ({}): nothing of that size can be measured; free memory or leave the \
             largest sizes out",
            self.bytes, self.cause
        )
    }
}

impl std::error::Error for BufferError {}

//! Which kernel copies bytes in and out of shared memory.

use crate::kernel::ReadyKernel;
use crate::select::copy_part;

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
    pub(in crate::transport) fn copy_private(self, dst: &mut [u8], src: &[u8]) -> usize {
        let len_bytes = dst.len().min(src.len());
        let (dst, src) = (&mut dst[..len_bytes], &src[..len_bytes]);
        if self.kernel.is_none() {
            crate::memcpy_auto(dst, src);
        } else {
            // SAFETY: both ranges are borrowed, one of them exclusively, so that they are valid and apart.
            unsafe { self.copy(dst.as_mut_ptr(), src.as_ptr(), len_bytes) }
        }
        len_bytes
    }

    /// # Safety
    ///
    /// `src` is valid for reads and `dst` for writes of `len_bytes`, the ranges do not overlap, and at most one of them is
    /// written by others meanwhile, as memory and not as Rust objects.
    #[inline]
    pub(super) unsafe fn copy(self, dst: *mut u8, src: *const u8, len_bytes: usize) {
        if let Some(ready) = self.kernel {
            // SAFETY: the ranges are valid and apart, which the caller vouches for; the CPU has what the kernel needs, since a
            // `ReadyKernel` exists only for an available one.
            return unsafe { ready.kernel().copy(dst, src, len_bytes) };
        }
        // SAFETY: the ranges are valid and apart, which the caller vouches for.
        unsafe { copy_part(dst, src, len_bytes, self.total_bytes) }
    }
}

//! Who copies in user space: `memcpy_auto`, or a kernel by name.

use crate::kernel::{Kernel, ReadyKernel};
use crate::lab::paths::ways::PathError;

/// A routine that copies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copier(Option<ReadyKernel>);

impl Copier {
    /// The kernel of that name; `memcpy_auto` for none.
    pub(crate) fn named(name: Option<&str>) -> Result<Self, PathError> {
        let Some(name) = name else { return Ok(Self(None)) };
        let unavailable = |reason: String| PathError::Unavailable { reason };
        let kernel = Kernel::named(name).ok_or_else(|| unavailable(format!("there is no kernel {name}")))?;
        let ready = kernel.ready().ok_or_else(|| unavailable(format!("this CPU cannot run {name}")))?;
        Ok(Self(Some(ready)))
    }

    /// Copies.
    ///
    /// # Safety
    ///
    /// `src` is valid for reads and `dst` for writes of `len_bytes` bytes; the ranges do not overlap.
    #[inline]
    pub(crate) unsafe fn copy(self, dst: *mut u8, src: *const u8, len_bytes: usize) {
        match self.0 {
            // SAFETY: the caller's.
            None => unsafe { crate::memcpy_auto_unchecked(dst, src, len_bytes) },
            // SAFETY: the caller's; a ready kernel can run here, and user code may use vector state.
            Some(ready) => unsafe { ready.kernel().copy(dst, src, len_bytes) },
        }
    }

    /// The same choice, for the table.
    pub(crate) fn for_transport(self) -> crate::transport::Copier {
        self.0.map_or(crate::transport::Copier::AUTO, crate::transport::Copier::with)
    }
}

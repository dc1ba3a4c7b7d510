//! Parts of an object that are shared: whole pages.

#![forbid(unsafe_code)]

use super::error::ClientError;
use super::memory::Access;

/// The unit of a [`PageRange`].
const PAGE_BYTES: u64 = 4096;

/// Which part of an object to share, in pages of 4096 bytes, as a request says it: bit 0 is set if it is to be written, too, bits
/// 1 to 31 are the first page, and bits 32 to 63 how many there are, or 0 for all the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange(pub u64);

impl PageRange {
    /// All of an object, to be read.
    pub const WHOLE: Self = Self(0);

    /// The pages of a part in bytes. A length of 0 is all the rest.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unaligned`] if it does not lie on pages, or on more than can be named.
    pub fn of_bytes(start_bytes: u64, len_bytes: u64, access: Access) -> Result<Self, ClientError> {
        let (first, count) = (start_bytes / PAGE_BYTES, len_bytes / PAGE_BYTES);
        let in_pages = start_bytes.is_multiple_of(PAGE_BYTES) && len_bytes.is_multiple_of(PAGE_BYTES);
        if !in_pages || first >= 1 << 31 || count >= 1 << 32 {
            return Err(ClientError::Unaligned { start_bytes, len_bytes });
        }
        Ok(Self(u64::from(access == Access::ReadWrite) | first << 1 | count << 32))
    }

    /// What it is to be mapped for.
    pub fn access(self) -> Access {
        if self.0 & 1 == 0 { Access::Read } else { Access::ReadWrite }
    }

    /// Where the part starts.
    pub fn start_bytes(self) -> u64 {
        u64::from(self.0 as u32 >> 1) * PAGE_BYTES
    }

    /// How long it is; 0 for all the rest.
    pub fn len_bytes(self) -> u64 {
        (self.0 >> 32) * PAGE_BYTES
    }
}

//! Parts of an object that are shared: whole pages.

#![forbid(unsafe_code)]

use super::memory::Access;

/// The unit of a [`PageRange`].
const PAGE_BYTES: u64 = 4096;

/// Which part of an object to share, in pages of 4096 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// To be written, too.
    pub is_writable: bool,
    /// The first page: 31 bits.
    first: u32,
    /// How many; 0 is all the rest.
    count: u32,
}

impl PageRange {
    /// All of an object, to be read.
    pub const WHOLE: Self = Self { is_writable: false, first: 0, count: 0 };

    /// The pages of a part in bytes; `None` if it does not lie on pages, or on more than can be named. A length of 0 is all
    /// the rest.
    pub fn of_bytes(start_bytes: u64, len_bytes: u64, access: Access) -> Option<Self> {
        let is_aligned = start_bytes.is_multiple_of(PAGE_BYTES) && len_bytes.is_multiple_of(PAGE_BYTES);
        let first = u32::try_from(start_bytes / PAGE_BYTES).ok().filter(|first| is_aligned && *first < 1 << 31)?;
        let is_writable = access == Access::ReadWrite;
        Some(Self { is_writable, first, count: u32::try_from(len_bytes / PAGE_BYTES).ok()? })
    }

    #[inline(always)]
    pub(super) const fn to_bits(self) -> u64 {
        self.is_writable as u64 | (self.first as u64) << 1 | (self.count as u64) << 32
    }

    #[inline(always)]
    pub(super) const fn of_bits(bits: u64) -> Self {
        Self { is_writable: bits & 1 != 0, first: bits as u32 >> 1, count: (bits >> 32) as u32 }
    }

    /// Where the part starts.
    pub fn start_bytes(self) -> u64 {
        u64::from(self.first) * PAGE_BYTES
    }

    /// How long it is; 0 for all the rest.
    pub fn len_bytes(self) -> u64 {
        u64::from(self.count) * PAGE_BYTES
    }
}

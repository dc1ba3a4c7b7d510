//! What cannot be done to a region any more.

use rustix::fs::SealFlags;

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

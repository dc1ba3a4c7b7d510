//! Memory objects that a table hands out: whole, or in pages; to be read only, or written too.
//!
//! What keeps a client from writing what it may only read is the object's write seal. An object without one can be handed
//! out read-only as well: over a descriptor that is open for reading only, which keeps out clients of other users, but not
//! another process of the same one, which can open it again.
//!
//! A part says what the client is to map. It is no boundary: the descriptor is the whole object's. What a client must not
//! see belongs into an object of its own.

use super::connect::Parcel;
use super::error::TableError;
use super::memory::Access;
use super::region::Region;
use super::region_error::RegionError;
use super::request::PageRange;
use super::sealing::Sealing;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A part of a memory object, to be handed out.
#[derive(Debug)]
pub struct Object<'a> {
    pub(super) descriptor: Descriptor<'a>,
    /// What is said about it, but for the job's number.
    pub(super) parcel: Parcel,
}

#[derive(Debug)]
pub(super) enum Descriptor<'a> {
    Borrowed(BorrowedFd<'a>),
    /// Opened for reading only.
    Owned(OwnedFd),
}

impl AsFd for Descriptor<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Borrowed(descriptor) => *descriptor,
            Self::Owned(descriptor) => descriptor.as_fd(),
        }
    }
}

impl<'a> Object<'a> {
    /// The part of a region that a client asks for. With a length of 0 it reaches to the end.
    ///
    /// # Errors
    ///
    /// [`TableError::Unaligned`] for a part that is not inside; [`TableError::Region`] if the region is to be written by
    /// the client and is sealed against that, or if the system refuses.
    pub fn of(region: &'a Region, part: PageRange) -> Result<Self, TableError> {
        let whole_bytes = region.len_bytes() as u64;
        let start_bytes = part.start_bytes();
        let asked_bytes = part.len_bytes();
        let len_bytes = if asked_bytes == 0 { whole_bytes.saturating_sub(start_bytes) } else { asked_bytes };
        let is_inside = start_bytes.checked_add(len_bytes).is_some_and(|end| end <= whole_bytes);
        if !is_inside || len_bytes == 0 {
            return Err(TableError::Unaligned { start_bytes, len_bytes });
        }
        let is_write_sealed = region.is_sealed(Sealing::SizeAndWriting)?;
        let descriptor = match (part.is_writable, is_write_sealed) {
            (true, true) => return Err(TableError::ReadOnly),
            (true, false) | (false, true) => Descriptor::Borrowed(region.descriptor()),
            (false, false) => Descriptor::Owned(read_only(region.descriptor())?),
        };
        let access = if part.is_writable { Access::ReadWrite } else { Access::Read };
        let sealing = Some(if is_write_sealed { Sealing::SizeAndWriting } else { Sealing::Size });
        Ok(Self { descriptor, parcel: Parcel { id: 0, start_bytes, len_bytes, whole_bytes, access, sealing } })
    }

    /// Whatever a descriptor refers to, of which nothing is promised: the client has to map it itself, at its own risk.
    pub fn unsealed(descriptor: BorrowedFd<'a>, start_bytes: u64, len_bytes: u64, access: Access) -> Self {
        let whole_bytes = start_bytes.saturating_add(len_bytes);
        let descriptor = Descriptor::Borrowed(descriptor);
        Self { descriptor, parcel: Parcel { id: 0, start_bytes, len_bytes, whole_bytes, access, sealing: None } }
    }
}

/// The same object, over a descriptor that is open for reading only.
fn read_only(descriptor: BorrowedFd<'_>) -> Result<OwnedFd, RegionError> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    // Without waiting for a lease that another process may have on it.
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .map_err(|cause| RegionError::ReadOnly { cause: cause.into() })
}

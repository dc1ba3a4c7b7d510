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
use super::region_error::{RegionError, Sealing};
use super::request::PageRange;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A part of a memory object, to be handed out.
#[derive(Debug)]
pub struct Object<'a> {
    descriptor: BorrowedFd<'a>,
    /// The same object, opened for reading only: what is handed out instead.
    read_only: Option<OwnedFd>,
    /// What is said about it, but for the job's number.
    pub(super) parcel: Parcel,
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
        let len_bytes = match part.len_bytes() {
            0 => whole_bytes.saturating_sub(start_bytes),
            asked_bytes => asked_bytes,
        };
        let is_inside = start_bytes.checked_add(len_bytes).is_some_and(|end| end <= whole_bytes);
        if !is_inside || len_bytes == 0 {
            return Err(TableError::Unaligned { start_bytes, len_bytes });
        }
        let (descriptor, access) = (region.descriptor(), part.access());
        let is_write_sealed = region.is_sealed(Sealing::SizeAndWriting)?;
        let read_only = match (access, is_write_sealed) {
            (Access::ReadWrite, true) => return Err(TableError::ReadOnly),
            (Access::Read, false) => Some(read_only(descriptor)?),
            (Access::ReadWrite, false) | (Access::Read, true) => None,
        };
        let sealing = Some(if is_write_sealed { Sealing::SizeAndWriting } else { Sealing::Size });
        let parcel = Parcel { id: 0, start_bytes, len_bytes, whole_bytes, access, sealing };
        Ok(Self { descriptor, read_only, parcel })
    }

    /// Whatever a descriptor refers to, of which nothing is promised: the client has to map it itself, at its own risk.
    pub fn unsealed(descriptor: BorrowedFd<'a>, start_bytes: u64, len_bytes: u64, access: Access) -> Self {
        let whole_bytes = start_bytes.saturating_add(len_bytes);
        let parcel = Parcel { id: 0, start_bytes, len_bytes, whole_bytes, access, sealing: None };
        Self { descriptor, read_only: None, parcel }
    }

    /// What is handed out.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.read_only.as_ref().map_or(self.descriptor, OwnedFd::as_fd)
    }
}

/// The same object, over a descriptor that is open for reading only.
fn read_only(descriptor: BorrowedFd<'_>) -> Result<OwnedFd, RegionError> {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    // Without waiting for a lease that another process may have on it.
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .map_err(|cause| RegionError::ReadOnly { cause: cause.into() })
}

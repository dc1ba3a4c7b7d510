//! What a client gets: handles, answers, memory objects.

use super::connect::Parcel;
use super::loan::View;
use super::region::{Promise, Region, Sealing};
use super::region_error::RegionError;
use super::request::ErrorCode;
use std::os::fd::OwnedFd;

/// An open object, by the table's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u32);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion<B = View, O = Shared> {
    /// The table refused it.
    Refused(ErrorCode),
    /// An object is open; with it came its memory, if the table hands that out.
    Opened(Handle, Option<O>),
    /// Bytes, where the server put them.
    Read(B),
    /// A stream has no more messages.
    Ended,
    /// How many bytes were written; 0 where there is nothing to count.
    Amount(u32),
    /// Where a handle is now.
    Position(u64),
    /// The memory of an object.
    Shared(O),
}

/// The memory of an object, as a table handed it out: a descriptor, and what is said about it. Nothing is mapped yet.
#[derive(Debug)]
pub struct Shared {
    /// Which part of it is shared, what it may be mapped for, and what is promised.
    pub parcel: Parcel,
    /// The descriptor, for a program that maps it itself.
    pub descriptor: OwnedFd,
}

impl Shared {
    /// Maps the part, after the object was found to be sealed as promised.
    ///
    /// # Errors
    ///
    /// [`RegionError`] if it is not, if nothing was promised, or if the part is not inside.
    pub fn map(self) -> Result<Region, RegionError> {
        let Parcel { start_bytes, len_bytes, whole_bytes, access, sealing, .. } = self.parcel;
        let size = |bytes: u64| usize::try_from(bytes).map_err(|_| RegionError::Length { len_bytes: usize::MAX });
        // An object about which nothing is promised is none that can be mapped safely.
        let promise = Promise { len_bytes: size(whole_bytes)?, sealing: sealing.unwrap_or(Sealing::Size) };
        Region::open_part(self.descriptor, promise, size(start_bytes)?, size(len_bytes)?, access)
    }
}

//! Moving bytes between processes through memory that they share, without trusting the other side.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "the feature `transport` of memcpy-select is for Linux only: it needs sealed memfds, futexes and SCM_RIGHTS; turn \
     the feature off on this system (the kernels and memcpy_auto work everywhere)"
);

pub mod blocks;
pub mod chain;
pub mod connect;
pub mod geometry;
pub mod memory;
pub mod message;
pub mod region;
mod region_error;
mod request;
pub mod ring;
pub mod semaphore;
pub mod session;
mod violation;

pub use geometry::{Allocator, Blocks, Geometry, Limits};
pub use memory::{Access, Copier, Mapped, Memory};
pub use region::{PAGE_BYTES, PageKind, Promise, Region, RegionOptions, Sealing};
pub use region_error::RegionError;
pub use request::{
    Args, ErrorCode, Flags, JobId, Kind, PHASE_BIT, PageRange, Request, Response, ResponseFlags, Slice, Value,
};
pub use ring::Publication;
pub use violation::Violation;

//! Moving bytes between processes through memory that they share, without trusting the other side.
//!
//! A [`Table`] serves objects by name: it opens, reads, writes and closes them for its [`Client`]s, which are other
//! processes. Requests and answers are small entries of rings in shared memory, their bytes are in shared blocks: copied in
//! and out with any kernel of this crate, or used where they are. While both sides are awake no system call is made.
//!
//! | to | use |
//! |---|---|
//! | serve objects | [`Table`] |
//! | use a table | [`Client`] |
//! | stand before another table | [`Proxy`] |
//! | wait and wake in shared memory | [`semaphore`] |
//! | write the other side in another language | [`protocol`] |
//! | run it in containers, under limits and filters | [`guide::operating`](crate::guide::operating) |
//!
//! The other side may be hostile, unless the session uses [`Allocator::Shared`]: what it breaks is its own session, which
//! ends with a typed error. No panic, no wait without a limit, no access outside.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "the feature `transport` of memcpy-select is for Linux only: it needs sealed memfds, futexes and SCM_RIGHTS; turn \
     the feature off on this system (the kernels and memcpy_auto work everywhere)"
);

pub mod blocks;
pub mod chain;
mod client;
mod completion;
pub mod connect;
mod error;
mod error_code;
mod file;
pub mod geometry;
mod job;
mod loan;
pub mod memory;
mod options;
mod page_range;
#[doc = include_str!("PROTOCOL.md")]
pub mod protocol {}
mod proxy;
mod reactor;
pub mod region;
mod region_error;
mod request;
pub mod ring;
pub mod semaphore;
mod server;
pub mod session;
mod share;
mod slots;
mod violation;
mod watch;

pub use client::{Client, ClientOptions};
pub use completion::{Completion, Handle, Shared};
pub use connect::{Address, ConnectError, Peers};
pub use error::{ClientError, SessionError, TableError};
pub use file::Sent;
pub use geometry::{Allocator, Blocks, Geometry, Limits};
pub use job::{Answer, Answered, ClientKey, Event, Job, Operation, Pushed};
pub use loan::{Lease, Payload, Received, View};
pub use memory::{Access, Copier, Mapped, Memory};
pub use options::Waiting;
pub use proxy::{Asked, Proxy, ProxyOptions, Rule};
pub use region::{PAGE_BYTES, PageKind, Promise, Region, RegionOptions, Sealing};
pub use region_error::RegionError;
pub use request::{ErrorCode, Flags, JobId, Kind, LAP_BIT, PageRange, Request, Response, Slice, Value};
pub use server::{Table, TableOptions};
pub use session::Ticket;
pub use share::Object;
pub use violation::Violation;

//! What cannot be done with semaphores.

#![forbid(unsafe_code)]

use super::wait_any::MAX_ANY;
use super::word::MAX_COUNT;
use crate::transport::connect::is_forbidden;
use std::fmt;
use std::io;

/// What cannot be done with semaphores.
#[derive(Debug)]
#[non_exhaustive]
pub enum SemaphoreError {
    /// No word that can be written is at that offset.
    Place {
        /// The offset.
        at: usize,
        /// The length of the memory.
        len_bytes: usize,
        /// Whether the memory can be written at all.
        is_writable: bool,
    },
    /// One more post than the count holds.
    Overflow,
    /// Without a notifier no set that waits can be told.
    NoNotifier,
    /// A descriptor that is not a Unix socket, and so not a notifier.
    NotANotifier,
    /// More semaphores at once than [`MAX_ANY`].
    TooMany {
        /// How many there were.
        count: usize,
    },
    /// The set has it already.
    AlreadyIn,
    /// The set has no such member.
    NotAMember,
    /// The set has no members, or the call no semaphores: nothing could ever end the wait.
    Nothing,
    /// The system refused.
    System {
        /// What the system said.
        cause: io::Error,
    },
}

impl SemaphoreError {
    pub(super) fn system(cause: rustix::io::Errno) -> Self {
        Self::System { cause: cause.into() }
    }
}

impl fmt::Display for SemaphoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place { at, len_bytes, is_writable } => write!(
                f,
                "there is no semaphore at offset {at} of {len_bytes} bytes that are {}: none is made; give an offset that \
                 is a multiple of 4 and lies inside memory mapped for writing",
                if *is_writable { "writable" } else { "mapped for reading only" }
            ),
            Self::Overflow => write!(
                f,
                "the count is {MAX_COUNT} already: the post was not counted; wait for the semaphore first"
            ),
            Self::NoNotifier => f.write_str(
                "the semaphore has no notifier, by which a set is told of a post; make it with one and pass that to every \
                 process that posts",
            ),
            Self::NotANotifier => f.write_str(
                "the descriptor is not a Unix socket, and a notifier is: it is closed; pass the two ends of a notifier as they \
                 were made",
            ),
            Self::TooMany { count } => write!(
                f,
                "{count} semaphores are more than {MAX_ANY}, of which the system can watch any at once: nothing was \
                 waited for; put them in a set"
            ),
            Self::AlreadyIn => f.write_str(
                "the set has this semaphore already: it stays in it once; use the name that adding it returned",
            ),
            Self::NotAMember => f.write_str(
                "the set has no such member: nothing was removed; use the name that adding it returned, once",
            ),
            Self::Nothing => f.write_str(
                "there is nothing to wait for: the wait would end in no other way than by its limit; name a semaphore",
            ),
            Self::System { cause } => write!(
                f,
                "the system refused a wait or a descriptor for one ({cause}): nothing was waited for; {}",
                if is_forbidden(cause) {
                    "have the filter of system calls allow futex, futex_waitv, epoll and socketpair"
                } else {
                    "allow the process more descriptors"
                }
            ),
        }
    }
}

impl std::error::Error for SemaphoreError {}

//! Watching thousands of descriptors, at a cost that depends only on how many have something.

#![forbid(unsafe_code)]

use super::slots::Key;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventFlags};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// Events taken from the system at a time.
const EVENTS: usize = 64;

/// What was seen at a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// The key under which it is watched.
    pub(super) key: Key,
    /// The other side hung up.
    pub(super) is_gone: bool,
}

/// What is reported of a descriptor, beside its hang-up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report(EventFlags);

impl Report {
    /// Nothing.
    pub(super) const NOTHING: Self = Self(EventFlags::RDHUP.union(EventFlags::ET));
    /// Each arrival, once: what is not read is not reported again, so that no flood keeps others waiting.
    pub(super) const EACH_TIME: Self = Self(Self::NOTHING.0.union(EventFlags::IN));
    /// The next arrival, or what has come already, and then nothing, until it is [changed](Watch::change).
    pub(super) const ONCE: Self = Self(EventFlags::RDHUP.union(EventFlags::IN).union(EventFlags::ONESHOT));
}

/// A set of descriptors that are watched, each under a key. One may be watched twice over two descriptors, but not over one.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: OwnedFd,
}

impl Watch {
    /// An empty one, or what the system says if there are no descriptors.
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches a descriptor, or says what the system says if it cannot be watched.
    pub(super) fn add(&self, key: Key, descriptor: BorrowedFd<'_>, report: Report) -> Result<(), Errno> {
        epoll::add(&self.epoll, descriptor, epoll::EventData::new_u64(key.0), report.0)
    }

    /// From now on reports something else of a descriptor; what has come already is reported once more. Errors as above.
    pub(super) fn change(&self, key: Key, descriptor: BorrowedFd<'_>, report: Report) -> Result<(), Errno> {
        epoll::modify(&self.epoll, descriptor, epoll::EventData::new_u64(key.0), report.0)
    }

    /// Watches a descriptor no more. One that is closed in all processes needs no call.
    pub(super) fn remove(&self, descriptor: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Waits, for at most the limit, until something comes to one that is watched, and reports up to 64 of them; or what the
    /// system says if it cannot wait.
    pub(super) fn wait(&self, limit: Duration) -> Result<impl Iterator<Item = Ready> + use<>, Errno> {
        let mut events = Vec::with_capacity(EVENTS);
        let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(cause) => return Err(cause),
        }
        Ok(events.into_iter().map(|Event { flags, data }| Ready {
            key: Key(data.u64()),
            is_gone: flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
        }))
    }
}

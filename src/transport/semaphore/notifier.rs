//! The notifier of semaphores: how a post reaches a thread that waits for thousands of them.
//!
//! What every process that has the semaphores shares beside them: [`Marks`] in memory, which say what was posted and whether the waiter
//! is about to sleep, and a pair of Unix sockets, of which each has both ends. A post is marked; only where the waiter sleeps, a
//! byte is sent into one socket, and the waiter watches the other. One notifier serves as many semaphores as one has in common
//! with the same processes, so that a set watches as many sockets as there are peers.
//!
//! Each call says itself that it must not wait (`MSG_DONTWAIT`), which another process's copy of the descriptor cannot change; with
//! an eventfd another process could.

#![forbid(unsafe_code)]

use super::marks::Marks;
use super::{SEMAPHORE_BYTES, SemaphoreError, check_place};
use crate::transport::memory::{Mapped, Memory};
use rustix::io::Errno;
use rustix::net::sockopt::socket_domain;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A notifier.
#[derive(Debug)]
pub struct Notifier {
    pub(super) marks: Marks<Mapped>,
    sender: OwnedFd,
    /// What is watched.
    pub(super) receiver: OwnedFd,
}

/// What is read of the socket at a time: an honest process sends a byte for each sleep.
const RECEIVED_BYTES: usize = 4096;

impl Notifier {
    /// What a notifier takes in the memory of `len_bytes` bytes whose semaphores it serves: 4 to 8 bytes for each, and some.
    pub const fn bytes_for(len_bytes: usize) -> usize {
        Marks::<Mapped>::bytes_for(places(len_bytes))
    }

    /// A new notifier, with its words at that offset of the memory, [`bytes_for`](Self::bytes_for) of them, zero at first. It
    /// serves best the semaphores of this memory, each in [`SEMAPHORE_BYTES`] of its own; others share their marks.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::Place`] if its words do not lie inside memory that can be written, at a multiple of 8;
    /// [`SemaphoreError::System`] if there are no descriptors for it.
    pub fn new(memory: Mapped, at: usize) -> Result<Self, SemaphoreError> {
        let (sender, receiver) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(SemaphoreError::system)?;
        Self::over(memory, at, sender, receiver)
    }

    /// A notifier that another process made: from its two ends in the order of [`ends`](Self::ends), in the same memory, mapped here.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NotANotifier`] if they are not Unix sockets: other files might keep this process waiting;
    /// [`SemaphoreError::Place`] as for [`new`](Self::new).
    pub fn from_ends(memory: Mapped, at: usize, sender: OwnedFd, receiver: OwnedFd) -> Result<Self, SemaphoreError> {
        let is_socket = |end: &OwnedFd| socket_domain(end).is_ok_and(|domain| domain == AddressFamily::UNIX);
        if is_socket(&sender) && is_socket(&receiver) {
            Self::over(memory, at, sender, receiver)
        } else {
            Err(SemaphoreError::NotANotifier)
        }
    }

    fn over(memory: Mapped, at: usize, sender: OwnedFd, receiver: OwnedFd) -> Result<Self, SemaphoreError> {
        let len_bytes = memory.len_bytes();
        check_place(&memory, at, Self::bytes_for(len_bytes), 8)?;
        Ok(Self { marks: Marks::new(memory, at, places(len_bytes)), sender, receiver })
    }

    /// Its two ends, to be passed on.
    pub fn ends(&self) -> [BorrowedFd<'_>; 2] {
        [self.sender.as_fd(), self.receiver.as_fd()]
    }

    /// Notifies of a post to the semaphore of that place. Where the socket is full, there is enough to wake the waiter; where it was
    /// broken, only the notifier's own semaphores suffer.
    pub(super) fn notify(&self, place: usize) {
        if self.marks.mark(place) {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            while let Err(Errno::INTR) = rustix::net::send(&self.sender, &[0], flags) {}
        }
    }

    /// The socket has something: reads that, and says that the waiter is awake.
    pub(super) fn woken(&self) {
        self.marks.disarm();
        let mut bytes = [MaybeUninit::<u8>::uninit(); RECEIVED_BYTES];
        let _ = rustix::net::recv(&self.receiver, &mut bytes, RecvFlags::DONTWAIT);
    }
}

/// How many semaphores are in memory of that length, at most.
const fn places(len_bytes: usize) -> usize {
    len_bytes.div_ceil(SEMAPHORE_BYTES)
}

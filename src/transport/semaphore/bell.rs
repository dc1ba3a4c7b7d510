//! The bell of a semaphore: how a post reaches a thread that waits for thousands.
//!
//! A pair of Unix sockets, of which every process that has the semaphore has both ends: it rings at one, and the other is
//! watched. Each call says itself that it must not wait (`MSG_DONTWAIT`), which nobody else's copy of the descriptor can
//! change; with an eventfd another process could.

use super::SemaphoreError;
use rustix::io::Errno;
use rustix::net::sockopt::socket_domain;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A bell.
#[derive(Debug)]
pub struct Bell {
    rope: OwnedFd,
    sound: OwnedFd,
}

impl Bell {
    /// A new bell.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::System`] if there are no descriptors for it.
    pub fn new() -> Result<Self, SemaphoreError> {
        let (rope, sound) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(SemaphoreError::system)?;
        Ok(Self { rope, sound })
    }

    /// A bell that another process made, from its two ends in the order of [`ends`](Self::ends).
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NotABell`] if they are not Unix sockets: other files might keep this process waiting.
    pub fn from_ends(rope: OwnedFd, sound: OwnedFd) -> Result<Self, SemaphoreError> {
        let is_socket = |end: &OwnedFd| socket_domain(end).is_ok_and(|domain| domain == AddressFamily::UNIX);
        if is_socket(&rope) && is_socket(&sound) { Ok(Self { rope, sound }) } else { Err(SemaphoreError::NotABell) }
    }

    /// Its two ends, to be passed on.
    pub fn ends(&self) -> [BorrowedFd<'_>; 2] {
        [self.rope.as_fd(), self.sound.as_fd()]
    }

    /// A copy for another semaphore value in this process.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::System`] if there are no descriptors for it.
    pub fn try_clone(&self) -> Result<Self, SemaphoreError> {
        let copy = |end: &OwnedFd| end.try_clone().map_err(|cause| SemaphoreError::System { cause });
        Ok(Self { rope: copy(&self.rope)?, sound: copy(&self.sound)? })
    }

    /// Rings. Where the socket is full, it has rung often enough; where it was broken, only its own semaphore suffers.
    pub(super) fn ring(&self) {
        while let Err(Errno::INTR) = rustix::net::send(&self.rope, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {}
    }

    /// Makes room for further rings.
    pub(super) fn drain(&self) {
        let _ = rustix::net::recv(&self.sound, &mut [0; 256], RecvFlags::DONTWAIT);
    }

    /// What is watched.
    pub(super) fn sound(&self) -> BorrowedFd<'_> {
        self.sound.as_fd()
    }
}

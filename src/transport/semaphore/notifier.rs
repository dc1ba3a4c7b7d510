//! The notifier of semaphores: how a post reaches a thread that waits for thousands of them.
//!
//! A pair of Unix sockets, of which every process that has the semaphores has both ends: it sends the place of a
//! semaphore into one, and watches the other. One notifier serves as many semaphores as one has in common with the same processes, so
//! that a set watches as many sockets as there are peers.
//!
//! Each call says itself that it must not wait (`MSG_DONTWAIT`), which another process's copy of the descriptor cannot change; with
//! an eventfd another process could.

use super::SemaphoreError;
use rustix::io::Errno;
use rustix::net::sockopt::socket_domain;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A notifier.
#[derive(Debug)]
pub struct Notifier {
    sender: OwnedFd,
    receiver: OwnedFd,
}

/// What is sent is the place of the semaphore's word: 4 bytes.
const PLACE_BYTES: usize = 4;
/// Places that are read at a time.
const MAX_PLACES: usize = 256;
/// A socket holds more than this many. If as many have come at once, some may not have found room.
const MANY_PLACES: usize = 64;

/// What was left over of a place that came in parts, as only a process that does not keep to the rules sends it.
#[derive(Debug, Default)]
pub(super) struct Rest {
    bytes: [u8; PLACE_BYTES],
    len_bytes: usize,
}

impl Notifier {
    /// A new notifier.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::System`] if there are no descriptors for it.
    pub fn new() -> Result<Self, SemaphoreError> {
        let (sender, receiver) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(SemaphoreError::system)?;
        Ok(Self { sender, receiver })
    }

    /// A notifier that another process made, from its two ends in the order of [`ends`](Self::ends).
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NotANotifier`] if they are not Unix sockets: other files might keep this process waiting.
    pub fn from_ends(sender: OwnedFd, receiver: OwnedFd) -> Result<Self, SemaphoreError> {
        let is_socket = |end: &OwnedFd| socket_domain(end).is_ok_and(|domain| domain == AddressFamily::UNIX);
        if is_socket(&sender) && is_socket(&receiver) {
            Ok(Self { sender, receiver })
        } else {
            Err(SemaphoreError::NotANotifier)
        }
    }

    /// Its two ends, to be passed on.
    pub fn ends(&self) -> [BorrowedFd<'_>; 2] {
        [self.sender.as_fd(), self.receiver.as_fd()]
    }

    /// Notifies of a post to the semaphore at that place. Where the socket is full, the set looks at all; where it was broken, only the
    /// notifier's own semaphores suffer.
    pub(super) fn notify(&self, place: u32) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while let Err(Errno::INTR) = rustix::net::send(&self.sender, &place.to_le_bytes(), flags) {}
    }

    /// Reads what has come, as much as there is time for. True if some may have been lost.
    pub(super) fn receive(&self, rest: &mut Rest, mut each: impl FnMut(u32)) -> bool {
        let mut bytes = [0; PLACE_BYTES * MAX_PLACES];
        let mut received = 0;
        // What comes while this goes on is reported again.
        for _ in 0..4 {
            let Ok((count, _)) = rustix::net::recv(&self.receiver, &mut bytes, RecvFlags::DONTWAIT) else { break };
            for byte in bytes.iter().take(count) {
                rest.bytes[rest.len_bytes] = *byte;
                rest.len_bytes = (rest.len_bytes + 1) % PLACE_BYTES;
                if rest.len_bytes == 0 {
                    received += 1;
                    each(u32::from_le_bytes(rest.bytes));
                }
            }
            if count < bytes.len() {
                break;
            }
        }
        received >= MANY_PLACES
    }

    /// What is watched.
    pub(super) fn receiver(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

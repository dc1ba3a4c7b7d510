//! The bell of semaphores: how a post reaches a thread that waits for thousands.
//!
//! A pair of Unix sockets, of which every process that has the semaphores has both ends: it rings at one, saying for which
//! of them, and the other is watched. One bell serves as many semaphores as one has in common with the same processes, so
//! that a set watches as many sockets as there are peers.
//!
//! Each call says itself that it must not wait (`MSG_DONTWAIT`), which nobody else's copy of the descriptor can change; with
//! an eventfd another process could.

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

/// A ring is the place of its semaphore's word: 4 bytes.
const RING_BYTES: usize = 4;
/// Rings that are heard at a time.
const MAX_RINGS: usize = 256;
/// A socket holds more than this many rings. If as many have come at once, some may not have found room.
const MANY_RINGS: usize = 64;

/// What was left over of a ring that came in parts, as only a process that does not keep to the rules sends it.
#[derive(Debug, Default)]
pub(super) struct Rest {
    bytes: [u8; RING_BYTES],
    len_bytes: usize,
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

    /// Rings for the semaphore at that place. Where the socket is full, the set looks at all; where it was broken, only the
    /// bell's own semaphores suffer.
    pub(super) fn ring(&self, place: u32) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while let Err(Errno::INTR) = rustix::net::send(&self.rope, &place.to_le_bytes(), flags) {}
    }

    /// Hears the rings that have come, as many as there is time for. True if some may have been lost.
    pub(super) fn hear(&self, rest: &mut Rest, mut each: impl FnMut(u32)) -> bool {
        let mut bytes = [0; RING_BYTES * MAX_RINGS];
        let mut heard = 0;
        // What comes while this goes on is reported again.
        for _ in 0..4 {
            let Ok((count, _)) = rustix::net::recv(&self.sound, &mut bytes, RecvFlags::DONTWAIT) else { break };
            for byte in bytes.iter().take(count) {
                rest.bytes[rest.len_bytes] = *byte;
                rest.len_bytes = (rest.len_bytes + 1) % RING_BYTES;
                if rest.len_bytes == 0 {
                    heard += 1;
                    each(u32::from_le_bytes(rest.bytes));
                }
            }
            if count < bytes.len() {
                break;
            }
        }
        heard >= MANY_RINGS
    }

    /// What is watched.
    pub(super) fn sound(&self) -> BorrowedFd<'_> {
        self.sound.as_fd()
    }
}

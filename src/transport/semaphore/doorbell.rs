//! Waking a side that waits for something else in shared memory, such as an entry of a ring, at no cost when it is awake.
//!
//! Two places in memory take part, the ring's entry and the doorbell's word, and a fence on each side orders the two: section 7 of
//! the [protocol](crate::transport::protocol) says who does what in which order, and why no wake is lost. One thread sleeps; any
//! number may ring.

#![forbid(unsafe_code)]

use super::lower;
use super::park_any::park_any;
use crate::transport::memory::{Load, Mapped, Memory, Store};
use rustix::io::Errno;
use std::time::Duration;

/// How the side that waits wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// It sleeps on the doorbell's word.
    Word = 1,
    /// It waits for its socket, with others.
    Socket = 2,
}

const AWAKE: u32 = 0;

/// A word by which one side tells the other that it waits.
#[derive(Clone, Debug)]
pub struct Doorbell<M> {
    memory: M,
    at: usize,
}

impl<M: Memory> Doorbell<M> {
    /// The doorbell at that offset. Zero means awake.
    pub const fn new(memory: M, at: usize) -> Self {
        Self { memory, at }
    }

    /// Says that this side is about to wait. Look for what is waited for once more after this; if it is there,
    /// [`disarm`](Self::disarm).
    #[inline]
    pub fn arm(&self, via: Via) {
        self.memory.store32(self.at, via as u32, Store::Relaxed);
        self.memory.fence();
    }

    /// Says that this side is awake.
    #[inline]
    pub fn disarm(&self) {
        self.memory.store32(self.at, AWAKE, Store::Relaxed);
    }

    /// Whether the word is what [`arm`](Self::arm) has written: not if the other side has rung, or has written anything else.
    #[inline]
    pub(in crate::transport) fn is_armed(&self, via: Via) -> bool {
        self.memory.load32(self.at, Load::Relaxed) == via as u32
    }

    /// Tells the other side to look, if it waits. True if it waits for its socket and that is to be written.
    ///
    /// Comes after what the other side is to find was published. Makes no system call if the other side is awake, and one
    /// for each time that it waits.
    #[inline]
    #[must_use = "the other side may wait for its socket"]
    pub fn ring(&self) -> bool {
        self.memory.fence();
        self.memory.load32(self.at, Load::Relaxed) != AWAKE && self.wake()
    }

    #[cold]
    fn wake(&self) -> bool {
        // All of the word: awake is 0.
        let flag = lower(&self.memory, self.at, u32::MAX);
        if flag == Via::Word as u32 {
            self.memory.unpark(self.at);
        }
        flag == Via::Socket as u32
    }

    /// Sleeps, for at most the limit, until the other side rings. `find` looks for what is waited for; it is asked after the flag
    /// is up, and what it finds is returned without sleeping. `None` means: look again.
    pub fn sleep_unless<T>(&self, limit: Duration, find: impl FnOnce() -> Option<T>) -> Option<T> {
        self.arm(Via::Word);
        let found = find();
        if found.is_none() {
            self.memory.park(self.at, Via::Word as u32, limit);
        }
        self.disarm();
        found
    }
}

impl Doorbell<Mapped> {
    /// Sleeps, for at most the limit, until one of these is rung, all of which are [armed](Self::arm) with [`Via::Word`]. Of several it
    /// says at which one this side was woken, rung or not.
    ///
    /// `INVAL` for none; of several `AGAIN` if one was not as armed, and what the system says if it cannot wait for several.
    pub(in crate::transport) fn sleep_on<'a>(
        mut bells: impl Iterator<Item = &'a Self>,
        limit: Duration,
    ) -> Result<Option<usize>, Errno> {
        let Some(first) = bells.next() else { return Err(Errno::INVAL) };
        let Some(second) = bells.next() else {
            first.memory.park(first.at, Via::Word as u32, limit);
            return Ok(None);
        };
        let bells = [first, second].into_iter().chain(bells);
        park_any(bells.map(|bell| (&bell.memory, bell.at, Via::Word as u32)), limit)
    }
}

//! The one word of a semaphore, and why no wake is lost.
//!
//! | bits | what |
//! |---|---|
//! | 0 | [`ASLEEP`]: a waiter sleeps on the word, or is about to |
//! | 1 | [`WATCHED`]: a set waits for it, to be told by its notifier |
//! | 2 to 31 | the count |
//!
//! Flags and count are one word, so that every change of either is seen by the next change of the word: there is no order
//! between two words to get wrong. A thread that wants to sleep replaces "count 0" by "count 0, asleep" and sleeps only as long as
//! the word is exactly that, which the system checks under its own lock. One that posts adds to the count, takes the flags down,
//! and then wakes all: a sleeper that came before is woken, and one that comes later does not find the word as it was.
//! A post that finds no flag makes no system call.

use super::park::Park;
use crate::transport::memory::{Load, Memory};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A waiter sleeps on the word, or is about to.
pub(super) const ASLEEP: u32 = 1;
/// A set waits for it.
pub(super) const WATCHED: u32 = 2;
const FLAGS: u32 = ASLEEP | WATCHED;
const ONE: u32 = 4;

/// The highest count. Beyond it there is room, so that no sum of posts at the same time wraps.
pub const MAX_COUNT: u32 = 1 << 28;

/// So often is a change tried that others keep from happening. A hostile peer can always be faster.
const MAX_TRIES: u32 = 1 << 10;

/// The word of a semaphore at an offset of shared memory.
///
/// The protocol alone; [`Semaphore`](super::Semaphore) is the usable whole. Public so that it can be run over any memory.
#[derive(Clone, Debug)]
pub struct Word<M> {
    memory: M,
    at: usize,
}

/// What a post has to be followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// Nothing: the sleeper, if any, has been woken.
    Done,
    /// A message of the notifier: a set waits.
    Notify,
    /// Nothing: the count is the highest, and was not changed.
    Overflow,
}

/// What an attempt to announce a sleep came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// The flag is up, and the word this.
    Up(u32),
    /// The count is not 0: take instead.
    Ready,
}

impl<M: Memory> Word<M> {
    /// The word at that offset. Zeros are a semaphore with count 0.
    pub const fn new(memory: M, at: usize) -> Self {
        Self { memory, at }
    }

    /// The memory.
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Where in the memory.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The count at this moment.
    #[inline]
    pub fn count(&self) -> u32 {
        self.memory.load32(self.at, Load::Relaxed) / ONE
    }

    /// Takes one off the count, if it is not 0.
    #[inline]
    pub fn try_take(&self) -> bool {
        let mut word = self.memory.load32(self.at, Load::Relaxed);
        for _ in 0..MAX_TRIES {
            if word < ONE {
                return false;
            }
            match self.memory.cas32(self.at, word, word - ONE, Ordering::Acquire) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
        }
        false
    }

    /// Announces a sleep: raises the flag, if the count is 0.
    pub fn raise(&self, flag: u32) -> Raised {
        let mut word = self.memory.load32(self.at, Load::Relaxed);
        for _ in 0..MAX_TRIES {
            if word >= ONE {
                return Raised::Ready;
            }
            match self.memory.cas32(self.at, word, word | flag, Ordering::Relaxed) {
                Ok(_) => return Raised::Up(word | flag),
                Err(found) => word = found,
            }
        }
        // A change that comes in between each time is seen in the next round.
        Raised::Ready
    }
}

impl<M: Park> Word<M> {
    /// Adds one to the count, and wakes a sleeper.
    #[inline]
    pub fn post(&self) -> Posted {
        let before = self.memory.add32(self.at, ONE, Ordering::Release);
        if before / ONE >= MAX_COUNT {
            self.memory.add32(self.at, ONE.wrapping_neg(), Ordering::Relaxed);
            return Posted::Overflow;
        }
        if before & FLAGS == 0 { Posted::Done } else { self.wake() }
    }

    /// Takes the flags down, then wakes those that they stood for.
    #[cold]
    fn wake(&self) -> Posted {
        let mut word = self.memory.load32(self.at, Load::Relaxed);
        for _ in 0..MAX_TRIES {
            match self.memory.cas32(self.at, word, word & !FLAGS, Ordering::Relaxed) {
                Ok(_) => break,
                Err(found) => word = found,
            }
        }
        if word & ASLEEP != 0 {
            self.memory.unpark(self.at);
        }
        if word & WATCHED != 0 { Posted::Notify } else { Posted::Done }
    }

    /// Waits once: takes one, or sleeps for at most the limit. True if one was taken; else look again.
    pub fn take_or_sleep(&self, limit: Duration) -> bool {
        if self.try_take() {
            return true;
        }
        if let Raised::Up(word) = self.raise(ASLEEP) {
            self.memory.park(self.at, word, limit);
        }
        self.try_take()
    }
}

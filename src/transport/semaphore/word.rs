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
//! the word is exactly that, which the system checks under its own lock. One that posts adds to the count, takes the flag down,
//! and then wakes all: a sleeper that came before is woken, and one that comes later does not find the word as it was.
//! A post that finds no flag makes no system call.
//!
//! A set's flag stays up: a post that makes the count 1 notifies. The set takes one off and raises or lowers its flag in one change, by
//! whether it looks at the word again without being notified.

#![forbid(unsafe_code)]

use super::{SemaphoreError, change, lower};
use crate::transport::memory::{Load, Memory};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A waiter sleeps on the word, or is about to.
pub(super) const ASLEEP: u32 = 1;
/// A set waits for it, and does not poll it.
pub(super) const WATCHED: u32 = 2;
const ONE: u32 = 4;

/// The highest count. Beyond it there is room, so that no sum of posts at the same time wraps.
pub const MAX_COUNT: u32 = 1 << 28;

/// The word of a semaphore at an offset of shared memory.
///
/// The protocol alone; [`Semaphore`](super::Semaphore) is the usable whole. Public so that it can be run over any memory.
#[derive(Clone, Debug)]
pub struct Word<M> {
    pub(super) memory: M,
    pub(super) at: usize,
}

impl<M: Memory> Word<M> {
    /// The word at that offset. Zeros are a semaphore with count 0.
    pub const fn new(memory: M, at: usize) -> Self {
        Self { memory, at }
    }

    /// The count at this moment.
    #[inline]
    pub fn count(&self) -> u32 {
        self.memory.load32(self.at, Load::Relaxed) / ONE
    }

    /// Takes one off the count, if it is not 0.
    #[inline]
    pub fn try_take(&self) -> bool {
        change(&self.memory, self.at, Ordering::Acquire, |word| word.checked_sub(ONE)).is_ok()
    }

    /// Takes one off the count, or, if it is 0, raises the flag, to announce a sleep: the word to sleep on then. None if one
    /// was taken.
    #[inline]
    pub fn take_or_raise(&self, flag: u32) -> Option<u32> {
        let to = |word: u32| Some(word.checked_sub(ONE).unwrap_or(word | flag));
        match change(&self.memory, self.at, Ordering::Acquire, to) {
            Ok(word) if word >= ONE => None,
            // After too many changes by others the word is another one: a sleep on this one ends at once, and the wait looks again.
            Ok(word) | Err(word) => Some(word | flag),
        }
    }

    /// Takes one off the count, if it is not 0, and says whether the set has to poll the word from now on: it wants to, or more is
    /// left. Else the flag is up, by which the set is notified of the next post.
    #[inline]
    pub fn take_watched(&self, is_polled: bool) -> Option<bool> {
        let is_polled = |left: u32| is_polled || left >= ONE;
        let taken = change(&self.memory, self.at, Ordering::Acquire, |word| {
            word.checked_sub(ONE).map(|left| if is_polled(left) { left & !WATCHED } else { left | WATCHED })
        });
        taken.ok().map(|word| is_polled(word - ONE))
    }

    /// The set is notified of no more posts.
    pub(super) fn unwatch(&self) {
        lower(&self.memory, self.at, WATCHED);
    }

    /// Adds one to the count, and wakes a sleeper; whether a set waits, which is to be notified.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::Overflow`] if the count is the highest. It is not changed then.
    #[inline]
    pub fn post(&self) -> Result<bool, SemaphoreError> {
        let before = self.memory.add32(self.at, ONE, Ordering::Release);
        if before / ONE >= MAX_COUNT {
            self.memory.add32(self.at, ONE.wrapping_neg(), Ordering::Relaxed);
            return Err(SemaphoreError::Overflow);
        }
        if before & ASLEEP != 0 {
            self.wake();
        }
        // Of a count that was not 0 the set has been notified.
        Ok(before & !ASLEEP == WATCHED)
    }

    /// Takes the sleeper's flag down, then wakes all sleepers that it stood for.
    #[cold]
    fn wake(&self) {
        if lower(&self.memory, self.at, ASLEEP) != 0 {
            self.memory.unpark(self.at);
        }
    }

    /// Waits once: takes one, or sleeps for at most the limit. True if one was taken; else look again.
    pub fn take_or_sleep(&self, limit: Duration) -> bool {
        self.take_or_raise(ASLEEP).is_none_or(|word| {
            self.memory.park(self.at, word, limit);
            self.try_take()
        })
    }
}

//! Waiting for any of a few semaphores, with one system call.

use super::park_any::park_any;
use super::word::ASLEEP;
use super::{Semaphore, SemaphoreError};
use crate::transport::memory::Memory;
use rustix::io::Errno;
use std::time::Duration;

/// The most semaphores that one call can wait for: as many as the system watches at once.
pub const MAX_ANY: usize = 128;

/// Where the system does not watch several words, one is slept on, so long, and then all are looked at.
const FALLBACK_SLEEP: Duration = Duration::from_millis(1);

/// Waits for any of several semaphores, for at most the limit, and takes one off its count. Returns its index, or `None` if
/// there was no post. Where several are ready, the first of them in a turning order is taken.
///
/// # Errors
///
/// [`SemaphoreError::TooMany`] for more than [`MAX_ANY`], [`SemaphoreError::Nothing`] for none, and
/// [`SemaphoreError::System`] if the system refuses to wait.
pub fn wait_any(semaphores: &[&Semaphore], limit: Duration) -> Result<Option<usize>, SemaphoreError> {
    WaitAny::default().wait(semaphores, limit)
}

/// Waits for any of several semaphores again and again: remembers whose turn it is.
#[derive(Debug, Default)]
pub struct WaitAny {
    /// The index that is looked at first the next time.
    next: usize,
    one_by_one: bool,
}

impl WaitAny {
    /// One that waits as on a system without `futex_waitv`: a post to most of the semaphores is seen within a millisecond.
    pub fn one_by_one() -> Self {
        Self { next: 0, one_by_one: true }
    }

    /// As [`wait_any`], also in its errors.
    pub fn wait(&mut self, semaphores: &[&Semaphore], limit: Duration) -> Result<Option<usize>, SemaphoreError> {
        let count = semaphores.len();
        if count > MAX_ANY {
            return Err(SemaphoreError::TooMany { count });
        }
        let first = semaphores.first().ok_or(SemaphoreError::Nothing)?;
        let found = first.spin.wait(limit, || self.try_any(semaphores), |limit| self.sleep(semaphores, limit))?;
        self.next = found.map_or(self.next, |index| (index + 1) % count);
        Ok(found)
    }

    /// Takes from one, or sleeps once and looks at them again.
    fn sleep(&self, semaphores: &[&Semaphore], limit: Duration) -> Result<Option<usize>, SemaphoreError> {
        // The flags first, all of them, each with a last look.
        let mut values = [0; MAX_ANY];
        for index in self.turns(semaphores) {
            let Some(value) = semaphores[index].word.take_or_raise(ASLEEP) else { return Ok(Some(index)) };
            values[index] = value;
        }
        let words = semaphores.iter().zip(values).map(|(semaphore, value)| (&semaphore.word, value));
        let words = words.map(|(word, value)| (&word.memory, word.at, value));
        let slept = if self.one_by_one { Err(Errno::NOSYS) } else { park_any(words, limit) };
        match slept {
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(Errno::NOSYS) => {
                let turn = self.next % semaphores.len();
                let word = &semaphores[turn].word;
                word.memory.park(word.at, values[turn], limit.min(FALLBACK_SLEEP));
            }
            Err(cause) => return Err(SemaphoreError::system(cause)),
        }
        Ok(self.try_any(semaphores))
    }

    fn try_any(&self, semaphores: &[&Semaphore]) -> Option<usize> {
        self.turns(semaphores).find(|index| semaphores[*index].try_wait())
    }

    fn turns(&self, semaphores: &[&Semaphore]) -> impl Iterator<Item = usize> + use<> {
        let (next, count) = (self.next, semaphores.len());
        (0..count).map(move |turn| (next + turn) % count)
    }
}

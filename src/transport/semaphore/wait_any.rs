//! Waiting for any of a few semaphores, with one system call.

use super::word::{ASLEEP, Raised};
use super::{MAX_SLEEP, Semaphore, SemaphoreError};
use crate::transport::memory::Memory;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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

    /// As [`wait_any`].
    ///
    /// # Errors
    ///
    /// As [`wait_any`].
    pub fn wait(&mut self, semaphores: &[&Semaphore], limit: Duration) -> Result<Option<usize>, SemaphoreError> {
        let count = semaphores.len();
        if count > MAX_ANY {
            return Err(SemaphoreError::TooMany { count });
        }
        let first = semaphores.first().ok_or(SemaphoreError::Nothing)?;
        let mut found = self.try_any(semaphores);
        if found.is_none() && !limit.is_zero() {
            let relax = || first.word().memory().relax();
            found = first.spin().find(limit, relax, || self.try_any(semaphores));
            if found.is_none() {
                found = self.sleep(semaphores, limit)?;
            }
        }
        self.next = found.map_or(self.next, |index| (index + 1) % count);
        Ok(found)
    }

    fn sleep(&self, semaphores: &[&Semaphore], limit: Duration) -> Result<Option<usize>, SemaphoreError> {
        let start = Instant::now();
        let mut left = limit;
        while !left.is_zero() {
            // The flags first, all of them; then the last look, which `raise` is.
            let mut words = [0; MAX_ANY];
            let is_any_ready =
                (words.iter_mut().zip(semaphores)).any(|(word, semaphore)| match semaphore.word().raise(ASLEEP) {
                    Raised::Up(raised) => {
                        *word = raised;
                        false
                    }
                    Raised::Ready => true,
                });
            if !is_any_ready {
                self.park(semaphores, &words, left.min(MAX_SLEEP))?;
            }
            if let Some(index) = self.try_any(semaphores) {
                semaphores[0].spin().slept(start.elapsed());
                return Ok(Some(index));
            }
            left = limit.saturating_sub(start.elapsed());
        }
        Ok(None)
    }

    fn try_any(&self, semaphores: &[&Semaphore]) -> Option<usize> {
        let count = semaphores.len();
        (0..count).map(|turn| (self.next + turn) % count).find(|index| semaphores[*index].try_wait())
    }

    fn park(&self, semaphores: &[&Semaphore], words: &[u32; MAX_ANY], limit: Duration) -> Result<(), SemaphoreError> {
        static IS_MISSING: AtomicBool = AtomicBool::new(false);
        if self.one_by_one || IS_MISSING.load(Ordering::Relaxed) {
            let turn = self.next % semaphores.len();
            let word = semaphores[turn].word();
            super::Park::park(word.memory(), word.at(), words[turn], limit.min(FALLBACK_SLEEP));
            return Ok(());
        }
        let mut waits = [futex::Wait::new(); MAX_ANY];
        for ((wait, word), semaphore) in waits.iter_mut().zip(words).zip(semaphores) {
            let place = semaphore.word();
            let address = place.memory().word32(place.at()).map_or(std::ptr::null_mut(), |word| word.as_ptr());
            wait.val = u64::from(*word);
            wait.uaddr = futex::WaitPtr::new(address.cast());
            wait.flags = futex::WaitFlags::SIZE_U32;
        }
        let until = clock_gettime(ClockId::Monotonic) + Timespec::try_from(limit).unwrap_or_default();
        let flags = futex::WaitvFlags::empty();
        match futex::waitv(&waits[..semaphores.len()], flags, Some(&until), ClockId::Monotonic) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
            // Linux before 5.16, or a filter of system calls that does not know it.
            Err(Errno::NOSYS | Errno::PERM) => {
                IS_MISSING.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(cause) => Err(SemaphoreError::system(cause)),
        }
    }
}

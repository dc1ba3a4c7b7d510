//! Semaphores in shared memory: wait for one, for any of a few, or for any of thousands.
//!
//! | wait for | with | cost |
//! |---|---|---|
//! | one | [`Semaphore::wait`] | a futex, after as much looking as pays ([`Spin`]) |
//! | any of up to 128 | [`wait_any`] | one `futex_waitv` |
//! | any of many | [`SemaphoreSet`] | what it returns, however many members there are and however many are busy |
//!
//! A post to a semaphore without waiters makes no system call. A wake cannot be lost: [`Word`] and [`Doorbell`] say
//! why, and the same code is run through every order of events in the crate's tests. Another process that may write the
//! word can always post, take and wake as it likes; what it cannot do is to keep a wait here beyond its limit.

mod doorbell;
mod error;
mod marks;
mod notifier;
mod park;
mod set;
mod spin;
mod wait_any;
mod word;

pub use doorbell::{Doorbell, Via};
pub use error::SemaphoreError;
pub use marks::{Marks, Turn};
pub use notifier::Notifier;
pub use park::Park;
pub use set::{Member, SemaphoreSet};
pub use spin::Spin;
pub use wait_any::{MAX_ANY, WaitAny, wait_any};
pub use word::{MAX_COUNT, Posted, Raised, Word};

use super::memory::{Access, Mapped, Memory};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No sleep is longer before the word is looked at again: a hostile process that shares it could have taken the wake.
pub(super) const MAX_SLEEP: Duration = Duration::from_millis(20);

/// What a semaphore takes in shared memory: a cache line of its own, and its neighbour, which the CPU fetches with it.
pub const SEMAPHORE_BYTES: usize = 128;

/// A semaphore: a count that [`post`](Self::post) raises and [`wait`](Self::wait) takes from, waiting while it is 0.
///
/// ```
/// use memcpy_select::transport::region::{Region, RegionOptions};
/// use memcpy_select::transport::semaphore::Semaphore;
/// use std::time::Duration;
///
/// let region = Region::create(4096, RegionOptions::default())?;
/// let ours = Semaphore::new(region.memory().clone(), 0)?;
/// let theirs = Semaphore::new(region.memory().clone(), 0)?; // in another process: over the region that it was sent
/// std::thread::scope(|scope| {
///     scope.spawn(|| theirs.post());
///     assert!(ours.wait(Duration::from_secs(10)));
/// });
/// assert!(!ours.wait(Duration::from_millis(1)), "posted once");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Semaphore {
    word: Word<Mapped>,
    notifier: Option<Arc<Notifier>>,
    spin: Spin,
}

impl Semaphore {
    /// The semaphore whose word is at that offset; the rest of its [`SEMAPHORE_BYTES`] is best left alone. Zeroed memory is
    /// a semaphore with count 0.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::Place`] if no word that can be written is there.
    pub fn new(memory: Mapped, at: usize) -> Result<Self, SemaphoreError> {
        let is_writable = memory.access() == Access::ReadWrite;
        if !is_writable || memory.word32(at).is_none() {
            return Err(SemaphoreError::Place { at, len_bytes: memory.len_bytes(), is_writable });
        }
        Ok(Self { word: Word::new(memory, at), notifier: None, spin: Spin::default() })
    }

    /// The same semaphore with a notifier, so that it can be in a [`SemaphoreSet`]. Every process that posts needs the notifier
    /// then, and gets it with the region. One notifier serves all semaphores of a region.
    #[must_use]
    pub fn with_notifier(self, notifier: Arc<Notifier>) -> Self {
        Self { notifier: Some(notifier), ..self }
    }

    /// The same semaphore, waited for without looking before the sleep.
    #[must_use]
    pub fn without_spinning(self) -> Self {
        Self { spin: Spin::never(), ..self }
    }

    /// Adds one to the count and wakes a waiter. Never waits itself.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::Overflow`] if the count is [`MAX_COUNT`] already; [`SemaphoreError::NoNotifier`] if a set waits and this
    /// side has no notifier to tell it (the count was raised; the set sees it within its bound).
    #[inline]
    pub fn post(&self) -> Result<(), SemaphoreError> {
        match self.word.post() {
            Posted::Done => Ok(()),
            Posted::Notify => {
                self.notifier.as_ref().ok_or(SemaphoreError::NoNotifier)?.notify(self.place());
                Ok(())
            }
            Posted::Overflow => Err(SemaphoreError::Overflow),
        }
    }

    /// Takes one off the count, if it is not 0.
    #[inline]
    pub fn try_wait(&self) -> bool {
        self.word.try_take()
    }

    /// Takes one off the count; while it is 0, waits for a post for at most the limit. False if there was none.
    pub fn wait(&self, limit: Duration) -> bool {
        if self.try_wait() {
            return true;
        }
        if limit.is_zero() {
            return false;
        }
        let take = || self.try_wait().then_some(());
        if self.spin.find(limit, || self.word.memory().relax(), take).is_some() {
            return true;
        }
        let start = Instant::now();
        let mut left = limit;
        loop {
            if self.word.take_or_sleep(left.min(MAX_SLEEP)) {
                self.spin.slept(start.elapsed());
                return true;
            }
            left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return false;
            }
        }
    }

    /// The count at this moment.
    pub fn count(&self) -> u32 {
        self.word.count()
    }

    /// The notifier, if it has one.
    pub fn notifier(&self) -> Option<&Arc<Notifier>> {
        self.notifier.as_ref()
    }

    /// Where it is among the semaphores of its memory.
    pub(super) const fn place(&self) -> usize {
        self.word.at() / SEMAPHORE_BYTES
    }

    pub(super) fn word(&self) -> &Word<Mapped> {
        &self.word
    }

    pub(super) fn spin(&self) -> &Spin {
        &self.spin
    }
}

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
mod marks;
mod notified;
mod notifier;
mod park_any;
mod set;
mod spin;
mod wait_any;
mod word;

pub use doorbell::{Doorbell, Via};
pub use marks::{Marks, Taken, Turn};
pub use notifier::Notifier;
pub use set::SemaphoreSet;
pub use spin::Spin;
pub use wait_any::{MAX_ANY, WaitAny, wait_any};
pub use word::{MAX_COUNT, Word};

pub use super::slots::Key as Member;

use super::connect::is_forbidden;
use super::error::errors;
use super::memory::{Access, Load, Mapped, Memory};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// No sleep is longer before the word is looked at again: a hostile process that shares it could have taken the wake.
pub(super) const MAX_SLEEP: Duration = Duration::from_millis(20);

/// So often is a change of a word tried that others keep from happening. A hostile peer can always be faster.
const MAX_TRIES: u32 = 1 << 10;

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
        check_place(&memory, at, 4, 4)?;
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
        if self.word.post()? {
            self.notifier.as_ref().ok_or(SemaphoreError::NoNotifier)?.notify(self.place());
        }
        Ok(())
    }

    /// Takes one off the count, if it is not 0.
    #[inline]
    pub fn try_wait(&self) -> bool {
        self.word.try_take()
    }

    /// Takes one off the count; while it is 0, waits for a post for at most the limit. False if there was none.
    pub fn wait(&self, limit: Duration) -> bool {
        let take = || self.try_wait().then_some(());
        let sleep = |limit| Ok::<_, SemaphoreError>(self.word.take_or_sleep(limit).then_some(()));
        self.spin.wait(limit, take, sleep).is_ok_and(|taken| taken.is_some())
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
    const fn place(&self) -> usize {
        self.word.at / SEMAPHORE_BYTES
    }
}

/// Whether so many bytes that can be written are at that offset, a multiple of `unit`.
fn check_place(memory: &Mapped, at: usize, wanted_bytes: usize, unit: usize) -> Result<(), SemaphoreError> {
    let (len_bytes, is_writable) = (memory.len_bytes(), memory.access() == Access::ReadWrite);
    let is_inside = memory.pointer(at, wanted_bytes).is_some() && at.is_multiple_of(unit);
    if is_writable && is_inside { Ok(()) } else { Err(SemaphoreError::Place { at, len_bytes, is_writable }) }
}

/// Replaces a word of 4 bytes by what `to` makes of it, unless that is nothing: the word before the change, or without one as it was at
/// last.
#[inline(always)]
fn change(memory: &impl Memory, at: usize, order: Ordering, to: impl Fn(u32) -> Option<u32>) -> Result<u32, u32> {
    let mut found = memory.load32(at, Load::Relaxed);
    for _ in 0..MAX_TRIES {
        let Some(new) = to(found) else { break };
        match memory.cas32(at, found, new, order) {
            Ok(before) => return Ok(before),
            Err(other) => found = other,
        }
    }
    Err(found)
}

/// Takes these bits of a word of 4 bytes down; which of them were up.
#[inline]
fn lower(memory: &impl Memory, at: usize, bits: u32) -> u32 {
    let to = |word: u32| (word & bits != 0).then_some(word & !bits);
    let (Ok(word) | Err(word)) = change(memory, at, Ordering::Relaxed, to);
    word & bits
}

errors! {
    /// What cannot be done with semaphores.
    #[derive(Debug)]
    pub enum SemaphoreError {
        /// No word that can be written is at that offset: the memory is shorter, or is not writable at all.
        Place { at: usize, len_bytes: usize, is_writable: bool } =>
            "there is no semaphore at offset {at} of {len_bytes} bytes that are {}: none is made; give an offset that \
             is a multiple of 4 and lies inside memory mapped for writing",
            if *is_writable { "writable" } else { "mapped for reading only" };
        /// One more post than the count holds.
        Overflow => "the count is {MAX_COUNT} already: the post was not counted; wait for the semaphore first";
        /// Without a notifier no set that waits can be told.
        NoNotifier =>
            "the semaphore has no notifier, by which a set is told of a post; make it with one and pass that to every \
             process that posts";
        /// A descriptor that is not a Unix socket, and so not a notifier.
        NotANotifier =>
            "the descriptor is not a Unix socket, and a notifier is: it is closed; pass the two ends of a notifier as \
             they were made";
        /// More semaphores at once than [`MAX_ANY`].
        TooMany { count: usize } =>
            "{count} semaphores are more than {MAX_ANY}, of which the system can watch any at once: nothing was waited \
             for; put them in a set";
        /// The set has it already.
        AlreadyIn =>
            "the set has this semaphore already: it stays in it once; use the name that adding it returned";
        /// The set has no such member.
        NotAMember =>
            "the set has no such member: nothing was removed; use the name that adding it returned, once";
        /// The set has no members, or the call no semaphores: nothing could ever end the wait.
        Nothing =>
            "there is nothing to wait for: the wait would end in no other way than by its limit; name a semaphore";
        /// The system refused.
        System { cause: io::Error } =>
            "the system refused a wait or a descriptor for one ({cause}): nothing was waited for; {}",
            if is_forbidden(cause) {
                "have the filter of system calls allow futex, futex_waitv, epoll and socketpair"
            } else {
                "allow the process more descriptors"
            };
    }
}

impl SemaphoreError {
    fn system(cause: rustix::io::Errno) -> Self {
        Self::System { cause: cause.into() }
    }
}

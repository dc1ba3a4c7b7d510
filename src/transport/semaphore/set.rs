//! Waiting for any of thousands of semaphores.
//!
//! A member is either *polled*, and looked at in user space, or *armed*: the flag in its word tells posters to notify ([`Slots`]).
//! One that is marked is taken from and stays armed, unless more is left or it is the same one again and again. So a wait looks at
//! marks and at members that have them. Notifiers are polled and armed in the same way: of a polled one the marks are looked at,
//! of an armed one the socket.
//!
//! Turns are taken on every level: between members that are polled and those that are marked, between the notifiers, and among
//! members of either kind in their order. What marks too much gets no more than its turns.

#![forbid(unsafe_code)]

use super::notified::{Notified, Told};
use super::word::WATCHED;
use super::{MAX_SLEEP, Member, Semaphore, SemaphoreError, Spin};
use crate::transport::slots::{Key, Slots};
use crate::transport::watch::{Report, Watch};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looks at the sockets of armed notifiers come after so many waits that found something, too.
const WAITS_PER_LOOK: u32 = 64;
/// How many members are looked at after a sleep that no notifier ended, and how many with such a look: a mark that was lost, as only
/// a process that shares the notifier can bring about, is made up for so.
const SWEEP: usize = 64;
const BUSY_SWEEP: usize = 2;
/// So many notifiers that have nothing stay polled, and the member that is posted again and again: to look at them costs less than
/// to arm them.
const MAX_POLLED: usize = 4;

/// A set of semaphores, to wait for any of them.
///
/// A wait costs what it returns, however many members there are and however many of them are busy. Each member that another process
/// shares can at most be ready too often or not at all, together with those on the same notifier: the others have their turn
/// between its.
///
/// ```
/// use memcpy_select::transport::memory::Mapped;
/// use memcpy_select::transport::semaphore::{Notifier, SEMAPHORE_BYTES, Semaphore, SemaphoreSet};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let memory = Mapped::private(8192).ok_or("no memory")?;
/// let notifier = Arc::new(Notifier::new(memory.clone(), 4096)?);
/// let mut set = SemaphoreSet::create()?;
/// let mut members = Vec::new();
/// for at in (0..4096).step_by(SEMAPHORE_BYTES) {
///     let semaphore = Arc::new(Semaphore::new(memory.clone(), at)?.with_notifier(Arc::clone(&notifier)));
///     members.push((set.add(Arc::clone(&semaphore))?, semaphore));
/// }
/// members[17].1.post()?;
/// assert_eq!(set.wait_set_any(Duration::from_secs(10))?, Some(members[17].0));
/// assert_eq!(set.wait_set_any(Duration::from_millis(1))?, None);
/// set.remove(members[17].0)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SemaphoreSet {
    members: Slots<Arc<Semaphore>>,
    watch: Watch,
    notifiers: Slots<Notified>,
    /// By the notifiers' addresses.
    keys: HashMap<usize, Key>,
    waits: u32,
    /// Where the next sweep starts.
    swept: usize,
    /// Whether marks come before what is polled.
    are_marks_first: bool,
    told: Told,
    spin: Spin,
}

impl SemaphoreSet {
    /// An empty set.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::System`] if there are no descriptors for it.
    pub fn create() -> Result<Self, SemaphoreError> {
        Ok(Self {
            members: Slots::default(),
            watch: Watch::new().map_err(SemaphoreError::system)?,
            notifiers: Slots::default(),
            keys: HashMap::new(),
            waits: 0,
            swept: 0,
            are_marks_first: false,
            told: Told::default(),
            spin: Spin::default(),
        })
    }

    /// The same set, which goes to sleep without looking for a while before.
    #[must_use]
    pub fn without_spinning(self) -> Self {
        Self { spin: Spin::never(), ..self }
    }

    /// Adds a semaphore. Those that share a notifier best share the value, too. In several sets a semaphore is noticed by one of them in
    /// time, and late by the others.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NoNotifier`] if it has none, [`SemaphoreError::AlreadyIn`] if it is a member, and
    /// [`SemaphoreError::System`] if its notifier cannot be watched.
    pub fn add(&mut self, semaphore: Arc<Semaphore>) -> Result<Member, SemaphoreError> {
        let notifier = semaphore.notifier().ok_or(SemaphoreError::NoNotifier)?;
        let key = match self.keys.entry(Arc::as_ptr(notifier).addr()) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let key = self.notifiers.next_key();
                self.watch.add(key, notifier.receiver.as_fd(), Report::EACH_TIME).map_err(SemaphoreError::system)?;
                self.notifiers.insert(Notified::new(Arc::clone(notifier)));
                self.notifiers.poll(key);
                *entry.insert(key)
            }
        };
        let notified = self.notifiers.get_mut(key).ok_or(SemaphoreError::NoNotifier)?;
        if notified.has(&semaphore) {
            return Err(SemaphoreError::AlreadyIn);
        }
        let member = self.members.insert(Arc::clone(&semaphore));
        notified.add(member, semaphore);
        self.members.poll(member);
        Ok(member)
    }

    /// Removes a member, and gives it back. From now on posts to it notify no set. Its notifier is watched no more if it was the last
    /// one there.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NotAMember`] if it is none, or no more.
    pub fn remove(&mut self, member: Member) -> Result<Arc<Semaphore>, SemaphoreError> {
        let semaphore = self.members.remove(member).ok_or(SemaphoreError::NotAMember)?;
        semaphore.word.unwatch();
        let address = semaphore.notifier().map_or(0, |notifier| Arc::as_ptr(notifier).addr());
        if let Some(&key) = self.keys.get(&address)
            && let Some(notified) = self.notifiers.get_mut(key)
            && notified.remove(member, &semaphore)
        {
            self.watch.remove(notified.notifier.receiver.as_fd());
            self.notifiers.remove(key);
            self.keys.remove(&address);
        }
        Ok(semaphore)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes one off the count of any member, waiting for at most the limit. `None` if there was none.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::Nothing`] if the set is empty, [`SemaphoreError::System`] if the system refuses to wait.
    pub fn wait_set_any(&mut self, limit: Duration) -> Result<Option<Member>, SemaphoreError> {
        if self.is_empty() {
            return Err(SemaphoreError::Nothing);
        }
        self.waits += 1;
        if self.waits >= WAITS_PER_LOOK {
            self.waits = 0;
            // Of those that are polled the marks are looked at.
            if self.notifiers.polled() < self.notifiers.len() {
                self.look(Duration::ZERO)?;
            }
            self.sweep(BUSY_SWEEP);
        }
        let found = self.try_any(MAX_POLLED).or_else(|| self.spin_for_any(limit));
        if found.is_some() {
            return Ok(found);
        }
        let start = Instant::now();
        let mut left = limit;
        loop {
            if let Some(member) = self.try_any(0) {
                return Ok(Some(member));
            }
            // Only what is armed wakes this side.
            let is_armed = self.members.polled() + self.notifiers.polled() == 0;
            self.look(if is_armed { left.min(MAX_SLEEP) } else { Duration::ZERO })?;
            if let Some(member) = self.try_any(MAX_POLLED) {
                self.spin.slept(start.elapsed());
                return Ok(Some(member));
            }
            left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            self.sweep(SWEEP);
        }
    }

    /// Takes from a member that has something, of those that are polled or marked, in turn. At most `kept` of the others stay polled.
    fn try_any(&mut self, kept: usize) -> Option<Member> {
        self.are_marks_first = !self.are_marks_first;
        let polled = if self.are_marks_first { None } else { self.try_polled(kept) };
        polled.or_else(|| self.try_marked(kept)).or_else(|| self.try_polled(kept))
    }

    /// Takes from the first member that is marked and has something. Arms the notifiers that have no marks, all but `kept` of them.
    fn try_marked(&mut self, kept: usize) -> Option<Member> {
        for _ in 0..self.notifiers.polled() {
            let Self { notifiers, members, told, .. } = self;
            let (_, taken) = notifiers.find(kept, |notified, is_kept| notified.take(members, told, is_kept))?;
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    /// Takes from the first polled member that has something. Of those that have nothing all are armed, but for one, if that may be
    /// kept and is posted again and again.
    fn try_polled(&mut self, kept: usize) -> Option<Member> {
        let look = |semaphore: &mut Arc<Semaphore>, is_kept| {
            let has_taken =
                if is_kept { semaphore.try_wait() } else { semaphore.word.take_or_raise(WATCHED).is_none() };
            has_taken.then_some(())
        };
        let (member, ()) = self.members.find(kept.min(self.told.is_again.into()), look)?;
        self.told.is_again = true;
        Some(member)
    }

    fn spin_for_any(&mut self, limit: Duration) -> Option<Member> {
        // Where all are armed, there is nothing to look at.
        if limit.is_zero() || self.members.polled() + self.notifiers.polled() == 0 {
            return None;
        }
        // Apart, so that the members can be looked at meanwhile.
        let spin = std::mem::replace(&mut self.spin, Spin::never());
        let found = spin.find(limit, || self.try_any(MAX_POLLED));
        self.spin = spin;
        found
    }

    /// Looks at the next few members, marked or not, and polls those that have something.
    fn sweep(&mut self, members: usize) {
        let count = self.members.slots();
        for _ in 0..members.min(count) {
            self.swept = if self.swept + 1 < count { self.swept + 1 } else { 0 };
            let key = self.members.key_at(self.swept);
            if self.members.get(key).is_some_and(|semaphore| semaphore.count() > 0) {
                self.members.poll(key);
            }
        }
    }

    /// Waits for the sockets of notifiers, and polls those that have something.
    fn look(&mut self, limit: Duration) -> Result<(), SemaphoreError> {
        for ready in self.watch.wait(limit).map_err(SemaphoreError::system)? {
            if let Some(notified) = self.notifiers.get(ready.key) {
                notified.notifier.woken();
                self.notifiers.poll(ready.key);
            }
        }
        Ok(())
    }
}
